/*
 * tree.h: the operations. Every door (HTTP, the mount, the command) calls these
 * and nothing below; a rule enforced here holds at all of them.
 *
 * Each operation takes the credential of who asks and answers 0 or a negative errno
 * with a reason. Names, tags and digests arrive as text or parsed, as the signature
 * says; text is checked here. Everything may be called from several threads at once
 * unless it says otherwise; several processes may have one store open.
 *
 * "Durable" means: on disk before the function returns 0, power loss included.
 */
#ifndef REGFS_TREE_H
#define REGFS_TREE_H

#include "fs/auth/cred.h"
#include "fs/base/content.h"
#include "fs/image/manifest.h"
#include "fs/image/name.h"
#include "fs/upkeep/report.h"

struct tree;

#define TREE_CREATE 1	/* make the store if there is none */

/* Takes milliseconds, whatever the store's size; needs no repair after a crash. */
int tree_open(const char *store_dir, int flags, struct tree **out, struct err *err) MUST_CHECK;
/* Long work on behalf of who waits for it (indexing a layer, waiting for events) ends soon, unfinished: before the doors are closed. NULL: nothing. */
void tree_stop(struct tree *tree);
void tree_close(struct tree *tree);

/* ---- Repositories ---- */

struct tree_repo {
	const char *name;
	int64_t tags, images;
	int64_t blobs;		/* blobs it holds, manifests included */
	int64_t size;		/* bytes of those */
	int64_t created;	/* when it came to be */
	bool public;		/* anyone may pull */
	const char *immutable;	/* rules that hold for its tags (settings.h) */
	const char *retention;	/* likewise; of several lines perhaps */
	const char *undo_keep;	/* how long what is removed can come back */
};

/* One entry of a list; a non-zero answer ends the listing and becomes its result if negative. */
typedef int tree_name_fn(void *arg, const char *name);

/* Names in byte order behind `last` ("" or NULL: from the start), at most n of them. Repositories
 * that hold an image or were made on purpose. *more: there are others behind the last one given. */
int tree_repo_list(struct tree *tree, const struct cred *cred, const char *last, int64_t n,
		   tree_name_fn *fn, void *arg, bool *more, struct err *err) MUST_CHECK;
typedef int tree_repo_fn(void *arg, const struct tree_repo *repo);
int tree_repo_show(struct tree *tree, const struct cred *cred, const char *name, tree_repo_fn *fn,
		   void *arg, struct err *err) MUST_CHECK;
/* Durable. ERR_EXISTS if there is one that was made on purpose or holds images. */
int tree_repo_add(struct tree *tree, const struct cred *cred, const char *name, struct err *err) MUST_CHECK;
/* Durable; with all its tags, images, blobs and uploads; not those of repositories below it. */
int tree_repo_rm(struct tree *tree, const struct cred *cred, const char *name, struct err *err) MUST_CHECK;

/* ---- Tags ---- */

/* Names in byte order behind `last`, at most n. ERR_NAME_UNKNOWN where there is no repository. */
int tree_tag_list(struct tree *tree, const struct cred *cred, const char *repo, const char *last,
		  int64_t n, tree_name_fn *fn, void *arg, bool *more, struct err *err) MUST_CHECK;
/* Makes the tag name that image of the repository, or moves it. Durable. ERR_MANIFEST_UNKNOWN. */
int tree_tag_set(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		 const struct digest *digest, struct err *err) MUST_CHECK;
/* Whether that could be done now; changes nothing. */
int tree_tag_may_set(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		     const struct digest *digest, struct err *err) MUST_CHECK;
/* ERR_MANIFEST_UNKNOWN if there is none, as the specification wants. Durable. */
int tree_tag_rm(struct tree *tree, const struct cred *cred, const char *repo, const char *tag,
		struct err *err) MUST_CHECK;

/* ---- Images: manifests and indexes ---- */

/* Shared and immutable; the tree keeps recently used ones. Never changes while held. */
struct tree_image {
	struct digest digest;
	char digest_text[DIGEST_TEXT_MAX + 1];
	const char *media_type;
	const void *data;	/* the exact bytes that were pushed */
	size_t size;
	void *door;		/* for one door to hang a prepared answer on: see tree_image_set_door() */
};

/*
 * `reference` is a tag or a digest. The tag is looked up as it is now: a tag
 * moved by anyone, through any process, before this call is seen by it. Costs under
 * a microsecond when nothing in the store has changed since the last call for the
 * same reference. ERR_NAME_UNKNOWN, ERR_MANIFEST_UNKNOWN.
 */
