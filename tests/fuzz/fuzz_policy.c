/*
 * fuzz_policy.c: policy documents, as an administrator may get them from somewhere; and scopes, as a client may ask for.
 */
#include "fs/base/base.h"
#include "fs/auth/action.h"
#include "fs/auth/pattern.h"
#include "fs/auth/policy.h"
#include "fs/auth/scope.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check_grant(void *arg, const char *pattern, unsigned actions)
{
	assert(pattern_check(pattern, NULL) == 0);
	assert(actions && !(actions & ~(unsigned)ACTIONS_ALL));
	++*(int *)arg;
	return 0;
}

static void check_scopes(const char *text)
{
	auto_scopes struct scopes *s = NULL;
	struct err err = ERR_INIT;

	if (scopes_parse(text, &s, &err)) {
		assert(err.reason == ERR_ARGUMENT && err.text[0]);
		return;
	}
	for (size_t i = 0; i < scopes_count(s); i++) {
		const char *pattern;
		unsigned actions;

		scopes_at(s, i, &pattern, &actions);
		assert(!pattern || pattern_check(pattern, NULL) == 0);
		assert(!(actions & ~(unsigned)ACTIONS_ALL));
		if (pattern && pattern_is_name(pattern))
			assert((scopes_allow(s, pattern) & actions) == actions);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = strndup((const char *)data, size);
	struct err err = ERR_INIT;
	int grants = 0, r;

	if (!text)
		return 0;
	r = policy_read(data, size, check_grant, &grants, &err);
	/* Refused is refused whole, with a reason. */
	assert(r ? !grants && err.text[0] : grants > 0);
	/* What the word Deny, or a condition, stands in is never taken. */
	if (!r)
		assert(!strstr(text, "\"Deny\"") && !strstr(text, "\"Condition\""));
	check_scopes(text);
	return 0;
}
