/*
 * throttle.c: see throttle.h.
 *
 * Failures are counted in tables, one for each kind, of which nothing is ever thrown out (count-min sketches): ROWS rows of
 * CELLS cells; a key has one cell in each row, by a keyed hash, and a failure is added to all of them. What a cell holds
 * is at least what each of its keys has, so the least over the rows is too: keys that share cells make each other wait
 * longer, never shorter. Whoever fails with a million names fills the table, and frees nobody.
 *
 * A cell keeps a debt in nanoseconds: each failure adds what it takes to be forgiven, and time pays it off. It also
 * keeps when it was last counted or let through: the next may come a delay after that, and the delay doubles with
 * each failure that isn't forgiven.
 *
 * Who has logged in is kept exactly, with failures of its own, in sets of WAYS by the account: only successes get in, and
 * whoever may succeed throws out the oldest of the same set only. What is lost so is an exemption.
 *
 * Invariants:
 *  1. A failure is counted in the sketch, always: being thrown out of a set hides none.
 *  2. No success lowers a cell of the sketch, which may hold others' failures: it makes who succeeded known, without any.
 *  3. The key of the hash is never shown: nobody can choose two keys that share cells.
 */
#include "fs/base/base.h"
#include "fs/auth/throttle.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/random.h>

#include "fs/auth/secret.h"
#include "fs/base/digest.h"

#define SECOND INT64_C(1000000000)
#define MINUTE (60 * SECOND)
#define ROWS 4
#define CELLS 4096	/* of a row */
#define SETS 512
#define WAYS 8
#define KEY_BYTES 32
#define ADDRESS_TEXT_MAX 64

enum kind {
	PAIR,
	ADDRESS,
	ACCOUNT,
	KINDS
};

struct rule {
	int free;	/* failures that cost nothing */
	int most;	/* that are counted */
	int64_t first, longest;	/* delays */
	int64_t forgive;	/* the time that takes one back */
};

static const struct rule rules[KINDS] = {
	[PAIR] = { .free = 5, .most = 16, .first = SECOND, .longest = 15 * MINUTE, .forgive = 15 * MINUTE },
	[ADDRESS] = { .free = 20, .most = 30, .first = SECOND, .longest = 5 * MINUTE, .forgive = MINUTE },
	[ACCOUNT] = { .free = 10, .most = 16, .first = SECOND / 4, .longest = 5 * SECOND, .forgive = 5 * SECOND },
};

struct cell {
	int64_t debt;	/* as of `last` */
	int64_t last;
};

/* An address that an account has logged in from. */
struct known {
	uint64_t tag;	/* 0: empty */
	int64_t used;
	struct cell cell;
};

struct throttle {
	throttle_clock_fn *clock;
	void *arg;
	unsigned char key[KEY_BYTES];
	pthread_mutex_t lock;
	struct cell cells[KINDS][ROWS][CELLS];	/* guarded by lock */
	struct known known[SETS][WAYS];		/* guarded by lock */
};

/* Where a caller's keys are. */
struct place {
	int64_t now;
	uint32_t at[KINDS][ROWS];
	uint32_t set;
	uint64_t tag;
};

static int64_t monotonic(void *arg)
{
	struct timespec now;

	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

int throttle_new(throttle_clock_fn *clock, void *arg, struct throttle **out, struct err *err)
{
	auto_free struct throttle *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	/* So few come at once. */
	if (getrandom(t->key, sizeof(t->key), 0) != (ssize_t)sizeof(t->key))
		return err_sys(err, errno, "no random numbers");
	t->clock = clock ? clock : monotonic;
	t->arg = arg;
	pthread_mutex_init(&t->lock, NULL);
	*out = steal(&t);
	return 0;
}

void throttle_free(struct throttle *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	secret_forget(t->key, sizeof(t->key));
	free(t);
}

/* ---- Keys ---- */

/* An address as it is counted: that of IPv4, or the first half of one of IPv6. */
static size_t network_of(const char *text, unsigned char out[static ADDRESS_TEXT_MAX])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char plain[ADDRESS_TEXT_MAX];
	unsigned char six[16];
	size_t len = strcspn(text, "%");	/* a link-local one's interface */

	snprintf(plain, sizeof(plain), "%.*s", (int)MIN(len, sizeof(plain)), text);
	if (inet_pton(AF_INET, plain, out) == 1)
		return 4;
	if (inet_pton(AF_INET6, plain, six) != 1) {
		len = strnlen(plain, sizeof(plain));
		memcpy(out, plain, len);
		return len;
	}
	if (memcmp(six, mapped, sizeof(mapped)) == 0) {
		memcpy(out, six + 12, 4);
		return 4;
	}
	memcpy(out, six, 8);
	return 8;
}

