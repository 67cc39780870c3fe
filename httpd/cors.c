/*
 * cors.c: which web pages' scripts may read our answers.
 */
#include "fs/base/base.h"
#include "httpd/cors.h"

#include "fs/base/limits.h"

#define SEPARATORS ", \t"

struct cors {
	bool any; /* "*" */
	size_t count;
	const char *origins[LIMIT_CORS_ORIGINS]; /* in text */
	char text[];
};

/* RFC 6454, 6.2: what a browser sends: in lower case, no path, no slash at the end. */
static bool is_origin(const char *s)
{
	size_t scheme = starts_with(s, "http://") ? 7 : starts_with(s, "https://") ? 8 : 0;
	const char *host = s + scheme;

	return scheme && *host && !host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")];
}

static int add_origin(struct cors *c, const char *origin, struct err *err)
{
	if (streq(origin, "*")) {
		c->any = true;
		return 0;
	}
	if (!is_origin(origin))
		return err_set(err, ERR_ARGUMENT,
			       "%.100s is no origin: it is * or like https://example.org:8443",
			       origin);
	if (c->count == LIMIT_CORS_ORIGINS)
		return err_set(err, ERR_ARGUMENT, "there are more than %d origins",
			       LIMIT_CORS_ORIGINS);
	c->origins[c->count++] = origin;
	return 0;
}

int cors_new(const char *origins, struct cors **out, struct err *err)
{
	size_t len = origins ? strlen(origins) : 0;
	auto_cors struct cors *c = NULL;

	*out = NULL;
	if (!len)
		return 0;
	c = calloc(1, sizeof(*c) + len + 1);
	if (!c)
		return err_set(err, ERR_NO_MEMORY, "no memory for the origins");
	memcpy(c->text, origins, len + 1);
	for (char *p = c->text + strspn(c->text, SEPARATORS); *p;) {
		char *end = p + strcspn(p, SEPARATORS);
		char *next = end + strspn(end, SEPARATORS);
		int e;

		*end = '\0';
		e = add_origin(c, p, err);
		if (e)
			return e;
		p = next;
	}
	*out = steal(&c);
	return 0;
}

void cors_free(struct cors *c)
{
	free(c);
}

const char *cors_match(const struct cors *c, const char *origin)
{
	if (!c || !origin)
		return NULL;
	if (c->any)
		return "*";
	for (size_t i = 0; i < c->count; i++)
		if (streq(c->origins[i], origin))
			return c->origins[i];
	return NULL;
}

bool cors_varies(const struct cors *c)
{
	return c && !c->any;
}
