/*
 * delivery.h: that an event is to be told to a hook, and each time that it was tried: rows of `delivery` and `attempt`.
 *
 *	WAITING --(told)--> DONE
 *	   \----(given up)--> FAILED --(wanted again)--> WAITING
 *	UNTRIGGERED: the hook isn't told of it; it is there to be seen
 *
 * Deliveries of one lane are tried one after the other, in the order of their events. Only the first one that waits has a time
 * when it is due; who ends it makes the next one due.
 */
#ifndef REGFS_META_DELIVERY_H
#define REGFS_META_DELIVERY_H

#include "fs/base/limits.h"
#include "fs/meta/db.h"

enum delivery_state {
	DELIVERY_WAITING,
	DELIVERY_DONE,
	DELIVERY_FAILED,
	DELIVERY_UNTRIGGERED,
	DELIVERY_STATES
};
const char *delivery_state_name(enum delivery_state state);

struct delivery_row {
	int64_t id;
	int64_t hook_id;
	int64_t event;
	int64_t number;		/* of those of its hook that are told, from 1 on, without gaps, in the order of the events; 0: untriggered */
	enum delivery_state state;
	int64_t due;		/* 0: it isn't */
	int64_t attempts;
	int64_t first;		/* when it was tried first; 0: never */
	int64_t at;		/* when it came to that state */
};

/* Texts live until the callback returns. */
struct attempt_row {
	int64_t id;
	int64_t delivery_id;
	int64_t at;
	int64_t latency;	/* nanoseconds */
	int status;		/* the answer's; 0: there was none */
	const char *why;	/* it failed; "": it didn't */
	const char *request, *response;
};

/* ---- Reading; a non-zero answer of fn ends the listing and is returned ---- */

typedef int delivery_row_fn(void *arg, const struct delivery_row *row);
typedef int attempt_row_fn(void *arg, const struct attempt_row *row);

/* The event up to which deliveries were made. */
int delivery_planned(struct db *db, int64_t *event, struct err *err) MUST_CHECK;
/* 1 and the first hook behind `after` (by id) that has something due, now or later, and when the first is; 0: there is none. */
struct due_hook {
	int64_t id, due;
	int64_t changed;	/* the hook was */
};
int delivery_next_hook(struct db *db, int64_t after, struct due_hook *out, struct err *err) MUST_CHECK;
/* 1 if something is due later than `after`, else 0. */
int delivery_any_later(struct db *db, int64_t after, struct err *err) MUST_CHECK;
/* What is due at `now`, the longest first, at most `most`. */
int delivery_due(struct db *db, int64_t hook_id, int64_t now, int64_t most, delivery_row_fn *fn, void *arg,
		 struct err *err) MUST_CHECK;
/* 1 and the row; 0: there is none. */
int delivery_by_id(struct db *db, int64_t id, struct delivery_row *out, struct err *err) MUST_CHECK;
/* The last ones of a hook, newest first, by id before `before` (0: all), at most `most`. */
int delivery_list(struct db *db, int64_t hook_id, int64_t before, int64_t most, delivery_row_fn *fn, void *arg,
		  struct err *err) MUST_CHECK;
int delivery_attempts(struct db *db, int64_t delivery_id, attempt_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int delivery_last_attempt(struct db *db, int64_t delivery_id, attempt_row_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- Inside a write transaction ---- */

int delivery_plan(struct db *db, int64_t event, struct err *err) MUST_CHECK;
/* Nothing where that event has one of that hook already. `state` is WAITING or UNTRIGGERED. */
int delivery_add(struct db *db, int64_t hook_id, int64_t event, const char *lane, enum delivery_state state, int64_t now,
		 struct err *err) MUST_CHECK;
/* Tried without success: it waits until `due`. */
int delivery_later(struct db *db, int64_t id, int64_t due, int64_t now, struct err *err) MUST_CHECK;
/* DONE or FAILED; the next one of its lane becomes due. tried: it was. */
int delivery_end(struct db *db, int64_t id, enum delivery_state state, bool tried, int64_t now, struct err *err) MUST_CHECK;
/* Of those that wait for a hook so many are given up, and the next ones of their lanes become due. */
int delivery_fail_some(struct db *db, int64_t hook_id, int64_t most, int64_t now, struct err *err) MUST_CHECK;
/* What waits for its time is due now, so much of it at most. */
int delivery_hurry(struct db *db, int64_t hook_id, int64_t most, int64_t now, struct err *err) MUST_CHECK;
/* The clock was set on by so much, or back: how long what waits has been tried stays what it was. */
int delivery_shift(struct db *db, int64_t by, struct err *err) MUST_CHECK;
/* What is due later than `after` is due so much earlier, but not before `now`. */
int delivery_advance(struct db *db, int64_t by, int64_t after, int64_t now, struct err *err) MUST_CHECK;
/* Waits again, in a lane of its own. */
int delivery_again(struct db *db, int64_t id, int64_t now, struct err *err) MUST_CHECK;
/* row->id is not looked at. */
int attempt_add(struct db *db, const struct attempt_row *row, struct err *err) MUST_CHECK;
/* Those that are over since before `before`, with their attempts, at most `most`; *taken: how many. */
int delivery_trim(struct db *db, int64_t before, int64_t most, int64_t *taken, struct err *err) MUST_CHECK;

#endif
