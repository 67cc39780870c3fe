/*
 * pattern.c: see pattern.h.
 */
#include "fs/base/base.h"
#include "fs/auth/pattern.h"

#include "fs/image/name.h"

static bool is_component(const char *p, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(p, what, len) == 0;
}

int pattern_check(const char *pattern, struct err *err)
{
	const char *p = pattern;

	if (strnlen(pattern, LIMIT_NAME + 1) > LIMIT_NAME)
		return err_set(err, ERR_ARGUMENT, "pattern \"%.40s...\" is longer than %d bytes", pattern, LIMIT_NAME);
	for (;;) {
		size_t len = strcspn(p, "/");
		bool any = is_component(p, len, "**");

		if (any && p[len])
			return err_set(err, ERR_ARGUMENT, "\"%s\" is not a pattern: ** stands at the end only", pattern);
		if (!any && !is_component(p, len, "*") && !name_component_ok(p, len))
			return err_set(err, ERR_ARGUMENT,
				       "\"%s\" is not a pattern: write a repository's name, NAME/* for those directly below, "
				       "or NAME/** for all below",
				       pattern);
		if (!p[len])
			return 0;
		p += len + 1;
	}
}

/* One component of `pattern` against one of another pattern or name. */
static bool component_covers(const char *p, size_t plen, const char *q, size_t qlen)
{
	if (is_component(p, plen, "*"))
		return !is_component(q, qlen, "**");
	return plen == qlen && memcmp(p, q, plen) == 0;
}

/* A name is a pattern that matches itself alone. */
bool pattern_covers(const char *pattern, const char *inner)
{
	for (const char *p = pattern, *q = inner;; p++, q++) {
		size_t plen = strcspn(p, "/"), qlen = strcspn(q, "/");

		if (is_component(p, plen, "**"))
			return true;
		if (!component_covers(p, plen, q, qlen))
			return false;
		p += plen;
		q += qlen;
		if (!*p || !*q)
			return !*p && !*q;
	}
}

bool pattern_match(const char *pattern, const char *name)
{
	return *name && pattern_covers(pattern, name);
}

bool pattern_is_name(const char *pattern)
{
	return !strchr(pattern, '*');
}

size_t pattern_literal(const char *pattern)
{
	return strcspn(pattern, "*");
}

size_t pattern_depth(const char *pattern)
{
	size_t depth = 1;

	if (strstr(pattern, "**"))
		return 0;
	for (; *pattern; pattern++)
		depth += *pattern == '/';
	return depth;
}
