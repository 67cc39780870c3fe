/*
 * zstd.h: zstd layers (RFC 8878), by libzstd. See fs/image/span.h for what it serves.
 */
#ifndef REGFS_ZSTD_H
#define REGFS_ZSTD_H

#include "fs/image/sink.h"

/* Decodes a zstd blob into the sink, and begins its spans there. ERR_UNSUPPORTED: wants a dictionary, or a
 * window beyond LIMIT_ZSTD_WINDOW_LOG. */
int zstd_scan(const struct content *blob, struct sink *sink, struct err *err) MUST_CHECK;
/* As inflate_span(). */
int zstd_span(const struct content *blob, const struct span_row *row, int64_t in_end, void *out, size_t want,
	      struct err *err) MUST_CHECK;

/* Makes one frame each of some bytes in memory. */
struct zstd_packer;
/* `most` bytes at a time, at a level of zstd's. */
int zstd_packer_new(size_t most, int level, struct zstd_packer **out, struct err *err) MUST_CHECK;
void zstd_packer_free(struct zstd_packer *p);
DEFINE_CLEANUP(cleanup_zstd_packer, struct zstd_packer *, zstd_packer_free)
#define auto_zstd_packer CLEANUP(cleanup_zstd_packer)
/* The frame is the packer's until the next call. */
int zstd_pack(struct zstd_packer *p, const void *data, size_t len, const void **frame, size_t *frame_len,
	      struct err *err) MUST_CHECK;
/* A frame of exactly `len` bytes, into `out`. ERR_CORRUPT, without a word on whose frame it is. */
int zstd_unpack(const void *frame, size_t frame_len, void *out, size_t len, struct err *err) MUST_CHECK;
/* What zstd_unpack() keeps, as inflate_free_spares(). */
void zstd_free_spares(void);

#endif
