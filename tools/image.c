/*
 * image.c: regfs image list, show, layers, used-by, rm.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

/* What follows the name in a REF: its digest, else its tag, else "latest". `text` holds a digest. */
static const char *reference_of(const struct ref *ref, char text[static DIGEST_TEXT_MAX + 1])
{
	if (ref->digest.algorithm != DIGEST_NONE)
		return digest_format(&ref->digest, text);
	return *ref->tag ? ref->tag : "latest";
}

static int open_ref(const struct store_options *o, const char *text, struct ref *ref,
		    struct session **session, struct err *err)
{
	int r = ref_parse(text, ref, err);

	return r ? r : session_open(o, session, err);
}

static void image_object(struct buf *b, const struct tree_image_info *image)
{
	json_add_digest(b, "digest", &image->digest);
	json_add_digest(b, "image-id", &image->config);
	json_add_text(b, "media-type", image->media_type);
	if (*image->artifact_type && !media_type_is_image_config(image->artifact_type))
		json_add_text(b, "artifact-type", image->artifact_type);
	json_add_text(b, image->is_index ? "platforms" : "platform", image->platform);
	json_add_number(b, "size", image->size);
	json_add_time(b, "created", image->created);
	json_add_time(b, "pushed", image->pushed);
	json_add_time(b, "pulled", image->pulled);
}

/* ---- list ---- */

static int add_row(void *arg, const struct tree_image_info *image)
{
	struct output *out = arg;
	char digest[DIGEST_TEXT_MAX + 1], id[DIGEST_TEXT_MAX + 1] = "-";
	char size[SIZE_TEXT_MAX + 1], pushed[TIMESTAMP_TEXT_MAX + 1];

	output_object(out);
	image_object(&out->array, image);
	buf_addc(&out->array, '}');
	if (image->config.algorithm != DIGEST_NONE)
		digest_format(&image->config, id);
	table_add(&out->table, digest_format(&image->digest, digest));
	table_add(&out->table, id);
	table_add(&out->table, size_text(image->size, size));
	table_add(&out->table, *image->platform ? image->platform : "-");
	table_add(&out->table, timestamp_format(image->pushed, pushed));
	return 0;
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "DIGEST", "IMAGE-ID", "SIZE", "PLATFORMS", "PUSHED" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct output out;
	int r = session_open(o, &session, err);

	(void)count;
	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = session_image_list(session, operands[0], add_row, &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

/* ---- show ---- */

struct image_show {
	struct session *session;
	const char *repo;
	bool json;
	struct buf out;
	struct err *err;
};

static void field(struct buf *b, const char *name, const char *value)
{
	if (*value)
		buf_addf(b, "%-14s %s\n", name, value);
}

static void text_image(struct buf *b, const struct tree_image_info *image)
{
	char text[DIGEST_TEXT_MAX + 1], size[SIZE_TEXT_MAX + 1], when[TIMESTAMP_TEXT_MAX + 1];

	field(b, "digest", digest_format(&image->digest, text));
	if (image->config.algorithm != DIGEST_NONE)
		field(b, "image ID", digest_format(&image->config, text));
	field(b, "media type", image->media_type);
	if (!media_type_is_image_config(image->artifact_type))
		field(b, "artifact type", image->artifact_type);
	field(b, image->is_index ? "platforms" : "platform", image->platform);
	field(b, "size", size_text(image->size, size));
	if (image->created)
		field(b, "created", timestamp_format(image->created, when));
	field(b, "pushed", timestamp_format(image->pushed, when));
	if (image->pulled)
		field(b, "pulled", timestamp_format(image->pulled, when));
}

static int show_child(void *arg, const struct tree_image_info *image)
{
	struct image_show *s = arg;

	if (!s->json) {
		buf_addc(&s->out, '\n');
		text_image(&s->out, image);
		return 0;
	}
	buf_adds(&s->out, s->out.data[s->out.len - 1] == '[' ? "{" : ",{");
	image_object(&s->out, image);
	buf_addc(&s->out, '}');
	return 0;
}

static int show_image(void *arg, const struct tree_image_info *image)
{
	struct image_show *s = arg;
	int r = 0;

	if (s->json) {
		buf_addc(&s->out, '{');
		image_object(&s->out, image);
	} else {
		text_image(&s->out, image);
	}
	if (image->is_index) {
		if (s->json) {
			json_add_key(&s->out, "images");
			buf_addc(&s->out, '[');
		}
		r = session_image_children(s->session, s->repo, &image->digest, show_child, s, s->err);
		if (s->json)
			buf_addc(&s->out, ']');
	}
	if (s->json)
		buf_addc(&s->out, '}');
	return r;
}

static int run_show(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct image_show s = { .json = o->json, .out = BUF_INIT, .err = err };
	char text[DIGEST_TEXT_MAX + 1];
	struct ref ref;
	int r = open_ref(o, operands[0], &ref, &session, err);

	(void)count;
	s.session = session;
	s.repo = ref.name;
	if (!r)
		r = session_image_show(session, ref.name, reference_of(&ref, text), show_image, &s, err);
	if (!r && o->json)
		r = print_json(&s.out, err);
	else if (!r)
		fputs(s.out.data, stdout);
	buf_release(&s.out);
	return r;
}

/* ---- layers ---- */

/* The layers are kept, and looked into afterwards: that may take long. */
struct layer_row {
	int number;
	struct digest digest;
	int64_t size;
	char *media_type, *instruction;
};

struct layer_rows {
	struct layer_row rows[LIMIT_MANIFEST_REFS];
	size_t count;
	struct err *err;
};

static void layer_rows_free(struct layer_rows *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->rows[i].media_type);
		free(l->rows[i].instruction);
	}
	free(l);
}
DEFINE_CLEANUP(cleanup_layer_rows, struct layer_rows *, layer_rows_free)

