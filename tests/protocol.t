#!/bin/bash
#
# The registry protocol over HTTP: OCI distribution-spec, spec.md, what it says of
# a registry that has everything but referrers.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq perl
start_regfs --open

# ---- The registry ----

answers 200 'GET /v2/' GET /v2/
is "$(header docker-distribution-api-version)" registry/2.0 '/v2/ names the version of the API'
answers 200 'HEAD /v2/' HEAD /v2/
refuses '404|405' '.*' 'POST /v2/' POST /v2/ -d ''
refuses 404 '.*' 'an unknown route' GET /v2/x/nothing/here
refuses 405 UNSUPPORTED 'a method that a route does not have' PUT /v2/_catalog -d ''
like "$(header allow)" GET 'Allow names those it has'
answers 200 'the catalog of an empty registry' GET /v2/_catalog
is "$(jq -c . "$T/body")" '{"repositories":[]}' 'the catalog of an empty registry is an empty list'

# ---- Uploads ----

# whole REPO FILE DIGEST HOW: the blob is there, with all its headers.
whole() {
	answers 200 "$4: GET" GET "/v2/$1/blobs/$3"
	same "$T/$2" "$4: the same bytes"
	is "$(header content-length)" "$(stat -c %s "$T/$2")" "$4: Content-Length"
	is "$(header docker-content-digest)" "$3" "$4: Docker-Content-Digest"
}

# created REPO DIGEST HOW: what a 201 says.
created() {
	is "$(location)" "/v2/$1/blobs/$2" "$3: Location is the blob's"
	is "$(header docker-content-digest)" "$2" "$3: 201 has the digest"
}

random_file post 4096
answers 201 'POST with digest' POST "/v2/centos/blobs/uploads/?digest=$DIGEST" \
	-H "$BYTES" --data-binary "@$T/post"
created centos "$DIGEST" 'POST with digest'
whole centos post "$DIGEST" 'POST with digest'

random_file escaped 100
answers 201 'POST with an escaped digest' POST "/v2/centos/blobs/uploads/?digest=${DIGEST/:/%3A}" \
	-H "$BYTES" --data-binary "@$T/escaped"
whole centos escaped "$DIGEST" 'POST with an escaped digest'

random_file post-chunked 70000
answers 201 'POST with digest, chunked' POST "/v2/centos/blobs/uploads/?digest=$DIGEST" \
	-H "$BYTES" -H "$CHUNKED" --data-binary "@$T/post-chunked"
whole centos post-chunked "$DIGEST" 'POST with digest, chunked'

random_file put 3000000
answers 202 'POST begins an upload' POST /v2/centos/blobs/uploads/ -H 'Content-Length: 0'
UPLOAD=$(location)
like "$UPLOAD" '^/v2/centos/blobs/uploads/[0-9A-Za-z_-]+' 'Location is the upload'
like "$UPLOAD" "$(header docker-upload-uuid)" 'Docker-Upload-UUID is the one in Location'
answers 201 'POST, PUT' PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" --data-binary "@$T/put"
created centos "$DIGEST" 'POST, PUT'
whole centos put "$DIGEST" 'POST, PUT'
refuses 404 BLOB_UPLOAD_UNKNOWN 'the upload is gone afterwards' GET "$UPLOAD"

random_file put-chunked 3000000
begin centos
answers 201 'POST, PUT chunked' PUT "$(with_digest "$UPLOAD" "$DIGEST")" \
	-H "$BYTES" -H "$CHUNKED" --data-binary "@$T/put-chunked"
whole centos put-chunked "$DIGEST" 'POST, PUT chunked'

: >"$T/empty"
EMPTY=$(digest_of "$T/empty")
begin centos
answers 201 'an empty blob' PUT "$(with_digest "$UPLOAD" "$EMPTY")" -H 'Content-Length: 0'
whole centos empty "$EMPTY" 'an empty blob'

