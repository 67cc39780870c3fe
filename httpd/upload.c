/*
 * upload.c: uploads: begin, one request's whole blob, chunks, the commit, mount, status, cancel.
 *
 * distribution-spec, spec.md, "Pushing blobs".
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include "fs/tree/grants.h"
#include "fs/tree/quota.h"
#include "httpd/body.h"
#include "httpd/range.h"
#include "httpd/reply.h"

/* Where an upload stands: Location, Range (which can't say "nothing": "0-0", as Docker does). */
static void reply_upload(struct request *r, unsigned status, const char *id, int64_t size)
{
	reply_empty(r, status);
	reply_header(r, MHD_HTTP_HEADER_LOCATION, "%s/v2/%s/blobs/uploads/%s", r->httpd->public_url,
		     r->route.name, id);
	reply_header(r, MHD_HTTP_HEADER_RANGE, "0-%" PRId64, size ? size - 1 : 0);
	reply_header(r, "Docker-Upload-UUID", "%s", id);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, CACHE_ASK);
}

static void reply_blob(struct request *r, const struct digest *digest)
{
	char text[DIGEST_TEXT_MAX + 1];

	digest_format(digest, text);
	reply_empty(r, MHD_HTTP_CREATED);
	reply_header(r, MHD_HTTP_HEADER_LOCATION, "%s/v2/%s/blobs/%s", r->httpd->public_url,
		     r->route.name, text);
	reply_header(r, "Docker-Content-Digest", "%s", text);
}

/* 416 says where the upload stands, so that a client can go on from there. */
static void reply_upload_error(struct request *r, const struct err *err)
{
	reply_error(r, err);
	if (err->reason != ERR_UPLOAD_RANGE)
		return;
	reply_header(r, MHD_HTTP_HEADER_LOCATION, "%s/v2/%s/blobs/uploads/%s", r->httpd->public_url,
		     r->route.name, r->route.reference);
	reply_header(r, MHD_HTTP_HEADER_RANGE, "0-%" PRId64, err->offset ? err->offset - 1 : 0);
}

/* ---- POST: begin, mount, or all at once ---- */

static int parse_algorithm(const struct request *r, enum digest_algorithm *out, struct err *err)
{
	const char *name = route_param(&r->route, "digest-algorithm");

	if (name)
		*out = digest_algorithm_parse(name);
	if (*out == DIGEST_NONE)
		return err_set(err, ERR_DIGEST_INVALID,
			       "digest-algorithm is \"%s\"; there are sha256 and sha512", name);
	return 0;
}

/* Who may not push takes no buffers. */
static int begin_whole(struct request *r, const char *text, struct err *err)
{
	struct cred cred = request_cred(r);
	struct digest digest;
	struct body *b;
	int e = tree_may(r->httpd->tree, &cred, r->route.name, ACTION_PUSH, err);

	if (!e)
		e = digest_parse(text, &digest, err);
	/* What has no room isn't taken. */
	if (!e)
		e = tree_quota_fits(r->httpd->tree, &cred, r->route.name, &(struct tree_blob_size){ &digest, r->headers.length, true }, err);
	if (!e)
		e = body_new(r, &b, err);
	if (e)
		return e;
	b->digest = digest;
	b->whole = true;
	return 0;
}

void upload_post_begin(struct request *r)
{
	const char *digest = route_param(&r->route, "digest");
	struct err err = ERR_INIT;

	if (digest && begin_whole(r, digest, &err))
		reply_error(r, &err);
}

/* Whether there is an answer already; a source that doesn't have the blob means a common upload,
 * of the digest's algorithm. Without a source any repository will do. */
static bool try_mount(struct request *r, const struct cred *cred, enum digest_algorithm *algorithm,
		      struct err *err)
{
	const char *text = route_param(&r->route, "mount"), *from = route_param(&r->route, "from");
	struct digest digest;

	if (!text)
		return false;
	if (digest_parse(text, &digest, err)) {
		reply_error(r, err);
		return true;
	}
	*algorithm = (enum digest_algorithm)digest.algorithm;
	if (!tree_blob_mount(r->httpd->tree, cred, r->route.name, from, &digest, err)) {
		reply_blob(r, &digest);
		return true;
	}
	if (err->reason == ERR_BLOB_UNKNOWN || err->reason == ERR_NAME_UNKNOWN ||
	    err->reason == ERR_NAME_INVALID)
		return false;
	reply_error(r, err);
	return true;
}

/* Takes what arrived as the blob. */
static int commit(struct request *r, struct err *err)
{
	struct body *b = r->body;
	int e = body_open(b, err);

	if (!e)
		e = tree_upload_commit(b->file, &b->digest, err);
	b->committed = !e;
	return e;
}

