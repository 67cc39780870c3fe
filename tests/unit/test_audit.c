/*
 * test_audit.c: the audit trail: what gets in, what is read of it, what goes out.
 */
#include "fs/base/base.h"
#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/tree/audit.h"
#include "fs/tree/grants.h"
#include "fs/tree/kind.h"
#include "fs/tree/login.h"
#include "fs/tree/people.h"
#include "fs/tree/state.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <pthread.h>

#define PASSWORD "a-password-of-hers"
#define SECOND INT64_C(1000000000)
#define THREADS 4

struct registry {
	struct tree *tree;
	struct cred admin;
};

static void registry_close(struct registry *g)
{
	tree_close(g->tree);
}
#define auto_registry CLEANUP(registry_close)

static bool registry_open(struct registry *g, const struct scratch *tmp, const char *name)
{
	auto_free char *dir = scratch_path(tmp->dir, name);
	struct tree_person_change c = TREE_PERSON_STAYS;
	struct err err = ERR_INIT;

	*g = (struct registry){ .admin = cred_administrator("test") };
	c.password = PASSWORD;
	return is_int(tree_open(dir, TREE_CREATE, &g->tree, &err), 0, "%s: a registry %s", name, err.text) &&
	       is_int(tree_person_add(g->tree, &g->admin, "alice", &c, &err), 0, "alice %s", err.text);
}

/* ---- Reading it ---- */

static const char *member(const struct json *line, const char *key)
{
	const char *text = json_text(json_get(line, key));

	return text ? text : "-";
}

static int add_short(void *arg, const char *line, int64_t size, int64_t number)
{
	auto_json struct json *j = NULL;
	int64_t times = 1;
	struct buf *out = arg;

	(void)number;
	if (json_parse(line, strlen(line), &j, NULL) || (int64_t)strlen(line) + 1 != size)
		return -EINVAL;
	json_int(json_get(j, "times"), &times);
	buf_addf(out, "%s%s %s %s %s %s", out->len ? "; " : "", member(j, "who"), member(j, "action"), member(j, "result"),
		 member(j, "repository"), member(j, "about"));
	if (times > 1)
		buf_addf(out, " x%" PRId64, times);
	return 0;
}

static const struct audit_filter everything = { .until = INT64_MAX, .result = AUDIT_RESULTS };

/* "who action result repository about; ..." */
static char *rows_of(struct registry *g, const struct audit_filter *filter)
{
	auto_buf struct buf out = BUF_INIT;
	struct err err = ERR_INIT;

	if (tree_audit_list(g->tree, &g->admin, filter, add_short, &out, &err))
		buf_addf(&out, "failed: %s", err.text);
	return buf_error(&out) ? NULL : strdup(out.data);
}

static char *rows_with(struct registry *g, const char *who, const char *repo, const char *action, enum audit_result result,
		       int64_t last)
{
	const struct audit_filter filter = {
		.until = INT64_MAX, .who = who, .repository = repo, .action = action, .result = result, .last = last
	};

	return rows_of(g, &filter);
}

static void is_rows(struct registry *g, const struct audit_filter *filter, const char *want, const char *name)
{
	auto_free char *rows = rows_of(g, filter);

	is_str(rows, want, "%s", name);
}

static int add_line(void *arg, const char *line, int64_t size, int64_t number)
{
	(void)size;
	(void)number;
	buf_addf(arg, "%s\n", line);
	return 0;
}

static char *lines_of(struct registry *g)
{
	auto_buf struct buf out = BUF_INIT;

	if (tree_audit_list(g->tree, &g->admin, &everything, add_line, &out, NULL))
		return NULL;
	return strdup(out.data);
}

/* ---- Changes ---- */

