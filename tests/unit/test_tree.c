/*
 * test_tree.c: the operations, from the upload of a blob to the removal of a repository.
 */
#include "fs/base/base.h"
#include "fs/tree/grants.h"
#include "fs/tree/state.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <pthread.h>

/* A registry of its own for each test, opened twice, as two processes would. */
struct registry {
	char *dir;
	struct tree *tree, *other;
	struct cred cred;
};

static bool registry_open(struct registry *g, const struct scratch *tmp, const char *name)
{
	struct err err = ERR_INIT;

	*g = (struct registry){ .dir = scratch_path(tmp->dir, name), .cred = cred_administrator("test") };
	return is_int(tree_open(g->dir, TREE_CREATE, &g->tree, &err), 0, "%s: a registry %s", name,
		      err.text) &&
	       is_int(tree_open(g->dir, 0, &g->other, &err), 0, "opened twice %s", err.text);
}

static void registry_close(struct registry *g)
{
	tree_close(g->tree);
	tree_close(g->other);
	free(g->dir);
}

static int64_t last_event(struct tree *t)
{
	auto_reader struct meta_reader rd = { .meta = t->meta };
	int64_t n = -1;

	if (meta_read_begin(t->meta, &rd.db, NULL) || event_last(rd.db, &n, NULL))
		return -1;
	return n;
}

/* "kind repo tag changed; ..." of the events behind `after`. */
static char *events_after(struct tree *t, int64_t after)
{
	auto_reader struct meta_reader rd = { .meta = t->meta };
	auto_query struct query *q = NULL;
	auto_buf struct buf out = BUF_INIT;

	if (meta_read_begin(t->meta, &rd.db, NULL) ||
	    db_query(rd.db, &q, NULL,
		     "SELECT kind, repository, tag, changed FROM event WHERE number > ? ORDER BY number",
		     "i", after))
		return NULL;
	while (query_step(q, NULL) > 0)
		buf_addf(&out, "%s%s %s %s %d", out.len ? "; " : "", query_text(q, 0), query_text(q, 1),
			 query_text(q, 2), (int)query_int(q, 3));
	return buf_steal(&out);
}

static void is_events(struct tree *t, int64_t after, const char *want)
{
	auto_free char *got = events_after(t, after);

	is_str(got, want, "events");
}

struct names {
	struct buf out;
	int left;	/* stop after that many; 0: never */
};

static int add_name(void *arg, const char *name)
{
	struct names *n = arg;

	buf_addf(&n->out, "%s%s", n->out.len ? " " : "", name);
	return n->left && --n->left == 0;
}

static void is_tags(struct registry *g, const char *repo, const char *want)
{
	struct names n = { .out = BUF_INIT };
	bool more = true;
	int r = tree_tag_list(g->other, &g->cred, repo, NULL, 100, add_name, &n, &more, NULL);

	is_str(r ? NULL : n.out.data, want, "tags of %s", repo);
	ok(!more, "all of them");
	buf_release(&n.out);
}

static void is_repos(struct registry *g, const char *last, int64_t page, const char *want, bool want_more)
{
	struct names n = { .out = BUF_INIT };
	bool more = !want_more;

	is_int(tree_repo_list(g->other, &g->cred, last, page, add_name, &n, &more, NULL), 0, "catalog");
	is_str(n.out.data, want, "%d behind \"%s\"", (int)page, last ? last : "NULL");
	is_int(more, want_more, "more");
	buf_release(&n.out);
}

static void is_reason(int r, const struct err *err, enum reason want, const char *what)
{
	is_int(r ? (int)err->reason : 0, want, "%s: %s", what, r ? err->text : "it succeeded");
	if (r)
		is_int(r, -err_row(want)->errnum, "with its errno");
}

/* ---- Uploads ---- */

static void test_upload(struct registry *g)
{
	const char *repo = "up/load";
	struct tree_upload *u = NULL, *second = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1], data[64] = "";
	auto_content struct content *c = NULL;
	struct digest d;
	struct err err = ERR_INIT;
	int64_t size = -1;

	is_int(digest_of(DIGEST_SHA256, "one two three", 13, &d, NULL), 0, "a digest");
	is_int(tree_upload_begin(g->tree, &g->cred, repo, DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_stat(g->other, &g->cred, repo, id, &size, NULL), 0, "known elsewhere");
	is_int(size, 0, "empty");
	is_reason(tree_upload_stat(g->tree, &g->cred, "up", id, &size, &err), &err, ERR_NAME_UNKNOWN,
		  "in a namespace");
	is_reason(tree_upload_stat(g->tree, &g->cred, repo, "../x", &size, &err), &err,
		  ERR_UPLOAD_UNKNOWN, "a hostile id");
	is_int(tree_upload_open(g->tree, &g->cred, repo, id, &u, NULL), 0, "opened");
	is_int(tree_upload_write(u, "one ", 4, NULL), 0, "written");
	is_reason(tree_upload_open(g->tree, &g->cred, repo, id, &second, &err), &err, ERR_BUSY,
		  "opened twice");
	is_reason(tree_upload_open(g->other, &g->cred, repo, id, &second, &err), &err, ERR_BUSY,
		  "by another");
	is_int(tree_upload_write(u, "two ", 4, NULL), 0, "it goes on all the same");
	tree_upload_close(u);
	is_int(tree_upload_open(g->tree, &g->cred, repo, id, &u, NULL), 0, "opened again");
	is_int(tree_upload_size(u), 8, "it knows its size");
	tree_upload_close(u);
	is_int(tree_upload_open(g->other, &g->cred, repo, id, &u, NULL), 0, "by another, as after a restart");
	is_int(tree_upload_write(u, "three", 5, NULL), 0, "written");
	tree_upload_close(u);
	is_int(tree_upload_open(g->tree, &g->cred, repo, id, &u, NULL), 0, "whose digest is behind now");
	is_int(tree_upload_commit(u, &d, &err), 0, "committed %s", err.text);
	tree_upload_close(u);
	is_reason(tree_upload_stat(g->tree, &g->cred, repo, id, &size, &err), &err, ERR_UPLOAD_UNKNOWN,
		  "the upload is no more");
	is_int(tree_blob_stat(g->other, &g->cred, repo, &d, &size, NULL), 0, "the blob is there");
	is_int(size, 13, "whole");
	is_int(tree_blob_open(g->other, &g->cred, repo, &d, &c, NULL), 0, "opened");
	is_int(content_read(c, data, sizeof(data), 0, NULL), 13, "read");
	is_str(data, "one two three", "byte for byte");
}

