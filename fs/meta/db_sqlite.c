/*
 * db_sqlite.c: the driver for SQLite, in WAL mode.
 *
 * The mark: SQLite's WAL-index (walformat.html, section 2.1) begins with two copies of a
 * 48-byte header that a committing connection rewrites, and that every connection compares
 * with its own copy when it begins to read, to learn whether its page cache still holds.
 * db_mark() makes the same comparison possible from outside: it reads the
 * header through the VFS's own mapping (xShmMap is public), so that no file descriptor of ours
 * is opened on it (closing one would drop SQLite's POSIX locks).
 */
#include "fs/base/base.h"
#include "fs/meta/db.h"

#include <sqlite3.h>
#include <stdatomic.h>

#define CACHED_STATEMENTS 256	/* slots; more than there are SQL literals */
#define BUSY_MILLISECONDS 20000
#define RETRY_MILLISECONDS 10
#define SHM_REGION 32768	/* WALINDEX_PGSZ */
#define MARK_WORDS (sizeof(((struct db_mark *)NULL)->bytes) / sizeof(uint64_t))

struct query {
	struct db *db;
	sqlite3_stmt *stmt;
	const char *sql;
	bool busy;
	bool cached;
};

struct db {
	sqlite3 *handle;
	struct query cache[CACHED_STATEMENTS];
	const volatile uint64_t *header;	/* of the WAL-index, or NULL */
	bool durable;	/* what synchronous is set to */
	bool rings;
};

/* SQLite's results as ours. */
static int fail(struct db *db, int code, struct err *err, const char *what)
{
	int os = db->handle ? sqlite3_system_errno(db->handle) : 0;
	const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_FULL:
		return err_set(err, ERR_NO_SPACE,
			       "no space left for the database: free some on the store's disk");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return err_set(err, ERR_BUSY, "the database is locked by another process (%s)", what);
	case SQLITE_NOMEM:
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return err_set(err, ERR_CORRUPT, "the database is damaged: %s (%s)", text, what);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (os == ENOSPC || os == EDQUOT)
			return err_set(err, ERR_NO_SPACE,
				       "no space left for the database: free some on the store's disk");
		return err_set(err, ERR_IO, "the database can't be read or written: %s (%s%s%s)", text,
			       what, os ? ", " : "", os ? strerror(os) : "");
	default:
		return err_set(err, ERR_INTERNAL, "database: %s (%s)", text, what);
	}
}

/* What takes back a failed change is prepared beforehand: it must not need memory. */
static const char undo_all[] = "ROLLBACK", undo_one[] = "ROLLBACK TO one", release_one[] = "RELEASE one";

static int prepare_undo(struct db *db, struct err *err)
{
	const char *const undo[] = { undo_all, undo_one, release_one };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(undo); i++) {
		auto_query struct query *q = NULL;

		r = db_query(db, &q, err, undo[i], "");
	}
	return r;
}

static void map_header(struct db *db)
{
	sqlite3_file *file = NULL;
	void volatile *region = NULL;

	if (sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
	    !file || !file->pMethods || file->pMethods->iVersion < 2)
		return;
	if (file->pMethods->xShmMap(file, 0, SHM_REGION, 0, &region) != SQLITE_OK || !region)
		return;
	db->header = region;
}

/* Only a database without a page: on any other this pragma is a write transaction. */
static int set_vacuum(struct db *db, struct err *err)
{
	int64_t pages = 0;
	int r = db_get_int(db, &pages, err, "PRAGMA page_count", "");

	return r < 0 || pages ? MIN(r, 0) : db_exec(db, "PRAGMA auto_vacuum=INCREMENTAL", err);
}

int db_give_back(struct db *db, struct err *err)
{
	return db_exec(db, "PRAGMA incremental_vacuum(1024)", err);
}

static int prepare_connection(struct db *db, struct err *err)
{
	int r = set_vacuum(db, err);

	if (!r)
		r = db_exec(db,
			    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
			    "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;"
			    "SELECT 1 FROM sqlite_master LIMIT 1;",
			    err);
	return r ? r : prepare_undo(db, err);
}

/* Turning a new database to WAL takes a lock for which SQLite doesn't wait: when several
 * processes make one at once, the others try again. */
static int prepare_patiently(struct db *db, struct err *err)
{
	int waited = 0, r;

	while ((r = prepare_connection(db, err)) == -EBUSY && waited < BUSY_MILLISECONDS)
		waited += sqlite3_sleep(RETRY_MILLISECONDS);
	return r;
}

