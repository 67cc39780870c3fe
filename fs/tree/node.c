/*
 * node.c: operations on nodes, over the table of kinds. Those that write are in node_write.c.
 *
 * Each: read the node's row, ask permission, do what its kind says. Extended attributes are in node_xattr.c.
 */
#include "fs/base/base.h"
#include "fs/tree/inside.h"
#include "fs/tree/quota.h"
#include "fs/tree/view.h"

#include <sys/stat.h>

#define ROW_MASK (((uint64_t)1 << NODE_ROW_BITS) - 1)
#define POSITION_MASK ((1u << NODE_POSITION_BITS) - 1)

/* ---- Numbers and rows ---- */

uint64_t node_number(const struct node *n)
{
	if (n->kind == KIND_ROOT)
		return NODE_ROOT;
	if (kind_of(n->kind)->inside)
		return kind_of(n->kind)->inside(n);
	return (uint64_t)n->kind << NODE_KIND_SHIFT | (uint64_t)n->position << NODE_ROW_BITS |
	       (uint64_t)n->row_id;
}

static int load_repo(const struct look *l, int64_t id, struct repo_row *out)
{
	int r = repo_by_id(l->db, id, out, l->err);

	return r > 0 ? node_repo_as_seen(l, out) : r;
}

static int load_row(const struct look *l, struct node *n)
{
	switch (kind_of(n->kind)->row) {
	case ROW_NONE:
		return 1;
	case ROW_REPO:
		return load_repo(l, n->row_id, &n->repo);
	case ROW_IMAGE:
		return image_by_id(l->db, n->row_id, &n->image, l->err);
	case ROW_BLOB:
		return blob_by_id(l->db, n->row_id, &n->blob, l->err);
	case ROW_LINK:
		return blob_by_link(l->db, n->row_id, &n->blob, l->err);
	case ROW_TAG:
		return tag_by_id(l->db, n->row_id, &n->tag, l->err);
	case ROW_REF:
		return ref_by_id(l->db, n->row_id, &n->ref, l->err);
	case ROW_UPLOAD:
		return upload_by_id(l->db, n->row_id, &n->upload, l->err);
	case ROW_HISTORY:
		return history_by_id(l->db, n->row_id, &n->history, l->err);
	case ROW_PENDING:
		return pending_at(l->tree->pending, n->row_id, n->position, &n->tag.digest);
	case ROW_GRANT:
		return view_load_grant(l, n);
	case ROW_HOOK:
		return view_load_hook(l, n);
	}
	return 0;
}

int node_load(const struct look *l, uint64_t number, struct node *out)
{
	const struct kind *k;
	int r;

	memset(out, 0, sizeof(*out));
	if (number != NODE_ROOT) {
		uint64_t kind = number >> NODE_KIND_SHIFT;

		if (kind >= KIND_COUNT)
			return err_set(l->err, ERR_NOT_FOUND, "no such node");
		out->kind = (enum node_kind)kind;
		out->position = (int)(number >> NODE_ROW_BITS & POSITION_MASK);
		out->row_id = (int64_t)(number & ROW_MASK);
	}
	k = kind_of(out->kind);
	/* A node has one number: what its kind doesn't use is 0. */
	r = node_number(out) != number || (k->row == ROW_NONE && out->row_id) ||
			    (k->row != ROW_PENDING && k->row != ROW_GRANT && k->row != ROW_HOOK && out->position) ?
		    0 :
		    load_row(l, out);
	if (r > 0 && k->present)
		r = k->present(l, out);
	if (r < 0)
		return r;
	return r ? 0 : err_set(l->err, ERR_NOT_FOUND, "it is gone");
}

/* The identifier of a row that a find or a resolve has read. */
static void set_row_id(struct node *n)
{
	switch (kind_of(n->kind)->row) {
	case ROW_REPO:
		n->row_id = n->repo.id;
		break;
	case ROW_IMAGE:
		n->row_id = n->image.id;
		break;
	case ROW_BLOB:
		n->row_id = n->blob.id;
		break;
	case ROW_LINK:
		n->row_id = n->blob.link_id;
		break;
	case ROW_TAG:
		n->row_id = n->tag.id;
		break;
	case ROW_REF:
		n->row_id = n->ref.id;
		break;
	case ROW_UPLOAD:
		n->row_id = n->upload.id;
		break;
	case ROW_HISTORY:
		n->row_id = n->history.id;
		break;
	case ROW_NONE:
	case ROW_PENDING:
	case ROW_GRANT:
	case ROW_HOOK:
		break;
	}
}

