/*
 * prune.c: see prune.h.
 *
 * Invariants:
 *  1. No transaction removes more than BATCH tags, so that pushes get their turn.
 *  2. What is immutable is removed by nobody here, whatever was decided.
 */
#include "fs/base/base.h"
#include "fs/tree/prune.h"

#include "fs/auth/rule.h"
#include "fs/base/timestamp.h"
#include "fs/meta/garbage.h"
#include "fs/tree/settings.h"
#include "fs/tree/state.h"

#define BATCH 64

struct planned {
	struct tag_use use;	/* as it was when it was decided */
	char immutable[LIMIT_VALUE + 1];
	bool image;		/* goes with it */
};

struct plan {
	struct tree *tree;
	const struct cred *cred;
	const struct tree_prune_options *options;
	struct repo_row repo;
	int64_t now;
	struct buf rules, immutable;	/* as text; empty: there are none */
	struct buf uses;		/* struct tag_use */
	struct planned *planned;
	struct retention_tag *tags;	/* the same, decided */
	size_t count, at;
	int64_t removed_tags, removed_images;	/* of the transaction in hand */
};

static void plan_release(struct plan *p)
{
	buf_release(&p->rules);
	buf_release(&p->immutable);
	buf_release(&p->uses);
	free(p->planned);
	free(p->tags);
}
#define auto_plan CLEANUP(plan_release)

/* ---- Deciding ---- */

static int read_setting(struct db *db, const char *repo, const char *key, const char *none, struct buf *out, struct err *err)
{
	int r = settings_effective(db, repo, key, out, err);

	if (r > 0 && streq(out->data, none))
		buf_reset(out);
	return r > 0 ? buf_error(out) : r;
}

static int read_rules(struct db *db, const char *repo, struct buf *rules, struct buf *immutable, struct err *err)
{
	int r = read_setting(db, repo, "retention", RETENTION_NONE, rules, err);

	return r ? r : read_setting(db, repo, "immutable", IMMUTABLE_NONE, immutable, err);
}

static int add_use(void *arg, const struct tag_use *use)
{
	buf_add(arg, use, sizeof(*use));
	return buf_error(arg);
}

static int by_manifest(const void *x, const void *y, void *arg)
{
	const struct planned *p = arg;
	int64_t a = p[*(const size_t *)x].use.tag.manifest_id, b = p[*(const size_t *)y].use.tag.manifest_id;

	return (a > b) - (a < b);
}

/* Whether the image that a tag is about by its name stays whatever happens to tags: it has none, or an index needs it. */
static int subject_stays(struct db *db, int64_t repository_id, const struct digest *subject, struct err *err)
{
	struct image_row image;
	int tagged, r = image_by_digest(db, repository_id, subject, &image, err);

	if (r <= 0)
		return r;
	tagged = tag_names_image(db, image.id, err);
	return tagged ? tagged < 0 ? tagged : garbage_is_held(db, image.id, err) : 1;
}

static int fill_tag(struct db *db, struct plan *p, size_t i, struct err *err)
{
	struct planned *d = &p->planned[i];
	struct digest subject;
	int r;

	memcpy(&d->use, p->uses.data + i * sizeof(d->use), sizeof(d->use));
	p->tags[i] = (struct retention_tag){
		.name = d->use.tag.name,
		.digest = d->use.tag.digest,
		.order = d->use.order,
		.moved = d->use.tag.moved,
		.pulled = d->use.pulled,
		.expires = d->use.tag.expires,
		.end_by = d->use.tag.own_end ? "regfs tag set" : "label regfs.expires",
	};
	if (p->immutable.len && rules_match(p->immutable.data, d->use.tag.name, d->immutable))
		p->tags[i].immutable = d->immutable;
	if (!retention_subject(d->use.tag.name, &subject))
		return 0;
	r = subject_stays(db, p->repo.id, &subject, err);
	p->tags[i].subject_held = r > 0;
	return MIN(r, 0);
}

