/*
 * test_node.c: the tree as nodes: whatever can be listed can be found, read and resolved.
 */
#include "fs/base/base.h"
#include "fs/tree/grants.h"
#include "fs/tree/kind.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <sys/stat.h>

static struct cred cred(void)
{
	return cred_administrator("test");
}

/* ---- The table ---- */

static void test_kinds(void)
{
	for (int i = 0; i < KIND_COUNT; i++) {
		const struct kind *k = kind_of((enum node_kind)i);
		bool dir = S_ISDIR(k->mode), link = S_ISLNK(k->mode);

		ok((int)k->kind == i, "kind %d stands in its place", i);
		ok(!k->name || S_ISDIR(kind_of(k->parent)->mode), "its parent is a directory");
		ok(dir || (!k->find && !k->list), "only a directory has children");
		ok(!k->find == !k->list, "found and listed go together");
		ok(link == (k->link != NULL), "a link has a target, and nothing else has");
		ok(!(k->text && (dir || link)), "only a file has a text");
		ok(k->name || k->kind == KIND_ROOT || !k->resolve, "an alias has a name");
	}
}

/* ---- What the registry holds ---- */

static int push_index(struct tree *t, const struct cred *c, const char *repo, const char *tag,
		      const char *const *platforms, const struct digest *children, size_t n,
		      struct digest *out, struct err *err)
{
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	int r;

	buf_adds(&json, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"manifests\":[");
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(&json, ',');
		add_descriptor_json(&json, MEDIA_OCI_MANIFEST, &children[i], 1, platforms[i]);
	}
	buf_adds(&json, "]}");
	r = tree_image_push(t, c, repo, tag, NULL, json.data, json.len, &pushed, err);
	if (!r)
		*out = pushed.digest;
	return r;
}

/* Platforms whose names would be the same, if nobody took care. */
static const char *const platforms[] = {
	"{\"os\":\"linux\",\"architecture\":\"amd64\"}",
	"{\"os\":\"linux\",\"architecture\":\"amd64.3\"}",
	"{\"os\":\"linux\",\"architecture\":\"amd64\"}",
	"{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}",
	"{\"os\":\"linux\",\"architecture\":\"arm64-v8\"}",
	"{\"os\":\"../..\",\"architecture\":\"x\"}",
	NULL,
	NULL,
	"{\"os\":\"unknown\",\"architecture\":\"unknown\"}",
};

