/*
 * deliveries.h: what is to be told to whom, and how it went: for fs/hook/, which does the telling.
 *
 * Events become deliveries (tree_deliveries_plan()), which are rows: a receiver that is dead for a day costs disk, and no memory.
 * Nothing here has to be durable by itself: what a power loss takes back is planned, or told, once more.
 *
 * One thread of one process does this at a time (lead.h).
 */
#ifndef REGFS_TREE_DELIVERIES_H
#define REGFS_TREE_DELIVERIES_H

#include "fs/meta/delivery.h"
#include "fs/meta/event.h"
#include "fs/meta/hook.h"
#include "fs/tree/tree.h"

/* Makes deliveries of the events behind `*seen` (0: of those that were never looked at), which becomes the last one looked at.
 * *more: there are others. Writes nothing where no hook is told of any. */
int tree_deliveries_plan(struct tree *tree, int64_t *seen, bool *more, struct err *err) MUST_CHECK;

/* Every hook that has something due, now or later. A non-zero answer ends it and is returned if negative. */
typedef int tree_due_fn(void *arg, const struct due_hook *hook);
int tree_deliveries_hooks(struct tree *tree, tree_due_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* What is to be told. Texts live until the callback returns. */
struct tree_delivery {
	struct delivery_row row;
	const struct event_row *event;	/* NULL: it is gone, there is nothing to tell */
	const char *media_type;		/* of the image that the event is about; "" where it isn't there (any more) */
	int64_t size;			/* of its manifest; 0 */
	int64_t created;		/* the repository was; 0: it isn't there */
	bool public;			/* anyone may pull from it */
};
typedef int tree_delivery_fn(void *arg, const struct tree_delivery *delivery);
/* What is due at `now` for a hook, at most `most`, the longest first. */
int tree_deliveries_due(struct tree *tree, int64_t hook_id, int64_t now, int64_t most, tree_delivery_fn *fn, void *arg,
			struct err *err) MUST_CHECK;
/* With its secrets; 0 where it is gone. */
int tree_delivery_hook(struct tree *tree, int64_t hook_id, hook_row_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* How an attempt went. */
struct tree_attempt {
	int64_t hook_id, hook_changed;	/* when it was last, as it was asked */
	struct attempt_row row;
	enum delivery_state state;	/* WAITING: until `due` */
	int64_t due;
	const char *disable;		/* the hook is told nothing any more, because of that; or NULL */
};
int tree_deliveries_note(struct tree *tree, const struct tree_attempt *attempts, size_t count, struct err *err) MUST_CHECK;

/* The hook was disabled: what waits for it is given up, some of it. */
int tree_deliveries_fail(struct tree *tree, int64_t hook_id, struct err *err) MUST_CHECK;
/* The clock was set on by so many nanoseconds, or back: how long what waits has been tried stays what it was. */
int tree_deliveries_shift(struct tree *tree, int64_t by, struct err *err) MUST_CHECK;
/* What is due later than `after` is due so many nanoseconds earlier, but not before now. */
int tree_deliveries_advance(struct tree *tree, int64_t by, int64_t after, struct err *err) MUST_CHECK;

/* Removes what is over since before `before` and what is left of hooks that were removed, some of it; *more: there is more. */
int tree_deliveries_trim(struct tree *tree, int64_t before, bool *more, struct err *err) MUST_CHECK;

#endif
