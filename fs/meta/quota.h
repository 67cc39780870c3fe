/*
 * quota.h: what repositories and namespaces may hold, and what they do hold.
 *
 * Who has a setting `quota` (bytes) or `quota-tags` has a row of the table `quota`: a repository, all repositories below a name, or
 * (below "") the registry. All that hold for a repository's name bind it: its own, and that of each namespace above it.
 *
 * A blob counts once for each of them, however many of its repositories hold it. What is kept to be brought back (removal.h)
 * counts as used until gc takes it; tags that were removed don't.
 *
 * Counts are kept by triggers of the tables that they are of (schema.c), in the transaction that changes those; so no
 * place that changes them has to know of quotas, and where there is none each change costs a look into an empty table. Limits
 * follow the settings likewise.
 *
 * Invariants:
 *  1. bytes is the sum of the sizes in quota_blob, whose rows are the blobs that repositories and removals of quota_holder hold, with
 *     how many do.
 *  2. quota_holder has the repositories that are called so, and the removals in them.
 */
#ifndef REGFS_META_QUOTA_H
#define REGFS_META_QUOTA_H

#include "fs/base/limits.h"
#include "fs/meta/settings.h"

#define QUOTA_BYTES "quota"
#define QUOTA_TAGS "quota-tags"
#define QUOTA_NONE "none"

struct quota_usage {
	int64_t bytes, tags;
};

struct quota {
	int64_t id;
	char name[LIMIT_NAME + 1];
	bool below;
	struct quota_usage used;
	struct quota_usage limit;	/* negative: none */
};

/* Of exactly that one: 1, or 0 if it has none. */
int quota_get(struct db *db, struct settings_of of, struct quota *out, struct err *err) MUST_CHECK;
/* All that bind a repository of that name, which need not be there, the nearest first; a non-zero answer of fn ends it and is returned. */
typedef int quota_fn(void *arg, const struct quota *q);
int quota_each(struct db *db, const char *repo, quota_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* What a repository shall get. */
struct quota_need {
	const struct digest *digest;	/* of a blob; NULL: it isn't known yet */
	int64_t size;			/* its bytes, */
	bool whole;			/* all of them; else it may become larger */
	int64_t tags;			/* new ones */
};
/* ERR_QUOTA: one of those that bind the repository has no room for it. A blob that it holds takes none; nor may one whose digest isn't
 * known, if it holds one of that size. */
int quota_refuse(struct db *db, const char *repo, const struct quota_need *need, struct err *err) MUST_CHECK;
/* How many bytes may come, whatever they are; INT64_MAX: no quota says. */
int quota_left(struct db *db, const char *repo, int64_t *out, struct err *err) MUST_CHECK;

#endif
