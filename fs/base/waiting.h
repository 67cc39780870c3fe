/*
 * waiting.h: a thread that waits for long says so to who runs it, who may have another do its work meanwhile, and may end the wait.
 *
 * A pool of threads (work.h, fs/mount/workers.h) gives each of its own a waiter. What they call says where it waits, without knowing
 * for whom.
 */
#ifndef REGFS_WAITING_H
#define REGFS_WAITING_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/base.h"

struct waiter {
	/* The pool's: called at the begin and at the end of a wait, in the waiting thread; NULL: nothing to do. */
	void (*begin)(struct waiter *w);
	void (*end)(struct waiter *w);
	pthread_mutex_t lock;
	atomic_bool over;
	/* Guarded by lock: */
	unsigned depth;
	void (*wake)(void *arg);
	void *arg;
};

/* begin and end are set; the rest is made. */
void waiter_init(struct waiter *w);
void waiter_release(struct waiter *w);
/* From now on this thread waits for this one's pool; NULL: for none. */
void waiter_is_mine(struct waiter *w);
/* Who asked for what the thread does has gone: its wait, if it has one now, ends; the next too, until waiter_renew(). From any thread. */
void waiter_interrupt(struct waiter *w);
void waiter_renew(struct waiter *w);

/* ---- For who waits ---- */

/*
 * Around a wait; may be nested. `wake` (NULL: the wait can't be ended) is called from another thread, without locks of the caller's, when it is
 * over; it is not to wait. Neither is called with a lock held that wake takes.
 */
void waiting_begin(void (*wake)(void *arg), void *arg);
void waiting_end(void);
/* Nobody wants what this thread does any more. */
bool waiting_is_over(void);

#endif
