/*
 * test_span.c: random access to layers: every coding, damage of every kind, lying tables, the cache.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/span.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <zstd.h>

extern char **environ;

#define MIB ((size_t)1024 * 1024)

/* ---- Bytes to compress ---- */

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* Words, numbers, runs of zeros and noise, as a layer has them: gzip makes about a third of it. */
static void add_mixed(struct buf *b, size_t len, uint64_t seed)
{
	size_t end = b->len + len;

	buf_reserve(b, len + 8192);
	while (b->len < end && !buf_error(b)) {
		uint64_t r = next_random(&seed);

		if (r % 64 == 0) {
			char noise[997];

			for (size_t i = 0; i < sizeof(noise); i++)
				noise[i] = (char)next_random(&seed);
			buf_add(b, noise, sizeof(noise));
		} else if (r % 64 == 1) {
			char zeros[4096] = "";

			buf_add(b, zeros, sizeof(zeros));
		} else if (r % 8 == 2 && b->len > 40000) {
			buf_add(b, b->data + b->len - 100 - next_random(&seed) % 32000, 20 + r % 80);
		} else {
			buf_addf(b, "entry %" PRIu64 " of %" PRIu64 "\n", r % 100000, next_random(&seed) % 1000);
		}
	}
	buf_truncate(b, end);
}

/* Repeats itself, so that some ten KiB of gzip have several spans, but in short strings: blocks end in time. */
static void add_dense(struct buf *b, size_t len)
{
	static const char *const words[] = { "the quick brown fox ", "jumps over ", "the lazy dog, and ", "everything else\n" };
	size_t end = b->len + len;
	uint64_t seed = 99;

	while (b->len < end)
		buf_adds(b, words[next_random(&seed) % 4]);
	buf_truncate(b, end);
}

/* ---- Compressing ---- */

/* What a program makes of its standard input; false, and *skipped, if it isn't there. */
static bool run_filter(const char *const argv[], const struct buf *in, struct buf *out, bool *skipped)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *from = NULL, *to = NULL;
	posix_spawn_file_actions_t actions;
	struct stat st = { 0 };
	auto_fd int fd = -1;
	int status = -1;
	pid_t pid;

	*skipped = false;
	if (!scratch_make(&tmp))
		return false;
	from = scratch_path(tmp.dir, "in");
	to = scratch_path(tmp.dir, "out");
	fd = open(from, O_CREAT | O_WRONLY, 0600);
	for (size_t at = 0; at < in->len;) {
		ssize_t n = write(fd, in->data + at, in->len - at);

		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	close(steal_fd(&fd));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, from, O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, to, O_CREAT | O_WRONLY, 0600);
	if (posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ) == 0)
		waitpid(pid, &status, 0);
	else
		*skipped = true;
	posix_spawn_file_actions_destroy(&actions);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		*skipped = true;
	if (status)
		return false;
	fd = open(to, O_RDONLY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	buf_reserve(out, (size_t)st.st_size);
	if (buf_error(out) || read(fd, out->data + out->len, (size_t)st.st_size) != st.st_size)
		return false;
	out->len += (size_t)st.st_size;
	return true;
}

/* gzip(1), which every Debian has. */
static bool add_gzip(struct buf *out, const char *level, const struct buf *in)
{
	const char *argv[] = { "gzip", "-n", level, "-c", NULL };
	bool skipped;

	return run_filter(argv, in, out, &skipped);
}

enum { HCRC = 2, EXTRA = 4, NAME = 8, COMMENT = 16 };

static void add_header(struct buf *out, uint8_t flags)
{
	size_t start = out->len;
	uint32_t crc;

	buf_add(out, "\x1f\x8b\x08", 3);
	buf_addc(out, (char)flags);
	buf_add(out, "\1\2\3\4\0\3", 6);
	if (flags & EXTRA)
		buf_add(out, "\6\0SG\2\0xy", 8);
	if (flags & NAME)
		buf_add(out, "layer.tar", 10);
	if (flags & COMMENT)
		buf_add(out, "no comment", 11);
	crc = crc32_gzip_refl(0, (uint8_t *)out->data + start, out->len - start);
	if (flags & HCRC)
		buf_add(out, &crc, 2);
}

static void add_trailer(struct buf *out, const void *data, size_t len)
{
	uint32_t words[2] = { crc32_gzip_refl(0, data, len), (uint32_t)len };

	buf_add(out, words, sizeof(words));
}

/* A member of stored blocks, `empty` empty ones between each. */
static void add_stored(struct buf *out, const char *data, size_t len, uint8_t flags, int empty)
{
	size_t at = 0;

	add_header(out, flags);
	do {
		uint16_t n = (uint16_t)MIN(len - at, (size_t)65535), not_n = (uint16_t)~n;

		for (int i = 0; i < empty; i++)
			buf_add(out, "\0\0\0\xff\xff", 5);
		buf_addc(out, at + n == len);
		buf_add(out, &n, 2);
		buf_add(out, &not_n, 2);
		buf_add(out, data + at, n);
		at += n;
	} while (at < len);
	add_trailer(out, data, len);
}

/* A member by igzip; level 0 is one block, however long. */
static void add_igzip(struct buf *out, const char *data, size_t len, uint8_t flags, uint32_t level)
{
	struct isal_zstream z;
	auto_free uint8_t *level_buf = malloc(ISAL_DEF_LVL3_DEFAULT);
	size_t room = len + len / 8 + 4096;

	add_header(out, flags);
	buf_reserve(out, room);
	isal_deflate_init(&z);
	z.level = level;
	z.level_buf = level_buf;
	z.level_buf_size = ISAL_DEF_LVL3_DEFAULT;
	z.end_of_stream = 1;
	z.next_in = (uint8_t *)(uintptr_t)data;
	z.avail_in = (uint32_t)len;
	z.next_out = (uint8_t *)out->data + out->len;
	z.avail_out = (uint32_t)room;
	isal_deflate(&z);
	out->len += room - z.avail_out;
	add_trailer(out, data, len);
}

static void add_zstd(struct buf *out, const char *data, size_t len, bool checksum, bool size)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	ZSTD_outBuffer to;
	ZSTD_inBuffer from = { data, len, 0 };

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, 3);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, checksum);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, size);
	if (size)
		ZSTD_CCtx_setPledgedSrcSize(ctx, len);
	buf_reserve(out, ZSTD_compressBound(len));
	to = (ZSTD_outBuffer){ out->data + out->len, ZSTD_compressBound(len), 0 };
	/* In two steps, else libzstd knows the size all the same. */
	ZSTD_compressStream2(ctx, &to, &from, ZSTD_e_continue);
	while (ZSTD_compressStream2(ctx, &to, &from, ZSTD_e_end))
		;
	out->len += to.pos;
	ZSTD_freeCCtx(ctx);
}