/* A repository with nothing but an upload is gone with it. */
static void test_upload_ends(struct registry *g)
{
	struct tree_upload *u = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	struct digest d;
	struct err err = ERR_INIT;
	int64_t size;

	is_int(digest_of(DIGEST_SHA256, "other", 5, &d, NULL), 0, "a digest");
	is_int(tree_upload_begin(g->tree, &g->cred, "e/n/d", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_open(g->tree, &g->cred, "e/n/d", id, &u, NULL), 0, "opened");
	is_int(tree_upload_write(u, "bytes", 5, NULL), 0, "written");
	is_reason(tree_upload_commit(u, &d, &err), &err, ERR_DIGEST_MISMATCH, "a wrong digest");
	tree_upload_close(u);
	is_reason(tree_upload_stat(g->tree, &g->cred, "e/n/d", id, &size, &err), &err, ERR_NAME_UNKNOWN,
		  "ends upload and repository");
	is_int(tree_upload_begin(g->tree, &g->cred, "e/n/d", DIGEST_SHA512, id, NULL), 0, "another");
	is_int(tree_upload_cancel(g->other, &g->cred, "e/n/d", id, NULL), 0, "cancelled");
	is_reason(tree_upload_cancel(g->tree, &g->cred, "e/n/d", id, &err), &err, ERR_NAME_UNKNOWN, "twice");
	is_reason(tree_upload_begin(g->tree, &g->cred, "E/n", DIGEST_SHA256, id, &err), &err,
		  ERR_NAME_INVALID, "a bad name");
}

/* The row outlives its file where the power failed between the two: it must be possible to end it. */
static void test_upload_lost(struct registry *g)
{
	struct tree_upload *u = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	struct err err = ERR_INIT;
	int64_t size;

	is_int(tree_upload_begin(g->tree, &g->cred, "lost", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(store_upload_remove(g->tree->store, id, NULL), 0, "its file is lost");
	is_reason(tree_upload_stat(g->tree, &g->cred, "lost", id, &size, &err), &err,
		  ERR_UPLOAD_UNKNOWN, "stat");
	is_reason(tree_upload_open(g->tree, &g->cred, "lost", id, &u, &err), &err, ERR_UPLOAD_UNKNOWN,
		  "open");
	is_int(tree_upload_cancel(g->tree, &g->cred, "lost", id, &err), 0, "it can be cancelled");
	is_reason(tree_upload_stat(g->tree, &g->cred, "lost", id, &size, &err), &err, ERR_NAME_UNKNOWN,
		  "and nothing is left");
}

/* Between seal and commit a collector takes the file: the commit puts it back. */
static void test_collected(struct registry *g)
{
	struct tree_upload *u = NULL;
	auto_store_upload struct store_upload *file = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	struct digest d;
	struct err err = ERR_INIT;

	is_int(digest_of(DIGEST_SHA256, "collected", 9, &d, NULL), 0, "a digest");
	is_int(tree_upload_begin(g->tree, &g->cred, "gc", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_open(g->tree, &g->cred, "gc", id, &u, NULL), 0, "opened");
	is_int(tree_upload_write(u, "collected", 9, NULL), 0, "written");
	tree_upload_close(u);
	/* As a commit that got no further than the seal. */
	is_int(store_upload_open(g->tree->store, id, NULL, 0, &file, NULL), 0, "its file");
	is_int(store_upload_seal(file, &d, NULL), 0, "sealed");
	store_upload_close(steal(&file));
	is_int(tree_upload_open(g->tree, &g->cred, "gc", id, &u, NULL), 0, "opened again");
	is_reason(tree_upload_write(u, "x", 1, &err), &err, ERR_UPLOAD_INVALID, "a sealed one is read-only");
	is_int(store_blob_unlink(g->tree->store, &d, NULL), 0, "a collector comes");
	is_int(tree_upload_commit(u, &d, &err), 0, "committed %s", err.text);
	tree_upload_close(u);
	is_int(store_blob_exists(g->tree->store, &d, NULL), 1, "the file is there");
}

static void test_mount(struct registry *g)
{
	struct digest d, none;
	struct err err = ERR_INIT;
	int64_t size = 0;

	is_int(digest_of(DIGEST_SHA256, "nowhere", 7, &none, NULL), 0, "a digest");
	is_int(push_text(g->tree, &g->cred, "from/it", "mounted", &d, NULL), 0, "a blob");
	is_int(tree_blob_mount(g->tree, &g->cred, "to/it", "from/it", &d, &err), 0, "mounted %s", err.text);
	is_int(tree_blob_stat(g->other, &g->cred, "to/it", &d, &size, NULL), 0, "it is there");
	is_int(size, 7, "whole");
	is_int(tree_blob_mount(g->tree, &g->cred, "to/it", "to/it", &d, NULL), 0, "twice, from itself");
	is_reason(tree_blob_mount(g->tree, &g->cred, "to/it", "from/it", &none, &err), &err,
		  ERR_BLOB_UNKNOWN, "a blob that isn't there");
	is_reason(tree_blob_mount(g->tree, &g->cred, "to/it", "not/there", &d, &err), &err,
		  ERR_BLOB_UNKNOWN, "from a repository that isn't");
	is_reason(tree_blob_mount(g->tree, &g->cred, "to/it", "from", &d, &err), &err,
		  ERR_BLOB_UNKNOWN, "from a namespace");
	is_reason(tree_blob_mount(g->tree, &g->cred, "to/it", "NOT/A NAME", &d, &err), &err,
		  ERR_BLOB_UNKNOWN, "from what is no name");
	is_reason(tree_blob_mount(g->tree, &g->cred, "NOT A NAME", "from/it", &d, &err), &err,
		  ERR_NAME_INVALID, "to what is no name");
	is_reason(tree_blob_mount(g->tree, &g->cred, "fresh", "not/there", &d, &err), &err,
		  ERR_BLOB_UNKNOWN, "into a new repository");
	is_reason(tree_blob_stat(g->tree, &g->cred, "fresh", &d, &size, &err), &err, ERR_NAME_UNKNOWN,
		  "which isn't made for it");
}

/* ---- Images ---- */

static void test_missing(struct registry *g)
{
	static const char *const layers[] = { "here", "missing-1", "missing-2" };
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	struct digest d;
	struct err err = ERR_INIT;
	char text[DIGEST_TEXT_MAX + 1], want[ERR_DETAIL_MAX] = "[";
	int64_t before = last_event(g->tree);

	is_int(image_json("{}", layers, 3, &json), 0, "a manifest");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", "1", NULL, json.data, json.len, &pushed, &err),
		  &err, ERR_MANIFEST_BLOB_UNKNOWN, "into a repository that isn't there");
	is_int(push_text(g->tree, &g->cred, "miss", "here", &d, NULL), 0, "one of its blobs");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", "1", NULL, json.data, json.len, &pushed, &err),
		  &err, ERR_MANIFEST_BLOB_UNKNOWN, "without the others");
	for (size_t i = 0; i < 3; i++) {
		static const char *const gone[] = { "{}", "missing-1", "missing-2" };

		(void)!digest_of(DIGEST_SHA256, gone[i], strlen(gone[i]), &d, NULL);
		snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s\"%s\"", i ? "," : "",
			 digest_format(&d, text));
	}
	snprintf(want + strlen(want), sizeof(want) - strlen(want), "]");
	is_str(err.detail, want, "the detail lists them");
	is_tags(g, "miss", NULL);
	is_int(last_event(g->tree), before, "nothing happened");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", "1", NULL, "{", 1, &pushed, &err), &err,
		  ERR_MANIFEST_INVALID, "no manifest");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", "-bad", NULL, json.data, json.len, &pushed,
				  &err),
		  &err, ERR_TAG_INVALID, "no tag");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", text, NULL, json.data, json.len, &pushed, &err),
		  &err, ERR_DIGEST_MISMATCH, "another digest");
}

