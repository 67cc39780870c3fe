/*
 * index.h: a tree of files as one flat file: a layer's own, or an image's, merged.
 *
 * Derived data: what can't be read is made again. Little-endian, position-independent, mapped read-only; opening
 * costs a mapping and a look at its first page. Each block of 64 KiB has a CRC, which is verified when something in it is first
 * looked at: who wants one file reads a few blocks.
 *
 *	struct index_header	the whole file's size, where each section begins, the CRC of this and what follows
 *	CRCs			u32 for each block
 *	inodes			struct index_inode; number 1 (the first) is the root; 0 is none
 *	entries			struct index_entry; those of one directory stand together, in byte order of their names
 *	steps			LAYER: what its archive does, in the archive's order (index_step())
 *	xattrs			sets: u32 count, then for each u16 name's length, u32 value's length, name, NUL, value
 *	extents			struct index_extent: of sparse files
 *	rows windows pieces	LAYER, COPY: struct span_table (span.h)
 *	layers			IMAGE: struct digest of each layer, base first; LAYER: its own
 *	texts			names, link targets, each with its NUL
 *
 * What is damaged is noticed where it is looked at: nothing is given out then, as said below, and index_check() fails from then on.
 * Its user has it made again, and gives out nothing he had before he asked index_check().
 *
 * Invariants of what is given out, and of all of an index that index_verify() accepts:
 * 1. Every number and offset in it lies inside its section; every text ends.
 * 2. A directory's number is greater than its parent's, and a symbolic link's parent is a directory; so there is no loop.
 * 3. Names are not empty, not "." or "..", at most LIMIT_TREE_NAME bytes, without '/'.
 * 4. An image's leaf names a layer it has; layers' digests are digests.
 * 5. Flags stand only where enum index_flag has them.
 * Whoever writes an index sees to more, and index_verify() to that:
 * 6. A directory has one name, and lies at most LIMIT_TREE_DEPTH below the root.
 * 7. Names are sorted, each once in its directory, and in no other; extents are sorted and don't overlap; a link's size is its target's.
 */
#ifndef REGFS_INDEX_H
#define REGFS_INDEX_H

#include <sys/stat.h>

#include "fs/base/digest.h"
#include "fs/image/span.h"

#define INDEX_VERSION 6
#define INDEX_ROOT 1

enum index_kind {
	INDEX_LAYER = 1,
	INDEX_IMAGE = 2,
	INDEX_COPY = 3,		/* of a layer whose coding is NONE: an empty root, and the spans of its decoded copy */
};

enum index_flag {
	INDEX_OPAQUE = 1,	/* LAYER: a directory that hides what lower layers have in it */
	INDEX_IMPLIED = 2,	/* a directory that no entry described */
	INDEX_WHITEOUT = 4,	/* LAYER: the name removes a lower layer's */
	INDEX_SPARSE = 16,	/* a file whose bytes are in extents */
	INDEX_LINK = 32,	/* LAYER: a hard link to a file that this layer doesn't have; data: its path, a text */
	INDEX_OWN = 64,		/* IMAGE: the merge changed its link count: not the layer's inode any more */
};

struct index_inode {
	uint32_t mode;		/* S_IF* and the low 12 bits */
	uint32_t uid, gid;
	uint32_t nlink;		/* names of it in this tree; a directory: 2 and one for each directory in it */
	uint64_t size;		/* bytes; a symbolic link: of its target; else 0 */
	int64_t mtime;		/* nanoseconds since 1970 */
	/* A directory: its first entry. A file of a LAYER: offset of its bytes in the uncompressed layer, or (SPARSE) its
	 * first extent. A symbolic link: its target, a text. A device: its number, as makedev(3) has it. */
	uint64_t data;
	uint32_t count;		/* entries of a directory, extents of a sparse file */
	uint32_t xattrs;	/* 1 + offset of its set, 0: none */
	uint32_t parent;	/* a directory's or a symbolic link's (one of them); the root's is itself */
	uint32_t flags;		/* enum index_flag */
	uint32_t layer;		/* IMAGE, not a directory: number of its layer from 0, and its inode there */
	uint32_t layer_inode;
};

struct index_entry {
	uint32_t name;		/* a text */
	uint32_t inode;
};

/* What an archive does, one thing after the other: all that merging takes from it but the root's attributes. */
enum index_step_kind {
	INDEX_STEP_NONE,	/* damaged */
	INDEX_STEP_PUT,		/* an entry that the layer has in the end, at the place of the archive's entry that it is from: a directory that
				 * more than one describes, of the first; implied ones aren't put */
	INDEX_STEP_WHITEOUT,	/* of an entry's name, whatever it leads to in the layer; also before a directory that is put in the place of
				 * something else of the layer's */
	INDEX_STEP_OPAQUE,	/* an opaque marker in a directory */
};

