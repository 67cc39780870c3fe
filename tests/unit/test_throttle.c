/*
 * test_throttle.c: who guesses passwords waits; who doesn't, doesn't.
 */
#include "fs/base/base.h"
#include "fs/auth/throttle.h"
#include "tests/unit/tap.h"

#include <pthread.h>

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define THREADS 4

static int64_t the_time(void *arg)
{
	return __atomic_load_n((int64_t *)arg, __ATOMIC_RELAXED);
}

/* A throttle with a clock that stands still until it is moved. */
struct table {
	struct throttle *t;
	int64_t now;
};

static void table_release(struct table *x)
{
	throttle_free(x->t);
}
#define auto_table CLEANUP(table_release)

static bool table_make(struct table *x)
{
	x->now = 1000 * SECOND;
	return is_int(throttle_new(the_time, &x->now, &x->t, NULL), 0, "made");
}

static int64_t wait_for(struct table *x, const char *account, const char *address)
{
	int64_t wait = -1;
	int r = throttle_ask(x->t, account, address, &wait);

	return r == (wait > 0) ? wait : -1;
}

/* Guesses as often as it may until that time; how often. */
static int guess_until(struct table *x, const char *account, const char *address, int64_t until)
{
	int guesses = 0;

	while (x->now < until) {
		int64_t wait = wait_for(x, account, address);

		x->now += wait;
		if (wait)
			continue;
		throttle_note(x->t, account, address, false);
		guesses++;
	}
	return guesses;
}

static void fail(struct table *x, const char *account, const char *address, int times)
{
	for (int i = 0; i < times; i++)
		throttle_note(x->t, account, address, false);
}

/* ---- An account from an address ---- */

static void test_pair(void)
{
	auto_table struct table x = { 0 };

	if (!table_make(&x))
		return;
	fail(&x, "alice", "192.0.2.1", 4);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "four failures cost nothing");
	fail(&x, "alice", "192.0.2.1", 1);
	is_int(wait_for(&x, "alice", "192.0.2.1"), SECOND, "the fifth costs a second");
	fail(&x, "alice", "192.0.2.1", 1);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 2 * SECOND, "the sixth two");
	x.now += SECOND;
	is_int(wait_for(&x, "alice", "192.0.2.1"), SECOND, "of which one is over");
	is_int(wait_for(&x, "bob", "192.0.2.1"), 0, "another account of the address doesn't wait yet");
	is_int(wait_for(&x, "alice", "192.0.2.2"), 0, "nor does the account elsewhere");
	x.now += SECOND;
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "one is let through");
	is_int(wait_for(&x, "alice", "192.0.2.1"), 2 * SECOND, "but no second one with it");
	fail(&x, "alice", "192.0.2.1", 100);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 15 * MINUTE, "a quarter of an hour is the longest");
	x.now += 5 * 60 * MINUTE;
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "hours later");
	fail(&x, "alice", "192.0.2.1", 4);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "all is forgiven");
}

static void test_patience(void)
{
	auto_table struct table x = { 0 };
	int guesses;

	if (!table_make(&x))
		return;
	guesses = guess_until(&x, "alice", "192.0.2.1", x.now + 24 * 60 * MINUTE);
	ok(guesses > 50 && guesses < 120, "%d guesses in a day from one address", guesses);
}

static void test_success(void)
{
	auto_table struct table x = { 0 };

	if (!table_make(&x))
		return;
	fail(&x, "alice", "192.0.2.1", 4);
	throttle_note(x.t, "alice", "192.0.2.1", true);
	fail(&x, "alice", "192.0.2.1", 4);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "a success takes back what was mistyped");
	fail(&x, "alice", "192.0.2.1", 3);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 4 * SECOND, "who has logged in isn't free to guess either");
}

/* ---- An address ---- */

