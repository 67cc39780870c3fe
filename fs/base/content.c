/*
 * content.c: opened bytes: a file's, a buffer's, or a reader's.
 */
#include "fs/base/base.h"
#include "fs/base/content.h"

struct content {
	int fd;		/* -1: the bytes are in data, or the reader's */
	char *data;
	const struct content_reader *reader;	/* or NULL */
	void *arg;
	int64_t size;
};

int content_from_fd(int fd, int64_t size, struct content **out, struct err *err)
{
	auto_fd int owned = fd;
	struct content *c = calloc(1, sizeof(*c));

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "cannot open content: out of memory");
	c->fd = steal_fd(&owned);
	c->size = size;
	*out = c;
	return 0;
}

int content_from_buf(struct buf *b, struct content **out, struct err *err)
{
	int64_t size = (int64_t)b->len;
	auto_free char *data = buf_steal(b);
	struct content *c = data ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return err_set(err, ERR_NO_MEMORY, "cannot open content: out of memory");
	c->fd = -1;
	c->data = steal(&data);
	c->size = size;
	*out = c;
	return 0;
}

int content_from_reader(const struct content_reader *reader, void *arg, int64_t size, struct content **out,
			struct err *err)
{
	struct content *c = calloc(1, sizeof(*c));

	if (!c) {
		reader->release(arg);
		return err_set(err, ERR_NO_MEMORY, "cannot open content: out of memory");
	}
	c->fd = -1;
	c->reader = reader;
	c->arg = arg;
	c->size = size;
	*out = c;
	return 0;
}

int content_fd(const struct content *c)
{
	return c->fd;
}

int content_backing(const struct content *c)
{
	return c->reader && c->reader->backing ? c->reader->backing(c->arg) : c->fd;
}

int64_t content_size(const struct content *c)
{
	return c->size;
}

static int read_file(const struct content *c, char *data, size_t len, int64_t offset,
		     struct err *err)
{
	while (len) {
		ssize_t n = pread(c->fd, data, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, errno, "cannot read %zu bytes at offset %" PRId64, len,
				       offset);
		if (n == 0)
			return err_set(err, ERR_IO,
				       "file ends at %" PRId64 " of %" PRId64
				       " bytes: the store is damaged",
				       offset, c->size);
		data += n;
		len -= (size_t)n;
		offset += n;
	}
	return 0;
}

ssize_t content_read(const struct content *c, void *data, size_t len, int64_t offset,
		     struct err *err)
{
	int ret = 0;

	if (offset < 0)
		return err_set(err, ERR_ARGUMENT, "cannot read at offset %" PRId64, offset);
	if (c->reader && c->reader->grows)
		return c->reader->read(c->arg, data, MIN(len, (size_t)SSIZE_MAX), offset, err);
	if (offset >= c->size)
		return 0;
	len = MIN(len, (uint64_t)(c->size - offset));
	len = MIN(len, (size_t)SSIZE_MAX);
	if (c->reader)
		return c->reader->read(c->arg, data, len, offset, err);
	if (c->fd < 0)
		memcpy(data, c->data + offset, len);
	else
		ret = read_file(c, data, len, offset, err);
	return ret < 0 ? ret : (ssize_t)len;
}

void content_free(struct content *c)
{
	if (!c)
		return;
	if (c->reader)
		c->reader->release(c->arg);
	cleanup_close(&c->fd);
	free(c->data);
	free(c);
}
