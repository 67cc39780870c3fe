/*
 * shelf.c: what is opened, in one table; layers are indexed by a pool of threads, images merged by who asks.
 * The states of an item stand in shelf_state.h.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/base/waiting.h"
#include "fs/image/layer.h"
#include "fs/image/merge.h"
#include "fs/tree/shelf_state.h"
#include "fs/tree/state.h"
#include "fs/upkeep/check.h"

#define ITEMS_MAX 512			/* opened, that nobody holds: each is a mapping, a layer a descriptor too */
#define MAKERS 2			/* threads that index layers; on 2 cores a third makes none faster */
#define TURN (3 * INT64_C(1000000000))	/* as long as one works before others count: a layer of a gigabyte or two */
#define APART_MAX 2			/* threads that work on for longer, besides; each layer in work takes memory: LIMIT_TREE_ENTRIES */
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
	pthread_mutex_destroy(&item->opening);
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

/* Ends the opener's hold. */
static void settle(struct shelf_item *item, int r, const struct err *err)
{
	struct shelf *s = item->shelf;

	pthread_mutex_lock(&s->lock);
	item->state = r ? FAILED : READY;
	if (r) {
		item->err = *err;
		item->failed_at = timestamp_now();
		/* It was for one reader only. */
		if (err->reason == ERR_INTERRUPTED)
			(void)discard(item);
	}
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
	shelf_put(item);
}

/* What failed a while ago, or because of something that passes, is tried again. */
static bool is_stale(const struct shelf_item *item)
{
	return item->state == FAILED && (item->err.reason != ERR_CORRUPT || timestamp_now() - item->failed_at > RETRY);
}

/* Holds the item; *fresh: it is OPENING, and the caller's, who holds it once more for that, to settle. NULL: no memory. */
static struct shelf_item *take(struct shelf *s, enum shelf_kind kind, int64_t slot, bool *fresh)
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
		pthread_mutex_init(&item->opening, NULL);
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

static int64_t monotonic_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
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

static int given_up(struct err *err)
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

static int wait_for(struct shelf_item *item, struct err *err)
{
	struct shelf *s = item->shelf;
	struct timespec ask = { 0 };
	bool opening, over = false;

	pthread_mutex_lock(&s->lock);
	opening = item->state == OPENING;
	pthread_mutex_unlock(&s->lock);
	if (!opening)
		return 0;
	if (!waiting_begin())
		return too_many(err);
	pthread_mutex_lock(&s->lock);
	while (item->state == OPENING && !over)
		over = wait_a_while(s, &ask);
	pthread_mutex_unlock(&s->lock);
	waiting_end();
	return over ? given_up(err) : 0;
}

/* Whether one of them may begin. With the lock held. */
static bool may_begin(struct shelf *s, enum shelf_work which)
{
	if (s->working[which] >= WORKERS)
		return false;
	s->working[which]++;
	return true;
}

int shelf_work_begin(struct shelf *s, enum shelf_work which, struct err *err)
{
	struct timespec ask = { 0 };
	bool begun, over = false;

	pthread_mutex_lock(&s->lock);
	begun = may_begin(s, which);
	pthread_mutex_unlock(&s->lock);
	if (begun)
		return 0;
	if (!waiting_begin())
		return too_many(err);
	pthread_mutex_lock(&s->lock);
	while (!(begun = may_begin(s, which)) && !over)
		over = wait_a_while(s, &ask) || shelf_is_stopping(s);
	pthread_mutex_unlock(&s->lock);
	waiting_end();
	return begun ? 0 : given_up(err);
}

void shelf_work_end(struct shelf *s, enum shelf_work which)
{
	pthread_mutex_lock(&s->lock);
	s->working[which]--;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
}

/* Until it is settled, or nobody wants it any more; what failed is put back. */
static int await(struct shelf_item *item, struct shelf_item **out, struct err *err)
{
	struct shelf *s = item->shelf;
	int r = wait_for(item, err);

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
	for (size_t i = 0; layer && !old && layer->state == FAILED && i < SHELF_BUCKETS; i++)
		for (struct shelf_item *item = s->buckets[i]; item; item = item->next)
			if (item == layer || item->kind == SHELF_IMAGE)
				item->failed_at = 0;
	pthread_mutex_unlock(&s->lock);
	if (old)
		item_free(old);
}

