#!/bin/bash
#
# A full disk, on a small tmpfs: a clear error, nothing half visible, reads go on, and
# everything works again when there is space, without a restart.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq
mkdir "$STORE"
mount -t tmpfs -o size=24m regfs-test "$STORE" 2>/dev/null || skip_all 'a tmpfs cannot be mounted here'
start_regfs --open

used() {
	df -k --output=used "$STORE" | tail -n 1 | tr -d ' '
}

# fill: takes all the space there is. free_up: gives it back.
fill() {
	dd if=/dev/zero of="$STORE/filler" bs=64k oflag=append conv=notrunc status=none 2>/dev/null
	dd if=/dev/zero of="$STORE/filler" bs=512 oflag=append conv=notrunc status=none 2>/dev/null
	[ "$(df -k --output=avail "$STORE" | tail -n 1)" -eq 0 ]
}

free_up() {
	rm -f "$STORE/filler"
}

# no_space DESCRIPTION METHOD PATH [CURL OPTION...]: refused for want of space, in words.
no_space() {
	refuses '507' '.*' "$@"
	like "$(jq -r '.errors[0].message' "$T/body" 2>/dev/null)" '[Ss]pace|[Ff]ull' "$1: the message says why"
}

# image_is_whole DESCRIPTION: the first image and its layer are as they were.
image_is_whole() {
	answers 200 "$1: the manifest" GET /v2/centos/manifests/first
	same "$T/image" "$1: the manifest's bytes"
	answers 200 "$1: the layer" GET "/v2/centos/blobs/$(digest_of "$T/layer")"
	same "$T/layer" "$1: the layer's bytes"
}

# push_all TAG: a new image, pushed whole.
push_all() {
	random_file "config-$1" 200
	random_file "layer-$1" 100000
	oci_manifest "image-$1" "config-$1" "layer-$1"
	check "$1: config" push_blob centos "$T/config-$1"
	check "$1: layer" push_blob centos "$T/layer-$1"
	answers 201 "$1: manifest" PUT "/v2/centos/manifests/$1" -H "$OCI_MANIFEST" --data-binary "@$T/image-$1"
	http GET "/v2/centos/manifests/$1"
	same "$T/image-$1" "$1: read again"
}

printf '{"architecture":"amd64","os":"linux"}' >"$T/config"
random_file layer 500000
push_blob centos "$T/config" >/dev/null
push_blob centos "$T/layer" >/dev/null
oci_manifest image config layer
answers 201 'an image' PUT /v2/centos/manifests/first -H "$OCI_MANIFEST" --data-binary "@$T/image"
image_is_whole 'before'

# ---- A blob that does not fit ----

random_file huge 30000000
HUGE=$DIGEST
before=$(used)
no_space 'POST with digest of a blob that is too large' POST "/v2/centos/blobs/uploads/?digest=$HUGE" \
	-H "$BYTES" -H Expect: --data-binary "@$T/huge"
answers 404 'it is not there' HEAD "/v2/centos/blobs/$HUGE"
image_is_whole 'afterwards'
after=$(used)
[ "$after" -lt $((before + 2000)) ]
ok $? "its bytes are not kept, as nobody could go on with them: $before KiB before, $after after"
push_all after-post

begin centos
no_space 'PUT of a blob that is too large' PUT "$(with_digest "$UPLOAD" "$HUGE")" \
	-H "$BYTES" -H Expect: --data-binary "@$T/huge"
answers 404 'it is not there' HEAD "/v2/centos/blobs/$HUGE"
image_is_whole 'afterwards'
http DELETE "$UPLOAD"
like "$CODE" '^(204|404)$' 'the upload can be cancelled'
push_all after-put

begin centos
no_space 'PATCH, chunked, of a blob that is too large' PATCH "$UPLOAD" \
	-H "$BYTES" -H "$CHUNKED" -H Expect: --data-binary "@$T/huge"
answers 204 'the upload is still there' GET "$UPLOAD"
image_is_whole 'afterwards'
answers 202 'an image can be deleted' DELETE "/v2/centos/manifests/$(digest_of "$T/image-after-put")"
answers 404 'it is gone' HEAD /v2/centos/manifests/after-put
answers 204 'the upload can be cancelled' DELETE "$UPLOAD"
push_all after-patch

# ---- No space while an upload is on its way: it goes on when there is some ----

