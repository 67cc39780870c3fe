/*
 * policy.h: RAM policy documents, read as grants.
 *
 * Alibaba Cloud's container registry is given rights to by documents like
 *
 *	{"Version":"1","Statement":[{"Effect":"Allow",
 *	  "Action":["cr:PullRepository","cr:Get*","cr:List*"],
 *	  "Resource":"acs:cr:*:*:repository/cri-1/shop/console-web"}]}
 *
 * Each pair of an action and a resource is a grant. Resources become patterns: NAMESPACE/NAME is that repository,
 * NAMESPACE and a star each directly below (a registry of theirs has two levels), and where both are stars it is every repository. What the
 * instance, the region and the account are isn't compared: there is one registry here.
 *
 * A document is taken whole or not at all. Deny, Condition, NotAction, NotResource, Principal, a key, a version, an
 * action or a resource that isn't known refuses it with the reason: to leave one out would grant too much.
 */
#ifndef REGFS_POLICY_H
#define REGFS_POLICY_H

#include "fs/base/err.h"

/* One grant; a non-zero answer ends the reading and is returned. The same pattern may come more than once. */
typedef int policy_grant_fn(void *arg, const char *pattern, unsigned actions);
/* fn is called only when the whole document was understood. ERR_ARGUMENT with the reason. */
int policy_read(const void *data, size_t len, policy_grant_fn *fn, void *arg, struct err *err) MUST_CHECK;

#endif
