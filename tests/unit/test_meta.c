/*
 * test_meta.c: the database: schema, transactions, writers that share commits, the mark.
 */
#include "fs/base/base.h"
#include "fs/meta/meta.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "fs/meta/blob.h"
#include "fs/meta/event.h"
#include "fs/meta/history.h"
#include "fs/meta/repo.h"
#include "fs/meta/tag.h"

#define THREADS 8
#define CHANGES 60
#define PROCESSES 6

static int64_t number_of(struct meta *m, const char *sql)
{
	auto_reader struct meta_reader rd = { .meta = m };
	struct err err = ERR_INIT;
	int64_t n = -1;

	if (meta_read_begin(m, &rd.db, &err) || db_get_int(rd.db, &n, &err, sql, "") < 0)
		printf("# %s\n", err.text);
	return n;
}

static int exec(struct db *db, void *arg, struct err *err)
{
	return db_exec(db, arg, err);
}

/* In one write transaction; the text is never changed. */
static int write_sql(struct meta *m, const char *sql, struct err *err)
{
	auto_free char *copy = strdup(sql);

	return meta_write(m, true, exec, copy, err);
}

/* ---- The schema ---- */

static void test_schema(const char *dir)
{
	auto_free char *path = scratch_path(dir, "schema.db");
	struct meta *m;
	struct err err = ERR_INIT;
	int64_t version;

	is_int(meta_open(path, false, &m, &err), -EIO, "no database: %s", err.text);
	is_int(meta_open(path, true, &m, &err), 0, "made %s", err.text);
	version = number_of(m, "SELECT value FROM registry WHERE name = 'schema'");
	ok(version >= 1, "it has a version");
	is_int(number_of(m, "PRAGMA auto_vacuum"), 2, "vacuums by pieces");
	is_int(number_of(m, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1, "write-ahead log");
	is_int(number_of(m, "PRAGMA foreign_keys"), 1, "references are checked");
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'created'") > 1700000000, "dated");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'event'"), 0, "no events");
	is_int(write_sql(m, "INSERT INTO counter(name, value) VALUES ('kept', 7)", NULL), 0, "a row");
	meta_close(m);
	is_int(meta_open(path, false, &m, NULL), 0, "opened again");
	is_int(number_of(m, "SELECT value FROM registry WHERE name = 'schema'"), version, "as it was");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'kept'"), 7, "with its row");
	is_int(write_sql(m, "UPDATE registry SET value = value + 1 WHERE name = 'schema'", NULL), 0,
	       "made newer");
	meta_close(m);
	is_int(meta_open(path, false, &m, &err), -EINVAL, "is refused");
	is_int((int)err.reason, ERR_ARGUMENT, "%s", err.text);
}

/* A file of a test's, as text; NULL if it can't be read. */
static char *read_text(const char *path)
{
	auto_buf struct buf b = BUF_INIT;
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[4096];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(&b, piece, (size_t)n);
	return b.len ? buf_steal(&b) : NULL;
}

/* What a store of schema 1 held (sqlite3's .dump of one): two repositories with an image each, one with an upload. */
static void test_schema_1(const char *dir)
{
	auto_free char *path = scratch_path(dir, "schema-1.db"), *sql = read_text("tests/unit/schema-1.sql");
	struct repo_row repo;
	struct db *db;
	struct meta *m;
	struct err err = ERR_INIT;

	if (!ok(sql != NULL, "there is a dump") || !is_int(db_open(path, true, &db, &err), 0, "a database %s", err.text))
		return;
	is_int(db_exec(db, sql, &err), 0, "it is read in %s", err.text);
	db_close(db);
	is_int(meta_open(path, false, &m, &err), 0, "it is brought up to date %s", err.text);
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'schema'") >= 2, "to schema 2 or later");
	is_int(number_of(m, "SELECT COUNT(*) FROM manifest"), 2, "its images are there");
	is_int(number_of(m, "SELECT COUNT(*) FROM tag WHERE name = '1.0'"), 2, "its tags");
	is_int(number_of(m, "SELECT COUNT(*) FROM upload"), 1, "its upload");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'event'"), 2, "its events");
	is_int(number_of(m, "SELECT COUNT(*) FROM event WHERE about IS NOT NULL"), 0, "that say nothing more");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE public = 1"), 0, "everything is private");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'access'"), 1, "the first generation");
	is_int(number_of(m, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0, "all references hold");
	{
		auto_reader struct meta_reader rd = { .meta = m };

		is_int(meta_read_begin(m, &rd.db, NULL), 0, "a reader");
		is_int(repo_by_name(rd.db, "shop/console-web", &repo, &err), 1, "a repository %s", err.text);
		ok(repo.listed && !repo.public, "is listed, and private");
	}
	meta_close(m);
}

