/*
 * payload.h: what a receiver is told, as it wants to read it.
 *
 *	regfs			our own: regfs-hooks(7)
 *	cloudevents		CloudEvents 1.0, structured: the event in a JSON envelope, in HTTP's binding
 *	cloudevents-binary	the same, with the envelope's members as header fields
 *	acr			Alibaba Cloud Container Registry's
 *	docker			the envelope of the Docker distribution's notifications
 *
 * Another one is a function in payload.c and a row of the table in fs/tree/hooks.h.
 */
#ifndef REGFS_PAYLOAD_H
#define REGFS_PAYLOAD_H

#include "fs/base/buf.h"
#include "fs/base/err.h"
#include "fs/tree/events.h"

struct payload_facts {
	const struct event_row *event;
	const char *hook;	/* its name */
	const char *public_url;	/* of the registry, without a slash at its end; "": unknown */
	int64_t sequence;	/* of the deliveries of that hook */
	const char *media_type;	/* of the image; "" where it isn't there */
	int64_t size;		/* of its manifest */
	int64_t created;	/* when the repository was; 0: unknown */
	bool public;		/* it is */
};

#define PAYLOAD_HEADERS 12
struct payload {
	const char *type;	/* Content-Type; a constant */
	struct buf body;
	struct buf headers;	/* "Name: value", each with a NUL behind it */
};
#define PAYLOAD_INIT { .body = BUF_INIT, .headers = BUF_INIT }
void payload_release(struct payload *p);
#define auto_payload CLEANUP(payload_release)

/* ERR_ARGUMENT: there is no such format. */
int payload_make(const char *format, const struct payload_facts *facts, struct payload *out, struct err *err) MUST_CHECK;

#endif
