/*
 * hooks.c: see hooks.h. What is delivered when is in deliveries.c.
 */
#include "fs/base/base.h"
#include "fs/tree/hooks.h"

#include <pthread.h>
#include <strings.h>

#include "fs/auth/pattern.h"
#include "fs/base/timestamp.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

#define HURRIED_AT_ONCE 1000	/* deliveries, in the transaction of a change */

/* ---- Permission ---- */

int permit_hook(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, struct err *err)
{
	int r = permit_pattern(tree, cred, pattern, err);

	return r || !name ? r : hook_name_check(name, err);
}

static int ask_to_change(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
			 const struct tree_hook_change *change, struct err *err)
{
	int r = permit_hook(tree, cred, pattern, name, err);

	if (!r)
		r = hook_change_check(change, err);
	/* It runs on the registry's machine. */
	if (!r && change->program && *change->program)
		r = permit(tree, cred, ACTION_ADMIN, NULL, err);
	return r;
}

/* ---- Changing ---- */

struct hook_edit {
	const struct cred *cred;
	const char *pattern, *name, *kind;
	const struct tree_hook_change *change;
	bool fresh;		/* there must be none of that name */
	int64_t delivery;	/* the one that is meant */
	int64_t *event;
};

static int no_hook(const char *pattern, const char *name, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "%s has no hook %s", pattern, name);
}

static int copy_row(void *arg, const struct hook_row *row)
{
	int r = hook_copy(row, arg, NULL);

	return r ? r : 1;
}

static int need_hook(struct db *db, const char *pattern, const char *name, struct hook_copy *out, struct err *err)
{
	int r = hook_by_name(db, pattern, name, copy_row, out, err);

	if (r < 0)
		return r == -ENOMEM ? err_set(err, ERR_NO_MEMORY, "out of memory") : r;
	return r ? 0 : no_hook(pattern, name, err);
}

static int note(struct db *db, const struct hook_edit *e, struct err *err)
{
	char about[LIMIT_NAME + LIMIT_HOOK_NAME + 2];
	bool is_name = pattern_is_name(e->pattern);

	snprintf(about, sizeof(about), "%s%s%s", is_name ? "" : e->pattern, is_name ? "" : " ", e->name);
	return add_access_event(db, e->cred, e->kind, is_name ? e->pattern : NULL, about, err);
}

static int count_hook(void *arg, const struct hook_row *row)
{
	(void)row;
	++*(int *)arg;
	return 0;
}

/* What a new one begins as. */
static int begin_new(struct db *db, const struct hook_edit *e, struct hook_row *out, struct err *err)
{
	auto_hook_copy struct hook_copy old = { 0 };
	int count = 0, r = hook_by_name(db, e->pattern, e->name, copy_row, &old, err);

	if (r)
		return r < 0 ? r : err_set(err, ERR_EXISTS, "%s has a hook %s already", e->pattern, e->name);
	r = hook_list(db, e->pattern, count_hook, &count, err);
	if (!r && count >= LIMIT_HOOKS)
		return err_set(err, ERR_ARGUMENT, "%s has %d hooks already: let one of them pass on what it is told", e->pattern,
			       LIMIT_HOOKS);
	*out = (struct hook_row){
		.pattern = e->pattern, .name = e->name, .kinds = HOOK_KINDS, .tags = "", .url = "", .program = "",
		.format = HOOK_FORMAT, .headers = "", .ca = "", .secret = "", .old_secret = "", .disabled = "",
		.created = timestamp_now(), .who = e->cred->name,
	};
	return r ? r : event_last(db, &out->since, err);
}

/* The line about a header, case aside; NULL. */
static const char *line_of(const char *headers, const char *name, size_t len)
{
	while (*headers && (strncasecmp(headers, name, len) || headers[len] != ':'))
		headers += strcspn(headers, "\n"), headers += *headers == '\n';
	return *headers ? headers : NULL;
}

