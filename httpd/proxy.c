/*
 * proxy.c: who the client is behind a proxy, and how the registry is called there.
 *
 * Every proxy on the way appends who came to it, so the fields are read from their right end, and
 * only as far as the one who wrote there is believed:
 *
 *	X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.2      peer 10.0.0.1, trusted 10.0.0.0/8
 *	                 forged   the client  a proxy
 *
 * 1. What stands left of an address that isn't believed, or of an element that isn't understood,
 *    is never looked at.
 * 2. A comma ends an element even within quotes: what a client sent can't swallow what a proxy
 *    appended. An element with a comma in quotes isn't understood then, since its quotes are odd.
 * 3. A proxy that writes the one field passes the other on as the client sent it. Where they say
 *    different things neither is believed.
 */
#include "fs/base/base.h"
#include "httpd/proxy.h"

#include <arpa/inet.h>
#include <strings.h>
#include <sys/socket.h>

#define SEPARATORS  ", \t"
#define ADDRESS_MAX (INET6_ADDRSTRLEN - 1)
#define MAPPED_BITS 96 /* ::ffff:0:0/96 */

struct range {
	struct in6_addr addr;
	unsigned bits;
};

struct proxies {
	size_t count;
	struct range ranges[LIMIT_TRUSTED_PROXIES];
};

struct text {
	const char *at;
	size_t len;
};

/* ---- Addresses ---- */

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

int proxies_new(const char *cidrs, struct proxies **out, struct err *err)
{
	auto_proxies struct proxies *p = NULL;
	auto_free char *text = NULL;

	*out = NULL;
	if (!cidrs || !cidrs[strspn(cidrs, SEPARATORS)])
		return 0;
	p = calloc(1, sizeof(*p));
	text = strdup(cidrs);
	if (!p || !text)
		return err_set(err, ERR_NO_MEMORY, "no memory for the proxies' addresses");
	for (char *s = text + strspn(text, SEPARATORS); *s;) {
		char *end = s + strcspn(s, SEPARATORS);
		char *next = end + strspn(end, SEPARATORS);
		int e;

		*end = '\0';
		if (p->count == LIMIT_TRUSTED_PROXIES)
			return err_set(err, ERR_ARGUMENT,
				       "there are more than %d ranges of proxies",
				       LIMIT_TRUSTED_PROXIES);
		e = range_parse(s, &p->ranges[p->count], err);
		if (e)
			return e;
		p->count++;
		s = next;
	}
	*out = steal(&p);
	return 0;
}

void proxies_free(struct proxies *p)
{
	free(p);
}

bool proxies_include(const struct proxies *p, const struct in6_addr *addr)
{
	for (size_t i = 0; i < p->count; i++)
		if (in_range(&p->ranges[i], addr))
			return true;
	return false;
}

/* ---- What proxies say ---- */

