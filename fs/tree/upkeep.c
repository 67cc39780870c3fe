/*
 * upkeep.c: keeping the store clean and whole, as operations.
 */
#include "fs/base/base.h"
#include "fs/base/timestamp.h"
#include "fs/tree/state.h"

struct collection {
	const struct cred *cred;
	const struct tree_gc_options *options;
	const struct gc_report *report;
};

static bool gc_progress(void *arg, const struct gc_report *report)
{
	const struct tree_gc_options *o = ((const struct collection *)arg)->options;

	return o->progress && o->progress(o->arg, report);
}

static int gc_image(struct db *db, void *arg, const char *repo, const struct digest *digest,
		    struct err *err)
{
	const struct collection *c = arg;

	return add_event(db, c->cred, "delete", repo, NULL, digest, true, err);
}

void tree_set_sparse(struct tree *tree, bool sparse)
{
	tree->sparse = sparse;
}

void tree_set_inside(struct tree *tree, const struct tree_inside *inside)
{
	tree->inside = *inside;
	shelf_set_budget(tree->shelf, inside->cache);
}

void tree_set_grace(struct tree *tree, int64_t grace)
{
	tree->grace = grace;
}

/* What was removed without a trace otherwise. */
static int tell_gc(struct db *db, void *arg, struct err *err)
{
	const struct collection *c = arg;
	const struct gc_report *report = c->report;
	char about[128];
	const struct event event = { .kind = "gc", .repository = "", .about = about, .changed = true, .who = c->cred->name,
				     .origin = c->cred->from, .at = timestamp_now() };

	snprintf(about, sizeof(about), "%" PRId64 " blobs of %" PRId64 " bytes, %" PRId64 " uploads, %" PRId64 " images", report->blobs,
		 report->blob_bytes, report->uploads, report->images);
	return event_add(db, &event, err);
}

int tree_gc(struct tree *tree, const struct cred *cred, const struct tree_gc_options *options,
	    struct gc_report *out, struct err *err)
{
	struct collection c = { .cred = cred, .options = options };
	const struct gc_options o = {
		.grace = options->grace,
		.untagged = options->untagged < 0 ? GC_KEEP_UNTAGGED : options->untagged,
		.undo_keep = options->undo_keep,
		.dry_run = options->dry_run,
		.progress = gc_progress,
		.image = gc_image,
		.arg = &c,
	};
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = gc_run(tree->store, tree->meta, &o, out, err);
	c.report = out;
	if (!r && !options->dry_run && (out->blobs || out->uploads || out->images))
		r = meta_write(tree->meta, false, tell_gc, &c, err);
	return r;
}

struct files_check {
	const struct tree_check_options *options;
	struct check_report *report;
};

static int tell_damage(void *arg, const char *layer, uint32_t inode)
{
	struct files_check *f = arg;
	char text[DIGEST_TEXT_MAX + 64];

	f->report->derived++;
	f->report->repaired++;
	snprintf(text, sizeof(text), "a file taken out of %s (%" PRIu32 "): removed", layer, inode);
	f->options->problem(f->options->arg, CHECK_DERIVED, text);
	return 0;
}

int tree_check(struct tree *tree, const struct cred *cred, const struct tree_check_options *options,
	       struct check_report *out, struct err *err)
{
	const struct check_options o = {
		.data = options->data,
		.repair = options->repair,
		.rate = options->rate,
		.problem = options->problem,
		.progress = options->progress,
		.arg = options->arg,
	};
	struct files_check files = { .options = options, .report = out };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = check_run(tree->store, tree->meta, &o, out, err);
	if (!r && options->data)
		r = shelf_check_files(tree->shelf, tell_damage, &files, err);
	return r;
}
