/*
 * outbound.c: HTTP to other servers, over libcurl.
 *
 * The only file that includes libcurl; its conventions end here.
 */
#include "fs/base/base.h"
#include "fs/base/outbound.h"

#include <curl/curl.h>
#include <strings.h>
#include <sys/socket.h>

#include "fs/base/address.h"
#include "fs/base/limits.h"
#include "fs/base/timestamp.h"

struct outbound {
	CURL *curl;		/* of the last request, or NULL */
	CURLSH *connections;
	char *url;		/* without a slash at its end */
	char *ca_file;
	char *login;		/* "user:password", or NULL */
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
};

/* ---- URLs ---- */

static size_t scheme_length(const char *url)
{
	return starts_with(url, "https://") ? 8 : starts_with(url, "http://") ? 7 : 0;
}

const char *outbound_host(const char *url, size_t *len)
{
	const char *host = url + scheme_length(url);

	*len = strcspn(host, "/");
	return host;
}

int outbound_url_check(const char *url, struct err *err)
{
	size_t len;
	const char *host = outbound_host(url, &len), *behind = host + len;

	if (host == url || !len || len > LIMIT_PUBLIC_URL || (*behind && !streq(behind, "/")) ||
	    strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") < len)
		return err_set(err, ERR_ARGUMENT, "a server is named https://HOST or https://HOST:PORT, not \"%.100s\"", url);
	return 0;
}

/* This machine: what is sent there nobody else sees. */
static bool is_here(const char *url)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	size_t len;
	const char *host = outbound_host(url, &len);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (strncmp(host, names[i], n) == 0 && (n == len || host[n] == ':'))
			return true;
	}
	return false;
}

/* ---- The handle ---- */

void outbound_close(struct outbound *o)
{
	curl_slist_free_all(o->headers);
	if (o->curl)
		curl_easy_cleanup(o->curl);
	if (o->connections)
		curl_share_cleanup(o->connections);
	if (o->login)
		explicit_bzero(o->login, strlen(o->login));
	free(o->login);
	free(o->url);
	free(o->ca_file);
	free(o);
}

static bool add_header(struct outbound *o, const char *header)
{
	struct curl_slist *more = curl_slist_append(o->headers, header);

	if (more)
		o->headers = more;
	return more;
}

/* What holds for every request. */
static bool set_up(struct outbound *o)
{
	CURL *c = o->curl;
	bool ok = !curl_easy_setopt(c, CURLOPT_SHARE, o->connections);

	ok = ok && !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	ok = ok && !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)LIMIT_OUTBOUND_CONNECT_SECONDS);
	/* Not a byte for so long: also while the answer is being made. */
	ok = ok && !curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)LIMIT_OUTBOUND_IDLE_SECONDS);
	ok = ok && !curl_easy_setopt(c, CURLOPT_USERAGENT, "regfs/" REGFS_VERSION);
	ok = ok && !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, o->why);
	/* What is for this machine isn't shown to a proxy. */
	if (ok && is_here(o->url))
		ok = !curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	if (ok && o->ca_file)
		ok = !curl_easy_setopt(c, CURLOPT_CAINFO, o->ca_file) && !curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	if (ok && o->login)
		ok = !curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) && !curl_easy_setopt(c, CURLOPT_USERPWD, o->login);
	return ok;
}

/*
 * A handle has one answer: libcurl 7.88 (curl#11101) keeps a pointer to the last field of the answer before, which is gone, and extends that
 * where the next answer begins with a folded line.
 */
static bool renew(struct outbound *o)
{
	if (o->curl)
		curl_easy_cleanup(o->curl);
	o->curl = curl_easy_init();
	return o->curl && set_up(o);
}

static int copy_options(struct outbound *o, const struct outbound_options *options)
{
	size_t len = strlen(options->url);

	o->url = strndup(options->url, len - (options->url[len - 1] == '/'));
	o->ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
	if (options->user && asprintf(&o->login, "%s:%s", options->user, options->password) < 0)
		o->login = NULL;
	return !o->url || (options->ca_file && !o->ca_file) || (options->user && !o->login) ? -ENOMEM : 0;
}

