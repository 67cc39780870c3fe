/*
 * quota.c: see quota.h; and what becomes of a push that found no room.
 */
#include "fs/base/base.h"
#include "fs/tree/quota.h"

#include "fs/tree/state.h"

int quota_failed(struct tree *tree, const struct cred *cred, const char *repo, int r, const struct err *err)
{
	return r && err && err->reason == ERR_QUOTA ? audit_failed(tree, &(struct attempt){ cred, "push", .repo = repo }, r, err) : r;
}

int tree_quota_fits(struct tree *tree, const struct cred *cred, const char *repo, const struct tree_blob_size *blob, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	const struct quota_need need = { .digest = blob->digest, .size = blob->size, .whole = blob->whole };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = quota_refuse(rd.db, repo, &need, err);
	return quota_failed(tree, cred, repo, r, err);
}

struct each_quota {
	tree_quota_fn *fn;
	void *arg;
};

static int give_quota(void *arg, const struct quota *q)
{
	const struct each_quota *each = arg;

	return each->fn(each->arg, &(struct tree_quota){ q->name, q->below, q->used.bytes, q->limit.bytes, q->used.tags, q->limit.tags });
}

int tree_quota_list(struct tree *tree, const struct cred *cred, struct settings_of of, tree_quota_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_quota each = { fn, arg };
	struct quota quota;
	int r = of.below ? permit_namespace(tree, cred, of.name, err) : permit(tree, cred, ACTION_PUSH, of.name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (r)
		return r;
	if (!of.below)
		return quota_each(rd.db, of.name, give_quota, &each, err);
	r = quota_get(rd.db, of, &quota, err);
	return r > 0 ? give_quota(&each, &quota) : r;
}

/* ---- df ---- */

struct tightest {
	bool below;		/* what is asked about is a namespace: a repository of that name doesn't bind it */
	struct quota_usage limit, left;
};

static void tighten(int64_t limit, int64_t used, int64_t *least, int64_t *left)
{
	int64_t free = MAX(limit - used, INT64_C(0));

	if (limit < 0 || (*least >= 0 && free >= *left))
		return;
	*least = limit;
	*left = free;
}

static int look_at(void *arg, const struct quota *q)
{
	struct tightest *t = arg;

	if (t->below && !q->below)
		return 0;
	tighten(q->limit.bytes, q->used.bytes, &t->limit.bytes, &t->left.bytes);
	tighten(q->limit.tags, q->used.tags, &t->limit.tags, &t->left.tags);
	return 0;
}

int quota_statvfs(struct db *db, const char *name, bool below, struct statvfs *disk, struct err *err)
{
	struct tightest t = { .below = below, .limit = { -1, -1 } };
	struct quota own;
	int64_t block = (int64_t)disk->f_frsize;
	int r = below ? quota_get(db, (struct settings_of){ name, true }, &own, err) : 0;

	if (r > 0)
		r = look_at(&t, &own);
	/* Of the registry's root that was all there is. */
	if (!r && (*name || !below))
		r = quota_each(db, name, look_at, &t, err);
	if (t.limit.bytes >= 0) {
		disk->f_blocks = (fsblkcnt_t)(t.limit.bytes / block);
		disk->f_bfree = (fsblkcnt_t)(t.left.bytes / block);
		disk->f_bavail = MIN(disk->f_bavail, disk->f_bfree);
	}
	if (t.limit.tags >= 0) {
		disk->f_files = (fsfilcnt_t)t.limit.tags;
		disk->f_ffree = disk->f_favail = (fsfilcnt_t)t.left.tags;
	}
	return r;
}
