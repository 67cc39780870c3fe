/*
 * index.c: writing an index's file, opening it, looking into it.
 *
 * An index is derived data, but it lies on a disk, where it may be damaged or come from somebody else. So no byte is used before
 * its block's checksum was verified, and no number or offset before it was seen to lie inside its section: what isn't so
 * is noted as damage, and nothing of it given out. That is enough to be safe; what else index.h promises, index_verify() sees to.
 *
 * The file: the header, a CRC of each block of it, and from the next multiple of ALIGN on, the sections. Blocks are counted from the file's
 * start; a CRC is of those bytes of its block that belong to sections.
 */
#include "fs/base/base.h"
#include "fs/image/index.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "fs/base/limits.h"
#include "fs/image/guard.h"
#include "fs/image/inflate.h"

#define MAGIC "regfsIDX"
#define ALIGN 8
#define BLOCK ((size_t)64 * 1024)
#define STEP_KIND 30	/* the kind's lowest bit */
#define STEP_ENTRY ((UINT32_C(1) << STEP_KIND) - 1)
#define AHEAD (4 * BLOCK)	/* read from the disk at once; the kernel would read megabytes around what is touched */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the index is mapped as it is");
_Static_assert(sizeof(struct index_inode) == 64, "on disk");
_Static_assert(sizeof(struct index_entry) == 8, "on disk");
_Static_assert(sizeof(struct index_step_row) == 8, "on disk");
_Static_assert(sizeof(struct index_extent) == 24, "on disk");
_Static_assert(sizeof(struct digest) == 65, "on disk");

struct index_header {
	char magic[8];
	uint32_t version, kind;
	uint64_t file_size;
	uint32_t crc;		/* of all that follows this member, to the first section */
	uint32_t coding;
	int64_t stream, unpacked, files;
	struct {
		uint64_t offset, size;
	} sections[INDEX_SECTION_COUNT];
};
_Static_assert(sizeof(struct index_header) == 56 + 16 * INDEX_SECTION_COUNT, "on disk");

#define CRC_FROM (offsetof(struct index_header, crc) + sizeof(uint32_t))

/* What has been seen of an index so far; several threads look. */
struct seen {
	atomic_bool damage;
	atomic_uchar blocks[];	/* whether a block's checksum is right */
};

struct index {
	const struct index_header *header;
	size_t size;
	size_t body;	/* where sections begin */
	struct seen *seen;
	const struct index_inode *inodes;
	uint32_t inode_count;
	const struct index_entry *entries;
	size_t entry_count;
	const struct index_step_row *steps;
	size_t step_count;
	const char *xattrs;
	size_t xattrs_size;
	const struct index_extent *extents;
	size_t extent_count;
	const struct digest *layers;
	size_t layer_count;
	const char *texts;
	size_t texts_size;
};

/* ---- Writing ---- */

static int write_all(int fd, const void *data, size_t len, off_t at, struct err *err)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "can't write an index");
		data = (const char *)data + n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

static size_t blocks_of(uint64_t size)
{
	return (size_t)((size + BLOCK - 1) / BLOCK);
}

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

/* Where the sections of a file of so many bytes begin. */
static uint64_t body_of(uint64_t size)
{
	return aligned(sizeof(struct index_header) + blocks_of(size) * sizeof(uint32_t));
}

/* Sections going to the file, and into their blocks' checksums. */
struct writer {
	int fd;
	uint64_t at;
	uint32_t *crcs;
};

static int put(struct writer *w, const void *data, size_t len, struct err *err)
{
	int r = write_all(w->fd, data, len, (off_t)w->at, err);

	while (len) {
		size_t n = MIN(len, BLOCK - w->at % BLOCK);
		uint32_t *crc = &w->crcs[w->at / BLOCK];

		*crc = inflate_crc32(*crc, data, n);
		data = (const char *)data + n;
		len -= n;
		w->at += n;
	}
	return r;
}