static void test_changes(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *rows = NULL, *failed = NULL;
	struct digest d;

	if (!registry_open(&g, tmp, "changes"))
		return;
	is_int(push_simple(g.tree, &g.admin, "shop/web", "1.0", "one", &d, NULL), 0, "a push");
	is_int(tree_tag_set(g.tree, &g.admin, "shop/web", "new", &d, NULL), 0, "a tag");
	is_int(tree_tag_rm(g.tree, &g.admin, "shop/web", "new", NULL), 0, "is removed");
	is_int(tree_grant_set(g.tree, &g.admin, "alice", "shop/web", ACTION_PULL, NULL), 0, "a grant");
	is_int(tree_visibility_set(g.tree, &g.admin, "shop/web", true, NULL), 0, "it is public");
	is_int(tree_image_rm(g.tree, &g.admin, "shop/web", &d, NULL), 0, "the image is removed");
	is_int(tree_person_rm(g.tree, &g.admin, "alice", NULL), 0, "and alice");
	is_rows(&g, &everything,
		"administrator account-add ok - alice; administrator push ok shop/web -; administrator tag ok shop/web -; "
		"administrator untag ok shop/web -; administrator grant ok shop/web alice shop/web pull; "
		"administrator visibility ok shop/web public; administrator untag ok shop/web -; "
		"administrator delete ok shop/web -; administrator account-rm ok - alice",
		"each is a row");
	is_int(tree_person_rm(g.tree, &g.admin, "alice", NULL), -ENOENT, "what fails");
	is_int(tree_tag_set(g.tree, &g.admin, "shop/web", "new", &d, NULL) < 0, 1, "and this");
	failed = rows_with(&g, NULL, NULL, NULL, AUDIT_FAILED, 0);
	is_str(failed, "administrator account-rm failed - alice; administrator tag failed shop/web -", "is one, too");
	rows = lines_of(&g);
	ok(rows && strstr(rows, "\"action\":\"push\",\"result\":\"ok\",\"who\":\"administrator\",\"kind\":\"administrator\","
				"\"from\":\"test\",\"repository\":\"shop/web\",\"tag\":\"1.0\",\"digest\":\"sha256:"),
	   "with what there is to say");
}

/* A change that is undone leaves no row, since it is of the same transaction. */
static int change_and_fail(struct db *db, void *arg, struct err *err)
{
	const struct cred cred = cred_administrator("test");
	int r = audit_change(db, &cred, "create", "never/was", NULL, NULL, NULL, err);

	(void)arg;
	return r ? r : -EINVAL;
}

static void test_transaction(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *rows = NULL;

	if (!registry_open(&g, tmp, "transaction"))
		return;
	is_int(meta_write(g.tree->meta, true, change_and_fail, NULL, NULL), -EINVAL, "a change that fails");
	rows = rows_with(&g, NULL, "never/was", NULL, AUDIT_RESULTS, 0);
	is_str(rows, "", "has left no row");
}

/* ---- Logins and refusals ---- */

#define SUMS_MAX 16

/* How often each was tried, whatever rows it was gathered in: passwords take their time, on a busy machine more than a row's second. */
struct sums {
	size_t count;
	struct sum {
		char text[128];
		int64_t times;
	} list[SUMS_MAX];
};

static int add_sum(void *arg, const char *line, int64_t size, int64_t number)
{
	auto_json struct json *j = NULL;
	struct sums *s = arg;
	struct sum n = { .times = 1 };
	size_t i;

	(void)size;
	(void)number;
	if (json_parse(line, strlen(line), &j, NULL) || s->count == SUMS_MAX)
		return -EINVAL;
	json_int(json_get(j, "times"), &n.times);
	snprintf(n.text, sizeof(n.text), "%s %s %s %s", member(j, "who"), member(j, "result"), member(j, "from"), member(j, "reason"));
	for (i = 0; i < s->count && !streq(s->list[i].text, n.text); i++)
		;
	if (i == s->count)
		s->list[s->count++] = n;
	else
		s->list[i].times += n.times;
	return 0;
}

/* "who result from reason; ..." in the order in which each came first. */
static char *sums_of(struct registry *g, const char *action)
{
	const struct audit_filter filter = { .until = INT64_MAX, .action = action, .result = AUDIT_RESULTS };
	auto_buf struct buf out = BUF_INIT;
	struct sums s = { .count = 0 };

	if (tree_audit_list(g->tree, &g->admin, &filter, add_sum, &s, NULL))
		return NULL;
	for (size_t i = 0; i < s.count; i++)
		buf_addf(&out, "%s%s x%" PRId64, i ? "; " : "", s.list[i].text, s.list[i].times);
	return buf_error(&out) ? NULL : strdup(out.data);
}