void session_end(struct session *s)
{
	meta_reader_release(&s->reader);
}

int session_begin(struct session *s, struct tree *tree, const struct cred *cred, struct err *err)
{
	int r = tree_reader(tree, &s->reader, err);

	s->look = (struct look){ .tree = tree, .db = s->reader.db, .cred = cred, .err = err };
	access_ask(&s->look.ask, tree, s->reader.db, cred, err);
	return r ? r : db_begin_read(s->reader.db, err);
}

/* ---- Permission: everything in a repository may be read by who may pull from it, but for what its kind says ---- */

/* The repository that a node is in: 0 where it is in none, or stands for bytes that several may hold. */
static int64_t repository_of(const struct node *n)
{
	switch (kind_of(n->kind)->row) {
	case ROW_REPO:
	case ROW_PENDING:
		return n->row_id;
	case ROW_IMAGE:
		return n->image.repository_id;
	case ROW_LINK:
		return n->blob.repository_id;
	case ROW_TAG:
		return n->tag.repository_id;
	case ROW_REF:
		return n->ref.repository_id;
	case ROW_UPLOAD:
		return n->upload.repository_id;
	case ROW_HISTORY:
		return n->history.repository_id;
	case ROW_GRANT:
		return n->grant.repo.id;
	case ROW_HOOK:
		return n->hook.repo.id;
	case ROW_NONE:
	case ROW_BLOB:
		break;
	}
	return 0;
}

int node_repo_as_seen(const struct look *l, struct repo_row *row)
{
	int r = cred_is_boundless(l->cred) || !row->is_repository ? 1 : access_may_pull(&l->ask, row);

	if (!r)
		row->is_repository = row->public = false;
	return MIN(r, 0) ? r : 1;
}

static int may_do(const struct look *l, const struct repo_row *row, unsigned action)
{
	unsigned actions = 0;
	int r = access_row(&l->ask, row, &actions);

	return r == -EACCES ? 0 : r ? r : (actions & action) != 0;
}

/* The repository that a node is in, or all below the namespace, or the registry. */
static int may_administer(const struct look *l, const struct node *n)
{
	char pattern[LIMIT_NAME + 4];
	enum row_type row = kind_of(n->kind)->row;

	if ((row != ROW_REPO && row != ROW_GRANT && row != ROW_HOOK) || !n->repo.id)
		return access_is_administrator(&l->ask);
	if (n->repo.is_repository)
		return may_do(l, &n->repo, ACTION_ADMIN);
	snprintf(pattern, sizeof(pattern), "%s/**", n->repo.name);
	return access_covers(&l->ask, pattern);
}

static int may_do_in(const struct look *l, int64_t repository_id, unsigned action)
{
	struct repo_row row;
	int r = load_repo(l, repository_id, &row);

	return r > 0 ? may_do(l, &row, action) : r;
}

int node_may_see(const struct look *l, const struct node *n)
{
	const struct kind *k = kind_of(n->kind);
	int r;

	if (cred_is_boundless(l->cred))
		return 1;
	if (k->action == ACTION_ADMIN)
		return may_administer(l, n);
	if (k->row == ROW_NONE)
		return 1;
	if (k->row == ROW_BLOB)
		return access_may_read_blob(&l->ask, n->row_id, NULL);
	if (k->action)
		return may_do_in(l, repository_of(n), k->action);
	if (k->row != ROW_REPO)
		return access_may_pull_id(&l->ask, repository_of(n));
	r = access_may_pull(&l->ask, &n->repo);
	/* A namespace shows to whoever may see something below it. */
	return r || n->kind != KIND_REPO ? r : reach_below(&l->ask, n->repo.name);
}

int load_seen(const struct look *l, uint64_t number, struct node *out)
{
	int r = node_load(l, number, out);

	if (!r)
		r = node_may_see(l, out);
	else
		return r;
	return r > 0 ? 0 : r ? r : err_set(l->err, ERR_NOT_FOUND, "it is gone");
}