static const char config[] = "{\"os\":\"linux\",\"architecture\":\"amd64\",\"created\":"
			     "\"2024-01-02T03:04:05Z\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":["
			     "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\","
			     "\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]},"
			     "\"history\":[{\"created_by\":\"FROM base\"},{\"created_by\":\"RUN make\"}]}";
/* The same layer twice. */
static const char *const layers[] = { "base layer", "upper", "base layer" };

static void fill(struct tree *t)
{
	const struct cred c = cred();
	auto_buf struct buf json = BUF_INIT;
	struct digest children[ARRAY_SIZE(platforms)], d = { 0 };
	struct tree_pushed pushed;
	struct err err = ERR_INIT;
	char id[TREE_UPLOAD_ID_MAX + 1], text[DIGEST_TEXT_MAX + 1];
	int r = push_layers(t, &c, "a", "1.0", config, layers, 3, &d, &err);

	r = r ? r : push_layers(t, &c, "a/b/c", "x", config, layers, 2, &d, &err);
	for (size_t i = 0; !r && i < ARRAY_SIZE(platforms); i++)
		r = push_simple(t, &c, "index", "latest", platforms[i] ? platforms[i] + 6 : "none", &children[i],
				&err);
	r = r ? r : push_index(t, &c, "index", "latest", platforms, children, ARRAY_SIZE(platforms), &d, &err);
	r = r ? r : tree_tag_set(t, &c, "index", "again", &d, &err);
	/* A manifest and a blob by SHA-512. */
	r = r ? r : push_blob(t, &c, "long", "512", 3, DIGEST_SHA512, &d, &err);
	r = r ? r : push_text(t, &c, "long", config, &d, &err);
	r = r ? r : image_json(config, NULL, 0, &json);
	r = r ? r : digest_of(DIGEST_SHA512, json.data, json.len, &d, &err);
	r = r ? r : tree_image_push(t, &c, "long", digest_format(&d, text), NULL, json.data, json.len, &pushed,
				    &err);
	r = r ? r : tree_tag_set(t, &c, "long", "t", &d, &err);
	r = r ? r : tree_upload_begin(t, &c, "only/uploads", DIGEST_SHA256, id, &err);
	is_int(r, 0, "a registry with something of everything %s", err.text);
}

/* ---- The walk ---- */

#define ENTRIES 128

struct entry {
	char name[NAME_MAX + 1];
	struct node_attr attr;
	uint64_t next;
};

struct entries {
	struct entry *at;
	size_t count;
	size_t stop;	/* stops after so many; 0: never */
	int answer;	/* how */
};

static int add_entry(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	struct entries *l = arg;

	if (l->count == ENTRIES || (l->stop && l->count >= l->stop))
		return l->answer;
	snprintf(l->at[l->count].name, sizeof(l->at->name), "%s", name);
	l->at[l->count].attr = *attr;
	l->at[l->count++].next = next;
	return 0;
}

static bool attr_equal(const struct node_attr *a, const struct node_attr *b)
{
	return a->id == b->id && a->mode == b->mode && a->links == b->links && a->size == b->size &&
	       a->mtime == b->mtime && a->attr_forever == b->attr_forever &&
	       a->data_forever == b->data_forever;
}

struct places {
	uint64_t id, links, seen;
};

struct walk {
	struct tree *tree;
	struct places blobs[256];
	size_t blob_count, nodes, links;
	int bad;	/* of each kind a line is printed */
};

static void complain(struct walk *w, const char *path, const char *name, const char *what)
{
	printf("# %s/%s: %s\n", path, name, what);
	w->bad++;
}

static int lookup(struct walk *w, uint64_t parent, const char *name, struct node_attr *out)
{
	const struct cred c = cred();

	return node_lookup(w->tree, &c, parent, name, out, NULL, NULL);
}

/* Follows a path from the root; ".." goes up. 0 or a negative errno. */
static int resolve(struct walk *w, const char *path, uint64_t *out)
{
	const struct cred c = cred();
	uint64_t node = NODE_ROOT;
	int r = 0;

	while (!r && *path) {
		size_t n = strcspn(path, "/");
		char name[NAME_MAX + 1];
		struct node_attr a;

		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		path += n + (path[n] == '/');
		if (!*name)
			continue;
		if (streq(name, "..")) {
			r = node == NODE_ROOT ? -EXDEV : node_parent(w->tree, &c, node, &node, NULL);
			continue;
		}
		r = lookup(w, node, name, &a);
		node = a.id;
	}
	*out = node;
	return r;
}

static void look_at_link(struct walk *w, const char *path, const struct entry *e)
{
	const struct cred c = cred();
	auto_buf struct buf target = BUF_INIT, whole = BUF_INIT;
	uint64_t node;

	w->links++;
	if (node_readlink(w->tree, &c, e->attr.id, &target, NULL))
		return complain(w, path, e->name, "can't be read");
	if ((int64_t)target.len != e->attr.size)
		complain(w, path, e->name, "its size isn't its target's length");
	buf_addf(&whole, "%s/%s", path, target.data);
	if (resolve(w, whole.data, &node))
		complain(w, path, e->name, target.data);
}

static void look_at_file(struct walk *w, const char *path, const struct entry *e)
{
	const struct cred c = cred();
	auto_content struct content *content = NULL;
	char data[8192];

	if (node_open(w->tree, &c, e->attr.id, &content, NULL, NULL))
		return complain(w, path, e->name, "can't be opened");
	if (content_size(content) != e->attr.size)
		complain(w, path, e->name, "another size than was said");
	if (content_read(content, data, sizeof(data), 0, NULL) != MIN(e->attr.size, (int64_t)sizeof(data)))
		complain(w, path, e->name, "can't be read");
	if (e->attr.id >> NODE_KIND_SHIFT != KIND_BLOB)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(w->blobs); i++) {
		if (i < w->blob_count && w->blobs[i].id != e->attr.id)
			continue;
		if (i == w->blob_count)
			w->blobs[w->blob_count++] = (struct places){ e->attr.id, e->attr.links, 0 };
		w->blobs[i].seen++;
		return;
	}
}

static const char *const hostile[] = {
	"", ".", "..", "/", "a/b", "_tags/x", "sha256:", "-1", "00", "0x1", " 1", "1 ", "%2e%2e", "*",
	"\xff\xfe", "tag-1", "image-1", "Cu", "CuXXXXXX", "_nothing",
	"linux-amd64+-9223372036854775808", "linux-amd64+ 3", "linux-amd64+03", "unknown+9223372036854775808", "+1",
};

