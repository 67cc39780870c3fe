/*
 * retention.c: see retention.h.
 *
 * Invariants:
 *  1. What a rule would keep doesn't depend on the other rules.
 *  2. Of two tags that are equal in what a rule compares, both stay.
 */
#include "fs/base/base.h"
#include "fs/upkeep/retention.h"

#include <ctype.h>

#include "fs/auth/rule.h"
#include "fs/base/buf.h"
#include "fs/base/timestamp.h"

#define LAST_MAX 1000000
#define WORD_SHOWN 40	/* characters of a word in an error */

struct keep {
	int64_t last;		/* -1: not said */
	int64_t newer, pulled;	/* -1: not said */
	bool latest_patch;
	char matching[LIMIT_VALUE + 1];	/* "": not said */
};

struct retention {
	size_t count;
	struct keep rules[LIMIT_RETENTION_RULES];
};

void retention_free(struct retention *r)
{
	free(r);
}

/* ---- Reading ---- */

struct reader {
	const char *at;		/* what is left of the rule */
	const char *end;
	int line;
	char word[LIMIT_VALUE + 1];
	struct err *err;
};

/* The next word of the rule: false if there is none. One that is too long is cut, and is no word that we know. */
static bool next_word(struct reader *r)
{
	size_t len;

	while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
	for (len = 0; r->at + len < r->end && !strchr(" \t\r", r->at[len]); len++)
		;
	snprintf(r->word, sizeof(r->word), "%.*s", (int)MIN(len, sizeof(r->word) - 1), r->at);
	r->at += len;
	return len > 0;
}

static int wrong(struct reader *r, const char *allowed)
{
	if (!*r->word)
		return err_set(r->err, ERR_ARGUMENT, "line %d of the retention rules ends too early: %s", r->line, allowed);
	return err_set(r->err, ERR_ARGUMENT, "line %d of the retention rules: \"%.*s\" can't stand here: %s", r->line, WORD_SHOWN,
		       r->word, allowed);
}

static int twice(struct reader *r, const char *what)
{
	return err_set(r->err, ERR_ARGUMENT, "line %d of the retention rules says \"%s\" twice: make it two rules", r->line, what);
}

static int read_last(struct reader *r, struct keep *k)
{
	if (k->last >= 0)
		return twice(r, "last");
	if (!next_word(r) || strspn(r->word, "0123456789") != strlen(r->word) || strlen(r->word) > 7 || atol(r->word) > LAST_MAX)
		return wrong(r, "behind last comes a number of tags, up to 1000000");
	k->last = atol(r->word);
	return 0;
}

static int read_duration(struct reader *r, const char *what, int64_t *out)
{
	if (*out >= 0)
		return twice(r, what);
	if (!next_word(r) || !duration_parse(r->word, out)) {
		*out = -1;
		return wrong(r, "a duration comes here, such as 36h, 30d or 2w");
	}
	return 0;
}

static int read_newer(struct reader *r, struct keep *k)
{
	return read_duration(r, "newer", &k->newer);
}

static int read_pulled(struct reader *r, struct keep *k)
{
	return read_duration(r, "pulled", &k->pulled);
}

static int read_latest_patch(struct reader *r, struct keep *k)
{
	(void)r;
	k->latest_patch = true;
	return 0;
}

/* A pattern, and those behind it that begin with "!". */
static int read_matching(struct reader *r, struct keep *k)
{
	const char *behind;

	if (*k->matching)
		return twice(r, "matching");
	if (!next_word(r) || *r->word == '!')
		return wrong(r, "behind matching comes a pattern for tags, such as v* or /[0-9.]+/");
	do {
		size_t len = strlen(k->matching);

		if (len + 1 + strlen(r->word) >= sizeof(k->matching))
			return wrong(r, "the patterns of a rule have 255 characters at most");
		snprintf(k->matching + len, sizeof(k->matching) - len, "%s%s", len ? " " : "", r->word);
		behind = r->at;
	} while (next_word(r) && *r->word == '!');
	r->at = behind;
	return rules_check(k->matching, r->err);
}

