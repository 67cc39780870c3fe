/*
 * serve.c: regfs serve and regfs mount: the programs that stay.
 *
 * The main thread opens the store, starts the doors, says that it is ready, and
 * waits for a signal; then it closes the doors in the reverse order and the store last, so
 * that what was acknowledged is on disk and nothing is left mounted.
 */
#include "fs/base/base.h"
#include "tools/command.h"
#include "tools/password.h"
#include "tools/schedule.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fs/base/log.h"
#include "fs/hook/hook.h"
#include "fs/mount/mount.h"
#include "fs/tree/audit.h"
#include "fs/tree/events.h"
#include "fs/tree/login.h"
#include "httpd/httpd.h"

/* Of deliveries. */
struct delivery_options {
	const char *allow, *user, *timeout, *give_up, *keep;
};

#define DELIVERY_OPTIONS(type, member)                                                                                             \
	{ "hook-allow", 0, "CIDR,...", offsetof(type, member.allow), "hooks may post to these addresses, too (default: to public ones)" }, \
	{ "hook-user", 0, "USER", offsetof(type, member.user), "run hooks' programs as this one, where regfs is root's (default: nobody)" }, \
	{ "hook-timeout", 0, "DURATION", offsetof(type, member.timeout), "give an attempt so long (default: 10s)" },                       \
	{ "hook-give-up", 0, "DURATION", offsetof(type, member.give_up), "try a delivery for so long (default: 1d)" },                     \
	{ "hook-keep", 0, "DURATION", offsetof(type, member.keep), "keep what became of deliveries for so long (default: 30d; 0: for ever)" }

struct serve_options {
	const char *store;
	const char *listen;
	const char *mount;
	const char *config;
	const char *ready_fd;
	const char *prune_interval, *gc_interval, *gc_grace, *untagged;
	const char *check_interval, *check_rate;
	const char *cors_origin;
	const char *tls_cert, *tls_key, *tls_client_ca;
	const char *public_url, *trust_proxy;
	const char *token_key;
	const char *index, *index_cache, *mount_options;
	const char *admin_password_file;
	const char *audit_keep, *audit_pulls, *event_keep;
	struct delivery_options delivery;
	bool sparse;
	bool open;
};

