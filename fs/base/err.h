/*
 * err.h: the one language of errors.
 *
 * A function that can fail returns 0 or a negative errno and takes a
 * `struct err *err` as its last argument. The caller owns it; there is nothing to
 * free; it may be NULL where the caller wants the errno only. Fail in one
 * expression:
 *
 *	return err_set(err, ERR_DIGEST_MISMATCH, "digest of %s is %s", a, b);
 *
 * One table (err.c) gives for each reason its errno, the HTTP status, the
 * distribution specification's error code and the exit status of the command, so
 * that no door guesses.
 */
#ifndef REGFS_ERR_H
#define REGFS_ERR_H

#include "fs/base/base.h"

enum reason {
	ERR_NONE,
	/* What the distribution specification names (spec.md, "Error Codes"). */
	ERR_BLOB_UNKNOWN,	   /* the repository doesn't hold that blob */
	ERR_UPLOAD_INVALID,	   /* an upload that can't go on as asked */
	ERR_UPLOAD_UNKNOWN,	   /* no such upload in that repository */
	ERR_UPLOAD_RANGE,	   /* a chunk that doesn't start where the last ended */
	ERR_DIGEST_INVALID,	   /* not a digest, or of an algorithm we don't have */
	ERR_DIGEST_MISMATCH,	   /* the bytes have another digest than was said */
	ERR_MANIFEST_BLOB_UNKNOWN, /* a manifest names blobs that aren't there */
	ERR_MANIFEST_INVALID,	   /* not a manifest we can take */
	ERR_MANIFEST_UNKNOWN,	   /* no such image */
	ERR_NAME_INVALID,	   /* a repository's name out of grammar */
	ERR_NAME_UNKNOWN,	   /* no such repository */
	ERR_SIZE_INVALID,	   /* fewer or more bytes than were announced */
	ERR_TAG_INVALID,	   /* a tag out of grammar */
	ERR_UNAUTHORIZED,	   /* who are you? */
	ERR_SCOPE,		   /* the token isn't for that, whatever its subject may do */
	ERR_DENIED,		   /* we know, and no */
	ERR_UNSUPPORTED,	   /* an operation that regfs doesn't have */
	ERR_TOO_MANY_REQUESTS,	   /* later */
	/* What HTTP and file systems add. */
	ERR_MANIFEST_TOO_LARGE,	   /* over LIMIT_MANIFEST */
	ERR_RANGE,		   /* a Range that the content doesn't have */
	ERR_REQUEST_INVALID,	   /* a request that is malformed */
	ERR_TARGET_TOO_LONG,	   /* a request's target, or its query, beyond the limits */
	ERR_NOT_FOUND,		   /* no such path, route, file, node */
	ERR_METHOD,		   /* the route has no such method */
	ERR_EXISTS,		   /* already there */
	ERR_NOT_EMPTY,		   /* still holds something */
	ERR_BUSY,		   /* somebody else is at it */
	ERR_IN_USE,		   /* something else needs it */
	ERR_GONE_MEANWHILE,	   /* it was here a moment ago: try again */
	ERR_INTERRUPTED,	   /* who asked has gone */
	ERR_READ_ONLY,		   /* this part of the tree can't be written */
	ERR_NOT_DIRECTORY,
	ERR_IS_DIRECTORY,
	ERR_NOT_PERMITTED,	   /* nobody may do that, whoever they are */
	ERR_NO_ATTRIBUTE,	   /* no such extended attribute */
	ERR_ARGUMENT,		   /* a value that isn't allowed */
	ERR_USAGE,		   /* a command line that can't be understood */
	ERR_NO_SPACE,		   /* the disk (or the system's quota) is full */
	ERR_QUOTA,		   /* a repository or a namespace would hold more than it may */
	ERR_IO,			   /* the disk failed, or said something strange */
	ERR_CORRUPT,		   /* stored bytes are not what they were */
	ERR_NO_MEMORY,
	ERR_INTERNAL,
	ERR_REASON_COUNT
};

#define ERR_TEXT_MAX 512
#define ERR_DETAIL_MAX 1024

struct err {
	enum reason reason;
	int errnum;			/* positive; what the kernel would say */
	char text[ERR_TEXT_MAX];	/* for a person: what, which value, what to do */
	char detail[ERR_DETAIL_MAX];	/* one JSON value for a program, or "" */
	int64_t offset;			/* ERR_UPLOAD_RANGE, ERR_RANGE: how much there is; ERR_TOO_MANY_REQUESTS: seconds to wait */
	const char *option;		/* whose value is at fault, without the dashes; or NULL */
};

#define ERR_INIT { .reason = ERR_NONE }

/* What each door makes of a reason. */
struct err_row {
	enum reason reason;
	int errnum;
	int http_status;
	const char *code;	/* in the specification's spelling */
	int exit_status;	/* commands: 1 the answer is no, 2 usage, 3 refused, 4 failed */
	const char *name;	/* "ERR_NOT_FOUND": for another program that has this table */
};

/* Never NULL; an unknown reason is ERR_INTERNAL's row. */
const struct err_row *err_row(enum reason reason);
/* The reason of that name; ERR_NONE if there is none. */
enum reason err_reason(const char *name);

/* Sets reason and text, clears detail; returns the reason's negative errno. */
int err_set(struct err *err, enum reason reason, const char *fmt, ...) PRINTF(3, 4);

/* The same for a failed system call: the errno (positive) chooses the reason; its
 * own text is put behind the message. Returns -errnum. */
int err_sys(struct err *err, int errnum, const char *fmt, ...) PRINTF(3, 4);

/* Where `r` is a failure: says which option's value it comes from. The name is a constant. Returns r. */
int err_about(const char *option, int r, struct err *err);

/* Sets the detail (one JSON value, cut to nothing if it doesn't fit). */
void err_set_detail(struct err *err, const char *json);

#endif
