#!/bin/bash
#
# Garbage collection, beside a running server and without one: what goes, what stays, what is said
# of it; untagged images; what crashes leave behind; collections at once and killed.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3 strace
start_regfs --open --gc-interval 0

files() {
	find "$STORE/blobs" -type f | wc -l
}

# gc OPTION...: its report in $OUT.
gc() {
	run "$REGFS" gc --store "$STORE" --undo-keep 0 --json "$@"
	[ "$STATUS" = 0 ] || fail "gc $*" "$ERR"
}

# removes BLOBS LINKS UPLOADS IMAGES DESCRIPTION GC-OPTION...: a dry run says so and changes nothing;
# then it is done, with the same figures.
removes() {
	local want="$1 $2 $3 $4" what=$5 before dry
	shift 5

	before=$(sql .dump | cksum; find "$STORE/blobs" "$STORE/uploads" -type f | sort | cksum)
	gc --dry-run "$@"
	dry=$OUT
	is "$(sql .dump | cksum; find "$STORE/blobs" "$STORE/uploads" -type f | sort | cksum)" "$before" \
		"$what: a dry run changes nothing"
	gc "$@"
	is "$(jq -r '.removed | "\(.blobs) \(.links) \(.uploads) \(.images)"' <<<"$OUT")" "$want" "$what"
	is "$(jq -cS '.removed' <<<"$dry")" "$(jq -cS '.removed' <<<"$OUT")" "$what: the dry run foretold it"
}

is_there() {
	http GET "/v2/$1"
	is "$CODE" 200 "$2"
}

is_gone() {
	http GET "/v2/$1"
	is "$CODE" 404 "$2"
}

# simple FILE CONFIG-TEXT LAYER-FILE...: an image of its own; its config is in $T/FILE.config.
simple() {
	local file=$1

	printf '%s' "$2" >"$T/$file.config"
	shift 2
	oci_manifest "$file" "$file.config" "$@"
}

# push REPO REFERENCE FILE CONFIG-TEXT LAYER...: with its blobs.
push() {
	local repo=$1 reference=$2 file=$3 f

	shift 2
	simple "$@"
	for f in "$file.config" "${@:3}"; do
		push_blob "$repo" "$T/$f" >/dev/null || return 1
	done
	[ "$reference" != - ] || reference=$(digest_of "$T/$file")
	push_manifest "$repo" "$reference" "$T/$file" application/vnd.oci.image.manifest.v1+json >/dev/null
}

# ---- Blobs ----

removes 0 0 0 0 'an empty store' --grace 0
for f in one two three shared; do
	random_file $f 1000
done
check 'an image' push a t image-a '{"a":1}' one shared
check 'another, in another repository, that shares a layer' push b t image-b '{"b":1}' two shared
push_blob a "$T/three" >/dev/null
push_blob c "$T/three" >/dev/null
gc
is "$(jq -r '.removed.blobs, .kept.blobs, .kept["blob-bytes"]' <<<"$OUT" | xargs)" '0 1 1000' \
	'what was pushed lately stays, and is counted once'
run "$REGFS" gc --store "$STORE"
like "$OUT" '^removed 0 blobs .*kept 1 unneeded blobs \(1\.0 kB\)' 'as text'
run "$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0 --dry-run
like "$OUT" '^would remove 1 blobs that no image needs \(1\.0 kB\)' 'a dry run as text'
if command -v script >/dev/null; then
	# A terminal of its own; without one nothing of the kind is said.
	is "$ERR" '' 'no progress where there is no terminal'
	run script -qec "'$REGFS' gc --store '$STORE'" "$T/typescript"
	like "$OUT" 'collecting: [0-9]+ blobs' 'progress on a terminal'
	run script -qec "'$REGFS' check --store '$STORE'" "$T/typescript"
	like "$OUT" 'checking: [0-9]+ blobs' 'of a check, too'
else
	skip 'progress on a terminal: there is no script(1)'