void upload_post(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;
	enum digest_algorithm algorithm = DIGEST_SHA256;
	char id[TREE_UPLOAD_ID_MAX + 1];
	int e;

	if (r->body) {
		e = body_settle(r->body, &err);
		if (!e)
			e = commit(r, &err);
		body_close(r->body);
		if (e)
			reply_error(r, &err);
		else
			reply_blob(r, &r->body->digest);
		return;
	}
	if (try_mount(r, &cred, &algorithm, &err))
		return;
	e = parse_algorithm(r, &algorithm, &err);
	if (!e)
		e = tree_upload_begin(r->httpd->tree, &cred, r->route.name, algorithm, id, &err);
	if (e)
		reply_error(r, &err);
	else
		reply_upload(r, MHD_HTTP_ACCEPTED, id, 0);
}

/* ---- PATCH and PUT: a chunk, the end ---- */

/* A chunk must begin where the last one ended, and be as long as it says. */
static int check_range(struct request *r, struct body *b, struct err *err)
{
	const char *header = r->headers.content_range;
	int64_t size = tree_upload_size(b->file), start;
	int e;

	if (!header)
		return 0;
	if (!content_range_parse(header, &start, &b->announced))
		return err_set(err, ERR_UPLOAD_INVALID,
			       "Content-Range is \"%.100s\"; it must be START-END", header);
	if (start != size) {
		e = err_set(err, ERR_UPLOAD_RANGE,
			    "the chunk begins at %" PRId64 ", the upload has %" PRId64 " bytes",
			    start, size);
		err->offset = size;
		return e;
	}
	if (r->headers.length >= 0 && r->headers.length != b->announced)
		return err_set(err, ERR_SIZE_INVALID,
			       "Content-Range says %" PRId64 " bytes, Content-Length %" PRId64,
			       b->announced, r->headers.length);
	return 0;
}

/* digest: what it shall be with this chunk; NULL: it isn't said yet. What comes without a range is all that comes. */
static int begin_chunk(struct request *r, const struct digest *digest, struct body **out, struct err *err)
{
	struct cred cred = request_cred(r);
	struct tree_blob_size blob;
	struct body *b;
	int e;

	/* Numbers that are too long are none of ours. */
	if (strlen(r->route.reference) > TREE_UPLOAD_ID_MAX)
		return err_set(err, ERR_UPLOAD_UNKNOWN, "there is no upload %.64s in %s",
			       r->route.reference, r->route.name);
	e = body_new(r, &b, err);
	if (e)
		return e;
	memcpy(b->id, r->route.reference, strlen(r->route.reference) + 1);
	*out = b;
	e = tree_upload_open(r->httpd->tree, &cred, r->route.name, b->id, &b->file, err);
	if (!e)
		e = check_range(r, b, err);
	if (e || r->headers.length <= 0)
		return e;
	blob = (struct tree_blob_size){ digest, tree_upload_size(b->file) + r->headers.length, digest || !r->headers.content_range };
	return tree_upload_fits(b->file, &blob, err);
}

void upload_patch_begin(struct request *r)
{
	struct err err = ERR_INIT;
	struct body *b;

	if (begin_chunk(r, NULL, &b, &err))
		reply_upload_error(r, &err);
}

void upload_put_begin(struct request *r)
{
	const char *text = route_param(&r->route, "digest");
	struct err err = ERR_INIT;
	struct digest digest;
	struct body *b;
	int e;

	if (!text)
		e = err_set(&err, ERR_DIGEST_INVALID, "the end of an upload needs ?digest=");
	else
		e = digest_parse(text, &digest, &err);
	if (!e)
		e = begin_chunk(r, &digest, &b, &err);
	if (e)
		reply_upload_error(r, &err);
	else
		b->digest = digest;
}

/* What went wrong with the chunk's bytes; with chunked coding their number is known now only. */
static int check_received(struct body *b, struct err *err)
{
	int e = body_settle(b, err);

	if (e)
		return e;
	if (b->announced >= 0 && b->announced != b->received)
		return err_set(err, ERR_SIZE_INVALID,
			       "Content-Range says %" PRId64 " bytes, %" PRId64 " came",
			       b->announced, b->received);
	return 0;
}

void upload_patch(struct request *r)
{
	struct body *b = r->body;
	struct err err = ERR_INIT;
	int e = check_received(b, &err);
	int64_t size = tree_upload_size(b->file);

	body_close(b);
	if (e)
		reply_error(r, &err);
	else
		reply_upload(r, MHD_HTTP_ACCEPTED, r->route.reference, size);
}

void upload_put(struct request *r)
{
	struct body *b = r->body;
	struct err err = ERR_INIT;
	int e = check_received(b, &err);

	if (!e)
		e = commit(r, &err);
	body_close(b);
	if (e)
		reply_error(r, &err);
	else
		reply_blob(r, &b->digest);
}

/* ---- GET and DELETE ---- */

void upload_status(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;
	int64_t size;

	if (tree_upload_stat(r->httpd->tree, &cred, r->route.name, r->route.reference, &size, &err))
		reply_error(r, &err);
	else
		reply_upload(r, MHD_HTTP_NO_CONTENT, r->route.reference, size);
}

void upload_cancel(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;

	if (tree_upload_cancel(r->httpd->tree, &cred, r->route.name, r->route.reference, &err))
		reply_error(r, &err);
	else
		reply_empty(r, MHD_HTTP_NO_CONTENT);
}
