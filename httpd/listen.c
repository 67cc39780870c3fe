/*
 * listen.c: the socket that the HTTP front listens on.
 */
#include "fs/base/base.h"
#include "httpd/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "httpd/proxy.h"

#define HOST_MAX    255
#define BACKLOG	    1024
#define PORT_DIGITS 5

DEFINE_CLEANUP(cleanup_addrinfo, struct addrinfo *, freeaddrinfo)

static bool is_port(const char *s)
{
	size_t len = strlen(s);

	return len <= PORT_DIGITS && !s[strspn(s, "0123456789")] &&
	       strtoul(s, NULL, 10) <= UINT16_MAX;
}

/* Cuts "HOST:PORT" or "[HOST]:PORT"; the port is text's own end. */
static bool cut(const char *text, char host[static HOST_MAX + 1], const char **port)
{
	const char *colon = strrchr(text, ':'), *end = colon;

	if (!colon || !colon[1])
		return false;
	if (*text == '[') {
		text++;
		end--;
		if (end < text || *end != ']')
			return false;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return false;
	}
	if (end == text || end - text > HOST_MAX)
		return false;
	snprintf(host, HOST_MAX + 1, "%.*s", (int)(end - text), text);
	*port = colon + 1;
	return is_port(*port);
}

static bool is_loopback(const struct sockaddr *sockaddr)
{
	struct in6_addr a;

	return address_of(sockaddr, &a) &&
	       (IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127));
}

static int check_loopback(const char *text, const struct addrinfo *found, struct err *err)
{
	for (; found; found = found->ai_next)
		if (!is_loopback(found->ai_addr))
			return err_set(err, ERR_USAGE,
				       "--open lets anyone push and delete, so it listens on a "
				       "loopback address only, not on %s",
				       text);
	return 0;
}

static int name_of(int fd, char **out)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	if (getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return -EINVAL;
	v6 = addr.ss_family == AF_INET6;
	if (asprintf(out, "%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port) < 0)
		return -ENOMEM;
	return 0;
}

static int try_listen(const struct addrinfo *info, int *out)
{
	auto_fd int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	*out = steal_fd(&fd);
	return 0;
}

static int explain(const char *text, int errnum, struct err *err)
{
	switch (errnum) {
	case EADDRINUSE:
		return err_set(
			err, ERR_BUSY,
			"can't listen on %s: another program does; stop it, or choose another port",
			text);
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return err_set(err, ERR_ARGUMENT,
			       "can't listen on %s: %s; choose an address of this machine", text,
			       strerrordesc_np(errnum));
	default:
		return err_sys(err, errnum, "can't listen on %s", text);
	}
}

int listen_open(const char *text, bool open, int *fd, char **address, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	CLEANUP(cleanup_addrinfo) struct addrinfo *found = NULL;
	char host[HOST_MAX + 1];
	const char *port;
	int e;

	if (!cut(text, host, &port))
		return err_set(err, ERR_ARGUMENT,
			       "\"%s\" is no address to listen on; it must be ADDRESS:PORT "
			       "with a port from 0 to 65535, such as 127.0.0.1:5000 or [::1]:5000",
			       text);
	e = getaddrinfo(host, port, &hints, &found);
	if (e)
		return err_set(err, ERR_ARGUMENT, "can't listen on %s: %s", text, gai_strerror(e));
	e = open ? check_loopback(text, found, err) : 0;
	if (e)
		return e;
	e = try_listen(found, fd);
	if (e)
		return explain(text, -e, err);
	e = name_of(*fd, address);
	if (e) {
		close(*fd);
		return err_sys(err, -e, "can't listen on %s", text);
	}
	return 0;
}
