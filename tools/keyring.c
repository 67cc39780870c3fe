/*
 * keyring.c: see keyring.h.
 */
#include "fs/base/base.h"
#include "tools/keyring.h"

#include <fcntl.h>
#include <spawn.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fs/base/base64.h"
#include "fs/base/json.h"
#include "fs/base/limits.h"
#include "fs/base/outbound.h"
#include "tools/command.h"

#define HELPER "docker-credential-"

extern char **environ;

static void forget(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void kept_login_forget(struct kept_login *c)
{
	forget(c->user);
	forget(c->password);
	*c = (struct kept_login){ 0 };
}

static void forget_buf(struct buf *b)
{
	if (b->cap)
		explicit_bzero(b->data, b->len);
	buf_release(b);
}
#define auto_secret_buf CLEANUP(forget_buf)

int server_url_check(const char *url, struct err *err)
{
	return outbound_url_check(url, err);
}

/* Host and port, as Docker calls a registry. */
static char *host_of(const char *url)
{
	size_t len;
	const char *host = outbound_host(url, &len);

	return strndup(host, len);
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "out of memory");
}

/* ---- Files ---- */

/* Appends the file; one that isn't there is empty. */
static int read_file(const char *path, struct buf *out, struct err *err)
{
	auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char piece[4096];
	ssize_t n = 0;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, errno, "can't open %s", path);
	while (out->len <= LIMIT_DOCKER_CONFIG && (n = read(fd, piece, sizeof(piece))) > 0)
		buf_add(out, piece, (size_t)n);
	explicit_bzero(piece, sizeof(piece));
	if (n < 0)
		return err_sys(err, errno, "can't read %s", path);
	if (out->len > LIMIT_DOCKER_CONFIG)
		return err_set(err, ERR_CORRUPT, "%s has more than %d bytes", path, LIMIT_DOCKER_CONFIG);
	return buf_error(out) ? no_memory(err) : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += MAX(n, (ssize_t)0);
		len -= (size_t)MAX(n, (ssize_t)0);
	}
	return 0;
}

/* In one step, mode 0600; a link stays one. */
static int write_file(const char *path, const struct buf *data, struct err *err)
{
	auto_free char *real = realpath(path, NULL), *temporary = NULL;
	const char *to = real ? real : path;
	auto_fd int fd = -1;
	int r;

	if (buf_error(data) || asprintf(&temporary, "%s.XXXXXX", to) < 0)
		return no_memory(err);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "can't write beside %s", to);
	r = write_all(fd, data->data, data->len);
	if (!r && (fsync(fd) || rename(temporary, to)))
		r = -errno;
	if (r)
		unlink(temporary);
	return r ? err_sys(err, -r, "can't write %s", to) : 0;
}

/* The directories before the last slash, which nobody else may enter where they are made. */
static void make_directories(const char *path)
{
	auto_free char *copy = strdup(path);

	for (char *slash = copy; copy && (slash = strchr(slash + 1, '/')); *slash = '/') {
		*slash = '\0';
		(void)mkdir(copy, 0700);
	}
}

/* ---- Docker's file ---- */

struct config {
	char *path;
	struct json *json;	/* NULL: there is none */
};

static void config_close(struct config *c)
{
	free(c->path);
	json_free(c->json);
}
#define auto_docker_config CLEANUP(config_close)

static int config_open(struct config *c, struct err *err)
{
	const char *dir = getenv("DOCKER_CONFIG");
	auto_secret_buf struct buf text = BUF_INIT;
	struct err why = ERR_INIT;
	int r;

	if (dir && *dir)
		r = asprintf(&c->path, "%s/config.json", dir);
	else
		r = asprintf(&c->path, "%s/.docker/config.json", home_directory());
	if (r < 0) {
		c->path = NULL;
		return no_memory(err);
	}
	r = read_file(c->path, &text, err);
	if (r || !text.len)
		return r;
	r = json_parse(text.data, text.len, &c->json, &why);
	if (!r && !json_is_object(c->json))
		r = err_set(&why, ERR_CORRUPT, "it is not a JSON object");
	return r ? err_set(err, ERR_CORRUPT, "%s: %s", c->path, why.text) : 0;
}

/* "https://host/v1/", which Docker wrote once, is "host". */
static bool is_host(const char *key, const char *host)
{
	size_t len;
	const char *start = outbound_host(key, &len);

	return len == strlen(host) && strncasecmp(start, host, len) == 0;
}

struct rewrite {
	struct buf out;
	const char *host;
	const char *value;	/* JSON, or NULL: it goes */
	bool had_auths, found;
};

static void add_member(struct buf *b, const char *key, const struct json *value)
{
	json_add_key(b, key);
	json_add_value(b, value);
}

static int copy_auth(void *arg, const char *key, const struct json *value)
{
	struct rewrite *w = arg;

	if (is_host(key, w->host))
		w->found = true;
	else
		add_member(&w->out, key, value);
	return 0;
}