static void look_for_hostile(struct walk *w, const char *path, uint64_t dir)
{
	char longest[301];
	struct node_attr a;

	memset(longest, 'a', 300);
	longest[300] = '\0';
	if (lookup(w, dir, longest, &a) != -ENOENT)
		complain(w, path, "aaa...", "is there");
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++)
		if (lookup(w, dir, hostile[i], &a) != -ENOENT)
			complain(w, path, hostile[i], "is there");
}

/* The same in steps of one, and with whoever reads stopping by a negative answer. */
static void list_again(struct walk *w, const char *path, uint64_t dir, const struct entries *all)
{
	const struct cred c = cred();
	auto_free struct entry *one = calloc(ENTRIES, sizeof(*one));
	uint64_t cookie = 0;
	size_t i;

	for (i = 0;; i++) {
		struct entries l = { .at = one, .stop = 1, .answer = i % 2 ? 1 : -EIO };

		if (node_list(w->tree, &c, dir, cookie, add_entry, &l, NULL))
			complain(w, path, "", "a listing that is ended isn't 0");
		if (!l.count)
			break;
		if (i >= all->count || !streq(one[0].name, all->at[i].name) ||
		    !attr_equal(&one[0].attr, &all->at[i].attr))
			return complain(w, path, one[0].name, "in steps of one another entry");
		cookie = one[0].next;
	}
	if (i != all->count)
		complain(w, path, "", "in steps of one fewer entries");
}

static void walk_directory(struct walk *w, const char *path, uint64_t dir, int depth);

/* rootfs/ and tree/: the layers here are no archives, so they are directories that can't be read; but for that of an image
 * that has none, which is empty. */
static void look_at_door(struct walk *w, const char *path, const struct entry *e)
{
	const struct cred c = cred();
	struct entry one;
	struct entries all = { .at = &one, .stop = 1 };
	struct node_attr got;
	struct err err = ERR_INIT;

	if (!S_ISDIR(e->attr.mode) || node_getattr(w->tree, &c, e->attr.id, &got, NULL) || !S_ISDIR(got.mode) ||
	    got.id != e->attr.id)
		complain(w, path, e->name, "is no directory");
	if (node_list(w->tree, &c, e->attr.id, 0, add_entry, &all, &err) == 0 && !all.count)
		return;
	if (!strstr(err.text, "can't be looked into"))
		complain(w, path, e->name, "can be read, or doesn't say why not");
	if (node_lookup(w->tree, &c, e->attr.id, "x", &got, NULL, NULL) != -EIO)
		complain(w, path, e->name, "can be looked into");
}

static void look_at(struct walk *w, const char *path, uint64_t dir, const struct entry *e, int depth)
{
	const struct cred c = cred();
	auto_buf struct buf below = BUF_INIT;
	struct node_attr found, got;
	uint64_t parent;

	w->nodes++;
	if (node_is_inside(e->attr.id))
		return look_at_door(w, path, e);
	if (lookup(w, dir, e->name, &found) || !attr_equal(&found, &e->attr))
		complain(w, path, e->name, "looked up it is another");
	if (node_getattr(w->tree, &c, e->attr.id, &got, NULL) || !attr_equal(&got, &e->attr))
		complain(w, path, e->name, "by its number it is another");
	if (S_ISLNK(e->attr.mode))
		return look_at_link(w, path, e);
	if (S_ISREG(e->attr.mode))
		return look_at_file(w, path, e);
	if (node_parent(w->tree, &c, e->attr.id, &parent, NULL) || parent != dir)
		complain(w, path, e->name, "its parent is another");
	buf_addf(&below, "%s/%s", path, e->name);
	walk_directory(w, below.data, e->attr.id, depth + 1);
}

static void walk_directory(struct walk *w, const char *path, uint64_t dir, int depth)
{
	const struct cred c = cred();
	auto_free struct entry *at = calloc(ENTRIES, sizeof(*at));
	struct entries all = { .at = at, .answer = 1 };
	struct err err = ERR_INIT;

	if (!at || depth > 12)
		return complain(w, path, "", "too deep");
	if (node_list(w->tree, &c, dir, 0, add_entry, &all, &err))
		return complain(w, path, "", err.text);
	for (size_t i = 0; i < all.count; i++) {
		for (size_t j = 0; j < i; j++)
			if (streq(at[i].name, at[j].name))
				complain(w, path, at[i].name, "is there twice");
		look_at(w, path, dir, &at[i], depth);
	}
	list_again(w, path, dir, &all);
	look_for_hostile(w, path, dir);
}

