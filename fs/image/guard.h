/*
 * guard.h: files mapped into memory whose bytes may be lost meanwhile.
 *
 * A page that can't be read any more (the disk fails, the file was cut short) is a SIGBUS to who touches it, and the end of the process.
 * Here it becomes a page of zeros, and is noted. For that a handler is installed with the first mapping; a SIGBUS from elsewhere goes the way
 * it would have gone. Threads that read a mapping don't block that signal.
 */
#ifndef REGFS_GUARD_H
#define REGFS_GUARD_H

#include <stdatomic.h>

#include "fs/base/err.h"

/* Maps `size` bytes of a file to read. *lost, which outlives the mapping, becomes true once a page of them was lost. */
int guard_map(int fd, size_t size, atomic_bool *lost, const void **out, struct err *err) MUST_CHECK;
void guard_unmap(const void *map, size_t size);

#endif
