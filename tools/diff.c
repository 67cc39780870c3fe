/*
 * diff.c: regfs diff.
 *
 * Both trees are walked at the same time, in the order of their names. What is the same file of the same layer on both sides
 * isn't looked at any further (rootfs_same()).
 */
#include "fs/base/base.h"
#include "tools/inside.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/base/json.h"
#include "fs/base/limits.h"
#include "fs/base/textdiff.h"

#define COMPARE_BUFFER (128 * 1024)

struct diff_options {
	struct inside_options inside;
	bool stat, times;
};

static const struct option_row diff_rows[] = {
	{ "stat", 0, NULL, offsetof(struct diff_options, stat), "print only how much there is of each kind" },
	{ "times", 0, NULL, offsetof(struct diff_options, times), "another time of modification alone is a change, too" },
	INSIDE_OPTIONS(struct diff_options, inside),
	{ 0 },
};

/* What can be another on the two sides; bits of a set. */
enum what {
	WHAT_TYPE = 1,
	WHAT_CONTENT = 2,
	WHAT_TARGET = 4,
	WHAT_DEVICE = 8,
	WHAT_MODE = 16,
	WHAT_OWNER = 32,
	WHAT_XATTR = 64,
	WHAT_TIME = 128,
};

struct count {
	int64_t paths, bytes;
};

struct diff {
	const struct diff_options *o;
	struct session *session;
	struct inside sides[2];
	struct buf out;
	struct count added, removed, changed;
	int64_t changed_to;	/* bytes of what changed, afterwards */
	bool json, some;
	char *buffers[2];
	struct err *err;
};

/* ---- Comparing two nodes of a type ---- */

static int compare_bytes(struct diff *d, const struct node_attr *a, const struct node_attr *b)
{
	auto_content struct content *left = NULL, *right = NULL;
	int r = session_open_file(d->session, a->id, &left, d->err);
	ssize_t n = 1;

	if (!r)
		r = session_open_file(d->session, b->id, &right, d->err);
	for (int64_t at = 0; !r && n > 0; at += n) {
		n = content_read(left, d->buffers[0], COMPARE_BUFFER, at, d->err);
		if (n > 0 && content_read(right, d->buffers[1], (size_t)n, at, d->err) < 0)
			return -EIO;
		if (n > 0 && memcmp(d->buffers[0], d->buffers[1], (size_t)n) != 0)
			return WHAT_CONTENT;
	}
	return r ? r : (int)MIN(n, 0);
}

static int compare_targets(struct diff *d, const struct node_attr *a, const struct node_attr *b)
{
	auto_buf struct buf left = BUF_INIT, right = BUF_INIT;
	int r = session_readlink(d->session, a->id, &left, d->err);

	if (!r)
		r = session_readlink(d->session, b->id, &right, d->err);
	return r ? r : streq(left.data, right.data) ? 0 : WHAT_TARGET;
}

/* Whether each attribute of a's is b's. 1, 0, or negative. */
static int xattrs_within(struct diff *d, uint64_t a, uint64_t b, const struct buf *names)
{
	for (size_t at = 0; at < names->len; at += strlen(names->data + at) + 1) {
		auto_buf struct buf left = BUF_INIT, right = BUF_INIT;
		int r = session_getxattr(d->session, a, names->data + at, &left, d->err);

		if (!r)
			r = session_getxattr(d->session, b, names->data + at, &right, d->err);
		if (r)
			return r == -ENODATA ? 0 : r;
		if (left.len != right.len || memcmp(left.data, right.data, left.len) != 0)
			return 0;
	}
	return 1;
}

static int compare_xattrs(struct diff *d, const struct node_attr *a, const struct node_attr *b)
{
	auto_buf struct buf left = BUF_INIT, right = BUF_INIT;
	int r = session_listxattr(d->session, a->id, &left, d->err);

	if (!r)
		r = session_listxattr(d->session, b->id, &right, d->err);
	if (r || (!left.len && !right.len))
		return r;
	/* Of as many bytes of names, all of a's are all of b's. */
	r = left.len == right.len ? xattrs_within(d, a->id, b->id, &left) : 0;
	return r < 0 ? r : r ? 0 : WHAT_XATTR;
}