#define CONDITIONS "last N, newer DURATION, pulled DURATION, matching PATTERN or latest-patch"

static const struct {
	const char *word;
	int (*read)(struct reader *r, struct keep *k);
} conditions[] = {
	{ "last", read_last },
	{ "newer", read_newer },
	{ "pulled", read_pulled },
	{ "matching", read_matching },
	{ "latest-patch", read_latest_patch },
};

static int read_condition(struct reader *r, struct keep *k)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++)
		if (streq(r->word, conditions[i].word))
			return conditions[i].read(r, k);
	return wrong(r, "behind keep comes " CONDITIONS);
}

static int read_rule(struct reader *r, struct retention *out)
{
	struct keep *k = &out->rules[out->count];
	int n, rc = 0;

	if (!next_word(r))
		return 0;
	if (!streq(r->word, "keep"))
		return wrong(r, "a rule begins with keep");
	if (out->count == LIMIT_RETENTION_RULES)
		return err_set(r->err, ERR_ARGUMENT, "there are at most %d retention rules", LIMIT_RETENTION_RULES);
	*k = (struct keep){ .last = -1, .newer = -1, .pulled = -1 };
	for (n = 0; !rc && next_word(r); n++)
		rc = read_condition(r, k);
	if (!rc && !n)
		rc = wrong(r, "behind keep comes " CONDITIONS);
	out->count += !rc;
	return rc;
}

int retention_parse(const char *text, struct retention **out, struct err *err)
{
	auto_retention struct retention *rules = NULL;
	struct reader r = { .line = 1, .err = err };
	int rc = 0;

	if (strlen(text) > LIMIT_RETENTION)
		return err_set(err, ERR_ARGUMENT, "retention rules have %d characters at most", LIMIT_RETENTION);
	rules = calloc(1, sizeof(*rules));
	if (!rules)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	while (!rc && *text) {
		size_t len = strcspn(text, ";\n#");

		r.at = text;
		r.end = text + len;
		rc = read_rule(&r, rules);
		text += len;
		text += *text == '#' ? strcspn(text, "\n") : 0;
		r.line += *text == '\n';
		text += *text != '\0';
	}
	if (!rc)
		*out = steal(&rules);
	return rc;
}

/* ---- Versions ---- */

struct version {
	bool is;
	const char *prefix;	/* "v" or "" */
	const char *part[3];	/* numbers, without zeros before them */
	size_t len[3];
	int parts;
	const char *suffix;	/* behind the "-", or NULL */
	size_t suffix_len;
};

static const char *read_number(const char *s, struct version *v)
{
	if (!isdigit((unsigned char)*s))
		return NULL;
	while (*s == '0' && isdigit((unsigned char)s[1]))
		s++;
	v->part[v->parts] = s;
	v->len[v->parts] = strspn(s, "0123456789");
	return s + v->len[v->parts++];
}

/* Of two or three numbers; not of one, which may be anything. */
static void version_parse(const char *tag, struct version *v)
{
	const char *s = tag + (*tag == 'v');

	memset(v, 0, sizeof(*v));
	v->prefix = *tag == 'v' ? "v" : "";
	for (s = read_number(s, v); s && *s == '.' && v->parts < 3; )
		s = read_number(s + 1, v);
	if (!s || v->parts < 2)
		return;
	if (*s == '-') {
		v->suffix = s + 1;
		v->suffix_len = strcspn(s + 1, "_");
		s += 1 + v->suffix_len;
		if (!v->suffix_len)
			return;
	}
	v->is = !*s || *s == '_';
}

static int compare_number(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return a_len != b_len ? (a_len > b_len) - (a_len < b_len) : memcmp(a, b, a_len);
}

static bool all_digits(const char *s, size_t len)
{
	return strspn(s, "0123456789") >= len;
}

