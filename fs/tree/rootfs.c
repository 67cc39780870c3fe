/*
 * rootfs.c: an image's root file system by name.
 */
#include "fs/base/base.h"
#include "fs/tree/rootfs.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include "fs/image/config.h"
#include "fs/tree/inside.h"
#include "fs/tree/kind.h"
#include "fs/tree/state.h"

#define PAGE_ENTRIES 128

/* ---- Platforms ---- */

const char *rootfs_platform(void)
{
	/* uname(2)'s machine, and Go's name of it, which images have. */
	static const struct {
		const char *machine, *platform;
	} machines[] = {
		{ "x86_64", "linux/amd64" },	{ "aarch64", "linux/arm64" },	{ "armv7l", "linux/arm/v7" },
		{ "armv6l", "linux/arm/v6" },	{ "i686", "linux/386" },	{ "i586", "linux/386" },
		{ "ppc64le", "linux/ppc64le" }, { "s390x", "linux/s390x" },	{ "riscv64", "linux/riscv64" },
		{ "mips64", "linux/mips64le" }, { "loongarch64", "linux/loong64" },
	};
	struct utsname name;

	for (size_t i = 0; uname(&name) == 0 && i < ARRAY_SIZE(machines); i++)
		if (streq(name.machine, machines[i].machine))
			return machines[i].platform;
	return "linux/unknown";
}

int rootfs_platform_check(const char *platform, struct err *err)
{
	size_t parts = 0, len = 0;

	for (const char *p = platform; parts < 4; p++) {
		if (*p && *p != '/') {
			len++;
			continue;
		}
		if (!len)
			break;
		len = 0;
		parts++;
		if (!*p && parts > 1 && parts < 4)
			return 0;
		if (!*p)
			break;
	}
	return err_set(err, ERR_ARGUMENT, "\"%.100s\" is not a platform: write OS/ARCH or OS/ARCH/VARIANT, as linux/arm64/v8",
		       platform);
}

/* 2: it is the one that is wanted; 1: it will do, being a variant where none was asked for. */
static int match(const char *has, const char *wanted)
{
	static const char v8[] = "linux/arm64";	/* whose variant is v8, said or not */
	size_t len = strlen(wanted);

	if (streq(has, wanted))
		return 2;
	if (starts_with(has, v8) && starts_with(wanted, v8) && (streq(has, v8) || streq(has, "linux/arm64/v8")) &&
	    (streq(wanted, v8) || streq(wanted, "linux/arm64/v8")))
		return 2;
	return strncmp(has, wanted, len) == 0 && has[len] == '/';
}

struct choice {
	struct db *db;
	const struct repo_row *repo;
	const char *wanted;
	int found;		/* as match() */
	struct ref_row best;
	struct buf others;	/* platforms, by commas */
	struct err *err;
};

/* An index needn't say the platform of what it names: its config does. */
static int child_platform(struct choice *c, const struct ref_row *ref, char out[static LIMIT_PLATFORM + 1])
{
	struct image_row image;
	int r;

	snprintf(out, LIMIT_PLATFORM + 1, "%s", ref->platform);
	if (*out)
		return 0;
	r = image_by_digest(c->db, c->repo->id, &ref->digest, &image, c->err);
	if (r > 0 && !image.is_index)
		snprintf(out, LIMIT_PLATFORM + 1, "%.*s", LIMIT_PLATFORM, image.platform);
	return MIN(r, 0);
}

static int choose(void *arg, const struct ref_row *ref)
{
	struct choice *c = arg;
	char platform[LIMIT_PLATFORM + 1];
	int fits, r = child_platform(c, ref, platform);

	if (r || !*platform)
		return r;
	fits = match(platform, c->wanted);
	if (fits > c->found) {
		c->found = fits;
		c->best = *ref;
	}
	/* Those of attestations are said to be for "unknown/unknown". */
	if (!starts_with(platform, "unknown"))
		buf_addf(&c->others, "%s%s", c->others.len ? ", " : "", platform);
	return 0;
}

static int choose_child(struct db *db, const struct repo_row *repo, const char *reference, const char *wanted,
			struct image_row *image, struct err *err)
{
	auto_buf struct buf others = BUF_INIT;
	struct choice c = { .db = db, .repo = repo, .wanted = wanted, .others = BUF_INIT, .err = err };
	int r = ref_list(db, image->id, ROLE_CHILD, 0, choose, &c, err);

	others = c.others;
	if (r < 0)
		return r;
	if (!c.found)
		return err_set(err, ERR_NOT_FOUND, "%s:%s is an index without an image for %s; it has: %.300s", repo->name,
			       reference, wanted, others.len ? others.data : "none that says its platform");
	return need_image_digest(db, repo, &c.best.digest, image, err);
}

/* ---- Finding one ---- */

static int note_odd(void *arg, const struct ref_row *layer)
{
	if (media_type_is_tar(layer->media_type))
		return 0;
	snprintf(arg, LIMIT_MEDIA_TYPE + 1, "%s", layer->media_type);
	return 1;
}

