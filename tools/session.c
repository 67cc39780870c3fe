/*
 * session.c: see session.h.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include <poll.h>

#include "tools/keyring.h"
#include "tools/remote.h"

/* ---- Opening ---- */

void session_close(struct session *s)
{
	if (s->tree)
		tree_close(s->tree);
	if (s->remote)
		remote_close(s->remote);
	if (s->listens)
		close(s->events);
	known_free(s->known);
	free(s->url);
	free(s);
}

static int open_local(const struct store_options *o, struct session **out, struct err *err)
{
	auto_session struct session *s = calloc(1, sizeof(*s));
	int r = s ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (r)
		return r;
	s->cred = command_cred();
	r = open_store(o, &s->tree, err);
	if (!r)
		*out = steal(&s);
	return r;
}

int session_open_server(const char *url, const char *ca_file, const char *user, const char *password, struct session **out,
			struct err *err)
{
	const struct remote_options options = { .url = url, .ca_file = ca_file, .user = user, .password = password };
	auto_session struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s || !(s->url = strdup(url)))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r = remote_open(&options, &s->remote, err);
	if (!r)
		*out = steal(&s);
	return r;
}

static int open_server(const struct store_options *o, const char *url, struct session **out, struct err *err)
{
	auto_kept_login struct kept_login c = { 0 };
	int r = server_url_check(url, err);

	if (!r)
		r = keyring_get(url, &c, err);
	return r ? r : session_open_server(url, o->ca, c.user, c.password, out, err);
}

static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

int session_open(const struct store_options *o, struct session **out, struct err *err)
{
	const char *store = environment("REGFS_STORE"), *server = environment("REGFS_SERVER");
	auto_free char *kept = NULL;
	int r;

	if (o->store && o->server)
		return err_set(err, ERR_USAGE, "name a store (--store) or a server (--server), not both");
	if (o->server)
		return open_server(o, o->server, out, err);
	if (o->store)
		return open_local(o, out, err);
	if (store && server)
		return err_set(err, ERR_USAGE, "both REGFS_STORE and REGFS_SERVER are set: name one by --store or --server");
	if (store)
		return open_local(o, out, err);
	r = server ? 0 : server_default_get(&kept, err);
	if (r)
		return r;
	return server || kept ? open_server(o, server ? server : kept, out, err) : open_local(o, out, err);
}

const char *session_place(const struct session *s, const char **value)
{
	*value = s->tree ? tree_store_dir(s->tree) : s->url;
	return s->tree ? "store" : "server";
}

/* ---- Calls ---- */

int session_call(struct session *s, enum call_id id, const void *args, call_row_fn *fn, void *arg, struct err *err)
{
	const struct call *call = call_at(id);

	return s->tree ? call->run(s->tree, &s->cred, args, fn, arg, err) : remote_call(s->remote, call, args, fn, arg, err);
}

/* A callback of a row's own type. */
#define TAKES(name, fn_type, type)                                  \
	struct take_##name {                                        \
		fn_type *fn;                                        \
		void *arg;                                          \
	};                                                          \
	static int take_##name(void *arg, const void *row)          \
	{                                                           \
		const struct take_##name *t = arg;                  \
		return t->fn ? t->fn(t->arg, (const type *)row) : 0; \
	}
TAKES(me, session_me_fn, struct call_me)
TAKES(repo, tree_repo_fn, struct tree_repo)
TAKES(image, tree_image_fn, struct tree_image_info)
TAKES(layer, tree_layer_fn, struct tree_layer)
TAKES(use, tree_use_fn, struct tree_use)
TAKES(pruned, tree_pruned_fn, struct tree_pruned)
TAKES(quota, tree_quota_fn, struct tree_quota)
TAKES(person, session_person_fn, struct call_listed_person)
TAKES(token, tree_token_fn, struct tree_token)
TAKES(access, tree_access_fn, struct tree_access)
TAKES(hook, session_hook_fn, struct call_listed_hook)
TAKES(delivery, tree_hook_delivery_fn, struct tree_hook_delivery)
TAKES(attempt, session_attempt_fn, struct call_attempt)