static void add_auths(struct rewrite *w, const struct json *auths)
{
	json_add_key(&w->out, "auths");
	buf_addc(&w->out, '{');
	(void)json_each(auths, copy_auth, w);
	if (w->value) {
		json_add_key(&w->out, w->host);
		buf_adds(&w->out, w->value);
	}
	buf_addc(&w->out, '}');
	w->had_auths = true;
}

static int copy_member(void *arg, const char *key, const struct json *value)
{
	struct rewrite *w = arg;

	if (streq(key, "auths"))
		add_auths(w, value);
	else
		add_member(&w->out, key, value);
	return 0;
}

/* Writes the file with that entry of the host's, or without one. *found: there was one. */
static int config_rewrite(const struct config *c, const char *host, const char *value, bool *found, struct err *err)
{
	struct rewrite w = { .out = BUF_INIT, .host = host, .value = value };
	auto_secret_buf struct buf pretty = BUF_INIT;
	auto_json struct json *json = NULL;
	int r = 0;

	buf_addc(&w.out, '{');
	(void)json_each(c->json, copy_member, &w);
	if (!w.had_auths)
		add_auths(&w, NULL);
	buf_addc(&w.out, '}');
	*found = w.found;
	if (value || w.found)
		r = buf_error(&w.out) ? no_memory(err) : json_parse(w.out.data, w.out.len, &json, err);
	if (json) {
		json_add_value(&pretty, json);
		buf_addc(&pretty, '\n');
		make_directories(c->path);
		r = write_file(c->path, &pretty, err);
	}
	forget_buf(&w.out);
	return r;
}

/* ---- Helpers ---- */

/* The program for a host, or NULL. */
static int helper_of(const struct config *c, const char *host, char **out, struct err *err)
{
	const char *name = json_text(json_get(json_get(c->json, "credHelpers"), host));

	if (!name)
		name = json_text(json_get(c->json, "credsStore"));
	*out = NULL;
	if (!name || !*name)
		return 0;
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(name))
		return err_set(err, ERR_CORRUPT, "%s: \"%.60s\" is not the name of a credential helper", c->path, name);
	return asprintf(out, HELPER "%s", name) < 0 ? no_memory(err) : 0;
}

