/*
 * test_content.c: opened bytes, of a file and of a buffer.
 */
#include "fs/base/base.h"
#include "fs/base/content.h"
#include "tests/unit/tap.h"

#include <fcntl.h>
#include <sys/mman.h>

static int file_with(const char *text)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return fd;
}

/* Both kinds of "hello, world" must answer the same. */
static void test_read(const struct content *c, const char *kind)
{
	static const struct {
		size_t len;
		int64_t offset;
		ssize_t ret;
		const char *bytes;
	} rows[] = {
		{ 5, 0, 5, "hello" },	 { 5, 7, 5, "world" }, { 100, 7, 5, "world" },
		{ 12, 0, 12, "hello, world" }, { 13, 0, 12, "hello, world" }, { 1, 11, 1, "d" },
		{ 1, 12, 0, "" },	 { 1, 13, 0, "" },     { 1, INT64_MAX, 0, "" },
		{ 0, 0, 0, "" },	 { 1, -1, -EINVAL, "" },
	};

	is_int(content_size(c), 12, "%s: size", kind);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char data[101] = "";

		is_int(content_read(c, data, rows[i].len, rows[i].offset, NULL), rows[i].ret,
		       "%s: %zu bytes at %" PRId64, kind, rows[i].len, rows[i].offset);
		is_str(data, rows[i].bytes, "%s: which are", kind);
	}
}

static void test_buf(void)
{
	auto_content struct content *c = NULL, *empty = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct err err = ERR_INIT;
	char data[1];

	buf_adds(&b, "hello, world");
	is_int(content_from_buf(&b, &c, NULL), 0, "content of a buffer");
	is_int((int64_t)b.len, 0, "which is empty now");
	is_int(content_fd(c), -1, "and has no descriptor");
	test_read(c, "buffer");
	is_int(content_from_buf(&b, &empty, NULL), 0, "of an empty buffer");
	ok(content_size(empty) == 0 && content_read(empty, data, 1, 0, NULL) == 0, "is empty");
	buf_reserve(&b, SIZE_MAX);
	is_int(content_from_buf(&b, &empty, &err), -ENOMEM, "a buffer that failed");
	is_int((int)err.reason, ERR_NO_MEMORY, "is out of memory");
}

static void test_file(void)
{
	auto_content struct content *c = NULL;
	int fd = file_with("hello, world");

	is_int(content_from_fd(fd, 12, &c, NULL), 0, "content of a file");
	is_int(content_fd(c), fd, "its descriptor");
	test_read(c, "file");
	is_int(lseek(fd, 0, SEEK_CUR), 12, "reading moved no position");
	content_free(steal(&c));
	is_int(fcntl(fd, F_GETFD), -1, "freed: the descriptor is closed");
}

static void test_damage(void)
{
	auto_content struct content *short_file = NULL, *closed = NULL;
	struct err err = ERR_INIT;
	char data[20] = "";
	int fd = file_with("hello");

	is_int(content_from_fd(fd, 12, &short_file, NULL), 0, "a file shorter than it should be");
	is_int(content_read(short_file, data, 5, 0, NULL), 5, "what is there can be read");
	is_int(content_read(short_file, data, 12, 0, &err), -EIO, "more is an error, not padding");
	is_int((int)err.reason, ERR_IO, "%s", err.text);

	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	is_int(content_from_fd(fd, 5, &closed, NULL), 0, "a descriptor that can't be read");
	is_int(content_read(closed, data, 5, 0, &err), -EBADF, "%s", err.text);
}

static ssize_t give_a(void *arg UNUSED, void *data, size_t len, int64_t offset UNUSED, struct err *err UNUSED)
{
	memset(data, 'a', len);
	return (ssize_t)len;
}

static int backing_of(void *arg)
{
	return *(int *)arg;
}

static void release(void *arg)
{
	*(int *)arg = -2;
}

static void test_reader(void)
{
	static const struct content_reader plain = { .read = give_a, .release = release };
	static const struct content_reader backed = { .read = give_a, .release = release, .backing = backing_of };
	struct content *c;
	char data[20] = "";
	int fd = 7;

	is_int(content_from_reader(&plain, &fd, 12, &c, NULL), 0, "content of a reader");
	is_int(content_read(c, data, 20, 10, NULL), 2, "is read to its size");
	is_int(content_backing(c), -1, "a kernel can't read it");
	content_free(c);
	is_int(fd, -2, "freed: the reader is told");
	fd = 7;
	is_int(content_from_reader(&backed, &fd, 12, &c, NULL), 0, "of one that has a file behind it");
	is_int(content_backing(c), 7, "a kernel reads that");
	is_int(content_fd(c), -1, "but nobody else");
	content_free(c);
}

int main(void)
{
	test_buf();
	test_reader();
	test_file();
	test_damage();
	return done_testing();
}
