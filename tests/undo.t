#!/bin/bash
#
# What is removed, through whichever door, comes back as it was: after a restart, after a collection, and not where its name was
# taken again.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3
mount=()
if have_fuse; then
	mkdir -p "$MNT"
	mount=(--mount "$MNT")
fi
start_regfs --open --gc-interval 0 "${mount[@]}"
export REGFS_STORE=$STORE
LAYOUT=$T/layout

# state: all that a repository is for who uses it: images, what they name, tags, links, histories, settings.
state() {
	sql "SELECT 'repo', name, is_repository, on_purpose, listed, public FROM repository ORDER BY name;
		SELECT 'image', r.name, hex(b.digest), m.is_index, m.media_type, m.artifact_type, hex(m.config), m.platform, m.size, m.created,
			m.pushed, m.untagged > 0 FROM manifest m JOIN blob b ON b.id = m.blob_id JOIN repository r ON r.id = m.repository_id
			ORDER BY r.name, b.digest;
		SELECT 'ref', r.name, hex(b.digest), f.role, f.position, hex(f.digest), f.size, f.media_type, f.platform FROM manifest_ref f
			JOIN manifest m ON m.id = f.manifest_id JOIN blob b ON b.id = m.blob_id JOIN repository r ON r.id = f.repository_id
			ORDER BY r.name, b.digest, f.role, f.position;
		SELECT 'link', r.name, hex(b.digest), rb.uses FROM repository_blob rb JOIN blob b ON b.id = rb.blob_id
			JOIN repository r ON r.id = rb.repository_id WHERE rb.uses > 0 ORDER BY r.name, b.digest;
		SELECT 'tag', r.name, t.name, hex(b.digest)${1:+, t.moved} FROM tag t JOIN manifest m ON m.id = t.manifest_id
			JOIN blob b ON b.id = m.blob_id JOIN repository r ON r.id = t.repository_id ORDER BY r.name, t.name;
		SELECT 'setting', * FROM setting ORDER BY name, below, key;
		${1:+SELECT 'history', r.name, h.tag, h.number, hex(h.digest), h.latest, h.at, h.event, h.who, h.origin FROM tag_history h
			JOIN repository r ON r.id = h.repository_id ORDER BY r.name, h.tag, h.number;}"
}

# same_state DESCRIPTION [all]: as it was when it was written to $T/before.
same_state() {
	is "$(state ${2:+all} | diff "$T/before" -)" '' "$1"
}

# gc OPTION...: what it took, and that a dry run foretold it.
gc() {
	local dry

	# Of indexes it knows those only that have no owner now.
	dry=$(regfs gc --grace 0 --json -n "$@" | jq -cS '.removed | del(.indexes, .["index-bytes"])')
	run "$REGFS" gc --grace 0 --json "$@"
	is "$(jq -cS '.removed | del(.indexes, .["index-bytes"])' <<<"$OUT")" "$dry" "gc $*: the dry run foretold it"
	OUT=$(jq -r '.removed | "\(.blobs) \(.images) \(.removals)"' <<<"$OUT")
}

A=$(make_image "$LAYOUT" a 'one')
B=$(make_image "$LAYOUT" b 'two')
INDEX=$(make_index "$LAYOUT" index 'many')
make_artifact "$LAYOUT" signature "$INDEX" >/dev/null 2>&1
SIGNATURE=$(layout_digest "$LAYOUT" signature)
push_layout "$LAYOUT" a shop/web 1.0 >/dev/null || bail 'no image'
push_layout "$LAYOUT" b shop/web 1.0 >/dev/null || bail 'no image'
push_layout "$LAYOUT" b shop/web latest >/dev/null
push_layout "$LAYOUT" index shop/web all >/dev/null || bail 'no index'
push_layout "$LAYOUT" signature shop/web "$SIGNATURE" >/dev/null || bail 'no artifact'
fails_with 'nothing to undo' 'nothing was removed' regfs undo
is "$(regfs undo --list --json)" '[]' 'the list is empty'

# ---- A tag ----

state >"$T/before"
check 'a tag is removed' regfs tag rm shop/web:latest
http GET /v2/shop/web/manifests/latest
is "$CODE" 404 'it is gone at once'
is "$(regfs undo --list --json | jq -c '[.[] | .what, .repository, .tag, .digest, .who, .from]')" \
	"[\"tag\",\"shop/web\",\"latest\",\"$B\",\"administrator\",\"command\"]" 'the list has it'
