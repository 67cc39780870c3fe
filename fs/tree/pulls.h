/*
 * pulls.h: when images were last pulled, for the files of fs/tree/.
 *
 * Whoever gives out a manifest notes it, at the cost of reading a clock: an image that a door holds in memory is noted once a minute
 * at most. Notes are gathered in memory and written by one thread, a batch a minute. That is best effort: what was gathered
 * less than a minute before a crash is lost, and so is what doesn't fit into a batch.
 */
#ifndef REGFS_TREE_PULLS_H
#define REGFS_TREE_PULLS_H

#include "fs/base/digest.h"
#include "fs/meta/meta.h"

struct pulls;
int pulls_new(struct meta *meta, struct pulls **out, struct err *err) MUST_CHECK;
/* Writes what was gathered, ends the thread. NULL is fine. */
void pulls_free(struct pulls *p);

/* Seconds, by a clock that isn't put back, read in a few nanoseconds. */
uint32_t pulls_clock(void);
#define PULLS_EACH 60	/* seconds between two notes of an image in memory */

/* An image was given out now. Takes a lock, for less than a microsecond, and waits for nothing. */
void pulls_note(struct pulls *p, const char *repo, const struct digest *digest);
/* Writes what was noted before, in this thread. */
int pulls_flush(struct pulls *p, struct err *err) MUST_CHECK;

#endif
