/*
 * httpd.c: the HTTP front: the libmicrohttpd daemon, and a request's life (request.h draws it).
 *
 * Memory: LIMIT_HTTP_BUFFER and LIMIT_PEER_SHOWN for each connection, LIMIT_UPLOAD_BUFFERS buffers for all uploads,
 * LIMIT_UPLOAD_SMALL for a small body that waits for its job, LIMIT_MANIFEST_MEMORY for all manifests that
 * are arriving, LIMIT_CALL_MEMORY for all answers to calls, a page of a list for each that is being made, and about two kilobytes a request.
 *
 * What libmicrohttpd leaves to us, or does in its own way:
 *   1. It takes a request with both Content-Length and Transfer-Encoding, or two of either, and a
 *      proxy may see another border between requests than it does. Such a request, and one with a
 *      malformed header name, is answered at its first call and its connection closed.
 *   2. An answer at the first call closes the connection. So everything else is answered at the
 *      last call, when the body is there (and there is a last call without a body, too).
 *   3. Once the body has begun no answer is possible before its end: what comes is dropped.
 *   4. Its URL ends at "%00"; the raw one comes through the log callback, whose answer is the
 *      request's context. A bare NUL shows as a version that doesn't stand right behind the
 *      target.
 *   5. Suspended connections must be resumed before the daemon stops.
 *   6. Two of its system calls need mending: see socket.c.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include <strings.h>
#include <sys/socket.h>

#include "httpd/body.h"
#include "fs/auth/throttle.h"
#include "fs/auth/token.h"
#include "fs/auth/verified.h"
#include "fs/base/log.h"
#include "fs/tree/login.h"
#include "httpd/cors.h"
#include "httpd/listen.h"
#include "httpd/login.h"
#include "httpd/peer.h"
#include "httpd/proxy.h"
#include "httpd/reply.h"
#include "httpd/tls.h"
#include "httpd/watch.h"

#define THREADS	     2 /* of libmicrohttpd: they parse, copy and send, and wait for nothing */
/*
 * LIMIT_COMMITTERS was measured with 200 clients that push 1 KiB each on 2 cores, five interleaved runs: 32
 * gave 1,105 artifacts a second, 64 1,265, 128 1,415, 200 1,400. They sleep for most of their time: the more
 * of them, the more changes share a commit (of the database, of the file system's journal). Each costs
 * 40 KiB while it is there. Who only reads has threads of its own, and isn't queued behind pushes.
 */
#define LOGINS	     2 /* check passwords, 16 MiB each; a login isn't urgent */
#define WRITERS	     8 /* hash and write uploads: more than cores, since a disk may block some */
#define DRAIN_MAX    (4 * 1024 * 1024) /* an early error waits for a body up to this */
#define STOP_SECONDS 5

static struct MHD_Response *prepare_base(void)
{
	return reply_prepare(2, "{}", MHD_RESPMEM_PERSISTENT, "application/json");
}

static void front_get(struct request *r)
{
	r->response = r->httpd->front;
	r->status = MHD_HTTP_OK;
	r->borrowed = true;
}

/* Docker's clients find out here whether, and where, to log in. */
static int may_know(struct request *r, struct err *err)
{
	struct cred cred = request_cred(r);

	if (cred.kind == CRED_ANONYMOUS && !r->who)
		return err_set(err, ERR_UNAUTHORIZED, "what isn't public needs a login");
	return cred.kind == CRED_SUBJECT ? tree_login_check(r->httpd->tree, &cred, err) : 0;
}

static void base_get(struct request *r)
{
	struct err err = ERR_INIT;

	if (may_know(r, &err)) {
		reply_error(r, &err);
		return;
	}
	r->status = MHD_HTTP_OK;
	r->borrowed = !r->origin;
	r->response = r->borrowed ? r->httpd->base : prepare_base();
}