static void add_skippable(struct buf *out, uint8_t nibble, uint32_t len)
{
	buf_addc(out, (char)(0x50 | nibble));
	buf_add(out, "\x2a\x4d\x18", 3);
	buf_add(out, &len, 4);
	while (len--)
		buf_addc(out, 's');
}

/* ---- Checking ---- */

static struct content *content_of(const struct buf *b)
{
	struct buf copy = BUF_INIT;
	struct content *c = NULL;

	buf_add(&copy, b->data, b->len);
	return content_from_buf(&copy, &c, NULL) < 0 ? NULL : c;
}

static int collect(void *arg, const void *data, size_t len, struct err *err)
{
	struct buf *b = arg;

	(void)err;
	buf_add(b, data, len);
	return 0;
}

static int ignore(void *arg, const void *data, size_t len, struct err *err)
{
	(void)data;
	(void)err;
	*(int64_t *)arg += (int64_t)len;
	return 0;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Memory that ends where a page begins that can't be touched. */
struct fenced {
	uint8_t *map;
	size_t map_len;
	uint8_t *data;
};

static void fence(struct fenced *f, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (len + page - 1) / page * page;

	f->map_len = whole + page;
	f->map = mmap(NULL, f->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->map == MAP_FAILED)
		abort();
	mprotect(f->map + whole, page, PROT_NONE);
	f->data = f->map + whole - len;
}

static void unfence(struct fenced *f)
{
	munmap(f->map, f->map_len);
}

/* How many of the spans decode to the right bytes; wrong ones, without an error, are counted in *wrong. */
static size_t decode_spans(const struct span_table *t, const struct content *blob, const struct buf *original, size_t *wrong,
			   struct err *err)
{
	size_t right = 0;

	for (size_t i = 0; i < t->count; i++) {
		struct fenced f;
		ssize_t n;

		fence(&f, t->rows[i].size);
		n = span_decode(t, blob, i, t->rows[i].size, f.data, err);
		if (n >= 0 && (t->rows[i].out + (size_t)n > original->len || n != t->rows[i].size ||
			       memcmp(f.data, original->data + t->rows[i].out, (size_t)n)))
			++*wrong;
		else
			right += n >= 0;
		unfence(&f);
	}
	return right;
}

/* The same, of beginnings. */
static bool decode_parts(const struct span_table *t, const struct content *blob, const struct buf *original)
{
	uint64_t seed = 7;

	for (size_t i = 0; i < t->count; i++) {
		size_t want = 1 + next_random(&seed) % t->rows[i].size;
		size_t whole = MIN((want + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE, (size_t)t->rows[i].size);
		struct fenced f;
		bool good;

		fence(&f, whole);
		good = span_decode(t, blob, i, want, f.data, NULL) == (ssize_t)whole &&
		       !memcmp(f.data, original->data + t->rows[i].out, whole);
		unfence(&f);
		if (!good)
			return false;
	}
	return true;
}

static bool read_randomly(struct span_layer *l, const struct buf *original, int times, uint64_t seed)
{
	static const size_t lengths[] = { 1, 4096, 131072, 300000, 3000000 };
	auto_free char *data = malloc(3000000);

	for (int i = 0; i < times; i++) {
		size_t offset = next_random(&seed) % (original->len + 1);
		size_t len = lengths[next_random(&seed) % (i % 8 ? 3 : 5)];
		size_t there = MIN(len, original->len - offset);

		if (span_read(l, data, len, (int64_t)offset, NULL) != (ssize_t)there ||
		    memcmp(data, original->data + offset, there))
			return false;
	}
	return true;
}

/* Scans, checks, decodes and reads a blob; its coding and spans are as expected. */
static void check_blob(const char *name, const struct buf *bytes, const struct buf *original, enum span_coding coding,
		       size_t least_rows)
{
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	auto_buf struct buf out = BUF_INIT;
	struct span_layer *l = NULL;
	struct span_cache *c = NULL;
	struct span_table t;
	struct err err = ERR_INIT;
	size_t wrong = 0;

	span_draft_init(&d);
	if (!is_int(span_scan(blob, collect, &out, NULL, NULL, &d, &err), 0, "%s: scanned", name))
		printf("# %s\n", err.text);
	ok(same(&out, original), "%s: the bytes are right", name);
	t = span_draft_table(&d);
	is_int(t.coding, coding, "%s: the coding", name);
	is_int(t.size, (int64_t)original->len, "%s: the size", name);
	if (!ok(t.count >= least_rows, "%s: %zu spans at least", name, least_rows))
		printf("# %zu\n", t.count);
	is_int(span_table_check(&t, (int64_t)bytes->len, &err), 0, "%s: the table is sound", name);
	if (coding == SPAN_NONE)
		return;
	if (!is_int((int64_t)decode_spans(&t, blob, original, &wrong, &err), (int64_t)t.count, "%s: every span decodes", name))
		printf("# %s\n", err.text);
	ok(decode_parts(&t, blob, original), "%s: and its beginnings", name);
	is_int(span_cache_new(3 * MIB, 1, &c, &err), 0, "%s: a cache", name);
	is_int(span_layer_new(c, &t, blob, &l, &err), 0, "%s: a layer", name);
	ok(read_randomly(l, original, 300, 1), "%s: 300 reads", name);
	span_layer_free(l);
	span_cache_free(c);
}

/* ---- Codings ---- */

static void test_plain(void)
{
	auto_buf struct buf empty = BUF_INIT, mixed = BUF_INIT;
	static const char *const beginnings[] = { "\x1f\x8b", "\x1f\x8b\x07", "BZh", "BZh91AY&S", ("\xfd" "7zXY"), "\x28\xb5\x2f" };

	add_mixed(&mixed, 700000, 1);
	check_blob("nothing", &empty, &empty, SPAN_PLAIN, 0);
	check_blob("plain", &mixed, &mixed, SPAN_PLAIN, 1);
	for (size_t i = 0; i < ARRAY_SIZE(beginnings); i++) {
		auto_buf struct buf b = BUF_INIT;

		buf_adds(&b, beginnings[i]);
		check_blob("almost something", &b, &b, SPAN_PLAIN, 1);
	}
}

static void test_gzip(void)
{
	auto_buf struct buf mixed = BUF_INIT, zeros = BUF_INIT, dense = BUF_INIT;
	static const char *const levels[] = { "-1", "-6", "-9" };
	char name[64];

	add_mixed(&mixed, 5 * MIB + 12345, 2);
	buf_reserve(&zeros, 20 * MIB);
	memset(zeros.data, 0, 20 * MIB);
	zeros.len = 20 * MIB;
	add_dense(&dense, 4 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		auto_buf struct buf b = BUF_INIT, z = BUF_INIT, e = BUF_INIT;

		snprintf(name, sizeof(name), "gzip %s", levels[i]);
		ok(add_gzip(&b, levels[i], &mixed) && add_gzip(&z, levels[i], &zeros) && add_gzip(&e, levels[i], &dense),
		   "%s runs", name);
		check_blob(name, &b, &mixed, SPAN_GZIP, 5);
		check_blob("zeros", &z, &zeros, SPAN_GZIP, 3);
		check_blob("dense", &e, &dense, SPAN_GZIP, 2);
	}
	for (uint32_t level = 0; level < 4; level++) {
		auto_buf struct buf b = BUF_INIT;

		snprintf(name, sizeof(name), "igzip -%u", level);
		add_igzip(&b, mixed.data, mixed.len, 0, level);
		check_blob(name, &b, &mixed, SPAN_GZIP, level ? 4 : 1);
	}
}

static void test_programs(void)
{
	static const struct {
		const char *argv[8];
		enum span_coding coding;
		size_t rows;
	} programs[] = {
		{ { "pigz", "-p", "3", "-c", NULL }, SPAN_GZIP, 5 },
		{ { "pigz", "-i", "-b", "256", "-c", NULL }, SPAN_GZIP, 5 },
		{ { "igzip", "-3", "-c", NULL }, SPAN_GZIP, 4 },
		{ { "zstd", "-q", "-c", NULL }, SPAN_ZSTD, 1 },
		{ { "pzstd", "-q", "-p", "2", "-3", "-c", NULL }, SPAN_ZSTD, 1 },
		{ { "zstd", "-q", "--ultra", "--long=27", "-3", "-c", NULL }, SPAN_ZSTD, 1 },
	};
	auto_buf struct buf mixed = BUF_INIT;

	add_mixed(&mixed, 5 * MIB + 1, 3);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		auto_buf struct buf b = BUF_INIT;
		bool skipped;

		if (run_filter(programs[i].argv, &mixed, &b, &skipped))
			check_blob(programs[i].argv[0], &b, &mixed, programs[i].coding, programs[i].rows);
		else
			ok(skipped, "%s # SKIP isn't installed", programs[i].argv[0]);
	}
}

static void test_members(void)
{
	auto_buf struct buf mixed = BUF_INIT, tiny = BUF_INIT, large = BUF_INIT, stored = BUF_INIT, empty = BUF_INIT,
			    sync = BUF_INIT;
	auto_span_draft struct span_draft d;
	auto_content struct content *blob = NULL;
	int64_t count = 0;

	add_mixed(&mixed, 4 * MIB, 4);
	/* 41,944 members of 100 bytes, of every kind of header, some empty. */
	for (size_t at = 0, i = 0; at < mixed.len; at += 100, i++) {
		if (i % 50 == 0)
			add_stored(&tiny, "", 0, 0, 0);
		add_stored(&tiny, mixed.data + at, MIN((size_t)100, mixed.len - at), (uint8_t)(i % 16 << 1), 0);
	}
	add_stored(&tiny, "", 0, 0, 0);
	check_blob("tiny members", &tiny, &mixed, SPAN_GZIP, 5);
	blob = content_of(&tiny);
	span_draft_init(&d);
	is_int(span_scan(blob, ignore, &count, NULL, NULL, &d, NULL), 0, "tiny members: again");
	is_int((int64_t)span_draft_table(&d).count, 5, "tiny members: not a row each");

	/* Tiny ones, then one that begins in a span's middle and has a place to begin inside. */
	add_igzip(&large, mixed.data, 1000, NAME, 1);
	add_igzip(&large, mixed.data + 1000, 1, HCRC | EXTRA | COMMENT | NAME, 1);
	add_igzip(&large, mixed.data + 1001, mixed.len - 2001, HCRC, 1);
	add_igzip(&large, mixed.data + mixed.len - 1000, 1000, 0, 3);
	check_blob("a member from a span's middle on", &large, &mixed, SPAN_GZIP, 3);

	add_stored(&stored, mixed.data, mixed.len, 0, 0);
	check_blob("stored blocks", &stored, &mixed, SPAN_GZIP, 4);
	add_stored(&sync, mixed.data, mixed.len, 0, 5000);
	check_blob("thousands of empty blocks", &sync, &mixed, SPAN_GZIP, 4);
	mixed.len = 0;
	for (int i = 0; i < 3; i++)
		add_stored(&empty, "", 0, EXTRA, i);
	check_blob("empty members", &empty, &mixed, SPAN_GZIP, 0);
}

/* A scan's error: the reason, with a word of its text. */
static void check_refused(const char *name, const struct buf *bytes, enum reason reason, const char *word)
{
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	struct err err = ERR_INIT;
	int64_t count = 0;

	span_draft_init(&d);
	ok(span_scan(blob, ignore, &count, NULL, NULL, &d, &err) < 0 && err.reason == reason, "%s: refused", name);
	if (!ok(strstr(err.text, word) != NULL, "%s: says \"%s\"", name, word))
		printf("# %s\n", err.text);
}

static void test_ends(void)
{
	auto_buf struct buf text = BUF_INIT, gz = BUF_INIT, zst = BUF_INIT;
	static const struct {
		const char *bytes;
		size_t len;
		bool padding;
	} ends[] = {
		{ "\0", 1, true },	 { "\0\0", 2, true },	     { "\0\0\0\0\0\0\0\0\0\0", 10, true },
		{ "\x1f", 1, false },	 { "garbage", 7, false },    { "\0x", 2, false },
		{ "\0\0\0x", 4, false }, { "\x1f\x8b", 2, false },   { "\x1f\x8b\7\0\0\0\0\0\0\0\0\0", 12, false },
		{ "\x28", 1, false },	 { "\x28\xb5\x2f\xfd", 4, false }, { "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0y", 23, false },
	};

	add_mixed(&text, 30000, 5);
	add_gzip(&gz, "-6", &text);
	add_zstd(&zst, text.data, text.len, true, true);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		auto_buf struct buf a = BUF_INIT, b = BUF_INIT;

		buf_add(&a, gz.data, gz.len);
		buf_add(&a, ends[i].bytes, ends[i].len);
		buf_add(&b, zst.data, zst.len);
		buf_add(&b, ends[i].bytes, ends[i].len);
		if (ends[i].padding) {
			check_blob("gzip and padding", &a, &text, SPAN_GZIP, 1);
			check_blob("zstd and padding", &b, &text, SPAN_ZSTD, 1);
		} else {
			check_refused("gzip and garbage", &a, ERR_CORRUPT, "gzip layer is damaged");
			check_refused("zstd and garbage", &b, ERR_CORRUPT, "zstd layer is damaged");
		}
	}
}