/* As many as there may be are missing: what fits of the list is a list. */
static void test_missing_many(struct registry *g)
{
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	struct digest d;
	struct err err = ERR_INIT;

	(void)!digest_of(DIGEST_SHA512, "x", 1, &d, NULL);
	buf_adds(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":");
	add_descriptor_json(&json, MEDIA_OCI_CONFIG, &d, 1, NULL);
	buf_adds(&json, ",\"layers\":[");
	for (int i = 0; i < 300; i++) {
		char bytes[16];

		snprintf(bytes, sizeof(bytes), "%d", i);
		(void)!digest_of(i % 2 ? DIGEST_SHA256 : DIGEST_SHA512, bytes, strlen(bytes), &d, NULL);
		if (i)
			buf_addc(&json, ',');
		add_descriptor_json(&json, LAYER_MEDIA, &d, 1, NULL);
	}
	buf_adds(&json, "]}");
	is_reason(tree_image_push(g->tree, &g->cred, "miss", "1", NULL, json.data, json.len, &pushed, &err),
		  &err, ERR_MANIFEST_BLOB_UNKNOWN, "301 blobs");
	ok(strlen(err.detail) > 400 && starts_with(err.detail, "[\"sha") && strstr(err.detail, "\"]"),
	   "a list: %zu bytes", strlen(err.detail));
	ok(strstr(err.text, "301") != NULL, "the text knows how many: %s", err.text);
}

static int keep_info(void *arg, const struct tree_image_info *info)
{
	struct buf *b = arg;
	char text[DIGEST_TEXT_MAX + 1];

	buf_addf(b, "%s%.15s %s %" PRId64 " %d", b->len ? "; " : "", digest_format(&info->digest, text),
		 info->platform, info->size, info->is_index);
	return 0;
}

static int keep_use(void *arg, const struct tree_use *use)
{
	struct buf *b = arg;
	char text[DIGEST_TEXT_MAX + 1];

	buf_addf(b, "%s%s%s%s as %d", b->len ? "; " : "", use->repo, use->tag ? ":" : "@",
		 use->tag ? use->tag : digest_format(&use->digest, text), (int)use->role);
	return 0;
}

static int keep_layer(void *arg, const struct tree_layer *layer)
{
	struct buf *b = arg;

	buf_addf(b, "%s%d %" PRId64 " %s", b->len ? "; " : "", layer->number, layer->size,
		 layer->instruction);
	return 0;
}

