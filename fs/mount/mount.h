/*
 * mount.h: the tree as a file system, through FUSE.
 *
 * A thin shell over fs/tree/node.h: each operation gets the node, calls the tree, maps
 * the error and replies. It acts for one principal.
 */
#ifndef REGFS_MOUNT_H
#define REGFS_MOUNT_H

#include "fs/auth/cred.h"
#include "fs/base/err.h"

struct tree;
struct mount;

struct mount_options {
	struct tree *tree; /* borrowed; outlives the mount */
	const char *dir;   /* where; made if it isn't there */
	struct cred cred;  /* for whom; copied */
	bool allow_other;  /* other local users act as that principal */
	bool hide_trees;   /* rootfs/ and tree/ are left out of listings; they answer when they are named */
	bool read_only;	   /* nothing can be changed, by whoever might */
	/* Called once, from a thread of the mount, when somebody unmounted it; mount_stop() is still
	 * to be called, not from there. */
	void (*ended)(void *arg);
	void *ended_arg;
};

/*
 * Mounts (nosuid,nodev) and serves in threads of its own; a mount point left over from a crash
 * (ENOTCONN) is detached first. Fails with a text that says why it can't be mounted (no
 * /dev/fuse, no permission, not a directory, not empty ...): the caller may go on without.
 */
int mount_start(const struct mount_options *options, struct mount **out,
		struct err *err) MUST_CHECK;
/* Unmounts (lazily, if files are open), ends the threads, frees. NULL: nothing. */
void mount_stop(struct mount *m);

#endif
