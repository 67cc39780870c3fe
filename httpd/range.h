/*
 * range.h: the Range and Content-Range headers.
 */
#ifndef REGFS_RANGE_H
#define REGFS_RANGE_H

#include "fs/base/base.h"

enum range_answer {
	RANGE_WHOLE,		/* no range that we serve: answer 200 with everything */
	RANGE_PART,		/* answer 206 with start .. start + len - 1 */
	RANGE_UNSATISFIABLE,	/* answer 416 */
};

/* RFC 9110, 14.2, for content of `size` bytes. `header` may be NULL. Several ranges, another unit
 * and what isn't a range are RANGE_WHOLE; one that ends before it begins, which the RFC lets us ignore,
 * is RANGE_UNSATISFIABLE, as clients of registries expect. For RANGE_PART: 0 < *len <= size - *start. */
enum range_answer range_parse(const char *header, int64_t size, int64_t *start, int64_t *len);

/* distribution-spec's "<start>-<end>", both included; "bytes <start>-<end>/<anything>" too. */
bool content_range_parse(const char *header, int64_t *start, int64_t *len);

#endif
