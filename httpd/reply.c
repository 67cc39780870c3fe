/*
 * reply.c: answers.
 */
#include "fs/base/base.h"
#include "httpd/reply.h"

#include "fs/base/json.h"
#include "fs/base/log.h"
#include "httpd/cors.h"
#include "httpd/login.h"

#define HEAD_BLOCK 64 /* of a reader that is never asked */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	/* Fails without memory, or for a value that HTTP can't carry: then it is missing. */
	if (response)
		(void)MHD_add_response_header(response, name, value);
}

struct MHD_Response *reply_prepare(size_t len, const char *data, enum MHD_ResponseMemoryMode mode,
				   const char *type)
{
	/* libmicrohttpd's signature lacks a const. It doesn't write there. */
	struct MHD_Response *response =
		MHD_create_response_from_buffer(len, (void *)(uintptr_t)data, mode);

	add_header(response, "Docker-Distribution-API-Version", "registry/2.0");
	if (type)
		add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return response;
}

static void drop(struct request *r)
{
	if (r->response && !r->borrowed)
		MHD_destroy_response(r->response);
	r->response = NULL;
	r->borrowed = false;
}

void reply_empty(struct request *r, unsigned status)
{
	drop(r);
	r->status = status;
	r->response = reply_prepare(0, "", MHD_RESPMEM_PERSISTENT, NULL);
}

void reply_text(struct request *r, unsigned status, const char *type, struct buf *text)
{
	size_t len = text->len;
	auto_free char *data = buf_error(text) ? NULL : buf_steal(text);

	drop(r);
	if (!data)
		return;
	r->status = status;
	r->response = reply_prepare(len, data, MHD_RESPMEM_MUST_FREE, type);
	if (r->response)
		steal(&data);
}

void reply_response(struct request *r, unsigned status, struct MHD_Response *response)
{
	drop(r);
	r->status = status;
	r->response = response;
	add_header(response, "Docker-Distribution-API-Version", "registry/2.0");
}

void reply_error(struct request *r, const struct err *err)
{
	const struct err_row *row = err_row(err->reason);
	auto_buf struct buf json = BUF_INIT;

	if (row->http_status >= 500)
		log_failure("answering %d to a client: %s", row->http_status, err->text);
	buf_adds(&json, "{\"errors\":[{");
	json_add_key(&json, "code");
	json_add_string(&json, row->code);
	json_add_key(&json, "message");
	json_add_string(&json, err->text);
	if (err->detail[0]) {
		json_add_key(&json, "detail");
		buf_adds(&json, err->detail);
	}
	buf_adds(&json, "}]}\n");
	reply_text(r, (unsigned)row->http_status, "application/json", &json);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, CACHE_ASK);
	if (err->reason == ERR_METHOD && r->route.allow)
		reply_header(r, MHD_HTTP_HEADER_ALLOW, "%s", r->route.allow);
	if (row->http_status == MHD_HTTP_UNAUTHORIZED)
		login_challenge(r, err);
	if (err->reason == ERR_TOO_MANY_REQUESTS)
		reply_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "%" PRId64, MAX(err->offset, INT64_C(1)));
	if (err->reason == ERR_RANGE)
		reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, "bytes */%" PRId64, err->offset);
}

void reply_header(struct request *r, const char *name, const char *fmt, ...)
{
	auto_buf struct buf value = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&value, fmt, ap);
	va_end(ap);
	if (!buf_error(&value))
		add_header(r->response, name, value.data);
}

void reply_warning(struct request *r, const char *fmt, ...)
{
	char text[LIMIT_WARNING];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	reply_header(r, MHD_HTTP_HEADER_WARNING, "299 - \"%s\"", text);
}

void reply_options(struct request *r)
{
	reply_empty(r, MHD_HTTP_NO_CONTENT);
	reply_header(r, MHD_HTTP_HEADER_ALLOW, "%s", r->route.allow);
}

void reply_cors(struct request *r)
{
	if (cors_varies(r->httpd->cors))
		add_header(r->response, MHD_HTTP_HEADER_VARY, "Origin");
	if (!r->origin)
		return;
	add_header(r->response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, r->origin);
	add_header(r->response, "Access-Control-Expose-Headers",
		   "Content-Length, Content-Range, Docker-Content-Digest, "
		   "Docker-Distribution-API-Version, Docker-Upload-UUID, ETag, Link, Location, "
		   "OCI-Filters-Applied, OCI-Subject, OCI-Tag, Range, Warning, WWW-Authenticate");
	if (!r->operation || r->route.id != ROUTE_OPTIONS)
		return;
	add_header(r->response, "Access-Control-Allow-Methods", r->route.allow);
	add_header(
		r->response, "Access-Control-Allow-Headers",
		"Accept, Authorization, Cache-Control, Content-Range, Content-Type, If-None-Match, "
		"If-Range, Range");
	add_header(r->response, "Access-Control-Max-Age", "600");
}

void reply_add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++) {
		char c = *s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~/", c))
			buf_addc(b, c);
		else
			buf_addf(b, "%%%02X", (unsigned char)c);
	}
}

void reply_digest(struct request *r, const char *digest)
{
	reply_header(r, "Docker-Content-Digest", "%s", digest);
	reply_header(r, MHD_HTTP_HEADER_ETAG, "\"%s\"", digest);
}

static ssize_t never_read(void *arg UNUSED, uint64_t pos UNUSED, char *data UNUSED,
			  size_t len UNUSED)
{
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

void reply_head(struct request *r, unsigned status, int64_t size)
{
	reply_response(r, status,
		       MHD_create_response_from_callback((uint64_t)size, HEAD_BLOCK, never_read,
							 NULL, NULL));
}

bool reply_is_known(const struct request *r, const char *digest)
{
	const char *p = r->headers.if_none_match;
	size_t len = strlen(digest);

	if (!p)
		return false;
	if (streq(p, "*"))
		return true;
	/* RFC 9110, 13.1.2: a list, compared weakly. A digest can't be a part of another tag:
	 * quotes end it. */
	for (p = strchr(p, '"'); p; p = strchr(p, '"')) {
		p++;
		if (strncmp(p, digest, len) == 0 && p[len] == '"')
			return true;
		p = strchr(p, '"');
		if (!p)
			return false;
		p++;
	}
	return false;
}
