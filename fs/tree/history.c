/*
 * history.c: tags move and go here, for every operation that does it: with their events and their history, in one transaction.
 *
 * Invariants:
 *  1. What a tag names is what its history's last entry says.
 *  2. An entry and a removal name the event of the same transaction.
 */
#include "fs/base/base.h"
#include "fs/tree/history.h"

#include "fs/base/timestamp.h"
#include "fs/meta/history.h"
#include "fs/meta/removal.h"
#include "fs/tree/state.h"
#include "fs/upkeep/retention.h"

/* What the last event says. */
static int read_deed(struct db *db, const struct cred *cred, int64_t now, struct history_deed *out, struct err *err)
{
	int r = event_last(db, &out->event, err);

	out->at = now;
	snprintf(out->who, sizeof(out->who), "%s", cred->name);
	snprintf(out->origin, sizeof(out->origin), "%s", cred->from ? cred->from : "");
	return r;
}

/* A tag that names another image ends as that image's label says; one that is pushed again, anew, unless it has an end of its own. */
static int set_end(struct db *db, const struct tag_move *m, int64_t id, int64_t now, bool changed, struct err *err)
{
	struct image_row image;
	int64_t end = 0;
	int r = image_by_id(db, m->manifest_id, &image, err);

	if (r <= 0 || (!changed && !*image.expires))
		return MIN(r, 0);
	if (*image.expires && !retention_end(image.expires, now, &end))
		end = 0;
	return tag_set_end(db, id, end, false, !changed, err);
}

int name_tag(struct db *db, const struct tag_move *m, bool *changed, struct err *err)
{
	struct history_deed named;
	int64_t id, now = timestamp_now();
	int r = refuse_move(db, m->repo, m->repository_id, m->tag, m->digest, err);

	if (!r)
		r = tag_put(db, m->repository_id, m->tag, m->manifest_id, now, &id, changed, err);
	if (r || (!*changed && !m->always))
		return r;
	r = set_end(db, m, id, now, *changed, err);
	if (r)
		return r;
	r = add_event(db, m->cred, m->kind, m->repo, m->tag, m->digest, *changed, err);
	if (r || !*changed)
		return r;
	r = read_deed(db, m->cred, now, &named, err);
	return r ? r : history_add(db, m->repository_id, m->tag, m->digest, &named, err);
}

int note_tag_gone(struct db *db, const struct cred *cred, const char *repo, const struct tag_row *tag, bool administers,
		  struct err *err)
{
	struct history_deed removed;
	int r = refuse_removal(db, repo, tag->name, administers, err);

	if (!r)
		r = add_event(db, cred, "untag", repo, tag->name, &tag->digest, true, err);

	if (!r)
		r = read_deed(db, cred, timestamp_now(), &removed, err);
	return r ? r : history_end(db, tag->repository_id, tag->name, &removed, err);
}

int remove_tag(struct db *db, const struct cred *cred, const struct repo_row *repo, const struct tag_row *tag, bool administers,
	       struct err *err)
{
	int64_t removal = 0;
	int r = note_tag_gone(db, cred, repo->name, tag, administers, err);

	if (!r)
		r = remember(db, cred, "untag", repo, tag->name, &tag->digest, &removal, err);
	if (!r && removal)
		r = removal_add_tag(db, removal, tag, err);
	return r ? r : tag_delete(db, tag, timestamp_now(), err);
}

/* ---- Looking back ---- */

struct walk {
	struct db *db;
	int64_t repository_id;
	bool whose;		/* who looks may know who it was */
	struct history_row last;	/* of the tag in hand; tag "": of none */
	bool there;		/* it is there */
	tree_history_fn *fn;
	void *arg;
	int64_t given, most;
	struct err *err;
};

static struct tree_deed deed_of(const struct walk *w, const struct history_deed *d)
{
	return (struct tree_deed){ .at = d->at,
				   .event = d->event,
				   .who = w->whose ? d->who : "",
				   .from = w->whose ? d->origin : "" };
}

static int look_at_tag(struct walk *w, const char *tag)
{
	struct tag_row row;
	int r = history_last(w->db, w->repository_id, tag, &w->last, w->err);

	if (r > 0)
		r = tag_by_name(w->db, w->repository_id, tag, &row, w->err);
	w->there = r > 0;
	return MIN(r, 0);
}

static int give_entry(void *arg, const struct history_row *row)
{
	struct walk *w = arg;
	struct image_row image;
	int r = streq(w->last.tag, row->tag) ? 0 : look_at_tag(w, row->tag);

	if (!r)
		r = image_by_digest(w->db, w->repository_id, &row->digest, &image, w->err);
	if (r < 0)
		return r;

	const struct tree_history entry = {
		.tag = row->tag,
		.number = row->number,
		.digest = row->digest,
		.named = deed_of(w, &row->named),
		.removed = deed_of(w, &row->removed),
		.current = w->there && row->number == w->last.number,
		.held = r > 0,
	};

	w->given++;
	r = w->fn(w->arg, &entry);
	return r ? r : w->given == w->most;
}

