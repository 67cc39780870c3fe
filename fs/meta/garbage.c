/*
 * garbage.c: see garbage.h.
 *
 * `uses` counts the manifests that need a link; before a link goes, the manifests
 * themselves are asked as well: a wrong count may leave garbage, and never takes what is needed.
 */
#include "fs/base/base.h"
#include "fs/meta/garbage.h"

#include "fs/base/buf.h"
#include "fs/base/timestamp.h"
#include "fs/meta/blob.h"
#include "fs/meta/image.h"
#include "fs/meta/repo.h"

/* No manifest needs a link, but those left out;
 * 1 to 3 are ROLE_CONFIG, _LAYER, _CHILD. */
#define NOT_NEEDED(but_ref, but_image)                                                        \
	"NOT EXISTS(SELECT 1 FROM manifest_ref f WHERE f.digest = b.digest"                   \
	" AND f.repository_id = rb.repository_id AND f.role IN (1, 2, 3)" but_ref ")"         \
	" AND NOT EXISTS(SELECT 1 FROM manifest m WHERE m.repository_id = rb.repository_id"   \
	" AND m.blob_id = rb.blob_id" but_image ")"
#define UNNEEDED "rb.uses = 0 AND " NOT_NEEDED("", "")

/* How many images of each tag are kept. */
#define KEEP                                                                                  \
	"(SELECT COALESCE((SELECT CAST(value AS INTEGER) FROM setting WHERE name = ''"        \
	" AND below = 1 AND key = 'history-keep'), " HISTORY_KEEP_TEXT "))"
/* A tag of m's repository was removed, and can come back. */
#define REMOVED(what, but_past)                                                               \
	"EXISTS(SELECT 1 FROM repository xr CROSS JOIN removed_tag rt WHERE xr.id = m.repository_id" \
	" AND rt.repository = xr.name AND " what but_past ")"
/* It is among the last of them that a tag, which is there or can come back, has named. */
#define IN_HISTORY(but_past)                                                                  \
	"EXISTS(SELECT 1 FROM tag_history h WHERE h.repository_id = m.repository_id"          \
	" AND h.digest = b.digest AND h.latest = 1 AND (EXISTS(SELECT 1 FROM tag ht"          \
	"  WHERE ht.repository_id = h.repository_id AND ht.name = h.tag)"                     \
	"  OR " REMOVED("rt.name = h.tag", but_past) ")"                                      \
	" AND (SELECT COUNT(*) FROM (SELECT 1 FROM tag_history x"                             \
	"  WHERE x.repository_id = h.repository_id AND x.tag = h.tag AND x.latest = 1"        \
	"  AND x.number > h.number LIMIT " KEEP ")) < " KEEP ")"

/* No index or subject holds it; 3 and 4 are ROLE_CHILD, _SUBJECT. */
#define NOT_HELD(but_parent, but_subject)                                                     \
	"NOT EXISTS(SELECT 1 FROM manifest_ref f WHERE f.digest = b.digest"              \
	"  AND f.repository_id = m.repository_id AND f.role = 3" but_parent ")"               \
	" AND NOT EXISTS(SELECT 1 FROM manifest_ref s JOIN blob sb ON sb.digest = s.digest"   \
	"  JOIN manifest sm ON sm.blob_id = sb.id AND sm.repository_id = m.repository_id"     \
	"  WHERE s.manifest_id = m.id AND s.role = 4" but_subject ")"
/* Nor does a tag, or the history of one, or one that can come back. */
#define ORPHAN_IMAGE(but_parent, but_subject, but_past)                                       \
	"m.untagged > 0 AND m.untagged < ?1"                                                  \
	" AND NOT EXISTS(SELECT 1 FROM tag t WHERE t.manifest_id = m.id)"                     \
	" AND NOT " IN_HISTORY(but_past) " AND NOT " REMOVED("rt.digest = b.digest", but_past) \
	" AND " NOT_HELD(but_parent, but_subject)
/* A tagged image refers to it. */
#define IN_SUBJECT                                                                            \
	"EXISTS(SELECT 1 FROM manifest_ref r JOIN tag rt ON rt.manifest_id = r.manifest_id"   \
	" WHERE r.digest = b.digest AND r.repository_id = m.repository_id AND r.role = 4)"

_Static_assert(ROLE_CONFIG == 1 && ROLE_LAYER == 2 && ROLE_CHILD == 3 && ROLE_SUBJECT == 4,
	       "the macros above name them");

