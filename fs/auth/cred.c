/*
 * cred.c: who is asking.
 */
#include "fs/base/base.h"
#include "fs/auth/cred.h"

struct cred cred_administrator(const char *from)
{
	return (struct cred){ CRED_ADMINISTRATOR, "administrator", from };
}

struct cred cred_anonymous(const char *from)
{
	return (struct cred){ CRED_ANONYMOUS, "anonymous", from };
}

struct cred cred_anyone(const char *from)
{
	return (struct cred){ CRED_ANYONE, "anyone", from };
}
