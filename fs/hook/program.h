/*
 * program.h: programs that are run when something happens, as git runs its hooks.
 *
 * They stand in the store's hooks.d/. One in hooks.d/<kind>/ is run for every event of that kind, from when it was found on;
 * those in hooks.d/programs/ for the hooks that name them. Each is the registry owner's or root's, nobody else may write to it
 * or to its directory, and it is executable: else it isn't run, and the delivery's log says so.
 *
 * The event comes on standard input, in the hook's format; facts in the environment: REGFS_EVENT, REGFS_NUMBER, REGFS_REPOSITORY,
 * REGFS_TAG, REGFS_DIGEST, REGFS_WHO, REGFS_DELIVERY, REGFS_SEQUENCE; and PATH, HOME=/ and LANG=C, nothing else. No shell, no
 * other descriptors, its own session, in /. Where the server is root's it runs as another user. Its end with 0 is success;
 * after `total_ms` it is killed, with all that it began. What it says on both outputs is kept, as much as of an answer.
 */
#ifndef REGFS_PROGRAM_H
#define REGFS_PROGRAM_H

#include "fs/base/outbound.h"
#include "fs/hook/message.h"

struct programs;

struct programs_options {
	struct tree *tree;
	const char *store;	/* its directory */
	const char *user;	/* whom they run as where the server is root's; NULL: nobody */
	int64_t total_ms;
	struct courier *courier;	/* woken when one has ended */
};

/* ERR_ARGUMENT: there is no such user. */
int programs_check_user(const char *user, struct err *err) MUST_CHECK;
int programs_new(const struct programs_options *options, struct programs **out, struct err *err) MUST_CHECK;
/* Kills what runs. NULL is fine. */
void programs_free(struct programs *p);

/* Looks which ones there are in hooks.d/<kind>/: each is a hook, told of events behind `seen`. */
int programs_look(struct programs *p, int64_t seen, struct err *err) MUST_CHECK;
/* Begins one; fn is called by programs_take(), with how it ended as the status. The message is borrowed until then. */
int programs_run(struct programs *p, const char *name, const struct tree_delivery *delivery, const struct message *message,
		 courier_fn *fn, void *arg, struct err *err) MUST_CHECK;
void programs_take(struct programs *p);

#endif
