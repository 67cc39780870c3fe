/* image.c: rows of the tables `manifest` and `manifest_ref`. */
#include "fs/base/base.h"
#include "fs/meta/image.h"

#include "fs/meta/rows.h"

#define SELECT_IMAGE \
	"SELECT m.id, m.repository_id, m.blob_id, b.digest, b.size, m.is_index, m.config, m.size," \
	" m.created, m.pushed, m.media_type, m.artifact_type, m.platform, m.pulled, m.expires" \
	" FROM manifest m JOIN blob b ON b.id = m.blob_id "
#define SELECT_REF \
	"SELECT id, manifest_id, repository_id, role, position, digest, size, media_type, platform" \
	" FROM manifest_ref "

static void read_image(struct query *q, struct image_row *out)
{
	out->id = query_int(q, 0);
	out->repository_id = query_int(q, 1);
	out->blob_id = query_int(q, 2);
	query_digest(q, 3, &out->digest);
	out->bytes = query_int(q, 4);
	out->is_index = query_int(q, 5);
	query_digest(q, 6, &out->config);
	out->size = query_int(q, 7);
	out->created = query_int(q, 8);
	out->pushed = query_int(q, 9);
	snprintf(out->media_type, sizeof(out->media_type), "%s", query_text(q, 10));
	snprintf(out->artifact_type, sizeof(out->artifact_type), "%s", query_text(q, 11));
	snprintf(out->platform, sizeof(out->platform), "%s", query_text(q, 12));
	out->pulled = query_int(q, 13);
	snprintf(out->expires, sizeof(out->expires), "%s", query_text(q, 14));
}

DEFINE_ROWS(image, struct image_row, read_image)

int image_by_id(struct db *db, int64_t id, struct image_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_IMAGE "WHERE m.id = ?", "i", id);

	return r ? r : one_image(q, out, err);
}

int image_by_digest(struct db *db, int64_t repository_id, const struct digest *d,
		    struct image_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_IMAGE "WHERE b.digest = ? AND m.repository_id = ?", "di", d,
			 repository_id);

	return r ? r : one_image(q, out, err);
}

int image_by_tag(struct db *db, int64_t repository_id, const char *tag, struct image_row *out,
		 struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_IMAGE "JOIN tag t ON t.manifest_id = m.id"
				      " WHERE t.repository_id = ? AND t.name = ?",
			 "is", repository_id, tag);

	return r ? r : one_image(q, out, err);
}

int image_list(struct db *db, int64_t repository_id, int64_t after_id, image_row_fn *fn, void *arg,
	       struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_IMAGE "WHERE m.repository_id = ? AND m.id > ? ORDER BY m.id", "ii",
			 repository_id, after_id);

	return r ? r : each_image(q, fn, arg, err);
}

int image_list_of_digest(struct db *db, const struct digest *d, image_row_fn *fn, void *arg,
			 struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_IMAGE "WHERE b.digest = ? ORDER BY m.id", "d", d);

	return r ? r : each_image(q, fn, arg, err);
}

/* ---- What manifests name ---- */

static void read_ref(struct query *q, struct ref_row *out)
{
	out->id = query_int(q, 0);
	out->manifest_id = query_int(q, 1);
	out->repository_id = query_int(q, 2);
	out->role = (enum manifest_role)query_int(q, 3);
	out->position = (int)query_int(q, 4);
	query_digest(q, 5, &out->digest);
	out->size = query_int(q, 6);
	snprintf(out->media_type, sizeof(out->media_type), "%s", query_text(q, 7));
	snprintf(out->platform, sizeof(out->platform), "%s", query_text(q, 8));
}

DEFINE_ROWS(ref, struct ref_row, read_ref)

int ref_list(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t first,
	     ref_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_REF "WHERE manifest_id = ? AND role = ? AND position >= ? ORDER BY position",
			 "iii", manifest_id, (int64_t)role, first);

	return r ? r : each_ref(q, fn, arg, err);
}

int ref_count(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t *out,
	      struct err *err)
{
	int r = db_get_int(db, out, err,
			   "SELECT COUNT(*) FROM manifest_ref WHERE manifest_id = ? AND role = ?", "ii",
			   manifest_id, (int64_t)role);

	return MIN(r, 0);
}

int ref_at(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t position,
	   struct ref_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_REF "WHERE manifest_id = ? AND role = ? AND position = ?",
			 "iii", manifest_id, (int64_t)role, position);

	return r ? r : one_ref(q, out, err);
}

int ref_by_id(struct db *db, int64_t id, struct ref_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_REF "WHERE id = ?", "i", id);

	return r ? r : one_ref(q, out, err);
}

int ref_users(struct db *db, int64_t repository_id, const struct digest *d, enum manifest_role role,
	      int64_t after_id, ref_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_REF "WHERE digest = ?1 AND (?2 = 0 OR repository_id = ?2)"
				    " AND (?3 = 0 OR role = ?3) AND id > ?4 AND NOT EXISTS("
				    " SELECT 1 FROM manifest_ref e WHERE e.digest = ?1"
				    " AND e.repository_id = manifest_ref.repository_id"
				    " AND (?3 = 0 OR e.role = ?3)"
				    " AND e.manifest_id = manifest_ref.manifest_id"
				    " AND e.id < manifest_ref.id) ORDER BY id",
			 "diii", d, repository_id, (int64_t)role, after_id);

	return r ? r : each_ref(q, fn, arg, err);
}

