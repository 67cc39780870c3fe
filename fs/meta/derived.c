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
#define HELD "EXISTS(SELECT 1 FROM repository_blob WHERE blob_id = blob.id)"
#define TAGGED "EXISTS(SELECT 1 FROM tag WHERE manifest_id = manifest.id)"

static const struct {
	const char *text;
	const char *count;
	const char *repair[2];
} rules[] = {
	/* The first, for the count of uses follows from it. */
	{ "a repository doesn't hold the bytes of its image",
	  "SELECT COUNT(*) FROM manifest WHERE NOT EXISTS(SELECT 1 FROM repository_blob rb"
	  " WHERE rb.repository_id = manifest.repository_id AND rb.blob_id = manifest.blob_id)",
	  { "INSERT INTO repository_blob(repository_id, blob_id, linked, uses)"
	    " SELECT repository_id, blob_id, pushed, 1 FROM manifest WHERE true"
	    " ON CONFLICT(repository_id, blob_id) DO NOTHING" } },
	{ "the count of a blob's uses in a repository is wrong",
	  "SELECT COUNT(*) FROM repository_blob WHERE uses <> " USES,
	  { "UPDATE repository_blob SET uses = " USES " WHERE uses <> " USES } },
	{ "a repository is listed and shouldn't be, or isn't and should be",
	  "SELECT COUNT(*) FROM repository WHERE listed <> " LISTED,
	  { "UPDATE repository SET listed = 1 - listed WHERE listed <> " LISTED } },
	{ "an image that has a tag is said to have none, or the reverse",
	  "SELECT COUNT(*) FROM manifest WHERE (untagged = 0) <> " TAGGED,
	  { "UPDATE manifest SET untagged = CASE WHEN " TAGGED
	    " THEN 0 ELSE pushed END WHERE (untagged = 0) <> " TAGGED } },
	{ "a blob has a row although no repository holds it",
	  "SELECT COUNT(*) FROM blob WHERE NOT " HELD,
	  { "INSERT INTO doomed(digest, size) SELECT digest, size FROM blob WHERE NOT " HELD
	    " ON CONFLICT(digest) DO NOTHING",
	    "DELETE FROM blob WHERE NOT " HELD } },
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

int derived_repair(struct db *db, size_t rule, struct err *err)
{
	int64_t n = 0;

	for (size_t i = 0; n >= 0 && i < ARRAY_SIZE(rules[rule].repair) && rules[rule].repair[i]; i++)
		n = db_run(db, err, rules[rule].repair[i], "");
	return n < 0 ? (int)n : 0;
}