static int login(struct registry *g, const char *name, const char *password)
{
	auto_tree_login struct tree_login l = { .scopes = NULL };

	return tree_login(g->tree, name, password, "192.0.2.1", &l, NULL);
}

static void test_logins(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *logins = NULL, *lines = NULL;
	char secret[SECRET_TEXT_MAX + 1], stamp[TREE_LOGIN_STAMP_LEN + 1];
	auto_tree_login struct tree_login l = { .scopes = NULL }, again = { .scopes = NULL }, none = { .scopes = NULL };

	if (!registry_open(&g, tmp, "logins"))
		return;
	is_int(tree_token_add(g.tree, &g.admin, "alice", "laptop", NULL, 0, secret, NULL), 0, "a token");
	is_int(login(&g, "alice", PASSWORD), 0, "by password");
	is_int(tree_login_secret(g.tree, secret, "192.0.2.2", &l, NULL), 0, "by its secret");
	is_int(login(&g, "alice", "not-her-password"), -EACCES, "a wrong one");
	is_int(login(&g, "mallory", "whatever-it-is"), -EACCES, "nobody");
	is_int(login(&g, PASSWORD, "alice"), -EACCES, "name and password in each other's place");
	is_int(login(&g, PASSWORD, PASSWORD), -EACCES, "or in both");
	is_int(login(&g, "not a \"name\"\n", "whatever-it-is"), -EACCES, "what isn't a name");
	secret[SECRET_TEXT_MAX - 1] ^= 1;
	is_int(tree_login_secret(g.tree, secret, "192.0.2.2", &(struct tree_login){ .scopes = NULL }, NULL), -EACCES,
	       "nobody's secret");
	secret[SECRET_TEXT_MAX - 1] ^= 1;
	is_int(login(&g, secret, PASSWORD), -EACCES, "a secret as a name");
	tree_audit_throttled(g.tree, "alice", "192.0.2.1");
	is_int(tree_login_stamp(g.tree, &l.cred, stamp, NULL), 0, "what a refresh token says");
	is_int(tree_login_renew(g.tree, l.cred.subject, l.cred.token, stamp, "192.0.2.3", &again, NULL), 0, "by one");
	is_int(tree_login_renew(g.tree, l.cred.subject, 0, stamp, "192.0.2.3", &none, NULL), -EACCES, "one that isn't good any more");
	is_int(tree_login_renew(g.tree, 12345, 0, stamp, "192.0.2.3", &none, NULL), -EACCES, "or is nobody's");
	logins = sums_of(&g, "login");
	is_str(logins,
	       "alice ok 192.0.2.1 - x1; alice ok 192.0.2.2 - x1; alice denied 192.0.2.1 unauthorized x1; "
	       "mallory denied 192.0.2.1 unauthorized x1; ? denied 192.0.2.1 unauthorized x4; ? denied 192.0.2.2 unauthorized x1; "
	       "alice denied 192.0.2.1 throttled x1; alice ok 192.0.2.3 - x1; alice denied 192.0.2.3 unauthorized x1; "
	       "? denied 192.0.2.3 unauthorized x1",
	       "all of them are rows");
	lines = lines_of(&g);
	ok(lines && strstr(lines, "\"who\":\"alice\",\"kind\":\"user\",\"token\":\"laptop\",\"from\":\"192.0.2.2\""),
	   "by a token: its name");
	ok(lines && strstr(lines, "\"who\":\"alice\",\"from\":\"192.0.2.1\",\"reason\":\"throttled\""), "too many of them");
	ok(lines && !strstr(lines, PASSWORD) && !strstr(lines, "rgs_") && !strstr(lines, "whatever"), "no secret is in it");
	secret_forget(secret, sizeof(secret));
}

