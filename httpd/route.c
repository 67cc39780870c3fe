/*
 * route.c: which operation a request line asks for.
 *
 * Invariants of a route that was found:
 *   1. name and reference hold no NUL, no "." or ".." segment, and a '/' in them was a '/' in
 *      the target: "%2F" is refused in the path, so decoding can't move a segment's border.
 *   2. A reference has no '/'.
 *   3. Everything it points to lies inside the target, which decoding only shortens.
 *
 * A repository's name may have any number of components, "blobs" and "manifests" among
 * them, so paths are matched from the right, where the fixed segments are.
 */
#include "fs/base/base.h"
#include "httpd/route.h"

#include <strings.h>

#define METHODS_MAX 5

struct method {
	const char *name;
	enum route_id id;
};

struct path {
	const char *tail; /* what follows "<name>/"; '*' is one segment, the reference */
	bool plain;	  /* the tail is the whole path, up to a '*': there is no name */
	const char *allow;
	struct method methods[METHODS_MAX];
};

/* The routes. The first path that fits decides, those asked for most stand first. */
static const struct path paths[] = {
	{ "manifests/*",
	  false,
	  "GET, HEAD, PUT, DELETE, OPTIONS",
	  { { "GET", ROUTE_MANIFEST_GET },
	    { "HEAD", ROUTE_MANIFEST_GET },
	    { "PUT", ROUTE_MANIFEST_PUT },
	    { "DELETE", ROUTE_MANIFEST_DELETE } } },
	{ "blobs/uploads/", false, "POST, OPTIONS", { { "POST", ROUTE_UPLOAD_BEGIN } } },
	{ "blobs/uploads", false, "POST, OPTIONS", { { "POST", ROUTE_UPLOAD_BEGIN } } },
	{ "blobs/uploads/*",
	  false,
	  "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
	  { { "GET", ROUTE_UPLOAD_STATUS },
	    { "HEAD", ROUTE_UPLOAD_STATUS },
	    { "PATCH", ROUTE_UPLOAD_PATCH },
	    { "PUT", ROUTE_UPLOAD_PUT },
	    { "DELETE", ROUTE_UPLOAD_CANCEL } } },
	{ "blobs/*",
	  false,
	  "GET, HEAD, DELETE, OPTIONS",
	  { { "GET", ROUTE_BLOB_GET },
	    { "HEAD", ROUTE_BLOB_HEAD },
	    { "DELETE", ROUTE_BLOB_DELETE } } },
	{ "tags/list",
	  false,
	  "GET, HEAD, OPTIONS",
	  { { "GET", ROUTE_TAGS }, { "HEAD", ROUTE_TAGS } } },
	{ "referrers/*",
	  false,
	  "GET, HEAD, OPTIONS",
	  { { "GET", ROUTE_REFERRERS }, { "HEAD", ROUTE_REFERRERS } } },
	{ "v2/_regfs/v1/*", true, "POST, OPTIONS", { { "POST", ROUTE_CALL } } },
	{ "v2/", true, "GET, HEAD, OPTIONS", { { "GET", ROUTE_BASE }, { "HEAD", ROUTE_BASE } } },
	{ "v2", true, "GET, HEAD, OPTIONS", { { "GET", ROUTE_BASE }, { "HEAD", ROUTE_BASE } } },
	{ "v2/_catalog",
	  true,
	  "GET, HEAD, OPTIONS",
	  { { "GET", ROUTE_CATALOG }, { "HEAD", ROUTE_CATALOG } } },
	{ "token",
	  true,
	  "GET, POST, OPTIONS",
	  { { "GET", ROUTE_TOKEN_GET }, { "POST", ROUTE_TOKEN_POST } } },
	{ "", true, "GET, HEAD, OPTIONS", { { "GET", ROUTE_FRONT }, { "HEAD", ROUTE_FRONT } } },
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes the text in its place. A decoded `forbidden` is refused, as is NUL. */
static int decode(char *text, char forbidden, struct err *err)
{
	char *to = strchr(text, '%');

	if (!to)
		return 0;
	for (const char *from = to; *from; from++) {
		int high, low, c;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = hex_value(from[1]);
		low = high < 0 ? -1 : hex_value(from[2]);
		if (low < 0)
			return err_set(err, ERR_REQUEST_INVALID,
				       "the request's target has an escape that isn't %% and two "
				       "hex digits");
		c = high * 16 + low;
		if (c == 0 || c == forbidden)
			return err_set(err, ERR_REQUEST_INVALID,
				       "the request's target has the escape %%%02X, which is not "
				       "allowed there",
				       c);
		*to++ = (char)c;
		from += 2;
	}
	*to = '\0';
	return 0;
}

/* RFC 3986 has no bare control characters, spaces, or bytes above 126 in a target; no fragment. */
static int check_characters(const char *target, struct err *err)
{
	for (const unsigned char *p = (const unsigned char *)target; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '#')
			return err_set(
				err, ERR_REQUEST_INVALID,
				"the request's target has the byte 0x%02x, which must be escaped",
				*p);
	return 0;
}

/* RFC 9112, 3.2.2: "http://host/path" must be taken too. Answers where the path begins. */
static char *skip_authority(char *target)
{
	size_t skip = strncasecmp(target, "http://", 7) == 0	? 7
		      : strncasecmp(target, "https://", 8) == 0 ? 8
								: 0;

	return skip ? target + skip + strcspn(target + skip, "/?") : target;
}

static int check_segments(const char *path, struct err *err)
{
	for (const char *segment = strchr(path, '/'); segment; segment = strchr(segment, '/')) {
		size_t len = strcspn(++segment, "/");

		if ((len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0))
			return err_set(err, ERR_REQUEST_INVALID,
				       "the request's path has a \"%.*s\" segment", (int)len,
				       segment);
	}
	return 0;
}

static int parse_query(char *query, struct route *out, struct err *err)
{
	char *next;

	for (char *pair = query; pair; pair = next) {
		struct route_param *param = &out->params[out->param_count];
		char *value;
		int r;

		next = strchr(pair, '&');
		if (next)
			*next++ = '\0';
		if (!*pair)
			continue;
		if (out->param_count == LIMIT_QUERY)
			return err_set(err, ERR_TARGET_TOO_LONG,
				       "the request's query has more than %d parameters",
				       LIMIT_QUERY);
		value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		r = decode(pair, '\0', err);
		if (!r && value)
			r = decode(value, '\0', err);
		if (r)
			return r;
		param->key = pair;
		param->value = value ? value : "";
		out->param_count++;
	}
	return 0;
}

/* Compares from the right, segment by segment; sets where the name ends, the reference begins. */
static bool tail_fits(const char *path, const char *end, const char *tail, const char **name_end,
		      const char **reference)
{
	const char *tail_end = tail + strlen(tail);

	for (;;) {
		const char *segment = end, *pattern = tail_end;

		while (segment > path && segment[-1] != '/')
			segment--;
		while (pattern > tail && pattern[-1] != '/')
			pattern--;
		if (*pattern == '*') {
			if (segment == end)
				return false;
			*reference = segment;
		} else if (end - segment != tail_end - pattern ||
			   memcmp(segment, pattern, (size_t)(end - segment)) != 0) {
			return false;
		}
		if (segment == path)
			return false;
		end = segment - 1;
		if (pattern == tail)
			break;
		tail_end = pattern - 1;
	}
	*name_end = end;
	return true;
}

static int choose_method(const struct path *path, const char *method, struct route *out,
			 struct err *err)
{
	for (size_t i = 0; i < METHODS_MAX && path->methods[i].name; i++) {
		if (!streq(path->methods[i].name, method))
			continue;
		out->id = path->methods[i].id;
		out->head = streq(method, "HEAD");
		return 0;
	}
	out->allow = path->allow;
	if (streq(method, "OPTIONS")) {
		out->id = ROUTE_OPTIONS;
		return 0;
	}
	return err_set(err, ERR_METHOD, "%.32s is not possible here, only %s", method, path->allow);
}

/* The whole path; where the tail ends in a '*' that is one segment, the reference. */
static bool path_is(const char *path, const char *tail, const char **reference)
{
	size_t len = strcspn(tail, "*");

	if (!tail[len])
		return streq(path, tail);
	*reference = path + len;
	return strncmp(path, tail, len) == 0 && path[len] && !strchr(path + len, '/');
}

/* `path` begins behind the first slash. */
static int find(const char *method, char *path, struct route *out, struct err *err)
{
	char *name = starts_with(path, "v2/") ? path + 3 : NULL;
	char *end = path + strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *name_end = NULL, *reference = "";

		if (paths[i].plain) {
			if (!path_is(path, paths[i].tail, &reference))
				continue;
			out->reference = reference;
		} else {
			if (!name || !tail_fits(name, end, paths[i].tail, &name_end, &reference))
				continue;
			name[name_end - name] = '\0';
			out->name = name;
			out->reference = reference;
		}
		return choose_method(&paths[i], method, out, err);
	}
	return err_set(err, ERR_NOT_FOUND, "there is nothing at /%s", path);
}

int route_parse(const char *method, char *target, struct route *out, struct err *err)
{
	char *path, *query;
	int r;

	out->name = "";
	out->reference = "";
	out->allow = NULL;
	out->head = false;
	out->param_count = 0;
	r = check_characters(target, err);
	if (r)
		return r;
	/* RFC 9112, 3.2.4: the server as a whole. */
	if (streq(target, "*") && streq(method, "OPTIONS")) {
		out->id = ROUTE_OPTIONS;
		out->allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
		return 0;
	}
	path = skip_authority(target);
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	/* "http://host" alone asks for "/". */
	if (*path != '/' && (*path || path == target))
		return err_set(err, ERR_REQUEST_INVALID,
			       "the request's target must begin with a slash");
	r = decode(path, '/', err);
	if (!r)
		r = check_segments(path, err);
	if (!r)
		r = parse_query(query, out, err);
	return r ? r : find(method, *path ? path + 1 : path, out, err);
}

const char *route_param(const struct route *route, const char *key)
{
	for (size_t i = 0; i < route->param_count; i++)
		if (streq(route->params[i].key, key))
			return route->params[i].value;
	return NULL;
}
