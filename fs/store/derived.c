/*
 * derived.c: derived files, made aside and renamed.
 *
 * A file is made as <name>.new, which whoever makes it holds locked. A waiter that gets the lock may hold what has become
 * the file itself, or nothing any more: it looks whether the name still is what it opened, and begins again if not.
 */
#include "fs/base/base.h"
#include "fs/store/derived.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fs/base/buf.h"
#include "fs/base/waiting.h"

#define NEW ".new"
#define NAME_LEN (DIGEST_HEX_MAX + 64)

static const char *const rooms[DERIVED_KIND_COUNT] = {
	[DERIVED_LAYER] = "layer",
	[DERIVED_IMAGE] = "image",
	[DERIVED_COPY] = "copy",
	[DERIVED_COPY_INDEX] = "copy-index",
	[DERIVED_FILE] = "file",
};

struct derived {
	int root;	/* the store's directory */
};

int derived_new(const char *store_dir, struct derived **out, struct err *err)
{
	struct derived *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	d->root = open(store_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->root < 0) {
		int code = errno;

		free(d);
		return err_sys(err, code, "can't open the store %s", store_dir);
	}
	*out = d;
	return 0;
}

void derived_free(struct derived *d)
{
	if (!d)
		return;
	close(d->root);
	free(d);
}

/* "index/layer/4f/4f...", with "-sha512" behind a kind whose keys are of that algorithm. */
static void path_of(const struct derived_name *name, const char *suffix, char out[static NAME_LEN])
{
	char hex[DIGEST_HEX_MAX + 1], part[24] = "";

	digest_hex(&name->key, hex);
	if (name->kind == DERIVED_FILE)
		snprintf(part, sizeof(part), "-%" PRIu64, name->part);
	snprintf(out, NAME_LEN, "index/%s%s/%.2s/%s%s%s", rooms[name->kind],
		 name->key.algorithm == DIGEST_SHA512 ? "-sha512" : "", hex, hex, part, suffix);
}

/* Makes the directories of a path; from the first on again if somebody removes them meanwhile. */
static int make_dirs(const struct derived *d, const char *path, struct err *err)
{
	const char *first = strchr(path, '/');
	char dir[NAME_LEN];

	for (const char *slash = first; slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		if (mkdirat(d->root, dir, 0700) == 0 || errno == EEXIST)
			continue;
		if (errno == ENOENT && slash != first)
			slash = path - 1;
		else
			return err_sys(err, errno, "can't make the directory %s in the store", dir);
	}
	return 0;
}

