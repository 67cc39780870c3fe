/*
 * throttle.h: guessing passwords is made slow, by account and by address.
 *
 * Whoever checks a password or a secret asks first, and notes what came of it:
 *
 *	if (throttle_ask(t, account, address, &wait))
 *		... refuse, nothing was checked; HTTP: 429 and Retry-After of wait ...
 *	r = tree_login(...);
 *	throttle_note(t, account, address, r == 0);	not where it failed for want of memory or a disk
 *
 * Three things are slowed, each after a few failures that cost nothing, and then longer with each:
 *
 *	an account from an address	5 failures, then 1 s, 2 s, 4 s ... 15 min; one is forgiven in 15 min
 *	an address			20 failures, then 1 s, 2 s ... 5 min; one is forgiven in a minute
 *	an account from anywhere	10 failures, then 1/4 s ... 5 s; one is forgiven in 5 s
 *
 * So a stranger can't lock an account: elsewhere its owner waits 5 seconds at most, half of that where nobody has
 * failed from that address. From an address that the account has logged in from before, only its own failures count:
 * neither those from other addresses nor those of other accounts of the same address. A success takes its own failures
 * back, never those of the address or of another account.
 *
 * An IPv6 address stands for its /64, which one customer has; one of IPv4 in IPv6 is itself. What isn't an address
 * ("mount") is compared as text.
 *
 * Memory is fixed: 900 KiB. May be called from several threads at once; takes some 2 us.
 */
#ifndef REGFS_THROTTLE_H
#define REGFS_THROTTLE_H

#include "fs/base/err.h"

struct throttle;

/* Nanoseconds that only grow. */
typedef int64_t throttle_clock_fn(void *arg);

/* clock NULL: CLOCK_MONOTONIC. */
int throttle_new(throttle_clock_fn *clock, void *arg, struct throttle **out, struct err *err) MUST_CHECK;
void throttle_free(struct throttle *t);

/*
 * 0: go on. 1: not now, but after *retry_after_ns (> 0). As many as ask before the first failure is noted come through
 * at once, but one only where there is a wait already: the caller's limit of passwords checked at a time is the bound.
 * account and address may be as long as they like, and NULL is "".
 */
int throttle_ask(struct throttle *t, const char *account, const char *address, int64_t *retry_after_ns) MUST_CHECK;
void throttle_note(struct throttle *t, const char *account, const char *address, bool ok);

DEFINE_CLEANUP(cleanup_throttle, struct throttle *, throttle_free)
#define auto_throttle CLEANUP(cleanup_throttle)

#endif
