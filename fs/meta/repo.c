/* repo.c: rows of the table `repository`. */
#include "fs/base/base.h"
#include "fs/meta/repo.h"

#include "fs/meta/namespace.h"
#include "fs/meta/rows.h"

#define COLUMNS "id, parent_id, is_repository, on_purpose, listed, emptied, created, changed, name, public"

static void read_row(struct query *q, struct repo_row *out)
{
	out->id = query_int(q, 0);
	out->parent_id = query_int(q, 1);
	out->is_repository = query_int(q, 2);
	out->on_purpose = query_int(q, 3);
	out->listed = query_int(q, 4);
	out->emptied = query_int(q, 5);
	out->created = query_int(q, 6);
	out->changed = query_int(q, 7);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 8));
	out->public = query_int(q, 9);
}

DEFINE_ROWS(row, struct repo_row, read_row)

int repo_by_name(struct db *db, const char *name, struct repo_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM repository WHERE name = ?", "s", name);

	return r ? r : one_row(q, out, err);
}

int repo_by_id(struct db *db, int64_t id, struct repo_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM repository WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

/*
 * What a person sees: listed, or being pushed to (an upload goes on, or blobs wait for their image), or
 * with one such below it. Names below a are those between "a/" and "a0" ('0' comes after '/').
 */
#define SHOWN(r)                                                                              \
	"(" r ".listed = 1 OR EXISTS(SELECT 1 FROM upload u WHERE u.repository_id = " r ".id)"  \
	" OR (" r ".emptied = 0 AND EXISTS(SELECT 1 FROM repository_blob b"                     \
	" WHERE b.repository_id = " r ".id)))"
#define VISIBLE                                                                               \
	"(" SHOWN("r") " OR EXISTS(SELECT 1 FROM repository d WHERE d.listed = 1"               \
	"  AND d.name > r.name || '/' AND d.name < r.name || '0')"                            \
	" OR EXISTS(SELECT 1 FROM repository d WHERE d.name > r.name || '/'"                  \
	"  AND d.name < r.name || '0' AND " SHOWN("d") "))"

int repo_child(struct db *db, int64_t parent_id, const char *component, struct repo_row *out,
	       struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " COLUMNS " FROM repository r WHERE parent_id = ? AND component = ?"
			 " AND " VISIBLE,
			 "is", parent_id, component);

	return r ? r : one_row(q, out, err);
}

const char *repo_component(const struct repo_row *row)
{
	const char *slash = strrchr(row->name, '/');

	return slash ? slash + 1 : row->name;
}

int repo_children(struct db *db, int64_t parent_id, int64_t after_id, repo_row_fn *fn, void *arg,
		  struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " COLUMNS " FROM repository r WHERE parent_id = ? AND id > ?"
			 " AND " VISIBLE " ORDER BY id",
			 "ii", parent_id, after_id);

	return r ? r : each_row(q, fn, arg, err);
}

/* Of the index alone: the rows of neighbours by name may be anywhere in a large table. */
int repo_listed(struct db *db, const char *last, int64_t n, repo_name_fn *fn, void *arg,
		struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT name FROM repository"
			 " WHERE listed = 1 AND name > ? ORDER BY name LIMIT ?",
			 "si", last ? last : "", n);

	while (!r && (r = query_step(q, err)) > 0)
		r = fn(arg, query_text(q, 0));
	return r;
}

/* Each with the parameters after and end, of an index alone. */
static const char *const next_of[REPO_WHICH_COUNT] = {
	[REPO_ANY] = "SELECT name FROM repository WHERE name > ? AND name < ? AND is_repository = 1"
		     " ORDER BY name LIMIT 1",
	[REPO_PUBLIC] = "SELECT name FROM repository WHERE name > ? AND name < ? AND public = 1"
			" ORDER BY name LIMIT 1",
	[REPO_LISTED] = "SELECT name FROM repository WHERE name > ? AND name < ? AND listed = 1"
			" ORDER BY name LIMIT 1",
	[REPO_LISTED_PUBLIC] = "SELECT name FROM repository WHERE name > ? AND name < ?"
			       " AND public = 1 AND listed = 1 ORDER BY name LIMIT 1",
};

