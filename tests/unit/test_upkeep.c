/*
 * test_upkeep.c: what garbage collection and checks do in the moments that no test from outside can
 * meet: promises and their grace, by a clock that the test turns; a blob that is pushed
 * again while it is looked at; a sealed upload that is given up.
 */
#include "fs/base/base.h"
#include "fs/meta/derived.h"
#include "fs/tree/settings.h"
#include "fs/tree/state.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* The clock of this program: the libraries' calls come here. */
static _Atomic int64_t clock_seconds;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);

	if (!r && id == CLOCK_REALTIME)
		ts->tv_sec += clock_seconds;
	return r;
}

static void later(int64_t by)
{
	clock_seconds += by / SECOND;
}

struct registry {
	char *dir;
	struct tree *tree;
	struct cred cred;
};

/* "blobs links uploads images" that went. */
static const char *collect(struct registry *g, int64_t grace, int64_t untagged, bool dry_run)
{
	static char text[100];
	const struct tree_gc_options o = { .grace = grace, .untagged = untagged, .dry_run = dry_run };
	struct gc_report r;
	struct err err = ERR_INIT;

	if (tree_gc(g->tree, &g->cred, &o, &r, &err)) {
		printf("# %s\n", err.text);
		return "failed";
	}
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, r.blobs, r.links,
		 r.uploads, r.images);
	return text;
}

static int64_t number_of(struct registry *g, const char *sql)
{
	auto_reader struct meta_reader rd = { .meta = g->tree->meta };
	int64_t n = -1;

	if (meta_read_begin(g->tree->meta, &rd.db, NULL) || db_get_int(rd.db, &n, NULL, sql, "") < 0)
		return -1;
	return n;
}

static int count_file(void *arg, const struct digest *d, int64_t changed, struct err *err)
{
	(void)d;
	(void)changed;
	(void)err;
	++*(int64_t *)arg;
	return 0;
}

static int64_t files(struct registry *g)
{
	int64_t n = 0;

	return store_blob_each(g->tree->store, count_file, &n, NULL) ? -1 : n;
}

/* ---- Promises ---- */

static void test_promise(struct registry *g)
{
	struct digest d;
	int64_t size = 0, linked;

	tree_set_grace(g->tree, HOUR);
	is_int(push_text(g->tree, &g->cred, "a", "promised", &d, NULL), 0, "a blob");
	linked = number_of(g, "SELECT linked FROM repository_blob");
	later(20 * MINUTE);
	is_int(tree_blob_promise(g->tree, &g->cred, "a", &d, &size, NULL), 0, "asked for");
	is_int(size, 8, "its size");
	is_int(number_of(g, "SELECT linked FROM repository_blob"), linked, "in the first half nothing is written");
	later(20 * MINUTE);
	is_int(tree_blob_stat(g->tree, &g->cred, "a", &d, &size, NULL), 0, "looked at");
	is_int(number_of(g, "SELECT linked FROM repository_blob"), linked, "which promises nothing");
	is_int(tree_blob_promise(g->tree, &g->cred, "a", &d, &size, NULL), 0, "asked for in the second half");
	ok(number_of(g, "SELECT linked FROM repository_blob") >= linked + 40 * MINUTE, "the grace begins anew");
	later(50 * MINUTE);
	is_str(collect(g, HOUR, -1, false), "0 0 0 0", "90 minutes after the push it is there");
	later(20 * MINUTE);
	is_str(collect(g, HOUR, -1, true), "1 1 0 0", "past the grace it would go");
	is_str(collect(g, HOUR, -1, false), "1 1 0 0", "and goes");
	is_int(tree_blob_promise(g->tree, &g->cred, "a", &d, &size, NULL), -ENOENT, "and isn't promised");
}

static void test_mounted(struct registry *g)
{
	struct digest d;

	is_int(push_text(g->tree, &g->cred, "a", "mounted", &d, NULL), 0, "a blob");
	later(50 * MINUTE);
	is_int(tree_blob_mount(g->tree, &g->cred, "a", NULL, &d, NULL), 0, "mounted where it is");
	is_int(tree_blob_mount(g->tree, &g->cred, "b", "a", &d, NULL), 0, "and elsewhere");
	later(30 * MINUTE);
	is_str(collect(g, HOUR, -1, false), "0 0 0 0", "a mount renews the grace");
	later(40 * MINUTE);
	is_str(collect(g, HOUR, -1, false), "1 2 0 0", "once");
}

