/*
 * people.h: users, groups, robots and their tokens, as rows.
 *
 * Whoever changes them, in a write transaction, calls access_changed() in it: what was worked out from them elsewhere is
 * looked at again then.
 */
#ifndef REGFS_META_PEOPLE_H
#define REGFS_META_PEOPLE_H

#include "fs/auth/password.h"
#include "fs/auth/principal.h"
#include "fs/meta/db.h"

struct principal_row {
	int64_t id;
	enum principal_kind kind;
	bool administrator;
	bool disabled;
	int64_t expires;	/* 0: never */
	int64_t created;
	char name[LIMIT_PRINCIPAL + 1];
	char password[PASSWORD_HASH_MAX + 1];	/* the hash; "": none */
};

/* 1 and the row, 0 if there is none, or negative. */
int principal_by_name(struct db *db, const char *name, struct principal_row *out, struct err *err) MUST_CHECK;
int principal_by_id(struct db *db, int64_t id, struct principal_row *out, struct err *err) MUST_CHECK;
typedef int principal_row_fn(void *arg, const struct principal_row *row);
/* By name; a non-zero answer of fn ends it and is returned. */
int principal_list(struct db *db, enum principal_kind kind, principal_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Administrators who aren't disabled, besides one. */
int principal_other_administrators(struct db *db, int64_t id, int64_t *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. row->id is set. */
int principal_insert(struct db *db, struct principal_row *row, struct err *err) MUST_CHECK;
/* All but the name, the kind and when it was made. */
int principal_update(struct db *db, const struct principal_row *row, struct err *err) MUST_CHECK;
/* With its memberships, tokens and grants, those that were revoked and could be brought back among them. */
int principal_delete(struct db *db, int64_t id, struct err *err) MUST_CHECK;

/* ---- Groups ---- */

/* Who is in a group, and what groups a principal is in; by name. */
int member_list(struct db *db, int64_t group_id, principal_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int member_groups(struct db *db, int64_t principal_id, principal_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int member_group_count(struct db *db, int64_t principal_id, int64_t *out, struct err *err) MUST_CHECK;
/* Inside a write transaction: the number of rows that this changed. */
int64_t member_insert(struct db *db, int64_t group_id, int64_t principal_id, struct err *err) MUST_CHECK;
int64_t member_delete(struct db *db, int64_t group_id, int64_t principal_id, struct err *err) MUST_CHECK;

/* ---- Tokens ---- */

struct token_row {
	int64_t id;
	int64_t principal_id;
	int64_t created, expires, used;		/* 0: never */
	bool limited;				/* it has scopes */
	struct digest hash;
	char name[LIMIT_PRINCIPAL + 1];
	const char *scopes;			/* lives as long as the callback; NULL if not limited */
};
typedef int token_row_fn(void *arg, const struct token_row *row);
int token_list(struct db *db, int64_t principal_id, token_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* fn's answer, 0 if there is none, or negative. */
int token_by_hash(struct db *db, const struct digest *hash, token_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Inside a write transaction. */
int token_insert(struct db *db, struct token_row *row, struct err *err) MUST_CHECK;
int64_t token_delete(struct db *db, int64_t principal_id, const char *name, struct err *err) MUST_CHECK;
/* Needs no access_changed(). */
int token_touch(struct db *db, int64_t id, int64_t now, struct err *err) MUST_CHECK;

/* ---- The generation ---- */

/* Inside a write transaction that changed people, tokens, grants or visibility. */
int access_changed(struct db *db, struct err *err) MUST_CHECK;
/* Two equal ones, read from committed states: nothing of these changed between them. */
int access_generation(struct db *db, int64_t *out, struct err *err) MUST_CHECK;

#endif
