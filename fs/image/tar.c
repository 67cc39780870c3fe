/*
 * tar.c: blocks of 512 bytes become entries.
 *
 *	HEADER ---- extended header ----> BODY ----+
 *	  |  ^                              |      |
 *	  |  +------------------------------+      |
 *	  |  +------- SKIP <--- entry given ---+   | malformed: FAILED
 *	  |           |                        |   |
 *	  +-- entry --+-- old GNU sparse: EXTENSION|
 *	  |           +-- PAX sparse 1.0: MAP -----+
 *	  +-- block of zeros: END
 *
 * Where readers disagree what an archive means, and no writer needs it, it is refused; what else differs from one reader to
 * another follows Go's archive/tar, by which container engines unpack:
 *
 *	size of a type 1 to 6	ignored, no data follows, as Go, Python and (for a hard link) GNU tar have it. pax lets a hard
 *				link carry data, and libarchive believes it in an archive with PAX headers; no writer that we
 *				know makes use of that, and if one did, the data would fail the next header's checksum.
 *	x after x		the later one alone counts (Go, GNU tar)
 *	L or K beside a PAX	must say the same: Go takes L's, GNU tar PAX's. A global header's yields to L and K.
 *	path or linkpath
 *	"name/" of type 0	a directory (GNU tar, libarchive; Go for type NUL only): refused if it has data, which
 *				Go doesn't skip
 *	SCHILY.xattr.x=		empty: no attribute (POSIX, Go; GNU tar makes an empty one)
 *	X			x, of Solaris (libarchive, GNU tar)
 *	V, A			a volume's label, an ACL of Solaris: skipped (libarchive, GNU tar; engines refuse the layer)
 *	M, N			a file's part, a script that renames: refused, as engines do
 *	other letters		regular files, as POSIX has it; engines refuse the layer
 *
 * Invariants:
 *  1. pos is the offset in the archive of the next byte to come; outside of SKIP and BODY it is `fill` behind a block's start.
 *  2. pending: an extended header came whose entry didn't.
 */
#include "fs/base/base.h"
#include "fs/image/tar.h"
#include "fs/base/limits.h"
#include "fs/image/field.h"
#include "fs/image/pax.h"
#include "fs/image/sparse.h"

#define BLOCK FIELD_BLOCK
#define GNU_ROW 24	/* of a GNU sparse map: offset and size, 12 bytes each */
#define GNU_ROWS_HEADER 4
#define GNU_ROWS_EXTENSION 21

/* Where a header has what: offset and length. */
#define F_NAME 0, 100
#define F_MODE 100, 8
#define F_UID 108, 8
#define F_GID 116, 8
#define F_SIZE 124, 12
#define F_LINKNAME 157, 100
#define F_MAJOR 329, 8
#define F_MINOR 337, 8
#define F_PREFIX 345, 155
#define F_PREFIX_STAR 345, 131	/* star has times behind it */
#define F_REALSIZE 483, 12	/* GNU sparse */
#define AT_MTIME 136
#define AT_TYPE 156
#define AT_MAGIC 257
#define AT_GNU_ROWS 386
#define AT_GNU_MORE 482		/* whether an extension follows */
#define AT_EXTENSION_MORE 504
#define AT_STAR 508

enum state {
	HEADER,		/* a header, or the end, comes */
	BODY,		/* of an extended header */
	EXTENSION,	/* of a GNU sparse map */
	MAP,		/* PAX sparse 1.0: the map before the data */
	SKIP,		/* data and padding */
	END,		/* whatever comes is ignored */
	FAILED,
};

/* What a header's type makes of it; what isn't in the table is ROLE_FILE. */
enum role {
	ROLE_FILE,
	ROLE_LINK,
	ROLE_SYMLINK,
	ROLE_CHAR,
	ROLE_BLOCK,
	ROLE_DIRECTORY,
	ROLE_FIFO,
	ROLE_DUMPDIR,
	ROLE_SPARSE,
	ROLE_LABEL,	/* an entry that isn't given */
	ROLE_ACL,	/* belongs to the entry that follows, and is skipped */
	ROLE_LONG_NAME,	/* from here on: extended headers with a body */
	ROLE_LONG_LINK,
	ROLE_PAX,
	ROLE_GLOBAL,
	ROLE_REFUSED,
};

