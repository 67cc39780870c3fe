/*
 * inside.c: an index's inodes as nodes.
 */
#include "fs/base/base.h"
#include "fs/tree/inside.h"

#include "fs/tree/state.h"

#define IMAGE_BIT   ((uint64_t)1 << 62)
#define SLOT_SHIFT  32
#define INODE_MASK  UINT32_MAX
#define OVERLAY "trusted.overlay."
#define OPAQUE_NAME "trusted.overlay.opaque"

static uint64_t number_of(enum shelf_kind kind, int64_t slot, uint32_t inode)
{
	return INSIDE_BIT | (kind == SHELF_IMAGE ? IMAGE_BIT : 0) | (uint64_t)slot << SLOT_SHIFT | inode;
}

uint64_t inside_root(enum shelf_kind kind, int64_t slot)
{
	return number_of(kind, slot, INDEX_ROOT);
}

int64_t inside_slot(uint64_t number, enum shelf_kind *kind)
{
	*kind = number & IMAGE_BIT ? SHELF_IMAGE : SHELF_LAYER;
	return (int64_t)(number >> SLOT_SHIFT) & SHELF_SLOT_MAX;
}

/*
 * A node, held. What was looked at of an index that proves damaged is forgotten, and looked at once more when it has been made again:
 * each operation is a loop over place_again().
 */
struct place {
	struct shelf_item *item;
	const struct index *index;
	enum shelf_kind kind;
	int64_t slot;
	uint32_t number;
	const struct index_inode *inode;
	bool second;
};

static void place_release(struct place *p)
{
	if (p->item)
		shelf_put(p->item);
	p->item = NULL;
}
#define auto_place CLEANUP(place_release)

static int place_get(struct tree *tree, uint64_t number, struct place *out, struct err *err)
{
	int r;

	out->slot = inside_slot(number, &out->kind);
	out->number = number & INODE_MASK;
	r = shelf_get(tree->shelf, out->kind, out->slot, &out->item, err);
	if (r)
		return r;
	out->index = shelf_index(out->item);
	out->inode = index_inode(out->index, out->number);
	return out->inode ? 0 : err_set(err, ERR_NOT_FOUND, "no such node");
}

/* Behind each look: *r is what it came to. */
static bool place_again(struct place *p, int *r, struct err *err)
{
	int damage = p->item ? index_check(p->index, err) : 0;

	if (!damage)
		return false;
	*r = damage;
	shelf_discard(p->item);
	if (p->second)
		return false;
	place_release(p);
	p->second = true;
	return true;
}

static int place_directory(struct tree *tree, uint64_t number, struct place *out, struct err *err)
{
	int r = place_get(tree, number, out, err);

	if (!r && !S_ISDIR(out->inode->mode))
		r = err_set(err, ERR_NOT_DIRECTORY, "it is not a directory");
	return r;
}

/* What only the merge wants to know isn't shown. */
static bool is_hidden(const struct index_inode *i)
{
	return i->flags & INDEX_LINK;
}

/* A leaf goes by its layer's number where it is what it is there. A link is its image's: it may be shown otherwise in each place. */
static uint64_t node_of(const struct place *in, uint32_t number, const struct index_inode *i)
{
	if (in->kind == SHELF_LAYER || S_ISDIR(i->mode) || S_ISLNK(i->mode) || i->flags & INDEX_OWN)
		return number_of(in->kind, in->slot, number);
	return number_of(SHELF_LAYER, shelf_layer_slot(in->item, i->layer), i->layer_inode);
}

/* ---- Attributes ---- */

/* A path from the root on, in which ".." leads nowhere above it. */
static void add_below_root(const char *path, struct buf *out)
{
	size_t start = out->len, depth = 0;

	for (size_t len; *path; path += len) {
		bool dot, up;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		up = len == 2 && path[0] == '.' && path[1] == '.';
		dot = !len || (len == 1 && *path == '.');
		if ((up && !depth) || dot)
			continue;
		depth += up ? (size_t)-1 : 1;
		buf_addf(out, "%s%.*s", out->len > start ? "/" : "", (int)len, path);
	}
}

/* "/etc/x" in a link that stands two directories below the root: "../../etc/x". */
static int add_target(const struct tree *tree, const struct place *p, const struct index_inode *link, struct buf *out)
{
	const char *target = index_text(p->index, link->data);

	if (!target)
		return -EIO;
	if (tree->inside.transform_symlinks && *target == '/') {
		const struct index_inode *dir = index_inode(p->index, link->parent);

		for (; dir && dir != index_inode(p->index, INDEX_ROOT); dir = index_inode(p->index, dir->parent))
			buf_adds(out, "../");
		add_below_root(target, out);
		if (!out->len)
			buf_addc(out, '.');
	} else {
		buf_adds(out, target);
	}
	return buf_error(out) ? -ENOMEM : 0;
}

