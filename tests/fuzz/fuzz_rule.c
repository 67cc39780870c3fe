/*
 * fuzz_rule.c: rules for tags, as whoever administers a repository may set them, and a tag: the first line, and the rest.
 */
#include "fs/base/base.h"
#include "fs/auth/rule.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	char rule[LIMIT_VALUE + 1], tag[LIMIT_TAG + 1] = "latest";
	struct err err = ERR_INIT;
	char *line = text ? strchr(text, '\n') : NULL;

	if (!text)
		return 0;
	if (line) {
		*line = '\0';
		snprintf(tag, sizeof(tag), "%s", line + 1);
	}
	if (rules_check(text, &err)) {
		assert(err.reason == ERR_ARGUMENT && err.text[0]);
		return 0;
	}
	/* The rule that is named is one of them, and matches by itself. */
	if (rules_match(text, tag, rule)) {
		char same[LIMIT_VALUE + 1];

		assert(*rule && *rule != '!' && strstr(text, rule));
		assert(rules_check(rule, NULL) == 0 && rules_match(rule, tag, same) && streq(rule, same));
	}
	return 0;
}
