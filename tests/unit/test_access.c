/*
 * test_access.c: who may do what: users, groups, robots, tokens, grants, visibility, in the tree.
 *
 * The matrix's answers are written from the model, not from the code: r is allowed, - absent (as if there were no such
 * repository), d denied (seen, but not that), l a login is needed, s the token isn't for it.
 */
#include "fs/base/base.h"
#include "fs/base/timestamp.h"
#include "fs/tree/grants.h"
#include "fs/tree/history.h"
#include "fs/tree/kind.h"
#include "fs/tree/login.h"
#include "fs/tree/people.h"
#include "fs/tree/rootfs.h"
#include "fs/tree/settings.h"
#include "fs/tree/state.h"
#include "fs/tree/undo.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"
#include "tests/unit/tarmake.h"

#include <pthread.h>

#define PASSWORD "a password of theirs"

struct registry {
	struct tree *tree, *other;	/* the same store, as two processes would have it */
	struct cred admin;
};

static int add_person(struct registry *g, const char *name, enum setting administrator)
{
	struct tree_person_change c = TREE_PERSON_STAYS;

	c.administrator = administrator;
	if (principal_kind(name) == PRINCIPAL_USER)
		c.password = PASSWORD;
	return tree_person_add(g->tree, &g->admin, name, &c, NULL);
}

static int grant(struct registry *g, const char *who, const char *pattern, const char *actions)
{
	unsigned bits;
	struct err err = ERR_INIT;
	int r = actions_parse(actions, &bits, &err);

	if (!r)
		r = tree_grant_set(g->tree, &g->admin, who, pattern, bits, &err);
	if (r)
		printf("# %s\n", err.text);
	return r;
}

static struct cred as(struct registry *g, const char *name)
{
	struct cred c = cred_anonymous("test");

	is_int(tree_login_as(g->tree, name, "test", &c, NULL), 0, "%s", name);
	return c;
}

static bool make_world(struct registry *g)
{
	static const char *const repos[] = { "pub/web", "shop/web", "shop/deep/web", "own/x", "hidden/x", "centos" };
	static const char *const people[] = { "alice", "bob", "carol", "dave", "@devs", "+ci" };
	struct digest d;
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(repos); i++)
		r = push_simple(g->tree, &g->admin, repos[i], "t", repos[i], &d, NULL);
	for (size_t i = 0; !r && i < ARRAY_SIZE(people); i++)
		r = add_person(g, people[i], SETTING_INHERIT);
	r = r ? r : add_person(g, "root", SETTING_YES);
	r = r ? r : tree_visibility_set(g->tree, &g->admin, "pub/web", true, NULL);
	r = r ? r : tree_member_add(g->tree, &g->admin, "@devs", "bob", NULL);
	r = r ? r : grant(g, "alice", "shop/*", "pull,push");
	r = r ? r : grant(g, "alice", "own/**", "owner");
	r = r ? r : grant(g, "@devs", "shop/**", "maintainer");
	r = r ? r : grant(g, "+ci", "shop/web", "push");
	return is_int(r, 0, "a world");
}

/* ---- History: what a tag named is for who may pull; who made it do so, for who may push ---- */

static int note_who(void *arg, const struct tree_history *h)
{
	snprintf(arg, LIMIT_PRINCIPAL + 1, "%s/%s", h->named.who, h->named.from);
	return 0;
}

static void test_history(struct registry *g)
{
	static const struct {
		const char *who, *repo;
		int answer;
		const char *named;
	} cases[] = {
		{ "anonymous", "pub/web", 0, "/" },
		{ "bob", "pub/web", 0, "/" },
		{ "alice", "shop/web", 0, "administrator/test" },
		{ "anonymous", "shop/web", -EACCES, NULL },
		{ "carol", "shop/web", -ENOENT, NULL },
	};
	struct tree_rollback done;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cred c = as(g, cases[i].who);
		char named[LIMIT_PRINCIPAL + 1] = "";

		const struct tree_history_query q = { .repo = cases[i].repo, .tag = "t" };

		is_int(tree_history_list(g->tree, &c, &q, note_who, named, NULL), cases[i].answer,
		       "the history of %s, for %s", cases[i].repo, cases[i].who);
		if (cases[i].named)
			is_str(named, cases[i].named, "who named it");
	}

	struct cred bob = as(g, "bob"), alice = as(g, "alice");

	is_int(tree_rollback(g->tree, &bob, "pub/web", "t", 1, true, &done, NULL), -EACCES, "rolling back needs the right to push");
	is_int(tree_rollback(g->tree, &alice, "shop/web", "t", 1, false, &done, NULL), 0, "who has it may");
	is_int(tree_rollback(g->tree, &alice, "hidden/x", "t", 1, false, &done, NULL), -ENOENT, "what is hidden isn't there");
}

/* ---- Immutable tags: they move for nobody, and are removed by who may administer ---- */

