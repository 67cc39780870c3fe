/*
 * base64.c: see base64.h.
 */
#include "fs/base/base.h"
#include "fs/base/base64.h"

#define COMMON "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const struct {
	char signs[64 + 1];
	bool padded;
} alphabets[] = {
	[BASE64] = { COMMON "+/", true },
	[BASE64_URL] = { COMMON "-_", false },
};

void base64_add(struct buf *b, enum base64_alphabet alphabet, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (; len; p += MIN(len, (size_t)3), len -= MIN(len, (size_t)3)) {
		uint32_t bits = (uint32_t)p[0] << 16 | (len > 1 ? (uint32_t)p[1] << 8 : 0) | (len > 2 ? p[2] : 0);
		size_t signs = MIN(len, (size_t)3) + 1;

		for (size_t i = 0; i < signs; i++)
			buf_addc(b, alphabets[alphabet].signs[bits >> (18 - 6 * i) & 63]);
		for (size_t i = signs; i < 4 && alphabets[alphabet].padded; i++)
			buf_addc(b, '=');
	}
}

static int value_of(enum base64_alphabet alphabet, char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == alphabets[alphabet].signs[62])
		return 62;
	return c == alphabets[alphabet].signs[63] ? 63 : -1;
}

/* Signs without the padding; -EINVAL where that isn't right. */
static ssize_t unpadded(enum base64_alphabet alphabet, const char *text, size_t len)
{
	size_t padding = 0;

	if (!alphabets[alphabet].padded)
		return len % 4 == 1 ? -EINVAL : (ssize_t)len;
	if (len % 4)
		return -EINVAL;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	return (ssize_t)(len - padding);
}

ssize_t base64_decode(enum base64_alphabet alphabet, const char *text, size_t len, void *out)
{
	ssize_t signs = unpadded(alphabet, text, len);
	unsigned char *to = out;
	uint32_t bits = 0;
	unsigned have = 0;

	for (ssize_t i = 0; i < signs; i++) {
		int value = value_of(alphabet, text[i]);

		if (value < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*to++ = (unsigned char)(bits >> have);
		}
	}
	if (signs < 0 || (bits & ((1u << have) - 1)))
		return -EINVAL;
	return to - (unsigned char *)out;
}
