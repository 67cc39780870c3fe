/*
 * tls.c: TLS for the HTTP front, through libmicrohttpd. Only this file knows GnuTLS.
 *
 * libmicrohttpd has one credential for all its life. So each connection gets ours instead, before
 * its handshake begins: an identity, which is what the files held when they were read.
 *
 *	      tls_new()            tls_reload()                last connection closed
 *	files ─────────> [current] ───────────> [only counted] ─────────────────────> freed
 *
 * 1. An identity doesn't change. It is counted by tls.current and by each connection that has it.
 * 2. libmicrohttpd's own credential has no certificate: a connection that couldn't get an identity
 *    fails its handshake.
 * 3. A client's certificate that doesn't verify ends the handshake. None is as good as a valid one.
 * 4. Nothing is logged for a handshake that fails: anyone can make one.
 */
#include "fs/base/base.h"
#include "httpd/tls.h"

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fs/base/limits.h"

#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct identity {
	atomic_uint references;
	bool asks; /* for a client's certificate */
	gnutls_certificate_credentials_t credentials;
};

struct tls {
	char *cert, *key, *client_ca;
	pthread_mutex_t lock;
	struct identity *current; /* guarded by lock */
	struct MHD_OptionItem options[3];
};

DEFINE_CLEANUP(cleanup_tls, struct tls *, tls_free)

/* ---- Files ---- */

struct pem {
	size_t len;
	unsigned char *data;
};

/* It may be a private key. */
static void pem_release(struct pem *p)
{
	if (p->data)
		explicit_bzero(p->data, LIMIT_PEM + 1);
	free(p->data);
}
#define auto_pem CLEANUP(pem_release)

static int pem_read(const char *path, struct pem *p, struct err *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return err_set(err, ERR_ARGUMENT, "can't read %s: %s", path,
			       strerrordesc_np(errno));
	p->data = malloc(LIMIT_PEM + 1);
	if (!p->data)
		return err_set(err, ERR_NO_MEMORY, "no memory for %s", path);
	while ((n = read(fd, p->data + p->len, LIMIT_PEM + 1 - p->len)) > 0)
		p->len += (size_t)n;
	if (n < 0)
		return err_set(err, ERR_ARGUMENT, "can't read %s: %s", path,
			       strerrordesc_np(errno));
	if (p->len > LIMIT_PEM)
		return err_set(err, ERR_ARGUMENT, "%s has more than %d bytes", path, LIMIT_PEM);
	return 0;
}

static gnutls_datum_t datum(const struct pem *p)
{
	return (gnutls_datum_t){ p->data, (unsigned)p->len };
}

/* ---- Identities ---- */

static void identity_release(struct identity *id)
{
	if (atomic_fetch_sub(&id->references, 1) != 1)
		return;
	if (id->credentials)
		gnutls_certificate_free_credentials(id->credentials);
	free(id);
}
DEFINE_CLEANUP(cleanup_identity, struct identity *, identity_release)

static int load_key(const struct tls *t, struct identity *id, struct err *err)
{
	auto_pem struct pem cert = { 0 }, key = { 0 };
	gnutls_datum_t c, k;
	int e = err_about("tls-cert", pem_read(t->cert, &cert, err), err);

	if (!e)
		e = err_about("tls-key", pem_read(t->key, &key, err), err);
	if (e)
		return e;
	c = datum(&cert);
	k = datum(&key);
	e = gnutls_certificate_set_x509_key_mem(id->credentials, &c, &k, GNUTLS_X509_FMT_PEM);
	if (e >= 0)
		return 0;
	e = err_set(err, ERR_ARGUMENT, "can't use the certificate %s with the key %s: %s", t->cert,
		    t->key, gnutls_strerror(e));
	return err_about("tls-cert", e, err);
}

static int load_client_ca(const struct tls *t, struct identity *id, struct err *err)
{
	auto_pem struct pem ca = { 0 };
	gnutls_datum_t c;
	int e;

	if (!t->client_ca)
		return 0;
	e = pem_read(t->client_ca, &ca, err);
	if (e)
		return e;
	c = datum(&ca);
	e = gnutls_certificate_set_x509_trust_mem(id->credentials, &c, GNUTLS_X509_FMT_PEM);
	if (e <= 0)
		return err_set(err, ERR_ARGUMENT, "can't use the certificates in %s: %s",
			       t->client_ca, e ? gnutls_strerror(e) : "there is none");
	id->asks = true;
	return 0;
}

