/*
 * test_route.c: which operation a request line asks for.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"
#include "httpd/route.h"
#include "tests/unit/tap.h"

static enum reason parse(const char *method, const char *target, struct buf *storage,
			 struct route *out)
{
	struct err err = ERR_INIT;

	buf_reset(storage);
	buf_adds(storage, target);
	return route_parse(method, storage->data, out, &err) ? err.reason : ERR_NONE;
}

static void test_found(void)
{
	static const struct {
		const char *method, *target;
		enum route_id id;
		const char *name, *reference;
	} rows[] = {
		{ "GET", "/", ROUTE_FRONT, "", "" },
		{ "GET", "/v2/", ROUTE_BASE, "", "" },
		{ "HEAD", "/v2/", ROUTE_BASE, "", "" },
		{ "GET", "/v2", ROUTE_BASE, "", "" },
		{ "GET", "/v2/?x=y", ROUTE_BASE, "", "" },
		{ "GET", "http://host:5000/v2/", ROUTE_BASE, "", "" },
		{ "GET", "HTTPS://host", ROUTE_FRONT, "", "" },
		{ "GET", "http://host?n=1", ROUTE_FRONT, "", "" },
		{ "GET", "/v2/_catalog", ROUTE_CATALOG, "", "" },
		{ "GET", "/token?service=x", ROUTE_TOKEN_GET, "", "" },
		{ "POST", "/token", ROUTE_TOKEN_POST, "", "" },
		{ "OPTIONS", "/token", ROUTE_OPTIONS, "", "" },
		{ "GET", "/v2/a/tags/list", ROUTE_TAGS, "a", "" },
		{ "GET", "/v2/tags/list/tags/list", ROUTE_TAGS, "tags/list", "" },
		{ "GET", "/v2/a/b/c/manifests/1.0", ROUTE_MANIFEST_GET, "a/b/c", "1.0" },
		{ "PUT", "/v2/a/manifests/x", ROUTE_MANIFEST_PUT, "a", "x" },
		{ "DELETE", "/v2/a/manifests/x", ROUTE_MANIFEST_DELETE, "a", "x" },
		{ "GET", "/v2/manifests/manifests/manifests", ROUTE_MANIFEST_GET, "manifests",
		  "manifests" },
		{ "GET", "/v2/a/blobs/sha256:ab", ROUTE_BLOB_GET, "a", "sha256:ab" },
		{ "GET", "/v2/a/blobs/sha256%3Aab", ROUTE_BLOB_GET, "a", "sha256:ab" },
		{ "DELETE", "/v2/a/blobs/sha256:ab", ROUTE_BLOB_DELETE, "a", "sha256:ab" },
		{ "POST", "/v2/a/blobs/uploads/", ROUTE_UPLOAD_BEGIN, "a", "" },
		{ "POST", "/v2/a/blobs/uploads", ROUTE_UPLOAD_BEGIN, "a", "" },
		{ "POST", "/v2/blobs/uploads/blobs/uploads/", ROUTE_UPLOAD_BEGIN, "blobs/uploads",
		  "" },
		{ "GET", "/v2/a/blobs/uploads/id", ROUTE_UPLOAD_STATUS, "a", "id" },
		{ "PATCH", "/v2/a/blobs/uploads/id", ROUTE_UPLOAD_PATCH, "a", "id" },
		{ "PUT", "/v2/a/blobs/uploads/id?digest=x", ROUTE_UPLOAD_PUT, "a", "id" },
		{ "DELETE", "/v2/a/blobs/uploads/id", ROUTE_UPLOAD_CANCEL, "a", "id" },
		{ "GET", "/v2/a/blobs/uploads/manifests/x", ROUTE_MANIFEST_GET, "a/blobs/uploads",
		  "x" },
		/* Names are the tree's to judge. */
		{ "GET", "/v2//tags/list", ROUTE_TAGS, "", "" },
		{ "HEAD", "/v2/a/blobs/sha256:ab", ROUTE_BLOB_HEAD, "a", "sha256:ab" },
		{ "GET", "/v2/a/b/referrers/sha256:ab", ROUTE_REFERRERS, "a/b", "sha256:ab" },
		{ "GET", "/v2/referrers/referrers/x?artifactType=a%2Fb", ROUTE_REFERRERS,
		  "referrers", "x" },
		{ "POST", "/v2/_regfs/v1/repo-list", ROUTE_CALL, "", "repo-list" },
		{ "GET", "/v2/_regfs/v1/tags/list", ROUTE_TAGS, "_regfs/v1", "" },
		{ "OPTIONS", "/v2/_regfs/v1/x", ROUTE_OPTIONS, "", "x" },
		{ "OPTIONS", "/v2/a/manifests/x", ROUTE_OPTIONS, "a", "x" },
		{ "OPTIONS", "/", ROUTE_OPTIONS, "", "" },
		{ "OPTIONS", "*", ROUTE_OPTIONS, "", "" },
		{ "GET", "/v2/A%20b/tags/list", ROUTE_TAGS, "A b", "" },
	};
	auto_buf struct buf storage = BUF_INIT;
	struct route route;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(parse(rows[i].method, rows[i].target, &storage, &route), ERR_NONE,
		       "%s %s is found", rows[i].method, rows[i].target);
		is_int(route.id, rows[i].id, "its operation");
		is_str(route.name, rows[i].name, "its name");
		is_str(route.reference, rows[i].reference, "its reference");
		is_int(route.head, streq(rows[i].method, "HEAD"), "whether it is HEAD");
	}
}

