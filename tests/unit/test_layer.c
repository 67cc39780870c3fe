/*
 * test_layer.c: layers' trees, and images' merged ones: what fs/image/layer.h, merge.h and index.h promise.
 *
 * Layers and trees are written as text (tarmake.h, indextext.h). `test_layer tar TEXT` writes such an archive, for
 * tests/rootfs.t; `test_layer seeds DIR` all archives and indexes of the tables, for the fuzz targets.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/image/layer.h"
#include "fs/image/merge.h"
#include "tests/unit/indextext.h"
#include "tests/unit/tap.h"
#include "tests/unit/tarmake.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define LAYERS_MAX 6

/* ---- Making ---- */

static int memory_file(void)
{
	return memfd_create("regfs-test", MFD_CLOEXEC);
}

static struct digest digest_of_blob(const struct content *blob)
{
	auto_hasher struct hasher *h = NULL;
	struct digest d = { 0 };
	char data[64 * 1024];
	ssize_t n;
	int r = hasher_new(DIGEST_SHA256, &h, NULL);

	for (int64_t at = 0; !r && (n = content_read(blob, data, sizeof(data), at, NULL)) > 0; at += n)
		r = hasher_update(h, data, (size_t)n, NULL);
	if (r || hasher_digest(h, &d, NULL))
		abort();
	return d;
}

static int index_blob(const struct content *blob, int fd, struct err *err)
{
	const struct digest digest = digest_of_blob(blob);

	return layer_index(blob, &digest, NULL, NULL, fd, err);
}

static int index_of_tar(const struct buf *tar, int fd, struct index **out, struct err *err)
{
	auto_content struct content *blob = NULL;
	struct buf copy = BUF_INIT;
	int r;

	buf_add(&copy, tar->data, tar->len);
	r = content_from_buf(&copy, &blob, err);
	if (!r)
		r = index_blob(blob, fd, err);
	if (!r)
		r = index_open(fd, INDEX_LAYER, out, err);
	return r ? r : index_verify(*out, err);
}

static int index_of(const char *text, struct index **out, struct err *err)
{
	auto_fd int fd = memory_file();
	auto_buf struct buf tar = BUF_INIT;

	tarmake(&tar, text);
	return index_of_tar(&tar, fd, out, err);
}

static int merge_of(struct index *const *layers, size_t n, struct index **out, struct err *err)
{
	auto_fd int fd = memory_file();
	auto_free struct digest *digests = calloc(n + 1, sizeof(*digests));
	int r = digests ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < n; i++)
		r = digest_of(DIGEST_SHA256, &i, sizeof(i), &digests[i], err);
	if (!r)
		r = merge_index((const struct index *const *)layers, digests, n, NULL, NULL, fd, err);
	if (!r)
		r = index_open(fd, INDEX_IMAGE, out, err);
	if (!r)
		r = index_verify(*out, err);
	if (!r && index_layer_count(*out) != n)
		return -EIO;
	return r;
}

/* The tree as text, or "! " and what was wrong. */
static void text_of(int r, const struct index *ix, enum index_kind kind, const struct err *err, struct buf *out)
{
	buf_reset(out);
	if (r)
		buf_addf(out, "!%s %s", err->reason == ERR_CORRUPT ? "" : " OF ANOTHER REASON:", err->text);
	else
		indextext(ix, kind, true, out);
}

/* "! text": an error that says so somewhere. */
static void is_tree(const struct buf *got, const char *want, const char *name)
{
	if (starts_with(want, "! ") && starts_with(got->data, "! "))
		ok(strstr(got->data, want + 2), "%s: %s", name, got->data);
	else
		is_str(got->data, want, "%s", name);
}

/* ---- A layer alone ---- */

struct layer_case {
	const char *name, *layer, *want;
};

