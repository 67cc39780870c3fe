/*
 * test_retention.c: retention rules: the written cases of retention.table, and what is no rule.
 */
#include "fs/base/base.h"
#include "fs/upkeep/retention.h"

#include "fs/base/timestamp.h"
#include "tests/unit/tap.h"

#define NOW (INT64_C(20000) * 86400 * 1000000000)
#define TAGS 16

struct row {
	char name[TAGS][LIMIT_TAG + 1];
	struct retention_tag tags[TAGS];
	size_t count;
};

/* "3d", "-3d": so long before NOW. */
static int64_t age(const char *text)
{
	int64_t ns = 0;
	bool future = *text == '-';

	if (!duration_parse(text + future, &ns))
		ok(false, "the table has the age %s", text);
	return future ? NOW + ns : NOW - ns;
}

static void image(long n, struct digest *out)
{
	char text[DIGEST_TEXT_MAX + 1];

	snprintf(text, sizeof(text), "sha256:%064lx", n);
	if (digest_parse(text, out, NULL))
		ok(false, "image %ld has a digest", n);
}

/* SIG(3).sig: the name that goes with image 3. */
static void spell(const char *word, char out[static LIMIT_TAG + 1])
{
	char *end = NULL;

	if (strncmp(word, "SIG(", 4) == 0) {
		long n = strtol(word + 4, &end, 10);

		snprintf(out, LIMIT_TAG + 1, "sha256-%064lx%s", n, end + 1);
	} else {
		snprintf(out, LIMIT_TAG + 1, "%s", word);
	}
}

static void read_word(struct retention_tag *t, const char *word)
{
	const char *value = strchr(word, '=');

	value = value ? value + 1 : "";
	if (strncmp(word, "pulled=", 7) == 0)
		t->pulled = age(value);
	else if (strncmp(word, "ends=", 5) == 0)
		t->expires = age(value);
	else if (strncmp(word, "image=", 6) == 0)
		image(atol(value), &t->digest);
	else if (strncmp(word, "order=", 6) == 0)
		t->order = atol(value);
	else if (streq(word, "immutable"))
		t->immutable = "v*";
	else if (streq(word, "held"))
		t->subject_held = true;
	else
		ok(false, "the table has the word %s", word);
}

static void read_tag(struct row *r, char *text)
{
	struct retention_tag *t = &r->tags[r->count];
	char *save = NULL, *at = strchr(text, '@');

	*at = '\0';
	spell(text, r->name[r->count]);
	*t = (struct retention_tag){ .name = r->name[r->count], .end_by = "label regfs.expires" };
	image(1000 + (long)r->count++, &t->digest);
	t->moved = age(strtok_r(at + 1, ",", &save));
	for (char *word; (word = strtok_r(NULL, ",", &save)); )
		read_word(t, word);
}

static void read_tags(struct row *r, char *text)
{
	char *save = NULL;

	r->count = 0;
	for (char *word = strtok_r(text, " ", &save); word && !streq(word, "-"); word = strtok_r(NULL, " ", &save))
		read_tag(r, word);
}

/* The names of those that stay, as the table has them. */
static void say_kept(const struct row *r, char *out, size_t size)
{
	size_t len = 0;

	*out = '\0';
	for (size_t i = 0; i < r->count; i++)
		if (r->tags[i].keep)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", r->name[i]);
}

static void spell_all(char *text, char *out, size_t size)
{
	char *save = NULL;
	size_t len = 0;

	*out = '\0';
	for (char *word = strtok_r(text, " ", &save); word && !streq(word, "-"); word = strtok_r(NULL, " ", &save)) {
		char name[LIMIT_TAG + 1];

		spell(word, name);
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " " : "", name);
	}
}

static void check_why(const struct row *r, char *text, int line)
{
	char *colon = strstr(text, ": ");
	char name[LIMIT_TAG + 1];

	*colon = '\0';
	spell(text + strspn(text, " "), name);
	for (size_t i = 0; i < r->count; i++)
		if (streq(r->name[i], name))
			is_str(r->tags[i].why, colon + 2, "line %d: why %s", line, name);
}

static bool walk_line(char *text, int line)
{
	auto_retention struct retention *rules = NULL;
	char *part[4] = { text };
	char kept[TAGS * (LIMIT_TAG + 2)], expected[sizeof(kept)], said[256];
	struct err err = ERR_INIT;
	struct row row;

	for (int i = 1; i < 4 && part[i - 1]; i++) {
		part[i] = strstr(part[i - 1], " | ");
		if (part[i]) {
			*part[i] = '\0';
			part[i] += 3;
		}
	}
	if (!part[2])
		return false;
	snprintf(said, sizeof(said), "%s", part[0]);
	read_tags(&row, part[1]);
	spell_all(part[2], expected, sizeof(expected));
	if (!ok(retention_parse(part[0], &rules, &err) == 0, "line %d: %s", line, said))
		return true;
	ok(retention_decide(rules, row.tags, row.count, NOW, &err) == 0, "line %d is decided", line);
	say_kept(&row, kept, sizeof(kept));
	is_str(kept, expected, "line %d: %s", line, said);
	if (part[3])
		check_why(&row, part[3], line);
	return true;
}

