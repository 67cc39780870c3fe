/*
 * span_cache.c: decoded spans, kept in memory.
 *
 * An entry is the beginning of a span, or all of it:
 *
 *	        absent ──> decoding ──> kept ──────────> gone, freed with its last reference
 *	                      │          evicted, its layer freed,
 *	                      v          or a longer one was decoded
 *	                    failed: gone
 *
 * It never grows: who wants more than a kept one has decodes the whole span into another one, while the shorter one still
 * serves. So an entry's bytes don't change once it is kept, and are copied without the lock.
 *
 * Invariants, while the lock isn't held:
 * 1. An entry that is decoding or kept is in its bucket; of one span there is at most one of each, and the decoding one is longer.
 * 2. Kept entries are in the list of use; held is the sum of their rooms' sizes.
 * 3. held <= budget, or every kept entry is being read.
 * 4. ahead <= threads: a job never waits for another, so whoever waits for an entry waits for its own span only.
 * 5. An entry's references: one for its bucket, one for each reader, waiter or decoder.
 */
#include "fs/base/base.h"
#include "fs/image/span.h"

#include "fs/base/work.h"

#include <pthread.h>

/* Readers of one layer at a time whose reading is told from jumping about. */
#define STREAMS 8
/* How far before where one ended a read may begin, and still go on with it: the kernel's read-ahead comes by several threads, in
 * any order. And how far behind it: who reads small files in the layer's order skips others. */
#define NEAR ((int64_t)256 * 1024)
#define SKIP ((int64_t)4 * SPAN_TARGET)
/* Bytes read in a row, without those skipped, after which the next span is decoded ahead. */
#define RUN_AHEAD ((int64_t)SPAN_TARGET / 4)

/* Freed spans' memory is used again: giving it back and getting it anew costs a page fault for each 4 KiB, which together took a
 * quarter of what reading a whole image took. */
#define SPARES 16
#define SPARES_SIZE ((size_t)4 * 1024 * 1024)
#define SPARE_SLACK ((size_t)2 * SPAN_PIECE)	/* of a spare one, beyond what is needed */

enum state { DECODING, KEPT, GONE };

struct room {
	uint8_t *data;
	size_t size;
};

struct entry {
	struct span_layer *layer;
	size_t span;
	size_t size;		/* bytes in data, once it is kept */
	struct room room;	/* none until it is kept */
	/* All guarded by the cache's lock: */
	enum state state;
	unsigned refs;
	struct entry *in_bucket;
	struct entry *newer, *older;	/* the list of use */
	pthread_cond_t done;		/* no longer decoding */
};

/* Where a sequential reader will read next. */
struct stream {
	int64_t next;
	int64_t run;	/* bytes read in a row, without its first read's */
	uint64_t used;	/* the layer's clock */
};

struct span_layer {
	struct span_cache *cache;
	const struct span_table *table;
	const struct content *blob;
	/* Guarded by the cache's lock: */
	struct stream streams[STREAMS];
	uint64_t clock;
	unsigned ahead;		/* jobs that decode ahead for it */
};

struct span_cache {
	size_t budget;
	unsigned threads;
	struct work *work;	/* NULL: no threads */
	size_t bucket_mask;
	pthread_mutex_t lock;
	pthread_cond_t ahead_ended;
	/* All guarded by lock: */
	struct entry **buckets;
	struct entry *newest, *oldest;
	size_t held;
	struct room spares[SPARES];	/* the longest unused first */
	size_t spare_count, spare_size;
	unsigned ahead;		/* jobs that decode ahead */
	struct span_stats stats;
};

struct ahead_job {
	struct work_job job;
	struct entry *entry;
};

/* ---- Entries; all with the lock held, unless it says otherwise ---- */

static struct entry **bucket_of(struct span_cache *c, const struct span_layer *l, size_t span)
{
	uint64_t h = ((uint64_t)(uintptr_t)l >> 4) + span;

	return &c->buckets[(h * UINT64_C(0x9e3779b97f4a7c15) >> 32) & c->bucket_mask];
}

static struct entry *find(struct span_cache *c, const struct span_layer *l, size_t span, enum state state)
{
	struct entry *e = *bucket_of(c, l, span);

	while (e && (e->layer != l || e->span != span || e->state != state))
		e = e->in_bucket;
	return e;
}

