/*
 * action.c: actions and roles as tables.
 */
#include "fs/base/base.h"
#include "fs/auth/action.h"

static const struct {
	const char *name;
	unsigned actions;
} names[] = {
	{ "pull", ACTION_PULL },
	{ "push", ACTION_PUSH },
	{ "delete", ACTION_DELETE },
	{ "admin", ACTION_ADMIN },
	{ "*", ACTIONS_ALL },
}, roles[] = {
	{ "reader", ACTION_PULL },
	{ "writer", ACTION_PULL | ACTION_PUSH },
	{ "maintainer", ACTION_PULL | ACTION_PUSH | ACTION_DELETE },
	{ "owner", ACTIONS_ALL },
};

static unsigned actions_named(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0)
			return names[i].actions;
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (strlen(roles[i].name) == len && memcmp(roles[i].name, name, len) == 0)
			return roles[i].actions;
	return 0;
}

int actions_parse(const char *text, unsigned *out, struct err *err)
{
	*out = 0;
	for (const char *p = text;; p++) {
		size_t len = strcspn(p, ",");
		unsigned actions = actions_named(p, len);

		if (!actions)
			return err_set(err, ERR_ARGUMENT,
				       "\"%.*s\" is not an action: write pull, push, delete, admin, by commas, or one of the"
				       " roles reader, writer, maintainer, owner",
				       (int)MIN(len, (size_t)40), p);
		*out |= actions;
		p += len;
		if (!*p)
			return 0;
	}
}

char *actions_format(unsigned actions, char out[static ACTIONS_TEXT_MAX + 1])
{
	size_t len = 0;

	*out = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names) - 1; i++)
		if (actions & names[i].actions)
			len += (size_t)snprintf(out + len, ACTIONS_TEXT_MAX + 1 - len, "%s%s", len ? "," : "",
						names[i].name);
	return out;
}

const char *actions_role(unsigned actions)
{
	for (size_t i = 0; i < ARRAY_SIZE(roles); i++)
		if (roles[i].actions == actions)
			return roles[i].name;
	return NULL;
}
