/*
 * extract.c: regfs extract.
 */
#include "fs/base/base.h"
#include "tools/extract.h"

#include <sys/stat.h>

#include "fs/base/json.h"

struct extract_options {
	struct inside_options inside;
	bool tar;
};

static const struct option_row extract_rows[] = {
	{ "tar", 0, NULL, offsetof(struct extract_options, tar), "write a pax archive to standard output" },
	{ "dry-run", 'n', NULL, offsetof(struct extract_options, inside.common.dry_run), "list what would be written, write nothing" },
	INSIDE_OPTIONS(struct extract_options, inside),
	{ 0 },
};

static void count_path(struct extract *x, const struct node_attr *attr)
{
	x->paths++;
	if (S_ISREG(attr->mode))
		size_add(&x->bytes, attr->size);
}

void extract_count(struct extract *x, const struct node_attr *attr)
{
	char size[SIZE_TEXT_MAX + 1];

	count_path(x, attr);
	if (progress_due(&x->progress))
		fprintf(stderr, "\r\033[Kextracting: %" PRId64 " files, %s", x->paths, size_text(x->bytes, size));
}

/* ---- Dry run ---- */

static int list_below(struct extract *x, const char *path, uint64_t directory, bool quiet)
{
	auto_session_dir struct session_dir *dir = NULL;
	const struct node_attr *attr;
	const char *name, *first;
	int r = session_dir_open(x->session, directory, &dir, x->err);

	while (!r && (r = session_dir_next(dir, &name, &attr, x->err)) > 0) {
		auto_buf struct buf below = BUF_INIT;

		path_join(&below, path, name);
		r = S_ISDIR(attr->mode) || attr->links < 2 ? 0 : link_map_find(&x->links, attr->id, "", &first, x->err);
		x->bytes -= r > 0 && S_ISREG(attr->mode) ? attr->size : 0;
		if (r < 0)
			return r;
		count_path(x, attr);
		if (!quiet) {
			name_out(&x->out, below.data);
			buf_adds(&x->out, S_ISDIR(attr->mode) ? "/\n" : "\n");
		}
		r = out_spill(&x->out, x->err);
		if (!r && S_ISDIR(attr->mode))
			r = list_below(x, below.data, attr->id, quiet);
	}
	return r;
}

static int list(struct extract *x, const struct node_attr *node, const char *name, bool quiet)
{
	if (S_ISDIR(node->mode))
		return list_below(x, "", node->id, quiet);
	count_path(x, node);
	if (quiet)
		return 0;
	name_out(&x->out, name);
	buf_addc(&x->out, '\n');
	return 0;
}

/* ---- The report ---- */

static const struct {
	const char *key, *text;
} left_texts[] = {
	[LEFT_OWNERS] = { "owners", "owners" },
	[LEFT_MODES] = { "set-uid", "set-uid and set-gid bits" },
	[LEFT_DEVICES] = { "devices", "devices" },
	[LEFT_XATTRS] = { "xattrs", "extended attributes" },
};

static void say_left_out(const struct extract *x)
{
	auto_buf struct buf b = BUF_INIT;

	for (size_t i = 0; i < LEFT_COUNT; i++)
		if (x->left_out[i])
			buf_addf(&b, "%s%s (%" PRId64 ")", b.len ? ", " : "", left_texts[i].text, x->left_out[i]);
	if (b.len)
		fprintf(stderr, "regfs: left out, since %s: %s\n",
			geteuid() ? "only root may make them" : "they can't be made here", b.data);
}

static void add_json(const struct extract *x, const char *dir, bool dry_run, struct buf *b)
{
	buf_addc(b, '{');
	json_add_text(b, "extracted", dir);
	json_add_number(b, "paths", x->paths);
	json_add_number(b, "bytes", x->bytes);
	json_add_number(b, "failed", x->failed);
	json_add_key(b, "left-out");
	buf_addc(b, '{');
	for (size_t i = 0; i < LEFT_COUNT; i++)
		json_add_number(b, left_texts[i].key, x->left_out[i]);
	buf_addc(b, '}');
	json_add_key(b, "dry-run");
	buf_adds(b, dry_run ? "true}\n" : "false}\n");
}

