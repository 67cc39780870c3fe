/*
 * fuzz_call.c: what a client asks a server with, and what a server answers a client: the first byte chooses the call.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct call *call = size ? call_at((enum call_id)(data[0] % CALL_COUNT)) : NULL;
	const char *text = (const char *)data + 1;
	struct err err = ERR_INIT;

	if (!size)
		return 0;
	check_args(call, text, size - 1);
	if (call_read_rows(call, text, size - 1, check_row, (void *)(uintptr_t)call, &err))
		assert(err.reason == ERR_CORRUPT && err.text[0]);
	assert(call_read_refusal(data[0] * 2, text, size - 1, &err) < 0);
	assert(err.reason > ERR_NONE && err.reason < ERR_REASON_COUNT && err.errnum > 0);
	return 0;
}
