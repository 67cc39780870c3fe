/*
 * test_tar.c: the tar reader, with archives made by hand.
 *
 * Each is read whole, byte by byte, and cut in two at every byte (at some, if it is large): what
 * comes is the same. Called with
 * a file's name, it lists that as text instead: tests/tar.t compares archives of real programs so.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/tar.h"
#include "tests/unit/fault.h"
#include "tests/unit/tap.h"
#include "tests/unit/tarball.h"

/* ---- Reading in every way ---- */

/* In pieces of `piece` bytes, the first one of `first`. */
static int read_pieces(const struct buf *b, size_t first, size_t piece, struct buf *out, struct err *err)
{
	auto_tar_reader struct tar_reader *t = NULL;
	size_t done = 0, n = first;
	int r = tar_reader_new(tarball_entry_text, out, &t, err);

	while (r == 0 && done < b->len) {
		/* A copy of its own, so that the sanitizer sees a byte read beyond it. */
		auto_free char *copy = NULL;

		n = MIN(n, b->len - done);
		copy = malloc(MAX(n, (size_t)1));
		if (!copy)
			return err_set(err, ERR_NO_MEMORY, "no memory for a piece");
		memcpy(copy, b->data + done, n);
		r = tar_feed(t, copy, n, err);
		done += n;
		n = piece;
	}
	return r < 0 ? r : tar_end(t, err);
}

static bool same_in_pieces(const struct buf *b, int want, const char *text, const char *entries)
{
	size_t step = b->len > 20000 ? 997 : b->len > 4096 ? 13 : 1;

	for (size_t first = 0; first < b->len + step; first += step) {
		auto_buf struct buf out = BUF_INIT;
		struct err err = ERR_INIT;
		/* The first round goes byte by byte. */
		int r = read_pieces(b, first ? first : 1, first ? b->len : 1, &out, &err);

		if (r == want && streq(err.text, text) && streq(out.data, entries))
			continue;
		printf("# cut at %zu: %d %s\n#   %s\n", first, r, err.text, out.data);
		return false;
	}
	return true;
}

/* Ends with the archive. */
static void gives(struct buf *b, const char *entries, const char *name)
{
	auto_buf struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	int r = read_pieces(b, b->len, b->len, &out, &err);

	is_str(r < 0 ? err.text : out.data, entries, "%s", name);
	ok(same_in_pieces(b, r, err.text, out.data), "%s: in pieces, too", name);
	buf_reset(b);
}

/* The error's text ends so. */
static void refuses(struct buf *b, const char *text, const char *name)
{
	auto_buf struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	int r = read_pieces(b, b->len, b->len, &out, &err);
	size_t n = strlen(err.text), want = strlen(text);

	if (!ok(r < 0 && err.reason == ERR_CORRUPT && n >= want && streq(err.text + n - want, text), "refused: %s", name))
		printf("#   got: %d %s\n#  want: %s\n# entries: %s\n", r, err.text, text, out.data);
	ok(same_in_pieces(b, r, err.text, out.data), "refused: %s: in pieces, too", name);
	buf_reset(b);
}

/* ---- Plain headers ---- */

static void test_types(void)
{
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h;

	tarball_header(&b, '0', "a", 3);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '\0', "b", 0);
	tarball_header(&b, '7', "c", 513);
	tarball_data(&b, memset((char[513]){ 0 }, 'x', 513), 513);
	tarball_end(&b);
	gives(&b, "f a s3 @512\nf b\nf c s513 @2048\n", "files");

	h = tarball_header(&b, '1', "h", 0);
	tarball_set(h, 157, 100, "a");
	h = tarball_header(&b, '2', "l", 0);
	tarball_set(h, 157, 100, "../a");
	tarball_header(&b, '5', "d/", 0);
	tarball_header(&b, '6', "p", 0);
	for (int type = '3'; type <= '4'; type++) {
		h = tarball_header(&b, (char)type, "dev", 0);
		tarball_set(h, 329, 8, "0000010");
		tarball_set(h, 337, 8, "0000777");
	}
	tarball_end(&b);
	gives(&b, "h h -> a\nl l -> ../a\nd d/\np p\nc dev 8,511\nb dev 8,511\n", "everything else");

	/* Bytes that aren't there: a header stands right behind. */
	h = tarball_header(&b, '1', "h", 1234567);
	tarball_set(h, 157, 100, "a");
	h = tarball_header(&b, '2', "l", 99);
	tarball_set(h, 157, 100, "a");
	tarball_header(&b, '3', "c", 99);
	tarball_header(&b, '4', "b", 99);
	tarball_header(&b, '5', "d", 99);
	tarball_header(&b, '6', "p", 99);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "h h -> a\nl l -> a\nc c 0,0\nb b 0,0\nd d\np p\nf f\n", "the size of what has no data is ignored");

	tarball_pax(&b, 'x', "size=600", NULL);
	h = tarball_header(&b, '1', "h", 0);
	tarball_set(h, 157, 100, "a");
	tarball_header(&b, '0', "f", 0);
	gives(&b, "h h -> a\nf f\n", "PAX's, too");

	h = tarball_header(&b, '1', "h", 3);
	tarball_set(h, 157, 100, "a");
	tarball_data(&b, "abc", 3);
	refuses(&b, "at byte 512: wrong checksum", "a hard link with data");

	tarball_gnu(&b, 'D', "d/", 5);
	tarball_data(&b, "Yabc", 5);
	tarball_gnu(&b, 'V', "label", 3);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, 'A', "acl", 3);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, 'Z', "vendor", 3);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "d d/\nf vendor s3 @3584\nf f\n", "vendors' types");

	tarball_pax(&b, 'X', "path=solaris", NULL);
	tarball_header(&b, 'A', "acl", 3);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f solaris\n", "Solaris");

	tarball_pax(&b, 'x', "path=label", "size=3", NULL);
	tarball_header(&b, 'V', "v", 0);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f f\n", "a label takes its extended headers along");

	tarball_gnu(&b, 'M', "m", 0);
	refuses(&b, "at byte 0: type M can't stand in a layer", "a part of a file");
	tarball_gnu(&b, 'N', "m", 0);
	refuses(&b, "at byte 0: type N can't stand in a layer", "a script that renames");
}

