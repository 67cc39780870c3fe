/*
 * keyring.h: who one is at which server, kept as Docker keeps it.
 *
 * In $DOCKER_CONFIG/config.json, else ~/.docker/config.json: "auths" by host and port, with name and password in base64; or, where
 * the file says so ("credHelpers" for a host, "credsStore" for all), with the program docker-credential-NAME, which is run with an
 * argument vector and given the rest on its standard input. What else is in the file stays as it is. It is replaced in one step, mode 0600.
 *
 * Which server is the default stands in a file of our own, $XDG_CONFIG_HOME/regfs/server, else ~/.config/regfs/server.
 */
#ifndef REGFS_KEYRING_H
#define REGFS_KEYRING_H

#include "fs/base/err.h"

struct kept_login {
	char *user, *password;	/* owned; NULL: none */
};
void kept_login_forget(struct kept_login *c);
#define auto_kept_login CLEANUP(kept_login_forget)

/* As outbound_url_check(). */
int server_url_check(const char *url, struct err *err) MUST_CHECK;

/* Those kept for the server of a URL that was checked; none is no error. ERR_CORRUPT: the file can't be understood. */
int keyring_get(const char *url, struct kept_login *out, struct err *err) MUST_CHECK;
int keyring_put(const char *url, const struct kept_login *c, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND: there are none. */
int keyring_remove(const char *url, struct err *err) MUST_CHECK;

/* The caller frees *url; NULL: there is none. */
int server_default_get(char **url, struct err *err) MUST_CHECK;
/* NULL: none from now on. */
int server_default_set(const char *url, struct err *err) MUST_CHECK;

#endif
