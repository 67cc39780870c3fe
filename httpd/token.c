/*
 * token.c: /token: Docker's token authentication (distribution, docs/spec/auth/).
 *
 *	GET	?service=&scope=...&offline_token=true, with Basic, or for nobody in particular
 *	POST	a form (RFC 6749): grant_type=password with username and password, or grant_type=refresh_token with refresh_token;
 *		service, scope; access_type=offline
 *
 * A token carries of the scopes that were asked for what was granted when it was made, and each operation asks again. One that gets
 * others ("refresh") has another audience: neither is taken in the other's place.
 */
#include "fs/base/base.h"
#include "httpd/request.h"

#include <strings.h>

#include "fs/auth/token.h"
#include "fs/auth/verified.h"
#include "fs/base/json.h"
#include "fs/base/timestamp.h"
#include "fs/tree/grants.h"
#include "fs/tree/login.h"
#include "httpd/credentials.h"
#include "httpd/login.h"
#include "httpd/reply.h"

#define SECOND INT64_C(1000000000)

/* The body of a POST, which has secrets in it: overwritten when it is freed. */
struct token_form {
	size_t len;
	bool too_large;
	struct form fields;
	char text[LIMIT_TOKEN_FORM + 1];
};

void token_form_free(struct token_form *f)
{
	explicit_bzero(f->text, sizeof(f->text));
	free(f);
}

/* ---- The request ---- */

static int check_open(const struct request *r, struct err *err)
{
	if (r->httpd->open)
		return err_set(err, ERR_NOT_FOUND, "this registry is open: nobody logs in, there are no tokens");
	return 0;
}

void token_get_begin(struct request *r)
{
	struct err err = ERR_INIT;

	if (check_open(r, &err))
		reply_error(r, &err);
}

static int form_new(struct request *r, struct err *err)
{
	static const char want[] = "application/x-www-form-urlencoded";
	const char *type = r->headers.content_type ? r->headers.content_type : "";
	size_t len = strcspn(type, "; ");
	int e = check_open(r, err);

	if (e)
		return e;
	if (len != strlen(want) || strncasecmp(type, want, len) != 0)
		return err_set(err, ERR_REQUEST_INVALID, "the request's body isn't %s", want);
	if (r->headers.length > LIMIT_TOKEN_FORM)
		return err_set(err, ERR_REQUEST_INVALID, "the form has %" PRId64 " bytes, %d are possible", r->headers.length,
			       LIMIT_TOKEN_FORM);
	r->form = malloc(sizeof(*r->form));
	if (!r->form)
		return err_set(err, ERR_NO_MEMORY, "no memory for a form");
	r->form->len = 0;
	r->form->too_large = false;
	r->form->fields.count = 0;
	return 0;
}

void token_post_begin(struct request *r)
{
	struct err err = ERR_INIT;

	if (form_new(r, &err))
		reply_error(r, &err);
}

mhd_result token_receive(struct request *r, const char *data, size_t *len)
{
	struct token_form *f = r->form;

	if (*len > LIMIT_TOKEN_FORM - f->len)
		f->too_large = true;
	if (!f->too_large) {
		memcpy(f->text + f->len, data, *len);
		f->len += *len;
	}
	*len = 0;
	return MHD_YES;
}

/* ---- What was asked for: the query, or the form ---- */

static const char *param(const struct request *r, const char *key)
{
	return r->form ? form_get(&r->form->fields, key) : route_param(&r->route, key);
}

static int check_service(const struct request *r, struct err *err)
{
	const char *service = param(r, "service");

	if (!service || streq(service, r->httpd->service))
		return 0;
	return err_set(err, ERR_REQUEST_INVALID, "service is \"%.200s\": this is %s", service, r->httpd->service);
}

