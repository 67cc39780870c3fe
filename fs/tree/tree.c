/*
 * tree.c: opening the tree, what its files share, and repositories.
 *
 * The operations stand by what they are about: repositories and the registry here,
 * tags in tag.c, images in image.c, blobs and uploads in push.c.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include <sys/eventfd.h>

#include "fs/base/timestamp.h"
#include "fs/meta/removal.h"
#include "fs/tree/grants.h"
#include "fs/tree/settings.h"

int tree_open(const char *store_dir, int flags, struct tree **out, struct err *err)
{
	struct tree *t = calloc(1, sizeof(*t));
	bool create = flags & TREE_CREATE;
	auto_buf struct buf path = BUF_INIT;
	int r;

	if (!t)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	t->grace = 3600 * INT64_C(1000000000);
	t->stopped = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	buf_addf(&path, "%s/regfs.db", store_dir);
	r = buf_error(&path) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	if (!r && t->stopped < 0)
		r = err_sys(err, errno, "cannot make an eventfd");
	if (!r)
		r = store_open(store_dir, create, &t->store, err);
	if (!r)
		r = meta_open(path.data, create, &t->meta, err);
	if (!r)
		r = cache_new(&t->cache, err);
	if (!r)
		r = access_new(&t->access, err);
	if (!r)
		r = trail_new(t->meta, &t->trail, err);
	if (!r)
		r = listeners_new(&t->listeners, err);
	if (!r)
		r = pulls_new(t->meta, &t->pulls, err);
	if (!r)
		r = hashes_new(&t->hashes, err);
	if (!r)
		r = pending_new(&t->pending, err);
	if (!r)
		r = pending_new(&t->new_hooks, err);
	if (!r)
		r = shelf_new(t, &t->shelf, err);
	if (r) {
		tree_close(t);
		return r;
	}
	*out = t;
	return 0;
}

void tree_stop(struct tree *t)
{
	if (!t)
		return;
	(void)!eventfd_write(t->stopped, 1);
	shelf_stop(t->shelf);
}

void tree_close(struct tree *t)
{
	if (!t)
		return;
	shelf_free(t->shelf);
	pending_free(t->pending);
	pending_free(t->new_hooks);
	hashes_free(t->hashes);
	access_free(t->access);
	trail_free(t->trail);
	listeners_free(t->listeners);
	pulls_free(t->pulls);
	cache_free(t->cache);
	meta_close(t->meta);
	store_close(t->store);
	cleanup_close(&t->stopped);
	free(t);
}

const char *tree_version(void)
{
	return REGFS_VERSION;
}

const char *tree_store_dir(const struct tree *tree)
{
	return store_dir(tree->store);
}

/* ---- What the operations share ---- */

int tree_reader(struct tree *tree, struct meta_reader *out, struct err *err)
{
	out->meta = tree->meta;
	return meta_read_begin(tree->meta, &out->db, err);
}

int need_repo(struct db *db, const char *name, struct repo_row *out, struct err *err)
{
	int r = name_check(name, err);

	if (!r)
		r = repo_by_name(db, name, out, err);
	else
		return r;
	if (r < 0)
		return r;
	if (!r || !out->is_repository)
		return err_set(err, ERR_NAME_UNKNOWN, "there is no repository %s", name);
	return 0;
}

int need_image_digest(struct db *db, const struct repo_row *repo, const struct digest *digest,
		      struct image_row *out, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];
	int r = image_by_digest(db, repo->id, digest, out, err);

	if (r < 0)
		return r;
	return r ? 0 :
		   err_set(err, ERR_MANIFEST_UNKNOWN, "%s holds no image %s", repo->name,
			   digest_format(digest, text));
}

int need_image(struct db *db, const struct repo_row *repo, const char *reference,
	       struct image_row *out, struct err *err)
{
	struct digest d;
	int r;

