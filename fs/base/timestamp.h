/*
 * timestamp.h: times as regfs keeps them: nanoseconds since 1970 in UTC, int64_t.
 */
#ifndef REGFS_TIMESTAMP_H
#define REGFS_TIMESTAMP_H

#include "fs/base/base.h"

#define TIMESTAMP_TEXT_MAX 30	/* 2026-11-23T18:07:00.123456789Z */

int64_t timestamp_now(void);
/* Since the machine started; never goes back. */
int64_t timestamp_monotonic(void);
/* RFC 3339 in UTC, seconds only; returns out. */
char *timestamp_format(int64_t t, char out[static TIMESTAMP_TEXT_MAX + 1]);
/* RFC 3339 with or without a fraction and an offset; false if it isn't. */
bool timestamp_parse(const char *text, int64_t *out);

/* "90s", "15m", "36h", "7d", "2w", "500ms", "0": nanoseconds; false if it isn't one. */
bool duration_parse(const char *text, int64_t *out);

#endif
