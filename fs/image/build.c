/*
 * build.c: the tree in memory: names in a hash table, inodes and texts in arrays that grow.
 *
 * Invariants:
 * 1. A (directory, text) has at most one row in `names`; a row whose inode is 0 is a name that there isn't.
 * 2. A directory's inode has its parent's number from the moment it is made; moving directories isn't possible.
 */
#include "fs/base/base.h"
#include "fs/image/build.h"

#include "fs/base/limits.h"
#include "fs/base/siphash.h"

#define HOPS_MAX 40	/* symbolic links followed for one path, as Linux has it */
#define XATTR_STEP 4	/* bytes of attributes that cost a step */
#define CLEAR_STEP 16	/* names looked at, one behind the other */

struct name {
	uint32_t dir, inode, hash;
	uint32_t order;		/* LAYER: number of the archive's entry */
	uint64_t text;
};

/* A step that isn't the putting of a name. */
struct mark {
	enum index_step_kind kind;
	uint32_t order;
	uint32_t dir, name;	/* numbers of an inode, and of a whiteout's name */
};

struct set {
	uint32_t hash, at;	/* 1 + offset */
	size_t size;
};

struct build {
	struct siphash_key key;	/* names and attributes are a stranger's: by a known hash, all could fall into one slot */
	struct buf inodes;	/* struct index_inode */
	struct buf names;	/* struct name */
	uint32_t *slots;	/* 1 + number of a name; by its hash */
	size_t slot_count;	/* a power of two */
	struct buf texts;
	struct buf xattrs, sets;	/* sets: struct set, sorted by nothing: searched through set_slots */
	uint32_t *set_slots;
	size_t set_slot_count;
	struct buf extents;
	struct buf marks;	/* struct mark */
	uint32_t order;
	int64_t time;		/* of directories that are made */
	int64_t steps, most_steps;	/* taken so far, and may be */
};

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "out of memory for a tree of files");
}

static struct name *name_at(const struct build *b, size_t i)
{
	return (struct name *)(void *)b->names.data + i;
}

static size_t name_count(const struct build *b)
{
	return b->names.len / sizeof(struct name);
}

static size_t inode_count(const struct build *b)
{
	return b->inodes.len / sizeof(struct index_inode);
}

/* A directory's number goes into the key, which no name can make up for. */
static uint32_t hash_name(const struct build *b, uint32_t dir, const char *name)
{
	const struct siphash_key key = { { b->key.k[0] ^ dir, b->key.k[1] } };

	return (uint32_t)siphash(&key, name, strlen(name));
}

/* ---- Inodes ---- */

int build_inode(struct build *b, uint32_t *number, struct err *err)
{
	static const struct index_inode zero;

	if (inode_count(b) >= LIMIT_TREE_ENTRIES)
		return err_set(err, ERR_CORRUPT, "it has more than %d files: regfs doesn't look into such a one",
			       LIMIT_TREE_ENTRIES);
	buf_add(&b->inodes, &zero, sizeof(zero));
	*number = (uint32_t)inode_count(b);
	return buf_error(&b->inodes) ? no_memory(err) : 0;
}

uint32_t build_inodes(const struct build *b)
{
	return (uint32_t)inode_count(b);
}

struct index_inode *build_at(struct build *b, uint32_t number)
{
	return (struct index_inode *)(void *)b->inodes.data + number - 1;
}

int build_directory(struct build *b, uint32_t parent, uint32_t *number, struct err *err)
{
	int r = build_inode(b, number, err);

	if (!r)
		*build_at(b, *number) = (struct index_inode){ .mode = S_IFDIR | 0755, .parent = parent,
							      .mtime = b->time, .flags = INDEX_IMPLIED };
	return r;
}

void build_set_time(struct build *b, int64_t mtime)
{
	b->time = mtime;
}

void build_set_steps(struct build *b, int64_t most)
{
	b->most_steps = most;
}