void fields_add(struct fields *f, const char *value, size_t len)
{
	if (f->count == LIMIT_FORWARDED_FIELDS) {
		memmove(f->each, f->each + 1, (f->count - 1) * sizeof(f->each[0]));
		f->count--;
	}
	f->each[f->count].value = value;
	f->each[f->count].len = len;
	f->count++;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct text trim(struct text t)
{
	while (t.len && is_blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len && is_blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

/* "192.0.2.7", "192.0.2.7:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool parse_node(struct text t, struct in6_addr *out)
{
	const char *colon, *end;

	if (t.len && t.at[0] == '[') {
		end = memchr(t.at, ']', t.len);
		if (!end || (end + 1 < t.at + t.len && end[1] != ':'))
			return false;
		return address_parse(t.at + 1, (size_t)(end - t.at - 1), out) &&
		       memchr(t.at, ':', (size_t)(end - t.at));
	}
	colon = memchr(t.at, ':', t.len);
	if (colon && colon == memrchr(t.at, ':', t.len))
		t.len = (size_t)(colon - t.at);
	return address_parse(t.at, t.len, out);
}

/* RFC 9110, 5.6.2, and ":" and brackets: many write an address without its quotes. */
static bool is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~:[]", c));
}

/* RFC 9110, 5.6.4, without a backslash: no address needs one. */
static bool take_quoted(struct text *t, struct text *out)
{
	const char *end = memchr(t->at + 1, '"', t->len - 1);

	if (!end || memchr(t->at, '\\', (size_t)(end - t->at)))
		return false;
	out->at = t->at + 1;
	out->len = (size_t)(end - out->at);
	t->len -= out->len + 2;
	t->at = end + 1;
	return true;
}

static bool take_token(struct text *t, struct text *out)
{
	size_t n = 0;

	while (n < t->len && is_token(t->at[n]))
		n++;
	*out = (struct text){ t->at, n };
	t->at += n;
	t->len -= n;
	return n > 0;
}

static bool take(struct text *t, char c)
{
	*t = trim(*t);
	if (!t->len || t->at[0] != c)
		return false;
	t->at++;
	t->len--;
	*t = trim(*t);
	return true;
}

/* RFC 7239, 4: `for="[2001:db8::1]:80";proto=https`. It must be understood as a whole. */
static bool parse_forwarded(struct text t, struct in6_addr *out)
{
	struct text name, value, node = { NULL, 0 };

	do {
		if (!take_token(&t, &name) || !take(&t, '='))
			return false;
		if (!(t.len && t.at[0] == '"' ? take_quoted(&t, &value) : take_token(&t, &value)))
			return false;
		if (name.len != 3 || strncasecmp(name.at, "for", 3) != 0)
			continue;
		if (node.at)
			return false;
		node = value;
	} while (take(&t, ';'));
	return !t.len && node.at && parse_node(node, out);
}

/* Cuts the last element off; empty ones don't count (RFC 9110, 5.6.1.2). */
static bool take_last(struct fields *f, struct text *out)
{
	while (f->count) {
		const char *value = f->each[f->count - 1].value;
		size_t len = f->each[f->count - 1].len;
		const char *comma = memrchr(value, ',', len);
		const char *start = comma ? comma + 1 : value;

		*out = trim((struct text){ start, (size_t)(value + len - start) });
		if (comma)
			f->each[f->count - 1].len = (size_t)(comma - value);
		else
			f->count--;
		if (out->len)
			return true;
	}
	return false;
}

static struct in6_addr walk(const struct proxies *p, struct fields f, struct in6_addr nearest,
			    bool (*parse)(struct text, struct in6_addr *))
{
	struct in6_addr further;
	struct text element;

	for (int hops = 0; hops < LIMIT_FORWARDED_HOPS; hops++) {
		if (!proxies_include(p, &nearest) || !take_last(&f, &element) ||
		    !parse(element, &further))
			break;
		nearest = further;
	}
	return nearest;
}

void proxies_client(const struct proxies *p, const struct forwarded *f, struct in6_addr *addr)
{
	struct in6_addr a = walk(p, f->forwarded, *addr, parse_forwarded);
	struct in6_addr b = walk(p, f->x_forwarded_for, *addr, parse_node);

	if (!f->x_forwarded_for.count || IN6_ARE_ADDR_EQUAL(&a, &b))
		*addr = a;
	else if (!f->forwarded.count)
		*addr = b;
}

/* ---- The public URL ---- */

int public_url_new(const char *text, char **out, struct err *err)
{
	const char *s = text ? text : "";
	size_t scheme = starts_with(s, "https://") ? 8 : starts_with(s, "http://") ? 7 : 0;
	size_t len = strlen(s);

	if (len && s[len - 1] == '/')
		len--;
	if (text &&
	    (len <= scheme || !scheme || len > LIMIT_PUBLIC_URL ||
	     scheme + strspn(s + scheme, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789.-_:[]") !=
		     len))
		return err_set(
			err, ERR_ARGUMENT,
			"%.300s is no URL of a registry: it is like https://registry.example.org "
			"or https://registry.example.org:8443, without a path",
			s);
	*out = strndup(s, len);
	return *out ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for the public URL");
}
