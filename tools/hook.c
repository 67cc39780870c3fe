/*
 * hook.c: regfs hook list, show, add, set, rm, test, log, retry: who is told when something happens.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "tools/inside.h"

#define SECOND INT64_C(1000000000)
#define DEFAULT_LOG 50

/* ---- Options of add and set ---- */

struct hook_options {
	struct store_options store;
	const char *on, *tags, *url, *program, *format;
	const char *secret_file, *header_file, *ca_file;
	bool drop_old_secret, no_secret;
	bool parallel, in_order, pause, resume;
};

#define CHANGES(type)                                                                                                         \
	PLACE_OPTIONS(type, store.store),                                                                                     \
	{ "json", 0, NULL, offsetof(type, store.json), "print JSON" },                                                        \
	{ "dry-run", 'n', NULL, offsetof(type, store.dry_run), "only say what would be done" },                               \
	{ "on", 0, "KIND,...", offsetof(type, on), "of these events: push, tag, untag, delete, ...; all (default: push)" },    \
	{ "tags", 0, "RULES", offsetof(type, tags), "about tags that match: release-*, a list, /regular expression/, !not" }, \
	{ "url", 0, "URL", offsetof(type, url), "post to it" },                                                               \
	{ "program", 0, "NAME", offsetof(type, program), "run the one in the store's hooks.d/programs/" },                    \
	{ "format", 0, "FORMAT", offsetof(type, format), "regfs, cloudevents, cloudevents-binary, acr or docker" },           \
	{ "secret-file", 0, "FILE", offsetof(type, secret_file), "sign with its first line; the one before still signs, too" }, \
	{ "header-file", 0, "FILE", offsetof(type, header_file), "send its lines `Name: value` as well" },                    \
	{ "ca-file", 0, "FILE", offsetof(type, ca_file), "believe the authorities in it, instead of the system's" },          \
	{ "parallel", 0, NULL, offsetof(type, parallel), "deliveries of one repository needn't be in order" },                \
	{ "pause", 0, NULL, offsetof(type, pause), "deliveries wait" }

static const struct option_row add_options[] = { CHANGES(struct hook_options), { 0 } };
static const struct option_row set_options[] = {
	CHANGES(struct hook_options),
	{ "in-order", 0, NULL, offsetof(struct hook_options, in_order), "deliveries of one repository are in order" },
	{ "resume", 0, NULL, offsetof(struct hook_options, resume), "deliveries go on, also where the hook was disabled" },
	{ "drop-old-secret", 0, NULL, offsetof(struct hook_options, drop_old_secret), "the secret before this one signs no longer" },
	{ "no-secret", 0, NULL, offsetof(struct hook_options, no_secret), "sign no longer" },
	{ 0 },
};

/* What the options' files hold. */
struct hook_files {
	struct buf secret, headers, ca;
};
#define HOOK_FILES_INIT { .secret = BUF_INIT, .headers = BUF_INIT, .ca = BUF_INIT }

static void hook_files_release(struct hook_files *f)
{
	if (f->secret.len)
		explicit_bzero(f->secret.data, f->secret.len);
	buf_release(&f->secret);
	buf_release(&f->headers);
	buf_release(&f->ca);
}
#define auto_hook_files CLEANUP(hook_files_release)

/* A text file's, without the newline at its end. */
static int read_text(const char *path, size_t limit, struct buf *out, const char **text, struct err *err)
{
	int r = path ? read_input(path, limit, out, err) : 0;

	if (r || !path)
		return r;
	if (out->len > limit)
		return err_set(err, ERR_ARGUMENT, "%s has more than %zu bytes", path, limit);
	if (strlen(out->data) != out->len)
		return err_set(err, ERR_ARGUMENT, "%s holds a NUL", path);
	while (out->len && strchr("\r\n", out->data[out->len - 1]))
		buf_truncate(out, out->len - 1);
	*text = out->data;
	return out->len ? 0 : err_set(err, ERR_ARGUMENT, "%s is empty", path);
}

static enum setting setting_of(bool yes, bool no)
{
	return yes ? SETTING_YES : no ? SETTING_NO : SETTING_INHERIT;
}

