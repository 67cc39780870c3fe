/*
 * hook.c: see hook.h.
 *
 * One thread turns: events become deliveries (tree_deliveries_plan()), what is due is sent off, answers are gathered and written
 * down, together. It waits in courier_run() for answers, for the event log, or for the next thing to become due.
 *
 *	due --(send)--> going --(answer, or a program's end)--> ended --(note)--> done, failed, or due again later
 *
 * Invariants:
 *  1. What is going or ended isn't sent once more: its id is in its receiver's list until the note is in the database.
 *  2. What is remembered of a receiver here (its window, failures in a row, its rest) is an economy; it may be forgotten.
 *  3. Memory is bounded by GOING_ALL parcels, whatever waits.
 *
 * What lies in the database as a time is the clock's, which may be set back: see mind_the_clock(). What is only remembered is
 * monotonic.
 */
#include "fs/base/base.h"
#include "fs/hook/hook.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/base/address.h"
#include "fs/base/lead.h"
#include "fs/base/log.h"
#include "fs/base/outbound.h"
#include "fs/base/timestamp.h"
#include "fs/hook/pause.h"
#include "fs/hook/program.h"
#include "fs/hook/message.h"
#include "fs/tree/events.h"
#include "fs/tree/hooks.h"

#define GOING_EACH   16		/* attempts for one hook at the same time */
#define GOING_ALL    256	/* for all of them */
#define GOING_DOUBT  192	/* of these for hooks that haven't taken one lately: the others aren't held up by them */
#define RESTS_AFTER  5		/* failures in a row */
#define FORGET_AFTER (3600 * SECOND)
#define PACE	     (20 * MILLISECOND)	/* from turn to turn while events come, and, */
#define PACE_MOST    (5 * PACE)		/* while MANY come each time: pushes come first */
#define MANY	     4
#define PLANS	     8		/* steps of a turn: answers come meanwhile */
#define SECOND	     INT64_C(1000000000)
#define MILLISECOND  INT64_C(1000000)
#define AFTER_ERROR  SECOND	/* when the database fails, which may be a full disk */
#define WAIT_MAX     (60 * SECOND)
#define CLOCK_SLACK  SECOND	/* that the clock may be set without a word */

struct parcel {
	struct hooks *hooks;
	struct receiver *receiver;
	struct parcel *next;		/* among the ended */
	struct parcel *other;		/* among all */
	struct delivery_row row;
	struct message message;
	int64_t begun;
	int64_t changed;		/* the hook was last, as it is asked here, and: */
	bool program;
	bool doubtful;			/* its receiver's window was 1 */
	struct tree_attempt attempt;
	char *why, *response;
	char disable[32];
};

struct receiver {
	struct receiver *next;
	int64_t hook_id;
	struct hook_copy hook;		/* as it was when something was last sent */
	int64_t going[GOING_EACH];	/* ids of deliveries */
	size_t count, window;		/* how many are going, and may: more with each success, fewer with each failure */
	int failures;			/* in a row */
	int64_t rests_until, used;	/* monotonic */
	int64_t changed;		/* the hook was, when this was learnt */
};

struct hooks {
	struct hooks_options options;
	char *store, *public_url;
	struct address_ranges *allowed;
	struct courier *courier;
	struct programs *programs;
	pthread_t thread;
	int lead, events;
	atomic_bool stopping;
	struct receiver *receivers;
	struct parcel *all, *ended;
	size_t going, doubtful;		/* parcels, the ended ones included */
	int64_t seen;			/* events that were planned, or are for nobody */
	int64_t turn;			/* the hook that was served last */
	int64_t wake;			/* when something becomes due, at the latest; monotonic, as is: */
	int64_t trimmed;		/* 0: never */
	int64_t pace, paced;		/* there is no turn before that (monotonic), and from when to then */
	int64_t clock;			/* how far the clock was ahead of the monotonic one; 0: not looked at */
	bool yields;			/* sends nothing more: another has a claim to it */
};

/* ---- Receivers ---- */

static struct receiver *receiver_of(struct hooks *h, int64_t hook_id)
{
	struct receiver *r = h->receivers;

	while (r && r->hook_id != hook_id)
		r = r->next;
	if (r)
		return r;
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->hook_id = hook_id;
	r->window = 1;
	r->used = timestamp_monotonic();
	r->next = h->receivers;
	h->receivers = r;
	return r;
}

/* Those that had nothing to be told for a while. */
static void forget_idle(struct hooks *h)
{
	int64_t now = timestamp_monotonic();

	for (struct receiver **at = &h->receivers; *at;) {
		struct receiver *r = *at;

		if (r->count || now - r->used < FORGET_AFTER) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		hook_copy_release(&r->hook);
		free(r);
	}
}

