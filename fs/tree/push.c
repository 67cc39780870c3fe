/*
 * push.c: from an upload to a blob, from blobs to an image.
 *
 *	begin -> open -> write* -> close -> open ... -> commit
 *	                                            \-> cancel
 *
 * A blob is committed in the order that fs/store/store.h gives: the bytes are sealed
 * in the store first; the transaction that makes the row sees that the file still
 * stands; then the upload's own name goes. A manifest's bytes take the same way.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include "fs/base/timestamp.h"
#include "fs/meta/namespace.h"
#include "fs/tree/quota.h"
#include "fs/upkeep/retention.h"

struct tree_upload {
	struct tree *tree;
	struct cred cred;	/* of who opened it */
	struct store_upload *file;
	int64_t left;		/* what quotas left when it was opened: so much may come, whatever it is */
	int64_t repository_id;
	char repo[LIMIT_NAME + 1];
	char id[TREE_UPLOAD_ID_MAX + 1];
	bool ended;	/* committed, or thrown away */
};

/* Whether who asks makes the repository where a push by itself makes none: by their grants. Of a token's scopes those for
 * the push were asked for already; no client gets one for more. */
static bool may_create(struct tree *tree, const struct cred *cred, const char *repo)
{
	unsigned actions = 0;

	return !access_actions(tree, cred, repo, &actions, NULL) && actions & ACTION_ADMIN;
}

/* ---- Uploads ---- */

struct begin {
	const char *repo;
	const char *who;
	bool may_create;
	struct upload_row row;
};

/* The repository that is pushed to: made, where there is none, by who may administer it, or where its namespace lets a
 * push do that. */
static int ensure_repo(struct db *db, const char *name, bool may_create, int64_t now, struct repo_row *out,
		       struct err *err)
{
	bool creates = true;
	int r = may_create ? 1 : repo_by_name(db, name, out, err);

	if (r < 0)
		return r;
	if (!may_create && (!r || !out->is_repository)) {
		r = namespace_push_creates(db, name, &creates, err);
		if (r)
			return r;
	}
	if (!creates)
		return err_set(err, ERR_DENIED,
			       "there is no repository %s, and a push makes none there: ask for it to be made", name);
	return repo_ensure(db, name, now, out, err);
}

static int begin_upload(struct db *db, void *arg, struct err *err)
{
	struct begin *b = arg;
	struct repo_row repo = { 0 };
	int r = ensure_repo(db, b->repo, b->may_create, b->row.started, &repo, err);

	b->row.repository_id = repo.id;
	return r ? r : upload_insert(db, &b->row, b->who, err);
}

int tree_upload_begin(struct tree *tree, const struct cred *cred, const char *repo,
		      enum digest_algorithm algorithm, char id[static TREE_UPLOAD_ID_MAX + 1],
		      struct err *err)
{
	struct begin b = { .repo = repo,
			   .who = cred->name,
			   .row = { .algorithm = algorithm, .started = timestamp_now() } };
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r)
		r = name_check(repo, err);
	b.may_create = !r && may_create(tree, cred, repo);
	if (!r)
		r = store_id_new(b.row.name, err);
	if (!r)
		r = store_upload_create(tree->store, b.row.name, err);
	if (!r) {
		r = meta_write(tree->meta, false, begin_upload, &b, err);
		if (r)
			(void)!store_upload_remove(tree->store, b.row.name, NULL);
	}
	if (!r)
		snprintf(id, TREE_UPLOAD_ID_MAX + 1, "%s", b.row.name);
	return r;
}

/* The rows of an upload in progress, and what may come. */
static int find_upload(struct tree *tree, const char *name, const char *id, struct repo_row *repo,
		       struct upload_row *upload, int64_t *left, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = need_repo(rd.db, name, repo, err);
	if (r)
		return r;
	r = upload_by_name(rd.db, repo->id, id, upload, err);
	if (r < 0)
		return r;
	return r ? quota_left(rd.db, name, left, err) :
		   err_set(err, ERR_UPLOAD_UNKNOWN, "%s has no upload %.40s: begin a new one", name, id);
}

