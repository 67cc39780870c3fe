/*
 * manifest.c: what a manifest says, out of its bytes.
 *
 * Reading goes from the outside in: the document (JSON, schemaVersion 2), its type
 * (the request's and the document's own, which must agree), its shape (an image has
 * config and layers, an index has manifests; a document that is both could be read
 * as either, CVE-2021-41190, and is refused), its descriptors.
 *
 * A member that is null is taken for one that isn't there: Go writes an empty list so.
 *
 * Invariants of a manifest that was parsed:
 *  1. Every string in it is the document's or one of memory->strings.
 *  2. refs are in the order config, layers, children, subject; position counts from 0
 *     within each role.
 *  3. Every media type is printable ASCII without spaces: fit for a header.
 */
#include "fs/base/base.h"
#include "fs/image/manifest.h"

#include "fs/base/json.h"
#include "fs/image/platform.h"

struct manifest_memory {
	struct json *root;
	char **strings;		/* what isn't in the document as it is: one from the request's
				 * header, one for each platform */
	size_t string_count, string_max;
};

static const struct {
	const char *media_type;
	enum manifest_kind kind;
} known_types[] = {
	{ MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
	{ MEDIA_OCI_INDEX, MANIFEST_INDEX },
	{ MEDIA_DOCKER_MANIFEST, MANIFEST_IMAGE },
	{ MEDIA_DOCKER_LIST, MANIFEST_INDEX },
};

static const char *const schema1_types[] = {
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
};

/* A member, or NULL if it is missing or null. */
static const struct json *member(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return json_is_null(v) ? NULL : v;
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_NO_MEMORY, "cannot read the manifest: out of memory");
}

static bool media_type_ok(const char *s)
{
	size_t len = strnlen(s, LIMIT_MEDIA_TYPE + 1);

	if (len == 0 || len > LIMIT_MEDIA_TYPE)
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	return true;
}

/* Copies a string into the manifest's memory; NULL without memory. */
static const char *keep(struct manifest_memory *memory, const char *s, size_t len)
{
	char *copy = strndup(s, len);

	if (copy)
		memory->strings[memory->string_count++] = copy;
	return copy;
}

/* ---- Descriptors ---- */

/* Where a descriptor stands: "config", "layers[3]". */
struct place {
	const char *list;
	int index;	/* -1: not in a list */
};

/* member: below the descriptor, or "". */
static int bad(struct err *err, const struct place *place, const char *member_name,
	       const char *fmt, ...) PRINTF(4, 5);

static int bad(struct err *err, const struct place *place, const char *member_name,
	       const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], index[16] = "";
	const char *dot = *member_name ? "." : "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (place->index >= 0)
		snprintf(index, sizeof(index), "[%d]", place->index);
	return err_set(err, ERR_MANIFEST_INVALID, "%s%s%s%s: %s", place->list, index, dot,
		       member_name, text);
}

/* A media type that may be missing: NULL then, and where it is "". */
static int read_type(const struct json *object, const char *key, const struct place *place,
		     const char **out, struct err *err)
{
	const struct json *v = member(object, key);
	const char *s = json_text(v);

	*out = NULL;
	if (!v || (s && !*s))
		return 0;
	if (!s)
		return bad(err, place, key, "not a string: write a media type");
	if (!media_type_ok(s))
		return bad(err, place, key,
			   "\"%.80s\" is not a media type: at most %d characters, ASCII, no spaces",
			   s, LIMIT_MEDIA_TYPE);
	*out = s;
	return 0;
}

static int read_digest(const struct json *object, const struct place *place, struct digest *out,
		       struct err *err)
{
	const char *s = json_text(member(object, "digest"));
	struct err why = ERR_INIT;

	if (!s)
		return bad(err, place, "digest", "missing, or not a string");
	if (digest_parse(s, out, &why) < 0)
		return bad(err, place, "digest", "%s", why.text);
	return 0;
}

static int read_size(const struct json *object, const struct place *place, int64_t *out,
		     struct err *err)
{
	if (!json_int(member(object, "size"), out))
		return bad(err, place, "size", "missing, or not an integer");
	if (*out < 0 || *out > LIMIT_BLOB)
		return bad(err, place, "size",
			   "%" PRId64 " is not the size of a blob: 0 to %" PRId64 " bytes", *out,
			   LIMIT_BLOB);
	return 0;
}

/* Layers that a registry need not hold: Docker's foreign ones and OCI's nondistributable. */
static bool is_distributable(const char *media_type)
{
	return !strstr(media_type, "foreign") && !strstr(media_type, "nondistributable");
}

static int read_descriptor(const struct json *v, enum manifest_role role, const struct place *place,
			   struct manifest *m, struct err *err)
{
	struct descriptor *d = &m->refs[m->ref_count];
	char platform[LIMIT_PLATFORM + 1] = "";
	int ret;

