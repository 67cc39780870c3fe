/*
 * principal.c: see principal.h.
 */
#include "fs/base/base.h"
#include "fs/auth/principal.h"

#include "fs/image/name.h"

static const struct {
	enum principal_kind kind;
	char sign;
	const char *name;
} kinds[] = {
	{ PRINCIPAL_USER, '\0', "user" },
	{ PRINCIPAL_GROUP, '@', "group" },
	{ PRINCIPAL_ROBOT, '+', "robot" },
};

enum principal_kind principal_kind(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].sign && *name == kinds[i].sign)
			return kinds[i].kind;
	return PRINCIPAL_USER;
}

const char *principal_kind_name(enum principal_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].kind == kind)
			return kinds[i].name;
	return "";
}

int principal_check(const char *name, struct err *err)
{
	static const char *const nobody[] = { "anonymous", "anyone", "administrator" };
	const char *word = name + (principal_kind(name) != PRINCIPAL_USER);
	size_t len = strnlen(name, LIMIT_PRINCIPAL + 1);

	if (len > LIMIT_PRINCIPAL)
		return err_set(err, ERR_ARGUMENT, "\"%.40s...\" is longer than %d bytes", name, LIMIT_PRINCIPAL);
	if (!name_component_ok(word, strlen(word)))
		return err_set(err, ERR_ARGUMENT,
			       "\"%s\" is not a name: users are lower-case letters and digits, joined by '.', '_', '__' or '-'; "
			       "a group begins with @, a robot with +",
			       name);
	for (size_t i = 0; i < ARRAY_SIZE(nobody); i++)
		if (streq(name, nobody[i]))
			return err_set(err, ERR_ARGUMENT, "%s can't be a user's name: it stands for who has none", name);
	return 0;
}

int token_name_check(const char *name, struct err *err)
{
	if (strnlen(name, LIMIT_PRINCIPAL + 1) <= LIMIT_PRINCIPAL && name_component_ok(name, strlen(name)))
		return 0;
	return err_set(err, ERR_ARGUMENT,
		       "\"%.*s\" is not a token's name: it must be lower-case letters and digits, joined by '.', '_', '__' or '-'",
		       LIMIT_PRINCIPAL, name);
}