/* What isn't a file of ours is taken away; ERR_NOT_FOUND then. ERR_IO: it can't be. */
static int in_the_way(const struct derived *d, const char *path, int errnum, struct err *err)
{
	char dir[NAME_LEN];

	if (errnum == EISDIR || errnum == ELOOP || errnum == ENXIO) {
		if (unlinkat(d->root, path, 0) == 0 || unlinkat(d->root, path, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return err_set(err, ERR_NOT_FOUND, "%s in the store was no file", path);
	} else if (errnum == ENOTDIR) {
		for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
			snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
			if (unlinkat(d->root, dir, 0) == 0)
				return err_set(err, ERR_NOT_FOUND, "%s in the store was no directory", dir);
		}
	}
	return err_set(err, ERR_IO, "%s in the store can't be opened (%s): remove it", path, strerror(errnum));
}

int derived_open(const struct derived *d, const struct derived_name *name, int *fd, struct err *err)
{
	char path[NAME_LEN];
	struct stat st;

	path_of(name, "", path);
	/* A FIFO would be waited for. */
	*fd = openat(d->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (*fd < 0 && errno != ENOENT)
		return in_the_way(d, path, errno, err);
	if (*fd < 0)
		return err_sys(err, ENOENT, "can't open %s in the store", path);
	if (fstat(*fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(*fd);
		*fd = -1;
		return in_the_way(d, path, EISDIR, err);
	}
	/* Its time of access, which tells what is used: file systems keep that by chance. A failure costs an earlier end. */
	(void)!futimens(*fd, (struct timespec[]){ { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } });
	return 0;
}

int derived_remove(const struct derived *d, const struct derived_name *name, struct err *err)
{
	char path[NAME_LEN];

	path_of(name, "", path);
	if (unlinkat(d->root, path, 0) < 0 && errno != ENOENT)
		return err_sys(err, errno, "can't remove %s from the store", path);
	return 0;
}

/* ---- Making ---- */

static bool is_named_in(int dir, int fd, const char *path)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && fstatat(dir, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

static bool is_named(const struct derived *d, int fd, const char *path)
{
	return is_named_in(d->root, fd, path);
}

/* Until another process has made the file, if one does. */
static int lock_file(int fd)
{
	bool waits;
	int r;

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -1;
	waits = waiting_begin();
	do
		r = flock(fd, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (waits)
		waiting_end();
	return r;
}

int derived_begin(struct derived *d, const struct derived_name *name, struct derived_draft *out, struct err *err)
{
	char path[NAME_LEN], new[NAME_LEN];
	int r;

	path_of(name, "", path);
	path_of(name, NEW, new);
	*out = (struct derived_draft){ .fd = -1, .name = *name };
	r = make_dirs(d, path, err);
	while (!r) {
		auto_fd int fd = openat(d->root, new, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

		/* All of it may be removed at any time: also the directory, between the two. */
		if (fd < 0 && errno == ENOENT) {
			r = make_dirs(d, path, err);
			continue;
		}
		if (fd < 0 || lock_file(fd) < 0)
			return err_sys(err, errno, "can't make %s in the store", new);
		if (!is_named(d, fd, new)) {
			/* Who held the lock has finished, or given up. */
			if (faccessat(d->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
				return 0;
			continue;
		}
		if (ftruncate(fd, 0) < 0)
			return err_sys(err, errno, "can't empty %s in the store", new);
		out->fd = steal_fd(&fd);
		return 1;
	}
	return r;
}

int derived_commit(struct derived *d, struct derived_draft *draft, bool sync, struct err *err)
{
	char path[NAME_LEN], new[NAME_LEN];

	path_of(&draft->name, "", path);
	path_of(&draft->name, NEW, new);
	if (is_named(d, draft->fd, new)) {
		if ((sync && fdatasync(draft->fd) < 0) || fchmod(draft->fd, 0400) < 0)
			return err_sys(err, errno, "can't write %s in the store", path);
		if (renameat(d->root, new, d->root, path) < 0 && errno != ENOENT)
			return errno == EISDIR || errno == ENOTDIR ? in_the_way(d, path, errno, err) :
								     err_sys(err, errno, "can't name %s in the store", path);
	}
	flock(draft->fd, LOCK_UN);
	return 0;
}

void derived_end(struct derived *d, struct derived_draft *draft)
{
	char new[NAME_LEN];

	if (draft->fd < 0)
		return;
	path_of(&draft->name, NEW, new);
	if (is_named(d, draft->fd, new))
		unlinkat(d->root, new, 0);
	close(draft->fd);
	draft->fd = -1;
}

/* ---- Listing ---- */

struct sweep {
	bool dry_run;
	int64_t files, bytes;
};

struct listing {
	derived_fn *fn;
	struct sweep *sweep;	/* or NULL; then fn */
	void *arg;
	enum derived_kind kind;
	enum digest_algorithm algorithm;
	struct err *err;
};

/* Whether a file's name is a key, and a part where the kind has them. */
static bool parse_name(const struct listing *l, const char *text, struct derived_name *out)
{
	char hex[DIGEST_HEX_MAX + 1];
	size_t len = strcspn(text, "-");
	unsigned long long part = 0;
	char *end = (char *)(uintptr_t)text + len;

	*out = (struct derived_name){ .kind = l->kind };
	if (len > DIGEST_HEX_MAX || (l->kind == DERIVED_FILE) != (text[len] == '-'))
		return false;
	if (l->kind == DERIVED_FILE)
		part = strtoull(text + len + 1, &end, 10);
	snprintf(hex, sizeof(hex), "%.*s", (int)len, text);
	out->part = part;
	return !*end && digest_parse_hex(l->algorithm, hex, &out->key, NULL) == 0;
}

/* A draft that nobody holds locked. Who waits for the lock finds the name gone, and begins anew. */
static int sweep_draft(struct sweep *s, int dir, const char *name)
{
	size_t len = strlen(name), suffix = strlen(NEW);
	auto_fd int fd = -1;
	struct stat st;

	if (len <= suffix || !streq(name + len - suffix, NEW))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || !is_named_in(dir, fd, name))
		return 0;
	s->files++;
	s->bytes += st.st_size;
	if (!s->dry_run)
		unlinkat(dir, name, 0);
	return 0;
}

/* What isn't named by a digest is nobody's. */
static int give(const struct listing *l, int dir, const char *name)
{
	struct derived_name parsed;
	struct stat st;

	if (l->sweep)
		return sweep_draft(l->sweep, dir, name);
	if (!parse_name(l, name, &parsed) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return l->fn(l->arg, &parsed, st.st_size,
		     MAX(st.st_atim.tv_sec, st.st_mtim.tv_sec) * INT64_C(1000000000), l->err);
}

static int each_in(const struct listing *l, int at, const char *name, int depth)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (!r && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			r = depth ? each_in(l, fd, e->d_name, depth - 1) : give(l, fd, e->d_name);
	closedir(dir);
	return r;
}

/* In both rooms of its kind. */
static int list(const struct derived *d, struct listing *l)
{
	char path[NAME_LEN];
	int r;

	l->algorithm = DIGEST_SHA256;
	snprintf(path, sizeof(path), "index/%s", rooms[l->kind]);
	r = each_in(l, d->root, path, 1);
	if (r)
		return r;
	l->algorithm = DIGEST_SHA512;
	snprintf(path, sizeof(path), "index/%s-sha512", rooms[l->kind]);
	return each_in(l, d->root, path, 1);
}

int derived_each(const struct derived *d, enum derived_kind kind, derived_fn *fn, void *arg, struct err *err)
{
	struct listing l = { .fn = fn, .arg = arg, .kind = kind, .err = err };

	return list(d, &l);
}

int derived_sweep(const struct derived *d, bool dry_run, int64_t *files, int64_t *bytes, struct err *err)
{
	struct sweep s = { .dry_run = dry_run };
	int r = 0;

	for (int kind = 0; !r && kind < DERIVED_KIND_COUNT; kind++) {
		struct listing l = { .sweep = &s, .kind = (enum derived_kind)kind, .err = err };

		r = list(d, &l);
	}
	*files = s.files;
	*bytes = s.bytes;
	return r;
}

/* ---- The budget ---- */

struct used_file {
	struct derived_name name;
	int64_t size, used;
};

static int note_file(void *arg, const struct derived_name *name, int64_t size, int64_t used, struct err *err)
{
	const struct used_file f = { .name = *name, .size = size, .used = used };

	buf_add(arg, &f, sizeof(f));
	return buf_error(arg) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static int by_use(const void *a, const void *b)
{
	const struct used_file *x = a, *y = b;

	return x->used < y->used ? -1 : x->used > y->used;
}

int derived_shrink(const struct derived *d, int64_t budget, struct err *err)
{
	auto_buf struct buf all = BUF_INIT;
	int r = derived_each(d, DERIVED_COPY, note_file, &all, err);
	int64_t held = 0;
	struct used_file *f;
	size_t count;

	if (!r)
		r = derived_each(d, DERIVED_FILE, note_file, &all, err);
	f = (struct used_file *)(void *)all.data;
	count = all.len / sizeof(*f);
	for (size_t i = 0; i < count; i++)
		held += f[i].size;
	if (!r && held > budget)
		qsort(f, count, sizeof(*f), by_use);
	for (size_t i = 0; !r && i < count && held > budget; i++) {
		r = derived_remove(d, &f[i].name, err);
		held -= f[i].size;
	}
	return r;
}
