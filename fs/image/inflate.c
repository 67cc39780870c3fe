/*
 * inflate.c: gzip layers, by ISA-L's igzip.
 *
 * Where a span may begin inside a member: between two deflate blocks. igzip has no call that stops there, but
 * stops behind the last block, which it knows by the state's `bfinal`: setting that in the middle of a block
 * makes it the last one (run_to_block_end()), and the bits it has read ahead say where it stopped. Decoding goes
 * on from there as it will for whoever reads the span: with a fresh state, the bits and the window.
 *
 *	header ──> blocks ──────────────> trailer ──> header, padding or the end
 *	             ^  │ span is long enough, a block ends
 *	             └──┘ sink_begin()
 *
 * A window is stored sparse. Which of its bytes the span refers to is found by decoding the span's first
 * 32 KiB, further than which no reference reaches, with two made-up windows a and b that together spell
 * positions: a[i] differs from the true byte and has i's low 7 bits, b[i] the high ones. An output byte that
 * differs from the true output under a comes from the window, from the position that a's and b's bytes spell.
 * The other bytes are set to 0 and the whole becomes a zstd frame: smaller than deflated, in a quarter of the time.
 *
 * Invariants of a scan:
 * 1. buf is [HISTORY bytes before][up to OUTPUT bytes not handed to the sink yet]; `fill` is its end.
 * 2. Bytes of earlier members may stand in the history but are never in igzip's: member_out bounds its dictionary.
 */
#include "fs/base/base.h"
#include "fs/image/inflate.h"

#include "fs/base/spare.h"
#include "fs/image/zstd.h"

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#define HISTORY ((size_t)ISAL_DEF_HIST_SIZE)
#define OUTPUT ((size_t)256 * 1024)
#define INPUT_SCAN ((size_t)256 * 1024)
#define INPUT_SPAN ((size_t)64 * 1024)
#define INPUT_MARK ((size_t)16 * 1024)
#define WINDOW_LEVEL 6	/* zstd's */
/* Output bytes between two looks at whether a block has begun, once a place to stop is wanted. */
#define STOP_STEP ((size_t)4096)

_Static_assert(ISAL_DEF_HIST_SIZE == 32768, "libisal was built with a short history");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "span tables are little-endian");

/* igzip and its input: a stretch of the blob, read by position. */
struct reader {
	struct inflate_state state;
	const struct content *blob;
	int64_t pos;	/* the blob's offset behind what is in `input` */
	int64_t end;
	uint8_t *input;
	size_t cap, len;
	int bad;	/* igzip's error, met while it looked ahead; 0: none */
};

uint32_t inflate_crc32(uint32_t crc, const void *data, size_t len)
{
	return crc32_gzip_refl(crc, data, len);
}

/* ---- Input ---- */

static void reader_init(struct reader *r, const struct content *blob, int64_t end, uint8_t *input, size_t cap)
{
	r->blob = blob;
	r->end = end;
	r->input = input;
	r->cap = cap;
	r->len = 0;
	r->pos = 0;
	isal_inflate_init(&r->state);
}

static void reader_seek(struct reader *r, int64_t pos)
{
	int64_t ahead = r->pos - pos;

	/* Members may be tiny: what was read already isn't read again. */
	if (ahead >= 0 && ahead <= (int64_t)r->len) {
		r->state.next_in = r->input + (r->len - (size_t)ahead);
		r->state.avail_in = (uint32_t)ahead;
	} else {
		r->pos = pos;
		r->len = 0;
		r->state.avail_in = 0;
	}
	r->state.read_in = 0;
	r->state.read_in_length = 0;
}

/* The blob's offset of the next bit that igzip hasn't used. */
static int64_t reader_bits(const struct reader *r)
{
	return (r->pos - r->state.avail_in) * 8 - r->state.read_in_length;
}

static int64_t reader_offset(const struct reader *r)
{
	return reader_bits(r) / 8;
}