static void test_names(void)
{
	char hundred[101], prefix[156], want[600];
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h;

	memset(hundred, 'n', 100);
	hundred[100] = '\0';
	memset(prefix, 'p', 155);
	prefix[155] = '\0';
	h = tarball_header(&b, '2', hundred, 0);
	tarball_set(h, 157, 100, hundred);
	tarball_set(h, 345, 155, prefix);
	snprintf(want, sizeof(want), "l %s/%s -> %s\n", prefix, hundred, hundred);
	gives(&b, want, "fields that are full have no NUL");

	h = tarball_header(&b, '0', "name", 0);
	tarball_set(h, 345, 155, "pre");
	h = tarball_gnu(&b, '0', "name", 0);
	tarball_set(h, 345, 155, "pre");
	h = tarball_header(&b, '0', "name", 0);
	tarball_set(h, 345, 155, "pre");
	memset(h + 257, 0, 8);
	tarball_seal(h);
	h = tarball_header(&b, '0', "name", 0);
	tarball_set(h, 345, 155, prefix);
	memcpy(h + 508, "tar", 4);
	tarball_seal(h);
	snprintf(want, sizeof(want), "f pre/name\nf name\nf name\nf %.131s/name\n", prefix);
	gives(&b, want, "ustar has a prefix, GNU and V7 haven't, star's is shorter");

	tarball_header(&b, '0', "./a//b/../c", 0);
	tarball_header(&b, '0', "/abs", 0);
	tarball_header(&b, '0', "\xff\xfe\n", 0);
	gives(&b, "f ./a//b/../c\nf /abs\nf \\ff\\fe\\0a\n", "names as they stand");

	h = tarball_header(&b, '0', "a", 0);
	memcpy(h + 2, "junk", 4);
	tarball_seal(h);
	gives(&b, "f a\n", "what is behind a field's NUL doesn't count");

	h = tarball_header(&b, '\0', "dir/", 0);
	memset(h + 257, 0, 255);
	tarball_seal(h);
	tarball_header(&b, '0', "dir/", 0);
	gives(&b, "d dir/\nd dir/\n", "a file with a slash is a directory");
	tarball_header(&b, '0', "dir/", 3);
	tarball_data(&b, "abc", 3);
	refuses(&b, "at byte 0: a file whose name ends in a slash", "one with data");

	tarball_header(&b, '0', "", 0);
	refuses(&b, "at byte 0: it has no name", "no name");
	tarball_header(&b, '1', "h", 0);
	refuses(&b, "at byte 0: a link without a target", "a hard link without a target");
	tarball_header(&b, '2', "h", 0);
	refuses(&b, "at byte 0: a link without a target", "a symbolic link without a target");
}

static void test_long(void)
{
	char longer[301], want[1000];
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h;

	memset(longer, 'L', 300);
	longer[300] = '\0';
	snprintf(want, sizeof(want), "l %s -> %s\n", longer, longer);
	for (int order = 0; order < 2; order++) {
		tarball_body(&b, order ? 'K' : 'L', longer, 301);
		tarball_body(&b, order ? 'L' : 'K', longer, 301);
		h = tarball_gnu(&b, '2', "x", 0);
		tarball_set(h, 157, 100, "y");
		gives(&b, want, order ? "GNU K and L" : "GNU L and K");
	}
	tarball_body(&b, 'L', "first", 6);
	tarball_body(&b, 'L', "second", 6);
	tarball_header(&b, '0', "x", 0);
	tarball_header(&b, '0', "x", 0);
	gives(&b, "f second\nf x\n", "the later L counts, for one entry, without a NUL too");

	tarball_body(&b, 'L', "long", 5);
	tarball_pax(&b, 'x', "mtime=1", "path=long", NULL);
	tarball_header(&b, '0', "x", 0);
	gives(&b, "f long t1000000000\n", "L and PAX that agree");
	tarball_pax(&b, 'x', "path=pax", NULL);
	tarball_body(&b, 'L', "long", 5);
	tarball_header(&b, '0', "x", 0);
	refuses(&b, "at byte 2048: its GNU and its PAX header have different names", "L and PAX that don't");
	tarball_body(&b, 'K', "long", 5);
	tarball_pax(&b, 'x', "linkpath=pax", NULL);
	tarball_header(&b, '2', "x", 0);
	refuses(&b, "at byte 2048: its GNU and its PAX header have different link targets", "K and PAX that don't");
	tarball_pax(&b, 'g', "path=global", NULL);
	tarball_body(&b, 'L', "long", 5);
	tarball_header(&b, '0', "x", 0);
	gives(&b, "f long\n", "L over a global header");

	tarball_pax(&b, 'x', "size=3", NULL);
	tarball_body(&b, 'L', "long", 5);
	tarball_header(&b, '0', "x", 0);
	tarball_data(&b, "abc", 3);
	gives(&b, "f long s3 @2560\n", "PAX's size isn't that of an L");

	tarball_body(&b, 'L', "", 0);
	refuses(&b, "at byte 0: an empty long name", "an L of nothing");
	tarball_body(&b, 'L', "\0\0", 2);
	refuses(&b, "at byte 0: an empty long name", "an L of NULs");
	tarball_body(&b, 'L', "a\0b", 4);
	refuses(&b, "at byte 0: a long name with a NUL in it", "an L with a NUL in it");
}

/* ---- Numbers ---- */

static void with_field(struct buf *b, size_t at, const char *text, size_t n)
{
	uint8_t *h = tarball_header(b, '0', "f", 0);

	memcpy(h + at, text, n);
	tarball_seal(h);
}

