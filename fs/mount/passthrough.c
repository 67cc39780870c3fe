/*
 * passthrough.c: negotiating passthrough, and the backing files of what is open.
 *
 *	START ──INIT offers it──> OFFERED ──INIT's reply──> ON
 *	  └──it doesn't──> OFF <──reply too short──┘         │
 *	                    ^─────────an ioctl fails─────────┘
 *
 * Invariants:
 * 1. OFF is final for the connection: what failed once (no privilege, a store on a
 *    stacked file system) would fail for each file.
 * 2. An open node has one entry; its backing number doesn't change while it is there, also
 *    when the state turns OFF meanwhile. So opens of one node agree.
 * 3. The kernel refuses to open by other means what is open by passthrough. So while a backing file is open that is no good
 *    any more, others open it in both ways: read() asks us, and mmap() only has that file.
 * 4. A backing number is closed after the last release of its node, which the kernel sends when it
 *    has let go of it.
 *
 * The kernel's structures are written down here, as <linux/fuse.h> has them from 6.9 on: the
 * one we build with may be older, and its spare fields move as the protocol grows.
 */
#include "fs/base/base.h"

#include "fs/mount/passthrough.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define OPCODE_INIT	  26
#define INIT_EXT	  (1u << 30) /* flags: flags2 counts */
#define INIT2_PASSTHROUGH (1u << 5)  /* flags2: FUSE_PASSTHROUGH, 1 << 37 */
/* The store's file system is stacked less deep than this; overlayfs still goes on top of us. */
#define STACK_DEPTH 1

struct request_header {
	uint32_t len, opcode;
	uint64_t unique, node;
	uint32_t uid, gid, pid, more;
};

struct init_request {
	struct request_header header;
	uint32_t major, minor, max_readahead, flags, flags2, unused[11];
};

struct reply_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

struct init_reply {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth, unused[6];
};

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define DEV_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define DEV_BACKING_CLOSE _IOW(229, 2, uint32_t)

_Static_assert(sizeof(struct request_header) == 40, "fuse_in_header");
_Static_assert(sizeof(struct init_request) == 40 + 64, "fuse_init_in");
_Static_assert(sizeof(struct init_reply) == 64, "fuse_init_out");
_Static_assert(sizeof(struct backing_map) == 16, "fuse_backing_map");

enum state { START, OFFERED, ON, OFF };

struct entry {
	struct entry *next;
	uint64_t node;
	uint64_t opens;
	int32_t backing; /* 0: read the plain way */
	int fd;		 /* the file behind it, or -1, and */
	struct timespec changed; /* when it was written to last, as it was opened */
};

struct passthrough {
	int dev;
	_Atomic enum state state;
	uint64_t init; /* INIT's number; written in START, read in OFFERED */
	pthread_mutex_t lock;
	struct entry *open[256]; /* guarded by lock; by bucket() */
};

int passthrough_new(int dev, struct passthrough **out, struct err *err)
{
	struct passthrough *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(err, ERR_NO_MEMORY, "no memory for the mount");
	p->dev = dev;
	pthread_mutex_init(&p->lock, NULL);
	*out = p;
	return 0;
}

static void entry_free(struct entry *e)
{
	cleanup_close(&e->fd);
	free(e);
}

/* Backing files still open go with the connection. */
void passthrough_free(struct passthrough *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(p->open); i++) {
		while (p->open[i]) {
			struct entry *e = p->open[i];

			p->open[i] = e->next;
			entry_free(e);
		}
	}
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* ---- INIT ---- */

static void see_request(struct passthrough *p, const void *data, size_t len)
{
	struct init_request in = { .header.len = 0 };
	bool offered;

	memcpy(&in, data, MIN(len, sizeof(in)));
	if (in.header.opcode != OPCODE_INIT)
		return;
	offered = len >= sizeof(in) && in.flags & INIT_EXT && in.flags2 & INIT2_PASSTHROUGH;
	p->init = in.header.unique;
	atomic_store(&p->state, offered ? OFFERED : OFF);
}

ssize_t passthrough_read(struct passthrough *p, int dev, void *buf, size_t len)
{
	ssize_t n = read(dev, buf, len);

	if (n > 0 && atomic_load_explicit(&p->state, memory_order_relaxed) == START)
		see_request(p, buf, (size_t)n);
	return n;
}

