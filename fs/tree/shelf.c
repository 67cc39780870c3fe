/*
 * shelf.c: what is opened, in one table; layers are indexed by a pool of threads, images merged by who asks.
 *
 *	absent ──get──> OPENING ──> READY ───nobody holds it, and there are too many──> absent
 *	                   └──────> FAILED ──the same, or it may be tried again───────> absent
 *
 * Invariants:
 * 1. An item's index, slots and digest don't change while it is READY, and it stays while it is held.
 * 2. A thread of the pool waits for nothing of the shelf's, so whoever waits for it gets an end.
 * 3. Nothing is read or made with the lock held.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/base/timestamp.h"
#include "fs/base/work.h"
#include "fs/image/layer.h"
#include "fs/image/merge.h"
#include "fs/store/derived.h"
#include "fs/tree/state.h"

#define BUCKETS 1024
#define ITEMS_MAX 512			/* opened, that nobody holds: each is a mapping, a layer a descriptor too */
#define MAKERS 2			/* threads that index layers; on 2 cores a third makes none faster */
#define NICENESS 10
#define SPAN_BUDGET (48 * 1024 * 1024)	/* decoded spans in memory: tar order and directory order differ by less */
#define SPAN_THREADS 2
#define RETRY (30 * INT64_C(1000000000))

enum state { OPENING, READY, FAILED };

/* How to read a layer's bytes; made when the first file of it is opened. */
struct bytes {
	struct content *blob;		/* or its decoded copy */
	struct index *copy_index;	/* or NULL */
	struct span_table table;
	struct span_layer *spans;
};

struct shelf_item {
	struct shelf *shelf;
	struct work_job job;
	enum shelf_kind kind;
	int64_t slot;
	struct digest digest;		/* a layer's, or of the list of an image's */
	struct index *index;
	int64_t *slots;			/* an image's layers */
	pthread_mutex_t opening;	/* held while bytes is made: decoding a copy takes as long as its readers would wait anyway */
	struct bytes bytes;		/* guarded by opening until made, constant then */
	/* All guarded by shelf.lock: */
	enum state state;
	unsigned holds;
	int64_t failed_at;
	struct err err;			/* FAILED */
	struct shelf_item *next;	/* in its bucket */
	struct shelf_item *newer, *older;	/* by use; not held only */
};

struct shelf {
	struct tree *tree;
	struct derived *derived;
	struct span_cache *cache;
	struct work *makers;
	atomic_bool stopping;
	atomic_llong indexed;
	pthread_mutex_t lock;
	pthread_cond_t settled;		/* an item became READY or FAILED */
	struct shelf_item *buckets[BUCKETS];	/* guarded by lock, and what follows */
	struct shelf_item *newest, *oldest;
	unsigned idle;
};

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
	span_layer_free(item->bytes.spans);
	index_close(item->bytes.copy_index);
	content_free(item->bytes.blob);
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
}

