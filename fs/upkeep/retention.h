/*
 * retention.h: which tags of a repository stay: rules as text, and what follows from them.
 *
 * A rule is a line, or stands between semicolons; what follows a "#" is a comment. A tag stays if one rule at least keeps it. Where
 * there is no rule, all stay.
 *
 *	keep CONDITION...	all of them must hold:
 *	last N			it is one of the N tags that were moved last, of those that the rule's other conditions hold for
 *	newer DURATION		it was moved within that time
 *	pulled DURATION		its image was pulled within it
 *	matching PATTERN [!PATTERN...]	as rule.h has it, without those behind a "!"
 *	latest-patch		it is a version of three numbers, and the newest of its first two; or of two numbers
 *
 * Versions are ordered as Semantic Versioning 2.0.0 says (section 11), with or without a "v" before them, each for itself; what
 * follows a "_" is build metadata, as Helm has it. A version with a suffix (1.2.3-rc1) is the newest only beside, never instead of,
 * the newest one without. "1.2" stands for the newest 1.2.x, and stays.
 *
 * Whatever the rules say: an immutable tag stays; one whose end has come goes; a tag that is about another image by its name
 * (sha256-<hex>, as signatures have it) stays as long as that image does. None of these three takes a place of `last`.
 *
 * "Last" is by the order of the moves, not by the clock. What was moved in the future is new: a clock that was put back
 * keeps more, never less.
 */
#ifndef REGFS_RETENTION_H
#define REGFS_RETENTION_H

#include "fs/base/digest.h"
#include "fs/base/err.h"
#include "fs/base/limits.h"

struct retention;	/* rules that were read */

/* ERR_ARGUMENT names the line, the word, and what may stand there. */
int retention_parse(const char *text, struct retention **out, struct err *err) MUST_CHECK;
void retention_free(struct retention *r);
DEFINE_CLEANUP(cleanup_retention, struct retention *, retention_free)
#define auto_retention CLEANUP(cleanup_retention)

#define RETENTION_WHY 160	/* bytes of a reason */

struct retention_tag {
	const char *name;
	struct digest digest;	/* of the image it names */
	int64_t order;		/* grows with each move of a tag; where it is equal, `moved` counts */
	int64_t moved;
	int64_t pulled;		/* its image; 0: never */
	int64_t expires;	/* 0: never */
	const char *end_by;	/* what set that end: "label regfs.expires"; NULL: nothing to be said */
	const char *immutable;	/* the rule by which it is; NULL: it isn't */
	bool subject_held;	/* the image that it is about by its name is in the repository, whatever the tags name */

	/* The answer. */
	bool keep;
	char why[RETENTION_WHY];	/* "pulled 3 days ago", "no rule keeps it" */
};

/* Decides about all tags of a repository. rules NULL: there are none. ERR_NO_MEMORY. */
int retention_decide(const struct retention *rules, struct retention_tag *tags, size_t count, int64_t now,
		     struct err *err) MUST_CHECK;

/* When something ends that says "14d", from now on, "2026-12-31T00:00:00Z", or "never" (0); false: that is none of them. */
bool retention_end(const char *text, int64_t now, int64_t *end);

/* The digest of the image that a tag is about by its name: sha256-<hex>, and perhaps a suffix such as ".sig". */
bool retention_subject(const char *tag, struct digest *out);

/* "3 days": nanoseconds for people, whole numbers of the largest unit that has at least one; returns out. */
#define AGE_TEXT_MAX 40
char *age_text(int64_t ns, char out[static AGE_TEXT_MAX + 1]);

#endif