static void walk_table(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[1024];
	int number = 0, cases = 0;

	for (; f && fgets(line, sizeof(line), f); ) {
		number++;
		line[strcspn(line, "\n")] = '\0';
		if (*line != '#' && strstr(line, " | "))
			cases += walk_line(line, number);
	}
	if (f)
		fclose(f);
	ok(cases >= 80, "the table has %d cases", cases);
}

static const struct {
	const char *text, *why;
} bad[] = {
	{ "drop last 3", "line 1 of the retention rules: \"drop\" can't stand here: a rule begins with keep" },
	{ "keep", "line 1 of the retention rules ends too early: behind keep comes last N, newer DURATION, pulled DURATION, matching PATTERN or latest-patch" },
	{ "keep everything", "line 1 of the retention rules: \"everything\" can't stand here: behind keep comes last N, newer DURATION, pulled DURATION, matching PATTERN or latest-patch" },
	{ "keep last", "line 1 of the retention rules ends too early: behind last comes a number of tags, up to 1000000" },
	{ "keep last ten", "line 1 of the retention rules: \"ten\" can't stand here: behind last comes a number of tags, up to 1000000" },
	{ "keep last -1", "line 1 of the retention rules: \"-1\" can't stand here: behind last comes a number of tags, up to 1000000" },
	{ "keep last 1000001", "line 1 of the retention rules: \"1000001\" can't stand here: behind last comes a number of tags, up to 1000000" },
	{ "keep last 1\n\n# x\nkeep newer soon", "line 4 of the retention rules: \"soon\" can't stand here: a duration comes here, such as 36h, 30d or 2w" },
	{ "keep last 1; keep pulled", "line 1 of the retention rules ends too early: a duration comes here, such as 36h, 30d or 2w" },
	{ "keep last 1 last 2", "line 1 of the retention rules says \"last\" twice: make it two rules" },
	{ "keep newer 1d newer 2d", "line 1 of the retention rules says \"newer\" twice: make it two rules" },
	{ "keep matching a matching b", "line 1 of the retention rules says \"matching\" twice: make it two rules" },
	{ "keep matching", "line 1 of the retention rules ends too early: behind matching comes a pattern for tags, such as v* or /[0-9.]+/" },
	{ "keep matching !a", "line 1 of the retention rules: \"!a\" can't stand here: behind matching comes a pattern for tags, such as v* or /[0-9.]+/" },
	{ "keep matching a b", "line 1 of the retention rules: \"b\" can't stand here: behind keep comes last N, newer DURATION, pulled DURATION, matching PATTERN or latest-patch" },
	{ "keep newer 999999999999999999w", "line 1 of the retention rules: \"999999999999999999w\" can't stand here: a duration comes here, such as 36h, 30d or 2w" },
};

static void refuse_bad(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		auto_retention struct retention *rules = NULL;
		struct err err = ERR_INIT;

		ok(retention_parse(bad[i].text, &rules, &err) && err.reason == ERR_ARGUMENT && !rules, "what is no rule: %zu", i);
		is_str(err.text, bad[i].why, "and why");
	}
}

/* Each limit, and one beyond it. */
static void keep_limits(void)
{
	auto_retention struct retention *rules = NULL, *more = NULL, *longest = NULL, *longer = NULL;
	char many[(LIMIT_RETENTION_RULES + 1) * 12 + 1] = "", text[LIMIT_RETENTION + 2];
	struct err err = ERR_INIT;

	for (int i = 0; i < LIMIT_RETENTION_RULES; i++)
		memcpy(many + strlen(many), "keep last 1;", 13);
	ok(retention_parse(many, &rules, &err) == 0, "%d rules", LIMIT_RETENTION_RULES);
	memcpy(many + strlen(many), "keep last 1;", 13);
	ok(retention_parse(many, &more, &err) != 0, "and no more");
	is_str(err.text, "there are at most 64 retention rules", "it says so");
	memset(text, ' ', sizeof(text));
	text[LIMIT_RETENTION] = '\0';
	ok(retention_parse(text, &longest, &err) == 0, "a text of %d", LIMIT_RETENTION);
	text[LIMIT_RETENTION] = ' ';
	text[LIMIT_RETENTION + 1] = '\0';
	ok(retention_parse(text, &longer, &err) != 0, "and no longer");
}

static void say_ages(void)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} ages[] = { { -5, "0 seconds" }, { 0, "0 seconds" }, { 1, "1 second" }, { 59, "59 seconds" }, { 60, "1 minute" },
		     { 3599, "59 minutes" }, { 7200, "2 hours" }, { 86400, "1 day" }, { 86400 * 400, "400 days" } };
	char text[AGE_TEXT_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		is_str(age_text(ages[i].seconds * 1000000000, text), ages[i].text, "%" PRId64 " s", ages[i].seconds);
}

int main(void)
{
	walk_table("tests/unit/retention.table");
	refuse_bad();
	keep_limits();
	say_ages();
	return done_testing();
}
