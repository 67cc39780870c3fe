/*
 * fill.c: makes a large store, through the store's own code, for the rows of bench that ask what size costs.
 *
 *	fill STORE image REPOSITORIES BLOBS TAGS	REPOSITORIES below many/, an image of BLOBS blobs in
 *							each (its manifest among them), and `big` with TAGS tags
 *	fill STORE garbage COUNT SALT			COUNT blobs that nothing needs, in `big`
 *
 * The bytes go through fs/store and manifests through fs/tree; only the rows of an image's layers are
 * brought together, in one transaction. Not beside a server: its caches would grow with the store.
 */
#include "fs/base/base.h"
#include "fs/tree/state.h"
#include "tests/unit/pushing.h"

#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/timestamp.h"

#define THREADS 16
#define BLOBS_MAX 64
#define CONFIG "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}"

struct fill {
	struct tree *tree;
	struct cred cred;
	_Atomic int64_t next;
	_Atomic int failed;
	int64_t count;
	size_t blobs;		/* of each image, its manifest and config among them */
	const char *salt;	/* of garbage; NULL: images are made */
};

/* The blobs of one image, sealed, on their way into the database together. */
struct lot {
	const char *repo;
	size_t count;
	struct digest digests[BLOBS_MAX];
	int64_t sizes[BLOBS_MAX];
	struct store_upload *files[BLOBS_MAX];
	char ids[BLOBS_MAX][STORE_ID_MAX + 1];
};

static void lot_release(struct lot *lot)
{
	for (size_t i = 0; i < lot->count; i++)
		store_upload_close(lot->files[i]);
}

static int lot_add(struct tree *tree, struct lot *lot, const char *text, struct err *err)
{
	size_t i = lot->count, len = strlen(text);
	struct hasher *hasher = NULL;
	int r = store_id_new(lot->ids[i], err);

	if (!r)
		r = store_upload_create(tree->store, lot->ids[i], err);
	if (!r)
		r = hasher_new(DIGEST_SHA256, &hasher, err);
	if (!r)
		r = store_upload_open(tree->store, lot->ids[i], hasher, 0, &lot->files[i], err);
	if (r)
		return r;
	lot->count++;
	lot->sizes[i] = (int64_t)len;
	r = digest_of(DIGEST_SHA256, text, len, &lot->digests[i], err);
	if (!r)
		r = store_upload_write(lot->files[i], text, len, err);
	return r ? r : store_upload_seal(lot->files[i], &lot->digests[i], err);
}

static int insert_lot(struct db *db, void *arg, struct err *err)
{
	struct lot *lot = arg;
	struct repo_row repo;
	int64_t now = timestamp_now(), blob;
	int r = repo_ensure(db, lot->repo, now, &repo, err);

	for (size_t i = 0; !r && i < lot->count; i++) {
		r = store_upload_place(lot->files[i], &lot->digests[i], err);
		if (!r)
			r = blob_ensure(db, &lot->digests[i], lot->sizes[i], now, &blob, err);
		if (!r)
			r = blob_link(db, repo.id, blob, now, err);
	}
	return r;
}

static int lot_commit(struct tree *tree, struct lot *lot, struct err *err)
{
	int r = meta_write(tree->meta, true, insert_lot, lot, err);

	for (size_t i = 0; !r && i < lot->count; i++)
		r = store_upload_remove(tree->store, lot->ids[i], err);
	return r;
}

/* An image of `blobs` blobs with its tag: a config, the manifest, and layers for the rest. */
static int make_image(struct fill *f, const char *repo, const char *tag, struct digest *out,
		      struct err *err)
{
	char text[BLOBS_MAX][LIMIT_NAME + 32];
	const char *layers[BLOBS_MAX];
	CLEANUP(lot_release) struct lot lot = { .repo = repo };
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	char config[sizeof(CONFIG) + LIMIT_NAME + 64];
	size_t n = f->blobs - 2;
	int r;

	snprintf(config, sizeof(config), "{\"x\":\"%s:%s\",%s", repo, tag, CONFIG + 1);
	r = lot_add(f->tree, &lot, config, err);
	for (size_t i = 0; !r && i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "layer %zu of %s", i, repo);
		layers[i] = text[i];
		r = lot_add(f->tree, &lot, text[i], err);
	}
	if (!r)
		r = lot_commit(f->tree, &lot, err);
	if (!r)
		r = image_json(config, layers, n, &json);
	if (!r)
		r = tree_image_push(f->tree, &f->cred, repo, tag, NULL, json.data, json.len, &pushed, err);
	if (!r)
		*out = pushed.digest;
	return r;
}

