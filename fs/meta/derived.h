/*
 * derived.h: values in the tables that follow from other tables, as rules to check and repair by.
 */
#ifndef REGFS_META_DERIVED_H
#define REGFS_META_DERIVED_H

#include "fs/meta/db.h"

extern const size_t derived_rules;	/* how many there are */

const char *derived_text(size_t rule);	/* what is wrong with a row that breaks it */
int derived_count(struct db *db, size_t rule, int64_t *out, struct err *err) MUST_CHECK;
/* Inside a write transaction. */
int derived_repair(struct db *db, size_t rule, struct err *err) MUST_CHECK;

#endif
