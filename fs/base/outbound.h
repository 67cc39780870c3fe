/*
 * outbound.h: HTTP to other servers.
 *
 * One server a handle, whose connection is kept between requests; one thread at a time. A server's certificate must verify, for
 * the name in the URL. No redirection is followed, so that nothing that was meant for one server reaches another: who
 * gets one is told where it leads. An answer has a maximum that the caller names. Nothing is retried.
 *
 * The environment's proxies (https_proxy, no_proxy) are used, as curl(1) does.
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

#endif
