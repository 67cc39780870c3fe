/*
 * cred.h: who is asking.
 *
 * Every operation of the tree takes a credential, as the kernel's do. Doors make
 * one from what they know (the owner of the store at the command line, a token over
 * HTTP) and never decide with it: fs/tree/permit.c does.
 */
#ifndef REGFS_CRED_H
#define REGFS_CRED_H

#include "fs/base/base.h"

enum cred_kind {
	CRED_ANONYMOUS,		/* nobody in particular: may read what is public */
	CRED_ANYONE,		/* nobody in particular, on a registry started with --open */
	CRED_ADMINISTRATOR,	/* the store's owner, at a mount or the command line */
};

struct cred {
	enum cred_kind kind;
	const char *name;	/* for events: "administrator", "anonymous"; static or outliving the cred */
	const char *from;	/* the door: "mount", "command", or a client's address; borrowed, may be NULL */
};

struct cred cred_administrator(const char *from);
struct cred cred_anonymous(const char *from);
struct cred cred_anyone(const char *from);

#endif
