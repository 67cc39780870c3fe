/*
 * fuzz_range.c: "SIZE HEADER" as a Range, and HEADER as a Content-Range.
 */
#include "fs/base/base.h"
#include "httpd/range.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	int64_t start = -1, len = -1, content;
	enum range_answer answer;
	char *header, *end;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	content = (int64_t)(strtoull(text, &header, 10) & INT64_MAX);
	if (*header == ' ')
		header++;
	answer = range_parse(header, content, &start, &len);
	assert(answer == RANGE_WHOLE || answer == RANGE_PART || answer == RANGE_UNSATISFIABLE);
	assert((answer == RANGE_PART) == (start >= 0));
	if (answer == RANGE_PART)
		assert(len > 0 && start < content && len <= content - start);
	if (content_range_parse(header, &start, &len))
		assert(start >= 0 && len > 0 && start <= INT64_MAX - len);
	return 0;
}