int tree_image_get(struct tree *tree, const struct cred *cred, const char *repo,
		   const char *reference, struct tree_image **out, struct err *err) MUST_CHECK;
void tree_image_release(struct tree_image *image);
DEFINE_CLEANUP(cleanup_tree_image, struct tree_image *, tree_image_release)
#define auto_tree_image CLEANUP(cleanup_tree_image)

/*
 * Hangs something of the door's on an image that it holds; `release` is called with it when the image goes.
 * Only the first of several threads wins; *have is what hangs there afterwards (a loser
 * releases its own). Read it with tree_image_door().
 */
void *tree_image_door(struct tree_image *image);
void *tree_image_set_door(struct tree_image *image, void *mine, void (*release)(void *));

struct tree_pushed {
	struct digest digest;
	struct digest subject;	/* DIGEST_NONE: the manifest has none */
	bool created;		/* false: the repository had it already */
	bool subject_missing;	/* the repository has no such image (yet) */
	size_t missing_children;	/* of an index: those the repository hasn't */
	size_t missing_layers;	/* taken without them: see tree_set_sparse() */
	bool bad_expires;	/* its label regfs.expires says no time: it is passed over */
};

/*
 * Takes a manifest: checks it, checks that the repository holds the config and the layers it names; an index may
 * name images that aren't here, and a subject need not be (ERR_MANIFEST_BLOB_UNKNOWN, detail: a JSON list of the digests), stores it, sets the tag if
 * `reference` is one. Durable. A reference that is a digest must be the bytes' own.
 */
int tree_image_push(struct tree *tree, const struct cred *cred, const char *repo,
		    const char *reference, const char *content_type, const void *data, size_t size,
		    struct tree_pushed *out, struct err *err) MUST_CHECK;
/* The same, and sets more tags (at most LIMIT_PUSH_TAGS): all or nothing. */
int tree_image_push_tags(struct tree *tree, const struct cred *cred, const char *repo,
			 const char *reference, const char *const *tags, size_t tag_count,
			 const char *content_type, const void *data, size_t size,
			 struct tree_pushed *out, struct err *err) MUST_CHECK;
/* Removes the image and the tags that name it. Durable. An index that names it becomes a sparse one. */
int tree_image_rm(struct tree *tree, const struct cred *cred, const char *repo,
		  const struct digest *digest, struct err *err) MUST_CHECK;

/* Everything that is known of an image; strings live until the callback returns. */
struct tree_image_info {
	struct digest digest;
	struct digest config;		/* the image ID; DIGEST_NONE: an index */
	const char *media_type;
	const char *artifact_type;	/* "" if none */
	const char *platform;		/* "linux/amd64"; an index: those of its children, by commas; "" */
	int64_t size;			/* manifest, config and layers; an index: with its children's */
	int64_t created;		/* as the config says; 0: it doesn't */
	int64_t pushed;
	int64_t pulled;			/* to some minutes; 0: never */
	bool is_index;
};
typedef int tree_image_fn(void *arg, const struct tree_image_info *info);

