/*
 * lead.h: one of several processes does something, and another takes over when that one ends, however it does.
 *
 * Who holds a lock on a file leads. The kernel gives it on at the moment its holder is gone. Some have a claim: as long as one of
 * these lives, the others don't lead, and who does gives way.
 */
#ifndef REGFS_LEAD_H
#define REGFS_LEAD_H

#include "fs/base/err.h"

/* Opens the file, and makes it if there is none; *fd is the caller's, and closing it gives the lead, and the claim, up. */
int lead_open(const char *path, int *fd, struct err *err) MUST_CHECK;
int lead_claim(int fd, struct err *err) MUST_CHECK;
/* Waits for the lead. A cancellation point (pthread_cancel(3)), as fcntl(2) is: the only way to end the wait. */
int lead_wait(int fd, bool claims, struct err *err) MUST_CHECK;
/* Whether somebody else has a claim, who hasn't himself: then it is to be given up. */
bool lead_is_claimed(int fd);
void lead_give_up(int fd);

#endif
