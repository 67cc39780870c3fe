/*
 * test_work.c: the pool of threads, and threads that wait.
 */
#include "fs/base/base.h"
#include "fs/base/waiting.h"
#include "fs/base/work.h"
#include "tests/unit/tap.h"

#include <pthread.h>
#include <signal.h>

#define JOBS 2000

/* What the jobs of one test share. */
struct state {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* guarded by lock: */
	int order[JOBS], done;
	int running, most;
	bool blocked_signals;
	struct work *work;
};

struct job {
	struct work_job job;
	struct state *state;
	int number;
	int wait_for;	/* so many must run at once before any goes on */
};

static void run(struct work_job *base)
{
	struct job *j = container_of(base, struct job, job);
	struct state *s = j->state;
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	pthread_mutex_lock(&s->lock);
	s->blocked_signals = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT);
	s->running++;
	s->most = MAX(s->most, s->running);
	pthread_cond_broadcast(&s->changed);
	while (s->most < j->wait_for)
		pthread_cond_wait(&s->changed, &s->lock);
	s->running--;
	s->order[s->done++] = j->number;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void state_init(struct state *s, struct job *jobs, int n, int wait_for)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	for (int i = 0; i < n; i++)
		jobs[i] = (struct job){ { run, NULL }, s, i, wait_for };
}

static void state_release(struct state *s)
{
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
}

/* One thread: jobs run one at a time, in the order they were given. */
static void test_order(struct state *s, struct job *jobs)
{
	struct work *w;
	bool in_order = true;

	state_init(s, jobs, JOBS, 0);
	is_int(work_new(1, &w, NULL), 0, "a pool of one");
	for (int i = 0; i < JOBS; i++)
		work_submit(w, &jobs[i].job);
	work_free(w);
	is_int(s->done, JOBS, "freeing it runs what was submitted");
	for (int i = 0; i < JOBS; i++)
		in_order = in_order && s->order[i] == i;
	ok(in_order, "in order");
	is_int(s->most, 1, "one at a time");
	ok(s->blocked_signals, "signals are not the workers'");
	state_release(s);
}

/* Jobs that wait for each other end only if there are as many threads. */
static void test_parallel(struct state *s, struct job *jobs, unsigned threads)
{
	struct work *w;

	state_init(s, jobs, JOBS, (int)threads);
	is_int(work_new(threads, &w, NULL), 0, "a pool of %u", threads);
	for (int i = 0; i < JOBS; i++)
		work_submit(w, &jobs[i].job);
	work_free(w);
	is_int(s->done, JOBS, "all ran");
	is_int(s->most, threads, "%u at once, and no more", threads);
	state_release(s);
}

/* Idle threads that were woken must not be counted twice: two jobs, two threads. */
static void test_idle(struct state *s, struct job *jobs)
{
	struct work *w;
	int rounds = 0;

	is_int(work_new(2, &w, NULL), 0, "a pool of two");
	for (; rounds < 300; rounds++) {
		state_init(s, jobs, 2, 2);
		work_submit(w, &jobs[0].job);
		work_submit(w, &jobs[1].job);
		pthread_mutex_lock(&s->lock);
		while (s->done < 2)
			pthread_cond_wait(&s->changed, &s->lock);
		pthread_mutex_unlock(&s->lock);
		state_release(s);
	}
	work_free(w);
	is_int(rounds, 300, "two jobs that need each other, 300 times");
}

static void submit_next(struct work_job *base)
{
	struct job *j = container_of(base, struct job, job);

	if (++j->state->done < JOBS)
		work_submit(j->state->work, base);
}

/* A job may submit again, itself too, also while the pool is being freed. */
static void test_again(struct state *s, struct job *jobs)
{
	state_init(s, jobs, 1, 0);
	jobs[0].job.fn = submit_next;
	is_int(work_new(4, &s->work, NULL), 0, "a pool of four");
	work_submit(s->work, &jobs[0].job);
	work_free(s->work);
	is_int(s->done, JOBS, "a job that submits itself");
	state_release(s);
}

/* ---- Jobs that wait (waiting.h) ---- */

/* Until all others have run; says so, nested. */
static void wait_for_others(struct work_job *base)
{
	struct job *j = container_of(base, struct job, job);
	struct state *s = j->state;

	if (!waiting_begin() || !waiting_begin())
		abort();
	pthread_mutex_lock(&s->lock);
	while (s->done < j->wait_for)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	waiting_end();
	waiting_end();
	pthread_mutex_lock(&s->lock);
	s->done++;
	pthread_mutex_unlock(&s->lock);
}

/* One thread may run, and twenty jobs wait for a last one. */
static void test_waiting(struct state *s, struct job *jobs)
{
	struct work *w;

	state_init(s, jobs, 21, 0);
	is_int(work_new(1, &w, NULL), 0, "a pool of one");
	for (int i = 0; i < 20; i++) {
		jobs[i].job.fn = wait_for_others;
		jobs[i].wait_for = 1;
		work_submit(w, &jobs[i].job);
	}
	work_submit(w, &jobs[20].job);
	work_free(w);
	is_int(s->done, 21, "jobs that wait hold up no other");
	is_int(s->most, 1, "which runs alone");
	state_release(s);
	ok(!waiting_is_over(), "a thread without a pool waits as long as it takes");
	ok(waiting_begin(), "and may");
	waiting_end();
}

/* More than may wait. */
static void try_to_wait(struct work_job *base)
{
	struct job *j = container_of(base, struct job, job);
	struct state *s = j->state;
	bool waits = waiting_begin();

	pthread_mutex_lock(&s->lock);
	s->running += waits;
	s->done++;
	pthread_cond_broadcast(&s->changed);
	while (waits && s->done < j->wait_for)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	if (waits)
		waiting_end();
}

static void test_too_many(struct state *s, struct job *jobs)
{
	struct work *w;

	state_init(s, jobs, 300, 300);
	is_int(work_new(1, &w, NULL), 0, "a pool of one");
	for (int i = 0; i < 300; i++) {
		jobs[i].job.fn = try_to_wait;
		work_submit(w, &jobs[i].job);
	}
	work_free(w);
	is_int(s->done, 300, "of 300 that would wait, all come to run");
	is_int(s->running, 256, "and as many as may do");
	state_release(s);
}

static bool answer(void *arg)
{
	return *(bool *)arg;
}

static void test_gone(void)
{
	bool gone = false;

	waiting_for(answer, &gone);
	ok(!waiting_is_over(), "who asked is there");
	gone = true;
	ok(waiting_is_over(), "and gone");
	waiting_for(NULL, NULL);
	ok(!waiting_is_over(), "the next doesn't ask");
}

int main(void)
{
	auto_free struct state *s = calloc(1, sizeof(*s));
	auto_free struct job *jobs = calloc(JOBS, sizeof(*jobs));
	struct work *w;

	if (!s || !jobs)
		return 1;
	/* Should a thread be missing, its test would wait for ever. */
	alarm(60);
	test_order(s, jobs);
	test_parallel(s, jobs, 2);
	test_parallel(s, jobs, 32);
	test_idle(s, jobs);
	test_again(s, jobs);
	test_waiting(s, jobs);
	test_too_many(s, jobs);
	test_gone();
	is_int(work_new(0, &w, NULL), 0, "a pool of none has one all the same");
	work_free(w);
	work_free(NULL);
	return done_testing();
}
