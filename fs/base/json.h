/*
 * json.h: JSON, read through jansson and written into a buffer.
 *
 * Reading is strict: one document, no duplicate keys (two parsers would see two
 * documents), no NUL in strings, at most LIMIT_JSON_DEPTH deep and
 * LIMIT_JSON_VALUES values. The accessors take NULL and the wrong type and answer
 * NULL, false or 0, so that a chain of them needs one check.
 */
#ifndef REGFS_JSON_H
#define REGFS_JSON_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

struct json;	/* a value; a root is owned, what is reached from it is borrowed */

/* 0 and a root in *out; else ERR_ARGUMENT with the place and what is wrong there. */
int json_parse(const void *data, size_t len, struct json **out, struct err *err) MUST_CHECK;
void json_free(struct json *root);

bool json_is_object(const struct json *v);
bool json_is_array(const struct json *v);
bool json_is_null(const struct json *v);		/* JSON's null; a NULL pointer isn't */
const struct json *json_get(const struct json *object, const char *key);
size_t json_count(const struct json *array);
const struct json *json_at(const struct json *array, size_t i);
/* A string's text; NULL if it isn't one. (jansson has a json_string() of its own.) */
const char *json_text(const struct json *v);
bool json_int(const struct json *v, int64_t *out);	/* false if it isn't one */
bool json_bool(const struct json *v);			/* true only for true */
bool json_is_false(const struct json *v);

/* Calls fn for each member of an object, in the document's order, until it answers non-zero. */
typedef int json_member_fn(void *arg, const char *key, const struct json *value);
int json_each(const struct json *object, json_member_fn *fn, void *arg);

/* Writing: appends a quoted and escaped string; bytes that are not UTF-8 become U+FFFD. */
void json_add_string(struct buf *b, const char *s);
void json_add_stringn(struct buf *b, const char *s, size_t len);
/* Appends a value, in lines of its own; numbers and the order of members stay as they were read. */
void json_add_value(struct buf *b, const struct json *v);
/* Whether it would come back as it is. */
bool json_is_utf8(const char *s);
/* Appends `"key":`, with a comma before it unless the buffer ends in '{' or '['. */
void json_add_key(struct buf *b, const char *key);

DEFINE_CLEANUP(cleanup_json, struct json *, json_free)
#define auto_json CLEANUP(cleanup_json)

#endif