/* The keyed digest of a kind, an account's digest and a network. One that can't be had is one key for all. */
static void hash(const struct throttle *t, enum kind kind, const struct digest *account, const unsigned char *network,
		 size_t len, struct digest *out)
{
	unsigned char text[KEY_BYTES + 1 + DIGEST_BYTES_MAX + ADDRESS_TEXT_MAX] = { 0 };
	size_t end = KEY_BYTES;

	memcpy(text, t->key, KEY_BYTES);
	text[end++] = (unsigned char)kind;
	if (kind != ADDRESS)
		memcpy(text + end, account->bytes, DIGEST_BYTES_MAX);
	end += DIGEST_BYTES_MAX;
	if (kind != ACCOUNT)
		memcpy(text + end, network, len);
	end += kind != ACCOUNT ? len : 0;
	memset(out, 0, sizeof(*out));
	(void)!digest_of(DIGEST_SHA256, text, end, out, NULL);
	secret_forget(text, KEY_BYTES);
}

static void find_place(struct throttle *t, const char *account, const char *address, struct place *out)
{
	unsigned char network[ADDRESS_TEXT_MAX];
	size_t len = network_of(address ? address : "", network);
	struct digest name = { 0 }, d;

	account = account ? account : "";
	(void)!digest_of(DIGEST_SHA256, account, strlen(account), &name, NULL);
	for (int kind = 0; kind < KINDS; kind++) {
		hash(t, (enum kind)kind, &name, network, len, &d);
		for (size_t row = 0; row < ROWS; row++) {
			uint32_t part;

			memcpy(&part, d.bytes + row * sizeof(part), sizeof(part));
			out->at[kind][row] = part % CELLS;
		}
		if (kind == PAIR) {
			memcpy(&out->tag, d.bytes + 16, sizeof(out->tag));
			out->tag |= 1;
		}
		if (kind == ACCOUNT) {
			memcpy(&out->set, d.bytes + 16, sizeof(out->set));
			out->set %= SETS;
		}
	}
}

/* ---- Cells ---- */

static int64_t debt_at(const struct cell *c, int64_t now)
{
	return MAX(c->debt - (now - c->last), INT64_C(0));
}

/* Failures of a debt, rounded. */
static int64_t failures(const struct rule *rule, int64_t debt)
{
	return (debt + rule->forgive / 2) / rule->forgive;
}

static int64_t delay(const struct rule *rule, int64_t debt)
{
	int64_t over = failures(rule, debt) - rule->free;

	if (over < 0)
		return 0;
	return MIN(rule->first << MIN(over, INT64_C(20)), rule->longest);
}

static int64_t wait_of(const struct rule *rule, const struct cell *c, int64_t now)
{
	return MAX(c->last + delay(rule, c->debt) - now, INT64_C(0));
}

/* Pays off what time has, and adds failures. */
static void add(const struct rule *rule, struct cell *c, int64_t count, int64_t now)
{
	c->debt = MIN(debt_at(c, now) + count * rule->forgive, rule->most * rule->forgive);
	c->last = now;
}

static struct cell *cell_of(struct throttle *t, const struct place *p, enum kind kind, size_t row)
{
	return &t->cells[kind][row][p->at[kind][row]];
}