int tree_image_show(struct tree *tree, const struct cred *cred, const char *repo,
		    const char *reference, tree_image_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* All images of a repository, in the order they were pushed. */
int tree_image_list(struct tree *tree, const struct cred *cred, const char *repo,
		    tree_image_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The images that an index names and the repository holds, in the index's order. */
int tree_image_children(struct tree *tree, const struct cred *cred, const char *repo,
			const struct digest *index, tree_image_fn *fn, void *arg,
			struct err *err) MUST_CHECK;

struct tree_layer {
	int number;			/* from 1, base first */
	struct digest digest;
	int64_t size;			/* compressed, as pushed */
	const char *media_type;
	const char *instruction;	/* "" where the config's history doesn't say */
};
typedef int tree_layer_fn(void *arg, const struct tree_layer *layer);
int tree_image_layers(struct tree *tree, const struct cred *cred, const char *repo,
		      const char *reference, tree_layer_fn *fn, void *arg, struct err *err) MUST_CHECK;

struct tree_contents {
	int64_t files;			/* that aren't directories, each once; whiteouts don't count */
	int64_t unpacked;		/* bytes of all files, holes included */
};
/* What is in a layer that the repository holds; makes its index, if there is none yet. ERR_CORRUPT: it isn't a tar that can be
 * read; ERR_BLOB_UNKNOWN. */
int tree_layer_contents(struct tree *tree, const struct cred *cred, const char *repo, const struct digest *layer,
			struct tree_contents *out, struct err *err) MUST_CHECK;
/* Begins the indexes of all layers of an image that have none yet, without waiting. */
int tree_layers_prepare(struct tree *tree, const struct cred *cred, const char *repo, const char *reference,
			struct err *err) MUST_CHECK;

/* Who needs a digest: tags ("name:tag"), images and indexes ("name@sha256:..."). */
struct tree_use {
	const char *repo;
	const char *tag;		/* NULL: an image or an index */
	struct digest digest;		/* of the image that uses it, or that the tag names */
	enum manifest_role role;	/* as what; 0 for a tag */
};
typedef int tree_use_fn(void *arg, const struct tree_use *use);
/* `repo` NULL: in all repositories that may be pulled from. */
int tree_used_by(struct tree *tree, const struct cred *cred, const char *repo,
		 const struct digest *digest, tree_use_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* What names an image as its subject: spec.md, "Listing Referrers". */
struct tree_referrer {
	struct digest digest;
	const char *media_type;
	int64_t size;			/* of the manifest */
	const char *artifact_type;	/* "" if it has none */
	const char *annotations;	/* a JSON object, or "" */
	int64_t position;		/* ascending; to go on behind it with another call */
};
typedef int tree_referrer_fn(void *arg, const struct tree_referrer *referrer);
/* Also those images of the repository that its fall-back tag (<algorithm>-<64 hex digits>) lists; each once; those
 * whose position is behind `after` (0: all). artifact_type NULL: all. None is no error, and neither is a subject that isn't there.
 * ERR_NAME_UNKNOWN. */
int tree_referrers(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *subject, const char *artifact_type, int64_t after,
		   tree_referrer_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- Blobs ---- */

/* ERR_NAME_UNKNOWN, ERR_BLOB_UNKNOWN. */
int tree_blob_open(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *digest, struct content **out, struct err *err) MUST_CHECK;
/* The size only: HEAD. */
int tree_blob_stat(struct tree *tree, const struct cred *cred, const char *repo,
		   const struct digest *digest, int64_t *size, struct err *err) MUST_CHECK;
/* The same for a client that will rely on the answer (HEAD before a push): the grace of the garbage collection
 * begins anew, if half of it is over and `cred` may push. May write, and so wait for a commit. */
int tree_blob_promise(struct tree *tree, const struct cred *cred, const char *repo,
		      const struct digest *digest, int64_t *size, struct err *err) MUST_CHECK;
/* Whether that would write: 1, else 0; *size is set either way. */
int tree_blob_promise_due(struct tree *tree, const struct cred *cred, const char *repo,
			  const struct digest *digest, int64_t *size, struct err *err) MUST_CHECK;
/* Links a blob of `from` (NULL: of any repository that `cred` may pull from) into `repo`. Durable. ERR_BLOB_UNKNOWN where `from` doesn't exist,
 * doesn't hold it or may not be seen. */
int tree_blob_mount(struct tree *tree, const struct cred *cred, const char *repo, const char *from,
		    const struct digest *digest, struct err *err) MUST_CHECK;
/* Takes the blob out of the repository. Durable. ERR_IN_USE while an image of the repository needs it. */
int tree_blob_rm(struct tree *tree, const struct cred *cred, const char *repo,
		 const struct digest *digest, struct err *err) MUST_CHECK;

/* ---- Uploads ---- */

#define TREE_UPLOAD_ID_MAX 36	/* a UUID, RFC 9562, without the NUL */

/* Begins an upload, known by *id from then on, also after a restart. Not durable against power loss. The digest
 * will be of that algorithm; with another one at the commit the bytes are read again. */
int tree_upload_begin(struct tree *tree, const struct cred *cred, const char *repo,
		      enum digest_algorithm algorithm, char id[static TREE_UPLOAD_ID_MAX + 1],
		      struct err *err) MUST_CHECK;
/* Bytes received so far. ERR_UPLOAD_UNKNOWN. */
int tree_upload_stat(struct tree *tree, const struct cred *cred, const char *repo, const char *id,
		     int64_t *size, struct err *err) MUST_CHECK;
int tree_upload_cancel(struct tree *tree, const struct cred *cred, const char *repo, const char *id,
		       struct err *err) MUST_CHECK;

/* An upload being written, by one thread at a time: a second open, by any process, is ERR_BUSY. */
struct tree_upload;
int tree_upload_open(struct tree *tree, const struct cred *cred, const char *repo, const char *id,
		     struct tree_upload **out, struct err *err) MUST_CHECK;
int64_t tree_upload_size(const struct tree_upload *u);
/* Appends; may block on the disk. After a failure nothing of this call counts, and the upload can go on. */
int tree_upload_write(struct tree_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
/* The two halves of it, for who has two threads: append puts the bytes into the file; hash digests the same
 * bytes, in the same order, after their append, and may run while later bytes are appended. */
int tree_upload_append(struct tree_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
int tree_upload_hash(struct tree_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Makes the bytes the blob `digest` of the repository, if who opened it may still push there. Durable. ERR_DIGEST_MISMATCH
 * ends the upload (its bytes are wrong), and so does a disk that fails to sync them; after any other failure it can be tried
 * again. Close it afterwards either way. The credential's scopes must live until then. */
int tree_upload_commit(struct tree_upload *u, const struct digest *digest, struct err *err) MUST_CHECK;
/* Keeps what was written: the upload goes on with the next open. */
void tree_upload_close(struct tree_upload *u);
DEFINE_CLEANUP(cleanup_tree_upload, struct tree_upload *, tree_upload_close)
#define auto_tree_upload CLEANUP(cleanup_tree_upload)

/* ---- The registry itself ---- */

struct tree_stats {
	int64_t repositories, tags, images;
	int64_t blobs, blob_bytes;	/* each blob once */
	int64_t uploads;
	int64_t event;			/* number of the last event */
	int64_t disk_size, disk_free;	/* of the store's file system */
};
int tree_stats(struct tree *tree, const struct cred *cred, struct tree_stats *out,
	       struct err *err) MUST_CHECK;

/* ---- Upkeep ---- */

struct tree_gc_options {
	int64_t grace;		/* nanoseconds: what was pushed or asked for later than this stays */
	int64_t untagged;	/* nanoseconds after which an image without a tag goes; negative: never */
	int64_t undo_keep;	/* nanoseconds after which what was removed can't be undone; negative: as undo-keep said then */
	bool dry_run;
	/* Called now and then with what was done so far; true ends the collection early. May be NULL. */
	bool (*progress)(void *arg, const struct gc_report *report);
	void *arg;
};
/* The grace (nanoseconds) that this store is collected with: what tree_blob_promise() goes by. Once, before use. */
void tree_set_grace(struct tree *tree, int64_t grace);
/* Whether images are taken whose layers aren't here (their config must be). Once, before use. */
void tree_set_sparse(struct tree *tree, bool sparse);

/* What is inside images: rootfs/ and tree/. Once, before use. */
struct tree_inside {
	bool index_on_push;		/* index the layers of an image when it is pushed, not when it is first looked into */
	bool transform_symlinks;	/* absolute links inside are shown as relative ones that stay in their root */
	int64_t cache;			/* bytes at most for decoded copies, and files taken out of layers; 0: none */
};
#define TREE_INSIDE_CACHE (INT64_C(2) << 30)	/* as long as nothing else was set */
void tree_set_inside(struct tree *tree, const struct tree_inside *inside);

/* Collects garbage, beside everything else: see fs/upkeep/gc.h. */
int tree_gc(struct tree *tree, const struct cred *cred, const struct tree_gc_options *options,
	    struct gc_report *out, struct err *err) MUST_CHECK;

struct tree_check_options {
	bool data;		/* read every blob and compare its digest */
	bool repair;		/* set right what follows from the rest, remove stray files */
	int64_t rate;		/* bytes a second to read at most; 0: no limit */
	check_problem_fn *problem;
	bool (*progress)(void *arg, const struct check_report *report);	/* as for tree_gc(); may be NULL */
	void *arg;
};
/* Compares the database with the files, both ways, beside everything else. A damaged blob is put into
 * quarantine and served to nobody until its bytes are pushed again. 0 also where problems were found: see the report. */
int tree_check(struct tree *tree, const struct cred *cred, const struct tree_check_options *options,
	       struct check_report *out, struct err *err) MUST_CHECK;

const char *tree_version(void);		/* "0.1.0" */
const char *tree_store_dir(const struct tree *tree);

#endif
