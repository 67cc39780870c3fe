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
/* What may be kept: content by its digest for ever, all else as long as it is asked about. */
#define CACHE_IMMUTABLE "max-age=31536000, immutable"
#define CACHE_ASK	"no-cache"

/* Takes the response. */
void reply_response(struct request *r, unsigned status, struct MHD_Response *response);
void reply_header(struct request *r, const char *name, const char *fmt, ...) PRINTF(3, 4);
/* spec.md, "Warnings"; the text has no quotes and no backslashes. */
void reply_warning(struct request *r, const char *fmt, ...) PRINTF(2, 3);
/* 204 and Allow. */
void reply_options(struct request *r);
/* For any answer that isn't shared, just before it is given: what the Fetch standard wants. */
void reply_cors(struct request *r);
/* RFC 3986, 2.3: what isn't unreserved is escaped; a slash may stand in a query. */
void reply_add_escaped(struct buf *b, const char *s);
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