	if (strchr(reference, ':')) {
		r = digest_parse(reference, &d, err);
		return r ? r : need_image_digest(db, repo, &d, out, err);
	}
	r = tag_check(reference, err);
	if (!r)
		r = image_by_tag(db, repo->id, reference, out, err);
	else
		return r;
	if (r < 0)
		return r;
	return r ? 0 :
		   err_set(err, ERR_MANIFEST_UNKNOWN, "%s has no tag %s", repo->name, reference);
}

int add_event(struct db *db, const struct cred *cred, const char *kind, const char *repo,
	      const char *tag, const struct digest *digest, bool changed, struct err *err)
{
	const struct event e = {
		.kind = kind,
		.repository = repo,
		.tag = tag,
		.digest = digest,
		.changed = changed,
		.who = cred->name,
		.origin = cred->from,
		.at = timestamp_now(),
	};

	int r = event_add(db, &e, err);

	if (!r)
		r = audit_change(db, cred, kind, repo, tag, digest, NULL, err);
	return r ? r : repo_touch(db, repo, e.at, err);
}

/* ---- Repositories ---- */

struct page {
	tree_name_fn *fn;
	void *arg;
	int64_t left;
	bool more;
};

static int page_repo(void *arg, const char *name)
{
	struct page *p = arg;

	if (p->left-- == 0) {
		p->more = true;
		return 1;
	}
	return p->fn(p->arg, name);
}

/* For who doesn't see all: those of which something is granted, or that are public. */
static int list_reach(struct tree *tree, struct db *db, const struct cred *cred, const char *last, struct page *page,
		      struct err *err)
{
	auto_reach struct reach *reach = NULL;
	const char *name;
	struct ask ask;
	int r;

	access_ask(&ask, tree, db, cred, err);
	r = db_begin_read(db, err);
	if (!r)
		r = reach_begin(&ask, last ? last : "", "", ACTIONS_ALL, true, &reach);
	while (!r && (r = reach_next(reach, &name)) > 0)
		r = page_repo(page, name);
	return r;
}

int tree_repo_list(struct tree *tree, const struct cred *cred, const char *last, int64_t n,
		   tree_name_fn *fn, void *arg, bool *more, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct page page = { .fn = fn, .arg = arg, .left = n };
	int r = permit(tree, cred, ACTION_PULL, NULL, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r && n > 0)
		r = cred_is_boundless(cred) ?
			    repo_listed(rd.db, last, n == INT64_MAX ? -1 : n + 1, page_repo, &page, err) :
			    list_reach(tree, rd.db, cred, last, &page, err);
	*more = page.more;
	return MIN(r, 0);
}

int tree_repo_show(struct tree *tree, const struct cred *cred, const char *name, tree_repo_fn *fn,
		   void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row row;
	struct repo_sums sums;
	auto_buf struct buf immutable = BUF_INIT, retention = BUF_INIT, undo_keep = BUF_INIT;
	int r = permit(tree, cred, ACTION_PULL, name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_repo(rd.db, name, &row, err);
	if (!r && !row.listed)
		r = err_set(err, ERR_NAME_UNKNOWN, "repository %s holds no image", name);
	if (!r)
		r = repo_sum(rd.db, row.id, &sums, err);
	if (!r)
		r = MIN(settings_effective(rd.db, name, "immutable", &immutable, err), 0);
	if (!r)
		r = MIN(settings_effective(rd.db, name, "retention", &retention, err), 0);
	if (!r)
		r = MIN(settings_effective(rd.db, name, "undo-keep", &undo_keep, err), 0);
	if (!r) {
		const struct tree_repo repo = {
			.name = row.name,
			.tags = sums.tags,
			.images = sums.images,
			.blobs = sums.blobs,
			.size = sums.size,
			.created = row.created,
			.public = row.public,
			.immutable = immutable.len ? immutable.data : IMMUTABLE_NONE,
			.retention = retention.len ? retention.data : RETENTION_NONE,
			.undo_keep = undo_keep.len ? undo_keep.data : UNDO_KEEP_TEXT,
		};

		r = fn(arg, &repo);
	}
	return MIN(r, 0);
}

struct repo_change {
	const struct cred *cred;
	const char *name;
	enum setting public;
	struct buf *uploads;	/* ids of uploads that went, each with its NUL */
};

static int add_repo(struct db *db, void *arg, struct err *err)
{
	const struct repo_change *c = arg;
	struct repo_row row;
	int r = repo_ensure(db, c->name, timestamp_now(), &row, err);

	if (!r && row.listed)
		return err_set(err, ERR_EXISTS, "repository %s is there already", c->name);
	if (!r)
		r = repo_set_on_purpose(db, row.id, true, err);
	if (!r && c->public != SETTING_INHERIT)
		r = repo_set_public(db, row.id, c->public == SETTING_YES, err);
	if (!r)
		r = add_event(db, c->cred, "create", c->name, NULL, NULL, true, err);
	return r;
}

int tree_repo_add(struct tree *tree, const struct cred *cred, const char *name, struct err *err)
{
	return tree_repo_add_visible(tree, cred, name, SETTING_INHERIT, err);
}

int tree_repo_add_visible(struct tree *tree, const struct cred *cred, const char *name, enum setting public,
			  struct err *err)
{
	struct repo_change c = { .cred = cred, .name = name, .public = public };
	int r = permit(tree, cred, ACTION_ADMIN, name, err);

	if (!r)
		r = name_check(name, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "create", .repo = name }, add_repo, &c, err);
}

