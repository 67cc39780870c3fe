/*
 * test_size.c: numbers, of bytes too, as people write them.
 */
#include "fs/base/base.h"
#include "fs/base/size.h"
#include "tests/unit/tap.h"

static const struct {
	const char *text;
	int64_t bytes;
} good[] = {
	{ "0", 0 },
	{ "4096", 4096 },
	{ "12B", 12 },
	{ "500k", 500000 },
	{ "500K", 500000 },
	{ "500kB", 500000 },
	{ "20M", 20000000 },
	{ "1GB", 1000000000 },
	{ "1Ki", 1024 },
	{ "64KiB", 65536 },
	{ "10GiB", INT64_C(10737418240) },
	{ "2TiB", INT64_C(2199023255552) },
	{ "9223372036854775807", INT64_MAX },
	{ "9223372T", INT64_C(9223372000000000000) },
};

static const char *const bad[] = {
	"",	"k",   "-1",  "+1",   " 1",   "1 k",   "1.5G",		     "1kb",	 "1Bk",
	"1kk",	"1iB", "1i",  "1GiBB", "0x10", "1P",   "9223372036854775808", "9223373T", "8388608TiB",
};

static const char *const no_numbers[] = {
	"", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.0", "9223372036854775808", "99999999999999999999999",
};

static void test_numbers(void)
{
	int64_t n = -1;

	ok(number_parse("0", 0, &n) && n == 0, "0 is a number");
	ok(!number_parse("0", 1, &n), "and less than 1");
	ok(number_parse("0042", 1, &n) && n == 42, "0042 is 42");
	ok(number_parse("9223372036854775807", 1, &n) && n == INT64_MAX, "the greatest");
	for (size_t i = 0; i < ARRAY_SIZE(no_numbers); i++)
		ok(!number_parse(no_numbers[i], INT64_MIN, &n), "\"%s\" is no number", no_numbers[i]);
}

int main(void)
{
	char text[SIZE_TEXT_MAX + 1];
	int64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		n = -1;
		ok(size_parse(good[i].text, &n), "\"%s\" is one", good[i].text);
		is_int(n, good[i].bytes, "its bytes");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(!size_parse(bad[i], &n), "\"%s\" is none", bad[i]);
	test_numbers();
	is_str(size_text(999, text), "999 B", "bytes");
	is_str(size_text(74800000, text), "74.8 MB", "megabytes");
	return done_testing();
}
