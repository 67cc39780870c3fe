/*
 * quota.h: what repositories and namespaces may hold (settings `quota` and `quota-tags`), for who looks, and for doors that know how much
 * comes before it comes. What it is, and how it is counted: fs/meta/quota.h.
 *
 * The last word is the commit's, in its transaction. What is asked for here is asked so that bytes needn't be sent that would be refused
 * then. ERR_QUOTA says whose quota it is, what it is, what is used, and what was asked.
 */
#ifndef REGFS_TREE_QUOTA_H
#define REGFS_TREE_QUOTA_H

#include <sys/statvfs.h>

#include "fs/meta/quota.h"
#include "fs/tree/tree.h"

struct tree_quota {
	const char *name;	/* whose it is: a repository's, */
	bool below;		/* or that of all below a namespace, which is the registry's if its name is "" */
	int64_t bytes, bytes_limit;	/* used, and how much may be; a negative limit: as much as there is room for */
	int64_t tags, tags_limit;
};
typedef int tree_quota_fn(void *arg, const struct tree_quota *quota);
/* Of a repository: all that bind it, the nearest first, for who may push there. Of a namespace: its own, if it has one, for who may
 * administer all below it. */
int tree_quota_list(struct tree *tree, const struct cred *cred, struct settings_of of, tree_quota_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;

/* Whether a blob of so many bytes may come into a repository; digest NULL: it isn't known yet; whole: it will not become larger. */
struct tree_blob_size {
	const struct digest *digest;
	int64_t size;
	bool whole;
};
int tree_quota_fits(struct tree *tree, const struct cred *cred, const char *repo, const struct tree_blob_size *blob,
		    struct err *err) MUST_CHECK;
/* The same of an upload that is open: most need nothing to be looked up. In push.c. */
int tree_upload_fits(const struct tree_upload *u, const struct tree_blob_size *blob, struct err *err) MUST_CHECK;

/* Makes of a disk's numbers what `df` is to say of a repository, or of a namespace: the quota that leaves least. Bytes are blocks, tags are
 * inodes. No more is free than the disk has. */
int quota_statvfs(struct db *db, const char *name, bool below, struct statvfs *disk, struct err *err) MUST_CHECK;

#endif
