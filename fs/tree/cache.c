/*
 * cache.c: images by the name they were asked for.
 *
 * Each entry carries the mark of the database (db.h) taken before it was read. It
 * answers only while the mark is the same, that is, while nobody has committed
 * anything since; a moved tag is therefore seen by the next request. When the mark has moved, the
 * row is read again, and the bytes, which can't have changed under their
 * digest, are used again.
 *
 * Invariants:
 *  1. An entry's image was read from a state of the database not older than its mark.
 *  2. `bytes` is the sum of the entries' images; it stays under BYTES_MAX a shard.
 *  3. An image larger than IMAGE_MAX is never kept.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include <pthread.h>

#define SHARDS 16
#define SLOTS 256	/* a shard; direct-mapped */
#define IMAGE_MAX (64 * 1024)
#define BYTES_MAX (512 * 1024)
#define KEY_MAX (LIMIT_NAME + 1 + DIGEST_TEXT_MAX + 1)

struct entry {
	uint64_t hash;
	char *key;		/* repo '\n' reference */
	struct db_mark mark;
	struct tree_image *image;
};

struct shard {
	pthread_mutex_t lock;
	struct entry slots[SLOTS];	/* guarded by lock */
	size_t bytes;			/* guarded by lock */
	size_t hand;			/* guarded by lock: where to look for the next to drop */
};

struct cache {
	struct shard shards[SHARDS];
};

/* What a struct tree_image is in; its bytes and media type stand behind it. */
struct box {
	struct tree_image image;
	int count;	/* atomic */
	uint32_t pulled;	/* atomic: pulls_clock() and 1, when its pull was noted last; 0: it wasn't */
	void (*door_release)(void *);
	char behind[];
};

/* ---- Shared images ---- */

int shared_image_new(const struct image_row *row, const struct buf *bytes, struct tree_image **out,
		     struct err *err)
{
	size_t media = strlen(row->media_type) + 1;
	struct box *box = calloc(1, sizeof(*box) + media + bytes->len);

	if (!box)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	box->count = 1;
	box->image.digest = row->digest;
	digest_format(&row->digest, box->image.digest_text);
	memcpy(box->behind, row->media_type, media);
	memcpy(box->behind + media, bytes->data, bytes->len);
	box->image.media_type = box->behind;
	box->image.data = box->behind + media;
	box->image.size = bytes->len;
	*out = &box->image;
	return 0;
}

static struct tree_image *hold(struct tree_image *image)
{
	__atomic_add_fetch(&container_of(image, struct box, image)->count, 1, __ATOMIC_RELAXED);
	return image;
}

void tree_image_release(struct tree_image *image)
{
	struct box *box = container_of(image, struct box, image);

	if (!image || __atomic_sub_fetch(&box->count, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	if (box->image.door)
		box->door_release(box->image.door);
	free(box);
}

bool shared_image_pulled(struct tree_image *image)
{
	struct box *box = container_of(image, struct box, image);
	uint32_t now = pulls_clock() + 1, last = __atomic_load_n(&box->pulled, __ATOMIC_RELAXED);

	if (last && now - last < PULLS_EACH)
		return false;
	/* Of several threads one notes it. */
	return __atomic_compare_exchange_n(&box->pulled, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void *tree_image_door(struct tree_image *image)
{
	return __atomic_load_n(&image->door, __ATOMIC_ACQUIRE);
}

void *tree_image_set_door(struct tree_image *image, void *mine, void (*release)(void *))
{
	struct box *box = container_of(image, struct box, image);
	void *have = NULL;

	/* All callers are one door: the same function, whoever wins. */
	__atomic_store_n(&box->door_release, release, __ATOMIC_RELEASE);
	if (__atomic_compare_exchange_n(&image->door, &have, mine, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return mine;
	return have;
}

/* ---- The table ---- */

/* FNV-1a over repo, '\n', reference. */
static uint64_t hash_key(const char *repo, const char *reference)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *repo; repo++)
		h = (h ^ (unsigned char)*repo) * 0x100000001b3u;
	h = (h ^ '\n') * 0x100000001b3u;
	for (; *reference; reference++)
		h = (h ^ (unsigned char)*reference) * 0x100000001b3u;
	return h ^ (h >> 29);
}

static bool key_is(const char *key, const char *repo, const char *reference)
{
	size_t n = strlen(repo);

	return strncmp(key, repo, n) == 0 && key[n] == '\n' && streq(key + n + 1, reference);
}

int cache_new(struct cache **out, struct err *err)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&c->shards[i].lock, NULL);
	*out = c;
	return 0;
}

static void drop(struct shard *s, struct entry *e)
{
	if (!e->key)
		return;
	s->bytes -= e->image->size;
	tree_image_release(e->image);
	free(e->key);
	memset(e, 0, sizeof(*e));
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t j = 0; j < SLOTS; j++)
			drop(&c->shards[i], &c->shards[i].slots[j]);
		pthread_mutex_destroy(&c->shards[i].lock);
	}
	free(c);
}

static struct tree_image *find(struct cache *c, const char *repo, const char *reference,
			       const struct db_mark *mark)
{
	uint64_t hash = hash_key(repo, reference);
	struct shard *s = &c->shards[hash % SHARDS];
	struct entry *e = &s->slots[hash / SHARDS % SLOTS];
	struct tree_image *found = NULL;

	pthread_mutex_lock(&s->lock);
	if (e->key && e->hash == hash && key_is(e->key, repo, reference) &&
	    (!mark || memcmp(&e->mark, mark, sizeof(*mark)) == 0))
		found = hold(e->image);
	pthread_mutex_unlock(&s->lock);
	return found;
}

struct tree_image *cache_get(struct cache *c, const char *repo, const char *reference,
			     const struct db_mark *mark)
{
	return find(c, repo, reference, mark);
}

struct tree_image *cache_last(struct cache *c, const char *repo, const char *reference)
{
	return find(c, repo, reference, NULL);
}

void cache_put(struct cache *c, const char *repo, const char *reference, const struct db_mark *mark,
	       struct tree_image *image)
{
	uint64_t hash = hash_key(repo, reference);
	struct shard *s = &c->shards[hash % SHARDS];
	struct entry *e = &s->slots[hash / SHARDS % SLOTS];
	auto_free char *key = malloc(KEY_MAX + 1);

	if (!key || image->size > IMAGE_MAX)
		return;
	snprintf(key, KEY_MAX + 1, "%s\n%s", repo, reference);
	pthread_mutex_lock(&s->lock);
	drop(s, e);
	for (size_t i = 0; i < SLOTS && s->bytes + image->size > BYTES_MAX; i++)
		drop(s, &s->slots[s->hand++ % SLOTS]);
	e->hash = hash;
	e->key = steal(&key);
	e->mark = *mark;
	e->image = hold(image);
	s->bytes += image->size;
	pthread_mutex_unlock(&s->lock);
}
