/*
 * state.h: what the files of fs/tree/ share, and nobody else sees.
 */
#ifndef REGFS_TREE_STATE_H
#define REGFS_TREE_STATE_H

#include "fs/meta/blob.h"
#include "fs/meta/event.h"
#include "fs/meta/image.h"
#include "fs/meta/meta.h"
#include "fs/meta/quota.h"
#include "fs/meta/registry.h"
#include "fs/meta/repo.h"
#include "fs/meta/settings.h"
#include "fs/meta/tag.h"
#include "fs/meta/upload.h"
#include "fs/store/store.h"
#include "fs/tree/access.h"
#include "fs/tree/permit.h"
#include "fs/tree/pulls.h"
#include "fs/tree/shelf.h"
#include "fs/tree/trail.h"
#include "fs/tree/tree.h"
#include "fs/upkeep/check.h"
#include "fs/upkeep/gc.h"

struct tree {
	struct store *store;
	struct meta *meta;
	struct cache *cache;	/* images by name, cache.c */
	struct access *access;	/* who may do what, access.c */
	struct hashes *hashes;	/* running digests of uploads, hashes.c */
	struct pending *pending;	/* `ln -sfn` in progress, pending.c */
	struct pending *new_hooks;	/* files in _hooks that are being made */
	struct trail *trail;	/* of the audit, trail.c */
	struct listeners *listeners;	/* who wants to be told of pulls, hooks.c */
	struct pulls *pulls;	/* when images were pulled, pulls.c */
	bool audit_pulls;
	int64_t grace;		/* of the garbage collection, nanoseconds */
	bool sparse;		/* images are taken without their layers */
	struct shelf *shelf;	/* opened indexes, shelf.c */
	struct tree_inside inside;	/* settings of what is inside images */
	int stopped;		/* an eventfd: readable from tree_stop() on */
};

/* A connection to read with: `auto_reader struct meta_reader rd = { 0 };` and this. */
int tree_reader(struct tree *tree, struct meta_reader *out, struct err *err) MUST_CHECK;

/* The row of an existing repository (not a mere namespace): 0, ERR_NAME_INVALID, ERR_NAME_UNKNOWN. */
int need_repo(struct db *db, const char *name, struct repo_row *out, struct err *err) MUST_CHECK;
/* An image by tag or digest as text: 0 or ERR_MANIFEST_UNKNOWN. */
int need_image(struct db *db, const struct repo_row *repo, const char *reference,
	       struct image_row *out, struct err *err) MUST_CHECK;
int need_image_digest(struct db *db, const struct repo_row *repo, const struct digest *digest,
		      struct image_row *out, struct err *err) MUST_CHECK;

/* Adds an event of `cred` about a repository; tag and digest may be NULL. In a write transaction. */
int add_event(struct db *db, const struct cred *cred, const char *kind, const char *repo,
	      const char *tag, const struct digest *digest, bool changed, struct err *err) MUST_CHECK;

/* ---- history.c: every tag that moves or goes does so by these, in a write transaction ---- */

struct tag_move {
	const struct cred *cred;
	const char *kind;	/* of the event */
	bool always;		/* there is an event also where the tag names the image already */
	const char *repo;
	int64_t repository_id;
	const char *tag;
	int64_t manifest_id;
	const struct digest *digest;
};
/* Makes a tag name an image; *changed: it didn't. */
int name_tag(struct db *db, const struct tag_move *move, bool *changed, struct err *err) MUST_CHECK;
/* administers: who asks has the right to administer the repository. */
int remove_tag(struct db *db, const struct cred *cred, const struct repo_row *repo, const struct tag_row *tag, bool administers,
	       struct err *err) MUST_CHECK;
/* The same of a tag whose row goes otherwise. */
int note_tag_gone(struct db *db, const struct cred *cred, const char *repo, const struct tag_row *tag, bool administers,
		  struct err *err) MUST_CHECK;

/* ---- undo.c ---- */

/* Begins to remember what is about to be removed, and is still there; its event was the last. *id: to add to (removal.h); 0: it
 * isn't kept. In a write transaction. */