/* Reads more once all is used: 1, or 0 at the end. */
static int reader_refill(struct reader *r, struct err *err)
{
	size_t len = (size_t)MIN((int64_t)r->cap, r->end - r->pos);
	ssize_t n = r->pos < r->end ? content_read(r->blob, r->input, len, r->pos, err) : 0;

	if (n <= 0)
		return (int)n;
	r->pos += n;
	r->len = (size_t)n;
	r->state.next_in = r->input;
	r->state.avail_in = (uint32_t)n;
	return 1;
}

/* A byte outside of the deflated data; -1 at the end, or what reading gave. */
#define BYTE_END (-1)
static int reader_byte(struct reader *r, uint8_t *out, struct err *err)
{
	int ret;

	if (!r->state.avail_in) {
		ret = reader_refill(r, err);
		if (ret <= 0)
			return ret;
	}
	*out = *r->state.next_in++;
	r->state.avail_in--;
	return 1;
}

/* Makes igzip begin with a block at a bit, behind a window of which the last bytes are `window`. */
static void reader_begin(struct reader *r, const uint8_t *window, size_t window_len)
{
	isal_inflate_reset(&r->state);
	r->bad = 0;
	/* It borrows the dictionary for the call only. */
	if (window_len)
		isal_inflate_set_dict(&r->state, (uint8_t *)(uintptr_t)window, (uint32_t)window_len);
}

/* The same at a row's place. */
static int reader_begin_at(struct reader *r, int64_t in, unsigned bits, const uint8_t *window, size_t window_len,
			   struct err *err)
{
	uint8_t before;
	ssize_t n;

	reader_begin(r, window, window_len);
	reader_seek(r, in);
	if (!bits)
		return 0;
	n = content_read(r->blob, &before, 1, in - 1, err);
	if (n != 1)
		return n < 0 ? (int)n : err_set(err, ERR_CORRUPT, "a span begins behind the layer's end");
	r->state.read_in = before >> (8 - bits);
	r->state.read_in_length = (int32_t)bits;
	return 0;
}

static int damaged(struct err *err, const struct reader *r, const char *what)
{
	return err_set(err, ERR_CORRUPT,
		       "the gzip layer is damaged at byte %" PRId64 " of %" PRId64 ": %s",
		       reader_offset(r), content_size(r->blob), what);
}

static const char *inflate_words(int ret)
{
	switch (ret) {
	case ISAL_INVALID_BLOCK:
		return "no deflate block";
	case ISAL_INVALID_SYMBOL:
		return "a code that its block doesn't have";
	case ISAL_INVALID_LOOKBACK:
		return "a reference to before the beginning";
	default:
		return "not deflated data";
	}
}

/* Decodes into `out` until it is full or the last block has ended (*ended). */
static int reader_inflate(struct reader *r, uint8_t *out, size_t len, size_t *got, bool *ended, struct err *err)
{
	struct inflate_state *s = &r->state;
	int ret;

	*got = 0;
	*ended = false;
	if (r->bad)
		return damaged(err, r, inflate_words(r->bad));
	s->next_out = out;
	s->avail_out = (uint32_t)len;
	for (;;) {
		uint32_t in = s->avail_in, room = s->avail_out;

		ret = isal_inflate(s);
		*got = len - s->avail_out;
		*ended = s->block_state == ISAL_BLOCK_FINISH;
		/* Damage in what it looked ahead at, which nobody has asked for yet, is for the next call. */
		if (ret < 0)
			r->bad = ret;
		if (!s->avail_out || *ended)
			return 0;
		if (ret < 0)
			return damaged(err, r, inflate_words(ret));
		if (s->avail_in && s->avail_in == in && s->avail_out == room)
			return damaged(err, r, inflate_words(ISAL_INVALID_BLOCK));
		if (s->avail_in)
			continue;
		ret = reader_refill(r, err);
		if (ret < 0)
			return ret;
		if (ret == 0 && s->avail_out == room)
			return damaged(err, r, "the data ends in the middle");
	}
}

/* ---- A member's header and trailer (RFC 1952, 2.3) ---- */