int tree_upload_stat(struct tree *tree, const struct cred *cred, const char *repo, const char *id, int64_t *size, struct err *err)
{
	struct repo_row row;
	struct upload_row upload;
	int64_t left;
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r)
		r = find_upload(tree, repo, id, &row, &upload, &left, err);
	return r ? r : store_upload_size(tree->store, id, size, err);
}

int tree_upload_open(struct tree *tree, const struct cred *cred, const char *repo, const char *id,
		     struct tree_upload **out, struct err *err)
{
	auto_free struct tree_upload *u = calloc(1, sizeof(*u));
	struct repo_row row;
	struct upload_row upload;
	struct hasher *hasher;
	int64_t hashed = 0;
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r && !u)
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!r)
		r = find_upload(tree, repo, id, &row, &upload, &u->left, err);
	if (r)
		return r;
	hasher = hashes_take(tree->hashes, id, &hashed);
	if (!hasher)
		r = hasher_new(upload.algorithm, &hasher, err);
	if (!r)
		r = store_upload_open(tree->store, id, hasher, hashed, &u->file, err);
	if (r)
		return r;
	u->tree = tree;
	u->cred = *cred;
	u->repository_id = row.id;
	snprintf(u->repo, sizeof(u->repo), "%s", repo);
	snprintf(u->id, sizeof(u->id), "%s", id);
	*out = steal(&u);
	return 0;
}

int64_t tree_upload_size(const struct tree_upload *u)
{
	return store_upload_length(u->file);
}

int tree_upload_fits(const struct tree_upload *u, const struct tree_blob_size *blob, struct err *err)
{
	return blob->size > u->left ? tree_quota_fits(u->tree, &u->cred, u->repo, blob, err) : 0;
}

/* What can't become a blob isn't taken. */
static int check_room(const struct tree_upload *u, size_t len, struct err *err)
{
	return tree_upload_fits(u, &(struct tree_blob_size){ .size = store_upload_length(u->file) + (int64_t)len }, err);
}

int tree_upload_write(struct tree_upload *u, const void *data, size_t len, struct err *err)
{
	int r = check_room(u, len, err);

	return r ? r : store_upload_write(u->file, data, len, err);
}

int tree_upload_append(struct tree_upload *u, const void *data, size_t len, struct err *err)
{
	int r = check_room(u, len, err);

	return r ? r : store_upload_append(u->file, data, len, err);
}

int tree_upload_hash(struct tree_upload *u, const void *data, size_t len, struct err *err)
{
	return store_upload_hash(u->file, data, len, err);
}

static int delete_upload(struct db *db, void *arg, struct err *err)
{
	const struct tree_upload *u = arg;
	int r = upload_delete(db, u->id, err);

	return r < 0 ? r : repo_settle(db, u->repository_id, err);
}

/* Ends an upload that came to nothing. The file goes first: on a full disk it makes room for the
 * change of the row. A row without a file can be cancelled again, and gc takes it, too. */
static int discard(struct tree_upload *u, struct err *err)
{
	int r = u->file ? store_upload_discard(u->file, err) :
			  store_upload_remove(u->tree->store, u->id, err);

	u->ended = !r;
	return r ? r : meta_write(u->tree->meta, false, delete_upload, u, err);
}

int tree_upload_cancel(struct tree *tree, const struct cred *cred, const char *repo, const char *id, struct err *err)
{
	auto_tree_upload struct tree_upload *u = NULL;
	struct tree_upload lost = { .tree = tree };
	struct repo_row row;
	struct upload_row upload;
	int64_t left;
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (r)
		return r;	/* -ENOENT, too, which means something else below */
	r = tree_upload_open(tree, cred, repo, id, &u, err);
	if (!r)
		return discard(u, err);
	/* Its file may be lost: it was begun just before the power failed. Then its row is all there is. */
	if (r != -ENOENT || find_upload(tree, repo, id, &row, &upload, &left, NULL))
		return r;
	lost.repository_id = row.id;
	snprintf(lost.id, sizeof(lost.id), "%s", upload.name);
	return discard(&lost, err);
}

/* ---- Committing ---- */

