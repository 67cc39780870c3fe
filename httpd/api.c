/*
 * api.c: calls (fs/tree/call.h) over HTTP: what `regfs --server` asks for.
 *
 *	POST /v2/_regfs/v1/<call>		Content-Type: application/json, an object
 *	200					Content-Type: application/x-ndjson, an object a line
 *
 * and rootfs-read answers bytes. The path is below /v2/, since that is what proxies in front of registries let through; a
 * repository's name can't begin with '_'. All calls are POSTs, also those that only look: their operands (passwords, paths of any
 * bytes) stand in no log. The Content-Type keeps other sites' forms out. An object with an unknown member is refused: to pass over
 * one might do more than was asked for.
 *
 * Errors are the specification's, and the detail names the reason, so that the command ends as it would at the store.
 *
 * Who asks for events may wait for the first one, for some seconds: see watch.h.
 *
 * Memory: an answer has at most LIMIT_CALL_ANSWER bytes, all that are being made or sent LIMIT_CALL_MEMORY; who finds too little is
 * told to come again.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include <strings.h>

#include "fs/base/timestamp.h"
#include "fs/tree/call.h"
#include "httpd/reply.h"
#include "httpd/watch.h"

/* ---- The request ---- */

static bool is_json(const char *type)
{
	size_t len = type ? strcspn(type, "; \t") : 0;

	return len == strlen("application/json") && strncasecmp(type, "application/json", len) == 0;
}

/* A length that isn't said may be any. */
static int check_size(const struct request *r, struct err *err)
{
	const struct cred cred = request_cred(r);
	int64_t length = r->headers.length;

	if (length > LIMIT_CALL)
		return err_set(err, ERR_SIZE_INVALID, "a call is asked with at most %d bytes", LIMIT_CALL);
	if (cred.kind == CRED_ANONYMOUS && (length < 0 || length > LIMIT_CALL_ANONYMOUS))
		return err_set(err, ERR_UNAUTHORIZED, "a call of more than %d bytes, or without a Content-Length, needs a login",
			       LIMIT_CALL_ANONYMOUS);
	return 0;
}

static int begin_call(struct request *r, struct err *err)
{
	const struct call *call = call_find(r->route.reference);
	int e;

	if (!call)
		return err_set(err, ERR_NOT_FOUND, "there is no call %.60s", r->route.reference);
	if (!is_json(r->headers.content_type))
		return err_set(err, ERR_REQUEST_INVALID, "a call is asked with application/json");
	e = check_size(r, err);
	r->call = call;
	return e ? e : gather_new(r, err);
}

/* Headers can't be seen from a job. */
void api_begin(struct request *r)
{
	static const struct operation changing = { NULL, api_call, COMMITS };
	struct err err = ERR_INIT;

	if (begin_call(r, &err))
		reply_error(r, &err);
	else if (r->call->changes)
		r->operation = &changing;
}

/* ---- The answer ---- */

#define STEP (256 * 1024) /* in which memory is taken for rows */

struct answer {
	struct httpd *httpd;
	const struct call *call;
	struct buf rows;
	size_t taken; /* of LIMIT_CALL_MEMORY, until the answer is made */
	size_t count; /* rows */
	struct call_event end; /* of CALL_EVENTS, the last row */
	struct err *err;
};

static int take_memory(struct answer *a, size_t bytes)
{
	struct httpd *h = a->httpd;

	if (atomic_fetch_add(&h->call_memory, bytes) + bytes <= LIMIT_CALL_MEMORY) {
		a->taken += bytes;
		return 0;
	}
	atomic_fetch_sub(&h->call_memory, bytes);
	return err_set(a->err, ERR_TOO_MANY_REQUESTS, "too many answers are on their way: try again");
}

static int add_row(void *arg, const void *row)
{
	struct answer *a = arg;

	a->count++;
	if (a->call == call_at(CALL_EVENTS))
		a->end = *(const struct call_event *)row;
	record_add(&a->rows, a->call->row, row);
	buf_addc(&a->rows, '\n');
	if (buf_error(&a->rows))
		return err_set(a->err, ERR_NO_MEMORY, "no memory for an answer");
	if (a->rows.len > LIMIT_CALL_ANSWER)
		return err_set(a->err, ERR_UNSUPPORTED, "the answer has more than %d MiB: ask at the store, with --store",
			       LIMIT_CALL_ANSWER >> 20);
	return a->rows.len > a->taken ? take_memory(a, MAX((size_t)STEP, a->rows.len - a->taken)) : 0;
}

