/*
 * textdiff.c: Myers' greedy algorithm ("An O(ND) Difference Algorithm and Its Variations", 1986), in rounds.
 *
 * Lines become numbers, equal ones the same. A round follows the furthest paths of 0, 1, 2 ... ROUND changes through the
 * grid of both texts; if none has come to its end by then, the one that has come furthest is kept, and the next round
 * begins where it ended. A path that ends at x + y has looked at no more than 2 * ROUND times so many lines, so all rounds
 * together take time linear in the texts.
 *
 * Invariant: after a round, changed[] of both sides describe the way from the start to (x, y), and nothing behind it.
 */
#include "fs/base/base.h"
#include "fs/base/textdiff.h"

#include "fs/base/limits.h"

#define ROUND 400
#define CONTEXT 3

struct side {
	const struct textdiff_text *text;
	size_t *starts;		/* of each line, and the end */
	uint32_t *ids;
	bool *changed;		/* the line isn't in the other text */
	size_t count;
};

static void side_release(struct side *s)
{
	free(s->starts);
	free(s->ids);
	free(s->changed);
}
#define auto_side CLEANUP(side_release)

bool textdiff_is_text(const struct textdiff_text *t)
{
	return !t->len || !memchr(t->data, '\0', t->len);
}

/* ---- Lines as numbers ---- */

static int side_split(struct side *s, struct err *err)
{
	const char *data = s->text->data, *end = data + s->text->len;
	size_t lines = 0;

	for (const char *p = data; p < end; lines++) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		p = newline ? newline + 1 : end;
	}
	s->starts = calloc(lines + 1, sizeof(*s->starts));
	s->ids = calloc(lines + 1, sizeof(*s->ids));
	s->changed = calloc(lines + 1, sizeof(*s->changed));
	if (!s->starts || !s->ids || !s->changed)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (const char *p = data; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		s->starts[s->count++] = (size_t)(p - data);
		p = newline ? newline + 1 : end;
	}
	s->starts[s->count] = s->text->len;
	return 0;
}

static size_t line_len(const struct side *s, size_t i)
{
	return s->starts[i + 1] - s->starts[i];
}

static const char *line_at(const struct side *s, size_t i)
{
	return s->text->data + s->starts[i];
}

