/*
 * err.c: the table behind the one language of errors.
 *
 * Invariant: every reason has exactly one row, at its own place (the initializers
 * are designated, tests/unit/test_err.c finds a missing one).
 *
 * Codes of 4xx are the distribution specification's, which wants one of its own list and no other
 * (and TAG_INVALID, which it allows for Docker's sake); of 5xx those of Docker's registry (UNKNOWN,
 * UNAVAILABLE), which clients have met before.
 */
#include "fs/base/base.h"
#include "fs/base/err.h"

#define ROW(r, e, http, c, status)                                              \
	[r] = { .reason = (r), .errnum = (e), .http_status = (http), .code = (c), \
		.exit_status = (status), .name = #r }

static const struct err_row rows[] = {
	ROW(ERR_NONE, 0, 200, "", 0),
	ROW(ERR_BLOB_UNKNOWN, ENOENT, 404, "BLOB_UNKNOWN", 1),
	ROW(ERR_UPLOAD_INVALID, EINVAL, 400, "BLOB_UPLOAD_INVALID", 4),
	ROW(ERR_UPLOAD_UNKNOWN, ENOENT, 404, "BLOB_UPLOAD_UNKNOWN", 1),
	ROW(ERR_UPLOAD_RANGE, EINVAL, 416, "BLOB_UPLOAD_INVALID", 4),
	ROW(ERR_DIGEST_INVALID, EINVAL, 400, "DIGEST_INVALID", 2),
	ROW(ERR_DIGEST_MISMATCH, EBADMSG, 400, "DIGEST_INVALID", 4),
	ROW(ERR_MANIFEST_BLOB_UNKNOWN, ENOENT, 404, "MANIFEST_BLOB_UNKNOWN", 4),
	ROW(ERR_MANIFEST_INVALID, EINVAL, 400, "MANIFEST_INVALID", 4),
	ROW(ERR_MANIFEST_UNKNOWN, ENOENT, 404, "MANIFEST_UNKNOWN", 1),
	ROW(ERR_NAME_INVALID, EINVAL, 400, "NAME_INVALID", 2),
	ROW(ERR_NAME_UNKNOWN, ENOENT, 404, "NAME_UNKNOWN", 1),
	ROW(ERR_SIZE_INVALID, EINVAL, 400, "SIZE_INVALID", 4),
	ROW(ERR_TAG_INVALID, EINVAL, 400, "TAG_INVALID", 2),
	ROW(ERR_UNAUTHORIZED, EACCES, 401, "UNAUTHORIZED", 3),
	ROW(ERR_SCOPE, EACCES, 401, "UNAUTHORIZED", 3),
	ROW(ERR_DENIED, EACCES, 403, "DENIED", 3),
	ROW(ERR_UNSUPPORTED, EOPNOTSUPP, 405, "UNSUPPORTED", 4),
	ROW(ERR_TOO_MANY_REQUESTS, EAGAIN, 429, "TOOMANYREQUESTS", 4),

	ROW(ERR_MANIFEST_TOO_LARGE, EFBIG, 413, "MANIFEST_INVALID", 4),
	ROW(ERR_RANGE, EINVAL, 416, "SIZE_INVALID", 4),
	ROW(ERR_REQUEST_INVALID, EINVAL, 400, "UNSUPPORTED", 4),
	ROW(ERR_TARGET_TOO_LONG, E2BIG, 414, "UNSUPPORTED", 4),
	ROW(ERR_NOT_FOUND, ENOENT, 404, "UNSUPPORTED", 1),
	ROW(ERR_METHOD, EPERM, 405, "UNSUPPORTED", 4),
	ROW(ERR_EXISTS, EEXIST, 409, "DENIED", 4),
	ROW(ERR_NOT_EMPTY, ENOTEMPTY, 409, "DENIED", 4),
	ROW(ERR_BUSY, EBUSY, 409, "TOOMANYREQUESTS", 4),
	ROW(ERR_IN_USE, EBUSY, 409, "DENIED", 4),
	ROW(ERR_GONE_MEANWHILE, ESTALE, 503, "UNAVAILABLE", 4),
	ROW(ERR_INTERRUPTED, EINTR, 503, "UNAVAILABLE", 4),
	ROW(ERR_READ_ONLY, EROFS, 405, "UNSUPPORTED", 3),
	ROW(ERR_NOT_DIRECTORY, ENOTDIR, 404, "UNSUPPORTED", 1),
	ROW(ERR_IS_DIRECTORY, EISDIR, 400, "UNSUPPORTED", 4),
	ROW(ERR_NOT_PERMITTED, EPERM, 405, "UNSUPPORTED", 3),
	ROW(ERR_NO_ATTRIBUTE, ENODATA, 404, "UNSUPPORTED", 1),
	ROW(ERR_ARGUMENT, EINVAL, 400, "UNSUPPORTED", 2),
	ROW(ERR_USAGE, EINVAL, 400, "UNSUPPORTED", 2),
	ROW(ERR_NO_SPACE, ENOSPC, 507, "UNAVAILABLE", 4),
	ROW(ERR_QUOTA, EDQUOT, 403, "DENIED", 3),
	ROW(ERR_IO, EIO, 500, "UNKNOWN", 4),
	ROW(ERR_CORRUPT, EIO, 500, "UNKNOWN", 4),
	ROW(ERR_NO_MEMORY, ENOMEM, 503, "UNAVAILABLE", 4),
	ROW(ERR_INTERNAL, EIO, 500, "UNKNOWN", 4),
};

_Static_assert(ARRAY_SIZE(rows) == ERR_REASON_COUNT, "a reason has no row");

/* What a failed system call means. One that isn't here is a fault of ours: ERR_INTERNAL. */
static const struct {
	int errnum;
	enum reason reason;
} sys_reasons[] = {
	{ ENOENT, ERR_NOT_FOUND },
	{ EACCES, ERR_DENIED },
	{ EPERM, ERR_DENIED },
	{ EEXIST, ERR_EXISTS },
	{ ENOTEMPTY, ERR_NOT_EMPTY },
	{ EBUSY, ERR_BUSY },
	{ ETXTBSY, ERR_BUSY },
	{ EROFS, ERR_READ_ONLY },
	{ ENOTDIR, ERR_NOT_DIRECTORY },
	{ EISDIR, ERR_IS_DIRECTORY },
	{ ENODATA, ERR_NO_ATTRIBUTE },
	{ ENOSPC, ERR_NO_SPACE },
	{ EDQUOT, ERR_NO_SPACE },
	{ EFBIG, ERR_NO_SPACE },
	{ EIO, ERR_IO },
	{ ENOMEM, ERR_NO_MEMORY },
	{ EMFILE, ERR_TOO_MANY_REQUESTS },
	{ ENFILE, ERR_TOO_MANY_REQUESTS },
	{ EAGAIN, ERR_TOO_MANY_REQUESTS },
	{ EOPNOTSUPP, ERR_UNSUPPORTED },
	{ ENOSYS, ERR_UNSUPPORTED },
};

const struct err_row *err_row(enum reason reason)
{
	if ((unsigned)reason >= ARRAY_SIZE(rows))
		return &rows[ERR_INTERNAL];
	return &rows[reason];
}

enum reason err_reason(const char *name)
{
	for (size_t i = 1; i < ARRAY_SIZE(rows); i++)
		if (streq(rows[i].name, name))
			return rows[i].reason;
	return ERR_NONE;
}

/* `suffix` may be NULL. */
static void fill(struct err *err, enum reason reason, int errnum, const char *suffix,
		 const char *fmt, va_list ap) PRINTF(5, 0);

static void fill(struct err *err, enum reason reason, int errnum, const char *suffix,
		 const char *fmt, va_list ap)
{
	/* The arguments may point into err->text: an error is often put into words again. */
	char text[ERR_TEXT_MAX];
	int len;

	if (!err)
		return;
	len = vsnprintf(text, sizeof(text), fmt, ap);
	if (len < 0)
		text[len = 0] = '\0';
	if (suffix && (size_t)len < sizeof(text))
		snprintf(text + len, sizeof(text) - (size_t)len, ": %s", suffix);
	memcpy(err->text, text, sizeof(text));
	err->reason = reason;
	err->errnum = errnum;
	err->detail[0] = '\0';
	err->offset = 0;
	err->option = NULL;
}

int err_set(struct err *err, enum reason reason, const char *fmt, ...)
{
	int errnum = err_row(reason)->errnum;
	va_list ap;

	va_start(ap, fmt);
	fill(err, reason, errnum, NULL, fmt, ap);
	va_end(ap);
	return -errnum;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
	enum reason reason = ERR_INTERNAL;
	const char *words = strerrordesc_np(errnum);
	va_list ap;

	for (size_t i = 0; i < ARRAY_SIZE(sys_reasons); i++)
		if (sys_reasons[i].errnum == errnum)
			reason = sys_reasons[i].reason;
	/* An errno of 0 would make a failure look like success. */
	if (errnum <= 0) {
		errnum = EIO;
		words = "no reason given";
	}
	va_start(ap, fmt);
	fill(err, reason, errnum, words ? words : "unknown error", fmt, ap);
	va_end(ap);
	return -errnum;
}

int err_about(const char *option, int r, struct err *err)
{
	if (r < 0 && err)
		err->option = option;
	return r;
}

void err_set_detail(struct err *err, const char *json)
{
	size_t len = strlen(json);

	if (!err)
		return;
	if (len >= sizeof(err->detail))
		len = 0;
	memcpy(err->detail, json, len);
	err->detail[len] = '\0';
}
