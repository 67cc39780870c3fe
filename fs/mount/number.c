/*
 * number.c: a permutation of 64-bit numbers that goes by a key: a Feistel network (Luby and Rackoff, 1988) over two halves, whose rounds
 * are SHA-256 of key, round and half. 0 and 1, which FUSE has for nothing and for the root, stay; what comes to one of them goes round again.
 */
#include "fs/base/base.h"

#include "fs/mount/number.h"

#include <sys/random.h>

#include "fs/base/digest.h"

#define ROUNDS 6
#define ROOT   1

int numbers_hide(struct numbers *n, struct err *err)
{
	if (getrandom(n->key, sizeof(n->key), 0) != (ssize_t)sizeof(n->key))
		return err_sys(err, errno, "no random bytes for the mount");
	n->hidden = true;
	return 0;
}

/* Out of memory: another number, and so one that nobody has. */
static uint32_t mix(const struct numbers *n, uint32_t round, uint32_t half)
{
	unsigned char in[sizeof(n->key) + sizeof(round) + sizeof(half)];
	struct digest d = { .algorithm = DIGEST_NONE };
	uint32_t out;

	memcpy(in, n->key, sizeof(n->key));
	memcpy(in + sizeof(n->key), &round, sizeof(round));
	memcpy(in + sizeof(n->key) + sizeof(round), &half, sizeof(half));
	if (digest_of(DIGEST_SHA256, in, sizeof(in), &d, NULL) < 0)
		return 0;
	memcpy(&out, d.bytes, sizeof(out));
	return out;
}

static uint64_t forward(const struct numbers *n, uint64_t number)
{
	uint32_t left = (uint32_t)(number >> 32), right = (uint32_t)number;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t next = left ^ mix(n, i, right);

		left = right;
		right = next;
	}
	return (uint64_t)left << 32 | right;
}

static uint64_t backward(const struct numbers *n, uint64_t number)
{
	uint32_t left = (uint32_t)(number >> 32), right = (uint32_t)number;

	for (uint32_t i = ROUNDS; i-- > 0;) {
		uint32_t before = right ^ mix(n, i, left);

		right = left;
		left = before;
	}
	return (uint64_t)left << 32 | right;
}

uint64_t number_shown(const struct numbers *n, uint64_t node)
{
	uint64_t shown = node;

	if (!n->hidden || node <= ROOT)
		return node;
	do
		shown = forward(n, shown);
	while (shown <= ROOT);
	return shown;
}

uint64_t number_node(const struct numbers *n, uint64_t shown)
{
	uint64_t node = shown;

	if (!n->hidden || shown <= ROOT)
		return shown;
	do
		node = backward(n, node);
	while (node <= ROOT);
	return node;
}
