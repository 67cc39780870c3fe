/*
 * gc.c: see gc.h.
 *
 * Invariants:
 *  1. A blob's file is unlinked only inside a write transaction in which no row names it
 *     (a push checks its file inside the transaction that makes the row), and only where the row
 *     went in an earlier one that is on the disk: a crash can't bring the row back without the file.
 *  2. No transaction takes more than BATCH steps, so that pushes get their turn.
 *  3. A crash leaves what was done done, and the rest as garbage for the next time: a doomed
 *     digest stays in its table until its file is gone.
 */
#include "fs/base/base.h"
#include "fs/upkeep/gc.h"
#include "fs/upkeep/indexes.h"

#include "fs/base/timestamp.h"
#include "fs/meta/blob.h"
#include "fs/meta/garbage.h"
#include "fs/meta/removal.h"
#include "fs/meta/repo.h"
#include "fs/meta/upload.h"

#define BATCH 64
#define SEARCH 4096	/* images found at a time */

struct run {
	struct store *store;
	struct meta *meta;
	const struct gc_options *options;
	struct gc_report *report;
	int64_t before;		/* what was last asked for earlier than this can go */
	int64_t taken;		/* by the step in hand */
	bool stopped;
};

static void progress(struct run *g)
{
	if (g->options->progress && g->options->progress(g->options->arg, g->report))
		g->stopped = true;
}

/* Runs a step in write transactions until it finds nothing more. Durable: the files of rows that went
 * go next. */
static int until_done(struct run *g, meta_write_fn *step, struct err *err)
{
	int r = 0;

	do {
		g->taken = 0;
		r = meta_write_alone(g->meta, true, step, g, err);
		progress(g);
	} while (!r && !g->stopped && g->taken == BATCH);
	return r;
}

/* ---- Uploads ---- */

struct dead_upload {
	int64_t repository_id;
	const char *name;
	int64_t size;
	/* Names of the blob that a sealed file may have become, before the crash that left it. */
	struct digest digests[2];
};

static int delete_upload(struct db *db, void *arg, struct err *err)
{
	const struct dead_upload *u = arg;
	int r = upload_delete(db, u->name, err);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(u->digests); i++)
		if (u->digests[i].algorithm != DIGEST_NONE)
			r = garbage_doom(db, &u->digests[i], u->size, err);
	return r < 0 ? r : repo_settle(db, u->repository_id, err);
}

static int sealed_digests(struct store_upload *held, struct dead_upload *u, struct err *err)
{
	int r;

	if (!store_upload_is_sealed(held))
		return 0;
	r = store_upload_digest(held, DIGEST_SHA256, &u->digests[0], err);
	return r ? r : store_upload_digest(held, DIGEST_SHA512, &u->digests[1], err);
}

/* Whether the file of that digest is there, no row names it, and it isn't doomed yet. */
static int orphan(struct run *g, const struct digest *digest, bool *is, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = g->meta };
	struct blob_row blob;
	int r;

	*is = false;
	if (digest->algorithm == DIGEST_NONE)
		return 0;
	r = store_blob_exists(g->store, digest, err);
	if (r > 0)
		r = meta_read_begin(g->meta, &rd.db, err);
	else
		return r;
	if (!r)
		r = blob_by_digest(rd.db, digest, &blob, err);
	if (!r)
		r = garbage_is_doomed(rd.db, digest, err);
	*is = r == 0;
	return MIN(r, 0);
}

/* A sealed upload frees nothing by itself: its file is a blob's, which may be garbage as well. */
static int count_upload(struct run *g, const struct dead_upload *u, struct err *err)
{
	int there = 0, r = 0;

	g->report->uploads++;
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(u->digests); i++) {
		bool is = false;

		if (u->digests[i].algorithm == DIGEST_NONE)
			continue;
		r = store_blob_exists(g->store, &u->digests[i], err);
		there += r > 0;
		if (r > 0 && g->options->dry_run)
			r = orphan(g, &u->digests[i], &is, err);
		g->report->blobs += is;
		g->report->blob_bytes += is ? u->size : 0;
	}
	g->report->upload_bytes += there ? 0 : u->size;
	return MIN(r, 0);
}

