/*
 * body.h: an upload's bytes on their way from the connection to the tree.
 */
#ifndef REGFS_BODY_H
#define REGFS_BODY_H

#include "httpd/request.h"

/* Chained to a request by body_new(); freed with it by body_free(). */
struct body {
	struct request *request;
	struct tree_upload *file;	/* NULL until it is open */
	char id[TREE_UPLOAD_ID_MAX + 1];
	bool whole;		/* one request is all of it: begun by the writer, cancelled if it fails */
	bool committed;
	struct digest digest;	/* what it shall be; DIGEST_NONE: a chunk */
	int64_t announced;	/* bytes by Content-Range; -1: not said */
	int64_t received;	/* used by the connection's thread only */
	char *rest;		/* a small body, for the finishing job to write; set by body_end() */
	size_t rest_len;
	struct work_job job;	/* the writer */
	struct work_job hash_job;	/* the hasher */

	/* Guarded by httpd.lock. */
	struct piece *filling;	/* being filled by the connection's thread */
	bool copying;		/* that thread is at it, without the lock */
	struct piece *first, **last;	/* full, to be written in this order */
	struct piece *written, **last_written;	/* to be hashed in this order */
	unsigned held;		/* pieces of this upload, anywhere */
	bool wants;		/* suspended until one of its own pieces is written */
	bool writing;		/* the writer is submitted or runs */
	bool hashing;		/* the hasher is submitted or runs */
	bool ended;		/* no more bytes come */
	bool failed;		/* err says why; what still comes is dropped */
	struct body *next, **link;	/* in httpd.bodies */
	struct err err;
};

int body_new(struct request *r, struct body **out, struct err *err) MUST_CHECK;
/* For a job: closes the upload, and cancels one that nobody could go on with. */
void body_close(struct body *b);
void body_free(struct body *b);
/* For a job: begins the upload of a whole blob, if the writer hasn't. */
int body_open(struct body *b, struct err *err) MUST_CHECK;
/* For a job, once: all that was received is written, or this is why not. */
int body_settle(struct body *b, struct err *err) MUST_CHECK;

mhd_result body_receive(struct body *b, const char *data, size_t *len);
/* The body is complete: submits the request's finish() when all is written. With httpd.lock. */
void body_end(struct body *b);
/* The connection is gone before the body's end: what has arrived is still written. */
void body_abandon(struct body *b);

void buffers_init(struct httpd *h);
void buffers_release(struct httpd *h);

#endif