static void test_address(void)
{
	auto_table struct table x = { 0 };
	char name[16];

	if (!table_make(&x))
		return;
	throttle_note(x.t, "mallory", "192.0.2.1", true);
	for (int i = 0; i < 19; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		fail(&x, name, "192.0.2.1", 1);
	}
	is_int(wait_for(&x, "bob", "192.0.2.1"), 0, "19 accounts");
	fail(&x, "user19", "192.0.2.1", 1);
	is_int(wait_for(&x, "bob", "192.0.2.1"), SECOND, "the twentieth makes the address wait");
	throttle_note(x.t, "mallory", "192.0.2.1", true);
	is_int(wait_for(&x, "bob", "192.0.2.1"), SECOND, "that one has an account there doesn't free it");
	is_int(wait_for(&x, "mallory", "192.0.2.1"), 0, "who has logged in from there doesn't wait for others");
	is_int(wait_for(&x, "bob", "192.0.2.2"), 0, "nor does another address");
	fail(&x, "user20", "192.0.2.1", 40);
	is_int(wait_for(&x, "bob", "192.0.2.1"), 5 * MINUTE, "five minutes are the longest");
}

static void test_networks(void)
{
	static const struct {
		const char *failed, *asked;
		bool same;
	} rows[] = {
		{ "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true },
		{ "2001:db8:0:1::1", "2001:db8:0:2::1", false },
		{ "2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0002", true },
		{ "::ffff:192.0.2.1", "192.0.2.1", true },
		{ "::ffff:192.0.2.1", "192.0.2.2", false },
		{ "192.0.2.1", "192.0.2.129", false },
		{ "fe80::1%eth0", "fe80::2%eth1", true },
		{ "mount", "mount", true },
		{ "mount", "command", false },
		{ NULL, "", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_table struct table x = { 0 };

		if (!table_make(&x))
			return;
		fail(&x, "alice", rows[i].failed, 5);
		is_int(wait_for(&x, "alice", rows[i].asked) > 0, rows[i].same, "%s and %s are %s",
		       rows[i].failed ? rows[i].failed : "NULL", rows[i].asked, rows[i].same ? "one" : "two");
	}
}

static void test_long(void)
{
	auto_table struct table x = { 0 };
	char name[5000], other[5000];

	if (!table_make(&x))
		return;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	memcpy(other, name, sizeof(name));
	other[sizeof(other) - 2] = 'b';
	fail(&x, name, name, 5);
	ok(wait_for(&x, name, name) > 0, "long texts");
	is_int(wait_for(&x, other, name), 0, "are compared to their end");
}

/* ---- Strangers ---- */

/* Address number i, of IPv6: each is a network of its own. */
static const char *stranger(int i, char out[static 40])
{
	snprintf(out, 40, "2001:db8:%x:%x::1", (unsigned)i >> 16, (unsigned)i & 0xffff);
	return out;
}

static void test_lock_out(void)
{
	auto_table struct table x = { 0 };
	char from[40];
	int64_t wait;

	if (!table_make(&x))
		return;
	throttle_note(x.t, "alice", "192.0.2.1", true);
	for (int i = 0; i < 1000; i++)
		fail(&x, "alice", stranger(i, from), 5);
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "a thousand strangers don't lock out who has logged in from there");
	wait = wait_for(&x, "alice", "198.51.100.1");
	ok(wait > 0 && wait <= 5 * SECOND / 2, "elsewhere the account waits, %.1f s", (double)wait / SECOND);
	is_int(wait_for(&x, "bob", "198.51.100.1"), 0, "others don't");
	x.now += 5 * SECOND / 2;
	is_int(wait_for(&x, "alice", "198.51.100.1"), 0, "and comes before those who have failed");
	throttle_note(x.t, "alice", "198.51.100.1", true);
	fail(&x, "alice", stranger(1, from), 100);
	is_int(wait_for(&x, "alice", "198.51.100.1"), 0, "and then is known, too");
}

/* As many guesses at one account from as many networks as somebody may have: slow, all together. */
static void test_many_networks(void)
{
	auto_table struct table x = { 0 };
	int64_t until;
	int guesses = 0;
	char from[40];

	if (!table_make(&x))
		return;
	until = x.now + 60 * MINUTE;
	for (int i = 0; x.now < until; i++) {
		int64_t wait = wait_for(&x, "alice", stranger(i, from));

		x.now += wait;
		if (wait_for(&x, "alice", from))
			continue;
		fail(&x, "alice", from, 1);
		guesses++;
	}
	ok(guesses < 1500, "%d guesses in an hour, each from a network of its own", guesses);
}

/* Filling the table frees nobody, whether with failures or with successes of an account of one's own. */
static void test_flood(void)
{
	auto_table struct table x = { 0 };
	char from[40], name[24];

	if (!table_make(&x))
		return;
	fail(&x, "alice", "192.0.2.1", 100);
	for (int i = 0; i < 200000; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		throttle_note(x.t, name, stranger(i, from), false);
	}
	is_int(wait_for(&x, "alice", "192.0.2.1"), 15 * MINUTE, "after 200000 other failures it waits as before");
	for (int i = 0; i < 20000; i++)
		throttle_note(x.t, "mallory", stranger(i, from), true);
	ok(wait_for(&x, "alice", "192.0.2.1") >= 14 * MINUTE, "and after 20000 successes of somebody else");
}

static void test_flood_known(void)
{
	auto_table struct table x = { 0 };
	char from[40], name[24];

	if (!table_make(&x))
		return;
	throttle_note(x.t, "alice", "192.0.2.1", true);
	for (int i = 0; i < 200000; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		throttle_note(x.t, name, stranger(i, from), false);
	}
	is_int(wait_for(&x, "alice", "192.0.2.1"), 0, "who has logged in from there doesn't notice a full table");
	/* Of an account's own addresses the oldest is forgotten. */
	for (int i = 0; i < 8; i++) {
		x.now += SECOND;
		throttle_note(x.t, "alice", stranger(i, from), true);
	}
	fail(&x, "alice", "192.0.2.1", 6);
	ok(wait_for(&x, "alice", "192.0.2.1") > 0, "one that was forgotten has its failures counted");
}

/* ---- Threads ---- */

struct guesser {
	struct table *x;
	pthread_t thread;
	int number, passed;
};

static void *guess(void *arg)
{
	struct guesser *g = arg;
	char name[16];
	int64_t wait;

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "user%d", i % 50);
		if (!throttle_ask(g->x->t, name, "192.0.2.1", &wait)) {
			g->passed++;
			throttle_note(g->x->t, name, "192.0.2.1", g->number == 0 && i % 7 == 0);
		}
		__atomic_fetch_add(&g->x->now, SECOND / 1000, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_threads(void)
{
	auto_table struct table x = { 0 };
	struct guesser all[THREADS];
	int passed = 0;

	if (!table_make(&x))
		return;
	for (int i = 0; i < THREADS; i++) {
		all[i] = (struct guesser){ .x = &x, .number = i };
		if (pthread_create(&all[i].thread, NULL, guess, &all[i]))
			return;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(all[i].thread, NULL);
		passed += all[i].passed;
	}
	ok(passed >= 20 && passed < 20 + 500, "%d of %d came through", passed, THREADS * 500);
}

static void test_clock(void)
{
	auto_throttle struct throttle *t = NULL;
	int64_t wait;

	is_int(throttle_new(NULL, NULL, &t, NULL), 0, "with the system's clock");
	for (int i = 0; t && i < 6; i++)
		throttle_note(t, "alice", "192.0.2.1", false);
	is_int(t ? throttle_ask(t, "alice", "192.0.2.1", &wait) : -1, 1, "it waits");
	ok(wait > SECOND && wait <= 2 * SECOND, "%.3f s", (double)wait / SECOND);
}

int main(void)
{
	test_pair();
	test_patience();
	test_success();
	test_address();
	test_networks();
	test_long();
	test_lock_out();
	test_many_networks();
	test_flood();
	test_flood_known();
	test_threads();
	test_clock();
	return done_testing();
}
