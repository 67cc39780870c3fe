/*
 * test_base64.c: RFC 4648's own examples, and texts that aren't one.
 */
#include "fs/base/base.h"
#include "fs/base/base64.h"
#include "tests/unit/tap.h"

static void test_examples(void)
{
	static const struct {
		const char *plain, *text;
		enum base64_alphabet alphabet;
	} rows[] = {
		{ "", "", BASE64 },		 { "f", "Zg==", BASE64 },	  { "fo", "Zm8=", BASE64 },
		{ "foo", "Zm9v", BASE64 },	 { "foob", "Zm9vYg==", BASE64 },  { "foobar", "Zm9vYmFy", BASE64 },
		{ "\xfb\xff\xbe", "+/++", BASE64 }, { "", "", BASE64_URL },	  { "f", "Zg", BASE64_URL },
		{ "fo", "Zm8", BASE64_URL },	 { "foo", "Zm9v", BASE64_URL },	  { "\xfb\xff\xbe", "-_--", BASE64_URL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);
		auto_buf struct buf b = BUF_INIT;
		char out[BASE64_DECODED_MAX(16) + 1];
		ssize_t n = base64_decode(rows[i].alphabet, rows[i].text, len, out);

		base64_add(&b, rows[i].alphabet, rows[i].plain, strlen(rows[i].plain));
		is_str(b.data, rows[i].text, "\"%s\" encodes", rows[i].text);
		if (is_int(n, (int64_t)strlen(rows[i].plain), "\"%s\" decodes", rows[i].text)) {
			out[n] = '\0';
			is_str(out, rows[i].plain, "\"%s\" decodes to what it was", rows[i].text);
		}
	}
}

static void test_refused(void)
{
	static const struct {
		const char *text;
		enum base64_alphabet alphabet;
	} rows[] = {
		{ "Z", BASE64 },    { "Zg", BASE64 },	    { "Zg=", BASE64 },	   { "Zh==", BASE64 },	  { "Zm9=", BASE64 },
		{ "=", BASE64 },    { "====", BASE64 },	    { "Z===", BASE64 },	   { "Zg==Zg==", BASE64 }, { "Zm 9", BASE64 },
		{ "-_--", BASE64 }, { "Z", BASE64_URL },    { "Zg==", BASE64_URL }, { "Zh", BASE64_URL },  { "+/++", BASE64_URL },
		{ "Zm9", BASE64_URL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char out[BASE64_DECODED_MAX(16)];

		is_int(base64_decode(rows[i].alphabet, rows[i].text, strlen(rows[i].text), out), -EINVAL, "\"%s\" is none",
		       rows[i].text);
	}
}

int main(void)
{
	test_examples();
	test_refused();
	return done_testing();
}
