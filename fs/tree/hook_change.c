/*
 * hook_change.c: what may be said of a hook, and what comes of it: struct tree_hook_change of hooks.h.
 */
#include "fs/base/base.h"
#include "fs/tree/hooks.h"

#include <strings.h>

#include "fs/auth/rule.h"
#include "fs/base/outbound.h"
#include "fs/tree/state.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

int hook_name_check(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len && len <= LIMIT_HOOK_NAME && name[strspn(name, LOWER UPPER DIGITS "._-")] == '\0' && !strchr("._-", *name))
		return 0;
	return err_set(err, ERR_ARGUMENT,
		       "\"%.80s\" is no name of a hook: at most %d letters, digits, '.', '_' and '-', and a letter or a digit first",
		       name, LIMIT_HOOK_NAME);
}

static const struct {
	const char *name, *kinds;
} formats[] = {
#define FORMAT(name, make, kinds) { name, kinds },
	HOOK_FORMATS(FORMAT)
#undef FORMAT
};

/* Who is told of hooks would be told of what he is told. */
bool hook_may_be_told(const char *kind)
{
	return !starts_with(kind, "hook-");
}

/* Whether it is among kinds, by commas. */
static bool lists_kind(const char *kinds, const char *kind, size_t len)
{
	for (const char *k = kinds; *k; k += strcspn(k, ","), k += *k == ',')
		if (strncmp(k, kind, len) == 0 && (k[len] == ',' || !k[len]))
			return true;
	return false;
}

bool hook_is_about(const char *kinds, const char *kind)
{
	return lists_kind(kinds, kind, strlen(kind)) || (!streq(kind, "pull") && lists_kind(kinds, HOOK_ANY, strlen(HOOK_ANY)));
}

static bool is_kind(const char *word, size_t len)
{
	if (len == strlen(HOOK_ANY) && memcmp(word, HOOK_ANY, len) == 0)
		return true;
	return event_kind_known(word, len) && hook_may_be_told(word);
}

static int check_kinds(const char *text, struct err *err)
{
	do {
		size_t len = strcspn(text, ",");

		if (!is_kind(text, len))
			return err_set(err, ERR_ARGUMENT, "there are no events \"%.*s\" to be told of: regfs(5) lists them (push, tag, untag, delete, ...); or " HOOK_ANY,
				       (int)MIN(len, (size_t)40), text);
		text += len;
	} while (*text++ == ',');
	return 0;
}

static int check_tags(const char *text, struct err *err)
{
	return *text ? rules_check(text, err) : 0;
}

static int check_url(const char *url, struct err *err)
{
	return *url ? courier_url_check(url, err) : 0;
}

static int check_program(const char *name, struct err *err)
{
	if (!*name || (strlen(name) <= LIMIT_HOOK_NAME && *name != '.' && !name[strspn(name, LOWER UPPER DIGITS "._-")]))
		return 0;
	return err_set(err, ERR_ARGUMENT, "a program is named as the file in the store's hooks.d/programs/ is, not \"%.80s\"", name);
}

/* One behind the last: there is none of that name. */
static size_t find_format(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(formats) && !streq(formats[i].name, name))
		i++;
	return i;
}

static int check_format(const char *text, struct err *err)
{
	auto_buf struct buf names = BUF_INIT;

	if (find_format(text) < ARRAY_SIZE(formats))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		buf_addf(&names, "%s%s", !i ? "" : i + 1 < ARRAY_SIZE(formats) ? ", " : " and ", formats[i].name);
	return err_set(err, ERR_ARGUMENT, "\"%.40s\" is no format: they are %s", text, buf_error(&names) ? "" : names.data);
}

int hook_format_check(const struct hook_row *row, struct err *err)
{
	const char *can = formats[find_format(row->format)].kinds;

	if (streq(can, HOOK_ANY))
		return 0;
	for (const char *k = row->kinds; *k; k += strcspn(k, ","), k += *k == ',')
		if (!lists_kind(can, k, strcspn(k, ",")))
			return err_set(err, ERR_ARGUMENT, "the format %s can't tell of events \"%.*s\": it can of %s", row->format,
				       (int)strcspn(k, ","), k, can);
	return 0;
}

/* Those that say how the request is read, and those that deliveries have. */
static bool is_reserved(const char *line, size_t name)
{
	static const char *const reserved[] = { "Host",	   "Content-Length",	"Content-Type", "Transfer-Encoding", "Connection",
						"Expect",  "Upgrade",		"TE",		"Trailer",	     "Keep-Alive" };

	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strlen(reserved[i]) == name && strncasecmp(line, reserved[i], name) == 0)
			return true;
	return strncasecmp(line, "X-Regfs-", 8) == 0 || strncasecmp(line, "ce-", 3) == 0 || strncasecmp(line, "X-Hub-", 6) == 0;
}

