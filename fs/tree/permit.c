/*
 * permit.c: who may do what.
 *
 * Without accounts there are three principals: the administrator and, on a registry
 * started with --open, anyone may do everything; the anonymous may read.
 */
#include "fs/base/base.h"
#include "fs/tree/permit.h"

static const struct {
	const char *doing;	/* for the text */
	bool anonymous;
} actions[] = {
	[ACTION_PULL] = { "pulling from", true },
	[ACTION_PUSH] = { "pushing to", false },
	[ACTION_DELETE] = { "deleting from", false },
	[ACTION_ADMIN] = { "administering", false },
};

int permit(const struct cred *cred, enum action action, const char *repo, struct err *err)
{
	if (cred->kind != CRED_ANONYMOUS || actions[action].anonymous)
		return 0;
	return err_set(err, ERR_DENIED,
		       "%s %s is not allowed over HTTP: this registry was started without --open",
		       actions[action].doing, repo ? repo : "the registry");
}
