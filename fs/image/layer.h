/*
 * layer.h: a layer's index: one pass over its bytes.
 *
 * OCI image-spec, layer.md. The tree is the layer's alone, as overlayfs would have it in one directory: whiteouts
 * are marked, opaque directories too (index.h). Where appliers differ:
 *
 * 1. A whiteout and an opaque marker act on lower layers only, wherever they stand in the layer. `.wh.x` beside a
 *    directory x makes it opaque; beside any other x it says nothing new.
 * 2. `.wh.`, `.wh..` and `.wh...` are ERR_CORRUPT. Other names that begin with `.wh..wh.` are aufs's own and left out;
 *    hard links to files in its `.wh..wh.plnk` are to those files.
 * 3. A later entry of a name wins; a directory over a directory takes its attributes and keeps what is in it, one with an entry over anything
 *    else is opaque: that has replaced what lower layers have there.
 * 4. A path whose parent is a symbolic link of the layer leads where the link does, inside the root.
 * 5. Missing parents are made: 0755, root's, with the time of the layer's newest entry.
 * 6. A hard link to what the layer doesn't have is kept as such, for the merge.
 */
#ifndef REGFS_LAYER_H
#define REGFS_LAYER_H

#include "fs/image/index.h"

/* Asked now and then; true ends the work with ERR_GONE_MEANWHILE. */
typedef bool layer_stop_fn(void *arg);

/* Writes the index (INDEX_LAYER) of the layer `blob` at the start of an empty file. ERR_CORRUPT: its bytes haven't the digest, or what is wrong with the
 * layer, and where; nothing of the file counts then. `stop` may be NULL. Memory: see LIMIT_TREE_ENTRIES. */
int layer_index(const struct content *blob, const struct digest *digest, layer_stop_fn *stop, void *arg, int fd, struct err *err) MUST_CHECK;
/* For a layer whose index says SPAN_NONE: its decoded copy into one empty file, and the copy's index (INDEX_COPY) into another. */
int layer_copy(const struct content *blob, layer_stop_fn *stop, void *arg, int copy_fd, int index_fd,
	       struct err *err) MUST_CHECK;

#endif
