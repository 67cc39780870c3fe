/*
 * token.c: see token.h. With digest.c the only file that includes OpenSSL; its convention (1 is success) ends here.
 *
 * Invariants:
 *  1. A set of keys doesn't change once it is made; it is counted by who uses it.
 *  2. Nothing of a token's claims is parsed before its signature was verified, with the algorithm that the key has.
 *  3. A text that verifies is the only one for its claims and signature bytes: base64 is strict, the header's members are three.
 */
#include "fs/base/base.h"
#include "fs/auth/token.h"

#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "fs/auth/secret.h"
#include "fs/base/base64.h"
#include "fs/base/json.h"
#include "fs/base/timestamp.h"

#define ISSUER "regfs"
#define KID_LEN 43			/* 32 bytes in base64 */
#define HALF 32				/* of an ES256 signature: r, s */
#define LEEWAY 10			/* seconds that another machine's clock may be ahead */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define SIGNATURE_MAX (RSA_BITS_MAX / 8)
#define HEADER_MAX 256			/* decoded */

struct algorithm {
	const char *name;
	int type;
	bool halves;	/* the signature is r and s, not DER */
};

static const struct algorithm algorithms[] = {
	{ "ES256", EVP_PKEY_EC, true },
	{ "RS256", EVP_PKEY_RSA, false },
};

struct key {
	EVP_PKEY *pkey;
	const struct algorithm *algorithm;
	char kid[KID_LEN + 1];
	bool private;
	int64_t until;	/* seconds since 1970; 0: the file has it */
};

struct key_set {
	atomic_uint holders;
	size_t count;
	struct key keys[2 * LIMIT_TOKEN_KEYS];	/* the file's, then those that it had */
};

struct token_keys {
	char *path;
	pthread_mutex_t lock;
	struct key_set *current;	/* guarded by lock */
};

