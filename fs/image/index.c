/*
 * index.c: writing an index's file, opening it, looking into it.
 *
 * Opening verifies everything that index.h promises, so that the rest can rely on it: an index is derived
 * data, but it lies on a disk, where it may be damaged or come from somebody else.
 */
#include "fs/base/base.h"
#include "fs/image/index.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "fs/base/limits.h"
#include "fs/image/inflate.h"

#define MAGIC "regfsIDX"
#define ALIGN 8

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the index is mapped as it is");
_Static_assert(sizeof(struct index_inode) == 64, "on disk");
_Static_assert(sizeof(struct index_entry) == 8, "on disk");
_Static_assert(sizeof(struct index_extent) == 24, "on disk");
_Static_assert(sizeof(struct digest) == 65, "on disk");

struct index_header {
	char magic[8];
	uint32_t version, kind;
	uint64_t file_size;
	uint32_t crc;		/* of all that follows this member, to the file's end */
	uint32_t coding;
	int64_t stream, unpacked, files;
	struct {
		uint64_t offset, size;
	} sections[INDEX_SECTION_COUNT];
};
_Static_assert(sizeof(struct index_header) == 56 + 16 * INDEX_SECTION_COUNT, "on disk");

#define CRC_FROM (offsetof(struct index_header, crc) + sizeof(uint32_t))

struct index {
	const struct index_header *header;
	size_t size;
	const struct index_inode *inodes;
	uint32_t inode_count;
	const struct index_entry *entries;
	size_t entry_count;
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

int index_write(int fd, const struct index_facts *facts, const struct index_section sections[INDEX_SECTION_COUNT],
		struct err *err)
{
	static const char zeros[ALIGN];
	struct index_header h = { .magic = MAGIC, .version = INDEX_VERSION, .kind = facts->kind, .coding = facts->coding,
				  .stream = facts->stream, .unpacked = facts->unpacked, .files = facts->files };
	uint64_t at = sizeof(h);
	int r = 0;