static const struct layer_case layer_cases[] = {
	{ "nothing", "", "" },
	{ "types", "c a v1,3;b b v8,17;p c;f d m6755;d e m1777;l f ->x", "c a v1,3;b b v8,17;p c;f d m6755;d e m1777;l f ->x" },
	{ "a link's mode", "l a m644 ->x;l b m7000 ->x", "l a ->x;l b ->x" },
	{ "owners, times, sizes", "f a m600 u1000:65534 t1000000001 =hi", "i / t1000000001;f a m600 u1000:65534 t1000000001 z2" },
	{ "times before 1970", "f a t-1;f b t-1500000000;d c t-5", "i / t-1;f a t-1;f b t-1500000000;d c t-5" },
	{ "a large time", "f a t4102444800123456789", "i / t4102444800123456789;f a t4102444800123456789" },
	{ "a device 0:0 is data", "c a v0,0", "c a v0,0" },
	{ "a large sparse file", "s a z10000000000 =end", "s a [9999999997+3] z10000000000" },
	{ "sizes that overflow together", "s a z4611686018427387904 =x;s b z4611686018427387904 =x;s c z4611686018427387904 =x",
	  "s a [4611686018427387903+1] z4611686018427387904;s b [4611686018427387903+1] z4611686018427387904;"
	  "s c [4611686018427387903+1] z4611686018427387904" },

	/* Names */
	{ "the root", "d ./ m700 u1:2 t5", "d / m700 u1:2 t5" },
	{ "the root, as /", "d / m711;f a", "d / m711;f a" },
	{ "the root, by ..", "d a/../.. m711", "d / m711" },
	{ "the root twice", "d ./ m700;f a;d . m711", "d / m711;f a" },
	{ "the root as a file", "f a/..", "! the root" },
	{ "the root as a link", "l . ->x", "! the root" },
	{ "odd paths", "f ./a;f /b;f c//d/./e/../f;f ../../x;d g/;f ///h", "f a;f b;i c;i c/d;f c/d/f;d g;f h;f x" },
	{ "names of any bytes", "f %ff%fe;f %0a;f a%20b;f c%c3%bc%3b", "f %0a;f a%20b;f c%c3%bc%3b;f %ff%fe" },
	{ "names that only begin like . and ..", "f ...;f .a;f ..a;d ..../x", "f ...;i ....;d ..../x;f ..a;f .a" },
	{ "bytes sort unsigned", "f a%ff;f aa;f a;f a%01", "f a;f a%01;f aa;f a%ff" },

	/* Parents */
	{ "implied parents", "f a/b/c t7000000000", "i / t7000000000;i a t7000000000;i a/b t7000000000;f a/b/c t7000000000" },
	{ "implied ones have the newest time", "f x/y t1000000000;f z t9000000000;f w t4000000000",
	  "i / t9000000000;f w t4000000000;i x t9000000000;f x/y t1000000000;f z t9000000000" },
	{ "a parent that comes later", "f a/b;d a m700", "d a m700;f a/b" },
	{ "a file as parent", "f a;f a/b", "i a;f a/b" },
	{ "a device as parent", "c a v1,2;f a/b", "i a;f a/b" },
	{ "a link as parent", "d b;l a ->b;f a/x", "l a ->b;d b;f b/x" },
	{ "a link to nothing", "l a ->b/c;f a/x", "l a ->b/c;i b;i b/c;f b/c/x" },
	{ "an absolute link", "d b;l d/a ->/b;f d/a/x", "d b;f b/x;i d;l d/a ->/b" },
	{ "a link beyond the root", "l d/a ->../../../b;f d/a/x", "i b;f b/x;i d;l d/a ->../../../b" },
	{ "a link to the root", "l a ->/;f a/x;l b ->.;f b/y", "l a ->/;l b ->.;f x;f y" },
	{ "a chain of links", "l a ->b;l b ->c;l c ->d;f a/x", "l a ->b;l b ->c;l c ->d;i d;f d/x" },
	{ "a loop of links", "l a ->b;l b ->a;f a/x", "! symbolic links" },
	{ "a link to itself", "l a ->a;f a/x", "! symbolic links" },
	{ "a link to a file", "f b;l a ->b;f a/x", "l a ->b;i b;f b/x" },
	{ "a link's odd target", "l a ->.//b/./c/..//d;f a/x", "l a ->.//b/./c/..//d;i b;i b/d;f b/d/x" },

	/* Repeated entries */
	{ "a file twice", "f a =1;f a =22", "f a z2" },
	{ "a file, then a directory", "f a;d a;f a/b", "d a !opaque;f a/b" },
	{ "a directory, then a file", "d a;f a/b;f a", "f a" },
	{ "a directory, a file, a directory", "d a;f a/b;f a;d a", "d a !opaque" },
	{ "a directory twice", "d a m700 u1:1 xuser.x=1;f a/b;d a m711", "d a m711;f a/b" },
	{ "a link, then a directory", "d b;f b/x;l a ->b;d a;f a/y", "d a !opaque;f a/y;d b;f b/x" },
	{ "a directory, then a link", "d a;f a/x;l a ->b", "l a ->b" },
	{ "a link, then a file", "l a ->b;f b =1;f a =22", "f a z2;f b z1" },
	{ "names with and without slashes", "f a =1;f ./a =22;f b/../a =333", "f a z3" },

	/* Hard links */
	{ "a hard link", "f a =1;h b ->a", "f a z1 n2;f b ~a" },
	{ "a chain of hard links", "f a;h b ->./a;h c ->/b;h d/e ->d/../c", "f a n4;f b ~a;f c ~a;i d;f d/e ~a" },
	{ "hard links of other types", "l a ->x;h b ->a;p c;h d ->c;c e v1,3;h f ->e",
	  "l a ->x n2;l b ~a;p c n2;p d ~c;c e v1,3 n2;c f ~e" },
	{ "a hard link through a link", "d d;f d/a;l s ->d;h b ->s/a", "f b n2;d d;f d/a ~b;l s ->d" },
	{ "the target is replaced", "f a =1;h b ->a;f a =22", "f a z2;f b z1" },
	{ "the target's directory is replaced", "d a;f a/x;h b ->a/x;f a", "f a;f b" },
	{ "a hard link is replaced", "f a =1;h b ->a;f b =22", "f a z1;f b z2" },
	{ "a hard link to itself", "f a =1;h a ->a", "f a z1" },
	{ "a hard link to a directory", "d a;h b ->a", "! a directory" },
	{ "a hard link to what may be a link", "f a/b;h c ->a", "i a;f a/b;h c ->a" },
	{ "a hard link to the root", "h b ->/", "! the root" },
	{ "a hard link to what isn't here", "h b ->./x//y", "h b ->x/y" },
	{ "a chain from what isn't here", "h b ->x;h c ->b", "h b ->x n2;h c ~b" },
	{ "a hard link before its target", "h b ->a;f a", "f a;h b ->a" },

	/* Whiteouts */
	{ "a whiteout", "f .wh.a", "w a" },
	{ "a whiteout, in a directory", "d d;f d/.wh.a", "d d;w d/a" },
	{ "a whiteout twice", "f .wh.a;f .wh.a", "w a" },
	{ "whiteouts of any type", "d .wh.a;l .wh.b ->x;h .wh.c ->x;c .wh.d v0,0", "w a;w b;w c;w d" },
	{ "whiteouts of odd names", "f .wh.%ff;f .wh.....;f .wh.%20;f .wh..wh", "w %20;w ....;w .wh;w %ff" },
	{ "a whiteout before a file of its name", "f .wh.a;f a", "f a" },
	{ "a whiteout behind a file of its name", "f a;f .wh.a", "f a" },
	{ "a whiteout before a directory of its name", "f .wh.a;d a;f a/b", "d a !opaque;f a/b" },
	{ "a whiteout behind a directory of its name", "d a;f a/b;f .wh.a", "d a !opaque;f a/b" },
	{ "a whiteout beside an implied directory", "f .wh.a t5;f a/b", "i / t5;i a t5 !opaque;f a/b" },
	{ "a whiteout beside a link", "h a ->b;f .wh.a", "h a ->b" },
	{ "whiteouts whose parents aren't here", "f a/b/.wh.c", "i a;i a/b;w a/b/c" },
	{ "the same, beside a file", "f a/b/.wh.c;f a/d", "i a;i a/b;w a/b/c;f a/d" },
	{ "below a whiteout", "f .wh.a;f a/.wh.b", "w a" },
	{ "below a whiteout that comes later", "f a/.wh.b;f .wh.a", "w a" },
	{ "deeper below a whiteout that comes later", "f a/b/c/.wh.d;f .wh.a;f e/f/.wh.g;f e/.wh.f", "w a;i e;w e/f" },
	{ "an opaque marker below a whiteout", "f .wh.a;f a/.wh..wh..opq", "w a" },
	{ "an opaque marker below a whiteout that comes later", "f a/.wh..wh..opq;f .wh.a", "w a" },
	{ "below a file", "f a;f a/.wh.b", "f a" },
	{ "below a file that comes later", "f a/.wh.b;f a", "f a" },
	{ "through a link", "d b;l a ->b;f a/.wh.x", "l a ->b;d b;w b/x" },
	{ "through a link that comes later", "f a/.wh.x;d b;l a ->b", "l a ->b;d b" },
	{ "through a link that goes later", "d b;l a ->b;f a/.wh.x;d a", "d a !opaque;d b;w b/x" },
	{ "through a link to what isn't here", "l a ->b;f a/.wh.x", "l a ->b;i b;w b/x" },
	{ "of nothing", "f .wh.", "! whiteout of nothing" },
	{ "of .", "f a/.wh..", "! whiteout of nothing" },
	{ "of ..", "f a/.wh...", "! whiteout of nothing" },
	{ "in the middle it is a name", "f .wh.a/b", "i .wh.a;f .wh.a/b" },
	{ "in the middle, and not", "d .wh.a;f .wh.a/b", "i .wh.a;f .wh.a/b;w a" },

	{ "opaque, before", "d a;f a/.wh..wh..opq;f a/b", "d a !opaque;f a/b" },
	{ "opaque, behind", "d a;f a/b;f a/.wh..wh..opq", "d a !opaque;f a/b" },
	{ "opaque, before its directory", "f a/.wh..wh..opq;d a m700;f a/b", "d a m700 !opaque;f a/b" },
	{ "opaque, implied", "f a/b/c;f a/.wh..wh..opq", "i a !opaque;i a/b;f a/b/c" },
	{ "opaque, alone", "f a/.wh..wh..opq", "i a !opaque" },
	{ "opaque, deeper", "f a/b/.wh..wh..opq", "i a;i a/b !opaque" },
	{ "opaque, the root", "f .wh..wh..opq;f a", "i / !opaque;f a" },
	{ "opaque and a whiteout", "d a;f a/.wh..wh..opq;f a/.wh.b", "d a !opaque;w a/b" },
	{ "opaque, a file", "f a;f a/.wh..wh..opq", "f a" },

	{ "what is aufs's own", "d .wh..wh.plnk;f .wh..wh.plnk/1.2;d .wh..wh.orph;f .wh..wh.aufs;f a;f d/.wh..wh.x", "f a" },
	{ "hard links to what is aufs's own", "d .wh..wh.plnk;f .wh..wh.plnk/1.2 =abc;h a ->.wh..wh.plnk/1.2;h b ->.wh..wh.plnk/1.2",
	  "f a z3 n2;f b ~a" },

	/* Extended attributes */
	{ "attributes are binary", "f a xuser.x=1%00%ff%0a xsecurity.capability=%01%00;d b xuser.d=%00;l c ->d xtrusted.t=1",
	  "f a xuser.x=1%00%ff%0a xsecurity.capability=%01%00;d b xuser.d=%00;l c ->d xtrusted.t=1" },
	{ "equal attributes", "f a xuser.x=1;f b xuser.x=1;f c xuser.x=2;f d", "f a xuser.x=1;f b xuser.x=1;f c xuser.x=2;f d" },
	{ "overlayfs's are data", "d a xtrusted.overlay.opaque=y;f b xtrusted.overlay.whiteout=y",
	  "d a xtrusted.overlay.opaque=y;f b xtrusted.overlay.whiteout=y" },
	{ "global attributes", "g x xuser.g=1;f a;d b xuser.h=2;g x xuser.g=3;f c", "f a xuser.g=1;d b xuser.h=2 xuser.g=1;f c xuser.g=3" },
};