DEFINE_CLEANUP(cleanup_pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(cleanup_bio, BIO *, BIO_free_all)
DEFINE_CLEANUP(cleanup_md_ctx, EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(cleanup_signature, ECDSA_SIG *, ECDSA_SIG_free)

static void free_der(unsigned char **der)
{
	OPENSSL_free(*der);
}

void token_claims_release(struct token_claims *c)
{
	free(c->scopes);
	c->scopes = NULL;
}

static int64_t seconds_now(void)
{
	return timestamp_now() / 1000000000;
}

/* ---- Sets of keys ---- */

static void set_put(struct key_set *s)
{
	if (atomic_fetch_sub(&s->holders, 1) != 1)
		return;
	for (size_t i = 0; i < s->count; i++)
		EVP_PKEY_free(s->keys[i].pkey);
	free(s);
}
DEFINE_CLEANUP(cleanup_set, struct key_set *, set_put)
#define auto_set CLEANUP(cleanup_set)

static struct key_set *set_get(struct token_keys *k)
{
	struct key_set *s;

	pthread_mutex_lock(&k->lock);
	s = k->current;
	atomic_fetch_add(&s->holders, 1);
	pthread_mutex_unlock(&k->lock);
	return s;
}

static const struct key *find_key(const struct key_set *s, const char *kid)
{
	for (size_t i = 0; i < s->count; i++)
		if (streq(s->keys[i].kid, kid))
			return &s->keys[i];
	return NULL;
}

static const struct algorithm *algorithm_of(EVP_PKEY *pkey)
{
	int type = EVP_PKEY_get_base_id(pkey), bits = EVP_PKEY_get_bits(pkey);
	char group[32] = "";

	if (type == EVP_PKEY_EC &&
	    (EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) != 1 || !streq(group, "prime256v1")))
		return NULL;
	if (type == EVP_PKEY_RSA && (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++)
		if (algorithms[i].type == type)
			return &algorithms[i];
	return NULL;
}

static int name_key(EVP_PKEY *pkey, char out[static KID_LEN + 1], struct err *err)
{
	CLEANUP(free_der) unsigned char *der = NULL;
	auto_buf struct buf kid = BUF_INIT;
	struct digest digest;
	int len = i2d_PUBKEY(pkey, &der);
	int r = len > 0 ? digest_of(DIGEST_SHA256, der, (size_t)len, &digest, err) : -EINVAL;

	if (!r)
		base64_add(&kid, BASE64_URL, digest.bytes, digest_size(&digest) - 1);
	if (r || kid.len != KID_LEN)
		return err_set(err, ERR_NO_MEMORY, "can't name a key");
	memcpy(out, kid.data, KID_LEN + 1);
	return 0;
}

/* Takes the key, also when it fails. */
static int add_key(struct key_set *s, EVP_PKEY *taken, bool private, const char *path, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *pkey = taken;
	struct key *key = &s->keys[s->count];
	int r;

	if (s->count == LIMIT_TOKEN_KEYS)
		return err_set(err, ERR_ARGUMENT, "%s has more than %d keys", path, LIMIT_TOKEN_KEYS);
	key->algorithm = algorithm_of(pkey);
	if (!key->algorithm)
		return err_set(err, ERR_ARGUMENT, "key %zu in %s can't be used: there are EC keys on P-256, and RSA keys of %d to %d bits",
			       s->count + 1, path, RSA_BITS_MIN, RSA_BITS_MAX);
	if (!s->count && !private)
		return err_set(err, ERR_ARGUMENT, "the first key in %s is a public one: the one that signs stands first", path);
	r = name_key(pkey, key->kid, err);
	if (r || find_key(s, key->kid))
		return r;
	key->private = private;
	key->until = 0;
	key->pkey = steal(&pkey);
	s->count++;
	return 0;
}

/* ---- The file ---- */

/* One block of a PEM file. */
struct block {
	char *name, *header;
	unsigned char *data;
	long len;
};

static void block_release(struct block *b)
{
	OPENSSL_clear_free(b->data, (size_t)b->len);
	OPENSSL_free(b->header);
	OPENSSL_free(b->name);
}

static bool ends_with(const char *s, const char *end)
{
	size_t len = strlen(s), n = strlen(end);

	return len >= n && streq(s + len - n, end);
}

/* 1: there was one, 0: the file's end. */
static int read_block(BIO *bio, struct key_set *s, const char *path, struct err *err)
{
	CLEANUP(block_release) struct block b = { 0 };
	const unsigned char *p;
	EVP_PKEY *pkey = NULL;
	bool private;
	int r;

	if (PEM_read_bio(bio, &b.name, &b.header, &b.data, &b.len) != 1)
		return 0;
	if (streq(b.name, "EC PARAMETERS"))
		return 1;
	private = ends_with(b.name, "PRIVATE KEY");
	p = b.data;
	if (streq(b.name, "ENCRYPTED PRIVATE KEY") || *b.header)
		return err_set(err, ERR_ARGUMENT, "a key in %s has a passphrase: store it without", path);
	if (private)
		pkey = d2i_AutoPrivateKey(NULL, &p, b.len);
	else if (streq(b.name, "PUBLIC KEY"))
		pkey = d2i_PUBKEY(NULL, &p, b.len);
	if (!pkey)
		return err_set(err, ERR_ARGUMENT, "\"%.60s\" in %s is no key that can be read", b.name, path);
	r = add_key(s, pkey, private, path, err);
	return r ? r : 1;
}

static int read_file(const char *path, struct key_set **out, struct err *err)
{
	CLEANUP(cleanup_bio) BIO *bio = NULL;
	auto_set struct key_set *s = calloc(1, sizeof(*s));
	struct stat st;
	int r;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "no memory for keys");
	s->holders = 1;
	errno = 0;
	if (stat(path, &st) < 0 || !(bio = BIO_new_file(path, "r")))
		return err_set(err, ERR_ARGUMENT, "can't read %s: %s", path, strerrordesc_np(errno ? errno : ENOMEM));
	if (!S_ISREG(st.st_mode) || st.st_size > LIMIT_PEM)
		return err_set(err, ERR_ARGUMENT, "%s is no file of at most %d bytes", path, LIMIT_PEM);
	while ((r = read_block(bio, s, path, err)) > 0)
		continue;
	if (!r && !s->count)
		r = err_set(err, ERR_ARGUMENT, "there is no key in %s: it is a PEM file with a private key", path);
	if (!r)
		*out = steal(&s);
	return r;
}

static int write_key(int fd, struct err *err)
{
	CLEANUP(cleanup_pkey) EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	CLEANUP(cleanup_bio) BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);

	if (!pkey || !bio)
		return err_set(err, ERR_INTERNAL, "OpenSSL can't make a key");
	if (PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) != 1 || fsync(fd) < 0)
		return err_sys(err, errno ? errno : EIO, "can't write a key");
	return 0;
}

