/*
 * sink.h: where the decoders of whole layers put bytes: hands them on, and draws up the span table.
 *
 * span_scan() owns one; inflate.c and zstd.c say where a span begins and put bytes. Not for two threads at once.
 */
#ifndef REGFS_SINK_H
#define REGFS_SINK_H

#include "fs/image/span.h"

struct sink {
	const struct content *blob;
	span_bytes_fn *fn;
	void *arg;
	bool (*stop)(void *arg);	/* may be NULL */
	void *stop_arg;
	struct span_draft *draft;
	struct span_row row;		/* the open span */
	bool open;
	uint32_t crc;			/* of the open piece */
	uint32_t piece_len;
};

/* ERR_GONE_MEANWHILE if the caller no longer wants the bytes. Asked at each refill of input. */
int sink_check_stop(const struct sink *s, struct err *err) MUST_CHECK;
/* Bytes of the open span; the coding becomes NONE where that grows beyond LIMIT_SPAN. */
int sink_put(struct sink *s, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Ends the open span, if any, and opens the next at the present uncompressed offset. One that gets no bytes leaves no row. */
void sink_begin(struct sink *s, uint64_t in, uint8_t bits, uint8_t flags);
/* The window of the open span, compressed: at most UINT16_MAX bytes. */
void sink_set_window(struct sink *s, const void *window, size_t len);
/* Ends the last span. Out of memory shows here. */
int sink_end(struct sink *s, struct err *err) MUST_CHECK;
/* Bytes of the open span so far. */
static inline uint32_t sink_span_size(const struct sink *s)
{
	return s->open ? s->row.size : 0;
}

#endif
