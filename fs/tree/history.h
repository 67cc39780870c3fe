/*
 * history.h: what tags named, and the way back.
 */
#ifndef REGFS_TREE_HISTORY_H
#define REGFS_TREE_HISTORY_H

#include "fs/tree/tree.h"

struct tree_deed {
	int64_t at;		/* 0: it wasn't done */
	int64_t event;		/* 0: before there was a history */
	const char *who;	/* "" to who may not push there, and where nobody knows; so is: */
	const char *from;
};

/* Strings live until the callback returns. */
struct tree_history {
	const char *tag;
	int64_t number;		/* from 1, without gaps, in the order in which it happened */
	struct digest digest;
	struct tree_deed named;
	struct tree_deed removed;	/* the tag was, when this was its last entry */
	bool current;		/* the tag names it so now */
	bool held;		/* the repository holds the image */
};
/* A non-zero answer ends the listing, and becomes its result if negative. */
typedef int tree_history_fn(void *arg, const struct tree_history *entry);

struct tree_history_query {
	const char *repo;
	const char *tag;	/* NULL: all tags that the repository has or had */
	const char *after_tag;	/* of a page: those behind this entry, the last one's; NULL: from the beginning */
	int64_t after;
	int64_t n;		/* how many at most; 0: all */
};
/* By name, oldest first. ERR_MANIFEST_UNKNOWN: there never was such a tag. */
int tree_history_list(struct tree *tree, const struct cred *cred, const struct tree_history_query *query, tree_history_fn *fn,
		      void *arg, struct err *err) MUST_CHECK;

struct tree_rollback {
	int64_t number;		/* of the entry whose image the tag names now */
	struct digest digest;
	bool changed;		/* false: it did already */
};
/*
 * Makes the tag name what it named in entry `to`; 0: the image that it named before this one, or, of a tag that was removed, its
 * last. Durable; a move like any other, with an entry of its own. dry_run: only says what would be done.
 * ERR_MANIFEST_UNKNOWN: there is no such tag, entry or image any more.
 */
int tree_rollback(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, int64_t to, bool dry_run,
		  struct tree_rollback *out, struct err *err) MUST_CHECK;

#endif
