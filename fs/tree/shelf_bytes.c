/*
 * shelf_bytes.c: files out of layers: by spans of the blob, of its decoded copy, or by themselves.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include "fs/image/layer.h"
#include "fs/tree/state.h"

#define READ_SIZE (256 * 1024)
#define HOT_OPENS 2		/* of a file, before it is taken out of its layer */
#define HOT_SIZE (128 * 1024)	/* smaller ones are read as fast out of a decoded span */
#define HOT_JOBS 8		/* being taken out, or waiting for it */

/* Makes the decoded copy of a layer that can't be entered anywhere; *fd is the copy. 0: another process has made it meanwhile. */
static int make_copy(struct shelf *s, const struct digest *d, struct index **ix, int *fd, struct err *err)
{
	auto_draft struct draft copy = { .derived = s->derived, .file = { .fd = -1 } };
	auto_draft struct draft index = { .derived = s->derived, .file = { .fd = -1 } };
	auto_content struct content *blob = NULL;
	int r = shelf_blame(err, store_blob_open(s->tree->store, d, &blob, err), d);

	if (!r)
		r = derived_begin(s->derived, &(struct derived_name){ DERIVED_COPY, *d, 0 }, &copy.file, err);
	if (r <= 0)
		return r;
	r = MIN(derived_begin(s->derived, &(struct derived_name){ DERIVED_COPY_INDEX, *d, 0 }, &index.file, err), 0);
	if (!r)
		r = shelf_blame(err, layer_copy(blob, shelf_is_stopping, s, copy.file.fd, index.file.fd, err), d);
	if (!r)
		r = index_open(index.file.fd, INDEX_COPY, ix, err);
	/* The index comes last: where it is, the copy is whole. */
	if (!r)
		r = derived_commit(s->derived, &copy.file, false, err);
	if (!r)
		r = derived_commit(s->derived, &index.file, false, err);
	if (!r)
		r = derived_shrink(s->derived, s->budget, err);
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
		if (shelf_open_index(s, DERIVED_COPY_INDEX, INDEX_COPY, d, &b->copy_index, err) ||
		    derived_open(s->derived, &(struct derived_name){ DERIVED_COPY, *d, 0 }, &fd, err)) {
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
					shelf_blame(err, store_blob_open(s->tree->store, &item->digest, &b->blob, err),
					      &item->digest);

	if (!r && b->copy_index)
		b->table = index_spans(b->copy_index);
	if (!r)
		r = span_table_check(&b->table, content_size(b->blob), err);
	return r ? r : span_layer_new(s->cache, &b->table, b->blob, &b->spans, err);
}

/* Has what proved damaged made again, for who comes next. */
static void discard_damaged(struct shelf_item *item)
{
	const struct derived_name name = { .kind = DERIVED_COPY_INDEX, .key = item->digest };
	const struct bytes *b = &item->bytes;
	bool copy = b->copy_index && index_check(b->copy_index, NULL);

	if (copy)
		(void)!derived_remove(item->shelf->derived, &name, NULL);
	if (copy || index_check(item->index, NULL))
		shelf_discard(item);
}

void shelf_release_bytes(struct shelf_item *item)
{
	span_layer_free(item->bytes.spans);
	index_close(item->bytes.copy_index);
	content_free(item->bytes.blob);
}

static int need_bytes(struct shelf_item *item, struct err *err)
{
	struct bytes *b = &item->bytes;
	int r = 0;

	pthread_mutex_lock(&item->opening);
	if (!b->spans) {
		r = open_bytes(item, b, err);
		if (r) {
			discard_damaged(item);
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

	if (!e)
		return index_check(f->layer->index, err);
	memset(data, 0, len);
	for (uint32_t i = 0; i < f->inode->count; i++) {
		uint64_t from = MAX(start, e[i].offset), to = MIN(end, e[i].offset + e[i].size);
		ssize_t n;

		if (!index_extent_ok(f->inode, &e[i]))
			return err_set(err, ERR_CORRUPT, "a run of a sparse file lies outside of it");
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
		n = read_extents(f, data, len, offset, err);
	else
		n = span_read(f->layer->bytes.spans, data, len, (int64_t)f->inode->data + offset, err);
	/* This reader hears of it; who opens the file again doesn't. */
	if (n == -EIO)
		discard_damaged(f->layer);
	return n >= 0 && (size_t)n < len ? err_set(err, ERR_CORRUPT, "a layer ends inside a file") : n;
}

static void release_file(void *arg)
{
	struct file *f = arg;

	shelf_put(f->layer);
	free(f);
}

/* Out of the layer. */
static int open_packed(struct shelf_item *layer, const struct index_inode *inode, struct content **out, struct err *err)
{
	static const struct content_reader reader = { .read = read_file, .release = release_file };
	struct file *f;
	int r = need_bytes(layer, err);

	if (r)
		return r;
	f = malloc(sizeof(*f));
	if (!f)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	shelf_hold(layer);
	*f = (struct file){ .layer = layer, .inode = inode };
	return content_from_reader(&reader, f, (int64_t)inode->size, out, err);
}

/* ---- Files that are opened again and again stand beside their layer, as files: a kernel reads those by itself ---- */

struct hot_job {
	struct work_job job;
	struct shelf *shelf;
	struct derived_name name;
	struct content *content;
};

static int take_out(const struct hot_job *h, struct derived_draft *draft, struct err *err)
{
	int64_t size = content_size(h->content), at = 0;
	auto_free char *data = malloc(READ_SIZE);
	int r = data ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	while (!r && at < size) {
		ssize_t n = content_read(h->content, data, READ_SIZE, at, err);

		if (n <= 0 || shelf_is_stopping(h->shelf))
			return n < 0 ? (int)n : -EIO;
		if (pwrite(draft->fd, data, (size_t)n, at) != n)
			return err_sys(err, errno, "can't write a file taken out of a layer");
		at += n;
	}
	return r;
}

/* In a thread of the pool. What fails, a full disk too, leaves the file in its layer. */
static void hot_job_run(struct work_job *job)
{
	struct hot_job *h = container_of(job, struct hot_job, job);
	struct shelf *s = h->shelf;
	auto_draft struct draft draft = { .derived = s->derived, .file = { .fd = -1 } };

	shelf_be_nice();
	/* Synced: nothing verifies its bytes later on. */
	if (derived_begin(s->derived, &h->name, &draft.file, NULL) > 0 && take_out(h, &draft.file, NULL) == 0 &&
	    derived_commit(s->derived, &draft.file, true, NULL) == 0) {
		atomic_fetch_add(&s->taken_out, 1);
		(void)!derived_shrink(s->derived, s->budget, NULL);
	}
	content_free(h->content);
	pthread_mutex_lock(&s->lock);
	s->hot_jobs--;
	pthread_mutex_unlock(&s->lock);
	free(h);
}

/* Whether this open makes the file worth it, and there is room for one more job. */
static bool is_hot(struct shelf *s, int64_t slot, uint32_t inode)
{
	size_t place = ((uint64_t)slot << 32 | inode) * 0x9e3779b97f4a7c15u >> 52;
	bool hot;

	_Static_assert(SHELF_HOT_PLACES == 1 << 12, "the hash's bits");
	pthread_mutex_lock(&s->lock);
	if (s->opened[place].slot != slot || s->opened[place].inode != inode) {
		s->opened[place].slot = slot;
		s->opened[place].inode = inode;
		s->opened[place].opens = 0;
	}
	hot = ++s->opened[place].opens >= HOT_OPENS && s->hot_jobs < HOT_JOBS;
	s->hot_jobs += hot;
	if (hot)
		s->opened[place].opens = 0;
	pthread_mutex_unlock(&s->lock);
	return hot;
}

static void begin_hot(struct shelf_item *layer, const struct index_inode *inode, const struct derived_name *name)
{
	struct shelf *s = layer->shelf;
	struct hot_job *h = calloc(1, sizeof(*h));

	if (h && open_packed(layer, inode, &h->content, NULL) == 0) {
		h->shelf = s;
		h->name = *name;
		h->job.fn = hot_job_run;
		work_submit(s->makers, &h->job);
		return;
	}
	free(h);
	pthread_mutex_lock(&s->lock);
	s->hot_jobs--;
	pthread_mutex_unlock(&s->lock);
}

/* The file taken out, if it was; else it may begin to be. */
static int open_hot(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out)
{
	const struct derived_name name = { .kind = DERIVED_FILE, .key = layer->digest, .part = number };
	struct shelf *s = layer->shelf;
	auto_fd int fd = -1;
	struct stat st;

	if (inode->size < HOT_SIZE || inode->flags & INDEX_SPARSE || (int64_t)inode->size > s->budget / 4)
		return -ENOENT;
	if (derived_open(s->derived, &name, &fd, NULL) == 0) {
		if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == inode->size)
			return content_from_fd(steal_fd(&fd), st.st_size, out, NULL);
		(void)!derived_remove(s->derived, &name, NULL);
	}
	if (is_hot(s, layer->slot, number))
		begin_hot(layer, inode, &name);
	return -ENOENT;
}

static int open_inode(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, bool *again,
		      struct err *err)
{
	auto_shelf_item struct shelf_item *layer = NULL;
	const struct index_inode *i;
	int r = shelf_get(s, SHELF_LAYER, layer_slot, &layer, err);

	if (r)
		return r;
	i = index_inode(layer->index, inode);
	if (!i || !S_ISREG(i->mode) || i->flags & INDEX_LINK)
		r = err_set(err, ERR_CORRUPT, "an image's index doesn't fit its layer's");
	else if (open_hot(layer, inode, i, out))
		r = open_packed(layer, i, out, err);
	if (index_check(layer->index, NULL))
		shelf_discard(layer);
	*again = r && shelf_is_discarded(layer);
	return r;
}

int shelf_open(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err)
{
	bool again = false;
	int r = open_inode(s, layer_slot, inode, out, &again, err);

	return again ? open_inode(s, layer_slot, inode, out, &again, err) : r;
}

void shelf_set_budget(struct shelf *s, int64_t bytes)
{
	s->budget = bytes;
}
