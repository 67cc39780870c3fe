/*
 * derived.h: files that follow from blobs and can be made again at any time: layers' and images' indexes, decoded copies,
 * files taken out of layers.
 *
 * They stand in the store's directory as index/<kind>/<2 hex>/<hex>[-<part>], named by the digest of what they were made from. A file
 * appears whole, under its name, or not at all. One is made by one process at a time: the next waits for it.
 */
#ifndef REGFS_DERIVED_H
#define REGFS_DERIVED_H

#include "fs/base/digest.h"

enum derived_kind {
	DERIVED_LAYER,		/* index of a layer, by the layer's digest */
	DERIVED_IMAGE,		/* index of an image, by the digest of the list of its layers */
	DERIVED_COPY,		/* decoded copy of a layer, and its index */
	DERIVED_COPY_INDEX,
	DERIVED_FILE,		/* bytes of one file of a layer; part: which, and its index's version */
	DERIVED_KIND_COUNT
};

struct derived_name {
	enum derived_kind kind;
	struct digest key;
	uint64_t part;		/* DERIVED_FILE only; else 0 */
};

struct derived;

/* `store_dir`: made below it when the first file is. */
int derived_new(const char *store_dir, struct derived **out, struct err *err) MUST_CHECK;
void derived_free(struct derived *d);

/* An open descriptor, to read; ERR_NOT_FOUND. Marks the file as used now. */
int derived_open(const struct derived *d, const struct derived_name *name, int *fd, struct err *err) MUST_CHECK;
/* Absent is success. Whoever has it open goes on. */
int derived_remove(const struct derived *d, const struct derived_name *name, struct err *err) MUST_CHECK;

/* A file being made. */
struct derived_draft {
	int fd;			/* empty, to write and read */
	struct derived_name name;
};
/* Waits while another, in any process, makes the same file. 1: yours to make; 0: it is there meanwhile. */
int derived_begin(struct derived *d, const struct derived_name *name, struct derived_draft *out,
		  struct err *err) MUST_CHECK;
/* Gives it its name, in place of one that is there, unless somebody has removed it while it was made; the descriptor stays open, and may be taken with steal_fd(). Synced before that if
 * `sync`; without it, the file may be there and damaged after a power failure: for what verifies its bytes when it reads them. */
int derived_commit(struct derived *d, struct derived_draft *draft, bool sync, struct err *err) MUST_CHECK;
/* Closes; without a commit the bytes are dropped. */
void derived_end(struct derived *d, struct derived_draft *draft);

/* Calls fn for each file of a kind: its size, and when it was last used or made (nanoseconds since 1970). A non-zero answer ends it
 * and is returned. */
typedef int derived_fn(void *arg, const struct derived_name *name, int64_t size, int64_t used, struct err *err);
int derived_each(const struct derived *d, enum derived_kind kind, derived_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* Removes (dry_run: counts) what was begun and left behind by a process that was killed: nobody has it locked. */
int derived_sweep(const struct derived *d, bool dry_run, int64_t *files, int64_t *bytes, struct err *err) MUST_CHECK;

/* Removes copies and files, those not used for longest first, until they hold at most `budget` bytes together. */
int derived_shrink(const struct derived *d, int64_t budget, struct err *err) MUST_CHECK;

#endif
