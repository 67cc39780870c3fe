/*
 * test_call.c: structures as JSON (record.h), calls and their answers as they go over the network.
 */
#include "fs/base/base.h"
#include "fs/base/record.h"
#include "fs/tree/call.h"
#include "tests/unit/tap.h"

struct sample {
	const char *text, *bytes;
	struct record_blob blob;
	int64_t number, when;
	int word;
	bool flag, yes;
	unsigned bits;
	uint64_t id;
};

static const char *const colours[] = { "red", NULL, "blue" };
static const char *const flags[] = { "off", "on" };
static const char *const letters[] = { "a", "b", "c" };
#define WORDS(list) .words = list, .word_count = ARRAY_SIZE(list)
static const struct record_field fields[] = {
	{ .key = "text", .type = RECORD_TEXT, .offset = offsetof(struct sample, text), .needed = true },
	{ .key = "bytes", .type = RECORD_BYTES, .offset = offsetof(struct sample, bytes) },
	{ .key = "blob", .type = RECORD_BLOB, .offset = offsetof(struct sample, blob) },
	{ .key = "number", .type = RECORD_NUMBER, .offset = offsetof(struct sample, number) },
	{ .key = "when", .type = RECORD_TIME, .offset = offsetof(struct sample, when) },
	{ .key = "word", .type = RECORD_WORD, .offset = offsetof(struct sample, word), WORDS(colours) },
	{ .key = "flag", .type = RECORD_FLAG, .offset = offsetof(struct sample, flag), WORDS(flags) },
	{ .key = "yes", .type = RECORD_BOOL, .offset = offsetof(struct sample, yes) },
	{ .key = "bits", .type = RECORD_BITS, .offset = offsetof(struct sample, bits), WORDS(letters) },
	{ .key = "id", .type = RECORD_ID, .offset = offsetof(struct sample, id) },
	{ 0 },
};

static enum reason read_sample(const char *text, struct json **json, struct buf *memory, struct sample *out, struct err *err)
{
	*out = (struct sample){ 0 };
	if (json_parse(text, strlen(text), json, err))
		return ERR_INTERNAL;
	return record_read(fields, *json, true, strlen(text), memory, out, err) ? err->reason : ERR_NONE;
}

static void test_round(void)
{
	const struct sample s = { .text = "t\"", .bytes = "\xff\n", .blob = { "\0x", 2 }, .number = INT64_MIN, .when = 1700000000 * INT64_C(1000000000),
				  .word = 2, .flag = true, .yes = true, .bits = 5, .id = UINT64_MAX };
	auto_buf struct buf text = BUF_INIT, memory = BUF_INIT;
	auto_json struct json *json = NULL;
	struct err err = ERR_INIT;
	struct sample got;

	record_add(&text, fields, &s);
	is_str(text.data,
	       "{\"text\":\"t\\\"\",\"bytes-base64\":\"/wo=\",\"blob\":\"AHg=\",\"number\":-9223372036854775808,"
	       "\"when\":\"2023-11-14T22:13:20Z\",\"word\":\"blue\",\"flag\":\"on\",\"yes\":true,\"bits\":\"a,c\","
	       "\"id\":\"ffffffffffffffff\"}",
	       "written");
	is_int(read_sample(text.data, &json, &memory, &got, &err), ERR_NONE, "read");
	is_str(got.text, s.text, "a text");
	is_str(got.bytes, s.bytes, "bytes");
	ok(got.blob.len == 2 && memcmp(got.blob.data, "\0x", 2) == 0, "a blob");
	ok(got.number == s.number && got.when == s.when && got.word == 2 && got.flag && got.yes && got.bits == 5 && got.id == s.id,
	   "the rest");
}

