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
	char hex[DIGEST_HEX_MAX + 1], part[16] = "";

	digest_hex(&name->key, hex);
	if (name->kind == DERIVED_FILE)
		snprintf(part, sizeof(part), "-%" PRIu32, name->part);
	snprintf(out, NAME_LEN, "index/%s%s/%.2s/%s%s%s", rooms[name->kind],
		 name->key.algorithm == DIGEST_SHA512 ? "-sha512" : "", hex, hex, part, suffix);
}

/* Makes the directories of a path. */
static int make_dirs(const struct derived *d, const char *path, struct err *err)
{
	char dir[NAME_LEN];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
		if (mkdirat(d->root, dir, 0700) < 0 && errno != EEXIST)
			return err_sys(err, errno, "can't make the directory %s in the store", dir);
	}
	return 0;
}

int derived_open(const struct derived *d, const struct derived_name *name, int *fd, struct err *err)
{
	char path[NAME_LEN];

	path_of(name, "", path);
	*fd = openat(d->root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (*fd < 0)
		return err_sys(err, errno, "can't open %s in the store", path);
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

static bool is_named(const struct derived *d, int fd, const char *path)
{
	struct stat mine, named;

	return fstat(fd, &mine) == 0 && fstatat(d->root, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
}

static int lock_file(int fd)
{
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -1;
	return 0;
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
		auto_fd int fd = openat(d->root, new, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

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
	if ((sync && fdatasync(draft->fd) < 0) || fchmod(draft->fd, 0400) < 0 || renameat(d->root, new, d->root, path) < 0)
		return err_sys(err, errno, "can't name %s in the store", path);
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

struct listing {
	derived_fn *fn;
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
	unsigned long part = 0;
	char *end = (char *)(uintptr_t)text + len;

	*out = (struct derived_name){ .kind = l->kind };
	if (len > DIGEST_HEX_MAX || (l->kind == DERIVED_FILE) != (text[len] == '-'))
		return false;
	if (l->kind == DERIVED_FILE)
		part = strtoul(text + len + 1, &end, 10);
	snprintf(hex, sizeof(hex), "%.*s", (int)len, text);
	out->part = (uint32_t)part;
	return !*end && part <= UINT32_MAX && digest_parse_hex(l->algorithm, hex, &out->key, NULL) == 0;
}

/* What isn't named by a digest (one being made, or left behind by a crash) is nobody's. */
static int give(const struct listing *l, int dir, const char *name)
{
	struct derived_name parsed;
	struct stat st;

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

int derived_each(const struct derived *d, enum derived_kind kind, derived_fn *fn, void *arg, struct err *err)
{
	struct listing l = { .fn = fn, .arg = arg, .kind = kind, .algorithm = DIGEST_SHA256, .err = err };
	char path[NAME_LEN];
	int r;

	snprintf(path, sizeof(path), "index/%s", rooms[kind]);
	r = each_in(&l, d->root, path, 1);
	if (r)
		return r;
	l.algorithm = DIGEST_SHA512;
	snprintf(path, sizeof(path), "index/%s-sha512", rooms[kind]);
	return each_in(&l, d->root, path, 1);
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
