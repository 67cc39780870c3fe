#!/bin/bash
#
# What bad input gets over HTTP: a clear error, nothing half done, a server that goes on
# and has lost nothing by it: no descriptor, no memory, no file.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq perl
RAW=$ROOT/tests/rawhttp
start_regfs --open

printf '{"architecture":"amd64","os":"linux"}' >"$T/config"
random_file layer 3000
push_blob centos "$T/config" >/dev/null
push_blob centos "$T/layer" >/dev/null
oci_manifest image config layer
answers 201 'an image to look at' PUT /v2/centos/manifests/victim -H "$OCI_MANIFEST" \
	--data-binary "@$T/image"

# Those of the database apart, which each working thread opens once and keeps.
descriptors() {
	find "/proc/$REGFS_PID/fd" -mindepth 1 -printf '%l\n' 2>/dev/null | grep -vc '/regfs\.db'
}

# Some requests at once, so that threads and what they hold are there before we count.
for i in {1..40}; do
	curl -sS -o /dev/null "http://$ADDR/v2/centos/manifests/victim" "http://$ADDR/v2/centos/tags/list" \
		-o /dev/null &
	curl -sS -o /dev/null -X POST "http://$ADDR/v2/centos/blobs/uploads/?digest=$DIGEST" \
		--data-binary "@$T/layer" &
	jobs+=($!)
done
wait "${jobs[@]}"
descriptors_before=$(descriptors)

# gone DIGEST DESCRIPTION: no such blob in centos.
gone() {
	answers 404 "$2" HEAD "/v2/centos/blobs/$1"
}

# ---- A wrong digest ----

random_file bytes 10000
WRONG=sha256:$(printf '%064d' 1)
refuses 400 DIGEST_INVALID 'POST with another digest' \
	POST "/v2/centos/blobs/uploads/?digest=$WRONG" -H "$BYTES" --data-binary "@$T/bytes"
says "$WRONG" 'the message names it'
gone "$WRONG" 'the blob is not there'
gone "$DIGEST" 'nor under its own digest'
begin centos
refuses 400 DIGEST_INVALID 'PUT with another digest' PUT "$(with_digest "$UPLOAD" "$WRONG")" \
	-H "$BYTES" --data-binary "@$T/bytes"