static int check_header(const char *line, size_t len, struct err *err)
{
	size_t name = strspn(line, LOWER UPPER DIGITS "!#$%&'*+-.^_`|~");

	if (!name || len > LIMIT_VALUE || line[name] != ':')
		return err_set(err, ERR_ARGUMENT, "a header is \"Name: value\" of at most %d bytes; one begins with \"%.*s\"", LIMIT_VALUE,
			       (int)MIN(name, (size_t)80), line);
	for (size_t i = name; i < len; i++)
		if (line[i] < ' ' || line[i] > '~')
			return err_set(err, ERR_ARGUMENT, "the value of the header %.*s has something else than printable ASCII",
				       (int)MIN(name, (size_t)80), line);
	if (is_reserved(line, name))
		return err_set(err, ERR_ARGUMENT, "the header %.*s is written by regfs itself", (int)name, line);
	return 0;
}

/* A line behind this one is about the same header. */
static bool is_again(const char *rest, const char *name, size_t len)
{
	while (*rest == '\n') {
		rest++;
		if (!strncasecmp(rest, name, len) && rest[len] == ':')
			return true;
		rest += strcspn(rest, "\n");
	}
	return false;
}

static int check_headers(const char *text, struct err *err)
{
	int count = 0, r = 0;

	while (!r && *text) {
		size_t len = strcspn(text, "\n");

		if (++count > LIMIT_HOOK_HEADERS)
			return err_set(err, ERR_ARGUMENT, "a hook has at most %d headers of its own", LIMIT_HOOK_HEADERS);
		r = check_header(text, len, err);
		if (!r && is_again(text + len, text, strcspn(text, ":")))
			r = err_set(err, ERR_ARGUMENT, "a hook has one header %.*s: put both values into it", (int)strcspn(text, ":"), text);
		text += len + (text[len] == '\n');
	}
	return r;
}

static int check_ca(const char *pem, struct err *err)
{
	if (strlen(pem) > LIMIT_HOOK_CA)
		return err_set(err, ERR_ARGUMENT, "the certificates that a hook believes have at most %d KiB: name those that it needs",
			       LIMIT_HOOK_CA / 1024);
	if (!*pem || (strstr(pem, "-----BEGIN CERTIFICATE-----") && strstr(pem, "-----END CERTIFICATE-----")))
		return 0;
	return err_set(err, ERR_ARGUMENT, "whom to believe is PEM: certificates between -----BEGIN CERTIFICATE----- and its end");
}

static int check_secret(const char *secret, struct err *err)
{
	size_t len = strlen(secret);

	if (!len || (len >= LIMIT_PASSWORD_MIN && len <= LIMIT_HOOK_SECRET && !strpbrk(secret, "\r\n")))
		return 0;
	return err_set(err, ERR_ARGUMENT, "a secret is one line of %d to %d bytes", LIMIT_PASSWORD_MIN, LIMIT_HOOK_SECRET);
}

/* Which text of a change becomes which of the row. */
static const struct text {
	size_t from, to;
	int (*check)(const char *value, struct err *err);
} texts[] = {
#define TEXT(member, check) { offsetof(struct tree_hook_change, member), offsetof(struct hook_row, member), check }
	TEXT(kinds, check_kinds),	TEXT(tags, check_tags),		TEXT(url, check_url),
	TEXT(program, check_program),	TEXT(format, check_format),	TEXT(headers, check_headers),
	TEXT(ca, check_ca),		TEXT(secret, check_secret),
#undef TEXT
};

static const char *text_in(const struct tree_hook_change *change, const struct text *t)
{
	return *(const char *const *)(const void *)((const char *)change + t->from);
}

int hook_change_check(const struct tree_hook_change *change, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(texts); i++)
		if (text_in(change, &texts[i]))
			r = texts[i].check(text_in(change, &texts[i]), err);
	return r;
}

void hook_change_apply(struct hook_row *row, const struct tree_hook_change *change)
{
	if (change->secret && *row->secret && *change->secret && !streq(row->secret, change->secret))
		row->old_secret = row->secret;
	if (change->drop_old_secret || (change->secret && !*change->secret))
		row->old_secret = "";
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (text_in(change, &texts[i]))
			*(const char **)(void *)((char *)row + texts[i].to) = text_in(change, &texts[i]);
	if (change->parallel != SETTING_INHERIT)
		row->parallel = change->parallel == SETTING_YES;
	if (change->paused != SETTING_INHERIT)
		row->paused = change->paused == SETTING_YES;
	if (change->paused == SETTING_NO)
		row->disabled = "";
}
