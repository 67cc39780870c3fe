/*
 * answer.h: what answers to the kernel are made of.
 */
#ifndef REGFS_ANSWER_H
#define REGFS_ANSWER_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/mount/ops.h"
#include "fs/tree/node.h"

#define ANSWER_FOREVER 1e9 /* seconds */

static inline struct ops *ops_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* What an answer is made in. It is used again: memory given back and got anew costs a page fault for each 4 KiB, as much as the rest of a
 * read together, and scatters the pages that the kernel takes for the file meanwhile. */
struct ops_room {
	struct ops_room *next;
	size_t size;
	char data[];
};
/* Of at least that size; NULL: no memory. It is given back. */
struct ops_room *answer_room(struct ops *o, size_t size);
void answer_room_put(struct ops *o, struct ops_room *room);
void answer_rooms_free(struct ops *o);

/* A program hears the number only; the log says what it was, if it is nobody's mistake. */
void answer_fail(fuse_req_t req, const struct err *err);
struct stat answer_stat(const struct ops *o, const struct node_attr *a);
/* The kernel may keep it as long as the node says. */
struct fuse_entry_param answer_entry(const struct ops *o, const struct node_attr *a);

#endif
