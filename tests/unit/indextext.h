/*
 * indextext.h: an index as text, for tests; and everything in it looked at.
 *
 * A line's worth for each name, in order, between ';', as tarmake.h has entries, and besides:
 *
 *	i	a directory that is implied; w a whiteout; h a link to what the layer doesn't have
 *	~a	another name of a (nothing else is said of it)
 *	n3	names, if they aren't one; !opaque !own; @2: an image's file of its second layer
 *	[1+2]	a run of a sparse file
 *
 * The root stands there ("/") if there is anything to say of it. Directories' link counts, and that what has several names is counted right,
 * is asserted for every index.
 */
#ifndef REGFS_TEST_INDEXTEXT_H
#define REGFS_TEST_INDEXTEXT_H

#include "fs/image/index.h"
#include "tests/unit/tarball.h"

#include <assert.h>
#include <sys/sysmacros.h>

struct indextext {
	const struct index *index;
	enum index_kind kind;
	bool good;		/* its link counts are to be right */
	struct buf *out;
	struct buf path;
	char **first;		/* by inode: its first name */
	uint32_t *names;	/* by inode: how many were met */
	unsigned depth, deepest;
};

static inline void indextext_bytes(struct buf *out, const void *data, size_t n)
{
	for (const uint8_t *p = data, *end = p + n; p < end; p++)
		buf_addf(out, *p > ' ' && *p < 127 && *p != '%' && *p != ';' ? "%c" : "%%%02x", *p);
}

static inline void indextext_xattrs(struct indextext *t, const struct index_inode *i)
{
	struct index_xattr x;
	size_t size = 0;
	const char *set = index_xattr_set(t->index, i, &size);

	for (bool more = index_xattr_first(t->index, i, &x); more; more = index_xattr_next(&x)) {
		assert(set && (const char *)x.value + x.size <= set + size);
		assert(!x.name[strlen(x.name)]);
		buf_addf(t->out, " x%s=", x.name);
		indextext_bytes(t->out, x.value, x.size);
	}
}

static inline void indextext_kind(struct indextext *t, const struct index_inode *i)
{
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode)) {
		if (!(i->flags & INDEX_WHITEOUT))
			buf_addf(t->out, " v%u,%u", major(i->data), minor(i->data));
	}
	if (S_ISLNK(i->mode) || i->flags & INDEX_LINK) {
		const char *text = index_text(t->index, i->data);

		buf_adds(t->out, " ->");
		indextext_bytes(t->out, text, strlen(text));
	}
	if (i->flags & INDEX_SPARSE && t->kind == INDEX_LAYER)
		for (uint32_t n = 0; n < i->count; n++)
			buf_addf(t->out, " [%" PRIu64 "+%" PRIu64 "]", index_extents(t->index, i)[n].offset,
				 index_extents(t->index, i)[n].size);
	if (S_ISREG(i->mode) && i->size)
		buf_addf(t->out, " z%" PRIu64, i->size);
}

static inline void indextext_inode(struct indextext *t, const struct index_inode *i)
{
	unsigned usual = S_ISDIR(i->mode) ? 0755 : S_ISLNK(i->mode) ? 0777 : 0644;

	if (!(i->flags & (INDEX_WHITEOUT | INDEX_LINK)) && (i->mode & 07777) != usual)
		buf_addf(t->out, " m%o", i->mode & 07777);
	if (i->uid || i->gid)
		buf_addf(t->out, " u%u:%u", i->uid, i->gid);
	if (i->mtime && !(i->flags & INDEX_WHITEOUT))
		buf_addf(t->out, " t%" PRId64, i->mtime);
	indextext_kind(t, i);
	indextext_xattrs(t, i);
	if (!S_ISDIR(i->mode) && i->nlink != 1)
		buf_addf(t->out, " n%u", i->nlink);
	if (i->flags & INDEX_OPAQUE)
		buf_adds(t->out, " !opaque");
	if (i->flags & INDEX_OWN)
		buf_adds(t->out, " !own");
	if (t->kind == INDEX_IMAGE && !S_ISDIR(i->mode))
		buf_addf(t->out, " @%u", i->layer + 1);
}

