/*
 * scope.h: what a token is limited to.
 *
 * A list of patterns, each with actions; a credential that carries one may do no more than the list says, whatever was
 * granted to its subject. As text, the way Docker spells it, by blanks:
 *
 *	repository:shop/console-web:pull,push repository:shop/ **:pull registry:catalog:*
 *
 * (without the blank before the stars). Of the type `registry` there is `catalog`, to list the repositories that the subject may
 * see, and `*`, which with the action `*` is the administration of the registry.
 */
#ifndef REGFS_SCOPE_H
#define REGFS_SCOPE_H

#include "fs/auth/action.h"

struct scopes;	/* never changes once it is made: may be read from several threads */

/* The caller owns *out. Text "" is a list that allows nothing. ERR_ARGUMENT with the scope that can't be understood. */
int scopes_parse(const char *text, struct scopes **out, struct err *err) MUST_CHECK;
void scopes_free(struct scopes *s);
DEFINE_CLEANUP(cleanup_scopes, struct scopes *, scopes_free)
#define auto_scopes CLEANUP(cleanup_scopes)

/* What they allow in a repository, or (NULL) in the registry itself: a set of actions. */
unsigned scopes_allow(const struct scopes *s, const char *repo);
/* The text that it was made from, and the number of scopes. */
const char *scopes_text(const struct scopes *s);
size_t scopes_count(const struct scopes *s);
/* One of them; a pattern of NULL is the registry itself. */
void scopes_at(const struct scopes *s, size_t i, const char **pattern, unsigned *actions);

#endif
