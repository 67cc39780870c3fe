/*
 * test_timestamp.c: RFC 3339, both ways.
 */
#include "fs/base/base.h"
#include "fs/base/timestamp.h"
#include "tests/unit/tap.h"

#define S INT64_C(1000000000)

static void test_parse(void)
{
	static const struct {
		const char *text;
		int64_t t;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00.000000001Z", 1 },
		{ "1970-01-01T00:00:00.0000000019Z", 1 },
		{ "1970-01-01T00:00:01.5z", S + S / 2 },
		{ "1969-12-31T23:59:59.5Z", -S / 2 },
		{ "2026-11-23T18:07:00Z", 1795457220 * S },
		{ "2026-11-23 18:07:00Z", 1795457220 * S },
		{ "2026-11-23t19:07:00+01:00", 1795457220 * S },
		{ "2026-11-23T04:07:00-14:00", 1795457220 * S },
		{ "2024-02-29T00:00:00Z", 1709164800 * S },
		{ "2000-02-29T00:00:00Z", 951782400 * S },
		{ "2016-12-31T23:59:60Z", 1483228800 * S },
		{ "2262-04-11T23:47:16.854775807Z", INT64_MAX },
		{ "1677-09-21T00:12:44Z", -9223372036 * S },
	};
	static const char *const bad[] = {
		"",
		"2026",
		"2026-11-23",
		"2026-11-23T18:07:00",
		"2026-11-23T18:07Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-11-31T00:00:00Z",
		"2026-11-00T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-11-23T24:00:00Z",
		"2026-11-23T00:60:00Z",
		"2026-11-23T00:00:61Z",
		"2026-11-23T00:00:00.Z",
		"2026-11-23T00:00:00,5Z",
		"2026-11-23T00:00:00+0100",
		"2026-11-23T00:00:00+24:00",
		"2026-11-23T00:00:00+00:60",
		"2026-11-23T00:00:00Zx",
		" 2026-11-23T00:00:00Z",
		"-2026-11-23T00:00:00Z",
		"2262-04-11T23:47:16.854775808Z",
		"2262-04-11T23:47:17Z",
		"1677-09-21T00:12:43Z",
		"0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59Z",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		int64_t t = -1;

		ok(timestamp_parse(good[i].text, &t), "%s parses", good[i].text);
		is_int(t, good[i].t, "%s", good[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int64_t t = 42;

		ok(!timestamp_parse(bad[i], &t) && t == 42, "\"%s\" doesn't", bad[i]);
	}
}

static void test_format(void)
{
	static const struct {
		int64_t t;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ S - 1, "1970-01-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ -S, "1969-12-31T23:59:59Z" },
		{ 1795457220 * S + 999, "2026-11-23T18:07:00Z" },
		{ INT64_MAX, "2262-04-11T23:47:16Z" },
		{ INT64_MIN, "1677-09-21T00:12:43Z" },
	};
	char out[TIMESTAMP_TEXT_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		is_str(timestamp_format(rows[i].t, out), rows[i].text, "%" PRId64, rows[i].t);
}

int main(void)
{
	int64_t now = timestamp_now(), again = 0;
	char out[TIMESTAMP_TEXT_MAX + 1];

	test_parse();
	test_format();
	ok(now / S >= time(NULL) - 5 && now / S <= time(NULL) + 5, "now is now");
	ok(timestamp_parse(timestamp_format(now, out), &again), "what is formatted parses");
	is_int(again, now / S * S, "to the same second");
	return done_testing();
}
