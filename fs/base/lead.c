/*
 * lead.c: see lead.h.
 *
 * Two bytes of the file: the lead, and the claims, which are shared locks.
 */
#include "fs/base/base.h"
#include "fs/base/lead.h"

#include <fcntl.h>

#define LEAD   0
#define CLAIMS 1

int lead_open(const char *path, int *fd, struct err *err)
{
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *fd < 0 ? err_sys(err, errno, "can't open %s", path) : 0;
}

/* Of the open file, not of the process: two servers in one process would be two. */
static int lock(int fd, int command, short type, off_t byte, struct err *err)
{
	struct flock one = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int r;

	do
		r = fcntl(fd, command, &one);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_sys(err, errno, "can't lock the file of who leads") : 0;
}

int lead_claim(int fd, struct err *err)
{
	return lock(fd, F_OFD_SETLKW, F_RDLCK, CLAIMS, err);
}

/* Nobody's claim can be in the way of a claim: who has none only waits until there is none. */
int lead_wait(int fd, bool claims, struct err *err)
{
	int r = 0;

	do {
		if (!claims)
			r = lock(fd, F_OFD_SETLKW, F_WRLCK, CLAIMS, err);
		if (!r && !claims)
			r = lock(fd, F_OFD_SETLKW, F_UNLCK, CLAIMS, err);
		if (!r)
			r = lock(fd, F_OFD_SETLKW, F_WRLCK, LEAD, err);
		if (r || claims || !lead_is_claimed(fd))
			return r;
		lead_give_up(fd);
	} while (true);
}

bool lead_is_claimed(int fd)
{
	struct flock one = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = CLAIMS, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &one) == 0 && one.l_type != F_UNLCK;
}

void lead_give_up(int fd)
{
	(void)!lock(fd, F_OFD_SETLK, F_UNLCK, LEAD, NULL);
}
