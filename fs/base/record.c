/*
 * record.c: see record.h.
 */
#include "fs/base/base.h"
#include "fs/base/record.h"

#include "fs/base/base64.h"
#include "fs/base/digest.h"
#include "fs/base/timestamp.h"

#define BASE64_SUFFIX "-base64"

/* What is read, and where it goes. */
struct reading {
	const struct json *object;
	struct buf *memory;
	struct err *err;
};

static const void *at(const void *record, const struct record_field *f)
{
	return (const char *)record + f->offset;
}

static void add_text(struct buf *out, const char *key, const char *text)
{
	json_add_key(out, key);
	json_add_string(out, text);
}

static void add_base64(struct buf *out, const char *key, const void *data, size_t len)
{
	json_add_key(out, key);
	buf_addc(out, '"');
	base64_add(out, BASE64, data, len);
	buf_addc(out, '"');
}

static const char *word_of(const struct record_field *f, size_t value)
{
	return value < f->word_count && f->words[value] ? f->words[value] : "";
}

/* The value of a word, or -1. */
static int value_of(const struct record_field *f, const char *word, size_t len)
{
	for (size_t i = 0; i < f->word_count; i++)
		if (f->words[i] && strlen(f->words[i]) == len && memcmp(f->words[i], word, len) == 0)
			return (int)i;
	return -1;
}

static int wrong(const struct reading *in, const struct record_field *f, const char *what)
{
	return err_set(in->err, ERR_ARGUMENT, "\"%s\" is not %s", f->key, what);
}

/* ---- Each type: writing and reading ---- */

static void write_text(struct buf *out, const struct record_field *f, const void *p)
{
	const char *text = *(const char *const *)p;

	if (text)
		add_text(out, f->key, text);
}

static int read_text(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);

	for (const char *s = text; s && *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return wrong(in, f, "a text without control characters");
	*(const char **)p = text;
	return text ? 0 : wrong(in, f, "a string");
}

static void write_bytes(struct buf *out, const struct record_field *f, const void *p)
{
	const char *text = *(const char *const *)p;
	char key[RECORD_KEY_MAX + 1];

	snprintf(key, sizeof(key), "%s" BASE64_SUFFIX, f->key);
	if (text && json_is_utf8(text))
		add_text(out, f->key, text);
	else if (text)
		add_base64(out, key, text, strlen(text));
}

static int read_bytes(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	*(const char **)p = json_text(v);
	return json_text(v) ? 0 : wrong(in, f, "a string");
}

static void write_blob(struct buf *out, const struct record_field *f, const void *p)
{
	const struct record_blob *blob = p;

	add_base64(out, f->key, blob->data, blob->len);
}

/* The memory was reserved: it doesn't move. */
static int decode(const struct reading *in, const struct record_field *f, const struct json *v, struct record_blob *out)
{
	const char *text = json_text(v);
	size_t len = text ? strlen(text) : 0, start = in->memory->len;
	auto_free char *bytes = malloc(BASE64_DECODED_MAX(len));
	ssize_t n = bytes && text ? base64_decode(BASE64, text, len, bytes) : -1;

	if (n < 0)
		return wrong(in, f, "base64");
	buf_add(in->memory, bytes, (size_t)n);
	buf_addc(in->memory, '\0');
	*out = (struct record_blob){ .data = in->memory->data + start, .len = (size_t)n };
	return buf_error(in->memory) ? err_set(in->err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int read_blob(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	return decode(in, f, v, p);
}

static int read_bytes_base64(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	struct record_blob blob;
	int r = decode(in, f, v, &blob);

	if (r)
		return r;
	if (strlen(blob.data) != blob.len)
		return wrong(in, f, "without NUL");
	*(const char **)p = blob.data;
	return 0;
}

static void write_number(struct buf *out, const struct record_field *f, const void *p)
{
	json_add_key(out, f->key);
	buf_addf(out, "%" PRId64, *(const int64_t *)p);
}

static int read_number(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	return json_int(v, p) ? 0 : wrong(in, f, "a number");
}

static void write_int(struct buf *out, const struct record_field *f, const void *p)
{
	json_add_key(out, f->key);
	buf_addf(out, "%d", *(const int *)p);
}

static int read_int(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	int64_t n;

	if (!json_int(v, &n) || n < INT_MIN || n > INT_MAX)
		return wrong(in, f, "a number");
	*(int *)p = (int)n;
	return 0;
}

static void write_bool(struct buf *out, const struct record_field *f, const void *p)
{
	json_add_key(out, f->key);
	buf_adds(out, *(const bool *)p ? "true" : "false");
}

static int read_bool(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	*(bool *)p = json_bool(v);
	return json_bool(v) || json_is_false(v) ? 0 : wrong(in, f, "true or false");
}

static void write_word(struct buf *out, const struct record_field *f, const void *p)
{
	add_text(out, f->key, word_of(f, *(const unsigned *)p));
}

static int read_word(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);
	int value = text ? value_of(f, text, strlen(text)) : -1;

	*(int *)p = MAX(value, 0);
	return value < 0 ? wrong(in, f, "one of its words") : 0;
}

static void write_flag(struct buf *out, const struct record_field *f, const void *p)
{
	add_text(out, f->key, word_of(f, *(const bool *)p));
}

static int read_flag(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	int value = 0, r = read_word(in, f, v, &value);

	*(bool *)p = value != 0;
	return r;
}

static void write_bits(struct buf *out, const struct record_field *f, const void *p)
{
	bool some = false;

	json_add_key(out, f->key);
	buf_addc(out, '"');
	for (size_t i = 0; i < f->word_count; i++)
		if (*(const unsigned *)p & 1u << i) {
			buf_addf(out, "%s%s", some ? "," : "", f->words[i]);
			some = true;
		}
	buf_addc(out, '"');
}

static int read_bits(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);
	unsigned bits = 0;

	while (text && *text) {
		size_t len = strcspn(text, ",");
		int value = value_of(f, text, len);

		if (value < 0)
			return wrong(in, f, "a list of its words");
		bits |= 1u << value;
		text += len + (text[len] == ',');
	}
	*(unsigned *)p = bits;
	return text ? 0 : wrong(in, f, "a string");
}

