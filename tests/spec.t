#!/bin/bash
#
# OCI distribution-spec, spec.md as it stands behind 1.1 (its main branch in 2026): one check or more
# for each sentence that says what a registry MUST do, and for what it SHOULD or MAY do where we do,
# by its section; then what HTTP or browsers want beside that.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq perl
RAW=${0%/*}/rawhttp
start_regfs --open

INDEX_TYPE=application/vnd.oci.image.index.v1+json
IMAGE_TYPE=application/vnd.oci.image.manifest.v1+json
REPO=a/spec.test

# put REFERENCE FILE [CURL OPTION...]: a manifest of $T into $REPO.
put() {
	local reference=$1 file=$2

	shift 2
	http PUT "/v2/$REPO/manifests/$reference" -H Expect: \
		-H "Content-Type: $(jq -r .mediaType "$T/$file")" --data-binary "@$T/$file" "$@"
}

# with FILE NEW JQ-FILTER: a manifest that is changed.
with() {
	jq -c "$3" "$T/$1" >"$T/$2"
}

# refers FILE NEW TO [JQ-FILTER]: one more referrer of a manifest.
refers() {
	jq -c --arg d "$(digest_of "$T/$3")" --argjson s "$(stat -c %s "$T/$3")" --arg t "$IMAGE_TYPE" \
		".subject = {mediaType: \$t, digest: \$d, size: \$s} | ${4-.}" "$T/$1" >"$T/$2"
}

printf '{"architecture":"amd64","os":"linux"}' >"$T/config"
random_file layer 3000
LAYER=$DIGEST
push_blob "$REPO" "$T/config" >/dev/null
push_blob "$REPO" "$T/layer" >/dev/null
oci_manifest image config layer
put tag image
IMAGE=$(digest_of "$T/image")

# ---- Pull ----

S='Pulling manifests'
answers 200 "$S: by tag" GET "/v2/$REPO/manifests/tag"
same "$T/image" "$S: by tag, as it was pushed"
is "$(header docker-content-digest)" "$IMAGE" "$S: the digest is that of the bytes"
is "$(header content-type)" "$IMAGE_TYPE" "$S: the type is the one it was pushed with"
answers 200 "$S: by digest" GET "/v2/$REPO/manifests/$IMAGE"
same "$T/image" "$S: by digest, as it was pushed"
T128=$(printf '%0128d' 0)
for type in "$IMAGE_TYPE; charset=utf-8" "$IMAGE_TYPE ;x=\"y;z\""; do
	http PUT "/v2/$REPO/manifests/$T128" -H "Content-Type: $type" --data-binary "@$T/image"
	is "$CODE" 201 "Pushing Manifests: parameters of the Content-Type are ignored"
	http GET "/v2/$REPO/manifests/$T128"
	is "$CODE $(header content-type)" "200 $IMAGE_TYPE" "$S: a tag of 128 characters; a type without parameters"
done
for name in _ 0 A.b-c_d; do
	put "$name" image
	answers 200 "$S: $name is a tag" GET "/v2/$REPO/manifests/$name"
done
refuses 404 MANIFEST_UNKNOWN "$S: no such tag" GET "/v2/$REPO/manifests/none"
refuses 404 MANIFEST_UNKNOWN "$S: no such digest" GET "/v2/$REPO/manifests/$NO_SUCH"
for reference in .a -a a+b 'a%20b' "$(printf '%0129d' 0)" sha256:12 sha256:; do
	refuses '400|404' '.*' "$S: ${reference:0:20} is no reference" GET "/v2/$REPO/manifests/$reference"
done
for name in A a_ a/ /a a//b a..b .a a/-b 'a%20b' "a:b"; do
	answers '400|404' "$S: $name is no name" GET "/v2/$name/manifests/tag"
	answers '400|404' "$S: $name is no name to push to" POST "/v2/$name/blobs/uploads/" -d ''
done
for name in a a.b a_b a__b a-b a--b 0/1/2 "a/$(printf '%0200d' 0)" blobs/uploads manifests/tags; do
	answers 202 "$S: $name is a name" POST "/v2/$name/blobs/uploads/" -d ''
	http DELETE "$(location)"
done
S='Pulling blobs'
answers 200 "$S: GET" GET "/v2/$REPO/blobs/$LAYER"
same "$T/layer" "$S: its bytes"
is "$(header docker-content-digest)" "$LAYER" "$S: the digest is that of the bytes"
refuses 404 BLOB_UNKNOWN "$S: no such blob" GET "/v2/$REPO/blobs/$NO_SUCH"
is "$(header content-length)" "$(stat -c %s "$T/body")" "$S: the answer's length is right there, too"
while read -r range start len; do
	answers 206 "$S: $range" GET "/v2/$REPO/blobs/$LAYER" -H "Range: bytes=$range"
	slice "$T/layer" "$start" "$len" >"$T/part"
	same "$T/part" "$S: $range: those bytes"
	is "$(header content-range) $(header content-length)" "bytes $start-$((start + len - 1))/3000 $len" \
		"$S: $range: Content-Range, Content-Length"
	is "$(header docker-content-digest)" "$LAYER" "$S: $range: the digest is the whole blob's"
done <<'RANGES'
500-1499 500 1000
500- 500 2500
-500 2500 500
2000-5000 2000 1000
0-0 0 1
RANGES
for range in 3000- 5000-10000 500-0 -0; do
	answers 416 "$S: $range is none of its bytes" GET "/v2/$REPO/blobs/$LAYER" -H "Range: bytes=$range"
	is "$(header content-range)" 'bytes */3000' "$S: $range: Content-Range says how many there are"
done
answers 200 "$S: another unit is ignored" GET "/v2/$REPO/blobs/$LAYER" -H 'Range: pages=1-2'
S='Checking if content exists in the registry'
answers 200 "$S: a manifest by tag" HEAD "/v2/$REPO/manifests/tag"
is "$(header docker-content-digest) $(header content-length)" "$IMAGE $(stat -c %s "$T/image")" \
	"$S: its digest, its size"
answers 200 "$S: a manifest by digest" HEAD "/v2/$REPO/manifests/$IMAGE"
is "$(header docker-content-digest) $(header content-length)" "$IMAGE $(stat -c %s "$T/image")" \
	"$S: its digest, its size, again"
answers 200 "$S: a blob" HEAD "/v2/$REPO/blobs/$LAYER"
is "$(header docker-content-digest) $(header content-length)" "$LAYER 3000" "$S: the blob's digest, its size"
answers 404 "$S: no such manifest" HEAD "/v2/$REPO/manifests/none"
answers 404 "$S: no such blob" HEAD "/v2/$REPO/blobs/$NO_SUCH"
# What GET says, without the date.
all_headers() {
	tr -d '\r' <"$T/headers" | grep -vi '^date:' | sort
}
for path in "manifests/tag" "manifests/$IMAGE" "blobs/$LAYER" "blobs/$NO_SUCH" tags/list "referrers/$IMAGE"; do
	http GET "/v2/$REPO/$path"
	get=$(all_headers)
	http HEAD "/v2/$REPO/$path"
	is "$(all_headers)" "$get" "HEAD says what GET says: ${path:0:20}"
done

# ---- Push ----

S='Pushing blobs'
for digest in md5:d41d8cd98f00b204e9800998ecf8427e sha256:12 "${LAYER}0" "SHA256:${LAYER#*:}" "${LAYER%?}g" none; do
	for query in digest mount; do
		refuses 400 DIGEST_INVALID "$S: $query=${digest:0:20} is no digest" POST \
			"/v2/$REPO/blobs/uploads/?$query=$digest" -H "$BYTES" --data-binary x
	done
	begin "$REPO"
	refuses 400 DIGEST_INVALID "$S: nor at the end: ${digest:0:20}" PUT "$(with_digest "$UPLOAD" "$digest")" \
		-H "$BYTES" --data-binary x
	http DELETE "$UPLOAD"
done
S='POST then PUT'
random_file one 5000
answers 202 "$S: POST" POST "/v2/$REPO/blobs/uploads/" -H 'Content-Length: 0'
first=$(location)
like "$first" '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}' "$S: the Location has a UUID"
http POST "/v2/$REPO/blobs/uploads/" -H 'Content-Length: 0'
isnt "$(location)" "$first" "$S: of its own"
http DELETE "$(location)"
answers 201 "$S: PUT" PUT "$(with_digest "$first" "$DIGEST")" -H "$BYTES" --data-binary "@$T/one"
http GET "$(location)"
same "$T/one" "$S: the Location can be pulled"
for how in '?digest-algorithm=sha512' ''; do
	random_file two 5000
	DIGEST=sha512:$(sha512sum <"$T/two" | cut -d' ' -f1)
	http POST "/v2/$REPO/blobs/uploads/$how" -d ''
	http PATCH "$(location)" -H "$BYTES" --data-binary "@$T/two"
	answers 201 "$S: sha512 ${how:-said at the end}" PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
	is "$(header docker-content-digest)" "$DIGEST" "$S: by that digest"
done
refuses 400 DIGEST_INVALID "$S: an algorithm that nobody has" POST \
	"/v2/$REPO/blobs/uploads/?digest-algorithm=md5" -d ''
begin "$REPO"
refuses 400 DIGEST_INVALID "$S: a digest of that algorithm" PUT "$(with_digest "$UPLOAD" md5:12)" -d ''
refuses 400 DIGEST_INVALID "$S: another digest" PUT "$(with_digest "$UPLOAD" "$NO_SUCH")" --data-binary x
# Two at once: each has what was sent to it.
begin "$REPO"
one=$UPLOAD
begin "$REPO"
for at in 0 2500; do
	slice "$T/one" "$at" 2500 >"$T/chunk"
	http PATCH "$one" -H "$BYTES" --data-binary "@$T/chunk"
	slice "$T/two" "$at" 2500 >"$T/chunk"
	http PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/chunk"
done
answers 201 "$S: one of two uploads at once" PUT "$(with_digest "$one" "$(digest_of "$T/one")")" -d ''
answers 201 "$S: the other one" PUT "$(with_digest "$UPLOAD" "$(digest_of "$T/two")")" -d ''
S='Single POST'
random_file three 5000
answers 201 "$S" POST "/v2/$REPO/blobs/uploads/?digest=$DIGEST" -H "$BYTES" --data-binary "@$T/three"
http GET "$(location)"
same "$T/three" "$S: the Location can be pulled"
refuses 400 DIGEST_INVALID "$S: another digest" POST "/v2/$REPO/blobs/uploads/?digest=$NO_SUCH" \
	-H "$BYTES" --data-binary "@$T/three"
S='Pushing a blob in chunks'
random_file four 3000
answers 202 "$S: POST" POST "/v2/$REPO/blobs/uploads/" -H 'Content-Length: 0'
UPLOAD=$(location)
is "$(header oci-chunk-min-length)" '' "$S: no chunk is too small"
answers 416 "$S: the first one must begin at 0" PATCH "$UPLOAD" -H "$BYTES" -H 'Content-Range: 1-3' -d abc
answers 416 "$S: also if it is the last one" PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" \
	-H 'Content-Range: 1-3' -d abc
answers 204 "$S: it goes on after that" GET "$UPLOAD"
for at in 0 1000; do
	slice "$T/four" "$at" 1000 >"$T/chunk"
	answers 202 "$S: at $at" PATCH "$UPLOAD" -H "$BYTES" -H "Content-Range: $at-$((at + 999))" \
		--data-binary "@$T/chunk"
	is "$(header range)" "0-$((at + 999))" "$S: the Range so far"
	isnt "$(location)" '' "$S: a Location"
done
for range in 1000-1999 2001-2999 0-999; do
	answers 416 "$S: $range is out of order" PATCH "$UPLOAD" -H "$BYTES" -H "Content-Range: $range" \
		--data-binary "@$T/chunk"
done
for range in 2000 2000- -2000 'x-y' '2999-2000'; do
	answers '4..' "$S: $range is no Content-Range" PATCH "$UPLOAD" -H "$BYTES" \
		-H "Content-Range: $range" --data-binary "@$T/chunk"
done
answers 204 "$S: the status" GET "$UPLOAD"
is "$(header range)" 0-1999 "$S: the status has the Range"
isnt "$(location)" '' "$S: and a Location"
refuses 400 DIGEST_INVALID "$S: the end without a digest" PUT "$UPLOAD" -d ''
slice "$T/four" 2000 1000 >"$T/chunk"
for range in 0-999 1999-2998 2001-3000; do
	answers 416 "$S: $range is out of order in the PUT" PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" \
		-H "Content-Range: $range" --data-binary "@$T/chunk"
done
answers 204 "$S: the status after that" GET "$UPLOAD"
UPLOAD=$(location)
is "$(header range)" 0-1999 "$S: is where it was"
answers 201 "$S: the last one in the PUT" PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" \
	-H 'Content-Range: 2000-2999' --data-binary "@$T/chunk"
http GET "$(location)"
same "$T/four" "$S: the Location can be pulled"
for bytes in 1 1 2; do
	begin "$REPO"
	for ((at = 0; at < 4; at += bytes)); do
		slice "$T/four" "$at" "$bytes" >"$T/chunk"
		http PATCH "$UPLOAD" -H "$BYTES" -H "Content-Range: $at-$((at + bytes - 1))" --data-binary "@$T/chunk"
		UPLOAD=$(location)
	done
	slice "$T/four" 0 4 >"$T/chunk"
	answers 201 "$S: chunks of $bytes, the Location of each; a PUT without one" PUT \
		"$(with_digest "$UPLOAD" "$(digest_of "$T/chunk")")" -H 'Content-Length: 0'
	isnt "$(location)" '' "$S: a Location"
done
S='Cancel a blob upload'
begin "$REPO"
answers 204 "$S" DELETE "$UPLOAD" -H 'Content-Length: 0'
begin "$REPO"
http PATCH "$UPLOAD" -H "$BYTES" -d abc
answers 204 "$S: after a chunk" DELETE "$(location)"
for method in GET DELETE PATCH PUT; do
	refuses 404 BLOB_UPLOAD_UNKNOWN "$S: it is gone: $method" "$method" "$(with_digest "$UPLOAD" "$DIGEST")"
done
S='Mounting a blob from another repository'
answers 201 "$S" POST "/v2/b/blobs/uploads/?mount=$LAYER&from=$REPO" -d ''
is "$(header docker-content-digest)" "$LAYER" "$S: its digest"
http GET "$(location)"
same "$T/layer" "$S: the Location can be pulled"
answers 201 "$S: from anywhere" POST "/v2/c/blobs/uploads/?mount=$LAYER" -d ''
http GET "$(location)"
same "$T/layer" "$S: from anywhere, it can be pulled"
answers 202 "$S: what isn't there begins an upload" POST "/v2/c/blobs/uploads/?mount=$NO_SUCH&from=b" -d ''
answers 204 "$S: which is one" GET "$(location)"
answers 202 "$S: nor is there a repository to take it from" POST "/v2/c/blobs/uploads/?mount=$LAYER&from=no/such/one" -d ''
answers 202 "$S: nor anywhere" POST "/v2/c/blobs/uploads/?mount=$NO_SUCH" -d ''

S='Pushing Manifests'
with image spaced .
jq . "$T/image" >"$T/spaced"
printf '\n\n  ' >>"$T/spaced"
put spaced spaced
is "$CODE" 201 "$S: with spaces"
is "$(header docker-content-digest)" "$(digest_of "$T/spaced")" "$S: the digest is that of the bytes"
http GET "$(location)"
same "$T/spaced" "$S: the Location has them, every byte"
with image unknown '. + {"org.example.more": {"a": [1.50, 1e3, "ü"]}, "x": null}'
put unknown unknown
is "$CODE" 201 "$S: members that nobody knows"
http GET "/v2/$REPO/manifests/unknown"
same "$T/unknown" "$S: are kept"
D512=sha512:$(sha512sum <"$T/image" | cut -d' ' -f1)
put "$D512" image
is "$CODE $(header docker-content-digest)" "201 $D512" "$S: by a sha512 digest"
http GET "/v2/$REPO/manifests/$D512"
same "$T/image" "$S: which can be pulled"
put "$NO_SUCH" image
is "$CODE" 400 "$S: by another digest"
put md5:12 image
is "$CODE" 400 "$S: by one of an unknown algorithm"
with image large '.annotations.a = ("A" * 4190000)'
put large large
is "$CODE" 201 "$S: of just under 4 MiB"
with image larger '.annotations.a = ("A" * 4194304)'
put larger larger
is "$CODE $(jq -r '.errors[0].code' "$T/body")" '413 MANIFEST_INVALID' "$S: of more"
with image empty '.layers = []'
put empty empty
is "$CODE" 201 "$S: without layers"
with image lacking '.layers[0].digest = "sha256:" + "1" * 64'
put lacking lacking
is "$CODE $(jq -r '.errors[].code' "$T/body")" '404 MANIFEST_BLOB_UNKNOWN' "Push: a layer that isn't there"
with image of4m '.annotations.a = ("A" * 3999000)'
put of4m of4m
is "$CODE" 201 "$S: of 4 megabytes"
put "$IMAGE" image
is "$CODE $(header docker-content-digest) $(location)" "201 $IMAGE /v2/$REPO/manifests/$IMAGE" "$S: again, by its digest"
refuses 404 NAME_UNKNOWN "$S: a repository that isn't there" GET /v2/no/such/one/manifests/latest

S='Pushing Manifests (tag parameters)'
query=$(printf '&tag=t%d' $(seq 10))
put "$IMAGE?${query#&}" image
is "$CODE" 201 "$S: ten tags"
is "$(tr -d '\r' <"$T/headers" | sed -n 's/^oci-tag: //Ip' | tr '\n' ' ')" \
	't1 t2 t3 t4 t5 t6 t7 t8 t9 t10 ' "$S: OCI-Tag names each"
for tag in t1 t10; do
	http GET "/v2/$REPO/manifests/$tag"
	same "$T/image" "$S: $tag is there"
done
put "$IMAGE?$(printf '&tag=x%d' $(seq 64))" image
is "$CODE" 201 "$S: 64 of them"
put "$IMAGE?$(printf '&tag=y%d' $(seq 65))" image
is "$CODE" 414 "$S: one more"
put "$IMAGE?tag=z1&tag=-z2" image
is "$CODE" 400 "$S: one that is no tag"
answers 404 "$S: then none is set" HEAD "/v2/$REPO/manifests/z1"
put "$IMAGE?tag=z1&tag=z1" image
is "$CODE $(tr -d '\r' <"$T/headers" | grep -ci '^oci-tag:')" '201 1' "$S: the same one twice"
put "$D512?tag=by512" image
http HEAD "/v2/$REPO/manifests/by512"
is "$(header docker-content-digest)" "$D512" "$S: a tag of a sha512 digest"

S='Pushing Manifests with Subject'
refers image sub1 image '.annotations = {"a": "1", "b": "ü\"\\"} | .artifactType = "application/vnd.a+x"'
put "$(digest_of "$T/sub1")" sub1
is "$CODE $(header oci-subject)" "201 $IMAGE" "$S: OCI-Subject is the subject's digest"
is "$(header warning)" '' "$S: nothing to warn of"
refers image missing layer .
put "$(digest_of "$T/missing")" missing
is "$CODE $(header oci-subject)" "201 $LAYER" "$S: a subject that isn't there"
like "$(header warning)" '^299 - "[^"\\]*"$' "Warnings: one says so"
put again image
is "$(header oci-subject)" '' "$S: none without a subject"
refers image sub2 image .
put sub2 sub2
jq -c --arg d "$D512" '.subject.digest = $d' "$T/sub2" >"$T/sub512"
put sub512 sub512
is "$CODE $(header oci-subject)" "201 $D512" "$S: by the subject's sha512 digest"
jq -cn --arg t "$INDEX_TYPE" --arg d "$IMAGE" --argjson s "$(stat -c %s "$T/image")" --arg m "$IMAGE_TYPE" \
	'{schemaVersion: 2, mediaType: $t, artifactType: "application/vnd.b", manifests: [],
	subject: {mediaType: $m, digest: $d, size: $s}}' >"$T/sub3"
