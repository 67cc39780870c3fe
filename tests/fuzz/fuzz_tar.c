/*
 * fuzz_tar.c: bytes as a tar, twice: whole, and in pieces whose sizes come from the bytes. Both give the same
 * entries and the same error, and entries are what tar.h says they are.
 *
 * A block with the magic of a header gets the right checksum first, which no fuzzer would find; unless its own begins with an x.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/tar.h"
#include "tests/unit/tarball.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_extents(const struct tar_entry *e)
{
	uint64_t end = 0, stored = 0;

	assert(e->sparse || !e->extent_count);
	assert(e->extent_count <= LIMIT_TAR_EXTENTS);
	for (size_t i = 0; i < e->extent_count; i++) {
		const struct tar_extent *x = &e->extents[i];

		assert(x->size && x->offset >= end && (x->offset > end || !i));
		assert(x->offset <= (uint64_t)e->size && x->size <= (uint64_t)e->size - x->offset);
		assert(x->data == e->extents[0].data + stored && x->data + x->size <= INT64_MAX);
		end = x->offset + x->size;
		stored += x->size;
	}
}

static void check_xattrs(const struct tar_entry *e)
{
	assert(e->xattr_count <= LIMIT_TAR_XATTRS);
	for (size_t i = 0; i < e->xattr_count; i++) {
		size_t len = strlen(e->xattrs[i].name);

		assert(len && len <= LIMIT_XATTR_NAME && e->xattrs[i].size && e->xattrs[i].size <= LIMIT_XATTR_VALUE);
		for (size_t j = 0; j < i; j++)
			assert(!streq(e->xattrs[i].name, e->xattrs[j].name));
	}
}

static int check_entry(void *arg, const struct tar_entry *e, struct err *err)
{
	assert(e->type >= TAR_FILE && e->type <= TAR_FIFO);
	assert(*e->path);
	assert((e->type == TAR_LINK || e->type == TAR_SYMLINK) == (*e->link != '\0'));
	assert(e->mode <= 07777 && e->uid < UINT32_MAX && e->gid < UINT32_MAX);
	assert(e->size >= 0 && (e->type == TAR_FILE || (!e->size && !e->sparse)));
	assert(e->type != TAR_FILE || e->path[strlen(e->path) - 1] != '/');
	assert(e->type != TAR_FILE || (e->data && e->data % 512 == 0 && e->data <= INT64_MAX));
	assert(e->sparse || e->type != TAR_FILE || e->size <= INT64_MAX - (int64_t)e->data);
	check_extents(e);
	check_xattrs(e);
	return tarball_entry_text(arg, e, err);
}

static int feed(const uint8_t *data, size_t size, bool pieces, struct buf *out, struct err *err)
{
	auto_tar_reader struct tar_reader *t = NULL;
	int r = tar_reader_new(check_entry, out, &t, err);

	for (size_t i = 0; r == 0 && i < size;) {
		size_t n = pieces ? MIN((size_t)data[size - 1 - i] * 3 + 1, size - i) : size;

		r = tar_feed(t, data + i, n, err);
		i += n;
	}
	return r < 0 ? r : tar_end(t, err);
}

static void seal_headers(uint8_t *data, size_t size)
{
	for (size_t i = 0; i + 512 <= size; i += 512)
		if (memcmp(data + i + 257, "ustar", 5) == 0 && data[i + 148] != 'x')
			tarball_seal(data + i);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	auto_free uint8_t *data = malloc(MAX(size, (size_t)1));
	auto_buf struct buf whole = BUF_INIT, pieces = BUF_INIT;
	struct err a = ERR_INIT, b = ERR_INIT;
	int r;

	if (!data)
		return 0;
	if (size)
		memcpy(data, input, size);
	seal_headers(data, size);
	r = feed(data, size, false, &whole, &a);
	assert(feed(data, size, true, &pieces, &b) == r);
	assert(streq(a.text, b.text) && a.reason == b.reason);
	assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
	assert(r == 0 || (r < 0 && a.reason == ERR_CORRUPT && *a.text));
	return 0;
}