static int note_upload(void *arg, const struct upload_row *row)
{
	struct buf *b = arg;

	buf_add(b, row->name, strlen(row->name) + 1);
	return 0;
}

static int rm_repo(struct db *db, void *arg, struct err *err)
{
	const struct repo_change *c = arg;
	struct repo_row row;
	int64_t removal = 0;
	int r = need_repo(db, c->name, &row, err);

	if (!r)
		r = upload_list(db, row.id, 0, note_upload, c->uploads, err);
	if (!r)
		r = add_event(db, c->cred, "remove", c->name, NULL, NULL, true, err);
	if (!r)
		r = remember(db, c->cred, "remove", &row, NULL, NULL, &removal, err);
	if (!r && removal)
		r = removal_add_repo(db, removal, &row, err);
	if (!r)
		r = repo_empty(db, row.id, err);
	if (!r)
		r = repo_set_on_purpose(db, row.id, false, err);
	return r;
}

/* One that can't be removed now is garbage without a row: gc's. */
static void remove_upload(struct tree *tree, const char *id)
{
	auto_store_upload struct store_upload *u = NULL;

	if (store_upload_open(tree->store, id, NULL, 0, &u, NULL))
		(void)!store_upload_remove(tree->store, id, NULL);
	else
		(void)!store_upload_discard(u, NULL);
}

int tree_repo_rm(struct tree *tree, const struct cred *cred, const char *name, struct err *err)
{
	auto_buf struct buf uploads = BUF_INIT;
	struct repo_change c = { .cred = cred, .name = name, .uploads = &uploads };
	int r = permit(tree, cred, ACTION_ADMIN, name, err);

	if (!r)
		r = audit_write(tree, &(struct attempt){ cred, "remove", .repo = name }, rm_repo, &c, err);
	for (size_t at = 0; !r && at < uploads.len; at += strlen(uploads.data + at) + 1)
		remove_upload(tree, uploads.data + at);
	return r;
}

/* ---- The registry ---- */

int tree_stats(struct tree *tree, const struct cred *cred, struct tree_stats *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct registry_counts counts = { 0 };
	struct statvfs disk;
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = registry_count(rd.db, &counts, err);
	if (!r)
		r = event_last(rd.db, &out->event, err);
	if (!r)
		r = store_statvfs(tree->store, &disk, err);
	if (r)
		return r;
	out->repositories = counts.repositories;
	out->tags = counts.tags;
	out->images = counts.images;
	out->blobs = counts.blobs;
	out->blob_bytes = counts.blob_bytes;
	out->uploads = counts.uploads;
	out->disk_size = (int64_t)(disk.f_blocks * disk.f_frsize);
	out->disk_free = (int64_t)(disk.f_bavail * disk.f_frsize);
	return 0;
}