static void check_layer(const char *name, const char *layer, const char *want)
{
	auto_index struct index *ix = NULL;
	auto_buf struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	int r = index_of(layer, &ix, &err);

	text_of(r, ix, INDEX_LAYER, &err, &got);
	is_tree(&got, want, name);
}

/* ---- Layers laid over each other ---- */

struct merge_case {
	const char *name;
	const char *layers[LAYERS_MAX];
	const char *want;
};

static const struct merge_case merge_cases[] = {
	{ "one layer", { "d a m700;f a/b =1;l c ->a" }, "d a m700;f a/b z1 @1;l c ->a @1" },
	{ "empty layers", { "", "f a", "", "" }, "f a @2" },
	{ "files of two layers", { "d a;f a/x", "d a;f a/y" }, "d a;f a/x @1;f a/y @2" },
	{ "the root's attributes", { "d / m711 t1", "f a", "d / m700 t2" }, "d / m700 t2;f a @2" },
	{ "the implied root's time", { "f a t5", "f b t6" }, "i / t5;f a t5 @1;f b t6 @2" },

	/* 1, 3, 4: whiteouts */
	{ "a whiteout", { "f a;f b", "f .wh.a" }, "f b @1" },
	{ "a whiteout of a directory", { "d a;f a/x;f a/y/z", "f .wh.a" }, "" },
	{ "a whiteout of a link", { "d b;f b/x;l a ->b", "f .wh.a" }, "d b;f b/x @1" },
	{ "a whiteout in a directory", { "d a m700 t5;f a/x;f a/y", "f a/.wh.x t9" }, "i / t5;d a m700 t5;f a/y @1" },
	{ "a whiteout and a file of its name", { "f a =1", "f .wh.a;f a =22" }, "f a z2 @2" },
	{ "a file and a whiteout of its name", { "f a =1", "f a =22;f .wh.a" }, "f a z2 @2" },
	{ "a whiteout and a directory of its name", { "d a m700;f a/x", "f .wh.a;d a;f a/y" }, "d a;f a/y @2" },
	{ "a whiteout and an implied directory of its name", { "d a m700;f a/x", "f .wh.a;f a/y" }, "i a;f a/y @2" },
	{ "an implied directory and a whiteout of its name", { "d a m700;f a/x", "f a/y;f .wh.a" }, "d a m700;f a/y @2" },
	{ "a whiteout and a directory of a link's name", { "d b;f b/x;l a ->b", "f .wh.a;f a/y" }, "i a;f a/y @2;d b;f b/x @1" },
	{ "a whiteout of nothing", { "f a", "f b/c/.wh.d;f e/.wh.f" }, "f a @1" },
	{ "a whiteout below a file", { "f a", "f a/.wh.b;f a/c/.wh.d" }, "f a @1" },
	{ "a whiteout below a whiteout", { "d a;f a/b", "f .wh.a;f a/.wh.b" }, "" },
	{ "a whiteout below a later whiteout", { "d a;f a/b", "f a/.wh.b;f .wh.a" }, "" },
	{ "a whiteout below a link", { "d b;f b/x;f b/y;l a ->b", "f a/.wh.x" }, "l a ->b @1;d b;f b/y @1" },
	{ "a whiteout below a link to nothing", { "l a ->b/c", "f a/.wh.x" }, "l a ->b/c @1" },
	{ "a whiteout of what was there again", { "f a =1", "f .wh.a", "f a =22", "f .wh.a" }, "" },
	{ "a directory comes back empty", { "d a;f a/x", "f .wh.a", "d a;f a/y" }, "d a;f a/y @3" },
	{ "a whiteout by another name, before", { "d b;f b/x;l a ->b", "f a/.wh.x;f b/x =1" }, "l a ->b @1;d b;f b/x z1 @2" },
	{ "a whiteout by another name, behind", { "d b;f b/x;l z ->b", "f b/x =1;f z/.wh.x" }, "d b;f b/x z1 @2;l z ->b @1" },
	{ "a name of a whiteout in the middle", { "f a", "f .wh.a/b" }, "i .wh.a;f .wh.a/b @2;f a @1" },

	/* 2, 5: opaque directories */
	{ "opaque", { "d a m700;f a/x;d a/y;f a/y/z", "d a;f a/.wh..wh..opq;f a/n" }, "d a;f a/n @2" },
	{ "opaque, behind", { "d a m700;f a/x", "d a;f a/n;f a/.wh..wh..opq" }, "d a;f a/n @2" },
	{ "opaque, implied", { "d a m700 u1:1 t3 xuser.x=1;f a/x", "f a/.wh..wh..opq;f a/n" }, "i / t3;d a m700 u1:1 t3 xuser.x=1;f a/n @2" },
	{ "opaque, with implied siblings", { "d a;f a/b/x", "f a/b/y;f a/.wh..wh..opq" }, "d a;i a/b;f a/b/y @2" },
	{ "opaque, below", { "d a;d a/b;f a/b/x;f a/c", "f a/b/.wh..wh..opq" }, "d a;d a/b;f a/c @1" },
	{ "opaque, twice", { "d a;f a/x", "f a/.wh..wh..opq;f a/y", "f a/.wh..wh..opq;f a/z" }, "d a;f a/z @3" },
	{ "opaque over a link", { "d t;f t/x;l a ->t", "d a;f a/.wh..wh..opq;f a/n" }, "d a;f a/n @2;d t;f t/x @1" },
	{ "opaque, implied, over a link", { "d t;f t/x;l a ->t", "f a/.wh..wh..opq;f a/n" }, "l a ->t @1;d t;f t/n @2" },
	{ "opaque, implied, over a link, with what came first", { "d t;f t/x;l z ->t", "f t/n;f z/.wh..wh..opq" }, "d t;f t/n @2;l z ->t @1" },
	{ "opaque, implied, over a link to nothing", { "l a ->t", "f a/.wh..wh..opq;f a/n" }, "l a ->t @1;i t;f t/n @2" },
	{ "opaque below a link", { "d b;d b/s;f b/s/x;l a ->b", "f a/s/.wh..wh..opq;f a/s/n" }, "l a ->b @1;d b;d b/s;f b/s/n @2" },
	{ "opaque over nothing", { "", "f a/.wh..wh..opq" }, "" },
	{ "opaque over a file", { "f a", "f a/.wh..wh..opq" }, "f a @1" },
	{ "opaque, the root", { "d / m711;f a;d b;f b/x", "f .wh..wh..opq;f c" }, "d / m711;f c @2" },
	{ "opaque, the root, links to what was there", { "f a =1", "f .wh..wh..opq;h b ->a" }, "f b z1 @1" },

	/* 6: through lower links */
	{ "through a link", { "d b;l a ->b", "f a/x" }, "l a ->b @1;d b;f b/x @2" },
	{ "through a chain", { "d c;l a ->b;l b ->c", "f a/x" }, "l a ->b @1;l b ->c @1;d c;f c/x @2" },
	{ "through an absolute link", { "d t;d d;l d/a ->/t", "f d/a/x" }, "d d;l d/a ->/t @1;d t;f t/x @2" },
	{ "through a link beyond the root", { "d t;d d;l d/a ->../../../t", "f d/a/x" }, "d d;l d/a ->../../../t @1;d t;f t/x @2" },
	{ "through a link to nothing", { "l a ->b/c t1", "f a/x t2" }, "i / t1;l a t1 ->b/c @1;i b t2;i b/c t2;f b/c/x t2 @2" },
	{ "through a link to nothing: the layer's time", { "l a ->b/c", "d / t1;f a/x t9" },
	  "d / t1;l a ->b/c @1;i b t9;i b/c t9;f b/c/x t9 @2" },
	{ "through a link to a file", { "f b;l a ->b", "f a/x" }, "l a ->b @1;i b;f b/x @2" },
	{ "through a link to the root", { "l a ->/", "f a/x;d a/y" }, "l a ->/ @1;f x @2;d y" },
	{ "through a link, deeper", { "d r;d r/s m700;l a ->r", "f a/s/x" }, "l a ->r @1;d r;d r/s m700;f r/s/x @2" },
	{ "through links at each step", { "d r;l a ->r;d s;l r/b ->/s", "f a/b/c/x" }, "l a ->r @1;d r;l r/b ->/s @1;d s;i s/c;f s/c/x @2" },
	{ "through a loop", { "l a ->b;l b ->a", "f a/x" }, "! symbolic links" },
	{ "through a link of two layers", { "d t;f t/x", "l a ->t", "f a/y" }, "l a ->t @2;d t;f t/x @1;f t/y @3" },

	/* 7, 8: what replaces what */
	{ "a file over a file", { "f a =1 xuser.x=1", "f a m600 =22" }, "f a m600 z2 @2" },
	{ "a file over a directory", { "d a;f a/x", "f a" }, "f a @2" },
	{ "a file over a directory, then a directory", { "d a;f a/x", "f a", "d a" }, "d a" },
	/* Where one layer's entries and a lower one's links meet, the archive's order counts. */
	{ "a hard link, then a link in its path", { "d b;f b/g =1", "h x ->b/g;l b ->/a;d a;f a/g =22" }, "d a;f a/g z2 @2;l b ->/a @2;f x z1 @1" },
	{ "a link in the way of a lower link", { "f usr/lib/f;l lib ->usr/lib", "l usr ->/opt;d opt;d opt/lib;f opt/lib/z;f lib/g" },
	  "l lib ->usr/lib @1;d opt;d opt/lib;f opt/lib/g @2;f opt/lib/z @2;l usr ->/opt @2" },
	{ "one file by two paths, the link's last", { "d usr;l lib ->usr", "f usr/g =1;f lib/g =22" }, "l lib ->usr @1;d usr;f usr/g z2 @2" },
	{ "one file by two paths, the link's first", { "d usr;l lib ->usr", "f lib/g =1;f usr/g =22" }, "l lib ->usr @1;d usr;f usr/g z2 @2" },
	{ "a file in the place of the link that led to it", { "l a ->.;l b ->./a", "f b/a =1;f a =22" }, "f a z2 @2;l b ->./a @1" },
	{ "a loop that the layer ends", { "l c ->../../a/c;l a ->c/b", "d c;f c/.wh..wh..opq;f a/g" }, "l a ->c/b @1;d c;i c/b;f c/b/g @2" },
	{ "opaque, then no link any more", { "d a;f a/x;l b ->a", "f b/.wh..wh..opq;d b" }, "d a;d b" },
	{ "opaque, no link any more", { "d a;f a/x;l b ->a", "d b;f b/.wh..wh..opq" }, "d a;f a/x @1;d b" },
	{ "a whiteout through a link, then none", { "d a;f a/x;l b ->a", "f b/.wh.x;f .wh.a" }, "l b ->a @1" },
	{ "below a link, then a directory in its place", { "d b;l a ->b", "f a/x;d a;f a/y" }, "d a;f a/y @2;d b;f b/x @2" },
	{ "a directory, a file below a link, a directory in its place", { "d b;l a ->b", "d a;f a/x;d a m700" }, "d a m700;f a/x @2;d b" },
	{ "a file over a directory, then a directory, of one layer", { "d a;f a/x", "f a;d a" }, "d a" },
	{ "a directory used by another name, and a whiteout", { "d x;f x/f;l l ->.", "f l/x/g;f .wh.x" }, "l l ->. @1;d x;f x/g @2" },
	{ "a link by a lower link to what came further on", { "l s ->.", "h b ->s/c;f c" }, "f b n2 !own @2;f c ~b;l s ->. @1" },
	{ "a whiteout of a link to a lower file", { "f a;l s ->.", "h b ->a;f s/.wh.b" }, "f a n2 !own @1;f b ~a;l s ->. @1" },

	{ "a whiteout below the layer's link to its own file", { "f z =1", "f b =22;l a ->b;f a/.wh.x" }, "l a ->b @2;f b z2 @2;f z z1 @1" },
	{ "an opaque marker below the layer's link to its own file", { "f z =1", "f b =22;l a ->b/c/d;f a/.wh..wh..opq" },
	  "l a ->b/c/d @2;f b z2 @2;f z z1 @1" },
	{ "a lower loop that the layer ends", { "l a ->a;d d;f d/x =1", "l a ->d;h b ->a/x" }, "l a ->d @2;f b z1 n2 !own @1;d d;f d/x ~b" },
	{ "a link by way of a file", { "f b =1;l a ->b/../c", "f a/x =22" }, "l a ->b/../c @1;f b z1 @1;i c;f c/x z2 @2" },
	{ "a link by way of nothing", { "l a ->b/../c", "f a/x" }, "l a ->b/../c @1;i c;f c/x @2" },
	{ "a link by way of a link to nothing", { "l b ->x/y;l a ->b/../c", "f a/f" }, "l a ->b/../c @1;l b ->x/y @1;i x;i x/c;f x/c/f @2" },
	{ "a directory described again, and a whiteout", { "d a m700;f a/z", "d a m711;f .wh.a" }, "d a m711" },
	{ "a directory over a file", { "f a", "d a;f a/x" }, "d a;f a/x @2" },
	{ "an implied directory over a file", { "f a", "f a/x" }, "i a;f a/x @2" },
	{ "a link over a directory", { "d a;f a/x;d b", "l a ->b" }, "l a ->b @2;d b" },
	{ "a directory over a link", { "d b;f b/x;l a ->b", "d a;f a/y" }, "d a;f a/y @2;d b;f b/x @1" },
	{ "a file over a link", { "f b =1;l a ->b", "f a =22" }, "f a z2 @2;f b z1 @1" },
	{ "a directory over a directory", { "d a m700 u1:1 t5 xuser.x=1;f a/x", "d a m711 t6 xuser.y=2" },
	  "i / t5;d a m711 t6 xuser.y=2;f a/x @1" },
	{ "an implied directory over a directory", { "d a m700 u1:1 t5 xuser.x=1;f a/x", "f a/y t7" },
	  "i / t5;d a m700 u1:1 t5 xuser.x=1;f a/x @1;f a/y t7 @2" },
	{ "a directory over an implied one", { "f a/x", "d a m700" }, "d a m700;f a/x @1" },
	{ "other types", { "d a;f b;l c ->x;p d", "p a;c b v1,2;b c v3,4;c d v0,0" }, "p a @2;c b v1,2 @2;b c v3,4 @2;c d v0,0 @2" },
	{ "implied directories' times", { "", "d / t1;f a/x t9" }, "d / t1;i a t9;f a/x t9 @2" },
	{ "a sparse file", { "s a z10000000000 =end" }, "s a z10000000000 @1" },

	/* 9: hard links */
	{ "a hard link to a link that the layer passes", { "d d;l a ->d", "f a/b;h c ->a" }, "l a ->d n2 !own @1;l c ~a;d d;f d/b @2" },
	{ "a hard link to a lower directory that the layer passes", { "d a", "f a/b;h c ->a" }, "! a directory" },
	{ "hard links of one layer", { "f a =1;h b ->a", "f c" }, "f a z1 n2 @1;f b ~a;f c @2" },
	{ "one of two names removed", { "f a =1;h b ->a", "f .wh.a" }, "f b z1 !own @1" },
	{ "two of three names changed", { "f a;h b ->a;h c ->a", "f c =1", "f .wh.b" }, "f a !own @1;f c z1 @2" },
	{ "a link to a lower file", { "f a =1", "h b ->a" }, "f a z1 n2 !own @1;f b ~a" },
	{ "two links to a lower file", { "f a =1", "h b ->a;h c ->b;h d ->a" }, "f a z1 n4 !own @1;f b ~a;f c ~a;f d ~a" },
	{ "its first name removed later", { "f a =1", "h b ->a", "f .wh.a" }, "f b z1 @1" },
	{ "its first name replaced later", { "f a =1", "h b ->a", "f a =22" }, "f a z2 @3;f b z1 @1" },
	{ "its first name removed by its own layer", { "f a =1", "h b ->a;f .wh.a" }, "f b z1 @1" },
	{ "its first name removed by its own layer, before", { "f a =1", "f .wh.a;h b ->a" }, "f b z1 @1" },
	{ "its first name replaced by its own layer", { "f a =1", "h b ->a;f a =22" }, "f a z2 @2;f b z1 @1" },
	{ "its first name replaced by its own layer, before", { "f a =1", "f a =22;h b ->a" }, "f a z2 n2 @2;f b ~a" },
	{ "its directory replaced by its own layer", { "d d;f d/a =1", "h b ->d/a;f d" }, "f b z1 @1;f d @2" },
	{ "in a directory of both layers", { "d d;f d/a =1", "d d m700;f d/n;h d/b ->d/a" }, "d d m700;f d/a z1 n2 !own @1;f d/b ~d/a;f d/n @2" },
	{ "a link to a lower link", { "l a ->x", "h b ->a" }, "l a ->x n2 !own @1;l b ~a" },
	{ "a link to a lower device", { "c a v1,3", "h b ->a", "f .wh.a" }, "c b v1,3 @1" },
	{ "links over layers", { "f a", "h b ->a", "h c ->b", "f .wh.a" }, "f b n2 !own @1;f c ~b" },
	{ "a link through a lower link", { "d d;f d/a;l s ->d", "h b ->s/a" }, "f b n2 !own @1;d d;f d/a ~b;l s ->d @1" },
	{ "a link through a lower link to its own layer's", { "d d;l s ->d", "f d/a =1;h b ->s/a" },
	  "f b z1 n2 !own @2;d d;f d/a ~b;l s ->d @1" },
	{ "links to links, in whichever order", { "f x;l s ->.", "h c ->x;h b ->s/c" }, "f b n3 !own @1;f c ~b;l s ->. @1;f x ~b" },
	{ "a link over a directory", { "f a;d b;f b/x", "h b ->a" }, "f a n2 !own @1;f b ~a" },
	{ "a link over itself", { "f a =1", "h a ->a" }, "f a z1 @1" },
	{ "two lower files change names", { "f a =1;f b =22", "h c ->a;h a ->b;h b ->c;f .wh.c" }, "f a z2 @1;f b z1 n2 !own @1;f c ~b" },
	{ "a link to a lower directory", { "d a", "h b ->a" }, "! a directory" },
	{ "a link to nothing", { "f b", "h b ->a" }, "! in no layer" },
	{ "a link to what was removed", { "f a", "f .wh.a", "h b ->a" }, "! in no layer" },
	{ "a link to itself", { "f b", "h a ->a" }, "! in no layer" },
	{ "links to each other", { "f b", "h a ->c;h c ->a" }, "! in no layer" },
	{ "a link below a file", { "f a", "h b ->a/x" }, "! in no layer" },
	{ "aufs's own", { "f x", "f .wh..wh.plnk/1.2 =1;h a ->.wh..wh.plnk/1.2" }, "f a z1 @2;f x @1" },
};

