#!/bin/bash
#
# What each tag named: written by every door, numbered without gaps, shown by the command and the mount, kept by gc, and the
# way back.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3
mount=()
if have_fuse; then
	mkdir -p "$MNT"
	mount=(--mount "$MNT")
fi
start_regfs --open --gc-interval 0 "${mount[@]}"

TYPE=application/vnd.oci.image.manifest.v1+json

# put N TAG: pushes it.
put() {
	push_manifest shop/web "$2" "$T/image-$1" "$TYPE" >/dev/null
}

# history [REF]: number, which image, and note of each entry, from the command's JSON.
history() {
	local i

	run "$REGFS" history --store "$STORE" --json "${1:-shop/web:t}"
	for i in 1 2 3 4; do
		OUT=${OUT//${D[i]}/$i}
	done
	jq -r '[.[] | "\(.number)=\(.digest)\(if .removed then "-" else "" end)\(if .current then "*" else "" end)"] | join(" ")' <<<"$OUT"
}

for i in 1 2 3 4; do
	small_image shop/web $i || bail "can't push image $i"
	put $i "$(digest_of "$T/image-$i")" || bail "can't push image $i"
	D[i]=$(digest_of "$T/image-$i")
done

# ---- Every door ----

is "$(history shop/web)" '' 'images without a tag have no history'
put 1 t
is "$(history)" '1=1*' 'a push makes the first entry'
put 1 t
is "$(history)" '1=1*' 'the same again makes none'
regfs tag add --store "$STORE" "shop/web@${D[2]}" t >/dev/null
is "$(history)" '1=1 2=2*' 'the command moves it'
http PUT "/v2/shop/web/manifests/${D[3]}?tag=t&tag=u" -H "Content-Type: $TYPE" --data-binary @"$T/image-3"
is "$CODE $(history)" '201 1=1 2=2 3=3*' 'a push with ?tag= does'
is "$(history shop/web:u)" '1=3*' 'each tag counts for itself'
if have_fuse; then
	web=$MNT/shop/web
	ln -sfn "../_images/${D[1]/://}" "$web/_tags/t"
	is "$(history)" '1=1 2=2 3=3 4=1*' 'ln -sfn in the mount does'
	rm "$web/_tags/u"
	is "$(history shop/web:u)" '1=3-' 'rm is noted'
	mv "$web/_tags/t" "$web/_tags/u"
	is "$(history) / $(history shop/web:u)" '1=1 2=2 3=3 4=1- / 1=3- 2=1*' 'mv removes one and goes on with the other'
	mv "$web/_tags/u" "$web/_tags/t"
else
	skip 'a mount: no /dev/fuse'
	regfs tag add --store "$STORE" "shop/web@${D[1]}" t >/dev/null
	regfs tag rm --store "$STORE" shop/web:t >/dev/null
	regfs tag add --store "$STORE" "shop/web@${D[1]}" t >/dev/null
fi
is "$(history)" '1=1 2=2 3=3 4=1- 5=1*' 'a tag that is made again goes on counting'
http DELETE /v2/shop/web/manifests/t
is "$CODE $(history)" '202 1=1 2=2 3=3 4=1- 5=1-' 'DELETE over HTTP is noted'

# ---- The way back ----

exits 0 'rollback of a tag that was removed' regfs rollback --store "$STORE" shop/web:t
is "$OUT" "shop/web:t is ${D[1]}, as in entry 5" 'it says what it did'
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1*' 'it is back'
exits 0 'what it would do' regfs rollback --store "$STORE" -n shop/web:t
is "$OUT" "would be: shop/web:t is ${D[3]}, as in entry 3" 'the image before this one'
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1*' 'and only that'
exits 0 'rollback' regfs rollback --store "$STORE" --json shop/web:t
is "$(jq -c . <<<"$OUT")" "{\"tag\":\"shop/web:t\",\"digest\":\"${D[3]}\",\"number\":3,\"changed\":true,\"dry-run\":false}" 'as JSON'
http HEAD /v2/shop/web/manifests/t -H "Accept: $TYPE"
is "$(header docker-content-digest)" "${D[3]}" 'the server gives that image'
exits 0 'rollback again' regfs rollback --store "$STORE" shop/web:t
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1 7=3 8=1*' 'takes it back'
exits 0 'to an entry' regfs rollback --store "$STORE" shop/web:t --to 2
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1 7=3 8=1 9=2*' 'is a move like any other'
exits 0 'to what it is' regfs rollback --store "$STORE" shop/web:t --to 2
is "$OUT" "shop/web:t is ${D[2]}, as in entry 2, already" 'changes nothing'
fails_with 'has no entry 10: they are 1 to 9' 'an entry that there is not' regfs rollback --store "$STORE" shop/web:t --to 10
fails_with 'never had a tag nope' 'a tag that there never was' regfs rollback --store "$STORE" shop/web:nope
fails_with 'never had a tag nope' 'its history' regfs history --store "$STORE" shop/web:nope
put 4 once
fails_with 'never named another image' 'a tag with one image' regfs rollback --store "$STORE" shop/web:once
for bad in 0 -1 x 1x '' 99999999999999999999; do
	exits 2 "--to '$bad'" regfs rollback --store "$STORE" shop/web:t --to "$bad"
done
exits 2 'a digest has no history' regfs history --store "$STORE" "shop/web@${D[1]}"
exits 2 'nothing to roll back' regfs rollback --store "$STORE" shop/web
fails_with 'no repository' 'no repository' regfs history --store "$STORE" not/there

# ---- As files ----

if have_fuse; then
	t=$web/_history/t
	is "$(ls "$web/_history" | xargs)" 'once t u' 'a directory for each tag, that is there or was'
	is "$(ls "$t" | xargs)" '0001 0002 0003 0004 0005 0006 0007 0008 0009 log' 'in it a link for each entry'
	is "$(readlink "$t/0003")" "../../_images/${D[3]/://}" 'to the image'
	check 'that is there' cmp "$t/0003/manifest.json" "$T/image-3"
	is "$(stat -c %Y "$t/0009")" "$(($(sql "SELECT at FROM tag_history WHERE tag = 't' AND number = 9") / 1000000000))" \
		'its mtime is when'
	is "$(stat -c %y "$t/0009")" "$(stat -c %y "$web/_tags/t")" 'and the tag'\''s'
	# Its mtime is some nanoseconds later for each listing (fs/mount/ops.c); its ctime isn't.
	is "$(stat -c %z "$t")" "$(stat -c %y "$t/0009")" 'and the directory'\''s'
	is "$(cut -f1,3,4,5 "$t/log" | sed -n 4,6p | tr '\t' ' ')" \
		$'0004 administrator mount named\n0004 administrator mount removed\n0005 administrator mount named' 'who did it, from where'
	like "$(head -n 1 "$t/log")" $'^0001\t20[0-9TZ:.-]+\tanyone\t127\.0\.0\.1\tnamed\tsha256:[0-9a-f]{64}$' 'over HTTP'
	is "$(stat -c %s "$t/log")" "$(wc -c <"$t/log")" 'its size is true'
	for name in 1 001 00001 0000 0010 x .. ../t log/x; do
		[ "$name" = .. ] || [ "$name" = ../t ] || check_fails "there is no $name" stat "$t/$name"
	done
	fails_with 'Read-only file system' 'it can'\''t be changed' rm "$t/0001"
	fails_with 'Read-only file system|Operation not permitted|Permission denied' 'nor added to' ln -s x "$t/0010"
	is "$(cat "$MNT/_registry/settings/history-keep")" 10 'ten images are kept'
fi

# ---- The event log ----

is "$(sql "SELECT COUNT(*) FROM tag_history h LEFT JOIN event e ON e.number = h.event AND e.tag = h.tag AND e.digest = h.digest
	AND e.kind IN ('push', 'tag', 'rollback') AND e.changed = 1 WHERE e.number IS NULL")" 0 'each entry has its event'
is "$(sql "SELECT COUNT(*) FROM tag_history h LEFT JOIN event e ON e.number = h.removed_event AND e.tag = h.tag
	AND e.digest = h.digest AND e.kind = 'untag' WHERE h.removed IS NOT NULL AND e.number IS NULL")" 0 'each removal, too'

# 200 at once, by three doors.
retag() {
	local n=$((1 + $1 % 4))

	case $(($1 % 3)) in
	0) put $n many ;;
	1) regfs tag add --store "$STORE" "shop/web@${D[n]}" many >/dev/null ;;
	2) if have_fuse; then
		ln -sfn "../_images/${D[n]/://}" "$web/_tags/many"
	else
		put $n many
	fi ;;
	esac
}
running=()
for ((i = 0; i < 200; i++)); do
	retag "$i" 2>>"$T/retag.err" &
	running+=($!)