random_file patched 1000000
begin shop/console-web
answers 202 'PATCH' PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/patched"
is "$(header range)" 0-999999 'PATCH answers with the Range'
like "$(location)" '^/v2/shop/console-web/blobs/uploads/' 'PATCH answers with a Location'
answers 201 'POST, PATCH, PUT' PUT "$(with_digest "$(location)" "$DIGEST")" -H 'Content-Length: 0'
created shop/console-web "$DIGEST" 'POST, PATCH, PUT'
whole shop/console-web patched "$DIGEST" 'POST, PATCH, PUT'

random_file streamed 5000000
begin shop/console-web
answers 202 'PATCH, chunked' PATCH "$UPLOAD" -H "$BYTES" -H "$CHUNKED" --data-binary "@$T/streamed"
is "$(header range)" 0-4999999 'PATCH, chunked: Range'
answers 201 'POST, PATCH chunked, PUT' PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
whole shop/console-web streamed "$DIGEST" 'POST, PATCH chunked, PUT'

random_file chunks 250000
begin shop/console-web
answers 204 'GET of an upload without bytes' GET "$UPLOAD"
for at in 0 100000 200000; do
	n=$((at < 200000 ? 100000 : 30000))
	slice "$T/chunks" $at $n >"$T/chunk"
	answers 202 "chunk at $at" PATCH "$UPLOAD" -H "$BYTES" \
		-H "Content-Range: $at-$((at + n - 1))" --data-binary "@$T/chunk"
	is "$(header range)" "0-$((at + n - 1))" "chunk at $at: Range"
	UPLOAD=$(location)
done
answers 204 'GET of an upload' GET "$UPLOAD"
is "$(header range)" 0-229999 'the status has the Range'
like "$(location)" '^/v2/shop/console-web/blobs/uploads/' 'the status has a Location'
slice "$T/chunks" 230000 20000 >"$T/chunk"
answers 201 'PUT with the last chunk' PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" \
	-H 'Content-Range: 230000-249999' --data-binary "@$T/chunk"
whole shop/console-web chunks "$DIGEST" 'three chunks and a last one'

random_file tail 300000
begin shop/console-web
slice "$T/tail" 0 123456 >"$T/chunk"
answers 202 'PATCH of a first part' PATCH "$UPLOAD" -H "$BYTES" -H "$CHUNKED" --data-binary "@$T/chunk"
slice "$T/tail" 123456 176544 >"$T/chunk"
answers 201 'PUT of the rest, chunked, without a Content-Range' \
	PUT "$(with_digest "$(location)" "$DIGEST")" -H "$BYTES" -H "$CHUNKED" --data-binary "@$T/chunk"
whole shop/console-web tail "$DIGEST" 'a part and the rest'

# LIMIT_UPLOAD_SMALL: what is larger goes to a writer.
for n in 8192 8193; do
	random_file edge $n
	answers 201 "POST of $n bytes" POST "/v2/centos/blobs/uploads/?digest=$DIGEST" -H "$BYTES" \
		--data-binary "@$T/edge"
	whole centos edge "$DIGEST" "POST of $n bytes"
	random_file edges $((3 * n))
	begin shop/console-web
	for at in 0 $n; do
		slice "$T/edges" "$at" $n >"$T/chunk"
		answers 202 "PATCH of $n bytes at $at" PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/chunk"
		is "$(header range)" "0-$((at + n - 1))" "PATCH of $n bytes at $at: Range"
		UPLOAD=$(location)
	done
	slice "$T/edges" $((2 * n)) $n >"$T/chunk"
	answers 201 "PUT of $n bytes" PUT "$(with_digest "$UPLOAD" "$DIGEST")" -H "$BYTES" --data-binary "@$T/chunk"
	whole shop/console-web edges "$DIGEST" "three times $n bytes"
done

begin shop/console-web
http PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/chunk"
UPLOAD=$(location)
answers 204 'DELETE of an upload' DELETE "$UPLOAD"
refuses 404 BLOB_UPLOAD_UNKNOWN 'a cancelled upload: GET' GET "$UPLOAD"
refuses 404 BLOB_UPLOAD_UNKNOWN 'a cancelled upload: PATCH' PATCH "$UPLOAD" --data-binary x
refuses 404 BLOB_UPLOAD_UNKNOWN 'a cancelled upload: PUT' PUT "$(with_digest "$UPLOAD" "$EMPTY")" -d ''
refuses 404 BLOB_UPLOAD_UNKNOWN 'a cancelled upload: DELETE' DELETE "$UPLOAD"

