/*
 * cork.c: keeps libmicrohttpd from corking its sockets.
 *
 * libmicrohttpd 0.9.75 sets TCP_CORK before it sends a file, and no option of its tells it not to.
 * Between two processors that halves the rate of one connection: 1 GiB over loopback came at 1.7
 * GB/s corked and at 3.2 GB/s not, the same sendfile() calls in both cases (nginx: 3.1 GB/s).
 * Corking saves packets where an answer is written in small pieces; ours are a header and then 128
 * KiB at a time.
 *
 * So the program has its own setsockopt(), which the dynamic linker finds before libc's. All but
 * TCP_CORK goes to the kernel as it came. Nothing else of regfs or its libraries corks.
 */
#include "fs/base/base.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

__attribute__((visibility("default"))) int setsockopt(int fd, int level, int name,
						      const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_CORK)
		return 0;
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