static int keep_repo(void *arg, const struct tree_repo *repo)
{
	buf_addf(arg, "%s %" PRId64 " tags %" PRId64 " images %" PRId64 " blobs %" PRId64 " bytes",
		 repo->name, repo->tags, repo->images, repo->blobs, repo->size);
	return 0;
}

static const char config[] = "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\","
			     "\"created\":\"2024-01-02T03:04:05Z\",\"rootfs\":{\"type\":\"layers\","
			     "\"diff_ids\":[]},\"history\":[{\"created_by\":\"FROM base\"},"
			     "{\"created_by\":\"ENV x=y\",\"empty_layer\":true},"
			     "{\"created_by\":\"RUN\\tmake\"}]}";
static const char *const two_layers[] = { "base layer", "upper" };

static void test_image(struct registry *g)
{
	auto_buf struct buf json = BUF_INIT, seen = BUF_INIT;
	auto_tree_image struct tree_image *image = NULL, *by_digest = NULL;
	struct digest d = { 0 }, layer;
	struct err err = ERR_INIT;
	char want[600], text[DIGEST_TEXT_MAX + 1];
	int64_t before = last_event(g->tree);

	is_int(push_layers(g->tree, &g->cred, "im/age", "1.0", config, two_layers, 2, &d, &err), 0,
	       "an image %s", err.text);
	is_events(g->tree, before, "push im/age 1.0 1");
	(void)!image_json(config, two_layers, 2, &json);
	is_int(tree_image_get(g->other, &g->cred, "im/age", "1.0", &image, NULL), 0, "by tag");
	ok(image->size == json.len && memcmp(image->data, json.data, json.len) == 0, "byte for byte");
	is_str(image->media_type, MEDIA_OCI_MANIFEST, "its media type");
	is_str(image->digest_text, digest_format(&d, text), "its digest");
	is_int(tree_image_get(g->tree, &g->cred, "im/age", text, &by_digest, NULL), 0, "by digest");
	is_int(tree_image_show(g->tree, &g->cred, "im/age", "1.0", keep_info, &seen, NULL), 0, "shown");
	snprintf(want, sizeof(want), "%.15s linux/arm64/v8 %zu 0", text,
		 json.len + sizeof(config) - 1 + strlen(two_layers[0]) + strlen(two_layers[1]));
	is_str(seen.data, want, "platform and size");
	buf_reset(&seen);
	is_int(tree_image_layers(g->tree, &g->cred, "im/age", "1.0", keep_layer, &seen, NULL), 0, "layers");
	is_str(seen.data, "1 10 FROM base; 2 5 RUN make", "with what made them");
	buf_reset(&seen);
	(void)!digest_of(DIGEST_SHA256, "upper", 5, &layer, NULL);
	is_int(tree_used_by(g->tree, &g->cred, "im/age", &layer, keep_use, &seen, NULL), 0, "uses");
	snprintf(want, sizeof(want), "im/age@%s as %d", text, ROLE_LAYER);
	is_str(seen.data, want, "of a layer");
	buf_reset(&seen);
	is_int(tree_used_by(g->tree, &g->cred, NULL, &d, keep_use, &seen, NULL), 0, "uses, anywhere");
	is_str(seen.data, "im/age:1.0 as 0", "of an image");
	buf_reset(&seen);
	is_int(tree_repo_show(g->tree, &g->cred, "im/age", keep_repo, &seen, NULL), 0, "the repository");
	snprintf(want, sizeof(want), "im/age 1 tags 1 images 4 blobs %zu bytes",
		 json.len + sizeof(config) - 1 + 15);
	is_str(seen.data, want, "its sums");
	before = last_event(g->tree);
	is_int(push_layers(g->other, &g->cred, "im/age", "1.0", config, two_layers, 2, &d, NULL), 0, "again");
	is_events(g->tree, before, "push im/age 1.0 0");
	is_reason(tree_blob_rm(g->tree, &g->cred, "im/age", &layer, &err), &err, ERR_IN_USE,
		  "a blob in use can't be removed");
	is_reason(tree_blob_rm(g->tree, &g->cred, "im/age", &d, &err), &err, ERR_IN_USE, "nor a manifest");
}

