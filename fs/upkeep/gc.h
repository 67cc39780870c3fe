/*
 * gc.h: garbage collection, beside pushes and pulls.
 *
 * Removes uploads that nobody continues, untagged images (if that is wanted), blobs that no
 * image needs, and their files, each only after its grace. Several processes may
 * collect at once. See fs/meta/garbage.h for the order that makes it safe.
 */
#ifndef REGFS_GC_H
#define REGFS_GC_H

#include "fs/meta/meta.h"
#include "fs/store/store.h"
#include "fs/upkeep/report.h"

#define GC_KEEP_UNTAGGED ((int64_t)-1)

struct gc_options {
	int64_t grace;		/* nanoseconds */
	int64_t untagged;	/* nanoseconds after which an untagged image goes, or GC_KEEP_UNTAGGED */
	int64_t undo_keep;	/* nanoseconds after which what was removed can't be brought back; negative: as was said then */
	bool dry_run;
	/* Called after each step of the work, may be NULL; true ends the collection early. */
	bool (*progress)(void *arg, const struct gc_report *report);
	/* Called for each untagged image before it goes, in the write transaction; may be NULL. */
	int (*image)(struct db *db, void *arg, const char *repo, const struct digest *digest,
		     struct err *err);
	void *arg;
};

int gc_run(struct store *store, struct meta *meta, const struct gc_options *options,
	   struct gc_report *out, struct err *err) MUST_CHECK;

#endif
