/* blob.c: rows of the tables `blob` and `repository_blob`. */
#include "fs/base/base.h"
#include "fs/meta/blob.h"

#include "fs/image/manifest.h"
#include "fs/meta/rows.h"

#define BLOB_ONLY "SELECT id, digest, size, created, bad, 0, 0, 0 FROM blob "
#define BLOB_LINKED \
	"SELECT b.id, b.digest, b.size, b.created, b.bad, rb.id, rb.repository_id, rb.linked" \
	" FROM repository_blob rb JOIN blob b ON b.id = rb.blob_id "

static void read_row(struct query *q, struct blob_row *out)
{
	out->id = query_int(q, 0);
	query_digest(q, 1, &out->digest);
	out->size = query_int(q, 2);
	out->created = query_int(q, 3);
	out->bad = query_int(q, 4);
	out->link_id = query_int(q, 5);
	out->repository_id = query_int(q, 6);
	out->linked = query_int(q, 7);
}

DEFINE_ROWS(row, struct blob_row, read_row)

int blob_by_id(struct db *db, int64_t id, struct blob_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_ONLY "WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int blob_by_digest(struct db *db, const struct digest *d, struct blob_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_ONLY "WHERE digest = ?", "d", d);

	return r ? r : one_row(q, out, err);
}

int blob_in_repo(struct db *db, int64_t repository_id, const struct digest *d, struct blob_row *out,
		 struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_LINKED "WHERE b.digest = ? AND rb.repository_id = ?", "di", d,
			 repository_id);

	return r ? r : one_row(q, out, err);
}

int blob_by_link(struct db *db, int64_t link_id, struct blob_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_LINKED "WHERE rb.id = ?", "i", link_id);

	return r ? r : one_row(q, out, err);
}

int blob_list(struct db *db, int64_t after_id, blob_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_ONLY "WHERE id > ? ORDER BY id", "i", after_id);

	return r ? r : each_row(q, fn, arg, err);
}

int blob_list_repo(struct db *db, int64_t repository_id, int64_t after_link_id, blob_row_fn *fn,
		   void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, BLOB_LINKED "WHERE rb.repository_id = ? AND rb.id > ? ORDER BY rb.id",
			 "ii", repository_id, after_link_id);

	return r ? r : each_row(q, fn, arg, err);
}

/*
 * _registry/blobs once; _blobs/ and _oci/blobs/ of each repository that holds it;
 * manifest.json of each image that it is, config.json of each whose config it is; _layers/ of
 * each repository where it is a layer.
 */
int blob_places(struct db *db, const struct blob_row *blob, int64_t *out, struct err *err)
{
	int r = db_get_int(
		db, out, err,
		"SELECT 1"
		" + 2 * (SELECT COUNT(*) FROM repository_blob WHERE blob_id = ?1)"
		" + (SELECT COUNT(*) FROM manifest WHERE blob_id = ?1)"
		" + (SELECT COUNT(*) FROM manifest m JOIN repository_blob rb"
		"    ON rb.repository_id = m.repository_id AND rb.blob_id = ?1 WHERE m.config = ?2)"
		" + (SELECT COUNT(*) FROM repository_blob rb WHERE rb.blob_id = ?1 AND EXISTS("
		"    SELECT 1 FROM manifest_ref f WHERE f.digest = ?2"
		"    AND f.repository_id = rb.repository_id AND f.role = ?3))",
		"idi", blob->id, &blob->digest, (int64_t)ROLE_LAYER);

	return MIN(r, 0);
}

/* The file is in its place when this is called: a blob that was bad is healed. */
int blob_ensure(struct db *db, const struct digest *d, int64_t size, int64_t now, int64_t *id,
		struct err *err)
{
	int64_t n;
	int r = db_get_int(db, id, err, "SELECT id FROM blob WHERE digest = ?", "d", d);

	if (!r)
		r = db_get_int(db, id, err,
			       "INSERT INTO blob(digest, size, created) VALUES (?, ?, ?) RETURNING id", "dii",
			       d, size, now);
	if (r < 0)
		return r;
	n = db_run(db, err, "UPDATE blob SET bad = 0 WHERE id = ? AND bad = 1", "i", *id);
	if (n >= 0)
		n = db_run(db, err, "DELETE FROM doomed WHERE digest = ?", "d", d);
	return n < 0 ? (int)n : 0;
}

/* A link made after a manifest that needs it (a layer that was not here when the manifest came) counts it. A child
 * may be a blob that is no image here: builders keep their caches so. */
int blob_link(struct db *db, int64_t repository_id, int64_t blob_id, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO repository_blob(repository_id, blob_id, linked, uses)"
			   " VALUES (?1, ?2, ?3, (SELECT COUNT(DISTINCT f.manifest_id) FROM manifest_ref f"
			   "  WHERE f.digest = (SELECT digest FROM blob WHERE id = ?2)"
			   "  AND f.repository_id = ?1 AND f.role IN (?4, ?5, ?6)) +"
			   " (SELECT COUNT(*) FROM manifest WHERE repository_id = ?1 AND blob_id = ?2))"
			   " ON CONFLICT(repository_id, blob_id) DO UPDATE SET linked = excluded.linked",
			   "iiiiii", repository_id, blob_id, now, (int64_t)ROLE_CONFIG, (int64_t)ROLE_LAYER,
			   (int64_t)ROLE_CHILD);

	return n < 0 ? (int)n : 0;
}

int blob_unlink(struct db *db, int64_t repository_id, int64_t blob_id, struct err *err)
{
	int64_t n = db_run(db, err,
			   "DELETE FROM repository_blob WHERE repository_id = ? AND blob_id = ?", "ii",
			   repository_id, blob_id);

	return n < 0 ? (int)n : blob_settle(db, blob_id, err);
}

int blob_settle(struct db *db, int64_t id, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO doomed(digest, size) SELECT digest, size FROM blob WHERE id = ?1"
			   " AND NOT EXISTS(SELECT 1 FROM repository_blob WHERE blob_id = ?1)"
			   " AND NOT EXISTS(SELECT 1 FROM removed_blob WHERE blob_id = ?1)"
			   " ON CONFLICT(digest) DO NOTHING",
			   "i", id);

	if (n > 0)
		n = db_run(db, err, "DELETE FROM blob WHERE id = ?", "i", id);
	return n < 0 ? (int)n : 0;
}

int blob_set_bad(struct db *db, const struct digest *d, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE blob SET bad = 1 WHERE digest = ?", "d", d);

	return n < 0 ? (int)n : 0;
}

int blob_renew(struct db *db, int64_t link_id, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE repository_blob SET linked = ? WHERE id = ? AND linked < ?",
			   "iii", now, link_id, now);

	return n < 0 ? (int)n : 0;
}