int rootfs_is_there(struct db *db, const struct image_row *image, char type[static LIMIT_MEDIA_TYPE + 1], struct err *err)
{
	struct ref_row config;
	int r = image->is_index ? 0 : ref_at(db, image->id, ROLE_CONFIG, 0, &config, err);

	*type = '\0';
	if (r <= 0)
		return r;
	if (!media_type_is_image_config(config.media_type)) {
		snprintf(type, LIMIT_MEDIA_TYPE + 1, "%s", image->artifact_type);
		return 0;
	}
	r = ref_list(db, image->id, ROLE_LAYER, 0, note_odd, type, err);
	return r < 0 ? r : !*type;
}

static int check_image(struct db *db, const char *name, const struct image_row *image, const char *platform,
		       struct err *err)
{
	char type[LIMIT_MEDIA_TYPE + 1];
	int r = rootfs_is_there(db, image, type, err);

	if (r < 0)
		return r;
	if (!r)
		return err_set(err, ERR_NOT_FOUND, "%s is %s%.200s: there is no root file system in it", name,
			       image->is_index ? "an index of indexes" : "an artifact of type ",
			       image->is_index ? "" : *type ? type : "unknown");
	if (image->id > SHELF_SLOT_MAX)
		return err_set(err, ERR_UNSUPPORTED, "the registry has had more images than a node's number tells apart");
	if (platform && *image->platform && !match(image->platform, platform))
		return err_set(err, ERR_NOT_FOUND, "%s is an image for %.200s, not for %s", name, image->platform, platform);
	return 0;
}

int rootfs_find(struct tree *tree, const struct cred *cred, const char *repo, const char *reference, const char *platform,
		struct rootfs *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row row;
	struct image_row image;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r && platform)
		r = rootfs_platform_check(platform, err);
	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_repo(rd.db, repo, &row, err);
	if (!r)
		r = need_image(rd.db, &row, reference, &image, err);
	if (!r && image.is_index) {
		r = choose_child(rd.db, &row, reference, platform ? platform : rootfs_platform(), &image, err);
		platform = NULL;
	}
	if (!r)
		r = check_image(rd.db, repo, &image, platform, err);
	if (!r)
		*out = (struct rootfs){ .root = inside_root(SHELF_IMAGE, image.id), .digest = image.digest };
	return r;
}

/* ---- Paths ---- */

struct walk {
	struct tree *tree;
	const struct cred *cred;
	uint64_t root;
	struct node_attr at;
	struct buf left;	/* what is still to be gone, from `next` on */
	size_t next;
	int hops;
	bool follow;
	const char *path;	/* for the errors */
	struct err *err;
};

/* Names of the image's don't stand in errors: they may hold what a terminal obeys. */
static int missing(const struct walk *w)
{
	return err_set(w->err, ERR_NOT_FOUND, "there is no %.300s%s", w->path,
		       w->hops ? ": a link on its way leads nowhere" : "");
}

/* Puts a link's target before what is left to be gone. */
static int enter_link(struct walk *w, uint64_t link, struct node_attr *dir)
{
	auto_buf struct buf left = BUF_INIT;
	int r = 0;

	if (++w->hops > ROOTFS_HOPS_MAX)
		return err_set(w->err, ERR_NOT_FOUND, "%.300s: too many levels of symbolic links", w->path);
	r = node_readlink(w->tree, w->cred, link, &left, w->err);
	if (r)
		return r;
	if (*left.data == '/')
		r = node_getattr(w->tree, w->cred, w->root, dir, w->err);
	buf_add(&left, w->left.data + w->next, w->left.len - w->next);
	if (buf_error(&left))
		return err_set(w->err, ERR_NO_MEMORY, "out of memory");
	w->at = *dir;
	w->next = 0;
	buf_release(&w->left);
	w->left = left;
	left = (struct buf)BUF_INIT;
	return r;
}

static int step_up(struct walk *w)
{
	uint64_t parent;
	int r;

	if (w->at.id == w->root)
		return 0;
	r = node_parent(w->tree, w->cred, w->at.id, &parent, w->err);
	return r ? r : node_getattr(w->tree, w->cred, parent, &w->at, w->err);
}

/* Goes by one component, whose name is cut out of what is left. */
static int step(struct walk *w, char *name, bool last)
{
	struct node_attr dir = w->at;
	int r;

	if (!S_ISDIR(dir.mode))
		return err_set(w->err, ERR_NOT_DIRECTORY, "there is no %.300s: something on its way is not a directory", w->path);
	if (streq(name, "."))
		return 0;
	if (streq(name, ".."))
		return step_up(w);
	r = node_lookup(w->tree, w->cred, dir.id, name, &w->at, NULL, w->err);
	if (r == -ENOENT)
		return missing(w);
	if (!r && S_ISLNK(w->at.mode) && (!last || w->follow))
		r = enter_link(w, w->at.id, &dir);
	return r;
}

