/*
 * grant.c: regfs grant, revoke, access: who may do what, and why.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/tree/grants.h"
#include "fs/tree/people.h"

struct grant_options {
	struct store_options store;
	const char *policy;
	const char *repo, *user;
};

static const struct option_row grant_options[] = {
	PLACE_OPTIONS(struct grant_options, store.store),
	{ "json", 0, NULL, offsetof(struct grant_options, store.json), "print JSON" },
	{ "dry-run", 'n', NULL, offsetof(struct grant_options, store.dry_run), "only say what would be done" },
	{ "policy", 0, "FILE", offsetof(struct grant_options, policy), "what a RAM policy document allows; - is standard input" },
	{ 0 },
};

static const struct option_row access_options[] = {
	PLACE_OPTIONS(struct grant_options, store.store),
	{ "json", 0, NULL, offsetof(struct grant_options, store.json), "print JSON" },
	{ "repo", 0, "NAME", offsetof(struct grant_options, repo), "in that repository only" },
	{ "user", 0, "NAME", offsetof(struct grant_options, user), "of that user or robot only; anonymous: who isn't logged in" },
	{ 0 },
};

/* ---- Policies ---- */

static int grant_policy(const struct grant_options *o, const char *who, struct err *err)
{
	const char *slash = strrchr(o->policy, '/');
	auto_session struct session *session = NULL;
	auto_buf struct buf policy = BUF_INIT, origin = BUF_INIT;
	int r = read_input(o->policy, LIMIT_POLICY, &policy, err);

	buf_addf(&origin, "policy %s", slash ? slash + 1 : o->policy);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = session_grant_policy(session, who, policy.data, policy.len, origin.data, o->store.dry_run, err);
	return r ? r : report_change(&o->store, "granted", origin.data, err);
}

/* ---- grant, revoke ---- */

/* What a grant would be refused for. */
static int try_grant(struct session *session, const char *who, const char *pattern, struct err *err)
{
	struct err why = ERR_INIT;
	int r = session_grant_show(session, who, pattern, &why);

	/* Nothing granted yet is no reason; that nobody is called so is one. */
	if (r == -ENOENT)
		return session_person_show(session, who, NULL, NULL, err);
	if (r)
		*err = why;
	return r;
}

static int report_grant(const struct store_options *o, const char *done, const char *who, const char *actions,
			const char *pattern, struct err *err)
{
	auto_buf struct buf text = BUF_INIT;

	buf_addf(&text, "%s %s%s%s", who, actions, *actions ? " " : "", pattern);
	return report_change(o, done, text.data, err);
}

static int run_grant(const void *options, char **operands, int count, struct err *err)
{
	const struct grant_options *o = options;
	auto_session struct session *session = NULL;
	char text[ACTIONS_TEXT_MAX + 1];
	unsigned actions = 0;
	int r = 0;

	if ((o->policy != NULL) != (count == 1))
		return err_set(err, ERR_USAGE, "write `regfs grant WHO ACTIONS PATTERN` or `regfs grant --policy FILE WHO`");
	if (o->policy)
		return grant_policy(o, operands[0], err);
	if (count != 3)
		return err_set(err, ERR_USAGE, "write `regfs grant WHO ACTIONS PATTERN`");
	r = actions_parse(operands[1], &actions, err);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = o->store.dry_run ? try_grant(session, operands[0], operands[2], err) :
				       session_grant_set(session, operands[0], operands[2], actions, err);
	return r ? r : report_grant(&o->store, "granted", operands[0], actions_format(actions, text), operands[2], err);
}

static int run_revoke(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	int r = session_open(o, &session, err);

	(void)count;
	if (!r)
		r = o->dry_run ? session_grant_show(session, operands[0], operands[1], err) :
				 session_grant_rm(session, operands[0], operands[1], err);
	return r ? r : report_grant(o, "revoked", operands[0], "", operands[1], err);
}

/* ---- access ---- */

static void why_text(const struct tree_access *a, struct buf *out)
{
	static const char *const reasons[] = {
		[TREE_WHY_PUBLIC] = "it is public",
		[TREE_WHY_ADMINISTRATOR] = "an administrator",
		[TREE_WHY_GRANT] = "granted",
		[TREE_WHY_GROUP] = "granted to ",
	};

	buf_addf(out, "%s%s%s%s%s%s", reasons[a->why], a->group ? a->group : "", *a->origin ? " by " : "", a->origin,
		 a->good ? "" : "; but the account is disabled or expired", "");
}

static int add_access(void *arg, const struct tree_access *a)
{
	struct output *out = arg;
	auto_buf struct buf why = BUF_INIT;
	char actions[ACTIONS_TEXT_MAX + 1];

	why_text(a, &why);
	actions_format(a->actions, actions);
	output_object(out);
	json_add_text(&out->array, "who", a->who);
	json_add_text(&out->array, "actions", actions);
	json_add_text(&out->array, "pattern", a->pattern);
	json_add_text(&out->array, "why", why.data);
	if (a->group)
		json_add_text(&out->array, "group", a->group);
	if (*a->origin)
		json_add_text(&out->array, "origin", a->origin);
	buf_addf(&out->array, ",\"good\":%s}", a->good ? "true" : "false");
	table_add(&out->table, a->who);
	table_add(&out->table, actions);
	table_add(&out->table, a->pattern);
	table_add(&out->table, why.data);
	return 0;
}

static int run_access(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "WHO", "MAY", "WHERE", "WHY" };
	const struct grant_options *o = options;
	auto_session struct session *session = NULL;
	struct output out;
	int r = session_open(&o->store, &session, err);

	(void)operands;
	(void)count;
	if (r)
		return r;
	output_begin(&out, o->store.json, header, ARRAY_SIZE(header));
	r = session_access(session, o->repo, o->user, add_access, &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

const struct command grant_commands[] = {
	{ "grant", NULL, "WHO ACTIONS PATTERN", 1, 3, grant_options, "say what a user, @group or +robot may do",
	  "ACTIONS are pull, push, delete and admin by commas, or one of the roles reader (pull), writer (and push),\n"
	  "maintainer (and delete) and owner (all). PATTERN is a repository, NAME/* for those directly below, NAME/**\n"
	  "for all below, or **. From then on it is these actions by that pattern, whatever it was.\n"
	  "With --policy only WHO is named, and the document is taken whole or not at all.\n",
	  run_grant },
	{ "revoke", NULL, "WHO PATTERN", 2, 2, change_options, "take away what was granted by a pattern",
	  "It holds at once, at every door.\n", run_revoke },
	{ "access", NULL, "", 0, 0, access_options, "show who may do what, and why", NULL, run_access },
	{ 0 },
};
