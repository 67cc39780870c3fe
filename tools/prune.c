/*
 * prune.c: regfs prune.
 */
#include "fs/base/base.h"
#include "tools/session.h"

#include "fs/base/json.h"

struct prune_output {
	bool json, dry_run;
	struct buf rows;		/* JSON */
	int64_t kept, removed, images, bytes;
};

static int add_row(void *arg, const struct tree_pruned *p)
{
	struct prune_output *o = arg;

	o->kept += p->keep;
	o->removed += !p->keep;
	o->images += p->image;
	if (p->image)
		size_add(&o->bytes, p->size);
	if (!o->json) {
		printf("%s:%s %s: %s\n", p->repo, p->tag, p->keep ? "kept" : o->dry_run ? "would be removed" : "removed", p->why);
		return 0;
	}
	buf_adds(&o->rows, o->rows.len ? ",{" : "{");
	json_add_text(&o->rows, "repository", p->repo);
	json_add_text(&o->rows, "tag", p->tag);
	json_add_digest(&o->rows, "digest", &p->digest);
	json_add_key(&o->rows, "kept");
	buf_adds(&o->rows, p->keep ? "true" : "false");
	json_add_text(&o->rows, "why", p->why);
	json_add_key(&o->rows, "image-removed");
	buf_adds(&o->rows, p->image ? "true" : "false");
	json_add_number(&o->rows, "size", p->size);
	buf_addc(&o->rows, '}');
	return buf_error(&o->rows);
}

static int print_sum(const struct prune_output *o, struct err *err)
{
	char size[SIZE_TEXT_MAX + 1];
	auto_buf struct buf b = BUF_INIT;

	if (!o->json) {
		printf("%s %" PRId64 " tags, and %s%" PRId64 " images (%s with all their layers); kept %" PRId64 " tags\n",
		       o->dry_run ? "would remove" : "removed", o->removed, o->dry_run ? "up to " : "", o->images,
		       size_text(o->bytes, size), o->kept);
		return 0;
	}
	buf_addc(&b, '{');
	json_add_key(&b, "tags");
	buf_addf(&b, "[%s]", o->rows.data);
	json_add_number(&b, "kept", o->kept);
	json_add_number(&b, "removed", o->removed);
	json_add_number(&b, "images", o->images);
	json_add_number(&b, "bytes", o->bytes);
	json_add_key(&b, "dry-run");
	buf_adds(&b, o->dry_run ? "true}" : "false}");
	return print_json(&b, err);
}

static int run_prune(const void *options, char **operands, int count, struct err *err)
{
	const struct store_options *o = options;
	auto_session struct session *session = NULL;
	struct prune_output out = { .json = o->json, .dry_run = o->dry_run, .rows = BUF_INIT };
	int r = count ? name_check(operands[0], err) : 0;

	if (!r)
		r = session_open(o, &session, err);
	if (!r)
		r = session_prune(session, count ? operands[0] : NULL, o->dry_run, add_row, &out, err);
	if (!r)
		r = print_sum(&out, err);
	buf_release(&out.rows);
	return r;
}

const struct command prune_commands[] = {
	{ "prune", NULL, "[NAME]", 0, 1, change_options, "remove tags that no retention rule keeps, or that expired",
	  "Says of each tag why it stays or goes. Rules are the setting retention of a repository or a namespace: `regfs repo set\n"
	  "NAME retention='keep last 10; keep newer 30d'`; where there are none, all tags stay, but for those whose own end has come.\n"
	  "Images that nothing needs any more go with their tags. Without NAME all repositories are pruned that have rules, or\n"
	  "tags that expired.\n",
	  run_prune },
	{ 0 },
};
