/* address.c: see address.h. */
#include "fs/base/base.h"
#include "fs/base/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "fs/base/limits.h"

#define SEPARATORS  ", \t"
#define ADDRESS_MAX (INET6_ADDRSTRLEN - 1)
#define MAPPED_BITS 96 /* ::ffff:0:0/96 */

struct range {
	struct in6_addr addr;
	unsigned bits;
};

struct address_ranges {
	size_t count;
	struct range ranges[LIMIT_ADDRESS_RANGES];
};

static void map(const struct in_addr *v4, struct in6_addr *out)
{
	memset(out, 0, sizeof(*out));
	memset(out->s6_addr + 10, 0xff, 2);
	memcpy(out->s6_addr + 12, v4, 4);
}

bool address_of(const struct sockaddr *sockaddr, struct in6_addr *out)
{
	if (!sockaddr)
		return false;
	if (sockaddr->sa_family == AF_INET)
		map(&((const struct sockaddr_in *)(const void *)sockaddr)->sin_addr, out);
	else if (sockaddr->sa_family == AF_INET6)
		*out = ((const struct sockaddr_in6 *)(const void *)sockaddr)->sin6_addr;
	else
		return false;
	return true;
}

bool address_parse(const char *text, size_t len, struct in6_addr *out)
{
	char copy[ADDRESS_MAX + 1];
	struct in_addr v4;

	if (!len || len > ADDRESS_MAX || memchr(text, '\0', len))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, &v4) == 1) {
		map(&v4, out);
		return true;
	}
	return inet_pton(AF_INET6, copy, out) == 1;
}

/* What inet_ntop() writes, which takes a good part of what a small answer does. */
static void v4_text(const unsigned char *bytes, char *to)
{
	for (int i = 0; i < 4; i++) {
		unsigned n = bytes[i];

		if (n >= 100)
			*to++ = (char)('0' + n / 100);
		if (n >= 10)
			*to++ = (char)('0' + n / 10 % 10);
		*to++ = (char)('0' + n % 10);
		*to++ = i < 3 ? '.' : '\0';
	}
}

void address_text(const struct in6_addr *addr, char out[static INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(addr))
		v4_text(addr->s6_addr + 12, out);
	else
		inet_ntop(AF_INET6, addr, out, INET6_ADDRSTRLEN);
}

/* ---- Ranges ---- */

static unsigned bit(const struct in6_addr *addr, unsigned at)
{
	return addr->s6_addr[at / 8] >> (7 - at % 8) & 1;
}

static bool in_range(const struct range *r, const struct in6_addr *addr)
{
	unsigned bytes = r->bits / 8;

	if (memcmp(r->addr.s6_addr, addr->s6_addr, bytes) != 0)
		return false;
	for (unsigned i = bytes * 8; i < r->bits; i++)
		if (bit(&r->addr, i) != bit(addr, i))
			return false;
	return true;
}

static bool parse_bits(const char *s, unsigned max, unsigned *out)
{
	size_t len = strlen(s);

	if (!len || len > 3 || s[strspn(s, "0123456789")])
		return false;
	*out = (unsigned)strtoul(s, NULL, 10);
	return *out <= max;
}

static int range_parse(const char *s, struct range *out, struct err *err)
{
	const char *slash = strchrnul(s, '/');
	unsigned max, bits;

	if (!address_parse(s, (size_t)(slash - s), &out->addr))
		return err_set(
			err, ERR_ARGUMENT,
			"%.100s is no range of addresses: it is like 10.0.0.0/8 or fd00::/8, "
			"or one address",
			s);
	max = IN6_IS_ADDR_V4MAPPED(&out->addr) && !memchr(s, ':', (size_t)(slash - s)) ? 32 : 128;
	bits = max;
	if (*slash && !parse_bits(slash + 1, max, &bits))
		return err_set(err, ERR_ARGUMENT,
			       "%.100s is no range of addresses: behind the slash stands a number "
			       "from 0 to %u",
			       s, max);
	out->bits = bits + (max == 32 ? MAPPED_BITS : 0);
	for (unsigned i = out->bits; i < 128; i++)
		if (bit(&out->addr, i))
			return err_set(err, ERR_ARGUMENT,
				       "%.100s is no range of addresses: the address has bits "
				       "beyond the first %u",
				       s, bits);
	return 0;
}

int ranges_new(const char *cidrs, struct address_ranges **out, struct err *err)
{
	auto_ranges struct address_ranges *p = NULL;
	auto_free char *text = NULL;

	*out = NULL;
	if (!cidrs || !cidrs[strspn(cidrs, SEPARATORS)])
		return 0;
	p = calloc(1, sizeof(*p));
	text = strdup(cidrs);
	if (!p || !text)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (char *s = text + strspn(text, SEPARATORS); *s;) {
		char *end = s + strcspn(s, SEPARATORS);
		char *next = end + strspn(end, SEPARATORS);
		int e;

		*end = '\0';
		if (p->count == LIMIT_ADDRESS_RANGES)
			return err_set(err, ERR_ARGUMENT, "there are more than %d ranges of addresses",
				       LIMIT_ADDRESS_RANGES);
		e = range_parse(s, &p->ranges[p->count], err);
		if (e)
			return e;
		p->count++;
		s = next;
	}
	*out = steal(&p);
	return 0;
}

void ranges_free(struct address_ranges *p)
{
	free(p);
}

bool ranges_include(const struct address_ranges *p, const struct in6_addr *addr)
{
	for (size_t i = 0; p && i < p->count; i++)
		if (in_range(&p->ranges[i], addr))
			return true;
	return false;
}

/* ---- Whom anyone may ask ---- */

/* RFC 6890's tables and what came to them later; what is carried within another address is looked at by itself. */
static const char *const reserved[] = {
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3",
	"::/64", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
	"fec0::/10", "ff00::/8",
};

/* The IPv4 address that an IPv6 one stands for: by RFC 6052's well-known prefix, or RFC 3056's. */
static bool carried(const struct in6_addr *addr, struct in6_addr *out)
{
	static const unsigned char nat64[12] = { 0, 0x64, 0xff, 0x9b };
	struct in_addr v4;

	if (memcmp(addr->s6_addr, nat64, sizeof(nat64)) == 0)
		memcpy(&v4, addr->s6_addr + 12, sizeof(v4));
	else if (addr->s6_addr[0] == 0x20 && addr->s6_addr[1] == 0x02)
		memcpy(&v4, addr->s6_addr + 2, sizeof(v4));
	else
		return false;
	map(&v4, out);
	return true;
}

bool address_is_public(const struct in6_addr *addr)
{
	struct in6_addr inner;

	if (carried(addr, &inner))
		return address_is_public(&inner);
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		struct range r;

		/* "::/64" holds the mapped ones, which have rows of their own. */
		if (IN6_IS_ADDR_V4MAPPED(addr) && strchr(reserved[i], ':'))
			continue;
		if (range_parse(reserved[i], &r, NULL) || in_range(&r, addr))
			return false;
	}
	return true;
}
