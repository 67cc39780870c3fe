/*
 * registry.c: regfs version, regfs status.
 */
#include "fs/base/base.h"
#include "tools/command.h"

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
	const struct cred cred = command_cred();
	auto_tree struct tree *tree = NULL;
	auto_buf struct buf b = BUF_INIT;
	struct tree_stats s = { 0 };
	char size[SIZE_TEXT_MAX + 1], free_text[SIZE_TEXT_MAX + 1];
	int r = open_store(o, &tree, err);

	(void)operands;
	(void)count;
	if (!r)
		r = tree_stats(tree, &cred, &s, err);
	if (r)
		return r;
	if (!o->json) {
		printf("store         %s\nrepositories  %" PRId64 "\ntags          %" PRId64
		       "\nimages        %" PRId64 "\nblobs         %" PRId64 " (%s)\nuploads       %" PRId64
		       "\nfree          %s\n",
		       tree_store_dir(tree), s.repositories, s.tags, s.images, s.blobs,
		       size_text(s.blob_bytes, size), s.uploads, size_text(s.disk_free, free_text));
		return 0;
	}
	buf_addc(&b, '{');
	json_add_text(&b, "store", tree_store_dir(tree));
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
	{ "status", NULL, "", 0, 0, look_options, "how much the store holds", NULL, run_status },
	{ "version", NULL, "", 0, 0, version_rows, "the version of regfs", NULL, run_version },
	{ 0 },
};
