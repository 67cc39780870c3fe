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

#include <strings.h>

struct text {
	const char *at;
	size_t len;
};

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

static struct in6_addr walk(const struct address_ranges *trusted, struct fields f, struct in6_addr nearest,
			    bool (*parse)(struct text, struct in6_addr *))
{
	struct in6_addr further;
	struct text element;

	for (int hops = 0; hops < LIMIT_FORWARDED_HOPS; hops++) {
		if (!ranges_include(trusted, &nearest) || !take_last(&f, &element) ||
		    !parse(element, &further))
			break;
		nearest = further;
	}
	return nearest;
}

void proxies_client(const struct address_ranges *trusted, const struct forwarded *f, struct in6_addr *addr)
{
	struct in6_addr a = walk(trusted, f->forwarded, *addr, parse_forwarded);
	struct in6_addr b = walk(trusted, f->x_forwarded_for, *addr, parse_node);

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