/* ---- Layers ---- */

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

/* ---- The makers' turns ---- */

void shelf_submit(struct shelf *s, struct work_job *job)
{
	pthread_mutex_lock(&s->lock);
	s->waiting_jobs++;
	pthread_mutex_unlock(&s->lock);
	work_submit(s->makers, job);
}

void shelf_turn_begin(struct turn *t, struct shelf *s, bool may_go_apart)
{
	*t = (struct turn){ .shelf = s, .began = monotonic_now(), .brief = !may_go_apart };
	pthread_mutex_lock(&s->lock);
	s->waiting_jobs--;
	pthread_mutex_unlock(&s->lock);
}

/* With the lock held, of a layer that is OPENING, by whoever opens it, who holds it. */
static bool is_unwanted(const struct shelf_item *item)
{
	return !item->wanted && item->holds == 1u + item->has_job;
}

/* With the lock held, and waiting_begin() is called behind it. */
static bool may_go_apart(struct turn *t)
{
	if (t->brief || t->shelf->apart >= APART_MAX)
		return false;
	t->shelf->apart++;
	t->apart = true;
	return true;
}

bool shelf_turn_is_over(void *turn)
{
	struct turn *t = turn;
	struct shelf *s = t->shelf;
	bool goes = false;

	if (shelf_is_stopping(s) || t->lost || t->unwanted)
		return true;
	if (monotonic_now() - t->began < TURN)
		return false;
	pthread_mutex_lock(&s->lock);
	t->unwanted = t->item && is_unwanted(t->item);
	if (!t->unwanted && !t->apart && s->waiting_jobs) {
		goes = may_go_apart(t);
		t->lost = !goes;
	}
	pthread_mutex_unlock(&s->lock);
	/* The pool has another thread in its place: it has room for so few. */
	if (goes)
		(void)!waiting_begin();
	return t->lost || t->unwanted;
}

/* ---- Indexes ---- */

int shelf_open_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		     struct index **out, struct err *err)
{
	const struct derived_name name = { .kind = kind, .key = *key };
	auto_fd int fd = -1;
	int r = derived_open(s->derived, &name, &fd, err);

	if (!r)
		r = index_open(fd, index, out, err);
	if (!r && index == INDEX_LAYER && (index_layer_count(*out) != 1 || !digest_equal(index_layer(*out, 0), key))) {
		index_close(steal(out));
		r = err_set(err, ERR_CORRUPT, "an index is of another layer");
	}
	if (r == -EIO)
		(void)!derived_remove(s->derived, &name, NULL);
	return r;
}

int shelf_blame(struct err *err, int r, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1], why[ERR_TEXT_MAX];

	if (r == -ENOENT)
		return err_set(err, ERR_IO, "layer %s isn't here: push it", digest_format(d, text));
	if ((r != -EIO && r != -EOPNOTSUPP) || !err)
		return r;
	snprintf(why, sizeof(why), "%.300s", err->text);
	/* What it is packed in, too, is the layer's fault, whoever looks. */
	return err_set(err, r == -EIO ? err->reason : ERR_CORRUPT, "layer %s can't be looked into: %s", digest_format(d, text), why);
}

/* 1: the index is the caller's to make; 0: *out is what another process made since it was looked for. */
static int begin_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		       struct draft *draft, struct index **out, struct err *err)
{
	int r = derived_begin(s->derived, &(struct derived_name){ kind, *key, 0 }, &draft->file, err), opened;

	if (r < 0)
		return r;
	opened = shelf_open_index(s, kind, index, key, out, r ? NULL : err);
	return opened && r ? 1 : opened;
}

/* The disk is full, or can't be written to: no reason not to read. */
static bool is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS;
}

static int new_memory(int *fd, struct err *err)
{
	*fd = memfd_create("regfs-index", MFD_CLOEXEC);
	return *fd < 0 ? err_sys(err, errno, "no memory for an index") : 0;
}

/* Room for an index in memory; what nobody holds makes way. */
static int reserve(struct shelf_item *item, size_t size, struct err *err)
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

/* Writes an index into an empty file. */
typedef int make_fn(void *arg, int fd, struct err *err);

