/*
 * fuzz_manifest.c: manifests and configs.
 *
 * An input is a Content-Type on a first line that doesn't begin with '{' (it may be
 * missing), the manifest, and behind a line that is "---" a config.
 */
#include "fs/base/base.h"
#include "fs/image/manifest.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t limit)
{
	assert(s[0] && strlen(s) <= limit);
	for (; *s; s++)
		assert(*s > ' ' && *s < 0x7f);
}

static void check_manifest(const struct manifest *m)
{
	size_t layers = manifest_count(m, ROLE_LAYER), children = manifest_count(m, ROLE_CHILD);
	bool image = m->kind == MANIFEST_IMAGE;

	assert(layers <= LIMIT_MANIFEST_REFS && children <= LIMIT_MANIFEST_REFS);
	assert(image ? !children && manifest_config(m) : !layers && !manifest_config(m));
	assert(m->ref_count == image + layers + children + !!manifest_subject(m));
	check_text(m->media_type, LIMIT_MEDIA_TYPE);
	if (m->artifact_type)
		check_text(m->artifact_type, LIMIT_MEDIA_TYPE);
	for (size_t i = 0; i < m->ref_count; i++) {
		const struct descriptor *d = &m->refs[i];

		assert(i == 0 || d->role >= m->refs[i - 1].role);
		assert(manifest_ref(m, d->role, (size_t)d->position) == d);
		assert(d->size >= 0 && digest_size(&d->digest) > 1);
		assert(d->distributable || d->role == ROLE_LAYER);
		check_text(d->media_type, LIMIT_MEDIA_TYPE);
		if (d->artifact_type)
			check_text(d->artifact_type, LIMIT_MEDIA_TYPE);
		if (d->platform)
			check_text(d->platform, LIMIT_PLATFORM);
	}
}

static void check_history(const struct manifest *m, const char *config, size_t len)
{
	auto_buf struct buf out = BUF_INIT;
	size_t lines = 0;

	if (image_history(m, config, len, &out, NULL) < 0)
		return;
	assert(strlen(out.data) == out.len);
	for (const char *p = out.data; *p; p++) {
		lines += *p == '\n';
		assert((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t');
	}
	assert(lines == manifest_count(m, ROLE_LAYER));
}

static void check_config(const char *config, size_t len)
{
	struct image_config out;
	struct digest diff_id;

	image_config_parse(config, len, &out);
	if (out.platform[0])
		check_text(out.platform, LIMIT_PLATFORM);
	for (size_t i = 0; i < 3; i++)
		if (image_diff_id(config, len, i, &diff_id))
			assert(digest_size(&diff_id) > 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *content_type = NULL;
	auto_manifest struct manifest m = { 0 };
	struct err err = ERR_INIT;
	const char *text = (const char *)data, *line, *config;
	size_t len = size, config_len = 0;

	line = len && text[0] != '{' ? memchr(text, '\n', len) : NULL;
	if (line) {
		content_type = strndup(text, (size_t)(line - text));
		len -= (size_t)(line + 1 - text);
		text = line + 1;
	}
	config = len ? memmem(text, len, "\n---\n", 5) : NULL;
	if (config) {
		config_len = (size_t)(text + len - config - 5);
		len = (size_t)(config - text);
		config += 5;
	}
	check_config(config, config_len);
	if (manifest_parse(text, len, content_type, &m, &err) < 0) {
		assert(err.reason == ERR_MANIFEST_INVALID && err.text[0]);
		return 0;
	}
	check_manifest(&m);
	check_history(&m, config, config_len);
	return 0;
}