static const struct option_row serve_rows[] = {
	STORE_OPTION(struct serve_options, store),
	{ "listen", 0, "ADDR:PORT", offsetof(struct serve_options, listen), "where to serve HTTP (default: 127.0.0.1:5000)" },
	{ "mount", 0, "DIR", offsetof(struct serve_options, mount), "also mount the tree there" },
	{ "mount-options", 0, "LIST", offsetof(struct serve_options, mount_options), "of the mount, by commas: see regfs mount -o" },
	{ "index", 0, "look|push", offsetof(struct serve_options, index), "index layers when they are looked into, or when they come (default: look)" },
	{ "index-cache", 0, "BYTES", offsetof(struct serve_options, index_cache), "keep so much of what was decoded, at most (default: 2147M)" },
	{ "open", 0, NULL, offsetof(struct serve_options, open), "anyone may do anything; on a loopback address only" },
	{ "admin-password-file", 0, "FILE", offsetof(struct serve_options, admin_password_file), "the first start's user admin gets its first line as password (default: a random one, printed)" },
	{ "config", 0, "FILE", offsetof(struct serve_options, config), "more options, as lines `name = value`" },
	{ "prune-interval", 0, "DURATION", offsetof(struct serve_options, prune_interval), "remove tags that no retention rule keeps, or that expired, so often (default: 1h; 0: never)" },
	{ "gc-interval", 0, "DURATION", offsetof(struct serve_options, gc_interval), "collect garbage so often (default: 1h; 0: never)" },
	{ "gc-grace", 0, "DURATION", offsetof(struct serve_options, gc_grace), "but keep what was pushed or asked for within it (default: 1h)" },
	{ "untagged", 0, "keep|DURATION", offsetof(struct serve_options, untagged), "remove images that have had no tag for so long (default: keep)" },
	{ "check-interval", 0, "DURATION", offsetof(struct serve_options, check_interval), "read every blob and compare its digest so often (default: 0, never)" },
	{ "check-rate", 0, "BYTES", offsetof(struct serve_options, check_rate), "at most so much a second (default: 20M)" },
	{ "event-keep", 0, "DURATION", offsetof(struct serve_options, event_keep), "keep events for so long (default: 30d; 0: for ever)" },
	{ "audit-keep", 0, "DURATION", offsetof(struct serve_options, audit_keep), "keep the audit trail for so long (default: 90d; 0: for ever)" },
	{ "audit-pulls", 0, "on|off", offsetof(struct serve_options, audit_pulls), "write pulls down in it, too (default: off)" },
	DELIVERY_OPTIONS(struct serve_options, delivery),
	{ "sparse", 0, NULL, offsetof(struct serve_options, sparse), "take images whose layers are not here" },
	{ "cors-origin", 0, "ORIGINS", offsetof(struct serve_options, cors_origin), "whose web pages may read answers: *, or a list (default: none)" },
	{ "tls-cert", 0, "FILE", offsetof(struct serve_options, tls_cert), "serve HTTPS with this certificate (PEM); read again at SIGHUP" },
	{ "tls-key", 0, "FILE", offsetof(struct serve_options, tls_key), "and this private key" },
	{ "tls-client-ca", 0, "FILE", offsetof(struct serve_options, tls_client_ca), "a client that shows a certificate needs one of these signers'" },
	{ "public-url", 0, "URL", offsetof(struct serve_options, public_url), "how clients call the registry behind a proxy" },
	{ "trust-proxy", 0, "CIDR,...", offsetof(struct serve_options, trust_proxy), "whose Forwarded and X-Forwarded-For to believe (default: nobody's)" },
	{ "token-key", 0, "FILE", offsetof(struct serve_options, token_key), "sign tokens with the first key in it (PEM), verify with all (default: one in the store); read again at SIGHUP" },
	{ "ready-fd", 0, "N", offsetof(struct serve_options, ready_fd), "write READY and the address there once it serves" },
	{ 0 },
};

_Static_assert(ARRAY_SIZE(serve_rows) <= COMMAND_ROWS_MAX + 1, "too many options");
_Static_assert(sizeof(struct serve_options) <= COMMAND_OPTIONS_MAX, "too many options");

struct mount_command_options {
	const char *store;
	const char *options, *index_cache;
	struct delivery_options delivery;
	const char *ready_fd;
};

static const struct option_row mount_rows[] = {
	STORE_OPTION(struct mount_command_options, store),
	{ "options", 'o', "LIST", offsetof(struct mount_command_options, options), "by commas: as=NAME, allow_other, ro, hide-trees, transform-symlinks" },
	{ "index-cache", 0, "BYTES", offsetof(struct mount_command_options, index_cache), "keep so much of what was decoded, at most (default: 2147M)" },
	DELIVERY_OPTIONS(struct mount_command_options, delivery),
	{ "ready-fd", 0, "N", offsetof(struct mount_command_options, ready_fd), "write READY there once it is mounted" },
	{ 0 },
};

/* ---- Being a process that stays ---- */

static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

static void prepare_process(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* An arena a thread would multiply what malloc keeps. */
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_TRIM_THRESHOLD, 256 * 1024);
	/* Long answers go back to the system at once: in the heap they leave holes. */
	mallopt(M_MMAP_THRESHOLD, 32 * 1024);
}

/* Until SIGINT or SIGTERM. `httpd` may be NULL. */
static void wait_for_end(const sigset_t *set, struct httpd *httpd)
{
	for (;;) {
		int signal_number = 0;

		if (sigwait(set, &signal_number) != 0)
			continue;
		if (signal_number != SIGHUP)
			return;
		if (httpd)
			httpd_reload(httpd);
	}
}

/* sd_notify(3): READY=1 to the socket that systemd names. */
static void notify_systemd(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	auto_fd int fd = -1;

	if (!path || (*path != '/' && *path != '@') || strlen(path) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, strlen(path));
	if (*path == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) < 0)
		log_warn("can't notify systemd: %s", strerror(errno));
}

