/*
 * fuzz_call.c: what a client asks a server with, and what a server answers a client: the first line is the call's name, or the first
 * byte chooses one.
 */
#include "fs/base/base.h"
#include "fs/tree/call.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written, read again, and is the same. */
static void check_record(const struct record_field *fields, const void *record)
{
	_Alignas(max_align_t) char again[CALL_RECORD_MAX] = { 0 };
	auto_buf struct buf text = BUF_INIT, second = BUF_INIT, memory = BUF_INIT;
	auto_json struct json *json = NULL;
	struct err err = ERR_INIT;

	record_add(&text, fields, record);
	assert(json_parse(text.data, text.len, &json, &err) == 0);
	assert(record_read(fields, json, true, text.len, &memory, again, &err) == 0);
	record_add(&second, fields, again);
	assert(second.len == text.len && memcmp(second.data, text.data, text.len) == 0);
}

static int check_row(void *arg, const void *row)
{
	const struct call *call = arg;

	check_record(call->row, row);
	if (call == call_at(CALL_ROOTFS_LIST)) {
		const struct call_entry *e = row;

		assert(*e->name && !strchr(e->name, '/') && !streq(e->name, ".") && !streq(e->name, "..") && e->size >= 0);
	}
	return 0;
}

static void check_args(const struct call *call, const char *data, size_t size)
{
	_Alignas(max_align_t) char args[CALL_RECORD_MAX] = { 0 };
	auto_buf struct buf memory = BUF_INIT;
	auto_json struct json *json = NULL;
	struct err err = ERR_INIT;

	if (call_read_args(call, data, size, &json, &memory, args, &err) == 0)
		check_record(call->args, args);
	else
		assert(err.reason == ERR_ARGUMENT && err.text[0]);
}

/* *used: how much of the data said which. */
static const struct call *choose(const uint8_t *data, size_t size, size_t *used)
{
	const uint8_t *end = memchr(data, '\n', size);
	char name[40] = "";
	const struct call *call;

	if (end && (size_t)(end - data) < sizeof(name))
		memcpy(name, data, (size_t)(end - data));
	call = call_find(name);
	*used = call ? (size_t)(end - data) + 1 : 1;
	return call ? call : call_at((enum call_id)(data[0] % CALL_COUNT));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct call *call;
	struct err err = ERR_INIT;
	const char *text;
	size_t used;

	if (!size)
		return 0;
	call = choose(data, size, &used);
	text = (const char *)data + used;
	size -= used;
	check_args(call, text, size);
	if (call_read_rows(call, text, size, check_row, (void *)(uintptr_t)call, &err))
		assert(err.reason == ERR_CORRUPT && err.text[0]);
	assert(call_read_refusal(data[0] * 2, text, size, &err) < 0);
	assert(err.reason > ERR_NONE && err.reason < ERR_REASON_COUNT && err.errnum > 0);
	return 0;
}
