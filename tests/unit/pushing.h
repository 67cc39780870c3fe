/*
 * pushing.h: what tests of the tree need to have something in it: blobs and images.
 */
#ifndef REGFS_TEST_PUSHING_H
#define REGFS_TEST_PUSHING_H

#include "fs/tree/tree.h"

/* One upload from its beginning to its commit, written in two pieces. */
static inline int push_blob(struct tree *tree, const struct cred *cred, const char *repo,
			    const void *data, size_t len, enum digest_algorithm algorithm,
			    struct digest *out, struct err *err)
{
	auto_tree_upload struct tree_upload *u = NULL;
	char id[TREE_UPLOAD_ID_MAX + 1];
	int r = digest_of(algorithm, data, len, out, err);

	if (!r)
		r = tree_upload_begin(tree, cred, repo, algorithm, id, err);
	if (!r)
		r = tree_upload_open(tree, cred, repo, id, &u, err);
	if (!r)
		r = tree_upload_write(u, data, len / 2, err);
	if (!r)
		r = tree_upload_write(u, (const char *)data + len / 2, len - len / 2, err);
	return r ? r : tree_upload_commit(u, out, err);
}

static inline int push_text(struct tree *tree, const struct cred *cred, const char *repo,
			    const char *text, struct digest *out, struct err *err)
{
	return push_blob(tree, cred, repo, text, strlen(text), DIGEST_SHA256, out, err);
}

static inline void add_descriptor_json(struct buf *out, const char *media_type,
				       const struct digest *d, size_t size, const char *platform)
{
	char text[DIGEST_TEXT_MAX + 1];

	buf_addf(out, "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu", media_type,
		 digest_format(d, text), size);
	if (platform)
		buf_addf(out, ",\"platform\":%s", platform);
	buf_adds(out, "}");
}

#define LAYER_MEDIA "application/vnd.oci.image.layer.v1.tar"

/* The manifest of an image whose config and layers have these bytes. */
static inline int image_json(const char *config, const char *const *layers, size_t n,
			     struct buf *out)
{
	struct digest d;
	int r = digest_of(DIGEST_SHA256, config, strlen(config), &d, NULL);

	buf_reset(out);
	buf_adds(out, "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_MANIFEST "\",\"config\":");
	add_descriptor_json(out, MEDIA_OCI_CONFIG, &d, strlen(config), NULL);
	buf_adds(out, ",\"layers\":[");
	for (size_t i = 0; !r && i < n; i++) {
		r = digest_of(DIGEST_SHA256, layers[i], strlen(layers[i]), &d, NULL);
		if (i)
			buf_addc(out, ',');
		add_descriptor_json(out, LAYER_MEDIA, &d, strlen(layers[i]), NULL);
	}
	buf_adds(out, "]}");
	return r ? r : buf_error(out);
}

/* Config, layers, manifest; `reference` is a tag. */
static inline int push_layers(struct tree *tree, const struct cred *cred, const char *repo,
			      const char *reference, const char *config, const char *const *layers,
			      size_t n, struct digest *out, struct err *err)
{
	auto_buf struct buf json = BUF_INIT;
	struct tree_pushed pushed;
	struct digest d;
	int r = push_text(tree, cred, repo, config, &d, err);

	for (size_t i = 0; !r && i < n; i++)
		r = push_text(tree, cred, repo, layers[i], &d, err);
	if (!r)
		r = image_json(config, layers, n, &json);
	if (!r)
		r = tree_image_push(tree, cred, repo, reference, NULL, json.data, json.len, &pushed, err);
	if (!r)
		*out = pushed.digest;
	return r;
}

/* An image that differs from others by `salt`. */
static inline int push_simple(struct tree *tree, const struct cred *cred, const char *repo,
			      const char *tag, const char *salt, struct digest *out, struct err *err)
{
	char config[256], layer[128];
	const char *const layers[] = { layer };

	snprintf(config, sizeof(config),
		 "{\"os\":\"linux\",\"architecture\":\"amd64\",\"x\":\"%s\",\"rootfs\":{\"type\":"
		 "\"layers\",\"diff_ids\":[]}}",
		 salt);
	snprintf(layer, sizeof(layer), "layer of %s", salt);
	return push_layers(tree, cred, repo, tag, config, layers, 1, out, err);
}

#endif
