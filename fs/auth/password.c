/*
 * password.c: see password.h. The one file that knows libxcrypt.
 */
#include "fs/base/base.h"
#include "fs/auth/password.h"

#include <crypt.h>

#include "fs/auth/secret.h"
#include "fs/base/limits.h"

#define METHOD "$y$"	/* yescrypt */

_Static_assert(PASSWORD_HASH_MAX + 1 == CRYPT_OUTPUT_SIZE, "as large as libxcrypt's");
_Static_assert(LIMIT_PASSWORD <= CRYPT_MAX_PASSPHRASE_SIZE, "libxcrypt takes no more");

/* Of no password: what an unknown name's is compared with, so that the answer takes as long. */
static const char nobodys[] = "$y$j9T$u.JKypE4yCOJZ.oGjP3eu0$/fz6Hyp/yOi.Tefqc7Tio2XnL0L5tORQw1iqeQGaj56";

int password_check(const char *password, struct err *err)
{
	size_t len = strnlen(password, LIMIT_PASSWORD + 1);

	if (len < LIMIT_PASSWORD_MIN)
		return err_set(err, ERR_ARGUMENT, "a password has at least %d bytes", LIMIT_PASSWORD_MIN);
	if (len > LIMIT_PASSWORD)
		return err_set(err, ERR_ARGUMENT, "a password has at most %d bytes", LIMIT_PASSWORD);
	return 0;
}

static void forget(struct crypt_data **data)
{
	if (!*data)
		return;
	secret_forget(*data, sizeof(**data));
	free(*data);
}

static int hash_with(const char *password, const char *setting, char out[static PASSWORD_HASH_MAX + 1],
		     struct err *err)
{
	CLEANUP(forget) struct crypt_data *data = calloc(1, sizeof(*data));
	const char *hash;

	if (!data)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	hash = crypt_rn(password, setting, data, (int)sizeof(*data));
	if (!hash && errno == ENOMEM)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!hash)
		return err_sys(err, errno, "the password can't be hashed");
	snprintf(out, PASSWORD_HASH_MAX + 1, "%s", hash);
	return 0;
}

int password_hash(const char *password, char out[static PASSWORD_HASH_MAX + 1], struct err *err)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	int r = password_check(password, err);

	if (r)
		return r;
	if (!crypt_gensalt_rn(METHOD, 0, NULL, 0, setting, sizeof(setting)))
		return err_sys(err, errno, "no salt for a password");
	return hash_with(password, setting, out, err);
}

int password_verify(const char *password, const char *hash, struct err *err)
{
	const char *want = hash && *hash ? hash : nobodys;
	char is[PASSWORD_HASH_MAX + 1] = "", has[PASSWORD_HASH_MAX + 1] = "";
	int r;

	if (strnlen(password, LIMIT_PASSWORD + 1) > LIMIT_PASSWORD)
		password = "";
	r = hash_with(password, want, is, err);
	if (r)
		return r;
	snprintf(has, sizeof(has), "%s", want);
	r = secret_equal(is, has, sizeof(is)) && want == hash;
	secret_forget(is, sizeof(is));
	return r;
}
