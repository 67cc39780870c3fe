/*
 * call_run.h: for call.c and call_*.c: rows on their way.
 */
#ifndef REGFS_CALL_RUN_H
#define REGFS_CALL_RUN_H

#include "fs/tree/call.h"

/* A row of a table of members (record.h). */
#define FIELD(record, member, name, kind, ...) { .key = name, .type = kind, .offset = offsetof(record, member), __VA_ARGS__ }
#define NEEDED .needed = true
#define WORDS(list) .words = list, .word_count = ARRAY_SIZE(list)

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

extern const struct record_field hook_args[], hook_list_args[], hook_change_args[], hook_log_args[], hook_delivery_args[];
extern const struct record_field hook_fields[], delivery_fields[], attempt_fields[], hook_event_row[];
RUN(hook_list);
RUN(hook_show);
RUN(hook_add);
RUN(hook_set);
RUN(hook_rm);
RUN(hook_test);
RUN(hook_log);
RUN(hook_attempts);
RUN(hook_retry);

RUN(rootfs_find);
RUN(rootfs_walk);
RUN(rootfs_show);
RUN(rootfs_list);
RUN(rootfs_xattrs);
RUN(rootfs_data);

#endif