/* An index of one image, or of one index. */
static int push_index(struct registry *g, const char *reference, const char *media_type, const struct digest *child, struct digest *out)
{
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	int r;

	buf_adds(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	add_descriptor_json(&json, media_type, child, 2, NULL);
	buf_adds(&json, "]}");
	r = tree_image_push(g->tree, &g->admin, "shop/web", reference, NULL, json.data, json.len, &pushed, NULL);
	*out = pushed.digest;
	return r;
}

static void test_immutable_index(struct registry *g, const struct digest *image)
{
	struct cred bob = as(g, "bob"), root = as(g, "root");
	struct digest inner, outer;
	struct err err = ERR_INIT;

	is_int(push_index(g, "inner", MEDIA_OCI_MANIFEST, image, &inner), 0, "an index");
	is_int(push_index(g, "i2", MEDIA_OCI_INDEX, &inner, &outer), 0, "one of indexes, whose tag is immutable");
	is_int(tree_image_rm(g->tree, &bob, "shop/web", image, &err), -EACCES, "what it needs: %s", err.text);
	is_int(tree_image_rm(g->tree, &bob, "shop/web", &inner, &err), -EACCES, "and on the way: %s", err.text);
	is_int(tree_tag_rm(g->tree, &root, "shop/web", "i2", NULL), 0, "without the tag");
	is_int(tree_image_rm(g->tree, &bob, "shop/web", &inner, NULL), 0, "it may go");
}

static void test_immutable(struct registry *g)
{
	static const struct {
		const char *who;
		int move, same, remove;
	} cases[] = {
		{ "alice", -EACCES, 0, -EACCES },	/* may pull and push */
		{ "bob", -EACCES, 0, -EACCES },		/* and delete */
		{ "root", -EACCES, 0, 0 },
		{ "carol", -ENOENT, -ENOENT, -ENOENT },
	};
	const struct settings_of shop = { "shop", true };
	struct digest first, second;
	char salt[] = "1";

	is_int(push_simple(g->tree, &g->admin, "shop/web", "i", "one", &first, NULL), 0, "a tag");
	is_int(push_simple(g->tree, &g->admin, "shop/web", "free", "two", &second, NULL), 0, "another");
	is_int(tree_setting_set(g->tree, &g->admin, shop, "immutable", "i i2", false, NULL), 0, "a rule of the namespace");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++, salt[0]++) {
		struct cred c = as(g, cases[i].who);
		struct tree_rollback back;
		struct digest d;

		is_int(tree_tag_set(g->tree, &c, "shop/web", "i", &second, NULL), cases[i].move, "%s: moving it", cases[i].who);
		is_int(push_simple(g->other, &c, "shop/web", "i", salt, &d, NULL), cases[i].move, "by a push");
		is_int(tree_rollback(g->tree, &c, "shop/web", "i", 1, false, &back, NULL), cases[i].same, "back to what it is");
		is_int(tree_tag_set(g->tree, &c, "shop/web", "i", &first, NULL), cases[i].same, "the same image");
		is_int(tree_setting_set(g->tree, &c, shop, "immutable", "none", true, NULL),
		       streq(cases[i].who, "root") ? 0 : -EACCES, "the rule");
		if (cases[i].remove) {
			is_int(tree_image_rm(g->tree, &c, "shop/web", &first, NULL), cases[i].remove, "removing its image");
			is_int(tree_tag_rm(g->tree, &c, "shop/web", "i", NULL), cases[i].remove, "removing it");
		}
	}

	struct cred root = as(g, "root"), bob = as(g, "bob");

	is_int(tree_image_rm(g->tree, &root, "shop/web", &first, NULL), 0, "who may administer removes its image");
	is_int(tree_tag_set(g->tree, &bob, "shop/web", "i", &second, NULL), 0, "then it may be made anew");
	is_int(tree_tag_rm(g->tree, &bob, "shop/web", "i", NULL), -EACCES, "and is immutable again");
	is_int(tree_tag_rm(g->tree, &root, "shop/web", "i", NULL), 0, "who may administer removes it");
	test_immutable_index(g, &second);
	is_int(tree_tag_rm(g->tree, &bob, "shop/web", "free", NULL), 0, "others are as they were");
	is_int(tree_setting_set(g->tree, &g->admin, shop, "immutable", "inherit", false, NULL), 0, "no rule any more");
}

/* ---- The matrix ---- */

static char letter(int r, const struct err *err)
{
	static const struct {
		enum reason reason;
		char letter;
	} letters[] = {
		{ ERR_NAME_UNKNOWN, '-' }, { ERR_DENIED, 'd' }, { ERR_UNAUTHORIZED, 'l' }, { ERR_SCOPE, 's' },
	};

	if (!r)
		return 'r';
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++)
		if (letters[i].reason == err->reason)
			return letters[i].letter;
	return '?';
}

static const struct {
	const char *who, *repo;
	const char *answers;	/* pull, push, delete, admin */
} matrix[] = {
	{ "anonymous", "pub/web", "rlll" },	    { "anonymous", "shop/web", "llll" },
	{ "anonymous", "not/there", "llll" },	    { "alice", "pub/web", "rddd" },
	{ "alice", "shop/web", "rrdd" },	    { "alice", "shop/deep/web", "----" },
	{ "alice", "own/x", "rrrr" },		    { "alice", "own/new/one", "rrrr" },
	{ "alice", "hidden/x", "----" },	    { "alice", "not/there", "----" },
	{ "bob", "shop/web", "rrrd" },		    { "bob", "shop/deep/web", "rrrd" },
	{ "bob", "own/x", "----" },		    { "bob", "pub/web", "rddd" },
	{ "carol", "shop/web", "----" },	    { "carol", "pub/web", "rddd" },
	{ "+ci", "shop/web", "drdd" },		    { "+ci", "shop/deep/web", "----" },
	{ "root", "hidden/x", "rrrr" },		    { "root", "not/there", "rrrr" },
};

static void test_matrix(struct registry *g)
{
	static const enum action actions[] = { ACTION_PULL, ACTION_PUSH, ACTION_DELETE, ACTION_ADMIN };

	for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
		const struct cred c = as(g, matrix[i].who);
		char got[5] = "", again[5] = "";

		for (size_t j = 0; j < ARRAY_SIZE(actions); j++) {
			struct err err = ERR_INIT;

			got[j] = letter(permit(g->tree, &c, actions[j], matrix[i].repo, &err), &err);
			again[j] = letter(permit(g->tree, &c, actions[j], matrix[i].repo, &err), &err);
		}
		is_str(got, matrix[i].answers, "%s, %s", matrix[i].who, matrix[i].repo);
		is_str(again, matrix[i].answers, "the same out of the cache");
	}
}

/* Hidden and absent must read alike, but for the name. */
static void test_alike(struct registry *g)
{
	static const char *const who[] = { "anonymous", "alice" };

	for (size_t i = 0; i < ARRAY_SIZE(who); i++) {
		const struct cred c = as(g, who[i]);
		auto_tree_image struct tree_image *image = NULL;
		struct err hidden = ERR_INIT, absent = ERR_INIT;

		ok(tree_image_get(g->tree, &c, "hidden/x", "t", &image, &hidden) < 0, "hidden: %s", hidden.text);
		ok(tree_image_get(g->tree, &c, "hidden/y", "t", &image, &absent) < 0, "absent: %s", absent.text);
		ok(hidden.reason == absent.reason && strlen(hidden.text) == strlen(absent.text), "alike for %s", who[i]);
	}
}

static void test_scoped(struct registry *g)
{
	auto_scopes struct scopes *scopes = NULL;
	struct cred c = as(g, "alice");
	struct err err = ERR_INIT;
	static const struct {
		enum action action;
		const char *repo;
		char want;
	} asked[] = {
		{ ACTION_PULL, "shop/web", 'r' },   { ACTION_PUSH, "shop/web", 's' }, { ACTION_PULL, "own/x", 's' },
		{ ACTION_PULL, "hidden/x", '-' },   { ACTION_PUSH, "hidden/x", 's' }, { ACTION_PULL, "pub/web", 's' },
		{ ACTION_PULL, "nobody/has", 's' }, { ACTION_PULL, NULL, 's' },	      { ACTION_ADMIN, NULL, 's' },
	};

	is_int(scopes_parse("repository:shop/web:pull repository:hidden/*:pull", &scopes, NULL), 0, "scopes");
	c.scopes = scopes;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		int r = permit(g->tree, &c, asked[i].action, asked[i].repo, &err);

		ok(letter(r, &err) == asked[i].want, "a token of alice's: %u of %s: %s", (unsigned)asked[i].action,
		   asked[i].repo ? asked[i].repo : "the registry", r ? err.text : "allowed");
	}
	c = cred_administrator("test");
	c.scopes = scopes;
	is_int(permit(g->tree, &c, ACTION_PULL, "shop/web", NULL), 0, "the administrator's");
	is_int(permit(g->tree, &c, ACTION_ADMIN, "shop/web", NULL), -EACCES, "within its scopes");
}