static void test_walk(struct tree *t, size_t nodes, size_t links)
{
	auto_free struct walk *w = calloc(1, sizeof(*w));
	int wrong = 0;

	w->tree = t;
	walk_directory(w, "", NODE_ROOT, 0);
	is_int(w->bad, 0, "%zu nodes, %zu of them links: all as they say", w->nodes, w->links);
	ok(w->nodes > nodes && w->links >= links, "as many as there should be");
	for (size_t i = 0; i < w->blob_count; i++)
		wrong += w->blobs[i].links != w->blobs[i].seen;
	is_int(wrong, 0, "%zu blobs are seen as often as they have links", w->blob_count);
}

/* ---- Numbers ---- */

static uint64_t number(enum node_kind kind, int position, int64_t row)
{
	return (uint64_t)kind << NODE_KIND_SHIFT | (uint64_t)position << NODE_ROW_BITS | (uint64_t)row;
}

static void test_numbers(struct tree *t)
{
	const struct cred c = cred();
	struct node_attr a;
	auto_content struct content *content = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct walk w = { .tree = t };
	uint64_t tags, repo;
	const uint64_t odd[] = {
		0, 2, UINT64_MAX, number(KIND_COUNT, 0, 1), number(KIND_REPO, 0, 0),
		number(KIND_REPO, 0, 123456), number(KIND_REPO, 5, 1), number(KIND_VERSION, 0, 7),
		number(KIND_ROOT, 1, 0), number(KIND_TAG, 0, 999999), number(KIND_PENDING, 9, 1),
		number(KIND_PENDING, 5000, 1), number(KIND_BLOB, 0, 999999),
	};

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		is_int(node_getattr(t, &c, odd[i], &a, NULL), -ENOENT, "no node %" PRIx64, odd[i]);
		is_int(node_open(t, &c, odd[i], &content, NULL, NULL), -ENOENT, "to open");
		is_int(node_readlink(t, &c, odd[i], &b, NULL), -ENOENT, "or to read");
	}
	is_int(node_parent(t, &c, NODE_ROOT, &repo, NULL), 0, "the root's parent");
	is_int((int64_t)repo, NODE_ROOT, "is itself");
	is_int(resolve(&w, "a", &repo), 0, "a repository");
	is_int(resolve(&w, "a/_tags", &tags), 0, "its tags");
	is_int(tree_repo_rm(t, &c, "a", NULL), 0, "is removed, but there is one below");
	is_int(node_getattr(t, &c, repo, &a, NULL), 0, "it is a namespace now");
	is_int(lookup(&w, repo, "_tags", &a), -ENOENT, "without tags");
	is_int(node_getattr(t, &c, tags, &a, NULL), -ENOENT, "by their number, too");
}

/* ---- A listing while things change ---- */

static void test_cookies(struct tree *t)
{
	const struct cred c = cred();
	auto_free struct entry *first = calloc(ENTRIES, sizeof(*first)), *rest = calloc(ENTRIES, sizeof(*rest));
	struct entries begin = { .at = first, .stop = 3, .answer = 1 }, end = { .at = rest };
	struct walk w = { .tree = t };
	struct digest d = { 0 }, other = { 0 };
	uint64_t tags;
	int r = push_simple(t, &c, "list", "t0", "list", &d, NULL), twice = 0, there = 0;

	r = r ? r : push_simple(t, &c, "list", "other", "another", &other, NULL);
	for (int i = 1; !r && i < 10; i++) {
		char tag[8];

		snprintf(tag, sizeof(tag), "t%d", i);
		r = tree_tag_set(t, &c, "list", tag, &d, NULL);
	}
	is_int(r, 0, "tags");
	is_int(resolve(&w, "list/_tags", &tags), 0, "their directory");
	is_int(node_list(t, &c, tags, 0, add_entry, &begin, NULL), 0, "three of them");
	is_int((int64_t)begin.count, 3, "are given");
	r = tree_tag_rm(t, &c, "list", first[1].name, NULL);
	r = r ? r : tree_tag_rm(t, &c, "list", "t8", NULL);
	r = r ? r : tree_tag_set(t, &c, "list", "t5", &other, NULL);
	r = r ? r : tree_tag_set(t, &c, "list", "aaa", &d, NULL);
	is_int(r, 0, "one that was given goes, one that wasn't, one moves, one comes");
	is_int(node_list(t, &c, tags, first[2].next, add_entry, &end, NULL), 0, "the others");
	for (size_t i = 0; i < end.count; i++) {
		there += rest[i].name[0] == 't';
		twice += streq(rest[i].name, "t8");
		for (size_t j = 0; j < begin.count; j++)
			twice += streq(rest[i].name, first[j].name);
	}
	is_int(twice, 0, "nothing twice, nothing that is gone");
	is_int(there, 7, "all that were there throughout");
}

