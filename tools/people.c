/*
 * people.c: regfs user, group, robot: list, show, add, set, rm; user passwd, robot passwd.
 *
 * The three nouns share their verbs: what differs is the sign of the names.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/tree/people.h"
#include "tools/password.h"
#include "tools/people.h"

struct person_options {
	struct store_options store;
	const char *password_file;
	const char *expires;
	const char *scopes;
	bool administrator;
};

#define CHANGE_ROWS                                                                                         \
	PLACE_OPTIONS(struct person_options, store.store),                                                  \
	{ "json", 0, NULL, offsetof(struct person_options, store.json), "print JSON" },                     \
	{ "dry-run", 'n', NULL, offsetof(struct person_options, store.dry_run), "only say what would be done" }
#define PASSWORD_ROW                                                                                        \
	{ "password-file", 0, "FILE", offsetof(struct person_options, password_file),                       \
	  "the password is its first line; - is standard input (default: ask on the terminal)" }
#define EXPIRES_ROW                                                                                         \
	{ "expires", 0, "DURATION", offsetof(struct person_options, expires), "good for so long (default: for ever)" }
#define ADMINISTRATOR_ROW                                                                                   \
	{ "administrator", 0, NULL, offsetof(struct person_options, administrator), "may do everything" }

static const struct option_row user_add_options[] = {
	CHANGE_ROWS, PASSWORD_ROW, EXPIRES_ROW, ADMINISTRATOR_ROW, { 0 },
};
static const struct option_row passwd_options[] = { CHANGE_ROWS, PASSWORD_ROW, { 0 } };
#define SCOPES_ROW                                                                                          \
	{ "scopes", 0, "SCOPES", offsetof(struct person_options, scopes),                                   \
	  "its secret is for no more: repository:PATTERN:ACTIONS ..." }
static const struct option_row robot_add_options[] = { CHANGE_ROWS, EXPIRES_ROW, SCOPES_ROW, { 0 } };
static const struct option_row robot_passwd_options[] = { CHANGE_ROWS, SCOPES_ROW, { 0 } };

/* ---- Names ---- */

int full_name(enum principal_kind kind, const char *name, char out[static LIMIT_PRINCIPAL + 2], struct err *err)
{
	const char *sign = kind == PRINCIPAL_GROUP ? "@" : kind == PRINCIPAL_ROBOT ? "+" : "";

	snprintf(out, LIMIT_PRINCIPAL + 2, "%s%s", principal_kind(name) == PRINCIPAL_USER ? sign : "", name);
	if (principal_kind(out) != kind)
		return err_set(err, ERR_ARGUMENT, "%s is not the name of a %s", name, principal_kind_name(kind));
	return principal_check(out, err);
}

int expiry(const char *text, int64_t *out, struct err *err)
{
	int64_t length = 0;
	if (text && !streq(text, "never") && !duration_parse(text, &length))
		return err_set(err, ERR_USAGE, "expires takes a duration such as 12h or 30d, or never, not %.100s", text);
	*out = 0;
	if (length && __builtin_add_overflow(timestamp_now(), length, out))
		return err_set(err, ERR_USAGE, "expires=%s is beyond all time, say never", text);
	return 0;
}

/* ---- list, show ---- */

/* "developers" for people; a list for programs. */
static void groups_json(struct buf *b, const char *key, const char *names)
{
	json_add_key(b, key);
	buf_addc(b, '[');
	while (*names) {
		size_t len = strcspn(names, ",");

		json_add_stringn(b, names, len);
		names += len + (names[len] == ',');
		buf_adds(b, *names ? "," : "");
	}
	buf_addc(b, ']');
}

static void person_object(struct buf *b, const struct tree_person *p, const char *groups)
{
	json_add_text(b, "name", p->name);
	json_add_text(b, "kind", principal_kind_name(p->kind));
	if (p->kind != PRINCIPAL_GROUP) {
		buf_addf(b, ",\"administrator\":%s,\"disabled\":%s", p->administrator ? "true" : "false",
			 p->disabled ? "true" : "false");
		json_add_time(b, "expires", p->expires);
	}
	groups_json(b, p->kind == PRINCIPAL_GROUP ? "members" : "groups", groups);
	json_add_time(b, "created", p->created);
	buf_addc(b, '}');
}

static const char *state_of(const struct tree_person *p)
{
	return p->disabled ? "disabled" : p->expires && p->expires <= timestamp_now() ? "expired" :
	       p->administrator ? "administrator" : "";
}

static int add_person(void *arg, const struct call_listed_person *listed)
{
	const struct tree_person *p = &listed->person;
	struct output *out = arg;
	char created[TIMESTAMP_TEXT_MAX + 1];

	output_object(out);
	person_object(&out->array, p, listed->groups);
	table_add(&out->table, p->name);
	table_add(&out->table, listed->groups);
	table_add(&out->table, state_of(p));
	table_add(&out->table, timestamp_format(p->created, created));
	return 0;
}

