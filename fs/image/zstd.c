/*
 * zstd.c: zstd layers, by libzstd.
 *
 * A blob is frames one after another (RFC 8878, 3.1), among them skippable ones, which hold no data of the layer.
 * A span begins at a frame. libzstd can't begin inside one.
 */
#include "fs/base/base.h"
#include "fs/image/zstd.h"

#include "fs/base/limits.h"
#include "fs/base/spare.h"

#include <zstd.h>
#include <zstd_errors.h>

#define INPUT ((size_t)256 * 1024)
#define OUTPUT ((size_t)256 * 1024)
/* With all of a frame's input at hand, libzstd decodes into the caller's memory without a copy. */
#define INPUT_SPAN ((size_t)2 * 1024 * 1024)
#define INPUT_PART ((size_t)128 * 1024)	/* when only the first pieces of a span are wanted */
#define HEADER_MAX 18			/* magic, descriptor, window, dictionary, size */
#define MAGIC_SKIPPABLE_MASK 0xfffffff0U

struct reader {
	ZSTD_DCtx *ctx;
	const struct content *blob;
	int64_t pos;	/* the blob's offset behind what is in `in` */
	int64_t end;
	uint8_t *input;
	size_t cap;
	ZSTD_inBuffer in;
	bool known;	/* was decoded before: what it wants that we don't have is damage */
};

static void reader_release(struct reader *r)
{
	ZSTD_freeDCtx(r->ctx);
	free(r->input);
}

static int reader_init(struct reader *r, const struct content *blob, int64_t start, int64_t end, size_t cap,
		       struct err *err)
{
	*r = (struct reader){ .blob = blob, .pos = start, .end = end, .cap = cap };
	r->ctx = ZSTD_createDCtx();
	r->input = malloc(cap);
	if (!r->ctx || !r->input ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(r->ctx, ZSTD_d_windowLogMax, LIMIT_ZSTD_WINDOW_LOG)))
		return err_set(err, ERR_NO_MEMORY, "cannot read a zstd layer: out of memory");
	r->in.src = r->input;
	return 0;
}

static size_t reader_left(const struct reader *r)
{
	return r->in.size - r->in.pos;
}

static int64_t reader_offset(const struct reader *r)
{
	return r->pos - (int64_t)reader_left(r);
}

static const uint8_t *reader_next(const struct reader *r)
{
	return r->input + r->in.pos;
}

/* Moves what isn't used to the front and reads more behind it: 1, or 0 at the end. */
static int reader_refill(struct reader *r, struct err *err)
{
	size_t left = reader_left(r);
	size_t len = (size_t)MIN((int64_t)(r->cap - left), r->end - r->pos);
	ssize_t n;

	memmove(r->input, reader_next(r), left);
	r->in.pos = 0;
	r->in.size = left;
	n = r->pos < r->end ? content_read(r->blob, r->input + left, len, r->pos, err) : 0;
	if (n <= 0)
		return (int)n;
	r->pos += n;
	r->in.size += (size_t)n;
	return 1;
}

static int damaged(struct err *err, const struct reader *r, const char *what)
{
	return err_set(err, ERR_CORRUPT,
		       "the zstd layer is damaged at byte %" PRId64 " of %" PRId64 ": %s",
		       reader_offset(r), content_size(r->blob), what);
}

static int unsupported(struct err *err, const struct reader *r, const char *what)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "the zstd frame at byte %" PRId64 " %s: compress the layer without that",
		       reader_offset(r), what);
}

static int decode_failed(struct err *err, const struct reader *r, size_t ret)
{
	ZSTD_ErrorCode code = ZSTD_getErrorCode(ret);

	if (r->known && code != ZSTD_error_memory_allocation)
		return damaged(err, r, ZSTD_getErrorName(ret));
	switch (code) {
	case ZSTD_error_memory_allocation:
		return err_set(err, ERR_NO_MEMORY, "cannot read a zstd layer: out of memory");
	case ZSTD_error_frameParameter_windowTooLarge:
		return unsupported(err, r, "wants a window of more than 128 MiB (zstd --long)");
	case ZSTD_error_dictionary_wrong:
		return unsupported(err, r, "wants a dictionary");
	default:
		return damaged(err, r, ZSTD_getErrorName(ret));
	}
}

