/*
 * test_verified.c: what was verified is remembered, until it expires, in bounded memory, and found in no time.
 */
#include "fs/base/base.h"
#include "fs/auth/verified.h"
#include "tests/unit/tap.h"

#include <pthread.h>

#define HEADER_LEN 640	/* "Bearer ", and a token of usual length */
#define BATCHES 50
#define BATCH 1000
#define BOUND_NS 5000
#define THREADS 4

DEFINE_CLEANUP(cleanup_cache, struct verified_cache *, verified_cache_free)

/* Remembers subject `n` under the text "n", until then. */
static bool keep(struct verified_cache *c, int64_t n, int64_t until, int64_t now)
{
	const struct cred cred = cred_subject(n, "alice", "127.0.0.1");
	auto_verified struct verified *v = NULL;
	struct scopes *scopes = NULL;
	struct digest key;
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRId64, n);

	if (scopes_parse("repository:shop/web:pull", &scopes, NULL))
		return false;
	v = verified_new(&cred, scopes, until, -1);
	if (!v || verified_key(c, text, (size_t)len, &key, NULL))
		return false;
	verified_keep(c, &key, v, now);
	return true;
}

/* Who is found under "n" at that time; the caller puts it. */
static struct verified *find(struct verified_cache *c, int64_t n, int64_t now)
{
	struct digest key;
	char text[32];
	int len = snprintf(text, sizeof(text), "%" PRId64, n);

	return verified_key(c, text, (size_t)len, &key, NULL) ? NULL : verified_find(c, &key, now);
}

static void test_one(struct verified_cache *c)
{
	auto_verified struct verified *v = NULL, *late = NULL, *other = NULL;

	ok(keep(c, 1, 100, 0), "one is remembered");
	v = find(c, 1, 99);
	if (ok(v, "it is found")) {
		is_int(v->cred.subject, 1, "who it is");
		ok(!v->cred.from, "not from where");
		is_int(scopes_allow(v->cred.scopes, "shop/web"), ACTION_PULL, "its scopes");
	}
	other = find(c, 2, 99);
	ok(!other, "another one isn't");
	late = find(c, 1, 100);
	ok(!late, "it isn't found when it has expired");
	ok(v && scopes_count(v->cred.scopes) == 1, "who holds it goes on");
}

static void test_bounds(struct verified_cache *c)
{
	int64_t found = 0;
	struct digest key;
	char text[LIMIT_AUTHORIZATION + 1];

	for (int64_t n = 0; n < 4 * LIMIT_VERIFIED; n++)
		found += keep(c, n, 1000 + n, 0) ? 0 : 1;
	is_int(found, 0, "four times as many as there is room for are taken");
	for (int64_t n = 0; n < 4 * LIMIT_VERIFIED; n++) {
		auto_verified struct verified *v = find(c, n, 999);

		found += v != NULL;
	}
	is_int(found, LIMIT_VERIFIED, "as many are found as there is room for");
	for (int64_t n = 0; n < LIMIT_VERIFIED / 2; n++) {
		auto_verified struct verified *v = find(c, n, 999);

		found -= v != NULL;
	}
	is_int(found, LIMIT_VERIFIED, "none of those that expire first");
	memset(text, 'x', sizeof(text));
	ok(!verified_key(c, text, LIMIT_AUTHORIZATION, &key, NULL), "the longest text");
	is_int(verified_key(c, text, LIMIT_AUTHORIZATION + 1, &key, NULL), -EACCES, "a longer one");
}

static int64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* What a request with a token pays that was verified before. */
static void test_cost(struct verified_cache *c)
{
	const struct cred cred = cred_subject(1, "alice", NULL);
	auto_verified struct verified *v = verified_new(&cred, NULL, INT64_MAX, -1);
	char header[HEADER_LEN];
	int64_t best = INT64_MAX, found = 0;
	struct digest key;

	memset(header, 'x', sizeof(header));
	if (!ok(v && !verified_key(c, header, sizeof(header), &key, NULL), "a token"))
		return;
	verified_keep(c, &key, v, 0);
	for (int i = 0; i < BATCHES; i++) {
		int64_t start = nanoseconds();

		for (int j = 0; j < BATCH; j++) {
			auto_verified struct verified *again = NULL;

			if (!verified_key(c, header, sizeof(header), &key, NULL))
				again = verified_find(c, &key, start);
			found += again != NULL;
		}
		best = MIN(best, (nanoseconds() - start) / BATCH);
	}
	is_int(found, BATCHES * BATCH, "it is found each time");
	ok(best < BOUND_NS, "the second time it costs %" PRId64 " ns, less than %d", best, BOUND_NS);
}

static void *keep_and_find(void *arg)
{
	int64_t wrong = 0;

	for (int64_t n = 0; n < 20000; n++) {
		auto_verified struct verified *v = NULL;

		if (n % 3 == 0)
			wrong += !keep(arg, n % 500, 10 + n, n);
		v = find(arg, n % 500, n);
		wrong += v && (v->cred.subject != n % 500 || scopes_count(v->cred.scopes) != 1);
	}
	return (void *)(intptr_t)wrong;
}

static void test_threads(void)
{
	CLEANUP(cleanup_cache) struct verified_cache *c = NULL;
	pthread_t threads[THREADS];
	int64_t wrong = 0;

	if (!ok(!verified_cache_new(&c, NULL), "a cache for threads"))
		return;
	for (int i = 0; i < THREADS; i++)
		wrong += pthread_create(&threads[i], NULL, keep_and_find, c) != 0;
	for (int i = 0; i < THREADS; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		wrong += (intptr_t)result;
	}
	is_int(wrong, 0, "%d threads at once", THREADS);
}

int main(void)
{
	CLEANUP(cleanup_cache) struct verified_cache *c = NULL;

	if (!ok(!verified_cache_new(&c, NULL), "a cache"))
		return done_testing();
	test_one(c);
	test_bounds(c);
	test_cost(c);
	test_threads();
	return done_testing();
}
