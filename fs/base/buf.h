/*
 * buf.h: a string or byte buffer that grows.
 *
 * Always NUL-terminated behind `len` once something was added; `data` is never
 * NULL (an empty buffer points to ""). A failed allocation sticks: later additions
 * do nothing and buf_error() says -ENOMEM, so that a caller checks once, at the end.
 */
#ifndef REGFS_BUF_H
#define REGFS_BUF_H

#include "fs/base/base.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;	/* 0: data isn't ours */
	bool failed;
};

extern char buf_empty[1];	/* "", never written */

#define BUF_INIT { .data = buf_empty }

void buf_init(struct buf *b);
void buf_release(struct buf *b);	/* frees, and leaves it empty and usable */
void buf_reset(struct buf *b);		/* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
void buf_truncate(struct buf *b, size_t len);
int buf_error(const struct buf *b);	/* 0 or -ENOMEM */
char *buf_steal(struct buf *b);		/* the caller frees it; NULL after a failure */

#define auto_buf CLEANUP(buf_release)

#endif