	*d = (struct descriptor){ .role = role, .position = MAX(place->index, 0) };
	if (!json_is_object(v))
		return bad(err, place, "", "not an object: write a descriptor");
	ret = read_digest(v, place, &d->digest, err);
	if (ret == 0)
		ret = read_size(v, place, &d->size, err);
	if (ret == 0)
		ret = read_type(v, "mediaType", place, &d->media_type, err);
	if (ret == 0 && !d->media_type)
		ret = bad(err, place, "mediaType", "missing, or empty: write a media type");
	if (ret == 0)
		ret = read_type(v, "artifactType", place, &d->artifact_type, err);
	if (ret < 0)
		return ret;
	if (role == ROLE_CHILD)
		platform_format(member(v, "platform"), platform);
	if (platform[0] && !(d->platform = keep(m->memory, platform, sizeof(platform))))
		return no_memory(err);
	d->distributable = role != ROLE_LAYER || is_distributable(d->media_type);
	m->ref_count++;
	return 0;
}

static int read_list(const struct json *list, const char *name, enum manifest_role role,
		     struct manifest *m, struct err *err)
{
	for (size_t i = 0; i < json_count(list); i++) {
		struct place place = { name, (int)i };
		int ret = read_descriptor(json_at(list, i), role, &place, m, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static int read_refs(const struct json *root, struct manifest *m, struct err *err)
{
	const struct json *config = member(root, "config"), *subject = member(root, "subject");
	bool image = m->kind == MANIFEST_IMAGE;
	const char *name = image ? "layers" : "manifests";
	const struct json *list = member(root, name);
	size_t count = json_count(list);
	int ret = 0;

	if (list && !json_is_array(list))
		return err_set(err, ERR_MANIFEST_INVALID, "%s: not a list of descriptors", name);
	if (count > LIMIT_MANIFEST_REFS)
		return err_set(err, ERR_MANIFEST_INVALID, "%s: has %zu entries, at most %d are taken",
			       name, count, LIMIT_MANIFEST_REFS);
	m->refs = calloc(count + 2, sizeof(*m->refs));
	m->memory->string_max = count + 1;
	m->memory->strings = calloc(m->memory->string_max, sizeof(*m->memory->strings));
	if (!m->refs || !m->memory->strings)
		return no_memory(err);
	if (image)
		ret = read_descriptor(config, ROLE_CONFIG, &(struct place){ "config", -1 }, m, err);
	if (ret == 0)
		ret = read_list(list, name, image ? ROLE_LAYER : ROLE_CHILD, m, err);
	if (ret == 0 && subject)
		ret = read_descriptor(subject, ROLE_SUBJECT, &(struct place){ "subject", -1 }, m,
				      err);
	return ret;
}

/* ---- The type ---- */

static int read_schema(const struct json *root, struct err *err)
{
	int64_t version;

	if (!json_is_object(root))
		return err_set(err, ERR_MANIFEST_INVALID, "the manifest is not a JSON object");
	if (!json_int(member(root, "schemaVersion"), &version))
		return err_set(err, ERR_MANIFEST_INVALID,
			       "schemaVersion: missing, or not an integer: it must be 2");
	if (version == 1)
		return err_set(err, ERR_MANIFEST_INVALID,
			       "schemaVersion: 1 is Docker's old format, which is not taken: push "
			       "with a client that writes schema 2 or OCI");
	if (version != 2)
		return err_set(err, ERR_MANIFEST_INVALID,
			       "schemaVersion: %" PRId64 " is not known: it must be 2", version);
	return 0;
}

/* Cuts the parameters and the spaces off a Content-Type; *len is 0 where there is none. */
static const char *strip_parameters(const char *content_type, size_t *len)
{
	const char *s = content_type ? content_type : "";

	s += strspn(s, " \t");
	*len = strcspn(s, ";");
	while (*len && (s[*len - 1] == ' ' || s[*len - 1] == '\t'))
		(*len)--;
	return s;
}

/* Leaves the type in m->media_type: the document's, else the request's, else NULL. */
static int read_media_type(const struct json *root, const char *content_type, struct manifest *m,
			   char header[static LIMIT_MEDIA_TYPE + 1], struct err *err)
{
	size_t len;
	const char *s = strip_parameters(content_type, &len);
	int ret = read_type(root, "mediaType", &(struct place){ "manifest", -1 }, &m->media_type,
			    err);

	if (ret < 0 || !len)
		return ret;
	if (len <= LIMIT_MEDIA_TYPE)
		memcpy(header, s, len);
	if (!media_type_ok(header))
		return err_set(err, ERR_MANIFEST_INVALID,
			       "Content-Type: \"%.80s\" is not a media type: at most %d characters, "
			       "ASCII, no spaces",
			       s, LIMIT_MEDIA_TYPE);
	if (m->media_type && !streq(m->media_type, header))
		return err_set(err, ERR_MANIFEST_INVALID,
			       "Content-Type: \"%s\" is not the manifest's mediaType \"%s\": make them the "
			       "same",
			       header, m->media_type);
	if (!m->media_type)
		m->media_type = header;
	return 0;
}

static int refuse_schema1(const char *media_type, struct err *err)
{
	for (size_t i = 0; media_type && i < ARRAY_SIZE(schema1_types); i++)
		if (streq(media_type, schema1_types[i]))
			return err_set(err, ERR_MANIFEST_INVALID,
				       "mediaType: \"%s\" is Docker's old format, which is not taken: push "
				       "with a client that writes schema 2 or OCI",
				       media_type);
	return 0;
}

/* The kind is the shape's; a type that we know must agree with it. */
static int read_kind(const struct json *root, struct manifest *m, struct err *err)
{
	bool image = member(root, "config") || member(root, "layers");
	bool index = json_get(root, "manifests");
	const char *type = m->media_type ? m->media_type : "unknown";

	/* An image whose writer has a field "manifests" that is null is no index. */
	if (image && !member(root, "manifests"))
		index = false;
	if (image && index)
		return err_set(err, ERR_MANIFEST_INVALID,
			       "manifests: stands beside config or layers: a manifest is an image or an "
			       "index, not both");
	if (!image && !index)
		return err_set(err, ERR_MANIFEST_INVALID,
			       "config, manifests: one of them is needed: a manifest of type \"%s\" is "
			       "taken if it has the shape of an OCI image manifest or index",
			       type);
	m->kind = index ? MANIFEST_INDEX : MANIFEST_IMAGE;
	for (size_t i = 0; i < ARRAY_SIZE(known_types); i++)
		if (streq(type, known_types[i].media_type) && m->kind != known_types[i].kind)
			return err_set(err, ERR_MANIFEST_INVALID,
				       "mediaType: \"%s\" has %s, this manifest has %s", type,
				       index ? "config and layers" : "manifests",
				       index ? "manifests" : "config and layers");
	if (image && !json_is_object(member(root, "config")))
		return err_set(err, ERR_MANIFEST_INVALID,
			       "config: missing, or not an object: write a descriptor");
	return 0;
}

static int read_manifest(const struct json *root, const char *content_type, struct manifest *m,
			 struct err *err)
{
	char header[LIMIT_MEDIA_TYPE + 1] = "";
	int ret = read_schema(root, err);

	if (ret == 0)
		ret = read_media_type(root, content_type, m, header, err);
	if (ret == 0)
		ret = refuse_schema1(m->media_type, err);
	if (ret == 0)
		ret = read_kind(root, m, err);
	if (ret == 0)
		ret = read_type(root, "artifactType", &(struct place){ "manifest", -1 },
				&m->artifact_type, err);
	if (ret == 0)
		ret = read_refs(root, m, err);
	if (ret < 0)
		return ret;
	if (!m->media_type)
		m->media_type = m->kind == MANIFEST_INDEX ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
	else if (m->media_type == header &&
		 !(m->media_type = keep(m->memory, header, sizeof(header))))
		return no_memory(err);
	if (!m->artifact_type && m->kind == MANIFEST_IMAGE)
		m->artifact_type = m->refs[0].media_type;
	return 0;
}

int manifest_parse(const void *data, size_t len, const char *content_type, struct manifest *out,
		   struct err *err)
{
	auto_manifest struct manifest m = { 0 };
	struct err why = ERR_INIT;
	int ret;

	if (len > LIMIT_MANIFEST)
		return err_set(err, ERR_MANIFEST_TOO_LARGE,
			       "the manifest has %zu bytes, at most %d are taken", len,
			       LIMIT_MANIFEST);
	m.memory = calloc(1, sizeof(*m.memory));
	if (!m.memory)
		return no_memory(err);
	ret = json_parse(data, len, &m.memory->root, &why);
	if (ret == -ENOMEM)
		return no_memory(err);
	if (ret < 0)
		return err_set(err, ERR_MANIFEST_INVALID, "the manifest is not JSON we can take: %s",
			       why.text);
	ret = read_manifest(m.memory->root, content_type, &m, err);
	if (ret < 0)
		return ret;
	*out = m;
	m = (struct manifest){ 0 };
	return 0;
}

void manifest_release(struct manifest *m)
{
	if (m->memory) {
		for (size_t i = 0; i < m->memory->string_count; i++)
			free(m->memory->strings[i]);
		free(m->memory->strings);
		json_free(m->memory->root);
	}
	free(m->memory);
	free(m->refs);
	*m = (struct manifest){ 0 };
}

/* ---- What it holds ---- */

const char *manifest_annotation(const struct manifest *m, const char *key)
{
	return m->memory ? json_text(json_get(json_get(m->memory->root, "annotations"), key)) : NULL;
}

const struct descriptor *manifest_ref(const struct manifest *m, enum manifest_role role, size_t i)
{
	size_t first = 0;

	while (first < m->ref_count && m->refs[first].role != role)
		first++;
	if (i >= m->ref_count - first || m->refs[first + i].role != role)
		return NULL;
	return &m->refs[first + i];
}

const struct descriptor *manifest_config(const struct manifest *m)
{
	return manifest_ref(m, ROLE_CONFIG, 0);
}

const struct descriptor *manifest_subject(const struct manifest *m)
{
	return manifest_ref(m, ROLE_SUBJECT, 0);
}

size_t manifest_count(const struct manifest *m, enum manifest_role role)
{
	size_t n = 0;

	for (size_t i = 0; i < m->ref_count; i++)
		n += m->refs[i].role == role;
	return n;
}
