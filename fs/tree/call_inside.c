/*
 * call_inside.c: calls for what is inside images.
 *
 * They go by nodes (node.h), each of which asks for permission; other nodes than those inside images aren't shown.
 */
#include "fs/base/base.h"
#include "fs/tree/call_run.h"

#include <sys/stat.h>

static int keep_is_index(void *arg, const struct tree_image_info *image)
{
	*(bool *)arg = image->is_index;
	return 0;
}

RUN(rootfs_find)
{
	const struct call_find *f = args;
	const char *platform = f->platform;
	bool is_index = false;
	struct rootfs fs;
	int r = 0;

	/* Of an index, the image for the machine that asks; an image that is none of an index is taken whatever it is for. */
	if (!platform && f->machine && !streq(f->machine, rootfs_platform()))
		r = tree_image_show(tree, cred, f->name, f->reference, keep_is_index, &is_index, err);
	if (!r)
		r = rootfs_find(tree, cred, f->name, f->reference, is_index ? f->machine : platform, &fs, err);
	return r ? r : fn(arg, &fs);
}

static int need_inside(uint64_t node, struct err *err)
{
	return node_is_inside(node) ? 0 : err_set(err, ERR_NOT_FOUND, "it is not inside an image");
}

static int is_sparse(const struct answer *a, const struct node_attr *attr, bool *out)
{
	int64_t start = 0, end = attr->size;
	int r = S_ISREG(attr->mode) && attr->size ?
			rootfs_data(a->tree, a->cred, attr->id, 0, &start, &end, a->err) : 0;

	*out = start != 0 || end != attr->size;
	return r;
}

static int give_entry(const struct answer *a, const char *name, const struct node_attr *attr, uint64_t next)
{
	auto_buf struct buf target = BUF_INIT, xattrs = BUF_INIT;
	struct call_entry row = {
		.name = name, .node = attr->id, .next = next, .mode = attr->mode, .links = (int64_t)attr->links, .size = attr->size,
		.mtime = attr->mtime, .uid = attr->uid, .gid = attr->gid, .rdev = (int64_t)attr->rdev,
	};
	int r = rootfs_source(a->tree, a->cred, attr->id, &row.source, a->err);

	if (!r)
		r = node_listxattr(a->tree, a->cred, attr->id, &xattrs, a->err);
	if (!r)
		r = is_sparse(a, attr, &row.sparse);
	if (!r && S_ISLNK(attr->mode)) {
		r = node_readlink(a->tree, a->cred, attr->id, &target, a->err);
		row.target = target.data;
	}
	row.xattrs = xattrs.len > 0;
	return r ? r : give(a, &row);
}

void call_entry_attr(const struct call_entry *e, struct node_attr *out)
{
	*out = (struct node_attr){
		.id = e->node, .mode = (mode_t)e->mode, .links = (uint64_t)e->links, .size = e->size, .mtime = e->mtime,
		.owned = true, .uid = (uid_t)e->uid, .gid = (gid_t)e->gid, .rdev = (dev_t)e->rdev,
	};
}

RUN(rootfs_walk)
{
	struct answer a = ANSWER;
	const struct call_node *n = args;
	struct node_attr attr;
	int r = need_inside(n->node, err);

	if (!r)
		r = rootfs_walk(tree, cred, n->node, n->path, n->follow, &attr, err);
	return r ? r : give_entry(&a, "", &attr, 0);
}

RUN(rootfs_show)
{
	struct answer a = ANSWER;
	const struct call_node *n = args;
	struct node_attr attr;
	int r = need_inside(n->node, err);

	if (!r)
		r = node_getattr(tree, cred, n->node, &attr, err);
	return r ? r : give_entry(&a, "", &attr, 0);
}

/* A page of a directory: the entries are kept, so that nothing else is asked while it is read. */
struct page {
	struct buf names;
	struct {
		struct node_attr attr;
		uint64_t next;
		size_t name;
	} *rows;
	size_t count, max;
};

