/*
 * call_run.h: for call.c and call_inside.c: rows on their way.
 */
#ifndef REGFS_CALL_RUN_H
#define REGFS_CALL_RUN_H

#include "fs/tree/call.h"

struct answer {
	struct tree *tree;
	const struct cred *cred;
	const void *args;
	call_row_fn *fn;
	void *arg;
	struct err *err;
};

static inline int give(const struct answer *a, const void *row)
{
	return a->fn(a->arg, row);
}

/* A call's run(), and in it the answer. */
#define ANSWER { .tree = tree, .cred = cred, .args = args, .fn = fn, .arg = arg, .err = err }
#define RUN(name)                                                                                                           \
	int run_##name(struct tree *tree, const struct cred *cred, const void *args, call_row_fn *fn UNUSED, void *arg UNUSED, \
		       struct err *err)

RUN(rootfs_find);
RUN(rootfs_walk);
RUN(rootfs_show);
RUN(rootfs_list);
RUN(rootfs_xattrs);
RUN(rootfs_data);

#endif