	for (size_t i = 0; i < INDEX_SECTION_COUNT; i++) {
		h.sections[i].offset = at;
		h.sections[i].size = sections[i].size;
		at += (sections[i].size + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
	}
	h.file_size = at;
	h.crc = inflate_crc32(0, (const char *)&h + CRC_FROM, sizeof(h) - CRC_FROM);
	for (size_t i = 0; !r && i < INDEX_SECTION_COUNT; i++) {
		size_t pad = (ALIGN - sections[i].size % ALIGN) % ALIGN;

		h.crc = inflate_crc32(h.crc, sections[i].data, sections[i].size);
		h.crc = inflate_crc32(h.crc, zeros, pad);
		r = write_all(fd, sections[i].data, sections[i].size, (off_t)h.sections[i].offset, err);
		if (!r)
			r = write_all(fd, zeros, pad, (off_t)(h.sections[i].offset + sections[i].size), err);
	}
	return r ? r : write_all(fd, &h, sizeof(h), 0, err);
}

/* ---- Opening ---- */

static int damaged(struct err *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "an index is damaged (%s)", what);
}

/* The section's bytes; NULL if they don't lie in the file or aren't whole elements. */
static const void *section(const struct index *ix, enum index_sections which, size_t element, size_t *count)
{
	uint64_t offset = ix->header->sections[which].offset, size = ix->header->sections[which].size;

	if (offset % ALIGN || offset > ix->size || size > ix->size - offset || size % element)
		return NULL;
	*count = size / element;
	return (const char *)ix->header + offset;
}

static int find_sections(struct index *ix, struct err *err)
{
	size_t inodes = 0, ignored;

	ix->inodes = section(ix, INDEX_INODES, sizeof(*ix->inodes), &inodes);
	ix->entries = section(ix, INDEX_ENTRIES, sizeof(*ix->entries), &ix->entry_count);
	ix->xattrs = section(ix, INDEX_XATTRS, 1, &ix->xattrs_size);
	ix->extents = section(ix, INDEX_EXTENTS, sizeof(*ix->extents), &ix->extent_count);
	ix->layers = section(ix, INDEX_LAYERS, sizeof(*ix->layers), &ix->layer_count);
	ix->texts = section(ix, INDEX_TEXTS, 1, &ix->texts_size);
	if (!ix->inodes || !ix->entries || !ix->xattrs || !ix->extents || !ix->layers || !ix->texts ||
	    !section(ix, INDEX_ROWS, sizeof(struct span_row), &ignored) ||
	    !section(ix, INDEX_WINDOWS, 1, &ignored) || !section(ix, INDEX_PIECES, sizeof(uint32_t), &ignored))
		return damaged(err, "a section outside the file");
	if (!inodes || inodes > UINT32_MAX - 1 || !ix->texts_size || ix->texts[ix->texts_size - 1])
		return damaged(err, "no root, or no texts");
	ix->inode_count = (uint32_t)inodes;
	for (size_t i = 0; i < ix->layer_count; i++)
		if (!digest_algorithm_name((enum digest_algorithm)ix->layers[i].algorithm))
			return damaged(err, "a layer's digest");
	return 0;
}

static bool name_ok(const char *name)
{
	size_t n = strnlen(name, LIMIT_TREE_NAME + 1);

	return n && n <= LIMIT_TREE_NAME && !memchr(name, '/', n) && !streq(name, ".") && !streq(name, "..");
}

/* The entries of a directory: sorted names, numbers that there are, directories behind their parent and not too
 * deep. depth: by number - 1, of the directories that have their name; the root's is 0. */
static bool directory_ok(const struct index *ix, uint32_t number, const struct index_inode *dir, uint16_t *depth)
{
	const char *last = "";

	if (dir->data > ix->entry_count || dir->count > ix->entry_count - dir->data)
		return false;
	for (uint32_t i = 0; i < dir->count; i++) {
		const struct index_entry *e = &ix->entries[dir->data + i];
		const char *name = ix->texts + e->name;
		const struct index_inode *child = index_inode(ix, e->inode);

		if (e->name >= ix->texts_size || !name_ok(name) || strcmp(last, name) >= 0 || !child)
			return false;
		if (S_ISDIR(child->mode) && (e->inode <= number || child->parent != number || depth[e->inode - 1] ||
					     depth[number - 1] >= LIMIT_TREE_DEPTH))
			return false;
		if (S_ISDIR(child->mode))
			depth[e->inode - 1] = depth[number - 1] + 1;
		last = name;
	}
	return true;
}

static bool xattrs_ok(const struct index *ix, uint32_t at)
{
	uint32_t count, value;
	uint16_t name;
	size_t left = ix->xattrs_size;

	if (!at)
		return true;
	if (at - 1 > left || (left -= at - 1) < sizeof(count))
		return false;
	memcpy(&count, ix->xattrs + at - 1, sizeof(count));
	left -= sizeof(count);
	while (count--) {
		const char *p = ix->xattrs + ix->xattrs_size - left;

		if (left < sizeof(name) + sizeof(value))
			return false;
		memcpy(&name, p, sizeof(name));
		memcpy(&value, p + sizeof(name), sizeof(value));
		left -= sizeof(name) + sizeof(value);
		if (left < name + 1u || left - name - 1u < value || p[sizeof(name) + sizeof(value) + name] ||
		    memchr(p + sizeof(name) + sizeof(value), 0, name))
			return false;
		left -= name + 1u + value;
	}
	return true;
}

static bool extents_ok(const struct index *ix, const struct index_inode *file)
{
	uint64_t end = 0;

	if (file->data > ix->extent_count || file->count > ix->extent_count - file->data)
		return false;
	for (uint32_t i = 0; i < file->count; i++) {
		const struct index_extent *e = &ix->extents[file->data + i];

		if (e->offset < end || e->offset > file->size || e->size > file->size - e->offset ||
		    e->data > INT64_MAX - e->size)
			return false;
		end = e->offset + e->size;
	}
	return true;
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
	if (S_ISLNK(i->mode) || i->flags & INDEX_LINK) {
		if (i->data >= ix->texts_size || (S_ISLNK(i->mode) && strlen(ix->texts + i->data) != i->size))
			return false;
		return !S_ISLNK(i->mode) || (i->parent && i->parent <= ix->inode_count);
	}
	if (!S_ISREG(i->mode))
		return S_ISCHR(i->mode) || S_ISBLK(i->mode) || S_ISFIFO(i->mode);
	if (i->size > INT64_MAX)
		return false;
	if (image)
		return true;
	return i->flags & INDEX_SPARSE ? extents_ok(ix, i) : i->data <= (uint64_t)INT64_MAX - i->size;
}

static int check_tree(const struct index *ix, struct err *err)
{
	auto_free uint16_t *depth = calloc(ix->inode_count, sizeof(*depth));

	if (!depth)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!S_ISDIR(ix->inodes[0].mode) || ix->inodes[0].parent != INDEX_ROOT)
		return damaged(err, "the root is no directory");
	for (uint32_t n = 1; n <= ix->inode_count; n++) {
		const struct index_inode *i = index_inode(ix, n);

		if (S_ISDIR(i->mode) ? !directory_ok(ix, n, i, depth) : !leaf_ok(ix, i))
			return damaged(err, "an inode");
		if (!xattrs_ok(ix, i->xattrs))
			return damaged(err, "extended attributes");
	}
	return 0;
}