static int write_header(const struct writer *w, struct index_header *h, struct err *err)
{
	size_t table = (size_t)(body_of(h->file_size) - sizeof(*h));
	int r;

	h->crc = inflate_crc32(0, (const char *)h + CRC_FROM, sizeof(*h) - CRC_FROM);
	h->crc = inflate_crc32(h->crc, (const void *)w->crcs, table);
	r = write_all(w->fd, w->crcs, table, sizeof(*h), err);
	return r ? r : write_all(w->fd, h, sizeof(*h), 0, err);
}

int index_write(int fd, const struct index_facts *facts, const struct index_section sections[INDEX_SECTION_COUNT],
		struct err *err)
{
	static const char zeros[ALIGN];
	struct index_header h = { .magic = MAGIC, .version = INDEX_VERSION, .kind = facts->kind, .coding = facts->coding,
				  .stream = facts->stream, .unpacked = facts->unpacked, .files = facts->files };
	auto_free uint32_t *crcs = NULL;
	struct writer w = { .fd = fd };
	uint64_t sum = 0;
	int r = 0;

	for (size_t i = 0; i < INDEX_SECTION_COUNT; i++)
		sum += aligned(sections[i].size);
	/* The table's own length moves what it is of. */
	for (h.file_size = sum; h.file_size != body_of(h.file_size) + sum;)
		h.file_size = body_of(h.file_size) + sum;
	w.at = body_of(h.file_size);
	w.crcs = crcs = calloc(1, (size_t)w.at);
	if (!crcs)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; !r && i < INDEX_SECTION_COUNT; i++) {
		h.sections[i].offset = w.at;
		h.sections[i].size = sections[i].size;
		r = put(&w, sections[i].data, sections[i].size, err);
		if (!r)
			r = put(&w, zeros, (size_t)(aligned(w.at) - w.at), err);
	}
	return r ? r : write_header(&w, &h, err);
}

/* ---- Opening ---- */

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "an index is damaged (%s)", what);
}

/* Notes it, for index_check(). */
static bool note_damage(const struct index *ix)
{
	atomic_store(&ix->seen->damage, true);
	return false;
}

int index_check(const struct index *ix, struct err *err)
{
	return atomic_load(&ix->seen->damage) ? damaged(err, "a checksum is wrong, or a number") : 0;
}

/* What is from there on will be looked at. Only advice: a page that isn't read ahead is read when it is touched. */
static void read_ahead(const struct index *ix, size_t from, size_t len)
{
	(void)madvise((char *)(uintptr_t)ix->header + from, MIN(len, ix->size - from), MADV_WILLNEED);
}

static bool verify_block(const struct index *ix, size_t block)
{
	const char *base = (const char *)ix->header;
	const uint32_t *crcs = (const uint32_t *)(const void *)(base + sizeof(*ix->header));
	size_t from = MAX(block * BLOCK, ix->body), end = MIN((block + 1) * BLOCK, ix->size);

	read_ahead(ix, block * BLOCK, AHEAD);
	if (inflate_crc32(0, base + from, from < end ? end - from : 0) != crcs[block])
		return note_damage(ix);
	atomic_store(&ix->seen->blocks[block], true);
	return true;
}

/* Whether bytes that lie inside the sections are what was written. */
static bool touch(const void *arg, const void *at, size_t len)
{
	const struct index *ix = arg;
	size_t from = (size_t)((const char *)at - (const char *)ix->header);

	if (!len)
		return true;
	for (size_t block = from / BLOCK; block <= (from + len - 1) / BLOCK; block++)
		if (!atomic_load(&ix->seen->blocks[block]) && !verify_block(ix, block))
			return false;
	return true;
}

/* The section's bytes; NULL if they don't lie in the file or aren't whole elements. */
static const void *section(const struct index *ix, enum index_sections which, size_t element, size_t *count)
{
	uint64_t offset = ix->header->sections[which].offset, size = ix->header->sections[which].size;

	if (offset % ALIGN || offset < ix->body || offset > ix->size || size > ix->size - offset || size % element)
		return NULL;
	*count = size / element;
	return (const char *)ix->header + offset;
}