int build_count(struct build *b, int64_t steps, struct err *err)
{
	b->steps += steps;
	if (b->steps <= b->most_steps)
		return 0;
	return err_set(err, ERR_CORRUPT, "its paths, links and attributes are more than regfs follows (%" PRId64 " steps)", b->most_steps);
}

int build_new(struct build **out, struct err *err)
{
	auto_build struct build *b = calloc(1, sizeof(*b));
	uint32_t root;
	int r;

	if (!b)
		return no_memory(err);
	b->most_steps = LIMIT_TREE_STEPS;
	buf_init(&b->inodes);
	buf_init(&b->names);
	buf_init(&b->texts);
	buf_init(&b->xattrs);
	buf_init(&b->sets);
	buf_init(&b->extents);
	buf_init(&b->marks);
	buf_addc(&b->texts, '\0');
	r = siphash_key_new(&b->key, err);
	if (!r)
		r = build_directory(b, INDEX_ROOT, &root, err);
	if (!r)
		*out = steal(&b);
	return r;
}

void build_free(struct build *b)
{
	if (!b)
		return;
	buf_release(&b->inodes);
	buf_release(&b->names);
	buf_release(&b->texts);
	buf_release(&b->xattrs);
	buf_release(&b->sets);
	buf_release(&b->extents);
	buf_release(&b->marks);
	free(b->slots);
	free(b->set_slots);
	free(b);
}

/* ---- Names ---- */

static bool is_name(const struct build *b, const struct name *n, uint32_t dir, uint32_t hash, const char *name)
{
	return n->hash == hash && n->dir == dir && streq(b->texts.data + n->text, name);
}

/* Where a name's number stands, or would. The table is never full. */
static uint32_t *name_slot(const struct build *b, uint32_t dir, uint32_t hash, const char *name)
{
	size_t i = hash & (b->slot_count - 1);

	while (b->slots[i] && !is_name(b, name_at(b, b->slots[i] - 1), dir, hash, name))
		i = (i + 1) & (b->slot_count - 1);
	return &b->slots[i];
}

/* Twice as many slots; names don't equal each other, so the first free one is each one's. */
static int grow_slots(struct build *b, struct err *err)
{
	size_t count = b->slot_count ? 2 * b->slot_count : 1024;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return no_memory(err);
	for (size_t n = 0; n < name_count(b); n++) {
		size_t i = name_at(b, n)->hash & (count - 1);

		while (slots[i])
			i = (i + 1) & (count - 1);
		slots[i] = (uint32_t)n + 1;
	}
	free(b->slots);
	b->slots = slots;
	b->slot_count = count;
	return 0;
}

uint32_t build_child(const struct build *b, uint32_t dir, const char *name)
{
	uint32_t *slot;

	if (!b->slot_count)
		return 0;
	slot = name_slot(b, dir, hash_name(b, dir, name), name);
	return *slot ? name_at(b, *slot - 1)->inode : 0;
}

int build_put(struct build *b, uint32_t dir, const char *name, uint32_t inode, struct err *err)
{
	struct name row = { .dir = dir, .inode = inode, .hash = hash_name(b, dir, name), .order = b->order };
	uint32_t *slot;
	int r = 0;

	if (2 * (name_count(b) + 1) > b->slot_count)
		r = grow_slots(b, err);
	if (r)
		return r;
	slot = name_slot(b, dir, row.hash, name);
	if (*slot) {
		name_at(b, *slot - 1)->inode = inode;
		name_at(b, *slot - 1)->order = b->order;
		return 0;
	}
	if (!inode)
		return 0;
	/* A name that was put and taken again ten times has ten dead directories' rows: bounded as inodes are. */
	if (name_count(b) >= 2 * LIMIT_TREE_ENTRIES)
		return err_set(err, ERR_CORRUPT, "it has more than %d names: regfs doesn't look into such a one",
			       2 * LIMIT_TREE_ENTRIES);
	r = build_add_text(b, name, &row.text, err);
	if (r)
		return r;
	buf_add(&b->names, &row, sizeof(row));
	if (buf_error(&b->names))
		return no_memory(err);
	*slot = (uint32_t)name_count(b);
	return 0;
}

