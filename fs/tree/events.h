/*
 * events.h: what happened, for whoever reacts to it: read behind a number, and waited for.
 *
 * Events are numbered in the order of their commits, without gaps: a reader that remembers the last number it looked at misses nothing
 * and gets nothing twice, across restarts and processes. They are kept for a time; of what is gone a reader that comes later
 * gets one record.
 *
 *	int fd; tree_events_open(tree, &fd)		once
 *	tree_events_seen(fd); tree_events(...)		look, until there is no more
 *	poll(fd)					then wait, and begin again
 *
 * In this order no event is missed: one that is committed after the look makes the descriptor readable.
 */
#ifndef REGFS_TREE_EVENTS_H
#define REGFS_TREE_EVENTS_H

#include "fs/meta/event.h"
#include "fs/tree/tree.h"

#define TREE_EVENTS_KEEP (30 * 24 * 3600 * INT64_C(1000000000))	/* as long as nothing else is said */
#define TREE_EVENT_GAP "gap"	/* the kind of the record that events up to its number, from `about` on, are gone */

/* Which ones; NULL: all. Patterns are those of fs/auth/pattern.h, kinds those of fs/meta/event.c. */
struct tree_events_filter {
	const char *repositories;	/* patterns, by commas; events about no repository match none */
	const char *kinds;		/* by commas */
};
/* ERR_ARGUMENT names the pattern or the kind. */
int tree_events_check(const struct tree_events_filter *filter, struct err *err) MUST_CHECK;

/*
 * Events behind `after` in their order, at most n of them, and of these only what `cred` may know: of a repository that it may
 * pull from, `who` and `origin` ("" otherwise) where it may push; of grants, where it may administer; of no repository, an
 * administrator. *last: the number of the last event that was looked at, to go on behind; *more: there are others by now.
 * after < 0: nothing is given, *last is the newest. ERR_ARGUMENT: `after` was never reached.
 */
int tree_events(struct tree *tree, const struct cred *cred, int64_t after, const struct tree_events_filter *filter, int64_t n,
		event_row_fn *fn, void *arg, int64_t *last, bool *more, struct err *err) MUST_CHECK;

/* A descriptor for poll(2), the caller's to close: readable when events were committed, by any process, since it was opened or last
 * seen; now and then also when there are none. */
int tree_events_open(const struct tree *tree, int *fd, struct err *err) MUST_CHECK;
/* Before looking: it is readable again when more come. */
void tree_events_seen(int fd);
/* poll() on it: 1: look; 0: `milliseconds` (-1: any number) are over; -ECANCELED: tree_stop() was called. */
int tree_events_wait(struct tree *tree, int fd, int milliseconds, struct err *err) MUST_CHECK;

/* Removes what is older than `keep` nanoseconds; *removed: how many. For administrators. */
int tree_events_trim(struct tree *tree, const struct cred *cred, int64_t keep, int64_t *removed, struct err *err) MUST_CHECK;

#endif
