/*
 * test_size.c: numbers of bytes as people write them.
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
	is_str(size_text(999, text), "999 B", "bytes");
	is_str(size_text(74800000, text), "74.8 MB", "megabytes");
	return done_testing();
}