static void test_refused(void)
{
	static const char *const bad[] = {
		"[]", "7", "{}", "{\"text\":7}", "{\"text\":null}", "{\"text\":\"a\\n\"}", "{\"text\":\"a\\u007f\"}",
		"{\"text\":\"a\",\"more\":1}", "{\"text\":\"a\",\"text-base64\":\"YQ==\"}", "{\"text\":\"a\",\"bytes\":1}",
		"{\"text\":\"a\",\"bytes-base64\":\"YQ\"}", "{\"text\":\"a\",\"bytes-base64\":\"AA==\"}",
		"{\"text\":\"a\",\"blob\":\"?\"}", "{\"text\":\"a\",\"number\":1.5}", "{\"text\":\"a\",\"number\":\"1\"}",
		"{\"text\":\"a\",\"when\":\"today\"}", "{\"text\":\"a\",\"word\":\"green\"}", "{\"text\":\"a\",\"word\":\"\"}",
		"{\"text\":\"a\",\"word\":2}", "{\"text\":\"a\",\"flag\":true}", "{\"text\":\"a\",\"yes\":1}",
		"{\"text\":\"a\",\"bits\":\"a,d\"}", "{\"text\":\"a\",\"bits\":\",\"}", "{\"text\":\"a\",\"id\":\"\"}",
		"{\"text\":\"a\",\"id\":\"-1\"}", "{\"text\":\"a\",\"id\":\"11111111111111111\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_buf struct buf memory = BUF_INIT;
		auto_json struct json *json = NULL;
		struct err err = ERR_INIT;
		struct sample got;

		is_int(read_sample(bad[i], &json, &memory, &got, &err), ERR_ARGUMENT, "refused: %s", bad[i]);
	}
}

static void test_calls(void)
{
	for (int i = 0; i < CALL_COUNT; i++) {
		const struct call *call = call_at((enum call_id)i);

		ok(call->name && call->args && call_find(call->name) == call, "call %d is found by its name", i);
	}
	ok(!call_find("") && !call_find("repo"), "no other is");
}

static int count_row(void *arg, const void *row UNUSED)
{
	++*(int *)arg;
	return 0;
}

static void test_entries(void)
{
#define ENTRY(name, mode, more)                                                                                             \
	"{\"name\":\"" name "\",\"node\":\"8000000000000001\",\"source\":\"1\",\"mode\":" mode                              \
	",\"links\":1,\"size\":1,\"mtime\":0,\"uid\":0,\"gid\":0" more "}"
	static const struct {
		const char *text;
		int rows;	/* negative: refused */
	} rows[] = {
		{ "", 0 },
		{ ENTRY("a", "33188", ""), 1 },
		{ ENTRY("a", "33188", "") "\n" ENTRY("b", "41471", ",\"target\":\"../x\"") "\n", 2 },
		{ ENTRY("a", "33188", ",\"new\":1"), 1 },	/* of a later version */
		{ ENTRY("", "33188", ""), -1 },
		{ ENTRY(".", "16877", ""), -1 },
		{ ENTRY("..", "16877", ""), -1 },
		{ ENTRY("a/b", "33188", ""), -1 },
		{ ENTRY("../a", "33188", ""), -1 },
		{ ENTRY("a", "33188", ",\"target\":\"x\""), -1 },
		{ ENTRY("a", "41471", ""), -1 },
		{ ENTRY("a", "-1", ""), -1 },
		{ ENTRY("a", "33188", "") " " ENTRY("b", "33188", ""), -1 },
		{ "\n", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		int count = 0;
		int r = call_read_rows(call_at(CALL_ROOTFS_LIST), rows[i].text, strlen(rows[i].text), count_row, &count, &err);

		if (rows[i].rows < 0)
			is_int(r ? err.reason : ERR_NONE, ERR_CORRUPT, "refused: %s", rows[i].text);
		else
			is_int(r ? -1 : count, rows[i].rows, "taken: %s", rows[i].text);
	}
}

static void test_refusals(void)
{
	static const char plain[] = "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"m\"}]}";
	struct err err = ERR_INIT, got;

	for (int i = ERR_NONE + 1; i < ERR_REASON_COUNT; i++) {
		auto_buf struct buf text = BUF_INIT;

		(void)err_set(&err, (enum reason)i, "words");
		buf_adds(&text, "{\"errors\":[{\"code\":\"X\",\"message\":\"words\",\"detail\":");
		call_add_refusal(&text, &err);
		buf_adds(&text, "}]}");
		is_int(call_read_refusal(err_row(err.reason)->http_status, text.data, text.len, &got), -err.errnum, "%s",
		       err_row(err.reason)->name);
		ok(got.reason == err.reason && streq(got.text, "words"), "comes back");
	}
	is_int(call_read_refusal(403, "no", 2, &got), -EACCES, "what isn't JSON");
	is_int(got.reason, ERR_DENIED, "is its status");
	is_int(call_read_refusal(404, plain, strlen(plain), &got), -ENOENT, "a refusal without a detail");
	is_int(got.reason, ERR_NAME_UNKNOWN, "is its code's");
}

int main(void)
{
	test_round();
	test_refused();
	test_calls();
	test_entries();
	test_refusals();
	return done_testing();
}
