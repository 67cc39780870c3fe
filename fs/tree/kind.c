/*
 * kind.c: the table of nodes: regfs(5) as data.
 *
 * Each row says what a node is called, what it stands for, and which functions know
 * its text, its target, its children. Adding a file to the tree is a value in
 * enum node_kind, a row here, and a function.
 */
#include "fs/base/base.h"
#include "fs/tree/kind.h"

#include <sys/stat.h>

#include "fs/base/json.h"
#include "fs/image/config.h"
#include "fs/base/timestamp.h"

#define DIR_MODE (S_IFDIR | 0555)
#define OPEN_DIR_MODE (S_IFDIR | 0755)	/* things can be made in it */
#define FILE_MODE (S_IFREG | 0444)
#define LINK_MODE (S_IFLNK | 0777)

static struct node make_node(enum node_kind kind, int64_t row_id)
{
	return (struct node){ .kind = kind, .row_id = row_id };
}

static const char *algorithm_name(const struct digest *d)
{
	return digest_algorithm_name((enum digest_algorithm)d->algorithm);
}

/* A file's name as the digest of this directory's algorithm; false if it isn't one. */
static bool name_digest(const struct node *dir, const char *name, struct digest *out)
{
	return digest_parse_hex(kind_of(dir->kind)->algorithm, name, out, NULL) == 0;
}

/* "<up>_images/sha256/4f..." */
static int link_to(struct buf *out, const char *up, const char *room, const struct digest *d)
{
	char hex[DIGEST_HEX_MAX + 1];

	buf_addf(out, "%s%s%s%s/%s", up, room, *room ? "/" : "", algorithm_name(d), digest_hex(d, hex));
	return buf_error(out);
}

/* ---- _registry ---- */

static int version_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	(void)n;
	buf_addf(out, "%s\n", tree_version());
	return 0;
}

static int stats_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct tree_stats s = { 0 };
	int r = tree_stats(l->tree, l->cred, &s, l->err);

	(void)n;
	if (r)
		return r;
	buf_addf(out,
		 "repositories %" PRId64 "\ntags %" PRId64 "\nimages %" PRId64 "\nblobs %" PRId64
		 "\nblob-bytes %" PRId64 "\nuploads %" PRId64 "\nlast-event %" PRId64 "\n",
		 s.repositories, s.tags, s.images, s.blobs, s.blob_bytes, s.uploads, s.event);
	return 0;
}

static int find_blob(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;

	*out = make_node(KIND_BLOB, 0);
	return name_digest(n, name, &d) ? blob_by_digest(l->db, &d, &out->blob, l->err) : 0;
}

static int find_uses(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	int r = find_blob(l, n, name, out);

	out->kind = KIND_USES;
	return r;
}

struct blob_walk {
	struct listing *ls;
	const struct node *dir;
	enum node_kind kind;
	bool layers_only;
};

static int give_blob(void *arg, const struct blob_row *row)
{
	const struct blob_walk *w = arg;
	const struct look *l = listing_look(w->ls);
	struct node n = make_node(w->kind, w->kind == KIND_LAYER ? row->link_id : row->id);
	char hex[DIGEST_HEX_MAX + 1];
	int64_t at = row->link_id ? row->link_id : row->id;

	if (row->digest.algorithm != kind_of(w->dir->kind)->algorithm)
		return 0;
	if (w->layers_only) {
		int r = ref_exists(l->db, row->repository_id, &row->digest, ROLE_LAYER, l->err);

		if (r <= 0)
			return r;
	}
	n.blob = *row;
	return list_give(w->ls, digest_hex(&row->digest, hex), &n, LIST_COOKIE(0, at));
}

static int64_t row_after(uint64_t after)
{
	return (int64_t)(after & (LIST_FIRST - 1));
}

static int list_all_blobs(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_BLOB };
	const struct look *l = listing_look(ls);

	return blob_list(l->db, row_after(after), give_blob, &w, l->err);
}