int outbound_open(const struct outbound_options *options, struct outbound **out, struct err *err)
{
	auto_outbound struct outbound *o = NULL;
	int r = outbound_url_check(options->url, err);

	if (r)
		return r;
	if (options->user && scheme_length(options->url) == 7 && !is_here(options->url))
		return err_set(err, ERR_USAGE, "a password is not sent in the clear: write https:// instead of %.100s", options->url);
	if (options->user && strchr(options->user, ':'))
		return err_set(err, ERR_ARGUMENT, "a user's name has no colon");
	if (options->ca_file && access(options->ca_file, R_OK))
		return err_set(err, ERR_ARGUMENT, "can't read %s: %s", options->ca_file, strerror(errno));
	o = calloc(1, sizeof(*o));
	if (!o || copy_options(o, options))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	/* Counted by libcurl: as often as it is called. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(o->connections = curl_share_init()) ||
	    curl_share_setopt(o->connections, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) ||
	    !add_header(o, "Expect:")) /* bodies are small: nothing is won by asking first */
		return err_set(err, ERR_INTERNAL, "libcurl can't be used");
	*out = steal(&o);
	return 0;
}

/* ---- A request ---- */

void outbound_answer_release(struct outbound_answer *a)
{
	buf_release(&a->body);
}

struct receiving {
	struct outbound_answer *answer;
	size_t limit;
	bool too_long;
};

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
	struct receiving *r = arg;

	r->too_long = size * count > r->limit - r->answer->body.len;
	if (r->too_long)
		return 0;
	buf_add(&r->answer->body, data, size * count);
	return buf_error(&r->answer->body) ? 0 : size * count;
}

static bool prepare(struct outbound *o, const struct outbound_request *q, const char *url, struct curl_slist *headers,
		    struct receiving *receiving)
{
	CURL *c = o->curl;
	bool ok = !curl_easy_setopt(c, CURLOPT_URL, url);

	ok = ok && !curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	ok = ok && !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
	ok = ok && !curl_easy_setopt(c, CURLOPT_WRITEDATA, receiving);
	if (ok && q->type) {
		ok = !curl_easy_setopt(c, CURLOPT_POST, 1L);
		ok = ok && !curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->len);
		ok = ok && !curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
	} else if (ok) {
		ok = !curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
	}
	return ok && !curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int failed(const struct outbound *o, const struct receiving *receiving, CURLcode code, struct err *err)
{
	if (receiving->too_long)
		return err_set(err, ERR_SIZE_INVALID, "%s answers with more than %zu bytes", o->url, receiving->limit);
	if (buf_error(&receiving->answer->body) || code == CURLE_OUT_OF_MEMORY)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	/* A header that begins with a folded line. */
	if (code == CURLE_BAD_FUNCTION_ARGUMENT)
		return err_set(err, ERR_IO, "%s answers with what is no HTTP", o->url);
	return err_set(err, ERR_IO, "%s: %s", o->url, *o->why ? o->why : curl_easy_strerror(code));
}

