/*
 * tar.h: a strict reader of tar, fed with bytes as they come.
 *
 * Knows POSIX ustar and pax (IEEE Std 1003.1-2017, pax), GNU (long names L and K, base-256 numbers, old and PAX
 * sparse files 0.0, 0.1, 1.0) and V7. It is strict because whoever reads an archive otherwise than we do sees another
 * tree than we show: a wrong checksum, a malformed PAX record or number, a name with a NUL in it, no name, an entry cut short, a
 * link without a target, a sparse map that doesn't fit its data, an extended header without its entry are ERR_CORRUPT, with the
 * offset and what was wrong; so is what other readers disagree about (the head of tar.c lists it). Names are given as they
 * stand ("./a//b/", "/abs", "../x"): what they mean is the caller's.
 *
 * The end is a block of zeros, or the end of the bytes behind an entry's last one (some writers leave out the end, some the
 * padding, too); what comes behind a block of zeros is ignored, as tar(1) does.
 */
#ifndef REGFS_TAR_H
#define REGFS_TAR_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

enum tar_type {
	TAR_FILE = 1,	/* types 0, NUL, 7, GNU's S, and any that nobody we know names: POSIX has them regular files */
	TAR_LINK,	/* a hard link */
	TAR_SYMLINK,
	TAR_CHAR,
	TAR_BLOCK,
	TAR_DIRECTORY,	/* type 5; a file without data whose name ends in a slash; GNU's D */
	TAR_FIFO,
};

/* A run of a sparse file's bytes: `size` bytes at `offset` of the file are at `data` of the archive. Everything else is a hole. */
struct tar_extent {
	uint64_t offset, size, data;
};

struct tar_xattr {
	const char *name;	/* "user.mime", "security.capability": of SCHILY.xattr., or LIBARCHIVE.xattr. decoded */
	const void *value;	/* may hold NUL */
	size_t size;		/* not 0: an empty record is none, as POSIX has it */
};

/* Lives until the callback returns. */
struct tar_entry {
	enum tar_type type;
	const char *path;	/* as it stands; not empty */
	const char *link;	/* TAR_LINK, TAR_SYMLINK: the target; else "" */
	uint32_t mode;		/* the low 12 bits: permissions, set-uid, set-gid, sticky */
	uint32_t uid, gid;	/* beyond 2^32 - 2 is ERR_CORRUPT */
	int64_t size;		/* TAR_FILE: bytes of the file, holes included; else 0 */
	int64_t mtime;		/* nanoseconds since 1970, may be negative; clamped to what fits */
	uint32_t major, minor;	/* TAR_CHAR, TAR_BLOCK */
	uint64_t data;		/* offset of the file's bytes in the archive; of no meaning for a sparse file */
	bool sparse;
	const struct tar_extent *extents;	/* sparse: ordered, not empty, with holes between them, inside size */
	size_t extent_count;
	const struct tar_xattr *xattrs;		/* of different names: a later record replaces an earlier one, SCHILY. wins */
	size_t xattr_count;
};

struct tar_reader;

/* 0 to go on; a negative answer (with err set) ends the reading and becomes its result. */
typedef int tar_entry_fn(void *arg, const struct tar_entry *entry, struct err *err);

/* Each entry is given when its headers (and the map of a sparse one) have come, in the archive's order. */
int tar_reader_new(tar_entry_fn *fn, void *arg, struct tar_reader **out, struct err *err) MUST_CHECK;
void tar_reader_free(struct tar_reader *t);
DEFINE_CLEANUP(cleanup_tar_reader, struct tar_reader *, tar_reader_free)
#define auto_tar_reader CLEANUP(cleanup_tar_reader)

/* Bytes in any pieces. Memory is bounded by LIMIT_TAR_HEADERS (all extended headers of one entry; and what global ones
 * said), LIMIT_TAR_EXTENTS and LIMIT_TAR_XATTRS: more is ERR_CORRUPT. After a failure nothing may be fed. */
int tar_feed(struct tar_reader *t, const void *data, size_t len, struct err *err) MUST_CHECK;
/* No more bytes come: ERR_CORRUPT inside an entry. */
int tar_end(struct tar_reader *t, struct err *err) MUST_CHECK;

#endif
