/*
 * event.c: rows of the table `event`.
 *
 *	push	an image was pushed, by tag or by digest
 *	tag	a tag was made or moved otherwise (the mount, the command)
 *	rollback	a tag was moved back to what it had named before
 *	undo	what was removed was brought back (about: "repository", where it was one); each tag has one of its own
 *	purge	what was removed can't be brought back any more (about: the tag, if it was one)
 *	quota	a push, or a tag, was refused for want of quota (about: the setting); within a second or so once
 *	untag	a tag was removed
 *	delete	an image was removed
 *	create	a repository was made on purpose
 *	remove	a repository was removed
 *	visibility	a repository became public or private (about: which)
 *	pull	an image was pulled, by tag or by digest; only where a hook wants to be told, and best effort: once a second at most of
 *		who, what and from where, and what is still to be written at a crash is lost
 *	gc	garbage was collected (about: how much)
 *	namespace	a namespace's settings were changed (about: its name)
 *	setting	another setting of a repository, a namespace or the registry was changed (about: whose, which, and its value)
 *	grant, revoke	a principal's rights were changed (about: whose, and the pattern)
 *	account-add, account-set, account-rm, password	a user, a group or a robot (about: which)
 *	member-add, member-rm	of a group (about: group and principal)
 *	hook-add, hook-set, hook-rm	(about: its pattern, where that isn't one repository, and its name)
 *	hook-test, hook-retry	of a hook: likewise
 *	token-add, token-rm	of a user or a robot (about: whose, and the token's name)
 *
 * A line is
 *
 *	{"v":1,"number":12,"at":"2026-11-25T18:07:00.123Z","kind":"push","repository":"shop/web","tag":"1.0","digest":"sha256:...",
 *	 "changed":true,"who":"alice","from":"192.0.2.1"}
 *
 * without the members that don't apply; besides these, about. It isn't stored, but made of the row, always the same: another
 * version of lines needs a column that says which a row has. Rows from before there were lines stand in no file. The files of repositories are without what is about people's rights.
 */
#include "fs/base/base.h"
#include "fs/meta/event.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/meta/rows.h"

/* ---- Kinds ---- */

static const struct {
	const char *name;
	bool access;
} kinds[] = {
	{ "undo", false },	 { "purge", false },	    { "prune", false },	      { "expire", false },
	{ "push", false },	 { "tag", false },	    { "rollback", false },    { "untag", false },
	{ "delete", false },	 { "create", false },	    { "remove", false },      { "visibility", false },
	{ "namespace", false },	 { "setting", false },	    { "grant", true },	      { "revoke", true },
	{ "account-add", true }, { "account-set", true },   { "account-rm", true },   { "password", true },
	{ "member-add", true },	 { "member-rm", true },	    { "token-add", true },    { "token-rm", true },
	{ "quota", false },
	{ "hook-add", true },	 { "hook-set", true },	    { "hook-rm", true },      { "hook-test", true },
	{ "hook-retry", true },	 { "pull", false },	    { "gc", false },
};

bool event_kind_known(const char *kind, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strlen(kinds[i].name) == len && memcmp(kinds[i].name, kind, len) == 0)
			return true;
	return false;
}

bool event_kind_is_access(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].name, kind))
			return kinds[i].access;
	return false;
}

const char *event_kind_at(size_t i)
{
	return i < ARRAY_SIZE(kinds) ? kinds[i].name : NULL;
}

/* ---- Adding ---- */

static void add_text(struct buf *b, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	json_add_key(b, key);
	json_add_string(b, text);
}

void event_line(struct buf *b, int64_t number, const struct event *e)
{
	char time[TIMESTAMP_TEXT_MAX + 1], digest[DIGEST_TEXT_MAX + 1] = "";

	if (e->digest && e->digest->algorithm != DIGEST_NONE)
		digest_format(e->digest, digest);
	timestamp_format(e->at, time);
	buf_addf(b, "{\"v\":%d,\"number\":%" PRId64 ",\"at\":\"%.*s.%03dZ\"", EVENT_VERSION, number, (int)strcspn(time, "Z"), time,
		 (int)(e->at / 1000000 % 1000));
	add_text(b, "kind", e->kind);
	add_text(b, "repository", e->repository);
	add_text(b, "tag", e->tag);
	add_text(b, "digest", digest);
	buf_addf(b, ",\"changed\":%s", e->changed ? "true" : "false");
	add_text(b, "who", e->who);
	add_text(b, "from", e->origin);
	add_text(b, "about", e->about);
	buf_addc(b, '}');
}

/* Where the last line ends: that of the row before, or what is kept of it. */
static int last_place(struct db *db, int64_t number, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT place FROM event WHERE number = ?", "i", number);

	if (!r)
		r = db_get_int(db, out, err, "SELECT value FROM counter WHERE name = 'event-bytes'", "");
	return MIN(r, 0);
}

static int last_own_place(struct db *db, const char *repository, int64_t *out, struct err *err)
{
	int r;

	*out = 0;
	r = db_get_int(db, out, err,
		       "SELECT own_place FROM event WHERE repository = ? AND own_place > 0 ORDER BY own_place DESC LIMIT 1", "s",
		       repository);
	if (!r)
		r = db_get_int(db, out, err, "SELECT size FROM event_file WHERE repository = ?", "s", repository);
	return MIN(r, 0);
}

