/*
 * prune.h: retention: tags that no rule keeps, or whose end has come, are removed.
 *
 * The rules (fs/upkeep/retention.h) are the setting `retention` of the repository or of a namespace above it. A tag is removed as
 * tree_tag_rm() does it, with its event, its entry in the history and its row in the audit trail. The image that it named goes with it,
 * unless something else needs it: another tag, the history of one, an index, the image that it refers to, a tagged image that refers to
 * it. With an image go its children and what refers to it, where nothing needs them and they have had no tag for as long as the
 * garbage collection's grace.
 *
 * What is decided is decided beside writers; each tag is looked at again in the transaction that removes it, and stays if it,
 * its image's last pull or the rules are not as they were.
 */
#ifndef REGFS_TREE_PRUNE_H
#define REGFS_TREE_PRUNE_H

#include "fs/tree/tree.h"
#include "fs/upkeep/retention.h"

struct tree_pruned {
	const char *repo, *tag;
	struct digest digest;	/* of the image it names, or named */
	bool keep;
	bool image;		/* the image goes with it; in a dry run: no other tag, index or subject is seen to need it */
	int64_t size;		/* of that image */
	const char *why;
};
typedef int tree_pruned_fn(void *arg, const struct tree_pruned *row);

struct tree_prune_options {
	const char *repo;	/* NULL: all of them, which is the registry's administrators' */
	bool dry_run;
	tree_pruned_fn *fn;	/* for each tag of each repository, by name */
	bool (*stop)(void *arg);	/* true ends it early, between two transactions; may be NULL */
	void *arg;
};
/* Durable. Needs `delete` for the repository. */
int tree_prune(struct tree *tree, const struct cred *cred, const struct tree_prune_options *options, struct err *err) MUST_CHECK;

/* When a tag goes: "14d" from now on, a time, or "never", whatever its image's label says, until it names another image. Needs
 * `push`, and to give it an end `delete`, since that is what comes of it. dry_run: only whether it could be set. *end: 0 is never. */
int tree_tag_set_end(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, const char *text,
		     bool dry_run, int64_t *end, struct err *err) MUST_CHECK;
int tree_tag_end(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, int64_t *end,
		 struct err *err) MUST_CHECK;

#endif