static const uint8_t roles[256] = {
	['1'] = ROLE_LINK,	['2'] = ROLE_SYMLINK,	['3'] = ROLE_CHAR,	['4'] = ROLE_BLOCK,
	['5'] = ROLE_DIRECTORY, ['6'] = ROLE_FIFO,	['D'] = ROLE_DUMPDIR,	['S'] = ROLE_SPARSE,
	['V'] = ROLE_LABEL,	['A'] = ROLE_ACL,	['L'] = ROLE_LONG_NAME, ['K'] = ROLE_LONG_LINK,
	['x'] = ROLE_PAX,	['X'] = ROLE_PAX,	['g'] = ROLE_GLOBAL,	['M'] = ROLE_REFUSED,
	['N'] = ROLE_REFUSED,
};

/* The entries among them: what they are, and whether `size` bytes follow. */
static const struct {
	enum tar_type type;
	bool data;
} entries[] = {
	[ROLE_FILE] = { TAR_FILE, true },
	[ROLE_LINK] = { TAR_LINK, false },
	[ROLE_SYMLINK] = { TAR_SYMLINK, false },
	[ROLE_CHAR] = { TAR_CHAR, false },
	[ROLE_BLOCK] = { TAR_BLOCK, false },
	[ROLE_DIRECTORY] = { TAR_DIRECTORY, false },
	[ROLE_FIFO] = { TAR_FIFO, false },
	[ROLE_DUMPDIR] = { TAR_DIRECTORY, true },
	[ROLE_SPARSE] = { TAR_FILE, true },
	[ROLE_LABEL] = { 0, true },
};

struct tar_reader {
	tar_entry_fn *fn;
	void *arg;
	enum state state;
	uint64_t pos;
	uint64_t at;		/* of the header being read: for errors */
	uint64_t skip, pad;	/* SKIP, BODY: bytes, and padding behind them */
	uint8_t block[BLOCK];	/* a block that came in pieces */
	size_t fill;

	/* What extended headers said of the entry to come. */
	bool pending;
	enum role body_role;	/* BODY: whose it is */
	uint64_t header_bytes;	/* of all bodies together */
	struct buf long_name, long_link;
	struct pax local, global;
	struct pax incoming;	/* a global header's records */

	/* The entry whose map is being read, or that is being given. */
	struct tar_entry entry;
	char path[100 + 1 + 155 + 1], link[100 + 1];
	uint64_t stored;	/* bytes in the archive behind its headers */
	struct sparse_map map;
	struct sparse_lines lines;
	struct buf xattrs;	/* struct tar_xattr */
};

static int corrupt(const struct tar_reader *t, struct err *err, const char *fmt, ...) PRINTF(3, 4);

static int corrupt(const struct tar_reader *t, struct err *err, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, ERR_CORRUPT, "tar entry at byte %" PRIu64 ": %s", t->at, text);
}

/* ---- Fields ---- */

/* A number from 0 to `most`. */
static int take_number(const struct tar_reader *t, const uint8_t *h, size_t at, size_t n, const char *what, int64_t most,
		       int64_t *out, struct err *err)
{
	enum field_number r = field_number(h + at, n, out);

	if (r == FIELD_MALFORMED)
		return corrupt(t, err, "its %s isn't a number", what);
	if (r != FIELD_GOOD || *out < 0 || *out > most)
		return corrupt(t, err, "its %s is out of range", what);
	return 0;
}

static int take_mtime(const struct tar_reader *t, const uint8_t *h, int64_t *out, struct err *err)
{
	int64_t seconds = 0;

	switch (field_number(h + AT_MTIME, 12, &seconds)) {
	case FIELD_MALFORMED:
		return corrupt(t, err, "its mtime isn't a number");
	case FIELD_TOO_LOW:
		seconds = INT64_MIN;
		break;
	case FIELD_TOO_HIGH:
		seconds = INT64_MAX;
		break;
	case FIELD_GOOD:
		break;
	}
	*out = pax_nanoseconds(seconds, 0);
	return 0;
}

