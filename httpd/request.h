/*
 * request.h: one request's life inside the HTTP front; shared by the files of httpd/.
 *
 *	            begin()                    end of the body         completed
 *	[target] ─────────────> [body arrives] ───────────────> [answered] ─────> freed
 *	                           │      ^           │     ^
 *	                 no buffer │      │ a buffer  │     │ finish() made the answer
 *	                           v      │           v     │
 *	                         [suspended]        [suspended, a job runs]
 *
 * Which thread: begin() and what arrives run in libmicrohttpd's thread of the connection, and must
 * not block. finish() runs there, too, for an inline operation, else on the pool of jobs while the
 * connection is suspended.
 *
 * A request is counted by who may still touch it: libmicrohttpd until it has completed, each job
 * that was submitted for it until that has run. libmicrohttpd's memory (headers, the connection) is
 * used in begin() only, or while the count of libmicrohttpd is known to be held: never by a job.
 *
 * Lock order: httpd.lock, then libmicrohttpd's own (suspend, resume), or the pools' own (submit).
 */
#ifndef REGFS_REQUEST_H
#define REGFS_REQUEST_H

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/limits.h"
#include "fs/base/work.h"
#include "fs/tree/tree.h"
#include "httpd/httpd.h"
#include "httpd/route.h"

/* An earlier version of libmicrohttpd has int, with the same values. */
typedef enum MHD_Result mhd_result;

struct request;
struct body;	/* body.h */
struct gather;	/* manifest.c */
struct call;	/* fs/tree/call.h */
struct credentials;	/* credentials.h */
struct token_form;	/* token.c */
struct verified;	/* fs/auth/verified.h */
struct watch;	/* watch.h */

/* What a route does. */
struct operation {
	/* At the first call, before the body: checks, prepares for the body. An answer made here
	 * stands. May be NULL. */
	void (*begin)(struct request *r);
	/* Makes the answer, when the whole body is there. */
	void (*finish)(struct request *r);
	/* Whose thread runs finish(). LOGINS: that of passwords, if there is one to check, else as READS. */
	enum { INLINE, READS, COMMITS, LOGINS } kind;
};

/* Requests that wait for something, first come, first served. Guarded by httpd.lock. */
struct waiters {
	struct request *first, **last;
};

struct piece {
	struct piece *next;
	size_t len;
	char *data;		/* LIMIT_UPLOAD_BUFFER bytes, or NULL: given back to the system */
};

struct httpd {
	struct tree *tree;
	bool open;
	struct cors *cors;	/* NULL: no other site's scripts */
	struct tls *tls;	/* NULL: plain HTTP */
	struct address_ranges *proxies;	/* NULL: nobody speaks for others */
	char *public_url;	/* "", or what stands before the path in Location */
	struct MHD_Daemon *daemon;
	struct work *jobs;	/* operations that may wait for a disk to read */
	struct work *commits;	/* those that wait until something is on the disk */
	struct work *writers;	/* uploads' bytes on their way to the tree */
	struct watch *watch;	/* requests that wait for events */
	struct work *logins;	/* passwords that are checked: they take a processor for tens of milliseconds */
	struct token_keys *keys;	/* NULL with --open, as what follows */
	struct verified_cache *verified;
	struct throttle *throttle;	/* who guesses passwords */
	char *service;		/* what tokens are for */
	struct MHD_Response *base, *front;	/* prepared answers */
	char *address;

	atomic_size_t call_memory;	/* bytes of answers to calls that are being made or sent (api.c) */
	atomic_uint active;	/* requests that have begun and not completed */
	atomic_bool stopping;	/* no new ones */

	pthread_mutex_t lock;
	pthread_cond_t quiet;		/* active may have become 0 */
	bool closing;			/* guarded by lock: nothing may be suspended any more */
	struct request *suspended;	/* guarded by lock */

	/* Upload buffers (body.c); all guarded by lock. */
	struct piece pieces[LIMIT_UPLOAD_BUFFERS];
	struct piece *spare;		/* not in use; those that have memory stand first */
	unsigned spare_memory;		/* how many of those have memory */
	unsigned queued;		/* pieces that a writer or a hasher has or will have */
	struct waiters piece_waiters;
	struct body *bodies;		/* those that hold or want pieces */

	unsigned logins_waiting;	/* guarded by lock */

	/* Manifests that are arriving (manifest.c); guarded by lock. */
	size_t manifest_memory;
	struct waiters manifest_waiters;
};

struct headers {
	const char *content_length, *content_type, *content_range, *transfer_encoding;
	const char *range, *if_range, *if_none_match, *expect, *origin, *authorization, *host;
	bool malformed;		/* one that may come once came twice, or a name isn't one */
	int64_t length;		/* of the body; -1: chunked, not known */
};

