/*
 * call.h: the operations as data: what a program that isn't at the store asks for over HTTP.
 *
 * A call has a name, what it is asked with, and the rows of its answer; both are structures of which a table says how they stand
 * in JSON (record.h). Whoever is at the store runs it; the HTTP front reads what it is asked with, runs it with the credential of
 * who asks, and writes the rows; the command writes what it asks with, and reads the rows. Rows have the members that regfs(1) has in
 * its --json documents.
 *
 * A call is one or a few operations, which ask for permission: there is no rule here.
 */
#ifndef REGFS_CALL_H
#define REGFS_CALL_H

#include "fs/base/record.h"
#include "fs/tree/events.h"
#include "fs/tree/grants.h"
#include "fs/tree/history.h"
#include "fs/tree/hooks.h"
#include "fs/tree/undo.h"
#include "fs/tree/people.h"
#include "fs/tree/prune.h"
#include "fs/tree/rootfs.h"
#include "fs/tree/quota.h"
#include "fs/tree/settings.h"

enum call_id {
	CALL_ME,
	CALL_MAY,
	CALL_STATUS,
	CALL_REPO_LIST,
	CALL_REPO_SHOW,
	CALL_REPO_ADD,
	CALL_REPO_SET,
	CALL_REPO_RM,
	CALL_NAMESPACE_SHOW,
	CALL_NAMESPACE_SET,
	CALL_SETTING_SHOW,
	CALL_SETTING_SET,
	CALL_QUOTA_LIST,
	CALL_TAG_LIST,
	CALL_TAG_ADD,
	CALL_TAG_RM,
	CALL_TAG_SET,
	CALL_PRUNE,
	CALL_HISTORY,
	CALL_ROLLBACK,
	CALL_UNDO_LIST,
	CALL_UNDO,
	CALL_UNDO_PURGE,
	CALL_IMAGE_LIST,
	CALL_IMAGE_SHOW,
	CALL_IMAGE_CHILDREN,
	CALL_IMAGE_LAYERS,
	CALL_IMAGE_INDEX,
	CALL_IMAGE_RM,
	CALL_LAYER_CONTENTS,
	CALL_USED_BY,
	CALL_PERSON_LIST,
	CALL_PERSON_SHOW,
	CALL_PERSON_ADD,
	CALL_PERSON_SET,
	CALL_PERSON_RM,
	CALL_MEMBER_ADD,
	CALL_MEMBER_RM,
	CALL_TOKEN_LIST,
	CALL_TOKEN_ADD,
	CALL_TOKEN_RM,
	CALL_GRANT_SHOW,
	CALL_GRANT_SET,
	CALL_GRANT_RM,
	CALL_GRANT_POLICY,
	CALL_ACCESS,
	CALL_EVENTS,
	CALL_HOOK_LIST,
	CALL_HOOK_SHOW,
	CALL_HOOK_ADD,
	CALL_HOOK_SET,
	CALL_HOOK_RM,
	CALL_HOOK_TEST,
	CALL_HOOK_LOG,
	CALL_HOOK_ATTEMPTS,
	CALL_HOOK_RETRY,
	CALL_ROOTFS_FIND,
	CALL_ROOTFS_WALK,
	CALL_ROOTFS_SHOW,
	CALL_ROOTFS_LIST,
	CALL_ROOTFS_XATTRS,
	CALL_ROOTFS_DATA,
	CALL_ROOTFS_READ,
	CALL_COUNT
};

/* ---- What calls are asked with. What isn't said is NULL, 0, DIGEST_NONE ---- */

/* Names: a repository's or a principal's, and something of it. */
struct call_names {
	const char *name;
	const char *reference;		/* a tag or a digest; a member; a token; a pattern */
	struct digest digest;
	unsigned actions;
	bool dry_run;
};

/* A page of a list. */
struct call_page {
	const char *name;
	const char *last;
	int64_t n;
};

struct call_settings {
	const char *name;
	enum setting public;
	enum setting push_creates;
};

/* A setting that is a text (settings.h). */
struct call_setting {
	struct settings_of of;
	const char *key, *value;
	bool dry_run;
};

/* When a tag goes; or (`text` NULL) a repository to be pruned, or all. */
struct call_end {
	const char *name, *tag, *text;
	bool dry_run;
};

struct call_rollback {
	const char *name, *tag;
	int64_t to;
	bool dry_run;
};

struct call_history {
	const char *name;
	const char *tag;		/* or NULL */
	const char *after_tag;		/* of the last entry that the page before had, or NULL */
	int64_t after;
	int64_t n;
};

struct call_undo {
	const char *name;		/* a repository, or NULL */
	const char *by;
	int64_t since;
	int64_t id;			/* of one removal; of a list: of the last one that the page before had */
	int64_t n;
};

struct call_person {
	const char *name;
	enum principal_kind kind;
	struct tree_person_change change;
};

struct call_token {
	const char *owner, *name, *scopes;
	int64_t expires;
};

