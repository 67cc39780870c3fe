/*
 * merge.c: each layer's archive is done over again, on the tree that the layers below it made.
 *
 * A leaf of a layer becomes one inode of the merged tree, however many names it has.
 *
 * Invariants, while a layer is laid:
 * 1. Inodes above `below` are this layer's: its whiteouts and opaque markers leave them alone, and directories that it used.
 * 2. So a link to a lower layer's file is an inode of this layer, a placeholder, until the layer is laid.
 * 3. Where a directory of the layer lies is known until a name of a directory's or a symbolic link's leads elsewhere: an era.
 */
#include "fs/base/base.h"
#include "fs/image/merge.h"

#include "fs/base/limits.h"
#include "fs/image/build.h"

/* A name that is a link to a lower layer's file. */
struct pending {
	uint32_t dir, inode;	/* the placeholder; its data is 1 + this one's number */
	uint32_t link;		/* the layer's inode */
	uint32_t target;	/* a merged inode; 0: there is none yet */
	uint64_t name;		/* a text of the build's */
};

/* What became of a layer's inode. */
struct laid {
	uint32_t merged;	/* the merged inode, 0: none yet; a directory's as of that era */
	uint32_t era;
	uint32_t nth;		/* a directory: 1 + its number among its parent's entries */
	uint32_t before;	/* a link: what its path led to before this layer, or 0 */
};

#define ENTRY_STEPS 4	/* what each file of a layer counts */
#define STEPS_UNASKED 100000	/* between two looks at whether to stop */

struct merge {
	struct build *build;
	const struct index *const *layers;
	uint32_t at;			/* number of the layer being laid */
	const struct index *layer;	/* and its index */
	uint32_t below;			/* inodes up to this number were there before it */
	uint32_t era;
	struct laid *laid;		/* by the layer's inode */
	bool *used;			/* by inode up to `below`: a directory that the layer describes, or has something in or below */
	uint32_t last_used;
	struct buf pending;		/* struct pending */
	bool (*stop)(void *arg);	/* or NULL */
	void *stop_arg;
	unsigned until_asked;		/* steps until stop is asked */
	struct err *err;
};

static void merge_release(struct merge *m)
{
	build_free(m->build);
	free(m->laid);
	free(m->used);
	buf_release(&m->pending);
}

static int no_memory(struct merge *m)
{
	return err_set(m->err, ERR_NO_MEMORY, "out of memory");
}

/* Each layer was verified; what the disk has lost since then is noted, and index_check() is asked in the end. */
static const struct index_inode *inode_of(const struct index *layer, uint32_t number)
{
	static const struct index_inode none;
	const struct index_inode *i = index_inode(layer, number);

	return i ? i : &none;
}

static const char *text_of(const struct index *layer, uint64_t offset)
{
	const char *text = index_text(layer, offset);

	return text ? text : "";
}

/* Something was done, or is going to be. */
static int count(struct merge *m, uint32_t steps)
{
	if (m->until_asked > steps) {
		m->until_asked -= steps;
	} else {
		m->until_asked = STEPS_UNASKED;
		if (m->stop && m->stop(m->stop_arg))
			return err_set(m->err, ERR_GONE_MEANWHILE, "merging an image's layers was stopped: try again");
	}
	return build_count(m->build, steps, m->err);
}

static int copy_xattrs(struct merge *m, const struct index_inode *from, uint32_t *out)
{
	size_t size;
	const void *set = index_xattr_set(m->layer, from, &size);

	*out = 0;
	return set ? build_add_xattrs(m->build, set, size, out, m->err) : 0;
}

/* ---- Names ---- */

/* The directory, and those it lies in, have something of this layer. */
static int use(struct merge *m, uint32_t dir)
{
	int r = 0;

	if (dir == m->last_used)
		return 0;
	m->last_used = dir;
	for (; !r && dir != INDEX_ROOT && !(dir <= m->below && m->used[dir]); dir = build_at(m->build, dir)->parent) {
		if (dir <= m->below)
			m->used[dir] = true;
		r = count(m, 1);
	}
	return r;
}

static bool leads_on(struct merge *m, uint32_t inode)
{
	mode_t mode = inode ? build_at(m->build, inode)->mode : 0;

	return S_ISDIR(mode) || S_ISLNK(mode);
}

/* Makes the name that inode's, or nobody's: 0. */
static int put(struct merge *m, uint32_t dir, const char *name, uint32_t inode)
{
	if (leads_on(m, build_child(m->build, dir, name)))
		m->era++;
	return build_put(m->build, dir, name, inode, m->err);
}

/* ---- Directories ---- */