/* ---- Links ---- */

static int64_t events(struct tree *t)
{
	struct tree_stats s = { 0 };
	const struct cred c = cred();

	return tree_stats(t, &c, &s, NULL) ? -1 : s.event;
}

static void is_target(struct walk *w, const char *path, const struct digest *d)
{
	const struct cred c = cred();
	auto_buf struct buf target = BUF_INIT, want = BUF_INIT;
	char hex[DIGEST_HEX_MAX + 1];
	uint64_t node;
	int r = resolve(w, path, &node);

	buf_addf(&want, "../_images/sha256/%s", digest_hex(d, hex));
	r = r ? r : node_readlink(w->tree, &c, node, &target, NULL);
	is_str(r ? NULL : target.data, want.data, "%s leads to its image", path);
}

static void test_targets(struct tree *t)
{
	static const char *const bad[] = {
		"", ".", "..", "/etc/passwd", "../_images", "../_images/", "../_images/sha256/",
		"../_images/sha256/abc", "../_images/md5/d41d8cd98f00b204e9800998ecf8427e", "../../x/_tags/y",
		"./t0", "t0/", "../_images/sha256/../sha256/x", "-x",
	};
	const struct cred c = cred(), nobody = cred_anonymous(NULL);
	struct walk w = { .tree = t };
	struct node_attr a, again;
	struct digest d = { 0 }, none;
	struct err err = ERR_INIT;
	auto_buf struct buf link = BUF_INIT;
	char hex[DIGEST_HEX_MAX + 1];
	uint64_t tags = 0, images = 0;

	is_int(push_simple(t, &c, "ln", "t0", "links", &d, NULL), 0, "an image");
	is_int(tree_visibility_set(t, &c, "ln", true, NULL), 0, "that anyone may pull");
	(void)!digest_of(DIGEST_SHA256, "none", 4, &none, NULL);
	is_int(resolve(&w, "ln/_tags", &tags) + resolve(&w, "ln/_images", &images), 0, "directories");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		is_int(node_symlink(t, &c, tags, "new", bad[i], &a, &err), -EINVAL, "no target: %s", bad[i]);
		is_int((int)err.reason, ERR_ARGUMENT, "%s", err.text);
	}
	is_int(node_symlink(t, &c, tags, "new", "nobody", &a, &err), -ENOENT, "a tag that isn't there");
	buf_addf(&link, "../_images/sha256/%s", digest_hex(&none, hex));
	is_int(node_symlink(t, &c, tags, "new", link.data, &a, &err), -ENOENT, "an image that isn't");
	buf_reset(&link);
	buf_addf(&link, "../_images/sha256/%s", digest_hex(&d, hex));
	is_int(node_symlink(t, &nobody, tags, "new", link.data, &a, &err), -EACCES, "not by anyone");
	is_int(node_symlink(t, &c, images, "new", link.data, &a, &err), -EROFS, "not anywhere");
	is_int(node_symlink(t, &c, tags, "..", link.data, &a, &err), -EINVAL, "not of any name");
	is_int(node_symlink(t, &c, tags, "t0", link.data, &a, &err), -EEXIST, "not one that is taken");
	is_int(node_symlink(t, &c, tags, "new", link.data, &a, &err), 0, "an image's path %s", err.text);
	ok(lookup(&w, tags, "new", &again) == 0 && attr_equal(&a, &again), "is what is found afterwards");
	is_target(&w, "ln/_tags/new", &d);
	is_int(node_symlink(t, &c, tags, "new2", "t0", &a, NULL), 0, "a tag beside it");
	is_target(&w, "ln/_tags/new2", &d);
	is_int(node_rename(t, &c, tags, "new2", images, "x", false, &err), -EPERM, "out of its directory");
	is_int(node_rename(t, &c, tags, "new2", tags, "new", true, &err), -EEXIST, "over one, not replacing");
	is_int(node_rename(t, &nobody, tags, "new2", tags, "new", false, &err), -EACCES, "by anyone");
	is_int(node_rename(t, &c, tags, "new2", tags, "new", false, NULL), 0, "replacing");
	is_int(lookup(&w, tags, "new2", &a), -ENOENT, "it is gone");
	is_int(node_unlink(t, &c, images, "sha256", &err), -EROFS, "nothing else can be removed");
	is_int(node_unlink(t, &nobody, tags, "new", &err), -EACCES, "not by anyone");
	is_int(node_unlink(t, &c, tags, "new", NULL), 0, "a tag can");
	is_int(node_unlink(t, &c, tags, "new", NULL), -ENOENT, "once");
}

