/*
 * policy.c: see policy.h.
 */
#include "fs/base/base.h"
#include "fs/auth/policy.h"

#include "fs/auth/action.h"
#include "fs/auth/pattern.h"
#include "fs/base/json.h"
#include "fs/base/limits.h"

/*
 * The actions of theirs that mean something here. One with a star at its end means each row that begins so; a star that
 * names none of them is refused, as a name that isn't here is.
 */
static const struct {
	const char *name;
	unsigned actions;
} actions[] = {
	{ "PullRepository", ACTION_PULL },
	{ "PushRepository", ACTION_PUSH },
	{ "DeleteRepository", ACTION_DELETE },
	{ "DeleteRepositoryTag", ACTION_DELETE },
	/* To see what there is comes with each of the others, and isn't granted alone. */
	{ "GetRepository", 0 },
	{ "GetRepositoryTag", 0 },
	{ "GetRepositoryLayers", 0 },
	{ "GetRepositoryManifest", 0 },
	{ "GetNamespace", 0 },
	{ "ListRepository", 0 },
	{ "ListRepositoryTag", 0 },
	{ "ListNamespace", 0 },
};

struct reading {
	policy_grant_fn *fn;	/* NULL: only look whether all of it is understood */
	void *arg;
	struct err *err;
	unsigned actions;	/* of the statement */
	unsigned all;		/* of all statements */
	bool allow;
	const struct json *action, *resource;
};

/* fn for each text of a string or a list of strings; at least one. */
static int each_text(struct reading *p, const struct json *v, const char *key,
		     int (*fn)(struct reading *p, const char *text))
{
	const char *text = json_text(v);
	int r = 0;

	if (text)
		return fn(p, text);
	if (!json_is_array(v) || !json_count(v))
		return err_set(p->err, ERR_ARGUMENT, "%s is not a string or a list of strings", key);
	for (size_t i = 0; !r && i < json_count(v); i++) {
		text = json_text(json_at(v, i));
		r = text ? fn(p, text) :
			   err_set(p->err, ERR_ARGUMENT, "%s is not a string or a list of strings", key);
	}
	return r;
}

/* Whether a name, which may end in a star, means that action. */
static bool means(const char *name, const char *action)
{
	size_t len = strcspn(name, "*");

	if (!name[len])
		return streq(name, action);
	return !name[len + 1] && strncmp(name, action, len) == 0;
}

static int add_action(struct reading *p, const char *text)
{
	bool known = streq(text, "*") || streq(text, "cr:*");

	if (known)
		p->actions |= ACTIONS_ALL;
	for (size_t i = 0; starts_with(text, "cr:") && i < ARRAY_SIZE(actions); i++)
		if (means(text + 3, actions[i].name)) {
			p->actions |= actions[i].actions;
			known = true;
		}
	return known ? 0 : err_set(p->err, ERR_ARGUMENT, "Action \"%.100s\" is not known here", text);
}

/* The part behind "repository/<instance>/" as a pattern. */
static int resource_pattern(struct reading *p, const char *text, const char *path, char out[static LIMIT_NAME + 1])
{
	if (streq(path, "*") || streq(path, "*/*"))
		path = "**";
	if (strlen(path) > LIMIT_NAME || pattern_check(path, NULL) || (strstr(path, "**") && !streq(path, "**")))
		return err_set(p->err, ERR_ARGUMENT,
			       "Resource \"%.300s\": a star stands for a whole namespace or name only", text);
	snprintf(out, LIMIT_NAME + 1, "%s", path);
	return 0;
}

/* "acs:cr:<region>:<account>:repository/<instance>/<namespace>/<name>"; the path's start, or NULL. */
static const char *resource_path(const char *text)
{
	const char *p = text;

	if (streq(text, "*") || streq(text, "acs:cr:*:*:*"))
		return "*";
	if (!starts_with(p, "acs:cr:"))
		return NULL;
	for (int i = 0; p && i < 4; i++) {
		p = strchr(p, ':');
		p = p ? p + 1 : NULL;
	}
	if (p && (streq(p, "*") || streq(p, "repository/*")))
		return "*";
	if (!p || !starts_with(p, "repository/"))
		return NULL;
	p = strchr(p + strlen("repository/"), '/');
	return p ? p + 1 : NULL;
}