static const struct operation operations[ROUTE_COUNT] = {
	[ROUTE_FRONT] = { NULL, front_get, INLINE },
	[ROUTE_BASE] = { NULL, base_get, INLINE },
	[ROUTE_CATALOG] = { NULL, list_catalog, READS },
	[ROUTE_TAGS] = { NULL, list_tags, READS },
	[ROUTE_BLOB_GET] = { NULL, blob_get, INLINE },
	[ROUTE_BLOB_HEAD] = { blob_head_begin, blob_head, READS },
	[ROUTE_BLOB_DELETE] = { NULL, blob_delete, COMMITS },
	[ROUTE_UPLOAD_BEGIN] = { upload_post_begin, upload_post, COMMITS },
	[ROUTE_UPLOAD_STATUS] = { NULL, upload_status, INLINE },
	[ROUTE_UPLOAD_PATCH] = { upload_patch_begin, upload_patch, COMMITS },
	[ROUTE_UPLOAD_PUT] = { upload_put_begin, upload_put, COMMITS },
	[ROUTE_UPLOAD_CANCEL] = { NULL, upload_cancel, COMMITS },
	[ROUTE_MANIFEST_GET] = { NULL, manifest_get, INLINE },
	[ROUTE_MANIFEST_PUT] = { manifest_put_begin, manifest_put, COMMITS },
	[ROUTE_MANIFEST_DELETE] = { NULL, manifest_delete, COMMITS },
	[ROUTE_REFERRERS] = { NULL, referrers_list, READS },
	[ROUTE_CALL] = { api_begin, api_call, READS },
	[ROUTE_TOKEN_GET] = { token_get_begin, token_issue, READS },
	[ROUTE_TOKEN_POST] = { token_post_begin, token_issue, LOGINS },
	[ROUTE_OPTIONS] = { NULL, reply_options, INLINE },
};

/* ---- The first call ---- */

/* A target that is too long isn't stored, only answered. */
static void *request_new(void *arg, const char *target, struct MHD_Connection *connection)
{
	struct httpd *h = arg;
	size_t len = strlen(target), stored = len > LIMIT_URI ? 0 : len;
	struct request *r = malloc(sizeof(*r) + stored + 1);

	atomic_fetch_add(&h->active, 1);
	if (!r)
		return NULL;
	memset(r, 0, offsetof(struct request, route));
	r->httpd = h;
	r->connection = connection;
	r->references = 1;
	r->headers.length = -1;
	r->route.name = r->route.reference = "";
	r->route.allow = NULL;
	r->route.head = false;
	r->route.param_count = 0;
	r->from[0] = r->authority[0] = '\0';
	r->target_len = len;
	r->target_at = target;
	memcpy(r->target, target, stored);
	r->target[stored] = '\0';
	return r;
}

static const struct {
	const char *name;
	size_t len;
	size_t at;
} wanted_headers[] = {
#define WANTED(text, member)                                             \
	{                                                                \
		text, sizeof(text) - 1, offsetof(struct headers, member) \
	}
	WANTED("Content-Length", content_length),
	WANTED("Content-Type", content_type),
	WANTED("Content-Range", content_range),
	WANTED("Transfer-Encoding", transfer_encoding),
	WANTED("Range", range),
	WANTED("If-Range", if_range),
	WANTED("Origin", origin),
	WANTED("If-None-Match", if_none_match),
	WANTED("Expect", expect),
	WANTED("Authorization", authorization),
	WANTED("Host", host),
#undef WANTED
};

/*
 * Ways to show a body to one of two parsers and to hide it from the other: "Content-Length :"
 * (RFC 9112, 5.1), a bare CR (2.2), and a folded line (5.2), which libmicrohttpd appends to the
 * name: "Transfer-Encodingchunked".
 */
static bool is_malformed(const char *name, size_t len, const char *value, size_t value_len)
{
	return !len || name[len - 1] == ' ' || name[len - 1] == '\t' ||
	       (len > 14 && strncasecmp(name, "Content-Length", 14) == 0) ||
	       (len > 17 && strncasecmp(name, "Transfer-Encoding", 17) == 0) ||
	       (value && memchr(value, '\r', value_len));
}

static mhd_result see_header(void *arg, enum MHD_ValueKind kind UNUSED, const char *name,
			     size_t len, const char *value, size_t value_len)
{
	struct headers *headers = arg;

	if (is_malformed(name, len, value, value_len))
		headers->malformed = true;
	for (size_t i = 0; i < ARRAY_SIZE(wanted_headers); i++) {
		const char **at;

		if (wanted_headers[i].len != len || strcasecmp(wanted_headers[i].name, name) != 0)
			continue;
		at = (const char **)(void *)((char *)headers + wanted_headers[i].at);
		/* A list may come in several lines. The first is enough: not to know that a client
		 * has the content costs sending it. */
		if (*at && at == &headers->if_none_match)
			continue;
		if (*at)
			headers->malformed = true;
		*at = value ? value : "";
	}
	return MHD_YES;
}

