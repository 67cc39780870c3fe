/* quota.c: see quota.h. */
#include "fs/base/base.h"
#include "fs/meta/quota.h"

/* Names of the owner ?1: itself and what is below it ('0' follows '/'). */
#define OWNED(name) "(?1 = '' OR " name " = ?1 OR (" name " > ?1 || '/' AND " name " < ?1 || '0'))"

int quota_count(struct db *db, const char *owner, struct quota_usage *out, struct err *err)
{
	int r = db_get_int(db, &out->bytes, err,
			   "SELECT COALESCE(SUM(size), 0) FROM blob WHERE id IN ("
			   "SELECT rb.blob_id FROM repository r JOIN repository_blob rb ON rb.repository_id = r.id"
			   " WHERE " OWNED("r.name") " UNION "
			   "SELECT p.blob_id FROM removal x JOIN removed_blob p ON p.removal_id = x.id"
			   " WHERE " OWNED("x.repository") ")", "s", owner);

	if (r >= 0)
		r = db_get_int(db, &out->tags, err,
			       "SELECT COUNT(*) FROM repository r JOIN tag t ON t.repository_id = r.id"
			       " WHERE " OWNED("r.name"), "s", owner);
	return MIN(r, 0);
}