/* The last images of a tag stay as long as the tag, however often it moved among them. */
static void test_history_keep(struct registry *g)
{
	struct digest d[4];
	char salt[] = "0";

	is_int(tree_setting_set(g->tree, &g->cred, (struct settings_of){ "", true }, "history-keep", "3", false, NULL), 0,
	       "three images of a tag are kept");
	for (size_t i = 0; i < ARRAY_SIZE(d); i++, salt[0]++)
		is_int(push_simple(g->tree, &g->cred, "a", "t", salt, &d[i], NULL), 0, "image %zu", i);
	for (size_t i = 0; i < 20; i++)
		is_int(tree_tag_set(g->tree, &g->cred, "a", "t", &d[2 + i % 2], NULL), 0, "to and fro");
	later(5 * HOUR);
	is_str(collect(g, HOUR, HOUR, true), "3 3 0 1", "one would go");
	is_str(collect(g, HOUR, HOUR, false), "3 3 0 1", "and goes");
	is_int(tree_tag_set(g->tree, &g->cred, "a", "t", &d[0], NULL), -ENOENT, "the first");
	is_int(tree_tag_set(g->tree, &g->cred, "a", "t", &d[1], NULL), 0, "the second is there");
	is_int(tree_tag_rm(g->tree, &g->cred, "a", "t", NULL), 0, "the tag goes");
	later(5 * HOUR);
	is_str(collect(g, HOUR, HOUR, true), "9 9 0 3", "so would they all");
	is_str(collect(g, HOUR, HOUR, false), "9 9 0 3", "and do");
}

static void test_untagged(struct registry *g)
{
	struct digest first, second, again;

	is_int(tree_setting_set(g->tree, &g->cred, (struct settings_of){ "", true }, "history-keep", "1", false, NULL), 0,
	       "of what a tag has named, only what it names is kept");
	is_int(push_simple(g->tree, &g->cred, "a", "t", "first", &first, NULL), 0, "an image");
	later(5 * HOUR);
	is_int(push_simple(g->tree, &g->cred, "a", "t", "second", &second, NULL), 0, "another takes its tag");
	later(HOUR);
	is_str(collect(g, HOUR, 2 * HOUR, false), "0 0 0 0", "an hour without a tag");
	is_int(tree_tag_set(g->tree, &g->cred, "a", "u", &first, NULL), 0, "it gets one");
	later(5 * HOUR);
	is_str(collect(g, HOUR, 2 * HOUR, false), "0 0 0 0", "and stays");
	is_int(tree_tag_rm(g->tree, &g->cred, "a", "u", NULL), 0, "it loses that");
	later(HOUR);
	is_str(collect(g, HOUR, 2 * HOUR, false), "0 0 0 0", "its time begins anew");
	is_int(push_simple(g->tree, &g->cred, "a", "v", "first", &again, NULL), 0, "pushed again with a tag");
	is_int(tree_tag_rm(g->tree, &g->cred, "a", "v", NULL), 0, "without it");
	later(3 * HOUR);
	is_str(collect(g, HOUR, 2 * HOUR, true), "3 3 0 1", "past its time it would go");
	is_str(collect(g, HOUR, 2 * HOUR, false), "3 3 0 1", "and goes");
	is_int(files(g), 3, "the other stays");
}

/* ---- A sealed upload that is given up: its file stands under the blob's name as well ---- */

static void seal(struct registry *g, const char *id, const char *text)
{
	auto_store_upload struct store_upload *u = NULL;
	struct digest d;

	is_int(digest_of(DIGEST_SHA256, text, strlen(text), &d, NULL), 0, "a digest");
	is_int(store_upload_open(g->tree->store, id, NULL, 0, &u, NULL), 0, "an upload");
	is_int(store_upload_write(u, text, strlen(text), NULL), 0, "written");
	is_int(store_upload_seal(u, &d, NULL), 0, "sealed");
}

static void test_given_up(struct registry *g)
{
	char id[TREE_UPLOAD_ID_MAX + 1];
	int64_t size;

	for (int i = 0; i < 2; i++) {
		is_int(tree_upload_begin(g->tree, &g->cred, "a", DIGEST_SHA256, id, NULL), 0, "begun");
		seal(g, id, i ? "one" : "two");
		if (i)
			is_int(tree_repo_rm(g->tree, &g->cred, "a", NULL), 0, "its repository is removed");
		else
			is_int(tree_upload_cancel(g->tree, &g->cred, "a", id, NULL), 0, "cancelled");
		ok(tree_upload_stat(g->tree, &g->cred, "a", id, &size, NULL) == -ENOENT, "it is unknown");
		is_int(files(g), 1, "its file has its name");
		later(HOUR);
		is_str(collect(g, MINUTE, -1, true), "1 0 1 0", "gc would find it");
		is_str(collect(g, MINUTE, -1, false), "1 0 1 0", "and finds it");
		is_int(files(g), 0, "nothing is left");
	}
}

