/*
 * trail.h: what goes into the audit trail beside changes: logins, refusals, pulls; for the files of fs/tree/.
 *
 * A change writes its row in its own transaction (audit_change()). These have none, and come as often as clients like: they
 * are queued in memory and written by one thread, a batch a second at most. That is best effort: what was queued less than a
 * second before a crash is lost, and so is what doesn't fit, which is counted, and the count is a row.
 *
 * Events of what merely reads (pulls) go the same way.
 *
 * What is the same within a batch, but for the time, is one row, which says how often.
 */
#ifndef REGFS_TREE_TRAIL_H
#define REGFS_TREE_TRAIL_H

#include "fs/auth/action.h"
#include "fs/auth/cred.h"
#include "fs/meta/audit.h"
#include "fs/meta/meta.h"

struct tree;
struct trail;

/* What a row comes from: of each there is only so much, over time, so that nobody fills the disk with them. */
#define TRAIL_QUOTA "quota"	/* the reason of a row that has an event, too: "quota", about which setting */

enum trail_cause {
	TRAIL_STRANGER,	/* who isn't logged in */
	TRAIL_REFUSED,	/* who is, and may not, or fails */
	TRAIL_WANTED,	/* logins; pulls, where they are to be noted */
	TRAIL_CAUSES
};

int trail_new(struct meta *meta, struct trail **out, struct err *err) MUST_CHECK;
/* Writes what is queued, ends the thread. NULL is fine. */
void trail_free(struct trail *t);

/*
 * Queues a copy of the row; `action`, `kind` and `reason` are constants, other texts are cut to what an entry holds. Takes a
 * lock, for less than a microsecond, and waits for nothing.
 */
void trail_note(struct trail *t, const struct audit_row *row, enum trail_cause cause);
/* The same of an event (event.h), of which `who`, `origin`, `repository`, `tag`, `digest` and `kind` are the row's. What doesn't fit is
 * lost without a word: best effort. */
void trail_note_event(struct trail *t, const struct audit_row *row);
/* Waits until what was queued before is written, or lost. */
void trail_flush(struct trail *t);

/* ---- audit.c: what is noted ---- */

/* Fills in who asks, from where, and when. */
struct audit_row audit_row_of(const struct cred *cred, const char *action, enum audit_result result);
/* A change that was made; tag, digest, about may be NULL, and so may repo. In its write transaction. */
int audit_change(struct db *db, const struct cred *cred, const char *kind, const char *repo, const char *tag,
		 const struct digest *digest, const char *about, struct err *err) MUST_CHECK;
/* What is about to be changed; what doesn't apply is NULL. */
struct attempt {
	const struct cred *cred;
	const char *kind, *repo, *tag;
	const struct digest *digest;
	const char *about;
};
/* meta_write(), durable; what fails is noted. What succeeds writes its own row. */
int audit_write(struct tree *tree, const struct attempt *what, meta_write_fn *fn, void *arg, struct err *err) MUST_CHECK;
/* It failed with r, which is returned. */
int audit_failed(struct tree *tree, const struct attempt *what, int r, const struct err *err);
/* permit() said no. */
void audit_refused(struct tree *tree, const struct cred *cred, enum action action, const char *repo, const struct err *err);
/* Somebody looked for a repository in the mount that is there, but not for them. */
void audit_hidden(struct tree *tree, const struct cred *cred, const char *repo);
/* Somebody was recognized. */
void audit_login(struct tree *tree, const struct cred *cred);
/* Nobody was; name and password as they were tried (NULL: there were none), of which nothing that may be a secret is kept. */
void audit_login_refused(struct tree *tree, const char *name, const char *password, const char *from, enum reason reason);
/* An image (reference: as it was asked for), or a blob (NULL), was given out; only where pulls are noted. */
void audit_pull(struct tree *tree, const struct cred *cred, const char *repo, const char *reference,
		const struct digest *digest);

#endif
