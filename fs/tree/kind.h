/*
 * kind.h: the kinds of nodes: what the table in kind.c is made of.
 *
 * A node's number is  kind << 56 | position << 43 | row : what it is, which of
 * several of its row, and the row of the database behind
 * it. Row 0 stands for the registry itself.
 */
#ifndef REGFS_KIND_H
#define REGFS_KIND_H

#include "fs/meta/history.h"
#include "fs/tree/node.h"
#include "fs/tree/state.h"

enum node_kind {
	KIND_ROOT,
	KIND_REGISTRY,
	KIND_VERSION,
	KIND_STATS,
	KIND_AUDIT,
	KIND_REGISTRY_EVENTS,
	KIND_ALL_BLOBS,
	KIND_ALL_BLOBS_SHA256,
	KIND_ALL_BLOBS_SHA512,
	KIND_ALL_USED_BY,
	KIND_ALL_USED_BY_SHA256,
	KIND_ALL_USED_BY_SHA512,
	KIND_USES,		/* _registry/used-by/<algorithm>/<hex>/ */
	KIND_USE_TAG,
	KIND_USE_IMAGE,
	KIND_REGISTRY_SETTINGS,
	KIND_REGISTRY_VISIBILITY,
	KIND_REGISTRY_PUSH_CREATES,
	KIND_REGISTRY_HISTORY_KEEP,
	KIND_REGISTRY_IMMUTABLE,
	KIND_REGISTRY_UNDO_KEEP,
	KIND_REGISTRY_ACCESS,
	KIND_REPO,		/* a repository or a namespace */
	KIND_TAGS,
	KIND_TAG,
	KIND_PENDING,		/* a link that `ln -sf` is about to rename */
	KIND_IMAGES,
	KIND_IMAGES_SHA256,
	KIND_IMAGES_SHA512,
	KIND_IMAGE,
	KIND_MANIFEST_JSON,	/* an alias: the node is the blob's */
	KIND_CONFIG_JSON,	/* an alias */
	KIND_IMAGE_DIGEST,
	KIND_IMAGE_ID,
	KIND_IMAGE_SIZE,
	KIND_IMAGE_MEDIA_TYPE,
	KIND_IMAGE_CREATED,
	KIND_IMAGE_PLATFORM,
	KIND_IMAGE_PUSHED,
	KIND_IMAGE_HISTORY,
	KIND_IMAGE_ROOTFS,	/* its number, and those of all below it, are inside.h's */
	KIND_IMAGE_LAYERS,
	KIND_IMAGE_LAYER,
	KIND_IMAGE_PLATFORMS,
	KIND_IMAGE_CHILD,
	KIND_IMAGE_REFERRERS,
	KIND_IMAGE_REFERRER,
	KIND_IMAGE_USED_BY,
	KIND_IMAGE_TAG,
	KIND_IMAGE_INDEX,
	KIND_LAYERS,
	KIND_LAYERS_SHA256,
	KIND_LAYERS_SHA512,
	KIND_LAYER,
	KIND_LAYER_BLOB,	/* an alias */
	KIND_LAYER_SIZE,
	KIND_LAYER_MEDIA_TYPE,
	KIND_LAYER_DIFF_ID,
	KIND_LAYER_TREE,	/* as KIND_IMAGE_ROOTFS */
	KIND_LAYER_USED_BY,
	KIND_LAYER_IMAGE,
	KIND_BLOBS,
	KIND_BLOBS_SHA256,
	KIND_BLOBS_SHA512,
	KIND_BLOB,
	KIND_UPLOADS,
	KIND_UPLOAD,
	KIND_OCI,
	KIND_OCI_LAYOUT,
	KIND_OCI_INDEX,
	KIND_OCI_BLOBS,
	KIND_OCI_BLOBS_SHA256,
	KIND_OCI_BLOBS_SHA512,
	KIND_HISTORY,
	KIND_HISTORY_TAG,	/* its row is the tag's first entry */
	KIND_HISTORY_LOG,	/* likewise */
	KIND_HISTORY_ENTRY,
	KIND_EVENTS,
	KIND_SETTINGS,
	KIND_VISIBILITY,
	KIND_PUSH_CREATES,
	KIND_IMMUTABLE,
	KIND_UNDO_KEEP,
	KIND_ACCESS,
	KIND_IMAGE_PULLED,
	KIND_REGISTRY_RETENTION,
	KIND_RETENTION,
	KIND_REGISTRY_QUOTA,
	KIND_REGISTRY_QUOTA_TAGS,
	KIND_QUOTA,
	KIND_QUOTA_TAGS,
	KIND_REGISTRY_HOOKS,
	KIND_HOOKS,
	KIND_HOOK,		/* its row is the hook's; of one that is being made (position > 0) the repository's, or 0 */
	KIND_GRANT,		/* its number is made of the repository's row, or 0, and the principal's */
	KIND_COUNT
};

#define NODE_ROW_BITS 43
#define NODE_POSITION_BITS 13
#define NODE_KIND_SHIFT (NODE_ROW_BITS + NODE_POSITION_BITS)

/* Which table a kind's row is of. */
enum row_type {
	ROW_NONE,
	ROW_REPO,
	ROW_IMAGE,
	ROW_BLOB,	/* blob.id */
	ROW_LINK,	/* repository_blob.id: struct blob_row with its link */
	ROW_TAG,
	ROW_REF,
	ROW_UPLOAD,
	ROW_HISTORY,
	ROW_PENDING,	/* no row: the repository's id, and a place in struct pending */
	ROW_GRANT,	/* struct node_grant: also where nothing is granted (yet) */
	ROW_HOOK,	/* struct node_hook: also where there is none (yet) */
};