void shelf_put(struct shelf_item *item)
{
	struct shelf *s = item->shelf;
	struct shelf_item *old = NULL;

	pthread_mutex_lock(&s->lock);
	if (--item->holds == 0) {
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

/* Ends the opener's hold. */
static void settle(struct shelf_item *item, int r, const struct err *err)
{
	struct shelf *s = item->shelf;

	pthread_mutex_lock(&s->lock);
	item->state = r ? FAILED : READY;
	if (r) {
		item->err = *err;
		item->failed_at = timestamp_now();
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

/* Until it is settled; what failed is put back. */
static int await(struct shelf_item *item, struct shelf_item **out, struct err *err)
{
	struct shelf *s = item->shelf;
	bool failed;

	pthread_mutex_lock(&s->lock);
	while (item->state == OPENING)
		pthread_cond_wait(&s->settled, &s->lock);
	failed = item->state == FAILED;
	if (failed && err)
		*err = item->err;
	pthread_mutex_unlock(&s->lock);
	if (!failed) {
		*out = item;
		return 0;
	}
	int r = -item->err.errnum;

	shelf_put(item);
	return r;
}

/* ---- Layers ---- */

static bool is_stopping(void *arg)
{
	const struct shelf *s = arg;

	return atomic_load(&s->stopping);
}

/* Opens an index that is there; one that is damaged or old is removed, to be made again. */
static int open_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		      struct index **out, struct err *err)
{
	auto_fd int fd = -1;
	int r = derived_open(s->derived, kind, key, &fd, err);

	if (!r)
		r = index_open(fd, index, out, err);
	if (r == -EIO)
		(void)!derived_remove(s->derived, kind, key, NULL);
	return r;
}

/* Names the layer whose fault it is, and what can be done. */
static int blame(struct err *err, int r, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1], why[ERR_TEXT_MAX];

	if (r == -ENOENT)
		return err_set(err, ERR_IO, "layer %s isn't here: push it", digest_format(d, text));
	if (r != -EIO || !err)
		return r;
	snprintf(why, sizeof(why), "%.300s", err->text);
	return err_set(err, err->reason, "layer %s can't be looked into: %s", digest_format(d, text), why);
}

struct draft {
	struct derived *derived;
	struct derived_draft file;
};

static void draft_end(struct draft *d)
{
	derived_end(d->derived, &d->file);
}
#define auto_draft CLEANUP(draft_end)

static int index_layer_now(struct shelf *s, const struct digest *d, struct index **out, struct err *err)
{
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };
	auto_content struct content *blob = NULL;
	int r = blame(err, store_blob_open(s->tree->store, d, &blob, err), d);

	if (!r)
		r = derived_begin(s->derived, DERIVED_LAYER, d, &draft.file, err);
	if (r <= 0)
		return r ? r : open_index(s, DERIVED_LAYER, INDEX_LAYER, d, out, err);
	r = blame(err, layer_index(blob, is_stopping, s, draft.file.fd, err), d);
	if (!r)
		r = index_open(draft.file.fd, INDEX_LAYER, out, err);
	if (!r)
		r = derived_commit(s->derived, &draft.file, err);
	atomic_fetch_add(&s->indexed, !r);
	return r;
}

/* In a thread of the pool. */
static void layer_job(struct work_job *job)
{
	struct shelf_item *item = container_of(job, struct shelf_item, job);
	struct shelf *s = item->shelf;
	struct err err = ERR_INIT;
	int r;

	/* This thread's only: Linux keeps niceness for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
	r = index_layer_now(s, &item->digest, &item->index, &err);
	settle(item, r, &err);
}

static int layer_digest(struct shelf *s, int64_t slot, struct digest *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct blob_row row;
	int r = tree_reader(s->tree, &rd, err);

	if (!r)
		r = blob_by_id(rd.db, slot, &row, err);
	if (r <= 0)
		return r ? r : err_set(err, ERR_NOT_FOUND, "the layer is gone");
	*out = row.digest;
	return row.bad ? err_set(err, ERR_CORRUPT, "the layer is damaged, or lost: push it again") : 0;
}

/* An index that is there is opened here; making one is the pool's. */
static void begin_layer(struct shelf_item *item)
{
	struct shelf *s = item->shelf;
	struct err err = ERR_INIT;
	int r = layer_digest(s, item->slot, &item->digest, &err);

	if (!r)
		r = open_index(s, DERIVED_LAYER, INDEX_LAYER, &item->digest, &item->index, &err);
	else
		return settle(item, r, &err);
	if (!r)
		return settle(item, 0, NULL);
	item->job.fn = layer_job;
	work_submit(s->makers, &item->job);
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

static int note_layer(void *arg, const struct ref_row *ref)
{
	struct layers *l = arg;
	struct blob_row blob;
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (l->count >= LIMIT_MANIFEST_REFS)
		return err_set(l->err, ERR_CORRUPT, "the image has more than %d layers", LIMIT_MANIFEST_REFS);
	r = blob_by_digest(l->db, &ref->digest, &blob, l->err);
	if (r <= 0)
		return r ? r : err_set(l->err, ERR_IO, "layer %s isn't here: push it", digest_format(&ref->digest, text));
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

static int merge_now(struct shelf *s, const struct digest *key, struct layers *l, struct index **out, struct err *err)
{
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };
	int r = get_layers(s, l, err);

	if (!r)
		r = derived_begin(s->derived, DERIVED_IMAGE, key, &draft.file, err);
	if (r <= 0)
		return r ? r : open_index(s, DERIVED_IMAGE, INDEX_IMAGE, key, out, err);
	r = merge_index(l->indexes, l->digests, l->count, draft.file.fd, err);
	if (!r)
		r = index_open(draft.file.fd, INDEX_IMAGE, out, err);
	return r ? r : derived_commit(s->derived, &draft.file, err);
}

static void expect(struct shelf *s, enum derived_kind kind, const struct digest *key)
{
	auto_fd int fd = -1;

	if (!derived_open(s->derived, kind, key, &fd, NULL))
		index_expect(fd);
}

/* Who asks for one file waits for two indexes: the image's, and that of the file's layer. The disk reads both at once. */
static void expect_indexes(struct shelf *s, const struct digest *image, const struct layers *l)
{
	expect(s, DERIVED_IMAGE, image);
	for (size_t i = 0; i < l->count; i++)
		expect(s, DERIVED_LAYER, &l->digests[i]);
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
	expect_indexes(s, &item->digest, l);
	r = open_index(s, DERIVED_IMAGE, INDEX_IMAGE, &item->digest, &item->index, err);
	return r ? merge_now(s, &item->digest, l, &item->index, err) : 0;
}

int shelf_get(struct shelf *s, enum shelf_kind kind, int64_t slot, struct shelf_item **out, struct err *err)
{
	struct err failure = ERR_INIT;
	bool fresh = false;
	struct shelf_item *item = kind == SHELF_LAYER ? request_layer(s, slot) : take(s, kind, slot, &fresh);

	if (!item)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fresh)
		settle(item, open_image(item, &failure), &failure);
	return await(item, out, err);
}

void shelf_prepare(struct shelf *s, int64_t image)
{
	CLEANUP(cleanup_layers) struct layers *l = calloc(1, sizeof(*l));

	if (!l || list_layers(s, image, l, NULL) < 0)
		return;
	for (size_t i = 0; i < l->count; i++)
		l->items[i] = request_layer(s, l->slots[i]);
}

const struct index *shelf_index(const struct shelf_item *item)
{
	return item->index;
}

int64_t shelf_layer_slot(const struct shelf_item *item, uint32_t layer)
{
	return item->slots[layer];
}

/* ---- Bytes ---- */

/* Makes the decoded copy of a layer that can't be entered anywhere; *fd is the copy. 0: another process has made it meanwhile. */
static int make_copy(struct shelf *s, const struct digest *d, struct index **ix, int *fd, struct err *err)
{
	auto_draft struct draft copy = { .derived = s->derived, .file = { .fd = -1 } };
	auto_draft struct draft index = { .derived = s->derived, .file = { .fd = -1 } };
	auto_content struct content *blob = NULL;
	int r = blame(err, store_blob_open(s->tree->store, d, &blob, err), d);

	if (!r)
		r = derived_begin(s->derived, DERIVED_COPY, d, &copy.file, err);
	if (r <= 0)
		return r;
	r = MIN(derived_begin(s->derived, DERIVED_COPY_INDEX, d, &index.file, err), 0);
	if (!r)
		r = blame(err, layer_copy(blob, is_stopping, s, copy.file.fd, index.file.fd, err), d);
	if (!r)
		r = index_open(index.file.fd, INDEX_COPY, ix, err);
	/* The index comes last: where it is, the copy is whole. */
	if (!r)
		r = derived_commit(s->derived, &copy.file, err);
	if (!r)
		r = derived_commit(s->derived, &index.file, err);
	if (r)
		return r;
	*fd = steal_fd(&copy.file.fd);
	return 1;
}

static int open_copy(struct shelf *s, const struct digest *d, struct bytes *b, struct err *err)
{
	auto_fd int fd = -1;
	struct stat st;
	int r = 0;

	while (!r && fd < 0) {
		index_close(b->copy_index);
		b->copy_index = NULL;
		if (open_index(s, DERIVED_COPY_INDEX, INDEX_COPY, d, &b->copy_index, err) ||
		    derived_open(s->derived, DERIVED_COPY, d, &fd, err)) {
			index_close(b->copy_index);
			b->copy_index = NULL;
			r = make_copy(s, d, &b->copy_index, &fd, err);
		}
	}
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "can't look at a decoded copy");
	return content_from_fd(steal_fd(&fd), st.st_size, &b->blob, err);
}

static int open_bytes(struct shelf_item *item, struct bytes *b, struct err *err)
{
	struct shelf *s = item->shelf;
	int r;

	b->table = index_spans(item->index);
	r = b->table.coding == SPAN_NONE ? open_copy(s, &item->digest, b, err) :
					blame(err, store_blob_open(s->tree->store, &item->digest, &b->blob, err),
					      &item->digest);

	if (!r && b->copy_index)
		b->table = index_spans(b->copy_index);
	if (!r)
		r = span_table_check(&b->table, content_size(b->blob), err);
	return r ? r : span_layer_new(s->cache, &b->table, b->blob, &b->spans, err);
}

static int need_bytes(struct shelf_item *item, struct err *err)
{
	struct bytes *b = &item->bytes;
	int r = 0;

	pthread_mutex_lock(&item->opening);
	if (!b->spans) {
		r = open_bytes(item, b, err);
		if (r) {
			index_close(b->copy_index);
			content_free(b->blob);
			*b = (struct bytes){ 0 };
		}
	}
	pthread_mutex_unlock(&item->opening);
	return r;
}

/* An open file. */
struct file {
	struct shelf_item *layer;
	const struct index_inode *inode;
};

static ssize_t read_extents(const struct file *f, char *data, size_t len, int64_t offset, struct err *err)
{
	const struct index_extent *e = index_extents(f->layer->index, f->inode);
	uint64_t start = (uint64_t)offset, end = start + len;

	memset(data, 0, len);
	for (uint32_t i = 0; i < f->inode->count; i++) {
		uint64_t from = MAX(start, e[i].offset), to = MIN(end, e[i].offset + e[i].size);
		ssize_t n;

		if (from >= to)
			continue;
		n = span_read(f->layer->bytes.spans, data + (from - start), to - from,
			      (int64_t)(e[i].data + (from - e[i].offset)), err);
		if (n < 0)
			return n;
		if ((uint64_t)n < to - from)
			return err_set(err, ERR_CORRUPT, "a layer ends inside a file");
	}
	return (ssize_t)len;
}

static ssize_t read_file(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	const struct file *f = arg;
	ssize_t n;

	if (f->inode->flags & INDEX_SPARSE)
		return read_extents(f, data, len, offset, err);
	n = span_read(f->layer->bytes.spans, data, len, (int64_t)f->inode->data + offset, err);
	return n >= 0 && (size_t)n < len ? err_set(err, ERR_CORRUPT, "a layer ends inside a file") : n;
}

static void release_file(void *arg)
{
	struct file *f = arg;

	shelf_put(f->layer);
	free(f);
}

int shelf_open(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err)
{
	static const struct content_reader reader = { read_file, release_file };
	auto_shelf_item struct shelf_item *layer = NULL;
	auto_free struct file *f = calloc(1, sizeof(*f));
	int r = f ? shelf_get(s, SHELF_LAYER, layer_slot, &layer, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (!r)
		r = need_bytes(layer, err);
	if (r)
		return r;
	f->inode = index_inode(layer->index, inode);
	if (!f->inode || !S_ISREG(f->inode->mode) || f->inode->flags & INDEX_LINK)
		return err_set(err, ERR_CORRUPT, "an image's index doesn't fit its layer's");
	f->layer = steal(&layer);
	return content_from_reader(&reader, steal(&f), (int64_t)index_inode(f->layer->index, inode)->size, out, err);
}

/* ---- The shelf ---- */

int shelf_new(struct tree *tree, struct shelf **out, struct err *err)
{
	struct shelf *s = calloc(1, sizeof(*s));
	struct digest ignored;
	int r;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	s->tree = tree;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->settled, NULL);
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

void shelf_free(struct shelf *s)
{
	if (!s)
		return;
	atomic_store(&s->stopping, true);
	work_free(s->makers);
	for (size_t i = 0; i < BUCKETS; i++)
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
	span_cache_stats(s->cache, &out->spans);
}
