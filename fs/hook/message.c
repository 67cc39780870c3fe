/* message.c: see message.h. */
#include "fs/base/base.h"
#include "fs/hook/message.h"

#include "fs/base/digest.h"

#define SECOND	   INT64_C(1000000000)
#define HMAC_BYTES 32

void message_release(struct message *q)
{
	payload_release(&q->payload);
	buf_release(&q->fields);
	buf_release(&q->log);
}

static void end_field(struct buf *b)
{
	buf_add(b, "", 1);
}

static int add_hmac(struct buf *out, const char *secret, const struct buf *data, struct err *err)
{
	uint8_t mac[HMAC_BYTES];
	int r = digest_hmac(secret, strlen(secret), data->data, data->len, mac, err);

	buf_adds(out, "sha256=");
	for (size_t i = 0; i < sizeof(mac); i++)
		buf_addf(out, "%02x", mac[i]);
	return r;
}

static int sign(const struct hook_row *hook, int64_t seconds, const struct buf *body, struct buf *out, struct err *err)
{
	auto_buf struct buf stamped = BUF_INIT;
	int r;

	buf_addf(&stamped, "%" PRId64 ".", seconds);
	buf_add(&stamped, body->data, body->len);
	if (buf_error(&stamped))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	buf_adds(out, "X-Regfs-Signature-256: ");
	r = add_hmac(out, hook->secret, &stamped, err);
	if (!r && *hook->old_secret) {
		buf_addc(out, ',');
		r = add_hmac(out, hook->old_secret, &stamped, err);
	}
	end_field(out);
	if (r)
		return r;
	buf_adds(out, "X-Hub-Signature-256: ");
	r = add_hmac(out, hook->secret, body, err);
	end_field(out);
	return r;
}

static void describe(const struct tree_delivery *d, int64_t seconds, const char *type, struct buf *out)
{
	buf_addf(out, "Content-Type: %s", type);
	end_field(out);
	buf_addf(out, "X-Regfs-Event: %s", d->event->event.kind);
	end_field(out);
	buf_addf(out, "X-Regfs-Delivery: %" PRId64, d->row.id);
	end_field(out);
	buf_addf(out, "X-Regfs-Sequence: %" PRId64, d->row.number);
	end_field(out);
	buf_addf(out, "X-Regfs-Timestamp: %" PRId64, seconds);
	end_field(out);
}

/* The hook's own, and for the log only their names. */
static void add_own(const char *headers, struct buf *fields, struct buf *log)
{
	while (*headers) {
		size_t len = strcspn(headers, "\n"), name = strcspn(headers, ":\n");

		if (len) {
			buf_add(fields, headers, len);
			end_field(fields);
			buf_add(log, headers, name);
			buf_adds(log, ": ...\n");
		}
		headers += len + (headers[len] == '\n');
	}
}

/* As lines of the log. */
static void log_fields(const struct buf *fields, struct buf *log)
{
	for (const char *f = fields->data, *end = f + fields->len; f < end; f += strlen(f) + 1)
		buf_addf(log, "%s\n", f);
}

static void point_to(const struct buf *fields, const char **lines)
{
	size_t count = 0;

	for (const char *f = fields->data, *end = f + fields->len; f < end && count < MESSAGE_FIELDS; f += strlen(f) + 1)
		lines[count++] = f;
	lines[count] = NULL;
}

int message_make(const struct hook_row *hook, const struct tree_delivery *delivery, const char *public_url, int64_t now,
		 struct message *out, struct err *err)
{
	const struct payload_facts facts = {
		.event = delivery->event,
		.hook = hook->name,
		.public_url = public_url,
		.sequence = delivery->row.number,
		.media_type = delivery->media_type,
		.size = delivery->size,
		.created = delivery->created,
		.public = delivery->public,
	};
	auto_buf struct buf own = BUF_INIT;
	int r = payload_make(hook->format, &facts, &out->payload, err);

	if (r)
		return r;
	describe(delivery, now / SECOND, out->payload.type, &out->fields);
	if (*hook->secret)
		r = sign(hook, now / SECOND, &out->payload.body, &out->fields, err);
	if (r)
		return r;
	log_fields(&out->fields, &out->log);
	log_fields(&out->payload.headers, &out->log);
	add_own(hook->headers, &own, &out->log);
	buf_addc(&out->log, '\n');
	buf_add(&out->log, out->payload.body.data, out->payload.body.len);
	buf_truncate(&out->log, MIN(out->log.len, (size_t)LIMIT_HOOK_ANSWER));
	buf_add(&out->fields, out->payload.headers.data, out->payload.headers.len);
	buf_add(&out->fields, own.data, own.len);
	if (buf_error(&out->fields) || buf_error(&out->log) || buf_error(&own))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	point_to(&out->fields, out->lines);
	return 0;
}
