/*
 * archive.c: regfs extract --tar.
 */
#include "fs/base/base.h"
#include "tools/extract.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/base/limits.h"

/* ---- Sparse files ---- */

struct extents {
	struct tar_extent *rows;
	size_t count, capacity;
};

static void extents_release(struct extents *e)
{
	free(e->rows);
}
#define auto_extents CLEANUP(extents_release)

static int extents_add(struct extents *e, int64_t start, int64_t end, struct err *err)
{
	if (e->count == e->capacity) {
		size_t capacity = e->capacity ? 2 * e->capacity : 16;
		struct tar_extent *rows = reallocarray(e->rows, capacity, sizeof(*rows));

		if (!rows)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		e->rows = rows;
		e->capacity = capacity;
	}
	e->rows[e->count++] = (struct tar_extent){ .offset = (uint64_t)start, .size = (uint64_t)(end - start) };
	return 0;
}

static int extents_read(struct extract *x, const struct node_attr *file, struct extents *out)
{
	for (int64_t at = 0, start, end; at < file->size; at = end) {
		int r = session_data(x->session, file->id, at, &start, &end, x->err);

		if (!r && start < file->size)
			r = extents_add(out, start, end, x->err);
		if (r)
			return r;
	}
	return 0;
}

/* ---- Entries ---- */

static int copy_run(struct extract *x, const struct content *c, const struct tar_extent *run)
{
	for (uint64_t done = 0; done < run->size;) {
		size_t len = (size_t)MIN(run->size - done, (uint64_t)EXTRACT_BUFFER);
		ssize_t n = content_read(c, x->buffer, len, (int64_t)(run->offset + done), x->err);

		if (n <= 0)
			return n ? (int)n : err_set(x->err, ERR_CORRUPT, "a file ends early");
		if (out_write(x->buffer, (size_t)n, x->err))
			return -EIO;
		done += (uint64_t)n;
	}
	return 0;
}

static int write_data(struct extract *x, const struct node_attr *file, const struct extents *e)
{
	auto_content struct content *c = NULL;
	int r = file->size ? session_open_file(x->session, file->id, &c, x->err) : 0;
	int64_t size = 0;

	/* What was opened can be written: only now its header goes out. */
	if (!r)
		r = out_write(x->out.data, x->out.len, x->err);
	buf_reset(&x->out);
	for (size_t i = 0; !r && i < e->count; i++) {
		r = copy_run(x, c, &e->rows[i]);
		size += (int64_t)e->rows[i].size;
	}
	pack_padding(&x->out, size);
	return r;
}

static enum tar_type tar_type_of(mode_t mode)
{
	static const struct {
		mode_t mode;
		enum tar_type type;
	} types[] = {
		{ S_IFDIR, TAR_DIRECTORY }, { S_IFLNK, TAR_SYMLINK }, { S_IFCHR, TAR_CHAR },
		{ S_IFBLK, TAR_BLOCK },	    { S_IFIFO, TAR_FIFO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].mode)
			return types[i].type;
	return TAR_FILE;
}

/* All that the headers say; for another name of a file that was there before only that. */
static int describe(struct extract *x, const char *path, const struct node_attr *attr, const char *first, struct buf *target,
		    struct xattrs *xattrs, struct extents *extents, struct tar_entry *out)
{
	int r = 0;

	*out = (struct tar_entry){ .type = first ? TAR_LINK : tar_type_of(attr->mode), .path = path, .link = first ? first : "",
				   .mode = attr->mode & 07777, .uid = attr->uid, .gid = attr->gid, .mtime = attr->mtime };
	if (first)
		return 0;
	if (S_ISLNK(attr->mode))
		r = session_readlink(x->session, attr->id, target, x->err);
	if (!r)
		r = xattrs_read(x->session, attr->id, xattrs, x->err);
	if (!r && S_ISREG(attr->mode))
		r = extents_read(x, attr, extents);
	out->link = target->data;
	out->size = S_ISREG(attr->mode) ? attr->size : 0;
	out->major = major(attr->rdev);
	out->minor = minor(attr->rdev);
	out->xattrs = xattrs->rows;
	out->xattr_count = xattrs->count;
	out->extents = extents->rows;
	out->extent_count = extents->count;
	out->sparse = attr->size && S_ISREG(attr->mode) &&
		      (extents->count != 1 || extents->rows[0].offset || extents->rows[0].size != (uint64_t)attr->size);
	/* More runs than readers take, with the one at the end: the holes are written. */
	if (out->sparse && extents->count >= LIMIT_TAR_EXTENTS) {
		extents->rows[0] = (struct tar_extent){ .size = (uint64_t)attr->size };
		extents->count = out->extent_count = 1;
		out->sparse = false;
	}
	return r;
}

static int write_entry(struct extract *x, const char *path, const struct node_attr *attr)
{
	auto_buf struct buf target = BUF_INIT;
	auto_xattrs struct xattrs xattrs = XATTRS_INIT;
	auto_extents struct extents extents = { 0 };
	struct tar_entry entry;
	const char *first = NULL;
	int r = S_ISDIR(attr->mode) || attr->links < 2 ? 0 : link_map_find(&x->links, attr->id, path, &first, x->err);

	if (r >= 0)
		r = describe(x, path, attr, first, &target, &xattrs, &extents, &entry);
	if (!r)
		r = pack_header(&x->out, &entry, &x->left_out[LEFT_XATTRS], x->err);
	if (!r && entry.type == TAR_FILE)
		r = write_data(x, attr, &extents);
	if (!r && x->out.len > EXTRACT_BUFFER) {
		r = out_write(x->out.data, x->out.len, x->err);
		buf_reset(&x->out);
	}
	if (r)
		return r;
	extract_count(x, attr);
	if (first && S_ISREG(attr->mode))
		x->bytes -= attr->size;
	return 0;
}

/* Names the file in an error. */
static int blame(struct extract *x, const char *path, int r)
{
	auto_buf struct buf text = BUF_INIT;

	name_text(&text, path);
	return inside_blame(text.data, r, x->err);
}

static int archive_below(struct extract *x, const char *path, uint64_t directory)
{
	auto_session_dir struct session_dir *dir = NULL;
	const struct node_attr *attr;
	const char *name;
	int r = session_dir_open(x->session, directory, &dir, x->err);

	while (!r && (r = session_dir_next(dir, &name, &attr, x->err)) > 0) {
		auto_buf struct buf below = BUF_INIT;

		path_join(&below, path, name);
		buf_adds(&below, S_ISDIR(attr->mode) ? "/" : "");
		r = blame(x, below.data, write_entry(x, below.data, attr));
		if (!r && S_ISDIR(attr->mode))
			r = archive_below(x, below.data, attr->id);
	}
	return r;
}

int archive(struct extract *x, const struct node_attr *node, const char *name)
{
	bool directory = S_ISDIR(node->mode);
	int r = blame(x, directory ? "./" : name, write_entry(x, directory ? "./" : name, node));

	if (!r && directory)
		r = archive_below(x, "", node->id);
	pack_end(&x->out);
	if (!r)
		r = out_write(x->out.data, x->out.len, x->err);
	buf_reset(&x->out);
	return r;
}
