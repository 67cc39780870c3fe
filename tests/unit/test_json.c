/*
 * test_json.c: strict reading, and writing.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/base/limits.h"
#include "tests/unit/tap.h"

static int parse(const char *text)
{
	auto_json struct json *root = NULL;
	struct err err = ERR_INIT;
	int ret = json_parse(text, strlen(text), &root, &err);

	if (ret < 0 && (root || err.reason != ERR_ARGUMENT || !err.text[0]))
		return 1;
	return ret;
}

static void test_strict(void)
{
	static const struct {
		const char *text;
		int ret;
	} rows[] = {
		{ "{}", 0 },
		{ " [1, -2, 3.5e2, \"a\", true, false, null] \n", 0 },
		{ "\"text\"", 0 },
		{ "null", 0 },
		{ "9223372036854775807", 0 },
		{ "\"\\ud83d\\ude00\"", 0 },
		{ "[\"[[[{{{\\\",,,\"]", 0 },
		{ "", -EINVAL },
		{ " ", -EINVAL },
		{ "{} {}", -EINVAL },
		{ "{}x", -EINVAL },
		{ "{\"a\":1,\"a\":2}", -EINVAL },
		{ "{\"a\":1,\"\\u0061\":2}", -EINVAL },
		{ "[{\"a\":{\"b\":1,\"b\":1}}]", -EINVAL },
		{ "\"\\u0000\"", -EINVAL },
		{ "{\"a\\u0000b\":1}", -EINVAL },
		{ "\"\\ud800\"", -EINVAL },
		{ "\"\xff\"", -EINVAL },
		{ "\"\xc0\xaf\"", -EINVAL },
		{ "\"a\nb\"", -EINVAL },
		{ "[1,]", -EINVAL },
		{ "{a:1}", -EINVAL },
		{ "{'a':1}", -EINVAL },
		{ "[01]", -EINVAL },
		{ "NaN", -EINVAL },
		{ "9223372036854775808", -EINVAL },
		{ "1e999", -EINVAL },
		{ "// x\n{}", -EINVAL },
		{ "\xef\xbb\xbf{}", -EINVAL },
		{ "[\"abc\\", -EINVAL },
		{ "]", -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		is_int(parse(rows[i].text), rows[i].ret, "row %zu", i);
}

/* `open` n times, what is innermost, `close` n times. */
static int parse_nested(const char *open, const char *inner, const char *close, int n)
{
	auto_buf struct buf b = BUF_INIT;

	for (int i = 0; i < n; i++)
		buf_adds(&b, open);
	buf_adds(&b, inner);
	for (int i = 0; i < n; i++)
		buf_adds(&b, close);
	return parse(b.data);
}

/* A list of n times `element`. */
static int parse_list(const char *element, int n)
{
	auto_buf struct buf b = BUF_INIT;

	for (int i = 0; i < n; i++)
		buf_addf(&b, "%s%s", i ? "," : "[ ", element);
	buf_adds(&b, " ]");
	return parse(b.data);
}

/* An object of n members, each an empty object. */
static int parse_members(int n)
{
	auto_buf struct buf b = BUF_INIT;

	for (int i = 0; i < n; i++)
		buf_addf(&b, "%s\"%d\":{}", i ? "," : "{", i);
	buf_addc(&b, '}');
	return parse(b.data);
}

static void test_limits(void)
{
	is_int(parse_nested("[", "", "]", LIMIT_JSON_DEPTH), 0, "depth: at the limit");
	is_int(parse_nested("[", "", "]", LIMIT_JSON_DEPTH + 1), -EINVAL, "one beyond");
	is_int(parse_nested("{\"a\":", "1", "}", LIMIT_JSON_DEPTH), 0, "objects: at the limit");
	is_int(parse_nested("{\"a\":", "1", "}", LIMIT_JSON_DEPTH + 1), -EINVAL, "one beyond");
	is_int(parse_nested("[", "", "", 1000000), -EINVAL, "a million brackets");
	is_int(parse_list("[]", 100), 0, "one behind the other isn't depth");

	/* The list itself is a value. */
	is_int(parse_list("1", LIMIT_JSON_VALUES - 1), 0, "values: at the limit");
	is_int(parse_list("1", LIMIT_JSON_VALUES), -EINVAL, "one beyond");
	is_int(parse_list(" [ ] ", LIMIT_JSON_VALUES - 1), 0, "empty lists");
	is_int(parse_list(" [ ] ", LIMIT_JSON_VALUES), -EINVAL, "one beyond");
	is_int(parse_members(LIMIT_JSON_VALUES - 1), 0, "members");
	is_int(parse_members(LIMIT_JSON_VALUES), -EINVAL, "one beyond");
}

