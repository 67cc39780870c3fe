/*
 * hooks.h: who is told when something happens: subscriptions, and what became of what they were told.
 *
 * A hook is about the repositories that a pattern matches (fs/auth/pattern.h). It is told of events of some kinds whose tags match
 * its rules, from when it was made on: its URL is posted to, or a program runs. Who may administer all that the pattern
 * matches makes, sees and removes it; programs only who administers the registry. Its secret is shown to nobody.
 *
 * Each event that it is told of is a delivery, kept for 30 days with each attempt: see deliveries.h and fs/hook/.
 */
#ifndef REGFS_TREE_HOOKS_H
#define REGFS_TREE_HOOKS_H

#include "fs/meta/delivery.h"
#include "fs/meta/hook.h"
#include "fs/meta/namespace.h"
#include "fs/tree/tree.h"

/*
 * What a body may look like, the first one where nothing is said: its name, the function in fs/hook/payload.c that makes it (make_...()),
 * and the events that it can tell of, by commas. Another one is a row here and that function.
 */
#define HOOK_FORMATS(FORMAT)                                                                         \
	FORMAT("regfs", own, HOOK_ANY)                                                               \
	FORMAT("cloudevents", structured, HOOK_ANY)                                                  \
	FORMAT("cloudevents-binary", binary, HOOK_ANY)                                               \
	FORMAT("acr", acr, "push,tag,rollback")                                                      \
	FORMAT("docker", docker, "push,tag,rollback,untag,delete,prune,expire,remove,pull")
#define HOOK_FORMAT "regfs"
/* Kinds of events that a hook is about where it doesn't say: those of event.c, but what is about hooks themselves. */
#define HOOK_KINDS "push"
/* In the place of a kind: all of them, but pulls, which are events only where a hook names them. */
#define HOOK_ANY "all"
bool hook_may_be_told(const char *kind);
bool hook_is_about(const char *kinds, const char *kind);

/* What is to become of a hook; NULL and SETTING_INHERIT: as it is, or as new ones are. */
struct tree_hook_change {
	const char *kinds;	/* of events, by commas: "push,untag", or HOOK_ANY */
	const char *tags;	/* rules (fs/auth/rule.h); "": any, and events about no tag */
	const char *url;	/* outbound.h, courier_url_check() */
	const char *program;	/* the name of an executable in the store's hooks.d/programs/ */
	const char *format;	/* one of HOOK_FORMATS, which can tell of all `kinds` */
	const char *headers;	/* "Name: value", a line each, and "Name:" with the value that it has; not those that deliveries have anyway */
	const char *ca;		/* PEM: whom to believe instead of the system's list; "": that */
	const char *secret;	/* to sign with; the one before goes on signing beside it; "": none */
	bool drop_old_secret;	/* that one no longer */
	bool needs_secret;	/* ERR_ARGUMENT where it has none */
	enum setting parallel;	/* deliveries of one repository needn't be in order */
	enum setting paused;	/* deliveries wait; SETTING_NO: they go on, also where it was disabled */
};
#define TREE_HOOK_AS_IT_IS { .parallel = SETTING_INHERIT, .paused = SETTING_INHERIT }
/* Nothing of what it was stays. */
#define TREE_HOOK_NEW                                                                                                       \
	{                                                                                                                    \
		.kinds = HOOK_KINDS, .tags = "", .url = "", .program = "", .format = HOOK_FORMAT, .headers = "", .ca = "", \
		.secret = "", .parallel = SETTING_NO, .paused = SETTING_NO                                                   \
	}

/* Durable. ERR_EXISTS; ERR_ARGUMENT. check_only: nothing is done. */
int tree_hook_add(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, bool check_only, struct err *err) MUST_CHECK;
/* Durable. ERR_NOT_FOUND; ERR_ARGUMENT. */
int tree_hook_set(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, bool check_only, struct err *err) MUST_CHECK;
/* Durable. Makes it, or changes it, whichever it takes. */
int tree_hook_put(struct tree *tree, const struct cred *cred, const char *pattern, const char *name,
		  const struct tree_hook_change *change, struct err *err) MUST_CHECK;
/* Durable; with what waits for it. ERR_NOT_FOUND. */
int tree_hook_rm(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, bool check_only,
		 struct err *err) MUST_CHECK;

/* The row's secrets are "*" where there is one, and "", and its headers have no values: "Name:". */
int tree_hook_show(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, hook_row_fn *fn, void *arg,
		   struct err *err) MUST_CHECK;
/* By name; pattern NULL: all that may be seen, by pattern. */
int tree_hook_list(struct tree *tree, const struct cred *cred, const char *pattern, hook_row_fn *fn, void *arg,
		   struct err *err) MUST_CHECK;

/*
 * The programs that stand in hooks.d/<kind>/ of the store: names such as "push/notify", a NUL behind each, `len` bytes. Each is a
 * hook of all repositories, told of the events of its kind behind `since` from when it is first seen here; one that is gone is none
 * any more. Costs a look where nothing is new. By the process that delivers.
 */
int tree_hook_programs(struct tree *tree, const char *names, size_t len, int64_t since, struct err *err) MUST_CHECK;

/* A delivery, with what it tells and how the last attempt went. Texts live until the callback returns. */
struct tree_hook_delivery {
	struct delivery_row row;
	const char *kind, *repository, *tag;	/* of the event; "" where it is gone */
	int status;
	int64_t latency;
	const char *why;
};
typedef int tree_hook_delivery_fn(void *arg, const struct tree_hook_delivery *delivery);
/* Deliveries of a hook, newest event first, those of events before `before` (0: all), at most `most`. */
int tree_hook_log(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t before, int64_t most,
		  tree_hook_delivery_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Every attempt of one delivery, oldest first; `delivery` gets its row. ERR_NOT_FOUND. */
int tree_hook_attempts(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t id,
		       struct delivery_row *delivery, attempt_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* A delivery that is over is made once more, whatever became of it. Durable. ERR_NOT_FOUND; ERR_BUSY: it waits anyway. */
int tree_hook_retry(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, int64_t id,
		    bool check_only, struct err *err) MUST_CHECK;
/* The hook, and it alone, is told of an event "hook-test"; *event becomes its number, or 0 if it is only checked. Durable. */
int tree_hook_test(struct tree *tree, const struct cred *cred, const char *pattern, const char *name, bool check_only,
		   int64_t *event, struct err *err) MUST_CHECK;

#endif
