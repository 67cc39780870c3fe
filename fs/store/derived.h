/*
 * derived.h: files that follow from blobs and can be made again at any time: layers' and images' indexes, decoded copies.
 *
 * They stand in the store's directory as index/<kind>/<2 hex>/<hex>, named by the digest of what they were made from. A file
 * appears whole, under its name, or not at all; nothing is synced, so that after a power failure it may be there and damaged: whoever
 * opens it verifies it. One is made by one process at a time: the next waits for it.
 */
#ifndef REGFS_DERIVED_H
#define REGFS_DERIVED_H

#include "fs/base/digest.h"

enum derived_kind {
	DERIVED_LAYER,		/* index of a layer, by the layer's digest */
	DERIVED_IMAGE,		/* index of an image, by the digest of the list of its layers */
	DERIVED_COPY,		/* decoded copy of a layer, and its index */
	DERIVED_COPY_INDEX,
	DERIVED_KIND_COUNT
};

struct derived;

/* `store_dir`: made below it when the first file is. */
int derived_new(const char *store_dir, struct derived **out, struct err *err) MUST_CHECK;
void derived_free(struct derived *d);

/* An open descriptor, to read; ERR_NOT_FOUND. Marks the file as used now. */
int derived_open(const struct derived *d, enum derived_kind kind, const struct digest *key, int *fd,
		 struct err *err) MUST_CHECK;
/* Absent is success. Whoever has it open goes on. */
int derived_remove(const struct derived *d, enum derived_kind kind, const struct digest *key, struct err *err) MUST_CHECK;

/* A file being made. */
struct derived_draft {
	int fd;			/* empty, to write and read */
	enum derived_kind kind;
	struct digest key;
};
/* Waits while another, in any process, makes the same file. 1: yours to make; 0: it is there meanwhile. */
int derived_begin(struct derived *d, enum derived_kind kind, const struct digest *key, struct derived_draft *out,
		  struct err *err) MUST_CHECK;
/* Gives it its name, in place of one that is there; the descriptor stays open, and the caller's: it may be taken with steal_fd(). */
int derived_commit(struct derived *d, struct derived_draft *draft, struct err *err) MUST_CHECK;
/* Closes; without a commit the bytes are dropped. */
void derived_end(struct derived *d, struct derived_draft *draft);

/* Calls fn for each file of a kind: its key, size, and when it was last used or made (nanoseconds since 1970). A non-zero answer ends it
 * and is returned. */
typedef int derived_fn(void *arg, const struct digest *key, int64_t size, int64_t used, struct err *err);
int derived_each(const struct derived *d, enum derived_kind kind, derived_fn *fn, void *arg, struct err *err) MUST_CHECK;

#endif
