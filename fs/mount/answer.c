/*
 * answer.c: attributes as the kernel has them, memory for answers, failures.
 */
#include "fs/base/base.h"

#include <sys/stat.h>

#include "fs/base/log.h"
#include "fs/mount/answer.h"

#define BLOCK	   4096		/* st_blksize of what is small */
#define BLOCK_BLOB (128 * 1024) /* of what isn't: what cp and cat read at a time anyway */
#define ROOM	   (256 * 1024) /* most that the kernel asks for at a time, as it is: what is read, and as much ahead */
#define ROOMS	   (64 * ROOM)	/* kept, together */
#define NANO	   1000000000

struct ops_room *answer_room(struct ops *o, size_t size)
{
	struct ops_room *room, **p;

	pthread_mutex_lock(&o->lock);
	for (p = &o->spare; *p && (*p)->size < size; p = &(*p)->next)
		;
	room = *p;
	if (room) {
		*p = room->next;
		o->spare_size -= room->size;
	}
	pthread_mutex_unlock(&o->lock);
	size = MAX(size, (size_t)ROOM);
	if (!room && (room = malloc(sizeof(*room) + size)))
		room->size = size;
	return room;
}

void answer_room_put(struct ops *o, struct ops_room *room)
{
	bool kept;

	pthread_mutex_lock(&o->lock);
	kept = o->spare_size + room->size <= ROOMS;
	if (kept) {
		room->next = o->spare;
		o->spare = room;
		o->spare_size += room->size;
	}
	pthread_mutex_unlock(&o->lock);
	if (!kept)
		free(room);
}

void answer_rooms_free(struct ops *o)
{
	while (o->spare) {
		struct ops_room *room = o->spare;

		o->spare = room->next;
		free(room);
	}
}

void answer_fail(fuse_req_t req, const struct err *err)
{
	int errnum = err->errnum > 0 ? err->errnum : EIO;

	if (errnum == EIO)
		log_failure("mount: %s", err->text);
	fuse_reply_err(req, errnum);
}

static struct timespec time_of(int64_t ns)
{
	int64_t rest = ns % NANO;

	if (rest < 0)
		rest += NANO;
	return (struct timespec){ .tv_sec = (ns - rest) / NANO, .tv_nsec = rest };
}

struct stat answer_stat(const struct ops *o, const struct node_attr *a)
{
	bool counted = o->no_opendir && S_ISDIR(a->mode) && !a->data_forever;
	struct timespec t = time_of(a->mtime);

	return (struct stat){
		.st_ino = number_shown(&o->numbers, a->id),
		.st_mode = a->mode,
		.st_nlink = a->links,
		.st_uid = a->owned ? a->uid : o->uid,
		.st_gid = a->owned ? a->gid : o->gid,
		.st_rdev = a->rdev,
		.st_size = a->size,
		.st_blksize = a->size >= BLOCK_BLOB ? BLOCK_BLOB : BLOCK,
		/* How many a sparse file has isn't known here; that they are fewer tells who copies it to ask for its holes. */
		.st_blocks = MAX((a->size + 511) / 512 - a->sparse, (int64_t)(a->size > 0)),
		.st_atim = t,
		.st_mtim = counted ? time_of(a->mtime + atomic_load(&o->listings)) : t,
		.st_ctim = t,
	};
}

struct fuse_entry_param answer_entry(const struct ops *o, const struct node_attr *a)
{
	return (struct fuse_entry_param){
		.ino = number_shown(&o->numbers, a->id),
		.attr = answer_stat(o, a),
		.attr_timeout = a->attr_forever ? ANSWER_FOREVER : 0,
		.entry_timeout = a->name_forever ? ANSWER_FOREVER : 0,
	};
}