static int count_two(struct db *db, struct garbage_count *out, struct err *err, const char *sql,
		     const char *types, int64_t parameter)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, sql, types, parameter);

	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		out->count = query_int(q, 0);
		out->bytes = query_int(q, 1);
	}
	return MIN(r, 0);
}

int garbage_count_young(struct db *db, int64_t before, struct garbage_count *out, struct err *err)
{
	return count_two(db, out, err,
			 "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob WHERE id IN ("
			 "SELECT rb.blob_id FROM repository_blob rb JOIN blob b ON b.id = rb.blob_id"
			 " WHERE rb.linked >= ? AND " UNNEEDED ") AND NOT EXISTS("
			 "SELECT 1 FROM repository_blob o WHERE o.blob_id = blob.id AND o.uses > 0)",
			 "i", before);
}

/* ---- What would go: worked out in tables of this connection's own, that go with the transaction ---- */

/* What those that are gone held: their children, and what refers to them. */
#define HELD_BY_GONE                                                                          \
	"SELECT c.id AS id FROM gone g JOIN manifest_ref h ON h.manifest_id = g.id"           \
	" AND h.role = 3 JOIN blob cb ON cb.digest = h.digest"                                \
	" JOIN manifest c ON c.blob_id = cb.id AND c.repository_id = h.repository_id"         \
	" UNION SELECT h.manifest_id FROM gone g JOIN manifest i ON i.id = g.id"              \
	" JOIN blob ib ON ib.id = i.blob_id JOIN manifest_ref h ON h.digest = ib.digest"      \
	" AND h.repository_id = i.repository_id AND h.role = 4"

#define BUT_PAST " AND rt.removal_id NOT IN (SELECT id FROM past)"

static int predict_images(struct db *db, int64_t untagged, int64_t *out, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO gone(id) SELECT m.id FROM manifest m"
			   " JOIN blob b ON b.id = m.blob_id WHERE " ORPHAN_IMAGE("", "", BUT_PAST),
			   "i", untagged);

	for (*out = MAX(n, 0); n > 0; *out += MAX(n, 0))
		n = db_run(db, err,
			   "INSERT INTO gone(id) SELECT m.id FROM (" HELD_BY_GONE ") held"
			   " CROSS JOIN manifest m CROSS JOIN blob b"
			   " WHERE m.id = held.id AND b.id = m.blob_id AND m.id NOT IN (SELECT id FROM gone) AND "
			   ORPHAN_IMAGE(" AND f.manifest_id NOT IN (SELECT id FROM gone)",
					" AND sm.id NOT IN (SELECT id FROM gone)", BUT_PAST),
			   "i", untagged);
	return (int)MIN(n, 0);
}

#define BUT_GONE                                                                              \
	NOT_NEEDED(" AND f.manifest_id NOT IN (SELECT id FROM gone)",                         \
		   " AND m.id NOT IN (SELECT id FROM gone)")

/* Links that nothing needs; the gone images' own bytes; what they name. CROSS JOIN: from the small
 * table on. */
static int predict_links(struct db *db, int64_t before, int64_t *out, struct err *err)
{
	static const char *const steps[] = {
		"INSERT INTO going(id, blob_id) SELECT rb.id, rb.blob_id FROM repository_blob rb"
		" JOIN blob b ON b.id = rb.blob_id WHERE rb.linked < ? AND " UNNEEDED,
		"INSERT INTO going(id, blob_id) SELECT rb.id, rb.blob_id FROM gone g CROSS JOIN manifest i"
		" CROSS JOIN blob b CROSS JOIN repository_blob rb WHERE i.id = g.id AND b.id = i.blob_id"
		" AND rb.repository_id = i.repository_id AND rb.blob_id = b.id AND rb.linked < ?"
		" AND " BUT_GONE " ON CONFLICT(id) DO NOTHING",
		"INSERT INTO going(id, blob_id) SELECT rb.id, rb.blob_id FROM gone g CROSS JOIN manifest_ref r"
		" CROSS JOIN blob b CROSS JOIN repository_blob rb WHERE r.manifest_id = g.id"
		" AND r.role IN (1, 2, 3) AND b.digest = r.digest AND rb.repository_id = r.repository_id"
		" AND rb.blob_id = b.id AND rb.linked < ? AND " BUT_GONE " ON CONFLICT(id) DO NOTHING",
	};
	int64_t n = 0;

	*out = 0;
	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(steps); i++) {
		n = db_run(db, err, steps[i], "i", before);
		*out += MAX(n, 0);
	}
	return (int)MIN(n, 0);
}

