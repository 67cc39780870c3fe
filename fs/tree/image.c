/*
 * image.c: operations on images and blobs that are there.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include "fs/meta/removal.h"

#include "fs/base/timestamp.h"

int read_config(struct tree *tree, const struct image_row *image, struct buf *out, struct err *err)
{
	int r;

	buf_reset(out);
	if (image->config.algorithm == DIGEST_NONE)
		return 0;
	r = store_blob_read(tree->store, &image->config, LIMIT_CONFIG, out, err);
	/* Too large to look into, or taken out of the repository: nothing is known then. */
	return r == -EINVAL || r == -ENOENT ? 0 : r;
}

int read_manifest(struct tree *tree, const struct image_row *image, struct buf *bytes,
		  struct manifest *out, struct err *err)
{
	int r = store_blob_read(tree->store, &image->digest, LIMIT_MANIFEST, bytes, err);

	return r ? r : manifest_parse(bytes->data, bytes->len, image->media_type, out, err);
}

/* ---- Getting one ---- */

/* Reads the row as it is now; uses the bytes of `last` again where it is the same image. */
static int fetch(struct tree *tree, const char *repo, const char *reference,
		 struct tree_image *last, struct tree_image **out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_tree_image struct tree_image *old = last;
	auto_buf struct buf bytes = BUF_INIT;
	struct repo_row row;
	struct image_row image;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (!r)
		r = need_image(rd.db, &row, reference, &image, err);
	if (r)
		return r;
	if (old && digest_equal(&old->digest, &image.digest) &&
	    streq(old->media_type, image.media_type)) {
		*out = steal(&old);
		return 0;
	}
	r = store_blob_read(tree->store, &image.digest, LIMIT_MANIFEST, &bytes, err);
	if (r == -ENOENT)
		return err_set(err, ERR_GONE_MEANWHILE, "the manifest of %s:%s is lost", repo, reference);
	return r ? r : shared_image_new(&image, &bytes, out, err);
}

static int get_image(struct tree *tree, const char *repo, const char *reference, struct tree_image **out, struct err *err)
{
	struct db_mark mark;
	bool marked = meta_mark(tree->meta, &mark);
	int r;

	*out = marked ? cache_get(tree->cache, repo, reference, &mark) : NULL;
	if (*out)
		return 0;
	r = fetch(tree, repo, reference, cache_last(tree->cache, repo, reference), out, err);
	/* Its tag was moved, and it was collected, between the look at the row and the look for the file. */
	if (r == -ESTALE)
		r = fetch(tree, repo, reference, NULL, out, err);
	if (r == -ESTALE)
		r = err_set(err, ERR_MANIFEST_UNKNOWN,
			    "the manifest of %s:%s is lost: push the image again", repo, reference);
	if (!r && marked)
		cache_put(tree->cache, repo, reference, &mark, *out);
	return r;
}

int tree_image_get(struct tree *tree, const struct cred *cred, const char *repo,
		   const char *reference, struct tree_image **out, struct err *err)
{
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = get_image(tree, repo, reference, out, err);
	if (!r && shared_image_pulled(*out))
		pulls_note(tree->pulls, repo, &(*out)->digest);
	if (!r)
		audit_pull(tree, cred, repo, reference, &(*out)->digest);
	if (!r)
		tell_pull(tree, cred, repo, reference, &(*out)->digest);
	return r;
}

/* ---- Removing one ---- */

struct removal {
	struct tree *tree;
	const struct cred *cred;
	bool administers;
	const char *repo;
	const struct digest *digest;
};

struct untag {
	struct db *db;
	const struct removal *removal;
	struct err *err;
};

static int untag_event(void *arg, const struct tag_row *tag)
{
	struct untag *u = arg;

	return note_tag_gone(u->db, u->removal->cred, u->removal->repo, tag, u->removal->administers, u->err);
}

