/*
 * cred.c: who is asking.
 */
#include "fs/base/base.h"
#include "fs/auth/cred.h"

struct cred cred_administrator(const char *from)
{
	return (struct cred){ .kind = CRED_ADMINISTRATOR, .name = "administrator", .from = from };
}

struct cred cred_anonymous(const char *from)
{
	return (struct cred){ .kind = CRED_ANONYMOUS, .name = "anonymous", .from = from };
}

struct cred cred_anyone(const char *from)
{
	return (struct cred){ .kind = CRED_ANYONE, .name = "anyone", .from = from };
}

struct cred cred_subject(int64_t subject, const char *name, const char *from)
{
	struct cred cred = { .kind = CRED_SUBJECT, .subject = subject, .from = from };

	snprintf(cred.name, sizeof(cred.name), "%s", name);
	return cred;
}

bool cred_is_boundless(const struct cred *cred)
{
	return (cred->kind == CRED_ANYONE || cred->kind == CRED_ADMINISTRATOR) && !cred->scopes;
}
