/*
 * session.h: a store or a server, and who works there: what the commands act on.
 *
 * At the store (--store) an operation of the tree is called, as the administrator; at a server (--server) it is asked for by
 * a call (fs/tree/call.h) over HTTP, with the rights of who is logged in. The functions are those of tree.h, people.h, grants.h and rootfs.h
 * without the credential, with the same rows and the same errors: a command doesn't know which of the two it is.
 *
 * One thread at a time. Rows may be asked about from within their callback.
 */
#ifndef REGFS_SESSION_H
#define REGFS_SESSION_H

#include "fs/tree/call.h"
#include "tools/command.h"

struct session;

/*
 * By --store or --server; else by $REGFS_STORE or $REGFS_SERVER; else where `regfs login` logged in last; else the store
 * in its usual place. ERR_USAGE: both are named.
 */
int session_open(const struct store_options *options, struct session **out, struct err *err) MUST_CHECK;
/* At that server, as that user or (NULL) nobody, whatever is kept. */
int session_open_server(const char *url, const char *ca_file, const char *user, const char *password, struct session **out,
			struct err *err) MUST_CHECK;
void session_close(struct session *s);
DEFINE_CLEANUP(cleanup_session, struct session *, session_close)
#define auto_session CLEANUP(cleanup_session)

/* "store" and its directory, or "server" and its URL. */
const char *session_place(const struct session *s, const char **value);

/* ---- The registry ---- */