struct commit {
	struct store_upload *file;	/* NULL: the blob should be in the store already */
	const char *upload;		/* its row, or NULL */
	const char *repo;
	bool may_create;		/* the repository, where a push by itself may not */
	const struct digest *digest;
	int64_t size;
	int64_t now;
	int64_t repository_id;	/* out */
	int64_t blob_id;	/* out */
};

/* Without bytes of our own the blob must still be known, and whole: it may have been collected
 * since we looked. ERR_GONE_MEANWHILE then. */
static int still_known(struct db *db, const struct digest *digest, struct err *err)
{
	struct blob_row blob;
	int r = blob_by_digest(db, digest, &blob, err);

	if (r < 0)
		return r;
	return r && !blob.bad ? 0 : err_set(err, ERR_GONE_MEANWHILE, "the blob went meanwhile: try again");
}

/* Makes the blob known and the repository hold it. In a write transaction. */
static int commit_blob(struct db *db, void *arg, struct err *err)
{
	struct commit *c = arg;
	const struct quota_need need = { .digest = c->digest, .size = c->size, .whole = true };
	struct repo_row repo = { 0 };
	int r = c->file ? store_upload_place(c->file, c->digest, err) :
			  still_known(db, c->digest, err);

	if (!r)
		r = ensure_repo(db, c->repo, c->may_create, c->now, &repo, err);
	if (!r)
		r = quota_refuse(db, c->repo, &need, err);
	if (!r)
		r = blob_ensure(db, c->digest, c->size, c->now, &c->blob_id, err);
	if (!r)
		r = blob_link(db, repo.id, c->blob_id, c->now, err);
	if (!r && c->upload)
		r = MIN(0, upload_delete(db, c->upload, err));
	c->repository_id = repo.id;
	return r;
}

int tree_upload_commit(struct tree_upload *u, const struct digest *digest, struct err *err)
{
	struct commit c = { .file = u->file,
			    .upload = u->id,
			    .repo = u->repo,
			    .may_create = true,	/* as it was when the upload began */
			    .digest = digest,
			    .size = store_upload_length(u->file), .now = timestamp_now() };
	const struct tree_blob_size blob = { digest, c.size, true };
	struct err why = ERR_INIT;
	int64_t size;
	int r = permit(u->tree, &u->cred, ACTION_PUSH, u->repo, err);

	/* The right may have gone while the bytes came. */
	if (r)
		return r;
	r = tree_upload_fits(u, &blob, &why);
	if (!r)
		r = store_upload_seal(u->file, digest, &why);
	if (r && err)
		*err = why;
	/* Wrong bytes, too many, or bytes that the store gave up. */
	if (why.reason == ERR_DIGEST_MISMATCH || why.reason == ERR_QUOTA ||
	    (r && store_upload_size(u->tree->store, u->id, &size, NULL) == -ENOENT))
		(void)!discard(u, NULL);
	/* The grace begins with the answer, however long the disk took. */
	c.now = timestamp_now();
	if (!r)
		r = quota_failed(u->tree, &u->cred, u->repo, meta_write(u->tree->meta, true, commit_blob, &c, err), err);
	if (!r) {
		shelf_blob_came(u->tree->shelf, c.blob_id);
		u->ended = true;
		/* Left behind by a failure here, it is a second name of the blob's file: gc's. */
		(void)!store_upload_remove(u->tree->store, u->id, NULL);
	}
	return r;
}

void tree_upload_close(struct tree_upload *u)
{
	if (!u)
		return;
	if (!u->ended)
		hashes_keep(u->tree->hashes, u->id, store_upload_take_hasher(u->file),
			    store_upload_hashed(u->file));
	store_upload_close(u->file);
	free(u);
}

/* ---- Images ---- */

struct push {
	struct tree *tree;
	const struct cred *cred;
	const char *tag;	/* that the reference is, or NULL */
	const char *const *tags;	/* and these */
	size_t tag_count;
	const struct manifest *manifest;
	struct image_row row;
	struct commit commit;
	bool created;		/* out, and what the repository lacks of what the manifest names: */
	bool subject_missing;
	size_t missing_children, missing_layers;
	bool bad_expires;	/* its label says no time */
};

