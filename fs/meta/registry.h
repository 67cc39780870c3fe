/*
 * registry.h: the registry as a whole.
 */
#ifndef REGFS_META_REGISTRY_H
#define REGFS_META_REGISTRY_H

#include "fs/meta/db.h"

/* When the store was made, nanoseconds since 1970. */
int registry_created(struct db *db, int64_t *out, struct err *err) MUST_CHECK;

struct registry_counts {
	int64_t repositories;	/* listed ones */
	int64_t tags, images;
	int64_t blobs, blob_bytes;
	int64_t uploads;
};
/* Counts rows: its cost follows the store. */
int registry_count(struct db *db, struct registry_counts *out, struct err *err) MUST_CHECK;

#endif