/* ---- Lists ---- */

static int add_name(void *arg, const char *name)
{
	struct buf *b = arg;

	buf_addf(b, "%s%s", b->len ? " " : "", name);
	return 0;
}

static void is_list(struct registry *g, const char *who, const char *last, int64_t n, const char *want, bool want_more)
{
	const struct cred c = as(g, who);
	auto_buf struct buf names = BUF_INIT;
	bool more = false;

	is_int(tree_repo_list(g->tree, &c, last, n, add_name, &names, &more, NULL), 0, "listed for %s", who);
	is_str(names.data, want, "what %s sees", who);
	is_int(more, want_more, "and whether there is more");
}

static void test_lists(struct registry *g)
{
	is_list(g, "anonymous", NULL, 100, "pub/web", false);
	is_list(g, "carol", NULL, 100, "pub/web", false);
	is_list(g, "alice", NULL, 100, "own/x pub/web shop/web", false);
	is_list(g, "alice", NULL, 2, "own/x pub/web", true);
	is_list(g, "alice", "pub/web", 2, "shop/web", false);
	is_list(g, "alice", "shop/web", 2, "", false);
	is_list(g, "bob", NULL, 100, "pub/web shop/deep/web shop/web", false);
	is_list(g, "bob", "shop/deep", 1, "shop/deep/web", true);
	is_list(g, "+ci", NULL, 100, "pub/web shop/web", false);
	is_list(g, "root", NULL, 100, "centos hidden/x own/x pub/web shop/deep/web shop/web", false);
}

/* ---- The tree of nodes ---- */

static int add_entry(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	(void)attr;
	(void)next;
	return add_name(arg, name);
}

/* A path's node; 0 and its errno. */
static uint64_t find(struct registry *g, const struct cred *c, const char *path, int *r)
{
	auto_free char *copy = strdup(path);
	struct node_attr attr = { .id = NODE_ROOT };

	*r = 0;
	for (char *save = NULL, *p = strtok_r(copy, "/", &save); !*r && p; p = strtok_r(NULL, "/", &save))
		*r = node_lookup(g->tree, c, attr.id, p, &attr, NULL, NULL);
	return *r ? 0 : attr.id;
}

static void is_dir(struct registry *g, const char *who, const char *path, const char *want)
{
	const struct cred c = as(g, who);
	auto_buf struct buf names = BUF_INIT;
	int r;
	uint64_t node = find(g, &c, path, &r);

	if (!r)
		r = node_list(g->tree, &c, node, 0, add_entry, &names, NULL);
	is_str(r == -ENOENT ? "absent" : r ? strerror(-r) : names.data, want, "%s: /%s", who, path);
}

static void test_nodes(struct registry *g)
{
	static const char plain[] = "_tags _images _layers _blobs _oci _history";
	static const char all[] = "_tags _images _layers _blobs _uploads _oci _history _events _settings _access _hooks";

	is_dir(g, "anonymous", "", "pub");
	is_dir(g, "anonymous", "pub/web", plain);
	is_dir(g, "anonymous", "shop", "absent");
	is_dir(g, "anonymous", "centos", "absent");
	is_dir(g, "alice", "", "pub shop own");
	is_dir(g, "alice", "own/x", all);
	is_dir(g, "alice", "shop", "web");
	is_dir(g, "bob", "shop", "web deep");
	is_dir(g, "alice", "shop/deep", "absent");
	is_dir(g, "alice", "hidden", "absent");
	is_dir(g, "alice", "hidden/x", "absent");
	is_dir(g, "+ci", "", "pub");
	is_dir(g, "carol", "_registry", "absent");
	is_dir(g, "root", "_registry", "version stats audit events blobs used-by settings access hooks");
	is_dir(g, "root", "", "_registry pub shop own hidden centos");
}

/* A node's number that somebody else found, as a kernel would keep it. */
static void test_numbers(struct registry *g)
{
	static const char *const paths[] = {
		"hidden",	      "hidden/x",		"hidden/x/_tags",
		"hidden/x/_tags/t",   "hidden/x/_images/sha256", "hidden/x/_oci/index.json",
		"hidden/x/_blobs/sha256", "hidden/x/_uploads",	"hidden/x/_settings/visibility",
		"hidden/x/_access",   "hidden/_settings",	"hidden/_settings/push-creates",
		"_registry",	      "_registry/version",	"_registry/stats",
		"_registry/blobs/sha256", "_registry/used-by/sha256", "_registry/settings/visibility",
		"_registry/access",
	};
	const struct cred alice = as(g, "alice"), root = as(g, "root");
	struct node_attr attr;
	auto_buf struct buf out = BUF_INIT;
	struct content *content = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int r;
		uint64_t node = find(g, &root, paths[i], &r);

		is_int(r, 0, "%s is there", paths[i]);
		is_int(node_getattr(g->tree, &alice, node, &attr, NULL), -ENOENT, "not for alice: getattr");
		is_int(node_list(g->tree, &alice, node, 0, add_entry, &out, NULL), -ENOENT, "list");
		is_int(node_lookup(g->tree, &alice, node, "t", &attr, NULL, NULL), -ENOENT, "lookup");
		is_int(node_readlink(g->tree, &alice, node, &out, NULL), -ENOENT, "readlink");
		is_int(node_open(g->tree, &alice, node, &content, NULL, NULL), -ENOENT, "open");
		is_int(node_listxattr(g->tree, &alice, node, &out, NULL), -ENOENT, "listxattr");
		is_int(node_unlink(g->tree, &alice, node, "t", NULL), -ENOENT, "unlink");
	}
}

/* Blobs by their digest alone, through _registry/. */
static void test_blob_nodes(struct registry *g)
{
	const struct cred alice = as(g, "alice");
	char hex[DIGEST_HEX_MAX + 1], path[256];
	struct digest hidden, seen;
	struct node_attr attr;
	uint64_t node;
	int r;

	is_int(push_simple(g->tree, &g->admin, "hidden/x", "t", "hidden/x", &hidden, NULL), 0, "an image");
	is_int(push_simple(g->tree, &g->admin, "shop/web", "t", "shop/web", &seen, NULL), 0, "another");
	snprintf(path, sizeof(path), "_registry/blobs/sha256/%s", digest_hex(&hidden, hex));
	find(g, &alice, path, &r);
	is_int(r, -ENOENT, "a blob that only a hidden repository holds");
	node = find(g, &g->admin, path, &r);
	is_int(node_getattr(g->tree, &alice, node, &attr, NULL), -ENOENT, "nor by its number");
	snprintf(path, sizeof(path), "_registry/used-by/sha256/%s", digest_hex(&hidden, hex));
	find(g, &alice, path, &r);
	is_int(r, -ENOENT, "nor who uses it");
	snprintf(path, sizeof(path), "shop/web/_blobs/sha256/%s", digest_hex(&seen, hex));
	node = find(g, &alice, path, &r);
	is_int(r, 0, "one that a repository of hers holds");
	is_int(node_getattr(g->tree, &alice, node, &attr, NULL), 0, "its attributes");
	ok(!attr.attr_forever && !attr.data_forever && attr.links == 1, "which are asked for each time");
	is_int(node_getattr(g->tree, &g->admin, node, &attr, NULL), 0, "the administrator's");
	ok(attr.data_forever && attr.links > 1, "are kept");
}

