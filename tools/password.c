/*
 * password.c: see password.h.
 */
#include "fs/base/base.h"
#include "tools/password.h"

#include <fcntl.h>
#include <termios.h>

void password_forget(struct password *p)
{
	explicit_bzero(p, sizeof(*p));
}

/* One line of at most LIMIT_PASSWORD bytes. Byte by byte: what is behind it isn't ours. */
static int read_line(int fd, struct password *out, const char *from, struct err *err)
{
	size_t len = 0;
	ssize_t n = 0;
	char c = '\0';

	while (len < sizeof(out->text) && (n = read(fd, &c, 1)) > 0 && c != '\n')
		out->text[len++] = c;
	if (n < 0)
		return err_sys(err, errno, "can't read the password from %s", from);
	if (len == sizeof(out->text))
		return err_set(err, ERR_ARGUMENT, "the password in %s has more than %d bytes", from, LIMIT_PASSWORD);
	if (len && out->text[len - 1] == '\r')
		len--;
	out->text[len] = '\0';
	if (strlen(out->text) != len)
		return err_set(err, ERR_ARGUMENT, "the password in %s holds a NUL", from);
	return len ? 0 : err_set(err, ERR_ARGUMENT, "there is no password in %s", from);
}

int password_read(const char *path, struct password *out, struct err *err)
{
	auto_fd int fd = -1;

	if (streq(path, "-"))
		return read_line(STDIN_FILENO, out, "standard input", err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "can't open %s", path);
	return read_line(fd, out, path, err);
}

static int ask_once(int tty, const char *prompt, const char *who, struct password *out, struct err *err)
{
	dprintf(tty, "%s%s: ", prompt, who);
	int r = read_line(tty, out, "the terminal", err);

	dprintf(tty, "\n");
	return r;
}

/* again: a second time, to compare; NULL: once. */
static int ask(const char *who, struct password *out, struct password *again, struct err *err)
{
	auto_fd int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct termios before, silent;
	int r;

	if (tty < 0 || tcgetattr(tty, &before))
		return err_set(err, ERR_USAGE, "there is no terminal to ask for the password of %s: give --password-file FILE",
			       who);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(tty, TCSAFLUSH, &silent);
	r = ask_once(tty, "Password of ", who, out, err);
	if (!r && again)
		r = ask_once(tty, "The same again, of ", who, again, err);
	tcsetattr(tty, TCSAFLUSH, &before);
	return r;
}

int password_ask(const char *who, struct password *out, struct err *err)
{
	auto_password struct password again = { "" };
	int r = ask(who, out, &again, err);

	if (!r && !streq(out->text, again.text))
		r = err_set(err, ERR_ARGUMENT, "the two are not the same");
	return r;
}

int password_ask_once(const char *who, struct password *out, struct err *err)
{
	return ask(who, out, NULL, err);
}

int name_ask(char *out, size_t size, struct err *err)
{
	auto_fd int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	struct password line = { "" };
	int r;

	if (tty < 0)
		return err_set(err, ERR_USAGE, "there is no terminal to ask for the user: give --user NAME");
	dprintf(tty, "User: ");
	r = read_line(tty, &line, "the terminal", err);
	if (!r && strlen(line.text) >= size)
		r = err_set(err, ERR_ARGUMENT, "that is too long");
	if (!r)
		snprintf(out, size, "%s", line.text);
	return r;
}
