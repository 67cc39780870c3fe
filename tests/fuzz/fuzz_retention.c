/*
 * fuzz_retention.c: retention rules, and behind the first NUL tags, a line each: whatever is decided, for each of them it is.
 */
#include "fs/base/base.h"
#include "fs/upkeep/retention.h"

#include <assert.h>

#define TAGS 64
#define DAY (INT64_C(86400) * 1000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_tags(char *text, struct retention_tag *tags)
{
	size_t n = 0;

	for (char *end; n < TAGS && *text; text = end) {
		size_t len = strcspn(text, "\n");

		end = text + len + (text[len] != '\0');
		text[MIN(len, (size_t)LIMIT_TAG)] = '\0';
		tags[n] = (struct retention_tag){ .name = text, .moved = (int64_t)n * DAY, .pulled = n % 3 ? 0 : (int64_t)n * DAY,
						  .expires = n % 7 == 6 ? DAY : 0, .immutable = n % 11 == 10 ? "v*" : NULL };
		n++;
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_retention struct retention *rules = NULL;
	auto_free char *text = malloc(size + 2);
	struct retention_tag tags[TAGS];
	struct err err = ERR_INIT;
	size_t n;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = text[size + 1] = '\0';
	if (retention_parse(text, &rules, &err)) {
		assert(err.reason == ERR_ARGUMENT && err.text[0]);
		return 0;
	}
	n = read_tags(text + strlen(text) + 1 - (strlen(text) == size + 1), tags);
	assert(retention_decide(rules, tags, n, 20 * DAY, &err) == 0);
	for (size_t i = 0; i < n; i++) {
		assert(tags[i].why[0]);
		assert(!tags[i].immutable || tags[i].keep);
		assert(tags[i].immutable || !tags[i].expires || !tags[i].keep);
	}
	return 0;
}
