/*
 * waiting.h: a thread that waits for long says so to who runs it, who has another do its work meanwhile; and gives up when nobody wants what it
 * does any more.
 *
 * A pool of threads (work.h, fs/mount/workers.h) gives each of its own a waiter; who takes a request says how to ask whether its sender is
 * still there. What they call says where it waits, without knowing for whom.
 */
#ifndef REGFS_WAITING_H
#define REGFS_WAITING_H

#include "fs/base/base.h"

#define WAITING_ASK_SECONDS 1	/* between two looks at whether to give up, in a wait */

/* A thread's own. */
struct waiter {
	/* The pool's, called in that thread: it is about to wait; false: too many do already, it is not to. And it has waited. */
	bool (*begin)(struct waiter *w);
	void (*end)(struct waiter *w);
	unsigned depth;
};

/* From now on this thread waits for this one's pool; NULL: for none. */
void waiter_is_mine(struct waiter *w);
/* From now on this thread works for somebody, who has gone once gone(arg) says so; NULL: for nobody who could. */
void waiting_for(bool (*gone)(void *arg), void *arg);

/* ---- For who waits ---- */

/* Around a wait, or around work that is so long that it isn't to count; may be nested. False: too many wait, this one is not to, and doesn't call
 * waiting_end(). */
bool waiting_begin(void) MUST_CHECK;
void waiting_end(void);
/* Nobody wants what this thread does any more. A system call: to be asked each WAITING_ASK_SECONDS in a wait. */
bool waiting_is_over(void);

#endif
