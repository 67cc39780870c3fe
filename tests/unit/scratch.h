/*
 * scratch.h: a directory of a test's own, below $TMPDIR or /tmp.
 *
 *	auto_scratch struct scratch tmp = { "" };
 *
 *	if (!scratch_make(&tmp))
 *		return 1;
 */
#ifndef REGFS_TEST_SCRATCH_H
#define REGFS_TEST_SCRATCH_H

#include "fs/base/base.h"

#include <ftw.h>
#include <sys/stat.h>

struct scratch {
	char dir[128];
};

static inline bool scratch_make(struct scratch *s)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(s->dir, sizeof(s->dir), "%.90s/regfs-unit-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	return mkdtemp(s->dir) != NULL;
}

static inline int scratch_drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

static inline void scratch_remove(struct scratch *s)
{
	if (*s->dir)
		nftw(s->dir, scratch_drop, 32, FTW_DEPTH | FTW_PHYS);
}
#define auto_scratch CLEANUP(scratch_remove)

/* Directory and name as a path; the caller frees it. */
static inline char *scratch_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static inline size_t open_files(void)
{
	size_t count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		struct stat st;

		count += fstat(fd, &st) == 0;
	}
	return count;
}

#endif
