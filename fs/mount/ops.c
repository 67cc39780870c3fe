/*
 * ops.c: each operation gets the node, calls the tree, maps the error and replies.
 *
 * Nodes come here as the tree numbers them (mount.c), and go out as number.h shows them.
 *
 * Invariants:
 * 1. Nothing is remembered about nodes: what the kernel has looked up needs no count, so
 *    "forget" isn't answered here (libfuse drops it).
 * 2. The kernel may keep for ever what node_attr says is so for ever, and nothing else for
 *    any time: all other time-outs are 0, such files are read with direct_io, and such directories are
 *    listed anew each time, from what the tree says at that moment.
 * 3. Nothing here notifies the kernel (inside a request that deadlocks).
 * 4. What is written is a whole value, taken or refused by the write itself: nothing is kept that could be flushed, and there is nothing to
 *    truncate.
 */
#include "fs/base/base.h"

#include "fs/mount/ops.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/base/log.h"
#include "fs/mount/answer.h"
#include "fs/mount/list.h"
#include "fs/tree/inside.h"
#include "fs/tree/node.h"
#include "fs/tree/rootfs.h"

#define A_MOMENT 1.0 /* seconds */

/* An open file. The kernel's handle of it is its address. */
struct ops_file {
	struct ops_file *next, *before; /* guarded by ops.lock */
	struct content *content;	/* this, and the rest, as it was opened */
	uint64_t node;
	bool cached; /* known to passthrough */
};

/* ---- Answers ---- */

static void reply(fuse_req_t req, int r, const struct err *err)
{
	if (r < 0)
		answer_fail(req, err);
	else
		fuse_reply_err(req, 0);
}

static void reply_attr(fuse_req_t req, const struct node_attr *a)
{
	struct stat st = answer_stat(ops_of(req), a);

	fuse_reply_attr(req, &st, a->attr_forever ? ANSWER_FOREVER : 0);
}

/* ---- Names and attributes ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct node_attr a;
	struct fuse_entry_param e = { .ino = 0, .entry_timeout = ANSWER_FOREVER };
	bool absent_forever = false;
	int r;

	r = node_lookup(o->tree, &o->cred, parent, name, &a, &absent_forever, &err);
	if (r != 0 && (r != -ENOENT || !absent_forever))
		return answer_fail(req, &err);
	if (r == 0) {
		list_looked_up(o, parent, &a);
		e = answer_entry(o, &a);
	}
	fuse_reply_entry(req, &e);
}

/*
 * Of a file that was removed, or that this principal may not see any more, and that is open: it is read to its end, for which `cat` asks for
 * its attributes first.
 */
static bool open_attr(struct ops *o, uint64_t node, struct node_attr *out)
{
	const struct ops_file *f;

	pthread_mutex_lock(&o->lock);
	for (f = o->open; f && f->node != node; f = f->next)
		;
	if (f)
		*out = (struct node_attr){ .id = node, .mode = S_IFREG | 0444, .size = content_size(f->content) };
	pthread_mutex_unlock(&o->lock);
	return f;
}

/* Of an open file that the kernel has the bytes of, it asks before each read whether they are still the ones: they are, and its
 * links, which may be more by now, aren't worth that. */
static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct node_attr a;
	struct stat st;
	int r = node_getattr(o->tree, &o->cred, node, &a, &err);

	if (r < 0 && !(r == -ENOENT && open_attr(o, node, &a)))
		return answer_fail(req, &err);
	st = answer_stat(o, &a);
	fuse_reply_attr(req, &st, a.attr_forever ? ANSWER_FOREVER : fi && a.data_forever ? A_MOMENT : 0);
}

/*
 * Modes are the tree's to judge. Times and owner of what can be changed (a link, or what has the mode for it), and the size 0 of a
 * value that is about to be written, are accepted without effect, so that `cp -a`, `touch -h` and `>` go on.
 */
