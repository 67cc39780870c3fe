/*
 * tls.h: TLS for the HTTP front, through libmicrohttpd.
 */
#ifndef REGFS_TLS_H
#define REGFS_TLS_H

#include "fs/base/err.h"

struct MHD_Connection;
struct MHD_OptionItem;
struct identity;	/* a certificate with its key */
struct tls;

struct tls_files {
	const char *cert;	/* PEM, the server's certificate first; NULL: no TLS */
	const char *key;	/* PEM, not encrypted */
	const char *client_ca;	/* PEM: who signs clients' certificates; NULL: none is asked for */
};

/* Reads the files; their names are copied. *out is NULL for files that name no certificate.
 * ERR_USAGE: one option needs another; ERR_ARGUMENT: a file that can't be used. */
int tls_new(const struct tls_files *files, struct tls **out, struct err *err) MUST_CHECK;
/* After every connection is closed. NULL: nothing. */
void tls_free(struct tls *tls);
/* Reads the files again: for connections that come from now on. After a failure all is as before. */
int tls_reload(struct tls *tls, struct err *err) MUST_CHECK;

/* For MHD_OPTION_ARRAY, beside MHD_USE_TLS: valid as long as `tls`. */
const struct MHD_OptionItem *tls_options(const struct tls *tls);
/* When a connection begins: gives it the certificate, which it holds (*held) until tls_end(). */
void tls_begin(struct tls *tls, struct MHD_Connection *connection, struct identity **held);
void tls_end(struct identity **held);

#endif