begin shop/console-web
refuses 404 BLOB_UPLOAD_UNKNOWN 'an upload belongs to its repository' \
	GET "${UPLOAD/shop\/console-web/centos}"
answers 204 'cancelled at its own' DELETE "$UPLOAD"

random_file sha512 10000
SHA512=sha512:$(sha512sum <"$T/sha512" | cut -d' ' -f1)
begin centos
answers 201 'a SHA-512 digest' PUT "$(with_digest "$UPLOAD" "$SHA512")" --data-binary "@$T/sha512"
whole centos sha512 "$SHA512" 'a SHA-512 digest'
refuses 404 BLOB_UNKNOWN 'and not the same by SHA-256' GET "/v2/centos/blobs/$DIGEST"

random_file twice 200000
for i in 1 2 3 4 5 6; do
	curl -sS -o /dev/null -w '%{http_code}\n' -H "$BYTES" --data-binary "@$T/twice" \
		"http://$ADDR/v2/centos/blobs/uploads/?digest=$DIGEST" &
done >"$T/codes"
for job in $(jobs -p); do
	[ "$job" = "$REGFS_PID" ] || wait "$job"
done
is "$(sort "$T/codes" | uniq -c | tr -s ' ')" ' 6 201' 'the same blob six times at once: six times 201'
whole centos twice "$DIGEST" 'six times at once'

# ---- Uploads that were interrupted ----