/* Where the request's body ends must be clear to everyone who reads it. */
static int check_framing(struct request *r, const char *version, struct err *err)
{
	struct headers *headers = &r->headers;
	bool http11 = version && streq(version, MHD_HTTP_VERSION_1_1);

	MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, see_header, headers);
	if (headers->content_length && headers->transfer_encoding)
		return err_set(err, ERR_REQUEST_INVALID,
			       "the request has both Content-Length and Transfer-Encoding");
	if (headers->malformed)
		return err_set(err, ERR_REQUEST_INVALID,
			       "the request has a header twice that may come once, or one that is "
			       "folded, or has a space before its colon, or a bare CR");
	if (headers->transfer_encoding &&
	    (!http11 || strcasecmp(headers->transfer_encoding, "chunked") != 0))
		return err_set(err, ERR_REQUEST_INVALID,
			       "the request's Transfer-Encoding isn't \"chunked\"");
	/* libmicrohttpd has refused a length that isn't a number. */
	if (!headers->transfer_encoding)
		headers->length =
			headers->content_length
				? (int64_t)MIN(strtoull(headers->content_length, NULL, 10),
					       (unsigned long long)INT64_MAX)
				: 0;
	if (version > r->target_at && version < r->target_at + LIMIT_HTTP_BUFFER &&
	    version != r->target_at + r->target_len + 1)
		return err_set(err, ERR_REQUEST_INVALID, "the request's target has a NUL");
	return 0;
}

static mhd_result see_forwarded(void *arg, enum MHD_ValueKind kind UNUSED, const char *name,
				size_t len, const char *value, size_t value_len)
{
	struct forwarded *f = arg;

	if (len == 9 && strcasecmp(name, "Forwarded") == 0)
		fields_add(&f->forwarded, value ? value : "", value_len);
	else if (len == 15 && strcasecmp(name, "X-Forwarded-For") == 0)
		fields_add(&f->x_forwarded_for, value ? value : "", value_len);
	return MHD_YES;
}

void request_note_address(struct request *r)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct address_ranges *proxies = r->httpd->proxies;
	struct forwarded forwarded;
	struct in6_addr addr;

	if (r->from[0] || !info || !address_of(info->client_addr, &addr))
		return;
	if (proxies && ranges_include(proxies, &addr)) {
		forwarded.forwarded.count = forwarded.x_forwarded_for.count = 0;
		MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, see_forwarded,
					    &forwarded);
		proxies_client(proxies, &forwarded, &addr);
	}
	address_text(&addr, r->from);
}

static mhd_result answer(struct request *r)
{
	struct MHD_Response *response = r->response;
	mhd_result result;

	/* No memory for an answer. */
	if (!response)
		return MHD_NO;
	if (r->httpd->cors && !r->borrowed)
		reply_cors(r);
	result = MHD_queue_response(r->connection, r->status, response);
	r->response = NULL;
	if (!r->borrowed)
		MHD_destroy_response(response);
	return result;
}

static mhd_result answer_and_close(struct request *r)
{
	reply_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
	return answer(r);
}

static int check_length(const struct request *r, struct err *err)
{
	if (r->headers.length <= LIMIT_BLOB)
		return 0;
	return err_set(err, ERR_SIZE_INVALID,
		       "the request's body has %" PRId64 " bytes, %" PRId64 " are possible",
		       r->headers.length, LIMIT_BLOB);
}

/* RFC 9110, 15.5.15. */
static void reply_too_long(struct request *r)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_TARGET_TOO_LONG,
		      "the request's target has %zu bytes, %d are possible", r->target_len,
		      LIMIT_URI);
	reply_error(r, &err);
}

/* Logins queue up: passwords are slow on purpose. */
static void reply_crowded(struct request *r)
{
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_TOO_MANY_REQUESTS, "%d passwords wait to be checked: try again", LIMIT_LOGINS_WAITING);
	reply_error(r, &err);
}

static void choose_operation(struct request *r, const char *method)
{
	struct err err;

	if (r->target_len > LIMIT_URI) {
		reply_too_long(r);
		return;
	}
	if (check_length(r, &err) || route_parse(method, r->target, &r->route, &err)) {
		reply_error(r, &err);
		return;
	}
	r->operation = &operations[r->route.id];
	/* Where there are accounts it is told who was refused, from where. */
	if (r->operation->kind != INLINE || !r->httpd->open)
		request_note_address(r);
}

