/*
 * test_range.c: the Range and Content-Range headers.
 */
#include "fs/base/base.h"
#include "httpd/range.h"
#include "tests/unit/tap.h"

static void test_range(void)
{
	static const struct {
		const char *header;
		int64_t size;
		enum range_answer answer;
		int64_t start, len;
	} rows[] = {
		{ NULL, 10, RANGE_WHOLE, 0, 0 },
		{ "", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=0-0", 10, RANGE_PART, 0, 1 },
		{ "bytes=0-9", 10, RANGE_PART, 0, 10 },
		{ "bytes=0-10", 10, RANGE_PART, 0, 10 },
		{ "Bytes=9-", 10, RANGE_PART, 9, 1 },
		{ "bytes=0-", 10, RANGE_PART, 0, 10 },
		{ "bytes=-1", 10, RANGE_PART, 9, 1 },
		{ "bytes=-11", 10, RANGE_PART, 0, 10 },
		{ "bytes=3-99999999999999999999999", 10, RANGE_PART, 3, 7 },
		{ "bytes=-99999999999999999999999", 10, RANGE_PART, 0, 10 },
		{ "bytes=0-9223372036854775807", INT64_MAX, RANGE_PART, 0, INT64_MAX },
		{ "bytes=10-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=10-20", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=99999999999999999999999-", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-0", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-5", 0, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=2-1", 10, RANGE_UNSATISFIABLE, 0, 0 },
		{ "bytes=-", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=1", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1,3-4", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=0-1x", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=+1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes= 1-2", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes=--1", 10, RANGE_WHOLE, 0, 0 },
		{ "lines=0-1", 10, RANGE_WHOLE, 0, 0 },
		{ "bytes 0-1", 10, RANGE_WHOLE, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t start = 0, len = 0;

		is_int(range_parse(rows[i].header, rows[i].size, &start, &len), rows[i].answer,
		       "\"%s\" of %" PRId64, rows[i].header ? rows[i].header : "(none)",
		       rows[i].size);
		if (rows[i].answer != RANGE_PART)
			continue;
		ok(start == rows[i].start, "it starts where it should");
		ok(len == rows[i].len, "and is as long");
	}
}

static void test_content_range(void)
{
	static const struct {
		const char *header;
		bool good;
		int64_t start, len;
	} rows[] = {
		{ "0-0", true, 0, 1 },
		{ "5-9", true, 5, 5 },
		{ "bytes 5-9/10", true, 5, 5 },
		{ "bytes 5-9/*", true, 5, 5 },
		{ "BYTES 5-9", true, 5, 5 },
		{ "9-5", false, 0, 0 },
		{ "", false, 0, 0 },
		{ "5", false, 0, 0 },
		{ "5-", false, 0, 0 },
		{ "-5", false, 0, 0 },
		{ "5-9x", false, 0, 0 },
		{ "bytes */10", false, 0, 0 },
		{ "0-9223372036854775807", false, 0, 0 },
		{ "0-9223372036854775806", true, 0, INT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t start = 0, len = 0;

		is_int(content_range_parse(rows[i].header, &start, &len), rows[i].good, "\"%s\"",
		       rows[i].header);
		if (rows[i].good)
			ok(start == rows[i].start && len == rows[i].len, "and what it says");
	}
}

int main(void)
{
	test_range();
	test_content_range();
	return done_testing();
}
