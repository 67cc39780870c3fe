/*
 * fuzz_span.c: eight bytes that say how to lie, and a layer.
 *
 * A layer that can be scanned has a sound table, by which every span decodes to what the scan gave; by a table that
 * lies, to that or to an error.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/span.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTROL 8
#define MOST (48 * 1024 * 1024)

static int collect(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	if (b->len + len > MOST)
		return err_set(err, ERR_NO_SPACE, "enough");
	buf_add(b, data, len);
	return 0;
}

/* Decodes every span as far as `want`: right, or, where that may be, an error. */
static void decode(const struct span_table *t, const struct content *blob, const struct buf *bytes, size_t want, bool may_fail)
{
	for (size_t i = 0; i < t->count; i++) {
		const struct span_row *row = &t->rows[i];
		size_t pieces = (want + SPAN_PIECE - 1) / SPAN_PIECE;
		size_t whole = MIN(pieces * SPAN_PIECE, (size_t)row->size);
		/* Exactly as much, so that the sanitizer sees a byte written behind it. */
		auto_free uint8_t *out = malloc(whole);
		struct err err = ERR_INIT;
		ssize_t n;

		if (!out)
			return;
		n = span_decode(t, blob, i, want, out, &err);
		if (n < 0) {
			assert(may_fail && err.reason == ERR_CORRUPT);
			continue;
		}
		assert((size_t)n == whole && row->out + whole <= bytes->len);
		assert(!memcmp(out, bytes->data + row->out, whole));
	}
}

static void lie(const struct span_table *t, const struct content *blob, const struct buf *bytes, const uint8_t control[CONTROL])
{
	struct span_table lying = *t;
	auto_free struct span_row *rows = malloc(t->count * sizeof(*rows));
	auto_free uint8_t *windows = malloc(t->windows_size + 1);
	auto_free uint32_t *pieces = malloc(t->piece_count * sizeof(*pieces));
	size_t sizes[] = { t->count * sizeof(*rows), t->windows_size, t->piece_count * sizeof(*pieces) };
	uint8_t *arrays[] = { (uint8_t *)rows, windows, (uint8_t *)pieces };
	size_t which = control[0] % 3, at = (size_t)(control[1] | control[2] << 8);

	if (!rows || !windows || !pieces || !sizes[which])
		return;
	memcpy(rows, t->rows, sizes[0]);
	memcpy(windows, t->windows, sizes[1]);
	memcpy(pieces, t->pieces, sizes[2]);
	for (size_t i = 0; i < (control[0] >> 4) % 4 + 1U; i++)
		arrays[which][(at + i) % sizes[which]] ^= control[3 + i];
	lying.rows = rows;
	lying.windows = windows;
	lying.pieces = pieces;
	if (control[0] & 8)
		lying.size ^= control[7];
	if (span_table_check(&lying, content_size(blob), NULL) == 0)
		decode(&lying, blob, bytes, LIMIT_SPAN, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_span_draft struct span_draft d;
	auto_content struct content *blob = NULL;
	auto_buf struct buf bytes = BUF_INIT;
	struct buf copy = BUF_INIT;
	struct err err = ERR_INIT;
	struct span_table t;

	span_draft_init(&d);
	if (size < CONTROL)
		return 0;
	buf_add(&copy, data + CONTROL, size - CONTROL);
	if (content_from_buf(&copy, &blob, NULL) < 0)
		return 0;
	if (span_scan(blob, collect, &bytes, NULL, NULL, &d, &err) < 0) {
		assert(err.reason == ERR_CORRUPT || err.reason == ERR_UNSUPPORTED || err.reason == ERR_NO_SPACE);
		return 0;
	}
	t = span_draft_table(&d);
	assert(t.size == (int64_t)bytes.len);
	assert(span_table_check(&t, content_size(blob), NULL) == 0);
	if (bytes.len)
		assert(t.count == 0 || span_find(&t, t.size - 1) == t.count - 1);
	decode(&t, blob, &bytes, LIMIT_SPAN, false);
	decode(&t, blob, &bytes, (size_t)data[7] * 4096 + 1, false);
	if (t.count)
		lie(&t, blob, &bytes, data);
	return 0;
}
