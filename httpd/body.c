/*
 * body.c: an upload's bytes on their way from the connection to the tree.
 *
 * libmicrohttpd hands over what fits into its small connection buffer, about 16 KiB at a time. The
 * connection's thread gathers that into pieces of LIMIT_UPLOAD_BUFFER bytes; a writer, one job an
 * upload, writes them in order, and a hasher, another, digests what is written. So receiving,
 * writing and hashing go on at the same time, and small requests don't pay for big buffers. A body that
 * fits into LIMIT_UPLOAD_SMALL is copied aside instead when it ends, and the job that finishes the
 * request writes it: two threads fewer have to be woken (200 clients that push 1 KiB each: 26 context switches an artifact instead of 31).
 *
 *	         take()            push()           writer             hasher
 *	  spare ────────> filling ────────> queued ────────> written ─────────┬──> spare
 *	                     ^                                                │
 *	                     └──────────── given to the first waiter ─────────┘
 *
 * Invariants:
 *   1. At most LIMIT_UPLOAD_BUFFERS pieces exist, and an upload has at most
 *      LIMIT_UPLOAD_BUFFERS_EACH.
 *   2. An upload has at most one piece that is filling, and its connection is suspended only
 *      while it has none.
 *   3. Who found no piece waits in line; a piece that becomes free goes to the first of the line.
 *   4. While somebody waits, some piece is queued or written: when none is, the pieces that are filling are
 *      pushed half full. So a client that stops sending holds up no other.
 *   5. A body holds no piece that is filling once it has ended or was abandoned, so nothing starts a
 *      writer for one that is about to be freed.
 *   6. Spare pieces beyond SPARE_MEMORY have no memory: it went back to the system.
 */
#include "fs/base/base.h"
#include "httpd/body.h"

#include <sys/mman.h>

#include "fs/base/log.h"

/*
 * LIMIT_UPLOAD_BUFFERS_EACH was measured on 2 cores, 1 GiB on tmpfs, client included: 4 gave
 * 780-890 MB/s, 8 gave 945-1020, 16 gave 810-960. The threads of one upload need some way
 * between them, or each waits for the scheduler to run the next.
 */
#define SPARE_MEMORY	8 /* as much as two uploads need */
#define PIECES_IN_A_ROW 8 /* then the writer lets others have its thread */

void buffers_init(struct httpd *h)
{
	for (size_t i = 0; i < LIMIT_UPLOAD_BUFFERS; i++) {
		h->pieces[i].next = h->spare;
		h->spare = &h->pieces[i];
	}
	waiters_init(&h->piece_waiters);
}

void buffers_release(struct httpd *h)
{
	for (size_t i = 0; i < LIMIT_UPLOAD_BUFFERS; i++)
		if (h->pieces[i].data)
			munmap(h->pieces[i].data, LIMIT_UPLOAD_BUFFER);
}

/* Takes a spare piece off the list; NULL without memory for it, too. */
static struct piece *spare_take(struct httpd *h)
{
	struct piece *p = h->spare;