static void write_digest(struct buf *out, const struct record_field *f, const void *p)
{
	const struct digest *d = p;
	char text[DIGEST_TEXT_MAX + 1];

	if (d->algorithm != DIGEST_NONE)
		add_text(out, f->key, digest_format(d, text));
}

static int read_digest(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);

	return text && digest_parse(text, p, NULL) == 0 ? 0 : wrong(in, f, "a digest");
}

static void write_time(struct buf *out, const struct record_field *f, const void *p)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	if (*(const int64_t *)p)
		add_text(out, f->key, timestamp_format(*(const int64_t *)p, text));
}

static int read_time(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);

	return text && timestamp_parse(text, p) ? 0 : wrong(in, f, "a time");
}

static void write_id(struct buf *out, const struct record_field *f, const void *p)
{
	json_add_key(out, f->key);
	buf_addf(out, "\"%" PRIx64 "\"", *(const uint64_t *)p);
}

static int read_id(const struct reading *in, const struct record_field *f, const struct json *v, void *p)
{
	const char *text = json_text(v);

	if (!text || !*text || strlen(text) > 16 || text[strspn(text, "0123456789abcdef")])
		return wrong(in, f, "at most 16 hexadecimal digits");
	*(uint64_t *)p = strtoull(text, NULL, 16);
	return 0;
}

static const struct {
	void (*write)(struct buf *out, const struct record_field *f, const void *p);
	int (*read)(const struct reading *in, const struct record_field *f, const struct json *v, void *p);
} types[] = {
	[RECORD_TEXT] = { write_text, read_text },	[RECORD_BYTES] = { write_bytes, read_bytes },
	[RECORD_BLOB] = { write_blob, read_blob },	[RECORD_NUMBER] = { write_number, read_number },
	[RECORD_INT] = { write_int, read_int },		[RECORD_BOOL] = { write_bool, read_bool },
	[RECORD_WORD] = { write_word, read_word },	[RECORD_FLAG] = { write_flag, read_flag },
	[RECORD_BITS] = { write_bits, read_bits },	[RECORD_DIGEST] = { write_digest, read_digest },
	[RECORD_TIME] = { write_time, read_time },	[RECORD_ID] = { write_id, read_id },
};

/* ---- Whole records ---- */

void record_add_members(struct buf *out, const struct record_field *fields, const void *record)
{
	for (const struct record_field *f = fields; f->type; f++)
		types[f->type].write(out, f, at(record, f));
}

void record_add(struct buf *out, const struct record_field *fields, const void *record)
{
	buf_addc(out, '{');
	record_add_members(out, fields, record);
	buf_addc(out, '}');
}

struct stranger {
	const struct record_field *fields;
	const char *key;
};

static bool is_key(const struct record_field *f, const char *key)
{
	size_t len = strlen(f->key);

	return streq(f->key, key) ||
	       (f->type == RECORD_BYTES && strncmp(f->key, key, len) == 0 && streq(key + len, BASE64_SUFFIX));
}

static int find_stranger(void *arg, const char *key, const struct json *value UNUSED)
{
	struct stranger *s = arg;

	for (const struct record_field *f = s->fields; f->type; f++)
		if (is_key(f, key))
			return 0;
	s->key = key;
	return 1;
}

static int read_field(const struct reading *in, const struct record_field *f, void *p)
{
	const struct json *v = json_get(in->object, f->key);
	char key[RECORD_KEY_MAX + 1];

	if (v)
		return types[f->type].read(in, f, v, p);
	snprintf(key, sizeof(key), "%s" BASE64_SUFFIX, f->key);
	v = f->type == RECORD_BYTES ? json_get(in->object, key) : NULL;
	if (v)
		return read_bytes_base64(in, f, v, p);
	return f->needed ? err_set(in->err, ERR_ARGUMENT, "\"%s\" is missing", f->key) : 0;
}

int record_read(const struct record_field *fields, const struct json *object, bool whole, size_t text_len, struct buf *memory,
		void *record, struct err *err)
{
	const struct reading in = { .object = object, .memory = memory, .err = err };
	struct stranger s = { .fields = fields };
	int r = 0;

	if (!json_is_object(object))
		return err_set(err, ERR_ARGUMENT, "it is not a JSON object");
	if (whole && json_each(object, find_stranger, &s))
		return err_set(err, ERR_ARGUMENT, "there is no \"%.60s\" here", s.key);
	buf_reset(memory);
	buf_reserve(memory, text_len + 1);
	for (const struct record_field *f = fields; !r && f->type; f++)
		r = read_field(&in, f, (char *)record + f->offset);
	return r;
}