static int list_all_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_USES };
	const struct look *l = listing_look(ls);

	return blob_list(l->db, row_after(after), give_blob, &w, l->err);
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
		return link_to(out, "", "_images", image);
	buf_addf(out, "_tags/%s", tag);
	return buf_error(out);
}

static int ref_image(const struct look *l, const struct ref_row *ref, struct image_row *out)
{
	int r = image_by_id(l->db, ref->manifest_id, out, l->err);

	return r > 0 ? 0 : r ? r : err_set(l->err, ERR_NOT_FOUND, "the image is gone");
}

static int use_link(const struct look *l, const struct node *n, struct buf *out)
{
	struct image_row image;
	int r;

	buf_adds(out, "../../../../");
	if (n->kind == KIND_USE_TAG)
		return use_path(l, n->tag.repository_id, n->tag.name, NULL, out);
	r = ref_image(l, &n->ref, &image);
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
		r = ref_image(l, &n->ref, &image);
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
	struct node n = make_node(KIND_USE_TAG, row->id);

	n.tag = *row;
	return give_use(arg, &n, 0, row->id);
}

static int give_use_ref(void *arg, const struct ref_row *row)
{
	struct node n = make_node(KIND_USE_IMAGE, row->id);

	n.ref = *row;
	return give_use(arg, &n, 1, row->id);
}

static int walk_uses(struct use_walk *w, const struct digest *d, uint64_t after)
{
	const struct look *l = w->look;
	bool refs_only = after >= LIST_COOKIE(1, 0);
	int r = 0;

	if (!refs_only)
		r = tag_list_of_digest(l->db, 0, d, row_after(after), give_use_tag, w, l->err);
	if (!r)
		r = ref_users(l->db, 0, d, (enum manifest_role)0, refs_only ? row_after(after) : 0,
			      give_use_ref, w, l->err);
	return r;
}

static int list_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	struct use_walk w = { .ls = ls, .look = listing_look(ls) };

	return walk_uses(&w, &n->blob.digest, after);
}

static int find_use(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct use_walk w = { .look = l, .want = name, .found = out };

	return walk_uses(&w, &n->blob.digest, 0);
}

/* ---- Repositories ---- */

static int find_repo(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	*out = make_node(KIND_REPO, 0);
	return repo_child(l->db, n->row_id, name, &out->repo, l->err);
}

static int give_repo(void *arg, const struct repo_row *row)
{
	struct node n = make_node(KIND_REPO, row->id);

	n.repo = *row;
	return list_give(arg, repo_component(row), &n, LIST_COOKIE(0, row->id));
}

static int list_repos(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return repo_children(l->db, n->row_id, row_after(after), give_repo, ls, l->err);
}

static int is_repository(const struct look *l, const struct node *n)
{
	(void)l;
	return n->repo.is_repository;
}

/* ---- _tags ---- */

static int find_tag(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;
	int place = pending_find(l->tree->pending, n->row_id, name, &d);

	if (place >= 0) {
		*out = make_node(KIND_PENDING, n->row_id);
		out->position = place;
		out->tag.digest = d;
		return 1;
	}
	*out = make_node(KIND_TAG, 0);
	return tag_by_name(l->db, n->row_id, name, &out->tag, l->err);
}

static int give_tag(void *arg, const struct tag_row *row)
{
	struct node n = make_node(KIND_TAG, row->id);

	n.tag = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

static int list_tags(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return tag_list_by_id(l->db, n->row_id, row_after(after), give_tag, ls, l->err);
}

static int tag_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return link_to(out, "../", "_images", &n->tag.digest);
}

/* ---- _images ---- */

static int find_image(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;

	*out = make_node(KIND_IMAGE, 0);
	return name_digest(n, name, &d) ? image_by_digest(l->db, n->row_id, &d, &out->image, l->err) : 0;
}

struct image_walk {
	struct listing *ls;
	const struct node *dir;
};

static int give_image(void *arg, const struct image_row *row)
{
	const struct image_walk *w = arg;
	struct node n = make_node(KIND_IMAGE, row->id);
	char hex[DIGEST_HEX_MAX + 1];

	if (row->digest.algorithm != kind_of(w->dir->kind)->algorithm)
		return 0;
	n.image = *row;
	return list_give(w->ls, digest_hex(&row->digest, hex), &n, LIST_COOKIE(0, row->id));
}

