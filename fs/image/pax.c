/*
 * pax.c: records are parsed where they stand.
 *
 * A record's newline becomes the NUL behind its value, its '=' the NUL behind its keyword; LIBARCHIVE.xattr. names and
 * values, which only get shorter, are decoded in their place. So the records of a header need the memory of its text
 * and little more. Global headers are rare: their records are copied.
 *
 * Invariants:
 *  1. Every value and name points into p->text and is followed by a NUL.
 *  2. No two of p->xattrs have the same name.
 */
#include "fs/base/base.h"
#include "fs/image/pax.h"
#include "fs/base/limits.h"

#define SCHILY "SCHILY.xattr."
#define LIBARCHIVE "LIBARCHIVE.xattr."
#define SPARSE_OFFSET "GNU.sparse.offset"
#define SPARSE_NUMBYTES "GNU.sparse.numbytes"

static const struct {
	const char *name;
	size_t size;
} keys[PAX_KEY_COUNT] = {
#define KEY(text) { text, sizeof(text) - 1 }
	[PAX_PATH] = KEY("path"),
	[PAX_LINKPATH] = KEY("linkpath"),
	[PAX_SIZE] = KEY("size"),
	[PAX_MTIME] = KEY("mtime"),
	[PAX_UID] = KEY("uid"),
	[PAX_GID] = KEY("gid"),
	[PAX_SPARSE_MAJOR] = KEY("GNU.sparse.major"),
	[PAX_SPARSE_MINOR] = KEY("GNU.sparse.minor"),
	[PAX_SPARSE_NAME] = KEY("GNU.sparse.name"),
	[PAX_SPARSE_SIZE] = KEY("GNU.sparse.size"),
	[PAX_SPARSE_REALSIZE] = KEY("GNU.sparse.realsize"),
	[PAX_SPARSE_BLOCKS] = KEY("GNU.sparse.numblocks"),
	[PAX_SPARSE_MAP] = KEY("GNU.sparse.map"),
#undef KEY
};

/* One record, its parts NUL-terminated. */
struct record {
	char *key, *value;
	size_t key_size, value_size;
	uint64_t at;	/* of the record in the archive */
};

/* ---- Memory ---- */

void pax_init(struct pax *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->text);
	buf_init(&p->xattrs);
	sparse_map_init(&p->map);
}

void pax_release(struct pax *p)
{
	buf_release(&p->text);
	buf_release(&p->xattrs);
	sparse_map_release(&p->map);
	pax_init(p);
}

void pax_reset(struct pax *p)
{
	buf_reset(&p->text);
	buf_reset(&p->xattrs);
	sparse_map_reset(&p->map);
	memset(p->values, 0, sizeof(p->values));
	p->has_offset = p->sparse = false;
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "no memory for a PAX header");
}

/* ---- Numbers ---- */

/* Digits until something else; false if it doesn't fit. */
static bool digits(const char **p, uint64_t *out)
{
	bool fits = true;

	*out = 0;
	for (; **p >= '0' && **p <= '9'; ++*p)
		fits = fits && !__builtin_mul_overflow(*out, 10, out) &&
		       !__builtin_add_overflow(*out, (uint64_t)(**p - '0'), out) && *out <= INT64_MAX;
	return fits;
}

bool pax_number(const char *text, uint64_t *out)
{
	const char *p = text;

	return digits(&p, out) && p != text && !*p;
}

int64_t pax_nanoseconds(int64_t seconds, int64_t nanoseconds)
{
	int64_t t;

	if (__builtin_mul_overflow(seconds, INT64_C(1000000000), &t) || __builtin_add_overflow(t, nanoseconds, &t))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return t;
}

