/*
 * schedule.c: see schedule.h.
 */
#include "fs/base/base.h"
#include "tools/schedule.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/tree/audit.h"
#include "fs/tree/events.h"
#include "fs/tree/prune.h"
#include "fs/tree/tree.h"

#define SECOND INT64_C(1000000000)
#define FIRST_GC (300 * SECOND)	/* after a start at the latest: short sessions collect, too */

struct schedule {
	struct schedule_options options;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	atomic_bool stopping;
};

static bool gc_progress(void *arg, const struct gc_report *report)
{
	(void)report;
	return ((struct schedule *)arg)->stopping;
}

static bool check_progress(void *arg, const struct check_report *report)
{
	(void)report;
	return ((struct schedule *)arg)->stopping;
}

struct pruning {
	struct schedule *schedule;
	int64_t tags, images;
};

static bool prune_stop(void *arg)
{
	return ((struct pruning *)arg)->schedule->stopping;
}

static int count_pruned(void *arg, const struct tree_pruned *row)
{
	struct pruning *p = arg;

	p->tags += !row->keep;
	p->images += row->image;
	return 0;
}

static void prune(struct schedule *s)
{
	const struct cred cred = cred_administrator("schedule");
	struct pruning p = { .schedule = s };
	const struct tree_prune_options o = { .fn = count_pruned, .stop = prune_stop, .arg = &p };
	struct err err = ERR_INIT;

	if (tree_prune(s->options.tree, &cred, &o, &err))
		log_warn("retention: %s", err.text);
	if (p.tags)
		log_info("retention: removed %" PRId64 " tags, %" PRId64 " images", p.tags, p.images);
}

static void collect(struct schedule *s)
{
	const struct cred cred = cred_administrator("schedule");
	const struct tree_gc_options o = {
		.grace = s->options.gc_grace,
		.untagged = s->options.untagged,
		.undo_keep = -1,
		.progress = gc_progress,
		.arg = s,
	};
	struct gc_report r;
	struct err err = ERR_INIT;

	if (tree_gc(s->options.tree, &cred, &o, &r, &err))
		log_warn("garbage collection: %s", err.text);
	else if (r.blobs || r.uploads || r.images)
		log_info("garbage collection: removed %" PRId64 " blobs (%" PRId64 " bytes), %" PRId64
			 " uploads (%" PRId64 " bytes), %" PRId64 " untagged images",
			 r.blobs, r.blob_bytes, r.uploads, r.upload_bytes, r.images);
}

static void trim_audit(struct schedule *s)
{
	const struct cred cred = cred_administrator("schedule");
	struct err err = ERR_INIT;
	int64_t removed = 0;

	if (s->options.audit_keep && tree_audit_trim(s->options.tree, &cred, s->options.audit_keep, &removed, &err))
		log_warn("audit trail: %s", err.text);
}

static void trim_events(struct schedule *s)
{
	const struct cred cred = cred_administrator("schedule");
	struct err err = ERR_INIT;
	int64_t removed = 0;

	if (s->options.event_keep && tree_events_trim(s->options.tree, &cred, s->options.event_keep, &removed, &err))
		log_warn("events: %s", err.text);
}

static void log_problem(void *arg, enum check_problem problem, const char *text)
{
	(void)arg;
	if (problem == CHECK_BREAKS)
		log_error("check: breaks %s", text);
	else
		log_error("check: %s: %s",
			  problem == CHECK_LOST ? "lost" :
			  problem == CHECK_DAMAGED ? "damaged" : "fault", text);
}

static void check(struct schedule *s)
{
	const struct cred cred = cred_administrator("schedule");
	const struct tree_check_options o = {
		.data = true,
		.rate = s->options.check_rate,
		.problem = log_problem,
		.progress = check_progress,
		.arg = s,
	};
	struct check_report r;
	struct err err = ERR_INIT;

	if (tree_check(s->options.tree, &cred, &o, &r, &err))
		log_warn("check: %s", err.text);
	else
		log_info("check: %" PRId64 " blobs (%" PRId64 " bytes) read, %" PRId64 " bad", r.blobs,
			 r.bytes, r.bad);
}

/* Waits until `when`; true: told to stop. */
static bool wait_until(struct schedule *s, int64_t when)
{
	const struct timespec at = { .tv_sec = when / SECOND, .tv_nsec = when % SECOND };

	pthread_mutex_lock(&s->lock);
	while (!s->stopping && timestamp_now() < when)
		if (pthread_cond_timedwait(&s->wake, &s->lock, &at) == ETIMEDOUT)
			break;
	pthread_mutex_unlock(&s->lock);
	return s->stopping;
}

static int64_t next_time(int64_t interval)
{
	int64_t when;

	if (!interval || __builtin_add_overflow(timestamp_now(), interval, &when))
		return INT64_MAX;
	return when;
}

static int64_t soonest(int64_t a, int64_t b, int64_t c)
{
	int64_t ab = MIN(a, b);

	return MIN(ab, c);
}

static void *work(void *arg)
{
	struct schedule *s = arg;
	int64_t gc = next_time(MIN(s->options.gc_interval, FIRST_GC)), checks = next_time(s->options.check_interval);
	/* As often as garbage is collected, also where it isn't. */
	int64_t trim_every = s->options.gc_interval ? s->options.gc_interval : DEFAULT_GC_INTERVAL;
	int64_t pruning = next_time(MIN(s->options.prune_interval, FIRST_GC));
	int64_t trim = next_time(MIN(trim_every, FIRST_GC));

	/* This thread's only: Linux keeps niceness for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	while (!wait_until(s, MIN(pruning, soonest(gc, trim, checks)))) {
		if (timestamp_now() >= pruning) {	/* before the garbage that it makes is collected */
			prune(s);
			pruning = next_time(s->options.prune_interval);
		}
		if (!s->stopping && timestamp_now() >= gc) {
			collect(s);
			gc = next_time(s->options.gc_interval);
		}
		if (!s->stopping && timestamp_now() >= trim) {
			trim_audit(s);
			trim_events(s);
			trim = next_time(trim_every);
		}
		if (!s->stopping && timestamp_now() >= checks) {
			check(s);
			checks = next_time(s->options.check_interval);
		}
	}
	return NULL;
}

int schedule_start(const struct schedule_options *options, struct schedule **out, struct err *err)
{
	struct schedule *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	code = pthread_create(&s->thread, NULL, work, s);
	if (code) {
		free(s);
		return err_sys(err, code, "can't start a thread");
	}
	*out = s;
	return 0;
}

void schedule_stop(struct schedule *s)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
