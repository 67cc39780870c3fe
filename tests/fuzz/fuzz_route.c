/*
 * fuzz_route.c: request lines, "METHOD TARGET".
 */
#include "fs/base/base.h"
#include "httpd/route.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *text)
{
	assert(!streq(text, ".") && !streq(text, "..") && !starts_with(text, "./") &&
	       !starts_with(text, "../") && !strstr(text, "/../") && !strstr(text, "/./"));
}

static void check_inside(const char *text, const char *target, size_t len)
{
	assert(!*text || (text >= target && text + strlen(text) <= target + len));
}

static size_t count(const char *text, char c)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void check_found(const struct route *route, const char *target, size_t len,
			const char *original)
{
	assert(route->id < ROUTE_COUNT && (route->id == ROUTE_OPTIONS) == (route->allow != NULL));
	check_path(route->name);
	check_path(route->reference);
	assert(!strchr(route->reference, '/'));
	if (route->id == ROUTE_OPTIONS)
		; /* of any path */
	else if (route->id <= ROUTE_TAGS || route->id == ROUTE_UPLOAD_BEGIN)
		assert(!*route->reference);
	else
		assert(*route->reference);
	/* No slash that wasn't one. */
	assert(count(route->name, '/') <= count(original, '/'));
	check_inside(route->name, target, len);
	check_inside(route->reference, target, len);
	assert(route->param_count <= LIMIT_QUERY);
	for (size_t i = 0; i < route->param_count; i++) {
		check_inside(route->params[i].key, target, len);
		check_inside(route->params[i].value, target, len);
		assert(route_param(route, route->params[i].key));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The heap, so that a read beyond the end is seen. */
	auto_free char *text = malloc(size + 1), *original = NULL;
	struct err err = ERR_INIT;
	struct route route;
	char *target, *end;
	size_t len;
	int e;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	target = strchr(text, ' ');
	if (!target)
		return 0;
	*target++ = '\0';
	len = strlen(target);
	original = strdup(target);
	if (!original)
		return 0;
	e = route_parse(text, target, &route, &err);
	if (!e) {
		check_found(&route, target, len, original);
		return 0;
	}
	assert(err.reason == ERR_REQUEST_INVALID || err.reason == ERR_TARGET_TOO_LONG ||
	       err.reason == ERR_NOT_FOUND ||
	       err.reason == ERR_METHOD);
	assert(err.text[0] && e == -err.errnum);
	assert((err.reason == ERR_METHOD) == (route.allow != NULL));
	return 0;
}
