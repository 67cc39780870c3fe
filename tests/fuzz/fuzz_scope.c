/*
 * fuzz_scope.c: scopes, those that are asked for, and those of a token.
 */
#include "fs/base/base.h"
#include "fs/auth/scope.h"
#include "fs/base/limits.h"
#include "httpd/credentials.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(void *arg, const struct wanted *w)
{
	auto_scopes struct scopes *s = NULL;
	auto_buf struct buf text = BUF_INIT;
	char actions[ACTIONS_TEXT_MAX + 1];

	++*(size_t *)arg;
	assert(w->actions && !(w->actions & ~(unsigned)ACTIONS_ALL));
	if (!w->repo) {
		assert(w->actions == ACTIONS_ALL);
		return 0;
	}
	assert(wanted_name_ok(w->repo) && !w->catalog);
	/* Where it is one of a token it is for that name alone. */
	buf_addf(&text, "repository:%s:%s", w->repo, actions_format(w->actions, actions));
	if (!scopes_parse(text.data, &s, NULL)) {
		assert(scopes_count(s) == 1 && scopes_allow(s, w->repo) == w->actions);
		assert(!scopes_allow(s, NULL) && !scopes_allow(s, "other/name"));
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	auto_scopes struct scopes *s = NULL;
	size_t left = LIMIT_SCOPES, seen = 0;
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	assert(!wanted_each(text, &left, check, &seen));
	assert(seen + left == LIMIT_SCOPES);
	if (scopes_parse(text, &s, &err)) {
		assert(!s && err.text[0]);
		return 0;
	}
	assert(streq(scopes_text(s), text) && scopes_count(s) <= LIMIT_SCOPES);
	for (size_t i = 0; i < scopes_count(s); i++) {
		const char *pattern;
		unsigned actions;

		scopes_at(s, i, &pattern, &actions);
		assert(actions && (!pattern || *pattern));
	}
	return 0;
}
