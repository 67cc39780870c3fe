/*
 * build.h: a tree of files in memory, on its way into an index (index.h).
 *
 * A layer's tree grows by its tar's entries (layer.c), an image's by its layers' trees (merge.c). Names are held in
 * one hash table by directory and name; an inode that no name reaches from the root is left out when the tree is
 * written.
 *
 * Inodes are named by number, which holds while the build lives; a pointer to one, until the next build_inode().
 */
#ifndef REGFS_BUILD_H
#define REGFS_BUILD_H

#include "fs/image/index.h"

struct build;

/* With a root: an implied directory. */
int build_new(struct build **out, struct err *err) MUST_CHECK;
void build_free(struct build *b);
DEFINE_CLEANUP(cleanup_build, struct build *, build_free)
#define auto_build CLEANUP(cleanup_build)

/* A new inode, of no name yet, all zero. ERR_CORRUPT beyond LIMIT_TREE_ENTRIES. */
int build_inode(struct build *b, uint32_t *number, struct err *err) MUST_CHECK;
struct index_inode *build_at(struct build *b, uint32_t number);
uint32_t build_inodes(const struct build *b);	/* so far: what comes is numbered from the next on */
/* An implied directory in `parent`, of no name yet: root's, 0755, of the time last set (a LAYER's: set when it is written). */
void build_set_time(struct build *b, int64_t mtime);
int build_directory(struct build *b, uint32_t parent, uint32_t *number, struct err *err) MUST_CHECK;

/* What is done for a tree is counted in steps, each of some 50 ns: ERR_CORRUPT beyond as many as may be, LIMIT_TREE_STEPS if not set. */
void build_set_steps(struct build *b, int64_t most);
int build_count(struct build *b, int64_t steps, struct err *err) MUST_CHECK;

/* The inode of a name in a directory, or 0. */
uint32_t build_child(const struct build *b, uint32_t dir, const char *name);
/* Makes the name that inode's, whatever it was before; inode 0: there is no such name any more. */
int build_put(struct build *b, uint32_t dir, const char *name, uint32_t inode, struct err *err) MUST_CHECK;
/* Takes all names out of a directory but those whose inode is kept; `keep` changes nothing of the build. Looks at all names that
 * there ever were: a step for each 16 of them. */
int build_clear(struct build *b, uint32_t dir, bool (*keep)(void *arg, uint32_t inode), void *arg, struct err *err) MUST_CHECK;
/* LAYER: which of its archive's entries what is done from then on is of, counted from 1. A name has the number of its last build_put(). */
void build_set_order(struct build *b, uint32_t order);
/* LAYER: the entry is a whiteout of that name, which there is; NULL: an opaque marker in the directory. */
int build_add_step(struct build *b, uint32_t dir, const char *name, struct err *err) MUST_CHECK;

/* A text or a set of attributes is held once for each call; *offset stands in an inode's data or xattrs, and build_text() reads it. */
int build_add_text(struct build *b, const char *text, uint64_t *offset, struct err *err) MUST_CHECK;
const char *build_text(const struct build *b, uint64_t offset);
/* `set` as an index holds it (index.h); equal sets are held once. */
int build_add_xattrs(struct build *b, const void *set, size_t size, uint32_t *xattrs, struct err *err) MUST_CHECK;
int build_add_extents(struct build *b, const struct index_extent *extents, size_t count, uint64_t *first,
		      struct err *err) MUST_CHECK;

/*
 * Splits a path as it stands in a tar into components: "." and empty ones go, ".." takes the one before with it, and
 * never leaves the root. *names: each with its NUL, one behind another; *count of them. ERR_CORRUPT beyond the limits.
 */
int build_split(const char *path, struct buf *names, size_t *count, struct err *err) MUST_CHECK;

/* What becomes of names that don't lead on, on the way to a directory. */
enum build_missing {
	BUILD_LEAVE,	/* there is no such directory, then */
	BUILD_MAKE,	/* implied directories are made, but none where something else is in the way */
	BUILD_REPLACE,	/* there, too, in its place */
};

/*
 * The directory that `count` components lead to from the root: symbolic links are followed inside it, absolute ones from it; what isn't there,
 * or is no directory, leads on by its name, so that ".." behind it takes it back, and nothing is made of it then. *dir 0: there is none.
 * ERR_CORRUPT: too many links.
 */
int build_walk(struct build *b, const char *names, size_t count, enum build_missing missing, uint32_t *dir, struct err *err) MUST_CHECK;
/* What a symbolic link in `dir` leads to, as a directory, in the same way. */
int build_follow(struct build *b, uint32_t dir, const char *target, enum build_missing missing, uint32_t *out, struct err *err) MUST_CHECK;

struct build_extra {
	enum index_kind kind;
	const struct span_draft *spans;		/* LAYER */
	const struct digest *layers;		/* IMAGE; LAYER: the one it is */
	size_t layer_count;
	int64_t implied_mtime;			/* LAYER: of implied directories */
	/* IMAGE: the link count of a leaf in its layer, to find those that the merge changed. */
	uint32_t (*layer_nlink)(void *arg, const struct index_inode *leaf);
	void *arg;
};

/* Counts links, numbers what is reachable from the root, and writes the index at the start of an empty file. Ends the build's use. */
int build_write(struct build *b, const struct build_extra *extra, int fd, struct err *err) MUST_CHECK;

#endif
