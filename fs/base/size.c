/* size.c: see size.h. */
#include "fs/base/base.h"
#include "fs/base/size.h"

/* What stands behind the number: a power of `*base`, or negative. */
static int read_unit(const char *unit, int64_t *base)
{
	static const char units[] = "kMGT";
	const char *found = *unit ? strchr(units, *unit == 'K' ? 'k' : *unit) : NULL;

	*base = 1000;
	if (!*unit || streq(unit, "B"))
		return 0;
	if (!found)
		return -1;
	if (*++unit == 'i') {
		*base = 1024;
		unit++;
	}
	return !*unit || streq(unit, "B") ? (int)(found - units) + 1 : -1;
}

bool number_parse(const char *text, int64_t least, int64_t *out)
{
	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	*out = strtoll(text, NULL, 10);
	return !errno && *out >= least;
}

bool size_parse(const char *text, int64_t *out)
{
	int64_t base, n;
	int power;
	char *unit;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoll(text, &unit, 10);
	power = read_unit(unit, &base);
	if (errno || power < 0)
		return false;
	for (; power > 0; power--)
		if (__builtin_mul_overflow(n, base, &n))
			return false;
	*out = n;
	return true;
}

char *size_text(int64_t bytes, char out[static SIZE_TEXT_MAX + 1])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 999.5 && unit + 1 < ARRAY_SIZE(units); unit++)
		value /= 1000;
	snprintf(out, SIZE_TEXT_MAX + 1, unit && value < 99.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}
