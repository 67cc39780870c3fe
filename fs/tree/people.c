/*
 * people.c: see people.h.
 */
#include "fs/base/base.h"
#include "fs/tree/people.h"

#include "fs/base/timestamp.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

/* ---- Permission, rows, events ---- */

/* Whether it asks of itself, with all that it has: not by a token, which could be lost. */
static bool is_self(const struct cred *cred, const char *name)
{
	return cred->kind == CRED_SUBJECT && streq(cred->name, name) && !cred->token && !cred->scopes;
}

/* For an administrator, or (own) for who is called so. A good account is asked for either way. */
static int ask_for(struct tree *tree, const struct cred *cred, const char *name, bool own, struct err *err)
{
	if (own && is_self(cred, name))
		return permit(tree, cred, ACTION_PULL, NULL, err);
	return permit(tree, cred, ACTION_ADMIN, NULL, err);
}

int need_person(struct db *db, const char *name, struct principal_row *out, struct err *err)
{
	int r = principal_check(name, err);

	if (!r)
		r = principal_by_name(db, name, out, err);
	else
		return r;
	if (r < 0)
		return r;
	return r ? 0 : err_set(err, ERR_NOT_FOUND, "there is no %s %s", principal_kind_name(principal_kind(name)), name);
}

int add_access_event(struct db *db, const struct cred *cred, const char *kind, const char *repo, const char *about,
		     struct err *err)
{
	const struct event e = {
		.kind = kind,
		.repository = repo ? repo : "",
		.about = about,
		.changed = true,
		.who = cred->name,
		.origin = cred->from,
		.at = timestamp_now(),
	};
	int r = access_changed(db, err);

	if (!r)
		r = event_add(db, &e, err);
	return r ? r : audit_change(db, cred, kind, repo, NULL, NULL, about, err);
}

/* ---- Looking ---- */

struct each_person {
	tree_person_fn *fn;
	void *arg;
};

static int give_person(void *arg, const struct principal_row *row)
{
	const struct each_person *e = arg;
	const struct tree_person person = {
		.name = row->name,
		.kind = row->kind,
		.administrator = row->administrator,
		.disabled = row->disabled,
		.has_password = *row->password,
		.expires = row->expires,
		.created = row->created,
	};

	return e->fn(e->arg, &person);
}

int tree_person_list(struct tree *tree, const struct cred *cred, enum principal_kind kind, tree_person_fn *fn, void *arg,
		     struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_person each = { .fn = fn, .arg = arg };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = principal_list(rd.db, kind, give_person, &each, err);
	return MIN(r, 0);
}