static int take_answer(struct outbound *o, struct outbound_answer *answer, struct err *err)
{
	char *type = NULL, *location = NULL;
	long status = 0;

	curl_easy_getinfo(o->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(o->curl, CURLINFO_CONTENT_TYPE, &type);
	curl_easy_getinfo(o->curl, CURLINFO_REDIRECT_URL, &location);
	answer->status = (int)status;
	snprintf(answer->type, sizeof(answer->type), "%s", type ? type : "");
	if (location)
		return err_set(err, ERR_IO, "%s sends on to %.200s: name that server, if it is the one", o->url, location);
	return 0;
}

int outbound_ask(struct outbound *o, const struct outbound_request *request, struct outbound_answer *answer, struct err *err)
{
	struct receiving receiving = { .answer = answer, .limit = request->limit };
	struct curl_slist type = { .next = o->headers }, *headers = o->headers;
	auto_free char *url = NULL, *type_header = NULL;
	CURLcode code;

	buf_reset(&answer->body);
	*o->why = '\0';
	if (asprintf(&url, "%s%s", o->url, request->path) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (request->type && asprintf(&type_header, "Content-Type: %s", request->type) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	/* libcurl only reads the list. */
	type.data = type_header;
	if (type_header)
		headers = &type;
	if (!renew(o) || !prepare(o, request, url, headers, &receiving))
		return err_set(err, ERR_INTERNAL, "libcurl can't be used");
	code = curl_easy_perform(o->curl);
	return code ? failed(o, &receiving, code, err) : take_answer(o, answer, err);
}

/* ---- Many at once ---- */

#define REDIRECTIONS 3
#define ANSWER_MAX   (1024 * 1024)	/* a longer one is no answer to what we send */

struct errand {
	struct courier *courier;
	struct errand *next;
	CURL *curl;
	struct curl_slist *headers;
	courier_fn *fn;
	void *arg;
	struct buf body;
	size_t received;
	int redirections;
	int64_t begun;
	bool refused;
	char address[INET6_ADDRSTRLEN];	/* the one that was refused */
	char why[CURL_ERROR_SIZE];
};

struct courier {
	CURLM *multi;
	struct courier_options options;
	struct errand *going;
};

int courier_url_check(const char *url, struct err *err)
{
	size_t scheme = scheme_length(url), len = strlen(url), host = strcspn(url + scheme, "/?");
	CURLU *parsed = NULL;
	bool ok = scheme && host && len <= LIMIT_HOOK_URL && !memchr(url + scheme, '@', host) && !strchr(url, '#');

	for (size_t i = 0; ok && i < len; i++)	/* as RFC 3986 has it: the rest is escaped */
		ok = url[i] > ' ' && url[i] < 0x7f && !strchr("\"<>\\^`{|}", url[i]);
	parsed = ok ? curl_url() : NULL;
	ok = parsed && !curl_url_set(parsed, CURLUPART_URL, url, 0);
	curl_url_cleanup(parsed);
	return ok ? 0 : err_set(err, ERR_ARGUMENT, "\"%.200s\" is no URL to post to: it is like https://HOST:PORT/PATH?QUERY", url);
}

static void errand_free(struct errand *e)
{
	if (e->curl)
		curl_easy_cleanup(e->curl);
	curl_slist_free_all(e->headers);
	buf_release(&e->body);
	free(e);
}

/* The place of the one rule about addresses: every connection is made of a socket from here. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct errand *e = arg;
	struct in6_addr addr;

	if (purpose != CURLSOCKTYPE_IPCXN || !address_of(&to->addr, &addr) ||
	    (!address_is_public(&addr) && !ranges_include(e->courier->options.allowed, &addr))) {
		e->refused = true;
		if (address_of(&to->addr, &addr))
			address_text(&addr, e->address);
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static size_t keep_some(char *data, size_t size, size_t count, void *arg)
{
	struct errand *e = arg;
	size_t len = size * count, room = e->courier->options.limit - e->body.len;

	e->received += len;
	if (e->received > ANSWER_MAX)
		return 0;
	buf_add(&e->body, data, MIN(len, room));
	return buf_error(&e->body) ? 0 : len;
}

/* What holds for every errand. */
static bool set_up_errand(struct errand *e)
{
	const struct courier_options *o = &e->courier->options;
	CURL *c = e->curl;
	bool ok = !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");

	ok = ok && !curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_PROXY, "");
	ok = ok && !curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	/* One connection to a server that takes many requests on it, rather than many that begin at the same time. */
	ok = ok && !curl_easy_setopt(c, CURLOPT_PIPEWAIT, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	/* Else who ends an errand waits for the name server that it waited for. */
	ok = ok && !curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, o->connect_ms);
	ok = ok && !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, o->total_ms);
	ok = ok && !curl_easy_setopt(c, CURLOPT_USERAGENT, "regfs/" REGFS_VERSION);
	ok = ok && !curl_easy_setopt(c, CURLOPT_ERRORBUFFER, e->why);
	ok = ok && !curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	ok = ok && !curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, e);
	ok = ok && !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep_some);
	ok = ok && !curl_easy_setopt(c, CURLOPT_WRITEDATA, e);
	return ok && !curl_easy_setopt(c, CURLOPT_PRIVATE, e);
}

