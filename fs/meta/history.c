/* history.c: rows of the table `tag_history`. */
#include "fs/base/base.h"
#include "fs/meta/history.h"

#include "fs/meta/rows.h"

#define SELECT_ENTRY                                                                           \
	"SELECT id, repository_id, number, tag, digest, at, event, who, origin,"               \
	" removed, removed_event, removed_who, removed_origin FROM tag_history "

static void read_deed(struct query *q, int column, struct history_deed *out)
{
	out->at = query_int(q, column);
	out->event = query_int(q, column + 1);
	snprintf(out->who, sizeof(out->who), "%s", query_text(q, column + 2));
	snprintf(out->origin, sizeof(out->origin), "%s", query_text(q, column + 3));
}

static void read_row(struct query *q, struct history_row *out)
{
	out->id = query_int(q, 0);
	out->repository_id = query_int(q, 1);
	out->number = query_int(q, 2);
	snprintf(out->tag, sizeof(out->tag), "%s", query_text(q, 3));
	query_digest(q, 4, &out->digest);
	read_deed(q, 5, &out->named);
	read_deed(q, 9, &out->removed);
}

DEFINE_ROWS(row, struct history_row, read_row)

int history_by_id(struct db *db, int64_t id, struct history_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ENTRY "WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int history_at(struct db *db, int64_t repository_id, const char *tag, int64_t number, struct history_row *out,
	       struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ENTRY "WHERE repository_id = ? AND tag = ? AND number = ?", "isi",
			 repository_id, tag, number);

	return r ? r : one_row(q, out, err);
}

int history_last(struct db *db, int64_t repository_id, const char *tag, struct history_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ENTRY "WHERE repository_id = ? AND tag = ? ORDER BY number DESC LIMIT 1",
			 "is", repository_id, tag);

	return r ? r : one_row(q, out, err);
}

int history_before(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest,
		   struct history_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_ENTRY "WHERE repository_id = ? AND tag = ? AND latest = 1 AND digest <> ?"
				      " ORDER BY number DESC LIMIT 1",
			 "isd", repository_id, tag, digest);

	return r ? r : one_row(q, out, err);
}

int history_list(struct db *db, int64_t repository_id, const char *tag, int64_t after, history_row_fn *fn, void *arg,
		 struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_ENTRY "WHERE repository_id = ? AND tag = ? AND number > ? ORDER BY number", "isi",
			 repository_id, tag, after);

	return r ? r : each_row(q, fn, arg, err);
}

int history_list_all(struct db *db, int64_t repository_id, const char *after_tag, int64_t after, history_row_fn *fn, void *arg,
		     struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_ENTRY "WHERE repository_id = ? AND (tag, number) > (?, ?) ORDER BY tag, number", "isi",
			 repository_id, after_tag, after);

	return r ? r : each_row(q, fn, arg, err);
}

int history_tags(struct db *db, int64_t repository_id, int64_t after_id, history_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ENTRY "WHERE repository_id = ? AND number = 1 AND id > ? ORDER BY id",
			 "ii", repository_id, after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int history_add(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest,
		const struct history_deed *named, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE tag_history SET latest = 0"
			   " WHERE repository_id = ? AND digest = ? AND tag = ? AND latest = 1",
			   "ids", repository_id, digest, tag);

	if (n >= 0)
		n = db_run(db, err,
			   "INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin)"
			   " SELECT ?1, ?2, COALESCE(MAX(number), 0) + 1, ?3, 1, ?4, ?5, ?6, ?7 FROM tag_history"
			   " WHERE repository_id = ?1 AND tag = ?2",
			   "isdiiss", repository_id, tag, digest, named->at, named->event, named->who, named->origin);
	return n < 0 ? (int)n : 0;
}

int history_keep_place(struct db *db, int64_t repository_id, const char *tag, const struct digest *digest, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE tag_history SET place = (SELECT COALESCE(p.place, p.event) FROM tag_history p"
			   " WHERE p.repository_id = ?1 AND p.digest = ?2 AND p.tag = ?3 AND p.number < tag_history.number"
			   " ORDER BY p.number DESC LIMIT 1)"
			   " WHERE repository_id = ?1 AND tag = ?3 AND number ="
			   " (SELECT MAX(number) FROM tag_history WHERE repository_id = ?1 AND tag = ?3)",
			   "ids", repository_id, digest, tag);

	return n < 0 ? (int)n : 0;
}

int history_end(struct db *db, int64_t repository_id, const char *tag, const struct history_deed *removed,
		struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE tag_history SET removed = ?3, removed_event = ?4, removed_who = ?5, removed_origin = ?6"
			   " WHERE repository_id = ?1 AND tag = ?2 AND number ="
			   " (SELECT MAX(number) FROM tag_history WHERE repository_id = ?1 AND tag = ?2)",
			   "isiiss", repository_id, tag, removed->at, removed->event, removed->who, removed->origin);

	return n < 0 ? (int)n : 0;
}
