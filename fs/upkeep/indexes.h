/*
 * indexes.h: collecting derived files (fs/store/derived.h) that belong to nothing any more.
 *
 * A layer's belongs to its blob; an image's to any image with the same layers; one that was begun, to the process that has it locked. Removing one that is needed after all costs making it
 * again, so this takes no lock.
 */
#ifndef REGFS_INDEXES_H
#define REGFS_INDEXES_H

#include "fs/meta/meta.h"
#include "fs/store/store.h"

struct indexes_report {
	int64_t files, bytes;	/* removed, or (dry_run) to be removed */
};

/* owned: asks for each whether it has an owner; else only what was begun and left is collected. Cost follows the derived files that there are. */
int indexes_collect(struct store *store, struct meta *meta, bool owned, bool dry_run, struct indexes_report *out,
		    struct err *err) MUST_CHECK;

#endif
