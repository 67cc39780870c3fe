/*
 * siphash.h: SipHash-1-3, a hash for tables whose keys come from outside.
 *
 * Aumasson, Bernstein: SipHash: a fast short-input PRF (2012); one round for each 8 bytes and three at the end, as Rust's and
 * Python's tables have it. Who doesn't know the key can't choose inputs that fall into one place. Not for signatures.
 */
#ifndef REGFS_SIPHASH_H
#define REGFS_SIPHASH_H

#include "fs/base/err.h"

struct siphash_key {
	uint64_t k[2];
};

/* A random one. */
int siphash_key_new(struct siphash_key *out, struct err *err) MUST_CHECK;
uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);

#endif
