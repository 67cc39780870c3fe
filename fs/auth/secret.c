/*
 * secret.c: see secret.h.
 */
#include "fs/base/base.h"
#include "fs/auth/secret.h"

#include <sys/random.h>

#define PREFIX "rgs_"
#define SECRET_BYTES 32

static int random_bytes(void *out, size_t len, struct err *err)
{
	for (size_t got = 0; got < len;) {
		ssize_t n = getrandom((char *)out + got, len - got, 0);

		if (n < 0 && errno != EINTR)
			return err_sys(err, errno, "no random numbers");
		got += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int secret_new(char out[static SECRET_TEXT_MAX + 1], struct digest *hash, struct err *err)
{
	unsigned char bytes[SECRET_BYTES];
	int r = random_bytes(bytes, sizeof(bytes), err);
	size_t len = strlen(PREFIX);

	if (r)
		return r;
	memcpy(out, PREFIX, len + 1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		len += (size_t)snprintf(out + len, SECRET_TEXT_MAX + 1 - len, "%02x", bytes[i]);
	secret_forget(bytes, sizeof(bytes));
	return secret_hash(out, hash, err);
}

/* 64 signs, so that each takes six bits of a byte and all come alike. */
int secret_password(char out[static SECRET_PASSWORD_LEN + 1], struct err *err)
{
	static const char signs[64 + 1] = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789-_.+~";
	unsigned char bytes[SECRET_PASSWORD_LEN];
	int r = random_bytes(bytes, sizeof(bytes), err);

	for (size_t i = 0; i < sizeof(bytes); i++)
		out[i] = signs[bytes[i] & 63];
	out[SECRET_PASSWORD_LEN] = '\0';
	secret_forget(bytes, sizeof(bytes));
	return r;
}

bool secret_ok(const char *text)
{
	return strnlen(text, SECRET_TEXT_MAX + 1) == SECRET_TEXT_MAX && starts_with(text, PREFIX) &&
	       strspn(text + strlen(PREFIX), "0123456789abcdef") == 2 * SECRET_BYTES;
}

int secret_hash(const char *text, struct digest *out, struct err *err)
{
	memset(out, 0, sizeof(*out));
	return digest_of(DIGEST_SHA256, text, strlen(text), out, err);
}

/* Word by word. The asm does nothing, but the compiler can't know what it leaves, and so can't stop where they differ. */
bool secret_equal(const void *a, const void *b, size_t len)
{
	const unsigned char *p = a, *q = b;
	uint64_t differ = 0, x, y;
	size_t i = 0;

	for (; len - i >= sizeof(x); i += sizeof(x)) {
		memcpy(&x, p + i, sizeof(x));
		memcpy(&y, q + i, sizeof(y));
		differ |= x ^ y;
		__asm__ volatile("" : "+r"(differ));
	}
	for (; i < len; i++) {
		differ |= p[i] ^ q[i];
		__asm__ volatile("" : "+r"(differ));
	}
	return differ == 0;
}

void secret_forget(void *data, size_t len)
{
	if (len)	/* where there is nothing, there need be no memory */
		explicit_bzero(data, len);
}