/* ---- A damaged blob that is pushed again while it is read ---- */

struct healing {
	struct registry *registry;
	const char *text;
	bool done;
};

static bool push_again(void *arg, const struct check_report *report)
{
	struct healing *h = arg;
	struct digest d;
	struct registry *g = h->registry;

	(void)report;
	if (h->done)
		return false;
	h->done = true;
	is_int(digest_of(DIGEST_SHA256, h->text, strlen(h->text), &d, NULL), 0, "a digest");
	is_int(store_blob_quarantine(g->tree->store, &d, NULL), 0, "another check was faster");
	is_int(push_text(g->tree, &g->cred, "a", h->text, &d, NULL), 0, "and it was pushed again");
	return false;
}

static void no_problem(void *arg, enum check_problem problem, const char *text)
{
	(void)arg;
	ok(problem == CHECK_BREAKS && !text, "found %s", text);
}

static void damage(struct registry *g)
{
	auto_buf struct buf path = BUF_INIT;
	struct digest d;
	char hex[DIGEST_HEX_MAX + 1];
	auto_fd int fd = -1;

	(void)!digest_of(DIGEST_SHA256, "healed", 6, &d, NULL);
	digest_hex(&d, hex);
	buf_addf(&path, "%s/blobs/sha256/%.2s/%s", g->dir, hex, hex);
	(void)chmod(path.data, 0600);
	fd = open(path.data, O_WRONLY | O_CLOEXEC);
	is_int(pwrite(fd, "HEALED", 6, 0), 6, "a file is damaged");
}

static void test_healed_meanwhile(struct registry *g)
{
	struct healing h = { .registry = g, .text = "healed" };
	const struct tree_check_options o = { .data = true, .problem = no_problem, .progress = push_again,
					      .arg = &h };
	struct check_report r;
	struct digest d;
	int64_t size;

	is_int(push_text(g->tree, &g->cred, "a", "healed", &d, NULL), 0, "a blob");
	damage(g);
	is_int(tree_check(g->tree, &g->cred, &o, &r, NULL), 0, "a check that reads it");
	is_int(r.bad, 0, "the new file isn't called bad for the old one's bytes");
	is_int(tree_blob_stat(g->tree, &g->cred, "a", &d, &size, NULL), 0, "it is served");
	is_int(files(g), 1, "its file stands");
}

/* ---- A row that became right before its repair ---- */

static int repair_everything(struct db *db, void *arg, struct err *err)
{
	int r = 0;

	(void)arg;
	for (size_t rule = 0; !r && rule < derived_rules; rule++)
		for (int64_t id = 0; !r && id < 20; id++)
			r = derived_repair(db, rule, id, err);
	return r;
}

static void test_right_meanwhile(struct registry *g)
{
	static const char *const layers[] = { "one", "two" };
	auto_reader struct meta_reader rd = { .meta = g->tree->meta };
	struct digest d;

	is_int(push_layers(g->tree, &g->cred, "a", "tag", "{}", layers, 2, &d, NULL), 0, "an image");
	is_int(push_layers(g->tree, &g->cred, "a", "none", "{\"a\":1}", layers, 2, &d, NULL), 0, "another");
	is_int(tree_tag_rm(g->tree, &g->cred, "a", "none", NULL), 0, "without a tag");
	is_int(meta_write(g->tree->meta, true, repair_everything, NULL, NULL), 0, "every row is repaired");
	is_int(meta_read_begin(g->tree->meta, &rd.db, NULL), 0, "and looked at");
	for (size_t rule = 0; rule < derived_rules; rule++) {
		int64_t n = -1;

		is_int(derived_count(rd.db, rule, &n, NULL), 0, "counted");
		is_int(n, 0, "none is wrong: %s", derived_text(rule));
	}
	is_int(number_of(g, "SELECT COUNT(*) FROM blob"), 6, "no blob has gone");
	is_int(number_of(g, "SELECT COUNT(*) FROM doomed"), 0, "or is about to");
}

/* ---- A transaction of its own ---- */

struct waiting {
	struct meta *meta;
	pthread_barrier_t *barrier;
	int64_t seen;	/* rows that the change saw, which no other connection does */
};

static int hold_the_lead(struct db *db, void *arg, struct err *err)
{
	const struct waiting *w = arg;

	(void)db;
	(void)err;
	pthread_barrier_wait(w->barrier);	/* the others may queue */
	for (int i = 0; i < 200; i++)
		sched_yield();
	pthread_barrier_wait(w->barrier);
	return 0;
}

