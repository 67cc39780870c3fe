/*
 * fuzz_layer.c: bytes as a plain layer: if it can be indexed, its index opens and everything in it can be looked at;
 * so does what it makes laid over itself, if it can be.
 *
 * Headers' checksums are made right first, as in fuzz_tar.c. What decodes compressed layers isn't at stake here.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/layer.h"
#include "fs/image/merge.h"
#include "tests/unit/indextext.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(void)
{
	int fd = memfd_create("regfs-fuzz", MFD_CLOEXEC);

	assert(fd >= 0);
	return fd;
}

/* What a merge promises of its tree, whatever the layers were. */
static void check_image(const struct index *image, const struct index *layer)
{
	for (uint32_t n = 1; n <= index_inodes(image); n++) {
		const struct index_inode *i = index_inode(image, n), *from;

		assert(!(i->flags & (INDEX_OPAQUE | INDEX_WHITEOUT | INDEX_LINK)));
		if (S_ISDIR(i->mode))
			continue;
		from = index_inode(layer, i->layer_inode);
		assert(from && !S_ISDIR(from->mode) && !(from->flags & (INDEX_WHITEOUT | INDEX_LINK)));
		assert(from->mode == i->mode && from->size == i->size && from->mtime == i->mtime);
		assert((i->flags & INDEX_OWN) || from->nlink == i->nlink);
	}
}

static void merge_with_itself(const struct index *layer, size_t times)
{
	const struct index *layers[] = { layer, layer };
	const struct digest digests[2] = { { .algorithm = DIGEST_SHA256 }, { .algorithm = DIGEST_SHA256 } };
	auto_fd int fd = memory_file();
	auto_index struct index *image = NULL;
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;

	if (merge_index(layers, digests, times, NULL, NULL, fd, &err)) {
		assert(err.reason == ERR_CORRUPT && *err.text);
		return;
	}
	assert(index_open(fd, INDEX_IMAGE, &image, &err) == 0 && index_verify(image, &err) == 0);
	assert(indextext(image, INDEX_IMAGE, true, &text) <= LIMIT_TREE_DEPTH + 1);
	check_image(image, layer);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	struct digest digest;
	auto_content struct content *blob = NULL;
	auto_index struct index *layer = NULL;
	auto_buf struct buf text = BUF_INIT;
	auto_fd int fd = -1;
	struct buf data = BUF_INIT;
	struct err err = ERR_INIT;

	/* gzip, zstd and what else has a magic number begin with no letter of a name; but for bzip2 and zstd's skippable frames. */
	if (size < 512 || (input[0] && (input[0] < '.' || input[0] > 'z' || memcmp(input, "BZh", 3) == 0 ||
					memcmp(input + 1, "*M\x18", 3) == 0)))
		return 0;
	buf_add(&data, input, size);
	for (size_t i = 0; i + 512 <= size; i += 512)
		if (memcmp(data.data + i + 257, "ustar", 5) == 0 && data.data[i + 148] != 'x')
			tarball_seal((uint8_t *)data.data + i);
	if (digest_of(DIGEST_SHA256, data.data, data.len, &digest, &err) || content_from_buf(&data, &blob, &err))
		return 0;
	fd = memory_file();
	if (layer_index(blob, &digest, NULL, NULL, fd, &err)) {
		assert(err.reason == ERR_CORRUPT && *err.text);
		return 0;
	}
	assert(index_open(fd, INDEX_LAYER, &layer, &err) == 0 && index_verify(layer, &err) == 0);
	assert(indextext(layer, INDEX_LAYER, true, &text) <= LIMIT_TREE_DEPTH + 1);
	merge_with_itself(layer, 1);
	merge_with_itself(layer, 2);
	return 0;
}
