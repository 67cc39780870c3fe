/*
 * span.c: random access to the uncompressed bytes of a layer: what a blob is, the whole of it, one span of it.
 *
 * What a blob is, its first bytes say:
 *
 *	1f 8b 08			gzip (RFC 1952; 08: deflate, there is no other)
 *	28 b5 2f fd, 5x 2a 4d 18	zstd, a frame or a skippable one (RFC 8878)
 *	"BZh", fd "7zXZ"		bzip2, xz: refused
 *	anything else, or nothing	plain tar
 *
 * Invariant: nothing of a table is used that span_table_check() didn't accept: span_decode() checks no row again.
 */
#include "fs/base/base.h"
#include "fs/image/span.h"

#include "fs/base/limits.h"
#include "fs/image/inflate.h"
#include "fs/image/sink.h"
#include "fs/image/zstd.h"

#define PLAIN_PIECE ((size_t)256 * 1024)
#define LEVEL_COPY 1	/* zstd's: a copy is made while somebody waits, once */

_Static_assert(sizeof(struct span_row) == 32, "struct span_row is on disk");
_Static_assert(offsetof(struct span_row, size) == 28, "struct span_row is on disk");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "span tables are little-endian");
_Static_assert(LIMIT_LAYER_UNPACKED / SPAN_PIECE <= UINT32_MAX, "a row numbers its pieces in 32 bits");
_Static_assert(LIMIT_SPAN >= SPAN_TARGET && SPAN_TARGET % SPAN_PIECE == 0, "spans are of whole pieces");

/* ---- Tables ---- */

void span_draft_init(struct span_draft *d)
{
	*d = (struct span_draft){ .coding = SPAN_PLAIN, .rows = BUF_INIT, .windows = BUF_INIT, .pieces = BUF_INIT };
}

void span_draft_release(struct span_draft *d)
{
	buf_release(&d->rows);
	buf_release(&d->windows);
	buf_release(&d->pieces);
}

struct span_table span_draft_table(const struct span_draft *d)
{
	return (struct span_table){
		.coding = d->coding,
		.size = d->size,
		.rows = (const void *)d->rows.data,
		.count = d->rows.len / sizeof(struct span_row),
		.windows = (const void *)d->windows.data,
		.windows_size = d->windows.len,
		.pieces = (const void *)d->pieces.data,
		.piece_count = d->pieces.len / sizeof(uint32_t),
	};
}

static size_t pieces_of(const struct span_row *row)
{
	return row->size / SPAN_PIECE + (row->size % SPAN_PIECE != 0);
}

/* NULL, or what is wrong with a row behind `out` uncompressed bytes, `pieces` pieces and `in` bytes of the blob. */
static const char *row_fault(const struct span_table *t, const struct span_row *row, uint64_t out, size_t pieces)
{
	bool inside = !(row->flags & SPAN_FLAG_MEMBER);

	if (row->out != out)
		return "leaves a gap";
	if (!row->size || row->size > LIMIT_SPAN)
		return "has an impossible size";
	if (row->piece != pieces || pieces_of(row) > t->piece_count - pieces)
		return "has others' checksums";
	if (row->window > t->windows_size || row->window_size > t->windows_size - row->window)
		return "has a window outside of the windows";
	if (row->bits > 7 || row->flags & ~SPAN_FLAG_MEMBER || (row->bits && !row->in))
		return "begins at an impossible bit";
	if ((row->bits || row->window_size) && (!inside || t->coding != SPAN_GZIP))
		return "has a window that it can't have";
	if (!inside && t->coding != SPAN_GZIP)
		return "has a flag that it can't have";
	if (t->coding == SPAN_PLAIN && row->in != out)
		return "begins elsewhere";
	return NULL;
}

static int table_fault(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "the index of the layer is damaged: %s; have it made again", what);
}

static bool touch(const struct span_table *t, const void *at, size_t len)
{
	return !t->touch || t->touch(t->touch_arg, at, len);
}

static int check_rows(const struct span_table *t, int64_t blob_size, struct err *err)
{
	uint64_t out = 0, least_in = 0;
	size_t pieces = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct span_row *row = &t->rows[i];
		const char *fault = row_fault(t, row, out, pieces);

		if (!fault && (row->in < least_in || row->in >= (uint64_t)blob_size))
			fault = "begins outside of the layer or before the one before";
		if (fault)
			return err_set(err, ERR_CORRUPT,
				       "the index of the layer is damaged: span %zu %s; have it made again", i, fault);
		out += row->size;
		pieces += pieces_of(row);
		least_in = row->in + 1;
	}
	if (out != (uint64_t)t->size || pieces != t->piece_count)
		return table_fault(err, "its spans don't make up the layer");
	return 0;
}

