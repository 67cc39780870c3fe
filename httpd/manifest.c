/*
 * manifest.c: manifests by tag or digest.
 *
 * GET is the request that registries get most, so its answers (by tag, by digest) are prepared once
 * for an image and hung on it; the tag is looked up each time.
 *
 * PUT gathers the body in memory. All that are arriving together have at most
 * LIMIT_MANIFEST_MEMORY: each takes its share, all of it at once, when its first byte is there, and
 * who finds too little waits in line. So a holder always has what it needs, and the line moves.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include "fs/tree/grants.h"
#include "httpd/cors.h"
#include "httpd/reply.h"

#define CONTENT_TYPE_MAX (2 * LIMIT_MEDIA_TYPE) /* with parameters */

/* A manifest that is arriving. */
struct gather {
	struct buf data;
	size_t share; /* of LIMIT_MANIFEST_MEMORY; 0: none yet. Guarded by httpd.lock */
	size_t needs;
	bool too_large;
	char content_type[CONTENT_TYPE_MAX + 1]; /* "": not said */
};

/* ---- GET ---- */

/* What hangs on an image. */
struct prepared {
	struct MHD_Response *by_tag, *by_digest;
};

static void prepared_free(void *arg)
{
	struct prepared *p = arg;

	if (p->by_tag)
		MHD_destroy_response(p->by_tag);
	if (p->by_digest)
		MHD_destroy_response(p->by_digest);
	free(p);
}

/* It borrows the image's bytes, which the request holds. */
static struct MHD_Response *make_response(const struct httpd *h, const struct tree_image *image,
					  const char *cache)
{
	struct MHD_Response *response =
		reply_prepare(image->size, image->data, MHD_RESPMEM_PERSISTENT, image->media_type);
	char etag[DIGEST_TEXT_MAX + 3];

	if (!response)
		return NULL;
	snprintf(etag, sizeof(etag), "\"%s\"", image->digest_text);
	MHD_add_response_header(response, "Docker-Content-Digest", image->digest_text);
	MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, etag);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, cache);
	if (cors_varies(h->cors))
		MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Origin");
	return response;
}

static const struct prepared *prepared(const struct httpd *h, struct tree_image *image)
{
	struct prepared *mine = tree_image_door(image), *have;

	if (mine)
		return mine;
	mine = calloc(1, sizeof(*mine));
	if (!mine)
		return NULL;
	mine->by_tag = make_response(h, image, CACHE_ASK);
	mine->by_digest = make_response(h, image, CACHE_IMMUTABLE);
	if (!mine->by_tag || !mine->by_digest) {
		prepared_free(mine);
		return NULL;
	}
	have = tree_image_set_door(image, mine, prepared_free);
	if (have != mine)
		prepared_free(mine);
	return have;
}

/* A tag has no colon. */
static bool is_digest(const char *reference)
{
	return strchr(reference, ':');
}

void manifest_get(struct request *r)
{
	const char *cache = is_digest(r->route.reference) ? CACHE_IMMUTABLE : CACHE_ASK;
	struct cred cred = request_cred(r);
	const struct prepared *p;
	struct err err;

	if (tree_image_get(r->httpd->tree, &cred, r->route.name, r->route.reference, &r->image,
			   &err)) {
		reply_error(r, &err);
		return;
	}
	if (reply_is_known(r, r->image->digest_text)) {
		reply_head(r, MHD_HTTP_NOT_MODIFIED, (int64_t)r->image->size);
		reply_digest(r, r->image->digest_text);
		reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "%s", cache);
		return;
	}
	r->status = MHD_HTTP_OK;
	if (r->origin) {
		r->response = make_response(r->httpd, r->image, cache);
		return;
	}
	p = prepared(r->httpd, r->image);
	if (p)
		r->response = is_digest(r->route.reference) ? p->by_digest : p->by_tag;
	r->borrowed = true;
}

/* ---- PUT ---- */

static size_t count_tags(const struct route *route)
{
	size_t count = 0;

	for (size_t i = 0; i < route->param_count; i++)
		count += streq(route->params[i].key, "tag");
	return count;
}

/* ?tag=a&tag=b, each once; there are at most LIMIT_PUSH_TAGS. */
static size_t list_tags_of(const struct route *route, const char *tags[static LIMIT_PUSH_TAGS])
{
	size_t count = 0;

	for (size_t i = 0; i < route->param_count; i++) {
		size_t same = 0;

		if (!streq(route->params[i].key, "tag"))
			continue;
		while (same < count && !streq(tags[same], route->params[i].value))
			same++;
		if (same == count)
			tags[count++] = route->params[i].value;
	}
	return count;
}

int gather_new(struct request *r, struct err *err)
{
	const char *type = r->headers.content_type;
	int64_t length = r->headers.length;
	struct gather *g;

	if (count_tags(&r->route) > LIMIT_PUSH_TAGS)
		return err_set(err, ERR_TARGET_TOO_LONG,
			       "the request's query has %zu tags, %d are possible",
			       count_tags(&r->route), LIMIT_PUSH_TAGS);
	if (length > LIMIT_MANIFEST)
		return err_set(err, ERR_MANIFEST_TOO_LARGE,
			       "the manifest has %" PRId64 " bytes, %d are possible", length,
			       LIMIT_MANIFEST);
	if (type && strlen(type) > CONTENT_TYPE_MAX)
		return err_set(err, ERR_MANIFEST_INVALID,
			       "the Content-Type is longer than %d bytes", CONTENT_TYPE_MAX);
	g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
	buf_init(&g->data);
	g->needs = length >= 0 ? (size_t)length : LIMIT_MANIFEST;
	if (type)
		memcpy(g->content_type, type, strlen(type) + 1);
	r->gather = g;
	return 0;
}

