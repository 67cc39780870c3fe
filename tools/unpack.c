/*
 * unpack.c: regfs extract into a directory.
 *
 * Invariants, which keep a hostile image, and other users of the machine, inside:
 * 1. A name (which holds no slash, and isn't "." or "..": index.h) is made in a directory whose descriptor we hold, by a call
 *    that fails if the name is there, and that follows nothing.
 * 2. A directory's descriptor is opened from its parent's, without following a link, right after it was made.
 * 3. Directories are ours alone (0700) until all in them is there; the uppermost until everything is.
 * 4. What is opened is a regular file that we made, or a directory; devices and links are never opened.
 */
#include "fs/base/base.h"
#include "tools/extract.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define NS_PER_SECOND 1000000000
#define HOLE 4096	/* zeros of that size, where they stand, aren't written */

struct unpack {
	struct extract *x;
	int top;		/* the uppermost directory */
	const char *dir;	/* its name */
	bool root;
};

/* ---- What fails ---- */

/* It would fail for the next file, too. */
static bool is_fatal(const struct err *err)
{
	return err->reason == ERR_NO_SPACE || err->reason == ERR_NO_MEMORY || err->reason == ERR_READ_ONLY;
}

/* Names the file, and goes on; a fatal failure stays one. */
static int note_failure(struct unpack *u, const char *path, int r)
{
	auto_buf struct buf text = BUF_INIT;
	struct extract *x = u->x;

	if (!r)
		return 0;
	path_join(&text, u->dir, "");
	name_text(&text, path);
	if (is_fatal(x->err))
		return inside_blame(text.data, r, x->err);
	progress_end(x->progress);
	fprintf(stderr, "regfs: %s: %s\n", text.data, x->err->text);
	if (!x->failed++)
		buf_adds(&x->first_failed, text.data);
	return 0;
}

/* Whether a call failed because it isn't allowed here, or not known: that is left out, and counted. */
static bool leave_out(struct unpack *u, enum left_out what, int errnum)
{
	static const int errnums[] = { EPERM, EACCES, EINVAL, EOPNOTSUPP, E2BIG, ERANGE };

	for (size_t i = 0; i < ARRAY_SIZE(errnums); i++)
		if (errnum == errnums[i]) {
			u->x->left_out[what]++;
			return true;
		}
	return false;
}

/* ---- Attributes ---- */

static void times_of(const struct node_attr *attr, struct timespec out[2])
{
	int64_t ns = attr->mtime % NS_PER_SECOND, seconds = attr->mtime / NS_PER_SECOND;

	if (ns < 0) {
		ns += NS_PER_SECOND;
		seconds--;
	}
	out[0] = (struct timespec){ .tv_nsec = UTIME_NOW };
	out[1] = (struct timespec){ .tv_sec = seconds, .tv_nsec = ns };
}

/* Set-uid bits only together with the owner that they mean. */
static mode_t mode_of(struct unpack *u, const struct node_attr *attr, bool owned)
{
	mode_t special = attr->mode & (S_ISUID | S_ISGID);

	if ((u->root && owned) || !special)
		return attr->mode & 07777;
	u->x->left_out[LEFT_MODES]++;
	return attr->mode & 01777;
}

/* Of a file by its descriptor; of anything else (fd < 0) by its name, where nothing but the last component can be a link. */
static int set_xattrs(struct unpack *u, uint64_t node, int fd, const char *path)
{
	auto_xattrs struct xattrs xattrs = XATTRS_INIT;
	int r = xattrs_read(u->x->session, node, &xattrs, u->x->err);

	for (size_t i = 0; !r && i < xattrs.count; i++) {
		const struct tar_xattr *x = &xattrs.rows[i];
		int failed = fd < 0 ? lsetxattr(path, x->name, x->value, x->size, 0) :
				      fsetxattr(fd, x->name, x->value, x->size, 0);

		/* Where attributes are small there may be no room for them, on a disk that isn't full. */
		if (failed && errno != ENOSPC && !leave_out(u, LEFT_XATTRS, errno))
			r = err_sys(u->x->err, errno, "can't set an extended attribute");
		else if (failed && errno == ENOSPC)
			u->x->left_out[LEFT_XATTRS]++;
	}
	return r;
}

