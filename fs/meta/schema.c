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
 *	quota, quota_*	   what those use who have a setting `quota` or `quota-tags`: see quota.h
 *	hook		   who wants to be told of what: see hook.h
 *	delivery	   that an event is to be told to a hook, or was; attempt: each time it was tried
 *
 * counter 'access' counts the transactions that changed people, tokens, grants or visibility; 'audit' the bytes of all lines
 * of the audit trail, the removed ones included; 'event-bytes' is where the
 * last event that was removed ended; 'delivery' is the last event of which
 * deliveries were made.
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
	"CREATE TABLE quota("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" name TEXT NOT NULL,"			/* the setting's */
	" below INTEGER NOT NULL,"
	" low TEXT NOT NULL,"			/* its repositories' names are those from low to high */
	" high TEXT NOT NULL,"
	" bytes INTEGER NOT NULL DEFAULT 0,"	/* of its rows in quota_blob */
	" tags INTEGER NOT NULL DEFAULT 0,"
	" bytes_limit INTEGER,"			/* as the settings say, parsed; NULL: none */
	" tags_limit INTEGER,"
	" counted INTEGER NOT NULL DEFAULT 0,"	/* how often it was counted anew: an update of this does it */
	" UNIQUE(name, below));"
	"CREATE TABLE quota_holder("
	" holder INTEGER NOT NULL,"		/* a repository's id; of a removal, the negative one */
	" quota_id INTEGER NOT NULL,"
	" PRIMARY KEY(holder, quota_id)) WITHOUT ROWID;"
	"CREATE INDEX quota_holder_quota ON quota_holder(quota_id);"
	"CREATE TABLE quota_blob("
	" quota_id INTEGER NOT NULL,"
	" blob_id INTEGER NOT NULL,"
	" size INTEGER NOT NULL,"
	" holders INTEGER NOT NULL,"		/* rows of repository_blob and removed_blob that have it */
	" PRIMARY KEY(quota_id, blob_id)) WITHOUT ROWID;"
	"CREATE INDEX quota_blob_size ON quota_blob(quota_id, size);"

	"CREATE TRIGGER quota_blob_new AFTER INSERT ON quota_blob BEGIN"
	" UPDATE quota SET bytes = bytes + NEW.size WHERE id = NEW.quota_id; END;"
	"CREATE TRIGGER quota_blob_gone AFTER DELETE ON quota_blob BEGIN"
	" UPDATE quota SET bytes = bytes - OLD.size WHERE id = OLD.quota_id; END;"
	"CREATE TRIGGER quota_blob_unheld AFTER UPDATE OF holders ON quota_blob WHEN NEW.holders <= 0 BEGIN"
	" DELETE FROM quota_blob WHERE quota_id = NEW.quota_id AND blob_id = NEW.blob_id; END;"

#define QUOTA_GETS(holder)                                                                    \
	" WHEN EXISTS(SELECT 1 FROM quota_holder WHERE holder = " holder ") BEGIN"            \
	" INSERT INTO quota_blob(quota_id, blob_id, size, holders) SELECT o.quota_id, b.id, b.size, 1" \
	" FROM quota_holder o JOIN blob b ON b.id = NEW.blob_id WHERE o.holder = " holder     \
	" ON CONFLICT(quota_id, blob_id) DO UPDATE SET holders = holders + 1; END;"
#define QUOTA_LOSES(holder)                                                                   \
	" WHEN EXISTS(SELECT 1 FROM quota_holder WHERE holder = " holder ") BEGIN"            \
	" UPDATE quota_blob SET holders = holders - 1 WHERE blob_id = OLD.blob_id AND quota_id IN"     \
	" (SELECT quota_id FROM quota_holder WHERE holder = " holder "); END;"
	"CREATE TRIGGER quota_link AFTER INSERT ON repository_blob" QUOTA_GETS("NEW.repository_id")
	"CREATE TRIGGER quota_unlink AFTER DELETE ON repository_blob" QUOTA_LOSES("OLD.repository_id")
	"CREATE TRIGGER quota_pin AFTER INSERT ON removed_blob" QUOTA_GETS("-NEW.removal_id")
	"CREATE TRIGGER quota_unpin AFTER DELETE ON removed_blob" QUOTA_LOSES("-OLD.removal_id")
	"CREATE TRIGGER quota_tag AFTER INSERT ON tag BEGIN UPDATE quota SET tags = tags + 1 WHERE id IN"
	" (SELECT quota_id FROM quota_holder WHERE holder = NEW.repository_id); END;"
	"CREATE TRIGGER quota_untag AFTER DELETE ON tag BEGIN UPDATE quota SET tags = tags - 1 WHERE id IN"
	" (SELECT quota_id FROM quota_holder WHERE holder = OLD.repository_id); END;"

	/* A repository is its own quota's, the namespace's above it, and those that one is in. */
	"CREATE TRIGGER quota_repository AFTER INSERT ON repository WHEN EXISTS(SELECT 1 FROM quota) BEGIN"
	" INSERT INTO quota_holder(holder, quota_id)"
	"  SELECT NEW.id, id FROM quota WHERE name = NEW.name AND below = 0"
	"  UNION SELECT NEW.id, id FROM quota WHERE below = 1"
	"   AND name = COALESCE((SELECT name FROM repository WHERE id = NEW.parent_id), '')"
	"  UNION SELECT NEW.id, q.id FROM quota_holder o JOIN quota q ON q.id = o.quota_id AND q.below = 1"
	"   WHERE o.holder = NEW.parent_id; END;"
	"CREATE TRIGGER quota_repository_gone AFTER DELETE ON repository BEGIN"
	" DELETE FROM quota_holder WHERE holder = OLD.id; END;"
	"CREATE TRIGGER quota_removal AFTER INSERT ON removal WHEN EXISTS(SELECT 1 FROM quota) BEGIN"
	" INSERT INTO quota_holder(holder, quota_id) SELECT -NEW.id, o.quota_id FROM repository r"
	"  JOIN quota_holder o ON o.holder = r.id WHERE r.name = NEW.repository; END;"
	/* Its blobs go before it does: it must still be known whose they were. */
	"CREATE TRIGGER quota_removal_gone BEFORE DELETE ON removal BEGIN"
	" DELETE FROM removed_blob WHERE removal_id = OLD.id;"
	" DELETE FROM quota_holder WHERE holder = -OLD.id; END;"

