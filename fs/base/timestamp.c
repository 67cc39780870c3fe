/*
 * timestamp.c: times as nanoseconds since 1970, and RFC 3339.
 *
 * An int64_t of nanoseconds reaches from 1677 to 2262; a time outside (builders
 * write 0001-01-01) can't be kept and doesn't parse.
 */
#include "fs/base/base.h"
#include "fs/base/timestamp.h"

#define NS_PER_SECOND 1000000000

static int64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * NS_PER_SECOND + ts.tv_nsec;
}

int64_t timestamp_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t timestamp_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

char *timestamp_format(int64_t t, char out[static TIMESTAMP_TEXT_MAX + 1])
{
	time_t seconds = t / NS_PER_SECOND;
	struct tm tm;

	/* Towards the past, also before 1970. */
	if (t % NS_PER_SECOND < 0)
		seconds--;
	gmtime_r(&seconds, &tm);
	strftime(out, TIMESTAMP_TEXT_MAX + 1, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

/* Exactly `digits` digits at **p, from min to max. */
static bool number(const char **p, int digits, int min, int max, int *out)
{
	int n = 0;

	for (int i = 0; i < digits; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		n = n * 10 + (**p - '0');
	}
	*out = n;
	return n >= min && n <= max;
}

static bool literal(const char **p, const char *any_of)
{
	if (!**p || !strchr(any_of, **p))
		return false;
	(*p)++;
	return true;
}

/* Digits behind the point; those behind the ninth are too fine to keep. */
static bool fraction(const char **p, int64_t *ns)
{
	int64_t unit = NS_PER_SECOND / 10;

	*ns = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (**p < '0' || **p > '9')
		return false;
	for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
		*ns += unit * (**p - '0');
	return true;
}

static bool offset(const char **p, int64_t *seconds)
{
	int hours, minutes;
	bool west = **p == '-';

	*seconds = 0;
	if (literal(p, "Zz"))
		return true;
	if (!literal(p, "+-") || !number(p, 2, 0, 23, &hours) || !literal(p, ":") ||
	    !number(p, 2, 0, 59, &minutes))
		return false;
	*seconds = (hours * 60 + minutes) * 60;
	if (west)
		*seconds = -*seconds;
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

bool timestamp_parse(const char *text, int64_t *out)
{
	const char *p = text;
	struct tm tm = { 0 };
	int64_t ns, away, t;
	int year, month;

	/* A second of 60 is a leap second. */
	if (!number(&p, 4, 0, 9999, &year) || !literal(&p, "-") || !number(&p, 2, 1, 12, &month) ||
	    !literal(&p, "-") || !number(&p, 2, 1, days_in_month(year, month), &tm.tm_mday) ||
	    !literal(&p, "Tt ") || !number(&p, 2, 0, 23, &tm.tm_hour) || !literal(&p, ":") ||
	    !number(&p, 2, 0, 59, &tm.tm_min) || !literal(&p, ":") ||
	    !number(&p, 2, 0, 60, &tm.tm_sec) || !fraction(&p, &ns) || !offset(&p, &away) || *p)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	if (__builtin_mul_overflow((int64_t)timegm(&tm) - away, (int64_t)NS_PER_SECOND, &t) ||
	    __builtin_add_overflow(t, ns, &t))
		return false;
	*out = t;
	return true;
}

bool duration_parse(const char *text, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t nanoseconds;
	} units[] = {
		{ "ms", 1000000 },
		{ "s", 1000000000 },
		{ "m", 60 * INT64_C(1000000000) },
		{ "h", 3600 * INT64_C(1000000000) },
		{ "d", 86400 * INT64_C(1000000000) },
		{ "w", 7 * 86400 * INT64_C(1000000000) },
	};
	char *unit;
	long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoll(text, &unit, 10);
	if (errno)
		return false;
	if (n == 0 && !*unit) {
		*out = 0;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i].unit) == 0)
			return !__builtin_mul_overflow((int64_t)n, units[i].nanoseconds, out);
	return false;
}