static void test_refused(void)
{
	static const struct {
		const char *name, *bytes;
		size_t len;
		enum reason reason;
		const char *word;
	} rows[] = {
		{ "bzip2", "BZh91AY&SY....", 14, ERR_UNSUPPORTED, "bzip2" },
		{ "empty bzip2", "BZh9\x17\x72\x45\x38\x50\x90....", 14, ERR_UNSUPPORTED, "bzip2" },
		{ "xz", "\xfd" "7zXZ\0....", 10, ERR_UNSUPPORTED, "xz" },
		{ "a reserved flag", "\x1f\x8b\x08\x20\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0", 20, ERR_CORRUPT, "header" },
		{ "a wrong header checksum", "\x1f\x8b\x08\2\0\0\0\0\0\3xx\3\0\0\0\0\0\0\0\0\0", 22, ERR_CORRUPT, "checksum" },
		{ "a wrong checksum", "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\1\0\0\0\0\0\0\0", 20, ERR_CORRUPT, "checksum" },
		{ "a wrong count", "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\1\0\0\0", 20, ERR_CORRUPT, "count" },
		{ "no block", "\x1f\x8b\x08\0\0\0\0\0\0\3\7\0\0\0\0\0\0\0\0\0", 20, ERR_CORRUPT, "at byte 1" },
		{ "gzip's magic only", "\x1f\x8b\x08", 3, ERR_CORRUPT, "header" },
		{ "zstd's magic only", "\x28\xb5\x2f\xfd", 4, ERR_CORRUPT, "middle" },
		{ "a zstd dictionary", "\x28\xb5\x2f\xfd\x21\5\1\x09\0\0a", 11, ERR_UNSUPPORTED, "dictionary" },
		{ "a zstd window of 256 MiB", "\x28\xb5\x2f\xfd\0\x90\x09\0\0a", 10, ERR_UNSUPPORTED, "128 MiB" },
		{ "a frame cut off", "\x28\xb5\x2f\xfd\0\x88\x09\0\0", 9, ERR_CORRUPT, "middle" },
		{ "a skippable frame cut off", "\x50\x2a\x4d\x18\4\0\0\0ab", 10, ERR_CORRUPT, "middle" },
	};
	auto_buf struct buf a = BUF_INIT, frame = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT;

		buf_add(&b, rows[i].bytes, rows[i].len);
		check_refused(rows[i].name, &b, rows[i].reason, rows[i].word);
	}
	buf_adds(&a, "a");
	buf_add(&frame, "\x28\xb5\x2f\xfd\0\x88\x09\0\0a", 10);
	check_blob("a zstd window of 128 MiB", &frame, &a, SPAN_ZSTD, 1);
}

