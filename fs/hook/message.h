/*
 * message.h: what one attempt sends: a body in the hook's format, and the header fields that say what it is and who says so.
 *
 *	X-Regfs-Event		the event's kind
 *	X-Regfs-Delivery	the delivery's id: the same in each attempt
 *	X-Regfs-Sequence	its number among the deliveries of the hook, from 1 on, without gaps
 *	X-Regfs-Timestamp	seconds since 1970 of this attempt
 *	X-Regfs-Signature-256	"sha256=" and the HMAC-SHA-256, in hexadecimal, of the timestamp, a full stop and the body; with two
 *				secrets two of them, a comma between: the newer first. Who looks at the timestamp, too, is safe from replays
 *	X-Hub-Signature-256	the same of the body alone, by the newer secret, as GitHub computes it
 */
#ifndef REGFS_HOOK_MESSAGE_H
#define REGFS_HOOK_MESSAGE_H

#include "fs/hook/payload.h"
#include "fs/tree/deliveries.h"
#include "fs/tree/hooks.h"

#define MESSAGE_FIELDS (PAYLOAD_HEADERS + LIMIT_HOOK_HEADERS + 8)

struct message {
	struct payload payload;
	struct buf fields;			/* "Name: value", each with a NUL behind it */
	const char *lines[MESSAGE_FIELDS + 1];	/* the same, and NULL at the end */
	struct buf log;				/* as it is kept: without the values of the hook's own fields, which may be secrets */
};
#define MESSAGE_INIT { .payload = PAYLOAD_INIT, .fields = BUF_INIT, .log = BUF_INIT }
void message_release(struct message *q);
#define auto_message CLEANUP(message_release)

/* now: nanoseconds. ERR_ARGUMENT: the hook's format is none. */
int message_make(const struct hook_row *hook, const struct tree_delivery *delivery, const char *public_url, int64_t now,
		 struct message *out, struct err *err) MUST_CHECK;

#endif
