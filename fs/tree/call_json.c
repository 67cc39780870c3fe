/*
 * call_json.c: calls and their answers as they go over the network.
 *
 * Whoever reads trusts nothing: the server what a client asks, the client what a server answers. What the command relies on when it
 * writes files is made sure of here: a name in a directory is one component, a size isn't negative.
 */
#include "fs/base/base.h"
#include "fs/tree/call.h"

#include <sys/stat.h>

int call_read_args(const struct call *call, const char *data, size_t len, struct json **json, struct buf *memory, void *args,
		   struct err *err)
{
	int r = json_parse(data, len, json, err);

	return r ? r : record_read(call->args, *json, true, len, memory, args, err);
}

/* ---- Rows ---- */

static bool is_component(const char *name)
{
	return *name && strlen(name) <= LIMIT_TREE_NAME && !strchr(name, '/') && !streq(name, ".") && !streq(name, "..");
}

static int check_entry(const struct call *call, const struct call_entry *e, struct err *err)
{
	if (call == call_at(CALL_ROOTFS_LIST) && !is_component(e->name))
		return err_set(err, ERR_CORRUPT, "a file has a name that none can have");
	if (e->size < 0 || e->links < 0 || e->uid < 0 || e->uid > UINT32_MAX || e->gid < 0 || e->gid > UINT32_MAX || e->mode < 0 ||
	    e->mode > UINT32_MAX)
		return err_set(err, ERR_CORRUPT, "a file's attributes are none that it can have");
	if (S_ISLNK((mode_t)e->mode) != (e->target != NULL))
		return err_set(err, ERR_CORRUPT, "a link has a target, and nothing else has");
	return 0;
}

static int read_row(const struct call *call, const char *line, size_t len, struct buf *memory, call_row_fn *fn, void *arg,
		    struct err *err)
{
	_Alignas(max_align_t) char row[CALL_RECORD_MAX] = { 0 };
	auto_json struct json *json = NULL;
	struct err why = ERR_INIT;
	int r = call->row ? json_parse(line, len, &json, &why) : err_set(&why, ERR_ARGUMENT, "there is more than the answer");

	if (!r)
		r = record_read(call->row, json, false, len, memory, row, &why);
	if (r)
		return err_set(err, ERR_CORRUPT, "the answer to %s can't be understood: %.200s", call->name, why.text);
	if (call->row == call_at(CALL_ROOTFS_LIST)->row)
		r = check_entry(call, (const void *)row, err);
	return r ? r : fn(arg, row);
}

int call_read_rows(const struct call *call, const char *data, size_t len, call_row_fn *fn, void *arg, struct err *err)
{
	auto_buf struct buf memory = BUF_INIT;
	const char *end = data + len;
	int r = 0;

	for (const char *line = data, *next; !r && line < end; line = next) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		r = read_row(call, line, (size_t)((newline ? newline : end) - line), &memory, fn, arg, err);
	}
	return MIN(r, 0);
}

/* ---- Refusals ---- */

void call_add_refusal(struct buf *out, const struct err *err)
{
	buf_addc(out, '{');
	json_add_key(out, "reason");
	json_add_string(out, err_row(err->reason)->name);
	buf_addc(out, '}');
}

/* What a server that isn't of this version, or a proxy before it, may mean. */
static enum reason reason_of(int status, const char *code)
{
	enum reason found = ERR_IO;

	for (int i = ERR_REASON_COUNT - 1; i > ERR_NONE; i--) {
		const struct err_row *row = err_row((enum reason)i);

		if (row->http_status == status && (found == ERR_IO || streq(row->code, code)))
			found = row->reason;
	}
	return found;
}

int call_read_refusal(int status, const char *data, size_t len, struct err *err)
{
	auto_json struct json *json = NULL;
	bool ok = json_parse(data, len, &json, NULL) == 0;
	const struct json *first = ok ? json_at(json_get(json, "errors"), 0) : NULL;
	const char *text = json_text(json_get(first, "message")), *code = json_text(json_get(first, "code"));
	const char *name = json_text(json_get(json_get(first, "detail"), "reason"));
	enum reason reason = name ? err_reason(name) : ERR_NONE;

	if (!text)
		return err_set(err, status == 401 ? ERR_UNAUTHORIZED : status == 403 ? ERR_DENIED : ERR_IO,
			       "the server answers with status %d, and not as a regfs does", status);
	if (reason == ERR_NONE)
		reason = reason_of(status, code ? code : "");
	return err_set(err, reason, "%s", text);
}