bool pax_time(const char *text, int64_t *out)
{
	bool negative = *text == '-';
	const char *p = text + negative, *start = p;
	int64_t fraction = 0, unit = 100000000;
	uint64_t seconds;

	if (!digits(&p, &seconds))
		seconds = INT64_MAX;
	if (p == start)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			fraction += (*p - '0') * unit;
	*out = negative ? pax_nanoseconds(-(int64_t)seconds, -fraction) : pax_nanoseconds((int64_t)seconds, fraction);
	return !*p;
}

/* ---- Extended attributes ---- */

static size_t xattr_count(const struct pax *p)
{
	return p->xattrs.len / sizeof(struct pax_xattr);
}

static struct pax_xattr *xattr_list(const struct pax *p)
{
	return (struct pax_xattr *)(void *)p->xattrs.data;
}

static struct pax_xattr *find_xattr(const struct pax *p, const char *name)
{
	struct pax_xattr *list = xattr_list(p);

	for (size_t i = 0, n = xattr_count(p); i < n; i++)
		if (streq(list[i].x.name, name))
			return &list[i];
	return NULL;
}

static int add_xattr(struct pax *p, const struct pax_xattr *new, uint64_t at, struct err *err)
{
	struct pax_xattr *old = find_xattr(p, new->x.name);

	if (old) {
		if (new->schily || !old->schily || !old->x.size)
			*old = *new;
		return 0;
	}
	if (xattr_count(p) == LIMIT_TAR_XATTRS)
		return err_set(err, ERR_CORRUPT,
			       "PAX record at byte %" PRIu64 ": more than %d extended attributes of one entry", at,
			       LIMIT_TAR_XATTRS);
	buf_add(&p->xattrs, new, sizeof(*new));
	return buf_error(&p->xattrs) ? no_memory(err) : 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "%41" is "A", in place; false if malformed, or a NUL. */
static bool decode_percent(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*out++ = *s;
			continue;
		}
		high = hex_digit(s[1]);
		low = high < 0 ? -1 : hex_digit(s[2]);
		if (low < 0 || !(high | low))
			return false;
		*out++ = (char)(high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return true;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* In place; padding may be left out, as libarchive does. */
static bool decode_base64(char *s, size_t *size)
{
	size_t n = *size, given = n, out = 0;
	uint32_t bits = 0;
	unsigned held = 0;

	while (n && s[n - 1] == '=')
		n--;
	if (given - n > 2 || (given != n && given % 4) || n % 4 == 1)
		return false;
	for (size_t i = 0; i < n; i++) {
		int d = base64_digit(s[i]);

		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		held += 6;
		if (held >= 8) {
			held -= 8;
			s[out++] = (char)(bits >> held);
		}
	}
	s[out] = '\0';
	*size = out;
	return true;
}

static int bad_record(const struct record *r, struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "PAX record at byte %" PRIu64 ": %s: %.100s", r->at, r->key, what);
}

/* A record whose keyword begins with `prefix_size` bytes of one of the two prefixes. */
static int xattr_record(struct pax *p, const struct record *r, bool schily, struct err *err)
{
	size_t prefix_size = schily ? sizeof(SCHILY) - 1 : sizeof(LIBARCHIVE) - 1;
	char *name = r->key + prefix_size;
	struct pax_xattr x = { { name, r->value, r->value_size }, schily };

	if (!schily && !decode_percent(name))
		return bad_record(r, err, "its name is malformed");
	if (!schily && !decode_base64(r->value, &x.x.size))
		return bad_record(r, err, "its value isn't base64");
	if (!*name)
		return bad_record(r, err, "it has no name");
	if (strlen(name) > LIMIT_XATTR_NAME)
		return bad_record(r, err, "its name is too long");
	if (x.x.size > LIMIT_XATTR_VALUE)
		return bad_record(r, err, "its value is too long");
	return add_xattr(p, &x, r->at, err);
}

/* ---- Records ---- */

/* GNU.sparse.offset and GNU.sparse.numbytes, in turn. */
static int sparse_record(struct pax *p, const struct record *r, bool offset, struct err *err)
{
	uint64_t number;

	p->sparse = true;
	if (!pax_number(r->value, &number))
		return bad_record(r, err, "isn't a number");
	if (offset == p->has_offset)
		return bad_record(r, err, "is out of turn");
	p->has_offset = offset;
	if (!offset)
		return sparse_map_add(&p->map, p->offset, number, r->at, err);
	p->offset = number;
	return 0;
}

static int known_record(struct pax *p, const struct record *r, enum pax_key key, struct err *err)
{
	bool path = key == PAX_PATH || key == PAX_LINKPATH || key == PAX_SPARSE_NAME;

	if (memchr(r->value, '\0', r->value_size))
		return bad_record(r, err, path ? "a path with a NUL in it" : "a value with a NUL in it");
	p->values[key] = (struct pax_value){ r->value, r->value_size, true };
	p->sparse = p->sparse || key >= PAX_SPARSE_MAJOR;
	return 0;
}

static bool key_is(const struct record *r, const char *name, size_t size)
{
	return r->key_size == size && memcmp(r->key, name, size) == 0;
}

static int take_record(struct pax *p, const struct record *r, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (key_is(r, keys[i].name, keys[i].size))
			return known_record(p, r, (enum pax_key)i, err);
	if (starts_with(r->key, SCHILY))
		return xattr_record(p, r, true, err);
	if (starts_with(r->key, LIBARCHIVE))
		return xattr_record(p, r, false, err);
	if (streq(r->key, SPARSE_OFFSET))
		return sparse_record(p, r, true, err);
	if (streq(r->key, SPARSE_NUMBYTES))
		return sparse_record(p, r, false, err);
	return 0;
}

/* Divides the record at `s`, of which `room` bytes are there; its length, or -1 and what is wrong. */
static ssize_t split_record(char *s, size_t room, struct record *r, const char **wrong)
{
	size_t n = 0, i = 0;
	char *equals;

	for (; i < room && s[i] >= '0' && s[i] <= '9' && n <= room; i++)
		n = n * 10 + (size_t)(s[i] - '0');
	*wrong = "it doesn't begin with its length";
	if (!i || (i < room && s[i] != ' ' && n <= room))
		return -1;
	*wrong = "its length goes beyond the header";
	if (n > room || i == room)
		return -1;
	*wrong = "its length is too short";
	if (n < i + 2)
		return -1;
	*wrong = "no newline where it ends";
	if (s[n - 1] != '\n')
		return -1;
	r->key = s + i + 1;
	*wrong = "no '=' in it";
	equals = memchr(r->key, '=', n - i - 2);
	if (!equals)
		return -1;
	*wrong = "no keyword";
	if (equals == r->key)
		return -1;
	*wrong = "a keyword with a NUL in it";
	if (memchr(r->key, '\0', (size_t)(equals - r->key)))
		return -1;
	*equals = '\0';
	s[n - 1] = '\0';
	r->key_size = (size_t)(equals - r->key);
	r->value = equals + 1;
	r->value_size = (size_t)(s + n - 1 - r->value);
	return (ssize_t)n;
}

int pax_parse(struct pax *p, uint64_t at, struct err *err)
{
	size_t done = 0;

	while (done < p->text.len) {
		struct record r = { .at = at + done };
		const char *wrong;
		ssize_t n = split_record(p->text.data + done, p->text.len - done, &r, &wrong);
		int ret;

		if (n < 0)
			return err_set(err, ERR_CORRUPT, "PAX record at byte %" PRIu64 ": %s", r.at, wrong);
		ret = take_record(p, &r, err);
		if (ret < 0)
			return ret;
		done += (size_t)n;
	}
	if (p->has_offset)
		return err_set(err, ERR_CORRUPT, "PAX header at byte %" PRIu64 ": a %s without its %s", at, SPARSE_OFFSET,
			       SPARSE_NUMBYTES);
	return 0;
}

/* ---- Global headers ---- */

/* There is room: pax_merge() saw to it. */
static const char *copy_text(struct buf *text, const void *data, size_t size)
{
	const char *copy = text->data + text->len;

	buf_add(text, data, size);
	buf_addc(text, '\0');
	return copy;
}

static void copy_xattr(struct pax *to, const struct pax_xattr *from)
{
	struct pax_xattr x = *from;

	if (!x.x.size)
		return;
	x.x.name = copy_text(&to->text, x.x.name, strlen(x.x.name));
	x.x.value = copy_text(&to->text, x.x.value, x.x.size);
	buf_add(&to->xattrs, &x, sizeof(x));
}

/* What counts of both, into an empty one. */
static void copy_both(struct pax *to, const struct pax *global, const struct pax *more)
{
	for (size_t i = 0; i < PAX_KEY_COUNT; i++) {
		const struct pax_value *v = pax_find(more, global, (enum pax_key)i);

		if (v)
			to->values[i] = (struct pax_value){ copy_text(&to->text, v->data, v->size), v->size, true };
	}
	for (size_t i = 0, n = xattr_count(more); i < n; i++)
		copy_xattr(to, xattr_list(more) + i);
	for (size_t i = 0, n = xattr_count(global); i < n; i++)
		if (!find_xattr(more, xattr_list(global)[i].x.name))
			copy_xattr(to, xattr_list(global) + i);
}

int pax_merge(struct pax *global, const struct pax *more, uint64_t at, struct err *err)
{
	CLEANUP(pax_release) struct pax both;
	struct pax swap;

	pax_init(&both);
	if (more->sparse)
		return err_set(err, ERR_CORRUPT, "PAX header at byte %" PRIu64 ": GNU.sparse. in a global header", at);
	/* What is copied of a record is shorter than the record, so that the copies stay where they are. */
	buf_reserve(&both.text, global->text.len + more->text.len);
	if (buf_error(&both.text))
		return no_memory(err);
	copy_both(&both, global, more);
	if (buf_error(&both.xattrs))
		return no_memory(err);
	if (both.text.len > LIMIT_TAR_HEADERS)
		return err_set(err, ERR_CORRUPT, "PAX header at byte %" PRIu64 ": global headers of more than %d bytes",
			       at, LIMIT_TAR_HEADERS);
	if (xattr_count(&both) > LIMIT_TAR_XATTRS)
		return err_set(err, ERR_CORRUPT,
			       "PAX header at byte %" PRIu64 ": global headers of more than %d extended attributes", at,
			       LIMIT_TAR_XATTRS);
	swap = *global;
	*global = both;
	both = swap;
	return 0;
}

/* ---- What counts for an entry ---- */

const struct pax_value *pax_find(const struct pax *local, const struct pax *global, enum pax_key key)
{
	const struct pax_value *v = &local->values[key];

	if (!v->set)
		v = &global->values[key];
	return v->set && v->size ? v : NULL;
}

int pax_xattrs(const struct pax *local, const struct pax *global, struct buf *out, uint64_t at, struct err *err)
{
	for (size_t i = 0, n = xattr_count(local); i < n; i++)
		if (xattr_list(local)[i].x.size)
			buf_add(out, &xattr_list(local)[i].x, sizeof(struct tar_xattr));
	for (size_t i = 0, n = xattr_count(global); i < n; i++)
		if (!find_xattr(local, xattr_list(global)[i].x.name))
			buf_add(out, &xattr_list(global)[i].x, sizeof(struct tar_xattr));
	if (buf_error(out))
		return no_memory(err);
	if (out->len / sizeof(struct tar_xattr) > LIMIT_TAR_XATTRS)
		return err_set(err, ERR_CORRUPT,
			       "tar entry at byte %" PRIu64 ": more than %d extended attributes of one entry", at,
			       LIMIT_TAR_XATTRS);
	return 0;
}
