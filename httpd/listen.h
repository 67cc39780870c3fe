/*
 * listen.h: the socket that the HTTP front listens on.
 */
#ifndef REGFS_LISTEN_H
#define REGFS_LISTEN_H

#include "fs/base/err.h"

/* "127.0.0.1:5000", "[::1]:5000", "localhost:0". *address is what came of it, to be freed. With
 * `open` ERR_USAGE for a name of which any address isn't loopback. ERR_BUSY: it is in use. */
int listen_open(const char *text, bool open, int *fd, char **address, struct err *err) MUST_CHECK;

#endif