enum { FLAG_HCRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16, FLAG_RESERVED = 0xe0 };

/* Bytes of a header: summed, for FLAG_HCRC. */
static int header_bytes(struct reader *r, uint32_t *crc, uint8_t *out, size_t len, struct err *err)
{
	for (size_t i = 0; i < len; i++) {
		int ret = reader_byte(r, &out[i], err);

		if (ret <= 0)
			return ret < 0 ? ret : damaged(err, r, "it ends in a member's header");
	}
	*crc = inflate_crc32(*crc, out, len);
	return 0;
}

static int header_text(struct reader *r, uint32_t *crc, struct err *err)
{
	uint8_t c;
	int ret;

	do
		ret = header_bytes(r, crc, &c, 1, err);
	while (ret == 0 && c);
	return ret;
}

static int header_extra(struct reader *r, uint32_t *crc, struct err *err)
{
	uint8_t piece[256];
	size_t len;
	int ret = header_bytes(r, crc, piece, 2, err);

	if (ret < 0)
		return ret;
	for (len = (size_t)(piece[0] | piece[1] << 8); len && ret == 0; len -= MIN(len, sizeof(piece)))
		ret = header_bytes(r, crc, piece, MIN(len, sizeof(piece)), err);
	return ret;
}

/* The rest of a header, behind its first two bytes. */
static int read_header(struct reader *r, const uint8_t magic[2], struct err *err)
{
	uint32_t crc = inflate_crc32(0, magic, 2), summed;
	uint8_t fixed[8], sum[2];
	int ret = header_bytes(r, &crc, fixed, sizeof(fixed), err);

	if (ret < 0)
		return ret;
	if (fixed[0] != 8 || fixed[1] & FLAG_RESERVED)
		return damaged(err, r, "a member's header that gzip doesn't have");
	if (fixed[1] & FLAG_EXTRA)
		ret = header_extra(r, &crc, err);
	if (ret == 0 && fixed[1] & FLAG_NAME)
		ret = header_text(r, &crc, err);
	if (ret == 0 && fixed[1] & FLAG_COMMENT)
		ret = header_text(r, &crc, err);
	summed = crc & 0xffff;
	if (ret == 0 && fixed[1] & FLAG_HCRC) {
		ret = header_bytes(r, &crc, sum, sizeof(sum), err);
		if (ret == 0 && summed != (uint32_t)(sum[0] | sum[1] << 8))
			return damaged(err, r, "the checksum of a member's header is wrong");
	}
	return ret;
}

/* Nothing but zeros until the end? */
static int read_padding(struct reader *r, struct sink *sink, struct err *err)
{
	int ret = 1;

	do {
		for (; r->state.avail_in; r->state.avail_in--)
			if (*r->state.next_in++)
				return damaged(err, r, "what follows its end is neither gzip nor padding");
		if (sink)
			ret = sink_check_stop(sink, err);
		if (ret >= 0)
			ret = reader_refill(r, err);
	} while (ret > 0);
	return ret;
}

/* What follows: 1 a member (its header is read), 0 the end of the blob, padding or not. */
static int next_member(struct reader *r, struct sink *sink, struct err *err)
{
	uint8_t magic[2] = { 0, 0 };
	int ret;

	for (size_t i = 0; i < sizeof(magic); i++) {
		ret = reader_byte(r, &magic[i], err);
		if (ret < 0)
			return ret;
		if (ret == 0 && magic[0])
			return damaged(err, r, "what follows its end is neither gzip nor padding");
		if (ret == 0)
			return 0;
	}
	if (!magic[0] && !magic[1])
		return read_padding(r, sink, err);
	if (magic[0] != 0x1f || magic[1] != 0x8b)
		return damaged(err, r, "what follows its end is neither gzip nor padding");
	ret = read_header(r, magic, err);
	return ret < 0 ? ret : 1;
}