/* ERR_MANIFEST_BLOB_UNKNOWN with the digests that the repository doesn't hold. */
static int check_refs(struct db *db, int64_t repository_id, struct push *p, struct err *err)
{
	const struct manifest *m = p->manifest;
	auto_buf struct buf list = BUF_INIT;
	char text[DIGEST_TEXT_MAX + 1];
	size_t missing = 0;

	p->missing_layers = 0;
	buf_addc(&list, '[');
	for (size_t i = 0; i < m->ref_count; i++) {
		const struct descriptor *d = &m->refs[i];
		struct blob_row blob;
		int r;

		if (!d->distributable || (d->role != ROLE_CONFIG && d->role != ROLE_LAYER))
			continue;
		r = repository_id ? blob_in_repo(db, repository_id, &d->digest, &blob, err) : 0;
		if (r < 0)
			return r;
		if (r && !blob.bad)
			continue;
		if (!r && p->tree->sparse && d->role == ROLE_LAYER) {
			p->missing_layers++;
			continue;
		}
		if (missing++ * (DIGEST_TEXT_MAX + 3) > ERR_DETAIL_MAX - 2 * DIGEST_TEXT_MAX)
			continue;
		buf_addf(&list, "%s\"%s\"", missing > 1 ? "," : "", digest_format(&d->digest, text));
	}
	buf_addc(&list, ']');
	if (!missing)
		return 0;
	if (buf_error(&list))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	err_set(err, ERR_MANIFEST_BLOB_UNKNOWN,
		"%zu blobs of the manifest are not in %s, %s among them: push them first", missing,
		p->commit.repo, text);
	if (err)
		err_set_detail(err, list.data);
	return -err_row(ERR_MANIFEST_BLOB_UNKNOWN)->errnum;
}

/* What may be missing, and who pushed may want to know. */
static int note_missing(struct db *db, int64_t repository_id, struct push *p, struct err *err)
{
	const struct manifest *m = p->manifest;
	struct image_row image;

	for (size_t i = 0; i < m->ref_count; i++) {
		const struct descriptor *d = &m->refs[i];
		int r;

		if (d->role != ROLE_CHILD && d->role != ROLE_SUBJECT)
			continue;
		r = repository_id ? image_by_digest(db, repository_id, &d->digest, &image, err) : 0;
		if (r < 0)
			return r;
		if (!r && d->role == ROLE_CHILD)
			p->missing_children++;
		if (!r && d->role == ROLE_SUBJECT)
			p->subject_missing = true;
	}
	return 0;
}

