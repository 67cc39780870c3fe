/*
 * view_access.c: the nodes of _settings/ and _access/: of a repository; of a namespace, for what is made and granted below it;
 * and of the registry, for all.
 *
 * Who may administer that sees them. What is written is a value as it is read.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include "fs/meta/grant.h"
#include "fs/meta/people.h"
#include "fs/tree/grants.h"
#include "fs/tree/settings.h"

/* A grant's number holds two rows. What has a higher one isn't shown. */
#define PERSON_BITS 28
#define PERSON_MAX (((int64_t)1 << PERSON_BITS) - 1)

static const char *const visibilities[] = { [SETTING_NO] = "private", [SETTING_YES] = "public", [SETTING_INHERIT] = "inherit" };
static const char *const yes_or_no[] = { [SETTING_NO] = "no", [SETTING_YES] = "yes", [SETTING_INHERIT] = "inherit" };

int view_is_namespace(const struct look *l, const struct node *n)
{
	(void)l;
	return !n->repo.is_repository;
}

/* ---- _settings ---- */

static int read_setting(const char *const words[], size_t count, const char *value, enum setting *out, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (streq(words[i], value)) {
			*out = (enum setting)i;
			return 0;
		}
	}
	return err_set(err, ERR_ARGUMENT, "\"%.40s\" is not allowed here: write %s%s%s or %s", value, words[SETTING_YES],
		       count > SETTING_INHERIT ? ", " : "", count > SETTING_INHERIT ? words[SETTING_INHERIT] : "",
		       words[SETTING_NO]);
}

static int setting_line(struct buf *out, const char *const words[], enum setting setting)
{
	buf_addf(out, "%s\n", words[setting]);
	return buf_error(out);
}

int view_visibility_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct namespace_row row;
	int r;

	if (n->repo.is_repository)
		return setting_line(out, visibilities, n->repo.public ? SETTING_YES : SETTING_NO);
	r = namespace_get(l->db, n->repo.name, &row, l->err);
	return r ? r : setting_line(out, visibilities, row.public);
}

int view_visibility_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
			  struct err *err)
{
	bool repository = n->repo.is_repository;
	enum setting setting;
	int r = read_setting(visibilities, repository ? SETTING_INHERIT : ARRAY_SIZE(visibilities), value, &setting, err);

	if (r)
		return r;
	return repository ? tree_visibility_set(tree, cred, n->repo.name, setting == SETTING_YES, err) :
			    tree_namespace_change(tree, cred, n->repo.name, &setting, NULL, err);
}

int view_push_creates_text(const struct look *l, const struct node *n, struct buf *out)
{
	struct namespace_row row;
	int r = namespace_get(l->db, n->repo.name, &row, l->err);

	return r ? r : setting_line(out, yes_or_no, row.push_creates);
}

int view_push_creates_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
			    struct err *err)
{
	enum setting setting;
	int r = read_setting(yes_or_no, ARRAY_SIZE(yes_or_no), value, &setting, err);

	return r ? r : tree_namespace_change(tree, cred, n->repo.name, NULL, &setting, err);
}

/* Those that are a text: the kind's name is the setting's. */
static struct settings_of belongs_to(const struct node *n)
{
	return (struct settings_of){ n->repo.name, !n->repo.is_repository };
}

int view_setting_text(const struct look *l, const struct node *n, struct buf *out)
{
	int r = setting_text(l->db, belongs_to(n), kind_of(n->kind)->name, out, l->err);

	buf_addc(out, '\n');
	return r ? r : buf_error(out);
}

int view_setting_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value, struct err *err)
{
	return tree_setting_set(tree, cred, belongs_to(n), kind_of(n->kind)->name, value, false, err);
}

/* ---- _access: what is granted by exactly one pattern ---- */

const char *view_pattern(const struct repo_row *repo, char out[static VIEW_PATTERN_MAX + 1])
{
	const char *below = repo->is_repository ? "" : *repo->name ? "/**" : "**";

	snprintf(out, VIEW_PATTERN_MAX + 1, "%s%s", repo->name, below);
	return out;
}

