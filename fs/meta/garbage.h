/*
 * garbage.h: what can go, found and taken out of the tables.
 *
 * In three steps, each in transactions of their own, so that a push always finds its
 * place: untagged images (if that is wanted), links of blobs that no manifest of their
 * repository needs, and with the last link the blob's row; its digest is doomed then. The
 * file of a doomed digest is unlinked in a later write transaction, if there is still no row.
 * Every step has an index of just the garbage: its cost doesn't follow the store.
 */
#ifndef REGFS_META_GARBAGE_H
#define REGFS_META_GARBAGE_H

#include "fs/meta/db.h"

struct garbage_count {
	int64_t count, bytes;
};

/* What is unneeded but younger than `before`; and what is older. */
int garbage_unused(struct db *db, int64_t before, struct garbage_count *young,
		   struct garbage_count *old, struct err *err) MUST_CHECK;
/* How many images garbage_images() would remove, at the first go. */
int garbage_count_images(struct db *db, int64_t before, int64_t *out, struct err *err) MUST_CHECK;
int garbage_count_doomed(struct db *db, struct garbage_count *out, struct err *err) MUST_CHECK;

/* Inside a write transaction; each takes at most `limit` and says in *taken how many. */

typedef int garbage_image_fn(void *arg, const char *repo, const struct digest *digest);
/* Images that no tag names since before `before`, that no index holds and whose subject, if any, is gone. fn is
 * called for each before it goes. */
int garbage_images(struct db *db, int64_t before, int64_t limit, garbage_image_fn *fn, void *arg,
		   int64_t *taken, struct err *err) MUST_CHECK;
/* Links that no manifest needs, last asked for before `before`; rows of blobs that lost their last one. */
int garbage_links(struct db *db, int64_t before, int64_t limit, int64_t *taken,
		  struct err *err) MUST_CHECK;
typedef int garbage_blob_fn(void *arg, const struct digest *digest, int64_t size);
/* Doomed digests; fn unlinks the file. */
int garbage_doomed(struct db *db, int64_t limit, garbage_blob_fn *fn, void *arg, int64_t *taken,
		   struct err *err) MUST_CHECK;

/* Dooms a digest unless a row names it. */
int garbage_doom(struct db *db, const struct digest *digest, int64_t size, struct err *err) MUST_CHECK;

/* Uploads begun before `before`, by id behind `after`. */
typedef int garbage_upload_fn(void *arg, int64_t id, int64_t repository_id, const char *name);
int garbage_uploads(struct db *db, int64_t before, int64_t after, garbage_upload_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;

#endif
