/*
 * test_proxy.c: who the client is behind a proxy, and how the registry is called there.
 */
#include "fs/base/base.h"
#include "httpd/proxy.h"
#include "tests/unit/tap.h"

static const struct {
	const char *trusted, *peer, *forwarded, *x_forwarded_for, *client, *why;
} cases[] = {
	{ "10.0.0.0/8", "10.0.0.1", NULL, NULL, "10.0.0.1", "no field" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "192.0.2.7", "192.0.2.7", "X-Forwarded-For" },
	{ "10.0.0.0/8", "11.0.0.1", "for=6.6.6.6", "6.6.6.6", "11.0.0.1", "a peer that isn't believed" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "6.6.6.6, 192.0.2.7,10.0.0.2", "192.0.2.7", "a chain" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "10.0.0.3, 10.0.0.2", "10.0.0.3", "all believed" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "192.0.2.7, unknown, 10.0.0.2", "10.0.0.2", "unknown" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "192.0.2.7:4711", "192.0.2.7", "a port" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "[2001:db8::7]:80", "2001:db8::7", "brackets and a port" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "2001:DB8:0::7", "2001:db8::7", "IPv6, as it is written" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "::ffff:192.0.2.7", "192.0.2.7", "mapped" },
	{ "10.0.0.0/8", "::ffff:10.0.0.1", NULL, "192.0.2.7", "192.0.2.7", "a mapped peer" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "[192.0.2.7]", "10.0.0.1", "brackets around IPv4" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, "192.0.2.7 x", "10.0.0.1", "more than an address" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, ", ,192.0.2.7, ,", "192.0.2.7", "empty elements" },
	{ "10.0.0.0/8", "10.0.0.1", NULL, " , ", "10.0.0.1", "empty elements only" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7", NULL, "192.0.2.7", "Forwarded" },
	{ "10.0.0.0/8", "10.0.0.1", "by=_x;FOR=\"192.0.2.7:80\";proto=https", NULL, "192.0.2.7",
	  "quoted, between others" },
	{ "10.0.0.0/8", "10.0.0.1", "for=\"[2001:db8::7]:80\"", NULL, "2001:db8::7", "quoted IPv6" },
	{ "10.0.0.0/8", "10.0.0.1", "for=6.6.6.6, for=192.0.2.7", NULL, "192.0.2.7", "the nearest" },
	{ "10.0.0.0/8", "10.0.0.1", "for=_hidden", NULL, "10.0.0.1", "a hidden name" },
	{ "10.0.0.0/8", "10.0.0.1", "for=\"6.6.6.6, for=192.0.2.7", NULL, "192.0.2.7",
	  "a quote left open by the client" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7;host=\"x;for=6.6.6.6\"", NULL, "192.0.2.7",
	  "a semicolon within quotes" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7;host=\"x, for=6.6.6.6\"", NULL, "10.0.0.1",
	  "a comma within quotes" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7;host=\"x, for=6.6.6.6;y=\";proto=\"https\"", NULL,
	  "10.0.0.1", "a comma within quotes, and more quotes" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7;for=6.6.6.6", NULL, "10.0.0.1", "twice" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7;", NULL, "10.0.0.1", "an open end" },
	{ "10.0.0.0/8", "10.0.0.1", "proto=https", NULL, "10.0.0.1", "no for" },
	{ "10.0.0.0/8", "10.0.0.1", "for=6.6.6.6", "192.0.2.7", "10.0.0.1", "fields that differ" },
	{ "10.0.0.0/8", "10.0.0.1", "for=192.0.2.7", "192.0.2.7", "192.0.2.7", "fields that agree" },
	{ "::1, fd00::/8", "fd12::1", NULL, "192.0.2.7", "192.0.2.7", "a range of IPv6" },
	{ "10.1.2.128/25", "10.1.2.127", NULL, "192.0.2.7", "10.1.2.127", "just below a range" },
	{ "10.1.2.128/25", "10.1.2.128", NULL, "192.0.2.7", "192.0.2.7", "the first of a range" },
	{ "0.0.0.0/0", "2001:db8::1", NULL, "192.0.2.7", "2001:db8::1", "all IPv4, and IPv6" },
};

static void add(struct fields *f, const char *value)
{
	f->count = 0;
	if (value)
		fields_add(f, value, strlen(value));
}

static void test_clients(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_ranges struct address_ranges *p = NULL;
		struct err err = ERR_INIT;
		char got[INET6_ADDRSTRLEN];
		struct forwarded f;
		struct in6_addr addr;

		add(&f.forwarded, cases[i].forwarded);
		add(&f.x_forwarded_for, cases[i].x_forwarded_for);
		if (ranges_new(cases[i].trusted, &p, &err) ||
		    !address_parse(cases[i].peer, strlen(cases[i].peer), &addr)) {
			ok(false, "%s: %s", cases[i].why, err.text);
			continue;
		}
		proxies_client(p, &f, &addr);
		address_text(&addr, got);
		is_str(got, cases[i].client, "%s", cases[i].why);
	}
}

