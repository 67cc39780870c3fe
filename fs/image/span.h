/*
 * span.h: random access to the uncompressed bytes of a layer.
 *
 * A layer stays as it was pushed: tar, tar+gzip or tar+zstd (OCI image-spec, layer.md). One pass over
 * it, span_scan(), hands out its uncompressed bytes in order and draws up a table of spans: places
 * from which decoding can begin. The table is derived data, kept by the caller (fs/image/layer.h) and
 * handed back as a struct span_table, whose memory is a file's and isn't trusted.
 *
 *	coding	a span is			decoding begins with
 *	PLAIN	SPAN_TARGET bytes		nothing: `in` is `out`
 *	GZIP	from one block's start to a	a bit position and the window before it, of which only the
 *		later one's, or a member	bytes that are ever referred to are kept
 *	ZSTD	one frame or several whole ones	nothing
 *	NONE	the coding has no places to	a decoded copy: span_copy() writes one whose coding is ZSTD
 *		begin (one zstd frame of a
 *		whole layer, one deflate block
 *		of more than LIMIT_SPAN bytes)
 *
 * Each span is divided into pieces of SPAN_PIECE uncompressed bytes, the last one shorter, with a CRC of
 * each: what is decoded is verified before it is given out, and decoding may stop behind the piece that is
 * wanted.
 *
 * Invariants of a table that span_table_check() accepts:
 * 1. Spans are ordered, start at 0, cover all `size` bytes without a gap, none is empty or longer than LIMIT_SPAN.
 * 2. Every window, piece and position lies inside its array and the blob; pieces are numbered in the spans' order.
 * 3. PLAIN has rows whose `in` is their `out`; NONE has no rows, pieces and windows.
 */
#ifndef REGFS_SPAN_H
#define REGFS_SPAN_H

#include "fs/base/buf.h"
#include "fs/base/content.h"

#define SPAN_TARGET (7 * 128 * 1024)	/* uncompressed bytes after which the next place to begin is taken: fewer, and windows take more */
#define SPAN_PIECE (128 * 1024)	/* uncompressed bytes with a CRC of their own */

enum span_coding {
	SPAN_PLAIN = 1,
	SPAN_GZIP,
	SPAN_ZSTD,
	SPAN_NONE,
};

/* As it stands on disk, little-endian. */
struct span_row {
	uint64_t in;		/* offset in the blob of the first byte to feed */
	uint64_t out;		/* offset of the span's first uncompressed byte */
	uint32_t window;	/* GZIP: offset of the compressed window among the windows */
	uint32_t piece;		/* number of its first piece's CRC */
	uint16_t window_size;	/* compressed, a zstd frame of 32 KiB; 0: begins without one */
	uint8_t bits;		/* GZIP: that many high bits of the byte before `in` come first, 0 to 7 */
	uint8_t flags;		/* SPAN_FLAG_MEMBER */
	uint32_t size;		/* uncompressed bytes */
};
#define SPAN_FLAG_MEMBER 1	/* GZIP: `in` is at a member's header, not inside its data */

struct span_table {
	enum span_coding coding;
	int64_t size;			/* uncompressed bytes in all */
	const struct span_row *rows;
	size_t count;
	const uint8_t *windows;
	size_t windows_size;
	const uint32_t *pieces;		/* CRC-32 (gzip's) of each */
	size_t piece_count;
	/* Asked before bytes of these arrays are first used: whether they are what was written. NULL: they are. */
	bool (*touch)(const void *arg, const void *at, size_t len);
	const void *touch_arg;
};

/* A table being drawn up; the arrays are struct span_row, bytes and uint32_t. Begins empty. */
struct span_draft {
	enum span_coding coding;
	int64_t size;
	struct buf rows, windows, pieces;
};
void span_draft_init(struct span_draft *d);
void span_draft_release(struct span_draft *d);
#define auto_span_draft CLEANUP(span_draft_release)
struct span_table span_draft_table(const struct span_draft *d);	/* borrows the draft's memory */

/* Uncompressed bytes in order; a negative answer (with err set) ends the scan and becomes its result. */
typedef int span_bytes_fn(void *arg, const void *data, size_t len, struct err *err);

