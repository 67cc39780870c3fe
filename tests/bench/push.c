/*
 * push.c: many clients that push small artifacts at once.
 *
 *	push ADDRESS:PORT REPOSITORY CLIENTS ARTIFACTS SALT [SIZE]
 *
 * Each client is a thread with one connection that stays, and pushes as clients do: POST and PUT of a blob
 * of 1 KiB (or SIZE bytes), PUT of the manifest by a tag of its own. Prints how many artifacts a second were
 * acknowledged; exits 1 if one was refused. One answer is awaited before the next request goes.
 */
#include "fs/base/base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

#include "fs/base/buf.h"
#include "fs/base/digest.h"
#include "fs/image/manifest.h"

#define BLOB_SIZE 1024
#define CLIENTS_MAX 1000
#define ANSWER_MAX 16384
#define STACK_SIZE (256 * 1024)

struct load {
	struct sockaddr_in address;
	const char *host, *repo, *salt;
	size_t size;
	int64_t count;
	_Atomic int64_t next, failed;
};

struct client {
	struct load *load;
	int fd;
	struct buf request;
	char answer[ANSWER_MAX + 1];
};

static int connect_to(struct client *c)
{
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&c->load->address, sizeof(c->load->address)))
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads one answer to its end: its status, or negative. */
static int read_answer(struct client *c)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = recv(c->fd, c->answer + have, ANSWER_MAX - have, 0);
		const char *end, *length;

		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		have += (size_t)n;
		c->answer[have] = '\0';
		end = strstr(c->answer, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(c->answer, "\r\nContent-Length:");
		if (have >= (size_t)(end + 4 - c->answer) + (length ? strtoul(length + 17, NULL, 10) : 0))
			return atoi(c->answer + strlen("HTTP/1.1 "));
	}
}

static int ask(struct client *c, const char *method, const char *path, const char *type,
	       const void *body, size_t len)
{
	int r;

	buf_reset(&c->request);
	buf_addf(&c->request, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		 method, path, c->load->host, type, len);
	buf_add(&c->request, body, len);
	r = buf_error(&c->request);
	if (!r)
		r = send_all(c->fd, c->request.data, c->request.len);
	return r ? r : read_answer(c);
}

/* Where the upload that was begun goes on, as a path. */
static bool location(const char *answer, struct buf *out)
{
	const char *at = strcasestr(answer, "\r\nLocation:"), *end, *host;

	if (!at)
		return false;
	at += strlen("\r\nLocation:");
	at += strspn(at, " ");
	end = strstr(at, "\r\n");
	host = strstr(at, "://");
	if (host && host < end)
		at = strchr(host + 3, '/');
	buf_add(out, at, (size_t)(end - at));
	buf_addc(out, memchr(at, '?', (size_t)(end - at)) ? '&' : '?');
	return true;
}

static int push_blob(struct client *c, const void *data, size_t len, char text[static DIGEST_TEXT_MAX + 1])
{
	auto_buf struct buf path = BUF_INIT;
	struct digest d;
	int r = digest_of(DIGEST_SHA256, data, len, &d, NULL);

	digest_format(&d, text);
	buf_addf(&path, "/v2/%s/blobs/uploads/", c->load->repo);
	if (!r)
		r = ask(c, "POST", path.data, "application/octet-stream", "", 0);
	buf_reset(&path);
	if (r != 202 || !location(c->answer, &path))
		return r;
	buf_addf(&path, "digest=%s", text);
	return ask(c, "PUT", path.data, "application/octet-stream", data, len);
}

static int push_artifact(struct client *c, int64_t number)
{
	auto_buf struct buf manifest = BUF_INIT, path = BUF_INIT;
	char layer[DIGEST_TEXT_MAX + 1], config[DIGEST_TEXT_MAX + 1];
	auto_free char *blob = malloc(c->load->size);
	struct digest d;
	int r;

	if (!blob)
		return -ENOMEM;
	memset(blob, 'x', c->load->size);
	snprintf(blob, BLOB_SIZE, "%s %" PRId64, c->load->salt, number);
	r = push_blob(c, blob, c->load->size, layer);
	if (r != 201)
		return r;
	(void)!digest_of(DIGEST_SHA256, "{}", 2, &d, NULL);
	buf_addf(&manifest,
		 "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\","
		 "\"config\":{\"mediaType\":\"application/vnd.example.config\",\"digest\":\"%s\",\"size\":2},"
		 "\"layers\":[{\"mediaType\":\"application/vnd.example\",\"digest\":\"%s\",\"size\":%zu}]}",
		 digest_format(&d, config), layer, c->load->size);
	buf_addf(&path, "/v2/%s/manifests/%s-%" PRId64, c->load->repo, c->load->salt, number);
	return ask(c, "PUT", path.data, MEDIA_OCI_MANIFEST, manifest.data, manifest.len);
}

static void client_run(struct client *c)
{
	int64_t n;
	int r = connect_to(c);

	while (!r && (n = c->load->next++) < c->load->count) {
		r = push_artifact(c, n);
		r = r == 201 ? 0 : r ? r : -EPROTO;
	}
	if (r) {
		c->load->failed++;
		fprintf(stderr, "push: %s %d: %.200s\n", r < 0 ? strerror(-r) : "status", r, c->answer);
	}
	if (c->fd >= 0)
		close(c->fd);
	buf_release(&c->request);
}

static void *client_main(void *arg)
{
	auto_free struct client *c = calloc(1, sizeof(*c));

	if (c) {
		c->load = arg;
		c->fd = -1;
		client_run(c);
	}
	return NULL;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The config that all the artifacts share. */
static int push_config(struct load *load)
{
	auto_free struct client *c = calloc(1, sizeof(*c));
	char text[DIGEST_TEXT_MAX + 1];
	int r;

	if (!c)
		return -ENOMEM;
	c->load = load;
	r = connect_to(c);
	if (!r)
		r = push_blob(c, "{}", 2, text);
	if (c->fd >= 0)
		close(c->fd);
	buf_release(&c->request);
	return r == 201 ? 0 : -EPROTO;
}

int main(int argc, char **argv)
{
	pthread_t threads[CLIENTS_MAX];
	struct load load = { 0 };
	pthread_attr_t attr;
	char ip[64];
	double start;
	int clients, started = 0;

	if (argc < 6 || argc > 7 || sscanf(argv[1], "%63[0-9.]:", ip) != 1 || !strchr(argv[1], ':')) {
		fprintf(stderr, "push ADDRESS:PORT REPOSITORY CLIENTS ARTIFACTS SALT [SIZE]\n");
		return 2;
	}
	load.address.sin_family = AF_INET;
	load.address.sin_port = htons((uint16_t)atoi(strchr(argv[1], ':') + 1));
	inet_pton(AF_INET, ip, &load.address.sin_addr);
	load.host = argv[1];
	load.repo = argv[2];
	clients = MIN(atoi(argv[3]), CLIENTS_MAX);
	load.count = strtoll(argv[4], NULL, 10);
	load.salt = argv[5];
	load.size = argc > 6 ? strtoul(argv[6], NULL, 10) : BLOB_SIZE;
	load.size = MAX(load.size, (size_t)BLOB_SIZE);
	if (push_config(&load)) {
		fprintf(stderr, "push: the config was not taken\n");
		return 1;
	}
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	start = seconds();
	while (started < clients && !pthread_create(&threads[started], &attr, client_main, &load))
		started++;
	for (int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	printf("%.1f\n", (double)load.count / (seconds() - start));
	return load.failed || started < clients ? 1 : 0;
}
