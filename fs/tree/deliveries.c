/*
 * deliveries.c: see deliveries.h.
 *
 * Invariants:
 *  1. The rows of an event's deliveries and the number up to which events were planned are written in one transaction. An event
 *     is planned again after a crash at worst, and then finds its rows there.
 *  2. In a hook's lane, which is a repository unless the hook is parallel, one delivery at a time is due: the first one.
 */
#include "fs/base/base.h"
#include "fs/tree/deliveries.h"

#include "fs/auth/pattern.h"
#include "fs/auth/rule.h"
#include "fs/base/timestamp.h"
#include "fs/tree/hooks.h"
#include "fs/tree/state.h"

#define EVENTS_AT_ONCE	   256	/* planned in one transaction */
#define DELIVERIES_AT_ONCE 4096	/* likewise, unless one event alone has more */
#define TRIMMED_AT_ONCE	   2048
#define FAILED_AT_ONCE	   2048
#define PASSED_OVER	   4096	/* events that are for nobody, after which the place is written down */

/* ---- Which hooks an event is for ---- */

struct planning {
	struct db *db;		/* NULL: only looked whether there is anything to write */
	const struct event_row *event;
	int64_t last;		/* the last event that was looked at */
	int64_t now;
	int64_t rows;
	int error;
	struct err *err;
};

/* What is about no repository concerns who is told of all of them. */
static bool is_about(const struct hook_row *hook, const struct event *e)
{
	return *e->repository ? pattern_match(hook->pattern, e->repository) : streq(hook->pattern, "**");
}

static bool tag_fits(const struct hook_row *hook, const struct event *e)
{
	char rule[LIMIT_VALUE + 1];

	return !*hook->tags || (e->tag && rules_match(hook->tags, e->tag, rule));
}

/* Events that tell of hooks are for those only that are asked to try. */
static int plan_one(void *arg, const struct hook_row *hook)
{
	struct planning *p = arg;
	const struct event *e = &p->event->event;
	enum delivery_state state;
	char lane[LIMIT_NAME + 1];

	if (*hook->disabled || hook->since >= p->event->number || !hook_may_be_told(e->kind) || !is_about(hook, e) ||
	    !hook_is_about(hook->kinds, e->kind))
		return 0;
	p->rows++;
	if (!p->db)
		return 1;
	state = tag_fits(hook, e) ? DELIVERY_WAITING : DELIVERY_UNTRIGGERED;
	if (hook->parallel)
		snprintf(lane, sizeof(lane), "/%" PRId64, p->event->number);
	else
		snprintf(lane, sizeof(lane), "%s", e->repository);
	return delivery_add(p->db, hook->id, p->event->number, lane, state, p->now, p->err);
}

struct look {
	struct planning *planning;
	struct db *db;
};

static int plan_event(void *arg, const struct event_row *event)
{
	const struct look *l = arg;
	struct planning *p = l->planning;
	int r;

	if (p->rows >= DELIVERIES_AT_ONCE)
		return 1;
	p->event = event;
	r = hook_candidates(l->db, event->event.repository, plan_one, p, p->err);
	if (r)
		return r;
	p->last = event->number;
	return 0;
}

/* ---- Planning ---- */

struct plan {
	int64_t after, last;
};

static int write_plan(struct db *db, void *arg, struct err *err)
{
	struct plan *plan = arg;
	struct planning p = { .db = db, .last = plan->after, .now = timestamp_now(), .err = err };
	struct look look = { &p, db };
	int r = event_list(db, plan->after, EVENTS_AT_ONCE, plan_event, &look, err);

	plan->last = p.last;
	return r < 0 ? r : delivery_plan(db, p.last, err);
}

/* Reads on as long as there is nothing to write. *found: there is. */
static int pass_over(struct tree *tree, int64_t *seen, bool *found, bool *more, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct planning p = { .err = err };
	struct look look = { .planning = &p };
	int64_t last = 0, planned = 0;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r && !*seen)
		r = delivery_planned(rd.db, seen, err);
	if (!r)
		r = event_last(rd.db, &last, err);
	if (!r)
		r = hook_any(rd.db, err);
	if (r < 0)
		return r;
	p.last = *seen;
	look.db = rd.db;
	if (!r)		/* and those that come later aren't told of these */
		p.last = last;
	else
		r = event_list(rd.db, *seen, EVENTS_AT_ONCE, plan_event, &look, err);
	if (r >= 0)
		r = delivery_planned(rd.db, &planned, err);
	*seen = p.last;
	*found = p.rows > 0 || (r >= 0 && p.last - planned >= PASSED_OVER);
	*more = p.last < last;
	return MIN(r, 0);
}

int tree_deliveries_plan(struct tree *tree, int64_t *seen, bool *more, struct err *err)
{
	struct plan plan;
	bool found;
	int r = pass_over(tree, seen, &found, more, err);

	if (r || !found)
		return r;
	plan = (struct plan){ .after = *seen };
	r = meta_write(tree->meta, false, write_plan, &plan, err);
	if (r)
		return r;
	*seen = plan.last;
	*more = true;
	return 0;
}

/* ---- What is due ---- */

int tree_deliveries_hooks(struct tree *tree, tree_due_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct due_hook hook = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (r)
		return r;
	while ((r = delivery_next_hook(rd.db, hook.id, &hook, err)) > 0) {
		r = fn(arg, &hook);
		if (r)
			break;
	}
	return MIN(r, 0);
}

