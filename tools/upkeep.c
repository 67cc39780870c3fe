/*
 * upkeep.c: regfs gc, regfs check.
 */
#include "fs/base/base.h"
#include "tools/command.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

/* ---- gc ---- */

struct gc_command_options {
	struct store_options common;
	const char *grace;
	const char *untagged;
	const char *undo_keep;
};

static const struct option_row gc_rows[] = {
	STORE_OPTION(struct gc_command_options, common.store),
	{ "json", 0, NULL, offsetof(struct gc_command_options, common.json), "print one JSON document" },
	{ "dry-run", 'n', NULL, offsetof(struct gc_command_options, common.dry_run),
	  "say what would be removed, remove nothing" },
	{ "grace", 0, "DURATION", offsetof(struct gc_command_options, grace),
	  "keep what was pushed or asked for within it (default: 1h)" },
	{ "untagged", 0, "keep|DURATION", offsetof(struct gc_command_options, untagged),
	  "remove images that have had no tag for so long (default: keep)" },
	{ "undo-keep", 0, "DURATION", offsetof(struct gc_command_options, undo_keep),
	  "what was removed longer ago can't be undone any more (default: as the setting undo-keep said)" },
	{ 0 },
};

static bool gc_line(void *arg, const struct gc_report *r)
{
	char size[SIZE_TEXT_MAX + 1];

	if (progress_due(arg))
		fprintf(stderr, "\r\033[Kcollecting: %" PRId64 " blobs, %s", r->blobs,
			size_text(r->blob_bytes, size));
	return false;
}

static int print_gc(const struct gc_command_options *o, const struct gc_report *r, struct err *err)
{
	auto_buf struct buf b = BUF_INIT;
	char blobs[SIZE_TEXT_MAX + 1], uploads[SIZE_TEXT_MAX + 1], indexes[SIZE_TEXT_MAX + 1];
	char kept[SIZE_TEXT_MAX + 1], kept_uploads[SIZE_TEXT_MAX + 1];
	const char *removed = o->common.dry_run ? "would remove" : "removed";

	if (!o->common.json) {
		printf("%s %" PRId64 " blobs that no image needs (%s), %" PRId64
		       " abandoned uploads (%s), %" PRId64 " untagged images, %" PRId64 " removals that could be undone, %" PRId64
		       " indexes without an owner (%s)\n"
		       "kept %" PRId64 " unneeded blobs (%s) and %" PRId64
		       " uploads (%s) that are within their grace\n",
		       removed, r->blobs, size_text(r->blob_bytes, blobs), r->uploads,
		       size_text(r->upload_bytes, uploads), r->images, r->removals, r->indexes,
		       size_text(r->index_bytes, indexes), r->kept_blobs, size_text(r->kept_bytes, kept),
		       r->kept_uploads, size_text(r->kept_upload_bytes, kept_uploads));
		return 0;
	}
	buf_addc(&b, '{');
	json_add_key(&b, "removed");
	buf_addc(&b, '{');
	json_add_number(&b, "blobs", r->blobs);
	json_add_number(&b, "blob-bytes", r->blob_bytes);
	json_add_number(&b, "links", r->links);
	json_add_number(&b, "uploads", r->uploads);
	json_add_number(&b, "upload-bytes", r->upload_bytes);
	json_add_number(&b, "images", r->images);
	json_add_number(&b, "removals", r->removals);
	json_add_number(&b, "indexes", r->indexes);
	json_add_number(&b, "index-bytes", r->index_bytes);
	buf_addc(&b, '}');
	json_add_key(&b, "kept");
	buf_addc(&b, '{');
	json_add_number(&b, "blobs", r->kept_blobs);
	json_add_number(&b, "blob-bytes", r->kept_bytes);
	json_add_number(&b, "uploads", r->kept_uploads);
	json_add_number(&b, "upload-bytes", r->kept_upload_bytes);
	buf_addc(&b, '}');
	json_add_key(&b, "dry-run");
	buf_adds(&b, o->common.dry_run ? "true}" : "false}");
	return print_json(&b, err);
}

static int run_gc(const void *options, char **operands, int count, struct err *err)
{
	const struct gc_command_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	struct gc_report report = { 0 };
	int64_t last = 0;
	struct tree_gc_options g = { .dry_run = o->common.dry_run, .progress = gc_line, .arg = &last };
	int r = option_duration("grace", o->grace, DEFAULT_GC_GRACE, &g.grace, err);

	(void)operands;
	(void)count;
	g.untagged = -1;
	if (!r && o->untagged && strcmp(o->untagged, "keep") != 0)
		r = option_duration("untagged", o->untagged, -1, &g.untagged, err);
	if (!r)
		r = option_duration("undo-keep", o->undo_keep, -1, &g.undo_keep, err);
	if (!r)
		r = open_store(&o->common, &tree, err);
	if (!r)
		r = tree_gc(tree, &cred, &g, &report, err);
	progress_end(last);
	return r ? r : print_gc(o, &report, err);
}

/* ---- check ---- */