/* What a store of schema 2 held: people, a grant, a token, a namespace's settings, and no audit trail. */
static void test_schema_2(const char *dir)
{
	auto_free char *path = scratch_path(dir, "schema-2.db"), *sql = read_text("tests/unit/schema-2.sql");
	struct db *db;
	struct meta *m;
	struct err err = ERR_INIT;

	if (!ok(sql != NULL, "there is a dump") || !is_int(db_open(path, true, &db, &err), 0, "a database %s", err.text))
		return;
	is_int(db_exec(db, sql, &err), 0, "it is read in %s", err.text);
	db_close(db);
	is_int(meta_open(path, false, &m, &err), 0, "it is brought up to date %s", err.text);
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'schema'") >= 3, "to schema 3 or later");
	is_int(number_of(m, "SELECT COUNT(*) FROM principal"), 4, "its people are there");
	is_int(number_of(m, "SELECT COUNT(*) FROM access_grant"), 1, "its grant");
	is_int(number_of(m, "SELECT COUNT(*) FROM token"), 1, "its token");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'event'"), 9, "its events");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'audit'"), 0, "the audit trail begins");
	is_int(number_of(m, "SELECT COUNT(*) FROM audit"), 0, "empty");
	is_int(number_of(m, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0, "all references hold");
	meta_close(m);
}

