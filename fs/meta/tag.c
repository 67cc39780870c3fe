/* tag.c: rows of the table `tag`. */
#include "fs/base/base.h"
#include "fs/meta/tag.h"

#include "fs/meta/rows.h"

#define TAG_COLUMNS "t.id, t.repository_id, t.manifest_id, b.digest, t.moved, t.name, t.expires, t.own_end"
#define TAG_TABLES " FROM tag t JOIN manifest m ON m.id = t.manifest_id JOIN blob b ON b.id = m.blob_id "
#define SELECT_TAG "SELECT " TAG_COLUMNS TAG_TABLES

static void read_row(struct query *q, struct tag_row *out)
{
	out->id = query_int(q, 0);
	out->repository_id = query_int(q, 1);
	out->manifest_id = query_int(q, 2);
	query_digest(q, 3, &out->digest);
	out->moved = query_int(q, 4);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 5));
	out->expires = query_int(q, 6);
	out->own_end = query_int(q, 7) != 0;
}

DEFINE_ROWS(row, struct tag_row, read_row)

int tag_by_name(struct db *db, int64_t repository_id, const char *name, struct tag_row *out,
		struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_TAG "WHERE t.repository_id = ? AND t.name = ?", "is",
			 repository_id, name);

	return r ? r : one_row(q, out, err);
}

int tag_by_id(struct db *db, int64_t id, struct tag_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_TAG "WHERE t.id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int tag_list(struct db *db, int64_t repository_id, const char *last, int64_t n, tag_row_fn *fn,
	     void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_TAG "WHERE t.repository_id = ? AND t.name > ? ORDER BY t.name LIMIT ?",
			 "isi", repository_id, last ? last : "", n);

	return r ? r : each_row(q, fn, arg, err);
}

/* Of the index alone: the rows of neighbours by name may be anywhere in a large table. */
int tag_names(struct db *db, int64_t repository_id, const char *last, int64_t n, tag_name_fn *fn,
	      void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT name FROM tag WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?",
			 "isi", repository_id, last ? last : "", n);

	while (!r && (r = query_step(q, err)) > 0)
		r = fn(arg, query_text(q, 0));
	return r;
}

int tag_list_by_id(struct db *db, int64_t repository_id, int64_t after_id, tag_row_fn *fn, void *arg,
		   struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_TAG "WHERE t.repository_id = ? AND t.id > ? ORDER BY t.id", "ii",
			 repository_id, after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int tag_list_of(struct db *db, int64_t manifest_id, int64_t after_id, tag_row_fn *fn, void *arg,
		struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_TAG "WHERE t.manifest_id = ? AND t.id > ? ORDER BY t.id", "ii", manifest_id,
			 after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int tag_list_of_digest(struct db *db, int64_t repository_id, const struct digest *d, int64_t after_id,
		       tag_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_TAG "WHERE b.digest = ?1 AND (?2 = 0 OR t.repository_id = ?2)"
				    " AND t.id > ?3 ORDER BY t.id",
			 "dii", d, repository_id, after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int tag_list_uses(struct db *db, int64_t repository_id, tag_use_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT " TAG_COLUMNS ", m.pulled, m.size, (SELECT COALESCE(h.place, h.event) FROM tag_history h"
			 " WHERE h.repository_id = t.repository_id AND h.tag = t.name ORDER BY h.number DESC LIMIT 1)"
			 TAG_TABLES "WHERE t.repository_id = ? ORDER BY t.name",
			 "i", repository_id);

	while (!r && (r = query_step(q, err)) > 0) {
		struct tag_use use = { .pulled = query_int(q, 8), .size = query_int(q, 9), .order = query_int(q, 10) };

		read_row(q, &use.tag);
		r = fn(arg, &use);
	}
	return r;
}

int tag_ends_before(struct db *db, int64_t repository_id, int64_t at, struct err *err)
{
	int64_t is = 0;
	int r = db_get_int(db, &is, err,
			   "SELECT EXISTS(SELECT 1 FROM tag WHERE repository_id = ? AND expires > 0 AND expires <= ?)", "ii",
			   repository_id, at);

	return r < 0 ? r : (int)is;
}

int tag_names_image(struct db *db, int64_t manifest_id, struct err *err)
{
	int64_t is = 0;
	int r = db_get_int(db, &is, err, "SELECT EXISTS(SELECT 1 FROM tag WHERE manifest_id = ?)", "i", manifest_id);

	return r < 0 ? r : (int)is;
}

/* Notes since when no tag names an image, or that one does. */
static int note_untagged(struct db *db, int64_t manifest_id, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE manifest SET untagged = CASE WHEN EXISTS("
			   "SELECT 1 FROM tag WHERE manifest_id = ?1) THEN 0 ELSE ?2 END WHERE id = ?1",
			   "ii", manifest_id, now);

	return n < 0 ? (int)n : 0;
}

static int insert_tag(struct db *db, int64_t repository_id, const char *name, int64_t manifest_id,
		      int64_t now, int64_t *id, struct err *err)
{
	int r = db_get_int(db, id, err,
			   "INSERT INTO tag(repository_id, name, manifest_id, moved)"
			   " VALUES (?, ?, ?, ?) RETURNING id",
			   "isii", repository_id, name, manifest_id, now);

	return r < 0 ? r : note_untagged(db, manifest_id, now, err);
}

int tag_put(struct db *db, int64_t repository_id, const char *name, int64_t manifest_id, int64_t now,
	    int64_t *id, bool *changed, struct err *err)
{
	struct tag_row row;
	int64_t n;
	int r = tag_by_name(db, repository_id, name, &row, err);

	if (r < 0)
		return r;
	*changed = !r || row.manifest_id != manifest_id;
	if (!r)
		return insert_tag(db, repository_id, name, manifest_id, now, id, err);
	*id = row.id;
	if (!*changed)
		return 0;
	n = db_run(db, err, "UPDATE tag SET manifest_id = ?, moved = ? WHERE id = ?", "iii", manifest_id,
		   now, row.id);
	r = n < 0 ? (int)n : note_untagged(db, manifest_id, now, err);
	return r ? r : note_untagged(db, row.manifest_id, now, err);
}

int tag_set_end(struct db *db, int64_t id, int64_t expires, bool own, bool only_label, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE tag SET expires = ?2, own_end = ?3 WHERE id = ?1 AND (expires <> ?2 OR own_end <> ?3)"
			   " AND (?4 = 0 OR own_end = 0)",
			   "iiii", id, expires, (int64_t)own, (int64_t)only_label);

	return n < 0 ? (int)n : 0;
}

int tag_delete(struct db *db, const struct tag_row *row, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err, "DELETE FROM tag WHERE id = ?", "i", row->id);

	return n < 0 ? (int)n : note_untagged(db, row->manifest_id, now, err);
}