static int read_grant(struct request *r, struct err *err)
{
	const char *type = param(r, "grant_type"), *name = param(r, "username"), *password = param(r, "password");
	const char *refresh = param(r, "refresh_token");
	int e;

	if (type && streq(type, "password") && name && password)
		return credentials_new(name, password, &r->shown, err);
	if (!type || !streq(type, "refresh_token") || !refresh)
		return err_set(err, ERR_REQUEST_INVALID,
			       "grant_type must be password, with username and password, or refresh_token, with refresh_token");
	e = credentials_new("", refresh, &r->shown, err);
	if (!e)
		r->shown->kind = SHOWN_REFRESH;
	return e;
}

static int read_form(struct request *r, struct err *err)
{
	struct token_form *f = r->form;
	int e;

	if (f->too_large)
		return err_set(err, ERR_REQUEST_INVALID, "the form has more than %d bytes", LIMIT_TOKEN_FORM);
	f->text[f->len] = '\0';
	if (strlen(f->text) != f->len)
		return err_set(err, ERR_REQUEST_INVALID, "the form has a NUL");
	e = form_parse(f->text, &f->fields, err);
	return e ? e : read_grant(r, err);
}

void token_ready(struct request *r)
{
	struct err err = ERR_INIT;

	if (r->form && read_form(r, &err))
		reply_error(r, &err);
}

/* ---- Who ---- */

static int refresh(struct request *r, const char *audience, struct tree_login *out, struct err *err)
{
	auto_token_claims struct token_claims claims = { .scopes = NULL };
	int e = token_verify(r->httpd->keys, audience, r->shown->secret, timestamp_now() / SECOND, &claims, err);

	return e ? e : tree_login_renew(r->httpd->tree, claims.subject, claims.token, claims.stamp, r->from, out, err);
}

static int recognize(struct request *r, const char *audience, struct tree_login *out, struct err *err)
{
	*out = (struct tree_login){ .cred = request_cred(r) };
	if (r->form && r->shown->kind == SHOWN_REFRESH)
		return refresh(r, audience, out, err);
	if (r->form)
		return login_check(r->httpd, r->shown, r->from, out, err);
	/* Else it would never expire. */
	if (r->who && r->who->generation < 0)
		return err_set(err, ERR_UNAUTHORIZED, "a signed token gets no other: show a password, or a token's secret");
	return 0;
}

/* ---- What for ---- */

struct granting {
	struct tree *tree;
	const struct cred *cred;
	struct buf *text;
	struct err *err;
};

static bool is_scope(const char *text)
{
	auto_scopes struct scopes *s = NULL;

	return !scopes_parse(text, &s, NULL);
}

static int add_granted(void *arg, const struct wanted *wanted)
{
	struct granting *g = arg;
	unsigned have = 0;
	char actions[ACTIONS_TEXT_MAX + 1];
	auto_buf struct buf one = BUF_INIT;
	int e = tree_actions(g->tree, g->cred, wanted->repo, &have, g->err);

	if (e)
		return e;
	if (wanted->repo && (have & wanted->actions))
		buf_addf(&one, "repository:%s:%s", wanted->repo, actions_format(have & wanted->actions, actions));
	else if (wanted->catalog && (have & ACTION_PULL))
		buf_adds(&one, "registry:catalog:*");
	else if (!wanted->repo && !wanted->catalog && have == ACTIONS_ALL)
		buf_adds(&one, "registry:*:*");
	/* What can't be a repository's name isn't one's, whatever a pattern grants. */
	if (one.len && is_scope(one.data))
		buf_addf(g->text, "%s%s", g->text->len ? " " : "", one.data);
	return buf_error(&one);
}

