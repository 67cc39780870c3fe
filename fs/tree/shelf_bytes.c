/*
 * shelf_bytes.c: files out of layers, by spans of the blob, or of its decoded copy.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include "fs/base/timestamp.h"
#include "fs/image/layer.h"
#include "fs/tree/state.h"

/* The index goes first: where it is, the copy is whole, and its own. */
static void remove_copy(struct shelf *s, const struct digest *d)
{
	(void)!derived_remove(s->derived, &(struct derived_name){ DERIVED_COPY_INDEX, *d, 0 }, NULL);
	(void)!derived_remove(s->derived, &(struct derived_name){ DERIVED_COPY, *d, 0 }, NULL);
}

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
	r = derived_begin(s->derived, &(struct derived_name){ DERIVED_COPY_INDEX, *d, 0 }, &index.file, err);
	if (r <= 0)
		return r;
	/* Others make room for it before it is there; coded anew, it is about as large as the layer. */
	r = derived_shrink(s->derived, MAX(s->budget - content_size(blob), 0), err);
	if (!r)
		r = shelf_blame(err, layer_copy(blob, shelf_is_stopping, s, copy.file.fd, index.file.fd, err), d);
	if (!r)
		r = index_open(index.file.fd, INDEX_COPY, ix, err);
	if (!r)
		r = derived_remove(s->derived, &(struct derived_name){ DERIVED_COPY_INDEX, *d, 0 }, err);
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
			r = shelf_work_begin(s, SHELF_COPY, err);
			if (r)
				return r;
			r = make_copy(s, d, &b->copy_index, &fd, err);
			shelf_work_end(s, SHELF_COPY);
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

/* Whoever comes next opens anew what proved damaged: the blob, which may have been pushed again, or has a copy made again. */
static void discard_damaged(struct shelf_item *item)
{
	/* Once: the copy that there is then may be another's, made again. */
	if (shelf_discard(item) && index_spans(item->index).coding == SPAN_NONE)
		remove_copy(item->shelf, &item->digest);
}

void shelf_release_bytes(struct shelf_item *item)
{
	span_layer_free(item->bytes.spans);
	index_close(item->bytes.copy_index);
	content_free(item->bytes.blob);
}

static int make_bytes(struct shelf_item *item, struct err *err)
{
	struct bytes *b = &item->bytes;
	struct err failure = ERR_INIT;
	int r;

	/* A layer decoded to no avail isn't decoded again for each file that is opened. */
	if (item->bytes_failed_at && !shelf_may_retry(item->bytes_failed_at)) {
		if (err)
			*err = item->bytes_err;
		return -item->bytes_err.errnum;
	}
	r = open_bytes(item, b, &failure);
	if (r == -EIO)
		discard_damaged(item);
	if (r) {
		index_close(b->copy_index);
		content_free(b->blob);
		*b = (struct bytes){ 0 };
		item->bytes_failed_at = shelf_is_full(r) ? timestamp_now() : 0;
		item->bytes_err = failure;
	}
	if (r && err)
		*err = failure;
	return r;
}

struct need {
	struct shelf_item *item;
	bool mine;	/* to be made by who asks */
};

static bool has_bytes(void *arg)
{
	struct need *n = arg;

	n->mine = n->item->bytes_state == BYTES_ABSENT;
	if (n->mine)
		n->item->bytes_state = BYTES_BUSY;
	return n->mine || n->item->bytes_state == BYTES_MADE;
}

static int need_bytes(struct shelf_item *item, struct err *err)
{
	struct shelf *s = item->shelf;
	struct need n = { .item = item };
	int r = shelf_wait_until(s, has_bytes, &n, err);

	if (r || !n.mine)
		return r;
	r = make_bytes(item, err);
	pthread_mutex_lock(&s->lock);
	item->bytes_state = r ? BYTES_ABSENT : BYTES_MADE;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* An open file. */
struct file {
	struct shelf_item *layer;
	const struct index_inode *inode;
	uint32_t number;
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

static ssize_t read_once(const struct file *f, void *data, size_t len, int64_t offset, struct err *err)
{
	ssize_t n;

	if (f->inode->flags & INDEX_SPARSE)
		n = read_extents(f, data, len, offset, err);
	else
		n = span_read(f->layer->bytes.spans, data, len, (int64_t)f->inode->data + offset, err);
	return n >= 0 && (size_t)n < len ? err_set(err, ERR_CORRUPT, "it ends inside a file") : n;
}

/* By what is there now: a layer that was pushed again, an index or a copy made anew. */
static ssize_t read_anew(const struct file *f, void *data, size_t len, int64_t offset, struct err *err)
{
	auto_shelf_item struct shelf_item *layer = NULL;
	struct file now = { .number = f->number };
	ssize_t n = shelf_get(f->layer->shelf, SHELF_LAYER, f->layer->slot, &layer, err);

	if (!n)
		n = need_bytes(layer, err);
	if (n)
		return n;
	now.layer = layer;
	now.inode = index_inode(layer->index, f->number);
	if (!now.inode || !S_ISREG(now.inode->mode) || now.inode->size != f->inode->size)
		n = err_set(err, ERR_CORRUPT, "its index is damaged");
	else
		n = read_once(&now, data, len, offset, err);
	if (n == -EIO) {
		discard_damaged(layer);
		shelf_suspect_later(layer->shelf, &layer->digest);
	}
	return n < 0 ? shelf_blame(err, (int)n, &f->layer->digest) : n;
}

static ssize_t read_file(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	const struct file *f = arg;
	ssize_t n = read_once(f, data, len, offset, err);

	if (n != -EIO)
		return n;
	discard_damaged(f->layer);
	return read_anew(f, data, len, offset, err);
}

static void release_file(void *arg)
{
	struct file *f = arg;

	shelf_put(f->layer);
	free(f);
}

static const struct content_reader file_reader = { .read = read_file, .release = release_file };

int shelf_open_in_layer(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out, struct err *err)
{
	struct file *f;
	int r = need_bytes(layer, err);

	if (r)
		return r;
	f = malloc(sizeof(*f));
	if (!f)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	shelf_hold(layer);
	*f = (struct file){ .layer = layer, .inode = inode, .number = number };
	return content_from_reader(&file_reader, f, (int64_t)inode->size, out, err);
}

typedef int open_fn(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out, struct err *err);

static int open_inode(struct shelf *s, int64_t layer_slot, uint32_t inode, open_fn *open, struct content **out, bool *again,
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
	else
		r = open(layer, inode, i, out, err);
	if (index_check(layer->index, NULL))
		shelf_discard(layer);
	*again = r && shelf_is_discarded(layer);
	return r;
}

static int open_now(struct shelf *s, int64_t layer_slot, uint32_t inode, open_fn *open, struct content **out, struct err *err)
{
	bool again = false;
	int r = open_inode(s, layer_slot, inode, open, out, &again, err);

	return again ? open_inode(s, layer_slot, inode, open, out, &again, err) : r;
}

int shelf_open_packed(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err)
{
	return open_now(s, layer_slot, inode, shelf_open_in_layer, out, err);
}

int shelf_open(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err)
{
	return open_now(s, layer_slot, inode, shelf_open_file, out, err);
}