static int make_in_memory(struct shelf_item *item, enum index_kind kind, make_fn *make, void *arg, struct err *err)
{
	auto_fd int memory = -1;
	int r = new_memory(&memory, err);

	if (!r)
		r = make(arg, memory, err);
	if (!r)
		r = index_open(memory, kind, &item->index, err);
	if (!r)
		r = reserve(item, index_file_size(item->index), err);
	if (r && item->index)
		index_close(steal(&item->index));
	return r;
}

/* On the disk; in memory if that doesn't take it. */
static int make_index(struct shelf_item *item, struct draft *draft, enum index_kind kind, make_fn *make, void *arg, struct err *err)
{
	int r = draft->file.fd < 0 ? -ENOSPC : make(arg, draft->file.fd, err);

	if (!r)
		r = index_open(draft->file.fd, kind, &item->index, err);
	if (!r)
		r = derived_commit(item->shelf->derived, &draft->file, false, err);
	if (!is_full(r))
		return r;
	log_warn("no room on the disk for an index: it is kept in memory");
	if (item->index)
		index_close(steal(&item->index));
	return make_in_memory(item, kind, make, arg, err);
}

struct layer_work {
	struct turn *turn;
	const struct content *blob;
	const struct digest *digest;
};

static int make_layer(void *arg, int fd, struct err *err)
{
	const struct layer_work *w = arg;

	return shelf_blame(err, layer_index(w->blob, w->digest, shelf_turn_is_over, w->turn, fd, err), w->digest);
}

static int index_layer_now(struct shelf_item *item, struct turn *turn, struct err *err)
{
	struct shelf *s = item->shelf;
	const struct digest *d = &item->digest;
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };
	auto_content struct content *blob = NULL;
	int r = shelf_blame(err, store_blob_open(s->tree->store, d, &blob, err), d);
	struct layer_work work = { turn, blob, d };

	if (!r)
		r = begin_index(s, DERIVED_LAYER, INDEX_LAYER, d, &draft, &item->index, err);
	if (r <= 0 && !is_full(r))
		return r;
	r = make_index(item, &draft, INDEX_LAYER, make_layer, &work, err);
	atomic_fetch_add(&s->indexed, !r);
	return r;
}

/* ---- Damage ---- */

void shelf_suspect(struct shelf *s, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1];
	bool bad = false;

	if (!shelf_is_stopping(s) && check_blob_now(s->tree->store, s->tree->meta, d, &bad, NULL) == 0 && bad)
		log_warn("layer %s is damaged: it is in quarantine until it is pushed again", digest_format(d, text));
}

struct suspect_job {
	struct work_job job;
	struct shelf *shelf;
	struct digest digest;
};

static void suspect_run(struct work_job *job)
{
	struct suspect_job *j = container_of(job, struct suspect_job, job);
	struct turn turn;

	shelf_be_nice();
	shelf_turn_begin(&turn, j->shelf, false);
	shelf_suspect(j->shelf, &j->digest);
	atomic_store(&j->shelf->suspecting, false);
	free(j);
}

/* One at a time: who reads on meets it again. */
void shelf_suspect_later(struct shelf *s, const struct digest *d)
{
	struct suspect_job *j = NULL;

	if (atomic_exchange(&s->suspecting, true))
		return;
	j = malloc(sizeof(*j));
	if (!j) {
		atomic_store(&s->suspecting, false);
		return;
	}
	*j = (struct suspect_job){ .job.fn = suspect_run, .shelf = s, .digest = *d };
	shelf_submit(s, &j->job);
}

/* ---- Layers' makers ---- */

static void index_in_turn(struct shelf_item *item, struct turn *turn)
{
	struct shelf *s = item->shelf;
	struct err err = ERR_INIT;
	int r = index_layer_now(item, turn, &err);

	if (r && turn->unwanted)
		r = given_up(&err);
	if (r == -EIO)
		shelf_suspect(s, &item->digest);
	if (!turn->lost || !r || shelf_is_stopping(s))
		return settle(item, r, &err);
	turn->lost = false;
	pthread_mutex_lock(&s->lock);
	item->next_queued = NULL;
	*s->last_late = item;
	s->last_late = &item->next_queued;
	pthread_mutex_unlock(&s->lock);
}

