/*
 * call_hooks.c: calls for hooks and their deliveries; see call.h.
 */
#include "fs/base/base.h"
#include "fs/tree/call_run.h"

/* ---- Members in JSON ---- */

static const char *const settings[] = { [SETTING_NO] = "no", [SETTING_YES] = "yes", [SETTING_INHERIT] = "inherit" };
static const char *const states[] = { [DELIVERY_WAITING] = "waiting", [DELIVERY_DONE] = "done", [DELIVERY_FAILED] = "failed",
				      [DELIVERY_UNTRIGGERED] = "untriggered" };

#define HOOK(member, name, kind, ...) FIELD(struct call_hook, member, name, kind, __VA_ARGS__)
#define WHICH HOOK(pattern, "repository", RECORD_TEXT, NEEDED), HOOK(name, "name", RECORD_TEXT, NEEDED)
const struct record_field hook_args[] = { WHICH, HOOK(dry_run, "dry-run", RECORD_BOOL), { 0 } };
const struct record_field hook_list_args[] = { HOOK(pattern, "repository", RECORD_TEXT), { 0 } };
const struct record_field hook_change_args[] = {
	WHICH,
	HOOK(change.kinds, "on", RECORD_TEXT),
	HOOK(change.tags, "tags", RECORD_TEXT),
	HOOK(change.url, "url", RECORD_TEXT),
	HOOK(change.program, "program", RECORD_TEXT),
	HOOK(change.format, "format", RECORD_TEXT),
	HOOK(change.headers, "headers", RECORD_BYTES),
	HOOK(change.ca, "ca", RECORD_BYTES),
	HOOK(change.secret, "secret", RECORD_BYTES),
	HOOK(change.drop_old_secret, "drop-old-secret", RECORD_BOOL),
	HOOK(change.parallel, "parallel", RECORD_WORD, NEEDED, WORDS(settings)),
	HOOK(change.paused, "paused", RECORD_WORD, NEEDED, WORDS(settings)),
	HOOK(dry_run, "dry-run", RECORD_BOOL),
	{ 0 },
};
const struct record_field hook_log_args[] = {
	WHICH, HOOK(id, "before", RECORD_NUMBER), HOOK(n, "n", RECORD_NUMBER, NEEDED), { 0 },
};
const struct record_field hook_delivery_args[] = {
	WHICH, HOOK(id, "delivery", RECORD_NUMBER, NEEDED), HOOK(dry_run, "dry-run", RECORD_BOOL), { 0 },
};

#define LISTED(member, name, kind, ...) FIELD(struct call_listed_hook, member, name, kind, __VA_ARGS__)
const struct record_field hook_fields[] = {
	LISTED(row.pattern, "repository", RECORD_TEXT, NEEDED),
	LISTED(row.name, "name", RECORD_TEXT, NEEDED),
	LISTED(row.kinds, "on", RECORD_TEXT, NEEDED),
	LISTED(row.tags, "tags", RECORD_TEXT, NEEDED),
	LISTED(row.url, "url", RECORD_TEXT, NEEDED),
	LISTED(row.program, "program", RECORD_TEXT, NEEDED),
	LISTED(row.format, "format", RECORD_TEXT, NEEDED),
	LISTED(row.headers, "headers", RECORD_BYTES, NEEDED),
	LISTED(row.ca, "ca", RECORD_BYTES, NEEDED),
	LISTED(secret, "secret", RECORD_BOOL),
	LISTED(old_secret, "old-secret", RECORD_BOOL),
	LISTED(row.parallel, "parallel", RECORD_BOOL),
	LISTED(row.paused, "paused", RECORD_BOOL),
	LISTED(row.disabled, "disabled", RECORD_BYTES, NEEDED),
	LISTED(row.created, "created", RECORD_TIME),
	LISTED(row.changed, "changed", RECORD_TIME),
	LISTED(row.who, "who", RECORD_BYTES, NEEDED),
	{ 0 },
};

#define DELIVERY(type, member)                                                                                               \
	FIELD(type, member.id, "delivery", RECORD_NUMBER, NEEDED), FIELD(type, member.event, "event", RECORD_NUMBER, NEEDED), \
	FIELD(type, member.number, "sequence", RECORD_NUMBER),                                                                \
	FIELD(type, member.state, "state", RECORD_WORD, NEEDED, WORDS(states)),                                               \
	FIELD(type, member.attempts, "attempts", RECORD_NUMBER), FIELD(type, member.due, "due-ns", RECORD_NUMBER),            \
	FIELD(type, member.at, "at-ns", RECORD_NUMBER)
