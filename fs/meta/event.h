/*
 * event.h: what happened, in the transaction that made it happen.
 *
 * Numbers come from a counter row, so they follow the order of the commits without gaps: who
 * remembers a number misses nothing.
 */
#ifndef REGFS_META_EVENT_H
#define REGFS_META_EVENT_H

#include "fs/meta/db.h"

struct event {
	const char *kind;	/* "push", "tag", "untag", "delete", "create", "remove", ...: see event.c */
	const char *repository;	/* "" where it is about none */
	const char *tag;	/* or NULL */
	const struct digest *digest;	/* or NULL */
	const char *about;	/* a principal, or what was set; or NULL */
	bool changed;		/* false: a push that found everything as it was */
	const char *who;
	const char *origin;	/* the door, or the client's address */
	int64_t at;
};

struct event_row {
	int64_t number;
	struct event event;	/* texts live until fn returns */
	struct digest digest;	/* event.digest points to it, or is NULL */
};
/* A non-zero answer ends the listing and is returned. */
typedef int event_row_fn(void *arg, const struct event_row *row);
/* By number behind `after`, at most `most`. */
int event_list(struct db *db, int64_t after, int64_t most, event_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* fn's answer; 0: there is none (any more). */
int event_by_number(struct db *db, int64_t number, event_row_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* Inside a write transaction. */
int event_add(struct db *db, const struct event *event, struct err *err) MUST_CHECK;
/* The number of the last event; 0: none yet. */
int event_last(struct db *db, int64_t *out, struct err *err) MUST_CHECK;

#endif
