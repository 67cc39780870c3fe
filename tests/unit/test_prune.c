/*
 * test_prune.c: retention in the moments that no test from outside can meet: a clock that jumps, which the test turns, and what is
 * changed between a decision and its transaction.
 */
#include "fs/base/base.h"
#include "fs/tree/prune.h"
#include "fs/tree/settings.h"
#include "fs/tree/state.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <sys/syscall.h>

#define DAY 86400	/* seconds */
#define MANY 200	/* tags: several transactions */

/* The clock of this program: the libraries' calls come here. */
static _Atomic int64_t clock_seconds;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);

	if (!r && id == CLOCK_REALTIME)
		ts->tv_sec += clock_seconds;
	return r;
}

struct registry {
	struct tree *tree;
	struct cred cred;
	struct digest images[2];
	int rows, stops;
	char kept[4096];	/* names, by spaces */
	char changed[512];	/* those that changed meanwhile */
};

static int take(void *arg, const struct tree_pruned *row)
{
	struct registry *g = arg;
	size_t len = strlen(g->kept), changed = strlen(g->changed);

	g->rows++;
	if (row->keep)
		snprintf(g->kept + len, sizeof(g->kept) - len, "%s%s", len ? " " : "", row->tag);
	if (streq(row->why, "it changed meanwhile"))
		snprintf(g->changed + changed, sizeof(g->changed) - changed, "%s%s", changed ? " " : "", row->tag);
	return 0;
}

/* The names of those that stay. */
static const char *prune(struct registry *g, const char *repo, bool (*stop)(void *arg))
{
	const struct tree_prune_options o = { .repo = repo, .fn = take, .stop = stop, .arg = g };
	struct err err = ERR_INIT;

	g->rows = g->stops = 0;
	*g->kept = *g->changed = '\0';
	if (tree_prune(g->tree, &g->cred, &o, &err))
		snprintf(g->kept, sizeof(g->kept), "%s", err.text);
	return g->kept;
}

static void rules(struct registry *g, const char *repo, const char *text)
{
	struct err err = ERR_INIT;

	ok(tree_setting_set(g->tree, &g->cred, (struct settings_of){ repo, false }, "retention", text, false, &err) == 0, "rules: %s %s",
	   text, err.text);
}

static void tag(struct registry *g, const char *repo, const char *name, int image)
{
	struct err err = ERR_INIT;

	if (tree_tag_set(g->tree, &g->cred, repo, name, &g->images[image], &err))
		ok(false, "tag %s: %s", name, err.text);
}

static void fill(struct registry *g, const char *repo)
{
	const char *layers[] = { "a layer" };
	struct err err = ERR_INIT;

	ok(push_layers(g->tree, &g->cred, repo, "base", "{\"n\":1}", layers, 1, &g->images[0], &err) == 0 &&
		   push_layers(g->tree, &g->cred, repo, "other", "{\"n\":2}", layers, 1, &g->images[1], &err) == 0,
	   "%s has two images%s", repo, err.text);
}

static void test_clocks(struct registry *g)
{
	struct tree_image *image = NULL;
	struct err err = ERR_INIT;

	fill(g, "clocks");
	clock_seconds = 400 * DAY;
	tag(g, "clocks", "future", 0);
	clock_seconds = 0;
	tag(g, "clocks", "now", 0);
	rules(g, "clocks", "keep newer 1d");
	is_str(prune(g, "clocks", NULL), "base future now other", "after the clock was put back all is new");
	rules(g, "clocks", "keep last 1; keep matching base; keep matching future; keep matching other");
	is_str(prune(g, "clocks", NULL), "base future now other", "the last tag is the one that was moved last, whatever the clock said");
	rules(g, "clocks", "keep newer 30d");
	clock_seconds = 31 * DAY;
	is_str(prune(g, "clocks", NULL), "future", "the clock goes on, and what was moved in time goes");
	ok(tree_image_get(g->tree, &g->cred, "clocks", "future", &image, &err) == 0, "a pull");
	tree_image_release(image);
	rules(g, "clocks", "keep pulled 1d");
	clock_seconds = 0;
	is_str(prune(g, "clocks", NULL), "future", "one of the future is one of now");
	clock_seconds = 33 * DAY;
	is_str(prune(g, "clocks", NULL), "", "until it is old");
	clock_seconds = 0;
}

static struct registry *racing;

/* Between two transactions. */
static bool change_things(void *arg)
{
	struct registry *g = arg;
	int64_t end;
	struct err err = ERR_INIT;

	if (g->stops++)
		return false;
	tag(racing, "races", "t198", 1);
	ok(tree_tag_set_end(g->tree, &g->cred, "races", "t199", "9d", false, &end, &err) == 0, "a tag gets an end");
	return false;
}

static bool change_rules(void *arg)
{
	struct registry *g = arg;

	if (!g->stops++)
		rules(g, "races", "keep last 300");
	return false;
}

static void test_races(struct registry *g)
{
	racing = g;
	fill(g, "races");
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%03d", i);
		tag(g, "races", name, 0);
	}
	rules(g, "races", "keep matching other");
	is_str(prune(g, "races", change_things), "other t198 t199", "what is moved, or gets an end, meanwhile stays");
	is_str(g->changed, "t198 t199", "and it is said why");
	is_int(g->rows, MANY + 2, "each has its row");
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%03d", i);
		tag(g, "races", name, 1);
	}
	rules(g, "races", "keep matching other ");
	is_str(prune(g, "races", change_rules), "the rules of races were changed meanwhile: prune it again", "other rules meanwhile end it");
	is_str(prune(g, "races", NULL) + strlen(g->kept) - 4, "t199", "and by these the rest stays");
	is_int(g->rows, MANY + 1 - 64, "one transaction was made, and no more");
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	struct registry g = { .cred = cred_administrator("test") };
	struct err err = ERR_INIT;
	char *store;

	if (!scratch_make(&tmp))
		return 1;
	store = scratch_path(tmp.dir, "store");
	if (!ok(tree_open(store, TREE_CREATE, &g.tree, &err) == 0, "a store %s", err.text))
		return done_testing();
	test_clocks(&g);
	test_races(&g);
	tree_close(g.tree);
	free(store);
	return done_testing();
}
