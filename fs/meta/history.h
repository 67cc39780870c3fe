/*
 * history.h: what each tag has named, as rows.
 *
 * An entry is written in the transaction that makes a tag name another image, beside its event, and closed in the one that
 * removes the tag. Entries of a tag are numbered from 1 on, in the order of the commits and without gaps, whatever the
 * clock says; a tag that is made again goes on counting. They stay when their image goes, and go with the repository.
 */
#ifndef REGFS_META_HISTORY_H
#define REGFS_META_HISTORY_H

#include "fs/base/limits.h"
#include "fs/meta/db.h"

#define HISTORY_ORIGIN 255	/* bytes of a door's or a client's name that are kept */

/* Who did something to a tag, from where, when, and which event says so. */
struct history_deed {
	int64_t at;		/* 0: it wasn't done */
	int64_t event;		/* 0: it was before there was a history */
	char who[LIMIT_PRINCIPAL + 1];
	char origin[HISTORY_ORIGIN + 1];
};

struct history_row {
	int64_t id;
	int64_t repository_id;
	int64_t number;
	char tag[LIMIT_TAG + 1];
	struct digest digest;	/* of the image that the tag named */
	struct history_deed named, removed;
};

/* 1 and the row, 0 if there is none, or negative. */
int history_by_id(struct db *db, int64_t id, struct history_row *out, struct err *err) MUST_CHECK;
int history_at(struct db *db, int64_t repository_id, const char *tag, int64_t number, struct history_row *out,
	       struct err *err) MUST_CHECK;
int history_last(struct db *db, int64_t repository_id, const char *tag, struct history_row *out,
		 struct err *err) MUST_CHECK;
/* The last one that named another image than `digest`. */
int history_before(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest,
		   struct history_row *out, struct err *err) MUST_CHECK;

/* A non-zero answer of fn ends the listing and is returned. */
typedef int history_row_fn(void *arg, const struct history_row *row);
/* Of one tag, by number behind `after`. */
int history_list(struct db *db, int64_t repository_id, const char *tag, int64_t after, history_row_fn *fn, void *arg,
		 struct err *err) MUST_CHECK;
/* Of all tags of a repository, by tag and number, behind those two; "" and 0: all. */
int history_list_all(struct db *db, int64_t repository_id, const char *after_tag, int64_t after, history_row_fn *fn, void *arg,
		     struct err *err) MUST_CHECK;
/* The first one of each tag that a repository has or had, by id behind `after_id`. */
int history_tags(struct db *db, int64_t repository_id, int64_t after_id, history_row_fn *fn, void *arg,
		 struct err *err) MUST_CHECK;

/* Inside a write transaction. */

/* The tag names that image from now on. */
int history_add(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest,
		const struct history_deed *named, struct err *err) MUST_CHECK;
/* What it names since its last entry it had named before: among the moves of all tags it stands where it stood then. */
int history_keep_place(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest,
		       struct err *err) MUST_CHECK;
/* The tag is removed. */
int history_end(struct db *db, int64_t repository_id, const char *tag, const struct history_deed *removed,
		struct err *err) MUST_CHECK;

#endif
