/*
 * merge.c: each layer's tree is walked over the tree that those below it made.
 *
 * A leaf of a layer becomes one inode of the merged tree, however many names it has; `merged` knows which.
 */
#include "fs/base/base.h"
#include "fs/image/merge.h"

#include "fs/base/limits.h"
#include "fs/image/build.h"

/* A name that is a link to a lower layer's file, to be settled when its layer has been laid over the rest. */
struct pending {
	uint32_t dir, inode;	/* inode: what holds the name's place until then; its data is 1 + this one's number */
	uint32_t link;		/* the layer's inode */
	bool settled;
	uint64_t name;		/* a text of the build's */
};

#define ENTRY_STEPS 4	/* what each file of a layer counts, and each name of a path looked up in one */
#define STEPS_UNASKED 100000	/* between two looks at whether to stop */
#define CHAIN_MAX 40	/* links to links to lower files, each by way of a lower symbolic link */

struct merge {
	struct build *build;
	const struct index *const *layers;
	uint32_t at;			/* number of the layer being laid */
	const struct index *layer;	/* and its index */
	uint32_t below;			/* inodes up to this number were there before it */
	uint32_t *merged;		/* by the layer's inode: the merged one, 0: none yet */
	struct buf pending;		/* struct pending */
	bool (*stop)(void *arg);	/* or NULL */
	void *stop_arg;
	unsigned until_asked;		/* steps until stop is asked */
	struct err *err;
};