static int keep_layer(void *arg, const struct tree_layer *layer)
{
	struct layer_rows *l = arg;
	struct layer_row *row = &l->rows[l->count];

	if (l->count == LIMIT_MANIFEST_REFS)
		return err_set(l->err, ERR_CORRUPT, "the image has more than %d layers", LIMIT_MANIFEST_REFS);
	*row = (struct layer_row){ .number = layer->number,
				   .digest = layer->digest,
				   .size = layer->size,
				   .media_type = strdup(layer->media_type),
				   .instruction = strdup(layer->instruction) };
	l->count++;
	return row->media_type && row->instruction ? 0 : err_set(l->err, ERR_NO_MEMORY, "out of memory");
}

/* What is in it, or why that can't be said, on standard error. false: nothing is known. */
static bool layer_contents(struct session *session, const char *repo, const struct layer_row *row, struct tree_contents *out)
{
	struct err err = ERR_INIT;

	if (!media_type_is_tar(row->media_type))
		return false;
	if (session_layer_contents(session, repo, &row->digest, out, &err) == 0)
		return true;
	print_error(err.text);
	return false;
}

static void add_layer(struct output *out, const struct layer_row *layer, const struct tree_contents *contents)
{
	char digest[DIGEST_TEXT_MAX + 1], size[SIZE_TEXT_MAX + 1];

	output_object(out);
	json_add_number(&out->array, "number", layer->number);
	json_add_digest(&out->array, "digest", &layer->digest);
	json_add_number(&out->array, "size", layer->size);
	if (contents) {
		json_add_number(&out->array, "files", contents->files);
		json_add_number(&out->array, "unpacked", contents->unpacked);
	}
	json_add_text(&out->array, "media-type", layer->media_type);
	json_add_text(&out->array, "instruction", layer->instruction);
	buf_addc(&out->array, '}');
	table_addf(&out->table, "%02d", layer->number);
	table_add(&out->table, digest_format(&layer->digest, digest));
	table_add(&out->table, size_text(layer->size, size));
	if (contents)
		table_addf(&out->table, "%" PRId64, contents->files);
	else
		table_add(&out->table, "-");
	table_add(&out->table, contents ? size_text(contents->unpacked, size) : "-");
	table_add(&out->table, layer->media_type);
	table_add(&out->table, layer->instruction);
}

static int list_layers(struct session *session, const struct ref *ref, struct output *out, struct err *err)
{
	CLEANUP(cleanup_layer_rows) struct layer_rows *l = calloc(1, sizeof(*l));
	char text[DIGEST_TEXT_MAX + 1];
	const char *reference = reference_of(ref, text);
	bool all_tar = true;
	int r = l ? 0 : err_set(err, ERR_NO_MEMORY, "out of memory");

	if (!r) {
		l->err = err;
		r = session_image_layers(session, ref->name, reference, keep_layer, l, err);
	}
	for (size_t i = 0; !r && i < l->count; i++)
		all_tar = all_tar && media_type_is_tar(l->rows[i].media_type);
	if (!r && all_tar)
		r = session_layers_prepare(session, ref->name, reference, err);
	for (size_t i = 0; !r && i < l->count; i++) {
		struct tree_contents contents;
		bool known = layer_contents(session, ref->name, &l->rows[i], &contents);

		add_layer(out, &l->rows[i], known ? &contents : NULL);
	}
	return r;
}

