/*
 * tarmake.h: archives written down as text, for the tests of layers' and images' trees.
 *
 * Entries stand between ';'. Each: a letter, a name, what isn't usual:
 *
 *	f file	d directory	l symbolic link	h hard link	c b devices	p FIFO	s sparse file	g global PAX header
 *	m4755	u1:2	t-5 (nanoseconds)	v5,1 (device)	=bytes	->target	xuser.name=value	z9000000000 (s: its size)
 *
 * "%0a" is a byte anywhere but in keywords, so that names and values may hold anything. Usual are mode 644 (directories 755, links 777),
 * owner 0:0, time 0.
 */
#ifndef REGFS_TEST_TARMAKE_H
#define REGFS_TEST_TARMAKE_H

#include "tests/unit/tarball.h"

struct tarmake {
	char type;
	struct buf name, target, bytes, pax;
	unsigned mode, uid, gid, major, minor;
	int64_t mtime;
	uint64_t size;
};

/* A word's bytes, up to a space, ';' or `end`; returns what follows. */
static inline const char *tarmake_word(const char *p, char end, struct buf *out)
{
	buf_reset(out);
	for (; *p && *p != ' ' && *p != ';' && *p != end; p++) {
		char hex[3] = { 0 };

		if (*p != '%') {
			buf_addc(out, *p);
			continue;
		}
		memcpy(hex, p + 1, 2);
		buf_addc(out, (char)strtoul(hex, NULL, 16));
		p += 2;
	}
	return p;
}

static inline const char *tarmake_xattr(struct tarmake *e, const char *p)
{
	auto_buf struct buf name = BUF_INIT, value = BUF_INIT, key = BUF_INIT;

	p = tarmake_word(p, '=', &name);
	p = tarmake_word(p + (*p == '='), 0, &value);
	buf_addf(&key, "SCHILY.xattr.%s", name.data);
	tarball_record(&e->pax, key.data, value.data, value.len);
	return p;
}

static inline const char *tarmake_option(struct tarmake *e, const char *p)
{
	char *end = NULL;

	switch (*p) {
	case 'm':
		e->mode = (unsigned)strtoul(p + 1, &end, 8);
		return end;
	case 'u':
		e->uid = (unsigned)strtoul(p + 1, &end, 10);
		e->gid = (unsigned)strtoul(end + 1, &end, 10);
		return end;
	case 't':
		e->mtime = strtoll(p + 1, &end, 10);
		return end;
	case 'v':
		e->major = (unsigned)strtoul(p + 1, &end, 10);
		e->minor = (unsigned)strtoul(end + 1, &end, 10);
		return end;
	case 'z':
		e->size = strtoull(p + 1, &end, 10);
		return end;
	case 'x':
		return tarmake_xattr(e, p + 1);
	case '=':
		return tarmake_word(p + 1, 0, &e->bytes);
	case '-':
		return tarmake_word(p + 2, 0, &e->target);
	default:
		fprintf(stderr, "tarmake: what is \"%.40s\"?\n", p);
		abort();
	}
}

static inline void tarmake_time(struct tarmake *e)
{
	char text[40];
	int64_t seconds = e->mtime / 1000000000, rest = e->mtime % 1000000000;

	snprintf(text, sizeof(text), "%s%" PRId64 ".%09" PRId64, e->mtime < 0 ? "-" : "", seconds < 0 ? -seconds : seconds,
		 rest < 0 ? -rest : rest);
	tarball_record(&e->pax, "mtime", text, strlen(text));
}

static inline void tarmake_sparse(struct tarmake *e)
{
	char text[40];

	snprintf(text, sizeof(text), "%" PRIu64, e->size);
	tarball_record(&e->pax, "GNU.sparse.size", text, strlen(text));
	tarball_record(&e->pax, "GNU.sparse.numblocks", "1", 1);
	snprintf(text, sizeof(text), "%" PRIu64 ",%zu", e->size - e->bytes.len, e->bytes.len);
	tarball_record(&e->pax, "GNU.sparse.map", text, strlen(text));
}

static inline void tarmake_put(struct tarmake *e, struct buf *out)
{
	static const struct { char letter, type; unsigned mode; } types[] = {
		{ 'f', '0', 0644 }, { 's', '0', 0644 }, { 'h', '1', 0644 }, { 'l', '2', 0777 },
		{ 'c', '3', 0644 }, { 'b', '4', 0644 }, { 'd', '5', 0755 }, { 'p', '6', 0644 },
	};
	size_t i = 0;
	uint8_t *h;
	char text[24];

	if (e->type == 'g') {
		tarball_body(out, 'g', e->pax.data, e->pax.len);
		return;
	}
	while (types[i].letter != e->type)
		i++;
	if (e->mtime < 0 || e->mtime % 1000000000 || e->mtime / 1000000000 > INT64_C(077777777777))
		tarmake_time(e);
	if (e->name.len > 100)
		tarball_record(&e->pax, "path", e->name.data, e->name.len);
	if (e->target.len > 100)
		tarball_record(&e->pax, "linkpath", e->target.data, e->target.len);
	if (e->type == 's')
		tarmake_sparse(e);
	if (e->pax.len)
		tarball_body(out, 'x', e->pax.data, e->pax.len);
	h = tarball_header(out, types[i].type, e->name.data, e->bytes.len);
	tarball_set(h, 157, 100, e->target.data);
	snprintf(text, sizeof(text), "%07o", e->mode == UINT_MAX ? types[i].mode : e->mode);
	tarball_set(h, 100, 8, text);
	snprintf(text, sizeof(text), "%07o", e->uid);
	tarball_set(h, 108, 8, text);
	snprintf(text, sizeof(text), "%07o", e->gid);
	tarball_set(h, 116, 8, text);
	if (e->mtime >= 0) {
		snprintf(text, sizeof(text), "%011" PRIo64, e->mtime / 1000000000 & INT64_C(077777777777));
		tarball_set(h, 136, 12, text);
	}
	snprintf(text, sizeof(text), "%07o", e->major);
	tarball_set(h, 329, 8, text);
	snprintf(text, sizeof(text), "%07o", e->minor);
	tarball_set(h, 337, 8, text);
	if (e->bytes.len)
		tarball_data(out, e->bytes.data, e->bytes.len);
}

/* Without the end, so that more may follow. */
static inline void tarmake_add(struct buf *out, const char *text)
{
	while (*text) {
		struct tarmake e = { .type = *text, .name = BUF_INIT, .target = BUF_INIT, .bytes = BUF_INIT,
				     .pax = BUF_INIT, .mode = UINT_MAX };

		text = tarmake_word(text + 2, 0, &e.name);
		while (*text == ' ')
			text = tarmake_option(&e, text + 1);
		tarmake_put(&e, out);
		buf_release(&e.name);
		buf_release(&e.target);
		buf_release(&e.bytes);
		buf_release(&e.pax);
		text += *text == ';';
	}
}

static inline void tarmake(struct buf *out, const char *text)
{
	buf_reset(out);
	tarmake_add(out, text);
	tarball_end(out);
}

#endif
