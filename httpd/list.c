/*
 * list.c: the catalog and a repository's tags, a page at a time.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include "fs/base/json.h"
#include "httpd/reply.h"

struct page {
	int64_t n; /* at most so many names */
	const char *after;
	struct buf json;
	struct buf last; /* the name given last */
	bool more;
};

static void page_release(struct page *page)
{
	buf_release(&page->json);
	buf_release(&page->last);
}

/* ?n= and ?last=. More than LIMIT_PAGE is LIMIT_PAGE; libraries ask for "all" so. */
static int page_parse(const struct request *r, struct page *page, struct err *err)
{
	const char *n = route_param(&r->route, "n");

	buf_init(&page->json);
	buf_init(&page->last);
	page->after = route_param(&r->route, "last");
	page->more = false;
	page->n = n ? 0 : LIMIT_PAGE;
	if (n && (!*n || n[strspn(n, "0123456789")]))
		return err_set(err, ERR_REQUEST_INVALID, "n is \"%s\", which isn't a number", n);
	for (; n && *n && page->n < LIMIT_PAGE; n++)
		page->n = page->n * 10 + (*n - '0');
	page->n = MIN(page->n, LIMIT_PAGE);
	return 0;
}

static int add_name(void *arg, const char *name)
{
	struct page *page = arg;

	if (page->last.len)
		buf_addc(&page->json, ',');
	json_add_string(&page->json, name);
	buf_reset(&page->last);
	buf_adds(&page->last, name);
	return buf_error(&page->json);
}

static void reply_page(struct request *r, struct page *page, const char *path)
{
	auto_buf struct buf next = BUF_INIT;

	buf_adds(&page->json, "]}\n");
	reply_text(r, MHD_HTTP_OK, "application/json", &page->json);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, CACHE_ASK);
	if (!page->more || !page->last.len)
		return;
	reply_add_escaped(&next, page->last.data);
	if (!buf_error(&next))
		reply_header(r, MHD_HTTP_HEADER_LINK,
			     "</v2/%s?n=%" PRId64 "&last=%s>; rel=\"next\"", path, page->n,
			     next.data);
}

void list_catalog(struct request *r)
{
	struct cred cred = request_cred(r);
	CLEANUP(page_release) struct page page;
	struct err err = ERR_INIT;
	int e = page_parse(r, &page, &err);

	buf_adds(&page.json, "{\"repositories\":[");
	if (!e)
		e = tree_repo_list(r->httpd->tree, &cred, page.after, page.n, add_name, &page,
				   &page.more, &err);
	if (e)
		reply_error(r, &err);
	else
		reply_page(r, &page, "_catalog");
}

void list_tags(struct request *r)
{
	struct cred cred = request_cred(r);
	CLEANUP(page_release) struct page page;
	auto_buf struct buf path = BUF_INIT;
	struct err err = ERR_INIT;
	int e = page_parse(r, &page, &err);

	buf_adds(&page.json, "{\"name\":");
	json_add_string(&page.json, r->route.name);
	buf_adds(&page.json, ",\"tags\":[");
	if (!e)
		e = tree_tag_list(r->httpd->tree, &cred, r->route.name, page.after, page.n,
				  add_name, &page, &page.more, &err);
	buf_addf(&path, "%s/tags/list", r->route.name);
	if (e)
		reply_error(r, &err);
	else
		reply_page(r, &page, path.data);
}
