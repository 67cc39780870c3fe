/*
 * verified.h: who showed what, so that the second time costs nothing.
 *
 * A cache, in memory only, of what was verified: signed tokens, and logins by a password or a secret. Its keys are salted SHA-256
 * of what was shown. It remembers who somebody is, never what they may do.
 */
#ifndef REGFS_VERIFIED_H
#define REGFS_VERIFIED_H

#include <stdatomic.h>

#include "fs/auth/cred.h"
#include "fs/base/digest.h"

/* Somebody who was recognized. Never changes; counted by who uses it. The credential points to the scopes; its `from` is the
 * user's to set, in a copy. */
struct verified {
	atomic_uint holders;
	struct cred cred;
	struct scopes *scopes;	/* owned; NULL: not limited */
	int64_t until;		/* nanoseconds since 1970 */
	int64_t generation;	/* as of which it was right (fs/tree/login.h); -1: it can't become wrong */
};

/* Takes the scopes, also when it fails (NULL: out of memory). One holder: the caller. */
struct verified *verified_new(const struct cred *cred, struct scopes *scopes, int64_t until, int64_t generation);
void verified_put(struct verified *v);
DEFINE_CLEANUP(cleanup_verified, struct verified *, verified_put)
#define auto_verified CLEANUP(cleanup_verified)

struct verified_cache;	/* may be used by several threads; at most LIMIT_VERIFIED entries */
int verified_cache_new(struct verified_cache **out, struct err *err) MUST_CHECK;
void verified_cache_free(struct verified_cache *c);

/* The key of what was shown: at most LIMIT_AUTHORIZATION bytes. */
int verified_key(const struct verified_cache *c, const char *shown, size_t len, struct digest *out, struct err *err) MUST_CHECK;
/* NULL: not known, or not good any more at `now` (nanoseconds since 1970). The caller is one more holder. */
struct verified *verified_find(struct verified_cache *c, const struct digest *key, int64_t now);
/* Makes room by forgetting what expires first. */
void verified_keep(struct verified_cache *c, const struct digest *key, struct verified *v, int64_t now);

#endif
