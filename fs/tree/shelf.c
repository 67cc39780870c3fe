/*
 * shelf.c: what is opened, in one table, and who waits for it. The states of an item stand in shelf_state.h; how it gets from one to the next,
 * in shelf_layers.c, shelf_images.c and shelf_make.c.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/base/timestamp.h"
#include "fs/base/waiting.h"
#include "fs/tree/shelf_state.h"
#include "fs/tree/state.h"

#define ITEMS_MAX 512			/* opened, that nobody holds: each is a mapping, a layer a descriptor too */
#define MAKERS 2			/* threads that index layers; on 2 cores a third makes none faster */
#define WORKERS 2			/* of each enum shelf_work: each takes memory, and a processor */
#define NICENESS 10
#define SPAN_BUDGET (48 * 1024 * 1024)	/* decoded spans in memory: tar order and directory order differ by less */
#define SPAN_THREADS 2
#define MEMORY_MAX ((size_t)256 * 1024 * 1024)	/* of indexes that the disk has no room for */
#define RETRY (30 * INT64_C(1000000000))

/* ---- The table ---- */

static struct shelf_item **bucket_of(struct shelf *s, enum shelf_kind kind, int64_t slot)
{
	return &s->buckets[((uint64_t)slot * 2 + kind) * 0x9e3779b97f4a7c15u >> 54];
}

static struct shelf_item **find(struct shelf *s, enum shelf_kind kind, int64_t slot)
{
	struct shelf_item **at = bucket_of(s, kind, slot);

	while (*at && ((*at)->slot != slot || (*at)->kind != kind))
		at = &(*at)->next;
	return at;
}

static void item_free(struct shelf_item *item)
{
	shelf_release_bytes(item);
	index_close(item->index);
	free(item->slots);
	free(item);
}

static void unlink_idle(struct shelf *s, struct shelf_item *item)
{
	*(item->newer ? &item->newer->older : &s->newest) = item->older;
	*(item->older ? &item->older->newer : &s->oldest) = item->newer;
	item->newer = item->older = NULL;
	s->idle--;
}

static void link_idle(struct shelf *s, struct shelf_item *item)
{
	item->older = s->newest;
	*(s->newest ? &s->newest->newer : &s->oldest) = item;
	s->newest = item;
	s->idle++;
}

/* Takes it out of the table; nobody holds it. */
static void forget(struct shelf *s, struct shelf_item *item)
{
	*find(s, item->kind, item->slot) = item->next;
	unlink_idle(s, item);
	s->in_memory -= item->in_memory;
}

