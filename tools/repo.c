/*
 * repo.c: regfs repo list, show, add, set, rm.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/timestamp.h"
#include "fs/tree/grants.h"
#include "fs/tree/settings.h"
#include "tools/people.h"

/* Quotas as lines for people and as a JSON array. */
struct quotas {
	struct buf text, array;
	int width;	/* of the lines' first column */
};
#define QUOTAS_INIT(columns) { .text = BUF_INIT, .array = BUF_INIT, .width = columns }

static void quotas_release(struct quotas *q)
{
	buf_release(&q->text);
	buf_release(&q->array);
}
#define auto_quotas CLEANUP(quotas_release)

static const char *quota_owner(const struct tree_quota *q)
{
	return !q->below ? "repository" : *q->name ? "namespace" : "registry";
}

static void add_usage(struct quotas *all, const struct tree_quota *q, const char *key, const char *used, const char *limit)
{
	buf_addf(&all->text, "%-*s%s of %s (%s%s%s)\n", all->width, key, used, limit, quota_owner(q), *q->name ? " " : "", q->name);
}

static int add_quota(void *arg, const struct tree_quota *q)
{
	struct quotas *all = arg;
	char used[SIZE_TEXT_MAX + 1], limit[SIZE_TEXT_MAX + 1];

	if (q->bytes_limit >= 0)
		add_usage(all, q, "quota", size_text(q->bytes, used), size_text(q->bytes_limit, limit));
	snprintf(used, sizeof(used), "%" PRId64, q->tags);
	snprintf(limit, sizeof(limit), "%" PRId64, q->tags_limit);
	if (q->tags_limit >= 0)
		add_usage(all, q, "quota-tags", used, limit);
	buf_addc(&all->array, all->array.len ? ',' : '[');
	buf_addc(&all->array, '{');
	json_add_text(&all->array, "of", quota_owner(q));
	json_add_text(&all->array, "name", q->name);
	json_add_number(&all->array, "bytes", q->bytes);
	if (q->bytes_limit >= 0)
		json_add_number(&all->array, "bytes-limit", q->bytes_limit);
	json_add_number(&all->array, "tags", q->tags);
	if (q->tags_limit >= 0)
		json_add_number(&all->array, "tags-limit", q->tags_limit);
	buf_addc(&all->array, '}');
	return 0;
}

/* Who may not see them is shown none. */
static int read_quotas(struct session *session, struct settings_of of, struct quotas *out, struct err *err)
{
	struct err why = ERR_INIT;
	int r = session_quota_list(session, of, add_quota, out, &why);

	if (out->array.len)
		buf_addc(&out->array, ']');
	if (!r && (buf_error(&out->text) || buf_error(&out->array)))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	if (r && why.reason != ERR_DENIED && why.reason != ERR_UNAUTHORIZED && why.reason != ERR_SCOPE) {
		*err = why;
		return r;
	}
	return 0;
}

static void json_add_quotas(struct buf *b, const struct quotas *q)
{
	if (!q->array.len)
		return;
	json_add_key(b, "quotas");
	buf_add(b, q->array.data, q->array.len);
}

static void repo_object(struct buf *b, const struct tree_repo *repo, const struct quotas *quotas)
{
	json_add_text(b, "name", repo->name);
	json_add_number(b, "tags", repo->tags);
	json_add_number(b, "images", repo->images);
	json_add_number(b, "blobs", repo->blobs);
	json_add_number(b, "size", repo->size);
	json_add_time(b, "created", repo->created);
	json_add_text(b, "visibility", repo->public ? "public" : "private");
	json_add_text(b, "immutable", repo->immutable);
	json_add_text(b, "retention", repo->retention);
	json_add_text(b, "undo-keep", repo->undo_keep);
	if (quotas)
		json_add_quotas(b, quotas);
	buf_addc(b, '}');
}

