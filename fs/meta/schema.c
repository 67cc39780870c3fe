/*
 * schema.c: the tables, and the way from older ones.
 *
 * Version N is made from version N-1 by steps[N-1]; a new database runs them all. A
 * released step is never changed.
 *
 * Identifiers are never used again (AUTOINCREMENT): the mount's inode numbers are made of them, and
 * a kernel may remember what it was told about one for ever. Digests are stored as a byte for the
 * algorithm and the raw bytes (fs/base/digest.h); times are nanoseconds since 1970.
 *
 *	repository	   a name; also the namespaces above it (is_repository = 0)
 *	blob		   bytes in the store, each once
 *	repository_blob	   that a repository holds a blob, and since when it was last asked for
 *	manifest	   that a blob is an image of a repository, and what is known of it
 *	manifest_ref	   what a manifest names: config, layers, children, subject
 *	tag		   a name for an image
 *	upload		   in progress; its bytes are in the store's uploads/
 *	doomed		   blobs that lost their row, whose files are to be unlinked
 *	counter, event	   what happened, numbered in the order of the commits
 *	event_file	   where a repository's file of events ended with the last row that was removed
 *	namespace	   what repositories below a name begin with, and whether a push makes them
 *	principal	   users, groups and robots
 *	member		   that a principal is in a group
 *	token		   secrets of users and robots: what the hash is of was shown once
 *	access_grant	   that a principal may do something in the repositories that a pattern matches
 *	audit		   who did what, and who tried to: see audit.h
 *	tag_history	   what each tag named, and who made it do so
 *	removal, removed_* what was removed and can be brought back, as it was
 *	setting		   of a repository, or of all below a name
 *
 * counter 'access' counts the transactions that changed people, tokens, grants or visibility; 'audit' the bytes of all lines
 * of the audit trail, the removed ones included; 'event-bytes' is where the
 * last event that was removed ended.
 */
#include "fs/base/base.h"
#include "fs/meta/meta.h"

