/*
 * node.h: the tree as nodes, for a door that shows it as files (the mount).
 *
 * A node is a 64-bit number that says what it is (its kind and the row behind it),
 * so nothing has to be remembered about nodes that somebody has looked up: there is
 * no forget, a number that was valid once either means the same thing or is
 * ENOENT, and the number serves as the inode's. node.c holds the table of kinds: what
 * each is called, what is in it, where its text comes from. regfs(5) describes the
 * tree; each operation asks permission as those of tree.h do, which it calls.
 *
 * Caching: node_attr says for each node what a kernel may remember. Everything else
 * may change through another door or process at any moment and must be asked for each time.
 */
#ifndef REGFS_NODE_H
#define REGFS_NODE_H

#include <sys/statvfs.h>

#include "fs/tree/tree.h"

#define NODE_ROOT 1

struct node_attr {
	uint64_t id;
	mode_t mode;		/* type and permission bits */
	uint64_t links;
	int64_t size;		/* bytes; a link: of its target; a directory: 0 */
	int64_t mtime;		/* nanoseconds since 1970: when it was pushed, moved, made */
	bool owned;		/* inside an image: uid, gid and rdev are as it has them; else it is whoever mounts */
	uid_t uid;
	gid_t gid;
	dev_t rdev;
	bool sparse;		/* inside an image: it has holes, perhaps */
	bool name_forever;	/* name -> node under its parent never changes, absence included */
	bool attr_forever;	/* these attributes never change */
	bool data_forever;	/* its bytes (a file) or its names (a directory) never change */
};

/* Whether a node is a rootfs/ or tree/, or below one. */
bool node_is_inside(uint64_t node);

/* ERR_NOT_FOUND, ERR_NOT_DIRECTORY. `absent_forever`, if not NULL: the absence may be remembered. */
int node_lookup(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		struct node_attr *out, bool *absent_forever, struct err *err) MUST_CHECK;
int node_getattr(struct tree *tree, const struct cred *cred, uint64_t node, struct node_attr *out,
		 struct err *err) MUST_CHECK;

/*
 * Entries of a directory behind `cookie` (0: from the start), without "." and "..".
 * `next` is the cookie behind the entry. Cookies stay valid across calls and processes;
 * an entry that is there throughout comes exactly once, and a page costs what the page holds. fn answers non-zero to
 * stop (that entry doesn't count as given); the listing then returns 0.
 */
typedef int node_entry_fn(void *arg, const char *name, const struct node_attr *attr, uint64_t next);
int node_list(struct tree *tree, const struct cred *cred, uint64_t directory, uint64_t cookie,
	      node_entry_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* The parent of a directory: for "..". NODE_ROOT's is itself. */
int node_parent(struct tree *tree, const struct cred *cred, uint64_t directory, uint64_t *parent,
		struct err *err) MUST_CHECK;

int node_readlink(struct tree *tree, const struct cred *cred, uint64_t link, struct buf *out,
		  struct err *err) MUST_CHECK;
/* *forever: node_attr's data_forever; may be NULL. */
int node_open(struct tree *tree, const struct cred *cred, uint64_t file, struct content **out, bool *forever,
	      struct err *err) MUST_CHECK;

/* ---- Writing: tags are links in a repository's _tags/ ---- */

/*
 * `target` as namespace has it: ../_images/<algorithm>/<hex> of the same repository, or a sibling tag;
 * else ERR_ARGUMENT. ERR_EXISTS if the name is taken.
 * A name such as coreutils' `ln -f` uses on its way (Cu and six letters or digits) is pending: held by this
 * struct tree only, no tag, no event, until node_rename() gives it its name.
 */
int node_symlink(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		 const char *target, struct node_attr *out, struct err *err) MUST_CHECK;
/* Within one _tags/ (ERR_NOT_PERMITTED otherwise: at EXDEV mv would remove the other tag first): one change, one transaction. noreplace: ERR_EXISTS
 * if the new name is taken. */
int node_rename(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		uint64_t new_parent, const char *new_name, bool noreplace, struct err *err) MUST_CHECK;
int node_unlink(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name,
		struct err *err) MUST_CHECK;

/* ---- Writing: repositories, settings, grants ---- */

/* Makes a repository, as visible as its namespace says. */
int node_mkdir(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name, struct node_attr *out,
	       struct err *err) MUST_CHECK;
/* Permission bits. A repository from whose others all is taken becomes private; what is as it is stays so, whatever the node. Else
 * ERR_NOT_PERMITTED of a directory of repositories, and ERR_READ_ONLY. */
int node_chmod(struct tree *tree, const struct cred *cred, uint64_t node, mode_t mode, struct err *err) MUST_CHECK;
/* A file of a principal in an _access/. It is empty, and isn't there for others, before something is written to it. ERR_NOT_FOUND: nobody is
 * called so. */
int node_create(struct tree *tree, const struct cred *cred, uint64_t parent, const char *name, struct node_attr *out,
		struct err *err) MUST_CHECK;
/* 0, or ERR_READ_ONLY. */
int node_may_write(struct tree *tree, const struct cred *cred, uint64_t file, struct err *err) MUST_CHECK;
/* Makes that the file's value, with or without a newline behind it. ERR_ARGUMENT: it isn't one, and nothing was changed. */
int node_write(struct tree *tree, const struct cred *cred, uint64_t file, const void *data, size_t len,
	       struct err *err) MUST_CHECK;

/* ---- Extended attributes: user.regfs.digest, user.regfs.media-type, ... ---- */

/* ERR_NO_ATTRIBUTE. */
int node_getxattr(struct tree *tree, const struct cred *cred, uint64_t node, const char *name,
		  struct buf *out, struct err *err) MUST_CHECK;
/* The names, each followed by a NUL. */
int node_listxattr(struct tree *tree, const struct cred *cred, uint64_t node, struct buf *out,
		   struct err *err) MUST_CHECK;

int node_statfs(struct tree *tree, const struct cred *cred, uint64_t node, struct statvfs *out,
		struct err *err) MUST_CHECK;

#endif
