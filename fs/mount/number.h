/*
 * number.h: nodes' numbers, as a kernel hears them for who may not see everything.
 *
 * The tree numbers nodes by rows of the database, in the order in which they came. `ls -i` would tell by them that a blob was here
 * before the repository that it is seen in got it, and so that another one holds it. So they are mixed by a secret of the mount: each
 * number stands for one node as long as it is mounted, and says nothing else. The root's is itself.
 */
#ifndef REGFS_MOUNT_NUMBER_H
#define REGFS_MOUNT_NUMBER_H

#include "fs/base/err.h"

struct numbers {
	bool hidden; /* false: they are what they are */
	unsigned char key[32];
};

/* With a secret of its own. */
int numbers_hide(struct numbers *n, struct err *err) MUST_CHECK;
uint64_t number_shown(const struct numbers *n, uint64_t node);
/* The reverse. Any number has one, which need not be a node's. */
uint64_t number_node(const struct numbers *n, uint64_t shown);

/* The same of places in directories (cookies, below 2^62, as offsets), which are rows, too. That before all is itself: 0. */
uint64_t place_shown(const struct numbers *n, uint64_t place);
uint64_t place_of(const struct numbers *n, uint64_t shown);

#endif
