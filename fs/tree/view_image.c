/*
 * view_image.c: the nodes below _images/.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/base/size.h"
#include "fs/image/config.h"
#include "fs/tree/inside.h"
#include "fs/tree/rootfs.h"

/* ---- _images ---- */

int view_find_image(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;

	*out = node_make(KIND_IMAGE, 0);
	return view_name_digest(n, name, &d) ? image_by_digest(l->db, n->row_id, &d, &out->image, l->err) : 0;
}

struct image_walk {
	struct listing *ls;
	const struct node *dir;
};

static int give_image(void *arg, const struct image_row *row)
{
	const struct image_walk *w = arg;
	struct node n = node_make(KIND_IMAGE, row->id);
	char hex[DIGEST_HEX_MAX + 1];

	if (row->digest.algorithm != kind_of(w->dir->kind)->algorithm)
		return 0;
	n.image = *row;
	return list_give(w->ls, digest_hex(&row->digest, hex), &n, LIST_COOKIE(0, row->id));
}

int view_list_images(struct listing *ls, const struct node *n, uint64_t after)
{
	struct image_walk w = { .ls = ls, .dir = n };
	const struct look *l = listing_look(ls);

	return image_list(l->db, n->row_id, view_row_after(after), give_image, &w, l->err);
}

int view_resolve_manifest(const struct look *l, const struct node *n, struct node *out)
{
	*out = node_make(KIND_BLOB, n->image.blob_id);
	return blob_by_id(l->db, n->image.blob_id, &out->blob, l->err);
}

int view_resolve_config(const struct look *l, const struct node *n, struct node *out)
{
	*out = node_make(KIND_BLOB, 0);
	if (n->image.config.algorithm == DIGEST_NONE)
		return 0;
	return blob_in_repo(l->db, n->image.repository_id, &n->image.config, &out->blob, l->err);
}

int view_image_digest_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_digest_line(out, &n->image.digest);
}

int view_image_id_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_digest_line(out, &n->image.config);
}

int view_image_size_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%" PRId64 "\n", n->image.size);
	return 0;
}

int view_image_media_type_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%s\n", n->image.media_type);
	return 0;
}

int view_image_created_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_time_line(out, n->image.created);
}

int view_image_platform_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%s\n", n->image.platform);
	return 0;
}

int view_image_pushed_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_time_line(out, n->image.pushed);
}

int view_image_pulled_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_time_line(out, n->image.pulled);
}

int view_was_pulled(const struct look *l, const struct node *n)
{
	(void)l;
	return n->image.pulled != 0;
}

int view_image_history_text(const struct look *l, const struct node *n, struct buf *out)
{
	auto_buf struct buf bytes = BUF_INIT, config = BUF_INIT;
	auto_manifest struct manifest m = { 0 };
	int r = read_manifest(l->tree, &n->image, &bytes, &m, l->err);

	if (!r)
		r = read_config(l->tree, &n->image, &config, l->err);
	return r ? r : image_history(&m, config.data, config.len, out, l->err);
}

int view_is_image(const struct look *l, const struct node *n)
{
	(void)l;
	return !n->image.is_index;
}

/* An artifact that is no image has none, and neither has one beyond what a node's number holds. */
int view_has_rootfs(const struct look *l, const struct node *n)
{
	char type[LIMIT_MEDIA_TYPE + 1];

	return n->image.id > SHELF_SLOT_MAX ? 0 : rootfs_is_there(l->db, &n->image, type, l->err);
}

uint64_t view_rootfs(const struct node *n)
{
	return inside_root(SHELF_IMAGE, n->image.id);
}

int view_is_index(const struct look *l, const struct node *n)
{
	(void)l;
	return n->image.is_index;
}

int view_has_created(const struct look *l, const struct node *n)
{
	(void)l;
	return n->image.created != 0;
}

int view_has_platform(const struct look *l, const struct node *n)
{
	(void)l;
	return !n->image.is_index && *n->image.platform;
}

