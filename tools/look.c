/*
 * look.c: regfs ls, cat.
 */
#include "fs/base/base.h"
#include "tools/inside.h"

#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/base/json.h"

#define CAT_BUFFER (256 * 1024)

/* ---- ls ---- */

struct ls_options {
	struct inside_options inside;
	bool all, directory, long_form, recursive;
};

static const struct option_row ls_rows[] = {
	{ "all", 'a', NULL, offsetof(struct ls_options, all), "show names that begin with a dot" },
	{ "directory", 'd', NULL, offsetof(struct ls_options, directory), "show a directory itself, not what is in it" },
	{ "long", 'l', NULL, offsetof(struct ls_options, long_form), "show mode, links, owner, size and time, and where links lead" },
	{ "recursive", 'R', NULL, offsetof(struct ls_options, recursive), "show what is in directories below, too" },
	INSIDE_OPTIONS(struct ls_options, inside),
	{ 0 },
};

struct ls {
	const struct ls_options *o;
	struct session *session;
	struct buf out;
	bool some;	/* there was one before it */
	struct err *err;
};

/* The entries of one directory. */
struct row {
	size_t name;	/* in names */
	struct node_attr attr;
};

struct rows {
	struct row *rows;
	size_t count, capacity;
	struct buf names;
};

static void rows_release(struct rows *l)
{
	free(l->rows);
	buf_release(&l->names);
}
#define auto_rows CLEANUP(rows_release)

static int rows_add(struct rows *l, const char *name, const struct node_attr *attr, struct err *err)
{
	if (l->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 64;
		struct row *rows = reallocarray(l->rows, capacity, sizeof(*rows));

		if (!rows)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		l->rows = rows;
		l->capacity = capacity;
	}
	l->rows[l->count++] = (struct row){ .name = l->names.len, .attr = *attr };
	buf_add(&l->names, name, strlen(name) + 1);
	return buf_error(&l->names) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int rows_read(struct ls *ls, uint64_t directory, struct rows *l)
{
	auto_session_dir struct session_dir *d = NULL;
	const struct node_attr *attr;
	const char *name;
	int r = session_dir_open(ls->session, directory, &d, ls->err);

	while (!r && (r = session_dir_next(d, &name, &attr, ls->err)) > 0)
		r = *name == '.' && !ls->o->all ? 0 : rows_add(l, name, attr, ls->err);
	return r;
}

static const char *name_in(const struct rows *l, size_t i)
{
	return l->names.data + l->rows[i].name;
}

/* What a terminal gets before a name of that type. */
static const char *colour_of(mode_t mode)
{
	static const struct {
		mode_t mask, mode;
		const char *colour;
	} colours[] = {
		{ S_IFMT, S_IFDIR, "\033[1;34m" },
		{ S_IFMT, S_IFLNK, "\033[1;36m" },
		{ S_IFMT, S_IFIFO, "\033[33m" },
		{ S_IFMT, S_IFCHR, "\033[1;33m" },
		{ S_IFMT, S_IFBLK, "\033[1;33m" },
		{ S_IFMT | S_ISUID, S_IFREG | S_ISUID, "\033[37;41m" },
		{ S_IFMT | 0100, S_IFREG | 0100, "\033[1;32m" },
	};

	for (size_t i = 0; use_colour() && i < ARRAY_SIZE(colours); i++)
		if ((mode & colours[i].mask) == colours[i].mode)
			return colours[i].colour;
	return "";
}

static void add_name(struct buf *out, const char *name, mode_t mode)
{
	const char *colour = colour_of(mode);

	buf_adds(out, colour);
	name_out(out, name);
	buf_adds(out, *colour ? "\033[0m" : "");
}

/* ---- ls: names in columns ---- */

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return 80;
}

static size_t shown_width(const char *name)
{
	auto_buf struct buf text = BUF_INIT;

	name_text(&text, name);
	return text_width(text.data);
}

static int print_names(struct ls *ls, const struct rows *l)
{
	size_t width = 1, columns = 1, lines = l->count;
	int r = 0;

	if (isatty(STDOUT_FILENO)) {
		for (size_t i = 0; i < l->count; i++)
			width = MAX(width, shown_width(name_in(l, i)) + 2);
		columns = MAX((size_t)1, terminal_width() / width);
		lines = (l->count + columns - 1) / columns;
	}
	for (size_t line = 0; !r && line < lines; line++) {
		for (size_t i = line; i < l->count; i += lines) {
			add_name(&ls->out, name_in(l, i), l->rows[i].attr.mode);
			if (i + lines < l->count)
				buf_addf(&ls->out, "%*s", (int)(width - shown_width(name_in(l, i))), "");
		}
		buf_addc(&ls->out, '\n');
		r = out_spill(&ls->out, ls->err);
	}
	return r;
}

