/*
 * program.c: see program.h.
 *
 * A program has a thread that reads what it says and waits for its end: they are few, and slow anyway. It reads a file in memory and writes to
 * a pipe, which are its user's: so it can open /dev/stdin and /dev/stdout, too.
 */
#include "fs/base/base.h"
#include "fs/hook/program.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fs/base/log.h"
#include "fs/base/timestamp.h"
#include "fs/base/work.h"
#include "fs/tree/hooks.h"

#define NOBODY	   65534	/* also where there is no passwd(5) */
#define THREADS	   4
#define VARIABLES  12
#define MILLISECOND INT64_C(1000000)

struct run {
	struct work_job job;
	struct programs *programs;
	struct run *next;		/* among the ended */
	char *name;			/* below hooks.d/ */
	struct buf environment;		/* "NAME=value", each with a NUL behind it */
	const char *input;
	size_t input_len;
	courier_fn *fn;
	void *arg;
	struct courier_answer answer;
	char output[LIMIT_HOOK_ANSWER + 1];
	size_t output_len;
	struct err error;
};

struct programs {
	struct programs_options options;
	char *directory;		/* hooks.d */
	uid_t uid;			/* 0: as the server runs */
	gid_t gid;
	struct work *work;
	bool unreadable;		/* they were when it was last looked for them */
	atomic_bool stopping;
	pthread_mutex_t lock;
	struct run *ended;		/* guarded by lock */
};

static void run_free(struct run *r)
{
	free(r->name);
	buf_release(&r->environment);
	free(r);
}
DEFINE_CLEANUP(cleanup_run, struct run *, run_free)
#define auto_run CLEANUP(cleanup_run)

/* ---- Beginning and end ---- */

static int find_user(struct programs *p, const char *name, struct err *err)
{
	char memory[4096];
	struct passwd entry, *found = NULL;

	if (geteuid())
		return 0;
	p->uid = p->gid = NOBODY;
	if (!name)
		return 0;
	if (getpwnam_r(name, &entry, memory, sizeof(memory), &found) || !found || !found->pw_uid)
		return err_set(err, ERR_ARGUMENT, "there is no user %.60s to run hooks' programs as, other than root", name);
	p->uid = found->pw_uid;
	p->gid = found->pw_gid;
	return 0;
}

int programs_check_user(const char *user, struct err *err)
{
	struct programs nobody = { 0 };

	return find_user(&nobody, user, err);
}

void programs_free(struct programs *p)
{
	if (!p)
		return;
	p->stopping = true;
	if (p->work)
		work_free(p->work);
	while (p->ended) {
		struct run *r = p->ended;

		p->ended = r->next;
		run_free(r);
	}
	pthread_mutex_destroy(&p->lock);
	free(p->directory);
	free(p);
}
DEFINE_CLEANUP(cleanup_programs, struct programs *, programs_free)

