/*
 * settings.h: settings with a name and a text for a value, as rows.
 *
 * One is a repository's own, or a namespace's, for all repositories below it; the registry is the namespace "". A
 * repository has its own value, else that of the nearest namespace above it that has one. They go by name, like grants, and stay when
 * nothing is called so any more, but for a repository's own, which goes with it.
 */
#ifndef REGFS_META_SETTINGS_H
#define REGFS_META_SETTINGS_H

#include "fs/base/buf.h"
#include "fs/meta/db.h"

/* What a setting belongs to. */
struct settings_of {
	const char *name;
	bool below;		/* all repositories below it, not one of that name */
};

/* What was set for exactly this, added to `out`: 1, or 0 if nothing was. */
int settings_get(struct db *db, struct settings_of of, const char *key, struct buf *out, struct err *err) MUST_CHECK;
/* What holds for a repository of that name, likewise. */
int settings_effective(struct db *db, const char *repo, const char *key, struct buf *out, struct err *err) MUST_CHECK;

/* Inside a write transaction. value NULL: from now on nothing is set. */
int settings_put(struct db *db, struct settings_of of, const char *key, const char *value, struct err *err) MUST_CHECK;

#endif