/* Which images no tag names any more then, and nothing else is seen to need: said with one of their tags. */
static int predict_images(struct db *db, struct plan *p, struct err *err)
{
	auto_free size_t *order = calloc(p->count + 1, sizeof(*order));
	bool kept = false;
	int r = order ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	for (size_t i = 0; !r && i < p->count; i++)
		order[i] = i;
	if (!r)
		qsort_r(order, p->count, sizeof(*order), by_manifest, p->planned);
	for (size_t i = 0; !r && i < p->count; i++) {
		struct planned *d = &p->planned[order[i]];

		kept |= p->tags[order[i]].keep;
		if (i + 1 < p->count && p->planned[order[i + 1]].use.tag.manifest_id == d->use.tag.manifest_id)
			continue;
		r = kept ? 1 : garbage_is_held(db, d->use.tag.manifest_id, err);
		d->image = r == 0;
		kept = false;
		r = MIN(r, 0);
	}
	return r;
}

static int decide(struct db *db, struct plan *p, struct err *err)
{
	auto_retention struct retention *rules = NULL;
	int r = p->rules.len ? retention_parse(p->rules.data, &rules, err) : 0;

	p->count = p->uses.len / sizeof(struct tag_use);
	p->planned = calloc(p->count + 1, sizeof(*p->planned));
	p->tags = calloc(p->count + 1, sizeof(*p->tags));
	if (!r && (!p->planned || !p->tags))
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; !r && i < p->count; i++)
		r = fill_tag(db, p, i, err);
	if (!r)
		r = retention_decide(rules, p->tags, p->count, p->now, err);
	return r || !p->options->dry_run ? r : predict_images(db, p, err);
}

/* 1 if there is something to be decided, which is done then; 0 if there are no rules, no tag ends, and nobody wants to know. */
static int make_plan(struct plan *p, const char *repo, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(p->tree, &rd, err);

	if (!r)
		r = db_begin_read(rd.db, err);
	if (!r)
		r = need_repo(rd.db, repo, &p->repo, err);
	if (!r)
		r = read_rules(rd.db, repo, &p->rules, &p->immutable, err);
	if (r)
		return r;
	r = p->rules.len || p->options->repo ? 1 : tag_ends_before(rd.db, p->repo.id, p->now, err);
	if (r <= 0)
		return r;
	r = tag_list_uses(rd.db, p->repo.id, add_use, &p->uses, err);
	if (!r)
		r = decide(rd.db, p, err);
	return r ? r : 1;
}

/* ---- Removing ---- */

/* Whether it is as it was when it was decided. */
static int is_same(struct db *db, const struct planned *d, struct err *err)
{
	struct image_row image;
	struct tag_row now;
	int r = tag_by_id(db, d->use.tag.id, &now, err);

	if (r <= 0)
		return r;
	if (now.manifest_id != d->use.tag.manifest_id || now.moved != d->use.tag.moved || now.expires != d->use.tag.expires)
		return 0;
	r = image_by_id(db, now.manifest_id, &image, err);
	return r > 0 ? image.pulled == d->use.pulled : r;
}

/* Removes an image that nothing needs, and then what it held: 1 if it went. Those must have been without a tag since `before`. */
static int remove_unneeded(struct db *db, struct plan *p, int64_t id, int64_t before, struct err *err)
{
	auto_buf struct buf next = BUF_INIT;
	struct image_row image;
	bool first = true, went = false;
	int r = 0;

	buf_add(&next, &id, sizeof(id));
	for (size_t at = 0; r >= 0 && at < next.len; at += sizeof(id), first = false) {
		memcpy(&id, next.data + at, sizeof(id));
		r = garbage_is_orphan(db, id, first ? INT64_MAX : before, err);
		if (r > 0)
			r = image_by_id(db, id, &image, err);
		if (r <= 0)
			continue;
		r = garbage_held_by(db, id, &next, err);
		if (!r)
			r = delete_image(db, p->cred, &p->repo, &image, err);
		p->removed_images += !r;
		went |= first && !r;
	}
	return r < 0 ? r : went;
}

