/*
 * watch.c: see watch.h.
 */
#include "fs/base/base.h"
#include "httpd/watch.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "fs/base/timestamp.h"
#include "fs/tree/events.h"
#include "httpd/request.h"

#define TICK 1000	/* milliseconds in which those whose time is over are found */
#define WAVE 100	/* milliseconds from one run of all to the next */

struct watch {
	struct httpd *httpd;
	int events;	/* tree_events_open() */
	int stopped;	/* an eventfd */
	pthread_t thread;
	/* Guarded by httpd.lock. */
	bool started, stopping;
	struct waiters waiters;
	unsigned count;		/* of those in the list */
	uint64_t epoch;		/* how often events came */
};

int watch_new(struct httpd *h, struct watch **out, struct err *err)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(err, ERR_NO_MEMORY, "no memory for the HTTP server");
	w->httpd = h;
	waiters_init(&w->waiters);
	w->events = -1;
	w->stopped = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*out = w;
	return w->stopped < 0 ? err_sys(err, errno, "cannot make an eventfd") : 0;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	cleanup_close(&w->events);
	cleanup_close(&w->stopped);
	free(w);
}

/* Those that waited when it began; in between they may come into the list again. `all`: else only those whose time is over. */
static void run_waiters(struct watch *w, bool all)
{
	struct httpd *h = w->httpd;
	struct waiters run;
	struct request *r;

	waiters_init(&run);
	pthread_mutex_lock(&h->lock);
	for (unsigned n = w->count; n; n--) {
		r = waiters_take(&w->waiters);
		if (all || r->watch_until <= timestamp_monotonic()) {
			waiters_add(&run, r);
			w->count--;
		} else {
			waiters_add(&w->waiters, r);
		}
	}
	pthread_mutex_unlock(&h->lock);
	while ((r = waiters_take(&run)))
		request_run(r);
}

/* Waits; true: events came, or it is to end. */
static bool wait_for_more(struct watch *w, int milliseconds)
{
	struct pollfd on[] = { { .fd = w->stopped, .events = POLLIN }, { .fd = w->events, .events = POLLIN } };

	return poll(on, ARRAY_SIZE(on), milliseconds) > 0;
}

static void *work(void *arg)
{
	struct watch *w = arg;
	bool stopping = false;

	while (!stopping) {
		bool came = wait_for_more(w, TICK);
		struct pollfd stopped = { .fd = w->stopped, .events = POLLIN };

		tree_events_seen(w->events);
		pthread_mutex_lock(&w->httpd->lock);
		w->epoch += came;
		stopping = w->stopping;
		pthread_mutex_unlock(&w->httpd->lock);
		run_waiters(w, came);
		/* What comes meanwhile is for the next wave. */
		if (came)
			poll(&stopped, 1, WAVE);
	}
	run_waiters(w, true);
	return NULL;
}

void watch_stop(struct watch *w)
{
	bool started;

	pthread_mutex_lock(&w->httpd->lock);
	w->stopping = true;
	started = w->started;
	pthread_mutex_unlock(&w->httpd->lock);
	(void)!eventfd_write(w->stopped, 1);
	if (started)
		pthread_join(w->thread, NULL);
}

static int start(struct watch *w, struct err *err)
{
	int r = w->events < 0 ? tree_events_open(w->httpd->tree, &w->events, err) : 0;
	int code = r ? 0 : pthread_create(&w->thread, NULL, work, w);

	w->started = !r && !code;
	return code ? err_sys(err, code, "can't start a thread") : r;
}

int watch_begin(struct watch *w, struct request *r, struct err *err)
{
	int e;

	pthread_mutex_lock(&w->httpd->lock);
	e = w->started || w->stopping ? 0 : start(w, err);
	r->watch_epoch = w->epoch;
	if (!e && w->count >= LIMIT_WATCHERS)
		e = err_set(err, ERR_TOO_MANY_REQUESTS, "%d clients wait for events already: try again", LIMIT_WATCHERS);
	pthread_mutex_unlock(&w->httpd->lock);
	return e;
}

bool watch_add(struct watch *w, struct request *r)
{
	if (w->stopping || r->watch_epoch != w->epoch)
		return false;
	waiters_add(&w->waiters, r);
	w->count++;
	return true;
}

bool watch_may_wait(struct watch *w, const struct request *r)
{
	bool stopping;

	pthread_mutex_lock(&w->httpd->lock);
	stopping = w->stopping;
	pthread_mutex_unlock(&w->httpd->lock);
	return !stopping && timestamp_monotonic() < r->watch_until;
}
