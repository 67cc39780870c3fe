/*
 * shelf_make.c: indexes opened, and made where there are none: on the disk, or in memory if that is full.
 */
#include "fs/base/base.h"
#include "fs/tree/shelf_state.h"

#include <sys/mman.h>

#include "fs/base/log.h"

int shelf_open_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		     struct index **out, struct err *err)
{
	const struct derived_name name = { .kind = kind, .key = *key };
	auto_fd int fd = -1;
	int r = derived_open(s->derived, &name, &fd, err);

	if (!r)
		r = index_open(fd, index, out, err);
	if (!r && index == INDEX_LAYER && (index_layer_count(*out) != 1 || !digest_equal(index_layer(*out, 0), key))) {
		index_close(steal(out));
		r = err_set(err, ERR_CORRUPT, "an index is of another layer");
	}
	if (r == -EIO)
		(void)!derived_remove(s->derived, &name, NULL);
	return r;
}

int shelf_blame(struct err *err, int r, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1], why[ERR_TEXT_MAX];

	if (r == -ENOENT)
		return err_set(err, ERR_IO, "layer %s isn't here: push it", digest_format(d, text));
	if ((r != -EIO && r != -EOPNOTSUPP) || !err)
		return r;
	snprintf(why, sizeof(why), "%.300s", err->text);
	/* What it is packed in, too, is the layer's fault, whoever looks. */
	return err_set(err, r == -EIO ? err->reason : ERR_CORRUPT, "layer %s can't be looked into: %s", digest_format(d, text), why);
}

int shelf_begin_index(struct shelf *s, enum derived_kind kind, enum index_kind index, const struct digest *key,
		       struct draft *draft, struct index **out, struct err *err)
{
	int r = derived_begin(s->derived, &(struct derived_name){ kind, *key, 0 }, &draft->file, err), opened;

	if (r < 0)
		return r;
	opened = shelf_open_index(s, kind, index, key, out, r ? NULL : err);
	return opened && r ? 1 : opened;
}

bool shelf_is_full(int r)
{
	return r == -ENOSPC || r == -EDQUOT || r == -EROFS;
}

static int new_memory(int *fd, struct err *err)
{
	*fd = memfd_create("regfs-index", MFD_CLOEXEC);
	return *fd < 0 ? err_sys(err, errno, "no memory for an index") : 0;
}

static int make_in_memory(struct shelf_item *item, enum index_kind kind, make_fn *make, void *arg, struct err *err)
{
	auto_fd int memory = -1;
	int r = new_memory(&memory, err);

	if (!r)
		r = make(arg, memory, err);
	if (!r)
		r = index_open(memory, kind, &item->index, err);
	if (!r)
		r = shelf_reserve(item, index_file_size(item->index), err);
	if (r && item->index)
		index_close(steal(&item->index));
	return r;
}

int shelf_make_index(struct shelf_item *item, struct draft *draft, enum index_kind kind, make_fn *make, void *arg, struct err *err)
{
	int r = draft->file.fd < 0 ? -ENOSPC : make(arg, draft->file.fd, err);

	if (!r)
		r = index_open(draft->file.fd, kind, &item->index, err);
	if (!r)
		r = derived_commit(item->shelf->derived, &draft->file, false, err);
	if (!shelf_is_full(r))
		return r;
	log_warn("no room on the disk for an index: it is kept in memory");
	if (item->index)
		index_close(steal(&item->index));
	return make_in_memory(item, kind, make, arg, err);
}