static int list_people(const struct store_options *o, enum principal_kind kind, struct err *err)
{
	static const char *const people[] = { "NAME", "GROUPS", "STATE", "CREATED" };
	static const char *const groups[] = { "NAME", "MEMBERS", "STATE", "CREATED" };
	auto_session struct session *session = NULL;
	struct output out;
	int r = session_open(o, &session, err);

	if (r)
		return r;
	output_begin(&out, o->json, kind == PRINCIPAL_GROUP ? groups : people, ARRAY_SIZE(people));
	r = session_person_list(session, kind, add_person, &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

struct person_show {
	bool json;
	struct err *err;
};

static int print_person(void *arg, const struct call_listed_person *listed)
{
	const struct tree_person *p = &listed->person;
	const char *groups = listed->groups;
	const struct person_show *s = arg;
	char text[TIMESTAMP_TEXT_MAX + 1];
	auto_buf struct buf b = BUF_INIT;

	if (s->json) {
		buf_addc(&b, '{');
		person_object(&b, p, groups);
		return print_json(&b, s->err);
	}
	printf("name           %s\ncreated        %s\n", p->name, timestamp_format(p->created, text));
	if (p->kind == PRINCIPAL_GROUP) {
		printf("members        %s\n", groups);
		return 0;
	}
	printf("groups         %s\nadministrator  %s\ndisabled       %s\nexpires        %s\n", groups,
	       p->administrator ? "yes" : "no", p->disabled ? "yes" : "no",
	       p->expires ? timestamp_format(p->expires, text) : "never");
	return 0;
}

static int show_person(const struct store_options *o, enum principal_kind kind, char **operands, struct err *err)
{
	auto_session struct session *session = NULL;
	struct person_show s = { .json = o->json, .err = err };
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(kind, operands[0], name, err);

	if (!r)
		r = session_open(o, &session, err);
	return r ? r : session_person_show(session, name, print_person, &s, err);
}

/* ---- add, rm ---- */

/* What a change would be refused for, that administrators may make. */
static int try_change(struct session *session, const char *name, struct err *err)
{
	int r = session_may(session, NULL, ACTION_ADMIN, err);

	return r ? r : session_person_show(session, name, NULL, NULL, err);
}

/* What an add would be refused for. */
static int try_add(struct session *session, const char *name, struct err *err)
{
	int r = session_person_show(session, name, NULL, NULL, err);

	return r == -ENOENT ? 0 : r ? r : err_set(err, ERR_EXISTS, "there is a %s already", name);
}

int print_secret(const struct store_options *o, const char *owner, const char *name, char secret[static SECRET_TEXT_MAX + 1],
		 struct err *err)
{
	auto_buf struct buf b = BUF_INIT;
	int r = 0;

	if (o->json) {
		buf_addc(&b, '{');
		json_add_text(&b, "owner", owner);
		json_add_text(&b, "token", name);
		json_add_text(&b, "secret", secret);
		buf_addc(&b, '}');
		r = print_json(&b, err);
		secret_forget(b.data, b.len);
	} else {
		printf("token %s of %s, shown this once:\n%s\n", name, owner, secret);
		fflush(stdout);
	}
	secret_forget(secret, SECRET_TEXT_MAX);
	return r;
}

static int get_password(const char *file, const char *who, struct password *out, struct err *err)
{
	return file ? password_read(file, out, err) : password_ask(who, out, err);
}

/* A robot's secret is its one token. */
#define ROBOT_TOKEN "secret"

static int add_secret(struct session *session, const struct person_options *o, const char *name, const char *scopes,
		      struct err *err)
{
	char secret[SECRET_TEXT_MAX + 1];
	int r = session_token_add(session, name, ROBOT_TOKEN, scopes, 0, secret, err);

	return r ? r : print_secret(&o->store, name, ROBOT_TOKEN, secret, err);
}

static int add(const struct person_options *o, enum principal_kind kind, char **operands, struct err *err)
{
	auto_session struct session *session = NULL;
	auto_password struct password password = { "" };
	struct tree_person_change change = TREE_PERSON_STAYS;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(kind, operands[0], name, err);

	change.set_expires = true;
	if (!r)
		r = expiry(o->expires, &change.expires, err);
	if (!r)
		r = tree_scopes_check(o->scopes, err);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = try_add(session, name, err);
	if (!r && kind == PRINCIPAL_USER && (o->password_file || !o->store.dry_run)) {
		r = get_password(o->password_file, name, &password, err);
		change.password = password.text;
	}
	if (o->administrator)
		change.administrator = SETTING_YES;
	if (!r && !o->store.dry_run)
		r = session_person_add(session, name, &change, err);
	if (!r && kind == PRINCIPAL_ROBOT && !o->store.dry_run)
		return add_secret(session, o, name, o->scopes, err);
	return r ? r : report_change(&o->store, "added", name, err);
}

static int rm_person(const struct store_options *o, enum principal_kind kind, char **operands, struct err *err)
{
	auto_session struct session *session = NULL;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(kind, operands[0], name, err);

	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = o->dry_run ? try_change(session, name, err) :
				 session_person_rm(session, name, err);
	return r ? r : report_change(o, "removed", name, err);
}

/* ---- set ---- */

int setting_value(const char *key, const char *value, enum setting *out, struct err *err)
{
	if (!streq(value, "yes") && !streq(value, "no"))
		return err_set(err, ERR_USAGE, "%s is yes or no, not \"%.40s\"", key, value);
	*out = streq(value, "yes") ? SETTING_YES : SETTING_NO;
	return 0;
}

int split_setting(const char *text, char key[static SETTING_KEY_MAX + 1], const char **value, struct err *err)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals - text > SETTING_KEY_MAX)
		return err_set(err, ERR_USAGE, "\"%.60s\" is not KEY=VALUE", text);
	snprintf(key, SETTING_KEY_MAX + 1, "%.*s", (int)(equals - text), text);
	*value = equals + 1;
	return 0;
}

