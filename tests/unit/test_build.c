/*
 * test_build.c: the tree that an index is made of: what it may hold, at each limit and one beyond it.
 *
 * What layers make of it is tested by test_layer.c.
 */
#include "fs/base/base.h"
#include "fs/image/build.h"
#include "tests/unit/tap.h"

#include "fs/base/limits.h"

#define PIECE 65536

static void refused(int r, const struct err *err, const char *what)
{
	ok(r < 0 && err->reason == ERR_CORRUPT && *err->text, "%s: refused: %s", what, err->text);
}

/* A text takes its bytes and a NUL, behind those that a new tree has. */
static void check_texts(char piece[static PIECE])
{
	auto_build struct build *b = NULL;
	struct err err = ERR_INIT;
	uint64_t offset = 0, last;
	int r = build_new(&b, &err);

	memset(piece, 'x', PIECE - 1);
	piece[PIECE - 1] = '\0';
	while (!r && offset + 2 * PIECE < LIMIT_TREE_TEXTS)
		r = build_add_text(b, piece, &offset, &err);
	last = offset + PIECE;
	r = r ? r : build_add_text(b, piece + PIECE - (LIMIT_TREE_TEXTS - last), &offset, &err);
	ok(r == 0 && offset == last, "texts of %d bytes: %s", LIMIT_TREE_TEXTS, err.text);
	ok(strlen(build_text(b, last)) + 1 == LIMIT_TREE_TEXTS - last, "the last is there");
	r = build_add_text(b, "", &offset, &err);
	refused(r, &err, "a byte more");
	ok(strlen(build_text(b, last)) + 1 == LIMIT_TREE_TEXTS - last, "what was there stays");
}

static void number_piece(char piece[static PIECE], int n)
{
	memset(piece, 0, PIECE);
	snprintf(piece, PIECE, "set %d", n);
}

static void check_xattrs(char piece[static PIECE])
{
	auto_build struct build *b = NULL;
	struct err err = ERR_INIT;
	uint32_t first = 0, at = 0;
	int r = build_new(&b, &err);

	for (int i = 0; !r && i < LIMIT_TREE_XATTRS / PIECE; i++) {
		number_piece(piece, i);
		r = build_add_xattrs(b, piece, PIECE, i ? &at : &first, &err);
	}
	ok(r == 0 && at > first, "attributes of %d bytes, all different: %s", LIMIT_TREE_XATTRS, err.text);
	number_piece(piece, 0);
	r = build_add_xattrs(b, piece, PIECE, &at, &err);
	ok(r == 0 && at == first, "such as are there already take no room");
	r = build_add_xattrs(b, "x", 1, &at, &err);
	refused(r, &err, "a byte more");
}

static void check_extents(void)
{
	static struct index_extent extents[4096];
	auto_build struct build *b = NULL;
	struct err err = ERR_INIT;
	uint64_t first = 0;
	int r = build_new(&b, &err);

	for (size_t i = 0; !r && i < LIMIT_TREE_EXTENTS / ARRAY_SIZE(extents); i++)
		r = build_add_extents(b, extents, ARRAY_SIZE(extents), &first, &err);
	ok(r == 0 && first == LIMIT_TREE_EXTENTS - ARRAY_SIZE(extents), "%d runs of sparse files: %s", LIMIT_TREE_EXTENTS,
	   err.text);
	r = build_add_extents(b, extents, 0, &first, &err);
	ok(r == 0 && first == LIMIT_TREE_EXTENTS, "a file without any");
	r = build_add_extents(b, extents, 1, &first, &err);
	refused(r, &err, "one more");
}

int main(void)
{
	static char piece[PIECE];

	check_texts(piece);
	check_xattrs(piece);
	check_extents();
	return done_testing();
}
