/*
 * hook.h: tells receivers what happened: reads the event log, posts and runs, tries again.
 *
 * A thread of its own, in each server; of several on one store one does it at a time, and another takes over when that one
 * ends. It works at low priority: pushes and pulls come first, and deliveries may lag.
 *
 * At least once: what was told just before a crash is told again after it, with the same id. In order for each hook and
 * repository, unless the hook says that it needn't be.
 *
 * A receiver that fails is tried again after 1, 2, 4, ... seconds, an hour at most, each a tenth more or less by
 * chance; so long after its first attempt a delivery is given up (`give_up`). Retry-After is obeyed, up to a day, and lets the
 * receiver rest; so do five failures in a row. As many attempts at the same time as it takes are made, 16 at most.
 * Status 2xx is success; 410 disables the hook.
 */
#ifndef REGFS_HOOK_H
#define REGFS_HOOK_H

#include "fs/base/err.h"

struct tree;
struct hooks;

#define HOOK_TIMEOUT	(INT64_C(10) * 1000000000)
#define HOOK_GIVE_UP	(INT64_C(24) * 3600 * 1000000000)
#define HOOK_KEEP	(INT64_C(30) * 24 * 3600 * 1000000000)

struct hooks_options {
	struct tree *tree;
	const char *store;	/* its directory: the lead's file, and hooks.d/ */
	const char *public_url;	/* how clients call the registry; for bodies. "": unknown */
	const char *allow;	/* "10.0.0.0/8, ::1": addresses besides public ones; NULL: none */
	const char *program_user;	/* whom programs run as where the server is root's; NULL: nobody */
	int64_t timeout;	/* nanoseconds: of a connection, and of all of one attempt */
	int64_t give_up, keep;	/* nanoseconds: see above; how long what is over is kept (0: for ever) */
	int64_t trim_every;	/* nanoseconds: how often what is older is removed */
	bool claims;		/* whoever has no claim gives way: a mount to a server, whose options are meant (lead.h) */
};

/* Whether addresses and user can be understood: before anything is opened. ERR_ARGUMENT about "hook-allow" or "hook-user". */
int hooks_check(const struct hooks_options *options, struct err *err) MUST_CHECK;
/* Copies what it needs. ERR_ARGUMENT about "hook-allow" or "hook-user". */
int hooks_start(const struct hooks_options *options, struct hooks **out, struct err *err) MUST_CHECK;
/* Gives up what is on its way, which is told again by who comes next. */
void hooks_stop(struct hooks *h);

#endif
