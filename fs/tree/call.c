/*
 * call.c: see call.h. What stands for a call in JSON, and what it does; call_people.c has those of people, call_hooks.c of hooks,
 * call_inside.c those inside images.
 */
#include "fs/base/base.h"
#include "fs/tree/call_run.h"
#include "fs/tree/login.h"

/* ---- Members in JSON ---- */

static const char *const settings[] = { [SETTING_NO] = "no", [SETTING_YES] = "yes", [SETTING_INHERIT] = "inherit" };
static const char *const visibilities[] = { [SETTING_NO] = "private", [SETTING_YES] = "public", [SETTING_INHERIT] = "inherit" };
static const char *const actions[] = { "pull", "push", "delete", "admin" };
static const char *const kinds[] = { [PRINCIPAL_USER] = "user", [PRINCIPAL_GROUP] = "group", [PRINCIPAL_ROBOT] = "robot" };
static const char *const roles[] = { [0] = "tag", [ROLE_CONFIG] = "config", [ROLE_LAYER] = "layer", [ROLE_CHILD] = "image",
				     [ROLE_SUBJECT] = "subject" };
static const char *const reasons[] = { [TREE_WHY_PUBLIC] = "public", [TREE_WHY_ADMINISTRATOR] = "administrator",
				       [TREE_WHY_GRANT] = "grant", [TREE_WHY_GROUP] = "group" };