static int predict_removals(struct db *db, int64_t removed, int64_t *out, struct err *err)
{
	int64_t n = db_run(db, err, "INSERT INTO past(id) SELECT id FROM removal WHERE until <= ? OR at <= ?", "ii",
			   timestamp_now(), removed);

	*out = MAX(n, 0);
	return (int)MIN(n, 0);
}

int garbage_predict(struct db *db, int64_t untagged, int64_t before, int64_t removed, struct garbage_prediction *out,
		    struct err *err)
{
	struct garbage_count doomed = { 0 };
	int r = db_exec(db,
			"CREATE TEMP TABLE past(id INTEGER PRIMARY KEY);"
			"CREATE TEMP TABLE gone(id INTEGER PRIMARY KEY);"
			"CREATE TEMP TABLE going(id INTEGER PRIMARY KEY, blob_id INTEGER NOT NULL);",
			err);

	memset(out, 0, sizeof(*out));
	if (!r)
		r = predict_removals(db, removed, &out->removals, err);
	if (!r && untagged)
		r = predict_images(db, untagged, &out->images, err);
	if (!r)
		r = predict_links(db, before, &out->links, err);
	if (!r)
		r = count_two(db, &out->blobs, err,
			      "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blob"
			      " WHERE id IN (SELECT blob_id FROM going UNION SELECT p.blob_id FROM removed_blob p"
			      " WHERE p.removal_id IN (SELECT id FROM past)) AND NOT EXISTS(SELECT 1"
			      " FROM repository_blob o WHERE o.blob_id = blob.id"
			      " AND o.id NOT IN (SELECT id FROM going)) AND NOT EXISTS(SELECT 1 FROM removed_blob p"
			      " WHERE p.blob_id = blob.id AND p.removal_id NOT IN (SELECT id FROM past))",
			      "", 0);
	if (!r)
		r = count_two(db, &doomed, err, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM doomed", "",
			      0);
	out->blobs.count += doomed.count;
	out->blobs.bytes += doomed.bytes;
	return r;
}

/* What a batch takes, read before anything is changed: a query must not run over what it changes. */
struct victim {
	int64_t id;		/* of the blob */
	int64_t repository_id;
	struct digest digest;
};

static int collect(struct query *q, struct buf *out, struct err *err)
{
	struct victim v = { 0 };
	int r;

	while ((r = query_step(q, err)) > 0) {
		v.id = query_int(q, 0);
		v.repository_id = query_int(q, 1);
		buf_add(out, &v, sizeof(v));
	}
	return r ? r : buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int garbage_images(struct db *db, int64_t before, int64_t limit, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT m.id FROM manifest m JOIN blob b ON b.id = m.blob_id WHERE "
			 ORPHAN_IMAGE("", "", "") " LIMIT ?2",
			 "ii", before, limit);

	while (!r && (r = query_step(q, err)) > 0) {
		int64_t id = query_int(q, 0);

		buf_add(out, &id, sizeof(id));
		r = buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	}
	return r;
}

/* 1 if it is still an orphan. */
static int find_orphan(struct db *db, int64_t id, int64_t before, struct victim *v, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT m.repository_id, b.digest FROM manifest m JOIN blob b ON b.id = m.blob_id"
			 " WHERE m.id = ?2 AND " ORPHAN_IMAGE("", "", ""),
			 "ii", before, id);

	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		v->repository_id = query_int(q, 0);
		query_digest(q, 1, &v->digest);
	}
	return r;
}

int garbage_is_orphan(struct db *db, int64_t id, int64_t before, struct err *err)
{
	int64_t is = 0;
	int r = db_get_int(db, &is, err,
			   "SELECT 1 FROM manifest m JOIN blob b ON b.id = m.blob_id WHERE m.id = ?2 AND NOT " IN_SUBJECT
			   " AND " ORPHAN_IMAGE("", "", " AND 0"),
			   "ii", before, id);

	return r < 0 ? r : (int)is;
}

int garbage_is_held(struct db *db, int64_t id, struct err *err)
{
	int64_t is = 0;
	int r = db_get_int(db, &is, err,
			   "SELECT 1 FROM manifest m JOIN blob b ON b.id = m.blob_id WHERE m.id = ? AND (" IN_SUBJECT
			   " OR NOT (" NOT_HELD("", "") "))",
			   "i", id);

	return r < 0 ? r : (int)is;
}

