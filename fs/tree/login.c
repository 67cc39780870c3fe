/*
 * login.c: see login.h.
 */
#include "fs/base/base.h"
#include "fs/tree/login.h"

#include "fs/base/timestamp.h"
#include "fs/meta/people.h"
#include "fs/tree/state.h"

#define USED_EVERY (600 * INT64_C(1000000000))	/* how exactly a token's last use is written down */

void tree_login_release(struct tree_login *login)
{
	scopes_free(login->scopes);
	login->scopes = NULL;
	login->cred.scopes = NULL;
}

/* The same words whatever was wrong. */
static int refuse(struct err *err)
{
	return err_set(err, ERR_UNAUTHORIZED, "the user's name, or the password or token, is wrong, or not valid any more");
}

static bool is_good(const struct principal_row *row, int64_t now)
{
	return row->kind != PRINCIPAL_GROUP && !row->disabled && (!row->expires || row->expires > now);
}

/* ---- By a password ---- */

static int login_password(struct tree *tree, const char *name, const char *password, const char *from,
			  struct tree_login *out, struct err *err)
{
	struct principal_row row = { .id = 0 };
	int r = 0;

	if (!principal_check(name, NULL)) {
		auto_reader struct meta_reader rd = { 0 };

		r = tree_reader(tree, &rd, err);
		if (!r)
			r = MIN(0, principal_by_name(rd.db, name, &row, err));
	}
	/* Nobody's takes as long, and so does that of an account which isn't good. */
	if (!r)
		r = password_verify(password, row.password, err);
	if (r < 0)
		return r;
	if (!r || !row.id || !is_good(&row, timestamp_now()))
		return refuse(err);
	*out = (struct tree_login){ .cred = cred_subject(row.id, row.name, from) };
	return 0;
}

/* ---- By a secret ---- */

struct found_token {
	struct token_row row;
	struct digest hash;
	struct scopes *scopes;
	struct err *err;
};

static int keep_token(void *arg, const struct token_row *row)
{
	struct found_token *f = arg;
	int r = row->scopes ? scopes_parse(row->scopes, &f->scopes, f->err) : 0;

	f->row = *row;
	f->row.scopes = NULL;
	return r ? r : secret_equal(&f->hash, &row->hash, digest_size(&f->hash));
}

struct touch {
	int64_t id, now;
};

static int touch(struct db *db, void *arg, struct err *err)
{
	const struct touch *t = arg;

	return token_touch(db, t->id, t->now, err);
}

/* The token and its owner: 1, or 0 if it isn't one's, or isn't good. */
static int find_token(struct tree *tree, const char *secret, struct found_token *f, struct principal_row *owner,
		      int64_t now, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = secret_hash(secret, &f->hash, err);

	if (!r)
		r = tree_reader(tree, &rd, err);
	if (!r)
		r = token_by_hash(rd.db, &f->hash, keep_token, f, err);
	if (r > 0)
		r = principal_by_id(rd.db, f->row.principal_id, owner, err);
	if (r > 0)
		r = is_good(owner, now) && (!f->row.expires || f->row.expires > now);
	return r;
}

/* name NULL: whoever's it is. */
static int login_secret(struct tree *tree, const char *name, const char *secret, const char *from, struct tree_login *out,
			struct err *err)
{
	struct principal_row owner = { .id = 0 };
	struct found_token f = { .err = err };
	struct touch t = { .now = timestamp_now() };
	int r = find_token(tree, secret, &f, &owner, t.now, err);
	auto_scopes struct scopes *scopes = f.scopes;

	if (r < 0)
		return r;
	if (!r || (name && !streq(name, owner.name)))
		return refuse(err);
	t.id = f.row.id;
	/* That it can't be written down is no reason to refuse who is right. */
	if (t.now - f.row.used >= USED_EVERY)
		(void)!meta_write(tree->meta, false, touch, &t, NULL);
	*out = (struct tree_login){ .cred = cred_subject(owner.id, owner.name, from), .scopes = steal(&scopes) };
	out->cred.token = f.row.id;
	out->cred.scopes = out->scopes;
	return 0;
}

/* Into the audit trail, and the result through. */
static int noted(struct tree *tree, const char *name, const char *password, const char *from, const struct tree_login *login,
		 int r)
{
	if (!r)
		audit_login(tree, &login->cred);
	if (r == -EACCES)
		audit_login_refused(tree, name, password, from, ERR_UNAUTHORIZED);
	return r;
}

int tree_login(struct tree *tree, const char *name, const char *password, const char *from, struct tree_login *out,
	       struct err *err)
{
	int r;

	*out = (struct tree_login){ .scopes = NULL };
	r = secret_ok(password) ? login_secret(tree, name, password, from, out, err) :
				  login_password(tree, name, password, from, out, err);
	return noted(tree, name, password, from, out, r);
}

int tree_login_secret(struct tree *tree, const char *secret, const char *from, struct tree_login *out, struct err *err)
{
	int r;

	*out = (struct tree_login){ .scopes = NULL };
	r = secret_ok(secret) ? login_secret(tree, NULL, secret, from, out, err) : refuse(err);
	return noted(tree, NULL, NULL, from, out, r);
}

/* ---- By a name ---- */

int tree_login_as(struct tree *tree, const char *name, const char *from, struct cred *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct principal_row row;
	int r;

	*out = cred_anonymous(from);
	if (streq(name, "anonymous"))
		return 0;
	r = tree_reader(tree, &rd, err);
	if (!r)
		r = need_person(rd.db, name, &row, err);
	if (!r && row.kind == PRINCIPAL_GROUP)
		r = err_set(err, ERR_ARGUMENT, "%s is a group: name a user or a robot", name);
	if (!r)
		*out = cred_subject(row.id, row.name, from);
	if (!r)
		audit_login(tree, out);
	return r;
}

