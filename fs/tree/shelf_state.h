/*
 * shelf_state.h: what the files of the shelf share, and nobody else sees.
 *
 *	absent ──get──> OPENING ──> READY ───nobody holds it, and there are too many──> absent
 *	                   │          └──its index proved damaged: discarded──────────────^
 *	                   └──────> FAILED ──the same, or it may be tried again───────> absent
 *
 * Invariants:
 * 1. An item's index, slots and digest don't change while it is READY, and it stays while it is held; discarded it isn't in the
 *    table any more, and goes when nobody holds it.
 * 2. A thread of the pool that indexes waits for nothing of the shelf's, so whoever waits for it gets an end. One that works for long while others
 *    wait for a thread goes apart, where there is room for it, or ends, for its work to be begun again by one that is (and is the only kind that is): what is small
 *    isn't held up by what is large.
 * 3. Nothing is read or made with shelf.lock held.
 */
#ifndef REGFS_SHELF_STATE_H
#define REGFS_SHELF_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/work.h"
#include "fs/store/derived.h"
#include "fs/tree/shelf.h"

#define SHELF_BUCKETS 1024
#define SHELF_HOT_PLACES 4096			/* files whose opens are counted; direct-mapped */

enum shelf_state { OPENING, READY, FAILED };

/* What readers do themselves, few at a time. */
enum shelf_work { SHELF_MERGE, SHELF_COPY, SHELF_WORK_COUNT };

/* How to read a layer's bytes; made when the first file of it is opened that isn't taken out, or is read here all the same. */
struct bytes {
	struct content *blob;		/* or its decoded copy */
	struct index *copy_index;	/* or NULL */
	struct span_table table;
	struct span_layer *spans;
};

enum bytes_state { BYTES_ABSENT, BYTES_BUSY, BYTES_MADE };

struct shelf_item {
	struct shelf *shelf;
	struct work_job job;
	enum shelf_kind kind;
	int64_t slot;
	struct digest digest;		/* a layer's, or of the list of an image's */
	struct index *index;
	size_t in_memory;		/* bytes of an index that the disk had no room for */
	int64_t *slots;			/* an image's layers */
	struct bytes bytes;		/* by who makes it, BYTES_BUSY; constant then */
	struct err bytes_err;		/* by the same: why it couldn't be made, */
	int64_t bytes_failed_at;	/* and when, or 0 */
	/* All guarded by shelf.lock: */
	enum shelf_state state;
	unsigned holds;
	bool discarded;			/* and not in the table */
	enum bytes_state bytes_state;
	bool renewed;			/* a blob of it came while it was OPENING: what fails then, may succeed now */
	int64_t failed_at;
	struct err err;			/* FAILED */
	struct shelf_item *next;	/* in its bucket */
	struct shelf_item *next_queued;	/* in shelf.queue, or shelf.late */
	int64_t weight;			/* a layer's: bytes of its blob */
	bool has_job;			/* its job lies in the pool, and holds it */
	bool wanted;			/* by nobody who waits: it was pushed */
	struct shelf_item *newer, *older;	/* by use; not held only */
};

/* A file that was opened, and may be taken out of its layer. */
struct shelf_opened {
	int64_t slot;
	uint32_t inode, opens;
	bool busy;	/* a job is at it, or waits */
	int64_t sound;	/* time of change of the file taken out that has the right bytes; 0: none that was looked at */
	int64_t bad;	/* of one that hasn't, and that could not be removed it may be; 0: none */
};

struct shelf {
	struct tree *tree;
	struct derived *derived;
	struct span_cache *cache;
	struct work *makers;
	atomic_bool stopping;
	atomic_llong indexed;
	atomic_bool suspecting;		/* a job reads a blob for damage */
	pthread_mutex_t lock;
	pthread_cond_t settled;		/* an item became READY or FAILED, or some work has ended, or bytes were made */
	struct shelf_item *buckets[SHELF_BUCKETS];	/* guarded by lock, and what follows */
	struct shelf_item *newest, *oldest;
	unsigned idle;
	size_t in_memory;		/* of all items */
	struct shelf_opened opened[SHELF_HOT_PLACES];
	unsigned hot_jobs;		/* of the makers', that take files out */
	bool looking;			/* a job looks at one that was, or waits to */
	struct hot_job *looks, **last_look;	/* which come after it */
	unsigned looks_waiting;
	unsigned waiting_jobs;		/* of the makers', not begun yet */
	unsigned apart;			/* makers that index for long */
	unsigned working[SHELF_WORK_COUNT];
	struct shelf_item *queue;	/* layers that no maker has begun; OPENING, as those: */
	struct shelf_item *late, **last_late;	/* which a maker has given up */
	int64_t budget;		/* of copies and files taken out; constant once the shelf is used */
	atomic_llong taken_out;
};

/* ---- shelf.c ---- */

