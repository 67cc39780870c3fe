/*
 * cred.h: who is asking.
 *
 * Every operation of the tree takes a credential, as the kernel's do. Doors make
 * one from what they know (the owner of the store at the command line, a token over
 * HTTP) and never decide with it: fs/tree/permit.c does.
 *
 * A credential is a subject and, for a token, its scopes. It is a value: copied freely, nothing to free. What it points to
 * (`from`, `scopes`) belongs to the door, which keeps it as long as the credential and its copies. It says who was
 * recognized, not what they may do: grants, group memberships, whether the account is disabled, expired or gone, and whether the
 * token was revoked are looked at in each operation, so a credential may be kept (a mount's, a connection's, a verified
 * token's) and still loses its rights when they are taken away.
 */
#ifndef REGFS_CRED_H
#define REGFS_CRED_H

#include "fs/auth/scope.h"
#include "fs/base/limits.h"

enum cred_kind {
	CRED_ANONYMOUS,		/* nobody in particular: may pull what is public */
	CRED_ANYONE,		/* nobody in particular, on a registry started with --open: may do everything */
	CRED_ADMINISTRATOR,	/* the store's owner, at a mount or the command line: may do everything */
	CRED_SUBJECT,		/* a user or a robot, by name: may do what was granted */
};

struct cred {
	enum cred_kind kind;
	char name[LIMIT_PRINCIPAL + 1];	/* for events: "administrator", "anonymous", "alice", "+ci-robot" */
	const char *from;	/* the door: "mount", "command", or a client's address; borrowed, may be NULL */
	int64_t subject;	/* CRED_SUBJECT: the principal's row; never used again for another */
	int64_t token;		/* the row of the token that it came with, which can be revoked; 0: none */
	const struct scopes *scopes;	/* borrowed; NULL: not limited */
};

struct cred cred_administrator(const char *from);
struct cred cred_anonymous(const char *from);
struct cred cred_anyone(const char *from);
/* Who was recognized: fs/tree/login.h makes these. */
struct cred cred_subject(int64_t subject, const char *name, const char *from);

/* Whether it may do everything, always: no grant of it can be taken away. */
bool cred_is_boundless(const struct cred *cred);

#endif