/* Gives a directory what the layer says of it. */
static int take_attributes(struct merge *m, const struct index_inode *from, uint32_t onto)
{
	struct index_inode i = *from;
	int r = copy_xattrs(m, from, &i.xattrs);

	if (r)
		return r;
	i.parent = build_at(m->build, onto)->parent;
	i.flags &= INDEX_IMPLIED;
	i.data = 0;
	i.count = 0;
	i.layer = 0;
	i.layer_inode = 0;
	*build_at(m->build, onto) = i;
	return 0;
}

static int make_directory(struct merge *m, const struct index_inode *from, uint32_t dir, const char *name, uint32_t *out)
{
	int r = build_directory(m->build, dir, out, m->err);

	if (!r)
		r = take_attributes(m, from, *out);
	return r ? r : put(m, dir, name, *out);
}

/* What the name leads to, as a directory; 0: to none. create: to one that is made, then. */
static int child_directory(struct merge *m, const struct index_inode *from, uint32_t dir, const char *name, bool create, uint32_t *out)
{
	uint32_t child = build_child(m->build, dir, name);
	const struct index_inode *i = child ? build_at(m->build, child) : NULL;

	*out = i && S_ISDIR(i->mode) ? child : 0;
	if (i && S_ISLNK(i->mode)) {
		build_set_time(m->build, from->mtime);
		return build_follow(m->build, dir, build_text(m->build, i->data), create ? BUILD_REPLACE : BUILD_LEAVE, out, m->err);
	}
	return *out || !create ? 0 : make_directory(m, from, dir, name, out);
}

/* Where a directory of the layer lies now; 0: nowhere. create: it is made, then. */
static int place(struct merge *m, uint32_t number, bool create, uint32_t *out)
{
	struct laid *l = &m->laid[number];
	const struct index_inode *i = inode_of(m->layer, number), *above = inode_of(m->layer, i->parent);
	const char *name;
	uint32_t parent;
	int r;

	*out = number == INDEX_ROOT ? INDEX_ROOT : l->era == m->era ? l->merged : 0;
	if (*out || !l->nth || l->nth > above->count)
		return 0;
	r = place(m, i->parent, create, &parent);
	if (!r)
		r = count(m, 1);
	if (r || !parent)
		return r;
	if (!index_entry(m->layer, above, l->nth - 1, &name))
		return index_check(m->layer, m->err);
	r = child_directory(m, i, parent, name, create, out);
	if (!r && *out) {
		l->merged = *out;
		l->era = m->era;
	}
	return r;
}

static int put_directory(struct merge *m, uint32_t number, uint32_t dir, const char *name)
{
	const struct index_inode *from = inode_of(m->layer, number);
	uint32_t onto = build_child(m->build, dir, name);
	int r;

	if (onto && S_ISDIR(build_at(m->build, onto)->mode))
		r = take_attributes(m, from, onto);
	else
		r = make_directory(m, from, dir, name, &onto);
	m->laid[number].merged = onto;
	m->laid[number].era = m->era;
	return r ? r : use(m, onto);
}

/* ---- Hard links to lower layers' files ---- */

/* What a path leads to, or 0. */
static int find_path(struct merge *m, const char *path, uint32_t *out, struct err *err)
{
	auto_buf struct buf names = BUF_INIT;
	const char *last;
	uint32_t dir = 0;
	size_t n;
	int r = build_split(path, &names, &n, err);

	*out = 0;
	if (!r)
		r = build_count(m->build, ENTRY_STEPS, err);
	if (!r && n)
		r = build_walk(m->build, names.data, n - 1, BUILD_LEAVE, &dir, err);
	if (r || !dir)
		return r;
	last = names.data;
	for (size_t i = 1; i < n; i++)
		last += strlen(last) + 1;
	*out = build_child(m->build, dir, last);
	return 0;
}

static const char *link_path(const struct merge *m, uint32_t number)
{
	return text_of(m->layer, inode_of(m->layer, number)->data);
}

static struct pending *pending_at(const struct merge *m, size_t i)
{
	return (struct pending *)(void *)m->pending.data + i;
}

/* What the link's path leads to now; of a placeholder, what that stands for. */
static int find_target(struct merge *m, uint32_t number, uint32_t *out)
{
	uint32_t found;
	int r = find_path(m, link_path(m, number), &found, m->err);
	const struct index_inode *i = !r && found ? build_at(m->build, found) : NULL;

	*out = i && !S_ISDIR(i->mode) && !i->layer_inode ? pending_at(m, i->data - 1)->target : found;
	return r;
}

static int bad_link(struct merge *m, const struct pending *p)
{
	return err_set(m->err, ERR_CORRUPT, "layer %u has a hard link %.100s to %.200s, which is %s", m->at + 1,
		       build_text(m->build, p->name), link_path(m, p->link), p->target ? "a directory" : "in no layer");
}