static int identity_load(const struct tls *t, struct identity **out, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = calloc(1, sizeof(*id));
	int e;

	if (!id)
		return err_set(err, ERR_NO_MEMORY, "no memory for a certificate");
	atomic_init(&id->references, 1);
	if (gnutls_certificate_allocate_credentials(&id->credentials) < 0)
		return err_set(err, ERR_NO_MEMORY, "no memory for a certificate");
	e = load_key(t, id, err);
	if (!e)
		e = err_about("tls-client-ca", load_client_ca(t, id, err), err);
	if (e)
		return e;
	*out = steal(&id);
	return 0;
}

/* ---- Connections ---- */

static int verify_client(gnutls_session_t session)
{
	gnutls_typed_vdata_st purpose = {
		.type = GNUTLS_DT_KEY_PURPOSE_OID,
		.data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT
	};
	unsigned count = 0, status = 0;

	if (!gnutls_certificate_get_peers(session, &count) || !count)
		return 0;
	if (gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && !status)
		return 0;
	/* Nobody else tells the client why. */
	(void)gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_BAD_CERTIFICATE);
	return GNUTLS_E_CERTIFICATE_ERROR;
}

void tls_begin(struct tls *t, struct MHD_Connection *connection, struct identity **held)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	gnutls_session_t session = info ? info->tls_session : NULL;
	struct identity *id;

	if (!session)
		return;
	pthread_mutex_lock(&t->lock);
	id = t->current;
	atomic_fetch_add(&id->references, 1);
	pthread_mutex_unlock(&t->lock);
	*held = id;
	if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, id->credentials) < 0 ||
	    !id->asks)
		return;
	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
	gnutls_session_set_verify_function(session, verify_client);
}

void tls_end(struct identity **held)
{
	if (*held)
		identity_release(steal(held));
}

static int no_certificate(gnutls_session_t session UNUSED, const gnutls_datum_t *names UNUSED,
			  int name_count UNUSED, const gnutls_pk_algorithm_t *algorithms UNUSED,
			  int algorithm_count UNUSED, gnutls_pcert_st **certs UNUSED,
			  unsigned *cert_count UNUSED, gnutls_privkey_t *key UNUSED)
{
	return -1;
}

const struct MHD_OptionItem *tls_options(const struct tls *t)
{
	return t->options;
}

/* ---- The whole ---- */

static int check_files(const struct tls_files *f, struct err *err)
{
	int e;

	if (!f->cert != !f->key) {
		e = err_set(err, ERR_USAGE,
			    "--tls-cert and --tls-key go together: there is no --tls-%s",
			    f->cert ? "key" : "cert");
		return err_about(f->cert ? "tls-cert" : "tls-key", e, err);
	}
	if (f->client_ca && !f->cert) {
		e = err_set(err, ERR_USAGE, "--tls-client-ca needs --tls-cert and --tls-key");
		return err_about("tls-client-ca", e, err);
	}
	return 0;
}

int tls_new(const struct tls_files *files, struct tls **out, struct err *err)
{
	CLEANUP(cleanup_tls) struct tls *t = NULL;
	int e = check_files(files, err);

	*out = NULL;
	if (e || !files->cert)
		return e;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(err, ERR_NO_MEMORY, "no memory for TLS");
	pthread_mutex_init(&t->lock, NULL);
	t->cert = strdup(files->cert);
	t->key = strdup(files->key);
	t->client_ca = files->client_ca ? strdup(files->client_ca) : NULL;
	if (!t->cert || !t->key || (files->client_ca && !t->client_ca))
		return err_set(err, ERR_NO_MEMORY, "no memory for TLS");
	t->options[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0,
						 (void *)(uintptr_t)PRIORITIES };
	t->options[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
						 (void *)(uintptr_t)no_certificate };
	t->options[2] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
	e = identity_load(t, &t->current, err);
	if (e)
		return e;
	*out = steal(&t);
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	if (t->current)
		identity_release(t->current);
	pthread_mutex_destroy(&t->lock);
	free(t->cert);
	free(t->key);
	free(t->client_ca);
	free(t);
}

int tls_reload(struct tls *t, struct err *err)
{
	CLEANUP(cleanup_identity) struct identity *id = NULL;
	struct identity *old;
	int e = identity_load(t, &id, err);

	if (e)
		return e;
	pthread_mutex_lock(&t->lock);
	old = t->current;
	t->current = steal(&id);
	pthread_mutex_unlock(&t->lock);
	identity_release(old);
	return 0;
}
