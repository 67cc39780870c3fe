/*
 * token.c: regfs token list, show, add, rm: secrets of users and robots, for programs.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/timestamp.h"
#include "fs/tree/people.h"
#include "tools/people.h"

struct token_options {
	struct store_options store;
	const char *scopes, *expires;
};

static const struct option_row add_options[] = {
	PLACE_OPTIONS(struct token_options, store.store),
	{ "json", 0, NULL, offsetof(struct token_options, store.json), "print JSON" },
	{ "dry-run", 'n', NULL, offsetof(struct token_options, store.dry_run), "only say what would be done" },
	{ "expires", 0, "DURATION", offsetof(struct token_options, expires), "good for so long (default: for ever)" },
	{ "scopes", 0, "SCOPES", offsetof(struct token_options, scopes), "for no more: repository:PATTERN:ACTIONS ..." },
	{ 0 },
};

struct token_list {
	struct output out;
	const char *want;	/* that one only; NULL: all */
	bool found;
};

static const char *time_or(int64_t t, const char *never, char out[static TIMESTAMP_TEXT_MAX + 1])
{
	return t ? timestamp_format(t, out) : never;
}

static int add_token(void *arg, const struct tree_token *t)
{
	char text[TIMESTAMP_TEXT_MAX + 1];
	struct token_list *l = arg;

	if (l->want && !streq(l->want, t->name))
		return 0;
	l->found = true;
	output_object(&l->out);
	json_add_text(&l->out.array, "name", t->name);
	if (t->scopes)
		json_add_text(&l->out.array, "scopes", t->scopes);
	json_add_time(&l->out.array, "created", t->created);
	json_add_time(&l->out.array, "expires", t->expires);
	json_add_time(&l->out.array, "used", t->used);
	buf_addc(&l->out.array, '}');
	table_add(&l->out.table, t->name);
	table_add(&l->out.table, t->scopes ? t->scopes : "all");
	table_add(&l->out.table, time_or(t->expires, "never", text));
	table_add(&l->out.table, time_or(t->used, "never", text));
	return 0;
}

static int list(const struct store_options *o, const char *owner, const char *want, struct err *err)
{
	static const char *const header[] = { "TOKEN", "SCOPES", "EXPIRES", "USED" };
	auto_session struct session *session = NULL;
	struct token_list l = { .want = want };
	int r = session_open(o, &session, err);

	if (r)
		return r;
	output_begin(&l.out, o->json, header, ARRAY_SIZE(header));
	r = session_token_list(session, owner, add_token, &l, err);
	if (!r && want && !l.found)
		r = err_set(err, ERR_NOT_FOUND, "%s has no token %s", owner, want);
	if (!r)
		r = output_print(&l.out, err);
	output_release(&l.out);
	return r;
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	(void)count;
	return list(options, operands[0], NULL, err);
}

static int run_show(const void *options, char **operands, int count, struct err *err)
{
	(void)count;
	return list(options, operands[0], operands[1], err);
}

static int run_add(const void *options, char **operands, int count, struct err *err)
{
	const struct token_options *o = options;
	auto_session struct session *session = NULL;
	char secret[SECRET_TEXT_MAX + 1];
	struct token_list l = { .want = operands[1] };
	int64_t expires = 0;
	int r = expiry(o->expires, &expires, err);

	(void)count;
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r && o->store.dry_run) {
		r = session_token_list(session, operands[0], add_token, &l, err);
		output_release(&l.out);
		if (!r && l.found)
			r = err_set(err, ERR_EXISTS, "%s has a token %s already", operands[0], operands[1]);
		return r ? r : report_change(&o->store, "added", operands[1], err);
	}
	if (!r)
		r = session_token_add(session, operands[0], operands[1], o->scopes, expires, secret, err);
	return r ? r : print_secret(&o->store, operands[0], operands[1], secret, err);
}

static int run_rm(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct token_list l = { .want = operands[1] };
	int r = session_open(o, &session, err);

	(void)count;
	if (!r && o->dry_run) {
		r = session_token_list(session, operands[0], add_token, &l, err);
		output_release(&l.out);
		if (!r && !l.found)
			r = err_set(err, ERR_NOT_FOUND, "%s has no token %s", operands[0], operands[1]);
	} else if (!r) {
		r = session_token_rm(session, operands[0], operands[1], err);
	}
	return r ? r : report_change(o, "removed", operands[1], err);
}

const struct command token_commands[] = {
	{ "token", "list", "OWNER", 1, 1, look_options, "list the tokens of a user or a robot", NULL, run_list },
	{ "token", "show", "OWNER TOKEN", 2, 2, look_options, "show one token", NULL, run_show },
	{ "token", "add", "OWNER TOKEN", 2, 2, add_options, "make a token", "Its secret is shown this once; it stands for the password.\n",
	  run_add },
	{ "token", "rm", "OWNER TOKEN", 2, 2, change_options, "remove a token", "Who came with it is refused at once.\n", run_rm },
	{ 0 },
};
