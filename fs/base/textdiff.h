/*
 * textdiff.h: what differs between two texts, as a unified diff (POSIX diff -u).
 */
#ifndef REGFS_TEXTDIFF_H
#define REGFS_TEXTDIFF_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

struct textdiff_text {
	const char *data;
	size_t len;	/* at most LIMIT_DIFF_TEXT */
};

/* No NUL is in it. */
bool textdiff_is_text(const struct textdiff_text *t);
/*
 * Appends the hunks, each with three lines around it, and no head; nothing if the texts are equal. The work is bounded, some
 * hundred steps for each line at the most; where that isn't enough the diff is right, but not the shortest.
 */
int textdiff_unified(const struct textdiff_text *a, const struct textdiff_text *b, struct buf *out,
		     struct err *err) MUST_CHECK;

#endif
