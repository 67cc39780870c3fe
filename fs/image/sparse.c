/*
 * sparse.c: rows become extents.
 *
 * Invariants of a map:
 *  1. The extents are ordered, none is empty, none touches the one before: `rows` >= their number.
 *  2. end and stored are at most INT64_MAX.
 */
#include "fs/base/base.h"
#include "fs/image/sparse.h"
#include "fs/base/limits.h"

#define LINE_DIGITS 20	/* of one number in a map of lines */

void sparse_map_init(struct sparse_map *m)
{
	*m = (struct sparse_map){ .extents = BUF_INIT };
}

void sparse_map_release(struct sparse_map *m)
{
	buf_release(&m->extents);
	sparse_map_init(m);
}

void sparse_map_reset(struct sparse_map *m)
{
	buf_reset(&m->extents);
	m->rows = m->end = m->stored = 0;
}

static int bad_map(uint64_t at, struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "tar entry at byte %" PRIu64 ": its sparse map %s", at, what);
}

static struct tar_extent *last_extent(struct sparse_map *m)
{
	return m->extents.len ? (struct tar_extent *)(void *)(m->extents.data + m->extents.len) - 1 : NULL;
}

int sparse_map_add(struct sparse_map *m, uint64_t offset, uint64_t size, uint64_t at, struct err *err)
{
	struct tar_extent *last = last_extent(m), row = { offset, size, m->stored };

	if (m->rows++ == LIMIT_TAR_EXTENTS)
		return err_set(err, ERR_CORRUPT, "tar entry at byte %" PRIu64 ": its sparse map has more than %d rows",
			       at, LIMIT_TAR_EXTENTS);
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return bad_map(at, err, "has a row out of range");
	if (offset < m->end)
		return bad_map(at, err, "has rows out of order");
	m->end = offset + size;
	m->stored += size;	/* rows don't overlap: at most end */
	if (!size)
		return 0;
	if (last && last->offset + last->size == offset) {
		last->size += size;
		return 0;
	}
	buf_add(&m->extents, &row, sizeof(row));
	return buf_error(&m->extents) ? err_set(err, ERR_NO_MEMORY, "no memory for a sparse map") : 0;
}

/* A decimal number and what ends it; false if there is none. */
static bool text_number(const char **p, uint64_t *out)
{
	const char *start = *p;

	*out = 0;
	for (; **p >= '0' && **p <= '9'; ++*p)
		if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (uint64_t)(**p - '0'), out))
			return false;
	return *p != start;
}

int sparse_map_add_text(struct sparse_map *m, const char *text, uint64_t at, struct err *err)
{
	uint64_t offset, size;
	int r;

	for (;;) {
		if (!text_number(&text, &offset) || *text++ != ',' || !text_number(&text, &size))
			return bad_map(at, err, "isn't pairs of numbers");
		r = sparse_map_add(m, offset, size, at, err);
		if (r < 0 || !*text)
			return r;
		if (*text++ != ',')
			return bad_map(at, err, "isn't pairs of numbers");
	}
}

int sparse_map_end(struct sparse_map *m, uint64_t size, uint64_t stored, uint64_t data, uint64_t at, struct err *err)
{
	struct tar_extent *extents = (struct tar_extent *)(void *)m->extents.data;
	size_t count = m->extents.len / sizeof(*extents);

	if (m->end > size)
		return bad_map(at, err, "goes beyond the file's size");
	if (m->stored != stored)
		return err_set(err, ERR_CORRUPT,
			       "tar entry at byte %" PRIu64 ": its sparse map has %" PRIu64 " bytes, its data %" PRIu64,
			       at, m->stored, stored);
	for (size_t i = 0; i < count; i++)
		extents[i].data += data;
	return 0;
}

/* A whole number came. */
static int line_ended(struct sparse_lines *s, struct sparse_map *m, uint64_t at, struct err *err)
{
	uint64_t number = s->number;
	int r = 0;

	if (!s->digits)
		return bad_map(at, err, "has an empty line");
	s->number = s->digits = 0;
	if (!s->counted) {
		if (number > LIMIT_TAR_EXTENTS)
			return err_set(err, ERR_CORRUPT,
				       "tar entry at byte %" PRIu64 ": its sparse map has more than %d rows", at,
				       LIMIT_TAR_EXTENTS);
		s->counted = true;
		s->left = number;
	} else if (!s->has_offset) {
		s->has_offset = true;
		s->offset = number;
	} else {
		s->has_offset = false;
		s->left--;
		r = sparse_map_add(m, s->offset, number, at, err);
	}
	s->done = s->counted && !s->left;
	return r;
}

int sparse_lines_feed(struct sparse_lines *s, struct sparse_map *m, const uint8_t *data, size_t len, uint64_t at,
		      struct err *err)
{
	int r;

	for (size_t i = 0; i < len && !s->done; i++) {
		if (data[i] == '\n') {
			r = line_ended(s, m, at, err);
			if (r < 0)
				return r;
		} else if (data[i] < '0' || data[i] > '9') {
			return bad_map(at, err, "isn't lines of numbers");
		} else if (++s->digits > LINE_DIGITS || __builtin_mul_overflow(s->number, 10, &s->number) ||
			   __builtin_add_overflow(s->number, (uint64_t)(data[i] - '0'), &s->number)) {
			return bad_map(at, err, "has a number out of range");
		}
	}
	return 0;
}