random_file resumed 4000000
begin centos
slice "$T/resumed" 0 1000000 >"$T/chunk"
answers 202 'the first megabyte' PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/chunk"
fill
ok $? 'the disk is full'
slice "$T/resumed" 1000000 3000000 >"$T/chunk"
no_space 'three more' PATCH "$UPLOAD" -H "$BYTES" -H Expect: -H 'Content-Range: 1000000-3999999' \
	--data-binary "@$T/chunk"
image_is_whole 'on a full disk'
answers 204 'the upload is still there' GET "$UPLOAD"
have=$(header range)
have=$((${have#0-} + 1))
[ "$have" -ge 1000000 ] && [ "$have" -le 4000000 ]
ok $? "it has what it had: $have"
free_up
slice "$T/resumed" "$have" 4000000 >"$T/chunk"
answers 202 'with space it goes on' PATCH "$UPLOAD" -H "$BYTES" -H "Content-Range: $have-3999999" \
	--data-binary "@$T/chunk"
answers 201 'and ends' PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
http GET "/v2/centos/blobs/$DIGEST"
same "$T/resumed" 'with the right bytes'

# ---- No space for a manifest, nor for the database ----

random_file config-late 300
push_blob centos "$T/config-late" >/dev/null
oci_manifest image-late config-late layer
jq -c --arg x "$(head -c 60000 /dev/zero | tr '\0' x)" '.annotations = {x: $x}' "$T/image-late" >"$T/large"
fill
no_space 'a manifest of 60 KB on a full disk' PUT /v2/centos/manifests/large -H "$OCI_MANIFEST" \
	-H Expect: --data-binary "@$T/large"
answers 404 'it is not there' HEAD /v2/centos/manifests/large
answers 404 'nor by its digest' HEAD "/v2/centos/manifests/$(digest_of "$T/large")"
http GET /v2/centos/tags/list
is "$(jq '.tags | index("large")' "$T/body")" null 'nor in the list of tags'
image_is_whole 'on a full disk'

# Small changes until the database can't grow any more either: each is done or refused.
refused=0 strange= tagged=
for i in {1..300}; do
	http PUT "/v2/centos/manifests/tag-$i" -H "$OCI_MANIFEST" --data-binary "@$T/image"
	case $CODE in
	201) tagged+="tag-$i "; refused=0 ;;
	507) refused=$((refused + 1)) ;;
	*) strange+="$CODE " ;;
	esac
	[ $refused -lt 20 ] || break
done
is "$strange" '' 'changes on a full disk are done or refused with 507'
diag "$(wc -w <<<"$tagged") tags were set on a full disk"
http GET /v2/centos/tags/list
is "$(jq -r '.tags[] | select(startswith("tag-"))' "$T/body" | sort | tr '\n' ' ')" \
	"$(tr ' ' '\n' <<<"$tagged" | sed '/^$/d' | sort | tr '\n' ' ')" 'those that were acknowledged are there, no other'
answers '202|507' 'DELETE on a full disk' DELETE /v2/centos/manifests/after-post
deleted=$CODE
http HEAD /v2/centos/manifests/after-post
is "$deleted $CODE" "$([ "$deleted" = 202 ] && echo 202 404 || echo 507 200)" 'is done or not done'
answers '202|507' 'POST on a full disk' POST /v2/centos/blobs/uploads/ -d ''
image_is_whole 'on a full disk'
answers 200 'the catalog on a full disk' GET /v2/_catalog

free_up
answers 201 'with space the manifest is taken' PUT /v2/centos/manifests/large -H "$OCI_MANIFEST" \
	-H Expect: --data-binary "@$T/large"
http GET /v2/centos/manifests/large
same "$T/large" 'and read'
push_all recovered
answers '202|404' 'DELETE with space' DELETE /v2/centos/manifests/after-post
answers 404 'is done' HEAD /v2/centos/manifests/after-post

# ---- A restart on a full disk: it serves, or says what it lacks ----

fill
kill_regfs
: >"$LOG"
if serve_regfs --store "$STORE" --listen "$ADDR" --open; then
	image_is_whole 'started on a full disk'
	free_up
else
	like "$(tail -n 3 "$LOG")" '[Ss]pace|[Ff]ull' 'it cannot start on a full disk, and says why'
	free_up
	serve_regfs --store "$STORE" --listen "$ADDR" --open
	ok $? 'with space it starts'
fi
image_is_whole 'after a crash on a full disk'
push_all at-last
check 'every file of the store has the digest it is named by' sh -c "
	cd '$STORE/blobs/sha256' && find . -type f | sed 's,^./../\(.*\),\1  &,' | sha256sum --quiet -c -"
stop_regfs

done_testing
