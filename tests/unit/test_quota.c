/*
 * test_quota.c: what owners of a quota use.
 */
#include "fs/base/base.h"
#include "fs/meta/meta.h"
#include "fs/meta/quota.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

/* Blobs of 1, 10, 100 and 1000 bytes; the first is in four repositories, the last is kept to be brought back only. */
static const char rows[] =
	"INSERT INTO repository(id, parent_id, component, name, is_repository, on_purpose, listed, created, changed) VALUES"
	" (1, 0, 'shop', 'shop', 1, 0, 1, 1, 1), (2, 1, 'web', 'shop/web', 1, 0, 1, 1, 1), (3, 1, 'api', 'shop/api', 1, 0, 1, 1, 1),"
	" (4, 0, 'shop-a', 'shop-a', 1, 0, 1, 1, 1), (5, 0, 'shop0', 'shop0', 1, 0, 1, 1, 1);"
	"INSERT INTO blob(id, digest, size, created) VALUES (1, x'0101', 1, 1), (2, x'0102', 10, 1), (3, x'0103', 100, 1),"
	" (4, x'0104', 1000, 1);"
	"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 1, 1),"
	" (3, 1, 1, 1), (3, 2, 1, 1), (4, 1, 1, 1), (5, 3, 1, 1);"
	"INSERT INTO removal(id, until, kind, repository, tag, at, event, who, origin, public, on_purpose, created) VALUES"
	" (1, 9, 'delete', 'shop/web', '', 1, 1, '', '', 0, 0, 1), (2, 9, 'delete', 'shop/api', '', 1, 1, '', '', 0, 0, 1);"
	"INSERT INTO removed_blob(removal_id, blob_id) VALUES (1, 4), (1, 2), (2, 4);"
	"INSERT INTO manifest(id, repository_id, blob_id, is_index, media_type, artifact_type, platform, size, created, pushed,"
	" untagged) VALUES (1, 2, 1, 0, '', '', '', 1, 1, 1, 0), (2, 3, 1, 0, '', '', '', 1, 1, 1, 0), (3, 4, 1, 0, '', '', '', 1, 1, 1, 0);"
	"INSERT INTO tag(repository_id, name, manifest_id, moved) VALUES (2, 'a', 1, 1), (2, 'b', 1, 1), (3, 'a', 2, 1), (4, 'a', 3, 1);";

static const struct {
	const char *owner;
	int64_t bytes, tags;
} cases[] = {
	{ "shop/web", 1011, 2 },
	{ "shop/api", 1011, 1 },
	{ "shop", 1011, 3 },	/* a shared blob counts once */
	{ "shop-a", 1, 1 },
	{ "shop0", 100, 0 },
	{ "sho", 0, 0 },
	{ "", 1111, 4 },
};

static int exec(struct db *db, void *arg, struct err *err)
{
	return db_exec(db, arg, err);
}

static void test_count(struct meta *m)
{
	auto_reader struct meta_reader rd = { .meta = m };

	if (!is_int(meta_read_begin(m, &rd.db, NULL), 0, "a reader"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		struct quota_usage u = { -1, -1 };

		is_int(quota_count(rd.db, cases[i].owner, &u, &err), 0, "\"%s\" is counted %s", cases[i].owner, err.text);
		is_int(u.bytes, cases[i].bytes, "its bytes");
		is_int(u.tags, cases[i].tags, "its tags");
	}
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *path = NULL, *sql = strdup(rows);
	struct err err = ERR_INIT;
	struct meta *m;

	if (!scratch_make(&tmp))
		return 1;
	path = scratch_path(tmp.dir, "meta.db");
	if (!is_int(meta_open(path, true, &m, NULL), 0, "a database"))
		return 1;
	if (is_int(meta_write(m, true, exec, sql, &err), 0, "its rows %s", err.text))
		test_count(m);
	meta_close(m);
	return done_testing();
}
