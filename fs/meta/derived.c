/* derived.c: see derived.h. */
#include "fs/base/base.h"
#include "fs/meta/derived.h"

#include "fs/image/manifest.h"

_Static_assert(ROLE_CONFIG == 1 && ROLE_LAYER == 2 && ROLE_CHILD == 3, "USES names them");

#define USES                                                                                  \
	"((SELECT COUNT(DISTINCT f.manifest_id) FROM manifest_ref f JOIN blob b"              \
	" ON b.id = repository_blob.blob_id WHERE f.digest = b.digest"                        \
	" AND f.repository_id = repository_blob.repository_id AND f.role IN (1, 2, 3)) +"     \
	" (SELECT COUNT(*) FROM manifest m WHERE m.repository_id = repository_blob.repository_id" \
	" AND m.blob_id = repository_blob.blob_id))"
#define LISTED                                                                                \
	"(on_purpose = 1 OR EXISTS(SELECT 1 FROM manifest WHERE repository_id = repository.id))"
#define HELD                                                                                  \
	"(EXISTS(SELECT 1 FROM repository_blob WHERE blob_id = blob.id)"                      \
	" OR EXISTS(SELECT 1 FROM removed_blob WHERE blob_id = blob.id))"
#define TAGGED "EXISTS(SELECT 1 FROM tag WHERE manifest_id = manifest.id)"

#define BYTES_HELD                                                                            \
	"EXISTS(SELECT 1 FROM repository_blob rb WHERE rb.repository_id = manifest.repository_id" \
	" AND rb.blob_id = manifest.blob_id)"

#define LATEST                                                                                \
	"NOT EXISTS(SELECT 1 FROM tag_history x WHERE x.repository_id = tag_history.repository_id" \
	" AND x.digest = tag_history.digest AND x.tag = tag_history.tag AND x.number > tag_history.number)"
#define NAMED "(SELECT b.digest FROM manifest m JOIN blob b ON b.id = m.blob_id WHERE m.id = tag.manifest_id)"
#define IN_HISTORY                                                                            \
	NAMED " IS (SELECT h.digest FROM tag_history h WHERE h.repository_id = tag.repository_id" \
	" AND h.tag = tag.name ORDER BY h.number DESC LIMIT 1)"

#define COUNTED                                                                               \
	"(SELECT quota.bytes = c.bytes AND quota.tags = c.tags AND c.repositories ="          \
	"  (SELECT COUNT(*) FROM quota_holder WHERE quota_id = quota.id AND holder > 0) AND (c.holders, c.bytes) ="   \
	"  (SELECT COALESCE(SUM(holders), 0), COALESCE(SUM(size), 0) FROM quota_blob WHERE quota_id = quota.id)" \
	" FROM quota_counted c WHERE c.id = quota.id)"

/* The repair takes the row's id, and looks again where the row may have become right meanwhile. */
#define RULE(says, table, wrong, ...)                                                         \
	{                                                                                     \
		says, "SELECT COUNT(*) FROM " table " WHERE " wrong,                          \
			"SELECT id FROM " table " WHERE id > ? AND " wrong " ORDER BY id LIMIT ?", \
			{ __VA_ARGS__ }                                                       \
	}

static const struct {
	const char *text;
	const char *count;
	const char *find;
	const char *repair[2];
} rules[] = {
	/* The first, for the count of uses follows from it. */
	RULE("a repository doesn't hold the bytes of its image", "manifest", "NOT " BYTES_HELD,
	     "INSERT INTO repository_blob(repository_id, blob_id, linked, uses)"
	     " SELECT repository_id, blob_id, pushed, 1 FROM manifest WHERE id = ?1"
	     " ON CONFLICT(repository_id, blob_id) DO NOTHING"),
	RULE("the count of a blob's uses in a repository is wrong", "repository_blob", "uses <> " USES,
	     "UPDATE repository_blob SET uses = " USES " WHERE id = ?1"),
	RULE("a repository is listed and shouldn't be, or isn't and should be", "repository",
	     "listed <> " LISTED,
	     "UPDATE repository SET listed = 1 - listed WHERE id = ?1 AND listed <> " LISTED),
	RULE("an image that has a tag is said to have none, or the reverse", "manifest",
	     "(untagged = 0) <> " TAGGED,
	     "UPDATE manifest SET untagged = CASE WHEN " TAGGED
	     " THEN 0 ELSE pushed END WHERE id = ?1 AND (untagged = 0) <> " TAGGED),
	RULE("a tag's history doesn't end with what the tag names", "tag", "NOT (" IN_HISTORY ")",
	     "INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin)"
	     " SELECT repository_id, name, 1 + COALESCE((SELECT MAX(h.number) FROM tag_history h"
	     "  WHERE h.repository_id = tag.repository_id AND h.tag = tag.name), 0), " NAMED ", 1, moved, 0, '', ''"
	     " FROM tag WHERE id = ?1 AND NOT (" IN_HISTORY ")"),
	RULE("a tag's history says wrongly which entry is an image's last", "tag_history", "latest <> " LATEST,
	     "UPDATE tag_history SET latest = " LATEST " WHERE id = ?1"),
	RULE("what a quota says is used isn't what is there", "quota", "NOT " COUNTED,
	     "UPDATE quota SET counted = counted + 1 WHERE id = ?1 AND NOT " COUNTED),
	RULE("a blob has a row although no repository holds it, and nothing that can be brought back", "blob", "NOT " HELD,
	     "INSERT INTO doomed(digest, size) SELECT digest, size FROM blob WHERE id = ?1 AND NOT " HELD
	     " ON CONFLICT(digest) DO NOTHING",
	     "DELETE FROM blob WHERE id = ?1 AND NOT " HELD),
};

const size_t derived_rules = ARRAY_SIZE(rules);

const char *derived_text(size_t rule)
{
	return rules[rule].text;
}

int derived_count(struct db *db, size_t rule, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, rules[rule].count, "");

	return MIN(r, 0);
}

int derived_find(struct db *db, size_t rule, int64_t after, size_t limit, int64_t *ids, size_t *count,
		 struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, rules[rule].find, "ii", after, (int64_t)limit);

	*count = 0;
	while (!r && (r = query_step(q, err)) > 0) {
		ids[(*count)++] = query_int(q, 0);
		r = 0;
	}
	return r;
}

int derived_repair(struct db *db, size_t rule, int64_t id, struct err *err)
{
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(rules[rule].repair) && rules[rule].repair[i]; i++)
		n = db_run(db, err, rules[rule].repair[i], "i", id);
	return n < 0 ? (int)n : 0;
}
