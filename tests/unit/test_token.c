/*
 * test_token.c: signed tokens at their limits, and keys that come and go. tests/auth.t has what a stranger can make.
 */
#include "fs/base/base.h"
#include "fs/auth/token.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>

#define NOW 1700000000
#define THREADS 4

static struct token_claims some_claims(char *scopes)
{
	return (struct token_claims){
		.name = "alice", .subject = 7, .token = 3, .issued = NOW, .expires = NOW + TOKEN_SECONDS, .scopes = scopes
	};
}

static bool takes(struct token_keys *k, const char *text, int64_t now)
{
	auto_token_claims struct token_claims c = { .scopes = NULL };

	return !token_verify(k, "here", text, now, &c, NULL);
}

static void test_round_trip(struct token_keys *k)
{
	char scopes[] = "repository:shop/web:pull,push";
	const struct token_claims claims = some_claims(scopes);
	auto_token_claims struct token_claims back = { .scopes = NULL }, none = { .scopes = NULL };
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	if (!ok(!token_sign(k, "here", &claims, &text, &err), "a token is signed"))
		return;
	printf("# %zu bytes\n", text.len);
	if (!ok(!token_verify(k, "here", text.data, NOW, &back, &err), "it verifies"))
		printf("# %s\n", err.text);
	is_str(back.name, "alice", "its name");
	is_int(back.subject, 7, "its subject");
	is_int(back.token, 3, "its token");
	is_int(back.expires, NOW + TOKEN_SECONDS, "when it expires");
	is_str(back.scopes, scopes, "its scopes");
	is_str(back.stamp, "", "no stamp");
	ok(takes(k, text.data, NOW + TOKEN_SECONDS - 1), "in its last second");
	ok(!takes(k, text.data, NOW + TOKEN_SECONDS), "not afterwards");
	ok(takes(k, text.data, NOW - 10), "on a machine whose clock is 10 seconds behind");
	ok(!takes(k, text.data, NOW - 11), "not on one that is 11");
	is_int(token_verify(k, "there", text.data, NOW, &none, &err), -EACCES, "not for another");
	ok(err.reason == ERR_UNAUTHORIZED && !none.scopes && !none.name[0], "with its reason, and nothing else");
	for (size_t i = 0; i < text.len; i++) {
		char was = text.data[i];

		text.data[i] = was == 'A' ? 'B' : 'A';
		if (takes(k, text.data, NOW))
			ok(false, "changed at %zu it is still taken", i);
		text.data[i] = was;
	}
	for (size_t len = 0; len < text.len; len++) {
		auto_free char *cut = strndup(text.data, len);

		if (cut && takes(k, cut, NOW))
			ok(false, "cut to %zu bytes it is still taken", len);
	}
	ok(takes(k, text.data, NOW), "only as it was");
}

static void test_limits(struct token_keys *k)
{
	auto_free char *scopes = malloc(LIMIT_TOKEN_SCOPES + 2);
	struct token_claims claims = some_claims(scopes);
	auto_token_claims struct token_claims back = { .scopes = NULL };
	auto_buf struct buf text = BUF_INIT, longer = BUF_INIT;

	memset(scopes, 'x', LIMIT_TOKEN_SCOPES + 1);
	scopes[LIMIT_TOKEN_SCOPES + 1] = '\0';
	snprintf(claims.stamp, sizeof(claims.stamp), "%032d", 0);
	ok(!token_sign(k, "here", &claims, &longer, NULL), "one byte of scopes more");
	ok(!takes(k, longer.data, NOW), "isn't taken");
	scopes[LIMIT_TOKEN_SCOPES] = '\0';
	ok(!token_sign(k, "here", &claims, &text, NULL), "the most scopes");
	ok(text.len <= LIMIT_TOKEN && !token_verify(k, "here", text.data, NOW, &back, NULL), "are taken, in %zu bytes", text.len);
	is_str(back.stamp, claims.stamp, "and a stamp");
}

