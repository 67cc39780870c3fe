/*
 * fuzz_index.c: bytes as an index: if it opens, everything in it can be looked at, damaged or not; if it is accepted, merged.
 *
 * Magic, version, size and checksums are made right first (index.c has the layout), but for a block's whose number stands where the
 * version does; the kind is what it says.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/inflate.h"
#include "fs/image/merge.h"
#include "tests/unit/indextext.h"

#include <sys/mman.h>

#define VERSION_AT 8
#define KIND_AT    12
#define SIZE_AT    16
#define CRC_AT     24
#define CRC_FROM   28
#define HEADER	   (56 + 16 * INDEX_SECTION_COUNT)
#define BLOCK	   ((size_t)64 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_of(const uint8_t *input, size_t size, uint32_t *kind)
{
	auto_free uint8_t *data = malloc(size);
	size_t blocks = (size + BLOCK - 1) / BLOCK, body = (HEADER + blocks * sizeof(uint32_t) + 7) & ~(size_t)7;
	uint32_t version = INDEX_VERSION, wrong, crc;
	uint64_t file_size = size;
	int fd = memfd_create("regfs-fuzz", MFD_CLOEXEC);

	assert(data && fd >= 0);
	memcpy(data, input, size);
	memcpy(&wrong, data + VERSION_AT, sizeof(wrong));
	memcpy(data, "regfsIDX", 8);
	memcpy(data + VERSION_AT, &version, sizeof(version));
	memcpy(kind, data + KIND_AT, sizeof(*kind));
	memcpy(data + SIZE_AT, &file_size, sizeof(file_size));
	for (size_t i = 0; body <= size && i < blocks; i++) {
		size_t from = MAX(i * BLOCK, body), end = MIN((i + 1) * BLOCK, size);

		crc = inflate_crc32(0, data + from, from < end ? end - from : 0) + (i + 0x10000 == wrong);
		memcpy(data + HEADER + i * sizeof(crc), &crc, sizeof(crc));
	}
	crc = inflate_crc32(0, data + CRC_FROM, MIN(body, size) - CRC_FROM);
	memcpy(data + CRC_AT, &crc, sizeof(crc));
	assert(pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

/* Whatever it is. */
static void look_about(const struct index *ix, bool layer)
{
	for (uint32_t n = 1; n <= index_inodes(ix); n++) {
		const struct index_inode *i = index_inode(ix, n);
		struct index_xattr x;
		const char *name;

		if (!i) {
			assert(index_check(ix, NULL));
			continue;
		}
		for (bool more = index_xattr_first(ix, i, &x); more; more = index_xattr_next(&x))
			assert(strlen(x.name) <= UINT16_MAX && (!x.size || inflate_crc32(0, x.value, x.size) <= UINT32_MAX));
		for (uint32_t k = 0; S_ISDIR(i->mode) && k < MIN(i->count, 100u); k++)
			if (index_entry(ix, i, k, &name))
				(void)index_lookup(ix, i, name);
		if (S_ISLNK(i->mode) || i->flags & INDEX_LINK)
			assert(index_text(ix, i->data) || index_check(ix, NULL));
		if (layer && i->flags & INDEX_SPARSE && S_ISREG(i->mode) && index_extents(ix, i))
			for (uint32_t k = 0; k < i->count; k++)
				(void)index_extent_ok(i, &index_extents(ix, i)[k]);
	}
	for (size_t k = 0; k < index_steps(ix); k++)
		assert(index_step(ix, k).kind || index_check(ix, NULL));
}

/* Names that aren't there, in every directory; runs of sparse files. */
static void look(const struct index *ix, bool layer)
{
	for (uint32_t n = 1; n <= index_inodes(ix); n++) {
		const struct index_inode *i = index_inode(ix, n);
		uint64_t end = 0;

		if (S_ISDIR(i->mode))
			assert(!index_lookup(ix, i, "") && !index_lookup(ix, i, ".."));
		if (S_ISLNK(i->mode))
			assert(strlen(index_text(ix, i->data)) == i->size);
		if (layer && i->flags & INDEX_SPARSE && S_ISREG(i->mode))
			for (uint32_t k = 0; k < i->count; k++) {
				const struct index_extent *e = &index_extents(ix, i)[k];

				assert(e->offset >= end && e->offset + e->size <= i->size);
				end = e->offset + e->size;
			}
	}
	assert(index_unpacked(ix) >= 0 && index_files(ix) >= 0 && index_file_size(ix));
}

static void look_at_layer(const struct index *ix)
{
	const struct digest d = { .algorithm = DIGEST_SHA256 };
	struct span_table t = index_spans(ix);
	auto_fd int fd = memfd_create("regfs-fuzz", MFD_CLOEXEC);
	auto_index struct index *image = NULL;
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	for (int bits = 0; bits < 40; bits += 13)
		if (span_table_check(&t, INT64_C(1) << bits, &err) == 0 && t.count && t.size)
			assert(span_find(&t, 0) == 0 && span_find(&t, t.size - 1) == t.count - 1);
	if (merge_index(&ix, &d, 1, NULL, NULL, fd, &err)) {
		assert(err.reason == ERR_CORRUPT && *err.text);
		return;
	}
	assert(index_open(fd, INDEX_IMAGE, &image, &err) == 0);
	indextext(image, INDEX_IMAGE, true, &text);
}

static void look_at_image(const struct index *ix, int fd)
{
	auto_buf struct buf layers = BUF_INIT;
	struct err err = ERR_INIT;
	char text[DIGEST_TEXT_MAX + 1];

	for (size_t i = 0; i < index_layer_count(ix); i++)
		assert(strchr(digest_format(index_layer(ix, i), text), ':'));
	for (uint32_t n = 1; n <= index_inodes(ix); n++)
		assert(S_ISDIR(index_inode(ix, n)->mode) || index_inode(ix, n)->layer < index_layer_count(ix));
	assert(index_read_layers(fd, &layers, &err) == 0 || index_layer_count(ix) > LIMIT_MANIFEST_REFS);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	auto_index struct index *ix = NULL;
	auto_buf struct buf text = BUF_INIT;
	auto_fd int fd = -1;
	struct err err = ERR_INIT;
	uint32_t kind;

	if (size < HEADER)
		return 0;
	fd = file_of(input, size, &kind);
	if (index_open(fd, (enum index_kind)kind, &ix, &err)) {
		assert(err.reason == ERR_CORRUPT && *err.text);
		return 0;
	}
	look_about(ix, kind == INDEX_LAYER);
	if (index_verify(ix, &err)) {
		assert(err.reason == ERR_CORRUPT && *err.text);
		return 0;
	}
	assert(indextext(ix, (enum index_kind)kind, false, &text) <= LIMIT_TREE_DEPTH + 1);
	look(ix, kind == INDEX_LAYER);
	if (kind == INDEX_LAYER)
		look_at_layer(ix);
	if (kind == INDEX_IMAGE)
		look_at_image(ix, fd);
	return 0;
}
