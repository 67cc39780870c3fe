/*
 * hook.h: who wants to be told of what: rows of the table `hook`.
 */
#ifndef REGFS_META_HOOK_H
#define REGFS_META_HOOK_H

#include "fs/meta/db.h"

/* Texts that don't apply are "", never NULL. */
struct hook_row {
	int64_t id;		/* 0: to be made */
	const char *pattern;	/* of the repositories that it is about: fs/auth/pattern.h */
	const char *name;	/* unique for the pattern */
	const char *kinds;	/* of events, by commas */
	const char *tags;	/* rules that the event's tag matches: fs/auth/rule.h; "": any, and none */
	const char *url;	/* where it posts to, or: */
	const char *program;	/* what it runs, a name */
	const char *format;	/* of the body */
	const char *headers;	/* "Name: value", a line each */
	const char *ca;		/* PEM */
	const char *secret, *old_secret;
	bool parallel;		/* deliveries needn't be in order */
	bool paused;
	const char *disabled;	/* why */
	int64_t since;		/* it is told of events behind that one */
	int64_t created, changed;
	const char *who;	/* made it */
};

/* A row that outlives its query. */
struct hook_copy {
	struct hook_row row;
	char *memory;
};
int hook_copy(const struct hook_row *row, struct hook_copy *out, struct err *err) MUST_CHECK;
void hook_copy_release(struct hook_copy *c);
#define auto_hook_copy CLEANUP(hook_copy_release)

/* Texts live until fn returns; a non-zero answer of it ends the listing and is returned. 0: there is none (left). */
typedef int hook_row_fn(void *arg, const struct hook_row *row);
int hook_by_id(struct db *db, int64_t id, hook_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int hook_by_name(struct db *db, const char *pattern, const char *name, hook_row_fn *fn, void *arg,
		 struct err *err) MUST_CHECK;
/* By pattern and name; of that pattern only, unless it is NULL. */
int hook_list(struct db *db, const char *pattern, hook_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* By id, of that pattern, those behind one. */
int hook_list_behind(struct db *db, const char *pattern, int64_t after, hook_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Those that may be about a repository: of that name, and of any pattern that isn't one. "": of the registry's own. Without what only a
 * delivery needs: url, headers, ca, secrets are "". */
int hook_candidates(struct db *db, const char *repo, hook_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* 1 if there is any, else 0. */
int hook_any(struct db *db, struct err *err) MUST_CHECK;

/* Inside a write transaction. */

/* A new one (its id into *id), or all of an old one but its id, pattern, who made it, and since when. */
int hook_put(struct db *db, const struct hook_row *row, bool is_name, int64_t *id, struct err *err) MUST_CHECK;
/* Why it is told nothing any more; without effect on one that was changed since. */
int hook_disable(struct db *db, int64_t id, int64_t changed, const char *why, int64_t now, struct err *err) MUST_CHECK;
/* It is told nothing any more and found by nobody; its deliveries and itself may take a while to go (hook_bury()). */
int hook_retire(struct db *db, int64_t id, struct err *err) MUST_CHECK;
bool hook_is_retired(const struct hook_row *row);
/* Removes deliveries of retired hooks, with their attempts, at most `most`, and a hook that has none left; *taken: how many of all. */
int hook_bury(struct db *db, int64_t most, int64_t *taken, struct err *err) MUST_CHECK;

#endif
