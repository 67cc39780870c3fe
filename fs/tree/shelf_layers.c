/*
 * shelf_layers.c: layers, indexed by a pool of threads, which take turns: shelf_state.h.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/base/waiting.h"
#include "fs/image/layer.h"
#include "fs/tree/state.h"
#include "fs/upkeep/check.h"

#define TURN (3 * INT64_C(1000000000))	/* as long as one works before others count: a layer of a gigabyte or two */
#define APART_MAX 2			/* threads that work on for longer, besides; each layer in work takes memory: LIMIT_TREE_ENTRIES */

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
	*t = (struct turn){ .shelf = s, .began = timestamp_monotonic(), .length = TURN, .brief = !may_go_apart };
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
	if (timestamp_monotonic() - t->began < t->length)
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

/* ---- Indexing ---- */

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
		r = shelf_begin_index(s, DERIVED_LAYER, INDEX_LAYER, d, &draft, &item->index, err);
	if (r <= 0 && !shelf_is_full(r))
		return r;
	r = shelf_make_index(item, &draft, INDEX_LAYER, make_layer, &work, err);
	atomic_fetch_add(&s->indexed, !r);
	return r;
}

/* ---- Damage ---- */

static void suspect(struct shelf *s, const struct digest *d)
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
	suspect(j->shelf, &j->digest);
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
		r = shelf_given_up(&err);
	if (r == -EIO)
		suspect(s, &item->digest);
	if (!turn->lost || !r || shelf_is_stopping(s))
		return shelf_settle(item, r, &err);
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
		return shelf_settle(item, shelf_given_up(&err), &err);
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
		return shelf_settle(item, r, &err);
	if (!r)
		return shelf_settle(item, 0, NULL);
	queue_layer(item);
}

int shelf_request_layer(struct shelf *s, int64_t slot, struct shelf_item **out, struct err *err)
{
	bool fresh;

	*out = shelf_take(s, SHELF_LAYER, slot, &fresh);
	if (!*out)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fresh)
		begin_layer(*out);
	return 0;
}