static int sync_directory(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	auto_free char *dir = slash ? strndup(path, MAX((size_t)(slash - path), (size_t)1)) : strdup(".");
	auto_fd int fd = dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || fsync(fd) < 0)
		return err_sys(err, dir ? errno : ENOMEM, "can't write the directory of %s", path);
	return 0;
}

/* Whole, or not at all; where another process was faster, its file stays. */
static int make_file(const char *path, struct err *err)
{
	auto_buf struct buf name = BUF_INIT;
	auto_fd int fd = -1;
	int r;

	buf_addf(&name, "%s.XXXXXX", path);
	if (buf_error(&name))
		return err_set(err, ERR_NO_MEMORY, "no memory for a key");
	fd = mkostemp(name.data, O_CLOEXEC);	/* mode 0600 */
	if (fd < 0)
		return err_sys(err, errno, "can't make %s", path);
	r = write_key(fd, err);
	if (!r && link(name.data, path) < 0 && errno != EEXIST)
		r = err_sys(err, errno, "can't make %s", path);
	unlink(name.data);
	return r ? r : sync_directory(path, err);
}

int token_keys_open(const char *path, bool make, struct token_keys **out, struct err *err)
{
	auto_token_keys struct token_keys *k = calloc(1, sizeof(*k));
	int r = 0;

	if (!k)
		return err_set(err, ERR_NO_MEMORY, "no memory for keys");
	pthread_mutex_init(&k->lock, NULL);
	k->path = strdup(path);
	if (!k->path)
		return err_set(err, ERR_NO_MEMORY, "no memory for keys");
	if (make && access(path, F_OK) < 0 && errno == ENOENT)
		r = make_file(path, err);
	if (!r)
		r = read_file(path, &k->current, err);
	if (!r)
		*out = steal(&k);
	return r;
}

void token_keys_free(struct token_keys *k)
{
	if (!k)
		return;
	if (k->current)
		set_put(k->current);
	pthread_mutex_destroy(&k->lock);
	free(k->path);
	free(k);
}

/* Those of the set before that the new one lacks, as long as something may be good that they signed. */
static void keep_old(struct key_set *s, const struct key_set *before, int64_t now)
{
	for (size_t i = 0; i < before->count && s->count < ARRAY_SIZE(s->keys); i++) {
		const struct key *old = &before->keys[i];

		if (find_key(s, old->kid) || (old->until && old->until <= now))
			continue;
		s->keys[s->count] = *old;
		s->keys[s->count].until = old->until ? old->until : now + TOKEN_SECONDS;
		EVP_PKEY_up_ref(old->pkey);
		s->count++;
	}
}

int token_keys_reload(struct token_keys *k, struct err *err)
{
	auto_set struct key_set *s = NULL;
	struct key_set *before;
	int r = read_file(k->path, &s, err);

	if (r)
		return r;
	pthread_mutex_lock(&k->lock);
	before = k->current;
	keep_old(s, before, seconds_now());
	k->current = steal(&s);
	pthread_mutex_unlock(&k->lock);
	set_put(before);
	return 0;
}

/* ---- Signing ---- */

static void add_int(struct buf *b, const char *key, int64_t value)
{
	json_add_key(b, key);
	buf_addf(b, "%" PRId64, value);
}

static void add_text(struct buf *b, const char *key, const char *value)
{
	json_add_key(b, key);
	json_add_string(b, value);
}

static void add_claims(struct buf *json, const char *audience, const struct token_claims *c)
{
	buf_addc(json, '{');
	add_text(json, "iss", ISSUER);
	add_text(json, "aud", audience);
	add_text(json, "sub", c->name);
	add_int(json, "uid", c->subject);
	add_int(json, "tid", c->token);
	add_int(json, "iat", c->issued);
	add_int(json, "nbf", c->issued);
	add_int(json, "exp", c->expires);
	if (c->scopes)
		add_text(json, "scope", c->scopes);
	if (c->stamp[0])
		add_text(json, "stamp", c->stamp);
	buf_addc(json, '}');
}

