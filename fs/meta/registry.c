/* registry.c: see registry.h. */
#include "fs/base/base.h"
#include "fs/meta/registry.h"

int registry_created(struct db *db, int64_t *out, struct err *err)
{
	int r = db_get_int(db, out, err, "SELECT value FROM registry WHERE name = 'created'", "");

	*out *= INT64_C(1000000000);
	return MIN(r, 0);
}

int registry_count(struct db *db, struct registry_counts *out, struct err *err)
{
	static const struct {
		const char *sql;
		size_t offset;
	} counts[] = {
		{ "SELECT COUNT(*) FROM repository WHERE listed = 1",
		  offsetof(struct registry_counts, repositories) },
		{ "SELECT COUNT(*) FROM tag", offsetof(struct registry_counts, tags) },
		{ "SELECT COUNT(*) FROM manifest", offsetof(struct registry_counts, images) },
		{ "SELECT COUNT(*) FROM blob", offsetof(struct registry_counts, blobs) },
		{ "SELECT COALESCE(SUM(size), 0) FROM blob", offsetof(struct registry_counts, blob_bytes) },
		{ "SELECT COUNT(*) FROM upload", offsetof(struct registry_counts, uploads) },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(counts); i++)
		r = db_get_int(db, (int64_t *)(void *)((char *)out + counts[i].offset), err,
			       counts[i].sql, "");
	return MIN(r, 0);
}
