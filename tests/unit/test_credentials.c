/*
 * test_credentials.c: the Authorization header, forms, and the scopes that are asked for.
 */
#include "fs/base/base.h"
#include "fs/auth/action.h"
#include "httpd/credentials.h"
#include "tests/unit/tap.h"

static void test_headers(void)
{
	static const struct {
		const char *header, *name, *secret;	/* name NULL: none */
	} rows[] = {
		{ "Basic YWxpY2U6c2VjcmV0", "alice", "secret" },
		{ "basic   YWxpY2U6c2VjcmV0", "alice", "secret" },
		{ "Basic YWxpY2U6Og==", "alice", ":" },
		{ "Basic Og==", "", "" },
		{ "Bearer a.b.c", "", "a.b.c" },
		{ "BEARER a~b+c/d==", "", "a~b+c/d==" },
		{ "", NULL, NULL },
		{ "Basic", NULL, NULL },
		{ "Basic ", NULL, NULL },
		{ "Basic YWxpY2U", NULL, NULL },
		{ "Basic YWxpY2U=", NULL, NULL },
		{ "Basic YQA6Yg==", NULL, NULL },
		{ "Basic YWxpY2U6c2VjcmV0 x", NULL, NULL },
		{ "Bearer", NULL, NULL },
		{ "Bearer ", NULL, NULL },
		{ "Bearer a b", NULL, NULL },
		{ "Bearer a,b", NULL, NULL },
		{ "Digest x", NULL, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_credentials struct credentials *c = NULL;
		struct err err = ERR_INIT;
		int r = credentials_parse(rows[i].header, &c, &err);

		if (!rows[i].name) {
			ok(r && !c && err.reason == ERR_UNAUTHORIZED, "\"%s\" is none", rows[i].header);
			continue;
		}
		if (ok(!r && c, "\"%s\" is taken", rows[i].header)) {
			is_str(c->name, rows[i].name, "its name");
			is_str(c->secret, rows[i].secret, "its secret");
		}
	}
}

static void test_header_limit(void)
{
	char header[LIMIT_AUTHORIZATION + 2] = "Bearer ";
	auto_credentials struct credentials *longest = NULL, *longer = NULL;

	memset(header + 7, 'x', LIMIT_AUTHORIZATION + 1 - 7);
	header[LIMIT_AUTHORIZATION + 1] = '\0';
	ok(credentials_parse(header, &longer, NULL) == -EACCES, "a byte too long");
	header[LIMIT_AUTHORIZATION] = '\0';
	ok(!credentials_parse(header, &longest, NULL), "the longest");
}

static void test_forms(void)
{
	static const struct {
		const char *text, *key, *value;	/* value NULL: refused; key NULL: nothing is in it */
	} rows[] = {
		{ "a=b", "a", "b" },	 { "x=1&a=b&a=c", "a", "b" }, { "a", "a", "" },		 { "a=", "a", "" },
		{ "a=b=c", "a", "b=c" }, { "a=b+c%2Bd%26", "a", "b c+d&" }, { "%61=%C3%A9", "a", "\xc3\xa9" }, { "&&a=b&", "a", "b" },
		{ "", NULL, "" },	 { "&&", NULL, "" },	      { "a=%", "a", NULL },	 { "a=%4", "a", NULL },
		{ "a=%zz", "a", NULL },	 { "a=%00", "a", NULL },      { "%", "a", NULL },	 { "a=%@0", "a", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = strdup(rows[i].text);
		struct form form;
		int r = form_parse(text, &form, NULL);

		if (!rows[i].value)
			is_int(r, -EINVAL, "\"%s\" is none", rows[i].text);
		else if (!rows[i].key)
			ok(!r && !form.count, "\"%s\" is empty", rows[i].text);
		else if (ok(!r, "\"%s\"", rows[i].text))
			is_str(form_get(&form, rows[i].key), rows[i].value, "its value");
	}
}

static void test_form_limit(void)
{
	auto_buf struct buf b = BUF_INIT;
	auto_free char *copy = NULL;
	struct form form;

	for (int i = 0; i < LIMIT_QUERY; i++)
		buf_adds(&b, "a=b&");
	copy = strdup(b.data);
	ok(!form_parse(copy, &form, NULL) && form.count == LIMIT_QUERY, "the most fields");
	buf_adds(&b, "a=b");
	is_int(form_parse(b.data, &form, NULL), -EINVAL, "one more");
}

static int show(void *arg, const struct wanted *w)
{
	char actions[ACTIONS_TEXT_MAX + 1];

	buf_addf(arg, "[%s %s]", w->catalog ? "catalog" : w->repo ? w->repo : "registry", actions_format(w->actions, actions));
	return 0;
}

static void test_scopes(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "" },
		{ "   ", "" },
		{ "repository:a/b:pull", "[a/b pull]" },
		{ "repository:a/b:push,pull repository:c:*", "[a/b pull,push][c pull,push,delete,admin]" },
		{ "repository:a:pull+repository:b:pull", "[a pull][b pull]" },
		{ " repository:a:pull,fly,, ", "[a pull]" },
		{ "repository(plugin):a:pull", "[a pull]" },
		{ "registry:catalog:* registry:*:*", "[catalog pull,push,delete,admin][registry pull,push,delete,admin]" },
		{ "registry:catalog:pull", "" },
		{ "registry:other:*", "" },
		{ "plugin:a:pull", "" },
		{ "repository:a", "" },
		{ "repository:a:", "" },
		{ "repository::pull", "" },
		{ "repository:a:reader", "" },
		{ "repository:a*:pull repository:**:pull repository:A:pull repository:host:5000/a:pull", "" },
		{ "::: : pull", "" },
	};
	auto_buf struct buf many = BUF_INIT, got = BUF_INIT;
	size_t left = LIMIT_SCOPES;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT;
		size_t room = LIMIT_SCOPES;

		is_int(wanted_each(rows[i].text, &room, show, &b), 0, "\"%s\"", rows[i].text);
		is_str(b.data, rows[i].want, "what is asked for");
	}
	for (int i = 0; i < LIMIT_SCOPES + 5; i++)
		buf_adds(&many, "repository:a:pull ");
	is_int(wanted_each(many.data, &left, show, &got), 0, "more than can be");
	is_int((int64_t)got.len, LIMIT_SCOPES * (int64_t)strlen("[a pull]"), "are cut");
}

static void test_names(void)
{
	char name[LIMIT_NAME + 2];

	memset(name, 'a', sizeof(name));
	name[LIMIT_NAME + 1] = '\0';
	ok(!wanted_name_ok(name), "a name too long");
	name[LIMIT_NAME] = '\0';
	ok(wanted_name_ok(name), "the longest");
	ok(!wanted_name_ok("") && !wanted_name_ok("a\"b") && !wanted_name_ok("a*"), "no names");
	ok(authority_ok("registry.example.org:5000") && authority_ok("[::1]:5000"), "hosts");
	ok(!authority_ok("") && !authority_ok("a\"") && !authority_ok("a/b") && !authority_ok("user@host"), "none");
}

int main(void)
{
	test_headers();
	test_header_limit();
	test_forms();
	test_form_limit();
	test_scopes();
	test_names();
	return done_testing();
}
