/*
 * kind.c: the table of nodes: regfs(5) as data.
 *
 * Each row says what a node is called, what it stands for, and which functions know
 * its text, its target, its children (view.h). Adding a file to the tree is a value in
 * enum node_kind, a row here, and a function.
 */
#include "fs/base/base.h"
#include "fs/tree/view.h"

#include <sys/stat.h>

#define DIR_MODE (S_IFDIR | 0555)
#define OPEN_DIR_MODE (S_IFDIR | 0755)	/* things can be made in it */
#define FILE_MODE (S_IFREG | 0444)
#define VALUE_MODE (S_IFREG | 0644)	/* it can be written */
#define LINK_MODE (S_IFLNK | 0777)

#define SHA256 .name = "sha256", .algorithm = DIGEST_SHA256
#define SHA512 .name = "sha512", .algorithm = DIGEST_SHA512
#define IMAGE_TEXT(k, n, fn) \
	{ .kind = k, .parent = KIND_IMAGE, .name = n, .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, \
	  .fixed_data = true, .text = fn }

/* clang-format off: a row a line */
static const struct kind kinds[KIND_COUNT] = {
	[KIND_ROOT] = { .kind = KIND_ROOT, .mode = OPEN_DIR_MODE, .find = view_find_repo, .list = view_list_repos },

	[KIND_REGISTRY] = { .kind = KIND_REGISTRY, .parent = KIND_ROOT, .name = "_registry", .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true },
	[KIND_VERSION] = { .kind = KIND_VERSION, .parent = KIND_REGISTRY, .name = "version", .mode = FILE_MODE, .action = ACTION_ADMIN, .text = view_version_text },
	[KIND_STATS] = { .kind = KIND_STATS, .parent = KIND_REGISTRY, .name = "stats", .mode = FILE_MODE, .action = ACTION_ADMIN, .text = view_stats_text },
	[KIND_AUDIT] = { .kind = KIND_AUDIT, .parent = KIND_REGISTRY, .name = "audit", .mode = FILE_MODE, .action = ACTION_ADMIN, .size = view_log_size, .mtime = view_log_time, .open = view_log_open },
	[KIND_REGISTRY_EVENTS] = { .kind = KIND_REGISTRY_EVENTS, .parent = KIND_REGISTRY, .name = "events", .mode = FILE_MODE, .action = ACTION_ADMIN, .size = view_log_size, .mtime = view_log_time, .open = view_log_open },
	[KIND_ALL_BLOBS] = { .kind = KIND_ALL_BLOBS, .parent = KIND_REGISTRY, .name = "blobs", .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true },
	[KIND_ALL_BLOBS_SHA256] = { .kind = KIND_ALL_BLOBS_SHA256, .parent = KIND_ALL_BLOBS, SHA256, .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true, .find = view_find_blob, .list = view_list_all_blobs },
	[KIND_ALL_BLOBS_SHA512] = { .kind = KIND_ALL_BLOBS_SHA512, .parent = KIND_ALL_BLOBS, SHA512, .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true, .find = view_find_blob, .list = view_list_all_blobs },
	[KIND_ALL_USED_BY] = { .kind = KIND_ALL_USED_BY, .parent = KIND_REGISTRY, .name = "used-by", .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true },
	[KIND_ALL_USED_BY_SHA256] = { .kind = KIND_ALL_USED_BY_SHA256, .parent = KIND_ALL_USED_BY, SHA256, .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true, .find = view_find_uses, .list = view_list_all_uses },
	[KIND_ALL_USED_BY_SHA512] = { .kind = KIND_ALL_USED_BY_SHA512, .parent = KIND_ALL_USED_BY, SHA512, .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true, .find = view_find_uses, .list = view_list_all_uses },
	[KIND_USES] = { .kind = KIND_USES, .row = ROW_BLOB, .mode = DIR_MODE, .action = ACTION_ADMIN, .apart = true, .find = view_find_use, .list = view_list_uses },
	[KIND_USE_TAG] = { .kind = KIND_USE_TAG, .row = ROW_TAG, .mode = LINK_MODE, .action = ACTION_ADMIN, .apart = true, .link = view_use_link },
	[KIND_USE_IMAGE] = { .kind = KIND_USE_IMAGE, .row = ROW_REF, .mode = LINK_MODE, .action = ACTION_ADMIN, .apart = true, .link = view_use_link },
	[KIND_REGISTRY_SETTINGS] = { .kind = KIND_REGISTRY_SETTINGS, .parent = KIND_REGISTRY, .name = "settings", .mode = DIR_MODE, .action = ACTION_ADMIN, .fixed = true },
	[KIND_REGISTRY_VISIBILITY] = { .kind = KIND_REGISTRY_VISIBILITY, .parent = KIND_REGISTRY_SETTINGS, .name = "visibility", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_visibility_text, .write = view_visibility_write },
	[KIND_REGISTRY_PUSH_CREATES] = { .kind = KIND_REGISTRY_PUSH_CREATES, .parent = KIND_REGISTRY_SETTINGS, .name = "push-creates", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_push_creates_text, .write = view_push_creates_write },
	[KIND_REGISTRY_HISTORY_KEEP] = { .kind = KIND_REGISTRY_HISTORY_KEEP, .parent = KIND_REGISTRY_SETTINGS, .name = "history-keep", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_REGISTRY_IMMUTABLE] = { .kind = KIND_REGISTRY_IMMUTABLE, .parent = KIND_REGISTRY_SETTINGS, .name = "immutable", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_REGISTRY_UNDO_KEEP] = { .kind = KIND_REGISTRY_UNDO_KEEP, .parent = KIND_REGISTRY_SETTINGS, .name = "undo-keep", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_REGISTRY_QUOTA] = { .kind = KIND_REGISTRY_QUOTA, .parent = KIND_REGISTRY_SETTINGS, .name = "quota", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_REGISTRY_QUOTA_TAGS] = { .kind = KIND_REGISTRY_QUOTA_TAGS, .parent = KIND_REGISTRY_SETTINGS, .name = "quota-tags", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_REGISTRY_RETENTION] = { .kind = KIND_REGISTRY_RETENTION, .parent = KIND_REGISTRY_SETTINGS, .name = "retention", .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write, .value_max = LIMIT_RETENTION },
	[KIND_REGISTRY_ACCESS] = { .kind = KIND_REGISTRY_ACCESS, .parent = KIND_REGISTRY, .name = "access", .mode = OPEN_DIR_MODE, .action = ACTION_ADMIN, .find = view_find_grant, .list = view_list_grants },
	[KIND_REGISTRY_HOOKS] = { .kind = KIND_REGISTRY_HOOKS, .parent = KIND_REGISTRY, .name = "hooks", .mode = OPEN_DIR_MODE, .action = ACTION_ADMIN, .find = view_find_hook, .list = view_list_hooks },

	[KIND_REPO] = { .kind = KIND_REPO, .row = ROW_REPO, .mode = OPEN_DIR_MODE, .apart = true, .find = view_find_repo, .list = view_list_repos },
	[KIND_TAGS] = { .kind = KIND_TAGS, .parent = KIND_REPO, .name = "_tags", .row = ROW_REPO, .mode = OPEN_DIR_MODE, .present = view_is_repository, .find = view_find_tag, .list = view_list_tags },
	[KIND_TAG] = { .kind = KIND_TAG, .row = ROW_TAG, .mode = LINK_MODE, .link = view_tag_link },
	[KIND_PENDING] = { .kind = KIND_PENDING, .row = ROW_PENDING, .mode = LINK_MODE, .link = view_tag_link },

	[KIND_IMAGES] = { .kind = KIND_IMAGES, .parent = KIND_REPO, .name = "_images", .row = ROW_REPO, .mode = DIR_MODE, .present = view_is_repository },
	[KIND_IMAGES_SHA256] = { .kind = KIND_IMAGES_SHA256, .parent = KIND_IMAGES, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_image, .list = view_list_images },
	[KIND_IMAGES_SHA512] = { .kind = KIND_IMAGES_SHA512, .parent = KIND_IMAGES, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_image, .list = view_list_images },
	[KIND_IMAGE] = { .kind = KIND_IMAGE, .row = ROW_IMAGE, .mode = DIR_MODE },
	[KIND_MANIFEST_JSON] = { .kind = KIND_MANIFEST_JSON, .parent = KIND_IMAGE, .name = "manifest.json", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .resolve = view_resolve_manifest },
	[KIND_CONFIG_JSON] = { .kind = KIND_CONFIG_JSON, .parent = KIND_IMAGE, .name = "config.json", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .resolve = view_resolve_config },
	[KIND_IMAGE_DIGEST] = IMAGE_TEXT(KIND_IMAGE_DIGEST, "digest", view_image_digest_text),
	[KIND_IMAGE_ID] = { .kind = KIND_IMAGE_ID, .parent = KIND_IMAGE, .name = "id", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = view_is_image, .text = view_image_id_text },
	[KIND_IMAGE_SIZE] = IMAGE_TEXT(KIND_IMAGE_SIZE, "size", view_image_size_text),
	[KIND_IMAGE_MEDIA_TYPE] = IMAGE_TEXT(KIND_IMAGE_MEDIA_TYPE, "media-type", view_image_media_type_text),
	[KIND_IMAGE_CREATED] = { .kind = KIND_IMAGE_CREATED, .parent = KIND_IMAGE, .name = "created", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = view_has_created, .text = view_image_created_text },
	[KIND_IMAGE_PLATFORM] = { .kind = KIND_IMAGE_PLATFORM, .parent = KIND_IMAGE, .name = "platform", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = view_has_platform, .text = view_image_platform_text },
	[KIND_IMAGE_PUSHED] = { .kind = KIND_IMAGE_PUSHED, .parent = KIND_IMAGE, .name = "pushed", .row = ROW_IMAGE, .mode = FILE_MODE, .text = view_image_pushed_text },
	[KIND_IMAGE_PULLED] = { .kind = KIND_IMAGE_PULLED, .parent = KIND_IMAGE, .name = "pulled", .row = ROW_IMAGE, .mode = FILE_MODE, .present = view_was_pulled, .text = view_image_pulled_text },
	[KIND_IMAGE_HISTORY] = { .kind = KIND_IMAGE_HISTORY, .parent = KIND_IMAGE, .name = "history", .row = ROW_IMAGE, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .present = view_is_image, .text = view_image_history_text },
	[KIND_IMAGE_ROOTFS] = { .kind = KIND_IMAGE_ROOTFS, .parent = KIND_IMAGE, .name = "rootfs", .row = ROW_IMAGE, .mode = DIR_MODE, .fixed = true, .present = view_has_rootfs, .inside = view_rootfs },
	[KIND_IMAGE_LAYERS] = { .kind = KIND_IMAGE_LAYERS, .parent = KIND_IMAGE, .name = "layers", .row = ROW_IMAGE, .mode = DIR_MODE, .present = view_is_image, .find = view_find_image_layer, .list = view_list_image_layers },
	[KIND_IMAGE_LAYER] = { .kind = KIND_IMAGE_LAYER, .row = ROW_REF, .mode = LINK_MODE, .link = view_image_layer_link },
	[KIND_IMAGE_PLATFORMS] = { .kind = KIND_IMAGE_PLATFORMS, .parent = KIND_IMAGE, .name = "platforms", .row = ROW_IMAGE, .mode = DIR_MODE, .present = view_is_index, .find = view_find_child, .list = view_list_children },
	[KIND_IMAGE_CHILD] = { .kind = KIND_IMAGE_CHILD, .row = ROW_REF, .mode = LINK_MODE, .link = view_child_link },
	[KIND_IMAGE_REFERRERS] = { .kind = KIND_IMAGE_REFERRERS, .parent = KIND_IMAGE, .name = "referrers", .row = ROW_IMAGE, .mode = DIR_MODE, .find = view_find_referrer, .list = view_list_referrers },
	[KIND_IMAGE_REFERRER] = { .kind = KIND_IMAGE_REFERRER, .row = ROW_REF, .mode = LINK_MODE, .link = view_image_index_link },
	[KIND_IMAGE_USED_BY] = { .kind = KIND_IMAGE_USED_BY, .parent = KIND_IMAGE, .name = "used-by", .row = ROW_IMAGE, .mode = DIR_MODE, .find = view_find_image_use, .list = view_list_image_uses },
	[KIND_IMAGE_TAG] = { .kind = KIND_IMAGE_TAG, .row = ROW_TAG, .mode = LINK_MODE, .link = view_image_tag_link },
	[KIND_IMAGE_INDEX] = { .kind = KIND_IMAGE_INDEX, .row = ROW_REF, .mode = LINK_MODE, .link = view_image_index_link },

	[KIND_LAYERS] = { .kind = KIND_LAYERS, .parent = KIND_REPO, .name = "_layers", .row = ROW_REPO, .mode = DIR_MODE, .present = view_is_repository },
	[KIND_LAYERS_SHA256] = { .kind = KIND_LAYERS_SHA256, .parent = KIND_LAYERS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_layer, .list = view_list_layers },
	[KIND_LAYERS_SHA512] = { .kind = KIND_LAYERS_SHA512, .parent = KIND_LAYERS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_layer, .list = view_list_layers },
	[KIND_LAYER] = { .kind = KIND_LAYER, .row = ROW_LINK, .mode = DIR_MODE },
	[KIND_LAYER_BLOB] = { .kind = KIND_LAYER_BLOB, .parent = KIND_LAYER, .name = "blob", .row = ROW_LINK, .mode = FILE_MODE, .fixed = true, .resolve = view_resolve_layer_blob },
	[KIND_LAYER_SIZE] = { .kind = KIND_LAYER_SIZE, .parent = KIND_LAYER, .name = "size", .row = ROW_LINK, .mode = FILE_MODE, .fixed = true, .fixed_data = true, .text = view_layer_size_text },
	[KIND_LAYER_MEDIA_TYPE] = { .kind = KIND_LAYER_MEDIA_TYPE, .parent = KIND_LAYER, .name = "media-type", .row = ROW_LINK, .mode = FILE_MODE, .text = view_layer_media_type_text },
	[KIND_LAYER_DIFF_ID] = { .kind = KIND_LAYER_DIFF_ID, .parent = KIND_LAYER, .name = "diff-id", .row = ROW_LINK, .mode = FILE_MODE, .present = view_has_diff_id, .text = view_layer_diff_id_text },
	[KIND_LAYER_TREE] = { .kind = KIND_LAYER_TREE, .parent = KIND_LAYER, .name = "tree", .row = ROW_LINK, .mode = DIR_MODE, .fixed = true, .present = view_has_tree, .inside = view_layer_tree },
	[KIND_LAYER_USED_BY] = { .kind = KIND_LAYER_USED_BY, .parent = KIND_LAYER, .name = "used-by", .row = ROW_LINK, .mode = DIR_MODE, .find = view_find_layer_use, .list = view_list_layer_uses },
	[KIND_LAYER_IMAGE] = { .kind = KIND_LAYER_IMAGE, .row = ROW_REF, .mode = LINK_MODE, .link = view_layer_image_link },

	[KIND_BLOBS] = { .kind = KIND_BLOBS, .parent = KIND_REPO, .name = "_blobs", .row = ROW_REPO, .mode = DIR_MODE, .present = view_is_repository },
	[KIND_BLOBS_SHA256] = { .kind = KIND_BLOBS_SHA256, .parent = KIND_BLOBS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_repo_blob, .list = view_list_repo_blobs },
	[KIND_BLOBS_SHA512] = { .kind = KIND_BLOBS_SHA512, .parent = KIND_BLOBS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_repo_blob, .list = view_list_repo_blobs },
	[KIND_BLOB] = { .kind = KIND_BLOB, .row = ROW_BLOB, .mode = FILE_MODE, .apart = true, .fixed_data = true },

	[KIND_UPLOADS] = { .kind = KIND_UPLOADS, .parent = KIND_REPO, .name = "_uploads", .row = ROW_REPO, .mode = DIR_MODE, .action = ACTION_PUSH, .present = view_is_repository, .find = view_find_upload, .list = view_list_uploads },
	[KIND_UPLOAD] = { .kind = KIND_UPLOAD, .row = ROW_UPLOAD, .mode = FILE_MODE, .action = ACTION_PUSH },

	[KIND_OCI] = { .kind = KIND_OCI, .parent = KIND_REPO, .name = "_oci", .row = ROW_REPO, .mode = DIR_MODE, .present = view_is_repository },
	[KIND_OCI_LAYOUT] = { .kind = KIND_OCI_LAYOUT, .parent = KIND_OCI, .name = "oci-layout", .row = ROW_REPO, .mode = FILE_MODE, .fixed_data = true, .text = view_oci_layout_text },
	[KIND_OCI_INDEX] = { .kind = KIND_OCI_INDEX, .parent = KIND_OCI, .name = "index.json", .row = ROW_REPO, .mode = FILE_MODE, .text = view_oci_index_text },
	[KIND_OCI_BLOBS] = { .kind = KIND_OCI_BLOBS, .parent = KIND_OCI, .name = "blobs", .row = ROW_REPO, .mode = DIR_MODE },
	[KIND_OCI_BLOBS_SHA256] = { .kind = KIND_OCI_BLOBS_SHA256, .parent = KIND_OCI_BLOBS, SHA256, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_repo_blob, .list = view_list_repo_blobs },
	[KIND_OCI_BLOBS_SHA512] = { .kind = KIND_OCI_BLOBS_SHA512, .parent = KIND_OCI_BLOBS, SHA512, .row = ROW_REPO, .mode = DIR_MODE, .find = view_find_repo_blob, .list = view_list_repo_blobs },

	[KIND_HISTORY] = { .kind = KIND_HISTORY, .parent = KIND_REPO, .name = "_history", .row = ROW_REPO, .mode = DIR_MODE, .present = view_is_repository, .find = view_find_history_tag, .list = view_list_history_tags },
	[KIND_HISTORY_TAG] = { .kind = KIND_HISTORY_TAG, .row = ROW_HISTORY, .mode = DIR_MODE, .present = view_is_first, .find = view_find_history, .list = view_list_history },
	[KIND_HISTORY_LOG] = { .kind = KIND_HISTORY_LOG, .parent = KIND_HISTORY_TAG, .name = "log", .row = ROW_HISTORY, .mode = FILE_MODE, .action = ACTION_PUSH, .present = view_is_first, .text = view_history_log_text },
	[KIND_HISTORY_ENTRY] = { .kind = KIND_HISTORY_ENTRY, .row = ROW_HISTORY, .mode = LINK_MODE, .link = view_history_link },

	[KIND_EVENTS] = { .kind = KIND_EVENTS, .parent = KIND_REPO, .name = "_events", .row = ROW_REPO, .mode = FILE_MODE, .action = ACTION_PUSH, .present = view_is_repository, .size = view_log_size, .mtime = view_log_time, .open = view_log_open },

	[KIND_SETTINGS] = { .kind = KIND_SETTINGS, .parent = KIND_REPO, .name = "_settings", .row = ROW_REPO, .mode = DIR_MODE, .action = ACTION_ADMIN },
	[KIND_VISIBILITY] = { .kind = KIND_VISIBILITY, .parent = KIND_SETTINGS, .name = "visibility", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_visibility_text, .write = view_visibility_write },
	[KIND_PUSH_CREATES] = { .kind = KIND_PUSH_CREATES, .parent = KIND_SETTINGS, .name = "push-creates", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .present = view_is_namespace, .text = view_push_creates_text, .write = view_push_creates_write },
	[KIND_IMMUTABLE] = { .kind = KIND_IMMUTABLE, .parent = KIND_SETTINGS, .name = "immutable", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_UNDO_KEEP] = { .kind = KIND_UNDO_KEEP, .parent = KIND_SETTINGS, .name = "undo-keep", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_QUOTA] = { .kind = KIND_QUOTA, .parent = KIND_SETTINGS, .name = "quota", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_QUOTA_TAGS] = { .kind = KIND_QUOTA_TAGS, .parent = KIND_SETTINGS, .name = "quota-tags", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write },
	[KIND_RETENTION] = { .kind = KIND_RETENTION, .parent = KIND_SETTINGS, .name = "retention", .row = ROW_REPO, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_setting_text, .write = view_setting_write, .value_max = LIMIT_RETENTION },
	[KIND_ACCESS] = { .kind = KIND_ACCESS, .parent = KIND_REPO, .name = "_access", .row = ROW_REPO, .mode = OPEN_DIR_MODE, .action = ACTION_ADMIN, .find = view_find_grant, .list = view_list_grants },
	[KIND_HOOKS] = { .kind = KIND_HOOKS, .parent = KIND_REPO, .name = "_hooks", .row = ROW_REPO, .mode = OPEN_DIR_MODE, .action = ACTION_ADMIN, .find = view_find_hook, .list = view_list_hooks },
	[KIND_HOOK] = { .kind = KIND_HOOK, .row = ROW_HOOK, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_hook_text, .write = view_hook_write, .value_max = LIMIT_HOOK_FILE },
	[KIND_GRANT] = { .kind = KIND_GRANT, .row = ROW_GRANT, .mode = VALUE_MODE, .action = ACTION_ADMIN, .text = view_grant_text, .write = view_grant_write },
};
/* clang-format on */

const struct kind *kind_of(enum node_kind kind)
{
	return &kinds[kind];
}
