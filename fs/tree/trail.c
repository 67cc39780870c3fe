/*
 * trail.c: see trail.h.
 *
 *	empty --(note)--> gathering --(GATHER later; flush; end)--> writing --> empty
 *
 * Invariants:
 *  1. Memory is two batches of ENTRIES rows; who notes never waits for one to be written, and more than a batch a second
 *     isn't: what doesn't fit is counted.
 *  2. Of each cause there comes a burst, and then so many a second: whatever strangers do, the disk holds it for a while.
 *  3. An entry is compared as bytes: what isn't used of it is zero.
 */
#include "fs/base/base.h"
#include "fs/tree/trail.h"

#include <pthread.h>

#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/meta/event.h"
#include "fs/meta/meta.h"

#define ENTRIES 1024
#define SLOTS (2 * ENTRIES)
#define AT_ONCE 128	/* rows of one change: other writers' changes wait for them */
#define SECOND INT64_C(1000000000)
#define GATHER SECOND

static const struct {
	int64_t burst, a_second;	/* rows */
} rates[TRAIL_CAUSES] = {
	[TRAIL_STRANGER] = { 1000, 10 },
	[TRAIL_REFUSED] = { 10000, 100 },
	[TRAIL_WANTED] = { ENTRIES, ENTRIES },
};

#define ORIGIN_MAX 63	/* an address, or a door */

/* What makes two entries the same. */
struct what {
	bool event;	/* it becomes one, and no row of the trail */
	const char *action, *kind, *reason;
	enum audit_result result;
	int64_t token;
	struct digest digest;
	char who[LIMIT_PRINCIPAL + 1];
	char origin[ORIGIN_MAX + 1];
	char repository[LIMIT_NAME + 1];
	char tag[LIMIT_TAG + 1];
	char about[LIMIT_PRINCIPAL + 1];
};

struct entry {
	struct what what;
	int64_t at, times;
};

struct batch {
	size_t count;
	int64_t lost;
	uint16_t slots[SLOTS];	/* by the hash of what: the entry's index and 1; 0: free */
	struct entry entries[ENTRIES];
};

struct trail {
	struct meta *meta;
	pthread_mutex_t lock;
	pthread_cond_t wake;		/* the thread's */
	pthread_cond_t written;
	pthread_t thread;
	bool running, stopping;		/* guarded by lock */
	struct batch *gathering;	/* guarded by lock */
	struct batch *spare;		/* the thread's while it writes */
	uint64_t begun, done;		/* guarded by lock: batches that were taken, and written */
	int flushing;			/* guarded by lock: who waits */
	int64_t carried;		/* guarded by lock: lost, and that couldn't be written either */
	int64_t room[TRAIL_CAUSES];	/* guarded by lock: how many more may come */
	int64_t refilled;		/* guarded by lock */
};

/* Its waits are by a clock that nobody sets. */
static void init_wake(pthread_cond_t *wake)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attr);
	pthread_condattr_destroy(&attr);
}

