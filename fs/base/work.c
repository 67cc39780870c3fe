/*
 * work.c: a pool of threads for work that may block.
 *
 * A thread:
 *
 *	started ──> running ──> idle ──> ended ──> joined
 *	               ^  job    │ nothing to do for IDLE_SECONDS, and it isn't the last;
 *	               └─────────┘ or the pool is stopping and the queue is empty
 *
 * Invariants, while the lock isn't held:
 *  1. threads >= 1 until the pool stops.
 *  2. A job waits only if every idle thread has been woken for one before it, and
 *     either max_threads are neither idle nor waiting (waiting.h), or a thread could not be had.
 *  3. At most one ended thread isn't joined: the next to end joins it.
 */
#include "fs/base/base.h"
#include "fs/base/work.h"

#include <pthread.h>
#include <signal.h>

#include "fs/base/waiting.h"

#define IDLE_SECONDS 10
#define WAITING_MAX 256U	/* threads that wait, and have another in their place */

struct work {
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* a job came, or the pool stops */
	pthread_cond_t ended;		/* threads became 0 */
	unsigned max_threads;
	/* All guarded by lock: */
	struct work_job *first, **last;	/* the queue */
	unsigned queued;
	unsigned threads, idle, waiting;
	bool stopping;
	bool has_ended;
	pthread_t ended_thread;		/* to be joined, if has_ended */
};

/* Waits for a job; NULL: the thread should end. Called and returns with the lock held. */
static struct work_job *next_job(struct work *w)
{
	struct timespec until;
	struct work_job *job;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += IDLE_SECONDS;
	while (!w->first) {
		int ret;

		if (w->stopping)
			return NULL;
		w->idle++;
		ret = pthread_cond_timedwait(&w->wake, &w->lock, &until);
		w->idle--;
		if (ret == ETIMEDOUT && !w->first && w->threads > 1)
			return NULL;
		if (ret == ETIMEDOUT)
			until.tv_sec += IDLE_SECONDS;
	}
	job = w->first;
	w->first = job->next;
	if (!w->first)
		w->last = &w->first;
	w->queued--;
	return job;
}

struct worker {
	struct waiter waiter;
	struct work *work;
};

static int start_thread(struct work *w);

/* With the lock held: as many threads as there is work for. An idle one that was woken counts as idle until it has the lock. */
static void see_to_queue(struct work *w)
{
	if (w->queued > w->idle && w->threads - w->waiting < w->max_threads)
		start_thread(w);
}

static bool begin_waiting(struct waiter *waiter)
{
	struct work *w = container_of(waiter, struct worker, waiter)->work;
	bool may;

	pthread_mutex_lock(&w->lock);
	may = w->waiting < WAITING_MAX;
	w->waiting += may;
	see_to_queue(w);
	pthread_mutex_unlock(&w->lock);
	return may;
}

static void end_waiting(struct waiter *waiter)
{
	struct work *w = container_of(waiter, struct worker, waiter)->work;

	pthread_mutex_lock(&w->lock);
	w->waiting--;
	pthread_mutex_unlock(&w->lock);
}

static void *thread_main(void *arg)
{
	struct work *w = arg;
	struct worker self = { .waiter = { .begin = begin_waiting, .end = end_waiting }, .work = w };
	struct work_job *job;
	pthread_t before;
	bool join;

	waiter_is_mine(&self.waiter);
	pthread_mutex_lock(&w->lock);
	while ((job = next_job(w))) {
		pthread_mutex_unlock(&w->lock);
		job->fn(job);
		pthread_mutex_lock(&w->lock);
	}
	join = w->has_ended;
	before = w->ended_thread;
	w->has_ended = true;
	w->ended_thread = pthread_self();
	if (--w->threads == 0)
		pthread_cond_signal(&w->ended);
	pthread_mutex_unlock(&w->lock);
	if (join)
		pthread_join(before, NULL);
	waiter_is_mine(NULL);
	return NULL;
}

/* With the lock held. Signals are the main thread's: workers take none, but for what they do themselves. */
static int start_thread(struct work *w)
{
	pthread_t thread;
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	sigdelset(&all, SIGBUS);	/* fs/image/guard.h */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret == 0)
		w->threads++;
	return ret;
}

int work_new(unsigned max_threads, struct work **out, struct err *err)
{
	struct work *w = calloc(1, sizeof(*w));
	pthread_condattr_t attr;
	int ret;

	if (!w)
		return err_set(err, ERR_NO_MEMORY, "cannot make a pool of threads: out of memory");
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, &attr);
	pthread_cond_init(&w->ended, NULL);
	pthread_condattr_destroy(&attr);
	w->max_threads = MAX(max_threads, 1U);
	w->last = &w->first;
	pthread_mutex_lock(&w->lock);
	ret = start_thread(w);
	pthread_mutex_unlock(&w->lock);
	if (ret) {
		work_free(w);
		return err_sys(err, ret, "cannot start a thread");
	}
	*out = w;
	return 0;
}

void work_submit(struct work *w, struct work_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&w->lock);
	*w->last = job;
	w->last = &job->next;
	w->queued++;
	see_to_queue(w);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void work_free(struct work *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_broadcast(&w->wake);
	while (w->threads)
		pthread_cond_wait(&w->ended, &w->lock);
	pthread_mutex_unlock(&w->lock);
	if (w->has_ended)
		pthread_join(w->ended_thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->ended);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
