/*
 * fuzz_json.c: JSON documents, read and walked; and any bytes written as a string.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/base/limits.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	size_t depth, values;
};

static int walk(void *arg, const char *key, const struct json *v)
{
	struct walk *w = arg;
	int64_t n;

	assert(key && v);
	w->values++;
	assert(w->values <= LIMIT_JSON_VALUES);
	if (json_is_object(v) || json_is_array(v)) {
		w->depth++;
		assert(w->depth <= LIMIT_JSON_DEPTH);
		for (size_t i = 0; i < json_count(v); i++)
			walk(w, "", json_at(v, i));
		json_each(v, walk, w);
		w->depth--;
	}
	assert(!json_at(v, json_count(v)));
	/* A value is of one type at most. */
	assert(json_is_object(v) + json_is_array(v) + json_is_null(v) + json_bool(v) +
		       json_int(v, &n) + !!json_text(v) <=
	       1);
	return 0;
}

/* What is written as a string can be read, and is the same if it was UTF-8. */
static void check_string(const char *data, size_t size)
{
	auto_buf struct buf b = BUF_INIT, again = BUF_INIT;
	auto_json struct json *v = NULL;
	const char *text;
	size_t len = strnlen(data, size);

	json_add_stringn(&b, data, len);
	if (buf_error(&b))
		return;
	assert(json_parse(b.data, b.len, &v, NULL) == 0);
	text = json_text(v);
	assert(text && strlen(text) >= len);
	assert(strlen(text) != len || memcmp(text, data, len) == 0);
	json_add_string(&again, text);
	assert(again.len == b.len && memcmp(again.data, b.data, b.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_json struct json *root = NULL;
	struct err err = ERR_INIT;
	struct walk w = { 0 };

	if (json_parse(data, size, &root, &err) == 0)
		walk(&w, "", root);
	else
		assert(!root && err.reason == ERR_ARGUMENT && err.text[0]);
	check_string((const char *)data, size);
	return 0;
}