static void test_zstd(void)
{
	auto_buf struct buf mixed = BUF_INIT, frames = BUF_INIT, unsized = BUF_INIT, one = BUF_INIT, large = BUF_INIT,
			    huge = BUF_INIT, skippable = BUF_INIT, none = BUF_INIT;
	auto_span_draft struct span_draft d;
	auto_content struct content *blob = NULL;
	int64_t count = 0;

	add_mixed(&mixed, 5 * MIB, 6);
	add_skippable(&frames, 0, 4);
	for (size_t at = 0, i = 0; at < mixed.len; i++) {
		size_t n = MIN(i % 7 == 0 ? (size_t)900000 : 1 + i * 50, mixed.len - at);

		add_zstd(&frames, mixed.data + at, n, i % 2, true);
		add_zstd(&unsized, mixed.data + at, n, i % 2, false);
		if (i % 5 == 0) {
			add_skippable(&frames, (uint8_t)(i % 16), (uint32_t)i);
			add_zstd(&unsized, "", 0, true, i % 2);
		}
		at += n;
	}
	add_skippable(&frames, 15, 100000);
	check_blob("zstd frames", &frames, &mixed, SPAN_ZSTD, 5);
	check_blob("zstd frames that don't say their size", &unsized, &mixed, SPAN_ZSTD, 3);
	add_zstd(&one, mixed.data, mixed.len, true, true);
	check_blob("one zstd frame", &one, &mixed, SPAN_ZSTD, 1);
	add_skippable(&skippable, 3, 0);
	check_blob("a skippable frame", &skippable, &none, SPAN_ZSTD, 0);
	mixed.len = 0;
	add_mixed(&mixed, LIMIT_SPAN + 1, 7);
	mixed.len--;
	add_zstd(&large, mixed.data, mixed.len, true, true);
	check_blob("a zstd frame of LIMIT_SPAN", &large, &mixed, SPAN_ZSTD, 1);
	mixed.len++;
	add_zstd(&huge, mixed.data, mixed.len, true, true);
	check_blob("a zstd frame beyond LIMIT_SPAN", &huge, &mixed, SPAN_NONE, 0);
	buf_add(&large, huge.data, huge.len);
	blob = content_of(&large);
	span_draft_init(&d);
	is_int(span_scan(blob, ignore, &count, NULL, NULL, &d, NULL), 0, "a good frame before it");
	is_int(d.coding, SPAN_NONE, "doesn't help");
	is_int(count, 2 * LIMIT_SPAN + 1, "all bytes come");
}

/* ---- A decoded copy ---- */

static bool say_stop(void *arg)
{
	return --*(int *)arg < 0;
}

static int fail_late(void *arg, const void *data, size_t len, struct err *err)
{
	(void)data;
	*(int64_t *)arg -= (int64_t)len;
	return *(int64_t *)arg < 0 ? err_set(err, ERR_NO_SPACE, "full") : 0;
}

