/*
 * test_name.c: the grammar of names, tags and references.
 */
#include "fs/base/base.h"
#include "fs/base/buf.h"
#include "fs/image/name.h"
#include "tests/unit/tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX

static void test_names(void)
{
	static const char *const good[] = {
		"a", "0", "centos", "console-web", "library/centos", "a/b/c/d/e/f/g/h", "a.b",
		"a_b", "a__b", "a-b", "a--b", "a-----b", "a.b_c__d-e", "docker.io/library/centos",
		"1/2", "con", "blobs/uploads", "manifests/tags/list",
	};
	static const char *const bad[] = {
		"", "/", "a/", "/a", "a//b", ".", "..", "../a", "a/..", "a/../b", "a..b", "a.", ".a",
		"_a", "a/_tags", "_tags", "a_", "a___b", "a._b", "a.-b", "a-", "-a", "a-_b", "A",
		"a/B", "a b", "a\tb", "a\nb", "a:b", "a@b", "a%2fb", "a\\b", "caf\xc3\xa9", "\xff",
		"a+b", "a~b", "a*", "a?", "a#", "a b/c",
	};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(name_check(good[i], NULL), 0, "\"%s\" is a name", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(name_check(bad[i], &err), -EINVAL, "bad name %zu is none", i);
		ok(err.reason == ERR_NAME_INVALID && strstr(err.text, bad[i]),
		   "and the error has it in it");
	}
	ok(name_component_ok("ab/", 2) && !name_component_ok("ab/", 3) && !name_component_ok("", 0),
	   "a component has the length that was said");
}

/* "aaaa...", len of them, in a buffer of its own. */
static char *repeat(struct buf *b, size_t len)
{
	buf_reset(b);
	while (b->len < len)
		buf_addc(b, 'a');
	return b->data;
}

static void test_limits(void)
{
	auto_buf struct buf b = BUF_INIT;
	struct err err = ERR_INIT;

	is_int(name_check(repeat(&b, LIMIT_NAME), NULL), 0, "a name at the limit");
	is_int(name_check(repeat(&b, LIMIT_NAME + 1), &err), -EINVAL, "one beyond");
	ok(err.reason == ERR_NAME_INVALID && strstr(err.text, "255"), "%s", err.text);
	is_int(tag_check(repeat(&b, LIMIT_TAG), NULL), 0, "a tag at the limit");
	ok(tag_ok(b.data), "and by tag_ok()");
	is_int(tag_check(repeat(&b, LIMIT_TAG + 1), &err), -EINVAL, "one beyond");
	ok(!tag_ok(b.data) && err.reason == ERR_TAG_INVALID && strstr(err.text, "128"), "%s",
	   err.text);
}

static void test_tags(void)
{
	static const char *const good[] = { "7", "latest", "1.4", "v1.2.3-rc1_x", "_x", "__",
					    "A", "CuAb12Zz", "a..b", "a-", "a." };
	static const char *const bad[] = { "",	  ".",	  "..",	  ".a",	 "-a",	"a/b", "a:b", "a b",
					   "a@b", "a\n", "\xc3\xa9", "a+b", "a%", "a\x7f", "\xff" };
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		ok(tag_check(good[i], NULL) == 0 && tag_ok(good[i]), "\"%s\" is a tag", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ok(tag_check(bad[i], &err) == -EINVAL && !tag_ok(bad[i]), "bad tag %zu is none", i);
		ok(err.reason == ERR_TAG_INVALID && strstr(err.text, bad[i]),
		   "and the error has it in it");
	}
}