#define CALL_TAKING(name, id, args, fn, arg, err)                              \
	({                                                                    \
		struct take_##name take_ = { (fn), (arg) };                   \
		session_call(s, id, args, take_##name, &take_, err);          \
	})

static int ignore_row(void *arg UNUSED, const void *row UNUSED)
{
	return 0;
}

static int change(struct session *s, enum call_id id, const void *args, struct err *err)
{
	return session_call(s, id, args, ignore_row, NULL, err);
}

/* Copies the one row that there must be. */
struct one_row {
	void *to;
	size_t size;
	bool there;
};

static int keep_row(void *arg, const void *row)
{
	struct one_row *o = arg;

	memcpy(o->to, row, o->size);
	o->there = true;
	return 0;
}

static int one(struct session *s, enum call_id id, const void *args, void *to, size_t size, struct err *err)
{
	struct one_row o = { .to = to, .size = size };
	int r = session_call(s, id, args, keep_row, &o, err);

	return r || o.there ? r : err_set(err, ERR_CORRUPT, "the answer to %s is empty", call_at(id)->name);
}

/* ---- The registry ---- */

int session_me(struct session *s, session_me_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { 0 };

	return CALL_TAKING(me, CALL_ME, &a, fn, arg, err);
}

int session_may(struct session *s, const char *repo, unsigned actions, struct err *err)
{
	const struct call_names a = { .name = repo, .actions = actions };

	return change(s, CALL_MAY, &a, err);
}

int session_stats(struct session *s, struct tree_stats *out, struct err *err)
{
	const struct call_names a = { 0 };

	return one(s, CALL_STATUS, &a, out, sizeof(*out), err);
}

/* ---- Repositories, tags: page by page ---- */

#define PAGE 5000

/* Counts, and remembers the last name. */
struct pages {
	struct session *session;
	tree_repo_fn *repo_fn;
	session_tag_fn *tag_fn;
	void *arg;
	struct buf last;
	int64_t count;
};

static int page_row(struct pages *p, const char *name)
{
	p->count++;
	buf_reset(&p->last);
	buf_adds(&p->last, name);
	return buf_error(&p->last);
}

static int take_paged_repo(void *arg, const void *row)
{
	struct pages *p = arg;
	const struct tree_repo *repo = row;
	int r = page_row(p, repo->name);

	return r ? r : p->repo_fn(p->arg, repo);
}

static int take_paged_tag(void *arg, const void *row)
{
	struct pages *p = arg;
	const struct call_tag *tag = row;
	int r = page_row(p, tag->tag);

	return r ? r : p->tag_fn(p->arg, tag);
}

static int all_pages(struct session *s, enum call_id id, struct call_page *args, call_row_fn *fn, struct pages *p, struct err *err)
{
	int r;

	args->n = s->tree ? INT64_MAX : PAGE;
	do {
		auto_free char *last = strdup(p->last.data);

		if (!last)
			return err_set(err, ERR_NO_MEMORY, "out of memory");
		p->count = 0;
		args->last = last;
		r = session_call(s, id, args, fn, p, err);
		if (!r && p->count && strcmp(p->last.data, last) <= 0)
			r = err_set(err, ERR_CORRUPT, "the server's list is out of order");
	} while (!r && p->count && !s->tree);
	return r;
}

int session_repo_list(struct session *s, tree_repo_fn *fn, void *arg, struct err *err)
{
	struct pages p = { .session = s, .repo_fn = fn, .arg = arg, .last = BUF_INIT };
	struct call_page a = { 0 };
	int r = all_pages(s, CALL_REPO_LIST, &a, take_paged_repo, &p, err);

	buf_release(&p.last);
	return r;
}

int session_tag_list(struct session *s, const char *repo, session_tag_fn *fn, void *arg, struct err *err)
{
	struct pages p = { .session = s, .tag_fn = fn, .arg = arg, .last = BUF_INIT };
	struct call_page a = { .name = repo };
	int r = all_pages(s, CALL_TAG_LIST, &a, take_paged_tag, &p, err);

	buf_release(&p.last);
	return r;
}

int session_repo_show(struct session *s, const char *name, tree_repo_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = name };

	return CALL_TAKING(repo, CALL_REPO_SHOW, &a, fn, arg, err);
}

