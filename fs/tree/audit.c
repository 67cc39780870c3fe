/*
 * audit.c: see audit.h and, for what is noted, trail.h.
 */
#include "fs/base/base.h"
#include "fs/tree/audit.h"

#include "fs/auth/principal.h"
#include "fs/auth/secret.h"
#include "fs/base/timestamp.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"
#include "fs/tree/trail.h"

#define TRIM_AT_ONCE 1000	/* rows of one transaction */

/* ---- Who ---- */

static const char *kind_of_cred(const struct cred *cred)
{
	static const char *const kinds[] = {
		[CRED_ANONYMOUS] = "anonymous",
		[CRED_ANYONE] = "anyone",
		[CRED_ADMINISTRATOR] = "administrator",
	};

	return cred->kind == CRED_SUBJECT ? principal_kind_name(principal_kind(cred->name)) : kinds[cred->kind];
}

struct audit_row audit_row_of(const struct cred *cred, const char *action, enum audit_result result)
{
	return (struct audit_row){
		.at = timestamp_now(),
		.action = action,
		.result = result,
		.who = cred->name,
		.kind = kind_of_cred(cred),
		.token = cred->token,
		.origin = cred->from,
	};
}

/* ---- What is noted ---- */

/* Two reasons may be one code over HTTP. */
static const char *reason_name(enum reason reason)
{
	static const struct {
		enum reason reason;
		const char *name;
	} names[] = {
		{ ERR_UNAUTHORIZED, "unauthorized" },
		{ ERR_SCOPE, "scope" },
		{ ERR_DENIED, "denied" },
		{ ERR_NAME_UNKNOWN, "unknown" },
		{ ERR_TOO_MANY_REQUESTS, "throttled" },
		{ ERR_EXISTS, "exists" },
		{ ERR_NOT_FOUND, "not-found" },
		{ ERR_IN_USE, "in-use" },
		{ ERR_ARGUMENT, "argument" },
		{ ERR_NO_SPACE, "no-space" },
		{ ERR_QUOTA, TRAIL_QUOTA },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].reason == reason)
			return names[i].name;
	return err_row(reason)->code;
}

int audit_change(struct db *db, const struct cred *cred, const char *kind, const char *repo, const char *tag,
		 const struct digest *digest, const char *about, struct err *err)
{
	struct audit_row row = audit_row_of(cred, kind, AUDIT_OK);

	row.repository = repo;
	row.tag = tag;
	row.digest = digest;
	row.about = about;
	return audit_add(db, &row, err);
}

int audit_failed(struct tree *tree, const struct attempt *what, int r, const struct err *err)
{
	bool denied = r == -EACCES || r == -EPERM;
	struct audit_row row = audit_row_of(what->cred, what->kind, denied ? AUDIT_DENIED : AUDIT_FAILED);

	row.repository = what->repo;
	row.tag = what->tag;
	row.digest = what->digest;
	row.about = err && err->reason == ERR_QUOTA ? err->option : what->about;
	row.reason = reason_name(err ? err->reason : ERR_INTERNAL);
	trail_note(tree->trail, &row, TRAIL_REFUSED);
	return r;
}

int audit_write(struct tree *tree, const struct attempt *what, meta_write_fn *fn, void *arg, struct err *err)
{
	int r = meta_write(tree->meta, true, fn, arg, err);

	return r ? audit_failed(tree, what, r, err) : 0;
}

static const char *action_name(enum action action)
{
	static const struct {
		enum action action;
		const char *name;
	} names[] = {
		{ ACTION_PULL, "pull" },
		{ ACTION_PUSH, "push" },
		{ ACTION_DELETE, "delete" },
		{ ACTION_ADMIN, "admin" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].action == action)
			return names[i].name;
	return "?";
}

