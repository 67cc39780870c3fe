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

/* ---- Names that fall into one place of a table by a known hash ---- */

#define PAIRS 14
#define BLOCK 6

static uint32_t fnv(uint32_t h, const char *text)
{
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x01000193u;
	return h;
}

/* Two blocks that lead from one state to one other, by their birthdays. */
static uint32_t find_pair(uint32_t from, char pair[2][BLOCK + 1])
{
	static uint32_t seen[1 << 22];	/* by the state's low bits: 1 + number */

	memset(seen, 0, sizeof(seen));
	for (uint32_t n = 0;; n++) {
		uint32_t state, *slot;

		snprintf(pair[0], BLOCK + 1, "%06x", n & 0xffffff);
		state = fnv(from, pair[0]);
		slot = &seen[state & (ARRAY_SIZE(seen) - 1)];
		if (*slot) {
			snprintf(pair[1], BLOCK + 1, "%06x", (*slot - 1) & 0xffffff);
			if (fnv(from, pair[1]) == state)
				return state;
		}
		*slot = n + 1;
	}
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Puts 2^PAIRS names, each of these blocks; what it costs. */
static double put_names(char pairs[PAIRS][2][BLOCK + 1], bool *all)
{
	auto_build struct build *b = NULL;
	double start = cpu_seconds();
	int r = build_new(&b, NULL);

	for (uint32_t n = 0; !r && n < 1 << PAIRS; n++) {
		char name[PAIRS * BLOCK + 1];
		uint32_t inode;

		for (int i = 0; i < PAIRS; i++)
			memcpy(name + i * BLOCK, pairs[i][n >> i & 1], BLOCK + 1);
		r = build_inode(b, &inode, NULL);
		r = r ? r : build_put(b, INDEX_ROOT, name, inode, NULL);
	}
	*all = r == 0 && build_inodes(b) == (1 << PAIRS) + 1;
	return cpu_seconds() - start;
}

static void check_flood(void)
{
	char evil[PAIRS][2][BLOCK + 1], usual[PAIRS][2][BLOCK + 1];
	uint32_t state = 0x811c9dc5u ^ INDEX_ROOT * 0x9e3779b1u;
	double cost, least;
	bool all, others;

	for (int i = 0; i < PAIRS; i++) {
		state = find_pair(state, evil[i]);
		memcpy(usual[i], evil[0], sizeof(usual[i]));
		usual[i][1][0] = 'x';
	}
	least = put_names(usual, &others);
	cost = put_names(evil, &all);
	ok(all && others, "%d names of one hash are put", 1 << PAIRS);
	ok(cost < 20 * least + 0.05, "at the cost of others: %.3f s, %.3f s", cost, least);
}

int main(void)
{
	static char piece[PIECE];

	check_texts(piece);
	check_xattrs(piece);
	check_flood();
	check_extents();
	return done_testing();
}