put sub3 sub3
is "$CODE $(header oci-subject)" "201 $IMAGE" "$S: of an index"
jq -c --arg d "sha256:$(printf '2%.0s' $(seq 64))" --arg m "$IMAGE_TYPE" 'del(.subject) |
	.manifests = [{mediaType: $m, digest: $d, size: 5}]' "$T/sub3" >"$T/sparse"
put sparse sparse
is "$CODE" 201 'Pushing Manifests: an index of what is not there'
like "$(header warning)" '^299 - ".*lacks 1 ' 'Warnings: one says so, too'
is "$(($(header warning | wc -c) < 4096))" 1 'Warnings: of less than 4096 bytes'

# ---- Content discovery ----

S='Listing Tags'
answers 200 "$S" GET "/v2/$REPO/tags/list"
is "$(jq -r .name "$T/body")" "$REPO" "$S: the name"
is "$(jq -r '.tags[]' "$T/body")" "$(jq -r '.tags[]' "$T/body" | LC_ALL=C sort)" "$S: in lexical order"
ALL=$(jq -c .tags "$T/body")
answers 200 "$S: n=3" GET "/v2/$REPO/tags/list?n=3"
is "$(jq -c .tags "$T/body")" "$(jq -c '.[:3]' <<<"$ALL")" "$S: three of them"
like "$(header link)" '^<.+>; rel="next"$' "$S: a Link, since there are more"
http GET "$(header link | sed 's/^<//; s/>.*//')"
is "$(jq -c .tags "$T/body")" "$(jq -c '.[3:6]' <<<"$ALL")" "$S: which leads to the next three"
answers 200 "$S: n=0" GET "/v2/$REPO/tags/list?n=0"
is "$(jq -c .tags "$T/body")$(header link)" '[]' "$S: none, and no Link"
answers 200 "$S: last" GET "/v2/$REPO/tags/list?last=t1"
is "$(jq -c '.tags | index("t1"), (.[0] > "t1")' "$T/body" | tr '\n' ' ')" 'null true ' "$S: only what is behind it"
answers 200 "$S: n is more than there are" GET "/v2/$REPO/tags/list?n=1000"
is "$(jq -c .tags "$T/body")$(header link)" "$ALL" "$S: all, and no Link"
answers 200 "$S: n=2 and last" GET "/v2/$REPO/tags/list?n=2&last=t1"
is "$(jq -c .tags "$T/body")" "$(jq -c '[.[] | select(. > "t1")][:2]' <<<"$ALL")" "$S: two behind it"
path="/v2/$REPO/tags/list?n=7"
: >"$T/tags"
while [ -n "$path" ]; do
	http GET "$path"
	jq -r '.tags[]' "$T/body" >>"$T/tags"
	path=$(header link | sed 's/^<//; s/>.*//')
