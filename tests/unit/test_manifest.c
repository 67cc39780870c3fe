/*
 * test_manifest.c: manifests, indexes and configs.
 *
 * Documents are written with ' for ", and put right before they are read.
 */
#include "fs/base/base.h"
#include "fs/image/manifest.h"
#include "tests/unit/tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define A "sha256:" HEX
#define B "sha512:" HEX HEX
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"

#define DESCRIPTOR(type, digest, size) \
	"{'mediaType':'" type "','digest':'" digest "','size':" size "}"
#define CONFIG DESCRIPTOR(MEDIA_OCI_CONFIG, A, "10")
#define LAYER DESCRIPTOR(LAYER_TYPE, A, "20")
#define CHILD DESCRIPTOR(MEDIA_OCI_MANIFEST, A, "30")
#define IMAGE(members) "{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER "]" members "}"
#define INDEX(members) "{'schemaVersion':2,'manifests':[" CHILD "]" members "}"
#define TYPE(type) ",'mediaType':'" type "'"

static void quotes(struct buf *b, const char *text)
{
	buf_reset(b);
	buf_adds(b, text);
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i] == '\'')
			b->data[i] = '"';
}

static int parse(const char *text, const char *content_type, struct manifest *m, struct err *err)
{
	auto_buf struct buf b = BUF_INIT;

	quotes(&b, text);
	*err = (struct err)ERR_INIT;
	*m = (struct manifest){ 0 };
	return manifest_parse(b.data, b.len, content_type, m, err);
}

static void test_types(void)
{
	static const struct {
		const char *text, *content_type, *media_type;
		enum manifest_kind kind;
	} rows[] = {
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), MEDIA_OCI_MANIFEST, MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ IMAGE(TYPE(MEDIA_DOCKER_MANIFEST)), MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_MANIFEST,
		  MANIFEST_IMAGE },
		{ INDEX(TYPE(MEDIA_OCI_INDEX)), MEDIA_OCI_INDEX, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ INDEX(TYPE(MEDIA_DOCKER_LIST)), MEDIA_DOCKER_LIST, MEDIA_DOCKER_LIST, MANIFEST_INDEX },
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), NULL, MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), "", MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), MEDIA_OCI_MANIFEST "; charset=utf-8",
		  MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), "  " MEDIA_OCI_MANIFEST " ;a=b;c", MEDIA_OCI_MANIFEST,
		  MANIFEST_IMAGE },
		{ IMAGE(""), MEDIA_DOCKER_MANIFEST "; a=b", MEDIA_DOCKER_MANIFEST, MANIFEST_IMAGE },
		{ INDEX(""), MEDIA_OCI_INDEX, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ IMAGE(""), NULL, MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ INDEX(""), NULL, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ IMAGE(TYPE("application/x.y+json")), "application/x.y+json", "application/x.y+json",
		  MANIFEST_IMAGE },
		{ INDEX(""), "application/x.y+json", "application/x.y+json", MANIFEST_INDEX },
		{ IMAGE(",'manifests':null,'subject':null"), NULL, MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ INDEX(",'config':null,'layers':null"), NULL, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ "{'schemaVersion':2,'manifests':null}", NULL, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ "{'schemaVersion':2,'manifests':[]}", NULL, MEDIA_OCI_INDEX, MANIFEST_INDEX },
		{ "{'schemaVersion':2,'config':" CONFIG "}", NULL, MEDIA_OCI_MANIFEST, MANIFEST_IMAGE },
		{ "{'schemaVersion':2,'config':" CONFIG ",'layers':null}", NULL, MEDIA_OCI_MANIFEST,
		  MANIFEST_IMAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_manifest struct manifest m;
		struct err err;

		is_int(parse(rows[i].text, rows[i].content_type, &m, &err), 0, "type %zu: %s", i,
		       err.text);
		is_str(m.media_type, rows[i].media_type, "is served as");
		is_int((int)m.kind, (int)rows[i].kind, "and of the right kind");
	}
}

