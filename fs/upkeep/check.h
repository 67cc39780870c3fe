/*
 * check.h: does the database say what the files are?
 *
 * Runs beside a server: what looks wrong is looked at again before it is called so, and files that
 * a push may be about to name are left alone.
 */
#ifndef REGFS_CHECK_H
#define REGFS_CHECK_H

#include "fs/meta/meta.h"
#include "fs/store/store.h"
#include "fs/upkeep/report.h"

struct check_options {
	bool data;
	bool repair;
	int64_t rate;	/* bytes a second; 0: as fast as it goes */
	check_problem_fn *problem;
	bool (*progress)(void *arg, const struct check_report *report);	/* true ends it early; may be NULL */
	void *arg;
};

int check_run(struct store *store, struct meta *meta, const struct check_options *options,
	      struct check_report *out, struct err *err) MUST_CHECK;

/*
 * Reads one blob, and calls it bad, as check_run() does, if its bytes aren't what they were: for who has met damage. *bad: it was called so now.
 */
int check_blob_now(struct store *store, struct meta *meta, const struct digest *d, bool *bad, struct err *err) MUST_CHECK;

#endif