/* Appends a field, which a NUL may end. */
static char *put_text(char *to, const uint8_t *h, size_t at, size_t n)
{
	size_t len = strnlen((const char *)h + at, n);

	memcpy(to, h + at, len);
	to[len] = '\0';
	return to + len;
}

static bool all_zero(const uint8_t *h)
{
	return !h[0] && memcmp(h, h + 1, BLOCK - 1) == 0;
}

static bool magic_is(const uint8_t *h, const char *magic, size_t n)
{
	return memcmp(h + AT_MAGIC, magic, n) == 0;
}

/* ---- Data ---- */

/* `size` bytes and their padding are to be passed over. */
static int skip_data(struct tar_reader *t, uint64_t size, struct err *err)
{
	uint64_t end;

	/* pos stands behind a block. */
	if (__builtin_add_overflow(t->pos, size, &end) || end > INT64_MAX - BLOCK)
		return corrupt(t, err, "its size is out of range");
	t->skip = size;
	t->pad = -size & (BLOCK - 1);
	t->state = size ? SKIP : HEADER;
	return 0;
}

/* What was said of one entry doesn't count for the next. */
static void entry_done(struct tar_reader *t)
{
	t->header_bytes = 0;
	if (!t->pending)
		return;
	t->pending = false;
	buf_reset(&t->long_name);
	buf_reset(&t->long_link);
	pax_reset(&t->local);
}

/* The entry is complete, and its data comes. */
static int give_entry(struct tar_reader *t, struct err *err)
{
	int r = t->fn(t->arg, &t->entry, err);

	if (r < 0)
		return r;
	entry_done(t);
	return skip_data(t, t->stored, err);
}

/* ---- Sparse files ---- */

static int give_sparse(struct tar_reader *t, struct sparse_map *map, struct err *err)
{
	struct tar_entry *e = &t->entry;
	int r = sparse_map_end(map, (uint64_t)e->size, t->stored, t->pos, t->at, err);

	if (r < 0)
		return r;
	e->sparse = true;
	e->extents = (const struct tar_extent *)(void *)map->extents.data;
	e->extent_count = map->extents.len / sizeof(*e->extents);
	return give_entry(t, err);
}

/* The rows of a GNU header or extension, which the first empty one ends; then another extension or the data. */
static int gnu_rows(struct tar_reader *t, const uint8_t *row, size_t count, bool more, struct err *err)
{
	for (; count && (row[0] || row[12]); count--, row += GNU_ROW) {
		int64_t offset, size;
		int r;

		/* Go ends where no offset is, GNU tar where no size is. */
		if (!row[0] || !row[12])
			return corrupt(t, err, "its sparse map has half a row");
		r = take_number(t, row, 0, 12, "sparse map's offset", INT64_MAX, &offset, err);
		if (r == 0)
			r = take_number(t, row, 12, 12, "sparse map's size", INT64_MAX, &size, err);
		if (r == 0)
			r = sparse_map_add(&t->map, (uint64_t)offset, (uint64_t)size, t->at, err);
		if (r < 0)
			return r;
	}
	if (count && more)
		return corrupt(t, err, "its sparse map ends before its last block");
	if (!more)
		return give_sparse(t, &t->map, err);
	t->state = EXTENSION;
	return 0;
}

static int gnu_sparse(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	int r;

	if (!magic_is(h, "ustar  ", 8))
		return corrupt(t, err, "a sparse file of type S in an archive that isn't GNU's");
	if (t->local.sparse)
		return corrupt(t, err, "two sparse maps");
	sparse_map_reset(&t->map);
	r = take_number(t, h, F_REALSIZE, "sparse size", INT64_MAX, &t->entry.size, err);
	if (r < 0)
		return r;
	return gnu_rows(t, h + AT_GNU_ROWS, GNU_ROWS_HEADER, h[AT_GNU_MORE], err);
}

static const char *local_text(const struct tar_reader *t, enum pax_key key)
{
	const struct pax_value *v = &t->local.values[key];

	return v->size ? v->data : NULL;
}