static int list_images(struct listing *ls, const struct node *n, uint64_t after)
{
	struct image_walk w = { .ls = ls, .dir = n };
	const struct look *l = listing_look(ls);

	return image_list(l->db, n->row_id, row_after(after), give_image, &w, l->err);
}

static int resolve_manifest(const struct look *l, const struct node *n, struct node *out)
{
	*out = make_node(KIND_BLOB, n->image.blob_id);
	return blob_by_id(l->db, n->image.blob_id, &out->blob, l->err);
}

static int resolve_config(const struct look *l, const struct node *n, struct node *out)
{
	*out = make_node(KIND_BLOB, 0);
	if (n->image.config.algorithm == DIGEST_NONE)
		return 0;
	return blob_in_repo(l->db, n->image.repository_id, &n->image.config, &out->blob, l->err);
}

static int digest_text(struct buf *out, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1];

	buf_addf(out, "%s\n", digest_format(d, text));
	return buf_error(out);
}

static int time_text(struct buf *out, int64_t t)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	buf_addf(out, "%s\n", timestamp_format(t, text));
	return buf_error(out);
}

static int image_digest_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return digest_text(out, &n->image.digest);
}

static int image_id_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return digest_text(out, &n->image.config);
}

static int image_size_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%" PRId64 "\n", n->image.size);
	return 0;
}

static int image_media_type_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%s\n", n->image.media_type);
	return 0;
}

static int image_created_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return time_text(out, n->image.created);
}

static int image_platform_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "%s\n", n->image.platform);
	return 0;
}

static int image_pushed_text(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return time_text(out, n->image.pushed);
}

static int image_history_text(const struct look *l, const struct node *n, struct buf *out)
{
	auto_buf struct buf bytes = BUF_INIT, config = BUF_INIT;
	auto_manifest struct manifest m = { 0 };
	int r = read_manifest(l->tree, &n->image, &bytes, &m, l->err);

	if (!r)
		r = read_config(l->tree, &n->image, &config, l->err);
	return r ? r : image_history(&m, config.data, config.len, out, l->err);
}

static int is_image(const struct look *l, const struct node *n)
{
	(void)l;
	return !n->image.is_index;
}

static int is_index(const struct look *l, const struct node *n)
{
	(void)l;
	return n->image.is_index;
}

static int has_created(const struct look *l, const struct node *n)
{
	(void)l;
	return n->image.created != 0;
}

static int has_platform(const struct look *l, const struct node *n)
{
	(void)l;
	return !n->image.is_index && *n->image.platform;
}

/* ---- _images/.../layers/ ---- */

static int layer_width(const struct look *l, int64_t manifest_id, int *width)
{
	int64_t n = 0;
	int r = db_get_int(l->db, &n, l->err,
			   "SELECT COUNT(*) FROM manifest_ref WHERE manifest_id = ? AND role = ?", "ii",
			   manifest_id, (int64_t)ROLE_LAYER);

	*width = image_layer_digits((size_t)n);
	return MIN(r, 0);
}

static struct node layer_node(const struct ref_row *ref)
{
	struct node n = make_node(KIND_IMAGE_LAYER, ref->id);

	n.ref = *ref;
	return n;
}

static int find_image_layer(const struct look *l, const struct node *n, const char *name,
			    struct node *out)
{
	char *end, want[16];
	long number = strtol(name, &end, 10);
	struct ref_row ref;
	int width, r;

