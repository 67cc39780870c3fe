/*
 * grant.h: who may do what where, as rows.
 *
 * One row for a principal and a pattern. access_changed() (people.h) goes with each change.
 */
#ifndef REGFS_META_GRANT_H
#define REGFS_META_GRANT_H

#include "fs/base/limits.h"
#include "fs/meta/db.h"

struct grant_row {
	int64_t id;
	int64_t principal_id;
	unsigned actions;	/* enum action, as bits */
	int64_t created;
	char principal[LIMIT_PRINCIPAL + 1];
	char pattern[LIMIT_NAME + 1];
	char origin[LIMIT_ORIGIN + 1];	/* "": made by hand */
	char who[LIMIT_PRINCIPAL + 1];	/* who granted it */
};

/* A non-zero answer of fn ends it and is returned. */
typedef int grant_row_fn(void *arg, const struct grant_row *row);
/* By principal's name and pattern. */
int grant_list(struct db *db, grant_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Of one principal, by pattern; and with those of the groups that it is in. */
int grant_list_of(struct db *db, int64_t principal_id, grant_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int grant_list_subject(struct db *db, int64_t principal_id, grant_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* With exactly that pattern, by principal's name. */
int grant_list_pattern(struct db *db, const char *pattern, grant_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The same by principal's row, behind `after`. */
int grant_list_behind(struct db *db, const char *pattern, int64_t after, grant_row_fn *fn, void *arg,
		      struct err *err) MUST_CHECK;
int grant_count(struct db *db, int64_t principal_id, int64_t *out, struct err *err) MUST_CHECK;
/* 1 and the row, 0, or negative. */
int grant_get(struct db *db, int64_t principal_id, const char *pattern, struct grant_row *out,
	      struct err *err) MUST_CHECK;

/* Inside a write transaction. Replaces what that principal had by that pattern. */
int grant_put(struct db *db, const struct grant_row *row, struct err *err) MUST_CHECK;
/* The number of rows that went: 1 or 0. */
int64_t grant_delete(struct db *db, int64_t principal_id, const char *pattern, struct err *err) MUST_CHECK;

#endif