static bool is_going(const struct receiver *r, int64_t id)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->going[i] == id)
			return true;
	return false;
}

static void stops_going(struct receiver *r, int64_t id)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->going[i] == id) {
			r->going[i] = r->going[--r->count];
			return;
		}
}

static size_t room_of(const struct hooks *h, const struct receiver *r)
{
	size_t all = GOING_ALL - h->going, doubtful = GOING_DOUBT - h->doubtful;

	if (r->count >= r->window)
		return 0;
	if (r->window == 1 && doubtful < all)
		all = doubtful;
	return MIN(r->window - r->count, all);
}

static void wake_in(struct hooks *h, int64_t nanoseconds)
{
	int64_t when = timestamp_monotonic() + MIN(nanoseconds, WAIT_MAX);

	h->wake = MIN(h->wake, when);
}

/* ---- Parcels ---- */

static void parcel_free(struct parcel *p)
{
	message_release(&p->message);
	free(p->why);
	free(p->response);
	free(p);
}
DEFINE_CLEANUP(cleanup_parcel, struct parcel *, parcel_free)
#define auto_parcel CLEANUP(cleanup_parcel)

/* A text of the receiver's for the log: up to a NUL. */
static char *text_of(const char *data, size_t len)
{
	return strndup(data ? data : "", len);
}

static bool is_success(bool program, int status)
{
	return program ? status == 0 : status >= 200 && status < 300;
}

static void note_success(struct receiver *r)
{
	size_t twice = 2 * r->window;

	r->window = MIN(twice, (size_t)GOING_EACH);
	r->failures = 0;
	r->rests_until = 0;
}

static void note_failure(struct receiver *r, int64_t retry_after)
{
	int64_t rest = 0;

	r->window = MAX(r->window / 2, (size_t)1);
	r->failures++;
	if (retry_after >= 0)
		rest = pause_after(1, retry_after);
	else if (r->failures >= RESTS_AFTER)
		rest = pause_after(r->failures - RESTS_AFTER + 1, -1);
	r->rests_until = MAX(r->rests_until, timestamp_monotonic() + rest);
}

/* Takes the parcel among the ended; what is to become of its delivery is decided here. */
static void end_parcel(struct parcel *p, const struct courier_answer *a)
{
	struct hooks *h = p->hooks;
	struct receiver *r = p->receiver;
	int64_t now = timestamp_now(), first = p->row.first ? p->row.first : p->begun;
	/* The clock may have been set meanwhile. */
	int64_t tried = p->begun - first + a->nanoseconds;
	struct tree_attempt *t = &p->attempt;

	p->why = *a->why ? text_of(a->why, strlen(a->why)) : NULL;
	p->response = text_of(a->body, a->len);
	*t = (struct tree_attempt){
		.hook_id = r->hook_id,
		.hook_changed = p->changed,
		.row = { .delivery_id = p->row.id, .at = p->begun, .latency = a->nanoseconds, .status = a->status,
			 .request = p->message.log.data, .response = p->response ? p->response : "" },
		.state = DELIVERY_DONE,
	};
	if (*a->why || !is_success(p->program, a->status)) {
		note_failure(r, a->retry_after);
		t->state = tried >= h->options.give_up ? DELIVERY_FAILED : DELIVERY_WAITING;
		t->due = now + pause_after(p->row.attempts + 1, a->retry_after);
		if (!p->why && asprintf(&p->why, "it answered %d", a->status) < 0)
			p->why = NULL;
	} else {
		note_success(r);
	}
	if (a->status == 410 && !p->program) {
		snprintf(p->disable, sizeof(p->disable), "its receiver answered 410");
		t->disable = p->disable;
		t->state = DELIVERY_FAILED;
	}
	t->row.why = p->why ? p->why : t->state == DELIVERY_DONE ? "" : "it failed";
	p->next = h->ended;
	h->ended = p;
}

static void answered(void *arg, const struct courier_answer *answer)
{
	end_parcel(arg, answer);
}

/* What couldn't even be tried: it counts as an attempt. */
static void fail_parcel(struct parcel *p, const char *why)
{
	const struct courier_answer a = { .why = why, .retry_after = -1, .body = "" };

	end_parcel(p, &a);
}

/* There is nothing to tell any more. */
static void give_up(struct parcel *p)
{
	fail_parcel(p, "the event is older than the log");
	p->attempt.state = DELIVERY_FAILED;
}

