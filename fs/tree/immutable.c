/*
 * immutable.c: tags that never move, by the rules of their repository or of a namespace above it (the setting `immutable`).
 *
 * Invariants:
 *  1. Such a tag, once it names an image, names no other, whoever asks, through whichever door: it is asked for where tags move
 *     (history.c), in the transaction that would do it.
 *  2. It goes only by who may administer the repository; then it may be made anew. So does an image that it needs, by way of indexes.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"

#include "fs/auth/rule.h"
#include "fs/tree/settings.h"

/* The rule by which a tag is immutable: 1, or 0. */
static int find_rule(struct db *db, const char *repo, const char *tag, char rule[static LIMIT_VALUE + 1], struct err *err)
{
	auto_buf struct buf rules = BUF_INIT;
	int r = settings_effective(db, repo, "immutable", &rules, err);

	return r > 0 ? !streq(rules.data, IMMUTABLE_NONE) && rules_match(rules.data, tag, rule) : r;
}

int refuse_move(struct db *db, const char *repo, int64_t repository_id, const char *tag, const struct digest *digest,
		struct err *err)
{
	char rule[LIMIT_VALUE + 1];
	struct tag_row now;
	int r = tag_by_name(db, repository_id, tag, &now, err);

	if (!r)
		return quota_refuse(db, repo, &(struct quota_need){ .tags = 1 }, err);
	if (r < 0 || digest_equal(&now.digest, digest))
		return MIN(r, 0);
	r = find_rule(db, repo, tag, rule, err);
	return r > 0 ? err_set(err, ERR_DENIED, "tag %s of %s is immutable (rule %s): use another tag", tag, repo, rule) : r;
}

int refuse_removal(struct db *db, const char *repo, const char *tag, bool administers, struct err *err)
{
	char rule[LIMIT_VALUE + 1];
	int r = administers ? 0 : find_rule(db, repo, tag, rule, err);

	return r > 0 ? err_set(err, ERR_DENIED,
			       "tag %s of %s is immutable (rule %s): only who may administer the repository may remove it", tag,
			       repo, rule) :
		       r;
}

/* ---- What an index names, if it or one above it has such a tag ---- */

struct climb {
	struct db *db;
	const struct repo_row *repo;
	struct buf found;	/* struct digest, of the image and of all indexes above it */
	struct err *err;
};

static int refuse_above(void *arg, const struct tag_row *tag)
{
	const struct climb *c = arg;
	char rule[LIMIT_VALUE + 1];
	int r = find_rule(c->db, c->repo->name, tag->name, rule, c->err);

	return r > 0 ? err_set(c->err, ERR_DENIED,
			       "tag %s of %s, which needs this image, is immutable (rule %s): only who may administer the repository may"
			       " remove it",
			       tag->name, c->repo->name, rule) :
		       r;
}

static bool was_found(const struct climb *c, const struct digest *d)
{
	for (size_t at = 0; at < c->found.len; at += sizeof(*d))
		if (digest_equal((const struct digest *)(c->found.data + at), d))
			return true;
	return false;
}

static int find_above(void *arg, const struct ref_row *ref)
{
	struct climb *c = arg;
	struct image_row index;
	int r = image_by_id(c->db, ref->manifest_id, &index, c->err);

	if (r <= 0 || was_found(c, &index.digest))
		return MIN(r, 0);
	buf_add(&c->found, &index.digest, sizeof(index.digest));
	r = buf_error(&c->found) ? err_set(c->err, ERR_NO_MEMORY, "out of memory") : 0;
	return r ? r : tag_list_of(c->db, index.id, 0, refuse_above, c, c->err);
}

int refuse_needed(struct db *db, const struct repo_row *repo, const struct digest *digest, bool administers, struct err *err)
{
	struct climb c = { .db = db, .repo = repo, .found = BUF_INIT, .err = err };
	struct digest d = *digest;
	int r = 0;

	buf_add(&c.found, &d, sizeof(d));
	for (size_t at = 0; !r && !administers && at < c.found.len; at += sizeof(d)) {
		memcpy(&d, c.found.data + at, sizeof(d));
		r = ref_users(db, repo->id, &d, ROLE_CHILD, 0, find_above, &c, err);
	}
	buf_release(&c.found);
	return MIN(r, 0);
}