exits 0 'what would come back' regfs undo -n
like "$OUT" 'tag +shop/web:latest' 'is said'
is "$(regfs undo --list --json | jq length)" 1 'and only said'
check 'undo' regfs undo
same_state 'everything is as it was'
is "$(regfs history --json shop/web:latest | jq -c 'map(.current)')" '[false,true]' 'the history says that it was gone'
if have_fuse; then
	check 'rm in the mount' rm "$MNT/shop/web/_tags/latest" "$MNT/shop/web/_tags/all"
else
	regfs tag rm shop/web:latest >/dev/null
	regfs tag rm shop/web:all >/dev/null
fi
regfs tag add shop/web:1.0 latest >/dev/null
fails_with 'nothing with number|there is nothing' 'what nobody did' regfs undo --by nobody --since 1
regfs tag add "shop/web@$A" latest >/dev/null
fails_with 'shop/web has a tag latest again, of another image' 'a name that was taken' regfs undo --since "$(regfs undo --list --json | jq '.[-1].event')"
is "$(sql "SELECT COUNT(*) FROM tag WHERE name = 'all'")" 1 'what was removed later is back, by then'
regfs tag add "shop/web@$B" latest >/dev/null
check 'the same name for the same image' regfs undo
same_state 'everything is as it was'
gc --untagged 0
is "$OUT" '0 0 0' 'nothing to collect'
for bad in 0 -1 x ''; do
	exits 2 "--since '$bad'" regfs undo --since "$bad"
done

# ---- An image, with its tags, and what refers to it ----

http DELETE "/v2/shop/web/manifests/$B"
is "$CODE" 202 'an image is deleted over HTTP'
http GET "/v2/shop/web/manifests/$B"
is "$CODE" 404 'it is gone at once'
gc --untagged 0
is "${OUT%% *}" 0 'a collection leaves its blobs'
stop_regfs
start_regfs --open --gc-interval 0 "${mount[@]}"
check 'undo, after a restart' regfs undo
same_state 'the image and its tags are as they were'
http GET "/v2/shop/web/manifests/latest" -H 'Accept: application/vnd.oci.image.manifest.v1+json'
is "$CODE $(digest_of "$T/body")" "200 $B" 'and can be pulled'
http DELETE "/v2/shop/web/manifests/$INDEX"
http GET "/v2/shop/web/referrers/$INDEX"
check 'an index comes back' regfs undo
same_state 'with what it names'
http GET "/v2/shop/web/referrers/$INDEX"
is "$(jq -r '.manifests[].digest' "$T/body")" "$SIGNATURE" 'and what refers to it'
check 'check finds nothing wrong' regfs check --data

# A tag, then its image: the latest first.
regfs tag rm shop/web:1.0 >/dev/null
regfs tag rm shop/web:latest >/dev/null
regfs image rm "shop/web@$B" >/dev/null
first=$(regfs undo --list --json | jq '.[-1].event')
push_layout "$LAYOUT" b shop/web again >/dev/null
check 'all since the first' regfs undo --since "$first"
regfs tag rm shop/web:again >/dev/null
is "$(state | sed 's/|[0-9]*|[01]$//' | diff <(sed 's/|[0-9]*|[01]$//' "$T/before") -)" '' \
	'everything is as it was, but for when what was pushed again was'

# ---- A repository, with its settings ----

