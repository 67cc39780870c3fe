/*
 * receiver.c: what hooks post to: as fast as it can, it says 200.
 *
 *	receiver PORTS COUNT
 *
 * Listens on so many ports of the loopback address, of which it prints the numbers on one line. After COUNT requests it prints how
 * many came in a second, from the first to the last, and ends.
 */
#include "fs/base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "fs/base/buf.h"

#define PORTS_MAX 100
#define EVENTS	  64

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

struct peer {
	int fd;
	bool listens;
	struct buf in;
};

struct receiver {
	int epoll;
	int64_t count, seen;
	double first;
};

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool attend(struct receiver *r, int fd, bool listens)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };

	if (!p)
		return false;
	p->fd = fd;
	p->listens = listens;
	buf_init(&p->in);
	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) == 0;
}

static int listen_anywhere(struct receiver *r)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) || listen(fd, 128) || getsockname(fd, (struct sockaddr *)&a, &len) ||
	    !attend(r, fd, true))
		return -1;
	return ntohs(a.sin_port);
}

static void welcome(struct receiver *r, int listener)
{
	int on = 1, fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!attend(r, fd, false))
		close(fd);
}

/* Bytes of the first whole request, or 0. */
static size_t request_length(const struct buf *in)
{
	const char *end = strstr(in->data, "\r\n\r\n"), *length = strcasestr(in->data, "\r\nContent-Length:");
	size_t need;

	if (!end)
		return 0;
	need = (size_t)(end + 4 - in->data) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	return need <= in->len ? need : 0;
}

/* false: it has gone. */
static bool serve(struct receiver *r, struct peer *p)
{
	char data[65536];
	ssize_t n = recv(p->fd, data, sizeof(data), 0);
	size_t whole;

	if (n <= 0)
		return false;
	buf_add(&p->in, data, (size_t)n);
	while ((whole = request_length(&p->in))) {
		struct buf rest = BUF_INIT;

		if (!r->seen++)
			r->first = seconds();
		if (send(p->fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
			return false;
		buf_add(&rest, p->in.data + whole, p->in.len - whole);
		buf_release(&p->in);
		p->in = rest;
	}
	return !buf_error(&p->in);
}

static void turn(struct receiver *r)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(r->epoll, events, EVENTS, -1);

	for (int i = 0; i < n; i++) {
		struct peer *p = events[i].data.ptr;

		if (p->listens) {
			welcome(r, p->fd);
		} else if (!serve(r, p)) {
			close(p->fd);
			buf_release(&p->in);
			free(p);
		}
	}
}

int main(int argc, char **argv)
{
	struct receiver r = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	int ports = argc == 3 ? MIN(atoi(argv[1]), PORTS_MAX) : 0;

	if (!ports || r.epoll < 0) {
		fprintf(stderr, "receiver PORTS COUNT\n");
		return 2;
	}
	r.count = strtoll(argv[2], NULL, 10);
	for (int i = 0; i < ports; i++) {
		int port = listen_anywhere(&r);

		if (port < 0)
			return 1;
		printf("%s%d", i ? " " : "", port);
	}
	puts("");
	fflush(stdout);
	while (r.seen < r.count)
		turn(&r);
	printf("%.1f\n", (double)r.seen / (seconds() - r.first));
	return 0;
}
