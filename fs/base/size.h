/*
 * size.h: numbers, of bytes too, as people write them.
 */
#ifndef REGFS_SIZE_H
#define REGFS_SIZE_H

#include "fs/base/base.h"

/* Decimal digits and no more; false if it is none, is less, or is more than an int64_t holds. */
bool number_parse(const char *text, int64_t least, int64_t *out);

/* "4096", "500k", "500kB", "20M", "1GB" (powers of 1000), "10GiB", "10Gi" (powers of 1024), up to T; false if it isn't one. */
bool size_parse(const char *text, int64_t *out);

/* "74.8 MB"; returns out. */
#define SIZE_TEXT_MAX 31
char *size_text(int64_t bytes, char out[static SIZE_TEXT_MAX + 1]);

#endif