static int compare_identifier(const char *a, size_t a_len, const char *b, size_t b_len)
{
	bool a_number = all_digits(a, a_len), b_number = all_digits(b, b_len);
	int c;

	if (a_number && b_number) {
		for (; a_len > 1 && *a == '0'; a++, a_len--)
			;
		for (; b_len > 1 && *b == '0'; b++, b_len--)
			;
		return compare_number(a, a_len, b, b_len);
	}
	if (a_number != b_number)
		return a_number ? -1 : 1;
	c = memcmp(a, b, MIN(a_len, b_len));
	return c ? c : (a_len > b_len) - (a_len < b_len);
}

/* Semantic Versioning 2.0.0, 11.4: by what stands between the points; more of it is higher. */
static int compare_suffix(const struct version *x, const struct version *y)
{
	const char *a = x->suffix, *b = y->suffix;
	const char *a_end = a + x->suffix_len, *b_end = b + y->suffix_len;

	for (;;) {
		const char *a_dot = memchr(a, '.', (size_t)(a_end - a)), *b_dot = memchr(b, '.', (size_t)(b_end - b));
		int c = compare_identifier(a, (size_t)((a_dot ? a_dot : a_end) - a), b, (size_t)((b_dot ? b_dot : b_end) - b));

		if (c || !a_dot || !b_dot)
			return c ? c : (a_dot != NULL) - (b_dot != NULL);
		a = a_dot + 1;
		b = b_dot + 1;
	}
}

static int compare_versions(const struct version *a, const struct version *b)
{
	int c = compare_number(a->part[2], a->len[2], b->part[2], b->len[2]);

	if (c || (!a->suffix && !b->suffix))
		return c;
	if (!a->suffix || !b->suffix)
		return a->suffix ? -1 : 1;
	return compare_suffix(a, b);
}

static bool same_minor(const struct version *a, const struct version *b)
{
	return streq(a->prefix, b->prefix) && !compare_number(a->part[0], a->len[0], b->part[0], b->len[0]) &&
	       !compare_number(a->part[1], a->len[1], b->part[1], b->len[1]);
}

/* ---- Deciding ---- */

bool retention_subject(const char *tag, struct digest *out)
{
	char text[DIGEST_TEXT_MAX + 1];
	size_t len = strcspn(tag, ".");
	const char *dash = strchr(tag, '-');

	if (!dash || len > DIGEST_TEXT_MAX || (size_t)(dash - tag) > len)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)len, tag);
	text[dash - tag] = ':';
	return digest_parse(text, out, NULL) == 0;
}

bool retention_end(const char *text, int64_t now, int64_t *end)
{
	int64_t duration;

	*end = 0;
	if (streq(text, "never"))
		return true;
	if (duration_parse(text, &duration))
		return duration > 0 && !__builtin_add_overflow(now, duration, end);
	return timestamp_parse(text, end) && *end > 0;
}

char *age_text(int64_t ns, char out[static AGE_TEXT_MAX + 1])
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = { { "day", 86400 }, { "hour", 3600 }, { "minute", 60 }, { "second", 1 } };
	int64_t seconds = MAX(ns, 0) / 1000000000;
	size_t i = 0;

	while (i < ARRAY_SIZE(units) - 1 && seconds < units[i].seconds)
		i++;
	seconds /= units[i].seconds;
	snprintf(out, AGE_TEXT_MAX + 1, "%" PRId64 " %s%s", seconds, units[i].unit, seconds == 1 ? "" : "s");
	return out;
}

struct decision {
	struct retention_tag *tags;
	size_t count;
	int64_t now;
	bool *open;		/* the rules decide about it */
	bool *held;		/* of the rule in hand: its conditions but `last` hold */
	size_t *order;		/* for `last` and latest-patch */
	struct version *versions;
};

static void PRINTF(3, 4) settle(struct retention_tag *t, bool keep, const char *fmt, ...)
{
	va_list ap;

	t->keep = keep;
	va_start(ap, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, ap);
	va_end(ap);
}

/* `at` is not longer ago than `within`; the future isn't, either. */
static bool is_within(int64_t at, int64_t within, int64_t now)
{
	int64_t age;

	return __builtin_sub_overflow(now, at, &age) ? at > now : age <= within;
}

