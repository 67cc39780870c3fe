/*
 * remote.h: a server, as the command asks it: calls (fs/tree/call.h) over HTTP.
 */
#ifndef REGFS_REMOTE_H
#define REGFS_REMOTE_H

#include "fs/tree/call.h"

struct remote;

struct remote_options {
	const char *url;
	const char *ca_file;	/* NULL: the system's list of authorities */
	const char *user, *password;	/* NULL: not logged in */
};

/* Asks nothing yet. */
int remote_open(const struct remote_options *options, struct remote **out, struct err *err) MUST_CHECK;
void remote_close(struct remote *r);
DEFINE_CLEANUP(cleanup_remote, struct remote *, remote_close)
#define auto_remote CLEANUP(cleanup_remote)

/* As the call's run() at the store: the same rows, the same errors. The whole answer is there before the first row is given, so
 * that fn may ask for more. ERR_IO: the server can't be reached. */
int remote_call(struct remote *r, const struct call *call, const void *args, call_row_fn *fn, void *arg,
		struct err *err) MUST_CHECK;
/* As call_read(). *out is emptied first. */
int remote_read(struct remote *r, const struct call_node *args, struct buf *out, struct err *err) MUST_CHECK;

#endif
