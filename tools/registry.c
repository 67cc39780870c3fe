/*
 * registry.c: regfs version, regfs status.
 */
#include "fs/base/base.h"
#include "tools/session.h"

static const struct option_row version_rows[] = {
	{ "json", 0, NULL, offsetof(struct store_options, json), "print one JSON document" },
	{ 0 },
};

static int run_version(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_buf struct buf b = BUF_INIT;

	(void)operands;
	(void)count;
	if (!o->json) {
		printf("regfs %s\n", tree_version());
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, "version", tree_version());
	buf_addc(&b, '}');
	return print_json(&b, err);
}

static int run_status(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct tree_stats s = { 0 };
	const char *place, *key;
	char size[SIZE_TEXT_MAX + 1], free_text[SIZE_TEXT_MAX + 1];
	int r = session_open(o, &session, err);

	(void)operands;
	(void)count;
	if (!r)
		r = session_stats(session, &s, err);
	if (r)
		return r;
	key = session_place(session, &place);
	if (!o->json) {
		printf("%-14s%s\nrepositories  %" PRId64 "\ntags          %" PRId64
		       "\nimages        %" PRId64 "\nblobs         %" PRId64 " (%s)\nuploads       %" PRId64
		       "\nfree          %s\n",
		       key, place, s.repositories, s.tags, s.images, s.blobs,
		       size_text(s.blob_bytes, size), s.uploads, size_text(s.disk_free, free_text));
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, key, place);
	json_add_number(&b, "repositories", s.repositories);
	json_add_number(&b, "tags", s.tags);
	json_add_number(&b, "images", s.images);
	json_add_number(&b, "blobs", s.blobs);
	json_add_number(&b, "blob-bytes", s.blob_bytes);
	json_add_number(&b, "uploads", s.uploads);
	json_add_number(&b, "last-event", s.event);
	json_add_number(&b, "disk-size", s.disk_size);
	json_add_number(&b, "disk-free", s.disk_free);
	buf_addc(&b, '}');
	return print_json(&b, err);
}

const struct command registry_commands[] = {
	{ "status", NULL, "", 0, 0, look_options, "how much the store, or the server, holds", NULL, run_status },
	{ "version", NULL, "", 0, 0, version_rows, "the version of regfs", NULL, run_version },
	{ 0 },
};
