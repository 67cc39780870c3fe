/*
 * undo.c: regfs undo.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

struct undo_options {
	struct store_options store;
	const char *since, *by;
	bool list, purge;
};

static const struct option_row undo_options[] = {
	PLACE_OPTIONS(struct undo_options, store.store),
	{ "json", 0, NULL, offsetof(struct undo_options, store.json), "print JSON" },
	{ "dry-run", 'n', NULL, offsetof(struct undo_options, store.dry_run), "only say what would be brought back" },
	{ "list", 'l', NULL, offsetof(struct undo_options, list), "list what can be brought back, the latest first" },
	{ "since", 0, "EVENT", offsetof(struct undo_options, since), "all that was removed from that event on" },
	{ "by", 0, "USER", offsetof(struct undo_options, by), "only what that user removed" },
	{ "purge", 0, NULL, offsetof(struct undo_options, purge), "don't bring it back: nobody can any more, and its space is free for gc" },
	{ 0 },
};

/* What is to be brought back: numbers, and what is printed of them. */
struct undo_list {
	struct buf ids;
	struct output out;
	bool only_one;
};

static void name_of(const struct tree_removal *m, struct buf *out)
{
	char text[DIGEST_TEXT_MAX + 1];

	if (streq(m->what, "grant")) {
		buf_addf(out, "%s %s", m->tag, m->repo);
		return;
	}
	buf_adds(out, m->repo);
	if (*m->tag)
		buf_addf(out, ":%s", m->tag);
	else if (m->digest.algorithm != DIGEST_NONE)
		buf_addf(out, "@%s", digest_format(&m->digest, text));
}

static int add_removal(void *arg, const struct tree_removal *m)
{
	struct undo_list *l = arg;
	auto_buf struct buf name = BUF_INIT;
	char at[TIMESTAMP_TEXT_MAX + 1], until[TIMESTAMP_TEXT_MAX + 1];
	struct buf *b = &l->out.array;

	/* What was taken from somebody on purpose doesn't come back by the way. */
	if (l->only_one && streq(m->what, "grant"))
		return 0;
	name_of(m, &name);
	buf_add(&l->ids, &m->id, sizeof(m->id));
	table_addf(&l->out.table, "%" PRId64, m->deed.event);
	table_add(&l->out.table, timestamp_format(m->deed.at, at));
	table_add(&l->out.table, m->deed.who);
	table_add(&l->out.table, *m->deed.from ? m->deed.from : "-");
	table_add(&l->out.table, m->what);
	table_add(&l->out.table, name.data);
	table_add(&l->out.table, timestamp_format(m->until, until));
	output_object(&l->out);
	json_add_number(b, "event", m->deed.event);
	json_add_time(b, "at", m->deed.at);
	json_add_text(b, "who", m->deed.who);
	json_add_text(b, "from", m->deed.from);
	json_add_text(b, "what", m->what);
	if (streq(m->what, "grant")) {
		json_add_text(b, "pattern", m->repo);
		json_add_text(b, "principal", m->tag);
	} else {
		json_add_text(b, "repository", m->repo);
		if (*m->tag)
			json_add_text(b, "tag", m->tag);
		json_add_digest(b, "digest", &m->digest);
	}
	json_add_time(b, "until", m->until);
	buf_addc(b, '}');
	return l->only_one ? 1 : buf_error(&l->ids) | buf_error(&name) ? -ENOMEM : 0;
}

static int act_on_all(struct session *session, const struct undo_list *l, bool purge, struct err *err)
{
	size_t done = 0;
	int r = 0;

	for (size_t at = 0; !r && at < l->ids.len; at += sizeof(int64_t)) {
		int64_t id;

		memcpy(&id, l->ids.data + at, sizeof(id));
		r = purge ? session_undo_purge(session, id, err) : session_undo(session, id, err);
		done += !r;
	}
	if (r && done) {
		const struct err why = *err;

		return err_set(err, why.reason, "%zu of %zu were %s, the latest first, until: %s", done,
			       l->ids.len / sizeof(int64_t), purge ? "given up" : "brought back", why.text);
	}
	return r;
}

static int run_undo(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "EVENT", "REMOVED", "BY", "FROM", "WHAT", "NAME", "UNTIL" };
	const struct undo_options *o = options;
	auto_session struct session *session = NULL;
	struct undo_list l = { .ids = BUF_INIT, .only_one = !o->list && !o->since };
	int64_t since;
	int r = option_number("--since is the number of an event, as `regfs undo --list` shows it", o->since, 0, &since, err);

	if (!r)
		r = session_open(&o->store, &session, err);
	if (r)
		return r;
	output_begin(&l.out, o->store.json, header, ARRAY_SIZE(header));
	r = session_undo_list(session, count ? operands[0] : NULL, since, o->by, add_removal, &l, err);
	if (!r && !o->list && !l.ids.len)
		r = err_set(err, ERR_NOT_FOUND, "there is nothing to undo");
	if (!r && !o->list && !o->store.dry_run)
		r = act_on_all(session, &l, o->purge, err);
	if (!r)
		r = output_print(&l.out, err);
	output_release(&l.out);
	buf_release(&l.ids);
	return r;
}

const struct command undo_commands[] = {
	{ "undo", NULL, "[NAME]", 0, 1, undo_options, "bring back what was removed: tags, images, repositories, grants",
	  "Without --list or --since, the last removal but of a grant (of that repository, if one is named). What came back is\n"
	  "printed, the latest removal first. What was removed can be brought back for seven days, or as long as undo-keep says.\n",
	  run_undo },
	{ 0 },
};
