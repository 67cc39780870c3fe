/*
 * inside.h: nodes below rootfs/ and tree/: what is inside images and layers. node.c hands them over here.
 *
 * Their numbers are  1 | image? | slot: 30 bits | inode: 32 bits , the slot being the row of the image, or of the layer's
 * blob; an inode that the merge left as its layer has it goes by the layer's number, in every image, so that
 * the images share it, and what a kernel keeps of its bytes. Nothing here reads the database but the shelf
 * (shelf.h), when it opens an index; all of it never changes.
 */
#ifndef REGFS_INSIDE_H
#define REGFS_INSIDE_H

#include "fs/tree/node.h"
#include "fs/tree/shelf.h"

#define INSIDE_BIT ((uint64_t)1 << 63)

static inline bool inside_is(uint64_t number)
{
	return number & INSIDE_BIT;
}

/* The row that the node's index goes by. */
int64_t inside_slot(uint64_t number, enum shelf_kind *kind);
/* The root of an image's rootfs/, or of a layer's tree/. */
uint64_t inside_root(enum shelf_kind kind, int64_t slot);

/* As their counterparts in node.h; the permission was asked. */
int inside_getattr(struct tree *tree, uint64_t number, struct node_attr *out, struct err *err) MUST_CHECK;
/* The same for a root that can't be opened: a directory that has nothing else to say. */
void inside_closed_attr(uint64_t number, struct node_attr *out);
int inside_lookup(struct tree *tree, uint64_t parent, const char *name, struct node_attr *out, struct err *err) MUST_CHECK;
int inside_list(struct tree *tree, uint64_t directory, uint64_t cookie, node_entry_fn *fn, void *arg,
		struct err *err) MUST_CHECK;
/* *outside: it is a root, and an image's row or 0 stands in *parent. */
int inside_parent(struct tree *tree, uint64_t directory, uint64_t *parent, bool *outside, struct err *err) MUST_CHECK;
int inside_readlink(struct tree *tree, uint64_t link, struct buf *out, struct err *err) MUST_CHECK;
int inside_open(struct tree *tree, uint64_t file, struct content **out, struct err *err) MUST_CHECK;
/* The number that a leaf has in its layer, whatever the merge made of its link count: where these are the same, all but that
 * count is. A directory's or a symbolic link's is itself. */
int inside_source(struct tree *tree, uint64_t number, uint64_t *out, struct err *err) MUST_CHECK;
/* The next run of a file's bytes at or behind `offset`, from *start to below *end; both are the size if none comes. What isn't in
 * a run is a hole. */
int inside_data(struct tree *tree, uint64_t file, int64_t offset, int64_t *start, int64_t *end, struct err *err) MUST_CHECK;
int inside_getxattr(struct tree *tree, uint64_t number, const char *name, struct buf *out, struct err *err) MUST_CHECK;
int inside_listxattr(struct tree *tree, uint64_t number, struct buf *out, struct err *err) MUST_CHECK;

#endif
