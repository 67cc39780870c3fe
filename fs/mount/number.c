/*
 * number.c: a permutation of 64-bit numbers that goes by a key: a Feistel network (Luby and Rackoff, 1988) over two halves, whose rounds
 * are SHA-256 of key, round and half. 0 and 1, which FUSE has for nothing and for the root, stay; what comes to one of them goes round again.
 * Places are mixed likewise, by other rounds and in halves of 31 bits, so that they stay positive as offsets.
 */
#include "fs/base/base.h"

#include "fs/mount/number.h"

#include <sys/random.h>

#include "fs/base/digest.h"

#define ROUNDS 6
#define ROOT   1
#define BEGINNING 0

/* What is mixed, and how. */
struct mixing {
	unsigned half;	/* bits */
	uint32_t round;	/* the first one's number */
};

static const struct mixing nodes = { 32, 0 }, places = { 31, ROUNDS };

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

static uint32_t low(const struct mixing *m, uint64_t number)
{
	return (uint32_t)(number & (((uint64_t)1 << m->half) - 1));
}

static uint64_t forward(const struct numbers *n, const struct mixing *m, uint64_t number)
{
	uint32_t left = low(m, number >> m->half), right = low(m, number);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t next = left ^ low(m, mix(n, m->round + i, right));

		left = right;
		right = next;
	}
	return (uint64_t)left << m->half | right;
}

static uint64_t backward(const struct numbers *n, const struct mixing *m, uint64_t number)
{
	uint32_t left = low(m, number >> m->half), right = low(m, number);

	for (uint32_t i = ROUNDS; i-- > 0;) {
		uint32_t before = right ^ low(m, mix(n, m->round + i, left));

		right = left;
		left = before;
	}
	return (uint64_t)left << m->half | right;
}

uint64_t number_shown(const struct numbers *n, uint64_t node)
{
	uint64_t shown = node;

	if (!n->hidden || node <= ROOT)
		return node;
	do
		shown = forward(n, &nodes, shown);
	while (shown <= ROOT);
	return shown;
}

uint64_t number_node(const struct numbers *n, uint64_t shown)
{
	uint64_t node = shown;

	if (!n->hidden || shown <= ROOT)
		return shown;
	do
		node = backward(n, &nodes, node);
	while (node <= ROOT);
	return node;
}

uint64_t place_shown(const struct numbers *n, uint64_t place)
{
	uint64_t shown = place;

	if (!n->hidden || place == BEGINNING)
		return place;
	do
		shown = forward(n, &places, shown);
	while (shown == BEGINNING);
	return shown;
}

uint64_t place_of(const struct numbers *n, uint64_t shown)
{
	uint64_t place = shown;

	if (!n->hidden || shown == BEGINNING)
		return shown;
	do
		place = backward(n, &places, place);
	while (place == BEGINNING);
	return place;
}
