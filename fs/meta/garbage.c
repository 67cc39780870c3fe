/*
 * garbage.c: see garbage.h.
 *
 * `uses` counts the manifests that need a link; before a link goes, the manifests
 * themselves are asked as well: a wrong count may leave garbage, and never takes what is needed.
 */
#include "fs/base/base.h"
#include "fs/meta/garbage.h"

#include "fs/base/buf.h"
#include "fs/meta/blob.h"
#include "fs/meta/image.h"
#include "fs/meta/repo.h"

/* A link that nothing needs; 1 and 2 are ROLE_CONFIG and ROLE_LAYER. */
#define UNNEEDED                                                                              \
	"rb.uses = 0 AND NOT EXISTS(SELECT 1 FROM manifest_ref f WHERE f.digest = b.digest"   \
	" AND f.repository_id = rb.repository_id AND f.role IN (1, 2))"                       \
	" AND NOT EXISTS(SELECT 1 FROM manifest m WHERE m.repository_id = rb.repository_id"   \
	" AND m.blob_id = rb.blob_id)"

_Static_assert(ROLE_CONFIG == 1 && ROLE_LAYER == 2, "UNNEEDED names them");

static int count_two(struct query *q, struct garbage_count *out, struct err *err)
{
	int r = query_step(q, err);

	if (r > 0) {
		out->count = query_int(q, 0);
		out->bytes = query_int(q, 1);
	}
	return MIN(r, 0);
}

int garbage_unused(struct db *db, int64_t before, struct garbage_count *young,
		   struct garbage_count *old, struct err *err)
{
	auto_query struct query *q = NULL, *p = NULL;
	int r = db_query(db, &q, err,
			 "SELECT COUNT(*), COALESCE(SUM(b.size), 0) FROM repository_blob rb"
			 " JOIN blob b ON b.id = rb.blob_id WHERE rb.linked >= ? AND " UNNEEDED,
			 "i", before);

	if (!r)
		r = count_two(q, young, err);
	if (!r)
		r = db_query(db, &p, err,
			     "SELECT COUNT(*), COALESCE(SUM(b.size), 0) FROM repository_blob rb"
			     " JOIN blob b ON b.id = rb.blob_id WHERE rb.linked < ? AND " UNNEEDED,
			     "i", before);
	return r ? r : count_two(p, old, err);
}

#define ORPHAN_IMAGE                                                                          \
	"m.untagged > 0 AND m.untagged < ?1"                                                  \
	" AND NOT EXISTS(SELECT 1 FROM tag t WHERE t.manifest_id = m.id)"                     \
	" AND NOT EXISTS(SELECT 1 FROM manifest_ref f WHERE f.digest = b.digest"              \
	"  AND f.repository_id = m.repository_id AND f.role = 3)"                             \
	" AND NOT EXISTS(SELECT 1 FROM manifest_ref s JOIN blob sb ON sb.digest = s.digest"   \
	"  JOIN manifest sm ON sm.blob_id = sb.id AND sm.repository_id = m.repository_id"     \
	"  WHERE s.manifest_id = m.id AND s.role = 4)"

_Static_assert(ROLE_CHILD == 3 && ROLE_SUBJECT == 4, "ORPHAN_IMAGE names them");

int garbage_count_images(struct db *db, int64_t before, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err,
			   "SELECT COUNT(*) FROM manifest m JOIN blob b ON b.id = m.blob_id"
			   " WHERE " ORPHAN_IMAGE,
			   "i", before);

	return MIN(r, 0);
}

int garbage_count_doomed(struct db *db, struct garbage_count *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM doomed", "");

	return r ? r : count_two(q, out, err);
}

/* What a batch takes, read before anything is changed: a query must not run over what it changes. */
struct victim {
	int64_t id;		/* of the image, or of the blob */
	int64_t repository_id;
	struct digest digest;
};

static int collect(struct query *q, struct buf *out, struct err *err)
{
	struct victim v;
	int r;

	while ((r = query_step(q, err)) > 0) {
		v.id = query_int(q, 0);
		v.repository_id = query_int(q, 1);
		query_digest(q, 2, &v.digest);
		buf_add(out, &v, sizeof(v));
	}
	return r ? r : buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int remove_image(struct db *db, const struct victim *v, garbage_image_fn *fn, void *arg,
			struct err *err)
{
	struct repo_row repo;
	int r = repo_by_id(db, v->repository_id, &repo, err);

	if (r <= 0)
		return r;
	r = fn(arg, repo.name, &v->digest);
	if (!r)
		r = image_delete(db, v->id, err);
	return r ? r : repo_settle(db, v->repository_id, err);
}

int garbage_images(struct db *db, int64_t before, int64_t limit, garbage_image_fn *fn, void *arg,
		   int64_t *taken, struct err *err)
{
	auto_query struct query *q = NULL;
	auto_buf struct buf batch = BUF_INIT;
	struct victim v;
	int r = db_query(db, &q, err,
			 "SELECT m.id, m.repository_id, b.digest FROM manifest m"
			 " JOIN blob b ON b.id = m.blob_id WHERE " ORPHAN_IMAGE " LIMIT ?2",
			 "ii", before, limit);

	*taken = 0;
	if (!r)
		r = collect(q, &batch, err);
	for (size_t at = 0; !r && at < batch.len; at += sizeof(v), ++*taken) {
		memcpy(&v, batch.data + at, sizeof(v));
		r = remove_image(db, &v, fn, arg, err);
	}
	return r;
}

int garbage_links(struct db *db, int64_t before, int64_t limit, int64_t *taken, struct err *err)
{
	auto_query struct query *q = NULL;
	auto_buf struct buf batch = BUF_INIT;
	struct victim v;
	int r = db_query(db, &q, err,
			 "SELECT rb.blob_id, rb.repository_id, NULL FROM repository_blob rb"
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