static void test_refusals(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *denied = NULL, *lines = NULL;
	auto_scopes struct scopes *scopes = NULL;
	const struct cred anonymous = cred_anonymous("192.0.2.1");
	struct tree_image *image;
	struct cred alice;
	struct node_attr attr;
	struct err err = ERR_INIT;
	struct digest d;

	if (!registry_open(&g, tmp, "refusals"))
		return;
	is_int(push_simple(g.tree, &g.admin, "shop/web", "1.0", "one", &d, NULL), 0, "a push");
	is_int(tree_login_as(g.tree, "alice", "mount", &alice, NULL), 0, "alice");
	is_int(tree_image_get(g.tree, &anonymous, "shop/web", "1.0", &image, &err), -EACCES, "who isn't logged in");
	is_int(tree_image_get(g.tree, &anonymous, "shop/web", "1.0", &image, &err), -EACCES, "twice");
	is_int(tree_image_get(g.tree, &alice, "shop/web", "1.0", &image, &err), -ENOENT, "who may do nothing there");
	is_int(node_lookup(g.tree, &alice, NODE_ROOT, "shop", &attr, NULL, &err), -ENOENT, "in the mount either");
	is_int(node_lookup(g.tree, &alice, NODE_ROOT, "none", &attr, NULL, &err), -ENOENT, "what isn't there is no attempt");
	is_int(tree_grant_set(g.tree, &g.admin, "alice", "shop/web", ACTION_PULL, NULL), 0, "a grant");
	is_int(tree_image_rm(g.tree, &alice, "shop/web", &d, &err), -EACCES, "or not that");
	is_int(scopes_parse("repository:other:pull", &scopes, NULL), 0, "scopes");
	alice.scopes = scopes;
	is_int(tree_image_get(g.tree, &alice, "shop/web", "1.0", &image, &err), -EACCES, "a token that isn't for it");
	is_int(tree_stats(g.tree, &alice, &(struct tree_stats){ 0 }, &err), -EACCES, "nor for the registry");
	denied = rows_with(&g, NULL, NULL, NULL, AUDIT_DENIED, 0);
	is_str(denied,
	       "anonymous pull denied shop/web - x2; alice pull denied shop/web -; alice pull denied shop -; alice delete denied shop/web -; "
	       "alice pull denied shop/web -; alice admin denied - -",
	       "all of them are rows, the same ones together");
	lines = lines_of(&g);
	ok(lines && strstr(lines, "\"reason\":\"unauthorized\"") && strstr(lines, "\"reason\":\"unknown\"") &&
		   strstr(lines, "\"reason\":\"denied\"") && strstr(lines, "\"reason\":\"scope\""),
	   "with their reasons");
	is_int(tree_audit_list(g.tree, &alice, &everything, add_line, NULL, &err), -EACCES, "others may not read it");
}

static void test_pulls(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *none = NULL, *pulls = NULL;
	struct tree_image *image;
	struct digest d, blob;

	if (!registry_open(&g, tmp, "pulls"))
		return;
	is_int(push_simple(g.tree, &g.admin, "shop/web", "1.0", "one", &d, NULL), 0, "a push");
	is_int(push_text(g.tree, &g.admin, "shop/web", "a blob", &blob, NULL), 0, "a blob");
	for (int i = 0; i < 4; i++) {
		auto_content struct content *c = NULL;

		if (i == 1)
			tree_set_audit_pulls(g.tree, true);
		if (tree_image_get(g.tree, &g.admin, "shop/web", "1.0", &image, NULL) == 0)
			tree_image_release(image);
		if (i == 0)
			none = rows_with(&g, NULL, NULL, "pull", AUDIT_RESULTS, 0);
		if (i == 3)
			is_int(tree_blob_open(g.tree, &g.admin, "shop/web", &blob, &c, NULL), 0, "a blob");
	}
	pulls = rows_with(&g, NULL, NULL, "pull", AUDIT_RESULTS, 0);
	is_str(none, "", "pulls are no rows");
	is_str(pulls, "administrator pull ok shop/web - x3; administrator pull ok shop/web blob", "unless they are to be");
}

/* ---- The list ---- */

struct made {
	int64_t at;
	const char *who, *repo, *action;
	enum audit_result result;
};

