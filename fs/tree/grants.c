/*
 * grants.c: see grants.h. Why somebody may do something is in explain.c.
 */
#include "fs/base/base.h"
#include "fs/tree/grants.h"

#include "fs/auth/pattern.h"
#include "fs/auth/policy.h"
#include "fs/base/timestamp.h"
#include "fs/meta/grant.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

/* ---- Permission ---- */

int permit_pattern(struct tree *tree, const struct cred *cred, const char *pattern, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct ask ask;
	int r = pattern_check(pattern, err);

	if (r)
		return r;
	if (pattern_is_name(pattern) || cred_is_boundless(cred))
		return permit(tree, cred, ACTION_ADMIN, pattern, err);
	r = tree_reader(tree, &rd, err);
	access_ask(&ask, tree, rd.db, cred, err);
	if (!r)
		r = access_covers(&ask, pattern);
	/* Whose no it is, permit() says. */
	return r ? MIN(r, 0) : permit(tree, cred, ACTION_ADMIN, NULL, err);
}

/* ---- Looking ---- */

struct each_grant {
	tree_grant_fn *fn;
	void *arg;
};

static int give_grant(void *arg, const struct grant_row *row)
{
	const struct each_grant *e = arg;
	const struct tree_grant grant = {
		.who = row->principal,
		.pattern = row->pattern,
		.actions = row->actions,
		.origin = row->origin,
		.by = row->who,
		.created = row->created,
	};

	return e->fn(e->arg, &grant);
}

int tree_grant_list(struct tree *tree, const struct cred *cred, const char *pattern, tree_grant_fn *fn, void *arg,
		    struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_grant each = { .fn = fn, .arg = arg };
	int r = permit_pattern(tree, cred, pattern, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = grant_list_pattern(rd.db, pattern, give_grant, &each, err);
	return MIN(r, 0);
}

static int no_grant(const char *who, const char *pattern, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "nothing is granted to %s by %s", who, pattern);
}

