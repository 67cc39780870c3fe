/*
 * settings.h: settings that are a text, of a repository, a namespace or the registry.
 *
 *	history-keep	how many images of each tag are kept by gc, its own included; of the registry only
 *	undo-keep	how long what is removed can be brought back (undo.h): a duration, or 0
 *	retention	rules (fs/upkeep/retention.h), of several lines perhaps: which tags stay; RETENTION_NONE: all do
 *	quota, quota-tags	how many bytes and tags it may hold (quota.h): a size (fs/base/size.h) and a number, or QUOTA_NONE. A
 *			namespace's is for all below it together, beside each one's own: there is nothing to inherit
 *	immutable	rules (fs/auth/rule.h): a tag that matches names one image, once it does; IMMUTABLE_NONE: there are none
 *
 * A repository, and a namespace, has what the nearest namespace above it has, unless it has its own. Who may administer a repository
 * sets its own; for a namespace and the registry it is as in grants.h. Quotas are set from above: by who may administer all in the namespace
 * that it is in.
 */
#ifndef REGFS_TREE_SETTINGS_H
#define REGFS_TREE_SETTINGS_H

#include "fs/meta/settings.h"
#include "fs/tree/tree.h"

#define UNDO_KEEP_TEXT "7d"	/* where nothing was set */
#define IMMUTABLE_NONE "none"
#define RETENTION_NONE "none"
#define SETTING_TEXT_INHERIT "inherit"	/* as the one above says: what is shown, and set, where there is no own value */

/* Whether there is such a setting, for that. */
bool tree_setting_known(struct settings_of of, const char *key);
/* As text, added to `out`; SETTING_TEXT_INHERIT, and the default for the registry, where nothing was set. */
int tree_setting_get(struct tree *tree, const struct cred *cred, struct settings_of of, const char *key, struct buf *out,
		     struct err *err) MUST_CHECK;
/* ERR_ARGUMENT: the value is none, or there is no such setting. check_only: it isn't set. */
int tree_setting_set(struct tree *tree, const struct cred *cred, struct settings_of of, const char *key, const char *value,
		     bool check_only, struct err *err) MUST_CHECK;

#endif
