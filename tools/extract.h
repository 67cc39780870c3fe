/*
 * extract.h: regfs extract: what writing into a directory (unpack.c) and as an archive (archive.c) share.
 */
#ifndef REGFS_EXTRACT_H
#define REGFS_EXTRACT_H

#include "tools/inside.h"

#define EXTRACT_BUFFER (256 * 1024)

/* What couldn't be written as it is, and was left out. */
enum left_out {
	LEFT_OWNERS,
	LEFT_MODES,	/* set-uid and set-gid bits */
	LEFT_DEVICES,
	LEFT_XATTRS,
	LEFT_COUNT
};

struct extract {
	struct session *session;
	struct link_map links;
	struct buf out;		/* for standard output */
	char *buffer;		/* EXTRACT_BUFFER */
	int64_t paths, bytes;
	int64_t left_out[LEFT_COUNT];
	int64_t failed;
	struct buf first_failed;	/* its name, as a terminal may have it */
	int64_t progress;
	struct err *err;
};

/* Counts one more path, and shows progress. */
void extract_count(struct extract *x, const struct node_attr *attr);

/*
 * Writes what is below the node (a directory), or the node as `name`, into a directory that is new or empty. Goes on behind
 * what fails, which it names on standard error and counts, but for what would fail everywhere, such as a full disk.
 *
 * Whatever the image holds, nothing outside of the directory is written: each name is made by a descriptor of the directory it
 * stands in, which was itself made so, and nothing is followed. Until the end nobody else may enter.
 */
int unpack(struct extract *x, const struct node_attr *node, const char *name, const char *dir) MUST_CHECK;

/* Writes an archive to standard output: what is below a directory, "./" first, or the node as `name`. Ends at what fails. */
int archive(struct extract *x, const struct node_attr *node, const char *name) MUST_CHECK;

#endif
