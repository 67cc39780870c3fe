/*
 * test_derived.c: derived files: made once, whole or not at all, and within a budget.
 */
#include "fs/base/base.h"
#include "fs/store/derived.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

static struct derived_name name_of(enum derived_kind kind, const char *text, uint64_t part)
{
	struct derived_name name = { .kind = kind, .part = part };

	if (digest_of(DIGEST_SHA256, text, strlen(text), &name.key, NULL))
		abort();
	return name;
}

/* Makes it, with these bytes; what derived_begin() said, or an error. */
static int make(struct derived *d, const struct derived_name *name, const char *bytes)
{
	struct derived_draft draft;
	int r = derived_begin(d, name, &draft, NULL);

	if (r > 0 && (pwrite(draft.fd, bytes, strlen(bytes), 0) < 0 || derived_commit(d, &draft, false, NULL)))
		r = -EIO;
	derived_end(d, &draft);
	return r;
}

static bool holds(struct derived *d, const struct derived_name *name, const char *bytes)
{
	auto_fd int fd = -1;
	char have[64] = "";

	return derived_open(d, name, &fd, NULL) == 0 && pread(fd, have, sizeof(have) - 1, 0) == (ssize_t)strlen(bytes) &&
	       streq(have, bytes);
}

static void test_make(struct derived *d)
{
	struct derived_name layer = name_of(DERIVED_LAYER, "a", 0), image = name_of(DERIVED_IMAGE, "a", 0);
	struct derived_draft draft;
	struct err err = ERR_INIT;
	int fd = -1;

	is_int(derived_open(d, &layer, &fd, &err), -ENOENT, "what isn't there");
	is_int(make(d, &layer, "one"), 1, "is made");
	ok(holds(d, &layer, "one"), "and is there");
	is_int(derived_open(d, &image, &fd, NULL), -ENOENT, "under its kind only");
	is_int(derived_begin(d, &image, &draft, NULL), 1, "one is begun");
	ok(write(draft.fd, "half", 4) == 4 && derived_open(d, &image, &fd, NULL) == -ENOENT, "it isn't there yet");
	derived_end(d, &draft);
	is_int(derived_open(d, &image, &fd, NULL), -ENOENT, "and given up: never");
	is_int(make(d, &layer, "other"), 1, "it is made again");
	ok(holds(d, &layer, "other"), "in place of the other");
	is_int(derived_remove(d, &layer, NULL), 0, "it is removed");
	is_int(derived_remove(d, &layer, NULL), 0, "absent is success");
	is_int(derived_open(d, &layer, &fd, NULL), -ENOENT, "and is gone");
}

static void test_left_behind(struct derived *d, const char *dir)
{
	struct derived_name name = name_of(DERIVED_LAYER, "crash", 0);
	auto_free char *path = NULL;
	char hex[DIGEST_HEX_MAX + 1];
	FILE *f;

	is_int(make(d, &name, "x"), 1, "its directories are there");
	(void)!derived_remove(d, &name, NULL);
	digest_hex(&name.key, hex);
	if (asprintf(&path, "%s/index/layer/%.2s/%s.new", dir, hex, hex) < 0)
		abort();
	f = fopen(path, "w");
	ok(f && fputs("what a crash left, longer than what comes", f) > 0 && !fclose(f), "a draft that a crash left");
	is_int(make(d, &name, "whole"), 1, "is no hindrance");
	ok(holds(d, &name, "whole"), "and none of it stays");
	ok(access(path, F_OK) < 0, "nor its name");
}