static int compare_data(struct diff *d, const struct node_attr *a, const struct node_attr *b)
{
	if (S_ISREG(a->mode))
		return a->size != b->size ? WHAT_CONTENT : compare_bytes(d, a, b);
	if (S_ISLNK(a->mode))
		return compare_targets(d, a, b);
	if (S_ISCHR(a->mode) || S_ISBLK(a->mode))
		return a->rdev != b->rdev ? WHAT_DEVICE : 0;
	return 0;
}

/* The set of what is another, or negative. */
static int compare(struct diff *d, const struct node_attr *a, const struct node_attr *b)
{
	int r = a->id == b->id, what = 0;

	if (!r && !S_ISDIR(a->mode) && !S_ISDIR(b->mode))
		r = session_same(d->session, a->id, b->id, d->err);
	if (r)
		return MIN(r, 0);
	what |= (a->mode & 07777) != (b->mode & 07777) ? WHAT_MODE : 0;
	what |= a->uid != b->uid || a->gid != b->gid ? WHAT_OWNER : 0;
	what |= d->o->times && a->mtime != b->mtime ? WHAT_TIME : 0;
	if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
		return what | WHAT_TYPE;
	r = compare_data(d, a, b);
	if (r < 0)
		return r;
	what |= r;
	r = compare_xattrs(d, a, b);
	return r < 0 ? r : what | r;
}

/* ---- Reporting ---- */

static void add_values(struct buf *out, enum what what, const struct node_attr *a, const struct node_attr *b)
{
	char from[TIMESTAMP_TEXT_MAX + 1], to[TIMESTAMP_TEXT_MAX + 1];

	if (what == WHAT_TYPE)
		buf_addf(out, " %s -> %s", type_text(a->mode), type_text(b->mode));
	if (what == WHAT_MODE)
		buf_addf(out, " %04o -> %04o", (unsigned)a->mode & 07777, (unsigned)b->mode & 07777);
	if (what == WHAT_OWNER)
		buf_addf(out, " %u:%u -> %u:%u", a->uid, a->gid, b->uid, b->gid);
	if (what == WHAT_DEVICE)
		buf_addf(out, " %u,%u -> %u,%u", major(a->rdev), minor(a->rdev), major(b->rdev), minor(b->rdev));
	if (what == WHAT_TIME)
		buf_addf(out, " %s -> %s", mtime_text(a->mtime, from), mtime_text(b->mtime, to));
}

/* "content, mode 0644 -> 0755"; as JSON "content","mode". */
static void add_what(struct buf *out, int set, const struct node_attr *a, const struct node_attr *b, bool json)
{
	static const char *const names[] = { "type", "content", "target", "device", "mode", "owner", "xattr", "time" };
	bool some = false;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!(set & 1 << i))
			continue;
		buf_adds(out, some ? json ? "," : ", " : "");
		some = true;
		buf_addf(out, json ? "\"%s\"" : "%s", names[i]);
		if (!json)
			add_values(out, (enum what)(1 << i), a, b);
	}
}

static int add_object(struct diff *d, const char *change, const char *path, const struct node_attr *a,
		      const struct node_attr *b, int what)
{
	const struct node_attr *sides[] = { a, b };
	static const char *const keys[] = { "old", "new" };
	int r = 0;

	buf_adds(&d->out, d->some ? ",{" : "{");
	d->some = true;
	json_add_text(&d->out, "change", change);
	json_add_text(&d->out, "path", path);
	if (what) {
		json_add_key(&d->out, "what");
		buf_addc(&d->out, '[');
		add_what(&d->out, what, a, b, true);
		buf_addc(&d->out, ']');
	}
	for (size_t i = 0; !r && i < ARRAY_SIZE(sides); i++) {
		if (!sides[i])
			continue;
		json_add_key(&d->out, keys[i]);
		buf_addc(&d->out, '{');
		r = json_add_node(d->session, &d->out, sides[i], d->err);
		buf_addc(&d->out, '}');
	}
	buf_addc(&d->out, '}');
	return r;
}

