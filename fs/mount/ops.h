/*
 * ops.h: what the kernel asks of the tree, answered.
 */
#ifndef REGFS_OPS_H
#define REGFS_OPS_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/auth/cred.h"
#include "fs/mount/number.h"
#include "fs/mount/passthrough.h"

struct tree;
struct ops_file;
struct ops_room;
struct fuse_lowlevel_ops;

/* A session's userdata must be one of these. */
struct ops {
	struct tree *tree;
	struct cred cred; /* for whom */
	struct numbers numbers;
	uid_t uid;	  /* whose everything is shown to be */
	gid_t gid;
	bool hide_trees;
	bool no_opendir;       /* the kernel isn't told of directories that are opened; set at the start */
	atomic_llong listings; /* begun so far, of directories that may change */
	atomic_uint with_nodes; /* list.c: so many directories inside images are listed with the nodes of files, too */
	_Atomic(uint64_t) without[32]; /* some that were last listed without, each in its place; 0: none */
	struct passthrough *passthrough;
	pthread_mutex_t lock;
	struct ops_file *open; /* guarded by lock */
	struct ops_room *spare; /* guarded by lock, and its size; memory for answers */
	size_t spare_size;
};

/* Closes what the kernel left open, and frees what answers were made in, when no request comes any more. */
void ops_close_all(struct ops *o);

extern const struct fuse_lowlevel_ops ops_table;

#endif
