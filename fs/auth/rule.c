/*
 * rule.c: see rule.h.
 *
 * A rule, of either kind, becomes a tree of operators, and that an automaton: each operator a state, the states of a sequence
 * made from its end. A glob is an expression of which only a few things are said.
 */
#include "fs/base/base.h"
#include "fs/auth/rule.h"

#include <ctype.h>

#define NODES (3 * LIMIT_VALUE + 8)	/* "*" makes three */

enum operator { EMPTY, SET, SEQUENCE, ALTERNATIVE, REPEAT, ONE_OR_MORE, OPTIONAL };

struct operand {
	enum operator operator;
	uint64_t set[2];	/* SET: of the 128 characters */
	int left, right;
};

struct state {
	uint64_t set[2];	/* empty: both ways, without a character */
	int next, other;	/* other -1: only next */
};

struct rule {
	const char *at, *end;	/* what is left of it */
	int depth;
	int count;		/* nodes */
	struct operand nodes[NODES];
	int states;		/* MATCH is the first */
	struct state automaton[NODES + 1];
	const char *why;	/* it is none */
};

#define MATCH 0

static int node(struct rule *r, enum operator operator, int left, int right)
{
	if (r->count == NODES) {
		r->why = "it is too long";
		return 0;
	}
	r->nodes[r->count] = (struct operand){ .operator = operator, .left = left, .right = right };
	return r->count++;
}

static void set_add(uint64_t set[2], unsigned char c)
{
	set[c >> 6] |= (uint64_t)1 << (c & 63);
}

static int character(struct rule *r, unsigned char c)
{
	int n = node(r, SET, -1, -1);

	set_add(r->nodes[n].set, c);
	return n;
}

static int any(struct rule *r)
{
	int n = node(r, SET, -1, -1);

	r->nodes[n].set[0] = r->nodes[n].set[1] = UINT64_MAX;
	return n;
}

static int wrong(struct rule *r, const char *why)
{
	r->why = why;
	r->at = r->end;
	return node(r, EMPTY, -1, -1);
}

/* ---- Expressions ---- */

/* Behind the '['. POSIX has ']' as a member if it comes first, and '-' if it comes first or last. */
static int bracket(struct rule *r)
{
	int n = node(r, SET, -1, -1);
	uint64_t *set = r->nodes[n].set;
	bool but = r->at < r->end && *r->at == '^';
	const char *first = r->at += but;

	for (; r->at < r->end && (*r->at != ']' || r->at == first); r->at++) {
		unsigned char from = (unsigned char)*r->at, to = from;

		if (from == '[' || from == '\\')
			return wrong(r, "[ and \\ can't be between brackets");
		if (r->at + 2 < r->end && r->at[1] == '-' && r->at[2] != ']') {
			to = (unsigned char)r->at[2];
			r->at += 2;
		}
		if (to < from)
			return wrong(r, "a range ends before it begins");
		for (unsigned c = from; c <= to && c < 128; c++)
			set_add(set, (unsigned char)c);
	}
	if (r->at == r->end)
		return wrong(r, "a [ has no ]");
	r->at++;
	for (int i = 0; but && i < 2; i++)
		set[i] = ~set[i];
	return n;
}

static int alternatives(struct rule *r);

static int group(struct rule *r)
{
	int n;

	if (++r->depth > RULE_DEPTH)
		return wrong(r, "its parentheses are too deep");
	n = alternatives(r);
	r->depth--;
	if (r->at == r->end)
		return r->why ? n : wrong(r, "a ( has no )");
	r->at++;
	return n;
}

static int atom(struct rule *r)
{
	char c = *r->at++;

	switch (c) {
	case '(':
		return group(r);
	case '[':
		return bracket(r);
	case '.':
		return any(r);
	case '\\':
		if (r->at == r->end || isalnum((unsigned char)*r->at))
			return wrong(r, "\\ stands before a character that would mean something");
		return character(r, (unsigned char)*r->at++);
	case '{':
	case '}':
		return wrong(r, "{ and } can't be used: write it out");
	case '^':
	case '$':
		return wrong(r, "it is for the whole tag without ^ and $");
	case '*':
	case '+':
	case '?':
		return wrong(r, "nothing stands before a * + or ?");
	default:
		return character(r, (unsigned char)c);
	}
}

static int repeated(struct rule *r)
{
	static const char signs[] = "*+?";
	int n = atom(r);
	const char *sign = r->at < r->end && *r->at ? strchr(signs, *r->at) : NULL;

	if (!sign)
		return n;
	r->at++;
	if (r->at < r->end && *r->at && strchr(signs, *r->at))
		return wrong(r, "a * + or ? stands behind another");
	return node(r, (enum operator)(REPEAT + (sign - signs)), n, -1);
}

static int sequence(struct rule *r)
{
	int n = node(r, EMPTY, -1, -1);

	while (r->at < r->end && *r->at != '|' && !(*r->at == ')' && r->depth)) {
		if (*r->at == ')')
			return wrong(r, "a ) has no (");
		n = node(r, SEQUENCE, n, repeated(r));
	}
	return n;
}

