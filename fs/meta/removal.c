/* removal.c: rows of the tables `removal` and `removed_*`. */
#include "fs/base/base.h"
#include "fs/meta/removal.h"

#include "fs/base/buf.h"
#include "fs/meta/blob.h"
#include "fs/meta/rows.h"

#define SELECT_REMOVAL                                                                         \
	"SELECT id, until, kind, repository, tag, digest, at, event, who, origin, public, on_purpose, created FROM removal "

static void read_row(struct query *q, struct removal_row *out)
{
	out->id = query_int(q, 0);
	out->until = query_int(q, 1);
	snprintf(out->kind, sizeof(out->kind), "%s", query_text(q, 2));
	snprintf(out->repository, sizeof(out->repository), "%s", query_text(q, 3));
	snprintf(out->tag, sizeof(out->tag), "%s", query_text(q, 4));
	query_digest(q, 5, &out->digest);
	out->deed.at = query_int(q, 6);
	out->deed.event = query_int(q, 7);
	snprintf(out->deed.who, sizeof(out->deed.who), "%s", query_text(q, 8));
	snprintf(out->deed.origin, sizeof(out->deed.origin), "%s", query_text(q, 9));
	out->public = query_int(q, 10);
	out->on_purpose = query_int(q, 11);
	out->created = query_int(q, 12);
}

DEFINE_ROWS(row, struct removal_row, read_row)

static void read_tag(struct query *q, struct removal_tag *out)
{
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 0));
	query_digest(q, 1, &out->digest);
	out->expires = query_int(q, 2);
	out->own_end = query_int(q, 3);
}

int removal_by_id(struct db *db, int64_t id, struct removal_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_REMOVAL "WHERE id = ?", "i", id);

	return r ? r : one_row(q, out, err);
}

int removal_list(struct db *db, const struct removal_page *page, removal_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_REMOVAL "WHERE id < ?1 AND id >= (SELECT id FROM removal WHERE event >= ?2 ORDER BY event, id LIMIT 1)"
			 " AND (?3 IS NULL OR repository = ?3) AND (?4 IS NULL OR who = ?4) ORDER BY id DESC LIMIT ?5",
			 "iissi", page->before, page->since, page->repo, page->who, page->limit);

	return r ? r : each_row(q, fn, arg, err);
}

int removal_tags(struct db *db, int64_t id, removal_tag_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT name, digest, expires, own_end FROM removed_tag WHERE removal_id = ? ORDER BY id", "i", id);

	struct removal_tag tag;

	while (!r && (r = query_step(q, err)) > 0) {
		read_tag(q, &tag);
		r = fn(arg, &tag);
	}
	return r;
}

int removal_add(struct db *db, const struct removal_row *row, int64_t *id, struct err *err)
{
	int r = db_get_int(db, id, err,
			   "INSERT INTO removal(until, kind, repository, tag, digest, at, event, who, origin, public, on_purpose, created)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
			   "isssdiissiii", row->until, row->kind, row->repository, row->tag, &row->digest, row->deed.at,
			   row->deed.event, row->deed.who, row->deed.origin, (int64_t)row->public, (int64_t)row->on_purpose,
			   row->created);

	return MIN(r, 0);
}

/* Each statement has the removal's number and another one. */
static int run_all(struct db *db, const char *const *steps, size_t count, int64_t a, int64_t b, struct err *err)
{
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < count; i++)
		n = db_run(db, err, steps[i], "ii", a, b);
	return (int)MIN(n, 0);
}

int removal_add_tag(struct db *db, int64_t id, const struct tag_row *tag, struct err *err)
{
	int64_t n = db_run(db, err, "INSERT INTO removed_tag(removal_id, name, digest, moved, expires, own_end, repository)"
			    " SELECT id, ?2, ?3, ?4, ?5, ?6, repository FROM removal WHERE id = ?1",
			   "isdiii", id, tag->name, &tag->digest, tag->moved, tag->expires, (int64_t)tag->own_end);

	return (int)MIN(n, 0);
}

int removal_add_grant(struct db *db, int64_t id, const struct grant_row *g, struct err *err)
{
	int64_t n = db_run(db, err,
			   "INSERT INTO removed_grant(removal_id, principal, pattern, actions, origin, created, who)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?)",
			   "issisis", id, g->principal, g->pattern, (int64_t)g->actions, g->origin, g->created, g->who);

	return (int)MIN(n, 0);
}

