/*
 * peer.c: see peer.h.
 *
 * Invariants:
 *  1. Where there is somebody, `shown` has the header by which they were verified, and their generation is -1.
 *  2. A header is overwritten before its memory is freed.
 */
#include "fs/base/base.h"
#include "httpd/peer.h"

#include "fs/auth/secret.h"
#include "httpd/tls.h"

struct peer {
	struct identity *held;	/* of TLS, or NULL */
	struct verified *who;	/* NULL: nobody */
	size_t len;
	char *shown;
};

static void forget(struct peer *p)
{
	verified_put(p->who);
	secret_forget(p->shown, p->len);
	free(p->shown);
	*p = (struct peer){ .held = p->held };
}

/* NULL: there was no memory for it. */
static struct peer *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void begin(struct tls *tls, struct MHD_Connection *connection, void **context)
{
	struct peer *p = *context = calloc(1, sizeof(struct peer));

	/* Without memory there is no certificate, and no handshake. */
	if (p && tls)
		tls_begin(tls, connection, &p->held);
}

void peer_notify(void *arg, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code)
{
	struct peer *p = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		begin(arg, connection, context);
		return;
	}
	if (p) {
		forget(p);
		tls_end(&p->held);
	}
	free(p);
	*context = NULL;
}

struct verified *peer_find(struct MHD_Connection *connection, const char *header, int64_t now)
{
	struct peer *p = peer_of(connection);

	if (!p || !p->who || strlen(header) != p->len || !secret_equal(header, p->shown, p->len))
		return NULL;
	if (p->who->until <= now) {
		forget(p);
		return NULL;
	}
	atomic_fetch_add(&p->who->holders, 1);
	return p->who;
}

void peer_keep(struct MHD_Connection *connection, const char *header, struct verified *who)
{
	struct peer *p = peer_of(connection);
	size_t len = strlen(header);

	if (!p)
		return;
	forget(p);
	if (who->generation >= 0 || len > LIMIT_PEER_SHOWN)
		return;
	p->shown = strdup(header);
	if (!p->shown)
		return;
	p->len = len;
	atomic_fetch_add(&who->holders, 1);
	p->who = who;
}