static int walk(struct walk *w)
{
	int r = node_getattr(w->tree, w->cred, w->root, &w->at, w->err);

	while (!r) {
		char *name;
		size_t len;

		w->next += strspn(w->left.data + w->next, "/");
		len = strcspn(w->left.data + w->next, "/");
		if (!len)
			break;
		name = strndup(w->left.data + w->next, len);
		if (!name)
			return err_set(w->err, ERR_NO_MEMORY, "out of memory");
		w->next += len;
		r = step(w, name, !w->left.data[w->next]);
		free(name);
	}
	/* A slash behind the last component. */
	if (!r && w->left.len && w->left.data[w->left.len - 1] == '/' && !S_ISDIR(w->at.mode))
		r = err_set(w->err, ERR_NOT_DIRECTORY, "%.300s is not a directory", w->path);
	return r;
}

int rootfs_walk(struct tree *tree, const struct cred *cred, uint64_t root, const char *path, bool follow,
		struct node_attr *out, struct err *err)
{
	struct walk w = { .tree = tree, .cred = cred, .root = root, .left = BUF_INIT, .follow = follow, .path = path,
			  .err = err };
	uint64_t above;
	int r;

	if (strlen(path) > LIMIT_TREE_PATH)
		return err_set(err, ERR_NOT_FOUND, "a path of more than %d bytes", LIMIT_TREE_PATH);
	buf_adds(&w.left, path);
	r = buf_error(&w.left) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	/* A root that can't be opened has attributes: its parent is what says that it can't. */
	if (!r)
		r = node_parent(tree, cred, root, &above, err);
	if (!r)
		r = walk(&w);
	buf_release(&w.left);
	*out = w.at;
	return r;
}

/* ---- Directories ---- */

struct entry {
	size_t name;	/* in names */
	struct node_attr attr;
};

struct rootfs_dir {
	struct tree *tree;
	const struct cred *cred;
	uint64_t node;
	uint64_t cookie;	/* behind the page */
	struct buf names;
	struct entry page[PAGE_ENTRIES];
	size_t count, at;
	bool more;
};

int rootfs_dir_open(struct tree *tree, const struct cred *cred, uint64_t directory, struct rootfs_dir **out,
		    struct err *err)
{
	struct rootfs_dir *d = calloc(1, sizeof(*d));

	if (!d)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	d->tree = tree;
	d->cred = cred;
	d->node = directory;
	d->more = true;
	buf_init(&d->names);
	*out = d;
	return 0;
}

static int keep_entry(void *arg, const char *name, const struct node_attr *attr, uint64_t next)
{
	struct rootfs_dir *d = arg;

	d->more = d->count == PAGE_ENTRIES;
	if (d->more)
		return 1;
	d->page[d->count++] = (struct entry){ .name = d->names.len, .attr = *attr };
	buf_add(&d->names, name, strlen(name) + 1);
	d->cookie = next;
	return 0;
}

int rootfs_dir_next(struct rootfs_dir *d, const char **name, const struct node_attr **attr, struct err *err)
{
	if (d->at == d->count && d->more) {
		int r;

		d->at = d->count = 0;
		d->more = false;
		buf_reset(&d->names);
		r = node_list(d->tree, d->cred, d->node, d->cookie, keep_entry, d, err);
		if (r)
			return r;
		if (buf_error(&d->names))
			return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (d->at == d->count)
		return 0;
	*name = d->names.data + d->page[d->at].name;
	*attr = &d->page[d->at++].attr;
	return 1;
}

void rootfs_dir_close(struct rootfs_dir *d)
{
	buf_release(&d->names);
	free(d);
}

/* ---- Files ---- */

static int need_inside(struct tree *tree, const struct cred *cred, uint64_t node, struct err *err)
{
	int r = node_enter(tree, cred, node, err);

	return r > 0 ? 0 : r ? r : err_set(err, ERR_NOT_FOUND, "it is not inside an image");
}

int rootfs_source(struct tree *tree, const struct cred *cred, uint64_t node, uint64_t *out, struct err *err)
{
	int r = need_inside(tree, cred, node, err);

	return r ? r : inside_source(tree, node, out, err);
}

int rootfs_same(struct tree *tree, const struct cred *cred, uint64_t a, uint64_t b, struct err *err)
{
	uint64_t from_a, from_b;
	int r = rootfs_source(tree, cred, a, &from_a, err);

	if (!r)
		r = rootfs_source(tree, cred, b, &from_b, err);
	return r ? r : from_a == from_b;
}

int rootfs_data(struct tree *tree, const struct cred *cred, uint64_t file, int64_t offset, int64_t *start, int64_t *end,
		struct err *err)
{
	int r = need_inside(tree, cred, file, err);

	return r ? r : inside_data(tree, file, offset, start, end, err);
}
