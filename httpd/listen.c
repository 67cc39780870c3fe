/*
 * listen.c: the socket that the HTTP front listens on.
 */
#include "fs/base/base.h"
#include "httpd/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define HOST_MAX 255
#define BACKLOG	 1024

DEFINE_CLEANUP(cleanup_addrinfo, struct addrinfo *, freeaddrinfo)

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
	return true;
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

int listen_open(const char *text, int *fd, char **address, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	CLEANUP(cleanup_addrinfo) struct addrinfo *found = NULL;
	char host[HOST_MAX + 1];
	const char *port;
	int e;

	if (!cut(text, host, &port))
		return err_set(err, ERR_ARGUMENT,
			       "\"%s\" is no address to listen on; it must be ADDRESS:PORT, "
			       "such as 127.0.0.1:5000 or [::1]:5000",
			       text);
	e = getaddrinfo(host, port, &hints, &found);
	if (e)
		return err_set(err, ERR_ARGUMENT, "can't listen on %s: %s", text, gai_strerror(e));
	e = try_listen(found, fd);
	if (e == -EADDRINUSE)
		return err_set(
			err, ERR_ARGUMENT,
			"can't listen on %s: another program does; stop it, or choose another port",
			text);
	if (e)
		return err_set(err, ERR_ARGUMENT, "can't listen on %s: %s", text,
			       strerrordesc_np(-e));
	e = name_of(*fd, address);
	if (e) {
		close(*fd);
		return err_sys(err, -e, "can't listen on %s", text);
	}
	return 0;
}