/* Who asks is known: prepares for the body. */
static mhd_result enter(struct request *r)
{
	if (!r->response && r->operation->begin)
		r->operation->begin(r);
	if (!r->response)
		return MHD_YES;
	/* An early error. The upload is free for the next request at once. */
	if (r->body) {
		body_free(r->body);
		r->body = NULL;
	}
	if (r->headers.length > DRAIN_MAX || (r->headers.expect && r->headers.length))
		return answer_and_close(r);
	return MHD_YES;
}

static void run_login(struct work_job *job)
{
	struct request *r = container_of(job, struct request, job);
	struct httpd *h = r->httpd;

	login_run(r);
	pthread_mutex_lock(&h->lock);
	r->entered = true;
	login_done(h, r->shown);
	request_resume(r);
	pthread_mutex_unlock(&h->lock);
	request_release(r);
}

/* It must be found out who asks, before anything else: the connection is suspended, and begin() goes on afterwards. */
static mhd_result submit_login(struct request *r)
{
	struct httpd *h = r->httpd;
	struct work *pool;

	request_note_address(r);
	pthread_mutex_lock(&h->lock);
	pool = login_pool(h, r->shown);
	if (pool && request_suspend(r)) {
		r->entering = true;
		request_hold(r);
		r->job.fn = run_login;
		work_submit(pool, &r->job);
	}
	else if (pool)
		login_done(h, r->shown);
	pthread_mutex_unlock(&h->lock);
	if (pool)
		return r->entering ? MHD_YES : MHD_NO;
	reply_crowded(r);
	return enter(r);
}

static mhd_result entered(struct request *r)
{
	bool known;

	pthread_mutex_lock(&r->httpd->lock);
	known = r->entered;
	pthread_mutex_unlock(&r->httpd->lock);
	r->entering = false;
	return known ? enter(r) : MHD_NO;
}

static mhd_result begin(struct request *r, const char *method, const char *version)
{
	struct err err;

	r->begun = true;
	if (atomic_load(&r->httpd->stopping))
		return MHD_NO;
	if (check_framing(r, version, &err)) {
		reply_error(r, &err);
		return answer_and_close(r);
	}
	r->origin = cors_match(r->httpd->cors, r->headers.origin);
	choose_operation(r, method);
	if (!r->response && !login_begin(r))
		return submit_login(r);
	return enter(r);
}

/* ---- The body, the end ---- */

static mhd_result receive(struct request *r, const char *data, size_t *len)
{
	if (r->body && !r->response)
		return body_receive(r->body, data, len);
	if (r->gather && !r->response)
		return gather_receive(r, data, len);
	if (r->form && !r->response)
		return token_receive(r, data, len);
	*len = 0;
	return MHD_YES;
}

static mhd_result submit(struct request *r)
{
	struct httpd *h = r->httpd;
	bool suspended, crowded;

	pthread_mutex_lock(&h->lock);
	if (r->operation->kind == LOGINS)
		r->pool = login_pool(h, r->shown);
	crowded = r->operation->kind == LOGINS && !r->pool;
	suspended = !crowded && request_suspend(r);
	if (suspended) {
		r->submitted = true;
		if (r->body)
			body_end(r->body);
		else
			request_submit(r);
	} else if (r->pool) {
		login_done(h, r->shown);
	}
	pthread_mutex_unlock(&h->lock);
	if (!crowded)
		return suspended ? MHD_YES : MHD_NO;
	reply_crowded(r);
	return answer(r);
}

/* A request that was submitted comes here again when it has been resumed: finished, or the server
 * is closing. */
static mhd_result end(struct request *r)
{
	struct httpd *h = r->httpd;
	bool finished;

	if (r->submitted) {
		pthread_mutex_lock(&h->lock);
		finished = r->finished;
		pthread_mutex_unlock(&h->lock);
		return finished ? answer(r) : MHD_NO;
	}
	if (!r->response && r->operation->kind == LOGINS)
		token_ready(r);
	if (!r->response) {
		if (r->operation->kind != INLINE)
			return submit(r);
		r->operation->finish(r);
	}
	return answer(r);
}