static int parse_fd(const char *text, int *out, struct err *err)
{
	char *end;
	long n;

	*out = -1;
	if (!text)
		return 0;
	errno = 0;
	n = strtol(text, &end, 10);
	/* Before anything is opened: it must not be one of ours later on. */
	if (errno || end == text || *end || n < 0 || n > INT_MAX || fcntl((int)n, F_GETFD) < 0)
		return err_about("ready-fd",
				 err_set(err, ERR_USAGE,
					 "--ready-fd takes the number of an open descriptor, not %s",
					 text),
				 err);
	*out = (int)n;
	return 0;
}

/* Tells who waits: "READY 127.0.0.1:5000\n" on the descriptor, which is closed; and systemd. */
static void say_ready(int fd, const char *address)
{
	if (fd >= 0) {
		dprintf(fd, "READY%s%s\n", *address ? " " : "", address);
		close(fd);
	}
	notify_systemd("READY=1");
}

/* ---- The mount, and what is inside images ---- */

/* For whom a mount is and how it shows things, and how what is inside images is read. */
struct mount_settings {
	struct tree_inside tree;
	char as[LIMIT_PRINCIPAL + 1]; /* "": the administrator */
	int allow_other;	      /* how often it was said */
	bool hide_trees, read_only;
};

static int read_as(const char *name, size_t len, struct mount_settings *out, struct err *err)
{
	if (!len || len >= sizeof(out->as))
		return err_set(err, ERR_USAGE, "as= takes anonymous, a user or a +robot, not \"%.*s\"", (int)MIN(len, 100U), name);
	memcpy(out->as, name, len);
	out->as[len] = '\0';
	return 0;
}

static int read_mount_option(const char *word, size_t len, struct mount_settings *out, struct err *err)
{
	static const char as[] = "as=";

	if (len >= strlen(as) && starts_with(word, as))
		return read_as(word + strlen(as), len - strlen(as), out, err);
	if (len == strlen("hide-trees") && starts_with(word, "hide-trees"))
		out->hide_trees = true;
	else if (len == strlen("transform-symlinks") && starts_with(word, "transform-symlinks"))
		out->tree.transform_symlinks = true;
	else if (len == strlen("allow_other") && starts_with(word, "allow_other"))
		out->allow_other++;
	else if (len == strlen("ro") && starts_with(word, "ro"))
		out->read_only = true;
	else
		return err_set(err, ERR_USAGE,
			       "there is no mount option %.*s: there are as=NAME, allow_other, ro, hide-trees and transform-symlinks",
			       (int)MIN(len, 100U), word);
	return 0;
}

/* All users of the machine as somebody: nothing is given away with anonymous, and a robot is for that. */
static int check_others(const struct mount_settings *m, struct err *err)
{
	if (m->allow_other != 1 || streq(m->as, "anonymous") || m->as[0] == '+')
		return 0;
	return err_set(err, ERR_USAGE,
		       "with allow_other every user of this machine would act as %s: add as=anonymous or a robot's as=+NAME, or say"
		       " allow_other,allow_other if that is meant",
		       *m->as ? m->as : "the administrator");
}

static int read_mount_options(const char *list, struct mount_settings *out, struct err *err)
{
	int r = 0;

	while (!r && list && *list) {
		size_t len = strcspn(list, ",");

		r = read_mount_option(list, len, out, err);
		list += len;
		list += *list == ',';
	}
	return r ? r : check_others(out, err);
}

/* Mounts for whom the settings say. */
static int start_mount(struct mount_options *m, const struct mount_settings *settings, struct mount **out, struct err *err)
{
	int r = 0;

	m->cred = cred_administrator("mount");
	m->allow_other = settings->allow_other > 0;
	m->hide_trees = settings->hide_trees;
	m->read_only = settings->read_only;
	if (*settings->as)
		r = tree_login_as(m->tree, settings->as, "mount", &m->cred, err);
	return r ? r : mount_start(m, out, err);
}

/* `index` NULL: as it is looked into. */
static int read_inside(const char *options, const char *index, const char *cache, struct mount_settings *out,
		       struct err *err)
{
	int r = err_about("mount-options", read_mount_options(options, out, err), err);