/* As tree_events(). */
struct call_events {
	int64_t after, n;
	struct tree_events_filter filter;
	int64_t wait;			/* over HTTP: seconds for which the answer may wait for the first one */
};

/* A hook (without a pattern: all hooks), and what is to become of it, or which of its deliveries is meant. */
struct call_hook {
	const char *pattern, *name;
	struct tree_hook_change change;
	int64_t id;			/* a delivery's; of a log: those of events before that one (0: all) */
	int64_t n;			/* so many at most */
	bool dry_run;
};

struct call_policy {
	const char *who, *policy, *origin;
	bool dry_run;
};

struct call_find {
	const char *name, *reference;
	const char *platform;		/* NULL: that of the machine that asks, */
	const char *machine;		/* which is this */
};

struct call_node {
	uint64_t node;
	const char *path;
	bool follow;
	int64_t offset, length;		/* of a file's bytes; of a directory: a cookie */
	uint64_t cookie;
	const char *more;		/* of other files, whose bytes shall follow, whole: "1a,1b"; or NULL */
};

/* ---- Rows that aren't already structures of an operation ---- */

struct call_me {
	const char *name;		/* as cred.h has it */
	const char *version;
};

struct call_tag {
	const char *tag;
	int64_t expires;		/* when it goes; 0: never */
	struct tree_image_info image;
};

struct call_event {
	struct event_row row;
	bool end, more;			/* the last row is none: its number is how far was looked, and whether there is more */
};

struct call_time {
	int64_t at;			/* 0: never */
};

struct call_value {
	const char *value;
};

struct call_listed_person {
	struct tree_person person;
	const char *groups;		/* that it is in, or a group's members; by commas */
};

struct call_secret {
	char secret[SECRET_TEXT_MAX + 1];
	const char *text;
};

/* A hook: what is secret of it isn't there. */
struct call_listed_hook {
	struct hook_row row;
	bool secret, old_secret;	/* it has one */
};

/* An attempt at a delivery, and what that is now. */
struct call_attempt {
	struct delivery_row delivery;
	struct attempt_row row;
	bool none;			/* there is none yet */
};

struct call_number {
	int64_t number;
};

struct call_xattr {
	const char *name;
	struct record_blob value;
};

/* A node inside an image, with all that can be said of it in a few bytes. */
struct call_entry {
	const char *name;		/* in its directory; "" where it wasn't listed */
	uint64_t node, source;		/* of two with the same source rootfs_same() says that they are the same */
	uint64_t next;			/* the cookie behind it */
	int64_t mode, links, size, mtime, uid, gid, rdev;
	bool sparse;			/* a file that isn't one run of bytes: see CALL_ROOTFS_DATA */
	bool xattrs;			/* it has some: see CALL_ROOTFS_XATTRS */
	const char *target;		/* a link's; else NULL */
};
void call_entry_attr(const struct call_entry *entry, struct node_attr *out);

struct call_run {
	int64_t start, end;
};

/* A row lives until the callback returns; a non-zero answer ends the answer, and becomes its result if negative. */
typedef int call_row_fn(void *arg, const void *row);

#define CALL_RECORD_MAX 512	/* bytes of any of the structures */
#define CALL_READ_MAX (4 * 1024 * 1024)	/* bytes of files that one call gives */
#define CALL_READ_FILES 256		/* at most so many more */

struct call {
	const char *name;			/* "repo-list" */
	const struct record_field *args;
	const struct record_field *row;		/* NULL: there are none */
	bool changes;
	/* NULL: CALL_ROOTFS_READ, whose answer is bytes and no rows: call_read(). */
	int (*run)(struct tree *tree, const struct cred *cred, const void *args, call_row_fn *fn, void *arg, struct err *err);
};

const struct call *call_at(enum call_id id);
const struct call *call_find(const char *name);	/* or NULL */

/*
 * Bytes of a file inside an image, at most CALL_READ_MAX of them, fewer at its end; behind them all bytes of the others that were
 * named, up to the first that can't be read or has no room left: who knows their sizes knows which are there.
 */
int call_read(struct tree *tree, const struct cred *cred, const struct call_node *args, struct buf *out,
	      struct err *err) MUST_CHECK;

/* ---- On the way: JSON, which is untrusted at both ends ---- */

#define CALL_PATH "/v2/_regfs/v1/"	/* before a call's name */

/* What it is asked with. `json` (to be freed) and `memory` must live as long as the structure is used; it has CALL_RECORD_MAX bytes,
 * all zero. */
int call_read_args(const struct call *call, const char *data, size_t len, struct json **json, struct buf *memory, void *args,
		   struct err *err) MUST_CHECK;
/* The rows of an answer, an object a line. ERR_CORRUPT: what isn't one, or (of a directory) what has a name that none can have. */
int call_read_rows(const struct call *call, const char *data, size_t len, call_row_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* Sets the reason and the text of an answer that is a refusal; returns its negative errno. */
int call_read_refusal(int status, const char *data, size_t len, struct err *err) MUST_CHECK;
/* Appends the detail of a refusal, which names the reason. */
void call_add_refusal(struct buf *out, const struct err *err);

#endif
