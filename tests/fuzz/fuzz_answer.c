/*
 * fuzz_answer.c: what a hook's receiver answers, byte by byte, on a socket: whatever it is, the post ends once, with an answer or with why
 * there is none; and Retry-After never makes a pause longer than it may.
 */
#include "fs/base/address.h"
#include "fs/base/base.h"
#include "fs/base/outbound.h"
#include "fs/hook/pause.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define KEPT 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *arg, const struct courier_answer *a)
{
	int64_t pause = pause_after(1, a->retry_after);

	++*(int *)arg;
	assert(a->status || *a->why);
	assert(a->len <= KEPT && a->body && a->body[a->len] == '\0');
	assert(a->retry_after >= -1 && pause >= 0 && pause <= PAUSE_LONGEST + PAUSE_LONGEST / 10);
}

/* A server that reads nothing more than it must, says that and closes. */
static int listen_at(char url[static 64])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert(fd >= 0 && !bind(fd, (struct sockaddr *)&at, len) && !listen(fd, 16) && !getsockname(fd, (struct sockaddr *)&at, &len));
	snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(at.sin_port));
	return fd;
}

static void serve(int listener, const uint8_t *data, size_t size)
{
	char ignored[4096];
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	(void)!recv(fd, ignored, sizeof(ignored), 0);
	(void)!send(fd, data, size, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) > 0)
		;
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const headers[] = { "Content-Type: application/json", NULL };
	/* Made once: each costs more than an answer. */
	static struct address_ranges *here;
	static struct courier *courier;
	static char url[64];
	static int listener;
	int told = 0;

	if (!courier) {
		assert(!ranges_new("127.0.0.1", &here, NULL));
		const struct courier_options options = { .connect_ms = 1000, .total_ms = 1000, .allowed = here, .limit = KEPT };

		assert(!courier_new(&options, &courier, NULL));
		listener = listen_at(url);
	}
	const struct courier_post post = { .url = url, .headers = headers, .body = "{}", .len = 2 };

	assert(!courier_post(courier, &post, take, &told, NULL));
	for (int i = 0; i < 10000 && !told; i++) {
		assert(!courier_run(courier, listener, 100, NULL));
		serve(listener, data, size);
	}
	assert(told == 1);
	return 0;
}