/* An image of one layer that is a tar. */
static int push_tar(struct registry *g, const char *repo, const char *config, const struct buf *tar, struct digest *layer,
		    struct digest *image, struct err *err)
{
	auto_buf struct buf json = BUF_INIT;
	struct digest conf;
	struct tree_pushed pushed;
	char text[2][DIGEST_TEXT_MAX + 1];
	int r = push_blob(g->tree, &g->admin, repo, tar->data, tar->len, DIGEST_SHA256, layer, err);

	if (!r)
		r = push_text(g->tree, &g->admin, repo, config, &conf, err);
	if (r)
		return r;
	buf_addf(&json,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":{\"mediaType\":\""
		 "application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
		 "\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}]}",
		 digest_format(&conf, text[0]), strlen(config), digest_format(layer, text[1]), tar->len);
	r = tree_image_push(g->tree, &g->admin, repo, "t", NULL, json.data, json.len, &pushed, err);
	*image = pushed.digest;
	return r;
}

/* What is inside an image, by paths and by numbers that somebody else found; and what a kernel may keep of it. */
static void test_inside(struct registry *g)
{
	const struct cred alice = as(g, "alice");
	static const char config[] = "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}";
	auto_buf struct buf tar = BUF_INIT, out = BUF_INIT;
	struct node_attr attr;
	struct content *content = NULL;
	struct digest layer, image;
	uint64_t root, dir, file;
	char path[256], hex[DIGEST_HEX_MAX + 1];
	struct err err = ERR_INIT;
	int r;

	tarmake(&tar, "d etc;f etc/secret =mine xuser.x=y;l link ->etc/secret");
	is_int(push_tar(g, "hidden/fs", config, &tar, &layer, &image, &err), 0, "an image with files %s", err.text);
	snprintf(path, sizeof(path), "hidden/fs/_images/sha256/%s/rootfs", digest_hex(&image, hex));
	root = find(g, &g->admin, path, &r);
	is_int(r, 0, "its root");
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/etc");
	dir = find(g, &g->admin, path, &r);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/secret");
	file = find(g, &g->admin, path, &r);
	is_int(r, 0, "a file in it");
	for (int i = 0; i < 2; i++) {
		int want = i ? 0 : -ENOENT;

		is_int(node_getattr(g->tree, &alice, root, &attr, NULL), want, "alice: the root");
		is_int(node_list(g->tree, &alice, dir, 0, add_entry, &out, NULL), want, "a directory");
		is_int(node_lookup(g->tree, &alice, dir, "secret", &attr, NULL, NULL), want, "a name");
		ok(i == 0 || (!attr.name_forever && !attr.attr_forever && !attr.data_forever), "which isn't kept");
		is_int(node_getattr(g->tree, &alice, file, &attr, NULL), want, "a file's attributes");
		is_int(node_getxattr(g->tree, &alice, file, "user.x", &out, NULL), want, "its extended ones");
		is_int(node_open(g->tree, &alice, file, &content, NULL, NULL), want, "its bytes");
		is_int(rootfs_same(g->tree, &alice, file, file, NULL), i ? 1 : -ENOENT, "compared");
		if (!i)
			is_int(grant(g, "alice", "hidden/fs", "pull"), 0, "granted");
	}
	is_int(tree_grant_rm(g->tree, &g->admin, "alice", "hidden/fs", NULL), 0, "revoked");
	is_int(node_open(g->tree, &alice, file, &content, NULL, NULL), -ENOENT, "nothing new opens");
	content_free(content);
}

/* ---- Cross-repository mounts ---- */

static void test_blob_mounts(struct registry *g)
{
	const struct cred alice = as(g, "alice");
	struct digest hidden, shop;
	struct err err = ERR_INIT;

	is_int(push_text(g->tree, &g->admin, "hidden/x", "hidden text", &hidden, NULL), 0, "a hidden blob");
	is_int(push_text(g->tree, &g->admin, "shop/web", "shop text", &shop, NULL), 0, "and one of the shop's");
	is_int(tree_blob_mount(g->tree, &alice, "own/x", "hidden/x", &hidden, &err), -ENOENT, "%s", err.text);
	is_int((int)err.reason, ERR_BLOB_UNKNOWN, "as if it weren't there");
	is_int(tree_blob_mount(g->tree, &alice, "own/x", NULL, &hidden, &err), -ENOENT, "nor from anywhere");
	is_int(tree_blob_mount(g->tree, &alice, "own/x", NULL, &shop, &err), 0, "but what she may pull");
	is_int(tree_blob_mount(g->tree, &alice, "hidden/x", "shop/web", &shop, &err), -ENOENT, "not to where she may not push");
	is_int((int)err.reason, ERR_NAME_UNKNOWN, "%s", err.text);
}

/* ---- What can be undone is known by numbers, which anybody can try ---- */

static int keep_last(void *arg, const struct tree_removal *removal)
{
	*(int64_t *)arg = removal->id;
	return 1;	/* the last one stands first */
}

static void test_undo(struct registry *g)
{
	static const struct {
		const char *who;
		int answer;
	} cases[] = { { "anonymous", -EACCES }, { "carol", -ENOENT }, { "alice", -ENOENT } };
	struct digest d;
	int64_t ids[2] = { 0 };
	struct err err = ERR_INIT;

	is_int(push_simple(g->tree, &g->admin, "hidden/x", "gone", "gone", &d, NULL), 0, "a tag");
	is_int(tree_tag_rm(g->tree, &g->admin, "hidden/x", "gone", NULL), 0, "that is removed");
	is_int(tree_undo_list(g->tree, &g->admin, &(struct tree_undo_query){ 0 }, keep_last, &ids[0], NULL), 0, "can be undone");
	is_int(grant(g, "carol", "hidden/y", "push"), 0, "a grant");
	is_int(tree_grant_rm(g->tree, &g->admin, "carol", "hidden/y", NULL), 0, "that is taken away");
	is_int(tree_undo_list(g->tree, &g->admin, &(struct tree_undo_query){ 0 }, keep_last, &ids[1], NULL), 0, "likewise");
	ok(ids[0] && ids[0] != ids[1], "two numbers");
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct cred c = as(g, cases[i / 2].who);

		is_int(tree_undo(g->tree, &c, ids[i % 2], &err), cases[i / 2].answer, "not by %s: %s", cases[i / 2].who, err.text);
		ok(!strstr(err.text, "hidden"), "who isn't told of what it is");
	}
	struct cred bob = as(g, "bob");

	is_int(tree_grant_set(g->tree, &g->admin, "bob", "hidden/x", ACTION_PULL, NULL), 0, "who may see it");
	is_int(tree_undo(g->tree, &bob, ids[0], &err), -EACCES, "is told: %s", err.text);
	is_int(tree_grant_rm(g->tree, &g->admin, "bob", "hidden/x", NULL), 0, "not any more");
	is_int(tree_undo(g->tree, &g->admin, ids[0], NULL), 0, "and the administrator may");
	is_int(tree_tag_rm(g->tree, &g->admin, "hidden/x", "gone", NULL), 0, "as it was");
}

