/*
 * test_err.c: the table of reasons, and how errors are set.
 */
#include "fs/base/base.h"
#include "fs/base/err.h"
#include "tests/unit/tap.h"

/* The specification's codes (spec.md, "Error Codes") with what a door makes of them. */
static const struct {
	enum reason reason;
	int errnum, http_status;
	const char *code;
	int exit_status;
} wanted[] = {
	{ ERR_NONE, 0, 200, "", 0 },
	{ ERR_BLOB_UNKNOWN, ENOENT, 404, "BLOB_UNKNOWN", 1 },
	{ ERR_UPLOAD_INVALID, EINVAL, 400, "BLOB_UPLOAD_INVALID", 4 },
	{ ERR_UPLOAD_UNKNOWN, ENOENT, 404, "BLOB_UPLOAD_UNKNOWN", 1 },
	{ ERR_UPLOAD_RANGE, EINVAL, 416, "BLOB_UPLOAD_INVALID", 4 },
	{ ERR_DIGEST_INVALID, EINVAL, 400, "DIGEST_INVALID", 2 },
	{ ERR_DIGEST_MISMATCH, EBADMSG, 400, "DIGEST_INVALID", 4 },
	{ ERR_MANIFEST_BLOB_UNKNOWN, ENOENT, 404, "MANIFEST_BLOB_UNKNOWN", 4 },
	{ ERR_MANIFEST_INVALID, EINVAL, 400, "MANIFEST_INVALID", 4 },
	{ ERR_MANIFEST_UNKNOWN, ENOENT, 404, "MANIFEST_UNKNOWN", 1 },
	{ ERR_NAME_INVALID, EINVAL, 400, "NAME_INVALID", 2 },
	{ ERR_NAME_UNKNOWN, ENOENT, 404, "NAME_UNKNOWN", 1 },
	{ ERR_SIZE_INVALID, EINVAL, 400, "SIZE_INVALID", 4 },
	{ ERR_TAG_INVALID, EINVAL, 400, "TAG_INVALID", 2 },
	{ ERR_UNAUTHORIZED, EACCES, 401, "UNAUTHORIZED", 3 },
	{ ERR_DENIED, EACCES, 403, "DENIED", 3 },
	{ ERR_UNSUPPORTED, EOPNOTSUPP, 405, "UNSUPPORTED", 4 },
	{ ERR_TOO_MANY_REQUESTS, EAGAIN, 429, "TOOMANYREQUESTS", 4 },
	{ ERR_MANIFEST_TOO_LARGE, EFBIG, 413, "MANIFEST_INVALID", 4 },
	{ ERR_NO_SPACE, ENOSPC, 507, "UNAVAILABLE", 4 },
	{ ERR_READ_ONLY, EROFS, 405, "UNSUPPORTED", 3 },
	{ ERR_USAGE, EINVAL, 400, "UNSUPPORTED", 2 },
	{ ERR_IN_USE, EBUSY, 409, "DENIED", 4 },
	{ ERR_INTERNAL, EIO, 500, "UNKNOWN", 4 },
};

static void test_rows(void)
{
	for (int r = ERR_NONE; r < ERR_REASON_COUNT; r++) {
		const struct err_row *row = err_row((enum reason)r);

		is_int((int)row->reason, r, "reason %d has its own row", r);
		if (r == ERR_NONE)
			continue;
		ok(row->errnum > 0 && row->http_status >= 400 && row->http_status < 600 &&
			   row->exit_status >= 1 && row->exit_status <= 4,
		   "reason %d: its numbers are those of failures", r);
		ok(row->code[0] && !row->code[strspn(row->code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_")],
		   "reason %d: code %s is spelled as the specification wants", r, row->code);
	}
	is_int((int)err_row(ERR_REASON_COUNT)->reason, ERR_INTERNAL, "one beyond the last");
	is_int((int)err_row((enum reason)-1)->reason, ERR_INTERNAL, "one before the first");
}

static void test_wanted(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct err_row *row = err_row(wanted[i].reason);

		is_int(row->errnum, wanted[i].errnum, "%s: errno", row->code);
		is_int(row->http_status, wanted[i].http_status, "%s: HTTP status", row->code);
		is_str(row->code, wanted[i].code, "%s: code", row->code);
		is_int(row->exit_status, wanted[i].exit_status, "%s: exit status", row->code);
	}
}

static void test_set(void)
{
	struct err err = ERR_INIT;
	char longest[ERR_TEXT_MAX + 100];

	err_set_detail(&err, "[1]");
	err.offset = 7;
	is_int(err_set(&err, ERR_TAG_INVALID, "tag %s, %d", "x", 5), -EINVAL, "err_set answers");
	is_str(err.text, "tag x, 5", "the text");
	is_int(err.errnum, EINVAL, "the errno");
	is_str(err.detail, "", "the detail of an earlier error is gone");
	is_int(err.offset, 0, "its offset too");
	err_set(&err, ERR_IO, "again: %s", err.text);
	is_str(err.text, "again: tag x, 5", "an error's text can be put into its next one");
	is_int(err_set(NULL, ERR_IO, "x"), -EIO, "no struct err: the errno only");

	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	err_set(&err, ERR_IO, "%s", longest);
	is_int((int64_t)strlen(err.text), ERR_TEXT_MAX - 1, "a text too long is cut");
}

static void test_sys(void)
{
	static const struct {
		int errnum;
		enum reason reason;
	} rows[] = {
		{ ENOENT, ERR_NOT_FOUND }, { ENOSPC, ERR_NO_SPACE },   { EDQUOT, ERR_NO_SPACE },
		{ ENOMEM, ERR_NO_MEMORY }, { EIO, ERR_IO },	       { EACCES, ERR_DENIED },
		{ EEXIST, ERR_EXISTS },	   { EXDEV, ERR_INTERNAL }, { ELIBBAD, ERR_INTERNAL },
	};
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		is_int(err_sys(&err, rows[i].errnum, "x"), -rows[i].errnum, "errno %d comes back",
		       rows[i].errnum);
		is_int((int)err.reason, (int)rows[i].reason, "errno %d: reason", rows[i].errnum);
		is_int(err.errnum, rows[i].errnum, "errno %d is kept", rows[i].errnum);
	}
	err_sys(&err, ENOENT, "cannot open %s", "/x");
	is_str(err.text, "cannot open /x: No such file or directory", "its own text is put behind");
	is_int(err_sys(NULL, ENOENT, "x"), -ENOENT, "no struct err");
	ok(err_sys(&err, 0, "x") < 0, "no errno is a failure all the same");
	ok(err_sys(&err, 99999, "x") == -99999 && err.text[0], "an unknown errno");
}

static void test_detail(void)
{
	struct err err = ERR_INIT;
	char text[ERR_DETAIL_MAX + 1];

	memset(text, '1', sizeof(text));
	text[ERR_DETAIL_MAX - 1] = '\0';
	err_set_detail(&err, text);
	is_str(err.detail, text, "a detail as long as there is room");
	text[ERR_DETAIL_MAX - 1] = '1';
	text[ERR_DETAIL_MAX] = '\0';
	err_set_detail(&err, text);
	is_str(err.detail, "", "one byte longer: none, a cut JSON value is no value");
	err_set_detail(NULL, "1");
}

int main(void)
{
	test_rows();
	test_wanted();
	test_set();
	test_sys();
	test_detail();
	return done_testing();
}
