/*
 * test_auth.c: actions, patterns, scopes, names of principals, secrets and passwords.
 */
#include "fs/base/base.h"
#include "fs/auth/action.h"
#include "fs/auth/cred.h"
#include "fs/auth/password.h"
#include "fs/auth/pattern.h"
#include "fs/auth/principal.h"
#include "fs/auth/secret.h"
#include "tests/unit/tap.h"

/* ---- Actions ---- */

static void test_actions(void)
{
	static const struct {
		const char *text, *shown, *role;
	} good[] = {
		{ "pull", "pull", "reader" },
		{ "reader", "pull", "reader" },
		{ "push,pull", "pull,push", "writer" },
		{ "writer,delete", "pull,push,delete", "maintainer" },
		{ "maintainer", "pull,push,delete", "maintainer" },
		{ "owner", "pull,push,delete,admin", "owner" },
		{ "*", "pull,push,delete,admin", "owner" },
		{ "push", "push", NULL },
		{ "pull,pull", "pull", "reader" },
	};
	static const char *const bad[] = { "", ",", "pull,", ",pull", "Pull", "pul", "pulls", "pull push", "write", "pull;push" };
	char text[ACTIONS_TEXT_MAX + 1];
	struct err err = ERR_INIT;
	unsigned actions;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		is_int(actions_parse(good[i].text, &actions, &err), 0, "%s: actions %s", good[i].text, err.text);
		is_str(actions_format(actions, text), good[i].shown, "%s: as shown", good[i].text);
		is_str(actions_role(actions), good[i].role, "%s: its role", good[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(actions_parse(bad[i], &actions, &err), -EINVAL, "\"%s\": %s", bad[i], err.text);
	is_str(actions_format(0, text), "", "none");
}

/* ---- Patterns ---- */

static void test_patterns(void)
{
	static const char *const good[] = { "a", "a/b", "shop/*", "shop/**", "*", "**", "*/b", "a/*/c", "a/*/**" };
	static const char *const bad[] = { "", "/", "a/", "/a", "a//b", "a*", "a/b*", "a/**/b", "**/a", "***", "a/***", "A",
					   "a/../b", "_tags", "a/_tags", "a b", "a?", "a/[b]" };
	static const struct {
		const char *pattern, *name;
		bool matches;
	} matches[] = {
		{ "shop/web", "shop/web", true },	 { "shop/web", "shop/web2", false },
		{ "shop/web", "shop", false },		 { "shop/web", "shop/web/x", false },
		{ "shop/*", "shop/web", true },		 { "shop/*", "shop", false },
		{ "shop/*", "shop/web/x", false },	 { "shop/*", "shopping/web", false },
		{ "shop/**", "shop/web", true },	 { "shop/**", "shop/web/x/y", true },
		{ "shop/**", "shop", false },		 { "shop/**", "shopping/web", false },
		{ "*", "shop", true },			 { "*", "shop/web", false },
		{ "**", "shop", true },			 { "**", "shop/web/x", true },
		{ "*/web", "shop/web", true },		 { "*/web", "web", false },
		{ "a/*/c", "a/b/c", true },		 { "a/*/c", "a/b/d", false },
		{ "a/*/c", "a/c", false },		 { "a/*/**", "a/b/c", true },
		{ "a/*/**", "a/b", false },
	};
	static const struct {
		const char *pattern, *inner;
		bool covers;
	} covers[] = {
		{ "**", "**", true },	     { "**", "a/**", true },	 { "a/**", "**", false },
		{ "a/**", "a/b/**", true },  { "a/**", "a/*", true },	 { "a/*", "a/**", false },
		{ "a/*", "a/*", true },	     { "a/*", "a/b", true },	 { "a/b", "a/*", false },
		{ "a/b/**", "a/**", false }, { "*", "**", false },	 { "*/b", "a/b", true },
		{ "*/*", "a/*", true },	     { "a/*", "*/*", false },	 { "a", "a/b", false },
	};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(pattern_check(good[i], &err), 0, "%s is a pattern %s", good[i], err.text);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(pattern_check(bad[i], &err), -EINVAL, "\"%s\" is none", bad[i]);
	for (size_t i = 0; i < ARRAY_SIZE(matches); i++)
		is_int(pattern_match(matches[i].pattern, matches[i].name), matches[i].matches, "%s: %s", matches[i].pattern,
		       matches[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(covers); i++)
		is_int(pattern_covers(covers[i].pattern, covers[i].inner), covers[i].covers, "%s covers %s",
		       covers[i].pattern, covers[i].inner);
	is_int((int)pattern_depth("a/*/c") * 10 + (int)pattern_depth("**"), 30, "depths");
	is_int((int)pattern_literal("shop/*"), 5, "what is before the wildcard");
}

static void test_pattern_limit(void)
{
	char text[LIMIT_NAME + 2];

	memset(text, 'a', sizeof(text));
	text[LIMIT_NAME] = '\0';
	is_int(pattern_check(text, NULL), 0, "a pattern of LIMIT_NAME bytes");
	text[LIMIT_NAME] = 'a';
	text[LIMIT_NAME + 1] = '\0';
	is_int(pattern_check(text, NULL), -EINVAL, "one more");
}

/* ---- Scopes ---- */

static void test_scopes(void)
{
	static const char *const bad[] = { "repository", "repository:a", "repository:a:", "repository::pull", "repository:A:pull",
					   "repository:a:fly", "registry:x:*", "plugin:a:pull", "a:b:c", "repository:a/**/b:pull" };
	auto_scopes struct scopes *s = NULL, *none = NULL;
	struct err err = ERR_INIT;

	is_int(scopes_parse(" repository:shop/web:pull,push  repository:shop/*:pull registry:catalog:*", &s, &err), 0,
	       "three scopes %s", err.text);
	is_int((int)scopes_count(s), 3, "are three");
	is_int((int)scopes_allow(s, "shop/web"), ACTION_PULL | ACTION_PUSH, "both that match count");
	is_int((int)scopes_allow(s, "shop/other"), ACTION_PULL, "one matches");
	is_int((int)scopes_allow(s, "centos"), 0, "none matches");
	is_int((int)scopes_allow(s, NULL), ACTION_PULL, "the catalog");
	is_int(scopes_parse("", &none, &err), 0, "none at all");
	is_int((int)scopes_allow(none, "shop/web") + (int)scopes_allow(none, NULL), 0, "allow nothing");
	scopes_free(none);
	none = NULL;
	is_int(scopes_parse("registry:*:*", &none, &err), 0, "the registry");
	is_int((int)scopes_allow(none, NULL), ACTIONS_ALL, "is administered");
	is_int((int)scopes_allow(none, "shop/web"), 0, "its repositories aren't meant");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct scopes *no = NULL;

		is_int(scopes_parse(bad[i], &no, &err), -EINVAL, "%s: %s", bad[i], err.text);
	}
}

static void test_scope_limit(void)
{
	auto_buf struct buf b = BUF_INIT;
	struct scopes *s = NULL;

	for (int i = 0; i < LIMIT_SCOPES; i++)
		buf_addf(&b, " repository:a%d:pull", i);
	is_int(scopes_parse(b.data, &s, NULL), 0, "LIMIT_SCOPES scopes");
	scopes_free(s);
	buf_adds(&b, " repository:b:pull");
	is_int(scopes_parse(b.data, &s, NULL), -EINVAL, "one more");
}

/* ---- Names ---- */

static void test_names(void)
{
	static const char *const good[] = { "alice", "a", "alice.b-c_d", "@developers", "+ci-robot", "0" };
	static const char *const bad[] = { "", "@", "+", "@@a", "+@a", "Alice", "alice/b", "a b", "a:b", "anonymous", "anyone",
					   "administrator", "-a", "a-", "a\n", "#a" };
	char text[LIMIT_PRINCIPAL + 2];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(principal_check(good[i], &err), 0, "%s is a name %s", good[i], err.text);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		is_int(principal_check(bad[i], &err), -EINVAL, "bad name %zu is none", i);
	is_int(principal_kind("@a") * 10 + principal_kind("+a"), PRINCIPAL_GROUP * 10 + PRINCIPAL_ROBOT, "kinds");
	memset(text, 'a', sizeof(text));
	text[LIMIT_PRINCIPAL] = '\0';
	is_int(principal_check(text, NULL) + token_name_check(text, NULL), 0, "LIMIT_PRINCIPAL bytes");
	text[LIMIT_PRINCIPAL] = 'a';
	text[LIMIT_PRINCIPAL + 1] = '\0';
	is_int(principal_check(text, NULL), -EINVAL, "one more");
	is_int(token_name_check(text, NULL), -EINVAL, "of a token, too");
	is_int(token_name_check("@a", NULL), -EINVAL, "a token's name has no sign");
}

/* ---- Secrets, passwords ---- */

/* How many of all texts that differ in one bit are taken for equal. */
static int wrongly_equal(void)
{
	unsigned char a[40] = "a secret, and what may be shown for it.", b[40];
	int wrong = 0;

	for (size_t len = 1; len <= sizeof(a); len++) {
		memcpy(b, a, sizeof(b));
		for (size_t bit = 0; bit < 8 * len; bit++) {
			b[bit / 8] ^= (unsigned char)(1 << bit % 8);
			wrong += secret_equal(a, b, len);
			b[bit / 8] ^= (unsigned char)(1 << bit % 8);
		}
		wrong += !secret_equal(a, b, len);
	}
	return wrong;
}

static void test_secrets(void)
{
	char a[SECRET_TEXT_MAX + 1], b[SECRET_TEXT_MAX + 1], p[SECRET_PASSWORD_LEN + 1], q[SECRET_PASSWORD_LEN + 1];
	struct digest da, db, again;

	is_int(secret_new(a, &da, NULL) + secret_new(b, &db, NULL), 0, "two secrets");
	ok(!streq(a, b) && !digest_equal(&da, &db), "differ");
	ok(secret_ok(a) && strlen(a) == SECRET_TEXT_MAX, "have their form");
	is_int(secret_hash(a, &again, NULL), 0, "hashed again");
	ok(digest_equal(&da, &again), "the same");
	a[10] = 'g';
	ok(!secret_ok(a) && !secret_ok("") && !secret_ok("rgs_") && !secret_ok("password"), "these haven't");
	is_int(secret_password(p, NULL) + secret_password(q, NULL), 0, "two passwords");
	ok(!streq(p, q) && strlen(p) == SECRET_PASSWORD_LEN, "differ");
	ok(secret_equal("abc", "abc", 3) && !secret_equal("abc", "abd", 3) && secret_equal("", "", 0), "are compared");
	is_int(wrongly_equal(), 0, "each bit of each byte counts, whatever the length");
	secret_forget(p, sizeof(p));
	ok(p[0] == '\0' && p[SECRET_PASSWORD_LEN - 1] == '\0', "are forgotten");
}

static void test_passwords(void)
{
	char one[PASSWORD_HASH_MAX + 1], two[PASSWORD_HASH_MAX + 1], text[LIMIT_PASSWORD + 2];
	struct err err = ERR_INIT;

	is_int(password_hash("correct horse", one, &err), 0, "hashed %s", err.text);
	is_int(password_hash("correct horse", two, NULL), 0, "and again");
	ok(starts_with(one, "$y$") && !streq(one, two), "by yescrypt, with a salt of its own");
	is_int(password_verify("correct horse", one, NULL), 1, "it is that one");
	is_int(password_verify("correct horsf", one, NULL), 0, "not another");
	is_int(password_verify("", one, NULL), 0, "not none");
	is_int(password_verify("correct horse", NULL, NULL), 0, "not nobody's");
	is_int(password_verify("correct horse", "", NULL), 0, "nor who has none");
	is_int(password_verify("x9812hd8712", NULL, NULL), 0, "not even the one that nobody's is compared with");
	ok(password_verify("correct horse", "*", NULL) <= 0, "nor by what is no hash");
	is_int(password_hash("seven77", one, &err), -EINVAL, "%s", err.text);
	memset(text, 'x', sizeof(text));
	text[LIMIT_PASSWORD] = '\0';
	is_int(password_check(text, NULL), 0, "LIMIT_PASSWORD bytes");
	text[LIMIT_PASSWORD] = 'x';
	text[LIMIT_PASSWORD + 1] = '\0';
	is_int(password_check(text, &err), -EINVAL, "%s", err.text);
	is_int(password_verify(text, two, NULL), 0, "one that is too long is nobody's");
}

static void test_creds(void)
{
	auto_scopes struct scopes *s = NULL;
	struct cred c = cred_administrator("test");

	ok(cred_is_boundless(&c), "the administrator may do everything");
	is_int(scopes_parse("", &s, NULL), 0, "scopes");
	c.scopes = s;
	ok(!cred_is_boundless(&c), "but not within scopes");
	c = cred_anonymous(NULL);
	ok(!cred_is_boundless(&c), "nor anonymous");
	c = cred_subject(7, "alice", "test");
	ok(!cred_is_boundless(&c) && c.subject == 7 && streq(c.name, "alice"), "nor who has a name");
}

int main(void)
{
	test_actions();
	test_patterns();
	test_pattern_limit();
	test_scopes();
	test_scope_limit();
	test_names();
	test_secrets();
	test_passwords();
	test_creds();
	return done_testing();
}
