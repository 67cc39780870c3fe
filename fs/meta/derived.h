/*
 * derived.h: values in the tables that follow from other tables, as rules to check and repair by.
 */
#ifndef REGFS_META_DERIVED_H
#define REGFS_META_DERIVED_H

#include "fs/meta/db.h"

extern const size_t derived_rules;	/* how many there are */

const char *derived_text(size_t rule);	/* what is wrong with a row that breaks it */
int derived_count(struct db *db, size_t rule, int64_t *out, struct err *err) MUST_CHECK;
/* The first rows behind `after` that break a rule, at most `limit`. Looks at every row: in no write transaction. */
int derived_find(struct db *db, size_t rule, int64_t after, size_t limit, int64_t *ids, size_t *count,
		 struct err *err) MUST_CHECK;
/* Inside a write transaction. A row that is right, or gone, by then stays as it is. */
int derived_repair(struct db *db, size_t rule, int64_t id, struct err *err) MUST_CHECK;

#endif