static mhd_result handle(void *arg UNUSED, struct MHD_Connection *connection UNUSED,
			 const char *url UNUSED, const char *method, const char *version,
			 const char *data, size_t *len, void **context)
{
	struct request *r = *context;

	if (!r)
		return MHD_NO;
	if (!r->begun)
		return begin(r, method, version);
	if (r->entering)
		return entered(r);
	if (*len)
		return receive(r, data, len);
	return end(r);
}

static void run_release(struct work_job *job)
{
	request_release(container_of(job, struct request, job));
}

static void completed(void *arg, struct MHD_Connection *connection UNUSED, void **context,
		      enum MHD_RequestTerminationCode how UNUSED)
{
	struct httpd *h = arg;
	struct request *r = *context;

	*context = NULL;
	if (r && r->body && !r->submitted) {
		/* The connection broke. Closing the upload may wait for the disk. */
		body_abandon(r->body);
		r->job.fn = run_release;
		work_submit(h->commits, &r->job);
	} else if (r) {
		request_release(r);
	}
	if (atomic_fetch_sub(&h->active, 1) == 1 && atomic_load(&h->stopping)) {
		pthread_mutex_lock(&h->lock);
		pthread_cond_signal(&h->quiet);
		pthread_mutex_unlock(&h->lock);
	}
}

/* ---- Start and stop ---- */

/* Values are decoded by route.c; libmicrohttpd's own decoding would be work for nothing. */
static size_t keep_escapes(void *arg UNUSED, struct MHD_Connection *connection UNUSED, char *text)
{
	return strlen(text);
}

static int prepare_answers(struct httpd *h)
{
	const char *url = strstr(h->public_url, "://");
	auto_buf struct buf text = BUF_INIT;

	buf_addf(&text,
		 "regfs %s, a container registry. Its API is at /v2/.\n"
		 "Push to it:  docker push %s/NAME:TAG\n",
		 tree_version(), url ? url + 3 : h->address);
	if (buf_error(&text))
		return -ENOMEM;
	h->front = reply_prepare(text.len, text.data, MHD_RESPMEM_MUST_COPY,
				 "text/plain; charset=utf-8");
	h->base = prepare_base();
	if (h->base && cors_varies(h->cors))
		MHD_add_response_header(h->base, MHD_HTTP_HEADER_VARY, "Origin");
	return h->front && h->base ? 0 : -ENOMEM;
}

static int start_daemon(struct httpd *h, int fd, struct err *err)
{
	static const struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;

	if (h->tls)
		flags |= MHD_USE_TLS;
	h->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, handle, h,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)LIMIT_HTTP_BUFFER,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)LIMIT_HTTP_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)LIMIT_HTTP_IDLE_SECONDS,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, completed, h,
		MHD_OPTION_NOTIFY_CONNECTION, peer_notify, h->tls,
		MHD_OPTION_URI_LOG_CALLBACK, request_new, h, MHD_OPTION_UNESCAPE_CALLBACK,
		keep_escapes, h, MHD_OPTION_ARRAY, h->tls ? tls_options(h->tls) : none,
		MHD_OPTION_END);
	if (!h->daemon)
		return err_set(err, ERR_INTERNAL, "can't start the HTTP server on %s", h->address);
	return 0;
}

static void httpd_free(struct httpd *h)
{
	if (h->writers)
		work_free(h->writers);
	if (h->jobs)
		work_free(h->jobs);
	if (h->commits)
		work_free(h->commits);
	if (h->logins)
		work_free(h->logins);
	watch_free(h->watch);
	verified_cache_free(h->verified);
	throttle_free(h->throttle);
	token_keys_free(h->keys);
	free(h->service);
	if (h->base)
		MHD_destroy_response(h->base);
	if (h->front)
		MHD_destroy_response(h->front);
	buffers_release(h);
	pthread_cond_destroy(&h->quiet);
	pthread_mutex_destroy(&h->lock);
	free(h->address);
	free(h->public_url);
	cors_free(h->cors);
	ranges_free(h->proxies);
	tls_free(h->tls);
	free(h);
}
DEFINE_CLEANUP(cleanup_httpd, struct httpd *, httpd_free)

static int read_options(struct httpd *h, const struct httpd_options *options, struct err *err)
{
	const struct tls_files files = { options->tls_cert, options->tls_key,
					 options->tls_client_ca };
	int e = err_about("cors-origin", cors_new(options->cors_origins, &h->cors, err), err);

	if (!e)
		e = err_about("public-url",
			      public_url_new(options->public_url, &h->public_url, err), err);
	if (!e)
		e = err_about("trust-proxy", ranges_new(options->trust_proxy, &h->proxies, err),
			      err);
	return e ? e : tls_new(&files, &h->tls, err);
}