int span_table_check(const struct span_table *t, int64_t blob_size, struct err *err)
{
	if (t->size < 0 || t->size > LIMIT_LAYER_UNPACKED)
		return table_fault(err, "its size is impossible");
	if ((t->count && (uintptr_t)t->rows % _Alignof(struct span_row)) ||
	    (t->piece_count && (uintptr_t)t->pieces % _Alignof(uint32_t)))
		return table_fault(err, "its arrays are out of place");
	if (!touch(t, t->rows, t->count * sizeof(*t->rows)) ||
	    !touch(t, t->pieces, t->piece_count * sizeof(*t->pieces)))
		return table_fault(err, "a checksum is wrong");
	switch (t->coding) {
	case SPAN_PLAIN:
		if (t->size != blob_size)
			return table_fault(err, "its size isn't the layer's");
		return check_rows(t, blob_size, err);
	case SPAN_GZIP:
	case SPAN_ZSTD:
		return check_rows(t, blob_size, err);
	case SPAN_NONE:
		break;
	default:
		return table_fault(err, "its coding is unknown");
	}
	if (t->count || t->piece_count || t->windows_size)
		return table_fault(err, "it has spans where there are none");
	return 0;
}

size_t span_find(const struct span_table *t, int64_t offset)
{
	size_t low = 0, high = t->count;

	/* rows[low].out <= offset < rows[high].out */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->rows[middle].out <= (uint64_t)offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* ---- The whole blob ---- */

struct magic {
	const char *bytes;
	uint8_t len;
	uint8_t mask;	/* of the first byte */
	enum span_coding coding;
	const char *refused;
};

static const struct magic magics[] = {
	{ "\x1f\x8b\x08", 3, 0xff, SPAN_GZIP, NULL },
	{ "\x28\xb5\x2f\xfd", 4, 0xff, SPAN_ZSTD, NULL },
	{ "\x50\x2a\x4d\x18", 4, 0xf0, SPAN_ZSTD, NULL },
	{ "\xfd" "7zXZ\0", 6, 0xff, SPAN_NONE, "xz" },
};

/* Also a tar may begin with a file whose name begins with BZh: bzip2's first block, or its end, tells them apart. */
static bool is_bzip2(const uint8_t *data, size_t len)
{
	return len >= 10 && !memcmp(data, "BZh", 3) && data[3] >= '1' && data[3] <= '9' &&
	       (!memcmp(data + 4, "\x31\x41\x59\x26\x53\x59", 6) || !memcmp(data + 4, "\x17\x72\x45\x38\x50\x90", 6));
}

static int refuse(struct err *err, const char *what)
{
	return err_set(err, ERR_UNSUPPORTED,
		       "the layer is compressed by %s, which image layers are not (gzip and zstd are): "
		       "compress it anew",
		       what);
}

static int sniff(const struct content *blob, enum span_coding *out, struct err *err)
{
	uint8_t first[10];
	ssize_t len = content_read(blob, first, sizeof(first), 0, err);

	if (len < 0)
		return (int)len;
	*out = SPAN_PLAIN;
	if (is_bzip2(first, (size_t)len))
		return refuse(err, "bzip2");
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];

		if (len < m->len || (first[0] & m->mask) != (uint8_t)m->bytes[0] ||
		    memcmp(first + 1, m->bytes + 1, m->len - 1U))
			continue;
		*out = m->coding;
		return m->refused ? refuse(err, m->refused) : 0;
	}
	return 0;
}

static int scan_plain(const struct content *blob, struct sink *sink, struct err *err)
{
	auto_free uint8_t *data = malloc(PLAIN_PIECE);
	int64_t offset = 0;
	ssize_t n = 0;
	int ret = 0;

	if (!data)
		return err_set(err, ERR_NO_MEMORY, "cannot read a layer: out of memory");
	while (ret == 0 && (n = content_read(blob, data, PLAIN_PIECE, offset, err)) > 0) {
		if (!sink->open || sink_span_size(sink) + PLAIN_PIECE > SPAN_TARGET)
			sink_begin(sink, (uint64_t)offset, 0, 0);
		ret = sink_check_stop(sink, err);
		if (ret == 0)
			ret = sink_put(sink, data, (size_t)n, err);
		offset += n;
	}
	return ret < 0 ? ret : (int)n;
}

int span_scan(const struct content *blob, span_bytes_fn *fn, void *arg, bool (*stop)(void *arg), void *stop_arg,
	      struct span_draft *out, struct err *err)
{
	struct sink sink = { .blob = blob, .fn = fn, .arg = arg, .stop = stop, .stop_arg = stop_arg, .draft = out };
	int ret = sniff(blob, &out->coding, err);

	if (ret < 0)
		return ret;
	if (out->coding == SPAN_GZIP)
		ret = inflate_scan(blob, &sink, err);
	else if (out->coding == SPAN_ZSTD)
		ret = zstd_scan(blob, &sink, err);
	else
		ret = scan_plain(blob, &sink, err);
	return ret < 0 ? ret : sink_end(&sink, err);
}

/* ---- A decoded copy ---- */

