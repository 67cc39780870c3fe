/* upload.c: rows of the table `upload`. */
#include "fs/base/base.h"
#include "fs/meta/upload.h"

#include "fs/meta/rows.h"

#define SELECT_UPLOAD "SELECT id, repository_id, algorithm, started, name FROM upload "

static void read_row(struct query *q, struct upload_row *out)
{
	out->id = query_int(q, 0);
	out->repository_id = query_int(q, 1);
	out->algorithm = (enum digest_algorithm)query_int(q, 2);
	out->started = query_int(q, 3);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 4));
}

DEFINE_ROWS(row, struct upload_row, read_row)

int upload_by_name(struct db *db, int64_t repository_id, const char *name, struct upload_row *out,
		   struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_UPLOAD "WHERE name = ? AND repository_id = ?", "si", name,
			 repository_id);

	return r ? r : one_row(q, out, err);
}

int upload_known(struct db *db, const char *name, struct err *err)
{
	int64_t known = 0;
	int r = db_get_int(db, &known, err, "SELECT EXISTS(SELECT 1 FROM upload WHERE name = ?)", "s", name);

	return r < 0 ? r : (int)known;
}

int upload_by_id(struct db *db, int64_t id, struct upload_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_UPLOAD "WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int upload_list(struct db *db, int64_t repository_id, int64_t after_id, upload_row_fn *fn, void *arg,
		struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_UPLOAD "WHERE repository_id = ? AND id > ? ORDER BY id",
			 "ii", repository_id, after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int upload_insert(struct db *db, const struct upload_row *row, const char *who, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO upload(name, repository_id, algorithm, started, who)"
			   " VALUES (?, ?, ?, ?, ?)",
			   "siiis", row->name, row->repository_id, (int64_t)row->algorithm, row->started,
			   who);

	return n < 0 ? (int)n : 0;
}

int upload_delete(struct db *db, const char *name, struct err *err)
{
	return (int)db_run(db, err, "DELETE FROM upload WHERE name = ?", "s", name);
}
