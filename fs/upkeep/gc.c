/*
 * gc.c: see gc.h.
 *
 * Invariants:
 *  1. A blob's file is unlinked only inside a write transaction in which no row names it
 *     (a push checks its file inside the transaction that makes the row).
 *  2. No transaction takes more than BATCH steps, so that pushes get their turn.
 *  3. A crash leaves what was done done, and the rest as garbage for the next time: a doomed
 *     digest stays in its table until its file is gone.
 */
#include "fs/base/base.h"
#include "fs/upkeep/gc.h"

#include "fs/base/timestamp.h"
#include "fs/meta/blob.h"
#include "fs/meta/garbage.h"
#include "fs/meta/repo.h"
#include "fs/meta/upload.h"

#define BATCH 64

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

/* Runs a step in write transactions until it finds nothing more. */
static int until_done(struct run *g, meta_write_fn *step, struct err *err)
{
	int r = 0;

	do {
		g->taken = 0;
		r = meta_write(g->meta, false, step, g, err);
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

/* Holds it while its row goes, so that nobody continues it meanwhile. */
static int end_upload(struct run *g, struct dead_upload *u, struct err *err)
{
	auto_store_upload struct store_upload *held = NULL;
	int r = store_upload_open(g->store, u->name, NULL, 0, &held, NULL);

	if (r && r != -ENOENT) {
		g->report->kept_uploads++;
		return 0;
	}
	g->report->uploads++;
	g->report->upload_bytes += u->size;
	r = held ? sealed_digests(held, u, err) : 0;
	if (!r)
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
		return 0;
	}
	if (!g->options->dry_run)
		return end_upload(g, &u, err);
	g->report->uploads++;
	g->report->upload_bytes += u.size;
	return 0;
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
	int r = g->stopped ? 1 : meta_read_begin(g->meta, &rd.db, err);

	if (!r)
		r = upload_known(rd.db, name, err);
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

static int step_images(struct db *db, void *arg, struct err *err)
{
	struct run *g = arg;
	struct image_event e = { .gc = g, .db = db, .err = err };

	return garbage_images(db, timestamp_now() - g->options->untagged, BATCH, note_image, &e,
			      &g->taken, err);
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

	g->report->blobs++;
	g->report->blob_bytes += size;
	return store_blob_unlink(g->store, digest, NULL);
}

static int step_doomed(struct db *db, void *arg, struct err *err)
{
	struct run *g = arg;

	return garbage_doomed(db, BATCH, unlink_file, g, &g->taken, err);
}

/* What there is now, in numbers. */
static int count(struct run *g, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = g->meta };
	struct garbage_count young, old, doomed;
	int64_t images = 0;
	int r = meta_read_begin(g->meta, &rd.db, err);

	if (!r)
		r = garbage_unused(rd.db, g->before, &young, &old, err);
	if (r)
		return r;
	g->report->kept_blobs = young.count;
	g->report->kept_bytes = young.bytes;
	if (!g->options->dry_run)
		return 0;
	r = garbage_count_doomed(rd.db, &doomed, err);
	if (!r && g->options->untagged != GC_KEEP_UNTAGGED)
		r = garbage_count_images(rd.db, timestamp_now() - g->options->untagged, &images, err);
	g->report->links = old.count;
	g->report->blobs = old.count + doomed.count;
	g->report->blob_bytes = old.bytes + doomed.bytes;
	g->report->images = images;
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
	if (!r && !options->dry_run && options->untagged != GC_KEEP_UNTAGGED)
		r = until_done(&g, step_images, err);
	if (!r && !options->dry_run)
		r = until_done(&g, step_links, err);
	if (!r && !options->dry_run)
		r = until_done(&g, step_doomed, err);
	return r ? r : count(&g, err);
}
