/*
 * permit.h: the one place where permission is asked.
 */
#ifndef REGFS_PERMIT_H
#define REGFS_PERMIT_H

#include "fs/auth/cred.h"
#include "fs/base/err.h"

enum action {
	ACTION_PULL,	/* see and read */
	ACTION_PUSH,	/* add: uploads, images, tags */
	ACTION_DELETE,	/* take away: tags, images, blobs */
	ACTION_ADMIN,	/* make and remove repositories, see the registry's own files */
};

/* `repo` is the repository's name, or NULL for the registry itself. ERR_DENIED with what to do. */
int permit(const struct cred *cred, enum action action, const char *repo, struct err *err) MUST_CHECK;

#endif
