/*
 * shelf_images.c: images, whose layers' indexes are merged by who asks first.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include "fs/base/limits.h"
#include "fs/image/merge.h"
#include "fs/tree/state.h"

/* The layers of an image, while it is being opened. */
struct layers {
	int64_t slots[LIMIT_MANIFEST_REFS];
	struct digest digests[LIMIT_MANIFEST_REFS];
	struct shelf_item *items[LIMIT_MANIFEST_REFS];	/* held, or NULL */
	const struct index *indexes[LIMIT_MANIFEST_REFS];
	size_t count;
	struct digest image;
	struct shelf *shelf;
	struct db *db;
	struct err *err;
};

static void layers_free(struct layers *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i])
			shelf_put(l->items[i]);
	free(l);
}
DEFINE_CLEANUP(cleanup_layers, struct layers *, layers_free)

/* A layer that the image's repository doesn't hold isn't the image's to show, whoever else holds it: a manifest may name what it likes. */
static int note_layer(void *arg, const struct ref_row *ref)
{
	struct layers *l = arg;
	struct blob_row blob;
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (l->count >= LIMIT_MANIFEST_REFS)
		return err_set(l->err, ERR_CORRUPT, "the image has more than %d layers", LIMIT_MANIFEST_REFS);
	r = blob_in_repo(l->db, ref->repository_id, &ref->digest, &blob, l->err);
	if (r <= 0)
		return r ? r : err_set(l->err, ERR_IO, "layer %s isn't in the repository: push it", digest_format(&ref->digest, text));
	if (blob.id > SHELF_SLOT_MAX)
		return err_set(l->err, ERR_UNSUPPORTED, "the registry has had more blobs than a node's number tells apart");
	l->slots[l->count] = blob.id;
	l->digests[l->count++] = ref->digest;
	return 0;
}

static int list_layers(struct shelf *s, int64_t image, struct layers *l, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct image_row row;
	int r = tree_reader(s->tree, &rd, err);

	if (!r)
		r = image_by_id(rd.db, image, &row, err);
	if (r <= 0)
		return r ? r : err_set(err, ERR_NOT_FOUND, "the image is gone");
	l->shelf = s;
	l->image = row.digest;
	l->db = rd.db;
	l->err = err;
	return ref_list(rd.db, image, ROLE_LAYER, 0, note_layer, l, err);
}

/* Images of the same layers share an index. */
static int list_digest(const struct layers *l, struct digest *out, struct err *err)
{
	auto_buf struct buf all = BUF_INIT;

	for (size_t i = 0; i < l->count; i++)
		buf_add(&all, &l->digests[i], digest_size(&l->digests[i]));
	return digest_of(DIGEST_SHA256, all.data, all.len, out, err);
}

/* All are begun before the first is waited for. */
static int get_layers(struct shelf *s, struct layers *l, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < l->count; i++)
		r = shelf_request_layer(s, l->slots[i], &l->items[i], err);
	for (size_t i = 0; !r && i < l->count; i++) {
		struct shelf_item *item = l->items[i];

		l->items[i] = NULL;
		r = shelf_await(item, &l->items[i], err);
		if (!r)
			l->indexes[i] = item->index;
	}
	return r;
}

static int make_merged(void *arg, int fd, struct err *err)
{
	const struct layers *l = arg;
	char text[DIGEST_TEXT_MAX + 1], why[ERR_TEXT_MAX];
	int r = merge_index(l->indexes, l->digests, l->count, shelf_is_stopping, l->shelf, fd, err);

	if (r != -EIO || !err)
		return r;
	snprintf(why, sizeof(why), "%.350s", err->text);
	return err_set(err, err->reason, "the layers of image %s can't be merged: %s", digest_format(&l->image, text), why);
}

static int merge_now(struct shelf_item *item, struct layers *l, struct err *err)
{
	struct shelf *s = item->shelf;
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };
	int r = get_layers(s, l, err);

	if (!r)
		r = shelf_work_begin(s, SHELF_MERGE, err);
	if (r)
		return r;
	r = shelf_begin_index(s, DERIVED_IMAGE, INDEX_IMAGE, &item->digest, &draft, &item->index, err);
	if (r > 0 || shelf_is_full(r))
		r = shelf_make_index(item, &draft, INDEX_IMAGE, make_merged, l, err);
	shelf_work_end(s, SHELF_MERGE);
	return r;
}

