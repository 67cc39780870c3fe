/*
 * access.c: what a credential may do, and what was worked out of it before.
 *
 * Two tables, both with the database's mark (db.h) as of before what they hold was read:
 *
 *	subjects	a principal's rights, by its row: grants (its own and its groups'), whether it is good, its tokens
 *	decisions	what a subject may do in a repository, by both names
 *
 * An entry answers while the mark is the same, that is, while nobody has committed anything since. When it has moved, the
 * subject's rights are read again only if the generation (people.h) has moved, too; what a decision needs of its repository is
 * always read again. So what was revoked, by any process, is refused in the next question.
 *
 * Invariants:
 *  1. What an entry holds was read from a committed state not older than its mark.
 *  2. Rights are never changed; who holds them keeps them.
 *  3. Expiry is compared with the clock in each question: no commit comes with it.
 */
#include "fs/base/base.h"
#include "fs/tree/access.h"

#include <pthread.h>

#include "fs/auth/pattern.h"
#include "fs/base/timestamp.h"
#include "fs/meta/grant.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

#define SUBJECTS 256	/* slots; direct-mapped */
#define SHARDS 16
#define DECISIONS 256	/* slots a shard; direct-mapped */

struct subject_slot {
	int64_t subject;
	struct db_mark mark;
	struct rights *rights;	/* NULL: empty */
};

struct decision {
	int64_t subject;
	uint64_t hash;
	char *repo;		/* NULL: the registry, which no name is, "" neither */
	struct db_mark mark;
	struct rights *rights;	/* by which it was made; NULL: empty */
	unsigned actions;
};

struct shard {
	pthread_mutex_t lock;
	struct decision slots[DECISIONS];	/* guarded by lock */
};

struct access {
	pthread_mutex_t lock;
	struct subject_slot subjects[SUBJECTS];	/* guarded by lock */
	struct shard shards[SHARDS];
};

int access_new(struct access **out, struct err *err)
{
	struct access *a = calloc(1, sizeof(*a));

	if (!a)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&a->lock, NULL);
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&a->shards[i].lock, NULL);
	*out = a;
	return 0;
}

static void drop(struct decision *d)
{
	free(d->repo);
	rights_put(d->rights);
	memset(d, 0, sizeof(*d));
}

void access_free(struct access *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < SUBJECTS; i++)
		rights_put(a->subjects[i].rights);
	for (size_t i = 0; i < SHARDS; i++) {
		for (size_t j = 0; j < DECISIONS; j++)
			drop(&a->shards[i].slots[j]);
		pthread_mutex_destroy(&a->shards[i].lock);
	}
	pthread_mutex_destroy(&a->lock);
	free(a);
}

void access_ask(struct ask *a, struct tree *tree, struct db *db, const struct cred *cred, struct err *err)
{
	*a = (struct ask){ .tree = tree, .db = db, .cred = cred, .err = err };
	a->marked = meta_mark(tree->meta, &a->mark);
}

