/* namespace.c: rows of the table `namespace`. */
#include "fs/base/base.h"
#include "fs/meta/namespace.h"

#include "fs/base/limits.h"

static enum setting read_setting(struct query *q, int column)
{
	if (query_is_null(q, column))
		return SETTING_INHERIT;
	return query_int(q, column) ? SETTING_YES : SETTING_NO;
}

int namespace_get(struct db *db, const char *name, struct namespace_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT public, push_creates FROM namespace WHERE name = ?", "s", name);

	*out = (struct namespace_row){ SETTING_INHERIT, SETTING_INHERIT };
	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		out->public = read_setting(q, 0);
		out->push_creates = read_setting(q, 1);
	}
	return MIN(r, 0);
}

/* What the nearest of those above a repository says, of both settings. */
static int nearest(struct db *db, const char *repo, struct namespace_row *out, struct err *err)
{
	char path[LIMIT_NAME + 1];
	int r = 0;

	*out = (struct namespace_row){ SETTING_INHERIT, SETTING_INHERIT };
	snprintf(path, sizeof(path), "%s", repo);
	while (!r && *path && (out->public == SETTING_INHERIT || out->push_creates == SETTING_INHERIT)) {
		char *slash = strrchr(path, '/');
		struct namespace_row row;

		*(slash ? slash : path) = '\0';
		r = namespace_get(db, path, &row, err);
		if (out->public == SETTING_INHERIT)
			out->public = row.public;
		if (out->push_creates == SETTING_INHERIT)
			out->push_creates = row.push_creates;
	}
	return r;
}

int namespace_public(struct db *db, const char *repo, bool *out, struct err *err)
{
	struct namespace_row row;
	int r = nearest(db, repo, &row, err);

	*out = row.public == SETTING_YES;
	return r;
}

int namespace_push_creates(struct db *db, const char *repo, bool *out, struct err *err)
{
	struct namespace_row row;
	int r = nearest(db, repo, &row, err);

	*out = row.push_creates != SETTING_NO;
	return r;
}

/* As texts, of which NULL is nothing said. */
static int put(struct db *db, const char *name, const char *public, const char *push_creates, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO namespace(name, public, push_creates)"
			   " VALUES (?, CAST(? AS INTEGER), CAST(? AS INTEGER))"
			   " ON CONFLICT(name) DO UPDATE SET public = excluded.public, push_creates = excluded.push_creates",
			   "sss", name, public, push_creates);

	return n < 0 ? (int)n : 0;
}

int namespace_put(struct db *db, const char *name, const struct namespace_row *row, struct err *err)
{
	static const char *const values[] = { [SETTING_NO] = "0", [SETTING_YES] = "1", [SETTING_INHERIT] = NULL };
	int64_t n = 0;

	if (row->public != SETTING_INHERIT || row->push_creates != SETTING_INHERIT)
		return put(db, name, values[row->public], values[row->push_creates], err);
	n = db_run(db, err, "DELETE FROM namespace WHERE name = ?", "s", name);
	return n < 0 ? (int)n : 0;
}
