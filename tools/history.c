/*
 * history.c: regfs history, rollback.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void table_row(struct table *t, const struct tree_history *h, const struct tree_deed *d, const char *what)
{
	char digest[DIGEST_TEXT_MAX + 1], at[TIMESTAMP_TEXT_MAX + 1];

	table_add(t, h->tag);
	table_addf(t, "%" PRId64, h->number);
	table_add(t, timestamp_format(d->at, at));
	table_add(t, or_dash(d->who));
	table_add(t, or_dash(d->from));
	table_add(t, digest_format(&h->digest, digest));
	table_add(t, what);
}

static void json_add_deed(struct buf *b, const char *key, const struct tree_deed *d)
{
	if (!d->at)
		return;
	json_add_key(b, key);
	buf_addc(b, '{');
	json_add_time(b, "at", d->at);
	if (d->event)
		json_add_number(b, "event", d->event);
	if (*d->who)
		json_add_text(b, "who", d->who);
	if (*d->from)
		json_add_text(b, "from", d->from);
	buf_addc(b, '}');
}

static int add_entry(void *arg, const struct tree_history *h)
{
	struct output *o = arg;
	struct buf *b = &o->array;

	table_row(&o->table, h, &h->named, h->current ? "current" : h->held ? "" : "gone");
	if (h->removed.at)
		table_row(&o->table, h, &h->removed, "removed");
	output_object(o);
	json_add_text(b, "tag", h->tag);
	json_add_number(b, "number", h->number);
	json_add_digest(b, "digest", &h->digest);
	json_add_deed(b, "named", &h->named);
	json_add_deed(b, "removed", &h->removed);
	json_add_key(b, "current");
	buf_adds(b, h->current ? "true" : "false");
	json_add_key(b, "held");
	buf_adds(b, h->held ? "true" : "false");
	buf_addc(b, '}');
	return 0;
}

static int run_history(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "TAG", "NUMBER", "TIME", "WHO", "FROM", "DIGEST", "" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_output struct output out = { 0 };
	struct ref ref;
	int r = ref_parse(operands[0], &ref, err);

	(void)count;
	if (!r && ref.digest.algorithm != DIGEST_NONE)
		r = err_set(err, ERR_USAGE, "tags have a history, not %s: name:tag, or name", operands[0]);
	if (!r)
		r = session_open(o, &session, err);
	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = session_history_list(session, ref.name, *ref.tag ? ref.tag : NULL, add_entry, &out, err);
	return r ? r : output_print(&out, err);
}

struct rollback_options {
	struct store_options store;
	const char *to;
};

static const struct option_row rollback_options[] = {
	PLACE_OPTIONS(struct rollback_options, store.store),
	{ "json", 0, NULL, offsetof(struct rollback_options, store.json), "print JSON" },
	{ "dry-run", 'n', NULL, offsetof(struct rollback_options, store.dry_run), "only say what would be done" },
	{ "to", 0, "N", offsetof(struct rollback_options, to), "the entry's number in the history (default: the image before this one)" },
	{ 0 },
};

static int report_rollback(const struct store_options *o, const char *ref, const struct tree_rollback *b, struct err *err)
{
	char digest[DIGEST_TEXT_MAX + 1];
	auto_buf struct buf doc = BUF_INIT;

	if (!o->json) {
		printf("%s%s is %s, as in entry %" PRId64 "%s\n", o->dry_run && b->changed ? "would be: " : "", ref,
		       digest_format(&b->digest, digest), b->number, b->changed ? "" : ", already");
		return 0;
	}
	buf_addc(&doc, '{');
	json_add_text(&doc, "tag", ref);
	json_add_digest(&doc, "digest", &b->digest);
	json_add_number(&doc, "number", b->number);
	json_add_key(&doc, "changed");
	buf_adds(&doc, b->changed ? "true" : "false");
	json_add_key(&doc, "dry-run");
	buf_adds(&doc, o->dry_run ? "true" : "false");
	buf_addc(&doc, '}');
	return print_json(&doc, err);
}

static int run_rollback(const void *options, char **operands, int count, struct err *err)
{
	const struct rollback_options *o = options;
	auto_session struct session *session = NULL;
	struct tree_rollback done;
	struct ref ref;
	int64_t to;
	int r = ref_parse(operands[0], &ref, err);

	(void)count;
	if (!r && (!*ref.tag || ref.digest.algorithm != DIGEST_NONE))
		r = err_set(err, ERR_USAGE, "rollback takes name:tag, not %s", operands[0]);
	if (!r)
		r = option_number("--to is the number of an entry, as `regfs history` shows it", o->to, 0, &to, err);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = session_rollback(session, ref.name, ref.tag, to, o->store.dry_run, &done, err);
	return r ? r : report_rollback(&o->store, operands[0], &done, err);
}

const struct command history_commands[] = {
	{ "history", NULL, "NAME[:TAG]", 1, 1, look_options, "show what a tag named, since when, and who made it do so",
	  "Oldest first; of a tag that was removed, too. In the mount it is _history/TAG/.\n", run_history },
	{ "rollback", NULL, "NAME:TAG", 1, 1, rollback_options, "make a tag name again what it named before",
	  "Without --to the image that it named before this one, so that a second rollback takes the first one back; of a\n"
	  "tag that was removed, its last. It is a move of the tag like any other, with an entry of its own.\n",
	  run_rollback },
	{ 0 },
};