/* Goes to the byte behind a member's last block, and reads what stands there. */
static int read_trailer(struct reader *r, uint32_t *crc, uint32_t *size, struct err *err)
{
	uint8_t t[8];

	reader_seek(r, (reader_bits(r) + 7) / 8);
	for (size_t i = 0; i < sizeof(t); i++) {
		int ret = reader_byte(r, &t[i], err);

		if (ret <= 0)
			return ret < 0 ? ret : damaged(err, r, "it ends in a member's trailer");
	}
	memcpy(crc, t, 4);
	memcpy(size, t + 4, 4);
	return 0;
}

/* ---- The whole blob ---- */

struct scan {
	struct reader r;
	struct reader mark;	/* decodes with made-up windows */
	struct sink *sink;
	uint8_t *buf;
	size_t fill;
	int64_t member_out;	/* bytes of the member so far */
	uint32_t member_crc;
	/* The open span's place inside a member, until its window is found: */
	bool wants_window;
	int64_t in;
	unsigned bits;
	struct zstd_packer *packer;
	uint8_t windows[4][HISTORY];	/* a, b, and what they decode to */
	uint8_t input_mark[INPUT_MARK];
	uint8_t input[INPUT_SCAN];
};

static void scan_free(struct scan *s)
{
	free(s->buf);
	zstd_packer_free(s->packer);
	free(s);
}
DEFINE_CLEANUP(cleanup_scan, struct scan *, scan_free)

static struct scan *scan_new(const struct content *blob, struct sink *sink)
{
	CLEANUP(cleanup_scan) struct scan *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->buf = calloc(1, HISTORY + OUTPUT);
	if (!s->buf || zstd_packer_new(HISTORY, WINDOW_LEVEL, &s->packer, NULL) < 0)
		return NULL;
	s->sink = sink;
	s->fill = HISTORY;
	reader_init(&s->r, blob, content_size(blob), s->input, sizeof(s->input));
	reader_init(&s->mark, blob, content_size(blob), s->input_mark, sizeof(s->input_mark));
	return steal(&s);
}

/* Decodes at most `want` bytes from the open span's beginning with a made-up window; as many as there are. */
static int decode_marked(struct scan *s, const uint8_t *window, uint8_t *out, size_t want, struct err *err)
{
	size_t got;
	bool ended;
	int ret = reader_begin_at(&s->mark, s->in, s->bits, window, HISTORY, err);

	if (ret == 0 && want)
		ret = reader_inflate(&s->mark, out, want, &got, &ended, err);
	return ret < 0 ? ret : (int)got;
}

/* The window in s->windows[0], with 0 for what the first `n` bytes behind it don't come from; 1, or 0 if none does. */
static int thin_window(struct scan *s, const uint8_t *window, const uint8_t *output, size_t n, struct err *err)
{
	uint8_t *a = s->windows[0], *b = s->windows[1], *out_a = s->windows[2], *out_b = s->windows[3];
	int got_a, got_b, used = 0;

	for (size_t i = 0; i < HISTORY; i++) {
		a[i] = (uint8_t)((i & 0x7f) | (~window[i] & 0x80));
		b[i] = (uint8_t)(i >> 7);
	}
	got_a = decode_marked(s, a, out_a, n, err);
	if (got_a < 0)
		return got_a;
	got_b = decode_marked(s, b, out_b, n, err);
	if (got_b < 0)
		return got_b;
	/* b is done with: it becomes the mask. */
	memset(b, 0, HISTORY);
	for (int i = 0; i < MIN(got_a, got_b); i++) {
		if (out_a[i] == output[i])
			continue;
		b[(size_t)(out_b[i] << 7) | (out_a[i] & 0x7f)] = 0xff;
		used = 1;
	}
	for (size_t i = 0; i < HISTORY; i++)
		a[i] = window[i] & b[i];
	return used;
}