static void check_copy(const char *name, const struct buf *bytes, const struct buf *original)
{
	auto_content struct content *blob = content_of(bytes), *copied = NULL;
	auto_span_draft struct span_draft d, stopped;
	struct err err = ERR_INIT;
	struct span_table t;
	struct stat st = { 0 };
	int fd = memfd_create("copy", MFD_CLOEXEC), patience = 3;
	size_t wrong = 0;

	span_draft_init(&d);
	span_draft_init(&stopped);
	is_int(span_copy(blob, fd, say_stop, &patience, &stopped, &err), -ESTALE, "%s: a copy can be stopped", name);
	if (!is_int(span_copy(blob, fd, NULL, NULL, &d, &err), 0, "%s: a copy", name))
		printf("# %s\n", err.text);
	t = span_draft_table(&d);
	fstat(fd, &st);
	is_int(t.coding, SPAN_ZSTD, "%s: the copy's coding", name);
	is_int(span_table_check(&t, st.st_size, &err), 0, "%s: the copy's table", name);
	is_int((int64_t)t.count, (int64_t)((original->len + SPAN_TARGET - 1) / SPAN_TARGET), "%s: the copy's spans", name);
	is_int(content_from_fd(fd, st.st_size, &copied, &err), 0, "%s: the copy is read", name);
	is_int((int64_t)decode_spans(&t, copied, original, &wrong, &err), (int64_t)t.count, "%s: and right", name);
	ok(decode_parts(&t, copied, original), "%s: its beginnings, too", name);
}

static void test_copy(void)
{
	auto_buf struct buf mixed = BUF_INIT, block = BUF_INIT, frame = BUF_INIT;
	auto_content struct content *blob = NULL;
	auto_span_draft struct span_draft d;
	struct err err = ERR_INIT;
	int64_t room = 3000000;
	struct span_layer *l;
	struct span_table t;

	add_mixed(&mixed, LIMIT_SPAN + 3 * MIB + 5, 8);
	add_igzip(&block, mixed.data, mixed.len, 0, 0);
	check_blob("one deflate block", &block, &mixed, SPAN_NONE, 0);
	check_copy("one deflate block", &block, &mixed);
	add_zstd(&frame, mixed.data, mixed.len, true, false);
	check_blob("one zstd frame, size unsaid", &frame, &mixed, SPAN_NONE, 0);
	check_copy("one zstd frame", &frame, &mixed);

	blob = content_of(&block);
	span_draft_init(&d);
	is_int(span_scan(blob, fail_late, &room, NULL, NULL, &d, &err), -ENOSPC, "who takes the bytes can end the scan");
	is_str(err.text, "full", "with an error of its own");
	d.coding = SPAN_NONE;
	t = span_draft_table(&d);
	is_int(span_layer_new(NULL, &t, blob, &l, &err), -EOPNOTSUPP, "NONE isn't read");
}

/* ---- Damage ---- */

/* Scans bytes that may be damaged: 1 refused, 0 the right ones, -1 wrong ones. */
static int scan_damaged(const struct buf *bytes, const struct buf *original)
{
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	auto_buf struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	span_draft_init(&d);
	if (span_scan(blob, collect, &out, NULL, NULL, &d, &err) < 0)
		return err.reason == ERR_CORRUPT || err.reason == ERR_UNSUPPORTED ? 1 : -1;
	return same(&out, original) || d.coding == SPAN_PLAIN ? 0 : -1;
}

static void check_damage(const char *name, const struct buf *bytes, const struct buf *original)
{
	auto_buf struct buf b = BUF_INIT;
	int wrong = 0, refused = 0, cut = 0;

	buf_add(&b, bytes->data, bytes->len);
	for (size_t i = 0; i < bytes->len; i++) {
		for (unsigned bit = 0; bit < 9; bit++) {
			char mask = (char)(bit < 8 ? 1 << bit : 0xff);
			int ret;

			b.data[i] ^= mask;
			ret = scan_damaged(&b, original);
			b.data[i] ^= mask;
			wrong += ret < 0;
			refused += ret > 0;
		}
	}
	is_int(wrong, 0, "%s: no flipped bit gives wrong bytes", name);
	ok(refused > (int)bytes->len * 8, "%s: flips are found", name);
	for (size_t len = 4; len < bytes->len; len++) {
		b.len = len;
		cut += scan_damaged(&b, original) == 1;
	}
	is_int(cut, (int64_t)bytes->len - 4, "%s: cut off anywhere, it is refused", name);
}

/* Flips in a blob of several spans, read by the sound table. */
static void check_damaged_spans(const char *name, const struct buf *bytes, const struct buf *original, size_t step)
{
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	struct err err = ERR_INIT;
	struct span_table t;
	int64_t count = 0;
	size_t wrong = 0, failed = 0, others = 0;

	span_draft_init(&d);
	is_int(span_scan(blob, ignore, &count, NULL, NULL, &d, &err), 0, "%s: scanned", name);
	t = span_draft_table(&d);
	ok(t.count > 2, "%s: several spans", name);
	for (size_t i = 0; i < bytes->len; i += step) {
		auto_content struct content *flipped = NULL;
		struct buf b = BUF_INIT;
		size_t right;

		buf_add(&b, bytes->data, bytes->len);
		b.data[i] ^= (char)(1 << i % 8);
		if (content_from_buf(&b, &flipped, NULL) < 0)
			break;
		err.reason = ERR_CORRUPT;
		right = decode_spans(&t, flipped, original, &wrong, &err);
		failed += right < t.count;
		others += err.reason != ERR_CORRUPT;
	}
	is_int((int64_t)wrong, 0, "%s: a flipped bit never gives wrong bytes", name);
	is_int((int64_t)others, 0, "%s: but ERR_CORRUPT", name);
	ok(failed > bytes->len / step / 2, "%s: which it does give", name);
}

static void test_damage(void)
{
	auto_buf struct buf text = BUF_INIT, gz = BUF_INIT, members = BUF_INIT, zst = BUF_INIT, dense = BUF_INIT,
			    dense_gz = BUF_INIT, dense_zst = BUF_INIT;

	add_mixed(&text, 3000, 9);
	add_gzip(&gz, "-6", &text);
	check_damage("gzip", &gz, &text);
	add_stored(&members, text.data, 500, HCRC | NAME | EXTRA | COMMENT, 1);
	check_damage("a stored block", &members, &(struct buf){ .data = text.data, .len = 500 });
	add_zstd(&zst, text.data, text.len, true, true);
	check_damage("zstd", &zst, &text);
	add_dense(&dense, 6 * MIB + 100);
	add_gzip(&dense_gz, "-9", &dense);
	check_damaged_spans("gzip spans", &dense_gz, &dense, MAX(dense_gz.len / 150, (size_t)1));
	for (size_t at = 0; at < dense.len; at += 100000)
		add_zstd(&dense_zst, dense.data + at, MIN((size_t)100000, dense.len - at), false, true);
	check_damaged_spans("zstd spans", &dense_zst, &dense, MAX(dense_zst.len / 150, (size_t)1));
}

/* ---- Tables that lie ---- */