fi
removes 1 2 0 0 'a blob without an image, in two repositories' --grace 0
is "$(files)" 7 'its file is gone, the others stay'
is "$(sql "SELECT COUNT(*) FROM repository WHERE name = 'c'")" 0 'so is the repository that held nothing else'
http DELETE /v2/a/manifests/t
http DELETE "/v2/a/manifests/$(digest_of "$T/image-a")"
removes 3 4 0 0 'an image was deleted: what it shared with another repository stays' --grace 0
is_there "b/blobs/$(digest_of "$T/shared")" 'a shared layer, where it is needed'
is_gone "a/blobs/$(digest_of "$T/shared")" 'and where it was not'
http GET /v2/_catalog
is "$(jq -c .repositories "$T/body")" '["b"]' 'the empty repository is gone'
http POST "/v2/d/blobs/uploads/?mount=$(digest_of "$T/two")&from=b" -d ''
is "$CODE" 201 'a blob is mounted'
removes 0 1 0 0 'a mount that came to nothing takes its link only' --grace 0
is_there "b/blobs/$(digest_of "$T/two")" 'the blob stays where it was mounted from'
http POST "/v2/d/blobs/uploads/?mount=$(digest_of "$T/two")&from=b" -d ''
http DELETE "/v2/b/manifests/$(digest_of "$T/image-b")"
gc --grace 0
is "$(files)" 0 'when both have let go of it, it goes'

# An index may name blobs that are no images: builders keep their caches so.
random_file cached 500
push_blob cache "$T/cached" >/dev/null
jq -cn --arg d "$(digest_of "$T/cached")" '{schemaVersion: 2,
	mediaType: "application/vnd.oci.image.index.v1+json",
	manifests: [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $d, size: 500}]}' >"$T/cache"
check 'a builder'\''s cache' push_manifest cache t "$T/cache"
removes 0 0 0 0 'its blobs are needed' --grace 0
http DELETE "/v2/cache/manifests/$(digest_of "$T/cache")"
removes 2 2 0 0 'until it goes' --grace 0

# ---- Uploads ----

begin up
http PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/one"
gc
is "$(jq -r '.removed.uploads, .kept.uploads' <<<"$OUT" | xargs)" '0 1' 'an upload within its grace stays'
http GET "$UPLOAD"
is "$CODE" 204 'and goes on'
removes 0 0 1 0 'a dead upload' --grace 0
is "$(jq -r '.removed["upload-bytes"]' <<<"$OUT")" 1000 'with its bytes'
http GET "$UPLOAD"
is "$CODE" 404 'and it is unknown'
is "$(find "$STORE/uploads" -type f | wc -l) $(sql 'SELECT COUNT(*) FROM repository')" '0 0' 'with its repository'
begin up
mkfifo "$T/slow"
curl -s -o "$T/slow.out" -w '%{http_code}' -X PATCH -H "$BYTES" -H "$CHUNKED" -T "$T/slow" "http://$ADDR$UPLOAD" \
	>"$T/slow.code" 2>&1 &