done
is "$(jq -Rsc 'split("\n")[:-1]' "$T/tags")" "$ALL" "$S: by sevens, one Link after the other: each once, in order"
push_blob untagged "$T/config" >/dev/null
push_blob untagged "$T/layer" >/dev/null
http PUT "/v2/untagged/manifests/$IMAGE" -H "$OCI_MANIFEST" --data-binary "@$T/image"
answers 200 "$S: of a repository without any" GET /v2/untagged/tags/list
is "$(jq -c . "$T/body")" '{"name":"untagged","tags":[]}' "$S: none"
refuses 404 NAME_UNKNOWN "$S: of a repository that isn't there" GET /v2/no/such/one/tags/list

S='Listing Referrers'
answers 200 "$S" GET "/v2/$REPO/referrers/$IMAGE"
is "$(header content-type)" "$INDEX_TYPE" "$S: Content-Type"
is "$(jq -c '[.schemaVersion, .mediaType, (.manifests | length)]' "$T/body")" "[2,\"$INDEX_TYPE\",3]" "$S: an index"
for file in sub1 sub2 sub3; do
	is "$(jq -cS --arg d "$(digest_of "$T/$file")" '.manifests[] | select(.digest == $d)' "$T/body")" \
		"$(jq -cS --arg d "$(digest_of "$T/$file")" --argjson s "$(stat -c %s "$T/$file")" '{mediaType,
		digest: $d, size: $s, artifactType: (.artifactType // .config.mediaType)}
		+ if .annotations then {annotations} else {} end' "$T/$file")" "$S: the descriptor of $file"
done
for subject in "$LAYER" "$NO_SUCH" "$D512"; do
	answers 200 "$S: of ${subject:0:12}" GET "/v2/$REPO/referrers/$subject"
done
is "$(jq -r '.manifests[].digest' "$T/body")" "$(digest_of "$T/sub512")" "$S: a subject by its sha512 digest"
http GET "/v2/$REPO/referrers/$NO_SUCH"
is "$(jq -c .manifests "$T/body")" '[]' "$S: none is an empty list"
answers 200 "$S: of a repository that isn't there" GET "/v2/no/such/one/referrers/$IMAGE"
is "$(jq -c .manifests "$T/body")" '[]' "$S: none, either"
for digest in sha256:12 sha512:12 md5:00000000000000000000000000000000 tag "SHA256:${IMAGE#*:}"; do
	refuses 400 DIGEST_INVALID "$S: $digest is no digest" GET "/v2/$REPO/referrers/${digest:0:40}"
done
answers 200 "$S: by type" GET "/v2/$REPO/referrers/$IMAGE?artifactType=application/vnd.a%2Bx"
is "$(header oci-filters-applied)" artifactType "$S: by type: OCI-Filters-Applied"
is "$(jq -r '.manifests[].digest' "$T/body")" "$(digest_of "$T/sub1")" "$S: by type: those only"
answers 200 "$S: by a type that none has" GET "/v2/$REPO/referrers/$IMAGE?artifactType=no/such"
is "$(jq -c .manifests "$T/body")" '[]' "$S: none"
refers image sub4 spaced '.artifactType = "" | .config.mediaType = "application/vnd.c+json"'
put sub4 sub4
jq -c --arg d "$(digest_of "$T/spaced")" 'del(.artifactType) | .subject.digest = $d | .annotations = {a: "b"}' \
	"$T/sub3" >"$T/sub5"
put sub5 sub5
jq -c '.artifactType = ""' "$T/sub5" >"$T/sub6"
put sub6 sub6
answers 200 "$S: of images and indexes without a type" GET "/v2/$REPO/referrers/$(digest_of "$T/spaced")"
is "$(header oci-filters-applied)" '' "$S: no filter, no OCI-Filters-Applied"
is "$(jq -c '.manifests | map([.mediaType, has("artifactType"), .artifactType, .annotations])[]' "$T/body" | sort | tr '\n' ' ')" \
	"[\"$INDEX_TYPE\",false,null,{\"a\":\"b\"}] [\"$INDEX_TYPE\",false,null,{\"a\":\"b\"}] [\"$IMAGE_TYPE\",true,\"application/vnd.c+json\",null] " \
	"$S: an image has its config's, an index none"
answers 200 "$S: by a config's type" GET "/v2/$REPO/referrers/$(digest_of "$T/spaced")?artifactType=application/vnd.c+json"
is "$(header oci-filters-applied) $(jq -r '.manifests[].digest' "$T/body")" "artifactType $(digest_of "$T/sub4")" \
	"$S: that one only"
S='Enabling the Referrers API'
# fallback FILE DESCRIPTOR-JSON...: an index as clients keep it.
fallback() {
	local file=$1

	shift
	printf '%s\n' "$@" | jq -cs --arg t "$INDEX_TYPE" '{schemaVersion: 2, mediaType: $t, manifests: .}' >"$T/$file"
}
# entry DIGEST: a descriptor that says little of what is true.
entry() {
	jq -cn --arg m "$IMAGE_TYPE" --arg d "$1" '{mediaType: $m, digest: $d, size: 9, artifactType: "old/one"}'
}
fallback fallback "$(entry "sha256:$(printf '3%.0s' $(seq 64))")" "$(entry "$(digest_of "$T/sub1")")" \
	"$(entry "$(digest_of "$T/unknown")")"
put "${IMAGE/:/-}" fallback
http GET "/v2/$REPO/referrers/$IMAGE"
is "$(jq -r '.manifests[].digest' "$T/body" | sort)" \
	"$(for file in sub1 sub2 sub3 unknown; do digest_of "$T/$file"; done | sort)" \
	"$S: the images that the fall-back tag lists are in the list, each once, and none that isn't there"
is "$(jq -c --arg d "$(digest_of "$T/unknown")" '.manifests[] | select(.digest == $d) |
	[.mediaType, .size, .artifactType]' "$T/body")" "[\"$IMAGE_TYPE\",$(stat -c %s "$T/unknown"),\"$(
	jq -r .config.mediaType "$T/unknown")\"]" "$S: by what they are, not by what the tag's index says"