static void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set, struct fuse_file_info *fi UNUSED)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct node_attr a;

	if ((to_set & FUSE_SET_ATTR_MODE && node_chmod(o->tree, &o->cred, node, attr->st_mode, &err) < 0) ||
	    node_getattr(o->tree, &o->cred, node, &a, &err) < 0)
		return answer_fail(req, &err);
	if (!(to_set & ~FUSE_SET_ATTR_MODE) || S_ISLNK(a.mode) || (!node_is_inside(node) && a.mode & S_IWUSR))
		reply_attr(req, &a);
	else
		fuse_reply_err(req, EROFS);
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	auto_buf struct buf target = BUF_INIT;

	if (node_readlink(o->tree, &o->cred, node, &target, &err) < 0)
		return answer_fail(req, &err);
	/* Relative to its root, a target may have become longer than a path may be. */
	if (target.len >= PATH_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	fuse_reply_readlink(req, target.data);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct statvfs out;

	if (node_statfs(o->tree, &o->cred, node, &out, &err) < 0)
		return answer_fail(req, &err);
	fuse_reply_statfs(req, &out);
}

/* ---- Files ---- */

static void add_file(struct ops *o, struct ops_file *f)
{
	pthread_mutex_lock(&o->lock);
	f->next = o->open;
	if (f->next)
		f->next->before = f;
	o->open = f;
	pthread_mutex_unlock(&o->lock);
}

static void remove_file(struct ops *o, struct ops_file *f)
{
	pthread_mutex_lock(&o->lock);
	if (f->next)
		f->next->before = f->before;
	if (f->before)
		f->before->next = f->next;
	else
		o->open = f->next;
	pthread_mutex_unlock(&o->lock);
}

static void free_file(struct ops *o, struct ops_file *f)
{
	if (f->cached)
		passthrough_release(o->passthrough, f->node);
	if (f->content)
		content_free(f->content);
	free(f);
}

static void close_file(struct ops *o, struct ops_file *f)
{
	remove_file(o, f);
	free_file(o, f);
}

void ops_close_all(struct ops *o)
{
	while (o->open)
		close_file(o, o->open);
	answer_rooms_free(o);
}

static int open_file(struct ops *o, uint64_t node, struct ops_file *f, int32_t *backing, bool *stale,
		     struct err *err)
{
	bool forever;
	int r = node_open(o->tree, &o->cred, node, &f->content, &forever, err);

	f->node = node;
	*backing = 0;
	*stale = false;
	if (r || !forever)
		return r;
	*backing = passthrough_open(o->passthrough, node, content_backing(f->content), stale);
	if (*backing < 0)
		return err_set(err, ERR_NO_MEMORY, "no memory for an open file");
	f->cached = true;
	return 0;
}

/* As libfuse's fuse_reply_open(), which can't say passthrough. With FOPEN_KEEP_CACHE the kernel
 * would refuse it. With FOPEN_DIRECT_IO, too, reads come here. */