static void test_limits(void)
{
	auto_ranges struct address_ranges *p = NULL;
	struct err err = ERR_INIT;
	struct forwarded f = { 0 };
	char got[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	ok(!ranges_new("10.0.0.0/8", &p, &err), "a range");
	for (int i = 0; i < 10 * LIMIT_FORWARDED_FIELDS; i++)
		fields_add(&f.x_forwarded_for, "6.6.6.6", 7);
	fields_add(&f.x_forwarded_for, "192.0.2.7", 9);
	ok(address_parse("10.0.0.1", 8, &addr), "a peer");
	proxies_client(p, &f, &addr);
	address_text(&addr, got);
	is_str(got, "192.0.2.7", "of many fields the last counts");
}

static void test_ranges(void)
{
	static const char *const bad[] = { "nonsense", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
					   "10.0.0.0/8x", "10.0.0.1/8", "::1/129", "fd00::1/8",
					   "10.0.0", "10.0.0.0/8/8", "/8", "1.2.3.4,x", "[::1]" };
	char many[(LIMIT_ADDRESS_RANGES + 1) * 8 + 1] = "";
	struct err err = ERR_INIT;
	struct address_ranges *p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(ranges_new(bad[i], &p, &err) && err.reason == ERR_ARGUMENT && !p, "refused: %s (%s)",
		   bad[i], err.text);
	ok(!ranges_new(NULL, &p, &err) && !p && !ranges_new(" ,", &p, &err) && !p, "none");
	for (int i = 0; i <= LIMIT_ADDRESS_RANGES; i++)
		memcpy(many + i * 8, "1.1.1.1,", 8);
	ok(ranges_new(many, &p, &err) && err.reason == ERR_ARGUMENT, "one more than the limit");
	many[LIMIT_ADDRESS_RANGES * 8] = '\0';
	ok(!ranges_new(many, &p, &err) && p, "as many as the limit");
	ranges_free(p);
}

static void test_urls(void)
{
	static const char *const bad[] = { "", "/", "https://", "https:///", "registry.example.org",
					   "ftp://x", "https://x/y", "https://x?y", "https://a b",
					   "https://x//", "https://u@x" };
	struct err err = ERR_INIT;
	char *url;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ok(public_url_new(bad[i], &url, &err) && err.reason == ERR_ARGUMENT, "refused: %s", bad[i]);
	ok(!public_url_new("https://r.example.org:8443/", &url, &err), "a URL");
	is_str(url, "https://r.example.org:8443", "without its last slash");
	free(url);
	ok(!public_url_new(NULL, &url, &err), "none");
	is_str(url, "", "is empty");
	free(url);
}

int main(void)
{
	test_clients();
	test_limits();
	test_ranges();
	test_urls();
	return done_testing();
}
