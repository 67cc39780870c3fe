/*
 * secret.h: secrets that are random, and how they are compared.
 *
 * A token's secret is "rgs_" and 256 random bits in hexadecimal. What is kept is its SHA-256 (a slow hash
 * protects a guessable password; nobody guesses these), so a copy of the database logs nobody in.
 */
#ifndef REGFS_SECRET_H
#define REGFS_SECRET_H

#include "fs/base/digest.h"

#define SECRET_TEXT_MAX 68	/* without the NUL */

/* A new one. Forget the text (secret_forget()) once it was shown. */
int secret_new(char out[static SECRET_TEXT_MAX + 1], struct digest *hash, struct err *err) MUST_CHECK;
/* A random password for a person to copy: 24 signs, 144 bits. */
#define SECRET_PASSWORD_LEN 24
int secret_password(char out[static SECRET_PASSWORD_LEN + 1], struct err *err) MUST_CHECK;
/* Whether a text has a secret's form; it may still be nobody's. */
bool secret_ok(const char *text);
int secret_hash(const char *text, struct digest *out, struct err *err) MUST_CHECK;

/* Compares in a time that says nothing about where they differ. */
bool secret_equal(const void *a, const void *b, size_t len);
/* Overwrites it, also where the compiler sees no use in that. */
void secret_forget(void *data, size_t len);

#endif