static void test_refused(void)
{
	static const struct {
		const char *method, *target;
		enum reason reason;
	} rows[] = {
		{ "GET", "", ERR_REQUEST_INVALID },
		{ "GET", "*", ERR_REQUEST_INVALID },
		{ "GET", "v2/", ERR_REQUEST_INVALID },
		{ "GET", "/v2/%00", ERR_REQUEST_INVALID },
		{ "GET", "/v2/a%2Fb/tags/list", ERR_REQUEST_INVALID },
		{ "GET", "/v2/a%2fb/tags/list", ERR_REQUEST_INVALID },
		{ "GET", "/v2/%", ERR_REQUEST_INVALID },
		{ "GET", "/v2/%4", ERR_REQUEST_INVALID },
		{ "GET", "/v2/%4g", ERR_REQUEST_INVALID },
		{ "GET", "/v2/%%41", ERR_REQUEST_INVALID },
		{ "GET", "/v2/./tags/list", ERR_REQUEST_INVALID },
		{ "GET", "/v2/a/../tags/list", ERR_REQUEST_INVALID },
		{ "GET", "/v2/a/%2e%2E/tags/list", ERR_REQUEST_INVALID },
		{ "GET", "/v2/a/manifests/..", ERR_REQUEST_INVALID },
		{ "GET", "/..", ERR_REQUEST_INVALID },
		{ "GET", "/v2/#x", ERR_REQUEST_INVALID },
		{ "GET", "/v2/ x", ERR_REQUEST_INVALID },
		{ "GET", "/v2/\x7f", ERR_REQUEST_INVALID },
		{ "GET", "/v2/\xc3\xa9", ERR_REQUEST_INVALID },
		{ "GET", "/v2/?a=%00", ERR_REQUEST_INVALID },
		{ "GET", "/v2/?a=%zz", ERR_REQUEST_INVALID },
		{ "GET", "/v2/?%zz=a", ERR_REQUEST_INVALID },
		{ "GET", "/v1/", ERR_NOT_FOUND },
		{ "GET", "/v2/a", ERR_NOT_FOUND },
		{ "POST", "/v2/_regfs/v1/", ERR_NOT_FOUND },
		{ "POST", "/v2/_regfs/v1", ERR_NOT_FOUND },
		{ "POST", "/v2/_regfs/v1/a/b", ERR_NOT_FOUND },
		{ "GET", "/v2/_regfs/v1/x", ERR_METHOD },
		{ "GET", "/v2/tags/list", ERR_NOT_FOUND },
		{ "GET", "/v2/manifests/x", ERR_NOT_FOUND },
		{ "GET", "/v2/a/manifests/", ERR_NOT_FOUND },
		{ "GET", "/v2/a/tags/list/", ERR_NOT_FOUND },
		{ "GET", "//v2/", ERR_NOT_FOUND },
		{ "POST", "/v2/", ERR_METHOD },
		{ "get", "/v2/", ERR_METHOD },
		{ "GET", "/v2/a/blobs/uploads/", ERR_METHOD },
		{ "PATCH", "/v2/a/manifests/x", ERR_METHOD },
	};
	auto_buf struct buf storage = BUF_INIT;
	struct route route;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(parse(rows[i].method, rows[i].target, &storage, &route), rows[i].reason,
		       "row %zu is refused", i);
		ok((rows[i].reason == ERR_METHOD) == (route.allow != NULL),
		   "the methods that there are go with ERR_METHOD");
	}
	(void)parse("GET", "/v2/a/blobs/uploads/", &storage, &route);
	is_str(route.allow, "POST, OPTIONS", "which are the path's");
}

static void test_query(void)
{
	auto_buf struct buf storage = BUF_INIT, many = BUF_INIT;
	struct route route;

	is_int(parse("POST", "/v2/a/blobs/uploads/?mount=sha256%3Aab&from=x%2Fy&&flag&e=&from=z=1",
		     &storage, &route),
	       ERR_NONE, "a query");
	is_int((int)route.param_count, 5, "an empty parameter is none");
	is_str(route_param(&route, "mount"), "sha256:ab", "a value is decoded");
	is_str(route_param(&route, "from"), "x/y",
	       "a slash may stand in it, the first of a key counts");
	is_str(route.params[4].value, "z=1", "the second is there, too");
	is_str(route_param(&route, "flag"), "", "a key without a value");
	is_str(route_param(&route, "e"), "", "an empty value");
	is_str(route_param(&route, "other"), NULL, "a key that isn't there");
	is_int(parse("GET", "/v2/?a=%26b%3D1&c=2", &storage, &route), ERR_NONE,
	       "escaped separators");
	is_str(route_param(&route, "a"), "&b=1", "don't separate");
	buf_adds(&many, "/v2/?0");
	for (int i = 1; i < LIMIT_QUERY; i++)
		buf_addf(&many, "&%d", i);
	is_int(parse("GET", many.data, &storage, &route), ERR_NONE, "as many as can be");
	is_int((int)route.param_count, LIMIT_QUERY, "are there");
	buf_adds(&many, "&one-more");
	is_int(parse("GET", many.data, &storage, &route), ERR_TARGET_TOO_LONG, "one more can't");
}

int main(void)
{
	test_found();
	test_refused();
	test_query();
	return done_testing();
}
