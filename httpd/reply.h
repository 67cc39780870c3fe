/*
 * reply.h: answers. Each sets the request's; where there is no memory for one it stays NULL, and
 * the connection is dropped.
 */
#ifndef REGFS_REPLY_H
#define REGFS_REPLY_H

#include "httpd/request.h"

void reply_empty(struct request *r, unsigned status);
/* Takes the buffer's memory. */
void reply_text(struct request *r, unsigned status, const char *type, struct buf *text);
/* The reason's status, and the specification's JSON. */
void reply_error(struct request *r, const struct err *err);
/* Takes the response. */
void reply_response(struct request *r, unsigned status, struct MHD_Response *response);
void reply_header(struct request *r, const char *name, const char *fmt, ...) PRINTF(3, 4);
/* Docker-Content-Digest and Etag. */
void reply_digest(struct request *r, const char *digest);

/* A prepared answer with the headers that all have. */
struct MHD_Response *reply_prepare(size_t len, const char *data, enum MHD_ResponseMemoryMode mode,
				   const char *type);
/* Headers that say how many bytes there are, and no bytes: HEAD, 304. */
void reply_head(struct request *r, unsigned status, int64_t size);
/* Whether If-None-Match names that digest. */
bool reply_is_known(const struct request *r, const char *digest);

#endif
