/*
 * shelf_files.c: files that are opened again and again are taken out of their layer, and stand beside it: a kernel reads those by itself.
 *
 *	in its layer ──opened HOT_OPENS times──> taken out, and sound ──another start──> sealed
 *	  ^                                         ^     │ changed                        │ closed for the first time
 *	  │                                         │     └──────────────> looked at <─────┘
 *	  └────────it is damaged: removed───────────┴─────it is right──────────┘
 *
 * Nobody verifies what a kernel reads there. So a file has a seal: its checksum, and when it was changed last. It is read once this process
 * has made it, or has seen that its bytes have that checksum; and when it was changed since, once more. Until then, it is read out of its
 * layer. But a kernel that reads it by itself is given it before that, too, while the seal has its time of change: nobody wrote to it. Only what
 * a disk damaged is shown so, until its first reader closes it, and it is looked at.
 *
 * Invariants:
 * 1. The layer's bytes are asked for only when they are read: a kernel may need none of them.
 * 2. Of a file in shelf.opened, one job at a time is in the pool or waits; and of those that look, one in all is in the pool, for a short turn:
 *    there may be thousands, and nobody waits for them.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include <sys/xattr.h>

#include "fs/base/log.h"
#include "fs/image/inflate.h"
#include "fs/tree/state.h"

#define READ_SIZE (256 * 1024)
#define HOT_OPENS 2		/* of a file, before it is taken out of its layer */
#define HOT_SIZE (128 * 1024)	/* smaller ones are read as fast out of a decoded span */
#define HOT_JOBS 8		/* that take files out, in the pool */
#define LOOK_TURN (100 * INT64_C(1000000))	/* nanoseconds */
#define HOT_SHARE 4		/* of the budget: larger ones would throw out all others */
#define SEAL "user.regfs.seal"	/* attribute of a file taken out: its struct seal */

struct seal {
	int64_t changed;
	uint32_t crc;		/* gzip's CRC-32 of its bytes */
	uint32_t zero;
};

