/*
 * view.h: the functions behind the table of kinds, and what they share.
 *
 * What each is for stands in struct kind (kind.h), where it is used in kind.c's table: text of a
 * small file, target of a link, presence, children by name, children in order.
 */
#ifndef REGFS_VIEW_H
#define REGFS_VIEW_H

#include "fs/tree/kind.h"

/* ---- Shared: view.c ---- */

struct node node_make(enum node_kind kind, int64_t row_id);
/* A file's name as the digest of this directory's algorithm; false if it isn't one. */
bool view_name_digest(const struct node *dir, const char *name, struct digest *out);
/* "<up><room>/sha256/4f..." */
int view_link_to(struct buf *out, const char *up, const char *room, const struct digest *d) MUST_CHECK;
/* The row of a cookie. */
int64_t view_row_after(uint64_t after);
int view_ref_image(const struct look *l, const struct ref_row *ref, struct image_row *out) MUST_CHECK;
int view_digest_line(struct buf *out, const struct digest *d) MUST_CHECK;
int view_time_line(struct buf *out, int64_t t) MUST_CHECK;

/* Gives blobs of the directory's algorithm; arg is this. */
struct blob_walk {
	struct listing *ls;
	const struct node *dir;
	enum node_kind kind;
	bool layers_only;
};
int view_give_blob(void *arg, const struct blob_row *row) MUST_CHECK;

/* Gives an entry named by the digest of the image whose manifest holds the reference. */
int view_give_user(struct listing *ls, enum node_kind kind, int phase,
		   const struct ref_row *row) MUST_CHECK;

/* ---- _registry/: view_registry.c ---- */

int view_version_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_stats_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_find_blob(const struct look *l, const struct node *n, const char *name,
		   struct node *out) MUST_CHECK;
int view_find_uses(const struct look *l, const struct node *n, const char *name,
		   struct node *out) MUST_CHECK;
