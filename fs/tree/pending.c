/*
 * pending.c: names on their way: links to become a tag, and files to become a hook.
 *
 * coreutils' `ln -sf` over a name that is taken makes a link called Cu and six
 * letters or digits beside it and renames that. Such a link is no tag: it is kept here, in
 * memory, until its rename, an unlink, or LIFETIME has passed.
 *
 * A file in _hooks that was made and not written to is no hook: its name is kept, for who has it open.
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
	char name[LIMIT_HOOK_NAME + 1];
};

struct pending {
	pthread_mutex_t lock;
	size_t last;				/* guarded by lock: the place taken last; the next one is behind it */
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

	for (size_t i = 1; i <= LIMIT_PENDING_LINKS; i++) {
		struct link *l = &p->links[(p->last + i) % LIMIT_PENDING_LINKS];

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
		p->last = (size_t)(l - p->links);
		l->repository_id = repository_id;
		l->made = timestamp_now();
		l->digest = *digest;
		snprintf(l->name, sizeof(l->name), "%s", name);
	} else {
		r = err_set(err, ERR_BUSY, "%d names are on their way: try again", LIMIT_PENDING_LINKS);
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

int pending_find(struct pending *p, int64_t repository_id, const char *name, struct digest *out)
{
	struct link *l;
	int place = -1;

	pthread_mutex_lock(&p->lock);
	l = find(p, repository_id, name);
	if (l) {
		*out = l->digest;
		place = (int)(l - p->links);
	}
	pthread_mutex_unlock(&p->lock);
	return place;
}

/* The link at a place, as it is; false: there is none of that repository. */
static bool copy_at(struct pending *p, int64_t repository_id, int place, struct link *out)
{
	if (place < 0 || place >= LIMIT_PENDING_LINKS)
		return false;
	pthread_mutex_lock(&p->lock);
	*out = p->links[place];
	pthread_mutex_unlock(&p->lock);
	return out->repository_id == repository_id;
}

bool pending_at(struct pending *p, int64_t repository_id, int place, struct digest *out)
{
	struct link l;
	bool there = copy_at(p, repository_id, place, &l);

	if (there)
		*out = l.digest;
	return there;
}

bool pending_name_at(struct pending *p, int64_t repository_id, int place, char out[static LIMIT_HOOK_NAME + 1])
{
	struct link l;
	bool there = copy_at(p, repository_id, place, &l);

	if (there)
		snprintf(out, LIMIT_HOOK_NAME + 1, "%s", l.name);
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
