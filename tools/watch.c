/*
 * watch.c: regfs watch: events as they happen, as inotifywait(1) prints those of files.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

#include "fs/base/timestamp.h"
#include "tools/inside.h"

#define SECOND INT64_C(1000000000)
#define WAIT_SECONDS 25	/* at a time; a server gives no more than LIMIT_WATCH_SECONDS, and proxies before it less than a minute */
#define DEFAULT_FORMAT "%w %e %f"

struct watch_options {
	struct store_options store;
	const char *event, *since, *format, *timefmt, *timeout;
	bool once, quiet;
};

static const struct option_row watch_options[] = {
	PLACE_OPTIONS(struct watch_options, store.store),
	{ "json", 0, NULL, offsetof(struct watch_options, store.json), "print a JSON object a line" },
	{ "event", 'e', "KIND,...", offsetof(struct watch_options, event), "only of these kinds: push, tag, untag, delete, create, remove, ..." },
	{ "since", 0, "N", offsetof(struct watch_options, since), "first those behind event N; 0: all that are kept" },
	{ "format", 0, "FORMAT", offsetof(struct watch_options, format), "print so (default: \"" DEFAULT_FORMAT "\"; see regfs(1))" },
	{ "timefmt", 0, "FORMAT", offsetof(struct watch_options, timefmt), "times for %T, as strftime(3) makes them" },
	{ "timeout", 't', "DURATION", offsetof(struct watch_options, timeout), "end with 1 when none came for so long (seconds, or 2m)" },
	{ "once", 0, NULL, offsetof(struct watch_options, once), "end after the first one" },
	{ "quiet", 'q', NULL, offsetof(struct watch_options, quiet), "don't say where it begins" },
	{ 0 },
};

/* ---- An event, as if it were a file's ---- */

/* Where it happened, what, and to which name there. */
struct place {
	struct buf directory, name;
	const char *word;
};
#define PLACE_INIT { .directory = BUF_INIT, .name = BUF_INIT }

static void place_release(struct place *p)
{
	buf_release(&p->directory);
	buf_release(&p->name);
}

static void at_tag(const struct event_row *row, struct place *p)
{
	buf_addf(&p->directory, "%s/_tags/", row->event.repository);
	buf_adds(&p->name, row->event.tag ? row->event.tag : "");
}

static void at_repository(const struct event_row *row, struct place *p)
{
	const char *slash = strrchr(row->event.repository, '/');

	buf_add(&p->directory, row->event.repository, slash ? (size_t)(slash + 1 - row->event.repository) : 0);
	if (!slash)
		buf_adds(&p->directory, "./");
	buf_adds(&p->name, slash ? slash + 1 : row->event.repository);
}

static void at_image(const struct event_row *row, struct place *p)
{
	char digest[DIGEST_TEXT_MAX + 1] = "";
	size_t algorithm;

	if (row->event.tag) {
		at_tag(row, p);
		return;
	}
	if (!row->event.digest) {
		at_repository(row, p);
		return;
	}
	digest_format(row->event.digest, digest);
	algorithm = strcspn(digest, ":");
	buf_addf(&p->directory, "%s/_images/%.*s/", row->event.repository, (int)algorithm, digest);
	buf_adds(&p->name, digest[algorithm] ? digest + algorithm + 1 : "");
}

static void at_setting(const struct event_row *row, struct place *p)
{
	const char *about = row->event.about ? row->event.about : "";

	buf_adds(&p->directory, *row->event.repository ? row->event.repository : "_registry");
	buf_adds(&p->directory, *row->event.repository ? "/_settings/" : "/settings/");
	buf_adds(&p->name, streq(row->event.kind, "visibility") ? "visibility" : "");
	if (!p->name.len)
		buf_add(&p->name, about, strcspn(about, "="));
}

static void at_access(const struct event_row *row, struct place *p)
{
	const char *about = row->event.about ? row->event.about : "";

	buf_addf(&p->directory, "%s/%saccess/", *row->event.repository ? row->event.repository : "_registry",
		 *row->event.repository ? "_" : "");
	buf_add(&p->name, about, strcspn(about, " "));
}

/* Of another kind. */
static void at_other(const struct event_row *row, struct place *p)
{
	buf_addf(&p->directory, "%s/%s", *row->event.repository ? row->event.repository : "_registry", row->event.tag ? "_tags/" : "");
	if (row->event.tag)
		buf_adds(&p->name, row->event.tag);
	else
		buf_adds(&p->name, row->event.about ? row->event.about : "");
}