regfs repo set shop/web 'immutable=1.*' visibility=public >/dev/null
printf 'a password of hers\n' >"$T/password"
regfs user add alice --password-file "$T/password" >/dev/null
regfs grant alice pull shop/web >/dev/null
state all >"$T/before"
links=$(sql 'SELECT COUNT(*) FROM blob')
check 'a repository is removed' regfs repo rm shop/web
http GET /v2/shop/web/tags/list
is "$CODE $(sql 'SELECT COUNT(*) FROM repository')" '404 0' 'it is gone'
gc --untagged 0
is "${OUT%% *} $(sql 'SELECT COUNT(*) FROM blob')" "0 $links" 'its blobs are not'
is "$(regfs status --json | jq .blobs)" "$links" 'they count as used'
check 'check finds nothing wrong' regfs check --data
push_layout "$LAYOUT" a shop/web mine >/dev/null
fails_with 'there is a repository shop/web again' 'a name that was taken' regfs undo --since "$(regfs undo --list --json | jq '.[-1].event')"
is "$(regfs image list --json shop/web | jq length)" 1 'nothing came of it'
regfs repo rm shop/web >/dev/null
is "$(regfs undo --list --json | jq -c 'map(.what)')" '["repository","repository","tag"]' 'three removals, so far'
regfs gc --undo-keep 0 -n --json >/dev/null
event=$(regfs undo --list --json | jq 'map(select(.what == "repository"))[-1].event')
id=$(sql "SELECT id FROM removal WHERE event = $event")
sql "UPDATE removal SET until = 1 WHERE id <> $id"
gc
is "${OUT##* }" 2 'what is past its time goes, and no more'
check 'undo of the first' regfs undo shop/web
same_state 'everything is as it was, with histories and settings' all
is "$(regfs access --repo shop/web --user alice --json | jq -r 'map(select(.why == "grant" or .pattern == "shop/web")) | length > 0')" true 'and grants'
is "$(regfs repo show shop/web --json | jq -c '[.visibility, .immutable]')" '["public","1.*"]' 'for commands, too'
check 'check finds nothing wrong' regfs check --data
is "$(sql "SELECT kind || ' ' || repository FROM event ORDER BY number DESC LIMIT 1")" 'undo shop/web' 'it is an event'

# ---- rm -rf, by a slip ----

if have_fuse; then
	push_layout "$LAYOUT" a shop/web/below t >/dev/null || bail 'no image'
	# What is not the content's own time, number or place comes back as well.
	listing() {
		(cd "$MNT" && find shop -name used-by -prune -o -name _history -prune -o -name _events -o -printf '%p %y %l %s\n' | sort)
	}
	listing >"$T/listing"
	state all | grep -v '^history' >"$T/before"
	regfs status --json | jq '[.blobs, .size]' >"$T/used"
	event=$(sql "SELECT value FROM counter WHERE name = 'event'")
	run rm -rf "$MNT/shop"
	is "$(sql 'SELECT COUNT(*) FROM tag; SELECT COUNT(*) FROM access_grant' | xargs)" '0 0' 'rm -rf in the mount takes tags and grants'
	is "$(regfs status --json | jq '[.blobs, .size]' | diff "$T/used" -)" '' 'which counts as used'
	check 'undo since then' regfs undo --since "$((event + 1))"
	is "$(listing | diff "$T/listing" -)" '' 'brings the whole tree back'
	is "$(state all | grep -v '^history' | diff "$T/before" - | grep -v '|[0-9]*$' | grep '^[<>]')" '' 'as it was'
	check 'check finds nothing wrong' regfs check --data
	regfs repo rm shop/web/below >/dev/null
	regfs undo --purge >/dev/null
fi

# ---- At a server, by others ----

stop_regfs
serve_regfs --store "$STORE" --listen 127.0.0.1:0 --gc-interval 0 || bail 'no server with accounts'
U=http://$ADDR
export HOME=$T/home DOCKER_CONFIG=$T/docker
mkdir -p "$HOME"
printf 'a password of his\n' >"$T/password.bob"
regfs user add bob --password-file "$T/password.bob" >/dev/null
regfs grant bob pull,push,delete shop/other >/dev/null
push_as_owner() {
	regfs tag rm shop/web:1.0 >/dev/null
}
as() {
	unset REGFS_STORE
	regfs login --user "$1" --password-file "$T/password${2:-}" "$U" >/dev/null 2>&1
}
regfs repo set shop/web visibility=private >/dev/null
check 'a tag of a private repository is removed' push_as_owner
removal=$(regfs undo --list --json | jq '.[0].event')
as bob .bob
is "$(regfs undo --list --json --server "$U")" '[]' 'who may not delete there sees nothing of it'
fails_with 'nothing to undo' 'and brings nothing back' regfs undo --server "$U"
exits 1 'nor gives anything up' "$REGFS" undo --server "$U" --purge --since "$removal"
export REGFS_STORE=$STORE
regfs grant bob pull,delete shop/web >/dev/null
unset REGFS_STORE
is "$(regfs undo --list --json --server "$U" | jq -c 'map([.what, .repository, .tag, .who])')" '[["tag","shop/web","1.0","administrator"]]' \
	'who may, does'