int build_clear(struct build *b, uint32_t dir, bool (*keep)(void *arg, uint32_t inode), void *arg, struct err *err)
{
	for (size_t i = 0; i < name_count(b); i++) {
		struct name *n = name_at(b, i);

		if (n->dir == dir && n->inode && !keep(arg, n->inode))
			n->inode = 0;
	}
	return build_count(b, 1 + (int64_t)name_count(b) / CLEAR_STEP, err);
}

void build_set_order(struct build *b, uint32_t order)
{
	b->order = order;
}

int build_add_step(struct build *b, uint32_t dir, const char *name, struct err *err)
{
	struct mark m = { .kind = INDEX_STEP_OPAQUE, .order = b->order, .dir = dir };

	if (name) {
		m.kind = INDEX_STEP_WHITEOUT;
		m.name = *name_slot(b, dir, hash_name(b, dir, name), name) - 1;
	}
	buf_add(&b->marks, &m, sizeof(m));
	return buf_error(&b->marks) ? no_memory(err) : 0;
}

/* ---- Texts, attributes, extents ---- */

int build_add_text(struct build *b, const char *text, uint64_t *offset, struct err *err)
{
	size_t len = strlen(text) + 1;

	if (b->texts.len + len > LIMIT_TREE_TEXTS)
		return err_set(err, ERR_CORRUPT, "its names are longer than %d bytes together", LIMIT_TREE_TEXTS);
	*offset = b->texts.len;
	buf_add(&b->texts, text, len);
	return buf_error(&b->texts) ? no_memory(err) : 0;
}

const char *build_text(const struct build *b, uint64_t offset)
{
	return b->texts.data + offset;
}

static struct set *set_at(const struct build *b, size_t i)
{
	return (struct set *)(void *)b->sets.data + i;
}

static int grow_sets(struct build *b, struct err *err)
{
	size_t have = b->sets.len / sizeof(struct set), count = b->set_slot_count ? 2 * b->set_slot_count : 64;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return no_memory(err);
	for (size_t n = 0; n < have; n++) {
		size_t i = set_at(b, n)->hash & (count - 1);

		while (slots[i])
			i = (i + 1) & (count - 1);
		slots[i] = (uint32_t)n + 1;
	}
	free(b->set_slots);
	b->set_slots = slots;
	b->set_slot_count = count;
	return 0;
}

int build_add_xattrs(struct build *b, const void *bytes, size_t size, uint32_t *xattrs, struct err *err)
{
	struct set row = { .hash = (uint32_t)siphash(&b->key, bytes, size), .size = size };
	size_t i;
	int r = 0;

	/* A global header may give a megabyte of them to each of a million files. */
	r = build_count(b, (int64_t)size / XATTR_STEP, err);
	if (r)
		return r;
	if (2 * (b->sets.len / sizeof(row) + 1) > b->set_slot_count)
		r = grow_sets(b, err);
	if (r)
		return r;
	for (i = row.hash & (b->set_slot_count - 1); b->set_slots[i]; i = (i + 1) & (b->set_slot_count - 1)) {
		const struct set *s = set_at(b, b->set_slots[i] - 1);

		if (s->hash == row.hash && s->size == size && memcmp(b->xattrs.data + s->at - 1, bytes, size) == 0) {
			*xattrs = s->at;
			return 0;
		}
	}
	if (b->xattrs.len + size > LIMIT_TREE_XATTRS)
		return err_set(err, ERR_CORRUPT, "its extended attributes are larger than %d bytes together",
			       LIMIT_TREE_XATTRS);
	row.at = (uint32_t)b->xattrs.len + 1;
	buf_add(&b->xattrs, bytes, size);
	buf_add(&b->sets, &row, sizeof(row));
	if (buf_error(&b->xattrs) || buf_error(&b->sets))
		return no_memory(err);
	b->set_slots[i] = (uint32_t)(b->sets.len / sizeof(row));
	*xattrs = row.at;
	return 0;
}

