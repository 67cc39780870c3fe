/*
 * audit.c: rows of the table `audit`, and how a line is written.
 *
 *	{"at":"2026-11-25T18:07:00.123Z","action":"push","result":"ok","who":"alice","kind":"user","token":"laptop",
 *	 "from":"192.0.2.1","repository":"shop/web","tag":"1.0","digest":"sha256:..."}
 *
 * in one line, without the members that don't apply; besides these, about, reason and times. A line is written once, with
 * its row, and never made again: later versions may write others.
 */
#include "fs/base/base.h"
#include "fs/meta/audit.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

static const char *const results[AUDIT_RESULTS] = {
	[AUDIT_OK] = "ok",
	[AUDIT_DENIED] = "denied",
	[AUDIT_FAILED] = "failed",
};

const char *audit_result_name(enum audit_result result)
{
	return results[result];
}

enum audit_result audit_result_parse(const char *name)
{
	int i = 0;

	while (i < AUDIT_RESULTS && !streq(results[i], name))
		i++;
	return (enum audit_result)i;
}

/* ---- Adding ---- */

static void add_text(struct buf *b, const char *key, const char *text)
{
	if (!text || !*text)
		return;
	json_add_key(b, key);
	json_add_string(b, text);
}

static void add_time(struct buf *b, int64_t at)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	timestamp_format(at, text);
	buf_addf(b, "\"at\":\"%.*s.%03dZ\"", (int)strcspn(text, "Z"), text, (int)(at / 1000000 % 1000));
}

/* A token's name as it is now; one that is gone has its row's number. */
static int token_name(struct db *db, int64_t id, struct buf *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT name FROM token WHERE id = ?", "i", id);

	if (!r)
		r = query_step(q, err);
	if (r > 0)
		buf_adds(out, query_text(q, 0));
	if (!r)
		buf_addf(out, "#%" PRId64, id);
	return MIN(r, 0);
}

static void write_line(const struct audit_row *row, const char *token, struct buf *b)
{
	char digest[DIGEST_TEXT_MAX + 1] = "";

	if (row->digest && row->digest->algorithm != DIGEST_NONE)
		digest_format(row->digest, digest);
	buf_addc(b, '{');
	add_time(b, row->at);
	add_text(b, "action", row->action);
	add_text(b, "result", results[row->result]);
	add_text(b, "who", row->who);
	add_text(b, "kind", row->kind);
	add_text(b, "token", token);
	add_text(b, "from", row->origin);
	add_text(b, "repository", row->repository);
	add_text(b, "tag", row->tag);
	add_text(b, "digest", digest);
	add_text(b, "about", row->about);
	add_text(b, "reason", row->reason);
	if (row->times > 1)
		buf_addf(b, ",\"times\":%" PRId64, row->times);
	buf_addc(b, '}');
}

int audit_add(struct db *db, const struct audit_row *row, struct err *err)
{
	auto_buf struct buf line = BUF_INIT, token = BUF_INIT;
	const char *repository = row->repository && *row->repository ? row->repository : NULL;
	int64_t number = 0, size, n;
	int r = row->token ? token_name(db, row->token, &token, err) : 0;

	if (r)
		return r;
	write_line(row, token.data, &line);
	if (buf_error(&line) || buf_error(&token))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	size = (int64_t)line.len + 1;
	r = db_get_int(db, &number, err,
		       "UPDATE counter SET value = value + ? WHERE name = 'audit' RETURNING value", "i", size);
	if (r < 0)
		return r;
	n = db_run(db, err,
		   "INSERT INTO audit(number, size, at, action, result, who, repository, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		   "iiisisss", number, size, row->at, row->action, (int64_t)row->result, row->who, repository, line.data);
	return (int)MIN(n, INT64_C(0));
}

/* ---- Removing ---- */

int audit_trim(struct db *db, int64_t before, int64_t most, int64_t *removed, struct err *err)
{
	auto_query struct query *q = NULL;
	int64_t number = 0, n;
	int r = db_query(db, &q, err, "SELECT number, at FROM audit ORDER BY number LIMIT ?", "i", most);

	while (!r && (r = query_step(q, err)) > 0 && query_int(q, 1) < before) {
		number = query_int(q, 0);
		r = 0;
	}
	if (r < 0)
		return r;
	n = db_run(db, err, "DELETE FROM audit WHERE number <= ?", "i", number);
	*removed = MAX(n, INT64_C(0));
	return (int)MIN(n, INT64_C(0));
}

/* ---- Reading ---- */

int audit_span(struct db *db, int64_t *first, int64_t *end, struct err *err)
{
	int r = db_get_int(db, end, err, "SELECT value FROM counter WHERE name = 'audit'", "");

	*first = *end;
	if (r >= 0)
		r = db_get_int(db, first, err, "SELECT number - size FROM audit ORDER BY number LIMIT 1", "");
	return MIN(r, 0);
}

int audit_last(struct db *db, int64_t *at, struct err *err)
{
	return db_get_int(db, at, err, "SELECT at FROM audit ORDER BY number DESC LIMIT 1", "");
}

/* Columns: line, size, number. */
static int each_line(struct query *q, audit_line_fn *fn, void *arg, struct err *err)
{
	int r;

	while ((r = query_step(q, err)) > 0) {
		r = fn(arg, query_text(q, 0), query_int(q, 1), query_int(q, 2));
		if (r)
			return r;
	}
	return r;
}

int audit_lines(struct db *db, int64_t after, audit_line_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, "SELECT line, size, number FROM audit WHERE number > ? ORDER BY number", "i", after);

	return r ? r : each_line(q, fn, arg, err);
}

