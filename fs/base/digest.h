/*
 * digest.h: content digests (OCI image-spec, descriptor.md, "Digests").
 *
 * "sha256:<64 hex>" and "sha512:<128 hex>", lower case only, as the specification
 * registers them.
 */
#ifndef REGFS_DIGEST_H
#define REGFS_DIGEST_H

#include "fs/base/err.h"

enum digest_algorithm {
	DIGEST_NONE = 0,
	DIGEST_SHA256 = 1,
	DIGEST_SHA512 = 2,
};

#define DIGEST_BYTES_MAX 64
#define DIGEST_HEX_MAX (2 * DIGEST_BYTES_MAX)
#define DIGEST_TEXT_MAX (7 + DIGEST_HEX_MAX)	/* "sha512:" and the hex, without the NUL */

/* The algorithm's byte is followed by the digest's: the first digest_size()
 * bytes of the structure are also how the database holds it. */
struct digest {
	uint8_t algorithm;
	uint8_t bytes[DIGEST_BYTES_MAX];
};

size_t digest_size(const struct digest *d);	/* 33 or 65; 1 for DIGEST_NONE */
bool digest_equal(const struct digest *a, const struct digest *b);

/* "sha256", "sha512" or NULL; and the reverse, DIGEST_NONE for anything else. */
const char *digest_algorithm_name(enum digest_algorithm algorithm);
enum digest_algorithm digest_algorithm_parse(const char *name);

/* "sha256:<hex>"; ERR_DIGEST_INVALID names the value and says what a digest looks like. */
int digest_parse(const char *text, struct digest *out, struct err *err) MUST_CHECK;
int digest_parse_hex(enum digest_algorithm algorithm, const char *hex, struct digest *out,
		     struct err *err) MUST_CHECK;

/* NUL-terminated; return out. */
char *digest_format(const struct digest *d, char out[static DIGEST_TEXT_MAX + 1]);
char *digest_hex(const struct digest *d, char out[static DIGEST_HEX_MAX + 1]);

/* The digest of bytes in memory. */
int digest_of(enum digest_algorithm algorithm, const void *data, size_t len, struct digest *out,
	      struct err *err) MUST_CHECK;

/* HMAC-SHA-256 (RFC 2104) of bytes in memory, into 32 bytes. */
int digest_hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[static 32], struct err *err) MUST_CHECK;

/* A digest of bytes that arrive piece by piece. Not for two threads at once. */
struct hasher;
int hasher_new(enum digest_algorithm algorithm, struct hasher **out, struct err *err) MUST_CHECK;
int hasher_update(struct hasher *h, const void *data, size_t len, struct err *err) MUST_CHECK;
/* What the bytes so far have; the hasher can go on. */
int hasher_digest(const struct hasher *h, struct digest *out, struct err *err) MUST_CHECK;
enum digest_algorithm hasher_algorithm(const struct hasher *h);
void hasher_free(struct hasher *h);

DEFINE_CLEANUP(cleanup_hasher, struct hasher *, hasher_free)
#define auto_hasher CLEANUP(cleanup_hasher)

#endif
