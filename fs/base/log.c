/*
 * log.c: lines on standard error.
 */
#include "fs/base/base.h"
#include "fs/base/log.h"

#include <pthread.h>

#include "fs/base/siphash.h"
#include "fs/base/timestamp.h"

#define LOG_TEXT_MAX 2048
#define REMEMBERED 64		/* failures */
#define FAILURE_PAUSE (60 * INT64_C(1000000000))	/* between two lines of the same */

struct level {
	const char *priority;	/* as sd-daemon(3) has it */
	const char *word;
};

static const struct level level_error = { "<3>", "error: " };
static const struct level level_warn = { "<4>", "warning: " };
static const struct level level_info = { "<6>", "" };

/* Escapes `text` to `out`, which has room for four times as much; returns the end. */
static char *escape(char *out, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		/* U+0080 to U+009F are controls too: terminals act on them. */
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		if (*p == '\\') {
			*out++ = '\\';
			*out++ = '\\';
		} else if (*p == '\n') {
			*out++ = '\\';
			*out++ = 'n';
		} else if (*p < 0x20 || *p == 0x7f || c1) {
			*out++ = '\\';
			*out++ = 'x';
			*out++ = digits[*p >> 4];
			*out++ = digits[*p & 15];
		} else {
			*out++ = (char)*p;
		}
	}
	return out;
}

static void log_line(const struct level *level, const char *fmt, va_list ap) PRINTF(2, 0);

static void log_line(const struct level *level, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX], line[4 * LOG_TEXT_MAX + 64], *end;
	const char *priority = getenv("JOURNAL_STREAM") ? level->priority : "";
	int saved = errno, len = vsnprintf(text, sizeof(text), fmt, ap);
	ssize_t written;

	if (len < 0)
		return;
	end = line + snprintf(line, 64, "%sregfs: %s", priority, level->word);
	end = escape(end, text);
	if ((size_t)len >= sizeof(text)) {
		memcpy(end, "...", 3);
		end += 3;
	}
	*end++ = '\n';
	do
		written = write(STDERR_FILENO, line, (size_t)(end - line));
	while (written < 0 && errno == EINTR);
	errno = saved;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&level_error, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&level_warn, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(&level_info, fmt, ap);
	va_end(ap);
}

/* Whether that text wasn't given for a while. */
static bool is_due(const char *text)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct siphash_key key;
	static struct {
		uint64_t hash;
		int64_t at;	/* nanoseconds, of the monotonic clock; 0: none */
	} seen[REMEMBERED];
	int64_t now = timestamp_monotonic();
	size_t oldest = 0;
	uint64_t hash;
	bool due = true;

	pthread_mutex_lock(&lock);
	/* What clients make up is in it; without random numbers they could have each other's lines left out. */
	if (!key.k[0] && siphash_key_new(&key, NULL))
		key = (struct siphash_key){ { 1, 1 } };
	hash = siphash(&key, text, strlen(text));
	for (size_t i = 0; i < REMEMBERED; i++) {
		if (seen[i].at && seen[i].hash == hash) {
			due = now - seen[i].at >= FAILURE_PAUSE;
			oldest = i;
			break;
		}
		if (seen[i].at < seen[oldest].at)
			oldest = i;
	}
	if (due) {
		seen[oldest].hash = hash;
		seen[oldest].at = MAX(now, 1);
	}
	pthread_mutex_unlock(&lock);
	return due;
}

void log_failure(const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (is_due(text))
		log_error("%s", text);
}