static int read_change(const struct hook_options *o, struct hook_files *files, struct tree_hook_change *out, struct err *err)
{
	int r;

	if ((o->parallel && o->in_order) || (o->pause && o->resume) || (o->secret_file && o->no_secret))
		return err_set(err, ERR_USAGE, "--parallel and --in-order, --pause and --resume, --secret-file and --no-secret exclude each other");
	*out = (struct tree_hook_change){
		.kinds = o->on, .tags = o->tags, .url = o->url, .program = o->program, .format = o->format,
		.secret = o->no_secret ? "" : NULL, .drop_old_secret = o->drop_old_secret,
		.parallel = setting_of(o->parallel, o->in_order), .paused = setting_of(o->pause, o->resume),
	};
	/* One takes the other's place. */
	if (o->url && !o->program)
		out->program = "";
	else if (o->program && !o->url)
		out->url = "";
	r = read_text(o->secret_file, LIMIT_HOOK_SECRET + 2, &files->secret, &out->secret, err);
	if (!r)
		r = read_text(o->header_file, LIMIT_HOOK_HEADERS * (LIMIT_VALUE + 1), &files->headers, &out->headers, err);
	return r ? r : read_text(o->ca_file, LIMIT_HOOK_CA, &files->ca, &out->ca, err);
}

/* ---- add, set, rm ---- */

/* What a hook is called where nothing is said: as the host that it posts to, or the program that it runs. */
static void default_name(const struct hook_options *o, char out[static LIMIT_HOOK_NAME + 1])
{
	const char *from = o->url ? strstr(o->url, "://") : o->program;
	size_t len;

	from = o->url && from ? from + 3 : from ? from : "hook";
	len = o->url ? strcspn(from, ":/?") : strlen(from);
	snprintf(out, LIMIT_HOOK_NAME + 1, "%.*s", (int)MIN(len, (size_t)LIMIT_HOOK_NAME), from);
	if (*out == '[')
		snprintf(out, LIMIT_HOOK_NAME + 1, "hook");
}

static int report(const struct store_options *o, const char *done, const struct call_hook *h, struct err *err)
{
	auto_buf struct buf text = BUF_INIT;

	buf_addf(&text, "%s %s", h->pattern, h->name);
	return report_change(o, done, text.data, err);
}

static int change_hook(const struct hook_options *o, enum call_id what, const char *done, struct call_hook *args, struct err *err)
{
	auto_session struct session *session = NULL;
	auto_hook_files struct hook_files files = HOOK_FILES_INIT;
	int r = read_change(o, &files, &args->change, err);

	args->dry_run = o->store.dry_run;
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = session_hook_change(session, what, args, err);
	return r ? r : report(&o->store, done, args, err);
}

static int run_add(const void *options, char **operands, int count, struct err *err)
{
	const struct hook_options *o = options;
	char name[LIMIT_HOOK_NAME + 1];
	struct call_hook args = { .pattern = operands[0], .name = count > 1 ? operands[1] : name };

	if (!o->url == !o->program)
		return err_set(err, ERR_USAGE, "a hook has a URL or a program, and not both: --url or --program");
	default_name(o, name);
	return change_hook(o, CALL_HOOK_ADD, "added", &args, err);
}

static int run_set(const void *options, char **operands, int count UNUSED, struct err *err)
{
	struct call_hook args = { .pattern = operands[0], .name = operands[1] };

	return change_hook(options, CALL_HOOK_SET, "changed", &args, err);
}

/* Those that change nothing of the hook itself. */
static int act(const struct store_options *o, enum call_id what, const char *done, const struct call_hook *args, struct err *err)
{
	auto_session struct session *session = NULL;
	int r = session_open(o, &session, err);

	if (!r)
		r = session_hook_change(session, what, args, err);
	return r ? r : report(o, done, args, err);
}

static int run_rm(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct store_options *o = options;
	const struct call_hook args = { .pattern = operands[0], .name = operands[1], .change = TREE_HOOK_AS_IT_IS, .dry_run = o->dry_run };

	return act(o, CALL_HOOK_RM, "removed", &args, err);
}