static void test_refs(void)
{
	static const struct {
		const char *text, *name, *tag, *digest;
	} good[] = {
		{ "centos", "centos", "", "" },
		{ "library/centos:7", "library/centos", "7", "" },
		{ "centos@" DIGEST, "centos", "", DIGEST },
		{ "a/b:1.4@" DIGEST, "a/b", "1.4", DIGEST },
		{ "docker.io/library/centos:7", "docker.io/library/centos", "7", "" },
	};
	static const struct {
		const char *text;
		enum reason reason;
	} bad[] = {
		{ "", ERR_USAGE },
		{ ":7", ERR_USAGE },
		{ "@" DIGEST, ERR_USAGE },
		{ "localhost:5000/centos", ERR_USAGE },
		{ "localhost:5000/centos:7", ERR_USAGE },
		{ "[::1]:5000/centos", ERR_USAGE },
		{ "Centos", ERR_NAME_INVALID },
		{ "a//b:1", ERR_NAME_INVALID },
		{ "a/:1", ERR_NAME_INVALID },
		{ "a:", ERR_TAG_INVALID },
		{ "a:@" DIGEST, ERR_TAG_INVALID },
		{ "a:b:c", ERR_TAG_INVALID },
		{ "a:.b", ERR_TAG_INVALID },
		{ "a@", ERR_DIGEST_INVALID },
		{ "a@sha256:abc", ERR_DIGEST_INVALID },
		{ "a@" DIGEST "@" DIGEST, ERR_DIGEST_INVALID },
	};
	char digest[DIGEST_TEXT_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct ref ref;

		memset(&ref, 0x5a, sizeof(ref));
		is_int(ref_parse(good[i].text, &ref, NULL), 0, "%s", good[i].text);
		is_str(ref.name, good[i].name, "its name");
		is_str(ref.tag, good[i].tag, "its tag");
		is_str(digest_format(&ref.digest, digest), good[i].digest, "its digest");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ref ref;
		struct err err = ERR_INIT;

		is_int(ref_parse(bad[i].text, &ref, &err), -EINVAL, "\"%.40s\"", bad[i].text);
		is_int((int)err.reason, (int)bad[i].reason, "%s", err.text);
		is_int(err_row(err.reason)->exit_status, 2, "is wrong usage");
	}
}

static void test_ref_limits(void)
{
	static const struct {
		size_t name, tag;
		int ret;
	} rows[] = {
		{ LIMIT_NAME, LIMIT_TAG, 0 },
		{ LIMIT_NAME + 1, LIMIT_TAG, -EINVAL },
		{ LIMIT_NAME, LIMIT_TAG + 1, -EINVAL },
		{ 100000, 1, -EINVAL },
		{ 1, 100000, -EINVAL },
	};
	auto_buf struct buf text = BUF_INIT, part = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ref ref;

		buf_reset(&text);
		buf_adds(&text, repeat(&part, rows[i].name));
		buf_addc(&text, ':');
		buf_adds(&text, repeat(&part, rows[i].tag));
		buf_adds(&text, "@" DIGEST);
		is_int(ref_parse(text.data, &ref, NULL), rows[i].ret, "name of %zu, tag of %zu",
		       rows[i].name, rows[i].tag);
	}
}

static void test_paths(void)
{
	static const struct {
		const char *text, *name, *tag, *path;
	} good[] = {
		{ "a", "a", "", NULL },
		{ "a/b:1.0", "a/b", "1.0", NULL },
		{ "a:/etc/x", "a", "", "/etc/x" },
		{ "a:1:/etc/x", "a", "1", "/etc/x" },
		{ "a:1:etc/x", "a", "1", "etc/x" },
		{ "a:1:", "a", "1", "" },
		{ "a:/x:y@z", "a", "", "/x:y@z" },
		{ "a:1:x@y:z", "a", "1", "x@y:z" },
		{ "a@" DIGEST, "a", "", NULL },
		{ "a@" DIGEST ":/x:y", "a", "", "/x:y" },
		{ "a:1@" DIGEST ":x", "a", "1", "x" },
	};
	static const char *const bad[] = { "", ":/x", "a:x/y", "h:5000/a:1", "h:5000/a:1:/x", "a@sha256:/x", "a::/x", "a@x" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const char *path = "unset";
		struct ref ref;

		is_int(ref_path_parse(good[i].text, &ref, &path, NULL), 0, "%s", good[i].text);
		is_str(ref.name, good[i].name, "its name");
		is_str(ref.tag, good[i].tag, "its tag");
		is_str(path ? path : "none", good[i].path ? good[i].path : "none", "its path");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *path;
		struct ref ref;

		is_int(ref_path_parse(bad[i], &ref, &path, NULL), -EINVAL, "\"%s\"", bad[i]);
	}
}

int main(void)
{
	test_paths();
	test_names();
	test_limits();
	test_tags();
	test_refs();
	test_ref_limits();
	return done_testing();
}
