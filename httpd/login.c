/*
 * login.c: who asks: the Authorization header, and the challenge where it isn't enough.
 *
 *	no header                       nobody in particular
 *	Bearer, a signed token          verified here, then remembered until it expires
 *	Bearer, a token's secret        looked up by a job, then remembered for LOGIN_KEPT
 *	Basic, a name and either        by a job of its own kind, which hashes passwords; remembered alike. Who guesses waits
 *
 * What is remembered by its own look-up is asked for again when accounts, passwords, tokens or grants have changed, by
 * whichever process. What may be done is asked in each operation, in any case.
 */
#include "fs/base/base.h"
#include "httpd/login.h"

#include <strings.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "fs/auth/throttle.h"
#include "fs/auth/token.h"
#include "fs/auth/verified.h"
#include "fs/base/timestamp.h"
#include "fs/tree/audit.h"
#include "fs/tree/login.h"
#include "httpd/credentials.h"
#include "httpd/peer.h"
#include "httpd/proxy.h"
#include "httpd/reply.h"

#define SECOND	   INT64_C(1000000000)
#define LOGIN_KEPT (300 * SECOND)
#define NICENESS   10 /* of the threads that check passwords: others are answered meanwhile */

struct cred request_cred(const struct request *r)
{
	const char *from = r->from[0] ? r->from : NULL;
	struct cred cred;

	if (!r->who)
		return r->httpd->open ? cred_anyone(from) : cred_anonymous(from);
	cred = r->who->cred;
	cred.from = from;
	return cred;
}

/* ---- How the client calls us ---- */

static const char *header_of(const struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

/* What a proxy that is believed says of it. */
static void ask_proxy(struct request *r, const char **host)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const char *said, *scheme;
	struct in6_addr addr;

	if (!info || !address_of(info->client_addr, &addr) || !ranges_include(r->httpd->proxies, &addr))
		return;
	said = header_of(r, "X-Forwarded-Host");
	scheme = header_of(r, "X-Forwarded-Proto");
	if (said && authority_ok(said))
		*host = said;
	if (scheme)
		r->secure = strcasecmp(scheme, "https") == 0;
}

/* From Host, whose signs are looked at when they are needed. */
static void note_authority(struct request *r)
{
	const char *host = r->headers.host;
	size_t len;

	r->secure = r->httpd->tls;
	if (*r->httpd->public_url)
		return;
	if (r->httpd->proxies)
		ask_proxy(r, &host);
	len = host ? strnlen(host, LIMIT_AUTHORITY + 1) : 0;
	if (len && len <= LIMIT_AUTHORITY)
		memcpy(r->authority, host, len + 1);
}

/* ---- The header ---- */

/* Signed tokens are good until they expire; what was looked up must be as it was. */
static struct verified *remembered(struct request *r, int64_t now)
{
	auto_verified struct verified *v = verified_find(r->httpd->verified, &r->shown_key, now);
	int64_t generation;

	if (v && v->generation >= 0 &&
	    (tree_login_generation(r->httpd->tree, &generation, NULL) || generation != v->generation))
		return NULL;
	return steal(&v);
}

static int remember(struct request *r, const struct cred *cred, struct scopes *scopes, int64_t until, int64_t generation,
		    struct err *err)
{
	r->who = verified_new(cred, scopes, until, generation);
	if (!r->who)
		return err_set(err, ERR_NO_MEMORY, "no memory for a login");
	verified_keep(r->httpd->verified, &r->shown_key, r->who, timestamp_now());
	return 0;
}

static int verify(struct request *r, int64_t now, struct err *err)
{
	auto_token_claims struct token_claims claims = { .scopes = NULL };
	struct httpd *h = r->httpd;
	struct scopes *scopes = NULL;
	struct cred cred = cred_anonymous(NULL);
	int e = token_verify(h->keys, h->service, r->shown->secret, now / SECOND, &claims, err);

	/* A token for requests always says for which. */
	if (!e && scopes_parse(claims.scopes ? claims.scopes : "", &scopes, err))
		e = err_set(err, ERR_UNAUTHORIZED, "the token can't be taken: its scopes can't be understood");
	if (e)
		return e;
	if (claims.subject)
		cred = cred_subject(claims.subject, claims.name, NULL);
	cred.token = claims.token;
	return remember(r, &cred, scopes, claims.expires * SECOND, -1, err);
}

static bool asks_for_nobody(const struct request *r)
{
	return r->route.id == ROUTE_OPTIONS || r->route.id == ROUTE_FRONT || r->route.id == ROUTE_TOKEN_POST;
}

bool login_begin(struct request *r)
{
	const char *header = r->headers.authorization;
	int64_t now;
	struct err err = ERR_INIT;
	int e;

	if (r->httpd->open)
		return true;
	note_authority(r);
	if (!header || asks_for_nobody(r))
		return true;
	now = timestamp_now();
	r->bearer = strncasecmp(header, "Bearer ", 7) == 0;
	r->who = peer_find(r->connection, header, now);
	if (r->who)
		return true;
	e = verified_key(r->httpd->verified, header, strlen(header), &r->shown_key, &err);
	if (!e)
		r->who = remembered(r, now);
	if (!e && !r->who)
		e = credentials_parse(header, &r->shown, &err);
	if (!e && r->shown) {
		if (r->shown->kind != SHOWN_BEARER || secret_ok(r->shown->secret))
			return false;
		e = verify(r, now, &err);
	}
	if (e)
		reply_error(r, &err);
	else
		peer_keep(r->connection, header, r->who);
	return true;
}

