/*
 * test_fault.c: every operation of a push meets a failing disk and an empty memory.
 *
 * One scenario, from begin to pull. Its Nth sync (write, link, read, open, allocation) fails, for N from 1
 * until it gets through without meeting the fault. Each operation then succeeds or says cleanly
 * that it didn't; what it acknowledged is whole, for a second registry on the same store, too; the same
 * scenario succeeds afterwards; no descriptor and no memory is left behind.
 */
#include "fs/base/base.h"
#include "fs/tree/node.h"
#include "fs/tree/state.h"
#include "tests/unit/fault.h"
#include "tests/unit/pushing.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

/* ---- The scenario ---- */

struct scenario {
	char *dir;
	struct cred cred;
	int number;	/* each has bytes of its own */
	int failed;	/* operations that did */
	int unclean;	/* of those, without a proper error */
	int broken;	/* promises that weren't kept */
	bool pushed;	/* the image was acknowledged */
	struct digest image;
	char config[128], layer[1000];
};

static void complain(struct scenario *s, const char *what, const struct err *err)
{
	printf("# %d: %s: %s\n", s->number, what, err->text);
	s->broken++;
}

/* Whether an operation succeeded; a failure must have a reason, its errno and a text. */
static bool good(struct scenario *s, const char *what, int r, const struct err *err)
{
	if (r >= 0)
		return true;
	s->failed++;
	if (err->reason == ERR_NONE || err->errnum != -r || !*err->text) {
		printf("# %d: %s: answers %d, error %d, reason %d: %s\n", s->number, what, r, err->errnum,
		       (int)err->reason, err->text);
		s->unclean++;
	}
	return false;
}

static void fill(struct scenario *s)
{
	snprintf(s->config, sizeof(s->config), "{\"os\":\"linux\",\"architecture\":\"x%d\"}", s->number);
	memset(s->layer, 'a' + s->number % 26, sizeof(s->layer) - 1);
	snprintf(s->layer, sizeof(s->layer) - 1, "layer %d", s->number);
	s->layer[strlen(s->layer)] = ' ';
	s->layer[sizeof(s->layer) - 1] = '\0';
}

/* An upload in two requests, tried again where it may be. */
static bool push_slowly(struct scenario *s, struct tree *t)
{
	auto_tree_upload struct tree_upload *u = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	struct digest d;
	struct err err = ERR_INIT;
	size_t len = strlen(s->layer);
	int64_t size = 0;

	if (!good(s, "digest", digest_of(DIGEST_SHA256, s->layer, len, &d, &err), &err) ||
	    !good(s, "begin", tree_upload_begin(t, &s->cred, "fault/y", DIGEST_SHA256, id, &err), &err) ||
	    !good(s, "open", tree_upload_open(t, &s->cred, "fault/y", id, &u, &err), &err))
		return false;
	if (!good(s, "write", tree_upload_write(u, s->layer, 600, &err), &err) &&
	    !good(s, "write again", tree_upload_write(u, s->layer, 600, &err), &err))
		return false;
	tree_upload_close(steal(&u));
	if (!good(s, "stat", tree_upload_stat(t, &s->cred, "fault/y", id, &size, &err), &err) ||
	    !good(s, "open again", tree_upload_open(t, &s->cred, "fault/y", id, &u, &err), &err))
		return false;
	if (tree_upload_size(u) != size || size < 600)
		complain(s, "an upload that forgot its size", &err);
	if (size != 600)	/* a failed write that could not be taken back */
		return false;
	if (!good(s, "write", tree_upload_write(u, s->layer + 600, len - 600, &err), &err) &&
	    !good(s, "write again", tree_upload_write(u, s->layer + 600, len - 600, &err), &err))
		return false;
	if (good(s, "commit", tree_upload_commit(u, &d, &err), &err))
		return true;
	return good(s, "commit again", tree_upload_commit(u, &d, &err), &err);
}

/* A blob is read, the numbers and some nodes are asked for. */
static void look(struct scenario *s, struct tree *t, const struct digest *config)
{
	static const char *const path[] = { "fault", "y", "_oci", "index.json" };
	auto_content struct content *c = NULL, *index = NULL;
	struct node_attr a = { .id = NODE_ROOT };
	struct tree_stats stats;
	struct err err = ERR_INIT;
	char data[64];
	int r = 0;

	if (good(s, "blob", tree_blob_open(t, &s->cred, "fault/y", config, &c, &err), &err))
		good(s, "read", (int)content_read(c, data, sizeof(data), 0, &err), &err);
	good(s, "stats", tree_stats(t, &s->cred, &stats, &err), &err);
	for (size_t i = 0; !r && i < ARRAY_SIZE(path); i++)
		r = node_lookup(t, &s->cred, a.id, path[i], &a, NULL, &err);
	if (good(s, "lookup", r, &err) &&
	    good(s, "node", node_open(t, &s->cred, a.id, &index, NULL, &err), &err) &&
	    content_size(index) != a.size)
		complain(s, "a file that is shorter than was said", &err);
}