int session_repo_add(struct session *s, const char *name, enum setting public, struct err *err)
{
	const struct call_settings a = { .name = name, .public = public };

	return change(s, CALL_REPO_ADD, &a, err);
}

int session_repo_set(struct session *s, const char *name, bool public, struct err *err)
{
	const struct call_settings a = { .name = name, .public = public ? SETTING_YES : SETTING_NO };

	return change(s, CALL_REPO_SET, &a, err);
}

int session_repo_rm(struct session *s, const char *name, struct err *err)
{
	const struct call_names a = { .name = name };

	return change(s, CALL_REPO_RM, &a, err);
}

int session_namespace_show(struct session *s, const char *name, struct tree_namespace *out, struct err *err)
{
	const struct call_names a = { .name = name };
	struct call_settings row;
	int r = one(s, CALL_NAMESPACE_SHOW, &a, &row, sizeof(row), err);

	if (!r)
		*out = (struct tree_namespace){ .public = row.public, .push_creates = row.push_creates };
	return r;
}

int session_namespace_set(struct session *s, const char *name, const struct tree_namespace *ns, struct err *err)
{
	const struct call_settings a = { .name = name, .public = ns->public, .push_creates = ns->push_creates };

	return change(s, CALL_NAMESPACE_SET, &a, err);
}

static int keep_value(void *arg, const void *row)
{
	struct buf *out = arg;

	buf_adds(out, ((const struct call_value *)row)->value);
	return buf_error(out);
}

int session_setting_show(struct session *s, struct settings_of of, const char *key, struct buf *out, struct err *err)
{
	const struct call_setting a = { .of = of, .key = key };

	return session_call(s, CALL_SETTING_SHOW, &a, keep_value, out, err);
}

int session_quota_list(struct session *s, struct settings_of of, tree_quota_fn *fn, void *arg, struct err *err)
{
	const struct call_setting a = { .of = of };

	return CALL_TAKING(quota, CALL_QUOTA_LIST, &a, fn, arg, err);
}

int session_setting_set(struct session *s, struct settings_of of, const char *key, const char *value, bool check_only,
			struct err *err)
{
	const struct call_setting a = { .of = of, .key = key, .value = value, .dry_run = check_only };

	return change(s, CALL_SETTING_SET, &a, err);
}

/* ---- Tags, images ---- */

int session_tag_set(struct session *s, const char *repo, const char *tag, const struct digest *digest, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = tag, .digest = *digest };

	return change(s, CALL_TAG_ADD, &a, err);
}

int session_tag_may_set(struct session *s, const char *repo, const char *tag, const struct digest *digest, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = tag, .digest = *digest, .dry_run = true };

	return change(s, CALL_TAG_ADD, &a, err);
}

int session_tag_rm(struct session *s, const char *repo, const char *tag, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = tag };

	return change(s, CALL_TAG_RM, &a, err);
}

int session_tag_set_end(struct session *s, const char *repo, const char *tag, const char *text, bool dry_run, int64_t *end,
			struct err *err)
{
	const struct call_end a = { .name = repo, .tag = tag, .text = text, .dry_run = dry_run };
	struct call_time row = { 0 };
	int r = one(s, CALL_TAG_SET, &a, &row, sizeof(row), err);

	*end = row.at;
	return r;
}

int session_prune(struct session *s, const char *repo, bool dry_run, tree_pruned_fn *fn, void *arg, struct err *err)
{
	const struct call_end a = { .name = repo, .dry_run = dry_run };

	return CALL_TAKING(pruned, CALL_PRUNE, &a, fn, arg, err);
}

/* Counts, and remembers where the last entry was. */
struct history_pages {
	tree_history_fn *fn;
	void *arg;
	struct buf tag;
	int64_t number, count;
	bool stop, disordered;
};