static void at_gap(const struct event_row *row, struct place *p)
{
	buf_adds(&p->directory, "./");
	buf_addf(&p->name, "%s-%" PRId64, row->event.about ? row->event.about : "", row->number);
}

static const struct {
	const char *kind, *word;
	void (*place)(const struct event_row *row, struct place *p);
} places[] = {
	{ "push", "CREATE", at_image },
	{ "tag", "CREATE", at_tag },
	{ "rollback", "CREATE", at_tag },
	{ "undo", "CREATE", at_image },
	{ "untag", "DELETE", at_tag },
	{ "pull", "ACCESS", at_image },
	{ "delete", "DELETE", at_image },
	{ "create", "CREATE,ISDIR", at_repository },
	{ "remove", "DELETE,ISDIR", at_repository },
	{ "visibility", "MODIFY", at_setting },
	{ "setting", "MODIFY", at_setting },
	{ "namespace", "MODIFY", at_setting },
	{ "grant", "MODIFY", at_access },
	{ "revoke", "DELETE", at_access },
	{ TREE_EVENT_GAP, "Q_OVERFLOW", at_gap },
};

static void find_place(const struct event_row *row, struct place *p)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(places) && !streq(places[i].kind, row->event.kind))
		i++;
	p->word = i < ARRAY_SIZE(places) ? places[i].word : "MODIFY";
	if (!row->event.changed && !streq(row->event.kind, "pull"))
		p->word = "UNCHANGED";
	if (i < ARRAY_SIZE(places))
		places[i].place(row, p);
	else
		at_other(row, p);
}

/* ---- Printing ---- */

struct watch {
	const struct watch_options *options;
	const char *format;
	int64_t given, last;
	struct err *err;
};

/* The format is the caller's own: strftime() writes no more than it may. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static void add_time(const struct watch *w, int64_t at, struct buf *out)
{
	char text[256] = "";
	time_t seconds = (time_t)(at / SECOND);
	struct tm tm;

	if (w->options->timefmt && localtime_r(&seconds, &tm))
		text[strftime(text, sizeof(text), w->options->timefmt, &tm)] = '\0';
	else if (!w->options->timefmt)
		timestamp_format(at, text);
	buf_adds(out, text);
}

/* The texts of an event, by the letter in a format. */
static void add_field(const struct watch *w, const struct event_row *row, const struct place *p, char letter, struct buf *out)
{
	char digest[DIGEST_TEXT_MAX + 1] = "";
	const struct event *e = &row->event;

	if (e->digest)
		digest_format(e->digest, digest);

	const struct {
		char letter;
		const char *text;
	} fields[] = {
		{ 'w', p->directory.data }, { 'f', p->name.data }, { 'e', p->word }, { 'k', e->kind }, { 'r', e->repository },
		{ 't', e->tag }, { 'd', digest }, { 'u', e->who }, { 'o', e->origin }, { 'a', e->about }, { '%', "%" }, { 'n', "\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].letter == letter && letter == 'n')
			buf_addc(out, '\n');
		else if (fields[i].letter == letter && fields[i].text)
			name_text(out, fields[i].text);
	if (letter == 'i')
		buf_addf(out, "%" PRId64, row->number);
	else if (letter == 'T')
		add_time(w, e->at, out);
	else if (letter == '0')
		buf_addc(out, '\0');
}

#define LETTERS "wfekrtduoaiT%n0"

static int check_format(const char *format, struct err *err)
{
	for (const char *c = format; (c = strchr(c, '%')); c += 2)
		if (!c[1] || !strchr(LETTERS, c[1]))
			return err_set(err, ERR_USAGE, "--format has %%w %%f %%e %%k %%i %%T %%r %%t %%d %%u %%o %%a %%n %%0 and %%%%, not %.2s", c);
	return 0;
}

static void add_line(const struct watch *w, const struct event_row *row, struct buf *out)
{
	CLEANUP(place_release) struct place p = PLACE_INIT;

	if (w->options->store.json) {
		event_line(out, row->number, &row->event);
		buf_addc(out, '\n');
		return;
	}
	find_place(row, &p);
	for (const char *c = w->format; *c; c++) {
		if (*c == '%')
			add_field(w, row, &p, *++c, out);
		else
			buf_addc(out, *c);
	}
	if (!strstr(w->format, "%0"))
		buf_addc(out, '\n');
}

/* SIGINT and SIGTERM end it between lines. */
static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(how, &set, NULL);
}

static int print_event(void *arg, const struct event_row *row)
{
	struct watch *w = arg;
	auto_buf struct buf line = BUF_INIT;
	int r = 0;

	if (w->options->once && w->given)
		return 1;
	w->given++;
	add_line(w, row, &line);
	if (buf_error(&line))
		return err_set(w->err, ERR_NO_MEMORY, "out of memory");
	hold_signals(SIG_BLOCK);
	/* Whoever reads it may wait for it. */
	if (fwrite(line.data, 1, line.len, stdout) != line.len || fflush(stdout))
		r = errno == EPIPE ? 1 : err_sys(w->err, errno, "cannot write to standard output");
	hold_signals(SIG_UNBLOCK);
	return r;
}

/* ---- Watching ---- */

static void end_at_signal(int number UNUSED)
{
	_exit(EXIT_DONE);
}

static bool nobody_reads(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) > 0 && out.revents & (POLLERR | POLLHUP);
}