/* The owner first: changing it takes set-uid bits and capabilities away. The mode last: it may forbid the rest. */
static int set_attributes(struct unpack *u, int fd, const struct node_attr *attr)
{
	bool owned = fchown(fd, attr->uid, attr->gid) == 0;
	struct timespec times[2];
	int r;

	times_of(attr, times);
	if (!owned && !leave_out(u, LEFT_OWNERS, errno))
		return err_sys(u->x->err, errno, "can't set the owner");
	r = set_xattrs(u, attr->id, fd, NULL);
	if (r)
		return r;
	if (futimens(fd, times) < 0)
		return err_sys(u->x->err, errno, "can't set the time");
	if (fchmod(fd, mode_of(u, attr, owned)) < 0)
		return err_sys(u->x->err, errno, "can't set the mode");
	return 0;
}

/* The same for what can't be opened: links, devices; its mode is there already, but for set-uid bits. */
static int set_attributes_at(struct unpack *u, int dirfd, const char *name, const struct node_attr *attr)
{
	auto_buf struct buf path = BUF_INIT;
	struct timespec times[2];
	int r;

	times_of(attr, times);
	buf_addf(&path, "/proc/self/fd/%d/%s", dirfd, name);
	if (buf_error(&path))
		return err_set(u->x->err, ERR_NO_MEMORY, "out of memory");
	if (fchownat(dirfd, name, attr->uid, attr->gid, AT_SYMLINK_NOFOLLOW) < 0 && !leave_out(u, LEFT_OWNERS, errno))
		return err_sys(u->x->err, errno, "can't set the owner");
	r = set_xattrs(u, attr->id, -1, path.data);
	if (r)
		return r;
	if (utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(u->x->err, errno, "can't set the time");
	return 0;
}

/* ---- Files ---- */

static int write_at(int fd, const char *data, size_t len, int64_t offset, struct err *err)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, offset);

		if (n < 0 && errno != EINTR)
			return err_sys(err, errno, "can't write it");
		n = MAX(n, (ssize_t)0);
		data += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

static bool is_zero(const char *data, size_t len)
{
	return !*data && memcmp(data, data + 1, len - 1) == 0;
}

/* Everything but blocks of zeros: the file has its size already. */
static int write_data(int fd, const char *data, size_t len, int64_t offset, struct err *err)
{
	size_t start = 0, at = 0;
	int r = 0;

	while (!r && at < len) {
		size_t block = MIN(len - at, (size_t)(HOLE - (offset + (int64_t)at) % HOLE));

		if (is_zero(data + at, block)) {
			r = write_at(fd, data + start, at - start, offset + (int64_t)start, err);
			start = at + block;
		}
		at += block;
	}
	return r ? r : write_at(fd, data + start, at - start, offset + (int64_t)start, err);
}

static int copy_run(struct extract *x, const struct content *c, int fd, int64_t start, int64_t end)
{
	while (start < end) {
		ssize_t n = content_read(c, x->buffer, (size_t)MIN(end - start, (int64_t)EXTRACT_BUFFER), start, x->err);
		int r = n > 0 ? write_data(fd, x->buffer, (size_t)n, start, x->err) : (int)n;

		if (r)
			return r;
		if (!n)
			return err_set(x->err, ERR_CORRUPT, "it ends early");
		start += n;
	}
	return 0;
}

static int copy_file(struct extract *x, const struct node_attr *file, int fd)
{
	auto_content struct content *c = NULL;
	int r = session_open_file(x->session, file->id, &c, x->err);

	if (!r && ftruncate(fd, file->size) < 0)
		r = errno == EFBIG ? err_set(x->err, ERR_UNSUPPORTED, "it is larger than files can be here") :
				     err_sys(x->err, errno, "can't set its size");
	for (int64_t at = 0, start, end; !r && at < file->size; at = end) {
		r = session_data(x->session, file->id, at, &start, &end, x->err);
		if (!r)
			r = copy_run(x, c, fd, start, end);
	}
	return r;
}