/* libfuse writes the reply as two pieces: the header and the fuse_init_out. */
static bool is_init_reply(const struct passthrough *p, const struct iovec *iov, int count)
{
	struct reply_header header;

	if (count != 2 || iov[0].iov_len != sizeof(header))
		return false;
	memcpy(&header, iov[0].iov_base, sizeof(header));
	return header.unique == p->init && header.error == 0;
}

static ssize_t write_init_reply(struct passthrough *p, int dev, const struct iovec *iov)
{
	struct init_reply out;
	struct iovec both[2] = { iov[0], { &out, sizeof(out) } };
	ssize_t n;

	if (iov[1].iov_len != sizeof(out)) {
		atomic_store(&p->state, OFF);
		return writev(dev, iov, 2);
	}
	memcpy(&out, iov[1].iov_base, sizeof(out));
	out.flags |= INIT_EXT;
	out.flags2 |= INIT2_PASSTHROUGH;
	out.max_stack_depth = STACK_DEPTH;
	/* Before the reply is out: the first open may come as soon as it is. */
	atomic_store(&p->state, ON);
	n = writev(dev, both, 2);
	if (n < 0)
		atomic_store(&p->state, OFF);
	return n;
}

ssize_t passthrough_writev(struct passthrough *p, int dev, struct iovec *iov, int count)
{
	if (atomic_load_explicit(&p->state, memory_order_relaxed) == OFFERED &&
	    is_init_reply(p, iov, count))
		return write_init_reply(p, dev, iov);
	return writev(dev, iov, count);
}

/* ---- Backing files ---- */

/* Where the entry of a node hangs, or would. No bits of a node alone tell nodes apart. */
static struct entry **find(struct passthrough *p, uint64_t node)
{
	struct entry **at = &p->open[(node * 0x9e3779b97f4a7c15u) >> 56];

	while (*at && (*at)->node != node)
		at = &(*at)->next;
	return at;
}

static int32_t backing_open(struct passthrough *p, int fd)
{
	struct backing_map map = { .fd = fd };
	int id;

	id = ioctl(p->dev, DEV_BACKING_OPEN, &map);
	if (id > 0)
		return id;
	atomic_store(&p->state, OFF);
	return 0;
}

static struct entry *entry_new(struct passthrough *p, uint64_t node, int fd)
{
	struct entry *e = calloc(1, sizeof(*e));
	struct stat st;

	if (!e)
		return NULL;
	e->node = node;
	e->fd = fd < 0 || atomic_load(&p->state) != ON ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (e->fd >= 0 && fstat(e->fd, &st) == 0) {
		e->changed = st.st_mtim;
		e->backing = backing_open(p, e->fd);
	}
	if (!e->backing)
		cleanup_close(&e->fd);
	return e;
}

/* Its backing file was written to, or nobody may read it any more. */
static bool is_stale(const struct entry *e)
{
	struct stat st;

	return e->backing && (fstat(e->fd, &st) < 0 || !(st.st_mode & 0777) || st.st_mtim.tv_sec != e->changed.tv_sec ||
			      st.st_mtim.tv_nsec != e->changed.tv_nsec);
}

int32_t passthrough_open(struct passthrough *p, uint64_t node, int fd, bool *stale)
{
	struct entry **at, *e;
	int32_t backing = -ENOMEM;

	*stale = false;

	pthread_mutex_lock(&p->lock);
	at = find(p, node);
	e = *at;
	if (e)
		*stale = is_stale(e);
	else
		e = *at = entry_new(p, node, fd);
	if (e) {
		e->opens++;
		backing = e->backing;
	}
	pthread_mutex_unlock(&p->lock);
	return backing;
}

void passthrough_release(struct passthrough *p, uint64_t node)
{
	struct entry **at, *e;

	pthread_mutex_lock(&p->lock);
	at = find(p, node);
	e = *at;
	if (e && --e->opens == 0) {
		if (e->backing)
			(void)ioctl(p->dev, DEV_BACKING_CLOSE, &e->backing);
		*at = e->next;
		entry_free(e);
	}
	pthread_mutex_unlock(&p->lock);
}