static int put_link(struct merge *m, uint32_t number, uint32_t dir, const char *name)
{
	struct laid *l = &m->laid[number];
	struct pending p = { .dir = dir, .link = number };
	int r = l->merged ? 0 : find_target(m, number, &l->merged);

	/* Nothing, for what was removed before it is linked to: but that was there. */
	if (!l->merged)
		l->merged = l->before;
	p.target = l->merged;
	if (!r)
		r = build_inode(m->build, &p.inode, m->err);
	if (!r)
		r = build_add_text(m->build, name, &p.name, m->err);
	if (!r && p.target && S_ISDIR(build_at(m->build, p.target)->mode))
		r = bad_link(m, &p);
	if (r)
		return r;
	buf_add(&m->pending, &p, sizeof(p));
	if (buf_error(&m->pending))
		return no_memory(m);
	*build_at(m->build, p.inode) = (struct index_inode){ .mode = S_IFREG, .data = m->pending.len / sizeof(p) };
	return put(m, dir, name, p.inode);
}

/* Of links to what came further on in the layer, which may be such links, too: the last first. */
static int find_late_targets(struct merge *m)
{
	int r = 0;

	for (size_t i = m->pending.len / sizeof(struct pending); !r && i > 0; i--) {
		struct pending *p = pending_at(m, i - 1);

		if (!p->target)
			r = count(m, 1);
		if (!r && !p->target)
			r = find_target(m, p->link, &p->target);
	}
	return r;
}

/* The layer is laid: each placeholder that still has its name gives it to what it stands for. */
static int settle_links(struct merge *m)
{
	int r = find_late_targets(m);

	for (size_t i = 0; !r && i < m->pending.len / sizeof(struct pending); i++) {
		const struct pending *p = pending_at(m, i);
		const char *name = build_text(m->build, p->name);

		if (build_child(m->build, p->dir, name) != p->inode)
			continue;
		if (!p->target || S_ISDIR(build_at(m->build, p->target)->mode))
			return bad_link(m, p);
		/* No new text: the name is there. */
		r = build_put(m->build, p->dir, name, p->target, m->err);
	}
	buf_reset(&m->pending);
	return r;
}

/* ---- Leaves ---- */

/* The merged inode of a leaf of this layer, made at its first name. */
static int leaf(struct merge *m, uint32_t number, uint32_t dir, uint32_t *out)
{
	struct index_inode i = *inode_of(m->layer, number);
	int r = 0;

	*out = m->laid[number].merged;
	if (*out)
		return 0;
	r = copy_xattrs(m, &i, &i.xattrs);
	if (!r && S_ISLNK(i.mode))
		r = build_add_text(m->build, text_of(m->layer, i.data), &i.data, m->err);
	if (!r)
		r = build_inode(m->build, out, m->err);
	if (r)
		return r;
	if (S_ISREG(i.mode)) {
		i.data = 0;
		i.count = 0;
	}
	i.parent = dir;
	i.flags &= INDEX_SPARSE;
	i.layer = m->at;
	i.layer_inode = number;
	*build_at(m->build, *out) = i;
	m->laid[number].merged = *out;
	return 0;
}

static int put_entry(struct merge *m, uint32_t number, uint32_t dir, const char *name)
{
	const struct index_inode *i = inode_of(m->layer, number);
	uint32_t inode;
	int r = use(m, dir);

	if (r || i->flags & INDEX_WHITEOUT)
		return r;
	if (S_ISDIR(i->mode))
		return put_directory(m, number, dir, name);
	if (i->flags & INDEX_LINK)
		return put_link(m, number, dir, name);
	r = leaf(m, number, dir, &inode);
	return r ? r : put(m, dir, name, inode);
}

/* ---- Whiteouts ---- */

/* Directories to be emptied. */
struct emptying {
	struct merge *merge;
	struct buf dirs;	/* their inodes */
};

static void emptying_release(struct emptying *e)
{
	buf_release(&e->dirs);
}

static bool keep(void *arg, uint32_t inode)
{
	struct emptying *e = arg;
	const struct merge *m = e->merge;
	bool used = inode > m->below || m->used[inode];

	if (inode <= m->below && used)
		buf_add(&e->dirs, &inode, sizeof(inode));
	return used;
}

/* Takes what lower layers have out of a directory, and out of those in it that this layer used. Its own have nothing of theirs. */
static int empty(struct merge *m, uint32_t dir)
{
	CLEANUP(emptying_release) struct emptying e = { .merge = m, .dirs = BUF_INIT };
	int r = 0;

	if (dir > m->below)
		return 0;
	m->era++;
	buf_add(&e.dirs, &dir, sizeof(dir));
	for (size_t at = 0; !r && at < e.dirs.len; at += sizeof(dir)) {
		memcpy(&dir, e.dirs.data + at, sizeof(dir));
		r = build_clear(m->build, dir, keep, &e, m->err);
		if (!r)
			r = count(m, ENTRY_STEPS);
	}
	return !r && buf_error(&e.dirs) ? no_memory(m) : r;
}

