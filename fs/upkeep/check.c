/*
 * check.c: see check.h.
 *
 * Three passes: the database by itself and the values that follow from others; each blob's row
 * against its file; each file against its row.
 *
 * Invariants:
 *  1. A blob is called bad in the write transaction in which its row was seen again.
 *  2. A file is moved to quarantine before its row says bad: it is served to nobody between the two.
 *  3. A file without a row is a stray only when it is older than STRAY_AGE: a push links a file first.
 *  4. Nothing is looked for in a write transaction: what was found is brought there, BATCH of them at a
 *     time at the most, and looked at again.
 */
#include "fs/base/base.h"
#include "fs/upkeep/check.h"

#include <sys/stat.h>

#include "fs/base/timestamp.h"
#include "fs/meta/blob.h"
#include "fs/meta/derived.h"
#include "fs/meta/garbage.h"
#include "fs/meta/image.h"
#include "fs/meta/repo.h"
#include "fs/meta/tag.h"

#define STRAY_AGE (3600 * INT64_C(1000000000))
#define READ_SIZE (256 * 1024)
#define PAUSE 100000000	/* nanoseconds */
#define PAGE 256	/* blobs between two connections: no transaction stays open over much reading */
#define BATCH 128	/* findings in one transaction */
#define DUE 100000000	/* nanoseconds that a finding may wait for others */

/* A blob that is lost or damaged, as far as was seen. */
struct finding {
	struct digest digest;
	enum check_problem kind;
	struct content *looked_at;	/* while it is held no other has its number; NULL: there was none */
	bool known;			/* its row said bad before */
	bool still_so;
};

struct run {
	struct store *store;
	struct meta *meta;
	const struct check_options *options;
	struct check_report *report;
	char *data;		/* READ_SIZE */
	struct finding *findings;	/* BATCH */
	size_t found;
	int64_t first_found;
	struct digest *strays;	/* BATCH */
	size_t stray_count;
	int64_t started;
	bool stopped;
};

static void problem(struct run *c, enum check_problem kind, const char *fmt, ...) PRINTF(3, 4);
static void problem(struct run *c, enum check_problem kind, const char *fmt, ...)
{
	auto_buf struct buf text = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&text, fmt, ap);
	va_end(ap);
	c->options->problem(c->options->arg, kind, text.data);
}

static void progress(struct run *c)
{
	if (c->options->progress && c->options->progress(c->options->arg, c->report))
		c->stopped = true;
}

/* ---- The database by itself ---- */

static int count_wrong(struct db *db, struct run *c, bool *wrong, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < derived_rules; i++) {
		int64_t n = 0;

		r = derived_count(db, i, &n, err);
		if (r || !n)
			continue;
		*wrong = true;
		c->report->derived += n;
		problem(c, CHECK_DERIVED, "%" PRId64 " rows: %s", n, derived_text(i));
	}
	return r;
}

struct wrong {
	size_t rule;
	size_t count;
	int64_t ids[BATCH];
};

static int find_wrong(struct run *c, int64_t after, struct wrong *w, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = c->meta };
	int r = meta_read_begin(c->meta, &rd.db, err);

	return r ? r : derived_find(rd.db, w->rule, after, BATCH, w->ids, &w->count, err);
}

static int repair_wrong(struct db *db, void *arg, struct err *err)
{
	const struct wrong *w = arg;
	int r = 0;

	for (size_t i = 0; !r && i < w->count; i++)
		r = derived_repair(db, w->rule, w->ids[i], err);
	return r;
}

static int repair_rule(struct run *c, size_t rule, struct err *err)
{
	struct wrong w = { .rule = rule };
	int64_t after = 0;
	int r;

	do {
		r = find_wrong(c, after, &w, err);
		if (r || !w.count)
			return r;
		r = meta_write(c->meta, true, repair_wrong, &w, err);
		after = w.ids[w.count - 1];
		progress(c);
	} while (!r && w.count == BATCH && !c->stopped);
	return r;
}

/* All of them: setting one value right may bring out another. */
static int repair_derived(struct run *c, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < derived_rules && !c->stopped; i++)
		r = repair_rule(c, i, err);
	if (!r && !c->stopped)
		c->report->repaired += c->report->derived;
	return r;
}