static int make_rows(struct db *db, void *arg, struct err *err)
{
	static const struct made rows[] = {
		{ 10, "bob", "a", "push", AUDIT_OK },	{ 20, "bob", "b", "push", AUDIT_DENIED },
		{ 40, "carol", "a", "tag", AUDIT_OK },	{ 30, "bob", "a", "tag", AUDIT_OK },
		{ 50, "carol", "a", "push", AUDIT_FAILED },
	};
	int r = 0;

	(void)arg;
	for (size_t i = 0; !r && i < ARRAY_SIZE(rows); i++) {
		const struct audit_row row = { .at = rows[i].at,
					       .who = rows[i].who,
					       .repository = rows[i].repo,
					       .action = rows[i].action,
					       .result = rows[i].result };

		r = audit_add(db, &row, err);
	}
	return r;
}

static void test_list(const struct scratch *tmp)
{
	static const struct {
		struct audit_filter filter;
		const char *rows;
	} cases[] = {
		{ { .result = AUDIT_RESULTS }, "bob push ok a -; bob push denied b -; bob tag ok a -; carol tag ok a -; carol push failed a -" },
		{ { .since = 20, .until = 40, .result = AUDIT_RESULTS }, "bob push denied b -; bob tag ok a -" },
		{ { .who = "bob", .result = AUDIT_RESULTS }, "bob push ok a -; bob push denied b -; bob tag ok a -" },
		{ { .who = "bob", .repository = "a", .result = AUDIT_RESULTS }, "bob push ok a -; bob tag ok a -" },
		{ { .repository = "a", .action = "push", .result = AUDIT_RESULTS }, "bob push ok a -; carol push failed a -" },
		{ { .result = AUDIT_OK, .since = 20 }, "bob tag ok a -; carol tag ok a -" },
		{ { .result = AUDIT_RESULTS, .last = 2 }, "carol tag ok a -; carol push failed a -" },
		{ { .result = AUDIT_RESULTS, .last = 3 }, "bob tag ok a -; carol tag ok a -; carol push failed a -" },
		{ { .result = AUDIT_RESULTS, .last = 100, .who = "carol" }, "carol tag ok a -; carol push failed a -" },
		{ { .result = AUDIT_RESULTS, .last = 1, .repository = "b" }, "bob push denied b -" },
		{ { .result = AUDIT_RESULTS, .who = "dave" }, "" },
	};
	auto_registry struct registry g = { 0 };

	if (!registry_open(&g, tmp, "list"))
		return;
	is_int(meta_write(g.tree->meta, true, make_rows, NULL, NULL), 0, "rows");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct audit_filter f = cases[i].filter;

		f.until = f.until ? f.until : 1000;	/* before alice was made */
		is_rows(&g, &f, cases[i].rows, "filter");
	}
}

/* ---- Only added to ---- */

static int exec(struct db *db, void *arg, struct err *err)
{
	return db_exec(db, arg, err);
}

static int64_t trimmed(struct registry *g, int64_t before)
{
	int64_t removed = -1;

	is_int(tree_audit_trim(g->tree, &g->admin, timestamp_now() - before, &removed, NULL), 0, "trimmed");
	return removed;
}

static void test_append_only(const struct scratch *tmp)
{
	static char change[] = "UPDATE audit SET who = 'nobody'", drop[] = "DELETE FROM audit WHERE at = 30";
	auto_registry struct registry g = { 0 };
	struct err err = ERR_INIT;

	if (!registry_open(&g, tmp, "append"))
		return;
	is_int(meta_write(g.tree->meta, true, make_rows, NULL, NULL), 0, "rows");
	ok(meta_write(g.tree->meta, true, exec, change, &err) < 0 && strstr(err.text, "only added to"), "no row is changed: %s",
	   err.text);
	ok(meta_write(g.tree->meta, true, exec, drop, &err) < 0, "none is taken out: %s", err.text);
	is_int(trimmed(&g, 15), 0, "alice's is in front of them all, and is new");
}

/* ---- The file ---- */

static int64_t file_node(struct registry *g, struct node_attr *out)
{
	struct node_attr dir;
	int r = node_lookup(g->tree, &g->admin, NODE_ROOT, "_registry", &dir, NULL, NULL);

	return r ? r : node_lookup(g->tree, &g->admin, dir.id, "audit", out, NULL, NULL);
}