/* What a store of schema 4 held: a tag that moved, one that was removed, a rule, a grant, an audit trail. */
static void test_schema_4(const char *dir)
{
	auto_free char *path = scratch_path(dir, "schema-4.db"), *sql = read_text("tests/unit/schema-4.sql");
	struct db *db;
	struct meta *m;
	struct err err = ERR_INIT;

	if (!ok(sql != NULL, "there is a dump") || !is_int(db_open(path, true, &db, &err), 0, "a database %s", err.text))
		return;
	is_int(db_exec(db, sql, &err), 0, "it is read in %s", err.text);
	db_close(db);
	is_int(meta_open(path, false, &m, &err), 0, "it is brought up to date %s", err.text);
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'schema'") >= 5, "to schema 5 or later");
	is_int(number_of(m, "SELECT COUNT(*) FROM tag_history"), 3, "its history is there");
	is_int(number_of(m, "SELECT COUNT(*) FROM setting"), 1, "its rule");
	is_int(number_of(m, "SELECT COUNT(*) FROM access_grant"), 1, "its grant");
	ok(number_of(m, "SELECT COUNT(*) FROM audit") > 0, "its audit trail");
	is_int(number_of(m, "SELECT COUNT(*) FROM removal"), 0, "what was removed before can't be brought back");
	is_int(number_of(m, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0, "all references hold");
	meta_close(m);
}

/* Tags of a store without a history have their first entry then. */
static void test_first_entries(const char *dir)
{
	auto_free char *path = scratch_path(dir, "schema-1-history.db"), *sql = read_text("tests/unit/schema-1.sql");
	struct db *db;
	struct meta *m;
	struct err err = ERR_INIT;

	if (!ok(sql != NULL, "there is a dump") || !is_int(db_open(path, true, &db, &err), 0, "a database %s", err.text))
		return;
	is_int(db_exec(db, sql, &err), 0, "it is read in %s", err.text);
	db_close(db);
	is_int(meta_open(path, false, &m, &err), 0, "it is brought up to date %s", err.text);
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'schema'") >= 4, "to schema 4 or later");
	is_int(number_of(m, "SELECT COUNT(*) FROM tag_history WHERE number = 1 AND latest = 1 AND event = 0 AND who = ''"), 2,
	       "an entry for each of its tags");
	is_int(number_of(m, "SELECT COUNT(*) FROM tag t JOIN manifest i ON i.id = t.manifest_id JOIN blob b ON b.id = i.blob_id"
			    " JOIN tag_history h ON h.repository_id = t.repository_id AND h.tag = t.name"
			    " WHERE h.digest = b.digest AND h.at = t.moved"),
	       2, "that says what it names, and since when");
	meta_close(m);
}

/* Entries are numbered by what happened, whatever the clock said. */
static void test_history_clock(const char *dir)
{
	static const int64_t clock[] = { 1000, 5000, 2000, 0, 7000, 1 };
	auto_free char *path = scratch_path(dir, "history.db");
	struct history_row row;
	struct digest d[2];
	struct repo_row repo;
	struct meta *m;
	struct db *db;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(d); i++)
		is_int(digest_of(DIGEST_SHA256, &i, sizeof(i), &d[i], NULL), 0, "a digest");
	is_int(meta_open(path, true, &m, &err), 0, "a database %s", err.text);
	is_int(db_open(path, false, &db, &err), 0, "a connection %s", err.text);
	is_int(db_begin_write(db, true, &err), 0, "to write with %s", err.text);
	is_int(repo_ensure(db, "a/b", 1, &repo, &err), 0, "a repository %s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(clock); i++) {
		const struct history_deed deed = { .at = clock[i], .event = (int64_t)i + 1, .who = "alice" };

		is_int(history_add(db, repo.id, "t", &d[i % 2], &deed, &err), 0, "an entry at %" PRId64 " %s", clock[i], err.text);
		is_int(history_last(db, repo.id, "t", &row, &err), 1, "there is a last one");
		ok(row.number == (int64_t)i + 1 && row.named.at == clock[i], "it is number %zu", i + 1);
	}
	is_int(history_before(db, repo.id, "t", &d[1], &row, &err), 1, "the image before it");
	is_int(row.number, 5, "is that of the entry before it");
	is_int(history_end(db, repo.id, "t", &(struct history_deed){ .at = 2, .event = 9, .who = "bob" }, &err), 0, "it is removed");
	is_int(history_last(db, repo.id, "t", &row, &err), 1, "the last one");
	ok(row.number == 6 && row.removed.at == 2 && row.removed.event == 9 && streq(row.removed.who, "bob"), "says so");
	is_int(history_at(db, repo.id, "t", 7, &row, &err), 0, "there is no seventh");
	is_int(history_at(db, repo.id, "u", 1, &row, &err), 0, "nor one of another tag");
	is_int(db_commit(db, &err), 0, "committed %s", err.text);
	is_int(number_of(m, "SELECT COUNT(*) FROM tag_history WHERE latest = 1 AND number IN (5, 6)"), 2, "the last of each image is marked");
	is_int(number_of(m, "SELECT SUM(latest) FROM tag_history"), 2, "and no other");
	db_close(db);
	meta_close(m);
}

