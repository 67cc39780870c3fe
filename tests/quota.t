#!/bin/bash
#
# Quotas: what repositories and namespaces may hold, at every door; what counts, and how often; that it is right after all that
# changes it, also under 200 pushes at once.

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

TYPE=application/vnd.oci.image.manifest.v1+json
CONFIG=2	# bytes of the config, which all images here share

# right DESCRIPTION: what is kept is what is there, as `regfs check` counts it.
right() {
	is "$(regfs check --json | jq -r '"\(.derived // ."wrong-values")"')" 0 "the counts are right: $1"
}

# used OF NAME: bytes and tags, as the command says.
used() {
	case $1 in
	repository) regfs repo show "$2" --json ;;
	*) regfs namespace show "${2:-/}" --json ;;
	esac | jq -r --arg of "$1" --arg name "$2" '.quotas[] | select(.of == $of and .name == $name) | "\(.bytes) \(.tags)"'
}

# new_blob N SIZE: a blob of its own in $T/blob-N.
new_blob() {
	head -c "$2" /dev/urandom >"$T/blob-$1"
}

# whole REPO FILE: one request, by POST; the status in $CODE.
whole() {
	http POST "/v2/$1/blobs/uploads/?digest=$(digest_of "$2")" -H 'Content-Type: application/octet-stream' -H Expect: --data-binary @"$2"
}