static int spawn(const char *program, const char *verb, int in, int out, pid_t *pid)
{
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)verb, NULL };
	posix_spawn_file_actions_t actions;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return r;
	r = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	if (!r)
		r = posix_spawnp(pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Gives it the input, and takes what it says. What it is given is less than a pipe holds. */
static int talk(int to, int from, const char *input, struct buf *output)
{
	char piece[1024];
	ssize_t n;
	int r = write_all(to, input, strlen(input));

	close(to);
	while ((n = read(from, piece, sizeof(piece))) > 0 && output->len < LIMIT_DOCKER_CONFIG)
		buf_add(output, piece, (size_t)n);
	explicit_bzero(piece, sizeof(piece));
	return n < 0 ? -errno : r == -EPIPE ? 0 : r;
}

/* *ok: it ended with status 0. */
static int run_helper(const char *program, const char *verb, const char *input, struct buf *output, bool *ok, struct err *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, status = 0, r;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_sys(err, errno, "can't run %s", program);
	if (pipe2(out, O_CLOEXEC) < 0) {
		r = errno;
		close(in[0]);
		close(in[1]);
		return err_sys(err, r, "can't run %s", program);
	}
	r = spawn(program, verb, in[0], out[1], &pid);
	close(in[0]);
	close(out[1]);
	if (r)
		close(in[1]);
	else
		r = -talk(in[1], out[0], input, output);
	close(out[0]);
	while (!r && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	*ok = !r && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return r ? err_set(err, ERR_IO, "can't run %s, which keeps the credentials: %s", program, strerror(r)) :
		   buf_error(output) ? no_memory(err) : 0;
}

static int take(struct kept_login *out, const char *user, size_t len, const char *password, struct err *err)
{
	out->user = strndup(user, len);
	out->password = strdup(password);
	return out->user && out->password ? 0 : no_memory(err);
}

static int helper_get(const char *program, const char *host, struct kept_login *out, struct err *err)
{
	auto_secret_buf struct buf said = BUF_INIT;
	auto_json struct json *json = NULL;
	const char *user, *secret;
	bool ok = false;
	int r = run_helper(program, "get", host, &said, &ok, err);

	if (r)
		return r;
	if (!ok)
		return strstr(said.data, "credentials not found") ? 0 :
			err_set(err, ERR_IO, "%s get: %.200s", program, *said.data ? said.data : "it failed");
	if (json_parse(said.data, said.len, &json, NULL))
		return err_set(err, ERR_CORRUPT, "%s get says what can't be understood", program);
	user = json_text(json_get(json, "Username"));
	secret = json_text(json_get(json, "Secret"));
	/* A token of Docker's own is no password. */
	return user && secret && !streq(user, "<token>") ? take(out, user, strlen(user), secret, err) : 0;
}

static int helper_put(const char *program, const char *host, const struct kept_login *c, struct err *err)
{
	auto_secret_buf struct buf input = BUF_INIT, said = BUF_INIT;
	bool ok = false;
	int r;

	buf_addc(&input, '{');
	json_add_text(&input, "ServerURL", host);
	json_add_text(&input, "Username", c->user);
	json_add_text(&input, "Secret", c->password);
	buf_addc(&input, '}');
	r = buf_error(&input) ? no_memory(err) : run_helper(program, "store", input.data, &said, &ok, err);
	return r || ok ? r : err_set(err, ERR_IO, "%s store: %.200s", program, *said.data ? said.data : "it failed");
}

/* ---- Getting, putting, removing ---- */

struct search {
	const char *host;
	const char *auth;
};

static int find_auth(void *arg, const char *key, const struct json *value)
{
	struct search *s = arg;

	if (is_host(key, s->host))
		s->auth = json_text(json_get(value, "auth"));
	return s->auth != NULL;
}

static int decode_auth(const struct config *c, const char *host, const char *auth, struct kept_login *out, struct err *err)
{
	size_t len = strlen(auth);
	auto_free char *plain = malloc(BASE64_DECODED_MAX(len) + 1);
	ssize_t n = plain ? base64_decode(BASE64, auth, len, plain) : -1;
	const char *colon;
	int r;

	if (!plain)
		return no_memory(err);
	plain[MAX(n, (ssize_t)0)] = '\0';
	colon = strchr(plain, ':');
	r = colon ? take(out, plain, (size_t)(colon - plain), colon + 1, err) :
		    err_set(err, ERR_CORRUPT, "%s: what is kept for %s can't be understood: log in again", c->path, host);
	explicit_bzero(plain, BASE64_DECODED_MAX(len) + 1);
	return r;
}

int keyring_get(const char *url, struct kept_login *out, struct err *err)
{
	auto_docker_config struct config c = { 0 };
	auto_free char *host = host_of(url), *helper = NULL;
	struct search s = { .host = host };
	int r = host ? config_open(&c, err) : no_memory(err);

	if (!r)
		r = helper_of(&c, host, &helper, err);
	if (r || helper)
		return r ? r : helper_get(helper, host, out, err);
	(void)json_each(json_get(c.json, "auths"), find_auth, &s);
	return s.auth && *s.auth ? decode_auth(&c, host, s.auth, out, err) : 0;
}

int keyring_put(const char *url, const struct kept_login *cr, struct err *err)
{
	auto_docker_config struct config c = { 0 };
	auto_free char *host = host_of(url), *helper = NULL;
	auto_secret_buf struct buf plain = BUF_INIT, entry = BUF_INIT;
	bool found;
	int r = host ? config_open(&c, err) : no_memory(err);

	if (!r)
		r = helper_of(&c, host, &helper, err);
	if (!r && helper)
		r = helper_put(helper, host, cr, err);
	buf_addc(&entry, '{');
	if (!helper) {
		buf_addf(&plain, "%s:%s", cr->user, cr->password);
		buf_adds(&entry, "\"auth\":\"");
		base64_add(&entry, BASE64, plain.data, plain.len);
		buf_addc(&entry, '"');
	}
	buf_addc(&entry, '}');
	if (!r && (buf_error(&plain) || buf_error(&entry)))
		r = no_memory(err);
	return r ? r : config_rewrite(&c, host, entry.data, &found, err);
}

int keyring_remove(const char *url, struct err *err)
{
	auto_docker_config struct config c = { 0 };
	auto_free char *host = host_of(url), *helper = NULL;
	auto_buf struct buf said = BUF_INIT;
	bool found = false, erased = false;
	int r = host ? config_open(&c, err) : no_memory(err);

	if (!r)
		r = helper_of(&c, host, &helper, err);
	if (!r && helper)
		r = run_helper(helper, "erase", host, &said, &erased, err);
	if (!r)
		r = config_rewrite(&c, host, NULL, &found, err);
	return r || found || erased ? r : err_set(err, ERR_NOT_FOUND, "not logged in at %s", host);
}

/* ---- The default ---- */

static int default_path(char **out, struct err *err)
{
	const char *dir = getenv("XDG_CONFIG_HOME");
	int r;

	if (dir && *dir == '/')
		r = asprintf(out, "%s/regfs/server", dir);
	else
		r = asprintf(out, "%s/.config/regfs/server", home_directory());
	if (r >= 0)
		return 0;
	*out = NULL;
	return no_memory(err);
}

int server_default_get(char **url, struct err *err)
{
	auto_free char *path = NULL;
	auto_buf struct buf text = BUF_INIT;
	int r = default_path(&path, err);

	*url = NULL;
	if (!r)
		r = read_file(path, &text, err);
	if (r || !text.len)
		return r;
	text.data[strcspn(text.data, "\n")] = '\0';
	*url = strdup(text.data);
	return *url ? 0 : no_memory(err);
}

int server_default_set(const char *url, struct err *err)
{
	auto_free char *path = NULL;
	auto_buf struct buf text = BUF_INIT;
	int r = default_path(&path, err);

	if (r)
		return r;
	if (!url)
		return unlink(path) < 0 && errno != ENOENT ? err_sys(err, errno, "can't remove %s", path) : 0;
	buf_addf(&text, "%s\n", url);
	make_directories(path);
	return write_file(path, &text, err);
}
