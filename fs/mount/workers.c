/*
 * workers.c: the threads that serve a FUSE session.
 *
 * It begins with one. A thread that takes a request and leaves nobody waiting for the
 * next one makes another, up to WORKERS_MAX; they stay until the end (an idle one costs
 * a stack and an untouched buffer).
 *
 * A thread can be cancelled only while it waits for a request: one that it has taken is
 * answered.
 *
 * Measured on 2 cores, lstat of names that aren't cached, thousands a second by 1, 4 and
 * 32 clients: at most 1 thread: 9, 55, 79; 2: 24, 71, 72; 4: 19, 63, 90; 10: 23, 65, 91. libfuse's
 * loop with 10: 22, 63, 93, and with clone_fd 22, 57, 85.
 */
#include "fs/base/base.h"

#include "fs/mount/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#define WORKERS_MAX 10

struct worker {
	struct workers *all;
	pthread_t thread;
	struct fuse_buf buf;
};

struct workers {
	struct fuse_session *session;
	void (*ended)(void *arg);
	void *arg;
	atomic_int idle; /* waiting for a request, or about to */
	atomic_bool stopping;
	atomic_bool expected; /* that the kernel ends the connection */
	pthread_mutex_t lock;
	unsigned count;			 /* guarded by lock; made so far */
	unsigned alive;			 /* guarded by lock */
	struct worker each[WORKERS_MAX]; /* a thread's own once it runs */
};

static void *serve(void *arg);

/* Signals are for the program's own threads. If there is none to be had, those there go on. */
static int add_worker(struct workers *w)
{
	struct worker *worker;
	sigset_t all, before;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	if (w->count < WORKERS_MAX && !atomic_load(&w->stopping)) {
		worker = &w->each[w->count];
		worker->all = w;
		atomic_fetch_add(&w->idle, 1);
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(&worker->thread, NULL, serve, worker);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		if (r == 0) {
			w->count++;
			w->alive++;
		} else {
			atomic_fetch_sub(&w->idle, 1);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* What the kernel sends without waiting for an answer isn't worth a thread. */
static bool needs_answer(const struct fuse_buf *buf)
{
	enum { FORGET = 2, BATCH_FORGET = 42 };
	uint32_t head[2];

	memcpy(head, buf->mem, sizeof(head));
	return head[1] != FORGET && head[1] != BATCH_FORGET;
}

static int receive(struct worker *worker)
{
	int n;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	n = fuse_session_receive_buf(worker->all->session, &worker->buf);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	return n;
}

static void leave(struct workers *w)
{
	bool last;

	pthread_mutex_lock(&w->lock);
	last = --w->alive == 0;
	pthread_mutex_unlock(&w->lock);
	if (last && !atomic_load(&w->expected) && w->ended)
		w->ended(w->arg);
}

static void *serve(void *arg)
{
	struct worker *worker = arg;
	struct workers *w = worker->all;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	while (!atomic_load(&w->stopping)) {
		int n = receive(worker);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		if (atomic_fetch_sub(&w->idle, 1) == 1 && needs_answer(&worker->buf))
			(void)add_worker(w);
		fuse_session_process_buf(w->session, &worker->buf);
		atomic_fetch_add(&w->idle, 1);
	}
	leave(w);
	return NULL;
}

static void release(struct workers *w)
{
	for (unsigned i = 0; i < ARRAY_SIZE(w->each); i++)
		free(w->each[i].buf.mem);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

int workers_start(struct fuse_session *session, void (*ended)(void *arg), void *arg,
		  struct workers **out, struct err *err)
{
	struct workers *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(err, ERR_NO_MEMORY, "no memory for the mount");
	w->session = session;
	w->ended = ended;
	w->arg = arg;
	pthread_mutex_init(&w->lock, NULL);
	r = add_worker(w);
	if (r != 0) {
		release(w);
		return err_sys(err, r, "can't start a thread for the mount");
	}
	*out = w;
	return 0;
}

void workers_expect_end(struct workers *w)
{
	atomic_store(&w->expected, true);
}

void workers_stop(struct workers *w)
{
	unsigned count;

	workers_expect_end(w);
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, true);
	count = w->count;
	for (unsigned i = 0; i < count; i++)
		pthread_cancel(w->each[i].thread);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < count; i++)
		pthread_join(w->each[i].thread, NULL);
	release(w);
}