#define QUOTA_KEYS "('quota', 'quota-tags')"
	/* As size_parse() does it, of what that took. */
#define QUOTA_LIMITS(row)                                                                     \
	" UPDATE quota SET bytes_limit = (SELECT CAST(value AS INTEGER) * CASE"               \
	"  WHEN value GLOB '*[kK]i*' THEN 1024 WHEN value GLOB '*Mi*' THEN 1048576"           \
	"  WHEN value GLOB '*Gi*' THEN 1073741824 WHEN value GLOB '*Ti*' THEN 1099511627776"  \
	"  WHEN value GLOB '*[kK]*' THEN 1000 WHEN value GLOB '*M*' THEN 1000000"             \
	"  WHEN value GLOB '*G*' THEN 1000000000 WHEN value GLOB '*T*' THEN 1000000000000 ELSE 1 END" \
	"  FROM setting WHERE name = " row ".name AND below = " row ".below AND key = 'quota')," \
	" tags_limit = (SELECT CAST(value AS INTEGER) FROM setting WHERE name = " row ".name" \
	"  AND below = " row ".below AND key = 'quota-tags')"                                 \
	" WHERE name = " row ".name AND below = " row ".below;"
	"CREATE TRIGGER quota_set AFTER INSERT ON setting WHEN NEW.key IN " QUOTA_KEYS " BEGIN"
	" INSERT INTO quota(name, below, low, high) VALUES (NEW.name, NEW.below,"
	"  NEW.name || CASE WHEN NEW.below = 1 AND NEW.name <> '' THEN '/' ELSE '' END,"
	"  NEW.name || CASE WHEN NEW.below = 0 THEN '' WHEN NEW.name = '' THEN '~' ELSE '/~' END)"
	" ON CONFLICT(name, below) DO NOTHING;" QUOTA_LIMITS("NEW")
	" UPDATE quota SET counted = 1 WHERE name = NEW.name AND below = NEW.below AND counted = 0; END;"
	"CREATE TRIGGER quota_changed AFTER UPDATE ON setting WHEN NEW.key IN " QUOTA_KEYS " BEGIN" QUOTA_LIMITS("NEW") " END;"
	"CREATE TRIGGER quota_unset AFTER DELETE ON setting WHEN OLD.key IN " QUOTA_KEYS " BEGIN" QUOTA_LIMITS("OLD")
	" DELETE FROM quota WHERE name = OLD.name AND below = OLD.below AND bytes_limit IS NULL AND tags_limit IS NULL; END;"
	"CREATE TRIGGER quota_gone AFTER DELETE ON quota BEGIN"
	" DELETE FROM quota_holder WHERE quota_id = OLD.id;"
	" DELETE FROM quota_blob WHERE quota_id = OLD.id; END;"
	"CREATE TRIGGER quota_count AFTER UPDATE OF counted ON quota BEGIN"
	" DELETE FROM quota_holder WHERE quota_id = NEW.id;"
	" DELETE FROM quota_blob WHERE quota_id = NEW.id;"
	" INSERT INTO quota_holder(holder, quota_id)"
	"  SELECT id, NEW.id FROM repository WHERE name BETWEEN NEW.low AND NEW.high"
	"  UNION ALL SELECT -id, NEW.id FROM removal WHERE repository BETWEEN NEW.low AND NEW.high;"
	" UPDATE quota SET bytes = 0, tags = (SELECT COUNT(*) FROM repository r JOIN tag t ON t.repository_id = r.id"
	"  WHERE r.name BETWEEN NEW.low AND NEW.high) WHERE id = NEW.id;"
	" INSERT INTO quota_blob(quota_id, blob_id, size, holders) SELECT NEW.id, b.id, b.size, COUNT(*) FROM ("
	"  SELECT rb.blob_id AS held FROM quota_holder o JOIN repository_blob rb ON rb.repository_id = o.holder"
	"   WHERE o.quota_id = NEW.id UNION ALL"
	"  SELECT p.blob_id FROM quota_holder o JOIN removed_blob p ON p.removal_id = -o.holder WHERE o.quota_id = NEW.id)"
	"  JOIN blob b ON b.id = held GROUP BY b.id; END;"

	/* What it should be, of the rows themselves. */
	"CREATE VIEW quota_counted AS SELECT q.id,"
	" (SELECT COALESCE(SUM(b.size), 0) FROM blob b WHERE b.id IN ("
	"   SELECT rb.blob_id FROM repository r JOIN repository_blob rb ON rb.repository_id = r.id"
	"    WHERE r.name BETWEEN q.low AND q.high UNION"
	"   SELECT p.blob_id FROM removal x JOIN removed_blob p ON p.removal_id = x.id"
	"    WHERE x.repository BETWEEN q.low AND q.high)) AS bytes,"
	" (SELECT COUNT(*) FROM repository r JOIN tag t ON t.repository_id = r.id"
	"   WHERE r.name BETWEEN q.low AND q.high) AS tags,"
	" (SELECT COUNT(*) FROM repository r WHERE r.name BETWEEN q.low AND q.high) AS repositories,"
	" (SELECT COUNT(*) FROM repository r JOIN repository_blob rb ON rb.repository_id = r.id"
	"   WHERE r.name BETWEEN q.low AND q.high) +"
	" (SELECT COUNT(*) FROM removal x JOIN removed_blob p ON p.removal_id = x.id"
	"   WHERE x.repository BETWEEN q.low AND q.high) AS holders FROM quota q;",

	/* 9 */
	"CREATE TABLE hook("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" pattern TEXT NOT NULL,"		/* of the repositories that it is about */
	" is_name INTEGER NOT NULL,"		/* the pattern is one repository's name */
	" name TEXT NOT NULL,"
	" kinds TEXT NOT NULL,"			/* of events, by commas */
	" tags TEXT NOT NULL,"			/* rules (fs/auth/rule.h); '': all */
	" url TEXT NOT NULL,"			/* where it posts to; '': it runs a program */
	" program TEXT NOT NULL,"
	" format TEXT NOT NULL,"
	" headers TEXT NOT NULL,"		/* a line each */
	" ca TEXT NOT NULL,"			/* PEM; '': the system's */
	" secret TEXT NOT NULL,"		/* '': it doesn't sign */
	" old_secret TEXT NOT NULL,"		/* that it signs with as well; '': none */
	" parallel INTEGER NOT NULL,"		/* its deliveries needn't be in order */
	" paused INTEGER NOT NULL,"
	" disabled TEXT NOT NULL,"		/* why it was; '': it wasn't */
	" since INTEGER NOT NULL,"		/* events behind that are told */
	" created INTEGER NOT NULL,"
	" changed INTEGER NOT NULL,"
	" who TEXT NOT NULL,"			/* made it */
	" told INTEGER NOT NULL DEFAULT 0,"	/* the last of its deliveries' numbers */
	" UNIQUE(pattern, name));"
	"CREATE INDEX hook_wide ON hook(id) WHERE is_name = 0;"

	"CREATE TABLE delivery("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" hook_id INTEGER NOT NULL REFERENCES hook(id),"
	" event INTEGER NOT NULL,"
	" number INTEGER NOT NULL,"		/* of those of its hook, from 1, without gaps; 0: it isn't told */
	" lane TEXT NOT NULL,"			/* those of one lane go one after the other */
	" state INTEGER NOT NULL,"		/* delivery.h */
	" due INTEGER,"				/* when it is tried next; NULL: it waits for another of its lane, or is over */
	" attempts INTEGER NOT NULL,"
	" first INTEGER NOT NULL,"		/* when it was tried first; 0: never */
	" at INTEGER NOT NULL,"			/* when it came to its state */
	" UNIQUE(hook_id, event));"
	"CREATE INDEX delivery_due ON delivery(hook_id, due, event) WHERE due IS NOT NULL;"
	"CREATE INDEX delivery_lane ON delivery(hook_id, lane, event) WHERE state = 0;"
	"CREATE INDEX delivery_over ON delivery(at) WHERE state <> 0;"

	"CREATE TABLE attempt("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" delivery_id INTEGER NOT NULL REFERENCES delivery(id),"
	" at INTEGER NOT NULL,"
	" latency INTEGER NOT NULL,"		/* nanoseconds */
	" status INTEGER NOT NULL,"		/* of the answer, or how a program ended; 0: there was none */
	" why TEXT NOT NULL,"			/* it failed; '': it didn't */
	" request TEXT NOT NULL,"
	" response TEXT NOT NULL);"
	"CREATE INDEX attempt_delivery ON attempt(delivery_id, id);"
	"INSERT INTO counter(name, value) VALUES ('delivery', 0);",

	/* 10 */
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
