/*
 * pack.c: writes tar archives.
 */
#include "fs/base/base.h"
#include "fs/image/pack.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define NAME_MAX_USTAR 100
#define PREFIX_MAX_USTAR 155
#define OCTAL7_MAX 07777777
#define OCTAL11_MAX INT64_C(077777777777)

/* POSIX.1-2017, pax, "ustar Interchange Format". */
struct ustar {
	char name[NAME_MAX_USTAR];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[NAME_MAX_USTAR];
	char magic[8];	/* and the version */
	char user[32], group[32];
	char major[8], minor[8];
	char prefix[PREFIX_MAX_USTAR];
	char rest[12];
};
_Static_assert(sizeof(struct ustar) == PACK_BLOCK, "on disk");

/* ---- Fields ---- */

static void octal(char *field, size_t size, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%0*" PRIo64, (int)size - 1, value);
	memcpy(field, text, size);
}

/* As much of a text as the field holds; a full field has no NUL. */
static void text_field(char *field, size_t size, const char *text, size_t len)
{
	memcpy(field, text, MIN(len, size));
}

/* Where a path is cut into prefix and name, both of which fit: the slash's offset; 0: the name holds it all; -1: it doesn't fit. */
static ssize_t cut(const char *path)
{
	size_t len = strlen(path);

	if (len <= NAME_MAX_USTAR)
		return 0;
	/* The first slash that leaves a short enough name; a directory's own stays with the name. */
	for (size_t i = len - MIN(len, (size_t)NAME_MAX_USTAR + 1); i < len - 1 && i <= PREFIX_MAX_USTAR; i++)
		if (i && path[i] == '/')
			return (ssize_t)i;
	return -1;
}

static void seal(struct buf *out, struct ustar *h)
{
	const unsigned char *bytes = (const unsigned char *)h;
	unsigned sum = 0;

	memcpy(h->magic, "ustar\00000", 8);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += bytes[i];
	snprintf(h->checksum, sizeof(h->checksum), "%06o", sum);
	buf_add(out, h, sizeof(*h));
}

/* ---- Records ---- */

static void add_record(struct buf *out, const char *key, const char *more, const void *value, size_t size)
{
	size_t rest = strlen(key) + strlen(more) + size + 3, digits = 0, len;

	/* Its length counts itself. */
	do {
		len = rest + digits;
		digits = (size_t)snprintf(NULL, 0, "%zu", len);
	} while (len != rest + digits);
	buf_addf(out, "%zu %s%s=", len, key, more);
	buf_add(out, value, size);
	buf_addc(out, '\n');
}

static void add_number(struct buf *out, const char *key, uint64_t value)
{
	char text[24];

	add_record(out, key, "", text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

/* Without the zeros at the end. */
static void add_time(struct buf *out, int64_t t)
{
	uint64_t size = t < 0 ? -(uint64_t)t : (uint64_t)t;
	char text[40];
	int len = snprintf(text, sizeof(text), "%s%" PRIu64 ".%09" PRIu64, t < 0 ? "-" : "", size / NS_PER_SECOND,
			   size % NS_PER_SECOND);

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	add_record(out, "mtime", "", text, (size_t)len);
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s >= 0x80)
			return false;
	return true;
}

static bool is_utf8(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s;) {
		size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 :
			   *s >= 0xf0 && *s < 0xf5 ? 4 : 0;

		if (!n || (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) || (*s == 0xf0 && s[1] < 0x90) ||
		    (*s == 0xf4 && s[1] > 0x8f))
			return false;
		for (size_t i = 1; i < n; i++)
			if ((s[i] & 0xc0) != 0x80)
				return false;
		s += n;
	}
	return true;
}

/* Whether a name wants a record: ustar's field doesn't hold it, or says it in no known character set. */
static bool wants_record(const char *name, bool fits)
{
	return !fits || (!is_ascii(name) && is_utf8(name));
}

static void add_names(struct buf *out, const struct tar_entry *e)
{
	bool path = wants_record(e->path, cut(e->path) >= 0) && !e->sparse;
	bool link = wants_record(e->link, strlen(e->link) <= NAME_MAX_USTAR);
	const char *path_key = e->sparse ? "GNU.sparse.name" : "path";

	if ((!is_utf8(e->path) && (path || e->sparse)) || (link && !is_utf8(e->link)))
		add_record(out, "hdrcharset", "", "BINARY", 6);
	if (path || e->sparse)
		add_record(out, path_key, "", e->path, strlen(e->path));
	if (link)
		add_record(out, "linkpath", "", e->link, strlen(e->link));
}

static void add_xattrs(struct buf *out, const struct tar_entry *e, int64_t *left_out)
{
	for (size_t i = 0; i < e->xattr_count; i++)
		if (strchr(e->xattrs[i].name, '='))
			++*left_out;
		else
			add_record(out, "SCHILY.xattr.", e->xattrs[i].name, e->xattrs[i].value, e->xattrs[i].size);
}

