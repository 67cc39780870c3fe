/*
 * cors.h: which web pages' scripts may read our answers (the Fetch standard, "CORS protocol").
 *
 * Knows nothing of libmicrohttpd, so that it can be fuzzed alone.
 */
#ifndef REGFS_CORS_H
#define REGFS_CORS_H

#include "fs/base/err.h"

struct cors;

/* "*", or origins (scheme://host[:port]) with commas or blanks between them. NULL or "": *out is
 * NULL. ERR_ARGUMENT names the one that isn't an origin. */
int cors_new(const char *origins, struct cors **out, struct err *err) MUST_CHECK;
void cors_free(struct cors *c);

/* What Access-Control-Allow-Origin says to that Origin; lives as long as `c`. NULL: nothing. */
const char *cors_match(const struct cors *c, const char *origin);
/* Whether the answer depends on who asks. */
bool cors_varies(const struct cors *c);

DEFINE_CLEANUP(cleanup_cors, struct cors *, cors_free)
#define auto_cors CLEANUP(cleanup_cors)

#endif
