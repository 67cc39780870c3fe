/*
 * repo.c: regfs repo list, show, add, rm.
 */
#include "fs/base/base.h"
#include "tools/command.h"

#include "fs/base/timestamp.h"

struct repo_list {
	struct tree *tree;
	const struct cred *cred;
	struct output out;
	struct err *err;
};

static void repo_object(struct buf *b, const struct tree_repo *repo)
{
	json_add_text(b, "name", repo->name);
	json_add_number(b, "tags", repo->tags);
	json_add_number(b, "images", repo->images);
	json_add_number(b, "blobs", repo->blobs);
	json_add_number(b, "size", repo->size);
	json_add_time(b, "created", repo->created);
	buf_addc(b, '}');
}

static int add_row(void *arg, const struct tree_repo *repo)
{
	struct repo_list *l = arg;
	char size[SIZE_TEXT_MAX + 1], created[TIMESTAMP_TEXT_MAX + 1];

	output_object(&l->out);
	repo_object(&l->out.array, repo);
	table_add(&l->out.table, repo->name);
	table_addf(&l->out.table, "%" PRId64, repo->tags);
	table_addf(&l->out.table, "%" PRId64, repo->images);
	table_add(&l->out.table, size_text(repo->size, size));
	table_add(&l->out.table, timestamp_format(repo->created, created));
	return 0;
}

static int add_name(void *arg, const char *name)
{
	struct repo_list *l = arg;
	int r = tree_repo_show(l->tree, l->cred, name, add_row, l, l->err);

	return r == -ENOENT ? 0 : r;	/* removed meanwhile */
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "REPOSITORY", "TAGS", "IMAGES", "SIZE", "CREATED" };
	const struct store_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	struct repo_list l = { .cred = &cred, .err = err };
	bool more;
	int r = open_store(o, &tree, err);

	(void)operands;
	(void)count;
	if (r)
		return r;
	l.tree = tree;
	output_begin(&l.out, o->json, header, ARRAY_SIZE(header));
	r = tree_repo_list(tree, &cred, NULL, INT64_MAX, add_name, &l, &more, err);
	if (!r)
		r = output_print(&l.out, err);
	output_release(&l.out);
	return r;
}

struct repo_show {
	bool json;
	struct err *err;
};

static int print_repo(void *arg, const struct tree_repo *repo)
{
	const struct repo_show *s = arg;
	char size[SIZE_TEXT_MAX + 1], created[TIMESTAMP_TEXT_MAX + 1];
	auto_buf struct buf b = BUF_INIT;

	if (s->json) {
		buf_addc(&b, '{');
		repo_object(&b, repo);
		return print_json(&b, s->err);
	}
	printf("name     %s\ntags     %" PRId64 "\nimages   %" PRId64 "\nblobs    %" PRId64
	       "\nsize     %s\ncreated  %s\n",
	       repo->name, repo->tags, repo->images, repo->blobs, size_text(repo->size, size),
	       timestamp_format(repo->created, created));
	return 0;
}

static int run_show(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	struct repo_show s = { .json = o->json, .err = err };
	int r = open_store(o, &tree, err);

	(void)count;
	return r ? r : tree_repo_show(tree, &cred, operands[0], print_repo, &s, err);
}

static int ignore_repo(void *arg, const struct tree_repo *repo)
{
	(void)arg;
	(void)repo;
	return 0;
}

static int run_add(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	int r = open_store(o, &tree, err);

	(void)count;
	if (!r)
		r = name_check(operands[0], err);
	if (!r && o->dry_run) {
		r = tree_repo_show(tree, &cred, operands[0], ignore_repo, NULL, NULL);
		r = r == 0 ? err_set(err, ERR_EXISTS, "repository %s is there already", operands[0]) :
		    r == -ENOENT ? 0 : err_set(err, ERR_INTERNAL, "can't look up %s", operands[0]);
	} else if (!r) {
		r = tree_repo_add(tree, &cred, operands[0], err);
	}
	return r ? r : report_change(o, "added", operands[0], err);
}

static int run_rm(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	int r = open_store(o, &tree, err);

	(void)count;
	if (!r)
		r = o->dry_run ? tree_repo_show(tree, &cred, operands[0], ignore_repo, NULL, err) :
				 tree_repo_rm(tree, &cred, operands[0], err);
	return r ? r : report_change(o, "removed", operands[0], err);
}

const struct command repo_commands[] = {
	{ "repo", "list", "", 0, 0, look_options, "list the repositories", NULL, run_list },
	{ "repo", "show", "NAME", 1, 1, look_options, "show one repository", NULL, run_show },
	{ "repo", "add", "NAME", 1, 1, change_options, "make a repository",
	  "One made like this stays when it is empty; a push makes one that doesn't.\n", run_add },
	{ "repo", "rm", "NAME", 1, 1, change_options, "remove a repository with its tags and images",
	  "Repositories below it stay.\n", run_rm },
	{ 0 },
};