/* What a list goes by: a person, a repository, or the time alone, each with an index in this order. */
#define SAME " AND (? IS NULL OR who = ?) AND (? IS NULL OR repository = ?) AND (? IS NULL OR action = ?)" \
	     " AND (? = 3 OR result = ?)"
#define RANGE "at >= ? AND at < ?" SAME
#define LIST(by) "SELECT line, size, number FROM audit WHERE " by RANGE " AND (at > ? OR number >= ?) ORDER BY at, number"
#define BACK(by) "SELECT at, number FROM audit WHERE " by RANGE " ORDER BY at DESC, number DESC LIMIT 1 OFFSET ?"

_Static_assert(AUDIT_RESULTS == 3, "as SAME has it");

enum by {
	BY_TIME,
	BY_WHO,
	BY_REPOSITORY,
};

static const struct {
	const char *list, *back;
} orders[] = {
	[BY_TIME] = { LIST(""), BACK("") },
	[BY_WHO] = { LIST("who = ? AND "), BACK("who = ? AND ") },
	[BY_REPOSITORY] = { LIST("repository = ? AND "), BACK("repository = ? AND ") },
};

#define SAME_TYPES "ssssssii"
#define SAME_VALUES(f)                                                                                       \
	(f)->who, (f)->who, (f)->repository, (f)->repository, (f)->action, (f)->action, (int64_t)(f)->result, \
		(int64_t)(f)->result

/* Moves the beginning to the first of the last rows: 1, or 0 where there are fewer. */
static int go_back(struct db *db, const struct audit_filter *f, enum by by, const char *key, int64_t *at, int64_t *number,
		   struct err *err)
{
	auto_query struct query *q = NULL;
	int r = by == BY_TIME ? db_query(db, &q, err, orders[by].back, "ii" SAME_TYPES "i", f->since, f->until, SAME_VALUES(f),
					 f->last - 1) :
				db_query(db, &q, err, orders[by].back, "sii" SAME_TYPES "i", key, f->since, f->until,
					 SAME_VALUES(f), f->last - 1);

	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		*at = query_int(q, 0);
		*number = query_int(q, 1);
	}
	return r;
}

int audit_list(struct db *db, const struct audit_filter *f, audit_line_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	enum by by = f->who ? BY_WHO : f->repository ? BY_REPOSITORY : BY_TIME;
	const char *key = f->who ? f->who : f->repository;
	int64_t at = f->since, number = 0;
	int r = f->last > 0 ? go_back(db, f, by, key, &at, &number, err) : 0;

	if (r < 0)
		return r;
	r = by == BY_TIME ? db_query(db, &q, err, orders[by].list, "ii" SAME_TYPES "ii", at, f->until, SAME_VALUES(f), at,
				     number) :
			    db_query(db, &q, err, orders[by].list, "sii" SAME_TYPES "ii", key, at, f->until, SAME_VALUES(f), at,
				     number);
	return r ? r : each_line(q, fn, arg, err);
}
