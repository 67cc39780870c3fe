/*
 * hashes.c: the running digests of uploads between two requests.
 *
 * A digest that is dropped costs a second pass over the upload's bytes at its
 * commit, nothing else; so the table is of fixed size and a newcomer takes the place of
 * whoever has its slot.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include <pthread.h>

struct kept {
	char id[STORE_ID_MAX + 1];
	struct hasher *hasher;
	int64_t hashed;
};

struct hashes {
	pthread_mutex_t lock;
	struct kept *slots[LIMIT_UPLOAD_HASHES];	/* guarded by lock */
};

/* An id is random: any of its digits spread evenly. */
static size_t slot_of(const char *id)
{
	return strtoul(id + 24, NULL, 16) % LIMIT_UPLOAD_HASHES;
}

static void kept_free(struct kept *k)
{
	if (!k)
		return;
	hasher_free(k->hasher);
	free(k);
}

int hashes_new(struct hashes **out, struct err *err)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&(*out)->lock, NULL);
	return 0;
}

void hashes_free(struct hashes *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < LIMIT_UPLOAD_HASHES; i++)
		kept_free(h->slots[i]);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void hashes_keep(struct hashes *h, const char *id, struct hasher *hasher, int64_t hashed)
{
	struct kept *k = hasher ? calloc(1, sizeof(*k)) : NULL, *old;

	if (!k) {
		hasher_free(hasher);
		return;
	}
	snprintf(k->id, sizeof(k->id), "%s", id);
	k->hasher = hasher;
	k->hashed = hashed;
	pthread_mutex_lock(&h->lock);
	old = h->slots[slot_of(id)];
	h->slots[slot_of(id)] = k;
	pthread_mutex_unlock(&h->lock);
	kept_free(old);
}

struct hasher *hashes_take(struct hashes *h, const char *id, int64_t *hashed)
{
	struct hasher *hasher = NULL;
	struct kept *k;

	pthread_mutex_lock(&h->lock);
	k = h->slots[slot_of(id)];
	if (k && streq(k->id, id))
		h->slots[slot_of(id)] = NULL;
	else
		k = NULL;
	pthread_mutex_unlock(&h->lock);
	if (k) {
		hasher = steal(&k->hasher);
		*hashed = k->hashed;
		kept_free(k);
	}
	return hasher;
}