/* 0: it can't be told. */
static int64_t time_of_change(int fd)
{
	struct stat st;
	int64_t t;

	if (fstat(fd, &st) < 0)
		return 0;
	t = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	return t ? t : 1;
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

/* Numbers are those of an index, and of its version. */
static struct derived_name file_name(const struct digest *layer, uint32_t number)
{
	return (struct derived_name){ DERIVED_FILE, *layer, (uint64_t)INDEX_VERSION << 32 | number };
}

/* Whoever has it open may see by its mode that it is no good. Nothing is removed that another process has put there meanwhile. */
static int remove_damaged(const struct derived *d, const struct derived_name *name, int fd, struct err *err)
{
	auto_fd int there = -1;
	struct stat st, at;
	int r = fstat(fd, &st) < 0 ? err_sys(err, errno, "can't look at a file taken out of a layer") : 0;

	if (!r && (derived_open(d, name, &there, NULL) < 0 || fstat(there, &at) < 0 || at.st_ino != st.st_ino || at.st_dev != st.st_dev))
		return 0;
	(void)!fchmod(fd, 0);
	return r ? r : derived_remove(d, name, err);
}

static void remove_and_tell(const struct derived *d, const struct derived_name *name, int fd)
{
	struct err err = ERR_INIT;
	char text[DIGEST_TEXT_MAX + 1];
	int r = remove_damaged(d, name, fd, &err);

	log_warn("a file taken out of layer %s was damaged: it is %s%s", digest_format(&name->key, text),
		 r ? "read there again, but stays: " : "removed, and read there again", r ? err.text : "");
}

/* ---- Which were opened ---- */

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

static void count_open(struct shelf *s, int64_t slot, uint32_t inode)
{
	pthread_mutex_lock(&s->lock);
	opened_at(s, slot, inode)->opens++;
	pthread_mutex_unlock(&s->lock);
}

/* What is known of the file taken out that has that time of change. */
enum verdict { UNKNOWN, SOUND, BAD };

static enum verdict verdict_of(struct shelf *s, int64_t slot, uint32_t inode, int64_t changed)
{
	const struct shelf_opened *o = &s->opened[hot_place(slot, inode)];
	enum verdict v = UNKNOWN;

	pthread_mutex_lock(&s->lock);
	if (changed && o->slot == slot && o->inode == inode)
		v = o->sound == changed ? SOUND : o->bad == changed ? BAD : UNKNOWN;
	pthread_mutex_unlock(&s->lock);
	return v;
}

static void note_bad(struct shelf *s, int64_t slot, uint32_t inode, int64_t changed)
{
	struct shelf_opened *o;

	pthread_mutex_lock(&s->lock);
	o = opened_at(s, slot, inode);
	o->sound = 0;
	o->bad = changed;
	pthread_mutex_unlock(&s->lock);
}

/* ---- Jobs ---- */

struct hot_job {
	struct work_job job;
	struct hot_job *next;		/* in shelf.looks */
	struct shelf *shelf;
	int64_t slot;
	uint32_t number;
	struct derived_name name;
	bool looks;
	struct content *content;	/* in its layer, to be taken out; one that it looks at: the file, once it is open */
	int64_t changed;		/* when that was, as it was opened, or made */
	int64_t at;			/* how far it has come, */
	uint32_t crc;			/* and the checksum of that */
	bool sound;			/* it has the right bytes */
};

static void free_job(struct hot_job *h)
{
	content_free(h->content);
	free(h);
}

/* Bytes of h->content, from h->at on, to `to` (-1: nowhere), and their checksum. ERR_INTERRUPTED: the turn (if any) is over. */
static int copy_file(struct hot_job *h, int to, struct turn *turn, struct err *err)
{
	int64_t size = content_size(h->content);
	auto_free char *data = malloc(READ_SIZE);
	int r = data ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	while (!r && h->at < size) {
		ssize_t n = content_read(h->content, data, READ_SIZE, h->at, err);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		if (to >= 0 && pwrite(to, data, (size_t)n, h->at) != n)
			return err_sys(err, errno, "can't write a file taken out of a layer");
		h->crc = inflate_crc32(h->crc, data, (size_t)n);
		h->at += n;
		if (turn && shelf_turn_is_over(turn))
			r = err_set(err, ERR_INTERRUPTED, "no time to copy a file");
	}
	return r;
}

/* Synced: after a power failure it is whole, or not there. What fails, a full disk too, leaves the file in its layer. */
static void take_out(struct hot_job *h, struct turn *turn)
{
	struct derived *d = h->shelf->derived;
	auto_draft struct draft draft = { .derived = d, .file = { .fd = -1 } };

	if (derived_begin(d, &h->name, &draft.file, NULL) <= 0 || copy_file(h, draft.file.fd, turn, NULL) < 0)
		return;
	h->changed = time_of_change(draft.file.fd);
	if (!seal_write(draft.file.fd, h->changed, h->crc) || derived_commit(d, &draft.file, true, NULL) < 0)
		return;
	h->sound = true;
	atomic_fetch_add(&h->shelf->taken_out, 1);
	(void)!derived_shrink(d, h->shelf->budget, NULL);
}

static int open_taken(struct hot_job *h)
{
	struct stat st;
	int fd, r = derived_open(h->shelf->derived, &h->name, &fd, NULL);

	if (r)
		return r;
	h->changed = time_of_change(fd);
	if (fstat(fd, &st) < 0)
		st.st_size = 0;		/* its checksum won't fit */
	return content_from_fd(fd, st.st_size, &h->content, NULL);
}

/* Whether what was read of it, whole, is what was taken out. */
static bool fits_seal(const struct hot_job *h, struct seal *seal)
{
	return seal_read(content_fd(h->content), seal) && seal->crc == h->crc;
}

/* One that is there: of an earlier process's making, or another's. False: it is to go on in another turn. */
static bool look_at(struct hot_job *h, struct turn *turn)
{
	struct seal seal;
	int r;

	if (!h->content && open_taken(h))
		return true;
	r = copy_file(h, -1, turn, NULL);
	if (r == -EINTR)
		return !turn->lost;
	if (r == -ENOMEM)
		return true;
	/* One that can't be read is no better. */
	if (r || !fits_seal(h, &seal)) {
		note_bad(h->shelf, h->slot, h->number, h->changed);
		remove_and_tell(h->shelf->derived, &h->name, content_fd(h->content));
		return true;
	}
	h->sound = true;
	/* One with another time is a copy of it: somebody restored the store. */
	if (seal.changed != h->changed)
		(void)!seal_write(content_fd(h->content), h->changed, h->crc);
	return true;
}

/* With the lock held: the first that waits is the one that looks; NULL: none does. */
static struct hot_job *next_look(struct shelf *s)
{
	struct hot_job *h = shelf_is_stopping(s) ? NULL : s->looks;

	s->looking = h;
	if (!h)
		return NULL;
	s->looks = h->next;
	if (!s->looks)
		s->last_look = &s->looks;
	s->looks_waiting--;
	return h;
}

static void end_job(struct hot_job *h)
{
	struct shelf *s = h->shelf;
	struct shelf_opened *o = &s->opened[hot_place(h->slot, h->number)];
	struct hot_job *next = NULL;

	pthread_mutex_lock(&s->lock);
	if (o->slot == h->slot && o->inode == h->number) {
		o->busy = false;
		if (h->sound) {
			o->opens = 0;
			o->sound = h->changed;
			o->bad = 0;
		}
	}
	if (h->looks)
		next = next_look(s);
	else
		s->hot_jobs--;
	pthread_mutex_unlock(&s->lock);
	if (next)
		shelf_submit(s, &next->job);
	free_job(h);
}

/* In a thread of the pool. */
static void hot_job_run(struct work_job *job)
{
	struct hot_job *h = container_of(job, struct hot_job, job);
	struct turn turn;

	shelf_be_nice();
	shelf_turn_begin(&turn, h->shelf, false);
	if (h->looks)
		turn.length = LOOK_TURN;
	if (!h->looks)
		take_out(h, &turn);
	else if (!look_at(h, &turn))
		return shelf_submit(h->shelf, &h->job);
	end_job(h);
}

static struct hot_job *new_job(struct shelf_item *layer, uint32_t number)
{
	struct hot_job *h = calloc(1, sizeof(*h));

	if (h)
		*h = (struct hot_job){ .shelf = layer->shelf, .slot = layer->slot, .number = number, .job.fn = hot_job_run,
				       .name = file_name(&layer->digest, number) };
	return h;
}

/* It was opened often enough, and there is room in the pool. */
static bool reserve_taking_out(struct shelf *s, int64_t slot, uint32_t inode)
{
	struct shelf_opened *o;
	bool reserved;

	pthread_mutex_lock(&s->lock);
	o = opened_at(s, slot, inode);
	reserved = o->opens >= HOT_OPENS && !o->busy && s->hot_jobs < HOT_JOBS;
	if (reserved) {
		o->opens = 0;
		o->busy = true;
		s->hot_jobs++;
	}
	pthread_mutex_unlock(&s->lock);
	return reserved;
}

/* True: the content, which is the file in its layer, is the job's now. */
static bool begin_taking_out(struct shelf_item *layer, uint32_t number, struct content *content)
{
	struct shelf *s = layer->shelf;
	struct hot_job *h = shelf_is_stopping(s) ? NULL : new_job(layer, number);

	if (!h)
		return false;
	if (!reserve_taking_out(s, layer->slot, number)) {
		free_job(h);
		return false;
	}
	h->content = content;
	shelf_submit(s, &h->job);
	return true;
}

/* With the lock held: nobody has looked since it was changed, nor is going to. *submit: at once. False: it is to be freed. */
static bool queue_look(struct shelf *s, struct hot_job *h, int64_t changed, bool *submit)
{
	struct shelf_opened *o = opened_at(s, h->slot, h->number);

	if (o->busy || (changed && (o->sound == changed || o->bad == changed)) || s->looks_waiting >= SHELF_HOT_PLACES)
		return false;
	o->busy = true;
	*submit = !s->looking;
	s->looking = true;
	if (*submit)
		return true;
	*s->last_look = h;
	s->last_look = &h->next;
	s->looks_waiting++;
	return true;
}

/* Unless somebody does, or has since that time of change. */
static void begin_look(struct shelf_item *layer, uint32_t number, int64_t changed)
{
	struct shelf *s = layer->shelf;
	struct hot_job *h = shelf_is_stopping(s) ? NULL : new_job(layer, number);
	bool queued, submit = false;

	if (!h)
		return;
	h->looks = true;
	pthread_mutex_lock(&s->lock);
	queued = queue_look(s, h, changed, &submit);
	pthread_mutex_unlock(&s->lock);
	if (!queued)
		free_job(h);
	else if (submit)
		shelf_submit(s, &h->job);
}

void shelf_forget_looks(struct shelf *s)
{
	while (s->looks) {
		struct hot_job *h = s->looks;

		s->looks = h->next;
		free_job(h);
	}
}

/* ---- Open files ---- */

/* One that may be taken out of its layer, or was. */
struct file {
	struct shelf_item *layer;
	uint32_t number;
	_Atomic(struct content *) packed;	/* in its layer; NULL: it was taken out, and nobody has read it there yet */
	struct content *copy;			/* taken out; NULL: it may be, when this is closed */
	int64_t changed;			/* when that was */
	atomic_bool sound;			/* it may be read here, too, */
	atomic_bool wrong;			/* or must not: it was compared for that */
	bool looks;				/* it is to be looked at, when this is closed */
};

static int need_packed(struct file *f, const struct content **out, struct err *err)
{
	auto_content struct content *mine = NULL;
	struct content *before = NULL;
	int r;

	*out = atomic_load(&f->packed);
	if (*out)
		return 0;
	r = shelf_open_packed(f->layer->shelf, f->layer->slot, f->number, &mine, err);
	if (r)
		return r;
	if (content_size(mine) != content_size(f->copy))
		return shelf_blame(err, err_set(err, ERR_CORRUPT, "its index is damaged"), &f->layer->digest);
	if (atomic_compare_exchange_strong(&f->packed, &before, mine))
		*out = steal(&mine);
	else
		*out = before;
	return 0;
}

/* Whether the copy has the right bytes; it is read for that, whole, once. */
static bool is_right(struct file *f)
{
	struct hot_job h = { .content = f->copy };
	struct seal seal;
	int r;

	if (atomic_load(&f->wrong))
		return false;
	r = copy_file(&h, -1, NULL, NULL);
	if (!r && fits_seal(&h, &seal))
		return true;
	atomic_store(&f->wrong, r != -ENOMEM);
	return false;
}

/* It can't be read any more. */
static void give_up_copy(struct file *f)
{
	const struct derived_name name = file_name(&f->layer->digest, f->number);
	struct shelf *s = f->layer->shelf;

	if (!atomic_exchange(&f->sound, false))
		return;
	note_bad(s, f->layer->slot, f->number, f->changed);
	remove_and_tell(s->derived, &name, content_fd(f->copy));
}

static ssize_t read_file(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	struct file *f = arg;
	const struct content *packed;
	ssize_t n;

	if (atomic_load(&f->sound)) {
		n = content_read(f->copy, data, len, offset, NULL);
		if (n >= 0)
			return n;
		give_up_copy(f);
	}
	n = need_packed(f, &packed, err);
	if (!n)
		return content_read(packed, data, len, offset, err);
	/* The layer may be gone since this was opened, or the disk have no room for what reading it needs. Who gave up isn't held up. */
	if (n == -EINTR || !is_right(f))
		return n == -ENOENT ? err_set(err, ERR_IO, "a file's layer isn't here any more, and the file taken out of it is damaged") : n;
	atomic_store(&f->sound, true);
	return content_read(f->copy, data, len, offset, err);
}

static int file_backing(void *arg)
{
	const struct file *f = arg;

	return f->copy ? content_fd(f->copy) : -1;
}

static void release_file(void *arg)
{
	struct file *f = arg;
	struct content *packed = atomic_load(&f->packed);

	/* Whoever reads it isn't held up. */
	if (f->copy || !begin_taking_out(f->layer, f->number, packed))
		content_free(packed);
	if (f->looks)
		begin_look(f->layer, f->number, f->changed);
	content_free(f->copy);
	shelf_put(f->layer);
	free(f);
}

static const struct content_reader file_reader = { .read = read_file, .release = release_file, .backing = file_backing };

static bool may_be_taken_out(const struct shelf *s, const struct index_inode *inode)
{
	return inode->size >= HOT_SIZE && !(inode->flags & INDEX_SPARSE) && (int64_t)inode->size <= s->budget / HOT_SHARE;
}

/* The file taken out, or NULL, and when it was changed last. */
static struct content *find_taken_out(const struct shelf_item *layer, uint32_t number, const struct index_inode *inode, int64_t *changed)
{
	const struct derived_name name = file_name(&layer->digest, number);
	const struct shelf *s = layer->shelf;
	struct content *file = NULL;
	auto_fd int fd = -1;
	struct stat st;

	if (derived_open(s->derived, &name, &fd, NULL) < 0)
		return NULL;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != inode->size || !(st.st_mode & 0400)) {
		(void)!remove_damaged(s->derived, &name, fd, NULL);
		return NULL;
	}
	*changed = time_of_change(fd);
	return content_from_fd(steal_fd(&fd), st.st_size, &file, NULL) ? NULL : file;
}

