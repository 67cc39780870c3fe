/*
 * test_store.c: the content store: a contract that every back end must pass, and what is
 * the file back end's own.
 */
#include "fs/base/base.h"
#include "fs/store/store.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "fs/base/limits.h"

static const char text[] = "hello, store";

static struct digest digest_text(const char *data, enum digest_algorithm algorithm)
{
	struct digest d = { 0 };

	ok(digest_of(algorithm, data, strlen(data), &d, NULL) == 0, "digest of %s", data);
	return d;
}

/* A new upload, open, with `data` in it. */
static struct store_upload *begin(struct store *s, const char *data, char id[static STORE_ID_MAX + 1])
{
	struct store_upload *u = NULL;
	struct hasher *h = NULL;
	struct err err = ERR_INIT;
	int r = store_id_new(id, &err);

	if (!r)
		r = store_upload_create(s, id, &err);
	if (!r)
		r = hasher_new(DIGEST_SHA256, &h, &err);
	if (!r)
		r = store_upload_open(s, id, h, 0, &u, &err);
	if (!r)
		r = store_upload_write(u, data, strlen(data), &err);
	ok(r == 0, "an upload of %zu bytes %s", strlen(data), err.text);
	return u;
}

/* ---- The contract ---- */

static void test_ids(struct store *s)
{
	static const char *const bad[] = {
		"", ".", "..", "../../regfs.db", "0123", "00000000-0000-4000-8000-00000000000",
		"00000000-0000-4000-8000-0000000000000", "00000000-0000-4000-8000-00000000000A",
		"000000000-000-4000-8000-000000000000", "00000000-0000-4000-8000-00000000000/",
	};
	char a[STORE_ID_MAX + 1], b[STORE_ID_MAX + 1];
	struct store_upload *u;
	struct content *c;
	struct err err = ERR_INIT;
	int64_t size;

	ok(!store_id_new(a, NULL) && !store_id_new(b, NULL) && store_id_ok(a) && !streq(a, b),
	   "ids are new: %s", a);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ok(!store_id_ok(bad[i]), "no id: \"%s\"", bad[i]);
		is_int(store_upload_size(s, bad[i], &size, &err), -ENOENT, "size: %s", err.text);
		is_int((int)err.reason, ERR_UPLOAD_UNKNOWN, "it is unknown");
		is_int(store_upload_read(s, bad[i], &c, NULL), -ENOENT, "read");
		is_int(store_upload_open(s, bad[i], NULL, 0, &u, NULL), -ENOENT, "open");
		is_int(store_upload_remove(s, bad[i], NULL), -ENOENT, "remove");
	}
	is_int(store_upload_size(s, a, &size, &err), -ENOENT, "an upload that was never begun");
	is_int((int)err.reason, ERR_UPLOAD_UNKNOWN, "%s", err.text);
	is_int(store_upload_remove(s, a, NULL), 0, "removing it is success");
}

static void test_unknown(struct store *s)
{
	auto_buf struct buf b = BUF_INIT;
	struct digest d = digest_text("never stored", DIGEST_SHA256);
	struct content *c;
	struct err err = ERR_INIT;

	is_int(store_blob_exists(s, &d, NULL), 0, "a blob that isn't there");
	is_int(store_blob_open(s, &d, &c, &err), -ENOENT, "open");
	is_int((int)err.reason, ERR_BLOB_UNKNOWN, "%s", err.text);
	is_int(store_blob_read(s, &d, 100, &b, &err), -ENOENT, "read");
	is_int(store_blob_unlink(s, &d, NULL), 0, "unlinking it is success");
}

