/*
 * payload.c: see payload.h.
 *
 * What the formats are like: Docker's is that of distribution's notifications/event.go and its documentation of envelopes,
 * ACR's that of Alibaba Cloud's page "Manage triggers"; CloudEvents are those of spec.md and http-protocol-binding.md, 1.0.
 */
#include "fs/base/base.h"
#include "fs/hook/payload.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

void payload_release(struct payload *p)
{
	buf_release(&p->body);
	buf_release(&p->headers);
}

static void text(struct buf *b, const char *key, const char *value)
{
	json_add_key(b, key);
	json_add_string(b, value ? value : "");
}

static void text_if(struct buf *b, const char *key, const char *value)
{
	if (value && *value)
		text(b, key, value);
}

static void number(struct buf *b, const char *key, int64_t value)
{
	json_add_key(b, key);
	buf_addf(b, "%" PRId64, value);
}

static const char *digest_of_event(const struct event *e, char out[static DIGEST_TEXT_MAX + 1])
{
	return e->digest ? digest_format(e->digest, out) : "";
}

/* Where the image is, for who may pull it; "" where nobody knows how the registry is called. */
static void add_url(struct buf *b, const struct payload_facts *f, const char *key)
{
	const struct event *e = &f->event->event;
	char digest[DIGEST_TEXT_MAX + 1];

	if (!*f->public_url || !e->digest)
		return;
	json_add_key(b, key);
	buf_addf(b, "\"%s/v2/%s/manifests/%s\"", f->public_url, e->repository, digest_of_event(e, digest));
}

/* ---- Our own: the line of the event log, and what a receiver wants besides ---- */

static void add_own(const struct payload_facts *f, struct buf *b)
{
	event_line(b, f->event->number, &f->event->event);
	buf_truncate(b, b->len - 1);
	text(b, "hook", f->hook);
	number(b, "sequence", f->sequence);
	text_if(b, "media-type", f->media_type);
	if (f->size)
		number(b, "size", f->size);
	add_url(b, f, "url");
	buf_addc(b, '}');
}

static void make_regfs(const struct payload_facts *f, struct payload *out)
{
	add_own(f, &out->body);
}

/* ---- CloudEvents 1.0 ---- */

#define CE_TYPE "io.regfs."

/* As members of an object, or as header fields. */
static void add_attribute(struct buf *b, bool header, const char *name, const char *value)
{
	if (header)
		buf_addf(b, "ce-%s: %s%c", name, value, '\0');
	else
		text(b, name, value);
}

static void add_attributes(const struct payload_facts *f, bool header, struct buf *b)
{
	const struct event *e = &f->event->event;
	char id[24], sequence[24], type[64], time[TIMESTAMP_TEXT_MAX + 1];

	snprintf(id, sizeof(id), "%" PRId64, f->event->number);
	snprintf(sequence, sizeof(sequence), "%" PRId64, f->sequence);
	snprintf(type, sizeof(type), CE_TYPE "%s", e->kind);
	add_attribute(b, header, "specversion", "1.0");
	add_attribute(b, header, "id", id);
	add_attribute(b, header, "source", *f->public_url ? f->public_url : "/regfs");
	add_attribute(b, header, "type", type);
	add_attribute(b, header, "time", timestamp_format(e->at, time));
	if (*e->repository)
		add_attribute(b, header, "subject", e->repository);
	add_attribute(b, header, "sequence", sequence);
}

static void make_cloudevents(const struct payload_facts *f, struct payload *out)
{
	buf_addc(&out->body, '{');
	add_attributes(f, false, &out->body);
	text(&out->body, "datacontenttype", "application/json");
	json_add_key(&out->body, "data");
	add_own(f, &out->body);
	buf_addc(&out->body, '}');
}

static void make_cloudevents_binary(const struct payload_facts *f, struct payload *out)
{
	add_attributes(f, true, &out->headers);
	add_own(f, &out->body);
}