static int check_database(struct run *c, struct err *err)
{
	auto_buf struct buf text = BUF_INIT;
	bool wrong = false;
	int r;

	{
		auto_reader struct meta_reader rd = { .meta = c->meta };

		r = meta_read_begin(c->meta, &rd.db, err);
		if (!r)
			r = db_begin_read(rd.db, err);
		if (!r)
			r = db_check(rd.db, &text, err);
		if (!r)
			r = count_wrong(rd.db, c, &wrong, err);
	}
	if (!r && text.len) {
		c->report->database++;
		problem(c, CHECK_DATABASE, "%s", text.data);
	}
	return r || !wrong || !c->options->repair ? r : repair_derived(c, err);
}

/* ---- Rows against files ---- */

static bool same_file(const struct content *a, const struct content *b)
{
	struct stat x, y;

	return a && fstat(content_fd(a), &x) == 0 && fstat(content_fd(b), &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Meanwhile the blob may have gone, or have been pushed again. */
static int call_bad(struct db *db, struct store *store, struct finding *f, struct err *err)
{
	auto_content struct content *now = NULL;
	struct blob_row row;
	int r = blob_by_digest(db, &f->digest, &row, err);

	f->still_so = false;
	if (r <= 0)
		return r;
	r = store_blob_open(store, &f->digest, &now, err);
	if (r && r != -ENOENT && r != -EIO)
		return r;
	f->still_so = r || same_file(f->looked_at, now);
	if (!f->still_so)
		return 0;
	r = store_blob_quarantine(store, &f->digest, err);
	return r ? r : blob_set_bad(db, &f->digest, err);
}

static int call_all_bad(struct db *db, void *arg, struct err *err)
{
	struct run *c = arg;
	int r = 0;

	for (size_t i = 0; !r && i < c->found; i++)
		if (!c->findings[i].known)
			r = call_bad(db, c->store, &c->findings[i], err);
	return r;
}

struct broken {
	struct run *check;
	struct db *db;
	struct err *err;
};

static int name_image(struct broken *b, int64_t manifest_id)
{
	char text[DIGEST_TEXT_MAX + 1];
	struct image_row image;
	struct repo_row repo;
	int r = image_by_id(b->db, manifest_id, &image, b->err);

	if (r > 0)
		r = repo_by_id(b->db, image.repository_id, &repo, b->err);
	if (r > 0)
		problem(b->check, CHECK_BREAKS, "%s@%s", repo.name, digest_format(&image.digest, text));
	return MIN(r, 0);
}

static int name_user(void *arg, const struct ref_row *ref)
{
	return name_image(arg, ref->manifest_id);
}

static int name_itself(void *arg, const struct image_row *row)
{
	return name_image(arg, row->id);
}

static int list_broken(struct run *c, const struct digest *d, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = c->meta };
	struct broken b = { .check = c, .err = err };
	int r = meta_read_begin(c->meta, &rd.db, err);

	b.db = rd.db;
	if (!r)
		r = image_list_of_digest(rd.db, d, name_itself, &b, err);
	return r ? r : ref_users(rd.db, 0, d, (enum manifest_role)0, 0, name_user, &b, err);
}

static int report_bad(struct run *c, const struct finding *f, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];

	c->report->bad++;
	problem(c, f->kind, "%s%s", digest_format(&f->digest, text),
		f->known ? " (in quarantine: push it again)" : "");
	return list_broken(c, &f->digest, err);
}

static void forget_findings(struct run *c)
{
	while (c->found) {
		struct finding *f = &c->findings[--c->found];

		if (f->looked_at)
			content_free(f->looked_at);
	}
}

/* Brings what was found into the database, and reports it. */
static int settle(struct run *c, struct err *err)
{
	bool news = false;
	int r;

	for (size_t i = 0; i < c->found; i++)
		news |= !c->findings[i].known;
	r = news ? meta_write(c->meta, true, call_all_bad, c, err) : 0;
	for (size_t i = 0; !r && i < c->found; i++)
		if (c->findings[i].still_so)
			r = report_bad(c, &c->findings[i], err);
	forget_findings(c);
	return r;
}

