/*
 * work.h: a pool of threads for work that may block.
 *
 * Threads are made when a job finds none idle, up to the pool's maximum, and end
 * when they have been idle for a while. Jobs start in the order they were given. One that says that it waits (waiting.h) isn't counted
 * meanwhile, so that up to 256 that do hold up no others.
 */
#ifndef REGFS_WORK_H
#define REGFS_WORK_H

#include "fs/base/err.h"

struct work;

/* Embedded in the caller's own structure; it must live until fn has been called. */
struct work_job {
	void (*fn)(struct work_job *job);
	struct work_job *next;	/* the pool's */
};

int work_new(unsigned max_threads, struct work **out, struct err *err) MUST_CHECK;
/* Never fails: with no memory for a thread the job waits for one that exists (there is always one). */
void work_submit(struct work *w, struct work_job *job);
/* Runs what was submitted to its end, then ends the threads. */
void work_free(struct work *w);

#endif
