/*
 * undo.c: see undo.h; and what removals leave behind for it (remember()).
 *
 * Invariants:
 *  1. What is removed is remembered in the same transaction, or undo-keep is 0.
 *  2. What comes back never replaces anything: where a name was taken again, nothing is changed.
 */
#include "fs/base/base.h"
#include "fs/tree/undo.h"

#include "fs/auth/pattern.h"
#include "fs/base/timestamp.h"
#include "fs/meta/people.h"
#include "fs/meta/removal.h"
#include "fs/tree/settings.h"
#include "fs/tree/state.h"

static const struct {
	const char *kind, *what;
	enum action action;	/* that it needs, either way */
} kinds[] = {
	{ "untag", "tag", ACTION_DELETE },
	{ "delete", "image", ACTION_DELETE },
	{ "remove", "repository", ACTION_ADMIN },
	{ "revoke", "grant", ACTION_ADMIN },
};

static size_t kind_index(const char *kind)
{
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(kinds) && !streq(kinds[i].kind, kind))
		i++;
	return i;
}

/* How long, in nanoseconds. */
static int read_keep(struct db *db, const char *repo, int64_t *out, struct err *err)
{
	auto_buf struct buf text = BUF_INIT;
	int r = settings_effective(db, repo, "undo-keep", &text, err);

	if (r >= 0 && !duration_parse(r ? text.data : UNDO_KEEP_TEXT, out))
		*out = 0;
	return MIN(r, 0);
}

int remember(struct db *db, const struct cred *cred, const char *kind, const struct repo_row *repo, const char *tag,
	     const struct digest *digest, int64_t *id, struct err *err)
{
	struct removal_row row = { .public = repo->public, .on_purpose = repo->on_purpose, .created = repo->created };
	int64_t keep;
	int r = read_keep(db, repo->name, &keep, err);

	*id = 0;
	if (r || !keep)
		return r;
	r = event_last(db, &row.deed.event, err);
	row.deed.at = timestamp_now();
	row.until = row.deed.at > INT64_MAX - keep ? INT64_MAX : row.deed.at + keep;
	if (digest)
		row.digest = *digest;
	snprintf(row.kind, sizeof(row.kind), "%s", kind);
	snprintf(row.repository, sizeof(row.repository), "%s", repo->name);
	snprintf(row.tag, sizeof(row.tag), "%s", tag ? tag : "");
	snprintf(row.deed.who, sizeof(row.deed.who), "%s", cred->name);
	snprintf(row.deed.origin, sizeof(row.deed.origin), "%s", cred->from ? cred->from : "");
	return r ? r : removal_add(db, &row, id, err);
}

int remember_grant(struct db *db, const struct cred *cred, const struct grant_row *grant, struct err *err)
{
	struct repo_row of = { 0 };
	int64_t removal;
	int r;

	snprintf(of.name, sizeof(of.name), "%s", grant->pattern);
	r = remember(db, cred, "revoke", &of, grant->principal, NULL, &removal, err);
	return r || !removal ? r : removal_add_grant(db, removal, grant, err);
}

/* ---- What there is ---- */

/* Whether a removal may be undone by who asks: a grant's, by who may grant. */
static int permit_undo(struct tree *tree, const struct cred *cred, const struct removal_row *row, struct err *err)
{
	return streq(row->kind, "revoke") ? permit_pattern(tree, cred, row->repository, err) :
					    permit(tree, cred, kinds[kind_index(row->kind)].action, row->repository, err);
}

#define PAGE 256	/* rows in memory: permission is asked when their reader has ended */

static int note_row(void *arg, const struct removal_row *row)
{
	buf_add(arg, row, sizeof(*row));
	return buf_error(arg);
}

/* The row's answer: 1 if it was given, 0 if who asks may not undo it. */
static int give_row(struct tree *tree, const struct cred *cred, const struct removal_row *row, tree_removal_fn *fn, void *arg, bool *stop)
{
	size_t kind = kind_index(row->kind);
	const struct tree_removal removal = {
		.id = row->id,
		.what = kinds[kind].what,
		.repo = row->repository,
		.tag = row->tag,
		.digest = row->digest,
		.deed = { .at = row->deed.at, .event = row->deed.event, .who = row->deed.who, .from = row->deed.origin },
		.until = row->until,
	};
	int r = 0;

	if (permit_undo(tree, cred, row, NULL))
		return 0;
	r = fn(arg, &removal);
	*stop = r != 0;
	return r < 0 ? r : 1;
}

static int read_page(struct tree *tree, const struct removal_page *page, struct buf *rows, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	buf_reset(rows);
	return r ? r : removal_list(rd.db, page, note_row, rows, err);
}