	if (*end || number < 1 || number > LIMIT_MANIFEST_REFS)
		return 0;
	r = layer_width(l, n->row_id, &width);
	if (r)
		return r;
	snprintf(want, sizeof(want), "%0*ld", width, number);
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

static int list_image_layers(struct listing *ls, const struct node *n, uint64_t after)
{
	struct layer_walk w = { .ls = ls };
	const struct look *l = listing_look(ls);
	int r = layer_width(l, n->row_id, &w.width);

	return r ? r : ref_list(l->db, n->row_id, ROLE_LAYER, row_after(after), give_image_layer, &w, l->err);
}

static int image_layer_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return link_to(out, "../../../../", "_layers", &n->ref.digest);
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
	struct node n = make_node(KIND_IMAGE_CHILD, row->id);
	char name[CHILD_NAME_MAX];
	int r = child_name(listing_look(ls), row, name);

	n.ref = *row;
	return r ? r : list_give(ls, name, &n, LIST_COOKIE(0, row->position + 1));
}

static int find_child(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	const char *plus = strchr(name, '+');
	char is[CHILD_NAME_MAX];
	int64_t place = plus ? strtol(plus + 1, NULL, 10) : 0;
	int r;

	*out = make_node(KIND_IMAGE_CHILD, 0);
	if (plus)
		r = ref_at(l->db, n->row_id, ROLE_CHILD, place - 1, &out->ref, l->err);
	else
		r = ref_by_platform(l->db, n->row_id, streq(name, "unknown") ? "" : name, &out->ref, l->err);
	if (r <= 0)
		return r;
	r = child_name(l, &out->ref, is);
	return r ? r : streq(name, is);
}

static int list_children(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_list(l->db, n->row_id, ROLE_CHILD, row_after(after), give_child, ls, l->err);
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
		return link_to(out, "../../../", "", to);
	buf_addf(out, "../../%s", digest_hex(to, hex));
	return buf_error(out);
}

static int child_link(const struct look *l, const struct node *n, struct buf *out)
{
	return sibling_link(l, n->ref.manifest_id, &n->ref.digest, out);
}

/* ---- _images/.../used-by/: tags by name, indexes by digest ---- */

static int find_image_use(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct digest d;
	struct image_row index;
	int r;

	*out = make_node(KIND_IMAGE_TAG, 0);
	r = tag_by_name(l->db, n->image.repository_id, name, &out->tag, l->err);
	if (r < 0 || (r > 0 && out->tag.manifest_id == n->row_id))
		return r;
	*out = make_node(KIND_IMAGE_INDEX, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->image.repository_id, &d, &index, l->err);
	return r > 0 ? ref_user(l->db, index.id, &n->image.digest, ROLE_CHILD, &out->ref, l->err) : r;
}

static int give_image_tag(void *arg, const struct tag_row *row)
{
	struct node n = make_node(KIND_IMAGE_TAG, row->id);

	n.tag = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

/* An entry named by the digest of the image whose manifest holds the reference. */
static int give_user(struct listing *ls, enum node_kind kind, int phase, const struct ref_row *row)
{
	struct node n = make_node(kind, row->id);
	char hex[DIGEST_HEX_MAX + 1];
	struct image_row image;
	int r = ref_image(listing_look(ls), row, &image);

	n.ref = *row;
	return r ? r : list_give(ls, digest_hex(&image.digest, hex), &n, LIST_COOKIE(phase, row->id));
}

static int give_image_index(void *arg, const struct ref_row *row)
{
	return give_user(arg, KIND_IMAGE_INDEX, 1, row);
}

static int list_image_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);
	bool refs_only = after >= LIST_COOKIE(1, 0);
	int r = 0;

	if (!refs_only)
		r = tag_list_of(l->db, n->row_id, row_after(after), give_image_tag, ls, l->err);
	if (!r)
		r = ref_users(l->db, n->image.repository_id, &n->image.digest, ROLE_CHILD,
			      refs_only ? row_after(after) : 0, give_image_index, ls, l->err);
	return r;
}

/* ---- _images/.../referrers/: what names it as its subject, by digest ---- */

static int find_referrer(const struct look *l, const struct node *n, const char *name,
			 struct node *out)
{
	struct digest d;
	struct image_row image;
	int r;

	*out = make_node(KIND_IMAGE_REFERRER, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->image.repository_id, &d, &image, l->err);
	return r > 0 ? ref_user(l->db, image.id, &n->image.digest, ROLE_SUBJECT, &out->ref, l->err) : r;
}

