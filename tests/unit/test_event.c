/*
 * test_event.c: the event log: rows and their lines, places in files, what is removed, who is woken, who may know.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/meta/bell.h"
#include "fs/meta/event.h"
#include "fs/meta/meta.h"
#include "fs/tree/events.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <poll.h>
#include <sys/wait.h>

static bool readable(int fd, int milliseconds)
{
	struct pollfd on = { .fd = fd, .events = POLLIN };

	return poll(&on, 1, milliseconds) > 0;
}

/* ---- Rows, lines and places ---- */

static int add(struct db *db, void *arg, struct err *err)
{
	return event_add(db, arg, err);
}

static int put(struct meta *m, const char *kind, const char *repository, int64_t at)
{
	struct event e = { .kind = kind, .repository = repository, .tag = "t", .who = "al\"ice", .origin = "test", .at = at, .changed = true };

	return meta_write(m, false, add, &e, NULL);
}

static int trim(struct db *db, void *arg, struct err *err)
{
	int64_t *removed = arg;

	return event_trim(db, 30, 2, removed, err);
}

/* Adds the line with its newline; checks that it stands where it says. */
struct text {
	struct buf lines;
	int64_t first;
	int wrong;
};

static int add_line(void *arg, const char *line, int64_t size, int64_t place)
{
	struct text *t = arg;
	auto_json struct json *json = NULL;

	buf_addf(&t->lines, "%s\n", line);
	t->wrong += (int64_t)strlen(line) + 1 != size || t->first + (int64_t)t->lines.len != place ||
		    json_parse(line, strlen(line), &json, NULL) != 0;
	return 0;
}

/* Bytes of a file, or -1 where lines and span don't agree. */
static int64_t file_size(struct meta *m, const char *repository, int64_t *first)
{
	auto_reader struct meta_reader rd = { .meta = m };
	struct text t = { .lines = BUF_INIT };
	int64_t end = 0, size;

	if (meta_read_begin(m, &rd.db, NULL) || event_span(rd.db, repository, first, &end, NULL))
		return -1;
	t.first = *first;
	if (event_lines(rd.db, repository, *first, add_line, &t, NULL) || t.wrong)
		return -1;
	size = (int64_t)t.lines.len;
	buf_release(&t.lines);
	return size == end - *first ? size : -1;
}

static void test_places(const char *dir)
{
	auto_free char *path = scratch_path(dir, "places.db");
	int64_t all, a, first = -1, removed = 0;
	struct meta *m;

	ok(!meta_open(path, true, &m, NULL), "a database");
	is_int(file_size(m, NULL, &first), 0, "an empty file");
	ok(!put(m, "push", "a", 10) && !put(m, "push", "b", 20) && !put(m, "grant", "a", 25) && !put(m, "untag", "a", 40), "four events");
	all = file_size(m, NULL, &first);
	a = file_size(m, "a", &first);
	ok(all > 0 && a > 0 && a < all, "the registry has all of them, a repository its own but for grants: %" PRId64 " of %" PRId64, a, all);
	is_int(file_size(m, "none", &first), 0, "one that never was has none");
	ok(!meta_write(m, false, trim, &removed, NULL), "old ones are removed");
	is_int(removed, 2, "so many at once");
	ok(!meta_write(m, false, trim, &removed, NULL), "again");
	is_int(removed, 1, "up to the first that isn't old");
	is_int(file_size(m, "b", &first), 0, "a file whose lines are all gone is empty");
	ok(first > 0, "and ends where it ended");
	ok(file_size(m, "a", &first) > 0 && first > 0, "another begins later");
	ok(!put(m, "push", "b", 50) && file_size(m, "b", &first) > 0 && first > 0, "and goes on behind what it had");
	meta_close(m);
}

/* ---- Waking ---- */

static void test_bell(const char *dir)
{
	auto_free char *path = scratch_path(dir, "bell.db");
	struct meta *m;
	auto_fd int fd = -1;
	pid_t child;
	int status;

	ok(!meta_open(path, true, &m, NULL) && !meta_listen(m, &fd, NULL), "somebody listens");
	ok(!readable(fd, 0), "nothing happened");
	ok(!put(m, "push", "a", 1) && readable(fd, 5000), "a commit of this process wakes it");
	bell_heard(fd);
	ok(!readable(fd, 0), "once");
	child = fork();
	if (!child) {
		struct meta *other;

		_exit(meta_open(path, false, &other, NULL) || put(other, "push", "a", 2));
	}
	ok(waitpid(child, &status, 0) == child && !status && readable(fd, 5000), "a commit of another process wakes it");
	meta_close(m);
}