/* What a registry with accounts needs beside. */
static int prepare_logins(struct httpd *h, const char *token_key, struct err *err)
{
	const char *host = strstr(h->public_url, "://");
	auto_buf struct buf path = BUF_INIT;
	int e;

	if (h->open)
		return 0;
	h->service = strdup(host ? host + 3 : h->address);
	buf_addf(&path, "%s/token-keys.pem", tree_store_dir(h->tree));
	if (!h->service || buf_error(&path))
		return err_set(err, ERR_NO_MEMORY, "no memory for the HTTP server");
	e = err_about("token-key", token_keys_open(token_key ? token_key : path.data, !token_key, &h->keys, err), err);
	if (!e)
		e = verified_cache_new(&h->verified, err);
	if (!e)
		e = throttle_new(NULL, NULL, &h->throttle, err);
	return e ? e : work_new(LOGINS, &h->logins, err);
}

int httpd_start(const struct httpd_options *options, struct httpd **out, struct err *err)
{
	CLEANUP(cleanup_httpd) struct httpd *h = calloc(1, sizeof(*h));
	auto_fd int fd = -1;
	int e;

	if (!h)
		return err_set(err, ERR_NO_MEMORY, "no memory for the HTTP server");
	h->tree = options->tree;
	h->open = options->open;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->quiet, NULL);
	buffers_init(h);
	waiters_init(&h->manifest_waiters);
	e = read_options(h, options, err);
	if (e)
		return e;
	e = err_about("listen",
		      listen_open(options->listen, options->open, &fd, &h->address, err), err);
	if (e)
		return e;
	if (prepare_answers(h))
		return err_set(err, ERR_NO_MEMORY, "no memory for the HTTP server");
	e = work_new(LIMIT_WORKERS, &h->jobs, err);
	if (!e)
		e = work_new(LIMIT_COMMITTERS, &h->commits, err);
	if (!e)
		e = work_new(WRITERS, &h->writers, err);
	if (!e)
		e = prepare_logins(h, options->token_key, err);
	if (!e)
		e = watch_new(h, &h->watch, err);
	if (!e)
		e = start_daemon(h, fd, err);
	if (e)
		return e;
	steal_fd(&fd);
	*out = steal(&h);
	return 0;
}

const char *httpd_address(const struct httpd *h)
{
	return h->address;
}

const char *httpd_scheme(const struct httpd *h)
{
	return h->tls ? "https" : "http";
}

static void say_reloaded(int e, const char *stays, const char *done, const struct err *err)
{
	if (e)
		log_error("%s: %s", stays, err->text);
	else
		log_info("%s", done);
}

void httpd_reload(struct httpd *h)
{
	struct err err = ERR_INIT;

	if (h->tls)
		say_reloaded(tls_reload(h->tls, &err), "the certificate stays as it was", "the certificate was read again", &err);
	if (h->keys)
		say_reloaded(token_keys_reload(h->keys, &err), "the keys of tokens stay as they were", "the keys of tokens were read again",
			     &err);
}

static void wait_for_quiet(struct httpd *h)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += STOP_SECONDS;
	pthread_mutex_lock(&h->lock);
	while (atomic_load(&h->active) &&
	       pthread_cond_timedwait(&h->quiet, &h->lock, &until) != ETIMEDOUT)
		continue;
	pthread_mutex_unlock(&h->lock);
}

static void resume_all(struct httpd *h)
{
	pthread_mutex_lock(&h->lock);
	h->closing = true;
	waiters_init(&h->piece_waiters);
	waiters_init(&h->manifest_waiters);
	while (h->suspended)
		request_resume(h->suspended);
	pthread_mutex_unlock(&h->lock);
}

const char *httpd_public_url(const struct httpd *h)
{
	return h->public_url;
}

void httpd_stop(struct httpd *h)
{
	MHD_socket fd = MHD_quiesce_daemon(h->daemon);

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	atomic_store(&h->stopping, true);
	watch_stop(h->watch);
	wait_for_quiet(h);
	resume_all(h);
	MHD_stop_daemon(h->daemon);
	httpd_free(h);
}