static void check_merge(const struct merge_case *c)
{
	struct index *layers[LAYERS_MAX] = { NULL };
	auto_index struct index *ix = NULL;
	auto_buf struct buf got = BUF_INIT;
	struct err err = ERR_INIT;
	size_t n = 0;
	int r = 0;

	for (; !r && n < LAYERS_MAX && c->layers[n]; n++)
		r = index_of(c->layers[n], &layers[n], &err);
	if (!r)
		r = merge_of(layers, n, &ix, &err);
	text_of(r, ix, INDEX_IMAGE, &err, &got);
	is_tree(&got, c->want, c->name);
	for (size_t i = 0; i < n; i++)
		index_close(layers[i]);
}

/* ---- Bytes ---- */

static uint32_t find(const struct index *ix, const char *path)
{
	uint32_t number = INDEX_ROOT;

	while (number && *path) {
		char name[LIMIT_TREE_NAME + 1];
		size_t len = strcspn(path, "/");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		number = index_lookup(ix, index_inode(ix, number), name);
		path += len + (path[len] == '/');
	}
	return number;
}

static void check_bytes(void)
{
	auto_index struct index *lower = NULL, *upper = NULL, *image = NULL;
	auto_buf struct buf tar = BUF_INIT, more = BUF_INIT;
	auto_fd int fd = memory_file(), more_fd = memory_file();
	struct err err = ERR_INIT;
	const struct index_inode *a, *b, *s;

	tarmake(&tar, "d d;f d/a =lower;f d/b =old;s s z9000000000 =sparse");
	tarmake(&more, "f d/b =upper xuser.x=1");
	if (!ok(index_of_tar(&tar, fd, &lower, &err) == 0 && index_of_tar(&more, more_fd, &upper, &err) == 0 &&
		merge_of((struct index *[]){ lower, upper }, 2, &image, &err) == 0, "two layers: %s", err.text))
		return;
	a = index_inode(image, find(image, "d/a"));
	b = index_inode(image, find(image, "d/b"));
	s = index_inode(image, find(image, "s"));
	ok(a && a->layer == 0 && a->layer_inode == find(lower, "d/a"), "a file names its layer and its inode there");
	ok(b && b->layer == 1 && b->layer_inode == find(upper, "d/b"), "so does one of the upper layer");
	a = index_inode(lower, a->layer_inode);
	b = index_inode(upper, b->layer_inode);
	ok(memcmp(tar.data + a->data, "lower", 5) == 0 && memcmp(more.data + b->data, "upper", 5) == 0, "there are its bytes");
	s = index_inode(lower, s->layer_inode);
	ok(s->count == 1 && memcmp(tar.data + index_extents(lower, s)->data, "sparse", 6) == 0, "and a sparse file's");
	is_int(index_unpacked(lower), 5 + 3 + INT64_C(9000000000), "bytes unpacked");
	is_int(index_files(lower), 3, "files");
	is_int(index_unpacked(image), 5 + 5 + INT64_C(9000000000), "bytes unpacked of an image");
	is_int(index_files(image), 3, "files of an image");
	is_int(index_spans(lower).coding, SPAN_PLAIN, "a plain layer");
	is_int(index_spans(lower).size, (int64_t)tar.len, "its bytes");
}

