/*
 * point.c: making, checking, mounting and leaving the mount point.
 *
 * The mount itself is libfuse's: as root by mount(2), else through fusermount3, which is
 * setuid. It is made by fuse_open_channel() rather than fuse_session_mount(), so that a
 * session never unmounts by path what somebody else has mounted there since.
 */
#include "fs/base/base.h"

#include "fs/mount/point.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define FUSE_USE_VERSION 314
#include <fuse.h>

#include "fs/base/log.h"

#define DEVICE	  "/dev/fuse"
#define OPTIONS	  "fsname=regfs,subtype=regfs,nosuid,nodev,noatime"
#define STALE_MAX 8 /* dead mounts on top of each other */

/* ---- What libfuse says ---- */

struct message {
	char text[ERR_TEXT_MAX];
};

/* libfuse's hook has no argument. Set in a thread only while it is inside point_attach(). */
static _Thread_local struct message *capture;

PRINTF(2, 0)
static void take_message(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX];
	int n;

	if (level > FUSE_LOG_WARNING)
		return;
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	if (!capture)
		log_warn("%s", text);
	else if (capture->text[0] == '\0')
		snprintf(capture->text, sizeof(capture->text), "%s",
			 text + (starts_with(text, "fuse: ") ? 6 : 0));
}

void point_take_messages(void)
{
	fuse_set_log_func(take_message);
}

/* ---- Leaving ---- */

extern char **environ;

/* fusermount3 may do for us what the kernel lets only root do. */
static int detach_as_user(const char *dir)
{
	char *argv[] = { (char[]){ "fusermount3" },
			 (char[]){ "-u" },
			 (char[]){ "-z" },
			 (char[]){ "-q" },
			 (char[]){ "--" },
			 NULL,
			 NULL };
	auto_free char *copy = strdup(dir);
	int status;
	pid_t pid;

	argv[5] = copy;
	if (!copy || posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static int detach(const char *dir)
{
	if (umount2(dir, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? detach_as_user(dir) : -1;
}

/* Asks nothing of the file system itself, which may be one that nobody serves yet. */
static int device_of(const char *dir, uint64_t *device)
{
	struct statx sx;

	if (statx(AT_FDCWD, dir, AT_STATX_DONT_SYNC | AT_SYMLINK_NOFOLLOW, 0, &sx) < 0)
		return -errno;
	*device = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	return 0;
}

void point_detach(const struct point *p)
{
	uint64_t device;

	if (device_of(p->dir, &device) < 0 || device != p->device)
		return;
	if (detach(p->dir) < 0)
		log_warn("can't unmount %s: %s", p->dir, strerror(errno));
}

void point_release(struct point *p)
{
	free(p->dir);
	p->dir = NULL;
}

/* ---- Coming ---- */

/* A FUSE mount whose server died answers ENOTCONN to everything. */
static int clear_stale(const char *dir, struct err *err)
{
	struct stat st;

	for (int i = 0; i < STALE_MAX; i++) {
		if (stat(dir, &st) == 0 || errno != ENOTCONN)
			return 0;
		if (detach(dir) < 0)
			break;
		log_info("detached a mount from %s whose server had died", dir);
	}
	return err_set(err, ERR_DENIED,
		       "%s is still mounted from a server that died and can't be detached: run "
		       "`fusermount3 -u -z %s`, or `umount -l` as root",
		       dir, dir);
}

/* The mount point itself, and nothing above it: a slip in a path would leave a trail of directories, and
 * a disk that isn't mounted yet would be hidden below them. */
static int make_directory(const char *dir, struct err *err)
{
	auto_free char *copy = NULL;
	struct stat st;

	if (stat(dir, &st) == 0 || errno != ENOENT)
		return 0;
	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, errno, "can't make the mount point %s", dir);
	copy = strdup(dir);
	return err_set(err, ERR_NOT_FOUND,
		       "can't make the mount point %s: there is no directory %s to make it in; make that "
		       "one first (`mkdir -p`), or choose another",
		       dir, copy ? dirname(copy) : "above it");
}

static int check_empty(const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	bool empty = true;

	if (!d)
		return err_sys(err, errno, "can't look into the mount point %s", dir);
	while (empty && (entry = readdir(d)))
		empty = streq(entry->d_name, ".") || streq(entry->d_name, "..");
	closedir(d);
	if (empty)
		return 0;
	return err_set(err, ERR_NOT_EMPTY,
		       "the mount point %s isn't empty (or something is mounted there already): "
		       "choose an empty or a new directory",
		       dir);
}

static int check_directory(const char *dir, struct err *err)
{
	struct stat st;

	if (stat(dir, &st) < 0)
		return err_sys(err, errno, "can't mount on %s", dir);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_NOT_DIRECTORY,
			       "the mount point %s isn't a directory: choose another", dir);
	if (access(dir, W_OK) < 0)
		return err_set(err, ERR_DENIED,
			       "the mount point %s isn't writable for this user, and FUSE asks for "
			       "that: choose a directory of your own",
			       dir);
	return check_empty(dir, err);
}

/* libfuse would say the first half of it. */
static int check_device(struct err *err)
{
	auto_fd int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return err_set(err, ERR_NOT_FOUND,
			       "FUSE isn't there (" DEVICE
			       ": %s): run `modprobe fuse` as root; in a "
			       "container, start it with `--device " DEVICE " --cap-add SYS_ADMIN`",
			       strerror(errno));
	if (errno == EACCES || errno == EPERM)
		return err_set(err, ERR_DENIED,
			       "no permission for " DEVICE " (%s): run as root, or have root do "
			       "`chmod 666 " DEVICE "`",
			       strerror(errno));
	return err_sys(err, errno, "can't open " DEVICE);
}

#ifdef __SANITIZE_ADDRESS__
/* What fuse_open_channel() of libfuse 3.14 makes of the options it never frees. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:fuse_opt_add_arg\n";
}
#endif

static int open_channel(const char *dir, const struct point_options *options, int *fd, struct err *err)
{
	struct message message = { .text = "" };
	char text[sizeof(OPTIONS) + sizeof(",allow_other,ro")];

	snprintf(text, sizeof(text), OPTIONS "%s%s", options->allow_other ? ",allow_other" : "",
		 options->read_only ? ",ro" : "");
	capture = &message;
	*fd = fuse_open_channel(dir, text);
	capture = NULL;
	if (*fd >= 0)
		return 0;
	if (message.text[0])
		return err_set(err, ERR_DENIED, "can't mount on %s: %s", dir, message.text);
	return err_set(err, ERR_DENIED,
		       "can't mount on %s: fusermount3 refused, or isn't installed (Debian: "
		       "`apt install fuse3`)",
		       dir);
}

int point_attach(const char *dir, const struct point_options *options, struct point *out, int *fd, struct err *err)
{
	auto_point struct point p = { .dir = NULL };
	auto_fd int dev = -1;
	int r;

	if ((r = clear_stale(dir, err)) < 0 || (r = make_directory(dir, err)) < 0 ||
	    (r = check_directory(dir, err)) < 0 || (r = check_device(err)) < 0)
		return r;
	p.dir = realpath(dir, NULL);
	if (!p.dir)
		return err_sys(err, errno, "can't mount on %s", dir);
	r = open_channel(p.dir, options, &dev, err);
	if (r < 0)
		return r;
	r = device_of(p.dir, &p.device);
	if (r < 0) {
		(void)detach(p.dir);
		return err_sys(err, -r, "can't look at %s after mounting", p.dir);
	}
	out->device = p.device;
	out->dir = steal(&p.dir);
	*fd = steal_fd(&dev);
	return 0;
}
