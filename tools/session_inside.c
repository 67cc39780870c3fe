/*
 * session_inside.c: what is inside images, at the store or over HTTP.
 *
 * Over HTTP an entry of a directory comes with all that is small: a link's target, whether a file is sparse or has attributes. The
 * last KNOWN_SLOTS of them are kept, so that who lists, compares or extracts a directory asks once for a page of it. A file's bytes
 * come in pieces of at most CALL_READ_MAX, larger and larger ones for who reads on; and who reads one small file of a directory
 * after the other gets the next ones with it.
 *
 * A server could be anybody's. Names were checked (call_json.c); here the depth, the number of entries, and that
 * whatever is gone through moves on.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include <sys/stat.h>

#include "tools/remote.h"

#define KNOWN_SLOTS 65536
#define FIRST_PIECE (256 * 1024)
#define SMALL_FILE (64 * 1024)
#define AHEAD_BYTES (1024 * 1024)

/* ---- What is known of nodes ---- */

struct known_node {
	uint64_t node, source;	/* 0: nothing */
	int64_t size;
	uint64_t next;		/* the small file behind this one in their directory, or 0 */
	bool sparse, xattrs;
	char *target;
};

/* Small files that came with another. */
struct ahead {
	struct buf bytes;
	struct {
		uint64_t node;
		size_t start, len;
	} files[CALL_READ_FILES];
	size_t count;
};

struct known_xattrs {
	uint64_t node;
	struct buf names, values;	/* names each with a NUL; values each behind its length */
};

struct known {
	struct known_node nodes[KNOWN_SLOTS];
	struct known_xattrs xattrs[2];	/* of the last nodes that were asked about: diff has two */
	unsigned next_xattrs;
	uint64_t expected;	/* whose turn it is, for who goes from small file to small file */
	struct ahead ahead;
};

void known_free(struct known *k)
{
	for (size_t i = 0; k && i < KNOWN_SLOTS; i++)
		free(k->nodes[i].target);
	if (k)
		buf_release(&k->ahead.bytes);
	for (size_t i = 0; k && i < ARRAY_SIZE(k->xattrs); i++) {
		buf_release(&k->xattrs[i].names);
		buf_release(&k->xattrs[i].values);
	}
	free(k);
}

static struct known_node *slot_of(struct known *k, uint64_t node)
{
	return &k->nodes[(node * 0x9e3779b97f4a7c15u >> 32) % KNOWN_SLOTS];
}

static int need_known(struct session *s, struct err *err)
{
	if (s->known)
		return 0;
	s->known = calloc(1, sizeof(*s->known));
	if (!s->known)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	buf_init(&s->known->ahead.bytes);
	for (size_t i = 0; i < ARRAY_SIZE(s->known->xattrs); i++) {
		buf_init(&s->known->xattrs[i].names);
		buf_init(&s->known->xattrs[i].values);
	}
	return 0;
}