# begin REPO: an upload's path in $UPLOAD.
begin() {
	http POST "/v2/$1/blobs/uploads/"
	UPLOAD=$(header location)
	UPLOAD=/v2/${UPLOAD#*/v2/}
}

# patch FILE [CURL OPTION...]
patch() {
	http PATCH "$UPLOAD" -H 'Content-Type: application/octet-stream' -H Expect: --data-binary @"$1" "${@:2}"
}

# new_image N SIZE: in $T/image-N, of the config and a layer of so many bytes.
new_image() {
	new_blob "$1" "$2"
	oci_manifest "image-$1" config "blob-$1"
}

# push REPO N REFERENCE: all of it; the status of the last request in $CODE.
push() {
	whole "$1" "$T/config"
	[ "$CODE" = 201 ] && whole "$1" "$T/blob-$2"
	[ "$CODE" = 201 ] && put "$@"
}

put() {
	http PUT "/v2/$1/manifests/$3" -H "Content-Type: $TYPE" --data-binary @"$T/image-$2"
}

# size FILE...: of all of them together.
size() {
	cat "$@" | wc -c
}

# collect: what nothing needs, and what could be undone, goes.
collect() {
	regfs gc --grace 0 --undo-keep 0 >/dev/null
}

printf '{}' >"$T/config"

# ---- Settings ----

new_image 1 1000
push shop/web 1 v1
is "$CODE" 201 'an image'
check 'a quota of a repository' regfs repo set shop/web quota=10kB quota-tags=2
check 'of a namespace' regfs namespace set shop quota=1MiB
check 'of the registry' regfs namespace set / quota=10GiB
ONE=$((CONFIG + 1000 + $(size "$T/image-1")))
is "$(used repository shop/web)" "$ONE 1" 'what was there counts'
is "$(used namespace shop)" "$ONE 1" 'in the namespace'
is "$(used registry '')" "$ONE 1" 'in the registry'
like "$(regfs repo show shop/web)" $'quota       1.[0-9] kB of 10.0 kB \(repository shop/web\)\nquota-tags  1 of 2 \(repository shop/web\)\nquota       1.[0-9] kB of 1.0 MB \(namespace shop\)' \
	'a repository is shown with all that bind it'
is "$(regfs repo show shop/web --json | jq -r '.quotas[0]["bytes-limit"], .quotas[0]["tags-limit"], .quotas[1]["bytes-limit"]' | paste -sd' ')" \
	'10000 2 1048576' 'for programs, too'
for bad in 1.5G -1 10X '' '1 GB' 99999999T; do
	exits 2 "'$bad' is no size" regfs repo set shop/web "quota=$bad"
	like "$ERR" "not \"$bad\"" 'it is named'
done
for bad in x -1 1k 1234567890 ''; do
	exits 2 "'$bad' is no number of tags" regfs repo set shop/web "quota-tags=$bad"
done
check 'what would be set' regfs repo set -n shop/web quota=none
is "$(used repository shop/web)" "$ONE 1" 'nothing was'
right 'at first'

# ---- Before bytes are taken ----

new_blob big 20000
whole shop/web "$T/blob-big"
is "$CODE $(jq -r '.errors[0].code' "$T/body")" '403 DENIED' 'a blob that has no room is denied'
says 'quota of repository shop/web is exceeded' 'it says whose quota'
says 'may hold 10.0 kB (10000 bytes)' 'what it is'
says "holds 1." 'what is used'
says 'takes 20.0 kB (20000) more' 'what was asked for'
says 'remove images' 'and what to do'
is "$(jq -c '.errors[0].detail' "$T/body")" "{\"limit\":10000,\"used\":$ONE,\"asked\":20000}" 'as numbers'
refuses 403 DENIED 'before a byte is sent' POST "/v2/shop/web/blobs/uploads/?digest=$(digest_of "$T/blob-big")" \
	-H 'Content-Type: application/octet-stream' -H 'Content-Length: 20000' -H 'Expect: 100-continue' --data-binary @"$T/blob-big"
begin shop/web
patch "$T/blob-big"
is "$CODE" 403 'PATCH with a length'
is "$(sql 'SELECT COUNT(*) FROM upload')" 1 'the upload is there'
http GET "$UPLOAD"
is "$(header range)" '0-0' 'and took nothing'
patch "$T/blob-big" -H 'Transfer-Encoding: chunked'
is "$CODE" 403 'PATCH without one'
head -c 6000 "$T/blob-big" >"$T/part"
patch "$T/part" -H 'Content-Range: 0-5999'
is "$CODE" 202 'a chunk that has room'
patch "$T/part" -H 'Content-Range: 6000-11999'
is "$CODE" 403 'one that has none'
head -c 2000 "$T/blob-big" >>"$T/part"
head -c 2000 "$T/blob-big" >"$T/rest"
http PUT "$UPLOAD?digest=$(digest_of "$T/part")" -H 'Content-Type: application/octet-stream' --data-binary @"$T/rest"
is "$CODE" 201 'the rest that has'
whole shop/web "$T/part"
is "$CODE" 201 'the same again takes nothing'
begin shop/web
patch "$T/part"
http PUT "$UPLOAD?digest=$(digest_of "$T/part")"
is "$CODE" 201 'nor does it where its digest comes last'
is "$(used repository shop/web)" "$((ONE + 8000)) 1" 'it counts once'
new_image 2 100
begin shop/web
new_blob small 400
patch "$T/blob-small"
new_image 3 300
whole shop/web "$T/blob-3"
is "$CODE" 201 'another is faster'
http PUT "$UPLOAD?digest=$(digest_of "$T/blob-small")"
is "$CODE" 403 'at the end the quota is asked once more'
http GET "$UPLOAD"
is "$CODE" 404 'and the upload is gone'
right 'after uploads'
is "$(ls "$STORE/uploads" | wc -l)" 0 'none is left'

# ---- Manifests, tags ----

whole shop/web "$T/config"
new_blob fill $((10000 - ONE - 8000 - 300 - 100))
whole shop/web "$T/blob-fill"
whole shop/web "$T/blob-2"
is "$CODE $(used repository shop/web)" '201 10000 1' 'the last byte is used'
put shop/web 2 v2
is "$CODE" 403 'no manifest has room'
put shop/web 1 v1
is "$CODE" 201 'one that is there is taken'
put shop/web 1 v2
is "$CODE $(used repository shop/web)" '201 10000 2' 'a tag takes no bytes'
put shop/web 1 v3
is "$CODE" 403 'a tag too many'
says 'the quota of repository shop/web is exceeded: it may have 2 tags, has 2, and this makes 1 more: remove tags' 'it says so'
put shop/web 1 "$(digest_of "$T/image-1")?tag=v1&tag=v4"
is "$CODE $(used repository shop/web)" '403 10000 2' 'none of several'
exits 3 'tag add' regfs tag add shop/web:v1 v3
like "$ERR" 'may have 2 tags' 'and why'
exits 3 'what it would do' regfs tag add -n shop/web:v1 v3
check 'one that is there' regfs tag add shop/web:v1 v2
if have_fuse; then
	fails_with 'Disk quota exceeded' 'ln -s' ln -s v1 "$MNT/shop/web/_tags/v3"
	fails_with 'Disk quota exceeded' 'ln -sf' ln -sf v1 "$MNT/shop/web/_tags/v3"
	check 'over one that is there' ln -sfn "../_images/$(digest_of "$T/image-1" | tr : /)" "$MNT/shop/web/_tags/v2"
	check 'mv' mv "$MNT/shop/web/_tags/v2" "$MNT/shop/web/_tags/v3"
	check 'and back' mv "$MNT/shop/web/_tags/v3" "$MNT/shop/web/_tags/v2"
	is "$(df --output=size,used,avail -B 512 "$MNT/shop/web" | tail -n 1 | tr -s ' ')" ' 16 16 0' 'df, in whole blocks'
	is "$(df --output=itotal,iused,iavail "$MNT/shop/web" | tail -n 1 | tr -s ' ')" ' 2 2 0' 'df -i is of tags'
	is "$(df --output=size -B 1M "$MNT/shop" | tail -n 1 | tr -d ' ')" 1 'df of the namespace'
	is "$(df --output=size -B 1G "$MNT" | tail -n 1 | tr -d ' ')" 10 'df of the registry'
	is "$(cat "$MNT/shop/web/_settings/quota" "$MNT/shop/web/_settings/quota-tags" "$MNT/_registry/settings/quota" | paste -sd' ')" \
		'10kB 2 10GiB' 'settings are files'
	check 'that are written' bash -c "echo 64KiB >'$MNT/shop/web/_settings/quota'"
	is "$(df --output=size,used -B 1k "$MNT/shop/web" | tail -n 1 | tr -s ' ')" ' 64 12' 'and hold'
	fails_with 'Invalid argument' 'a size that is none' bash -c "echo much >'$MNT/shop/web/_settings/quota'"
	echo 10kB >"$MNT/shop/web/_settings/quota"
fi
if command -v skopeo >/dev/null; then
	make_image "$T/layout" hello hello >/dev/null
	fails_with 'quota of repository shop/web is exceeded' 'skopeo shows the reason' \
		skopeo copy --insecure-policy --dest-tls-verify=false "oci:$T/layout:hello" "docker://$ADDR/shop/web:v1"
fi
right 'after tags'

# ---- Events ----

# What is refused is written within a second or so.
check 'a refusal is an event' timeout 60 "$REGFS" watch --since 0 --once -e quota shop/web
put shop/web 1 v9
OUT=$(timeout 60 "$REGFS" watch -q --since 0 --json -e quota shop/web | grep -m 1 '"v9"')
is "$(jq -r '[.kind, .repository, .tag, .about, .changed] | join(" ")' <<<"$OUT")" 'quota shop/web v9 quota-tags false' 'of a tag'
run regfs audit --json
is "$(jq -r 'map(select(.tag == "v9")) | .[0] | [.action, .result, .reason, .about] | join(" ")' <<<"$OUT")" 'push failed quota quota-tags' \
	'and a row of the audit trail'

# ---- Over it ----

check 'a quota below what is there' regfs repo set shop/web quota=1 quota-tags=0
http GET /v2/shop/web/manifests/v1 -H "Accept: $TYPE"
is "$CODE" 200 'what is there stays'
put shop/web 1 v1
is "$CODE" 201 'and is pushed again'
new_image 4 1
whole shop/web "$T/blob-4"
is "$CODE" 403 'nothing comes'
if have_fuse; then
	is "$(df --output=avail "$MNT/shop/web" | tail -n 1 | tr -d ' ')" 0 'nothing is free'
fi
check 'without a quota' regfs repo set shop/web quota=none quota-tags=none
is "$(regfs repo show shop/web --json | jq -r '.quotas | map(.of) | join(" ")')" 'namespace registry' 'it has none'
whole shop/web "$T/blob-4"
is "$CODE" 201 'it is the namespace that binds it'
right 'without it'

# ---- Shared blobs ----

check 'a namespace of its own' regfs namespace set team quota=30000
new_image 5 10000
FIVE=$((CONFIG + 10000 + $(size "$T/image-5")))
regfs repo add team/a >/dev/null
push team/a 5 v1
push team/b 5 v1
push team/c/d 5 v1
is "$CODE $(used namespace team)" "201 $FIVE 3" 'what three repositories hold counts once'
check 'one of the three has a quota' regfs repo set team/a quota=20000
is "$(used repository team/a)" "$FIVE 1" 'it counts there, too'
new_image 6 12000
push shop/web 6 v6
http POST "/v2/team/a/blobs/uploads/?mount=$(digest_of "$T/blob-6")&from=shop/web"
is "$CODE" 403 'a blob that is mounted counts'
says 'quota of repository team/a' 'in the repository'
http POST "/v2/team/b/blobs/uploads/?mount=$(digest_of "$T/blob-6")&from=shop/web"
is "$CODE $(used namespace team)" "201 $((FIVE + 12000)) 3" 'and in the namespace'
new_image 7 9000
whole team/b "$T/blob-7"
is "$CODE" 403 'there is no room any more'
whole team/new "$T/blob-7"
is "$CODE" 403 'nor in a repository that is new'
says 'quota of namespace team is exceeded' 'it is the namespace that has none'
is "$(regfs repo show team/new 2>&1 | grep -c 'no repository')" 1 'which was not made'
begin team/new
patch "$T/blob-5"
is "$CODE" 202 'what may be there already is taken'
http PUT "$UPLOAD?digest=$(digest_of "$T/blob-5")"
is "$CODE $(used namespace team)" "201 $((FIVE + 12000)) 3" 'and takes nothing'
begin team/new
patch "$T/blob-7"
is "$CODE" 403 'what has another length is not'
if command -v skopeo >/dev/null; then
	regfs namespace set crew quota=1MiB >/dev/null
	SIZE=$(size "$T"/layout/blobs/sha256/*)
	regfs namespace set crew "quota=$((SIZE + SIZE / 2))" >/dev/null
	for repo in one two; do
		check "skopeo pushes the same to crew/$repo" skopeo copy --insecure-policy --dest-tls-verify=false "oci:$T/layout:hello" \
			"docker://$ADDR/crew/$repo:v1"
	done
	is "$(used namespace crew)" "$SIZE 2" 'which counts once'
fi
right 'after sharing'

# ---- Removing, undoing, gc ----

check 'an image goes' regfs image rm "team/a@$(digest_of "$T/image-5")"
is "$(used repository team/a)" "$FIVE 0" 'what can be undone counts'
check 'gc takes what nothing needs' regfs gc --grace 0
is "$(used repository team/a)" "$FIVE 0" 'it still counts'
right 'after gc'
check 'it comes back' regfs undo team/a
is "$(used repository team/a)" "$FIVE 1" 'as it was'
right 'after undo'
check 'tags may be one' regfs repo set team/a quota-tags=1
check 'the tag goes' regfs tag rm team/a:v1
put team/a 5 v2
is "$CODE" 201 'another takes its place'
exits 3 'there is no room for the first' regfs undo team/a
like "$ERR" 'may have 1 tags, has 1' 'it says why'
exits 3 'nor by a rollback' regfs rollback team/a:v1
check 'without the other' regfs tag rm team/a:v2
check 'there is' regfs rollback team/a:v1
is "$(used repository team/a)" "$FIVE 1" 'one tag'
right 'after tags that went'
check 'a repository goes' regfs repo rm team/a
is "$(used namespace team)" "$FIVE 2" 'its tags with it'
check 'and comes back' regfs undo team/a
is "$(used repository team/a) $(regfs repo show team/a --json | jq -r '.quotas[0]["bytes-limit"]')" "$FIVE 1 20000" 'with its quota'
right 'after a repository that went'
check 'repositories go' bash -c "'$REGFS' repo rm team/a && '$REGFS' repo rm team/b && '$REGFS' repo rm team/c/d"
check 'and all that could be undone' collect
is "$(used namespace team)" '0 0' 'nothing is used'
right 'after they went for good'
push team/a 7 v1
is "$CODE" 201 'there is room again'
check 'a rule that keeps no tag' regfs repo set team/a 'retention=keep matching none'
check 'prune' regfs prune team/a
like "$(used namespace team)" '^9[0-9]* 0$' 'pruned tags do not count, their images do until gc takes them'
collect
is "$(used namespace team)" '0 0' 'nor do those then'
right 'after pruning'

# ---- Many at once ----

check 'a namespace for many' regfs namespace set many quota=100kB quota-tags=50
mkdir "$T/many"
# One curl for all, 100 of them at a time: 200 blobs of 1000 bytes each, in four repositories; 100 have room.
for i in $(seq 200); do
	head -c 1000 /dev/urandom >"$T/many/$i"
	printf 'next\nurl = "http://%s/v2/many/r%d/blobs/uploads/?digest=%s"\nrequest = POST\ndata-binary = "@%s"\n' \
		"$ADDR" $((i % 4)) "$(digest_of "$T/many/$i")" "$T/many/$i"
	printf 'header = "Content-Type: application/octet-stream"\noutput = "/dev/null"\nwrite-out = "%%{http_code}\\n"\n'
done | sed 1d >"$T/many.conf"
command curl -sS --no-progress-meter --parallel --parallel-immediate --parallel-max 200 -K "$T/many.conf" >"$T/codes" 2>"$T/curl.err"
is "$(sort "$T/codes" | uniq -c | tr -s ' ' | paste -sd,)" ' 100 201, 100 403' 'of 200 at once those are taken that have room'
is "$(used namespace many)" '100000 0' 'to the last byte'
right 'after 200 at once'
check 'and for tags' regfs namespace set many quota=1MiB
push many/r0 2 v0
for i in $(seq 200); do
	printf 'next\nurl = "http://%s/v2/many/r0/manifests/t%d"\nrequest = PUT\ndata-binary = "@%s"\nheader = "Content-Type: %s"\n' \
		"$ADDR" "$i" "$T/image-2" "$TYPE"
	printf 'output = "/dev/null"\nwrite-out = "%%{http_code}\\n"\n'
done | sed 1d >"$T/many.conf"
command curl -sS --no-progress-meter --parallel --parallel-immediate --parallel-max 200 -K "$T/many.conf" >"$T/codes" 2>"$T/curl.err"
is "$(sort "$T/codes" | uniq -c | tr -s ' ' | paste -sd,)" ' 49 201, 151 403' 'of 200 tags at once those that there may be'
like "$(used namespace many)" ' 50$' 'not one more'
right 'after 200 tags at once'

# ---- Who may set one: who may administer the namespace that it is in ----

printf 'a password of hers\n' >"$T/password"
check 'alice' regfs user add alice --password-file "$T/password"
check 'a repository' regfs repo add team/a
check 'administers a repository, and all in a namespace' bash -c \
	"'$REGFS' grant alice pull,push,delete,admin shop/web && '$REGFS' grant alice pull,push,delete,admin 'team/**'"
stop_regfs
start_regfs --gc-interval 0
unset REGFS_STORE
mkdir -p "$T/home"
export HOME=$T/home DOCKER_CONFIG=$T/home/.docker
check 'she logs in' regfs login "http://$ADDR" --user alice --password-file "$T/password"
export REGFS_SERVER=http://$ADDR
exits 3 'the quota of her repository is not hers' regfs repo set shop/web quota=1TiB
exits 3 'nor is that of her namespace' regfs namespace set team quota=1TiB
check 'that of a repository in it is' regfs repo set team/a quota=20kB
is "$(regfs repo show team/a --json | jq -r '.quotas | map("\(.of) \(.["bytes-limit"])") | join(", ")')" \
	'repository 20000, namespace 30000, registry 10737418240' 'and shown, at a server'
check 'what it would be' regfs repo set -n team/a quota=none
exits 2 'a size that is none' regfs repo set team/a quota=much
like "$(regfs namespace show team)" 'quota         [0-9.]* k?B of 30.0 kB \(namespace team\)' 'the namespace is shown to her'
export REGFS_STORE=$STORE
unset REGFS_SERVER

# ---- Check and repair ----

stop_regfs
right 'at the end'
for wrong in 'UPDATE quota SET bytes = bytes + 1' 'UPDATE quota SET tags = tags - 1' 'DELETE FROM quota_holder' \
	"UPDATE quota_blob SET holders = holders + 1 WHERE blob_id = (SELECT MAX(blob_id) FROM quota_blob)"; do
	before=$(sql 'SELECT name, below, bytes, tags FROM quota ORDER BY id; SELECT * FROM quota_blob; SELECT * FROM quota_holder')
	sql "$wrong"
	exits 1 "wrong: $wrong" regfs check
	like "$OUT" "what a quota says is used isn't what is there" 'it says what'
	check 'it is repaired' regfs check --repair
	is "$(sql 'SELECT name, below, bytes, tags FROM quota ORDER BY id; SELECT * FROM quota_blob; SELECT * FROM quota_holder')" "$before" \
		'as it was'
done
right 'after the repair'

done_testing