static bool copy_keys(const char *to, const char *first, const char *second)
{
	const char *from[] = { first, second };
	auto_fd int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char data[4096];

	for (size_t i = 0; i < ARRAY_SIZE(from) && from[i]; i++) {
		auto_fd int in = open(from[i], O_RDONLY);
		ssize_t n = read(in, data, sizeof(data));

		if (n <= 0 || write(out, data, (size_t)n) != n)
			return false;
	}
	return out >= 0;
}

/* A token signed by a key of its own file, "key.<n>" of the directory, now. */
static bool sign_by(const char *path, struct buf *out)
{
	auto_token_keys struct token_keys *k = NULL;
	struct token_claims claims = some_claims(NULL);

	claims.issued = time(NULL);
	claims.expires = claims.issued + TOKEN_SECONDS;
	return !token_keys_open(path, true, &k, NULL) && !token_sign(k, "here", &claims, out, NULL);
}

static void test_rotation(const char *dir)
{
	auto_free char *first = scratch_path(dir, "first"), *second = scratch_path(dir, "second"), *path = scratch_path(dir, "both");
	auto_buf struct buf a = BUF_INIT, b = BUF_INIT;
	auto_token_keys struct token_keys *k = NULL;
	int64_t now = time(NULL);

	if (!ok(sign_by(first, &a) && sign_by(second, &b), "two keys") || !ok(copy_keys(path, first, NULL), "a file of the first") ||
	    !ok(!token_keys_open(path, false, &k, NULL), "it opens"))
		return;
	ok(takes(k, a.data, now) && !takes(k, b.data, now), "it takes what the first signed");
	ok(copy_keys(path, second, first) && !token_keys_reload(k, NULL), "the second in front");
	ok(takes(k, a.data, now) && takes(k, b.data, now), "both are taken");
	ok(copy_keys(path, second, second) && !token_keys_reload(k, NULL), "the second alone, twice");
	ok(takes(k, a.data, now), "the first goes on");
	ok(!takes(k, a.data, now + TOKEN_SECONDS + 2), "until what it signed has expired");
	for (int i = 0; i < 100; i++)
		if (!copy_keys(path, i % 2 ? first : second, NULL) || token_keys_reload(k, NULL))
			ok(false, "reading %d", i);
	ok(takes(k, a.data, now) && takes(k, b.data, now), "to and fro a hundred times");
	ok(truncate(path, 0) == 0 && token_keys_reload(k, NULL) == -EINVAL, "an empty file is refused");
	ok(takes(k, a.data, now) && takes(k, b.data, now), "and changes nothing");
}

struct contest {
	struct token_keys *keys;
	const char *text;
};

static void *verify_often(void *arg)
{
	const struct contest *c = arg;
	intptr_t wrong = 0;

	for (int i = 0; i < 300; i++) {
		wrong += !takes(c->keys, c->text, NOW);
		wrong += i % 20 == 0 && token_keys_reload(c->keys, NULL);
	}
	return (void *)wrong;
}

static void test_threads(struct token_keys *k)
{
	const struct token_claims claims = some_claims(NULL);
	auto_buf struct buf text = BUF_INIT;
	pthread_t threads[THREADS];
	intptr_t wrong = token_sign(k, "here", &claims, &text, NULL);
	struct contest c = { k, text.data };

	for (int i = 0; i < THREADS; i++)
		wrong += pthread_create(&threads[i], NULL, verify_often, &c);
	for (int i = 0; i < THREADS; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		wrong += (intptr_t)result;
	}
	is_int(wrong, 0, "%d threads verify while the file is read again", THREADS);
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_token_keys struct token_keys *k = NULL, *again = NULL;
	auto_free char *path = NULL;
	struct stat st = { .st_mode = 0 };

	if (!scratch_make(&tmp))
		return 1;
	path = scratch_path(tmp.dir, "keys.pem");
	is_int(token_keys_open(path, false, &k, NULL), -EINVAL, "no file");
	if (!ok(!token_keys_open(path, true, &k, NULL), "is made"))
		return done_testing();
	ok(!stat(path, &st) && (st.st_mode & 07777) == 0600, "for its owner alone");
	ok(!token_keys_open(path, true, &again, NULL), "and stays");
	test_round_trip(k);
	test_limits(again);
	test_rotation(tmp.dir);
	test_threads(k);
	return done_testing();
}
