/*
 * permit.c: who may do what.
 *
 * The administrator and, on a registry started with --open, anyone may do everything; who isn't logged in may pull what is
 * public; users and robots may do what they, or their groups, were granted. A credential with scopes may do
 * no more than these say.
 */
#include "fs/base/base.h"
#include "fs/tree/permit.h"

#include "fs/image/name.h"
#include "fs/tree/access.h"
#include "fs/tree/state.h"

static const char *doing(enum action action)
{
	static const struct {
		enum action action;
		const char *text;
	} texts[] = {
		{ ACTION_PULL, "pulling from" },
		{ ACTION_PUSH, "pushing to" },
		{ ACTION_DELETE, "deleting from" },
		{ ACTION_ADMIN, "administering" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].action == action)
			return texts[i].text;
	return "using";
}

/* What may be done is `actions`, and that isn't enough. */
static int refuse(const struct cred *cred, enum action action, const char *repo, unsigned actions, struct err *err)
{
	char text[ACTIONS_TEXT_MAX + 1];

	if (cred->kind == CRED_ANONYMOUS)
		return err_set(err, ERR_UNAUTHORIZED, "%s %s needs a login", doing(action), repo ? repo : "the registry");
	if (!repo)
		return err_set(err, ERR_DENIED, "%s the registry is not granted to %s: ask an administrator", doing(action),
			       cred->name);
	/* As need_repo() says it of one that isn't there. */
	if (!actions && name_check(repo, err))
		return -err_row(ERR_NAME_INVALID)->errnum;
	if (!actions)
		return err_set(err, ERR_NAME_UNKNOWN, "there is no repository %s", repo);
	return err_set(err, ERR_DENIED, "%s %s is not granted to %s, who may do there: %s", doing(action), repo, cred->name,
		       actions_format(actions, text));
}

static int decide(struct tree *tree, const struct cred *cred, enum action action, const char *repo, struct err *err)
{
	unsigned actions = 0;
	int r;

	if (cred->scopes && !(scopes_allow(cred->scopes, repo) & action))
		return err_set(err, ERR_SCOPE, "the token is not for %s %s: get one with that scope", doing(action),
			       repo ? repo : "the registry");
	r = access_actions(tree, cred, repo, &actions, err);
	if (r)
		return r;
	return actions & action ? 0 : refuse(cred, action, repo, actions, err);
}

static bool is_refusal(enum reason reason)
{
	return reason == ERR_SCOPE || reason == ERR_UNAUTHORIZED || reason == ERR_NAME_UNKNOWN || reason == ERR_DENIED;
}

int permit(struct tree *tree, const struct cred *cred, enum action action, const char *repo, struct err *err)
{
	int r = cred_is_boundless(cred) ? 0 : decide(tree, cred, action, repo, err);

	/* Who wants no reason only asks. */
	if (r && err && is_refusal(err->reason))
		audit_refused(tree, cred, action, repo, err);
	return r;
}