/* 0.0 and 0.1: the rows are in the header. */
static int pax_sparse_rows(struct tar_reader *t, struct err *err)
{
	const char *text = local_text(t, PAX_SPARSE_MAP), *blocks = local_text(t, PAX_SPARSE_BLOCKS);
	struct sparse_map *map = &t->local.map;
	uint64_t count;

	if (text && map->rows)
		return corrupt(t, err, "two sparse maps");
	if (text) {
		int r = sparse_map_add_text(map, text, t->at, err);

		if (r < 0)
			return r;
	}
	if (!blocks || !pax_number(blocks, &count) || count != map->rows)
		return corrupt(t, err, "its sparse map hasn't the rows that it should have");
	return give_sparse(t, map, err);
}

/* The version, the size and where the map is. */
static int pax_sparse(struct tar_reader *t, struct err *err)
{
	const char *major = local_text(t, PAX_SPARSE_MAJOR), *minor = local_text(t, PAX_SPARSE_MINOR);
	const char *size = local_text(t, PAX_SPARSE_SIZE), *real = local_text(t, PAX_SPARSE_REALSIZE);
	bool lines = major && minor && streq(major, "1") && streq(minor, "0");
	bool rows = major && minor && streq(major, "0") && (streq(minor, "0") || streq(minor, "1"));
	uint64_t number;

	if ((major || minor) && !lines && !rows)
		return corrupt(t, err, "sparse version %.20s.%.20s isn't known", major ? major : "", minor ? minor : "");
	if (size && real && !streq(size, real))
		return corrupt(t, err, "two sparse sizes");
	if (!size && !real)
		return corrupt(t, err, "a sparse file without a size");
	if (!pax_number(size ? size : real, &number))
		return corrupt(t, err, "its sparse size isn't a number");
	t->entry.size = (int64_t)number;
	if (!lines)
		return pax_sparse_rows(t, err);
	if (t->local.map.rows || local_text(t, PAX_SPARSE_MAP))
		return corrupt(t, err, "two sparse maps");
	sparse_map_reset(&t->map);
	t->lines = (struct sparse_lines){ 0 };
	t->state = MAP;
	return 0;
}

/* A block of the map before the data, whose last one may be data's last, too. */
static int take_map(struct tar_reader *t, const uint8_t *block, struct err *err)
{
	size_t n = (size_t)MIN(t->stored, (uint64_t)BLOCK);
	int r;

	if (!n)
		return corrupt(t, err, "its sparse map is longer than its data");
	t->stored -= n;
	r = sparse_lines_feed(&t->lines, &t->map, block, n, t->at, err);
	if (r < 0 || !t->lines.done)
		return r;
	return give_sparse(t, &t->map, err);
}

/* ---- Entries ---- */

/* Of a PAX record, if there is one. */
static int pax_number_of(const struct tar_reader *t, enum pax_key key, const char *what, int64_t most, int64_t *out,
			 struct err *err)
{
	const struct pax_value *v = pax_find(&t->local, &t->global, key);
	uint64_t number;

	if (!v)
		return 0;
	if (!pax_number(v->data, &number))
		return corrupt(t, err, "its PAX %s isn't a number", what);
	if (number > (uint64_t)most)
		return corrupt(t, err, "its PAX %s is out of range", what);
	*out = (int64_t)number;
	return 0;
}

/* Owner, mode, size and time: the header's, then PAX's. */
static int take_numbers(struct tar_reader *t, const uint8_t *h, int64_t *size, struct err *err)
{
	struct tar_entry *e = &t->entry;
	const struct pax_value *mtime = pax_find(&t->local, &t->global, PAX_MTIME);
	const int64_t id_most = UINT32_MAX - 1;
	int64_t mode, uid, gid;
	int r = take_number(t, h, F_MODE, "mode", INT64_MAX, &mode, err);

	if (r == 0)
		r = take_number(t, h, F_UID, "uid", id_most, &uid, err);
	if (r == 0)
		r = take_number(t, h, F_GID, "gid", id_most, &gid, err);
	if (r == 0)
		r = take_number(t, h, F_SIZE, "size", INT64_MAX, size, err);
	if (r == 0)
		r = take_mtime(t, h, &e->mtime, err);
	if (r == 0)
		r = pax_number_of(t, PAX_UID, "uid", id_most, &uid, err);
	if (r == 0)
		r = pax_number_of(t, PAX_GID, "gid", id_most, &gid, err);
	if (r == 0)
		r = pax_number_of(t, PAX_SIZE, "size", INT64_MAX, size, err);
	if (r == 0 && mtime && !pax_time(mtime->data, &e->mtime))
		r = corrupt(t, err, "its PAX mtime isn't a number");
	if (r < 0)
		return r;
	e->mode = (uint32_t)mode & 07777;
	e->uid = (uint32_t)uid;
	e->gid = (uint32_t)gid;
	return 0;
}