/* Layers' indexes that a merge found damaged are discarded. */
static bool discard_layers(struct layers *l)
{
	bool any = false;

	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i] && l->indexes[i] && index_check(l->indexes[i], NULL)) {
			shelf_discard(l->items[i]);
			any = true;
		}
		if (l->items[i])
			shelf_put(l->items[i]);
		l->items[i] = NULL;
		l->indexes[i] = NULL;
	}
	return any;
}

static int merge(struct shelf_item *item, struct layers *l, struct err *err)
{
	int r = merge_now(item, l, err);

	/* A merge ends at the first that it finds. */
	for (size_t i = 0; r == -EIO && i < l->count && discard_layers(l); i++)
		r = merge_now(item, l, err);
	return r;
}

/* Whether an index is of these layers: its leaves name them by number. */
static bool is_of(const struct index *ix, const struct layers *l)
{
	bool same = index_layer_count(ix) == l->count;

	for (size_t i = 0; same && i < l->count; i++)
		same = digest_equal(index_layer(ix, i), &l->digests[i]);
	return same;
}

static int open_image(struct shelf_item *item, struct err *err)
{
	CLEANUP(cleanup_layers) struct layers *l = calloc(1, sizeof(*l));
	struct shelf *s = item->shelf;
	int r = l ? list_layers(s, item->slot, l, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (!r)
		r = list_digest(l, &item->digest, err);
	if (r)
		return r;
	item->slots = malloc((l->count + 1) * sizeof(*item->slots));
	if (!item->slots)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	memcpy(item->slots, l->slots, l->count * sizeof(*item->slots));
	r = shelf_open_index(s, DERIVED_IMAGE, INDEX_IMAGE, &item->digest, &item->index, err);
	if (!r && !is_of(item->index, l)) {
		index_close(steal(&item->index));
		r = derived_remove(s->derived, &(struct derived_name){ DERIVED_IMAGE, item->digest, 0 }, err);
		return r ? r : merge(item, l, err);
	}
	return r ? merge(item, l, err) : 0;
}

int shelf_request_image(struct shelf *s, int64_t slot, struct shelf_item **out, struct err *err)
{
	struct err failure = ERR_INIT;
	bool fresh;
	int r;

	*out = shelf_take(s, SHELF_IMAGE, slot, &fresh);
	if (!*out)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!fresh)
		return 0;
	r = open_image(*out, &failure);
	shelf_settle(*out, r, &failure);
	if (r)
		shelf_put(*out);
	if (r && err)
		*err = failure;
	return r;
}

/* An image whose layers are to be indexed. */
struct prepare_job {
	struct work_job job;
	struct shelf *shelf;
	int64_t image;
};

static void want(struct shelf_item *item)
{
	pthread_mutex_lock(&item->shelf->lock);
	item->wanted = true;
	pthread_mutex_unlock(&item->shelf->lock);
}

static void prepare_run(struct work_job *job)
{
	struct prepare_job *p = container_of(job, struct prepare_job, job);
	struct layers *l = calloc(1, sizeof(*l));
	struct turn turn;

	shelf_turn_begin(&turn, p->shelf, false);
	if (l && !shelf_is_stopping(p->shelf) && list_layers(p->shelf, p->image, l, NULL) == 0)
		for (size_t i = 0; i < l->count; i++) {
			if (!shelf_request_layer(p->shelf, l->slots[i], &l->items[i], NULL))
				want(l->items[i]);
		}
	if (l)
		layers_free(l);
	free(p);
}

void shelf_prepare(struct shelf *s, int64_t image)
{
	struct prepare_job *p = malloc(sizeof(*p));

	if (!p)
		return;
	*p = (struct prepare_job){ .job.fn = prepare_run, .shelf = s, .image = image };
	shelf_submit(s, &p->job);
}