/* ---- _images/.../layers/ ---- */

static int layer_width(const struct look *l, int64_t manifest_id, int *width)
{
	int64_t n = 0;
	int r = ref_count(l->db, manifest_id, ROLE_LAYER, &n, l->err);

	*width = image_layer_digits((size_t)n);
	return r;
}

static struct node layer_node(const struct ref_row *ref)
{
	struct node n = node_make(KIND_IMAGE_LAYER, ref->id);

	n.ref = *ref;
	return n;
}

int view_find_image_layer(const struct look *l, const struct node *n, const char *name,
			    struct node *out)
{
	char want[16];
	struct ref_row ref;
	int64_t number;
	int width, r;

	if (!number_parse(name, 1, &number) || number > LIMIT_MANIFEST_REFS)
		return 0;
	r = layer_width(l, n->row_id, &width);
	if (r)
		return r;
	snprintf(want, sizeof(want), "%0*" PRId64, width, number);
	r = streq(want, name) ? ref_at(l->db, n->row_id, ROLE_LAYER, number - 1, &ref, l->err) : 0;
	if (r > 0)
		*out = layer_node(&ref);
	return r;
}

struct layer_walk {
	struct listing *ls;
	int width;
};

static int give_image_layer(void *arg, const struct ref_row *row)
{
	const struct layer_walk *w = arg;
	struct node n = layer_node(row);
	char name[16];

	snprintf(name, sizeof(name), "%0*d", w->width, row->position + 1);
	return list_give(w->ls, name, &n, LIST_COOKIE(0, row->position + 1));
}

int view_list_image_layers(struct listing *ls, const struct node *n, uint64_t after)
{
	struct layer_walk w = { .ls = ls };
	const struct look *l = listing_look(ls);
	int r = layer_width(l, n->row_id, &w.width);

	return r ? r : ref_list(l->db, n->row_id, ROLE_LAYER, view_row_after(after), give_image_layer, &w, l->err);
}

int view_image_layer_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_link_to(out, "../../../../", "_layers", &n->ref.digest);
}

/*
 * ---- _images/.../platforms/: linux-amd64; where an earlier one has that name, linux-amd64+3 is the third
 * of the index. No platform has a '+' (fs/image/platform.h), so names are never the same. ----
 */

#define CHILD_NAME_MAX (LIMIT_PLATFORM + 16)

static int child_name(const struct look *l, const struct ref_row *ref, char out[static CHILD_NAME_MAX])
{
	struct ref_row first;
	int r;

	snprintf(out, CHILD_NAME_MAX, "%s", ref->platform);
	for (char *p = out; *p; p++)
		if (*p == '/')
			*p = '-';
	r = ref_by_platform(l->db, ref->manifest_id, out, &first, l->err);
	if (!*out)
		snprintf(out, CHILD_NAME_MAX, "unknown");
	if (r > 0 && first.id != ref->id)
		snprintf(out + strlen(out), 15, "+%d", ref->position + 1);
	return MIN(r, 0);
}

static int give_child(void *arg, const struct ref_row *row)
{
	struct listing *ls = arg;
	struct node n = node_make(KIND_IMAGE_CHILD, row->id);
	char name[CHILD_NAME_MAX];
	int r = child_name(listing_look(ls), row, name);

	n.ref = *row;
	return r ? r : list_give(ls, name, &n, LIST_COOKIE(0, row->position + 1));
}

int view_find_child(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	const char *plus = strchr(name, '+');
	char is[CHILD_NAME_MAX];
	int64_t place = 0;
	int r;

	*out = node_make(KIND_IMAGE_CHILD, 0);
	if (plus && !number_parse(plus + 1, 1, &place))
		return 0;
	if (plus)
		r = ref_at(l->db, n->row_id, ROLE_CHILD, place - 1, &out->ref, l->err);
	else
		r = ref_by_platform(l->db, n->row_id, streq(name, "unknown") ? "" : name, &out->ref, l->err);
	if (r <= 0)
		return r;
	r = child_name(l, &out->ref, is);
	return r ? r : streq(name, is);
}