/* L and K, or PAX's, or the header's. */
static int choose_text(const struct tar_reader *t, const struct buf *gnu, enum pax_key key, const char *header,
		       const char **out, struct err *err)
{
	const struct pax_value *v = pax_find(&t->local, &t->global, key);
	const char *local = local_text(t, key);

	if (gnu->len && local && !streq(local, gnu->data))
		return corrupt(t, err, "its GNU and its PAX header have different %s",
			       key == PAX_PATH ? "names" : "link targets");
	*out = gnu->len ? gnu->data : v ? v->data : header;
	return 0;
}

static int take_path(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	const char *sparse_name = local_text(t, PAX_SPARSE_NAME);
	char *p = t->path;
	int r;

	if (h[345] && magic_is(h, "ustar", 6)) {
		p = memcmp(h + AT_STAR, "tar", 4) == 0 ? put_text(p, h, F_PREFIX_STAR) : put_text(p, h, F_PREFIX);
		*p++ = '/';
	}
	put_text(p, h, F_NAME);
	r = choose_text(t, &t->long_name, PAX_PATH, t->path, &t->entry.path, err);
	if (r < 0)
		return r;
	if (sparse_name)
		t->entry.path = sparse_name;
	return *t->entry.path ? 0 : corrupt(t, err, "it has no name");
}

static int take_link(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	int r;

	put_text(t->link, h, F_LINKNAME);
	r = choose_text(t, &t->long_link, PAX_LINKPATH, t->link, &t->entry.link, err);
	if (r < 0)
		return r;
	return *t->entry.link ? 0 : corrupt(t, err, "a link without a target");
}

static int take_device(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	int64_t major = 0, minor = 0;
	int r = 0;

	/* V7 has no such fields. */
	if (magic_is(h, "ustar", 6) || magic_is(h, "ustar  ", 8)) {
		r = take_number(t, h, F_MAJOR, "major number", UINT32_MAX, &major, err);
		if (r == 0)
			r = take_number(t, h, F_MINOR, "minor number", UINT32_MAX, &minor, err);
	}
	t->entry.major = (uint32_t)major;
	t->entry.minor = (uint32_t)minor;
	return r;
}

static int take_xattrs(struct tar_reader *t, struct err *err)
{
	int r;

	if (!t->local.xattrs.len && !t->global.xattrs.len)
		return 0;
	buf_reset(&t->xattrs);
	r = pax_xattrs(&t->local, &t->global, &t->xattrs, t->at, err);
	t->entry.xattrs = (const struct tar_xattr *)(void *)t->xattrs.data;
	t->entry.xattr_count = t->xattrs.len / sizeof(struct tar_xattr);
	return r;
}

/* What its type adds; `size` is what follows. */
static int take_kind(struct tar_reader *t, const uint8_t *h, int64_t size, struct err *err)
{
	struct tar_entry *e = &t->entry;
	enum role role = roles[h[AT_TYPE]];

	e->link = "";
	e->type = entries[role].type;
	if (e->type == TAR_FILE && e->path[strlen(e->path) - 1] == '/') {
		if (size || role == ROLE_SPARSE)
			return corrupt(t, err, "a file whose name ends in a slash");
		e->type = TAR_DIRECTORY;
	}
	if (e->type == TAR_FILE) {
		e->size = size;
		e->data = t->pos;
	}
	if (t->local.sparse && e->type != TAR_FILE)
		return corrupt(t, err, "a sparse map of something that isn't a file");
	if (e->type == TAR_LINK || e->type == TAR_SYMLINK)
		return take_link(t, h, err);
	if (e->type == TAR_CHAR || e->type == TAR_BLOCK)
		return take_device(t, h, err);
	return 0;
}