static int settle_if_due(struct run *c, struct err *err)
{
	bool due = c->found == BATCH || (c->found && timestamp_now() - c->first_found > DUE);

	return due ? settle(c, err) : 0;
}

/* Keeps to the rate: what was read so far takes at least this long. In short pauses: it may be told
 * to stop. */
static void slow_down(struct run *c)
{
	int64_t due, left;

	if (!c->options->rate)
		return;
	due = c->started + (int64_t)((double)c->report->bytes / (double)c->options->rate * 1e9);
	while (!c->stopped && (left = due - timestamp_now()) > 0) {
		struct timespec pause = { 0 };

		pause.tv_nsec = MIN(left, PAUSE);
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		progress(c);
	}
}

/* 1: the bytes have that digest, 0: they don't, or can't be read. */
static int read_and_compare(struct run *c, const struct content *content, const struct digest *d,
			    struct err *err)
{
	auto_hasher struct hasher *h = NULL;
	struct digest found;
	int r = hasher_new((enum digest_algorithm)d->algorithm, &h, err);

	for (int64_t at = 0; !r && at < content_size(content) && !c->stopped;) {
		ssize_t n = content_read(content, c->data, READ_SIZE, at, NULL);

		if (n <= 0)
			return 0;
		r = hasher_update(h, c->data, (size_t)n, err);
		at += n;
		c->report->bytes += n;
		if (!r)
			r = settle_if_due(c, err);
		slow_down(c);
		progress(c);
	}
	if (r || c->stopped)
		return r ? r : 1;
	r = hasher_digest(h, &found, err);
	return r ? r : digest_equal(&found, d);
}

/* CHECK_LOST, CHECK_DAMAGED, or -1: as it should be. *looked_at is the file: while it is held, no
 * other has its number. */
static int look_at_file(struct run *c, const struct blob_row *row, struct content **looked_at,
			int *found, struct err *err)
{
	int r = store_blob_open(c->store, &row->digest, looked_at, err);

	*found = r == -ENOENT ? CHECK_LOST : r == -EIO ? CHECK_DAMAGED : -1;
	if (r)
		return *found < 0 ? r : 0;
	if (content_size(*looked_at) != row->size) {
		*found = CHECK_DAMAGED;
		return 0;
	}
	if (!c->options->data) {
		c->report->bytes += row->size;
		return 0;
	}
	r = read_and_compare(c, *looked_at, &row->digest, err);
	if (r == 0)
		*found = CHECK_DAMAGED;
	return MIN(r, 0);
}

/* The row as it is now: the page may have been read hours ago. */
static int read_again(struct run *c, int64_t id, struct blob_row *row, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = c->meta };
	int r = meta_read_begin(c->meta, &rd.db, err);

	return r ? r : blob_by_id(rd.db, id, row, err);
}

static int check_blob(struct run *c, int64_t id, struct err *err)
{
	auto_content struct content *file = NULL;
	struct blob_row row;
	int found = CHECK_LOST, r = read_again(c, id, &row, err);

	if (r <= 0)
		return r;
	c->report->blobs++;
	r = row.bad ? 0 : look_at_file(c, &row, &file, &found, err);
	if (r || c->stopped)
		return r;
	if (found >= 0) {
		if (!c->found)
			c->first_found = timestamp_now();
		c->findings[c->found++] = (struct finding){ .digest = row.digest,
							    .kind = (enum check_problem)found,
							    .looked_at = steal(&file),
							    .known = row.bad,
							    .still_so = true };
	}
	return settle_if_due(c, err);
}

struct page {
	int64_t ids[PAGE];
	size_t count;
};

static int add_row(void *arg, const struct blob_row *row)
{
	struct page *p = arg;

	p->ids[p->count++] = row->id;
	return p->count == PAGE;
}

static int next_page(struct run *c, int64_t after, struct page *p, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = c->meta };
	int r = meta_read_begin(c->meta, &rd.db, err);

	p->count = 0;
	if (!r)
		r = blob_list(rd.db, after, add_row, p, err);
	return MIN(r, 0);
}

