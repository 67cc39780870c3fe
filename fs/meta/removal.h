/*
 * removal.h: what was removed and can be brought back, as rows.
 *
 * A removal holds what went in one change: a tag, an image with the tags that named it, a repository with everything in it, or a grant.
 * It is written in the transaction that removes, and pins the blobs: their rows stay, and so do their files, while no
 * repository holds them. gc takes a removal that is past its time, and then the blobs. Row numbers are new when something comes
 * back: a kernel may remember the old ones.
 */
#ifndef REGFS_META_REMOVAL_H
#define REGFS_META_REMOVAL_H

#include "fs/meta/grant.h"
#include "fs/meta/history.h"
#include "fs/meta/repo.h"
#include "fs/meta/tag.h"

struct removal_row {
	int64_t id;
	int64_t until;		/* it can be brought back until then */
	char kind[16];		/* of its event: untag, delete, remove, revoke */
	char repository[LIMIT_NAME + 1];	/* revoke: the pattern */
	char tag[LIMIT_TAG + 1];	/* untag; revoke: the principal; else "" */
	struct digest digest;	/* untag, delete */
	struct history_deed deed;
	bool public, on_purpose;	/* remove: what the repository was */
	int64_t created;
};

/* 1 and the row, 0 if there is none, or negative. */
int removal_by_id(struct db *db, int64_t id, struct removal_row *out, struct err *err) MUST_CHECK;
typedef int removal_row_fn(void *arg, const struct removal_row *row);
/* The latest first, which are those of the highest numbers: below `before`, whose event is `since` or later; of a repository and by
 * somebody (NULL: of any, by anyone); `limit` at most. */
struct removal_page {
	int64_t before, since, limit;
	const char *repo, *who;
};
int removal_list(struct db *db, const struct removal_page *page, removal_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The tags that went with one. */
struct removal_tag {
	char name[LIMIT_TAG + 1];
	struct digest digest;
	int64_t expires;	/* as in tag.h */
	bool own_end;
};
typedef int removal_tag_fn(void *arg, const struct removal_tag *tag);
int removal_tags(struct db *db, int64_t id, removal_tag_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* The grant that one was: 1, 0, or negative. Without its principal's row. */
int removal_grant(struct db *db, int64_t id, struct grant_row *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. */

/* Begins one: *id. What goes is added to it while it is still there. */
int removal_add(struct db *db, const struct removal_row *row, int64_t *id, struct err *err) MUST_CHECK;
int removal_add_tag(struct db *db, int64_t id, const struct tag_row *tag, struct err *err) MUST_CHECK;
/* With the tags that name it. */
int removal_add_image(struct db *db, int64_t id, int64_t manifest_id, struct err *err) MUST_CHECK;
int removal_add_grant(struct db *db, int64_t id, const struct grant_row *grant, struct err *err) MUST_CHECK;
int removal_add_repo(struct db *db, int64_t id, const struct repo_row *repo, struct err *err) MUST_CHECK;

/* Brings images back into a repository, those of them that it hasn't again. Tags not. */
int removal_restore_images(struct db *db, int64_t id, int64_t repository_id, int64_t now, struct err *err) MUST_CHECK;
/* Histories, settings and tags, into one that has none. */
int removal_restore_repo(struct db *db, int64_t id, const struct repo_row *repo, struct err *err) MUST_CHECK;
int removal_delete(struct db *db, int64_t id, struct err *err) MUST_CHECK;

/* Takes at most `limit` that are past their time, or older than `before`; *taken. */
int removal_expire(struct db *db, int64_t now, int64_t before, int64_t limit, int64_t *taken, struct err *err) MUST_CHECK;

#endif