static int take_paged_history(void *arg, const void *row)
{
	struct history_pages *p = arg;
	const struct tree_history *entry = row;
	int r, order = strcmp(entry->tag, p->tag.data);

	p->disordered = order < 0 || (!order && entry->number <= p->number);
	if (p->disordered)
		return 1;
	buf_reset(&p->tag);
	buf_adds(&p->tag, entry->tag);
	p->number = entry->number;
	p->count++;
	r = buf_error(&p->tag) ? -ENOMEM : p->fn(p->arg, entry);
	p->stop = r != 0;
	return r;
}

int session_history_list(struct session *s, const char *repo, const char *tag, tree_history_fn *fn, void *arg, struct err *err)
{
	struct call_history a = { .name = repo, .tag = tag, .n = s->tree ? 0 : PAGE };
	struct history_pages p = { .fn = fn, .arg = arg, .tag = BUF_INIT };
	int r;

	do {
		auto_free char *after = strdup(p.tag.data);

		p.count = 0;
		a.after_tag = p.number ? after : NULL;
		a.after = p.number;
		r = after ? session_call(s, CALL_HISTORY, &a, take_paged_history, &p, err) : err_set(err, ERR_NO_MEMORY, "out of memory");
		if (!r && p.disordered)
			r = err_set(err, ERR_CORRUPT, "the server's list is out of order");
	} while (!r && !p.stop && p.count && !s->tree);
	buf_release(&p.tag);
	return r;
}

int session_rollback(struct session *s, const char *repo, const char *tag, int64_t to, bool dry_run, struct tree_rollback *out,
		     struct err *err)
{
	const struct call_rollback a = { .name = repo, .tag = tag, .to = to, .dry_run = dry_run };

	return one(s, CALL_ROLLBACK, &a, out, sizeof(*out), err);
}

/* Counts, and remembers the last number; what ends the listing. */
struct removal_pages {
	tree_removal_fn *fn;
	void *arg;
	int64_t last, count;
	bool stop;
};

static int take_paged_removal(void *arg, const void *row)
{
	struct removal_pages *p = arg;
	const struct tree_removal *removal = row;
	int r = p->fn(p->arg, removal);

	p->count++;
	p->last = removal->id;
	p->stop = r != 0;
	return r;
}

int session_undo_list(struct session *s, const char *repo, int64_t since, const char *by, tree_removal_fn *fn, void *arg,
		      struct err *err)
{
	struct call_undo a = { .name = repo, .by = by, .since = since, .n = s->tree ? 0 : PAGE };
	struct removal_pages p = { .fn = fn, .arg = arg };
	int r;

	do {
		p.count = 0;
		r = session_call(s, CALL_UNDO_LIST, &a, take_paged_removal, &p, err);
		if (!r && p.count && a.id && p.last >= a.id)
			r = err_set(err, ERR_CORRUPT, "the server's list is out of order");
		a.id = p.last;
	} while (!r && !p.stop && p.count && !s->tree);
	return r;
}

int session_undo(struct session *s, int64_t id, struct err *err)
{
	return session_call(s, CALL_UNDO, &(struct call_undo){ .id = id }, ignore_row, NULL, err);
}

int session_undo_purge(struct session *s, int64_t id, struct err *err)
{
	return session_call(s, CALL_UNDO_PURGE, &(struct call_undo){ .id = id }, ignore_row, NULL, err);
}

int session_image_list(struct session *s, const char *repo, tree_image_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = repo };

	return CALL_TAKING(image, CALL_IMAGE_LIST, &a, fn, arg, err);
}

int session_image_show(struct session *s, const char *repo, const char *reference, tree_image_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = reference };

	return CALL_TAKING(image, CALL_IMAGE_SHOW, &a, fn, arg, err);
}

int session_image_children(struct session *s, const char *repo, const struct digest *index, tree_image_fn *fn, void *arg,
			   struct err *err)
{
	const struct call_names a = { .name = repo, .digest = *index };

	return CALL_TAKING(image, CALL_IMAGE_CHILDREN, &a, fn, arg, err);
}

int session_image_layers(struct session *s, const char *repo, const char *reference, tree_layer_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = reference };

	return CALL_TAKING(layer, CALL_IMAGE_LAYERS, &a, fn, arg, err);
}

int session_layers_prepare(struct session *s, const char *repo, const char *reference, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = reference };

	return change(s, CALL_IMAGE_INDEX, &a, err);
}