/* All of it, in pieces of that many bytes; NULL: it can't be read. */
static char *read_file(struct content *c, size_t piece, struct err *err)
{
	auto_buf struct buf out = BUF_INIT;
	char data[4096];
	ssize_t n = 0;

	while (!buf_error(&out) && (n = content_read(c, data, piece, (int64_t)out.len, err)) > 0)
		buf_add(&out, data, (size_t)n);
	return n < 0 ? NULL : strdup(out.data);
}

static int make_old(struct db *db, void *arg, struct err *err)
{
	const struct audit_row row = { .at = 10, .who = "bob", .action = "push", .about = arg, .result = AUDIT_OK };

	return audit_add(db, &row, err);
}

static void test_file(const struct scratch *tmp)
{
	static const size_t pieces[] = { 1, 7, 100, 4096 };
	static char about[] = "\"quoted\"\nand \xff";
	auto_free char *dir = scratch_path(tmp->dir, "file");
	auto_registry struct registry g = { .admin = cred_administrator("test") };
	auto_content struct content *old = NULL, *c = NULL;
	auto_free char *want = NULL, *tail = NULL;
	const struct cred anonymous = cred_anonymous("test");
	struct node_attr attr, later;
	struct err err = ERR_INIT;

	is_int(tree_open(dir, TREE_CREATE, &g.tree, NULL), 0, "a registry");
	is_int(file_node(&g, &attr), 0, "there is a file");
	is_int(attr.size, 0, "empty");
	ok(attr.mtime > 0, "as old as the registry");
	for (int i = 0; i < 1500; i++)
		if (meta_write(g.tree->meta, false, make_old, about, NULL))
			return;
	is_int(tree_repo_add(g.tree, &g.admin, "shop/web", NULL), 0, "a row that is new");
	want = lines_of(&g);
	is_int(file_node(&g, &attr), 0, "it has grown");
	is_int(attr.size, (int64_t)strlen(want), "its size is true");
	ok(timestamp_now() - attr.mtime < 60 * SECOND, "and its time");
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		auto_content struct content *all = NULL;
		auto_free char *got = NULL;

		if (node_open(g.tree, &g.admin, attr.id, &all, NULL, NULL) == 0)
			got = read_file(all, pieces[i], &err);
		ok(got && streq(got, want), "read by %zu bytes %s", pieces[i], err.text);
	}
	is_int(node_getattr(g.tree, &anonymous, attr.id, &later, NULL), -ENOENT, "it isn't there for others");
	is_int(node_open(g.tree, &anonymous, attr.id, &c, NULL, NULL), -ENOENT, "by its number either");
	is_int(node_open(g.tree, &g.admin, attr.id, &old, NULL, NULL), 0, "somebody has it open");
	is_int(trimmed(&g, 100), 1500, "what is old is removed");
	is_int(tree_repo_add(g.tree, &g.admin, "shop/other", NULL), 0, "more comes");
	is_int(file_node(&g, &later), 0, "the file is another");
	ok(later.size < 1000, "a short one");
	is_int(node_open(g.tree, &g.admin, later.id, &c, NULL, NULL), 0, "it is opened");
	tail = read_file(c, 4096, NULL);
	ok(tail && strstr(tail, "shop/web") && strstr(tail, "shop/other") && !strstr(tail, "bob"), "with both rows");
	ok(!read_file(old, 4096, &err) && err.reason == ERR_GONE_MEANWHILE, "who had it open is told: %s", err.text);
	is_int(content_read(old, about, 5, attr.size - 5, NULL), 5, "what is still there has stayed in its place");
	is_int(memcmp(about, want + attr.size - 5, 5), 0, "byte by byte");
}

/* ---- More than there is room for ---- */

struct noisy {
	struct registry *g;
	pthread_t thread;
	int number;
};

static void *make_noise(void *arg)
{
	const struct noisy *n = arg;
	char repo[32];

	for (int i = 0; i < 2000; i++) {
		struct audit_row row = audit_row_of(&n->g->admin, "pull", AUDIT_OK);

		snprintf(repo, sizeof(repo), "repo%d/%d", n->number, i);
		row.repository = repo;
		trail_note(n->g->tree->trail, &row, TRAIL_WANTED);
	}
	return NULL;
}

