/*
 * manifest.h: what a manifest says, out of its bytes.
 *
 * OCI image-spec manifest.md and image-index.md, Docker's schema 2 manifest and
 * manifest list. Docker's schema 1 is refused. Bytes are never rewritten: this
 * reads, and what it doesn't know it leaves alone.
 */
#ifndef REGFS_MANIFEST_H
#define REGFS_MANIFEST_H

#include "fs/base/buf.h"
#include "fs/base/digest.h"
#include "fs/base/limits.h"
#include "fs/image/config.h"

#define MEDIA_OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_EMPTY "application/vnd.oci.empty.v1+json"
#define MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

enum manifest_kind {
	MANIFEST_IMAGE,		/* config and layers: an image, or any other artifact */
	MANIFEST_INDEX,		/* manifests */
};

/* What a descriptor is to the manifest that holds it; the values stand in the database. */
enum manifest_role {
	ROLE_CONFIG = 1,
	ROLE_LAYER = 2,
	ROLE_CHILD = 3,		/* of an index */
	ROLE_SUBJECT = 4,
};

/* image-spec, descriptor.md. Strings are owned by the manifest. */
struct descriptor {
	enum manifest_role role;
	int position;		/* among those of its role, from 0 */
	struct digest digest;
	int64_t size;
	const char *media_type;
	const char *artifact_type;	/* or NULL */
	const char *platform;	/* "linux/arm64/v8", or NULL */
	bool distributable;	/* false: foreign or nondistributable, need not be here */
};

struct manifest {
	enum manifest_kind kind;
	const char *media_type;		/* what to serve it as */
	const char *artifact_type;	/* artifactType, else the config's media type; or NULL */
	struct descriptor *refs;	/* config, layers, children, subject, in this order */
	size_t ref_count;
	struct manifest_memory *memory;	/* the parsed document behind the strings */
};

/*
 * `content_type` is the request's header, parameters and all, or NULL. It and the
 * document's own mediaType must agree; where both are missing the document's
 * shape decides. ERR_MANIFEST_INVALID names the member and the value that is wrong;
 * ERR_MANIFEST_TOO_LARGE beyond LIMIT_MANIFEST. On failure *out needs no release.
 */
int manifest_parse(const void *data, size_t len, const char *content_type, struct manifest *out,
		   struct err *err) MUST_CHECK;
void manifest_release(struct manifest *m);
#define auto_manifest CLEANUP(manifest_release)

const struct descriptor *manifest_config(const struct manifest *m);	/* or NULL */
const struct descriptor *manifest_subject(const struct manifest *m);	/* or NULL */
size_t manifest_count(const struct manifest *m, enum manifest_role role);
const char *manifest_annotation(const struct manifest *m, const char *key);	/* or NULL */
const struct descriptor *manifest_ref(const struct manifest *m, enum manifest_role role, size_t i);

#endif
