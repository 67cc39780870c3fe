/*
 * tap.h: the Test Anything Protocol, as much of it as a C unit test needs.
 *
 * A program calls ok(), is_str() and is_int(), each with a name in printf's manner, and ends with
 * `return done_testing();`. What was expected and what came goes to standard output as a
 * comment. Each answers whether it was so.
 */
#ifndef REGFS_TAP_H
#define REGFS_TAP_H

#include "fs/base/base.h"

struct tap {
	int run, failed;
};

/* The one count of a test program. */
static inline struct tap *tap(void)
{
	static struct tap count;

	return &count;
}

static inline bool tap_line(bool good, const char *fmt, va_list ap) PRINTF(2, 0);

static inline bool tap_line(bool good, const char *fmt, va_list ap)
{
	tap()->run++;
	tap()->failed += !good;
	printf("%s %d - ", good ? "ok" : "not ok", tap()->run);
	vprintf(fmt, ap);
	printf("\n");
	return good;
}

static inline bool ok(bool good, const char *fmt, ...) PRINTF(2, 3);

static inline bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_line(good, fmt, ap);
	va_end(ap);
	return good;
}

/* Either may be NULL. */
static inline bool is_str(const char *got, const char *want, const char *fmt, ...) PRINTF(3, 4);

static inline bool is_str(const char *got, const char *want, const char *fmt, ...)
{
	bool good = got && want ? streq(got, want) : got == want;
	va_list ap;

	va_start(ap, fmt);
	tap_line(good, fmt, ap);
	va_end(ap);
	if (!good)
		printf("#   got: %s\n#  want: %s\n", got ? got : "NULL", want ? want : "NULL");
	return good;
}

static inline bool is_int(int64_t got, int64_t want, const char *fmt, ...) PRINTF(3, 4);

static inline bool is_int(int64_t got, int64_t want, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_line(got == want, fmt, ap);
	va_end(ap);
	if (got != want)
		printf("#   got: %" PRId64 "\n#  want: %" PRId64 "\n", got, want);
	return got == want;
}

/* Prints the plan; the program's exit status. */
static inline int done_testing(void)
{
	printf("1..%d\n", tap()->run);
	return tap()->failed || !tap()->run ? 1 : 0;
}

#endif
