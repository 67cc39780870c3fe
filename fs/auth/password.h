/*
 * password.h: passwords of people, hashed by libxcrypt's yescrypt.
 *
 * Hashing takes some 50 ms of one processor and 16 MiB on purpose: call it where nothing else waits, on a worker,
 * with no lock and no transaction held.
 */
#ifndef REGFS_PASSWORD_H
#define REGFS_PASSWORD_H

#include "fs/base/err.h"

#define PASSWORD_HASH_MAX 383	/* libxcrypt's CRYPT_OUTPUT_SIZE, without the NUL */

/* ERR_ARGUMENT: shorter than LIMIT_PASSWORD_MIN bytes, longer than LIMIT_PASSWORD. The text never stands in an error. */
int password_check(const char *password, struct err *err) MUST_CHECK;
int password_hash(const char *password, char out[static PASSWORD_HASH_MAX + 1], struct err *err) MUST_CHECK;
/* 1: it is that password, 0: it isn't, or negative. hash NULL: nobody has it; that takes as long as a wrong one. */
int password_verify(const char *password, const char *hash, struct err *err) MUST_CHECK;

#endif
