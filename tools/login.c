/*
 * login.c: regfs login, logout.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "tools/keyring.h"
#include "tools/password.h"

struct login_options {
	struct store_options common;
	const char *user, *password_file;
};

static const struct option_row login_rows[] = {
	{ "user", 0, "NAME", offsetof(struct login_options, user), "as whom (default: ask on the terminal)" },
	{ "password-file", 0, "FILE", offsetof(struct login_options, password_file),
	  "the password is its first line; - is standard input (default: ask on the terminal)" },
	{ "ca", 0, "FILE", offsetof(struct login_options, common.ca), "believe the authorities in this file (default: the system's)" },
	{ "json", 0, NULL, offsetof(struct login_options, common.json), "print one JSON document" },
	{ 0 },
};

static const struct option_row logout_rows[] = {
	{ "json", 0, NULL, offsetof(struct store_options, json), "print one JSON document" },
	{ 0 },
};

static int keep_name(void *arg, const struct call_me *me)
{
	buf_reset(arg);
	buf_adds(arg, me->name);
	return buf_error(arg);
}

/* Whether the server takes them; *name: who it says one is. */
static int verify(const struct login_options *o, const char *url, const struct kept_login *c, struct buf *name, struct err *err)
{
	auto_session struct session *s = NULL;
	int r = session_open_server(url, o->common.ca, c->user, c->password, &s, err);

	return r ? r : session_me(s, keep_name, name, err);
}

static int get_credentials(const struct login_options *o, const char *url, struct kept_login *c, struct err *err)
{
	auto_password struct password password = { "" };
	char user[LIMIT_PRINCIPAL + 2] = "";
	int r = o->user ? 0 : name_ask(user, sizeof(user), err);

	if (!r)
		r = o->password_file ? password_read(o->password_file, &password, err) :
				       password_ask_once(o->user ? o->user : user, &password, err);
	if (r)
		return r;
	(void)url;
	c->user = strdup(o->user ? o->user : user);
	c->password = strdup(password.text);
	return c->user && c->password ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");
}

static int report(const struct store_options *o, const char *done, const char *url, const char *name, struct err *err)
{
	auto_buf struct buf b = BUF_INIT;

	if (!o->json) {
		printf("%s %s%s%s\n", done, url, name ? " as " : "", name ? name : "");
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, "server", url);
	if (name)
		json_add_text(&b, "user", name);
	buf_addc(&b, '}');
	return print_json(&b, err);
}

static int run_login(const void *options, char **operands, int count UNUSED, struct err *err)
{
	const struct login_options *o = options;
	auto_kept_login struct kept_login c = { 0 };
	auto_buf struct buf name = BUF_INIT;
	int r = server_url_check(operands[0], err);

	if (!r)
		r = get_credentials(o, operands[0], &c, err);
	if (!r)
		r = verify(o, operands[0], &c, &name, err);
	if (!r)
		r = keyring_put(operands[0], &c, err);
	if (!r)
		r = server_default_set(operands[0], err);
	return r ? r : report(&o->common, "logged in at", operands[0], name.data, err);
}

static int run_logout(const void *options, char **operands, int count, struct err *err)
{
	auto_free char *kept = NULL;
	const char *url;
	int r = server_default_get(&kept, err);

	url = count ? operands[0] : kept;
	if (!r && !url)
		r = err_set(err, ERR_NOT_FOUND, "not logged in anywhere: name the server");
	if (!r)
		r = server_url_check(url, err);
	if (!r && kept && streq(url, kept))
		r = server_default_set(NULL, err);
	if (!r)
		r = keyring_remove(url, err);
	return r ? r : report(options, "logged out at", url, NULL, err);
}

const struct command login_commands[] = {
	{ "login", NULL, "URL", 1, 1, login_rows, "keep who one is at a server, and make it the one that commands work at",
	  "Name and password are kept where docker(1) keeps them. --server and $REGFS_SERVER go before.\n", run_login },
	{ "logout", NULL, "[URL]", 0, 1, logout_rows, "forget it", "Without URL, at the server that commands work at.\n", run_logout },
	{ 0 },
};
