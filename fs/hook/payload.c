/*
 * payload.c: see payload.h.
 *
 * Shapes that are not ours were checked against: CloudEvents 1.0.2, its JSON format and HTTP binding; what Alibaba's documentation
 * of triggers shows (times without a zone: here they are UTC); notifications/event.go of distribution, whose media type has been
 * "v1" in every release of version 2, which is what receivers know.
 */
#include "fs/base/base.h"
#include "fs/hook/payload.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/tree/hooks.h"

void payload_release(struct payload *p)
{
	buf_release(&p->body);
	buf_release(&p->headers);
}

/* ---- Members ---- */

static void add_text(struct buf *b, const char *key, const char *text)
{
	json_add_key(b, key);
	json_add_string(b, text ? text : "");
}

static void add_number(struct buf *b, const char *key, int64_t number)
{
	json_add_key(b, key);
	buf_addf(b, "%" PRId64, number);
}

static void add_time(struct buf *b, const char *key, int64_t at)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	add_text(b, key, timestamp_format(at, text));
}

static void add_object(struct buf *b, const char *key)
{
	json_add_key(b, key);
	buf_addc(b, '{');
}

/* "": the event is about no image. */
static const char *digest_text(const struct event *e, char out[static DIGEST_TEXT_MAX + 1])
{
	*out = '\0';
	return e->digest && e->digest->algorithm != DIGEST_NONE ? digest_format(e->digest, out) : out;
}

/* ---- Our own ---- */

static void add_own(const struct payload_facts *f, struct buf *b)
{
	buf_adds(b, "{\"v\":1");
	if (*f->public_url)
		add_text(b, "registry", f->public_url);
	add_text(b, "hook", f->hook);
	add_number(b, "sequence", f->sequence);
	json_add_key(b, "event");
	event_line(b, f->event->number, &f->event->event);
	buf_addc(b, '}');
}

static void make_own(const struct payload_facts *f, struct payload *out)
{
	out->type = "application/json";
	add_own(f, &out->body);
}

/* ---- CloudEvents ---- */

enum attribute {
	SPECVERSION,
	ID,
	SOURCE,
	TYPE,
	SUBJECT,
	TIME,
	SEQUENCE,
	ATTRIBUTES
};

static const char *const names[ATTRIBUTES] = { "specversion", "id", "source", "type", "subject", "time", "sequence" };

/* The texts of an event's attributes, each with its NUL; "" is left out. */
static void find_attributes(const struct payload_facts *f, struct buf values[static ATTRIBUTES])
{
	const struct event *e = &f->event->event;
	char digest[DIGEST_TEXT_MAX + 1], time[TIMESTAMP_TEXT_MAX + 1];

	buf_adds(&values[SPECVERSION], "1.0");
	buf_addf(&values[ID], "%" PRId64, f->event->number);
	buf_addf(&values[SOURCE], "%s/%s", f->public_url, e->repository);
	buf_addf(&values[TYPE], "regfs.%s", e->kind);
	buf_adds(&values[SUBJECT], e->tag ? e->tag : digest_text(e, digest));
	buf_adds(&values[TIME], timestamp_format(e->at, time));
	buf_addf(&values[SEQUENCE], "%" PRId64, f->sequence);
}

static void release_attributes(struct buf values[static ATTRIBUTES])
{
	for (int i = 0; i < ATTRIBUTES; i++)
		buf_release(&values[i]);
}

static void make_structured(const struct payload_facts *f, struct payload *out)
{
	struct buf values[ATTRIBUTES];

	for (int i = 0; i < ATTRIBUTES; i++)
		values[i] = (struct buf)BUF_INIT;
	find_attributes(f, values);
	out->type = "application/cloudevents+json";
	buf_addc(&out->body, '{');
	for (int i = 0; i < ATTRIBUTES; i++)
		if (values[i].len)
			add_text(&out->body, names[i], values[i].data);
	add_text(&out->body, "datacontenttype", "application/json");
	json_add_key(&out->body, "data");
	add_own(f, &out->body);
	buf_addc(&out->body, '}');
	release_attributes(values);
}

/* As the HTTP binding has it: a space, a quote, a percent sign and all that isn't printable ASCII is escaped, byte by byte. */
static void add_field(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "ce-%s: ", name);
	for (const unsigned char *c = (const unsigned char *)value; *c; c++)
		if (*c > ' ' && *c <= '~' && *c != '"' && *c != '%')
			buf_addc(out, (char)*c);
		else
			buf_addf(out, "%%%02X", *c);
	buf_addc(out, '\0');
}

static void make_binary(const struct payload_facts *f, struct payload *out)
{
	struct buf values[ATTRIBUTES];

	for (int i = 0; i < ATTRIBUTES; i++)
		values[i] = (struct buf)BUF_INIT;
	find_attributes(f, values);
	out->type = "application/json";
	for (int i = 0; i < ATTRIBUTES; i++)
		if (values[i].len)
			add_field(&out->headers, names[i], values[i].data);
	add_own(f, &out->body);
	release_attributes(values);
}

