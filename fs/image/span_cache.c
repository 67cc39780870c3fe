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
 * 2. Kept entries are in the list of use; held is the sum of their memory.
 * 3. held <= budget, or every kept entry is being read.
 * 4. ahead <= threads: a job never waits for another, so whoever waits for an entry waits for its own span only.
 * 5. An entry's references: one for its bucket, one for each reader, waiter or decoder.
 */
#include "fs/base/base.h"
#include "fs/image/span.h"

#include "fs/base/work.h"
#include "fs/image/inflate.h"
#include "fs/image/zstd.h"

#include <pthread.h>
#include <sys/mman.h>

/* Readers of one layer at a time whose reading is told from jumping about. */
#define STREAMS 8
/* How far before where one ended a read may begin, and still go on with it: the kernel's read-ahead comes by several threads, in
 * any order. And how far behind it: who reads small files in the layer's order skips others. */
#define NEAR ((int64_t)256 * 1024)
#define SKIP ((int64_t)4 * SPAN_TARGET)
/* Bytes read in a row, without those skipped, after which the next span is decoded ahead. */
#define RUN_AHEAD ((int64_t)SPAN_TARGET / 4)

/* Memory kept for the next entries: so many, of at most so many bytes. */
#define SPARES 8
#define SPARE_MAX ((size_t)2 * SPAN_TARGET)

enum state { DECODING, KEPT, GONE };

struct entry {
	struct span_layer *layer;
	size_t span;
	size_t size;		/* bytes in data, once it is kept */
	size_t room;		/* of data: whole pieces */
	uint8_t *data;		/* the decoder's until it is kept, then unchanging */
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

struct spare {
	uint8_t *data;
	size_t size;
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
	unsigned ahead;		/* jobs that decode ahead */
	struct spare spares[SPARES];
	size_t next_spare;
	struct span_stats stats;
};

struct ahead_job {
	struct work_job job;
	struct entry *entry;
};

/* ---- Memory, with the lock held ---- */

/*
 * The system's, not malloc()'s: what many threads allocate and free in pieces of 128 KiB to some MiB stays in their
 * arenas, and the budget is to be what the process has. (Eight readers of a budget of 64 MiB: 172 MB resident by malloc(), 45 MB
 * of it still when all was freed; this way 85 and 7.) Some that was just freed is kept, as the kernel takes a sixth of the time of
 * decoding for handing out new pages; it serves again for anything of half its size or more.
 *
 * memory_new() says in `size` what it gave.
 */
static uint8_t *memory_new(struct span_cache *c, size_t *size)
{
	struct spare *best = NULL;
	void *data;

	for (size_t i = 0; i < SPARES; i++) {
		struct spare *s = &c->spares[i];

		if (s->data && s->size >= *size && s->size <= *size * 2 && (!best || s->size < best->size))
			best = s;
	}
	if (best) {
		*size = best->size;
		return steal(&best->data);
	}
	data = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return data == MAP_FAILED ? NULL : data;
}

static void memory_free(struct span_cache *c, uint8_t *data, size_t size)
{
	struct spare *s = &c->spares[c->next_spare];

	if (size <= SPARE_MAX) {
		uint8_t *instead = s->data;
		size_t instead_size = s->size;

		*s = (struct spare){ .data = data, .size = size };
		c->next_spare = (c->next_spare + 1) % SPARES;
		data = instead;
		size = instead_size;
	}
	if (data)
		munmap(data, size);
}

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

static void unref(struct span_cache *c, struct entry *e)
{
	if (--e->refs)
		return;
	pthread_cond_destroy(&e->done);
	memory_free(c, e->data, e->room);
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
		c->held -= e->room;
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
	e->room = (size + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE;
	e->data = memory_new(c, &e->room);
	if (!e->data) {
		free(e);
		return NULL;
	}
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
	ssize_t n = span_decode(e->layer->table, e->layer->blob, e->span, e->size, e->data, err);
	struct entry *shorter;

	pthread_mutex_lock(&c->lock);
	c->stats.decoded++;
	if (n < 0) {
		drop(c, e);
		return (int)n;
	}
	c->stats.decoded_bytes += n;
	shorter = find(c, e->layer, e->span, KEPT);
	if (shorter)
		drop(c, shorter);
	e->state = KEPT;
	c->held += e->room;
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
	for (size_t i = 0; i < SPARES; i++)
		if (c->spares[i].data)
			munmap(c->spares[i].data, c->spares[i].size);
	free(c->buckets);
	inflate_free_spares();
	zstd_free_spares();
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
	memcpy(data, e->data + from, len);
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
	len = (size_t)MIN((uint64_t)len, (uint64_t)(t->size - offset));
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
