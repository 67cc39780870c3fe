/*
 * credentials.h: what a client shows, as texts: the Authorization header, a form, the scopes that it asks for.
 *
 * Knows nothing of libmicrohttpd nor of who there is, so that it can be fuzzed alone.
 */
#ifndef REGFS_CREDENTIALS_H
#define REGFS_CREDENTIALS_H

#include "fs/base/buf.h"
#include "fs/base/err.h"
#include "fs/base/limits.h"

/* Secrets are in it: overwritten when it is freed. */
struct credentials {
	enum {
		SHOWN_PASSWORD,	/* a name, and a password or a token's secret */
		SHOWN_BEARER,	/* a signed token, or a token's secret; the name is "" */
		SHOWN_REFRESH,	/* a signed token that gets others; the name is "" */
	} kind;
	const char *name, *secret;	/* in text */
	size_t size;
	char text[];
};
int credentials_new(const char *name, const char *secret, struct credentials **out, struct err *err) MUST_CHECK;
void credentials_free(struct credentials *c);
DEFINE_CLEANUP(cleanup_credentials, struct credentials *, credentials_free)
#define auto_credentials CLEANUP(cleanup_credentials)

/* RFC 7617's Basic, RFC 6750's Bearer. ERR_UNAUTHORIZED where it can't be understood; the text never stands in the error. */
int credentials_parse(const char *header, struct credentials **out, struct err *err) MUST_CHECK;

/* application/x-www-form-urlencoded; strings point into the text that was parsed. */
struct form {
	size_t count;
	struct {
		const char *key, *value;
	} fields[LIMIT_QUERY];
};
/* Decodes `text` in its place. ERR_REQUEST_INVALID; values never stand in the error. */
int form_parse(char *text, struct form *out, struct err *err) MUST_CHECK;
/* The first value of that key, or NULL. */
const char *form_get(const struct form *f, const char *key);

/*
 * Scopes that are asked for: Docker's, by blanks ('+' is one, for a query). fn is called for each that could be granted: a
 * repository, or NULL for the registry itself, with the actions as a set. What isn't understood is left out, as Docker wants it: a
 * type or an action of others', a name that can't be one, more than LIMIT_SCOPES. A non-zero answer of fn ends it and is returned.
 */
struct wanted {
	bool catalog;		/* registry:catalog:*, which everyone may have */
	const char *repo;	/* or NULL */
	unsigned actions;
};
typedef int wanted_fn(void *arg, const struct wanted *wanted);
int wanted_each(const char *scopes, size_t *left, wanted_fn *fn, void *arg);

/* Whether a text can be a repository's name: its signs, its length. */
bool wanted_name_ok(const char *name);
/* "registry.example.org:5000": its signs, its length. */
bool authority_ok(const char *text);

#endif