static void list_remove(struct span_cache *c, struct entry *e)
{
	*(e->newer ? &e->newer->older : &c->newest) = e->older;
	*(e->older ? &e->older->newer : &c->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void list_add(struct span_cache *c, struct entry *e)
{
	e->newer = NULL;
	e->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = e;
	c->newest = e;
}

static struct room spare_take(struct span_cache *c, size_t i)
{
	struct room room = c->spares[i];

	c->spare_count--;
	c->spare_size -= room.size;
	memmove(&c->spares[i], &c->spares[i + 1], (c->spare_count - i) * sizeof(room));
	return room;
}

/* Memory for that many bytes; called without the lock. */
static struct room room_new(struct span_cache *c, size_t size)
{
	struct room room = { .size = (size + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE };

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->spare_count && !room.data; i++)
		if (c->spares[i].size >= room.size && c->spares[i].size <= room.size + SPARE_SLACK)
			room = spare_take(c, i);
	pthread_mutex_unlock(&c->lock);
	if (!room.data)
		room.data = malloc(room.size);
	return room;
}

static void room_free(struct span_cache *c, struct room room)
{
	if (!room.data || room.size > SPARES_SIZE) {
		free(room.data);
		return;
	}
	while (c->spare_count == SPARES || c->spare_size + room.size > SPARES_SIZE)
		free(spare_take(c, 0).data);
	c->spares[c->spare_count++] = room;
	c->spare_size += room.size;
}

static void unref(struct span_cache *c, struct entry *e)
{
	if (--e->refs)
		return;
	pthread_cond_destroy(&e->done);
	room_free(c, e->room);
	free(e);
}

/* Takes it out of the cache, and wakes who waits for it. */
static void drop(struct span_cache *c, struct entry *e)
{
	struct entry **p = bucket_of(c, e->layer, e->span);

	while (*p != e)
		p = &(*p)->in_bucket;
	*p = e->in_bucket;
	if (e->state == KEPT) {
		list_remove(c, e);
		c->held -= e->room.size;
	}
	e->state = GONE;
	pthread_cond_broadcast(&e->done);
	unref(c, e);
}

/* Keeps the budget, as far as nobody reads what is held. */
static void evict(struct span_cache *c)
{
	struct entry *e = c->oldest, *newer;

	for (; e && c->held > c->budget; e = newer) {
		newer = e->newer;
		if (e->refs == 1)
			drop(c, e);
	}
}

static void release(struct span_cache *c, struct entry *e)
{
	unref(c, e);
	evict(c);
}

/* A new entry, decoding, with a reference for the caller; NULL: no memory. */
static struct entry *entry_new(struct span_cache *c, struct span_layer *l, size_t span, size_t size)
{
	struct entry **bucket = bucket_of(c, l, span);
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->layer = l;
	e->span = span;
	e->size = size;
	e->state = DECODING;
	e->refs = 2;
	pthread_cond_init(&e->done, NULL);
	e->in_bucket = *bucket;
	*bucket = e;
	return e;
}

/* Decodes a new entry; called without the lock, returns with it. A failed one is gone; the caller's reference stays. */
static int entry_decode(struct span_cache *c, struct entry *e, struct err *err)
{
	struct room room = room_new(c, e->size);
	struct entry *shorter;
	ssize_t n;

	if (room.data)
		n = span_decode(e->layer->table, e->layer->blob, e->span, e->size, room.data, err);
	else
		n = err_set(err, ERR_NO_MEMORY, "cannot read a layer: out of memory");
	pthread_mutex_lock(&c->lock);
	c->stats.decoded++;
	if (n < 0) {
		room_free(c, room);
		drop(c, e);
		return (int)n;
	}
	c->stats.decoded_bytes += n;
	shorter = find(c, e->layer, e->span, KEPT);
	if (shorter)
		drop(c, shorter);
	e->room = room;
	e->state = KEPT;
	c->held += e->room.size;
	list_add(c, e);
	pthread_cond_broadcast(&e->done);
	evict(c);
	return 0;
}

static size_t row_size(const struct span_layer *l, size_t span)
{
	return l->table->rows[span].size;
}

/* How far to decode a span of which `want` bytes are wanted, and `kept` (or NULL) has fewer. */
static size_t goal_of(const struct span_layer *l, size_t span, size_t want, const struct entry *kept, bool sequential)
{
	size_t whole = (want + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE;

	return kept || sequential ? row_size(l, span) : MIN(whole, row_size(l, span));
}

/*
 * A kept entry with `want` bytes of a span at least, decoded if need be, and a reference to it: the lock is held when
 * it is called and when it returns, not meanwhile. *hit becomes false if it wasn't there.
 */
static int entry_get(struct span_layer *l, size_t span, size_t want, bool sequential, bool *hit, struct entry **out,
		     struct err *err)
{
	struct span_cache *c = l->cache;
	struct entry *kept, *decoding;
	int ret;

	for (;;) {
		kept = find(c, l, span, KEPT);
		if (kept && kept->size >= want) {
			list_remove(c, kept);
			list_add(c, kept);
			kept->refs++;
			*out = kept;
			return 0;
		}
		*hit = false;
		decoding = find(c, l, span, DECODING);
		if (!decoding)
			break;
		/* Kept or gone, and kept ones may be evicted before this thread runs: looks again. */
		decoding->refs++;
		while (decoding->state == DECODING)
			pthread_cond_wait(&decoding->done, &c->lock);
		if (decoding->state == KEPT && decoding->size >= want) {
			*out = decoding;
			return 0;
		}
		release(c, decoding);
	}
	*out = entry_new(c, l, span, goal_of(l, span, want, kept, sequential));
	if (!*out)
		return err_set(err, ERR_NO_MEMORY, "cannot read a layer: out of memory");
	pthread_mutex_unlock(&c->lock);
	ret = entry_decode(c, *out, err);
	if (ret < 0)
		unref(c, *out);
	return ret;
}

/* ---- Decoding ahead ---- */

static void run_ahead(struct work_job *work_job)
{
	struct ahead_job *job = container_of(work_job, struct ahead_job, job);
	struct entry *e = job->entry;
	struct span_layer *l = e->layer;
	struct span_cache *c = l->cache;

	/* Whoever reads a damaged span is told then. */
	if (entry_decode(c, e, NULL) < 0)
		unref(c, e);
	else
		release(c, e);
	l->ahead--;
	c->ahead--;
	pthread_cond_broadcast(&c->ahead_ended);
	pthread_mutex_unlock(&c->lock);
	free(job);
}

/* Has a span decoded ahead, if it isn't there, a thread is free and the budget has room for it beside what is being read. */
static void start_ahead(struct span_layer *l, size_t span)
{
	struct span_cache *c = l->cache;
	struct ahead_job *job;
	struct entry *kept;

	if (span >= l->table->count || c->ahead >= c->threads || row_size(l, span) > c->budget / 4)
		return;
	kept = find(c, l, span, KEPT);
	if ((kept && kept->size == row_size(l, span)) || find(c, l, span, DECODING))
		return;
	job = calloc(1, sizeof(*job));
	if (!job)
		return;
	job->job.fn = run_ahead;
	job->entry = entry_new(c, l, span, row_size(l, span));
	if (!job->entry) {
		free(job);
		return;
	}
	l->ahead++;
	c->ahead++;
	work_submit(c->work, &job->job);
}

/* Notes a read, with the lock held. The bytes read in a row, those included: 0 if it doesn't begin near where another ended. */
static int64_t note_read(struct span_layer *l, int64_t offset, size_t len)
{
	struct stream *s = l->streams, *oldest = s;
	int64_t end = offset + (int64_t)len;

	for (; s < l->streams + STREAMS; s++) {
		if (s->used && offset >= s->next - NEAR && offset <= s->next + SKIP)
			break;
		if (s->used < oldest->used)
			oldest = s;
	}
	if (s == l->streams + STREAMS) {
		s = oldest;
		*s = (struct stream){ .next = end };
	}
	if (end > s->next) {
		s->run += MIN(end - s->next, (int64_t)len);
		s->next = end;
	}
	s->used = ++l->clock;
	return s->run;
}

/* ---- The cache ---- */

int span_cache_new(size_t budget, unsigned threads, struct span_cache **out, struct err *err)
{
	struct span_cache *c = calloc(1, sizeof(*c));
	size_t buckets = 64;
	int ret = 0;

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "cannot make a cache: out of memory");
	while (buckets < budget / SPAN_PIECE && buckets < 65536)
		buckets *= 2;
	c->budget = budget;
	c->threads = threads;
	c->bucket_mask = buckets - 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->ahead_ended, NULL);
	c->buckets = calloc(buckets, sizeof(struct entry *));
	if (!c->buckets)
		ret = err_set(err, ERR_NO_MEMORY, "cannot make a cache: out of memory");
	else if (threads)
		ret = work_new(threads, &c->work, err);
	if (ret < 0) {
		span_cache_free(c);
		return ret;
	}
	*out = c;
	return 0;
}

void span_cache_free(struct span_cache *c)
{
	if (!c)
		return;
	work_free(c->work);
	while (c->oldest)
		drop(c, c->oldest);
	while (c->spare_count)
		free(spare_take(c, 0).data);
	free(c->buckets);
	pthread_cond_destroy(&c->ahead_ended);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void span_cache_stats(struct span_cache *c, struct span_stats *out)
{
	pthread_mutex_lock(&c->lock);
	*out = c->stats;
	out->held_bytes = (int64_t)c->held;
	pthread_mutex_unlock(&c->lock);
}

/* ---- Layers ---- */

int span_layer_new(struct span_cache *c, const struct span_table *t, const struct content *blob,
		   struct span_layer **out, struct err *err)
{
	struct span_layer *l;

	if (t->coding == SPAN_NONE)
		return err_set(err, ERR_UNSUPPORTED, "a layer with no places to begin decoding is read from a copy");
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, ERR_NO_MEMORY, "cannot open a layer: out of memory");
	l->cache = c;
	l->table = t;
	l->blob = blob;
	*out = l;
	return 0;
}

void span_layer_free(struct span_layer *l)
{
	struct span_cache *c;
	struct entry *e, *newer;

	if (!l)
		return;
	c = l->cache;
	pthread_mutex_lock(&c->lock);
	while (l->ahead)
		pthread_cond_wait(&c->ahead_ended, &c->lock);
	for (e = c->oldest; e; e = newer) {
		newer = e->newer;
		if (e->layer == l)
			drop(c, e);
	}
	pthread_mutex_unlock(&c->lock);
	free(l);
}

/* Copies what a read wants of one span. */
static int read_span(struct span_layer *l, size_t span, size_t from, size_t len, void *data, int64_t run, bool *hit,
		     struct err *err)
{
	struct span_cache *c = l->cache;
	struct entry *e = NULL;
	int ret;

	pthread_mutex_lock(&c->lock);
	/* First the span that is wanted ahead: it is decoded beside this one. */
	if (run >= RUN_AHEAD)
		start_ahead(l, span + 1);
	ret = entry_get(l, span, from + len, run >= RUN_AHEAD, hit, &e, err);
	pthread_mutex_unlock(&c->lock);
	if (ret < 0)
		return ret;
	memcpy(data, e->room.data + from, len);
	pthread_mutex_lock(&c->lock);
	release(c, e);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

ssize_t span_read(struct span_layer *l, void *data, size_t len, int64_t offset, struct err *err)
{
	const struct span_table *t = l->table;
	struct span_cache *c = l->cache;
	uint8_t *to = data;
	bool hit = true;
	size_t left;
	int64_t run;

	if (offset < 0)
		return err_set(err, ERR_ARGUMENT, "cannot read at offset %" PRId64, offset);
	if (offset >= t->size || !len)
		return 0;
	len = (size_t)MIN((uint64_t)MIN(len, (size_t)SSIZE_MAX), (uint64_t)(t->size - offset));
	if (t->coding == SPAN_PLAIN)
		return content_read(l->blob, data, len, offset, err);
	pthread_mutex_lock(&c->lock);
	run = note_read(l, offset, len);
	pthread_mutex_unlock(&c->lock);
	left = len;
	for (size_t span = span_find(t, offset); left; span++) {
		const struct span_row *row = &t->rows[span];
		size_t from = (size_t)((uint64_t)offset - row->out);
		size_t n = MIN(left, row->size - from);
		int ret = read_span(l, span, from, n, to, run, &hit, err);

		if (ret < 0)
			return ret;
		to += n;
		offset += (int64_t)n;
		left -= n;
	}
	if (hit) {
		pthread_mutex_lock(&c->lock);
		c->stats.hits++;
		pthread_mutex_unlock(&c->lock);
	}
	return (ssize_t)len;
}