struct lie {
	const char *name;
	size_t at, len;
};

static void check_lies(const char *name, const struct buf *bytes, const struct buf *original)
{
	static const struct lie lies[] = {
#define FIELD(f) { #f, offsetof(struct span_row, f), sizeof(((struct span_row *)NULL)->f) }
		FIELD(in), FIELD(out), FIELD(window), FIELD(piece), FIELD(window_size), FIELD(bits), FIELD(flags), FIELD(size),
	};
	static const uint64_t values[] = { 0, 1, 2, 7, 8, 0xff, 0xffff, 0x7fffffff, 0xffffffff, UINT64_MAX, INT64_MAX, LIMIT_SPAN,
					   LIMIT_SPAN + 1 };
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	auto_free struct span_row *rows = NULL;
	struct err err = ERR_INIT;
	struct span_table t;
	int64_t count = 0;
	size_t wrong = 0, accepted = 0, refused = 0;

	span_draft_init(&d);
	is_int(span_scan(blob, ignore, &count, NULL, NULL, &d, &err), 0, "%s: scanned", name);
	t = span_draft_table(&d);
	rows = malloc(t.count * sizeof(*rows));
	for (size_t i = 0; i < t.count; i++) {
		for (size_t f = 0; f < ARRAY_SIZE(lies); f++) {
			for (size_t v = 0; v < ARRAY_SIZE(values) + 6; v++) {
				uint8_t *field = (uint8_t *)&rows[i] + lies[f].at;
				uint64_t value = 0;
				struct span_table lying = t;

				memcpy(rows, t.rows, t.count * sizeof(*rows));
				memcpy(&value, field, lies[f].len);
				value = v < ARRAY_SIZE(values) ? values[v] : value + (v - ARRAY_SIZE(values)) - 3;
				memcpy(field, &value, lies[f].len);
				lying.rows = rows;
				if (span_table_check(&lying, (int64_t)bytes->len, &err) < 0) {
					refused++;
					continue;
				}
				accepted++;
				decode_spans(&lying, blob, original, &wrong, &err);
			}
		}
	}
	is_int((int64_t)wrong, 0, "%s: a lying row never gives wrong bytes", name);
	ok(refused > 0 && accepted > 0, "%s: %zu lies refused, %zu not told from the truth", name, refused, accepted);
}

static void test_lies(void)
{
	auto_buf struct buf dense = BUF_INIT, gz = BUF_INIT, zst = BUF_INIT;
	auto_content struct content *blob = NULL;
	auto_span_draft struct span_draft d;
	struct span_table t, bad;
	struct err err = ERR_INIT;
	auto_free uint8_t *windows = NULL;
	auto_free uint32_t *pieces = NULL;
	int64_t count = 0;
	size_t wrong = 0;

	add_dense(&dense, 4 * MIB);
	add_gzip(&gz, "-6", &dense);
	check_lies("gzip", &gz, &dense);
	for (size_t at = 0; at < dense.len; at += 300000)
		add_zstd(&zst, dense.data + at, MIN((size_t)300000, dense.len - at), true, true);
	check_lies("zstd", &zst, &dense);

	blob = content_of(&gz);
	span_draft_init(&d);
	is_int(span_scan(blob, ignore, &count, NULL, NULL, &d, &err), 0, "scanned");
	t = span_draft_table(&d);
#define LIE(change, what)                                                                                   \
	do {                                                                                                \
		bad = t;                                                                                    \
		change;                                                                                     \
		is_int(span_table_check(&bad, (int64_t)gz.len, &err), -EIO, "%s", what);                    \
	} while (0)
	LIE(bad.coding = 0, "no coding");
	LIE(bad.coding = 99, "an unknown coding");
	LIE(bad.coding = SPAN_PLAIN, "plain, with others' rows");
	LIE(bad.coding = SPAN_NONE, "none, with rows");
	LIE(bad.coding = SPAN_ZSTD, "zstd, with windows");
	LIE(bad.size++, "a byte too many");
	LIE(bad.size--, "a byte too few");
	LIE(bad.size = -1, "a negative size");
	LIE(bad.size = INT64_MAX, "a monstrous size");
	LIE(bad.count--, "a row too few");
	LIE(bad.count = 0, "no rows");
	LIE(bad.piece_count--, "a piece too few");
	LIE(bad.piece_count++, "a piece too many");
	LIE(bad.windows_size = 0, "no windows");
	LIE(bad.rows = (const void *)((const char *)bad.rows + 1), "rows at an odd address");
	LIE(bad.pieces = (const void *)((const char *)bad.pieces + 1), "pieces at an odd address");
	is_int(span_table_check(&t, 100, &err), -EIO, "a shorter blob");
	{
		static const uint32_t sum;
		struct span_row row = { .size = 5 };

		bad = (struct span_table){ .coding = SPAN_PLAIN, .size = 5, .rows = &row, .count = 1, .pieces = &sum, .piece_count = 1 };
		is_int(span_table_check(&bad, 5, &err), 0, "plain");
		is_int(span_table_check(&bad, 6, &err), -EIO, "plain of another size");
		row.in = 1;
		is_int(span_table_check(&bad, 5, &err), -EIO, "plain that begins elsewhere");
		bad.count = 0;
		is_int(span_table_check(&bad, 5, &err), -EIO, "plain without rows");
	}

	/* Damaged windows and pieces. */
	bad = t;
	windows = malloc(t.windows_size);
	pieces = malloc(t.piece_count * sizeof(*pieces));
	bad.windows = windows;
	for (size_t i = 0; i < t.windows_size; i++) {
		memcpy(windows, t.windows, t.windows_size);
		windows[i] ^= (uint8_t)(1 << i % 8);
		decode_spans(&bad, blob, &dense, &wrong, &err);
	}
	is_int((int64_t)wrong, 0, "a damaged window never gives wrong bytes");
	bad = t;
	bad.pieces = pieces;
	for (size_t i = 0; i < t.piece_count; i++) {
		memcpy(pieces, t.pieces, t.piece_count * sizeof(*pieces));
		pieces[i] ^= 1;
		is_int((int64_t)decode_spans(&bad, blob, &dense, &wrong, &err), (int64_t)t.count - 1,
		       "a damaged checksum: one span is refused");
	}
}

/* ---- Bombs ---- */

static int64_t scan_bomb(const struct buf *bytes, struct err *err, enum span_coding *coding)
{
	auto_content struct content *blob = content_of(bytes);
	auto_span_draft struct span_draft d;
	int64_t count = 0;
	int ret;

	span_draft_init(&d);
	ret = span_scan(blob, ignore, &count, NULL, NULL, &d, err);
	*coding = d.coding;
	return ret < 0 ? ret : count;
}

