/*
 * test_quota.c: what owners of a quota use, counted when the quota is set, and kept by triggers; what is refused.
 */
#include "fs/base/base.h"
#include "fs/base/size.h"
#include "fs/meta/meta.h"
#include "fs/meta/quota.h"
#include "fs/meta/removal.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

/* Blobs of 1, 10, 100 and 1000 bytes; the first is in four repositories, the last is kept to be brought back only. */
static const char rows[] =
	"INSERT INTO repository(id, parent_id, component, name, is_repository, on_purpose, listed, created, changed) VALUES"
	" (1, 0, 'shop', 'shop', 1, 0, 1, 1, 1), (2, 1, 'web', 'shop/web', 1, 0, 1, 1, 1), (3, 1, 'api', 'shop/api', 1, 0, 1, 1, 1),"
	" (4, 0, 'shop-a', 'shop-a', 1, 0, 1, 1, 1), (5, 0, 'shop0', 'shop0', 1, 0, 1, 1, 1);"
	"INSERT INTO blob(id, digest, size, created) VALUES (1, x'0101"
	"00000000000000000000000000000000000000000000000000000000000000', 1, 1), (2, x'0102', 10, 1), (3, x'0103', 100, 1),"
	" (4, x'0104', 1000, 1);"
	"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (1, 1, 1, 1), (2, 1, 1, 1), (2, 2, 1, 1),"
	" (3, 1, 1, 1), (3, 2, 1, 1), (4, 1, 1, 1), (5, 3, 1, 1);"
	"INSERT INTO removal(id, until, kind, repository, tag, at, event, who, origin, public, on_purpose, created) VALUES"
	" (1, 9, 'delete', 'shop/web', '', 1, 1, '', '', 0, 0, 1), (2, 9, 'delete', 'shop/api', '', 1, 1, '', '', 0, 0, 1);"
	"INSERT INTO removed_blob(removal_id, blob_id) VALUES (1, 4), (1, 2), (2, 4);"
	"INSERT INTO manifest(id, repository_id, blob_id, is_index, media_type, artifact_type, platform, size, created, pushed,"
	" untagged) VALUES (1, 2, 1, 0, '', '', '', 1, 1, 1, 0), (2, 3, 1, 0, '', '', '', 1, 1, 1, 0), (3, 4, 1, 0, '', '', '', 1, 1, 1, 0);"
	"INSERT INTO tag(repository_id, name, manifest_id, moved) VALUES (2, 'a', 1, 1), (2, 'b', 1, 1), (3, 'a', 2, 1), (4, 'a', 3, 1);";

static const char quotas[] =
	"INSERT INTO setting(name, below, key, value) VALUES ('shop/web', 0, 'quota', '2k'), ('shop/api', 0, 'quota-tags', '1'),"
	" ('shop', 0, 'quota', '1KiB'), ('shop', 1, 'quota', '1012'), ('shop', 1, 'quota-tags', '4'), ('shop-a', 0, 'quota', '0'),"
	" ('shop0', 0, 'quota', '200'), ('sho', 1, 'quota', '1'), ('', 1, 'quota', '1GB');";

static const struct {
	struct settings_of of;
	struct quota_usage used, limit;
} cases[] = {
	{ { "shop/web", false }, { 1011, 2 }, { 2000, -1 } },
	{ { "shop/api", false }, { 1011, 1 }, { -1, 1 } },
	{ { "shop", false }, { 1, 0 }, { 1024, -1 } },
	{ { "shop", true }, { 1011, 3 }, { 1012, 4 } },	/* a shared blob counts once */
	{ { "shop-a", false }, { 1, 1 }, { 0, -1 } },
	{ { "shop0", false }, { 100, 0 }, { 200, -1 } },
	{ { "sho", true }, { 0, 0 }, { 1, -1 } },
	{ { "", true }, { 1111, 4 }, { 1000000000, -1 } },
};

/* Rows that say something else than what is there does. */
static const char wrong[] =
	"SELECT COUNT(*) FROM quota q JOIN quota_counted c ON c.id = q.id WHERE q.bytes <> c.bytes OR q.tags <> c.tags"
	" OR c.holders <> (SELECT COALESCE(SUM(holders), 0) FROM quota_blob WHERE quota_id = q.id)"
	" OR c.repositories <> (SELECT COUNT(*) FROM quota_holder WHERE quota_id = q.id AND holder > 0)";

static int exec(struct db *db, void *arg, struct err *err)
{
	return db_exec(db, arg, err);
}

static bool run(struct meta *m, const char *sql, const char *what)
{
	auto_free char *text = strdup(sql);
	struct err err = ERR_INIT;

	return is_int(meta_write(m, false, exec, text, &err), 0, "%s %s", what, err.text);
}