	if (!r && index && !streq(index, "look") && !streq(index, "push"))
		r = err_about("index", err_set(err, ERR_USAGE, "--index is look or push, not %.100s", index), err);
	out->tree.index_on_push = index && streq(index, "push");
	return r ? r : option_size("index-cache", cache, TREE_INSIDE_CACHE, &out->tree.cache, err);
}

/* ---- Deliveries ---- */

/* The least: a timeout of nothing would be none to libcurl. */
#define TIMEOUT_MIN (100 * INT64_C(1000000))
#define TIMEOUT_MAX (3600 * INT64_C(1000000000))

static int read_delivery(const struct delivery_options *o, int64_t gc_interval, struct hooks_options *out, struct err *err)
{
	int r = option_duration("hook-timeout", o->timeout, HOOK_TIMEOUT, &out->timeout, err);

	if (!r && (out->timeout < TIMEOUT_MIN || out->timeout > TIMEOUT_MAX))
		r = err_about("hook-timeout", err_set(err, ERR_USAGE, "--hook-timeout is from 100ms to 1h, not %s", o->timeout), err);
	if (!r)
		r = option_duration("hook-give-up", o->give_up, HOOK_GIVE_UP, &out->give_up, err);
	if (!r)
		r = option_duration("hook-keep", o->keep, HOOK_KEEP, &out->keep, err);
	out->allow = o->allow;
	out->program_user = o->user;
	/* As often as garbage is collected, also where it isn't. */
	out->trim_every = gc_interval ? gc_interval : DEFAULT_GC_INTERVAL;
	return r ? r : hooks_check(out, err);
}

/* ---- serve ---- */

struct doors {
	const struct config_file *config;
	struct schedule *schedule;
	struct hooks *hooks;
	struct tree *tree;
	struct httpd *httpd;
	struct mount *mount;
};

static void close_doors(struct doors *d)
{
	tree_stop(d->tree);
	if (d->httpd)
		httpd_stop(d->httpd);
	if (d->mount)
		mount_stop(d->mount);
	schedule_stop(d->schedule);
	hooks_stop(d->hooks);
	tree_close(d->tree);
}
#define auto_doors CLEANUP(close_doors)

static void unmounted(void *arg)
{
	log_warn("%s was unmounted by someone else: serving HTTP only", (const char *)arg);
}

/* The registry goes on without a mount: the reason is said. */
static void try_mount(struct doors *d, const char *dir, const struct mount_settings *settings)
{
	struct err err = ERR_INIT;
	struct mount_options options = {
		.tree = d->tree,
		.dir = dir,
		.ended = unmounted,
		.ended_arg = (void *)(uintptr_t)dir,
	};

	if (err_about("mount", start_mount(&options, settings, &d->mount, &err), &err)) {
		config_blame(d->config, serve_rows, &err);
		log_warn("not mounted: %s", err.text);
	}
}

static int check_on_off(const char *name, const char *value, struct err *err)
{
	if (!value || streq(value, "on") || streq(value, "off"))
		return 0;
	return err_about(name, err_set(err, ERR_USAGE, "--%s is on or off, not %.100s", name, value), err);
}

/* Reads what the schedule goes by: before anything is opened, so that a slip starts nothing. */
static int read_schedule(const struct serve_options *o, struct schedule_options *out, struct err *err)
{
	int r = option_duration("gc-interval", o->gc_interval, DEFAULT_GC_INTERVAL, &out->gc_interval,
				err);

	if (!r)
		r = option_duration("prune-interval", o->prune_interval, DEFAULT_PRUNE_INTERVAL, &out->prune_interval, err);
	out->untagged = -1;
	if (!r)
		r = option_duration("gc-grace", o->gc_grace, DEFAULT_GC_GRACE, &out->gc_grace, err);
	if (!r && o->untagged && !streq(o->untagged, "keep"))
		r = option_duration("untagged", o->untagged, -1, &out->untagged, err);
	if (!r)
		r = option_duration("audit-keep", o->audit_keep, TREE_AUDIT_KEEP, &out->audit_keep, err);
	if (!r)
		r = option_duration("event-keep", o->event_keep, TREE_EVENTS_KEEP, &out->event_keep, err);
	if (!r)
		r = option_duration("check-interval", o->check_interval, 0, &out->check_interval, err);
	return r ? r :
		   option_size("check-rate", o->check_rate, DEFAULT_CHECK_RATE, &out->check_rate, err);
}