/* Decodes into `out` until it is full or a frame has ended (*ended). */
static int reader_decode(struct reader *r, uint8_t *out, size_t len, size_t *got, bool *ended, struct err *err)
{
	ZSTD_outBuffer to = { .dst = out, .size = len };

	*ended = false;
	for (;;) {
		size_t before = to.pos, used = r->in.pos;
		size_t ret = ZSTD_decompressStream(r->ctx, &to, &r->in);
		int more;

		*got = to.pos;
		if (ZSTD_isError(ret))
			return decode_failed(err, r, ret);
		*ended = ret == 0;
		if (*ended || to.pos == len)
			return 0;
		if (reader_left(r)) {
			if (to.pos == before && r->in.pos == used)
				return damaged(err, r, "a frame that doesn't go on");
			continue;
		}
		more = reader_refill(r, err);
		if (more < 0)
			return more;
		if (more == 0 && to.pos == before)
			return damaged(err, r, "the data ends in the middle of a frame");
	}
}

/* ---- The whole blob ---- */

static int read_padding(struct reader *r, const struct sink *sink, struct err *err)
{
	int ret;

	do {
		for (; reader_left(r); r->in.pos++)
			if (*reader_next(r))
				return damaged(err, r, "what follows its end is neither zstd nor padding");
		ret = sink_check_stop(sink, err);
		if (ret == 0)
			ret = reader_refill(r, err);
	} while (ret > 0);
	return ret;
}

enum { FRAME_NONE, FRAME_DATA, FRAME_SKIPPABLE };