static int make_file(struct unpack *u, int dirfd, const char *name, const struct node_attr *attr)
{
	auto_fd int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_sys(u->x->err, errno, "can't make it");
	r = attr->size ? copy_file(u->x, attr, fd) : 0;
	if (!r)
		r = set_attributes(u, fd, attr);
	/* Nothing that isn't whole stays. */
	if (r)
		unlinkat(dirfd, name, 0);
	return r;
}

/* ---- Links and devices ---- */

static int make_symlink(struct unpack *u, int dirfd, const char *name, const struct node_attr *attr)
{
	auto_buf struct buf target = BUF_INIT;
	int r = session_readlink(u->x->session, attr->id, &target, u->x->err);

	if (!r && symlinkat(target.data, dirfd, name) < 0)
		r = err_sys(u->x->err, errno, "can't make the link");
	return r ? r : set_attributes_at(u, dirfd, name, attr);
}

static int make_device(struct unpack *u, int dirfd, const char *name, const struct node_attr *attr)
{
	mode_t mode = mode_of(u, attr, true);
	int r;

	/* The umask is 0. */
	if (mknodat(dirfd, name, (attr->mode & S_IFMT) | mode, attr->rdev) < 0)
		return leave_out(u, LEFT_DEVICES, errno) ? 0 : err_sys(u->x->err, errno, "can't make the %s", type_text(attr->mode));
	r = set_attributes_at(u, dirfd, name, attr);
	if (!r && mode & (S_ISUID | S_ISGID) && fchmodat(dirfd, name, mode, 0) < 0)
		r = err_sys(u->x->err, errno, "can't set the mode");
	return r;
}

