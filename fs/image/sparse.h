/*
 * sparse.h: the maps of sparse files in a tar, for tar.c.
 *
 * A map says which runs of the file's bytes are stored, one behind the other; the rest are holes. It comes as rows of
 * an offset and a size, in GNU's four ways. Empty rows (which mark a file's end) and those that continue the one
 * before need no extent of their own.
 */
#ifndef REGFS_SPARSE_H
#define REGFS_SPARSE_H

#include "fs/image/tar.h"

struct sparse_map {
	struct buf extents;	/* struct tar_extent; until sparse_map_end() `data` counts from the first stored byte */
	uint64_t rows;
	uint64_t end;		/* the file's offset behind the last row */
	uint64_t stored;	/* bytes that the rows have together */
};

void sparse_map_init(struct sparse_map *m);
void sparse_map_release(struct sparse_map *m);
void sparse_map_reset(struct sparse_map *m);	/* keeps the memory */

/* A row. `at` is the entry's offset in the archive, for the errors: ERR_CORRUPT if it isn't behind the one before, ends
 * beyond INT64_MAX, or is one more than LIMIT_TAR_EXTENTS. */
int sparse_map_add(struct sparse_map *m, uint64_t offset, uint64_t size, uint64_t at, struct err *err) MUST_CHECK;
/* "offset,size,offset,size": GNU.sparse.map. */
int sparse_map_add_text(struct sparse_map *m, const char *text, uint64_t at, struct err *err) MUST_CHECK;
/* No more rows come: ERR_CORRUPT unless they end inside `size` and have the `stored` bytes that stand at `data`. */
int sparse_map_end(struct sparse_map *m, uint64_t size, uint64_t stored, uint64_t data, uint64_t at,
		   struct err *err) MUST_CHECK;

/* The map before the data, version 1.0: decimal numbers, a line each: how many rows, then each's offset and size. */
struct sparse_lines {
	uint64_t number, offset, left;	/* left: rows to come */
	unsigned digits;
	bool counted, has_offset, done;
};
/* Bytes as they come; those behind the last row are passed over. */
int sparse_lines_feed(struct sparse_lines *s, struct sparse_map *m, const uint8_t *data, size_t len, uint64_t at,
		      struct err *err) MUST_CHECK;

#endif