/* Whom something is granted in an _access/, or could be. */
struct node_grant {
	struct repo_row repo;	/* first: a node's `repo` is this, too. The registry: all zero */
	char who[LIMIT_PRINCIPAL + 1];
	unsigned actions;	/* 0: nothing */
	int64_t created;
};

/* What is in a _hooks/, or will be. */
struct node_hook {
	struct repo_row repo;	/* as of a node_grant */
	char name[LIMIT_HOOK_NAME + 1];
	int64_t id;		/* 0: there is none */
	int64_t changed;
};

/* A node with its row read. */
struct node {
	enum node_kind kind;
	int position;
	int64_t row_id;
	union {
		struct repo_row repo;
		struct image_row image;
		struct blob_row blob;
		struct tag_row tag;
		struct ref_row ref;
		struct upload_row upload;
		struct history_row history;
		struct node_grant grant;
		struct node_hook hook;
	};
};

/* What every function of a kind gets. */
struct look {
	struct tree *tree;
	struct db *db;
	const struct cred *cred;
	struct ask ask;		/* the same, for access.h */
	struct err *err;
};

/* An operation on nodes: a connection that sees one state of the database, and who looks.
 * `auto_session struct session s = { 0 };` and session_begin(). */
struct session {
	struct meta_reader reader;
	struct look look;
};
int session_begin(struct session *s, struct tree *tree, const struct cred *cred, struct err *err) MUST_CHECK;
void session_end(struct session *s);
#define auto_session CLEANUP(session_end)

/* A listing in progress: see list_give(). */
struct listing;

struct kind {
	enum node_kind kind;
	enum node_kind parent;	/* of children with a fixed name */
	const char *name;	/* fixed, or NULL */
	enum row_type row;
	enum digest_algorithm algorithm;	/* of the directories named after one */
	mode_t mode;
	unsigned action;	/* who may see it: who may do that (enum action); 0: pull */
	bool apart;		/* not of its directory's repository: whether it may be seen is asked for each */
	bool fixed;		/* name and attributes never change */
	bool fixed_data;	/* bytes, or the names in it, never change; nor does what is absent */
	/* 1: there is such a child of the parent's row, 0: there isn't. NULL: always. */
	int (*present)(const struct look *l, const struct node *n);
	/* The number of a node that is a door to others, of inside.h; 0: none. */
	uint64_t (*inside)(const struct node *n);
	/* The node that an alias stands for. */
	int (*resolve)(const struct look *l, const struct node *n, struct node *out);
	/* A small file's bytes. */
	int (*text)(const struct look *l, const struct node *n, struct buf *out);
	/* Takes what was written to a small file, without its newline, of value_max bytes at most (0: LIMIT_VALUE). It asks for permission. */
	size_t value_max;
	int (*write)(struct tree *tree, const struct cred *cred, const struct node *n, const char *value, struct err *err);
	/* A file that is larger, and grows: its size, when it last did, and its bytes. */
	int (*size)(const struct look *l, const struct node *n, int64_t *out);
	int (*mtime)(const struct look *l, const struct node *n, int64_t *out);
	int (*open)(const struct look *l, const struct node *n, struct content **out);
	/* A link's target. */
	int (*link)(const struct look *l, const struct node *n, struct buf *out);
	/* A child without a fixed name: 1 and the node, 0: none. */
	int (*find)(const struct look *l, const struct node *n, const char *name, struct node *out);
	/* Children without a fixed name, behind `after` (a phase and a row), by list_give(). */
	int (*list)(struct listing *ls, const struct node *n, uint64_t after);
};

const struct kind *kind_of(enum node_kind kind);

/* The media type that the first image to name a layer gives it, without a newline. */
int layer_media_type(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;

uint64_t node_number(const struct node *n);
/* Reads the row of a node's number: 0 or ERR_NOT_FOUND. */
int node_load(const struct look *l, uint64_t number, struct node *out) MUST_CHECK;
/* A repository's row as who looks sees it: where it may not be pulled from it is a namespace, there for what is below it. */
int node_repo_as_seen(const struct look *l, struct repo_row *row) MUST_CHECK;
/* 1 if who looks may see the node, whose row was read; else 0. */
int node_may_see(const struct look *l, const struct node *n) MUST_CHECK;
/* As node_load(), of a node that may be seen: one that may not is as gone as one that isn't there. */
int load_seen(const struct look *l, uint64_t number, struct node *out) MUST_CHECK;
/* A buffer that could not grow would be a shorter text: 0, or ERR_NO_MEMORY. */
int no_memory(const struct look *l, const struct buf *b) MUST_CHECK;
/* 1: the node is inside an image or a layer (inside.h) that may be read; 0: it isn't inside; else ERR_NOT_FOUND. */
int node_enter(struct tree *tree, const struct cred *cred, uint64_t number, struct err *err) MUST_CHECK;

/* Cookies of children without a fixed name. */
#define LIST_PHASE_SHIFT 48
#define LIST_FIRST ((uint64_t)1 << LIST_PHASE_SHIFT)
#define LIST_COOKIE(phase, row) ((uint64_t)((phase) + 1) << LIST_PHASE_SHIFT | (uint64_t)(row))

/* Gives an entry to whoever lists: 0 to go on. */
int list_give(struct listing *ls, const char *name, const struct node *n, uint64_t cookie);
const struct look *listing_look(const struct listing *ls);

#endif
