/*
 * passthrough.h: FUSE passthrough: the kernel reads a file of ours from the file behind it.
 *
 * libfuse 3.14 doesn't know it, so the session's reads and writes go through here and the
 * INIT reply is completed on its way out. Where the kernel (before 6.9) or the privilege
 * (CAP_SYS_ADMIN) is missing nothing is said and files are read the plain way.
 * Safe from several threads.
 */
#ifndef REGFS_PASSTHROUGH_H
#define REGFS_PASSTHROUGH_H

#include <sys/uio.h>

#include "fs/base/err.h"

struct passthrough;

/* `dev`: the session's /dev/fuse, borrowed; outlives this. */
int passthrough_new(int dev, struct passthrough **out, struct err *err) MUST_CHECK;
void passthrough_free(struct passthrough *p);
DEFINE_CLEANUP(cleanup_passthrough, struct passthrough *, passthrough_free)
#define auto_passthrough CLEANUP(cleanup_passthrough)

/* What the session reads requests and writes replies with; -1 and errno. */
ssize_t passthrough_read(struct passthrough *p, int dev, void *buf, size_t len);
ssize_t passthrough_writev(struct passthrough *p, int dev, struct iovec *iov, int count);

/*
 * Notes an open of a file whose bytes may be cached; passthrough_release() takes it back.
 * `fd`: the file behind it, or -1. Answers the number by which the kernel knows that file,
 * or 0: the kernel is to ask for the bytes. All opens of a node at one time get the same
 * answer, for the kernel refuses a mixture. *stale: the file behind it, which others have open, was written to meanwhile, or
 * nobody may read it any more (content_backing()): reads are to be answered here. -ENOMEM: nothing was noted.
 */
int32_t passthrough_open(struct passthrough *p, uint64_t node, int fd, bool *stale);
void passthrough_release(struct passthrough *p, uint64_t node);

#endif