/* What is next, and its uncompressed size if it says so (else -1). FRAME_NONE: the end, behind padding or not. */
static int next_frame(struct reader *r, const struct sink *sink, int64_t *size, struct err *err)
{
	unsigned long long content;
	uint32_t magic;
	int ret = 1;

	while (reader_left(r) < HEADER_MAX && ret > 0)
		ret = reader_refill(r, err);
	if (ret < 0 || !reader_left(r))
		return ret < 0 ? ret : FRAME_NONE;
	if (!*reader_next(r))
		return read_padding(r, sink, err);
	if (reader_left(r) < sizeof(magic))
		return damaged(err, r, "what follows its end is neither zstd nor padding");
	memcpy(&magic, reader_next(r), sizeof(magic));
	if ((magic & MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START)
		return FRAME_SKIPPABLE;
	if (magic != ZSTD_MAGICNUMBER)
		return damaged(err, r, "what follows its end is neither zstd nor padding");
	if (ZSTD_getDictID_fromFrame(reader_next(r), reader_left(r)))
		return unsupported(err, r, "wants a dictionary");
	content = ZSTD_getFrameContentSize(reader_next(r), reader_left(r));
	*size = content <= (unsigned long long)LIMIT_LAYER_UNPACKED ? (int64_t)content : -1;
	return FRAME_DATA;
}

/* Whether a frame of that size (-1: unknown) opens a span. */
static bool opens_span(const struct sink *sink, int64_t size)
{
	uint32_t before = sink_span_size(sink);

	return !sink->open || before >= SPAN_TARGET || (before && size > SPAN_TARGET - (int64_t)before);
}

static int scan_frame(struct reader *r, struct sink *sink, uint8_t *out, struct err *err)
{
	size_t got = 0;
	bool ended = false;
	int ret = 0;

	while (ret == 0 && !ended) {
		ret = sink_check_stop(sink, err);
		if (ret == 0)
			ret = reader_decode(r, out, OUTPUT, &got, &ended, err);
		if (ret == 0)
			ret = sink_put(sink, out, got, err);
	}
	return ret;
}

int zstd_scan(const struct content *blob, struct sink *sink, struct err *err)
{
	CLEANUP(reader_release) struct reader r = { .ctx = NULL };
	auto_free uint8_t *out = malloc(OUTPUT);
	int64_t size = -1;
	int ret = reader_init(&r, blob, 0, content_size(blob), INPUT, err);

	if (ret < 0)
		return ret;
	if (!out)
		return err_set(err, ERR_NO_MEMORY, "cannot read a zstd layer: out of memory");
	while ((ret = next_frame(&r, sink, &size, err)) > FRAME_NONE) {
		if (ret == FRAME_DATA && opens_span(sink, size))
			sink_begin(sink, (uint64_t)reader_offset(&r), 0, 0);
		ret = scan_frame(&r, sink, out, err);
		if (ret < 0)
			return ret;
	}
	return ret;
}

/* ---- One span ---- */

int zstd_span(const struct content *blob, const struct span_row *row, int64_t in_end, void *out, size_t want,
	      struct err *err)
{
	CLEANUP(reader_release) struct reader r = { .ctx = NULL };
	int64_t start = (int64_t)row->in;
	size_t cap = (size_t)MIN(in_end - start, (int64_t)(want < row->size ? INPUT_PART : INPUT_SPAN));
	size_t have = 0, got = 0;
	bool ended = false;
	int ret = reader_init(&r, blob, start, in_end, MAX(cap, (size_t)HEADER_MAX), err);

	r.known = true;
	if (ret == 0)
		ret = reader_refill(&r, err);
	if (ret == 0)
		return damaged(err, &r, "it ends too early");
	while (ret >= 0 && have < want) {
		ret = reader_decode(&r, (uint8_t *)out + have, want - have, &got, &ended, err);
		have += got;
		got = 0;
	}
	return ret < 0 ? ret : 0;
}

/* ---- Frames in memory ---- */

struct zstd_packer {
	ZSTD_CCtx *ctx;
	int level;
	size_t cap;
	uint8_t frame[];
};

int zstd_packer_new(size_t most, int level, struct zstd_packer **out, struct err *err)
{
	size_t cap = ZSTD_compressBound(most);
	struct zstd_packer *p = malloc(sizeof(*p) + cap);

	if (p)
		*p = (struct zstd_packer){ .ctx = ZSTD_createCCtx(), .level = level, .cap = cap };
	if (!p || !p->ctx) {
		free(p);
		return err_set(err, ERR_NO_MEMORY, "cannot compress: out of memory");
	}
	*out = p;
	return 0;
}

void zstd_packer_free(struct zstd_packer *p)
{
	if (!p)
		return;
	ZSTD_freeCCtx(p->ctx);
	free(p);
}

int zstd_pack(struct zstd_packer *p, const void *data, size_t len, const void **frame, size_t *frame_len,
	      struct err *err)
{
	size_t n = ZSTD_compressCCtx(p->ctx, p->frame, p->cap, data, len, p->level);

	if (ZSTD_isError(n))
		return err_set(err, ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? ERR_NO_MEMORY : ERR_INTERNAL,
			       "cannot compress %zu bytes: %s", len, ZSTD_getErrorName(n));
	*frame = p->frame;
	*frame_len = n;
	return 0;
}

static struct spare unpackers;

void zstd_free_spares(void)
{
	ZSTD_DCtx *unpacker;

	while ((unpacker = spare_take(&unpackers)))
		ZSTD_freeDCtx(unpacker);
}

int zstd_unpack(const void *frame, size_t frame_len, void *out, size_t len, struct err *err)
{
	ZSTD_DCtx *unpacker = spare_take(&unpackers);
	size_t n;

	if (!unpacker && !(unpacker = ZSTD_createDCtx()))
		return err_set(err, ERR_NO_MEMORY, "cannot decompress: out of memory");
	n = ZSTD_decompressDCtx(unpacker, out, len, frame, frame_len);
	ZSTD_freeDCtx(spare_put(&unpackers, unpacker));
	if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return err_set(err, ERR_NO_MEMORY, "cannot decompress: out of memory");
	if (ZSTD_isError(n))
		return err_set(err, ERR_CORRUPT, "%s", ZSTD_getErrorName(n));
	return n == len ? 0 : err_set(err, ERR_CORRUPT, "%zu bytes instead of %zu", n, len);
}