/* Finds the open span's window; its first `n` bytes, or at least those that may refer to it, stand behind it in buf. */
static int keep_window(struct scan *s, size_t n, struct err *err)
{
	const uint8_t *thin = s->windows[0];
	const void *packed = NULL;
	size_t len = 0;
	int ret;

	s->wants_window = false;
	ret = thin_window(s, s->buf, s->buf + HISTORY, MIN(n, HISTORY), err);
	if (ret > 0)
		ret = zstd_pack(s->packer, thin, HISTORY, &packed, &len, err);
	if (ret == 0)
		sink_set_window(s->sink, packed, len);
	return ret;
}

/* Hands out what was decoded, and keeps the last of it as history. */
static int flush(struct scan *s, struct err *err)
{
	size_t n = s->fill - HISTORY;
	int ret = 0;

	if (s->wants_window && n && s->sink->open)
		ret = keep_window(s, n, err);
	if (ret == 0)
		ret = sink_put(s->sink, s->buf + HISTORY, n, err);
	memmove(s->buf, s->buf + n, HISTORY);
	s->fill = HISTORY;
	return ret < 0 ? ret : 0;
}

/* Bytes of the open span, those not handed out included. */
static size_t span_size(const struct scan *s)
{
	return sink_span_size(s->sink) + (s->fill - HISTORY);
}

/*
 * Decodes some bytes; with `stop` in small steps while igzip is between two blocks. 1: the last block has ended, or the one that was made so.
 */
static int decode_some(struct scan *s, size_t most, struct err *err)
{
	uint8_t *out = s->buf + s->fill;
	size_t got = 0;
	bool ended = false;
	int ret;

	ret = reader_inflate(&s->r, out, MIN(most, HISTORY + OUTPUT - s->fill), &got, &ended, err);
	if (ret < 0)
		return ret;
	s->member_crc = inflate_crc32(s->member_crc, out, got);
	s->member_out += (int64_t)got;
	s->fill += got;
	return ended;
}

/* Decodes until a block ends behind SPAN_TARGET bytes of the open span (0), or the member's last one does (1). */
static int run_to_block_end(struct scan *s, struct err *err)
{
	struct inflate_state *state = &s->r.state;
	bool forced = false;
	int ret;

	for (;;) {
		size_t most = OUTPUT, size = span_size(s);

		if (s->fill == HISTORY + OUTPUT) {
			ret = sink_check_stop(s->sink, err);
			ret = ret < 0 ? ret : flush(s, err);
			if (ret < 0)
				return ret;
		}
		if (s->sink->open && size < SPAN_TARGET) {
			most = SPAN_TARGET - size;
		} else if (s->sink->open && !forced) {
			bool inside = state->block_state == ISAL_BLOCK_TYPE0 || state->block_state == ISAL_BLOCK_CODED;

			forced = inside && !state->bfinal;
			if (forced)
				state->bfinal = 1;
			most = state->bfinal ? OUTPUT : STOP_STEP;
		}
		ret = decode_some(s, most, err);
		if (ret)
			return ret < 0 ? ret : !forced;
	}
}

/* Begins the next span where a block has ended, and goes on decoding there. */
static int cut_span(struct scan *s, struct err *err)
{
	int64_t bits = reader_bits(&s->r);
	uint64_t read_in = s->r.state.read_in;
	int32_t read_in_length = s->r.state.read_in_length;
	size_t history = (size_t)MIN(s->member_out, (int64_t)HISTORY);
	int ret = flush(s, err);

	if (ret < 0)
		return ret;
	s->in = (bits + 7) / 8;
	s->bits = (unsigned)(s->in * 8 - bits);
	s->wants_window = true;
	sink_begin(s->sink, (uint64_t)s->in, (uint8_t)s->bits, 0);
	reader_begin(&s->r, s->buf + HISTORY - history, history);
	s->r.state.read_in = read_in;
	s->r.state.read_in_length = read_in_length;
	return 0;
}