static bool is_sealed(const struct content *copy, int64_t changed)
{
	struct seal seal;

	return changed && seal_read(content_fd(copy), &seal) && seal.changed == changed;
}

/* Takes over what it has, also on failure. */
static int new_file(const struct file *has, struct content **out, struct err *err)
{
	struct content *packed = atomic_load(&has->packed);
	struct file *f = malloc(sizeof(*f));

	if (!f) {
		content_free(has->copy);
		content_free(packed);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*f = *has;
	shelf_hold(f->layer);
	return content_from_reader(&file_reader, f, content_size(f->copy ? f->copy : packed), out, err);
}

static int open_to_count(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out, struct err *err)
{
	struct content *packed;
	int r = shelf_open_in_layer(layer, number, inode, &packed, err);

	count_open(layer->shelf, layer->slot, number);
	return r ? r : new_file(&(struct file){ .layer = layer, .number = number, .packed = packed }, out, err);
}

int shelf_open_file(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out, struct err *err)
{
	struct shelf *s = layer->shelf;
	struct content *copy;
	enum verdict verdict;
	int64_t changed;

	if (!may_be_taken_out(s, inode))
		return shelf_open_in_layer(layer, number, inode, out, err);
	copy = find_taken_out(layer, number, inode, &changed);
	if (!copy)
		return open_to_count(layer, number, inode, out, err);
	verdict = verdict_of(s, layer->slot, number, changed);
	if (verdict == SOUND || (verdict == UNKNOWN && is_sealed(copy, changed)))
		return new_file(&(struct file){ .layer = layer, .number = number, .copy = copy, .changed = changed,
						.sound = verdict == SOUND, .looks = verdict == UNKNOWN }, out, err);
	content_free(copy);
	begin_look(layer, number, changed);
	return shelf_open_in_layer(layer, number, inode, out, err);
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
	return shelf_open_packed(c->shelf, blob.id, (uint32_t)name->part, out, err);
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
	r = remove_damaged(c->shelf->derived, name, content_fd(taken), err);
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
