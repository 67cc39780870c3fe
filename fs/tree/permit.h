/*
 * permit.h: the one place where permission is asked.
 */
#ifndef REGFS_PERMIT_H
#define REGFS_PERMIT_H

#include "fs/auth/cred.h"
#include "fs/base/err.h"

struct tree;

/*
 * `repo` is the repository's name, or NULL for the registry itself, of which everyone may see the list (of what they may
 * see) and only administrators more. Grants and scopes are looked at together, and the reason says which failed:
 *
 *	ERR_SCOPE		the token isn't for that; said whether or not there is such a repository
 *	ERR_UNAUTHORIZED	not logged in; the same for what is hidden, what is absent, and what needs a grant. Also an
 *				account that was disabled, has expired or is gone, and a token that was revoked
 *	ERR_NAME_UNKNOWN	logged in, and may do nothing there: as if there were no such repository
 *	ERR_DENIED		may do something there, but not that
 *
 * A refusal is noted in the audit trail, unless err is NULL: that is a question, not an attempt.
 *
 * As of the last commit of any process. Under a microsecond as long as nothing in the store has changed since the same was
 * asked last; some 20 otherwise. Not inside a write transaction.
 */
int permit(struct tree *tree, const struct cred *cred, enum action action, const char *repo, struct err *err) MUST_CHECK;

#endif