/* A member's blocks and trailer. */
static int scan_member(struct scan *s, struct err *err)
{
	uint32_t crc, size;
	int ret;

	s->member_out = 0;
	s->member_crc = 0;
	reader_begin(&s->r, NULL, 0);
	while ((ret = run_to_block_end(s, err)) == 0) {
		ret = cut_span(s, err);
		if (ret < 0)
			return ret;
	}
	if (ret > 0)
		ret = read_trailer(&s->r, &crc, &size, err);
	if (ret < 0)
		return ret;
	if (crc != s->member_crc)
		return damaged(err, &s->r, "gzip's checksum of the bytes before is wrong");
	if (size != (uint32_t)s->member_out)
		return damaged(err, &s->r, "gzip's count of the bytes before is wrong");
	return 0;
}

int inflate_scan(const struct content *blob, struct sink *sink, struct err *err)
{
	CLEANUP(cleanup_scan) struct scan *s = scan_new(blob, sink);
	int64_t start = 0;
	int ret;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "cannot read a gzip layer: out of memory");
	while ((ret = next_member(&s->r, sink, err)) > 0) {
		if (!start || span_size(s) >= SPAN_TARGET) {
			ret = flush(s, err);
			if (ret < 0)
				return ret;
			sink_begin(sink, (uint64_t)start, 0, SPAN_FLAG_MEMBER);
			s->wants_window = false;
		}
		ret = sink_check_stop(sink, err);
		ret = ret < 0 ? ret : scan_member(s, err);
		if (ret < 0)
			return ret;
		start = reader_offset(&s->r);
	}
	return ret < 0 ? ret : flush(s, err);
}

/* ---- One span ---- */

struct span_reader {
	struct reader r;
	uint8_t window[HISTORY];
	uint8_t input[INPUT_SPAN];
};

static struct spare span_readers;

static void cleanup_span_reader(struct span_reader **s)
{
	free(spare_put(&span_readers, *s));
}

void inflate_free_spares(void)
{
	struct span_reader *s;

	while ((s = spare_take(&span_readers)))
		free(s);
}

/* Goes on with the next member, which the span runs into. */
static int cross_members(struct reader *r, struct err *err)
{
	uint32_t crc, size;
	int ret = read_trailer(r, &crc, &size, err);

	if (ret == 0)
		ret = next_member(r, NULL, err);
	if (ret == 0)
		ret = damaged(err, r, "it ends too early");
	if (ret < 0)
		return ret;
	reader_begin(r, NULL, 0);
	return 0;
}

static int begin_span(struct span_reader *s, const struct span_row *row, const uint8_t *window, struct err *err)
{
	int ret;

	if (row->flags & SPAN_FLAG_MEMBER) {
		reader_seek(&s->r, (int64_t)row->in);
		ret = next_member(&s->r, NULL, err);
		if (ret == 0)
			ret = damaged(err, &s->r, "it ends too early");
		if (ret > 0)
			reader_begin(&s->r, NULL, 0);
		return ret < 0 ? ret : 0;
	}
	if (row->window_size) {
		struct err why = ERR_INIT;

		ret = zstd_unpack(window, row->window_size, s->window, HISTORY, &why);
		if (ret < 0)
			return err_set(err, why.reason, "cannot read the layer's index, window at %" PRIu32 ": %s; have it made again",
				       row->window, why.text);
	}
	return reader_begin_at(&s->r, (int64_t)row->in, row->bits, s->window, row->window_size ? HISTORY : 0, err);
}

int inflate_span(const struct content *blob, const struct span_row *row, const uint8_t *window, int64_t in_end,
		 void *out, size_t want, struct err *err)
{
	CLEANUP(cleanup_span_reader) struct span_reader *s = spare_take(&span_readers);
	uint8_t *to = out;
	size_t have = 0, got;
	bool ended;
	int ret;

	if (!s && !(s = malloc(sizeof(*s))))
		return err_set(err, ERR_NO_MEMORY, "cannot read a gzip layer: out of memory");
	reader_init(&s->r, blob, in_end, s->input, sizeof(s->input));
	ret = begin_span(s, row, window, err);
	while (ret == 0) {
		ret = reader_inflate(&s->r, to + have, want - have, &got, &ended, err);
		have += got;
		if (have == want || ret < 0)
			break;
		ret = cross_members(&s->r, err);
	}
	return ret;
}