static int take_entry(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	enum role role = roles[h[AT_TYPE]];
	int64_t size;
	int r;

	memset(&t->entry, 0, sizeof(t->entry));
	r = take_numbers(t, h, &size, err);
	if (r < 0)
		return r;
	t->stored = entries[role].data ? (uint64_t)size : 0;
	if (role == ROLE_LABEL) {
		entry_done(t);
		return skip_data(t, t->stored, err);
	}
	r = take_path(t, h, err);
	if (r == 0)
		r = take_kind(t, h, size, err);
	if (r == 0)
		r = take_xattrs(t, err);
	if (r < 0)
		return r;
	if (role == ROLE_SPARSE)
		return gnu_sparse(t, h, err);
	return t->local.sparse ? pax_sparse(t, err) : give_entry(t, err);
}

/* ---- Extended headers ---- */

static struct buf *body_of(struct tar_reader *t)
{
	switch (t->body_role) {
	case ROLE_LONG_NAME:
		return &t->long_name;
	case ROLE_LONG_LINK:
		return &t->long_link;
	case ROLE_PAX:
		return &t->local.text;
	default:
		return &t->incoming.text;
	}
}

static int take_long(struct tar_reader *t, struct buf *b, struct err *err)
{
	size_t len = strlen(b->data);

	if (!len)
		return corrupt(t, err, "an empty long name");
	for (size_t i = len; i < b->len; i++)
		if (b->data[i])
			return corrupt(t, err, "a long name with a NUL in it");
	buf_truncate(b, len);
	return 0;
}

/* All of a body came. */
static int take_body(struct tar_reader *t, struct err *err)
{
	uint64_t at = t->at + BLOCK;
	int r;

	if (buf_error(body_of(t)))
		return err_set(err, ERR_NO_MEMORY, "no memory for a header of a tar");
	switch (t->body_role) {
	case ROLE_PAX:
		return pax_parse(&t->local, at, err);
	case ROLE_GLOBAL:
		r = pax_parse(&t->incoming, at, err);
		return r < 0 ? r : pax_merge(&t->global, &t->incoming, at, err);
	default:
		return take_long(t, body_of(t), err);
	}
}

static int begin_body(struct tar_reader *t, enum role role, uint64_t size, struct err *err)
{
	/* Both are small: no overflow. */
	t->header_bytes += size;
	if (size > LIMIT_TAR_HEADERS || t->header_bytes > LIMIT_TAR_HEADERS)
		return corrupt(t, err, "more than %d bytes of extended headers", LIMIT_TAR_HEADERS);
	t->body_role = role;
	if (role == ROLE_GLOBAL) {
		pax_reset(&t->incoming);
	} else {
		t->pending = true;
		if (role == ROLE_PAX)
			pax_reset(&t->local);
		else
			buf_reset(body_of(t));
	}
	buf_reserve(body_of(t), size);
	if (!size)
		return take_body(t, err);
	t->skip = size;
	t->pad = -size & (BLOCK - 1);
	t->state = BODY;
	return 0;
}

/* ---- Blocks ---- */

static int take_header(struct tar_reader *t, const uint8_t *h, struct err *err)
{
	enum role role = roles[h[AT_TYPE]];
	int64_t size;
	int r;

	t->at = t->pos - BLOCK;
	if (all_zero(h)) {
		t->state = END;
		return t->pending ? corrupt(t, err, "the end, where an extended header's entry should be") : 0;
	}
	if (!field_checksum_good(h))
		return corrupt(t, err, "wrong checksum");
	if (role < ROLE_ACL)
		return take_entry(t, h, err);
	if (role == ROLE_REFUSED)
		return corrupt(t, err, "type %c can't stand in a layer", h[AT_TYPE]);
	/* Their own size: what PAX says is the entry's. */
	r = take_number(t, h, F_SIZE, "size", INT64_MAX, &size, err);
	if (r < 0)
		return r;
	return role == ROLE_ACL ? skip_data(t, (uint64_t)size, err) : begin_body(t, role, (uint64_t)size, err);
}