static void run(struct scenario *s, struct tree *t)
{
	auto_tree_image struct tree_image *image = NULL;
	auto_buf struct buf json = BUF_INIT;
	const char *const layers[] = { s->layer };
	struct tree_pushed pushed = { 0 };
	struct digest d;
	struct err err = ERR_INIT;
	char tag[32];
	int r;

	snprintf(tag, sizeof(tag), "t%d", s->number);
	if (!push_slowly(s, t) ||
	    !good(s, "config", push_text(t, &s->cred, "fault/y", s->config, &d, &err), &err))
		return;
	if (image_json(s->config, layers, 1, &json))	/* the test's own memory */
		return;
	r = tree_image_push(t, &s->cred, "fault/y", tag, NULL, json.data, json.len, &pushed, &err);
	if (!good(s, "push", r, &err))
		return;
	s->pushed = true;
	s->image = pushed.digest;
	r = tree_image_get(t, &s->cred, "fault/y", tag, &image, &err);
	if (good(s, "get", r, &err) &&
	    (image->size != json.len || memcmp(image->data, json.data, json.len) != 0))
		complain(s, "another image than was pushed", &err);
	good(s, "mount", tree_blob_mount(t, &s->cred, "fault/z", "fault/y", &d, &err), &err);
	good(s, "tag", tree_tag_set(t, &s->cred, "fault/y", "latest", &pushed.digest, &err), &err);
	good(s, "untag", tree_tag_rm(t, &s->cred, "fault/y", "latest", &err), &err);
	look(s, t, &d);
}

/* ---- What must be true afterwards ---- */

/* Whatever has a row is whole in the store. */
static void look_at_blobs(struct scenario *s, struct tree *t)
{
	auto_reader struct meta_reader rd = { .meta = t->meta };
	auto_query struct query *q = NULL;
	struct err err = ERR_INIT;
	int r = meta_read_begin(t->meta, &rd.db, &err);

	r = r ? r : db_query(rd.db, &q, &err, "SELECT digest, size FROM blob ORDER BY id DESC LIMIT 8", "");
	while (!r && query_step(q, &err) > 0) {
		auto_buf struct buf bytes = BUF_INIT;
		struct digest d, is;

		query_digest(q, 0, &d);
		if (store_blob_read(t->store, &d, 1 << 20, &bytes, &err) ||
		    (int64_t)bytes.len != query_int(q, 1) ||
		    digest_of((enum digest_algorithm)d.algorithm, bytes.data, bytes.len, &is, &err) ||
		    !digest_equal(&d, &is))
			complain(s, "a blob that isn't whole", &err);
	}
	if (r)
		complain(s, "the blobs can't be listed", &err);
}

static void look_after(struct scenario *s)
{
	struct tree *t;
	struct err err = ERR_INIT;
	auto_tree_image struct tree_image *image = NULL;
	char text[DIGEST_TEXT_MAX + 1];

	if (tree_open(s->dir, 0, &t, &err))
		return complain(s, "it can't be opened again", &err);
	look_at_blobs(s, t);
	if (s->pushed &&
	    tree_image_get(t, &s->cred, "fault/y", digest_format(&s->image, text), &image, &err))
		complain(s, "an image that was acknowledged isn't there", &err);
	tree_close(t);
}

/* The scenario in a tree of its own with that fault, and again without; whether the fault was met. */
static int attempt(struct scenario *s, enum fault kind, int n, int errnum, bool sticky)
{
	struct tree *t = NULL;
	struct err err = ERR_INIT;
	int hits, before;

	s->number++;
	s->pushed = false;
	fill(s);
	fault_begin(kind, n, errnum, sticky);
	if (good(s, "open", tree_open(s->dir, 0, &t, &err), &err))
		run(s, t);
	hits = fault_end();
	if (!t && tree_open(s->dir, 0, &t, &err))
		complain(s, "it can't be opened", &err);
	before = s->failed;
	look_after(s);
	if (t)
		run(s, t);
	if (s->failed != before || !s->pushed)
		complain(s, "the retry failed", &err);
	look_after(s);
	tree_close(t);
	return hits;
}