int tree_undo_list(struct tree *tree, const struct cred *cred, const struct tree_undo_query *query, tree_removal_fn *fn, void *arg,
		   struct err *err)
{
	auto_buf struct buf rows = BUF_INIT;
	struct removal_page page = { .before = query->before ? query->before : INT64_MAX, .since = query->since, .limit = PAGE,
				     .repo = query->repo, .who = query->by };
	int64_t left = query->n ? query->n : INT64_MAX;
	struct removal_row row;
	bool stop = false;
	int r = permit(tree, cred, ACTION_PULL, NULL, err);

	do {
		if (r >= 0)
			r = read_page(tree, &page, &rows, err);
		for (size_t at = 0; r >= 0 && !stop && left && at < rows.len; at += sizeof(row), left -= r > 0) {
			memcpy(&row, rows.data + at, sizeof(row));
			r = give_row(tree, cred, &row, fn, arg, &stop);
			page.before = row.id;
		}
	} while (r >= 0 && !stop && left && rows.len == PAGE * sizeof(row));
	return MIN(r, 0);
}

/* ---- Bringing back ---- */

struct undo {
	const struct cred *cred;
	int64_t id;
	bool administers;	/* the repository */
	/* While it goes on: */
	struct db *db;
	struct removal_row row;
	struct repo_row repo;
	struct err *err;
};

static int gone(int64_t id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "there is nothing with number %" PRId64 " to undo (any more): `regfs undo --list` shows what is", id);
}

static int bring_tag(void *arg, const struct removal_tag *tag)
{
	struct undo *u = arg;
	struct tag_move move = { .cred = u->cred, .kind = "undo", .repo = u->repo.name, .repository_id = u->repo.id,
				 .tag = tag->name, .digest = &tag->digest };
	char text[DIGEST_TEXT_MAX + 1];
	struct image_row image;
	struct tag_row now;
	bool changed;
	int r = tag_by_name(u->db, u->repo.id, tag->name, &now, u->err);

	if (r > 0 && !digest_equal(&now.digest, &tag->digest))
		return err_set(u->err, ERR_EXISTS, "%s has a tag %s again, of another image: rename or remove that one, or use"
			       " `regfs rollback`", u->repo.name, tag->name);
	if (r >= 0)
		r = image_by_digest(u->db, u->repo.id, &tag->digest, &image, u->err);
	if (!r)
		return err_set(u->err, ERR_MANIFEST_UNKNOWN, "%s doesn't hold %s, which tag %s named: undo the removal of that image first",
			       u->repo.name, digest_format(&tag->digest, text), tag->name);
	move.manifest_id = image.id;
	if (r > 0)
		r = name_tag(u->db, &move, &changed, u->err);
	/* It is as old as it was, and ends when it was to. */
	if (!r && changed)
		r = history_keep_place(u->db, u->repo.id, tag->name, &tag->digest, u->err);
	if (!r && changed)
		r = tag_by_name(u->db, u->repo.id, tag->name, &now, u->err);
	return r <= 0 ? r : MIN(0, tag_set_end(u->db, now.id, tag->expires, tag->own_end, false, u->err));
}

static int bring_untagged(struct undo *u)
{
	int r = repo_by_name(u->db, u->row.repository, &u->repo, u->err);

	if (r >= 0 && (!r || !u->repo.is_repository))
		return err_set(u->err, ERR_NAME_UNKNOWN, "there is no repository %s any more: undo its removal first", u->row.repository);
	return r < 0 ? r : removal_tags(u->db, u->id, bring_tag, u, u->err);
}

/* The repository, made anew if it is gone: as it was, but public again only by who may publish it. */
static int ensure_repo(struct undo *u)
{
	int64_t now = timestamp_now();
	int there = repo_by_name(u->db, u->row.repository, &u->repo, u->err), r;

	if (there < 0)
		return there;
	there = there && u->repo.is_repository;
	r = repo_ensure(u->db, u->row.repository, now, &u->repo, u->err);
	return r || there || (u->row.public && !u->administers) ? r : repo_set_public(u->db, u->repo.id, u->row.public, u->err);
}

static int bring_image(struct undo *u)
{
	int r = ensure_repo(u);

	if (!r)
		r = removal_restore_images(u->db, u->id, u->repo.id, timestamp_now(), u->err);
	if (!r)
		r = add_event(u->db, u->cred, "undo", u->repo.name, NULL, &u->row.digest, true, u->err);
	return r ? r : removal_tags(u->db, u->id, bring_tag, u, u->err);
}

static int count_tag(void *arg, const struct removal_tag *tag)
{
	(void)tag;
	++*(int64_t *)arg;
	return 0;
}