/* `ln -sfn`: a link of a pending name, renamed. */
static void test_pending(struct tree *t, struct tree *other)
{
	const struct cred c = cred();
	struct walk w = { .tree = t }, o = { .tree = other };
	struct digest d = { 0 }, e = { 0 };
	auto_free struct entry *at = calloc(ENTRIES, sizeof(*at));
	struct entries all = { .at = at };
	struct node_attr a = { 0 }, again;
	uint64_t tags = 0;
	int64_t before;

	is_int(push_simple(t, &c, "pend", "t", "pend", &d, NULL), 0, "an image");
	is_int(push_simple(t, &c, "pend", "u", "ing", &e, NULL), 0, "another");
	is_int(resolve(&w, "pend/_tags", &tags), 0, "their tags");
	before = events(t);
	is_int(node_symlink(t, &c, tags, "CuAb12Zz", "u", &a, NULL), 0, "a pending link");
	is_int(node_symlink(t, &c, tags, "CuAb12Zz", "u", &again, NULL), -EEXIST, "once");
	ok(lookup(&w, tags, "CuAb12Zz", &again) == 0 && attr_equal(&a, &again), "is there");
	is_target(&w, "pend/_tags/CuAb12Zz", &e);
	is_int(lookup(&o, tags, "CuAb12Zz", &again), -ENOENT, "nowhere else");
	is_int(node_list(t, &c, tags, 0, add_entry, &all, NULL), 0, "the listing");
	is_int((int64_t)all.count, 2, "has only the tags");
	is_int(events(t), before, "and nothing happened");
	is_int(node_rename(t, &c, tags, "CuAb12Zz", tags, "t", true, NULL), -EEXIST, "not over a tag");
	is_int(node_rename(t, &c, tags, "CuAb12Zz", tags, "t", false, NULL), 0, "renamed to one");
	is_int(events(t), before + 1, "is one event");
	is_target(&o, "pend/_tags/t", &e);
	is_int(lookup(&w, tags, "CuAb12Zz", &again), -ENOENT, "the pending name is gone");
	is_int(node_getattr(t, &c, a.id, &again, NULL), -ENOENT, "its number, too");
	is_int(node_symlink(t, &c, tags, "CuAb12Zz", "u", &a, NULL), 0, "again");
	is_int(node_unlink(t, &c, tags, "CuAb12Zz", NULL), 0, "removed");
	is_int(lookup(&w, tags, "CuAb12Zz", &again), -ENOENT, "gone");
	is_int(events(t), before + 1, "without an event");
	/* Somebody may push a tag of such a name. */
	is_int(tree_tag_set(t, &c, "pend", "Curious1", &d, NULL), 0, "a tag that looks like one");
	is_int(node_symlink(t, &c, tags, "Curious1", "u", &a, NULL), -EEXIST, "is a name that is taken");
	is_target(&w, "pend/_tags/Curious1", &d);
}

/* As many as there may be, and one more. */
static void test_pending_limit(struct tree *t)
{
	const struct cred c = cred();
	struct walk w = { .tree = t };
	struct digest d = { 0 };
	struct err err = ERR_INIT;
	struct node_attr a;
	uint64_t tags = 0;
	char name[16];
	int r = push_simple(t, &c, "limit", "t", "limit", &d, NULL);

	r = r ? r : resolve(&w, "limit/_tags", &tags);
	for (int i = 0; !r && i < LIMIT_PENDING_LINKS; i++) {
		snprintf(name, sizeof(name), "Cu%06d", i);
		r = node_symlink(t, &c, tags, name, "t", &a, &err);
	}
	is_int(r, 0, "%d pending links %s", LIMIT_PENDING_LINKS, err.text);
	is_int(node_symlink(t, &c, tags, "Cu999999", "t", &a, &err), -EBUSY, "one more: %s", err.text);
	is_int(node_symlink(t, &c, tags, "free", "t", &a, NULL), 0, "a tag can be made");
	is_int(node_unlink(t, &c, tags, "Cu000500", NULL), 0, "one less");
	is_int(node_symlink(t, &c, tags, "Cu999999", "t", &a, NULL), 0, "one more");
}

