/*
 * route.h: which operation a request line asks for.
 *
 * Works on the raw target: libmicrohttpd's own URL ends at "%00" and has decoded
 * slashes in it. Knows nothing of libmicrohttpd, so that it can be fuzzed alone.
 */
#ifndef REGFS_ROUTE_H
#define REGFS_ROUTE_H

#include "fs/base/err.h"
#include "fs/base/limits.h"

enum route_id {
	ROUTE_FRONT,		/* / */
	ROUTE_BASE,		/* /v2/ */
	ROUTE_CATALOG,		/* /v2/_catalog */
	ROUTE_TAGS,		/* /v2/<name>/tags/list */
	ROUTE_BLOB_GET,		/* /v2/<name>/blobs/<reference> */
	ROUTE_BLOB_HEAD,
	ROUTE_BLOB_DELETE,
	ROUTE_UPLOAD_BEGIN,	/* /v2/<name>/blobs/uploads/ */
	ROUTE_UPLOAD_STATUS,	/* /v2/<name>/blobs/uploads/<reference> */
	ROUTE_UPLOAD_PATCH,
	ROUTE_UPLOAD_PUT,
	ROUTE_UPLOAD_CANCEL,
	ROUTE_MANIFEST_GET,	/* /v2/<name>/manifests/<reference> */
	ROUTE_MANIFEST_PUT,
	ROUTE_MANIFEST_DELETE,
	ROUTE_REFERRERS,	/* /v2/<name>/referrers/<reference> */
	ROUTE_CALL,		/* /v2/_regfs/v1/<reference>: a repository's name can't begin with '_' */
	ROUTE_TOKEN_GET,	/* /token */
	ROUTE_TOKEN_POST,
	ROUTE_OPTIONS,		/* any of these, and * */
	ROUTE_COUNT
};

struct route_param {
	const char *key, *value;	/* "" for a key without a value */
};

/* Strings point into the target that was parsed. */
struct route {
	enum route_id id;
	bool head;			/* HEAD where the route has GET */
	const char *name;		/* the repository's, or ""; not checked */
	const char *reference;		/* digest, tag or upload, or ""; not checked */
	const char *allow;		/* ROUTE_OPTIONS, and after ERR_METHOD: the methods that the path has */
	size_t param_count;
	struct route_param params[LIMIT_QUERY];	/* in the query's order; keys may repeat */
};

/*
 * Decodes `target` in its place and finds the route. ERR_REQUEST_INVALID: not a target that we take
 * (an invalid escape, %00, %2F, a "." or ".." segment ...); ERR_TARGET_TOO_LONG; ERR_NOT_FOUND;
 * ERR_METHOD.
 */
int route_parse(const char *method, char *target, struct route *out, struct err *err) MUST_CHECK;

/* The first value of that key, or NULL. */
const char *route_param(const struct route *route, const char *key);

#endif
