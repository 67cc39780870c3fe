/*
 * sink.c: where the decoders of whole layers put bytes.
 *
 * Invariants:
 * 1. draft->coding is NONE: the draft's arrays are empty, and stay so.
 * 2. Otherwise the rows cover [0, row.out) and row the rest up to draft->size; the pieces are those of the
 *    rows, and the open span's full ones.
 */
#include "fs/base/base.h"
#include "fs/image/sink.h"

#include "fs/base/limits.h"
#include "fs/image/inflate.h"

int sink_check_stop(const struct sink *s, struct err *err)
{
	if (s->stop && s->stop(s->stop_arg))
		return err_set(err, ERR_GONE_MEANWHILE, "reading the layer was stopped: try again");
	return 0;
}

static void give_up_table(struct sink *s)
{
	struct span_draft *d = s->draft;

	d->coding = SPAN_NONE;
	buf_release(&d->rows);
	buf_release(&d->windows);
	buf_release(&d->pieces);
	s->open = false;
}

static int check_size(const struct sink *s, size_t len, struct err *err)
{
	int64_t size = s->draft->size + (int64_t)len, blob = content_size(s->blob);

	if (size > LIMIT_LAYER_UNPACKED)
		return err_set(err, ERR_CORRUPT,
			       "the layer has more than %" PRId64 " bytes uncompressed: push it in parts",
			       LIMIT_LAYER_UNPACKED);
	if (size > LIMIT_LAYER_RATIO_FROM && size / LIMIT_LAYER_RATIO > blob)
		return err_set(err, ERR_CORRUPT,
			       "%" PRId64 " bytes make more than %d times as many: "
			       "no layer is like that; push another one",
			       blob, LIMIT_LAYER_RATIO);
	return 0;
}

static void end_piece(struct sink *s)
{
	buf_add(&s->draft->pieces, &s->crc, sizeof(s->crc));
	s->crc = 0;
	s->piece_len = 0;
}

static void add_to_pieces(struct sink *s, const uint8_t *data, size_t len)
{
	while (len) {
		uint32_t n = (uint32_t)MIN(len, (size_t)(SPAN_PIECE - s->piece_len));

		s->crc = inflate_crc32(s->crc, data, n);
		s->piece_len += n;
		s->row.size += n;
		data += n;
		len -= n;
		if (s->piece_len == SPAN_PIECE)
			end_piece(s);
	}
}

int sink_put(struct sink *s, const void *data, size_t len, struct err *err)
{
	int ret = check_size(s, len, err);

	if (ret < 0 || !len)
		return ret;
	if (s->open && len > LIMIT_SPAN - s->row.size)
		give_up_table(s);
	if (s->open)
		add_to_pieces(s, data, len);
	s->draft->size += (int64_t)len;
	return s->fn(s->arg, data, len, err);
}

static void end_span(struct sink *s)
{
	if (!s->open || !s->row.size)
		return;
	if (s->piece_len)
		end_piece(s);
	buf_add(&s->draft->rows, &s->row, sizeof(s->row));
}

void sink_begin(struct sink *s, uint64_t in, uint8_t bits, uint8_t flags)
{
	if (s->draft->coding == SPAN_NONE)
		return;
	end_span(s);
	s->row = (struct span_row){
		.in = in,
		.out = (uint64_t)s->draft->size,
		.piece = (uint32_t)(s->draft->pieces.len / sizeof(uint32_t)),
		.bits = bits,
		.flags = flags,
	};
	s->open = true;
}

void sink_set_window(struct sink *s, const void *window, size_t len)
{
	struct buf *windows = &s->draft->windows;

	if (!s->open || !len)
		return;
	/* A row names at most 4 GiB of windows: those of some terabytes of layer. */
	if (windows->len > UINT32_MAX - len) {
		give_up_table(s);
		return;
	}
	s->row.window = (uint32_t)windows->len;
	s->row.window_size = (uint16_t)len;
	buf_add(windows, window, len);
}

int sink_end(struct sink *s, struct err *err)
{
	struct span_draft *d = s->draft;

	end_span(s);
	s->open = false;
	if (buf_error(&d->rows) || buf_error(&d->windows) || buf_error(&d->pieces))
		return err_set(err, ERR_NO_MEMORY, "cannot index a layer: out of memory");
	return 0;
}
