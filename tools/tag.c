/*
 * tag.c: regfs tag list, add, rm.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"
#include "fs/base/timestamp.h"

struct tag_list {
	struct session *session;
	const char *repo;
	const char *tag;		/* the one in hand */
	struct digest digest;		/* of the image that it names */
	int64_t expires;
	struct output out;
	struct err *err;
};

/* One row of the table: the tag, and one image: the tag's, or a child of its index. */
static void table_row(struct tag_list *l, const struct tree_image_info *image)
{
	char digest[DIGEST_TEXT_MAX + 1], id[DIGEST_TEXT_MAX + 1] = "-";
	char size[SIZE_TEXT_MAX + 1], pushed[TIMESTAMP_TEXT_MAX + 1], expires[TIMESTAMP_TEXT_MAX + 1];

	if (image->config.algorithm != DIGEST_NONE)
		digest_format(&image->config, id);
	table_add(&l->out.table, l->tag);
	table_add(&l->out.table, digest_format(&l->digest, digest));
	table_add(&l->out.table, id);
	table_add(&l->out.table, size_text(image->size, size));
	table_add(&l->out.table, *image->platform ? image->platform : "-");
	table_add(&l->out.table, timestamp_format(image->pushed, pushed));
	table_add(&l->out.table, l->expires ? timestamp_format(l->expires, expires) : "-");
}

static int add_child(void *arg, const struct tree_image_info *image)
{
	struct tag_list *l = arg;
	struct buf *b = &l->out.array;

	table_row(l, image);
	buf_adds(b, b->data[b->len - 1] == '[' ? "{" : ",{");
	json_add_digest(b, "digest", &image->digest);
	json_add_digest(b, "image-id", &image->config);
	json_add_text(b, "platform", image->platform);
	json_add_number(b, "size", image->size);
	buf_addc(b, '}');
	return 0;
}

static int add_tag(void *arg, const struct call_tag *tag)
{
	struct tag_list *l = arg;
	const struct tree_image_info *image = &tag->image;
	struct buf *b = &l->out.array;
	size_t rows = l->out.table.cells.len;
	int r = 0;

	l->tag = tag->tag;
	l->digest = image->digest;
	l->expires = tag->expires;
	output_object(&l->out);
	json_add_text(b, "tag", l->tag);
	json_add_digest(b, "digest", &image->digest);
	json_add_digest(b, "image-id", &image->config);
	json_add_text(b, "media-type", image->media_type);
	json_add_number(b, "size", image->size);
	json_add_text(b, "platforms", image->platform);
	json_add_time(b, "pushed", image->pushed);
	json_add_time(b, "pulled", image->pulled);
	json_add_time(b, "expires", tag->expires);
	if (image->is_index) {
		json_add_key(b, "images");
		buf_addc(b, '[');
		r = session_image_children(l->session, l->repo, &image->digest, add_child, l, l->err);
		buf_addc(b, ']');
	}
	buf_addc(b, '}');
	if (l->out.table.cells.len == rows)	/* an image, or an index of what isn't here */
		table_row(l, image);
	return r;
}

static int run_list(const void *options, char **operands, int count, struct err *err)
{
	static const char *const header[] = { "TAG", "DIGEST", "IMAGE-ID", "SIZE", "PLATFORMS", "PUSHED", "EXPIRES" };
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct tag_list l = { .repo = operands[0], .err = err };
	int r = session_open(o, &session, err);

	(void)count;
	if (r)
		return r;
	l.session = session;
	output_begin(&l.out, o->json, header, ARRAY_SIZE(header));
	r = session_tag_list(session, operands[0], add_tag, &l, err);
	if (!r)
		r = output_print(&l.out, err);
	output_release(&l.out);
	return r;
}

static int keep_digest(void *arg, const struct tree_image_info *image)
{
	*(struct digest *)arg = image->digest;
	return 0;
}

/* What a REF names: its digest, else its tag, else "latest". */
static int ref_digest(struct session *session, const struct ref *ref, struct digest *out, struct err *err)
{
	char text[DIGEST_TEXT_MAX + 1];
	const char *reference = *ref->tag ? ref->tag : "latest";

	if (ref->digest.algorithm != DIGEST_NONE)
		reference = digest_format(&ref->digest, text);
	return session_image_show(session, ref->name, reference, keep_digest, out, err);
}

