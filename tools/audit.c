/*
 * audit.c: regfs audit: who did what, and who tried to.
 */
#include "fs/base/base.h"
#include "tools/inside.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/tree/audit.h"

struct audit_options {
	struct store_options store;
	const char *since, *until;
	const char *who, *repo, *action, *result;
	const char *last;
};

static const struct option_row audit_options[] = {
	STORE_OPTION(struct audit_options, store.store),
	{ "json", 0, NULL, offsetof(struct audit_options, store.json), "print JSON" },
	{ "since", 0, "TIME", offsetof(struct audit_options, since), "from then on: a time as in RFC 3339, or a duration before now" },
	{ "until", 0, "TIME", offsetof(struct audit_options, until), "only what was before" },
	{ "who", 0, "NAME", offsetof(struct audit_options, who), "only of that user, +robot, anonymous or administrator" },
	{ "repo", 0, "NAME", offsetof(struct audit_options, repo), "only in that repository" },
	{ "action", 0, "ACTION", offsetof(struct audit_options, action), "only that: push, delete, tag, login, grant, ..." },
	{ "result", 0, "ok|denied|failed", offsetof(struct audit_options, result), "only with that result" },
	{ "last", 'n', "N", offsetof(struct audit_options, last), "only the last N of these" },
	{ 0 },
};

/* A time, or a duration before now. */
static int read_time(const char *name, const char *text, int64_t otherwise, int64_t *out, struct err *err)
{
	int64_t ago;

	*out = otherwise;
	if (!text || timestamp_parse(text, out))
		return 0;
	if (!duration_parse(text, &ago))
		return err_set(err, ERR_USAGE, "--%s takes a time such as 2026-11-25T18:00:00Z, or a duration before now such as 2h, not %s",
			       name, text);
	*out = timestamp_now() - ago;
	return 0;
}

static int read_filter(const struct audit_options *o, struct audit_filter *f, struct err *err)
{
	int r = read_time("since", o->since, 0, &f->since, err);

	if (!r)
		r = read_time("until", o->until, INT64_MAX, &f->until, err);
	if (!r)
		r = option_number("-n takes a number from 1 on", o->last, 0, &f->last, err);
	f->who = o->who;
	f->repository = o->repo;
	f->action = o->action;
	f->result = o->result ? audit_result_parse(o->result) : AUDIT_RESULTS;
	if (!r && o->result && f->result == AUDIT_RESULTS)
		r = err_set(err, ERR_USAGE, "--result is ok, denied or failed, not %s", o->result);
	return r;
}

struct audit_output {
	struct output out;
	struct err *err;
};

static const char *text_of(const struct json *line, const char *key)
{
	const char *text = json_text(json_get(line, key));

	return text ? text : "";
}

/* A cell, as a terminal may have it. */
static void add_cell(struct table *t, const char *text)
{
	auto_buf struct buf b = BUF_INIT;

	name_text(&b, text);
	table_add(t, b.data);
}

/* "shop/web:1.0", "shop/web@sha256:4f...", "alice laptop" */
static void what_text(const struct json *line, struct buf *out)
{
	const char *repo = text_of(line, "repository"), *tag = text_of(line, "tag"), *digest = text_of(line, "digest");
	const char *about = text_of(line, "about");

	buf_addf(out, "%s%s%s", repo, *tag ? ":" : "", tag);
	if (*digest && !*tag)
		buf_addf(out, "@%.19s", digest);
	if (*about)
		buf_addf(out, "%s%s", out->len ? " " : "", about);
}

static void who_text(const struct json *line, struct buf *out)
{
	const char *token = text_of(line, "token");

	buf_addf(out, "%s%s%s", text_of(line, "who"), *token ? "/" : "", token);
}

static int add_row(struct table *t, const char *text, size_t len, struct err *err)
{
	auto_json struct json *line = NULL;
	auto_buf struct buf what = BUF_INIT, who = BUF_INIT;
	const char *reason;
	int64_t times = 1;
	int r = json_parse(text, len, &line, err);

	if (r)
		return r;
	who_text(line, &who);
	what_text(line, &what);
	reason = text_of(line, "reason");
	json_int(json_get(line, "times"), &times);
	table_add(t, text_of(line, "at"));
	add_cell(t, who.data);
	add_cell(t, text_of(line, "from"));
	table_add(t, text_of(line, "action"));
	add_cell(t, what.data);
	if (times > 1)
		table_addf(t, "%s%s%s (%" PRId64 " times)", text_of(line, "result"), *reason ? ": " : "", reason, times);
	else
		table_addf(t, "%s%s%s", text_of(line, "result"), *reason ? ": " : "", reason);
	return buf_error(&what) | buf_error(&who);
}

static int give_line(void *arg, const char *line, int64_t size, int64_t number)
{
	struct audit_output *o = arg;
	struct buf *array = &o->out.array;

	(void)number;
	if (!o->out.json)
		return add_row(&o->out.table, line, (size_t)size - 1, o->err);
	buf_addf(array, "%s%s", array->len > 1 ? "," : "", line);
	return buf_error(array);
}

static int run_audit(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "TIME", "WHO", "FROM", "ACTION", "WHAT", "RESULT" };
	const struct audit_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	struct audit_filter filter = { .last = 0 };
	struct audit_output out = { .err = err };
	int r = read_filter(o, &filter, err);

	(void)operands;
	(void)count;
	if (!r)
		r = open_store(&o->store, &tree, err);
	if (r)
		return r;
	output_begin(&out.out, o->store.json, header, ARRAY_SIZE(header));
	r = tree_audit_list(tree, &cred, &filter, give_line, &out, err);
	if (!r)
		r = output_print(&out.out, err);
	output_release(&out.out);
	return r;
}

const struct command audit_commands[] = {
	{ "audit", NULL, "", 0, 0, audit_options, "show who did what, and who tried to",
	  "By time. Changes are in it at once; logins, refusals and pulls within some seconds. In the mount it is\n"
	  "_registry/audit, for tail -F.\n",
	  run_audit },
	{ 0 },
};
