/*
 * pattern.h: the repositories that a grant or a scope is about.
 *
 *	shop/console-web	that one
 *	shop/ *			(without the blank) each one directly below shop
 *	shop/ **		(without the blank) all below shop, at any depth
 *	**			all
 *
 * Components are those of a repository's name. A '*' stands for one whole component; '**' for one or more, as the last
 * component only. A pattern is at most LIMIT_NAME bytes.
 */
#ifndef REGFS_PATTERN_H
#define REGFS_PATTERN_H

#include "fs/base/err.h"

/* ERR_ARGUMENT with the value and the rule it breaks. */
int pattern_check(const char *pattern, struct err *err) MUST_CHECK;
/* The pattern is well formed; "" is no name, and matched by none. */
bool pattern_match(const char *pattern, const char *name);
/* Whether each name that `inner` matches is matched by `pattern`, too. */
bool pattern_covers(const char *pattern, const char *inner);
/* Whether it is a name, and matches nothing else. */
bool pattern_is_name(const char *pattern);
/* Bytes before the first wildcard: all that it matches begins with them. */
size_t pattern_literal(const char *pattern);
/* Components that it matches; 0: any number from its own on ("**"). */
size_t pattern_depth(const char *pattern);

#endif