int delete_image(struct db *db, const struct cred *cred, const struct repo_row *repo, const struct image_row *image,
		 struct err *err)
{
	int64_t removal;
	int r = add_event(db, cred, "delete", repo->name, NULL, &image->digest, true, err);

	if (!r)
		r = remember(db, cred, "delete", repo, NULL, &image->digest, &removal, err);
	if (!r && removal)
		r = removal_add_image(db, removal, image->id, err);
	if (!r)
		r = image_delete(db, image->id, err);
	return r ? r : repo_settle(db, repo->id, err);
}

static int rm_image(struct db *db, void *arg, struct err *err)
{
	const struct removal *c = arg;
	struct untag untag = { .db = db, .removal = c, .err = err };
	struct repo_row repo;
	struct image_row image;
	int r = need_repo(db, c->repo, &repo, err);

	if (!r)
		r = need_image_digest(db, &repo, c->digest, &image, err);
	if (!r)
		r = refuse_needed(db, &repo, c->digest, c->administers, err);
	if (!r)
		r = tag_list_of(db, image.id, 0, untag_event, &untag, err);
	return r ? r : delete_image(db, c->cred, &repo, &image, err);
}

int tree_image_rm(struct tree *tree, const struct cred *cred, const char *repo,
		  const struct digest *digest, struct err *err)
{
	struct removal c = { .tree = tree, .cred = cred, .repo = repo, .digest = digest };
	int r = permit(tree, cred, ACTION_DELETE, repo, err);

	c.administers = !r && !permit(tree, cred, ACTION_ADMIN, repo, NULL);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "delete", .repo = repo, .digest = digest }, rm_image, &c, err);
}

/* ---- Looking at them ---- */

static void info_of(const struct image_row *row, struct tree_image_info *out)
{
	*out = (struct tree_image_info){
		.digest = row->digest,
		.config = row->config,
		.media_type = row->media_type,
		.artifact_type = row->artifact_type,
		.platform = row->platform,
		.size = row->size,
		.created = row->created,
		.pushed = row->pushed,
		.pulled = row->pulled,
		.is_index = row->is_index,
	};
}

struct each_image {
	struct db *db;
	int64_t repository_id;
	tree_image_fn *fn;
	void *arg;
	struct err *err;
};

static int give_image(void *arg, const struct image_row *row)
{
	struct each_image *e = arg;
	struct tree_image_info info;

	info_of(row, &info);
	return e->fn(e->arg, &info);
}

/* A reader, the repository's row, and one state of the database for what follows. */
static int begin_look(struct tree *tree, const struct cred *cred, const char *repo,
		      struct meta_reader *rd, struct repo_row *row, struct err *err)
{
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, rd, err);
	if (!r)
		r = db_begin_read(rd->db, err);
	return r ? r : need_repo(rd->db, repo, row, err);
}

int tree_image_show(struct tree *tree, const struct cred *cred, const char *repo,
		    const char *reference, tree_image_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_image each = { .fn = fn, .arg = arg };
	struct repo_row row;
	struct image_row image;
	int r = begin_look(tree, cred, repo, &rd, &row, err);

	if (!r)
		r = need_image(rd.db, &row, reference, &image, err);
	return r ? r : MIN(0, give_image(&each, &image));
}

int tree_image_list(struct tree *tree, const struct cred *cred, const char *repo,
		    tree_image_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_image each = { .fn = fn, .arg = arg };
	struct repo_row row;
	int r = begin_look(tree, cred, repo, &rd, &row, err);

	if (!r)
		r = image_list(rd.db, row.id, 0, give_image, &each, err);
	return MIN(r, 0);
}

static int give_child(void *arg, const struct ref_row *ref)
{
	struct each_image *e = arg;
	struct image_row child;
	int r = image_by_digest(e->db, e->repository_id, &ref->digest, &child, e->err);

	return r > 0 ? give_image(e, &child) : r;
}

