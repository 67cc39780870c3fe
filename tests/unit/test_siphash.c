/*
 * test_siphash.c: SipHash-1-3 is what OpenSSL has under that name.
 */
#include "fs/base/base.h"
#include "fs/base/siphash.h"

#include <openssl/evp.h>
#include <openssl/params.h>

#include "tests/unit/tap.h"

static uint64_t reference(const struct siphash_key *key, const void *data, size_t len)
{
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	unsigned size = 8, c = 1, d = 3;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_uint("size", &size),
		OSSL_PARAM_construct_uint("c-rounds", &c),
		OSSL_PARAM_construct_uint("d-rounds", &d),
		OSSL_PARAM_construct_end(),
	};
	uint64_t sum = 0;
	size_t sum_len;

	if (EVP_MAC_CTX_set_params(ctx, params) != 1 || EVP_MAC_init(ctx, (const void *)key, sizeof(*key), NULL) != 1 ||
	    EVP_MAC_update(ctx, data, len) != 1 || EVP_MAC_final(ctx, (void *)&sum, &sum_len, sizeof(sum)) != 1)
		abort();
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return sum;
}

int main(void)
{
	struct siphash_key key, other;
	char data[300];
	size_t wrong = 0;

	is_int(siphash_key_new(&key, NULL), 0, "a key");
	is_int(siphash_key_new(&other, NULL), 0, "another");
	ok(key.k[0] != other.k[0] && key.k[1] != other.k[1], "no two are alike");
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + 3);
	for (size_t len = 0; len <= sizeof(data); len++)
		wrong += siphash(&key, data, len) != reference(&key, data, len);
	is_int((int64_t)wrong, 0, "of every length it is OpenSSL's");
	ok(siphash(&key, data, 9) != siphash(&other, data, 9), "by another key it is another");
	return done_testing();
}