#define NAMES(member, name, kind, ...) FIELD(struct call_names, member, name, kind, __VA_ARGS__)
static const struct record_field no_args[] = { { 0 } };
static const struct record_field name_args[] = { NAMES(name, "name", RECORD_TEXT, NEEDED), { 0 } };
static const struct record_field may_args[] = {
	NAMES(name, "repository", RECORD_TEXT), NAMES(actions, "action", RECORD_BITS, NEEDED, WORDS(actions)), { 0 },
};
static const struct record_field reference_args[] = {
	NAMES(name, "repository", RECORD_TEXT, NEEDED), NAMES(reference, "reference", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field digest_args[] = {
	NAMES(name, "repository", RECORD_TEXT, NEEDED), NAMES(digest, "digest", RECORD_DIGEST, NEEDED), { 0 },
};
static const struct record_field use_args[] = {
	NAMES(name, "repository", RECORD_TEXT), NAMES(digest, "digest", RECORD_DIGEST, NEEDED), { 0 },
};
static const struct record_field tag_args[] = {
	NAMES(name, "repository", RECORD_TEXT, NEEDED), NAMES(reference, "tag", RECORD_TEXT, NEEDED),
	NAMES(digest, "digest", RECORD_DIGEST, NEEDED), NAMES(dry_run, "dry-run", RECORD_BOOL), { 0 },
};
static const struct record_field tag_rm_args[] = {
	NAMES(name, "repository", RECORD_TEXT, NEEDED), NAMES(reference, "tag", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field member_args[] = {
	NAMES(name, "group", RECORD_TEXT, NEEDED), NAMES(reference, "member", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field owner_args[] = { NAMES(name, "owner", RECORD_TEXT, NEEDED), { 0 } };
static const struct record_field token_rm_args[] = {
	NAMES(name, "owner", RECORD_TEXT, NEEDED), NAMES(reference, "name", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field grant_args[] = {
	NAMES(name, "who", RECORD_TEXT, NEEDED), NAMES(reference, "pattern", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field grant_set_args[] = {
	NAMES(name, "who", RECORD_TEXT, NEEDED), NAMES(reference, "pattern", RECORD_TEXT, NEEDED),
	NAMES(actions, "actions", RECORD_BITS, NEEDED, WORDS(actions)), { 0 },
};
static const struct record_field access_args[] = {
	NAMES(name, "repository", RECORD_TEXT), NAMES(reference, "user", RECORD_TEXT), { 0 },
};

static const struct record_field page_args[] = {
	FIELD(struct call_page, last, "last", RECORD_TEXT), FIELD(struct call_page, n, "n", RECORD_NUMBER, NEEDED), { 0 },
};
static const struct record_field tag_page_args[] = {
	FIELD(struct call_page, name, "repository", RECORD_TEXT, NEEDED), FIELD(struct call_page, last, "last", RECORD_TEXT),
	FIELD(struct call_page, n, "n", RECORD_NUMBER, NEEDED), { 0 },
};
static const struct record_field repo_set_args[] = {
	FIELD(struct call_settings, name, "name", RECORD_TEXT, NEEDED),
	FIELD(struct call_settings, public, "visibility", RECORD_WORD, NEEDED, WORDS(visibilities)), { 0 },
};
static const struct record_field namespace_fields[] = {
	FIELD(struct call_settings, name, "name", RECORD_TEXT, NEEDED),
	FIELD(struct call_settings, public, "visibility", RECORD_WORD, NEEDED, WORDS(visibilities)),
	FIELD(struct call_settings, push_creates, "push-creates", RECORD_WORD, NEEDED, WORDS(settings)), { 0 },
};
#define SETTING_OF                                                                                                        \
	FIELD(struct call_setting, of.name, "name", RECORD_TEXT, NEEDED), FIELD(struct call_setting, of.below, "below", RECORD_BOOL), \
	FIELD(struct call_setting, key, "setting", RECORD_TEXT, NEEDED)
static const struct record_field setting_args[] = { SETTING_OF, { 0 } };
static const struct record_field quota_args[] = {
	FIELD(struct call_setting, of.name, "name", RECORD_TEXT, NEEDED), FIELD(struct call_setting, of.below, "below", RECORD_BOOL), { 0 },
};
static const struct record_field setting_set_args[] = {
	SETTING_OF, FIELD(struct call_setting, value, "value", RECORD_BYTES, NEEDED),
	FIELD(struct call_setting, dry_run, "dry-run", RECORD_BOOL), { 0 },
};
static const struct record_field end_args[] = {
	FIELD(struct call_end, name, "repository", RECORD_TEXT, NEEDED), FIELD(struct call_end, tag, "tag", RECORD_TEXT, NEEDED),
	FIELD(struct call_end, text, "expires", RECORD_TEXT, NEEDED), FIELD(struct call_end, dry_run, "dry-run", RECORD_BOOL), { 0 },
};
static const struct record_field prune_args[] = {
	FIELD(struct call_end, name, "repository", RECORD_TEXT), FIELD(struct call_end, dry_run, "dry-run", RECORD_BOOL), { 0 },
};
static const struct record_field rollback_args[] = {
	FIELD(struct call_rollback, name, "repository", RECORD_TEXT, NEEDED), FIELD(struct call_rollback, tag, "tag", RECORD_TEXT, NEEDED),
	FIELD(struct call_rollback, to, "to", RECORD_NUMBER), FIELD(struct call_rollback, dry_run, "dry-run", RECORD_BOOL), { 0 },
};
static const struct record_field history_args[] = {
	FIELD(struct call_history, name, "repository", RECORD_TEXT, NEEDED), FIELD(struct call_history, tag, "tag", RECORD_TEXT),
	FIELD(struct call_history, after_tag, "after-tag", RECORD_TEXT), FIELD(struct call_history, after, "after", RECORD_NUMBER),
	FIELD(struct call_history, n, "n", RECORD_NUMBER), { 0 },
};
static const struct record_field undo_list_args[] = {
	FIELD(struct call_undo, name, "repository", RECORD_TEXT), FIELD(struct call_undo, by, "by", RECORD_TEXT),
	FIELD(struct call_undo, since, "since", RECORD_NUMBER), FIELD(struct call_undo, id, "before", RECORD_NUMBER),
	FIELD(struct call_undo, n, "n", RECORD_NUMBER), { 0 },
};
static const struct record_field undo_args[] = { FIELD(struct call_undo, id, "id", RECORD_NUMBER, NEEDED), { 0 } };
static const struct record_field kind_args[] = {
	FIELD(struct call_person, kind, "kind", RECORD_WORD, NEEDED, WORDS(kinds)), { 0 },
};
static const struct record_field person_args[] = {
	FIELD(struct call_person, name, "name", RECORD_TEXT, NEEDED),
	FIELD(struct call_person, change.password, "password", RECORD_BYTES),
	FIELD(struct call_person, change.administrator, "administrator", RECORD_WORD, NEEDED, WORDS(settings)),
	FIELD(struct call_person, change.disabled, "disabled", RECORD_WORD, NEEDED, WORDS(settings)),
	FIELD(struct call_person, change.set_expires, "set-expires", RECORD_BOOL),
	FIELD(struct call_person, change.expires, "expires", RECORD_TIME), { 0 },
};
static const struct record_field token_args[] = {
	FIELD(struct call_token, owner, "owner", RECORD_TEXT, NEEDED), FIELD(struct call_token, name, "name", RECORD_TEXT, NEEDED),
	FIELD(struct call_token, scopes, "scopes", RECORD_TEXT), FIELD(struct call_token, expires, "expires", RECORD_TIME), { 0 },
};
static const struct record_field policy_args[] = {
	FIELD(struct call_policy, who, "who", RECORD_TEXT, NEEDED), FIELD(struct call_policy, policy, "policy", RECORD_BYTES, NEEDED),
	FIELD(struct call_policy, origin, "origin", RECORD_BYTES, NEEDED), FIELD(struct call_policy, dry_run, "dry-run", RECORD_BOOL),
	{ 0 },
};
static const struct record_field events_args[] = {
	FIELD(struct call_events, after, "after", RECORD_NUMBER, NEEDED), FIELD(struct call_events, n, "n", RECORD_NUMBER, NEEDED),
	FIELD(struct call_events, filter.repositories, "repositories", RECORD_TEXT),
	FIELD(struct call_events, filter.kinds, "kinds", RECORD_TEXT), FIELD(struct call_events, wait, "wait", RECORD_NUMBER), { 0 },
};
static const struct record_field find_args[] = {
	FIELD(struct call_find, name, "repository", RECORD_TEXT, NEEDED),
	FIELD(struct call_find, reference, "reference", RECORD_TEXT, NEEDED),
	FIELD(struct call_find, platform, "platform", RECORD_TEXT), FIELD(struct call_find, machine, "machine", RECORD_TEXT), { 0 },
};

#define NODE(member, name, kind, ...) FIELD(struct call_node, member, name, kind, __VA_ARGS__)
static const struct record_field walk_args[] = {
	NODE(node, "node", RECORD_ID, NEEDED), NODE(path, "path", RECORD_BYTES, NEEDED), NODE(follow, "follow", RECORD_BOOL), { 0 },
};
static const struct record_field node_args[] = { NODE(node, "node", RECORD_ID, NEEDED), { 0 } };
static const struct record_field list_args[] = {
	NODE(node, "node", RECORD_ID, NEEDED), NODE(cookie, "cookie", RECORD_ID), NODE(length, "n", RECORD_NUMBER, NEEDED), { 0 },
};
static const struct record_field data_args[] = {
	NODE(node, "node", RECORD_ID, NEEDED), NODE(offset, "offset", RECORD_NUMBER), { 0 },
};
static const struct record_field read_args[] = {
	NODE(node, "node", RECORD_ID, NEEDED), NODE(offset, "offset", RECORD_NUMBER),
	NODE(length, "length", RECORD_NUMBER, NEEDED), NODE(more, "more", RECORD_TEXT), { 0 },
};

#define EVENT(member, name, kind, ...) FIELD(struct call_event, member, name, kind, __VA_ARGS__)
static const struct record_field event_row_fields[] = {
	EVENT(row.number, "number", RECORD_NUMBER, NEEDED), EVENT(row.event.at, "at-ns", RECORD_NUMBER),
	EVENT(row.event.kind, "kind", RECORD_TEXT, NEEDED), EVENT(row.event.repository, "repository", RECORD_TEXT, NEEDED),
	EVENT(row.event.tag, "tag", RECORD_TEXT), EVENT(row.digest, "digest", RECORD_DIGEST),
	EVENT(row.event.changed, "changed", RECORD_BOOL), EVENT(row.event.who, "who", RECORD_BYTES, NEEDED),
	EVENT(row.event.origin, "from", RECORD_BYTES, NEEDED), EVENT(row.event.about, "about", RECORD_BYTES),
	EVENT(end, "end", RECORD_BOOL), EVENT(more, "more", RECORD_BOOL), { 0 },
};

static const struct record_field me_row[] = {
	FIELD(struct call_me, name, "name", RECORD_TEXT, NEEDED), FIELD(struct call_me, version, "version", RECORD_TEXT, NEEDED), { 0 },
};

#define STATS(member, name) FIELD(struct tree_stats, member, name, RECORD_NUMBER, NEEDED)
static const struct record_field status_row[] = {
	STATS(repositories, "repositories"), STATS(tags, "tags"), STATS(images, "images"), STATS(blobs, "blobs"),
	STATS(blob_bytes, "blob-bytes"), STATS(uploads, "uploads"), STATS(event, "last-event"), STATS(disk_size, "disk-size"),
	STATS(disk_free, "disk-free"), { 0 },
};

#define REPO(member, name, kind, ...) FIELD(struct tree_repo, member, name, kind, NEEDED, __VA_ARGS__)
static const struct record_field repo_row[] = {
	REPO(name, "name", RECORD_TEXT), REPO(tags, "tags", RECORD_NUMBER), REPO(images, "images", RECORD_NUMBER),
	REPO(blobs, "blobs", RECORD_NUMBER), REPO(size, "size", RECORD_NUMBER), REPO(created, "created", RECORD_TIME),
	REPO(public, "visibility", RECORD_FLAG, WORDS(visibilities)), REPO(immutable, "immutable", RECORD_TEXT),
	REPO(retention, "retention", RECORD_BYTES), REPO(undo_keep, "undo-keep", RECORD_TEXT), { 0 },
};
#define QUOTA(member, name, kind, ...) FIELD(struct tree_quota, member, name, kind, __VA_ARGS__)
static const struct record_field quota_row[] = {
	QUOTA(name, "name", RECORD_TEXT, NEEDED), QUOTA(below, "below", RECORD_BOOL), QUOTA(bytes, "bytes", RECORD_NUMBER, NEEDED),
	QUOTA(bytes_limit, "bytes-limit", RECORD_NUMBER, NEEDED), QUOTA(tags, "tags", RECORD_NUMBER, NEEDED),
	QUOTA(tags_limit, "tags-limit", RECORD_NUMBER, NEEDED), { 0 },
};
static const struct record_field value_row[] = { FIELD(struct call_value, value, "value", RECORD_BYTES, NEEDED), { 0 } };
static const struct record_field time_row[] = { FIELD(struct call_time, at, "expires", RECORD_TIME), { 0 } };

#define PRUNED(member, name, kind, ...) FIELD(struct tree_pruned, member, name, kind, __VA_ARGS__)
static const struct record_field pruned_row[] = {
	PRUNED(repo, "repository", RECORD_TEXT, NEEDED), PRUNED(tag, "tag", RECORD_TEXT, NEEDED),
	PRUNED(digest, "digest", RECORD_DIGEST, NEEDED), PRUNED(keep, "kept", RECORD_BOOL, NEEDED),
	PRUNED(image, "image-removed", RECORD_BOOL), PRUNED(size, "size", RECORD_NUMBER, NEEDED),
	PRUNED(why, "why", RECORD_TEXT, NEEDED), { 0 },
};

#define IMAGE_FIELDS(type, m)                                                                                              \
	FIELD(type, m digest, "digest", RECORD_DIGEST, NEEDED), FIELD(type, m config, "image-id", RECORD_DIGEST),          \
	FIELD(type, m media_type, "media-type", RECORD_TEXT, NEEDED),                                                      \
	FIELD(type, m artifact_type, "artifact-type", RECORD_TEXT, NEEDED),                                                \
	FIELD(type, m platform, "platform", RECORD_TEXT, NEEDED), FIELD(type, m size, "size", RECORD_NUMBER, NEEDED),      \
	FIELD(type, m created, "created", RECORD_TIME), FIELD(type, m pushed, "pushed", RECORD_TIME), FIELD(type, m pulled, "pulled", RECORD_TIME),                     \
	FIELD(type, m is_index, "index", RECORD_BOOL)
static const struct record_field image_row[] = { IMAGE_FIELDS(struct tree_image_info,), { 0 } };
static const struct record_field tag_row[] = {
	FIELD(struct call_tag, tag, "tag", RECORD_TEXT, NEEDED), FIELD(struct call_tag, expires, "expires", RECORD_TIME),
	IMAGE_FIELDS(struct call_tag, image.), { 0 },
};

#define DEED(member, name)                                                                                                   \
	FIELD(struct tree_history, member.at, name, RECORD_TIME), FIELD(struct tree_history, member.event, name "-event", RECORD_NUMBER), \
	FIELD(struct tree_history, member.who, name "-who", RECORD_TEXT, NEEDED),                                             \
	FIELD(struct tree_history, member.from, name "-from", RECORD_TEXT, NEEDED)
static const struct record_field history_row[] = {
	FIELD(struct tree_history, tag, "tag", RECORD_TEXT, NEEDED), FIELD(struct tree_history, number, "number", RECORD_NUMBER, NEEDED),
	FIELD(struct tree_history, digest, "digest", RECORD_DIGEST, NEEDED), DEED(named, "named"), DEED(removed, "removed"),
	FIELD(struct tree_history, current, "current", RECORD_BOOL), FIELD(struct tree_history, held, "held", RECORD_BOOL), { 0 },
};
static const struct record_field removal_row[] = {
	FIELD(struct tree_removal, id, "id", RECORD_NUMBER, NEEDED), FIELD(struct tree_removal, what, "what", RECORD_TEXT, NEEDED),
	FIELD(struct tree_removal, repo, "repository", RECORD_TEXT, NEEDED), FIELD(struct tree_removal, tag, "tag", RECORD_TEXT, NEEDED),
	FIELD(struct tree_removal, digest, "digest", RECORD_DIGEST), FIELD(struct tree_removal, deed.at, "at", RECORD_TIME),
	FIELD(struct tree_removal, deed.event, "event", RECORD_NUMBER), FIELD(struct tree_removal, deed.who, "who", RECORD_TEXT, NEEDED),
	FIELD(struct tree_removal, deed.from, "from", RECORD_TEXT, NEEDED), FIELD(struct tree_removal, until, "until", RECORD_TIME), { 0 },
};
static const struct record_field rollback_row[] = {
	FIELD(struct tree_rollback, number, "number", RECORD_NUMBER, NEEDED),
	FIELD(struct tree_rollback, digest, "digest", RECORD_DIGEST, NEEDED),
	FIELD(struct tree_rollback, changed, "changed", RECORD_BOOL), { 0 },
};

#define LAYER(member, name, kind, ...) FIELD(struct tree_layer, member, name, kind, NEEDED, __VA_ARGS__)
static const struct record_field layer_row[] = {
	LAYER(number, "number", RECORD_INT), LAYER(digest, "digest", RECORD_DIGEST), LAYER(size, "size", RECORD_NUMBER),
	LAYER(media_type, "media-type", RECORD_TEXT), LAYER(instruction, "instruction", RECORD_TEXT), { 0 },
};
static const struct record_field contents_row[] = {
	FIELD(struct tree_contents, files, "files", RECORD_NUMBER, NEEDED),
	FIELD(struct tree_contents, unpacked, "unpacked", RECORD_NUMBER, NEEDED), { 0 },
};
static const struct record_field use_row[] = {
	FIELD(struct tree_use, repo, "repository", RECORD_TEXT, NEEDED), FIELD(struct tree_use, tag, "tag", RECORD_TEXT),
	FIELD(struct tree_use, digest, "digest", RECORD_DIGEST, NEEDED),
	FIELD(struct tree_use, role, "as", RECORD_WORD, NEEDED, WORDS(roles)), { 0 },
};

#define PERSON(member, name, kind, ...) FIELD(struct call_listed_person, member, name, kind, __VA_ARGS__)
static const struct record_field person_row[] = {
	PERSON(person.name, "name", RECORD_TEXT, NEEDED), PERSON(person.kind, "kind", RECORD_WORD, NEEDED, WORDS(kinds)),
	PERSON(person.administrator, "administrator", RECORD_BOOL), PERSON(person.disabled, "disabled", RECORD_BOOL),
	PERSON(person.has_password, "password", RECORD_BOOL), PERSON(person.expires, "expires", RECORD_TIME),
	PERSON(person.created, "created", RECORD_TIME), PERSON(groups, "groups", RECORD_TEXT, NEEDED), { 0 },
};
static const struct record_field token_row[] = {
	FIELD(struct tree_token, name, "name", RECORD_TEXT, NEEDED), FIELD(struct tree_token, scopes, "scopes", RECORD_TEXT),
	FIELD(struct tree_token, created, "created", RECORD_TIME), FIELD(struct tree_token, expires, "expires", RECORD_TIME),
	FIELD(struct tree_token, used, "used", RECORD_TIME), { 0 },
};
static const struct record_field secret_row[] = { FIELD(struct call_secret, text, "secret", RECORD_TEXT, NEEDED), { 0 } };

#define GRANT(member, name, kind, ...) FIELD(struct tree_grant, member, name, kind, NEEDED, __VA_ARGS__)
static const struct record_field grant_row[] = {
	GRANT(who, "who", RECORD_TEXT), GRANT(pattern, "pattern", RECORD_TEXT), GRANT(actions, "actions", RECORD_BITS, WORDS(actions)),
	GRANT(origin, "origin", RECORD_BYTES), GRANT(by, "by", RECORD_TEXT), GRANT(created, "created", RECORD_TIME), { 0 },
};

#define ACCESS(member, name, kind, ...) FIELD(struct tree_access, member, name, kind, __VA_ARGS__)
static const struct record_field access_row_fields[] = {
	ACCESS(who, "who", RECORD_TEXT, NEEDED), ACCESS(actions, "actions", RECORD_BITS, NEEDED, WORDS(actions)),
	ACCESS(pattern, "pattern", RECORD_TEXT, NEEDED), ACCESS(why, "by", RECORD_WORD, NEEDED, WORDS(reasons)),
	ACCESS(group, "group", RECORD_TEXT), ACCESS(origin, "origin", RECORD_BYTES, NEEDED),
	ACCESS(good, "good", RECORD_BOOL, NEEDED), { 0 },
};

static const struct record_field rootfs_row[] = {
	FIELD(struct rootfs, root, "node", RECORD_ID, NEEDED), FIELD(struct rootfs, digest, "digest", RECORD_DIGEST, NEEDED), { 0 },
};

#define ENTRY(member, name, kind, ...) FIELD(struct call_entry, member, name, kind, __VA_ARGS__)
static const struct record_field entry_row[] = {
	ENTRY(name, "name", RECORD_BYTES, NEEDED), ENTRY(node, "node", RECORD_ID, NEEDED), ENTRY(source, "source", RECORD_ID, NEEDED),
	ENTRY(next, "next", RECORD_ID), ENTRY(mode, "mode", RECORD_NUMBER, NEEDED), ENTRY(links, "links", RECORD_NUMBER, NEEDED),
	ENTRY(size, "size", RECORD_NUMBER, NEEDED), ENTRY(mtime, "mtime", RECORD_NUMBER, NEEDED),
	ENTRY(uid, "uid", RECORD_NUMBER, NEEDED), ENTRY(gid, "gid", RECORD_NUMBER, NEEDED), ENTRY(rdev, "rdev", RECORD_NUMBER),
	ENTRY(sparse, "sparse", RECORD_BOOL), ENTRY(xattrs, "xattrs", RECORD_BOOL), ENTRY(target, "target", RECORD_BYTES), { 0 },
};
static const struct record_field xattr_row[] = {
	FIELD(struct call_xattr, name, "name", RECORD_BYTES, NEEDED), FIELD(struct call_xattr, value, "value", RECORD_BLOB, NEEDED),
	{ 0 },
};
static const struct record_field run_row[] = {
	FIELD(struct call_run, start, "start", RECORD_NUMBER, NEEDED), FIELD(struct call_run, end, "end", RECORD_NUMBER, NEEDED), { 0 },
};

/* ---- Rows on their way ---- */

GIVES(repo, struct tree_repo)
GIVES(image, struct tree_image_info)
GIVES(history, struct tree_history)
GIVES(removal, struct tree_removal)
GIVES(layer, struct tree_layer)
GIVES(use, struct tree_use)
GIVES(pruned, struct tree_pruned)
GIVES(quota, struct tree_quota)

/* ---- The registry ---- */

static RUN(me)
{
	const struct call_me me = { .name = cred->name, .version = tree_version() };
	int r = cred->kind == CRED_ANONYMOUS ? err_set(err, ERR_UNAUTHORIZED, "nobody is logged in") :
					       tree_login_check(tree, cred, err);

	(void)args;
	return r ? r : fn(arg, &me);
}

static RUN(may)
{
	const struct call_names *a = args;

	return tree_may(tree, cred, a->name, a->actions, err);
}

static RUN(status)
{
	struct tree_stats stats = { 0 };
	int r = tree_stats(tree, cred, &stats, err);

	(void)args;
	return r ? r : fn(arg, &stats);
}

/* ---- Repositories ---- */

static int give_named_repo(void *arg, const char *name)
{
	struct answer *a = arg;
	int r = tree_repo_show(a->tree, a->cred, name, give_repo, a, a->err);

	return r == -ENOENT ? 0 : r;	/* removed meanwhile */
}

static RUN(repo_list)
{
	struct answer a = ANSWER;
	const struct call_page *p = args;
	bool more;

	return tree_repo_list(tree, cred, p->last, p->n, give_named_repo, &a, &more, err);
}

static RUN(repo_show)
{
	struct answer a = ANSWER;

	return tree_repo_show(tree, cred, ((const struct call_names *)args)->name, give_repo, &a, err);
}

static RUN(repo_add)
{
	const struct call_settings *s = args;

	return tree_repo_add_visible(tree, cred, s->name, s->public, err);
}

static RUN(repo_set)
{
	const struct call_settings *s = args;

	if (s->public == SETTING_INHERIT)
		return err_set(err, ERR_ARGUMENT, "a repository's visibility is public or private");
	return tree_visibility_set(tree, cred, s->name, s->public == SETTING_YES, err);
}

static RUN(repo_rm)
{
	return tree_repo_rm(tree, cred, ((const struct call_names *)args)->name, err);
}

static RUN(namespace_show)
{
	const struct call_names *a = args;
	struct tree_namespace ns;
	int r = tree_namespace_get(tree, cred, a->name, &ns, err);
	const struct call_settings row = { .name = a->name, .public = r ? 0 : ns.public, .push_creates = r ? 0 : ns.push_creates };

	return r ? r : fn(arg, &row);
}

static RUN(namespace_set)
{
	const struct call_settings *s = args;
	const struct tree_namespace ns = { .public = s->public, .push_creates = s->push_creates };

	return tree_namespace_set(tree, cred, s->name, &ns, err);
}

static RUN(setting_show)
{
	const struct call_setting *s = args;
	auto_buf struct buf value = BUF_INIT;
	int r = tree_setting_get(tree, cred, s->of, s->key, &value, err);

	if (!r && buf_error(&value))
		r = err_set(err, ERR_NO_MEMORY, "out of memory");
	return r ? r : fn(arg, &(struct call_value){ .value = value.data });
}

static RUN(quota_list)
{
	struct answer a = ANSWER;

	return tree_quota_list(tree, cred, ((const struct call_setting *)args)->of, give_quota, &a, err);
}

static RUN(setting_set)
{
	const struct call_setting *s = args;

	return tree_setting_set(tree, cred, s->of, s->key, s->value, s->dry_run, err);
}

/* ---- Tags, images ---- */

struct tag_in_hand {
	const struct answer *answer;
	const char *tag;
	int64_t expires;
};

static int give_tag_image(void *arg, const struct tree_image_info *image)
{
	const struct tag_in_hand *t = arg;
	const struct call_tag row = { .tag = t->tag, .expires = t->expires, .image = *image };

	return give(t->answer, &row);
}

static int give_tag(void *arg, const char *name)
{
	const struct answer *a = arg;
	const struct call_page *p = a->args;
	struct tag_in_hand t = { .answer = a, .tag = name };
	int r = tree_tag_end(a->tree, a->cred, p->name, name, &t.expires, a->err);

	if (!r)
		r = tree_image_show(a->tree, a->cred, p->name, name, give_tag_image, &t, a->err);

	return r == -ENOENT ? 0 : r;	/* removed meanwhile */
}

static RUN(tag_list)
{
	struct answer a = ANSWER;
	const struct call_page *p = args;
	bool more;

	return tree_tag_list(tree, cred, p->name, p->last, p->n, give_tag, &a, &more, err);
}

static RUN(tag_add)
{
	const struct call_names *a = args;

	return a->dry_run ? tree_tag_may_set(tree, cred, a->name, a->reference, &a->digest, err) :
			    tree_tag_set(tree, cred, a->name, a->reference, &a->digest, err);
}

static RUN(tag_rm)
{
	const struct call_names *a = args;

	return tree_tag_rm(tree, cred, a->name, a->reference, err);
}

static RUN(tag_set)
{
	const struct call_end *e = args;
	struct call_time row;
	int r = tree_tag_set_end(tree, cred, e->name, e->tag, e->text, e->dry_run, &row.at, err);

	return r ? r : fn(arg, &row);
}

static RUN(prune)
{
	struct answer a = ANSWER;
	const struct call_end *e = args;
	const struct tree_prune_options o = { .repo = e->name, .dry_run = e->dry_run, .fn = give_pruned, .arg = &a };

	return tree_prune(tree, cred, &o, err);
}

static RUN(history)
{
	struct answer a = ANSWER;
	const struct call_history *h = args;
	const struct tree_history_query query = { .repo = h->name, .tag = h->tag, .after_tag = h->after_tag,
						  .after = MAX(h->after, 0), .n = MAX(h->n, 0) };

	return tree_history_list(tree, cred, &query, give_history, &a, err);
}

static RUN(rollback)
{
	const struct call_rollback *b = args;
	struct tree_rollback row;
	int r = tree_rollback(tree, cred, b->name, b->tag, b->to, b->dry_run, &row, err);

	return r ? r : fn(arg, &row);
}

static RUN(undo_list)
{
	struct answer a = ANSWER;
	const struct call_undo *u = args;
	const struct tree_undo_query query = { .repo = u->name, .by = u->by, .since = u->since, .before = MAX(u->id, 0), .n = MAX(u->n, 0) };

	return tree_undo_list(tree, cred, &query, give_removal, &a, err);
}

static RUN(undo)
{
	return tree_undo(tree, cred, ((const struct call_undo *)args)->id, err);
}

static RUN(undo_purge)
{
	return tree_undo_purge(tree, cred, ((const struct call_undo *)args)->id, err);
}

static RUN(image_list)
{
	struct answer a = ANSWER;

	return tree_image_list(tree, cred, ((const struct call_names *)args)->name, give_image, &a, err);
}

static RUN(image_show)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_image_show(tree, cred, n->name, n->reference, give_image, &a, err);
}

static RUN(image_children)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_image_children(tree, cred, n->name, &n->digest, give_image, &a, err);
}

static RUN(image_layers)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_image_layers(tree, cred, n->name, n->reference, give_layer, &a, err);
}

static RUN(image_index)
{
	const struct call_names *n = args;

	return tree_layers_prepare(tree, cred, n->name, n->reference, err);
}

static RUN(image_rm)
{
	const struct call_names *n = args;

	return tree_image_rm(tree, cred, n->name, &n->digest, err);
}

static RUN(layer_contents)
{
	const struct call_names *n = args;
	struct tree_contents contents = { 0 };
	int r = tree_layer_contents(tree, cred, n->name, &n->digest, &contents, err);

	return r ? r : fn(arg, &contents);
}

static RUN(used_by)
{
	struct answer a = ANSWER;
	const struct call_names *n = args;

	return tree_used_by(tree, cred, n->name, &n->digest, give_use, &a, err);
}

/* ---- Events ---- */

static int give_event(void *arg, const struct event_row *row)
{
	const struct call_event event = { .row = *row };

	return give(arg, &event);
}

static RUN(events)
{
	struct answer a = ANSWER;
	const struct call_events *e = args;
	struct call_event end = { .row.event = { .kind = "", .repository = "", .who = "", .origin = "" }, .end = true };
	int r = e->n < 1 ? err_set(err, ERR_ARGUMENT, "n is a number of events from 1 on, not %" PRId64, e->n) : 0;

	if (!r)
		r = tree_events(tree, cred, e->after, &e->filter, MIN(e->n, (int64_t)LIMIT_EVENTS), give_event, &a, &end.row.number, &end.more,
				err);
	return r ? r : fn(arg, &end);
}

/* ---- The table ---- */

static const struct call calls[CALL_COUNT] = {
	[CALL_ME] = { "me", no_args, me_row, false, run_me },
	[CALL_MAY] = { "may", may_args, NULL, false, run_may },
	[CALL_STATUS] = { "status", no_args, status_row, false, run_status },
	[CALL_REPO_LIST] = { "repo-list", page_args, repo_row, false, run_repo_list },
	[CALL_REPO_SHOW] = { "repo-show", name_args, repo_row, false, run_repo_show },
	[CALL_REPO_ADD] = { "repo-add", repo_set_args, NULL, true, run_repo_add },
	[CALL_REPO_SET] = { "repo-set", repo_set_args, NULL, true, run_repo_set },
	[CALL_REPO_RM] = { "repo-rm", name_args, NULL, true, run_repo_rm },
	[CALL_NAMESPACE_SHOW] = { "namespace-show", name_args, namespace_fields, false, run_namespace_show },
	[CALL_NAMESPACE_SET] = { "namespace-set", namespace_fields, NULL, true, run_namespace_set },
	[CALL_SETTING_SHOW] = { "setting-show", setting_args, value_row, false, run_setting_show },
	[CALL_SETTING_SET] = { "setting-set", setting_set_args, NULL, true, run_setting_set },
	[CALL_QUOTA_LIST] = { "quota-list", quota_args, quota_row, false, run_quota_list },
	[CALL_TAG_LIST] = { "tag-list", tag_page_args, tag_row, false, run_tag_list },
	[CALL_TAG_ADD] = { "tag-add", tag_args, NULL, true, run_tag_add },
	[CALL_TAG_RM] = { "tag-rm", tag_rm_args, NULL, true, run_tag_rm },
	[CALL_TAG_SET] = { "tag-set", end_args, time_row, true, run_tag_set },
	[CALL_PRUNE] = { "prune", prune_args, pruned_row, true, run_prune },
	[CALL_HISTORY] = { "history", history_args, history_row, false, run_history },
	[CALL_ROLLBACK] = { "rollback", rollback_args, rollback_row, true, run_rollback },
	[CALL_UNDO_LIST] = { "undo-list", undo_list_args, removal_row, false, run_undo_list },
	[CALL_UNDO] = { "undo", undo_args, NULL, true, run_undo },
	[CALL_UNDO_PURGE] = { "undo-purge", undo_args, NULL, true, run_undo_purge },
	[CALL_IMAGE_LIST] = { "image-list", name_args, image_row, false, run_image_list },
	[CALL_IMAGE_SHOW] = { "image-show", reference_args, image_row, false, run_image_show },
	[CALL_IMAGE_CHILDREN] = { "image-children", digest_args, image_row, false, run_image_children },
	[CALL_IMAGE_LAYERS] = { "image-layers", reference_args, layer_row, false, run_image_layers },
	[CALL_IMAGE_INDEX] = { "image-index", reference_args, NULL, false, run_image_index },
	[CALL_IMAGE_RM] = { "image-rm", digest_args, NULL, true, run_image_rm },
	[CALL_LAYER_CONTENTS] = { "layer-contents", digest_args, contents_row, false, run_layer_contents },
	[CALL_USED_BY] = { "used-by", use_args, use_row, false, run_used_by },
	[CALL_PERSON_LIST] = { "person-list", kind_args, person_row, false, run_person_list },
	[CALL_PERSON_SHOW] = { "person-show", name_args, person_row, false, run_person_show },
	[CALL_PERSON_ADD] = { "person-add", person_args, NULL, true, run_person_add },
	[CALL_PERSON_SET] = { "person-set", person_args, NULL, true, run_person_set },
	[CALL_PERSON_RM] = { "person-rm", name_args, NULL, true, run_person_rm },
	[CALL_MEMBER_ADD] = { "member-add", member_args, NULL, true, run_member_add },
	[CALL_MEMBER_RM] = { "member-rm", member_args, NULL, true, run_member_rm },
	[CALL_TOKEN_LIST] = { "token-list", owner_args, token_row, false, run_token_list },
	[CALL_TOKEN_ADD] = { "token-add", token_args, secret_row, true, run_token_add },
	[CALL_TOKEN_RM] = { "token-rm", token_rm_args, NULL, true, run_token_rm },
	[CALL_GRANT_SHOW] = { "grant-show", grant_args, grant_row, false, run_grant_show },
	[CALL_GRANT_SET] = { "grant-set", grant_set_args, NULL, true, run_grant_set },
	[CALL_GRANT_RM] = { "grant-rm", grant_args, NULL, true, run_grant_rm },
	[CALL_GRANT_POLICY] = { "grant-policy", policy_args, NULL, true, run_grant_policy },
	[CALL_ACCESS] = { "access", access_args, access_row_fields, false, run_access },
	[CALL_EVENTS] = { "events", events_args, event_row_fields, false, run_events },
	[CALL_HOOK_LIST] = { "hook-list", hook_list_args, hook_fields, false, run_hook_list },
	[CALL_HOOK_SHOW] = { "hook-show", hook_args, hook_fields, false, run_hook_show },
	[CALL_HOOK_ADD] = { "hook-add", hook_change_args, NULL, true, run_hook_add },
	[CALL_HOOK_SET] = { "hook-set", hook_change_args, NULL, true, run_hook_set },
	[CALL_HOOK_RM] = { "hook-rm", hook_args, NULL, true, run_hook_rm },
	[CALL_HOOK_TEST] = { "hook-test", hook_args, hook_event_row, true, run_hook_test },
	[CALL_HOOK_LOG] = { "hook-log", hook_log_args, delivery_fields, false, run_hook_log },
	[CALL_HOOK_ATTEMPTS] = { "hook-attempts", hook_delivery_args, attempt_fields, false, run_hook_attempts },
	[CALL_HOOK_RETRY] = { "hook-retry", hook_delivery_args, NULL, true, run_hook_retry },
	[CALL_ROOTFS_FIND] = { "rootfs-find", find_args, rootfs_row, false, run_rootfs_find },
	[CALL_ROOTFS_WALK] = { "rootfs-walk", walk_args, entry_row, false, run_rootfs_walk },
	[CALL_ROOTFS_SHOW] = { "rootfs-show", node_args, entry_row, false, run_rootfs_show },
	[CALL_ROOTFS_LIST] = { "rootfs-list", list_args, entry_row, false, run_rootfs_list },
	[CALL_ROOTFS_XATTRS] = { "rootfs-xattrs", node_args, xattr_row, false, run_rootfs_xattrs },
	[CALL_ROOTFS_DATA] = { "rootfs-data", data_args, run_row, false, run_rootfs_data },
	[CALL_ROOTFS_READ] = { "rootfs-read", read_args, NULL, false, NULL },
};

const struct call *call_at(enum call_id id)
{
	return &calls[id];
}

const struct call *call_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (streq(calls[i].name, name))
			return &calls[i];
	return NULL;
}

#define FITS(type) _Static_assert(sizeof(struct type) <= CALL_RECORD_MAX, "a record is too large")
FITS(call_names);
FITS(call_person);
FITS(call_tag);
FITS(tree_history);
FITS(tree_removal);
FITS(call_entry);
FITS(call_event);
FITS(call_hook);
FITS(call_listed_hook);
FITS(call_attempt);
FITS(tree_hook_delivery);
FITS(tree_stats);
