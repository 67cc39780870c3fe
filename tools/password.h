/*
 * password.h: passwords, as the command gets them.
 *
 * Never from the command line or the environment, which other processes can see.
 */
#ifndef REGFS_TOOLS_PASSWORD_H
#define REGFS_TOOLS_PASSWORD_H

#include "fs/base/err.h"
#include "fs/base/limits.h"

struct password {
	char text[LIMIT_PASSWORD + 2];
};
void password_forget(struct password *p);
#define auto_password CLEANUP(password_forget)

/* The first line of a file ("-": standard input), without its newline. */
int password_read(const char *path, struct password *out, struct err *err) MUST_CHECK;
/* Asks twice on the terminal, which doesn't show it. ERR_USAGE where there is none. */
int password_ask(const char *who, struct password *out, struct err *err) MUST_CHECK;
/* The same, once: of a password that is there already. */
int password_ask_once(const char *who, struct password *out, struct err *err) MUST_CHECK;
/* Asks for a user's name, of less than `size` bytes. */
int name_ask(char *out, size_t size, struct err *err) MUST_CHECK;

#endif
