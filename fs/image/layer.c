/*
 * layer.c: a tar's entries become a tree.
 *
 * Whiteouts are noted, as paths that begin at a directory, and acted on at the end, when everything that the layer itself has is there:
 * in its own tree their place among the entries doesn't matter. For the merge, they are noted with it.
 */
#include "fs/base/base.h"
#include "fs/image/layer.h"

#include <sys/sysmacros.h>

#include "fs/base/limits.h"
#include "fs/image/build.h"
#include "fs/image/tar.h"

#define WHITEOUT ".wh."
#define AUFS ".wh..wh."
#define AUFS_LINKS ".wh..wh.plnk"	/* holds what hard links lead to */
#define OPAQUE ".wh..wh..opq"
#define REMEDY_READ (256 * 1024 * 1024)	/* bytes that may be read to say whether a layer is damaged or was pushed so */

/* Begins a whiteout. */
struct whiteout {
	uint32_t order;		/* number of its entry */
	uint32_t dir;		/* where its names begin: none of them is a symbolic link's, as of that entry */
};

struct layer {
	struct build *build;
	struct tar_reader *tar;
	struct buf path, target;	/* of one entry, split; kept for their memory */
	uint32_t whiteout_count;
	struct buf whiteouts;		/* each: struct whiteout, names, each with its NUL, an empty name */
	uint32_t order;			/* number of the entry */
	uint32_t own;			/* once all entries are there: numbers beyond it are made for whiteouts */
	int64_t newest;
	bool any;
};

static void layer_release(struct layer *l)
{
	build_free(l->build);
	tar_reader_free(l->tar);
	buf_release(&l->path);
	buf_release(&l->target);
	buf_release(&l->whiteouts);
}

/* The last of `count` names that stand one behind another. */
static const char *last_name(const struct buf *names)
{
	const char *p = names->data + names->len - 1;

	while (p > names->data && p[-1])
		p--;
	return p;
}

/* ---- Attributes ---- */

static int add_xattrs(struct layer *l, const struct tar_entry *e, uint32_t *out, struct err *err)
{
	auto_buf struct buf set = BUF_INIT;
	uint32_t count = (uint32_t)e->xattr_count;

	*out = 0;
	if (!count)
		return 0;
	buf_add(&set, &count, sizeof(count));
	for (size_t i = 0; i < e->xattr_count; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		uint16_t name = (uint16_t)strlen(x->name);
		uint32_t value = (uint32_t)x->size;

		buf_add(&set, &name, sizeof(name));
		buf_add(&set, &value, sizeof(value));
		buf_add(&set, x->name, name + 1u);
		buf_add(&set, x->value, x->size);
	}
	if (buf_error(&set))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return build_add_xattrs(l->build, set.data, set.len, out, err);
}

static mode_t type_mode(enum tar_type type)
{
	switch (type) {
	case TAR_SYMLINK:
		return S_IFLNK;
	case TAR_CHAR:
		return S_IFCHR;
	case TAR_BLOCK:
		return S_IFBLK;
	case TAR_DIRECTORY:
		return S_IFDIR;
	case TAR_FIFO:
		return S_IFIFO;
	case TAR_FILE:
	case TAR_LINK:
		break;
	}
	return S_IFREG;
}

static int fill_data(struct layer *l, const struct tar_entry *e, struct index_inode *i, struct err *err)
{
	_Static_assert(sizeof(struct index_extent) == sizeof(struct tar_extent), "the same members");

	if (e->type == TAR_SYMLINK) {
		i->size = strlen(e->link);
		if (i->size >= LIMIT_TREE_PATH)
			return err_set(err, ERR_CORRUPT, "%.200s is a symbolic link to a path of more than %d bytes", e->path,
				       LIMIT_TREE_PATH - 1);
		return build_add_text(l->build, e->link, &i->data, err);
	}
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK)
		i->data = makedev(e->major, e->minor);
	if (e->type != TAR_FILE)
		return 0;
	i->size = (uint64_t)e->size;
	i->data = e->data;
	if (!e->sparse)
		return 0;
	i->flags = INDEX_SPARSE;
	i->count = (uint32_t)e->extent_count;
	return build_add_extents(l->build, (const struct index_extent *)(const void *)e->extents, e->extent_count,
				 &i->data, err);
}