/* ---- Limits ---- */

/* A path of `n` names of `len` bytes. */
static void path_of(struct buf *out, size_t n, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(out, '/');
		for (size_t k = 0; k < len; k++)
			buf_addc(out, 'n');
	}
}

/* 0, or the error of a layer of that one path, or link. */
static int layer_error(const char *before, size_t n, size_t len, const char *behind, struct err *err)
{
	auto_buf struct buf text = BUF_INIT;
	auto_index struct index *ix = NULL;

	buf_adds(&text, before);
	path_of(&text, n, len);
	buf_adds(&text, behind);
	return index_of(text.data, &ix, err);
}

static void check_names(void)
{
	static const struct {
		const char *name, *before;
		size_t n, len;
		const char *behind;
		bool good;
	} cases[] = {
		{ "a name of 255 bytes", "f ", 1, 255, "", true },
		{ "a name of 256 bytes", "f ", 1, 256, "", false },
		{ "a parent of 256 bytes", "f ", 1, 256, "/a", false },
		{ "a whiteout of 251 bytes", "f .wh.", 1, 251, "", true },
		{ "1024 names", "f ", LIMIT_TREE_DEPTH, 1, "", true },
		{ "1025 names", "f ", LIMIT_TREE_DEPTH + 1, 1, "", false },
		{ "a path of 4095 bytes", "d ", 16, 255, "", true },
		{ "a path of 4096 bytes", "d ", 16, 255, "/", true },
		{ "a path of 4097 bytes", "d ", 16, 255, "//", false },
		{ "a link's target of 4095 bytes", "l a ->", 16, 255, "", true },
		{ "a link's target of 4096 bytes", "l a ->", 16, 255, "/", false },
		{ "a hard link's target of 1025 names", "h a ->", LIMIT_TREE_DEPTH + 1, 1, "", false },
		{ "through a link to a name of 256 bytes", "l a ->", 1, 256, ";f a/x", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		int r = layer_error(cases[i].before, cases[i].n, cases[i].len, cases[i].behind, &err);

		if (!ok(cases[i].good ? r == 0 : r < 0 && err.reason == ERR_CORRUPT, "%s: %s", cases[i].name,
			cases[i].good ? "taken" : "refused"))
			printf("# %d %s\n", r, err.text);
	}
}

/* Links make a tree deeper than any path: s1 -> n/n/..., s2 -> s1/n/n/... and so on; the last one leads on. */
static void deep_layer(struct buf *text, unsigned links, size_t each)
{
	for (unsigned i = 0; i < links; i++) {
		buf_addf(text, "l s%u ->", i);
		if (i)
			buf_addf(text, "s%u/", i - 1);
		path_of(text, each, 1);
		buf_addc(text, ';');
	}
	buf_addf(text, "f s%u/x", links - 1);
}

static void check_depth(void)
{
	auto_buf struct buf text = BUF_INIT, got = BUF_INIT;
	auto_index struct index *ix = NULL, *links = NULL, *file = NULL, *image = NULL;
	struct err err = ERR_INIT;
	int r;

	deep_layer(&text, 2, 400);
	r = index_of(text.data, &ix, &err);
	ok(r == 0 && indextext(ix, INDEX_LAYER, true, &got) == 801, "links make a tree deeper than its paths: %s", err.text);
	buf_reset(&text);
	deep_layer(&text, 38, 2000);
	r = index_of(text.data, &file, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "but not deeper than the limit: %s", err.text);

	/* The same by the links of a lower layer. */
	index_close(steal(&file));
	buf_reset(&text);
	deep_layer(&text, 38, 2000);
	*strrchr(text.data, ';') = '\0';
	err = (struct err)ERR_INIT;
	r = index_of(text.data, &links, &err);
	if (!r)
		r = index_of("f s37/x", &file, &err);
	if (!r)
		r = merge_of((struct index *[]){ links, file }, 2, &image, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "nor that of an image: %s", err.text);
}

/* An archive that is made while it is read: `count` times the same entry, with a number in its name. */
#define NUMBER "#########"
struct endless {
	struct buf entry;	/* where it has NUMBER are 9 digits */
	size_t name;		/* offset of those */
	size_t seal;		/* and of the header whose sum they are in, or SIZE_MAX */
	uint64_t done;		/* bytes given, at most */
};

static ssize_t endless_read(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	struct endless *e = arg;
	size_t done = 0;

	(void)err;
	while (done < len) {
		uint64_t n = (uint64_t)(offset + (int64_t)done) / e->entry.len;
		size_t at = (uint64_t)(offset + (int64_t)done) % e->entry.len, part = MIN(len - done, e->entry.len - at);
		char digits[16];

		snprintf(digits, sizeof(digits), "%09" PRIu64, n);
		memcpy(e->entry.data + e->name, digits, 9);
		if (e->seal != SIZE_MAX)
			tarball_seal((uint8_t *)e->entry.data + e->seal);
		memcpy((char *)data + done, e->entry.data + at, part);
		done += part;
	}
	e->done = MAX(e->done, (uint64_t)offset + done);
	return (ssize_t)done;
}

static void endless_release(void *arg)
{
	(void)arg;
}

static int index_endless(struct endless *e, uint64_t count, struct index **out, struct err *err)
{
	static const struct content_reader reader = { .read = endless_read, .release = endless_release };
	auto_content struct content *blob = NULL;
	auto_fd int fd = memory_file();
	struct digest digest = { .algorithm = DIGEST_SHA256 };
	int r = content_from_reader(&reader, e, (int64_t)(count * e->entry.len), &blob, err);

	if (!r && out)
		digest = digest_of_blob(blob);
	if (!r)
		r = layer_index(blob, &digest, NULL, NULL, fd, err);
	return r || !out ? r : index_open(fd, INDEX_LAYER, out, err);
}

static void endless_init(struct endless *e, const char *text)
{
	buf_init(&e->entry);
	tarmake_add(&e->entry, text);
	e->name = (size_t)((char *)memmem(e->entry.data, e->entry.len, NUMBER, 9) - e->entry.data);
	e->seal = e->entry.data[156] == 'x' ? SIZE_MAX : e->name / 512 * 512;
	e->done = 0;
}

static void check_many(void)
{
	auto_index struct index *ix = NULL;
	struct err err = ERR_INIT;
	struct endless e;
	int r;

	endless_init(&e, "f " NUMBER);
	r = index_endless(&e, LIMIT_TREE_ENTRIES - 1, &ix, &err);
	ok(r == 0 && index_inodes(ix) == LIMIT_TREE_ENTRIES, "as many files as may be: %s", err.text);
	ok(ix && find(ix, "002000000"), "they are there");
	e.done = 0;
	r = index_endless(&e, 10000000, NULL, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "ten million: %s", err.text);
	ok(e.done < (LIMIT_TREE_ENTRIES + 10000) * UINT64_C(512), "refused at the first one too many");
	buf_release(&e.entry);
}

/* What ordinary layers may have much of costs little. */
static void check_many_markers(void)
{
	auto_buf struct buf base = BUF_INIT, top = BUF_INIT;
	struct index *layers[2] = { NULL };
	auto_index struct index *image = NULL;
	struct err err = ERR_INIT;
	int r;

	for (unsigned i = 0; i < 120000; i++)
		buf_addf(&base, "f f%u;", i);
	for (unsigned i = 0; i < 900; i++)
		buf_addf(&base, "f old%u/f;", i);
	for (unsigned i = 0; i < 900; i++)
		buf_addf(&top, "d new%u;f new%u/.wh..wh..opq;f old%u/.wh..wh..opq;f old%u/g;", i, i, i, i);
	/* A name that links to the next one, which comes behind it. */
	for (unsigned i = 0; i < 30000; i++)
		buf_addf(&top, "h l%u ->l%u;", i, i + 1);
	buf_addf(&top, "f l30000");
	r = index_of(base.data, &layers[0], &err);
	if (!r)
		r = index_of(top.data, &layers[1], &err);
	if (!r)
		r = merge_of(layers, 2, &image, &err);
	ok(r == 0, "many opaque markers, and links to what comes later: %s", err.text);
	ok(image && find(image, "old899/g") && !find(image, "old899/f") && find(image, "new899"), "they are obeyed");
	ok(image && find(image, "l0") == find(image, "l30000"), "and the links lead there");
	index_close(layers[0]);
	index_close(layers[1]);
}

/* No more of them than of files, though they are no files. */
static void check_many_whiteouts(void)
{
	struct err err = ERR_INIT;
	struct endless e;
	int r;

	endless_init(&e, "f .wh." NUMBER);
	r = index_endless(&e, 3 * LIMIT_TREE_ENTRIES, NULL, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT && strstr(err.text, "whiteouts"), "millions of whiteouts: %s", err.text);
	buf_release(&e.entry);
}

/* Whiteouts are kept as paths until the layer's end. */
static void check_long_whiteouts(void)
{
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	struct endless e;
	int r;

	buf_adds(&text, "f ");
	path_of(&text, 16, 240);
	buf_adds(&text, "/.wh." NUMBER);
	endless_init(&e, text.data);
	r = index_endless(&e, 100000, NULL, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "whiteouts whose paths are too long together: %s", err.text);
	ok(e.done < UINT64_C(2) * LIMIT_TREE_TEXTS, "refused at the limit");
	buf_release(&e.entry);
}

/* Each entry has all attributes of a global header. */
static void check_many_attributes(void)
{
	auto_buf struct buf tar = BUF_INIT, header = BUF_INIT;
	auto_index struct index *ix = NULL;
	auto_fd int fd = memory_file();
	struct err err = ERR_INIT;
	int r;

	buf_adds(&header, "g g");
	for (int i = 0; i < 16; i++) {
		buf_addf(&header, " xuser.a%d=", i);
		path_of(&header, 1, 60000);
	}
	tarmake_add(&tar, header.data);
	for (int i = 0; i < 2000; i++)
		tarmake_add(&tar, "f a");
	r = index_of_tar(&tar, fd, &ix, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "a megabyte of attributes for each of 2000 files: %s", err.text);
}

/* Each path leads over thirty links whose targets are dots. */
static void check_many_dots(void)
{
	auto_buf struct buf tar = BUF_INIT, text = BUF_INIT;
	auto_index struct index *ix = NULL;
	auto_fd int fd = memory_file();
	struct err err = ERR_INIT;
	int r;

	for (int i = 0; i < 38; i++) {
		buf_reset(&text);
		buf_addf(&text, "l l%d ->", i);
		for (int n = 0; n < 2000; n++)
			buf_adds(&text, "./");
		buf_addf(&text, i ? "l%d" : "d", i - 1);
		tarmake_add(&tar, text.data);
	}
	for (int i = 0; i < 6000; i++)
		tarmake_add(&tar, "f l37/x");
	r = index_of_tar(&tar, fd, &ix, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "links to dots, again and again: %s", err.text);
}

static bool count_down(void *arg)
{
	return --*(int *)arg < 0;
}

/* A layer of 20,000 directories, named as often as may be. */
static void check_one_layer_often(void)
{
	static const struct index *layers[LIMIT_MANIFEST_REFS];
	static struct digest digests[LIMIT_MANIFEST_REFS];
	auto_index struct index *layer = NULL;
	auto_buf struct buf text = BUF_INIT;
	auto_fd int fd = memory_file();
	struct err err = ERR_INIT;
	int left = 10, r;

	for (int i = 0; i < 20000; i++)
		buf_addf(&text, "%sd d/f%d", i ? ";" : "", i);
	r = index_of(text.data, &layer, &err);
	if (!ok(r == 0, "a layer of 20000 directories: %s", err.text))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(layers); i++)
		layers[i] = layer;
	r = merge_index(layers, digests, 100, NULL, NULL, fd, &err);
	ok(r == 0, "100 of them: %s", err.text);
	r = merge_index(layers, digests, ARRAY_SIZE(layers), count_down, &left, fd, &err);
	ok(r < 0 && err.reason == ERR_GONE_MEANWHILE && left < 0, "as many as may be, told to stop: %s", err.text);
	r = merge_index(layers, digests, ARRAY_SIZE(layers), NULL, NULL, fd, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "as many as may be: %s", err.text);
}