static void test_tags(struct registry *g)
{
	struct digest a = { 0 }, b = { 0 }, none;
	struct err err = ERR_INIT;
	struct repo_row repo = { 0 };
	struct meta_reader rd = { .meta = g->tree->meta };
	int64_t before;

	is_int(push_simple(g->tree, &g->cred, "t", "a", "a", &a, NULL), 0, "an image");
	is_int(push_simple(g->tree, &g->cred, "t", "b", "b", &b, NULL), 0, "another");
	is_int(meta_read_begin(g->tree->meta, &rd.db, NULL), 0, "a reader");
	is_int(need_repo(rd.db, "t", &repo, NULL), 0, "the repository's row");
	meta_reader_release(&rd);
	before = last_event(g->tree);
	is_int(tree_tag_set(g->tree, &g->cred, "t", "c", &a, NULL), 0, "a tag");
	is_int(tree_tag_set(g->tree, &g->cred, "t", "c", &a, NULL), 0, "set twice");
	is_int(tree_tag_set(g->tree, &g->cred, "t", "c", &b, NULL), 0, "moved");
	is_events(g->tree, before, "tag t c 1; tag t c 1");
	is_tags(g, "t", "a b c");
	before = last_event(g->tree);
	is_int(tree_tag_rename(g->tree, &g->cred, &repo, "c", "d", true, false, NULL), 0, "renamed");
	is_events(g->tree, before, "untag t c 1; tag t d 1");
	before = last_event(g->tree);
	is_reason(tree_tag_rename(g->tree, &g->cred, &repo, "d", "a", true, true, &err), &err, ERR_EXISTS,
		  "renamed to one that is taken");
	is_int(tree_tag_rename(g->tree, &g->cred, &repo, "d", "a", true, false, NULL), 0, "replacing it");
	is_events(g->tree, before, "untag t d 1; tag t a 1");
	before = last_event(g->tree);
	is_int(tree_tag_rename(g->tree, &g->cred, &repo, "a", "b", true, false, NULL), 0, "over its like");
	is_events(g->tree, before, "untag t a 1");
	is_tags(g, "t", "b");
	before = last_event(g->tree);
	is_int(tree_tag_rename(g->tree, &g->cred, &repo, "b", "b", true, false, NULL), 0, "to itself");
	is_reason(tree_tag_rename(g->tree, &g->cred, &repo, "x", "y", true, false, &err), &err,
		  ERR_MANIFEST_UNKNOWN, "one that isn't there");
	is_reason(tree_tag_rename(g->tree, &g->cred, &repo, "b", "../y", true, false, &err), &err,
		  ERR_TAG_INVALID, "to what is no tag");
	(void)!digest_of(DIGEST_SHA256, "none", 4, &none, NULL);
	is_reason(tree_tag_set(g->tree, &g->cred, "t", "c", &none, &err), &err, ERR_MANIFEST_UNKNOWN,
		  "no such image");
	is_reason(tree_tag_set(g->tree, &g->cred, "t", "c/d", &b, &err), &err, ERR_TAG_INVALID, "no tag");
	is_reason(tree_tag_set(g->tree, &g->cred, "nobody", "c", &b, &err), &err, ERR_NAME_UNKNOWN,
		  "no repository");
	is_reason(tree_tag_rm(g->tree, &g->cred, "t", "x", &err), &err, ERR_MANIFEST_UNKNOWN, "no such tag");
	is_events(g->tree, before, "");
	is_int(tree_tag_rm(g->tree, &g->cred, "t", "b", NULL), 0, "removed");
	is_events(g->tree, before, "untag t b 1");
	is_tags(g, "t", "");
}

/* A page ends where it should, whoever ends it. */
static void test_tag_pages(struct registry *g)
{
	struct names n = { .out = BUF_INIT };
	struct digest d = { 0 };
	bool more = false;
	int r = push_simple(g->tree, &g->cred, "pages", "a", "pages", &d, NULL);

	for (char tag[2] = "b"; !r && *tag <= 'e'; ++*tag)
		r = tree_tag_set(g->tree, &g->cred, "pages", tag, &d, NULL);
	is_int(r, 0, "tags a to e");
	is_int(tree_tag_list(g->tree, &g->cred, "pages", NULL, 2, add_name, &n, &more, NULL), 0, "a page");
	ok(more && streq(n.out.data, "a b"), "of two: %s", n.out.data);
	buf_reset(&n.out);
	is_int(tree_tag_list(g->tree, &g->cred, "pages", "b", 3, add_name, &n, &more, NULL), 0, "the rest");
	ok(!more && streq(n.out.data, "c d e"), "exactly: %s", n.out.data);
	buf_reset(&n.out);
	is_int(tree_tag_list(g->tree, &g->cred, "pages", "bb", INT64_MAX, add_name, &n, &more, NULL), 0,
	       "all behind one that isn't there");
	ok(!more && streq(n.out.data, "c d e"), "%s", n.out.data);
	buf_reset(&n.out);
	is_int(tree_tag_list(g->tree, &g->cred, "pages", NULL, 0, add_name, &n, &more, NULL), 0, "none");
	is_str(n.out.data, "", "is none");
	n.left = 2;
	is_int(tree_tag_list(g->tree, &g->cred, "pages", NULL, 9, add_name, &n, &more, NULL), 0, "ended");
	is_str(n.out.data, "a b", "by the one who reads");
	buf_release(&n.out);
}

