/*
 * node_write.c: operations that change something through a node: tags, as links; repositories, as directories; and small files that hold a
 * value.
 *
 * What may be changed by whom is the operation's to ask that this comes to: here only what may be seen.
 */
#include "fs/base/base.h"
#include "fs/tree/inside.h"
#include "fs/tree/view.h"

#include <sys/stat.h>

#include "fs/tree/grants.h"

static int read_only(struct err *err)
{
	return err_set(err, ERR_READ_ONLY, "this can't be changed here");
}

/* Reads a node's row, and closes: what follows writes. */
static int load(struct tree *tree, const struct cred *cred, uint64_t number, struct node *out, struct err *err)
{
	auto_session struct session s = { 0 };
	int r = inside_is(number) ? read_only(err) : session_begin(&s, tree, cred, err);

	return r ? r : load_seen(&s.look, number, out);
}

/* ---- Tags ---- */

/* What a link in _tags may point to: an image of the repository, or a tag of it, which is resolved now. */
static int read_target(const struct look *l, const struct node *tags, const char *target,
		       struct digest *out)
{
	static const char images[] = "../_images/";
	const char *hex = strrchr(target, '/');
	struct tag_row tag;
	char algorithm[16];
	int r;

	if (starts_with(target, images) && hex > target + strlen(images)) {
		snprintf(algorithm, sizeof(algorithm), "%.*s", (int)(hex - target - strlen(images)),
			 target + strlen(images));
		if (digest_parse_hex(digest_algorithm_parse(algorithm), hex + 1, out, NULL) == 0)
			return 0;
	}
	if (!tag_ok(target))
		return err_set(l->err, ERR_ARGUMENT,
			       "a tag links to ../_images/<algorithm>/<hex> or to another tag, not to %.200s",
			       target);
	r = tag_by_name(l->db, tags->row_id, target, &tag, l->err);
	if (r < 0)
		return r;
	*out = tag.digest;
	return r ? 0 : err_set(l->err, ERR_MANIFEST_UNKNOWN, "there is no tag %s", target);
}

static int resolve_target(struct tree *tree, const struct cred *cred, const char *target, const struct node *tags,
			  struct digest *out, struct err *err)
{
	auto_session struct session s = { 0 };
	struct image_row image;
	int r = session_begin(&s, tree, cred, err);

	if (!r)
		r = read_target(&s.look, tags, target, out);
	return r ? r : need_image_digest(s.look.db, &tags->repo, out, &image, err);
}

/* A pending link never stands before a tag of the same name. */
static int add_pending(struct tree *tree, const struct cred *cred, const struct node *tags,
		       const char *name, const struct digest *digest, struct err *err)
{
	auto_session struct session s = { 0 };
	struct tag_row tag;
	int r = session_begin(&s, tree, cred, err);

	if (!r)
		r = tag_by_name(s.look.db, tags->row_id, name, &tag, err);
	if (r > 0)
		return err_set(err, ERR_EXISTS, "%s is a tag already", name);
	return r ? r : pending_add(tree->pending, tags->row_id, name, digest, err);
}

/* Whether a node is the _tags of a repository in which that may be done. */
static int check_tags(struct tree *tree, const struct cred *cred, const struct node *n, enum action action, struct err *err)
{
	return n->kind == KIND_TAGS ? permit(tree, cred, action, n->repo.name, err) : read_only(err);
}

static int load_tags(struct tree *tree, const struct cred *cred, uint64_t number, enum action action,
		     struct node *out, struct err *err)
{
	int r = load(tree, cred, number, out, err);

	return r ? r : check_tags(tree, cred, out, action, err);
}

int node_symlink(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		 const char *target, struct node_attr *out, struct err *err)
{
	struct node tags;
	struct digest digest;
	int r = load_tags(tree, cred, parent, ACTION_PUSH, &tags, err);

	if (!r)
		r = resolve_target(tree, cred, target, &tags, &digest, err);
	if (!r)
		r = tag_check(name, err);
	if (!r)
		r = pending_name(name) ?
			    add_pending(tree, cred, &tags, name, &digest, err) :
			    tree_tag_set_id(tree, cred, &tags.repo, name, &digest, true, err);
	return r ? r : node_lookup(tree, cred, parent, name, out, NULL, err);
}

int node_rename(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, bool noreplace, struct err *err)
{
	struct node tags;
	struct digest digest;
	int r = load_tags(tree, cred, parent, ACTION_PUSH, &tags, err);

	if (!r && parent != new_parent)
		r = err_set(err, ERR_NOT_PERMITTED,
			    "a tag can't be moved out of its repository: link the image there, then remove it here");
	if (r)
		return r;
	if (pending_find(tree->pending, tags.row_id, name, &digest) < 0) {
		r = permit(tree, cred, ACTION_DELETE, tags.repo.name, err);
		return r ? r : tree_tag_rename(tree, cred, &tags.repo, name, new_name,
					       !permit(tree, cred, ACTION_ADMIN, tags.repo.name, NULL), noreplace, err);
	}
	r = tree_tag_set_id(tree, cred, &tags.repo, new_name, &digest, noreplace, err);
	if (!r)
		pending_remove(tree->pending, tags.row_id, name);
	return r;
}

