/*
 * repo.h: repositories, and the namespaces above them, as rows.
 *
 * A row is there for each repository and each proper prefix of its name. It is a
 * repository from the first upload into it on, listed (in the catalog) while it was made on
 * purpose or holds an image, and gone when nothing is left in or below it.
 */
#ifndef REGFS_META_REPO_H
#define REGFS_META_REPO_H

#include "fs/base/limits.h"
#include "fs/meta/db.h"

struct repo_row {
	int64_t id;
	int64_t parent_id;	/* 0: at the top */
	bool is_repository;
	bool on_purpose;
	bool listed;
	bool public;		/* anyone may pull */
	bool emptied;		/* its last image was removed, and nothing came since */
	int64_t created;
	int64_t changed;	/* when a tag or an image last came, moved or went */
	char name[LIMIT_NAME + 1];
};

/* 1 and the row, 0 if there is none, or negative. */
int repo_by_name(struct db *db, const char *name, struct repo_row *out, struct err *err) MUST_CHECK;
int repo_by_id(struct db *db, int64_t id, struct repo_row *out, struct err *err) MUST_CHECK;
/* A visible one: listed, or being pushed to, or with such a one below it. */
int repo_child(struct db *db, int64_t parent_id, const char *component, struct repo_row *out,
	       struct err *err) MUST_CHECK;
const char *repo_component(const struct repo_row *row);

/* Visible rows below a parent by id; a non-zero answer of fn ends it and is returned. */
typedef int repo_row_fn(void *arg, const struct repo_row *row);
int repo_children(struct db *db, int64_t parent_id, int64_t after_id, repo_row_fn *fn, void *arg,
		  struct err *err) MUST_CHECK;
/* The names of those that are listed, in their order, behind `last`, at most n. */
typedef int repo_name_fn(void *arg, const char *name);
int repo_listed(struct db *db, const char *last, int64_t n, repo_name_fn *fn, void *arg,
		struct err *err) MUST_CHECK;

/* In byte order of the names, behind `after` and before `end`: the first name of a repository (not of a mere namespace).
 * 1 and the name, 0, or negative. */
#define REPO_END "~"	/* behind all names, and behind a prefix behind all that begin with it */
enum repo_which {
	REPO_ANY,		/* that has a row */
	REPO_PUBLIC,
	REPO_LISTED,
	REPO_LISTED_PUBLIC,
	REPO_WHICH_COUNT
};
int repo_next(struct db *db, enum repo_which which, const char *after, const char *end,
	      char out[static LIMIT_NAME + 1], struct err *err) MUST_CHECK;
/* The repositories that hold a blob, in no order. */
int repo_of_blob(struct db *db, int64_t blob_id, repo_row_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* Inside a write transaction. The row of a repository, made with its namespaces where missing; a new one is as visible as
 * its namespace says (namespace.h). */
int repo_ensure(struct db *db, const char *name, int64_t now, struct repo_row *out,
		struct err *err) MUST_CHECK;
int repo_touch(struct db *db, const char *name, int64_t now, struct err *err) MUST_CHECK;
int repo_set_public(struct db *db, int64_t id, bool public, struct err *err) MUST_CHECK;
int repo_set_on_purpose(struct db *db, int64_t id, bool on_purpose, struct err *err) MUST_CHECK;
/* Brings `listed` up to date, and removes what became empty, upwards. Call it after anything was taken out. */
int repo_settle(struct db *db, int64_t id, struct err *err) MUST_CHECK;

/* Takes everything out of a repository: tags, images, blobs, uploads (the rows). */
int repo_empty(struct db *db, int64_t id, struct err *err) MUST_CHECK;

/* Sums for one repository. */
struct repo_sums {
	int64_t tags, images, blobs, size;
};
int repo_sum(struct db *db, int64_t id, struct repo_sums *out, struct err *err) MUST_CHECK;

#endif
