/*
 * fault.h: system calls and allocations that fail when a test says so.
 *
 * Included by one file of a test program, which thereby defines malloc(), pwrite(), fsync() and so on for the
 * whole process, libraries included; each asks fault_now() first. fault_begin(FAULT_SYNC, 3, EIO,
 * false) makes the third sync from now on fail once; with `sticky` all that follow do, too. What
 * isn't to fail is done, but for syncs: they are only noted, for speed.
 *
 * Allocations can't fail where a sanitizer has its own: FAULT_MALLOC_WORKS says so.
 */
#ifndef REGFS_TEST_FAULT_H
#define REGFS_TEST_FAULT_H

#include "fs/base/base.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>

enum fault {
	FAULT_NONE,
	FAULT_MALLOC,
	FAULT_WRITE,	/* write, pwrite, ftruncate */
	FAULT_SYNC,	/* fsync, fdatasync */
	FAULT_NAME,	/* link, rename, mkdir, unlink, chmod */
	FAULT_READ,	/* pread */
	FAULT_OPEN,
	FAULT_COUNT
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FAULT_MALLOC_WORKS 0
#else
#define FAULT_MALLOC_WORKS 1
#endif

/* The one state of a test program; the tests that use it have one thread. */
static struct {
	enum fault kind;
	int left;	/* calls until it fails */
	int errnum;
	bool sticky;
	int hits;	/* calls that failed */
	int bad_closes;	/* of what wasn't open */
	int64_t blocks;	/* allocated and not freed */
	char synced[64][256];	/* the last paths that were synced */
	unsigned syncs;
} fault_state;

static inline void fault_begin(enum fault kind, int n, int errnum, bool sticky)
{
	fault_state.kind = kind;
	fault_state.left = n;
	fault_state.errnum = errnum;
	fault_state.sticky = sticky;
	fault_state.hits = 0;
}

/* Ends it; how many calls failed. */
static inline int fault_end(void)
{
	fault_state.kind = FAULT_NONE;
	return fault_state.hits;
}

static inline bool fault_now(enum fault kind)
{
	if (fault_state.kind != kind || fault_state.left <= 0)
		return false;
	if (--fault_state.left > 0)
		return false;
	fault_state.left = fault_state.sticky;
	fault_state.hits++;
	errno = fault_state.errnum;
	return true;
}

/* Whether a path that ends so was synced since fault_forget(). */
static inline bool fault_synced(const char *end)
{
	size_t n = strlen(end);

	for (size_t i = 0; i < ARRAY_SIZE(fault_state.synced); i++) {
		size_t len = strlen(fault_state.synced[i]);

		if (len >= n && streq(fault_state.synced[i] + len - n, end))
			return true;
	}
	return false;
}

static inline void fault_forget(void)
{
	memset(fault_state.synced, 0, sizeof(fault_state.synced));
}

static inline int fault_sync(int fd)
{
	char link[32], *path = fault_state.synced[fault_state.syncs++ % ARRAY_SIZE(fault_state.synced)];
	ssize_t n;

	if (fault_now(FAULT_SYNC))
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, 255);
	path[MAX(n, 0)] = '\0';
	return 0;
}

/* The function that the libraries would have called. */
#define FAULT_NEXT(type, name, ...)                                                     \
	static __typeof__(type (*)(__VA_ARGS__)) next;                                  \
	if (!next)                                                                      \
		*(void **)&next = dlsym(RTLD_NEXT, name)

/* Headers rename functions for large files (and check them): the names are given to the linker. */
#define FAULT_NAMED(name) __asm__(name) __attribute__((used))

ssize_t fault_pwrite(int fd, const void *data, size_t len, off_t at) FAULT_NAMED("pwrite64");
ssize_t fault_pwrite(int fd, const void *data, size_t len, off_t at)
{
	FAULT_NEXT(ssize_t, "pwrite64", int, const void *, size_t, off_t);
	/* Half of it is written before it fails. */
	if (fault_now(FAULT_WRITE)) {
		int saved = errno;

		if (len > 1)
			(void)!next(fd, data, len / 2, at);
		errno = saved;
		return -1;
	}
	return next(fd, data, len, at);
}