static void test_bomb(void)
{
	auto_buf struct buf zeros = BUF_INIT, gz = BUF_INIT, zst = BUF_INIT, b = BUF_INIT;
	struct err err = ERR_INIT;
	enum span_coding coding;

	buf_reserve(&zeros, 16 * MIB);
	memset(zeros.data, 0, 16 * MIB);
	zeros.len = 16 * MIB;
	add_gzip(&gz, "-9", &zeros);
	for (int i = 0; i < 65; i++)
		buf_add(&b, gz.data, gz.len);
	is_int(scan_bomb(&b, &err, &coding), 65 * 16 * (int64_t)MIB, "1 GiB of zeros, deflated: a layer like others");
	is_int(coding, SPAN_GZIP, "with spans");
	add_zstd(&zst, zeros.data, zeros.len, true, true);
	buf_reset(&b);
	for (int i = 0; i < 64; i++)
		buf_add(&b, zst.data, zst.len);
	is_int(scan_bomb(&b, &err, &coding), (int64_t)1 << 30, "1 GiB of zeros by zstd: at the limit");
	buf_add(&b, zst.data, zst.len);
	is_int(scan_bomb(&b, &err, &coding), -EIO, "more: refused");
	ok(strstr(err.text, "1100 times") != NULL, "says the ratio");
	if (!strstr(err.text, "1100 times"))
		printf("# %s\n", err.text);
}

/* ---- The cache ---- */

struct opened {
	struct content *blob;
	struct span_draft d;
	struct span_table t;
	struct span_layer *l;
};

static void open_layer(struct opened *o, struct span_cache *c, const struct buf *bytes)
{
	struct err err = ERR_INIT;
	int64_t count = 0;

	o->blob = content_of(bytes);
	span_draft_init(&o->d);
	if (span_scan(o->blob, ignore, &count, NULL, NULL, &o->d, &err) < 0)
		printf("# %s\n", err.text);
	o->t = span_draft_table(&o->d);
	is_int(span_layer_new(c, &o->t, o->blob, &o->l, &err), 0, "opened");
}

static void close_layer(struct opened *o)
{
	span_layer_free(o->l);
	span_draft_release(&o->d);
	content_free(o->blob);
}

/* Reads and forgets. */
static void touch(struct opened *o, size_t offset, size_t len)
{
	auto_free char *data = malloc(len);

	if (span_read(o->l, data, len, (int64_t)offset, NULL) < 0)
		printf("# a read failed\n");
}

static void test_cache(void)
{
	auto_buf struct buf mixed = BUF_INIT, gz = BUF_INIT;
	struct span_cache *c = NULL;
	struct span_stats s;
	struct opened o;
	char data[8192];
	int64_t second;

	add_mixed(&mixed, 8 * MIB, 10);
	add_gzip(&gz, "-6", &mixed);
	is_int(span_cache_new(64 * MIB, 0, &c, NULL), 0, "a cache without threads");
	open_layer(&o, c, &gz);
	second = (int64_t)o.t.rows[1].out;
	is_int(span_read(o.l, data, 4096, second + 300000, NULL), 4096, "a small read");
	span_cache_stats(c, &s);
	is_int(s.decoded, 1, "decodes one span");
	is_int(s.decoded_bytes, 3 * SPAN_PIECE, "as far as the piece that is wanted");
	is_int(s.held_bytes, 3 * SPAN_PIECE, "which is kept");
	is_int(s.hits, 0, "and wasn't there");
	is_int(span_read(o.l, data, 8192, second + 300001, NULL), 8192, "another one near it");
	ok(!memcmp(data, mixed.data + second + 300001, 8192), "has the right bytes");
	span_cache_stats(c, &s);
	is_int(s.decoded, 1, "decodes nothing");
	is_int(s.hits, 1, "a hit");
	is_int(span_read(o.l, data, 4096, second + 900000, NULL), 4096, "one further behind");
	span_cache_stats(c, &s);
	is_int(s.decoded, 2, "decodes again");
	is_int(s.held_bytes, (o.t.rows[1].size + SPAN_PIECE - 1) / SPAN_PIECE * SPAN_PIECE, "the whole span, instead of its beginning");
	is_int(span_read(o.l, data, 4096, second + o.t.rows[1].size - 1, NULL), 4096, "over a span's end");
	ok(!memcmp(data, mixed.data + second + o.t.rows[1].size - 1, 4096), "has the right bytes");
	span_cache_stats(c, &s);
	is_int(s.decoded, 3, "decodes the other");
	is_int(span_read(o.l, data, 4096, o.t.size - 10, NULL), 10, "at the end: what there is");
	is_int(span_read(o.l, data, 4096, o.t.size, NULL), 0, "behind it: nothing");
	is_int(span_read(o.l, data, 4096, INT64_MAX, NULL), 0, "far behind it: nothing");
	is_int(span_read(o.l, data, 0, 0, NULL), 0, "no bytes");
	is_int(span_read(o.l, data, 1, -1, NULL), -EINVAL, "before the beginning: an error");
	close_layer(&o);
	span_cache_stats(c, &s);
	is_int(s.held_bytes, 0, "a freed layer's spans are gone");
	span_cache_free(c);

	is_int(span_cache_new(0, 0, &c, NULL), 0, "a cache that keeps nothing");
	open_layer(&o, c, &gz);
	for (int i = 0; i < 3; i++)
		is_int(span_read(o.l, data, 4096, second, NULL), 4096, "reads");
	span_cache_stats(c, &s);
	is_int(s.decoded, 3, "by decoding each time");
	is_int(s.held_bytes, 0, "and holds nothing");
	close_layer(&o);
	span_cache_free(c);
}

static void test_eviction(void)
{
	auto_buf struct buf mixed = BUF_INIT, gz = BUF_INIT;
	struct span_cache *c = NULL;
	struct span_stats s;
	struct opened o;
	bool bounded = true;

	add_mixed(&mixed, 8 * MIB, 11);
	add_gzip(&gz, "-1", &mixed);
	is_int(span_cache_new(8 * SPAN_PIECE, 0, &c, NULL), 0, "a cache of eight pieces");
	open_layer(&o, c, &gz);
	for (size_t i = 0; i < o.t.count; i++) {
		/* The first stays in use. */
		touch(&o, 0, 1);
		touch(&o, o.t.rows[i].out + SPAN_PIECE, 1);
		span_cache_stats(c, &s);
		bounded = bounded && s.held_bytes <= 8 * SPAN_PIECE;
	}
	ok(bounded, "never more than the budget");
	touch(&o, o.t.rows[o.t.count - 1].out, 1);
	span_cache_stats(c, &s);
	ok(s.decoded <= (int64_t)o.t.count + 2, "what is used stays");
	close_layer(&o);
	span_cache_free(c);
}

