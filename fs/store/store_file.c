/*
 * store_file.c: the content store in a directory of the local file system.
 *
 * Invariants:
 *  1. A file under blobs/ was complete, verified and synced before it got its name,
 *     and is never written again (mode 0444).
 *  2. An upload's file ends where the last whole write ended: a write that fails is
 *     truncated away.
 *  3. The running digest of an open upload covers the file's first `hashed` bytes; where that
 *     is not its length, the seal reads the file. Only appending changes `length`, only hashing
 *     changes `hashed`: the two may run at the same time.
 *  4. An upload whose file has a second name (it was sealed, but the commit failed) is
 *     never written again: it can be committed or cancelled.
 *  5. Who writes or seals an upload holds an exclusive flock on its file.
 *  6. Before a blob's name is acknowledged, its directory's name was synced by this process,
 *     whoever made the directory.
 */
#include "fs/base/base.h"
#include "fs/store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "fs/base/limits.h"
#include "fs/store/sync.h"

#define PATH_LEN (DIGEST_HEX_MAX + 32)
#define READ_SIZE (256 * 1024)
#define FLUSH_EVERY (8 * 1024 * 1024)

struct store {
	char *dir;
	int root;	/* directories, held open: the store may be moved while it is served */
	int blobs;
	int uploads;
	struct sync *sync;
	bool synced[DIGEST_SHA512 + 1][256];	/* atomic: names of two-hex directories that are on the disk */
};

struct store_upload {
	struct store *store;
	int fd;
	char id[STORE_ID_MAX + 1];
	int64_t length;
	int64_t flushed;	/* write-out to the disk was started up to here */
	bool sealed;		/* the file may be a blob's already: never write to it */
	struct hasher *hasher;
	int64_t hashed;
};

/* ---- The directory ---- */

/* A new directory's name is on the disk when this returns, where its parent may be opened. */
static int make_dir(const char *path)
{
	auto_fd int dir = -1, parent = -1;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -1;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parent = dir < 0 ? -1 : openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent < 0 ? 0 : fsync(parent);
}

static int make_dirs(const char *path, struct err *err)
{
	auto_free char *copy = strdup(path);

	if (!copy)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	for (char *p = copy + 1;; p++) {
		if (*p && *p != '/')
			continue;
		char end = *p;

		*p = '\0';
		if (make_dir(copy) < 0)
			return err_sys(err, errno, "can't make the directory %s", copy);
		*p = end;
		if (!end)
			return 0;
	}
}

static int open_dir(int at, const char *name, bool create, int *out, struct err *err)
{
	if (create && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "can't make the directory %s in the store", name);
	*out = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out < 0)
		return err_sys(err, errno, "can't open the directory %s of the store", name);
	return 0;
}

static int open_rooms(struct store *s, bool create, struct err *err)
{
	static const char *const algorithms[] = { "sha256", "sha512" };
	int r = open_dir(s->root, "blobs", create, &s->blobs, err);

	if (!r)
		r = open_dir(s->root, "uploads", create, &s->uploads, err);
	for (size_t i = 0; !r && i < ARRAY_SIZE(algorithms); i++) {
		auto_fd int fd = -1;

		r = open_dir(s->blobs, algorithms[i], create, &fd, err);
		if (!r && create && fsync(fd) < 0)
			r = err_sys(err, errno, "can't sync the store %s", s->dir);
	}
	if (!r && create && (fsync(s->blobs) < 0 || fsync(s->root) < 0))
		r = err_sys(err, errno, "can't sync the store %s", s->dir);
	return r;
}

