/*
 * name.c: the grammar of repository names, tags and references.
 */
#include "fs/base/base.h"
#include "fs/image/name.h"

/* Not ctype.h's: those ask the locale. */
static bool is_alnum_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_word(char c)
{
	return is_alnum_lower(c) || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Bytes of a separator at p: one '.', one or two '_', or any number of '-'; 0: none. */
static size_t separator(const char *p, size_t len)
{
	size_t n = 0;

	if (p[0] == '.')
		return 1;
	if (p[0] == '_')
		return len > 1 && p[1] == '_' ? 2 : 1;
	while (n < len && p[n] == '-')
		n++;
	return n;
}

bool name_component_ok(const char *component, size_t len)
{
	size_t i = 0;

	for (;;) {
		size_t start = i, n;

		while (i < len && is_alnum_lower(component[i]))
			i++;
		if (i == start)
			return false;
		if (i == len)
			return true;
		n = separator(component + i, len - i);
		if (!n)
			return false;
		i += n;
	}
}

int name_check(const char *name, struct err *err)
{
	const char *component = name;

	if (strnlen(name, LIMIT_NAME + 1) > LIMIT_NAME)
		return err_set(err, ERR_NAME_INVALID,
			       "repository name \"%.40s...\" is longer than %d bytes", name,
			       LIMIT_NAME);
	for (;;) {
		size_t len = strcspn(component, "/");

		if (!name_component_ok(component, len))
			return err_set(err, ERR_NAME_INVALID,
				       "\"%s\" is not a repository name: \"%.*s\" must be lower-case "
				       "letters and digits, joined by '.', '_', '__' or '-'",
				       name, (int)len, component);
		if (!component[len])
			return 0;
		component += len + 1;
	}
}

bool tag_ok(const char *tag)
{
	size_t i = 0;

	if (!is_word(tag[0]))
		return false;
	while (is_word(tag[i]) || tag[i] == '.' || tag[i] == '-')
		if (++i > LIMIT_TAG)
			return false;
	return tag[i] == '\0';
}

int tag_check(const char *tag, struct err *err)
{
	if (tag_ok(tag))
		return 0;
	if (strnlen(tag, LIMIT_TAG + 1) > LIMIT_TAG)
		return err_set(err, ERR_TAG_INVALID, "tag \"%.40s...\" is longer than %d bytes",
			       tag, LIMIT_TAG);
	return err_set(err, ERR_TAG_INVALID,
		       "\"%s\" is not a tag: it must be letters, digits, '_', '.' and '-', and not "
		       "begin with '.' or '-'",
		       tag);
}

/* Copies a part of a reference; one too long keeps its first `max` bytes, for the message. */
static void take(char *out, size_t max, const char *from, size_t len)
{
	len = MIN(len, max);
	memcpy(out, from, len);
	out[len] = '\0';
}

static int ref_name(const char *text, size_t len, struct ref *out, struct err *err)
{
	char name[LIMIT_NAME + 2] = "";

	if (!len)
		return err_set(err, ERR_USAGE,
			       "\"%.300s\" has no repository: write NAME, NAME:TAG or NAME@DIGEST",
			       text);
	take(name, sizeof(name) - 1, text, len);
	if (memchr(text, ':', len))
		return err_set(err, ERR_USAGE,
			       "\"%.300s\" names a host: leave it out, only this registry is meant",
			       text);
	memcpy(out->name, name, sizeof(out->name) - 1);
	return name_check(name, err);
}

static int ref_tag(const char *from, size_t len, struct ref *out, struct err *err)
{
	char tag[LIMIT_TAG + 2] = "";

	take(tag, sizeof(tag) - 1, from, len);
	memcpy(out->tag, tag, sizeof(out->tag) - 1);
	return tag_check(tag, err);
}

int ref_parse(const char *text, struct ref *out, struct err *err)
{
	size_t end = strcspn(text, "@"), name_end = end;
	struct ref ref = { .tag = "" };
	int ret;

	/* A tag holds no slash: a colon before the last one belongs to a host. */
	for (size_t i = end; i > 0 && text[i - 1] != '/'; i--)
		if (text[i - 1] == ':')
			name_end = i - 1;
	ret = ref_name(text, name_end, &ref, err);
	if (ret == 0 && name_end < end)
		ret = ref_tag(text + name_end + 1, end - name_end - 1, &ref, err);
	if (ret == 0 && text[end])
		ret = digest_parse(text + end + 1, &ref.digest, err);
	if (ret == 0)
		*out = ref;
	return ret;
}

/* Where the path's colon is: behind a digest, or a tag, or the name if a slash follows; else the end. */
static size_t path_colon(const char *text)
{
	size_t at = strcspn(text, ":@");

	if (text[at] == ':' && text[at + 1] != '/') {
		at += 1 + strcspn(text + at + 1, ":@/");
		/* A port: this names a host. */
		if (text[at] == '/')
			return strlen(text);
	}
	if (text[at] != '@')
		return at;
	at += strcspn(text + at, ":");
	return text[at] ? at + 1 + strcspn(text + at + 1, ":") : at;
}

int ref_path_parse(const char *text, struct ref *out, const char **path, struct err *err)
{
	size_t colon = path_colon(text);
	auto_free char *ref = strndup(text, colon);

	*path = text[colon] ? text + colon + 1 : NULL;
	return ref ? ref_parse(ref, out, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
}