int ref_user(struct db *db, int64_t manifest_id, const struct digest *d, enum manifest_role role,
	     struct ref_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_REF "WHERE manifest_id = ?1 AND digest = ?2"
				    " AND (?3 = 0 OR role = ?3) ORDER BY id LIMIT 1",
			 "idi", manifest_id, d, (int64_t)role);

	return r ? r : one_ref(q, out, err);
}

int ref_by_platform(struct db *db, int64_t manifest_id, const char *platform, struct ref_row *out,
		    struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_REF "WHERE manifest_id = ? AND role = ?"
				    " AND REPLACE(platform, '/', '-') = ? ORDER BY position LIMIT 1",
			 "iis", manifest_id, (int64_t)ROLE_CHILD, platform);

	return r ? r : one_ref(q, out, err);
}

int ref_exists(struct db *db, int64_t repository_id, const struct digest *d, enum manifest_role role,
	       struct err *err)
{
	int64_t found = 0;
	int r = db_get_int(db, &found, err,
			   "SELECT EXISTS(SELECT 1 FROM manifest_ref WHERE digest = ?1"
			   " AND repository_id = ?2 AND (?3 = 0 OR role = ?3))",
			   "dii", d, repository_id, (int64_t)role);

	return r < 0 ? r : (int)found;
}

static int insert_ref(struct db *db, const struct image_row *row, const struct descriptor *d,
		      struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO manifest_ref(manifest_id, repository_id, role, position, digest,"
			   " size, media_type, platform) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			   "iiiidiss", row->id, row->repository_id, (int64_t)d->role, (int64_t)d->position,
			   &d->digest, d->size, d->media_type, d->platform ? d->platform : "");

	return n < 0 ? (int)n : 0;
}

/* Counts a manifest, by +1 or -1, among the uses of its own blob, its config, layers and children. */
static int count_uses(struct db *db, int64_t manifest_id, int64_t by, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE repository_blob SET uses = uses + ?1"
			   " WHERE repository_id = (SELECT repository_id FROM manifest WHERE id = ?2)"
			   " AND blob_id IN (SELECT blob_id FROM manifest WHERE id = ?2 UNION"
			   " SELECT b.id FROM manifest_ref f JOIN blob b ON b.digest = f.digest"
			   " WHERE f.manifest_id = ?2 AND f.role IN (?3, ?4, ?5))",
			   "iiiii", by, manifest_id, (int64_t)ROLE_CONFIG, (int64_t)ROLE_LAYER,
			   (int64_t)ROLE_CHILD);

	return n < 0 ? (int)n : 0;
}

int image_insert(struct db *db, struct image_row *row, const struct manifest *m, struct err *err)
{
	int r = db_get_int(db, &row->id, err,
			   "INSERT INTO manifest(repository_id, blob_id, is_index, media_type,"
			   " artifact_type, config, platform, size, created, pushed, untagged, expires)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
			   "iiissdsiiiis", row->repository_id, row->blob_id, (int64_t)row->is_index,
			   row->media_type, row->artifact_type, &row->config, row->platform, row->size,
			   row->created, row->pushed, row->pushed, row->expires);

	for (size_t i = 0; r >= 0 && i < m->ref_count; i++)
		r = insert_ref(db, row, &m->refs[i], err);
	return r < 0 ? r : count_uses(db, row->id, 1, err);
}

int image_renew(struct db *db, int64_t id, int64_t now, const char *expires, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE manifest SET untagged = ? WHERE id = ? AND untagged > 0", "ii",
			   now, id);

	/* One that was pushed before labels were looked at. */
	if (n >= 0)
		n = db_run(db, err, "UPDATE manifest SET expires = ?1 WHERE id = ?2 AND expires <> ?1", "si", expires, id);
	return n < 0 ? (int)n : 0;
}

int image_pulled(struct db *db, const char *repo, const struct digest *d, int64_t at, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE manifest SET pulled = ?1 WHERE pulled < ?1"
			   " AND repository_id = (SELECT id FROM repository WHERE name = ?2)"
			   " AND blob_id = (SELECT id FROM blob WHERE digest = ?3)",
			   "isd", at, repo, d);

	return n < 0 ? (int)n : 0;
}

int image_delete(struct db *db, int64_t id, struct err *err)
{
	int64_t n = count_uses(db, id, -1, err);

	if (n >= 0)
		n = db_run(db, err, "DELETE FROM tag WHERE manifest_id = ?", "i", id);
	if (n >= 0)
		n = db_run(db, err, "DELETE FROM manifest_ref WHERE manifest_id = ?", "i", id);
	if (n >= 0)
		n = db_run(db, err, "DELETE FROM manifest WHERE id = ?", "i", id);
	return n < 0 ? (int)n : 0;
}
