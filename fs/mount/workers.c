/*
 * workers.c: the threads that serve a FUSE session.
 *
 * It begins with one. A thread that takes a request and leaves nobody waiting for the next one wakes a
 * parked one, or makes another, up to WORKERS_MAX. One that comes back and finds WAITING_MAX waiting parks:
 * the kernel wakes those that wait in turn, and more of them only means colder caches. They stay until
 * the end (an idle one costs a stack and an untouched buffer).
 *
 * A thread can be cancelled only while it waits for a request: one that it has taken is
 * answered.
 *
 * One that answers a request by waiting for long (waiting.h: until a layer has been indexed) doesn't count among the WORKERS_MAX, up to
 * SPARE of them, and more don't wait: others look at what is there. It gives up when the process that asked is killed. (The kernel says that
 * somebody who waits got a signal, but once only, and mostly it is one that he goes on after; and programs that are sent one now and then
 * take a failure of open() or stat() for an error.)
 *
 * Measured on 2 cores, lstat of names that aren't cached, thousands a second by 1, 4 and
 * 32 clients: at most 1 thread: 9, 55, 79; 2: 24, 71, 72; 4: 19, 63, 90; 10: 23, 65, 91. libfuse's
 * loop with 10: 22, 63, 93, and with clone_fd 22, 57, 85. A thread that spins after a look at a directory, for
 * the walker's next request, costs a cold `find` a third more, since it keeps the walker from a processor; one that waits instead of two, 8 %.
 */
#include "fs/base/base.h"

#include "fs/mount/workers.h"

#include "fs/base/waiting.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#define WORKERS_MAX 10
#define WAITING_MAX 2
#define SPARE 256

struct worker {
	struct waiter waiter;
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
	pthread_cond_t wanted;		 /* wakes became more, or it is over */
	unsigned parked;		 /* guarded by lock */
	unsigned wakes;			 /* guarded by lock; parked ones that may go on, and count as idle already */
	bool over;			 /* guarded by lock; a thread has left: so will all */
	unsigned count;			 /* guarded by lock; made so far */
	unsigned alive;			 /* guarded by lock */
	unsigned blocked;		 /* guarded by lock; in a long wait */
	struct worker each[WORKERS_MAX + SPARE]; /* a thread's own once it runs */
};

/* The first fields of each request: struct fuse_in_header. */
struct request {
	uint32_t len, opcode;
	uint64_t unique, node;
	uint32_t uid, gid, pid;
};

static void *serve(void *arg);
static bool begin_waiting(struct waiter *waiter);
static void end_waiting(struct waiter *waiter);

/* Signals are for the program's own threads. If there is none to be had, those there go on. */
static int add_worker(struct workers *w)
{
	struct worker *worker;
	sigset_t all, before;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	if (w->count < ARRAY_SIZE(w->each) && w->count - w->blocked < WORKERS_MAX && !atomic_load(&w->stopping)) {
		worker = &w->each[w->count];
		worker->all = w;
		worker->waiter.begin = begin_waiting;
		worker->waiter.end = end_waiting;
		atomic_fetch_add(&w->idle, 1);
		sigfillset(&all);
		sigdelset(&all, SIGBUS);	/* fs/image/guard.h */
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

enum { FORGET = 2, RELEASE = 18, RELEASEDIR = 29, BATCH_FORGET = 42 };

/* What nobody waits for, and takes no time, isn't worth a thread. */
static bool is_worth_one(const struct request *r)
{
	return r->opcode != FORGET && r->opcode != BATCH_FORGET && r->opcode != RELEASE && r->opcode != RELEASEDIR;
}

/* Somebody has to wait for the next request. */
static void need_another(struct workers *w)
{
	bool woken;

	pthread_mutex_lock(&w->lock);
	woken = w->wakes < w->parked;
	if (woken) {
		w->wakes++;
		atomic_fetch_add(&w->idle, 1);
		pthread_cond_signal(&w->wanted);
	}
	pthread_mutex_unlock(&w->lock);
	if (!woken)
		(void)add_worker(w);
}

static bool begin_waiting(struct waiter *waiter)
{
	struct workers *w = container_of(waiter, struct worker, waiter)->all;
	bool may;

	pthread_mutex_lock(&w->lock);
	may = w->blocked < SPARE;
	w->blocked += may;
	pthread_mutex_unlock(&w->lock);
	/* When it took its request, there may have been too many to make another. */
	if (may && atomic_load(&w->idle) == 0)
		need_another(w);
	return may;
}

static void end_waiting(struct waiter *waiter)
{
	struct workers *w = container_of(waiter, struct worker, waiter)->all;

	pthread_mutex_lock(&w->lock);
	w->blocked--;
	pthread_mutex_unlock(&w->lock);
}

/* Whether it can do nothing any more: a signal that ends a process is SIGKILL to each of its threads. */
static bool is_killed(void *arg)
{
	uint32_t pid = (uint32_t)(uintptr_t)arg;
	auto_fd int fd = -1;
	char path[48], text[4096];
	const char *line;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[MAX(n, 0)] = '\0';
	line = strstr(text, "\nSigPnd:");
	return line && strtoull(line + strlen("\nSigPnd:"), NULL, 16) & (1U << (SIGKILL - 1));
}

/* Back from a request: waits for the next one (idle), or parks until it is to. */
static void rejoin(struct workers *w)
{
	if (atomic_load(&w->idle) < WAITING_MAX) {
		atomic_fetch_add(&w->idle, 1);
		return;
	}
	pthread_mutex_lock(&w->lock);
	/* Looked at again: whoever leaves nobody waiting looks for parked ones with the lock held, after. */
	if (atomic_load(&w->idle) < WAITING_MAX) {
		atomic_fetch_add(&w->idle, 1);
	} else {
		w->parked++;
		while (!w->wakes && !w->over)
			pthread_cond_wait(&w->wanted, &w->lock);
		w->parked--;
		if (w->wakes)
			w->wakes--;
	}
	pthread_mutex_unlock(&w->lock);
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
	w->over = true;
	pthread_cond_broadcast(&w->wanted);
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
	waiter_is_mine(&worker->waiter);
	while (!atomic_load(&w->stopping)) {
		int n = receive(worker);
		struct request r = { 0 };

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			break;
		memcpy(&r, worker->buf.mem, MIN(worker->buf.size, sizeof(r)));
		if (atomic_fetch_sub(&w->idle, 1) == 1 && is_worth_one(&r))
			need_another(w);
		waiting_for(is_killed, (void *)(uintptr_t)r.pid);
		fuse_session_process_buf(w->session, &worker->buf);
		rejoin(w);
	}
	leave(w);
	return NULL;
}

static void release(struct workers *w)
{
	for (unsigned i = 0; i < w->count; i++) {
		free(w->each[i].buf.mem);
	}
	pthread_cond_destroy(&w->wanted);
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
	pthread_cond_init(&w->wanted, NULL);
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
	w->over = true;
	pthread_cond_broadcast(&w->wanted);
	count = w->count;
	for (unsigned i = 0; i < count; i++)
		pthread_cancel(w->each[i].thread);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < count; i++)
		pthread_join(w->each[i].thread, NULL);
	release(w);
}