/* Holds the item; *fresh: it is OPENING, and the caller's, who holds it once more for that, to settle. NULL: no memory. */
struct shelf_item *shelf_take(struct shelf *s, enum shelf_kind kind, int64_t slot, bool *fresh);
/* Ends the opener's hold; r, and err, say how it went. */
void shelf_settle(struct shelf_item *item, int r, const struct err *err);
/* Until it is settled, or nobody wants it any more; what failed is put back. */
int shelf_await(struct shelf_item *item, struct shelf_item **out, struct err *err) MUST_CHECK;
int shelf_given_up(struct err *err) MUST_CHECK;
/* Room for an index in memory; what nobody holds makes way. */
int shelf_reserve(struct shelf_item *item, size_t size, struct err *err) MUST_CHECK;
/* One more hold of an item that is held. */
void shelf_hold(struct shelf_item *item);
bool shelf_is_discarded(struct shelf_item *item);
bool shelf_is_stopping(void *shelf);
/* Whether what failed at that time is tried again, since it was so long ago. */
bool shelf_may_retry(int64_t failed_at);
/* Waits until done(arg), which is asked with the lock held, and each time that `settled` is signalled. ERR_INTERRUPTED: who asked for it has
 * gone; ERR_TOO_MANY_REQUESTS. A shelf that stops ends what is waited for. */
int shelf_wait_until(struct shelf *s, bool (*done)(void *arg), void *arg, struct err *err) MUST_CHECK;
/* Waits until fewer are at it, in the same way. */
int shelf_work_begin(struct shelf *s, enum shelf_work which, struct err *err) MUST_CHECK;
void shelf_work_end(struct shelf *s, enum shelf_work which);
/* This thread's work is for later: others go before it. */
void shelf_be_nice(void);

/* ---- shelf_layers.c ---- */

/* Holds the layer, which may still be OPENING. */
int shelf_request_layer(struct shelf *s, int64_t slot, struct shelf_item **out, struct err *err) MUST_CHECK;

/* What a maker has of the pool. */
struct turn {
	struct shelf *shelf;
	int64_t began;		/* nanoseconds, of the monotonic clock, */
	int64_t length;		/* and how many it has, when others wait */
	bool brief;		/* it may not take longer than its turn while others wait */
	struct shelf_item *item;	/* a layer that it indexes, or NULL */
	bool apart, lost;
	bool unwanted;		/* nobody waits for the layer any more */
};
/* Gives the pool a job, which begins with shelf_turn_begin(). */
void shelf_submit(struct shelf *s, struct work_job *job);
void shelf_turn_begin(struct turn *t, struct shelf *s, bool may_go_apart);
/* Asked now and then: the work is to end, since the shelf stops, or (t->lost) for others. */
bool shelf_turn_is_over(void *turn);
/* Damage was met in a layer: its blob is read, by a maker, and put into quarantine if it is the blob's, so that it is taken when it is pushed again. */
void shelf_suspect_later(struct shelf *s, const struct digest *d);

/* ---- shelf_images.c ---- */

/* The same of an image, merged by who asks first: what fails for him alone, as that too many wait, others begin anew. */
int shelf_request_image(struct shelf *s, int64_t slot, struct shelf_item **out, struct err *err) MUST_CHECK;

/* ---- shelf_make.c ---- */

/* Opens an index that is there; one that is damaged or old is removed, to be made again. */
int shelf_open_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		     struct index **out, struct err *err) MUST_CHECK;
/* Names the layer whose fault it is, and what can be done. Returns what the caller is to return. */
int shelf_blame(struct err *err, int r, const struct digest *d) MUST_CHECK;

struct draft {
	struct derived *derived;
	struct derived_draft file;
};

static inline void draft_end(struct draft *d)
{
	derived_end(d->derived, &d->file);
}
#define auto_draft CLEANUP(draft_end)

/* 1: the index is the caller's to make; 0: *out is what another process made since it was looked for. */
int shelf_begin_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key, struct draft *draft,
		      struct index **out, struct err *err) MUST_CHECK;
/* Writes an index into an empty file. */
typedef int make_fn(void *arg, int fd, struct err *err);
/* On the disk; in memory if that doesn't take it. */
int shelf_make_index(struct shelf_item *item, struct draft *draft, enum index_kind kind, make_fn *make, void *arg, struct err *err) MUST_CHECK;
/* The disk is full, or can't be written to: no reason not to read. */
bool shelf_is_full(int r);

/* ---- shelf_bytes.c ---- */

/* What an item holds to be read; a layer's only. */
void shelf_release_bytes(struct shelf_item *item);
/* A regular file's bytes out of its layer, which is held meanwhile; `inode`: of its index. */
int shelf_open_in_layer(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out,
			struct err *err) MUST_CHECK;
/* As shelf_open(), but out of the layer in any case. */
int shelf_open_packed(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err) MUST_CHECK;

/* ---- shelf_files.c ---- */

/* As shelf_open_in_layer(), or by the file that was taken out. */
int shelf_open_file(struct shelf_item *layer, uint32_t number, const struct index_inode *inode, struct content **out,
		    struct err *err) MUST_CHECK;
/* What wasn't looked at yet isn't any more. No job runs. */
void shelf_forget_looks(struct shelf *s);

#endif
