/*
 * settings.c: see settings.h.
 */
#include "fs/base/base.h"
#include "fs/tree/settings.h"

#include "fs/auth/rule.h"
#include "fs/base/timestamp.h"
#include "fs/base/size.h"
#include "fs/meta/garbage.h"
#include "fs/tree/state.h"
#include "fs/upkeep/retention.h"

#define KEEP_MAX 1000000
#define QUOTA_TAGS_DIGITS 9

static int check_keep(const char *value, struct err *err)
{
	if (*value && strspn(value, "0123456789") == strlen(value) && strlen(value) <= 7 && atol(value) <= KEEP_MAX)
		return 0;
	return err_set(err, ERR_ARGUMENT, "history-keep is a number of images, up to %d, not \"%.40s\"", KEEP_MAX, value);
}

static int check_immutable(const char *value, struct err *err)
{
	bool some = false;

	if (!value[strspn(value, " ")])
		return err_set(err, ERR_ARGUMENT, "immutable is rules such as \"v* !latest\", or " IMMUTABLE_NONE);
	for (const char *c = value; *c; c++)	/* tags are ASCII; rules are shown on terminals, and go as JSON */
		if (*c < ' ' || *c > '~')
			return err_set(err, ERR_ARGUMENT, "rules for tags have printable ASCII only");
	for (const char *c = value + strspn(value, " "); *c; c += strspn(c, " ")) {
		some |= *c != '!';
		c += strcspn(c, " ");
	}
	if (!some)	/* it would protect nothing, and look as if it did */
		return err_set(err, ERR_ARGUMENT, "\"%.40s\" only says what is free, so that nothing is immutable: write * before it", value);
	return rules_check(value, err);
}

static int check_duration(const char *value, struct err *err)
{
	int64_t ignored;

	return duration_parse(value, &ignored) ?
		       0 :
		       err_set(err, ERR_ARGUMENT, "undo-keep is a duration such as 12h, 7d or 0, not \"%.40s\"", value);
}

static int check_retention(const char *value, struct err *err)
{
	auto_retention struct retention *rules = NULL;

	if (streq(value, RETENTION_NONE))
		return 0;
	if (!value[strspn(value, " \t\n;")])
		return err_set(err, ERR_ARGUMENT, "retention is rules such as \"keep last 10\", or " RETENTION_NONE);
	for (const char *c = value; *c; c++)
		if ((*c < ' ' || *c > '~') && *c != '\n' && *c != '\t')
			return err_set(err, ERR_ARGUMENT, "retention rules have printable ASCII only");
	return retention_parse(value, &rules, err);
}

static int check_quota(const char *value, struct err *err)
{
	int64_t ignored;

	return streq(value, QUOTA_NONE) || size_parse(value, &ignored) ?
		       0 :
		       err_set(err, ERR_ARGUMENT, QUOTA_BYTES " is a number of bytes such as 500MB, 10GiB or " QUOTA_NONE ", not \"%.40s\"", value);
}

static int check_quota_tags(const char *value, struct err *err)
{
	if (streq(value, QUOTA_NONE) || (*value && strspn(value, "0123456789") == strlen(value) && strlen(value) <= QUOTA_TAGS_DIGITS))
		return 0;
	return err_set(err, ERR_ARGUMENT, QUOTA_TAGS " is a number of tags of %d digits at most, or " QUOTA_NONE ", not \"%.40s\"",
		       QUOTA_TAGS_DIGITS, value);
}

static const struct {
	const char *key;
	bool registry_only;
	bool limit;		/* set from above, and inherited by nobody */
	const char *otherwise;	/* what holds where nothing was ever set */
	int (*check)(const char *value, struct err *err);
} kinds[] = {
	{ "history-keep", true, false, HISTORY_KEEP_TEXT, check_keep },
	{ "undo-keep", false, false, UNDO_KEEP_TEXT, check_duration },
	{ "immutable", false, false, IMMUTABLE_NONE, check_immutable },
	{ "retention", false, false, RETENTION_NONE, check_retention },
	{ QUOTA_BYTES, false, true, QUOTA_NONE, check_quota },
	{ QUOTA_TAGS, false, true, QUOTA_NONE, check_quota_tags },
};