S='Referrers Tag Schema'
fallback fallback512 "$(entry "$(digest_of "$T/unknown")")"
tag=${D512/:/-}
put "${tag:0:71}" fallback512
is "$CODE" 201 "$S: of a sha512 digest the tag has 64 digits"
http GET "/v2/$REPO/referrers/$D512"
is "$(jq -r '.manifests[1].digest' "$T/body")" "$(digest_of "$T/unknown")" "$S: what that tag lists is in the list"
S='Listing Referrers (paging)'
for i in 1 2 3; do
	refers image "big$i" spaced ".annotations.a = \"$i\" + \"B\" * 1900000 | .artifactType = \"big/one\""
	put "$(digest_of "$T/big$i")" "big$i"
done
path="/v2/$REPO/referrers/$(digest_of "$T/spaced")?artifactType=big/one"
: >"$T/pages"
for page in 1 2 3; do
	http GET "$path"
	jq -r '.manifests[].digest' "$T/body" >>"$T/pages"
	is "$CODE $(($(stat -c %s "$T/body") <= 4 * 1024 * 1024))" '200 1' "$S: page $page is of 4 MiB at most"
	path=$(header link | sed 's/^<//; s/>.*//')
	[ -n "$path" ] || break
done
is "$page $(sort "$T/pages")" "2 $(for i in 1 2 3; do digest_of "$T/big$i"; done | sort)" "$S: each is on one page"