static int give_referrer(void *arg, const struct ref_row *row)
{
	return give_user(arg, KIND_IMAGE_REFERRER, 0, row);
}

static int list_referrers(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_users(l->db, n->image.repository_id, &n->image.digest, ROLE_SUBJECT, row_after(after),
			 give_referrer, ls, l->err);
}

static int image_tag_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_addf(out, "../../../../_tags/%s", n->tag.name);
	return buf_error(out);
}

/* To the manifest that holds the reference, an index or a referrer, which names this image. */
static int image_index_link(const struct look *l, const struct node *n, struct buf *out)
{
	char hex[DIGEST_HEX_MAX + 1];
	struct image_row index;
	int r = ref_image(l, &n->ref, &index);

	if (r)
		return r;
	if (index.digest.algorithm != n->ref.digest.algorithm)
		return link_to(out, "../../../", "", &index.digest);
	buf_addf(out, "../../%s", digest_hex(&index.digest, hex));
	return buf_error(out);
}

/* ---- _layers ---- */

static int find_layer(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct digest d;
	int r;

	*out = make_node(KIND_LAYER, 0);
	if (!name_digest(n, name, &d))
		return 0;
	r = blob_in_repo(l->db, n->row_id, &d, &out->blob, l->err);
	return r > 0 ? ref_exists(l->db, n->row_id, &d, ROLE_LAYER, l->err) : r;
}

static int list_layers(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_LAYER, .layers_only = true };
	const struct look *l = listing_look(ls);

	return blob_list_repo(l->db, n->row_id, row_after(after), give_blob, &w, l->err);
}

static int resolve_layer_blob(const struct look *l, const struct node *n, struct node *out)
{
	*out = make_node(KIND_BLOB, n->blob.id);
	return blob_by_id(l->db, n->blob.id, &out->blob, l->err);
}

static int layer_size_text(const struct look *l, const struct node *n, struct buf *out)
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

static int layer_media_type_text(const struct look *l, const struct node *n, struct buf *out)
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
		r = ref_image(l, &ref, &image) ? 0 : 1;
	if (r > 0)
		r = read_config(l->tree, &image, &config, l->err) ? 0 : 1;
	if (r > 0)
		r = image_diff_id(config.data, config.len, (size_t)ref.position, out);
	return r;
}

static int has_diff_id(const struct look *l, const struct node *n)
{
	struct digest d;

	return layer_diff_id(l, n, &d);
}

static int layer_diff_id_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct digest d;
	int r = layer_diff_id(l, n, &d);

	return r > 0 ? digest_text(out, &d) : r;
}

static int find_layer_use(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct image_row image;
	struct digest d;
	int r;

	*out = make_node(KIND_LAYER_IMAGE, 0);
	if (digest_parse_hex(strlen(name) == 64 ? DIGEST_SHA256 : DIGEST_SHA512, name, &d, NULL))
		return 0;
	r = image_by_digest(l->db, n->blob.repository_id, &d, &image, l->err);
	return r > 0 ? ref_user(l->db, image.id, &n->blob.digest, ROLE_LAYER, &out->ref, l->err) : r;
}

static int give_layer_image(void *arg, const struct ref_row *row)
{
	return give_user(arg, KIND_LAYER_IMAGE, 0, row);
}

static int list_layer_uses(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return ref_users(l->db, n->blob.repository_id, &n->blob.digest, ROLE_LAYER, row_after(after),
			 give_layer_image, ls, l->err);
}

static int layer_image_link(const struct look *l, const struct node *n, struct buf *out)
{
	struct image_row image;
	int r = ref_image(l, &n->ref, &image);

	return r ? r : link_to(out, "../../../../", "_images", &image.digest);
}

/* ---- _blobs, _uploads, _oci ---- */

static int find_repo_blob(const struct look *l, const struct node *n, const char *name,
			  struct node *out)
{
	struct digest d;