/* A tag at a time asks for itself (history.c); a repository's come all at once. Bytes were counted all the time. */
static int refuse_tags(struct undo *u)
{
	struct quota_need need = { .tags = 0 };
	int r = removal_tags(u->db, u->id, count_tag, &need.tags, u->err);

	return r ? r : quota_refuse(u->db, u->row.repository, &need, u->err);
}

static int bring_repo(struct undo *u)
{
	int r = repo_by_name(u->db, u->row.repository, &u->repo, u->err);

	if (r > 0 && u->repo.listed)
		return err_set(u->err, ERR_EXISTS, "there is a repository %s again: remove it (that can be undone, too), then undo this",
			       u->row.repository);
	if (r >= 0)
		r = refuse_tags(u);
	if (!r)
		r = ensure_repo(u);
	if (!r)
		r = removal_restore_images(u->db, u->id, u->repo.id, timestamp_now(), u->err);
	if (!r)
		r = removal_restore_repo(u->db, u->id, &u->repo, u->err);
	if (!r)
		r = repo_set_on_purpose(u->db, u->repo.id, u->row.on_purpose, u->err);
	return r ? r : add_access_event(u->db, u->cred, "undo", u->repo.name, "repository", u->err);
}

static int bring_grant(struct undo *u)
{
	char about[LIMIT_PRINCIPAL + LIMIT_NAME + ACTIONS_TEXT_MAX + 3], text[ACTIONS_TEXT_MAX + 1];
	struct grant_row row, now;
	struct principal_row person;
	int r = removal_grant(u->db, u->id, &row, u->err);

	if (r > 0)
		r = need_person(u->db, row.principal, &person, u->err);
	if (!r)
		r = grant_get(u->db, person.id, row.pattern, &now, u->err);
	if (r > 0)
		return err_set(u->err, ERR_EXISTS, "%s was granted something by %s again: revoke that first", row.principal, row.pattern);
	row.principal_id = person.id;
	if (!r)
		r = grant_put(u->db, &row, u->err);
	if (r)
		return r;
	snprintf(about, sizeof(about), "%s %s %s", row.principal, row.pattern, actions_format(row.actions, text));
	return add_access_event(u->db, u->cred, "grant", pattern_is_name(row.pattern) ? row.pattern : NULL, about, u->err);
}

static int undo(struct db *db, void *arg, struct err *err)
{
	static int (*const bring[])(struct undo *u) = { bring_untagged, bring_image, bring_repo, bring_grant };
	struct undo *u = arg;
	int r = removal_by_id(db, u->id, &u->row, err);

	if (r <= 0)
		return r ? r : gone(u->id, err);
	u->db = db;
	u->err = err;
	r = bring[kind_index(u->row.kind)](u);
	return r ? r : removal_delete(db, u->id, err);
}

/* The repository that a removal was of. */
static int find_removal(struct tree *tree, int64_t id, struct removal_row *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = removal_by_id(rd.db, id, out, err);
	else
		return r;
	return r > 0 ? 0 : r ? r : gone(id, err);
}

/* Numbers can be tried: who may not see what one was of isn't told that it was. */
static int permit_number(struct tree *tree, const struct cred *cred, const struct removal_row *row, struct err *err)
{
	struct err why = ERR_INIT;
	int r = permit_undo(tree, cred, row, &why);

	if (r && permit(tree, cred, ACTION_PULL, row->repository, NULL))
		return gone(row->id, err);
	if (r && err)
		*err = why;
	return r;
}

int tree_undo(struct tree *tree, const struct cred *cred, int64_t id, struct err *err)
{
	struct undo u = { .cred = cred, .id = id };
	int r = cred->kind == CRED_ANONYMOUS ? err_set(err, ERR_UNAUTHORIZED, "to undo something needs a login") :
					       find_removal(tree, id, &u.row, err);

	if (!r)
		r = permit_number(tree, cred, &u.row, err);
	u.administers = !r && permit(tree, cred, ACTION_ADMIN, u.row.repository, NULL) == 0;
	return r ? r : audit_write(tree, &(struct attempt){ cred, "undo", .repo = u.row.repository }, undo, &u, err);
}

static int purge(struct db *db, void *arg, struct err *err)
{
	struct undo *u = arg;
	int r = removal_by_id(db, u->id, &u->row, err);

	if (r <= 0)
		return r ? r : gone(u->id, err);
	r = removal_delete(db, u->id, err);
	return r ? r : add_access_event(db, u->cred, "purge", u->row.repository, *u->row.tag ? u->row.tag : NULL, err);
}

int tree_undo_purge(struct tree *tree, const struct cred *cred, int64_t id, struct err *err)
{
	struct undo u = { .cred = cred, .id = id };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = find_removal(tree, id, &u.row, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "purge", .repo = u.row.repository }, purge, &u, err);
}
