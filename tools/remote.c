/*
 * remote.c: see remote.h.
 */
#include "fs/base/base.h"
#include "tools/remote.h"

#include "fs/base/outbound.h"

struct remote {
	struct outbound *http;
	char *url;
};

void remote_close(struct remote *r)
{
	if (r->http)
		outbound_close(r->http);
	free(r->url);
	free(r);
}

int remote_open(const struct remote_options *options, struct remote **out, struct err *err)
{
	const struct outbound_options o = { .url = options->url, .ca_file = options->ca_file, .user = options->user,
					    .password = options->password };
	auto_remote struct remote *r = calloc(1, sizeof(*r));
	int e = 0;

	if (!r || !(r->url = strdup(options->url)))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	e = outbound_open(&o, &r->http, err);
	if (!e)
		*out = steal(&r);
	return e;
}

/* What isn't the answer of a regfs, whatever its status. */
static int check_type(const struct remote *r, const struct outbound_answer *answer, const char *type, struct err *err)
{
	if (answer->status == 404 && !starts_with(answer->type, "application/json"))
		return err_set(err, ERR_IO, "%s is not the address of a regfs", r->url);
	if (answer->status != 200)
		return call_read_refusal(answer->status, answer->body.data, answer->body.len, err);
	if (!streq(answer->type, type))
		return err_set(err, ERR_IO, "%s answers with %.60s, which a regfs doesn't", r->url,
			       *answer->type ? answer->type : "no type");
	return 0;
}

static int ask(struct remote *r, const struct call *call, const void *args, const char *type, size_t limit,
	       struct outbound_answer *answer, struct err *err)
{
	auto_buf struct buf body = BUF_INIT, path = BUF_INIT;
	struct outbound_request q = { .method = "POST", .type = "application/json", .limit = limit };
	int e;

	record_add(&body, call->args, args);
	buf_addf(&path, CALL_PATH "%s", call->name);
	if (buf_error(&body) || buf_error(&path))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	q.path = path.data;
	q.body = body.data;
	q.len = body.len;
	e = outbound_ask(r->http, &q, answer, err);
	secret_forget(body.data, body.len);
	return e ? e : check_type(r, answer, type, err);
}

int remote_call(struct remote *r, const struct call *call, const void *args, call_row_fn *fn, void *arg, struct err *err)
{
	auto_outbound_answer struct outbound_answer answer = OUTBOUND_ANSWER_INIT;
	int e = ask(r, call, args, "application/x-ndjson", LIMIT_CALL_ANSWER, &answer, err);

	if (!e)
		e = call_read_rows(call, answer.body.data, answer.body.len, fn, arg, err);
	/* It may have held a secret. */
	secret_forget(answer.body.data, answer.body.cap ? answer.body.len : 0);
	return e;
}

int remote_read(struct remote *r, const struct call_node *args, struct buf *out, struct err *err)
{
	auto_outbound_answer struct outbound_answer answer = OUTBOUND_ANSWER_INIT;
	int e = ask(r, call_at(CALL_ROOTFS_READ), args, "application/octet-stream", CALL_READ_MAX, &answer, err);

	buf_reset(out);
	if (e)
		return e;
	buf_release(out);
	*out = answer.body;
	answer.body = (struct buf)BUF_INIT;
	return 0;
}
