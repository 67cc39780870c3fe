/*
 * httpd.h: the registry protocol (OCI distribution-spec) over HTTP/1.1.
 *
 * Translates requests into operations of fs/tree/tree.h and their results back; it
 * decides nothing itself. Memory is bounded: see fs/base/limits.h and httpd.c.
 */
#ifndef REGFS_HTTPD_H
#define REGFS_HTTPD_H

#include "fs/base/err.h"

struct tree;
struct httpd;

struct httpd_options {
	struct tree *tree;	/* borrowed; outlives the server */
	const char *listen;	/* "127.0.0.1:5000", "[::1]:5000"; port 0: any free one */
	const char *cors_origins;	/* "*", or a list: whose scripts may read; NULL: nobody's */
	const char *tls_cert, *tls_key;	/* PEM files; NULL: plain HTTP */
	const char *tls_client_ca;	/* PEM file: a client's certificate must verify; NULL: none is asked for */
	const char *public_url;	/* "https://registry.example.org": what Location begins with; NULL: a slash */
	const char *trust_proxy;	/* "10.0.0.0/8,::1": who may say whom it speaks for; NULL: nobody */
	const char *token_key;	/* PEM file of the keys that sign tokens; NULL: one in the store, made if there is none */
	bool open;		/* who asks is CRED_ANYONE instead of CRED_ANONYMOUS */
};

/* Listens and serves in threads of its own. ERR_ARGUMENT: the address can't be understood, or isn't
 * one of this machine. ERR_BUSY: it is in use. ERR_USAGE: options that don't go together, such as
 * `open` and an address that isn't loopback. err->option says whose value it was. */
int httpd_start(const struct httpd_options *options, struct httpd **out, struct err *err) MUST_CHECK;
/* "127.0.0.1:5000" as it listens, with the port that was chosen; lives as long as the server. */
const char *httpd_address(const struct httpd *h);
/* "http" or "https". */
const char *httpd_scheme(const struct httpd *h);
/* How clients call it, without a slash at its end; "": nobody said. */
const char *httpd_public_url(const struct httpd *h);
/* Reads the certificates again, for connections that come from now on, and the keys that sign tokens. If they
 * can't be used the ones before stay; both is logged. */
void httpd_reload(struct httpd *h);
/* Stops listening, lets requests in progress end for a few seconds, closes the rest, frees. */
void httpd_stop(struct httpd *h);

#endif