/* ---- ls -l ---- */

static void mode_text(mode_t mode, char out[static 11])
{
	static const char types[] = "?pc?d?b?-?l?s???";
	static const struct {
		mode_t bit, execute;
		int at;
		char with, without;
	} special[] = {
		{ S_ISUID, 0100, 3, 's', 'S' },
		{ S_ISGID, 0010, 6, 's', 'S' },
		{ S_ISVTX, 0001, 9, 't', 'T' },
	};

	out[0] = types[(mode & S_IFMT) >> 12];
	for (int i = 0; i < 9; i++)
		out[i + 1] = mode & (0400u >> i) ? "rwx"[i % 3] : '-';
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (mode & special[i].bit)
			out[special[i].at] = mode & special[i].execute ? special[i].with : special[i].without;
	out[10] = '\0';
}

enum { LINKS, UID, GID, SIZE, CELLS };

/* The cells that are aligned to the right. */
static void cells_of(const struct node_attr *attr, char cells[CELLS][32])
{
	snprintf(cells[LINKS], 32, "%" PRIu64, attr->links);
	snprintf(cells[UID], 32, "%u", attr->uid);
	snprintf(cells[GID], 32, "%u", attr->gid);
	if (S_ISCHR(attr->mode) || S_ISBLK(attr->mode))
		snprintf(cells[SIZE], 32, "%u,%u", major(attr->rdev), minor(attr->rdev));
	else
		snprintf(cells[SIZE], 32, "%" PRId64, attr->size);
}

static int print_long_row(struct ls *ls, const char *name, const struct node_attr *attr, const int widths[CELLS])
{
	auto_buf struct buf target = BUF_INIT;
	char mode[11], cells[CELLS][32], when[TIMESTAMP_TEXT_MAX + 1];
	int r = 0;

	mode_text(attr->mode, mode);
	cells_of(attr, cells);
	buf_adds(&ls->out, mode);
	for (int c = 0; c < CELLS; c++)
		buf_addf(&ls->out, " %*s", widths[c], cells[c]);
	buf_addf(&ls->out, " %s ", timestamp_format(attr->mtime, when));
	add_name(&ls->out, name, attr->mode);
	if (S_ISLNK(attr->mode)) {
		r = session_readlink(ls->session, attr->id, &target, ls->err);
		buf_adds(&ls->out, " -> ");
		name_out(&ls->out, target.data);
	}
	buf_addc(&ls->out, '\n');
	return r ? r : out_spill(&ls->out, ls->err);
}

static int print_long(struct ls *ls, const struct rows *l)
{
	int widths[CELLS] = { 0 }, r = 0;

	for (size_t i = 0; i < l->count; i++) {
		char cells[CELLS][32];

		cells_of(&l->rows[i].attr, cells);
		for (int c = 0; c < CELLS; c++)
			widths[c] = MAX(widths[c], (int)strlen(cells[c]));
	}
	for (size_t i = 0; !r && i < l->count; i++)
		r = print_long_row(ls, name_in(l, i), &l->rows[i].attr, widths);
	return r;
}

/* ---- ls: directories ---- */

static int print_objects(struct ls *ls, const char *path, const struct rows *l)
{
	int r = 0;

	for (size_t i = 0; !r && i < l->count; i++) {
		auto_buf struct buf full = BUF_INIT;

		path_join(&full, path, name_in(l, i));
		buf_adds(&ls->out, ls->some ? ",{" : "{");
		ls->some = true;
		json_add_text(&ls->out, "path", full.data);
		r = json_add_node(ls->session, &ls->out, &l->rows[i].attr, ls->err);
		buf_addc(&ls->out, '}');
		if (!r)
			r = out_spill(&ls->out, ls->err);
	}
	return r;
}

static int print_rows(struct ls *ls, const char *path, const struct rows *l)
{
	if (ls->o->inside.common.json)
		return print_objects(ls, path, l);
	return ls->o->long_form ? print_long(ls, l) : print_names(ls, l);
}

/* Recursion is as deep as the index's directories, LIMIT_TREE_DEPTH. */
static int list_directory(struct ls *ls, const char *path, uint64_t directory)
{
	auto_rows struct rows l = { .names = BUF_INIT };
	bool header = ls->o->recursive && !ls->o->inside.common.json;
	int r;

	/* No index has such a path, but a server may say what it likes. */
	if (strlen(path) > 2 * LIMIT_TREE_PATH)
		return err_set(ls->err, ERR_CORRUPT, "directories are deeper than they can be");
	r = rows_read(ls, directory, &l);
	if (r)
		return r;
	if (header) {
		buf_adds(&ls->out, ls->some ? "\n" : "");
		name_out(&ls->out, path);
		buf_adds(&ls->out, ":\n");
		ls->some = true;
	}
	r = print_rows(ls, path, &l);
	for (size_t i = 0; !r && ls->o->recursive && i < l.count; i++) {
		auto_buf struct buf below = BUF_INIT;

		if (!S_ISDIR(l.rows[i].attr.mode))
			continue;
		path_join(&below, path, name_in(&l, i));
		r = list_directory(ls, below.data, l.rows[i].attr.id);
	}
	return r;
}