struct check_command_options {
	struct store_options common;
	const char *rate;
	bool data;
	bool repair;
};

static const struct option_row check_rows[] = {
	STORE_OPTION(struct check_command_options, common.store),
	{ "json", 0, NULL, offsetof(struct check_command_options, common.json), "print one JSON document" },
	{ "data", 0, NULL, offsetof(struct check_command_options, data), "read every blob and compare its digest" },
	{ "rate", 0, "BYTES", offsetof(struct check_command_options, rate), "read at most so much a second (20M, 1G)" },
	{ "repair", 0, NULL, offsetof(struct check_command_options, repair),
	  "set right what follows from the rest, remove stray files" },
	{ 0 },
};

struct check_output {
	bool json;
	struct buf problems;
	int64_t last;
};

static bool check_line(void *arg, const struct check_report *r)
{
	struct check_output *o = arg;
	char size[SIZE_TEXT_MAX + 1];

	if (progress_due(&o->last))
		fprintf(stderr, "\r\033[Kchecking: %" PRId64 " blobs, %s", r->blobs,
			size_text(r->bytes, size));
	return false;
}

static void add_problem(void *arg, enum check_problem problem, const char *text)
{
	static const struct {
		const char *key, *says;
	} kinds[] = {
		[CHECK_DATABASE] = { "database", "the database is damaged: " },
		[CHECK_LOST] = { "lost", "lost blob " },
		[CHECK_DAMAGED] = { "damaged", "damaged blob " },
		[CHECK_BREAKS] = { "breaks", "  breaks " },
		[CHECK_STRAY] = { "stray", "a file without a blob: " },
		[CHECK_DERIVED] = { "derived", "" },
	};
	struct check_output *o = arg;

	if (!o->json) {
		progress_end(o->last);
		printf("%s%s\n", kinds[problem].says, text);
		return;
	}
	buf_adds(&o->problems, o->problems.len ? ",{" : "{");
	json_add_text(&o->problems, "problem", kinds[problem].key);
	json_add_text(&o->problems, "what", text);
	buf_addc(&o->problems, '}');
}

static int print_check(struct check_output *o, const struct check_report *r, struct err *err)
{
	auto_buf struct buf b = BUF_INIT;
	char size[SIZE_TEXT_MAX + 1];

	if (!o->json) {
		printf("%" PRId64 " blobs (%s): %" PRId64 " bad, %" PRId64 " stray files, %" PRId64
		       " wrong values, %" PRId64 " repaired\n",
		       r->blobs, size_text(r->bytes, size), r->bad, r->stray, r->derived, r->repaired);
		return 0;
	}
	buf_addc(&b, '{');
	json_add_number(&b, "blobs", r->blobs);
	json_add_number(&b, "bytes", r->bytes);
	json_add_number(&b, "database", r->database);
	json_add_number(&b, "bad", r->bad);
	json_add_number(&b, "stray", r->stray);
	json_add_number(&b, "derived", r->derived);
	json_add_number(&b, "repaired", r->repaired);
	json_add_key(&b, "problems");
	buf_addf(&b, "[%s]}", o->problems.data);
	return print_json(&b, err);
}

/* The answer is no where something is wrong and wasn't repaired. */
static int verdict(const struct check_report *r, struct err *err)
{
	if (r->database)
		return err_set(err, ERR_NOT_FOUND,
			       "the database is damaged: put a copy of it back (see regfs(1), FILES)");
	if (r->bad)
		return err_set(err, ERR_NOT_FOUND,
			       "%" PRId64 " blobs are lost or damaged: push the images that they break again",
			       r->bad);
	if (r->stray + r->derived > r->repaired)
		return err_set(err, ERR_NOT_FOUND, "the store has faults that `regfs check --repair` mends");
	return 0;
}

static int run_check(const void *options, char **operands, int count, struct err *err)
{
	const struct check_command_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	struct check_output out = { .json = o->common.json, .problems = BUF_INIT };
	struct check_report report = { 0 };
	struct tree_check_options c = { .data = o->data,
					.repair = o->repair,
					.problem = add_problem,
					.progress = check_line,
					.arg = &out };
	int r = option_size("rate", o->rate, 0, &c.rate, err);

	(void)operands;
	(void)count;
	if (!r)
		r = open_store(&o->common, &tree, err);
	if (!r)
		r = tree_check(tree, &cred, &c, &report, err);
	progress_end(out.last);
	if (!r)
		r = print_check(&out, &report, err);
	buf_release(&out.problems);
	return r ? r : verdict(&report, err);
}

const struct command upkeep_commands[] = {
	{ "gc", NULL, "", 0, 0, gc_rows, "remove what no image needs any more",
	  "Beside a running server, or without one. Pushes and pulls go on.\n", run_gc },
	{ "check", NULL, "", 0, 0, check_rows, "compare the database with the files",
	  "Beside a running server, or without one. Exits with 1 where something is wrong. A damaged blob is\n"
	  "put into the store's quarantine/ and served to nobody until it is pushed again.\n",
	  run_check },
	{ 0 },
};