# ---- Content management ----

S='Deleting tags'
answers 202 "$S" DELETE "/v2/$REPO/manifests/t1"
answers 404 "$S: gone at once" GET "/v2/$REPO/manifests/t1"
answers 200 "$S: the image stays" GET "/v2/$REPO/manifests/$IMAGE"
refuses 404 MANIFEST_UNKNOWN "$S: again" DELETE "/v2/$REPO/manifests/t1"
http GET "/v2/$REPO/tags/list"
is "$(jq -c '.tags | index("t1")' "$T/body")" null "$S: and not in the list"
S='Deleting Manifests'
for tag in tagged1 tagged2; do
	put "$tag" sub4
done
answers 202 "$S: one with tags" DELETE "/v2/$REPO/manifests/$(digest_of "$T/sub4")"
for tag in tagged1 tagged2 sub4; do
	answers 404 "$S: its tag $tag is gone as well" GET "/v2/$REPO/manifests/$tag"
done
answers 202 "$S" DELETE "/v2/$REPO/manifests/$(digest_of "$T/sub1")"
answers 404 "$S: gone at once" HEAD "/v2/$REPO/manifests/$(digest_of "$T/sub1")"
http GET "/v2/$REPO/referrers/$IMAGE?artifactType=application/vnd.a%2Bx"
is "$(jq -c '.manifests' "$T/body")" '[]' "$S: and no referrer any more"
http GET "/v2/$REPO/referrers/$IMAGE"
is "$(jq -r '.manifests[].digest' "$T/body" | grep -c "$(digest_of "$T/sub1")")" 0 "$S: nor by the fall-back tag"
answers 404 "$S: of a repository that isn't there" DELETE "/v2/no/such/one/manifests/$IMAGE"
S='Deleting Blobs'
refuses 409 DENIED "$S: one that an image needs is refused" DELETE "/v2/$REPO/blobs/$LAYER"
says "$REPO@sha256:" "$S: which names that image"
answers 202 "$S" DELETE "/v2/b/blobs/$LAYER"
answers 404 "$S: gone at once" HEAD "/v2/b/blobs/$LAYER"
answers 404 "$S: again" DELETE "/v2/b/blobs/$LAYER"
answers 404 "$S: of a repository that isn't there" DELETE "/v2/no/such/one/blobs/$LAYER"