static bool same_mark(const struct db_mark *a, const struct db_mark *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- Rights ---- */

static struct rights *hold(struct rights *r)
{
	__atomic_add_fetch(&r->holders, 1, __ATOMIC_RELAXED);
	return r;
}

void rights_put(struct rights *r)
{
	if (!r || __atomic_sub_fetch(&r->holders, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < r->count; i++)
		free((void *)(uintptr_t)r->list[i].pattern);
	free(r->list);
	free(r->tokens);
	free(r);
}

/* Makes room for one more of `size` bytes; false: out of memory. */
static bool grow(void **list, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 8;
	void *bigger;

	if (count < *room)
		return true;
	bigger = realloc(*list, more * size);
	if (!bigger)
		return false;
	*list = bigger;
	*room = more;
	return true;
}

static int keep_grant(void *arg, const struct grant_row *row)
{
	struct rights *r = arg;
	char *pattern;

	if (r->count == LIMIT_SUBJECT_GRANTS)
		return 1;
	pattern = grow((void **)&r->list, r->count, &r->room, sizeof(*r->list)) ? strdup(row->pattern) : NULL;
	if (!pattern)
		return r->error = -ENOMEM;
	r->list[r->count++] = (struct right){ .pattern = pattern, .actions = row->actions };
	return 0;
}

static int keep_token(void *arg, const struct token_row *row)
{
	struct rights *r = arg;

	if (!grow((void **)&r->tokens, r->token_count, &r->token_room, sizeof(*r->tokens)))
		return r->error = -ENOMEM;
	r->tokens[r->token_count++] = (struct live_token){ .id = row->id, .expires = row->expires };
	return 0;
}

static int load(const struct ask *a, int64_t generation, struct rights **out)
{
	auto_rights struct rights *rights = calloc(1, sizeof(*rights));
	struct principal_row row = { .id = 0 };
	int64_t subject = a->cred->subject;
	int r;

	if (!rights)
		return err_set(a->err, ERR_NO_MEMORY, "out of memory");
	rights->holders = 1;
	rights->generation = generation;
	r = subject ? principal_by_id(a->db, subject, &row, a->err) : 1;
	rights->gone = r == 0;
	rights->administrator = row.administrator;
	rights->disabled = row.disabled;
	rights->expires = row.expires;
	if (r > 0 && subject)
		r = token_list(a->db, subject, keep_token, rights, a->err);
	if (r >= 0 && subject && !rights->gone)
		r = grant_list_subject(a->db, subject, keep_grant, rights, a->err);
	if (rights->error)
		return err_set(a->err, ERR_NO_MEMORY, "out of memory");
	if (r >= 0)
		*out = steal(&rights);
	return MIN(r, 0);
}

/* The slot's rights if they are of this subject; *current: and as of this mark. */
static struct rights *kept_rights(const struct ask *a, bool *current)
{
	struct access *c = a->tree->access;
	struct subject_slot *s = &c->subjects[(uint64_t)a->cred->subject % SUBJECTS];
	struct rights *found = NULL;

	pthread_mutex_lock(&c->lock);
	if (s->rights && s->subject == a->cred->subject) {
		found = hold(s->rights);
		*current = a->marked && same_mark(&s->mark, &a->mark);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void keep_rights(const struct ask *a, struct rights *rights)
{
	struct access *c = a->tree->access;
	struct subject_slot *s = &c->subjects[(uint64_t)a->cred->subject % SUBJECTS];

	if (!a->marked)
		return;
	pthread_mutex_lock(&c->lock);
	rights_put(s->rights);
	*s = (struct subject_slot){ .subject = a->cred->subject, .mark = a->mark, .rights = hold(rights) };
	pthread_mutex_unlock(&c->lock);
}

/* Whoever they are and whether or not they are good. */
static int find_rights(const struct ask *a, struct rights **out)
{
	bool current = false;
	auto_rights struct rights *rights = kept_rights(a, &current);
	int64_t generation = 0;
	int r;

	if (!current) {
		r = access_generation(a->db, &generation, a->err);
		if (!r && (!rights || rights->generation != generation)) {
			rights_put(rights);
			rights = NULL;
			r = load(a, generation, &rights);
		}
		if (r)
			return r;
		keep_rights(a, rights);
	}
	*out = steal(&rights);
	return 0;
}

static bool token_is_good(const struct rights *r, int64_t token, int64_t now)
{
	for (size_t i = 0; i < r->token_count; i++)
		if (r->tokens[i].id == token)
			return !r->tokens[i].expires || r->tokens[i].expires > now;
	return false;
}

/* ERR_UNAUTHORIZED where who was recognized isn't any more. */
static int check_good(const struct rights *r, const struct cred *cred, struct err *err)
{
	int64_t now = r->expires || cred->token ? timestamp_now() : 0;

	if (r->gone)
		return err_set(err, ERR_UNAUTHORIZED, "there is no account %s any more", cred->name);
	if (r->disabled)
		return err_set(err, ERR_UNAUTHORIZED, "the account %s is disabled", cred->name);
	if (r->expires && r->expires <= now)
		return err_set(err, ERR_UNAUTHORIZED, "the account %s has expired", cred->name);
	if (cred->token && !token_is_good(r, cred->token, now))
		return err_set(err, ERR_UNAUTHORIZED, "the token of %s has expired, or was revoked", cred->name);
	return 0;
}

int rights_get(const struct ask *a, struct rights **out)
{
	auto_rights struct rights *rights = NULL;
	int r = find_rights(a, &rights);

	if (!r)
		r = check_good(rights, a->cred, a->err);
	if (!r)
		*out = steal(&rights);
	return r;
}

/* Of the registry's own, everyone may see the list of what they may see. */
static unsigned granted(const struct rights *r, const char *repo)
{
	unsigned actions = repo ? 0 : ACTION_PULL;

	if (r->administrator)
		return ACTIONS_ALL;
	for (size_t i = 0; repo && i < r->count; i++)
		if ((r->list[i].actions | actions) != actions && pattern_match(r->list[i].pattern, repo))
			actions |= r->list[i].actions;
	return actions;
}

static bool has_all(const struct cred *cred)
{
	return cred->kind == CRED_ADMINISTRATOR || cred->kind == CRED_ANYONE;
}

/* ---- Decisions ---- */

/* FNV-1a over the subject and the name. */
static uint64_t hash_key(int64_t subject, const char *repo)
{
	uint64_t h = (0xcbf29ce484222325u ^ (uint64_t)subject) * 0x100000001b3u;

	for (; repo && *repo; repo++)
		h = (h ^ (unsigned char)*repo) * 0x100000001b3u;
	return h ^ (h >> 29);
}

static bool is_decision(const struct decision *d, int64_t subject, uint64_t hash, const char *repo)
{
	if (!d->rights || d->hash != hash || d->subject != subject || !d->repo != !repo)
		return false;
	return !repo || streq(d->repo, repo);
}

/* 1 and the actions, 0: it isn't there, or negative: the subject isn't good any more. */
static int kept_decision(const struct ask *a, const char *repo, unsigned *out)
{
	uint64_t hash = hash_key(a->cred->subject, repo);
	struct shard *s = &a->tree->access->shards[hash % SHARDS];
	struct decision *d = &s->slots[hash / SHARDS % DECISIONS];
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (is_decision(d, a->cred->subject, hash, repo) && same_mark(&d->mark, &a->mark)) {
		*out = d->actions;
		r = check_good(d->rights, a->cred, a->err);
		r = r ? r : 1;
	}
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void keep_decision(const struct ask *a, const char *repo, struct rights *rights, unsigned actions)
{
	uint64_t hash = hash_key(a->cred->subject, repo);
	struct shard *s = &a->tree->access->shards[hash % SHARDS];
	struct decision *d = &s->slots[hash / SHARDS % DECISIONS];
	char *name = repo ? strdup(repo) : NULL;

	if (repo && !name)
		return;
	pthread_mutex_lock(&s->lock);
	drop(d);
	*d = (struct decision){ .subject = a->cred->subject,
				.hash = hash,
				.repo = name,
				.mark = a->mark,
				.rights = hold(rights),
				.actions = actions };
	pthread_mutex_unlock(&s->lock);
}

static int decide(struct ask *a, const char *repo, unsigned *out)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_rights struct rights *rights = NULL;
	struct repo_row row = { .id = 0 };
	int r = tree_reader(a->tree, &rd, a->err);

	a->db = rd.db;
	if (!r)
		r = rights_get(a, &rights);
	if (!r && repo)
		r = MIN(0, repo_by_name(rd.db, repo, &row, a->err));
	if (r)
		return r;
	*out = granted(rights, repo) | (row.public ? ACTION_PULL : 0);
	if (a->marked)
		keep_decision(a, repo, rights, *out);
	return 0;
}

int access_actions(struct tree *tree, const struct cred *cred, const char *repo, unsigned *out, struct err *err)
{
	struct ask a;
	int r;

	*out = ACTIONS_ALL;
	if (has_all(cred))
		return 0;
	access_ask(&a, tree, NULL, cred, err);
	r = a.marked ? kept_decision(&a, repo, out) : 0;
	return r ? MIN(r, 0) : decide(&a, repo, out);
}

/* ---- Rows ---- */

int access_row(const struct ask *a, const struct repo_row *row, unsigned *out)
{
	auto_rights struct rights *rights = NULL;
	int r = has_all(a->cred) ? 0 : rights_get(a, &rights);

	*out = has_all(a->cred) ? ACTIONS_ALL : 0;
	if (rights)
		*out = granted(rights, row->name) | (row->public ? ACTION_PULL : 0);
	if (a->cred->scopes)
		*out &= scopes_allow(a->cred->scopes, row->name);
	return r;
}

int access_may_pull(const struct ask *a, const struct repo_row *row)
{
	unsigned actions = 0;
	int r = cred_is_boundless(a->cred) ? 1 : row->is_repository ? access_row(a, row, &actions) : 0;

	/* Who isn't good any more sees nothing. */
	if (r == -EACCES)
		return 0;
	return r ? r : (actions & ACTION_PULL) != 0;
}

int access_may_pull_id(const struct ask *a, int64_t repository_id)
{
	struct repo_row row;
	int r = cred_is_boundless(a->cred) ? 1 : repo_by_id(a->db, repository_id, &row, a->err);

	return r <= 0 || cred_is_boundless(a->cred) ? r : access_may_pull(a, &row);
}

struct blob_look {
	const struct ask *ask;
	struct repo_row *out;
};

static int may_pull_one(void *arg, const struct repo_row *row)
{
	const struct blob_look *b = arg;
	int r = access_may_pull(b->ask, row);

	if (r > 0 && b->out)
		*b->out = *row;
	return r;
}

int access_may_read_blob(const struct ask *a, int64_t blob_id, struct repo_row *out)
{
	struct blob_look b = { .ask = a, .out = out };

	if (cred_is_boundless(a->cred) && !out)
		return 1;
	return repo_of_blob(a->db, blob_id, may_pull_one, &b, a->err);
}

int access_is_administrator(const struct ask *a)
{
	auto_rights struct rights *rights = NULL;
	int r;

	if (a->cred->scopes && scopes_allow(a->cred->scopes, NULL) != ACTIONS_ALL)
		return 0;
	if (has_all(a->cred))
		return 1;
	r = rights_get(a, &rights);
	return r == -EACCES ? 0 : r ? r : rights->administrator;
}

int access_covers(const struct ask *a, const char *pattern)
{
	auto_rights struct rights *rights = NULL;
	int r = access_is_administrator(a);

	/* What a token is limited to isn't compared with patterns: it grants nothing on. */
	if (r || a->cred->scopes)
		return r;
	r = rights_get(a, &rights);
	for (size_t i = 0; !r && i < rights->count; i++)
		if (rights->list[i].actions & ACTION_ADMIN && pattern_covers(rights->list[i].pattern, pattern))
			return 1;
	return r == -EACCES ? 0 : r;
}