int tree_image_children(struct tree *tree, const struct cred *cred, const char *repo,
			const struct digest *index, tree_image_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_image each = { .fn = fn, .arg = arg, .err = err };
	struct repo_row row;
	struct image_row image;
	int r = begin_look(tree, cred, repo, &rd, &row, err);

	if (!r)
		r = need_image_digest(rd.db, &row, index, &image, err);
	each.db = rd.db;
	each.repository_id = row.id;
	if (!r)
		r = ref_list(rd.db, image.id, ROLE_CHILD, 0, give_child, &each, err);
	return MIN(r, 0);
}

/* The instruction in line `number` of a history (see image_history()); "" if there is none. */
static void instruction_of(const struct buf *history, int number, struct buf *out)
{
	const char *line = history->data;

	buf_reset(out);
	for (int i = 1; i < number && line; i++) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	for (int tabs = 0; line && tabs < 2; tabs++) {
		line = strpbrk(line, "\t\n");
		line = line && *line == '\t' ? line + 1 : NULL;
	}
	if (line)
		buf_add(out, line, strcspn(line, "\n"));
}

struct each_layer {
	const struct buf *history;
	struct buf instruction;
	tree_layer_fn *fn;
	void *arg;
};

static int give_layer(void *arg, const struct ref_row *ref)
{
	struct each_layer *e = arg;
	struct tree_layer layer = {
		.number = ref->position + 1,
		.digest = ref->digest,
		.size = ref->size,
		.media_type = ref->media_type,
	};

	instruction_of(e->history, layer.number, &e->instruction);
	layer.instruction = e->instruction.data;
	return e->fn(e->arg, &layer);
}

int tree_image_layers(struct tree *tree, const struct cred *cred, const char *repo,
		      const char *reference, tree_layer_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_manifest struct manifest m = { 0 };
	auto_buf struct buf bytes = BUF_INIT, config = BUF_INIT, history = BUF_INIT;
	struct each_layer each = { .history = &history, .instruction = BUF_INIT, .fn = fn, .arg = arg };
	struct repo_row row;
	struct image_row image;
	int r = begin_look(tree, cred, repo, &rd, &row, err);

	if (!r)
		r = need_image(rd.db, &row, reference, &image, err);
	if (!r && image.is_index)
		r = err_set(err, ERR_ARGUMENT,
			    "%s is an index: name one of its images by digest (image show lists them)",
			    reference);
	if (!r)
		r = read_manifest(tree, &image, &bytes, &m, err);
	if (!r)
		r = read_config(tree, &image, &config, err);
	if (!r)
		r = image_history(&m, config.data, config.len, &history, err);
	if (!r)
		r = ref_list(rd.db, image.id, ROLE_LAYER, 0, give_layer, &each, err);
	buf_release(&each.instruction);
	return MIN(r, 0);
}

/* ---- Who needs a digest ---- */

struct each_use {
	struct db *db;
	struct ask ask;
	tree_use_fn *fn;
	void *arg;
	struct err *err;
};

static int give_ref_use(void *arg, const struct ref_row *ref)
{
	struct each_use *e = arg;
	struct repo_row repo;
	struct image_row image;
	int r = repo_by_id(e->db, ref->repository_id, &repo, e->err);

	if (r > 0)
		r = access_may_pull(&e->ask, &repo);
	if (r > 0)
		r = image_by_id(e->db, ref->manifest_id, &image, e->err);
	if (r <= 0)
		return r;

	const struct tree_use use = { .repo = repo.name, .digest = image.digest, .role = ref->role };

	return e->fn(e->arg, &use);
}

static int give_tag_use(void *arg, const struct tag_row *tag)
{
	struct each_use *e = arg;
	struct repo_row repo;
	int r = repo_by_id(e->db, tag->repository_id, &repo, e->err);

	if (r > 0)
		r = access_may_pull(&e->ask, &repo);
	if (r <= 0)
		return r;

	const struct tree_use use = { .repo = repo.name, .tag = tag->name, .digest = tag->digest };

	return e->fn(e->arg, &use);
}