struct copier {
	int fd;
	int64_t end;			/* of what was written */
	struct sink sink;
	struct zstd_packer *packer;
	uint8_t *data;
	size_t len;
};

static int write_all(int fd, const uint8_t *data, size_t len, int64_t offset, struct err *err)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "cannot write the copy of a layer");
		data += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

static int copy_frame(struct copier *c, struct err *err)
{
	const void *frame = NULL;
	size_t frame_len = 0;
	int ret;

	if (!c->len)
		return 0;
	ret = zstd_pack(c->packer, c->data, c->len, &frame, &frame_len, err);
	if (ret == 0)
		ret = write_all(c->fd, frame, frame_len, c->end, err);
	if (ret < 0)
		return ret;
	sink_begin(&c->sink, (uint64_t)c->end, 0, 0);
	ret = sink_put(&c->sink, c->data, c->len, err);
	c->end += (int64_t)frame_len;
	c->len = 0;
	return ret;
}

static int copy_bytes(void *arg, const void *data, size_t len, struct err *err)
{
	struct copier *c = arg;
	const uint8_t *from = data;

	while (len) {
		size_t n = MIN(len, SPAN_TARGET - c->len);

		memcpy(c->data + c->len, from, n);
		c->len += n;
		from += n;
		len -= n;
		if (c->len == SPAN_TARGET) {
			int ret = copy_frame(c, err);

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

static int drop_bytes(void *arg UNUSED, const void *data UNUSED, size_t len UNUSED, struct err *err UNUSED)
{
	return 0;
}

int span_copy(const struct content *blob, int fd, bool (*stop)(void *arg), void *stop_arg, struct span_draft *out,
	      struct err *err)
{
	auto_free uint8_t *data = malloc(SPAN_TARGET);
	auto_zstd_packer struct zstd_packer *packer = NULL;
	auto_span_draft struct span_draft scanned;
	struct copier c = {
		.fd = fd,
		.data = data,
		.sink = { .blob = blob, .fn = drop_bytes, .draft = out },
	};
	int ret;

	span_draft_init(&scanned);
	if (!data)
		return err_set(err, ERR_NO_MEMORY, "cannot copy a layer: out of memory");
	ret = zstd_packer_new(SPAN_TARGET, LEVEL_COPY, &packer, err);
	if (ret < 0)
		return ret;
	c.packer = packer;
	out->coding = SPAN_ZSTD;
	ret = span_scan(blob, copy_bytes, &c, stop, stop_arg, &scanned, err);
	if (ret == 0)
		ret = copy_frame(&c, err);
	return ret < 0 ? ret : sink_end(&c.sink, err);
}

/* ---- One span ---- */

static int check_pieces(const struct span_table *t, size_t span, const uint8_t *data, size_t len, struct err *err)
{
	const struct span_row *row = &t->rows[span];

	for (size_t at = 0; at < len; at += SPAN_PIECE) {
		size_t n = MIN(len - at, (size_t)SPAN_PIECE);

		if (inflate_crc32(0, data + at, n) != t->pieces[row->piece + at / SPAN_PIECE])
			return err_set(err, ERR_CORRUPT,
				       "the layer, or its index, is damaged: the checksum of %zu bytes at %" PRIu64
				       " uncompressed (in what is compressed at byte %" PRIu64
				       ") is wrong",
				       n, row->out + at, row->in);
	}
	return 0;
}

static int read_plain(const struct content *blob, const struct span_row *row, void *out, size_t want, struct err *err)
{
	ssize_t n = content_read(blob, out, want, (int64_t)row->in, err);

	if (n >= 0 && (size_t)n < want)
		return err_set(err, ERR_CORRUPT, "the layer ends at byte %" PRIu64, row->in + (uint64_t)n);
	return n < 0 ? (int)n : 0;
}

ssize_t span_decode(const struct span_table *t, const struct content *blob, size_t span, size_t want, void *out,
		    struct err *err)
{
	const struct span_row *row = &t->rows[span];
	int64_t in_end = span + 1 < t->count ? (int64_t)t->rows[span + 1].in : content_size(blob);
	int ret;

	want = MIN((want + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE, (size_t)row->size);
	if (!want)
		return 0;
	if (!touch(t, t->windows + row->window, row->window_size))
		return table_fault(err, "a checksum is wrong");
	if (t->coding == SPAN_GZIP)
		ret = inflate_span(blob, row, t->windows + row->window, in_end, out, want, err);
	else if (t->coding == SPAN_ZSTD)
		ret = zstd_span(blob, row, in_end, out, want, err);
	else if (t->coding == SPAN_PLAIN)
		ret = read_plain(blob, row, out, want, err);
	else
		ret = err_set(err, ERR_UNSUPPORTED, "a layer of that coding has no spans: read it where it lies");
	if (ret == 0)
		ret = check_pieces(t, span, out, want, err);
	return ret < 0 ? ret : (ssize_t)want;
}
