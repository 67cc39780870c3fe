/*
 * fuzz_hook.c: a hook as it is written into _hooks/, by whoever may administer a repository: what is taken is a hook, and what is shown of
 * it is taken again and says the same.
 */
#include "fs/base/base.h"
#include "fs/base/outbound.h"
#include "fs/tree/hook_file.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hook_row row_of(const struct tree_hook_change *c)
{
	return (struct hook_row){ .kinds = c->kinds, .tags = c->tags, .url = c->url, .program = c->program, .format = c->format,
				  .headers = c->headers, .ca = c->ca, .secret = c->secret ? c->secret : "*", .old_secret = "", .disabled = "",
				  .parallel = c->parallel == SETTING_YES, .paused = c->paused == SETTING_YES };
}

static void check_again(const struct tree_hook_change *first)
{
	auto_hook_file struct hook_file again = HOOK_FILE_INIT;
	const struct hook_row row = row_of(first);
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	assert(hook_file_text(&row, &text) == 0);
	assert(hook_file_read(text.data, &again, &err) == 0);
	assert(streq(again.change.tags, first->tags) && streq(again.change.url, first->url) && streq(again.change.headers, first->headers));
	assert(again.change.parallel == first->parallel);
	assert(!*row.secret == !again.change.needs_secret);
	/* A secret isn't shown. */
	assert(!first->secret || !again.change.secret || !*again.change.secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_hook_file struct hook_file file = HOOK_FILE_INIT;
	auto_free char *text = strndup((const char *)data, size);
	struct err err = ERR_INIT;

	if (!text)
		return 0;
	if (hook_file_read(text, &file, &err)) {
		assert(err.text[0]);
		return 0;
	}
	assert(file.change.kinds && file.change.url && file.change.headers && file.change.format);
	assert(file.change.secret || file.change.needs_secret);
	if (courier_url_check(file.change.url, &err))
		assert(err.reason == ERR_ARGUMENT && err.text[0]);
	check_again(&file.change);
	return 0;
}
