/*
 * list.c: directories, listed.
 *
 * Directories of who may see everything are opened without a request (of others, not to see them any more must be heard): the first
 * OPENDIR is answered by ENOSYS, and from then on the kernel sends none, nor RELEASEDIR, and keeps each listing (fs/fuse/readdir.c, since
 * 5.1). It lists from what it kept if the directory's time of change is what it was when that listing began, and asks for that time
 * (AUTO_INVAL_DATA) unless it has it for ever. So of a directory that may change, no listing may begin at the same time as one before:
 * read_directory() counts them, and answer_stat() adds as many nanoseconds. It counts before it lists: who was told the time before it began
 * to list before, and may well see what is listed now.
 */
#include "fs/base/base.h"

#include <sys/stat.h>

#include "fs/mount/answer.h"
#include "fs/mount/list.h"
#include "fs/tree/inside.h"

/* Offsets of a directory: "." and ".." come before the tree's own cookies, which are below 2^62. */
enum { OFF_SELF = 1, OFF_PARENT = 2 };

/*
 * A file that is listed with its node costs the kernel an inode, and a walk that wants no more than names nearly twice its time; one that is
 * listed without costs another request if it is looked at. Which will be isn't said before: so files inside images are listed without, until
 * one of those is looked up, and then, of the next WALK directories, with them. (READDIRPLUS_AUTO decides for each directory by itself, and so
 * begins each with nodes.) A directory is listed to its end as it was begun.
 */
#define WALK 128

static _Atomic(uint64_t) *place_without(struct ops *o, uint64_t directory)
{
	return &o->without[directory % ARRAY_SIZE(o->without)];
}

static bool begin_without(struct ops *o, uint64_t directory)
{
	unsigned left = atomic_load(&o->with_nodes);
	uint64_t with = directory;

	while (left && !atomic_compare_exchange_weak(&o->with_nodes, &left, left - 1))
		;
	if (!left)
		atomic_store(place_without(o, directory), directory);
	else
		(void)atomic_compare_exchange_strong(place_without(o, directory), &with, 0);
	return !left;
}

static bool list_without(struct ops *o, uint64_t directory, off_t from)
{
	return from ? atomic_load(place_without(o, directory)) == directory : begin_without(o, directory);
}

void list_looked_up(struct ops *o, uint64_t directory, const struct node_attr *a)
{
	if (!S_ISDIR(a->mode) && atomic_load(place_without(o, directory)) == directory)
		atomic_store(&o->with_nodes, WALK);
}

void list_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct node_attr a;

	if (o->no_opendir) {
		fuse_reply_err(req, ENOSYS);
		return;
	}
	if (node_getattr(o->tree, &o->cred, node, &a, &err) < 0)
		return answer_fail(req, &err);
	fi->cache_readdir = a.data_forever;
	fi->keep_cache = a.data_forever;
	fuse_reply_open(req, fi);
}

/* One answer to a directory read, being filled. */
struct page {
	fuse_req_t req;
	const struct ops *ops;
	bool plus;
	char *data;
	size_t size, used;
	bool hide;    /* the doors to what is inside images */
	bool without; /* files' nodes */
};

/* 0, or 1 if it doesn't fit. */
static int add_entry(struct page *p, const char *name, const struct fuse_entry_param *e, off_t next)
{
	char *at = p->data + p->used;
	size_t room = p->size - p->used;
	size_t n;

	n = p->plus ? fuse_add_direntry_plus(p->req, at, room, name, e, next)
		    : fuse_add_direntry(p->req, at, room, name, &e->attr, next);
	if (n > room)
		return 1;
	p->used += n;
	return 0;
}

static int add_dot(struct page *p, const char *name, uint64_t node, off_t next)
{
	const struct fuse_entry_param e = { .attr = { .st_ino = number_shown(&p->ops->numbers, node), .st_mode = S_IFDIR } };

	return add_entry(p, name, &e, next);
}

/*
 * A name the kernel may not keep is given without its node, for it would ask again anyway: 20,000
 * names are listed in 9 ms so, in 25 to 50 ms with their nodes, in 8 ms without readdirplus.
 */
static int add_child(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	struct page *p = arg;
	struct fuse_entry_param e = answer_entry(p->ops, attr);

	if (p->hide && node_is_inside(attr->id))
		return 0;
	if (!attr->name_forever || (p->without && !S_ISDIR(attr->mode)))
		e.ino = 0;
	return add_entry(p, name, &e, (off_t)(place_shown(&p->ops->numbers, next) + OFF_PARENT));
}

static int fill(struct page *p, uint64_t node, off_t from, struct err *err)
{
	const struct ops *o = p->ops;
	uint64_t parent;
	int r;

	if (from < OFF_SELF && add_dot(p, ".", node, OFF_SELF))
		return 0;
	if (from < OFF_PARENT) {
		r = node_parent(o->tree, &o->cred, node, &parent, err);
		if (r < 0)
			return r;
		if (add_dot(p, "..", parent, OFF_PARENT))
			return 0;
		from = OFF_PARENT;
	}
	r = node_list(o->tree, &o->cred, node, place_of(&o->numbers, (uint64_t)(from - OFF_PARENT)), add_child, p, err);
	/* What went wrong behind the first ones, the next call will say. */
	return p->used ? 0 : r;
}

static void read_directory(fuse_req_t req, uint64_t node, size_t size, off_t from, bool plus)
{
	struct ops *o = ops_of(req);
	struct err err = ERR_INIT;
	struct ops_room *room = answer_room(o, size);
	struct page p = { .req = req, .ops = o, .plus = plus, .size = size,
			  .hide = o->hide_trees && !node_is_inside(node) };

	if (!room) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	p.without = plus && inside_is(node) && list_without(o, node, from);
	/* What is inside doesn't change, but for a root that can't be opened yet: and that can't be listed either. */
	if (from == 0 && !inside_is(node))
		atomic_fetch_add(&o->listings, 1);
	p.data = room->data;
	if (fill(&p, node, from, &err) < 0)
		answer_fail(req, &err);
	else
		fuse_reply_buf(req, p.data, p.used);
	answer_room_put(o, room);
}

void list_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t from,
		       struct fuse_file_info *fi UNUSED)
{
	read_directory(req, node, size, from, false);
}

void list_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t from,
			   struct fuse_file_info *fi UNUSED)
{
	read_directory(req, node, size, from, true);
}
