/*
 * bell.h: waking those who wait for a commit, in this process and in others.
 *
 * A small file beside the database is rung by reading its one byte, after the commit; who waits watches it by inotify(7). Nothing is
 * written, so ringing costs one system call and no disk. A wake-up isn't lost: the kernel keeps it until it is read, and who looks
 * after reading sees what was committed before the ring.
 */
#ifndef REGFS_BELL_H
#define REGFS_BELL_H

#include "fs/base/err.h"

struct bell {
	char *path;
	int fd;
};
#define BELL_INIT { .fd = -1 }

/* Beside that file; made where there is none. */
int bell_open(const char *beside, struct bell *out, struct err *err) MUST_CHECK;
void bell_close(struct bell *b);
void bell_ring(const struct bell *b);
/* A descriptor for poll(2), the caller's to close: readable when it was rung since it was made or last heard. */
int bell_listen(const struct bell *b, int *fd, struct err *err) MUST_CHECK;
void bell_heard(int fd);

#endif
