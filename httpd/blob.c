/*
 * blob.c: blobs by digest: HEAD, GET with a Range, DELETE.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "httpd/range.h"
#include "httpd/reply.h"

#define READ_BLOCK	(64 * 1024)
#define READ_AHEAD_FROM (1024 * 1024) /* smaller ones are in the kernel's first window anyway */

/* A part of opened content, for an answer that reads it by and by. */
struct part {
	struct content *content;
	int64_t start;
};

static ssize_t part_read(void *arg, uint64_t pos, char *data, size_t len)
{
	const struct part *part = arg;
	struct err err;
	ssize_t n = content_read(part->content, data, len, part->start + (int64_t)pos, &err);

	/* The length is promised already: closing is the only way to say that this isn't all. */
	return n > 0 ? n : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void part_free(void *arg)
{
	struct part *part = arg;

	content_free(part->content);
	free(part);
}

static struct MHD_Response *response_from_fd(int content, int64_t start, int64_t len, int64_t size,
					     struct err *err)
{
	auto_fd int fd = fcntl(content, F_DUPFD_CLOEXEC, 0);
	struct MHD_Response *response;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		(void)err_sys(err, errno, "can't open the blob");
		return NULL;
	}
	/* sendfile() says 0 at a file's end, and libmicrohttpd would ask it for ever. */
	if (st.st_size < size) {
		(void)err_set(err, ERR_CORRUPT, "the blob's file has %jd bytes of %jd",
			      (intmax_t)st.st_size, (intmax_t)size);
		return NULL;
	}
	if (len >= READ_AHEAD_FROM)
		(void)posix_fadvise(fd, start, len, POSIX_FADV_SEQUENTIAL);
	response = MHD_create_response_from_fd_at_offset64((uint64_t)len, fd, (uint64_t)start);
	if (response)
		steal_fd(&fd);
	return response;
}

/* Takes the content. */
static struct MHD_Response *response_from_reader(struct content **content, int64_t start,
						 int64_t len)
{
	struct part *part = malloc(sizeof(*part));
	struct MHD_Response *response = NULL;

	if (part) {
		part->content = steal(content);
		part->start = start;
		response = MHD_create_response_from_callback((uint64_t)len, READ_BLOCK, part_read,
							     part, part_free);
		if (!response)
			part_free(part);
	}
	return response;
}

static void reply_headers(struct request *r, const char *digest)
{
	reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	reply_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, CACHE_IMMUTABLE);
	reply_digest(r, digest);
}

/* RFC 9110, 13.1.5: a Range with If-Range counts for that content only, compared strongly. */
static const char *wanted_range(const struct request *r, const char *digest)
{
	const char *tag = r->headers.if_range;
	size_t len = strlen(digest);

	if (tag &&
	    (*tag != '"' || strncmp(tag + 1, digest, len) != 0 || !streq(tag + 1 + len, "\"")))
		return NULL;
	return r->headers.range;
}

static int reply_content(struct request *r, struct content **content, const char *digest,
			 struct err *err)
{
	int64_t size = content_size(*content), start = 0, len = size;
	enum range_answer range = range_parse(wanted_range(r, digest), size, &start, &len);
	struct MHD_Response *response;
	int e;

	if (range == RANGE_UNSATISFIABLE) {
		e = err_set(err, ERR_RANGE,
			    "the blob has %" PRId64 " bytes; the Range \"%.100s\" has none of them",
			    size, r->headers.range);
		err->offset = size;
		return e;
	}
	if (len == 0)
		response = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "",
							   MHD_RESPMEM_PERSISTENT);
	else if (content_fd(*content) >= 0)
		response = response_from_fd(content_fd(*content), start, len, size, err);
	else
		response = response_from_reader(content, start, len);
	if (!response && err->reason == ERR_NONE)
		return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
	if (!response)
		return -err->errnum;
	reply_response(r, range == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
	reply_headers(r, digest);
	if (range == RANGE_PART)
		reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE,
			     "bytes %" PRId64 "-%" PRId64 "/%" PRId64, start, start + len - 1,
			     size);
	return 0;
}

/* RFC 9110, 14.2: a Range means something to GET only. */
static int reply_blob(struct request *r, struct err *err)
{
	struct cred cred = request_cred(r);
	auto_content struct content *content = NULL;
	char text[DIGEST_TEXT_MAX + 1];
	struct digest digest;
	int64_t size;
	int e;

	e = digest_parse(r->route.reference, &digest, err);
	if (e)
		return e;
	digest_format(&digest, text);
	if (reply_is_known(r, text)) {
		e = tree_blob_stat(r->httpd->tree, &cred, r->route.name, &digest, &size, err);
		if (e)
			return e;
		reply_head(r, MHD_HTTP_NOT_MODIFIED, size);
		reply_headers(r, text);
		return 0;
	}
	e = tree_blob_open(r->httpd->tree, &cred, r->route.name, &digest, &content, err);
	return e ? e : reply_content(r, &content, text, err);
}

void blob_get(struct request *r)
{
	struct err err = ERR_INIT;

	if (reply_blob(r, &err))
		reply_error(r, &err);
}

static void reply_blob_head(struct request *r, const struct digest *digest, int64_t size)
{
	char text[DIGEST_TEXT_MAX + 1];

	reply_head(r, r->known ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK, size);
	reply_headers(r, digest_format(digest, text));
}

/* Answers at once unless something must be written. The headers can't be seen from a job. */
void blob_head_begin(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;
	struct digest digest;
	int64_t size;
	int e = digest_parse(r->route.reference, &digest, &err);

	r->known = reply_is_known(r, r->route.reference);
	if (!e)
		e = tree_blob_promise_due(r->httpd->tree, &cred, r->route.name, &digest, &size,
					  &err);
	if (e < 0)
		reply_error(r, &err);
	else if (!e)
		reply_blob_head(r, &digest, size);
}

/* Who asks may go on to push an image that needs the blob: it is kept for them. */
void blob_head(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;
	struct digest digest;
	int64_t size;
	int e = digest_parse(r->route.reference, &digest, &err);

	if (!e)
		e = tree_blob_promise(r->httpd->tree, &cred, r->route.name, &digest, &size, &err);
	if (e)
		reply_error(r, &err);
	else
		reply_blob_head(r, &digest, size);
}

void blob_delete(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;
	struct digest digest;
	int e = digest_parse(r->route.reference, &digest, &err);

	if (!e)
		e = tree_blob_rm(r->httpd->tree, &cred, r->route.name, &digest, &err);
	if (e)
		reply_error(r, &err);
	else
		reply_empty(r, MHD_HTTP_ACCEPTED);
}