int view_list_all_blobs(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_list_all_uses(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_use_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_list_uses(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_find_use(const struct look *l, const struct node *n, const char *name,
		  struct node *out) MUST_CHECK;

/* ---- repositories, tags, blobs, uploads, _oci/: view_repo.c ---- */

int view_find_repo(const struct look *l, const struct node *n, const char *name,
		   struct node *out) MUST_CHECK;
int view_list_repos(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_is_repository(const struct look *l, const struct node *n) MUST_CHECK;
int view_find_tag(const struct look *l, const struct node *n, const char *name,
		  struct node *out) MUST_CHECK;
int view_list_tags(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_tag_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_find_repo_blob(const struct look *l, const struct node *n, const char *name,
			struct node *out) MUST_CHECK;
int view_list_repo_blobs(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_find_upload(const struct look *l, const struct node *n, const char *name,
		     struct node *out) MUST_CHECK;
int view_list_uploads(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_oci_layout_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_oci_index_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;

/* ---- _images/: view_image.c ---- */

int view_find_image(const struct look *l, const struct node *n, const char *name,
		    struct node *out) MUST_CHECK;
int view_list_images(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_resolve_manifest(const struct look *l, const struct node *n, struct node *out) MUST_CHECK;
int view_resolve_config(const struct look *l, const struct node *n, struct node *out) MUST_CHECK;
int view_image_digest_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_id_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_size_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_media_type_text(const struct look *l, const struct node *n,
			       struct buf *out) MUST_CHECK;
int view_image_created_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_platform_text(const struct look *l, const struct node *n,
			     struct buf *out) MUST_CHECK;
int view_image_pushed_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_history_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_is_image(const struct look *l, const struct node *n) MUST_CHECK;
int view_is_index(const struct look *l, const struct node *n) MUST_CHECK;
int view_image_pulled_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_was_pulled(const struct look *l, const struct node *n) MUST_CHECK;
int view_has_created(const struct look *l, const struct node *n) MUST_CHECK;
int view_has_platform(const struct look *l, const struct node *n) MUST_CHECK;
int view_has_rootfs(const struct look *l, const struct node *n) MUST_CHECK;
uint64_t view_rootfs(const struct node *n);
int view_find_image_layer(const struct look *l, const struct node *n, const char *name,
			  struct node *out) MUST_CHECK;
int view_list_image_layers(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_image_layer_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_find_child(const struct look *l, const struct node *n, const char *name,
		    struct node *out) MUST_CHECK;
int view_list_children(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_child_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_find_image_use(const struct look *l, const struct node *n, const char *name,
			struct node *out) MUST_CHECK;
int view_list_image_uses(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_find_referrer(const struct look *l, const struct node *n, const char *name,
		       struct node *out) MUST_CHECK;
int view_list_referrers(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_image_tag_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_image_index_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;

/* ---- _layers/: view_layer.c ---- */

int view_find_layer(const struct look *l, const struct node *n, const char *name,
		    struct node *out) MUST_CHECK;
int view_list_layers(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_resolve_layer_blob(const struct look *l, const struct node *n,
			    struct node *out) MUST_CHECK;
int view_layer_size_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_layer_media_type_text(const struct look *l, const struct node *n,
			       struct buf *out) MUST_CHECK;
int view_has_diff_id(const struct look *l, const struct node *n) MUST_CHECK;
int view_layer_diff_id_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_has_tree(const struct look *l, const struct node *n) MUST_CHECK;
uint64_t view_layer_tree(const struct node *n);
int view_find_layer_use(const struct look *l, const struct node *n, const char *name,
			struct node *out) MUST_CHECK;
int view_list_layer_uses(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_layer_image_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;

/* ---- _history/: view_history.c ---- */

int view_is_first(const struct look *l, const struct node *n) MUST_CHECK;
int view_find_history_tag(const struct look *l, const struct node *n, const char *name, struct node *out) MUST_CHECK;
int view_list_history_tags(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_find_history(const struct look *l, const struct node *n, const char *name, struct node *out) MUST_CHECK;
int view_list_history(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_history_link(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_history_log_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
/* When an entry was made; of the directory and the log, when the tag was last moved or removed. */
int view_history_time(const struct look *l, const struct node *n, int64_t *out) MUST_CHECK;

/* ---- _settings/ and _access/: view_access.c ---- */

/* What the _access and _hooks of a repository, a namespace or the registry are about. */
#define VIEW_PATTERN_MAX (LIMIT_NAME + 3)
const char *view_pattern(const struct repo_row *repo, char out[static VIEW_PATTERN_MAX + 1]);
int view_is_namespace(const struct look *l, const struct node *n) MUST_CHECK;
int view_visibility_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_visibility_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
			  struct err *err) MUST_CHECK;
int view_push_creates_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_push_creates_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
			    struct err *err) MUST_CHECK;
int view_setting_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_setting_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
		       struct err *err) MUST_CHECK;
int view_find_grant(const struct look *l, const struct node *n, const char *name, struct node *out) MUST_CHECK;
int view_list_grants(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_grant_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_grant_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
		     struct err *err) MUST_CHECK;
/* As view_find_grant(), also for whom nothing is granted. */
int view_find_person(const struct look *l, const struct node *n, const char *name, struct node *out) MUST_CHECK;
int view_grant_rm(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name,
		  struct err *err) MUST_CHECK;
/* Reads what a ROW_GRANT's number stands for: 1, 0, or negative. */
int view_load_grant(const struct look *l, struct node *n) MUST_CHECK;

/* ---- _hooks/: view_hooks.c ---- */

int view_find_hook(const struct look *l, const struct node *n, const char *name, struct node *out) MUST_CHECK;
int view_list_hooks(struct listing *ls, const struct node *n, uint64_t after) MUST_CHECK;
int view_hook_text(const struct look *l, const struct node *n, struct buf *out) MUST_CHECK;
int view_hook_write(struct tree *tree, const struct cred *cred, const struct node *n, const char *value,
		    struct err *err) MUST_CHECK;
/* A file that isn't there yet, to be written to. */
int view_hook_create(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name, struct node *out,
		     struct err *err) MUST_CHECK;
int view_hook_rm(struct tree *tree, const struct cred *cred, const struct node *directory, const char *name,
		 struct err *err) MUST_CHECK;
/* Reads what a ROW_HOOK's number stands for: 1, 0, or negative. */
int view_load_hook(const struct look *l, struct node *n) MUST_CHECK;

/* ---- view_log.c: the audit trail, and events ---- */

int view_log_size(const struct look *l, const struct node *n, int64_t *out) MUST_CHECK;
int view_log_time(const struct look *l, const struct node *n, int64_t *out) MUST_CHECK;
int view_log_open(const struct look *l, const struct node *n, struct content **out) MUST_CHECK;

#endif
