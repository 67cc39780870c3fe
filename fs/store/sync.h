/*
 * sync.h: syncs to the disk that many ask for at once.
 *
 * A few go one by one, as fsync. Where more are under way they share a sync of the whole file system: it writes
 * neighbouring blocks together, and the disk's cache is flushed once for all.
 */
#ifndef REGFS_SYNC_H
#define REGFS_SYNC_H

#include "fs/base/base.h"

struct sync;

/* NULL: out of memory. */
struct sync *sync_new(void);
void sync_free(struct sync *s);

/*
 * The file or directory is on the disk, with all that was written to it before the call. May be called by many
 * threads; those that share one name the same file system. A negative errno: it may not be, and a second call proves
 * nothing; an error that the file system met elsewhere counts, too.
 */
int sync_file(struct sync *s, int fd) MUST_CHECK;

#endif
