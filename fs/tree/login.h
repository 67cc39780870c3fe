/*
 * login.h: from what somebody shows to a credential.
 *
 * These recognize; what may be done is asked in each operation. Whatever was wrong, the answer is one ERR_UNAUTHORIZED with one
 * text, in the same time: nobody learns which names there are.
 */
#ifndef REGFS_LOGIN_H
#define REGFS_LOGIN_H

#include "fs/auth/secret.h"
#include "fs/tree/tree.h"

/* Somebody who was recognized. The credential points to the scopes: copies of it are good as long as this is. */
struct tree_login {
	struct cred cred;
	struct scopes *scopes;	/* owned; NULL: not limited */
};
void tree_login_release(struct tree_login *login);
#define auto_tree_login CLEANUP(tree_login_release)

/*
 * By a name and a password, or a name and a token's secret in its place (a robot has nothing else). `from` as in struct cred. A
 * password takes some 50 ms of a processor: never where another request waits. A secret takes tens of microseconds.
 */
int tree_login(struct tree *tree, const char *name, const char *password, const char *from, struct tree_login *out,
	       struct err *err) MUST_CHECK;
/* By a token's secret alone. */
int tree_login_secret(struct tree *tree, const char *secret, const char *from, struct tree_login *out,
		      struct err *err) MUST_CHECK;
/* By a name alone, for a door whose owner says so (a mount's `-o as=NAME`; "anonymous" is who isn't logged in). ERR_NOT_FOUND. */
int tree_login_as(struct tree *tree, const char *name, const char *from, struct cred *out, struct err *err) MUST_CHECK;
/* 0 if the account and, if it came with one, the token are still good: for tokens that are about to be renewed. Else ERR_UNAUTHORIZED. */
int tree_login_check(struct tree *tree, const struct cred *cred, struct err *err) MUST_CHECK;

/*
 * For logins that are remembered. Of two equal numbers: no account, password, token or grant changed between them. The stamp of a
 * login by a password changes with the password; that of one by a token doesn't, since the token itself can be revoked.
 */
#define TREE_LOGIN_STAMP_LEN 32
int tree_login_generation(struct tree *tree, int64_t *out, struct err *err) MUST_CHECK;
int tree_login_stamp(struct tree *tree, const struct cred *cred, char out[static TREE_LOGIN_STAMP_LEN + 1],
		     struct err *err) MUST_CHECK;
/* The login again, of which these were noted: with the scopes that its token has. ERR_UNAUTHORIZED if it isn't good any more. */
int tree_login_renew(struct tree *tree, int64_t subject, int64_t token, const char *stamp, const char *from,
		     struct tree_login *out, struct err *err) MUST_CHECK;

/*
 * Makes the administrator `admin` in a store that has no user yet, with that password, or (NULL) with a random one, which is put into
 * `made` to be shown once. *made is "" where there was nothing to do, or the password was given.
 */
int tree_first_administrator(struct tree *tree, const char *password, char made[static SECRET_PASSWORD_LEN + 1],
			     struct err *err) MUST_CHECK;

#endif