	*out = make_node(KIND_BLOB, 0);
	return name_digest(n, name, &d) ? blob_in_repo(l->db, n->row_id, &d, &out->blob, l->err) : 0;
}

static int list_repo_blobs(struct listing *ls, const struct node *n, uint64_t after)
{
	struct blob_walk w = { .ls = ls, .dir = n, .kind = KIND_BLOB };
	const struct look *l = listing_look(ls);

	return blob_list_repo(l->db, n->row_id, row_after(after), give_blob, &w, l->err);
}

static int find_upload(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	*out = make_node(KIND_UPLOAD, 0);
	return upload_by_name(l->db, n->row_id, name, &out->upload, l->err);
}

static int give_upload(void *arg, const struct upload_row *row)
{
	struct node n = make_node(KIND_UPLOAD, row->id);

	n.upload = *row;
	return list_give(arg, row->name, &n, LIST_COOKIE(0, row->id));
}

static int list_uploads(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return upload_list(l->db, n->row_id, row_after(after), give_upload, ls, l->err);
}

/* image-spec, image-layout.md, "oci-layout file". */
static int oci_layout_text(const struct look *l, const struct node *n, struct buf *out)
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
static int oci_index_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct index_writer w = { .look = l, .out = out };
	int r;

	buf_adds(out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	r = tag_list(l->db, n->row_id, "", -1, add_descriptor, &w, l->err);
	buf_adds(out, w.count ? "\n]}\n" : "]}\n");
	return r;
}

/* ---- The table ---- */

#define SHA256 .name = "sha256", .algorithm = DIGEST_SHA256
#define SHA512 .name = "sha512", .algorithm = DIGEST_SHA512
#define IMAGE_TEXT(k, n, fn) \
	{ .kind = k, .parent = KIND_IMAGE, .name = n, .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, \
	  .fixed_data = true, .text = fn }

