/*
 * people.h: what the subcommands about people share.
 */
#ifndef REGFS_TOOLS_PEOPLE_H
#define REGFS_TOOLS_PEOPLE_H

#include "fs/tree/people.h"
#include "tools/command.h"

/* A name with its kind's sign, which can be left out where the kind is known. */
int full_name(enum principal_kind kind, const char *name, char out[static LIMIT_PRINCIPAL + 2], struct err *err) MUST_CHECK;
/* A duration from now on as a time; NULL, 0 and "never": 0. */
int expiry(const char *text, int64_t *out, struct err *err) MUST_CHECK;
/* Prints a secret, the only time, and forgets it. */
int print_secret(const struct store_options *o, const char *owner, const char *name, char secret[static SECRET_TEXT_MAX + 1],
		 struct err *err) MUST_CHECK;

/* KEY=VALUE, as the verb `set` takes it. */
#define SETTING_KEY_MAX 31
int split_setting(const char *text, char key[static SETTING_KEY_MAX + 1], const char **value, struct err *err) MUST_CHECK;
int setting_value(const char *key, const char *value, enum setting *out, struct err *err) MUST_CHECK;	/* yes, no */

#endif