/* DER to r and s; the length, or 0. */
static size_t to_halves(unsigned char *signature, size_t len)
{
	const unsigned char *p = signature;
	CLEANUP(cleanup_signature) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
	bool good = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, HALF) == HALF &&
		    BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + HALF, HALF) == HALF;

	return good ? 2 * HALF : 0;
}

static int sign(const struct key *key, const char *text, size_t len, unsigned char out[static SIGNATURE_MAX], size_t *out_len,
		struct err *err)
{
	CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	*out_len = SIGNATURE_MAX;
	if (!ctx || EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) != 1 ||
	    EVP_DigestSign(ctx, out, out_len, (const unsigned char *)text, len) != 1)
		*out_len = 0;
	if (*out_len && key->algorithm->halves)
		*out_len = to_halves(out, *out_len);
	return *out_len ? 0 : err_set(err, ERR_INTERNAL, "OpenSSL can't sign a token");
}

int token_sign(struct token_keys *k, const char *audience, const struct token_claims *claims, struct buf *out, struct err *err)
{
	auto_set struct key_set *s = set_get(k);
	const struct key *key = &s->keys[0];
	auto_buf struct buf header = BUF_INIT, json = BUF_INIT;
	unsigned char signature[SIGNATURE_MAX];
	size_t start = out->len, len;
	int r;

	buf_addf(&header, "{\"alg\":\"%s\",\"kid\":\"%s\",\"typ\":\"JWT\"}", key->algorithm->name, key->kid);
	add_claims(&json, audience, claims);
	base64_add(out, BASE64_URL, header.data, header.len);
	buf_addc(out, '.');
	base64_add(out, BASE64_URL, json.data, json.len);
	if (buf_error(&header) || buf_error(&json) || buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "no memory for a token");
	r = sign(key, out->data + start, out->len - start, signature, &len, err);
	if (r)
		return r;
	buf_addc(out, '.');
	base64_add(out, BASE64_URL, signature, len);
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "no memory for a token");
	return out->len - start <= LIMIT_TOKEN ? 0 : err_set(err, ERR_ARGUMENT, "the token would have more than %d bytes: ask for fewer scopes", LIMIT_TOKEN);
}

/* ---- Verifying ---- */

static int refuse(struct err *err, const char *why)
{
	return err_set(err, ERR_UNAUTHORIZED, "the token can't be taken: %s", why);
}

static const char *member_text(const struct json *object, const char *key)
{
	const char *text = json_text(json_get(object, key));

	return text ? text : "";
}

static int count_member(void *arg, const char *key, const struct json *value)
{
	(void)key;
	(void)value;
	++*(size_t *)arg;
	return 0;
}

static bool has_members(const struct json *object, size_t want)
{
	size_t count = 0;

	return !json_each(object, count_member, &count) && count == want;
}

/* The key that signed it, if the header is one that we make. */
static const struct key *read_header(const struct key_set *s, const char *text, size_t len)
{
	auto_json struct json *header = NULL;
	char data[BASE64_DECODED_MAX(HEADER_MAX)];
	const struct key *key;
	ssize_t n = len <= HEADER_MAX ? base64_decode(BASE64_URL, text, len, data) : -EINVAL;

	if (n < 0 || json_parse(data, (size_t)n, &header, NULL) || !has_members(header, 3) ||
	    !streq(member_text(header, "typ"), "JWT"))
		return NULL;
	key = find_key(s, member_text(header, "kid"));
	return key && streq(member_text(header, "alg"), key->algorithm->name) ? key : NULL;
}

/* r and s to DER; the caller frees *out. */
static int to_der(const unsigned char *signature, size_t len, unsigned char **out)
{
	CLEANUP(cleanup_signature) ECDSA_SIG *sig = len == 2 * HALF ? ECDSA_SIG_new() : NULL;
	BIGNUM *r = sig ? BN_bin2bn(signature, HALF, NULL) : NULL, *s = sig ? BN_bin2bn(signature + HALF, HALF, NULL) : NULL;

	if (!r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
		BN_free(r);
		BN_free(s);
		return -EINVAL;
	}
	return i2d_ECDSA_SIG(sig, out);
}