static int make_garbage(struct fill *f, int64_t number, struct err *err)
{
	char text[128];
	CLEANUP(lot_release) struct lot lot = { .repo = "big" };
	int r;

	snprintf(text, sizeof(text), "garbage %s %" PRId64, f->salt, number);
	r = lot_add(f->tree, &lot, text, err);
	return r ? r : lot_commit(f->tree, &lot, err);
}

static void *work(void *arg)
{
	struct fill *f = arg;
	struct err err = ERR_INIT;
	struct digest digest;
	int64_t n;
	int r = 0;

	while (!r && !f->failed && (n = f->next++) < f->count) {
		char repo[64];

		snprintf(repo, sizeof(repo), "many/%02" PRId64 "/r%06" PRId64, n % 100, n);
		r = f->salt ? make_garbage(f, n, &err) : make_image(f, repo, "latest", &digest, &err);
	}
	if (r) {
		f->failed = r;
		fprintf(stderr, "fill: %s\n", err.text);
	}
	return NULL;
}

static int fill(struct fill *f)
{
	pthread_t threads[THREADS];
	int started = 0;

	while (started < THREADS && !pthread_create(&threads[started], NULL, work, f))
		started++;
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return started ? f->failed : -EAGAIN;
}

/* Names come in an order of their own, as those of commits do. */
static int64_t tag_number(int64_t i, int64_t count)
{
	return i * 7919 % count;
}

struct tags {
	struct digest digest;
	int64_t first, count, all;
};

static int insert_tags(struct db *db, void *arg, struct err *err)
{
	const struct tags *t = arg;
	struct repo_row repo;
	struct image_row image;
	int r = repo_ensure(db, "big", timestamp_now(), &repo, err);

	if (!r)
		r = image_by_digest(db, repo.id, &t->digest, &image, err);
	if (r <= 0)
		return r ? r : err_set(err, ERR_INTERNAL, "the image of `big` is not there");
	r = 0;
	for (int64_t i = t->first; !r && i < t->first + t->count; i++) {
		char name[32];
		bool changed;
		int64_t id;

		snprintf(name, sizeof(name), "t%06" PRId64, tag_number(i, t->all));
		r = tag_put(db, repo.id, name, image.id, timestamp_now(), &id, &changed, err);
	}
	return r;
}

/* A thousand tags name one image. */
static int make_tags(struct fill *f, int64_t count, struct err *err)
{
	struct tags t = { .all = count };
	int r = 0;

	f->blobs = 3;
	for (; !r && t.first < count; t.first += t.count) {
		char tag[32];

		t.count = MIN(1000, count - t.first);
		snprintf(tag, sizeof(tag), "t%06" PRId64, tag_number(t.first, count));
		r = make_image(f, "big", tag, &t.digest, err);
		if (!r)
			r = meta_write(f->tree->meta, true, insert_tags, &t, err);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct fill f = { .cred = cred_administrator("fill") };
	struct err err = ERR_INIT;
	bool images = argc == 6 && streq(argv[2], "image");
	int r;

	if (!images && (argc != 5 || !streq(argv[2], "garbage"))) {
		fprintf(stderr, "fill STORE image REPOSITORIES BLOBS TAGS | fill STORE garbage COUNT SALT\n");
		return 2;
	}
	f.count = strtoll(argv[3], NULL, 10);
	f.blobs = images ? (size_t)MIN(MAX(atoi(argv[4]), 3), BLOBS_MAX) : 0;
	f.salt = images ? NULL : argv[4];
	r = tree_open(argv[1], TREE_CREATE, &f.tree, &err);
	if (r) {
		fprintf(stderr, "fill: %s\n", err.text);
		return 1;
	}
	r = fill(&f);
	if (!r && images)
		r = make_tags(&f, strtoll(argv[5], NULL, 10), &err);
	if (r && *err.text)
		fprintf(stderr, "fill: %s\n", err.text);
	tree_close(f.tree);
	return r ? 1 : 0;
}