int removal_grant(struct db *db, int64_t id, struct grant_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT principal, pattern, actions, origin, created, who FROM removed_grant WHERE removal_id = ?",
			 "i", id);

	if (!r)
		r = query_step(q, err);
	if (r <= 0)
		return r;
	*out = (struct grant_row){ .actions = (unsigned)query_int(q, 2), .created = query_int(q, 4) };
	snprintf(out->principal, sizeof(out->principal), "%s", query_text(q, 0));
	snprintf(out->pattern, sizeof(out->pattern), "%s", query_text(q, 1));
	snprintf(out->origin, sizeof(out->origin), "%s", query_text(q, 3));
	snprintf(out->who, sizeof(out->who), "%s", query_text(q, 5));
	return 1;
}

#define ADD_IMAGES(which)                                                                      \
	"INSERT INTO removed_tag(removal_id, name, digest, moved, expires, own_end, repository)" \
	" SELECT ?1, t.name, b.digest, t.moved, t.expires, t.own_end, (SELECT repository FROM removal WHERE id = ?1) FROM tag t" \
	" JOIN manifest m ON m.id = t.manifest_id JOIN blob b ON b.id = m.blob_id WHERE " which " ORDER BY t.id", \
	"INSERT INTO removed_manifest(removal_id, old_id, blob_id, is_index, media_type, artifact_type, config, platform, size," \
	" created, pushed, pulled, expires) SELECT ?1, m.id, blob_id, is_index, media_type, artifact_type, config, platform, size," \
	" created, pushed, pulled, expires"                                                    \
	" FROM manifest m WHERE " which " ORDER BY m.id",                                      \
	"INSERT INTO removed_ref(removal_id, old_id, role, position, digest, size, media_type, platform)" \
	" SELECT ?1, f.manifest_id, f.role, f.position, f.digest, f.size, f.media_type, f.platform FROM manifest_ref f" \
	" JOIN manifest m ON m.id = f.manifest_id WHERE " which " ORDER BY f.id",              \
	"INSERT INTO removed_blob(removal_id, blob_id) SELECT ?1, m.blob_id FROM manifest m WHERE " which " UNION" \
	" SELECT ?1, b.id FROM manifest m JOIN manifest_ref f ON f.manifest_id = m.id AND f.role IN (1, 2, 3)" \
	" JOIN blob b ON b.digest = f.digest JOIN repository_blob rb ON rb.blob_id = b.id"     \
	" AND rb.repository_id = m.repository_id WHERE " which

int removal_add_image(struct db *db, int64_t id, int64_t manifest_id, struct err *err)
{
	static const char *const steps[] = { ADD_IMAGES("m.id = ?2") };

	return run_all(db, steps, ARRAY_SIZE(steps), id, manifest_id, err);
}

int removal_add_repo(struct db *db, int64_t id, const struct repo_row *repo, struct err *err)
{
	static const char *const steps[] = {
		ADD_IMAGES("m.repository_id = ?2"),
		"INSERT INTO removed_history SELECT ?1, tag, number, digest, latest, at, event, who, origin, removed, removed_event,"
		" removed_who, removed_origin, place FROM tag_history WHERE repository_id = ?2",
		"INSERT INTO removed_setting SELECT ?1, s.key, s.value FROM setting s JOIN repository r ON r.id = ?2"
		" AND s.name = r.name AND s.below = 0",
	};

	return run_all(db, steps, ARRAY_SIZE(steps), id, repo->id, err);
}

