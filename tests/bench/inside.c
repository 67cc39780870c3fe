/*
 * inside.c: what the rows about images' insides measure with.
 *
 *	inside slurp DIR SIZE	walks it, and reads each file of at most so many bytes, as grep -r would: prints milliseconds, files, bytes
 *	inside random SECONDS FILE...	4 KiB from anywhere in them, again and again: prints reads a second
 *	inside half SECONDS BLOB	for each read half of a 4 MiB span of a gzip file is decoded by zlib, from a window and a bit
 *				position that are in memory, as an index of such spans would have it: prints reads a second
 *	inside drop FILE...	drops their pages from the page cache
 */
#include "fs/base/base.h"

#include <fcntl.h>
#include <fts.h>
#include <sys/stat.h>
#include <time.h>
#include <zlib.h>

#define READ 4096
#define SPAN (4 * 1024 * 1024)
#define WINDOW 32768
#define CHUNK (128 * 1024)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* xorshift64*: the same places in every run. */
static uint64_t random_below(uint64_t n)
{
	static uint64_t x = 88172645463325252u;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	return (x * 2685821657736338717u >> 11) % n;
}

static int open_or_die(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		die(path);
	return fd;
}

static int64_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat");
	return st.st_size;
}

/* ---- Reading everything ---- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int slurp(char **argv)
{
	static char data[CHUNK];
	char *roots[] = { argv[0], NULL };
	int64_t most = atoll(argv[1]), total = 0, count = 0;
	double start = now();
	FTS *walk = fts_open(roots, FTS_PHYSICAL, by_name);
	FTSENT *e;

	if (!walk)
		die(argv[0]);
	while ((e = fts_read(walk))) {
		ssize_t n;
		int fd;

		if (e->fts_info != FTS_F || e->fts_statp->st_size > most)
			continue;
		fd = open_or_die(e->fts_accpath);
		while ((n = read(fd, data, sizeof(data))) > 0)
			total += n;
		if (n < 0)
			die(e->fts_path);
		close(fd);
		count++;
	}
	fts_close(walk);
	printf("%.3f %lld %lld\n", (now() - start) * 1000, (long long)count, (long long)total);
	return 0;
}

/* ---- Reading anywhere ---- */

static int random_reads(char **argv)
{
	double seconds = atof(argv[0]), start;
	int fds[64], count = 0;
	int64_t sizes[64], total = 0, n = 0;
	char data[READ];

	for (argv++; *argv && count < 64; argv++, count++) {
		fds[count] = open_or_die(*argv);
		sizes[count] = size_of(fds[count]);
		total += sizes[count];
	}
	if (!total)
		return 1;
	start = now();
	for (; now() - start < seconds; n++) {
		int64_t at = (int64_t)random_below((uint64_t)total);
		int i = 0;

		while (at >= sizes[i])
			at -= sizes[i++];
		if (pread(fds[i], data, READ, at & ~(int64_t)(READ - 1)) <= 0)
			die("pread");
	}
	printf("%.1f\n", (double)n / (now() - start));
	return 0;
}

/* ---- What an index of 4 MiB spans would cost ---- */

struct point {
	int64_t in, out;
	int bits;
	unsigned char window[WINDOW];
};

struct points {
	struct point *at;
	size_t count;
};

static void add_point(struct points *p, const z_stream *z, int64_t in, int64_t out, const unsigned char *history)
{
	struct point *last;

	p->at = realloc(p->at, (p->count + 1) * sizeof(*p->at));
	if (!p->at)
		die("realloc");
	last = &p->at[p->count++];
	last->in = in - z->avail_in;
	last->bits = z->data_type & 7;
	last->out = out;
	memcpy(last->window, history, WINDOW);
}

/* One pass with a stop at each block's end, as zlib's examples/zran.c has it. */
static int64_t find_points(int fd, struct points *p)
{
	static unsigned char input[CHUNK], output[WINDOW * 2];
	z_stream z = { .next_in = NULL };
	int64_t in = 0, out = 0;
	int ret = Z_OK;

	if (inflateInit2(&z, 31) != Z_OK)
		die("zlib");
	z.next_out = output + WINDOW;
	z.avail_out = WINDOW;
	while (ret != Z_STREAM_END) {
		unsigned before = z.avail_out;

		if (!z.avail_in) {
			ssize_t n = pread(fd, input, sizeof(input), in);

			if (n <= 0)
				die("the layer ends");
			in += n;
			z.next_in = input;
			z.avail_in = (unsigned)n;
		}
		ret = inflate(&z, Z_BLOCK);
		if (ret != Z_OK && ret != Z_STREAM_END && ret != Z_BUF_ERROR)
			die("not deflated");
		out += before - z.avail_out;
		if (z.data_type & 128 && !(z.data_type & 64) &&
		    out - (p->count ? p->at[p->count - 1].out : 0) >= SPAN)
			add_point(p, &z, in, out, z.next_out - WINDOW);
		if (!z.avail_out) {
			memcpy(output, output + WINDOW, WINDOW);
			z.next_out = output + WINDOW;
			z.avail_out = WINDOW;
		}
	}
	inflateEnd(&z);
	return out;
}

static void decode(int fd, const struct point *p, size_t want)
{
	static unsigned char input[CHUNK], output[CHUNK];
	z_stream z = { .next_in = NULL };
	int64_t in = p->in;
	unsigned char byte;

	if (inflateInit2(&z, -15) != Z_OK)
		die("zlib");
	if (p->bits) {
		if (pread(fd, &byte, 1, in - 1) != 1)
			die("pread");
		inflatePrime(&z, p->bits, byte >> (8 - p->bits));
	}
	inflateSetDictionary(&z, p->window, WINDOW);
	while (want) {
		size_t n = MIN(want, sizeof(output));

		z.next_out = output;
		z.avail_out = (unsigned)n;
		while (z.avail_out) {
			if (!z.avail_in) {
				ssize_t got = pread(fd, input, sizeof(input), in);

				if (got <= 0)
					die("the layer ends");
				in += got;
				z.next_in = input;
				z.avail_in = (unsigned)got;
			}
			if (inflate(&z, Z_NO_FLUSH) != Z_OK)
				break;
		}
		if (z.avail_out)
			break;
		want -= n;
	}
	inflateEnd(&z);
}

static int half(char **argv)
{
	struct points points = { NULL, 0 };
	double seconds = atof(argv[0]), start;
	int fd = open_or_die(argv[1]);
	int64_t n = 0;

	find_points(fd, &points);
	if (points.count < 2)
		die("too short a layer");
	start = now();
	for (; now() - start < seconds; n++)
		decode(fd, &points.at[random_below(points.count - 1)], SPAN / 2);
	printf("%.1f\n", (double)n / (now() - start));
	free(points.at);
	return 0;
}

static int drop(char **argv)
{
	for (; *argv; argv++) {
		int fd = open_or_die(*argv);

		fdatasync(fd);
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && streq(argv[1], "slurp"))
		return slurp(argv + 2);
	if (argc >= 4 && streq(argv[1], "random"))
		return random_reads(argv + 2);
	if (argc == 4 && streq(argv[1], "half"))
		return half(argv + 2);
	if (argc >= 3 && streq(argv[1], "drop"))
		return drop(argv + 2);
	fprintf(stderr, "usage: inside slurp DIR SIZE | random SECONDS FILE... | half SECONDS BLOB | drop FILE...\n");
	return 2;
}
