/*
 * verified.c: see verified.h.
 *
 * Sets of WAYS slots, chosen by the key. The keys are salted: nobody can choose what falls into one set, and what is left in memory
 * of a password isn't one that can be looked up.
 */
#include "fs/base/base.h"
#include "fs/auth/verified.h"

#include <pthread.h>
#include <sys/random.h>

#include "fs/auth/secret.h"

#define WAYS 8
#define SETS (LIMIT_VERIFIED / WAYS)
#define SALT 32

struct slot {
	struct digest key;
	struct verified *verified;	/* NULL: empty */
};

struct verified_cache {
	unsigned char salt[SALT];
	pthread_mutex_t lock;
	struct slot slots[SETS][WAYS];	/* guarded by lock */
};

/* ---- One ---- */

struct verified *verified_new(const struct cred *cred, struct scopes *scopes, int64_t until, int64_t generation)
{
	struct verified *v = malloc(sizeof(*v));

	if (!v) {
		scopes_free(scopes);
		return NULL;
	}
	atomic_init(&v->holders, 1);
	v->cred = *cred;
	v->cred.from = NULL;
	v->cred.scopes = scopes;
	v->scopes = scopes;
	v->until = until;
	v->generation = generation;
	return v;
}

void verified_put(struct verified *v)
{
	if (!v || atomic_fetch_sub(&v->holders, 1) != 1)
		return;
	scopes_free(v->scopes);
	free(v);
}

/* ---- All ---- */

int verified_cache_new(struct verified_cache **out, struct err *err)
{
	struct verified_cache *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	/* So few bytes come whole. */
	if (getrandom(c->salt, sizeof(c->salt), 0) != sizeof(c->salt)) {
		free(c);
		return err_sys(err, EIO, "no random numbers");
	}
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return 0;
}

void verified_cache_free(struct verified_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SETS; i++)
		for (size_t j = 0; j < WAYS; j++)
			verified_put(c->slots[i][j].verified);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int verified_key(const struct verified_cache *c, const char *shown, size_t len, struct digest *out, struct err *err)
{
	unsigned char data[SALT + LIMIT_AUTHORIZATION];
	int r;

	if (len > LIMIT_AUTHORIZATION)
		return err_set(err, ERR_UNAUTHORIZED, "what was shown has more than %d bytes", LIMIT_AUTHORIZATION);
	memcpy(data, c->salt, SALT);
	memcpy(data + SALT, shown, len);
	memset(out, 0, sizeof(*out));
	r = digest_of(DIGEST_SHA256, data, SALT + len, out, err);
	secret_forget(data + SALT, len);
	return r;
}

static struct slot *set_of(struct verified_cache *c, const struct digest *key)
{
	return c->slots[(key->bytes[0] | key->bytes[1] << 8) % SETS];
}

static void empty(struct slot *s)
{
	verified_put(s->verified);
	s->verified = NULL;
}

struct verified *verified_find(struct verified_cache *c, const struct digest *key, int64_t now)
{
	struct slot *set = set_of(c, key);
	struct verified *found = NULL;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < WAYS && !found; i++) {
		if (!set[i].verified || !secret_equal(set[i].key.bytes, key->bytes, digest_size(key) - 1))
			continue;
		if (set[i].verified->until <= now) {
			empty(&set[i]);
			break;
		}
		found = set[i].verified;
		atomic_fetch_add(&found->holders, 1);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

/* The one that has this key, else an empty one, else the one that expires first. */
static struct slot *slot_for(struct slot *set, const struct digest *key, int64_t now)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].verified && set[i].verified->until <= now)
			empty(&set[i]);
		if (set[i].verified && digest_equal(&set[i].key, key))
			return &set[i];
		if (!best || (best->verified && (!set[i].verified || set[i].verified->until < best->verified->until)))
			best = &set[i];
	}
	return best;
}

void verified_keep(struct verified_cache *c, const struct digest *key, struct verified *v, int64_t now)
{
	struct slot *slot;

	pthread_mutex_lock(&c->lock);
	slot = slot_for(set_of(c, key), key, now);
	empty(slot);
	slot->key = *key;
	slot->verified = v;
	atomic_fetch_add(&v->holders, 1);
	pthread_mutex_unlock(&c->lock);
}
