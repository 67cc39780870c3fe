/*
 * json.c: JSON, read through jansson and written into a buffer.
 *
 * The only file that includes jansson. jansson allocates as it goes and recurses as
 * deep as the document, so a document is scanned for its depth and its number of
 * values first, in constant memory. The scan needn't know the whole grammar: as long as a
 * document is valid, scan and parser agree on where strings, commas and brackets are,
 * and at the first place where it isn't, the parser stops.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/base/limits.h"

#include <jansson.h>

/* Macros of jansson's for what json.h declares as functions. */
#undef json_is_object
#undef json_is_array
#undef json_is_null
#undef json_is_false

static const json_t *in(const struct json *v)
{
	return (const json_t *)v;
}

static bool is(const struct json *v, json_type type)
{
	return v && json_typeof(in(v)) == type;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The closing quote of the string whose opening quote is at i, or len. */
static size_t string_end(const char *text, size_t len, size_t i)
{
	for (i++; i < len && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return MIN(i, len);
}

static bool empty_container(const char *text, size_t len, size_t i)
{
	for (i++; i < len && is_space(text[i]); i++)
		;
	return i < len && (text[i] == ']' || text[i] == '}');
}

/* One value, one more for each comma, and one for each container that isn't empty. */
static int check_limits(const char *text, size_t len, struct err *err)
{
	size_t depth = 0, values = 1;

	for (size_t i = 0; i < len; i++) {
		switch (text[i]) {
		case '"':
			i = string_end(text, len, i);
			break;
		case '{':
		case '[':
			depth++;
			values += !empty_container(text, len, i);
			break;
		case '}':
		case ']':
			depth -= depth > 0;
			break;
		case ',':
			values++;
			break;
		}
		if (depth > LIMIT_JSON_DEPTH)
			return err_set(err, ERR_ARGUMENT,
				       "byte %zu: JSON nested deeper than %d levels", i,
				       LIMIT_JSON_DEPTH);
		if (values > LIMIT_JSON_VALUES)
			return err_set(err, ERR_ARGUMENT,
				       "byte %zu: JSON with more than %d values", i,
				       LIMIT_JSON_VALUES);
	}
	return 0;
}

int json_parse(const void *data, size_t len, struct json **out, struct err *err)
{
	json_error_t why;
	json_t *root;
	int ret = check_limits(data, len, err);

	if (ret < 0)
		return ret;
	/* jansson takes a NULL pointer for a mistake of the caller's. */
	root = json_loadb(len ? data : "", len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!root && json_error_code(&why) == json_error_out_of_memory)
		return err_set(err, ERR_NO_MEMORY, "cannot read JSON: out of memory");
	if (!root)
		return err_set(err, ERR_ARGUMENT, "line %d, column %d: %s", why.line, why.column,
			       json_error_code(&why) == json_error_null_character ?
				       "a string holds \\u0000" :
				       why.text);
	*out = (struct json *)root;
	return 0;
}

void json_free(struct json *root)
{
	json_decref((json_t *)root);
}

bool json_is_object(const struct json *v)
{
	return is(v, JSON_OBJECT);
}

bool json_is_array(const struct json *v)
{
	return is(v, JSON_ARRAY);
}

bool json_is_null(const struct json *v)
{
	return is(v, JSON_NULL);
}

const struct json *json_get(const struct json *object, const char *key)
{
	return (const struct json *)json_object_get(in(object), key);
}

size_t json_count(const struct json *array)
{
	return json_array_size(in(array));
}

const struct json *json_at(const struct json *array, size_t i)
{
	return (const struct json *)json_array_get(in(array), i);
}

const char *json_text(const struct json *v)
{
	return json_string_value(in(v));
}

bool json_int(const struct json *v, int64_t *out)
{
	if (!is(v, JSON_INTEGER))
		return false;
	*out = json_integer_value(in(v));
	return true;
}

bool json_bool(const struct json *v)
{
	return is(v, JSON_TRUE);
}

bool json_is_false(const struct json *v)
{
	return is(v, JSON_FALSE);
}

int json_each(const struct json *object, json_member_fn *fn, void *arg)
{
	/* An iterator can change its object, so jansson wants it writable; this one doesn't. */
	json_t *o = (json_t *)(uintptr_t)object;

	for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
		int ret = fn(arg, json_object_iter_key(i),
			     (const struct json *)json_object_iter_value(i));

		if (ret)
			return ret;
	}
	return 0;
}

/* Bytes of the UTF-8 character at p, or 0 if it isn't one (RFC 3629, 4). */
static size_t utf8_length(const unsigned char *p, size_t len)
{
	static const struct {
		unsigned char first_min, first_max, second_min, second_max, length;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t n = forms[i].length;

		if (p[0] < forms[i].first_min || p[0] > forms[i].first_max)
			continue;
		if (n > len)
			return 0;
		if (n > 1 && (p[1] < forms[i].second_min || p[1] > forms[i].second_max))
			return 0;
		for (size_t k = 2; k < n; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return n;
	}
	return 0;
}

static int add_dumped(const char *data, size_t len, void *arg)
{
	buf_add(arg, data, len);
	return 0;
}

void json_add_value(struct buf *b, const struct json *v)
{
	/* Without memory it fails, and says nothing else. */
	if (json_dump_callback(in(v), add_dumped, b, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)))
		b->failed = true;
}

bool json_is_utf8(const char *s)
{
	size_t len = strlen(s);

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_length((const unsigned char *)s + i, len - i);
		if (!n)
			return false;
	}
	return true;
}

/* Adds what may stand in a string as it is, from s up to len; returns how much that was. */
static size_t add_plain(struct buf *b, const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\')
		n++;
	buf_add(b, s, n);
	return n;
}

static void add_escaped(struct buf *b, char c)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
		if (c == named[i]) {
			buf_addc(b, '\\');
			buf_addc(b, named[i + 1]);
			return;
		}
	}
	buf_addf(b, "\\u%04x", (unsigned char)c);
}

void json_add_string(struct buf *b, const char *s)
{
	json_add_stringn(b, s, strlen(s));
}

void json_add_stringn(struct buf *b, const char *s, size_t len)
{
	buf_reserve(b, len + 2);
	buf_addc(b, '"');
	for (size_t i = add_plain(b, s, len); i < len; i += add_plain(b, s + i, len - i)) {
		size_t n = utf8_length((const unsigned char *)s + i, len - i);

		if (n == 1)
			add_escaped(b, s[i]);
		else if (n)
			buf_add(b, s + i, n);
		else
			buf_adds(b, "\xef\xbf\xbd");
		i += MAX(n, (size_t)1);
	}
	buf_addc(b, '"');
}

void json_add_key(struct buf *b, const char *key)
{
	char last = b->len ? b->data[b->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_addc(b, ',');
	json_add_string(b, key);
	buf_addc(b, ':');
}