static void test_numbers(void)
{
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h;

	with_field(&b, 108, "   1750 ", 8);
	with_field(&b, 108, "00001750", 8);
	with_field(&b, 108, "1750\0x\xff ", 8);
	with_field(&b, 108, "\0001750 \0 ", 8);
	with_field(&b, 108, "\0\0\0\0\0\0\0\0", 8);
	with_field(&b, 108, "        ", 8);
	with_field(&b, 108, "\x80\0\0\0\0\0\0\x07", 8);
	with_field(&b, 108, "\x80\0\0\0\xff\xff\xff\xfe", 8);
	gives(&b, "f f u1000:0\nf f u1000:0\nf f u1000:0\nf f u1000:0\nf f\nf f\nf f u7:0\nf f u4294967294:0\n",
	      "octal with blanks, without an end, nothing; base 256");

	with_field(&b, 100, "0107755\0", 8);
	with_field(&b, 100, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	refuses(&b, "at byte 512: its mode is out of range", "a negative mode");
	with_field(&b, 100, "0107755\0", 8);
	gives(&b, "f f m7755\n", "a mode with a type in it");
	with_field(&b, 108, "0000089\0", 8);
	refuses(&b, "at byte 0: its uid isn't a number", "an 8 in octal");
	with_field(&b, 116, "17 50   ", 8);
	refuses(&b, "at byte 0: its gid isn't a number", "a blank in a number");
	with_field(&b, 116, "-1      ", 8);
	refuses(&b, "at byte 0: its gid isn't a number", "a sign");
	with_field(&b, 108, "\x80\0\0\0\xff\xff\xff\xff", 8);
	refuses(&b, "at byte 0: its uid is out of range", "the uid that nobody has");
	with_field(&b, 116, "\x80\0\0\1\0\0\0\0", 8);
	refuses(&b, "at byte 0: its gid is out of range", "a gid of 33 bits");
	with_field(&b, 108, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8);
	refuses(&b, "at byte 0: its uid is out of range", "a negative uid");

	with_field(&b, 136, "00000000001\0", 12);
	with_field(&b, 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	with_field(&b, 136, "\x80\0\0\0\0\0\0\2\0\0\0\0", 12);
	with_field(&b, 136, "\x80\0\0\0\0\0\xff\0\0\0\0\0", 12);
	with_field(&b, 136, "\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0", 12);
	with_field(&b, 136, "\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	with_field(&b, 136, "\xc0\0\0\0\0\0\0\0\0\0\0\0", 12);
	gives(&b,
	      "f f t1000000000\nf f t-1000000000\nf f t8589934592000000000\nf f t9223372036854775807\n"
	      "f f t-9223372036854775808\nf f t9223372036854775807\nf f t-9223372036854775808\n",
	      "times, negative ones and such as are clamped");
	with_field(&b, 136, "yesterday\0\0\0", 12);
	refuses(&b, "at byte 0: its mtime isn't a number", "a time that isn't one");

	h = tarball_header(&b, '0', "f", 0);
	memcpy(h + 124, "\x80\0\0\0\0\0\0\2\0\0\0\0", 12);
	tarball_seal(h);
	refuses(&b, "at byte 0: the archive ends inside it, at byte 512", "8 GiB that aren't there");
	with_field(&b, 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
	refuses(&b, "at byte 0: its size is out of range", "a size that overflows offsets");
	with_field(&b, 124, "\x80\0\0\0\x80\0\0\0\0\0\0\0", 12);
	refuses(&b, "at byte 0: its size is out of range", "a size of 64 bits");
	with_field(&b, 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	refuses(&b, "at byte 0: its size is out of range", "a negative size");
	with_field(&b, 124, "three\0\0\0\0\0\0\0", 12);
	refuses(&b, "at byte 0: its size isn't a number", "a size that isn't one");
	tarball_header(&b, '5', "d", 0);
	memcpy(b.data + 124, "three\0\0\0\0\0\0\0", 12);
	tarball_seal((uint8_t *)b.data);
	refuses(&b, "at byte 0: its size isn't a number", "that of a directory, too");

	h = tarball_header(&b, '3', "c", 0);
	memcpy(h + 329, "\x80\0\0\1\0\0\0\0", 8);
	tarball_seal(h);
	refuses(&b, "at byte 0: its major number is out of range", "a major number of 33 bits");
	h = tarball_header(&b, '4', "c", 0);
	memcpy(h + 337, "0x1\0\0\0\0\0", 8);
	tarball_seal(h);
	refuses(&b, "at byte 0: its minor number isn't a number", "a hexadecimal minor number");
	h = tarball_header(&b, '3', "c", 0);
	memset(h + 257, 'x', 255);
	tarball_seal(h);
	gives(&b, "c c 0,0\n", "V7 has no device numbers");
}

static void test_checksum(void)
{
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h = tarball_header(&b, '0', "f\xe4\xf6", 0);
	unsigned sum = 0;

	for (size_t i = 0; i < 512; i++)
		sum += i < 148 || i >= 156 ? (unsigned)(int8_t)h[i] : ' ';
	snprintf((char *)h + 148, 8, "%06o", sum);
	gives(&b, "f f\\e4\\f6\n", "a checksum of signed bytes");

	h = tarball_header(&b, '0', "f\xe4\xf6", 0);
	h[153] ^= 1;
	refuses(&b, "tar entry at byte 0: wrong checksum", "a wrong checksum");
	h = tarball_header(&b, '0', "f", 0);
	h[300] = 'x';
	refuses(&b, "at byte 0: wrong checksum", "a byte that changed");
	h = tarball_header(&b, '0', "f", 0);
	memcpy(h + 148, "what    ", 8);
	refuses(&b, "at byte 0: wrong checksum", "a checksum that isn't a number");
	h = tarball_header(&b, '0', "f", 0);
	memset(h + 148, 0, 8);
	refuses(&b, "at byte 0: wrong checksum", "no checksum");
}

static void test_end(void)
{
	auto_buf struct buf b = BUF_INIT;

	gives(&b, "", "no bytes");
	tarball_end(&b);
	gives(&b, "", "nothing but the end");
	tarball_header(&b, '0', "f", 3);
	tarball_data(&b, "abc", 3);
	tarball_data(&b, "", 1);
	tarball_data(&b, "garbage", 7);
	gives(&b, "f f s3 @512\n", "what is behind a block of zeros");
	tarball_header(&b, '0', "f", 3);
	buf_adds(&b, "abc");
	gives(&b, "f f s3 @512\n", "no end, and no padding");
	tarball_header(&b, '0', "f", 3);
	buf_adds(&b, "ab");
	refuses(&b, "at byte 0: the archive ends inside it, at byte 514", "data cut short");
	tarball_header(&b, '0', "f", 0);
	tarball_header(&b, '0', "f", 0);
	buf_truncate(&b, 1000);
	refuses(&b, "at byte 512: the archive ends inside it, at byte 1000", "a header cut short");
	tarball_pax(&b, 'x', "path=x", NULL);
	refuses(&b, "at byte 1024: the archive ends inside it, at byte 1024", "an extended header without its entry");
	tarball_body(&b, 'L', "name", 5);
	tarball_end(&b);
	refuses(&b, "at byte 1024: the end, where an extended header's entry should be", "a long name without its entry");
	tarball_pax(&b, 'x', "path=x", NULL);
	buf_truncate(&b, 515);
	refuses(&b, "at byte 0: the archive ends inside it, at byte 515", "an extended header cut short");
	tarball_pax(&b, 'g', "path=x", NULL);
	gives(&b, "", "a global header needs no entry");
}

/* ---- PAX ---- */

static void test_pax(void)
{
	auto_buf struct buf b = BUF_INIT;
	uint8_t *h;

	tarball_pax(&b, 'x', "path=long/name", "size=3", "mtime=1.5", "uid=70000", "gid=4294967294", "uname=u", "gname=g",
		    "atime=1", "ctime=x", "comment==a=b", "hdrcharset=BINARY", "VENDOR.x=", NULL);
	tarball_header(&b, '0', "f", 700000);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f long/name u70000:4294967294 t1500000000 s3 @1536\nf f\n", "PAX's values over the header's, once");

	tarball_pax(&b, 'x', "linkpath=to", NULL);
	h = tarball_header(&b, '1', "h", 0);
	tarball_set(h, 157, 100, "from");
	tarball_pax(&b, 'x', "linkpath=to", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "h h -> to\nf f\n", "linkpath, of links only");

	for (const char *const *time = (const char *const[]){ "-1", "-0.5", "-1.25", "0.1234567899", "-0.1234567899", "5.", NULL };
	     *time; time++) {
		char record[100];

		snprintf(record, sizeof(record), "mtime=%s", *time);
		tarball_pax(&b, 'x', record, NULL);
		tarball_header(&b, '0', "f", 0);
	}
	gives(&b,
	      "f f t-1000000000\nf f t-500000000\nf f t-1250000000\nf f t123456789\nf f t-123456789\nf f t5000000000\n",
	      "times with fractions");
	tarball_pax(&b, 'x', "mtime=9223372036.854775808", NULL);
	tarball_header(&b, '0', "f", 0);
	tarball_pax(&b, 'x', "mtime=-99999999999999999999999999", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f f t9223372036854775807\nf f t-9223372036854775808\n", "times that are clamped");
	for (const char *const *time = (const char *const[]){ "x", ".5", "-", "1e5", "+1", "1.5.5", " 1", "1.x", NULL }; *time;
	     time++) {
		char record[100];

		snprintf(record, sizeof(record), "mtime=%s", *time);
		tarball_pax(&b, 'x', record, NULL);
		tarball_header(&b, '0', "f", 0);
		refuses(&b, "at byte 1024: its PAX mtime isn't a number", record);
	}

	tarball_pax(&b, 'x', "path=a", "path=b", "uid=1", "uid=2", NULL);
	tarball_header(&b, '0', "f", 0);
	tarball_pax(&b, 'x', "path=a", "uid=1", "path=", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f b u2:0\nf f u1:0\n", "the last record of a keyword counts, an empty one takes back");
	tarball_pax(&b, 'x', "path=a", "uid=1", NULL);
	tarball_pax(&b, 'x', "gid=1", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f f u0:1\n", "the last header counts");

	tarball_pax(&b, 'x', "size=x", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its PAX size isn't a number", "PAX size");
	tarball_pax(&b, 'x', "size=9223372036854775808", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its PAX size isn't a number", "PAX size of 64 bits");
	tarball_pax(&b, 'x', "size=9223372036854775807", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its size is out of range", "PAX size that overflows offsets");
	tarball_pax(&b, 'x', "size=-1", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its PAX size isn't a number", "negative PAX size");
	tarball_pax(&b, 'x', "uid=4294967295", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its PAX uid is out of range", "PAX uid");
	tarball_pax(&b, 'x', "gid=0x10", NULL);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "at byte 1024: its PAX gid isn't a number", "PAX gid");
}

static void test_global(void)
{
	auto_buf struct buf b = BUF_INIT, body = BUF_INIT;
	static char value[60000];

	tarball_pax(&b, 'g', "uid=1", "gid=2", "mtime=3", "comment=x", NULL);
	tarball_header(&b, '0', "a", 0);
	tarball_pax(&b, 'x', "uid=5", "mtime=", NULL);
	tarball_header(&b, '0', "b", 0);
	tarball_header(&b, '0', "c", 0);
	tarball_pax(&b, 'g', "gid=", "SCHILY.xattr.user.g=1", "SCHILY.xattr.user.h=2", NULL);
	tarball_header(&b, '0', "d", 0);
	tarball_pax(&b, 'x', "SCHILY.xattr.user.g=", "LIBARCHIVE.xattr.user.h=eA", NULL);
	tarball_header(&b, '0', "e", 0);
	tarball_pax(&b, 'g', "SCHILY.xattr.user.h=", "mtime=4", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b,
	      "f a u1:2 t3000000000\nf b u5:2\nf c u1:2 t3000000000\nf d u1:0 t3000000000 user.g=1 user.h=2\n"
	      "f e u1:0 t3000000000 user.h=x\nf f u1:0 t4000000000 user.g=1\n",
	      "global headers persist, yield to an entry's own, and are taken back");
	tarball_pax(&b, 'x', "uid=5", NULL);
	tarball_pax(&b, 'g', "gid=6", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f f u5:6\n", "one between an extended header and its entry");
	tarball_pax(&b, 'g', "size=3", NULL);
	tarball_body(&b, 'L', "long", 5);
	tarball_header(&b, '0', "f", 0);
	tarball_data(&b, "abc", 3);
	tarball_header(&b, '5', "d", 0);
	gives(&b, "f long s3 @2560\nd d\n", "a global size is every entry's");
	tarball_pax(&b, 'g', "GNU.sparse.name=x", NULL);
	refuses(&b, "at byte 512: GNU.sparse. in a global header", "a global sparse file");
	memset(value, 'v', sizeof(value) - 1);
	for (int i = 0; i < 20; i++) {
		char key[100];

		buf_reset(&body);
		snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
		tarball_record(&body, key, value, sizeof(value));
		tarball_body(&b, 'g', body.data, body.len);
		tarball_header(&b, '0', "f", 0);
	}
	{
		auto_buf struct buf out = BUF_INIT;
		struct err err = ERR_INIT;

		is_int(read_pieces(&b, b.len, b.len, &out, &err), -EIO, "global headers beyond the limit");
		ok(strstr(err.text, "global headers of more than 1048576 bytes") != NULL, "%s", err.text);
		buf_reset(&b);
	}
}

/* One header whose whole body this is. */
static void refuses_body(const char *body, size_t n, const char *text, const char *name)
{
	auto_buf struct buf b = BUF_INIT;

	tarball_body(&b, 'x', body, n);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, text, name);
}

static void test_malformed(void)
{
#define REFUSES(body, text) refuses_body(body, sizeof(body) - 1, "PAX record at byte 512: " text, text)
	REFUSES("path=x\n", "it doesn't begin with its length");
	REFUSES(" 9 path=x\n", "it doesn't begin with its length");
	REFUSES("0x9 path=x\n", "it doesn't begin with its length");
	REFUSES("10\tpath=xy\n", "it doesn't begin with its length");
	REFUSES("-10 path=xy\n", "it doesn't begin with its length");
	REFUSES("\0", "it doesn't begin with its length");
	refuses_body("12 path=xyz\n\0", 13, "PAX record at byte 524: it doesn't begin with its length", "a NUL behind the last record");
	REFUSES("13 path=xyz\n", "its length goes beyond the header");
	REFUSES("99999999999999999999999999999999 path=x\n", "its length goes beyond the header");
	REFUSES("5", "its length goes beyond the header");
	REFUSES("0 path=x\n", "its length is too short");
	REFUSES("2 path=x\n", "its length is too short");
	REFUSES("3 path=x\n", "no newline where it ends");
	REFUSES("11 path=xyz\n", "no newline where it ends");
	REFUSES("9 path=xx", "no newline where it ends");
	REFUSES("8 pathx\n", "no '=' in it");
	REFUSES("3 \n", "no '=' in it");
	REFUSES("5 =x\n", "no keyword");
	REFUSES("11 p\0th=xx\n", "a keyword with a NUL in it");
	REFUSES("11 path=x\0\n", "path: a path with a NUL in it");
	REFUSES("15 linkpath=\0x\n", "linkpath: a path with a NUL in it");
	REFUSES("10 uid=1\0\n", "uid: a value with a NUL in it");
#undef REFUSES
	refuses_body("9 path=x\n9 path=y", 17, "PAX record at byte 521: its length goes beyond the header",
		     "a second record that is malformed");
}

static void test_xattrs(void)
{
	auto_buf struct buf b = BUF_INIT, body = BUF_INIT;

	tarball_record(&body, "SCHILY.xattr.security.capability", "\1\0\0\2\n=\0", 7);
	tarball_record(&body, "SCHILY.xattr.user.a=b", "c", 1);
	tarball_record(&body, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tarball_body(&b, 'x', body.data, body.len);
	tarball_header(&b, '5', "d", 0);
	gives(&b, "d d security.capability=\\01\\00\\00\\02\\0a=\\00 user.a=b=c trusted.overlay.opaque=y\n",
	      "SCHILY's attributes are binary");

	tarball_pax(&b, 'x', "LIBARCHIVE.xattr.user.%6da%20%C3%bc=AAECAwQ=", "LIBARCHIVE.xattr.user.b=/+8", NULL);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f f user.ma \xc3\xbc=\\00\\01\\02\\03\\04 user.b=\\ff\\ef\n", "LIBARCHIVE's are encoded");

	tarball_pax(&b, 'x', "LIBARCHIVE.xattr.user.a=eA==", "SCHILY.xattr.user.a=s", "SCHILY.xattr.user.b=s",
		    "LIBARCHIVE.xattr.user.b=eA==", "SCHILY.xattr.user.c=1", "SCHILY.xattr.user.c=2", "SCHILY.xattr.user.d=",
		    "SCHILY.xattr.user.e=1", "SCHILY.xattr.user.e=", "LIBARCHIVE.xattr.user.e=eA", NULL);
	tarball_header(&b, '0', "f", 0);
	tarball_header(&b, '0', "g", 0);
	gives(&b, "f f user.a=s user.b=s user.c=2 user.e=x\nf g\n", "which of several of one name");

	tarball_pax(&b, 'x', "SCHILY.xattr.=x", NULL);
	refuses(&b, "SCHILY.xattr.: it has no name", "an attribute without a name");
	tarball_pax(&b, 'x', "LIBARCHIVE.xattr.user.a=?", NULL);
	refuses(&b, "LIBARCHIVE.xattr.user.a: its value isn't base64", "not base64");
	for (const char *const *v = (const char *const[]){ "A", "AA=", "AAA==", "AAAA=", "=", "A===", "AA=A", "AA-_", NULL }; *v; v++) {
		char record[100];

		snprintf(record, sizeof(record), "LIBARCHIVE.xattr.user.a=%s", *v);
		tarball_pax(&b, 'x', record, NULL);
		refuses(&b, "user.a: its value isn't base64", record);
	}
	for (const char *const *v = (const char *const[]){ "%", "%4", "%4g", "%00", NULL }; *v; v++) {
		char record[100];

		snprintf(record, sizeof(record), "LIBARCHIVE.xattr.u%s=AA", *v);
		tarball_pax(&b, 'x', record, NULL);
		refuses(&b, ": its name is malformed", record);
	}
}

static void test_xattr_limits(void)
{
	static char value[LIMIT_XATTR_VALUE + 1];
	auto_buf struct buf b = BUF_INIT, body = BUF_INIT;

	for (int over = 0; over < 2; over++) {
		struct buf out = BUF_INIT;
		struct err err = ERR_INIT;
		char key[400];

		buf_reset(&body);
		snprintf(key, sizeof(key), "SCHILY.xattr.%0*d", LIMIT_XATTR_NAME + over, 0);
		tarball_record(&body, key, "x", 1);
		tarball_body(&b, 'x', body.data, body.len);
		tarball_header(&b, '0', "f", 0);
		is_int(read_pieces(&b, b.len, 1, &out, &err), over ? -EIO : 0, "a name of %d bytes", LIMIT_XATTR_NAME + over);
		ok(!over || strstr(err.text, "its name is too long"), "%.40s...", err.text);
		buf_reset(&b);

		buf_reset(&body);
		tarball_record(&body, "SCHILY.xattr.user.v", value, (size_t)LIMIT_XATTR_VALUE + (size_t)over);
		tarball_body(&b, 'x', body.data, body.len);
		tarball_header(&b, '0', "f", 0);
		is_int(read_pieces(&b, b.len, 1, &out, &err), over ? -EIO : 0, "a value of %d bytes", LIMIT_XATTR_VALUE + over);
		ok(!over || strstr(err.text, "user.v: its value is too long"), "%.80s", err.text);
		buf_reset(&b);

		buf_reset(&body);
		for (int i = 0; i < LIMIT_TAR_XATTRS + over; i++) {
			snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
			tarball_record(&body, key, "x", 1);
		}
		tarball_body(&b, 'x', body.data, body.len);
		tarball_header(&b, '0', "f", 0);
		is_int(read_pieces(&b, b.len, 1, &out, &err), over ? -EIO : 0, "%d attributes", LIMIT_TAR_XATTRS + over);
		ok(!over || strstr(err.text, "more than 512 extended attributes"), "%.80s", err.text);
		buf_reset(&b);
		buf_release(&out);
	}
	tarball_pax(&b, 'g', "SCHILY.xattr.user.g=1", NULL);
	buf_reset(&body);
	for (int i = 0; i < LIMIT_TAR_XATTRS; i++) {
		char key[100];

		snprintf(key, sizeof(key), "SCHILY.xattr.user.%d", i);
		tarball_record(&body, key, "x", 1);
	}
	tarball_body(&b, 'x', body.data, body.len);
	tarball_header(&b, '0', "f", 0);
	refuses(&b, "more than 512 extended attributes of one entry", "one more from a global header");
}

static void test_header_limit(void)
{
	static char body[LIMIT_TAR_HEADERS + 1];
	auto_buf struct buf b = BUF_INIT;

	memset(body, 'n', sizeof(body));
	for (int over = 0; over < 2; over++) {
		auto_buf struct buf out = BUF_INIT;
		struct err err = ERR_INIT;

		tarball_body(&b, 'L', body, LIMIT_TAR_HEADERS / 2);
		tarball_body(&b, 'K', body, (size_t)(LIMIT_TAR_HEADERS / 2 + over));
		tarball_header(&b, '2', "l", 0);
		is_int(read_pieces(&b, b.len, 1, &out, &err), over ? -EIO : 0, "%d bytes of extended headers",
		       LIMIT_TAR_HEADERS + over);
		ok(!over || strstr(err.text, "more than 1048576 bytes of extended headers"), "%.80s", err.text);
		buf_reset(&b);
	}
	tarball_header(&b, 'x', "x", UINT64_C(077777777777));
	refuses(&b, "at byte 0: more than 1048576 bytes of extended headers", "an extended header of 8 GiB");
	for (int i = 0; i < 3; i++) {
		tarball_body(&b, 'L', body, LIMIT_TAR_HEADERS / 2);
		tarball_header(&b, '0', "l", 0);
	}
	{
		auto_buf struct buf out = BUF_INIT;
		struct err err = ERR_INIT;

		is_int(read_pieces(&b, b.len, 1000, &out, &err), 0, "the limit is one entry's");
	}
}

/* ---- Sparse files ---- */

static void test_sparse_gnu(void)
{
	auto_buf struct buf b = BUF_INIT;
	char row[25];
	uint8_t *h;

	h = tarball_gnu(&b, 'S', "s", 5);
	tarball_set(h, 386, 24, "00000001000 00000000002");
	tarball_set(h, 410, 24, "00000002000 00000000003");
	tarball_set(h, 434, 24, "00000010000 00000000000");
	tarball_set(h, 483, 12, "00000010000");
	tarball_data(&b, "abcde", 5);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f s s4096 sparse [512+2@512] [1024+3@514]\nf f\n", "an old GNU sparse file");

	h = tarball_gnu(&b, 'S', "s", 50);
	tarball_set(h, 483, 12, "00000010000");
	for (int i = 0; i < 50; i++) {
		if (i == 4 || i == 25 || i == 46) {
			if (h[482] || i == 4)
				h[i == 4 ? 482 : 504] = 1;
			if (i == 4) {
				tarball_seal(h);
			} else {
				((uint8_t *)b.data + b.len - 512)[504] = '1';
			}
			tarball_data(&b, "", 1);
			h = (uint8_t *)b.data + b.len - 512;
		}
		snprintf(row, sizeof(row), "%011o %011o", i * 2, 1);
		if (i < 4)
			tarball_set(h, 386 + (size_t)i * 24, 24, row);
		else
			memcpy(h + (i - 4) % 21 * 24, row, 24);
	}
	buf_add(&b, (char[512]){ 0 }, 512);
	{
		auto_buf struct buf want = BUF_INIT;

		buf_adds(&want, "f s s4096 sparse");
		for (int i = 0; i < 50; i++)
			buf_addf(&want, " [%d+1@%d]", i * 2, 2048 + i);
		buf_addc(&want, '\n');
		gives(&b, want.data, "one with three extensions");
	}

	tarball_pax(&b, 'x', "path=long", "size=2", "mtime=1", NULL);
	h = tarball_gnu(&b, 'S', "s", 77777);
	tarball_set(h, 386, 24, "00000000000 00000000001");
	tarball_set(h, 410, 24, "00000000001 00000000001");
	memcpy(h + 483, "\x80\0\0\0\0\0\0\3\0\0\0\0", 12);
	tarball_seal(h);
	tarball_data(&b, "ab", 2);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f long t1000000000 s12884901888 sparse [0+2@1536]\nf f\n", "PAX's values, and rows that touch");
	h = tarball_gnu(&b, 'S', "s", 0);
	tarball_set(h, 483, 12, "00000010000");
	gives(&b, "f s s4096 sparse\n", "one without a map: a hole");

	h = tarball_header(&b, 'S', "s", 0);
	refuses(&b, "at byte 0: a sparse file of type S in an archive that isn't GNU's", "type S in a ustar archive");
	h = tarball_gnu(&b, 'S', "s", 0);
	tarball_set(h, 386, 24, "00000000000");
	refuses(&b, "its sparse map has half a row", "half a row");
	h = tarball_gnu(&b, 'S', "s", 0);
	h[482] = 1;
	tarball_seal(h);
	tarball_data(&b, "", 1);
	refuses(&b, "its sparse map ends before its last block", "an extension behind a map's end");
	h = tarball_gnu(&b, 'S', "s", 0);
	tarball_set(h, 386, 24, "0000000000x 00000000002");
	refuses(&b, "its sparse map's offset isn't a number", "a row that isn't a number");
	h = tarball_gnu(&b, 'S', "s", 2);
	tarball_set(h, 386, 24, "00000000000 00000000002");
	tarball_set(h, 483, 12, "00000000001");
	refuses(&b, "its sparse map goes beyond the file's size", "a row behind the end");
	h = tarball_gnu(&b, 'S', "s", 3);
	tarball_set(h, 386, 24, "00000000000 00000000002");
	tarball_set(h, 483, 12, "00000000010");
	refuses(&b, "its sparse map has 2 bytes, its data 3", "data that no row has");
	h = tarball_gnu(&b, 'S', "s", 4);
	tarball_set(h, 386, 24, "00000000000 00000000002");
	tarball_set(h, 410, 24, "00000000001 00000000002");
	refuses(&b, "its sparse map has rows out of order", "rows that overlap");
	h = tarball_gnu(&b, 'S', "s", 4);
	memcpy(h + 386, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff""00000000002", 23);
	tarball_seal(h);
	refuses(&b, "its sparse map has a row out of range", "a row that overflows");
	h = tarball_gnu(&b, 'S', "s", 0);
	tarball_set(h, 483, 12, "x");
	refuses(&b, "its sparse size isn't a number", "a sparse size that isn't a number");
	h = tarball_gnu(&b, 'S', "s/", 0);
	refuses(&b, "a file whose name ends in a slash", "a sparse directory");
	h = tarball_gnu(&b, 'S', "s", 0);
	h[482] = 1;
	tarball_set(h, 386, 24, "00000000000 00000000000");
	tarball_set(h, 410, 24, "00000000000 00000000000");
	tarball_set(h, 434, 24, "00000000000 00000000000");
	tarball_set(h, 458, 24, "00000000000 00000000000");
	refuses(&b, "at byte 0: the archive ends inside it, at byte 512", "an extension that isn't there");
}

static void test_sparse_pax(void)
{
	auto_buf struct buf b = BUF_INIT;

	tarball_pax(&b, 'x', "GNU.sparse.size=100", "GNU.sparse.numblocks=2", "GNU.sparse.offset=10", "GNU.sparse.numbytes=2",
		    "GNU.sparse.offset=100", "GNU.sparse.numbytes=0", NULL);
	tarball_header(&b, '0', "s", 2);
	tarball_data(&b, "ab", 2);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f s s100 sparse [10+2@1536]\nf f\n", "PAX sparse 0.0");

	tarball_pax(&b, 'x', "GNU.sparse.size=100", "GNU.sparse.numblocks=2", "GNU.sparse.map=10,2,20,3", "GNU.sparse.name=real",
		    "path=GNUSparseFile.1/s", NULL);
	tarball_header(&b, '0', "s", 5);
	tarball_data(&b, "abcde", 5);
	gives(&b, "f real s100 sparse [10+2@1536] [20+3@1538]\n", "PAX sparse 0.1");
	tarball_pax(&b, 'x', "GNU.sparse.major=0", "GNU.sparse.minor=1", "GNU.sparse.realsize=100", "GNU.sparse.numblocks=0", NULL);
	tarball_header(&b, '0', "s", 0);
	gives(&b, "f s s100 sparse\n", "one that says its version, and is a hole");

	tarball_pax(&b, 'x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=100", "GNU.sparse.name=real",
		    "SCHILY.xattr.user.a=b", NULL);
	tarball_header(&b, '0', "s", 512 + 5);
	tarball_data(&b, "2\n10\n2\n20\n3\n", 12);
	tarball_data(&b, "abcde", 5);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f real s100 sparse [10+2@2048] [20+3@2050] user.a=b\nf f\n", "PAX sparse 1.0");
	tarball_pax(&b, 'x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=100", "size=12", NULL);
	tarball_header(&b, '0', "s", 9999);
	tarball_data(&b, "1\n100\n0\nxxxx", 12);
	tarball_header(&b, '0', "f", 0);
	gives(&b, "f s s100 sparse\nf f\n", "a map in a short block, and nothing behind");
	{
		auto_buf struct buf map = BUF_INIT, want = BUF_INIT;

		buf_adds(&map, "300\n");
		buf_adds(&want, "f s s1000 sparse");
		for (int i = 0; i < 300; i++)
			buf_addf(&map, "%d\n1\n", i * 3);
		buf_add(&map, (char[512]){ 0 }, -map.len & 511);
		tarball_pax(&b, 'x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=1000", NULL);
		tarball_header(&b, '0', "s", map.len + 300);
		for (int i = 0; i < 300; i++)
			buf_addf(&want, " [%d+1@%zu]", i * 3, 1536 + map.len + (size_t)i);
		buf_addc(&want, '\n');
		buf_add(&b, map.data, map.len);
		tarball_data(&b, (char[300]){ 0 }, 300);
		gives(&b, want.data, "a map of several blocks");
	}

#define REFUSES(text, name, ...)                        \
	do {                                            \
		tarball_pax(&b, 'x', __VA_ARGS__, NULL); \
		tarball_header(&b, '0', "s", 2);        \
		tarball_data(&b, "ab", 2);              \
		refuses(&b, text, name);                \
	} while (0)
#define ROWS "GNU.sparse.numblocks=1", "GNU.sparse.size=10"
	REFUSES("a sparse file without a size", "no size", "GNU.sparse.map=0,2", "GNU.sparse.numblocks=1");
	REFUSES("a sparse file without a size", "a name alone", "GNU.sparse.name=x");
	REFUSES("two sparse sizes", "two sizes", "GNU.sparse.map=0,2", ROWS, "GNU.sparse.realsize=11");
	REFUSES("its sparse size isn't a number", "a size that isn't one", "GNU.sparse.size=x");
	REFUSES("its sparse map hasn't the rows that it should have", "no map", ROWS);
	REFUSES("its sparse map hasn't the rows that it should have", "too few", ROWS, "GNU.sparse.numblocks=2", "GNU.sparse.map=0,2");
	REFUSES("its sparse map hasn't the rows that it should have", "no count", "GNU.sparse.size=9", "GNU.sparse.map=0,2");
	REFUSES("its sparse map isn't pairs of numbers", "half a pair", ROWS, "GNU.sparse.map=0,2,3");
	REFUSES("its sparse map isn't pairs of numbers", "a comma at the end", ROWS, "GNU.sparse.map=0,2,");
	REFUSES("its sparse map isn't pairs of numbers", "a sign", ROWS, "GNU.sparse.map=-1,2");
	REFUSES("its sparse map isn't pairs of numbers", "a number of 65 bits", ROWS, "GNU.sparse.map=36893488147419103232,2");
	REFUSES("its sparse map has a row out of range", "one of 64 bits", ROWS, "GNU.sparse.map=9223372036854775807,2");
	REFUSES("its sparse map goes beyond the file's size", "beyond the size", ROWS, "GNU.sparse.map=9,2");
	REFUSES("its sparse map has 3 bytes, its data 2", "more than the data", ROWS, "GNU.sparse.map=0,3");
	REFUSES("two sparse maps", "both kinds", ROWS, "GNU.sparse.map=0,2", "GNU.sparse.offset=0", "GNU.sparse.numbytes=2");
	REFUSES("sparse version 2.0 isn't known", "a later version", "GNU.sparse.major=2", "GNU.sparse.minor=0", ROWS);
	REFUSES("sparse version 1. isn't known", "half a version", "GNU.sparse.major=1", ROWS);
	REFUSES("GNU.sparse.numbytes: is out of turn", "a size first", "GNU.sparse.numbytes=1");
	REFUSES("GNU.sparse.offset: is out of turn", "two offsets", "GNU.sparse.offset=1", "GNU.sparse.offset=1");
	REFUSES("a GNU.sparse.offset without its GNU.sparse.numbytes", "no size last", "GNU.sparse.offset=1");
	REFUSES("GNU.sparse.offset: isn't a number", "not a number", "GNU.sparse.offset=x");
	REFUSES("two sparse maps", "a map of version 0.1 in 1.0", "GNU.sparse.major=1", "GNU.sparse.minor=0", ROWS, "GNU.sparse.map=0,2");
#undef REFUSES
	for (const char *const *v =
		     (const char *const[]){ "\n|has an empty line", "1\n\n|has an empty line", "x\n|isn't lines of numbers",
					    "1\n1 \n1\n|isn't lines of numbers", "65537\n|has more than 65536 rows",
					    "2\n1\n0\n0\n0\n|has rows out of order", "18446744073709551616\n|has a number out of range",
					    "000000000000000000000\n|has a number out of range", "2\n1\n0\n1\n|is longer than its data",
					    "|is longer than its data", "0\n|has 0 bytes, its data 7", NULL };
	     *v; v++) {
		const char *bar = strchr(*v, '|');
		size_t n = (size_t)(bar - *v);
		char text[100];

		tarball_pax(&b, 'x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=100", NULL);
		tarball_header(&b, '0', "s", streq(bar, "|has 0 bytes, its data 7") ? 512 + 7 : n);
		tarball_data(&b, *v, n);
		tarball_data(&b, "abcdefg", 7);
		snprintf(text, sizeof(text), "its sparse map %s", bar + 1);
		refuses(&b, text, text);
	}
	tarball_pax(&b, 'x', ROWS, "GNU.sparse.map=0,0", NULL);
	tarball_header(&b, '5', "d", 0);
	refuses(&b, "a sparse map of something that isn't a file", "a sparse directory");
	tarball_pax(&b, 'x', ROWS, "GNU.sparse.map=0,0", NULL);
	tarball_gnu(&b, 'S', "s", 0);
	refuses(&b, "two sparse maps", "GNU's and PAX's");
#undef ROWS
}

static void test_extent_limit(void)
{
	auto_buf struct buf b = BUF_INIT, map = BUF_INIT;

	for (int i = 0; i < LIMIT_TAR_EXTENTS; i++)
		buf_addf(&map, "%d\n1\n", i * 2);
	for (int over = 0; over < 2; over++) {
		auto_buf struct buf out = BUF_INIT;
		auto_buf struct buf lines = BUF_INIT;
		struct err err = ERR_INIT;
		int rows = LIMIT_TAR_EXTENTS + over;

		buf_addf(&lines, "%d\n", rows);
		buf_add(&lines, map.data, map.len);
		if (over)
			buf_addf(&lines, "%d\n1\n", LIMIT_TAR_EXTENTS * 2);
		buf_add(&lines, (char[512]){ 0 }, -lines.len & 511);
		tarball_pax(&b, 'x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=1000000", NULL);
		tarball_header(&b, '0', "s", lines.len + (size_t)rows);
		buf_add(&b, lines.data, lines.len);
		buf_reserve(&b, (size_t)rows);
		b.len += (size_t)rows;
		is_int(read_pieces(&b, b.len, 1, &out, &err), over ? -EIO : 0, "%d extents", rows);
		ok(!over || strstr(err.text, "its sparse map has more than 65536 rows"), "%.80s", err.text);
		buf_reset(&b);
	}
}

/* ---- The rest of the contract ---- */

static int stop_at_second(void *arg, const struct tar_entry *e, struct err *err)
{
	(void)e;
	return ++*(int *)arg == 2 ? err_set(err, ERR_NO_SPACE, "enough") : 0;
}

static void test_callback(void)
{
	auto_tar_reader struct tar_reader *t = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	int count = 0;

	for (int i = 0; i < 5; i++)
		tarball_header(&b, '0', "f", 0);
	is_int(tar_reader_new(stop_at_second, &count, &t, &err), 0, "a reader");
	is_int(tar_feed(t, b.data, b.len, &err), -ENOSPC, "the callback's error is the reader's");
	is_str(err.text, "enough", "and its text");
	is_int(count, 2, "nothing comes after it");
	ok(tar_feed(t, b.data, b.len, &err) < 0, "nor with more bytes");
	ok(tar_end(t, &err) < 0, "nor at the end");
	is_int(count, 2, "indeed");
}

/* No memory, at each allocation: an error, and nothing left behind. */
static void test_memory(void)
{
	auto_buf struct buf b = BUF_INIT;
	bool clean = true;
	int n;

	if (!FAULT_MALLOC_WORKS)
		return;
	tarball_pax(&b, 'g', "uid=1", "SCHILY.xattr.user.g=1", NULL);
	tarball_body(&b, 'L', "long", 5);
	tarball_pax(&b, 'x', "SCHILY.xattr.user.a=1", "GNU.sparse.size=100", "GNU.sparse.numblocks=1", "GNU.sparse.map=1,2", NULL);
	tarball_header(&b, '0', "f", 2);
	tarball_data(&b, "ab", 2);
	for (n = 1; n < 100; n++) {
		struct tar_reader *t = NULL;
		struct err err = ERR_INIT;
		int64_t before = fault_state.blocks;
		int count = 0, r;

		fault_begin(FAULT_MALLOC, n, ENOMEM, false);
		r = tar_reader_new(stop_at_second, &count, &t, &err);
		if (r == 0)
			r = tar_feed(t, b.data, b.len, &err);
		if (t)
			tar_reader_free(t);
		if (!fault_end()) {
			clean = clean && r == 0 && count == 1;
			break;
		}
		clean = clean && r == -ENOMEM && err.reason == ERR_NO_MEMORY && *err.text && fault_state.blocks == before;
	}
	ok(clean && n > 5 && n < 100, "no memory, at each of %d allocations", n - 1);
}

/* ---- Listing ---- */

DEFINE_CLEANUP(cleanup_file, FILE *, fclose)

static int list(const char *path)
{
	CLEANUP(cleanup_file) FILE *file = fopen(path, "rb");
	auto_tar_reader struct tar_reader *t = NULL;
	auto_buf struct buf out = BUF_INIT;
	struct err err = ERR_INIT;
	char piece[10007];
	size_t n;
	int r;

	if (!file) {
		perror(path);
		return 1;
	}
	r = tar_reader_new(tarball_entry_text, &out, &t, &err);
	while (r == 0 && (n = fread(piece, 1, sizeof(piece), file)) > 0)
		r = tar_feed(t, piece, n, &err);
	if (r == 0)
		r = tar_end(t, &err);
	fputs(out.data, stdout);
	if (r < 0)
		printf("error: %s\n", err.text);
	return r < 0;
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return list(argv[1]);
	test_types();
	test_names();
	test_long();
	test_numbers();
	test_checksum();
	test_end();
	test_pax();
	test_global();
	test_malformed();
	test_xattrs();
	test_xattr_limits();
	test_header_limit();
	test_sparse_gnu();
	test_sparse_pax();
	test_extent_limit();
	test_callback();
	test_memory();
	return done_testing();
}
