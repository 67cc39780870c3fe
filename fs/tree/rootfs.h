/*
 * rootfs.h: an image's root file system by name, for a door that isn't a mount (the command).
 *
 * What is found are nodes (node.h), which never change: node_getattr(), node_open() and the others work on them. Paths are
 * resolved here, inside the image's root, as a process in a container would see them.
 */
#ifndef REGFS_ROOTFS_H
#define REGFS_ROOTFS_H

#include "fs/tree/node.h"

struct db;
struct image_row;

struct rootfs {
	uint64_t root;		/* its node */
	struct digest digest;	/* of the image: of an index, the one that was chosen */
};

/* 1; 0: there is none, for the image is an index, or an artifact, whose type is *type then ("": it isn't known), or a layer of it is no
 * tar, but of that type, as those of attestations are. */
int rootfs_is_there(struct db *db, const struct image_row *image, char type[static LIMIT_MEDIA_TYPE + 1], struct err *err) MUST_CHECK;

/*
 * The image that `reference` (a tag or a digest as text) names; of an index the first for `platform` (OS/ARCH or
 * OS/ARCH/VARIANT; NULL: this machine's). Makes no index yet.
 * ERR_NOT_FOUND, which says what there is: the index has none for that platform, the image is for another than the one that
 * was asked for, or what is named is no image. ERR_MANIFEST_UNKNOWN: the index names one that isn't here.
 */
int rootfs_find(struct tree *tree, const struct cred *cred, const char *repo, const char *reference, const char *platform,
		struct rootfs *out, struct err *err) MUST_CHECK;

/* This machine's platform, as images spell it: "linux/amd64". */
const char *rootfs_platform(void);
/* ERR_ARGUMENT unless it is OS/ARCH or OS/ARCH/VARIANT. */
int rootfs_platform_check(const char *platform, struct err *err) MUST_CHECK;

#define ROOTFS_HOPS_MAX 40	/* symbolic links on the way of one path, as Linux has it */

/*
 * The node at a path, which begins at `root` with or without a slash. Links lead on inside the root: absolute ones from
 * it, and ".." never above it. The last component's link is followed if `follow`, or if a slash stands behind it.
 * ERR_NOT_FOUND (also: too many links, or a loop of them), ERR_NOT_DIRECTORY.
 */
int rootfs_walk(struct tree *tree, const struct cred *cred, uint64_t root, const char *path, bool follow,
		struct node_attr *out, struct err *err) MUST_CHECK;

/* A directory being read, in byte order of the names; memory for a page of it only. */
struct rootfs_dir;
int rootfs_dir_open(struct tree *tree, const struct cred *cred, uint64_t directory, struct rootfs_dir **out,
		    struct err *err) MUST_CHECK;
/* 1 and the next entry, which lives until the next call; 0: there are no more. */
int rootfs_dir_next(struct rootfs_dir *d, const char **name, const struct node_attr **attr, struct err *err) MUST_CHECK;
void rootfs_dir_close(struct rootfs_dir *d);
DEFINE_CLEANUP(cleanup_rootfs_dir, struct rootfs_dir *, rootfs_dir_close)
#define auto_rootfs_dir CLEANUP(cleanup_rootfs_dir)

/* Whether two nodes that aren't directories are the same file of the same layer: all of them is equal then, but perhaps their
 * numbers of links. 1, 0, or negative. */
int rootfs_same(struct tree *tree, const struct cred *cred, uint64_t a, uint64_t b, struct err *err) MUST_CHECK;
/* A number that two nodes have in common exactly if rootfs_same() says 1 of them: for who compares many. */
int rootfs_source(struct tree *tree, const struct cred *cred, uint64_t node, uint64_t *out, struct err *err) MUST_CHECK;
/* The next run of a file's bytes at or behind `offset`, from *start to below *end; both are the size if none comes. What lies
 * between is a hole. */
int rootfs_data(struct tree *tree, const struct cred *cred, uint64_t file, int64_t offset, int64_t *start, int64_t *end,
		struct err *err) MUST_CHECK;

#endif