/* Holds it while its row goes, so that nobody continues it meanwhile. */
static int end_upload(struct run *g, struct dead_upload *u, struct err *err)
{
	auto_store_upload struct store_upload *held = NULL;
	int64_t touched = 0;
	int r = store_upload_open(g->store, u->name, NULL, 0, &held, NULL);

	if (!r)		/* it may have been written before we held it */
		r = store_upload_touched(g->store, u->name, &touched, &u->size, NULL);
	if ((r && r != -ENOENT) || touched >= g->before) {
		g->report->kept_uploads++;
		return 0;
	}
	r = held ? sealed_digests(held, u, err) : 0;
	if (!r)
		r = count_upload(g, u, err);
	if (r || g->options->dry_run)
		return r;
	r = meta_write(g->meta, false, delete_upload, u, err);
	return r ? r : store_upload_remove(g->store, u->name, err);
}

/* Takes an upload away unless it was written lately. */
static int look_at_upload(struct run *g, int64_t repository_id, const char *name, struct err *err)
{
	struct dead_upload u = { .repository_id = repository_id, .name = name };
	int64_t touched = 0;
	int r = store_upload_touched(g->store, name, &touched, &u.size, NULL);

	if ((r && r != -ENOENT) || touched >= g->before) {
		g->report->kept_uploads++;
		g->report->kept_upload_bytes += repository_id ? 0 : u.size;	/* those with a row are counted among the files */
		return 0;
	}
	return end_upload(g, &u, err);
}

static int note_upload(void *arg, int64_t id, int64_t repository_id, const char *name)
{
	struct buf *b = arg;
	struct upload_row row = { .id = id, .repository_id = repository_id };

	snprintf(row.name, sizeof(row.name), "%s", name);
	buf_add(b, &row, sizeof(row));
	return buf_error(b);
}

static int collect_uploads(struct run *g, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = g->meta };
	auto_buf struct buf rows = BUF_INIT;
	struct upload_row row;
	int r = meta_read_begin(g->meta, &rd.db, err);

	if (!r)
		r = garbage_count_uploads(rd.db, g->before, &g->report->kept_uploads, err);
	if (!r)
		r = garbage_uploads(rd.db, g->before, 0, note_upload, &rows, err);
	for (size_t at = 0; !r && !g->stopped && at < rows.len; at += sizeof(row)) {
		memcpy(&row, rows.data + at, sizeof(row));
		r = look_at_upload(g, row.repository_id, row.name, err);
		progress(g);
	}
	return r;
}

/* Files in uploads/ that no row knows: left by a crash. */
static int look_at_stray(void *arg, const char *name, struct err *err)
{
	struct run *g = arg;
	auto_reader struct meta_reader rd = { .meta = g->meta };
	int64_t touched, size;
	int r;

	if (g->stopped)
		return 1;
	r = meta_read_begin(g->meta, &rd.db, err);
	if (!r)
		r = upload_known(rd.db, name, err);
	/* Those without a life of their own went before this, or (dry_run) haven't been touched since. */
	if (r > 0 && store_upload_touched(g->store, name, &touched, &size, NULL) == 0 && touched >= g->before)
		g->report->kept_upload_bytes += size;
	return r ? MIN(r, 0) : look_at_upload(g, 0, name, err);
}

/* ---- Images, links, files ---- */

struct image_event {
	struct run *gc;
	struct db *db;
	struct err *err;
};

static int note_image(void *arg, const char *repo, const struct digest *digest)
{
	struct image_event *e = arg;
	const struct gc_options *o = e->gc->options;

	e->gc->report->images++;
	return o->image ? o->image(e->db, o->arg, repo, digest, e->err) : 0;
}

struct images {
	struct run *gc;
	int64_t before;
	struct buf found;	/* ids */
	size_t at;
	int64_t removed;
};

static int step_images(struct db *db, void *arg, struct err *err)
{
	struct images *w = arg;
	struct image_event e = { .gc = w->gc, .db = db, .err = err };
	size_t end = MIN(w->found.len, w->at + BATCH * sizeof(int64_t));
	int r = 0;

	for (; r >= 0 && w->at < end; w->at += sizeof(int64_t)) {
		int64_t id;

		memcpy(&id, w->found.data + w->at, sizeof(id));
		r = garbage_image(db, id, w->before, note_image, &e, err);
		w->removed += r > 0;
	}
	return MIN(r, 0);
}

/* Found beside the writers, then looked at again: most of a large store's untagged images are children of
 * indexes, and nobody waits while they are passed over. */