static int learn(struct session *s, const struct call_entry *e, struct err *err)
{
	struct known_node *n;
	int r = need_known(s, err);

	if (r)
		return r;
	n = slot_of(s->known, e->node);
	free(n->target);
	*n = (struct known_node){ .node = e->node, .source = e->source, .size = e->size, .sparse = e->sparse, .xattrs = e->xattrs,
				  .target = e->target ? strdup(e->target) : NULL };
	return !e->target || n->target ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

struct learning {
	struct session *session;
	struct node_attr *attr;	/* or NULL */
	uint64_t node;
	struct err *err;
};

static int learn_row(void *arg, const void *row)
{
	struct learning *l = arg;
	const struct call_entry *e = row;

	l->node = e->node;
	if (l->attr)
		call_entry_attr(e, l->attr);
	return learn(l->session, e, l->err);
}

/* What is known of a node; asks where nothing is. Until the next question. */
static int know(struct session *s, uint64_t node, struct known_node **out, struct err *err)
{
	struct learning l = { .session = s, .err = err };
	const struct call_node a = { .node = node };
	int r = need_known(s, err);

	if (r)
		return r;
	*out = slot_of(s->known, node);
	if ((*out)->node == node)
		return 0;
	r = session_call(s, CALL_ROOTFS_SHOW, &a, learn_row, &l, err);
	if (!r && l.node != node)
		r = err_set(err, ERR_CORRUPT, "the server answers about another file");
	return r;
}

/* ---- Finding ---- */

static int keep_rootfs(void *arg, const void *row)
{
	*(struct rootfs *)arg = *(const struct rootfs *)row;
	return 0;
}

int session_find(struct session *s, const char *repo, const char *reference, const char *platform, struct rootfs *out,
		 struct err *err)
{
	const struct call_find a = { .name = repo, .reference = reference, .platform = platform, .machine = rootfs_platform() };
	int r;

	out->root = 0;
	r = session_call(s, CALL_ROOTFS_FIND, &a, keep_rootfs, out, err);
	return r || out->root ? r : err_set(err, ERR_CORRUPT, "the server answers without an image");
}

int session_walk(struct session *s, uint64_t root, const char *path, bool follow, struct node_attr *out, struct err *err)
{
	const struct call_node a = { .node = root, .path = path, .follow = follow };
	struct learning l = { .session = s, .attr = out, .err = err };
	int r;

	if (s->tree)
		return rootfs_walk(s->tree, &s->cred, root, path, follow, out, err);
	r = session_call(s, CALL_ROOTFS_WALK, &a, learn_row, &l, err);
	return r || l.node ? r : err_set(err, ERR_CORRUPT, "the server answers without a file");
}

int session_readlink(struct session *s, uint64_t link, struct buf *out, struct err *err)
{
	struct known_node *n;
	int r;

	if (s->tree)
		return node_readlink(s->tree, &s->cred, link, out, err);
	r = know(s, link, &n, err);
	if (!r)
		buf_adds(out, n->target ? n->target : "");
	return r ? r : buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int session_same(struct session *s, uint64_t a, uint64_t b, struct err *err)
{
	struct known_node *n;
	uint64_t source = 0;
	int r;

	if (s->tree)
		return rootfs_same(s->tree, &s->cred, a, b, err);
	r = know(s, a, &n, err);
	if (!r) {
		source = n->source;
		r = know(s, b, &n, err);
	}
	return r ? r : source == n->source;
}

/* ---- Extended attributes ---- */

static int keep_xattr(void *arg, const void *row)
{
	struct known_xattrs *x = arg;
	const struct call_xattr *v = row;

	buf_add(&x->names, v->name, strlen(v->name) + 1);
	buf_add(&x->values, &v->value.len, sizeof(v->value.len));
	buf_add(&x->values, v->value.data, v->value.len);
	return buf_error(&x->names) ? buf_error(&x->names) : buf_error(&x->values);
}

static int xattrs_of(struct session *s, uint64_t node, const struct known_xattrs **out, struct err *err)
{
	const struct call_node a = { .node = node };
	struct known_xattrs *x;
	struct known_node *n;
	int r = know(s, node, &n, err);

	for (size_t i = 0; !r && i < ARRAY_SIZE(s->known->xattrs); i++) {
		*out = &s->known->xattrs[i];
		if ((*out)->node == node)
			return 0;
	}
	if (r)
		return r;
	x = &s->known->xattrs[s->known->next_xattrs++ % ARRAY_SIZE(s->known->xattrs)];
	buf_reset(&x->names);
	buf_reset(&x->values);
	x->node = 0;
	r = n->xattrs ? session_call(s, CALL_ROOTFS_XATTRS, &a, keep_xattr, x, err) : 0;
	if (!r)
		x->node = node;
	*out = x;
	return r;
}

int session_listxattr(struct session *s, uint64_t node, struct buf *out, struct err *err)
{
	const struct known_xattrs *x;
	int r;

	if (s->tree)
		return node_listxattr(s->tree, &s->cred, node, out, err);
	r = xattrs_of(s, node, &x, err);
	if (!r)
		buf_add(out, x->names.data, x->names.len);
	return r ? r : buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int session_getxattr(struct session *s, uint64_t node, const char *name, struct buf *out, struct err *err)
{
	const struct known_xattrs *x;
	size_t value = 0, len = 0;
	int r;

	if (s->tree)
		return node_getxattr(s->tree, &s->cred, node, name, out, err);
	r = xattrs_of(s, node, &x, err);
	for (size_t at = 0; !r && at < x->names.len; at += strlen(x->names.data + at) + 1) {
		memcpy(&len, x->values.data + value, sizeof(len));
		value += sizeof(len);
		if (streq(x->names.data + at, name)) {
			buf_add(out, x->values.data + value, len);
			return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
		}
		value += len;
	}
	return r ? r : err_set(err, ERR_NO_ATTRIBUTE, "there is no attribute %.255s", name);
}

/* ---- A file's bytes ---- */

struct reader {
	struct session *session;
	uint64_t node;
	int64_t size;
	struct buf piece;
	int64_t at;		/* of the piece */
	int64_t next;		/* length of the next one */
};

/* Whether the file came with another one. */
static bool find_ahead(struct reader *f)
{
	const struct ahead *a = &f->session->known->ahead;

	for (size_t i = 0; i < a->count; i++) {
		if (a->files[i].node != f->node)
			continue;
		buf_reset(&f->piece);
		buf_add(&f->piece, a->bytes.data + a->files[i].start, a->files[i].len);
		f->at = 0;
		return !buf_error(&f->piece);
	}
	return false;
}

/* The small files behind this one, as many as may come with it. */
static void plan_ahead(struct known *k, uint64_t node, struct buf *more)
{
	struct ahead *a = &k->ahead;
	const struct known_node *n = slot_of(k, node);
	size_t total = 0;

	a->count = 0;
	while (n->node == node && n->next && a->count < CALL_READ_FILES) {
		node = n->next;
		n = slot_of(k, node);
		if (n->node != node || total + (size_t)n->size > AHEAD_BYTES)
			break;
		buf_addf(more, "%s%" PRIx64, more->len ? "," : "", node);
		a->files[a->count].node = node;
		a->files[a->count].start = total;
		a->files[a->count++].len = (size_t)n->size;
		total += (size_t)n->size;
	}
}

/* What is behind the file's own bytes. */
static void keep_ahead(struct known *k, struct buf *piece, size_t own)
{
	struct ahead *a = &k->ahead;

	buf_reset(&a->bytes);
	if (piece->len > own)
		buf_add(&a->bytes, piece->data + own, piece->len - own);
	while (a->count && (buf_error(&a->bytes) || a->files[a->count - 1].start + a->files[a->count - 1].len > a->bytes.len))
		a->count--;
	if (piece->len > own)
		buf_truncate(piece, own);
}

static int fetch(struct reader *f, int64_t offset, struct err *err)
{
	struct call_node a = { .node = f->node, .offset = offset };
	struct known *k = f->session->known;
	const struct known_node *n = slot_of(k, f->node);
	auto_buf struct buf more = BUF_INIT;
	bool in_turn = k->expected == f->node;
	int r;

	k->expected = n->node == f->node ? n->next : 0;
	if (!offset && f->size <= SMALL_FILE && find_ahead(f))
		return 0;
	/* Who goes on where the last piece ended will go on further. */
	f->next = offset == f->at + (int64_t)f->piece.len ? MIN(2 * f->next, (int64_t)CALL_READ_MAX) : FIRST_PIECE;
	a.length = MIN(f->next, f->size - offset);
	f->at = offset;
	if (in_turn && !offset)
		plan_ahead(k, f->node, &more);
	a.more = more.len && !buf_error(&more) ? more.data : NULL;
	r = remote_read(f->session->remote, &a, &f->piece, err);
	if (!r && a.more)
		keep_ahead(k, &f->piece, (size_t)a.length);
	else if (!r && (int64_t)f->piece.len > a.length)
		r = err_set(err, ERR_CORRUPT, "the server gives more of a file than was asked for");
	return r;
}

static ssize_t read_piece(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	struct reader *f = arg;
	size_t done = 0;

	while (done < len) {
		int64_t at = offset + (int64_t)done - f->at;
		size_t n;
		int r = 0;

		if (at < 0 || at >= (int64_t)f->piece.len)
			r = fetch(f, offset + (int64_t)done, err);
		else {
			n = MIN(len - done, f->piece.len - (size_t)at);
			memcpy((char *)data + done, f->piece.data + at, n);
			done += n;
		}
		if (!r && !f->piece.len)
			r = err_set(err, ERR_CORRUPT, "the server gives less of a file than it has");
		if (r)
			return r;
	}
	return (ssize_t)done;
}

static void reader_free(void *arg)
{
	struct reader *f = arg;

	buf_release(&f->piece);
	free(f);
}

int session_open_file(struct session *s, uint64_t file, struct content **out, struct err *err)
{
	static const struct content_reader reader = { .read = read_piece, .release = reader_free };
	struct known_node *n;
	struct reader *f;
	int r;

	if (s->tree)
		return node_open(s->tree, &s->cred, file, out, NULL, err);
	r = know(s, file, &n, err);
	if (r)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	*f = (struct reader){ .session = s, .node = file, .size = n->size, .piece = BUF_INIT, .next = FIRST_PIECE / 2 };
	return content_from_reader(&reader, f, n->size, out, err);
}

static int keep_run(void *arg, const void *row)
{
	*(struct call_run *)arg = *(const struct call_run *)row;
	return 0;
}

int session_data(struct session *s, uint64_t file, int64_t offset, int64_t *start, int64_t *end, struct err *err)
{
	const struct call_node a = { .node = file, .offset = offset };
	struct call_run run = { 0 };
	struct known_node *n;
	int64_t size;
	int r;

	if (s->tree)
		return rootfs_data(s->tree, &s->cred, file, offset, start, end, err);
	r = know(s, file, &n, err);
	if (r)
		return r;
	size = n->size;
	run = (struct call_run){ .start = MIN(offset, size), .end = size };
	if (n->sparse)
		r = session_call(s, CALL_ROOTFS_DATA, &a, keep_run, &run, err);
	if (!r && (run.start < offset || run.end > size || run.end < run.start || (run.start < size && run.end == run.start)))
		r = err_set(err, ERR_CORRUPT, "the server says of a file that it has bytes where there can be none");
	*start = run.start;
	*end = run.end;
	return r;
}

/* ---- Directories ---- */

#define PAGE_ENTRIES 1000

struct entry {
	size_t name;	/* in names */
	struct node_attr attr;
};

struct session_dir {
	struct session *session;
	struct rootfs_dir *local;	/* at the store; NULL: over HTTP */
	uint64_t node, cookie;
	struct buf names;
	struct entry page[PAGE_ENTRIES];
	size_t count, at, seen;
	uint64_t small;		/* the last small file, or 0 */
	bool end;
	struct err *err;
};

int session_dir_open(struct session *s, uint64_t directory, struct session_dir **out, struct err *err)
{
	auto_session_dir struct session_dir *d = calloc(1, sizeof(*d));
	int r = 0;

	if (!d)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	d->session = s;
	d->node = directory;
	buf_init(&d->names);
	/* Two trees may be walked side by side. No index is made so deep, but one may be damaged, and a server may say what it likes. */
	if (++s->open_dirs > 2 * (LIMIT_TREE_DEPTH + 2))
		return err_set(err, ERR_CORRUPT, "directories are deeper than %d", LIMIT_TREE_DEPTH);
	if (s->tree)
		r = rootfs_dir_open(s->tree, &s->cred, directory, &d->local, err);
	if (!r)
		*out = steal(&d);
	return r;
}

/* Small files are chained, for who reads them in their order. */
static void chain(struct session_dir *d, const struct call_entry *e)
{
	struct known_node *last = slot_of(d->session->known, d->small);

	if (!S_ISREG((mode_t)e->mode) || e->sparse || !e->size || e->size > SMALL_FILE)
		return;
	if (d->small && last->node == d->small)
		last->next = e->node;
	d->small = e->node;
}

static int keep_entry(void *arg, const void *row)
{
	struct session_dir *d = arg;
	const struct call_entry *e = row;
	struct entry *to = &d->page[d->count];
	int r;

	if (d->count == PAGE_ENTRIES || ++d->seen > LIMIT_TREE_ENTRIES)
		return err_set(d->err, ERR_CORRUPT, "the server shows more files than there can be");
	to->name = d->names.len;
	call_entry_attr(e, &to->attr);
	d->cookie = e->next;
	d->count++;
	buf_add(&d->names, e->name, strlen(e->name) + 1);
	r = learn(d->session, e, d->err);
	if (!r)
		chain(d, e);
	return r;
}

static int next_page(struct session_dir *d, struct err *err)
{
	const struct call_node a = { .node = d->node, .cookie = d->cookie, .length = PAGE_ENTRIES };
	int r;

	d->count = d->at = 0;
	d->err = err;
	buf_reset(&d->names);
	r = session_call(d->session, CALL_ROOTFS_LIST, &a, keep_entry, d, err);
	d->end = d->count < PAGE_ENTRIES;
	return r ? r : buf_error(&d->names) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int session_dir_next(struct session_dir *d, const char **name, const struct node_attr **attr, struct err *err)
{
	int r = 0;

	if (d->local)
		return rootfs_dir_next(d->local, name, attr, err);
	if (d->at == d->count && !d->end)
		r = next_page(d, err);
	if (r || d->at == d->count)
		return r;
	*name = d->names.data + d->page[d->at].name;
	*attr = &d->page[d->at++].attr;
	return 1;
}

void session_dir_close(struct session_dir *d)
{
	d->session->open_dirs--;
	if (d->local)
		rootfs_dir_close(d->local);
	buf_release(&d->names);
	free(d);
}