/* Who may lose the right to it is to ask each time. */
static void forget_unless(bool boundless, struct node_attr *attr)
{
	if (!boundless)
		attr->name_forever = attr->attr_forever = attr->data_forever = false;
}

/* ---- Attributes ---- */

static int ref_time(const struct look *l, const struct node *n, int64_t *out)
{
	struct image_row image;
	int r = image_by_id(l->db, n->ref.manifest_id, &image, l->err);

	*out = r > 0 ? image.pushed : 0;
	return MIN(r, 0);
}

/* When something that stands in several repositories came first, or one that may not be seen did, is for those to know who see all. */
static int hidden_time(const struct look *l, int64_t time, int64_t *out)
{
	*out = time;
	return cred_is_boundless(l->cred) ? 0 : registry_created(l->db, out, l->err);
}

static int time_of(const struct look *l, const struct node *n, int64_t *out)
{
	*out = 0;
	if (kind_of(n->kind)->mtime)
		return kind_of(n->kind)->mtime(l, n, out);
	switch (kind_of(n->kind)->row) {
	case ROW_REPO:
		*out = n->repo.changed;
		return n->repo.is_repository ? 0 : hidden_time(l, *out, out);
	case ROW_IMAGE:
		*out = n->image.pushed;
		return 0;
	case ROW_BLOB:
	case ROW_LINK:
		return hidden_time(l, n->blob.created, out);
	case ROW_GRANT:
		*out = n->grant.created;
		return 0;
	case ROW_HOOK:
		*out = n->hook.changed;
		return 0;
	case ROW_TAG:
		*out = n->tag.moved;
		return 0;
	case ROW_REF:
		return ref_time(l, n, out);
	case ROW_UPLOAD:
		*out = n->upload.started;
		return 0;
	case ROW_HISTORY:
		return view_history_time(l, n, out);
	case ROW_NONE:
	case ROW_PENDING:
		return registry_created(l->db, out, l->err);
	}
	return 0;
}

int no_memory(const struct look *l, const struct buf *b)
{
	return buf_error(b) ? err_set(l->err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int size_of(const struct look *l, const struct node *n, int64_t *out)
{
	const struct kind *k = kind_of(n->kind);
	auto_buf struct buf text = BUF_INIT;
	int r = 0;

	*out = 0;
	if (n->kind == KIND_BLOB) {
		*out = n->blob.size;
		return 0;
	}
	if (n->kind == KIND_UPLOAD)
		return store_upload_size(l->tree->store, n->upload.name, out, l->err);
	if (k->size)
		return k->size(l, n, out);
	if (k->text)
		r = k->text(l, n, &text);
	else if (k->link)
		r = k->link(l, n, &text);
	*out = (int64_t)text.len;
	return r ? r : no_memory(l, &text);
}

/* A private repository's shows it. */
static mode_t mode_of(const struct node *n)
{
	mode_t mode = kind_of(n->kind)->mode;

	return n->kind == KIND_REPO && n->repo.is_repository && !n->repo.public ? mode & ~(mode_t)S_IRWXO : mode;
}

static int fill_attr(const struct look *l, const struct node *n, bool name_forever,
		     struct node_attr *out)
{
	const struct kind *k = kind_of(n->kind);
	int64_t places = 1;
	int r;

	*out = (struct node_attr){ .id = 0 };
	/* In a listing: what it is by itself isn't asked for, and would take as long as opening it. */
	if (k->inside) {
		inside_closed_attr(k->inside(n), out);
		return 0;
	}
	r = size_of(l, n, &out->size);

	if (!r)
		r = time_of(l, n, &out->mtime);
	/* How often it stands elsewhere is for those to know who see all of it. */
	if (!r && n->kind == KIND_BLOB && cred_is_boundless(l->cred))
		r = blob_places(l->db, &n->blob, &places, l->err);
	if (r)
		return r;
	out->id = node_number(n);
	out->mode = mode_of(n);
	out->links = (uint64_t)places;
	out->name_forever = name_forever;
	out->attr_forever = k->fixed && k->fixed_data;
	out->data_forever = k->fixed_data;
	forget_unless(cred_is_boundless(l->cred), out);
	return 0;
}

/* The node of a row by which what is inside an image or a layer is known. */
static struct node door_of(uint64_t number)
{
	enum shelf_kind kind;
	int64_t slot = inside_slot(number, &kind);

	return (struct node){ .kind = kind == SHELF_IMAGE ? KIND_IMAGE : KIND_BLOB, .row_id = slot };
}

int node_enter(struct tree *tree, const struct cred *cred, uint64_t number, struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n;
	int r;

	if (!inside_is(number))
		return 0;
	if (cred_is_boundless(cred))
		return 1;
	n = door_of(number);
	r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, node_number(&n), &n);
	return r ? r : 1;
}

int node_getattr(struct tree *tree, const struct cred *cred, uint64_t number, struct node_attr *out,
		 struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n;
	int r = node_enter(tree, cred, number, err);

	if (r > 0) {
		r = inside_getattr(tree, number, out, err);
		forget_unless(cred_is_boundless(cred), out);
		return r;
	}
	if (!r)
		r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, number, &n);
	return r ? r : fill_attr(&s.look, &n, false, out);
}

