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

#include "fs/base/buf.h"
#include "fs/meta/db.h"

/* As many images of each tag are kept, its own included, unless the registry's setting history-keep says another number. */
#define HISTORY_KEEP_TEXT "10"

struct garbage_count {
	int64_t count, bytes;
};

/* Blobs that no image needs, asked for since `before` in some repository. */
int garbage_count_young(struct db *db, int64_t before, struct garbage_count *out,
			struct err *err) MUST_CHECK;
/* What would go, in a read transaction. Images untagged before `untagged` (0: none), and theirs; links last asked for
 * before `before`; what was removed until `removed`, or is past its time; blobs that lose all their links or are doomed already. */
struct garbage_prediction {
	int64_t images, links, removals;
	struct garbage_count blobs;
};
int garbage_predict(struct db *db, int64_t untagged, int64_t before, int64_t removed, struct garbage_prediction *out,
		    struct err *err) MUST_CHECK;

/* Images that no tag names since before `before`, that are none of the last ones of a tag, that no index holds and whose subject, if any, is gone: at most
 * `limit` ids (int64_t) into `out`. To be read beside writers, so that none waits for the search. */
int garbage_images(struct db *db, int64_t before, int64_t limit, struct buf *out,
		   struct err *err) MUST_CHECK;

/* Of one image, for who removed its tag. 1 if, whatever tags and histories name, an index names it, it refers to an image that is here,
 * or a tagged image refers to it; else 0. */
int garbage_is_held(struct db *db, int64_t id, struct err *err) MUST_CHECK;
/* 1 if it is one of those that garbage_images() finds, but for what can be brought back, and no tagged image refers to it; else 0. */
int garbage_is_orphan(struct db *db, int64_t id, int64_t before, struct err *err) MUST_CHECK;
/* What may be left without it: its children, and what refers to it: their ids (int64_t) into `out`. */
int garbage_held_by(struct db *db, int64_t id, struct buf *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. */

typedef int garbage_image_fn(void *arg, const char *repo, const struct digest *digest);
/* Removes an image if it is still one of those: 1, else 0. fn is called before it goes. */
int garbage_image(struct db *db, int64_t id, int64_t before, garbage_image_fn *fn, void *arg,
		  struct err *err) MUST_CHECK;

/* Those that follow take at most `limit` and say in *taken how many. */

/* Links that no manifest needs, last asked for before `before`; rows of blobs that lost their last one. */
int garbage_links(struct db *db, int64_t before, int64_t limit, int64_t *taken,
		  struct err *err) MUST_CHECK;
typedef int garbage_blob_fn(void *arg, const struct digest *digest, int64_t size);
/* Doomed digests; fn unlinks the file. In a transaction of its own: where a row went must be committed. */
int garbage_doomed(struct db *db, int64_t limit, garbage_blob_fn *fn, void *arg, int64_t *taken,
		   struct err *err) MUST_CHECK;

/* Dooms a digest unless a row names it. */
int garbage_doom(struct db *db, const struct digest *digest, int64_t size, struct err *err) MUST_CHECK;

/* 1 if the digest is doomed. */
int garbage_is_doomed(struct db *db, const struct digest *digest, struct err *err) MUST_CHECK;

/* How many were begun at `since` or later. */
int garbage_count_uploads(struct db *db, int64_t since, int64_t *out, struct err *err) MUST_CHECK;
/* Uploads begun before `before`, by id behind `after`. */
typedef int garbage_upload_fn(void *arg, int64_t id, int64_t repository_id, const char *name);
int garbage_uploads(struct db *db, int64_t before, int64_t after, garbage_upload_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;

#endif