/* What was begun goes, if nobody is at it; and what is at it goes on if its name goes. */
static void test_sweep(struct derived *d, const char *dir)
{
	struct derived_name one = name_of(DERIVED_COPY, "left", 0), two = name_of(DERIVED_FILE, "in work", UINT64_C(4) << 32 | 7);
	struct derived_draft left, draft;
	auto_free char *left_path = NULL, *path = NULL, *room = NULL;
	char hex[DIGEST_HEX_MAX + 1], other[DIGEST_HEX_MAX + 1];
	int64_t files = -1, bytes = -1;

	digest_hex(&one.key, hex);
	digest_hex(&two.key, other);
	if (asprintf(&left_path, "%s/index/copy/%.2s/%s.new", dir, hex, hex) < 0 ||
	    asprintf(&path, "%s/index/file/%.2s/%s-17179869191.new", dir, other, other) < 0 ||
	    asprintf(&room, "%s/index/file/%.2s", dir, other) < 0)
		abort();
	ok(derived_begin(d, &one, &left, NULL) == 1 && write(left.fd, "12345", 5) == 5, "one is begun");
	close(left.fd);
	is_int(derived_begin(d, &two, &draft, NULL), 1, "another too");
	ok(derived_sweep(d, true, &files, &bytes, NULL) == 0 && files == 1 && bytes == 5, "what nobody is at is found");
	ok(access(left_path, F_OK) == 0, "and stays");
	ok(derived_sweep(d, false, &files, &bytes, NULL) == 0 && files == 1, "it is removed");
	ok(access(left_path, F_OK) < 0 && access(path, F_OK) == 0, "what somebody is at isn't");
	ok(unlink(path) == 0 && rmdir(room) == 0, "somebody removes it, and its directory");
	is_int(derived_commit(d, &draft, true, NULL), 0, "who makes one is done all the same");
	ok(fcntl(draft.fd, F_GETFD) >= 0, "and has it");
	derived_end(d, &draft);
	is_int(make(d, &two, "again"), 1, "it isn't there, and is made again");
	is_int(derived_remove(d, &two, NULL), 0, "and goes");
}

/* ---- Several at once ---- */

struct race {
	struct derived *d;
	struct derived_name name;
	atomic_int made, found, failed;
};

static void *racer(void *arg)
{
	struct race *race = arg;
	int fd = -1, r = derived_open(race->d, &race->name, &fd, NULL);

	if (r == -ENOENT)
		r = make(race->d, &race->name, "raced");
	else if (r == 0)
		close(fd);
	atomic_fetch_add(r > 0 ? &race->made : r == 0 ? &race->found : &race->failed, 1);
	return NULL;
}

static void test_race(struct derived *d)
{
	bool whole = true;
	int made = 0, failed = 0;

	for (int round = 0; round < 50; round++) {
		struct race race = { .d = d };
		pthread_t threads[8];
		char text[16];

		snprintf(text, sizeof(text), "race %d", round);
		race.name = name_of(DERIVED_LAYER, text, 0);
		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			if (pthread_create(&threads[i], NULL, racer, &race))
				abort();
		for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
			pthread_join(threads[i], NULL);
		whole = whole && holds(d, &race.name, "raced");
		made += race.made > 0;
		failed += race.failed;
	}
	is_int(made, 50, "of eight at once, somebody makes it");
	is_int(failed, 0, "nobody fails");
	ok(whole, "and it is whole");
}

/* The second waits for the first, and finds what it made. */
static void *waiter(void *arg)
{
	struct race *race = arg;
	struct derived_draft draft;

	race->found = derived_begin(race->d, &race->name, &draft, NULL);
	derived_end(race->d, &draft);
	return NULL;
}

/* Whether a thread of this process waits in flock(). */
static bool someone_waits(void)
{
	char line[256];
	bool waits = false;
	FILE *f = fopen("/proc/locks", "r");

	while (f && !waits && fgets(line, sizeof(line), f))
		waits = strstr(line, "-> FLOCK") != NULL;
	if (f)
		fclose(f);
	return waits;
}

