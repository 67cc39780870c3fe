/*
 * point.h: the directory that is mounted on, before and after.
 */
#ifndef REGFS_POINT_H
#define REGFS_POINT_H

#include "fs/base/err.h"

struct point {
	char *dir;	 /* absolute, without links */
	uint64_t device; /* of the file system mounted there: tells ours from another's */
};

struct point_options {
	bool allow_other; /* than the user whose mount it is */
	bool read_only;
};

/*
 * Mounts a FUSE file system (nosuid,nodev) on a directory, which is made if it isn't there; what a
 * crash left mounted there is detached first. *fd: the session's /dev/fuse, the caller's to
 * close. ERR_NOT_DIRECTORY, ERR_NOT_EMPTY, ERR_NOT_FOUND (no /dev/fuse), ERR_DENIED; the text says
 * what to do.
 */
int point_attach(const char *dir, const struct point_options *options, struct point *out, int *fd,
		 struct err *err) MUST_CHECK;
/* Takes the mount away at once; files that are open stay usable while it is served. Does
 * nothing where it is gone already. */
void point_detach(const struct point *p);
void point_release(struct point *p);

#define auto_point CLEANUP(point_release)

/* Sends what libfuse has to say to the log, and during point_attach() into its error's text. */
void point_take_messages(void);

#endif
