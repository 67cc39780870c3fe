/*
 * test_cors.c: lists of origins.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"
#include "fs/base/limits.h"
#include "httpd/cors.h"
#include "tests/unit/tap.h"

static void test_match(void)
{
	static const struct {
		const char *origins, *origin, *match;
	} rows[] = {
		{ NULL, "https://a.example", NULL },
		{ "", "https://a.example", NULL },
		{ "*", "https://a.example", "*" },
		{ "*", NULL, NULL },
		{ "https://a.example", "https://a.example", "https://a.example" },
		{ "https://a.example", "https://a.example:8443", NULL },
		{ "https://a.example", "http://a.example", NULL },
		{ "https://a.example", "https://b.a.example", NULL },
		{ "https://a.example", "null", NULL },
		{ "https://a.example, http://localhost:3000", "http://localhost:3000",
		  "http://localhost:3000" },
		{ " https://a.example  https://b.example ", "https://b.example",
		  "https://b.example" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_cors struct cors *c = NULL;
		struct err err = ERR_INIT;

		is_int(cors_new(rows[i].origins, &c, &err), 0, "\"%s\"",
		       rows[i].origins ? rows[i].origins : "(none)");
		is_str(cors_match(c, rows[i].origin), rows[i].match, "and \"%s\"",
		       rows[i].origin ? rows[i].origin : "(none)");
	}
}

static void test_refused(void)
{
	static const char *const rows[] = { "a.example", "https://a.example/", "https://A.example",
					    "ftp://a.example", "https://", "null" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		struct cors *c;

		ok(cors_new(rows[i], &c, &err) < 0 && err.reason == ERR_ARGUMENT, "\"%s\" is refused",
		   rows[i]);
		ok(strstr(err.text, rows[i]) != NULL, "by name");
	}
}

static void test_limit(void)
{
	auto_buf struct buf list = BUF_INIT;
	struct err err = ERR_INIT;
	struct cors *c = NULL;

	for (int i = 0; i < LIMIT_CORS_ORIGINS; i++)
		buf_addf(&list, "https://a%d ", i);
	is_int(cors_new(list.data, &c, &err), 0, "as many as can be");
	cors_free(c);
	buf_adds(&list, "https://one.more");
	ok(cors_new(list.data, &c, &err) < 0, "one more can't");
}

int main(void)
{
	test_match();
	test_refused();
	test_limit();
	return done_testing();
}
