/*
 * hook_file.c: see hook_file.h.
 */
#include "fs/base/base.h"
#include "fs/tree/hook_file.h"

#include "fs/base/json.h"

void hook_file_release(struct hook_file *f)
{
	json_free(f->json);
	buf_release(&f->kinds);
	buf_release(&f->headers);
}

/* One row of the table: how a member is read into a change, and written of a row. */
struct member {
	const char *name;
	int (*read)(struct hook_file *f, const struct member *m, const struct json *value, struct err *err);
	/* Appends its value; nothing where there is none. */
	void (*write)(const struct hook_row *row, const struct member *m, struct buf *out);
	size_t in_change, in_row, in_file;
	char between;	/* of a list */
};

static const char **text_of(struct hook_file *f, const struct member *m)
{
	return (const char **)(void *)((char *)&f->change + m->in_change);
}

static int wrong(const struct member *m, const char *what, struct err *err)
{
	return err_set(err, ERR_ARGUMENT, "\"%s\" of a hook is %s", m->name, what);
}

/* ---- Texts ---- */

static int read_text(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	const char *text = json_text(value);

	if (!text)
		return wrong(m, "a string", err);
	*text_of(f, m) = text;
	return 0;
}

static const char *row_text(const struct hook_row *row, const struct member *m)
{
	return *(const char *const *)(const void *)((const char *)row + m->in_row);
}

static void write_text(const struct hook_row *row, const struct member *m, struct buf *out)
{
	if (*row_text(row, m))
		json_add_string(out, row_text(row, m));
}

/* ---- Lists: a text with something between the entries ---- */

static int read_list(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	struct buf *out = (struct buf *)(void *)((char *)f + m->in_file);

	if (!json_is_array(value))
		return wrong(m, "an array of strings", err);
	for (size_t i = 0; i < json_count(value); i++) {
		const char *text = json_text(json_at(value, i));

		if (!text || !*text || strchr(text, m->between))
			return wrong(m, "an array of strings, a single one each", err);
		buf_addf(out, "%.*s%s", i > 0, &m->between, text);
	}
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	*text_of(f, m) = out->data;
	return 0;
}

static void write_list(const struct hook_row *row, const struct member *m, struct buf *out)
{
	const char *text = row_text(row, m), ends[] = { m->between, '\0' };

	if (!*text)
		return;
	for (const char *before = "["; *text; before = ", ") {
		size_t len = strcspn(text, ends);

		buf_adds(out, before);
		json_add_stringn(out, text, len);
		text += len + (text[len] != '\0');
	}
	buf_addc(out, ']');
}

/* ---- Yes or no ---- */

static bool is_bool(const struct json *value)
{
	return json_bool(value) || json_is_false(value);
}

static int read_flag(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	if (!is_bool(value))
		return wrong(m, "true or false", err);
	*(enum setting *)(void *)((char *)&f->change + m->in_change) = json_bool(value) ? SETTING_YES : SETTING_NO;
	return 0;
}

static void write_flag(const struct hook_row *row, const struct member *m, struct buf *out)
{
	buf_adds(out, *(const bool *)((const char *)row + m->in_row) ? "true" : "false");
}

/* ---- Secrets: one that is written takes the place of the one there is, which signs on; true keeps it ---- */

static int read_secret(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	if (!json_text(value) && !is_bool(value))
		return wrong(m, "a string, or true for the one that it has", err);
	f->change.secret = json_bool(value) ? NULL : json_text(value) ? json_text(value) : "";
	f->change.needs_secret = json_bool(value);
	return 0;
}

static int read_old_secret(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	if (!is_bool(value))
		return wrong(m, "true, for the one that it has, or false", err);
	f->change.drop_old_secret = !json_bool(value);
	return 0;
}

static void write_secret(const struct hook_row *row, const struct member *m, struct buf *out)
{
	if (*row_text(row, m))
		buf_adds(out, "true");
}