static int remove_one(struct db *db, struct plan *p, size_t i, struct err *err)
{
	struct planned *d = &p->planned[i];
	int r = is_same(db, d, err);

	if (r <= 0) {
		p->tags[i].keep = r == 0;
		snprintf(p->tags[i].why, sizeof(p->tags[i].why), "it changed meanwhile");
		return r;
	}
	r = remove_tag(db, p->cred, &p->repo, &d->use.tag, false, err);
	if (r)
		return r;
	p->removed_tags++;
	r = remove_unneeded(db, p, d->use.tag.manifest_id, p->now - p->tree->grace, err);
	d->image = r > 0;
	return MIN(r, 0);
}

static int note_prune(struct db *db, struct plan *p, struct err *err)
{
	char about[64];
	const struct event e = { .kind = "prune", .repository = p->repo.name, .about = about, .changed = true, .who = p->cred->name,
				 .origin = p->cred->from, .at = timestamp_now() };
	int r;

	snprintf(about, sizeof(about), "%" PRId64 " tags, %" PRId64 " images", p->removed_tags, p->removed_images);
	r = event_add(db, &e, err);
	return r ? r : audit_change(db, p->cred, "prune", p->repo.name, NULL, NULL, about, err);
}

static bool rules_are_same(struct db *db, const struct plan *p)
{
	auto_buf struct buf rules = BUF_INIT, immutable = BUF_INIT;

	return !read_rules(db, p->repo.name, &rules, &immutable, NULL) && streq(rules.data, p->rules.data) &&
	       streq(immutable.data, p->immutable.data);
}

/* The next BATCH tags; p->at moves on when it is committed. */
static int remove_batch(struct db *db, void *arg, struct err *err)
{
	struct plan *p = arg;
	int r = rules_are_same(db, p) ?
			0 :
			err_set(err, ERR_IN_USE, "the rules of %s were changed meanwhile: prune it again", p->repo.name);

	p->removed_tags = p->removed_images = 0;
	for (size_t i = p->at, n = 0; !r && i < p->count && n < BATCH; i++) {
		if (p->tags[i].keep)
			continue;
		r = remove_one(db, p, i, err);
		n++;
	}
	return r || !p->removed_tags ? r : note_prune(db, p, err);
}

static int remove_all(struct plan *p, struct err *err)
{
	const struct attempt what = { p->cred, "prune", .repo = p->repo.name };
	bool stop = false;
	int r = 0;

	while (!r && !stop) {
		size_t next = p->at, n = 0;

		for (; next < p->count && n < BATCH; next++)
			n += !p->tags[next].keep;
		if (!n)
			break;
		r = audit_write(p->tree, &what, remove_batch, p, err);
		p->at = next;
		stop = p->options->stop && p->options->stop(p->options->arg);
	}
	for (size_t i = p->at; !r && stop && i < p->count; i++)
		p->tags[i].keep = true;
	return r;
}

static int give_rows(const struct plan *p)
{
	int r = 0;

	for (size_t i = 0; !r && i < p->count; i++) {
		const struct planned *d = &p->planned[i];
		const struct tree_pruned row = {
			.repo = p->repo.name,
			.tag = d->use.tag.name,
			.digest = d->use.tag.digest,
			.keep = p->tags[i].keep,
			.image = d->image && !p->tags[i].keep,
			.size = d->use.size,
			.why = p->tags[i].why,
		};

		r = p->options->fn(p->options->arg, &row);
	}
	return r;
}

static int prune_repo(struct tree *tree, const struct cred *cred, const struct tree_prune_options *o, const char *repo,
		      struct err *err)
{
	auto_plan struct plan p = { .tree = tree, .cred = cred, .options = o, .now = timestamp_now(), .rules = BUF_INIT,
				    .immutable = BUF_INIT, .uses = BUF_INIT };
	int r = make_plan(&p, repo, err);

	if (r <= 0)
		return r;
	r = o->dry_run ? 0 : remove_all(&p, err);
	return r ? r : give_rows(&p);
}