int view_list_children(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_list(l->db, n->row_id, ROLE_CHILD, view_row_after(after), give_child, ls, l->err);
}

/* To another image, from a directory in one of them: ../../<hex>, or by way of the other algorithm. */
static int sibling_link(const struct look *l, int64_t from_id, const struct digest *to, struct buf *out)
{
	char hex[DIGEST_HEX_MAX + 1];
	struct image_row from;
	int r = image_by_id(l->db, from_id, &from, l->err);

	if (r <= 0)
		return r ? r : err_set(l->err, ERR_NOT_FOUND, "the image is gone");
	if (from.digest.algorithm != to->algorithm)
		return view_link_to(out, "../../../", "", to);
	buf_addf(out, "../../%s", digest_hex(to, hex));
	return buf_error(out);
}

int view_child_link(const struct look *l, const struct node *n, struct buf *out)
{
	return sibling_link(l, n->ref.manifest_id, &n->ref.digest, out);
}

/* ---- _images/.../used-by/: tags by name, indexes by digest ---- */

int view_find_image_use(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct digest d;
	struct image_row index;
	int r;

	*out = node_make(KIND_IMAGE_TAG, 0);
	r = tag_by_name(l->db, n->image.repository_id, name, &out->tag, l->err);
	if (r < 0 || (r > 0 && out->tag.manifest_id == n->row_id))
		return r;
	*out = node_make(KIND_IMAGE_INDEX, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->image.repository_id, &d, &index, l->err);
	return r > 0 ? ref_user(l->db, index.id, &n->image.digest, ROLE_CHILD, &out->ref, l->err) : r;
}

static int give_image_tag(void *arg, const struct tag_row *row)
{
	struct node n = node_make(KIND_IMAGE_TAG, row->id);

	n.tag = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

static int give_image_index(void *arg, const struct ref_row *row)
{
	return view_give_user(arg, KIND_IMAGE_INDEX, 1, row);
}

int view_list_image_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);
	bool refs_only = after >= LIST_COOKIE(1, 0);
	int r = 0;

	if (!refs_only)
		r = tag_list_of(l->db, n->row_id, view_row_after(after), give_image_tag, ls, l->err);
	if (!r)
		r = ref_users(l->db, n->image.repository_id, &n->image.digest, ROLE_CHILD,
			      refs_only ? view_row_after(after) : 0, give_image_index, ls, l->err);
	return r;
}

/* ---- _images/.../referrers/: what names it as its subject, by digest ---- */

int view_find_referrer(const struct look *l, const struct node *n, const char *name,
			 struct node *out)
{
	struct digest d;
	struct image_row image;
	int r;

	*out = node_make(KIND_IMAGE_REFERRER, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->image.repository_id, &d, &image, l->err);
	return r > 0 ? ref_user(l->db, image.id, &n->image.digest, ROLE_SUBJECT, &out->ref, l->err) : r;
}

static int give_referrer(void *arg, const struct ref_row *row)
{
	return view_give_user(arg, KIND_IMAGE_REFERRER, 0, row);
}

int view_list_referrers(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_users(l->db, n->image.repository_id, &n->image.digest, ROLE_SUBJECT, view_row_after(after),
			 give_referrer, ls, l->err);
}

int view_image_tag_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "../../../../_tags/%s", n->tag.name);
	return buf_error(out);
}

/* To the manifest that holds the reference, an index or a referrer, which names this image. */
int view_image_index_link(const struct look *l, const struct node *n, struct buf *out)
{
	char hex[DIGEST_HEX_MAX + 1];
	struct image_row index;
	int r = view_ref_image(l, &n->ref, &index);

	if (r)
		return r;
	if (index.digest.algorithm != n->ref.digest.algorithm)
		return view_link_to(out, "../../../", "", &index.digest);
	buf_addf(out, "../../%s", digest_hex(&index.digest, hex));
	return buf_error(out);
}
