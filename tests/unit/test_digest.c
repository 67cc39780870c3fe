/*
 * test_digest.c: content digests. The vectors are FIPS 180-4's.
 */
#include "fs/base/base.h"
#include "fs/base/digest.h"
#include "tests/unit/tap.h"

#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY_256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC_512                                                                                    \
	"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"                   \
	"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_of(void)
{
	static const struct {
		enum digest_algorithm algorithm;
		const char *data, *digest;
	} rows[] = {
		{ DIGEST_SHA256, "abc", ABC_256 },
		{ DIGEST_SHA256, "", EMPTY_256 },
		{ DIGEST_SHA512, "abc", ABC_512 },
	};
	char text[DIGEST_TEXT_MAX + 1], hex[DIGEST_HEX_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct digest d, parsed;
		size_t len = strlen(rows[i].data);

		is_int(digest_of(rows[i].algorithm, rows[i].data, len, &d, NULL), 0, "digest_of");
		is_str(digest_format(&d, text), rows[i].digest, "digest of \"%s\"", rows[i].data);
		is_str(digest_hex(&d, hex), strchr(rows[i].digest, ':') + 1, "its hex");
		is_int(digest_parse(rows[i].digest, &parsed, NULL), 0, "parse");
		ok(digest_equal(&d, &parsed), "what was formatted parses to the same");
	}
}

static void test_parse(void)
{
	static const char *const bad[] = {
		"",
		":",
		"sha256",
		"sha256:",
		"sha256:abc",
		HEX_64,
		"sha256:" HEX_64 "0",
		"SHA256:" HEX_64,
		"sha256 :" HEX_64,
		"sha25:" HEX_64,
		"sha2567:" HEX_64,
		"sha512:" HEX_64,
		"md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		" sha256:" HEX_64,
		"sha256:" HEX_64 "\n",
	};
	struct digest d, before;
	struct err err = ERR_INIT;

	memset(&d, 0x5a, sizeof(d));
	before = d;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct err)ERR_INIT;
		ok(digest_parse(bad[i], &d, &err) == -EINVAL && err.reason == ERR_DIGEST_INVALID,
		   "\"%.20s\" is no digest", bad[i]);
		ok(strstr(err.text, bad[i]), "and the error names it: %.200s", err.text);
	}
	ok(memcmp(&d, &before, sizeof(d)) == 0, "a failure leaves the result alone");
	is_int(digest_parse("sha256:" HEX_64, &d, NULL), 0, "64 digits");
	is_int((int64_t)digest_size(&d), 33, "33 bytes in the database");
	is_int(digest_parse("sha512:" HEX_64 HEX_64, &d, NULL), 0, "128 digits");
	is_int((int64_t)digest_size(&d), 65, "65 bytes in the database");
	is_int(digest_parse_hex(DIGEST_SHA256, HEX_64, &d, NULL), 0, "hex alone");
	is_int(digest_parse_hex(DIGEST_SHA512, HEX_64, &d, NULL), -EINVAL, "hex too short");
	is_int(digest_parse_hex(DIGEST_NONE, "", &d, NULL), -EINVAL, "hex of no algorithm");
	is_int(digest_parse_hex((enum digest_algorithm)9, HEX_64, &d, NULL), -EINVAL,
	       "hex of an unknown algorithm");
}

static void test_names(void)
{
	struct digest none = { .algorithm = DIGEST_NONE }, odd = { .algorithm = 200 }, a, b;
	char text[DIGEST_TEXT_MAX + 1];

	is_str(digest_algorithm_name(DIGEST_SHA256), "sha256", "the name of an algorithm");
	is_str(digest_algorithm_name(DIGEST_NONE), NULL, "none has no name");
	is_str(digest_algorithm_name((enum digest_algorithm)3), NULL, "nor has an unknown one");
	is_int(digest_algorithm_parse("sha512"), DIGEST_SHA512, "by name");
	is_int(digest_algorithm_parse("sha384"), DIGEST_NONE, "an unknown name");
	is_int(digest_algorithm_parse(""), DIGEST_NONE, "no name");
	is_int((int64_t)digest_size(&none), 1, "the size of none");
	is_int((int64_t)digest_size(&odd), 1, "of an unknown algorithm's");
	is_str(digest_format(&none, text), "", "the text of none");
	ok(digest_equal(&none, &none), "none equals none");
	ok(!digest_parse(ABC_256, &a, NULL) && !digest_parse(EMPTY_256, &b, NULL), "two digests");
	ok(!digest_equal(&a, &b) && !digest_equal(&a, &none), "that differ");
}

static void test_hasher(enum digest_algorithm algorithm, const char *want)
{
	auto_hasher struct hasher *h = NULL;
	struct digest d, whole;
	char text[DIGEST_TEXT_MAX + 1];

	is_int(hasher_new(algorithm, &h, NULL), 0, "a hasher");
	is_int(hasher_algorithm(h), algorithm, "knows its algorithm");
	ok(!hasher_update(h, NULL, 0, NULL) && !hasher_update(h, "ab", 2, NULL) &&
		   !hasher_digest(h, &d, NULL),
	   "a digest half-way");
	ok(!digest_of(algorithm, "ab", 2, &whole, NULL) && digest_equal(&d, &whole),
	   "is that of the bytes so far");
	ok(!hasher_update(h, "c", 1, NULL) && !hasher_digest(h, &d, NULL), "it goes on");
	is_str(digest_format(&d, text), want, "to the digest of all");
	ok(!hasher_digest(h, &whole, NULL) && digest_equal(&d, &whole), "asked twice: the same");
}

int main(void)
{
	auto_hasher struct hasher *h = NULL;
	struct digest d;

	test_of();
	test_parse();
	test_names();
	test_hasher(DIGEST_SHA256, ABC_256);
	test_hasher(DIGEST_SHA512, ABC_512);
	is_int(hasher_new(DIGEST_NONE, &h, NULL), -EINVAL, "a hasher of no algorithm");
	is_int(digest_of(DIGEST_NONE, "", 0, &d, NULL), -EINVAL, "a digest of no algorithm");
	return done_testing();
}