static void page_release(struct page *p)
{
	buf_release(&p->names);
	free(p->rows);
}

static int keep_entry(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	struct page *p = arg;

	if (p->count == p->max)
		return 1;
	p->rows[p->count].attr = *attr;
	p->rows[p->count].next = next;
	p->rows[p->count++].name = p->names.len;
	buf_add(&p->names, name, strlen(name) + 1);
	return 0;
}

#define PAGE_ENTRIES 1000

RUN(rootfs_list)
{
	struct answer a = ANSWER;
	const struct call_node *n = args;
	CLEANUP(page_release) struct page p = { .names = BUF_INIT, .max = (size_t)MAX(1, MIN(n->length, (int64_t)PAGE_ENTRIES)) };
	int r = need_inside(n->node, err);

	p.rows = calloc(p.max, sizeof(*p.rows));
	if (!p.rows)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!r)
		r = node_list(tree, cred, n->node, n->cookie, keep_entry, &p, err);
	if (!r && buf_error(&p.names))
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; !r && i < p.count; i++)
		r = give_entry(&a, p.names.data + p.rows[i].name, &p.rows[i].attr, p.rows[i].next);
	return r;
}

RUN(rootfs_xattrs)
{
	const struct call_node *n = args;
	auto_buf struct buf names = BUF_INIT;
	int r = need_inside(n->node, err);

	if (!r)
		r = node_listxattr(tree, cred, n->node, &names, err);
	for (size_t at = 0; !r && at < names.len; at += strlen(names.data + at) + 1) {
		auto_buf struct buf value = BUF_INIT;
		struct call_xattr row = { .name = names.data + at };

		r = node_getxattr(tree, cred, n->node, row.name, &value, err);
		row.value = (struct record_blob){ .data = value.data, .len = value.len };
		r = r ? r : fn(arg, &row);
	}
	return r;
}

RUN(rootfs_data)
{
	const struct call_node *n = args;
	struct call_run row;
	int r = rootfs_data(tree, cred, n->node, n->offset, &row.start, &row.end, err);

	return r ? r : fn(arg, &row);
}

/* Appends bytes of a file; whole: all of them, or (1) none, where there is no room. */
static int add_bytes(struct tree *tree, const struct cred *cred, uint64_t node, int64_t offset, int64_t length, bool whole,
		     struct buf *out, struct err *err)
{
	auto_content struct content *c = NULL;
	size_t start = out->len;
	ssize_t n = 0;
	int r = need_inside(node, err);

	if (!r)
		r = node_open(tree, cred, node, &c, NULL, err);
	if (r)
		return r;
	if (whole && content_size(c) > CALL_READ_MAX - (int64_t)start)
		return 1;
	length = whole ? content_size(c) : MIN(length, MAX((int64_t)0, content_size(c) - offset));
	buf_reserve(out, (size_t)length);
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (length)
		n = content_read(c, out->data + start, (size_t)length, offset, err);
	if (n > 0) {
		out->len += (size_t)n;
		out->data[out->len] = '\0';
	}
	return (int)MIN(n, (ssize_t)0);
}

int call_read(struct tree *tree, const struct cred *cred, const struct call_node *args, struct buf *out, struct err *err)
{
	int64_t length = MAX((int64_t)0, MIN(args->length, (int64_t)CALL_READ_MAX));
	const char *more = args->more;
	int r;

	if (args->offset < 0)
		return err_set(err, ERR_ARGUMENT, "an offset is not negative");
	r = add_bytes(tree, cred, args->node, args->offset, length, false, out, err);
	if (r)
		return r;
	/* What can't be read of those is asked for by itself, and refused then. */
	for (int i = 0; !r && more && *more && i < CALL_READ_FILES; i++) {
		char *end;
		uint64_t node = strtoull(more, &end, 16);

		r = end == more ? -EINVAL : add_bytes(tree, cred, node, 0, 0, true, out, NULL);
		more = end + (*end == ',');
	}
	return 0;
}