# upload_reaches N: waits until the upload's file has so many bytes and nobody writes to it; its Range ends there.
upload_reaches() {
	local file=$STORE/uploads/${UPLOAD##*/}

	timeout 30 head -c "$1" < <(exec tail -c +1 -f --pid="$REGFS_PID" "$file" 2>/dev/null) >/dev/null
	timeout 30 flock "$file" true
	http GET "$UPLOAD"
	[ "$(header range)" = "0-$(($1 - 1))" ]
}

random_file dropped 1000000
begin shop/console-web
{
	printf 'PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n' "$UPLOAD" "$ADDR"
	printf '%s' "${RAWHTTP_AUTHORIZATION:+Authorization: $RAWHTTP_AUTHORIZATION$'\r\n'}"
	printf 'Content-Length: 1000000\r\n\r\n'
	cat "$T/dropped"
} >"$T/request"
# Sent up to there and closed. (A reset would take with it what the server has not read yet.)
exec 9<>"/dev/tcp/${ADDR%:*}/${ADDR##*:}"
head -c $(($(stat -c %s "$T/request") - 400000)) "$T/request" >&9
exec 9>&-
upload_reaches 600000
ok $? 'a connection dropped during a PATCH: what came is kept'
diag "Range: $(header range)"
have=$(header range)
have=$((${have#0-} + 1))
slice "$T/dropped" "$have" 1000000 >"$T/chunk"
answers 202 'it goes on where it stopped' PATCH "$UPLOAD" -H "$BYTES" \
	-H "Content-Range: $have-999999" --data-binary "@$T/chunk"
answers 201 'and ends well' PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
whole shop/console-web dropped "$DIGEST" 'dropped and resumed'

for how in stop kill; do
	random_file restarted 600000
	begin shop/console-web
	slice "$T/restarted" 0 350000 >"$T/chunk"
	http PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/chunk"
	UPLOAD=$(location)
	if [ $how = stop ]; then stop_regfs; else kill_regfs; fi
	serve_regfs --store "$STORE" --listen "$ADDR" --open || bail 'no restart'
	answers 204 "after a restart ($how) the upload is there" GET "$UPLOAD"
	is "$(header range)" 0-349999 "after a restart ($how) it has all that was sent"
	slice "$T/restarted" 350000 250000 >"$T/chunk"
	answers 202 "after a restart ($how) it goes on" PATCH "$UPLOAD" -H "$BYTES" \
		-H 'Content-Range: 350000-599999' --data-binary "@$T/chunk"
	answers 201 "after a restart ($how) it ends" PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
	whole shop/console-web restarted "$DIGEST" "resumed after a restart ($how)"
done

# ---- Mounting blobs from another repository ----

random_file lent 5000
push_blob centos "$T/lent" >/dev/null
refuses 404 'BLOB_UNKNOWN|NAME_UNKNOWN' 'a blob is not in a repository that nobody gave it to' \
	GET "/v2/jetty/blobs/$DIGEST"
answers 201 'a mounted blob' POST "/v2/jetty/blobs/uploads/?mount=$DIGEST&from=centos" -d ''
created jetty "$DIGEST" 'a mounted blob'
whole jetty lent "$DIGEST" 'a mounted blob'
answers 201 'mounted with everything escaped' \
	POST "/v2/a/b/c/blobs/uploads/?from=shop%2Fconsole-web&mount=$(digest_of "$T/patched" | sed s/:/%3A/)" -d ''
answers 202 'a mount of an unknown blob begins an upload' \
	POST "/v2/jetty/blobs/uploads/?mount=$NO_SUCH&from=centos" -d ''
UPLOAD=$(location)
answers 201 'that can be used' PUT "$(with_digest "$UPLOAD" "$EMPTY")" -d ''
answers 202 'a mount from an unknown repository begins an upload' \
	POST "/v2/jetty/blobs/uploads/?mount=$DIGEST&from=nobody/here" -d ''
http DELETE "$(location)"
answers '201|202' 'a mount without from' POST "/v2/jetty/blobs/uploads/?mount=$DIGEST" -d ''
answers '202|400' 'a mount from no name' POST "/v2/jetty/blobs/uploads/?mount=$DIGEST&from=../x" -d ''

# ---- GET and HEAD of blobs ----

random_file ranged 100000
push_blob centos "$T/ranged" >/dev/null
BLOB=/v2/centos/blobs/$DIGEST
answers 200 'HEAD of a blob' HEAD "$BLOB"
is "$(header content-length)" 100000 'HEAD: Content-Length'
is "$(header docker-content-digest)" "$DIGEST" 'HEAD: Docker-Content-Digest'
is "$(header accept-ranges)" bytes 'HEAD: Accept-Ranges'
is "$(header content-type)" application/octet-stream 'HEAD: Content-Type'

# range HEADER OFFSET LENGTH DESCRIPTION
range() {
	answers 206 "$4" GET "$BLOB" -H "Range: $1"
	slice "$T/ranged" "$2" "$3" >"$T/slice"
	same "$T/slice" "$4: its bytes"
	is "$(header content-range)" "bytes $2-$(($2 + $3 - 1))/100000" "$4: Content-Range"
	is "$(header content-length)" "$3" "$4: Content-Length"
}
range bytes=0-0 0 1 'the first byte'
range bytes=0-99 0 100 'a range at the start'
range bytes=50000-59999 50000 10000 'a range in the middle'
range bytes=99999-99999 99999 1 'the last byte'
range bytes=99000- 99000 1000 'an open range'
range bytes=-100 99900 100 'a suffix'
range bytes=-200000 0 100000 'a suffix longer than the blob'
range bytes=90000-200000 90000 10000 'a range that ends behind the blob'
for r in bytes=100000- bytes=100000-100001 bytes=-0 bytes=99999999999999999999-; do
	answers 416 "$r" GET "$BLOB" -H "Range: $r"
	is "$(header content-range)" 'bytes */100000' "$r: Content-Range has the size"
done
for r in lines=1-2 bytes=x-y bytes= bytes=5 bytes=-; do
	answers '200|416' "$r is no range" GET "$BLOB" -H "Range: $r"
done
answers '200|206' 'two ranges' GET "$BLOB" -H 'Range: bytes=0-9,20-29'
answers '200|416' 'a range of an empty blob' GET "/v2/centos/blobs/$EMPTY" -H 'Range: bytes=0-'
refuses 404 BLOB_UNKNOWN 'an unknown blob' GET "/v2/centos/blobs/$NO_SUCH"
says "$NO_SUCH" 'the message names the digest'
answers 404 'HEAD of an unknown blob' HEAD "/v2/centos/blobs/$NO_SUCH"
refuses 404 'NAME_UNKNOWN|BLOB_UNKNOWN' 'a blob of an unknown repository' GET "/v2/nobody/blobs/$DIGEST"

# ---- Manifests ----

printf '{"architecture":"amd64","os":"linux"}' >"$T/config"
random_file layer1 1000
random_file layer2 2000

# give_blobs REPO: what the manifests below name.
give_blobs() {
	local file

	for file in config layer1 layer2; do
		push_blob "$1" "$T/$file" >/dev/null
	done
}

# stored REPO REFERENCE FILE TYPE HOW: by tag or digest, GET and HEAD.
stored() {
	answers 200 "$5: GET by $2" GET "/v2/$1/manifests/$2"
	same "$T/$3" "$5: the same bytes by $2"
	is "$(header content-type)" "$4" "$5: Content-Type by $2"
	is "$(header docker-content-digest)" "$(digest_of "$T/$3")" "$5: Docker-Content-Digest by $2"
	local get
	get=$(grep -iE '^(content-length|content-type|docker-content-digest|etag):' "$T/headers" | sort)
	answers 200 "$5: HEAD by $2" HEAD "/v2/$1/manifests/$2"
	is "$(grep -iE '^(content-length|content-type|docker-content-digest|etag):' "$T/headers" | sort)" \
		"$get" "$5: HEAD by $2 says what GET says"
}

# takes REPO FILE TYPE HOW: a manifest pushed by tag and by digest.
takes() {
	local digest

	digest=$(digest_of "$T/$2")
	answers 201 "$4: PUT by tag" PUT "/v2/$1/manifests/$2.1" -H "Content-Type: $3" --data-binary "@$T/$2"
	is "$(header docker-content-digest)" "$digest" "$4: 201 has the digest"
	like "$(location)" "^/v2/$1/manifests/" "$4: 201 has a Location"
	http GET "$(location)"
	same "$T/$2" "$4: which is the manifest"
	stored "$1" "$2.1" "$2" "$3" "$4"
	stored "$1" "$digest" "$2" "$3" "$4"
	answers 201 "$4: PUT by digest, again" PUT "/v2/$1/manifests/$digest" \
		-H "Content-Type: $3" --data-binary "@$T/$2"
}

for repo in jetty shop/console-service a/b/c/d/e/f/g/h/i/j/k/l/m x/manifests/y shop/tags a.b_c__d---e/0; do
	give_blobs "$repo"
	oci_manifest oci config layer1 layer2
	takes "$repo" oci application/vnd.oci.image.manifest.v1+json "$repo, OCI manifest"
done

sed -e 's/vnd.oci.image.manifest.v1/vnd.docker.distribution.manifest.v2/' \
	-e 's/vnd.oci.image.config.v1/vnd.docker.container.image.v1/' \
	-e 's/vnd.oci.image.layer.v1.tar/vnd.docker.image.rootfs.diff.tar.gzip/' "$T/oci" >"$T/docker"
takes jetty docker application/vnd.docker.distribution.manifest.v2+json 'Docker schema 2'

# index_of OUT TYPE FILE...: an index or manifest list of manifests in $T.
index_of() {
	local out=$1 type=$2 file

	shift 2
	for file; do
		jq -c --arg d "$(digest_of "$T/$file")" --argjson s "$(stat -c %s "$T/$file")" \
			'{mediaType, digest: $d, size: $s, platform: {architecture: "amd64", os: "linux"}}' "$T/$file"
	done | jq -s --arg t "$type" '{schemaVersion: 2, mediaType: $t, manifests: .}' >"$T/$out"
}
index_of index application/vnd.oci.image.index.v1+json oci docker
takes jetty index application/vnd.oci.image.index.v1+json 'OCI index'
index_of list application/vnd.docker.distribution.manifest.list.v2+json docker
takes jetty list application/vnd.docker.distribution.manifest.list.v2+json 'Docker manifest list'
index_of nested application/vnd.oci.image.index.v1+json index oci
takes jetty nested application/vnd.oci.image.index.v1+json 'an index of an index'
jq 'del(.mediaType)' "$T/oci" >"$T/untyped"
takes jetty untyped application/vnd.oci.image.manifest.v1+json 'a manifest without mediaType'
printf '{"schemaVersion":2,"manifests":[]}' >"$T/hollow"
takes jetty hollow application/vnd.oci.image.index.v1+json 'an empty index'

jq --tab '. + {"x-unknown": {"b": [1.50, 1e3], "a": "\u00e9\u2028"}, artifactType: "application/x.what"}
	| .config.mediaType = "application/x.config" | .layers[0].mediaType = "application/x.layer+z"
	| .layers[1].urls = ["http://example.com/x"] | .annotations = {"z": "1", "a": "2"}' "$T/oci" |
	sed '$s/$/\r\n\n  /' >"$T/odd"
takes jetty odd application/vnd.oci.image.manifest.v1+json 'unknown members, types and white space'
answers 200 'GET with an Accept that does not name its type' GET /v2/jetty/manifests/oci.1 \
	-H 'Accept: application/vnd.docker.distribution.manifest.v2+json'
is "$(header content-type)" application/vnd.oci.image.manifest.v1+json 'is answered with what it is'
answers 201 'a Content-Type with a parameter' PUT /v2/jetty/manifests/parameter \
	-H "$OCI_MANIFEST; charset=utf-8" --data-binary "@$T/oci"
answers 201 'a manifest, chunked' PUT /v2/jetty/manifests/chunked -H "$OCI_MANIFEST" \
	-H "$CHUNKED" --data-binary "@$T/odd"
http GET /v2/jetty/manifests/chunked
same "$T/odd" 'a manifest, chunked: the same bytes'

jq '.annotations = {"never": "pushed"}' "$T/oci" >"$T/other"
refuses 400 DIGEST_INVALID 'PUT by a digest that is another' \
	PUT "/v2/jetty/manifests/$NO_SUCH" -H "$OCI_MANIFEST" --data-binary "@$T/other"
refuses 404 MANIFEST_UNKNOWN 'leaves nothing by that digest' GET "/v2/jetty/manifests/$NO_SUCH"
refuses 404 MANIFEST_UNKNOWN 'nor by its own' GET "/v2/jetty/manifests/$(digest_of "$T/other")"

http GET /v2/jetty/manifests/oci.1
ETAG=$(header etag)
is "$ETAG" "\"$(digest_of "$T/oci")\"" 'the ETag is the digest'
for value in "$ETAG" "W/$ETAG" "\"x\", $ETAG" '*'; do
	answers 304 "If-None-Match: $value" GET /v2/jetty/manifests/oci.1 -H "If-None-Match: $value"
	is "$(stat -c %s "$T/body")" 0 "If-None-Match: $value: no body"
done
answers 200 'If-None-Match with another' GET /v2/jetty/manifests/oci.1 -H 'If-None-Match: "x"'
answers 304 'If-None-Match and HEAD' HEAD /v2/jetty/manifests/oci.1 -H "If-None-Match: $ETAG"
http HEAD "$BLOB"
answers 304 'If-None-Match of a blob' GET "$BLOB" -H "If-None-Match: $(header etag)"

# ---- Tags ----

http GET /v2/jetty/manifests/oci.1
answers 201 'a tag that moves' PUT /v2/jetty/manifests/moving -H "$OCI_MANIFEST" --data-binary "@$T/oci"
answers 201 'has moved' PUT /v2/jetty/manifests/moving -H "$OCI_MANIFEST" --data-binary "@$T/odd"
http GET /v2/jetty/manifests/moving
same "$T/odd" 'the next GET sees it'

give_blobs library/tags
tags=(A B Z _x a a-b a.b a0 ab b latest v1.10 v1.9 z_)
for tag in b a0 _x Z v1.9 a A latest ab v1.10 a.b B a-b z_; do
	http PUT "/v2/library/tags/manifests/$tag" -H "$OCI_MANIFEST" --data-binary "@$T/oci"
	[ "$CODE" = 201 ] || fail "tag $tag"
done
want=$(printf '%s\n' "${tags[@]}" | jq -Rcn '[inputs]')

# pages PATH MEMBER: all entries by following Link, as a list; the sizes of the pages in SIZES.
pages() {
	local path=$1

	SIZES=
	: >"$T/entries"
	while [ -n "$path" ]; do
		http GET "$path"
		[ "$CODE" = 200 ] || break
		jq -r ".$2[]" "$T/body" >>"$T/entries"
		SIZES+=" $(jq ".$2 | length" "$T/body")"
		[ ${#SIZES} -lt 300 ] || break
		path=$(header link)
		[ -z "$path" ] || [[ $path =~ ^\<.*\>\;\ *rel=\"?next\"?$ ]] || SIZES+=" bad link $path"
		path=$(sed -n 's/^<\([^>]*\)>.*/\1/p' <<<"$path")
		path=${path#http://"$ADDR"}
	done
	LISTED=$(jq -Rcn '[inputs]' "$T/entries")
}

answers 200 'tags/list' GET /v2/library/tags/tags/list
is "$(jq -c .name "$T/body")" '"library/tags"' 'tags/list: name'
is "$(jq -c .tags "$T/body")" "$want" 'tags/list: all, in byte order'
is "$(header link)" '' 'tags/list: all of them need no Link'
for n in 1 4 5 14 100; do
	pages "/v2/library/tags/tags/list?n=$n" tags
	is "$LISTED" "$want" "tags/list by pages of $n:$SIZES"
done
pages '/v2/library/tags/tags/list?n=4' tags
is "$SIZES" ' 4 4 4 2' 'pages are full'
pages '/v2/library/tags/tags/list?n=7' tags
is "$SIZES" ' 7 7' 'the last full page has no Link'
answers 200 'tags/list?last' GET '/v2/library/tags/tags/list?last=ab'
is "$(jq -c .tags "$T/body")" '["b","latest","v1.10","v1.9","z_"]' 'last: those behind it'
http GET '/v2/library/tags/tags/list?n=2&last=a.'
is "$(jq -c .tags "$T/body")" '["a.b","a0"]' 'last need not be there'
http GET '/v2/library/tags/tags/list?last=zz'
is "$(jq -c .tags "$T/body")" '[]' 'behind the last there is an empty list'
http GET '/v2/library/tags/tags/list?n=0'
is "$CODE $(jq -c .tags "$T/body") $(header link)" '200 [] ' 'n=0: an empty list, no Link'
refuses 400 '.*' 'n that is no number' GET '/v2/library/tags/tags/list?n=ten'
refuses 400 '.*' 'n below zero' GET '/v2/library/tags/tags/list?n=-1'
answers '200|400' 'n of 30 digits' GET '/v2/library/tags/tags/list?n=999999999999999999999999999999'
refuses 404 NAME_UNKNOWN 'tags of an unknown repository' GET /v2/nobody/tags/list
says nobody 'the message names it'

want=$(printf '%s\n' jetty shop/console-service a/b/c/d/e/f/g/h/i/j/k/l/m x/manifests/y shop/tags \
	a.b_c__d---e/0 library/tags | sort | jq -Rcn '[inputs]')
answers 200 '_catalog' GET /v2/_catalog
is "$(jq -c .repositories "$T/body")" "$want" '_catalog: repositories with images, in byte order'
for n in 1 2 7; do
	pages "/v2/_catalog?n=$n" repositories
	is "$LISTED" "$want" "_catalog by pages of $n:$SIZES"
done
http GET '/v2/_catalog?n=2&last=jetty'
is "$(jq -c .repositories "$T/body")" '["library/tags","shop/console-service"]' '_catalog: last'
is "$(jq -c .errors "$T/body")" null '_catalog: no errors beside the list'
http GET '/v2/_catalog?n=0'
is "$CODE $(jq -c .repositories "$T/body") $(header link)" '200 [] ' '_catalog: n=0'
refuses 400 '.*' '_catalog: n that is no number' GET '/v2/_catalog?n=x'

# ---- Deleting ----

DIGEST=$(digest_of "$T/oci")
answers 202 'DELETE of a tag' DELETE /v2/library/tags/manifests/latest
refuses 404 MANIFEST_UNKNOWN 'the tag is gone at once' GET /v2/library/tags/manifests/latest
says latest 'the message names it'
http GET /v2/library/tags/tags/list
is "$(jq -c '.tags | index("latest")' "$T/body")" null 'and from the list'
stored library/tags "$DIGEST" oci application/vnd.oci.image.manifest.v1+json 'the image is still there'
refuses 404 MANIFEST_UNKNOWN 'DELETE of a tag that is not there' DELETE /v2/library/tags/manifests/latest
answers 202 'DELETE of an image' DELETE "/v2/library/tags/manifests/$DIGEST"
refuses 404 'MANIFEST_UNKNOWN|NAME_UNKNOWN' 'it is gone at once' GET "/v2/library/tags/manifests/$DIGEST"
refuses 404 'MANIFEST_UNKNOWN|NAME_UNKNOWN' 'with its tags' GET /v2/library/tags/manifests/a
http GET /v2/_catalog
is "$(jq -c '.repositories | index("library/tags")' "$T/body")" null 'an empty repository is not in the catalog'
stored jetty "$DIGEST" oci application/vnd.oci.image.manifest.v1+json 'the same image of another repository stays'
refuses 404 'MANIFEST_UNKNOWN|NAME_UNKNOWN' 'DELETE of an image that is not there' \
	DELETE "/v2/library/tags/manifests/$DIGEST"
give_blobs library/untagged
http PUT "/v2/library/untagged/manifests/$DIGEST" -H "$OCI_MANIFEST" --data-binary "@$T/oci"
http GET /v2/library/untagged/tags/list
is "$CODE $(jq -c .tags "$T/body")" '200 []' 'a repository without tags has an empty list of them'

LAYER=$(digest_of "$T/layer1")
refuses '4..' '.*' 'DELETE of a blob that an image needs' DELETE "/v2/jetty/blobs/$LAYER"
whole jetty layer1 "$LAYER" 'it stays'
answers 202 'DELETE of a blob' DELETE "$BLOB"
answers 404 'it is gone at once' HEAD "$BLOB"
refuses 404 BLOB_UNKNOWN 'for GET, too' GET "$BLOB"
refuses 404 BLOB_UNKNOWN 'DELETE of a blob that is not there' DELETE "$BLOB"
answers 202 'DELETE of a blob where it was pushed' DELETE "/v2/centos/blobs/$(digest_of "$T/lent")"
whole jetty lent "$(digest_of "$T/lent")" 'a mounted blob outlives its source'
push_blob centos "$T/ranged" >/dev/null
whole centos ranged "${BLOB##*/}" 'a deleted blob, pushed again'

# ---- A registry that is not open ----

stop_regfs
serve_regfs --store "$STORE" --listen "$ADDR" || bail 'no restart'
refuses 401 UNAUTHORIZED 'without --open: GET of a manifest of a private repository' GET /v2/jetty/manifests/oci.1
private=$(jq -r '.errors[0].message' "$T/body")
refuses 401 UNAUTHORIZED 'and of one that is not there, alike' GET /v2/ghost/manifests/oci.1
is "$(jq -r '.errors[0].message' "$T/body")" "${private/jetty/ghost}" 'in the same words'
for name in jetty centos; do
	check "$name is made public" regfs repo set --store "$STORE" $name visibility=public
done
answers 200 'without --open: GET of a manifest' GET /v2/jetty/manifests/oci.1
answers 200 'without --open: GET of a blob' GET "$BLOB"
refuses 401 UNAUTHORIZED 'without --open: POST' POST /v2/jetty/blobs/uploads/ -d ''
says login 'the message says what is needed'
refuses 401 UNAUTHORIZED 'without --open: PUT of a manifest' PUT /v2/jetty/manifests/x -H "$OCI_MANIFEST" \
	--data-binary "@$T/oci"
refuses 401 UNAUTHORIZED 'without --open: DELETE of a tag' DELETE /v2/jetty/manifests/oci.1
refuses 401 UNAUTHORIZED 'without --open: DELETE of a blob' DELETE "$BLOB"
answers 200 'nothing is gone' GET /v2/jetty/manifests/oci.1
stop_regfs

done_testing