static int reply_passthrough(fuse_req_t req, uint64_t handle, int32_t backing, bool direct)
{
	enum { FOPEN_DIRECT_IO = 1 << 0, FOPEN_PASSTHROUGH = 1 << 7 };
	const struct {
		uint64_t handle;
		uint32_t flags;
		int32_t backing;
	} out = { handle, FOPEN_PASSTHROUGH | (direct ? FOPEN_DIRECT_IO : 0), backing };

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

/* NULL: see `err`. */
static struct ops_file *new_file(struct ops *o, uint64_t node, struct fuse_file_info *fi, int32_t *backing, struct err *err)
{
	struct ops_file *f = calloc(1, sizeof(*f));
	bool stale;

	if (!f) {
		err_set(err, ERR_NO_MEMORY, "no memory for an open file");
		return NULL;
	}
	if (open_file(o, node, f, backing, &stale, err) < 0) {
		free_file(o, f);
		return NULL;
	}
	add_file(o, f);
	fi->fh = (uintptr_t)f;
	fi->keep_cache = f->cached;
	fi->direct_io = !f->cached || stale;
	return f;
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || fi->flags & O_TRUNC;
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct ops_file *f;
	int32_t backing;
	int r;

	if (writes && node_may_write(o->tree, &o->cred, node, &err) < 0)
		return answer_fail(req, &err);
	f = new_file(o, node, fi, &backing, &err);
	if (!f)
		return answer_fail(req, &err);
	r = backing ? reply_passthrough(req, fi->fh, backing, fi->direct_io) : fuse_reply_open(req, fi);
	/* Interrupted meanwhile: the kernel won't release what it never opened. */
	if (r == -ENOENT)
		close_file(o, f);
}

/*
 * A 1 GiB blob in the store's page cache, first read through the mount, on 2 cores: this
 * 2.0 to 2.1 GB/s; fuse_reply_data() with the file 1.0, with splice 2.3, which isn't worth
 * pipes; more read-ahead than the kernel's 128 KiB is no gain (2.1). By passthrough it is
 * what the file itself gives: 11 GB/s warm.
 */
static void op_read(fuse_req_t req, fuse_ino_t node UNUSED, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	const struct ops_file *f = (const struct ops_file *)(uintptr_t)fi->fh;
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct ops_room *room = answer_room(o, size);
	ssize_t n;

	if (!room) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = content_read(f->content, room->data, size, offset, &err);
	if (n < 0)
		answer_fail(req, &err);
	else
		fuse_reply_buf(req, room->data, (size_t)n);
	answer_room_put(o, room);
}

/* Where the next data, or hole, at or behind `offset` is; the end of a file is a hole. */
static int seek(struct ops *o, uint64_t node, bool hole, int64_t offset, int64_t *out, struct err *err)
{
	int64_t start = offset, end = offset;
	int r;

	do {
		*out = end;
		r = rootfs_data(o->tree, &o->cred, node, end, &start, &end, err);
		if (!r && !hole)
			*out = start;
	} while (!r && hole && start == *out && end > start);
	return r;
}

static void op_lseek(fuse_req_t req, fuse_ino_t node, off_t offset, int whence, struct fuse_file_info *fi)
{
	const struct ops_file *f = (const struct ops_file *)(uintptr_t)fi->fh;
	int64_t size = content_size(f->content), found = whence == SEEK_HOLE ? size : offset;
	struct err err = ERR_INIT;

	if (offset < 0 || offset >= size)
		fuse_reply_err(req, ENXIO);
	else if (inside_is(node) && seek(ops_of(req), node, whence == SEEK_HOLE, offset, &found, &err) < 0)
		answer_fail(req, &err);
	else if (whence == SEEK_DATA && found >= size)
		fuse_reply_err(req, ENXIO);
	else
		fuse_reply_lseek(req, found);
}

static void op_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi UNUSED)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;

	if (offset != 0)
		err_set(&err, ERR_ARGUMENT, "a value is written at once, from its beginning");
	else if (node_write(o->tree, &o->cred, node, data, size, &err) == 0) {
		fuse_reply_write(req, size);
		return;
	}
	if (err.errnum == EINVAL)
		log_info("mount: what was written is refused: %s", err.text);
	answer_fail(req, &err);
}

static void op_release(fuse_req_t req, fuse_ino_t node UNUSED, struct fuse_file_info *fi)
{
	close_file(ops_of(req), (struct ops_file *)(uintptr_t)fi->fh);
	fuse_reply_err(req, 0);
}

/* ---- Directories ---- */

/* ---- Extended attributes ---- */

/* A reader asks for the size first, with none. */
static void reply_value(fuse_req_t req, const struct buf *b, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, b->len);
	else if (b->len > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, b->data, b->len);
}

