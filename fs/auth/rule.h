/*
 * rule.h: rules that tags match: which of them never move.
 *
 * A text of rules with spaces between them. A tag matches the text if it matches one of its rules, and none of those that begin
 * with "!", wherever they stand.
 *
 *	*	?	any characters, one; else a rule is what it says: v*  1.?  release
 *	/.../		an extended regular expression for the whole tag, as POSIX has it, of these only: characters, . [a-z]
 *			[^a-z] ( ) | * + ? and \ before one that would mean something. No {n,m}, no references, no [:classes:].
 *
 * What others wrote costs what its length says and no more: at most LIMIT_VALUE bytes, run as an automaton, all of whose states
 * go through the tag at once: LIMIT_VALUE times LIMIT_TAG small steps, whatever the expression is. Nothing is looked at twice.
 */
#ifndef REGFS_RULE_H
#define REGFS_RULE_H

#include "fs/base/err.h"
#include "fs/base/limits.h"

#define RULE_DEPTH 16	/* parentheses in one another */

/* 0, or ERR_ARGUMENT, which says what is wrong with which rule. "" has no rules, and nothing matches it. */
int rules_check(const char *text, struct err *err) MUST_CHECK;
/* Whether a tag matches rules that were checked; `rule` becomes the one that it matches. */
bool rules_match(const char *text, const char *tag, char rule[static LIMIT_VALUE + 1]);

#endif
