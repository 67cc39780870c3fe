/*
 * tag.c: operations on tags.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

struct tag_page {
	tree_name_fn *fn;
	void *arg;
	int64_t left;
	bool more;
};

static int page_tag(void *arg, const char *name)
{
	struct tag_page *p = arg;

	if (p->left-- == 0) {
		p->more = true;
		return 1;
	}
	return p->fn(p->arg, name);
}

int tree_tag_list(struct tree *tree, const struct cred *cred, const char *repo, const char *last,
		  int64_t n, tree_name_fn *fn, void *arg, bool *more, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct tag_page page = { .fn = fn, .arg = arg, .left = n };
	struct repo_row row;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	*more = false;
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (!r && !row.listed)
		r = err_set(err, ERR_NAME_UNKNOWN, "repository %s holds no image yet", repo);
	if (!r && n > 0)
		r = tag_names(rd.db, row.id, last, n == INT64_MAX ? -1 : n + 1, page_tag, &page, err);
	*more = page.more;
	return MIN(r, 0);
}

struct tag_change {
	const struct cred *cred;
	const char *repo;	/* by name, or NULL: */
	int64_t repository_id;	/* by id */
	const char *tag;
	const char *new_name;	/* of a rename */
	const struct digest *digest;
	bool administers;	/* who asks has that right */
	bool fresh;		/* the (new) name must not be taken */
};

static int change_repo(struct db *db, const struct tag_change *c, struct repo_row *out,
		       struct err *err)
{
	int r;

	if (c->repo)
		return need_repo(db, c->repo, out, err);
	r = repo_by_id(db, c->repository_id, out, err);
	if (r < 0)
		return r;
	return r ? 0 : err_set(err, ERR_NAME_UNKNOWN, "the repository is gone");
}

static int change_tag(struct db *db, const struct repo_row *repo, const char *name,
		      struct tag_row *out, struct err *err)
{
	int r = tag_by_name(db, repo->id, name, out, err);

	if (r < 0)
		return r;
	return r ? 0 : err_set(err, ERR_MANIFEST_UNKNOWN, "%s has no tag %s", repo->name, name);
}

static int refuse_taken(struct db *db, const struct repo_row *repo, const char *name,
			struct err *err)
{
	struct tag_row row;
	int r = tag_by_name(db, repo->id, name, &row, err);

	if (r <= 0)
		return r;
	return err_set(err, ERR_EXISTS, "%s has a tag %s already", repo->name, name);
}

static int set_tag(struct db *db, void *arg, struct err *err)
{
	const struct tag_change *c = arg;
	struct repo_row repo;
	struct image_row image;
	bool changed;
	int r = change_repo(db, c, &repo, err);

	if (!r)
		r = need_image_digest(db, &repo, c->digest, &image, err);
	if (!r && c->fresh)
		r = refuse_taken(db, &repo, c->tag, err);
	return r ? r : name_tag(db, &(struct tag_move){ .cred = c->cred, .kind = "tag", .repo = repo.name,
							 .repository_id = repo.id, .tag = c->tag,
							 .manifest_id = image.id, .digest = c->digest }, &changed, err);
}

int tree_tag_set(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		 const struct digest *digest, struct err *err)
{
	struct tag_change c = { .cred = cred, .repo = repo, .tag = tag, .digest = digest };
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r)
		r = tag_check(tag, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "tag", .repo = repo, .tag = tag }, set_tag, &c, err);
}

int tree_tag_may_set(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		     const struct digest *digest, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct image_row image;
	struct repo_row row;
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r)
		r = tag_check(tag, err);
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (!r)
		r = need_image_digest(rd.db, &row, digest, &image, err);
	return r ? r : refuse_move(rd.db, repo, row.id, tag, digest, err);
}

int tree_tag_set_id(struct tree *tree, const struct cred *cred, const struct repo_row *repo,
		    const char *tag, const struct digest *digest, bool fresh, struct err *err)
{
	struct tag_change c = { .cred = cred,
				.repository_id = repo->id,
				.tag = tag,
				.digest = digest,
				.fresh = fresh };
	int r = tag_check(tag, err);

	return r ? r : audit_write(tree, &(struct attempt){ cred, "tag", .repo = repo->name, .tag = tag }, set_tag, &c, err);
}

static int rm_tag(struct db *db, void *arg, struct err *err)
{
	const struct tag_change *c = arg;
	struct repo_row repo;
	struct tag_row tag;
	int r = change_repo(db, c, &repo, err);

	if (!r)
		r = change_tag(db, &repo, c->tag, &tag, err);
	return r ? r : remove_tag(db, c->cred, &repo, &tag, c->administers, err);
}

int tree_tag_rm(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		struct err *err)
{
	struct tag_change c = { .cred = cred, .repo = repo, .tag = tag };
	int r = permit(tree, cred, ACTION_DELETE, repo, err);

	c.administers = !r && !permit(tree, cred, ACTION_ADMIN, repo, NULL);
	if (!r)
		r = tag_check(tag, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "untag", .repo = repo, .tag = tag }, rm_tag, &c, err);
}

/* What was set for a tag goes with it when it is renamed. */
static int keep_end(struct db *db, const struct repo_row *repo, const struct tag_row *was, const char *name, struct err *err)
{
	struct tag_row now;
	int r = tag_by_name(db, repo->id, name, &now, err);

	return r > 0 ? tag_set_end(db, now.id, was->expires, true, false, err) : r;
}

static int rename_tag(struct db *db, void *arg, struct err *err)
{
	const struct tag_change *c = arg;
	struct repo_row repo;
	struct tag_row tag;
	bool changed;
	int r = change_repo(db, c, &repo, err);

	if (!r)
		r = change_tag(db, &repo, c->tag, &tag, err);
	if (!r && streq(c->tag, c->new_name))
		return 0;
	if (!r && c->fresh)
		r = refuse_taken(db, &repo, c->new_name, err);
	if (!r)
		r = remove_tag(db, c->cred, &repo, &tag, c->administers, err);
	if (!r)
		r = name_tag(db, &(struct tag_move){ .cred = c->cred, .kind = "tag", .repo = repo.name, .repository_id = repo.id,
						     .tag = c->new_name, .manifest_id = tag.manifest_id, .digest = &tag.digest },
			     &changed, err);
	return r || !tag.own_end ? r : keep_end(db, &repo, &tag, c->new_name, err);
}

int tree_tag_rename(struct tree *tree, const struct cred *cred, const struct repo_row *repo,
		    const char *name, const char *new_name, bool administers, bool noreplace, struct err *err)
{
	struct tag_change c = { .cred = cred,
				.repository_id = repo->id,
				.tag = name,
				.new_name = new_name,
				.administers = administers,
				.fresh = noreplace };
	int r = tag_check(new_name, err);

	return r ? r : audit_write(tree, &(struct attempt){ cred, "tag", .repo = repo->name, .tag = new_name, .about = name },
				   rename_tag, &c, err);
}