static int send_parcel(struct parcel *p, const struct tree_delivery *d, struct err *err)
{
	const struct hook_row *hook = &p->receiver->hook.row;
	struct hooks *h = p->hooks;
	int r = message_make(hook, d, h->public_url, p->begun, &p->message, err);
	const struct courier_post post = {
		.url = hook->url,
		.headers = p->message.lines,
		.body = p->message.payload.body.data,
		.len = p->message.payload.body.len,
		.ca = *hook->ca ? hook->ca : NULL,
	};

	if (r)
		return r;
	return *hook->program ? programs_run(h->programs, hook->program, d, &p->message, answered, p, err) :
				courier_post(h->courier, &post, answered, p, err);
}

/* One delivery on its way. */
static int dispatch(void *arg, const struct tree_delivery *d)
{
	struct parcel *const *slot = arg;
	struct receiver *r = (*slot)->receiver;
	struct hooks *h = (*slot)->hooks;
	auto_parcel struct parcel *p = NULL;
	struct err err = ERR_INIT;

	if (is_going(r, d->row.id))
		return 0;
	if (!room_of(h, r))
		return 1;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct parcel){ .hooks = h, .receiver = r, .row = d->row, .message = MESSAGE_INIT, .begun = timestamp_now(),
			      .changed = r->hook.row.changed, .program = *r->hook.row.program, .doubtful = r->window == 1 };
	r->going[r->count++] = d->row.id;
	r->used = timestamp_monotonic();
	h->going++;
	h->doubtful += p->doubtful;
	p->other = h->all;
	h->all = p;
	if (!d->event)
		give_up(steal(&p));
	else if (send_parcel(p, d, &err))
		fail_parcel(steal(&p), err.text);
	else
		(void)steal(&p);
	return 0;
}

/* ---- A turn ---- */

static int take_hook(void *arg, const struct hook_row *row)
{
	struct receiver *r = arg;

	hook_copy_release(&r->hook);
	return hook_copy(row, &r->hook, NULL) ? -ENOMEM : 1;
}

/* Nobody wants it any more; a part of it, so that nobody waits for this. */
static int fail_waiting(struct hooks *h, int64_t hook_id, struct err *err)
{
	wake_in(h, 0);
	return tree_deliveries_fail(h->options.tree, hook_id, err);
}

/* What was learnt of another URL, or of a certificate that is believed now, doesn't hold any more. */
static void note_change(struct receiver *r, int64_t changed)
{
	if (r->changed == changed)
		return;
	r->changed = changed;
	r->failures = 0;
	r->rests_until = 0;
}

static int serve(struct hooks *h, const struct due_hook *due, int64_t now, struct err *err)
{
	struct receiver *r = receiver_of(h, due->id);
	struct parcel template = { .hooks = h, .receiver = r }, *slot = &template;
	int found;

	if (!r)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	note_change(r, due->changed);
	if (r->rests_until > timestamp_monotonic()) {
		wake_in(h, r->rests_until - timestamp_monotonic());
		return 0;
	}
	if (!room_of(h, r))
		return 0;
	/* What is going has what it needs; the row may have changed since. */
	found = tree_delivery_hook(h->options.tree, due->id, take_hook, r, err);
	if (found > 0 && *r->hook.row.disabled)
		return fail_waiting(h, due->id, err);
	if (!found)	/* it was removed: so is what waited for it, now */
		h->trimmed = 0;
	if (found <= 0 || r->hook.row.paused)
		return MIN(found, 0);
	h->turn = due->id;
	return tree_deliveries_due(h->options.tree, due->id, now, (int64_t)(r->count + room_of(h, r)), dispatch, &slot, err);
}

struct candidates {
	struct hooks *hooks;
	int64_t now;
	struct buf due;		/* struct due_hook */
};

static int add_candidate(void *arg, const struct due_hook *hook)
{
	struct candidates *c = arg;

	if (hook->due > c->now)
		wake_in(c->hooks, hook->due - c->now);
	else
		buf_add(&c->due, hook, sizeof(*hook));
	return 0;
}

/* From behind the one that was served last on, so that nobody starves. */
static int serve_all(struct hooks *h, const struct due_hook *due, size_t count, int64_t now, struct err *err)
{
	size_t first = 0;
	int r = 0;

	while (first < count && due[first].id <= h->turn)
		first++;
	for (size_t i = 0; !r && i < count && h->going < GOING_ALL; i++)
		r = serve(h, &due[(first + i) % count], now, err);
	return r;
}

