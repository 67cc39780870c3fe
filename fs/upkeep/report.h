/*
 * report.h: what upkeep found and did, in numbers; also what the tree hands to its doors.
 */
#ifndef REGFS_UPKEEP_REPORT_H
#define REGFS_UPKEEP_REPORT_H

#include "fs/base/digest.h"

/* A garbage collection. */
struct gc_report {
	int64_t uploads, upload_bytes;	/* abandoned */
	int64_t images;			/* untagged */
	int64_t removals;		/* that can't be undone any more */
	int64_t links;			/* of blobs, out of repositories that don't need them */
	int64_t blobs, blob_bytes;	/* files */
	int64_t indexes, index_bytes;	/* derived files without an owner */
	int64_t kept_blobs, kept_bytes;	/* unneeded, within their grace */
	int64_t kept_uploads, kept_upload_bytes;	/* within their grace, or being written */
};

/* A check of the store. */
struct check_report {
	int64_t blobs, bytes;	/* looked at; with data: read */
	int64_t database;	/* faults of the database itself */
	int64_t bad;		/* damaged or lost: quarantined now, or found so */
	int64_t stray;		/* files that no row names */
	int64_t derived;	/* rows whose derived values were wrong */
	int64_t repaired;	/* of stray and derived */
};

enum check_problem {
	CHECK_DATABASE,		/* the database itself is damaged */
	CHECK_LOST,		/* a blob's file is gone */
	CHECK_DAMAGED,		/* a blob's bytes are not what they were */
	CHECK_BREAKS,		/* an image that a lost or damaged blob breaks */
	CHECK_STRAY,		/* a file that no row names */
	CHECK_DERIVED,		/* a value in the database that doesn't follow from the others */
};

/* One line for a person: which problem, and what about it. */
typedef void check_problem_fn(void *arg, enum check_problem problem, const char *text);

#endif