/* ---- Attributes ---- */

static void test_attributes(struct tree *t)
{
	const struct cred c = cred();
	struct walk w = { .tree = t };
	auto_buf struct buf b = BUF_INIT, path = BUF_INIT;
	struct digest d = { 0 };
	struct statvfs st = { 0 };
	struct err err = ERR_INIT;
	char hex[DIGEST_HEX_MAX + 1], text[DIGEST_TEXT_MAX + 1];
	uint64_t node = 0;

	is_int(push_simple(t, &c, "attr", "t", "attr", &d, NULL), 0, "an image");
	buf_addf(&path, "attr/_images/sha256/%s", digest_hex(&d, hex));
	is_int(resolve(&w, path.data, &node), 0, "its directory");
	is_int(node_getxattr(t, &c, node, "user.regfs.digest", &b, NULL), 0, "has a digest");
	is_str(b.data, digest_format(&d, text), "its own");
	buf_reset(&b);
	is_int(node_getxattr(t, &c, node, "user.regfs.media-type", &b, NULL), 0, "a media type");
	is_str(b.data, MEDIA_OCI_MANIFEST, "its own");
	buf_reset(&b);
	is_int(node_getxattr(t, &c, node, "user.regfs.nothing", &b, &err), -ENODATA, "%s", err.text);
	is_int((int)err.reason, ERR_NO_ATTRIBUTE, "nothing else");
	is_int(node_getxattr(t, &c, NODE_ROOT, "security.selinux", &b, NULL), -ENODATA, "nor the root");
	is_int(node_listxattr(t, &c, node, &b, NULL), 0, "all their names");
	ok(b.len > 40 && b.data[b.len - 1] == '\0' && starts_with(b.data, "user.regfs."), "each with a NUL");
	is_int(node_statfs(t, &c, NODE_ROOT, &st, NULL), 0, "statfs");
	ok(st.f_blocks > 0, "says something");
}

/* Every directory's time, mode, and what may be remembered of it. */
static void test_forever(struct tree *t)
{
	static const struct {
		const char *path;
		bool name, attr, data;
	} rows[] = {
		{ "_registry", true, false, false },
		{ "_registry/version", false, false, false },
		{ "index/_tags", false, false, false },
		{ "index/_tags/latest", false, false, false },
		{ "index/_images", false, false, false },
		{ "index/_oci/index.json", false, false, false },
	};
	struct walk w = { .tree = t };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *dir = strdup(rows[i].path);
		char *slash = strrchr(dir, '/');
		struct node_attr a = { 0 };
		uint64_t parent = NODE_ROOT;

		if (slash)
			*slash = '\0';
		ok(!slash || resolve(&w, dir, &parent) == 0, "%s", rows[i].path);
		is_int(lookup(&w, parent, slash ? slash + 1 : dir, &a), 0, "is there");
		ok(a.name_forever == rows[i].name && a.attr_forever == rows[i].attr &&
			   a.data_forever == rows[i].data,
		   "what may be remembered of it");
	}
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *dir = NULL;
	struct tree *t, *other;

	if (!scratch_make(&tmp))
		return 1;
	alarm(240);
	test_kinds();
	dir = scratch_path(tmp.dir, "store");
	if (!is_int(tree_open(dir, TREE_CREATE, &t, NULL), 0, "a registry") ||
	    !is_int(tree_open(dir, 0, &other, NULL), 0, "opened twice"))
		return 1;
	test_walk(t, 8, 0);
	fill(t);
	test_walk(t, 400, 80);
	test_walk(other, 400, 80);
	test_cookies(t);
	test_targets(t);
	test_pending(t, other);
	test_pending_limit(t);
	test_attributes(t);
	test_forever(t);
	test_numbers(t);
	test_walk(other, 400, 80);
	tree_close(t);
	tree_close(other);
	return done_testing();
}