int programs_new(const struct programs_options *options, struct programs **out, struct err *err)
{
	CLEANUP(cleanup_programs) struct programs *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	pthread_mutex_init(&p->lock, NULL);
	p->options = *options;
	if (asprintf(&p->directory, "%s/hooks.d", options->store) < 0) {
		p->directory = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	r = find_user(p, options->user, err);
	if (!r)
		r = work_new(THREADS, &p->work, err);
	if (!r)
		*out = steal(&p);
	return r;
}

/* ---- Those that there are ---- */

/* "push/notify" for each file in hooks.d/push/, a NUL behind each. What can't be read isn't taken for gone. */
static int list_kind(const struct programs *p, const char *kind, struct buf *out, struct err *err)
{
	auto_free char *path = NULL;
	struct dirent *entry;
	int failed;
	DIR *dir;

	if (asprintf(&path, "%s/%s", p->directory, kind) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, errno, "can't read %s", path);
	while (errno = 0, (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			buf_addf(out, "%s/%s%c", kind, entry->d_name, '\0');
	failed = errno;
	closedir(dir);
	return failed ? err_sys(err, failed, "can't read %s", path) : 0;
}

static int list_all(const struct programs *p, struct buf *out, struct err *err)
{
	bool there = !access(p->directory, F_OK);
	const char *kind;
	int r = there || errno == ENOENT ? 0 : err_sys(err, errno, "can't look at %s", p->directory);

	for (size_t i = 0; there && !r && (kind = event_kind_at(i)); i++)
		if (hook_may_be_told(kind))
			r = list_kind(p, kind, out, err);
	return !r && buf_error(out) ? err_set(err, ERR_NO_MEMORY, "out of memory") : r;
}

int programs_look(struct programs *p, int64_t seen, struct err *err)
{
	auto_buf struct buf names = BUF_INIT;
	int r = list_all(p, &names, err);
	bool first = r && !p->unreadable;

	/* The others are delivered meanwhile. */
	p->unreadable = r;
	if (first)
		log_warn("hooks: %s: programs stay as they are known", err->text);
	return r ? 0 : tree_hook_programs(p->options.tree, names.data, names.len, seen, err);
}

/* ---- Running ---- */

/* Whether the owner alone decides what is run. */
static int check_safe(const char *path, int fd, bool directory, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_sys(err, errno, "can't look at %s", path);
	if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return err_set(err, ERR_ARGUMENT, "%s is no %s", path, directory ? "directory" : "file");
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, ERR_DENIED, "%s is not run: somebody else than the registry's owner may write to it (chown it to root, chmod go-w)", path);
	if (!directory && !(st.st_mode & S_IXUSR))
		return err_set(err, ERR_DENIED, "%s is not run: it isn't executable (chmod u+x)", path);
	return 0;
}

static int open_program(const struct programs *p, const char *name, int *out, struct err *err)
{
	const char *slash = strrchr(name, '/');
	auto_free char *directory = NULL, *path = NULL;
	auto_fd int dir = -1, fd = -1;
	int r;

	if (asprintf(&directory, "%s/%.*s", p->directory, slash ? (int)(slash - name) : 8, slash ? name : "programs") < 0 ||
	    asprintf(&path, "%s/%s", directory, slash ? slash + 1 : name) < 0)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, errno, "can't open %s", directory);
	r = check_safe(directory, dir, true, err);
	if (r)
		return r;
	fd = openat(dir, slash ? slash + 1 : name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "can't open %s", path);
	r = check_safe(path, fd, false, err);
	if (!r)
		*out = steal_fd(&fd);
	return r;
}

/* The kernel's struct sigaction, all of it zero: SIG_DFL. */
static const unsigned long by_default[4];

/* In the child, between fork() and exec(): nothing but system calls. */
static void become(const struct programs *p, int program, int input, int output, char *const argv[], char *const envp[])
{
	sigset_t none;

	sigemptyset(&none);
	setsid();
	if (p->uid && (setgroups(0, NULL) || setresgid(p->gid, p->gid, p->gid) || setresuid(p->uid, p->uid, p->uid)))
		_exit(126);
	/* The program's own descriptor stays open, since an interpreter reads it by that. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
	    (program != 3 && dup2(program, 3) < 0) || (program == 3 && fcntl(3, F_SETFD, 0)) ||
	    syscall(SYS_close_range, 4, ~0U, 0) || chdir("/"))
		_exit(126);
	/* Who started regfs may have had it ignore some (make(1): 32, which signal() doesn't touch). */
	for (int i = 1; i < NSIG; i++)
		syscall(SYS_rt_sigaction, i, by_default, NULL, sizeof(uint64_t));
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, 3, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

static void point_to(const struct buf *texts, char *out[])
{
	size_t n = 0;

	for (char *t = texts->data, *end = t + texts->len; t < end && n < VARIABLES; t += strlen(t) + 1)
		out[n++] = t;
	out[n] = NULL;
}

static int make_input(const struct run *r, int *out, struct err *err)
{
	auto_fd int fd = memfd_create("hook", MFD_CLOEXEC);

	if (fd < 0)
		return err_sys(err, errno, "no memory for what %s reads", r->name);
	if (pwrite(fd, r->input, r->input_len, 0) != (ssize_t)r->input_len)
		return err_sys(err, errno ? errno : EIO, "no memory for what %s reads", r->name);
	*out = steal_fd(&fd);
	return 0;
}

/* *output: what it says can be read there, without waiting. */
static int begin(struct run *r, int program, pid_t *pid, int *output, struct err *err)
{
	const struct programs *p = r->programs;
	char *argv[] = { r->name, NULL }, *envp[VARIABLES + 1];
	auto_fd int input = -1, ours = -1, theirs = -1;
	int pair[2], e = make_input(r, &input, err);

	if (e)
		return e;
	point_to(&r->environment, envp);
	if (pipe2(pair, O_CLOEXEC))
		return err_sys(err, errno, "can't make a pipe");
	ours = pair[0];
	theirs = pair[1];
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0 || (p->uid && (fchown(input, p->uid, p->gid) || fchown(theirs, p->uid, p->gid))))
		return err_sys(err, errno, "can't give %s what it reads and writes", r->name);
	*pid = fork();
	if (*pid < 0)
		return err_sys(err, errno, "can't start %s", r->name);
	if (!*pid)
		become(p, program, input, theirs, argv, envp);
	*output = steal_fd(&ours);
	return 0;
}

/* Reads what it says, and keeps the beginning: 1; 0: nothing now; -1: it says nothing more. */
static int listen_to(struct run *r, int output)
{
	char data[4096];
	ssize_t n = read(output, data, sizeof(data));
	size_t keep;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	keep = MIN((size_t)n, sizeof(r->output) - 1 - r->output_len);
	memcpy(r->output + r->output_len, data, keep);
	r->output_len += keep;
	return 1;
}

/* Until it has ended, or its time is over; true: it has ended. */
static bool attend(struct run *r, int pidfd, int output)
{
	int64_t end = timestamp_monotonic() + r->programs->options.total_ms * MILLISECOND, left;
	bool listening = true;

	while (!r->programs->stopping && (left = end - timestamp_monotonic()) > 0) {
		struct pollfd fds[] = {
			{ .fd = pidfd, .events = POLLIN },
			{ .fd = listening ? output : -1, .events = POLLIN },
		};

		/* A second at most, to see that all is to end. */
		if (poll(fds, 2, (int)MIN(left / MILLISECOND + 1, INT64_C(1000))) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			listening = listen_to(r, output) >= 0;
		if (fds[0].revents) {
			while (listening && r->output_len < sizeof(r->output) - 1 && listen_to(r, output) > 0)
				;
			return true;
		}
	}
	return false;
}

static void describe_end(struct run *r, bool ended, int status)
{
	struct courier_answer *a = &r->answer;

	a->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (!ended)
		err_set(&r->error, ERR_IO, "it was killed: it ran for more than %" PRId64 " ms", r->programs->options.total_ms);
	else if (WIFSIGNALED(status))
		err_set(&r->error, ERR_IO, "it was ended by signal %d", WTERMSIG(status));
	else if (a->status)
		err_set(&r->error, ERR_IO, "it ended with %d", a->status);
}

static int run_program(struct run *r, struct err *err)
{
	auto_fd int program = -1, output = -1, pidfd = -1;
	siginfo_t info;
	pid_t pid = -1;
	int status = 0, e = open_program(r->programs, r->name, &program, err);
	bool ended;

	if (!e)
		e = begin(r, program, &pid, &output, err);
	if (e)
		return e;
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		e = err_sys(err, errno, "can't wait for %s", r->name);
	ended = !e && attend(r, pidfd, output);
	/* With all that it left behind in its session; it is still there to be waited for, so the number is its own. */
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG);
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!e)
		describe_end(r, ended, status);
	return e;
}