static int find_sections(struct index *ix, struct err *err)
{
	size_t inodes = 0, ignored;

	ix->inodes = section(ix, INDEX_INODES, sizeof(*ix->inodes), &inodes);
	ix->entries = section(ix, INDEX_ENTRIES, sizeof(*ix->entries), &ix->entry_count);
	ix->steps = section(ix, INDEX_STEPS, sizeof(*ix->steps), &ix->step_count);
	ix->xattrs = section(ix, INDEX_XATTRS, 1, &ix->xattrs_size);
	ix->extents = section(ix, INDEX_EXTENTS, sizeof(*ix->extents), &ix->extent_count);
	ix->layers = section(ix, INDEX_LAYERS, sizeof(*ix->layers), &ix->layer_count);
	ix->texts = section(ix, INDEX_TEXTS, 1, &ix->texts_size);
	if (!ix->inodes || !ix->entries || !ix->steps || !ix->xattrs || !ix->extents || !ix->layers || !ix->texts ||
	    !section(ix, INDEX_ROWS, sizeof(struct span_row), &ignored) ||
	    !section(ix, INDEX_WINDOWS, 1, &ignored) || !section(ix, INDEX_PIECES, sizeof(uint32_t), &ignored))
		return damaged(err, "a section outside the file");
	if (!inodes || inodes > UINT32_MAX - 1)
		return damaged(err, "no root");
	ix->inode_count = (uint32_t)inodes;
	if (!touch(ix, ix->layers, ix->layer_count * sizeof(*ix->layers)))
		return index_check(ix, err);
	for (size_t i = 0; i < ix->layer_count; i++)
		if (!digest_algorithm_name((enum digest_algorithm)ix->layers[i].algorithm))
			return damaged(err, "a layer's digest");
	return 0;
}

static int check_header(const struct index *ix, enum index_kind kind, struct err *err)
{
	const struct index_header *h = ix->header;

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version != INDEX_VERSION || h->kind != kind)
		return damaged(err, "it is of another version or kind");
	if (h->file_size != ix->size || h->stream < 0 || h->unpacked < 0 || h->files < 0)
		return damaged(err, "its size is wrong");
	if (ix->body > ix->size || inflate_crc32(0, (const char *)h + CRC_FROM, ix->body - CRC_FROM) != h->crc)
		return damaged(err, "its checksum is wrong");
	return 0;
}

int index_open(int fd, enum index_kind kind, struct index **out, struct err *err)
{
	auto_index struct index *ix = calloc(1, sizeof(*ix));
	struct stat st;
	const void *map;
	int r;

	if (!ix)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "can't look at an index");
	if (st.st_size < (off_t)sizeof(struct index_header))
		return damaged(err, "it is too short");
	ix->body = (size_t)body_of((uint64_t)st.st_size);
	ix->seen = calloc(1, sizeof(*ix->seen) + blocks_of((uint64_t)st.st_size));
	if (!ix->seen)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = guard_map(fd, (size_t)st.st_size, &ix->seen->damage, &map, err);
	if (r)
		return r;
	ix->header = map;
	ix->size = (size_t)st.st_size;
	(void)madvise((void *)(uintptr_t)map, ix->size, MADV_RANDOM);
	read_ahead(ix, 0, BLOCK);
	r = check_header(ix, kind, err);
	if (!r)
		r = find_sections(ix, err);
	if (r)
		return r;
	*out = steal(&ix);
	return 0;
}

void index_close(struct index *ix)
{
	if (!ix)
		return;
	if (ix->header)
		guard_unmap(ix->header, ix->size);
	free(ix->seen);
	free(ix);
}

/* ---- Looking ---- */

size_t index_file_size(const struct index *ix)
{
	return ix->size;
}

uint32_t index_inodes(const struct index *ix)
{
	return ix->inode_count;
}

int64_t index_unpacked(const struct index *ix)
{
	return ix->header->unpacked;
}

int64_t index_files(const struct index *ix)
{
	return ix->header->files;
}

