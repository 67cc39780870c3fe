/*
 * list.h: directories, listed: operations of fuse_lowlevel_ops.
 */
#ifndef REGFS_LIST_H
#define REGFS_LIST_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/mount/ops.h"

struct node_attr;

void list_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi);
void list_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t from, struct fuse_file_info *fi);
void list_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t from, struct fuse_file_info *fi);
/* A name in a directory was looked up: some are listed otherwise then. */
void list_looked_up(struct ops *o, uint64_t directory, const struct node_attr *a);

#endif
