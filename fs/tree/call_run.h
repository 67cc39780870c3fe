/*
 * call_run.h: for call.c and call_*.c: rows on their way.
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

/* give_NAME(): a row that is already a structure of an operation. */
#define GIVES(name, type)                                           \
	static int give_##name(void *arg, const type *row)          \
	{                                                           \
		return give(arg, row);                              \
	}

/* A call's run(), and in it the answer. */
#define ANSWER { .tree = tree, .cred = cred, .args = args, .fn = fn, .arg = arg, .err = err }
#define RUN(name)                                                                                                           \
	int run_##name(struct tree *tree, const struct cred *cred, const void *args, call_row_fn *fn UNUSED, void *arg UNUSED, \
		       struct err *err)

RUN(person_list);
RUN(person_show);
RUN(person_add);
RUN(person_set);
RUN(person_rm);
RUN(member_add);
RUN(member_rm);
RUN(token_list);
RUN(token_add);
RUN(token_rm);
RUN(grant_show);
RUN(grant_set);
RUN(grant_rm);
RUN(grant_policy);
RUN(access);

RUN(rootfs_find);
RUN(rootfs_walk);
RUN(rootfs_show);
RUN(rootfs_list);
RUN(rootfs_xattrs);
RUN(rootfs_data);

#endif
