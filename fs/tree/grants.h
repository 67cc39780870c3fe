/*
 * grants.h: operations on who may do what where.
 *
 * What is set or taken away holds from the return on, for every door and every process on the store. Who may administer a repository
 * (the action `admin`) may change its grants and its visibility; of a pattern, who has that action by a pattern that covers it, without a
 * token's scopes; of the registry (""), administrators.
 */
#ifndef REGFS_GRANTS_H
#define REGFS_GRANTS_H

#include "fs/auth/action.h"
#include "fs/meta/namespace.h"
#include "fs/tree/tree.h"

struct tree_grant {
	const char *who;	/* "alice", "@developers", "+ci-robot" */
	const char *pattern;	/* fs/auth/pattern.h */
	unsigned actions;	/* enum action, as bits */
	const char *origin;	/* "": made by hand; or the policy's name */
	const char *by;		/* who granted it */
	int64_t created;
};
/* Strings live until the callback returns; a non-zero answer ends the listing, and becomes its result if negative. */
typedef int tree_grant_fn(void *arg, const struct tree_grant *grant);

/* Those with exactly this pattern, by principal: what a repository's _access/ holds. */
int tree_grant_list(struct tree *tree, const struct cred *cred, const char *pattern, tree_grant_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND. */
int tree_grant_show(struct tree *tree, const struct cred *cred, const char *who, const char *pattern, tree_grant_fn *fn,
		    void *arg, struct err *err) MUST_CHECK;
/* From now on `who` has exactly these actions by that pattern (at least one). The pattern need match nothing yet. ERR_NOT_FOUND: nobody is
 * called so. */
int tree_grant_set(struct tree *tree, const struct cred *cred, const char *who, const char *pattern, unsigned actions,
		   struct err *err) MUST_CHECK;
int tree_grant_rm(struct tree *tree, const struct cred *cred, const char *who, const char *pattern,
		  struct err *err) MUST_CHECK;
/* A RAM policy document (fs/auth/policy.h): all of its grants or none, added to what `who` has. Administrators only.
 * `origin` says where it is from. dry_run: only whether it could be. */
int tree_grant_policy(struct tree *tree, const struct cred *cred, const char *who, const void *data, size_t len,
		      const char *origin, bool dry_run, struct err *err) MUST_CHECK;

/* ---- Who may do what, and why ---- */

enum tree_why {
	TREE_WHY_PUBLIC,	/* the repository is public: anyone may pull */
	TREE_WHY_ADMINISTRATOR,
	TREE_WHY_GRANT,
	TREE_WHY_GROUP,		/* a grant of a group that it is in */
};
struct tree_access {
	const char *who;	/* "anonymous": anyone, logged in or not */
	unsigned actions;
	const char *pattern;	/* the grant's; the repository, or "**" for an administrator */
	enum tree_why why;
	const char *group;	/* TREE_WHY_GROUP */
	const char *origin;	/* the grant's; else "" */
	bool good;		/* false: the account is disabled or has expired */
};
typedef int tree_access_fn(void *arg, const struct tree_access *access);
/* One row for each reason: in a repository (NULL: anywhere), of a user or robot (NULL: all; "anonymous"). What comes by a group
 * has a row for each member. One may ask of oneself; else as for changing them. A repository that isn't there has
 * what its name is granted. ERR_NOT_FOUND: nobody is called so. */
int tree_access_explain(struct tree *tree, const struct cred *cred, const char *repo, const char *who, tree_access_fn *fn,
			void *arg, struct err *err) MUST_CHECK;
/* What `cred` may do there, within its scopes: a set of actions, 0 for what it may not see. For doors that show it, and for tokens,
 * which are to carry no more: never instead of the operation's own question. */
int tree_actions(struct tree *tree, const struct cred *cred, const char *repo, unsigned *out, struct err *err) MUST_CHECK;

/* ---- Visibility ---- */

int tree_visibility_get(struct tree *tree, const struct cred *cred, const char *repo, bool *public,
			struct err *err) MUST_CHECK;
int tree_visibility_set(struct tree *tree, const struct cred *cred, const char *repo, bool public,
			struct err *err) MUST_CHECK;
/* As tree_repo_add(), and as visible as said; SETTING_INHERIT: as its namespace says. */
int tree_repo_add_visible(struct tree *tree, const struct cred *cred, const char *name, enum setting public,
			  struct err *err) MUST_CHECK;

/* A namespace's own settings, or (name "") the registry's: what repositories that are made below it begin with, and whether a push makes
 * them. SETTING_INHERIT: as above it; at the top private, and a push does. It need not exist. */
struct tree_namespace {
	enum setting public;
	enum setting push_creates;
};
int tree_namespace_get(struct tree *tree, const struct cred *cred, const char *name, struct tree_namespace *out,
		       struct err *err) MUST_CHECK;
int tree_namespace_set(struct tree *tree, const struct cred *cred, const char *name, const struct tree_namespace *settings,
		       struct err *err) MUST_CHECK;
/* The same of those that aren't NULL, whatever the others are at that moment. */
int tree_namespace_change(struct tree *tree, const struct cred *cred, const char *name, const enum setting *public,
			  const enum setting *push_creates, struct err *err) MUST_CHECK;

#endif