/* A whole block: where it came, if it came whole. NULL if it hasn't yet. */
static const uint8_t *next_block(struct tar_reader *t, const uint8_t **data, size_t *len)
{
	const uint8_t *block = *data;
	size_t n = MIN(BLOCK - t->fill, *len);

	if (n < BLOCK) {
		memcpy(t->block + t->fill, *data, n);
		block = t->block;
	}
	t->fill += n;
	t->pos += n;
	*data += n;
	*len -= n;
	if (t->fill < BLOCK)
		return NULL;
	t->fill = 0;
	return block;
}

static int take_block(struct tar_reader *t, const uint8_t *block, struct err *err)
{
	switch (t->state) {
	case EXTENSION:
		return gnu_rows(t, block, GNU_ROWS_EXTENSION, block[AT_EXTENSION_MORE], err);
	case MAP:
		return take_map(t, block, err);
	default:
		return take_header(t, block, err);
	}
}

/* Passes over data, or gathers a body; then over the padding. */
static int take_bytes(struct tar_reader *t, const uint8_t **data, size_t *len, struct err *err)
{
	size_t n = (size_t)MIN((uint64_t)*len, t->skip), padding = (size_t)MIN(*len - n, t->pad);
	int r = 0;

	if (t->state == BODY)
		buf_add(body_of(t), *data, n);
	t->skip -= n;
	t->pad -= padding;
	t->pos += n + padding;
	*data += n + padding;
	*len -= n + padding;
	if (t->skip || t->pad)
		return 0;
	if (t->state == BODY)
		r = take_body(t, err);
	t->state = HEADER;
	return r;
}

/* ---- The reader ---- */

int tar_reader_new(tar_entry_fn *fn, void *arg, struct tar_reader **out, struct err *err)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(err, ERR_NO_MEMORY, "no memory to read a tar");
	t->fn = fn;
	t->arg = arg;
	buf_init(&t->long_name);
	buf_init(&t->long_link);
	buf_init(&t->xattrs);
	pax_init(&t->local);
	pax_init(&t->global);
	pax_init(&t->incoming);
	sparse_map_init(&t->map);
	*out = t;
	return 0;
}

void tar_reader_free(struct tar_reader *t)
{
	buf_release(&t->long_name);
	buf_release(&t->long_link);
	buf_release(&t->xattrs);
	pax_release(&t->local);
	pax_release(&t->global);
	pax_release(&t->incoming);
	sparse_map_release(&t->map);
	free(t);
}

int tar_feed(struct tar_reader *t, const void *data, size_t len, struct err *err)
{
	const uint8_t *p = data;
	int r = 0;

	while (len && r >= 0) {
		const uint8_t *block;

		switch (t->state) {
		case SKIP:
		case BODY:
			r = take_bytes(t, &p, &len, err);
			break;
		case HEADER:
		case EXTENSION:
		case MAP:
			block = next_block(t, &p, &len);
			if (block)
				r = take_block(t, block, err);
			break;
		case END:
			t->pos += len;
			len = 0;
			break;
		case FAILED:
			return err_set(err, ERR_INTERNAL, "more bytes for a tar that failed");
		}
	}
	if (r < 0)
		t->state = FAILED;
	return MIN(r, 0);
}

int tar_end(struct tar_reader *t, struct err *err)
{
	if (t->state == FAILED)
		return err_set(err, ERR_INTERNAL, "the end of a tar that failed");
	if (t->state == END)
		return 0;
	if (t->state == HEADER && !t->fill && !t->pending)
		return 0;
	/* Some writers leave out the last padding. */
	if (t->state == SKIP && !t->skip && !t->pending)
		return 0;
	if (t->state == HEADER)
		t->at = t->pos - t->fill;
	t->state = FAILED;
	return corrupt(t, err, "the archive ends inside it, at byte %" PRIu64, t->pos);
}
