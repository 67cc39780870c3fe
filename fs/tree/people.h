/*
 * people.h: operations on users, groups, robots and their tokens.
 *
 * As those of tree.h: each takes who asks, and each change is one durable transaction with its event. Administrators may do all
 * of it; a user may look at itself, change its own password, and make, see and remove its own tokens, unless it came with a
 * token itself. Else ERR_DENIED (who isn't logged in: ERR_UNAUTHORIZED). Names are with their sign (fs/auth/principal.h).
 * No password and no secret stands in an error, an event or a log.
 */
#ifndef REGFS_PEOPLE_H
#define REGFS_PEOPLE_H

#include "fs/auth/principal.h"
#include "fs/auth/secret.h"
#include "fs/meta/namespace.h"
#include "fs/tree/tree.h"

struct tree_person {
	const char *name;
	enum principal_kind kind;
	bool administrator, disabled, has_password;
	int64_t expires;	/* 0: never */
	int64_t created;
};
/* Strings live until the callback returns; a non-zero answer ends the listing, and becomes its result if negative. */
typedef int tree_person_fn(void *arg, const struct tree_person *person);

/* Of one kind, by name. */
int tree_person_list(struct tree *tree, const struct cred *cred, enum principal_kind kind, tree_person_fn *fn, void *arg,
		     struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND. */
int tree_person_show(struct tree *tree, const struct cred *cred, const char *name, tree_person_fn *fn, void *arg,
		     struct err *err) MUST_CHECK;
/* A group's members; of a user or a robot, the groups that it is in. */
int tree_person_groups(struct tree *tree, const struct cred *cred, const char *name, tree_person_fn *fn, void *arg,
		       struct err *err) MUST_CHECK;

/* What is to be as said; what isn't said stays (of a new one: no, never, none). */
struct tree_person_change {
	const char *password;		/* NULL: stays; of a user only. Hashing it takes some 50 ms */
	enum setting administrator;	/* SETTING_INHERIT: stays; of a user or a robot */
	enum setting disabled;
	bool set_expires;
	int64_t expires;		/* nanoseconds since 1970; 0: never */
};
#define TREE_PERSON_STAYS { .administrator = SETTING_INHERIT, .disabled = SETTING_INHERIT }

/* ERR_EXISTS. A robot is made without a secret: tree_token_add(). */
int tree_person_add(struct tree *tree, const struct cred *cred, const char *name, const struct tree_person_change *change,
		    struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND; ERR_IN_USE: it is the last administrator. A password alone may be changed by oneself. */
int tree_person_set(struct tree *tree, const struct cred *cred, const char *name, const struct tree_person_change *change,
		    struct err *err) MUST_CHECK;
/* With its memberships, tokens and grants: what comes with them is refused from then on. */
int tree_person_rm(struct tree *tree, const struct cred *cred, const char *name, struct err *err) MUST_CHECK;

/* ERR_EXISTS: it is in it already; ERR_NOT_FOUND: it isn't, or one of them isn't there. A group holds no groups. */
int tree_member_add(struct tree *tree, const struct cred *cred, const char *group, const char *name,
		    struct err *err) MUST_CHECK;
int tree_member_rm(struct tree *tree, const struct cred *cred, const char *group, const char *name,
		   struct err *err) MUST_CHECK;

/* ---- Tokens: secrets of users and robots ---- */

struct tree_token {
	int64_t id;
	const char *name;
	const char *scopes;	/* NULL: not limited */
	int64_t created;
	int64_t expires;	/* 0: never */
	int64_t used;		/* last, to ten minutes; 0: never */
};
typedef int tree_token_fn(void *arg, const struct tree_token *token);
/* Scopes as text (NULL: not limited): ERR_ARGUMENT names the one that is none. */
int tree_scopes_check(const char *text, struct err *err) MUST_CHECK;
/* Of one user or robot, by name. */
int tree_token_list(struct tree *tree, const struct cred *cred, const char *owner, tree_token_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;
/* scopes as text (fs/auth/scope.h), NULL: not limited. The secret stands nowhere else: show it once, then secret_forget() it. */
int tree_token_add(struct tree *tree, const struct cred *cred, const char *owner, const char *name, const char *scopes,
		   int64_t expires, char secret[static SECRET_TEXT_MAX + 1], struct err *err) MUST_CHECK;
/* Who came with it is refused from then on. ERR_NOT_FOUND. */
int tree_token_rm(struct tree *tree, const struct cred *cred, const char *owner, const char *name,
		  struct err *err) MUST_CHECK;

#endif