#define LOGGED(member, name, kind, ...) FIELD(struct tree_hook_delivery, member, name, kind, __VA_ARGS__)
const struct record_field delivery_fields[] = {
	DELIVERY(struct tree_hook_delivery, row), LOGGED(kind, "kind", RECORD_TEXT, NEEDED),
	LOGGED(repository, "repository", RECORD_TEXT, NEEDED), LOGGED(tag, "tag", RECORD_TEXT, NEEDED),
	LOGGED(status, "status", RECORD_INT), LOGGED(latency, "latency-ns", RECORD_NUMBER), LOGGED(why, "why", RECORD_BYTES, NEEDED), { 0 },
};

#define ATTEMPT(member, name, kind, ...) FIELD(struct call_attempt, member, name, kind, __VA_ARGS__)
const struct record_field attempt_fields[] = {
	DELIVERY(struct call_attempt, delivery), ATTEMPT(row.id, "attempt", RECORD_NUMBER, NEEDED),
	ATTEMPT(row.at, "attempt-at-ns", RECORD_NUMBER), ATTEMPT(row.latency, "latency-ns", RECORD_NUMBER),
	ATTEMPT(row.status, "status", RECORD_INT), ATTEMPT(row.why, "why", RECORD_BYTES, NEEDED),
	ATTEMPT(row.request, "request", RECORD_BYTES, NEEDED), ATTEMPT(row.response, "response", RECORD_BYTES, NEEDED),
	ATTEMPT(none, "none", RECORD_BOOL), { 0 },
};
const struct record_field hook_event_row[] = { FIELD(struct call_number, number, "event", RECORD_NUMBER, NEEDED), { 0 } };

/* ---- Hooks ---- */

static int give_hook(void *arg, const struct hook_row *row)
{
	return give(arg, &(struct call_listed_hook){ .row = *row, .secret = *row->secret, .old_secret = *row->old_secret });
}

RUN(hook_list)
{
	struct answer a = ANSWER;

	return tree_hook_list(tree, cred, ((const struct call_hook *)args)->pattern, give_hook, &a, err);
}

RUN(hook_show)
{
	struct answer a = ANSWER;
	const struct call_hook *h = args;

	return tree_hook_show(tree, cred, h->pattern, h->name, give_hook, &a, err);
}

RUN(hook_add)
{
	const struct call_hook *h = args;

	return tree_hook_add(tree, cred, h->pattern, h->name, &h->change, h->dry_run, err);
}

RUN(hook_set)
{
	const struct call_hook *h = args;

	return tree_hook_set(tree, cred, h->pattern, h->name, &h->change, h->dry_run, err);
}

RUN(hook_rm)
{
	const struct call_hook *h = args;

	return tree_hook_rm(tree, cred, h->pattern, h->name, h->dry_run, err);
}

RUN(hook_test)
{
	const struct call_hook *h = args;
	struct call_number row = { 0 };
	int r = tree_hook_test(tree, cred, h->pattern, h->name, h->dry_run, &row.number, err);

	return r ? r : fn(arg, &row);
}

/* ---- Deliveries ---- */

GIVES(delivery, struct tree_hook_delivery)

RUN(hook_log)
{
	struct answer a = ANSWER;
	const struct call_hook *h = args;

	if (h->n < 1 || h->id < 0)
		return err_set(err, ERR_ARGUMENT, "n is a number of deliveries from 1 on, and before one of an event");
	return tree_hook_log(tree, cred, h->pattern, h->name, h->id, MIN(h->n, (int64_t)LIMIT_EVENTS), give_delivery, &a, err);
}

struct attempts {
	struct answer *answer;
	struct call_attempt row;
	bool any;
};

static int give_attempt(void *arg, const struct attempt_row *row)
{
	struct attempts *t = arg;

	t->any = true;
	t->row.row = *row;
	return give(t->answer, &t->row);
}

RUN(hook_attempts)
{
	struct answer a = ANSWER;
	const struct call_hook *h = args;
	struct attempts t = { .answer = &a };
	int r = tree_hook_attempts(tree, cred, h->pattern, h->name, h->id, &t.row.delivery, give_attempt, &t, err);

	if (r || t.any)
		return r;
	t.row.none = true;
	t.row.row = (struct attempt_row){ .why = "", .request = "", .response = "" };
	return give(&a, &t.row);
}

RUN(hook_retry)
{
	const struct call_hook *h = args;

	return tree_hook_retry(tree, cred, h->pattern, h->name, h->id, h->dry_run, err);
}
