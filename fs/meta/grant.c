/* grant.c: rows of the table `access_grant`. */
#include "fs/base/base.h"
#include "fs/meta/grant.h"

#include "fs/meta/rows.h"

#define SELECT_GRANTS                                                                         \
	"SELECT g.id, g.principal_id, p.name, g.pattern, g.actions, g.origin, g.created, g.who" \
	" FROM access_grant g JOIN principal p ON p.id = g.principal_id"

static void read_row(struct query *q, struct grant_row *out)
{
	out->id = query_int(q, 0);
	out->principal_id = query_int(q, 1);
	snprintf(out->principal, sizeof(out->principal), "%s", query_text(q, 2));
	snprintf(out->pattern, sizeof(out->pattern), "%s", query_text(q, 3));
	out->actions = (unsigned)query_int(q, 4);
	snprintf(out->origin, sizeof(out->origin), "%s", query_text(q, 5));
	out->created = query_int(q, 6);
	snprintf(out->who, sizeof(out->who), "%s", query_text(q, 7));
}

DEFINE_ROWS(row, struct grant_row, read_row)

int grant_list(struct db *db, grant_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_GRANTS " ORDER BY p.name, g.pattern", "");

	return r ? r : each_row(q, fn, arg, err);
}

int grant_list_of(struct db *db, int64_t principal_id, grant_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_GRANTS " WHERE g.principal_id = ? ORDER BY g.pattern", "i", principal_id);

	return r ? r : each_row(q, fn, arg, err);
}

int grant_list_subject(struct db *db, int64_t principal_id, grant_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_GRANTS " WHERE g.principal_id = ?1 OR g.principal_id IN"
				       " (SELECT group_id FROM member WHERE principal_id = ?1) ORDER BY g.pattern, p.name",
			 "i", principal_id);

	return r ? r : each_row(q, fn, arg, err);
}

int grant_list_pattern(struct db *db, const char *pattern, grant_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_GRANTS " WHERE g.pattern = ? ORDER BY p.name", "s", pattern);

	return r ? r : each_row(q, fn, arg, err);
}

int grant_list_behind(struct db *db, const char *pattern, int64_t after, grant_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_GRANTS " WHERE g.pattern = ? AND g.principal_id > ? ORDER BY g.principal_id", "si", pattern,
			 after);

	return r ? r : each_row(q, fn, arg, err);
}

int grant_count(struct db *db, int64_t principal_id, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT COUNT(*) FROM access_grant WHERE principal_id = ?", "i", principal_id);

	return MIN(r, 0);
}

int grant_get(struct db *db, int64_t principal_id, const char *pattern, struct grant_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_GRANTS " WHERE g.principal_id = ? AND g.pattern = ?", "is", principal_id,
			 pattern);

	return r ? r : one_row(q, out, err);
}

int grant_put(struct db *db, const struct grant_row *row, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO access_grant(principal_id, pattern, actions, origin, created, who)"
			   " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(principal_id, pattern) DO UPDATE SET"
			   " actions = excluded.actions, origin = excluded.origin, created = excluded.created,"
			   " who = excluded.who",
			   "isisis", row->principal_id, row->pattern, (int64_t)row->actions, row->origin, row->created,
			   row->who);

	return n < 0 ? (int)n : 0;
}

int64_t grant_delete(struct db *db, int64_t principal_id, const char *pattern, struct err *err)
{
	return db_run(db, err, "DELETE FROM access_grant WHERE principal_id = ? AND pattern = ?", "is", principal_id,
		      pattern);
}
