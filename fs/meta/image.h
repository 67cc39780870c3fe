/*
 * image.h: images (manifests and indexes of a repository) and what they name, as rows.
 */
#ifndef REGFS_META_IMAGE_H
#define REGFS_META_IMAGE_H

#include "fs/base/limits.h"
#include "fs/image/manifest.h"
#include "fs/meta/db.h"

#define PLATFORMS_MAX 1024	/* those of an index, by commas, cut */

struct image_row {
	int64_t id;
	int64_t repository_id;
	int64_t blob_id;
	struct digest digest;
	int64_t bytes;		/* of the manifest itself */
	bool is_index;
	struct digest config;	/* DIGEST_NONE: an index */
	int64_t size;		/* with config and layers, or children */
	int64_t created;	/* 0: not said */
	int64_t pushed;
	int64_t pulled;		/* to some minutes; 0: never */
	char expires[IMAGE_EXPIRES_MAX + 1];	/* when tags that name it end, as its label says; "": it doesn't */
	char media_type[LIMIT_MEDIA_TYPE + 1];
	char artifact_type[LIMIT_MEDIA_TYPE + 1];
	char platform[PLATFORMS_MAX];
};

struct ref_row {
	int64_t id;
	int64_t manifest_id;
	int64_t repository_id;
	enum manifest_role role;
	int position;
	struct digest digest;
	int64_t size;
	char media_type[LIMIT_MEDIA_TYPE + 1];
	char platform[LIMIT_PLATFORM + 1];
};

/* 1 and the row, 0 if there is none, or negative. */
int image_by_id(struct db *db, int64_t id, struct image_row *out, struct err *err) MUST_CHECK;
int image_by_digest(struct db *db, int64_t repository_id, const struct digest *d,
		    struct image_row *out, struct err *err) MUST_CHECK;
int image_by_tag(struct db *db, int64_t repository_id, const char *tag, struct image_row *out,
		 struct err *err) MUST_CHECK;

/* By id behind `after`; a non-zero answer of fn ends it and is returned. */
typedef int image_row_fn(void *arg, const struct image_row *row);
int image_list(struct db *db, int64_t repository_id, int64_t after_id, image_row_fn *fn, void *arg,
	       struct err *err) MUST_CHECK;

/* Those that are that digest, in any repository. */
int image_list_of_digest(struct db *db, const struct digest *d, image_row_fn *fn, void *arg,
			 struct err *err) MUST_CHECK;

/* What a manifest names, of one role, by position, from `first` on. */
typedef int ref_row_fn(void *arg, const struct ref_row *row);
int ref_list(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t first,
	     ref_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
int ref_count(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t *out,
	      struct err *err) MUST_CHECK;
int ref_at(struct db *db, int64_t manifest_id, enum manifest_role role, int64_t position,
	   struct ref_row *out, struct err *err) MUST_CHECK;
int ref_by_id(struct db *db, int64_t id, struct ref_row *out, struct err *err) MUST_CHECK;
/* Who names a digest: in one repository, or (repository_id 0) in all; by id behind `after`. role 0: any.
 * A manifest that names it several times comes once. */
int ref_users(struct db *db, int64_t repository_id, const struct digest *d, enum manifest_role role,
	      int64_t after_id, ref_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The same for one manifest: 1 and the row by which that manifest names the digest, or 0. */
int ref_user(struct db *db, int64_t manifest_id, const struct digest *d, enum manifest_role role,
	     struct ref_row *out, struct err *err) MUST_CHECK;
/* The first child of an index for a platform that is spelled with '-' for '/'. */
int ref_by_platform(struct db *db, int64_t manifest_id, const char *platform, struct ref_row *out,
		    struct err *err) MUST_CHECK;
/* 1 if a manifest of the repository names the digest in that role (0: any), 0 if none does. */
int ref_exists(struct db *db, int64_t repository_id, const struct digest *d, enum manifest_role role,
	       struct err *err) MUST_CHECK;

/* Inside a write transaction. row->id is set. */
int image_insert(struct db *db, struct image_row *row, const struct manifest *m,
		 struct err *err) MUST_CHECK;
/* It was pushed again: if no tag names it, that counts from now. */
int image_renew(struct db *db, int64_t id, int64_t now, const char *expires, struct err *err) MUST_CHECK;
/* It was pulled; an image that isn't there any more is passed over. */
int image_pulled(struct db *db, const char *repo, const struct digest *d, int64_t at, struct err *err) MUST_CHECK;
int image_delete(struct db *db, int64_t id, struct err *err) MUST_CHECK;

#endif