int tree_history_list(struct tree *tree, const struct cred *cred, const struct tree_history_query *query, tree_history_fn *fn,
		      void *arg, struct err *err)
{
	const char *repo = query->repo, *tag = query->tag;
	auto_reader struct meta_reader rd = { 0 };
	struct walk w = { .fn = fn, .arg = arg, .most = query->n, .err = err };
	struct repo_row row;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r && tag)
		r = tag_check(tag, err);
	w.whose = !r && !permit(tree, cred, ACTION_PUSH, repo, NULL);
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (r)
		return r;
	w.db = rd.db;
	w.repository_id = row.id;
	r = tag ? history_list(rd.db, row.id, tag, query->after, give_entry, &w, err) :
		  history_list_all(rd.db, row.id, query->after_tag ? query->after_tag : "", query->after, give_entry, &w, err);
	if (!r && tag && !query->after && !w.given)
		return err_set(err, ERR_MANIFEST_UNKNOWN, "%s never had a tag %s", repo, tag);
	return MIN(r, 0);
}

/* ---- The way back ---- */

struct rollback {
	const struct cred *cred;
	const char *repo, *tag;
	int64_t to;
	struct tree_rollback *out;
};

/* The entry that the tag goes back to: 1, 0 if there is none, or negative. */
static int find_target(struct db *db, const struct rollback *b, int64_t repository_id, struct history_row *out,
		       struct err *err)
{
	struct tag_row now;
	int r;

	if (b->to)
		return history_at(db, repository_id, b->tag, b->to, out, err);
	r = tag_by_name(db, repository_id, b->tag, &now, err);
	if (r < 0)
		return r;
	return r ? history_before(db, repository_id, b->tag, &now.digest, out, err) :
		   history_last(db, repository_id, b->tag, out, err);
}

static int no_target(struct db *db, const struct rollback *b, int64_t repository_id, struct err *err)
{
	struct history_row any;
	int r = history_last(db, repository_id, b->tag, &any, err);

	if (r < 0)
		return r;
	if (!r)
		return err_set(err, ERR_MANIFEST_UNKNOWN, "%s never had a tag %s", b->repo, b->tag);
	if (b->to)
		return err_set(err, ERR_MANIFEST_UNKNOWN, "the history of %s:%s has no entry %" PRId64 ": they are 1 to %" PRId64,
			       b->repo, b->tag, b->to, any.number);
	return err_set(err, ERR_MANIFEST_UNKNOWN, "%s:%s never named another image", b->repo, b->tag);
}

/* Reads where it goes; the image must be there. */
static int plan_rollback(struct db *db, const struct rollback *b, struct tag_move *move, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];
	struct history_row target;
	struct image_row image;
	struct repo_row repo;
	int r = need_repo(db, b->repo, &repo, err);

	if (r)
		return r;
	r = find_target(db, b, repo.id, &target, err);
	if (r <= 0)
		return r ? r : no_target(db, b, repo.id, err);
	b->out->number = target.number;
	b->out->digest = target.digest;
	r = image_by_digest(db, repo.id, &target.digest, &image, err);
	if (r < 0)
		return r;
	if (!r)
		return err_set(err, ERR_MANIFEST_UNKNOWN, "entry %" PRId64 " of %s:%s is %s, which %s doesn't hold any more: push it again",
			       target.number, b->repo, b->tag, digest_format(&target.digest, text), b->repo);
	move->repository_id = repo.id;
	move->manifest_id = image.id;
	return 0;
}

static int roll_back(struct db *db, void *arg, struct err *err)
{
	const struct rollback *b = arg;
	struct tag_move move = { .cred = b->cred, .kind = "rollback", .repo = b->repo, .tag = b->tag, .digest = &b->out->digest };
	int r = plan_rollback(db, b, &move, err);

	return r ? r : name_tag(db, &move, &b->out->changed, err);
}

/* Whether it could be done, and what it would change. */
static int only_plan(struct tree *tree, const struct rollback *b, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct tag_move move;
	struct tag_row now;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = plan_rollback(rd.db, b, &move, err);
	if (!r)
		r = refuse_move(rd.db, b->repo, move.repository_id, b->tag, &b->out->digest, err);
	if (!r)
		r = tag_by_name(rd.db, move.repository_id, b->tag, &now, err);
	else
		return r;
	b->out->changed = r <= 0 || !digest_equal(&now.digest, &b->out->digest);
	return MIN(r, 0);
}

int tree_rollback(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, int64_t to, bool dry_run,
		  struct tree_rollback *out, struct err *err)
{
	struct rollback b = { .cred = cred, .repo = repo, .tag = tag, .to = to, .out = out };
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	memset(out, 0, sizeof(*out));
	if (!r)
		r = tag_check(tag, err);
	if (r)
		return r;
	return dry_run ? only_plan(tree, &b, err) :
			 audit_write(tree, &(struct attempt){ cred, "rollback", .repo = repo, .tag = tag }, roll_back, &b, err);
}
