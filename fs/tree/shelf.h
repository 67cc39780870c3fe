/*
 * shelf.h: the indexes of layers and images: opened, made where they are missing, and the bytes behind them.
 *
 * A layer goes by the row of its blob, an image by its own row; these numbers are the slots of node numbers
 * (inside.h). What is looked into is made once: by a few threads of low priority, and whoever else wants it meanwhile,
 * in any process, waits for that. What couldn't be made says why, and isn't tried again for a while. Safe from several
 * threads.
 */
#ifndef REGFS_SHELF_H
#define REGFS_SHELF_H

#include "fs/base/content.h"
#include "fs/image/index.h"
#include "fs/image/span.h"

struct tree;
struct shelf;

enum shelf_kind {
	SHELF_LAYER,
	SHELF_IMAGE,
};

#define SHELF_SLOT_MAX ((INT64_C(1) << 30) - 1)

/* An opened index, held. */
struct shelf_item;

int shelf_new(struct tree *tree, struct shelf **out, struct err *err) MUST_CHECK;
/* What is being made ends soon, unfinished, and nothing more is made: for those who wait not to be waited for. */
void shelf_stop(struct shelf *s);
/* The same, and frees it. Nothing is held any more. */
void shelf_free(struct shelf *s);

/* Waits until it is there. ERR_NOT_FOUND: no such row; ERR_CORRUPT: the layer can't be read as a tar, and why; ERR_IO: a layer isn't here. */
int shelf_get(struct shelf *s, enum shelf_kind kind, int64_t slot, struct shelf_item **out, struct err *err) MUST_CHECK;
void shelf_put(struct shelf_item *item);
DEFINE_CLEANUP(cleanup_shelf_item, struct shelf_item *, shelf_put)
#define auto_shelf_item CLEANUP(cleanup_shelf_item)
/* Has the indexes of an image's layers made, where they aren't there, without waiting. */
void shelf_prepare(struct shelf *s, int64_t image);

/*
 * Once index_check() says that an item's index is damaged: whoever gets it from now on has it made again. It stays held. False: it was
 * discarded before.
 */
bool shelf_discard(struct shelf_item *item);

/* A layer's bytes came, again it may be: it is opened anew, and that an image couldn't be looked into is forgotten. */
void shelf_blob_came(struct shelf *s, int64_t slot);

const struct index *shelf_index(const struct shelf_item *item);
/* An image's: the slot of one of its layers. */
int64_t shelf_layer_slot(const struct shelf_item *item, uint32_t layer);
/*
 * The bytes of a regular file of a layer, by its inode there; takes a hold of its own. A file that is opened again and again is taken
 * out of its layer, into one of its own, and content_backing() has that then.
 */
int shelf_open(struct shelf *s, int64_t layer_slot, uint32_t inode, struct content **out, struct err *err) MUST_CHECK;

/*
 * Compares the files that were taken out with what their layers have; one that differs is removed, to be taken out again. fn: of which layer,
 * and which inode there; a non-zero answer ends it and is returned. Reads all of them, and what they are taken from.
 */
typedef int shelf_damage_fn(void *arg, const char *layer, uint32_t inode);
int shelf_check_files(struct shelf *s, shelf_damage_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* At most so many bytes for decoded copies of layers, and for files taken out; those not used for longest go, at once where there are more. Before use. */
void shelf_set_budget(struct shelf *s, int64_t bytes);

struct shelf_stats {
	int64_t layers_indexed;		/* by this process */
	int64_t files_taken_out;
	struct span_stats spans;
};
void shelf_stats(struct shelf *s, struct shelf_stats *out);

#endif