static void test_faults(struct scenario *s, enum fault kind, const char *name, int errnum, bool sticky)
{
	int64_t blocks;
	size_t files;
	int n = 1, leaks = 0, lost = 0, hits = 1, failed = s->failed;

	s->unclean = s->broken = 0;
	attempt(s, FAULT_NONE, 0, 0, false);
	files = open_files();
	blocks = fault_state.blocks;
	while (hits && n < 20000) {
		hits = attempt(s, kind, n, errnum, sticky);
		if (open_files() != files && leaks++ < 5)
			printf("# %d: %zu files are open, before %zu\n", n, open_files(), files);
		/* A library's own cache may grow, once. */
		if (fault_state.blocks > blocks && lost++ < 5)
			printf("# %d: %" PRId64 " blocks are left\n", n, fault_state.blocks - blocks);
		files = open_files();
		blocks = fault_state.blocks;
		/* Allocations are many, and alike. */
		n += kind == FAULT_MALLOC && n > 100 ? 1 + n / 40 : 1;
	}
	ok(n > 3 && s->failed > failed, "%s: %d faults, %d operations failed", name, n, s->failed - failed);
	is_int(s->unclean, 0, "each with a proper error");
	is_int(s->broken, 0, "nothing is half done, and the retry succeeds");
	is_int(leaks, 0, "no descriptor is left open");
	ok(lost <= 2, "no memory is lost (%d times)", lost);
}

/* ---- Faults that need a particular place ---- */

/* The directory's name must be on the disk before the blob is acknowledged, though another made it. */
static void test_shard(struct scenario *s)
{
	struct tree *t;
	struct digest d;
	struct err err = ERR_INIT;
	char hex[DIGEST_HEX_MAX + 1], shard[64], bytes[32];
	auto_free char *path = NULL;
	int i = 0;

	/* Bytes whose two-hex directory isn't there. */
	do {
		snprintf(bytes, sizeof(bytes), "shard %d", i++);
		(void)!digest_of(DIGEST_SHA256, bytes, strlen(bytes), &d, NULL);
		snprintf(shard, sizeof(shard), "/blobs/sha256/%.2s", digest_hex(&d, hex));
		free(path);
		path = scratch_path(s->dir, shard);
	} while (access(path, F_OK) == 0);
	is_int(mkdir(path, 0700), 0, "another process made %s and was killed before its sync", shard + 1);
	is_int(tree_open(s->dir, 0, &t, &err), 0, "opened %s", err.text);
	fault_forget();
	is_int(push_text(t, &s->cred, "shard", bytes, &d, &err), 0, "a blob in it %s", err.text);
	ok(fault_synced("/blobs/sha256"), "the name of the directory was synced");
	ok(fault_synced(shard), "and the directory");
	tree_close(t);
}

/* A new store's name, too. */
static void test_new_store(const char *dir)
{
	auto_free char *path = scratch_path(dir, "new/store");
	struct store *st;

	fault_forget();
	is_int(store_open(path, true, &st, NULL), 0, "a new store");
	ok(fault_synced("/new"), "its name was synced");
	ok(fault_synced("/new/store"), "and itself");
	store_close(st);
}

