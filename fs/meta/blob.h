/*
 * blob.h: blobs, and which repository holds which, as rows.
 *
 * `id` is a blob's; `link_id` that of the row that says a repository holds it.
 */
#ifndef REGFS_META_BLOB_H
#define REGFS_META_BLOB_H

#include "fs/meta/db.h"

struct blob_row {
	int64_t id;
	struct digest digest;
	int64_t size;
	int64_t created;
	bool bad;		/* its file is lost or damaged */
	int64_t link_id;	/* 0 where no repository was asked about */
	int64_t repository_id;
	int64_t linked;		/* when the repository got it, or was last asked for it */
};

/* 1 and the row, 0 if there is none, or negative. */
int blob_by_id(struct db *db, int64_t id, struct blob_row *out, struct err *err) MUST_CHECK;
int blob_by_digest(struct db *db, const struct digest *d, struct blob_row *out,
		   struct err *err) MUST_CHECK;
int blob_in_repo(struct db *db, int64_t repository_id, const struct digest *d, struct blob_row *out,
		 struct err *err) MUST_CHECK;
int blob_by_link(struct db *db, int64_t link_id, struct blob_row *out, struct err *err) MUST_CHECK;

/* By id or link id, behind `after`; a non-zero answer of fn ends it and is returned. */
typedef int blob_row_fn(void *arg, const struct blob_row *row);
int blob_list(struct db *db, int64_t after_id, blob_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int blob_list_repo(struct db *db, int64_t repository_id, int64_t after_link_id, blob_row_fn *fn,
		   void *arg, struct err *err) MUST_CHECK;

/* In how many places of the tree the blob stands: its link count. */
int blob_places(struct db *db, const struct blob_row *blob, int64_t *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. Rows that are there already stay; their id is given back. */
int blob_ensure(struct db *db, const struct digest *d, int64_t size, int64_t now, int64_t *id,
		struct err *err) MUST_CHECK;
int blob_link(struct db *db, int64_t repository_id, int64_t blob_id, int64_t now, struct err *err) MUST_CHECK;
int blob_unlink(struct db *db, int64_t repository_id, int64_t blob_id, struct err *err) MUST_CHECK;
/* Removes the blob's row if no repository holds it any more; its file is doomed then. */
int blob_settle(struct db *db, int64_t id, struct err *err) MUST_CHECK;
/* Nobody is served a bad blob; a push of the same bytes (blob_ensure) heals it. */
int blob_set_bad(struct db *db, const struct digest *d, struct err *err) MUST_CHECK;
/* Somebody was told that it is here: its grace begins anew. */
int blob_renew(struct db *db, int64_t link_id, int64_t now, struct err *err) MUST_CHECK;

#endif