/* The least over the rows: how long to wait, and what is owed. */
static int64_t look(struct throttle *t, const struct place *p, enum kind kind, int64_t *debt)
{
	int64_t wait = INT64_MAX;

	*debt = INT64_MAX;
	for (size_t row = 0; row < ROWS; row++) {
		const struct cell *c = cell_of(t, p, kind, row);

		wait = MIN(wait, wait_of(&rules[kind], c, p->now));
		*debt = MIN(*debt, debt_at(c, p->now));
	}
	return wait;
}

static void count(struct throttle *t, const struct place *p, enum kind kind, int64_t failed)
{
	for (size_t row = 0; row < ROWS; row++)
		add(&rules[kind], cell_of(t, p, kind, row), failed, p->now);
}

/* ---- Addresses that an account has logged in from ---- */

static struct known *find_known(struct throttle *t, const struct place *p)
{
	for (size_t i = 0; i < WAYS; i++)
		if (t->known[p->set][i].tag == p->tag)
			return &t->known[p->set][i];
	return NULL;
}

/* Its place, or that of the one that has been used the longest ago. */
static void keep_known(struct throttle *t, const struct place *p)
{
	struct known *k = find_known(t, p), *set = t->known[p->set];

	for (size_t i = 0; !k && i < WAYS; i++)
		if (!set[i].tag)
			k = &set[i];
	if (!k) {
		k = set;
		for (size_t i = 1; i < WAYS; i++)
			if (set[i].used < k->used)
				k = &set[i];
	}
	*k = (struct known){ .tag = p->tag, .used = p->now };
}

/* ---- Asking ---- */

/* One that is let through after a wait begins the next, whatever will come of it: several don't come at once. */
static void let_through(struct throttle *t, const struct place *p, enum kind kind, int64_t debt)
{
	if (delay(&rules[kind], debt))
		count(t, p, kind, 0);
}

static int64_t ask_known(struct known *k, int64_t now)
{
	int64_t wait = wait_of(&rules[PAIR], &k->cell, now);

	if (!wait && delay(&rules[PAIR], debt_at(&k->cell, now)))
		add(&rules[PAIR], &k->cell, 0, now);
	return wait;
}

static int64_t ask_stranger(struct throttle *t, const struct place *p)
{
	int64_t debt[KINDS], wait = 0;

	for (int kind = 0; kind < KINDS; kind++) {
		int64_t one = look(t, p, (enum kind)kind, &debt[kind]);

		/* Who hasn't failed here comes before those who have. */
		if (kind == ACCOUNT && !failures(&rules[PAIR], debt[PAIR]))
			one = MAX(one - delay(&rules[ACCOUNT], debt[ACCOUNT]) / 2, INT64_C(0));
		wait = MAX(wait, one);
	}
	for (int kind = 0; !wait && kind < KINDS; kind++)
		let_through(t, p, (enum kind)kind, debt[kind]);
	return wait;
}

int throttle_ask(struct throttle *t, const char *account, const char *address, int64_t *retry_after_ns)
{
	struct place p = { .now = 0 };
	struct known *k;

	find_place(t, account, address, &p);
	pthread_mutex_lock(&t->lock);
	p.now = t->clock(t->arg);
	k = find_known(t, &p);
	*retry_after_ns = k ? ask_known(k, p.now) : ask_stranger(t, &p);
	pthread_mutex_unlock(&t->lock);
	return *retry_after_ns > 0;
}

void throttle_note(struct throttle *t, const char *account, const char *address, bool ok)
{
	struct place p = { .now = 0 };
	struct known *k;

	find_place(t, account, address, &p);
	pthread_mutex_lock(&t->lock);
	p.now = t->clock(t->arg);
	k = find_known(t, &p);
	if (ok)
		keep_known(t, &p);
	else
		for (int kind = 0; kind < KINDS; kind++)
			count(t, &p, (enum kind)kind, 1);
	if (!ok && k)
		add(&rules[PAIR], &k->cell, 1, p.now);
	pthread_mutex_unlock(&t->lock);
}
