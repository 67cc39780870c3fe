/* settings.c: rows of the table `setting`. */
#include "fs/base/base.h"
#include "fs/meta/settings.h"

#include "fs/base/limits.h"

int settings_get(struct db *db, struct settings_of of, const char *key, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT value FROM setting WHERE name = ? AND below = ? AND key = ?", "sis", of.name,
			 (int64_t)of.below, key);

	if (!r)
		r = query_step(q, err);
	if (r > 0)
		buf_adds(out, query_text(q, 0));
	return r > 0 && buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : r;
}

int settings_effective(struct db *db, const char *repo, const char *key, struct buf *out, struct err *err)
{
	char path[LIMIT_NAME + 1];
	int r = settings_get(db, (struct settings_of){ repo, false }, key, out, err);

	snprintf(path, sizeof(path), "%s", repo);
	while (!r && *path) {
		char *slash = strrchr(path, '/');

		*(slash ? slash : path) = '\0';
		r = settings_get(db, (struct settings_of){ path, true }, key, out, err);
	}
	return r;
}

int settings_put(struct db *db, struct settings_of of, const char *key, const char *value, struct err *err)
{
	int64_t n = value ? db_run(db, err,
				   "INSERT INTO setting(name, below, key, value) VALUES (?, ?, ?, ?)"
				   " ON CONFLICT(name, below, key) DO UPDATE SET value = excluded.value",
				   "siss", of.name, (int64_t)of.below, key, value) :
			    db_run(db, err, "DELETE FROM setting WHERE name = ? AND below = ? AND key = ?", "sis", of.name,
				   (int64_t)of.below, key);

	return n < 0 ? (int)n : 0;
}