slow=$!
processes+=("$slow")
exec 8>"$T/slow"
head -c 3000000 /dev/zero >&8
upload_grew() {
	[ "$(stat -c %s "$STORE/uploads/${UPLOAD##*/}")" -gt 0 ]
}
wait_until upload_grew
gc --grace 0 --dry-run
is "$(jq -r '.removed.uploads, .kept.uploads' <<<"$OUT" | xargs)" '0 1' 'one being written would stay'
gc --grace 0
is "$(jq -r '.removed.uploads, .kept.uploads' <<<"$OUT" | xargs)" '0 1' 'and stays'
exec 8>&-
wait $slow
is "$(cat "$T/slow.code")" 202 'its request ends well'

# kill_at_fsync N COMMAND...: kills the server as it enters the Nth fsync of the command's request.
kill_at_fsync() {
	local n=$1 tracer

	shift
	background "$T/strace.log" strace -f -qq -e trace=fsync -e inject=fsync:signal=KILL:when="$n" \
		-o "$T/strace.out" -p "$REGFS_PID"
	tracer=$PID
	wait_until grep -q "TracerPid:	$tracer" "/proc/$REGFS_PID/status"
	"$@" >/dev/null 2>&1
	wait "$REGFS_PID" 2>/dev/null
	wait "$tracer" 2>/dev/null
}

kill_regfs
start_regfs --open --gc-interval 0
gc --grace 0
is "$(jq -r .removed.uploads <<<"$OUT")" 1 'an upload of a server that was killed'
is "$(files) $(find "$STORE/uploads" -type f | wc -l)" '0 0' 'nothing is left'
# The file's own, the directory's above, and then that of the new name.
kill_at_fsync 3 push_blob orphan "$T/one"
is "$(files) $(find "$STORE/uploads" -type f | wc -l) $(sql 'SELECT COUNT(*) FROM blob')" '1 1 0' \
	'killed between the name and the row: a file without a row'
removes 1 0 1 0 'it goes without a server' --grace 0
is "$(jq -r '.removed["blob-bytes"], .removed["upload-bytes"]' <<<"$OUT" | xargs)" '1000 0' 'its bytes are counted once'
is "$(files) $(find "$STORE/uploads" -type f | wc -l)" '0 0' 'both its names'
start_regfs --open --gc-interval 0
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}' >"$T/none"
kill_at_fsync 3 push_manifest orphan t "$T/none"
is "$(files) $(find "$STORE/uploads" -type f | wc -l) $(sql 'SELECT COUNT(*) FROM upload')" '1 1 0' 'the same of a manifest'
gc --grace 1h
is "$(files)" 1 'which stays within the grace'
start_regfs --open --gc-interval 0
check 'its second push finds the file' push_manifest orphan t "$T/none"
removes 0 0 1 0 'and only the second name goes' --grace 0
is_there orphan/manifests/t 'the image stays'
http DELETE "/v2/orphan/manifests/$(digest_of "$T/none")"
gc --grace 0

# ---- Untagged images ----

# Those that a tag has named are kept else: tests/history.t.
regfs namespace set --store "$STORE" / history-keep=0 >/dev/null

check 'an image' push u old image-old '{"n":1}' one
check 'another takes its tag' push u old image-new '{"n":2}' one
removes 0 0 0 0 'untagged images are kept' --grace 0
removes 0 0 0 0 'also before their time' --grace 0 --untagged 1h
LAYOUT=$T/layout
make_index "$LAYOUT" index 'children' >/dev/null
check 'an index with its children' push_layout "$LAYOUT" index u
INDEX=$(layout_digest "$LAYOUT" index)
make_artifact "$LAYOUT" signature "$INDEX" >/dev/null 2>&1
check 'and what refers to it' push_layout "$LAYOUT" signature u "$(layout_digest "$LAYOUT" signature)"
events=$(sql "SELECT value FROM counter WHERE name = 'event'")
removes 2 2 0 1 'one that lost its tag, and its config' --grace 0 --untagged 0
is "$(sql "SELECT kind || repository || changed FROM event WHERE number > $events" | xargs)" 'deleteu1 gc1' 'with its event, and that of the collection'
is_gone "u/manifests/$(digest_of "$T/image-old")" 'it is gone'
is_there "u/manifests/$INDEX" 'the index stays'
check 'the children stay, whole' same_blobs "$LAYOUT" index u
is_there "u/manifests/$(layout_digest "$LAYOUT" signature)" 'and what refers to it'
http DELETE /v2/u/manifests/index
gc --grace 0
is "$(jq -r .removed.images <<<"$OUT")" 0 'without its tag it stays, where they are kept'
# The index; then its children and the artifact; eight or nine files behind them.
before=$(files)
gc --grace 0 --untagged 0 --dry-run
foretold=$(jq -cS .removed <<<"$OUT")
gc --grace 0 --untagged 0
is "$(jq -r .removed.images <<<"$OUT")" 4 'else it goes, its children, and what refers to it'
is "$(jq -cS .removed <<<"$OUT")" "$foretold" 'as foretold'
is "$((before - $(files))) $(files)" "$(jq -r .removed.blobs <<<"$OUT") 3" 'with their blobs, and no others'
is_there u/manifests/old 'a tagged image stays'
check 'an image without a tag' push u - image-again '{"n":3}' one
sql "UPDATE manifest SET untagged = untagged - 7200000000000 WHERE untagged > 0"
gc --grace 0 --untagged 1h --dry-run
is "$(jq -r .removed.images <<<"$OUT")" 1 'after its time it would go'
check 'pushed again' push u - image-again '{"n":3}' one
removes 0 0 0 0 'its time begins anew' --grace 0 --untagged 1h
http DELETE "/v2/u/manifests/$(digest_of "$T/image-new")"
gc --grace 0 --untagged 0
is "$(files) $(sql 'SELECT COUNT(*) FROM repository')" '0 0' 'the repository vanishes with the last image'

# ---- The schedule ----

stop_regfs
start_regfs --open --gc-interval 1s --gc-grace 1s --untagged 1s
push_blob scheduled "$T/two" >/dev/null
push scheduled t image-s '{"s":1}' one
push scheduled - image-t '{"s":2}' one
begin scheduled
cleaned() {
	[ "$(files)" = 3 ] && [ -z "$(find "$STORE/uploads" -type f)" ]
}
wait_until cleaned
ok $? 'the server collects by itself: blobs, uploads, untagged images'
is_there scheduled/manifests/t 'and leaves the rest'
like "$(cat "$LOG")" 'garbage collection: removed [0-9]+ blobs' 'it says so in its log'
"$REGFS" namespace set --store "$STORE" / undo-keep=0 >/dev/null || bail 'no setting'
http DELETE "/v2/scheduled/manifests/$(digest_of "$T/image-s")"
empty() {
	[ "$(files)" = 0 ]
}
wait_until empty
ok $? 'what was deleted goes'

# ---- A promise ----

# A HEAD finds a blob that is long past its grace, and wants to write down that it was asked for. A collection is
# faster: sqlite3 in its place, which holds the lock until the server waits for it.
stop_regfs
start_regfs --open --gc-interval 0
check 'a blob' push_blob promised "$T/three"
sql 'UPDATE repository_blob SET linked = 1'
waits_for_lock() {
	grep -qs nanosleep "/proc/$REGFS_PID/task/"*/wchan
}
coproc COLLECTOR { sqlite3 "$STORE/regfs.db"; }
echo "BEGIN IMMEDIATE; DELETE FROM repository_blob;
	INSERT INTO doomed(digest, size) SELECT digest, size FROM blob; DELETE FROM blob; SELECT 'removed';" >&"${COLLECTOR[1]}"
read -r -u "${COLLECTOR[0]}"
curl -s -I -o /dev/null -w '%{http_code}' "http://$ADDR/v2/promised/blobs/$(digest_of "$T/three")" >"$T/promise" &
head=$!
check 'who asks for it has to wait' wait_until waits_for_lock
echo 'COMMIT;' >&"${COLLECTOR[1]}"
eval "exec ${COLLECTOR[1]}>&-"
wait $head
is "$(cat "$T/promise")" 404 'and is not promised what went meanwhile'
gc --grace 0

# ---- Pushes that wait hold up nobody who reads ----

check 'an image to list' push keep t image-k '{"k":1}' one two
threads() {
	ls "/proc/$REGFS_PID/task" | wc -l
}
# As many as there are threads for who reads.
all_wait() {
	[ "$(threads)" -ge $((before + 31)) ] && waits_for_lock
}
before=$(threads)
coproc COLLECTOR { sqlite3 "$STORE/regfs.db"; }
echo "BEGIN IMMEDIATE; SELECT 'begun';" >&"${COLLECTOR[1]}"
read -r -u "${COLLECTOR[0]}"
for ((i = 0; i < 40; i++)); do
	[ $i = 0 ] || echo next
	printf 'url = "http://%s/v2/keep/blobs/uploads/"\ndata = ""\noutput = "/dev/null"\nwrite-out = "%%{http_code}\\n"\n' "$ADDR"
done >"$T/waiting.conf"
curl -s --parallel --parallel-max 40 --parallel-immediate -K "$T/waiting.conf" >"$T/waiting" 2>/dev/null &
waiting=$!
check '40 pushes wait for the database' wait_until all_wait
is "$(curl -s --max-time 5 -o /dev/null -w '%{http_code}' "http://$ADDR/v2/keep/tags/list")" 200 'who lists tags is answered'
echo 'COMMIT;' >&"${COLLECTOR[1]}"
eval "exec ${COLLECTOR[1]}>&-"
wait $waiting
is "$(sort "$T/waiting" | uniq -c | xargs)" '40 202' 'and they are, afterwards'
gc --grace 0

# ---- At once, and killed ----

# curl_list N PREFIX: what makes curl push N small blobs.
curl_list() {
	local i

	for ((i = 0; i < $1; i++)); do
		[ $i = 0 ] || echo next
		printf 'url = "http://%s/v2/many/blobs/uploads/?digest=%s"\nrequest = POST\ndata-binary = "%s"\n' "$ADDR" \
			"sha256:$(printf '%s %s' "$2" "$i" | sha256sum | cut -d' ' -f1)" "$2 $i"
		printf 'header = "Content-Type: application/octet-stream"\noutput = "/dev/null"\n'
	done
}
curl_list 400 first >"$T/curl.conf"
check '400 blobs' curl -sf --parallel -K "$T/curl.conf"
is "$(files)" 404 'are there'
for i in 1 2 3 4; do
	"$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0 --json >"$T/at-once-$i" 2>&1 &
	at_once[i]=$!
done
for i in 1 2 3 4; do
	wait "${at_once[i]}"
	is $? 0 "four at once: $i"
done
is "$(jq -s 'map(.removed.blobs) | add' "$T"/at-once-*)" 400 'each blob was removed once'
is "$(files)" 4 'and nothing else'
curl_list 400 second >"$T/curl.conf"
check '400 more' curl -sf --parallel -K "$T/curl.conf"
# In the middle of a batch's files, between two batches, at writes of the database.
for point in pwrite64:2 pwrite64:9 pwrite64:40 unlinkat:1 unlinkat:30 unlinkat:64 unlinkat:65 unlinkat:1 fdatasync:2; do
	{
		strace -f -qq -o "$T/strace.out" -e trace="${point%:*}" \
			-e inject="${point%:*}:signal=KILL:when=${point#*:}" \
			"$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0 >"$T/killed"
		STATUS=$?
	} 2>/dev/null
	is $STATUS 137 "killed at $point"
	run "$REGFS" check --store "$STORE"
	[ "$STATUS" = 0 ] || break
done
is "$STATUS: $OUT" "0: $OUT" 'killed while it collects: the store is whole each time'
gc --grace 0
is "$(files)" 4 'the next one ends the work'
is_there keep/manifests/t 'the image is there'
is_there "keep/blobs/$(digest_of "$T/one")" 'and its layers'
check 'with the right bytes' "$REGFS" check --store "$STORE" --data

# ---- Indexes: of layers, of images, by whatever door they were made ----

indexes() {
	find "$STORE/index" -type f 2>/dev/null | sed -E 's/.*index.([a-z]+).*/\1/' | sort | uniq -c | xargs
}
L=$T/layout
make_image "$L" 1 'hello one' >/dev/null && make_image "$L" 2 'hello two' >/dev/null || bail 'no image'
push_layout "$L" 1 inside >/dev/null
second=$(push_layout "$L" 2 inside)
if have_fuse; then
	background "$T/mount.log" "$REGFS" mount --store "$STORE" --ready-fd 9 "$MNT" 9>"$T/mounted"
	wait_until grep -q READY "$T/mounted"
	is "$(cat "$MNT"/inside/_tags/{1,2}/rootfs/message)" $'hello one\nhello two' 'two images are looked into'
	is "$(indexes)" '2 image 3 layer' 'an index for each, and for each of their layers'
	gc --grace 0
	is "$(jq -r '.removed.indexes' <<<"$OUT") $(indexes)" '0 2 image 3 layer' 'they stay with their images'
	check 'one image goes' "$REGFS" image rm --store "$STORE" "inside@$second"
	gc --grace 0
	is "$(jq -r '.removed | "\(.blobs) \(.indexes) \(."index-bytes" > 1000)"' <<<"$OUT") $(indexes)" \
		'3 2 true 1 image 2 layer' 'and with it what only it needs'
	is "$(cat "$MNT/inside/_tags/1/rootfs/message")" 'hello one' 'the other is as it was'
	find "$STORE/index" -type f -delete
	check 'an index may be removed at any time' cmp "$MNT/inside/_tags/1/rootfs/bin/busybox" "$(command -v busybox)"
	fusermount3 -u "$MNT"
fi
stop_regfs

done_testing
