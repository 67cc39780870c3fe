/*
 * explain.c: who may do what, and why.
 *
 * What is public comes first, then administrators, then grants by principal; a group's grant stands once for each
 * member.
 */
#include "fs/base/base.h"
#include "fs/tree/grants.h"

#include "fs/auth/pattern.h"
#include "fs/base/timestamp.h"
#include "fs/meta/grant.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

struct explain {
	struct db *db;
	const char *repo;	/* NULL: anywhere */
	const char *who;	/* NULL: everyone */
	tree_access_fn *fn;
	void *arg;
	int64_t now;
	const struct grant_row *grant;	/* whose members are gone through */
	struct err *err;
};

static bool is_good(const struct explain *e, const struct principal_row *row)
{
	return !row->disabled && (!row->expires || row->expires > e->now);
}

static int give_public(struct explain *e, const struct repo_row *repo)
{
	const struct tree_access access = {
		.who = "anonymous",
		.actions = ACTION_PULL,
		.pattern = repo->name,
		.why = TREE_WHY_PUBLIC,
		.origin = "",
		.good = true,
	};

	return e->fn(e->arg, &access);
}

static int give_all_public(struct explain *e)
{
	struct repo_row repo = { .id = 0 };
	int r;

	while ((r = repo_next(e->db, REPO_PUBLIC, repo.name, REPO_END, repo.name, e->err)) > 0) {
		r = give_public(e, &repo);
		if (r)
			return r;
	}
	return r;
}

static int give_administrator(void *arg, const struct principal_row *row)
{
	struct explain *e = arg;
	const struct tree_access access = {
		.who = row->name,
		.actions = ACTIONS_ALL,
		.pattern = "**",
		.why = TREE_WHY_ADMINISTRATOR,
		.origin = "",
		.good = is_good(e, row),
	};

	if (!row->administrator || (e->who && !streq(e->who, row->name)))
		return 0;
	return e->fn(e->arg, &access);
}

/* One who has the grant, by itself or (it is a group's) as a member. */
static int give_holder(void *arg, const struct principal_row *row)
{
	struct explain *e = arg;
	const struct grant_row *g = e->grant;
	bool own = row->id == g->principal_id;
	const struct tree_access access = {
		.who = row->name,
		.actions = g->actions,
		.pattern = g->pattern,
		.why = own ? TREE_WHY_GRANT : TREE_WHY_GROUP,
		.group = own ? NULL : g->principal,
		.origin = g->origin,
		.good = is_good(e, row),
	};

	if (e->who && !streq(e->who, row->name))
		return 0;
	return e->fn(e->arg, &access);
}

static int give_grant(void *arg, const struct grant_row *row)
{
	struct explain *e = arg;
	struct principal_row holder;
	int r;

	if (e->repo && !pattern_match(row->pattern, e->repo))
		return 0;
	e->grant = row;
	r = principal_by_id(e->db, row->principal_id, &holder, e->err);
	if (r <= 0)
		return r;
	if (holder.kind == PRINCIPAL_GROUP)
		return member_list(e->db, holder.id, give_holder, e, e->err);
	return give_holder(e, &holder);
}

static int explain(struct explain *e)
{
	bool anonymous = e->who && streq(e->who, "anonymous");
	struct principal_row person = { .id = 0 };
	struct repo_row repo = { .id = 0 };
	int r = e->repo ? repo_by_name(e->db, e->repo, &repo, e->err) : 0;

	if (r > 0 && repo.public)
		r = give_public(e, &repo);
	if (!e->repo && anonymous)
		r = give_all_public(e);
	if (r < 0 || anonymous)
		return r;
	r = e->who ? need_person(e->db, e->who, &person, e->err) : 0;
	if (!r)
		r = principal_list(e->db, PRINCIPAL_USER, give_administrator, e, e->err);
	if (!r)
		r = principal_list(e->db, PRINCIPAL_ROBOT, give_administrator, e, e->err);
	if (r)
		return r;
	return e->who ? grant_list_subject(e->db, person.id, give_grant, e, e->err) :
			grant_list(e->db, give_grant, e, e->err);
}

static int ask_explain(struct tree *tree, const struct cred *cred, const char *repo, const char *who, struct err *err)
{
	if (who && cred->kind == CRED_SUBJECT && streq(cred->name, who) && !cred->scopes)
		return permit(tree, cred, ACTION_PULL, NULL, err);
	return permit(tree, cred, ACTION_ADMIN, repo, err);
}

int tree_access_explain(struct tree *tree, const struct cred *cred, const char *repo, const char *who, tree_access_fn *fn,
			void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct explain e = { .repo = repo, .who = who, .fn = fn, .arg = arg, .now = timestamp_now(), .err = err };
	int r = repo ? name_check(repo, err) : 0;

	if (!r)
		r = ask_explain(tree, cred, repo, who, err);
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	e.db = rd.db;
	if (!r)
		r = explain(&e);
	return MIN(r, 0);
}