/* Every error names the member, and the value if it has one. */
static void test_refused(void)
{
	static const struct {
		const char *text, *content_type, *names;
	} rows[] = {
		{ "", NULL, "JSON" },
		{ "{", NULL, "JSON" },
		{ "[]", NULL, "object" },
		{ "'a'", NULL, "object" },
		{ "null", NULL, "object" },
		{ IMAGE(",'config':{}"), NULL, "config" },
		{ IMAGE(",'x':'\\u0000'"), NULL, "u0000" },
		{ "{}", NULL, "schemaVersion" },
		{ "{'schemaVersion':'2'}", NULL, "schemaVersion" },
		{ "{'schemaVersion':3}", NULL, "schemaVersion: 3" },
		{ "{'schemaVersion':1,'fsLayers':[]}", NULL, "schema 2 or OCI" },
		{ IMAGE(""), "application/vnd.docker.distribution.manifest.v1+json", "schema 2 or OCI" },
		{ IMAGE(""), "application/vnd.docker.distribution.manifest.v1+prettyjws",
		  "schema 2 or OCI" },
		{ "{'schemaVersion':2}", NULL, "manifests" },
		{ "{'schemaVersion':2,'layers':[]}", NULL, "config" },
		{ "{'schemaVersion':2,'config':[]}", NULL, "config" },
		{ IMAGE(",'manifests':[]"), NULL, "manifests" },
		{ INDEX(",'layers':[]"), NULL, "manifests" },
		{ INDEX(",'config':{}"), NULL, "manifests" },
		{ IMAGE(TYPE(MEDIA_OCI_MANIFEST)), MEDIA_DOCKER_MANIFEST, MEDIA_DOCKER_MANIFEST },
		{ IMAGE(TYPE(MEDIA_OCI_INDEX)), NULL, MEDIA_OCI_INDEX },
		{ INDEX(""), MEDIA_OCI_MANIFEST, MEDIA_OCI_MANIFEST },
		{ IMAGE(",'mediaType':5"), NULL, "mediaType" },
		{ IMAGE(TYPE("a b")), NULL, "a b" },
		{ IMAGE(TYPE("a\\r\\nX-Evil: 1")), NULL, "mediaType" },
		{ IMAGE(""), "a b", "Content-Type: \"a b\"" },
		{ IMAGE(",'artifactType':7"), NULL, "artifactType" },
		{ IMAGE(",'artifactType':'a b'"), NULL, "artifactType: \"a b\"" },
		{ IMAGE(",'subject':'x'"), NULL, "subject" },
		{ IMAGE(",'subject':{}"), NULL, "subject.digest" },
		{ "{'schemaVersion':2,'config':" CONFIG ",'layers':{}}", NULL, "layers" },
		{ "{'schemaVersion':2,'manifests':{}}", NULL, "manifests" },
		{ "{'schemaVersion':2,'manifests':[null]}", NULL, "manifests[0]" },
		{ "{'schemaVersion':2,'config':{}}", NULL, "config.digest" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_manifest struct manifest m;
		struct err err;

		is_int(parse(rows[i].text, rows[i].content_type, &m, &err), -EINVAL, "refused %zu", i);
		ok(err.reason == ERR_MANIFEST_INVALID && strstr(err.text, rows[i].names), "%s",
		   err.text);
	}
}

/* The second layer's descriptor, as it stands in the document. */
static int parse_layer(const char *descriptor, struct manifest *m, struct err *err)
{
	auto_buf struct buf b = BUF_INIT;

	buf_addf(&b, "{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER ",%s]}", descriptor);
	return parse(b.data, NULL, m, err);
}

