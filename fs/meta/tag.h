/* tag.h: tags as rows. */
#ifndef REGFS_META_TAG_H
#define REGFS_META_TAG_H

#include "fs/base/limits.h"
#include "fs/meta/db.h"

struct tag_row {
	int64_t id;
	int64_t repository_id;
	int64_t manifest_id;
	struct digest digest;	/* of the image it names */
	int64_t moved;
	int64_t expires;	/* when it goes; 0: never */
	bool own_end;		/* that was set for the tag, not by its image's label */
	char name[LIMIT_TAG + 1];
};

/* 1 and the row, 0 if there is none, or negative. */
int tag_by_name(struct db *db, int64_t repository_id, const char *name, struct tag_row *out,
		struct err *err) MUST_CHECK;
int tag_by_id(struct db *db, int64_t id, struct tag_row *out, struct err *err) MUST_CHECK;

/* A non-zero answer of fn ends the listing and is returned. */
typedef int tag_row_fn(void *arg, const struct tag_row *row);
/* By name behind `last`, at most n. */
int tag_list(struct db *db, int64_t repository_id, const char *last, int64_t n, tag_row_fn *fn,
	     void *arg, struct err *err) MUST_CHECK;
/* The names alone, likewise. */
typedef int tag_name_fn(void *arg, const char *name);
int tag_names(struct db *db, int64_t repository_id, const char *last, int64_t n, tag_name_fn *fn,
	      void *arg, struct err *err) MUST_CHECK;
/* By id behind `after`. */
int tag_list_by_id(struct db *db, int64_t repository_id, int64_t after_id, tag_row_fn *fn, void *arg,
		   struct err *err) MUST_CHECK;
/* Those that name an image, by id behind `after`. */
int tag_list_of(struct db *db, int64_t manifest_id, int64_t after_id, tag_row_fn *fn, void *arg,
		struct err *err) MUST_CHECK;
/* Those that name an image with that digest, in one repository or (repository_id 0) in all. */
int tag_list_of_digest(struct db *db, int64_t repository_id, const struct digest *d, int64_t after_id,
		       tag_row_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* A tag with what else retention goes by, by name; a failure of fn ends it. */
struct tag_use {
	struct tag_row tag;
	int64_t order;		/* the event that made it name its image, whatever removed it and brought it back since; 0: it was before there was a history */
	int64_t pulled, size;	/* of its image */
};
typedef int tag_use_fn(void *arg, const struct tag_use *use);
int tag_list_uses(struct db *db, int64_t repository_id, tag_use_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* 1 if a tag of the repository ends at that time or before, 0 if none does. */
int tag_ends_before(struct db *db, int64_t repository_id, int64_t at, struct err *err) MUST_CHECK;
/* 1 if a tag names that image, else 0. */
int tag_names_image(struct db *db, int64_t manifest_id, struct err *err) MUST_CHECK;

/* Inside a write transaction. *id is the tag's; *changed: it is new, or named another image. */
int tag_put(struct db *db, int64_t repository_id, const char *name, int64_t manifest_id, int64_t now,
	    int64_t *id, bool *changed, struct err *err) MUST_CHECK;
/* When it goes. only_label: unless that was set for the tag itself. */
int tag_set_end(struct db *db, int64_t id, int64_t expires, bool own, bool only_label, struct err *err) MUST_CHECK;
int tag_delete(struct db *db, const struct tag_row *row, int64_t now, struct err *err) MUST_CHECK;

#endif
