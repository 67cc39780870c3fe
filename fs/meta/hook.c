/* hook.c: rows of the table `hook`. */
#include "fs/base/base.h"
#include "fs/meta/hook.h"

#include "fs/meta/rows.h"

#define SELECT_HOOK                                                                            \
	"SELECT id, pattern, name, kinds, tags, url, program, format, headers, ca, secret,"    \
	" old_secret, parallel, paused, disabled, since, created, changed, who FROM hook "

static void read_row(struct query *q, struct hook_row *out)
{
	*out = (struct hook_row){
		.id = query_int(q, 0),
		.pattern = query_text(q, 1),
		.name = query_text(q, 2),
		.kinds = query_text(q, 3),
		.tags = query_text(q, 4),
		.url = query_text(q, 5),
		.program = query_text(q, 6),
		.format = query_text(q, 7),
		.headers = query_text(q, 8),
		.ca = query_text(q, 9),
		.secret = query_text(q, 10),
		.old_secret = query_text(q, 11),
		.parallel = query_int(q, 12),
		.paused = query_int(q, 13),
		.disabled = query_text(q, 14),
		.since = query_int(q, 15),
		.created = query_int(q, 16),
		.changed = query_int(q, 17),
		.who = query_text(q, 18),
	};
}

DEFINE_ROWS(row, struct hook_row, read_row)

int hook_by_id(struct db *db, int64_t id, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_HOOK "WHERE id = ?", "i", id);

	return r ? r : each_row(q, fn, arg, err);
}

int hook_by_name(struct db *db, const char *pattern, const char *name, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_HOOK "WHERE pattern = ? AND name = ?", "ss", pattern, name);

	return r ? r : each_row(q, fn, arg, err);
}

int hook_list(struct db *db, const char *pattern, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = pattern ? db_query(db, &q, err, SELECT_HOOK "WHERE pattern = ? ORDER BY name", "s", pattern) :
			  db_query(db, &q, err, SELECT_HOOK "ORDER BY pattern, name", "");

	return r ? r : each_row(q, fn, arg, err);
}

int hook_list_behind(struct db *db, const char *pattern, int64_t after, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_HOOK "WHERE pattern = ? AND id > ? ORDER BY id", "si", pattern, after);

	return r ? r : each_row(q, fn, arg, err);
}

int hook_candidates(struct db *db, const char *repo, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT id, pattern, name, kinds, tags, '', program, format, '', '', '', '', parallel, paused, disabled,"
			 " since, created, changed, who FROM hook WHERE pattern = ? OR is_name = 0", "s", repo);

	return r ? r : each_row(q, fn, arg, err);
}

int hook_any(struct db *db, struct err *err)
{
	int64_t one;

	return db_get_int(db, &one, err, "SELECT 1 FROM hook LIMIT 1", "");
}

static int add_hook(struct db *db, const struct hook_row *h, bool is_name, int64_t *id, struct err *err)
{
	int r = db_get_int(db, id, err,
			   "INSERT INTO hook(pattern, is_name, name, kinds, tags, url, program, format, headers, ca, secret,"
			   " old_secret, parallel, paused, disabled, since, created, changed, who)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
			   "sissssssssssiisiiis", h->pattern, (int64_t)is_name, h->name, h->kinds, h->tags, h->url, h->program,
			   h->format, h->headers, h->ca, h->secret, h->old_secret, (int64_t)h->parallel, (int64_t)h->paused,
			   h->disabled, h->since, h->created, h->changed, h->who);

	return MIN(r, 0);
}

int hook_put(struct db *db, const struct hook_row *h, bool is_name, int64_t *id, struct err *err)
{
	int64_t n;

	if (!h->id)
		return add_hook(db, h, is_name, id, err);
	*id = h->id;
	n = db_run(db, err,
		   "UPDATE hook SET name = ?, kinds = ?, tags = ?, url = ?, program = ?, format = ?, headers = ?, ca = ?,"
		   " secret = ?, old_secret = ?, parallel = ?, paused = ?, disabled = ?, changed = ? WHERE id = ?",
		   "ssssssssssiisii", h->name, h->kinds, h->tags, h->url, h->program, h->format, h->headers, h->ca, h->secret,
		   h->old_secret, (int64_t)h->parallel, (int64_t)h->paused, h->disabled, h->changed, h->id);
	return n < 0 ? (int)n : 0;
}

int hook_disable(struct db *db, int64_t id, int64_t changed, const char *why, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE hook SET disabled = ?, changed = ? WHERE id = ? AND changed = ?", "siii", why, now, id,
			   changed);

	return n < 0 ? (int)n : 0;
}

/* No pattern begins with a slash. */
int hook_retire(struct db *db, int64_t id, struct err *err)
{
	int64_t n = db_run(db, err, "UPDATE hook SET pattern = '/' || id, is_name = 1 WHERE id = ?", "i", id);

	return n < 0 ? (int)n : 0;
}

bool hook_is_retired(const struct hook_row *row)
{
	return *row->pattern == '/';
}

#define OF_RETIRED "(SELECT id FROM delivery WHERE hook_id = ? ORDER BY event LIMIT ?)"

int hook_bury(struct db *db, int64_t most, int64_t *taken, struct err *err)
{
	int64_t id, n;
	int r = db_get_int(db, &id, err, "SELECT id FROM hook WHERE pattern >= '/' AND pattern < '0' LIMIT 1", "");

	*taken = 0;
	if (r <= 0)
		return r;
	n = db_run(db, err, "DELETE FROM attempt WHERE delivery_id IN " OF_RETIRED, "ii", id, most);
	if (n >= 0)
		n = db_run(db, err, "DELETE FROM delivery WHERE id IN " OF_RETIRED, "ii", id, most);
	*taken = MAX(n, 0);
	if (n >= 0 && n < most) {
		n = db_run(db, err, "DELETE FROM hook WHERE id = ?", "i", id);
		*taken += n > 0;
	}
	return n < 0 ? (int)n : 0;
}

/* ---- Copies ---- */

static const size_t texts[] = {
	offsetof(struct hook_row, pattern), offsetof(struct hook_row, name),	   offsetof(struct hook_row, kinds),
	offsetof(struct hook_row, tags),    offsetof(struct hook_row, url),	   offsetof(struct hook_row, program),
	offsetof(struct hook_row, format),  offsetof(struct hook_row, headers),	   offsetof(struct hook_row, ca),
	offsetof(struct hook_row, secret),  offsetof(struct hook_row, old_secret), offsetof(struct hook_row, disabled),
	offsetof(struct hook_row, who),
};

static const char **text_of(struct hook_row *row, size_t i)
{
	return (const char **)(void *)((char *)row + texts[i]);
}

int hook_copy(const struct hook_row *row, struct hook_copy *out, struct err *err)
{
	size_t size = 0;
	char *at;

	out->row = *row;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		size += strlen(*text_of(&out->row, i)) + 1;
	out->memory = at = malloc(size);
	if (!at)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const char **text = text_of(&out->row, i);
		size_t len = strlen(*text) + 1;

		memcpy(at, *text, len);
		*text = at;
		at += len;
	}
	return 0;
}

void hook_copy_release(struct hook_copy *c)
{
	free(c->memory);
	c->memory = NULL;
}