static void test_descriptors(void)
{
	static const struct {
		const char *text, *names;	/* names NULL: taken */
	} rows[] = {
		{ DESCRIPTOR("a/b", A, "0"), NULL },
		{ DESCRIPTOR("a/b", B, "5"), NULL },
		{ DESCRIPTOR("a/b", A, "1099511627776"), NULL },
		{ DESCRIPTOR("a/b", A, "1099511627777"), "layers[1].size: 1099511627777" },
		{ DESCRIPTOR("a/b", A, "-1"), "layers[1].size: -1" },
		{ DESCRIPTOR("a/b", A, "1.0"), "layers[1].size" },
		{ DESCRIPTOR("a/b", A, "'1'"), "layers[1].size" },
		{ DESCRIPTOR("a/b", A, "null"), "layers[1].size" },
		{ DESCRIPTOR("a/b", "md5:d41d8cd98f00b204e9800998ecf8427e", "1"),
		  "layers[1].digest: \"md5:d41d8cd98f00b204e9800998ecf8427e\"" },
		{ DESCRIPTOR("a/b", "sha256:abc", "1"), "layers[1].digest: \"sha256:abc\"" },
		{ DESCRIPTOR("", A, "1"), "layers[1].mediaType" },
		{ DESCRIPTOR("caf\xc3\xa9", A, "1"), "layers[1].mediaType" },
		{ "{'digest':'" A "','size':1}", "layers[1].mediaType" },
		{ "{'mediaType':'a/b','size':1}", "layers[1].digest" },
		{ "{'mediaType':'a/b','size':1,'digest':5}", "layers[1].digest" },
		{ "{'mediaType':'a/b','digest':'" A "'}", "layers[1].size" },
		{ "{'mediaType':'a/b','digest':'" A "','size':1,'artifactType':[]}",
		  "layers[1].artifactType" },
		{ "null", "layers[1]" },
		{ "[]", "layers[1]" },
		{ "7", "layers[1]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_manifest struct manifest m;
		struct err err;
		int ret = parse_layer(rows[i].text, &m, &err);

		is_int(ret, rows[i].names ? -EINVAL : 0, "descriptor %zu", i);
		if (rows[i].names)
			ok(strstr(err.text, rows[i].names), "%s", err.text);
	}
}

static void test_content(void)
{
	static const char text[] =
		"{'schemaVersion':2,'config':" CONFIG ",'layers':[" LAYER ","
		DESCRIPTOR("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", A, "1") ","
		DESCRIPTOR("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", B, "2")
		"],'subject':{'mediaType':'s/t','digest':'" B "','size':4,'artifactType':'u/v'}}";
	auto_manifest struct manifest m, artifact, empty, index;
	const struct descriptor *d;
	char digest[DIGEST_TEXT_MAX + 1];
	struct err err;

	is_int(parse(text, NULL, &m, &err), 0, "an image: %s", err.text);
	is_int((int64_t)m.ref_count, 5, "config, three layers, subject");
	is_int((int64_t)manifest_count(&m, ROLE_LAYER), 3, "three layers");
	is_int((int64_t)manifest_count(&m, ROLE_CHILD), 0, "no children");
	d = manifest_config(&m);
	ok(d == &m.refs[0] && d->size == 10 && d->position == 0 && d->distributable, "the config");
	d = manifest_ref(&m, ROLE_LAYER, 0);
	ok(d == &m.refs[1] && d->size == 20 && d->distributable, "the first layer");
	is_str(d->media_type, LAYER_TYPE, "its type");
	is_str(digest_format(&d->digest, digest), A, "its digest");
	ok(!manifest_ref(&m, ROLE_LAYER, 1)->distributable, "a foreign layer");
	ok(!manifest_ref(&m, ROLE_LAYER, 2)->distributable, "a nondistributable one");
	is_int(manifest_ref(&m, ROLE_LAYER, 2)->position, 2, "its position");
	ok(!manifest_ref(&m, ROLE_LAYER, 3) && !manifest_ref(&m, ROLE_LAYER, SIZE_MAX) &&
		   !manifest_ref(&m, ROLE_CHILD, 0) && !manifest_ref(&m, ROLE_CONFIG, 1),
	   "there are no others");
	d = manifest_subject(&m);
	ok(d && d->role == ROLE_SUBJECT && d->size == 4, "the subject");
	is_str(d->artifact_type, "u/v", "its artifact type");
	is_str(m.artifact_type, MEDIA_OCI_CONFIG, "the image's artifact type is its config's type");

	is_int(parse(IMAGE(",'artifactType':'c/d'"), NULL, &artifact, &err), 0, "an artifact");
	is_str(artifact.artifact_type, "c/d", "says its type");
	is_int(parse(IMAGE(",'artifactType':''"), NULL, &empty, &err), 0, "an empty artifactType");
	is_str(empty.artifact_type, MEDIA_OCI_CONFIG, "says nothing");
	is_int(parse(INDEX(""), NULL, &index, &err), 0, "an index");
	is_str(index.artifact_type, NULL, "has no artifact type");
	ok(!manifest_config(&index) && !manifest_subject(&index), "no config, no subject");
	manifest_release(&index);
	manifest_release(&index);
	is_int((int64_t)index.ref_count, 0, "released twice: empty");
}

static void test_platforms(void)
{
	static const struct {
		const char *json, *platform;
	} rows[] = {
		{ "{'os':'linux','architecture':'amd64'}", "linux/amd64" },
		{ "{'os':'linux','architecture':'arm64','variant':'v8'}", "linux/arm64/v8" },
		{ "{'os':'linux','architecture':'arm64','variant':''}", "linux/arm64" },
		{ "{'os':'windows','architecture':'amd64','os.version':'10.0'}", "windows/amd64" },
		{ "{'os':'unknown','architecture':'unknown'}", "unknown/unknown" },
		{ "{'os':'../..','architecture':'a b\\n\\u00e9'}", ".._../a_b___" },
		{ "{'os':'linux'}", NULL },
		{ "{'os':'','architecture':'amd64'}", NULL },
		{ "{'os':1,'architecture':2}", NULL },
		{ "{}", NULL },
		{ "[]", NULL },
		{ "null", NULL },
		{ "'linux/amd64'", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_manifest struct manifest m;
		auto_buf struct buf b = BUF_INIT;
		struct err err;

		buf_addf(&b,
			 "{'schemaVersion':2,'manifests':[{'mediaType':'a/b','digest':'" A
			 "','size':1,'platform':%s}]}",
			 rows[i].json);
		is_int(parse(b.data, NULL, &m, &err), 0, "platform %zu", i);
		is_str(m.refs[0].platform, rows[i].platform, "%s", rows[i].json);
	}
}

/* n children, and a subject. */
static int parse_children(int n)
{
	auto_buf struct buf b = BUF_INIT;
	auto_manifest struct manifest m;
	struct err err;
	int ret;

	buf_adds(&b, "{'schemaVersion':2,'subject':" LAYER ",'manifests':[");
	for (int i = 0; i < n; i++)
		buf_addf(&b, "%s{'mediaType':'a','digest':'" A "','size':1,'platform':"
			     "{'os':'linux','architecture':'a%d'}}", i ? "," : "", i);
	buf_adds(&b, "]}");
	ret = parse(b.data, NULL, &m, &err);
	if (ret == 0 && manifest_count(&m, ROLE_CHILD) != (size_t)n)
		return 1;
	return ret;
}

static void fill(struct buf *b, size_t len, char c)
{
	buf_reset(b);
	while (b->len < len)
		buf_addc(b, c);
}

static int parse_of_size(size_t size)
{
	auto_buf struct buf b = BUF_INIT;
	auto_manifest struct manifest m = { 0 };
	struct err err = ERR_INIT;
	int ret;

	quotes(&b, IMAGE(""));
	buf_reserve(&b, size);
	while (b.len < size)
		buf_addc(&b, ' ');
	ret = manifest_parse(b.data, b.len, NULL, &m, &err);
	if (ret < 0 && err.reason != ERR_MANIFEST_TOO_LARGE)
		return 1;
	return ret;
}

static int parse_type_of(size_t len)
{
	auto_buf struct buf b = BUF_INIT, type = BUF_INIT;
	auto_manifest struct manifest m, by_header;
	struct err err;
	int ret, header;

	fill(&type, len, 'x');
	buf_addf(&b, "{'mediaType':'%s','digest':'" A "','size':1}", type.data);
	ret = parse_layer(b.data, &m, &err);
	header = parse(IMAGE(""), type.data, &by_header, &err);
	return ret == header ? ret : 1;
}

static void test_limits(void)
{
	auto_buf struct buf b = BUF_INIT, part = BUF_INIT;
	struct image_config config;

	is_int(parse_of_size(LIMIT_MANIFEST), 0, "size: at the limit");
	is_int(parse_of_size(LIMIT_MANIFEST + 1), -EFBIG, "one beyond");
	is_int(parse_children(LIMIT_MANIFEST_REFS), 0, "children: at the limit");
	is_int(parse_children(LIMIT_MANIFEST_REFS + 1), -EINVAL, "one beyond");
	is_int(parse_type_of(LIMIT_MEDIA_TYPE), 0, "media type: at the limit");
	is_int(parse_type_of(LIMIT_MEDIA_TYPE + 1), -EINVAL, "one beyond");

	/* "linux/" and so many x, then "/v" if there is room for both. */
	for (size_t len = LIMIT_PLATFORM - 9; len < LIMIT_PLATFORM; len++) {
		size_t all = len + (len <= LIMIT_PLATFORM - 8 ? 8 : 6);

		fill(&part, len, 'x');
		buf_reset(&b);
		buf_addf(&b, "{\"os\":\"linux\",\"architecture\":\"%s\",\"variant\":\"v\"}", part.data);
		image_config_parse(b.data, b.len, &config);
		is_int((int64_t)strlen(config.platform), (int64_t)MIN(all, (size_t)LIMIT_PLATFORM),
		       "platform with %zu x", len);
	}
	quotes(&b, "{'os':'linux','architecture':'amd64'}");
	while (b.len < LIMIT_CONFIG)
		buf_addc(&b, ' ');
	image_config_parse(b.data, b.len, &config);
	is_str(config.platform, "linux/amd64", "config: at the limit");
	buf_addc(&b, ' ');
	image_config_parse(b.data, b.len, &config);
	is_str(config.platform, "", "one beyond: not looked into");
}

static void test_config(void)
{
	static const struct {
		const char *text, *platform;
		int64_t created;
	} rows[] = {
		{ "{'os':'linux','architecture':'arm','variant':'v7','created':'1970-01-01T00:00:01Z'}",
		  "linux/arm/v7", 1000000000 },
		{ "{'os':'linux','architecture':'amd64','created':'0001-01-01T00:00:00Z'}",
		  "linux/amd64", 0 },
		{ "{'created':5}", "", 0 },
		{ "{}", "", 0 },
		{ "[]", "", 0 },
		{ "\x1f\x8b", "", 0 },
		{ "", "", 0 },
	};
	struct image_config out;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT;

		quotes(&b, rows[i].text);
		memset(&out, 0x5a, sizeof(out));
		image_config_parse(b.data, b.len, &out);
		is_str(out.platform, rows[i].platform, "config %zu: platform", i);
		is_int(out.created, rows[i].created, "config %zu: created", i);
	}
	image_config_parse(NULL, 0, &out);
	is_str(out.platform, "", "no config");
	ok(media_type_is_image_config(MEDIA_OCI_CONFIG) &&
		   media_type_is_image_config(MEDIA_DOCKER_CONFIG) &&
		   !media_type_is_image_config(MEDIA_OCI_EMPTY),
	   "an image's config by its type");
}

static void test_history(void)
{
	static const struct {
		const char *config, *want;
	} rows[] = {
		{ "{'history':[{'created_by':'ADD x'},{'created_by':'ENV','empty_layer':true},"
		  "{'created_by':'RUN a\\n\\tb\\u001b[31m\\u007f\\u0085é'}]}",
		  "01\t20\tADD x\n02\t30\tRUN a  b [31m  é\n" },
		{ "{'history':[{'created_by':'A'},{'empty_layer':false}]}", "01\t20\tA\n02\t30\t\n" },
		{ "{'history':[{'created_by':5},{}]}", "01\t20\t\n02\t30\t\n" },
		{ "{'history':[{'created_by':'only one'}]}", "01\t20\t\n02\t30\t\n" },
		{ "{'history':[{},{'created_by':'b'},{'created_by':'c'}]}", "01\t20\t\n02\t30\t\n" },
		{ "{'history':{'a':1}}", "01\t20\t\n02\t30\t\n" },
		{ "{}", "01\t20\t\n02\t30\t\n" },
		{ "not JSON", "01\t20\t\n02\t30\t\n" },
		{ NULL, "01\t20\t\n02\t30\t\n" },
	};
	auto_manifest struct manifest m, index;
	auto_buf struct buf out = BUF_INIT;
	struct err err;

	is_int(parse_layer(DESCRIPTOR("a/b", A, "30"), &m, &err), 0, "an image of two layers");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buf struct buf b = BUF_INIT;

		if (rows[i].config)
			quotes(&b, rows[i].config);
		buf_reset(&out);
		is_int(image_history(&m, rows[i].config ? b.data : NULL, b.len, &out, NULL), 0,
		       "history %zu", i);
		is_str(out.data, rows[i].want, "is");
	}
	is_int(image_layer_digits(1), 2, "one layer is 01");
	is_int(image_layer_digits(99), 2, "99 layers: two digits");
	is_int(image_layer_digits(100), 3, "100 layers: three, so that names sort");
	is_int(image_layer_digits(LIMIT_MANIFEST_REFS), 4, "as many as there can be");
	buf_reset(&out);
	is_int(parse(INDEX(""), NULL, &index, &err), 0, "an index");
	ok(image_history(&index, NULL, 0, &out, NULL) == 0 && !out.len, "has none");
}

static void test_diff_id(void)
{
	auto_buf struct buf b = BUF_INIT;
	struct digest d;
	char digest[DIGEST_TEXT_MAX + 1];

	quotes(&b, "{'rootfs':{'type':'layers','diff_ids':['" A "','x',5,'" B "']}}");
	ok(image_diff_id(b.data, b.len, 0, &d), "a diff ID");
	is_str(digest_format(&d, digest), A, "is the config's");
	ok(!image_diff_id(b.data, b.len, 1, &d) && !image_diff_id(b.data, b.len, 2, &d),
	   "what is no digest");
	ok(image_diff_id(b.data, b.len, 3, &d), "the last");
	ok(!image_diff_id(b.data, b.len, 4, &d) && !image_diff_id(NULL, 0, 0, &d), "there is none");
}

int main(void)
{
	test_types();
	test_refused();
	test_descriptors();
	test_content();
	test_platforms();
	test_limits();
	test_config();
	test_history();
	test_diff_id();
	return done_testing();
}
