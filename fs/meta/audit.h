/*
 * audit.h: who did what, and who tried to: rows of the table `audit`, which is only added to.
 *
 * A row holds its line, as the file in the mount has it, and a number: the bytes of all lines that were ever
 * written, up to and with its own. So a byte of the file has a place of its own for ever, and the file is what lies between
 * the first row's beginning and the last row's end.
 */
#ifndef REGFS_META_AUDIT_H
#define REGFS_META_AUDIT_H

#include "fs/meta/db.h"

enum audit_result {
	AUDIT_OK,
	AUDIT_DENIED,	/* may not, or couldn't say who it is */
	AUDIT_FAILED,	/* was allowed, and came to nothing */
	AUDIT_RESULTS,	/* how many there are; in a filter: any */
};
const char *audit_result_name(enum audit_result result);	/* "ok", "denied", "failed" */
enum audit_result audit_result_parse(const char *name);		/* AUDIT_RESULTS: there is no such */

/* Texts that don't apply are NULL or "". */
struct audit_row {
	int64_t at;
	const char *action;	/* an event's kind (event.c); "login", "pull"; "audit": rows were lost (times says how many) */
	enum audit_result result;
	const char *who;	/* by name; "?": nobody knows */
	const char *kind;	/* "user", "robot", "administrator", "anonymous", "anyone" */
	int64_t token;		/* the row of the token that it came with; 0: none */
	const char *origin;	/* the door, or the client's address */
	const char *repository;
	const char *tag;
	const struct digest *digest;
	const char *about;	/* as an event's */
	const char *reason;	/* of what wasn't done: the error's code */
	int64_t times;		/* so often within a second or so; 0 is 1 */
};

/* Inside a write transaction. */
int audit_add(struct db *db, const struct audit_row *row, struct err *err) MUST_CHECK;
/* Removes the oldest rows, up to the first that isn't older than `before`, `most` at once; *removed: how many. Inside a
 * write transaction. */
int audit_trim(struct db *db, int64_t before, int64_t most, int64_t *removed, struct err *err) MUST_CHECK;

/* ---- As bytes ---- */

/* Where the file begins and ends. */
int audit_span(struct db *db, int64_t *first, int64_t *end, struct err *err) MUST_CHECK;
/* When the last row was written: 1, or 0 where there is none. */
int audit_last(struct db *db, int64_t *at, struct err *err) MUST_CHECK;
/* The lines that end behind a place, in order; each ends at `number` and is `size` bytes long with its newline, which `line` is
 * without. A non-zero answer of fn ends it and is returned. */
typedef int audit_line_fn(void *arg, const char *line, int64_t size, int64_t number);
int audit_lines(struct db *db, int64_t after, audit_line_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- As a list ---- */

struct audit_filter {
	int64_t since, until;	/* from the one up to the other, which isn't in it */
	const char *who, *repository, *action;	/* or NULL */
	enum audit_result result;
	int64_t last;		/* only so many, the last ones; 0: all */
};
/* By time. The lines live until fn returns; a non-zero answer ends it and is returned. */
int audit_list(struct db *db, const struct audit_filter *filter, audit_line_fn *fn, void *arg, struct err *err) MUST_CHECK;

#endif