	if (!p)
		return NULL;
	if (p->data) {
		h->spare_memory--;
	} else {
		void *data = mmap(NULL, LIMIT_UPLOAD_BUFFER, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (data == MAP_FAILED)
			return NULL;
		p->data = data;
	}
	h->spare = p->next;
	p->next = NULL;
	p->len = 0;
	return p;
}

static void spare_put(struct httpd *h, struct piece *p)
{
	struct piece **at = &h->spare;

	if (h->spare_memory < SPARE_MEMORY) {
		h->spare_memory++;
	} else {
		munmap(p->data, LIMIT_UPLOAD_BUFFER);
		p->data = NULL;
		while (*at && (*at)->data)
			at = &(*at)->next;
	}
	p->next = *at;
	*at = p;
}

static void give(struct body *b, struct piece *p)
{
	p->len = 0;
	p->next = NULL;
	b->filling = p;
	b->held++;
	b->wants = false;
	request_resume(b->request);
}

/* A piece of `b` isn't needed any more. */
static void piece_done(struct body *b, struct piece *p)
{
	struct httpd *h = b->request->httpd;
	struct request *waiter = waiters_take(&h->piece_waiters);

	b->held--;
	if (waiter) {
		give(waiter->body, p);
		if (b->wants) {
			b->wants = false;
			waiters_add(&h->piece_waiters, b->request);
		}
	} else if (b->wants) {
		give(b, p);
	} else {
		spare_put(h, p);
	}
}

static void writer(struct work_job *job);

static void start_writer(struct body *b)
{
	if (b->writing)
		return;
	b->writing = true;
	request_hold(b->request);
	b->job.fn = writer;
	work_submit(b->request->httpd->writers, &b->job);
}

/* The piece that is filling goes to the writer. */
static void push(struct body *b)
{
	struct piece *p = steal(&b->filling);

	*b->last = p;
	b->last = &p->next;
	b->request->httpd->queued++;
	start_writer(b);
}

/* Invariant 4. */
static void push_half_full(struct httpd *h)
{
	if (!h->piece_waiters.first || h->queued)
		return;
	for (struct body *b = h->bodies; b; b = b->next)
		if (b->filling && !b->copying && b->filling->len)
			push(b);
}

static void fail(struct body *b, enum reason reason, const char *text)
{
	if (!b->failed)
		(void)err_set(&b->err, reason, "%s", text);
	b->failed = true;
}

/* false: there is none; the connection is suspended, or must be dropped. */
static bool take(struct body *b, mhd_result *result)
{
	struct httpd *h = b->request->httpd;
	bool own = b->held >= LIMIT_UPLOAD_BUFFERS_EACH;

	if (!own && !h->piece_waiters.first && h->spare) {
		b->filling = spare_take(h);
		if (b->filling)
			b->held++;
		else
			fail(b, ERR_NO_MEMORY, "no memory for an upload's bytes");
		return b->filling;
	}
	*result = request_suspend(b->request) ? MHD_YES : MHD_NO;
	if (*result == MHD_NO)
		return false;
	if (own)
		b->wants = true;
	else
		waiters_add(&h->piece_waiters, b->request);
	push_half_full(h);
	return false;
}

mhd_result body_receive(struct body *b, const char *data, size_t *len)
{
	struct httpd *h = b->request->httpd;
	mhd_result result = MHD_YES;

	b->received += (int64_t)*len;
	pthread_mutex_lock(&h->lock);
	if (b->announced >= 0 && b->received > b->announced)
		fail(b, ERR_SIZE_INVALID, "there are more bytes than Content-Range says");
	while (*len && !b->failed && (b->filling || take(b, &result))) {
		struct piece *p = b->filling;
		size_t n = MIN(*len, LIMIT_UPLOAD_BUFFER - p->len);

		b->copying = true;
		pthread_mutex_unlock(&h->lock);
		memcpy(p->data + p->len, data, n);
		pthread_mutex_lock(&h->lock);
		b->copying = false;
		p->len += n;
		data += n;
		*len -= n;
		if (p->len == LIMIT_UPLOAD_BUFFER)
			push(b);
		else
			push_half_full(h);
	}
	if (b->failed) {
		*len = 0;
		if (b->filling)
			piece_done(b, steal(&b->filling));
	}
	pthread_mutex_unlock(&h->lock);
	b->received -= (int64_t)*len;
	return result;
}

static bool is_busy(const struct body *b)
{
	return b->writing || b->hashing;
}

/* A job of the body has ended, with the lock held: the last one hands the request on. */
static void job_ended(struct body *b)
{
	if (b->ended && !is_busy(b))
		request_submit(b->request);
}

/* A piece leaves the writer and the hasher. */
static void piece_leaves(struct body *b, struct piece *p)
{
	struct httpd *h = b->request->httpd;

	h->queued--;
	piece_done(b, p);
	push_half_full(h);
}

/* Takes the first of a queue; NULL: it is empty. */
static struct piece *queue_take(struct piece **first, struct piece ***last)
{
	struct piece *p = *first;