int tree_login_check(struct tree *tree, const struct cred *cred, struct err *err)
{
	unsigned ignored;

	return access_actions(tree, cred, NULL, &ignored, err);
}

/* ---- Again ---- */

int tree_login_generation(struct tree *tree, int64_t *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	return r ? r : access_generation(rd.db, out, err);
}

/* Of the row and, if it came by the password, that. */
static int make_stamp(const struct principal_row *row, int64_t token, char out[static TREE_LOGIN_STAMP_LEN + 1], struct err *err)
{
	char text[PASSWORD_HASH_MAX + 64], hex[DIGEST_HEX_MAX + 1];
	struct digest digest;
	int len = snprintf(text, sizeof(text), "regfs login %" PRId64 " %" PRId64 " %s", row->id, token, token ? "" : row->password);
	int r = digest_of(DIGEST_SHA256, text, (size_t)len, &digest, err);

	secret_forget(text, sizeof(text));
	if (!r)
		snprintf(out, TREE_LOGIN_STAMP_LEN + 1, "%.*s", TREE_LOGIN_STAMP_LEN, digest_hex(&digest, hex));
	return r;
}

int tree_login_stamp(struct tree *tree, const struct cred *cred, char out[static TREE_LOGIN_STAMP_LEN + 1], struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct principal_row row = { .id = 0 };
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = principal_by_id(rd.db, cred->subject, &row, err);
	if (r < 0)
		return r;
	return r ? make_stamp(&row, cred->token, out, err) : refuse(err);
}

struct wanted_token {
	int64_t id, now;
	bool good;
	struct scopes *scopes;
	struct err *err;
};

static int keep_wanted(void *arg, const struct token_row *row)
{
	struct wanted_token *w = arg;

	if (row->id != w->id)
		return 0;
	w->good = !row->expires || row->expires > w->now;
	return row->scopes ? scopes_parse(row->scopes, &w->scopes, w->err) : 0;
}

/* *row: whose it was, if there is such an account (any more). */
static int renew(struct tree *tree, int64_t subject, int64_t token, const char *stamp, const char *from,
		 struct principal_row *row, struct tree_login *out, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	struct wanted_token w = { .id = token, .now = timestamp_now(), .good = !token, .err = err };
	char now[TREE_LOGIN_STAMP_LEN + 1] = "";
	int r = tree_reader(tree, &rd, err);

	if (!r)
		r = principal_by_id(rd.db, subject, row, err);
	if (r > 0)
		r = make_stamp(row, token, now, err);
	if (!r && token && row->id)
		r = token_list(rd.db, subject, keep_wanted, &w, err);
	auto_scopes struct scopes *scopes = w.scopes;

	if (r < 0)
		return r;
	if (!row->id || !is_good(row, w.now) || !w.good || !streq(stamp, now))
		return refuse(err);
	*out = (struct tree_login){ .cred = cred_subject(row->id, row->name, from), .scopes = steal(&scopes) };
	out->cred.token = token;
	out->cred.scopes = out->scopes;
	return 0;
}

int tree_login_renew(struct tree *tree, int64_t subject, int64_t token, const char *stamp, const char *from,
		     struct tree_login *out, struct err *err)
{
	struct principal_row row = { .id = 0 };
	int r;

	*out = (struct tree_login){ .scopes = NULL };
	r = renew(tree, subject, token, stamp, from, &row, out, err);
	secret_forget(row.password, sizeof(row.password));
	return noted(tree, row.id ? row.name : NULL, NULL, from, out, r);
}

/* ---- The first ---- */

struct first {
	char hash[PASSWORD_HASH_MAX + 1];
	bool made;
};

static int note_person(void *arg, const struct principal_row *row)
{
	(void)arg;
	(void)row;
	return 1;
}

static int has_users(struct db *db, struct err *err)
{
	return principal_list(db, PRINCIPAL_USER, note_person, NULL, err);
}

static int make_first(struct db *db, void *arg, struct err *err)
{
	const struct cred cred = cred_administrator("serve");
	struct first *f = arg;
	struct principal_row row = { .kind = PRINCIPAL_USER,
				     .name = "admin",
				     .administrator = true,
				     .created = timestamp_now() };
	int r = has_users(db, err);

	if (r)
		return MIN(r, 0);
	snprintf(row.password, sizeof(row.password), "%s", f->hash);
	r = principal_insert(db, &row, err);
	if (!r)
		r = add_access_event(db, &cred, "account-add", NULL, row.name, err);
	f->made = !r;
	return r;
}

static int any_user(struct tree *tree, struct err *err)
{
	auto_reader struct meta_reader rd = { 0 };
	int r = tree_reader(tree, &rd, err);

	return r ? r : has_users(rd.db, err);
}

int tree_first_administrator(struct tree *tree, const char *password, char made[static SECRET_PASSWORD_LEN + 1],
			     struct err *err)
{
	struct first f = { .made = false };
	int r = any_user(tree, err);

	*made = '\0';
	if (r)
		return MIN(r, 0);
	if (!password) {
		r = secret_password(made, err);
		password = made;
	}
	if (!r)
		r = password_hash(password, f.hash, err);
	if (!r)
		r = meta_write(tree->meta, true, make_first, &f, err);
	/* Another process was faster: its password holds. */
	if (r || !f.made)
		*made = '\0';
	return r;
}
