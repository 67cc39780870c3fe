/*
 * platform.c: an image's platform as regfs writes it.
 */
#include "fs/base/base.h"
#include "fs/image/platform.h"

static bool is_sane(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

/* Appends "/part" (at the start: "part"), as much of it as fits; returns the new length. */
static size_t add_part(char *out, size_t len, const char *part)
{
	/* A slash with nothing behind it says nothing. */
	if (len && len + 1 < LIMIT_PLATFORM)
		out[len++] = '/';
	else if (len)
		return len;
	for (; *part && len < LIMIT_PLATFORM; part++)
		out[len++] = is_sane(*part) ? *part : '_';
	return len;
}

char *platform_format(const struct json *object, char out[static LIMIT_PLATFORM + 1])
{
	const char *os = json_text(json_get(object, "os"));
	const char *architecture = json_text(json_get(object, "architecture"));
	const char *variant = json_text(json_get(object, "variant"));
	size_t len = 0;

	if (os && *os && architecture && *architecture) {
		len = add_part(out, len, os);
		len = add_part(out, len, architecture);
		if (variant && *variant)
			len = add_part(out, len, variant);
	}
	out[len] = '\0';
	return out;
}
