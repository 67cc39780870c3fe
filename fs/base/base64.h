/*
 * base64.h: RFC 4648, both alphabets.
 *
 * Decoding is strict: no blanks, no line ends, no bits behind the last byte; padding as the alphabet has it (section 4:
 * always, section 5 as RFC 7515 uses it: never). So a text stands for one value, and a value has one text.
 */
#ifndef REGFS_BASE64_H
#define REGFS_BASE64_H

#include "fs/base/buf.h"

enum base64_alphabet {
	BASE64,		/* '+', '/', and padding */
	BASE64_URL,	/* '-', '_', no padding */
};

/* Bytes that a text of that length decodes to, at most. */
#define BASE64_DECODED_MAX(len) ((len) / 4 * 3 + 3)

void base64_add(struct buf *b, enum base64_alphabet alphabet, const void *data, size_t len);
/* `out` has BASE64_DECODED_MAX(len) bytes. The number of bytes, or -EINVAL. */
ssize_t base64_decode(enum base64_alphabet alphabet, const char *text, size_t len, void *out);

#endif
