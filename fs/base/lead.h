/*
 * lead.h: one of several processes does something, and another takes over when that one ends, however it does.
 *
 * Who holds a lock on a file leads. The kernel gives it on at the moment its holder is gone.
 */
#ifndef REGFS_LEAD_H
#define REGFS_LEAD_H

#include "fs/base/err.h"

/* Opens the file, and makes it if there is none; *fd is the caller's, and closing it gives the lead up. */
int lead_open(const char *path, int *fd, struct err *err) MUST_CHECK;
/* Waits for the lead. A cancellation point (pthread_cancel(3)), as fcntl(2) is: the only way to end the wait. */
int lead_wait(int fd, struct err *err) MUST_CHECK;

#endif
