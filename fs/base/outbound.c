/*
 * outbound.c: HTTP to other servers, over libcurl.
 *
 * The only file that includes libcurl; its conventions end here.
 */
#include "fs/base/base.h"
#include "fs/base/outbound.h"

#include <curl/curl.h>

#include "fs/base/limits.h"

struct outbound {
	CURL *curl;
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
	bool ok = add_header(o, "Expect:");	/* bodies are small: nothing is won by asking first */

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
	if (curl_global_init(CURL_GLOBAL_DEFAULT) || !(o->curl = curl_easy_init()) || !set_up(o))
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
	if (!prepare(o, request, url, headers, &receiving))
		return err_set(err, ERR_INTERNAL, "libcurl can't be used");
	code = curl_easy_perform(o->curl);
	return code ? failed(o, &receiving, code, err) : take_answer(o, answer, err);
}
