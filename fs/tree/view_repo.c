/*
 * view_repo.c: the nodes of repositories: tags, blobs, uploads, and the OCI image layout.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/base/json.h"

/* ---- Repositories ---- */

int view_find_repo(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	int r;

	*out = node_make(KIND_REPO, 0);
	r = repo_child(l->db, n->row_id, name, &out->repo, l->err);
	return r > 0 ? node_repo_as_seen(l, &out->repo) : r;
}

static int give_repo(void *arg, const struct repo_row *row)
{
	struct node n = node_make(KIND_REPO, row->id);
	int r;

	n.repo = *row;
	r = node_repo_as_seen(listing_look(arg), &n.repo);
	return r < 0 ? r : list_give(arg, repo_component(row), &n, LIST_COOKIE(0, row->id));
}

int view_list_repos(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return repo_children(l->db, n->row_id, view_row_after(after), give_repo, ls, l->err);
}

int view_is_repository(const struct look *l, const struct node *n)
{
	(void)l;
	return n->repo.is_repository;
}

/* ---- _tags ---- */

int view_find_tag(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;
	int place = pending_name(name) ? pending_find(l->tree->pending, n->row_id, name, &d) : -1;

	if (place >= 0) {
		*out = node_make(KIND_PENDING, n->row_id);
		out->position = place;
		out->tag.digest = d;
		return 1;
	}
	*out = node_make(KIND_TAG, 0);
	return tag_by_name(l->db, n->row_id, name, &out->tag, l->err);
}

static int give_tag(void *arg, const struct tag_row *row)
{
	struct node n = node_make(KIND_TAG, row->id);

	n.tag = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

int view_list_tags(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return tag_list_by_id(l->db, n->row_id, view_row_after(after), give_tag, ls, l->err);
}

int view_tag_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_link_to(out, "../", "_images", &n->tag.digest);
}

/* ---- _blobs, _uploads, _oci ---- */

int view_find_repo_blob(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct digest d;

	*out = node_make(KIND_BLOB, 0);
	return view_name_digest(n, name, &d) ? blob_in_repo(l->db, n->row_id, &d, &out->blob, l->err) : 0;
}

int view_list_repo_blobs(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_BLOB };
	const struct look *l = listing_look(ls);

	return blob_list_repo(l->db, n->row_id, view_row_after(after), view_give_blob, &w, l->err);
}

int view_find_upload(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	*out = node_make(KIND_UPLOAD, 0);
	return upload_by_name(l->db, n->row_id, name, &out->upload, l->err);
}

static int give_upload(void *arg, const struct upload_row *row)
{
	struct node n = node_make(KIND_UPLOAD, row->id);

	n.upload = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

int view_list_uploads(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return upload_list(l->db, n->row_id, view_row_after(after), give_upload, ls, l->err);
}

/* image-spec, image-layout.md, "oci-layout file". */
int view_oci_layout_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	(void)n;
	buf_adds(out, "{\"imageLayoutVersion\":\"1.0.0\"}\n");
	return buf_error(out);
}

struct index_writer {
	const struct look *look;
	struct buf *out;
	size_t count;
};

static int add_descriptor(void *arg, const struct tag_row *tag)
{
	struct index_writer *w = arg;
	char text[DIGEST_TEXT_MAX + 1];
	struct image_row image;
	int r = image_by_id(w->look->db, tag->manifest_id, &image, w->look->err);

	if (r <= 0)
		return r;
	buf_adds(w->out, w->count++ ? ",\n  {\"mediaType\":" : "\n  {\"mediaType\":");
	json_add_string(w->out, image.media_type);
	buf_addf(w->out, ",\"digest\":\"%s\",\"size\":%" PRId64,
		 digest_format(&image.digest, text), image.bytes);
	if (*image.artifact_type && !media_type_is_image_config(image.artifact_type)) {
		buf_adds(w->out, ",\"artifactType\":");
		json_add_string(w->out, image.artifact_type);
	}
	buf_adds(w->out, ",\"annotations\":{\"org.opencontainers.image.ref.name\":");
	json_add_string(w->out, tag->name);
	buf_adds(w->out, "}}");
	return 0;
}

/* image-spec, image-layout.md, "index.json file": each tag, with its name as ref.name. */
int view_oci_index_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct index_writer w = { .look = l, .out = out };
	int r;

	buf_adds(out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	r = tag_list(l->db, n->row_id, "", -1, add_descriptor, &w, l->err);
	buf_adds(out, w.count ? "\n]}\n" : "]}\n");
	return r;
}