/* Sets aside what no rule is asked about. */
static void settle_beforehand(struct decision *d)
{
	char age[AGE_TEXT_MAX + 1];
	struct digest subject;

	for (size_t i = 0; i < d->count; i++) {
		struct retention_tag *t = &d->tags[i];

		d->open[i] = false;
		settle(t, false, "no rule keeps it");
		if (t->immutable)
			settle(t, true, "%.100s is immutable", t->immutable);
		else if (t->expires && t->expires <= d->now)
			settle(t, false, "expired %s ago%s%s%s", age_text(d->now - t->expires, age), t->end_by ? " (" : "",
			       t->end_by ? t->end_by : "", t->end_by ? ")" : "");
		else
			d->open[i] = !retention_subject(t->name, &subject);
	}
}

/* Conditions that each tag meets by itself. */
static bool meets(const struct keep *k, const struct retention_tag *t, int64_t now)
{
	char pattern[LIMIT_VALUE + 1];

	return (k->newer < 0 || is_within(t->moved, k->newer, now)) &&
	       (k->pulled < 0 || (t->pulled && is_within(t->pulled, k->pulled, now))) &&
	       (!*k->matching || rules_match(k->matching, t->name, pattern));
}

static void say_why(const struct decision *d, const struct keep *k, struct retention_tag *t)
{
	char age[AGE_TEXT_MAX + 1];

	if (t->keep)	/* an earlier rule said it */
		return;
	if (k->pulled >= 0)
		settle(t, true, "pulled %s ago", age_text(d->now - t->pulled, age));
	else if (k->latest_patch)
		settle(t, true, "latest patch");
	else if (k->newer >= 0 && t->moved > d->now)
		settle(t, true, "moved in the future");
	else if (k->newer >= 0)
		settle(t, true, "moved %s ago", age_text(d->now - t->moved, age));
	else if (k->last >= 0)
		settle(t, true, "last %" PRId64 "%s%.80s", k->last, *k->matching ? " of " : "", k->matching);
	else
		settle(t, true, "matches %.100s", k->matching);
}

static int by_move(const void *x, const void *y, void *arg)
{
	const struct retention_tag *tags = arg, *a = &tags[*(const size_t *)x], *b = &tags[*(const size_t *)y];

	if (a->order != b->order)
		return a->order > b->order ? -1 : 1;
	return (a->moved < b->moved) - (a->moved > b->moved);
}

/* Versions of one minor stand together, the newest first; what is none, behind them. */
static int by_version(const void *x, const void *y, void *arg)
{
	const struct version *versions = arg, *a = &versions[*(const size_t *)x], *b = &versions[*(const size_t *)y];
	int c = b->is - a->is;

	if (c || !a->is)
		return c;
	c = strcmp(a->prefix, b->prefix);
	for (int i = 0; !c && i < 2; i++)
		c = compare_number(b->part[i], b->len[i], a->part[i], a->len[i]);
	if (!c)
		c = a->parts - b->parts;
	return c || a->parts < 3 ? c : compare_versions(b, a);
}

static size_t list(struct decision *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->count; i++)
		if (d->held[i])
			d->order[n++] = i;
	return n;
}

static void only_last(struct decision *d, int64_t last)
{
	size_t n = list(d);

	qsort_r(d->order, n, sizeof(*d->order), by_move, d->tags);
	for (size_t i = (size_t)last; i < n; i++)
		d->held[d->order[i]] = i && last && d->held[d->order[i - 1]] &&
				       !by_move(&d->order[i - 1], &d->order[i], d->tags);
}

/* Of each minor version: the newest without a suffix; those with one that are newer still, the newest of them; their equals. */
static void only_latest_patch(struct decision *d)
{
	const struct version *first = NULL, *release = NULL;
	size_t n = list(d);

	for (size_t i = 0; i < n; i++)
		version_parse(d->tags[d->order[i]].name, &d->versions[d->order[i]]);
	qsort_r(d->order, n, sizeof(*d->order), by_version, d->versions);
	for (size_t i = 0; i < n; i++) {
		const struct version *v = &d->versions[d->order[i]];
		bool *held = &d->held[d->order[i]];

		*held = v->is;
		if (!v->is || v->parts < 3)
			continue;
		if (!first || !same_minor(first, v)) {
			first = v;
			release = NULL;
		}
		if (!release && !v->suffix)
			release = v;
		*held = !compare_versions(first, v) || (release && !compare_versions(release, v));
	}
}

