/*
 * immutable.c: tags that never move, by the rules of their repository or of a namespace above it (the setting `immutable`).
 *
 * Invariants:
 *  1. Such a tag, once it names an image, names no other, whoever asks, through whichever door: it is asked for where tags move
 *     (history.c), in the transaction that would do it.
 *  2. It goes only by who may administer the repository; then it may be made anew.
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

	if (r <= 0 || digest_equal(&now.digest, digest))
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