/* ---- The registry is no repository, whatever a pattern matches, and whoever asked what before ---- */

static void test_registry(struct registry *g)
{
	struct err err = ERR_INIT;
	struct cred frank;

	is_int(add_person(g, "frank", SETTING_INHERIT), 0, "a user");
	is_int(grant(g, "frank", "**", "owner"), 0, "who owns all repositories");
	frank = as(g, "frank");
	is_int(permit(g->tree, &frank, ACTION_ADMIN, "hidden/x", &err), 0, "administers one");
	is_int(permit(g->tree, &frank, ACTION_ADMIN, "", &err), -EINVAL, "\"\" is none: %s", err.text);
	is_int(permit(g->tree, &frank, ACTION_ADMIN, NULL, &err), -EACCES, "and not the registry: %s", err.text);
	is_int(permit(g->tree, &g->admin, ACTION_ADMIN, NULL, &err), 0, "which is the administrator's");
	is_int(permit(g->tree, &frank, ACTION_ADMIN, "", NULL), -EINVAL, "in any order");
	is_int(tree_person_rm(g->tree, &g->admin, "frank", NULL), 0, "gone");
}

/* ---- Taking away ---- */

static void test_revocation(struct registry *g)
{
	const struct cred dave = as(g, "dave");
	struct tree_person_change off = TREE_PERSON_STAYS;
	struct err err = ERR_INIT;

	is_int(permit(g->tree, &dave, ACTION_PULL, "hidden/x", &err), -ENOENT, "nothing yet");
	is_int(grant(g, "dave", "hidden/x", "pull"), 0, "granted");
	is_int(permit(g->tree, &dave, ACTION_PULL, "hidden/x", &err), 0, "holds at once");
	is_int(permit(g->other, &dave, ACTION_PULL, "hidden/x", &err), 0, "in another process, too");
	is_int(tree_grant_rm(g->other, &g->admin, "dave", "hidden/x", NULL), 0, "revoked there");
	is_int(permit(g->tree, &dave, ACTION_PULL, "hidden/x", &err), -ENOENT, "holds here at once");
	is_int(tree_grant_rm(g->tree, &g->admin, "dave", "hidden/x", &err), -ENOENT, "%s", err.text);
	is_int(tree_member_add(g->tree, &g->admin, "@devs", "dave", NULL), 0, "into a group");
	is_int(permit(g->tree, &dave, ACTION_PUSH, "shop/web", &err), 0, "has what it has");
	is_int(tree_member_rm(g->tree, &g->admin, "@devs", "dave", NULL), 0, "out of it");
	is_int(permit(g->tree, &dave, ACTION_PUSH, "shop/web", &err), -ENOENT, "hasn't");
	is_int(tree_visibility_set(g->other, &g->admin, "hidden/x", true, NULL), 0, "made public");
	is_int(permit(g->tree, &dave, ACTION_PULL, "hidden/x", &err), 0, "is seen");
	is_int(tree_visibility_set(g->other, &g->admin, "hidden/x", false, NULL), 0, "made private");
	is_int(permit(g->tree, &dave, ACTION_PULL, "hidden/x", &err), -ENOENT, "isn't");
	off.disabled = SETTING_YES;
	is_int(tree_person_set(g->tree, &g->admin, "dave", &off, NULL), 0, "disabled");
	is_int(permit(g->tree, &dave, ACTION_PULL, "pub/web", &err), -EACCES, "%s", err.text);
	is_int((int)err.reason, ERR_UNAUTHORIZED, "nothing at all");
	is_int(tree_person_rm(g->tree, &g->admin, "dave", NULL), 0, "removed");
	is_int(add_person(g, "dave", SETTING_INHERIT), 0, "and made again");
	is_int(permit(g->tree, &dave, ACTION_PULL, "pub/web", &err), -EACCES, "is another one: %s", err.text);
}

/* What is open is read to its end; of what comes behind that, nothing. */
static void test_open_events(struct registry *g)
{
	auto_content struct content *content = NULL;
	const struct cred bob = as(g, "bob");
	char data[4096];
	ssize_t before, after;
	struct digest d;
	uint64_t node;
	int r;

	is_int(grant(g, "bob", "hidden/x", "pull,push"), 0, "granted");
	node = find(g, &bob, "hidden/x/_events", &r);
	is_int(r, 0, "the events");
	is_int(node_open(g->tree, &bob, node, &content, NULL, NULL), 0, "are opened");
	is_int(push_simple(g->tree, &g->admin, "hidden/x", "e", "e", &d, NULL), 0, "one more");
	is_int(content_read(content, data, sizeof(data), content_size(content), NULL) > 0, 1, "is read");
	before = content_read(content, data, sizeof(data), content_size(content), NULL);
	is_int(tree_grant_rm(g->tree, &g->admin, "bob", "hidden/x", NULL), 0, "revoked");
	is_int(push_simple(g->tree, &g->admin, "hidden/x", "f", "f", &d, NULL), 0, "one that is none of his business");
	after = content_read(content, data, sizeof(data), content_size(content), NULL);
	is_int(after, before, "what was there is read still, and no more");
	is_int(node_open(g->tree, &bob, node, &content, NULL, NULL), -ENOENT, "nor opened again");
}

static void test_expiry(struct registry *g)
{
	struct tree_person_change soon = TREE_PERSON_STAYS;
	struct err err = ERR_INIT;
	struct cred erin;

	is_int(add_person(g, "erin", SETTING_INHERIT), 0, "a user");
	erin = as(g, "erin");
	is_int(permit(g->tree, &erin, ACTION_PULL, "pub/web", NULL), 0, "may pull");
	soon.set_expires = true;
	soon.expires = timestamp_now() + 200 * INT64_C(1000000);
	is_int(tree_person_set(g->tree, &g->admin, "erin", &soon, NULL), 0, "for a moment");
	is_int(permit(g->tree, &erin, ACTION_PULL, "pub/web", NULL), 0, "longer");
	while (timestamp_now() <= soon.expires)
		clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){ soon.expires / 1000000000, soon.expires % 1000000000 + 1 },
				NULL);
	is_int(permit(g->tree, &erin, ACTION_PULL, "pub/web", &err), -EACCES, "%s", err.text);
}

/* ---- Logging in ---- */

