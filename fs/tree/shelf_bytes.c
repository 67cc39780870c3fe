/*
 * shelf_bytes.c: files out of layers: by spans of the blob, of its decoded copy, or by themselves.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include <sys/xattr.h>

#include "fs/base/timestamp.h"
#include "fs/image/inflate.h"
#include "fs/image/layer.h"
#include "fs/tree/state.h"

#define READ_SIZE (256 * 1024)
#define HOT_OPENS 2		/* of a file, before it is taken out of its layer */
#define HOT_SIZE (128 * 1024)	/* smaller ones are read as fast out of a decoded span */
#define SEAL "user.regfs.seal"	/* attribute of a file taken out: its struct seal */
#define HOT_JOBS 8		/* being taken out, or waiting for it */
#define HOT_SHARE 4		/* of the budget: larger ones would throw out all others */

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

/* An open file, in its layer. */
struct file {
	struct shelf_item *layer;
	const struct index_inode *inode;
	uint32_t number;
	bool counts;	/* may be taken out of its layer when it is closed, if it was opened often enough */
	int64_t looks;	/* when it is closed, the file taken out that has this time of change is to be looked at; 0: none is */
};

static bool begin_taking_out(struct file *f);
static void begin_look(const struct file *f);

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

static void free_file(struct file *f)
{
	shelf_put(f->layer);
	free(f);
}

static void release_file(void *arg)
{
	struct file *f = arg;

	if (f->counts && begin_taking_out(f))
		return;
	if (f->looks)
		begin_look(f);
	free_file(f);
}

static const struct content_reader file_reader = { .read = read_file, .release = release_file };

/* Out of the layer. */
static int open_packed(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, bool counts, int64_t looks,
		       struct content **out, struct err *err)
{
	struct file *f;
	int r = need_bytes(layer, err);

	if (r)
		return r;
	f = malloc(sizeof(*f));
	if (!f)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	shelf_hold(layer);
	*f = (struct file){ .layer = layer, .inode = inode, .number = number, .counts = counts, .looks = looks };
	return content_from_reader(&file_reader, f, (int64_t)inode->size, out, err);
}

/*
 * ---- Files that are opened again and again stand beside their layer, as files: a kernel reads those by itself ----
 *
 * Nobody verifies what is read there. So a file has a seal: its checksum, and when it was changed last. It is given out once this process
 * has made it, or has seen that its bytes have that checksum; and when it was changed since, once more. Until then, it is read out of its
 * layer. But a kernel that reads it by itself is given it before that, too, while the seal has its time of change: nobody wrote to it. Only what
 * a disk damaged is shown so, until its first reader closes it, and it is looked at.
 */

struct seal {
	int64_t changed;
	uint32_t crc;		/* gzip's CRC-32 of its bytes */
	uint32_t zero;
};

struct hot_job {
	struct work_job job;
	struct shelf *shelf;
	int64_t slot;
	uint32_t number;
	struct derived_name name;
	struct content *content;	/* in its layer, to be taken out; NULL: it is to be looked at */
};

/* Bytes of `from` to `to` (-1: nowhere), and their checksum. ERR_INTERRUPTED: the turn is over. */
static int copy_file(const struct content *from, int to, struct turn *turn, uint32_t *crc, struct err *err)
{
	int64_t size = content_size(from), at = 0;
	auto_free char *data = malloc(READ_SIZE);
	int r = data ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	*crc = 0;
	while (!r && at < size) {
		ssize_t n = content_read(from, data, READ_SIZE, at, err);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		if (shelf_turn_is_over(turn))
			return err_set(err, ERR_INTERRUPTED, "no time to copy a file");
		if (to >= 0 && pwrite(to, data, (size_t)n, at) != n)
			return err_sys(err, errno, "can't write a file taken out of a layer");
		*crc = inflate_crc32(*crc, data, (size_t)n);
		at += n;
	}
	return r;
}