int fault_ftruncate(int fd, off_t len) FAULT_NAMED("ftruncate64");
int fault_ftruncate(int fd, off_t len)
{
	FAULT_NEXT(int, "ftruncate64", int, off_t);
	return fault_now(FAULT_WRITE) ? -1 : next(fd, len);
}

ssize_t fault_pread(int fd, void *data, size_t len, off_t at) FAULT_NAMED("pread64");
ssize_t fault_pread(int fd, void *data, size_t len, off_t at)
{
	FAULT_NEXT(ssize_t, "pread64", int, void *, size_t, off_t);
	return fault_now(FAULT_READ) ? -1 : next(fd, data, len, at);
}

int fault_fsync(int fd) FAULT_NAMED("fsync");
int fault_fsync(int fd)
{
	return fault_sync(fd);
}

int fault_fdatasync(int fd) FAULT_NAMED("fdatasync");
int fault_fdatasync(int fd)
{
	return fault_sync(fd);
}

int fault_linkat(int from, const char *a, int to, const char *b, int flags) FAULT_NAMED("linkat");
int fault_linkat(int from, const char *a, int to, const char *b, int flags)
{
	FAULT_NEXT(int, "linkat", int, const char *, int, const char *, int);
	return fault_now(FAULT_NAME) ? -1 : next(from, a, to, b, flags);
}

int fault_mkdirat(int at, const char *path, mode_t mode) FAULT_NAMED("mkdirat");
int fault_mkdirat(int at, const char *path, mode_t mode)
{
	FAULT_NEXT(int, "mkdirat", int, const char *, mode_t);
	return fault_now(FAULT_NAME) ? -1 : next(at, path, mode);
}

int fault_unlinkat(int at, const char *path, int flags) FAULT_NAMED("unlinkat");
int fault_unlinkat(int at, const char *path, int flags)
{
	FAULT_NEXT(int, "unlinkat", int, const char *, int);
	return fault_now(FAULT_NAME) ? -1 : next(at, path, flags);
}

int fault_fchmod(int fd, mode_t mode) FAULT_NAMED("fchmod");
int fault_fchmod(int fd, mode_t mode)
{
	FAULT_NEXT(int, "fchmod", int, mode_t);
	return fault_now(FAULT_NAME) ? -1 : next(fd, mode);
}

int fault_close(int fd) FAULT_NAMED("close");
int fault_close(int fd)
{
	int r;

	FAULT_NEXT(int, "close", int);
	r = next(fd);
	fault_state.bad_closes += r < 0 && errno == EBADF;
	return r;
}

static inline mode_t fault_mode(int flags, va_list ap)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

int fault_openat(int at, const char *path, int flags, ...) FAULT_NAMED("openat64");
int fault_openat(int at, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	FAULT_NEXT(int, "openat64", int, const char *, int, ...);
	va_start(ap, flags);
	mode = fault_mode(flags, ap);
	va_end(ap);
	return fault_now(FAULT_OPEN) ? -1 : next(at, path, flags, mode);
}

int fault_open(const char *path, int flags, ...) FAULT_NAMED("open64");
int fault_open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	FAULT_NEXT(int, "open64", const char *, int, ...);
	va_start(ap, flags);
	mode = fault_mode(flags, ap);
	va_end(ap);
	return fault_now(FAULT_OPEN) ? -1 : next(path, flags, mode);
}

#if FAULT_MALLOC_WORKS
/* glibc's own names: asking dlsym() for them would allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void __libc_free(void *p);

static inline void *fault_allocated(void *p)
{
	__atomic_add_fetch(&fault_state.blocks, p != NULL, __ATOMIC_RELAXED);
	return p;
}

void *malloc(size_t size)
{
	return fault_now(FAULT_MALLOC) ? NULL : fault_allocated(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return fault_now(FAULT_MALLOC) ? NULL : fault_allocated(__libc_calloc(n, size));
}

void *realloc(void *p, size_t size)
{
	void *q;

	if (fault_now(FAULT_MALLOC))
		return NULL;
	q = __libc_realloc(p, size);
	return p ? q : fault_allocated(q);
}

void free(void *p)
{
	__atomic_sub_fetch(&fault_state.blocks, p != NULL, __ATOMIC_RELAXED);
	__libc_free(p);
}
#endif

#endif