static void add_text_line(struct diff *d, char letter, const char *path, const struct node_attr *a, const struct node_attr *b,
			  int what)
{
	buf_addf(&d->out, "%c ", letter);
	name_out(&d->out, path);
	buf_adds(&d->out, S_ISDIR((b ? b : a)->mode) && path[strlen(path) - 1] != '/' ? "/" : "");
	if (what) {
		buf_adds(&d->out, " (");
		add_what(&d->out, what, a, b, false);
		buf_addc(&d->out, ')');
	}
	buf_addc(&d->out, '\n');
}

static int64_t bytes_of(const struct node_attr *attr)
{
	return attr && S_ISREG(attr->mode) ? attr->size : 0;
}

/* a NULL: it was added; b NULL: removed. */
static int report(struct diff *d, const char *path, const struct node_attr *a, const struct node_attr *b, int what)
{
	struct count *count = !a ? &d->added : !b ? &d->removed : &d->changed;
	int r = 0;

	count->paths++;
	size_add(&count->bytes, a ? bytes_of(a) : bytes_of(b));
	if (a && b)
		size_add(&d->changed_to, bytes_of(b));
	if (d->o->stat)
		return 0;
	if (d->json)
		r = add_object(d, !a ? "added" : !b ? "removed" : "changed", path, a, b, what);
	else
		add_text_line(d, !a ? 'A' : !b ? 'D' : 'M', path, a, b, what);
	return r ? r : out_spill(&d->out, d->err);
}

/* ---- Walking. Recursion is as deep as the indexes' directories, LIMIT_TREE_DEPTH. ---- */

static int report_below(struct diff *d, const char *path, uint64_t directory, bool added);

/* What is on one side only. */
static int report_tree(struct diff *d, const char *path, const struct node_attr *attr, bool added)
{
	int r = report(d, path, added ? NULL : attr, added ? attr : NULL, 0);

	return r || !S_ISDIR(attr->mode) ? r : report_below(d, path, attr->id, added);
}

static int report_below(struct diff *d, const char *path, uint64_t directory, bool added)
{
	auto_session_dir struct session_dir *dir = NULL;
	const struct node_attr *attr;
	const char *name;
	int r = session_dir_open(d->session, directory, &dir, d->err);

	while (!r && (r = session_dir_next(dir, &name, &attr, d->err)) > 0) {
		auto_buf struct buf below = BUF_INIT;

		path_join(&below, path, name);
		r = report_tree(d, below.data, attr, added);
	}
	return r;
}

static int diff_directories(struct diff *d, const char *path, uint64_t a, uint64_t b);

static int diff_nodes(struct diff *d, const char *path, const struct node_attr *a, const struct node_attr *b)
{
	int r, what = compare(d, a, b);

	if (what < 0)
		return what;
	r = what ? report(d, path, a, b, what) : 0;
	if (r || (S_ISDIR(a->mode) && S_ISDIR(b->mode)))
		return r ? r : a->id == b->id ? 0 : diff_directories(d, path, a->id, b->id);
	if (S_ISDIR(a->mode))
		r = report_below(d, path, a->id, false);
	if (!r && S_ISDIR(b->mode))
		r = report_below(d, path, b->id, true);
	return r;
}

/* One side of two directories that are walked together. */
struct cursor {
	struct session_dir *dir;
	const char *name;	/* NULL: there are no more */
	const struct node_attr *attr;
};

static void cursor_close(struct cursor *c)
{
	if (c->dir)
		session_dir_close(c->dir);
}
#define auto_cursor CLEANUP(cursor_close)

static int cursor_next(struct cursor *c, struct err *err)
{
	int r = session_dir_next(c->dir, &c->name, &c->attr, err);

	if (r <= 0)
		c->name = NULL;
	return MIN(r, 0);
}

static int cursor_open(struct diff *d, uint64_t directory, struct cursor *c)
{
	int r = session_dir_open(d->session, directory, &c->dir, d->err);

	return r ? r : cursor_next(c, d->err);
}

/* What stands first in either, and goes on behind it. */
static int diff_entry(struct diff *d, const char *path, struct cursor *a, struct cursor *b)
{
	auto_buf struct buf below = BUF_INIT;
	int order = !a->name ? 1 : !b->name ? -1 : strcmp(a->name, b->name), r;

	path_join(&below, path, order <= 0 ? a->name : b->name);
	if (order)
		r = report_tree(d, below.data, order < 0 ? a->attr : b->attr, order > 0);
	else
		r = diff_nodes(d, below.data, a->attr, b->attr);
	if (!r && order <= 0)
		r = cursor_next(a, d->err);
	if (!r && order >= 0)
		r = cursor_next(b, d->err);
	return r;
}