	if (p) {
		*first = p->next;
		p->next = NULL;
		if (!*first)
			*last = first;
	}
	return p;
}

static void fail_with(struct body *b, const struct err *err)
{
	if (!b->failed)
		b->err = *err;
	b->failed = true;
}

/* Digests one piece, with the lock held before and after. */
static void hash_piece(struct body *b, struct piece *p)
{
	struct httpd *h = b->request->httpd;
	struct err err = ERR_INIT;
	int e;

	pthread_mutex_unlock(&h->lock);
	e = tree_upload_hash(b->file, p->data, p->len, &err);
	pthread_mutex_lock(&h->lock);
	if (e)
		fail_with(b, &err);
	piece_leaves(b, p);
}

/* Runs pieces of a queue through `step`, then gives its thread back; true: there are more. */
static bool run_queue(struct body *b, struct piece **first, struct piece ***last,
		      void (*step)(struct body *b, struct piece *p), bool *running)
{
	struct httpd *h = b->request->httpd;
	struct piece *p;
	bool more;

	pthread_mutex_lock(&h->lock);
	for (int i = 0; i < PIECES_IN_A_ROW && (p = queue_take(first, last)); i++)
		step(b, p);
	more = *first;
	*running = more;
	if (!more)
		job_ended(b);
	pthread_mutex_unlock(&h->lock);
	return more;
}

static void hasher(struct work_job *job)
{
	struct body *b = container_of(job, struct body, hash_job);
	struct request *r = b->request;

	if (run_queue(b, &b->written, &b->last_written, hash_piece, &b->hashing))
		work_submit(r->httpd->writers, job);
	else
		request_release(r);
}

static void start_hasher(struct body *b)
{
	if (b->hashing)
		return;
	b->hashing = true;
	request_hold(b->request);
	b->hash_job.fn = hasher;
	work_submit(b->request->httpd->writers, &b->hash_job);
}

/* Writes one piece, with the lock held before and after. */
static void write_piece(struct body *b, struct piece *p)
{
	struct httpd *h = b->request->httpd;
	struct err err = ERR_INIT;
	int e = -EIO;

	if (!b->failed) {
		pthread_mutex_unlock(&h->lock);
		e = body_open(b, &err);
		if (!e)
			e = tree_upload_append(b->file, p->data, p->len, &err);
		pthread_mutex_lock(&h->lock);
		if (e)
			fail_with(b, &err);
	}
	if (e) {
		piece_leaves(b, p);
		return;
	}
	*b->last_written = p;
	b->last_written = &p->next;
	start_hasher(b);
}

static void writer(struct work_job *job)
{
	struct body *b = container_of(job, struct body, job);
	struct request *r = b->request;

	if (run_queue(b, &b->first, &b->last, write_piece, &b->writing))
		work_submit(r->httpd->writers, job);
	else
		request_release(r);
}

/* Puts a small body aside; false: it isn't one, or there is no memory. */
static bool put_aside(struct body *b)
{
	const struct piece *p = b->filling;

	if (is_busy(b) || b->failed || p->len > LIMIT_UPLOAD_SMALL)
		return false;
	b->rest = malloc(p->len);
	if (!b->rest)
		return false;
	memcpy(b->rest, p->data, p->len);
	b->rest_len = p->len;
	return true;
}

void body_end(struct body *b)
{
	b->ended = true;
	if (b->filling && b->filling->len && !put_aside(b))
		push(b);
	if (b->filling)
		piece_done(b, steal(&b->filling));
	job_ended(b);
}

void body_abandon(struct body *b)
{
	struct httpd *h = b->request->httpd;

	pthread_mutex_lock(&h->lock);
	if (b->whole)
		fail(b, ERR_SIZE_INVALID, "the connection broke");
	if (b->filling && b->filling->len && !b->failed)
		push(b);
	/* From here on nobody else finds a piece to push: the last reference may go at any time. */
	if (b->filling)
		piece_done(b, steal(&b->filling));
	pthread_mutex_unlock(&h->lock);
}

int body_new(struct request *r, struct body **out, struct err *err)
{
	struct httpd *h = r->httpd;
	struct body *b = calloc(1, sizeof(*b));

	if (!b)
		return err_set(err, ERR_NO_MEMORY, "no memory for an upload");
	b->request = r;
	b->announced = -1;
	b->last = &b->first;
	b->last_written = &b->written;
	pthread_mutex_lock(&h->lock);
	b->link = &h->bodies;
	b->next = h->bodies;
	if (b->next)
		b->next->link = &b->next;
	h->bodies = b;
	pthread_mutex_unlock(&h->lock);
	r->body = *out = b;
	return 0;
}

int body_open(struct body *b, struct err *err)
{
	struct request *r = b->request;
	struct cred cred = request_cred(r);
	int e = 0;

	if (b->file)
		return 0;
	if (!b->id[0])
		e = tree_upload_begin(r->httpd->tree, &cred, r->route.name,
				      (enum digest_algorithm)b->digest.algorithm, b->id, err);
	return e ? e : tree_upload_open(r->httpd->tree, &cred, r->route.name, b->id, &b->file, err);
}

int body_settle(struct body *b, struct err *err)
{
	int e = 0;

	if (!b->failed && b->rest) {
		e = body_open(b, &b->err);
		if (!e)
			e = tree_upload_write(b->file, b->rest, b->rest_len, &b->err);
		b->failed = e;
	}
	if (!b->failed)
		return 0;
	*err = b->err;
	return -err->errnum;
}

void body_close(struct body *b)
{
	struct request *r = b->request;
	struct cred cred = request_cred(r);
	struct err err = ERR_INIT;

	if (b->file)
		tree_upload_close(steal(&b->file));
	/* Nobody else knows its number, so nobody could go on with it. A wrong digest has ended it
	 * already. */
	if (b->whole && b->id[0] && !b->committed &&
	    tree_upload_cancel(r->httpd->tree, &cred, r->route.name, b->id, &err) &&
	    err.reason != ERR_UPLOAD_UNKNOWN)
		log_warn("an upload to %s that failed stays: %s", r->route.name, err.text);
	b->id[0] = '\0';
}

void body_free(struct body *b)
{
	struct httpd *h = b->request->httpd;

	body_close(b);
	pthread_mutex_lock(&h->lock);
	b->wants = false;
	if (b->filling)
		piece_done(b, steal(&b->filling));
	*b->link = b->next;
	if (b->next)
		b->next->link = b->link;
	pthread_mutex_unlock(&h->lock);
	free(b->rest);
	free(b);
}