static bool leaf_ok(const struct index *ix, const struct index_inode *i)
{
	bool image = ix->header->kind == INDEX_IMAGE;

	if (image && (i->layer >= ix->layer_count || !i->layer_inode))
		return false;
	if (i->flags & INDEX_LINK && (image || !S_ISREG(i->mode) || i->flags & INDEX_SPARSE))
		return false;
	if ((i->flags & INDEX_WHITEOUT && (image || !S_ISCHR(i->mode))) || (i->flags & INDEX_SPARSE && !S_ISREG(i->mode)))
		return false;
	if (S_ISLNK(i->mode))
		return i->parent && i->parent <= ix->inode_count && touch(ix, &ix->inodes[i->parent - 1], sizeof(*i)) &&
		       S_ISDIR(ix->inodes[i->parent - 1].mode);
	if (i->flags & INDEX_LINK)
		return true;
	if (!S_ISREG(i->mode))
		return S_ISCHR(i->mode) || S_ISBLK(i->mode) || S_ISFIFO(i->mode);
	if (i->size > INT64_MAX)
		return false;
	if (image)
		return true;
	if (i->flags & INDEX_SPARSE)
		return i->data <= ix->extent_count && i->count <= ix->extent_count - i->data;
	return i->data <= (uint64_t)INT64_MAX - i->size;
}

static bool inode_ok(const struct index *ix, uint32_t number, const struct index_inode *i)
{
	if (number == INDEX_ROOT && (!S_ISDIR(i->mode) || i->parent != INDEX_ROOT))
		return false;
	if (!S_ISDIR(i->mode))
		return leaf_ok(ix, i);
	return i->data <= ix->entry_count && i->count <= ix->entry_count - i->data && i->parent &&
	       (number == INDEX_ROOT || i->parent < number);
}

const struct index_inode *index_inode(const struct index *ix, uint32_t number)
{
	const struct index_inode *i;

	if (!number || number > ix->inode_count)
		return NULL;
	i = &ix->inodes[number - 1];
	if (!touch(ix, i, sizeof(*i)))
		return NULL;
	if (!inode_ok(ix, number, i)) {
		note_damage(ix);
		return NULL;
	}
	return i;
}

const char *index_text(const struct index *ix, uint64_t offset)
{
	const char *base = (const char *)ix->header, *end = ix->texts + ix->texts_size;

	/* To its NUL, block by block. */
	for (const char *at = ix->texts + MIN(offset, ix->texts_size); at < end;) {
		size_t n = MIN(BLOCK - (size_t)(at - base) % BLOCK, (size_t)(end - at));

		if (!touch(ix, at, n))
			return NULL;
		if (memchr(at, 0, n))
			return ix->texts + offset;
		at += n;
	}
	note_damage(ix);
	return NULL;
}

static bool name_ok(const char *name)
{
	size_t n = strnlen(name, LIMIT_TREE_NAME + 1);

	return n && n <= LIMIT_TREE_NAME && !memchr(name, '/', n) && !streq(name, ".") && !streq(name, "..");
}

/* NULL if it is damaged. */
static const char *entry_name(const struct index *ix, const struct index_entry *e)
{
	const char *name = touch(ix, e, sizeof(*e)) ? index_text(ix, e->name) : NULL;

	if (name && !name_ok(name)) {
		note_damage(ix);
		return NULL;
	}
	return name;
}

/* The inode that an entry of a directory leads to: a directory, to one that is its own; 0: damaged. */
static uint32_t entry_inode(const struct index *ix, const struct index_inode *dir, const struct index_entry *e)
{
	const struct index_inode *child = index_inode(ix, e->inode);

	if (!child || (S_ISDIR(child->mode) && (child == dir || child->parent != (uint32_t)(dir - ix->inodes) + 1))) {
		note_damage(ix);
		return 0;
	}
	return e->inode;
}