/* "tagged a/b:x a/b:y", or a JSON document with a list. */
static int report_tags(const struct store_options *o, const char *repo, char **tags, int count,
		       struct err *err)
{
	auto_buf struct buf b = BUF_INIT;

	for (int i = 0; i < count; i++) {
		auto_buf struct buf name = BUF_INIT;

		buf_addf(&name, "%s:%s", repo, tags[i]);
		if (o->json) {
			buf_addc(&b, i ? ',' : '[');
			json_add_string(&b, name.data);
		} else {
			buf_addf(&b, "%s%s", i ? " " : "", name.data);
		}
	}
	if (!o->json)
		return report_change(o, "tagged", b.data, err);
	buf_addc(&b, ']');
	auto_buf struct buf doc = BUF_INIT;

	buf_addf(&doc, "{\"tagged\":%s,\"dry-run\":%s}", b.data, o->dry_run ? "true" : "false");
	return print_json(&doc, err);
}

static int run_add(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct digest digest;
	struct ref ref;
	int r = ref_parse(operands[0], &ref, err);

	for (int i = 1; !r && i < count; i++)
		r = tag_check(operands[i], err);
	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = ref_digest(session, &ref, &digest, err);
	for (int i = 1; !r && i < count; i++)
		r = o->dry_run ? session_tag_may_set(session, ref.name, operands[i], &digest, err) :
				 session_tag_set(session, ref.name, operands[i], &digest, err);
	return r ? r : report_tags(o, ref.name, operands + 1, count - 1, err);
}

static int run_rm(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct digest digest;
	struct ref ref;
	int r = ref_parse(operands[0], &ref, err);

	(void)count;
	if (!r && (!*ref.tag || ref.digest.algorithm != DIGEST_NONE))
		r = err_set(err, ERR_USAGE, "tag rm takes name:tag, not %s", operands[0]);
	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = o->dry_run ? session_may(session, ref.name, ACTION_DELETE, err) : 0;
	if (!r)
		r = o->dry_run ? session_image_show(session, ref.name, ref.tag, keep_digest, &digest, err) :
				 session_tag_rm(session, ref.name, ref.tag, err);
	return r ? r : report_change(o, "removed", operands[0], err);
}

static int report_end(const struct store_options *o, const char *ref, int64_t end, struct err *err)
{
	char when[TIMESTAMP_TEXT_MAX + 1] = "never";
	auto_buf struct buf b = BUF_INIT;

	if (end)
		timestamp_format(end, when);
	if (!o->json) {
		printf("%s%s expires %s%s\n", o->dry_run ? "would be: " : "", ref, end ? "at " : "", when);
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, "tag", ref);
	json_add_time(&b, "expires", end);
	json_add_key(&b, "dry-run");
	buf_adds(&b, o->dry_run ? "true}" : "false}");
	return print_json(&b, err);
}

static int run_set(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	const char *value = operands[1] + strlen("expires=");
	int64_t end = 0;
	struct ref ref;
	int r = ref_parse(operands[0], &ref, err);

	(void)count;
	if (!r && (!*ref.tag || ref.digest.algorithm != DIGEST_NONE))
		r = err_set(err, ERR_USAGE, "tag set takes name:tag, not %s", operands[0]);
	if (!r && !starts_with(operands[1], "expires="))
		r = err_set(err, ERR_USAGE, "what can be set is expires=DURATION|TIME|never, not \"%.40s\"", operands[1]);
	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = session_tag_set_end(session, ref.name, ref.tag, value, o->dry_run, &end, err);
	return r ? r : report_end(o, operands[0], end, err);
}

const struct command tag_commands[] = {
	{ "tag", "list", "NAME", 1, 1, look_options, "list the tags of a repository",
	  "An index has a row for each of its images, with that image's ID, size and platform.\n", run_list },
	{ "tag", "add", "REF TAG...", 2, INT_MAX, change_options, "make tags name an image, or move them to it",
	  "REF is name, name:tag or name@digest; the tags are of the same repository.\n", run_add },
	{ "tag", "set", "NAME:TAG expires=WHEN", 2, 2, change_options, "set when a tag goes",
	  "WHEN is a duration, a time or never: 14d, or 2026-12-31T00:00:00Z. It holds until the tag names another image,\n"
	  "whatever the image's label regfs.expires says. `regfs prune` removes the tag then; the server does, too.\n", run_set },
	{ "tag", "rm", "NAME:TAG", 1, 1, change_options, "remove a tag; the image stays", NULL, run_rm },
	{ 0 },
};