static const char *const steps[] = {
	/* 1 */
	"INSERT INTO registry(name, value) VALUES ('created', CAST(strftime('%s', 'now') AS INTEGER));"

	"CREATE TABLE repository("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" parent_id INTEGER NOT NULL,"		/* 0: at the top */
	" component TEXT NOT NULL,"
	" name TEXT NOT NULL UNIQUE,"
	" is_repository INTEGER NOT NULL,"	/* 0: a namespace only */
	" on_purpose INTEGER NOT NULL,"		/* stays when it becomes empty */
	" listed INTEGER NOT NULL,"		/* on purpose, or holds an image: in the catalog */
	" emptied INTEGER NOT NULL DEFAULT 0,"	/* its last image was removed, and nothing came since */
	" created INTEGER NOT NULL,"
	" changed INTEGER NOT NULL);"		/* when a tag or an image last came, moved or went */
	"CREATE UNIQUE INDEX repository_parent ON repository(parent_id, component);"
	"CREATE INDEX repository_children ON repository(parent_id, id);"
	"CREATE INDEX repository_listed ON repository(name) WHERE listed = 1;"

	"CREATE TABLE blob("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" digest BLOB NOT NULL UNIQUE,"
	" size INTEGER NOT NULL,"
	" bad INTEGER NOT NULL DEFAULT 0,"	/* its file is lost or damaged: served to nobody */
	" created INTEGER NOT NULL);"
	"CREATE INDEX blob_bad ON blob(id) WHERE bad = 1;"

	"CREATE TABLE repository_blob("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" repository_id INTEGER NOT NULL REFERENCES repository(id),"
	" blob_id INTEGER NOT NULL REFERENCES blob(id),"
	" linked INTEGER NOT NULL,"
	" uses INTEGER NOT NULL,"		/* manifests of the repository that it is, or that need it */
	" UNIQUE(repository_id, blob_id));"
	"CREATE INDEX repository_blob_unused ON repository_blob(linked) WHERE uses = 0;"
	"CREATE INDEX repository_blob_list ON repository_blob(repository_id, id);"
	"CREATE INDEX repository_blob_blob ON repository_blob(blob_id);"

	"CREATE TABLE manifest("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" repository_id INTEGER NOT NULL REFERENCES repository(id),"
	" blob_id INTEGER NOT NULL REFERENCES blob(id),"
	" is_index INTEGER NOT NULL,"
	" media_type TEXT NOT NULL,"
	" artifact_type TEXT NOT NULL,"
	" config BLOB,"
	" platform TEXT NOT NULL,"
	" size INTEGER NOT NULL,"		/* with config and layers, or children */
	" created INTEGER NOT NULL,"
	" pushed INTEGER NOT NULL,"
	" untagged INTEGER NOT NULL,"		/* since when no tag names it; 0: one does */
	" UNIQUE(repository_id, blob_id));"
	"CREATE INDEX manifest_untagged ON manifest(untagged) WHERE untagged > 0;"
	"CREATE INDEX manifest_list ON manifest(repository_id, id);"
	"CREATE INDEX manifest_blob ON manifest(blob_id);"
	"CREATE INDEX manifest_config ON manifest(config);"

	"CREATE TABLE manifest_ref("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" manifest_id INTEGER NOT NULL REFERENCES manifest(id),"
	" repository_id INTEGER NOT NULL REFERENCES repository(id),"
	" role INTEGER NOT NULL,"
	" position INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" size INTEGER NOT NULL,"
	" media_type TEXT NOT NULL,"
	" platform TEXT NOT NULL);"
	"CREATE UNIQUE INDEX manifest_ref_list ON manifest_ref(manifest_id, role, position);"
	"CREATE INDEX manifest_ref_digest ON manifest_ref(digest, repository_id, role);"
	"CREATE INDEX manifest_ref_repository ON manifest_ref(repository_id);"

	"CREATE TABLE tag("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" repository_id INTEGER NOT NULL REFERENCES repository(id),"
	" name TEXT NOT NULL,"
	" manifest_id INTEGER NOT NULL REFERENCES manifest(id),"
	" moved INTEGER NOT NULL,"
	" UNIQUE(repository_id, name));"
	"CREATE INDEX tag_list ON tag(repository_id, id);"
	"CREATE INDEX tag_manifest ON tag(manifest_id);"

	"CREATE TABLE upload("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL UNIQUE,"
	" repository_id INTEGER NOT NULL REFERENCES repository(id),"
	" algorithm INTEGER NOT NULL,"
	" started INTEGER NOT NULL,"
	" who TEXT NOT NULL);"
	"CREATE INDEX upload_list ON upload(repository_id, id);"

	"CREATE TABLE doomed(digest BLOB PRIMARY KEY, size INTEGER NOT NULL);"

	"CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
	"INSERT INTO counter(name, value) VALUES ('event', 0);"

	"CREATE TABLE event("
	" number INTEGER PRIMARY KEY,"
	" at INTEGER NOT NULL,"
	" kind TEXT NOT NULL,"
	" repository TEXT NOT NULL,"
	" tag TEXT,"
	" digest BLOB,"
	" changed INTEGER NOT NULL,"
	" who TEXT NOT NULL,"
	" origin TEXT NOT NULL);"
	"CREATE INDEX event_repository ON event(repository, number);",

	/* 2 */
	"ALTER TABLE repository ADD COLUMN public INTEGER NOT NULL DEFAULT 0;"	/* anyone may pull */
	"CREATE INDEX repository_public ON repository(name) WHERE public = 1;"

	"CREATE TABLE namespace("
	" name TEXT PRIMARY KEY,"		/* '': the registry */
	" public INTEGER,"			/* of a repository that is made below; NULL: as above it */
	" push_creates INTEGER);"		/* likewise */

	"CREATE TABLE principal("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" kind INTEGER NOT NULL,"		/* 1 a user, 2 a group, 3 a robot */
	" name TEXT NOT NULL UNIQUE,"		/* with its sign */
	" password TEXT,"			/* crypt(5)'s; NULL: none */
	" administrator INTEGER NOT NULL DEFAULT 0,"
	" disabled INTEGER NOT NULL DEFAULT 0,"
	" expires INTEGER NOT NULL DEFAULT 0,"	/* 0: never */
	" created INTEGER NOT NULL);"
	"CREATE INDEX principal_kind ON principal(kind, name);"

	"CREATE TABLE member("
	" group_id INTEGER NOT NULL REFERENCES principal(id),"
	" principal_id INTEGER NOT NULL REFERENCES principal(id),"
	" PRIMARY KEY(group_id, principal_id));"
	"CREATE INDEX member_principal ON member(principal_id, group_id);"

	"CREATE TABLE token("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" principal_id INTEGER NOT NULL REFERENCES principal(id),"
	" name TEXT NOT NULL,"
	" hash BLOB NOT NULL UNIQUE,"		/* as a digest */
	" scopes TEXT,"				/* NULL: not limited */
	" created INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"		/* 0: never */
	" used INTEGER NOT NULL DEFAULT 0,"	/* when it was last, to some minutes; 0: never */
	" UNIQUE(principal_id, name));"

	"CREATE TABLE access_grant("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" principal_id INTEGER NOT NULL REFERENCES principal(id),"
	" pattern TEXT NOT NULL,"
	" actions INTEGER NOT NULL,"		/* bits: fs/auth/action.h */
	" origin TEXT NOT NULL,"		/* where it is from: '', or a policy's name */
	" created INTEGER NOT NULL,"
	" who TEXT NOT NULL,"			/* who granted it */
	" UNIQUE(principal_id, pattern));"
	"CREATE INDEX access_grant_pattern ON access_grant(pattern, principal_id);"

	"ALTER TABLE event ADD COLUMN about TEXT;"	/* a principal, a pattern */
	"INSERT INTO counter(name, value) VALUES ('access', 1);",

	/* 3 */
	"CREATE TABLE audit("
	" number INTEGER PRIMARY KEY,"		/* where its line ends, among all that were ever written */
	" size INTEGER NOT NULL,"		/* of the line with its newline */
	" at INTEGER NOT NULL,"
	" action TEXT NOT NULL,"
	" result INTEGER NOT NULL,"		/* 0 ok, 1 denied, 2 failed */
	" who TEXT NOT NULL,"
	" repository TEXT,"
	" line TEXT NOT NULL);"
	"CREATE INDEX audit_at ON audit(at);"
	"CREATE INDEX audit_who ON audit(who, at);"
	"CREATE INDEX audit_repository ON audit(repository, at) WHERE repository IS NOT NULL;"
	/* Nothing is changed in it, and only the oldest row may go. */
	"CREATE TRIGGER audit_change BEFORE UPDATE ON audit"
	" BEGIN SELECT RAISE(ABORT, 'the audit trail is only added to'); END;"
	"CREATE TRIGGER audit_removal BEFORE DELETE ON audit"
	" WHEN EXISTS (SELECT 1 FROM audit WHERE number < OLD.number)"
	" BEGIN SELECT RAISE(ABORT, 'the audit trail loses its oldest row only'); END;"
	"INSERT INTO counter(name, value) VALUES ('audit', 0);",

	/* 4 */
	"CREATE TABLE tag_history("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" repository_id INTEGER NOT NULL REFERENCES repository(id) ON DELETE CASCADE,"
	" tag TEXT NOT NULL,"
	" number INTEGER NOT NULL,"		/* from 1, in the order of the commits */
	" digest BLOB NOT NULL,"		/* of the image, which may have gone */
	" latest INTEGER NOT NULL,"		/* the tag names that image in no later entry */
	" at INTEGER NOT NULL,"
	" event INTEGER NOT NULL,"		/* 0: it is from before this table */
	" who TEXT NOT NULL,"
	" origin TEXT NOT NULL,"
	" removed INTEGER,"			/* when the tag was, while this was its last entry */
	" removed_event INTEGER,"
	" removed_who TEXT,"
	" removed_origin TEXT,"
	" UNIQUE(repository_id, tag, number));"
	"CREATE INDEX tag_history_latest ON tag_history(repository_id, tag, number) WHERE latest = 1;"
	"CREATE INDEX tag_history_image ON tag_history(repository_id, digest, tag, number);"
	"CREATE INDEX tag_history_first ON tag_history(repository_id, id) WHERE number = 1;"
	"INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin)"
	" SELECT t.repository_id, t.name, 1, b.digest, 1, t.moved, 0, '', '' FROM tag t"
	" JOIN manifest m ON m.id = t.manifest_id JOIN blob b ON b.id = m.blob_id ORDER BY t.id;"

	"CREATE TABLE setting("
	" name TEXT NOT NULL,"
	" below INTEGER NOT NULL,"		/* 1: of all repositories below the name */
	" key TEXT NOT NULL,"
	" value TEXT NOT NULL,"
	" PRIMARY KEY(name, below, key));",

	/* 5 */
	"ALTER TABLE manifest ADD COLUMN pulled INTEGER NOT NULL DEFAULT 0;"	/* when it was last, to some minutes; 0: never */
	"ALTER TABLE manifest ADD COLUMN expires TEXT NOT NULL DEFAULT '';"	/* as its label says */
	"ALTER TABLE tag ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"	/* 0: never */
	"ALTER TABLE tag ADD COLUMN own_end INTEGER NOT NULL DEFAULT 0;"	/* 1: that was set for the tag, the label is passed over */
	"CREATE INDEX tag_expires ON tag(repository_id, expires) WHERE expires > 0;",

	/* 6 */
	"CREATE TABLE removal("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" until INTEGER NOT NULL,"		/* it can be brought back until then */
	" kind TEXT NOT NULL,"			/* of its event */
	" repository TEXT NOT NULL,"
	" tag TEXT NOT NULL,"
	" digest BLOB,"
	" at INTEGER NOT NULL,"
	" event INTEGER NOT NULL,"
	" who TEXT NOT NULL,"
	" origin TEXT NOT NULL,"
	" public INTEGER NOT NULL,"		/* what the repository was */
	" on_purpose INTEGER NOT NULL,"
	" created INTEGER NOT NULL);"
	"CREATE INDEX removal_until ON removal(until);"
	"CREATE INDEX removal_at ON removal(at);"
	"CREATE INDEX removal_event ON removal(event);"
	"CREATE INDEX removal_repository ON removal(repository);"
	"CREATE TABLE removed_tag("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" name TEXT NOT NULL,"
	" digest BLOB NOT NULL,"
	" moved INTEGER NOT NULL,"
	" expires INTEGER NOT NULL,"
	" own_end INTEGER NOT NULL);"
	"CREATE INDEX removed_tag_removal ON removed_tag(removal_id);"
	"CREATE INDEX removed_tag_digest ON removed_tag(digest);"
	"CREATE TABLE removed_manifest("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" old_id INTEGER NOT NULL,"		/* the row's that it was */
	" blob_id INTEGER NOT NULL REFERENCES blob(id),"
	" is_index INTEGER NOT NULL,"
	" media_type TEXT NOT NULL,"
	" artifact_type TEXT NOT NULL,"
	" config BLOB,"
	" platform TEXT NOT NULL,"
	" size INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" pushed INTEGER NOT NULL,"
	" pulled INTEGER NOT NULL,"
	" expires TEXT NOT NULL,"
	" PRIMARY KEY(removal_id, old_id));"
	"CREATE INDEX removed_manifest_blob ON removed_manifest(blob_id);"
	"CREATE TABLE removed_ref("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" old_id INTEGER NOT NULL,"
	" role INTEGER NOT NULL,"
	" position INTEGER NOT NULL,"
	" digest BLOB NOT NULL,"
	" size INTEGER NOT NULL,"
	" media_type TEXT NOT NULL,"
	" platform TEXT NOT NULL,"
	" PRIMARY KEY(removal_id, old_id, role, position));"
	"CREATE TABLE removed_blob("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" blob_id INTEGER NOT NULL REFERENCES blob(id),"
	" PRIMARY KEY(removal_id, blob_id));"
	"CREATE INDEX removed_blob_blob ON removed_blob(blob_id);"
	"CREATE TABLE removed_history("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" tag TEXT NOT NULL, number INTEGER NOT NULL, digest BLOB NOT NULL, latest INTEGER NOT NULL,"
	" at INTEGER NOT NULL, event INTEGER NOT NULL, who TEXT NOT NULL, origin TEXT NOT NULL,"
	" removed INTEGER, removed_event INTEGER, removed_who TEXT, removed_origin TEXT,"
	" PRIMARY KEY(removal_id, tag, number));"
	"CREATE TABLE removed_grant("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" principal TEXT NOT NULL, pattern TEXT NOT NULL, actions INTEGER NOT NULL, origin TEXT NOT NULL,"
	" created INTEGER NOT NULL, who TEXT NOT NULL, PRIMARY KEY(removal_id, principal, pattern));"
	"CREATE TABLE removed_setting("
	" removal_id INTEGER NOT NULL REFERENCES removal(id) ON DELETE CASCADE,"
	" key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(removal_id, key));",

	/* 7 */
	"ALTER TABLE event ADD COLUMN size INTEGER NOT NULL DEFAULT 0;"	/* of its line, see event.h; 0: of before there were lines */
	"ALTER TABLE event ADD COLUMN place INTEGER NOT NULL DEFAULT 0;"	/* where it ends, among all; 0: it stands nowhere */
	"ALTER TABLE event ADD COLUMN own_place INTEGER NOT NULL DEFAULT 0;"	/* the same, among its repository's */
	"DROP INDEX event_repository;"
	"CREATE INDEX event_own_place ON event(repository, own_place) WHERE own_place > 0;"
	"CREATE TABLE event_file(repository TEXT PRIMARY KEY, size INTEGER NOT NULL);"
	"INSERT INTO counter(name, value) VALUES ('event-bytes', 0);",

	/* 8 */
	"ALTER TABLE removed_tag ADD COLUMN repository TEXT NOT NULL DEFAULT '';"	/* the removal's */
	"UPDATE removed_tag SET repository = (SELECT repository FROM removal WHERE id = removal_id);"
	"DROP INDEX removed_tag_digest;"
	"CREATE INDEX removed_tag_digest ON removed_tag(repository, digest);"
	"CREATE INDEX removed_tag_name ON removed_tag(repository, name);"
	"ALTER TABLE tag_history ADD COLUMN place INTEGER;"	/* the event by which it stands among the moves, if that isn't its own */
	"ALTER TABLE removed_history ADD COLUMN place INTEGER;",
};