static size_t find(struct settings_of of, const char *key)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(kinds) && !streq(kinds[i].key, key))
		i++;
	return i < ARRAY_SIZE(kinds) && kinds[i].registry_only && *of.name ? ARRAY_SIZE(kinds) : i;
}

bool tree_setting_known(struct settings_of of, const char *key)
{
	return find(of, key) < ARRAY_SIZE(kinds);
}

int setting_text(struct db *db, struct settings_of of, const char *key, struct buf *out, struct err *err)
{
	size_t kind = find(of, key);
	int r = settings_get(db, of, key, out, err);

	if (!r)
		buf_adds(out, kind < ARRAY_SIZE(kinds) && (!*of.name || kinds[kind].limit) ? kinds[kind].otherwise : SETTING_TEXT_INHERIT);
	return MIN(r, 0);
}

static int ask(struct tree *tree, const struct cred *cred, struct settings_of of, const char *key, struct err *err)
{
	int r = of.below ? permit_namespace(tree, cred, of.name, err) : permit(tree, cred, ACTION_ADMIN, of.name, err);

	if (!r && !tree_setting_known(of, key))
		r = err_set(err, ERR_ARGUMENT, "there is no setting %.40s here", key);
	return r;
}

/* A limit that who is limited could lift would be none. */
static int ask_above(struct tree *tree, const struct cred *cred, struct settings_of of, struct err *err)
{
	char above[LIMIT_NAME + 1];
	char *slash;

	snprintf(above, sizeof(above), "%s", of.name);
	slash = strrchr(above, '/');
	*(slash ? slash : above) = '\0';
	return permit_namespace(tree, cred, above, err);
}

int tree_setting_get(struct tree *tree, const struct cred *cred, struct settings_of of, const char *key, struct buf *out,
		     struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct repo_row row;
	int r = ask(tree, cred, of, key, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r && !of.below)
		r = need_repo(rd.db, of.name, &row, err);
	return r ? r : setting_text(rd.db, of, key, out, err);
}

struct setting_change {
	const struct cred *cred;
	struct settings_of of;
	const char *key, *value;	/* NULL: none of its own any more */
};

static int set_setting(struct db *db, void *arg, struct err *err)
{
	const struct setting_change *c = arg;
	auto_buf struct buf about = BUF_INIT;
	struct repo_row row;
	char *newline;
	int r = c->of.below ? 0 : need_repo(db, c->of.name, &row, err);

	buf_addf(&about, "%s%s%s=%s", c->of.below ? c->of.name : "", c->of.below && *c->of.name ? " " : "", c->key,
		 c->value ? c->value : SETTING_TEXT_INHERIT);
	while (about.len && (newline = strpbrk(about.data, "\n\t")))	/* an event is a line */
		*newline = *newline == '\n' ? ';' : ' ';
	if (!r)
		r = settings_put(db, c->of, c->key, c->value, err);
	if (!r)
		r = buf_error(&about) ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
	return r ? r : add_access_event(db, c->cred, "setting", c->of.below ? NULL : c->of.name, about.data, err);
}

int tree_setting_set(struct tree *tree, const struct cred *cred, struct settings_of of, const char *key, const char *value,
		     bool check_only, struct err *err)
{
	struct setting_change c = { .cred = cred, .of = of, .key = key, .value = value };
	int r = ask(tree, cred, of, key, err);
	bool limit = !r && kinds[find(of, key)].limit;

	if (limit)
		r = ask_above(tree, cred, of, err);
	if (streq(value, SETTING_TEXT_INHERIT) || (limit && streq(value, QUOTA_NONE)))
		c.value = NULL;
	else if (!r)
		r = kinds[find(of, key)].check(value, err);
	if (r || check_only)
		return r;
	return audit_write(tree, &(struct attempt){ cred, "setting", .repo = of.below ? NULL : of.name, .about = key },
			   set_setting, &c, err);
}
