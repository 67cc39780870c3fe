/*
 * token.h: signed tokens (RFC 7519), and the keys that sign them.
 *
 * A token says who was recognized and what it is for; it is verified without looking anything up, and what may be done is asked in
 * each operation all the same. Its header is {"alg","kid","typ":"JWT"}; its claims are
 *
 *	iss	"regfs"
 *	aud	who takes it: the service, or for one that gets new tokens "<service>/token"
 *	sub	the name, "" for nobody in particular; uid: the principal's row, 0 for nobody
 *	tid	the row of the token that the login came by; 0: none
 *	iat, nbf, exp	seconds since 1970
 *	scope	scopes as text; not there: not limited
 *	stamp	what must not have changed since (fs/tree/login.h); not there: nothing
 *
 * and nothing else: a token with another member was not made here.
 *
 * Keys stand in a PEM file: the first signs and is a private one, all verify. One that a later reading of the file lacks goes on
 * verifying for TOKEN_SECONDS, until what it signed has expired. The key decides the algorithm, never the token: ES256 for EC keys
 * on P-256, RS256 for RSA keys. A key's `kid` is the SHA-256 of its public half.
 */
#ifndef REGFS_TOKEN_H
#define REGFS_TOKEN_H

#include "fs/base/buf.h"
#include "fs/base/err.h"
#include "fs/base/limits.h"

#define TOKEN_SECONDS 300			/* what a token is good for */
#define TOKEN_REFRESH_SECONDS (30 * 86400)	/* the same of one that gets new tokens */
#define TOKEN_STAMP_LEN 32

struct token_claims {
	char name[LIMIT_PRINCIPAL + 1];
	int64_t subject, token;
	int64_t issued, expires;	/* seconds since 1970 */
	char stamp[TOKEN_STAMP_LEN + 1];	/* "": none */
	char *scopes;			/* owned; NULL: not limited */
};
void token_claims_release(struct token_claims *c);
#define auto_token_claims CLEANUP(token_claims_release)

struct token_keys;	/* may be used by several threads */

/* make: if there is no such file, makes it, mode 0600, with a new EC key. ERR_ARGUMENT names what is wrong with it. */
int token_keys_open(const char *path, bool make, struct token_keys **out, struct err *err) MUST_CHECK;
/* Reads the file again. If it can't be used nothing changes. */
int token_keys_reload(struct token_keys *k, struct err *err) MUST_CHECK;
void token_keys_free(struct token_keys *k);
DEFINE_CLEANUP(cleanup_token_keys, struct token_keys *, token_keys_free)
#define auto_token_keys CLEANUP(cleanup_token_keys)

/* Appends the token. `audience` is at most LIMIT_PUBLIC_URL bytes. */
int token_sign(struct token_keys *k, const char *audience, const struct token_claims *claims, struct buf *out,
	       struct err *err) MUST_CHECK;
/* `now` in seconds since 1970. ERR_UNAUTHORIZED, whatever is wrong with it; *out is empty then. The caller releases *out. */
int token_verify(struct token_keys *k, const char *audience, const char *text, int64_t now, struct token_claims *out,
		 struct err *err) MUST_CHECK;
/* What token_verify() makes of a payload whose signature is right. */
int token_read_claims(const char *json, size_t len, const char *audience, int64_t now, struct token_claims *out,
		      struct err *err) MUST_CHECK;

#endif
