/*
 * config.c: what an image's config says.
 */
#include "fs/base/base.h"
#include "fs/image/config.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/image/manifest.h"
#include "fs/image/platform.h"

/* The config as a document, or NULL if it isn't one that we look into. */
static struct json *open_config(const void *data, size_t len)
{
	struct json *root = NULL;

	if (!data || len > LIMIT_CONFIG || json_parse(data, len, &root, NULL) < 0)
		return NULL;
	return root;
}

void image_config_parse(const void *data, size_t len, struct image_config *out)
{
	auto_json struct json *root = open_config(data, len);
	const char *created = json_text(json_get(root, "created"));
	const char *expires = json_text(json_get(json_get(json_get(root, "config"), "Labels"), IMAGE_EXPIRES));

	*out = (struct image_config){ .created = 0 };
	platform_format(root, out->platform);
	if (created && !timestamp_parse(created, &out->created))
		out->created = 0;
	snprintf(out->expires, sizeof(out->expires), "%s", expires ? expires : "");
}

bool media_type_is_image_config(const char *media_type)
{
	return streq(media_type, MEDIA_OCI_CONFIG) || streq(media_type, MEDIA_DOCKER_CONFIG);
}

static bool has_layer(const struct json *entry)
{
	return json_is_object(entry) && !json_bool(json_get(entry, "empty_layer"));
}

/*
 * The history entries that made a layer, or 0 if there aren't as many as layers: some builders
 * leave out the base's, and a layer without an instruction is better than one with another's.
 */
static size_t count_entries(const struct json *history, size_t layers)
{
	size_t n = 0;

	for (size_t i = 0; i < json_count(history); i++)
		n += has_layer(json_at(history, i));
	return n == layers ? n : 0;
}

/* On one line: controls become spaces, U+0080 to U+009F (in UTF-8 c2 80 to c2 9f) too. */
static void add_line(struct buf *out, const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		p += c1;
		buf_addc(out, c1 || *p < 0x20 || *p == 0x7f ? ' ' : (char)*p);
	}
}

int image_layer_digits(size_t layers)
{
	int digits = 2;

	for (size_t most = 99; layers > most; most = most * 10 + 9)
		digits++;
	return digits;
}

int image_history(const struct manifest *m, const void *config, size_t len, struct buf *out,
		  struct err *err)
{
	auto_json struct json *root = open_config(config, len);
	const struct json *history = json_get(root, "history");
	size_t layers = manifest_count(m, ROLE_LAYER), next = 0;
	size_t entries = count_entries(history, layers);
	int digits = image_layer_digits(layers);

	for (size_t i = 0; i < layers; i++) {
		const char *made_by;

		while (entries && !has_layer(json_at(history, next)))
			next++;
		made_by = entries ? json_text(json_get(json_at(history, next++), "created_by")) : NULL;
		buf_addf(out, "%0*zu\t%" PRId64 "\t", digits, i + 1,
			 manifest_ref(m, ROLE_LAYER, i)->size);
		add_line(out, made_by ? made_by : "");
		buf_addc(out, '\n');
	}
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "cannot write the history: out of memory");
	return 0;
}

bool image_diff_id(const void *config, size_t len, size_t i, struct digest *out)
{
	auto_json struct json *root = open_config(config, len);
	const struct json *ids = json_get(json_get(root, "rootfs"), "diff_ids");
	const char *id = json_text(json_at(ids, i));

	return id && digest_parse(id, out, NULL) == 0;
}

bool media_type_is_tar(const char *media_type)
{
	for (const char *p = media_type; (p = strstr(p, "tar")); p++)
		if (p > media_type && strchr(".+/", p[-1]) && strchr(".+-;", p[3]))
			return true;
	return false;
}
