/*
 * event.h: what happened, in the transaction that made it happen.
 *
 * Numbers come from a counter row, so they follow the order of the commits without gaps: who
 * remembers a number misses nothing.
 *
 * A row stands for a line, as the files in the mount have it, and has two places: the bytes of all lines that were ever written, up
 * to and with its own, of the registry and of its repository. So a byte of such a file has a place of its own for ever, and the file is
 * what lies between the first row's beginning and the last row's end.
 */
#ifndef REGFS_META_EVENT_H
#define REGFS_META_EVENT_H

#include "fs/meta/db.h"

#define EVENT_VERSION 1	/* "v" of a line: other members may come, these stay what they are */

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

/* Inside a write transaction. */
int event_add(struct db *db, const struct event *event, struct err *err) MUST_CHECK;
/* The number of the last event; 0: none yet. */
int event_last(struct db *db, int64_t *out, struct err *err) MUST_CHECK;
/* Whether there is such a kind, and whether it is about what people may do: for those who may administer. */
bool event_kind_known(const char *kind, size_t len);
bool event_kind_is_access(const char *kind);
const char *event_kind_at(size_t i);	/* NULL: there are no more */
/* Appends the line, without a newline. */
void event_line(struct buf *out, int64_t number, const struct event *event);

/* ---- As rows ---- */

/* What it points to lives as long as the row. */
struct event_row {
	int64_t number;
	struct event event;
	struct digest digest;
};
typedef int event_row_fn(void *arg, const struct event_row *row);
/* Behind a number, in order, at most so many. A non-zero answer of fn ends it and is returned. */
int event_list(struct db *db, int64_t after, int64_t most, event_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int event_by_number(struct db *db, int64_t number, event_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The number of the oldest that is there; one behind the last where none is. */
int event_first(struct db *db, int64_t *out, struct err *err) MUST_CHECK;
/* Removes the oldest rows, up to the first that isn't older than `before`, `most` at once; *removed: how many. Inside a
 * write transaction. */
int event_trim(struct db *db, int64_t before, int64_t most, int64_t *removed, struct err *err) MUST_CHECK;

/* ---- As bytes: of a repository, or (NULL) of the registry ---- */

/* Where the file begins and ends. */
int event_span(struct db *db, const char *repository, int64_t *first, int64_t *end, struct err *err) MUST_CHECK;
/* When its last line was written: 1, or 0 where there is none. */
int event_time(struct db *db, const char *repository, int64_t *at, struct err *err) MUST_CHECK;
/* The lines that end behind a place, in order; each ends at `place` and is `size` bytes long with its newline, which `line` is
 * without. A non-zero answer of fn ends it and is returned. */
typedef int event_line_fn(void *arg, const char *line, int64_t size, int64_t place);
int event_lines(struct db *db, const char *repository, int64_t after, event_line_fn *fn, void *arg, struct err *err) MUST_CHECK;

#endif