static int add_resource(struct reading *p, const char *text)
{
	char pattern[LIMIT_NAME + 1];
	const char *path = resource_path(text);
	int r;

	if (!path)
		return err_set(p->err, ERR_ARGUMENT,
			       "Resource \"%.300s\" is not acs:cr:REGION:ACCOUNT:repository/INSTANCE/NAMESPACE/NAME", text);
	r = resource_pattern(p, text, path, pattern);
	p->all |= p->actions;
	return r || !p->fn || !p->actions ? r : p->fn(p->arg, pattern, p->actions);
}

static int statement_member(void *arg, const char *key, const struct json *value)
{
	struct reading *p = arg;
	const char *text = json_text(value);

	if (streq(key, "Effect") && text && streq(text, "Allow")) {
		p->allow = true;
		return 0;
	}
	if (streq(key, "Effect"))
		return err_set(p->err, ERR_ARGUMENT, "Effect \"%.40s\": only Allow can be imported; what isn't granted is denied",
			       text ? text : "");
	if (streq(key, "Action"))
		p->action = value;
	else if (streq(key, "Resource"))
		p->resource = value;
	else
		return err_set(p->err, ERR_ARGUMENT, "a statement with \"%.40s\" can't be imported: to leave it out would grant too much",
			       key);
	return 0;
}

static int read_statement(struct reading *p, const struct json *v)
{
	int r;

	p->actions = 0;
	p->allow = false;
	p->action = p->resource = NULL;
	if (!json_is_object(v))
		return err_set(p->err, ERR_ARGUMENT, "a statement is not an object");
	r = json_each(v, statement_member, p);
	if (!r && (!p->allow || !p->action || !p->resource))
		r = err_set(p->err, ERR_ARGUMENT, "a statement has no %s",
			    !p->allow ? "Effect" : !p->action ? "Action" : "Resource");
	if (!r)
		r = each_text(p, p->action, "Action", add_action);
	return r ? r : each_text(p, p->resource, "Resource", add_resource);
}

static int document_member(void *arg, const char *key, const struct json *value)
{
	struct reading *p = arg;

	if (streq(key, "Version") && json_text(value) && streq(json_text(value), "1"))
		return 0;
	if (streq(key, "Version"))
		return err_set(p->err, ERR_ARGUMENT, "Version must be \"1\"");
	if (streq(key, "Statement"))
		return 0;
	return err_set(p->err, ERR_ARGUMENT, "a document with \"%.40s\" can't be imported: to leave it out would grant too much",
		       key);
}

/* All statements: once without fn, once with it. */
static int read_statements(struct reading *p, const struct json *list)
{
	int r = 0;

	if (json_is_object(list))
		return read_statement(p, list);
	if (!json_is_array(list) || !json_count(list))
		return err_set(p->err, ERR_ARGUMENT, "the document has no Statement");
	for (size_t i = 0; !r && i < json_count(list); i++)
		r = read_statement(p, json_at(list, i));
	return r;
}

int policy_read(const void *data, size_t len, policy_grant_fn *fn, void *arg, struct err *err)
{
	auto_json struct json *root = NULL;
	struct reading p = { .arg = arg, .err = err };
	int r;

	if (len > LIMIT_POLICY)
		return err_set(err, ERR_ARGUMENT, "the policy has more than %d bytes", LIMIT_POLICY);
	r = json_parse(data, len, &root, err);
	if (!r && !json_is_object(root))
		r = err_set(err, ERR_ARGUMENT, "the policy is not an object");
	if (!r && !json_get(root, "Version"))
		r = err_set(err, ERR_ARGUMENT, "the policy has no Version");
	if (!r)
		r = json_each(root, document_member, &p);
	if (!r)
		r = read_statements(&p, json_get(root, "Statement"));
	if (!r && !p.all)
		r = err_set(err, ERR_ARGUMENT, "the policy grants neither pull, push, delete nor admin: Get and List come with these");
	p.fn = fn;
	return r ? r : read_statements(&p, json_get(root, "Statement"));
}
