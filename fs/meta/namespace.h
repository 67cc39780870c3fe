/*
 * namespace.h: what holds for repositories that are made below a name.
 *
 * A setting that a namespace doesn't have is its parent's; the registry's own (name "") where none above has it; and
 * where the registry has none, a new repository is private and a push may make one. Rows stay when nothing is below them.
 */
#ifndef REGFS_META_NAMESPACE_H
#define REGFS_META_NAMESPACE_H

#include "fs/meta/db.h"

enum setting {
	SETTING_NO,
	SETTING_YES,
	SETTING_INHERIT,	/* as above it */
};

struct namespace_row {
	enum setting public;
	enum setting push_creates;
};

/* What a namespace itself says: SETTING_INHERIT where it says nothing. */
int namespace_get(struct db *db, const char *name, struct namespace_row *out, struct err *err) MUST_CHECK;
/* What holds for a repository of that name: from the nearest namespace above it. */
int namespace_public(struct db *db, const char *repo, bool *out, struct err *err) MUST_CHECK;
int namespace_push_creates(struct db *db, const char *repo, bool *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. */
int namespace_put(struct db *db, const char *name, const struct namespace_row *row, struct err *err) MUST_CHECK;

#endif
