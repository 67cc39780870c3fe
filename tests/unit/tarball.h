/*
 * tarball.h: archives made by hand, and entries as text, for the tests of the tar reader.
 */
#ifndef REGFS_TEST_TARBALL_H
#define REGFS_TEST_TARBALL_H

#include "fs/base/base.h"
#include "fs/base/buf.h"
#include "fs/image/tar.h"

/* ---- Writing ---- */

static inline void tarball_seal(uint8_t *h)
{
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A field's text, NUL-terminated if there is room; the header's sum is made good. */
static inline void tarball_set(uint8_t *h, size_t at, size_t n, const char *text)
{
	size_t len = MIN(strlen(text), n);

	memset(h + at, 0, n);
	memcpy(h + at, text, len);
	tarball_seal(h);
}

/* A header like GNU tar's and Go's of the ustar format; it stays where it is until the next one. */
static inline uint8_t *tarball_header(struct buf *b, char type, const char *name, uint64_t size)
{
	static const uint8_t zero[512];
	char octal[13];
	uint8_t *h;

	buf_add(b, zero, sizeof(zero));
	h = (uint8_t *)b->data + b->len - 512;
	tarball_set(h, 0, 100, name);
	tarball_set(h, 100, 8, "0000644");
	tarball_set(h, 108, 8, "0000000");
	tarball_set(h, 116, 8, "0000000");
	snprintf(octal, sizeof(octal), "%011" PRIo64, size);
	tarball_set(h, 124, 12, octal);
	tarball_set(h, 136, 12, "00000000000");
	h[156] = (uint8_t)type;
	memcpy(h + 257, "ustar\00000", 8);
	tarball_seal(h);
	return h;
}

static inline uint8_t *tarball_gnu(struct buf *b, char type, const char *name, uint64_t size)
{
	uint8_t *h = tarball_header(b, type, name, size);

	memcpy(h + 257, "ustar  ", 8);
	tarball_seal(h);
	return h;
}

static inline void tarball_data(struct buf *b, const void *data, size_t len)
{
	static const uint8_t zero[512];

	buf_add(b, data, len);
	buf_add(b, zero, -len & 511);
}

/* A header with a body. */
static inline void tarball_body(struct buf *b, char type, const void *data, size_t len)
{
	tarball_header(b, type, "././@LongLink", len);
	tarball_data(b, data, len);
}

static inline void tarball_record(struct buf *b, const char *key, const void *value, size_t size)
{
	size_t len = strlen(key) + size + 3, digits = 1;

	for (size_t ten = 10; len + digits >= ten; ten *= 10)
		digits++;
	buf_addf(b, "%zu %s=", len + digits, key);
	buf_add(b, value, size);
	buf_addc(b, '\n');
}

/* "key=value", until NULL. */
static inline void tarball_pax(struct buf *b, int type, ...)
{
	auto_buf struct buf body = BUF_INIT;
	const char *text;
	va_list ap;

	va_start(ap, type);
	while ((text = va_arg(ap, const char *))) {
		const char *value = strchr(text, '=') + 1;
		char key[512];

		snprintf(key, sizeof(key), "%.*s", (int)(value - text - 1), text);
		tarball_record(&body, key, value, strlen(value));
	}
	va_end(ap);
	tarball_body(b, (char)type, body.data, body.len);
}

static inline void tarball_end(struct buf *b)
{
	tarball_data(b, "", 1);
	tarball_data(b, "", 1);
}

/* ---- Reading ---- */

static inline void tarball_add_bytes(struct buf *out, const void *data, size_t n)
{
	for (const uint8_t *p = data, *end = p + n; p < end; p++)
		buf_addf(out, *p > ' ' && *p < 127 && *p != '\\' ? "%c" : "\\%02x", *p);
}

/*
 * A line of what isn't usual (mode 644, owner 0:0, time 0): "f a m755 u1:2 t-5 s3 @512", "h a -> b", "c a 1,2",
 * "f a s9 [1+2@512] user.x=y".
 */
static inline int tarball_entry_text(void *arg, const struct tar_entry *e, struct err *err)
{
	struct buf *out = arg;

	(void)err;
	buf_addf(out, "%c ", "?fhlcbdp"[e->type]);
	tarball_add_bytes(out, e->path, strlen(e->path));
	if (*e->link) {
		buf_adds(out, " -> ");
		tarball_add_bytes(out, e->link, strlen(e->link));
	}
	if (e->mode != 0644)
		buf_addf(out, " m%o", e->mode);
	if (e->uid || e->gid)
		buf_addf(out, " u%u:%u", e->uid, e->gid);
	if (e->mtime)
		buf_addf(out, " t%" PRId64, e->mtime);
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK || e->major || e->minor)
		buf_addf(out, " %u,%u", e->major, e->minor);
	if (e->size)
		buf_addf(out, " s%" PRId64, e->size);
	if (e->type == TAR_FILE && e->size && !e->sparse)
		buf_addf(out, " @%" PRIu64, e->data);
	if (e->sparse)
		buf_adds(out, " sparse");
	for (size_t i = 0; i < e->extent_count; i++)
		buf_addf(out, " [%" PRIu64 "+%" PRIu64 "@%" PRIu64 "]", e->extents[i].offset, e->extents[i].size,
			 e->extents[i].data);
	for (size_t i = 0; i < e->xattr_count; i++) {
		buf_addf(out, " %s=", e->xattrs[i].name);
		tarball_add_bytes(out, e->xattrs[i].value, e->xattrs[i].size);
	}
	buf_addc(out, '\n');
	return 0;
}

#endif
