/*
 * event.c: rows of the table `event`.
 *
 *	push	an image was pushed, by tag or by digest
 *	tag	a tag was made or moved otherwise (the mount, the command)
 *	rollback	a tag was moved back to what it had named before
 *	untag	a tag was removed
 *	delete	an image was removed
 *	create	a repository was made on purpose
 *	remove	a repository was removed
 *	visibility	a repository became public or private (about: which)
 *	namespace	a namespace's settings were changed (about: its name)
 *	setting	another setting of a repository, a namespace or the registry was changed (about: whose, which, and its value)
 *	grant, revoke	a principal's rights were changed (about: whose, and the pattern)
 *	account-add, account-set, account-rm, password	a user, a group or a robot (about: which)
 *	member-add, member-rm	of a group (about: group and principal)
 *	hook-add, hook-set, hook-rm	(about: its pattern, where that isn't one repository, and its name)
 *	hook-test, hook-retry	of a hook: likewise
 *	token-add, token-rm	of a user or a robot (about: whose, and the token's name)
 */
#include "fs/base/base.h"
#include "fs/meta/event.h"

int event_add(struct db *db, const struct event *e, struct err *err)
{
	int64_t number = 0, n;
	int r = db_get_int(db, &number, err,
			   "UPDATE counter SET value = value + 1 WHERE name = 'event' RETURNING value", "");

	if (r < 0)
		return r;
	n = db_run(db, err,
		   "INSERT INTO event(number, at, kind, repository, tag, digest, changed, who, origin, about)"
		   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		   "iisssdisss", number, e->at, e->kind, e->repository, e->tag, e->digest,
		   (int64_t)e->changed, e->who, e->origin ? e->origin : "", e->about);
	return n < 0 ? (int)n : 0;
}

int event_last(struct db *db, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT value FROM counter WHERE name = 'event'", "");

	return MIN(r, 0);
}
