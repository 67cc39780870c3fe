/*
 * fuzz_name.c: names, tags, references and digests, as a client may write them.
 */
#include "fs/base/base.h"
#include "fs/image/name.h"

#include <assert.h>

/* What is before the path is a REF, and both are all of the text. */
static void check_ref_path(const char *text)
{
	struct err err = ERR_INIT;
	struct ref ref, again;
	const char *path;

	if (ref_path_parse(text, &ref, &path, &err) < 0) {
		assert(err_row(err.reason)->exit_status == 2 && err.text[0]);
		return;
	}
	if (!path) {
		assert(ref_parse(text, &again, NULL) == 0);
		return;
	}
	assert(path > text && path[-1] == ':');
	auto_free char *before = strndup(text, (size_t)(path - 1 - text));
	assert(before && ref_parse(before, &again, NULL) == 0);
	assert(ref.tag[0] || ref.digest.algorithm != DIGEST_NONE || *path == '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *text)
{
	struct err err = ERR_INIT;
	int ret = name_check(text, &err);

	assert(ret == 0 || (err.reason == ERR_NAME_INVALID && err.text[0]));
	if (ret < 0)
		return;
	assert(strlen(text) <= LIMIT_NAME && text[0] && !strstr(text, "//"));
	/* The tree's own names begin with '_', and no name climbs. */
	assert(text[0] != '_' && !strstr(text, "/_") && !strstr(text, ".."));
	for (const char *p = text; *p; p++)
		assert(strchr("abcdefghijklmnopqrstuvwxyz0123456789._-/", *p));
}

static void check_tag(const char *text)
{
	struct err err = ERR_INIT;
	int ret = tag_check(text, &err);

	assert(ret == 0 || (err.reason == ERR_TAG_INVALID && err.text[0]));
	assert((ret == 0) == tag_ok(text));
	if (ret == 0)
		assert(text[0] && text[0] != '.' && strlen(text) <= LIMIT_TAG && !strchr(text, '/'));
}

static void check_digest(const char *text)
{
	struct err err = ERR_INIT;
	struct digest d, again;
	char out[DIGEST_TEXT_MAX + 1], hex[DIGEST_HEX_MAX + 1];

	if (digest_parse(text, &d, &err) < 0) {
		assert(err.reason == ERR_DIGEST_INVALID && err.text[0]);
		return;
	}
	assert(streq(digest_format(&d, out), text));
	assert(digest_parse_hex((enum digest_algorithm)d.algorithm, digest_hex(&d, hex), &again,
				NULL) == 0);
	assert(digest_equal(&d, &again));
}

static void check_ref(const char *text)
{
	struct err err = ERR_INIT;
	struct ref ref;
	char digest[DIGEST_TEXT_MAX + 1];
	char again[LIMIT_NAME + LIMIT_TAG + DIGEST_TEXT_MAX + 3];

	if (ref_parse(text, &ref, &err) < 0) {
		assert(err_row(err.reason)->exit_status == 2 && err.text[0]);
		return;
	}
	assert(name_check(ref.name, NULL) == 0 && (!ref.tag[0] || tag_ok(ref.tag)));
	digest_format(&ref.digest, digest);
	snprintf(again, sizeof(again), "%s%s%s%s%s", ref.name, ref.tag[0] ? ":" : "", ref.tag,
		 digest[0] ? "@" : "", digest);
	assert(streq(again, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	/* A line at the end of a seed file is an editor's. */
	if (size && text[size - 1] == '\n')
		text[size - 1] = '\0';
	check_name(text);
	check_tag(text);
	check_digest(text);
	check_ref(text);
	check_ref_path(text);
	return 0;
}