static void test_ahead(void)
{
	auto_buf struct buf mixed = BUF_INIT, gz = BUF_INIT;
	struct span_cache *c = NULL;
	struct span_stats s;
	struct opened o;
	bool right = true;
	char data[65536];

	add_mixed(&mixed, 8 * MIB, 12);
	add_gzip(&gz, "-6", &mixed);
	is_int(span_cache_new(64 * MIB, 2, &c, NULL), 0, "a cache with threads");
	open_layer(&o, c, &gz);
	for (size_t at = 0; at < 600000; at += sizeof(data))
		touch(&o, at, sizeof(data));
	/* Waits for what is being decoded ahead: it isn't decoded a second time. */
	touch(&o, o.t.rows[1].out, 1);
	span_cache_stats(c, &s);
	/* The first span's beginning, all of it, the second, and perhaps the third by now. */
	ok(s.decoded == 3 || s.decoded == 4, "the next span is decoded once");
	for (size_t at = 0; at < mixed.len; at += sizeof(data))
		right = right && span_read(o.l, data, sizeof(data), (int64_t)at, NULL) == (ssize_t)MIN(sizeof(data), mixed.len - at) &&
			!memcmp(data, mixed.data + at, MIN(sizeof(data), mixed.len - at));
	ok(right, "read from one end to the other");
	span_cache_stats(c, &s);
	ok(s.decoded <= (int64_t)o.t.count + 1, "no span was decoded twice but the first");
	close_layer(&o);
	span_cache_free(c);
}

/* A damaged span read ahead, and by several at once, is an error for who reads it only. */
static void test_cache_damage(void)
{
	auto_buf struct buf mixed = BUF_INIT, gz = BUF_INIT;
	struct span_cache *c = NULL;
	struct opened o, damaged;
	struct err err = ERR_INIT;
	bool right = true;
	char data[65536];
	size_t at;

	add_mixed(&mixed, 4 * MIB, 13);
	add_gzip(&gz, "-6", &mixed);
	is_int(span_cache_new(64 * MIB, 1, &c, NULL), 0, "a cache");
	open_layer(&o, c, &gz);
	gz.data[o.t.rows[1].in + 5000] ^= 1;
	damaged = (struct opened){ .blob = content_of(&gz), .t = o.t };
	is_int(span_layer_new(c, &o.t, damaged.blob, &damaged.l, NULL), 0, "a damaged layer");
	for (at = 0; at + sizeof(data) <= o.t.rows[1].out; at += sizeof(data))
		right = right && span_read(damaged.l, data, sizeof(data), (int64_t)at, NULL) == sizeof(data) &&
			!memcmp(data, mixed.data + at, sizeof(data));
	ok(right, "is read before the damage");
	for (int i = 0; i < 2; i++)
		is_int(span_read(damaged.l, data, 1, (int64_t)o.t.rows[1].out + 900000, &err), -EIO, "not in it");
	is_int(err.reason, ERR_CORRUPT, "which is ERR_CORRUPT");
	is_int(span_read(damaged.l, data, 1, (int64_t)o.t.rows[2].out, &err), 1, "and behind it");
	span_layer_free(damaged.l);
	content_free(damaged.blob);
	close_layer(&o);
	span_cache_free(c);
}

struct reader {
	pthread_t thread;
	struct span_layer *l;
	const struct buf *original;
	uint64_t seed;
	bool good;
};

static void *read_always(void *arg)
{
	struct reader *r = arg;
	auto_free char *data = malloc(100000);

	r->good = read_randomly(r->l, r->original, 60, r->seed);
	for (size_t at = 0; at < r->original->len && r->good; at += 100000) {
		size_t n = MIN((size_t)100000, r->original->len - at);

		r->good = span_read(r->l, data, 100000, (int64_t)at, NULL) == (ssize_t)n &&
			  !memcmp(data, r->original->data + at, n);
	}
	return NULL;
}

static void *read_one(void *arg)
{
	struct reader *r = arg;
	char byte;

	r->good = span_read(r->l, &byte, 1, 5, NULL) == 1 && byte == r->original->data[5];
	return NULL;
}

static void test_threads(void)
{
	auto_buf struct buf first = BUF_INIT, second = BUF_INIT, gz = BUF_INIT, zst = BUF_INIT;
	struct span_cache *c = NULL;
	struct reader readers[6];
	struct opened o[2];
	struct span_stats s;
	bool good = true;

	add_mixed(&first, 6 * MIB, 14);
	add_mixed(&second, 5 * MIB, 15);
	add_gzip(&gz, "-6", &first);
	for (size_t at = 0; at < second.len; at += 200000)
		add_zstd(&zst, second.data + at, MIN((size_t)200000, second.len - at), true, at % 400000);
	is_int(span_cache_new(5 * MIB, 2, &c, NULL), 0, "a cache for six threads");
	open_layer(&o[0], c, &gz);
	open_layer(&o[1], c, &zst);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = (struct reader){ .l = o[i % 2].l, .original = i % 2 ? &second : &first, .seed = i };
		pthread_create(&readers[i].thread, NULL, read_always, &readers[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		good = good && readers[i].good;
	}
	ok(good, "all read the right bytes");
	close_layer(&o[0]);
	close_layer(&o[1]);
	span_cache_stats(c, &s);
	is_int(s.held_bytes, 0, "nothing is left");
	span_cache_free(c);

	is_int(span_cache_new(5 * MIB, 0, &c, NULL), 0, "another one");
	open_layer(&o[0], c, &gz);
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		readers[i] = (struct reader){ .l = o[0].l, .original = &first };
		pthread_create(&readers[i].thread, NULL, read_one, &readers[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++) {
		pthread_join(readers[i].thread, NULL);
		good = good && readers[i].good;
	}
	span_cache_stats(c, &s);
	ok(good && s.decoded == 1, "six readers of one span: decoded once");
	close_layer(&o[0]);
	span_cache_free(c);
}

int main(void)
{
	test_plain();
	test_gzip();
	test_programs();
	test_members();
	test_ends();
	test_refused();
	test_zstd();
	test_copy();
	test_damage();
	test_lies();
	test_bomb();
	test_cache();
	test_eviction();
	test_ahead();
	test_cache_damage();
	test_threads();
	return done_testing();
}