/* A layer that was given up, for a thread that is apart, or may be; NULL: there is none, and the thread isn't apart any more. */
static struct shelf_item *take_late(struct turn *turn, bool *unwanted)
{
	struct shelf *s = turn->shelf;
	struct shelf_item *item = NULL;
	bool was = turn->apart;

	pthread_mutex_lock(&s->lock);
	if (s->late && (was || may_go_apart(turn))) {
		item = s->late;
		s->late = item->next_queued;
		if (!s->late)
			s->last_late = &s->late;
		*unwanted = is_unwanted(item);
	} else if (was) {
		s->apart--;
		turn->apart = false;
	}
	pthread_mutex_unlock(&s->lock);
	if (!was && turn->apart)
		(void)!waiting_begin();
	else if (was && !turn->apart)
		waiting_end();
	return item;
}

/* Of those that wait the smallest: it takes least, whoever else waits. One that everybody has ceased to wait for is settled on the way. */
static struct shelf_item *take_queued(struct shelf *s, bool *unwanted)
{
	struct shelf_item **least, *item;

	pthread_mutex_lock(&s->lock);
	least = &s->queue;
	for (struct shelf_item **at = &s->queue; *at; at = &(*at)->next_queued)
		if ((*at)->weight < (*least)->weight)
			least = at;
	item = *least;
	*least = item->next_queued;
	*unwanted = is_unwanted(item);
	pthread_mutex_unlock(&s->lock);
	return item;
}

static void index_or_drop(struct shelf_item *item, struct turn *turn, bool unwanted)
{
	struct err err = ERR_INIT;

	if (unwanted)
		return settle(item, given_up(&err), &err);
	turn->item = item;
	turn->unwanted = false;
	index_in_turn(item, turn);
	turn->item = NULL;
}

/* In a thread of the pool: one of the layers that wait, for each that was queued; not the one whose job this is. */
static void layer_job(struct work_job *job)
{
	struct shelf_item *of = container_of(job, struct shelf_item, job), *item;
	struct shelf *s = of->shelf;
	struct turn turn;
	bool unwanted;

	shelf_be_nice();
	shelf_turn_begin(&turn, s, true);
	pthread_mutex_lock(&s->lock);
	of->has_job = false;
	pthread_mutex_unlock(&s->lock);
	shelf_put(of);
	item = take_queued(s, &unwanted);
	while (item) {
		index_or_drop(item, &turn, unwanted);
		item = take_late(&turn, &unwanted);
	}
}

static void queue_layer(struct shelf_item *item)
{
	struct shelf *s = item->shelf;

	item->job.fn = layer_job;
	pthread_mutex_lock(&s->lock);
	item->holds++;
	item->has_job = true;
	item->next_queued = s->queue;
	s->queue = item;
	pthread_mutex_unlock(&s->lock);
	shelf_submit(s, &item->job);
}

static int layer_digest(struct shelf *s, int64_t slot, struct digest *out, int64_t *weight, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	char text[DIGEST_TEXT_MAX + 1];
	struct blob_row row;
	int r = tree_reader(s->tree, &rd, err);

	if (!r)
		r = blob_by_id(rd.db, slot, &row, err);
	if (r <= 0)
		return r ? r : err_set(err, ERR_NOT_FOUND, "the layer is gone");
	*out = row.digest;
	*weight = row.size;
	return row.bad ? err_set(err, ERR_IO, "layer %s is damaged, or lost: push it again", digest_format(&row.digest, text)) : 0;
}

/* An index that is there is opened here; making one is the pool's. */
static void begin_layer(struct shelf_item *item)
{
	struct shelf *s = item->shelf;
	struct err err = ERR_INIT;
	int r = layer_digest(s, item->slot, &item->digest, &item->weight, &err);

	if (!r)
		r = shelf_open_index(s, DERIVED_LAYER, INDEX_LAYER, &item->digest, &item->index, &err);
	else
		return settle(item, r, &err);
	if (!r)
		return settle(item, 0, NULL);
	queue_layer(item);
}

/* Holds the layer, which may still be OPENING. */
static struct shelf_item *request_layer(struct shelf *s, int64_t slot)
{
	bool fresh;
	struct shelf_item *item = take(s, SHELF_LAYER, slot, &fresh);

	if (fresh)
		begin_layer(item);
	return item;
}

/* ---- Images ---- */

