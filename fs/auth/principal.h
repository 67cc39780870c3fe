/*
 * principal.h: how users, groups and robots are called.
 *
 *	alice		a user
 *	@developers	a group
 *	+ci-robot	a robot
 *
 * Behind the sign: lower-case letters and digits, joined by '.', '_', '__' or '-', at most LIMIT_PRINCIPAL bytes in
 * all. The sign is part of the name everywhere: at the command line, as a file of _access/, as the user of `docker login`.
 */
#ifndef REGFS_PRINCIPAL_H
#define REGFS_PRINCIPAL_H

#include "fs/base/err.h"
#include "fs/base/limits.h"

enum principal_kind {
	PRINCIPAL_USER = 1,
	PRINCIPAL_GROUP = 2,
	PRINCIPAL_ROBOT = 3,
};

/* By the sign; says nothing of the rest. */
enum principal_kind principal_kind(const char *name);
const char *principal_kind_name(enum principal_kind kind);	/* "user", "group", "robot" */
/* ERR_ARGUMENT: out of grammar, or a name that stands for nobody ("anonymous", "anyone", "administrator"). */
int principal_check(const char *name, struct err *err) MUST_CHECK;
/* A token's, within its owner's: as a name without a sign. */
int token_name_check(const char *name, struct err *err) MUST_CHECK;

#endif
