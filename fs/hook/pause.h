/*
 * pause.h: how long to wait before the next attempt.
 */
#ifndef REGFS_PAUSE_H
#define REGFS_PAUSE_H

#include "fs/base/base.h"

#define PAUSE_FIRST   INT64_C(1000000000)
#define PAUSE_MOST    (3600 * PAUSE_FIRST)
#define PAUSE_OBEYED  (24 * 3600 * PAUSE_FIRST)	/* of what a receiver asks for */

#define PAUSE_LONGEST PAUSE_OBEYED		/* what pause_after() says at most */

/*
 * Nanoseconds after that many failures in a row: PAUSE_FIRST, twice, four times as much, at most PAUSE_MOST; a tenth more or
 * less, so that what failed together doesn't come back together. retry_after: seconds that the receiver asks for; -1: it doesn't.
 */
int64_t pause_after(int64_t failures, int64_t retry_after);

#endif
