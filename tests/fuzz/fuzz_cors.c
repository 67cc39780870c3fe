/*
 * fuzz_cors.c: "ORIGINS\nORIGIN": a list of origins, and one that asks.
 */
#include "fs/base/base.h"
#include "httpd/cors.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	auto_cors struct cors *cors = NULL;
	struct err err = ERR_INIT;
	const char *match;
	char *origin;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	origin = strchr(text, '\n');
	if (origin)
		*origin++ = '\0';
	if (cors_new(text, &cors, &err)) {
		assert(err.reason == ERR_ARGUMENT && err.text[0] && !cors);
		return 0;
	}
	match = cors_match(cors, origin);
	assert(!match || streq(match, "*") || (streq(match, origin) && strstr(text, match)));
	assert(!match || streq(match, "*") == !cors_varies(cors));
	return 0;
}