int removal_restore_images(struct db *db, int64_t id, int64_t repository_id, int64_t now, struct err *err)
{
	/* The first two know nothing of links' counts: the last says what they are. */
	static const char *const steps[] = {
		"INSERT INTO manifest(repository_id, blob_id, is_index, media_type, artifact_type, config, platform, size, created,"
		" pushed, untagged, pulled, expires) SELECT ?2, blob_id, is_index, media_type, artifact_type, config, platform, size,"
		" created, pushed, ?3, pulled, expires"
		" FROM removed_manifest WHERE removal_id = ?1 ORDER BY old_id ON CONFLICT(repository_id, blob_id) DO NOTHING",
		"INSERT INTO manifest_ref(manifest_id, repository_id, role, position, digest, size, media_type, platform)"
		" SELECT m.id, ?2, f.role, f.position, f.digest, f.size, f.media_type, f.platform FROM removed_ref f"
		" JOIN removed_manifest o ON o.removal_id = f.removal_id AND o.old_id = f.old_id"
		" JOIN manifest m ON m.repository_id = ?2 AND m.blob_id = o.blob_id WHERE f.removal_id = ?1 AND ?3 > 0"
		" ORDER BY f.old_id, f.role, f.position ON CONFLICT(manifest_id, role, position) DO NOTHING",
		"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) SELECT ?2, blob_id, ?3, 0 FROM removed_blob"
		" WHERE removal_id = ?1 ON CONFLICT(repository_id, blob_id) DO UPDATE SET linked = excluded.linked",
		"UPDATE repository_blob SET uses = (SELECT COUNT(DISTINCT f.manifest_id) FROM manifest_ref f"
		"  WHERE f.digest = (SELECT digest FROM blob WHERE id = repository_blob.blob_id) AND f.repository_id = ?2"
		"  AND f.role IN (1, 2, 3)) + (SELECT COUNT(*) FROM manifest WHERE repository_id = ?2"
		"  AND blob_id = repository_blob.blob_id)"
		" WHERE repository_id = ?2 AND blob_id IN (SELECT blob_id FROM removed_blob WHERE removal_id = ?1) AND ?3 > 0",
	};
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(steps); i++)
		n = db_run(db, err, steps[i], "iii", id, repository_id, now);
	return n < 0 ? (int)n : repo_settle(db, repository_id, err);
}

int removal_restore_repo(struct db *db, int64_t id, const struct repo_row *repo, struct err *err)
{
	static const char *const steps[] = {
		"INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin, removed, removed_event,"
		" removed_who, removed_origin, place) SELECT ?2, tag, number, digest, latest, at, event, who, origin, removed, removed_event,"
		" removed_who, removed_origin, place FROM removed_history WHERE removal_id = ?1 ORDER BY tag, number"
		" ON CONFLICT(repository_id, tag, number) DO NOTHING",
		"INSERT INTO setting(name, below, key, value) SELECT r.name, 0, s.key, s.value FROM removed_setting s"
		" JOIN repository r ON r.id = ?2 WHERE s.removal_id = ?1 ON CONFLICT(name, below, key) DO NOTHING",
		"INSERT INTO tag(repository_id, name, manifest_id, moved, expires, own_end)"
		" SELECT ?2, t.name, m.id, t.moved, t.expires, t.own_end FROM removed_tag t"
		" JOIN blob b ON b.digest = t.digest JOIN manifest m ON m.blob_id = b.id AND m.repository_id = ?2"
		" WHERE t.removal_id = ?1 ORDER BY t.id",
		"UPDATE manifest SET untagged = 0 WHERE repository_id = ?2 AND ?1 > 0 AND EXISTS("
		"SELECT 1 FROM tag WHERE manifest_id = manifest.id)",
	};

	return run_all(db, steps, ARRAY_SIZE(steps), id, repo->id, err);
}

static int collect_pins(struct db *db, int64_t id, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT blob_id FROM removed_blob WHERE removal_id = ?", "i", id);

	while (!r && (r = query_step(q, err)) > 0) {
		int64_t blob = query_int(q, 0);

		buf_add(out, &blob, sizeof(blob));
		r = 0;
	}
	return r ? r : buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int removal_delete(struct db *db, int64_t id, struct err *err)
{
	auto_buf struct buf pins = BUF_INIT;
	int r = collect_pins(db, id, &pins, err);

	if (!r)
		r = (int)MIN(0, db_run(db, err, "DELETE FROM removal WHERE id = ?", "i", id));
	for (size_t at = 0; !r && at < pins.len; at += sizeof(int64_t)) {
		int64_t blob;

		memcpy(&blob, pins.data + at, sizeof(blob));
		r = blob_settle(db, blob, err);
	}
	return r;
}

int removal_expire(struct db *db, int64_t now, int64_t before, int64_t limit, int64_t *taken, struct err *err)
{
	int64_t id;
	int r = 0;

	for (*taken = 0; !r && *taken < limit; ++*taken) {
		r = db_get_int(db, &id, err, "SELECT id FROM removal WHERE until <= ? OR at <= ? LIMIT 1", "ii", now, before);
		if (r <= 0)
			return r;
		r = removal_delete(db, id, err);
	}
	return r;
}
