/*
 * action.h: what may be granted.
 *
 * Four actions, as bits, so that a set of them is an unsigned. A role is a name for a set; it is expanded when it is
 * read, and what is stored and shown are actions.
 */
#ifndef REGFS_ACTION_H
#define REGFS_ACTION_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

enum action {
	ACTION_PULL = 1,	/* see and read */
	ACTION_PUSH = 2,	/* add: uploads, images, tags */
	ACTION_DELETE = 4,	/* take away: tags, images, blobs */
	ACTION_ADMIN = 8,	/* make and remove repositories, settings, grants, hooks; see the registry's own files */
};
#define ACTIONS_ALL (ACTION_PULL | ACTION_PUSH | ACTION_DELETE | ACTION_ADMIN)

#define ACTIONS_TEXT_MAX 31	/* "pull,push,delete,admin", without the NUL */

/* Actions and roles by commas: "pull,push", "maintainer". "*" is all of them, as a Docker scope spells it. ERR_ARGUMENT. */
int actions_parse(const char *text, unsigned *out, struct err *err) MUST_CHECK;
/* The actions by commas; returns out. */
char *actions_format(unsigned actions, char out[static ACTIONS_TEXT_MAX + 1]);
/* The smallest role that is exactly this set, or NULL. */
const char *actions_role(unsigned actions);

#endif