static bool is_slow(const struct credentials *shown)
{
	return shown && shown->kind == SHOWN_PASSWORD && !secret_ok(shown->secret);
}

/* A password may be guessed; a secret of 256 bits isn't. */
static int check_password(struct httpd *h, const struct credentials *shown, const char *from, struct tree_login *out, struct err *err)
{
	int64_t wait = 0;
	int e;

	if (throttle_ask(h->throttle, shown->name, from, &wait)) {
		e = err_set(err, ERR_TOO_MANY_REQUESTS, "too many wrong passwords: the next one is looked at in %" PRId64 " seconds",
			    (wait + SECOND - 1) / SECOND);
		err->offset = (wait + SECOND - 1) / SECOND;
		tree_audit_throttled(h->tree, shown->name, from);
		return e;
	}
	/* This thread's only: Linux keeps niceness for each thread. */
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
	e = tree_login(h->tree, shown->name, shown->secret, from, out, err);
	if (!e || err->reason == ERR_UNAUTHORIZED)
		throttle_note(h->throttle, shown->name, from, !e);
	return e;
}

int login_check(struct httpd *h, const struct credentials *shown, const char *from, struct tree_login *out, struct err *err)
{
	if (shown->kind == SHOWN_BEARER)
		return tree_login_secret(h->tree, shown->secret, from, out, err);
	if (is_slow(shown))
		return check_password(h, shown, from, out, err);
	return tree_login(h->tree, shown->name, shown->secret, from, out, err);
}

void login_run(struct request *r)
{
	auto_tree_login struct tree_login login = { .scopes = NULL };
	struct httpd *h = r->httpd;
	struct err err = ERR_INIT;
	int64_t generation = 0;
	int e;

	/* Several requests of one client wait at once: the first one's answer is that of all. */
	r->who = remembered(r, timestamp_now());
	if (r->who)
		return;
	/* Before: a change that comes between is seen the next time. */
	e = tree_login_generation(h->tree, &generation, &err);
	if (!e)
		e = login_check(h, r->shown, r->from, &login, &err);
	if (!e)
		e = remember(r, &login.cred, steal(&login.scopes), timestamp_now() + LOGIN_KEPT, generation, &err);
	if (e)
		reply_error(r, &err);
}

/* ---- Who may wait ---- */

struct work *login_pool(struct httpd *h, const struct credentials *shown)
{
	if (!is_slow(shown))
		return h->jobs;
	if (h->logins_waiting == LIMIT_LOGINS_WAITING)
		return NULL;
	h->logins_waiting++;
	return h->logins;
}

void login_done(struct httpd *h, const struct credentials *shown)
{
	h->logins_waiting -= is_slow(shown);
}

/* ---- The challenge ---- */

static const char *const needs[ROUTE_COUNT] = {
	[ROUTE_TAGS] = "pull",
	[ROUTE_BLOB_GET] = "pull",
	[ROUTE_BLOB_HEAD] = "pull",
	[ROUTE_BLOB_DELETE] = "delete",
	[ROUTE_UPLOAD_BEGIN] = "pull,push",
	[ROUTE_UPLOAD_STATUS] = "pull,push",
	[ROUTE_UPLOAD_PATCH] = "pull,push",
	[ROUTE_UPLOAD_PUT] = "pull,push",
	[ROUTE_UPLOAD_CANCEL] = "pull,push",
	[ROUTE_MANIFEST_GET] = "pull",
	[ROUTE_MANIFEST_PUT] = "pull,push",
	[ROUTE_MANIFEST_DELETE] = "delete",
	[ROUTE_REFERRERS] = "pull",
};

static void add_scopes(const struct request *r, struct buf *b)
{
	const char *from = r->route.id == ROUTE_UPLOAD_BEGIN ? route_param(&r->route, "from") : NULL;

	if (r->route.id == ROUTE_CATALOG)
		buf_adds(b, ",scope=\"registry:catalog:*\"");
	if (!needs[r->route.id] || !wanted_name_ok(r->route.name))
		return;
	buf_addf(b, ",scope=\"repository:%s:%s", r->route.name, needs[r->route.id]);
	if (from && wanted_name_ok(from))
		buf_addf(b, " repository:%s:pull", from);
	buf_addc(b, '"');
}

void login_challenge(struct request *r, const struct err *err)
{
	const struct httpd *h = r->httpd;
	auto_buf struct buf b = BUF_INIT;

	if (h->open)
		return;
	if (r->route.id == ROUTE_TOKEN_GET || r->route.id == ROUTE_TOKEN_POST) {
		reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"%s\"", h->service);
		return;
	}
	buf_adds(&b, "Bearer realm=\"");
	if (*h->public_url)
		buf_adds(&b, h->public_url);
	else
		buf_addf(&b, "%s://%s", r->secure ? "https" : "http",
			 authority_ok(r->authority) ? r->authority : h->address);
	buf_addf(&b, "/token\",service=\"%s\"", h->service);
	add_scopes(r, &b);
	if (err->reason == ERR_SCOPE)
		buf_adds(&b, ",error=\"insufficient_scope\"");
	else if (r->bearer && !(r->who && r->who->cred.kind == CRED_ANONYMOUS))
		buf_adds(&b, ",error=\"invalid_token\"");
	if (!buf_error(&b))
		reply_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "%s", b.data);
}