int build_add_extents(struct build *b, const struct index_extent *extents, size_t count, uint64_t *first,
		      struct err *err)
{
	*first = b->extents.len / sizeof(*extents);
	if (*first + count > LIMIT_TREE_EXTENTS)
		return err_set(err, ERR_CORRUPT, "its sparse files have more than %d runs together", LIMIT_TREE_EXTENTS);
	buf_add(&b->extents, extents, count * sizeof(*extents));
	return buf_error(&b->extents) ? no_memory(err) : 0;
}

/* ---- Paths ---- */

/* Of names that stand one behind another. */
static void remove_last(struct buf *names)
{
	buf_truncate(names, names->len - 1);
	while (names->len && names->data[names->len - 1])
		buf_truncate(names, names->len - 1);
}

static int add_component(struct buf *names, const char *at, size_t len, size_t *count, struct err *err)
{
	if (!len || (len == 1 && *at == '.'))
		return 0;
	if (len == 2 && at[0] == '.' && at[1] == '.') {
		if (!*count)
			return 0;
		remove_last(names);
		--*count;
		return 0;
	}
	if (len > LIMIT_TREE_NAME || ++*count > LIMIT_TREE_DEPTH)
		return err_set(err, ERR_CORRUPT, "a path in it has a name of more than %d bytes, or more than %d names",
			       LIMIT_TREE_NAME, LIMIT_TREE_DEPTH);
	buf_add(names, at, len);
	buf_addc(names, '\0');
	return 0;
}

int build_split(const char *path, struct buf *names, size_t *count, struct err *err)
{
	int r = 0;

	buf_reset(names);
	*count = 0;
	if (strnlen(path, LIMIT_TREE_PATH + 1) > LIMIT_TREE_PATH)
		return err_set(err, ERR_CORRUPT, "a path in it has more than %d bytes: %.80s...", LIMIT_TREE_PATH, path);
	while (!r && *path) {
		size_t len = strcspn(path, "/");

		r = add_component(names, path, len, count, err);
		path += len;
		path += *path == '/';
	}
	return !r && buf_error(names) ? no_memory(err) : r;
}

/* A walk in progress: where it is, and by which names on from there, which aren't directories'; the links followed so far. */
struct walk {
	struct build *b;
	uint32_t dir;
	struct buf missing;	/* each with its NUL */
	int hops;
	struct err *err;
};

static void walk_release(struct walk *w)
{
	buf_release(&w->missing);
}

static int walk_target(struct walk *w, const char *target);

static int step(struct walk *w, const char *name)
{
	uint32_t child = w->missing.len ? 0 : build_child(w->b, w->dir, name);
	const struct index_inode *i = child ? build_at(w->b, child) : NULL;

	if (i && S_ISLNK(i->mode)) {
		if (++w->hops > HOPS_MAX)
			return err_set(w->err, ERR_CORRUPT, "more than %d symbolic links lead on from one path in it", HOPS_MAX);
		return walk_target(w, build_text(w->b, i->data));
	}
	if (i && S_ISDIR(i->mode))
		w->dir = child;
	else
		buf_add(&w->missing, name, strlen(name) + 1);
	return 0;
}

static void step_up(struct walk *w)
{
	if (w->missing.len)
		remove_last(&w->missing);
	else
		w->dir = build_at(w->b, w->dir)->parent;
}

/* Of a link's target "." and "..", too, are steps. Nothing is made meanwhile, so the text stays. */
static int walk_target(struct walk *w, const char *target)
{
	char name[LIMIT_TREE_NAME + 1];
	int r = 0;

	if (*target == '/') {
		w->dir = INDEX_ROOT;
		buf_reset(&w->missing);
	}
	for (const char *at = target; !r && *at;) {
		size_t len = (size_t)(strchrnul(at, '/') - at);

		r = build_count(w->b, 1, w->err);
		if (r)
			return r;
		if (len > LIMIT_TREE_NAME)
			return err_set(w->err, ERR_CORRUPT, "a link in it leads to a name of more than %d bytes",
				       LIMIT_TREE_NAME);
		if (len == 2 && at[0] == '.' && at[1] == '.') {
			step_up(w);
		} else if (len > 1 || (len && *at != '.')) {
			memcpy(name, at, len);
			name[len] = '\0';
			r = step(w, name);
		}
		at += len;
		at += *at == '/';
	}
	return r;
}