static int diff_directories(struct diff *d, const char *path, uint64_t a, uint64_t b)
{
	auto_cursor struct cursor left = { 0 }, right = { 0 };
	int r = cursor_open(d, a, &left);

	if (!r)
		r = cursor_open(d, b, &right);
	while (!r && (left.name || right.name))
		r = diff_entry(d, path, &left, &right);
	return r;
}

/* ---- The content of one file ---- */

static int read_text(struct diff *d, const struct node_attr *file, struct buf *out)
{
	auto_content struct content *c = NULL;
	int r = file->size > LIMIT_DIFF_TEXT ? 0 : session_open_file(d->session, file->id, &c, d->err);

	for (int64_t at = 0; !r && c && at < file->size; at = (int64_t)out->len) {
		ssize_t n = content_read(c, d->buffers[0], COMPARE_BUFFER, at, d->err);

		if (n <= 0)
			return n ? (int)n : err_set(d->err, ERR_CORRUPT, "a file ends early");
		buf_add(out, d->buffers[0], (size_t)n);
	}
	return r ? r : buf_error(out) ? err_set(d->err, ERR_NO_MEMORY, "out of memory") : 0;
}

static void add_head(struct buf *out, const char *sign, const struct inside *side, const char *path)
{
	buf_addf(out, "%s ", sign);
	name_text(out, side->operand);
	if (!side->path) {
		buf_addc(out, ':');
		name_text(out, path);
	}
	buf_addc(out, '\n');
}

/* A unified diff, or that there is none. */
static int diff_content(struct diff *d, const char *path, const struct node_attr *a, const struct node_attr *b, struct buf *out)
{
	auto_buf struct buf left = BUF_INIT, right = BUF_INIT;
	struct textdiff_text from, to;
	int r = read_text(d, a, &left);

	if (!r)
		r = read_text(d, b, &right);
	from = (struct textdiff_text){ left.data, left.len };
	to = (struct textdiff_text){ right.data, right.len };
	if (r)
		return r;
	if (MAX(a->size, b->size) > LIMIT_DIFF_TEXT || !textdiff_is_text(&from) || !textdiff_is_text(&to)) {
		buf_adds(out, MAX(a->size, b->size) > LIMIT_DIFF_TEXT ? "large files differ\n" : "binary files differ\n");
		return 0;
	}
	add_head(out, "---", &d->sides[0], path);
	add_head(out, "+++", &d->sides[1], path);
	return textdiff_unified(&from, &to, out, d->err);
}

/* ---- The command ---- */

/* Two files: what is another about them, and the lines. */
static int diff_files(struct diff *d, const char *path, const struct node_attr *a, const struct node_attr *b, struct buf *lines)
{
	int r, what = compare(d, a, b);

	if (what <= 0)
		return what;
	/* What the lines say needn't be said before them. */
	if (what == WHAT_CONTENT && !d->json && !d->o->stat)
		d->changed.paths++, r = 0;
	else
		r = report(d, path, a, b, what);
	if (!r && what & WHAT_CONTENT && !d->o->stat)
		r = diff_content(d, path, a, b, lines);
	return r;
}

