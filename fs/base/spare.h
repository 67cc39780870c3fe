/*
 * spare.h: a few pieces of memory that are dear to allocate, kept for whoever needs one next. Without a lock. Zeros are an empty one; who
 * has it takes out what it keeps, and frees that, in the end.
 *
 * For pieces of some 100 KiB: malloc() has those from the system each time, and a page fault for each 4 KiB of them.
 */
#ifndef REGFS_SPARE_H
#define REGFS_SPARE_H

#include "fs/base/base.h"

#include <stdatomic.h>
#include <stddef.h>

struct spare {
	_Atomic(void *) kept[4];
};

/* NULL: there is none. */
static inline void *spare_take(struct spare *s)
{
	void *piece = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(s->kept) && !piece; i++)
		piece = atomic_exchange(&s->kept[i], NULL);
	return piece;
}

/* What is one too many, or NULL: the caller's to free. */
static inline void *spare_put(struct spare *s, void *piece)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->kept) && piece; i++)
		piece = atomic_exchange(&s->kept[i], piece);
	return piece;
}

#endif