int event_add(struct db *db, const struct event *e, struct err *err)
{
	auto_buf struct buf line = BUF_INIT;
	int64_t number = 0, place = 0, own = 0, size, n;
	bool stands = *e->repository && !event_kind_is_access(e->kind);
	int r = db_get_int(db, &number, err,
			   "UPDATE counter SET value = value + 1 WHERE name = 'event' RETURNING value", "");

	if (r < 0)
		return r;
	event_line(&line, number, e);
	if (buf_error(&line))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	size = (int64_t)line.len + 1;
	r = last_place(db, number - 1, &place, err);
	if (!r && stands)
		r = last_own_place(db, e->repository, &own, err);
	if (r)
		return r;
	n = db_run(db, err,
		   "INSERT INTO event(number, at, kind, repository, tag, digest, changed, who, origin, about, size, place, own_place)"
		   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		   "iisssdisssiii", number, e->at, e->kind, e->repository, e->tag, e->digest, (int64_t)e->changed, e->who,
		   e->origin ? e->origin : "", e->about, size, place + size, stands ? own + size : 0);
	db_ring(db);
	return n < 0 ? (int)n : 0;
}

int event_last(struct db *db, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT value FROM counter WHERE name = 'event'", "");

	return MIN(r, 0);
}

/* ---- Removing ---- */

/* What is about to go is kept of it: where the files end. */
static int keep_places(struct db *db, int64_t number, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE counter SET value = (SELECT place FROM event WHERE number = ?) WHERE name = 'event-bytes'", "i",
			   number);

	if (n >= 0)
		n = db_run(db, err,
			   "INSERT INTO event_file(repository, size) SELECT repository, MAX(own_place) FROM event"
			   " WHERE number <= ? AND own_place > 0 GROUP BY repository"
			   " ON CONFLICT(repository) DO UPDATE SET size = excluded.size",
			   "i", number);
	return (int)MIN(n, INT64_C(0));
}

int event_trim(struct db *db, int64_t before, int64_t most, int64_t *removed, struct err *err)
{
	auto_query struct query *q = NULL;
	int64_t number = 0, n;
	int r = db_query(db, &q, err, "SELECT number, at FROM event ORDER BY number LIMIT ?", "i", most);

	while (!r && (r = query_step(q, err)) > 0 && query_int(q, 1) < before) {
		number = query_int(q, 0);
		r = 0;
	}
	if (r >= 0 && number)
		r = keep_places(db, number, err);
	if (r < 0)
		return r;
	n = number ? db_run(db, err, "DELETE FROM event WHERE number <= ?", "i", number) : 0;
	*removed = MAX(n, INT64_C(0));
	return (int)MIN(n, INT64_C(0));
}

/* ---- As rows ---- */

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

int event_first(struct db *db, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT number FROM event ORDER BY number LIMIT 1", "");

	if (!r) {
		r = event_last(db, out, err);
		++*out;
	}
	return MIN(r, 0);
}

/* ---- As bytes ---- */

/* The first number whose line ends behind a place: numbers have no gaps, and places grow with them. */
static int number_behind(struct db *db, int64_t place, int64_t *out, struct err *err)
{
	int64_t low = 0, high = 0, end = 0;
	int r = event_first(db, &low, err);

	if (!r)
		r = event_last(db, &high, err);
	high++;
	while (!r && low < high) {
		int64_t middle = low + (high - low) / 2;

		r = db_get_int(db, &end, err, "SELECT place FROM event WHERE number = ?", "i", middle);
		r = MIN(r, 0);
		if (end > place)
			high = middle;
		else
			low = middle + 1;
	}
	*out = low;
	return r;
}

static int registry_span(struct db *db, int64_t *first, int64_t *end, struct err *err)
{
	int64_t number = 0;
	int r = event_last(db, &number, err);

	if (!r)
		r = last_place(db, number, end, err);
	if (!r)
		r = number_behind(db, 0, &number, err);
	*first = *end;
	if (!r)
		r = db_get_int(db, first, err, "SELECT place - size FROM event WHERE number = ?", "i", number);
	return MIN(r, 0);
}

int event_span(struct db *db, const char *repository, int64_t *first, int64_t *end, struct err *err)
{
	int r;

	*first = *end = 0;
	if (!repository)
		return registry_span(db, first, end, err);
	r = last_own_place(db, repository, end, err);
	*first = *end;
	if (!r)
		r = db_get_int(db, first, err,
			       "SELECT own_place - size FROM event WHERE repository = ? AND own_place > 0 ORDER BY own_place LIMIT 1",
			       "s", repository);
	return MIN(r, 0);
}

int event_time(struct db *db, const char *repository, int64_t *at, struct err *err)
{
	return repository ? db_get_int(db, at, err,
				       "SELECT at FROM event WHERE repository = ? AND own_place > 0 ORDER BY own_place DESC LIMIT 1",
				       "s", repository) :
			    db_get_int(db, at, err, "SELECT at FROM event WHERE place > 0 ORDER BY number DESC LIMIT 1", "");
}

#define SELECT_LINE(place) "SELECT number, at, kind, repository, tag, digest, changed, who, origin, about, size, " place " FROM event "

static int give_line(struct query *q, event_line_fn *fn, void *arg, struct err *err)
{
	auto_buf struct buf line = BUF_INIT;
	struct event_row row;

	read_row(q, &row);
	event_line(&line, row.number, &row.event);
	if (buf_error(&line))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return fn(arg, line.data, query_int(q, 10), query_int(q, 11));
}

int event_lines(struct db *db, const char *repository, int64_t after, event_line_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int64_t number = 0;
	int r = repository ? 0 : number_behind(db, MAX(after, INT64_C(0)), &number, err);

	if (!r)
		r = repository ? db_query(db, &q, err,
					  SELECT_LINE("own_place") "WHERE repository = ? AND own_place > ? AND own_place > 0"
								   " ORDER BY own_place", "si", repository, after) :
				 db_query(db, &q, err, SELECT_LINE("place") "WHERE number >= ? ORDER BY number", "i", number);
	while (!r && (r = query_step(q, err)) > 0)
		r = give_line(q, fn, arg, err);
	return r;
}