static void test_blob(struct store *s)
{
	auto_content struct content *c = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct digest d = digest_text(text, DIGEST_SHA256), wrong = digest_text("x", DIGEST_SHA256);
	char id[STORE_ID_MAX + 1], data[64] = "";
	struct store_upload *u = begin(s, text, id);
	struct err err = ERR_INIT;

	is_int(store_upload_seal(u, &wrong, &err), -EBADMSG, "sealing with another digest");
	is_int((int)err.reason, ERR_DIGEST_MISMATCH, "%s", err.text);
	is_int(store_blob_exists(s, &wrong, NULL), 0, "nothing is there under it");
	is_int(store_upload_seal(u, &d, &err), 0, "sealing with its own");
	is_int(store_upload_seal(u, &d, &err), 0, "twice");
	is_int(store_upload_place(u, &d, &err), 0, "and placing");
	is_int(store_blob_exists(s, &d, NULL), 1, "the blob is there");
	is_int(store_upload_write(u, "", 0, NULL), 0, "nothing can be written to a sealed upload");
	is_int(store_upload_write(u, "x", 1, &err), -EINVAL, "something can't");
	is_int((int)err.reason, ERR_UPLOAD_INVALID, "%s", err.text);
	store_upload_close(u);
	is_int(store_upload_remove(s, id, NULL), 0, "without its upload");
	is_int(store_blob_exists(s, &d, NULL), 1, "the blob is there");
	is_int(store_blob_open(s, &d, &c, NULL), 0, "opened");
	is_int(content_size(c), sizeof(text) - 1, "its size");
	is_int(store_blob_read(s, &d, sizeof(text) - 1, &b, NULL), 0, "read whole, just small enough");
	is_str(b.data, text, "its bytes");
	is_int(store_blob_read(s, &d, sizeof(text) - 2, &b, &err), -EINVAL, "one too many");
	is_int((int)err.reason, ERR_ARGUMENT, "%s", err.text);
	is_int(store_blob_unlink(s, &d, NULL), 0, "unlinked");
	is_int(store_blob_exists(s, &d, NULL), 0, "it is gone");
	is_int(content_read(c, data, sizeof(data), 0, NULL), sizeof(text) - 1, "who has it open reads it");
	is_str(data, text, "whole");
}

static void test_empty(struct store *s)
{
	auto_buf struct buf b = BUF_INIT;
	struct digest d = digest_text("", DIGEST_SHA256);
	char id[STORE_ID_MAX + 1];
	struct store_upload *u = begin(s, "", id);

	buf_adds(&b, "old");
	is_int(store_upload_seal(u, &d, NULL), 0, "an empty blob");
	store_upload_close(u);
	is_int(store_blob_read(s, &d, 0, &b, NULL), 0, "can be read");
	is_str(b.data, "", "it is empty");
	is_int(store_upload_remove(s, id, NULL) + store_blob_unlink(s, &d, NULL), 0, "and removed");
}

/* An upload goes on after it was closed: with its hasher, without, with one that is behind. */
static void test_resume(struct store *s, bool keep, bool behind, enum digest_algorithm algorithm)
{
	struct digest d = digest_text("hello, store, again", algorithm);
	char id[STORE_ID_MAX + 1], data[64] = "";
	struct store_upload *u = begin(s, text, id), *other;
	auto_content struct content *c = NULL;
	struct hasher *h;
	struct err err = ERR_INIT;
	int64_t hashed, size = 0;

	is_int(store_upload_open(s, id, NULL, 0, &other, &err), -EBUSY, "two writers at once");
	is_int((int)err.reason, ERR_BUSY, "%s", err.text);
	h = store_upload_take_hasher(u);
	hashed = store_upload_hashed(u);
	is_int(hashed, sizeof(text) - 1, "the digest covers it");
	store_upload_close(u);
	is_int(store_upload_size(s, id, &size, NULL), 0, "closed: its size");
	is_int(size, sizeof(text) - 1, "is what was written");
	is_int(store_upload_read(s, id, &c, NULL), 0, "it can be read");
	is_int(content_read(c, data, sizeof(data), 0, NULL), sizeof(text) - 1, "all of it");
	if (behind && !store_upload_open(s, id, NULL, 0, &u, NULL)) {
		is_int(store_upload_write(u, ", ag", 4, NULL), 0, "somebody else writes");
		store_upload_close(u);
	}
	if (!keep) {
		hasher_free(h);
		h = NULL;
		hashed = 0;
	}
	is_int(store_upload_open(s, id, h, hashed, &u, NULL), 0, "opened again");
	is_int(store_upload_length(u), (int)sizeof(text) - 1 + (behind ? 4 : 0), "it knows its length");
	is_int(store_upload_write(u, behind ? "ain" : ", again", behind ? 3 : 7, NULL), 0, "goes on");
	is_int(store_upload_seal(u, &d, &err), 0, "sealed %s", err.text);
	store_upload_close(u);
	is_int(store_upload_open(s, id, NULL, 0, &u, &err), 0, "a sealed upload can be opened %s", err.text);
	is_int(store_upload_write(u, "x", 1, NULL), -EINVAL, "not written");
	is_int(store_upload_seal(u, &d, &err), 0, "sealed again %s", err.text);
	is_int(store_blob_unlink(s, &d, NULL), 0, "a collector takes the file away");
	is_int(store_upload_place(u, &d, &err), 0, "placed again %s", err.text);
	is_int(store_blob_exists(s, &d, NULL), 1, "it is there");
	store_upload_close(u);
	is_int(store_upload_remove(s, id, NULL), 0, "done");
}

