/*
 * fuzz_authorization.c: an Authorization header, or (behind an '&') a form.
 */
#include "fs/base/base.h"
#include "httpd/credentials.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_form(char *text, size_t size)
{
	struct err err = ERR_INIT;
	struct form form;

	if (form_parse(text, &form, &err)) {
		assert(err.reason == ERR_REQUEST_INVALID);
		return;
	}
	assert(form.count <= LIMIT_QUERY);
	for (size_t i = 0; i < form.count; i++) {
		assert(form.fields[i].key >= text && form.fields[i].key + strlen(form.fields[i].key) <= text + size);
		assert(strlen(form.fields[i].value) <= size && form_get(&form, form.fields[i].key));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_credentials struct credentials *c = NULL;
	auto_free char *text = malloc(size + 1);
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (*text == '&') {
		try_form(text, size);
		return 0;
	}
	if (credentials_parse(text, &c, &err)) {
		assert(!c && err.reason == ERR_UNAUTHORIZED);
		return 0;
	}
	assert(strlen(c->name) + strlen(c->secret) <= size && (c->kind != SHOWN_BEARER || (*c->secret && !*c->name)));
	assert(c->size == strlen(c->name) + strlen(c->secret) + 2);
	return 0;
}