struct sent {
	struct httpd *httpd;
	size_t len;
	char *data;
};

static void sent_free(void *arg)
{
	struct sent *s = arg;

	atomic_fetch_sub(&s->httpd->call_memory, s->len);
	secret_forget(s->data, s->len);
	free(s->data);
	free(s);
}

/* Takes the rows. */
static int reply_rows(struct request *r, struct buf *rows, const char *type, struct err *err)
{
	struct sent *s = malloc(sizeof(*s));
	struct MHD_Response *response;
	size_t len = rows->len;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
	*s = (struct sent){ .httpd = r->httpd, .len = len, .data = len ? buf_steal(rows) : NULL };
	atomic_fetch_add(&r->httpd->call_memory, len);
	response = MHD_create_response_from_buffer_with_free_callback_cls(len, len ? s->data : (char *)(uintptr_t) "",
									 sent_free, s);
	if (!response) {
		sent_free(s);
		return err_set(err, ERR_NO_MEMORY, "no memory for an answer");
	}
	reply_response(r, MHD_HTTP_OK, response);
	reply_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "%s", type);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	return 0;
}

/* ---- The call ---- */

static int read_args(const struct request *r, struct json **json, struct buf *memory, void *args, struct err *err)
{
	const char *data;
	size_t len;
	int e = gather_whole(r->gather, &data, &len, err);

	if (!e && len > LIMIT_CALL)
		e = err_set(err, ERR_SIZE_INVALID, "a call is asked with at most %d bytes", LIMIT_CALL);
	return e ? e : call_read_args(r->call, data, len, json, memory, args, err);
}

/* How long it may wait is known the first time; later it goes on where it was. */
static int begin_watch(struct request *r, struct call_events *args, struct err *err)
{
	int64_t seconds = MIN(args->wait, (int64_t)LIMIT_WATCH_SECONDS);

	if (args->wait <= 0)
		return 0;
	if (r->watch_until)
		args->after = r->watch_last;
	else
		r->watch_until = timestamp_monotonic() + seconds * INT64_C(1000000000);
	return watch_begin(r->httpd->watch, r, err);
}

/* Nothing but the last row, which says how far it looked. */
static bool must_wait(struct request *r, const struct answer *a)
{
	if (!r->watch_until || a->count != 1 || a->end.more)
		return false;
	r->watch_last = a->end.row.number;
	return watch_may_wait(r->httpd->watch, r);
}

static int run(struct request *r, struct answer *a, struct err *err)
{
	_Alignas(max_align_t) char args[CALL_RECORD_MAX] = { 0 };
	const struct cred cred = request_cred(r);
	auto_json struct json *json = NULL;
	auto_buf struct buf memory = BUF_INIT;
	int e = read_args(r, &json, &memory, args, err);

	if (!e && r->call == call_at(CALL_EVENTS))
		e = begin_watch(r, (void *)args, err);
	if (!e && !a->call->run)
		e = take_memory(a, CALL_READ_MAX);
	if (!e && !a->call->run)
		return call_read(r->httpd->tree, &cred, (const void *)args, &a->rows, err);
	return e ? e : a->call->run(r->httpd->tree, &cred, args, add_row, a, err);
}

static void reply_refusal(struct request *r, struct err *err)
{
	auto_buf struct buf detail = BUF_INIT;

	call_add_refusal(&detail, err);
	err_set_detail(err, detail.data);
	reply_error(r, err);
}

void api_call(struct request *r)
{
	struct err err = ERR_INIT;
	struct answer a = { .httpd = r->httpd, .call = r->call, .rows = BUF_INIT, .err = &err };
	int e = run(r, &a, &err);

	r->waits = !e && must_wait(r, &a);
	if (!e && !r->waits)
		e = reply_rows(r, &a.rows, a.call->run ? "application/x-ndjson" : "application/octet-stream", &err);
	atomic_fetch_sub(&r->httpd->call_memory, a.taken);
	if (e)
		reply_refusal(r, &err);
	buf_release(&a.rows);
}