static bool is_signed(const struct key *key, const char *text, size_t len, const unsigned char *signature, size_t signature_len)
{
	CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CLEANUP(free_der) unsigned char *der = NULL;
	int der_len = key->algorithm->halves ? to_der(signature, signature_len, &der) : 0;

	if (der_len < 0 || !ctx)
		return false;
	if (der)
		signature_len = (size_t)der_len;
	return EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
	       EVP_DigestVerify(ctx, der ? der : signature, signature_len, (const unsigned char *)text, len) == 1;
}

/* A text of at most `max` bytes into `out`; not there is "". */
static bool copy_text(const struct json *object, const char *key, char *out, size_t max)
{
	const char *text = member_text(object, key);
	size_t len = strlen(text);

	if (len > max)
		return false;
	memcpy(out, text, len + 1);
	return true;
}

static const char *wrong_claims(const struct json *json, const char *audience, int64_t now, struct token_claims *out)
{
	const struct json *scope = json_get(json, "scope"), *stamp = json_get(json, "stamp");
	int64_t from;

	if (!has_members(json, 8u + !!scope + !!stamp) || !streq(member_text(json, "iss"), ISSUER) ||
	    !json_text(json_get(json, "sub")) || !copy_text(json, "sub", out->name, LIMIT_PRINCIPAL) ||
	    !copy_text(json, "stamp", out->stamp, TOKEN_STAMP_LEN) || !json_int(json_get(json, "uid"), &out->subject) ||
	    !json_int(json_get(json, "tid"), &out->token) || !json_int(json_get(json, "iat"), &out->issued) ||
	    !json_int(json_get(json, "nbf"), &from) || !json_int(json_get(json, "exp"), &out->expires) || out->subject < 0 ||
	    out->token < 0 || (scope && strlen(member_text(json, "scope")) > LIMIT_TOKEN_SCOPES) ||
	    (scope && !json_text(scope)) || (stamp && !json_text(stamp)))
		return "it isn't one of this registry's";
	if (!streq(member_text(json, "aud"), audience))
		return "it is for another service";
	if (out->issued < 0 || from > now + LEEWAY || out->issued > now + LEEWAY)
		return "it isn't valid yet";
	if (out->expires <= now || out->expires > out->issued + TOKEN_REFRESH_SECONDS)
		return "it has expired";
	out->scopes = scope ? strdup(json_text(scope)) : NULL;
	return scope && !out->scopes ? "there is no memory for it" : NULL;
}

int token_read_claims(const char *text, size_t len, const char *audience, int64_t now, struct token_claims *out, struct err *err)
{
	auto_json struct json *json = NULL;
	const char *why;

	*out = (struct token_claims){ .scopes = NULL };
	if (json_parse(text, len, &json, NULL))
		return refuse(err, "it isn't one of this registry's");
	why = wrong_claims(json, audience, now, out);
	if (!why)
		return 0;
	*out = (struct token_claims){ .scopes = NULL };
	return refuse(err, why);
}

int token_verify(struct token_keys *k, const char *audience, const char *text, int64_t now, struct token_claims *out,
		 struct err *err)
{
	auto_set struct key_set *s = set_get(k);
	const char *dot = strchr(text, '.'), *last = strrchr(text, '.');
	size_t len = strnlen(text, LIMIT_TOKEN + 1);
	unsigned char data[BASE64_DECODED_MAX(LIMIT_TOKEN)];
	const struct key *key;
	ssize_t n;

	*out = (struct token_claims){ .scopes = NULL };
	if (len > LIMIT_TOKEN || !dot || last == dot || strchr(dot + 1, '.') != last)
		return refuse(err, "it isn't one");
	key = read_header(s, text, (size_t)(dot - text));
	if (!key || (key->until && key->until <= now))
		return refuse(err, "it isn't signed with a key of this registry's");
	n = base64_decode(BASE64_URL, last + 1, len - (size_t)(last + 1 - text), data);
	if (n < 0 || !is_signed(key, text, (size_t)(last - text), data, (size_t)n))
		return refuse(err, "its signature is wrong");
	n = base64_decode(BASE64_URL, dot + 1, (size_t)(last - dot - 1), data);
	return n < 0 ? refuse(err, "it isn't one") : token_read_claims((const char *)data, (size_t)n, audience, now, out, err);
}
