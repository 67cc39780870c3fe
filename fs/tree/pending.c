/*
 * pending.c: links on their way to become a tag.
 *
 * coreutils' `ln -sf` over a name that is taken makes a link called Cu and six
 * letters or digits beside it and renames that. Such a link is no tag: it is kept here, in
 * memory, until its rename, an unlink, or LIFETIME has passed.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include <pthread.h>

#include "fs/base/timestamp.h"

#define LIFETIME (60 * INT64_C(1000000000))
#define NAME_LEN 8

struct link {
	int64_t repository_id;	/* 0: a free place */
	int64_t made;
	struct digest digest;
	char name[NAME_LEN + 1];
};

struct pending {
	pthread_mutex_t lock;
	struct link links[LIMIT_PENDING_LINKS];	/* guarded by lock */
};

int pending_new(struct pending **out, struct err *err)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&(*out)->lock, NULL);
	return 0;
}

void pending_free(struct pending *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

bool pending_name(const char *name)
{
	return strlen(name) == NAME_LEN && starts_with(name, "Cu") &&
	       strspn(name + 2, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") ==
		       NAME_LEN - 2;
}

/* With the lock held. Old links are forgotten on the way. */
static struct link *find(struct pending *p, int64_t repository_id, const char *name)
{
	int64_t now = timestamp_now();

	for (size_t i = 0; i < LIMIT_PENDING_LINKS; i++) {
		struct link *l = &p->links[i];

		if (l->repository_id && now - l->made > LIFETIME)
			l->repository_id = 0;
		if (l->repository_id == repository_id && (!name || streq(l->name, name)))
			return l;
	}
	return NULL;
}

int pending_add(struct pending *p, int64_t repository_id, const char *name,
		const struct digest *digest, struct err *err)
{
	struct link *l;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	if (find(p, repository_id, name)) {
		r = err_set(err, ERR_EXISTS, "%s is there already", name);
	} else if ((l = find(p, 0, NULL))) {
		l->repository_id = repository_id;
		l->made = timestamp_now();
		l->digest = *digest;
		snprintf(l->name, sizeof(l->name), "%s", name);
	} else {
		r = err_set(err, ERR_BUSY, "%d links are being replaced: try again",
			    LIMIT_PENDING_LINKS);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int pending_find(struct pending *p, int64_t repository_id, const char *name, struct digest *out)
{
	struct link *l;
	int place = -1;

	if (!pending_name(name))
		return -1;
	pthread_mutex_lock(&p->lock);
	l = find(p, repository_id, name);
	if (l) {
		*out = l->digest;
		place = (int)(l - p->links);
	}
	pthread_mutex_unlock(&p->lock);
	return place;
}

bool pending_at(struct pending *p, int64_t repository_id, int place, struct digest *out)
{
	bool there;

	if (place < 0 || place >= LIMIT_PENDING_LINKS)
		return false;
	pthread_mutex_lock(&p->lock);
	there = p->links[place].repository_id == repository_id;
	if (there)
		*out = p->links[place].digest;
	pthread_mutex_unlock(&p->lock);
	return there;
}

bool pending_remove(struct pending *p, int64_t repository_id, const char *name)
{
	struct link *l;

	pthread_mutex_lock(&p->lock);
	l = find(p, repository_id, name);
	if (l)
		l->repository_id = 0;
	pthread_mutex_unlock(&p->lock);
	return l != NULL;
}