# ---- Proxying ----

S='Registry Proxying'
for path in "manifests/tag" "blobs/$LAYER" tags/list "referrers/$IMAGE"; do
	answers 200 "$S: ns is ignored: ${path:0:20}" GET "/v2/$REPO/$path?ns=docker.io"
	is "$(header oci-namespace)" '' "$S: and not said to be used"
done

# ---- The API ----

answers 200 'Determining Support' GET /v2/
S='Error Codes'
codes='BLOB_UNKNOWN|BLOB_UPLOAD_INVALID|BLOB_UPLOAD_UNKNOWN|DIGEST_INVALID|MANIFEST_BLOB_UNKNOWN|MANIFEST_INVALID|MANIFEST_UNKNOWN|NAME_INVALID|NAME_UNKNOWN|SIZE_INVALID|UNAUTHORIZED|DENIED|UNSUPPORTED|TOOMANYREQUESTS'
refuses 400 "$codes" "$S: a malformed query" GET "/v2/_catalog?n=x"
refuses 400 "$codes" "$S: a malformed target" GET "/v2/%zz"
refuses 404 "$codes" "$S: no such route" GET /v2/nothing
refuses 405 "$codes" "$S: no such method" PATCH "/v2/$REPO/manifests/tag" -d ''
refuses 414 "$codes" "$S: a target that is too long" GET "/v2/_catalog?last=$(printf '%09000d' 0)"
refuses 416 "$codes" "$S: a range of nothing" GET "/v2/$REPO/blobs/$LAYER" -H 'Range: bytes=3000-'
refuses 416 "$codes" "$S: a range that ends first" GET "/v2/$REPO/blobs/$LAYER" -H 'Range: bytes=500-0'
refuses 400 "$codes" "$S: no manifest" PUT "/v2/$REPO/manifests/x" -H "$OCI_MANIFEST" -d '[]'
refuses 400 "$codes" "$S: no name" POST /v2/A/blobs/uploads/ -d ''