static void none_wrong(struct meta *m, const char *when)
{
	auto_reader struct meta_reader rd = { .meta = m };
	int64_t n = -1;

	if (!meta_read_begin(m, &rd.db, NULL))
		(void)!db_get_int(rd.db, &n, NULL, wrong, "");
	is_int(n, 0, "what is kept is what is there: %s", when);
}

static void test_counts(struct meta *m, const char *when)
{
	auto_reader struct meta_reader rd = { .meta = m };

	if (!is_int(meta_read_begin(m, &rd.db, NULL), 0, "a reader"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		struct quota q = { 0 };

		is_int(quota_get(rd.db, cases[i].of, &q, &err), 1, "\"%s\" has a quota %s, %s", cases[i].of.name, err.text, when);
		is_int(q.used.bytes, cases[i].used.bytes, "its bytes");
		is_int(q.used.tags, cases[i].used.tags, "its tags");
		is_int(q.limit.bytes, cases[i].limit.bytes, "its most bytes");
		is_int(q.limit.tags, cases[i].limit.tags, "its most tags");
	}
}

/* ---- What is refused ---- */

static const struct digest one = { .algorithm = 1, .bytes = { 1 } }, unknown = { .algorithm = 1, .bytes = { 9 } };

static const struct {
	const char *repo;
	struct quota_need need;
	const char *text;	/* of the refusal; NULL: there is none */
} refusals[] = {
	{ "shop/web", { &unknown, 1, true, 0 }, NULL },
	{ "shop/web", { &unknown, 2, true, 0 }, "namespace shop" },
	{ "shop/new", { &unknown, 2, true, 0 }, "namespace shop" },
	{ "shop/new/deep", { &unknown, 2, true, 0 }, "namespace shop" },
	{ "shop/new", { NULL, 1, true, 0 }, NULL },
	{ "shop/new", { NULL, 2, true, 0 }, "namespace shop" },
	{ "shop/new", { NULL, 10, true, 0 }, NULL },	/* it may be one that is there */
	{ "shop/new", { NULL, 2, false, 0 }, NULL },
	{ "shop/new", { NULL, 1001, false, 0 }, "namespace shop" },
	{ "shop", { &unknown, 1023, true, 0 }, NULL },	/* not below itself */
	{ "shop", { &unknown, 1024, true, 0 }, "repository shop" },
	{ "shop-a", { &one, 1, true, 0 }, NULL },	/* it is over its quota, and has that one */
	{ "shop-a", { &unknown, 1, true, 0 }, "repository shop-a" },
	{ "shop-a", { NULL, 0, true, 1000 }, NULL },
	{ "shop/api", { NULL, 0, true, 1 }, "repository shop/api" },
	{ "shop/web", { NULL, 0, true, 1 }, NULL },
	{ "shop/web", { NULL, 0, true, 2 }, "namespace shop" },
	{ "else/where", { &unknown, 1000000000 - 1111, true, 0 }, NULL },
	{ "else/where", { &unknown, 1000000000 - 1110, true, 0 }, "the registry" },
	{ "else/where", { &unknown, INT64_MAX, true, INT64_MAX }, "the registry" },
};

static const struct {
	const char *repo;
	int64_t left;
} lefts[] = {
	{ "shop/web", 1 }, { "shop-a", 0 }, { "shop0", 100 }, { "x", 1000000000 - 1111 },
};

static void test_refusals(struct meta *m)
{
	auto_reader struct meta_reader rd = { .meta = m };
	int64_t left;

	if (!is_int(meta_read_begin(m, &rd.db, NULL), 0, "a reader"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct err err = ERR_INIT;

		is_int(quota_refuse(rd.db, refusals[i].repo, &refusals[i].need, &err), refusals[i].text ? -EDQUOT : 0,
		       "%zu: %s, %" PRId64 " bytes: %s", i, refusals[i].repo, refusals[i].need.size, err.text);
		ok(!refusals[i].text || (err.reason == ERR_QUOTA && strstr(err.text, refusals[i].text)), "it says whose quota");
	}
	for (size_t i = 0; i < ARRAY_SIZE(lefts); i++) {
		is_int(quota_left(rd.db, lefts[i].repo, &left, NULL), 0, "what is left in %s", lefts[i].repo);
		is_int(left, lefts[i].left, "so much");
	}
}

/* ---- Rows that come and go ---- */

static int drop_removals(struct db *db, void *arg, struct err *err)
{
	int64_t taken;

	(void)arg;
	return removal_expire(db, 10, 0, 100, &taken, err);
}

static void test_changes(struct meta *m)
{
	static const char *const steps[] = {
		"INSERT INTO tag(repository_id, name, manifest_id, moved) VALUES (3, 'b', 2, 1); UPDATE tag SET manifest_id = 1 WHERE name = 'a'",
		"DELETE FROM tag WHERE manifest_id = 1",
		"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (3, 3, 1, 1), (5, 1, 1, 1)"
		" ON CONFLICT(repository_id, blob_id) DO UPDATE SET linked = excluded.linked",
		"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (3, 3, 1, 1), (5, 1, 1, 1)"
		" ON CONFLICT(repository_id, blob_id) DO UPDATE SET linked = excluded.linked",
		"INSERT INTO repository(id, parent_id, component, name, is_repository, on_purpose, listed, created, changed) VALUES"
		" (6, 2, 'x', 'shop/web/x', 1, 0, 1, 1, 1), (7, 0, 'sho', 'sho', 0, 0, 0, 1, 1), (8, 7, 'y', 'sho/y', 1, 0, 1, 1, 1)",
		"INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (6, 3, 1, 1), (8, 4, 1, 1), (8, 1, 1, 1)",
		"INSERT INTO removal(id, until, kind, repository, tag, at, event, who, origin, public, on_purpose, created) VALUES"
		" (3, 99, 'delete', 'sho/y', '', 1, 1, '', '', 0, 0, 1)",
		"INSERT INTO removed_blob(removal_id, blob_id) VALUES (3, 2), (3, 4)",
		"DELETE FROM repository_blob WHERE repository_id IN (2, 6, 8)",
		"DELETE FROM repository WHERE id IN (6, 8)",
		"DELETE FROM setting WHERE name = 'shop/web' OR key = 'quota-tags'",
		"INSERT INTO setting(name, below, key, value) VALUES ('sho', 1, 'quota-tags', '1'), ('shop/web', 0, 'quota-tags', '7')",
		"UPDATE quota SET bytes = 7, tags = 7; DELETE FROM quota_holder; UPDATE quota SET counted = counted + 1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		run(m, steps[i], steps[i]);
		none_wrong(m, "after that");
	}
	is_int(meta_write(m, false, drop_removals, NULL, NULL), 0, "removals go");
	none_wrong(m, "after that, too");
	run(m, "DELETE FROM setting", "no quota any more");
	run(m, "INSERT INTO repository_blob(repository_id, blob_id, linked, uses) VALUES (2, 1, 1, 1)", "a blob");
	{
		auto_reader struct meta_reader rd = { .meta = m };
		int64_t n = -1;

		if (!meta_read_begin(m, &rd.db, NULL))
			(void)!db_get_int(rd.db, &n, NULL, "SELECT (SELECT COUNT(*) FROM quota) + (SELECT COUNT(*) FROM quota_blob)"
					  " + (SELECT COUNT(*) FROM quota_holder)", "");
		is_int(n, 0, "nothing is kept of it");
	}
}

/* The database parses sizes by itself. */
static void test_limits(struct meta *m)
{
	static const char *const sizes[] = { "0",    "17",  "17B",  "3k",   "3K",  "3kB",  "3Ki", "3KiB", "3kiB", "5M",  "5MB",
					     "5MiB", "5Mi", "7G",   "7GB",  "7GiB", "1T",  "1TB", "1TiB", "1Ti",  "9000000T" };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_reader struct meta_reader rd = { .meta = m };
		struct quota q = { .limit = { -1, -1 } };
		int64_t want = -1;
		char sql[128];

		snprintf(sql, sizeof(sql), "UPDATE setting SET value = '%s' WHERE name = '' AND key = 'quota'", sizes[i]);
		run(m, sql, sizes[i]);
		ok(size_parse(sizes[i], &want), "it is one");
		if (!meta_read_begin(m, &rd.db, NULL))
			(void)!quota_get(rd.db, (struct settings_of){ "", true }, &q, NULL);
		is_int(q.limit.bytes, want, "\"%s\" is the same to both", sizes[i]);
	}
}

static void test_order(const char *dir, bool rows_first)
{
	auto_free char *path = scratch_path(dir, rows_first ? "rows.db" : "quotas.db");
	struct meta *m;

	if (!is_int(meta_open(path, true, &m, NULL), 0, "a database"))
		return;
	if (run(m, rows_first ? rows : quotas, "the one") && run(m, rows_first ? quotas : rows, "the other")) {
		test_counts(m, rows_first ? "counted when it is set" : "kept since it was set");
		none_wrong(m, "at first");
		test_refusals(m);
		test_limits(m);
		test_changes(m);
	}
	meta_close(m);
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };

	if (!scratch_make(&tmp))
		return 1;
	test_order(tmp.dir, true);
	test_order(tmp.dir, false);
	return done_testing();
}