static uint64_t hash_of(const char *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)data[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

struct known {
	const char *line;	/* NULL: free */
	size_t len;
	uint32_t id;
};

static void number_lines(struct side *s, struct known *table, size_t mask, uint32_t *next)
{
	for (size_t i = 0; i < s->count; i++) {
		const char *line = line_at(s, i);
		size_t len = line_len(s, i), at = hash_of(line, len) & mask;

		while (table[at].line && (table[at].len != len || memcmp(table[at].line, line, len) != 0))
			at = (at + 1) & mask;
		if (!table[at].line)
			table[at] = (struct known){ .line = line, .len = len, .id = (*next)++ };
		s->ids[i] = table[at].id;
	}
}

static int number_both(struct side *a, struct side *b, struct err *err)
{
	auto_free struct known *table = NULL;
	size_t size = 64;
	uint32_t next = 0;

	while (size < 2 * (a->count + b->count))
		size *= 2;
	table = calloc(size, sizeof(*table));
	if (!table)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	number_lines(a, table, size - 1, &next);
	number_lines(b, table, size - 1, &next);
	return 0;
}

/* ---- Rounds ---- */

/* The rest of the grid that a round works in, from (x, y) on; a furthest point is -1 where there is none. */
struct grid {
	struct side *a, *b;
	size_t x, y;
	int n, m;		/* lines left, cut: a round doesn't go further */
	int *trace;		/* furthest x for d changes, on the diagonals -d, -d + 2 ... d: at d * (d + 1) / 2 */
};

static int *furthest(const struct grid *g, int d, int k)
{
	return &g->trace[d * (d + 1) / 2 + (k + d) / 2];
}

/* Where the path of d changes to diagonal k comes from: *down: from k + 1, with a line of b added; else from k - 1, with one of
 * a removed. -1: from nowhere. The x where it begins on k. */
static int come_from(const struct grid *g, int d, int k, bool *down)
{
	int above = k < d ? *furthest(g, d - 1, k + 1) : -1;
	int left = k > -d ? *furthest(g, d - 1, k - 1) : -1;

	if (above >= 0 && above - k > g->m)
		above = -1;
	left = left < 0 || left == g->n ? -1 : left + 1;
	*down = above >= left;
	return MAX(above, left);
}

static int slide(const struct grid *g, int x, int k)
{
	while (x >= 0 && x < g->n && x - k < g->m &&
	       g->a->ids[g->x + (size_t)x] == g->b->ids[g->y + (size_t)(x - k)])
		x++;
	return x;
}

/* Marks the changes on the way to the furthest point of d changes on diagonal k. */
static void mark(const struct grid *g, int d, int k)
{
	for (; d > 0; d--) {
		bool down;
		int x = come_from(g, d, k, &down);

		if (down)
			g->b->changed[g->y + (size_t)(x - k) - 1] = true;
		else
			g->a->changed[g->x + (size_t)x - 1] = true;
		k += down ? 1 : -1;
	}
}

/* Goes as far as ROUND changes lead. */
static void go_round(struct grid *g)
{
	int best = 0, last = 0, far = -1;

	for (int d = 0; d <= ROUND; d++) {
		last = d;
		far = -1;
		for (int k = -d; k <= d; k += 2) {
			bool down;
			int x = slide(g, d ? come_from(g, d, k, &down) : 0, k);

			*furthest(g, d, k) = x;
			if (x >= 0 && 2 * x - k > far) {
				far = 2 * x - k;
				best = k;
			}
		}
		if (far == g->n + g->m)
			break;
	}
	mark(g, last, best);
	int x = *furthest(g, last, best);

	g->x += (size_t)x;
	g->y += (size_t)(x - best);
}

static int compare(struct side *a, struct side *b, struct err *err)
{
	auto_free int *trace = malloc((ROUND + 1) * (ROUND + 2) / 2 * sizeof(*trace));
	struct grid g = { .a = a, .b = b, .trace = trace };

	if (!trace)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	while (g.x < a->count && g.y < b->count) {
		g.n = (int)(a->count - g.x);
		g.m = (int)(b->count - g.y);
		go_round(&g);
	}
	for (; g.x < a->count; g.x++)
		a->changed[g.x] = true;
	for (; g.y < b->count; g.y++)
		b->changed[g.y] = true;
	return 0;
}

/* ---- Hunks ---- */

static void add_line(struct buf *out, char what, const struct side *s, size_t i)
{
	size_t len = line_len(s, i);

	buf_addc(out, what);
	buf_add(out, line_at(s, i), len);
	if (line_at(s, i)[len - 1] != '\n')
		buf_adds(out, "\n\\ No newline at end of file\n");
}

static void add_range(struct buf *out, char sign, size_t start, size_t count)
{
	buf_addf(out, " %c%zu", sign, count ? start + 1 : start);
	if (count != 1)
		buf_addf(out, ",%zu", count);
}

/* From a's line i and b's line j, where a hunk's context begins, to where it ends. */
static void add_hunk(struct buf *out, const struct side *a, const struct side *b, size_t *i, size_t *j)
{
	auto_buf struct buf lines = BUF_INIT;
	size_t x = *i, y = *j, same = 0;

	/* The context before it is short enough not to end it. */
	for (bool some = false; x < a->count || y < b->count;) {
		bool removed = x < a->count && a->changed[x], added = y < b->count && b->changed[y];
		bool more = false;

		for (size_t ahead = 0; !removed && !added && !more && ahead <= (some ? 2 * CONTEXT - same : CONTEXT); ahead++)
			more = (x + ahead < a->count && a->changed[x + ahead]) || (y + ahead < b->count && b->changed[y + ahead]);
		if (!removed && !added && (some ? !more && same >= CONTEXT : !more))
			break;
		if (removed)
			add_line(&lines, '-', a, x++);
		else if (added)
			add_line(&lines, '+', b, y++);
		else
			add_line(&lines, ' ', a, x++), y++;
		same = removed || added ? 0 : same + 1;
		some = some || removed || added;
	}
	buf_adds(out, "@@");
	add_range(out, '-', *i, x - *i);
	add_range(out, '+', *j, y - *j);
	buf_adds(out, " @@\n");
	buf_add(out, lines.data, lines.len);
	out->failed = out->failed || lines.failed;
	*i = x;
	*j = y;
}

static void add_hunks(struct buf *out, const struct side *a, const struct side *b)
{
	size_t i = 0, j = 0, from = 0;

	while (i < a->count || j < b->count) {
		if ((i < a->count && a->changed[i]) || (j < b->count && b->changed[j])) {
			size_t back = MIN((size_t)CONTEXT, i - from);

			i -= back;
			j -= back;
			add_hunk(out, a, b, &i, &j);
			from = i;
		} else {
			i++;
			j++;
		}
	}
}

int textdiff_unified(const struct textdiff_text *a, const struct textdiff_text *b, struct buf *out, struct err *err)
{
	auto_side struct side left = { .text = a }, right = { .text = b };
	int r = a->len > LIMIT_DIFF_TEXT || b->len > LIMIT_DIFF_TEXT ?
			err_set(err, ERR_ARGUMENT, "a text of more than %d bytes", LIMIT_DIFF_TEXT) :
			side_split(&left, err);

	if (!r)
		r = side_split(&right, err);
	if (!r)
		r = number_both(&left, &right, err);
	if (!r)
		r = compare(&left, &right, err);
	if (r)
		return r;
	add_hunks(out, &left, &right);
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}