exits 3 'a dry run of giving it up, which is for administrators' "$REGFS" undo --server "$U" --purge
check 'it is brought back at the server' regfs undo --server "$U"
export REGFS_STORE=$STORE
is "$(sql "SELECT who FROM event WHERE kind = 'undo' ORDER BY number DESC LIMIT 1")" bob 'by him, says the event'
is "$(regfs audit --json --who bob | jq -r 'map(select(.action == "undo"))[-1] | [.result, .repository] | join(" ")')" 'ok shop/web' 'and the trail'
stop_regfs
start_regfs --open --gc-interval 0 "${mount[@]}"

# ---- Several, of which one can't be ----

for tag in p q; do
	regfs tag add "shop/web@$A" $tag >/dev/null
done
for tag in p q; do
	regfs tag rm shop/web:$tag >/dev/null
done
regfs tag add "shop/web@$B" p >/dev/null
fails_with '1 of 2 were brought back, the latest first, until: shop/web has a tag p again' 'it says how far it came' \
	regfs undo --since "$(regfs undo --list --json | jq '.[1].event')"
is "$(regfs undo --list --json | jq -c 'map(.tag)')" '["p"]' 'the other one came'
check 'what is in its way goes' regfs tag rm shop/web:p
check 'all is given up' regfs undo --purge --since 1
regfs tag rm shop/web:q >/dev/null && regfs undo --purge >/dev/null

# ---- What only an administrator may bring back: rights ----

regfs user add eve --password-file "$T/password" >/dev/null
regfs group add @team >/dev/null
regfs grant eve owner shop/web >/dev/null
regfs grant @team owner shop/web >/dev/null
regfs revoke eve shop/web >/dev/null
regfs revoke @team shop/web >/dev/null
is "$(regfs undo --list --json shop/web | jq -c 'map(select(.what == "grant").principal)')" '["@team","eve"]' 'grants were revoked'
regfs user rm eve >/dev/null
regfs user add eve --password-file "$T/password" >/dev/null
is "$(regfs undo --list --json shop/web | jq -c 'map(select(.what == "grant").principal)')" '["@team"]' \
	'what was granted to who is gone comes back to nobody, least to one of the same name'
is "$(regfs access --user eve --json)" '[]' 'who has nothing'
regfs group rm @team >/dev/null
is "$(regfs undo --list --json shop/web | jq -c 'map(select(.what == "grant").principal)')" '[]' 'nor to another group'

# A repository that is gone and was public comes back with one of its images: public only by who may say so.
regfs repo add shop/shown --visibility public >/dev/null
push_layout "$LAYOUT" a shop/shown mine >/dev/null || bail 'no image'
regfs image rm "shop/shown@$(regfs image list shop/shown --json | jq -r '.[0].digest')" >/dev/null
regfs repo set shop/shown visibility=private >/dev/null
regfs repo rm shop/shown >/dev/null
regfs grant bob pull,push,delete shop/shown >/dev/null
stop_regfs
serve_regfs --store "$STORE" --listen 127.0.0.1:0 --gc-interval 0 || bail 'no server with accounts'
U=http://$ADDR
as bob .bob
export REGFS_STORE=$STORE
event=$(regfs undo --list --json shop/shown | jq 'map(select(.what == "image"))[0].event')
check 'it is brought back by who may delete' env -u REGFS_STORE "$REGFS" undo --server "$U" --since "$event" shop/shown
is "$(regfs repo show shop/shown --json | jq -r .visibility)" private 'who publishes nothing by that'
regfs repo rm shop/shown >/dev/null
regfs undo --purge --since 1 >/dev/null
stop_regfs
start_regfs --open --gc-interval 0 "${mount[@]}"

# ---- Giving up ----

regfs tag rm shop/web:1.0 >/dev/null
exits 0 'what would be given up' regfs undo --purge -n
is "$(regfs undo --list --json | jq length)" 1 'is said only'
check 'it is given up' regfs undo --purge
is "$(regfs undo --list --json)" '[]' 'and gone'
regfs rollback shop/web:1.0 >/dev/null || true

# ---- Its time ----

