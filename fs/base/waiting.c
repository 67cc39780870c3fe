/*
 * waiting.c: what a thread knows of who runs it.
 */
#include "fs/base/base.h"
#include "fs/base/waiting.h"

static _Thread_local struct waiter *mine;

void waiter_init(struct waiter *w)
{
	pthread_mutex_init(&w->lock, NULL);
	w->depth = 0;
	atomic_init(&w->over, false);
	w->wake = NULL;
}

void waiter_release(struct waiter *w)
{
	pthread_mutex_destroy(&w->lock);
}

void waiter_is_mine(struct waiter *w)
{
	mine = w;
}

/* With the lock held, so that what wake gets still waits; waiting_end() waits for it. */
void waiter_interrupt(struct waiter *w)
{
	pthread_mutex_lock(&w->lock);
	atomic_store(&w->over, true);
	if (w->wake)
		w->wake(w->arg);
	pthread_mutex_unlock(&w->lock);
}

void waiter_renew(struct waiter *w)
{
	atomic_store(&w->over, false);
}

void waiting_begin(void (*wake)(void *arg), void *arg)
{
	bool first;

	if (!mine)
		return;
	pthread_mutex_lock(&mine->lock);
	first = mine->depth++ == 0;
	mine->wake = wake;
	mine->arg = arg;
	pthread_mutex_unlock(&mine->lock);
	if (first && mine->begin)
		mine->begin(mine);
}

void waiting_end(void)
{
	bool last;

	if (!mine)
		return;
	pthread_mutex_lock(&mine->lock);
	last = --mine->depth == 0;
	mine->wake = NULL;
	pthread_mutex_unlock(&mine->lock);
	if (last && mine->end)
		mine->end(mine);
}

bool waiting_is_over(void)
{
	return mine && atomic_load(&mine->over);
}