/* Rules of several lines, each below the first. */
static void print_retention(const char *key, const char *text)
{
	int width = (int)strlen(key);

	printf("%s", key);
	for (const char *line = text; *line; ) {
		size_t len = strcspn(line, "\n");

		printf("%*s%.*s\n", line == text ? 0 : width, "", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

static int add_row(void *arg, const struct tree_repo *repo)
{
	struct output *out = arg;
	char size[SIZE_TEXT_MAX + 1], created[TIMESTAMP_TEXT_MAX + 1];

	output_object(out);
	repo_object(&out->array, repo, NULL);
	table_add(&out->table, repo->name);
	table_addf(&out->table, "%" PRId64, repo->tags);
	table_addf(&out->table, "%" PRId64, repo->images);
	table_add(&out->table, size_text(repo->size, size));
	table_add(&out->table, timestamp_format(repo->created, created));
	return 0;
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "REPOSITORY", "TAGS", "IMAGES", "SIZE", "CREATED" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct output out;
	int r = session_open(o, &session, err);

	(void)operands;
	(void)count;
	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = session_repo_list(session, add_row, &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

struct repo_show {
	bool json;
	const struct quotas *quotas;
	struct err *err;
};

static int print_repo(void *arg, const struct tree_repo *repo)
{
	const struct repo_show *s = arg;
	char size[SIZE_TEXT_MAX + 1], created[TIMESTAMP_TEXT_MAX + 1];
	auto_buf struct buf b = BUF_INIT;

	if (s->json) {
		buf_addc(&b, '{');
		repo_object(&b, repo, s->quotas);
		return print_json(&b, s->err);
	}
	printf("name        %s\ntags        %" PRId64 "\nimages      %" PRId64 "\nblobs       %" PRId64
	       "\nsize        %s\ncreated     %s\nvisibility  %s\nimmutable   %s\n",
	       repo->name, repo->tags, repo->images, repo->blobs, size_text(repo->size, size),
	       timestamp_format(repo->created, created), repo->public ? "public" : "private", repo->immutable);
	print_retention("retention   ", repo->retention);
	printf("undo-keep   %s\n", repo->undo_keep);
	printf("%s", s->quotas->text.data);
	return 0;
}

static int run_show(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_quotas struct quotas quotas = QUOTAS_INIT(12);
	struct repo_show s = { .json = o->json, .quotas = &quotas, .err = err };
	int r = session_open(o, &session, err);

	(void)count;
	if (!r)
		r = read_quotas(session, (struct settings_of){ operands[0], false }, &quotas, err);
	return r ? r : session_repo_show(session, operands[0], print_repo, &s, err);
}

/* What a change would be refused for. */
static int try_change(struct session *session, const char *name, struct err *err)
{
	int r = session_may(session, name, ACTION_ADMIN, err);

	return r ? r : session_repo_show(session, name, NULL, NULL, err);
}

static int try_add(struct session *session, const char *name, struct err *err)
{
	struct err why = ERR_INIT;
	int r = session_may(session, name, ACTION_ADMIN, err);

	if (r)
		return r;
	r = session_repo_show(session, name, NULL, NULL, &why);
	if (!r)
		return err_set(err, ERR_EXISTS, "repository %s is there already", name);
	if (r != -ENOENT)
		*err = why;
	return r == -ENOENT ? 0 : r;
}

struct add_options {
	struct store_options store;
	const char *visibility;
};

static const struct option_row add_options[] = {
	PLACE_OPTIONS(struct add_options, store.store),
	{ "json", 0, NULL, offsetof(struct add_options, store.json), "print JSON" },
	{ "dry-run", 'n', NULL, offsetof(struct add_options, store.dry_run), "only say what would be done" },
	{ "visibility", 0, "public|private", offsetof(struct add_options, visibility),
	  "whether anyone may pull (default: as its namespace says)" },
	{ 0 },
};

/* inherit: where it may be left to the namespace above. */
static int read_visibility(const char *text, bool inherit, enum setting *out, struct err *err)
{
	if (inherit && (!text || streq(text, "inherit")))
		*out = SETTING_INHERIT;
	else if (streq(text, "public") || streq(text, "private"))
		*out = streq(text, "public") ? SETTING_YES : SETTING_NO;
	else
		return err_set(err, ERR_USAGE, "visibility is public%s or private%s, not \"%.40s\"", inherit ? "," : "",
			       inherit ? ", or inherit" : "", text);
	return 0;
}

static int run_add(const void *options, char **operands, int count, struct err *err)
{
	const struct add_options *a = options;
	const struct store_options *o = &a->store;
	auto_session struct session *session = NULL;
	enum setting public = SETTING_INHERIT;
	int r = read_visibility(a->visibility, true, &public, err);

	(void)count;
	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = name_check(operands[0], err);
	if (!r)
		r = o->dry_run ? try_add(session, operands[0], err) : session_repo_add(session, operands[0], public, err);
	return r ? r : report_change(o, "added", operands[0], err);
}

static int set_repo(struct session *session, const struct store_options *o, const char *name,
		    const char *text, struct err *err)
{
	char key[SETTING_KEY_MAX + 1];
	const char *value;
	enum setting public;
	int r = split_setting(text, key, &value, err);

	if (!r && tree_setting_known((struct settings_of){ name, false }, key))
		return session_setting_set(session, (struct settings_of){ name, false }, key, value, o->dry_run, err);
	if (!r && !streq(key, "visibility"))
		r = err_set(err, ERR_USAGE, "there is no setting %s: visibility, immutable, retention, undo-keep, quota, quota-tags", key);
	if (!r)
		r = read_visibility(value, false, &public, err);
	if (r)
		return r;
	return o->dry_run ? try_change(session, name, err) :
			    session_repo_set(session, name, public == SETTING_YES, err);
}

static int run_set(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	int r = session_open(o, &session, err);

	for (int i = 1; !r && i < count; i++)
		r = set_repo(session, o, operands[0], operands[i], err);
	return r ? r : report_change(o, "changed", operands[0], err);
}

/* ---- Namespaces ---- */

/* The registry's own settings go by the name "/". */
static const char *namespace_name(const char *operand)
{
	return streq(operand, "/") ? "" : operand;
}

static int run_namespace_show(const void *options, char **operands, int count, struct err *err)
{
	static const char *const visibility[] = { "private", "public", "inherit" }, *const creates[] = { "no", "yes", "inherit" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_buf struct buf b = BUF_INIT, immutable = BUF_INIT, keep = BUF_INIT, retention = BUF_INIT, undo = BUF_INIT;
	const struct settings_of of = { namespace_name(operands[0]), true };
	auto_quotas struct quotas quotas = QUOTAS_INIT(14);
	struct tree_namespace ns;
	int r = session_open(o, &session, err);

	(void)count;
	if (!r)
		r = session_namespace_show(session, of.name, &ns, err);
	if (!r)
		r = read_quotas(session, of, &quotas, err);
	if (!r)
		r = session_setting_show(session, of, "immutable", &immutable, err);
	if (!r)
		r = session_setting_show(session, of, "retention", &retention, err);
	if (!r)
		r = session_setting_show(session, of, "undo-keep", &undo, err);
	if (!r && !*of.name)
		r = session_setting_show(session, of, "history-keep", &keep, err);
	if (r)
		return r;
	if (!o->json) {
		printf("name          %s\nvisibility    %s\npush-creates  %s\nimmutable     %s\n", operands[0], visibility[ns.public],
		       creates[ns.push_creates], immutable.data);
		print_retention("retention     ", retention.data);
		printf("undo-keep     %s\n", undo.data);
		if (keep.len)
			printf("history-keep  %s\n", keep.data);
		printf("%s", quotas.text.data);
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, "name", operands[0]);
	json_add_text(&b, "visibility", visibility[ns.public]);
	json_add_text(&b, "push-creates", creates[ns.push_creates]);
	json_add_text(&b, "immutable", immutable.data);
	json_add_text(&b, "retention", retention.data);
	json_add_text(&b, "undo-keep", undo.data);
	if (keep.len)
		json_add_number(&b, "history-keep", atoll(keep.data));
	json_add_quotas(&b, &quotas);
	buf_addc(&b, '}');
	return print_json(&b, err);
}

static int read_namespace_setting(const char *text, struct tree_namespace *ns, struct err *err)
{
	char key[SETTING_KEY_MAX + 1];
	const char *value;
	int r = split_setting(text, key, &value, err);

	if (r)
		return r;
	if (streq(key, "visibility"))
		return read_visibility(value, true, &ns->public, err);
	if (!streq(key, "push-creates"))
		return err_set(err, ERR_USAGE, "there is no setting %s: visibility, push-creates, immutable, retention, undo-keep, quota, quota-tags, and of /"
				" history-keep", key);
	ns->push_creates = SETTING_INHERIT;
	return streq(value, "inherit") ? 0 : setting_value(key, value, &ns->push_creates, err);
}

static bool is_text_setting(const char *name, const char *text)
{
	char key[SETTING_KEY_MAX + 1];
	const char *value;

	return !split_setting(text, key, &value, NULL) && tree_setting_known((struct settings_of){ name, true }, key);
}

static int set_text(struct session *session, const char *name, const char *text, bool check_only, struct err *err)
{
	char key[SETTING_KEY_MAX + 1];
	const char *value;
	int r = split_setting(text, key, &value, err);

	return r ? r : session_setting_set(session, (struct settings_of){ name, true }, key, value, check_only, err);
}

static int run_namespace_set(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	const char *name = namespace_name(operands[0]);
	struct tree_namespace ns;
	int r = session_open(o, &session, err);

	if (!r)
		r = session_namespace_show(session, name, &ns, err);
	for (int i = 1; !r && i < count; i++)
		r = is_text_setting(name, operands[i]) ? set_text(session, name, operands[i], true, err) :
							 read_namespace_setting(operands[i], &ns, err);
	if (!r && !o->dry_run)
		r = session_namespace_set(session, name, &ns, err);
	for (int i = 1; !r && !o->dry_run && i < count; i++)
		if (is_text_setting(name, operands[i]))
			r = set_text(session, name, operands[i], false, err);
	return r ? r : report_change(o, "changed", operands[0], err);
}

static int run_rm(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	int r = session_open(o, &session, err);

	(void)count;
	if (!r)
		r = o->dry_run ? try_change(session, operands[0], err) :
				 session_repo_rm(session, operands[0], err);
	return r ? r : report_change(o, "removed", operands[0], err);
}

const struct command repo_commands[] = {
	{ "repo", "list", "", 0, 0, look_options, "list the repositories", NULL, run_list },
	{ "repo", "show", "NAME", 1, 1, look_options, "show one repository", NULL, run_show },
	{ "repo", "add", "NAME", 1, 1, add_options, "make a repository",
	  "One made like this stays when it is empty; a push makes one that doesn't.\n", run_add },
	{ "repo", "set", "NAME SETTING...", 2, 8, change_options, "change a repository",
	  "Settings are visibility=public|private and immutable=RULES|none|inherit: tags that match, such as \"v* !latest\" or\n"
	  "/[0-9.]+/, keep the image that they name. retention=RULES|none|inherit, such as\n"
	  "\"keep last 10; keep newer 30d\": tags that none of them keeps are removed by `regfs prune`, which the server does, too.\n"
	  "quota=SIZE|none, such as 500MB or 10GiB, and quota-tags=N|none: how much it may hold.\n", run_set },
	{ "repo", "rm", "NAME", 1, 1, change_options, "remove a repository with its tags and images",
	  "Repositories below it stay.\n", run_rm },
	{ "namespace", "show", "NAME", 1, 1, look_options, "show what repositories below a name begin with",
	  "The name / is the registry itself.\n", run_namespace_show },
	{ "namespace", "set", "NAME SETTING...", 2, 8, change_options, "change it",
	  "Settings are visibility=public|private|inherit and push-creates=yes|no|inherit: whether a push makes a\n"
	  "repository; repositories that are there stay as they are. immutable=RULES|none|inherit and retention= are for all that have\n"
	  "no rules of their own, those that are there too; history-keep=N, of the registry only, is how many images of\n"
	  "each tag gc keeps. quota=SIZE|none and quota-tags=N|none are for all below the name together; a blob that several\n"
	  "hold counts once. The name / is the registry itself.\n",
	  run_namespace_set },
	{ 0 },
};