static int send_due(struct hooks *h, struct err *err)
{
	struct candidates c = { .hooks = h, .now = timestamp_now(), .due = BUF_INIT };
	int r = tree_deliveries_hooks(h->options.tree, add_candidate, &c, err);

	if (!r && buf_error(&c.due))
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!r)
		r = serve_all(h, (const struct due_hook *)(const void *)c.due.data, c.due.len / sizeof(struct due_hook), c.now, err);
	buf_release(&c.due);
	return r;
}

static void forget_parcel(struct hooks *h, struct parcel *p)
{
	struct parcel **at = &h->all;

	while (*at != p)
		at = &(*at)->other;
	*at = p->other;
	parcel_free(p);
}

/* Writes down how everything went that has ended, together. */
static int note_ended(struct hooks *h, struct err *err)
{
	struct tree_attempt attempts[GOING_ALL];
	size_t count = 0;
	int r;

	for (struct parcel *p = h->ended; p; p = p->next)
		attempts[count++] = p->attempt;
	if (!count)
		return 0;
	r = tree_deliveries_note(h->options.tree, attempts, count, err);
	if (r)
		return r;
	while (h->ended) {
		struct parcel *p = h->ended;

		h->ended = p->next;
		stops_going(p->receiver, p->row.id);
		h->going--;
		h->doubtful -= p->doubtful;
		forget_parcel(h, p);
	}
	return 0;
}

/* Others write, too: what is written together costs less, and holds them up less often. */
static void set_pace(struct hooks *h, int64_t begun, int64_t events)
{
	int64_t twice = 2 * h->pace;

	if (!events)
		return;
	h->pace = events < MANY || !h->pace ? PACE : MIN(twice, PACE_MOST);
	h->paced = begun + h->pace;
}

static int plan(struct hooks *h, struct err *err)
{
	int64_t begun = timestamp_monotonic(), seen = h->seen;
	bool more = true;
	int r = programs_look(h->programs, h->seen, err);

	for (int i = 0; !r && more && i < PLANS; i++)
		r = tree_deliveries_plan(h->options.tree, &h->seen, &more, err);
	if (more)
		wake_in(h, 0);
	set_pace(h, begun, h->seen - seen);
	return r;
}

static int trim(struct hooks *h, struct err *err)
{
	int64_t now = timestamp_now(), next = h->trimmed + h->options.trim_every - timestamp_monotonic();
	bool more = false;
	int r;

	if (h->trimmed && next > 0) {
		wake_in(h, next);
		return 0;
	}
	r = tree_deliveries_trim(h->options.tree, h->options.keep ? now - h->options.keep : 0, &more, err);
	h->trimmed = !r && more ? 0 : timestamp_monotonic();
	wake_in(h, h->trimmed ? h->options.trim_every : 0);
	return r;
}

/* Milliseconds. */
static int until(int64_t when)
{
	int64_t left = when - timestamp_monotonic();

	return left <= 0 ? 0 : (int)((left - 1) / MILLISECOND + 1);
}

/* Until the next turn. */
static void wait(struct hooks *h, bool failed, struct err *err)
{
	int r = 0, ms;

	while (!r && !h->stopping && (ms = until(h->paced)) > 0) {
		r = courier_run(h->courier, -1, ms, err);
		programs_take(h->programs);
	}
	/* What has ended already is written down at once. */
	if (!r && !h->stopping && (failed || !h->ended))
		r = courier_run(h->courier, failed ? -1 : h->events, until(h->wake), err);
	if (r)
		log_warn("hooks: %s", err->text);
	tree_events_seen(h->events);
	programs_take(h->programs);
}

/*
 * Where the clock was set back, what is due is due so much earlier: else it would wait for the clock to come there again. Where it was set on,
 * or the machine slept, nothing has been tried for longer because of that.
 */
static int mind_the_clock(struct hooks *h, struct err *err)
{
	int64_t ahead = timestamp_now() - timestamp_monotonic(), on = ahead - h->clock;
	int r = 0;

	if (!h->clock)
		r = tree_deliveries_advance(h->options.tree, INT64_MAX / 2, timestamp_now() + PAUSE_LONGEST, err);
	else if (on < -CLOCK_SLACK)
		r = tree_deliveries_advance(h->options.tree, -on, timestamp_now(), err);
	if (!r && h->clock && (on < -CLOCK_SLACK || on > CLOCK_SLACK))
		r = tree_deliveries_shift(h->options.tree, on, err);
	if (!r)
		h->clock = ahead;
	return r;
}

