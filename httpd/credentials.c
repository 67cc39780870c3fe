/*
 * credentials.c: see credentials.h.
 */
#include "fs/base/base.h"
#include "httpd/credentials.h"

#include <strings.h>

#include "fs/auth/cred.h"
#include "fs/base/base64.h"

#define NAME_SIGNS "abcdefghijklmnopqrstuvwxyz0123456789._-/"
#define WORD_MAX   (LIMIT_NAME + 64)	/* one scope */

/* ---- The Authorization header ---- */

int credentials_new(const char *name, const char *secret, struct credentials **out, struct err *err)
{
	size_t name_size = strlen(name) + 1, secret_size = strlen(secret) + 1;
	struct credentials *c = malloc(sizeof(*c) + name_size + secret_size);

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "no memory for a login");
	c->kind = SHOWN_PASSWORD;
	c->size = name_size + secret_size;
	c->name = memcpy(c->text, name, name_size);
	c->secret = memcpy(c->text + name_size, secret, secret_size);
	*out = c;
	return 0;
}

void credentials_free(struct credentials *c)
{
	if (!c)
		return;
	explicit_bzero(c->text, c->size);
	free(c);
}

static int refuse(struct err *err)
{
	return err_set(err, ERR_UNAUTHORIZED, "the request's Authorization can't be understood: there are Basic and Bearer");
}

static int parse_basic(const char *text, struct credentials **out, struct err *err)
{
	char plain[BASE64_DECODED_MAX(LIMIT_AUTHORIZATION) + 1];
	size_t len = strlen(text);
	ssize_t n = base64_decode(BASE64, text, len, plain);
	char *colon = n > 0 ? memchr(plain, ':', (size_t)n) : NULL;
	int r;

	if (!colon || memchr(plain, '\0', (size_t)n)) {
		r = refuse(err);
	} else {
		plain[n] = '\0';
		*colon = '\0';
		r = credentials_new(plain, colon + 1, out, err);
	}
	explicit_bzero(plain, sizeof(plain));
	return r;
}

static int parse_bearer(const char *text, struct credentials **out, struct err *err)
{
	int r;

	/* RFC 6750, 2.1: b64token. */
	if (!*text || text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=")])
		return refuse(err);
	r = credentials_new("", text, out, err);
	if (!r)
		(*out)->kind = SHOWN_BEARER;
	return r;
}

int credentials_parse(const char *header, struct credentials **out, struct err *err)
{
	static const struct {
		const char *scheme;
		int (*parse)(const char *text, struct credentials **out, struct err *err);
	} schemes[] = { { "Basic ", parse_basic }, { "Bearer ", parse_bearer } };

	*out = NULL;
	if (strnlen(header, LIMIT_AUTHORIZATION + 1) > LIMIT_AUTHORIZATION)
		return refuse(err);
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].scheme);

		if (strncasecmp(header, schemes[i].scheme, len) == 0)
			return schemes[i].parse(header + len + strspn(header + len, " "), out, err);
	}
	return refuse(err);
}

/* ---- Forms ---- */

static int hex_value(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c | (c >= 'A' ? 0x20 : 0)) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* In its place. */
static int decode(char *text, struct err *err)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low = -1;

		if (*from != '%') {
			*to++ = *from == '+' ? ' ' : *from;
			continue;
		}
		high = hex_value(from[1]);
		low = high < 0 ? -1 : hex_value(from[2]);
		if (low < 0 || !(high | low))
			return err_set(err, ERR_REQUEST_INVALID, "the form has an escape that isn't %% and two hex digits, or %%00");
		*to++ = (char)(high * 16 + low);
		from += 2;
	}
	*to = '\0';
	return 0;
}

int form_parse(char *text, struct form *out, struct err *err)
{
	char *next;

	out->count = 0;
	for (char *pair = text; pair; pair = next) {
		char *value;
		int r;

		next = strchr(pair, '&');
		if (next)
			*next++ = '\0';
		if (!*pair)
			continue;
		if (out->count == LIMIT_QUERY)
			return err_set(err, ERR_REQUEST_INVALID, "the form has more than %d fields", LIMIT_QUERY);
		value = strchr(pair, '=');
		if (value)
			*value++ = '\0';
		r = decode(pair, err);
		if (!r && value)
			r = decode(value, err);
		if (r)
			return r;
		out->fields[out->count].key = pair;
		out->fields[out->count++].value = value ? value : "";
	}
	return 0;
}

const char *form_get(const struct form *f, const char *key)
{
	for (size_t i = 0; i < f->count; i++)
		if (streq(f->fields[i].key, key))
			return f->fields[i].value;
	return NULL;
}

/* ---- Scopes ---- */

bool wanted_name_ok(const char *name)
{
	size_t len = strnlen(name, LIMIT_NAME + 1);

	return len && len <= LIMIT_NAME && strspn(name, NAME_SIGNS) == len;
}

bool authority_ok(const char *text)
{
	size_t len = strnlen(text, LIMIT_AUTHORITY + 1);

	return len && len <= LIMIT_AUTHORITY &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") == len;
}

/* Those that are known, of a list by commas; cut in place. */
static unsigned known_actions(char *list)
{
	unsigned actions = 0, one;

	for (char *next; list; list = next) {
		next = strchr(list, ',');
		if (next)
			*next++ = '\0';
		/* A role is a name of ours, no action. */
		if ((streq(list, "*") || streq(list, "pull") || streq(list, "push") || streq(list, "delete") || streq(list, "admin")) &&
		    !actions_parse(list, &one, NULL))
			actions |= one;
	}
	return actions;
}

/* "TYPE:NAME:ACTIONS", cut in place. */
static bool parse_wanted(char *text, struct wanted *out)
{
	char *name = strchr(text, ':'), *actions = name ? strrchr(name + 1, ':') : NULL;

	if (!actions)
		return false;
	*name++ = '\0';
	*actions++ = '\0';
	/* "repository(plugin)": the class doesn't matter. */
	text[strcspn(text, "(")] = '\0';
	*out = (struct wanted){ .actions = known_actions(actions) };
	if (streq(text, "registry")) {
		out->catalog = streq(name, "catalog");
		return (out->catalog || streq(name, "*")) && out->actions == ACTIONS_ALL;
	}
	out->repo = name;
	return streq(text, "repository") && wanted_name_ok(name) && out->actions;
}

int wanted_each(const char *scopes, size_t *left, wanted_fn *fn, void *arg)
{
	int r = 0;

	for (const char *p = scopes + strspn(scopes, " +"); !r && *p && *left; p += strspn(p, " +")) {
		size_t len = strcspn(p, " +");
		char word[WORD_MAX + 1];
		struct wanted wanted;

		p += len;
		if (len > WORD_MAX)
			continue;
		memcpy(word, p - len, len);
		word[len] = '\0';
		if (!parse_wanted(word, &wanted))
			continue;
		--*left;
		r = fn(arg, &wanted);
	}
	return r;
}