static int fill(const struct tree *tree, const struct place *in, uint32_t number, struct node_attr *out)
{
	const struct index_inode *i = index_inode(in->index, number);
	bool device;
	int r = 0;

	if (!i)
		return -EIO;
	device = S_ISCHR(i->mode) || S_ISBLK(i->mode);
	*out = (struct node_attr){
		.id = node_of(in, number, i),
		.mode = i->mode,
		.links = i->nlink,
		.size = (int64_t)i->size,
		.mtime = i->mtime,
		.owned = true,
		.uid = i->uid,
		.gid = i->gid,
		.rdev = device ? i->data : 0,
		.sparse = i->flags & INDEX_SPARSE,
		.name_forever = true,
		.attr_forever = true,
		.data_forever = true,
	};
	if (S_ISLNK(i->mode) && tree->inside.transform_symlinks) {
		auto_buf struct buf target = BUF_INIT;

		r = add_target(tree, in, i, &target);
		out->size = (int64_t)target.len;
	}
	return r;
}

/* A root that can't be opened is a directory all the same, which says why when it is read. */
static bool is_closed_root(uint64_t number, int r)
{
	return r < 0 && r != -ENOENT && (number & INODE_MASK) == INDEX_ROOT;
}

int inside_getattr(struct tree *tree, uint64_t number, struct node_attr *out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do {
		r = place_get(tree, number, &p, err);
		if (!r)
			r = fill(tree, &p, p.number, out);
	} while (place_again(&p, &r, err));
	if (is_closed_root(number, r)) {
		inside_closed_attr(number, out);
		return 0;
	}
	return r;
}

void inside_closed_attr(uint64_t number, struct node_attr *out)
{
	*out = (struct node_attr){ .id = number, .mode = S_IFDIR | 0555, .links = 2 };
}

/* ---- Directories ---- */

static int lookup(struct tree *tree, const struct place *p, const char *name, struct node_attr *out, struct err *err)
{
	uint32_t child = index_lookup(p->index, p->inode, name);
	const struct index_inode *i = child ? index_inode(p->index, child) : NULL;

	if (!i || is_hidden(i))
		return err_set(err, ERR_NOT_FOUND, "there is no %.255s here", name);
	return fill(tree, p, child, out);
}

int inside_lookup(struct tree *tree, uint64_t parent, const char *name, struct node_attr *out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do {
		r = place_directory(tree, parent, &p, err);
		if (!r)
			r = lookup(tree, &p, name, out, err);
	} while (place_again(&p, &r, err));
	return r;
}

/* From entry *at on; *at: where to go on. 1: `fn` has enough. */
static int list(struct tree *tree, const struct place *p, uint64_t *at, node_entry_fn *fn, void *arg)
{
	int r = 0;

	for (; !r && *at < p->inode->count; ++*at) {
		struct node_attr attr;
		const char *name;
		uint32_t child = index_entry(p->index, p->inode, (uint32_t)*at, &name);

		if (!child)
			return -EIO;
		if (is_hidden(index_inode(p->index, child)))
			continue;
		r = fill(tree, p, child, &attr);
		if (r)
			return r;
		r = fn(arg, name, &attr, *at + 1);
	}
	return r;
}

int inside_list(struct tree *tree, uint64_t directory, uint64_t cookie, node_entry_fn *fn, void *arg, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do {
		r = place_directory(tree, directory, &p, err);
		if (!r)
			r = list(tree, &p, &cookie, fn, arg);
	} while (r <= 0 && place_again(&p, &r, err));
	return MIN(r, 0);
}

int inside_parent(struct tree *tree, uint64_t directory, uint64_t *parent, bool *outside, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do
		r = place_directory(tree, directory, &p, err);
	while (place_again(&p, &r, err));
	if (r)
		return r;
	*outside = p.number == INDEX_ROOT;
	*parent = number_of(p.kind, p.slot, p.inode->parent);
	if (*outside)
		*parent = p.kind == SHELF_IMAGE ? (uint64_t)p.slot : 0;
	return 0;
}

/* ---- Links and files ---- */

int inside_readlink(struct tree *tree, uint64_t link, struct buf *out, struct err *err)
{
	auto_place struct place p = { 0 };
	size_t before = out->len;
	int r;

	do {
		buf_truncate(out, before);
		r = place_get(tree, link, &p, err);
		if (!r && !S_ISLNK(p.inode->mode))
			r = err_set(err, ERR_ARGUMENT, "it is not a link");
		if (!r)
			r = add_target(tree, &p, p.inode, out);
	} while (place_again(&p, &r, err));
	return r == -ENOMEM ? err_set(err, ERR_NO_MEMORY, "out of memory") : r;
}

int inside_open(struct tree *tree, uint64_t file, struct content **out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do
		r = place_get(tree, file, &p, err);
	while (place_again(&p, &r, err));
	if (!r && S_ISDIR(p.inode->mode))
		r = err_set(err, ERR_IS_DIRECTORY, "it is a directory");
	if (!r && !S_ISREG(p.inode->mode))
		r = err_set(err, ERR_ARGUMENT, "it has no bytes");
	if (r)
		return r;
	if (p.kind == SHELF_LAYER)
		return shelf_open(tree->shelf, p.slot, p.number, out, err);
	return shelf_open(tree->shelf, shelf_layer_slot(p.item, p.inode->layer), p.inode->layer_inode, out, err);
}

