/*
 * workers.h: the threads that serve a FUSE session.
 *
 * libfuse's own loop can't be ended from outside while its threads wait for requests and the
 * mount is still in use somewhere, except by a signal handler, and those are the program's.
 */
#ifndef REGFS_WORKERS_H
#define REGFS_WORKERS_H

#include "fs/base/err.h"

struct fuse_session;
struct workers;

/* `ended(arg)` is called once, by the last thread on its way out, when the kernel has ended
 * the connection. */
int workers_start(struct fuse_session *session, void (*ended)(void *arg), void *arg,
		  struct workers **out, struct err *err) MUST_CHECK;
/* `ended` isn't called from now on: we are about to unmount. */
void workers_expect_end(struct workers *w);
/* Lets requests in progress end, ends the threads, frees. Not from a thread of its own. */
void workers_stop(struct workers *w);

#endif