static void check_many_layers(void)
{
	enum { N = 200 };
	struct index *layers[N] = { NULL };
	auto_index struct index *none = NULL, *all = NULL;
	auto_buf struct buf text = BUF_INIT, got = BUF_INIT;
	struct err err = ERR_INIT;
	const struct index_inode *i;
	int r = merge_of(NULL, 0, &none, &err);

	ok(r == 0 && index_inodes(none) == 1, "no layers: an empty root: %s", err.text);
	for (size_t n = 0; !r && n < N; n++) {
		buf_reset(&text);
		buf_addf(&text, "d d;f d/f%zu =%zu;f last =%zu;f d/.wh.f%zd;h d/h%zu ->last", n, n, n, (ssize_t)n - 2, n);
		if (n % 3 == 0)
			buf_addf(&text, ";f opaque/f%zu;f opaque/.wh..wh..opq", n);
		r = index_of(text.data, &layers[n], &err);
	}
	if (!r)
		r = merge_of(layers, N, &all, &err);
	if (!ok(r == 0, "200 layers: %s", err.text))
		return;
	indextext(all, INDEX_IMAGE, true, &got);
	i = index_inode(all, find(all, "last"));
	ok(i && i->layer == N - 1 && i->nlink == 2, "the last one's file is there");
	i = index_inode(all, find(all, "d"));
	is_int(i->count, 2 + N, "two files that no layer removed yet, and 200 links to what others replaced");
	i = index_inode(all, find(all, "opaque"));
	ok(i->count == 1 && find(all, "opaque/f198"), "the last opaque layer's file alone");
	for (size_t n = 0; n < N; n++)
		index_close(layers[n]);
}