static void test_login(struct registry *g)
{
	auto_tree_login struct tree_login in = { .scopes = NULL }, none = { .scopes = NULL }, robot = { .scopes = NULL };
	char secret[SECRET_TEXT_MAX + 1];
	struct err err = ERR_INIT, other = ERR_INIT;

	is_int(tree_login(g->tree, "alice", PASSWORD, "test", &in, &err), 0, "alice %s", err.text);
	ok(in.cred.kind == CRED_SUBJECT && streq(in.cred.name, "alice") && !in.cred.token && !in.cred.scopes, "is alice");
	is_int(tree_login(g->tree, "alice", "a passwordd of theirs", "test", &none, &err), -EACCES, "a wrong password");
	is_int(tree_login(g->tree, "nobody", PASSWORD, "test", &none, &other), -EACCES, "a wrong name");
	is_str(err.text, other.text, "in the same words");
	is_int(tree_login(g->tree, "@devs", "", "test", &none, &err), -EACCES, "a group can't");
	is_int(tree_login(g->tree, "NO NAME", PASSWORD, "test", &none, &err), -EACCES, "nor what is no name");
	is_int(tree_token_add(g->tree, &g->admin, "+ci", "laptop", "repository:shop/web:push", 0, secret, &err), 0, "a token %s",
	       err.text);
	is_int(tree_login(g->tree, "+ci", secret, "test", &robot, &err), 0, "a robot, by its secret %s", err.text);
	is_int(permit(g->tree, &robot.cred, ACTION_PUSH, "shop/web", &err), 0, "may push");
	is_int(permit(g->tree, &robot.cred, ACTION_PUSH, "shop/deep/web", &err), -EACCES, "%s", err.text);
	is_int(tree_login(g->tree, "alice", secret, "test", &none, &err), -EACCES, "not under another's name");
	is_int(tree_login_secret(g->tree, secret, "test", &none, &err), 0, "without a name");
	is_str(none.cred.name, "+ci", "it says whose");
	is_int(tree_token_add(g->tree, &g->admin, "+ci", "laptop", NULL, 0, secret, &err), -EEXIST, "%s", err.text);
	is_str(secret, "", "and there is no secret");
	is_int(tree_token_rm(g->other, &g->admin, "+ci", "laptop", NULL), 0, "the token is removed");
	is_int(permit(g->tree, &robot.cred, ACTION_PUSH, "shop/web", &err), -EACCES, "at once: %s", err.text);
	is_int((int)err.reason, ERR_UNAUTHORIZED, "a login is needed");
	is_int(tree_login_check(g->tree, &robot.cred, &err), -EACCES, "it isn't renewed");
	is_int(tree_login_check(g->tree, &in.cred, &err), 0, "the other one is");
}

/* ---- Who may administer ---- */

static int ignore_person(void *arg, const struct tree_person *p)
{
	(void)arg;
	(void)p;
	return 0;
}

static void test_own(struct registry *g)
{
	struct tree_person_change change = TREE_PERSON_STAYS;
	auto_tree_login struct tree_login in = { .scopes = NULL }, by_token = { .scopes = NULL };
	char secret[SECRET_TEXT_MAX + 1];
	struct err err = ERR_INIT;
	const struct cred nobody = cred_anonymous("test");

	is_int(tree_login(g->tree, "alice", PASSWORD, "test", &in, &err), 0, "alice %s", err.text);
	is_int(tree_person_show(g->tree, &in.cred, "alice", ignore_person, NULL, &err), 0, "sees herself");
	is_int(tree_person_show(g->tree, &in.cred, "bob", ignore_person, NULL, &err), -EACCES, "nobody else");
	is_int(tree_person_show(g->tree, &nobody, "bob", ignore_person, NULL, &err), -EACCES, "%s", err.text);
	is_int((int)err.reason, ERR_UNAUTHORIZED, "who isn't logged in");
	is_int(tree_person_list(g->tree, &in.cred, PRINCIPAL_USER, ignore_person, NULL, &err), -EACCES, "nor all");
	is_int(add_person(g, "alice", SETTING_NO), -EEXIST, "there is an alice");
	change.password = "another password";
	is_int(tree_person_set(g->tree, &in.cred, "bob", &change, &err), -EACCES, "not another's password");
	is_int(tree_person_set(g->tree, &in.cred, "alice", &change, &err), 0, "her own");
	change.administrator = SETTING_YES;
	is_int(tree_person_set(g->tree, &in.cred, "alice", &change, &err), -EACCES, "but no administrator: %s", err.text);
	is_int(tree_token_add(g->tree, &in.cred, "alice", "mine", NULL, 0, secret, &err), 0, "a token of her own");
	is_int(tree_login(g->tree, "alice", secret, "test", &by_token, &err), 0, "with which she comes back");
	is_int(tree_token_add(g->tree, &by_token.cred, "alice", "more", NULL, 0, secret, &err), -EACCES, "makes no others");
	is_int(tree_person_set(g->tree, &by_token.cred, "alice", &change, &err), -EACCES, "and changes no password");
	is_int(tree_grant_set(g->tree, &in.cred, "bob", "own/x", ACTION_PULL, &err), 0, "she grants what she owns %s", err.text);
	is_int(tree_grant_set(g->tree, &in.cred, "bob", "own/*", ACTION_PULL, &err), 0, "by patterns within it %s", err.text);
	is_int(tree_grant_set(g->tree, &in.cred, "bob", "**", ACTION_PULL, &err), -EACCES, "not beyond it: %s", err.text);
	is_int(tree_grant_set(g->tree, &in.cred, "bob", "shop/web", ACTION_PULL, &err), -EACCES, "nor where she may only push");
	is_int(tree_grant_set(g->tree, &in.cred, "bob", "hidden/x", ACTION_PULL, &err), -ENOENT, "nor what she doesn't see");
	is_int(tree_visibility_set(g->tree, &in.cred, "own/x", true, &err), 0, "she publishes her own");
	is_int(tree_visibility_set(g->tree, &in.cred, "shop/web", true, &err), -EACCES, "nothing else");
	is_int(tree_repo_add(g->tree, &in.cred, "own/made", &err), 0, "she makes one there");
	is_int(tree_repo_add(g->tree, &in.cred, "elsewhere", &err), -ENOENT, "not elsewhere");
	change = (struct tree_person_change)TREE_PERSON_STAYS;
	change.administrator = SETTING_NO;
	is_int(tree_person_set(g->tree, &g->admin, "root", &change, &err), -EBUSY, "%s", err.text);
	is_int(tree_person_rm(g->tree, &g->admin, "root", &err), -EBUSY, "the last one stays");
}