static int collect(void *arg, const char *key, const struct json *value)
{
	int64_t n = 0;

	json_int(value, &n);
	buf_addf(arg, "%s=%" PRId64 ";", key, n);
	return n == 3 ? 17 : 0;
}

static void test_access(void)
{
	static const char text[] = "{\"z\":1,\"a\":2,\"s\":\"x\",\"l\":[true,5],\"n\":null,\"f\":1.0}";
	auto_json struct json *root = NULL, *stop = NULL;
	auto_buf struct buf b = BUF_INIT;
	int64_t n = -7;

	ok(!json_parse(text, strlen(text), &root, NULL), "a document");
	ok(json_is_object(root) && !json_is_array(root) && !json_is_null(root), "is an object");
	is_str(json_text(json_get(root, "s")), "x", "a string");
	is_str(json_text(json_get(root, "z")), NULL, "a number is no string");
	ok(json_int(json_get(root, "z"), &n) && n == 1, "an integer");
	ok(!json_int(json_get(root, "s"), &n) && n == 1, "a string is none");
	ok(!json_int(json_get(root, "f"), &n) && n == 1, "nor is 1.0");
	is_int((int64_t)json_count(json_get(root, "l")), 2, "a list's count");
	ok(json_bool(json_at(json_get(root, "l"), 0)), "true");
	ok(!json_bool(json_at(json_get(root, "l"), 1)), "5 isn't true");
	ok(!json_at(json_get(root, "l"), 2), "one behind the end");
	ok(json_is_null(json_get(root, "n")) && !json_is_null(json_get(root, "missing")), "null");
	ok(!json_get(NULL, "a") && !json_at(NULL, 0) && !json_text(NULL) && !json_count(NULL) &&
		   !json_bool(NULL) && !json_int(NULL, &n) && !json_is_object(NULL) &&
		   !json_each(NULL, collect, &b),
	   "NULL is of no type");
	ok(!json_get(json_get(root, "s"), "a") && !json_at(root, 0), "nor the wrong one");
	is_int(json_each(root, collect, &b), 0, "each member");
	is_str(b.data, "z=1;a=2;s=0;l=0;n=0;f=0;", "in the document's order");
	buf_reset(&b);
	ok(!json_parse("{\"a\":1,\"b\":3,\"c\":4}", 19, &stop, NULL), "another");
	is_int(json_each(stop, collect, &b), 17, "non-zero ends it");
	is_str(b.data, "a=1;b=3;", "at once");
}

static void test_write(void)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "a\"b\\c/", "\"a\\\"b\\\\c/\"" },
		{ "\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"" },
		{ "\xff", "\"\xef\xbf\xbd\"" },
		{ "a\xc3", "\"a\xef\xbf\xbd\"" },
		{ "\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};
	auto_buf struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_reset(&b);
		json_add_string(&b, rows[i].in);
		is_str(b.data, rows[i].out, "string %zu", i);
		is_int(parse(b.data), 0, "and it is JSON");
	}
	buf_reset(&b);
	json_add_stringn(&b, "a\0b", 3);
	is_str(b.data, "\"a\\u0000b\"", "a NUL");
	buf_reset(&b);
	buf_addc(&b, '{');
	json_add_key(&b, "a");
	buf_adds(&b, "[1,{");
	json_add_key(&b, "b{");
	json_add_string(&b, "{");
	json_add_key(&b, "c");
	buf_adds(&b, "1}]");
	json_add_key(&b, "d");
	buf_adds(&b, "1}");
	is_str(b.data, "{\"a\":[1,{\"b{\":\"{\",\"c\":1}],\"d\":1}", "keys and their commas");
}

int main(void)
{
	test_strict();
	test_limits();
	test_access();
	test_write();
	return done_testing();
}