int tree_used_by(struct tree *tree, const struct cred *cred, const char *repo,
		 const struct digest *digest, tree_use_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_use each = { .fn = fn, .arg = arg, .err = err };
	struct repo_row row = { 0 };
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	access_ask(&each.ask, tree, rd.db, cred, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r && repo)
		r = need_repo(rd.db, repo, &row, err);
	each.db = rd.db;
	if (!r)
		r = tag_list_of_digest(rd.db, row.id, digest, 0, give_tag_use, &each, err);
	if (!r)
		r = ref_users(rd.db, row.id, digest, (enum manifest_role)0, 0, give_ref_use, &each, err);
	return MIN(r, 0);
}

/* ---- Blobs ---- */

static int need_blob(struct db *db, const char *name, const struct digest *digest,
		     struct blob_row *out, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];
	struct repo_row repo;
	int r = need_repo(db, name, &repo, err);

	if (!r)
		r = blob_in_repo(db, repo.id, digest, out, err);
	else
		return r;
	if (r < 0)
		return r;
	if (!r)
		return err_set(err, ERR_BLOB_UNKNOWN, "%s holds no blob %s", name,
			       digest_format(digest, text));
	if (out->bad)
		return err_set(err, ERR_BLOB_UNKNOWN,
			       "blob %s was found damaged and is in quarantine: push it again",
			       digest_format(digest, text));
	return 0;
}

int tree_layer_contents(struct tree *tree, const struct cred *cred, const char *repo, const struct digest *layer,
			struct tree_contents *out, struct err *err)
{
	auto_shelf_item struct shelf_item *item = NULL;
	struct blob_row blob = { 0 };
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r) {
		auto_reader struct meta_reader rd = { 0 };

		r = tree_reader(tree, &rd, err);
		if (!r)
			r = need_blob(rd.db, repo, layer, &blob, err);
	}
	if (!r && blob.id > SHELF_SLOT_MAX)
		r = err_set(err, ERR_UNSUPPORTED, "the registry has had more blobs than a node's number tells apart");
	if (!r)
		r = shelf_get(tree->shelf, SHELF_LAYER, blob.id, &item, err);
	if (!r) {
		out->files = index_files(shelf_index(item));
		out->unpacked = index_unpacked(shelf_index(item));
	}
	return r;
}

int tree_layers_prepare(struct tree *tree, const struct cred *cred, const char *repo, const char *reference, struct err *err)
{
	struct image_row image = { 0 };
	struct repo_row row;
	int r;

	{
		auto_reader struct meta_reader rd = { 0 };

		r = begin_look(tree, cred, repo, &rd, &row, err);
		if (!r)
			r = need_image(rd.db, &row, reference, &image, err);
	}
	if (!r && !image.is_index)
		shelf_prepare(tree->shelf, image.id);
	return r;
}

int tree_blob_stat(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *digest, int64_t *size, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct blob_row blob;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_blob(rd.db, repo, digest, &blob, err);
	if (!r)
		*size = blob.size;
	return r;
}

struct renewal {
	const char *repo;
	const struct digest *digest;
	int64_t now;
};

/* It may have been collected since we looked: what isn't there any more must not be promised. */
static int renew(struct db *db, void *arg, struct err *err)
{
	const struct renewal *n = arg;
	struct blob_row blob;
	int r = need_blob(db, n->repo, n->digest, &blob, err);

	return r ? r : blob_renew(db, blob.link_id, n->now, err);
}

/* 1 if the promise must be written down, as of `now`. */
static int promise_due(struct tree *tree, const struct cred *cred, const char *repo,
		       const struct digest *digest, int64_t now, int64_t *size, struct err *err)
{
	struct blob_row blob;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r) {
		auto_reader struct meta_reader rd = { 0 };

		r = tree_reader(tree, &rd, err);
		if (!r)
			r = need_blob(rd.db, repo, digest, &blob, err);
	}
	if (r)
		return r;
	*size = blob.size;
	return now - blob.linked >= tree->grace / 2 && !permit(tree, cred, ACTION_PUSH, repo, NULL);
}