struct index_step {
	enum index_step_kind kind;
	uint32_t dir;		/* an inode, a directory */
	uint32_t entry;		/* below its count; of OPAQUE 0 */
};

struct index_extent {
	uint64_t offset, size, data;	/* as struct tar_extent */
};

struct index;

/* Maps the file behind `fd` (not taken). ERR_CORRUPT: damaged, of another version or kind. */
int index_open(int fd, enum index_kind kind, struct index **out, struct err *err) MUST_CHECK;
void index_close(struct index *ix);
/* ERR_CORRUPT once something damaged was looked at. */
int index_check(const struct index *ix, struct err *err) MUST_CHECK;
/* Looks at all of it that the functions below give out (not at spans). 0: none of them will meet damage. */
int index_verify(const struct index *ix, struct err *err) MUST_CHECK;
DEFINE_CLEANUP(cleanup_index, struct index *, index_close)
#define auto_index CLEANUP(cleanup_index)

size_t index_file_size(const struct index *ix);
uint32_t index_inodes(const struct index *ix);	/* numbers are 1 to this */
int64_t index_unpacked(const struct index *ix);	/* bytes of all files, holes included; each once */
int64_t index_files(const struct index *ix);	/* inodes that aren't directories, without whiteouts */

/* NULL for a number that there isn't, or if it is damaged. */
const struct index_inode *index_inode(const struct index *ix, uint32_t number);
/* 0 if there is none, or it is damaged. */
uint32_t index_lookup(const struct index *ix, const struct index_inode *dir, const char *name);
/* Entry i of a directory, below its count; 0: damaged. */
uint32_t index_entry(const struct index *ix, const struct index_inode *dir, uint32_t i, const char **name);
/* NULL: damaged. */
const char *index_text(const struct index *ix, uint64_t offset);
const struct index_extent *index_extents(const struct index *ix, const struct index_inode *file);
size_t index_steps(const struct index *ix);
struct index_step index_step(const struct index *ix, size_t i);
/* Whether one of them lies inside the file, which they do if index_verify() accepts them. */
bool index_extent_ok(const struct index_inode *file, const struct index_extent *e);

struct index_xattr {
	const char *name;
	const void *value;
	size_t size;
	const char *next;	/* the index's */
	uint32_t left;		/* the index's: how many come behind this one */
};
/* Begins at the first (false: none, or damaged), and goes on. */
bool index_xattr_first(const struct index *ix, const struct index_inode *inode, struct index_xattr *x);
bool index_xattr_next(struct index_xattr *x);
/* The bytes of an inode's whole set, or NULL: none, or damaged. */
const void *index_xattr_set(const struct index *ix, const struct index_inode *inode, size_t *size);

/* LAYER, COPY: how to read its bytes; looked at, and checked against a blob of that size when the blob is there: span_table_check(). */
struct span_table index_spans(const struct index *ix);
/* IMAGE; a LAYER has one, itself. */
size_t index_layer_count(const struct index *ix);
const struct digest *index_layer(const struct index *ix, size_t i);

/* Only the layers of an IMAGE, in order, as struct digest into `out`; without looking at the rest. ERR_CORRUPT. */
int index_read_layers(int fd, struct buf *out, struct err *err) MUST_CHECK;

/* ---- Writing (fs/image/build.c) ---- */

struct index_section {
	const void *data;
	size_t size;
};

enum index_sections {
	INDEX_INODES,
	INDEX_ENTRIES,
	INDEX_STEPS,
	INDEX_XATTRS,
	INDEX_EXTENTS,
	INDEX_ROWS,
	INDEX_WINDOWS,
	INDEX_PIECES,
	INDEX_LAYERS,
	INDEX_TEXTS,
	INDEX_SECTION_COUNT
};

/* As it stands in the file. */
struct index_step_row {
	uint32_t dir;
	uint32_t what;		/* the entry, and the kind in the two highest bits */
};

struct index_step_row index_step_row(struct index_step step);

struct index_facts {
	enum index_kind kind;
	enum span_coding coding;	/* LAYER */
	int64_t stream;			/* LAYER: uncompressed bytes */
	int64_t unpacked, files;	/* unpacked: INT64_MAX if it is more */
};

/* Writes an index at the start of an empty file. */
int index_write(int fd, const struct index_facts *facts, const struct index_section sections[INDEX_SECTION_COUNT],
		struct err *err) MUST_CHECK;

#endif