int remember(struct db *db, const struct cred *cred, const char *kind, const struct repo_row *repo, const char *tag,
	     const struct digest *digest, int64_t *id, struct err *err) MUST_CHECK;
/* A grant that was taken away, by the last event. */
struct grant_row;
int remember_grant(struct db *db, const struct cred *cred, const struct grant_row *grant, struct err *err) MUST_CHECK;

/* ---- image.c ---- */

/* Removes an image whose tags, if it has any, were noted as gone; with its event. In a write transaction. */
int delete_image(struct db *db, const struct cred *cred, const struct repo_row *repo, const struct image_row *image,
		 struct err *err) MUST_CHECK;

/* ---- immutable.c: asked by those, and by a push before it writes anything ---- */

/* ERR_DENIED: the tag names another image, and is immutable. ERR_QUOTA: it is a new one, of which there may be no more. repository_id 0: nor is
 * the repository there. */
int refuse_move(struct db *db, const char *repo, int64_t repository_id, const char *tag, const struct digest *digest,
		struct err *err) MUST_CHECK;
int refuse_removal(struct db *db, const char *repo, const char *tag, bool administers, struct err *err) MUST_CHECK;
/* ERR_DENIED: an index above the image has an immutable tag. */
int refuse_needed(struct db *db, const struct repo_row *repo, const struct digest *digest, bool administers,
		  struct err *err) MUST_CHECK;

/* ---- quota.c ---- */

/* A push of a blob came to r, which is returned; where that is for want of quota it is noted, with an event. */
int quota_failed(struct tree *tree, const struct cred *cred, const char *repo, int r, const struct err *err);

/* Whether settings of a namespace ("": the registry) may be read and changed: the registry's are administrators'; a namespace's
 * are for those who may administer all below it. Not in a write transaction. */
int permit_namespace(struct tree *tree, const struct cred *cred, const char *name, struct err *err) MUST_CHECK;
/* Whether all that a pattern matches may be administered; of a repository's name it is that one's own question. */
int permit_pattern(struct tree *tree, const struct cred *cred, const char *pattern, struct err *err) MUST_CHECK;
/* A setting's own value as it is shown (settings.h), without asking for permission. */
int setting_text(struct db *db, struct settings_of of, const char *key, struct buf *out, struct err *err) MUST_CHECK;

/* ---- hook_change.c ---- */

struct hook_row;
struct tree_hook_change;
int hook_name_check(const char *name, struct err *err) MUST_CHECK;
/* Each of its values, by itself. */
int hook_change_check(const struct tree_hook_change *change, struct err *err) MUST_CHECK;
/* The row points into the change from then on. */
void hook_change_apply(struct hook_row *row, const struct tree_hook_change *change);
/* ERR_ARGUMENT: the row's format can't tell of all its kinds. A receiver that knows of pushes only would take anything else for one. */
int hook_format_check(const struct hook_row *row, struct err *err) MUST_CHECK;

/* ---- hooks.c ---- */

/* Whether that hook of a pattern may be seen and changed; ERR_ARGUMENT: it is no name of one. name NULL: any of them. */
int permit_hook(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, struct err *err) MUST_CHECK;
/* The row without what nobody is shown; it points into itself and `headers`. */
int hook_as_shown(const struct hook_row *row, struct buf *headers, struct hook_row *out) MUST_CHECK;

/* The row of a principal: 0, ERR_ARGUMENT, ERR_NOT_FOUND. */
struct principal_row;
int need_person(struct db *db, const char *name, struct principal_row *out, struct err *err) MUST_CHECK;
/* ---- hooks.c: which repositories' pulls a hook wants to be told of ---- */

struct listeners;
int listeners_new(struct listeners **out, struct err *err) MUST_CHECK;
void listeners_free(struct listeners *l);
/* Queues an event, where one does. `reference`: as it was asked for. */
void tell_pull(struct tree *tree, const struct cred *cred, const char *repo, const char *reference, const struct digest *digest);

/* An event about people, grants or visibility, and a new generation (access_changed()). repo and about may be NULL. In a write
 * transaction. */
