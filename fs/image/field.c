/*
 * field.c: every header passes through here: the checksum is added up eight bytes at a time.
 */
#include "fs/base/base.h"
#include "fs/image/field.h"

#define CHECKSUM 148	/* where the header has it */
#define CHECKSUM_END 156

/* GNU and star: a high bit, then the number in two's complement, big-endian. */
static enum field_number parse_binary(const uint8_t *p, size_t n, int64_t *out)
{
	uint8_t invert = p[0] & 0x40 ? 0xff : 0;
	uint64_t x = (p[0] ^ invert) & 0x3f;

	for (size_t i = 1; i < n; i++) {
		if (x >> 55)
			return invert ? FIELD_TOO_LOW : FIELD_TOO_HIGH;
		x = x << 8 | (p[i] ^ invert);
	}
	*out = invert ? -(int64_t)x - 1 : (int64_t)x;
	return FIELD_GOOD;
}

enum field_number field_number(const uint8_t *p, size_t n, int64_t *out)
{
	const uint8_t *end = p + n;
	int64_t x = 0;

	if (*p & 0x80)
		return parse_binary(p, n, out);
	while (p < end && (*p == ' ' || !*p))
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		x = x << 3 | (*p - '0');	/* 12 digits at most */
	while (p < end && *p == ' ')
		p++;
	*out = x;
	return p == end || !*p ? FIELD_GOOD : FIELD_MALFORMED;
}

bool field_checksum_good(const uint8_t *h)
{
	const uint64_t lanes = 0x00ff00ff00ff00ff;
	uint64_t pairs = 0, high = 0;
	int64_t sum = 0, given, minus = 0;

	/* Four sums of 16 bits, each of 128 bytes: they don't overflow. */
	for (size_t i = 0; i < FIELD_BLOCK; i += 8) {
		uint64_t w;

		memcpy(&w, h + i, 8);
		pairs += (w & lanes) + (w >> 8 & lanes);
		high |= w;
	}
	for (; pairs; pairs >>= 16)
		sum += pairs & 0xffff;
	for (size_t i = CHECKSUM; i < CHECKSUM_END; i++)
		sum += ' ' - h[i];
	if (field_number(h + CHECKSUM, CHECKSUM_END - CHECKSUM, &given) != FIELD_GOOD)
		return false;
	if (given == sum || !(high & 0x8080808080808080))
		return given == sum;
	for (size_t i = 0; i < FIELD_BLOCK; i = i == CHECKSUM - 1 ? CHECKSUM_END : i + 1)
		minus += h[i] & 0x80 ? 256 : 0;
	return given == sum - minus;
}