static void test_same(struct store *s)
{
	struct digest d = digest_text("the same", DIGEST_SHA256);
	char one[STORE_ID_MAX + 1], two[STORE_ID_MAX + 1];
	struct store_upload *a = begin(s, "the same", one), *b = begin(s, "the same", two);

	is_int(store_upload_create(s, one, NULL), -EEXIST, "an id is taken once");
	is_int(store_upload_seal(a, &d, NULL), 0, "one of two uploads of the same bytes");
	is_int(store_upload_seal(b, &d, NULL), 0, "and the other");
	store_upload_close(a);
	store_upload_close(b);
	is_int(store_upload_remove(s, one, NULL) + store_upload_remove(s, two, NULL), 0, "removed both");
	is_int(store_blob_exists(s, &d, NULL), 1, "the blob is there");
}

static void test_removed(struct store *s)
{
	char id[STORE_ID_MAX + 1];
	struct store_upload *u = begin(s, "to be cancelled", id), *again = NULL;
	struct err err = ERR_INIT;

	is_int(store_upload_remove(s, id, NULL), 0, "removed while it is open");
	store_upload_close(u);
	is_int(store_upload_open(s, id, NULL, 0, &again, &err), -ENOENT, "it is gone: %s", err.text);
}

static int count_upload(void *arg, const char *id, struct err *err)
{
	(void)err;
	*(int *)arg += store_id_ok(id);
	return 0;
}

struct seal_job {
	struct store *store;
	int number, result;
};

static void *seal_many(void *arg)
{
	struct seal_job *job = arg;

	for (int i = 0; !job->result && i < 40; i++) {
		char id[STORE_ID_MAX + 1], bytes[32];
		struct store_upload *u = NULL;
		struct digest d;
		int len = snprintf(bytes, sizeof(bytes), "shared %d", i);
		int r = digest_of(DIGEST_SHA256, bytes, (size_t)len, &d, NULL);

		r = r ? r : store_id_new(id, NULL);
		r = r ? r : store_upload_create(job->store, id, NULL);
		r = r ? r : store_upload_open(job->store, id, NULL, 0, &u, NULL);
		r = r ? r : store_upload_write(u, bytes, (size_t)len, NULL);
		r = r ? r : store_upload_seal(u, &d, NULL);
		r = r ? r : store_upload_place(u, &d, NULL);
		store_upload_close(u);
		r = r ? r : store_upload_remove(job->store, id, NULL);
		job->result = r ? r : store_blob_exists(job->store, &d, NULL) == 1 ? 0 : -EIO;
	}
	return NULL;
}