/* A handle has one answer (see renew()); connections are the courier's, and stay. */
static struct errand *errand_new(struct courier *c)
{
	struct errand *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->courier = c;
	buf_init(&e->body);
	e->curl = curl_easy_init();
	if (!e->curl || !set_up_errand(e)) {
		errand_free(e);
		return NULL;
	}
	return e;
}

static void errand_end(struct courier *c, struct errand *e)
{
	struct errand **at = &c->going;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	curl_multi_remove_handle(c->multi, e->curl);
	errand_free(e);
}

int courier_new(const struct courier_options *options, struct courier **out, struct err *err)
{
	auto_courier struct courier *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	c->options = *options;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(c->multi = curl_multi_init()))
		return err_set(err, ERR_INTERNAL, "libcurl can't be used");
	*out = steal(&c);
	return 0;
}

void courier_free(struct courier *c)
{
	while (c->going)
		errand_end(c, c->going);
	if (c->multi)
		curl_multi_cleanup(c->multi);
	free(c);
}

static bool add_headers(struct errand *e, const char *const *headers)
{
	bool ok = (e->headers = curl_slist_append(NULL, "Expect:")) != NULL;

	for (; ok && *headers; headers++)
		ok = curl_slist_append(e->headers, *headers) != NULL;
	return ok;
}

static bool prepare_errand(struct errand *e, const struct courier_post *post)
{
	struct curl_blob ca = { .data = (void *)(uintptr_t)post->ca, .len = post->ca ? strlen(post->ca) : 0, .flags = CURL_BLOB_COPY };
	CURL *c = e->curl;
	bool ok = add_headers(e, post->headers) && !curl_easy_setopt(c, CURLOPT_HTTPHEADER, e->headers);

	ok = ok && !curl_easy_setopt(c, CURLOPT_URL, post->url);
	ok = ok && !curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, post->ca ? &ca : NULL);
	/* Which libcurl would go on to believe. */
	if (ok && post->ca)
		ok = !curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	ok = ok && !curl_easy_setopt(c, CURLOPT_POST, 1L);
	ok = ok && !curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len);
	return ok && !curl_easy_setopt(c, CURLOPT_POSTFIELDS, post->body);
}

/* Sends it off, the first time or to where it was sent on. */
static bool send_off(struct courier *c, struct errand *e)
{
	buf_reset(&e->body);
	e->received = 0;
	e->refused = false;
	*e->why = *e->address = '\0';
	return !curl_multi_add_handle(c->multi, e->curl);
}

int courier_post(struct courier *c, const struct courier_post *post, courier_fn *fn, void *arg, struct err *err)
{
	struct errand *e = errand_new(c);
	bool ok;

	if (!e)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	e->fn = fn;
	e->arg = arg;
	e->redirections = 0;
	e->next = c->going;
	c->going = e;
	e->begun = timestamp_monotonic();
	ok = prepare_errand(e, post) && send_off(c, e);
	if (ok)
		return 0;
	errand_end(c, e);
	return err_set(err, ERR_INTERNAL, "libcurl can't be used");
}