static void test_creation(struct registry *g)
{
	const struct cred bob = as(g, "bob");
	struct tree_namespace ns = { SETTING_YES, SETTING_NO };
	struct digest d;
	struct err err = ERR_INIT;
	bool public = true;

	is_int(push_text(g->tree, &bob, "shop/new", "x", &d, &err), 0, "a push makes one %s", err.text);
	is_int(tree_visibility_get(g->tree, &bob, "shop/new", &public, &err), 0, "which");
	ok(!public, "is private");
	is_int(tree_namespace_set(g->tree, &bob, "shop", &ns, &err), -EACCES, "not for bob to change: %s", err.text);
	is_int(tree_namespace_set(g->tree, &g->admin, "shop", &ns, &err), 0, "no more of them");
	is_int(push_text(g->tree, &bob, "shop/other", "x", &d, &err), -EACCES, "%s", err.text);
	is_int((int)err.reason, ERR_DENIED, "is denied");
	is_int(push_text(g->tree, &bob, "shop/new", "y", &d, &err), 0, "what is there is pushed to %s", err.text);
	is_int(push_text(g->tree, &g->admin, "shop/other", "x", &d, &err), 0, "an administrator's push makes one");
	is_int(tree_visibility_get(g->tree, &bob, "shop/other", &public, &err), 0, "which");
	ok(public, "is public, as its namespace says");
	is_int(tree_repo_add_visible(g->tree, &g->admin, "shop/secret", SETTING_NO, &err), 0, "one on purpose");
	is_int(tree_visibility_get(g->tree, &bob, "shop/secret", &public, &err), 0, "which");
	ok(!public, "is private, as was said");
	is_int(tree_repo_add(g->tree, &g->admin, "shop/deep/er", &err), 0, "one further below");
	is_int(tree_visibility_get(g->tree, &bob, "shop/deep/er", &public, &err), 0, "which");
	ok(public, "has it from further above");
	is_int(tree_namespace_get(g->tree, &g->admin, "shop/deep", &ns, &err), 0, "a namespace");
	ok(ns.public == SETTING_INHERIT && ns.push_creates == SETTING_INHERIT, "says nothing itself");
}

/* ---- Why ---- */

static int add_access(void *arg, const struct tree_access *a)
{
	struct buf *b = arg;
	char text[ACTIONS_TEXT_MAX + 1];

	buf_addf(b, "%s%s:%s:%s%s%s", b->len ? " " : "", a->who, actions_format(a->actions, text), a->pattern,
		 a->group ? "/" : "", a->group ? a->group : "");
	return 0;
}

static void is_access(struct registry *g, const char *repo, const char *who, const char *want)
{
	auto_buf struct buf b = BUF_INIT;

	is_int(tree_access_explain(g->tree, &g->admin, repo, who, add_access, &b, NULL), 0, "explained");
	is_str(b.data, want, "%s %s", repo ? repo : "anywhere", who ? who : "everyone");
}

static void test_explain(struct registry *g)
{
	is_access(g, "pub/web", NULL, "anonymous:pull:pub/web root:pull,push,delete,admin:**");
	is_access(g, "shop/web", NULL,
		  "root:pull,push,delete,admin:** +ci:push:shop/web bob:pull,push,delete:shop/**/@devs alice:pull,push:shop/*");
	is_access(g, "shop/web", "bob", "bob:pull,push,delete:shop/**/@devs");
	is_access(g, NULL, "alice", "alice:pull,push,delete,admin:own/** alice:pull,push:shop/*");
	is_access(g, "hidden/x", "anonymous", "");
	is_access(g, "hidden/x", "carol", "");
}

static void test_policies(struct registry *g)
{
	static const char good[] = "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"cr:Pull*\",\"cr:PushRepository\"],"
				   "\"Resource\":[\"acs:cr:*:*:repository/i/ram/*\",\"acs:cr:*:*:repository/i/ram2/x\"]}]}";
	static const char bad[] = "{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"cr:*\",\"Resource\":\"*\"},"
				  "{\"Effect\":\"Deny\",\"Action\":\"cr:*\",\"Resource\":\"acs:cr:*:*:repository/i/a/b\"}]}";
	struct err err = ERR_INIT;

	is_int(tree_grant_policy(g->tree, &g->admin, "carol", bad, strlen(bad), "policy bad", false, &err), -EINVAL, "%s", err.text);
	is_access(g, NULL, "carol", "");
	is_int(tree_grant_policy(g->tree, &g->admin, "carol", good, strlen(good), "policy good", true, &err), 0, "a dry run");
	is_access(g, NULL, "carol", "");
	is_int(tree_grant_policy(g->tree, &g->admin, "carol", good, strlen(good), "policy good", false, &err), 0, "a policy");
	is_access(g, NULL, "carol", "carol:pull,push:ram/* carol:pull,push:ram2/x");
	is_int(tree_grant_policy(g->tree, &g->admin, "ghost", good, strlen(good), "x", false, &err), -ENOENT, "%s", err.text);
}

/* ---- The first administrator, events ---- */

static void test_first(const struct scratch *tmp)
{
	auto_free char *dir = scratch_path(tmp->dir, "first");
	char made[SECRET_PASSWORD_LEN + 1], again[SECRET_PASSWORD_LEN + 1];
	auto_tree_login struct tree_login in = { .scopes = NULL };
	struct tree *t;
	struct err err = ERR_INIT;

	is_int(tree_open(dir, TREE_CREATE, &t, &err), 0, "a store %s", err.text);
	is_int(tree_first_administrator(t, NULL, made, &err), 0, "its administrator %s", err.text);
	is_int((int)strlen(made), SECRET_PASSWORD_LEN, "has a password");
	is_int(tree_first_administrator(t, "something else", again, &err), 0, "once");
	is_str(again, "", "only");
	is_int(tree_login(t, "admin", made, "test", &in, &err), 0, "with which it logs in %s", err.text);
	is_int(permit(t, &in.cred, ACTION_ADMIN, NULL, &err), 0, "and administers");
	tree_close(t);
}

static void test_events(struct registry *g)
{
	auto_reader struct meta_reader rd = { .meta = g->tree->meta };
	int64_t n = -1;

	is_int(meta_read_begin(g->tree->meta, &rd.db, NULL), 0, "a reader");
	ok(db_get_int(rd.db, &n, NULL, "SELECT COUNT(*) FROM event WHERE about LIKE 'alice shop/% pull,push'", "") > 0 && n == 1,
	   "a grant has its event");
	ok(db_get_int(rd.db, &n, NULL, "SELECT COUNT(*) FROM event WHERE about LIKE '%rgs_%' OR about LIKE '%password%'", "") > 0 &&
		   !n,
	   "no secret is in one");
	ok(db_get_int(rd.db, &n, NULL, "SELECT COUNT(*) FROM event WHERE kind = 'visibility' AND repository = 'pub/web'", "") > 0 &&
		   n == 1,
	   "visibility, too");
}

/* ---- Limits ---- */

static int exec(struct db *db, void *arg, struct err *err)
{
	return db_exec(db, arg, err);
}