static int add_up(void *arg, const char *line, int64_t size, int64_t number)
{
	auto_json struct json *j = NULL;
	int64_t times = 1, *sum = arg;

	(void)number;
	if (json_parse(line, (size_t)size - 1, &j, NULL))
		return -EINVAL;
	json_int(json_get(j, "times"), &times);
	*sum += times;
	return 0;
}

static void test_lost(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	const struct audit_filter lost = { .until = INT64_MAX, .result = AUDIT_FAILED, .action = "audit" };
	struct noisy all[THREADS];
	int64_t missing = 0, sum = 0;

	if (!registry_open(&g, tmp, "lost"))
		return;
	for (int i = 0; i < THREADS; i++) {
		all[i] = (struct noisy){ .g = &g, .number = i };
		if (pthread_create(&all[i].thread, NULL, make_noise, &all[i]))
			return;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(all[i].thread, NULL);
	is_int(tree_audit_list(g.tree, &g.admin, &everything, add_up, &sum, NULL), 0, "the list");
	is_int(tree_audit_list(g.tree, &g.admin, &lost, add_up, &missing, NULL), 0, "what is lost in it");
	ok(missing > 0, "%" PRId64 " were lost, and are counted", missing);
	is_int(sum, THREADS * 2000 + 1, "none without being counted");
}

/* Strangers may have so much of the disk, and no more. */
static void test_strangers(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	int64_t known = 0;
	char name[32];
	const struct audit_filter logins = { .until = INT64_MAX, .result = AUDIT_DENIED, .action = "login" };

	if (!registry_open(&g, tmp, "strangers"))
		return;
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "name%d", i);
		tree_audit_throttled(g.tree, name, "192.0.2.1");
		if (i % 500 == 499)
			trail_flush(g.tree->trail);
	}
	is_int(tree_audit_list(g.tree, &g.admin, &logins, add_up, &known, NULL), 0, "the list");
	ok(known >= 1000 && known < 1300, "%" PRId64 " of 3000 logins of strangers are in it", known);
}

/* What somebody tries instead of a name is for no terminal. */
static void test_strange(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	const struct cred anonymous = cred_anonymous("192.0.2.1");
	char longer[2 * LIMIT_NAME];
	struct err err = ERR_INIT;
	auto_free char *rows = NULL, *lines = NULL;

	if (!registry_open(&g, tmp, "strange"))
		return;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	is_int(permit(g.tree, &anonymous, ACTION_PULL, "\033[2J\xc2\x9b\"x\n", &err), -EACCES, "a name that is none");
	is_int(permit(g.tree, &anonymous, ACTION_PULL, longer, &err), -EACCES, "one that is too long");
	rows = rows_with(&g, "anonymous", NULL, NULL, AUDIT_RESULTS, 0);
	ok(rows && starts_with(rows, "anonymous pull denied ?[2J??\"x? -; anonymous pull denied aaaa"), "are rows: %.60s", rows);
	lines = lines_of(&g);
	ok(lines && strlen(lines) < 1000 && !strpbrk(lines, "\033\xc2"), "without what a terminal obeys, cut off");
}

/* What was queued is written when the tree is closed. */
static void test_close(const struct scratch *tmp)
{
	auto_registry struct registry g = { 0 };
	auto_free char *dir = scratch_path(tmp->dir, "close"), *rows = NULL;

	if (!registry_open(&g, tmp, "close"))
		return;
	tree_audit_throttled(g.tree, "alice", "192.0.2.1");
	tree_close(g.tree);
	g.tree = NULL;
	is_int(tree_open(dir, 0, &g.tree, NULL), 0, "opened again");
	rows = rows_with(&g, "alice", NULL, NULL, AUDIT_RESULTS, 0);
	is_str(rows, "alice login denied - -", "it is there");
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };

	if (!scratch_make(&tmp))
		return 1;
	test_changes(&tmp);
	test_transaction(&tmp);
	test_logins(&tmp);
	test_refusals(&tmp);
	test_pulls(&tmp);
	test_list(&tmp);
	test_append_only(&tmp);
	test_file(&tmp);
	test_lost(&tmp);
	test_strangers(&tmp);
	test_strange(&tmp);
	test_close(&tmp);
	return done_testing();
}
