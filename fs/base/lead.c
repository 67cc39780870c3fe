/* lead.c: see lead.h. */
#include "fs/base/base.h"
#include "fs/base/lead.h"

#include <fcntl.h>

int lead_open(const char *path, int *fd, struct err *err)
{
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return *fd < 0 ? err_sys(err, errno, "can't open %s", path) : 0;
}

int lead_wait(int fd, struct err *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int r;

	/* Of the open file, not of the process: two servers in one process would be two. */
	do
		r = fcntl(fd, F_OFD_SETLKW, &whole);
	while (r < 0 && errno == EINTR);
	return r < 0 ? err_sys(err, errno, "can't lock the file of who leads") : 0;
}