static int start_httpd(struct doors *d, const struct serve_options *o, struct err *err)
{
	const struct httpd_options h = { .tree = d->tree,
					 .listen = o->listen,
					 .cors_origins = o->cors_origin,
					 .tls_cert = o->tls_cert,
					 .tls_key = o->tls_key,
					 .tls_client_ca = o->tls_client_ca,
					 .public_url = o->public_url,
					 .trust_proxy = o->trust_proxy,
					 .token_key = o->token_key,
					 .open = o->open };

	return httpd_start(&h, &d->httpd, err);
}

static void greet(const struct doors *d, const struct serve_options *o)
{
	const char *address = httpd_address(d->httpd);

	printf("regfs %s\n  registry  %s://%s%s\n  store     %s\n", tree_version(), httpd_scheme(d->httpd), address,
	       o->open ? "  (open: anyone on this machine may push)" : "",
	       tree_store_dir(d->tree));
	if (d->mount)
		printf("  mount     %s\n", o->mount);
	if (o->open)
		printf("try:  docker pull debian && docker tag debian %s/debian && docker push %s/debian\n",
		       address, address);
	else
		printf("try:  curl %s://%s/v2/_catalog\n", httpd_scheme(d->httpd), address);
	if (d->mount && o->open)
		printf("      ls %s/debian/_tags; cat %s/debian/_tags/latest/history\n", o->mount, o->mount);
	else if (d->mount)
		printf("      ls %s\n", o->mount);
	fflush(stdout);
}

static int read_config_file(struct serve_options *o, struct config_file *config, struct err *err)
{
	int r = o->config ? config_read(o->config, serve_rows, o, config, err) : 0;

	if (!o->listen)
		o->listen = "127.0.0.1:5000";
	return r;
}

/* A registry that isn't open has accounts: the first one is made with the first start. Its password is printed once, and
 * stands in no log. */
static int make_administrator(struct tree *tree, const struct serve_options *o, struct err *err)
{
	auto_password struct password given = { "" };
	char made[SECRET_PASSWORD_LEN + 1] = "";
	int r = 0;

	if (o->open)
		return 0;
	if (o->admin_password_file)
		r = err_about("admin-password-file", password_read(o->admin_password_file, &given, err), err);
	if (!r)
		r = tree_first_administrator(tree, o->admin_password_file ? given.text : NULL, made, err);
	if (!r && *made)
		printf("made the user admin; its password, shown this once: %s\n", made);
	fflush(stdout);
	secret_forget(made, sizeof(made));
	return r;
}

/* Beside a mount without a server it is the server that delivers: what it was told by its options is what its people meant. */
static int start_hooks(struct doors *d, const struct hooks_options *options, const char *public_url, bool claims, struct err *err)
{
	struct hooks_options h = *options;

	h.tree = d->tree;
	h.store = tree_store_dir(d->tree);
	h.public_url = public_url;
	h.claims = claims;
	return hooks_start(&h, &d->hooks, err);
}

/* What was read of the options before anything is opened. */
struct serve_plan {
	struct schedule_options schedule;
	struct mount_settings mount;
	struct hooks_options hooks;
};

/* Opens the store and the doors. A mount that can't be had is no failure. */
static int open_doors(struct doors *d, const struct serve_options *o, const char *store, const struct serve_plan *plan,
		      struct err *err)
{
	struct schedule_options s = plan->schedule;
	int r = err_about("store", tree_open(store, TREE_CREATE, &d->tree, err), err);

	if (r)
		return r;
	r = make_administrator(d->tree, o, err);
	if (r)
		return r;
	tree_set_grace(d->tree, s.gc_grace);
	tree_set_sparse(d->tree, o->sparse);
	tree_set_audit_pulls(d->tree, o->audit_pulls && streq(o->audit_pulls, "on"));
	tree_set_inside(d->tree, &plan->mount.tree);
	r = start_httpd(d, o, err);
	if (!r)
		r = start_hooks(d, &plan->hooks, httpd_public_url(d->httpd), true, err);
	if (!r && o->mount)
		try_mount(d, o->mount, &plan->mount);
	s.tree = d->tree;
	return r ? r : schedule_start(&s, &d->schedule, err);
}

