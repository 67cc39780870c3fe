/*
 * view_layer.c: the nodes below _layers/.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/image/config.h"
#include "fs/tree/inside.h"

/* ---- _layers ---- */

int view_find_layer(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;
	int r;

	*out = node_make(KIND_LAYER, 0);
	if (!view_name_digest(n, name, &d))
		return 0;
	r = blob_in_repo(l->db, n->row_id, &d, &out->blob, l->err);
	return r > 0 ? ref_exists(l->db, n->row_id, &d, ROLE_LAYER, l->err) : r;
}

int view_list_layers(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_LAYER, .layers_only = true };
	const struct look *l = listing_look(ls);

	return blob_list_repo(l->db, n->row_id, view_row_after(after), view_give_blob, &w, l->err);
}

int view_resolve_layer_blob(const struct look *l, const struct node *n, struct node *out)
{
	*out = node_make(KIND_BLOB, n->blob.id);
	return blob_by_id(l->db, n->blob.id, &out->blob, l->err);
}

int view_layer_size_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%" PRId64 "\n", n->blob.size);
	return 0;
}

static int keep_ref(void *arg, const struct ref_row *row)
{
	*(struct ref_row *)arg = *row;
	return 1;
}

/* The reference by which the first image holds the layer: 1, or 0 if none does any more. */
static int layer_ref(const struct look *l, const struct node *n, struct ref_row *out)
{
	return ref_users(l->db, n->blob.repository_id, &n->blob.digest, ROLE_LAYER, 0, keep_ref, out,
			 l->err);
}

int layer_media_type(const struct look *l, const struct node *n, struct buf *out)
{
	struct ref_row ref;
	int r = layer_ref(l, n, &ref);

	if (r > 0)
		buf_adds(out, ref.media_type);
	return MIN(r, 0);
}

int view_layer_media_type_text(const struct look *l, const struct node *n, struct buf *out)
{
	int r = layer_media_type(l, n, out);

	buf_addc(out, '\n');
	return r;
}

static int layer_diff_id(const struct look *l, const struct node *n, struct digest *out)
{
	auto_buf struct buf config = BUF_INIT;
	struct ref_row ref;
	struct image_row image;
	int r = layer_ref(l, n, &ref);

	if (r > 0)
		r = view_ref_image(l, &ref, &image) ? 0 : 1;
	if (r > 0)
		r = read_config(l->tree, &image, &config, l->err) ? 0 : 1;
	if (r > 0)
		r = image_diff_id(config.data, config.len, (size_t)ref.position, out);
	return r;
}

int view_has_diff_id(const struct look *l, const struct node *n)
{
	struct digest d;

	return layer_diff_id(l, n, &d);
}

int view_layer_diff_id_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct digest d;
	int r = layer_diff_id(l, n, &d);

	return r > 0 ? view_digest_line(out, &d) : r;
}

int view_has_tree(const struct look *l, const struct node *n)
{
	auto_buf struct buf type = BUF_INIT;
	int r = layer_media_type(l, n, &type);

	return r ? r : n->blob.id <= SHELF_SLOT_MAX && media_type_is_tar(type.data);
}

uint64_t view_layer_tree(const struct node *n)
{
	return inside_root(SHELF_LAYER, n->blob.id);
}

int view_find_layer_use(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct image_row image;
	struct digest d;
	int r;

	*out = node_make(KIND_LAYER_IMAGE, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->blob.repository_id, &d, &image, l->err);
	return r > 0 ? ref_user(l->db, image.id, &n->blob.digest, ROLE_LAYER, &out->ref, l->err) : r;
}

static int give_layer_image(void *arg, const struct ref_row *row)
{
	return view_give_user(arg, KIND_LAYER_IMAGE, 0, row);
}

int view_list_layer_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_users(l->db, n->blob.repository_id, &n->blob.digest, ROLE_LAYER, view_row_after(after),
			 give_layer_image, ls, l->err);
}

int view_layer_image_link(const struct look *l, const struct node *n, struct buf *out)
{
	struct image_row image;
	int r = view_ref_image(l, &n->ref, &image);

	return r ? r : view_link_to(out, "../../../../", "_images", &image.digest);
}