/* The directory that it has come to. */
static int walk_end(struct walk *w, enum build_missing missing, uint32_t *out)
{
	const char *name = w->missing.data, *end = name + w->missing.len;
	int r = buf_error(&w->missing) ? no_memory(w->err) : 0;

	*out = 0;
	if (r || (name < end && missing == BUILD_LEAVE) ||
	    (name < end && missing == BUILD_MAKE && build_child(w->b, w->dir, name)))
		return r;
	for (; !r && name < end; name += strlen(name) + 1) {
		uint32_t made;

		r = build_directory(w->b, w->dir, &made, w->err);
		if (!r)
			r = build_put(w->b, w->dir, name, made, w->err);
		w->dir = made;
	}
	*out = r ? 0 : w->dir;
	return r;
}

int build_walk(struct build *b, const char *names, size_t count, enum build_missing missing, uint32_t *dir, struct err *err)
{
	CLEANUP(walk_release) struct walk w = { .b = b, .dir = INDEX_ROOT, .missing = BUF_INIT, .err = err };
	int r = 0;

	*dir = 0;
	for (size_t i = 0; !r && i < count; i++) {
		r = build_count(b, 1, err);
		if (!r)
			r = step(&w, names);
		names += strlen(names) + 1;
	}
	return r ? r : walk_end(&w, missing, dir);
}

int build_follow(struct build *b, uint32_t dir, const char *target, enum build_missing missing, uint32_t *out, struct err *err)
{
	CLEANUP(walk_release) struct walk w = { .b = b, .dir = dir, .missing = BUF_INIT, .hops = 1, .err = err };
	int r = walk_target(&w, target);

	*out = 0;
	return r ? r : walk_end(&w, missing, out);
}

/* ---- Writing ---- */

struct ordered {
	uint32_t order;
	struct index_step step;
};

/* A tree being numbered anew: breadth first, so that a directory comes behind its parent and its entries stand together. */
struct writing {
	const struct build *b;
	const struct build_extra *extra;
	uint32_t *sorted;	/* names that there are, by directory and text */
	size_t sorted_count;
	uint32_t *first;	/* by old inode: where its names begin in `sorted` */
	uint32_t *number;	/* by old inode: its new number, 0: not reached */
	struct index_inode *inodes;	/* by new number - 1 */
	uint32_t *old;		/* by new number - 1 */
	uint16_t *depth;	/* by new number - 1, of directories; the root's is 0 */
	uint32_t count;
	bool too_deep;
	struct buf entries, texts;
	struct buf steps;	/* struct ordered */
	struct buf rows;	/* and as they are written */
	uint32_t *whited;	/* by name: 1 + its number in its directory, or 0 */
	struct index_facts facts;
};

static void writing_release(struct writing *w)
{
	free(w->sorted);
	free(w->first);
	free(w->number);
	free(w->inodes);
	free(w->old);
	free(w->depth);
	free(w->whited);
	buf_release(&w->entries);
	buf_release(&w->texts);
	buf_release(&w->steps);
	buf_release(&w->rows);
}

static int by_directory(const void *a, const void *b, void *arg)
{
	const struct build *build = arg;
	const struct name *x = name_at(build, *(const uint32_t *)a), *y = name_at(build, *(const uint32_t *)b);

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return strcmp(build->texts.data + x->text, build->texts.data + y->text);
}