int tree_blob_promise_due(struct tree *tree, const struct cred *cred, const char *repo,
			  const struct digest *digest, int64_t *size, struct err *err)
{
	return promise_due(tree, cred, repo, digest, timestamp_now(), size, err);
}

int tree_blob_promise(struct tree *tree, const struct cred *cred, const char *repo,
		      const struct digest *digest, int64_t *size, struct err *err)
{
	struct renewal n = { .repo = repo, .digest = digest, .now = timestamp_now() };
	int r = promise_due(tree, cred, repo, digest, n.now, size, err);

	return r > 0 ? meta_write(tree->meta, false, renew, &n, err) : r;
}

int open_blob(struct tree *tree, const struct digest *digest, int64_t size, struct content **out,
	      struct err *err)
{
	auto_content struct content *c = NULL;
	char text[DIGEST_TEXT_MAX + 1];
	int r = store_blob_open(tree->store, digest, &c, err);

	if (r)
		return r;
	if (content_size(c) != size)
		return err_set(err, ERR_CORRUPT,
			       "the file of %s has %" PRId64 " bytes, not %" PRId64
			       ": run `regfs check`, and push it again",
			       digest_format(digest, text), content_size(c), size);
	*out = steal(&c);
	return 0;
}

int tree_blob_open(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *digest, struct content **out, struct err *err)
{
	int64_t size;
	int r = tree_blob_stat(tree, cred, repo, digest, &size, err);

	if (!r)
		r = open_blob(tree, digest, size, out, err);
	if (!r)
		audit_pull(tree, cred, repo, NULL, digest);
	return r;
}

static int note_user(void *arg, const struct ref_row *ref)
{
	struct ref_row *user = arg;

	*user = *ref;
	return 1;
}

/* ERR_IN_USE, which names one image that needs the blob; or that it is an image itself. */
static int check_unused(struct db *db, const struct removal *c, int64_t repository_id, struct err *err)
{
	char blob[DIGEST_TEXT_MAX + 1], text[DIGEST_TEXT_MAX + 1];
	struct image_row image;
	struct ref_row user;
	int r = ref_users(db, repository_id, c->digest, (enum manifest_role)0, 0, note_user, &user, err);

	digest_format(c->digest, blob);
	if (r > 0)
		r = image_by_id(db, user.manifest_id, &image, err);
	if (r > 0)
		return err_set(err, ERR_IN_USE, "the image %s@%s needs %s: delete that image first",
			       c->repo, digest_format(&image.digest, text), blob);
	if (!r)
		r = image_by_digest(db, repository_id, c->digest, &image, err);
	return r > 0 ? err_set(err, ERR_IN_USE, "%s is an image of %s: delete it as a manifest", blob,
			       c->repo) :
		       r;
}

static int rm_blob(struct db *db, void *arg, struct err *err)
{
	const struct removal *c = arg;
	struct blob_row blob;
	int r = need_blob(db, c->repo, c->digest, &blob, err);

	if (!r)
		r = check_unused(db, c, blob.repository_id, err);
	if (!r)
		r = blob_unlink(db, blob.repository_id, blob.id, err);
	if (!r)
		r = audit_change(db, c->cred, "delete", c->repo, NULL, c->digest, "blob", err);
	return r ? r : repo_settle(db, blob.repository_id, err);
}

int tree_blob_rm(struct tree *tree, const struct cred *cred, const char *repo,
		 const struct digest *digest, struct err *err)
{
	struct removal c = { .tree = tree, .cred = cred, .repo = repo, .digest = digest };
	int r = permit(tree, cred, ACTION_DELETE, repo, err);

	c.administers = !r && !permit(tree, cred, ACTION_ADMIN, repo, NULL);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "delete", .repo = repo, .digest = digest }, rm_blob, &c, err);
}