done
failed=0
for pid in "${running[@]}"; do
	wait "$pid" || failed=$((failed + 1))
done
# Two `ln -f` of one directory at once may take each other's temporary name.
is "$(grep -vc 'ln: ' "$T/retag.err")" 0 'two hundred retags at once'
ok $((failed > 20)) "of which $failed were ln's that met another"
n=$(sql "SELECT COUNT(*) FROM tag_history WHERE tag = 'many'")
is "$(sql "SELECT MIN(number) || ' ' || MAX(number) FROM tag_history WHERE tag = 'many'")" "1 $n" "their $n entries have no gap"
is "$(sql "SELECT group_concat(event || hex(digest)) FROM (SELECT * FROM tag_history WHERE tag = 'many' ORDER BY number)")" \
	"$(sql "SELECT group_concat(number || hex(digest)) FROM (SELECT * FROM event WHERE tag = 'many' AND changed = 1 ORDER BY number)")" \
	'they are the events, in their order'
is "$(sql "SELECT COUNT(*) FROM tag_history a JOIN tag_history b ON b.repository_id = a.repository_id AND b.tag = a.tag
	AND b.number = a.number + 1 WHERE a.tag = 'many' AND a.digest = b.digest")" 0 'none repeats the one before it'
check 'check finds nothing wrong' regfs check --store "$STORE"