static int read_person_setting(const char *text, struct tree_person_change *c, struct err *err)
{
	char key[SETTING_KEY_MAX + 1];
	const char *value;
	int r = split_setting(text, key, &value, err);

	if (r)
		return r;
	if (streq(key, "administrator"))
		return setting_value(key, value, &c->administrator, err);
	if (streq(key, "disabled"))
		return setting_value(key, value, &c->disabled, err);
	c->set_expires = true;
	return streq(key, "expires") ? expiry(value, &c->expires, err) :
				       err_set(err, ERR_USAGE, "there is no setting %s: administrator, disabled, expires", key);
}

static int set_person(const struct store_options *o, enum principal_kind kind, char **operands, int count, struct err *err)
{
	auto_session struct session *session = NULL;
	struct tree_person_change change = TREE_PERSON_STAYS;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(kind, operands[0], name, err);

	for (int i = 1; !r && i < count; i++)
		r = read_person_setting(operands[i], &change, err);
	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = o->dry_run ? try_change(session, name, err) :
				 session_person_set(session, name, &change, err);
	return r ? r : report_change(o, "changed", name, err);
}

/* "add=alice,bob" or "remove=alice": each member is a change of its own. */
static int change_members(struct session *session, const struct store_options *o, const char *group,
			  const char *text, struct err *err)
{
	char key[SETTING_KEY_MAX + 1], name[LIMIT_PRINCIPAL + 2];
	const char *value;
	int r = split_setting(text, key, &value, err);

	if (!r && !streq(key, "add") && !streq(key, "remove"))
		r = err_set(err, ERR_USAGE, "there is no setting %s: add, remove", key);
	while (!r && *value) {
		size_t len = strcspn(value, ",");

		snprintf(name, sizeof(name), "%.*s", (int)MIN(len, (size_t)LIMIT_PRINCIPAL + 1), value);
		if (o->dry_run)
			r = try_change(session, name, err);
		else
			r = streq(key, "add") ? session_member_add(session, group, name, err) :
						session_member_rm(session, group, name, err);
		value += len + (value[len] == ',');
	}
	return r;
}

static int set_group(const struct store_options *o, char **operands, int count, struct err *err)
{
	auto_session struct session *session = NULL;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(PRINCIPAL_GROUP, operands[0], name, err);

	if (!r)
		r = session_open(o, &session, err);
	for (int i = 1; !r && i < count; i++)
		r = change_members(session, o, name, operands[i], err);
	return r ? r : report_change(o, "changed", name, err);
}

/* ---- passwd ---- */

static int run_user_passwd(const void *options, char **operands, int count, struct err *err)
{
	const struct person_options *o = options;
	auto_session struct session *session = NULL;
	auto_password struct password password = { "" };
	struct tree_person_change change = TREE_PERSON_STAYS;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(PRINCIPAL_USER, operands[0], name, err);

	(void)count;
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = session_person_show(session, name, NULL, NULL, err);
	if (!r && !o->store.dry_run) {
		r = get_password(o->password_file, name, &password, err);
		change.password = password.text;
		if (!r)
			r = session_person_set(session, name, &change, err);
	}
	return r ? r : report_change(&o->store, "changed", name, err);
}

static int keep_scopes(void *arg, const struct tree_token *t)
{
	char **scopes = arg;

	if (!t->scopes || !streq(t->name, ROBOT_TOKEN))
		return 0;
	*scopes = strdup(t->scopes);
	return *scopes ? 0 : -ENOMEM;
}