/* The layers of an image, while it is being opened. */
struct layers {
	int64_t slots[LIMIT_MANIFEST_REFS];
	struct digest digests[LIMIT_MANIFEST_REFS];
	struct shelf_item *items[LIMIT_MANIFEST_REFS];	/* held, or NULL */
	const struct index *indexes[LIMIT_MANIFEST_REFS];
	size_t count;
	struct digest image;
	struct shelf *shelf;
	struct db *db;
	struct err *err;
};

static void layers_free(struct layers *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i])
			shelf_put(l->items[i]);
	free(l);
}
DEFINE_CLEANUP(cleanup_layers, struct layers *, layers_free)

/* A layer that the image's repository doesn't hold isn't the image's to show, whoever else holds it: a manifest may name what it likes. */
static int note_layer(void *arg, const struct ref_row *ref)
{
	struct layers *l = arg;
	struct blob_row blob;
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (l->count >= LIMIT_MANIFEST_REFS)
		return err_set(l->err, ERR_CORRUPT, "the image has more than %d layers", LIMIT_MANIFEST_REFS);
	r = blob_in_repo(l->db, ref->repository_id, &ref->digest, &blob, l->err);
	if (r <= 0)
		return r ? r : err_set(l->err, ERR_IO, "layer %s isn't in the repository: push it", digest_format(&ref->digest, text));
	if (blob.id > SHELF_SLOT_MAX)
		return err_set(l->err, ERR_UNSUPPORTED, "the registry has had more blobs than a node's number tells apart");
	l->slots[l->count] = blob.id;
	l->digests[l->count++] = ref->digest;
	return 0;
}

static int list_layers(struct shelf *s, int64_t image, struct layers *l, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct image_row row;
	int r = tree_reader(s->tree, &rd, err);

	if (!r)
		r = image_by_id(rd.db, image, &row, err);
	if (r <= 0)
		return r ? r : err_set(err, ERR_NOT_FOUND, "the image is gone");
	l->shelf = s;
	l->image = row.digest;
	l->db = rd.db;
	l->err = err;
	return ref_list(rd.db, image, ROLE_LAYER, 0, note_layer, l, err);
}

/* Images of the same layers share an index. */
static int list_digest(const struct layers *l, struct digest *out, struct err *err)
{
	auto_buf struct buf all = BUF_INIT;

	for (size_t i = 0; i < l->count; i++)
		buf_add(&all, &l->digests[i], digest_size(&l->digests[i]));
	return digest_of(DIGEST_SHA256, all.data, all.len, out, err);
}

/* All are begun before the first is waited for. */
static int get_layers(struct shelf *s, struct layers *l, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < l->count; i++) {
		l->items[i] = request_layer(s, l->slots[i]);
		if (!l->items[i])
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	for (size_t i = 0; !r && i < l->count; i++) {
		struct shelf_item *item = l->items[i];

		l->items[i] = NULL;
		r = await(item, &l->items[i], err);
		if (!r)
			l->indexes[i] = item->index;
	}
	return r;
}

static int make_merged(void *arg, int fd, struct err *err)
{
	const struct layers *l = arg;
	char text[DIGEST_TEXT_MAX + 1], why[ERR_TEXT_MAX];
	int r = merge_index(l->indexes, l->digests, l->count, shelf_is_stopping, l->shelf, fd, err);

	if (r != -EIO || !err)
		return r;
	snprintf(why, sizeof(why), "%.350s", err->text);
	return err_set(err, err->reason, "the layers of image %s can't be merged: %s", digest_format(&l->image, text), why);
}

static int merge_now(struct shelf_item *item, struct layers *l, struct err *err)
{
	struct shelf *s = item->shelf;
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };
	int r = get_layers(s, l, err);

	if (!r)
		r = shelf_work_begin(s, SHELF_MERGE, err);
	if (r)
		return r;
	r = begin_index(s, DERIVED_IMAGE, INDEX_IMAGE, &item->digest, &draft, &item->index, err);
	if (r > 0 || is_full(r))
		r = make_index(item, &draft, INDEX_IMAGE, make_merged, l, err);
	shelf_work_end(s, SHELF_MERGE);
	return r;
}

