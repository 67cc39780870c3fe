/*
 * test_pack.c: archives that pack.c writes, as tar.c reads them.
 */
#include "fs/base/base.h"
#include "fs/image/pack.h"
#include "tests/unit/tap.h"

/* What was written, and whether that came back. */
struct expected {
	struct tar_entry entry;
	int found;
	bool same;
};

static bool same_xattrs(const struct tar_entry *a, const struct tar_entry *b)
{
	for (size_t i = 0; i < a->xattr_count; i++)
		if (i >= b->xattr_count || strcmp(a->xattrs[i].name, b->xattrs[i].name) != 0 ||
		    a->xattrs[i].size != b->xattrs[i].size ||
		    memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].size) != 0)
			return false;
	return a->xattr_count == b->xattr_count;
}

static bool same_extents(const struct tar_entry *a, const struct tar_entry *b)
{
	for (size_t i = 0; i < a->extent_count; i++)
		if (i >= b->extent_count || a->extents[i].offset != b->extents[i].offset ||
		    a->extents[i].size != b->extents[i].size)
			return false;
	return a->extent_count == b->extent_count && a->sparse == b->sparse;
}

static int compare(void *arg, const struct tar_entry *got, struct err *err)
{
	struct expected *x = arg;
	const struct tar_entry *e = &x->entry;

	(void)err;
	x->found++;
	x->same = e->type == got->type && streq(e->path, got->path) && streq(e->link, got->link) && e->mode == got->mode &&
		  e->uid == got->uid && e->gid == got->gid && e->size == got->size && e->mtime == got->mtime &&
		  e->major == got->major && e->minor == got->minor && same_xattrs(e, got) && same_extents(e, got);
	return 0;
}

/* Whether an entry comes back as it is, and all alone. */
static bool comes_back(const struct tar_entry *e)
{
	auto_tar_reader struct tar_reader *reader = NULL;
	auto_buf struct buf out = BUF_INIT;
	struct expected x = { .entry = *e };
	struct err err = ERR_INIT;
	int64_t left = 0, data = e->sparse ? 0 : MIN(e->size, (int64_t)10000);
	static const char zeros[10000];
	int r = pack_header(&out, e, &left, &err);

	for (size_t i = 0; e->sparse && i < e->extent_count; i++)
		data += (int64_t)e->extents[i].size;
	buf_add(&out, zeros, (size_t)data);
	pack_padding(&out, data);
	if (data == e->size || e->sparse)
		pack_end(&out);
	if (!r)
		r = tar_reader_new(compare, &x, &reader, &err);
	if (!r)
		r = tar_feed(reader, out.data, out.len, &err);
	if (!r && (data == e->size || e->sparse))
		r = tar_end(reader, &err);
	if (r)
		printf("# %s\n", err.text);
	return !r && x.found == 1 && x.same && !left && out.len % PACK_BLOCK == 0;
}

static struct tar_entry plain(const char *path)
{
	return (struct tar_entry){ .type = TAR_FILE, .path = path, .link = "", .mode = 0644 };
}

/* Names of every length and with a slash at any place, about the limits of ustar's fields. */
static void test_names(void)
{
	static const size_t lengths[] = { 1, 2, 99, 100, 101, 102, 154, 155, 156, 157, 254, 255, 256, 257, 258, 400, 4000 };
	size_t wrong = 0;
	char name[4001];

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		for (size_t slash = 0; slash < lengths[i]; slash += 1 + slash / 300) {
			struct tar_entry e = plain(name);

			memset(name, 'n', lengths[i]);
			name[lengths[i]] = '\0';
			if (slash)
				name[slash] = '/';
			if (slash == lengths[i] - 1 && slash)
				e.type = TAR_DIRECTORY;
			wrong += !comes_back(&e);
			e.type = TAR_SYMLINK;
			e.path = "link";
			e.link = name;
			wrong += !comes_back(&e);
		}
	is_int((int)wrong, 0, "names of every length come back");
}