/* The map that stands before a sparse file's data: numbers, a line for each. */
static void add_map(struct buf *out, const struct tar_entry *e)
{
	const struct tar_extent *last = e->extent_count ? &e->extents[e->extent_count - 1] : NULL;
	bool hole = !last || last->offset + last->size < (uint64_t)e->size;
	size_t start = out->len;

	buf_addf(out, "%zu\n", e->extent_count + hole);
	for (size_t i = 0; i < e->extent_count; i++)
		buf_addf(out, "%" PRIu64 "\n%" PRIu64 "\n", e->extents[i].offset, e->extents[i].size);
	/* A run of no bytes behind a hole at the end: GNU tar makes the file no longer than its last run. */
	if (hole)
		buf_addf(out, "%" PRId64 "\n0\n", e->size);
	pack_padding(out, (int64_t)(out->len - start));
}

/* `size`: of the data in the archive. */
static void add_records(struct buf *out, const struct tar_entry *e, uint64_t size, int64_t *left_out)
{
	add_names(out, e);
	if (e->sparse) {
		add_number(out, "GNU.sparse.major", 1);
		add_number(out, "GNU.sparse.minor", 0);
		add_number(out, "GNU.sparse.realsize", (uint64_t)e->size);
	}
	if (size > (uint64_t)OCTAL11_MAX)
		add_number(out, "size", size);
	if (e->uid > OCTAL7_MAX)
		add_number(out, "uid", e->uid);
	if (e->gid > OCTAL7_MAX)
		add_number(out, "gid", e->gid);
	if (e->mtime < 0 || e->mtime % (int64_t)NS_PER_SECOND || e->mtime / (int64_t)NS_PER_SECOND > OCTAL11_MAX)
		add_time(out, e->mtime);
	add_xattrs(out, e, left_out);
}

/* ---- Headers ---- */

static void add_pax_header(struct buf *out, const char *path, const struct buf *records)
{
	struct ustar h = { .type = 'x' };
	size_t len = strlen(path);
	char name[NAME_MAX_USTAR + 1];

	/* For readers that don't know it: a name that does no harm. */
	while (len > 1 && path[len - 1] == '/')
		len--;
	while (len && memchr(path, '/', len))
		path++, len--;
	snprintf(name, sizeof(name), "PaxHeaders/%.*s", (int)MIN(len, (size_t)80), path);
	text_field(h.name, sizeof(h.name), name, strlen(name));
	octal(h.mode, sizeof(h.mode), 0644);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), records->len);
	octal(h.mtime, sizeof(h.mtime), 0);
	seal(out, &h);
	buf_add(out, records->data, records->len);
	pack_padding(out, (int64_t)records->len);
}

static void set_path(struct ustar *h, const char *path, bool sparse)
{
	ssize_t at = sparse ? -1 : cut(path);

	if (at > 0)
		text_field(h->prefix, sizeof(h->prefix), path, (size_t)at);
	if (sparse)
		path = "GNUSparseFile.0/file";
	else if (at > 0)
		path += at + 1;
	text_field(h->name, sizeof(h->name), path, strlen(path));
}

static void add_ustar(struct buf *out, const struct tar_entry *e, uint64_t size)
{
	static const char types[] = {
		[TAR_FILE] = '0', [TAR_LINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
		[TAR_BLOCK] = '4', [TAR_DIRECTORY] = '5', [TAR_FIFO] = '6',
	};
	struct ustar h = { .type = types[e->type] };
	int64_t seconds = e->mtime / (int64_t)NS_PER_SECOND;

	set_path(&h, e->path, e->sparse);
	text_field(h.link, sizeof(h.link), e->link, strlen(e->link));
	octal(h.mode, sizeof(h.mode), e->mode & 07777);
	octal(h.uid, sizeof(h.uid), MIN(e->uid, (uint32_t)OCTAL7_MAX));
	octal(h.gid, sizeof(h.gid), MIN(e->gid, (uint32_t)OCTAL7_MAX));
	octal(h.size, sizeof(h.size), MIN(size, (uint64_t)OCTAL11_MAX));
	octal(h.mtime, sizeof(h.mtime), (uint64_t)MAX((int64_t)0, MIN(seconds, OCTAL11_MAX)));
	octal(h.major, sizeof(h.major), e->major & OCTAL7_MAX);
	octal(h.minor, sizeof(h.minor), e->minor & OCTAL7_MAX);
	seal(out, &h);
}

int pack_header(struct buf *out, const struct tar_entry *e, int64_t *left_out, struct err *err)
{
	auto_buf struct buf records = BUF_INIT, map = BUF_INIT;
	uint64_t size = e->type == TAR_FILE ? (uint64_t)e->size : 0;

	if (e->sparse) {
		add_map(&map, e);
		size = map.len;
		for (size_t i = 0; i < e->extent_count; i++)
			size += e->extents[i].size;
	}
	add_records(&records, e, size, left_out);
	if (records.len)
		add_pax_header(out, e->path, &records);
	add_ustar(out, e, size);
	buf_add(out, map.data, map.len);
	out->failed = out->failed || records.failed || map.failed;
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

void pack_padding(struct buf *out, int64_t size)
{
	static const char zeros[PACK_BLOCK];

	buf_add(out, zeros, (size_t)(-(uint64_t)size % PACK_BLOCK));
}

void pack_end(struct buf *out)
{
	static const char zeros[2 * PACK_BLOCK];

	buf_add(out, zeros, sizeof(zeros));
}