/* Whether two URLs have one scheme, host and port. */
static bool same_server(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
	CURLU *one = curl_url(), *two = curl_url();
	bool same = one && two && !curl_url_set(one, CURLUPART_URL, a, 0) && !curl_url_set(two, CURLUPART_URL, b, 0);

	for (size_t i = 0; same && i < ARRAY_SIZE(parts); i++) {
		char *x = NULL, *y = NULL;

		same = !curl_url_get(one, parts[i], &x, CURLU_DEFAULT_PORT) && !curl_url_get(two, parts[i], &y, CURLU_DEFAULT_PORT) &&
		       strcasecmp(x, y) == 0;
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(one);
	curl_url_cleanup(two);
	return same;
}

/* As errand_new() says; what was set stays. */
static bool renew_handle(struct errand *e)
{
	CURL *same = curl_easy_duphandle(e->curl);

	if (!same)
		return false;
	curl_easy_cleanup(e->curl);
	e->curl = same;
	return true;
}

/* Milliseconds of what an errand may take in all. */
static long time_left(const struct errand *e)
{
	return MAX(1L, e->courier->options.total_ms - (long)((timestamp_monotonic() - e->begun) / 1000000));
}

/* true: it is on its way again, to where the server sent it. `why` becomes the reason where it isn't. */
static bool follow(struct courier *c, struct errand *e, char *why, size_t size)
{
	char *to = NULL, *from = NULL;
	auto_free char *next = NULL;

	curl_easy_getinfo(e->curl, CURLINFO_REDIRECT_URL, &to);
	curl_easy_getinfo(e->curl, CURLINFO_EFFECTIVE_URL, &from);
	if (!to)
		return false;
	if (!from || !same_server(from, to)) {
		snprintf(why, size, "it sends on to %.200s, another server: name that one, if it is the one", to);
		return false;
	}
	if (e->redirections++ == REDIRECTIONS) {
		snprintf(why, size, "it sends on more than %d times", REDIRECTIONS);
		return false;
	}
	next = strdup(to);
	curl_multi_remove_handle(c->multi, e->curl);
	return next && renew_handle(e) && !curl_easy_setopt(e->curl, CURLOPT_URL, next) &&
	       !curl_easy_setopt(e->curl, CURLOPT_TIMEOUT_MS, time_left(e)) && send_off(c, e);
}

static void describe_failure(const struct errand *e, CURLcode code, char *why, size_t size)
{
	if (e->received > ANSWER_MAX)
		snprintf(why, size, "it answers with more than %d bytes", ANSWER_MAX);
	else if (e->refused)
		snprintf(why, size, "%s is no public address: --hook-allow allows others", *e->address ? e->address : "it");
	else
		snprintf(why, size, "%s", *e->why ? e->why : curl_easy_strerror(code));
}

static void finish(struct courier *c, struct errand *e, CURLcode code)
{
	char why[512] = "";
	struct courier_answer a = { .why = why, .retry_after = -1, .refused = code && e->refused };
	curl_off_t after = 0;
	long status = 0;

	if (code) {
		describe_failure(e, code, why, sizeof(why));
	} else {
		if (follow(c, e, why, sizeof(why)))
			return;
		curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
		if (!status && !*why)
			snprintf(why, sizeof(why), "it answers without a status");
		if (!curl_easy_getinfo(e->curl, CURLINFO_RETRY_AFTER, &after) && after > 0)
			a.retry_after = after;
	}
	a.nanoseconds = timestamp_monotonic() - e->begun;
	a.status = (int)status;
	a.body = e->body.data;
	a.len = e->body.len;
	e->fn(e->arg, &a);
	errand_end(c, e);
}

static bool take_finished(struct courier *c)
{
	bool any = false;
	int left;
	CURLMsg *m;

	while ((m = curl_multi_info_read(c->multi, &left))) {
		CURLcode code = m->data.result;
		char *e = NULL;

		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &e) || !e)
			continue;
		finish(c, (struct errand *)(void *)e, code);
		any = true;
	}
	return any;
}

int courier_run(struct courier *c, int fd, int timeout_ms, struct err *err)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int running;
	CURLMcode code = curl_multi_perform(c->multi, &running);

	if (!code && !take_finished(c)) {
		code = curl_multi_poll(c->multi, &extra, fd < 0 ? 0 : 1, timeout_ms, NULL);
		if (!code)
			code = curl_multi_perform(c->multi, &running);
		take_finished(c);
	}
	return code ? err_set(err, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(code)) : 0;
}

void courier_wake(struct courier *c)
{
	curl_multi_wakeup(c->multi);
}