static int alternatives(struct rule *r)
{
	int n = sequence(r);

	while (r->at < r->end && *r->at == '|') {
		r->at++;
		n = node(r, ALTERNATIVE, n, sequence(r));
	}
	return n;
}

/* ---- Globs ---- */

static int glob(struct rule *r)
{
	int n = node(r, EMPTY, -1, -1);

	for (; r->at < r->end; r->at++) {
		int one = *r->at == '*' ? node(r, REPEAT, any(r), -1) :
			  *r->at == '?' ? any(r) :
					  character(r, (unsigned char)*r->at);

		if (!isalnum((unsigned char)*r->at) && !strchr("*?_.-", *r->at))
			return wrong(r, "a tag has letters, digits and _ . - only");
		n = node(r, SEQUENCE, n, one);
	}
	return n;
}

/* ---- The automaton ---- */

static int state(struct rule *r, const uint64_t set[2], int next, int other)
{
	struct state *s = &r->automaton[r->states];

	s->set[0] = set ? set[0] : 0;
	s->set[1] = set ? set[1] : 0;
	s->next = next;
	s->other = other;
	return r->states++;
}

/* The state in which a part begins behind which `next` comes. Each operator makes one at most. */
static int emit(struct rule *r, int n, int next)
{
	const struct operand *o = &r->nodes[n];
	int s, body;

	switch (o->operator) {
	case EMPTY:
		return next;
	case SET:
		return state(r, o->set, next, -1);
	case SEQUENCE:
		return emit(r, o->left, emit(r, o->right, next));
	case ALTERNATIVE:
		body = emit(r, o->left, next);
		return state(r, NULL, body, emit(r, o->right, next));
	case OPTIONAL:
		return state(r, NULL, emit(r, o->left, next), next);
	case REPEAT:
	case ONE_OR_MORE:
		s = state(r, NULL, next, next);
		body = emit(r, o->left, s);
		r->automaton[s].other = body;
		return o->operator == REPEAT ? s : body;
	}
	return next;
}

/* Makes a rule's automaton, which begins in the state that is returned; r->why: it is no rule. */
static int compile(struct rule *r, const char *text, size_t len)
{
	bool expression = len && *text == '/';
	int n;

	r->at = text;
	r->end = text + len;
	r->depth = r->count = r->states = 0;
	r->why = NULL;
	state(r, NULL, MATCH, -1);
	if (expression) {
		r->at++;
		r->end--;
		if (r->end < r->at || *r->end != '/')
			r->why = "an expression ends with /";
	}
	if (!r->why && r->at == r->end)
		r->why = "it is empty";
	if (r->why)
		return MATCH;
	n = expression ? alternatives(r) : glob(r);
	return r->why ? MATCH : emit(r, n, MATCH);
}

struct states {
	uint64_t in[NODES / 64 + 1];
};

/* With all that it leads to without a character. */
static void enter(const struct rule *r, struct states *s, int n)
{
	const struct state *st = &r->automaton[n];

	if (s->in[n / 64] >> (n % 64) & 1)
		return;
	s->in[n / 64] |= (uint64_t)1 << (n % 64);
	if (n == MATCH || st->set[0] || st->set[1] || st->other < 0)
		return;
	enter(r, s, st->next);
	enter(r, s, st->other);
}

static bool run(const struct rule *r, int begin, const char *tag)
{
	struct states now = { { 0 } };

	enter(r, &now, begin);
	for (; *tag; tag++) {
		struct states then = { { 0 } };
		unsigned char c = (unsigned char)*tag;

		for (int n = 1; n < r->states; n++)
			if (now.in[n / 64] >> (n % 64) & 1 && c < 128 && r->automaton[n].set[c >> 6] >> (c & 63) & 1)
				enter(r, &then, r->automaton[n].next);
		now = then;
	}
	return now.in[0] & 1;
}

/* ---- Texts of rules ---- */

int rules_check(const char *text, struct err *err)
{
	struct rule rule;

	if (strlen(text) > LIMIT_VALUE)
		return err_set(err, ERR_ARGUMENT, "rules have %d characters at most", LIMIT_VALUE);
	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");
		bool but = *text == '!';

		compile(&rule, text + but, len - but);
		if (rule.why)
			return err_set(err, ERR_ARGUMENT, "\"%.*s\" is no rule for tags: %s", (int)len, text, rule.why);
		text += len;
	}
	return 0;
}

bool rules_match(const char *text, const char *tag, char out[static LIMIT_VALUE + 1])
{
	struct rule rule;
	bool found = false;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		size_t len = strcspn(text, " ");
		bool but = *text == '!';

		if (but || !found) {
			int begin = compile(&rule, text + but, len - but);
			bool matches = !rule.why && run(&rule, begin, tag);

			if (but && matches)
				return false;
			if (matches)
				snprintf(out, LIMIT_VALUE + 1, "%.*s", (int)len, text);
			found |= matches;
		}
		text += len;
	}
	return found;
}
