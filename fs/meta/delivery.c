/* delivery.c: rows of the tables `delivery` and `attempt`. */
#include "fs/base/base.h"
#include "fs/meta/delivery.h"

#include "fs/meta/rows.h"

static const char *const states[DELIVERY_STATES] = {
	[DELIVERY_WAITING] = "waiting",
	[DELIVERY_DONE] = "done",
	[DELIVERY_FAILED] = "failed",
	[DELIVERY_UNTRIGGERED] = "untriggered",
};

const char *delivery_state_name(enum delivery_state state)
{
	return states[state];
}

#define SELECT_ATTEMPT	"SELECT id, delivery_id, at, latency, status, why, request, response FROM attempt "
#define SELECT_DELIVERY "SELECT id, hook_id, event, state, due, attempts, first, at, number FROM delivery "

static void read_delivery(struct query *q, struct delivery_row *out)
{
	*out = (struct delivery_row){
		.id = query_int(q, 0),
		.hook_id = query_int(q, 1),
		.event = query_int(q, 2),
		.state = (enum delivery_state)query_int(q, 3),
		.due = query_int(q, 4),
		.attempts = query_int(q, 5),
		.first = query_int(q, 6),
		.at = query_int(q, 7),
		.number = query_int(q, 8),
	};
}

static void read_attempt(struct query *q, struct attempt_row *out)
{
	*out = (struct attempt_row){
		.id = query_int(q, 0),
		.delivery_id = query_int(q, 1),
		.at = query_int(q, 2),
		.latency = query_int(q, 3),
		.status = (int)query_int(q, 4),
		.why = query_text(q, 5),
		.request = query_text(q, 6),
		.response = query_text(q, 7),
	};
}

DEFINE_ROWS(delivery, struct delivery_row, read_delivery)
DEFINE_ROWS(attempt, struct attempt_row, read_attempt)

/* ---- Reading ---- */

int delivery_planned(struct db *db, int64_t *event, struct err *err)
{
	int r = db_get_int(db, event, err, "SELECT value FROM counter WHERE name = 'delivery'", "");

	return MIN(r, 0);
}

int delivery_next_hook(struct db *db, int64_t after, struct due_hook *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 "SELECT d.hook_id, d.due, h.changed FROM delivery d JOIN hook h ON h.id = d.hook_id"
			 " WHERE d.due IS NOT NULL AND d.hook_id > ? ORDER BY d.hook_id, d.due, d.event LIMIT 1",
			 "i", after);

	if (!r)
		r = query_step(q, err);
	if (r > 0) {
		out->id = query_int(q, 0);
		out->due = query_int(q, 1);
		out->changed = query_int(q, 2);
	}
	return r;
}

int delivery_due(struct db *db, int64_t hook_id, int64_t now, int64_t most, delivery_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_DELIVERY "WHERE hook_id = ? AND due IS NOT NULL AND due <= ? ORDER BY due, event LIMIT ?", "iii",
			 hook_id, now, most);

	return r ? r : each_delivery(q, fn, arg, err);
}

int delivery_any_later(struct db *db, int64_t after, struct err *err)
{
	int64_t one;

	return db_get_int(db, &one, err, "SELECT 1 FROM delivery WHERE due IS NOT NULL AND due > ? LIMIT 1", "i", after);
}

int delivery_by_id(struct db *db, int64_t id, struct delivery_row *out, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_DELIVERY "WHERE id = ?", "i", id);

	return r ? r : one_delivery(q, out, err);
}

int delivery_list(struct db *db, int64_t hook_id, int64_t before, int64_t most, delivery_row_fn *fn, void *arg,
		  struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err,
			 SELECT_DELIVERY "WHERE hook_id = ?1 AND (?2 = 0 OR event < ?2) ORDER BY event DESC LIMIT ?3", "iii",
			 hook_id, before, most);

	return r ? r : each_delivery(q, fn, arg, err);
}

int delivery_attempts(struct db *db, int64_t delivery_id, attempt_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ATTEMPT "WHERE delivery_id = ? ORDER BY id", "i", delivery_id);

	return r ? r : each_attempt(q, fn, arg, err);
}

int delivery_last_attempt(struct db *db, int64_t delivery_id, attempt_row_fn *fn, void *arg, struct err *err)
{
	auto_query struct query *q = NULL;
	int r = db_query(db, &q, err, SELECT_ATTEMPT "WHERE delivery_id = ? ORDER BY id DESC LIMIT 1", "i", delivery_id);

	return r ? r : each_attempt(q, fn, arg, err);
}

/* ---- Writing ---- */

static int done(int64_t n)
{
	return n < 0 ? (int)n : 0;
}

int delivery_plan(struct db *db, int64_t event, struct err *err)
{
	return done(db_run(db, err, "UPDATE counter SET value = ? WHERE name = 'delivery'", "i", event));
}

static int is_there(struct db *db, int64_t hook_id, int64_t event, struct err *err)
{
	int64_t one;

	return db_get_int(db, &one, err, "SELECT 1 FROM delivery WHERE hook_id = ? AND event = ?", "ii", hook_id, event);
}

int delivery_add(struct db *db, int64_t hook_id, int64_t event, const char *lane, enum delivery_state state, int64_t now,
		 struct err *err)
{
	int64_t number = 0;
	int r = is_there(db, hook_id, event, err);

