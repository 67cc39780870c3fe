/*
 * view_log.c: files of lines that only grow, but for their beginning: the audit trail and events. They are read where they are, since
 * they may be long.
 *
 * An open file goes by places, which are for ever: it grows for who has it open, and what of it was removed since can't be
 * read. It doesn't grow any more for who lost the right to it: it ends where it did when that was last asked.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/meta/audit.h"

/* Which lines. */
struct log_kind {
	int (*span)(struct db *db, const char *repository, int64_t *first, int64_t *end, struct err *err);
	int (*time)(struct db *db, const char *repository, int64_t *at, struct err *err);
	int (*lines)(struct db *db, const char *repository, int64_t after, event_line_fn *fn, void *arg, struct err *err);
};

static int audit_lines_span(struct db *db, const char *repository UNUSED, int64_t *first, int64_t *end, struct err *err)
{
	return audit_span(db, first, end, err);
}

static int audit_lines_time(struct db *db, const char *repository UNUSED, int64_t *at, struct err *err)
{
	return audit_last(db, at, err);
}

static int audit_lines_after(struct db *db, const char *repository UNUSED, int64_t after, event_line_fn *fn, void *arg,
			     struct err *err)
{
	return audit_lines(db, after, fn, arg, err);
}

static const struct log_kind audit_log = { audit_lines_span, audit_lines_time, audit_lines_after };
static const struct log_kind event_log = { event_span, event_time, event_lines };

static const struct log_kind *log_of(const struct node *n)
{
	return n->kind == KIND_AUDIT ? &audit_log : &event_log;
}

/* Whose; NULL: the registry's. */
static const char *whose(const struct node *n)
{
	return n->kind == KIND_EVENTS ? n->repo.name : NULL;
}

struct log_file {
	struct tree *tree;
	struct cred cred;
	enum action action;	/* that it takes */
	const struct log_kind *kind;
	int64_t first;	/* the place of its first byte */
	_Atomic int64_t end;	/* of what might be read */
	char *repository;
};

static void close_log(void *arg)
{
	struct log_file *f = arg;

	free(f->repository);
	free(f);
}

/* A read of some bytes. */
struct log_read {
	char *data;
	int64_t at, end;	/* places */
};

/* 1: there are no more to read. */
static int read_line(void *arg, const char *line, int64_t size, int64_t place)
{
	struct log_read *rd = arg;
	int64_t begin = place - size, len;

	/* What was here is gone. */
	if (begin > rd->at)
		return 1;
	len = MIN(place, rd->end) - rd->at;
	memcpy(rd->data, line + (rd->at - begin), (size_t)MIN(len, place - 1 - rd->at));
	if (place <= rd->end)
		rd->data[len - 1] = '\n';
	rd->data += len;
	rd->at += len;
	return rd->at == rd->end;
}

/* What may be read: all that there is, or what there was. */
static int64_t end_of(struct log_file *f, bool may, int64_t end)
{
	if (!may)
		return MIN(end, f->end);
	f->end = end;
	return end;
}

static ssize_t read_log(void *arg, void *data, size_t len, int64_t offset, struct err *err)
{
	struct log_file *f = arg;
	auto_reader struct meta_reader rd = { 0 };
	struct log_read want = { .data = data, .at = f->first + offset };
	int64_t first = 0, end = 0, room = (int64_t)MIN(len, (size_t)INT32_MAX);
	bool may = permit(f->tree, &f->cred, f->action, f->repository, NULL) == 0;
	int r = tree_reader(f->tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = f->kind->span(rd.db, f->repository, &first, &end, err);
	room += want.at;
	want.end = r ? 0 : MIN(end_of(f, may, end), room);
	if (r || want.at >= want.end)
		return r;
	len = (size_t)(want.end - want.at);
	r = f->kind->lines(rd.db, f->repository, want.at, read_line, &want, err);
	if (r < 0)
		return r;
	return want.at == want.end ? (ssize_t)len :
				     err_set(err, ERR_GONE_MEANWHILE, "these lines were removed: open the file again");
}

int view_log_size(const struct look *l, const struct node *n, int64_t *out)
{
	int64_t first = 0, end = 0;
	int r = log_of(n)->span(l->db, whose(n), &first, &end, l->err);

	*out = end - first;
	return r;
}

int view_log_time(const struct look *l, const struct node *n, int64_t *out)
{
	int r = log_of(n)->time(l->db, whose(n), out, l->err);

	return r ? MIN(r, 0) : registry_created(l->db, out, l->err);
}

int view_log_open(const struct look *l, const struct node *n, struct content **out)
{
	static const struct content_reader reader = { .read = read_log, .release = close_log, .grows = true };
	struct log_file *f = calloc(1, sizeof(*f));
	int64_t end = 0;
	int r;

	if (!f || (whose(n) && !(f->repository = strdup(whose(n))))) {
		free(f);
		return err_set(l->err, ERR_NO_MEMORY, "out of memory");
	}
	f->tree = l->tree;
	f->cred = *l->cred;
	f->action = (enum action)kind_of(n->kind)->action;
	f->kind = log_of(n);
	r = f->kind->span(l->db, f->repository, &f->first, &end, l->err);
	if (r) {
		close_log(f);
		return r;
	}
	f->end = end;
	return content_from_reader(&reader, f, end - f->first, out, l->err);
}