void shelf_put(struct shelf_item *item)
{
	struct shelf *s = item->shelf;
	struct shelf_item *old = NULL;

	pthread_mutex_lock(&s->lock);
	if (--item->holds == 0 && item->discarded) {
		old = item;
		s->in_memory -= item->in_memory;
	} else if (item->holds == 0) {
		link_idle(s, item);
		if (s->idle > ITEMS_MAX) {
			old = s->oldest;
			forget(s, old);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (old)
		item_free(old);
}

static void hold(struct shelf *s, struct shelf_item *item)
{
	if (item->holds++ == 0)
		unlink_idle(s, item);
}

void shelf_hold(struct shelf_item *item)
{
	pthread_mutex_lock(&item->shelf->lock);
	hold(item->shelf, item);
	pthread_mutex_unlock(&item->shelf->lock);
}

/* With the lock held: it goes when nobody holds it. False: it was before. */
static bool discard(struct shelf_item *item)
{
	bool first = !item->discarded;

	item->discarded = true;
	if (first)
		*find(item->shelf, item->kind, item->slot) = item->next;
	return first;
}

bool shelf_discard(struct shelf_item *item)
{
	static const enum derived_kind kinds[] = { [SHELF_LAYER] = DERIVED_LAYER, [SHELF_IMAGE] = DERIVED_IMAGE };
	struct shelf *s = item->shelf;
	const struct derived_name name = { .kind = kinds[item->kind], .key = item->digest };
	bool first;

	pthread_mutex_lock(&s->lock);
	first = discard(item);
	pthread_mutex_unlock(&s->lock);
	if (first && index_check(item->index, NULL))
		(void)!derived_remove(s->derived, &name, NULL);
	return first;
}

bool shelf_is_discarded(struct shelf_item *item)
{
	bool discarded;

	pthread_mutex_lock(&item->shelf->lock);
	discarded = item->discarded;
	pthread_mutex_unlock(&item->shelf->lock);
	return discarded;
}

void shelf_settle(struct shelf_item *item, int r, const struct err *err)
{
	struct shelf *s = item->shelf;

	pthread_mutex_lock(&s->lock);
	item->state = r ? FAILED : READY;
	if (r) {
		item->err = *err;
		item->failed_at = item->renewed ? 0 : timestamp_now();
		/* It was for one reader only. */
		if (err->reason == ERR_INTERRUPTED || err->reason == ERR_TOO_MANY_REQUESTS) {
			(void)!shelf_given_up(&item->err);
			(void)discard(item);
		}
	}
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
	shelf_put(item);
}

bool shelf_may_retry(int64_t failed_at)
{
	return timestamp_now() - failed_at > RETRY;
}

/* What failed a while ago, or because of something that passes, is tried again. */
static bool is_stale(const struct shelf_item *item)
{
	return item->state == FAILED && (item->err.reason != ERR_CORRUPT || shelf_may_retry(item->failed_at));
}

struct shelf_item *shelf_take(struct shelf *s, enum shelf_kind kind, int64_t slot, bool *fresh)
{
	struct shelf_item **at, *item, *stale = NULL;

	*fresh = false;
	pthread_mutex_lock(&s->lock);
	at = find(s, kind, slot);
	if (*at && (*at)->holds == 0 && is_stale(*at)) {
		stale = *at;
		forget(s, stale);
		at = find(s, kind, slot);
	}
	item = *at;
	if (item) {
		hold(s, item);
	} else if ((item = calloc(1, sizeof(*item)))) {
		item->shelf = s;
		item->kind = kind;
		item->slot = slot;
		item->holds = 2;
		*at = item;
		*fresh = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (stale)
		item_free(stale);
	return item;
}

/* With the lock held: until something is settled. True: who asked has gone, which is looked at once in a while, however much is settled, and
 * without the lock. *ask: when, of CLOCK_MONOTONIC; at first 0. */
static bool wait_a_while(struct shelf *s, struct timespec *ask)
{
	bool over;

	if (!ask->tv_sec) {
		clock_gettime(CLOCK_MONOTONIC, ask);
		ask->tv_sec += WAITING_ASK_SECONDS;
	}
	if (pthread_cond_timedwait(&s->settled, &s->lock, ask) != ETIMEDOUT)
		return false;
	pthread_mutex_unlock(&s->lock);
	over = waiting_is_over();
	*ask = (struct timespec){ 0 };
	pthread_mutex_lock(&s->lock);
	return over;
}

int shelf_given_up(struct err *err)
{
	return err_set(err, ERR_INTERRUPTED, "who asked for it has gone");
}

static int too_many(struct err *err)
{
	int r = err_set(err, ERR_TOO_MANY_REQUESTS, "too many wait for layers to be indexed: try again");

	if (err)
		err->offset = 1;
	return r;
}

int shelf_wait_until(struct shelf *s, bool (*done)(void *arg), void *arg, struct err *err)
{
	struct timespec ask = { 0 };
	bool is, over = false;

	pthread_mutex_lock(&s->lock);
	is = done(arg);
	pthread_mutex_unlock(&s->lock);
	if (is)
		return 0;
	if (!waiting_begin())
		return too_many(err);
	pthread_mutex_lock(&s->lock);
	while (!(is = done(arg)) && !over)
		over = wait_a_while(s, &ask);
	pthread_mutex_unlock(&s->lock);
	waiting_end();
	return is ? 0 : shelf_given_up(err);
}

static bool is_settled(void *arg)
{
	const struct shelf_item *item = arg;

	return item->state != OPENING;
}

struct beginning {
	struct shelf *shelf;
	enum shelf_work which;
};

static bool may_begin(void *arg)
{
	const struct beginning *b = arg;

	if (b->shelf->working[b->which] >= WORKERS)
		return false;
	b->shelf->working[b->which]++;
	return true;
}

int shelf_work_begin(struct shelf *s, enum shelf_work which, struct err *err)
{
	struct beginning b = { s, which };

	return shelf_wait_until(s, may_begin, &b, err);
}

void shelf_work_end(struct shelf *s, enum shelf_work which)
{
	pthread_mutex_lock(&s->lock);
	s->working[which]--;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
}

int shelf_await(struct shelf_item *item, struct shelf_item **out, struct err *err)
{
	struct shelf *s = item->shelf;
	int r = shelf_wait_until(s, is_settled, item, err);

	pthread_mutex_lock(&s->lock);
	if (!r && item->state == FAILED) {
		r = -item->err.errnum;
		if (err)
			*err = item->err;
	}
	pthread_mutex_unlock(&s->lock);
	if (r)
		shelf_put(item);
	else
		*out = item;
	return r;
}

/* With the lock held: out of the table; if nobody holds it, it is the caller's to free. */
static struct shelf_item *discard_idle(struct shelf_item *item)
{
	if (item->holds) {
		(void)discard(item);
		return NULL;
	}
	forget(item->shelf, item);
	return item;
}

void shelf_blob_came(struct shelf *s, int64_t slot)
{
	struct shelf_item *layer, *old = NULL;

	pthread_mutex_lock(&s->lock);
	layer = *find(s, SHELF_LAYER, slot);
	if (layer && layer->state == READY)
		old = discard_idle(layer);
	for (size_t i = 0; layer && layer->state != READY && i < SHELF_BUCKETS; i++)
		for (struct shelf_item *item = s->buckets[i]; item; item = item->next)
			if (item == layer || item->kind == SHELF_IMAGE) {
				item->failed_at = 0;
				item->renewed = item->state == OPENING;
			}
	pthread_mutex_unlock(&s->lock);
	if (old)
		item_free(old);
}

int shelf_get(struct shelf *s, enum shelf_kind kind, int64_t slot, struct shelf_item **out, struct err *err)
{
	struct err local, *why = err ? err : &local;
	int r;

	/* Again, if it failed only because who had begun with it has gone. */
	do {
		struct shelf_item *item;

		r = kind == SHELF_LAYER ? shelf_request_layer(s, slot, &item, why) : shelf_request_image(s, slot, &item, why);
		if (!r)
			r = shelf_await(item, out, why);
	} while (r && why->reason == ERR_INTERRUPTED && !waiting_is_over());
	return r;
}

int shelf_reserve(struct shelf_item *item, size_t size, struct err *err)
{
	struct shelf *s = item->shelf;
	struct shelf_item *gone = NULL, *newer;
	bool fits;

	pthread_mutex_lock(&s->lock);
	for (struct shelf_item *i = s->oldest; i && s->in_memory + size > MEMORY_MAX; i = newer) {
		newer = i->newer;
		if (!i->in_memory)
			continue;
		forget(s, i);
		i->next = gone;
		gone = i;
	}
	fits = s->in_memory + size <= MEMORY_MAX;
	item->in_memory = fits ? size : 0;
	s->in_memory += item->in_memory;
	pthread_mutex_unlock(&s->lock);
	while (gone) {
		struct shelf_item *i = gone;

		gone = i->next;
		item_free(i);
	}
	return fits ? 0 : err_sys(err, ENOSPC, "the disk has no room for an index: free some");
}


void shelf_be_nice(void)
{
	/* This thread's only: Linux keeps niceness for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
}

bool shelf_is_stopping(void *shelf)
{
	const struct shelf *s = shelf;

	return atomic_load(&s->stopping);
}

const struct index *shelf_index(const struct shelf_item *item)
{
	return item->index;
}

int64_t shelf_layer_slot(const struct shelf_item *item, uint32_t layer)
{
	return item->slots[layer];
}

/* ---- The shelf ---- */

int shelf_new(struct tree *tree, struct shelf **out, struct err *err)
{
	struct shelf *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	struct digest ignored;
	int r;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	s->tree = tree;
	s->budget = TREE_INSIDE_CACHE;
	s->last_late = &s->late;
	s->last_look = &s->looks;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->settled, &attr);
	pthread_condattr_destroy(&attr);
	/* OpenSSL reads its configuration at its first digest, for 6 ms: not while somebody waits for a file. */
	r = digest_of(DIGEST_SHA256, "", 0, &ignored, err);
	if (!r)
		r = derived_new(store_dir(tree->store), &s->derived, err);
	if (!r)
		r = span_cache_new(SPAN_BUDGET, SPAN_THREADS, &s->cache, err);
	if (!r)
		r = work_new(MAKERS, &s->makers, err);
	if (r) {
		shelf_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void shelf_stop(struct shelf *s)
{
	atomic_store(&s->stopping, true);
}

void shelf_free(struct shelf *s)
{
	if (!s)
		return;
	shelf_stop(s);
	work_free(s->makers);
	shelf_forget_looks(s);
	for (size_t i = 0; i < SHELF_BUCKETS; i++)
		while (s->buckets[i]) {
			struct shelf_item *item = s->buckets[i];

			s->buckets[i] = item->next;
			item_free(item);
		}
	span_cache_free(s->cache);
	derived_free(s->derived);
	pthread_cond_destroy(&s->settled);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void shelf_stats(struct shelf *s, struct shelf_stats *out)
{
	out->layers_indexed = atomic_load(&s->indexed);
	out->files_taken_out = atomic_load(&s->taken_out);
	span_cache_stats(s->cache, &out->spans);
}
