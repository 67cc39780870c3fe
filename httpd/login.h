/*
 * login.h: who asks.
 */
#ifndef REGFS_LOGIN_DOOR_H
#define REGFS_LOGIN_DOOR_H

#include "httpd/request.h"

struct tree_login;	/* fs/tree/login.h */

/* In the connection's thread, before the body. true: it is known who asks, or an answer was made. false: login_run() must find it
 * out, in a job. */
bool login_begin(struct request *r) MUST_CHECK;
void login_run(struct request *r);
/* By a password, or a token's secret; for a job. `out` is the caller's to release. */
int login_check(struct httpd *h, const struct credentials *shown, const char *from, struct tree_login *out, struct err *err) MUST_CHECK;
/* WWW-Authenticate, for an answer of 401: from the route, never from what there is. */
void login_challenge(struct request *r, const struct err *err);

#endif