/* ---- Why it was disabled: it goes on where that isn't written back ---- */

static int read_disabled(struct hook_file *f, const struct member *m, const struct json *value, struct err *err)
{
	if (!json_text(value))
		return wrong(m, "what was read, or left out", err);
	if (f->change.paused != SETTING_YES)
		f->change.paused = SETTING_INHERIT;
	return 0;
}

/* ---- The table ---- */

#define ROW(member) .in_row = offsetof(struct hook_row, member)
#define CHANGE(member) .in_change = offsetof(struct tree_hook_change, member)
#define TEXT(member) { #member, read_text, write_text, CHANGE(member), ROW(member) }
#define FLAG(member) { #member, read_flag, write_flag, CHANGE(member), ROW(member) }

/* In the order in which they are written, and read: what is disabled behind what is paused. */
static const struct member members[] = {
	{ "on", read_list, write_list, CHANGE(kinds), ROW(kinds), .in_file = offsetof(struct hook_file, kinds), .between = ',' },
	TEXT(tags),
	TEXT(url),
	TEXT(program),
	TEXT(format),
	{ "headers", read_list, write_list, CHANGE(headers), ROW(headers), .in_file = offsetof(struct hook_file, headers), .between = '\n' },
	TEXT(ca),
	{ "secret", read_secret, write_secret, ROW(secret) },
	{ "old-secret", read_old_secret, write_secret, ROW(old_secret) },
	FLAG(parallel),
	FLAG(paused),
	{ "disabled", read_disabled, write_text, ROW(disabled) },
};

static int check_member(void *arg, const char *key, const struct json *value UNUSED)
{
	auto_buf struct buf known = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (streq(members[i].name, key))
			return 0;
		buf_addf(&known, "%s%s", i ? ", " : "", members[i].name);
	}
	return err_set(arg, ERR_ARGUMENT, "a hook has no member \"%.40s\": they are %s", key, buf_error(&known) ? "" : known.data);
}

/* The secret before the last is kept by a new one, and by being named; not by being forgotten. */
static void settle(struct hook_file *f, bool names_old)
{
	const char *secret = f->change.secret;

	if (!names_old)
		f->change.drop_old_secret = !secret || !*secret;
}

/* What stands near the place may be a secret, and the reason is logged. */
static int parse(const char *text, struct json **out, struct err *err)
{
	struct err why = ERR_INIT;
	int r = json_parse(text, strlen(text), out, &why);
	const char *near = strstr(why.text, " near ");

	return r ? err_set(err, why.reason, "a hook's file, %.*s", near ? (int)(near - why.text) : -1, why.text) : 0;
}

int hook_file_read(const char *text, struct hook_file *f, struct err *err)
{
	int r = parse(text, &f->json, err);

	if (r)
		return r;
	if (!json_is_object(f->json))
		return err_set(err, ERR_ARGUMENT, "a hook is a JSON object such as {\"on\": [\"push\"], \"url\": \"https://HOST/PATH\"}");
	f->change = (struct tree_hook_change)TREE_HOOK_NEW;
	r = json_each(f->json, check_member, err);
	for (size_t i = 0; !r && i < ARRAY_SIZE(members); i++) {
		const struct json *value = json_get(f->json, members[i].name);

		if (value)
			r = members[i].read(f, &members[i], value, err);
	}
	settle(f, json_get(f->json, "old-secret") != NULL);
	return r;
}

int hook_file_text(const struct hook_row *row, struct buf *out)
{
	auto_buf struct buf value = BUF_INIT;
	const char *before = "{\n  \"";

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		buf_reset(&value);
		members[i].write(row, &members[i], &value);
		if (!value.len)
			continue;
		buf_addf(out, "%s%s\": ", before, members[i].name);
		buf_add(out, value.data, value.len);
		before = ",\n  \"";
	}
	buf_adds(out, "\n}\n");
	return buf_error(&value) ? buf_error(&value) : buf_error(out);
}