/* ---- list, show ---- */

static void json_add_flag(struct buf *b, const char *key, bool value)
{
	json_add_key(b, key);
	buf_adds(b, value ? "true" : "false");
}

static void hook_object(struct buf *b, const struct call_listed_hook *h)
{
	const struct hook_row *row = &h->row;
	const struct {
		const char *key, *value;
	} texts[] = {
		{ "repository", row->pattern }, { "name", row->name },	     { "on", row->kinds },	   { "tags", row->tags },
		{ "url", row->url },		{ "program", row->program }, { "format", row->format }, { "headers", row->headers },
		{ "ca", row->ca },		{ "disabled", row->disabled }, { "who", row->who },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		json_add_text(b, texts[i].key, texts[i].value);
	json_add_flag(b, "secret", h->secret);
	json_add_flag(b, "old-secret", h->old_secret);
	json_add_flag(b, "parallel", row->parallel);
	json_add_flag(b, "paused", row->paused);
	json_add_time(b, "created", row->created);
	json_add_time(b, "changed", row->changed);
	buf_addc(b, '}');
}

static const char *state_of(const struct hook_row *row)
{
	return *row->disabled ? "disabled" : row->paused ? "paused" : "active";
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static int add_row(void *arg, const struct call_listed_hook *h)
{
	struct output *out = arg;
	const struct hook_row *row = &h->row;

	output_object(out);
	hook_object(&out->array, h);
	table_add(&out->table, row->pattern);
	table_add(&out->table, row->name);
	table_add(&out->table, row->kinds);
	table_add(&out->table, or_dash(row->tags));
	table_addf(&out->table, "%s%s", *row->program ? "program " : "", *row->program ? row->program : row->url);
	table_add(&out->table, row->format);
	table_add(&out->table, state_of(row));
	return 0;
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "REPOSITORY", "NAME", "ON", "TAGS", "TO", "FORMAT", "STATE" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_output struct output out = { 0 };
	int r = session_open(o, &session, err);

	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = session_hook_list(session, count ? operands[0] : NULL, add_row, &out, err);
	return r ? r : output_print(&out, err);
}

struct show {
	bool json;
	struct err *err;
};

static int print_hook(void *arg, const struct call_listed_hook *h)
{
	const struct show *s = arg;
	const struct hook_row *row = &h->row;
	char created[TIMESTAMP_TEXT_MAX + 1], changed[TIMESTAMP_TEXT_MAX + 1];
	auto_buf struct buf b = BUF_INIT;

	if (s->json) {
		buf_addc(&b, '{');
		hook_object(&b, h);
		return print_json(&b, s->err);
	}
	printf("repository  %s\nname        %s\non          %s\ntags        %s\n%s%s\nformat      %s\norder       %s\n", row->pattern,
	       row->name, row->kinds, or_dash(row->tags), *row->program ? "program     " : "url         ",
	       *row->program ? row->program : row->url, row->format, row->parallel ? "parallel" : "by repository");
	printf("secret      %s\nstate       %s%s%s\ncreated     %s by %s\nchanged     %s\n",
	       h->old_secret ? "two, while they are exchanged" : h->secret ? "one" : "-", state_of(row), *row->disabled ? ": " : "",
	       row->disabled, timestamp_format(row->created, created), row->who, timestamp_format(row->changed, changed));
	for (const char *line = row->headers; *line; line += strcspn(line, "\n"), line += *line == '\n')
		printf("header      %.*s ...\n", (int)strcspn(line, "\n"), line);
	if (*row->ca)
		printf("ca          its own\n");
	return 0;
}

static int run_show(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct show s = { .json = o->json, .err = err };
	int r = session_open(o, &session, err);

	return r ? r : session_hook_show(session, operands[0], operands[1], print_hook, &s, err);
}

/* ---- log, retry, test ---- */

struct log_options {
	struct store_options store;
	const char *last, *before;
};

static const struct option_row log_options[] = {
	PLACE_OPTIONS(struct log_options, store.store),
	{ "json", 0, NULL, offsetof(struct log_options, store.json), "print JSON" },
	{ "last", 0, "N", offsetof(struct log_options, last), "so many deliveries (default: 50)" },
	{ "before", 0, "EVENT", offsetof(struct log_options, before), "those of events before that one" },
	{ 0 },
};

static void latency_text(int64_t nanoseconds, char out[static 32])
{
	snprintf(out, 32, "%.1f ms", (double)nanoseconds / 1e6);
}

static void delivery_object(struct buf *b, const struct delivery_row *row)
{
	json_add_number(b, "delivery", row->id);
	json_add_number(b, "event", row->event);
	json_add_number(b, "sequence", row->number);
	json_add_text(b, "state", delivery_state_name(row->state));
	json_add_number(b, "attempts", row->attempts);
	json_add_time(b, "due", row->due);
	json_add_time(b, "at", row->at);
}

static int add_delivery(void *arg, const struct tree_hook_delivery *d)
{
	struct output *out = arg;
	struct buf *b = &out->array;
	char at[TIMESTAMP_TEXT_MAX + 1], latency[32];

	latency_text(d->latency, latency);
	output_object(out);
	delivery_object(b, &d->row);
	json_add_text(b, "kind", d->kind);
	json_add_text(b, "repository", d->repository);
	json_add_text(b, "tag", d->tag);
	json_add_number(b, "status", d->status);
	json_add_number(b, "latency-ns", d->latency);
	json_add_text(b, "why", d->why);
	buf_addc(b, '}');
	table_addf(&out->table, "%" PRId64, d->row.id);
	table_addf(&out->table, "%" PRId64, d->row.event);
	table_addf(&out->table, "%s%s%s%s%s", or_dash(d->kind), *d->repository ? " " : "", d->repository, *d->tag ? ":" : "", d->tag);
	table_add(&out->table, delivery_state_name(d->row.state));
	table_addf(&out->table, "%" PRId64, d->row.attempts);
	table_add(&out->table, timestamp_format(d->row.at, at));
	table_add(&out->table, d->row.attempts ? latency : "-");
	if (*d->why)
		table_add(&out->table, d->why);
	else if (d->row.attempts)
		table_addf(&out->table, "%d", d->status);
	else
		table_add(&out->table, "-");
	return 0;
}

static int list_deliveries(struct session *session, const struct log_options *o, const struct call_hook *args, struct err *err)
{
	static const char *const header[] = { "DELIVERY", "EVENT", "WHAT", "STATE", "ATTEMPTS", "TIME", "LATENCY", "ANSWER" };
	auto_output struct output out = { 0 };
	int r;

	output_begin(&out, o->store.json, header, ARRAY_SIZE(header));
	r = session_hook_log(session, args, add_delivery, &out, err);
	return r ? r : output_print(&out, err);
}

/* Lines, each moved in; what a terminal would obey is escaped. */
static void print_block(const char *title, const char *text)
{
	auto_buf struct buf b = BUF_INIT;

	if (!*text)
		return;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		char *copy = strndup(line, strcspn(line, "\n"));

		buf_adds(&b, "    ");
		name_text(&b, copy ? copy : "");
		buf_addc(&b, '\n');
		free(copy);
	}
	printf("  %s\n%s", title, b.data);
}

struct attempts {
	struct output *out;
	int64_t count;
};

static void attempt_object(struct buf *b, const struct call_attempt *a)
{
	delivery_object(b, &a->delivery);
	json_add_time(b, "attempt-at", a->row.at);
	json_add_number(b, "latency-ns", a->row.latency);
	json_add_number(b, "status", a->row.status);
	json_add_text(b, "why", a->row.why);
	json_add_text(b, "request", a->row.request);
	json_add_text(b, "response", a->row.response);
	buf_addc(b, '}');
}

static int show_attempt(void *arg, const struct call_attempt *a)
{
	struct attempts *t = arg;
	char at[TIMESTAMP_TEXT_MAX + 1], latency[32];
	auto_buf struct buf why = BUF_INIT;

	if (t->out->json) {
		if (!a->none) {
			output_object(t->out);
			attempt_object(&t->out->array, a);
		}
		return 0;
	}
	if (!t->count++)
		printf("delivery %" PRId64 " of event %" PRId64 ": %s, %" PRId64 " attempts\n", a->delivery.id, a->delivery.event,
		       delivery_state_name(a->delivery.state), a->delivery.attempts);
	if (a->none)
		return 0;
	latency_text(a->row.latency, latency);
	name_text(&why, a->row.why);
	printf("%s  %d  %s  %s\n", timestamp_format(a->row.at, at), a->row.status, latency, why.data);
	print_block("request", a->row.request);
	print_block("response", a->row.response);
	return 0;
}

static int show_delivery(struct session *session, const struct log_options *o, struct call_hook *args, const char *id, struct err *err)
{
	auto_output struct output out = { 0 };
	struct attempts t = { .out = &out };
	int r = option_number("DELIVERY is a number from 1 on", id, 0, &args->id, err);

	output_begin(&out, o->store.json, NULL, 0);
	if (!r)
		r = session_hook_attempts(session, args, show_attempt, &t, err);
	return r || !o->store.json ? r : output_print(&out, err);
}

static int run_log(const void *options, char **operands, int count, struct err *err)
{
	const struct log_options *o = options;
	auto_session struct session *session = NULL;
	struct call_hook args = { .pattern = operands[0], .name = operands[1] };
	int r = option_number("--last takes a number from 1 on", o->last, DEFAULT_LOG, &args.n, err);

	if (!r)
		r = option_number("--before takes the number of an event", o->before, 0, &args.id, err);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (r)
		return r;
	return count > 2 ? show_delivery(session, o, &args, operands[2], err) : list_deliveries(session, o, &args, err);
}

static int run_retry(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct store_options *o = options;
	struct call_hook args = { .pattern = operands[0], .name = operands[1], .dry_run = o->dry_run };
	int r = option_number("DELIVERY is a number from 1 on", operands[2], 0, &args.id, err);

	return r ? r : act(o, CALL_HOOK_RETRY, "queued again", &args, err);
}

static int run_test(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_buf struct buf text = BUF_INIT;
	int64_t event = 0;
	int r = session_open(o, &session, err);

	if (!r)
		r = session_hook_test(session, operands[0], operands[1], o->dry_run, &event, err);
	buf_addf(&text, "%s %s of ", operands[0], operands[1]);
	if (o->dry_run)
		buf_adds(&text, "an event");
	else
		buf_addf(&text, "event %" PRId64, event);
	return r ? r : report_change(o, "told", text.data, err);
}

const struct command hook_commands[] = {
	{ "hook", "list", "[REPO]", 0, 1, look_options, "list hooks: who is told when something happens",
	  "REPO is a repository, or a pattern as those of grants.\n", run_list },
	{ "hook", "show", "REPO NAME", 2, 2, look_options, "show a hook", NULL, run_show },
	{ "hook", "add", "REPO [NAME]", 1, 2, add_options, "have a URL posted to, or a program run, when something happens",
	  "REPO is a repository, or a pattern: shop/*, shop/**, **. NAME is the URL's host or the program where it isn't said.\n"
	  "Of events from then on; each is told at least once, and again until it was taken. See regfs-hooks(7).\n",
	  run_add },
	{ "hook", "set", "REPO NAME", 2, 2, set_options, "change a hook", "What isn't said stays as it is.\n", run_set },
	{ "hook", "rm", "REPO NAME", 2, 2, change_options, "remove a hook", "And what waits for it.\n", run_rm },
	{ "hook", "test", "REPO NAME", 2, 2, change_options, "tell a hook of an event made for it", NULL, run_test },
	{ "hook", "log", "REPO NAME [DELIVERY]", 2, 3, log_options, "show what was told, and what was answered",
	  "With DELIVERY each attempt at it, with request and response.\n", run_log },
	{ "hook", "retry", "REPO NAME DELIVERY", 3, 3, change_options, "make a delivery once more", NULL, run_retry },
	{ 0 },
};
