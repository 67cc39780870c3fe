/*
 * merge.h: an image's index: its layers' trees laid over each other, base first.
 *
 * OCI image-spec, layer.md, "Applying Changesets". Only trees are touched, never data. Where appliers differ:
 *
 * 1. A directory over a directory takes the new attributes, if an entry gave them, and keeps what is in it; over anything
 *    else, a symbolic link too, it replaces that. An implied one over a link leads where the link does, inside the root.
 * 2. An opaque directory over anything is a new, empty one; but an implied one over a link is what the link leads to, emptied.
 * 3. Everything else replaces what was there, a directory with all that is in it too.
 * 4. A whiteout of what isn't there, or below what isn't a directory, does nothing.
 * 5. A hard link to a lower layer's file is to what that path led to before this layer, whatever this layer or a later one
 *    does to the path. One that leads to nothing, or to a directory, is ERR_CORRUPT.
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
