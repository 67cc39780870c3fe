/*
 * events.c: see events.h.
 */
#include "fs/base/base.h"
#include "fs/tree/events.h"

#include <poll.h>

#include "fs/auth/pattern.h"
#include "fs/base/timestamp.h"
#include "fs/tree/state.h"

#define LOOK_AT_ONCE 10000	/* rows of one call, of which few may be wanted */
#define TRIM_AT_ONCE 1000	/* rows of one transaction */

/* ---- Which ones ---- */

/* Words of a list by commas, each with its NUL; *count of them. */
static int split(const char *list, struct buf *out, size_t *count, struct err *err)
{
	*count = 0;
	while (list && *list) {
		size_t len = strcspn(list, ",");

		buf_add(out, list, len);
		buf_add(out, "", 1);
		++*count;
		list += len + (list[len] == ',');
	}
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int check_kind(const char *kind, struct err *err)
{
	return event_kind_known(kind, strlen(kind)) ?
		       0 :
		       err_set(err, ERR_ARGUMENT, "there is no event %.40s: regfs(5) lists them", *kind ? kind : "\"\"");
}

static int check_words(const char *list, int (*check)(const char *word, struct err *err), struct err *err)
{
	auto_buf struct buf words = BUF_INIT;
	size_t count;
	int r = split(list, &words, &count, err);

	for (const char *w = words.data; !r && count--; w += strlen(w) + 1)
		r = check(w, err);
	return r;
}

int tree_events_check(const struct tree_events_filter *filter, struct err *err)
{
	int r = check_words(filter->repositories, pattern_check, err);

	return r ? r : check_words(filter->kinds, check_kind, err);
}

/* ---- Looking ---- */

struct walk {
	struct tree *tree;
	const struct cred *cred;
	struct buf patterns, kinds;	/* words */
	size_t pattern_count, kind_count;
	char repository[LIMIT_NAME + 1];	/* of which it is known what may be seen */
	bool known, may_see, may_know_who, administers;
	int64_t left;	/* rows to give */
	int64_t last;	/* that was looked at */
	event_row_fn *fn;
	void *arg;
};

static void walk_release(struct walk *w)
{
	buf_release(&w->patterns);
	buf_release(&w->kinds);
}

static bool may(const struct walk *w, enum action action, const char *repository)
{
	return permit(w->tree, w->cred, action, repository, NULL) == 0;
}

/* Asked once for a run of events of one repository. */
static void learn(struct walk *w, const char *repository)
{
	const char *name = *repository ? repository : NULL;

	if (w->known && streq(w->repository, repository))
		return;
	snprintf(w->repository, sizeof(w->repository), "%s", repository);
	w->known = true;
	w->administers = may(w, ACTION_ADMIN, name);
	w->may_see = name ? may(w, ACTION_PULL, name) : w->administers;
	w->may_know_who = w->administers || (name && may(w, ACTION_PUSH, name));
}

static bool wanted(const struct walk *w, const struct event *e)
{
	const char *word = w->kinds.data;
	bool found = !w->kind_count;

	for (size_t i = 0; !found && i < w->kind_count; i++, word += strlen(word) + 1)
		found = streq(word, e->kind);
	if (!found || !w->pattern_count)
		return found;
	found = false;
	word = w->patterns.data;
	for (size_t i = 0; *e->repository && !found && i < w->pattern_count; i++, word += strlen(word) + 1)
		found = pattern_match(word, e->repository);
	return found;
}

static int look_at(void *arg, const struct event_row *row)
{
	struct walk *w = arg;
	struct event_row shown = *row;
	int r;

	if (w->left == 0)
		return 1;
	w->last = row->number;
	if (!wanted(w, &row->event))
		return 0;
	learn(w, row->event.repository);
	if (!w->may_see || (event_kind_is_access(row->event.kind) && !w->administers))
		return 0;
	if (shown.event.digest)
		shown.event.digest = &shown.digest;
	if (!w->may_know_who)
		shown.event.who = shown.event.origin = "";
	r = w->fn(w->arg, &shown);
	w->left--;
	return r;
}

/* Those behind `after` that are gone: one record. */
static int give_gap(struct walk *w, struct db *db, int64_t after, struct err *err)
{
	struct event_row row = { .event = { .kind = TREE_EVENT_GAP, .repository = "", .who = "", .origin = "", .changed = true } };
	int64_t first;
	char from[24];
	int r = event_first(db, &first, err);

	w->last = after;
	if (r || after >= first - 1 || !w->left)
		return r;
	snprintf(from, sizeof(from), "%" PRId64, after + 1);
	row.number = w->last = first - 1;
	row.event.at = timestamp_now();
	row.event.about = from;
	w->left--;
	return w->fn(w->arg, &row);
}

static int walk_events(struct walk *w, struct db *db, int64_t after, int64_t newest, struct err *err)
{
	int r;

	if (after > newest)
		return err_set(err, ERR_ARGUMENT, "event %" PRId64 " was never reached: the last one is %" PRId64, after, newest);
	r = give_gap(w, db, after, err);
	return r ? r : event_list(db, w->last, LOOK_AT_ONCE, look_at, w, err);
}

int tree_events(struct tree *tree, const struct cred *cred, int64_t after, const struct tree_events_filter *filter, int64_t n,
		event_row_fn *fn, void *arg, int64_t *last, bool *more, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	CLEANUP(walk_release) struct walk w = { .tree = tree, .cred = cred, .patterns = BUF_INIT, .kinds = BUF_INIT, .left = n,
						.fn = fn, .arg = arg };
	int64_t newest = 0;
	int r = permit(tree, cred, ACTION_PULL, NULL, err);

	if (!r)
		r = tree_events_check(filter, err);
	if (!r)
		r = split(filter->repositories, &w.patterns, &w.pattern_count, err);
	if (!r)
		r = split(filter->kinds, &w.kinds, &w.kind_count, err);
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = event_last(rd.db, &newest, err);
	if (!r && after >= 0)
		r = walk_events(&w, rd.db, after, newest, err);
	if (r < 0)
		return r;
	*last = after < 0 ? newest : w.last;
	*more = *last < newest;
	return 0;
}

/* ---- Waiting ---- */

int tree_events_open(const struct tree *tree, int *fd, struct err *err)
{
	return meta_listen(tree->meta, fd, err);
}

void tree_events_seen(int fd)
{
	bell_heard(fd);
}

int tree_events_wait(struct tree *tree, int fd, int milliseconds, struct err *err)
{
	struct pollfd on[] = { { .fd = fd, .events = POLLIN }, { .fd = tree->stopped, .events = POLLIN } };
	int n = poll(on, ARRAY_SIZE(on), milliseconds);

	if (n < 0 && errno != EINTR)
		return err_sys(err, errno, "cannot wait for events");
	if (n > 0 && on[1].revents)
		return -ECANCELED;
	return n != 0;
}

/* ---- Removing ---- */

struct trim {
	int64_t before, removed;
};

static int trim_events(struct db *db, void *arg, struct err *err)
{
	struct trim *t = arg;

	return event_trim(db, t->before, TRIM_AT_ONCE, &t->removed, err);
}

int tree_events_trim(struct tree *tree, const struct cred *cred, int64_t keep, int64_t *removed, struct err *err)
{
	struct trim t = { .before = timestamp_now() - keep };
	int r = permit(tree, cred, ACTION_ADMIN, NULL, err);

	*removed = 0;
	do {
		if (!r)
			r = meta_write(tree->meta, false, trim_events, &t, err);
		if (!r)
			*removed += t.removed;
	} while (!r && t.removed == TRIM_AT_ONCE);
	return r;
}
