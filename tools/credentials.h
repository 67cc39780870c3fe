/*
 * credentials.h: who one is at which server, kept as Docker keeps it.
 *
 * In $DOCKER_CONFIG/config.json, else ~/.docker/config.json: "auths" by host and port, with name and password in base64; or, where
 * the file says so ("credHelpers" for a host, "credsStore" for all), with the program docker-credential-NAME, which is run with an
 * argument vector and given the rest on its standard input. What else is in the file stays as it is. It is replaced in one step, mode 0600.
 *
 * Which server is the default stands in a file of our own, $XDG_CONFIG_HOME/regfs/server, else ~/.config/regfs/server.
 */
#ifndef REGFS_CREDENTIALS_H
#define REGFS_CREDENTIALS_H

#include "fs/base/err.h"

struct credentials {
	char *user, *password;	/* owned; NULL: none */
};
void credentials_forget(struct credentials *c);
#define auto_credentials CLEANUP(credentials_forget)

/* As outbound_url_check(). */
int server_url_check(const char *url, struct err *err) MUST_CHECK;

/* Those kept for the server of a URL that was checked; none is no error. ERR_CORRUPT: the file can't be understood. */
int credentials_get(const char *url, struct credentials *out, struct err *err) MUST_CHECK;
int credentials_put(const char *url, const struct credentials *c, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: there are none. */
int credentials_remove(const char *url, struct err *err) MUST_CHECK;

/* The caller frees *url; NULL: there is none. */
int server_default_get(char **url, struct err *err) MUST_CHECK;
/* NULL: none from now on. */
int server_default_set(const char *url, struct err *err) MUST_CHECK;

#endif