int tree_grant_show(struct tree *tree, const struct cred *cred, const char *who, const char *pattern, tree_grant_fn *fn,
		    void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_grant each = { .fn = fn, .arg = arg };
	struct principal_row person;
	struct grant_row row;
	int r = permit_pattern(tree, cred, pattern, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_person(rd.db, who, &person, err);
	if (!r)
		r = grant_get(rd.db, person.id, pattern, &row, err);
	else
		return r;
	if (!r)
		return no_grant(who, pattern, err);
	return r < 0 ? r : MIN(0, give_grant(&each, &row));
}

/* ---- Changing ---- */

struct grant_change {
	const struct cred *cred;
	const char *who;
	struct grant_row row;
	struct db *db;
	struct err *err;
	bool dry_run;
	const void *policy;
	size_t policy_size;
};

static int grant_event(struct db *db, const struct grant_change *c, const char *kind, struct err *err)
{
	const char *pattern = c->row.pattern;
	char about[LIMIT_PRINCIPAL + LIMIT_NAME + ACTIONS_TEXT_MAX + 3], text[ACTIONS_TEXT_MAX + 1];

	snprintf(about, sizeof(about), "%.*s %s %s", LIMIT_PRINCIPAL, c->who, pattern, actions_format(c->row.actions, text));
	return add_access_event(db, c->cred, kind, pattern_is_name(pattern) ? pattern : NULL, about, err);
}

/* One can have so many grants only: they are gone through in each decision. */
static int put_grant(struct db *db, const struct grant_change *c, struct err *err)
{
	struct grant_row old;
	int64_t n = 0;
	int r = grant_get(db, c->row.principal_id, c->row.pattern, &old, err);

	if (r < 0)
		return r;
	r = r ? 0 : grant_count(db, c->row.principal_id, &n, err);
	if (!r && n >= LIMIT_GRANTS)
		r = err_set(err, ERR_ARGUMENT, "%s has %d grants already: put users into groups, and use patterns", c->who,
			    LIMIT_GRANTS);
	if (!r)
		r = grant_put(db, &c->row, err);
	return r ? r : grant_event(db, c, "grant", err);
}

static int set_grant(struct db *db, void *arg, struct err *err)
{
	struct grant_change *c = arg;
	struct principal_row person;
	int r = need_person(db, c->who, &person, err);

	c->row.principal_id = person.id;
	return r ? r : put_grant(db, c, err);
}

int tree_grant_set(struct tree *tree, const struct cred *cred, const char *who, const char *pattern, unsigned actions,
		   struct err *err)
{
	struct grant_change c = { .cred = cred, .who = who, .row = { .actions = actions, .created = timestamp_now() } };
	int r = permit_pattern(tree, cred, pattern, err);

	if (!r && (!actions || actions & ~(unsigned)ACTIONS_ALL))
		r = err_set(err, ERR_ARGUMENT, "a grant is of pull, push, delete or admin: take it away with revoke");
	if (r)
		return r;
	snprintf(c.row.pattern, sizeof(c.row.pattern), "%s", pattern);
	snprintf(c.row.who, sizeof(c.row.who), "%s", cred->name);
	return audit_write(tree, &(struct attempt){ cred, "grant", .about = c.who }, set_grant, &c, err);
}

static int rm_grant(struct db *db, void *arg, struct err *err)
{
	struct grant_change *c = arg;
	struct principal_row person;
	struct grant_row old;
	int64_t n = need_person(db, c->who, &person, err);

	if (!n)
		n = grant_get(db, person.id, c->row.pattern, &old, err);
	if (n > 0)
		n = grant_delete(db, person.id, c->row.pattern, err);
	else
		return n ? (int)n : no_grant(c->who, c->row.pattern, err);
	if (n > 0)
		n = grant_event(db, c, "revoke", err);
	return n ? (int)n : remember_grant(db, c->cred, &old, err);
}

int tree_grant_rm(struct tree *tree, const struct cred *cred, const char *who, const char *pattern, struct err *err)
{
	struct grant_change c = { .cred = cred, .who = who };
	int r = permit_pattern(tree, cred, pattern, err);

	if (r)
		return r;
	snprintf(c.row.pattern, sizeof(c.row.pattern), "%s", pattern);
	return audit_write(tree, &(struct attempt){ cred, "revoke", .about = c.who }, rm_grant, &c, err);
}

/* ---- Policies ---- */

static int add_policy_grant(void *arg, const char *pattern, unsigned actions)
{
	struct grant_change *c = arg;
	struct grant_row old;
	int r = grant_get(c->db, c->row.principal_id, pattern, &old, c->err);

	if (r < 0)
		return r;
	snprintf(c->row.pattern, sizeof(c->row.pattern), "%s", pattern);
	c->row.actions = actions | (r ? old.actions : 0);
	return put_grant(c->db, c, c->err);
}

static int import_policy(struct db *db, void *arg, struct err *err)
{
	struct grant_change *c = arg;
	struct principal_row person;
	int r = need_person(db, c->who, &person, err);

	c->db = db;
	c->err = err;
	c->row.principal_id = person.id;
	return r ? r : policy_read(c->policy, c->policy_size, add_policy_grant, c, err);
}

static int ignore_grant(void *arg, const char *pattern, unsigned actions)
{
	(void)arg;
	(void)pattern;
	(void)actions;
	return 0;
}

static int try_policy(struct tree *tree, const struct grant_change *c, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct principal_row person;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = need_person(rd.db, c->who, &person, err);
	return r ? r : policy_read(c->policy, c->policy_size, ignore_grant, NULL, err);
}

int tree_grant_policy(struct tree *tree, const struct cred *cred, const char *who, const void *data, size_t len,
		      const char *origin, bool dry_run, struct err *err)
{
	struct grant_change c = { .cred = cred,
				  .who = who,
				  .policy = data,
				  .policy_size = len,
				  .row = { .created = timestamp_now() } };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	snprintf(c.row.origin, sizeof(c.row.origin), "%s", origin);
	snprintf(c.row.who, sizeof(c.row.who), "%s", cred->name);
	if (!r)
		r = try_policy(tree, &c, err);
	if (r || dry_run)
		return r;
	return audit_write(tree, &(struct attempt){ cred, "grant", .about = c.who }, import_policy, &c, err);
}

int tree_actions(struct tree *tree, const struct cred *cred, const char *repo, unsigned *out, struct err *err)
{
	int r = access_actions(tree, cred, repo, out, err);

	if (!r && cred->scopes)
		*out &= scopes_allow(cred->scopes, repo);
	return r;
}

int tree_may(struct tree *tree, const struct cred *cred, const char *repo, unsigned actions, struct err *err)
{
	int r = 0;

	for (unsigned action = ACTION_PULL; !r && action <= ACTION_ADMIN; action <<= 1)
		if (actions & action)
			r = permit(tree, cred, (enum action)action, repo, err);
	return r;
}

/* ---- Visibility ---- */

int tree_visibility_get(struct tree *tree, const struct cred *cred, const char *repo, bool *public, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row row;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (!r)
		*public = row.public;
	return r;
}

struct visibility {
	const struct cred *cred;
	const char *repo;
	bool public;
};

static int set_visibility(struct db *db, void *arg, struct err *err)
{
	const struct visibility *v = arg;
	struct repo_row row;
	int r = need_repo(db, v->repo, &row, err);

	if (!r && row.public == v->public)
		return 0;
	if (!r)
		r = repo_set_public(db, row.id, v->public, err);
	return r ? r : add_access_event(db, v->cred, "visibility", v->repo, v->public ? "public" : "private", err);
}

int tree_visibility_set(struct tree *tree, const struct cred *cred, const char *repo, bool public, struct err *err)
{
	struct visibility v = { .cred = cred, .repo = repo, .public = public };
	int r = permit(tree, cred, ACTION_ADMIN, repo, err);

	return r ? r : audit_write(tree, &(struct attempt){ cred, "visibility", .repo = repo }, set_visibility, &v, err);
}

int permit_namespace(struct tree *tree, const struct cred *cred, const char *name, struct err *err)
{
	char pattern[LIMIT_NAME + 4];
	int r = *name ? name_check(name, err) : 0;

	if (r)
		return r;
	if (!*name || strlen(name) + 3 > LIMIT_NAME)
		return permit(tree, cred, ACTION_ADMIN, NULL, err);
	snprintf(pattern, sizeof(pattern), "%s/**", name);
	return permit_pattern(tree, cred, pattern, err);
}

int tree_namespace_get(struct tree *tree, const struct cred *cred, const char *name, struct tree_namespace *out,
		       struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct namespace_row row;
	int r = permit_namespace(tree, cred, name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = namespace_get(rd.db, name, &row, err);
	if (!r)
		*out = (struct tree_namespace){ row.public, row.push_creates };
	return r;
}

struct namespace_change {
	const struct cred *cred;
	const char *name;
	const enum setting *public, *push_creates;	/* NULL: as it is */
};

static int change_namespace(struct db *db, void *arg, struct err *err)
{
	const struct namespace_change *c = arg;
	struct namespace_row row;
	int r = namespace_get(db, c->name, &row, err);

	if (c->public)
		row.public = *c->public;
	if (c->push_creates)
		row.push_creates = *c->push_creates;
	if (!r)
		r = namespace_put(db, c->name, &row, err);
	return r ? r : add_access_event(db, c->cred, "namespace", NULL, c->name, err);
}

int tree_namespace_change(struct tree *tree, const struct cred *cred, const char *name, const enum setting *public,
			  const enum setting *push_creates, struct err *err)
{
	struct namespace_change c = { .cred = cred, .name = name, .public = public, .push_creates = push_creates };
	int r = permit_namespace(tree, cred, name, err);

	return r ? r : audit_write(tree, &(struct attempt){ cred, "namespace", .about = name }, change_namespace, &c, err);
}

int tree_namespace_set(struct tree *tree, const struct cred *cred, const char *name, const struct tree_namespace *settings,
		       struct err *err)
{
	return tree_namespace_change(tree, cred, name, &settings->public, &settings->push_creates, err);
}