static int list_operand(struct ls *ls, const struct inside *in)
{
	auto_rows struct rows one = { .names = BUF_INIT };
	auto_buf struct buf path = BUF_INIT;
	struct node_attr attr;
	/* As ls(1) has it: -l and -d show a link itself. */
	int r = inside_node(ls->session, in, !ls->o->long_form && !ls->o->directory, &attr, ls->err);

	buf_addf(&path, "%s%s", in->path && *in->path == '/' ? "" : "/", in->path ? in->path : "");
	if (r)
		return r;
	if (S_ISDIR(attr.mode) && !ls->o->directory)
		return list_directory(ls, path.data, attr.id);
	r = rows_add(&one, path.data, &attr, ls->err);
	return r ? r : print_rows(ls, "", &one);
}

static int run_ls(const void *options, char **operands, int count, struct err *err)
{
	struct ls ls = { .o = options, .out = BUF_INIT, .err = err };
	auto_session struct session *session = NULL;
	bool json = ls.o->inside.common.json;
	struct inside in;
	int r = session_open(&ls.o->inside.common, &session, err);

	(void)count;
	out_begin();
	ls.session = session;
	if (!r)
		r = inside_find(session, &ls.o->inside, operands[0], &in, err);
	if (!r && json)
		buf_addc(&ls.out, '[');
	if (!r)
		r = list_operand(&ls, &in);
	if (!r && json)
		buf_adds(&ls.out, "]\n");
	if (!r)
		r = out_flush(&ls.out, err);
	buf_release(&ls.out);
	return r;
}

/* ---- cat ---- */

static const struct option_row cat_rows[] = {
	PLACE_OPTIONS(struct inside_options, common.store),
	{ "platform", 0, "PLATFORM", offsetof(struct inside_options, platform),
	  "of an index, the image for OS/ARCH[/VARIANT] (default: this machine's)" },
	{ 0 },
};

static int copy_out(const struct content *c, struct err *err)
{
	auto_free char *buffer = malloc(CAT_BUFFER);
	int64_t at = 0;
	ssize_t n = 1;

	if (!buffer)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (; n > 0; at += n) {
		n = content_read(c, buffer, CAT_BUFFER, at, err);
		if (n > 0 && out_write(buffer, (size_t)n, err))
			return -EIO;
	}
	return (int)n;
}

static int cat_operand(struct session *session, const struct inside_options *o, const char *operand, struct err *err)
{
	auto_content struct content *c = NULL;
	struct node_attr attr;
	struct inside in;
	int r = inside_find(session, o, operand, &in, err);

	if (!r)
		r = inside_node(session, &in, true, &attr, err);
	if (r)
		return r;
	if (S_ISDIR(attr.mode))
		return err_set(err, ERR_IS_DIRECTORY, "%.300s is a directory (regfs ls lists it)", operand);
	if (!S_ISREG(attr.mode))
		return err_set(err, ERR_UNSUPPORTED, "%.300s is a %s: it has no bytes", operand, type_text(attr.mode));
	r = session_open_file(session, attr.id, &c, err);
	return inside_blame(operand, r ? r : copy_out(c, err), err);
}

static int run_cat(const void *options, char **operands, int count, struct err *err)
{
	const struct inside_options *o = options;
	auto_session struct session *session = NULL;
	int r = 0;

	/* All of them, before the first byte is written. */
	for (int i = 0; !r && i < count; i++) {
		const char *path;
		struct ref ref;

		r = ref_path_parse(operands[i], &ref, &path, err);
		if (!r && !path)
			r = err_set(err, ERR_USAGE, "%.300s names no file: write REF:PATH, such as name:/etc/passwd", operands[i]);
	}
	if (!r)
		r = session_open(&o->common, &session, err);
	out_begin();
	for (int i = 0; !r && i < count; i++)
		r = cat_operand(session, o, operands[i], err);
	return r;
}

const struct command look_commands[] = {
	{ "ls", NULL, "REF[:PATH]", 1, 1, ls_rows, "list files inside an image",
	  "PATH begins with a slash, or stands behind a tag or a digest: name:/etc, name:tag:etc. Links lead on\n"
	  "inside the image. Owners are numbers, times are UTC.\n",
	  run_ls },
	{ "cat", NULL, "REF:PATH...", 1, INT_MAX, cat_rows, "write files inside an image to standard output", NULL, run_cat },
	{ 0 },
};
