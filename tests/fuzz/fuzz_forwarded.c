/*
 * fuzz_forwarded.c: "CIDRS\nPEER\nFORWARDED\nX-FORWARDED-FOR": whom to believe, who came, and what
 * it says. The first line is read as a public URL, too.
 */
#include "fs/base/base.h"
#include "httpd/proxy.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *cut_line(char **rest)
{
	char *line = *rest, *end = strchrnul(line, '\n');

	*rest = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

static void check_url(const char *text)
{
	auto_free char *url = NULL;
	struct err err = ERR_INIT;

	if (public_url_new(text, &url, &err))
		assert(err.reason == ERR_ARGUMENT && !url);
	else
		assert(starts_with(text, url) && starts_with(url, "http") &&
		       strlen(url) <= LIMIT_PUBLIC_URL && !strpbrk(url, " \r\n\""));
}

/* Exactly as long as it is, so that the sanitizer sees a byte read behind it. */
static char *add_field(struct fields *f, const char *value)
{
	size_t len = strlen(value);
	char *copy = malloc(len + 1);

	f->count = 0;
	if (!copy || !len)
		return copy;
	copy = realloc(copy, len);
	assert(copy);
	memcpy(copy, value, len);
	fields_add(f, copy, len);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *text = malloc(size + 1);
	auto_free char *a = NULL, *b = NULL;
	auto_ranges struct address_ranges *p = NULL;
	char *rest = text, *cidrs, *peer, name[INET6_ADDRSTRLEN];
	struct err err = ERR_INIT;
	struct in6_addr addr, again;
	struct forwarded f;

	if (!text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	cidrs = cut_line(&rest);
	peer = cut_line(&rest);
	check_url(cidrs);
	a = add_field(&f.forwarded, cut_line(&rest));
	b = add_field(&f.x_forwarded_for, cut_line(&rest));
	if (ranges_new(cidrs, &p, &err)) {
		assert(err.reason == ERR_ARGUMENT && err.text[0] && !p);
		return 0;
	}
	if (!p || !address_parse(peer, strlen(peer), &addr))
		return 0;
	again = addr;
	proxies_client(p, &f, &addr);
	if (!ranges_include(p, &again) || (!f.forwarded.count && !f.x_forwarded_for.count))
		assert(IN6_ARE_ADDR_EQUAL(&addr, &again));
	address_text(&addr, name);
	assert(address_parse(name, strlen(name), &again) && IN6_ARE_ADDR_EQUAL(&addr, &again));
	return 0;
}