static uint64_t source_of(const struct place *p)
{
	if (p->kind == SHELF_LAYER || S_ISDIR(p->inode->mode) || S_ISLNK(p->inode->mode))
		return number_of(p->kind, p->slot, p->number);
	return number_of(SHELF_LAYER, shelf_layer_slot(p->item, p->inode->layer), p->inode->layer_inode);
}

int inside_source(struct tree *tree, uint64_t number, uint64_t *out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do
		r = place_get(tree, number, &p, err);
	while (place_again(&p, &r, err));
	if (!r)
		*out = source_of(&p);
	return r;
}

/* The first extent of a file that ends behind `offset`, or one behind the last. */
static uint32_t extent_behind(const struct index_extent *e, uint32_t count, uint64_t offset)
{
	uint32_t low = 0;

	while (low < count) {
		uint32_t middle = low + (count - low) / 2;

		if (e[middle].offset + e[middle].size > offset)
			count = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int find_data(const struct place *p, int64_t offset, int64_t *start, int64_t *end, struct err *err)
{
	const struct index_extent *e;
	uint32_t i;

	if (!S_ISREG(p->inode->mode))
		return err_set(err, ERR_ARGUMENT, "it has no bytes");
	*end = (int64_t)p->inode->size;
	*start = MIN(offset, *end);
	if (!(p->inode->flags & INDEX_SPARSE))
		return 0;
	e = index_extents(p->index, p->inode);
	if (!e)
		return -EIO;
	i = extent_behind(e, p->inode->count, (uint64_t)offset);
	*start = *end;
	if (i == p->inode->count)
		return 0;
	if (!index_extent_ok(p->inode, &e[i]))
		return err_set(err, ERR_CORRUPT, "a run of a sparse file lies outside of it");
	*start = MAX(offset, (int64_t)e[i].offset);
	*end = (int64_t)(e[i].offset + e[i].size);
	return 0;
}

int inside_data(struct tree *tree, uint64_t file, int64_t offset, int64_t *start, int64_t *end, struct err *err)
{
	auto_place struct place p = { 0 };
	uint64_t source;
	int r = inside_source(tree, file, &source, err);

	if (r)
		return r;
	do {
		r = place_get(tree, source, &p, err);
		if (!r)
			r = find_data(&p, offset, start, end, err);
	} while (place_again(&p, &r, err));
	return r;
}

/* ---- Extended attributes ---- */

/* Of a layer alone, as overlayfs wants it in the directory of a lower layer. */
static bool shows_opaque(const struct place *p)
{
	return p->kind == SHELF_LAYER && p->inode->flags & INDEX_OPAQUE;
}

/* What steers an overlayfs is this program's to say: by a layer's own, files could be hidden, or fetched from elsewhere. */
static bool is_shown(const char *name)
{
	return !starts_with(name, OVERLAY);
}

static int find_xattr(const struct place *p, const char *name, struct buf *out, struct err *err)
{
	struct index_xattr x;
	bool more = index_xattr_first(p->index, p->inode, &x);

	if (shows_opaque(p) && streq(name, OPAQUE_NAME)) {
		buf_addc(out, 'y');
		return 0;
	}
	while (more && (!is_shown(x.name) || !streq(x.name, name)))
		more = index_xattr_next(&x);
	if (!more)
		return err_set(err, ERR_NO_ATTRIBUTE, "there is no attribute %.255s", name);
	buf_add(out, x.value, x.size);
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int inside_getxattr(struct tree *tree, uint64_t number, const char *name, struct buf *out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do {
		buf_reset(out);
		r = place_get(tree, number, &p, err);
		if (is_closed_root(number, r))
			r = err_set(err, ERR_NO_ATTRIBUTE, "there is no attribute %.255s", name);
		if (!r)
			r = find_xattr(&p, name, out, err);
	} while (place_again(&p, &r, err));
	return r;
}

static int list_xattrs(const struct place *p, struct buf *out, struct err *err)
{
	struct index_xattr x;

	if (shows_opaque(p))
		buf_add(out, OPAQUE_NAME, sizeof(OPAQUE_NAME));
	for (bool more = index_xattr_first(p->index, p->inode, &x); more; more = index_xattr_next(&x))
		if (is_shown(x.name))
			buf_add(out, x.name, strlen(x.name) + 1);
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int inside_listxattr(struct tree *tree, uint64_t number, struct buf *out, struct err *err)
{
	auto_place struct place p = { 0 };
	int r;

	do {
		buf_reset(out);
		r = place_get(tree, number, &p, err);
		if (!r)
			r = list_xattrs(&p, out, err);
	} while (place_again(&p, &r, err));
	return is_closed_root(number, r) ? 0 : r;
}