/* One that fails, because somebody changes its rules or removes it, is the next time's. */
static int prune_all(struct tree *tree, const struct cred *cred, const struct tree_prune_options *o, struct err *err)
{
	char name[LIMIT_NAME + 1] = "";
	int r = 0;

	while (r >= 0 && !(o->stop && o->stop(o->arg))) {
		char last[LIMIT_NAME + 1];
		auto_reader struct meta_reader rd = { 0 };

		snprintf(last, sizeof(last), "%s", name);
		r = tree_reader(tree, &rd, err);
		if (!r)
			r = repo_next(rd.db, REPO_LISTED, last, REPO_END, name, err);
		meta_reader_release(&rd);
		rd.db = NULL;
		if (r <= 0)
			return r;
		r = prune_repo(tree, cred, o, name, err);
		if (r == -ENOENT || (err && err->reason == ERR_IN_USE))
			r = 0;
	}
	return MIN(r, 0);
}

int tree_prune(struct tree *tree, const struct cred *cred, const struct tree_prune_options *options, struct err *err)
{
	int r = permit(tree, cred, options->repo ? ACTION_DELETE : ACTION_ADMIN, options->repo, err);

	if (!r)
		r = pulls_flush(tree->pulls, err);
	if (r)
		return r;
	return options->repo ? prune_repo(tree, cred, options, options->repo, err) : prune_all(tree, cred, options, err);
}

/* ---- A tag's own end ---- */

struct end {
	const struct cred *cred;
	const char *repo, *tag;
	int64_t at;
};

static int need_tag(struct db *db, const char *repo, const char *name, struct tag_row *out, struct err *err)
{
	struct repo_row row;
	int r = need_repo(db, repo, &row, err);

	if (!r)
		r = tag_by_name(db, row.id, name, out, err);
	else
		return r;
	return r > 0 ? 0 : r ? r : err_set(err, ERR_MANIFEST_UNKNOWN, "%s has no tag %s", repo, name);
}

static int write_end(struct db *db, void *arg, struct err *err)
{
	const struct end *e = arg;
	char about[TIMESTAMP_TEXT_MAX + 1] = "never";
	struct tag_row tag;
	int r = need_tag(db, e->repo, e->tag, &tag, err);

	if (e->at)
		timestamp_format(e->at, about);
	const struct event event = { .kind = "expire", .repository = e->repo, .tag = e->tag, .digest = &tag.digest, .about = about,
				     .changed = true, .who = e->cred->name, .origin = e->cred->from, .at = timestamp_now() };

	if (!r)
		r = tag_set_end(db, tag.id, e->at, true, false, err);
	if (!r)
		r = event_add(db, &event, err);
	return r ? r : audit_change(db, e->cred, "expire", e->repo, e->tag, &tag.digest, about, err);
}

int tree_tag_set_end(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, const char *text,
		     bool dry_run, int64_t *end, struct err *err)
{
	struct end e = { .cred = cred, .repo = repo, .tag = tag };
	int r = permit(tree, cred, ACTION_PUSH, repo, err);

	if (!r && !streq(text, "never"))
		r = permit(tree, cred, ACTION_DELETE, repo, err);
	if (!r)
		r = tag_check(tag, err);
	if (!r && !retention_end(text, timestamp_now(), &e.at))
		r = err_set(err, ERR_ARGUMENT, "expires is a duration such as 14d, a time such as 2026-12-31T00:00:00Z, or never, not \"%.40s\"",
			    text);
	if (!r && !dry_run)
		r = audit_write(tree, &(struct attempt){ cred, "expire", .repo = repo, .tag = tag }, write_end, &e, err);
	else if (!r)
		r = tree_tag_end(tree, cred, repo, tag, end, err);
	*end = e.at;
	return r;
}

int tree_tag_end(struct tree *tree, const struct cred *cred, const char *repo, const char *tag, int64_t *end, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct tag_row row;
	int r = permit(tree, cred, ACTION_PULL, repo, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_tag(rd.db, repo, tag, &row, err);
	*end = r ? 0 : row.expires;
	return r;
}