/* ENODATA and never ENOSYS, after which the kernel would not ask again for any file. */
static void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	auto_buf struct buf value = BUF_INIT;

	/* Asked for by every exec and `ls -l`; only what is inside images has others. */
	if (!starts_with(name, "user.") && !inside_is(node)) {
		fuse_reply_err(req, ENODATA);
		return;
	}
	if (node_getxattr(o->tree, &o->cred, node, name, &value, &err) < 0)
		return answer_fail(req, &err);
	reply_value(req, &value, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	auto_buf struct buf names = BUF_INIT;

	if (node_listxattr(o->tree, &o->cred, node, &names, &err) < 0)
		return answer_fail(req, &err);
	reply_value(req, &names, size);
}

/* ---- Writing: links ---- */

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct fuse_entry_param e;
	struct node_attr a;

	if (node_symlink(o->tree, &o->cred, parent, name, target, &a, &err) < 0)
		return answer_fail(req, &err);
	e = answer_entry(o, &a);
	fuse_reply_entry(req, &e);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned int flags)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	int r;

	if (flags & ~(unsigned)RENAME_NOREPLACE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	r = node_rename(o->tree, &o->cred, parent, name, new_parent, new_name,
			flags & RENAME_NOREPLACE, &err);
	reply(req, r, &err);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;

	reply(req, node_unlink(o->tree, &o->cred, parent, name, &err), &err);
}

/* ---- Writing: directories and new files ---- */

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode UNUSED)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct fuse_entry_param e;
	struct node_attr a;

	if (node_mkdir(o->tree, &o->cred, parent, name, &a, &err) < 0)
		return answer_fail(req, &err);
	e = answer_entry(o, &a);
	fuse_reply_entry(req, &e);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode UNUSED, struct fuse_file_info *fi)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct fuse_entry_param e;
	struct node_attr a;
	struct ops_file *f;
	int32_t backing;

	if (node_create(o->tree, &o->cred, parent, name, &a, &err) < 0)
		return answer_fail(req, &err);
	f = new_file(o, a.id, fi, &backing, &err);
	if (!f)
		return answer_fail(req, &err);
	e = answer_entry(o, &a);
	if (fuse_reply_create(req, &e, fi) == -ENOENT)
		close_file(o, f);
}

/* ---- Writing anything else ---- */

static void op_mknod(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED,
		     mode_t mode UNUSED, dev_t rdev UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

static void op_link(fuse_req_t req, fuse_ino_t node UNUSED, fuse_ino_t parent UNUSED,
		    const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

/* `cp -a` copies modes as lists (ACLs), and goes on with modes only where there are none. */
static void op_setxattr(fuse_req_t req, fuse_ino_t node UNUSED, const char *name, const char *value UNUSED,
			size_t size UNUSED, int flags UNUSED)
{
	fuse_reply_err(req, starts_with(name, "system.posix_acl_") ? EOPNOTSUPP : EROFS);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t node UNUSED, const char *name UNUSED)
{
	fuse_reply_err(req, EROFS);
}

/* ---- The session ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	const unsigned opendir = FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_AUTO_INVAL_DATA;
	const unsigned want = FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS;
	const unsigned dont = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_AUTO_INVAL_DATA |
			      FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_SPLICE_READ |
			      FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE;
	struct ops *o = userdata;

	o->no_opendir = cred_is_boundless(&o->cred) && (conn->capable & opendir) == opendir;
	conn->want &= ~dont;
	conn->want |= want & conn->capable;
	if (o->no_opendir)
		conn->want |= FUSE_CAP_AUTO_INVAL_DATA;
}

/* Left out, so that the kernel stops asking: access, flush, fsync. */
const struct fuse_lowlevel_ops ops_table = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.statfs = op_statfs,
	.open = op_open,
	.read = op_read,
	.lseek = op_lseek,
	.write = op_write,
	.release = op_release,
	.opendir = list_opendir,
	.readdir = list_readdir,
	.readdirplus = list_readdirplus,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.symlink = op_symlink,
	.rename = op_rename,
	.unlink = op_unlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.rmdir = op_rmdir,
	.link = op_link,
	.create = op_create,
	.setxattr = op_setxattr,
	.removexattr = op_removexattr,
};