/*
 * SQLite counts its memory under one lock, for every allocation of every connection: with 32 threads that
 * read, who writes waited for it (200 clients that push 1 KiB each: 0.61 ms of processor time an artifact
 * instead of 0.68). It can be told before it starts only; later this does nothing.
 */
static void count_no_memory(void)
{
	(void)!sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_open(const char *path, bool create, struct db **out, struct err *err)
{
	struct db *db = calloc(1, sizeof(*db));
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
	int code, r = 0;

	if (!db)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	count_no_memory();
	code = sqlite3_open_v2(path, &db->handle, flags, NULL);
	if (code != SQLITE_OK)
		r = fail(db, code, err, path);
	/* SQLite settles for reading where opening for both failed, though it be for want of a descriptor. */
	if (!r && sqlite3_db_readonly(db->handle, "main"))
		r = err_set(err, ERR_READ_ONLY,
			    "%s can't be opened for writing: see its permissions and the limit of open files",
			    path);
	if (!r) {
		sqlite3_extended_result_codes(db->handle, 1);
		sqlite3_busy_timeout(db->handle, BUSY_MILLISECONDS);
		db->durable = true;
		r = prepare_patiently(db, err);
	}
	if (r) {
		db_close(db);
		return r;
	}
	map_header(db);
	*out = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < CACHED_STATEMENTS; i++)
		sqlite3_finalize(db->cache[i].stmt);
	sqlite3_close(db->handle);
	free(db);
}

void db_forget(struct db *db)
{
	sqlite3_db_release_memory(db->handle);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? 0 : fail(db, code, err, sql);
}

/* ---- Statements ---- */

/* The slot of a literal: its own, or a free one; NULL where all are taken. */
static struct query *find_slot(struct db *db, const char *sql)
{
	size_t at = ((uintptr_t)sql >> 3) % CACHED_STATEMENTS;

	for (size_t i = 0; i < CACHED_STATEMENTS; i++) {
		struct query *q = &db->cache[(at + i) % CACHED_STATEMENTS];

		if (q->sql == sql || !q->sql)
			return q;
	}
	return NULL;
}

static int prepare(struct db *db, const char *sql, struct query **out, struct err *err)
{
	struct query *q = find_slot(db, sql);
	int code;

	if (!q || q->busy) {	/* the same statement within itself */
		q = calloc(1, sizeof(*q));
		if (!q)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	} else {
		q->cached = true;
	}
	if (!q->stmt) {
		code = sqlite3_prepare_v3(db->handle, sql, -1,
					  q->cached ? SQLITE_PREPARE_PERSISTENT : 0, &q->stmt, NULL);
		if (code != SQLITE_OK) {
			if (!q->cached)
				free(q);
			return fail(db, code, err, sql);
		}
	}
	q->db = db;
	q->sql = sql;
	q->busy = true;
	*out = q;
	return 0;
}

static int bind(struct query *q, const char *types, va_list ap, struct err *err)
{
	int code = SQLITE_OK;

	for (int i = 0; types[i] && code == SQLITE_OK; i++) {
		switch (types[i]) {
		case 'i':
			code = sqlite3_bind_int64(q->stmt, i + 1, va_arg(ap, int64_t));
			break;
		case 's':
			code = sqlite3_bind_text(q->stmt, i + 1, va_arg(ap, const char *), -1,
						 SQLITE_STATIC);
			break;
		case 'd': {
			const struct digest *d = va_arg(ap, const struct digest *);

			if (!d || d->algorithm == DIGEST_NONE)
				code = sqlite3_bind_null(q->stmt, i + 1);
			else
				code = sqlite3_bind_blob(q->stmt, i + 1, d, (int)digest_size(d),
							 SQLITE_STATIC);
			break;
		}
		default:
			return err_set(err, ERR_INTERNAL, "a parameter of type %c", types[i]);
		}
	}
	return code == SQLITE_OK ? 0 : fail(q->db, code, err, q->sql);
}

static int vquery(struct db *db, struct query **out, struct err *err, const char *sql,
		  const char *types, va_list ap)
{
	auto_query struct query *q = NULL;
	int r = prepare(db, sql, &q, err);

	if (!r)
		r = bind(q, types, ap, err);
	if (!r)
		*out = steal(&q);
	return r;
}

int db_query(struct db *db, struct query **out, struct err *err, const char *sql, const char *types,
	     ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = vquery(db, out, err, sql, types, ap);
	va_end(ap);
	return r;
}

