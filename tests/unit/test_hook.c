/*
 * test_hook.c: what hooks are made of: pauses, addresses that may be posted to, URLs, the lead.
 */
#include "fs/base/base.h"
#include "fs/base/address.h"
#include "fs/base/lead.h"
#include "fs/base/limits.h"
#include "fs/base/outbound.h"
#include "fs/hook/pause.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>

#define HOUR (3600 * PAUSE_FIRST)

static bool near(int64_t pause, int64_t middle)
{
	return pause >= middle - middle / 10 && pause <= middle + middle / 10;
}

static void test_pauses(void)
{
	int64_t least = INT64_MAX, most = 0;

	ok(near(pause_after(1, -1), PAUSE_FIRST), "a second after the first failure");
	ok(near(pause_after(2, -1), 2 * PAUSE_FIRST) && near(pause_after(5, -1), 16 * PAUSE_FIRST), "then twice as long each time");
	ok(near(pause_after(13, -1), HOUR) && near(pause_after(INT64_MAX, -1), HOUR), "at most an hour");
	for (int i = 0; i < 1000; i++) {
		int64_t p = pause_after(1, -1);

		least = MIN(least, p);
		most = MAX(most, p);
	}
	ok(most - least > PAUSE_FIRST / 10 && near(least, PAUSE_FIRST) && near(most, PAUSE_FIRST), "more or less, by chance");
	is_int(pause_after(9, 7), 7 * PAUSE_FIRST, "what the receiver asks for");
	is_int(pause_after(1, 0), PAUSE_FIRST, "but a second");
	is_int(pause_after(1, INT64_MAX), 24 * HOUR, "and not for ever");
}

static void test_addresses(void)
{
	static const struct {
		const char *text;
		bool public;
	} cases[] = {
		{ "8.8.8.8", true },	       { "2001:4860:4860::8888", true }, { "1.1.1.1", true },
		{ "127.0.0.1", false },	       { "127.9.9.9", false },		 { "0.0.0.0", false },
		{ "10.0.0.1", false },	       { "172.16.0.1", false },		 { "172.31.255.255", false },
		{ "172.32.0.1", true },	       { "192.168.1.1", false },	 { "169.254.169.254", false },
		{ "100.64.0.1", false },       { "224.0.0.1", false },		 { "255.255.255.255", false },
		{ "240.0.0.1", false },	       { "192.0.2.1", false },		 { "198.18.0.1", false },
		{ "::1", false },	       { "::", false },			 { "fe80::1", false },
		{ "fd00::1", false },	       { "ff02::1", false },		 { "::ffff:127.0.0.1", false },
		{ "::ffff:8.8.8.8", true },    { "64:ff9b::7f00:1", false },	 { "64:ff9b::808:808", true },
		{ "2002:7f00:1::", false },    { "2002:a00:1::", false },	 { "2001:db8::1", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct in6_addr a;

		ok(address_parse(cases[i].text, strlen(cases[i].text), &a) && address_is_public(&a) == cases[i].public, "%s is %s",
		   cases[i].text, cases[i].public ? "public" : "not public");
	}
}

static void test_urls(void)
{
	static const char *const good[] = { "https://ci.example.org/hook", "http://10.0.0.1:8080/a?b=c&d=%20", "https://[2001:db8::1]:8443/x",
					    "http://localhost" };
	static const char *const bad[] = { "", "ci.example.org", "ftp://a/", "https://", "https:///x", "https://user@h/", "https://u:p@h/",
					   "https://h/a b", "https://h/a\nHost: x", "https://h/#f", "https://h:99999/", "https://h/\xc3\xa9",
					   "file:///etc/passwd", "http://h/<x>" };
	char longest[LIMIT_HOOK_URL + 2];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		is_int(courier_url_check(good[i], NULL), 0, "%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		ok(courier_url_check(bad[i], &err) && err.reason == ERR_ARGUMENT, "refused: case %zu", i);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://h/", 9);
	longest[LIMIT_HOOK_URL] = '\0';
	is_int(courier_url_check(longest, NULL), 0, "as long as may be");
	longest[LIMIT_HOOK_URL] = 'a';
	longest[LIMIT_HOOK_URL + 1] = '\0';
	ok(courier_url_check(longest, NULL), "longer than that");
}

/* Whether it has the lead without waiting for it: a second descriptor waits in a thread of its own otherwise. */
static bool is_free(const char *path)
{
	struct flock lead = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
	auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);

	return fcntl(fd, F_OFD_GETLK, &lead) == 0 && lead.l_type == F_UNLCK;
}

static void test_lead(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_fd int mount = -1, server = -1;
	auto_free char *path = scratch_make(&tmp) ? scratch_path(tmp.dir, "lead") : NULL;

	if (!path)
		return;
	ok(!lead_open(path, &mount, NULL) && !lead_wait(mount, false, NULL), "who is alone leads");
	ok(!is_free(path) && !lead_is_claimed(mount), "and nobody else does");
	ok(!lead_open(path, &server, NULL) && !lead_claim(server, NULL), "another has a claim");
	ok(lead_is_claimed(mount), "which the first one sees");
	lead_give_up(mount);
	ok(is_free(path) && !lead_wait(server, true, NULL) && !is_free(path), "and gives way");
	cleanup_close(&server);
	server = -1;
	ok(!lead_wait(mount, false, NULL) && !is_free(path), "until that one is gone");
}

int main(void)
{
	test_pauses();
	test_addresses();
	test_urls();
	test_lead();
	return done_testing();
}