# ---- What is asked for again ----

for path in "manifests/$IMAGE" "blobs/$LAYER"; do
	tag="\"${path#*/}\""
	for known in "$tag" "W/$tag" "\"x\", $tag" "\"x\" ,W/\"y\",W/$tag" '*'; do
		for method in GET HEAD; do
			answers 304 "$method ${path%/*}, If-None-Match: ${known:0:12}" "$method" "/v2/$REPO/$path" \
				-H "If-None-Match: $known"
		done
	done
	is "$(header etag)" "$tag" '304 has the ETag'
	is "$(header cache-control)" 'max-age=31536000, immutable' '304 has Cache-Control'
	for known in '"x"' "${tag%?}x\"" "\"x${tag#?}"; do
		answers 200 "If-None-Match: ${known:0:12} is another" GET "/v2/$REPO/$path" -H "If-None-Match: $known"
	done
	is "$(header cache-control)" 'max-age=31536000, immutable' "${path%/*} by digest may be kept"
done
http GET "/v2/$REPO/manifests/tag"
is "$(header cache-control)" no-cache 'a tag must be asked for'
http GET "/v2/$REPO/tags/list"
is "$(header cache-control)" no-cache 'and so must a list'
answers 304 'If-None-Match in two lines' GET "/v2/$REPO/blobs/$LAYER" -H "If-None-Match: \"$LAYER\"" \
	-H 'If-None-Match: "x"'
answers 206 'If-Range: this one' GET "/v2/$REPO/blobs/$LAYER" -H 'Range: bytes=0-1' -H "If-Range: \"$LAYER\""
answers 200 'If-Range: another' GET "/v2/$REPO/blobs/$LAYER" -H 'Range: bytes=0-1' -H 'If-Range: "x"'
answers 200 'If-Range: weak' GET "/v2/$REPO/blobs/$LAYER" -H 'Range: bytes=0-1' -H "If-Range: W/\"$LAYER\""
answers 200 'a type that the client does not take' GET "/v2/$REPO/manifests/tag" -H 'Accept: text/plain'
is "$(header content-type)" "$IMAGE_TYPE" 'is given all the same'
refuses 400 MANIFEST_INVALID 'schema 1 is refused' PUT "/v2/$REPO/manifests/old" \
	-H 'Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws' \
	-d '{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[]}'