int query_step(struct query *q, struct err *err)
{
	int code = sqlite3_step(q->stmt);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : fail(q->db, code, err, q->sql);
}

int64_t query_int(struct query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

const char *query_text(struct query *q, int column)
{
	const char *text = (const char *)sqlite3_column_text(q->stmt, column);

	return text ? text : "";
}

bool query_is_null(struct query *q, int column)
{
	return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

void query_digest(struct query *q, int column, struct digest *out)
{
	const void *bytes = sqlite3_column_blob(q->stmt, column);
	int len = sqlite3_column_bytes(q->stmt, column);

	memset(out, 0, sizeof(*out));
	if (bytes && len > 1 && len <= (int)sizeof(*out))
		memcpy(out, bytes, (size_t)len);
}

void query_end(struct query *q)
{
	if (!q)
		return;
	if (!q->cached) {
		sqlite3_finalize(q->stmt);
		free(q);
		return;
	}
	sqlite3_reset(q->stmt);
	sqlite3_clear_bindings(q->stmt);
	q->busy = false;
}

int64_t db_run(struct db *db, struct err *err, const char *sql, const char *types, ...)
{
	auto_query struct query *q = NULL;
	va_list ap;
	int r;

	va_start(ap, types);
	r = vquery(db, &q, err, sql, types, ap);
	va_end(ap);
	if (r)
		return r;
	do
		r = query_step(q, err);
	while (r > 0);
	return r < 0 ? r : sqlite3_changes64(db->handle);
}

int db_get_int(struct db *db, int64_t *out, struct err *err, const char *sql, const char *types, ...)
{
	auto_query struct query *q = NULL;
	va_list ap;
	int r;

	va_start(ap, types);
	r = vquery(db, &q, err, sql, types, ap);
	va_end(ap);
	if (!r)
		r = query_step(q, err);
	if (r > 0)
		*out = query_int(q, 0);
	return r;
}

/* ---- Transactions ---- */

static int run_literal(struct db *db, const char *sql, struct err *err)
{
	int64_t r = db_run(db, err, sql, "");

	return r < 0 ? (int)r : 0;
}

int db_begin_read(struct db *db, struct err *err)
{
	return run_literal(db, "BEGIN", err);
}

int db_begin_write(struct db *db, bool durable, struct err *err)
{
	if (durable != db->durable) {
		int r = db_exec(db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
				err);

		if (r)
			return r;
		db->durable = durable;
	}
	return run_literal(db, "BEGIN IMMEDIATE", err);
}

int db_commit(struct db *db, struct err *err)
{
	return run_literal(db, "COMMIT", err);
}

void db_rollback(struct db *db)
{
	if (db_in_transaction(db))
		(void)!run_literal(db, undo_all, NULL);
}

bool db_in_transaction(struct db *db)
{
	return !sqlite3_get_autocommit(db->handle);
}

void db_ring(struct db *db)
{
	db->rings = true;
}

bool db_rings(struct db *db)
{
	bool rings = db->rings;

	db->rings = false;
	return rings;
}

int db_savepoint(struct db *db, struct err *err)
{
	return run_literal(db, "SAVEPOINT one", err);
}

int db_savepoint_release(struct db *db, struct err *err)
{
	return run_literal(db, release_one, err);
}

void db_savepoint_rollback(struct db *db)
{
	/* What can't be undone alone must not be committed: the whole transaction goes then. */
	if (run_literal(db, undo_one, NULL) || run_literal(db, release_one, NULL))
		db_rollback(db);
}

int db_check(struct db *db, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "PRAGMA quick_check", "");

	while (!r && (r = query_step(q, err)) > 0) {
		r = 0;
		if (strcmp(query_text(q, 0), "ok") != 0)
			buf_addf(out, "%s%s", out->len ? "\n" : "", query_text(q, 0));
	}
	return r ? r : buf_error(out);
}

/* ---- The mark ---- */

bool db_mark(const struct db *db, struct db_mark *out)
{
	uint64_t first[MARK_WORDS], second[MARK_WORDS];

	if (!db->header)
		return false;
	/* A writer stores the second copy first; as SQLite does, read the first first. */
	for (size_t i = 0; i < MARK_WORDS; i++)
		first[i] = db->header[i];
	atomic_thread_fence(memory_order_seq_cst);
	for (size_t i = 0; i < MARK_WORDS; i++)
		second[i] = db->header[MARK_WORDS + i];
	memcpy(out->bytes, first, sizeof(out->bytes));
	return memcmp(first, second, sizeof(first)) == 0;
}