/* Who may not push takes no share. */
void manifest_put_begin(struct request *r)
{
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;

	if (tree_may(r->httpd->tree, &cred, r->route.name, ACTION_PUSH, &err) || gather_new(r, &err))
		reply_error(r, &err);
}

static bool fits(const struct httpd *h, const struct gather *g)
{
	return h->manifest_memory + g->needs <= LIMIT_MANIFEST_MEMORY;
}

static void take_share(struct httpd *h, struct gather *g)
{
	g->share = g->needs;
	h->manifest_memory += g->share;
}

/* false: none yet; the connection is suspended, or must be dropped. */
static bool share_taken(struct request *r, mhd_result *result)
{
	struct httpd *h = r->httpd;
	struct gather *g = r->gather;

	pthread_mutex_lock(&h->lock);
	if (!g->share) {
		if (!h->manifest_waiters.first && fits(h, g))
			take_share(h, g);
		else if (!request_suspend(r))
			*result = MHD_NO;
		else
			waiters_add(&h->manifest_waiters, r);
	}
	pthread_mutex_unlock(&h->lock);
	return g->share;
}

mhd_result gather_receive(struct request *r, const char *data, size_t *len)
{
	struct gather *g = r->gather;
	mhd_result result = MHD_YES;

	if (!share_taken(r, &result))
		return result;
	if (!g->data.cap)
		buf_reserve(&g->data, r->headers.length >= 0 ? g->needs : *len);
	/* An answer must wait for the body's end; what is too much isn't kept. */
	if (g->too_large || *len > LIMIT_MANIFEST - g->data.len)
		g->too_large = true;
	else
		buf_add(&g->data, data, *len);
	*len = 0;
	return MHD_YES;
}

void gather_free(struct httpd *h, struct gather *g)
{
	struct request *next;

	pthread_mutex_lock(&h->lock);
	h->manifest_memory -= g->share;
	while ((next = h->manifest_waiters.first) && fits(h, next->gather)) {
		waiters_take(&h->manifest_waiters);
		take_share(h, next->gather);
		request_resume(next);
	}
	pthread_mutex_unlock(&h->lock);
	buf_release(&g->data);
	free(g);
}

int gather_whole(const struct gather *g, const char **data, size_t *len, struct err *err)
{
	if (g->too_large)
		return err_set(err, ERR_MANIFEST_TOO_LARGE, "the manifest has more than %d bytes",
			       LIMIT_MANIFEST);
	if (buf_error(&g->data))
		return err_set(err, ERR_NO_MEMORY, "no memory for a manifest");
	*data = g->data.data;
	*len = g->data.len;
	return 0;
}

static int put(struct request *r, struct tree_pushed *pushed, struct err *err)
{
	struct gather *g = r->gather;
	struct cred cred = request_cred(r);
	const char *tags[LIMIT_PUSH_TAGS];
	size_t count = list_tags_of(&r->route, tags), len;
	const char *data;
	int e = gather_whole(g, &data, &len, err);

	return e ? e : tree_image_push_tags(r->httpd->tree, &cred, r->route.name, r->route.reference, tags,
				    count, g->content_type[0] ? g->content_type : NULL,
				    data, len, pushed, err);
}

static void warn(struct request *r, const struct tree_pushed *pushed)
{
	char text[DIGEST_TEXT_MAX + 1];

	if (pushed->subject_missing)
		reply_warning(r, "%s has no image %s, which this one names as its subject",
			      r->route.name, digest_format(&pushed->subject, text));
	if (pushed->missing_children)
		reply_warning(r, "%s lacks %zu of the images that this index names", r->route.name,
			      pushed->missing_children);
	if (pushed->missing_layers)
		reply_warning(r, "%s lacks %zu of this image's layers: it can't be pulled without",
			      r->route.name, pushed->missing_layers);
	if (pushed->bad_expires)
		reply_warning(r, "the label regfs.expires is passed over: it is a duration such as 14d, or a time such as 2026-12-31T00:00:00Z");
}

void manifest_put(struct request *r)
{
	char text[DIGEST_TEXT_MAX + 1];
	const char *tags[LIMIT_PUSH_TAGS];
	size_t count = list_tags_of(&r->route, tags);
	struct tree_pushed pushed = { 0 };
	struct err err = ERR_INIT;

	if (put(r, &pushed, &err)) {
		reply_error(r, &err);
		return;
	}
	digest_format(&pushed.digest, text);
	reply_empty(r, MHD_HTTP_CREATED);
	reply_header(r, MHD_HTTP_HEADER_LOCATION, "%s/v2/%s/manifests/%s", r->httpd->public_url,
		     r->route.name, text);
	reply_header(r, "Docker-Content-Digest", "%s", text);
	if (pushed.subject.algorithm != DIGEST_NONE)
		reply_header(r, "OCI-Subject", "%s", digest_format(&pushed.subject, text));
	for (size_t i = 0; i < count; i++)
		reply_header(r, "OCI-Tag", "%s", tags[i]);
	warn(r, &pushed);
}

/* ---- DELETE ---- */

void manifest_delete(struct request *r)
{
	struct cred cred = request_cred(r);
	const char *reference = r->route.reference;
	struct err err = ERR_INIT;
	struct digest digest;
	int e;

	if (!is_digest(reference)) {
		e = tree_tag_rm(r->httpd->tree, &cred, r->route.name, reference, &err);
	} else {
		e = digest_parse(reference, &digest, &err);
		if (!e)
			e = tree_image_rm(r->httpd->tree, &cred, r->route.name, &digest, &err);
	}
	if (e)
		reply_error(r, &err);
	else
		reply_empty(r, MHD_HTTP_ACCEPTED);
}
