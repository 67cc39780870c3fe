/*
 * command.c: what the subcommands share.
 */
#include "fs/base/base.h"
#include "tools/command.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

const struct option_row look_options[] = {
	PLACE_OPTIONS(struct store_options, store),
	{ "json", 0, NULL, offsetof(struct store_options, json), "print one JSON document" },
	{ 0 },
};

const struct option_row change_options[] = {
	PLACE_OPTIONS(struct store_options, store),
	{ "json", 0, NULL, offsetof(struct store_options, json), "print one JSON document" },
	{ "dry-run", 'n', NULL, offsetof(struct store_options, dry_run), "say what would be done, change nothing" },
	{ 0 },
};

/* ---- The configuration file ---- */

static int read_whole(const char *path, char **out, struct err *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = malloc(LIMIT_CONFIG_FILE + 1);
	ssize_t n;

	if (fd < 0)
		return err_set(err, ERR_ARGUMENT, "can't open %s: %s", path, strerror(errno));
	if (!text)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	n = read(fd, text, LIMIT_CONFIG_FILE + 1);
	if (n < 0)
		return err_sys(err, errno, "can't read %s", path);
	if (n > LIMIT_CONFIG_FILE)
		return err_set(err, ERR_USAGE, "%s is longer than %d bytes", path, LIMIT_CONFIG_FILE);
	text[n] = '\0';
	*out = steal(&text);
	return 0;
}

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r", end[-1]))
		end--;
	*end = '\0';
	return s;
}

const char *home_directory(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw = home && *home ? NULL : getpwuid(getuid());

	return home && *home ? home : pw ? pw->pw_dir : "/";
}

