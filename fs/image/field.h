/*
 * field.h: the numbers in a tar header, and its checksum, for tar.c.
 */
#ifndef REGFS_FIELD_H
#define REGFS_FIELD_H

#include "fs/base/base.h"

#define FIELD_BLOCK 512	/* bytes of a header */

enum field_number {
	FIELD_GOOD,
	FIELD_MALFORMED,
	FIELD_TOO_LOW,	/* for an int64_t */
	FIELD_TOO_HIGH,
};

/* Octal digits between blanks or NULs: nothing but those is 0, and what is behind a NUL isn't looked at. Or, as GNU and
 * star have it, a high bit and the number in two's complement, big-endian. n is at most 21. */
enum field_number field_number(const uint8_t *p, size_t n, int64_t *out);

/* Whether the header has the sum of its bytes, the checksum's own taken as blanks: unsigned, as POSIX has it, or signed, as some
 * old writers had it. */
bool field_checksum_good(const uint8_t *h);

#endif
