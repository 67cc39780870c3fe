/*
 * merge.h: an image's index: what its layers' archives do, one after the other, each entry in its place.
 *
 * OCI image-spec, layer.md, "Applying Changesets". Only trees are touched, never data. Where appliers differ:
 *
 * 1. An entry's parents are looked up when it is put: lower layers' symbolic links lead on, inside the root. Missing ones are made.
 * 2. A directory over a directory takes the new attributes and keeps what is in it; over anything else, a symbolic link too, it replaces that.
 * 3. Everything else replaces what was there, a directory with all that is in it too.
 * 4. Whiteouts and opaque markers remove what lower layers have at that time; a directory that the layer itself describes, or has something in,
 *    stays, and its own. Neither makes directories; one of what isn't there, or below what isn't a directory, does nothing.
 * 5. A hard link to a lower layer's file is to what its path leads to when it is put, else to what that led to before this layer, else
 *    to what it leads to when the layer is laid. One that leads to nothing, or to a directory, and has its name still, is ERR_CORRUPT.
 *
 * That is what unpacking the layers does, but in things that what makes layers has no reason to write, for the layer's index has only what is there in its end,
 * and was made without lower layers:
 * 6. What it has below a path that it replaces or removes further on is nowhere, also where a lower link led that path elsewhere.
 * 7. Of entries of one name the last counts, as if it were alone; if all are directories, the first's place, and the last's attributes; a hard link to a file of its own is to that file,
 *    also if its name leads to another by then, through a lower link.
 * 8. A hard link to a lower symbolic link is no directory to what the layer has below it.
 * 9. Its own links lead on as if there were no others.
 */
#ifndef REGFS_MERGE_H
#define REGFS_MERGE_H

#include "fs/image/index.h"

/* Writes the index (INDEX_IMAGE) of the layers with these indexes (INDEX_LAYER) and digests at the start of an empty file. ERR_CORRUPT:
 * an index is damaged (index_check() says which), or the layers don't make a tree, or one beyond the limits. `stop` (may be NULL) is
 * asked now and then; true ends it with ERR_GONE_MEANWHILE. */
int merge_index(const struct index *const *layers, const struct digest *digests, size_t count, bool (*stop)(void *arg), void *stop_arg,
		int fd, struct err *err) MUST_CHECK;

#endif