struct due {
	struct db *db;
	struct tree_delivery now;
	tree_delivery_fn *fn;
	void *arg;
	bool given;
	struct err *err;
};

/* What is known of the event's image. */
static int find_image(struct due *d, const struct event *e, struct image_row *out)
{
	struct repo_row repo;
	int r = *e->repository ? repo_by_name(d->db, e->repository, &repo, d->err) : 0;

	d->now.public = r > 0 && repo.public;
	d->now.created = r > 0 ? repo.created : 0;
	if (r > 0 && e->digest)
		r = image_by_digest(d->db, repo.id, e->digest, out, d->err);
	else
		r = MIN(r, 0);
	return r;
}

static int give_with_event(void *arg, const struct event_row *event)
{
	struct due *d = arg;
	struct image_row image;
	int r = find_image(d, &event->event, &image);

	if (r < 0)
		return r;
	d->given = true;
	d->now.event = event;
	if (r) {
		d->now.media_type = image.media_type;
		d->now.size = image.bytes;
	}
	return d->fn(d->arg, &d->now);
}

static int give_due(void *arg, const struct delivery_row *row)
{
	struct due *d = arg;
	int r;

	d->now = (struct tree_delivery){ .row = *row, .media_type = "" };
	d->given = false;
	r = event_by_number(d->db, row->event, give_with_event, d, d->err);
	return r || d->given ? r : d->fn(d->arg, &d->now);
}

int tree_deliveries_due(struct tree *tree, int64_t hook_id, int64_t now, int64_t most, tree_delivery_fn *fn, void *arg,
			struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct due d = { .fn = fn, .arg = arg, .err = err };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (r)
		return r;
	d.db = rd.db;
	return MIN(0, delivery_due(rd.db, hook_id, now, most, give_due, &d, err));
}

struct living {
	hook_row_fn *fn;
	void *arg;
};

static int give_living(void *arg, const struct hook_row *row)
{
	const struct living *l = arg;

	return hook_is_retired(row) ? 0 : l->fn(l->arg, row);
}

int tree_delivery_hook(struct tree *tree, int64_t hook_id, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct living living = { fn, arg };
	int r = tree_reader(tree, &rd, err);

	return r ? r : hook_by_id(rd.db, hook_id, give_living, &living, err);
}

/* ---- How it went ---- */

struct notes {
	const struct tree_attempt *attempts;
	size_t count;
	int64_t now;
};

static int note_one(struct db *db, const struct tree_attempt *a, int64_t now, struct err *err)
{
	struct delivery_row row;
	int r = delivery_by_id(db, a->row.delivery_id, &row, err);

	if (r <= 0)	/* with its hook, meanwhile */
		return r;
	r = attempt_add(db, &a->row, err);
	if (!r && a->state == DELIVERY_WAITING)
		r = delivery_later(db, row.id, a->due, now, err);
	else if (!r)
		r = delivery_end(db, row.id, a->state, true, now, err);
	return r || !a->disable ? r : hook_disable(db, a->hook_id, a->hook_changed, a->disable, now, err);
}

static int write_notes(struct db *db, void *arg, struct err *err)
{
	const struct notes *n = arg;
	int r = 0;

	for (size_t i = 0; !r && i < n->count; i++)
		r = note_one(db, &n->attempts[i], n->now, err);
	return r;
}

int tree_deliveries_note(struct tree *tree, const struct tree_attempt *attempts, size_t count, struct err *err)
{
	struct notes n = { attempts, count, timestamp_now() };

	return meta_write(tree->meta, false, write_notes, &n, err);
}

static int fail_some(struct db *db, void *arg, struct err *err)
{
	return delivery_fail_some(db, *(const int64_t *)arg, FAILED_AT_ONCE, timestamp_now(), err);
}

int tree_deliveries_fail(struct tree *tree, int64_t hook_id, struct err *err)
{
	return meta_write(tree->meta, false, fail_some, &hook_id, err);
}

struct advance {
	int64_t by, after;
};

static int advance(struct db *db, void *arg, struct err *err)
{
	const struct advance *a = arg;

	return delivery_advance(db, a->by, a->after, timestamp_now(), err);
}

int tree_deliveries_advance(struct tree *tree, int64_t by, int64_t after, struct err *err)
{
	struct advance a = { by, after };
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = delivery_any_later(rd.db, after, err);
	return r <= 0 ? r : meta_write(tree->meta, false, advance, &a, err);
}

static int shift(struct db *db, void *arg, struct err *err)
{
	return delivery_shift(db, *(const int64_t *)arg, err);
}

int tree_deliveries_shift(struct tree *tree, int64_t by, struct err *err)
{
	return meta_write(tree->meta, false, shift, &by, err);
}

struct trim {
	int64_t before;
	int64_t over, buried;
};

static int trim_some(struct db *db, void *arg, struct err *err)
{
	struct trim *t = arg;
	int r = delivery_trim(db, t->before, TRIMMED_AT_ONCE, &t->over, err);

	if (!r)
		r = hook_bury(db, TRIMMED_AT_ONCE, &t->buried, err);
	return r || !(t->over || t->buried) ? r : db_give_back(db, err);
}

int tree_deliveries_trim(struct tree *tree, int64_t before, bool *more, struct err *err)
{
	struct trim t = { .before = before };
	int r = meta_write(tree->meta, false, trim_some, &t, err);

	*more = t.over >= TRIMMED_AT_ONCE || t.buried > 0;
	return r;
}