/* An index's size and platforms come from its children that are here. */
static int sum_children(struct db *db, struct push *p, struct err *err)
{
	const struct manifest *m = p->manifest;
	auto_buf struct buf platforms = BUF_INIT;
	struct image_row child;

	for (size_t i = 0; i < m->ref_count; i++) {
		const struct descriptor *d = &m->refs[i];
		int r;

		if (d->role != ROLE_CHILD)
			continue;
		r = image_by_digest(db, p->commit.repository_id, &d->digest, &child, err);
		if (r < 0)
			return r;
		p->row.size += r ? child.size : 0;
		if (d->platform || (r && *child.platform))
			buf_addf(&platforms, "%s%s", platforms.len ? "," : "",
				 d->platform ? d->platform : child.platform);
	}
	snprintf(p->row.platform, sizeof(p->row.platform), "%s", platforms.data);
	return buf_error(&platforms) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int insert_image(struct db *db, struct push *p, struct err *err)
{
	struct image_row old;
	int r = check_refs(db, p->commit.repository_id, p, err);

	if (!r)
		r = image_by_digest(db, p->commit.repository_id, p->commit.digest, &old, err);
	if (r > 0) {
		p->row.id = old.id;
		return image_renew(db, old.id, p->commit.now, p->row.expires, err);
	}
	p->row.repository_id = p->commit.repository_id;
	p->row.blob_id = p->commit.blob_id;
	if (!r && p->row.is_index)
		r = sum_children(db, p, err);
	if (!r)
		r = image_insert(db, &p->row, p->manifest, err);
	if (!r)
		r = repo_settle(db, p->commit.repository_id, err);
	p->created = !r;
	return r;
}

/* Sets a tag, with its event. */
static int push_tag(struct db *db, struct push *p, const char *tag, struct err *err)
{
	bool changed;

	return name_tag(db, &(struct tag_move){ .cred = p->cred, .kind = "push", .always = true, .repo = p->commit.repo,
						 .repository_id = p->commit.repository_id, .tag = tag,
						 .manifest_id = p->row.id, .digest = p->commit.digest }, &changed, err);
}

static int push_image(struct db *db, void *arg, struct err *err)
{
	struct push *p = arg;
	int r = commit_blob(db, &p->commit, err);

	if (!r)
		r = insert_image(db, p, err);
	if (!r && p->tag)
		r = push_tag(db, p, p->tag, err);
	for (size_t i = 0; !r && i < p->tag_count; i++)
		r = push_tag(db, p, p->tags[i], err);
	if (!r && !p->tag && !p->tag_count)
		r = add_event(db, p->cred, "push", p->commit.repo, NULL, p->commit.digest, p->created,
			      err);
	return r;
}

/* Tags that may not move, or come: known before what the manifest names is asked for. */
static int refuse_moves(struct db *db, int64_t repository_id, const struct push *p, struct err *err)
{
	int r = p->tag ? refuse_move(db, p->commit.repo, repository_id, p->tag, p->commit.digest, err) : 0;

	for (size_t i = 0; !r && i < p->tag_count; i++)
		r = refuse_move(db, p->commit.repo, repository_id, p->tags[i], p->commit.digest, err);
	return r;
}

/* Looks before anything is written: most bad pushes end here. *known: the repository has the image. */
static int look_before(struct tree *tree, struct push *p, bool *known, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row repo;
	struct blob_row blob;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = repo_by_name(rd.db, p->commit.repo, &repo, err);
	if (r < 0)
		return r;
	if (!r)
		repo.id = 0;
	r = refuse_moves(rd.db, repo.id, p, err);
	if (!r)
		r = quota_refuse(rd.db, p->commit.repo, &(struct quota_need){ p->commit.digest, p->commit.size, true, 0 }, err);
	if (!r)
		r = check_refs(rd.db, repo.id, p, err);
	if (!r)
		r = note_missing(rd.db, repo.id, p, err);
	if (!r)
		r = blob_by_digest(rd.db, p->commit.digest, &blob, err);
	if (r > 0)
		r = blob.bad ? 0 : store_blob_exists(tree->store, p->commit.digest, err);
	*known = r > 0;
	return MIN(r, 0);
}

/* When its tags are to go: its annotation or else the config's label, where it says that in a way that is one. */
static void describe_end(struct push *p, const char *label)
{
	const char *annotation = manifest_annotation(p->manifest, IMAGE_EXPIRES);
	const char *text = annotation ? annotation : label;
	int64_t end;

	if (!*text)
		return;
	p->bad_expires = strlen(text) > IMAGE_EXPIRES_MAX || !retention_end(text, p->commit.now, &end);
	if (!p->bad_expires)
		snprintf(p->row.expires, sizeof(p->row.expires), "%s", text);
}

/* Fills in what is known of an image from its manifest and config. */
static int describe(struct tree *tree, struct push *p, size_t size, struct err *err)
{
	const struct manifest *m = p->manifest;
	const struct descriptor *config = manifest_config(m);
	auto_buf struct buf bytes = BUF_INIT;
	struct image_config facts = { 0 };

	p->row.bytes = p->row.size = (int64_t)size;
	p->row.is_index = m->kind == MANIFEST_INDEX;
	p->row.pushed = p->commit.now;
	snprintf(p->row.media_type, sizeof(p->row.media_type), "%s", m->media_type);
	snprintf(p->row.artifact_type, sizeof(p->row.artifact_type), "%s",
		 m->artifact_type ? m->artifact_type : "");
	for (size_t i = 0; i < m->ref_count; i++)
		if (m->refs[i].role == ROLE_CONFIG || m->refs[i].role == ROLE_LAYER)
			p->row.size += m->refs[i].size;
	if (!config) {
		describe_end(p, "");
		return 0;
	}
	p->row.config = config->digest;
	if (media_type_is_image_config(config->media_type)) {
		int r = read_config(tree, &p->row, &bytes, err);

		if (r)
			return r;
		image_config_parse(bytes.data, bytes.len, &facts);
	}
	describe_end(p, facts.expires);
	p->row.created = facts.created;
	snprintf(p->row.platform, sizeof(p->row.platform), "%s", facts.platform);
	return 0;
}

/* Puts the manifest's bytes into the store: sealed under the digest's name, `id` is still theirs too. */
static int store_bytes(struct tree *tree, const void *data, size_t size, const struct digest *d,
		       char id[static STORE_ID_MAX + 1], struct store_upload **out, struct err *err)
{
	struct hasher *hasher = NULL;
	int r = store_id_new(id, err);

	if (!r)
		r = store_upload_create(tree->store, id, err);
	if (!r)
		r = hasher_new((enum digest_algorithm)d->algorithm, &hasher, err);
	if (!r)
		r = store_upload_open(tree->store, id, hasher, 0, out, err);
	if (!r)
		r = store_upload_write(*out, data, size, err);
	if (!r)
		r = store_upload_seal(*out, d, err);
	return r;
}

/* The digest that the bytes have, and the tag, if the reference is one. */
static int read_reference(const char *reference, const void *data, size_t size, struct digest *d,
			  const char **tag, struct err *err)
{
	char said[DIGEST_TEXT_MAX + 1], is[DIGEST_TEXT_MAX + 1];
	struct digest want;
	int r;

	*tag = NULL;
	if (!strchr(reference, ':')) {
		*tag = reference;
		r = tag_check(reference, err);
		return r ? r : digest_of(DIGEST_SHA256, data, size, d, err);
	}
	r = digest_parse(reference, &want, err);
	if (!r)
		r = digest_of((enum digest_algorithm)want.algorithm, data, size, d, err);
	if (!r && !digest_equal(d, &want))
		r = err_set(err, ERR_DIGEST_MISMATCH, "the manifest has the digest %s, not %s",
			    digest_format(d, is), digest_format(&want, said));
	return r;
}

/* Writes the bytes unless the store has them, and commits. */
static int commit_bytes(struct tree *tree, struct push *p, bool known, const void *data, size_t size, struct err *err)
{
	auto_store_upload struct store_upload *file = NULL;
	char id[STORE_ID_MAX + 1] = "";
	int r = known ? 0 : store_bytes(tree, data, size, p->commit.digest, id, &file, err);

	p->commit.file = file;
	if (!r)
		r = meta_write(tree->meta, true, push_image, p, err);
	p->commit.file = NULL;
	/* Where it came to nothing, what was sealed is gc's. */
	if (r && file)
		(void)!store_upload_discard(file, NULL);
	else if (*id)
		(void)!store_upload_remove(tree->store, id, NULL);
	return r;
}

static int store_and_commit(struct tree *tree, struct push *p, const void *data, size_t size, struct err *err)
{
	bool known;
	int r = look_before(tree, p, &known, err);

	if (!r)
		r = describe(tree, p, size, err);
	if (!r)
		r = commit_bytes(tree, p, known, data, size, err);
	if (r == -ESTALE)
		r = commit_bytes(tree, p, false, data, size, err);
	return r;
}

int tree_image_push(struct tree *tree, const struct cred *cred, const char *repo,
		    const char *reference, const char *content_type, const void *data, size_t size,
		    struct tree_pushed *out, struct err *err)
{
	return tree_image_push_tags(tree, cred, repo, reference, NULL, 0, content_type, data, size, out, err);
}

int tree_image_push_tags(struct tree *tree, const struct cred *cred, const char *repo,
			 const char *reference, const char *const *tags, size_t tag_count,
			 const char *content_type, const void *data, size_t size,
			 struct tree_pushed *out, struct err *err)
{
	auto_manifest struct manifest m = { 0 };
	struct digest digest;
	struct push p = { .tree = tree,
			  .cred = cred,
			  .tags = tags,
			  .tag_count = tag_count,
			  .manifest = &m,
			  .commit = { .repo = repo,
				      .digest = &digest,
				      .size = (int64_t)size,
				      .now = timestamp_now() } };
	const struct descriptor *subject;
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (r)
		return r;
	r = name_check(repo, err);
	if (!r)
		r = read_reference(reference, data, size, &digest, &p.tag, err);
	if (!r && tag_count > LIMIT_PUSH_TAGS)
		r = err_set(err, ERR_TAG_INVALID, "a manifest is pushed with at most %d tags, not %zu",
			    LIMIT_PUSH_TAGS, tag_count);
	for (size_t i = 0; !r && i < tag_count; i++)
		r = tag_check(tags[i], err);
	if (!r)
		r = manifest_parse(data, size, content_type, &m, err);
	p.commit.may_create = !r && may_create(tree, cred, repo);
	if (!r)
		r = store_and_commit(tree, &p, data, size, err);
	if (r)
		return audit_failed(tree, &(struct attempt){ cred, "push", .repo = repo, .tag = p.tag }, r, err);
	memset(out, 0, sizeof(*out));
	out->digest = digest;
	out->created = p.created;
	out->subject_missing = p.subject_missing;
	out->missing_children = p.missing_children;
	out->missing_layers = p.missing_layers;
	out->bad_expires = p.bad_expires;
	subject = manifest_subject(&m);
	if (subject)
		out->subject = subject->digest;
	if (tree->inside.index_on_push && m.kind == MANIFEST_IMAGE &&
	    media_type_is_image_config(manifest_config(&m)->media_type))
		shelf_prepare(tree->shelf, p.row.id);
	return 0;
}

/* ---- Blobs that are here already ---- */

struct mount {
	const char *from;
	struct commit commit;
};

/* The same whether `from` isn't there, hasn't the blob, or may not be seen. */
static int not_held(const struct mount *m, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];

	return err_set(err, ERR_BLOB_UNKNOWN, "%.255s holds no blob %s",
		       m->from ? m->from : "the registry", digest_format(m->commit.digest, text));
}

