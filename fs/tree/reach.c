/*
 * reach.c: the repositories that a subject may see, in byte order of their names.
 *
 * A merge: each grant, and what is public, is a source of names in order, found one after the other in an index. The
 * least of the sources' heads is the next name; those that have it move on. So a page costs what it holds and a query for each source,
 * however many repositories are hidden between its names.
 *
 * Invariants:
 *  1. A source's head is behind all names that were given.
 *  2. A source without a head has come to its end.
 */
#include "fs/base/base.h"
#include "fs/tree/access.h"

#include "fs/auth/pattern.h"
#include "fs/tree/state.h"

#define BOUND_MAX (LIMIT_NAME + 3)

struct source {
	const char *pattern;	/* NULL: what is public */
	char *head;
	size_t depth;		/* components of its names; 0: any number */
	char end[BOUND_MAX + 1];
};

struct reach {
	struct ask ask;
	struct rights *rights;	/* whose patterns the sources point to */
	bool listed;
	char *given;		/* the name that was given last */
	size_t count;
	struct source sources[];
};

void reach_free(struct reach *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		free(r->sources[i].head);
	free(r->given);
	rights_put(r->rights);
	free(r);
}

/* Behind everything below the first `depth` components of a name, if it has more of them. */
static bool skip_deeper(const char *name, size_t depth, char after[static BOUND_MAX + 1])
{
	const char *p = name;

	for (size_t i = 0; i < depth; i++) {
		p = strchr(p, '/');
		if (!p)
			return false;
		p++;
	}
	snprintf(after, BOUND_MAX + 1, "%.*s" REPO_END, (int)(p - name), name);
	return true;
}

/* Whether that repository is there, as a source's query would find it. */
static int is_there(const struct reach *r, const char *name)
{
	struct repo_row row;
	int found = repo_by_name(r->ask.db, name, &row, r->ask.err);

	return found > 0 ? row.is_repository && (!r->listed || row.listed) : found;
}

static int next_of(const struct reach *r, const struct source *s, const char *after,
		   char name[static LIMIT_NAME + 1])
{
	static const enum repo_which which[2][2] = { { REPO_ANY, REPO_LISTED }, { REPO_PUBLIC, REPO_LISTED_PUBLIC } };
	int found;

	if (!s->pattern || !pattern_is_name(s->pattern))
		return repo_next(r->ask.db, which[!s->pattern][r->listed], after, s->end, name, r->ask.err);
	if (strcmp(s->pattern, after) <= 0 || strcmp(s->pattern, s->end) >= 0)
		return 0;
	found = is_there(r, s->pattern);
	snprintf(name, LIMIT_NAME + 1, "%s", s->pattern);
	return found;
}

/* Sets the head to the first name behind `after`. */
static int advance(const struct reach *r, struct source *s, const char *after)
{
	char from[BOUND_MAX + 1], name[LIMIT_NAME + 1];
	int found;

	snprintf(from, sizeof(from), "%s", after);
	free(s->head);
	s->head = NULL;
	while ((found = next_of(r, s, from, name)) > 0) {
		if (!s->pattern || pattern_match(s->pattern, name)) {
			s->head = strdup(name);
			return s->head ? 0 : err_set(r->ask.err, ERR_NO_MEMORY, "out of memory");
		}
		if (!s->depth || !skip_deeper(name, s->depth, from))
			snprintf(from, sizeof(from), "%s", name);
	}
	return found;
}

/* Bounds the source by its own prefix and by `below`, and finds its first name. */
static int add_source(struct reach *r, const char *pattern, const char *after, const char *below)
{
	struct source *s = &r->sources[r->count];
	size_t literal = pattern && !pattern_is_name(pattern) ? pattern_literal(pattern) : 0;
	size_t len = strlen(below);
	char prefix[BOUND_MAX + 1];

	snprintf(prefix, sizeof(prefix), "%.*s", (int)literal, pattern ? pattern : "");
	/* One lies within the other, or they have nothing in common. */
	if (strncmp(prefix, below, MIN(literal, len)) != 0)
		return 0;
	if (literal < len)
		snprintf(prefix, sizeof(prefix), "%s", below);
	s->pattern = pattern;
	s->depth = pattern ? pattern_depth(pattern) : 0;
	snprintf(s->end, sizeof(s->end), "%.*s" REPO_END, LIMIT_NAME, prefix);
	r->count++;
	return advance(r, s, strcmp(after, prefix) > 0 ? after : prefix);
}

/* Which of the rights may show something. */
static int add_sources(struct reach *r, const char *after, const char *below, unsigned need)
{
	bool all = !r->rights || r->rights->administrator;
	int e = all ? add_source(r, "**", after, below) : 0;

	if (!all && need & ACTION_PULL)
		e = add_source(r, NULL, after, below);
	for (size_t i = 0; !e && !all && i < r->rights->count; i++)
		if (r->rights->list[i].actions & need)
			e = add_source(r, r->rights->list[i].pattern, after, below);
	return e;
}

int reach_begin(const struct ask *a, const char *after, const char *below, unsigned need, bool listed,
		struct reach **out)
{
	bool all = a->cred->kind == CRED_ADMINISTRATOR || a->cred->kind == CRED_ANYONE;
	auto_rights struct rights *rights = NULL;
	auto_reach struct reach *r = NULL;
	int e = all ? 0 : rights_get(a, &rights);

	if (e)
		return e;
	r = calloc(1, sizeof(*r) + ((rights ? rights->count : 0) + 1) * sizeof(r->sources[0]));
	if (!r)
		return err_set(a->err, ERR_NO_MEMORY, "out of memory");
	r->ask = *a;
	r->rights = steal(&rights);
	r->listed = listed;
	e = add_sources(r, after, below, need);
	if (!e)
		*out = steal(&r);
	return e;
}

/* Takes the least head, and moves on all sources that have it. */
static int take_least(struct reach *r)
{
	const char *least = NULL;
	int e = 0;

	free(r->given);
	r->given = NULL;
	for (size_t i = 0; i < r->count; i++)
		if (r->sources[i].head && (!least || strcmp(r->sources[i].head, least) < 0))
			least = r->sources[i].head;
	if (!least)
		return 0;
	r->given = strdup(least);
	if (!r->given)
		return err_set(r->ask.err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; !e && i < r->count; i++)
		if (r->sources[i].head && streq(r->sources[i].head, r->given))
			e = advance(r, &r->sources[i], r->given);
	return e ? e : 1;
}

int reach_next(struct reach *r, const char **name)
{
	int found = take_least(r);

	*name = r->given;
	return found;
}

int reach_below(const struct ask *a, const char *namespace)
{
	auto_reach struct reach *r = NULL;
	char below[LIMIT_NAME + 2];
	const char *name;
	int e;

	snprintf(below, sizeof(below), "%s/", namespace);
	e = reach_begin(a, "", below, ACTION_PULL, false, &r);
	if (e)
		return e == -EACCES ? 0 : e;
	while ((e = reach_next(r, &name)) > 0)
		if (!a->cred->scopes || scopes_allow(a->cred->scopes, name) & ACTION_PULL)
			return 1;
	return e;
}