static int grant(struct request *r, const struct cred *cred, struct buf *text, struct err *err)
{
	struct granting g = { r->httpd->tree, cred, text, err };
	size_t left = LIMIT_SCOPES, count = r->form ? r->form->fields.count : r->route.param_count;
	int e = 0;

	for (size_t i = 0; !e && i < count; i++) {
		const char *key = r->form ? r->form->fields.fields[i].key : r->route.params[i].key;
		const char *value = r->form ? r->form->fields.fields[i].value : r->route.params[i].value;

		if (streq(key, "scope"))
			e = wanted_each(value, &left, add_granted, &g);
	}
	if (!e && text->len > LIMIT_TOKEN_SCOPES)
		e = err_set(err, ERR_REQUEST_INVALID, "the scopes have more than %d bytes: ask for fewer", LIMIT_TOKEN_SCOPES);
	if (!e && buf_error(text))
		e = err_set(err, ERR_NO_MEMORY, "no memory for a token");
	return e;
}

/* ---- The answer ---- */

static bool wants_refresh(const struct request *r)
{
	const char *offline = param(r, r->form ? "access_type" : "offline_token");

	return offline && streq(offline, r->form ? "offline" : "true");
}

static int sign(struct request *r, const struct cred *cred, const char *audience, const char *scopes, int64_t now, struct buf *out,
		struct err *err)
{
	struct token_claims claims = { .subject = cred->subject, .token = cred->token, .issued = now };
	int e = 0;

	if (cred->kind == CRED_SUBJECT)
		snprintf(claims.name, sizeof(claims.name), "%s", cred->name);
	claims.expires = now + (scopes ? TOKEN_SECONDS : TOKEN_REFRESH_SECONDS);
	claims.scopes = (char *)(uintptr_t)scopes;
	if (!scopes)
		e = tree_login_stamp(r->httpd->tree, cred, claims.stamp, err);
	return e ? e : token_sign(r->httpd->keys, audience, &claims, out, err);
}

static void add_text(struct buf *json, const char *key, const char *value)
{
	json_add_key(json, key);
	json_add_string(json, value);
}

static int write_answer(struct request *r, const struct cred *cred, const char *audience, const char *scopes, struct buf *json,
			struct err *err)
{
	auto_buf struct buf token = BUF_INIT, more = BUF_INIT;
	int64_t now = timestamp_now();
	char issued[TIMESTAMP_TEXT_MAX + 1];
	int e = sign(r, cred, r->httpd->service, scopes, now / SECOND, &token, err);

	if (!e && cred->kind == CRED_SUBJECT && wants_refresh(r))
		e = sign(r, cred, audience, NULL, now / SECOND, &more, err);
	if (e)
		return e;
	buf_addc(json, '{');
	add_text(json, "token", token.data);
	add_text(json, "access_token", token.data);
	add_text(json, "token_type", "Bearer");
	add_text(json, "scope", scopes);
	json_add_key(json, "expires_in");
	buf_addf(json, "%d", TOKEN_SECONDS);
	add_text(json, "issued_at", timestamp_format(now, issued));
	if (more.len)
		add_text(json, "refresh_token", more.data);
	buf_adds(json, "}\n");
	return 0;
}

void token_issue(struct request *r)
{
	auto_tree_login struct tree_login login = { .scopes = NULL };
	auto_buf struct buf audience = BUF_INIT, scopes = BUF_INIT, json = BUF_INIT;
	struct err err = ERR_INIT;
	int e;

	buf_addf(&audience, "%s/token", r->httpd->service);
	e = buf_error(&audience) ? err_set(&err, ERR_NO_MEMORY, "no memory for a token") : check_service(r, &err);
	if (!e)
		e = recognize(r, audience.data, &login, &err);
	/* What was remembered says who it is, not that the account is still good. */
	if (!e && login.cred.kind == CRED_SUBJECT)
		e = tree_login_check(r->httpd->tree, &login.cred, &err);
	if (!e)
		e = grant(r, &login.cred, &scopes, &err);
	if (!e)
		e = write_answer(r, &login.cred, audience.data, scopes.data, &json, &err);
	if (e) {
		reply_error(r, &err);
		return;
	}
	reply_text(r, MHD_HTTP_OK, "application/json", &json);
	reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}
