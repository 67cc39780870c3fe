/*
 * view_history.c: the nodes of _history/: a directory for each tag that the repository has or had, in which a link for each image
 * that it named.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/base/size.h"
#include "fs/base/timestamp.h"

#define LOG_ENTRIES 1000	/* the last ones */

/* The directory of a tag is known by its first entry. */
int view_is_first(const struct look *l, const struct node *n)
{
	(void)l;
	return n->history.number == 1;
}

int view_find_history_tag(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	*out = node_make(KIND_HISTORY_TAG, 0);
	return history_at(l->db, n->row_id, name, 1, &out->history, l->err);
}

static int give_tag(void *arg, const struct history_row *row)
{
	struct node n = node_make(KIND_HISTORY_TAG, row->id);

	n.history = *row;
	return list_give(arg, row->tag, &n, LIST_COOKIE(0, row->id));
}

int view_list_history_tags(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return history_tags(l->db, n->row_id, view_row_after(after), give_tag, ls, l->err);
}

#define NUMBER_TEXT_MAX 20

static const char *number_text(int64_t number, char out[static NUMBER_TEXT_MAX + 1])
{
	snprintf(out, NUMBER_TEXT_MAX + 1, "%04" PRId64, number);
	return out;
}

int view_find_history(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	char text[NUMBER_TEXT_MAX + 1];
	int64_t number;

	*out = node_make(KIND_HISTORY_ENTRY, 0);
	return number_parse(name, 1, &number) && streq(number_text(number, text), name) ?
		       history_at(l->db, n->history.repository_id, n->history.tag, number, &out->history, l->err) :
		       0;
}

static int give_entry(void *arg, const struct history_row *row)
{
	struct node n = node_make(KIND_HISTORY_ENTRY, row->id);
	char text[NUMBER_TEXT_MAX + 1];

	n.history = *row;
	return list_give(arg, number_text(row->number, text), &n, LIST_COOKIE(0, row->number));
}

int view_list_history(struct listing *ls, const struct node *n, uint64_t after)
{
	const struct look *l = listing_look(ls);

	return history_list(l->db, n->history.repository_id, n->history.tag, view_row_after(after), give_entry, ls, l->err);
}

int view_history_link(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return view_link_to(out, "../../", "_images", &n->history.digest);
}

static void add_line(struct buf *out, int64_t number, const char *did, const struct history_deed *d, const struct digest *digest)
{
	char text[NUMBER_TEXT_MAX + 1], at[TIMESTAMP_TEXT_MAX + 1], image[DIGEST_TEXT_MAX + 1];

	buf_addf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", number_text(number, text), timestamp_format(d->at, at), *d->who ? d->who : "-",
		 *d->origin ? d->origin : "-", did, digest_format(digest, image));
}

static int add_entry(void *arg, const struct history_row *row)
{
	add_line(arg, row->number, "named", &row->named, &row->digest);
	if (row->removed.at)
		add_line(arg, row->number, "removed", &row->removed, &row->digest);
	return 0;
}

int view_history_log_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct history_row last;
	int r = history_last(l->db, n->history.repository_id, n->history.tag, &last, l->err);

	if (r > 0)
		r = history_list(l->db, n->history.repository_id, n->history.tag, last.number - LOG_ENTRIES, add_entry, out, l->err);
	return r ? r : buf_error(out);
}

int view_history_time(const struct look *l, const struct node *n, int64_t *out)
{
	struct history_row last;
	int r = n->kind == KIND_HISTORY_ENTRY ? 0 :
						history_last(l->db, n->history.repository_id, n->history.tag, &last, l->err);

	*out = r > 0 ? MAX(last.named.at, last.removed.at) : n->history.named.at;
	return MIN(r, 0);
}
