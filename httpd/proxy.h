/*
 * proxy.h: who the client is behind a proxy, and how the registry is called there.
 */
#ifndef REGFS_PROXY_H
#define REGFS_PROXY_H

#include "fs/base/address.h"
#include "fs/base/err.h"
#include "fs/base/limits.h"


/* A request's header fields of one name; the last ones, in their order. Values are borrowed. */
struct fields {
	size_t count;
	struct {
		const char *value;
		size_t len;
	} each[LIMIT_FORWARDED_FIELDS];
};

struct forwarded {
	struct fields forwarded;	/* Forwarded: RFC 7239 */
	struct fields x_forwarded_for;
};

void fields_add(struct fields *f, const char *value, size_t len);
/* From the peer's address to the client's: back along the header fields as long as who wrote them
 * is believed. What can't be understood ends that. */
void proxies_client(const struct address_ranges *trusted, const struct forwarded *f, struct in6_addr *addr);

/* "https://registry.example.org:8443", without the slash that may stand at the end; NULL: "". The
 * caller frees it. ERR_ARGUMENT: it is no such URL. */
int public_url_new(const char *text, char **out, struct err *err) MUST_CHECK;

#endif
