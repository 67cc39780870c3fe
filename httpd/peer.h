/*
 * peer.h: what a connection showed last, so that showing it again costs next to nothing.
 *
 * A client shows the same token in each request of a connection. To compare it with the last one takes a tenth of the time that its
 * digest takes and a look into what all connections remember together (fs/auth/verified.h). Here are signed tokens only: neither a
 * password nor a token's secret stays in memory.
 *
 * For libmicrohttpd's thread of that connection. At most LIMIT_PEER_SHOWN bytes for each.
 */
#ifndef REGFS_PEER_H
#define REGFS_PEER_H

#include <microhttpd.h>

#include "fs/auth/verified.h"

/* For MHD_OPTION_NOTIFY_CONNECTION, of which there can be one: arg is the struct tls, or NULL. */
void peer_notify(void *arg, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode code);

/* Who showed that header last; NULL if it was another one, or isn't good any more at `now` (nanoseconds since 1970). The caller is
 * one more holder. */
struct verified *peer_find(struct MHD_Connection *connection, const char *header, int64_t now);
/* In place of the last one. Unless the header is too long, there is no memory, or what was verified can become wrong before it
 * expires: then it is forgotten only. */
void peer_keep(struct MHD_Connection *connection, const char *header, struct verified *who);

#endif