static void test_index(struct registry *g)
{
	static const char *const layers[] = { "amd layer" };
	auto_buf struct buf json = BUF_INIT, seen = BUF_INIT;
	struct tree_pushed pushed = { 0 };
	struct digest amd = { 0 }, arm = { 0 }, gone;
	struct err err = ERR_INIT;
	char want[600], a[DIGEST_TEXT_MAX + 1], b[DIGEST_TEXT_MAX + 1], i[DIGEST_TEXT_MAX + 1];
	size_t amd_size, arm_size;

	is_int(push_layers(g->tree, &g->cred, "in/dex", "amd", "{}", layers, 1, &amd, NULL), 0, "a child");
	is_int(push_layers(g->tree, &g->cred, "in/dex", "arm", config, two_layers, 2, &arm, NULL), 0,
	       "another");
	(void)!image_json("{}", layers, 1, &json);
	amd_size = json.len + 2 + 9;
	(void)!image_json(config, two_layers, 2, &json);
	arm_size = json.len + sizeof(config) - 1 + 15;
	(void)!digest_of(DIGEST_SHA256, "gone", 4, &gone, NULL);
	buf_reset(&json);
	buf_adds(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	add_descriptor_json(&json, MEDIA_OCI_MANIFEST, &amd, 1,
			    "{\"os\":\"linux\",\"architecture\":\"amd64\"}");
	buf_addc(&json, ',');
	add_descriptor_json(&json, MEDIA_OCI_MANIFEST, &arm, 1, NULL);
	buf_addc(&json, ',');
	add_descriptor_json(&json, MEDIA_OCI_MANIFEST, &gone, 1,
			    "{\"os\":\"win/dows\",\"architecture\":\"am d64\"}");
	buf_adds(&json, "]}");
	is_int(tree_image_push(g->tree, &g->cred, "in/dex", "all", MEDIA_OCI_INDEX, json.data, json.len,
			       &pushed, &err),
	       0, "an index %s", err.text);
	ok(pushed.created, "new");
	is_int(tree_image_show(g->tree, &g->cred, "in/dex", "all", keep_info, &seen, NULL), 0, "shown");
	snprintf(want, sizeof(want),
		 "%.15s linux/amd64,linux/arm64/v8,win_dows/am_d64 %zu 1", digest_format(&pushed.digest, i),
		 json.len + amd_size + arm_size);
	is_str(seen.data, want, "platforms and size");
	buf_reset(&seen);
	is_int(tree_image_children(g->tree, &g->cred, "in/dex", &pushed.digest, keep_info, &seen, NULL), 0,
	       "its children");
	snprintf(want, sizeof(want), "%.15s  %zu 0; %.15s linux/arm64/v8 %zu 0", digest_format(&amd, a),
		 amd_size, digest_format(&arm, b), arm_size);
	is_str(seen.data, want, "that are here, in order");
	buf_reset(&seen);
	is_int(tree_used_by(g->tree, &g->cred, "in/dex", &amd, keep_use, &seen, NULL), 0, "uses");
	snprintf(want, sizeof(want), "in/dex:amd as 0; in/dex@%s as %d", i, ROLE_CHILD);
	is_str(seen.data, want, "of a child");
	is_reason(tree_image_layers(g->tree, &g->cred, "in/dex", "all", keep_layer, &seen, &err), &err,
		  ERR_ARGUMENT, "an index has no layers");
}

static void test_rm(struct registry *g)
{
	struct digest d = { 0 }, low = { 0 };
	struct err err = ERR_INIT;
	auto_tree_image struct tree_image *held = NULL, *image = NULL;
	int64_t before;

	is_int(push_simple(g->tree, &g->cred, "rm", "one", "rm", &d, NULL), 0, "an image");
	is_int(tree_tag_set(g->tree, &g->cred, "rm", "two", &d, NULL), 0, "with two tags");
	is_int(push_simple(g->tree, &g->cred, "rm/low/er", "x", "low", &low, NULL), 0, "one below");
	is_int(tree_image_get(g->other, &g->cred, "rm", "one", &held, NULL), 0, "held elsewhere");
	before = last_event(g->tree);
	is_int(tree_image_rm(g->tree, &g->cred, "rm", &d, NULL), 0, "removed");
	is_events(g->tree, before, "untag rm one 1; untag rm two 1; delete rm  1");
	is_reason(tree_image_get(g->other, &g->cred, "rm", "one", &image, &err), &err,
		  ERR_MANIFEST_UNKNOWN, "by tag");
	is_reason(tree_image_get(g->tree, &g->cred, "rm", held->digest_text, &image, &err), &err,
		  ERR_MANIFEST_UNKNOWN, "by digest");
	is_reason(tree_image_rm(g->tree, &g->cred, "rm", &d, &err), &err, ERR_MANIFEST_UNKNOWN, "twice");
	is_tags(g, "rm", NULL);
	is_int(push_simple(g->tree, &g->cred, "rm", "one", "rm", &d, NULL), 0, "pushed again");
	before = last_event(g->tree);
	is_int(tree_repo_rm(g->tree, &g->cred, "rm", NULL), 0, "the repository removed");
	is_events(g->tree, before, "remove rm  1");
	is_reason(tree_image_get(g->other, &g->cred, "rm", "one", &image, &err), &err, ERR_NAME_UNKNOWN,
		  "is gone");
	is_int(tree_image_get(g->other, &g->cred, "rm/low/er", "x", &image, NULL), 0, "what is below stays");
	is_reason(tree_repo_rm(g->tree, &g->cred, "rm", &err), &err, ERR_NAME_UNKNOWN, "a namespace now");
	is_reason(tree_repo_rm(g->tree, &g->cred, "rm/low", &err), &err, ERR_NAME_UNKNOWN, "and always");
	is_int(tree_repo_rm(g->tree, &g->cred, "rm/low/er", NULL), 0, "the one below");
	is_int(tree_repo_add(g->tree, &g->cred, "rm", NULL), 0, "made on purpose");
	is_reason(tree_repo_add(g->tree, &g->cred, "rm", &err), &err, ERR_EXISTS, "twice");
	is_tags(g, "rm", "");
	is_int(tree_repo_rm(g->tree, &g->cred, "rm", NULL), 0, "removed");
}

/* Blobs may go one by one; with the last the repository goes. */
static void test_vanish(struct registry *g)
{
	struct digest a, b;
	struct err err = ERR_INIT;
	int64_t size;

	is_int(push_text(g->tree, &g->cred, "van/ish", "a", &a, NULL), 0, "a blob");
	is_int(push_text(g->tree, &g->cred, "van/ish", "b", &b, NULL), 0, "two");
	is_int(tree_blob_rm(g->tree, &g->cred, "van/ish", &a, NULL), 0, "one removed");
	is_reason(tree_blob_stat(g->other, &g->cred, "van/ish", &a, &size, &err), &err, ERR_BLOB_UNKNOWN,
		  "it is gone");
	is_int(tree_blob_rm(g->tree, &g->cred, "van/ish", &b, NULL), 0, "the other");
	is_reason(tree_blob_stat(g->other, &g->cred, "van/ish", &b, &size, &err), &err, ERR_NAME_UNKNOWN,
		  "with the repository");
}

static void test_catalog(struct registry *g)
{
	static const char *const names[] = { "b", "a/z", "a", "a-b/c", "c.d", "a/b/c" };
	struct digest d = { 0 };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(names); i++)
		r = push_simple(g->tree, &g->cred, names[i], "t", "catalog", &d, NULL);
	is_int(r, 0, "six repositories");
	is_int(push_text(g->tree, &g->cred, "only/blobs", "x", &d, NULL), 0, "one without an image");
	is_repos(g, NULL, 100, "a a-b/c a/b/c a/z b c.d", false);
	is_repos(g, "", 2, "a a-b/c", true);
	is_repos(g, "a-b/c", 2, "a/b/c a/z", true);
	is_repos(g, "a/z", 2, "b c.d", false);
	is_repos(g, "c.d", 2, "", false);
	is_repos(g, "~", 2, "", false);
	is_repos(g, "a/y", INT64_MAX, "a/z b c.d", false);
	is_repos(g, NULL, 6, "a a-b/c a/b/c a/z b c.d", false);
	is_int(tree_repo_add(g->tree, &g->cred, "aa", NULL), 0, "one on purpose");
	is_repos(g, "a/z", 1, "aa", true);
}