/* A shell has done this for what stands on the command line. */
static int expand(struct config_file *c, size_t row, char **value, struct err *err)
{
	char *path = *value;

	if (*path != '~')
		return 0;
	if (path[1] && path[1] != '/')
		return err_set(err, ERR_USAGE,
			       "%s:%d: %s: ~/ is the home directory here, and nobody else's can be named so",
			       c->path, c->lines[row], path);
	if (asprintf(&c->expanded[row], "%s%s", home_directory(), path + 1) < 0) {
		c->expanded[row] = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*value = c->expanded[row];
	return 0;
}

/* The command line goes before the file. */
static int set_value(struct config_file *c, const struct option_row *rows, size_t row, const char **at,
		     char *value, struct err *err)
{
	bool is_path = streq(rows[row].value, "DIR") || streq(rows[row].value, "FILE");
	int r = is_path ? expand(c, row, &value, err) : 0;

	if (*at)
		c->lines[row] = 0;
	else if (!r)
		*at = value;
	return r;
}

static int set_option(struct config_file *c, const struct option_row *rows, size_t row, void *options,
		      char *value, struct err *err)
{
	void *at = (char *)options + rows[row].offset;

	if (rows[row].value)
		return set_value(c, rows, row, at, value, err);
	if (streq(value, "yes"))
		*(bool *)at = true;
	else if (!streq(value, "no"))
		return err_set(err, ERR_USAGE, "%s:%d: %s is yes or no, not %s", c->path, c->lines[row],
			       rows[row].name, value);
	return 0;
}

static int read_line(struct config_file *c, int line, char *text, const struct option_row *rows,
		     void *options, uint64_t *seen, struct err *err)
{
	char *equals, *name;

	text[strcspn(text, "#")] = '\0';
	name = trim(text);
	if (!*name)
		return 0;
	equals = strchr(name, '=');
	if (!equals)
		return err_set(err, ERR_USAGE, "%s:%d: \"%s\" is not of the form name = value", c->path,
			       line, name);
	*equals = '\0';
	name = trim(name);
	for (size_t i = 0; rows[i].name; i++) {
		if (!streq(rows[i].name, name) || streq(name, "config"))
			continue;
		if (*seen & UINT64_C(1) << i)
			return err_set(err, ERR_USAGE, "%s:%d: %s is set a second time", c->path, line,
				       name);
		*seen |= UINT64_C(1) << i;
		c->lines[i] = line;
		return set_option(c, rows, i, options, trim(equals + 1), err);
	}
	return err_set(err, ERR_USAGE, "%s:%d: there is no option %s (regfs serve --help lists them)",
		       c->path, line, name);
}

int config_read(const char *path, const struct option_row *rows, void *options, struct config_file *out,
		struct err *err)
{
	int r = read_whole(path, &out->text, err);
	char *next = r ? NULL : out->text;
	uint64_t seen = 0;	/* a bit for each row that a line has set */

	out->path = path;
	for (int line = 1; !r && next; line++) {
		char *start = next;

		next = strchr(start, '\n');
		if (next)
			*next++ = '\0';
		r = read_line(out, line, start, rows, options, &seen, err);
	}
	return r;
}

void config_blame(const struct config_file *c, const struct option_row *rows, struct err *err)
{
	char text[ERR_TEXT_MAX];

	for (size_t i = 0; c->path && err->option && rows[i].name; i++) {
		if (!c->lines[i] || !streq(rows[i].name, err->option))
			continue;
		snprintf(text, sizeof(text), "%.200s:%d: %.300s", c->path, c->lines[i], err->text);
		memcpy(err->text, text, sizeof(text));
		return;
	}
}

void config_release(struct config_file *c)
{
	free(c->text);
	for (size_t i = 0; i < ARRAY_SIZE(c->expanded); i++)
		free(c->expanded[i]);
}

int option_duration(const char *name, const char *text, int64_t otherwise, int64_t *out,
		    struct err *err)
{
	*out = otherwise;
	if (!text || duration_parse(text, out))
		return 0;
	return err_about(name,
			 err_set(err, ERR_USAGE,
				 "--%s takes a duration such as 90s, 15m, 12h, 7d or 0, not %s", name,
				 text),
			 err);
}

int option_number(const char *what, const char *text, int64_t otherwise, int64_t *out, struct err *err)
{
	*out = otherwise;
	return !text || number_parse(text, 1, out) ? 0 : err_set(err, ERR_USAGE, "%s, not %.100s", what, text);
}

int option_size(const char *name, const char *text, int64_t otherwise, int64_t *out, struct err *err)
{
	*out = otherwise;
	if (!text || size_parse(text, out))
		return 0;
	return err_about(name, err_set(err, ERR_USAGE, "--%s takes a number of bytes such as 500k, 20M, 1G or 1GiB, not %s", name, text),
			 err);
}

/* ---- The store ---- */

int store_path(const char *option, char **out, struct err *err)
{
	const char *dir = option ? option : getenv("REGFS_STORE");
	int r = 0;

	if (dir && *dir)
		*out = strdup(dir);
	else if (asprintf(out, "%s/.local/share/regfs", home_directory()) < 0)
		*out = NULL;
	if (!*out)
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	return r;
}

int read_input(const char *path, size_t limit, struct buf *out, struct err *err)
{
	auto_fd int own = streq(path, "-") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	int fd = streq(path, "-") ? STDIN_FILENO : own;
	char piece[4096];
	ssize_t n = 0;

	if (fd < 0)
		return err_sys(err, errno, "can't open %s", path);
	while (out->len <= limit && (n = read(fd, piece, MIN(sizeof(piece), limit + 1 - out->len))) > 0)
		buf_add(out, piece, (size_t)n);
	if (n < 0)
		return err_sys(err, errno, "can't read %s", path);
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

int open_store(const struct store_options *options, struct tree **out, struct err *err)
{
	const char *server = getenv("REGFS_SERVER"), *store = getenv("REGFS_STORE");
	auto_free char *dir = NULL;
	int r = store_path(options->store, &dir, err);

	if (!options->store && server && *server && !(store && *store))
		r = err_set(err, ERR_USAGE, "this works at a store only: name it by --store (REGFS_SERVER is %.100s)", server);
	return r ? r : tree_open(dir, 0, out, err);
}

struct cred command_cred(void)
{
	return cred_administrator("command");
}

int answer_no(struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "%s", "");
}

/* ---- Progress ---- */

#define PROGRESS_EVERY INT64_C(200000000)	/* nanoseconds between two lines on a terminal */

bool progress_due(int64_t *last)
{
	int64_t now = timestamp_now();

	if (!isatty(STDERR_FILENO) || now - *last < PROGRESS_EVERY)
		return false;
	*last = now;
	return true;
}

void progress_end(int64_t last)
{
	if (last)
		fputs("\r\033[K", stderr);
}

/* ---- Tables ---- */

void table_add(struct table *t, const char *cell)
{
	buf_add(&t->cells, cell, strlen(cell) + 1);
}

void table_addf(struct table *t, const char *fmt, ...)
{
	auto_buf struct buf cell = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(&cell, fmt, ap);
	va_end(ap);
	table_add(t, cell.data);
}

/* Characters on a terminal: UTF-8 without its continuation bytes. */
size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void add_row(struct buf *out, const char **cells, const size_t *widths, size_t columns)
{
	for (size_t i = 0; i < columns; i++) {
		size_t pad = i + 1 < columns ? widths[i] - text_width(cells[i]) + 2 : 0;

		buf_adds(out, cells[i]);
		buf_addf(out, "%*s", (int)pad, "");
	}
	while (out->len && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	buf_addc(out, '\n');
}

bool use_colour(void)
{
	const char *no = getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && (!no || !*no);
}

#define COLUMNS_MAX 16

int table_print(struct table *t, struct err *err)
{
	auto_buf struct buf out = BUF_INIT;
	const char *row[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX] = { 0 }, column = 0;
	bool header = true;

	if (buf_error(&t->cells))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t at = 0; at < t->cells.len; at += strlen(t->cells.data + at) + 1) {
		size_t *w = &widths[column++ % t->columns];

		*w = MAX(*w, text_width(t->cells.data + at));
	}
	column = 0;
	for (size_t at = 0; at < t->cells.len; at += strlen(t->cells.data + at) + 1) {
		row[column++] = t->cells.data + at;
		if (column < t->columns)
			continue;
		if (header && use_colour())
			buf_adds(&out, "\033[1m");
		add_row(&out, row, widths, t->columns);
		if (header && use_colour())
			buf_adds(&out, "\033[0m");
		header = false;
		column = 0;
	}
	if (buf_error(&out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (fwrite(out.data, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
		return err_sys(err, errno, "can't write the output");
	return 0;
}

void table_release(struct table *t)
{
	buf_release(&t->cells);
}

void size_add(int64_t *sum, int64_t size)
{
	if (__builtin_add_overflow(*sum, size, sum))
		*sum = INT64_MAX;
}

/* ---- JSON ---- */

int print_json(const struct buf *json, struct err *err)
{
	if (buf_error(json))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (printf("%s\n", json->data) < 0 || fflush(stdout) != 0)
		return err_sys(err, errno, "can't write the output");
	return 0;
}

void json_add_text(struct buf *b, const char *key, const char *value)
{
	json_add_key(b, key);
	json_add_string(b, value);
}

void json_add_number(struct buf *b, const char *key, int64_t value)
{
	json_add_key(b, key);
	buf_addf(b, "%" PRId64, value);
}

void json_add_digest(struct buf *b, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1];

	if (d->algorithm != DIGEST_NONE)
		json_add_text(b, key, digest_format(d, text));
}

void json_add_time(struct buf *b, const char *key, int64_t t)
{
	char text[TIMESTAMP_TEXT_MAX + 1];

	if (t)
		json_add_text(b, key, timestamp_format(t, text));
}

void output_begin(struct output *o, bool json, const char *const *header, size_t columns)
{
	o->json = json;
	buf_init(&o->table.cells);
	buf_init(&o->array);
	o->table.columns = columns;
	for (size_t i = 0; i < columns; i++)
		table_add(&o->table, header[i]);
	buf_addc(&o->array, '[');
}

void output_object(struct output *o)
{
	buf_adds(&o->array, o->array.len > 1 ? ",{" : "{");
}

int output_print(struct output *o, struct err *err)
{
	if (!o->json)
		return table_print(&o->table, err);
	buf_addc(&o->array, ']');
	return print_json(&o->array, err);
}

void output_release(struct output *o)
{
	table_release(&o->table);
	buf_release(&o->array);
}

void print_error(const char *text)
{
	auto_buf struct buf b = BUF_INIT;

	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		/* The second half of the control characters, as UTF-8. */
		bool high = *s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0;

		if (*s < 0x20 || *s == 0x7f || high)
			buf_addf(&b, high ? "\\302\\%03o" : "\\%03o", high ? *++s : *s);
		else
			buf_addc(&b, (char)*s);
	}
	fprintf(stderr, "regfs: %s\n", b.data);
}

int report_change(const struct store_options *options, const char *done, const char *what,
		  struct err *err)
{
	auto_buf struct buf b = BUF_INIT;

	if (options->json) {
		buf_addc(&b, '{');
		json_add_text(&b, done, what);
		json_add_key(&b, "dry-run");
		buf_adds(&b, options->dry_run ? "true}" : "false}");
		return print_json(&b, err);
	}
	if (printf("%s%s %s\n", options->dry_run ? "would have " : "", done, what) < 0 ||
	    fflush(stdout) != 0)
		return err_sys(err, errno, "can't write the output");
	return 0;
}
