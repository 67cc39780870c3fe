/*
 * rows.h: reading a query's rows into a structure, the same for every table.
 *
 * DEFINE_ROWS(name, type, read) makes, for a `void read(struct query *q, type *out)`:
 *
 *	one_NAME(q, out, err)		1 and the first row, 0: there is none, or negative
 *	each_NAME(q, fn, arg, err)	fn for each row; a non-zero answer ends it and is returned
 */
#ifndef REGFS_META_ROWS_H
#define REGFS_META_ROWS_H

#include "fs/meta/db.h"

#define DEFINE_ROWS(name, type, read)                                                       \
	static UNUSED int one_##name(struct query *q, type *out, struct err *err)                  \
	{                                                                                   \
		int r = query_step(q, err);                                                 \
                                                                                            \
		if (r > 0)                                                                  \
			read(q, out);                                                       \
		return r;                                                                   \
	}                                                                                   \
                                                                                            \
	static UNUSED int each_##name(struct query *q, int (*fn)(void *arg, const type *row),      \
			       void *arg, struct err *err)                                  \
	{                                                                                   \
		type row;                                                                   \
		int r;                                                                      \
                                                                                            \
		while ((r = query_step(q, err)) > 0) {                                      \
			read(q, &row);                                                      \
			r = fn(arg, &row);                                                  \
			if (r)                                                              \
				return r;                                                   \
		}                                                                           \
		return r;                                                                   \
	}

#endif
