/*
 * people.c: rows of the tables `principal`, `member` and `token`.
 */
#include "fs/base/base.h"
#include "fs/meta/people.h"

#include "fs/meta/rows.h"

#define COLUMNS "p.id, p.kind, p.name, p.password, p.administrator, p.disabled, p.expires, p.created"

static void read_row(struct query *q, struct principal_row *out)
{
	out->id = query_int(q, 0);
	out->kind = (enum principal_kind)query_int(q, 1);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 2));
	snprintf(out->password, sizeof(out->password), "%s", query_text(q, 3));
	out->administrator = query_int(q, 4);
	out->disabled = query_int(q, 5);
	out->expires = query_int(q, 6);
	out->created = query_int(q, 7);
}

DEFINE_ROWS(row, struct principal_row, read_row)

int principal_by_name(struct db *db, const char *name, struct principal_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM principal p WHERE name = ?", "s", name);

	return r ? r : one_row(q, out, err);
}

int principal_by_id(struct db *db, int64_t id, struct principal_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM principal p WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int principal_list(struct db *db, enum principal_kind kind, principal_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM principal p WHERE kind = ? ORDER BY name", "i",
			 (int64_t)kind);

	return r ? r : each_row(q, fn, arg, err);
}

int principal_other_administrators(struct db *db, int64_t id, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err,
			   "SELECT COUNT(*) FROM principal WHERE administrator = 1 AND disabled = 0 AND expires = 0"
			   " AND id <> ?",
			   "i", id);

	return MIN(r, 0);
}

/* No hash is NULL. */
static const char *password_of(const struct principal_row *row)
{
	return *row->password ? row->password : NULL;
}

int principal_insert(struct db *db, struct principal_row *row, struct err *err)
{
	int r = db_get_int(db, &row->id, err,
			   "INSERT INTO principal(kind, name, password, administrator, disabled, expires, created)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
			   "issiiii", (int64_t)row->kind, row->name, password_of(row), (int64_t)row->administrator,
			   (int64_t)row->disabled, row->expires, row->created);

	return MIN(r, 0);
}

int principal_update(struct db *db, const struct principal_row *row, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE principal SET password = ?, administrator = ?, disabled = ?, expires = ? WHERE id = ?",
			   "siiii", password_of(row), (int64_t)row->administrator, (int64_t)row->disabled, row->expires,
			   row->id);

	return n < 0 ? (int)n : 0;
}

int principal_delete(struct db *db, int64_t id, struct err *err)
{
	static const char *const steps[] = {
		"DELETE FROM member WHERE group_id = ?1 OR principal_id = ?1",
		"DELETE FROM token WHERE principal_id = ?",
		"DELETE FROM access_grant WHERE principal_id = ?",
		"DELETE FROM removal WHERE kind = 'revoke' AND id IN (SELECT g.removal_id FROM removed_grant g"
		" JOIN principal p ON p.name = g.principal WHERE p.id = ?)",
		"DELETE FROM principal WHERE id = ?",
	};
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(steps); i++)
		n = db_run(db, err, steps[i], "i", id);
	return n < 0 ? (int)n : 0;
}

/* ---- Groups ---- */

int member_list(struct db *db, int64_t group_id, principal_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " COLUMNS " FROM member m JOIN principal p ON p.id = m.principal_id"
			 " WHERE m.group_id = ? ORDER BY p.name",
			 "i", group_id);

	return r ? r : each_row(q, fn, arg, err);
}

int member_groups(struct db *db, int64_t principal_id, principal_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " COLUMNS " FROM member m JOIN principal p ON p.id = m.group_id"
			 " WHERE m.principal_id = ? ORDER BY p.name",
			 "i", principal_id);

	return r ? r : each_row(q, fn, arg, err);
}

int member_group_count(struct db *db, int64_t principal_id, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT COUNT(*) FROM member WHERE principal_id = ?", "i", principal_id);

	return MIN(r, 0);
}

int64_t member_insert(struct db *db, int64_t group_id, int64_t principal_id, struct err *err)
{
	return db_run(db, err,
		      "INSERT INTO member(group_id, principal_id) VALUES (?, ?) ON CONFLICT DO NOTHING", "ii",
		      group_id, principal_id);
}

int64_t member_delete(struct db *db, int64_t group_id, int64_t principal_id, struct err *err)
{
	return db_run(db, err, "DELETE FROM member WHERE group_id = ? AND principal_id = ?", "ii", group_id,
		      principal_id);
}

/* ---- Tokens ---- */

#define TOKEN_COLUMNS "id, principal_id, name, hash, scopes, created, expires, used"

static void read_token(struct query *q, struct token_row *out)
{
	out->id = query_int(q, 0);
	out->principal_id = query_int(q, 1);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 2));
	query_digest(q, 3, &out->hash);
	out->limited = !query_is_null(q, 4);
	out->scopes = out->limited ? query_text(q, 4) : NULL;
	out->created = query_int(q, 5);
	out->expires = query_int(q, 6);
	out->used = query_int(q, 7);
}

static int each_token(struct query *q, token_row_fn *fn, void *arg, struct err *err)
{
	struct token_row row;
	int r = 0;

	while (!r && (r = query_step(q, err)) > 0) {
		read_token(q, &row);
		r = fn(arg, &row);
	}
	return r;
}

int token_list(struct db *db, int64_t principal_id, token_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " TOKEN_COLUMNS " FROM token WHERE principal_id = ? ORDER BY name", "i",
			 principal_id);

	return r ? r : each_token(q, fn, arg, err);
}

int token_by_hash(struct db *db, const struct digest *hash, token_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " TOKEN_COLUMNS " FROM token WHERE hash = ?", "d", hash);

	return r ? r : each_token(q, fn, arg, err);
}

int token_insert(struct db *db, struct token_row *row, struct err *err)
{
	int r = db_get_int(db, &row->id, err,
			   "INSERT INTO token(principal_id, name, hash, scopes, created, expires)"
			   " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
			   "isdsii", row->principal_id, row->name, &row->hash, row->scopes, row->created, row->expires);

	return MIN(r, 0);
}

int64_t token_delete(struct db *db, int64_t principal_id, const char *name, struct err *err)
{
	return db_run(db, err, "DELETE FROM token WHERE principal_id = ? AND name = ?", "is", principal_id, name);
}

int token_touch(struct db *db, int64_t id, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE token SET used = ? WHERE id = ?", "ii", now, id);

	return n < 0 ? (int)n : 0;
}

/* ---- The generation ---- */

int access_changed(struct db *db, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE counter SET value = value + 1 WHERE name = 'access'", "");

	return n < 0 ? (int)n : 0;
}

int access_generation(struct db *db, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT value FROM counter WHERE name = 'access'", "");

	return MIN(r, 0);
}