static void test_values(void)
{
	static const struct tar_xattr xattrs[] = { { "user.binary", "a\0b\n=c", 6 }, { "security.capability", "\1\0\0\2", 4 },
						   { "user.x", "x", 1 } };
	static const struct tar_extent extents[] = { { 4096, 3, 0 }, { 10000, 1, 0 } };
	static const struct tar_extent at_end[] = { { 1000, 0, 0 } };
	const struct tar_entry rows[] = {
		{ .type = TAR_FILE, .path = "a", .link = "", .mode = 07777, .uid = 1, .gid = 2, .mtime = 1000000000 },
		{ .type = TAR_FILE, .path = "a", .link = "", .uid = 07777777, .gid = 07777777, .size = 10000 },
		{ .type = TAR_FILE, .path = "a", .link = "", .uid = 07777777 + 1, .gid = UINT32_MAX - 1 },
		{ .type = TAR_FILE, .path = "a", .link = "", .size = INT64_C(077777777777) },
		{ .type = TAR_FILE, .path = "a", .link = "", .size = INT64_C(077777777777) + 1 },
		{ .type = TAR_FILE, .path = "a", .link = "", .mtime = 1 },
		{ .type = TAR_FILE, .path = "a", .link = "", .mtime = -1 },
		{ .type = TAR_FILE, .path = "a", .link = "", .mtime = -1500000000 },
		{ .type = TAR_FILE, .path = "a", .link = "", .mtime = INT64_MAX },
		{ .type = TAR_FILE, .path = "a", .link = "", .mtime = INT64_MIN },
		{ .type = TAR_FILE, .path = "\xc3\xbc", .link = "" },
		{ .type = TAR_FILE, .path = "\xff", .link = "" },
		{ .type = TAR_FILE, .path = "new\nline =", .link = "" },
		{ .type = TAR_LINK, .path = "a", .link = "\xc3\xbc\n" },
		{ .type = TAR_SYMLINK, .path = "\xff", .link = "\xff" },
		{ .type = TAR_CHAR, .path = "a", .link = "", .major = 4095, .minor = 1048575 },
		{ .type = TAR_BLOCK, .path = "a", .link = "", .major = 8, .minor = 1 },
		{ .type = TAR_FIFO, .path = "a", .link = "" },
		{ .type = TAR_DIRECTORY, .path = "./", .link = "", .xattrs = xattrs, .xattr_count = 3 },
		{ .type = TAR_FILE, .path = "a", .link = "", .xattrs = xattrs, .xattr_count = 2, .size = 5 },
		{ .type = TAR_FILE, .path = "sparse", .link = "", .sparse = true, .size = 20000, .extents = extents, .extent_count = 2 },
		{ .type = TAR_FILE, .path = "\xff\n", .link = "", .sparse = true, .size = 10001, .extents = extents, .extent_count = 2 },
		{ .type = TAR_FILE, .path = "big", .link = "", .sparse = true, .size = INT64_MAX, .extents = extents, .extent_count = 2 },
		{ .type = TAR_FILE, .path = "hole", .link = "", .sparse = true, .size = 1000, .extents = at_end, .extent_count = 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ok(comes_back(&rows[i]), "row %zu comes back", i);
}

/* The length of a record counts its own digits: around 10, 100, 1000. */
static void test_records(void)
{
	char value[1100];
	size_t wrong = 0;

	memset(value, 'v', sizeof(value));
	for (size_t size = 1; size < sizeof(value); size++) {
		const struct tar_xattr x = { "u", value, size };
		struct tar_entry e = plain("a");

		e.xattrs = &x;
		e.xattr_count = 1;
		wrong += !comes_back(&e);
	}
	is_int((int)wrong, 0, "records of every length come back");
}

static void test_left_out(void)
{
	const struct tar_xattr x = { "user.a=b", "x", 1 };
	auto_buf struct buf out = BUF_INIT;
	struct tar_entry e = plain("a");
	int64_t left = 0;

	e.xattrs = &x;
	e.xattr_count = 1;
	is_int(pack_header(&out, &e, &left, NULL), 0, "an attribute that no record can name");
	is_int((int)left, 1, "is left out");
	is_int((int)out.len, PACK_BLOCK, "and makes no record");
}

int main(void)
{
	test_names();
	test_values();
	test_records();
	test_left_out();
	return done_testing();
}