static int sort_names(struct writing *w, struct err *err)
{
	size_t inodes = inode_count(w->b);

	w->sorted = malloc((name_count(w->b) + 1) * sizeof(*w->sorted));
	w->first = calloc(inodes + 2, sizeof(*w->first));
	w->number = calloc(inodes + 1, sizeof(*w->number));
	w->inodes = calloc(inodes, sizeof(*w->inodes));
	w->old = calloc(inodes, sizeof(*w->old));
	w->depth = calloc(inodes, sizeof(*w->depth));
	if (w->b->marks.len && !(w->whited = calloc(name_count(w->b) + 1, sizeof(*w->whited))))
		return no_memory(err);
	if (!w->sorted || !w->first || !w->number || !w->inodes || !w->old || !w->depth)
		return no_memory(err);
	for (size_t i = 0; i < name_count(w->b); i++)
		if (name_at(w->b, i)->inode)
			w->sorted[w->sorted_count++] = (uint32_t)i;
	qsort_r(w->sorted, w->sorted_count, sizeof(*w->sorted), by_directory, (void *)(uintptr_t)w->b);
	for (size_t i = w->sorted_count; i > 0; i--)
		w->first[name_at(w->b, w->sorted[i - 1])->dir] = (uint32_t)i - 1;
	return 0;
}

static uint32_t reach(struct writing *w, uint32_t old, uint32_t parent)
{
	const struct index_inode *from = (const struct index_inode *)(const void *)w->b->inodes.data + old - 1;
	struct index_inode *to = &w->inodes[w->count];

	w->old[w->count++] = old;
	w->number[old] = w->count;
	*to = *from;
	to->nlink = 0;
	to->parent = parent;
	if (S_ISDIR(to->mode)) {
		to->nlink = 2;
		if (old != INDEX_ROOT)
			w->depth[w->count - 1] = w->depth[parent - 1] + 1;
		w->too_deep = w->too_deep || w->depth[w->count - 1] > LIMIT_TREE_DEPTH;
		if (w->extra->kind == INDEX_LAYER && to->flags & INDEX_IMPLIED)
			to->mtime = w->extra->implied_mtime;
	} else if (S_ISLNK(to->mode) || to->flags & INDEX_LINK) {
		const char *text = build_text(w->b, from->data);

		to->data = w->texts.len;
		buf_add(&w->texts, text, strlen(text) + 1);
	}
	/* What a sparse file says its size is may be anything. */
	if (S_ISREG(to->mode) && __builtin_add_overflow(w->facts.unpacked, to->size, &w->facts.unpacked))
		w->facts.unpacked = INT64_MAX;
	w->facts.files += !S_ISDIR(to->mode) && !(to->flags & INDEX_WHITEOUT);
	return w->count;
}

static void add_step(struct writing *w, uint32_t order, enum index_step_kind kind, uint32_t dir, uint32_t entry)
{
	const struct ordered o = { order, { kind, dir, entry } };

	buf_add(&w->steps, &o, sizeof(o));
}

static void number_directory(struct writing *w, uint32_t dir)
{
	uint32_t old = w->old[dir - 1], start = (uint32_t)(w->entries.len / sizeof(struct index_entry)), count = 0;

	for (size_t i = w->first[old]; i < w->sorted_count; i++) {
		const struct name *n = name_at(w->b, w->sorted[i]);
		const char *text = w->b->texts.data + n->text;
		struct index_entry e = { .name = (uint32_t)w->texts.len, .inode = w->number[n->inode] };

		if (n->dir != old)
			break;
		buf_add(&w->texts, text, strlen(text) + 1);
		if (!e.inode)
			e.inode = reach(w, n->inode, dir);
		if (S_ISDIR(w->inodes[e.inode - 1].mode))
			w->inodes[dir - 1].nlink++;
		else
			w->inodes[e.inode - 1].nlink++;
		buf_add(&w->entries, &e, sizeof(e));
		if (w->whited)
			w->whited[w->sorted[i]] = count + 1;
		if (w->extra->kind == INDEX_LAYER && !(w->inodes[e.inode - 1].flags & (INDEX_IMPLIED | INDEX_WHITEOUT)))
			add_step(w, n->order, INDEX_STEP_PUT, dir, count);
		count++;
	}
	w->inodes[dir - 1].data = start;
	w->inodes[dir - 1].count = count;
}

static int by_order(const void *a, const void *b)
{
	const struct ordered *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	/* An entry in the place of another that wasn't a directory takes nothing from a lower one: a whiteout, then the entry. */
	return (int)y->step.kind - (int)x->step.kind;
}

