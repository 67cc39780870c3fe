/*
 * inflate.h: gzip layers (RFC 1951, 1952), by ISA-L's igzip. See fs/image/span.h for what it serves.
 */
#ifndef REGFS_INFLATE_H
#define REGFS_INFLATE_H

#include "fs/image/sink.h"

/* gzip's CRC-32 of more bytes; begins with 0. */
uint32_t inflate_crc32(uint32_t crc, const void *data, size_t len);

/* Decodes a gzip blob into the sink, and begins its spans there. */
int inflate_scan(const struct content *blob, struct sink *sink, struct err *err) MUST_CHECK;
/*
 * Decodes `want` bytes, at least one, from where a row begins; `window` is its compressed window. Reads the blob up to `in_end`.
 * Returns 0 when all are there, ERR_CORRUPT, or what reading the blob gave. Verifies no checksum.
 */
int inflate_span(const struct content *blob, const struct span_row *row, const uint8_t *window, int64_t in_end,
		 void *out, size_t want, struct err *err) MUST_CHECK;
/* What inflate_span() keeps between two calls, in any thread; calls go on in others meanwhile. */
void inflate_free_spares(void);

#endif