/* Version 0 is a database without a table. */
static void test_upgrade(const char *dir)
{
	auto_free char *empty = scratch_path(dir, "empty.db"), *bad = scratch_path(dir, "bad.db");
	auto_fd UNUSED int fd = open(empty, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	auto_fd int bad_fd = open(bad, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct meta *m;
	struct err err = ERR_INIT;

	is_int(meta_open(empty, false, &m, &err), 0, "an empty file is brought up to date %s", err.text);
	ok(number_of(m, "SELECT value FROM registry WHERE name = 'schema'") >= 1, "it has a version");
	is_int(number_of(m, "SELECT COUNT(*) FROM tag"), 0, "and tables");
	meta_close(m);
	for (int i = 0; i < 200; i++)
		ok(i || dprintf(bad_fd, "this is no database, whatever it is called\n") > 0, "bytes");
	for (int i = 0; i < 200; i++)
		dprintf(bad_fd, "this is no database, whatever it is called\n");
	is_int(meta_open(bad, false, &m, &err), -EIO, "a file that is no database");
	is_int((int)err.reason, ERR_CORRUPT, "%s", err.text);
}

/* All answers of the children are 0. */
static bool all_well(const pid_t *pids, size_t n)
{
	bool good = true;

	for (size_t i = 0; i < n; i++) {
		int status = -1;

		waitpid(pids[i], &status, 0);
		good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	}
	return good;
}

/* Several processes make one store at once, each finds it whole. */
static void test_race(const char *dir)
{
	for (int round = 0; round < 8; round++) {
		char name[32];
		auto_free char *path = NULL;
		pid_t pids[PROCESSES];
		int ready[2];

		snprintf(name, sizeof(name), "race-%d.db", round);
		path = scratch_path(dir, name);
		if (pipe(ready) < 0)
			return;
		fflush(stdout);
		for (int i = 0; i < PROCESSES; i++) {
			pids[i] = fork();
			if (!pids[i]) {
				struct meta *m;
				struct err err = ERR_INIT;
				char byte;

				close(ready[1]);
				(void)!read(ready[0], &byte, 1);
				if (meta_open(path, true, &m, &err)) {
					printf("# %s\n", err.text);
					fflush(stdout);
					_exit(1);
				}
				meta_close(m);
				_exit(0);
			}
		}
		close(ready[0]);
		close(ready[1]);	/* and they go */
		ok(all_well(pids, PROCESSES), "%d processes make a database at once", PROCESSES);
	}
}

/* ---- Statements ---- */

static int nested(struct db *db, int depth, int64_t *sum, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = depth ? db_query(db, &q, err, "SELECT value FROM numbers WHERE value <= ? ORDER BY value",
				 "i", (int64_t)3) :
			0;

	while (!r && depth && (r = query_step(q, err)) > 0) {
		*sum += query_int(q, 0);
		r = nested(db, depth - 1, sum, err);
	}
	return r;
}

static void test_statements(struct meta *m)
{
	struct err err = ERR_INIT;
	struct db *db;
	int64_t sum = 0, n = 0;

	is_int(write_sql(m,
			 "CREATE TABLE numbers(value INTEGER, text TEXT, digest BLOB);"
			 "INSERT INTO numbers(value) VALUES (1), (2), (3), (4)",
			 NULL),
	       0, "a table");
	is_int(meta_read_begin(m, &db, NULL), 0, "a reader");
	is_int(nested(db, 3, &sum, &err), 0, "a statement within itself within itself %s", err.text);
	is_int(sum, 6 + 3 * 6 + 9 * 6, "each runs to its end");
	is_int(db_get_int(db, &n, NULL, "SELECT value FROM numbers WHERE value = ?", "i", (int64_t)9), 0,
	       "no row");
	is_int(db_get_int(db, &n, &err, "SELECT nonsense", ""), -EIO, "no statement: %s", err.text);
	is_int((int)err.reason, ERR_INTERNAL, "is our own fault");
	is_int(db_get_int(db, &n, NULL, "SELECT ?", "i", INT64_MIN), 1, "the smallest integer");
	ok(n == INT64_MIN, "comes back");
	meta_read_end(m, db);
}

static int put_digest(struct db *db, void *arg, struct err *err)
{
	int64_t n = db_run(db, err, "INSERT INTO numbers(value, text, digest) VALUES (?, ?, ?)", "isd",
			   (int64_t)100, "it's \"text\"", arg);

	return n == 1 ? 0 : -EIO;
}

static void test_digest(struct meta *m, enum digest_algorithm algorithm)
{
	auto_reader struct meta_reader rd = { .meta = m };
	auto_query struct query *q = NULL;
	struct digest d = { 0 }, back;

	if (algorithm != DIGEST_NONE)
		is_int(digest_of(algorithm, "x", 1, &d, NULL), 0, "a digest");
	is_int(write_sql(m, "DELETE FROM numbers WHERE value = 100", NULL), 0, "no row");
	is_int(meta_write(m, false, put_digest, &d, NULL), 0, "a digest goes in");
	is_int(meta_read_begin(m, &rd.db, NULL), 0, "a reader");
	is_int(db_query(rd.db, &q, NULL, "SELECT digest, text, 0, NULL FROM numbers WHERE value = 100",
			""),
	       0, "a query");
	is_int(query_step(q, NULL), 1, "its row");
	memset(&back, 0xff, sizeof(back));
	query_digest(q, 0, &back);
	ok(algorithm == DIGEST_NONE ? back.algorithm == DIGEST_NONE : digest_equal(&d, &back),
	   "it comes back");
	is_int(query_is_null(q, 0), algorithm == DIGEST_NONE, "none is NULL");
	is_str(query_text(q, 1), "it's \"text\"", "text");
	is_str(query_text(q, 3), "", "NULL is \"\" as text");
}

/* What a statement with RETURNING breaks must not go unseen. */
static int break_reference(struct db *db, void *arg, struct err *err)
{
	int r = db_get_int(db, arg, err,
			   "INSERT INTO tag(repository_id, name, manifest_id, moved)"
			   " VALUES (?, ?, ?, ?) RETURNING id",
			   "isii", (int64_t)12345, "broken", (int64_t)12345, (int64_t)1);

	return MIN(r, 0);
}

static void test_references(struct meta *m)
{
	struct err err = ERR_INIT;
	int64_t id = 0;

	is_int(meta_write(m, false, break_reference, &id, &err), -EIO, "a row that names none: %s",
	       err.text);
	is_int(number_of(m, "SELECT COUNT(*) FROM tag WHERE name = 'broken'"), 0, "isn't there");
}

/* ---- Writers ---- */

struct writer {
	struct meta *meta;
	const char *name;
	int number, failures, wrong;
};

struct step {
	const char *tag;
	bool fail;
};

static int add_one(struct db *db, void *arg, struct err *err)
{
	const struct step *s = arg;
	const struct event e = { .kind = "test", .repository = "r", .tag = s->tag, .who = "w", .at = 1 };
	int r = event_add(db, &e, err);

	if (!r && s->fail)
		return err_set(err, ERR_ARGUMENT, "%s was to fail", s->tag);
	return r;
}

static void *write_many(void *arg)
{
	struct writer *w = arg;

	for (int i = 0; i < CHANGES; i++) {
		char tag[48], want[80];
		struct step s = { tag, i % 7 == 3 };
		struct err err = ERR_INIT;
		int r;

		snprintf(tag, sizeof(tag), "%s-%d-%03d", w->name, w->number, i);
		snprintf(want, sizeof(want), "%s was to fail", tag);
		r = meta_write(w->meta, i % 3 == 0, add_one, &s, &err);
		w->failures += r != 0;
		w->wrong += s.fail ? r != -EINVAL || !streq(err.text, want) : r != 0;
	}
	return NULL;
}

static int write_threads(struct meta *m, const char *name)
{
	struct writer writers[THREADS];
	pthread_t threads[THREADS];
	int wrong = 0;

	for (int i = 0; i < THREADS; i++) {
		writers[i] = (struct writer){ m, name, i, 0, 0 };
		pthread_create(&threads[i], NULL, write_many, &writers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		wrong += writers[i].wrong;
	}
	return wrong;
}

/* Two processes of eight threads: what succeeded is there, what failed isn't, numbers have no gap. */
static void test_writers(const char *dir)
{
	auto_free char *path = scratch_path(dir, "writers.db");
	int64_t good = 2 * (int64_t)THREADS * (CHANGES - (CHANGES + 3) / 7);
	struct meta *m;
	pid_t pid;

	is_int(meta_open(path, true, &m, NULL), 0, "a database");
	meta_close(m);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (meta_open(path, false, &m, NULL) || write_threads(m, "child"))
			_exit(1);
		meta_close(m);
		_exit(0);
	}
	is_int(meta_open(path, false, &m, NULL), 0, "opened in two processes");
	is_int(write_threads(m, "parent"), 0, "each change gets its own answer");
	ok(all_well(&pid, 1), "in the other process, too");
	is_int(number_of(m, "SELECT COUNT(*) FROM event"), good, "all that succeeded are there");
	is_int(number_of(m, "SELECT MAX(number) FROM event"), good, "numbered without a gap");
	is_int(number_of(m, "SELECT value FROM counter WHERE name = 'event'"), good, "and counted");
	is_int(number_of(m, "SELECT COUNT(*) FROM event a JOIN event b ON b.tag > a.tag"
			    " AND substr(b.tag, 1, length(b.tag) - 4) = substr(a.tag, 1, length(a.tag) - 4)"
			    " AND b.number < a.number"),
	       0, "in the order in which each thread made them");
	is_int(number_of(m, "SELECT COUNT(*) FROM event WHERE CAST(substr(tag, -3) AS INTEGER) % 7 = 3"), 0,
	       "nothing of those that failed");
	meta_close(m);
}

/* ---- A batch that loses its transaction ---- */

struct batch {
	struct meta *meta;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int waiting;		/* guarded by lock */
	pid_t queued[4];	/* guarded by lock: threads on their way into the queue */
	bool led;		/* guarded by lock: the first has the lead */
	bool end_transaction;
	int results[4];
};

struct member {
	struct batch *batch;
	int number;
};

/* Whether a thread sleeps: after its last unlock that is in meta_write(), with its change queued. */
static bool is_asleep(pid_t thread)
{
	char path[64], line[256] = "";
	const char *behind;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	f = fopen(path, "r");
	if (!f)
		return true;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	behind = strrchr(line, ')');
	return behind && behind[1] == ' ' && behind[2] == 'S';
}

static int member_change(struct db *db, void *arg, struct err *err)
{
	struct member *m = arg;
	struct batch *b = m->batch;
	char tag[16];
	struct step s = { tag, false };

	snprintf(tag, sizeof(tag), "member-%d", m->number);
	/* The first holds the lead until the others are in the queue. */
	pthread_mutex_lock(&b->lock);
	b->led = true;
	pthread_cond_broadcast(&b->changed);
	while (!m->number && b->waiting < 3)
		pthread_cond_wait(&b->changed, &b->lock);
	pthread_mutex_unlock(&b->lock);
	for (int i = 1; !m->number && i < 4; i++)
		while (!is_asleep(b->queued[i]))
			sched_yield();
	if (m->number == 2) {
		if (b->end_transaction)
			db_rollback(db);
		return err_set(err, ERR_ARGUMENT, "the second fails");
	}
	return add_one(db, &s, err);
}

static void *member_main(void *arg)
{
	struct member *m = arg;
	struct batch *b = m->batch;

	pthread_mutex_lock(&b->lock);
	while (m->number && !b->led)
		pthread_cond_wait(&b->changed, &b->lock);
	b->queued[m->number] = gettid();
	b->waiting += m->number > 0;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	b->results[m->number] = meta_write(b->meta, true, member_change, m, NULL);
	return NULL;
}

/* Nobody hears of success whose change went with the transaction. */
static void test_batch(struct meta *meta, bool end_transaction)
{
	struct batch b = { .meta = meta, .end_transaction = end_transaction };
	struct member members[4];
	pthread_t threads[4];
	int good = 0;

	is_int(write_sql(meta, "DELETE FROM event", NULL), 0, "no events");
	pthread_mutex_init(&b.lock, NULL);
	pthread_cond_init(&b.changed, NULL);
	for (int i = 0; i < 4; i++) {
		members[i] = (struct member){ &b, i };
		pthread_create(&threads[i], NULL, member_main, &members[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 4; i++)
		good += b.results[i] == 0;
	is_int(b.results[2], -EINVAL, "the second of a batch fails");
	is_int(b.results[0], 0, "the one before succeeded");
	is_int(number_of(meta, "SELECT COUNT(*) FROM event"), good, "%d of 4 succeeded and are there", good);
	is_int(number_of(meta, "SELECT COUNT(*) FROM event WHERE tag = 'member-2'"), 0, "not the second");
	is_int(write_sql(meta, "DELETE FROM event", NULL), 0, "writing goes on");
	pthread_mutex_destroy(&b.lock);
	pthread_cond_destroy(&b.changed);
}

/* ---- The lead is handed on ---- */

#define CHAIN 12	/* changes, each queued while the one before it runs */
#define ROUNDS 4	/* meta.c's */

struct chain {
	struct meta *meta;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int running;		/* guarded by lock: the last change that began to run */
	pid_t queued[CHAIN];	/* guarded by lock: threads on their way into the queue */
	pid_t ran_in[CHAIN];	/* the thread that ran each change */
};

struct link {
	struct chain *chain;
	int number;
};

/* Lasts until the next is in the queue, so that whoever leads finds another batch. */
static int link_change(struct db *db, void *arg, struct err *err)
{
	struct link *l = arg;
	struct chain *c = l->chain;
	pid_t next = 0;

	(void)db;
	(void)err;
	c->ran_in[l->number] = gettid();
	pthread_mutex_lock(&c->lock);
	c->running = l->number;
	pthread_cond_broadcast(&c->changed);
	while (l->number + 1 < CHAIN && !(next = c->queued[l->number + 1]))
		pthread_cond_wait(&c->changed, &c->lock);
	pthread_mutex_unlock(&c->lock);
	while (next && !is_asleep(next))
		sched_yield();
	return 0;
}

static void *link_main(void *arg)
{
	struct link *l = arg;
	struct chain *c = l->chain;

	pthread_mutex_lock(&c->lock);
	while (c->running < l->number - 1)
		pthread_cond_wait(&c->changed, &c->lock);
	c->queued[l->number] = gettid();
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return meta_write(c->meta, false, link_change, l, NULL) ? arg : NULL;
}

/* Who leads runs the batches of others, but not for ever. */
static void test_rounds(struct meta *meta)
{
	struct chain c = { .meta = meta, .running = -1 };
	struct link links[CHAIN];
	pthread_t threads[CHAIN];

	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.changed, NULL);
	for (int i = 0; i < CHAIN; i++) {
		links[i] = (struct link){ &c, i };
		pthread_create(&threads[i], NULL, link_main, &links[i]);
	}
	for (int i = 0; i < CHAIN; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ok(!failed, "change %d of a chain", i);
	}
	for (int i = 0; i < CHAIN; i++)
		is_int(c.ran_in[i], c.queued[i / ROUNDS * ROUNDS], "change %d was run by the thread of %d", i,
		       i / ROUNDS * ROUNDS);
	pthread_mutex_destroy(&c.lock);
	pthread_cond_destroy(&c.changed);
}

/* ---- The mark ---- */

static bool mark_moved(const struct meta *m, struct db_mark *mark)
{
	struct db_mark now = { { 0 } };
	bool moved;

	if (!meta_mark(m, &now))
		printf("# no mark\n");
	moved = memcmp(&now, mark, sizeof(now)) != 0;
	*mark = now;
	return moved;
}

static void test_mark(const char *dir)
{
	auto_free char *path = scratch_path(dir, "mark.db");
	struct meta *m, *other;
	struct db_mark mark;
	struct err err = ERR_INIT;
	int moved = 0, still = 0;
	pid_t pid;

	is_int(meta_open(path, true, &m, NULL) + meta_open(path, false, &other, NULL), 0, "opened twice");
	ok(meta_mark(m, &mark), "it can be marked");
	for (int i = 0; i < 100; i++) {
		ok(i > 0 || number_of(m, "SELECT COUNT(*) FROM tag") == 0, "reading");
		still += !mark_moved(m, &mark);
	}
	is_int(still, 100, "doesn't move the mark");
	/* Over more than one checkpoint and restart of the log. */
	for (int i = 0; i < 300; i++) {
		(void)!write_sql(i % 2 ? m : other, "UPDATE counter SET value = value + 1", &err);
		moved += mark_moved(m, &mark);
		if (i % 100 == 50)
			(void)!write_sql(m, "CREATE TABLE big AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
					    " SELECT i + 1 FROM n WHERE i < 3000)"
					    " SELECT i, randomblob(1000) b FROM n",
					 &err);
		if (i % 100 == 60)
			(void)!write_sql(m, "DROP TABLE big", &err);
		ok(!(i % 10 == 0 && i % 100 >= 50 && i % 100 <= 60) || mark_moved(m, &mark), "large change");
	}
	is_int(moved, 300, "each commit of this connection and of another moves it %s", err.text);
	meta_close(other);
	is_int(mark_moved(m, &mark), 0, "closing doesn't");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int r = meta_open(path, false, &other, NULL);

		r = r ? r : write_sql(other, "UPDATE counter SET value = value + 1", NULL);
		meta_close(other);
		_exit(r != 0);
	}
	ok(all_well(&pid, 1), "another process commits");
	ok(mark_moved(m, &mark), "it moved");
	ok(!mark_moved(m, &mark), "once");
	is_int(write_sql(m, "nonsense", NULL), -EIO, "what fails");
	ok(!mark_moved(m, &mark), "doesn't move it");
	meta_close(m);
}

/* ---- Reading beside writing ---- */

static void test_snapshot(struct meta *m)
{
	struct db *db;
	int64_t before = 0, after = 0;

	is_int(meta_read_begin(m, &db, NULL), 0, "a reader");
	is_int(db_begin_read(db, NULL), 0, "that wants one state");
	is_int(db_get_int(db, &before, NULL, "SELECT COUNT(*) FROM numbers", ""), 1, "reads");
	is_int(write_sql(m, "INSERT INTO numbers(value) VALUES (50)", NULL), 0, "a writer doesn't wait for it");
	is_int(db_get_int(db, &after, NULL, "SELECT COUNT(*) FROM numbers", ""), 1, "reads again");
	is_int(after, before, "the same");
	meta_read_end(m, db);
	is_int(number_of(m, "SELECT COUNT(*) FROM numbers"), before + 1, "the next one sees the change");
}

/* New connections, more than are kept, are to be had while somebody writes. */
static void test_open_beside(const char *dir)
{
	auto_free char *path = scratch_path(dir, "beside.db");
	struct meta *m;
	struct db *writer = NULL, *readers[10] = { NULL };
	struct err err = ERR_INIT;
	int r = 0;

	is_int(meta_open(path, true, &m, NULL), 0, "a database");
	is_int(db_open(path, false, &writer, NULL), 0, "a connection");
	is_int(db_begin_write(writer, true, NULL), 0, "in a write transaction");
	for (size_t i = 0; !r && i < ARRAY_SIZE(readers); i++)
		r = meta_read_begin(m, &readers[i], &err);
	is_int(r, 0, "takes no lock that a reader needs %s", err.text);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		if (readers[i])
			meta_read_end(m, readers[i]);
	db_close(writer);
	meta_close(m);
}

/* ---- Repositories ---- */

static int make_repos(struct db *db, void *arg, struct err *err)
{
	static const char *const names[] = { "a/b/c", "a", "a/b/d", "x/y" };
	int64_t *ids = arg;
	struct repo_row row;
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(names); i++) {
		r = repo_ensure(db, names[i], 5, &row, err);
		ids[i] = row.id;
	}
	return r ? r : repo_set_on_purpose(db, ids[1], true, err);
}

static int settle(struct db *db, void *arg, struct err *err)
{
	return repo_settle(db, *(int64_t *)arg, err);
}

static int off_purpose(struct db *db, void *arg, struct err *err)
{
	return repo_set_on_purpose(db, *(int64_t *)arg, false, err);
}

static void test_repos(struct meta *m)
{
	int64_t ids[4] = { 0 };

	is_int(meta_write(m, false, make_repos, ids, NULL), 0, "repositories");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository"), 6, "with the namespaces above");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE is_repository = 1"), 4, "which are none");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository c JOIN repository p ON p.id = c.parent_id"
			    " WHERE c.name = p.name || '/' || c.component"),
	       4, "each below its own");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE listed = 1"), 1, "one is listed");
	is_int(meta_write(m, false, settle, &ids[0], NULL), 0, "the empty one is settled");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE name = 'a/b/c'"), 0, "it is gone");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE name = 'a/b'"), 1, "not what another needs");
	is_int(meta_write(m, false, settle, &ids[2], NULL), 0, "the other one");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE name LIKE 'a/%'"), 0, "all is gone");
	is_int(number_of(m, "SELECT listed FROM repository WHERE name = 'a'"), 1,
	       "up to what was made on purpose");
	is_int(meta_write(m, false, off_purpose, &ids[1], NULL), 0, "which it isn't any more");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository WHERE name = 'a'"), 0, "gone");
	is_int(meta_write(m, false, settle, &ids[3], NULL), 0, "and the last");
	is_int(number_of(m, "SELECT COUNT(*) FROM repository"), 0, "nothing is left");
	is_int(meta_write(m, false, settle, &ids[3], NULL), 0, "settling what is gone");
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *path = NULL;
	struct meta *m;

	if (!scratch_make(&tmp))
		return 1;
	alarm(240);
	test_schema(tmp.dir);
	test_upgrade(tmp.dir);
	test_schema_1(tmp.dir);
	test_schema_2(tmp.dir);
	test_schema_4(tmp.dir);
	test_first_entries(tmp.dir);
	test_history_clock(tmp.dir);
	test_race(tmp.dir);
	path = scratch_path(tmp.dir, "shared.db");
	if (!is_int(meta_open(path, true, &m, NULL), 0, "a database"))
		return 1;
	test_statements(m);
	test_digest(m, DIGEST_SHA256);
	test_digest(m, DIGEST_SHA512);
	test_digest(m, DIGEST_NONE);
	test_references(m);
	test_snapshot(m);
	test_batch(m, false);
	test_batch(m, true);
	test_rounds(m);
	test_repos(m);
	meta_close(m);
	test_writers(tmp.dir);
	test_open_beside(tmp.dir);
	test_mark(tmp.dir);
	return done_testing();
}
