/*
 * node_xattr.c: the extended attributes of nodes, as a table.
 */
#include "fs/base/base.h"
#include "fs/tree/inside.h"
#include "fs/tree/kind.h"

static int digest_attr(struct buf *out, const struct digest *d)
{
	char text[DIGEST_TEXT_MAX + 1];

	if (d->algorithm != DIGEST_NONE)
		buf_adds(out, digest_format(d, text));
	return buf_error(out);
}

static int attr_digest(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return digest_attr(out, n->kind == KIND_IMAGE ? &n->image.digest : &n->blob.digest);
}

static int attr_id(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	return digest_attr(out, &n->image.config);
}

static int attr_media_type(const struct look *l, const struct node *n, struct buf *out)
{
	int r = 0;

	if (n->kind == KIND_IMAGE)
		buf_adds(out, n->image.media_type);
	else
		r = layer_media_type(l, n, out);
	return r;
}

static int attr_artifact_type(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	/* An ordinary image's is its config's media type, which says nothing. */
	if (!media_type_is_image_config(n->image.artifact_type))
		buf_adds(out, n->image.artifact_type);
	return 0;
}

static int attr_platform(const struct look *l, const struct node *n, struct buf *out)
{
	(void)l;
	buf_adds(out, n->image.platform);
	return 0;
}

/* An attribute whose value is empty isn't there. */
static const struct {
	enum node_kind kind;
	const char *name;
	int (*value)(const struct look *l, const struct node *n, struct buf *out);
} attributes[] = {
	{ KIND_IMAGE, "user.regfs.digest", attr_digest },
	{ KIND_IMAGE, "user.regfs.id", attr_id },
	{ KIND_IMAGE, "user.regfs.media-type", attr_media_type },
	{ KIND_IMAGE, "user.regfs.artifact-type", attr_artifact_type },
	{ KIND_IMAGE, "user.regfs.platform", attr_platform },
	{ KIND_LAYER, "user.regfs.digest", attr_digest },
	{ KIND_LAYER, "user.regfs.media-type", attr_media_type },
	{ KIND_BLOB, "user.regfs.digest", attr_digest },
};

int node_getxattr(struct tree *tree, const struct cred *cred, uint64_t number, const char *name,
		  struct buf *out, struct err *err)
{
	auto_session struct session s = { 0 };
	struct node n;
	int r = node_enter(tree, cred, number, err);

	if (r)
		return r < 0 ? r : inside_getxattr(tree, number, name, out, err);
	r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, number, &n);
	for (size_t i = 0; !r && i < ARRAY_SIZE(attributes); i++) {
		if (attributes[i].kind != n.kind || !streq(attributes[i].name, name))
			continue;
		r = attributes[i].value(&s.look, &n, out);
		if (!r)
			r = no_memory(&s.look, out);
		if (!r && out->len)
			return 0;
	}
	return r ? r : err_set(err, ERR_NO_ATTRIBUTE, "there is no attribute %.255s", name);
}

int node_listxattr(struct tree *tree, const struct cred *cred, uint64_t number, struct buf *out,
		   struct err *err)
{
	auto_session struct session s = { 0 };
	auto_buf struct buf value = BUF_INIT;
	struct node n;
	int r = node_enter(tree, cred, number, err);

	if (r)
		return r < 0 ? r : inside_listxattr(tree, number, out, err);
	r = session_begin(&s, tree, cred, err);
	if (!r)
		r = load_seen(&s.look, number, &n);
	for (size_t i = 0; !r && i < ARRAY_SIZE(attributes); i++) {
		if (attributes[i].kind != n.kind)
			continue;
		buf_reset(&value);
		r = attributes[i].value(&s.look, &n, &value);
		if (!r)
			r = no_memory(&s.look, &value);
		if (!r && value.len)
			buf_add(out, attributes[i].name, strlen(attributes[i].name) + 1);
	}
	return r ? r : no_memory(&s.look, out);
}
