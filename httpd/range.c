/*
 * range.c: the Range and Content-Range headers.
 */
#include "fs/base/base.h"
#include "httpd/range.h"

#include <strings.h>

/* Digits only; a number that is too large becomes INT64_MAX. NULL if there is no digit, else what
 * follows. */
static const char *parse_number(const char *p, int64_t *out)
{
	int64_t n = 0;

	if (*p < '0' || *p > '9')
		return NULL;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			n = INT64_MAX;
	*out = n;
	return p;
}

static enum range_answer suffix(const char *p, int64_t size, int64_t *start, int64_t *len)
{
	int64_t n;

	p = parse_number(p, &n);
	if (!p || *p)
		return RANGE_WHOLE;
	if (n == 0 || size == 0)
		return RANGE_UNSATISFIABLE;
	*len = MIN(n, size);
	*start = size - *len;
	return RANGE_PART;
}

enum range_answer range_parse(const char *header, int64_t size, int64_t *start, int64_t *len)
{
	int64_t first, last = INT64_MAX;
	const char *p;

	if (!header || strncasecmp(header, "bytes=", 6) != 0)
		return RANGE_WHOLE;
	p = header + 6;
	if (*p == '-')
		return suffix(p + 1, size, start, len);
	p = parse_number(p, &first);
	if (!p || *p++ != '-')
		return RANGE_WHOLE;
	if (*p)
		p = parse_number(p, &last);
	if (!p || *p)
		return RANGE_WHOLE;
	if (first >= size || last < first)
		return RANGE_UNSATISFIABLE;
	*start = first;
	*len = MIN(last, size - 1) - first + 1;
	return RANGE_PART;
}

bool content_range_parse(const char *header, int64_t *start, int64_t *len)
{
	const char *p = header;
	int64_t end;

	if (strncasecmp(p, "bytes ", 6) == 0)
		p += 6;
	p = parse_number(p, start);
	if (!p || *p != '-')
		return false;
	p = parse_number(p + 1, &end);
	if (!p || (*p && *p != '/') || end < *start || end == INT64_MAX)
		return false;
	*len = end - *start + 1;
	return true;
}