static int mount_blob(struct db *db, void *arg, struct err *err)
{
	struct mount *m = arg;
	struct repo_row from;
	struct blob_row blob;
	int r = m->from ? repo_by_name(db, m->from, &from, err) : 0;

	if (r < 0)
		return r;
	if (m->from && !r)
		return not_held(m, err);
	r = m->from ? blob_in_repo(db, from.id, m->commit.digest, &blob, err) :
		      blob_by_digest(db, m->commit.digest, &blob, err);
	if (r < 0)
		return r;
	if (!r || blob.bad)
		return not_held(m, err);
	m->commit.size = blob.size;
	return commit_blob(db, &m->commit, err);
}

/* A repository that holds the blob and may be pulled from: 1, or 0 if there is none. */
static int find_source(struct tree *tree, const struct cred *cred, const struct digest *digest, struct repo_row *out,
		       struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct blob_row blob;
	struct ask ask;
	int r = tree_reader(tree, &rd, err);

	access_ask(&ask, tree, rd.db, cred, err);
	if (!r)
		r = blob_by_digest(rd.db, digest, &blob, err);
	return r > 0 ? access_may_read_blob(&ask, blob.id, out) : r;
}

int tree_blob_mount(struct tree *tree, const struct cred *cred, const char *repo, const char *from,
		    const struct digest *digest, struct err *err)
{
	struct mount m = { .from = from,
			   .commit = { .repo = repo, .digest = digest, .now = timestamp_now() } };
	struct repo_row any;
	struct err why = ERR_INIT;	/* for the audit trail only */
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r)
		r = name_check(repo, err);
	if (r)
		return r;
	if (from && permit(tree, cred, ACTION_PULL, from, &why))
		return not_held(&m, err);
	if (!from && !cred_is_boundless(cred)) {
		r = find_source(tree, cred, digest, &any, err);
		if (r <= 0)
			return r ? r : not_held(&m, err);
		m.from = any.name;
	}
	m.commit.may_create = may_create(tree, cred, repo);
	return quota_failed(tree, cred, repo, meta_write(tree->meta, true, mount_blob, &m, err), err);
}