/* Puts a layer's steps in order, those that nothing in the tree is of any more left out. */
static void order_steps(struct writing *w)
{
	const struct mark *m = (const struct mark *)(const void *)w->b->marks.data;
	const struct ordered *o;

	for (size_t i = 0; i < w->b->marks.len / sizeof(*m); i++, m++) {
		uint32_t dir = w->number[m->dir], entry = m->kind == INDEX_STEP_WHITEOUT ? w->whited[m->name] : 1;

		if (dir && entry)
			add_step(w, m->order, m->kind, dir, entry - 1);
	}
	if (buf_error(&w->steps))
		return;
	qsort(w->steps.data, w->steps.len / sizeof(*o), sizeof(*o), by_order);
	o = (const struct ordered *)(const void *)w->steps.data;
	for (size_t i = 0; i < w->steps.len / sizeof(*o); i++) {
		const struct index_step_row row = index_step_row(o[i].step);

		buf_add(&w->rows, &row, sizeof(row));
	}
}

static void mark_own(struct writing *w)
{
	for (uint32_t n = 0; n < w->count; n++) {
		struct index_inode *i = &w->inodes[n];

		if (!S_ISDIR(i->mode) && w->extra->layer_nlink(w->extra->arg, i) != i->nlink)
			i->flags |= INDEX_OWN;
	}
}

static int write_sections(struct writing *w, int fd, struct err *err)
{
	const struct span_draft *spans = w->extra->spans;
	const struct index_section sections[INDEX_SECTION_COUNT] = {
		[INDEX_INODES] = { w->inodes, w->count * sizeof(*w->inodes) },
		[INDEX_ENTRIES] = { w->entries.data, w->entries.len },
		[INDEX_STEPS] = { w->rows.data, w->rows.len },
		[INDEX_XATTRS] = { w->b->xattrs.data, w->b->xattrs.len },
		[INDEX_EXTENTS] = { w->b->extents.data, w->b->extents.len },
		[INDEX_ROWS] = { spans ? spans->rows.data : "", spans ? spans->rows.len : 0 },
		[INDEX_WINDOWS] = { spans ? spans->windows.data : "", spans ? spans->windows.len : 0 },
		[INDEX_PIECES] = { spans ? spans->pieces.data : "", spans ? spans->pieces.len : 0 },
		[INDEX_LAYERS] = { w->extra->layers ? w->extra->layers : (const void *)"",
				   w->extra->layer_count * sizeof(struct digest) },
		[INDEX_TEXTS] = { w->texts.data, w->texts.len },
	};

	w->facts.kind = w->extra->kind;
	w->facts.coding = spans ? spans->coding : 0;
	w->facts.stream = spans ? spans->size : 0;
	return index_write(fd, &w->facts, sections, err);
}

int build_write(struct build *b, const struct build_extra *extra, int fd, struct err *err)
{
	CLEANUP(writing_release) struct writing w = { .b = b, .extra = extra, .entries = BUF_INIT, .texts = BUF_INIT,
						      .steps = BUF_INIT, .rows = BUF_INIT };
	int r = sort_names(&w, err);

	if (r)
		return r;
	buf_addc(&w.texts, '\0');
	reach(&w, INDEX_ROOT, INDEX_ROOT);
	for (uint32_t n = 1; n <= w.count && !w.too_deep; n++)
		if (S_ISDIR(w.inodes[n - 1].mode))
			number_directory(&w, n);
	if (w.too_deep)
		return err_set(err, ERR_CORRUPT, "links in it make a directory that lies more than %d deep", LIMIT_TREE_DEPTH);
	if (extra->kind == INDEX_LAYER)
		order_steps(&w);
	else if (extra->kind == INDEX_IMAGE)
		mark_own(&w);
	if (buf_error(&w.entries) || buf_error(&w.texts) || buf_error(&w.steps) || buf_error(&w.rows))
		return no_memory(err);
	return write_sections(&w, fd, err);
}
