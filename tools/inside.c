/*
 * inside.c: what the subcommands that look inside an image share.
 */
#include "fs/base/base.h"
#include "tools/inside.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/base/json.h"

#define SPILL (64 * 1024)
#define NS_PER_SECOND 1000000000

/* ---- Operands ---- */

int inside_blame(const char *operand, int r, struct err *err)
{
	return r < 0 && err ? err_set(err, err->reason, "%.200s: %.300s", operand, err->text) : r;
}

int inside_find(struct session *session, const struct inside_options *o, const char *operand, struct inside *out, struct err *err)
{
	char digest[DIGEST_TEXT_MAX + 1];
	const char *reference;
	struct ref ref;
	int r = ref_path_parse(operand, &ref, &out->path, err);

	if (r)
		return r;
	out->operand = operand;
	reference = *ref.tag ? ref.tag : "latest";
	if (ref.digest.algorithm != DIGEST_NONE)
		reference = digest_format(&ref.digest, digest);
	return session_find(session, ref.name, reference, o->platform, &out->fs, err);
}

int inside_node(struct session *session, const struct inside *in, bool follow, struct node_attr *out, struct err *err)
{

	return inside_blame(in->operand,
			    session_walk(session, in->fs.root, in->path ? in->path : "/", follow, out, err), err);
}

void path_join(struct buf *out, const char *dir, const char *name)
{
	buf_adds(out, dir);
	if (*dir && dir[strlen(dir) - 1] != '/')
		buf_addc(out, '/');
	buf_adds(out, name);
}

/* ---- Names ---- */

/* Bytes of a character that a terminal just shows, or 0. */
static size_t printable(const unsigned char *s)
{
	size_t n = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 : *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
	uint32_t c = n == 1 ? *s : *s & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* Too long a form, a surrogate, nothing Unicode has. */
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c < 0xe000))
		return 0;
	/* Controls; and those that turn the direction of what follows, or break the line. */
	if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == '\\' || (c >= 0x200e && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069))
		return 0;
	return n;
}

void name_text(struct buf *out, const char *name)
{
	static const char letters[] = "\aa\bb\tt\nn\vv\ff\rr\\\\";
	const unsigned char *s = (const unsigned char *)name;

	while (*s) {
		size_t n = printable(s);
		const char *letter = n ? NULL : strchr(letters, *s);

		if (n)
			buf_add(out, s, n);
		else if (letter && (*s < 0x20 || *s == '\\'))
			buf_addf(out, "\\%c", letter[*s == '\\' ? 0 : 1]);
		else
			buf_addf(out, "\\%03o", *s);
		s += n ? n : 1;
	}
}

void name_out(struct buf *out, const char *name)
{
	if (isatty(STDOUT_FILENO))
		name_text(out, name);
	else
		buf_adds(out, name);
}

/* ---- Nodes ---- */

const char *type_text(mode_t mode)
{
	static const struct {
		mode_t type;
		const char *text;
	} types[] = {
		{ S_IFREG, "file" },
		{ S_IFDIR, "directory" },
		{ S_IFLNK, "link" },
		{ S_IFCHR, "character device" },
		{ S_IFBLK, "block device" },
		{ S_IFIFO, "fifo" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((mode & S_IFMT) == types[i].type)
			return types[i].text;
	return "unknown";
}

char *mtime_text(int64_t t, char out[static TIMESTAMP_TEXT_MAX + 1])
{
	int64_t ns = t % NS_PER_SECOND;
	size_t len;

	timestamp_format(t, out);
	if (ns < 0)
		ns += NS_PER_SECOND;
	if (!ns)
		return out;
	len = strlen(out) - 1;
	snprintf(out + len, TIMESTAMP_TEXT_MAX + 1 - len, ".%09" PRId64, ns);
	for (len = strlen(out); out[len - 1] == '0'; len--)
		;
	memcpy(out + len, "Z", 2);
	return out;
}

int json_add_node(struct session *session, struct buf *out, const struct node_attr *attr, struct err *err)
{
	auto_buf struct buf target = BUF_INIT;
	char mode[8], mtime[TIMESTAMP_TEXT_MAX + 1];
	int r = S_ISLNK(attr->mode) ? session_readlink(session, attr->id, &target, err) : 0;

	snprintf(mode, sizeof(mode), "%04o", (unsigned)attr->mode & 07777);
	json_add_text(out, "type", type_text(attr->mode));
	json_add_text(out, "mode", mode);
	json_add_number(out, "links", (int64_t)attr->links);
	json_add_number(out, "uid", attr->uid);
	json_add_number(out, "gid", attr->gid);
	if (S_ISREG(attr->mode))
		json_add_number(out, "size", attr->size);
	json_add_text(out, "mtime", mtime_text(attr->mtime, mtime));
	if (S_ISLNK(attr->mode))
		json_add_text(out, "target", target.data);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode)) {
		json_add_number(out, "major", major(attr->rdev));
		json_add_number(out, "minor", minor(attr->rdev));
	}
	return r;
}

