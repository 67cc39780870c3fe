/* quota.c: see quota.h. */
#include "fs/base/base.h"
#include "fs/meta/quota.h"

#include "fs/base/size.h"

#define COLUMNS "q.id, q.name, q.below, q.bytes, q.tags, COALESCE(q.bytes_limit, -1), COALESCE(q.tags_limit, -1)"

static void read_row(struct query *q, struct quota *out)
{
	out->id = query_int(q, 0);
	snprintf(out->name, sizeof(out->name), "%s", query_text(q, 1));
	out->below = query_int(q, 2);
	out->used = (struct quota_usage){ query_int(q, 3), query_int(q, 4) };
	out->limit = (struct quota_usage){ query_int(q, 5), query_int(q, 6) };
}

int quota_get(struct db *db, struct settings_of of, struct quota *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT " COLUMNS " FROM quota q WHERE q.name = ? AND q.below = ?", "si", of.name,
			 (int64_t)of.below);

	if (!r)
		r = query_step(q, err);
	if (r > 0)
		read_row(q, out);
	return r;
}

/* Of a repository that isn't there: those that it would be of. */
static int each_above(struct db *db, const char *repo, quota_fn *fn, void *arg, struct err *err)
{
	char path[LIMIT_NAME + 1];
	struct quota quota;
	int r = quota_get(db, (struct settings_of){ repo, false }, &quota, err);

	snprintf(path, sizeof(path), "%s", repo);
	while (r >= 0) {
		char *slash = strrchr(path, '/');

		r = r ? fn(arg, &quota) : 0;
		if (r || !*path)
			return r;
		*(slash ? slash : path) = '\0';
		r = quota_get(db, (struct settings_of){ path, true }, &quota, err);
	}
	return r;
}

int quota_each(struct db *db, const char *repo, quota_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	struct quota quota;
	int64_t any;
	bool there = false;
	/* Most registries have none at all. */
	int r = db_get_int(db, &any, err, "SELECT 1 FROM quota LIMIT 1", "");

	if (r <= 0)
		return r;
	r = db_query(db, &q, err,
		     "SELECT " COLUMNS " FROM repository r LEFT JOIN quota_holder o ON o.holder = r.id LEFT JOIN quota q ON q.id = o.quota_id"
		     " WHERE r.name = ? ORDER BY q.below, LENGTH(q.name) DESC",
		     "s", repo);
	while (!r && (r = query_step(q, err)) > 0) {
		there = true;
		read_row(q, &quota);
		r = quota.id ? fn(arg, &quota) : 0;
	}
	return r || there ? r : each_above(db, repo, fn, arg, err);
}

/* ---- Asking for room ---- */

/* Whether the blob takes no bytes, or may be one that doesn't: 1, or 0. */
static int holds(struct db *db, const struct quota *q, const struct quota_need *need, struct err *err)
{
	int64_t one;

	if (need->digest)
		return db_get_int(db, &one, err,
				  "SELECT 1 FROM blob b JOIN quota_blob x ON x.blob_id = b.id AND x.quota_id = ? WHERE b.digest = ?",
				  "id", q->id, need->digest);
	return db_get_int(db, &one, err, "SELECT 1 FROM quota_blob WHERE quota_id = ? AND size >= ? AND size <= ? LIMIT 1", "iii",
			  q->id, need->size, need->whole ? need->size : INT64_MAX);
}

struct asking {
	struct db *db;
	const struct quota_need *need;
	struct err *err;
};

#define OWNER_MAX (LIMIT_NAME + 16)

static void name_owner(const struct quota *q, char out[static OWNER_MAX + 1])
{
	if (!*q->name)
		snprintf(out, OWNER_MAX + 1, "the registry");
	else
		snprintf(out, OWNER_MAX + 1, "%s %s", q->below ? "namespace" : "repository", q->name);
}

static int no_room(const struct quota *q, const struct quota_need *need, bool bytes, struct err *err)
{
	char owner[OWNER_MAX + 1], limit[SIZE_TEXT_MAX + 1], used[SIZE_TEXT_MAX + 1], asked[SIZE_TEXT_MAX + 1], detail[192];
	int r;

	name_owner(q, owner);
	if (bytes)
		r = err_set(err, ERR_QUOTA,
			    "the quota of %s is exceeded: it may hold %s (%" PRId64 " bytes), holds %s (%" PRId64 "), and this takes %s (%"
			    PRId64 ") more: remove images (what can be undone counts until gc takes it), or have its quota raised",
			    owner, size_text(q->limit.bytes, limit), q->limit.bytes, size_text(q->used.bytes, used), q->used.bytes,
			    size_text(need->size, asked), need->size);
	else
		r = err_set(err, ERR_QUOTA,
			    "the quota of %s is exceeded: it may have %" PRId64 " tags, has %" PRId64 ", and this makes %" PRId64
			    " more: remove tags, or have its quota-tags raised",
			    owner, q->limit.tags, q->used.tags, need->tags);
	snprintf(detail, sizeof(detail), "{\"limit\":%" PRId64 ",\"used\":%" PRId64 ",\"asked\":%" PRId64 "}",
		 bytes ? q->limit.bytes : q->limit.tags, bytes ? q->used.bytes : q->used.tags, bytes ? need->size : need->tags);
	err_set_detail(err, detail);
	return err_about(bytes ? QUOTA_BYTES : QUOTA_TAGS, r, err);
}

static int refuse(void *arg, const struct quota *q)
{
	const struct asking *a = arg;
	const struct quota_need *need = a->need;
	int r;

	if (need->tags && q->limit.tags >= 0 && need->tags > q->limit.tags - q->used.tags)
		return no_room(q, need, false, a->err);
	if (need->size <= 0 || q->limit.bytes < 0 || need->size <= q->limit.bytes - q->used.bytes)
		return 0;
	r = holds(a->db, q, need, a->err);
	return r < 0 ? r : r ? 0 : no_room(q, need, true, a->err);
}

int quota_refuse(struct db *db, const char *repo, const struct quota_need *need, struct err *err)
{
	struct asking a = { .db = db, .need = need, .err = err };

	return quota_each(db, repo, refuse, &a, err);
}

static int find_least(void *arg, const struct quota *q)
{
	int64_t *left = arg;

	if (q->limit.bytes >= 0)
		*left = MIN(*left, MAX(q->limit.bytes - q->used.bytes, INT64_C(0)));
	return 0;
}

int quota_left(struct db *db, const char *repo, int64_t *out, struct err *err)
{
	*out = INT64_MAX;
	return quota_each(db, repo, find_least, out, err);
}