int repo_next(struct db *db, enum repo_which which, const char *after, const char *end,
	      char out[static LIMIT_NAME + 1], struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, next_of[which], "ss", after, end);

	if (!r)
		r = query_step(q, err);
	if (r > 0)
		snprintf(out, LIMIT_NAME + 1, "%s", query_text(q, 0));
	return r;
}

int repo_of_blob(struct db *db, int64_t blob_id, repo_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " COLUMNS " FROM repository WHERE id IN"
			 " (SELECT repository_id FROM repository_blob WHERE blob_id = ?)",
			 "i", blob_id);

	return r ? r : each_row(q, fn, arg, err);
}

static int insert(struct db *db, int64_t parent_id, const char *name, bool is_repository, int64_t now,
		  int64_t *id, struct err *err)
{
	const char *slash = strrchr(name, '/');
	bool public = false;
	int r = is_repository ? namespace_public(db, name, &public, err) : 0;

	if (!r)
		r = db_get_int(db, id, err,
			   "INSERT INTO repository(parent_id, component, name, is_repository, on_purpose,"
			   " listed, created, changed, public) VALUES (?, ?, ?, ?, 0, 0, ?5, ?5, ?6) RETURNING id",
			   "issiii", parent_id, slash ? slash + 1 : name, name, (int64_t)is_repository, now,
			   (int64_t)public);

	return MIN(r, 0);
}

