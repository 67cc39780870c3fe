/*
 * content.h: opened bytes, as the tree gives them to its doors.
 *
 * Either a file (content_fd() answers a descriptor: sendfile, passthrough) or a
 * reader; every door takes both. The bytes and the size never change while it is
 * open (but a log grows, and then size is what it was at first), also when what it was opened from is deleted meanwhile. Reading is safe
 * from several threads at once.
 */
#ifndef REGFS_CONTENT_H
#define REGFS_CONTENT_H

#include "fs/base/buf.h"
#include "fs/base/err.h"

struct content;

/* Take ownership of the descriptor or of the buffer's memory (and leave *b empty). */
int content_from_fd(int fd, int64_t size, struct content **out, struct err *err) MUST_CHECK;
int content_from_buf(struct buf *b, struct content **out, struct err *err) MUST_CHECK;

/* Bytes that a reader gives: `read` as content_read() (offset and len lie inside size; fewer bytes than asked is a failure);
 * `release`, when it is closed. May be called from several threads at once. */
struct content_reader {
	ssize_t (*read)(void *arg, void *data, size_t len, int64_t offset, struct err *err);
	void (*release)(void *arg);
	int (*backing)(void *arg);	/* for content_backing(); or NULL */
	bool grows;	/* read may be asked behind the size, and gives fewer bytes at the end as it is by then; 0: at or behind it */
};
/* Takes arg over, also on failure. */
int content_from_reader(const struct content_reader *reader, void *arg, int64_t size, struct content **out,
			struct err *err) MUST_CHECK;

/* The file's descriptor, still owned by the content, or -1. Read it by position only. */
int content_fd(const struct content *c);
/*
 * A file that a kernel may read in its place: content_fd(), or what the reader says, or -1. Likewise owned by the content. Where it proves
 * wrong, its time of change is another then, or nobody may read it by its mode, for those to see who have it open.
 */
int content_backing(const struct content *c);
int64_t content_size(const struct content *c);

/* Bytes read, fewer than len only at the end; 0 at and behind the end. A file that turns out shorter
 * than its size is ERR_IO: never padded. */
ssize_t content_read(const struct content *c, void *data, size_t len, int64_t offset,
		     struct err *err) MUST_CHECK;
void content_free(struct content *c);

DEFINE_CLEANUP(cleanup_content, struct content *, content_free)
#define auto_content CLEANUP(cleanup_content)

#endif