static void test_denied(struct registry *g)
{
	const struct cred nobody = cred_anonymous("127.0.0.1");
	struct digest d = { 0 };
	struct tree_pushed pushed;
	struct tree_upload *u;
	auto_tree_image struct tree_image *image = NULL;
	struct err err = ERR_INIT;
	char id[TREE_UPLOAD_ID_MAX + 1] = "";
	int64_t size;

	is_int(push_simple(g->tree, &g->cred, "den", "x", "denied", &d, NULL), 0, "an image");
	is_int(tree_upload_begin(g->tree, &g->cred, "den", DIGEST_SHA256, id, NULL), 0, "an upload");
	is_reason(tree_image_get(g->tree, &nobody, "den", "x", &image, &err), &err, ERR_UNAUTHORIZED, "it is private");
	is_int(tree_visibility_set(g->tree, &g->cred, "den", true, NULL), 0, "made public");
	is_int(tree_image_get(g->tree, &nobody, "den", "x", &image, NULL), 0, "anyone may pull");
	is_int(tree_blob_stat(g->tree, &nobody, "den", &d, &size, NULL), 0, "and look");
	is_reason(push_text(g->tree, &nobody, "den", "x", &d, &err), &err, ERR_UNAUTHORIZED, "begin an upload");
	is_reason(tree_upload_stat(g->tree, &nobody, "den", id, &size, &err), &err, ERR_UNAUTHORIZED, "stat one");
	is_reason(tree_upload_open(g->tree, &nobody, "den", id, &u, &err), &err, ERR_UNAUTHORIZED, "open one");
	is_reason(tree_upload_cancel(g->tree, &nobody, "den", id, &err), &err, ERR_UNAUTHORIZED, "cancel one");
	is_reason(tree_image_push(g->tree, &nobody, "den", "y", NULL, "{}", 2, &pushed, &err), &err,
		  ERR_UNAUTHORIZED, "push an image");
	is_reason(tree_image_rm(g->tree, &nobody, "den", &d, &err), &err, ERR_UNAUTHORIZED, "remove one");
	is_reason(tree_tag_set(g->tree, &nobody, "den", "y", &d, &err), &err, ERR_UNAUTHORIZED, "set a tag");
	is_reason(tree_tag_rm(g->tree, &nobody, "den", "x", &err), &err, ERR_UNAUTHORIZED, "remove one");
	is_reason(tree_blob_mount(g->tree, &nobody, "den", "den", &d, &err), &err, ERR_UNAUTHORIZED, "mount");
	is_reason(tree_blob_rm(g->tree, &nobody, "den", &d, &err), &err, ERR_UNAUTHORIZED, "remove a blob");
	is_reason(tree_repo_add(g->tree, &nobody, "den2", &err), &err, ERR_UNAUTHORIZED, "make a repository");
	is_reason(tree_repo_rm(g->tree, &nobody, "den", &err), &err, ERR_UNAUTHORIZED, "remove one");
	is_int(tree_upload_cancel(g->tree, &g->cred, "den", id, NULL), 0, "the upload is still there");
}

/* ---- The cache is exact ---- */

#define MOVES 8

struct mover {
	struct registry *registry;
	struct digest images[MOVES];
	int moved;	/* atomic: moves that have returned */
	bool stop;	/* atomic */
	int result;
};