void audit_refused(struct tree *tree, const struct cred *cred, enum action action, const char *repo, const struct err *err)
{
	struct audit_row row = audit_row_of(cred, action_name(action), AUDIT_DENIED);

	row.repository = repo;
	row.reason = reason_name(err->reason);
	trail_note(tree->trail, &row, cred->kind == CRED_ANONYMOUS ? TRAIL_STRANGER : TRAIL_REFUSED);
}

void audit_hidden(struct tree *tree, const struct cred *cred, const char *repo)
{
	const struct err why = { .reason = cred->kind == CRED_ANONYMOUS ? ERR_UNAUTHORIZED : ERR_NAME_UNKNOWN };

	audit_refused(tree, cred, ACTION_PULL, repo, &why);
}

void audit_login(struct tree *tree, const struct cred *cred)
{
	const struct audit_row row = audit_row_of(cred, "login", AUDIT_OK);

	trail_note(tree->trail, &row, TRAIL_WANTED);
}

/* 1: an account is called so. */
static int is_account(struct db *db, const char *name)
{
	struct principal_row row;
	int r = principal_check(name, NULL) ? 0 : principal_by_name(db, name, &row, NULL);

	secret_forget(row.password, sizeof(row.password));
	return r > 0;
}

/*
 * Whether a name that was tried may be written down. Who mistakes the fields types the password as the name: so it isn't where
 * the two are the same, or where it is nobody's and the password is an account's name. Nor is what can't be a name.
 */
static bool is_showable(struct tree *tree, const char *name, const char *password)
{
	auto_reader struct meta_reader rd = { 0 };
	bool known, swapped;

	if (!name || principal_check(name, NULL) || (password && streq(name, password)) || tree_reader(tree, &rd, NULL))
		return false;
	known = is_account(rd.db, name);
	swapped = password && is_account(rd.db, password);
	return known || !swapped;
}

void audit_login_refused(struct tree *tree, const char *name, const char *password, const char *from, enum reason reason)
{
	const struct audit_row row = {
		.at = timestamp_now(),
		.action = "login",
		.result = AUDIT_DENIED,
		.who = is_showable(tree, name, password) ? name : "?",
		.origin = from,
		.reason = reason_name(reason),
	};

	trail_note(tree->trail, &row, TRAIL_STRANGER);
}

void audit_pull(struct tree *tree, const struct cred *cred, const char *repo, const char *reference,
		const struct digest *digest)
{
	struct audit_row row;

	if (!tree->audit_pulls)
		return;
	row = audit_row_of(cred, "pull", AUDIT_OK);
	row.repository = repo;
	row.tag = reference && !strchr(reference, ':') ? reference : NULL;
	row.digest = digest;
	row.about = reference ? NULL : "blob";
	trail_note(tree->trail, &row, TRAIL_WANTED);
}

/* ---- Operations ---- */

void tree_set_audit_pulls(struct tree *tree, bool on)
{
	tree->audit_pulls = on;
}

void tree_audit_throttled(struct tree *tree, const char *name, const char *from)
{
	audit_login_refused(tree, name, NULL, from, ERR_TOO_MANY_REQUESTS);
}

int tree_audit_list(struct tree *tree, const struct cred *cred, const struct audit_filter *filter, audit_line_fn *fn, void *arg,
		    struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	if (r)
		return r;
	trail_flush(tree->trail);
	r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = audit_list(rd.db, filter, fn, arg, err);
	return MIN(r, 0);
}

struct trim {
	int64_t before, removed;
};

static int trim(struct db *db, void *arg, struct err *err)
{
	struct trim *t = arg;

	return audit_trim(db, t->before, TRIM_AT_ONCE, &t->removed, err);
}

int tree_audit_trim(struct tree *tree, const struct cred *cred, int64_t keep, int64_t *removed, struct err *err)
{
	struct trim t = { .before = timestamp_now() - keep };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	*removed = 0;
	do {
		t.removed = 0;
		if (!r)
			r = meta_write(tree->meta, false, trim, &t, err);
		*removed += t.removed;
	} while (!r && t.removed == TRIM_AT_ONCE);
	return r;
}