# ---- HTTP/1.1 ----

for path in / /v2/ /v2/_catalog "/v2/$REPO/tags/list" "/v2/$REPO/manifests/tag" "/v2/$REPO/blobs/$LAYER" \
	"/v2/$REPO/blobs/uploads/" "/v2/$REPO/blobs/uploads/x" "/v2/$REPO/referrers/$IMAGE"; do
	answers 204 "OPTIONS ${path:0:40}" OPTIONS "$path"
	like "$(header allow)" 'OPTIONS' 'Allow'
	is "$(header access-control-allow-origin)" '' 'nothing for other sites'
done
printf 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' | "$RAW" "$ADDR" >"$T/answer"
like "$(head -n 1 "$T/answer")" ' 204 ' 'OPTIONS *'
request() {
	printf '%s %s HTTP/1.1\r\nHost: x\r\n%b\r\n' "$1" "$2" "${3-}"
}
{
	request GET /v2/
	request HEAD "/v2/$REPO/manifests/tag"
	request GET "/v2/$REPO/manifests/none"
	request PUT "/v2/$REPO/manifests/-x" 'Content-Length: 5\r\n'
	printf 'hello'
	request POST "/v2/$REPO/blobs/uploads/?digest=$NO_SUCH" 'Transfer-Encoding: chunked\r\n'
	printf '5\r\nhello\r\n0\r\n\r\n'
	request HEAD "/v2/$REPO/blobs/$LAYER"
	request OPTIONS /v2/
	request DELETE "/v2/$REPO/manifests/t2" 'Content-Length: 0\r\n'
	request GET /v2/ 'Connection: close\r\n'
} | "$RAW" -t 5 "$ADDR" >"$T/answer"
is "$? $(tr -d '\r' <"$T/answer" | sed -n 's|^\(.*}\)\{0,1\}HTTP/1.1 \([0-9]*\) .*|\2|p' | tr '\n' ' ')" \
	'0 200 200 404 400 400 200 204 202 200 ' 'nine requests in one go: their answers in that order'
{
	request POST "/v2/$REPO/blobs/uploads/?digest=$DIGEST" \
		'Content-Length: 3000\r\nExpect: 100-continue\r\nConnection: close\r\n'
	cat "$T/four"
} | "$RAW" -t 5 "$ADDR" >"$T/answer"
is "$(tr -d '\r' <"$T/answer" | grep '^HTTP' | tr '\n' ' ')" 'HTTP/1.1 100 Continue HTTP/1.1 201 Created ' '100-continue'

# ---- Other sites, and images without their layers ----

stop_regfs
start_regfs --open --sparse --cors-origin 'https://a.example, http://localhost:3000'
for path in /v2/ "/v2/$REPO/manifests/tag" "/v2/$REPO/blobs/$LAYER" "/v2/$REPO/manifests/none" "/v2/$REPO/tags/list"; do
	http GET "$path" -H 'Origin: https://a.example'
	is "$(header access-control-allow-origin) $(header vary)" 'https://a.example Origin' "CORS: ${path:0:30}"
	like "$(header access-control-expose-headers)" 'Docker-Content-Digest.*Link.*OCI-Subject' 'what scripts see'
	http GET "$path" -H 'Origin: https://b.example'
	is "$(header access-control-allow-origin) $(header vary)" ' Origin' 'not to another'
	http GET "$path"
	is "$(header access-control-allow-origin) $(header vary)" ' Origin' 'nor to nobody'
done
answers 204 'preflight' OPTIONS "/v2/$REPO/manifests/tag" -H 'Origin: http://localhost:3000' \
	-H 'Access-Control-Request-Method: DELETE' -H 'Access-Control-Request-Headers: authorization'
is "$(header access-control-allow-origin)" http://localhost:3000 'preflight: the origin'
like "$(header access-control-allow-methods)" DELETE 'preflight: the methods'
like "$(header access-control-allow-headers)" Authorization 'preflight: the headers'
put lacking lacking
is "$CODE" 201 '--sparse: an image without its layer'
like "$(header warning)" '^299 - ".*lacks 1 of' '--sparse: a Warning says so'
with image noconfig '.config.digest = "sha256:" + "1" * 64'
put noconfig noconfig
is "$CODE" 404 '--sparse: but not without its config'
stop_regfs
start_regfs --open --gc-grace 0 --cors-origin '*'
http GET "/v2/$REPO/manifests/tag" -H 'Origin: https://b.example'
is "$(header access-control-allow-origin)$(header vary)" '*' 'CORS: to all'
same "$T/image" 'CORS: the same bytes'
answers 200 'HEAD of a blob whose grace is over' HEAD "/v2/$REPO/blobs/$LAYER"
is "$(header content-length)" 3000 'says how large it is'
answers 304 'or that it is known' HEAD "/v2/$REPO/blobs/$LAYER" -H "If-None-Match: \"$LAYER\""
answers 404 'or that it is not there' HEAD "/v2/$REPO/blobs/$NO_SUCH"
stop_regfs
fails_with 'is no origin' 'an origin with a path' "$REGFS" serve --store "$T/other" --listen 127.0.0.1:0 \
	--cors-origin https://a.example/x

done_testing