bool node_is_inside(uint64_t node)
{
	return inside_is(node);
}

/* ---- Children ---- */

/* The child of that kind, with a fixed name: 1, or 0 if this parent has none. */
static int fixed_child(const struct look *l, const struct node *parent, const struct kind *k,
		       struct node *out)
{
	struct node child = *parent;
	int r;

	child.kind = k->kind;
	r = k->action ? node_may_see(l, &child) : 1;
	if (r > 0 && k->present)
		r = k->present(l, &child);
	if (r <= 0)
		return r;
	*out = child;
	if (!k->resolve)
		return 1;
	r = k->resolve(l, &child, out);
	if (r > 0)
		set_row_id(out);
	return r;
}

static const struct kind *kind_named(enum node_kind parent, const char *name)
{
	for (size_t i = KIND_ROOT + 1; i < KIND_COUNT; i++) {
		const struct kind *k = kind_of((enum node_kind)i);

		if (k->name && k->parent == parent && streq(k->name, name))
			return k;
	}
	return NULL;
}

/* 1 and the child, 0: none. *fixed: name -> child never changes. */
static int find_child_node(const struct look *l, const struct node *parent, const char *name,
			   struct node *out, bool *fixed)
{
	const struct kind *dir = kind_of(parent->kind), *k = kind_named(parent->kind, name);
	int r;

	*fixed = k && k->fixed;
	if (k)
		return fixed_child(l, parent, k, out);
	if (!dir->find)
		return 0;
	r = dir->find(l, parent, name, out);
	if (r > 0)
		set_row_id(out);
	if (r <= 0 || !kind_of(out->kind)->apart)
		return r;
	r = node_may_see(l, out);
	if (!r && out->kind == KIND_REPO)
		audit_hidden(l->tree, l->cred, out->repo.name);
	return r;
}

static int need_directory(const struct look *l, uint64_t number, struct node *out)
{
	int r = load_seen(l, number, out);

	if (!r && !S_ISDIR(kind_of(out->kind)->mode))
		r = err_set(l->err, ERR_NOT_DIRECTORY, "it is not a directory");
	return r;
}

static int lookup_outside(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
			  struct node_attr *out, bool *absent_forever, struct err *err)
{
	auto_session struct session s = { 0 };
	struct node dir, child;
	bool fixed;
	int r = session_begin(&s, tree, cred, err);

	if (!r)
		r = need_directory(&s.look, parent, &dir);
	if (r)
		return r;
	r = find_child_node(&s.look, &dir, name, &child, &fixed);
	if (r > 0)
		return fill_attr(&s.look, &child, fixed, out);
	*absent_forever = r == 0 && kind_of(dir.kind)->fixed_data && cred_is_boundless(cred);
	return r ? r : err_set(err, ERR_NOT_FOUND, "there is no %.255s here", name);
}