/* Rows of its own making, of a principal and numbered from 1. */
static int fill(struct registry *g, const char *who, const char *insert, int n)
{
	auto_buf struct buf sql = BUF_INIT;

	buf_addf(&sql,
		 "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d),"
		 " p AS (SELECT id FROM principal WHERE name = '%s') %s FROM n, p",
		 n, who, insert);
	return meta_write(g->tree->meta, true, exec, sql.data, NULL);
}

static void test_limits(struct registry *g)
{
	char secret[SECRET_TEXT_MAX + 1], group[32];
	auto_buf struct buf scopes = BUF_INIT;
	struct err err = ERR_INIT;

	is_int(add_person(g, "max", SETTING_INHERIT) + add_person(g, "@last", SETTING_INHERIT) +
		       add_person(g, "@more", SETTING_INHERIT),
	       0, "a user");
	is_int(fill(g, "max",
		    "INSERT INTO access_grant(principal_id, pattern, actions, origin, created, who)"
		    " SELECT p.id, 'g' || i, 1, '', 0, ''",
		    LIMIT_GRANTS - 1),
	       0, "one grant fewer than LIMIT_GRANTS");
	is_int(grant(g, "max", "one/more", "pull"), 0, "one more");
	is_int(grant(g, "max", "too/many", "pull"), -EINVAL, "and one too many");
	is_int(grant(g, "max", "one/more", "push"), 0, "what is there may be changed");
	is_int(fill(g, "max",
		    "INSERT INTO token(principal_id, name, hash, created, expires)"
		    " SELECT p.id, 't' || i, CAST('h' || i AS BLOB), 0, 0",
		    LIMIT_TOKENS - 1),
	       0, "one token fewer than LIMIT_TOKENS");
	is_int(tree_token_add(g->tree, &g->admin, "max", "more", NULL, 0, secret, &err), 0, "one more %s", err.text);
	is_int(tree_token_add(g->tree, &g->admin, "max", "many", NULL, 0, secret, &err), -EINVAL, "%s", err.text);
	is_int(fill(g, "max",
		    "INSERT INTO principal(kind, name, created) SELECT 2, '@m' || i, 0",
		    LIMIT_GROUPS - 1),
	       0, "groups");
	is_int(fill(g, "max",
		    "INSERT INTO member(group_id, principal_id)"
		    " SELECT (SELECT id FROM principal WHERE name = '@m' || i), p.id",
		    LIMIT_GROUPS - 1),
	       0, "in one fewer than LIMIT_GROUPS");
	snprintf(group, sizeof(group), "@last");
	is_int(tree_member_add(g->tree, &g->admin, group, "max", &err), 0, "one more %s", err.text);
	is_int(tree_member_add(g->tree, &g->admin, "@more", "max", &err), -EINVAL, "%s", err.text);
	while (scopes.len < LIMIT_SCOPES_TEXT)
		buf_addc(&scopes, ' ');
	is_int(tree_token_add(g->tree, &g->admin, "+ci", "wide", scopes.data, 0, secret, &err), 0, "LIMIT_SCOPES_TEXT bytes %s",
	       err.text);
	buf_addc(&scopes, ' ');
	is_int(tree_token_add(g->tree, &g->admin, "+ci", "wider", scopes.data, 0, secret, &err), -EINVAL, "%s", err.text);
}

/* ---- From several threads ---- */

#define ASKERS 4
#define TOGGLES 100

struct asker {
	struct registry *g;
	struct cred cred;
	bool *stop;	/* atomic */
	int odd;	/* answers that can't be */
};

static void *ask_on(void *arg)
{
	struct asker *a = arg;

	while (!__atomic_load_n(a->stop, __ATOMIC_ACQUIRE)) {
		struct err err = ERR_INIT;
		int r = permit(a->g->tree, &a->cred, ACTION_PULL, "hidden/x", &err);

		a->odd += r && err.reason != ERR_NAME_UNKNOWN;
		a->odd += permit(a->g->tree, &a->cred, ACTION_PULL, "pub/web", NULL) != 0;
	}
	return NULL;
}

/* Whoever asks meanwhile: after a change has returned, each question has the new answer. */
static void test_threads(struct registry *g)
{
	bool stop = false;
	struct asker askers[ASKERS];
	pthread_t threads[ASKERS];
	const struct cred carol = as(g, "carol");
	int wrong = 0, odd = 0;

	for (int i = 0; i < ASKERS; i++) {
		askers[i] = (struct asker){ .g = g, .cred = carol, .stop = &stop };
		if (pthread_create(&threads[i], NULL, ask_on, &askers[i]))
			abort();
	}
	for (int i = 0; i < TOGGLES; i++) {
		wrong += tree_grant_set(i % 2 ? g->tree : g->other, &g->admin, "carol", "hidden/*", ACTION_PULL, NULL) != 0;
		wrong += permit(g->tree, &carol, ACTION_PULL, "hidden/x", NULL) != 0;
		wrong += tree_grant_rm(i % 3 ? g->tree : g->other, &g->admin, "carol", "hidden/*", NULL) != 0;
		wrong += permit(g->tree, &carol, ACTION_PULL, "hidden/x", NULL) != -ENOENT;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (int i = 0; i < ASKERS; i++) {
		pthread_join(threads[i], NULL);
		odd += askers[i].odd;
	}
	is_int(wrong, 0, "each change held when it had returned");
	is_int(odd, 0, "and nobody had an answer that can't be");
}

/* What is asked again and again, and nothing changes. */
static void test_speed(struct registry *g)
{
	const struct cred alice = as(g, "alice");
	int64_t begin = timestamp_now(), each;
	int r = 0;

	for (int i = 0; !r && i < 100000; i++)
		r = permit(g->tree, &alice, ACTION_PULL, "shop/web", NULL);
	each = (timestamp_now() - begin) / 100000;
	ok(!r && each < 5000, "a question that was asked before takes %" PRId64 " ns", each);
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *dir = NULL;
	struct registry g = { .admin = cred_administrator("test") };

	if (!scratch_make(&tmp))
		return 1;
	dir = scratch_path(tmp.dir, "access");
	if (!is_int(tree_open(dir, TREE_CREATE, &g.tree, NULL), 0, "a registry") ||
	    !is_int(tree_open(dir, 0, &g.other, NULL), 0, "opened twice") || !make_world(&g))
		return 1;
	test_matrix(&g);
	test_history(&g);
	test_immutable(&g);
	test_alike(&g);
	test_scoped(&g);
	test_lists(&g);
	test_nodes(&g);
	test_numbers(&g);
	test_explain(&g);
	test_policies(&g);
	test_blob_nodes(&g);
	test_blob_mounts(&g);
	test_inside(&g);
	test_login(&g);
	test_registry(&g);
	test_undo(&g);
	test_revocation(&g);
	test_open_events(&g);
	test_expiry(&g);
	test_threads(&g);
	test_speed(&g);
	test_events(&g);
	test_own(&g);
	test_creation(&g);
	test_limits(&g);
	tree_close(g.tree);
	tree_close(g.other);
	test_first(&tmp);
	return done_testing();
}