/* Four threads store the same blobs. */
static void test_threads(struct store *s)
{
	struct seal_job jobs[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		jobs[i] = (struct seal_job){ s, i, 0 };
		pthread_create(&threads[i], NULL, seal_many, &jobs[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		is_int(jobs[i].result, 0, "thread %d stored its blobs", i);
	}
}

static void contract(struct store *s)
{
	struct statvfs st;
	int uploads = 0;

	is_int(store_statvfs(s, &st, NULL), 0, "statvfs");
	ok(st.f_blocks > 0, "says how large the disk is");
	test_ids(s);
	test_unknown(s);
	test_blob(s);
	test_empty(s);
	test_resume(s, true, false, DIGEST_SHA256);
	test_resume(s, false, false, DIGEST_SHA256);
	test_resume(s, true, true, DIGEST_SHA256);
	test_resume(s, true, false, DIGEST_SHA512);
	test_same(s);
	test_removed(s);
	test_threads(s);
	is_int(store_upload_each(s, count_upload, &uploads, NULL), 0, "a walk over the uploads");
	is_int(uploads, 0, "finds none left");
}

/* ---- The file back end's own ---- */

static void test_open(const char *dir)
{
	auto_free char *path = scratch_path(dir, "a/b/c/");
	struct store *s;
	struct err err = ERR_INIT;

	is_int(store_open(path, false, &s, &err), -EINVAL, "a store that isn't there");
	is_int((int)err.reason, ERR_ARGUMENT, "%s", err.text);
	is_int(store_open(dir, false, &s, &err), -EINVAL, "a directory that is no store");
	is_int((int)err.reason, ERR_ARGUMENT, "%s", err.text);
	is_int(store_open(path, true, &s, NULL), 0, "made, with the directories above");
	is_str(store_dir(s), path, "it knows where it is");
	store_close(s);
	is_int(store_open(path, false, &s, NULL), 0, "opened again");
	store_close(s);
	store_close(NULL);
}

static void test_file(struct store *s)
{
	auto_free char *path = NULL;
	struct digest d = digest_text("a file", DIGEST_SHA512);
	char id[STORE_ID_MAX + 1], hex[DIGEST_HEX_MAX + 1];
	struct store_upload *u = begin(s, "a file", id);
	struct stat st = { 0 };

	is_int(store_upload_seal(u, &d, NULL), 0, "sealed");
	store_upload_close(u);
	is_int(store_upload_remove(s, id, NULL), 0, "removed");
	digest_hex(&d, hex);
	ok(asprintf(&path, "%s/blobs/sha512/%.2s/%s", store_dir(s), hex, hex) > 0, "its path");
	is_int(stat(path, &st), 0, "blobs/<algorithm>/<2 hex>/<hex>");
	is_int(st.st_mode & 07777, 0444, "read-only");
	is_int((int)st.st_nlink, 1, "with one name");
	is_int(st.st_size, 6, "and its size");
}

/* A write that fails in its middle leaves nothing of itself. */
static void test_short_write(struct store *s)
{
	struct digest d = digest_text("hello, store!", DIGEST_SHA256);
	struct rlimit old, low = { 20, RLIM_INFINITY };
	char id[STORE_ID_MAX + 1];
	struct store_upload *u = begin(s, text, id);
	struct err err = ERR_INIT;
	int64_t size = 0;
	int r;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	low.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &low);
	r = store_upload_write(u, "0123456789abcdef", 16, &err);
	setrlimit(RLIMIT_FSIZE, &old);
	is_int(r, -EFBIG, "a write that doesn't fit: %s", err.text);
	is_int((int)err.reason, ERR_NO_SPACE, "no space");
	is_int(store_upload_length(u), sizeof(text) - 1, "nothing of it counts");
	is_int(store_upload_size(s, id, &size, NULL), 0, "on the disk");
	is_int(size, sizeof(text) - 1, "neither");
	is_int(store_upload_write(u, "!", 1, NULL), 0, "it goes on");
	is_int(store_upload_seal(u, &d, &err), 0, "to a whole blob %s", err.text);
	store_upload_close(u);
	is_int(store_upload_remove(s, id, NULL), 0, "removed");
}

/* The most a blob may have, and one more: a file that is all hole. */
static void test_largest(struct store *s)
{
	auto_free char *path = NULL;
	char id[STORE_ID_MAX + 1];
	struct store_upload *u;
	struct err err = ERR_INIT;

	ok(!store_id_new(id, NULL) && !store_upload_create(s, id, NULL) &&
		   asprintf(&path, "%s/uploads/%s", store_dir(s), id) > 0,
	   "an upload");
	if (truncate(path, LIMIT_BLOB - 1) < 0) {
		ok(true, "# SKIP no file of that size here");
		return;
	}
	is_int(store_upload_open(s, id, NULL, 0, &u, NULL), 0, "one byte short of the limit");
	is_int(store_upload_write(u, "xy", 2, &err), -EINVAL, "two more are one too many");
	is_int((int)err.reason, ERR_SIZE_INVALID, "%s", err.text);
	is_int(store_upload_write(u, "x", 1, NULL), 0, "one more fits");
	store_upload_close(u);
	is_int(store_upload_remove(s, id, NULL), 0, "removed");
}

int main(void)
{
	auto_scratch struct scratch tmp = { "" };
	auto_free char *path = NULL;
	struct store *s;
	size_t before;

	if (!scratch_make(&tmp))
		return 1;
	alarm(120);
	test_open(tmp.dir);
	path = scratch_path(tmp.dir, "store");
	before = open_files();
	if (!is_int(store_open(path, true, &s, NULL), 0, "a store"))
		return 1;
	contract(s);
	test_file(s);
	test_short_write(s);
	test_largest(s);
	store_close(s);
	is_int((int)open_files(), (int)before, "no descriptor is left open");
	return done_testing();
}