/* A path that only one side has is no error. */
static int find_side(struct diff *d, int side, const char *path, struct node_attr *out, bool *there)
{
	struct inside in = d->sides[side];
	int r;

	if (in.path && path)
		return err_set(d->err, ERR_USAGE, "%.200s has a path already, and another one is given", in.operand);
	if (path)
		in.path = path;
	r = inside_node(d->session, &in, true, out, d->err);
	*there = !r;
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static int diff_all(struct diff *d, const char *operand, struct buf *lines)
{
	auto_buf struct buf path = BUF_INIT;
	const char *given = operand ? operand : d->sides[0].path ? d->sides[0].path : "/";
	struct node_attr a, b;
	bool in_a, in_b = false;
	int r = find_side(d, 0, operand, &a, &in_a);

	if (!r)
		r = find_side(d, 1, operand, &b, &in_b);
	if (r)
		return r;
	buf_addf(&path, "%s%s", *given == '/' ? "" : "/", given);
	if (!in_a && !in_b)
		return err_set(d->err, ERR_NOT_FOUND, "there is no %.300s in either image", path.data);
	if (!in_a || !in_b)
		return report_tree(d, path.data, in_a ? &a : &b, !in_a);
	return S_ISREG(a.mode) && S_ISREG(b.mode) ? diff_files(d, path.data, &a, &b, lines) :
						   diff_nodes(d, path.data, &a, &b);
}

static void add_counts(struct buf *b, const struct diff *d)
{
	static const char *const keys[] = { "added", "removed", "changed" };
	const struct count *counts[] = { &d->added, &d->removed, &d->changed };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_add_key(b, keys[i]);
		buf_addc(b, '{');
		json_add_number(b, "paths", counts[i]->paths);
		json_add_number(b, "bytes", counts[i]->bytes);
		if (counts[i] == &d->changed)
			json_add_number(b, "bytes-after", d->changed_to);
		buf_addc(b, '}');
	}
}

static void begin_json(struct diff *d)
{
	buf_addc(&d->out, '{');
	json_add_digest(&d->out, "from", &d->sides[0].fs.digest);
	json_add_digest(&d->out, "to", &d->sides[1].fs.digest);
	if (d->o->stat)
		return;
	json_add_key(&d->out, "changes");
	buf_addc(&d->out, '[');
}

static void end_output(struct diff *d, const struct buf *lines)
{
	char added[SIZE_TEXT_MAX + 1], removed[SIZE_TEXT_MAX + 1], from[SIZE_TEXT_MAX + 1], to[SIZE_TEXT_MAX + 1];

	if (d->json) {
		buf_adds(&d->out, d->o->stat ? "" : "]");
		if (lines->len)
			json_add_text(&d->out, "diff", lines->data);
		add_counts(&d->out, d);
		buf_adds(&d->out, "}\n");
	} else if (d->o->stat) {
		buf_addf(&d->out, "%" PRId64 " added (%s), %" PRId64 " removed (%s), %" PRId64 " changed (%s, now %s)\n",
			 d->added.paths, size_text(d->added.bytes, added), d->removed.paths,
			 size_text(d->removed.bytes, removed), d->changed.paths, size_text(d->changed.bytes, from),
			 size_text(d->changed_to, to));
	} else {
		buf_add(&d->out, lines->data, lines->len);
	}
}

static int diff_images(struct diff *d, const char *path)
{
	auto_buf struct buf lines = BUF_INIT;
	int r;

	if (d->json)
		begin_json(d);
	r = diff_all(d, path, &lines);
	if (!r)
		end_output(d, &lines);
	if (!r)
		r = out_flush(&d->out, d->err);
	if (!r && d->added.paths + d->removed.paths + d->changed.paths)
		r = answer_no(d->err);
	return r;
}

static int run_diff(const void *options, char **operands, int count, struct err *err)
{
	auto_free char *buffer = malloc(2 * COMPARE_BUFFER);
	auto_session struct session *session = NULL;
	struct diff d = { .o = options, .out = BUF_INIT, .err = err };
	int r = buffer ? session_open(&d.o->inside.common, &session, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	out_begin();
	d.json = d.o->inside.common.json;
	d.session = session;
	d.buffers[0] = buffer;
	d.buffers[1] = buffer + COMPARE_BUFFER;
	for (int i = 0; !r && i < 2; i++)
		r = inside_find(session, &d.o->inside, operands[i], &d.sides[i], err);
	if (!r)
		r = diff_images(&d, count > 2 ? operands[2] : NULL);
	buf_release(&d.out);
	return r;
}

const struct command diff_commands[] = {
	{ "diff", NULL, "REF REF [PATH]", 2, 3, diff_rows, "compare two images, or a directory or file in them",
	  "A path is added (A), removed (D), or changed (M), and what about it. Of one file, the lines that differ.\n"
	  "Exits with 1 where something differs.\n",
	  run_diff },
	{ 0 },
};
