/*
 * inside.h: what the subcommands that look inside an image share: ls, cat, diff, extract.
 *
 * Names and link targets in an image are whatever somebody pushed: they reach a terminal through name_text() only, errors
 * included.
 */
#ifndef REGFS_INSIDE_COMMAND_H
#define REGFS_INSIDE_COMMAND_H

#include "fs/base/timestamp.h"
#include "fs/image/pack.h"
#include "fs/tree/rootfs.h"
#include "tools/session.h"

struct inside_options {
	struct store_options common;
	const char *platform;	/* NULL: this machine's */
};

/* The rows of a structure whose `member` is a struct inside_options. */
#define INSIDE_OPTIONS(type, member)                                                                                  \
	PLACE_OPTIONS(type, member.common.store),                                                                      \
	{ "json", 0, NULL, offsetof(type, member.common.json), "print one JSON document" },                           \
	{ "platform", 0, "PLATFORM", offsetof(type, member.platform),                                                 \
	  "of an index, the image for OS/ARCH[/VARIANT] (default: this machine's)" }

/* What an operand REF[:PATH] names. */
struct inside {
	const char *operand;	/* borrowed */
	const char *path;	/* NULL: it has none; borrowed */
	struct rootfs fs;
};

/* Finds the image. */
int inside_find(struct session *session, const struct inside_options *o, const char *operand, struct inside *out,
		struct err *err) MUST_CHECK;
/* The node at its path, or at the root; errors name the operand. */
int inside_node(struct session *session, const struct inside *in, bool follow, struct node_attr *out, struct err *err) MUST_CHECK;
/* Puts the operand before an error's text; returns r. */
int inside_blame(const char *operand, int r, struct err *err);

/* "dir" and "name": "dir/name", of "/": "/name", of "": "name". */
void path_join(struct buf *out, const char *dir, const char *name);

/* Appends a name as a terminal may have it: control characters, backslashes and what isn't UTF-8 as \n, \\, \ooo. */
void name_text(struct buf *out, const char *name);
/* The same for standard output: only where that is a terminal. */
void name_out(struct buf *out, const char *name);

/* "file", "directory", "link", "character device", ... */
const char *type_text(mode_t mode);
/* RFC 3339 in UTC, with as much of a fraction as there is. */
char *mtime_text(int64_t t, char out[static TIMESTAMP_TEXT_MAX + 1]);
/* The members type, mode, links, uid, gid, size (a file's), mtime, target (a link's), major and minor (a device's). */
int json_add_node(struct session *session, struct buf *out, const struct node_attr *attr, struct err *err) MUST_CHECK;

/* The extended attributes of a node. */
struct xattrs {
	struct tar_xattr *rows;
	size_t count;
	struct buf text;
};
#define XATTRS_INIT { .text = BUF_INIT }
int xattrs_read(struct session *session, uint64_t node, struct xattrs *out, struct err *err) MUST_CHECK;
void xattrs_release(struct xattrs *x);
#define auto_xattrs CLEANUP(xattrs_release)

/* Writes what is in the buffer to standard output, and empties it. */
int out_flush(struct buf *out, struct err *err) MUST_CHECK;
/* The same once there is much of it. */
int out_spill(struct buf *out, struct err *err) MUST_CHECK;
/* Bytes, past the buffers of stdio. */
int out_write(const char *data, size_t len, struct err *err) MUST_CHECK;
/* Lets a closed pipe end the process quietly, as cat(1) does; for who changes nothing. */
void out_begin(void);

/* Where files of several names were met first, by their node. */
struct link_map {
	struct link_row *rows;
	size_t count, capacity;
	struct buf paths;
};
#define LINK_MAP_INIT { .paths = BUF_INIT }
/* 1 and the path that it was given with first (until the next call); 0: this is the first. */
int link_map_find(struct link_map *m, uint64_t node, const char *path, const char **first, struct err *err) MUST_CHECK;
void link_map_release(struct link_map *m);
#define auto_link_map CLEANUP(link_map_release)

#endif
