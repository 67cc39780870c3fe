/*
 * audit.h: the audit trail: who, when and from where did what to what, and what came of it.
 *
 * It is written by what the operations do, and by the logins (login.h); doors read it. Changes are in it when they are committed;
 * logins, refusals and pulls a second later, or never after a crash (see regfs(1), audit).
 */
#ifndef REGFS_TREE_AUDIT_H
#define REGFS_TREE_AUDIT_H

#include "fs/meta/audit.h"
#include "fs/tree/tree.h"

#define TREE_AUDIT_KEEP (90 * 24 * 3600 * INT64_C(1000000000))	/* as long as nothing else is said */

/* Whether pulls are written down. Once, before use. */
void tree_set_audit_pulls(struct tree *tree, bool on);
/* For administrators; lines are JSON objects, without a newline. */
int tree_audit_list(struct tree *tree, const struct cred *cred, const struct audit_filter *filter, audit_line_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;
/* Removes what is older than `keep` nanoseconds; *removed: how many rows. For administrators. */
int tree_audit_trim(struct tree *tree, const struct cred *cred, int64_t keep, int64_t *removed, struct err *err) MUST_CHECK;
/* A login that wasn't tried, since there were too many that failed: by the name that was given, or NULL. */
void tree_audit_throttled(struct tree *tree, const char *name, const char *from);

#endif
