/*
 * outbound.h: HTTP to other servers.
 *
 * One server a handle, whose connection is kept between requests; one thread at a time. A server's certificate must verify, for
 * the name in the URL. No redirection is followed, so that nothing that was meant for one server reaches another: who
 * gets one is told where it leads. An answer has a maximum that the caller names. Nothing is retried.
 *
 * The environment's proxies (https_proxy, no_proxy) are used, as curl(1) does.
 *
 * The second half is for many requests at once, to servers that others named: struct courier.
 */
#ifndef REGFS_OUTBOUND_H
#define REGFS_OUTBOUND_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

struct outbound;

struct outbound_options {
	const char *url;	/* "https://registry.example.org:5000": outbound_url_check() */
	const char *ca_file;	/* PEM: whom to believe, instead of the system's list; NULL: that */
	const char *user;	/* Basic; NULL: nobody. Never sent in the clear, but to this machine: ERR_USAGE */
	const char *password;
};

/* Copies what it needs. ERR_ARGUMENT: the URL or the file. */
int outbound_open(const struct outbound_options *options, struct outbound **out, struct err *err) MUST_CHECK;
void outbound_close(struct outbound *o);
DEFINE_CLEANUP(cleanup_outbound, struct outbound *, outbound_close)
#define auto_outbound CLEANUP(cleanup_outbound)

/* http:// or https://, a host, perhaps a port, perhaps a slash, and nothing else. ERR_ARGUMENT. */
int outbound_url_check(const char *url, struct err *err) MUST_CHECK;
/* Where the host begins in one that was checked, and how long host and port are. */
const char *outbound_host(const char *url, size_t *len);

struct outbound_request {
	const char *method;	/* "GET", "POST" */
	const char *path;	/* "/v2/", escaped */
	const char *type;	/* Content-Type of the body; NULL: there is none */
	const char *body;
	size_t len;
	size_t limit;		/* bytes of the answer at most: beyond that ERR_SIZE_INVALID */
};

#define OUTBOUND_TYPE_MAX 127
struct outbound_answer {
	int status;
	char type[OUTBOUND_TYPE_MAX + 1];	/* Content-Type, "" if it has none; cut off */
	struct buf body;
};
void outbound_answer_release(struct outbound_answer *a);
#define auto_outbound_answer CLEANUP(outbound_answer_release)
#define OUTBOUND_ANSWER_INIT { .body = BUF_INIT }

/* 0 whatever the status is but a redirection. ERR_IO: no answer, and why. *answer is emptied first. */
int outbound_ask(struct outbound *o, const struct outbound_request *request, struct outbound_answer *answer,
		 struct err *err) MUST_CHECK;

/* ---- Many at once, to servers that aren't ours ---- */

/*
 * Bodies are posted to URLs that somebody else wrote down. So the address that a connection goes to is looked at, whatever name it
 * has and however often that changes: only public ones and those allowed (address.h). No proxy is used, since it would
 * connect to where we may not. Certificates are verified. A redirection is followed within the same scheme, host and port, a
 * few times, with the body; any other is a failure. HTTP/2 where the server offers it in TLS.
 *
 * One thread uses a courier; courier_wake() may be called by any, also from a signal handler.
 */
struct courier;
struct address_ranges;

struct courier_options {
	long connect_ms, total_ms;	/* how long a connection, and all of a request, may take */
	const struct address_ranges *allowed;	/* besides public addresses; borrowed; NULL: none */
	size_t limit;			/* bytes of an answer that are kept; the rest is thrown away */
};

int courier_new(const struct courier_options *options, struct courier **out, struct err *err) MUST_CHECK;
/* What is on its way is given up, without an answer. */
void courier_free(struct courier *c);
DEFINE_CLEANUP(cleanup_courier, struct courier *, courier_free)
#define auto_courier CLEANUP(cleanup_courier)

/* http:// or https://, a host, perhaps a port, path and query; no user, no fragment. ERR_ARGUMENT. */
int courier_url_check(const char *url, struct err *err) MUST_CHECK;
struct courier_post {
	const char *url;
	const char *const *headers;	/* "Name: value"; NULL at the end */
	const char *body;
	size_t len;
	const char *ca;		/* PEM: whom to believe, instead of the system's list; NULL: that */
};

struct courier_answer {
	int status;		/* 0: there was none, and `why` says so */
	const char *why;	/* "" */
	bool refused;		/* it would have gone to an address that isn't allowed */
	int64_t nanoseconds;	/* from the beginning to the end */
	int64_t retry_after;	/* seconds, as the server wants it; -1: it doesn't say */
	const char *body;	/* as much as is kept, NUL-terminated */
	size_t len;
};
/* Once for each post, from within courier_run(). What the answer points to lives until it returns. */
typedef void courier_fn(void *arg, const struct courier_answer *answer);
/* Begins one. url, headers and ca are copied or used at once; the body is borrowed until fn was called. */
int courier_post(struct courier *c, const struct courier_post *post, courier_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Goes on with all of them; returns when something ended, when `fd` (-1: none) can be read, when woken, or after `timeout_ms`. */
int courier_run(struct courier *c, int fd, int timeout_ms, struct err *err) MUST_CHECK;
void courier_wake(struct courier *c);

#endif