/* The directory of a path below the uppermost one, a component at a time, following nothing; *name: the last component. */
static int open_beneath(struct unpack *u, const char *path, const char **name)
{
	int fd = fcntl(u->top, F_DUPFD_CLOEXEC, 0);

	for (const char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		char component[LIMIT_TREE_NAME + 1];
		auto_fd int above = fd;

		snprintf(component, sizeof(component), "%.*s", (int)(slash - path), path);
		fd = openat(above, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	}
	*name = path;
	return fd;
}

/* One more name of a file. false: it can't be, since the first was left out, or the file system doesn't want to. */
static bool link_to(struct unpack *u, const char *first, int dirfd, const char *name)
{
	const char *old;
	auto_fd int fd = open_beneath(u, first, &old);

	return fd >= 0 && linkat(fd, old, dirfd, name, 0) == 0;
}

/* ---- Directories ---- */

static int unpack_below(struct unpack *u, const char *path, int dirfd, uint64_t directory);

static int open_made(struct unpack *u, int dirfd, const char *name, int *out)
{
	if (mkdirat(dirfd, name, 0700) < 0)
		return err_sys(u->x->err, errno, "can't make the directory");
	*out = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *out < 0 ? err_sys(u->x->err, errno, "can't open the directory") : 0;
}

static int unpack_directory(struct unpack *u, const char *path, int dirfd, const char *name, const struct node_attr *attr)
{
	auto_fd int fd = -1;
	int r = open_made(u, dirfd, name, &fd);

	if (r)
		return note_failure(u, path, r);
	r = unpack_below(u, path, fd, attr->id);
	return r ? r : note_failure(u, path, set_attributes(u, fd, attr));
}

static int make_leaf(struct unpack *u, const char *path, int dirfd, const char *name, const struct node_attr *attr)
{
	static const struct {
		mode_t type;
		int (*make)(struct unpack *u, int dirfd, const char *name, const struct node_attr *attr);
	} types[] = {
		{ S_IFREG, make_file },	  { S_IFLNK, make_symlink }, { S_IFCHR, make_device },
		{ S_IFBLK, make_device }, { S_IFIFO, make_device },
	};
	struct extract *x = u->x;
	const char *first;
	int r = attr->links < 2 ? 0 : link_map_find(&x->links, attr->id, path, &first, x->err);

	if (r < 0)
		return r;
	if (r && link_to(u, first, dirfd, name)) {
		x->bytes -= S_ISREG(attr->mode) ? attr->size : 0;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((attr->mode & S_IFMT) == types[i].type)
			return types[i].make(u, dirfd, name, attr);
	return err_set(x->err, ERR_UNSUPPORTED, "it is of no type that can be made");
}

static int unpack_entry(struct unpack *u, const char *path, int dirfd, const char *name, const struct node_attr *attr)
{
	extract_count(u->x, attr);
	if (S_ISDIR(attr->mode))
		return unpack_directory(u, path, dirfd, name, attr);
	return note_failure(u, path, make_leaf(u, path, dirfd, name, attr));
}

/* Recursion is as deep as the index's directories, LIMIT_TREE_DEPTH; so many descriptors are open. */
static int unpack_below(struct unpack *u, const char *path, int dirfd, uint64_t directory)
{
	auto_session_dir struct session_dir *dir = NULL;
	const struct node_attr *attr;
	const char *name;
	int r = session_dir_open(u->x->session, directory, &dir, u->x->err);

	while (!r && (r = session_dir_next(dir, &name, &attr, u->x->err)) > 0) {
		auto_buf struct buf below = BUF_INIT;

		path_join(&below, path, name);
		r = unpack_entry(u, below.data, dirfd, name, attr);
	}
	return r;
}

/* ---- The uppermost directory ---- */

static int check_empty(int fd, const char *dir, struct err *err)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *e;
	bool empty = true;

	if (!d) {
		int errnum = errno;

		if (copy >= 0)
			close(copy);
		return err_sys(err, errnum, "can't read %.200s", dir);
	}
	while (empty && (e = readdir(d)))
		empty = streq(e->d_name, ".") || streq(e->d_name, "..");
	closedir(d);
	return empty ? 0 : err_set(err, ERR_NOT_EMPTY, "%.200s is not empty: name a new directory", dir);
}

/* Whoever owns a directory may always enter it, so it is ours, too. */
static int keep_out(int fd, const struct stat *st)
{
	if (st->st_uid != geteuid() && fchown(fd, geteuid(), (gid_t)-1) < 0)
		return -1;
	return fchmod(fd, 0700);
}

/* *before: what it was, if it was there. */
static int open_top(const char *dir, int *out, struct stat *before, bool *was_there, struct err *err)
{
	bool made = mkdir(dir, 0700) == 0;
	auto_fd int fd = -1;
	int r;

	if (!made && errno != EEXIST)
		return err_set(err, ERR_IO, "can't make %.200s: %s", dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (made ? O_NOFOLLOW : 0));
	if (fd < 0)
		return err_set(err, ERR_EXISTS, "%.200s can't be extracted to: %s", dir, strerror(errno));
	r = made ? 0 : check_empty(fd, dir, err);
	if (r)
		return r;
	if (fstat(fd, before) < 0 || keep_out(fd, before) < 0)
		return err_set(err, ERR_IO, "can't keep others out of %.200s: %s", dir, strerror(errno));
	*was_there = !made;
	*out = steal_fd(&fd);
	return 0;
}

/* A directory that is open stays so until what is below is there. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Gives it back as it was. */
static int restore_top(struct unpack *u, const struct stat *before, mode_t mode)
{
	if ((before->st_uid != geteuid() && fchown(u->top, before->st_uid, (gid_t)-1) < 0) || fchmod(u->top, mode) < 0)
		return err_set(u->x->err, ERR_IO, "can't set the mode of %.200s: %s", u->dir, strerror(errno));
	return 0;
}

int unpack(struct extract *x, const struct node_attr *node, const char *name, const char *dir)
{
	struct unpack u = { .x = x, .dir = dir, .root = geteuid() == 0 };
	mode_t mask = umask(0);
	auto_fd int top = -1;
	struct stat before = { 0 };
	bool was_there = false;
	int r = open_top(dir, &top, &before, &was_there, x->err);

	if (r)
		return r;
	u.top = top;
	allow_descriptors();
	if (!S_ISDIR(node->mode)) {
		r = unpack_entry(&u, name, top, name, node);
		return r ? r : restore_top(&u, &before, was_there ? before.st_mode & 07777 : 0777 & ~mask);
	}
	r = unpack_below(&u, "", top, node->id);
	return r ? r : note_failure(&u, "", set_attributes(&u, top, node));
}
