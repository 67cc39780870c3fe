/*
 * watch.h: requests that wait for events: long polls.
 *
 * They wait without a thread each: suspended, in a list, for LIMIT_WATCH_SECONDS at most. One thread, which is made for the first
 * of them, runs those anew that may have something to tell: after events were committed, ten times a second at most, and at their end.
 * So a thousand of them take a part of one processor's time, and none of the threads that others are served by.
 */
#ifndef REGFS_WATCH_H
#define REGFS_WATCH_H

#include "fs/base/err.h"

struct httpd;
struct request;
struct watch;

int watch_new(struct httpd *h, struct watch **out, struct err *err) MUST_CHECK;
/* Those that wait are answered now; nobody waits any more. */
void watch_stop(struct watch *w);
void watch_free(struct watch *w);

/* Before a request looks for events: what watch_add() compares. ERR_TOO_MANY_REQUESTS: too many wait. */
int watch_begin(struct watch *w, struct request *r, struct err *err) MUST_CHECK;
/* With httpd.lock. Takes the caller's reference, and runs the request again by request_run(). false: something may have happened since
 * watch_begin(): look again. */
bool watch_add(struct watch *w, struct request *r) MUST_CHECK;
/* Whether a request may (still) wait. */
bool watch_may_wait(struct watch *w, const struct request *r);

#endif