static int serve(const struct serve_options *o, const struct config_file *config, struct err *err)
{
	struct serve_plan plan = { 0 };
	auto_free char *store = NULL;
	auto_doors struct doors d = { .config = config };
	int ready_fd = -1;
	sigset_t signals;
	int r = parse_fd(o->ready_fd, &ready_fd, err);

	if (!r)
		r = read_schedule(o, &plan.schedule, err);
	if (!r)
		r = read_inside(o->mount_options, o->index, o->index_cache, &plan.mount, err);
	if (!r)
		r = read_delivery(&o->delivery, plan.schedule.gc_interval, &plan.hooks, err);
	if (!r)
		r = check_on_off("audit-pulls", o->audit_pulls, err);
	if (!r)
		r = store_path(o->store, &store, err);
	if (r)
		return r;
	prepare_process();
	/* Passwords and keys pass through the memory: no core file holds it, nobody but root looks into it. */
	prctl(PR_SET_DUMPABLE, 0);
	block_signals(&signals);
	r = open_doors(&d, o, store, &plan, err);
	if (r)
		return r;
	greet(&d, o);
	say_ready(ready_fd, httpd_address(d.httpd));
	wait_for_end(&signals, d.httpd);
	notify_systemd("STOPPING=1");
	return 0;
}

static int run_serve(const void *options, char **operands, int count, struct err *err)
{
	struct serve_options o = *(const struct serve_options *)options;
	auto_config struct config_file config = { 0 };
	int r = read_config_file(&o, &config, err);

	(void)operands;
	(void)count;
	if (!r)
		r = serve(&o, &config, err);
	if (r)
		config_blame(&config, serve_rows, err);
	return r;
}

const struct command serve_commands[] = {
	{ "serve", NULL, "", 0, 0, serve_rows, "run the registry, in the foreground",
	  "Makes the store if there is none. Ends at SIGINT or SIGTERM: unmounts, and exits with 0.\n"
	  "Without --open, who comes over HTTP may pull what is public, and do what was granted after a login. The first\n"
	  "start makes the user admin.\n",
	  run_serve },
	{ 0 },
};

/* ---- mount ---- */

/* Somebody unmounted it: the program has nothing left to do. */
static void end_process(void *arg)
{
	(void)arg;
	kill(getpid(), SIGTERM);
}

static int run_mount(const void *options, char **operands, int count, struct err *err)
{
	const struct mount_command_options *o = options;
	const struct store_options s = { .store = o->store };
	auto_doors struct doors d = { 0 };
	struct mount_settings settings = { 0 };
	struct hooks_options hooks = { 0 };
	int ready_fd = -1;
	sigset_t signals;
	int r = parse_fd(o->ready_fd, &ready_fd, err);

	(void)count;
	if (!r)
		r = read_delivery(&o->delivery, DEFAULT_GC_INTERVAL, &hooks, err);
	if (!r)
		r = read_inside(o->options, NULL, o->index_cache, &settings, err);
	prepare_process();
	block_signals(&signals);
	if (!r)
		r = open_store(&s, &d.tree, err);
	if (!r) {
		struct mount_options m = { .tree = d.tree, .dir = operands[0], .ended = end_process };

		tree_set_inside(d.tree, &settings.tree);
		r = start_mount(&m, &settings, &d.mount, err);
	}
	if (!r)
		r = start_hooks(&d, &hooks, "", false, err);
	if (r)
		return r;
	say_ready(ready_fd, "");
	wait_for_end(&signals, NULL);
	notify_systemd("STOPPING=1");
	return 0;
}

const struct command mount_commands[] = {
	{ "mount", NULL, "MNT", 1, 1, mount_rows, "mount the tree, without HTTP",
	  "Beside a running server of the same store, or alone. Stays in the foreground; ends, and unmounts,\n"
	  "at SIGINT or SIGTERM.\n",
	  run_mount },
	{ 0 },
};