static int search_and_remove(struct images *w, struct err *err)
{
	struct run *g = w->gc;
	int r;

	buf_reset(&w->found);
	w->at = 0;
	w->removed = 0;
	{
		auto_reader struct meta_reader rd = { .meta = g->meta };

		r = meta_read_begin(g->meta, &rd.db, err);
		if (!r)
			r = garbage_images(rd.db, w->before, SEARCH, &w->found, err);
	}
	while (!r && !g->stopped && w->at < w->found.len) {
		r = meta_write(g->meta, false, step_images, w, err);
		progress(g);
	}
	return r;
}

/* As long as something goes: an index leaves its children behind, a subject what refers to it. */
static int collect_images(struct run *g, struct err *err)
{
	struct images w = { .gc = g, .before = timestamp_now() - g->options->untagged, .found = BUF_INIT };
	int r;

	do
		r = search_and_remove(&w, err);
	while (!r && !g->stopped && w.removed);
	buf_release(&w.found);
	return r;
}

/* 0 is all, also what was removed before the clock was put back. */
static int64_t removed_before(const struct run *g)
{
	if (!g->options->undo_keep)
		return INT64_MAX;
	return g->options->undo_keep < 0 ? INT64_MIN : timestamp_now() - g->options->undo_keep;
}

static int step_removals(struct db *db, void *arg, struct err *err)
{
	struct run *g = arg;
	int r = removal_expire(db, timestamp_now(), removed_before(g), BATCH, &g->taken, err);

	if (!r)
		g->report->removals += g->taken;
	return r;
}

static int step_links(struct db *db, void *arg, struct err *err)
{
	struct run *g = arg;
	int r = garbage_links(db, g->before, BATCH, &g->taken, err);

	if (!r)
		g->report->links += g->taken;
	return r;
}

static int unlink_file(void *arg, const struct digest *digest, int64_t size)
{
	struct run *g = arg;
	int there = store_blob_exists(g->store, digest, NULL);

	g->report->blobs += there > 0;
	g->report->blob_bytes += there > 0 ? size : 0;
	return store_blob_unlink(g->store, digest, NULL);
}

static int step_doomed(struct db *db, void *arg, struct err *err)
{
	struct run *g = arg;

	return garbage_doomed(db, BATCH, unlink_file, g, &g->taken, err);
}

static int predict(struct run *g, struct db *db, struct err *err)
{
	struct garbage_prediction p;
	int64_t untagged = g->options->untagged == GC_KEEP_UNTAGGED ?
				   0 :
				   timestamp_now() - g->options->untagged;
	int r = garbage_predict(db, untagged, g->before, removed_before(g), &p, err);

	g->report->images = p.images;
	g->report->links = p.links;
	g->report->removals = p.removals;
	g->report->blobs += p.blobs.count;
	g->report->blob_bytes += p.blobs.bytes;
	return r;
}

/* What is left, or would go, in numbers. */
static int count(struct run *g, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = g->meta };
	struct garbage_count young = { 0 };
	int r = meta_read_begin(g->meta, &rd.db, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = garbage_count_young(rd.db, g->before, &young, err);
	g->report->kept_blobs = young.count;
	g->report->kept_bytes = young.bytes;
	return r || !g->options->dry_run ? r : predict(g, rd.db, err);
}

/* Where something went, what was made from it may be left; else nothing lost its owner, and the cost of asking for it is spared. */
static int collect_indexes(struct run *g, struct err *err)
{
	const struct gc_report *o = g->report;
	struct indexes_report report;
	bool went = g->options->dry_run || o->images || o->links || o->blobs || o->removals;
	int r = indexes_collect(g->store, g->meta, went, g->options->dry_run, &report, err);

	g->report->indexes = report.files;
	g->report->index_bytes = report.bytes;
	return r;
}

int gc_run(struct store *store, struct meta *meta, const struct gc_options *options,
	   struct gc_report *out, struct err *err)
{
	struct run g = { .store = store,
			 .meta = meta,
			 .options = options,
			 .report = out,
			 .before = timestamp_now() - options->grace };
	int r;

	memset(out, 0, sizeof(*out));
	r = collect_uploads(&g, err);
	if (!r)
		r = store_upload_each(store, look_at_stray, &g, err);
	if (!r && !options->dry_run)
		r = until_done(&g, step_removals, err);
	if (!r && !options->dry_run && options->untagged != GC_KEEP_UNTAGGED)
		r = collect_images(&g, err);
	if (!r && !options->dry_run)
		r = until_done(&g, step_links, err);
	if (!r && !options->dry_run)
		r = until_done(&g, step_doomed, err);
	if (!r)
		r = collect_indexes(&g, err);
	return r < 0 ? r : count(&g, err);
}
