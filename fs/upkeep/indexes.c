/*
 * indexes.c: which derived files have an owner.
 */
#include "fs/base/base.h"
#include "fs/upkeep/indexes.h"

#include "fs/image/index.h"
#include "fs/meta/blob.h"
#include "fs/meta/image.h"
#include "fs/store/derived.h"

struct collection {
	struct derived *derived;
	struct db *db;
	bool dry_run;
	struct indexes_report *report;
};

static void collection_release(struct collection *c)
{
	derived_free(c->derived);
}

/* The layers of an image, held against a list. */
struct comparison {
	struct db *db;
	const struct digest *layers;
	size_t count, at;
	bool same;
	struct err *err;
};

static int compare_layer(void *arg, const struct ref_row *ref)
{
	struct comparison *c = arg;

	if (c->at >= c->count || !digest_equal(&ref->digest, &c->layers[c->at]))
		return 1;
	c->at++;
	return 0;
}

/* 1 ends the search: this image has that very list. */
static int compare_image(void *arg, const struct ref_row *user)
{
	struct comparison *c = arg;
	int r;

	c->at = 0;
	r = ref_list(c->db, user->manifest_id, ROLE_LAYER, 0, compare_layer, c, c->err);
	c->same = r == 0 && c->at == c->count;
	return r < 0 ? r : c->same;
}

static int image_has_owner(struct collection *c, const struct derived_name *name, struct err *err)
{
	auto_buf struct buf layers = BUF_INIT;
	struct comparison all = { .db = c->db, .err = err };
	auto_fd int fd = -1;
	int r = derived_open(c->derived, name, &fd, err);

	if (!r)
		r = index_read_layers(fd, &layers, err);
	/* Damaged, or gone meanwhile: nobody's. An image without layers is everybody's. */
	if (r)
		return r == -EIO || r == -ENOENT ? 0 : r;
	all.layers = (const struct digest *)(const void *)layers.data;
	all.count = layers.len / sizeof(*all.layers);
	if (!all.count)
		return 1;
	r = ref_users(c->db, 0, &all.layers[all.count - 1], ROLE_LAYER, 0, compare_image, &all, err);
	return r < 0 ? r : all.same;
}

static int has_owner(struct collection *c, const struct derived_name *name, struct err *err)
{
	struct blob_row blob;

	if (name->kind == DERIVED_FILE && name->part >> 32 != INDEX_VERSION)
		return 0;
	return name->kind == DERIVED_IMAGE ? image_has_owner(c, name, err) :
					     blob_by_digest(c->db, &name->key, &blob, err);
}

static int look_at(void *arg, const struct derived_name *name, int64_t size, int64_t used UNUSED, struct err *err)
{
	struct collection *c = arg;
	int r = has_owner(c, name, err);

	if (r)
		return MIN(r, 0);
	c->report->files++;
	c->report->bytes += size;
	return c->dry_run ? 0 : derived_remove(c->derived, name, err);
}

int indexes_collect(struct store *store, struct meta *meta, bool owned, bool dry_run, struct indexes_report *out, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = meta };
	CLEANUP(collection_release) struct collection c = { .dry_run = dry_run, .report = out };
	int r = derived_new(store_dir(store), &c.derived, err);

	*out = (struct indexes_report){ 0 };
	if (!r)
		r = derived_sweep(c.derived, dry_run, &out->files, &out->bytes, err);
	if (!r)
		r = meta_read_begin(meta, &rd.db, err);
	c.db = rd.db;
	for (int kind = 0; !r && owned && kind < DERIVED_KIND_COUNT; kind++)
		r = derived_each(c.derived, (enum derived_kind)kind, look_at, &c, err);
	return r;
}