static const struct kind kinds[] = {
	{ .kind = KIND_ROOT, .mode = DIR_MODE, .find = find_repo, .list = list_repos },

	{ .kind = KIND_REGISTRY, .parent = KIND_ROOT, .name = "_registry", .mode = DIR_MODE, .fixed = true },
	{ .kind = KIND_VERSION, .parent = KIND_REGISTRY, .name = "version", .mode = FILE_MODE, .text = version_text },
	{ .kind = KIND_STATS, .parent = KIND_REGISTRY, .name = "stats", .mode = FILE_MODE, .text = stats_text },
	{ .kind = KIND_ALL_BLOBS, .parent = KIND_REGISTRY, .name = "blobs", .mode = DIR_MODE, .fixed = true },
	{ .kind = KIND_ALL_BLOBS_SHA256, .parent = KIND_ALL_BLOBS, SHA256, .mode = DIR_MODE, .fixed = true, .find = find_blob, .list = list_all_blobs },
	{ .kind = KIND_ALL_BLOBS_SHA512, .parent = KIND_ALL_BLOBS, SHA512, .mode = DIR_MODE, .fixed = true, .find = find_blob, .list = list_all_blobs },
	{ .kind = KIND_ALL_USED_BY, .parent = KIND_REGISTRY, .name = "used-by", .mode = DIR_MODE, .fixed = true },
	{ .kind = KIND_ALL_USED_BY_SHA256, .parent = KIND_ALL_USED_BY, SHA256, .mode = DIR_MODE, .fixed = true, .find = find_uses, .list = list_all_uses },
	{ .kind = KIND_ALL_USED_BY_SHA512, .parent = KIND_ALL_USED_BY, SHA512, .mode = DIR_MODE, .fixed = true, .find = find_uses, .list = list_all_uses },
	{ .kind = KIND_USES, .row = ROW_BLOB, .mode = DIR_MODE, .find = find_use, .list = list_uses },
	{ .kind = KIND_USE_TAG, .row = ROW_TAG, .mode = LINK_MODE, .link = use_link },
	{ .kind = KIND_USE_IMAGE, .row = ROW_REF, .mode = LINK_MODE, .link = use_link },

	{ .kind = KIND_REPO, .row = ROW_REPO, .mode = DIR_MODE, .find = find_repo, .list = list_repos },
	{ .kind = KIND_TAGS, .parent = KIND_REPO, .name = "_tags", .row = ROW_REPO, .mode = OPEN_DIR_MODE, .present = is_repository, .find = find_tag, .list = list_tags },
	{ .kind = KIND_TAG, .row = ROW_TAG, .mode = LINK_MODE, .link = tag_link },
	{ .kind = KIND_PENDING, .row = ROW_PENDING, .mode = LINK_MODE, .link = tag_link },

	{ .kind = KIND_IMAGES, .parent = KIND_REPO, .name = "_images", .row = ROW_REPO, .mode = DIR_MODE, .present = is_repository },
	{ .kind = KIND_IMAGES_SHA256, .parent = KIND_IMAGES, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = find_image, .list = list_images },
	{ .kind = KIND_IMAGES_SHA512, .parent = KIND_IMAGES, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = find_image, .list = list_images },
	{ .kind = KIND_IMAGE, .row = ROW_IMAGE, .mode = DIR_MODE },
	{ .kind = KIND_MANIFEST_JSON, .parent = KIND_IMAGE, .name = "manifest.json", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .resolve = resolve_manifest },
	{ .kind = KIND_CONFIG_JSON, .parent = KIND_IMAGE, .name = "config.json", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .resolve = resolve_config },
	IMAGE_TEXT(KIND_IMAGE_DIGEST, "digest", image_digest_text),
	{ .kind = KIND_IMAGE_ID, .parent = KIND_IMAGE, .name = "id", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = is_image, .text = image_id_text },
	IMAGE_TEXT(KIND_IMAGE_SIZE, "size", image_size_text),
	IMAGE_TEXT(KIND_IMAGE_MEDIA_TYPE, "media-type", image_media_type_text),
	{ .kind = KIND_IMAGE_CREATED, .parent = KIND_IMAGE, .name = "created", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = has_created, .text = image_created_text },
	{ .kind = KIND_IMAGE_PLATFORM, .parent = KIND_IMAGE, .name = "platform", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = has_platform, .text = image_platform_text },
	{ .kind = KIND_IMAGE_PUSHED, .parent = KIND_IMAGE, .name = "pushed", .row = ROW_IMAGE, .mode = FILE_MODE, .text = image_pushed_text },
	{ .kind = KIND_IMAGE_HISTORY, .parent = KIND_IMAGE, .name = "history", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = is_image, .text = image_history_text },
	{ .kind = KIND_IMAGE_LAYERS, .parent = KIND_IMAGE, .name = "layers", .row = ROW_IMAGE, .mode = DIR_MODE, .present = is_image, .find = find_image_layer, .list = list_image_layers },
	{ .kind = KIND_IMAGE_LAYER, .row = ROW_REF, .mode = LINK_MODE, .link = image_layer_link },
	{ .kind = KIND_IMAGE_PLATFORMS, .parent = KIND_IMAGE, .name = "platforms", .row = ROW_IMAGE, .mode = DIR_MODE, .present = is_index, .find = find_child, .list = list_children },
	{ .kind = KIND_IMAGE_CHILD, .row = ROW_REF, .mode = LINK_MODE, .link = child_link },
	{ .kind = KIND_IMAGE_REFERRERS, .parent = KIND_IMAGE, .name = "referrers", .row = ROW_IMAGE, .mode = DIR_MODE, .find = find_referrer, .list = list_referrers },
	{ .kind = KIND_IMAGE_REFERRER, .row = ROW_REF, .mode = LINK_MODE, .link = image_index_link },
	{ .kind = KIND_IMAGE_USED_BY, .parent = KIND_IMAGE, .name = "used-by", .row = ROW_IMAGE, .mode = DIR_MODE, .find = find_image_use, .list = list_image_uses },
	{ .kind = KIND_IMAGE_TAG, .row = ROW_TAG, .mode = LINK_MODE, .link = image_tag_link },
	{ .kind = KIND_IMAGE_INDEX, .row = ROW_REF, .mode = LINK_MODE, .link = image_index_link },

	{ .kind = KIND_LAYERS, .parent = KIND_REPO, .name = "_layers", .row = ROW_REPO, .mode = DIR_MODE, .present = is_repository },
	{ .kind = KIND_LAYERS_SHA256, .parent = KIND_LAYERS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = find_layer, .list = list_layers },
	{ .kind = KIND_LAYERS_SHA512, .parent = KIND_LAYERS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = find_layer, .list = list_layers },
	{ .kind = KIND_LAYER, .row = ROW_LINK, .mode = DIR_MODE },
	{ .kind = KIND_LAYER_BLOB, .parent = KIND_LAYER, .name = "blob", .row = ROW_LINK, .mode = FILE_MODE, .fixed = true, .resolve = resolve_layer_blob },
	{ .kind = KIND_LAYER_SIZE, .parent = KIND_LAYER, .name = "size", .row = ROW_LINK, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .text = layer_size_text },
	{ .kind = KIND_LAYER_MEDIA_TYPE, .parent = KIND_LAYER, .name = "media-type", .row = ROW_LINK, .mode = FILE_MODE, .text = layer_media_type_text },
	{ .kind = KIND_LAYER_DIFF_ID, .parent = KIND_LAYER, .name = "diff-id", .row = ROW_LINK, .mode = FILE_MODE, .present = has_diff_id, .text = layer_diff_id_text },
	{ .kind = KIND_LAYER_USED_BY, .parent = KIND_LAYER, .name = "used-by", .row = ROW_LINK, .mode = DIR_MODE, .find = find_layer_use, .list = list_layer_uses },
	{ .kind = KIND_LAYER_IMAGE, .row = ROW_REF, .mode = LINK_MODE, .link = layer_image_link },

	{ .kind = KIND_BLOBS, .parent = KIND_REPO, .name = "_blobs", .row = ROW_REPO, .mode = DIR_MODE, .present = is_repository },
	{ .kind = KIND_BLOBS_SHA256, .parent = KIND_BLOBS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = find_repo_blob, .list = list_repo_blobs },
	{ .kind = KIND_BLOBS_SHA512, .parent = KIND_BLOBS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = find_repo_blob, .list = list_repo_blobs },
	{ .kind = KIND_BLOB, .row = ROW_BLOB, .mode = FILE_MODE, .fixed_data = true },

	{ .kind = KIND_UPLOADS, .parent = KIND_REPO, .name = "_uploads", .row = ROW_REPO, .mode = DIR_MODE, .present = is_repository, .find = find_upload, .list = list_uploads },
	{ .kind = KIND_UPLOAD, .row = ROW_UPLOAD, .mode = FILE_MODE },

	{ .kind = KIND_OCI, .parent = KIND_REPO, .name = "_oci", .row = ROW_REPO, .mode = DIR_MODE, .present = is_repository },
	{ .kind = KIND_OCI_LAYOUT, .parent = KIND_OCI, .name = "oci-layout", .row = ROW_REPO, .mode = FILE_MODE, .fixed_data = true, .text = oci_layout_text },
	{ .kind = KIND_OCI_INDEX, .parent = KIND_OCI, .name = "index.json", .row = ROW_REPO, .mode = FILE_MODE, .text = oci_index_text },
	{ .kind = KIND_OCI_BLOBS, .parent = KIND_OCI, .name = "blobs", .row = ROW_REPO, .mode = DIR_MODE },
	{ .kind = KIND_OCI_BLOBS_SHA256, .parent = KIND_OCI_BLOBS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = find_repo_blob, .list = list_repo_blobs },
	{ .kind = KIND_OCI_BLOBS_SHA512, .parent = KIND_OCI_BLOBS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = find_repo_blob, .list = list_repo_blobs },
};

_Static_assert(ARRAY_SIZE(kinds) == KIND_COUNT, "a kind without a row");

/* The table stands in the order of the enumeration: tests/unit/test_kind.c checks it. */
const struct kind *kind_of(enum node_kind kind)
{
	return &kinds[kind];
}