# ---- What gc keeps ----

for tag in once u many; do
	regfs tag rm --store "$STORE" shop/web:$tag >/dev/null 2>&1
done
gc() {
	run "$REGFS" gc --store "$STORE" --json --grace 0 --untagged 0 --undo-keep 0 "$@"
	jq -r '.removed.images' <<<"$OUT"
}
is "$(gc -n) $(gc)" '1 1' 'what no tag that is there has named goes'
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1 7=3 8=1 9=2*' 'what it has named stays'
like "$(regfs history --store "$STORE" shop/web:once)" 'removed' 'a removed tag'\''s history stays'
fails_with 'push it again' 'its image doesn'\''t' regfs rollback --store "$STORE" shop/web:once
check 'two images are kept' regfs namespace set --store "$STORE" / history-keep=2
is "$(gc -n) $(gc)" '1 1' 'the third goes'
http HEAD "/v2/shop/web/manifests/${D[3]}" -H "Accept: $TYPE"
is "$CODE" 404 'the one that it named longest ago'
exits 0 'the other one is there' regfs rollback --store "$STORE" -n shop/web:t
is "$OUT" "would be: shop/web:t is ${D[1]}, as in entry 8" 'to go back to'
if have_fuse; then
	echo 0 >"$MNT/_registry/settings/history-keep"
	is "$(cat "$MNT/_registry/settings/history-keep")" 0 'none is kept'
	is "$( (echo many >"$MNT/_registry/settings/history-keep") 2>&1 | sed 's/.*: //')" 'Invalid argument' 'that is no number'
else
	regfs namespace set --store "$STORE" / history-keep=0 >/dev/null
fi
is "$(gc -n) $(gc)" '1 1' 'all but the tag'\''s own go'
exits 2 'only the registry has it' regfs namespace set --store "$STORE" shop history-keep=2
fails_with 'is a number of images' 'a value that is none' regfs namespace set --store "$STORE" / history-keep=-1
check 'back to the default' regfs namespace set --store "$STORE" / history-keep=inherit
fails_with 'push it again' 'an entry without its image' regfs rollback --store "$STORE" shop/web:t --to 1
is "$(regfs history --store "$STORE" shop/web:t | awk '/gone$/ {n++} END {print n + 0}')" 7 'the history says which are gone'

# ---- What is derived is checked, and repaired ----

sql "UPDATE tag_history SET latest = 1 - latest WHERE tag = 't' AND number IN (8, 9);
	DELETE FROM tag_history WHERE tag = 't' AND number = 9"
exits 1 'a history that ends elsewhere' regfs check --store "$STORE"
like "$OUT$ERR" "history doesn't end with what the tag names" 'is found'
regfs check --store "$STORE" --repair >/dev/null 2>&1
check 'and repaired' regfs check --store "$STORE"
is "$(history)" '1=1 2=2 3=3 4=1- 5=1- 6=1 7=3 8=1 9=2*' 'what it names is its last entry'

# ---- A long one ----

sql "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
	INSERT INTO tag_history(repository_id, tag, number, digest, latest, at, event, who, origin)
	SELECT r.id, 'long', i, h.digest, i = 60000, h.at + i, i, 'administrator', 'a rather long origin'
	FROM n, repository r, tag_history h WHERE r.name = 'shop/web' AND h.tag = 't' AND h.number = 1"
for of in shop/web shop/web:long; do
	regfs history --store "$STORE" $of >"$T/by-store"
	check "the history of $of over HTTP" eval 'regfs history --server "http://$ADDR" $of >"$T/by-server"'
	check 'is the same, page by page' cmp "$T/by-store" "$T/by-server"
	ok "$(($(wc -l <"$T/by-server") < 60000))" 'and all of it'
done
fails_with 'never had a tag nope' 'one that there is not' regfs history --server "http://$ADDR" shop/web:nope

# ---- With its repository ----

put 2 gone
regfs repo rm --store "$STORE" shop/web >/dev/null
is "$(sql "SELECT COUNT(*) FROM tag_history")" 0 'a repository takes its histories with it'
stop_regfs
done_testing
