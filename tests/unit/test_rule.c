/*
 * test_rule.c: rules that tags match. Expected answers are regcomp(3)'s where it knows the expression; what it takes for ever
 * about costs no more here than another.
 */
#include "fs/base/base.h"
#include "fs/auth/rule.h"
#include "fs/base/timestamp.h"
#include "tests/unit/tap.h"

#include <regex.h>

static const struct {
	const char *rules, *tag;
	const char *rule;	/* that it matches; NULL: none */
} matches[] = {
	{ "", "v1", NULL },
	{ "*", "v1", "*" },
	{ "v*", "v1", "v*" },
	{ "v*", "v", "v*" },
	{ "v*", "1v", NULL },
	{ "v*", "V1", NULL },
	{ "v?", "v12", NULL },
	{ "1.4", "1.4", "1.4" },
	{ "1.4", "1x4", NULL },
	{ "*-*-rc", "a-b-c-rc", "*-*-rc" },
	{ "* !latest", "latest", NULL },
	{ "* !latest", "1.4", "*" },
	{ "!latest *", "latest", NULL },
	{ "!latest", "1.4", NULL },
	{ "a b  c ", "c", "c" },
	{ "  a  ", "a", "a" },
	{ "/v[0-9]+\\.[0-9]+/", "v1.42", "/v[0-9]+\\.[0-9]+/" },
	{ "/v[0-9]+\\.[0-9]+/", "v1.42-rc", NULL },
	{ "* !/.*-(rc|dev)[0-9]*/", "1.0-rc2", NULL },
	{ "* !/.*-(rc|dev)[0-9]*/", "1.0", "*" },
};

static const struct {
	const char *rules, *why;
} bad[] = {
	{ "!", "empty" },
	{ "//", "empty" },
	{ "/", "ends with /" },
	{ "/a", "ends with /" },
	{ "v* /(/", "has no )" },
	{ "/a)/", "has no (" },
	{ "/[a/", "has no ]" },
	{ "/[z-a]/", "before it begins" },
	{ "/[[:digit:]]/", "between brackets" },
	{ "/a{2}/", "write it out" },
	{ "/(a{1,255}){1,255}/", "write it out" },
	{ "/(a)\\1/", "would mean something" },
	{ "/a\\/", "would mean something" },
	{ "/^a/", "without ^" },
	{ "/a$/", "without ^" },
	{ "/*/", "nothing stands" },
	{ "/a**/", "behind another" },
	{ "/((((((((((((((((((((a))))))))))))))))))))/", "too deep" },
	{ "a,b", "letters, digits" },
	{ "a\tb", "letters, digits" },
	{ "[a]", "letters, digits" },
	{ "!!a", "letters, digits" },
};

/* Made of pieces, so that many come together. */
static const char *const pieces[] = { "a", "b", "ab", ".", "[ab]", "[^a]", "(a|b)", "(a*b)", "(|a)", "a*", "b+", "(ab)?", "(a|ab)*", "\\." };
static const char *const tags[] = { "a", "b", "ab", "aab", "abab", "bb", "c", "a.b", "aaaa", "bab", "abc" };

static void compare(const char *expression)
{
	char whole[256], mine[256], rule[LIMIT_VALUE + 1];
	regex_t theirs;

	snprintf(whole, sizeof(whole), "^(%s)$", expression);
	snprintf(mine, sizeof(mine), "/%s/", expression);
	if (regcomp(&theirs, whole, REG_EXTENDED | REG_NOSUB))
		return;
	if (!is_int(rules_check(mine, NULL), 0, "%s", mine))
		return regfree(&theirs);
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		bool want = regexec(&theirs, tags[i], 0, NULL, 0) == 0;

		if (rules_match(mine, tags[i], rule) != want)
			ok(false, "%s matches %s as regcomp(3) has it", mine, tags[i]);
	}
	regfree(&theirs);
}

static void test_against_libc(void)
{
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		for (size_t j = 0; j < ARRAY_SIZE(pieces); j++) {
			snprintf(text, sizeof(text), "%s%s", pieces[i], pieces[j]);
			compare(text);
			snprintf(text, sizeof(text), "(%s|%s)+", pieces[i], pieces[j]);
			compare(text);
			snprintf(text, sizeof(text), "x|%s(%s)*%s", pieces[j], pieces[i], pieces[j]);
			compare(text);
		}
}

/* What makes others try for years. */
static void test_hostile(void)
{
	static const char *const hostile[] = {
		"/(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*(a*)*b/",
		"/(((((((((((((a|a)*)*)*)*)*)*)*)*)*)*)*)*)b/",
		"/(a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?)*(.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*)*c/",
		"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
	};
	char tag[LIMIT_TAG + 1], rule[LIMIT_VALUE + 1], stars[LIMIT_VALUE + 2];

	memset(tag, 'a', LIMIT_TAG);
	tag[LIMIT_TAG] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		int64_t begin = timestamp_now();

		is_int(rules_check(hostile[i], NULL), 0, "%s", hostile[i]);
		ok(!rules_match(hostile[i], tag, rule), "doesn't match");
		begin = timestamp_now() - begin;
		ok(begin < 50000000, "and says so in %" PRId64 " us", begin / 1000);
	}
	memset(stars, '*', sizeof(stars));
	stars[LIMIT_VALUE] = '\0';
	ok(!rules_check(stars, NULL) && rules_match(stars, tag, rule), "the longest text");
	stars[LIMIT_VALUE] = '*';
	char longer[LIMIT_VALUE + 2];

	snprintf(longer, sizeof(longer), "%.*s", LIMIT_VALUE + 1, stars);
	is_int(rules_check(longer, NULL), -EINVAL, "one longer");
}

int main(void)
{
	char rule[LIMIT_VALUE + 1];
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(matches); i++) {
		bool found;

		is_int(rules_check(matches[i].rules, &err), 0, "\"%s\" are rules %s", matches[i].rules, err.text);
		found = rules_match(matches[i].rules, matches[i].tag, rule);
		is_str(found ? rule : "none", matches[i].rule ? matches[i].rule : "none", "and %s matches", matches[i].tag);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(rules_check(bad[i].rules, &err), -EINVAL, "\"%s\" aren't", bad[i].rules);
		ok(strstr(err.text, bad[i].why) != NULL, "because: %s", err.text);
	}
	test_against_libc();
	test_hostile();
	return done_testing();
}
