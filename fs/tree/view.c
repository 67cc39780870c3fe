/*
 * view.c: what the functions behind the table of kinds share.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/base/timestamp.h"

struct node node_make(enum node_kind kind, int64_t row_id)
{
	return (struct node){ .kind = kind, .row_id = row_id };
}

static const char *algorithm_name(const struct digest *d)
{
	return digest_algorithm_name((enum digest_algorithm)d->algorithm);
}

/* A file's name as the digest of this directory's algorithm; false if it isn't one. */
bool view_name_digest(const struct node *dir, const char *name, struct digest *out)
{
	return digest_parse_hex(kind_of(dir->kind)->algorithm, name, out, NULL) == 0;
}

/* "<up>_images/sha256/4f..." */
int view_link_to(struct buf *out, const char *up, const char *room, const struct digest *d)
{
	char hex[DIGEST_HEX_MAX + 1];

	buf_addf(out, "%s%s%s%s/%s", up, room, *room ? "/" : "", algorithm_name(d), digest_hex(d, hex));
	return buf_error(out);
}

int64_t view_row_after(uint64_t after)
{
	return (int64_t)(after & (LIST_FIRST - 1));
}

int view_give_blob(void *arg, const struct blob_row *row)
{
	const struct blob_walk *w = arg;
	const struct look *l = listing_look(w->ls);
	struct node n = node_make(w->kind, w->kind == KIND_LAYER ? row->link_id : row->id);
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

int view_ref_image(const struct look *l, const struct ref_row *ref, struct image_row *out)
{
	int r = image_by_id(l->db, ref->manifest_id, out, l->err);

	return r > 0 ? 0 : r ? r : err_set(l->err, ERR_NOT_FOUND, "the image is gone");
}

int view_digest_line(struct buf *out, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1];

	buf_addf(out, "%s\n", digest_format(d, text));
	return buf_error(out);
}

int view_time_line(struct buf *out, int64_t t)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	buf_addf(out, "%s\n", timestamp_format(t, text));
	return buf_error(out);
}

int view_give_user(struct listing *ls, enum node_kind kind, int phase, const struct ref_row *row)
{
	struct node n = node_make(kind, row->id);
	char hex[DIGEST_HEX_MAX + 1];
	struct image_row image;
	int r = view_ref_image(listing_look(ls), row, &image);

	n.ref = *row;
	return r ? r : list_give(ls, digest_hex(&image.digest, hex), &n, LIST_COOKIE(phase, row->id));
}