/* ---- Damage ---- */

/* The file's bytes, which the caller frees. */
static char *slurp(int fd, size_t *size)
{
	struct stat st;
	char *data = fstat(fd, &st) == 0 ? malloc((size_t)st.st_size) : NULL;

	*size = data ? (size_t)st.st_size : 0;
	return data && pread(fd, data, *size, 0) == (ssize_t)*size ? data : NULL;
}

/* Looks at all of it, as it comes: what is damaged isn't given out, and noted. */
static bool look_about(const struct index *ix)
{
	uint64_t sum = 0;

	for (uint32_t n = 1; n <= index_inodes(ix); n++) {
		const struct index_inode *i = index_inode(ix, n);
		struct index_xattr x;
		const char *name;

		if (!i && !index_check(ix, NULL))
			return false;
		if (!i)
			continue;
		for (bool more = index_xattr_first(ix, i, &x); more; more = index_xattr_next(&x))
			sum += strlen(x.name) + x.size;
		for (uint32_t k = 0; S_ISDIR(i->mode) && k < i->count; k++)
			if (index_entry(ix, i, k, &name))
				sum += index_lookup(ix, i, name);
		if (S_ISLNK(i->mode) && (name = index_text(ix, i->data)))
			sum += strlen(name);
	}
	return sum || index_check(ix, NULL) || index_inodes(ix) == 1;
}