/* ---- As the tree tells them ---- */

struct seen {
	int count;
	int64_t last, about;
	char kind[32];
};

static int see(void *arg, const struct event_row *row)
{
	struct seen *s = arg;

	s->count++;
	s->last = row->number;
	s->about = row->event.about ? atol(row->event.about) : 0;
	snprintf(s->kind, sizeof(s->kind), "%s", row->event.kind);
	return 0;
}

static int look(struct tree *tree, const struct cred *cred, int64_t after, const char *patterns, const char *kinds, int64_t n,
		struct seen *s, int64_t *last, bool *more, struct err *err)
{
	const struct tree_events_filter f = { patterns, kinds };

	*s = (struct seen){ 0 };
	return tree_events(tree, cred, after, &f, n, see, s, last, more, err);
}

static void test_tree(const char *dir)
{
	auto_free char *path = scratch_path(dir, "store");
	const struct cred admin = cred_administrator("test"), nobody = cred_anonymous("test");
	struct err err = ERR_INIT;
	int64_t last = -1, removed = 0;
	bool more = true;
	struct tree *t;
	struct seen s;
	int fd;

	ok(!tree_open(path, TREE_CREATE, &t, &err), "a store");
	ok(!look(t, &admin, -1, NULL, NULL, 9, &s, &last, &more, &err) && last == 0 && !more, "nothing happened");
	ok(!tree_events_open(t, &fd, &err), "a descriptor");
	is_int(tree_events_wait(t, fd, 0, &err), 0, "nothing to wait for");
	ok(!tree_repo_add(t, &admin, "a/b", &err) && !tree_repo_add(t, &admin, "a/c", &err), "two events");
	is_int(tree_events_wait(t, fd, 5000, &err), 1, "it is woken");
	ok(!look(t, &admin, 0, NULL, NULL, 1, &s, &last, &more, &err) && s.count == 1 && last == 1 && more, "one at a time");
	ok(!look(t, &admin, last, NULL, NULL, 1, &s, &last, &more, &err) && s.count == 1 && last == 2 && !more, "and the next");
	ok(!look(t, &admin, 0, "x,a/*", "remove,create", 9, &s, &last, &more, &err) && s.count == 2, "by patterns and kinds");
	ok(!look(t, &admin, 0, "a/c", NULL, 9, &s, &last, &more, &err) && s.count == 1 && last == 2, "looked at is more than given");
	ok(!look(t, &nobody, 0, NULL, NULL, 9, &s, &last, &more, &err) && !s.count && last == 2, "who may not know is told nothing");
	is_int(look(t, &admin, 3, NULL, NULL, 9, &s, &last, &more, &err), -EINVAL, "behind what was never reached: %s", err.text);
	is_int(look(t, &admin, 0, "A", NULL, 9, &s, &last, &more, &err), -EINVAL, "no pattern: %s", err.text);
	is_int(look(t, &admin, 0, NULL, "push,", 9, &s, &last, &more, &err), 0, "a comma at the end");
	is_int(look(t, &admin, 0, NULL, "pushes", 9, &s, &last, &more, &err), -EINVAL, "no kind: %s", err.text);
	ok(tree_events_trim(t, &nobody, 0, &removed, &err) < 0, "not everybody removes");
	ok(!tree_events_trim(t, &admin, 0, &removed, &err) && removed == 2, "all are old");
	ok(!look(t, &admin, 1, NULL, "push", 9, &s, &last, &more, &err) && s.count == 1 && s.last == 2 && s.about == 2 && last == 2, "a gap");
	is_str(s.kind, TREE_EVENT_GAP, "whatever was asked for");
	tree_stop(t);
	tree_events_seen(fd);
	is_int(tree_events_wait(t, fd, 5000, &err), -ECANCELED, "waits end when the tree stops");
	close(fd);
	tree_close(t);
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };

	if (!scratch_make(&tmp))
		return 1;
	alarm(120);
	test_places(tmp.dir);
	test_bell(tmp.dir);
	test_tree(tmp.dir);
	return done_testing();
}