static int whiteout(struct merge *m, uint32_t dir, const char *name)
{
	uint32_t child = build_child(m->build, dir, name);

	if (!child || child > m->below)
		return 0;
	return m->used[child] ? empty(m, child) : put(m, dir, name, 0);
}

/* ---- Layers ---- */

static int lay_step(struct merge *m, const struct index_step *step)
{
	const struct index_inode *from = inode_of(m->layer, step->dir);
	bool puts = step->kind == INDEX_STEP_PUT;
	const char *name;
	uint32_t dir, number;
	int r = count(m, ENTRY_STEPS);

	if (!r)
		r = place(m, step->dir, puts, &dir);
	if (r || !dir)
		return r;
	if (step->kind == INDEX_STEP_OPAQUE)
		return empty(m, dir);
	number = step->entry < from->count ? index_entry(m->layer, from, step->entry, &name) : 0;
	if (!number)
		return index_check(m->layer, m->err);
	return puts ? put_entry(m, number, dir, name) : whiteout(m, dir, name);
}

/* What a link's path leads to before the layer is laid. A loop leads nowhere: who made it may be gone by the time that the link is put. */
static int find_before(struct merge *m, uint32_t number)
{
	struct err why = ERR_INIT;
	int r = find_path(m, link_path(m, number), &m->laid[number].before, &why);

	/* Too many steps are too many for the next one, too. */
	if (r && r != -EIO && m->err)
		*m->err = why;
	return r == -EIO ? 0 : r;
}

/* Before the layer is laid: which entries its directories are, and what its links to lower layers lead to. */
static int look_around(struct merge *m)
{
	int r = 0;

	for (uint32_t n = 1; !r && n <= index_inodes(m->layer); n++) {
		const struct index_inode *i = inode_of(m->layer, n);

		r = count(m, 1 + (S_ISDIR(i->mode) ? i->count : 0));
		if (!r && i->flags & INDEX_LINK)
			r = find_before(m, n);
		for (uint32_t e = 0; !r && S_ISDIR(i->mode) && e < i->count; e++) {
			const char *name;
			uint32_t child = index_entry(m->layer, i, e, &name);

			if (S_ISDIR(inode_of(m->layer, child)->mode))
				m->laid[child].nth = e + 1;
		}
	}
	return r;
}

static int begin_layer(struct merge *m)
{
	free(m->laid);
	free(m->used);
	m->below = build_inodes(m->build);
	m->laid = calloc((size_t)index_inodes(m->layer) + 1, sizeof(*m->laid));
	m->used = calloc((size_t)m->below + 1, sizeof(*m->used));
	m->last_used = 0;
	m->era = 1;
	return m->laid && m->used ? look_around(m) : no_memory(m);
}

static int lay_layer(struct merge *m)
{
	const struct index_inode *root;
	int r = index_verify(m->layer, m->err);

	if (!r)
		r = begin_layer(m);
	if (r)
		return r;
	root = inode_of(m->layer, INDEX_ROOT);
	if (m->at == 0)
		build_at(m->build, INDEX_ROOT)->mtime = root->mtime;
	if (!(root->flags & INDEX_IMPLIED))
		r = take_attributes(m, root, INDEX_ROOT);
	for (size_t i = 0; !r && i < index_steps(m->layer); i++) {
		const struct index_step step = index_step(m->layer, i);

		r = lay_step(m, &step);
	}
	if (!r)
		r = settle_links(m);
	return r ? r : index_check(m->layer, m->err);
}

static uint32_t layer_nlink(void *arg, const struct index_inode *leaf)
{
	const struct merge *m = arg;

	return inode_of(m->layers[leaf->layer], leaf->layer_inode)->nlink;
}

int merge_index(const struct index *const *layers, const struct digest *digests, size_t layer_count, bool (*stop)(void *arg),
		void *stop_arg, int fd, struct err *err)
{
	CLEANUP(merge_release) struct merge m = { .layers = layers, .pending = BUF_INIT, .stop = stop, .stop_arg = stop_arg, .err = err };
	struct build_extra extra = { .kind = INDEX_IMAGE, .layers = digests, .layer_count = layer_count,
				     .layer_nlink = layer_nlink, .arg = &m };
	int r = build_new(&m.build, err);

	if (!r)
		build_set_steps(m.build, LIMIT_MERGE_STEPS);
	for (size_t i = 0; !r && i < layer_count; i++) {
		m.at = (uint32_t)i;
		m.layer = layers[i];
		r = lay_layer(&m);
	}
	if (!r)
		r = build_write(m.build, &extra, fd, err);
	for (size_t i = 0; !r && i < layer_count; i++)
		r = index_check(layers[i], err);
	return r;
}
