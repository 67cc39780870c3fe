/*
 * undo.h: bringing back what was removed.
 *
 * What a removal of a tag, an image, a repository or a grant takes, through whichever door, can be brought back as it was for as long as the
 * setting undo-keep said then, or until gc is told otherwise. Its blobs count as used until then.
 */
#ifndef REGFS_TREE_UNDO_H
#define REGFS_TREE_UNDO_H

#include "fs/tree/history.h"

/* Strings live until the callback returns. */
struct tree_removal {
	int64_t id;
	const char *what;	/* "tag", "image", "repository", "grant" */
	const char *repo;	/* of a grant: the pattern */
	const char *tag;	/* of a grant: whose; "" if it is neither */
	struct digest digest;	/* of the image; or DIGEST_NONE */
	struct tree_deed deed;
	int64_t until;
};
typedef int tree_removal_fn(void *arg, const struct tree_removal *removal);

struct tree_undo_query {
	const char *repo, *by;	/* NULL: any */
	int64_t since;		/* only that event and later */
	int64_t before;		/* only lower ids: of a page, those behind the last one's; 0: from the latest on */
	int64_t n;		/* how many at most; 0: all */
};
/* The latest first, those that who asks may undo. A non-zero answer of fn ends the listing, and becomes its result if negative. */
int tree_undo_list(struct tree *tree, const struct cred *cred, const struct tree_undo_query *query, tree_removal_fn *fn, void *arg,
		   struct err *err) MUST_CHECK;
/*
 * Brings one back. Durable; all of it or nothing. It needs the right that the removal needed. ERR_NOT_FOUND: it can't be any more;
 * ERR_EXISTS: its name was taken again; ERR_MANIFEST_UNKNOWN: a tag's image is not there: its removal is to be undone first.
 */
int tree_undo(struct tree *tree, const struct cred *cred, int64_t id, struct err *err) MUST_CHECK;
/* It can't be brought back any more, and what only it held is garbage at once. For administrators. ERR_NOT_FOUND. Durable. */
int tree_undo_purge(struct tree *tree, const struct cred *cred, int64_t id, struct err *err) MUST_CHECK;

#endif
