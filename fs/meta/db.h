/*
 * db.h: the seam between the SQL of this room and a database.
 *
 * A driver prepares, binds, steps and runs transactions; all SQL stands in the
 * other files of fs/meta/, written once, in what SQLite and PostgreSQL have in common
 * (RETURNING instead of "last insert id", parameters as ?, times as integers). A
 * connection is for one thread at a time.
 */
#ifndef REGFS_DB_H
#define REGFS_DB_H

#include "fs/base/buf.h"
#include "fs/base/digest.h"
#include "fs/base/err.h"

struct db;
struct query;

/* create: make the database if there is none. */
int db_open(const char *path, bool create, struct db **out, struct err *err) MUST_CHECK;
void db_close(struct db *db);
/* Gives up the pages it remembers; outside of transactions. */
void db_forget(struct db *db);

/* Several statements without parameters or results. */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_CHECK;

/*
 * Prepares (once a connection and SQL literal) and binds. One letter of `types` for each
 * parameter: i int64_t, s const char * (NULL is NULL), d const struct digest *. `sql` must be a string
 * literal: its address is the key of the cache. Strings and digests must live until the
 * query ends.
 */
int db_query(struct db *db, struct query **out, struct err *err, const char *sql, const char *types,
	     ...) MUST_CHECK;
/* 1: there is a row; 0: no more; negative: failed. */
int query_step(struct query *q, struct err *err) MUST_CHECK;
int64_t query_int(struct query *q, int column);
const char *query_text(struct query *q, int column);	/* "" for NULL; until the next step */
bool query_is_null(struct query *q, int column);
void query_digest(struct query *q, int column, struct digest *out);	/* DIGEST_NONE for NULL */
void query_end(struct query *q);
DEFINE_CLEANUP(cleanup_query, struct query *, query_end)
#define auto_query CLEANUP(cleanup_query)

/* Runs a statement to its end; the number of rows it changed, or negative. */
int64_t db_run(struct db *db, struct err *err, const char *sql, const char *types, ...) MUST_CHECK;
/* The first column of the first row: 1 and the value, 0 where there is no row, or negative. */
int db_get_int(struct db *db, int64_t *out, struct err *err, const char *sql, const char *types,
	       ...) MUST_CHECK;

/* A read transaction: what follows sees one state of the database. */
int db_begin_read(struct db *db, struct err *err) MUST_CHECK;
/* A write transaction: waits for other writers, of any process. durable: the commit is on disk when it returns. */
int db_begin_write(struct db *db, bool durable, struct err *err) MUST_CHECK;
int db_commit(struct db *db, struct err *err) MUST_CHECK;
void db_rollback(struct db *db);	/* also ends a read transaction */
/* Whether a transaction is (still) open: some failures end it. */
bool db_in_transaction(struct db *db);
/* Who waits for events is to be woken after the commit (bell.h); and whether that was said since it was asked last. */
void db_ring(struct db *db);
bool db_rings(struct db *db);
/* One level of undo within a write transaction. A rollback that fails ends the whole transaction. */
int db_savepoint(struct db *db, struct err *err) MUST_CHECK;
int db_savepoint_release(struct db *db, struct err *err) MUST_CHECK;
void db_savepoint_rollback(struct db *db);

/* Gives pages that nothing uses any more back to the disk, some of them: after much was removed. In a write transaction. */
int db_give_back(struct db *db, struct err *err) MUST_CHECK;

/* The database's own check of itself: what is wrong goes into `out`, a line each; empty: nothing is. */
int db_check(struct db *db, struct buf *out, struct err *err) MUST_CHECK;

/*
 * A mark of the database's state: two equal marks mean that no transaction of any
 * process was committed between them, so what was read after the first still
 * holds at the second. Costs nanoseconds, may be called while another thread uses the
 * connection. false: the database can't say; ask it.
 */
struct db_mark {
	unsigned char bytes[48];
};
bool db_mark(const struct db *db, struct db_mark *out);

#endif
