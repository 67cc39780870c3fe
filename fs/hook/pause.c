/* pause.c: see pause.h. */
#include "fs/base/base.h"
#include "fs/hook/pause.h"

int64_t pause_after(int64_t failures, int64_t retry_after)
{
	int64_t pause = PAUSE_FIRST;

	if (retry_after >= 0)
		return retry_after >= PAUSE_OBEYED / PAUSE_FIRST ? PAUSE_OBEYED : MAX(retry_after, 1) * PAUSE_FIRST;
	for (int64_t i = 1; i < failures && pause < PAUSE_MOST; i++)
		pause *= 2;
	pause = MIN(pause, PAUSE_MOST);
	return pause - pause / 10 + (int64_t)arc4random_uniform(1000) * (pause / 5000);
}