static int check_header(const struct index *ix, enum index_kind kind, struct err *err)
{
	const struct index_header *h = ix->header;

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version != INDEX_VERSION || h->kind != kind)
		return damaged(err, "it is of another version or kind");
	if (h->file_size != ix->size || h->stream < 0 || h->unpacked < 0 || h->files < 0)
		return damaged(err, "its size is wrong");
	if (inflate_crc32(0, (const char *)h + CRC_FROM, ix->size - CRC_FROM) != h->crc)
		return damaged(err, "its checksum is wrong");
	return 0;
}

void index_expect(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
}

int index_open(int fd, enum index_kind kind, struct index **out, struct err *err)
{
	auto_index struct index *ix = calloc(1, sizeof(*ix));
	struct stat st;
	void *map;
	int r;

	if (!ix)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "can't look at an index");
	if (st.st_size < (off_t)sizeof(struct index_header))
		return damaged(err, "it is too short");
	index_expect(fd);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(err, errno, "can't map an index");
	ix->header = map;
	ix->size = (size_t)st.st_size;
	r = check_header(ix, kind, err);
	if (!r)
		r = find_sections(ix, err);
	if (!r)
		r = check_tree(ix, err);
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
		munmap((void *)(uintptr_t)ix->header, ix->size);
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

const struct index_inode *index_inode(const struct index *ix, uint32_t number)
{
	return number && number <= ix->inode_count ? &ix->inodes[number - 1] : NULL;
}

uint32_t index_lookup(const struct index *ix, const struct index_inode *dir, const char *name)
{
	const struct index_entry *first = &ix->entries[dir->data];
	uint32_t low = 0, high = dir->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = strcmp(name, ix->texts + first[middle].name);

		if (!order)
			return first[middle].inode;
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

	*name = ix->texts + e->name;
	return e->inode;
}

const char *index_text(const struct index *ix, uint64_t offset)
{
	return ix->texts + offset;
}

const struct index_extent *index_extents(const struct index *ix, const struct index_inode *file)
{
	return &ix->extents[file->data];
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
	const char *start = ix->xattrs + inode->xattrs - 1;
	struct index_xattr x;

	if (!index_xattr_first(ix, inode, &x))
		return NULL;
	while (index_xattr_next(&x))
		;
	*size = (size_t)(x.next - start);
	return start;
}

struct span_table index_spans(const struct index *ix)
{
	struct span_table t = { .coding = (enum span_coding)ix->header->coding, .size = ix->header->stream };

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