/* ---- Alibaba Cloud's ---- */

/* "2016-11-10 15:14:45" */
static void plain_time(int64_t at, char out[static TIMESTAMP_TEXT_MAX + 1])
{
	timestamp_format(at, out);
	out[strcspn(out, "T")] = ' ';
	out[strcspn(out, "Z")] = '\0';
}

static void make_acr(const struct payload_facts *f, struct payload *out)
{
	const struct event *e = &f->event->event;
	const char *slash = strrchr(e->repository, '/');
	char digest[DIGEST_TEXT_MAX + 1], at[TIMESTAMP_TEXT_MAX + 1], namespace[LIMIT_NAME + 1];
	struct buf *b = &out->body;

	plain_time(e->at, at);
	snprintf(namespace, sizeof(namespace), "%.*s", slash ? (int)(slash - e->repository) : 0, e->repository);
	buf_adds(b, "{\"push_data\":{");
	text(b, "digest", digest_of_event(e, digest));
	text(b, "pushed_at", at);
	text(b, "tag", e->tag);
	buf_adds(b, "},\"repository\":{");
	text(b, "date_created", at);
	text(b, "name", slash ? slash + 1 : e->repository);
	text(b, "namespace", namespace);
	text(b, "region", "");
	text(b, "repo_authentication_type", "NO_CERTIFIED");
	text(b, "repo_full_name", e->repository);
	text(b, "repo_type", f->public ? "PUBLIC" : "PRIVATE");
	buf_adds(b, "}}");
}

/* ---- Docker's ---- */

/* What distribution knows are push, pull, mount and delete. */
static const char *docker_action(const char *kind)
{
	return streq(kind, "push") || streq(kind, "tag") || streq(kind, "rollback") ? "push" :
	       streq(kind, "delete") || streq(kind, "untag") || streq(kind, "remove") ? "delete" : kind;
}

static void make_docker(const struct payload_facts *f, struct payload *out)
{
	const struct event *e = &f->event->event;
	char digest[DIGEST_TEXT_MAX + 1], at[TIMESTAMP_TEXT_MAX + 1];
	struct buf *b = &out->body;

	buf_adds(b, "{\"events\":[{");
	json_add_key(b, "id");
	buf_addf(b, "\"%" PRId64 "\"", f->event->number);
	text(b, "timestamp", timestamp_format(e->at, at));
	text(b, "action", docker_action(e->kind));
	buf_adds(b, ",\"target\":{");
	text_if(b, "mediaType", f->media_type);
	if (f->size) {
		number(b, "size", f->size);
		number(b, "length", f->size);
	}
	text_if(b, "digest", digest_of_event(e, digest));
	text(b, "repository", e->repository);
	add_url(b, f, "url");
	text_if(b, "tag", e->tag);
	buf_adds(b, "},\"request\":{");
	text_if(b, "addr", e->origin);
	buf_adds(b, "},\"actor\":{");
	text(b, "name", e->who);
	buf_adds(b, "},\"source\":{");
	text_if(b, "addr", f->public_url);
	buf_adds(b, "}}]}");
}

/* ---- The table ---- */

static const struct {
	const char *name, *type;
	void (*make)(const struct payload_facts *facts, struct payload *out);
} formats[] = {
	{ "regfs", "application/json", make_regfs },
	{ "cloudevents", "application/cloudevents+json; charset=utf-8", make_cloudevents },
	{ "cloudevents-binary", "application/json", make_cloudevents_binary },
	{ "acr", "application/json", make_acr },
	{ "docker", "application/vnd.docker.distribution.events.v1+json", make_docker },
};

int payload_make(const char *format, const struct payload_facts *facts, struct payload *out, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!streq(formats[i].name, format))
			continue;
		out->type = formats[i].type;
		formats[i].make(facts, out);
		return buf_error(&out->body) || buf_error(&out->headers) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	}
	return err_set(err, ERR_ARGUMENT, "there is no format %.40s", format);
}