/* ---- Alibaba ---- */

/* "2026-11-25 18:07:00" */
static void add_plain_time(struct buf *b, const char *key, int64_t at)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	timestamp_format(at, text);
	text[strcspn(text, "T")] = ' ';
	text[strcspn(text, "Z")] = '\0';
	add_text(b, key, text);
}

static void make_acr(const struct payload_facts *f, struct payload *out)
{
	const struct event *e = &f->event->event;
	const char *slash = strrchr(e->repository, '/'), *name = slash ? slash + 1 : e->repository;
	char digest[DIGEST_TEXT_MAX + 1];
	struct buf *b = &out->body;

	out->type = "application/json";
	buf_addc(b, '{');
	add_object(b, "push_data");
	add_text(b, "digest", digest_text(e, digest));
	add_plain_time(b, "pushed_at", e->at);
	add_text(b, "tag", e->tag);
	buf_addc(b, '}');
	add_object(b, "repository");
	if (f->created)
		add_plain_time(b, "date_created", f->created);
	add_text(b, "name", name);
	json_add_key(b, "namespace");
	json_add_stringn(b, e->repository, slash ? (size_t)(slash - e->repository) : 0);
	add_text(b, "region", "");
	add_text(b, "repo_authentication_type", "NO_CERTIFIED");
	add_text(b, "repo_full_name", e->repository);
	add_text(b, "repo_origin_type", "NO_CERTIFIED");
	add_text(b, "repo_type", f->public ? "PUBLIC" : "PRIVATE");
	buf_adds(b, "}}");
}

/* ---- Docker's distribution ---- */

static const struct {
	const char *kind, *action, *method;
} actions[] = {
	{ "push", "push", "PUT" },   { "tag", "push", "PUT" },	     { "rollback", "push", "PUT" },
	{ "untag", "delete", "DELETE" }, { "delete", "delete", "DELETE" }, { "remove", "delete", "DELETE" },
	{ "prune", "delete", "DELETE" }, { "expire", "delete", "DELETE" }, { "pull", "pull", "GET" },
};

static void add_target(const struct payload_facts *f, const char *digest, struct buf *b)
{
	const struct event *e = &f->event->event;
	const char *reference = *digest ? digest : e->tag ? e->tag : "";

	add_object(b, "target");
	if (*f->media_type)
		add_text(b, "mediaType", f->media_type);
	if (f->size) {
		add_number(b, "size", f->size);
		add_number(b, "length", f->size);
	}
	if (*digest)
		add_text(b, "digest", digest);
	add_text(b, "repository", e->repository);
	if (*f->public_url && *reference) {
		json_add_key(b, "url");
		buf_addc(b, '"');
		/* None of the three has anything that JSON escapes: they were checked. */
		buf_addf(b, "%s/v2/%s/manifests/%s\"", f->public_url, e->repository, reference);
	}
	if (e->tag)
		add_text(b, "tag", e->tag);
	buf_addc(b, '}');
}

static void make_docker(const struct payload_facts *f, struct payload *out)
{
	const struct event *e = &f->event->event;
	const char *host = strstr(f->public_url, "://");
	char digest[DIGEST_TEXT_MAX + 1], id[24];
	struct buf *b = &out->body;
	size_t i = 0;

	while (i < ARRAY_SIZE(actions) && !streq(actions[i].kind, e->kind))
		i++;
	host = host ? host + 3 : "";
	snprintf(id, sizeof(id), "%" PRId64, f->event->number);
	out->type = "application/vnd.docker.distribution.events.v1+json";
	buf_adds(b, "{\"events\":[{");
	add_text(b, "id", id);
	add_time(b, "timestamp", e->at);
	add_text(b, "action", i < ARRAY_SIZE(actions) ? actions[i].action : e->kind);
	add_target(f, digest_text(e, digest), b);
	add_object(b, "request");
	add_text(b, "id", id);
	add_text(b, "addr", e->origin);
	add_text(b, "host", host);
	add_text(b, "method", i < ARRAY_SIZE(actions) ? actions[i].method : "");
	add_text(b, "useragent", "");
	buf_addc(b, '}');
	add_object(b, "actor");
	add_text(b, "name", e->who);
	buf_addc(b, '}');
	add_object(b, "source");
	add_text(b, "addr", host);
	buf_adds(b, "}}]}");
}

/* ---- The table ---- */

static const struct {
	const char *name;
	void (*make)(const struct payload_facts *facts, struct payload *out);
} formats[] = {
#define FORMAT(name, function, kinds) { name, make_##function },
	HOOK_FORMATS(FORMAT)
#undef FORMAT
};

int payload_make(const char *format, const struct payload_facts *facts, struct payload *out, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!streq(formats[i].name, format))
			continue;
		formats[i].make(facts, out);
		return buf_error(&out->body) || buf_error(&out->headers) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	}
	return err_set(err, ERR_ARGUMENT, "there is no format %.40s", format);
}