int node_lookup(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		struct node_attr *out, bool *absent_forever, struct err *err)
{
	uint64_t door;
	bool ignored;
	int r = node_enter(tree, cred, parent, err);

	if (!absent_forever)
		absent_forever = &ignored;
	*absent_forever = r > 0 && cred_is_boundless(cred);
	if (r < 0)
		return r;
	if (r) {
		r = inside_lookup(tree, parent, name, out, err);
		forget_unless(cred_is_boundless(cred), out);
		return r;
	}
	r = lookup_outside(tree, cred, parent, name, out, absent_forever, err);
	if (r || !inside_is(out->id))
		return r;
	/* Its index may have to be made now: no state of the database is held for that. */
	door = out->id;
	if (inside_getattr(tree, door, out, err))
		inside_closed_attr(door, out);
	forget_unless(cred_is_boundless(cred), out);
	return 0;
}

/* ---- Listing ---- */

struct listing {
	struct look look;
	node_entry_fn *fn;
	void *arg;
};

const struct look *listing_look(const struct listing *ls)
{
	return &ls->look;
}

int list_give(struct listing *ls, const char *name, const struct node *n, uint64_t cookie)
{
	struct node_attr attr;
	int r = kind_of(n->kind)->apart ? node_may_see(&ls->look, n) : 1;

	if (r <= 0)
		return r;
	r = fill_attr(&ls->look, n, false, &attr);
	/* An entry that went while it was being read is not there; any other failure is one. */
	if (r)
		return r == -ENOENT ? 0 : r;
	return ls->fn(ls->arg, name, &attr, cookie) ? 1 : 0;
}

/* Children with fixed names: their cookie is their kind. */
static int list_fixed(struct listing *ls, const struct node *dir, uint64_t cookie)
{
	for (size_t i = MAX(cookie + 1, (uint64_t)KIND_ROOT + 1); i < KIND_COUNT; i++) {
		const struct kind *k = kind_of((enum node_kind)i);
		struct node child;
		struct node_attr attr;
		int r;

		if (!k->name || k->parent != dir->kind)
			continue;
		r = fixed_child(&ls->look, dir, k, &child);
		if (r > 0) {
			r = fill_attr(&ls->look, &child, k->fixed && !k->inside, &attr);
			if (!r && ls->fn(ls->arg, k->name, &attr, i))
				return 1;
		}
		if (r && r != -ENOENT)
			return r;
	}
	return 0;
}

/* An entry from inside, for who may lose the right to it. */
static int give_unkept(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	const struct listing *ls = arg;
	struct node_attr unkept = *attr;

	forget_unless(false, &unkept);
	return ls->fn(ls->arg, name, &unkept, next);
}

int node_list(struct tree *tree, const struct cred *cred, uint64_t directory, uint64_t cookie,
	      node_entry_fn *fn, void *arg, struct err *err)
{
	auto_session struct session s = { 0 };
	struct listing ls = { .fn = fn, .arg = arg };
	struct node dir;
	int r = node_enter(tree, cred, directory, err);

	if (r > 0 && cred_is_boundless(cred))
		return inside_list(tree, directory, cookie, fn, arg, err);
	if (r > 0)
		return inside_list(tree, directory, cookie, give_unkept, &ls, err);
	if (!r)
		r = session_begin(&s, tree, cred, err);
	if (!r)
		r = need_directory(&s.look, directory, &dir);
	ls.look = s.look;
	if (!r && cookie < LIST_FIRST)
		r = list_fixed(&ls, &dir, cookie);
	if (!r && kind_of(dir.kind)->list)
		r = kind_of(dir.kind)->list(&ls, &dir, MAX(cookie, LIST_FIRST));
	return MIN(r, 0);
}

/* The directory that holds one without a fixed name. */
static struct node dynamic_parent(const struct node *n)
{
	struct node p = { .kind = KIND_ROOT };
	bool long_digest = n->kind != KIND_REPO && n->blob.digest.algorithm == DIGEST_SHA512;

	switch (n->kind) {
	case KIND_REPO:
		p.kind = n->repo.parent_id ? KIND_REPO : KIND_ROOT;
		p.row_id = n->repo.parent_id;
		break;
	case KIND_IMAGE:
		p.kind = n->image.digest.algorithm == DIGEST_SHA512 ? KIND_IMAGES_SHA512 :
								      KIND_IMAGES_SHA256;
		p.row_id = n->image.repository_id;
		break;
	case KIND_LAYER:
		p.kind = long_digest ? KIND_LAYERS_SHA512 : KIND_LAYERS_SHA256;
		p.row_id = n->blob.repository_id;
		break;
	case KIND_HISTORY_TAG:
		p.kind = KIND_HISTORY;
		p.row_id = n->history.repository_id;
		break;
	case KIND_USES:
		p.kind = long_digest ? KIND_ALL_USED_BY_SHA512 : KIND_ALL_USED_BY_SHA256;
		break;
	default:
		break;
	}
	return p;
}

