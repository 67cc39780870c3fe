/*
 * digest.c: content digests, over OpenSSL's EVP interface.
 *
 * With fs/auth/token.c the only file that includes OpenSSL; its convention (1 is success) ends here.
 */
#include "fs/base/base.h"
#include "fs/base/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>

static const struct {
	const char *name;
	size_t bytes;
} algorithms[] = {
	[DIGEST_SHA256] = { "sha256", 32 },
	[DIGEST_SHA512] = { "sha512", 64 },
};

/* OpenSSL's own tables of it, looked up once for the process and then constant: for each digest anew, as EVP_sha256() has it, that costs as
 * much as digesting a token. */
static EVP_MD *fetched[ARRAY_SIZE(algorithms)];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (algorithms[i].name)
			fetched[i] = EVP_MD_fetch(NULL, algorithms[i].name, NULL);
}

/* NULL: out of memory, which EVP's functions refuse. */
static const EVP_MD *md_of(enum digest_algorithm algorithm)
{
	pthread_once(&fetch_once, fetch_all);
	return fetched[algorithm];
}

struct hasher {
	enum digest_algorithm algorithm;
	EVP_MD_CTX *ctx;
};

static bool known(unsigned algorithm)
{
	return algorithm < ARRAY_SIZE(algorithms) && algorithms[algorithm].name;
}

static size_t bytes_of(unsigned algorithm)
{
	return known(algorithm) ? algorithms[algorithm].bytes : 0;
}

size_t digest_size(const struct digest *d)
{
	return 1 + bytes_of(d->algorithm);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->algorithm == b->algorithm && memcmp(a->bytes, b->bytes, digest_size(a) - 1) == 0;
}

const char *digest_algorithm_name(enum digest_algorithm algorithm)
{
	return known(algorithm) ? algorithms[algorithm].name : NULL;
}

enum digest_algorithm digest_algorithm_parse(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (known(i) && streq(name, algorithms[i].name))
			return (enum digest_algorithm)i;
	return DIGEST_NONE;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool hex_decode(const char *hex, uint8_t *out, size_t bytes)
{
	if (strnlen(hex, 2 * bytes + 1) != 2 * bytes)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* `text` is what the caller was given, for the message. */
static int parse(enum digest_algorithm algorithm, const char *hex, const char *text,
		 struct digest *out, struct err *err)
{
	struct digest d = { .algorithm = (uint8_t)algorithm };

	if (!hex_decode(hex, d.bytes, bytes_of(algorithm)))
		return err_set(err, ERR_DIGEST_INVALID,
			       "\"%.160s\" is not a digest: %s has %zu hexadecimal digits, in lower case",
			       text, algorithms[algorithm].name, 2 * bytes_of(algorithm));
	*out = d;
	return 0;
}

int digest_parse(const char *text, struct digest *out, struct err *err)
{
	const char *colon = strchr(text, ':');

	if (!colon)
		return err_set(err, ERR_DIGEST_INVALID,
			       "\"%.160s\" is not a digest: write sha256:<64 hexadecimal digits> or "
			       "sha512:<128 hexadecimal digits>",
			       text);
	for (unsigned i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (known(i) && strlen(algorithms[i].name) == (size_t)(colon - text) &&
		    starts_with(text, algorithms[i].name))
			return parse((enum digest_algorithm)i, colon + 1, text, out, err);
	return err_set(err, ERR_DIGEST_INVALID,
		       "\"%.160s\" is not a digest that regfs has: use sha256 or sha512", text);
}

static int no_algorithm(enum digest_algorithm algorithm, struct err *err)
{
	return err_set(err, ERR_DIGEST_INVALID, "digest algorithm %d: use sha256 or sha512",
		       (int)algorithm);
}

int digest_parse_hex(enum digest_algorithm algorithm, const char *hex, struct digest *out,
		     struct err *err)
{
	if (!known(algorithm))
		return no_algorithm(algorithm, err);
	return parse(algorithm, hex, hex, out, err);
}

char *digest_format(const struct digest *d, char out[static DIGEST_TEXT_MAX + 1])
{
	const char *name = digest_algorithm_name((enum digest_algorithm)d->algorithm);
	size_t len = name ? strlen(name) : 0;

	out[0] = '\0';
	if (!name)
		return out;
	memcpy(out, name, len);
	out[len] = ':';
	digest_hex(d, out + len + 1);
	return out;
}

char *digest_hex(const struct digest *d, char out[static DIGEST_HEX_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t bytes = digest_size(d) - 1;

	for (size_t i = 0; i < bytes; i++) {
		out[2 * i] = digits[d->bytes[i] >> 4];
		out[2 * i + 1] = digits[d->bytes[i] & 15];
	}
	out[2 * bytes] = '\0';
	return out;
}

int digest_hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[static 32], struct err *err)
{
	if (key_len > INT_MAX || !HMAC(md_of(DIGEST_SHA256), key, (int)key_len, data, len, out, NULL))
		return err_set(err, ERR_NO_MEMORY, "cannot compute a HMAC: out of memory");
	return 0;
}

int digest_of(enum digest_algorithm algorithm, const void *data, size_t len, struct digest *out,
	      struct err *err)
{
	struct digest d = { .algorithm = (uint8_t)algorithm };

	if (!known(algorithm))
		return no_algorithm(algorithm, err);
	if (EVP_Digest(data, len, d.bytes, NULL, md_of(algorithm), NULL) != 1)
		return err_set(err, ERR_NO_MEMORY, "cannot compute a %s digest: out of memory",
			       algorithms[algorithm].name);
	*out = d;
	return 0;
}

int hasher_new(enum digest_algorithm algorithm, struct hasher **out, struct err *err)
{
	auto_hasher struct hasher *h = NULL;

	if (!known(algorithm))
		return no_algorithm(algorithm, err);
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_set(err, ERR_NO_MEMORY, "cannot begin a digest: out of memory");
	h->algorithm = algorithm;
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex(h->ctx, md_of(algorithm), NULL) != 1)
		return err_set(err, ERR_NO_MEMORY, "cannot begin a digest: out of memory");
	*out = steal(&h);
	return 0;
}

int hasher_update(struct hasher *h, const void *data, size_t len, struct err *err)
{
	if (EVP_DigestUpdate(h->ctx, data, len) != 1)
		return err_set(err, ERR_INTERNAL, "OpenSSL cannot go on with a digest");
	return 0;
}

DEFINE_CLEANUP(cleanup_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)

int hasher_digest(const struct hasher *h, struct digest *out, struct err *err)
{
	/* Finishing ends a context, so a copy is finished and the hasher can go on. */
	CLEANUP(cleanup_ctx) EVP_MD_CTX *copy = EVP_MD_CTX_new();
	struct digest d = { .algorithm = (uint8_t)h->algorithm };

	if (!copy || EVP_MD_CTX_copy_ex(copy, h->ctx) != 1 ||
	    EVP_DigestFinal_ex(copy, d.bytes, NULL) != 1)
		return err_set(err, ERR_NO_MEMORY, "cannot finish a digest: out of memory");
	*out = d;
	return 0;
}

enum digest_algorithm hasher_algorithm(const struct hasher *h)
{
	return h->algorithm;
}

void hasher_free(struct hasher *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}