int store_open(const char *dir, bool create, struct store **out, struct err *err)
{
	struct store *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	s->root = s->blobs = s->uploads = -1;
	s->dir = strdup(dir);
	s->sync = sync_new();
	if (!s->dir || !s->sync)
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	if (!r && create)
		r = make_dirs(dir, err);
	if (!r) {
		s->root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->root < 0 && errno == ENOENT)
			r = err_set(err, ERR_ARGUMENT,
				    "there is no store %s: `regfs serve --store %s` makes one", dir, dir);
		else if (s->root < 0)
			r = err_sys(err, errno, "can't open the store %s", dir);
	}
	if (!r && !create && faccessat(s->root, "blobs", F_OK, 0) < 0)
		r = err_set(err, ERR_ARGUMENT,
			    "%s is not a store: `regfs serve --store %s` makes one", dir, dir);
	if (!r)
		r = open_rooms(s, create, err);
	if (r) {
		store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	cleanup_close(&s->uploads);
	cleanup_close(&s->blobs);
	cleanup_close(&s->root);
	sync_free(s->sync);
	free(s->dir);
	free(s);
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

int store_statvfs(const struct store *s, struct statvfs *out, struct err *err)
{
	if (fstatvfs(s->root, out) < 0)
		return err_sys(err, errno, "can't ask the file system of the store");
	return 0;
}

/* ---- Blobs ---- */

/* "sha256/4f/4f..."; and the length of its directory's part. */
static size_t blob_path(const struct digest *d, char out[static PATH_LEN])
{
	char hex[DIGEST_HEX_MAX + 1];
	const char *algorithm = digest_algorithm_name((enum digest_algorithm)d->algorithm);

	digest_hex(d, hex);
	snprintf(out, PATH_LEN, "%s/%.2s/%s", algorithm ? algorithm : "none", hex, hex);
	return strlen(out) - strlen(hex) - 1;
}

static int blob_open_fd(const struct store *s, const struct digest *d, int *fd, struct stat *st,
			struct err *err)
{
	char path[PATH_LEN], text[DIGEST_TEXT_MAX + 1];

	blob_path(d, path);
	*fd = openat(s->blobs, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0 && errno == ENOENT)
		return err_set(err, ERR_BLOB_UNKNOWN, "blob %s is not in the store",
			       digest_format(d, text));
	if (*fd < 0 || fstat(*fd, st) < 0)
		return err_sys(err, errno, "can't open blob %s", digest_format(d, text));
	return 0;
}

int store_blob_open(const struct store *s, const struct digest *d, struct content **out,
		    struct err *err)
{
	auto_fd int fd = -1;
	struct stat st;
	int r = blob_open_fd(s, d, &fd, &st, err);

	if (r)
		return r;
	return content_from_fd(steal_fd(&fd), st.st_size, out, err);
}

int store_blob_exists(const struct store *s, const struct digest *d, struct err *err)
{
	char path[PATH_LEN];

	blob_path(d, path);
	if (faccessat(s->blobs, path, F_OK, 0) == 0)
		return 1;
	if (errno == ENOENT)
		return 0;
	return err_sys(err, errno, "can't look for %s in the store", path);
}

static int compare_digest(const struct digest *d, const struct buf *bytes, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];
	struct digest found;
	int r = digest_of((enum digest_algorithm)d->algorithm, bytes->data, bytes->len, &found, err);

	if (r || digest_equal(&found, d))
		return r;
	return err_set(err, ERR_CORRUPT,
		       "the file of %s holds other bytes: run `regfs check --data`, and push it again",
		       digest_format(d, text));
}

int store_blob_read(const struct store *s, const struct digest *d, size_t max, struct buf *out,
		    struct err *err)
{
	auto_content struct content *c = NULL;
	int r = store_blob_open(s, d, &c, err);
	ssize_t n;

	if (r)
		return r;
	if (content_size(c) > (int64_t)max)
		return err_set(err, ERR_ARGUMENT, "a blob of %" PRId64 " bytes is too large to look into",
			       content_size(c));
	buf_reset(out);
	buf_reserve(out, (size_t)content_size(c));
	if (buf_error(out))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	n = content_read(c, out->data, (size_t)content_size(c), 0, err);
	if (n < 0)
		return (int)n;
	/* What buf_reserve() made room for: buf_truncate() only shortens. */
	if (n > 0) {
		out->len = (size_t)n;
		out->data[n] = '\0';
	}
	return compare_digest(d, out, err);
}

