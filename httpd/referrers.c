/*
 * referrers.c: what names an image as its subject: distribution-spec, spec.md, "Listing Referrers".
 *
 * The list is an image index, made for the answer. One that would be larger than
 * LIMIT_REFERRERS_PAGE goes on behind a Link.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include "fs/base/json.h"
#include "httpd/reply.h"

struct referrers {
	struct buf json;
	size_t count;
	int64_t last; /* position of the one given last */
	bool more;
};

static void add_descriptor(struct buf *json, const struct tree_referrer *referrer)
{
	char text[DIGEST_TEXT_MAX + 1];

	buf_addc(json, '{');
	json_add_key(json, "mediaType");
	json_add_string(json, referrer->media_type);
	json_add_key(json, "digest");
	json_add_string(json, digest_format(&referrer->digest, text));
	json_add_key(json, "size");
	buf_addf(json, "%" PRId64, referrer->size);
	if (*referrer->artifact_type) {
		json_add_key(json, "artifactType");
		json_add_string(json, referrer->artifact_type);
	}
	if (*referrer->annotations) {
		json_add_key(json, "annotations");
		buf_adds(json, referrer->annotations);
	}
	buf_addc(json, '}');
}

static int add_referrer(void *arg, const struct tree_referrer *referrer)
{
	struct referrers *page = arg;
	size_t before = page->json.len;

	if (page->count)
		buf_addc(&page->json, ',');
	add_descriptor(&page->json, referrer);
	if (page->count && page->json.len > LIMIT_REFERRERS_PAGE) {
		buf_truncate(&page->json, before);
		page->more = true;
		return 1;
	}
	page->count++;
	page->last = referrer->position;
	return buf_error(&page->json);
}

/* ?after=, which only our own Link has. */
static int parse_after(const struct request *r, int64_t *out, struct err *err)
{
	const char *text = route_param(&r->route, "after");

	*out = 0;
	if (!text)
		return 0;
	for (const char *p = text; *p; p++)
		if (*p < '0' || *p > '9' || __builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, *p - '0', out))
			return err_set(err, ERR_REQUEST_INVALID,
				       "after is \"%.40s\"; take it from a Link", text);
	return 0;
}

static void reply_referrers(struct request *r, struct referrers *page, const char *type)
{
	auto_buf struct buf query = BUF_INIT;

	buf_adds(&page->json, "]}\n");
	reply_text(r, MHD_HTTP_OK, MEDIA_OCI_INDEX, &page->json);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, CACHE_ASK);
	if (type)
		reply_header(r, "OCI-Filters-Applied", "artifactType");
	if (!page->more)
		return;
	buf_addf(&query, "after=%" PRId64, page->last);
	if (type) {
		buf_adds(&query, "&artifactType=");
		reply_add_escaped(&query, type);
	}
	if (!buf_error(&query))
		reply_header(r, MHD_HTTP_HEADER_LINK, "</v2/%s/referrers/%s?%s>; rel=\"next\"",
			     r->route.name, r->route.reference, query.data);
}

void referrers_list(struct request *r)
{
	const char *type = route_param(&r->route, "artifactType");
	struct cred cred = request_cred(r);
	struct referrers page = { .json = BUF_INIT };
	struct err err = ERR_INIT;
	struct digest subject;
	int64_t after;
	int e = digest_parse(r->route.reference, &subject, &err);

	/* An empty one asks for all, as clients do that always send it. */
	if (type && !*type)
		type = NULL;
	if (!e)
		e = parse_after(r, &after, &err);
	buf_adds(&page.json,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	if (!e)
		e = tree_referrers(r->httpd->tree, &cred, r->route.name, &subject, type, after,
				   add_referrer, &page, &err);
	/* Nothing refers to what isn't there; a 404 would say that there are no such lists. */
	if (e && err.reason == ERR_NAME_UNKNOWN)
		e = 0;
	if (e)
		reply_error(r, &err);
	else
		reply_referrers(r, &page, type);
	buf_release(&page.json);
}