static int check_rows(struct run *c, struct err *err)
{
	struct page p = { 0 };
	int64_t after = 0;
	int r = 0;

	do {
		r = next_page(c, after, &p, err);
		for (size_t i = 0; !r && i < p.count && !c->stopped; i++) {
			r = check_blob(c, p.ids[i], err);
			after = p.ids[i];
			progress(c);
		}
	} while (!r && p.count == PAGE && !c->stopped);
	return r ? r : settle(c, err);
}

/* ---- Files against rows ---- */

/* Not those that have a row by then. */
static int doom_all(struct db *db, void *arg, struct err *err)
{
	const struct run *c = arg;
	int r = 0;

	for (size_t i = 0; !r && i < c->stray_count; i++)
		r = garbage_doom(db, &c->strays[i], 0, err);
	return r;
}

static int doom_strays(struct run *c, struct err *err)
{
	int r = c->stray_count ? meta_write(c->meta, true, doom_all, c, err) : 0;

	c->report->repaired += r ? 0 : (int64_t)c->stray_count;
	c->stray_count = 0;
	return r;
}

/* 1: no row names it, gc doesn't know of it, and it is still there. */
static int is_stray(struct run *c, const struct digest *d, struct err *err)
{
	auto_reader struct meta_reader rd = { .meta = c->meta };
	struct blob_row row;
	int r = meta_read_begin(c->meta, &rd.db, err);

	if (!r)
		r = blob_by_digest(rd.db, d, &row, err);
	if (!r)
		r = garbage_is_doomed(rd.db, d, err);
	return r ? MIN(r, 0) : store_blob_exists(c->store, d, err);
}

/* `changed` is when it got its name, not when its bytes were written: an upload may rest for days
 * before its last request. */
static int check_file(void *arg, const struct digest *d, int64_t changed, struct err *err)
{
	struct run *c = arg;
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (c->stopped)
		return 1;
	if (changed > c->started - STRAY_AGE)
		return 0;
	r = is_stray(c, d, err);
	if (r <= 0)
		return r;
	c->report->stray++;
	problem(c, CHECK_STRAY, "%s", digest_format(d, text));
	if (!c->options->repair)
		return 0;
	c->strays[c->stray_count++] = *d;
	return c->stray_count == BATCH ? doom_strays(c, err) : 0;
}

static int check_all(struct run *c, struct err *err)
{
	int r = check_database(c, err);

	if (!r)
		r = check_rows(c, err);
	if (!r && !c->stopped)
		r = store_blob_each(c->store, check_file, c, err);
	return r < 0 ? r : doom_strays(c, err);
}

int check_run(struct store *store, struct meta *meta, const struct check_options *options,
	      struct check_report *out, struct err *err)
{
	auto_free char *data = malloc(READ_SIZE);
	auto_free struct finding *findings = calloc(BATCH, sizeof(*findings));
	auto_free struct digest *strays = calloc(BATCH, sizeof(*strays));
	struct run c = { .store = store,
			 .meta = meta,
			 .options = options,
			 .report = out,
			 .data = data,
			 .findings = findings,
			 .strays = strays,
			 .started = timestamp_now() };
	int r;

	memset(out, 0, sizeof(*out));
	if (!data || !findings || !strays)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = check_all(&c, err);
	forget_findings(&c);
	return r;
}

int check_blob_now(struct store *store, struct meta *meta, const struct digest *d, bool *bad, struct err *err)
{
	static const struct check_options options = { .data = true };
	auto_free char *data = malloc(READ_SIZE);
	auto_content struct content *file = NULL;
	struct check_report report = { 0 };
	struct finding finding = { .digest = *d };
	struct run c = { .store = store, .meta = meta, .options = &options, .report = &report, .data = data, .findings = &finding };
	struct blob_row row;
	int found = -1, r;

	*bad = false;
	if (!data)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	{
		auto_reader struct meta_reader rd = { .meta = meta };

		r = meta_read_begin(meta, &rd.db, err);
		if (!r)
			r = blob_by_digest(rd.db, d, &row, err);
	}
	if (r <= 0 || row.bad)
		return MIN(r, 0);
	r = look_at_file(&c, &row, &file, &found, err);
	if (r || found < 0)
		return r;
	finding.looked_at = file;
	c.found = 1;
	r = meta_write(meta, true, call_all_bad, &c, err);
	*bad = !r && finding.still_so;
	return r;
}