static void test_wait(struct derived *d)
{
	struct race race = { .d = d, .name = name_of(DERIVED_LAYER, "waited for", 0), .found = -1 };
	struct derived_draft draft;
	pthread_t thread;

	is_int(derived_begin(d, &race.name, &draft, NULL), 1, "the first makes it");
	if (pthread_create(&thread, NULL, waiter, &race))
		abort();
	while (!someone_waits())
		sched_yield();
	ok(pwrite(draft.fd, "done", 4, 0) == 4 && derived_commit(d, &draft, true, NULL) == 0, "and is done");
	derived_end(d, &draft);
	pthread_join(thread, NULL);
	is_int(race.found, 0, "the second finds it there");
	ok(holds(d, &race.name, "done"), "as the first made it");
}

/* ---- Listing, budget ---- */

static int count_file(void *arg, const struct derived_name *name, int64_t size, int64_t used, struct err *err)
{
	(void)err;
	*(int64_t *)arg += size + (name->part == 7 ? 1000 : 0) + (used > 0 ? 0 : 1000000);
	return 0;
}

static int stop_at_once(void *arg, const struct derived_name *name, int64_t size, int64_t used, struct err *err)
{
	(void)arg;
	(void)name;
	(void)size;
	(void)used;
	(void)err;
	return 5;
}

static void test_each(struct derived *d)
{
	struct derived_name one = name_of(DERIVED_FILE, "layer", 7), two = name_of(DERIVED_FILE, "layer", 4000000000u);
	int64_t sum = 0;

	ok(make(d, &one, "1234") == 1 && make(d, &two, "12345678") == 1, "two files of one layer");
	is_int(derived_each(d, DERIVED_FILE, count_file, &sum, NULL), 0, "are listed");
	is_int(sum, 12 + 1000, "with their parts and sizes");
	is_int(derived_each(d, DERIVED_FILE, stop_at_once, NULL, NULL), 5, "until somebody has enough");
	sum = 0;
	is_int(derived_each(d, DERIVED_COPY, count_file, &sum, NULL), 0, "a kind that there is none of");
	is_int(sum, 0, "has none");
}

static void set_used(struct derived *d, const struct derived_name *name, time_t when)
{
	auto_fd int fd = -1;

	if (derived_open(d, name, &fd, NULL) || futimens(fd, (struct timespec[]){ { .tv_sec = when }, { .tv_sec = 1 } }))
		abort();
}

static void test_shrink(struct derived *d)
{
	struct derived_name old = name_of(DERIVED_FILE, "layer", 7), used = name_of(DERIVED_FILE, "layer", 4000000000u);
	struct derived_name copy = name_of(DERIVED_COPY, "layer", 0), layer = name_of(DERIVED_LAYER, "stays", 0);

	ok(make(d, &copy, "123456") == 1 && make(d, &layer, "index") == 1, "a copy and an index beside them");
	set_used(d, &old, 1000);
	set_used(d, &copy, 2000);
	set_used(d, &used, 3000);
	is_int(derived_shrink(d, 18, NULL), 0, "a budget for all");
	ok(holds(d, &old, "1234"), "nothing goes");
	set_used(d, &old, 1000);
	is_int(derived_shrink(d, 17, NULL), 0, "one byte less");
	int fd = -1;
	is_int(derived_open(d, &old, &fd, NULL), -ENOENT, "what wasn't used for longest goes");
	ok(holds(d, &copy, "123456") && holds(d, &used, "12345678"), "the rest stays");
	is_int(derived_shrink(d, 0, NULL), 0, "no budget");
	is_int(derived_open(d, &copy, &fd, NULL), -ENOENT, "nothing stays");
	ok(holds(d, &layer, "index"), "but indexes");
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	struct derived *d;

	if (!scratch_make(&tmp) || derived_new(tmp.dir, &d, NULL))
		return 1;
	test_make(d);
	test_left_behind(d, tmp.dir);
	test_sweep(d, tmp.dir);
	test_race(d);
	test_wait(d);
	test_each(d);
	test_shrink(d);
	derived_free(d);
	return done_testing();
}
