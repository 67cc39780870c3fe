/*
 * referrers.c: what names an image as its subject.
 *
 * From the table of references; and from the fall-back tag (spec.md, "Referrers Tag Schema"), with
 * which clients helped themselves on registries that had no such list: an index, tagged
 * <algorithm>-<hex> of the subject, whose descriptors are referrers. Of its hex digits that tag has
 * the first 64.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include "fs/base/json.h"

/* Positions: a row's number; those of the fall-back tag's index stand behind all rows. */
#define FALLBACK_POSITION ((int64_t)1 << 62)
#define FALLBACK_HEX 64

struct walk {
	struct tree *tree;
	struct db *db;
	const struct repo_row *repo;
	const struct digest *subject;
	const char *artifact_type;
	int64_t after;
	tree_referrer_fn *fn;
	void *arg;
	struct buf seen;	/* digests given so far, from the table; the tag's are compared with them */
	struct err *err;
};

static int add_annotation(void *arg, const char *key, const struct json *value)
{
	struct buf *out = arg;

	if (!json_text(value))
		return 0;
	json_add_key(out, key);
	json_add_string(out, json_text(value));
	return 0;
}

/* The annotations of a document, as a JSON object; nothing where there are none. */
static void add_annotations(const struct json *document, struct buf *out)
{
	const struct json *annotations = json_get(document, "annotations");

	buf_reset(out);
	if (!json_is_object(annotations))
		return;
	buf_addc(out, '{');
	json_each(annotations, add_annotation, out);
	buf_addc(out, '}');
}

static bool seen_before(struct walk *w, const struct digest *d)
{
	for (size_t at = 0; at < w->seen.len; at += sizeof(*d))
		if (digest_equal((const struct digest *)(w->seen.data + at), d))
			return true;
	buf_add(&w->seen, d, sizeof(*d));
	return false;
}

/* The descriptor is made from the manifest's own bytes. */
static int give_image(struct walk *w, const struct image_row *image, int64_t position)
{
	auto_json struct json *document = NULL;
	auto_buf struct buf bytes = BUF_INIT, annotations = BUF_INIT;
	int r = store_blob_read(w->tree->store, &image->digest, LIMIT_MANIFEST, &bytes, w->err);

	if (r == -ENOENT || (r && w->err && w->err->reason == ERR_CORRUPT))
		return 0;	/* in quarantine, or about to be */
	if (!r)
		r = json_parse(bytes.data, bytes.len, &document, w->err);
	if (r)
		return r;
	add_annotations(document, &annotations);

	const struct tree_referrer referrer = { .digest = image->digest,
						.media_type = image->media_type,
						.size = image->bytes,
						.artifact_type = image->artifact_type,
						.annotations = annotations.data,
						.position = position };

	return w->fn(w->arg, &referrer);
}

static bool wanted(const struct walk *w, const struct image_row *image, int64_t position)
{
	return position > w->after &&
	       (!w->artifact_type || streq(w->artifact_type, image->artifact_type));
}

static int give_row(void *arg, const struct ref_row *ref)
{
	struct walk *w = arg;
	struct image_row image;
	int r = image_by_id(w->db, ref->manifest_id, &image, w->err);

	/* Those that aren't given are noted all the same: the fall-back tag may list them again. */
	if (r <= 0 || seen_before(w, &image.digest) || !wanted(w, &image, ref->id))
		return MIN(r, 0);
	return give_image(w, &image, ref->id);
}

/* What the repository doesn't hold, or no longer, can't be pulled: it is no referrer. */
static int give_descriptor(struct walk *w, const struct json *descriptor, int64_t position)
{
	const char *text = json_text(json_get(descriptor, "digest"));
	struct image_row image;
	struct digest digest;
	int r;

	if (!text || digest_parse(text, &digest, NULL) || seen_before(w, &digest))
		return 0;
	r = image_by_digest(w->db, w->repo->id, &digest, &image, w->err);
	if (r <= 0 || !wanted(w, &image, position))
		return MIN(r, 0);
	return give_image(w, &image, position);
}

static int give_fallback(struct walk *w)
{
	auto_json struct json *document = NULL;
	auto_buf struct buf bytes = BUF_INIT;
	char tag[DIGEST_TEXT_MAX + 1], *colon;
	const struct json *list;
	struct image_row index;
	int r;

	digest_format(w->subject, tag);
	colon = strchr(tag, ':');
	*colon = '-';
	tag[MIN((size_t)(colon + 1 - tag) + FALLBACK_HEX, strlen(tag))] = '\0';
	r = image_by_tag(w->db, w->repo->id, tag, &index, w->err);
	if (r <= 0 || !index.is_index)
		return MIN(r, 0);
	r = store_blob_read(w->tree->store, &index.digest, LIMIT_MANIFEST, &bytes, w->err);
	if (!r)
		r = json_parse(bytes.data, bytes.len, &document, w->err);
	list = json_get(document, "manifests");
	for (size_t i = 0; !r && i < json_count(list); i++)
		r = give_descriptor(w, json_at(list, i), FALLBACK_POSITION + (int64_t)i);
	return r == -ENOENT ? 0 : r;
}

int tree_referrers(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *subject, const char *artifact_type, int64_t after,
		   tree_referrer_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row row;
	struct walk w = { .tree = tree,
			  .repo = &row,
			  .subject = subject,
			  .artifact_type = artifact_type,
			  .after = after,
			  .fn = fn,
			  .arg = arg,
			  .seen = BUF_INIT,
			  .err = err };
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	w.db = rd.db;
	if (!r)
		r = ref_users(rd.db, row.id, subject, ROLE_SUBJECT, 0, give_row, &w, err);
	if (!r)
		r = give_fallback(&w);
	buf_release(&w.seen);
	return MIN(r, 0);
}