static void work(struct work_job *job)
{
	struct run *r = container_of(job, struct run, job);
	struct programs *p = r->programs;
	int64_t begun = timestamp_monotonic();

	r->answer = (struct courier_answer){ .retry_after = -1 };
	if (!p->stopping && run_program(r, &r->error))
		r->answer.status = -1;
	r->output[r->output_len] = '\0';
	r->answer.why = r->error.text;
	r->answer.body = r->output;
	r->answer.len = r->output_len;
	r->answer.nanoseconds = timestamp_monotonic() - begun;
	pthread_mutex_lock(&p->lock);
	r->next = p->ended;
	p->ended = r;
	pthread_mutex_unlock(&p->lock);
	courier_wake(p->options.courier);
}

static void set(struct buf *environment, const char *name, const char *value)
{
	buf_addf(environment, "%s=%s%c", name, value, '\0');
}

static void set_number(struct buf *environment, const char *name, int64_t value)
{
	buf_addf(environment, "%s=%" PRId64 "%c", name, value, '\0');
}

static void describe(const struct tree_delivery *d, struct buf *environment)
{
	const struct event *e = &d->event->event;
	char digest[DIGEST_TEXT_MAX + 1];

	set(environment, "PATH", "/usr/local/bin:/usr/bin:/bin");
	set(environment, "HOME", "/");
	set(environment, "LANG", "C");
	set(environment, "REGFS_EVENT", e->kind);
	set_number(environment, "REGFS_NUMBER", d->event->number);
	set(environment, "REGFS_REPOSITORY", e->repository);
	set(environment, "REGFS_TAG", e->tag ? e->tag : "");
	set(environment, "REGFS_DIGEST", e->digest ? digest_format(e->digest, digest) : "");
	set(environment, "REGFS_WHO", e->who);
	set_number(environment, "REGFS_DELIVERY", d->row.id);
	set_number(environment, "REGFS_SEQUENCE", d->row.number);
}

int programs_run(struct programs *p, const char *name, const struct tree_delivery *delivery, const struct message *message,
		 courier_fn *fn, void *arg, struct err *err)
{
	auto_run struct run *r = calloc(1, sizeof(*r));

	if (r)
		r->name = strdup(name);
	if (!r || !r->name)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	r->job.fn = work;
	r->programs = p;
	r->input = message->payload.body.data;
	r->input_len = message->payload.body.len;
	r->fn = fn;
	r->arg = arg;
	buf_init(&r->environment);
	describe(delivery, &r->environment);
	if (buf_error(&r->environment))
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	work_submit(p->work, &steal(&r)->job);
	return 0;
}

void programs_take(struct programs *p)
{
	struct run *ended;

	pthread_mutex_lock(&p->lock);
	ended = steal(&p->ended);
	pthread_mutex_unlock(&p->lock);
	while (ended) {
		struct run *r = ended;

		ended = r->next;
		r->fn(r->arg, &r->answer);
		run_free(r);
	}
}