static struct node grant_node(const struct repo_row *repo, int64_t principal, const char *who)
{
	uint64_t both = (uint64_t)repo->id << PERSON_BITS | (uint64_t)principal;
	struct node n = node_make(KIND_GRANT, (int64_t)(both & (((uint64_t)1 << NODE_ROW_BITS) - 1)));

	n.position = (int)(both >> NODE_ROW_BITS);
	n.grant.repo = *repo;
	snprintf(n.grant.who, sizeof(n.grant.who), "%s", who);
	return n;
}

static bool has_number(const struct repo_row *repo, int64_t principal)
{
	return repo->id <= PERSON_MAX && principal <= PERSON_MAX;
}

/* 1, also where nothing is granted, or negative. */
static int read_grant(const struct look *l, int64_t principal, struct node_grant *grant)
{
	char pattern[VIEW_PATTERN_MAX + 1];
	struct grant_row row = { .actions = 0 };
	int r = grant_get(l->db, principal, view_pattern(&grant->repo, pattern), &row, l->err);

	grant->actions = row.actions;
	grant->created = row.created;
	return r < 0 ? r : 1;
}

int view_load_grant(const struct look *l, struct node *n)
{
	uint64_t both = (uint64_t)n->position << NODE_ROW_BITS | (uint64_t)n->row_id;
	int64_t repo = (int64_t)(both >> PERSON_BITS), principal = (int64_t)(both & (uint64_t)PERSON_MAX);
	struct principal_row person;
	int r = repo ? repo_by_id(l->db, repo, &n->grant.repo, l->err) : 1;

	if (r > 0 && repo)
		r = node_repo_as_seen(l, &n->grant.repo);
	if (r > 0)
		r = principal_by_id(l->db, principal, &person, l->err);
	if (r <= 0)
		return r;
	snprintf(n->grant.who, sizeof(n->grant.who), "%s", person.name);
	return read_grant(l, principal, &n->grant);
}

int view_find_person(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	struct principal_row person;
	int r = principal_by_name(l->db, name, &person, l->err);

	if (r <= 0 || !has_number(&n->repo, person.id))
		return MIN(r, 0);
	*out = grant_node(&n->repo, person.id, person.name);
	return read_grant(l, person.id, &out->grant);
}

int view_find_grant(const struct look *l, const struct node *n, const char *name, struct node *out)
{
	int r = view_find_person(l, n, name, out);

	return r > 0 ? out->grant.actions != 0 : r;
}

struct grant_walk {
	struct listing *ls;
	const struct node *dir;
};

static int give_grant(void *arg, const struct grant_row *row)
{
	const struct grant_walk *w = arg;
	struct node n;

	if (!has_number(&w->dir->repo, row->principal_id))
		return 0;
	n = grant_node(&w->dir->repo, row->principal_id, row->principal);
	n.grant.actions = row->actions;
	n.grant.created = row->created;
	return list_give(w->ls, row->principal, &n, LIST_COOKIE(0, row->principal_id));
}

int view_list_grants(struct listing *ls, const struct node *n, uint64_t after)
{
	struct grant_walk w = { .ls = ls, .dir = n };
	const struct look *l = listing_look(ls);
	char pattern[VIEW_PATTERN_MAX + 1];

	return grant_list_behind(l->db, view_pattern(&n->repo, pattern), view_row_after(after), give_grant, &w, l->err);
}

int view_grant_text(const struct look *l, const struct node *n, struct buf *out)
{
	char text[ACTIONS_TEXT_MAX + 1];

	(void)l;
	if (n->grant.actions)
		buf_addf(out, "%s\n", actions_format(n->grant.actions, text));
	return buf_error(out);
}

int view_grant_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value, struct err *err)
{
	char pattern[VIEW_PATTERN_MAX + 1];
	unsigned actions;
	int r = actions_parse(value, &actions, err);

	return r ? r : tree_grant_set(tree, cred, n->grant.who, view_pattern(&n->repo, pattern), actions, err);
}

int view_grant_rm(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name,
		  struct err *err)
{
	char pattern[VIEW_PATTERN_MAX + 1];

	return tree_grant_rm(tree, cred, name, view_pattern(&directory->repo, pattern), err);
}