static int unlink_tag(struct tree *tree, const struct cred *cred, const struct node *tags, const char *name, struct err *err)
{
	/* What is pending was only begun, by who may push. */
	int r = check_tags(tree, cred, tags, pending_name(name) ? ACTION_PUSH : ACTION_DELETE, err);

	if (r)
		return r;
	if (pending_name(name) && pending_remove(tree->pending, tags->row_id, name))
		return 0;
	return tree_tag_rm(tree, cred, tags->repo.name, name, err);
}

static bool holds_grants(const struct node *n)
{
	return n->kind == KIND_ACCESS || n->kind == KIND_REGISTRY_ACCESS;
}

static bool holds_hooks(const struct node *n)
{
	return n->kind == KIND_HOOKS || n->kind == KIND_REGISTRY_HOOKS;
}

int node_unlink(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		struct err *err)
{
	struct node dir;
	int r = load(tree, cred, parent, &dir, err);

	if (r)
		return r;
	if (holds_hooks(&dir))
		return view_hook_rm(tree, cred, &dir, name, err);
	return holds_grants(&dir) ? view_grant_rm(tree, cred, &dir, name, err) : unlink_tag(tree, cred, &dir, name, err);
}

/* ---- Repositories ---- */

int node_mkdir(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name, struct node_attr *out,
	       struct err *err)
{
	auto_buf struct buf path = BUF_INIT;
	struct node dir;
	int r = load(tree, cred, parent, &dir, err);

	if (!r && dir.kind != KIND_ROOT && dir.kind != KIND_REPO)
		r = read_only(err);
	if (r)
		return r;
	buf_addf(&path, "%s%s%s", dir.repo.name, *dir.repo.name ? "/" : "", name);
	r = buf_error(&path) ? err_set(err, ERR_NO_MEMORY, "out of memory") : name_check(path.data, err);
	if (!r)
		r = tree_repo_add(tree, cred, path.data, err);
	/* For who makes something, that it isn't there is no reason. Said of a hidden one, too. */
	if (r == -ENOENT)
		r = err_set(err, ERR_DENIED, "making %s is not granted to %s", path.data, cred->name);
	return r ? r : node_lookup(tree, cred, parent, name, out, NULL, err);
}

/* Whether taking these bits from, or giving them to, a directory makes a repository private. */
static int check_mode(const struct look *l, const struct node *n, mode_t now, mode_t mode)
{
	if (n->kind != KIND_REPO)
		return read_only(l->err);
	if (n->repo.is_repository && !(mode & ~now) && !(mode & S_IRWXO))
		return 0;
	return err_set(l->err, ERR_NOT_PERMITTED,
		       "of modes, only a repository's can be changed, by taking all from others: write public to its"
		       " _settings/visibility to publish it");
}

static int load_private(struct tree *tree, const struct cred *cred, uint64_t number, mode_t now, mode_t mode,
			struct node *out, struct err *err)
{
	auto_session struct session s = { 0 };
	int r = inside_is(number) ? read_only(err) : session_begin(&s, tree, cred, err);

	if (!r)
		r = load_seen(&s.look, number, out);
	return r ? r : check_mode(&s.look, out, now, mode);
}

int node_chmod(struct tree *tree, const struct cred *cred, uint64_t number, mode_t mode, struct err *err)
{
	struct node_attr attr;
	struct node n;
	int r = node_getattr(tree, cred, number, &attr, err);

	mode &= ALLPERMS;
	if (r || mode == (attr.mode & ALLPERMS))
		return r;
	r = load_private(tree, cred, number, attr.mode & ALLPERMS, mode, &n, err);
	return r ? r : tree_visibility_set(tree, cred, n.repo.name, false, err);
}

/* ---- Values ---- */

static int find_person(struct tree *tree, const struct cred *cred, const struct node *dir, const char *name, struct node *out,
		       struct err *err)
{
	auto_session struct session s = { 0 };
	int r = holds_grants(dir) ? session_begin(&s, tree, cred, err) : read_only(err);

	if (!r)
		r = view_find_person(&s.look, dir, name, out);
	else
		return r;
	return r > 0 ? 0 : r ? r : err_set(err, ERR_NOT_FOUND, "nobody is called %.255s", name);
}

int node_create(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name, struct node_attr *out,
		struct err *err)
{
	struct node dir, file;
	int r = load(tree, cred, parent, &dir, err);

	if (!r)
		r = holds_hooks(&dir) ? view_hook_create(tree, cred, &dir, name, &file, err) :
					find_person(tree, cred, &dir, name, &file, err);
	return r ? r : node_getattr(tree, cred, node_number(&file), out, err);
}

int node_may_write(struct tree *tree, const struct cred *cred, uint64_t file, struct err *err)
{
	struct node n;
	int r = load(tree, cred, file, &n, err);

	return r || kind_of(n.kind)->write ? r : read_only(err);
}

int node_write(struct tree *tree, const struct cred *cred, uint64_t file, const void *data, size_t len, struct err *err)
{
	auto_free char *value = NULL;
	size_t most = LIMIT_VALUE;
	struct node n;
	int r = load(tree, cred, file, &n, err);

	if (!r && !kind_of(n.kind)->write)
		r = read_only(err);
	if (r)
		return r;
	if (kind_of(n.kind)->value_max)
		most = kind_of(n.kind)->value_max;
	if (len > most || memchr(data, '\0', len))
		return err_set(err, ERR_ARGUMENT, "that is no value: write a line, of %zu bytes at most", most);
	value = strndup(data, len);
	if (!value)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (len && value[len - 1] == '\n')
		value[len - 1] = '\0';
	return kind_of(n.kind)->write(tree, cred, &n, value, err);
}
