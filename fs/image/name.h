/*
 * name.h: the grammar of repository names, tags and references.
 *
 * distribution-spec, spec.md, "Pulling manifests":
 *   <name>      [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*
 *   <reference> a digest, or a tag: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
 * A name is at most LIMIT_NAME bytes. No component can start with '_', so the
 * tree's own names collide with none.
 */
#ifndef REGFS_NAME_H
#define REGFS_NAME_H

#include "fs/base/digest.h"
#include "fs/base/limits.h"

/* 0, or ERR_NAME_INVALID / ERR_TAG_INVALID with the value and the rule it breaks. */
int name_check(const char *name, struct err *err) MUST_CHECK;
int tag_check(const char *tag, struct err *err) MUST_CHECK;
bool name_component_ok(const char *component, size_t len);
bool tag_ok(const char *tag);

/* What the command line calls REF, as Docker spells it: name, name:tag, name@digest, name:tag@digest. */
struct ref {
	char name[LIMIT_NAME + 1];
	char tag[LIMIT_TAG + 1];	/* "" if the text has none */
	struct digest digest;		/* DIGEST_NONE if the text has none */
};

/* ERR_USAGE-class errors name the value; no host part is taken (it names another registry). */
int ref_parse(const char *text, struct ref *out, struct err *err) MUST_CHECK;

/* A REF, and after a colon a PATH inside the image: what begins with a slash behind the name (name:/etc/passwd), anything
 * behind a tag or a digest (name:tag:etc/passwd, name@sha256:...:/etc). *path points into text; NULL: there is none. */
int ref_path_parse(const char *text, struct ref *out, const char **path, struct err *err) MUST_CHECK;

#endif
