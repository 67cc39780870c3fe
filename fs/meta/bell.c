/*
 * bell.c: see bell.h.
 */
#include "fs/base/base.h"
#include "fs/meta/bell.h"

#include <fcntl.h>
#include <sys/inotify.h>

int bell_open(const char *beside, struct bell *out, struct err *err)
{
	if (asprintf(&out->path, "%s-bell", beside) < 0) {
		out->path = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	out->fd = open(out->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* A hole: it takes no block of a disk that is full. */
	if (out->fd < 0 || ftruncate(out->fd, 1) < 0)
		return err_sys(err, errno, "cannot make %s", out->path);
	return 0;
}

void bell_close(struct bell *b)
{
	cleanup_close(&b->fd);
	free(b->path);
}

void bell_ring(const struct bell *b)
{
	char byte;

	/* Nobody is told less than the truth by a failure: who waits looks now and then, too. */
	(void)!pread(b->fd, &byte, 1, 0);
}

int bell_listen(const struct bell *b, int *fd, struct err *err)
{
	auto_fd int in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	*fd = -1;
	if (in < 0 || inotify_add_watch(in, b->path, IN_ACCESS) < 0)
		return err_sys(err, errno, "cannot watch %s (sysctl fs.inotify.max_user_instances says how many can)", b->path);
	*fd = steal_fd(&in);
	return 0;
}

void bell_heard(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}