struct request {
	struct httpd *httpd;
	struct MHD_Connection *connection;
	const struct operation *operation;	/* NULL: none was found */
	struct MHD_Response *response;		/* the answer, when there is one */
	unsigned status;
	bool borrowed;		/* the response is owned elsewhere */
	bool begun;
	bool known;		/* the client has that content already: If-None-Match */
	const char *origin;	/* for Access-Control-Allow-Origin, the server's; or NULL */
	bool submitted;		/* the job that runs finish() */
	struct work *pool;	/* which runs it, if not by the operation's kind */
	bool entering;		/* the job that finds out who asks was submitted, before anything else */
	bool bearer;		/* a token was shown */
	bool secure;		/* the client speaks HTTPS, to us or to a proxy */
	struct verified *who;	/* who asks; NULL: nobody in particular */
	struct credentials *shown;	/* by which that is found out */
	struct token_form *form;	/* the body goes there: POST /token */
	atomic_uint references;
	struct work_job job;

	/* Guarded by httpd.lock. */
	bool suspended;
	bool finished;		/* the job has made the answer */
	bool entered;		/* the job has found out who asks, or made the answer */
	struct request *next, **link;	/* in httpd.suspended */
	struct request *next_waiter;

	struct tree_image *image;	/* whose bytes the answer sends */
	struct body *body;		/* the body goes there, */
	struct gather *gather;		/* or there, or is dropped */
	const struct call *call;	/* of ROUTE_CALL */
	bool waits;		/* finish() made no answer: it is run again when there are events */
	int64_t watch_until;	/* timestamp_monotonic(); 0: nothing was said yet */
	int64_t watch_last;	/* the last event that was looked at */
	uint64_t watch_epoch;
	struct headers headers;		/* valid in begin() and in an inline finish() */
	struct route route;
	char from[INET6_ADDRSTRLEN];	/* the client's address; with --open "" for what doesn't block */
	struct digest shown_key;	/* of the Authorization header, in httpd.verified */
	char authority[LIMIT_AUTHORITY + 1];	/* how the client calls us, unchecked; "" where --public-url says it */
	size_t target_len;		/* as it arrived; beyond LIMIT_URI it isn't stored */
	const char *target_at;		/* where libmicrohttpd has it */
	char target[];
};

/* Who asks. What it points to lives as long as the request. */
struct cred request_cred(const struct request *r);
/* The client's address, from the connection or from a proxy that is believed; once. */
void request_note_address(struct request *r);

/* Both with httpd.lock held. false: the server is closing, the connection must be dropped. */
bool request_suspend(struct request *r) MUST_CHECK;
void request_resume(struct request *r);

void request_hold(struct request *r);
void request_release(struct request *r);
/* Runs finish(), in a job, and ends the suspension. Takes a reference of the caller's. */
void request_run(struct request *r);
/* Submits finish() as a job; the connection is suspended. */
void request_submit(struct request *r);
/* The pool for a password that is shown, or for none; NULL: too many wait. With httpd.lock; login_done() gives the place back. */
struct work *login_pool(struct httpd *h, const struct credentials *shown);
void login_done(struct httpd *h, const struct credentials *shown);

void waiters_init(struct waiters *w);
void waiters_add(struct waiters *w, struct request *r);
struct request *waiters_take(struct waiters *w);	/* or NULL */

/* ---- Operations, by file ---- */

void blob_get(struct request *r);
void blob_head_begin(struct request *r);
void blob_head(struct request *r);
void blob_delete(struct request *r);

void list_catalog(struct request *r);
void list_tags(struct request *r);

void referrers_list(struct request *r);

void manifest_get(struct request *r);
void manifest_put_begin(struct request *r);
void manifest_put(struct request *r);
void manifest_delete(struct request *r);
mhd_result gather_receive(struct request *r, const char *data, size_t *len);
void gather_free(struct httpd *h, struct gather *g);
/* For another operation with a body that is gathered: for its begin(), and (borrowed) for its finish(). */
int gather_new(struct request *r, struct err *err) MUST_CHECK;
int gather_whole(const struct gather *g, const char **data, size_t *len, struct err *err) MUST_CHECK;

void api_begin(struct request *r);
void api_call(struct request *r);

void token_get_begin(struct request *r);
void token_post_begin(struct request *r);
mhd_result token_receive(struct request *r, const char *data, size_t *len);
/* The form is there: finds out what is shown. An answer made here stands. */
void token_ready(struct request *r);
void token_issue(struct request *r);
void token_form_free(struct token_form *f);

void upload_post_begin(struct request *r);
void upload_post(struct request *r);
void upload_patch_begin(struct request *r);
void upload_patch(struct request *r);
void upload_put_begin(struct request *r);
void upload_put(struct request *r);
void upload_status(struct request *r);
void upload_cancel(struct request *r);

#endif
