/*
 * hook_file.h: a hook as a file in the mount: _hooks/NAME.
 *
 *	{
 *	  "on": ["push", "untag"],
 *	  "tags": "release-*",
 *	  "url": "https://ci.example.org/regfs",
 *	  "format": "regfs",
 *	  "headers": ["X-Team:"],
 *	  "secret": true,
 *	  "parallel": false,
 *	  "paused": false
 *	}
 *
 * What is read can be written: the members are those of struct tree_hook_change, and what isn't said is as new hooks have it. What
 * nobody is shown, secrets and the values of headers, is written as it is shown to keep it: true, and "X-Team:".
 */
#ifndef REGFS_TREE_HOOK_FILE_H
#define REGFS_TREE_HOOK_FILE_H

#include "fs/tree/hooks.h"

struct json;

struct hook_file {
	struct tree_hook_change change;	/* points into the rest */
	struct json *json;
	struct buf kinds, headers;
};
#define HOOK_FILE_INIT { .kinds = BUF_INIT, .headers = BUF_INIT }
void hook_file_release(struct hook_file *f);
#define auto_hook_file CLEANUP(hook_file_release)

/* What was written, for tree_hook_put(). ERR_ARGUMENT: it is no JSON, or no hook. Values are checked by that. */
int hook_file_read(const char *text, struct hook_file *out, struct err *err) MUST_CHECK;
/* Of a row as it is shown (state.h, hook_as_shown()). */
int hook_file_text(const struct hook_row *row, struct buf *out) MUST_CHECK;

#endif