uint32_t index_lookup(const struct index *ix, const struct index_inode *dir, const char *name)
{
	const struct index_entry *first = &ix->entries[dir->data];
	uint32_t low = 0, high = dir->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const char *there = entry_name(ix, &first[middle]);
		int order;

		if (!there)
			return 0;
		order = strcmp(name, there);
		if (!order)
			return entry_inode(ix, dir, &first[middle]);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

uint32_t index_entry(const struct index *ix, const struct index_inode *dir, uint32_t i, const char **name)
{
	const struct index_entry *e = &ix->entries[dir->data + i];

	*name = entry_name(ix, e);
	return *name ? entry_inode(ix, dir, e) : 0;
}

size_t index_steps(const struct index *ix)
{
	return ix->step_count;
}

struct index_step index_step(const struct index *ix, size_t i)
{
	const struct index_step_row *row = &ix->steps[i];
	struct index_step step = { 0 };
	const struct index_inode *dir = touch(ix, row, sizeof(*row)) ? index_inode(ix, row->dir) : NULL;

	if (dir)
		step = (struct index_step){ (enum index_step_kind)(row->what >> STEP_KIND), row->dir, row->what & STEP_ENTRY };
	if (dir && (!S_ISDIR(dir->mode) || step.entry >= dir->count + (step.kind == INDEX_STEP_OPAQUE)))
		step.kind = INDEX_STEP_NONE;
	if (!step.kind)
		note_damage(ix);
	return step;
}

struct index_step_row index_step_row(struct index_step step)
{
	return (struct index_step_row){ step.dir, (uint32_t)step.kind << STEP_KIND | step.entry };
}

const struct index_extent *index_extents(const struct index *ix, const struct index_inode *file)
{
	const struct index_extent *first = &ix->extents[file->data];

	return touch(ix, first, file->count * sizeof(*first)) ? first : NULL;
}

bool index_extent_ok(const struct index_inode *file, const struct index_extent *e)
{
	return e->offset <= file->size && e->size <= file->size - e->offset && e->data <= INT64_MAX - e->size;
}

static bool xattrs_ok(const struct index *ix, uint32_t at)
{
	uint32_t count, value;
	uint16_t name;
	size_t left = ix->xattrs_size;

	if (at - 1 > left || (left -= at - 1) < sizeof(count) || !touch(ix, ix->xattrs + at - 1, sizeof(count)))
		return false;
	memcpy(&count, ix->xattrs + at - 1, sizeof(count));
	left -= sizeof(count);
	while (count--) {
		const char *p = ix->xattrs + ix->xattrs_size - left;

		if (left < sizeof(name) + sizeof(value) || !touch(ix, p, sizeof(name) + sizeof(value)))
			return false;
		memcpy(&name, p, sizeof(name));
		memcpy(&value, p + sizeof(name), sizeof(value));
		left -= sizeof(name) + sizeof(value);
		p += sizeof(name) + sizeof(value);
		if (left < name + 1u || left - name - 1u < value || !touch(ix, p, name + 1u + value) || p[name] ||
		    memchr(p, 0, name))
			return false;
		left -= name + 1u + value;
	}
	return true;
}

static void read_xattr(struct index_xattr *x)
{
	const char *p = x->next;
	uint32_t value;
	uint16_t name;

	memcpy(&name, p, sizeof(name));
	memcpy(&value, p + sizeof(name), sizeof(value));
	x->name = p + sizeof(name) + sizeof(value);
	x->value = x->name + name + 1;
	x->size = value;
	x->next = (const char *)x->value + value;
	x->left--;
}

bool index_xattr_first(const struct index *ix, const struct index_inode *inode, struct index_xattr *x)
{
	if (!inode->xattrs)
		return false;
	if (!xattrs_ok(ix, inode->xattrs))
		return note_damage(ix);
	x->next = ix->xattrs + inode->xattrs - 1 + sizeof(x->left);
	memcpy(&x->left, ix->xattrs + inode->xattrs - 1, sizeof(x->left));
	if (!x->left)
		return false;
	read_xattr(x);
	return true;
}

bool index_xattr_next(struct index_xattr *x)
{
	if (!x->left)
		return false;
	read_xattr(x);
	return true;
}

const void *index_xattr_set(const struct index *ix, const struct index_inode *inode, size_t *size)
{
	struct index_xattr x;
	const char *start;

	if (!index_xattr_first(ix, inode, &x))
		return NULL;
	start = ix->xattrs + inode->xattrs - 1;
	while (index_xattr_next(&x))
		;
	*size = (size_t)(x.next - start);
	return start;
}

struct span_table index_spans(const struct index *ix)
{
	struct span_table t = { .coding = (enum span_coding)ix->header->coding, .size = ix->header->stream, .touch = touch,
				.touch_arg = ix };

	t.rows = section(ix, INDEX_ROWS, sizeof(*t.rows), &t.count);
	t.windows = section(ix, INDEX_WINDOWS, 1, &t.windows_size);
	t.pieces = section(ix, INDEX_PIECES, sizeof(*t.pieces), &t.piece_count);
	return t;
}

size_t index_layer_count(const struct index *ix)
{
	return ix->layer_count;
}

const struct digest *index_layer(const struct index *ix, size_t i)
{
	return &ix->layers[i];
}

/* ---- All of it ---- */

/* The entries of a directory: sorted names, directories behind their parent and not too deep. depth: by number - 1, of the
 * directories that have their name; the root's is 0. */
static bool directory_ok(const struct index *ix, uint32_t number, const struct index_inode *dir, uint16_t *depth)
{
	const char *last = "", *name;

	for (uint32_t i = 0; i < dir->count; i++, last = name) {
		uint32_t child = index_entry(ix, dir, i, &name);

		if (!child || strcmp(last, name) >= 0)
			return false;
		if (!S_ISDIR(ix->inodes[child - 1].mode))
			continue;
		if (depth[child - 1] || depth[number - 1] >= LIMIT_TREE_DEPTH)
			return false;
		depth[child - 1] = depth[number - 1] + 1;
	}
	return true;
}

static bool extents_ok(const struct index *ix, const struct index_inode *file)
{
	const struct index_extent *e = index_extents(ix, file);
	uint64_t end = 0;

	for (uint32_t i = 0; e && i < file->count; i++, e++) {
		if (e->offset < end || !index_extent_ok(file, e))
			return false;
		end = e->offset + e->size;
	}
	return e;
}

static bool rest_of_leaf_ok(const struct index *ix, const struct index_inode *i)
{
	const char *text;

	if (S_ISLNK(i->mode) || i->flags & INDEX_LINK) {
		text = index_text(ix, i->data);
		return text && (!S_ISLNK(i->mode) || strlen(text) == i->size);
	}
	return !(i->flags & INDEX_SPARSE) || ix->header->kind == INDEX_IMAGE || extents_ok(ix, i);
}

int index_verify(const struct index *ix, struct err *err)
{
	auto_free uint16_t *depth = calloc(ix->inode_count, sizeof(*depth));
	struct index_xattr x;
	uint64_t entries = 0;

	if (!depth)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (uint32_t n = 1; n <= ix->inode_count; n++) {
		const struct index_inode *i = index_inode(ix, n);

		/* Directories don't share entries: looking at each one's is looking at all once. */
		if (i && S_ISDIR(i->mode))
			entries += i->count;
		if (i && (entries > ix->entry_count || !(S_ISDIR(i->mode) ? directory_ok(ix, n, i, depth) : rest_of_leaf_ok(ix, i))))
			note_damage(ix);
		if (i)
			(void)index_xattr_first(ix, i, &x);
		if (atomic_load(&ix->seen->damage))
			break;
	}
	for (size_t i = 0; i < ix->step_count && !atomic_load(&ix->seen->damage); i++)
		(void)index_step(ix, i);
	return index_check(ix, err);
}

int index_read_layers(int fd, struct buf *out, struct err *err)
{
	struct index_header h;
	uint64_t offset, size;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 ||
	    h.version != INDEX_VERSION || h.kind != INDEX_IMAGE)
		return damaged(err, "it is of another version or kind");
	offset = h.sections[INDEX_LAYERS].offset;
	size = h.sections[INDEX_LAYERS].size;
	if (size % sizeof(struct digest) || size / sizeof(struct digest) > LIMIT_MANIFEST_REFS || offset > INT64_MAX)
		return damaged(err, "its layers");
	buf_reset(out);
	buf_reserve(out, size);
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (pread(fd, out->data, size, (off_t)offset) != (ssize_t)size)
		return damaged(err, "its layers");
	out->len = size;
	return 0;
}
