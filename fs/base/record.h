/*
 * record.h: structures as JSON objects, by tables of their members.
 *
 * A table's rows say which member of a structure stands under which key, and how. The same table writes and reads, so that two
 * programs that have it agree. What is read is untrusted: a value of another type, a word that isn't in the table, a control
 * character in a text is an error, never a guess.
 */
#ifndef REGFS_RECORD_H
#define REGFS_RECORD_H

#include "fs/base/buf.h"
#include "fs/base/err.h"
#include "fs/base/json.h"

enum record_type {
	RECORD_END,	/* ends a table */
	RECORD_TEXT,	/* const char *: a string without control characters; NULL isn't written */
	RECORD_BYTES,	/* const char *: any bytes but NUL; what isn't UTF-8 stands under "<key>-base64"; NULL isn't written */
	RECORD_BLOB,	/* struct record_blob: base64 */
	RECORD_NUMBER,	/* int64_t */
	RECORD_INT,	/* int */
	RECORD_BOOL,	/* bool */
	RECORD_WORD,	/* an enumeration, int or bool: the word of its value */
	RECORD_FLAG,	/* bool: the word of its value */
	RECORD_BITS,	/* unsigned: the words of its bits, by commas */
	RECORD_DIGEST,	/* struct digest; DIGEST_NONE isn't written */
	RECORD_TIME,	/* int64_t, nanoseconds: RFC 3339, to the second; 0 isn't written */
	RECORD_ID,	/* uint64_t: hexadecimal digits, as a string */
};

struct record_blob {
	const char *data;
	size_t len;
};

struct record_field {
	const char *key;
	enum record_type type;
	size_t offset;
	bool needed;			/* reading: an error where it isn't there; else it is 0 or NULL then */
	const char *const *words;	/* of RECORD_WORD, RECORD_FLAG, RECORD_BITS, by value; NULL: no such value */
	size_t word_count;
};
#define RECORD_KEY_MAX 40	/* bytes of a key */

/* Appends the members, each with the comma before it that it needs; the caller adds the braces. */
void record_add_members(struct buf *out, const struct record_field *fields, const void *record);
void record_add(struct buf *out, const struct record_field *fields, const void *record);

/*
 * Reads an object. Texts point into the JSON document, or into `memory`, which is emptied first and is as long as `text_len`, the
 * document's length, at most: both must live as long as the record is used. `whole`: a key that isn't in the table is an error; else it
 * is passed over. The record is all zero before. ERR_ARGUMENT names the key.
 */
int record_read(const struct record_field *fields, const struct json *object, bool whole, size_t text_len, struct buf *memory,
		void *record, struct err *err) MUST_CHECK;

#endif