/* Another secret instead of the one it has, for no more than that one. */
static int run_robot_passwd(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct person_options *o = options;
	auto_session struct session *session = NULL;
	auto_free char *scopes = NULL;
	char name[LIMIT_PRINCIPAL + 2];
	int r = full_name(PRINCIPAL_ROBOT, operands[0], name, err);

	if (!r)
		r = tree_scopes_check(o->scopes, err);
	if (!r)
		r = session_open(&o->store, &session, err);
	if (!r)
		r = session_person_show(session, name, NULL, NULL, err);
	if (!r && o->store.dry_run)
		return report_change(&o->store, "changed", name, err);
	if (!r)
		r = session_token_list(session, name, keep_scopes, &scopes, err);
	if (r)
		return r;
	r = session_token_rm(session, name, ROBOT_TOKEN, err);
	return r && r != -ENOENT ? r : add_secret(session, o, name, o->scopes ? o->scopes : scopes, err);
}

/* ---- The verbs of each noun ---- */

#define VERBS(noun, kind)                                                                                         \
	static int run_##noun##_list(const void *options, char **operands, int count, struct err *err)            \
	{                                                                                                         \
		(void)operands;                                                                                   \
		(void)count;                                                                                      \
		return list_people(options, kind, err);                                                           \
	}                                                                                                         \
	static int run_##noun##_show(const void *options, char **operands, int count, struct err *err)            \
	{                                                                                                         \
		(void)count;                                                                                      \
		return show_person(options, kind, operands, err);                                                 \
	}                                                                                                         \
	static int run_##noun##_add(const void *options, char **operands, int count, struct err *err)             \
	{                                                                                                         \
		(void)count;                                                                                      \
		return add(options, kind, operands, err);                                                         \
	}                                                                                                         \
	static int run_##noun##_set(const void *options, char **operands, int count, struct err *err)             \
	{                                                                                                         \
		return kind == PRINCIPAL_GROUP ? set_group(options, operands, count, err) :                       \
						 set_person(options, kind, operands, count, err);                 \
	}                                                                                                         \
	static int run_##noun##_rm(const void *options, char **operands, int count, struct err *err)              \
	{                                                                                                         \
		(void)count;                                                                                      \
		return rm_person(options, kind, operands, err);                                                   \
	}

VERBS(user, PRINCIPAL_USER)
VERBS(group, PRINCIPAL_GROUP)
VERBS(robot, PRINCIPAL_ROBOT)

#define SET_DETAILS "Settings are administrator=yes|no, disabled=yes|no and expires=DURATION|never.\n"

const struct command people_commands[] = {
	{ "user", "list", "", 0, 0, look_options, "list the users", NULL, run_user_list },
	{ "user", "show", "NAME", 1, 1, look_options, "show one user", NULL, run_user_show },
	{ "user", "add", "NAME", 1, 1, user_add_options, "make a user", "It may do nothing until something is granted to it.\n",
	  run_user_add },
	{ "user", "set", "NAME SETTING...", 2, 8, change_options, "change a user", SET_DETAILS, run_user_set },
	{ "user", "passwd", "NAME", 1, 1, passwd_options, "change a user's password", NULL, run_user_passwd },
	{ "user", "rm", "NAME", 1, 1, change_options, "remove a user, its tokens and grants", NULL, run_user_rm },
	{ "group", "list", "", 0, 0, look_options, "list the groups", NULL, run_group_list },
	{ "group", "show", "NAME", 1, 1, look_options, "show one group", NULL, run_group_show },
	{ "group", "add", "NAME", 1, 1, change_options, "make a group",
	  "Its name begins with @, which can be left out here. `group set` gives it members.\n", run_group_add },
	{ "group", "set", "NAME SETTING...", 2, 8, change_options, "add and remove members",
	  "Settings are add=NAME,... and remove=NAME,...\n", run_group_set },
	{ "group", "rm", "NAME", 1, 1, change_options, "remove a group and its grants", NULL, run_group_rm },
	{ "robot", "list", "", 0, 0, look_options, "list the robots", NULL, run_robot_list },
	{ "robot", "show", "NAME", 1, 1, look_options, "show one robot", NULL, run_robot_show },
	{ "robot", "add", "NAME", 1, 1, robot_add_options, "make a robot",
	  "Its name begins with +, which can be left out here. Its secret is shown this once.\n", run_robot_add },
	{ "robot", "set", "NAME SETTING...", 2, 8, change_options, "change a robot", SET_DETAILS, run_robot_set },
	{ "robot", "passwd", "NAME", 1, 1, robot_passwd_options, "give a robot another secret",
	  "The old one is worth nothing from then on. The new one has its scopes, unless others are said.\n", run_robot_passwd },
	{ "robot", "rm", "NAME", 1, 1, change_options, "remove a robot, its secret and grants", NULL, run_robot_rm },
	{ 0 },
};