int store_blob_unlink(const struct store *s, const struct digest *d, struct err *err)
{
	char path[PATH_LEN];

	blob_path(d, path);
	if (unlinkat(s->blobs, path, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "can't remove %s from the store", path);
	return 0;
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int store_blob_quarantine(const struct store *s, const struct digest *d, struct err *err)
{
	char path[PATH_LEN], to[PATH_LEN + 16], hex[DIGEST_HEX_MAX + 1];

	blob_path(d, path);
	snprintf(to, sizeof(to), "quarantine/%s", digest_hex(d, hex));
	if (mkdirat(s->root, "quarantine", 0700) < 0 && errno != EEXIST)
		return err_sys(err, errno, "can't make the directory quarantine in the store");
	if (renameat(s->blobs, path, s->root, to) < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "can't put %s into quarantine", path);
	(void)!utimensat(s->root, to, (struct timespec[]){ { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } }, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static DIR *list_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		cleanup_close(&fd);
	return dir;
}

static int each_in_shard(const struct store *s, enum digest_algorithm algorithm, const char *shard,
			 store_blob_fn *fn, void *arg, struct err *err)
{
	CLEANUP(cleanup_dir) DIR *dir = list_dir(s->blobs, shard);
	const struct dirent *entry;
	struct digest d;
	struct stat st;
	int r = dir ? 0 : err_sys(err, errno, "can't list %s of the store", shard);

	while (!r && (entry = readdir(dir)))
		if (digest_parse_hex(algorithm, entry->d_name, &d, NULL) == 0 &&
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			r = fn(arg, &d, st.st_ctim.tv_sec * INT64_C(1000000000) + st.st_ctim.tv_nsec, err);
	return r;
}

int store_blob_each(const struct store *s, store_blob_fn *fn, void *arg, struct err *err)
{
	static const enum digest_algorithm algorithms[] = { DIGEST_SHA256, DIGEST_SHA512 };
	int r = 0;

	for (size_t i = 0; !r && i < ARRAY_SIZE(algorithms); i++) {
		const char *name = digest_algorithm_name(algorithms[i]);
		CLEANUP(cleanup_dir) DIR *dir = list_dir(s->blobs, name);
		const struct dirent *entry;
		char shard[PATH_LEN];

		if (!dir)
			return err_sys(err, errno, "can't list %s of the store", name);
		while (!r && (entry = readdir(dir))) {
			if (strspn(entry->d_name, "0123456789abcdef") != 2 || strlen(entry->d_name) != 2)
				continue;
			snprintf(shard, sizeof(shard), "%s/%.2s", name, entry->d_name);
			r = each_in_shard(s, algorithms[i], shard, fn, arg, err);
		}
	}
	return r;
}

/* ---- Uploads ---- */

int store_id_new(char out[static STORE_ID_MAX + 1], struct err *err)
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return err_sys(err, errno, "can't get random bytes");
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, STORE_ID_MAX + 1,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	return 0;
}

bool store_id_ok(const char *id)
{
	size_t i;

	for (i = 0; id[i]; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (i >= STORE_ID_MAX || (dash ? id[i] != '-' : !strchr("0123456789abcdef", id[i])))
			return false;
	}
	return i == STORE_ID_MAX;
}

static int upload_unknown(const char *id, struct err *err)
{
	return err_set(err, ERR_UPLOAD_UNKNOWN, "upload %.40s is not known: begin a new one", id);
}

/* Opens the file of an upload; ERR_UPLOAD_UNKNOWN. */
static int upload_open_fd(const struct store *s, const char *id, int flags, int *fd, struct err *err)
{
	if (!store_id_ok(id))
		return upload_unknown(id, err);
	*fd = openat(s->uploads, id, flags | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0 && errno == ENOENT)
		return upload_unknown(id, err);
	if (*fd < 0)
		return err_sys(err, errno, "can't open upload %s", id);
	return 0;
}

int store_upload_create(const struct store *s, const char *id, struct err *err)
{
	auto_fd int fd = openat(s->uploads, id, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, errno, "can't begin an upload");
	return 0;
}

int store_upload_touched(const struct store *s, const char *id, int64_t *when, int64_t *size,
			 struct err *err)
{
	struct stat st;

	if (!store_id_ok(id))
		return upload_unknown(id, err);
	if (fstatat(s->uploads, id, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? upload_unknown(id, err)
				       : err_sys(err, errno, "can't stat upload %s", id);
	*when = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
	*size = st.st_size;
	return 0;
}

int store_upload_size(const struct store *s, const char *id, int64_t *out, struct err *err)
{
	int64_t when;

	return store_upload_touched(s, id, &when, out, err);
}

int store_upload_each(const struct store *s, store_upload_fn *fn, void *arg, struct err *err)
{
	CLEANUP(cleanup_dir) DIR *dir = list_dir(s->uploads, ".");
	const struct dirent *entry;
	int r = dir ? 0 : err_sys(err, errno, "can't list the uploads of the store");

	while (!r && (entry = readdir(dir)))
		if (store_id_ok(entry->d_name))
			r = fn(arg, entry->d_name, err);
	return r;
}

int store_upload_read(const struct store *s, const char *id, struct content **out, struct err *err)
{
	auto_fd int fd = -1;
	struct stat st;
	int r = upload_open_fd(s, id, O_RDONLY, &fd, err);

	if (r)
		return r;
	if (fstat(fd, &st) < 0)
		return err_sys(err, errno, "can't stat upload %s", id);
	return content_from_fd(steal_fd(&fd), st.st_size, out, err);
}

int store_upload_remove(const struct store *s, const char *id, struct err *err)
{
	if (!store_id_ok(id))
		return upload_unknown(id, err);
	if (unlinkat(s->uploads, id, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "can't remove upload %s", id);
	return 0;
}

int store_upload_open(struct store *s, const char *id, struct hasher *hasher, int64_t hashed,
		      struct store_upload **out, struct err *err)
{
	auto_hasher struct hasher *kept = hasher;
	auto_fd int fd = -1;
	struct stat st;
	struct store_upload *u;
	int r = upload_open_fd(s, id, O_RDWR, &fd, err);

	if (r == -EACCES)	/* sealed: read-only */
		r = upload_open_fd(s, id, O_RDONLY, &fd, err);
	if (r)
		return r;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ?
			       err_set(err, ERR_BUSY, "upload %s is being written by another request",
				       id) :
			       err_sys(err, errno, "can't lock upload %s", id);
	/* It may have been committed or cancelled between the open and the lock. */
	if (fstat(fd, &st) < 0 || faccessat(s->uploads, id, F_OK, 0) < 0)
		return upload_unknown(id, err);
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	u->store = s;
	u->fd = steal_fd(&fd);
	snprintf(u->id, sizeof(u->id), "%s", id);
	u->length = u->flushed = st.st_size;
	u->sealed = st.st_nlink > 1 || !(st.st_mode & 0200);
	if (kept && hashed == st.st_size) {
		u->hasher = steal(&kept);
		u->hashed = hashed;
	}
	*out = u;
	return 0;
}

bool store_upload_is_sealed(const struct store_upload *u)
{
	return u->sealed;
}

int64_t store_upload_length(const struct store_upload *u)
{
	return u->length;
}

int store_upload_write(struct store_upload *u, const void *data, size_t len, struct err *err)
{
	int r = store_upload_append(u, data, len, err);

	return r ? r : store_upload_hash(u, data, len, err);
}

/* A failure is not the upload's: its bytes are read again when it is sealed. */
int store_upload_hash(struct store_upload *u, const void *data, size_t len, struct err *err)
{
	(void)err;
	if (!u->hasher)
		return 0;
	if (hasher_update(u->hasher, data, len, NULL))
		hasher_free(steal(&u->hasher));	/* nobody knows what it covers now */
	u->hashed += (int64_t)len;
	return 0;
}

/* The last of the disk is for the database: what makes room, as the removal of an image, has to be written down. */
static int check_room(const struct store_upload *u, size_t len, struct err *err)
{
	struct statvfs disk;

	if (fstatvfs(u->fd, &disk) < 0)
		return err_sys(err, errno, "can't ask the file system of upload %s", u->id);
	if (len && disk.f_bavail * disk.f_frsize < len + LIMIT_STORE_RESERVE)
		return err_sys(err, ENOSPC, "can't write upload %s", u->id);
	return 0;
}

int store_upload_append(struct store_upload *u, const void *data, size_t len, struct err *err)
{
	size_t done = 0;
	int r = 0;

	if (u->sealed && len)
		return err_set(err, ERR_UPLOAD_INVALID,
			       "upload %s is complete: commit it with its digest, or begin a new one",
			       u->id);
	if (u->length + (int64_t)len > LIMIT_BLOB)
		return err_set(err, ERR_SIZE_INVALID, "a blob has at most %" PRId64 " bytes", LIMIT_BLOB);
	r = check_room(u, len, err);
	if (r)
		return r;
	while (!r && done < len) {
		ssize_t n = pwrite(u->fd, (const char *)data + done, len - done,
				   u->length + (off_t)done);

		if (n < 0 && errno != EINTR)
			r = err_sys(err, errno, "can't write upload %s", u->id);
		else if (n > 0)
			done += (size_t)n;
	}
	if (r) {
		if (ftruncate(u->fd, u->length) < 0)
			return err_sys(err, errno, "can't take back a failed write of upload %s", u->id);
		return r;
	}
	u->length += (int64_t)len;
	/* Start the disk early and evenly: the fsync at the end then finds little to do. */
	if (u->length - u->flushed >= FLUSH_EVERY) {
		sync_file_range(u->fd, u->flushed, u->length - u->flushed, SYNC_FILE_RANGE_WRITE);
		u->flushed = u->length;
	}
	return 0;
}

/* The second pass, for an upload whose running digest was lost or is of another algorithm. */
int store_upload_digest(struct store_upload *u, enum digest_algorithm algorithm, struct digest *out,
			struct err *err)
{
	auto_free char *data = malloc(READ_SIZE);
	auto_hasher struct hasher *h = NULL;
	int r = data ? hasher_new(algorithm, &h, err) : err_set(err, ERR_NO_MEMORY, "out of memory");

	for (int64_t at = 0; !r && at < u->length;) {
		ssize_t n = pread(u->fd, data, READ_SIZE, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, n < 0 ? errno : EIO, "can't read upload %s", u->id);
		r = hasher_update(h, data, (size_t)n, err);
		at += n;
	}
	return r ? r : hasher_digest(h, out, err);
}

static int verify(struct store_upload *u, const struct digest *d, struct err *err)
{
	char said[DIGEST_TEXT_MAX + 1], is[DIGEST_TEXT_MAX + 1];
	struct digest found;
	int r;

	if (u->hasher && u->hashed == u->length && hasher_algorithm(u->hasher) == d->algorithm)
		r = hasher_digest(u->hasher, &found, err);
	else
		r = store_upload_digest(u, (enum digest_algorithm)d->algorithm, &found, err);
	if (r)
		return r;
	if (!digest_equal(&found, d))
		return err_set(err, ERR_DIGEST_MISMATCH,
			       "the %" PRId64 " bytes received have the digest %s, not %s", u->length,
			       digest_format(&found, is), digest_format(d, said));
	return 0;
}

/* Gives the file its blob's name; one that is there already has the same bytes. */
static int link_blob(struct store_upload *u, const char *path, struct err *err)
{
	int blobs = u->store->blobs;

	if (linkat(u->store->uploads, u->id, blobs, path, 0) == 0 || errno == EEXIST)
		return 0;
	if (errno == ENOENT)	/* cancelled beneath us */
		return upload_unknown(u->id, err);
	return err_sys(err, errno, "can't put %s into the store", path);
}

/* Makes a blob's two-hex directory if it isn't there, durably, and opens it. */
static int open_shard(struct store *s, const struct digest *d, int *out, struct err *err)
{
	bool *synced = &s->synced[d->algorithm][d->bytes[0]];
	auto_fd int parent = -1;
	char path[PATH_LEN];

	path[blob_path(d, path)] = '\0';
	*out = openat(s->blobs, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*out < 0 && errno == ENOENT) {
		if (mkdirat(s->blobs, path, 0700) < 0 && errno != EEXIST)
			return err_sys(err, errno, "can't make the directory %s in the store", path);
		*out = openat(s->blobs, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (*out < 0)
		return err_sys(err, errno, "can't open %s of the store", path);
	/* Who made it may not have got as far as the sync. */
	if (!__atomic_load_n(synced, __ATOMIC_ACQUIRE)) {
		parent = openat(*out, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0 || fsync(parent) < 0)
			return err_sys(err, errno, "can't sync %s of the store", path);
		__atomic_store_n(synced, true, __ATOMIC_RELEASE);
	}
	return 0;
}

/* After an fsync that failed the kernel takes the pages for clean: a second one would succeed and prove
 * nothing. So the bytes are given up. */
static int give_up(struct store_upload *u, int errnum, struct err *err)
{
	unlinkat(u->store->uploads, u->id, 0);
	return err_sys(err, errnum, "can't sync upload %s: begin a new one", u->id);
}

/* Makes the file exactly what was counted, read-only, and synced. */
static int settle(struct store_upload *u, struct err *err)
{
	struct stat st;
	int r;

	/* A failed write that couldn't be truncated away then. */
	if (fstat(u->fd, &st) < 0 || (st.st_size != u->length && ftruncate(u->fd, u->length) < 0))
		return err_sys(err, errno, "can't take back a failed write of upload %s", u->id);
	u->sealed = true;
	if (fchmod(u->fd, 0444) < 0)
		return err_sys(err, errno, "can't seal upload %s", u->id);
	r = sync_file(u->store->sync, u->fd);
	return r ? give_up(u, -r, err) : 0;
}

/* Links the file to its blob's name, durably. */
static int name_blob(struct store_upload *u, const struct digest *d, struct err *err)
{
	char path[PATH_LEN];
	auto_fd int shard = -1;
	int r = open_shard(u->store, d, &shard, err);

	blob_path(d, path);
	if (!r)
		r = link_blob(u, path, err);
	if (r)
		return r;
	r = sync_file(u->store->sync, shard);
	return r ? err_sys(err, -r, "can't sync the directory of %s", path) : 0;
}

int store_upload_seal(struct store_upload *u, const struct digest *d, struct err *err)
{
	int r = verify(u, d, err);

	if (!r)
		r = settle(u, err);
	return r ? r : name_blob(u, d, err);
}

int store_upload_place(struct store_upload *u, const struct digest *d, struct err *err)
{
	int r = store_blob_exists(u->store, d, err);

	return r ? MIN(r, 0) : name_blob(u, d, err);
}

int64_t store_upload_hashed(const struct store_upload *u)
{
	return u->hashed;
}

struct hasher *store_upload_take_hasher(struct store_upload *u)
{
	return steal(&u->hasher);
}

int store_upload_discard(struct store_upload *u, struct err *err)
{
	/* On a full disk there must be room at once, not only when the descriptor is closed. */
	if (u->sealed)
		return 0;
	if (ftruncate(u->fd, 0) == 0)
		u->length = u->flushed = 0;
	u->sealed = true;
	return store_upload_remove(u->store, u->id, err);
}

void store_upload_close(struct store_upload *u)
{
	if (!u)
		return;
	hasher_free(u->hasher);
	cleanup_close(&u->fd);
	free(u);
}