int garbage_held_by(struct db *db, int64_t id, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT c.id FROM manifest_ref h JOIN blob cb ON cb.digest = h.digest"
			 " JOIN manifest c ON c.blob_id = cb.id AND c.repository_id = h.repository_id"
			 " WHERE h.manifest_id = ?1 AND h.role = 3"
			 " UNION SELECT h.manifest_id FROM manifest i JOIN blob ib ON ib.id = i.blob_id"
			 " JOIN manifest_ref h ON h.digest = ib.digest AND h.repository_id = i.repository_id"
			 " WHERE i.id = ?1 AND h.role = 4",
			 "i", id);

	while (!r && (r = query_step(q, err)) > 0) {
		int64_t held = query_int(q, 0);

		buf_add(out, &held, sizeof(held));
		r = buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	}
	return r;
}

int garbage_image(struct db *db, int64_t id, int64_t before, garbage_image_fn *fn, void *arg,
		  struct err *err)
{
	struct repo_row repo;
	struct victim v;
	int r = find_orphan(db, id, before, &v, err);

	if (r > 0)
		r = repo_by_id(db, v.repository_id, &repo, err);
	if (r <= 0)
		return r;
	r = fn(arg, repo.name, &v.digest);
	if (!r)
		r = image_delete(db, id, err);
	if (!r)
		r = repo_settle(db, v.repository_id, err);
	return r ? r : 1;
}

int garbage_links(struct db *db, int64_t before, int64_t limit, int64_t *taken, struct err *err)
{
	auto_query struct query *q = NULL;
	auto_buf struct buf batch = BUF_INIT;
	struct victim v;
	int r = db_query(db, &q, err,
			 "SELECT rb.blob_id, rb.repository_id FROM repository_blob rb"
			 " JOIN blob b ON b.id = rb.blob_id WHERE rb.linked < ? AND " UNNEEDED
			 " ORDER BY rb.linked LIMIT ?",
			 "ii", before, limit);

	*taken = 0;
	if (!r)
		r = collect(q, &batch, err);
	for (size_t at = 0; !r && at < batch.len; at += sizeof(v), ++*taken) {
		memcpy(&v, batch.data + at, sizeof(v));
		r = blob_unlink(db, v.repository_id, v.id, err);
		if (!r)
			r = repo_settle(db, v.repository_id, err);
	}
	return r;
}

/* One doomed digest: 1, and whether it has a row again, or 0. */
static int first_doomed(struct db *db, struct digest *digest, int64_t *size, bool *alive,
			struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT d.digest, d.size, b.id FROM doomed d"
			 " LEFT JOIN blob b ON b.digest = d.digest LIMIT 1",
			 "");

	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		query_digest(q, 0, digest);
		*size = query_int(q, 1);
		*alive = !query_is_null(q, 2);
	}
	return r;
}

int garbage_doomed(struct db *db, int64_t limit, garbage_blob_fn *fn, void *arg, int64_t *taken,
		   struct err *err)
{
	struct digest digest;
	int64_t size, n;
	bool alive;
	int r = 0;

	for (*taken = 0; !r && *taken < limit; ++*taken) {
		r = first_doomed(db, &digest, &size, &alive, err);
		if (r <= 0)
			return r;
		r = alive ? 0 : fn(arg, &digest, size);
		if (r)
			return r;
		n = db_run(db, err, "DELETE FROM doomed WHERE digest = ?", "d", &digest);
		r = n < 0 ? (int)n : 0;
	}
	return r;
}

int garbage_doom(struct db *db, const struct digest *digest, int64_t size, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO doomed(digest, size) SELECT ?1, ?2 WHERE NOT EXISTS("
			   "SELECT 1 FROM blob WHERE digest = ?1) ON CONFLICT(digest) DO NOTHING",
			   "di", digest, size);

	return n < 0 ? (int)n : 0;
}

int garbage_is_doomed(struct db *db, const struct digest *digest, struct err *err)
{
	int64_t is = 0;
	int r = db_get_int(db, &is, err, "SELECT EXISTS(SELECT 1 FROM doomed WHERE digest = ?)", "d",
			   digest);

	return r < 0 ? r : (int)is;
}

int garbage_count_uploads(struct db *db, int64_t since, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT COUNT(*) FROM upload WHERE started >= ?", "i", since);

	return MIN(r, 0);
}

int garbage_uploads(struct db *db, int64_t before, int64_t after, garbage_upload_fn *fn, void *arg,
		    struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT id, repository_id, name FROM upload WHERE started < ? AND id > ?"
			 " ORDER BY id",
			 "ii", before, after);

	while (!r && (r = query_step(q, err)) > 0)
		r = fn(arg, query_int(q, 0), query_int(q, 1), query_text(q, 2));
	return r;
}