static void merge_release(struct merge *m)
{
	build_free(m->build);
	free(m->merged);
	buf_release(&m->pending);
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

/* ---- Leaves ---- */

/* The merged inode of a leaf of this layer, made at its first name. */
static int leaf(struct merge *m, uint32_t number, uint32_t dir, uint32_t *out)
{
	struct index_inode i = *index_inode(m->layer, number);
	int r = 0;

	*out = m->merged[number];
	if (*out)
		return 0;
	r = copy_xattrs(m, &i, &i.xattrs);
	if (!r && S_ISLNK(i.mode))
		r = build_add_text(m->build, index_text(m->layer, i.data), &i.data, m->err);
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
	m->merged[number] = *out;
	return 0;
}

/* What a path led to before this layer, or 0. */
static int find_path(struct merge *m, const char *path, uint32_t *out)
{
	auto_buf struct buf names = BUF_INIT;
	const char *last = names.data;
	uint32_t dir = 0;
	size_t count;
	int r = build_split(path, &names, &count, m->err);

	*out = 0;
	if (!r && count)
		r = build_walk(m->build, names.data, count - 1, false, &dir, m->err);
	if (r || !dir)
		return r;
	last = names.data;
	for (size_t i = 1; i < count; i++)
		last += strlen(last) + 1;
	*out = build_child(m->build, dir, last);
	return 0;
}

/* Before the layer is laid: what its links to lower layers lead to. */
static int find_links(struct merge *m)
{
	int r = 0;

	for (uint32_t n = 1; !r && n <= index_inodes(m->layer); n++) {
		const struct index_inode *i = index_inode(m->layer, n);

		if (i->flags & INDEX_LINK)
			r = find_path(m, index_text(m->layer, i->data), &m->merged[n]);
	}
	return r;
}

static int put_link(struct merge *m, uint32_t dir, const char *name, uint32_t number)
{
	struct pending p = { .dir = dir, .link = number };
	int r = build_inode(m->build, &p.inode, m->err);

	if (!r)
		r = build_add_text(m->build, name, &p.name, m->err);
	if (r)
		return r;
	buf_add(&m->pending, &p, sizeof(p));
	*build_at(m->build, p.inode) = (struct index_inode){ .mode = S_IFREG, .data = m->pending.len / sizeof(p) };
	return build_put(m->build, dir, name, p.inode, m->err);
}

/* Whether (1) the layer has that very path: then it came behind the link, which is to what was there before. */
static int layer_has(struct merge *m, const char *path)
{
	const struct index_inode *i = index_inode(m->layer, INDEX_ROOT);
	char name[LIMIT_TREE_NAME + 1];

	while (i && *path) {
		size_t len = strcspn(path, "/");
		int r = count(m, ENTRY_STEPS);

		if (r)
			return r;
		if (!S_ISDIR(i->mode) || len > LIMIT_TREE_NAME)
			return 0;
		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		i = index_inode(m->layer, index_lookup(m->layer, i, name));
		path += len;
		path += *path == '/';
	}
	return i && !(i->flags & INDEX_WHITEOUT);
}

static int settle_link(struct merge *m, struct pending *p, int chain);

/* What the path leads to, now that the layer is laid. */
static int find_now(struct merge *m, const char *path, int chain, uint32_t *out)
{
	int r = find_path(m, path, out);
	const struct index_inode *i = !r && *out ? build_at(m->build, *out) : NULL;

	/* A link to a link that isn't settled yet. */
	if (!i || S_ISDIR(i->mode) || i->layer_inode || chain >= CHAIN_MAX)
		return r;
	r = settle_link(m, (struct pending *)(void *)m->pending.data + i->data - 1, chain + 1);
	return r ? r : find_path(m, path, out);
}

static int settle_link(struct merge *m, struct pending *p, int chain)
{
	const char *path = index_text(m->layer, index_inode(m->layer, p->link)->data);
	const char *name = build_text(m->build, p->name);
	uint32_t before = m->merged[p->link], now = 0;
	int r = 0;

	if (p->settled || build_child(m->build, p->dir, name) != p->inode)
		return 0;	/* or it was replaced by another name of its directory's */
	/* It may have come to be in this layer, by way of a link in a lower one's directories. */
	if (before)
		r = layer_has(m, path);
	if (!r)
		r = find_now(m, path, chain, &now);
	r = MIN(r, 0);
	/* In a chain that leads back here, it is. */
	if (p->settled)
		return r;
	if (r)
		return r;
	if (now && now != p->inode && (!before || (!S_ISDIR(build_at(m->build, now)->mode) &&
						  build_at(m->build, now)->layer == m->at &&
						  build_at(m->build, now)->layer_inode)))
		before = now;
	if (!before || !build_at(m->build, before)->layer_inode)
		return err_set(m->err, ERR_CORRUPT, "layer %u has a hard link %.100s to %.200s, which is %s", m->at + 1,
			       name, path, before && S_ISDIR(build_at(m->build, before)->mode) ? "a directory" : "in no layer");
	/* build_put() would read a text that it moves. */
	auto_free char *copy = strdup(name);

	if (!copy)
		return err_set(m->err, ERR_NO_MEMORY, "out of memory");
	p->settled = true;
	return build_put(m->build, p->dir, copy, before, m->err);
}

static int settle_links(struct merge *m)
{
	int r = buf_error(&m->pending) ? err_set(m->err, ERR_NO_MEMORY, "out of memory") : 0;

	for (size_t i = 0; !r && i < m->pending.len / sizeof(struct pending); i++)
		r = settle_link(m, (struct pending *)(void *)m->pending.data + i, 0);
	buf_reset(&m->pending);
	return r;
}

/* ---- Directories ---- */

static int lay_directory(struct merge *m, uint32_t from, uint32_t onto);

/* Gives a directory what an entry said of it. */
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

/* What stands under a name, as the directory that this layer's directory is laid onto; 0: nothing that serves. */
static int existing_directory(struct merge *m, const struct index_inode *from, uint32_t dir, const char *name,
			      uint32_t *out)
{
	uint32_t child = build_child(m->build, dir, name);
	const struct index_inode *i = child ? build_at(m->build, child) : NULL;

	bool opaque = from->flags & INDEX_OPAQUE;
	int r;

	*out = 0;
	if (i && S_ISDIR(i->mode) && !opaque)
		*out = child;
	if (!i || !S_ISLNK(i->mode) || !(from->flags & INDEX_IMPLIED))
		return 0;
	build_set_time(m->build, from->mtime);
	r = build_follow(m->build, dir, build_text(m->build, i->data), !(from->flags & INDEX_BARE), out, m->err);
	/* What this layer has put there already, by another path, stays. */
	if (!r && *out && opaque)
		r = build_clear(m->build, *out, m->below, m->err);
	return r;
}

static int lay_new_directory(struct merge *m, uint32_t number, uint32_t dir, const char *name)
{
	const struct index_inode *from = index_inode(m->layer, number);
	uint32_t before = build_child(m->build, dir, name), onto;
	int r = build_directory(m->build, dir, &onto, m->err);

	/* A directory that was only emptied, by an opaque marker, is still the lower layer's. */
	if (!r && from->flags & INDEX_IMPLIED && before && S_ISDIR(build_at(m->build, before)->mode))
		*build_at(m->build, onto) = *build_at(m->build, before);
	else if (!r)
		r = take_attributes(m, from, onto);
	if (!r)
		r = build_put(m->build, dir, name, onto, m->err);
	return r ? r : lay_directory(m, number, onto);
}

static int lay_subdirectory(struct merge *m, uint32_t number, uint32_t dir, const char *name)
{
	const struct index_inode *from = index_inode(m->layer, number);
	uint32_t onto;
	int r = existing_directory(m, from, dir, name, &onto);

	if (!r && !onto)
		return from->flags & INDEX_BARE ? 0 : lay_new_directory(m, number, dir, name);
	if (!r && !(from->flags & INDEX_IMPLIED))
		r = take_attributes(m, from, onto);
	return r ? r : lay_directory(m, number, onto);
}

static int lay_entry(struct merge *m, uint32_t number, uint32_t onto, const char *name)
{
	const struct index_inode *i = index_inode(m->layer, number);
	uint32_t inode;
	int r = count(m, ENTRY_STEPS);

	if (r)
		return r;
	/* By a link, the layer's own file may stand there already. */
	if (i->flags & INDEX_WHITEOUT)
		return build_child(m->build, onto, name) > m->below ? 0 : build_put(m->build, onto, name, 0, m->err);
	if (S_ISDIR(i->mode))
		return lay_subdirectory(m, number, onto, name);
	if (i->flags & INDEX_LINK)
		return put_link(m, onto, name, number);
	r = leaf(m, number, onto, &inode);
	return r ? r : build_put(m->build, onto, name, inode, m->err);
}

static int lay_directory(struct merge *m, uint32_t from, uint32_t onto)
{
	const struct index_inode *dir = index_inode(m->layer, from);
	int r = 0;

	/* Whiteouts first: they are for what was there before, and two names may lead to one directory by a link. */
	for (int whiteouts = 1; whiteouts >= 0; whiteouts--)
		for (uint32_t i = 0; !r && i < dir->count; i++) {
			const char *name;
			uint32_t number = index_entry(m->layer, dir, i, &name);

			if (!!(index_inode(m->layer, number)->flags & INDEX_WHITEOUT) == whiteouts)
				r = lay_entry(m, number, onto, name);
		}
	return r;
}

static int lay_layer(struct merge *m)
{
	const struct index_inode *root;
	int r = count(m, index_inodes(m->layer));

	if (!r)
		r = index_verify(m->layer, m->err);
	if (r)
		return r;
	root = index_inode(m->layer, INDEX_ROOT);
	free(m->merged);
	m->merged = calloc((size_t)index_inodes(m->layer) + 1, sizeof(*m->merged));
	if (!m->merged)
		return err_set(m->err, ERR_NO_MEMORY, "out of memory");
	m->below = build_inodes(m->build);
	if (m->at == 0)
		build_at(m->build, INDEX_ROOT)->mtime = root->mtime;
	r = find_links(m);
	if (!r && root->flags & INDEX_OPAQUE)
		r = build_clear(m->build, INDEX_ROOT, m->below, m->err);
	if (!r && !(root->flags & INDEX_IMPLIED))
		r = take_attributes(m, root, INDEX_ROOT);
	if (!r)
		r = lay_directory(m, INDEX_ROOT, INDEX_ROOT);
	return r ? r : settle_links(m);
}

static uint32_t layer_nlink(void *arg, const struct index_inode *leaf)
{
	const struct merge *m = arg;

	return index_inode(m->layers[leaf->layer], leaf->layer_inode)->nlink;
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
	return r ? r : build_write(m.build, &extra, fd, err);
}