int tree_person_show(struct tree *tree, const struct cred *cred, const char *name, tree_person_fn *fn, void *arg,
		     struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_person each = { .fn = fn, .arg = arg };
	struct principal_row row;
	int r = ask_for(tree, cred, name, true, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_person(rd.db, name, &row, err);
	return r ? r : MIN(0, give_person(&each, &row));
}

int tree_person_groups(struct tree *tree, const struct cred *cred, const char *name, tree_person_fn *fn, void *arg,
		       struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_person each = { .fn = fn, .arg = arg };
	struct principal_row row;
	int r = ask_for(tree, cred, name, true, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_person(rd.db, name, &row, err);
	if (!r)
		r = row.kind == PRINCIPAL_GROUP ? member_list(rd.db, row.id, give_person, &each, err) :
						  member_groups(rd.db, row.id, give_person, &each, err);
	return MIN(r, 0);
}

/* ---- Changing ---- */

struct person_change {
	const struct cred *cred;
	const char *name;
	const struct tree_person_change *change;
	char hash[PASSWORD_HASH_MAX + 1];
};

static int check_change(const char *name, const struct tree_person_change *c, struct err *err)
{
	enum principal_kind kind = principal_kind(name);
	const char *what = principal_kind_name(kind);

	if (c->password && kind != PRINCIPAL_USER)
		return err_set(err, ERR_ARGUMENT, "a %s has no password", what);
	if (c->administrator == SETTING_YES && kind == PRINCIPAL_GROUP)
		return err_set(err, ERR_ARGUMENT, "a group can't be an administrator: its members can");
	if (kind == PRINCIPAL_GROUP && (c->disabled == SETTING_YES || c->expires))
		return err_set(err, ERR_ARGUMENT, "a group is neither disabled nor expires: revoke what it was granted");
	return 0;
}

static void apply(const struct person_change *c, struct principal_row *row)
{
	if (c->change->password)
		snprintf(row->password, sizeof(row->password), "%s", c->hash);
	if (c->change->administrator != SETTING_INHERIT)
		row->administrator = c->change->administrator == SETTING_YES;
	if (c->change->disabled != SETTING_INHERIT)
		row->disabled = c->change->disabled == SETTING_YES;
	if (c->change->set_expires)
		row->expires = c->change->expires;
}

/* Hashes before anything is written: the transaction must not wait for that. */
static int prepare_change(struct person_change *c, struct err *err)
{
	int r = principal_check(c->name, err);

	if (!r)
		r = check_change(c->name, c->change, err);
	if (!r && c->change->password)
		r = password_hash(c->change->password, c->hash, err);
	return r;
}

static int add_person(struct db *db, void *arg, struct err *err)
{
	const struct person_change *c = arg;
	struct principal_row row = { .kind = principal_kind(c->name), .created = timestamp_now() };
	int r = principal_by_name(db, c->name, &row, err);

	if (r > 0)
		return err_set(err, ERR_EXISTS, "there is a %s %s already", principal_kind_name(row.kind), c->name);
	snprintf(row.name, sizeof(row.name), "%s", c->name);
	apply(c, &row);
	if (!r)
		r = principal_insert(db, &row, err);
	return r ? r : add_access_event(db, c->cred, "account-add", NULL, c->name, err);
}

int tree_person_add(struct tree *tree, const struct cred *cred, const char *name, const struct tree_person_change *change,
		    struct err *err)
{
	struct person_change c = { .cred = cred, .name = name, .change = change };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (!r)
		r = prepare_change(&c, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "account-add", .about = name }, add_person, &c, err);
}

/* One who will be there, too: as principal_other_administrators() counts them. */
static bool is_lasting_administrator(const struct principal_row *row)
{
	return row->administrator && !row->disabled && !row->expires;
}

/* ERR_IN_USE where none would be left who could undo it over HTTP. */
static int keep_administrator(struct db *db, const struct principal_row *before, const struct principal_row *after,
			      struct err *err)
{
	int64_t others = 0;
	int r = 0;

	if (is_lasting_administrator(before) && (!after || !is_lasting_administrator(after))) {
		r = principal_other_administrators(db, before->id, &others, err);
		if (!r && !others)
			r = err_set(err, ERR_IN_USE, "%s is the last administrator: make another one first", before->name);
	}
	return r;
}

static int set_person(struct db *db, void *arg, struct err *err)
{
	const struct person_change *c = arg;
	struct principal_row before, after;
	int r = need_person(db, c->name, &before, err);

	if (r)
		return r;
	after = before;
	apply(c, &after);
	r = keep_administrator(db, &before, &after, err);
	if (!r)
		r = principal_update(db, &after, err);
	return r ? r : add_access_event(db, c->cred, c->change->password ? "password" : "account-set", NULL, c->name, err);
}

static bool only_password(const struct tree_person_change *c)
{
	return c->password && c->administrator == SETTING_INHERIT && c->disabled == SETTING_INHERIT && !c->set_expires;
}

int tree_person_set(struct tree *tree, const struct cred *cred, const char *name, const struct tree_person_change *change,
		    struct err *err)
{
	struct person_change c = { .cred = cred, .name = name, .change = change };
	int r = ask_for(tree, cred, name, only_password(change), err);

	if (!r)
		r = prepare_change(&c, err);
	return r ? r : audit_write(tree, &(struct attempt){ cred, "account-set", .about = name }, set_person, &c, err);
}

static int rm_person(struct db *db, void *arg, struct err *err)
{
	const struct person_change *c = arg;
	struct principal_row row;
	int r = need_person(db, c->name, &row, err);

	if (!r)
		r = keep_administrator(db, &row, NULL, err);
	if (!r)
		r = principal_delete(db, row.id, err);
	return r ? r : add_access_event(db, c->cred, "account-rm", NULL, c->name, err);
}

int tree_person_rm(struct tree *tree, const struct cred *cred, const char *name, struct err *err)
{
	struct person_change c = { .cred = cred, .name = name };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	return r ? r : audit_write(tree, &(struct attempt){ cred, "account-rm", .about = name }, rm_person, &c, err);
}

/* ---- Members ---- */

struct membership {
	const struct cred *cred;
	const char *group, *name;
	bool in;	/* as it is to be */
};

static int need_both(struct db *db, const struct membership *m, struct principal_row *group, struct principal_row *member,
		     struct err *err)
{
	int r = 0;

	if (principal_kind(m->group) != PRINCIPAL_GROUP)
		r = err_set(err, ERR_ARGUMENT, "\"%.*s\" is not a group's name: these begin with @", LIMIT_PRINCIPAL, m->group);
	if (!r && principal_kind(m->name) == PRINCIPAL_GROUP)
		r = err_set(err, ERR_ARGUMENT, "a group holds users and robots, no groups");
	if (!r)
		r = need_person(db, m->group, group, err);
	return r ? r : need_person(db, m->name, member, err);
}

/* One can be in so many groups only: what it may do is worked out from all of them. */
static int check_room(struct db *db, int64_t principal_id, const char *name, struct err *err)
{
	int64_t n = 0;
	int r = member_group_count(db, principal_id, &n, err);

	return r || n < LIMIT_GROUPS ? r : err_set(err, ERR_ARGUMENT, "%s is in %d groups already", name, LIMIT_GROUPS);
}

static int change_member(struct db *db, void *arg, struct err *err)
{
	const struct membership *m = arg;
	struct principal_row group, member;
	char about[2 * LIMIT_PRINCIPAL + 2];
	int64_t n = need_both(db, m, &group, &member, err);

	if (!n && m->in)
		n = check_room(db, member.id, m->name, err);
	if (n < 0)
		return (int)n;
	n = m->in ? member_insert(db, group.id, member.id, err) : member_delete(db, group.id, member.id, err);
	if (n < 0)
		return (int)n;
	if (!n)
		return err_set(err, m->in ? ERR_EXISTS : ERR_NOT_FOUND, "%s is %s in %s", m->name, m->in ? "already" : "not",
			       m->group);
	snprintf(about, sizeof(about), "%s %s", group.name, member.name);
	return add_access_event(db, m->cred, m->in ? "member-add" : "member-rm", NULL, about, err);
}

static int write_member(struct tree *tree, const struct cred *cred, const char *group, const char *name, bool in,
			struct err *err)
{
	struct membership m = { .cred = cred, .group = group, .name = name, .in = in };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (r)
		return r;
	return audit_write(tree, &(struct attempt){ cred, in ? "member-add" : "member-rm", .about = name }, change_member, &m,
			   err);
}

int tree_member_add(struct tree *tree, const struct cred *cred, const char *group, const char *name, struct err *err)
{
	return write_member(tree, cred, group, name, true, err);
}

int tree_member_rm(struct tree *tree, const struct cred *cred, const char *group, const char *name, struct err *err)
{
	return write_member(tree, cred, group, name, false, err);
}

/* ---- Tokens ---- */

struct each_token {
	tree_token_fn *fn;
	void *arg;
};

static int give_token(void *arg, const struct token_row *row)
{
	const struct each_token *e = arg;
	const struct tree_token token = {
		.id = row->id,
		.name = row->name,
		.scopes = row->scopes,
		.created = row->created,
		.expires = row->expires,
		.used = row->used,
	};

	return e->fn(e->arg, &token);
}

int tree_token_list(struct tree *tree, const struct cred *cred, const char *owner, tree_token_fn *fn, void *arg,
		    struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_token each = { .fn = fn, .arg = arg };
	struct principal_row row;
	int r = ask_for(tree, cred, owner, true, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_person(rd.db, owner, &row, err);
	if (!r)
		r = token_list(rd.db, row.id, give_token, &each, err);
	return MIN(r, 0);
}

struct token_change {
	const struct cred *cred;
	const char *owner;
	struct token_row row;
};

struct token_count {
	const char *name;
	int count;
	bool taken;
};

static int count_token(void *arg, const struct token_row *row)
{
	struct token_count *c = arg;

	c->count++;
	c->taken |= streq(row->name, c->name);
	return 0;
}

static int token_event(struct db *db, const struct token_change *c, const char *kind, struct err *err)
{
	char about[2 * LIMIT_PRINCIPAL + 2];

	snprintf(about, sizeof(about), "%.*s %s", LIMIT_PRINCIPAL, c->owner, c->row.name);
	return add_access_event(db, c->cred, kind, NULL, about, err);
}

static int add_token(struct db *db, void *arg, struct err *err)
{
	struct token_change *c = arg;
	struct token_count have = { .name = c->row.name };
	struct principal_row owner;
	int r = need_person(db, c->owner, &owner, err);

	if (!r && owner.kind == PRINCIPAL_GROUP)
		r = err_set(err, ERR_ARGUMENT, "a group has no tokens: its members have");
	if (!r)
		r = token_list(db, owner.id, count_token, &have, err);
	if (!r && have.taken)
		r = err_set(err, ERR_EXISTS, "%s has a token %s already", owner.name, c->row.name);
	if (!r && have.count >= LIMIT_TOKENS)
		r = err_set(err, ERR_ARGUMENT, "%s has %d tokens already: remove some", owner.name, LIMIT_TOKENS);
	c->row.principal_id = owner.id;
	if (!r)
		r = token_insert(db, &c->row, err);
	return r ? r : token_event(db, c, "token-add", err);
}

int tree_scopes_check(const char *text, struct err *err)
{
	auto_scopes struct scopes *scopes = NULL;

	if (text && strnlen(text, LIMIT_SCOPES_TEXT + 1) > LIMIT_SCOPES_TEXT)
		return err_set(err, ERR_ARGUMENT, "scopes of more than %d bytes", LIMIT_SCOPES_TEXT);
	return text ? scopes_parse(text, &scopes, err) : 0;
}

int tree_token_add(struct tree *tree, const struct cred *cred, const char *owner, const char *name, const char *scopes,
		   int64_t expires, char secret[static SECRET_TEXT_MAX + 1], struct err *err)
{
	struct token_change c = { .cred = cred,
				  .owner = owner,
				  .row = { .created = timestamp_now(), .expires = expires, .scopes = scopes } };
	int r = ask_for(tree, cred, owner, true, err);

	*secret = '\0';
	if (!r)
		r = token_name_check(name, err);
	if (!r)
		r = tree_scopes_check(scopes, err);
	if (!r)
		r = secret_new(secret, &c.row.hash, err);
	if (r)
		return r;
	snprintf(c.row.name, sizeof(c.row.name), "%s", name);
	r = audit_write(tree, &(struct attempt){ cred, "token-add", .about = owner }, add_token, &c, err);
	if (r)
		secret_forget(secret, SECRET_TEXT_MAX + 1);
	return r;
}

static int rm_token(struct db *db, void *arg, struct err *err)
{
	const struct token_change *c = arg;
	struct principal_row owner;
	int64_t n = need_person(db, c->owner, &owner, err);

	if (!n)
		n = token_delete(db, owner.id, c->row.name, err);
	else
		return (int)n;
	if (n < 0)
		return (int)n;
	if (!n)
		return err_set(err, ERR_NOT_FOUND, "%s has no token %s", owner.name, c->row.name);
	return token_event(db, c, "token-rm", err);
}

int tree_token_rm(struct tree *tree, const struct cred *cred, const char *owner, const char *name, struct err *err)
{
	struct token_change c = { .cred = cred, .owner = owner };
	int r = ask_for(tree, cred, owner, true, err);

	if (!r)
		r = token_name_check(name, err);
	if (r)
		return r;
	snprintf(c.row.name, sizeof(c.row.name), "%s", name);
	return audit_write(tree, &(struct attempt){ cred, "token-rm", .about = owner }, rm_token, &c, err);
}
