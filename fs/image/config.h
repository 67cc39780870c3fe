/*
 * config.h: what an image's config says, as much of it as the tree shows.
 *
 * OCI image-spec config.md, and Docker's, which is nearly the same. A config is whatever somebody
 * pushed: where it doesn't say something, or not in the form that the specification gives it, the
 * answer is empty and no error.
 */
#ifndef REGFS_IMAGE_CONFIG_H
#define REGFS_IMAGE_CONFIG_H

#include "fs/base/buf.h"
#include "fs/base/digest.h"
#include "fs/base/limits.h"

#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"

#define IMAGE_EXPIRES "regfs.expires"	/* a label of the config, or an annotation of the manifest */
#define IMAGE_EXPIRES_MAX 40		/* what it says, at most */

struct manifest;

/* A config over LIMIT_CONFIG is not looked into. */
struct image_config {
	char platform[LIMIT_PLATFORM + 1];	/* "linux/amd64", "linux/arm64/v8", or "" */
	int64_t created;			/* nanoseconds since 1970; 0: not said */
	char expires[IMAGE_EXPIRES_MAX + 2];	/* the label, cut to one character too many; "": there is none */
};
void image_config_parse(const void *data, size_t len, struct image_config *out);

/* Whether a config's media type is an image's, Docker's or OCI's. */
bool media_type_is_image_config(const char *media_type);
/* Of a tar, compressed or not: "application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip". */
bool media_type_is_tar(const char *media_type);

/* Digits of a layer's number in an image of that many layers: at least 2, enough for names to sort. */
int image_layer_digits(size_t layers);

/*
 * The history of an image, a line for each layer, base first:
 *	NUMBER SIZE INSTRUCTION
 * separated by tabs; numbers as in layers/ ("01"); size is the compressed layer's
 * in bytes; the instruction is the history's created_by on one line (control characters become
 * spaces), empty where the config doesn't say. Entries with empty_layer have no layer and no line.
 * `config` may be NULL.
 */
int image_history(const struct manifest *m, const void *config, size_t len, struct buf *out,
		  struct err *err) MUST_CHECK;
/* The diff ID (uncompressed digest) of layer i as the config says it; false if it doesn't. */
bool image_diff_id(const void *config, size_t len, size_t i, struct digest *out);

#endif
