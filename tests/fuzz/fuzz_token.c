/*
 * fuzz_token.c: a token, or the payload of one (behind a '{' nothing is checked but the claims). What is taken must be what it says.
 */
#include "fs/base/base.h"
#include "fs/auth/token.h"

#include <assert.h>

#define NOW 1700000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct token_keys *keys(void)
{
	static struct token_keys *k;
	char path[64];

	if (k)
		return k;
	snprintf(path, sizeof(path), "/tmp/regfs-fuzz-token.%d", (int)getpid());
	if (token_keys_open(path, true, &k, NULL))
		abort();
	unlink(path);
	return k;
}

/* What was read, signed and verified, is the same. */
static void check(const struct token_claims *c)
{
	auto_token_claims struct token_claims back = { .scopes = NULL };
	auto_buf struct buf text = BUF_INIT;

	assert(c->expires > NOW && c->subject >= 0 && strlen(c->name) <= LIMIT_PRINCIPAL);
	assert(!c->scopes || strlen(c->scopes) <= LIMIT_TOKEN_SCOPES);
	/* Escapes may make it too long. */
	if (token_sign(keys(), "here", c, &text, NULL))
		return;
	assert(!token_verify(keys(), "here", text.data, NOW, &back, NULL));
	assert(streq(back.name, c->name) && back.subject == c->subject && back.token == c->token && back.issued == c->issued &&
	       back.expires == c->expires && streq(back.stamp, c->stamp) && !back.scopes == !c->scopes &&
	       (!c->scopes || streq(back.scopes, c->scopes)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_token_claims struct token_claims claims = { .scopes = NULL };
	auto_free char *text = malloc(size + 1);
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (size && *data == '{') {
		if (!token_read_claims(text, size, "here", NOW, &claims, &err))
			check(&claims);
		else
			assert(err.reason == ERR_UNAUTHORIZED && !claims.scopes && !claims.name[0]);
		return 0;
	}
	/* Nobody but this process can sign one. */
	assert(token_verify(keys(), "here", text, NOW, &claims, &err) && err.reason == ERR_UNAUTHORIZED && !claims.scopes);
	return 0;
}