static int report(struct extract *x, const struct extract_options *o, const char *dir)
{
	char size[SIZE_TEXT_MAX + 1];

	if (o->tar && !o->inside.common.dry_run)
		return 0;
	if (o->inside.common.json) {
		add_json(x, dir ? dir : "-", o->inside.common.dry_run, &x->out);
	} else {
		buf_addf(&x->out, "%s %" PRId64 " files (%s)", o->inside.common.dry_run ? "would have extracted" : "extracted",
			 x->paths, size_text(x->bytes, size));
		buf_adds(&x->out, dir ? " to " : "");
		name_out(&x->out, dir ? dir : "");
		buf_addc(&x->out, '\n');
	}
	return out_flush(&x->out, x->err);
}

/* ---- The command ---- */

static int check_usage(const struct extract_options *o, int count, struct err *err)
{
	if (o->tar && count > 1)
		return err_set(err, ERR_USAGE, "extract --tar writes to standard output: leave the directory out");
	if (!o->tar && count < 2)
		return err_set(err, ERR_USAGE, "extract takes a directory to write to, or --tar");
	if (o->tar && o->inside.common.json && !o->inside.common.dry_run)
		return err_set(err, ERR_USAGE, "extract --tar writes an archive to standard output, and no JSON");
	if (o->tar && !o->inside.common.dry_run && isatty(STDOUT_FILENO))
		return err_set(err, ERR_USAGE, "an archive is nothing for a terminal: redirect the output");
	return 0;
}

/* The name of what isn't a directory: its path's last component. */
static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int write_it(struct extract *x, const struct extract_options *o, const struct inside *in, const char *dir)
{
	const char *name = last_name(in->path ? in->path : "");
	struct node_attr node;
	int r = inside_node(x->session, in, true, &node, x->err);

	if (r)
		return r;
	if (o->inside.common.dry_run)
		r = list(x, &node, name, o->inside.common.json);
	else
		r = o->tar ? archive(x, &node, name) : unpack(x, &node, name, dir);
	progress_end(x->progress);
	if (r)
		return r;
	say_left_out(x);
	r = report(x, o, dir);
	if (!r && x->failed)
		r = err_set(x->err, ERR_IO, "%" PRId64 " files couldn't be extracted, the first of them %.300s", x->failed,
			    x->first_failed.data);
	return r;
}

static int run_extract(const void *options, char **operands, int count, struct err *err)
{
	const struct extract_options *o = options;
	auto_session struct session *session = NULL;
	auto_free char *buffer = malloc(EXTRACT_BUFFER);
	struct extract x = { .links = LINK_MAP_INIT, .out = BUF_INIT, .buffer = buffer,
			     .first_failed = BUF_INIT, .err = err };
	struct inside in;
	int r = buffer ? check_usage(o, count, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (o->tar)
		out_begin();
	if (!r)
		r = session_open(&o->inside.common, &session, err);
	x.session = session;
	if (!r)
		r = inside_find(session, &o->inside, operands[0], &in, err);
	if (!r)
		r = write_it(&x, o, &in, count > 1 ? operands[1] : NULL);
	link_map_release(&x.links);
	buf_release(&x.out);
	buf_release(&x.first_failed);
	return r;
}

const struct command extract_commands[] = {
	{ "extract", NULL, "REF[:PATH] DIR", 1, 2, extract_rows, "write files inside an image to a directory, or as a tar",
	  "DIR is made, or is there and empty. Owners, devices and all attributes need root; what an ordinary user\n"
	  "can't make is left out and counted. With --tar there is no DIR.\n",
	  run_extract },
	{ 0 },
};
