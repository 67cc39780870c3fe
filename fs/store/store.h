/*
 * store.h: bytes by digest.
 *
 * A store is a directory:
 *
 *	blobs/<algorithm>/<2 hex>/<hex>	one read-only file a blob, named by what it holds
 *	uploads/<id>			growing
 *	quarantine/<hex>		files that were found damaged, for a person to look at
 *	index/				derived data, may be deleted at any time
 *	regfs.db			fs/meta's database
 *	token-keys.pem			what signs tokens (fs/auth/token.h), of a registry with accounts
 *
 * A blob becomes visible in this order, and the client hears 201 after the last:
 * write, digest matches, fsync of the file, link to its name, fsync of the directory,
 * commit in the database. A crash between any two leaves an orphan that gc removes, never a
 * wrong state. The upload keeps its own name until after the commit: should a
 * collector take the linked file away before that, store_upload_place() puts it
 * back, inside the write transaction that makes the blob known.
 */
#ifndef REGFS_STORE_H
#define REGFS_STORE_H

#include <sys/statvfs.h>

#include "fs/base/content.h"
#include "fs/base/digest.h"

struct store;

/* create: make the directories that are missing. A store that isn't there is ERR_ARGUMENT. */
int store_open(const char *dir, bool create, struct store **out, struct err *err) MUST_CHECK;
void store_close(struct store *s);
const char *store_dir(const struct store *s);
int store_statvfs(const struct store *s, struct statvfs *out, struct err *err) MUST_CHECK;

/* ---- Blobs ---- */

/* ERR_BLOB_UNKNOWN if there is none. */
int store_blob_open(const struct store *s, const struct digest *d, struct content **out,
		    struct err *err) MUST_CHECK;
/* 1 if the file is there, 0 if not. */
int store_blob_exists(const struct store *s, const struct digest *d, struct err *err) MUST_CHECK;
/* Reads a whole blob of at most `max` bytes into `out`; ERR_ARGUMENT for a larger one. ERR_CORRUPT: its bytes
 * have another digest. */
int store_blob_read(const struct store *s, const struct digest *d, size_t max, struct buf *out,
		    struct err *err) MUST_CHECK;
/* Only inside a write transaction in which no row names the blob. Absent is success. */
int store_blob_unlink(const struct store *s, const struct digest *d, struct err *err) MUST_CHECK;

/* Moves the file, if there is one, to quarantine/, where nothing serves it. Its time of change is now: whoever has it open can see that. */
int store_blob_quarantine(const struct store *s, const struct digest *d, struct err *err) MUST_CHECK;
/* Calls fn for each file, with when it was last changed (nanoseconds since 1970); a non-zero answer ends it and is returned. */
typedef int store_blob_fn(void *arg, const struct digest *d, int64_t changed, struct err *err);
int store_blob_each(const struct store *s, store_blob_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* ---- Uploads ---- */

#define STORE_ID_MAX 36	/* a random UUID (RFC 9562, version 4), without the NUL */
int store_id_new(char out[static STORE_ID_MAX + 1], struct err *err) MUST_CHECK;
bool store_id_ok(const char *id);

int store_upload_create(const struct store *s, const char *id, struct err *err) MUST_CHECK;
/* Bytes received; ERR_UPLOAD_UNKNOWN. */
int store_upload_size(const struct store *s, const char *id, int64_t *out, struct err *err) MUST_CHECK;
/* Its bytes as they are now, to read. */
int store_upload_read(const struct store *s, const char *id, struct content **out,
		      struct err *err) MUST_CHECK;
/* Absent is success. */
int store_upload_remove(const struct store *s, const char *id, struct err *err) MUST_CHECK;

/* When it was last written (nanoseconds since 1970), and its size; ERR_UPLOAD_UNKNOWN. */
int store_upload_touched(const struct store *s, const char *id, int64_t *when, int64_t *size,
			 struct err *err) MUST_CHECK;
/* Calls fn with the id of each upload; a non-zero answer ends it and is returned. */
typedef int store_upload_fn(void *arg, const char *id, struct err *err);
int store_upload_each(const struct store *s, store_upload_fn *fn, void *arg, struct err *err) MUST_CHECK;

/* An upload being written: locked against every other writer, of any process (ERR_BUSY). */
struct store_upload;
/* `hasher`: the digest of what was written so far, if the caller kept it; taken over. Without one (NULL, or one that
 * doesn't match the size) the bytes are read again when it is sealed. */
int store_upload_open(struct store *s, const char *id, struct hasher *hasher, int64_t hashed,
		      struct store_upload **out, struct err *err) MUST_CHECK;
/* Whether it was sealed: its file may stand under a blob's name, too. */
bool store_upload_is_sealed(const struct store_upload *u);
/* Reads its bytes. */
int store_upload_digest(struct store_upload *u, enum digest_algorithm algorithm, struct digest *out,
			struct err *err) MUST_CHECK;
int64_t store_upload_length(const struct store_upload *u);
/* Appends all of it or, after a failure, nothing. The same as the two below, one after the other. */
int store_upload_write(struct store_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
int store_upload_append(struct store_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Digests bytes that were appended, in the same order; may run in another thread while later bytes are appended.
 * What was appended and not hashed is read again when the upload is sealed. */
int store_upload_hash(struct store_upload *u, const void *data, size_t len, struct err *err) MUST_CHECK;
/* Verifies the digest (ERR_DIGEST_MISMATCH), syncs, links the file to the blob's name, syncs the directory.
 * Bytes that can't be synced are given up: the upload is unknown afterwards. */
int store_upload_seal(struct store_upload *u, const struct digest *d, struct err *err) MUST_CHECK;
/* Inside the write transaction that makes the blob known, after a seal: sees that the file still
 * stands under the blob's name, or puts it there again. Costs a stat. */
int store_upload_place(struct store_upload *u, const struct digest *d, struct err *err) MUST_CHECK;
/* Gives the running digest back (the caller owns it; may be NULL), and the number of bytes it covers. */
struct hasher *store_upload_take_hasher(struct store_upload *u);
int64_t store_upload_hashed(const struct store_upload *u);
/* Gives up its name, and its bytes at once. A sealed one stays for gc, which finds out by it whether the file under the
 * blob's name is anybody's. Close it afterwards. */
int store_upload_discard(struct store_upload *u, struct err *err) MUST_CHECK;
void store_upload_close(struct store_upload *u);

DEFINE_CLEANUP(cleanup_store_upload, struct store_upload *, store_upload_close)
#define auto_store_upload CLEANUP(cleanup_store_upload)

#endif