int add_access_event(struct db *db, const struct cred *cred, const char *kind, const char *repo, const char *about,
		     struct err *err) MUST_CHECK;

/* A blob by its row. ERR_CORRUPT: its file has another size. */
int open_blob(struct tree *tree, const struct digest *digest, int64_t size, struct content **out,
	      struct err *err) MUST_CHECK;
/* Config of an image into `out`; left empty where it isn't here, is too large or isn't an image's. */
int read_config(struct tree *tree, const struct image_row *image, struct buf *out,
		struct err *err) MUST_CHECK;
/* The manifest of an image, parsed; `bytes` holds what it points into. */
int read_manifest(struct tree *tree, const struct image_row *image, struct buf *bytes,
		  struct manifest *out, struct err *err) MUST_CHECK;

/* These two go by the repository's id: the permission was asked, by its name.
 * Renames a tag, replacing the one that has the new name unless noreplace. One transaction. administers: as in remove_tag(). */
int tree_tag_rename(struct tree *tree, const struct cred *cred, const struct repo_row *repo,
		    const char *name, const char *new_name, bool administers, bool noreplace,
		    struct err *err) MUST_CHECK;
/* As tree_tag_set(), by the repository's id; fresh: ERR_EXISTS if the tag is there. */
int tree_tag_set_id(struct tree *tree, const struct cred *cred, const struct repo_row *repo,
		    const char *tag, const struct digest *digest, bool fresh, struct err *err) MUST_CHECK;

/* ---- cache.c ---- */

/* A shared image with one reference, of the caller's: row's digest and media type, and the manifest's bytes. */
int shared_image_new(const struct image_row *row, const struct buf *bytes, struct tree_image **out,
		     struct err *err) MUST_CHECK;

/* Whether its pull is to be noted: PULLS_EACH seconds have gone since that was said last. */
bool shared_image_pulled(struct tree_image *image);

struct cache;
int cache_new(struct cache **out, struct err *err) MUST_CHECK;
void cache_free(struct cache *c);
/* The image found for repo and reference when the database stood at `mark`, or NULL. A reference of the caller's. */
struct tree_image *cache_get(struct cache *c, const char *repo, const char *reference,
			     const struct db_mark *mark);
/* The image last found for them, of whatever mark: to be compared with what the database says. */
struct tree_image *cache_last(struct cache *c, const char *repo, const char *reference);
void cache_put(struct cache *c, const char *repo, const char *reference, const struct db_mark *mark,
	       struct tree_image *image);

/* ---- hashes.c ---- */

struct hashes;
int hashes_new(struct hashes **out, struct err *err) MUST_CHECK;
void hashes_free(struct hashes *h);
/* Keeps a running digest (taken over) that covers `hashed` bytes of an upload; may drop another one. */
void hashes_keep(struct hashes *h, const char *id, struct hasher *hasher, int64_t hashed);
/* Takes it out: the caller owns it. NULL if there is none. */
struct hasher *hashes_take(struct hashes *h, const char *id, int64_t *hashed);

/* ---- pending.c ---- */

struct pending;
int pending_new(struct pending **out, struct err *err) MUST_CHECK;
void pending_free(struct pending *p);
/* Whether a name is one that coreutils' `ln -f` makes on its way: Cu and six letters or digits. */
bool pending_name(const char *name);
/* 0, ERR_EXISTS, or ERR_BUSY with too many of them. */
int pending_add(struct pending *p, int64_t repository_id, const char *name,
		const struct digest *digest, struct err *err) MUST_CHECK;
/* Its place, or -1; and what stands at a place. A place isn't taken again before all others were. */
int pending_find(struct pending *p, int64_t repository_id, const char *name, struct digest *out);
bool pending_at(struct pending *p, int64_t repository_id, int place, struct digest *out);
bool pending_name_at(struct pending *p, int64_t repository_id, int place, char out[static LIMIT_HOOK_NAME + 1]);
bool pending_remove(struct pending *p, int64_t repository_id, const char *name);

#endif
