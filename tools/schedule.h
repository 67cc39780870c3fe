/*
 * schedule.h: what the server does by the clock: retention, garbage collection, the end of the audit trail, checks.
 */
#ifndef REGFS_SCHEDULE_H
#define REGFS_SCHEDULE_H

#include "fs/base/err.h"

struct tree;
struct schedule;

#define DEFAULT_GC_INTERVAL (3600 * INT64_C(1000000000))
#define DEFAULT_PRUNE_INTERVAL DEFAULT_GC_INTERVAL
#define DEFAULT_CHECK_RATE INT64_C(20000000)

struct schedule_options {
	struct tree *tree;		/* borrowed; outlives the schedule */
	int64_t prune_interval;		/* nanoseconds; 0: never */
	int64_t gc_interval;		/* likewise */
	int64_t gc_grace;
	int64_t untagged;		/* nanoseconds; negative: untagged images are kept */
	int64_t event_keep;		/* nanoseconds; 0: events are kept for ever */
	int64_t audit_keep;		/* nanoseconds; 0: the audit trail is kept for ever */
	int64_t check_interval;		/* 0: never */
	int64_t check_rate;		/* bytes a second; 0: no limit */
};

/* Works in a thread of its own, at low priority. */
int schedule_start(const struct schedule_options *options, struct schedule **out,
		   struct err *err) MUST_CHECK;
/* Ends what is under way soon, and frees. NULL is fine. */
void schedule_stop(struct schedule *s);

#endif