typedef int session_me_fn(void *arg, const struct call_me *me);
int session_me(struct session *s, session_me_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* For dry runs: as tree_may(). */
int session_may(struct session *s, const char *repo, unsigned actions, struct err *err) MUST_CHECK;
int session_stats(struct session *s, struct tree_stats *out, struct err *err) MUST_CHECK;

/* ---- Repositories, namespaces ---- */

int session_repo_list(struct session *s, tree_repo_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_repo_show(struct session *s, const char *name, tree_repo_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_repo_add(struct session *s, const char *name, enum setting public, struct err *err) MUST_CHECK;
int session_repo_set(struct session *s, const char *name, bool public, struct err *err) MUST_CHECK;
int session_repo_rm(struct session *s, const char *name, struct err *err) MUST_CHECK;
int session_namespace_show(struct session *s, const char *name, struct tree_namespace *out, struct err *err) MUST_CHECK;
int session_namespace_set(struct session *s, const char *name, const struct tree_namespace *ns, struct err *err) MUST_CHECK;
/* As tree_setting_get() and _set(). */
int session_setting_show(struct session *s, struct settings_of of, const char *key, struct buf *out, struct err *err) MUST_CHECK;
int session_quota_list(struct session *s, struct settings_of of, tree_quota_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_setting_set(struct session *s, struct settings_of of, const char *key, const char *value, bool check_only,
			struct err *err) MUST_CHECK;

/* ---- What was removed ---- */

int session_undo_list(struct session *s, const char *repo, int64_t since, const char *by, tree_removal_fn *fn, void *arg,
		      struct err *err) MUST_CHECK;
int session_undo(struct session *s, int64_t id, struct err *err) MUST_CHECK;
int session_undo_purge(struct session *s, int64_t id, struct err *err) MUST_CHECK;

/* ---- Tags, images ---- */

typedef int session_tag_fn(void *arg, const struct call_tag *tag);
int session_tag_list(struct session *s, const char *repo, session_tag_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_tag_set(struct session *s, const char *repo, const char *tag, const struct digest *digest, struct err *err) MUST_CHECK;
/* For dry runs. */
int session_tag_may_set(struct session *s, const char *repo, const char *tag, const struct digest *digest, struct err *err) MUST_CHECK;
int session_tag_rm(struct session *s, const char *repo, const char *tag, struct err *err) MUST_CHECK;
/* As tree_tag_set_end() and tree_prune(). */
int session_tag_set_end(struct session *s, const char *repo, const char *tag, const char *text, bool dry_run, int64_t *end,
			struct err *err) MUST_CHECK;
int session_prune(struct session *s, const char *repo, bool dry_run, tree_pruned_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_history_list(struct session *s, const char *repo, const char *tag, tree_history_fn *fn, void *arg,
			 struct err *err) MUST_CHECK;
int session_rollback(struct session *s, const char *repo, const char *tag, int64_t to, bool dry_run, struct tree_rollback *out,
		     struct err *err) MUST_CHECK;
int session_image_list(struct session *s, const char *repo, tree_image_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_image_show(struct session *s, const char *repo, const char *reference, tree_image_fn *fn, void *arg,
		       struct err *err) MUST_CHECK;
int session_image_children(struct session *s, const char *repo, const struct digest *index, tree_image_fn *fn, void *arg,
			   struct err *err) MUST_CHECK;
int session_image_layers(struct session *s, const char *repo, const char *reference, tree_layer_fn *fn, void *arg,
			 struct err *err) MUST_CHECK;
int session_layers_prepare(struct session *s, const char *repo, const char *reference, struct err *err) MUST_CHECK;
int session_layer_contents(struct session *s, const char *repo, const struct digest *layer, struct tree_contents *out,
			   struct err *err) MUST_CHECK;
int session_used_by(struct session *s, const char *repo, const struct digest *digest, tree_use_fn *fn, void *arg,
		    struct err *err) MUST_CHECK;
int session_image_rm(struct session *s, const char *repo, const struct digest *digest, struct err *err) MUST_CHECK;

/* ---- Events ---- */

/* As tree_events(). Where there are none yet, waits until there may be one, `wait` seconds at most (0: not); of a server it is
 * given, at the store the caller asks again. There the wait also ends when nobody reads from `reader` any more. */
int session_events(struct session *s, const struct call_events *args, int reader, event_row_fn *fn, void *arg, int64_t *last, bool *more,
		   struct err *err) MUST_CHECK;

/* ---- Hooks: as tree_hook_*() ---- */

typedef int session_hook_fn(void *arg, const struct call_listed_hook *hook);
int session_hook_list(struct session *s, const char *pattern, session_hook_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_hook_show(struct session *s, const char *pattern, const char *name, session_hook_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* `what` is CALL_HOOK_ADD, _SET, _RM or _RETRY. */
int session_hook_change(struct session *s, enum call_id what, const struct call_hook *args, struct err *err) MUST_CHECK;
int session_hook_test(struct session *s, const char *pattern, const char *name, bool dry_run, int64_t *event, struct err *err) MUST_CHECK;
int session_hook_log(struct session *s, const struct call_hook *args, tree_hook_delivery_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* At least one row, of none. */
typedef int session_attempt_fn(void *arg, const struct call_attempt *attempt);
int session_hook_attempts(struct session *s, const struct call_hook *args, session_attempt_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- People, tokens, grants ---- */

typedef int session_person_fn(void *arg, const struct call_listed_person *person);
int session_person_list(struct session *s, enum principal_kind kind, session_person_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* fn NULL: only whether there is one. */
int session_person_show(struct session *s, const char *name, session_person_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_person_add(struct session *s, const char *name, const struct tree_person_change *change, struct err *err) MUST_CHECK;
int session_person_set(struct session *s, const char *name, const struct tree_person_change *change, struct err *err) MUST_CHECK;
int session_person_rm(struct session *s, const char *name, struct err *err) MUST_CHECK;
int session_member_add(struct session *s, const char *group, const char *name, struct err *err) MUST_CHECK;
int session_member_rm(struct session *s, const char *group, const char *name, struct err *err) MUST_CHECK;
int session_token_list(struct session *s, const char *owner, tree_token_fn *fn, void *arg, struct err *err) MUST_CHECK;
int session_token_add(struct session *s, const char *owner, const char *name, const char *scopes, int64_t expires,
		      char secret[static SECRET_TEXT_MAX + 1], struct err *err) MUST_CHECK;
int session_token_rm(struct session *s, const char *owner, const char *name, struct err *err) MUST_CHECK;
/* Whether there is one. */
int session_grant_show(struct session *s, const char *who, const char *pattern, struct err *err) MUST_CHECK;
int session_grant_set(struct session *s, const char *who, const char *pattern, unsigned actions, struct err *err) MUST_CHECK;
int session_grant_rm(struct session *s, const char *who, const char *pattern, struct err *err) MUST_CHECK;
int session_grant_policy(struct session *s, const char *who, const char *data, size_t len, const char *origin, bool dry_run,
			 struct err *err) MUST_CHECK;
int session_access(struct session *s, const char *repo, const char *who, tree_access_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- Inside images ---- */

int session_find(struct session *s, const char *repo, const char *reference, const char *platform, struct rootfs *out,
		 struct err *err) MUST_CHECK;
int session_walk(struct session *s, uint64_t root, const char *path, bool follow, struct node_attr *out,
		 struct err *err) MUST_CHECK;
int session_readlink(struct session *s, uint64_t link, struct buf *out, struct err *err) MUST_CHECK;
int session_listxattr(struct session *s, uint64_t node, struct buf *out, struct err *err) MUST_CHECK;
int session_getxattr(struct session *s, uint64_t node, const char *name, struct buf *out, struct err *err) MUST_CHECK;
/* The content lives no longer than the session. */
int session_open_file(struct session *s, uint64_t file, struct content **out, struct err *err) MUST_CHECK;
int session_same(struct session *s, uint64_t a, uint64_t b, struct err *err) MUST_CHECK;
int session_data(struct session *s, uint64_t file, int64_t offset, int64_t *start, int64_t *end, struct err *err) MUST_CHECK;

struct session_dir;
int session_dir_open(struct session *s, uint64_t directory, struct session_dir **out, struct err *err) MUST_CHECK;
int session_dir_next(struct session_dir *d, const char **name, const struct node_attr **attr, struct err *err) MUST_CHECK;
void session_dir_close(struct session_dir *d);
DEFINE_CLEANUP(cleanup_session_dir, struct session_dir *, session_dir_close)
#define auto_session_dir CLEANUP(cleanup_session_dir)

/* ---- For session_inside.c ---- */

struct known;	/* what was learnt of nodes over HTTP */

struct session {
	struct tree *tree;	/* NULL: a server */
	struct cred cred;
	struct remote *remote;
	char *url;
	struct known *known;
	unsigned open_dirs;
	bool listens;
	int events;	/* where it listens: tree_events_open() */
};
int session_call(struct session *s, enum call_id id, const void *args, call_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
void known_free(struct known *k);

#endif