static inline char indextext_letter(const struct index_inode *i)
{
	if (i->flags & INDEX_WHITEOUT)
		return 'w';
	if (i->flags & INDEX_LINK)
		return 'h';
	if (S_ISDIR(i->mode))
		return i->flags & INDEX_IMPLIED ? 'i' : 'd';
	return S_ISLNK(i->mode) ? 'l' : S_ISCHR(i->mode) ? 'c' : S_ISBLK(i->mode) ? 'b' : S_ISFIFO(i->mode) ? 'p' :
	       i->flags & INDEX_SPARSE ? 's' : 'f';
}

static inline void indextext_name(struct indextext *t, uint32_t number)
{
	const struct index_inode *i = index_inode(t->index, number);

	if (t->out->len)
		buf_addc(t->out, ';');
	buf_addf(t->out, "%c ", indextext_letter(i));
	indextext_bytes(t->out, t->path.data, t->path.len);
	t->names[number]++;
	if (t->first[number]) {
		buf_addf(t->out, " ~%s", t->first[number]);
		return;
	}
	t->first[number] = strdup(t->path.data);
	indextext_inode(t, i);
}

static inline void indextext_directory(struct indextext *t, uint32_t number)
{
	const struct index_inode *dir = index_inode(t->index, number);
	size_t len = t->path.len;
	uint32_t directories = 0;

	t->depth++;
	t->deepest = MAX(t->deepest, t->depth);
	for (uint32_t n = 0; n < dir->count; n++) {
		const char *name;
		uint32_t child = index_entry(t->index, dir, n, &name);
		const struct index_inode *i = index_inode(t->index, child);

		assert(i && *name && index_lookup(t->index, dir, name) == child);
		if (len)
			buf_addc(&t->path, '/');
		buf_adds(&t->path, name);
		indextext_name(t, child);
		if (S_ISDIR(i->mode)) {
			assert(i->parent == number);
			directories++;
			indextext_directory(t, child);
		}
		buf_truncate(&t->path, len);
	}
	t->depth--;
	assert(!t->good || dir->nlink == 2 + directories);
}

/* The root has its name. */
static inline void indextext_root(struct indextext *t)
{
	const struct index_inode *root = index_inode(t->index, INDEX_ROOT);
	size_t before = t->out->len;

	indextext_inode(t, root);
	if (t->out->len > before) {
		auto_buf struct buf said = BUF_INIT;

		buf_adds(&said, t->out->data + before);
		buf_truncate(t->out, before);
		buf_addf(t->out, "%c /%s", indextext_letter(root), said.data);
	}
}

/* `good`: its link counts are right, as those of an index that was made here; returns how deep it is. */
static inline unsigned indextext(const struct index *ix, enum index_kind kind, bool good, struct buf *out)
{
	uint32_t inodes = index_inodes(ix);
	struct indextext t = { .index = ix, .kind = kind, .good = good, .out = out, .path = BUF_INIT };

	t.first = calloc((size_t)inodes + 1, sizeof(*t.first));
	t.names = calloc((size_t)inodes + 1, sizeof(*t.names));
	assert(t.first && t.names);
	assert(!index_inode(ix, 0) && !index_inode(ix, inodes + 1));
	indextext_root(&t);
	indextext_directory(&t, INDEX_ROOT);
	for (uint32_t n = 1; n <= inodes; n++) {
		const struct index_inode *i = index_inode(ix, n);

		if (good)
			assert(S_ISDIR(i->mode) || (t.names[n] == i->nlink && t.names[n]));
		free(t.first[n]);
	}
	free(t.first);
	free(t.names);
	buf_release(&t.path);
	return t.deepest;
}

#endif