/* The row of the namespace above `name`, made where missing: its id in *id, 0 at the top. */
static int ensure_parent(struct db *db, const char *name, int64_t now, int64_t *id, struct err *err)
{
	char path[LIMIT_NAME + 1];
	struct repo_row row;

	*id = 0;
	for (const char *p = strchr(name, '/'); p; p = strchr(p + 1, '/')) {
		int64_t parent = *id;
		int r;

		snprintf(path, sizeof(path), "%.*s", (int)(p - name), name);
		r = repo_by_name(db, path, &row, err);
		if (r > 0)
			*id = row.id;
		else if (r == 0)
			r = insert(db, parent, path, false, now, id, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A namespace becomes a repository; one that was emptied is being pushed to again. */
static int revive(struct db *db, struct repo_row *row, int64_t now, struct err *err)
{
	int64_t n;

	if (!row->is_repository) {
		int r = namespace_public(db, row->name, &row->public, err);

		if (r)
			return r;
		row->created = row->changed = now;
	}
	row->is_repository = true;
	row->emptied = false;
	n = db_run(db, err,
		   "UPDATE repository SET is_repository = 1, emptied = 0, created = ?, changed = ?, public = ?"
		   " WHERE id = ?",
		   "iiii", row->created, row->changed, (int64_t)row->public, row->id);
	return n < 0 ? (int)n : 0;
}

int repo_ensure(struct db *db, const char *name, int64_t now, struct repo_row *out, struct err *err)
{
	int64_t parent, id;
	int r = repo_by_name(db, name, out, err);

	if (r < 0 || (r > 0 && out->is_repository && !out->emptied))
		return MIN(r, 0);
	if (r > 0)
		return revive(db, out, now, err);
	r = ensure_parent(db, name, now, &parent, err);
	if (!r)
		r = insert(db, parent, name, true, now, &id, err);
	if (!r)
		r = repo_by_id(db, id, out, err);
	return MIN(r, 0);
}

int repo_touch(struct db *db, const char *name, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE repository SET changed = ? WHERE name = ?", "is", now, name);

	return n < 0 ? (int)n : 0;
}

int repo_set_public(struct db *db, int64_t id, bool public, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE repository SET public = ? WHERE id = ?", "ii", (int64_t)public, id);

	return n < 0 ? (int)n : 0;
}

int repo_set_on_purpose(struct db *db, int64_t id, bool on_purpose, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE repository SET on_purpose = ? WHERE id = ?", "ii",
			   (int64_t)on_purpose, id);

	return n < 0 ? (int)n : repo_settle(db, id, err);
}

/* A repository that is gone leaves its own settings to nobody, and no history to one that is made in its place. */
static int forget(struct db *db, const struct repo_row *row, struct err *err)
{
	int64_t n = db_run(db, err, "DELETE FROM tag_history WHERE repository_id = ?", "i", row->id);

	if (n >= 0)
		n = db_run(db, err, "DELETE FROM setting WHERE name = ? AND below = 0", "s", row->name);
	return n < 0 ? (int)n : 0;
}

/* What keeps a row: 1 if something does. */
static int holds_something(struct db *db, int64_t id, struct err *err)
{
	int64_t holds = 0;
	int r = db_get_int(db, &holds, err,
			   "SELECT EXISTS(SELECT 1 FROM repository_blob WHERE repository_id = ?1)"
			   " OR EXISTS(SELECT 1 FROM upload WHERE repository_id = ?1)",
			   "i", id);

	return r < 0 ? r : (int)holds;
}

static int has_children(struct db *db, int64_t id, struct err *err)
{
	int64_t has = 0;
	int r = db_get_int(db, &has, err, "SELECT EXISTS(SELECT 1 FROM repository WHERE parent_id = ?)",
			   "i", id);

	return r < 0 ? r : (int)has;
}

static int update_listed(struct db *db, int64_t id, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE repository SET listed = 1 - listed, emptied = listed WHERE id = ?1 AND listed <>"
			   " (on_purpose = 1 OR EXISTS(SELECT 1 FROM manifest WHERE repository_id = ?1))",
			   "i", id);

	return n < 0 ? (int)n : 0;
}

int repo_settle(struct db *db, int64_t id, struct err *err)
{
	int r = update_listed(db, id, err);
	struct repo_row row;

	while (!r && id) {
		int64_t n;

		r = repo_by_id(db, id, &row, err);
		if (r <= 0)
			return r;
		r = row.on_purpose ? 1 : holds_something(db, id, err);
		if (r)
			return MIN(r, 0);
		r = row.is_repository ? forget(db, &row, err) : 0;
		if (!r)
			r = has_children(db, id, err);
		if (r < 0)
			return r;
		n = r ? db_run(db, err, "UPDATE repository SET is_repository = 0, public = 0 WHERE id = ?", "i", id) :
			db_run(db, err, "DELETE FROM repository WHERE id = ?", "i", id);
		if (n < 0 || r)
			return (int)MIN(n, 0);
		id = row.parent_id;
		r = 0;
	}
	return r;
}

int repo_empty(struct db *db, int64_t id, struct err *err)
{
	static const char *const steps[] = {
		"DELETE FROM tag WHERE repository_id = ?",
		"DELETE FROM manifest_ref WHERE repository_id = ?",
		"DELETE FROM manifest WHERE repository_id = ?",
		"INSERT INTO doomed(digest, size) SELECT b.digest, b.size FROM repository_blob rb"
		" JOIN blob b ON b.id = rb.blob_id WHERE rb.repository_id = ?1 AND NOT EXISTS("
		" SELECT 1 FROM repository_blob o WHERE o.blob_id = b.id AND o.repository_id <> ?1)"
		" AND NOT EXISTS(SELECT 1 FROM removed_blob p WHERE p.blob_id = b.id)"
		" ON CONFLICT(digest) DO NOTHING",
		"DELETE FROM repository_blob WHERE repository_id = ?",
		"DELETE FROM upload WHERE repository_id = ?",
	};
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(steps); i++)
		n = db_run(db, err, steps[i], "i", id);
	if (n >= 0)
		n = db_run(db, err, "DELETE FROM blob WHERE digest IN (SELECT digest FROM doomed)", "");
	return n < 0 ? (int)n : 0;
}

int repo_sum(struct db *db, int64_t id, struct repo_sums *out, struct err *err)
{
	int r = db_get_int(db, &out->tags, err, "SELECT COUNT(*) FROM tag WHERE repository_id = ?", "i", id);

	if (r >= 0)
		r = db_get_int(db, &out->images, err,
			       "SELECT COUNT(*) FROM manifest WHERE repository_id = ?", "i", id);
	if (r >= 0)
		r = db_get_int(db, &out->blobs, err,
			       "SELECT COUNT(*) FROM repository_blob WHERE repository_id = ?", "i", id);
	if (r >= 0)
		r = db_get_int(db, &out->size, err,
			       "SELECT COALESCE(SUM(b.size), 0) FROM repository_blob rb"
			       " JOIN blob b ON b.id = rb.blob_id WHERE rb.repository_id = ?",
			       "i", id);
	return MIN(r, 0);
}