int session_layer_contents(struct session *s, const char *repo, const struct digest *layer, struct tree_contents *out,
			   struct err *err)
{
	const struct call_names a = { .name = repo, .digest = *layer };

	return one(s, CALL_LAYER_CONTENTS, &a, out, sizeof(*out), err);
}

int session_used_by(struct session *s, const char *repo, const struct digest *digest, tree_use_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = repo, .digest = *digest };

	return CALL_TAKING(use, CALL_USED_BY, &a, fn, arg, err);
}

int session_image_rm(struct session *s, const char *repo, const struct digest *digest, struct err *err)
{
	const struct call_names a = { .name = repo, .digest = *digest };

	return change(s, CALL_IMAGE_RM, &a, err);
}

/* ---- Hooks ---- */

int session_hook_list(struct session *s, const char *pattern, session_hook_fn *fn, void *arg, struct err *err)
{
	const struct call_hook a = { .pattern = pattern };

	return CALL_TAKING(hook, CALL_HOOK_LIST, &a, fn, arg, err);
}

int session_hook_show(struct session *s, const char *pattern, const char *name, session_hook_fn *fn, void *arg, struct err *err)
{
	const struct call_hook a = { .pattern = pattern, .name = name };

	return CALL_TAKING(hook, CALL_HOOK_SHOW, &a, fn, arg, err);
}

int session_hook_change(struct session *s, enum call_id what, const struct call_hook *args, struct err *err)
{
	return change(s, what, args, err);
}

int session_hook_test(struct session *s, const char *pattern, const char *name, bool dry_run, int64_t *event, struct err *err)
{
	const struct call_hook a = { .pattern = pattern, .name = name, .dry_run = dry_run };
	struct call_number row = { 0 };
	int r = one(s, CALL_HOOK_TEST, &a, &row, sizeof(row), err);

	*event = row.number;
	return r;
}

int session_hook_log(struct session *s, const struct call_hook *args, tree_hook_delivery_fn *fn, void *arg, struct err *err)
{
	return CALL_TAKING(delivery, CALL_HOOK_LOG, args, fn, arg, err);
}

int session_hook_attempts(struct session *s, const struct call_hook *args, session_attempt_fn *fn, void *arg, struct err *err)
{
	return CALL_TAKING(attempt, CALL_HOOK_ATTEMPTS, args, fn, arg, err);
}

/* ---- People ---- */

int session_person_list(struct session *s, enum principal_kind kind, session_person_fn *fn, void *arg, struct err *err)
{
	const struct call_person a = { .kind = kind };

	return CALL_TAKING(person, CALL_PERSON_LIST, &a, fn, arg, err);
}

int session_person_show(struct session *s, const char *name, session_person_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = name };

	return CALL_TAKING(person, CALL_PERSON_SHOW, &a, fn, arg, err);
}

int session_person_add(struct session *s, const char *name, const struct tree_person_change *c, struct err *err)
{
	const struct call_person a = { .name = name, .change = *c };

	return change(s, CALL_PERSON_ADD, &a, err);
}

int session_person_set(struct session *s, const char *name, const struct tree_person_change *c, struct err *err)
{
	const struct call_person a = { .name = name, .change = *c };

	return change(s, CALL_PERSON_SET, &a, err);
}

int session_person_rm(struct session *s, const char *name, struct err *err)
{
	const struct call_names a = { .name = name };

	return change(s, CALL_PERSON_RM, &a, err);
}

int session_member_add(struct session *s, const char *group, const char *name, struct err *err)
{
	const struct call_names a = { .name = group, .reference = name };

	return change(s, CALL_MEMBER_ADD, &a, err);
}

int session_member_rm(struct session *s, const char *group, const char *name, struct err *err)
{
	const struct call_names a = { .name = group, .reference = name };

	return change(s, CALL_MEMBER_RM, &a, err);
}

/* ---- Tokens ---- */

int session_token_list(struct session *s, const char *owner, tree_token_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = owner };

	return CALL_TAKING(token, CALL_TOKEN_LIST, &a, fn, arg, err);
}