int trail_new(struct meta *meta, struct trail **out, struct err *err)
{
	struct trail *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	t->meta = meta;
	for (int i = 0; i < TRAIL_CAUSES; i++)
		t->room[i] = rates[i].burst;
	t->gathering = calloc(1, sizeof(*t->gathering));
	t->spare = calloc(1, sizeof(*t->spare));
	pthread_mutex_init(&t->lock, NULL);
	init_wake(&t->wake);
	pthread_cond_init(&t->written, NULL);
	if (!t->gathering || !t->spare) {
		trail_free(t);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*out = t;
	return 0;
}

void trail_free(struct trail *t)
{
	bool running;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	running = t->running;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (running)
		pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_cond_destroy(&t->written);
	pthread_mutex_destroy(&t->lock);
	free(t->gathering);
	free(t->spare);
	free(t);
}

/* ---- Writing ---- */

struct part {
	const struct entry *entries;
	size_t count;
};

/* A pull that a hook asks for, or a push that was refused for want of quota, told to who watches: it has no transaction of its own, as the
 * row hasn't. */
static int add_as_event(struct db *db, const struct entry *e, const char *kind, struct err *err)
{
	const struct what *w = &e->what;
	const struct event event = {
		.kind = kind,
		.repository = w->repository,
		.tag = *w->tag ? w->tag : NULL,
		.digest = &w->digest,
		.about = w->about,
		.who = w->who,
		.origin = w->origin,
		.at = e->at,
	};

	return event_add(db, &event, err);
}

static int add_entry(struct db *db, const struct entry *e, struct err *err)
{
	const struct what *w = &e->what;
	const struct audit_row row = {
		.at = e->at,
		.action = w->action,
		.result = w->result,
		.who = w->who,
		.kind = w->kind,
		.token = w->token,
		.origin = w->origin,
		.repository = w->repository,
		.tag = w->tag,
		.digest = &w->digest,
		.about = w->about,
		.reason = w->reason,
		.times = e->times,
	};
	int r;

	if (w->event)
		return add_as_event(db, e, w->kind, err);
	r = audit_add(db, &row, err);
	return r || !w->reason || !streq(w->reason, TRAIL_QUOTA) ? r : add_as_event(db, e, "quota", err);
}

static int write_part(struct db *db, void *arg, struct err *err)
{
	const struct part *p = arg;
	int r = 0;

	for (size_t i = 0; !r && i < p->count; i++)
		r = add_entry(db, &p->entries[i], err);
	return r;
}

/* Says in the trail itself that something is missing in it. */
static int write_lost(struct db *db, void *arg, struct err *err)
{
	const struct audit_row row = {
		.at = timestamp_now(),
		.action = "audit",
		.result = AUDIT_FAILED,
		.who = "?",
		.about = "rows were lost",
		.times = *(const int64_t *)arg,
	};

	return audit_add(db, &row, err);
}

/* How many were lost. */
static int64_t write_batch(struct trail *t, const struct batch *b)
{
	struct err err = ERR_INIT;
	int64_t lost = b->lost;

	for (size_t i = 0; i < b->count; i += AT_ONCE) {
		struct part part = { .entries = b->entries + i, .count = MIN(b->count - i, (size_t)AT_ONCE) };

		if (meta_write(t->meta, false, write_part, &part, &err))
			lost += (int64_t)part.count;
	}
	if (err.reason)
		log_warn("the audit trail can't be written: %s", err.text);
	if (lost && !meta_write(t->meta, false, write_lost, &lost, NULL))
		lost = 0;
	return lost;
}

/* With the lock held: until there is a batch to write, all of which came within GATHER; false: the end. */
static bool gather(struct trail *t)
{
	struct timespec until;

	while (!t->gathering->count && !t->gathering->lost && !t->stopping && !t->flushing)
		pthread_cond_wait(&t->wake, &t->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += GATHER / SECOND;
	while (!t->stopping && !t->flushing)
		if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
			break;
	return t->gathering->count || t->gathering->lost || t->flushing || !t->stopping;
}

static void *work(void *arg)
{
	struct trail *t = arg;

	pthread_mutex_lock(&t->lock);
	while (gather(t)) {
		struct batch *b = t->gathering;
		int64_t lost;

		t->gathering = t->spare;
		t->spare = b;
		t->begun++;
		t->flushing = 0;
		b->lost += t->carried;
		t->carried = 0;
		pthread_mutex_unlock(&t->lock);
		lost = write_batch(t, b);
		b->count = 0;
		b->lost = 0;
		memset(b->slots, 0, sizeof(b->slots));
		pthread_mutex_lock(&t->lock);
		t->done++;
		/* A disk that is full is tried again with the next row, not at once. */
		t->carried += lost;
		pthread_cond_broadcast(&t->written);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* With the lock held. A registry that nobody comes to needs no thread. */
static void start(struct trail *t)
{
	if (!t->running && !t->stopping)
		t->running = pthread_create(&t->thread, NULL, work, t) == 0;
}

void trail_flush(struct trail *t)
{
	uint64_t batch;

	pthread_mutex_lock(&t->lock);
	batch = t->begun;
	if (t->gathering->count || t->gathering->lost) {
		t->flushing++;
		batch++;
		pthread_cond_signal(&t->wake);
	}
	while (t->running && t->done < batch)
		pthread_cond_wait(&t->written, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

/* ---- Noting ---- */

/* Names are printable ASCII, all of them; what somebody tried instead would be obeyed by a terminal. */
static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
	for (; *out; out++)
		if (*out < 0x20 || *out > 0x7e)
			*out = '?';
}

static void fill(struct what *w, const struct audit_row *row)
{
	memset(w, 0, sizeof(*w));
	w->action = row->action;
	w->kind = row->kind;
	w->reason = row->reason;
	w->result = row->result;
	w->token = row->token;
	if (row->digest)
		memcpy(&w->digest, row->digest, digest_size(row->digest));
	copy(w->who, sizeof(w->who), row->who);
	copy(w->origin, sizeof(w->origin), row->origin);
	copy(w->repository, sizeof(w->repository), row->repository);
	copy(w->tag, sizeof(w->tag), row->tag);
	copy(w->about, sizeof(w->about), row->about);
}

/* FNV-1a, by words. */
static uint64_t hash(const struct what *w)
{
	uint64_t h = 0xcbf29ce484222325u, word;

	for (size_t i = 0; i + sizeof(word) <= sizeof(*w); i += sizeof(word)) {
		memcpy(&word, (const char *)w + i, sizeof(word));
		h = (h ^ word) * 0x100000001b3u;
		h ^= h >> 32;
	}
	return h;
}

/* The slot of the same entry, or a free one. */
static uint16_t *find_slot(struct batch *b, const struct what *w)
{
	size_t at = hash(w) % SLOTS;

	while (b->slots[at] && memcmp(&b->entries[b->slots[at] - 1].what, w, sizeof(*w)) != 0)
		at = (at + 1) % SLOTS;
	return &b->slots[at];
}

/* Whether there is room for one more row. The clock may be put back. */
static bool admit(struct trail *t, int64_t now, enum trail_cause cause)
{
	int64_t seconds = (now - t->refilled) / SECOND;

	for (int i = 0; seconds > 0 && i < TRAIL_CAUSES; i++) {
		int64_t more = MIN(seconds, rates[i].burst) * rates[i].a_second;

		t->room[i] = MIN(t->room[i] + more, rates[i].burst);
	}
	if (seconds > 0 || now < t->refilled)
		t->refilled = now;
	return t->room[cause] > 0 && t->room[cause]--;
}

static void note(struct trail *t, const struct audit_row *row, bool event, enum trail_cause cause)
{
	struct what what;
	struct batch *b;
	uint16_t *slot;

	fill(&what, row);
	what.event = event;
	pthread_mutex_lock(&t->lock);
	b = t->gathering;
	slot = find_slot(b, &what);
	if (*slot) {
		b->entries[*slot - 1].times++;
	} else if (b->count == ENTRIES || !admit(t, row->at, cause)) {
		b->lost += !event;
	} else {
		b->entries[b->count++] = (struct entry){ .what = what, .at = row->at, .times = 1 };
		*slot = (uint16_t)b->count;
	}
	start(t);
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}

void trail_note(struct trail *t, const struct audit_row *row, enum trail_cause cause)
{
	note(t, row, false, cause);
}

void trail_note_event(struct trail *t, const struct audit_row *row)
{
	note(t, row, true, TRAIL_WANTED);
}
