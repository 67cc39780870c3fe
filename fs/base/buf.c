/*
 * buf.c: a string or byte buffer that grows.
 *
 * Invariants:
 *  1. data is never NULL; cap == 0 if and only if data is buf_empty.
 *  2. cap > 0: len < cap and data[len] == '\0'.
 *  3. failed: len and data are what they were before the addition that failed.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"

char buf_empty[1] = "";

void buf_init(struct buf *b)
{
	*b = (struct buf)BUF_INIT;
}

void buf_release(struct buf *b)
{
	if (b->cap)
		free(b->data);
	buf_init(b);
}

void buf_reset(struct buf *b)
{
	b->failed = false;
	buf_truncate(b, 0);
}

void buf_reserve(struct buf *b, size_t more)
{
	size_t need, cap;
	char *data;

	if (b->failed)
		return;
	if (__builtin_add_overflow(b->len, more, &need) || need >= PTRDIFF_MAX) {
		b->failed = true;
		return;
	}
	if (++need <= b->cap)
		return;
	cap = MAX(need, b->cap + b->cap / 2);
	cap = MAX(cap, (size_t)64);
	data = realloc(b->cap ? b->data : NULL, cap);
	if (!data) {
		b->failed = true;
		return;
	}
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	buf_reserve(b, len);
	if (b->failed || !len)
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int len;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0) {
		b->failed = true;
		return;
	}
	buf_reserve(b, (size_t)len);
	if (b->failed)
		return;
	vsnprintf(b->data + b->len, (size_t)len + 1, fmt, ap);
	b->len += (size_t)len;
}

void buf_truncate(struct buf *b, size_t len)
{
	if (!b->cap || len > b->len)
		return;
	b->len = len;
	b->data[len] = '\0';
}

int buf_error(const struct buf *b)
{
	return b->failed ? -ENOMEM : 0;
}

char *buf_steal(struct buf *b)
{
	char *data;

	buf_reserve(b, 0);
	if (b->failed) {
		buf_release(b);
		return NULL;
	}
	data = b->data;
	buf_init(b);
	return data;
}