gone "$WRONG" 'PUT with another digest: not there'
answers '204|404' 'the upload is gone, or can be tried again' GET "$UPLOAD"
begin centos
http PATCH "$UPLOAD" -H "$BYTES" --data-binary "@$T/bytes"
refuses 400 DIGEST_INVALID 'PATCH, PUT with another digest' PUT "$(with_digest "$(location)" "$WRONG")" -d ''
gone "$WRONG" 'PATCH, PUT with another digest: not there'
begin centos
HEX=${DIGEST#sha256:}
for d in '' sha256 sha256: "$HEX" "sha256:${HEX:1}" "sha256:${HEX}0" "sha256:${HEX^^}x" "sha256:${HEX:1}G" \
	"SHA256:$HEX" "md5:d41d8cd98f00b204e9800998ecf8427e" "sha512:$HEX" \
	'sha256:..%2F..%2Fregfs.db' "sha256:%20$HEX" "sha256%253A$HEX"; do
	refuses 400 DIGEST_INVALID "not a digest: ${d:0:30}" PUT "$(with_digest "$UPLOAD" "$d")" \
		-H "$BYTES" --data-binary "@$T/bytes"
	begin centos
done
refuses 400 '.*' 'a digest and %00' PUT "$(with_digest "$UPLOAD" "$DIGEST%00")" -H "$BYTES" \
	--data-binary "@$T/bytes"
begin centos
refuses 400 'DIGEST_INVALID|BLOB_UPLOAD_INVALID' 'PUT without a digest' PUT "$UPLOAD" -d ''
refuses '400|404' 'DIGEST_INVALID|BLOB_UNKNOWN' 'GET by no digest' GET /v2/centos/blobs/sha256:12
gone "$DIGEST" 'none of these made a blob'

# ---- An upload that ends too early ----

# request METHOD PATH HEADER...: the head of a request.
request() {
	printf '%s %s HTTP/1.1\r\nHost: %s\r\n' "$1" "$2" "$ADDR"
	shift 2
	[ $# -eq 0 ] || printf '%s\r\n' "$@"
	printf '\r\n'
}

# cut FILE: sends all but its last byte, then goes away.
cut_off() {
	"$RAW" -d $(($(stat -c %s "$1") - 2)) "$ADDR" <"$1" >/dev/null
}

begin centos
{
	request PUT "$(with_digest "$UPLOAD" "$DIGEST")" 'Content-Length: 10001'
	cat "$T/bytes"
	printf x
} >"$T/request"
cut_off "$T/request"
gone "$DIGEST" 'a PUT that ends before its Content-Length is not done'
begin centos
{
	request PUT "$(with_digest "$UPLOAD" "$DIGEST")" 'Transfer-Encoding: chunked'
	printf '2710\r\n'
	cat "$T/bytes"
	printf '\r\n0\r\n\r\n'
} >"$T/request"
for n in 1 3 5; do
	head -c -$((n - 1)) "$T/request" >"$T/request.cut"
	cut_off "$T/request.cut"
	gone "$DIGEST" "a chunked PUT that lacks its last $n bytes is not done"
done
for n in 1 3 5; do
	{
		request PUT "/v2/centos/manifests/cut" "$OCI_MANIFEST" 'Transfer-Encoding: chunked'
		printf '%x\r\n' "$(stat -c %s "$T/image")"
		cat "$T/image"
		printf '\r\n0\r\n\r\n'
	} | head -c -$((n - 1)) >"$T/request"
	cut_off "$T/request"
	answers 404 "a chunked manifest that lacks its last $n bytes is not done" \
		HEAD /v2/centos/manifests/cut
done

# ---- Chunks out of order ----

# chunk RANGE BYTES: a PATCH of so many bytes.
chunk() {
	head -c "$2" "$T/bytes" >"$T/chunk"
	http PATCH "$UPLOAD" -H "$BYTES" -H "Content-Range: $1" --data-binary "@$T/chunk"
}

begin centos
chunk 5-14 10
is "$CODE" 416 'a first chunk that does not begin at 0'
is "$(bad_error_shape 'BLOB_UPLOAD_INVALID|SIZE_INVALID')" '' 'with an error'
chunk 0-999 1000
is "$CODE $(header range)" '202 0-999' 'the right one'
for r in 1001-1100 999-1098 0-99 0-999 5000-5099; do
	n=$((${r#*-} - ${r%-*} + 1))
	chunk $r $n
	is "$CODE $(header range)" '416 0-999' "a chunk $r behind 1000 bytes: 416 with the Range"
done
for r in x 5 1000 -5 1000-999 1000-x 99999999999999999999-99999999999999999999 'bytes 1000-x/*' ''; do
	chunk "$r" 100
	[ -n "$r" ] || CODE=400
	like "$CODE" '^(400|416)$' "Content-Range: $r"
done
chunk 1000-1009 100
like "$CODE" '^(400|416)$' 'a Content-Range that is shorter than the body'
chunk 1000-1999 100
like "$CODE" '^(400|416)$' 'a Content-Range that is longer than the body'
http GET "$UPLOAD"
have=$(header range)
like "$have" '^0-(999|1099)$' 'the upload is where it was'
refuses 416 '.*' 'a PUT with a chunk out of order' PUT "$(with_digest "$UPLOAD" "$DIGEST")" \
	-H "$BYTES" -H 'Content-Range: 5000-14999' --data-binary "@$T/bytes"
gone "$DIGEST" 'makes no blob'
slice "$T/bytes" $((${have#0-} + 1)) 10000 >"$T/chunk"
if [ "$have" = 0-999 ]; then
	answers 202 'the upload can go on' PATCH "$UPLOAD" -H "$BYTES" -H 'Content-Range: 1000-9999' \
		--data-binary "@$T/chunk"
	answers 201 'and end' PUT "$(with_digest "$(location)" "$DIGEST")" -d ''
	http GET "/v2/centos/blobs/$DIGEST"
	same "$T/bytes" 'with the right bytes'
fi

# ---- Manifests ----

# no_manifest STATUS CODE DESCRIPTION [HEADER]: what $T/bad gets, and that nothing is there then.
no_manifest() {
	refuses "$1" "$2" "$3" PUT /v2/centos/manifests/bad -H "${4:-$OCI_MANIFEST}" \
		--data-binary "@$T/bad"
	cp "$T/body" "$T/refusal"
	http HEAD /v2/centos/manifests/bad
	[ "$CODE" = 404 ] && return
	fail "$3: it is there: $CODE"
	http DELETE /v2/centos/manifests/bad
}

A=sha256:$(printf '%064d' 7)
B=sha256:$(printf '%064d' 8)
jq --arg a "$A" --arg b "$B" '.layers += [{mediaType: "a/b", digest: $a, size: 1},
	{mediaType: "a/b", digest: $b, size: 2}]' "$T/image" >"$T/bad"
no_manifest '400|404' MANIFEST_BLOB_UNKNOWN 'two unknown blobs'
is "$(jq -c '[.errors[].detail | .. | strings | match("sha256:[0-9a-f]{64}").string] | unique' \
	"$T/refusal")" "[\"$A\",\"$B\"]" 'the detail lists both and no other'
jq --arg a "$A" '.config.digest = $a' "$T/image" >"$T/bad"
no_manifest '400|404' MANIFEST_BLOB_UNKNOWN 'an unknown config'
like "$(jq -c .errors[].detail "$T/refusal")" "$A" 'the detail lists it'
jq '.layers = [range(60) | {mediaType: "a/b", size: 1, digest: "sha256:\("0" * 62)\(. + 10)"}]' \
	"$T/image" >"$T/bad"
no_manifest '400|404' MANIFEST_BLOB_UNKNOWN '60 unknown blobs'
jq --arg a "$A" -n '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests:
	[{mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $a, size: 1}]}' >"$T/bad"
answers 201 'an index of an image that is not here is taken' \
	PUT /v2/centos/manifests/sparse -H "$OCI_INDEX" --data-binary "@$T/bad"
refuses '400|404' MANIFEST_BLOB_UNKNOWN 'blobs that another repository has' \
	PUT /v2/jetty/manifests/x -H "$OCI_MANIFEST" --data-binary "@$T/image"
jq --arg a "$A" '.layers += [{mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	digest: $a, size: 1, urls: ["http://example.com/"]}]' "$T/image" >"$T/foreign"
answers 201 'a foreign layer need not be there' PUT /v2/centos/manifests/foreign -H "$OCI_MANIFEST" \
	--data-binary "@$T/foreign"
jq --arg a "$A" '.subject = {mediaType: "application/vnd.oci.image.manifest.v1+json", digest: $a,
	size: 1}' "$T/image" >"$T/subject"
answers 201 'nor a subject' PUT /v2/centos/manifests/subject -H "$OCI_MANIFEST" --data-binary "@$T/subject"

while read -r -d '' text; do
	printf "$text" >"$T/bad"
	no_manifest 400 'MANIFEST_INVALID' "no manifest: ${text:0:40}"
done < <(printf '%s\0' '' x '{' '[]' '"x"' null 1 '{}' '{"schemaVersion":2}' \
	'{"schemaVersion":2,"manifests":{}}' '{"schemaVersion":2,"config":[],"layers":[]}' \
	'{"schemaVersion":2,"manifests":[]}x' '{"schemaVersion":2,"manifests":[]}\0' \
	'{"schemaVersion":2,"manifests":[],"manifests":[]}' '\xff\xfe' \
	'{"schemaVersion":2,"manifests":[],"annotations":{"a":"\xff"}}' \
	'{"schemaVersion":2,"manifests":[1]}' '{"schemaVersion":2,"manifests":[{}]}')
head -c 50 "$T/image" >"$T/bad"
no_manifest 400 MANIFEST_INVALID 'half a manifest'
perl -e 'print "[" x 100000' >"$T/bad"
no_manifest 400 MANIFEST_INVALID '100,000 brackets'
perl -e 'print "{\"a\":" x 100000' >"$T/bad"
no_manifest 400 MANIFEST_INVALID '100,000 objects'
jq '.layers = [range(4097) as $i | .layers[0]]' "$T/image" >"$T/bad"
no_manifest 400 MANIFEST_INVALID '4,097 layers'
jq '.layers = [range(4096) as $i | .layers[0]]' "$T/image" >"$T/many"
answers 201 '4,096 layers' PUT /v2/centos/manifests/many -H "$OCI_MANIFEST" --data-binary "@$T/many"
jq -c '.annotations = {} | .x = [range(300000)]' "$T/image" >"$T/bad"
no_manifest 400 MANIFEST_INVALID '300,000 values'
while IFS= read -r edit; do
	jq "$edit" "$T/image" >"$T/bad"
	no_manifest 400 'MANIFEST_INVALID|DIGEST_INVALID' "no manifest: $edit"
done <<'EDITS'
.schemaVersion = 1
.schemaVersion = "2"
.layers[0].digest = "sha256:12"
.layers[0].digest = 5
.layers[0].digest = "sha256:../../regfs.db"
.layers[0].size = -1
.layers[0].size = "1"
.layers[0].size = 1e300
del(.layers[0].digest)
.layers = {}
.config.digest = null
.mediaType = 7
.subject = "x"
.mediaType = "application/vnd.oci.image.index.v1+json"
EDITS
cp "$T/image" "$T/bad"
no_manifest '400|415' 'MANIFEST_INVALID|UNSUPPORTED' 'a Content-Type that is not the mediaType' "$OCI_INDEX"
printf '{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[],"history":[],"signatures":[]}' >"$T/bad"
no_manifest '400|415' 'MANIFEST_INVALID|UNSUPPORTED' 'Docker schema 1' \
	'Content-Type: application/vnd.docker.distribution.manifest.v1+prettyjws'

# padded FILE SIZE: the image with an annotation that makes it so many bytes.
padded() {
	jq -c '.annotations = {"a": ""}' "$T/image" | tr -d '\n' >"$1"
	perl -0pi -e 'my $n = '"$2"' - length; my $x = "x" x $n; s/"a":""/"a":"$x"/' "$1"
}
MAX=$((4 * 1024 * 1024))
padded "$T/max" $MAX
is "$(stat -c %s "$T/max")" "$MAX" 'a manifest of 4 MiB'
answers 201 'is taken' PUT /v2/centos/manifests/max -H "$OCI_MANIFEST" --data-binary "@$T/max"
http GET /v2/centos/manifests/max
same "$T/max" 'and given back'
answers 201 'also chunked' PUT /v2/centos/manifests/max-chunked -H "$OCI_MANIFEST" -H "$CHUNKED" \
	--data-binary "@$T/max"
padded "$T/bad" $((MAX + 1))
no_manifest 413 '.*' 'a byte more is not'
for expect in 'X-A: b' 'Expect: 100-continue'; do
	request PUT /v2/centos/manifests/bad "$OCI_MANIFEST" "Content-Length: $((MAX + 1))" "$expect" |
		"$RAW" -t 2 "$ADDR" >"$T/answer"
	like "$(head -n 1 "$T/answer")" '^HTTP/1.1 413' "413 before the body is sent ($expect)"
done
refuses 413 '.*' 'nor chunked' PUT /v2/centos/manifests/bad -H "$OCI_MANIFEST" -H "$CHUNKED" \
	-H Expect: --data-binary "@$T/bad"
answers 404 'and is not there' HEAD /v2/centos/manifests/bad
request PUT /v2/centos/manifests/bad "$OCI_MANIFEST" 'Content-Length: 18446744073709551615' |
	"$RAW" -t 2 "$ADDR" >"$T/answer"
like "$(head -n 1 "$T/answer")" '^HTTP/1.1 4' 'a Content-Length of 2^64-1'
answers 200 'the server goes on' GET /v2/centos/manifests/victim

# ---- Names and tags ----

http GET /v2/_catalog
cp "$T/body" "$T/catalog"
NAME_255=$(printf 'n%.0s' {1..255})
NAME_DEEP=$(printf 'a/%.0s' {1..127})a
for name in UPPER Upper/case a/B -a a- _a a_ .a a. a..b a___b a/-b a/b_ a.-b 'a%20b' 'a+b' 'a@b' 'a~b' \
	'%C3%A4' 'a/%C3%A4' "${NAME_255}n" "${NAME_DEEP}aa"; do
	refuses 400 NAME_INVALID "name ${name:0:20}: POST" POST "/v2/$name/blobs/uploads/" -d ''
	refuses '400' NAME_INVALID "name ${name:0:20}: PUT of a manifest" PUT "/v2/$name/manifests/x" \
		-H "$OCI_MANIFEST" --data-binary "@$T/image"
	refuses '400|404' 'NAME_INVALID|NAME_UNKNOWN' "name ${name:0:20}: GET" GET "/v2/$name/tags/list"
done
for name in "$NAME_255" "$NAME_DEEP"; do
	push_blob "$name" "$T/config" >/dev/null && push_blob "$name" "$T/layer" >/dev/null
	answers 201 "a name of ${#name} bytes, ${name:0:5}" PUT "/v2/$name/manifests/x" -H "$OCI_MANIFEST" \
		--data-binary "@$T/image"
	answers 200 'can be read' GET "/v2/$name/manifests/x"
	http DELETE "/v2/$name/manifests/$(digest_of "$T/image")"
done
for name in .. . a/.. ../a a/../b a/./b a//b /a '%2e%2e' 'a/%2E%2E/b' '%2e' 'a%2Fb' 'a%2fb' '%2Fa' 'a%252Fb' \
	'%252e%252e' 'a%00' '%00' 'a%00b/c' 'a%' 'a%1' 'a%zz' 'a%%41' '%c0%ae%c0%ae' 'a%c0%afb' '%e0%80%ae' \
	'%u002e' 'a%0d%0aX:%20y' 'a%5Cb' 'a\b' 'a%09' '%ff' 'centos%00' 'centos%2F' 'centos%20' \
	'../../../../../../etc' '%2e%2e%2f%2e%2e%2fetc%2fpasswd'; do
	refuses '400|404' '.*' "path $name: POST" POST "/v2/$name/blobs/uploads/" -d ''
	refuses '400|404' '.*' "path $name: PUT of a manifest" PUT "/v2/$name/manifests/victim" \
		-H "$OCI_MANIFEST" --data-binary "@$T/image"
	refuses '400|404' '.*' "path $name: GET" GET "/v2/$name/manifests/victim"
done
http GET /v2/_catalog
same "$T/catalog" 'none of these made a repository'

TAG_128=$(printf 't%.0s' {1..128})
answers 201 'a tag of 128 bytes' PUT "/v2/centos/manifests/$TAG_128" -H "$OCI_MANIFEST" \
	--data-binary "@$T/image"
answers 200 'can be read' HEAD "/v2/centos/manifests/$TAG_128"
http GET /v2/centos/tags/list
cp "$T/body" "$T/tags"
for tag in "${TAG_128}t" .a -a 'a%20b' 'a+b' '%C3%A4' 'a@b' 'a~' 'a%5Cb'; do
	refuses 400 'TAG_INVALID|MANIFEST_INVALID' "tag ${tag:0:20}: PUT" PUT "/v2/centos/manifests/$tag" \
		-H "$OCI_MANIFEST" --data-binary "@$T/image"
	refuses '400|404' '.*' "tag ${tag:0:20}: GET" GET "/v2/centos/manifests/$tag"
	refuses '400|404' '.*' "tag ${tag:0:20}: DELETE" DELETE "/v2/centos/manifests/$tag"
done
for tag in '' .. . '%2e%2e' 'a%2Fb' 'a%00' '%00' 'victim%00' 'victim%2F' 'a/b' 'victim/' 'a:b' sha256: sha256:12 \
	"sha256:${HEX}0" '%c0%ae' 'a%' '../victim' "$NAME_255$NAME_255"; do
	refuses '400|404|405' '.*' "reference ${tag:0:20}: PUT" PUT "/v2/centos/manifests/$tag" \
		-H "$OCI_MANIFEST" --data-binary "@$T/image"
	refuses '400|404|405' '.*' "reference ${tag:0:20}: GET" GET "/v2/centos/manifests/$tag"
	refuses '400|404|405' '.*' "reference ${tag:0:20}: DELETE" DELETE "/v2/centos/manifests/$tag"
done
http GET /v2/centos/tags/list
same "$T/tags" 'none of these made a tag or took one away'
answers 200 'an escaped letter is that letter' GET /v2/cent%6Fs/manifests/%76ictim

for path in /../etc/passwd /v2/../../../etc/passwd /v2/centos/blobs/../../../../etc/passwd \
	/v2/centos/blobs/sha256:..%2f..%2fregfs.db /v2/centos/blobs/uploads/.. \
	/v2/centos/blobs/uploads/..%2fregfs.db /v2/centos/blobs/uploads/%2e%2e /v2/centos/blobs/uploads/../../../x \
	"/v2/centos/blobs/uploads/$NAME_255" /v2/centos/blobs/uploads/%00 /v2// // /v3/ /v2/centos /v2/tags/list \
	/v2/manifests/x /v2/_blobs/x /v2/centos/_blobs/x '/v2/centos/blobs/'; do
	refuses '400|404' '.*' "GET $path" GET "$path"
done
for path in "blobs/uploads/?digest=..%2F..%2Fx" "blobs/uploads/?digest=%00" "blobs/uploads/?mount=x&from=centos" \
	"blobs/uploads/?mount=$DIGEST%00&from=centos"; do
	http POST "/v2/centos/$path" -d ''
	like "$CODE" '^(202|400)$' "POST $path"
done
for query in 'last=%00' 'last=..%2F' 'last=%ff' 'n=%00' 'n=1&n=2' '&&&=' 'n' "last=$NAME_255$NAME_255"; do
	answers '200|400' "tags/list?${query:0:20}" GET "/v2/centos/tags/list?$query"
done

# ---- Heads that are too large ----

LONG=$(perl -e 'print "x" x 120000')
HALF=${LONG:0:9000}
answers '431|400|413' 'a header of 120 KB' GET /v2/ -H "X-Long: $LONG"
refuses 414 '.*' 'a target of 9 KB' GET "/v2/centos/tags/list?last=$HALF"
answers '414|431|400' 'a target of 120 KB' GET "/v2/$LONG/tags/list"
perl -e 'print "GET /v2/ HTTP/1.1\r\nHost: x\r\n", map("X-$_: y\r\n", 1 .. 20000), "\r\n"' |
	"$RAW" -t 2 "$ADDR" >"$T/answer"
like "$(head -n 1 "$T/answer")" '^HTTP/1.1 4' '20,000 headers'
answers 200 'the server goes on' GET /v2/

# ---- Where a request ends ----

# smuggle STATUS DESCRIPTION HEAD BODY: HEAD's lines are parted by |. What follows the head holds
# a DELETE of the tag `victim` that one of two readers would take for a request.
smuggle() {
	local want=$1 description=$2 closed answers_seen first

	http PUT /v2/centos/manifests/victim -H "$OCI_MANIFEST" --data-binary "@$T/image"
	{
		printf '%b' "${3//|/\\r\\n}\r\n\r\n"
		printf '%b' "$4"
	} >"$T/request"
	"$RAW" -t 1 "$ADDR" <"$T/request" >"$T/answer"
	closed=$?
	# libmicrohttpd sends the head of its own error pages twice.
	answers_seen=$(grep -a '^HTTP/1' "$T/answer" | sort -u | wc -l)
	first=$(head -n 1 "$T/answer" | tr -d '\r\0')
	http HEAD /v2/centos/manifests/victim
	if [[ $first =~ ^HTTP/1.1\ ($want) ]] && [ $closed = 0 ] && [ "$answers_seen" = 1 ] &&
		[ "$CODE" = 200 ]; then
		pass "$description: refused and closed"
	else
		fail "$description: refused and closed" "first line: $first"$'\n'"closed: $closed (0: yes)"$'\n'"$(
			)answers: $answers_seen"$'\n'"the victim: $CODE"
	fi
}

HIDDEN="DELETE /v2/centos/manifests/victim HTTP/1.1\r\nHost: x\r\n\r\n"
N=$(printf '%b' "$HIDDEN" | wc -c)
ALL=$((N + 5))
for start in "POST /v2/centos/blobs/uploads/ HTTP/1.1" "PUT /v2/centos/manifests/x HTTP/1.1" \
	"GET /v2/ HTTP/1.1" "GET /v2/nothing HTTP/1.1" "GET /v2/centos/blobs/$DIGEST HTTP/1.1" \
	"PATCH $UPLOAD HTTP/1.1" "BREW /v2/ HTTP/1.1"; do
	smuggle 400 "${start%% HTTP*}: Content-Length, Transfer-Encoding" \
		"$start|Host: x|Content-Length: $ALL|Transfer-Encoding: chunked" "0\r\n\r\n$HIDDEN"
	smuggle 400 "${start%% HTTP*}: Transfer-Encoding, Content-Length" \
		"$start|Host: x|Transfer-Encoding: chunked|Content-Length: 5" "0\r\n\r\n$HIDDEN"
	smuggle 400 "${start%% HTTP*}: two Content-Lengths" \
		"$start|Host: x|Content-Length: 0|Content-Length: $N" "$HIDDEN"
	smuggle 400 "${start%% HTTP*}: two Content-Lengths, the other way" \
		"$start|Host: x|Content-Length: $N|Content-Length: 0" "$HIDDEN"
	smuggle 400 "${start%% HTTP*}: the same Content-Length twice" \
		"$start|Host: x|Content-Length: 5|Content-Length: 5" "12345$HIDDEN"
done
P="POST /v2/centos/blobs/uploads/ HTTP/1.1|Host: x"
smuggle 400 'a list of lengths' "$P|Content-Length: 0, $N" "$HIDDEN"
smuggle 400 'a negative length' "$P|Content-Length: -1" "$HIDDEN"
smuggle 400 'a signed length' "$P|Content-Length: +0" "$HIDDEN"
smuggle 400 'a length in hex' "$P|Content-Length: 0x0" "$HIDDEN"
smuggle 400 'an empty length' "$P|Content-Length: " "$HIDDEN"
smuggle 400 'a length with a space in it' "$P|Content-Length: 0 $N" "$HIDDEN"
smuggle '400|413' 'a length of 2^64' "$P|Content-Length: 18446744073709551616" "$HIDDEN"
smuggle '400|501' 'an unknown coding' "$P|Transfer-Encoding: xchunked" "$HIDDEN"
smuggle '400|501' 'identity' "$P|Transfer-Encoding: identity" "$HIDDEN"
smuggle '400|501' 'chunked twice' "$P|Transfer-Encoding: chunked, chunked" "0\r\n\r\n$HIDDEN"
smuggle '400|501' 'chunked, then identity' "$P|Transfer-Encoding: chunked, identity" "0\r\n\r\n$HIDDEN"
smuggle '400|501' 'two Transfer-Encodings' \
	"$P|Transfer-Encoding: chunked|Transfer-Encoding: identity" "0\r\n\r\n$HIDDEN"
smuggle '400|501' 'chunked behind a vertical tab' "$P|Transfer-Encoding: \x0bchunked" "0\r\n\r\n$HIDDEN"
smuggle 400 'a space before the colon' "$P|Transfer-Encoding : chunked" "0\r\n\r\n$HIDDEN"
smuggle 400 'a space before the colon of a length' "$P|Content-Length : $N" "$HIDDEN"
smuggle 400 'a length and a folded Transfer-Encoding' \
	"$P|Content-Length: $ALL|Transfer-Encoding:| chunked" "0\r\n\r\n$HIDDEN"
CH="$P|Transfer-Encoding: chunked"
smuggle 400 'a chunk of -1 bytes' "$CH" "-1\r\n$HIDDEN\r\n0\r\n\r\n"
smuggle 400 'a chunk of 0x5 bytes' "$CH" "0x5\r\n12345\r\n0\r\n\r\n"
smuggle '400|413' 'a chunk of 2^68 bytes' "$CH" "100000000000000000\r\n$HIDDEN\r\n0\r\n\r\n"
smuggle 400 'a chunk that is no number' "$CH" "zz\r\n$HIDDEN\r\n0\r\n\r\n"
smuggle 400 'a chunk longer than it says' "$CH" "3\r\n12345\r\n0\r\n\r\n"

# What isn't even a request: any answer, or none; the server goes on.
while IFS= read -r text; do
	printf '%b' "$text" | "$RAW" -t 0.2 "$ADDR" >"$T/answer"
	answers 200 "after ${text:0:36}" GET /v2/
done <<'TEXTS'
\0\0\0\0\0\0\0\0\r\n\r\n
GET /v2/\0 HTTP/1.1\r\nHost: x\r\n\r\n
GET /v2/centos\0/tags/list HTTP/1.1\r\nHost: x\r\n\r\n
GET /v2/ HTTP/1.1\r\n\r\n
GET /v2/\r\n\r\n
GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n
GET http://example.com/v2/ HTTP/1.1\r\nHost: x\r\n\r\n
GET v2 HTTP/1.1\r\nHost: x\r\n\r\n
CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n
OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n
PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03
GET /v2/ HTTP/1.1\nHost: x\n\n
GET /v2/ HTTP/1.1\r\nHost: x\r\nX\0Y: z\0\r\n\r\n
: :\r\n: :\r\n\r\n
TEXTS

# ---- Connections that go away in the middle ----

random_file dropped 4000
{
	request POST "/v2/centos/blobs/uploads/?digest=$DIGEST" 'Content-Length: 4000'
	cat "$T/dropped"
} >"$T/request"
n=$("$RAW" -d 41 "$ADDR" <"$T/request")
gone "$DIGEST" "a POST with digest dropped at $n places"
{
	request POST "/v2/centos/blobs/uploads/?digest=$DIGEST" 'Transfer-Encoding: chunked'
	printf 'fa0\r\n'
	cat "$T/dropped"
	printf '\r\n0\r\n\r\n'
} >"$T/request"
n=$("$RAW" -d 43 "$ADDR" <"$T/request")
gone "$DIGEST" "a chunked one dropped at $n places"
{
	request PUT /v2/centos/manifests/dropped "$OCI_MANIFEST" "Content-Length: $(stat -c %s "$T/image")"
	cat "$T/image"
} >"$T/request"
n=$("$RAW" -d 7 "$ADDR" <"$T/request")
answers 404 "a manifest dropped at $n places" HEAD /v2/centos/manifests/dropped
random_file large 3000000
push_blob centos "$T/large" >/dev/null
request GET "/v2/centos/blobs/$DIGEST" 'Connection: close' >"$T/request"
printf x >>"$T/request"
for i in {1..50}; do
	cut_off "$T/request"
done
answers 200 '50 downloads that nobody reads' GET "/v2/centos/blobs/$DIGEST"
same "$T/large" 'the next one is whole'

# ---- Slow ones do not hold up the others ----

# held COUNT FILE COMMAND...: runs it while COUNT connections stand there with what FILE holds.
held() {
	local count=$1 file=$2 fifo=$T/hold

	shift 2
	rm -f "$fifo"
	mkfifo "$fifo"
	"$RAW" -s "$count" "$ADDR" "$file" <"$fifo" >"$T/held" &
	local pid=$!
	processes+=("$pid")
	exec 8>"$fifo"
	wait_line "$T/held" "$pid" HELD || fail 'connections could not be held'
	"$@"
	exec 8>&-
	wait "$pid"
}

# others DESCRIPTION: a read, a push of 5 MB, a manifest, each within 3 seconds.
others() {
	local file=$T/other

	head -c 5000000 /dev/urandom >"$file"
	answers 200 "$1: a manifest is read" GET /v2/centos/manifests/victim --max-time 3
	begin centos
	answers 202 "$1: a blob is pushed" PATCH "$UPLOAD" -H "$BYTES" -H "$CHUNKED" -H Expect: \
		--data-binary "@$file" --max-time 3
	answers 201 "$1: and committed" PUT "$(with_digest "$(location)" "$(digest_of "$file")")" -d '' --max-time 3
	answers 201 "$1: a manifest is pushed" PUT /v2/centos/manifests/others -H "$OCI_MANIFEST" \
		--data-binary "@$T/image" --max-time 3
}

printf 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: ' >"$T/slow"
held 300 "$T/slow" others '300 half heads'
{
	request POST "/v2/centos/blobs/uploads/?digest=$WRONG" 'Content-Length: 1000000'
	head -c 20000 /dev/zero
} >"$T/slow"
held 300 "$T/slow" others '300 uploads that stand still'
{
	request PUT /v2/centos/manifests/slow "$OCI_MANIFEST" 'Content-Length: 4000000'
	head -c 20000 /dev/zero
} >"$T/slow"
held 100 "$T/slow" others '100 manifests that stand still'
request GET "/v2/centos/blobs/$(digest_of "$T/large")" >"$T/slow"
held 100 "$T/slow" others '100 downloads that nobody reads'

# ---- What commands are answered ----

# odd_server ANSWER...: a server that gives these in turn, as printf reads them; its port in ODD.
odd_server() {
	: >"$T/odd"
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1", LocalPort => 0) or die;
		$| = 1;
		print $s->sockport, "\n";
		while (@ARGV and my $c = $s->accept) {
			while (@ARGV) {
				my $len = -1;
				while (<$c>) {
					$len = 0 if $len < 0;
					$len = $1 if /^content-length: *(\d+)/i;
					last if /^\r?\n$/;
				}
				last if $len < 0;
				read $c, my $body, $len;
				print $c shift @ARGV;
			}
		}' "${@@E}" >"$T/odd" 2>"$T/odd.err" &
	processes+=($!)
	wait_line "$T/odd" $! '^[0-9]' && ODD=$(cat "$T/odd")
}

page=$(curl -sS -H 'Content-Type: application/json' -d '{"last":"","n":1}' "http://$ADDR/v2/_regfs/v1/repo-list")
first="HTTP/1.1 200 OK\\r\\nContent-Type: application/x-ndjson\\r\\nContent-Length: $((${#page} + 1))\\r\\nX-Last: $(printf '%040d' 0)\\r\\n\\r\\n"
odd_server 'HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n'
run "$REGFS" repo list --server "http://127.0.0.1:$ODD"
is "$STATUS $ERR" "4 regfs: http://127.0.0.1:$ODD is not the address of a regfs" 'another server is said to be another'
odd_server "$first$page\\n" "HTTP/1.1 200 OK\\r\\n folded: $(printf '%0300d' 0)\\r\\nContent-Length: 0\\r\\n\\r\\n"
run "$REGFS" repo list --server "http://127.0.0.1:$ODD"
like "$STATUS $ERR" '^[1-5] regfs: http:.* answers with what is no HTTP' 'a second answer that begins with a folded line'

# ---- Afterwards ----

as_few_descriptors() {
	descriptors_after=$(descriptors)
	[ "$descriptors_after" -le "$descriptors_before" ]
}
wait_until as_few_descriptors
ok $? "no descriptor is lost: $descriptors_before before, $descriptors_after after"
[ "$descriptors_after" -le "$descriptors_before" ] || diag "$(ls -l "/proc/$REGFS_PID/fd" | sed 's/.*-> //' |
	sed 's/\[[0-9]*\]//; s/[0-9a-f-]\{36\}/ID/' | sort | uniq -c | sort -rn | head)"
database=$(find "/proc/$REGFS_PID/fd" -mindepth 1 -printf '%l\n' | grep -c '/regfs\.db')
[ "$database" -le 120 ]
ok $? "the database is open a bounded number of times: $database descriptors"
rss=$(awk '/^VmRSS/ {print $2}' "/proc/$REGFS_PID/status")
[ "$rss" -lt 65536 ]
ok $? "memory is bounded: $rss KiB"
answers 200 'the first image is as it was' GET /v2/centos/manifests/victim
same "$T/image" 'byte for byte'
check 'nothing is left in the store that has another digest than its name' sh -c "
	cd '$STORE/blobs/sha256' && find . -type f | sed 's,^./../\(.*\),\1  &,' | sha256sum --quiet -c -"
stop_regfs

done_testing
