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

#include "fs/meta/rows.h"

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

#define SELECT_EVENT "SELECT number, at, kind, repository, tag, digest, changed, who, origin, about FROM event "

static void read_row(struct query *q, struct event_row *out)
{
	*out = (struct event_row){
		.number = query_int(q, 0),
		.event = {
			.at = query_int(q, 1),
			.kind = query_text(q, 2),
			.repository = query_text(q, 3),
			.tag = query_is_null(q, 4) ? NULL : query_text(q, 4),
			.changed = query_int(q, 6),
			.who = query_text(q, 7),
			.origin = query_text(q, 8),
			.about = query_is_null(q, 9) ? NULL : query_text(q, 9),
		},
	};
	query_digest(q, 5, &out->digest);
	out->event.digest = out->digest.algorithm == DIGEST_NONE ? NULL : &out->digest;
}

DEFINE_ROWS(event, struct event_row, read_row)

int event_list(struct db *db, int64_t after, int64_t most, event_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_EVENT "WHERE number > ? ORDER BY number LIMIT ?", "ii", after, most);

	return r ? r : each_event(q, fn, arg, err);
}

int event_by_number(struct db *db, int64_t number, event_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_EVENT "WHERE number = ?", "i", number);

	return r ? r : each_event(q, fn, arg, err);
}