/* A link's permissions are never asked; unpacked, each has all of them, whatever its archive said. */
static mode_t entry_mode(const struct tar_entry *e)
{
	return type_mode(e->type) | (e->type == TAR_SYMLINK ? 0777 : e->mode & 07777);
}

/* Everything an entry says of an inode; a directory's parent is kept. */
static int describe(struct layer *l, const struct tar_entry *e, uint32_t parent, uint32_t number, struct err *err)
{
	struct index_inode i = { .mode = entry_mode(e), .uid = e->uid, .gid = e->gid, .mtime = e->mtime,
				 .parent = parent };
	int r = add_xattrs(l, e, &i.xattrs, err);

	if (!r)
		r = fill_data(l, e, &i, err);
	if (!r)
		*build_at(l->build, number) = i;
	return r;
}

/* ---- Entries ---- */

/* Notes one that has names from `names` to the end of the entry's path; the first begins with the prefix, too. */
static int note_whiteout(struct layer *l, uint32_t dir, const char *prefix, const char *names, struct err *err)
{
	const struct whiteout w = { l->order, dir };

	if (l->whiteout_count++ >= LIMIT_TREE_ENTRIES)
		return err_set(err, ERR_CORRUPT, "it has more than %d whiteouts: regfs doesn't look into such a one", LIMIT_TREE_ENTRIES);
	buf_add(&l->whiteouts, &w, sizeof(w));
	buf_adds(&l->whiteouts, prefix);
	buf_add(&l->whiteouts, names, (size_t)(l->path.data + l->path.len - names));
	buf_addc(&l->whiteouts, '\0');	/* an empty name: the path's end */
	if (l->whiteouts.len > LIMIT_TREE_TEXTS)
		return err_set(err, ERR_CORRUPT, "its whiteouts' paths are longer than %d bytes together", LIMIT_TREE_TEXTS);
	return buf_error(&l->whiteouts) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int put_directory(struct layer *l, const struct tar_entry *e, uint32_t dir, const char *name, struct err *err)
{
	uint32_t number = build_child(l->build, dir, name);
	bool replaces = number && !S_ISDIR(build_at(l->build, number)->mode);
	int r = 0;

	/* Its place is that of the first entry that describes it. */
	if (number && !replaces && !(build_at(l->build, number)->flags & INDEX_IMPLIED))
		return describe(l, e, dir, number, err);
	if (!number || replaces)
		r = build_directory(l->build, dir, &number, err);
	if (!r)
		r = describe(l, e, dir, number, err);
	/* What was there has replaced what lower layers have. */
	if (!r && replaces)
		r = note_whiteout(l, dir, WHITEOUT, name, err);
	return r ? r : build_put(l->build, dir, name, number, err);
}

/* Names as a path again. */
static int join(const struct buf *names, struct buf *out, struct err *err)
{
	buf_reset(out);
	for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
		if (at)
			buf_addc(out, '/');
		buf_adds(out, names->data + at);
	}
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

/* A link to what the layer doesn't have. */
static int put_lower_link(struct layer *l, uint32_t dir, const char *name, struct err *err)
{
	struct index_inode i = { .mode = S_IFREG, .flags = INDEX_LINK };
	auto_buf struct buf path = BUF_INIT;
	uint32_t number;
	int r = join(&l->target, &path, err);

	if (!r)
		r = build_add_text(l->build, path.data, &i.data, err);
	if (!r)
		r = build_inode(l->build, &number, err);
	if (r)
		return r;
	*build_at(l->build, number) = i;
	return build_put(l->build, dir, name, number, err);
}

static int put_link(struct layer *l, const struct tar_entry *e, uint32_t dir, const char *name, struct err *err)
{
	uint32_t from, target = 0;
	size_t count;
	int r = build_split(e->link, &l->target, &count, err);

	if (!r && !count)
		return err_set(err, ERR_CORRUPT, "%.200s is a hard link to the root", e->path);
	if (!r)
		r = build_walk(l->build, l->target.data, count - 1, BUILD_LEAVE, &from, err);
	if (!r && from)
		target = build_child(l->build, from, last_name(&l->target));
	if (r)
		return r;
	/* What the layer only passes through may be a link in a lower one. */
	if (!target || build_at(l->build, target)->flags & INDEX_IMPLIED)
		return put_lower_link(l, dir, name, err);
	if (S_ISDIR(build_at(l->build, target)->mode))
		return err_set(err, ERR_CORRUPT, "%.200s is a hard link to a directory, %.200s", e->path, e->link);
	return build_put(l->build, dir, name, target, err);
}

static int put_leaf(struct layer *l, const struct tar_entry *e, uint32_t dir, const char *name, struct err *err)
{
	uint32_t number;
	int r = build_inode(l->build, &number, err);

	if (!r)
		r = describe(l, e, dir, number, err);
	return r ? r : build_put(l->build, dir, name, number, err);
}

static int put_root(struct layer *l, const struct tar_entry *e, struct err *err)
{
	if (e->type != TAR_DIRECTORY)
		return err_set(err, ERR_CORRUPT, "%.200s, the root, is no directory", e->path);
	return describe(l, e, INDEX_ROOT, INDEX_ROOT, err);
}

/* ---- Whiteouts ---- */

/* Notes the entry's: by those of its names that don't lead on through what the layer has so far. */
static int place_whiteout(struct layer *l, struct err *err)
{
	const char *at = l->path.data, *last = last_name(&l->path);
	uint32_t dir = INDEX_ROOT, child;
	int r = 0;

	for (; !r && at < last && (child = build_child(l->build, dir, at)); at += strlen(at) + 1) {
		const struct index_inode *i = build_at(l->build, child);

		if (S_ISLNK(i->mode))
			r = build_follow(l->build, dir, build_text(l->build, i->data), BUILD_MAKE, &dir, err);
		else
			dir = S_ISDIR(i->mode) ? child : 0;
		if (!r)
			r = build_count(l->build, 1, err);
		/* Below a file there is nothing. */
		if (!r && !dir)
			return 0;
	}
	return r ? r : note_whiteout(l, dir, "", at, err);
}

/* 1: the entry is one, or aufs's own, and was seen to; 0: it is an ordinary one. */
static int see_whiteout(struct layer *l, const struct tar_entry *e, struct err *err)
{
	const char *name = last_name(&l->path), *hidden = name + strlen(WHITEOUT);
	int r;

	if (starts_with(l->path.data, AUFS) && !streq(l->path.data, OPAQUE))
		return !streq(l->path.data, AUFS_LINKS);
	if (!starts_with(name, WHITEOUT))
		return 0;
	if (!*hidden || streq(hidden, ".") || streq(hidden, ".."))
		return err_set(err, ERR_CORRUPT, "%.200s is a whiteout of nothing", e->path);
	if (starts_with(name, AUFS) && !streq(name, OPAQUE))
		return 1;
	r = place_whiteout(l, err);
	return r ? r : 1;
}

/* The directory a whiteout stands in, from *dir on: made, where nothing is in its way; else *dir 0. */
static int whiteout_parent(struct layer *l, const char *at, size_t count, uint32_t *dir, struct err *err)
{
	int r = build_count(l->build, (int64_t)count, err);

	for (size_t i = 0; !r && *dir && i < count; i++, at += strlen(at) + 1) {
		uint32_t child = build_child(l->build, *dir, at);

		if (!child) {
			r = build_directory(l->build, *dir, &child, err);
			if (!r)
				r = build_put(l->build, *dir, at, child, err);
		}
		*dir = !r && S_ISDIR(build_at(l->build, child)->mode) ? child : 0;
	}
	return r;
}

static int put_whiteout(struct layer *l, uint32_t dir, const char *name, struct err *err)
{
	uint32_t number = build_child(l->build, dir, name);
	int r;

	/* A directory that only other whiteouts stand in is gone with them. */
	if (number && !(number > l->own && S_ISDIR(build_at(l->build, number)->mode))) {
		struct index_inode *i = build_at(l->build, number);

		/* A new directory of that name, then, which takes nothing from a lower one. */
		if (S_ISDIR(i->mode))
			i->flags |= INDEX_OPAQUE;
		return build_add_step(l->build, dir, name, err);
	}
	r = build_inode(l->build, &number, err);
	if (r)
		return r;
	*build_at(l->build, number) = (struct index_inode){ .mode = S_IFCHR, .flags = INDEX_WHITEOUT,
							    .mtime = l->newest };
	r = build_put(l->build, dir, name, number, err);
	return r ? r : build_add_step(l->build, dir, name, err);
}

static int put_opaque(struct layer *l, uint32_t dir, struct err *err)
{
	build_at(l->build, dir)->flags |= INDEX_OPAQUE;
	return build_add_step(l->build, dir, NULL, err);
}

static int apply_whiteouts(struct layer *l, struct err *err)
{
	int r = build_put(l->build, INDEX_ROOT, AUFS_LINKS, 0, err);

	l->own = build_inodes(l->build);
	for (const char *at = l->whiteouts.data; !r && at < l->whiteouts.data + l->whiteouts.len; at++) {
		const char *names = at + sizeof(struct whiteout), *last = names;
		struct whiteout w;
		size_t count = 0;

		memcpy(&w, at, sizeof(w));
		build_set_order(l->build, w.order);
		for (at = names; *at; at += strlen(at) + 1, count++)
			last = at;
		r = whiteout_parent(l, names, count - 1, &w.dir, err);
		if (r || !w.dir)
			continue;
		if (streq(last, OPAQUE))
			r = put_opaque(l, w.dir, err);
		else
			r = put_whiteout(l, w.dir, last + strlen(WHITEOUT), err);
	}
	return r;
}

/* ---- The pass ---- */

static int take_entry(void *arg, const struct tar_entry *e, struct err *err)
{
	struct layer *l = arg;
	size_t count;
	uint32_t dir;
	int r = build_split(e->path, &l->path, &count, err);

	l->newest = l->any ? MAX(l->newest, e->mtime) : e->mtime;
	l->any = true;
	if (!r && l->order == UINT32_MAX)
		r = err_set(err, ERR_CORRUPT, "it has more than %" PRIu32 " entries: regfs doesn't look into such a one", l->order);
	if (r)
		return r;
	build_set_order(l->build, ++l->order);
	if (!count)
		return put_root(l, e, err);
	r = see_whiteout(l, e, err);
	if (r)
		return MIN(r, 0);
	r = build_walk(l->build, l->path.data, count - 1, BUILD_REPLACE, &dir, err);
	if (r)
		return r;
	if (e->type == TAR_DIRECTORY)
		return put_directory(l, e, dir, last_name(&l->path), err);
	if (e->type == TAR_LINK)
		return put_link(l, e, dir, last_name(&l->path), err);
	return put_leaf(l, e, dir, last_name(&l->path), err);
}

/* A blob whose bytes are hashed as they are read, in order for the most part. */
struct verified {
	const struct content *blob;
	struct hasher *hasher;
	int64_t hashed;		/* bytes from its start on */
};

static void verified_release(void *arg)
{
	struct verified *v = arg;

	hasher_free(v->hasher);
}

static ssize_t read_verified(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	struct verified *v = arg;
	ssize_t n = content_read(v->blob, data, len, offset, err);
	int r = 0;

	if (n > 0 && offset <= v->hashed && v->hashed < offset + n) {
		size_t known = (size_t)(v->hashed - offset);

		r = hasher_update(v->hasher, (const char *)data + known, (size_t)n - known, err);
		v->hashed = offset + n;
	}
	return r ? r : n;
}

/* 1: the blob's bytes have that digest; 0: they don't. Reads those that nobody had to read. */
static int has_digest(struct verified *v, const struct digest *expected, struct err *err)
{
	char data[16 * 1024];
	struct digest digest;
	ssize_t n = 1;
	int r;

	while (n > 0 && v->hashed < content_size(v->blob))
		n = read_verified(v, data, sizeof(data), v->hashed, err);
	if (n < 0)
		return (int)n;
	r = hasher_digest(v->hasher, &digest, err);
	return r ? r : digest_equal(&digest, expected);
}

/* What can be done about a layer that can't be read. */
static int add_remedy(struct verified *v, const struct digest *expected, int r, struct err *err)
{
	bool near = content_size(v->blob) - v->hashed <= REMEDY_READ;
	int same = near ? has_digest(v, expected, NULL) : -1;
	char why[ERR_TEXT_MAX];

	if (!err)
		return r;
	snprintf(why, sizeof(why), "%.350s", err->text);
	return err_set(err, ERR_CORRUPT, "%s; %s", why, same > 0 ? "its bytes are those that were pushed: build it anew" :
		       same == 0 ? "its bytes aren't those that were pushed: push it again" : "push it again, or build it anew");
}

static int feed(void *arg, const void *data, size_t len, struct err *err)
{
	struct layer *l = arg;

	return tar_feed(l->tar, data, len, err);
}

/* The tree of the layer, and where it can be entered. */
static int scan(struct layer *l, const struct content *blob, layer_stop_fn *stop, void *arg, struct span_draft *spans, struct err *err)
{
	int r = build_new(&l->build, err);

	if (!r)
		r = tar_reader_new(take_entry, l, &l->tar, err);
	if (!r)
		r = span_scan(blob, feed, l, stop, arg, spans, err);
	if (!r)
		r = tar_end(l->tar, err);
	return r ? r : apply_whiteouts(l, err);
}

int layer_index(const struct content *blob, const struct digest *digest, layer_stop_fn *stop, void *arg, int fd,
		struct err *err)
{
	static const struct content_reader reader = { .read = read_verified, .release = verified_release };
	CLEANUP(layer_release) struct layer l = { .path = BUF_INIT, .target = BUF_INIT, .whiteouts = BUF_INIT };
	struct verified verified = { .blob = blob };
	auto_content struct content *read = NULL;
	auto_span_draft struct span_draft spans;
	struct build_extra extra = { .kind = INDEX_LAYER, .spans = &spans, .layers = digest, .layer_count = 1 };
	struct err failure = ERR_INIT;
	int r;

	span_draft_init(&spans);
	r = hasher_new((enum digest_algorithm)digest->algorithm, &verified.hasher, err);
	if (!r)
		r = content_from_reader(&reader, &verified, content_size(blob), &read, err);
	if (r)
		return r;
	r = scan(&l, read, stop, arg, &spans, &failure);
	/* Damage that the coding doesn't notice would stay in the index when the layer is whole again. */
	if (!r && (r = has_digest(&verified, digest, &failure)) == 0)
		r = err_set(&failure, ERR_CORRUPT, "its digest isn't that any more");
	extra.implied_mtime = l.newest;
	if (r > 0)
		r = build_write(l.build, &extra, fd, &failure);
	if (r && failure.reason == ERR_CORRUPT)
		r = add_remedy(&verified, digest, r, &failure);
	if (r && err)
		*err = failure;
	return r;
}

int layer_copy(const struct content *blob, layer_stop_fn *stop, void *arg, int copy_fd, int index_fd,
	       struct err *err)
{
	auto_span_draft struct span_draft spans;
	auto_build struct build *b = NULL;
	const struct build_extra extra = { .kind = INDEX_COPY, .spans = &spans };
	int r;

	span_draft_init(&spans);
	r = build_new(&b, err);
	if (!r)
		r = span_copy(blob, copy_fd, stop, arg, &spans, err);
	return r ? r : build_write(b, &extra, index_fd, err);
}
