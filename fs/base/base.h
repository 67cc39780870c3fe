/*
 * base.h: what every C file of regfs includes first.
 *
 * The standard headers that all need, the house's few macros, and the list of
 * banned functions. Ownership is written with cleanup attributes: a local that
 * owns something is declared with one of the auto_* macros of the module that
 * made it, and leaves the function only through steal().
 */
#ifndef REGFS_BASE_H
#define REGFS_BASE_H

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))
/* Each argument is evaluated once. */
#define MIN(a, b)                                                               \
	__extension__({                                                         \
		__auto_type min_a_ = (a);                                       \
		__auto_type min_b_ = (b);                                       \
		min_a_ < min_b_ ? min_a_ : min_b_;                              \
	})
#define MAX(a, b)                                                               \
	__extension__({                                                         \
		__auto_type max_a_ = (a);                                       \
		__auto_type max_b_ = (b);                                       \
		max_a_ > max_b_ ? max_a_ : max_b_;                              \
	})

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))

/* Runs `fn(&variable)` when the variable leaves its scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines the function behind a cleanup attribute for a pointer type. */
#define DEFINE_CLEANUP(name, type, release)                                     \
	static inline void name(type *p)                                        \
	{                                                                       \
		if (*p)                                                         \
			release(*p);                                            \
	}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

#define auto_free CLEANUP(cleanup_free)
#define auto_fd CLEANUP(cleanup_close)

/* Takes the value out of an owning local, so that its cleanup does nothing. */
#define steal(pp)                                                               \
	({                                                                      \
		__typeof__(pp) pp_ = (pp);                                      \
		__typeof__(*pp_) taken_ = *pp_;                                 \
		*pp_ = NULL;                                                    \
		taken_;                                                         \
	})

static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline bool streq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Functions that can't be used safely, or not in a library: using one is an error. */
#undef sprintf	/* macros with clang and _FORTIFY_SOURCE */
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets tmpnam mktemp
#pragma GCC poison gmtime localtime ctime asctime system popen strncpy strncat

#endif
