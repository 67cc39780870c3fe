/*
 * access.h: what a credential may do, worked out from the rows: for the files of fs/tree/.
 *
 * permit() (permit.h) is the question of an operation that knows its repository by name. Here are the others: what may be
 * done in a repository whose row was read, whether a blob may be seen, and which repositories may be, in their order.
 */
#ifndef REGFS_TREE_ACCESS_H
#define REGFS_TREE_ACCESS_H

#include "fs/auth/cred.h"
#include "fs/meta/repo.h"

struct tree;
struct access;	/* what was worked out before: a cache */

int access_new(struct access **out, struct err *err) MUST_CHECK;
void access_free(struct access *a);

/*
 * Who asks, and of which state of the database. The mark must have been taken before the connection's state was:
 * access_ask() before the first statement of a read transaction. Never on a connection that writes: what isn't committed would be
 * remembered.
 */
struct ask {
	struct tree *tree;
	struct db *db;
	const struct cred *cred;
	struct db_mark mark;
	bool marked;
	struct err *err;
};
void access_ask(struct ask *a, struct tree *tree, struct db *db, const struct cred *cred, struct err *err);

/* What the subject may do in a repository, or (NULL) in the registry: a set of actions, whatever the scopes are.
 * ERR_UNAUTHORIZED: the account or the token isn't good any more. */
int access_actions(struct tree *tree, const struct cred *cred, const char *repo, unsigned *out,
		   struct err *err) MUST_CHECK;
/* The same of a row, within the scopes. */
int access_row(const struct ask *a, const struct repo_row *row, unsigned *out) MUST_CHECK;
/* 1 if that row's repository may be pulled from, else 0: also where the row isn't there, or the account isn't good. */
int access_may_pull(const struct ask *a, const struct repo_row *row) MUST_CHECK;
int access_may_pull_id(const struct ask *a, int64_t repository_id) MUST_CHECK;
/* 1 if a repository that may be pulled from holds the blob: its name into `out`, unless that is NULL. */
int access_may_read_blob(const struct ask *a, int64_t blob_id, struct repo_row *out) MUST_CHECK;
/* 1 if an administrator asks. */
int access_is_administrator(const struct ask *a) MUST_CHECK;
/* 1 if a grant of the subject's lets it administer all that the pattern matches. */
int access_covers(const struct ask *a, const char *pattern) MUST_CHECK;

/* ---- reach.c: repositories that may be seen, in byte order of their names ---- */

struct reach;
/*
 * Behind `after`; with `below` ("a/b/", or "" for all) only those whose names begin so. `need`: one of these actions will do. Listed: only what
 * stands in the catalog. Costs a query for each grant that may match, and then one for each name.
 */
int reach_begin(const struct ask *a, const char *after, const char *below, unsigned need, bool listed,
		struct reach **out) MUST_CHECK;
/* 1 and the next one, which lives until the next call; 0: there are no more. */
int reach_next(struct reach *r, const char **name) MUST_CHECK;
void reach_free(struct reach *r);
DEFINE_CLEANUP(cleanup_reach, struct reach *, reach_free)
#define auto_reach CLEANUP(cleanup_reach)

/* 1 if something below a namespace may be pulled, else 0. */
int reach_below(const struct ask *a, const char *namespace) MUST_CHECK;

/* ---- What the two files share ---- */

struct right {
	const char *pattern;
	unsigned actions;
};
/* A subject's rights as of one generation: shared, never changed. */
struct rights {
	int holders;		/* atomic */
	int64_t generation;
	bool gone;		/* there is no such principal */
	bool administrator, disabled;
	int64_t expires;
	struct live_token {
		int64_t id, expires;
	} *tokens;
	size_t token_count;
	struct right *list;
	size_t count;
	size_t room, token_room;
	int error;
};
/* Those of who asks, held. ERR_UNAUTHORIZED where they have none. */
int rights_get(const struct ask *a, struct rights **out) MUST_CHECK;
void rights_put(struct rights *r);
DEFINE_CLEANUP(cleanup_rights, struct rights *, rights_put)
#define auto_rights CLEANUP(cleanup_rights)

#endif