int node_parent(struct tree *tree, const struct cred *cred, uint64_t directory, uint64_t *parent,
		struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n, p;
	bool outside;
	int r = node_enter(tree, cred, directory, err);

	if (r > 0)
		r = inside_parent(tree, directory, parent, &outside, err);
	if (r < 0 || inside_is(directory)) {
		if (!r && outside)
			*parent = *parent ? node_number(&(struct node){ .kind = KIND_IMAGE, .row_id = (int64_t)*parent }) :
					    directory;
		return r;
	}
	r = session_begin(&s, tree, cred, err);

	if (!r)
		r = need_directory(&s.look, directory, &n);
	if (r)
		return r;
	if (kind_of(n.kind)->name) {
		p = n;
		p.kind = kind_of(n.kind)->parent;
	} else {
		p = dynamic_parent(&n);
	}
	*parent = node_number(&p);
	return 0;
}

/* ---- Links and files ---- */

int node_readlink(struct tree *tree, const struct cred *cred, uint64_t link, struct buf *out,
		  struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n;
	int r = node_enter(tree, cred, link, err);

	if (r)
		return r < 0 ? r : inside_readlink(tree, link, out, err);
	r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, link, &n);
	if (!r && !kind_of(n.kind)->link)
		r = err_set(err, ERR_ARGUMENT, "it is not a link");
	if (!r)
		r = kind_of(n.kind)->link(&s.look, &n, out);
	return r ? r : no_memory(&s.look, out);
}

int node_open(struct tree *tree, const struct cred *cred, uint64_t file, struct content **out, bool *forever,
	      struct err *err)
{
	auto_session struct session s = { 0 };
	auto_buf struct buf text = BUF_INIT;
	struct node n;
	bool ignored;
	int r = node_enter(tree, cred, file, err);

	if (!forever)
		forever = &ignored;
	*forever = r > 0 && cred_is_boundless(cred);
	if (r)
		return r < 0 ? r : inside_open(tree, file, out, err);
	r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, file, &n);
	if (r)
		return r;
	*forever = kind_of(n.kind)->fixed_data && cred_is_boundless(cred);
	if (n.kind == KIND_BLOB)
		return open_blob(tree, &n.blob.digest, n.blob.size, out, err);
	if (n.kind == KIND_UPLOAD)
		return store_upload_read(tree->store, n.upload.name, out, err);
	if (kind_of(n.kind)->open)
		return kind_of(n.kind)->open(&s.look, &n, out);
	if (!kind_of(n.kind)->text)
		return err_set(err, ERR_IS_DIRECTORY, "it is not a file");
	r = kind_of(n.kind)->text(&s.look, &n, &text);
	return r ? r : content_from_buf(&text, out, err);
}

/* Whether `df` of a node is of quotas: of a directory with a repository's row, for who may push there, as tree_quota_list(). */
static bool names_quota(const struct look *l, const struct node *n)
{
	if (kind_of(n->kind)->row != ROW_REPO && n->kind != KIND_ROOT)
		return false;
	return !(n->repo.is_repository ? permit(l->tree, l->cred, ACTION_PUSH, n->repo.name, NULL) :
					 permit_namespace(l->tree, l->cred, n->repo.name, NULL));
}

int node_statfs(struct tree *tree, const struct cred *cred, uint64_t node, struct statvfs *out,
		struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n;
	int r = store_statvfs(tree->store, out, err);

	if (!r)
		r = session_begin(&s, tree, cred, err);
	/* What is free on the disk says nothing of who may see what: `df` of the mount needs no more than that. */
	if (r || inside_is(node) || load_seen(&s.look, node, &n) || !names_quota(&s.look, &n))
		return r;
	return quota_statvfs(s.look.db, n.repo.name, !n.repo.is_repository, out, err);
}