static int current_version(struct db *db, int64_t *out, struct err *err)
{
	int64_t there = 0;
	int r = db_get_int(db, &there, err,
			   "SELECT COUNT(*) FROM sqlite_master WHERE type='table' AND name='registry'", "");

	if (r < 0)
		return r;
	*out = 0;
	if (!there)
		return 0;
	r = db_get_int(db, out, err, "SELECT value FROM registry WHERE name = 'schema'", "");
	return r < 0 ? r : 0;
}

static int run_steps(struct db *db, int64_t version, struct err *err)
{
	int r = 0;

	if (!version)
		r = db_exec(db,
			    "CREATE TABLE registry(name TEXT PRIMARY KEY, value INTEGER NOT NULL);"
			    "INSERT INTO registry(name, value) VALUES ('schema', 0);",
			    err);
	for (; !r && version < (int64_t)ARRAY_SIZE(steps); version++) {
		r = db_exec(db, steps[version], err);
		if (!r)
			r = (int)MIN(0, db_run(db, err,
					       "UPDATE registry SET value = ? WHERE name = 'schema'", "i",
					       version + 1));
	}
	return r;
}

int schema_upgrade(struct db *db, struct err *err)
{
	int64_t version;
	int r = current_version(db, &version, err);

	if (r)
		return r;
	if (version > (int64_t)ARRAY_SIZE(steps))
		return err_set(err, ERR_ARGUMENT,
			       "the store has schema %" PRId64 ", this regfs knows up to %zu: use a newer regfs",
			       version, ARRAY_SIZE(steps));
	if (version == (int64_t)ARRAY_SIZE(steps))
		return 0;
	r = db_begin_write(db, true, err);
	if (!r)
		r = current_version(db, &version, err);	/* another process may have been faster */
	if (!r)
		r = run_steps(db, version, err);
	if (!r)
		r = db_commit(db, err);
	if (r)
		db_rollback(db);
	return r;
}