/*
 * Decodes the whole blob once. What it is, its first bytes say, not its media type, as container engines do.
 * ERR_UNSUPPORTED: bzip2, xz, zstd frames that want a dictionary or a window beyond LIMIT_ZSTD_WINDOW_LOG.
 * ERR_CORRUPT, with a text that says where: damaged or truncated data, a wrong checksum of gzip's or zstd's own, bytes
 * behind the last member or frame that are neither one nor zero padding, more than LIMIT_LAYER_UNPACKED
 * bytes, or a ratio beyond LIMIT_LAYER_RATIO (once past LIMIT_LAYER_RATIO_FROM bytes). `stop`, if not NULL, is asked now and then:
 * true ends it with ERR_GONE_MEANWHILE. Memory: a few buffers of 256 KiB, zstd's window (at most 2^LIMIT_ZSTD_WINDOW_LOG bytes), and
 * the draft.
 */
int span_scan(const struct content *blob, span_bytes_fn *fn, void *arg, bool (*stop)(void *arg), void *stop_arg,
	      struct span_draft *out, struct err *err) MUST_CHECK;
/* For coding NONE: decodes the whole blob into `fd` (at its offset 0) as zstd frames of SPAN_TARGET bytes each, and draws up
 * their table, coding ZSTD. */
int span_copy(const struct content *blob, int fd, bool (*stop)(void *arg), void *stop_arg, struct span_draft *out,
	      struct err *err) MUST_CHECK;

/* Whether a table from a file keeps the invariants for a blob of that size: 0 or ERR_CORRUPT. */
int span_table_check(const struct span_table *t, int64_t blob_size, struct err *err) MUST_CHECK;
/* The span that holds an offset below t->size. */
size_t span_find(const struct span_table *t, int64_t offset);
/*
 * Decodes a span from its start until `want` of its bytes are in `out`, and verifies their pieces. `want` is rounded up to whole
 * pieces (at most row.size); `out` has room for that many, and no byte behind them is touched. Returns the bytes decoded, ERR_CORRUPT, or
 * what reading the blob gave. NONE has no spans: not for it. The table is one that span_table_check() accepted.
 */
ssize_t span_decode(const struct span_table *t, const struct content *blob, size_t span, size_t want, void *out,
		    struct err *err) MUST_CHECK;

/* ---- Decoded spans, kept in memory ---- */

/*
 * Shared by all layers; safe from several threads. A reader that wants a span which another is decoding waits for
 * it. The first small read of a span decodes as far as it must; a further one beyond that, all of it. Sequential reading
 * (reads of the same layer that begin about where one ended, for 256 KiB) has the next span decoded ahead, by a thread of the cache's.
 * Memory: `budget`, for each thread, the caller's and the cache's, that is in here at most one span, and 16 MiB for what comes next.
 */
struct span_cache;
/* At most `budget` bytes of decoded spans that nobody is reading; `threads` decode ahead (0: none). */
int span_cache_new(size_t budget, unsigned threads, struct span_cache **out, struct err *err) MUST_CHECK;
/* Its layers are gone before it. */
void span_cache_free(struct span_cache *c);

/* A layer in the cache: what is read, by what table. Opened once for a layer; reads through it may run at the same time. */
struct span_layer;
/* The table's memory and the blob are borrowed and outlive the span_layer. Checks nothing: see span_table_check(). NONE is ERR_UNSUPPORTED. */
int span_layer_new(struct span_cache *c, const struct span_table *t, const struct content *blob, struct span_layer **out,
		   struct err *err) MUST_CHECK;
/* Waits until what is being decoded ahead for it has ended, and drops its spans. */
void span_layer_free(struct span_layer *l);
DEFINE_CLEANUP(cleanup_span_layer, struct span_layer *, span_layer_free)
#define auto_span_layer CLEANUP(cleanup_span_layer)
/* Uncompressed bytes at an offset; fewer than len only at the layer's end. ERR_CORRUPT, or what reading the blob gave. */
ssize_t span_read(struct span_layer *l, void *data, size_t len, int64_t offset, struct err *err) MUST_CHECK;

struct span_stats {
	int64_t decoded;	/* spans decoded so far, wholly or in part, with success or without */
	int64_t decoded_bytes;
	int64_t hits;		/* reads answered from memory */
	int64_t held_bytes;	/* of memory for decoded spans that are kept, now */
};
void span_cache_stats(struct span_cache *c, struct span_stats *out);

#endif
