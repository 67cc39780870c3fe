/*
 * scope.c: see scope.h.
 */
#include "fs/base/base.h"
#include "fs/auth/scope.h"

#include "fs/auth/pattern.h"
#include "fs/base/limits.h"

struct scope {
	char *pattern;		/* NULL: the registry */
	unsigned actions;
};

struct scopes {
	char *text;
	size_t count;
	struct scope list[LIMIT_SCOPES];
};

void scopes_free(struct scopes *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->list[i].pattern);
	free(s->text);
	free(s);
}

static int refuse(const char *scope, size_t len, struct err *err)
{
	return err_set(err, ERR_ARGUMENT, "\"%.*s\" is not a scope: write repository:PATTERN:ACTIONS",
		       (int)MIN(len, (size_t)300), scope);
}

/* "TYPE:NAME:ACTIONS", cut in place. */
static int add_scope(struct scopes *s, char *one, struct err *err)
{
	struct scope *out = &s->list[s->count];
	char *name = strchr(one, ':'), *actions = name ? strrchr(name + 1, ':') : NULL;
	size_t len = strlen(one);
	int r;

	if (!actions)
		return refuse(one, len, err);
	*actions++ = '\0';
	*name++ = '\0';
	r = actions_parse(actions, &out->actions, err);
	if (r)
		return r;
	if (streq(one, "registry") && (streq(name, "catalog") || streq(name, "*"))) {
		if (streq(name, "catalog"))
			out->actions = ACTION_PULL;
		s->count++;
		return 0;
	}
	if (!streq(one, "repository"))
		return err_set(err, ERR_ARGUMENT, "a scope of type \"%.40s\" is not known: write repository:PATTERN:ACTIONS", one);
	r = pattern_check(name, err);
	if (r)
		return r;
	out->pattern = strdup(name);
	if (!out->pattern)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	s->count++;
	return 0;
}

int scopes_parse(const char *text, struct scopes **out, struct err *err)
{
	auto_scopes struct scopes *s = calloc(1, sizeof(*s));
	int r = 0;

	if (s)
		s->text = strdup(text);
	if (!s || !s->text)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (const char *p = text + strspn(text, " "); !r && *p; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");
		auto_free char *one = strndup(p, len);

		if (s->count == LIMIT_SCOPES)
			return err_set(err, ERR_ARGUMENT, "more than %d scopes", LIMIT_SCOPES);
		r = one ? add_scope(s, one, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
		p += len;
	}
	if (!r)
		*out = steal(&s);
	return r;
}

unsigned scopes_allow(const struct scopes *s, const char *repo)
{
	unsigned actions = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct scope *one = &s->list[i];

		if (repo ? one->pattern && pattern_match(one->pattern, repo) : !one->pattern)
			actions |= one->actions;
	}
	return actions;
}

const char *scopes_text(const struct scopes *s)
{
	return s->text;
}

size_t scopes_count(const struct scopes *s)
{
	return s->count;
}

void scopes_at(const struct scopes *s, size_t i, const char **pattern, unsigned *actions)
{
	*pattern = s->list[i].pattern;
	*actions = s->list[i].actions;
}