/* Opens what the bytes are; "" if it is ERR_CORRUPT. */
static bool open_bytes(const void *data, size_t size, enum index_kind kind, struct buf *out)
{
	auto_fd int fd = memory_file();
	auto_index struct index *ix = NULL;
	struct err err = ERR_INIT;
	int r;

	buf_reset(out);
	if (size && pwrite(fd, data, size, 0) != (ssize_t)size)
		return false;
	r = index_open(fd, kind, &ix, &err);
	if (!r && !look_about(ix))
		return false;
	if (!r)
		r = index_verify(ix, &err);
	if (!r && kind == INDEX_LAYER) {
		const struct span_table t = index_spans(ix);

		r = span_table_check(&t, t.size, &err);
	}
	if (!r)
		indextext(ix, kind, true, out);
	return r == 0 || err.reason == ERR_CORRUPT;
}

static void damage(int fd, enum index_kind kind, const char *name)
{
	auto_buf struct buf whole = BUF_INIT, got = BUF_INIT;
	size_t size, bad = 0;
	auto_free char *data = slurp(fd, &size);

	if (!ok(data && open_bytes(data, size, kind, &whole) && whole.len, "%s: opens", name))
		return;
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit += 7) {
			data[i] ^= (char)(1 << bit);
			bad += !open_bytes(data, size, kind, &got) || (got.len && !streq(got.data, whole.data));
			data[i] ^= (char)(1 << bit);
		}
	is_int((int64_t)bad, 0, "%s: every byte changed is noticed, or changes nothing", name);
	for (size_t n = 0; n < size; n++)
		bad += !open_bytes(data, n, kind, &got) || got.len;
	is_int((int64_t)bad, 0, "%s: cut short it doesn't open", name);
	for (int k = INDEX_LAYER; k <= INDEX_COPY; k++)
		bad += (!open_bytes(data, size, (enum index_kind)k, &got) || got.len) && k != (int)kind;
	is_int((int64_t)bad, 0, "%s: it isn't of another kind", name);
	data[8]++;
	ok(open_bytes(data, size, kind, &got) && !got.len, "%s: nor of another version", name);
}

static void check_damage(void)
{
	auto_fd int layer = memory_file(), image = memory_file();
	auto_buf struct buf tar = BUF_INIT;
	auto_index struct index *ix = NULL;
	struct err err = ERR_INIT;
	struct digest d;

	tarmake(&tar, "d a;f a/b =1 xuser.x=y;h c ->a/b;l l ->a;s s z99999 =1;f .wh.w;h u ->v");
	ok(index_of_tar(&tar, layer, &ix, &err) == 0, "a layer: %s", err.text);
	damage(layer, INDEX_LAYER, "a layer's index");
	index_close(steal(&ix));
	tarmake(&tar, "d a;f a/b =1 xuser.x=y;h c ->a/b;l l ->a;s s z99999 =1");
	{
		auto_fd int fd = memory_file();

		ok(index_of_tar(&tar, fd, &ix, &err) == 0 && digest_of(DIGEST_SHA256, "x", 1, &d, &err) == 0 &&
			merge_index((const struct index *[]){ ix }, &d, 1, NULL, NULL, image, &err) == 0, "an image: %s", err.text);
	}
	damage(image, INDEX_IMAGE, "an image's index");
}

/* Bytes that go while the index is open, as on a disk that fails. */
static void check_lost(void)
{
	auto_index struct index *ix = NULL;
	auto_buf struct buf text = BUF_INIT, tar = BUF_INIT;
	auto_fd int fd = memory_file(), other = memory_file();
	struct err err = ERR_INIT;
	const struct index_inode *root;
	int status = 0;
	pid_t child;
	int r;

	for (int i = 0; i < 5000; i++)
		buf_addf(&text, "%sf f%d", i ? ";" : "", i);
	tarmake(&tar, text.data);
	r = index_of_tar(&tar, fd, &ix, &err);
	root = r ? NULL : index_inode(ix, INDEX_ROOT);
	if (!ok(root && index_lookup(ix, root, "f17") && ftruncate(fd, 4096) == 0, "an index is cut short while it is open: %s", err.text))
		return;
	(void)index_lookup(ix, root, "f4711");
	r = index_check(ix, &err);
	ok(r < 0 && err.reason == ERR_CORRUPT, "which is noticed: %s", err.text);
	ok(index_verify(ix, NULL) < 0, "and stays so");

	fflush(stdout);
	child = fork();
	if (!child) {
		const volatile char *map = ftruncate(other, 4096) < 0 ? NULL : mmap(NULL, 4096, PROT_READ, MAP_SHARED, other, 0);

		if (ftruncate(other, 0) == 0 && map && *map)
			_exit(1);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ok(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0), "another's lost bytes end the process, as ever");
}

/* ---- Seeds ---- */

static bool seed(const char *dir, const char *kind, size_t n, const void *data, size_t size)
{
	char path[256];
	auto_fd int fd = -1;

	snprintf(path, sizeof(path), "%.200s/%s-%zu", dir, kind, n);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd >= 0 && write(fd, data, size) == (ssize_t)size;
}

static int write_seeds(const char *dir)
{
	for (size_t i = 0; i < ARRAY_SIZE(layer_cases); i++) {
		auto_buf struct buf tar = BUF_INIT;
		auto_fd int fd = memory_file();
		auto_index struct index *ix = NULL;
		size_t size;
		auto_free char *data = NULL;

		tarmake(&tar, layer_cases[i].layer);
		if (!seed(dir, "tar", i, tar.data, tar.len))
			return 1;
		if (index_of_tar(&tar, fd, &ix, NULL))
			continue;
		data = slurp(fd, &size);
		if (!data || !seed(dir, "index", i, data, size))
			return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(merge_cases); i++) {
		auto_index struct index *ix = NULL;
		auto_fd int fd = memory_file();
		const struct digest d = { .algorithm = DIGEST_SHA256 };
		size_t size;
		auto_free char *data = NULL;

		if (index_of(merge_cases[i].layers[0], &ix, NULL) ||
		    merge_index((const struct index *[]){ ix }, &d, 1, NULL, NULL, fd, NULL))
			continue;
		data = slurp(fd, &size);
		if (!data || !seed(dir, "image", i, data, size))
			return 1;
	}
	return 0;
}

static int write_tar(const char *text)
{
	auto_buf struct buf tar = BUF_INIT;

	tarmake(&tar, text);
	return fwrite(tar.data, 1, tar.len, stdout) == tar.len ? 0 : 1;
}

/* What the archives written down so make, laid over each other. */
static int write_image(char *const *texts, size_t n)
{
	auto_free struct index **layers = calloc(n, sizeof(*layers));
	auto_index struct index *ix = NULL;
	auto_buf struct buf text = BUF_INIT;
	struct err err = ERR_INIT;
	int r = layers ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < n; i++)
		r = index_of(texts[i], &layers[i], &err);
	if (!r)
		r = merge_of(layers, n, &ix, &err);
	text_of(r, ix, INDEX_IMAGE, &err, &text);
	for (size_t i = 0; layers && i < n; i++)
		index_close(layers[i]);
	return puts(text.data) < 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && streq(argv[1], "image"))
		return write_image(argv + 2, (size_t)argc - 2);
	if (argc == 3 && streq(argv[1], "tar"))
		return write_tar(argv[2]);
	if (argc == 3 && streq(argv[1], "seeds"))
		return write_seeds(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ARRAY_SIZE(layer_cases); i++)
		check_layer(layer_cases[i].name, layer_cases[i].layer, layer_cases[i].want);
	for (size_t i = 0; i < ARRAY_SIZE(merge_cases); i++)
		check_merge(&merge_cases[i]);
	check_bytes();
	check_names();
	check_many_layers();
	check_damage();
	check_lost();
	check_long_whiteouts();
	check_many_markers();
	check_many_whiteouts();
	check_many_attributes();
	check_many_dots();
	check_one_layer_often();
	check_many();
	check_depth();
	return done_testing();
}
