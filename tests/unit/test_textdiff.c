/*
 * test_textdiff.c: unified diffs, read back: applied to the one text they give the other.
 */
#include "fs/base/base.h"
#include "fs/base/limits.h"
#include "fs/base/textdiff.h"
#include "tests/unit/tap.h"

static struct textdiff_text text_of(const char *s)
{
	return (struct textdiff_text){ s, strlen(s) };
}

static void test_hunks(void)
{
	static const struct {
		const char *a, *b, *diff;
	} rows[] = {
		{ "", "", "" },
		{ "a\n", "a\n", "" },
		{ "", "a\n", "@@ -0,0 +1 @@\n+a\n" },
		{ "a\n", "", "@@ -1 +0,0 @@\n-a\n" },
		{ "a", "a\n", "@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n" },
		{ "a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		  "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n" },
		{ "x\n1\n2\n3\n4\n5\n6\ny\n", "1\n2\n3\n4\n5\n6\n", "@@ -1,8 +1,6 @@\n-x\n 1\n 2\n 3\n 4\n 5\n 6\n-y\n" },
		{ "x\n1\n2\n3\n4\n5\n6\n7\ny\n", "1\n2\n3\n4\n5\n6\n7\n",
		  "@@ -1,4 +1,3 @@\n-x\n 1\n 2\n 3\n@@ -6,4 +5,3 @@\n 5\n 6\n 7\n-y\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf out = BUF_INIT;
		struct textdiff_text a = text_of(rows[i].a), b = text_of(rows[i].b);

		is_int(textdiff_unified(&a, &b, &out, NULL), 0, "row %zu", i);
		is_str(out.data, rows[i].diff, "its hunks");
	}
}

/* Lines of `in` up to number `to` (from 0), from *at on, which stands at line *line. */
static void copy_lines(struct buf *out, const char **at, size_t *line, size_t to)
{
	for (; *line < to && **at; ++*line) {
		size_t len = strcspn(*at, "\n") + 1;

		buf_add(out, *at, len);
		*at += len;
	}
}

/* What patch(1) would make of `a`; every line ends in a newline. False: a line isn't what the diff says. */
static bool apply(const char *a, const char *diff, struct buf *out)
{
	size_t line = 0;

	while (*diff) {
		size_t len = strcspn(diff, "\n") + 1;

		if (*diff == '@') {
			char *end;
			size_t start = strtoul(diff + 4, &end, 10);

			copy_lines(out, &a, &line, start - (strncmp(end, ",0 ", 3) != 0));
		} else if (*diff == '+') {
			buf_add(out, diff + 1, len - 1);
		} else if (strncmp(a, diff + 1, len - 1) != 0) {
			return false;
		} else {
			buf_add(out, a, *diff == ' ' ? len - 1 : 0);
			a += len - 1;
			line++;
		}
		diff += len;
	}
	buf_adds(out, a);
	return true;
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void random_text(struct buf *out, uint64_t *seed, size_t lines, uint32_t words)
{
	for (size_t i = 0; i < lines; i++)
		buf_addf(out, "line %u\n", next_random(seed) % words);
}

static void test_random(void)
{
	static const struct {
		size_t lines;
		uint32_t words;
	} rows[] = { { 5, 2 }, { 10, 3 }, { 30, 5 }, { 100, 20 }, { 1000, 4 }, { 3000, 100000 }, { 20000, 3 } };
	uint64_t seed = 1;

	for (size_t i = 0; i < ARRAY_SIZE(rows) * 40; i++) {
		size_t row = i / 40;
		auto_buf struct buf a = BUF_INIT, b = BUF_INIT, diff = BUF_INIT, got = BUF_INIT;
		struct textdiff_text from, to;

		if (rows[row].lines > 500 && i % 40 > 1)
			continue;
		random_text(&a, &seed, next_random(&seed) % rows[row].lines, rows[row].words);
		if (i % 2)
			buf_adds(&b, a.data + strcspn(a.data, "\n"));
		if (*b.data == '\n')
			*b.data = 'x', buf_addc(&b, '\n');
		random_text(&b, &seed, next_random(&seed) % rows[row].lines, rows[row].words);
		from = (struct textdiff_text){ a.data, a.len };
		to = (struct textdiff_text){ b.data, b.len };
		if (textdiff_unified(&from, &to, &diff, NULL) || !apply(a.data, diff.data, &got) || got.len != b.len ||
		    memcmp(got.data, b.data, b.len) != 0) {
			ok(false, "a random text, number %zu", i);
			return;
		}
	}
	ok(true, "random texts: the diff makes the one into the other");
}

/* Nothing alike, and everything alike but out of step: what costs most. */
static void test_bounds(void)
{
	auto_buf struct buf a = BUF_INIT, b = BUF_INIT, diff = BUF_INIT, got = BUF_INIT;
	struct textdiff_text from, to;

	for (int i = 0; i < 300000; i++) {
		buf_addf(&a, "%s\n", i % 2 ? "x" : "y");
		buf_addf(&b, "%s\n", i % 3 ? "x" : "y");
	}
	from = (struct textdiff_text){ a.data, a.len };
	to = (struct textdiff_text){ b.data, b.len };
	is_int(textdiff_unified(&from, &to, &diff, NULL), 0, "300,000 lines that are alike, out of step");
	ok(apply(a.data, diff.data, &got) && got.len == b.len, "the diff makes the one into the other");
	from.len = LIMIT_DIFF_TEXT + 1;
	is_int(textdiff_unified(&from, &to, &diff, NULL), -EINVAL, "beyond LIMIT_DIFF_TEXT");
	ok(!textdiff_is_text(&(struct textdiff_text){ "a\0b", 3 }), "a NUL makes it no text");
	ok(textdiff_is_text(&(struct textdiff_text){ "", 0 }), "nothing is a text");
}

int main(void)
{
	test_hunks();
	test_random();
	test_bounds();
	return done_testing();
}
