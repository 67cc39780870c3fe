/*
 * view_hooks.c: the nodes of _hooks/: of a repository, of a namespace for all below it, and of the registry for all; those of
 * other patterns are shown by `regfs hook` only.
 *
 * Who may administer that sees them. A file is as in hook_file.h. One that was made and not written to has a node for who
 * has it open, and no name: its number is made of the repository's row and a place in struct pending.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/auth/pattern.h"
#include "fs/tree/hook_file.h"

static int64_t pending_key(const struct repo_row *repo)
{
	return repo->id ? repo->id : -1;
}

static struct node hook_node(const struct repo_row *repo, const struct hook_row *row)
{
	struct node n = node_make(KIND_HOOK, row->id);

	n.hook.repo = *repo;
	n.hook.id = row->id;
	n.hook.changed = row->changed;
	snprintf(n.hook.name, sizeof(n.hook.name), "%s", row->name);
	return n;
}

/* ---- Loading ---- */

/* The repository or the namespace that has hooks of a pattern in its _hooks: 1, or 0 where none does. */
static int find_repo(const struct look *l, const char *pattern, struct repo_row *out)
{
	char name[LIMIT_NAME + 1], same[VIEW_PATTERN_MAX + 1];
	size_t len = strlen(pattern);
	int r;

	memset(out, 0, sizeof(*out));
	if (streq(pattern, "**"))
		return 1;
	if (len > 3 && streq(pattern + len - 3, "/**"))
		len -= 3;
	snprintf(name, sizeof(name), "%.*s", (int)len, pattern);
	r = repo_by_name(l->db, name, out, l->err);
	if (r > 0)
		r = node_repo_as_seen(l, out);
	return r > 0 ? streq(view_pattern(out, same), pattern) : r;
}

struct found {
	const struct look *look;
	const struct repo_row *repo;	/* NULL: by the row's pattern */
	struct node *node;
};

static int take_row(void *arg, const struct hook_row *row)
{
	const struct found *f = arg;
	struct repo_row repo;
	int r = f->repo ? 1 : find_repo(f->look, row->pattern, &repo);

	if (r > 0)
		*f->node = hook_node(f->repo ? f->repo : &repo, row);
	return r;
}

/* One that has no row, perhaps. */
static int load_new(const struct look *l, struct node *n)
{
	char pattern[VIEW_PATTERN_MAX + 1];
	struct repo_row repo = { 0 };
	struct node written = { 0 };
	struct found f = { l, &repo, &written };
	int r = n->row_id ? repo_by_id(l->db, n->row_id, &repo, l->err) : 1;

	if (r > 0 && n->row_id)
		r = node_repo_as_seen(l, &repo);
	if (r <= 0 || !pending_name_at(l->tree->new_hooks, pending_key(&repo), n->position - 1, n->hook.name))
		return MIN(r, 0);
	n->hook.repo = repo;
	r = hook_by_name(l->db, view_pattern(&repo, pattern), n->hook.name, take_row, &f, l->err);
	n->hook.id = written.hook.id;
	n->hook.changed = written.hook.changed;
	return r < 0 ? r : 1;
}

int view_load_hook(const struct look *l, struct node *n)
{
	struct found f = { .look = l, .node = n };

	return n->position ? load_new(l, n) : hook_by_id(l->db, n->row_id, take_row, &f, l->err);
}

/* ---- The directory ---- */

int view_find_hook(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	char pattern[VIEW_PATTERN_MAX + 1];
	struct repo_row repo = n->repo;
	struct found f = { l, &repo, out };

	return hook_by_name(l->db, view_pattern(&repo, pattern), name, take_row, &f, l->err);
}

struct hook_walk {
	struct listing *ls;
	const struct node *dir;
};

static int give_hook(void *arg, const struct hook_row *row)
{
	const struct hook_walk *w = arg;
	struct node n = hook_node(&w->dir->repo, row);

	return list_give(w->ls, row->name, &n, LIST_COOKIE(0, row->id));
}

int view_list_hooks(struct listing *ls, const struct node *n, uint64_t after)
{
	struct hook_walk w = { .ls = ls, .dir = n };
	const struct look *l = listing_look(ls);
	char pattern[VIEW_PATTERN_MAX + 1];

	return hook_list_behind(l->db, view_pattern(&n->repo, pattern), view_row_after(after), give_hook, &w, l->err);
}

int view_hook_create(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name, struct node *out,
		     struct err *err)
{
	char pattern[VIEW_PATTERN_MAX + 1];
	int64_t key = pending_key(&directory->repo);
	struct digest none = { .algorithm = DIGEST_NONE };
	int place, r = permit_hook(tree, cred, view_pattern(&directory->repo, pattern), name, err);

	if (!r)
		r = pending_add(tree->new_hooks, key, name, &none, err);
	if (r && r != -EEXIST)
		return r;
	place = pending_find(tree->new_hooks, key, name, &none);
	if (place < 0)
		return err_set(err, ERR_BUSY, "%s can't be made now: try again", name);
	*out = node_make(KIND_HOOK, directory->repo.id);
	out->position = place + 1;
	return 0;
}

int view_hook_rm(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name, struct err *err)
{
	char pattern[VIEW_PATTERN_MAX + 1];

	return tree_hook_rm(tree, cred, view_pattern(&directory->repo, pattern), name, false, err);
}

/* ---- The file ---- */

static int add_text(void *arg, const struct hook_row *row)
{
	auto_buf struct buf headers = BUF_INIT;
	struct hook_row shown;

	return hook_as_shown(row, &headers, &shown) || hook_file_text(&shown, arg) ? -ENOMEM : 1;
}

int view_hook_text(const struct look *l, const struct node *n, struct buf *out)
{
	int r = n->hook.id ? hook_by_id(l->db, n->hook.id, add_text, out, l->err) : 0;

	return r < 0 ? r : buf_error(out);
}

int view_hook_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value, struct err *err)
{
	auto_hook_file struct hook_file file = HOOK_FILE_INIT;
	char pattern[VIEW_PATTERN_MAX + 1];
	int r = hook_file_read(value, &file, err);

	return r ? r : tree_hook_put(tree, cred, view_pattern(&n->hook.repo, pattern), n->hook.name, &file.change, err);
}
