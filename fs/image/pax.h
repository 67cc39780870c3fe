/*
 * pax.h: the records of a pax extended header (IEEE Std 1003.1-2017, pax, "pax Header Block"), for tar.c.
 *
 * Each is "LENGTH KEYWORD=VALUE\n", LENGTH counting all of it. Within a header the last record of a keyword counts. An
 * empty value takes back what a global header gave. Keywords that regfs has no use for are passed over, once their form
 * is checked.
 */
#ifndef REGFS_PAX_H
#define REGFS_PAX_H

#include "fs/image/sparse.h"
#include "fs/image/tar.h"

enum pax_key {
	PAX_PATH,
	PAX_LINKPATH,
	PAX_SIZE,
	PAX_MTIME,
	PAX_UID,
	PAX_GID,
	PAX_SPARSE_MAJOR,	/* the first of GNU.sparse.* */
	PAX_SPARSE_MINOR,
	PAX_SPARSE_NAME,
	PAX_SPARSE_SIZE,
	PAX_SPARSE_REALSIZE,
	PAX_SPARSE_BLOCKS,
	PAX_SPARSE_MAP,
	PAX_KEY_COUNT
};

/* NUL-terminated; numbers hold no NUL, nor do paths. */
struct pax_value {
	const char *data;
	size_t size;	/* 0 and set: taken back */
	bool set;
};

struct pax_xattr {
	struct tar_xattr x;	/* size 0: taken back */
	bool schily;		/* SCHILY.xattr., which wins over LIBARCHIVE.xattr. */
};

/* The records of one header, or of all global ones. Values point into `text`. */
struct pax {
	struct buf text;
	struct pax_value values[PAX_KEY_COUNT];
	struct buf xattrs;	/* struct pax_xattr, of different names */
	struct sparse_map map;	/* GNU.sparse.offset and .numbytes, version 0.0 */
	uint64_t offset;	/* the offset that waits for its number of bytes */
	bool has_offset;
	bool sparse;		/* any GNU.sparse.* that we know */
};

void pax_init(struct pax *p);
void pax_release(struct pax *p);
void pax_reset(struct pax *p);	/* keeps the memory */

/* Parses `text`, and changes it. `at` is its offset in the archive, for the errors: ERR_CORRUPT. */
int pax_parse(struct pax *p, uint64_t at, struct err *err) MUST_CHECK;
/* The records of a global header over those of earlier ones; more than LIMIT_TAR_HEADERS together are ERR_CORRUPT. */
int pax_merge(struct pax *global, const struct pax *more, uint64_t at, struct err *err) MUST_CHECK;

/* The value that counts for an entry, NULL if there is none. */
const struct pax_value *pax_find(const struct pax *local, const struct pax *global, enum pax_key key);
/* Puts the attributes that count (struct tar_xattr) into `out`, which is empty. */
int pax_xattrs(const struct pax *local, const struct pax *global, struct buf *out, uint64_t at,
	       struct err *err) MUST_CHECK;

/* A decimal number up to INT64_MAX; false if it isn't one. */
bool pax_number(const char *text, uint64_t *out);
/* "-12.345": nanoseconds, clamped; false if it isn't one. */
bool pax_time(const char *text, int64_t *out);
/* Seconds (and more nanoseconds of the same sign) as nanoseconds, clamped. */
int64_t pax_nanoseconds(int64_t seconds, int64_t nanoseconds);

#endif