regfs tag rm shop/web:all >/dev/null
fails_with 'is a duration' 'what is none' regfs repo set shop/web undo-keep=soon
is "$(regfs repo show shop/web --json | jq -r '.["undo-keep"]') $(regfs namespace show shop --json | jq -r '.["undo-keep"]')" '7d inherit' 'how long, it says'
check 'a repository that keeps nothing' regfs repo set shop/web undo-keep=0
regfs image rm "shop/web@$INDEX" >/dev/null
is "$(regfs undo --list --json | jq -c 'map(.what)')" '["tag"]' 'an image that can'\''t come back'
fails_with "undo the removal of that image first" 'nor its tag' regfs undo
regfs repo set shop/web undo-keep=inherit >/dev/null
gc --untagged 0
regfs repo rm shop/web >/dev/null
gc --undo-keep 1h
is "$OUT" '0 0 0' 'within its time it stays'
sql "UPDATE removal SET until = 1 WHERE kind = 'untag'" >/dev/null
gc
is "$OUT" '0 0 1' 'what is past its time goes'
sql 'UPDATE removal SET at = at + 3e17, until = until + 3e17' >/dev/null	# the clock was ten years ahead then
gc --undo-keep 1h
is "$OUT" '0 0 0' 'what was removed in the future is not older than an hour'
gc --undo-keep 0
is "${OUT##* } $(sql 'SELECT COUNT(*) FROM blob; SELECT COUNT(*) FROM removal; SELECT COUNT(*) FROM removed_blob' | xargs)" '1 0 0 0' \
	'an administrator takes all, and the space'
is "$(find "$STORE/blobs" -type f | wc -l)" 0 'no file is left'
fails_with 'nothing to undo' 'nothing comes back then' regfs undo
check 'check finds nothing wrong' regfs check --data
stop_regfs

# ---- Many: 4,000 images without a tag beside 40,000 removed tags ----

start_regfs --open --gc-interval 0
push_layout "$LAYOUT" a shop/many x1 >/dev/null
regfs tag rm shop/many:x1 >/dev/null
sql "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
		INSERT INTO removal(until, kind, repository, tag, digest, at, event, who, origin, public, on_purpose, created)
		SELECT until, kind, repository, 'x' || i, digest, at, event, who, origin, public, on_purpose, created FROM n, removal;
	INSERT INTO removed_tag(removal_id, name, digest, moved, expires, own_end, repository)
		SELECT id, tag, digest, 0, 0, 0, repository FROM removal WHERE tag <> 'x1';
	INSERT INTO blob(digest, size, created) SELECT CAST(x'01' || CAST(printf('%032d', id) AS BLOB) AS BLOB), 1, 1 FROM removal
		WHERE id % 10 = 0;
	INSERT INTO manifest(repository_id, blob_id, is_index, media_type, artifact_type, config, platform, size, created, pushed, untagged,
		pulled, expires) SELECT m.repository_id, b.id, 0, m.media_type, '', NULL, '', 1, 0, 1, 1, 0, '' FROM manifest m, blob b
		WHERE length(b.digest) = 33 AND substr(b.digest, 2, 4) = x'30303030';
	INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin)
		SELECT h.repository_id, 'y' || b.id, 1, b.digest, 1, 0, 0, '', '' FROM tag_history h, blob b
		WHERE substr(b.digest, 2, 4) = x'30303030'"
is "$(sql 'SELECT COUNT(*) FROM manifest; SELECT COUNT(*) FROM removed_tag' | xargs)" '4001 40000' 'many of both'
far() {
	env -u REGFS_STORE "$REGFS" undo --server "http://$ADDR" "$@"
}
is "$(far --list | tail -n +2 | wc -l)" 40000 'a server lists all of them'
like "$(far --list | sed -n '2p;$p' | xargs)" 'shop/many:x40000 .* shop/many:x1 ' 'the latest first'
is "$(far --list --json --since 1 --by nobody shop/many)" '[]' 'by whom'
like "$(far -n)" 'shop/many:x40000 ' 'and the last one'
check 'which comes back' far
is "$(far --list --json | jq -r '.[0].tag, length' | xargs)" 'x39999 39999' 'the next one is the last'
check 'gc looks each up, and not all' timeout 15 "$REGFS" gc -n --untagged 0
stop_regfs
done_testing
