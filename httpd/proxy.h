/*
 * proxy.h: who the client is behind a proxy, and how the registry is called there.
 *
 * An address is an in6_addr; an IPv4 address is mapped into it (RFC 4291, 2.5.5.2).
 */
#ifndef REGFS_PROXY_H
#define REGFS_PROXY_H

#include <netinet/in.h>

#include "fs/base/err.h"
#include "fs/base/limits.h"

struct sockaddr;
struct proxies;

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

/* "10.0.0.0/8, ::1": whom to believe. NULL or "": nobody, *out is NULL. ERR_ARGUMENT names what
 * can't be understood. */
int proxies_new(const char *cidrs, struct proxies **out, struct err *err) MUST_CHECK;
void proxies_free(struct proxies *p);
DEFINE_CLEANUP(cleanup_proxies, struct proxies *, proxies_free)
#define auto_proxies CLEANUP(cleanup_proxies)

bool proxies_include(const struct proxies *p, const struct in6_addr *addr);
void fields_add(struct fields *f, const char *value, size_t len);
/* From the peer's address to the client's: back along the header fields as long as who wrote them
 * is believed. What can't be understood ends that. */
void proxies_client(const struct proxies *p, const struct forwarded *f, struct in6_addr *addr);

/* "https://registry.example.org:8443", without the slash that may stand at the end; NULL: "". The
 * caller frees it. ERR_ARGUMENT: it is no such URL. */
int public_url_new(const char *text, char **out, struct err *err) MUST_CHECK;

/* false: of another family. */
bool address_of(const struct sockaddr *sockaddr, struct in6_addr *out);
bool address_parse(const char *text, size_t len, struct in6_addr *out);
void address_text(const struct in6_addr *addr, char out[static INET6_ADDRSTRLEN]);

#endif
