/*
 * waiting.c: what a thread knows of who runs it, and for whom.
 */
#include "fs/base/base.h"
#include "fs/base/waiting.h"

static _Thread_local struct waiter *mine;
static _Thread_local struct {
	bool (*gone)(void *arg);
	void *arg;
} sender;

void waiter_is_mine(struct waiter *w)
{
	mine = w;
}

void waiting_for(bool (*gone)(void *arg), void *arg)
{
	sender.gone = gone;
	sender.arg = arg;
}

bool waiting_begin(void)
{
	if (mine && !mine->depth && mine->begin && !mine->begin(mine))
		return false;
	if (mine)
		mine->depth++;
	return true;
}

void waiting_end(void)
{
	if (mine && !--mine->depth && mine->end)
		mine->end(mine);
}

bool waiting_is_over(void)
{
	return sender.gone && sender.gone(sender.arg);
}