static int add_row(struct db *db, void *arg, struct err *err)
{
	(void)arg;
	return db_exec(db, "UPDATE counter SET value = value + 1 WHERE name = 'event'", err);
}

static int compare_rows(struct db *db, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct waiting *w = arg;
	int64_t here = 0, there = 0;
	int r;

	rd.meta = w->meta;
	r = meta_read_begin(w->meta, &rd.db, err);
	if (!r)
		r = db_get_int(rd.db, &there, err, "SELECT value FROM counter WHERE name = 'event'", "");
	if (r >= 0)
		r = db_get_int(db, &here, err, "SELECT value FROM counter WHERE name = 'event'", "");
	w->seen = MAX(w->seen, here - there);
	return MIN(r, 0);
}

static void *lead(void *arg)
{
	struct waiting *w = arg;

	(void)!meta_write(w->meta, false, hold_the_lead, w, NULL);
	return NULL;
}

static void *add(void *arg)
{
	struct waiting *w = arg;

	for (int i = 0; i < 50; i++)
		(void)!meta_write(w->meta, false, add_row, w, NULL);
	return NULL;
}

static void *compare(void *arg)
{
	struct waiting *w = arg;

	for (int i = 0; i < 50; i++)
		(void)!meta_write_alone(w->meta, false, compare_rows, w, NULL);
	return NULL;
}

static void test_alone(struct registry *g)
{
	pthread_barrier_t barrier;
	struct waiting w = { .meta = g->tree->meta, .barrier = &barrier };
	void *(*const runs[])(void *) = { lead, add, add, add, compare };
	pthread_t threads[ARRAY_SIZE(runs)];

	pthread_barrier_init(&barrier, NULL, 2);
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
		pthread_create(&threads[i], NULL, runs[i], &w);
		if (!i)
			pthread_barrier_wait(&barrier);
	}
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&barrier);
	is_int(number_of(g, "SELECT value FROM counter WHERE name = 'event'"), 150, "all changes were made");
	is_int(w.seen, 0, "a change that is alone sees nothing that isn't committed");
}

/* ---- A collector between a push's file and its row ---- */

static void *commit_placed(void *arg)
{
	struct tree_upload *u = arg;
	struct digest d;

	(void)!digest_of(DIGEST_SHA256, "placed", 6, &d, NULL);
	is_int(tree_upload_commit(u, &d, NULL), 0, "the push succeeds");
	return NULL;
}

static void test_placed(struct registry *g)
{
	pthread_barrier_t barrier;
	struct waiting w = { .meta = g->tree->meta, .barrier = &barrier };
	auto_tree_upload struct tree_upload *u = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	pthread_t holder, pusher;
	struct digest d;
	int64_t size;

	is_int(digest_of(DIGEST_SHA256, "placed", 6, &d, NULL), 0, "a digest");
	is_int(tree_upload_begin(g->tree, &g->cred, "a", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_open(g->tree, &g->cred, "a", id, &u, NULL), 0, "opened");
	is_int(tree_upload_write(u, "placed", 6, NULL), 0, "written");
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&holder, NULL, lead, &w);
	pthread_barrier_wait(&barrier);	/* no change is made from here on */
	pthread_create(&pusher, NULL, commit_placed, u);
	while (store_blob_exists(g->tree->store, &d, NULL) == 0)
		sched_yield();
	is_int(store_blob_unlink(g->tree->store, &d, NULL), 0, "the file is collected before its row is made");
	pthread_barrier_wait(&barrier);
	pthread_join(holder, NULL);
	pthread_join(pusher, NULL);
	pthread_barrier_destroy(&barrier);
	is_int(tree_blob_stat(g->tree, &g->cred, "a", &d, &size, NULL), 0, "the blob is known");
	is_int(files(g), 1, "and its file stands");
}

int main(void)
{
	static const struct {
		const char *name;
		void (*run)(struct registry *g);
	} tests[] = {
		{ "promise", test_promise },   { "mounted", test_mounted },
		{ "untagged", test_untagged }, { "history", test_history_keep }, { "given-up", test_given_up },
		{ "healed", test_healed_meanwhile }, { "alone", test_alone },
		{ "placed", test_placed },     { "right", test_right_meanwhile },
	};
	auto_scratch struct scratch tmp = { "" };

	if (!scratch_make(&tmp))
		return 1;
	alarm(120);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
		struct registry g = { .dir = scratch_path(tmp.dir, tests[i].name),
				      .cred = cred_administrator("test") };

		if (is_int(tree_open(g.dir, TREE_CREATE, &g.tree, NULL), 0, "%s", tests[i].name))
			tests[i].run(&g);
		tree_close(g.tree);
		free(g.dir);
	}
	return done_testing();
}