/* By commas. */
static int join(char **words, int count, struct buf *out, struct err *err)
{
	for (int i = 0; i < count; i++)
		buf_addf(out, "%s%s", i ? "," : "", words[i]);
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int read_since(const char *text, int64_t *out, struct err *err)
{
	*out = -1;
	return !text || number_parse(text, 0, out) ? 0 :
						     err_set(err, ERR_USAGE, "--since takes the number of an event, or 0, not %.100s", text);
}

/* Seconds, or a duration; -1: for ever. */
static int read_timeout(const char *text, int64_t *out, struct err *err)
{
	*out = -1;
	if (!text)
		return 0;
	if (number_parse(text, 0, out) && *out < INT64_MAX / SECOND)
		*out *= SECOND;
	else if (!duration_parse(text, out))
		return err_set(err, ERR_USAGE, "--timeout takes seconds, or a duration such as 2m, not %s", text);
	return 0;
}

/* Seconds to wait next; 0: the time is over. */
static int64_t next_wait(int64_t until)
{
	int64_t left = until < 0 ? WAIT_SECONDS * SECOND : until - timestamp_monotonic();

	return left <= 0 ? 0 : MIN((left - 1) / SECOND + 1, (int64_t)WAIT_SECONDS);
}

static int watch(struct watch *w, struct session *s, struct call_events *args, int64_t timeout, struct err *err)
{
	int64_t until = timeout < 0 ? -1 : timestamp_monotonic() + timeout;
	bool more = false, last_look = false;
	int r = 0;

	while (!r && !nobody_reads() && !(w->options->once && w->given)) {
		int64_t given = w->given;

		args->wait = next_wait(until);
		r = session_events(s, args, STDOUT_FILENO, print_event, w, &args->after, &more, err);
		if (w->given > given && timeout >= 0)
			until = timestamp_monotonic() + timeout;
		else if (!r && !more && last_look)
			return answer_no(err);
		last_look = until >= 0 && timestamp_monotonic() >= until;
	}
	return MIN(r, 0);
}

static int run_watch(const void *options, char **operands, int count, struct err *err)
{
	const struct watch_options *o = options;
	struct watch w = { .options = o, .format = o->format ? o->format : DEFAULT_FORMAT, .err = err };
	auto_session struct session *session = NULL;
	auto_buf struct buf repositories = BUF_INIT;
	struct call_events args = { .n = LIMIT_EVENTS, .filter.kinds = o->event };
	int64_t timeout;
	bool more;
	int r = check_format(w.format, err);

	if (!r)
		r = read_since(o->since, &args.after, err);
	if (!r)
		r = read_timeout(o->timeout, &timeout, err);
	if (!r)
		r = join(operands, count, &repositories, err);
	args.filter.repositories = count ? repositories.data : NULL;
	if (!r)
		r = session_open(&o->store, &session, err);
	signal(SIGINT, end_at_signal);
	signal(SIGTERM, end_at_signal);
	/* Also says whether the filter is well formed. */
	if (!r && args.after < 0)
		r = session_events(session, &args, -1, print_event, &w, &args.after, &more, err);
	if (r)
		return r;
	if (!o->quiet)
		fprintf(stderr, "watching behind event %" PRId64 "\n", args.after);
	return watch(&w, session, &args, timeout, err);
}

const struct command watch_commands[] = {
	{ "watch", NULL, "[NAME...]", 0, 4096, watch_options, "print what happens, as it happens",
	  "Of repositories, or of patterns such as 'shop/**'; without them of all that may be seen. As inotifywait(1) does,\n"
	  "a line for each event: where, what, and to which name. With --since N nothing between two runs is missed.\n"
	  "Ends with 0 at SIGINT and SIGTERM, and when nobody reads its output any more.\n",
	  run_watch },
	{ 0 },
};
