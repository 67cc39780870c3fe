/*
 * pulls.c: see pulls.h.
 *
 * Invariants:
 *  1. Memory is one batch of NOTES, and one that is being written; who notes never waits for it.
 *  2. A batch is written EVERY seconds after its first note, or when it is full: not more than one a second.
 */
#include "fs/base/base.h"
#include "fs/tree/pulls.h"

#include <pthread.h>

#include "fs/base/limits.h"
#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/meta/image.h"

#define NOTES 1024
#define SLOTS (2 * NOTES)
#define AT_ONCE 128	/* rows of one change: other writers' changes wait for them */
#define EVERY 60	/* seconds */

struct note {
	char repo[LIMIT_NAME + 1];
	struct digest digest;
	int64_t at;
};

struct batch {
	size_t count;
	uint16_t slots[SLOTS];	/* by the hash of repository and digest: the note's index and 1; 0: free */
	struct note notes[NOTES];
};

struct pulls {
	struct meta *meta;
	pthread_mutex_t lock;
	pthread_mutex_t writing;	/* taken before lock: one batch is written at a time */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stopping;		/* guarded by lock */
	struct batch *gathering;	/* guarded by lock */
	struct batch *spare;		/* guarded by writing */
};

static void init_wake(pthread_cond_t *wake)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(wake, &attr);
	pthread_condattr_destroy(&attr);
}

int pulls_new(struct meta *meta, struct pulls **out, struct err *err)
{
	struct pulls *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	p->meta = meta;
	p->gathering = calloc(1, sizeof(*p->gathering));
	p->spare = calloc(1, sizeof(*p->spare));
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->writing, NULL);
	init_wake(&p->wake);
	if (!p->gathering || !p->spare) {
		pulls_free(p);
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*out = p;
	return 0;
}

void pulls_free(struct pulls *p)
{
	bool running;

	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	running = p->running;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	if (running)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->writing);
	pthread_mutex_destroy(&p->lock);
	free(p->gathering);
	free(p->spare);
	free(p);
}

uint32_t pulls_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint32_t)t.tv_sec;
}

/* ---- Writing ---- */

struct part {
	const struct note *notes;
	size_t count;
};

static int write_part(struct db *db, void *arg, struct err *err)
{
	const struct part *p = arg;
	int r = 0;

	for (size_t i = 0; !r && i < p->count; i++)
		r = image_pulled(db, p->notes[i].repo, &p->notes[i].digest, p->notes[i].at, err);
	return r;
}

int pulls_flush(struct pulls *p, struct err *err)
{
	struct batch *b;
	int r = 0;

	pthread_mutex_lock(&p->writing);
	pthread_mutex_lock(&p->lock);
	b = p->gathering;
	p->gathering = p->spare;
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; !r && i < b->count; i += AT_ONCE) {
		struct part part = { .notes = b->notes + i, .count = MIN(b->count - i, (size_t)AT_ONCE) };

		r = meta_write(p->meta, false, write_part, &part, err);
	}
	b->count = 0;
	memset(b->slots, 0, sizeof(b->slots));
	p->spare = b;
	pthread_mutex_unlock(&p->writing);
	return r;
}

/* With the lock held: until there is a batch to write; false: the end. */
static bool gather(struct pulls *p)
{
	struct timespec until;

	while (!p->gathering->count && !p->stopping)
		pthread_cond_wait(&p->wake, &p->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += EVERY;
	while (p->gathering->count < NOTES && !p->stopping)
		if (pthread_cond_timedwait(&p->wake, &p->lock, &until) == ETIMEDOUT)
			break;
	return p->gathering->count || !p->stopping;
}

/* With the lock held. A second during which more is gathered, or lost. */
static void rest(struct pulls *p)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	while (!p->stopping)
		if (pthread_cond_timedwait(&p->wake, &p->lock, &until) == ETIMEDOUT)
			break;
}

static void *work(void *arg)
{
	struct pulls *p = arg;

	pthread_mutex_lock(&p->lock);
	while (gather(p)) {
		struct err err = ERR_INIT;

		pthread_mutex_unlock(&p->lock);
		if (pulls_flush(p, &err))
			log_warn("when images were pulled can't be written: %s", err.text);
		pthread_mutex_lock(&p->lock);
		rest(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ---- Noting ---- */

/* FNV-1a. */
static uint64_t hash(const char *repo, const struct digest *digest)
{
	uint64_t h = 0xcbf29ce484222325u;
	size_t size = digest_size(digest);

	for (; *repo; repo++)
		h = (h ^ (unsigned char)*repo) * 0x100000001b3u;
	for (size_t i = 0; i < size; i++)
		h = (h ^ ((const unsigned char *)digest)[i]) * 0x100000001b3u;
	return h ^ (h >> 29);
}

/* The slot of the same image, or a free one. */
static uint16_t *find_slot(struct batch *b, const char *repo, const struct digest *digest)
{
	size_t at = hash(repo, digest) % SLOTS;

	for (; b->slots[at]; at = (at + 1) % SLOTS) {
		const struct note *n = &b->notes[b->slots[at] - 1];

		if (streq(n->repo, repo) && digest_equal(&n->digest, digest))
			break;
	}
	return &b->slots[at];
}

void pulls_note(struct pulls *p, const char *repo, const struct digest *digest)
{
	int64_t now = timestamp_now();
	struct batch *b;
	uint16_t *slot;

	pthread_mutex_lock(&p->lock);
	b = p->gathering;
	slot = find_slot(b, repo, digest);
	if (*slot) {
		b->notes[*slot - 1].at = now;
	} else if (b->count < NOTES) {
		b->notes[b->count] = (struct note){ .digest = *digest, .at = now };
		snprintf(b->notes[b->count].repo, sizeof(b->notes[0].repo), "%s", repo);
		*slot = (uint16_t)++b->count;
	}
	if (!p->running && !p->stopping)	/* a registry that nobody pulls from needs no thread */
		p->running = pthread_create(&p->thread, NULL, work, p) == 0;
	if (b->count == 1 || b->count == NOTES)
		pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}
