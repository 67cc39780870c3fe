/*
 * test_span_fault.c: a layer's index meets a failing disk and an empty memory.
 *
 * One scenario: two layers are scanned, read through a cache and copied. Its Nth allocation (read, write) fails, for N from 1
 * until it gets through without meeting the fault. Each step then succeeds or says cleanly that it didn't, no byte is ever
 * wrong, and no memory is left behind.
 */
#include "fs/base/base.h"
#include "fs/image/span.h"
#include "tests/unit/fault.h"
#include "tests/unit/tap.h"

#include <isa-l/igzip_lib.h>
#include <sys/mman.h>
#include <zstd.h>

#define SIZE ((size_t)5 * 512 * 1024)

static char original[SIZE];

struct layer {
	int fd;
	int64_t size;
};

static bool hold(struct layer *l, const void *bytes, size_t len)
{
	l->fd = memfd_create("layer", MFD_CLOEXEC);
	l->size = (int64_t)len;
	return l->fd >= 0 && write(l->fd, bytes, len) == (ssize_t)len;
}

static bool make_layers(struct layer *gzip, struct layer *zstd)
{
	auto_free uint8_t *out = malloc(2 * SIZE), *level_buf = malloc(ISAL_DEF_LVL1_DEFAULT);
	auto_free struct isal_zstream *z = calloc(1, sizeof(*z));
	uint32_t seed = 1;
	size_t n;

	for (size_t i = 0; i < SIZE; i++) {
		seed = seed * 1664525 + 1013904223;
		original[i] = i % 3 && i > 20000 ? original[i - 20000] : (char)('a' + (seed >> 28));
	}
	isal_deflate_init(z);
	z->level = 1;
	z->level_buf = level_buf;
	z->level_buf_size = ISAL_DEF_LVL1_DEFAULT;
	z->gzip_flag = IGZIP_GZIP;
	z->end_of_stream = 1;
	z->next_in = (uint8_t *)original;
	z->avail_in = SIZE;
	z->next_out = out;
	z->avail_out = 2 * SIZE;
	isal_deflate(z);
	if (!hold(gzip, out, z->total_out))
		return false;
	n = ZSTD_compress(out, 2 * SIZE, original, SIZE / 2, 1);
	n += ZSTD_compress(out + n, 2 * SIZE - n, original + SIZE / 2, SIZE / 2, 1);
	return hold(zstd, out, n);
}

struct outcome {
	int failed, unclean, wrong;
};

static bool good(struct outcome *o, ssize_t ret, const struct err *err)
{
	if (ret >= 0)
		return true;
	o->failed++;
	if (err->reason == ERR_NONE || err->errnum != -ret || !*err->text || (err->reason == ERR_CORRUPT)) {
		printf("# answers %zd: %s\n", ret, err->text);
		o->unclean++;
	}
	return false;
}

static int compare(void *arg, const void *data, size_t len, struct err *err)
{
	size_t *at = arg;

	if (*at + len > SIZE || memcmp(data, original + *at, len))
		return err_set(err, ERR_CORRUPT, "wrong bytes at %zu", *at);
	*at += len;
	return 0;
}

static void read_layer(struct outcome *o, const struct span_table *t, const struct content *blob)
{
	static char data[100000];
	struct span_cache *c = NULL;
	struct span_layer *l = NULL;
	struct err err = ERR_INIT;

	if (!good(o, span_cache_new(SIZE, 0, &c, &err), &err))
		return;
	if (good(o, span_layer_new(c, t, blob, &l, &err), &err)) {
		for (size_t at = 700000; at + sizeof(data) <= SIZE; at += 600000)
			if (good(o, span_read(l, data, sizeof(data), (int64_t)at, &err), &err))
				o->wrong += memcmp(data, original + at, sizeof(data)) != 0;
		span_layer_free(l);
	}
	span_cache_free(c);
}

static void run(struct outcome *o, const struct layer *layer)
{
	auto_content struct content *blob = NULL;
	auto_span_draft struct span_draft d, copied;
	struct err err = ERR_INIT;
	struct span_table t;
	size_t at = 0;
	int fd;

	span_draft_init(&d);
	span_draft_init(&copied);
	if (!good(o, content_from_fd(dup(layer->fd), layer->size, &blob, &err), &err))
		return;
	if (good(o, span_scan(blob, compare, &at, NULL, NULL, &d, &err), &err)) {
		t = span_draft_table(&d);
		o->wrong += t.count < 2 || at != SIZE || span_table_check(&t, layer->size, &err) < 0;
		read_layer(o, &t, blob);
	}
	fd = memfd_create("copy", MFD_CLOEXEC);
	if (good(o, span_copy(blob, fd, NULL, NULL, &copied, &err), &err))
		o->wrong += span_draft_table(&copied).size != (int64_t)SIZE;
	close(fd);
}

static void test_kind(const char *name, enum fault kind, int errnum, const struct layer *layer)
{
	struct outcome all = { 0, 0, 0 };
	int64_t blocks = fault_state.blocks;
	int n = 0, hits;

	do {
		struct outcome o = { 0, 0, 0 };

		fault_begin(kind, ++n, errnum, false);
		run(&o, layer);
		hits = fault_end();
		all.failed += o.failed;
		all.unclean += o.unclean;
		all.wrong += o.wrong;
		if (!hits && o.failed)
			all.unclean++;
	} while (hits && n < 10000);
	ok(n > 2 && all.failed > 0, "%s: %d places can fail", name, n - 1);
	is_int(all.unclean, 0, "%s: each is said as it is", name);
	is_int(all.wrong, 0, "%s: no wrong bytes", name);
	is_int(fault_state.blocks, blocks, "%s: no memory is left", name);
}

int main(void)
{
	struct layer gzip, zstd;

	if (!ok(make_layers(&gzip, &zstd), "two layers"))
		return done_testing();
	if (FAULT_MALLOC_WORKS) {
		test_kind("gzip, memory", FAULT_MALLOC, ENOMEM, &gzip);
		test_kind("zstd, memory", FAULT_MALLOC, ENOMEM, &zstd);
	}
	test_kind("gzip, reading", FAULT_READ, EIO, &gzip);
	test_kind("zstd, reading", FAULT_READ, EIO, &zstd);
	test_kind("a copy, writing", FAULT_WRITE, ENOSPC, &gzip);
	return done_testing();
}