static void apply(struct decision *d, const struct keep *k)
{
	for (size_t i = 0; i < d->count; i++)
		d->held[i] = d->open[i] && meets(k, &d->tags[i], d->now);
	if (k->latest_patch)
		only_latest_patch(d);
	if (k->last >= 0)
		only_last(d, k->last);
	for (size_t i = 0; i < d->count; i++)
		if (d->held[i])
			say_why(d, k, &d->tags[i]);
}

static int compare_digests(const struct digest *a, const struct digest *b)
{
	return memcmp(a, b, MIN(digest_size(a), digest_size(b)));
}

/* Tags that are about an image by their name, sorted by it. */
struct attached {
	struct retention_tag *tag;
	struct digest subject;
};

static int by_subject(const void *x, const void *y)
{
	const struct attached *a = x, *b = y;

	return compare_digests(&a->subject, &b->subject);
}

/* The first one about that image, or behind it. */
static size_t find_attached(const struct attached *list, size_t count, const struct digest *subject)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_digests(&list[middle].subject, subject) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static size_t list_attached(const struct decision *d, bool rules, struct attached *out)
{
	size_t n = 0;

	for (size_t i = 0; i < d->count; i++) {
		struct retention_tag *t = &d->tags[i];

		if (t->keep || (t->expires && t->expires <= d->now) || !retention_subject(t->name, &out[n].subject))
			continue;
		if (t->subject_held)
			settle(t, true, "belongs to an image that stays");
		else if (rules)
			settle(t, false, "what it belongs to goes");
		out[n++].tag = t;
	}
	qsort(out, n, sizeof(*out), by_subject);
	return n;
}

/* What stays keeps those about it, and these keep those about them: d->order is the queue, and each tag comes into it once. */
static int settle_attached(struct decision *d, bool rules, struct err *err)
{
	auto_free struct attached *list = calloc(d->count + 1, sizeof(*list));
	size_t n, queued = 0;

	if (!list)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	n = list_attached(d, rules, list);
	for (size_t i = 0; i < d->count; i++)
		if (d->tags[i].keep)
			d->order[queued++] = i;
	for (size_t at = 0; at < queued; at++) {
		const struct retention_tag *of = &d->tags[d->order[at]];

		/* One that stays already has those beside it with it. */
		for (size_t i = find_attached(list, n, &of->digest);
		     i < n && !list[i].tag->keep && !compare_digests(&list[i].subject, &of->digest); i++) {
			settle(list[i].tag, true, "belongs to %.100s", of->name);
			d->order[queued++] = (size_t)(list[i].tag - d->tags);
		}
	}
	return 0;
}

int retention_decide(const struct retention *rules, struct retention_tag *tags, size_t count, int64_t now, struct err *err)
{
	auto_free bool *open = calloc(count + 1, sizeof(*open)), *held = calloc(count + 1, sizeof(*held));
	auto_free size_t *order = calloc(count + 1, sizeof(*order));
	auto_free struct version *versions = calloc(count + 1, sizeof(*versions));
	struct decision d = { .tags = tags, .count = count, .now = now, .open = open, .held = held, .order = order,
			      .versions = versions };
	bool some = rules && rules->count;

	if (!open || !held || !order || !versions)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	settle_beforehand(&d);
	for (size_t i = 0; some && i < rules->count; i++)
		apply(&d, &rules->rules[i]);
	for (size_t i = 0; !some && i < count; i++)
		if (!tags[i].immutable && !(tags[i].expires && tags[i].expires <= now))
			settle(&tags[i], true, "there are no rules");
	return settle_attached(&d, some, err);
}
