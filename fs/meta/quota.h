/*
 * quota.h: what an owner of a quota uses: a repository, all repositories at and below a name, or the registry.
 *
 * A blob counts once for an owner, however many of the owner's repositories hold it. What is kept to be brought back
 * (removal.h) counts as used until gc takes it; tags that were removed don't.
 */
#ifndef REGFS_META_QUOTA_H
#define REGFS_META_QUOTA_H

#include "fs/meta/db.h"

struct quota_usage {
	int64_t bytes, tags;
};

/* Counted anew, from the rows themselves: it takes as long as the owner has blobs. `owner` "": the registry. */
int quota_count(struct db *db, const char *owner, struct quota_usage *out, struct err *err) MUST_CHECK;

#endif