/* ---- Extended attributes ---- */

/* Each value stands in `text`, behind the names. */
static int read_values(struct session *session, uint64_t node, size_t names, size_t *starts, struct xattrs *out, struct err *err)
{
	size_t count = 0;
	int r = 0;

	for (size_t at = 0; !r && at < names; at += strlen(out->text.data + at) + 1) {
		auto_buf struct buf value = BUF_INIT;

		r = session_getxattr(session, node, out->text.data + at, &value, err);
		starts[count++] = out->text.len;
		buf_add(&out->text, value.data, value.len);
	}
	starts[count] = out->text.len;
	return r ? r : buf_error(&out->text) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int xattrs_read(struct session *session, uint64_t node, struct xattrs *out, struct err *err)
{
	int r = session_listxattr(session, node, &out->text, err);
	size_t names = out->text.len, count = 0;
	auto_free size_t *starts = NULL;

	if (r || !names)
		return r;
	for (size_t i = 0; i < names; i++)
		count += out->text.data[i] == '\0';
	starts = calloc(count + 1, sizeof(*starts));
	out->rows = calloc(count, sizeof(*out->rows));
	if (!starts || !out->rows)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = read_values(session, node, names, starts, out, err);
	for (size_t at = 0; !r && at < names; at += strlen(out->text.data + at) + 1) {
		size_t i = out->count++;

		out->rows[i] = (struct tar_xattr){ .name = out->text.data + at,
						   .value = out->text.data + starts[i],
						   .size = starts[i + 1] - starts[i] };
	}
	return r;
}

void xattrs_release(struct xattrs *x)
{
	free(x->rows);
	buf_release(&x->text);
}

/* ---- Output ---- */

int out_flush(struct buf *out, struct err *err)
{
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fwrite(out->data, 1, out->len, stdout) != out->len || fflush(stdout) != 0)
		return err_sys(err, errno, "can't write the output");
	buf_reset(out);
	return 0;
}

int out_spill(struct buf *out, struct err *err)
{
	return out->len < SPILL && !buf_error(out) ? 0 : out_flush(out, err);
}

int out_write(const char *data, size_t len, struct err *err)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0 && errno != EINTR)
			return err_sys(err, errno, "can't write the output");
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

void out_begin(void)
{
	signal(SIGPIPE, SIG_DFL);
}

/* ---- Hard links: open addressing, at most half full ---- */

struct link_row {
	uint64_t node;	/* 0: free */
	size_t path;	/* in paths */
};

static struct link_row *slot_of(struct link_row *rows, size_t capacity, uint64_t node)
{
	size_t i = node * 0x9e3779b97f4a7c15u >> 20;

	for (i %= capacity; rows[i].node && rows[i].node != node; i = (i + 1) % capacity)
		;
	return &rows[i];
}

static bool grow(struct link_map *m)
{
	size_t capacity = m->capacity ? 2 * m->capacity : 256;
	struct link_row *rows = calloc(capacity, sizeof(*rows));

	if (!rows)
		return false;
	for (size_t i = 0; i < m->capacity; i++)
		if (m->rows[i].node)
			*slot_of(rows, capacity, m->rows[i].node) = m->rows[i];
	free(m->rows);
	m->rows = rows;
	m->capacity = capacity;
	return true;
}

int link_map_find(struct link_map *m, uint64_t node, const char *path, const char **first, struct err *err)
{
	struct link_row *row;

	if (2 * m->count >= m->capacity && !grow(m))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	row = slot_of(m->rows, m->capacity, node);
	if (row->node) {
		*first = m->paths.data + row->path;
		return 1;
	}
	*row = (struct link_row){ .node = node, .path = m->paths.len };
	m->count++;
	buf_add(&m->paths, path, strlen(path) + 1);
	return buf_error(&m->paths) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

void link_map_release(struct link_map *m)
{
	free(m->rows);
	buf_release(&m->paths);
}