/* Headers as they are wanted, each that comes without a value with the one it has. */
static int fill_in(const char *old, const char *wanted, struct buf *out, struct err *err)
{
	for (size_t len; *wanted; wanted += len, wanted += *wanted == '\n') {
		size_t name = strcspn(wanted, ":\n");
		const char *line = wanted;

		len = strcspn(wanted, "\n");
		if (name + 1 + strspn(wanted + name + 1, " ") >= len)
			line = line_of(old, wanted, name);
		if (!line)
			return err_set(err, ERR_ARGUMENT, "the header %.*s has no value yet: write \"%.*s: value\"", (int)name, wanted,
				       (int)name, wanted);
		buf_addf(out, "%s%.*s", out->len ? "\n" : "", (int)strcspn(line, "\n"), line);
	}
	return buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

/* What is to be written; it points into the edit, into `old` and into `headers`. */
static int plan_edit(struct db *db, const struct hook_edit *e, struct hook_copy *old, struct buf *headers, struct hook_row *out,
		     struct err *err)
{
	int r = e->fresh ? begin_new(db, e, out, err) : need_hook(db, e->pattern, e->name, old, err);

	if (r)
		return r;
	if (!e->fresh)
		*out = old->row;
	if (e->change->headers)
		r = fill_in(out->headers, e->change->headers, headers, err);
	if (r)
		return r;
	hook_change_apply(out, e->change);
	if (e->change->headers)
		out->headers = headers->data;
	out->changed = timestamp_now();
	if (e->change->needs_secret && !*out->secret)
		return err_set(err, ERR_ARGUMENT, "the hook %s has no secret that could be kept: write one", e->name);
	if (!*out->url == !*out->program)
		return err_set(err, ERR_ARGUMENT, "a hook has a URL or a program, and not both");
	return hook_format_check(out, err);
}

static int write_edit(struct db *db, void *arg, struct err *err)
{
	const struct hook_edit *e = arg;
	auto_hook_copy struct hook_copy old = { 0 };
	auto_buf struct buf headers = BUF_INIT;
	struct hook_row row;
	int r = plan_edit(db, e, &old, &headers, &row, err);

	if (!r)
		r = hook_put(db, &row, pattern_is_name(row.pattern), &row.id, err);
	/* What waits for a receiver to come back may have another one now. */
	if (!r && !e->fresh)
		r = delivery_hurry(db, row.id, HURRIED_AT_ONCE, row.changed, err);
	return r ? r : note(db, e, err);
}

static int only_plan(struct tree *tree, const struct hook_edit *e, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_hook_copy struct hook_copy old = { 0 };
	auto_buf struct buf headers = BUF_INIT;
	struct hook_row row;
	int r = tree_reader(tree, &rd, err);

	return r ? r : plan_edit(rd.db, e, &old, &headers, &row, err);
}

typedef int hook_check_fn(struct db *db, const struct hook_edit *e, struct err *err);

static int only_check(struct tree *tree, const struct hook_edit *e, hook_check_fn *check, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	return r ? r : check(rd.db, e, err);
}

static int write_noted(struct tree *tree, const struct hook_edit *e, meta_write_fn *fn, struct err *err)
{
	const struct attempt what = { e->cred, e->kind, .repo = pattern_is_name(e->pattern) ? e->pattern : NULL, .about = e->name };

	return audit_write(tree, &what, fn, (void *)(uintptr_t)e, err);
}

int tree_hook_add(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, bool check_only, struct err *err)
{
	const struct hook_edit e = { cred, pattern, name, "hook-add", .change = change, .fresh = true };
	int r = ask_to_change(tree, cred, pattern, name, change, err);

	if (r)
		return r;
	return check_only ? only_plan(tree, &e, err) : write_noted(tree, &e, write_edit, err);
}

int tree_hook_set(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, bool check_only, struct err *err)
{
	const struct hook_edit e = { cred, pattern, name, "hook-set", .change = change };
	int r = ask_to_change(tree, cred, pattern, name, change, err);

	if (r)
		return r;
	return check_only ? only_plan(tree, &e, err) : write_noted(tree, &e, write_edit, err);
}

static int write_put(struct db *db, void *arg, struct err *err)
{
	struct hook_edit e = *(const struct hook_edit *)arg;
	auto_hook_copy struct hook_copy old = { 0 };
	int r = hook_by_name(db, e.pattern, e.name, copy_row, &old, err);

	e.fresh = !r;
	if (e.fresh)
		e.kind = "hook-add";
	return r < 0 ? r : write_edit(db, &e, err);
}

int tree_hook_put(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, struct err *err)
{
	const struct hook_edit e = { cred, pattern, name, "hook-set", .change = change };
	int r = ask_to_change(tree, cred, pattern, name, change, err);

	return r ? r : write_noted(tree, &e, write_put, err);
}

static int rm_hook(struct db *db, void *arg, struct err *err)
{
	const struct hook_edit *e = arg;
	auto_hook_copy struct hook_copy old = { 0 };
	int r = need_hook(db, e->pattern, e->name, &old, err);

	if (!r)
		r = hook_retire(db, old.row.id, err);
	return r ? r : note(db, e, err);
}

int tree_hook_rm(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, bool check_only,
		 struct err *err)
{
	const struct tree_hook_change nothing = TREE_HOOK_AS_IT_IS;
	const struct hook_edit e = { cred, pattern, name, "hook-rm", .change = &nothing };
	int r = permit_hook(tree, cred, pattern, name, err);

	if (r)
		return r;
	return check_only ? only_plan(tree, &e, err) : write_noted(tree, &e, rm_hook, err);
}

/* ---- Looking ---- */

struct each_hook {
	struct tree *tree;
	const struct cred *cred;
	bool all;	/* only those that may be seen */
	hook_row_fn *fn;
	void *arg;
};

/* Headers may hold secrets, too. */
int hook_as_shown(const struct hook_row *row, struct buf *headers, struct hook_row *out)
{
	for (const char *line = row->headers; *line; line += strcspn(line, "\n"), line += *line == '\n')
		buf_addf(headers, "%s%.*s:", headers->len ? "\n" : "", (int)strcspn(line, ":\n"), line);
	*out = *row;
	out->headers = headers->data;
	out->secret = *row->secret ? "*" : "";
	out->old_secret = *row->old_secret ? "*" : "";
	return buf_error(headers);
}

static int give_hook(void *arg, const struct hook_row *row)
{
	const struct each_hook *e = arg;
	auto_buf struct buf headers = BUF_INIT;
	struct hook_row shown;

	if (hook_is_retired(row) || (e->all && permit_pattern(e->tree, e->cred, row->pattern, NULL)))
		return 0;
	return hook_as_shown(row, &headers, &shown) ? -ENOMEM : e->fn(e->arg, &shown);
}

int tree_hook_show(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, hook_row_fn *fn, void *arg,
		   struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_hook_copy struct hook_copy found = { 0 };
	struct each_hook each = { .fn = fn, .arg = arg };
	int r = permit_hook(tree, cred, pattern, name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_hook(rd.db, pattern, name, &found, err);
	return r ? r : MIN(0, give_hook(&each, &found.row));
}

int tree_hook_list(struct tree *tree, const struct cred *cred, const char *pattern, hook_row_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct each_hook each = { tree, cred, !pattern && !cred_is_boundless(cred), fn, arg };
	int r = pattern ? permit_hook(tree, cred, pattern, NULL, err) : 0;

	if (!r)
		r = tree_reader(tree, &rd, err);
	return r ? r : MIN(0, hook_list(rd.db, pattern, give_hook, &each, err));
}

/* ---- What became of deliveries ---- */

struct each_delivery {
	struct db *db;
	struct tree_hook_delivery now;
	tree_hook_delivery_fn *fn;
	void *arg;
	bool given;
	struct err *err;
};

static int give_with_attempt(void *arg, const struct attempt_row *attempt)
{
	struct each_delivery *e = arg;
	int r;

	e->now.status = attempt->status;
	e->now.latency = attempt->latency;
	e->now.why = attempt->why;
	e->given = true;
	r = e->fn(e->arg, &e->now);
	return r ? r : 1;
}

static int give_with_event(void *arg, const struct event_row *event)
{
	struct each_delivery *e = arg;
	int r;

	if (event) {
		e->now.kind = event->event.kind;
		e->now.repository = event->event.repository;
		e->now.tag = event->event.tag ? event->event.tag : "";
	}
	r = delivery_last_attempt(e->db, e->now.row.id, give_with_attempt, e, e->err);
	if (r >= 0 && !e->given) {
		e->given = true;
		r = e->fn(e->arg, &e->now);
	}
	return r;
}

static int give_delivery(void *arg, const struct delivery_row *row)
{
	struct each_delivery *e = arg;
	int r;

	e->now = (struct tree_hook_delivery){ .row = *row, .kind = "", .repository = "", .tag = "", .why = "" };
	e->given = false;
	r = event_by_number(e->db, row->event, give_with_event, e, e->err);
	if (r >= 0 && !e->given)
		r = give_with_event(e, NULL);
	return MIN(r, 0);
}

int tree_hook_log(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t before, int64_t most,
		  tree_hook_delivery_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	auto_hook_copy struct hook_copy hook = { 0 };
	struct each_delivery each = { .fn = fn, .arg = arg, .err = err };
	int r = permit_hook(tree, cred, pattern, name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_hook(rd.db, pattern, name, &hook, err);
	each.db = rd.db;
	return r ? r : MIN(0, delivery_list(rd.db, hook.row.id, before, most, give_delivery, &each, err));
}

/* A delivery of that hook. */
static int need_delivery(struct db *db, const char *pattern, const char *name, int64_t id, struct delivery_row *out,
			 struct err *err)
{
	auto_hook_copy struct hook_copy hook = { 0 };
	int r = need_hook(db, pattern, name, &hook, err);

	if (r)
		return r;
	r = delivery_by_id(db, id, out, err);
	if (r < 0)
		return r;
	return r && out->hook_id == hook.row.id ? 0 : err_set(err, ERR_NOT_FOUND, "the hook %s of %s has no delivery %" PRId64 ": regfs hook log lists them",
							      name, pattern, id);
}

int tree_hook_attempts(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t id,
		       struct delivery_row *delivery, attempt_row_fn *fn, void *arg, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = permit_hook(tree, cred, pattern, name, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_delivery(rd.db, pattern, name, id, delivery, err);
	return r ? r : MIN(0, delivery_attempts(rd.db, id, fn, arg, err));
}

static int need_able_hook(struct db *db, const struct hook_edit *e, struct hook_copy *out, struct err *err)
{
	int r = need_hook(db, e->pattern, e->name, out, err);

	return r || !*out->row.disabled ?
		       r :
		       err_set(err, ERR_DENIED, "the hook %s of %s was disabled (%.200s): `regfs hook set --resume` first", e->name,
			       e->pattern, out->row.disabled);
}

static int can_again(struct db *db, const struct hook_edit *e, struct err *err)
{
	struct delivery_row row;
	auto_hook_copy struct hook_copy hook = { 0 };
	int r = need_delivery(db, e->pattern, e->name, e->delivery, &row, err);

	if (!r)
		r = need_able_hook(db, e, &hook, err);
	return r || row.state != DELIVERY_WAITING ?
		       r :
		       err_set(err, ERR_BUSY, "delivery %" PRId64 " waits to be made anyway", e->delivery);
}

static int again(struct db *db, void *arg, struct err *err)
{
	const struct hook_edit *e = arg;
	int r = can_again(db, e, err);

	if (!r)
		r = delivery_again(db, e->delivery, timestamp_now(), err);
	return r ? r : note(db, e, err);
}

int tree_hook_retry(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t id, bool check_only,
		    struct err *err)
{
	const struct hook_edit e = { cred, pattern, name, "hook-retry", .delivery = id };
	int r = permit_hook(tree, cred, pattern, name, err);

	if (r)
		return r;
	return check_only ? only_check(tree, &e, can_again, err) : write_noted(tree, &e, again, err);
}

static int can_test(struct db *db, const struct hook_edit *e, struct err *err)
{
	auto_hook_copy struct hook_copy hook = { 0 };

	return need_able_hook(db, e, &hook, err);
}

/* Its event is told to that hook only: deliveries.c looks at what it is about. */
static int test_hook(struct db *db, void *arg, struct err *err)
{
	const struct hook_edit *e = arg;
	auto_hook_copy struct hook_copy hook = { 0 };
	int r = need_able_hook(db, e, &hook, err);

	if (!r)
		r = note(db, e, err);
	if (!r)
		r = event_last(db, e->event, err);
	return r ? r : delivery_add(db, hook.row.id, *e->event, "/test", DELIVERY_WAITING, timestamp_now(), err);
}

int tree_hook_test(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, bool check_only, int64_t *event,
		   struct err *err)
{
	const struct hook_edit e = { cred, pattern, name, "hook-test", .event = event };
	int r = permit_hook(tree, cred, pattern, name, err);

	*event = 0;
	if (r)
		return r;
	return check_only ? only_check(tree, &e, can_test, err) : write_noted(tree, &e, test_hook, err);
}

/* ---- Programs that stand there ---- */

#define STANDING "**"

struct standing {
	struct db *db;
	const char *names;
	size_t len;
	int64_t since;
	bool dry;		/* only whether there is something to do */
	bool changes;
	struct err *err;
};

static bool is_listed(const struct standing *s, const char *program)
{
	for (const char *n = s->names, *end = n + s->len; n < end; n += strlen(n) + 1)
		if (streq(n, program))
			return true;
	return false;
}

static int retire_gone(void *arg, const struct hook_row *row)
{
	struct standing *s = arg;

	if (!strchr(row->program, '/') || is_listed(s, row->program))
		return 0;
	s->changes = true;
	return s->dry ? 0 : hook_retire(s->db, row->id, s->err);
}

static int found(void *arg UNUSED, const struct hook_row *row UNUSED)
{
	return 1;
}

/* "push/notify" is called push.notify. */
static int add_new(struct standing *s, const char *program)
{
	char name[LIMIT_HOOK_NAME + 1], kind[LIMIT_HOOK_NAME + 1];
	size_t slash = strcspn(program, "/");
	struct hook_row row = {
		.pattern = STANDING, .name = name, .kinds = kind, .tags = "", .url = "", .program = program, .format = HOOK_FORMAT,
		.headers = "", .ca = "", .secret = "", .old_secret = "", .disabled = "", .since = s->since,
		.created = timestamp_now(), .changed = timestamp_now(), .who = "hooks.d",
	};
	int64_t id;
	int r;

	if (snprintf(name, sizeof(name), "%s", program) >= (int)sizeof(name))
		return 0;	/* no hook can be called so */
	snprintf(kind, sizeof(kind), "%.*s", (int)slash, program);
	name[slash] = '.';
	if (hook_name_check(name, NULL))
		return 0;
	r = hook_by_name(s->db, STANDING, name, found, NULL, s->err);
	if (r)
		return MIN(r, 0);
	s->changes = true;
	return s->dry ? 0 : hook_put(s->db, &row, false, &id, s->err);
}

static int compare_standing(struct standing *s)
{
	int r = hook_list(s->db, STANDING, retire_gone, s, s->err);

	for (const char *n = s->names, *end = n + s->len; !r && n < end; n += strlen(n) + 1)
		r = add_new(s, n);
	return r;
}

static int write_standing(struct db *db, void *arg, struct err *err)
{
	struct standing *s = arg;

	int r = s->since ? 0 : event_last(db, &s->since, err);

	s->db = db;
	s->err = err;
	if (!r)
		r = compare_standing(s);
	/* Who is told of pulls is worked out from hooks. */
	return r ? r : access_changed(db, err);
}

int tree_hook_programs(struct tree *tree, const char *names, size_t len, int64_t since, struct err *err)
{
	struct standing s = { .names = names, .len = len, .since = since, .dry = true, .err = err };
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r) {
		s.db = rd.db;
		r = compare_standing(&s);
	}
	if (r || !s.changes)
		return r;
	s.dry = false;
	return meta_write(tree->meta, true, write_standing, &s, err);
}

/* ---- Who is told of pulls ---- */

/* Most registries have no such hook, and many pulls: what was found is kept until hooks change, with which the generation does. */
struct listeners {
	pthread_mutex_t lock;
	struct db_mark mark;	/* guarded by lock, as all that follows */
	bool marked;
	int64_t generation;	/* -1: nothing was found yet */
	struct buf patterns;	/* each with its NUL */
};

int listeners_new(struct listeners **out, struct err *err)
{
	struct listeners *l = calloc(1, sizeof(*l));

	if (!l)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&l->lock, NULL);
	l->generation = -1;
	*out = l;
	return 0;
}

void listeners_free(struct listeners *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	buf_release(&l->patterns);
	free(l);
}

static int add_listener(void *arg, const struct hook_row *row)
{
	if (!hook_is_retired(row) && !*row->disabled && hook_is_about(row->kinds, "pull"))
		buf_addf(arg, "%s%c", row->pattern, '\0');
	return 0;
}

/* With the lock held: what holds at the mark, which was taken before. */
static int find_listeners(struct tree *tree, struct listeners *l, const struct db_mark *mark, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int64_t generation = 0;
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = access_generation(rd.db, &generation, err);
	if (!r && generation != l->generation) {
		buf_reset(&l->patterns);
		r = hook_list(rd.db, NULL, add_listener, &l->patterns, err);
		l->generation = r || buf_error(&l->patterns) ? -1 : generation;
	}
	l->marked = !r && mark;
	if (l->marked)
		l->mark = *mark;
	return r;
}

static bool is_heard(struct tree *tree, const char *repo)
{
	struct listeners *l = tree->listeners;
	struct db_mark mark;
	bool marked = meta_mark(tree->meta, &mark), heard = false;

	pthread_mutex_lock(&l->lock);
	if ((marked && l->marked && memcmp(&mark, &l->mark, sizeof(mark)) == 0) ||
	    !find_listeners(tree, l, marked ? &mark : NULL, NULL))
		for (const char *p = l->patterns.data, *end = p + l->patterns.len; !heard && p < end; p += strlen(p) + 1)
			heard = pattern_match(p, repo);
	pthread_mutex_unlock(&l->lock);
	return heard;
}

void tell_pull(struct tree *tree, const struct cred *cred, const char *repo, const char *reference, const struct digest *digest)
{
	struct audit_row row;

	if (!is_heard(tree, repo))
		return;
	row = audit_row_of(cred, "pull", AUDIT_OK);
	row.kind = "pull";
	row.repository = repo;
	row.tag = strchr(reference, ':') ? NULL : reference;
	row.digest = digest;
	trail_note_event(tree->trail, &row);
}
