/*
 * test_sync.c: syncs that are shared. fsync() and syncfs() are the test's own: they note when they began, and wait
 * until told to end.
 */
#include "fs/base/base.h"
#include "fs/store/sync.h"
#include "tests/unit/tap.h"

#include <pthread.h>
#include <time.h>

#define CALLERS 32

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	int at_fsync, at_syncfs;	/* how many are in it now */
	int fsyncs, groups;		/* how many have begun */
	int let_fsync, let_syncfs;	/* how many of those may end */
	int error;			/* of a syncfs */
	int milliseconds;		/* that a syncfs takes at least */
	int returned;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

int fsync(int fd)
{
	int mine;

	(void)fd;
	pthread_mutex_lock(&state.lock);
	mine = ++state.fsyncs;
	state.at_fsync++;
	pthread_cond_broadcast(&state.changed);
	while (mine > state.let_fsync)
		pthread_cond_wait(&state.changed, &state.lock);
	state.at_fsync--;
	pthread_mutex_unlock(&state.lock);
	return 0;
}

int syncfs(int fd)
{
	struct timespec takes = { .tv_nsec = state.milliseconds * 1000000L };
	int mine, error;

	(void)fd;
	pthread_mutex_lock(&state.lock);
	mine = ++state.groups;
	state.at_syncfs++;
	pthread_cond_broadcast(&state.changed);
	while (mine > state.let_syncfs)
		pthread_cond_wait(&state.changed, &state.lock);
	state.at_syncfs--;
	error = state.error;
	pthread_mutex_unlock(&state.lock);
	clock_nanosleep(CLOCK_MONOTONIC, 0, &takes, NULL);
	errno = error;
	return error ? -1 : 0;
}

struct caller {
	pthread_t thread;
	struct sync *sync;
	int result;
};

static void *call(void *arg)
{
	struct caller *c = arg;

	c->result = sync_file(c->sync, 1);
	pthread_mutex_lock(&state.lock);
	state.returned++;
	pthread_cond_broadcast(&state.changed);
	pthread_mutex_unlock(&state.lock);
	return NULL;
}

static void start(struct sync *sync, struct caller *callers, int n)
{
	for (int i = 0; i < n; i++) {
		callers[i] = (struct caller){ .sync = sync, .result = 1 };
		pthread_create(&callers[i].thread, NULL, call, &callers[i]);
	}
}

/* Their results, each of which must be `want`. */
static void join(struct caller *callers, int n, int want, const char *what)
{
	int same = 0;

	for (int i = 0; i < n; i++) {
		pthread_join(callers[i].thread, NULL);
		same += callers[i].result == want;
	}
	ok(same == n, "%s: %d of %d got %d", what, same, n, want);
}

#define WAIT_UNTIL(condition)                                                   \
	do {                                                                    \
		pthread_mutex_lock(&state.lock);                                \
		while (!(condition))                                            \
			pthread_cond_wait(&state.changed, &state.lock);         \
		pthread_mutex_unlock(&state.lock);                              \
	} while (0)

static void let(int fsyncs, int groups)
{
	pthread_mutex_lock(&state.lock);
	state.let_fsync += fsyncs;
	state.let_syncfs += groups;
	pthread_cond_broadcast(&state.changed);
	pthread_mutex_unlock(&state.lock);
}

static void reset(int error, int milliseconds)
{
	state.fsyncs = state.groups = state.let_fsync = state.let_syncfs = state.returned = 0;
	state.error = error;
	state.milliseconds = milliseconds;
}

static void test_few(struct sync *s)
{
	struct caller c[4];

	reset(0, 0);
	start(s, c, 4);
	WAIT_UNTIL(state.at_fsync == 4);
	ok(state.groups == 0, "four at once have an fsync each");
	let(4, 0);
	join(c, 4, 0, "they end");
}

/* Four go alone, and are at it all the time; one leads a group; the rest come during its sync. */
static void test_group(struct sync *s, int error)
{
	struct caller few[4], first, rest[CALLERS];

	reset(error, 0);
	start(s, few, 4);
	WAIT_UNTIL(state.at_fsync == 4);
	start(s, &first, 1);
	WAIT_UNTIL(state.at_syncfs == 1);
	start(s, rest, CALLERS);
	let(0, 1);
	join(&first, 1, -error, "the first group ends");
	WAIT_UNTIL(state.at_syncfs == 1);
	ok(state.returned == 1, "who came during its sync had no part in it");
	let(0, CALLERS);
	join(rest, CALLERS, -error, "they have syncs that began later");
	ok(state.groups > 1 && state.groups <= 1 + CALLERS && state.fsyncs == 4, "%d groups for all", state.groups);
	let(4, 0);
	join(few, 4, 0, "those with an fsync of their own end");
}

/* As before; a sync that took long is not tried again for a while. */
static void test_break(struct sync *s)
{
	struct caller few[4], first, later[CALLERS];

	reset(0, 200);
	start(s, few, 4);
	WAIT_UNTIL(state.at_fsync == 4);
	start(s, &first, 1);
	let(0, 1);
	join(&first, 1, 0, "a slow group ends");
	start(s, later, CALLERS);
	WAIT_UNTIL(state.at_fsync == 4 + CALLERS);
	ok(state.groups == 1, "the next have an fsync each, however many they are");
	let(4 + CALLERS, 0);
	join(few, 4, 0, "those who were there end");
	join(later, CALLERS, 0, "and those who came");
}

int main(void)
{
	struct sync *s = sync_new();

	test_few(s);
	test_group(s, 0);
	test_group(s, EIO);
	test_few(s);
	test_break(s);
	sync_free(s);
	return done_testing();
}