/* A file that could not be synced must not be taken for synced by the next try. */
static void test_lost_sync(struct scenario *s)
{
	auto_tree_upload struct tree_upload *u = NULL;
	struct tree *t;
	struct digest d;
	struct err err = ERR_INIT;
	char id[TREE_UPLOAD_ID_MAX + 1];
	int64_t size;
	int r;

	(void)!digest_of(DIGEST_SHA256, "lost sync", 9, &d, NULL);
	is_int(tree_open(s->dir, 0, &t, NULL), 0, "opened");
	is_int(tree_upload_begin(t, &s->cred, "sync", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_open(t, &s->cred, "sync", id, &u, NULL), 0, "opened");
	is_int(tree_upload_write(u, "lost sync", 9, NULL), 0, "written");
	fault_begin(FAULT_SYNC, 1, EIO, false);
	r = tree_upload_commit(u, &d, &err);
	fault_end();
	is_int(r, -EIO, "the disk fails: %s", err.text);
	is_int(tree_upload_commit(u, &d, &err), -ENOENT, "the upload is over: %s", err.text);
	is_int((int)err.reason, ERR_UPLOAD_UNKNOWN, "for everybody");
	tree_upload_close(steal(&u));
	is_int(tree_upload_stat(t, &s->cred, "sync", id, &size, NULL), -ENOENT, "it is gone");
	is_int(tree_blob_stat(t, &s->cred, "sync", &d, &size, NULL), -ENOENT, "nothing is there");
	is_int(push_text(t, &s->cred, "sync", "lost sync", &d, NULL), 0, "another succeeds");
	tree_close(t);
}

/* A write that fails and can't be taken back either must not end up in the blob. */
static void test_long_file(struct scenario *s)
{
	auto_tree_upload struct tree_upload *u = NULL;
	auto_content struct content *c = NULL;
	struct tree *t;
	struct digest d;
	struct err err = ERR_INIT;
	char id[TREE_UPLOAD_ID_MAX + 1];
	int r;

	(void)!digest_of(DIGEST_SHA256, "short", 5, &d, NULL);
	is_int(tree_open(s->dir, 0, &t, NULL), 0, "opened");
	is_int(tree_upload_begin(t, &s->cred, "long", DIGEST_SHA256, id, NULL), 0, "begun");
	is_int(tree_upload_open(t, &s->cred, "long", id, &u, NULL), 0, "opened");
	fault_begin(FAULT_WRITE, 1, ENOSPC, true);
	r = tree_upload_write(u, "a long text that is half written", 32, &err);
	fault_end();
	is_int(r, -ENOSPC, "a write fails: %s", err.text);
	is_int(tree_upload_size(u), 0, "nothing of it counts");
	is_int(tree_upload_write(u, "short", 5, NULL), 0, "a shorter one");
	is_int(tree_upload_commit(u, &d, &err), 0, "committed %s", err.text);
	is_int(tree_blob_open(t, &s->cred, "long", &d, &c, NULL), 0, "opened");
	is_int(content_size(c), 5, "it is just that");
	tree_upload_close(steal(&u));
	tree_close(t);
}

/* Opening a blob, each of its allocations failing in turn. */
static void test_open(struct scenario *s)
{
	struct tree *t;
	struct digest d;
	struct err err = ERR_INIT;
	int hits = 0, unclean = 0;

	is_int(tree_open(s->dir, 0, &t, NULL), 0, "opened");
	is_int(push_text(t, &s->cred, "open", "to be opened", &d, NULL), 0, "a blob");
	/* The first time it prepares its statements, for good: what fails then hides what comes later. */
	for (int n = 0; n < 2 || hits; n++) {
		auto_content struct content *c = NULL;
		int r;

		fault_begin(FAULT_MALLOC, n, ENOMEM, false);
		r = tree_blob_open(t, &s->cred, "open", &d, &c, &err);
		hits = fault_end();
		unclean += r && (r != -err.errnum || err.reason == ERR_NONE);
	}
	is_int(unclean, 0, "a blob opened while memory runs out: a proper error");
	tree_close(t);
	is_int(fault_state.bad_closes, 0, "no descriptor was closed twice");
}

int main(void)
{
	static const struct {
		enum fault kind;
		const char *name;
		int errnum;
	} kinds[] = {
		{ FAULT_WRITE, "write", ENOSPC }, { FAULT_SYNC, "sync", EIO },
		{ FAULT_NAME, "name", ENOSPC },	  { FAULT_READ, "read", EIO },
		{ FAULT_OPEN, "open", EMFILE },	  { FAULT_MALLOC, "malloc", ENOMEM },
	};
	auto_scratch struct scratch tmp = { "" };
	struct scenario s = { .cred = cred_administrator("test") };
	struct tree *t;

	if (!scratch_make(&tmp))
		return 1;
	alarm(300);
	s.dir = scratch_path(tmp.dir, "store");
	if (!is_int(tree_open(s.dir, TREE_CREATE, &t, NULL), 0, "a registry"))
		return 1;
	tree_close(t);
	test_new_store(tmp.dir);
	test_shard(&s);
	test_lost_sync(&s);
	test_long_file(&s);
	test_open(&s);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].kind == FAULT_MALLOC && !FAULT_MALLOC_WORKS)
			continue;
		test_faults(&s, kinds[i].kind, kinds[i].name, kinds[i].errnum, false);
		if (kinds[i].kind != FAULT_MALLOC)
			test_faults(&s, kinds[i].kind, kinds[i].name, kinds[i].errnum, true);
	}
	is_int(fault_state.bad_closes, 0, "no descriptor was closed twice");
	free(s.dir);
	return done_testing();
}
