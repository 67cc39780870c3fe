/*
 * socket.c: mends three system calls that libmicrohttpd 0.9.75 makes.
 *
 * No option of its changes them, so the program has its own setsockopt(), recv() and sendfile(), which the
 * dynamic linker finds before libc's. For everybody else they do what libc's do.
 *
 * 1. It sets TCP_CORK before it sends a file. Between two processors that halves the rate of one
 *    connection: a blob of 1 GiB came over loopback at 1.7 GB/s corked and at 3.2 GB/s not, by the
 *    same sendfile() calls (nginx: 3.1 GB/s). Corking saves packets where an answer is written in
 *    small pieces; ours are a header and then 128 KiB at a time. Here TCP_CORK does nothing.
 *
 * 2. It takes a short read for an empty socket and waits for the next edge from epoll. When the
 *    client's end came along with its last bytes there is no further edge, and the connection, with
 *    the upload that it holds, stands until LIMIT_HTTP_IDLE_SECONDS are over. Here the reading
 *    side is shut down then. It has nothing more to give, so this changes nothing but makes an edge.
 *
 * 3. It takes the short count at the end of a file that ends before what was promised of it (damaged on its disk
 *    while it is sent) for a full socket, and waits for room that there is. Here the connection is shut down then: what
 *    the client has is shorter than it was told, and it knows.
 */
#undef _FORTIFY_SOURCE /* it would define a recv() of its own in the header */
#include "fs/base/base.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_CORK)
		return 0;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

static bool at_end(int fd)
{
	char c;

	return recvfrom(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) == 0;
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
	ssize_t n = recvfrom(fd, data, len, flags, NULL, NULL);
	int saved = errno;

	if (n > 0 && (size_t)n < len && !(flags & MSG_PEEK) && at_end(fd))
		(void)shutdown(fd, SHUT_RD);
	errno = saved;
	return n;
}

static bool ends_early(int file, const off_t *offset)
{
	struct stat st;

	return offset && fstat(file, &st) == 0 && *offset >= st.st_size;
}

ssize_t sendfile64(int to, int from, off_t *offset, size_t len)
{
	ssize_t n = syscall(SYS_sendfile, to, from, offset, len);
	int saved = errno;

	if (n >= 0 && (size_t)n < len && ends_early(from, offset))
		(void)shutdown(to, SHUT_RDWR);
	errno = saved;
	return n;
}