static int64_t time_of_change(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

static bool seal_read(int fd, struct seal *out)
{
	return fgetxattr(fd, SEAL, out, sizeof(*out)) == sizeof(*out);
}

static bool seal_write(int fd, int64_t changed, uint32_t crc)
{
	const struct seal seal = { .changed = changed, .crc = crc };
	bool written;

	/* Nobody may write to it, once it is there; its owner may let himself. */
	if (fchmod(fd, 0600) < 0)
		return false;
	written = fsetxattr(fd, SEAL, &seal, sizeof(seal), 0) == 0;
	return fchmod(fd, 0400) == 0 && written;
}

/* Synced: after a power failure it is whole, or not there. What fails, a full disk too, leaves the file in its layer. */
static int64_t take_out(const struct hot_job *h, struct turn *turn)
{
	struct derived *d = h->shelf->derived;
	auto_draft struct draft draft = { .derived = d, .file = { .fd = -1 } };
	int64_t changed;
	uint32_t crc;

	if (derived_begin(d, &h->name, &draft.file, NULL) <= 0 || copy_file(h->content, draft.file.fd, turn, &crc, NULL) < 0)
		return 0;
	changed = time_of_change(draft.file.fd);
	if (!seal_write(draft.file.fd, changed, crc) || derived_commit(d, &draft.file, true, NULL) < 0)
		return 0;
	atomic_fetch_add(&h->shelf->taken_out, 1);
	(void)!derived_shrink(d, h->shelf->budget, NULL);
	return changed;
}

/* One that is there: of an earlier process's making, or another's. */
static int64_t look_at(const struct hot_job *h, struct turn *turn)
{
	struct derived *d = h->shelf->derived;
	auto_content struct content *file = NULL;
	struct seal seal;
	int64_t changed;
	struct stat st;
	uint32_t crc;
	int fd, r;

	if (derived_open(d, &h->name, &fd, NULL) < 0)
		return 0;
	changed = time_of_change(fd);
	r = fstat(fd, &st) < 0 ? -errno : 0;
	if (content_from_fd(fd, st.st_size, &file, NULL) < 0)
		return 0;
	if (r == 0)
		r = copy_file(file, -1, turn, &crc, NULL);
	if (r == -EINTR || r == -ENOMEM)
		return 0;
	/* One that can't be read is no better. */
	if (r < 0 || !seal_read(content_fd(file), &seal) || seal.crc != crc) {
		(void)!derived_remove(d, &h->name, NULL);
		return 0;
	}
	/* One with another time is a copy of it: somebody restored the store. */
	if (seal.changed != changed)
		(void)!seal_write(content_fd(file), changed, crc);
	return changed;
}

_Static_assert(SHELF_HOT_PLACES == 1 << 12, "the hash's bits");

static size_t hot_place(int64_t slot, uint32_t inode)
{
	return ((uint64_t)slot << 32 | inode) * 0x9e3779b97f4a7c15u >> 52;
}

/* The file's place among those that were opened; whoever had it makes way. With the lock held. */
static struct shelf_opened *opened_at(struct shelf *s, int64_t slot, uint32_t inode)
{
	struct shelf_opened *o = &s->opened[hot_place(slot, inode)];

	if (o->slot != slot || o->inode != inode)
		*o = (struct shelf_opened){ .slot = slot, .inode = inode };
	return o;
}

static void end_job(struct shelf *s, int64_t slot, uint32_t inode, int64_t sound)
{
	struct shelf_opened *o = &s->opened[hot_place(slot, inode)];

	pthread_mutex_lock(&s->lock);
	s->hot_jobs--;
	if (o->slot == slot && o->inode == inode) {
		o->busy = false;
		if (sound)
			o->opens = 0;
		o->sound = sound;
	}
	pthread_mutex_unlock(&s->lock);
}

/* In a thread of the pool. */
static void hot_job_run(struct work_job *job)
{
	struct hot_job *h = container_of(job, struct hot_job, job);
	struct turn turn;
	int64_t sound;

	shelf_be_nice();
	shelf_turn_begin(&turn, h->shelf, false);
	sound = h->content ? take_out(h, &turn) : look_at(h, &turn);
	end_job(h->shelf, h->slot, h->number, sound);
	content_free(h->content);
	free(h);
}

static void count_open(struct shelf *s, int64_t slot, uint32_t inode)
{
	pthread_mutex_lock(&s->lock);
	opened_at(s, slot, inode)->opens++;
	pthread_mutex_unlock(&s->lock);
}

/* For a job with the file, if there is room for one, and none is at it. With the lock held. */
static bool reserve_job(struct shelf *s, struct shelf_opened *o)
{
	if (o->busy || s->hot_jobs >= HOT_JOBS)
		return false;
	s->hot_jobs++;
	o->opens = 0;
	o->busy = true;
	return true;
}

/* To take it out: it was opened often enough. */
static bool reserve_taking_out(struct shelf *s, int64_t slot, uint32_t inode)
{
	struct shelf_opened *o;
	bool reserved;

	pthread_mutex_lock(&s->lock);
	o = opened_at(s, slot, inode);
	reserved = o->opens >= HOT_OPENS && reserve_job(s, o);
	pthread_mutex_unlock(&s->lock);
	return reserved;
}

/* To look at it: nobody has since it changed. */
static bool reserve_look(struct shelf *s, int64_t slot, uint32_t inode, int64_t changed)
{
	struct shelf_opened *o;
	bool reserved;

	pthread_mutex_lock(&s->lock);
	o = opened_at(s, slot, inode);
	reserved = (!changed || o->sound != changed) && reserve_job(s, o);
	pthread_mutex_unlock(&s->lock);
	return reserved;
}

static bool is_sound(struct shelf *s, int64_t slot, uint32_t inode, int64_t changed)
{
	const struct shelf_opened *o = &s->opened[hot_place(slot, inode)];
	bool sound;

	pthread_mutex_lock(&s->lock);
	sound = o->slot == slot && o->inode == inode && o->sound == changed && changed;
	pthread_mutex_unlock(&s->lock);
	return sound;
}

/* Numbers are those of an index, and of its version. */
static struct derived_name file_name(const struct digest *layer, uint32_t number)
{
	return (struct derived_name){ DERIVED_FILE, *layer, (uint64_t)INDEX_VERSION << 32 | number };
}

/* `content`: in its layer, to be taken out, and taken over; NULL: it is to be looked at. */
static void begin_job(struct shelf_item *layer, uint32_t number, struct content *content)
{
	struct shelf *s = layer->shelf;
	struct hot_job *h = calloc(1, sizeof(*h));

	if (!h) {
		end_job(s, layer->slot, number, 0);
		content_free(content);
		return;
	}
	*h = (struct hot_job){ .shelf = s, .slot = layer->slot, .number = number, .content = content, .job.fn = hot_job_run,
			       .name = file_name(&layer->digest, number) };
	shelf_submit(s, &h->job);
}

/* When it is closed: whoever reads it isn't held up. True: it is the job's now. */
static bool begin_taking_out(struct file *f)
{
	struct shelf_item *layer = f->layer;
	const uint32_t number = f->number;
	struct content *content;

	if (shelf_is_stopping(layer->shelf) || !reserve_taking_out(layer->shelf, layer->slot, number))
		return false;
	f->counts = false;
	shelf_hold(layer);
	if (content_from_reader(&file_reader, f, (int64_t)f->inode->size, &content, NULL) < 0)
		end_job(layer->shelf, layer->slot, number, 0);
	else
		begin_job(layer, number, content);
	shelf_put(layer);
	return true;
}

static void begin_look(const struct file *f)
{
	struct shelf *s = f->layer->shelf;

	if (!shelf_is_stopping(s) && reserve_look(s, f->layer->slot, f->number, f->looks))
		begin_job(f->layer, f->number, NULL);
}

static bool may_be_taken_out(const struct shelf *s, const struct index_inode *inode)
{
	return inode->size >= HOT_SIZE && !(inode->flags & INDEX_SPARSE) && (int64_t)inode->size <= s->budget / HOT_SHARE;
}

/* The descriptor of the file taken out, or -1, and when it was changed last. */
static int find_taken_out(const struct shelf_item *layer, uint32_t number, const struct index_inode *inode, int64_t *changed)
{
	const struct derived_name name = file_name(&layer->digest, number);
	const struct shelf *s = layer->shelf;
	auto_fd int fd = -1;
	struct stat st;

	if (derived_open(s->derived, &name, &fd, NULL) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != inode->size) {
		(void)!derived_remove(s->derived, &name, NULL);
		return -1;
	}
	*changed = time_of_change(fd);
	return steal_fd(&fd);
}

/* A file that may be taken out, or was. */
static int open_large(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out, struct err *err)
{
	struct shelf *s = layer->shelf;
	int64_t changed = 0;
	auto_fd int fd = find_taken_out(layer, number, inode, &changed);
	struct seal seal;
	int r;

	if (fd < 0) {
		count_open(s, layer->slot, number);
		return open_packed(layer, number, inode, true, 0, out, err);
	}
	if (is_sound(s, layer->slot, number, changed))
		return content_from_fd(steal_fd(&fd), (int64_t)inode->size, out, err);
	if (!changed || !seal_read(fd, &seal) || seal.changed != changed) {
		if (reserve_look(s, layer->slot, number, changed))
			begin_job(layer, number, NULL);
		return open_packed(layer, number, inode, false, 0, out, err);
	}
	r = open_packed(layer, number, inode, false, changed, out, err);
	if (!r)
		content_set_backing(*out, steal_fd(&fd));
	return r;
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
	else if (may_be_taken_out(s, i))
		r = open_large(layer, inode, i, out, err);
	else
		r = open_packed(layer, inode, i, false, 0, out, err);
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
	(void)!derived_shrink(s->derived, bytes, NULL);
}

/* ---- Are they what was taken out? ---- */

struct file_check {
	struct shelf *shelf;
	shelf_damage_fn *fn;
	void *arg;
	char *ours, *theirs;	/* READ_SIZE */
};

/* Also if the original can't be read: nothing is known of the other then. */
static bool may_be_same(struct file_check *c, const struct content *original, const struct content *taken)
{
	int64_t size = content_size(original);

	for (int64_t at = 0; at < size; at += READ_SIZE) {
		size_t len = (size_t)MIN(READ_SIZE, size - at);

		if (content_read(original, c->ours, len, at, NULL) != (ssize_t)len)
			return true;
		if (content_read(taken, c->theirs, len, at, NULL) != (ssize_t)len || memcmp(c->ours, c->theirs, len) != 0)
			return false;
	}
	return size == content_size(taken);
}

/* In its layer; *out NULL: it isn't for us to say. */
static int open_original(struct file_check *c, const struct derived_name *name, struct content **out, struct err *err)
{
	auto_shelf_item struct shelf_item *layer = NULL;
	const struct index_inode *i;
	struct blob_row blob;
	int r;

	{
		auto_reader struct meta_reader rd = { 0 };

		r = tree_reader(c->shelf->tree, &rd, err);
		if (!r)
			r = blob_by_digest(rd.db, &name->key, &blob, err);
	}
	if (r <= 0 || blob.bad || blob.id > SHELF_SLOT_MAX)
		return MIN(r, 0);
	r = shelf_get(c->shelf, SHELF_LAYER, blob.id, &layer, err);
	i = r ? NULL : index_inode(layer->index, (uint32_t)name->part);
	if (!i || !S_ISREG(i->mode) || i->flags & INDEX_LINK)
		return r;
	return open_packed(layer, (uint32_t)name->part, i, false, 0, out, err);
}

/* What can't be compared is left alone: the layer's own trouble is told otherwise. */
static int check_file(void *arg, const struct derived_name *name, int64_t size, int64_t used UNUSED, struct err *err)
{
	struct file_check *c = arg;
	auto_content struct content *original = NULL, *taken = NULL;
	auto_fd int fd = -1;
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (shelf_is_stopping(c->shelf) || name->part >> 32 != INDEX_VERSION || open_original(c, name, &original, NULL) || !original ||
	    derived_open(c->shelf->derived, name, &fd, NULL) || content_from_fd(steal_fd(&fd), size, &taken, NULL))
		return 0;
	if (may_be_same(c, original, taken))
		return 0;
	r = derived_remove(c->shelf->derived, name, err);
	return r ? r : c->fn(c->arg, digest_format(&name->key, text), (uint32_t)name->part);
}

int shelf_check_files(struct shelf *s, shelf_damage_fn *fn, void *arg, struct err *err)
{
	auto_free char *ours = malloc(READ_SIZE), *theirs = malloc(READ_SIZE);
	struct file_check c = { .shelf = s, .fn = fn, .arg = arg, .ours = ours, .theirs = theirs };

	if (!ours || !theirs)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	return derived_each(s->derived, DERIVED_FILE, check_file, &c, err);
}