static int keep_secret(void *arg, const void *row)
{
	const struct call_secret *s = row;

	snprintf(arg, SECRET_TEXT_MAX + 1, "%s", s->text);
	return 0;
}

int session_token_add(struct session *s, const char *owner, const char *name, const char *scopes, int64_t expires,
		      char secret[static SECRET_TEXT_MAX + 1], struct err *err)
{
	const struct call_token a = { .owner = owner, .name = name, .scopes = scopes, .expires = expires };

	*secret = '\0';
	return session_call(s, CALL_TOKEN_ADD, &a, keep_secret, secret, err);
}

int session_token_rm(struct session *s, const char *owner, const char *name, struct err *err)
{
	const struct call_names a = { .name = owner, .reference = name };

	return change(s, CALL_TOKEN_RM, &a, err);
}

/* ---- Events ---- */

struct take_events {
	event_row_fn *fn;
	void *arg;
	int64_t given, last;
	bool end, more;
};

static int take_event(void *arg, const void *row)
{
	struct take_events *t = arg;
	const struct call_event *event = row;
	struct event_row own = event->row;

	if (event->end) {
		t->end = true;
		t->last = own.number;
		t->more = event->more;
		return 0;
	}
	t->given++;
	own.event.digest = own.digest.algorithm == DIGEST_NONE ? NULL : &own.digest;
	return t->fn(t->arg, &own);
}

/* At the store: waits until there may be more. */
static int wait_for_events(struct session *s, int64_t seconds, int reader, struct err *err)
{
	struct pollfd on[] = { { .fd = s->events, .events = POLLIN }, { .fd = reader } };
	int n = poll(on, ARRAY_SIZE(on), (int)MIN(seconds, INT64_C(86400)) * 1000);

	return n < 0 && errno != EINTR ? err_sys(err, errno, "cannot wait for events") : 0;
}

int session_events(struct session *s, const struct call_events *args, int reader, event_row_fn *fn, void *arg, int64_t *last,
		   bool *more, struct err *err)
{
	struct take_events t = { .fn = fn, .arg = arg };
	int r = s->tree && !s->listens ? tree_events_open(s->tree, &s->events, err) : 0;

	if (r)
		return r;
	s->listens = s->tree != NULL;
	if (s->listens)
		tree_events_seen(s->events);
	r = session_call(s, CALL_EVENTS, args, take_event, &t, err);
	if (!r && !t.end)
		r = err_set(err, ERR_CORRUPT, "the answer to %s has no end", call_at(CALL_EVENTS)->name);
	if (!r && s->tree && !t.given && !t.more && args->wait)
		r = wait_for_events(s, args->wait, reader, err);
	*last = t.last;
	*more = t.more;
	return r;
}

/* ---- Grants ---- */

int session_grant_show(struct session *s, const char *who, const char *pattern, struct err *err)
{
	const struct call_names a = { .name = who, .reference = pattern };

	return change(s, CALL_GRANT_SHOW, &a, err);
}

int session_grant_set(struct session *s, const char *who, const char *pattern, unsigned actions, struct err *err)
{
	const struct call_names a = { .name = who, .reference = pattern, .actions = actions };

	return change(s, CALL_GRANT_SET, &a, err);
}

int session_grant_rm(struct session *s, const char *who, const char *pattern, struct err *err)
{
	const struct call_names a = { .name = who, .reference = pattern };

	return change(s, CALL_GRANT_RM, &a, err);
}

int session_grant_policy(struct session *s, const char *who, const char *data, size_t len, const char *origin, bool dry_run,
			 struct err *err)
{
	const struct call_policy a = { .who = who, .policy = data, .origin = origin, .dry_run = dry_run };

	if (memchr(data, '\0', len))
		return err_set(err, ERR_ARGUMENT, "a policy holds no NUL");
	return change(s, CALL_GRANT_POLICY, &a, err);
}

int session_access(struct session *s, const char *repo, const char *who, tree_access_fn *fn, void *arg, struct err *err)
{
	const struct call_names a = { .name = repo, .reference = who };

	return CALL_TAKING(access, CALL_ACCESS, &a, fn, arg, err);
}