/* Layers' indexes that a merge found damaged are discarded. */
static bool discard_layers(struct layers *l)
{
	bool any = false;

	for (size_t i = 0; i < l->count; i++) {
		if (l->items[i] && l->indexes[i] && index_check(l->indexes[i], NULL)) {
			shelf_discard(l->items[i]);
			any = true;
		}
		if (l->items[i])
			shelf_put(l->items[i]);
		l->items[i] = NULL;
		l->indexes[i] = NULL;
	}
	return any;
}

static int merge(struct shelf_item *item, struct layers *l, struct err *err)
{
	int r = merge_now(item, l, err);

	/* A merge ends at the first that it finds. */
	for (size_t i = 0; r == -EIO && i < l->count && discard_layers(l); i++)
		r = merge_now(item, l, err);
	return r;
}

/* Whether an index is of these layers: its leaves name them by number. */
static bool is_of(const struct index *ix, const struct layers *l)
{
	bool same = index_layer_count(ix) == l->count;

	for (size_t i = 0; same && i < l->count; i++)
		same = digest_equal(index_layer(ix, i), &l->digests[i]);
	return same;
}

static int open_image(struct shelf_item *item, struct err *err)
{
	CLEANUP(cleanup_layers) struct layers *l = calloc(1, sizeof(*l));
	struct shelf *s = item->shelf;
	int r = l ? list_layers(s, item->slot, l, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (!r)
		r = list_digest(l, &item->digest, err);
	if (r)
		return r;
	item->slots = malloc((l->count + 1) * sizeof(*item->slots));
	if (!item->slots)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	memcpy(item->slots, l->slots, l->count * sizeof(*item->slots));
	r = shelf_open_index(s, DERIVED_IMAGE, INDEX_IMAGE, &item->digest, &item->index, err);
	if (!r && !is_of(item->index, l)) {
		index_close(steal(&item->index));
		r = derived_remove(s->derived, &(struct derived_name){ DERIVED_IMAGE, item->digest, 0 }, err);
		return r ? r : merge(item, l, err);
	}
	return r ? merge(item, l, err) : 0;
}

/* Merged by who asks first, for whom that is waiting. */
static void open_now(struct shelf_item *item)
{
	struct err failure = ERR_INIT;

	settle(item, open_image(item, &failure), &failure);
}

static struct shelf_item *request_image(struct shelf *s, int64_t slot)
{
	bool fresh;
	struct shelf_item *item = take(s, SHELF_IMAGE, slot, &fresh);

	if (fresh)
		open_now(item);
	return item;
}

int shelf_get(struct shelf *s, enum shelf_kind kind, int64_t slot, struct shelf_item **out, struct err *err)
{
	struct err local, *why = err ? err : &local;
	int r;

	/* Again, if it failed only because who had begun with it has gone. */
	do {
		struct shelf_item *item = kind == SHELF_LAYER ? request_layer(s, slot) : request_image(s, slot);

		if (!item)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		r = await(item, out, why);
	} while (r && why->reason == ERR_INTERRUPTED && !waiting_is_over());
	return r;
}

/* An image whose layers are to be indexed. */
struct prepare_job {
	struct work_job job;
	struct shelf *shelf;
	int64_t image;
};

static void want(struct shelf_item *item)
{
	if (!item)
		return;
	pthread_mutex_lock(&item->shelf->lock);
	item->wanted = true;
	pthread_mutex_unlock(&item->shelf->lock);
}

static void prepare_run(struct work_job *job)
{
	struct prepare_job *p = container_of(job, struct prepare_job, job);
	struct layers *l = calloc(1, sizeof(*l));
	struct turn turn;

	shelf_turn_begin(&turn, p->shelf, false);
	if (l && !shelf_is_stopping(p->shelf) && list_layers(p->shelf, p->image, l, NULL) == 0)
		for (size_t i = 0; i < l->count; i++) {
			l->items[i] = request_layer(p->shelf, l->slots[i]);
			want(l->items[i]);
		}
	if (l)
		layers_free(l);
	free(p);
}

void shelf_prepare(struct shelf *s, int64_t image)
{
	struct prepare_job *p = malloc(sizeof(*p));

	if (!p)
		return;
	*p = (struct prepare_job){ .job.fn = prepare_run, .shelf = s, .image = image };
	shelf_submit(s, &p->job);
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
