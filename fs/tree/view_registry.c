/*
 * view_registry.c: the nodes below _registry/.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

/* ---- _registry ---- */

int view_version_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	(void)n;
	buf_addf(out, "%s\n", tree_version());
	return 0;
}

int view_stats_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct tree_stats s = { 0 };
	struct shelf_stats inside;
	int r = tree_stats(l->tree, l->cred, &s, l->err);

	(void)n;
	if (r)
		return r;
	buf_addf(out,
		 "repositories %" PRId64 "\ntags %" PRId64 "\nimages %" PRId64 "\nblobs %" PRId64
		 "\nblob-bytes %" PRId64 "\nuploads %" PRId64 "\nlast-event %" PRId64 "\n",
		 s.repositories, s.tags, s.images, s.blobs, s.blob_bytes, s.uploads, s.event);
	shelf_stats(l->tree->shelf, &inside);
	buf_addf(out,
		 "layers-indexed %" PRId64 "\nspans-decoded %" PRId64 "\nspan-bytes-decoded %" PRId64
		 "\nspan-bytes-held %" PRId64 "\nfiles-taken-out %" PRId64 "\n",
		 inside.layers_indexed, inside.spans.decoded, inside.spans.decoded_bytes, inside.spans.held_bytes,
		 inside.files_taken_out);
	return 0;
}

/* ---- blobs, used-by ---- */

int view_find_blob(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;

	*out = node_make(KIND_BLOB, 0);
	return view_name_digest(n, name, &d) ? blob_by_digest(l->db, &d, &out->blob, l->err) : 0;
}

int view_find_uses(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	int r = view_find_blob(l, n, name, out);

	out->kind = KIND_USES;
	return r;
}

int view_list_all_blobs(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_BLOB };
	const struct look *l = listing_look(ls);

	return blob_list(l->db, view_row_after(after), view_give_blob, &w, l->err);
}

int view_list_all_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_USES };
	const struct look *l = listing_look(ls);

	return blob_list(l->db, view_row_after(after), view_give_blob, &w, l->err);
}

/* ---- _registry/used-by/<algorithm>/<hex>/: the target's path with + for / ---- */

static int use_path(const struct look *l, int64_t repository_id, const char *tag,
		    const struct digest *image, struct buf *out)
{
	struct repo_row repo;
	int r = repo_by_id(l->db, repository_id, &repo, l->err);

	if (r <= 0)
		return r ? r : err_set(l->err, ERR_NOT_FOUND, "the repository is gone");
	buf_addf(out, "%s/", repo.name);
	if (!tag)
		return view_link_to(out, "", "_images", image);
	buf_addf(out, "_tags/%s", tag);
	return buf_error(out);
}

int view_use_link(const struct look *l, const struct node *n, struct buf *out)
{
	struct image_row image;
	int r;

	buf_adds(out, "../../../../");
	if (n->kind == KIND_USE_TAG)
		return use_path(l, n->tag.repository_id, n->tag.name, NULL, out);
	r = view_ref_image(l, &n->ref, &image);
	return r ? r : use_path(l, n->ref.repository_id, NULL, &image.digest, out);
}

/* The name of a use: its path with + for /, or the row's number where that is too long for a file's name. */
static int use_name(const struct look *l, const struct node *n, struct buf *out)
{
	struct image_row image;
	int r;

	buf_reset(out);
	if (n->kind == KIND_USE_TAG) {
		r = use_path(l, n->tag.repository_id, n->tag.name, NULL, out);
	} else {
		r = view_ref_image(l, &n->ref, &image);
		if (!r)
			r = use_path(l, n->ref.repository_id, NULL, &image.digest, out);
	}
	if (r)
		return r;
	for (char *p = out->data; *p; p++)
		if (*p == '/')
			*p = '+';
	if (out->len > NAME_MAX) {
		buf_reset(out);
		buf_addf(out, "%s-%" PRId64, n->kind == KIND_USE_TAG ? "tag" : "image",
			 n->kind == KIND_USE_TAG ? n->tag.id : n->ref.id);
	}
	return buf_error(out);
}

struct use_walk {
	struct listing *ls;
	const struct look *look;
	const char *want;	/* find: this name, into *found */
	struct node *found;
};

static int give_use(struct use_walk *w, struct node *n, int phase, int64_t row)
{
	auto_buf struct buf name = BUF_INIT;
	int r = use_name(w->look, n, &name);

	if (r)
		return r;
	if (!w->want)
		return list_give(w->ls, name.data, n, LIST_COOKIE(phase, row));
	if (!streq(name.data, w->want))
		return 0;
	*w->found = *n;
	return 1;
}

static int give_use_tag(void *arg, const struct tag_row *row)
{
	struct node n = node_make(KIND_USE_TAG, row->id);

	n.tag = *row;
	return give_use(arg, &n, 0, row->id);
}

static int give_use_ref(void *arg, const struct ref_row *row)
{
	struct node n = node_make(KIND_USE_IMAGE, row->id);

	n.ref = *row;
	return give_use(arg, &n, 1, row->id);
}

static int walk_uses(struct use_walk *w, const struct digest *d, uint64_t after)
{
	const struct look *l = w->look;
	bool refs_only = after >= LIST_COOKIE(1, 0);
	int r = 0;

	if (!refs_only)
		r = tag_list_of_digest(l->db, 0, d, view_row_after(after), give_use_tag, w, l->err);
	if (!r)
		r = ref_users(l->db, 0, d, (enum manifest_role)0, refs_only ? view_row_after(after) : 0,
			      give_use_ref, w, l->err);
	return r;
}

int view_list_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	struct use_walk w = { .ls = ls, .look = listing_look(ls) };

	return walk_uses(&w, &n->blob.digest, after);
}

int view_find_use(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct use_walk w = { .look = l, .want = name, .found = out };

	return walk_uses(&w, &n->blob.digest, 0);
}
