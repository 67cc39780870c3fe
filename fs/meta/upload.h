/* upload.h: uploads in progress as rows; their bytes are in the store. */
#ifndef REGFS_META_UPLOAD_H
#define REGFS_META_UPLOAD_H

#include "fs/meta/db.h"

#define UPLOAD_NAME_MAX 36

struct upload_row {
	int64_t id;
	int64_t repository_id;
	enum digest_algorithm algorithm;
	int64_t started;
	char name[UPLOAD_NAME_MAX + 1];	/* the store's id of it */
};

/* 1 and the row, 0 if there is none, or negative. */
int upload_by_name(struct db *db, int64_t repository_id, const char *name, struct upload_row *out,
		   struct err *err) MUST_CHECK;
/* 1 if there is a row of that name in any repository, else 0. */
int upload_known(struct db *db, const char *name, struct err *err) MUST_CHECK;
int upload_by_id(struct db *db, int64_t id, struct upload_row *out, struct err *err) MUST_CHECK;
typedef int upload_row_fn(void *arg, const struct upload_row *row);
int upload_list(struct db *db, int64_t repository_id, int64_t after_id, upload_row_fn *fn, void *arg,
		struct err *err) MUST_CHECK;

/* Inside a write transaction. */
int upload_insert(struct db *db, const struct upload_row *row, const char *who, struct err *err) MUST_CHECK;
/* 1 if it was there. */
int upload_delete(struct db *db, const char *name, struct err *err) MUST_CHECK;

#endif