/* As long as it leads and needn't give way. */
static int turn(struct hooks *h, struct err *err)
{
	int r = note_ended(h, err);

	h->wake = INT64_MAX;
	wake_in(h, WAIT_MAX);
	if (r || h->yields)
		return r;
	r = mind_the_clock(h, err);
	if (!r)
		r = plan(h, err);
	if (!r)
		r = send_due(h, err);
	if (!r)
		r = trim(h, err);
	forget_idle(h);
	return r;
}

static int wait_for_lead(struct hooks *h, struct err *err)
{
	int r;

	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	r = lead_wait(h->lead, h->options.claims, err);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	/* Another may have planned meanwhile. */
	h->seen = h->clock = 0;
	return r;
}

/* While it leads: until it is to stop, or what is going has ended and another has a claim. */
static void lead(struct hooks *h)
{
	struct err err = ERR_INIT;

	for (h->yields = false; !h->stopping; h->yields = h->yields || (!h->options.claims && lead_is_claimed(h->lead))) {
		bool failed = turn(h, &err);

		if (h->yields && !h->going)
			return;
		if (failed) {
			log_warn("hooks: %s", err.text);
			h->wake = timestamp_monotonic() + AFTER_ERROR;
		}
		wait(h, failed, &err);
	}
}

static void *work(void *arg)
{
	struct hooks *h = arg;
	struct err err = ERR_INIT;

	/* This thread's only: Linux keeps niceness for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
	while (!h->stopping) {
		if (wait_for_lead(h, &err)) {
			log_error("hooks: %s: nothing is delivered", err.text);
			return NULL;
		}
		lead(h);
		lead_give_up(h->lead);
	}
	return NULL;
}

/* ---- Beginning and end ---- */

static void hooks_free(struct hooks *h)
{
	programs_free(h->programs);
	if (h->courier)
		courier_free(h->courier);
	while (h->all)
		forget_parcel(h, h->all);
	for (struct receiver *r = h->receivers, *next; r; r = next) {
		next = r->next;
		hook_copy_release(&r->hook);
		free(r);
	}
	ranges_free(h->allowed);
	cleanup_close(&h->events);
	cleanup_close(&h->lead);
	free(h->store);
	free(h->public_url);
	free(h);
}
DEFINE_CLEANUP(cleanup_hooks, struct hooks *, hooks_free)

static int open_files(struct hooks *h, struct err *err)
{
	auto_free char *path = NULL;
	int r;

	if (asprintf(&path, "%s/hooks.lead", h->store) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = lead_open(path, &h->lead, err);
	if (!r && h->options.claims)
		r = lead_claim(h->lead, err);
	return r ? r : tree_events_open(h->options.tree, &h->events, err);
}

static int prepare(struct hooks *h, const struct hooks_options *o, struct err *err)
{
	int r = err_about("hook-allow", ranges_new(o->allow, &h->allowed, err), err);
	const struct courier_options courier = {
		.connect_ms = (long)(o->timeout / MILLISECOND), .total_ms = (long)(o->timeout / MILLISECOND), .allowed = h->allowed, .limit = LIMIT_HOOK_ANSWER,
	};

	if (!r)
		r = open_files(h, err);
	if (!r)
		r = courier_new(&courier, &h->courier, err);
	if (r)
		return r;

	const struct programs_options programs = {
		.tree = o->tree, .store = h->store, .user = o->program_user, .total_ms = o->timeout / MILLISECOND, .courier = h->courier,
	};

	return err_about("hook-user", programs_new(&programs, &h->programs, err), err);
}

int hooks_check(const struct hooks_options *options, struct err *err)
{
	auto_ranges struct address_ranges *allowed = NULL;
	int r = err_about("hook-allow", ranges_new(options->allow, &allowed, err), err);

	return r ? r : err_about("hook-user", programs_check_user(options->program_user, err), err);
}

int hooks_start(const struct hooks_options *options, struct hooks **out, struct err *err)
{
	CLEANUP(cleanup_hooks) struct hooks *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	h->options = *options;
	h->lead = h->events = -1;
	h->store = strdup(options->store);
	h->public_url = strdup(options->public_url);
	if (!h->store || !h->public_url)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = prepare(h, options, err);
	if (!r)
		r = pthread_create(&h->thread, NULL, work, h) ? err_sys(err, EAGAIN, "can't start a thread") : 0;
	if (!r)
		*out = steal(&h);
	return r;
}

void hooks_stop(struct hooks *h)
{
	if (!h)
		return;
	h->stopping = true;
	courier_wake(h->courier);
	/* Only while it waits for the lead. */
	pthread_cancel(h->thread);
	pthread_join(h->thread, NULL);
	hooks_free(h);
}