static void *move_tag(void *arg)
{
	struct mover *m = arg;

	for (int i = 1; !m->result && !__atomic_load_n(&m->stop, __ATOMIC_RELAXED); i++) {
		m->result = tree_tag_set(m->registry->other, &m->registry->cred, "mv", "latest",
					 &m->images[i % MOVES], NULL);
		__atomic_store_n(&m->moved, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Of a tag that goes round, a get answers what it was at some moment of the call. */
static void test_cache(struct registry *g)
{
	struct mover m = { .registry = g };
	pthread_t thread;
	int stale = 0, exact = 0, r = 0;

	for (int i = MOVES - 1; i >= 0; i--) {
		char salt[8];

		snprintf(salt, sizeof(salt), "%d", i);
		is_int(push_simple(g->tree, &g->cred, "mv", "latest", salt, &m.images[i], NULL), 0, "an image");
	}
	for (int i = 0; i < 48; i++) {
		auto_tree_image struct tree_image *before = NULL, *after = NULL;

		r = r ? r : tree_image_get(g->tree, &g->cred, "mv", "latest", &before, NULL);
		r = r ? r : tree_tag_set(g->other, &g->cred, "mv", "latest", &m.images[(i + 1) % MOVES], NULL);
		r = r ? r : tree_image_get(g->tree, &g->cred, "mv", "latest", &after, NULL);
		stale += r || !digest_equal(&before->digest, &m.images[i % MOVES]) ||
			 !digest_equal(&after->digest, &m.images[(i + 1) % MOVES]);
	}
	is_int(r, 0, "a tag moved 48 times");
	is_int(stale, 0, "through another tree is seen at once");
	pthread_create(&thread, NULL, move_tag, &m);
	stale = 0;
	while (!r && (exact < 1000 || __atomic_load_n(&m.moved, __ATOMIC_ACQUIRE) < 100)) {
		auto_tree_image struct tree_image *image = NULL;
		int before = __atomic_load_n(&m.moved, __ATOMIC_ACQUIRE), after, which = 0;

		r = tree_image_get(g->tree, &g->cred, "mv", "latest", &image, NULL);
		if (r)
			break;
		while (which < MOVES && !digest_equal(&image->digest, &m.images[which]))
			which++;
		/* Move `after` + 1 may have begun. */
		after = __atomic_load_n(&m.moved, __ATOMIC_ACQUIRE) + 1;
		exact++;
		stale += which == MOVES || (which - before % MOVES + MOVES) % MOVES > after - before;
	}
	__atomic_store_n(&m.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	is_int(r, 0, "a tag read while it is moved");
	is_int(m.result, 0, "%d times", m.moved);
	is_int(stale, 0, "is never what it was before");
	for (int i = 0; i < 1 && !r; i++) {
		auto_tree_image struct tree_image *image = NULL;

		r = tree_image_get(g->tree, &g->cred, "mv", "latest", &image, NULL);
		ok(!r && digest_equal(&image->digest, &m.images[m.moved % MOVES]), "and at the end what it is");
	}
}

/* Reads through one tree follow writes through the other, each way, without a pause. */
static void *follow(void *arg)
{
	struct mover *m = arg;
	struct registry *g = m->registry;

	for (int i = 0; !m->result && i < 150; i++) {
		auto_tree_image struct tree_image *image = NULL;
		char tag[16];
		int r;

		snprintf(tag, sizeof(tag), "own-%d", m->moved);
		r = tree_tag_set(i % 3 ? g->other : g->tree, &g->cred, "mv", tag, &m->images[i % 2], NULL);
		r = r ? r : tree_image_get(i % 2 ? g->tree : g->other, &g->cred, "mv", tag, &image, NULL);
		m->result = r ? r : digest_equal(&image->digest, &m->images[i % 2]) ? 0 : -ESTALE;
	}
	return NULL;
}

static void test_follow(struct registry *g)
{
	struct mover movers[4];
	pthread_t threads[4];
	struct digest a = { 0 }, b = { 0 };

	is_int(push_simple(g->tree, &g->cred, "mv", "a", "zero", &a, NULL), 0, "an image");
	is_int(push_simple(g->tree, &g->cred, "mv", "b", "one", &b, NULL), 0, "another");
	for (int i = 0; i < 4; i++) {
		movers[i] = (struct mover){ .registry = g, .images = { a, b }, .moved = i };
		pthread_create(&threads[i], NULL, follow, &movers[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		is_int(movers[i].result, 0, "thread %d sees what it wrote", i);
	}
}

/* Two threads push the same, a third removes it: every answer is one of the two. */
static void *push_and_rm(void *arg)
{
	struct mover *m = arg;
	struct registry *g = m->registry;

	for (int i = 0; !m->result && i < 25; i++) {
		struct digest d;
		struct err err = ERR_INIT;
		int r = m->moved < 2 ? push_simple(m->moved ? g->tree : g->other, &g->cred, "both/ways", "t",
						   "both", &d, &err) :
				       tree_repo_rm(g->tree, &g->cred, "both/ways", &err);

		/* Removed beneath a push: what it had sent is gone. */
		if (r && err.reason != ERR_NAME_UNKNOWN && err.reason != ERR_MANIFEST_BLOB_UNKNOWN &&
		    err.reason != ERR_UPLOAD_UNKNOWN) {
			printf("# %s\n", err.text);
			m->result = r;
		}
	}
	return NULL;
}

static void test_both_ways(struct registry *g)
{
	struct mover movers[3];
	pthread_t threads[3];
	struct tree_stats stats = { 0 };
	struct digest d = { 0 };

	for (int i = 0; i < 3; i++) {
		movers[i] = (struct mover){ .registry = g, .moved = i };
		pthread_create(&threads[i], NULL, push_and_rm, &movers[i]);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		is_int(movers[i].result, 0, "thread %d", i);
	}
	is_int(push_simple(g->tree, &g->cred, "both/ways", "t", "both", &d, NULL), 0, "pushed at last");
	is_int(tree_repo_rm(g->tree, &g->cred, "both/ways", NULL), 0, "and removed");
	is_int(tree_stats(g->tree, &g->cred, &stats, NULL), 0, "what is left");
	is_int(stats.uploads, 0, "no upload");
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(struct registry *g);
	} tests[] = {
		{ "upload", test_upload },	{ "ends", test_upload_ends },
		{ "lost", test_upload_lost },	{ "collected", test_collected },
		{ "mount", test_mount },	{ "missing", test_missing },
		{ "many", test_missing_many },	{ "image", test_image },
		{ "tags", test_tags },		{ "pages", test_tag_pages },
		{ "index", test_index },	{ "rm", test_rm },
		{ "vanish", test_vanish },	{ "catalog", test_catalog },
		{ "denied", test_denied },	{ "cache", test_cache },
		{ "follow", test_follow },	{ "both-ways", test_both_ways },
	};
	auto_scratch struct scratch tmp = { "" };
	size_t before;

	if (!scratch_make(&tmp))
		return 1;
	alarm(300);
	before = open_files();
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		struct registry g;

		if (registry_open(&g, &tmp, tests[i].name))
			tests[i].run(&g);
		registry_close(&g);
	}
	is_int((int)open_files(), (int)before, "no descriptor is left open");
	return done_testing();
}