static int run_layers(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "LAYER", "DIGEST", "SIZE", "FILES", "UNPACKED", "MEDIA-TYPE", "INSTRUCTION" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct output out;
	struct ref ref;
	int r = open_ref(o, operands[0], &ref, &session, err);

	(void)count;
	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = list_layers(session, &ref, &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

/* ---- used-by ---- */

static int add_use(void *arg, const struct tree_use *use)
{
	static const char *const roles[] = {
		[0] = "tag",
		[ROLE_CONFIG] = "config",
		[ROLE_LAYER] = "layer",
		[ROLE_CHILD] = "image",
		[ROLE_SUBJECT] = "subject",
	};
	struct output *out = arg;
	char digest[DIGEST_TEXT_MAX + 1];
	auto_buf struct buf name = BUF_INIT;

	digest_format(&use->digest, digest);
	buf_addf(&name, "%s%s%s", use->repo, use->tag ? ":" : "@", use->tag ? use->tag : digest);
	output_object(out);
	json_add_text(&out->array, "used-by", name.data);
	json_add_text(&out->array, "as", roles[use->role]);
	buf_addc(&out->array, '}');
	table_add(&out->table, name.data);
	table_add(&out->table, roles[use->role]);
	return 0;
}

static int keep_digest(void *arg, const struct tree_image_info *image)
{
	*(struct digest *)arg = image->digest;
	return 0;
}

static int used_by_ref(struct session *session, const char *operand, struct output *out, struct err *err)
{
	struct digest digest;
	struct ref ref;
	int r;

	if (digest_parse(operand, &digest, NULL) == 0)
		return session_used_by(session, NULL, &digest, add_use, out, err);
	r = ref_parse(operand, &ref, err);
	if (r)
		return r;
	digest = ref.digest;
	if (digest.algorithm == DIGEST_NONE)
		r = session_image_show(session, ref.name, *ref.tag ? ref.tag : "latest", keep_digest,
				    &digest, err);
	return r ? r : session_used_by(session, ref.name, &digest, add_use, out, err);
}

static int run_used_by(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "USED-BY", "AS" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct output out;
	int r = session_open(o, &session, err);

	(void)count;
	if (r)
		return r;
	output_begin(&out, o->json, header, ARRAY_SIZE(header));
	r = used_by_ref(session, operands[0], &out, err);
	if (!r)
		r = output_print(&out, err);
	output_release(&out);
	return r;
}

/* ---- rm ---- */

/* What will miss the image: an index is legal without it, and of little use. */
static int warn_of_use(void *arg, const struct tree_use *use)
{
	char text[DIGEST_TEXT_MAX + 1];

	if (use->role == ROLE_CHILD)
		fprintf(stderr, "regfs: the index %s@%s names %s, and can't be pulled whole without it\n",
			use->repo, digest_format(&use->digest, text), (const char *)arg);
	return 0;
}

static int run_rm(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	char text[DIGEST_TEXT_MAX + 1];
	struct digest digest;
	struct ref ref;
	int r = open_ref(o, operands[0], &ref, &session, err);

	(void)count;
	if (!r && ref.digest.algorithm == DIGEST_NONE)
		r = err_set(err, ERR_USAGE,
			    "image rm takes name@digest, since it removes all tags of the image (tag rm removes one)");
	if (!r)
		r = session_used_by(session, ref.name, &ref.digest, warn_of_use, operands[0], err);
	/* Who may delete and not pull isn't told; who may do neither is refused below. */
	if (r == -EACCES)
		r = 0;
	if (!r)
		r = o->dry_run ? session_may(session, ref.name, ACTION_DELETE, err) : 0;
	if (!r)
		r = o->dry_run ? session_image_show(session, ref.name, reference_of(&ref, text),
						 keep_digest, &digest, err) :
				 session_image_rm(session, ref.name, &ref.digest, err);
	return r ? r : report_change(o, "removed", operands[0], err);
}

const struct command image_commands[] = {
	{ "image", "list", "NAME", 1, 1, look_options, "list the images of a repository", NULL, run_list },
	{ "image", "show", "REF", 1, 1, look_options, "show an image, or an index and its images", NULL, run_show },
	{ "image", "layers", "REF", 1, 1, look_options, "list the layers of an image, base first, and what made each", NULL, run_layers },
	{ "image", "used-by", "REF|DIGEST", 1, 1, look_options, "list the tags, images and indexes that need it",
	  "A bare digest, of a layer too, is looked for in the whole registry.\n", run_used_by },
	{ "image", "rm", "NAME@DIGEST", 1, 1, change_options, "remove an image and its tags", NULL, run_rm },
	{ 0 },
};
