/*
 * address.h: addresses on the network, and ranges of them.
 *
 * An address is an in6_addr; an IPv4 address is mapped into it (RFC 4291, 2.5.5.2).
 */
#ifndef REGFS_ADDRESS_H
#define REGFS_ADDRESS_H

#include <netinet/in.h>

#include "fs/base/err.h"

struct sockaddr;

/* false: of another family. */
bool address_of(const struct sockaddr *sockaddr, struct in6_addr *out);
bool address_parse(const char *text, size_t len, struct in6_addr *out);
void address_text(const struct in6_addr *addr, char out[static INET6_ADDRSTRLEN]);
/*
 * Whether anyone on the internet may be asked there: not this machine, a private network (RFC 1918, RFC 6598, RFC 4193), a link's own
 * (RFC 3927, where clouds keep their machines' secrets), a group, or anything else that RFC 6890 reserves; nor one of these in an
 * IPv6 address's clothes (mapped, NAT64, 6to4).
 */
bool address_is_public(const struct in6_addr *addr);

struct address_ranges;

/* "10.0.0.0/8, ::1". NULL or "": none, and *out is NULL. ERR_ARGUMENT names what can't be understood. */
int ranges_new(const char *cidrs, struct address_ranges **out, struct err *err) MUST_CHECK;
void ranges_free(struct address_ranges *r);
DEFINE_CLEANUP(cleanup_ranges, struct address_ranges *, ranges_free)
#define auto_ranges CLEANUP(cleanup_ranges)

/* NULL includes nothing. */
bool ranges_include(const struct address_ranges *r, const struct in6_addr *addr);

#endif
