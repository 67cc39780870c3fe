/*
 * mount.c: a FUSE session from its beginning to its end.
 *
 *	start ──> served ──stop──> detached ──> threads ended ──> closed
 *	             └──unmounted by somebody──> ended() ──stop──> closed
 *
 * The end has that order so that what is in progress is answered: first the mount
 * point goes and nobody new comes, then each thread finishes its request, then the
 * connection is closed; files still open answer ENOTCONN from then on (those read by
 * passthrough go on).
 */
#include "fs/base/base.h"

#include "fs/mount/mount.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/mount/ops.h"
#include "fs/mount/point.h"
#include "fs/mount/workers.h"

struct mount {
	struct ops ops;
	struct point point;
	struct fuse_session *session; /* owns the connection once it is made */
	struct workers *workers;
};

/* Where a request names nodes: in its header, and a rename's new directory behind that. <linux/fuse.h> */
enum { OPCODE_AT = 4, NODE_AT = 16, BODY_AT = 40, OPCODE_RENAME = 12, OPCODE_RENAME2 = 45 };

static void find_node(const struct numbers *n, char *at)
{
	uint64_t number;

	memcpy(&number, at, sizeof(number));
	number = number_node(n, number);
	memcpy(at, &number, sizeof(number));
}

static void find_nodes(const struct numbers *n, char *request, size_t len)
{
	uint32_t opcode;

	if (len < BODY_AT)
		return;
	memcpy(&opcode, request + OPCODE_AT, sizeof(opcode));
	find_node(n, request + NODE_AT);
	if ((opcode == OPCODE_RENAME || opcode == OPCODE_RENAME2) && len >= BODY_AT + sizeof(uint64_t))
		find_node(n, request + BODY_AT);
}

static ssize_t io_read(int dev, void *buf, size_t len, void *userdata)
{
	struct ops *o = userdata;
	ssize_t n = passthrough_read(o->passthrough, dev, buf, len);

	if (n > 0 && o->numbers.hidden)
		find_nodes(&o->numbers, buf, (size_t)n);
	return n;
}

static ssize_t io_writev(int dev, struct iovec *iov, int count, void *userdata)
{
	struct ops *o = userdata;

	return passthrough_writev(o->passthrough, dev, iov, count);
}

static int make_session(struct mount *m, int *dev, struct err *err)
{
	static const struct fuse_custom_io io = { .read = io_read, .writev = io_writev };
	char *argv[] = { (char[]){ "regfs" }, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	int r;

	r = passthrough_new(*dev, &m->ops.passthrough, err);
	if (r < 0)
		return r;
	m->session = fuse_session_new(&args, &ops_table, sizeof(ops_table), &m->ops);
	fuse_opt_free_args(&args);
	if (!m->session)
		return err_set(err, ERR_NO_MEMORY, "libfuse can't make a session");
	r = fuse_session_custom_io(m->session, &io, *dev);
	if (r < 0)
		return err_set(err, ERR_INTERNAL, "libfuse refuses the connection: %s",
			       strerror(-r));
	steal_fd(dev);
	return 0;
}

static void mount_free(struct mount *m)
{
	if (m->workers)
		workers_expect_end(m->workers);
	if (m->point.dir)
		point_detach(&m->point);
	if (m->workers)
		workers_stop(m->workers);
	ops_close_all(&m->ops); /* while there is a connection to tell of backing files */
	if (m->session)
		fuse_session_destroy(m->session);
	if (m->ops.passthrough)
		passthrough_free(m->ops.passthrough);
	pthread_mutex_destroy(&m->ops.lock);
	point_release(&m->point);
	free(m);
}

DEFINE_CLEANUP(cleanup_mount, struct mount *, mount_free)
#define auto_mount CLEANUP(cleanup_mount)

int mount_start(const struct mount_options *options, struct mount **out, struct err *err)
{
	auto_mount struct mount *m = calloc(1, sizeof(*m));
	const struct point_options how = { .allow_other = options->allow_other, .read_only = options->read_only };
	auto_fd int dev = -1;
	int r;

	if (!m)
		return err_set(err, ERR_NO_MEMORY, "no memory for the mount");
	m->ops = (struct ops){
		.tree = options->tree,
		.cred = options->cred,
		.hide_trees = options->hide_trees,
		.uid = geteuid(),
		.gid = getegid(),
	};
	pthread_mutex_init(&m->ops.lock, NULL);
	point_take_messages();
	/* Before there is a mount, which the kernel asks of at once. */
	r = cred_is_boundless(&m->ops.cred) ? 0 : numbers_hide(&m->ops.numbers, err);
	if (r < 0)
		return r;
	if ((r = point_attach(options->dir, &how, &m->point, &dev, err)) < 0 ||
	    (r = make_session(m, &dev, err)) < 0)
		return r;
	r = workers_start(m->session, options->ended, options->ended_arg, &m->workers, err);
	if (r < 0)
		return r;
	*out = steal(&m);
	return 0;
}

void mount_stop(struct mount *m)
{
	if (m)
		mount_free(m);
}
