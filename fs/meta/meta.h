/*
 * meta.h: what exists, and how it is read and changed.
 *
 * Reading: meta_read_begin() lends a connection; functions of this room that take a
 * `struct db *` work on it; meta_read_end() gives it back. Reading takes no lock that a
 * writer holds.
 *
 * Writing: meta_write() runs a function inside a write transaction, together with what
 * other threads brought meanwhile, and returns when that transaction is committed (group commit:
 * many changes share one fsync). A function that fails is undone alone. It runs in any
 * of the waiting threads, must not wait for anything, and must not call meta_write().
 */
#ifndef REGFS_META_H
#define REGFS_META_H

#include "fs/meta/bell.h"
#include "fs/meta/db.h"

struct meta;

/* Makes the database if `create` and there is none; brings an older schema up to date; refuses a newer one. */
int meta_open(const char *path, bool create, struct meta **out, struct err *err) MUST_CHECK;
void meta_close(struct meta *m);

int meta_read_begin(struct meta *m, struct db **out, struct err *err) MUST_CHECK;
void meta_read_end(struct meta *m, struct db *db);

typedef int meta_write_fn(struct db *db, void *arg, struct err *err);
/* durable: on disk, power loss included, when this returns 0. */
int meta_write(struct meta *m, bool durable, meta_write_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* The same in a transaction of its own: all that it finds was committed before it began. For what can't be
 * undone with the transaction. */
int meta_write_alone(struct meta *m, bool durable, meta_write_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* A descriptor that is readable when events were committed, by any process: see bell_listen(); bell_heard() before looking. */
int meta_listen(const struct meta *m, int *fd, struct err *err) MUST_CHECK;

/* See db_mark(). Take it before reading what it is to vouch for. */
bool meta_mark(const struct meta *m, struct db_mark *out);

/* A reader's connection that gives itself back at the end of its scope. */
struct meta_reader {
	struct meta *meta;
	struct db *db;
};
static inline void meta_reader_release(struct meta_reader *r)
{
	if (r->db)
		meta_read_end(r->meta, r->db);
}
#define auto_reader CLEANUP(meta_reader_release)

/* schema.c: called by meta_open(); makes its own write transaction. */
int schema_upgrade(struct db *db, struct err *err) MUST_CHECK;

#endif