	if (r)
		return MIN(r, 0);
	if (state == DELIVERY_WAITING)
		r = MIN(0, db_get_int(db, &number, err, "UPDATE hook SET told = told + 1 WHERE id = ? RETURNING told", "i", hook_id));
	return r ? r : done(db_run(db, err,
				   "INSERT INTO delivery(hook_id, event, number, lane, state, due, attempts, first, at)"
				   " SELECT ?1, ?2, ?3, ?4, ?5, CASE WHEN ?5 = 0 AND NOT EXISTS"
				   " (SELECT 1 FROM delivery WHERE hook_id = ?1 AND lane = ?4 AND state = 0) THEN ?6 END, 0, 0, ?6",
				   "iiisii", hook_id, event, number, lane, (int64_t)state, now));
}

int delivery_later(struct db *db, int64_t id, int64_t due, int64_t now, struct err *err)
{
	return done(db_run(db, err,
			   "UPDATE delivery SET due = ?2, attempts = attempts + 1,"
			   " first = CASE WHEN first = 0 THEN ?3 ELSE first END WHERE id = ?1 AND state = 0",
			   "iii", id, due, now));
}

/* The first of the lane that a delivery is in and that still waits is due now. */
static int release_lane(struct db *db, int64_t id, int64_t now, struct err *err)
{
	return done(db_run(db, err,
			   "UPDATE delivery SET due = ?2 WHERE due IS NULL AND id ="
			   " (SELECT n.id FROM delivery d JOIN delivery n ON n.hook_id = d.hook_id AND n.lane = d.lane AND n.state = 0"
			   " WHERE d.id = ?1 ORDER BY n.event LIMIT 1)",
			   "ii", id, now));
}

int delivery_end(struct db *db, int64_t id, enum delivery_state state, bool tried, int64_t now, struct err *err)
{
	int64_t n = db_run(db, err,
			   "UPDATE delivery SET state = ?2, due = NULL, at = ?3, attempts = attempts + ?4,"
			   " first = CASE WHEN first = 0 AND ?4 THEN ?3 ELSE first END WHERE id = ?1 AND state = 0",
			   "iiii", id, (int64_t)state, now, (int64_t)tried);

	return n <= 0 ? (int)n : release_lane(db, id, now, err);
}

/* By lanes: the index has them. Of a lane that is left over the first one is due, so that it is found again. */
int delivery_fail_some(struct db *db, int64_t hook_id, int64_t most, int64_t now, struct err *err)
{
	int r = done(db_run(db, err,
			    "UPDATE delivery SET state = ?2, due = NULL, at = ?3 WHERE id IN (SELECT id FROM delivery"
			    " WHERE hook_id = ?1 AND state = 0 ORDER BY lane, event LIMIT ?4)",
			    "iiii", hook_id, (int64_t)DELIVERY_FAILED, now, most));

	return r ? r :
		   done(db_run(db, err,
			       "UPDATE delivery SET due = ?2 WHERE id = (SELECT id FROM delivery WHERE hook_id = ?1 AND state = 0"
			       " ORDER BY lane, event LIMIT 1)",
			       "ii", hook_id, now));
}

int delivery_hurry(struct db *db, int64_t hook_id, int64_t most, int64_t now, struct err *err)
{
	return done(db_run(db, err,
			   "UPDATE delivery SET due = ?3 WHERE id IN (SELECT id FROM delivery WHERE hook_id = ?1"
			   " AND due IS NOT NULL AND due > ?3 ORDER BY due, event LIMIT ?2)",
			   "iii", hook_id, most, now));
}

int delivery_advance(struct db *db, int64_t by, int64_t after, int64_t now, struct err *err)
{
	return done(db_run(db, err,
			   "UPDATE delivery SET due = CASE WHEN due - ?1 > ?3 THEN due - ?1 ELSE ?3 END"
			   " WHERE due IS NOT NULL AND due > ?2",
			   "iii", by, after, now));
}

int delivery_shift(struct db *db, int64_t by, struct err *err)
{
	return done(db_run(db, err, "UPDATE delivery SET first = MAX(first + ?1, 1) WHERE due IS NOT NULL AND first > 0", "i", by));
}

int delivery_again(struct db *db, int64_t id, int64_t now, struct err *err)
{
	/* No repository's name begins with a slash. */
	return done(db_run(db, err,
			   "UPDATE delivery SET state = 0, due = ?2, at = ?2, first = 0, lane = '/' || event"
			   " WHERE id = ?1 AND state <> 0",
			   "ii", id, now));
}

int attempt_add(struct db *db, const struct attempt_row *a, struct err *err)
{
	return done(db_run(db, err,
			   "INSERT INTO attempt(delivery_id, at, latency, status, why, request, response)"
			   " VALUES (?, ?, ?, ?, ?, ?, ?)",
			   "iiiisss", a->delivery_id, a->at, a->latency, (int64_t)a->status, a->why, a->request, a->response));
}

int delivery_trim(struct db *db, int64_t before, int64_t most, int64_t *taken, struct err *err)
{
	int r = done(db_run(db, err,
			    "DELETE FROM attempt WHERE delivery_id IN"
			    " (SELECT id FROM delivery WHERE state <> 0 AND at < ? ORDER BY at LIMIT ?)",
			    "ii", before, most));

	if (r)
		return r;
	*taken = db_run(db, err,
			"DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE state <> 0 AND at < ? ORDER BY at LIMIT ?)",
			"ii", before, most);
	return (int)MIN(*taken, 0);
}
