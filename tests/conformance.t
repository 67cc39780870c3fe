#!/bin/bash
#
# The calls that the specification's own conformance program makes, in its order, with all its
# options on: each way to push a blob, each kind of data pushed, listed, asked for, pulled and
# deleted, and what must be refused. With its defaults it makes fewer of them, and expects the same
# answers: for version 1.1 no tags in the query and no upload that is cancelled; for any version no
# image without its layers (OCI_DATA_SPARSE), which wants --sparse.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq
start_regfs --open --sparse

EXAMPLE=application/vnd.example.test.v1
EXAMPLE2=application/vnd.example.test.v2
EMPTY_JSON=application/vnd.oci.empty.v1+json
CONFIG=application/vnd.oci.image.config.v1+json
GZIPPED=application/vnd.oci.image.layer.v1.tar+gzip
FOREIGN=application/vnd.oci.image.layer.nondistributable.v1.tar
IMAGE=application/vnd.oci.image.manifest.v1+json
INDEX=application/vnd.oci.image.index.v1+json

# ---- Checks: what is wrong is gathered, and told by one line of TAP a step ----

WHY=
# want STATUS WHAT: of the last answer.
want() {
	[[ $CODE =~ ^($1)$ ]] || WHY+="$2: $CODE, not $1: $(head -c 300 "$T/body" | tr -d '\0')"$'\n'
}

# has HEADER VALUE WHAT
has() {
	local line value=

	while IFS= read -r line; do
		line=${line%$'\r'}
		[[ ${line,,} != "$1: "* ]] || value=${line#*: }
	done <"$T/headers"
	[ "$value" = "$2" ] || WHY+="$3: $1 is \"$value\", not \"$2\""$'\n'
}

# bytes FILE WHAT: the last answer's body.
bytes() {
	cmp -s "$1" "$T/body" || WHY+="$2: other bytes"$'\n'
}

# verdict DESCRIPTION
verdict() {
	if [ -z "$WHY" ]; then
		pass "$1"
	else
		fail "$1" "$WHY"
	fi
	WHY=
}

sum() {
	printf '%s:%s\n' "$1" "$("$1sum" <"$2" | cut -d' ' -f1)"
}

# ---- Pushing blobs ----

# pulled FILE DIGEST WHAT: where the last Location points to.
pulled() {
	has docker-content-digest "$2" "$3"
	http GET "$(location)"
	want 200 "$3: the Location"
	bytes "$1" "$3: the Location"
}

post_only() {
	http POST "/v2/$1/blobs/uploads/?digest=$3" -H "$BYTES" --data-binary "@$2"
	want "${4:-201}" 'POST alone'
	[ "${4:-201}" != 201 ] || pulled "$2" "$3" 'POST alone'
}

post_put() {
	http POST "/v2/$1/blobs/uploads/$BEGIN" -d ''
	want 202 'POST, PUT: POST'
	http PUT "$(with_digest "$(location)" "$3")" -H "$BYTES" --data-binary "@$2"
	want "${4:-201}" 'POST, PUT: PUT'
	[ "${4:-201}" != 201 ] || pulled "$2" "$3" 'POST, PUT'
}

stream() {
	http POST "/v2/$1/blobs/uploads/$BEGIN" -d ''
	want 202 'stream: POST'
	http PATCH "$(location)" -H "$BYTES" -H "$CHUNKED" --data-binary "@$2"
	want 202 'stream: PATCH'
	http PUT "$(with_digest "$(location)" "$3")" -H "$BYTES" -d ''
	want "${4:-201}" 'stream: PUT'
	[ "${4:-201}" != 201 ] || pulled "$2" "$3" 'stream'
}

# chunk METHOD PATH FILE START LENGTH
chunk() {
	slice "$3" "$4" "$5" >"$T/chunk"
	http "$1" "$2" -H "$BYTES" -H "Content-Range: $4-$(($4 + $5 - 1))" --data-binary "@$T/chunk"
}

# chunked REPO FILE DIGEST STATUS CHUNKS [put] [order]: the last chunk in the PUT; each preceded by
# one that is out of order.
chunked() {
	local size at=0 each n path last what="chunks ${*:5}"

	size=$(stat -c %s "$2")
	each=$((size / $5 + 1))
	http POST "/v2/$1/blobs/uploads/$BEGIN" -d ''
	want 202 "$what: POST"
	path=$(location)
	while [ "$at" -lt "$size" ]; do
		if [[ $* == *order* ]]; then
			n=$((at + each))
			[ "$n" -lt "$size" ] || n=0
			last=$((size - n < each ? size - n : each))
			if [[ $* == *put* && $((n + last)) = "$size" ]]; then
				chunk PUT "$(with_digest "$path" "$3")" "$2" "$n" "$last"
			else
				chunk PATCH "$path" "$2" "$n" "$last"
			fi
			# What begins at 0 is in order where nothing has come yet.
			[ "$at,$n" = 0,0 ] || want 416 "$what: out of order"
			http GET "$path"
			want 204 "$what: the status"
			has range "0-$((at ? at - 1 : 0))" "$what: the status"
			path=$(location)
		fi
		n=$((size - at < each ? size - at : each))
		if [[ $* == *put* && $((at + n)) = "$size" ]]; then
			chunk PUT "$(with_digest "$path" "$3")" "$2" "$at" "$n"
			want "$4" "$what: the last chunk"
		else
			chunk PATCH "$path" "$2" "$at" "$n"
			want 202 "$what: a chunk"
			path=$(location)
		fi
		at=$((at + n))
	done
	if [[ $* != *put* ]]; then
		http PUT "$(with_digest "$path" "$3")" -H "$BYTES" -d ''
		want "$4" "$what: PUT"
	fi
	[ "$4" != 201 ] || pulled "$2" "$3" "$what"
}

# blob_there REPO FILE DIGEST: by HEAD and GET.
blob_there() {
	http HEAD "/v2/$1/blobs/$3"
	want 200 HEAD
	has docker-content-digest "$3" HEAD
	has content-length "$(stat -c %s "$2")" HEAD
	http GET "/v2/$1/blobs/$3"
	want 200 GET
	has docker-content-digest "$3" GET
	has content-length "$(stat -c %s "$2")" GET
	bytes "$2" GET
}

blob_gone() {
	http DELETE "/v2/$1/blobs/$2"
	want 202 DELETE
	http HEAD "/v2/$1/blobs/$2"
	want 404 'HEAD after DELETE'
}

# new_blob SIZE: FILE and DG.
new_blob() {
	FILE=$T/blob
	head -c "$1" /dev/urandom >"$FILE"
	DG=$(sum "$ALGO" "$FILE")
}

blob_calls() {
	local how name

	BEGIN=
	[ "$ALGO" = sha256 ] || BEGIN="?digest-algorithm=$ALGO"
	new_blob 512
	http GET "/v2/$REPO/blobs/$DG"
	want 404 GET
	verdict "$ALGO: a blob that was not pushed"
	for how in post_only post_put stream 'chunked 1' 'chunked 3' 'chunked 3 put' 'chunked 3 order' \
		'chunked 3 put order'; do
		new_blob 3067
		case $how in
		chunked*) chunked "$REPO" "$FILE" "$DG" 201 ${how#chunked } ;;
		*) "$how" "$REPO" "$FILE" "$DG" ;;
		esac
		blob_there "$REPO" "$FILE" "$DG"
		blob_gone "$REPO" "$DG"
		verdict "$ALGO: pushed by $how"
	done
	# Without saying beforehand which algorithm it will be.
	BEGIN=
	new_blob 512
	post_put "$REPO" "$FILE" "$DG"
	blob_gone "$REPO" "$DG"
	new_blob 512
	chunked "$REPO" "$FILE" "$DG" 201 2
	blob_gone "$REPO" "$DG"
	verdict "$ALGO: POST without digest-algorithm"
	for how in "&from=$REPO-2" ''; do
		new_blob 512
		post_put "$REPO-2" "$FILE" "$DG"
		http POST "/v2/$REPO/blobs/uploads/?mount=$DG$how" -d ''
		want 201 'the mount'
		pulled "$FILE" "$DG" 'the mount'
		blob_there "$REPO" "$FILE" "$DG"
		blob_gone "$REPO" "$DG"
		blob_gone "$REPO-2" "$DG"
		verdict "$ALGO: mounted ${how:-from anywhere}"
	done
	for how in "&from=$REPO-2" '&from=no/such/repository' ''; do
		new_blob 512
		http POST "/v2/$REPO/blobs/uploads/?mount=$DG$how" -d ''
		want 202 'the mount'
		http PUT "$(with_digest "$(location)" "$DG")" -H "$BYTES" --data-binary "@$FILE"
		want 201 'PUT afterwards'
		pulled "$FILE" "$DG" 'PUT afterwards'
		blob_gone "$REPO" "$DG"
		verdict "$ALGO: a mount of what is not there ${how:-at all}"
	done
	http POST "/v2/$REPO/blobs/uploads/" -d ''
	want 202 POST
	name=$(location)
	http DELETE "$name"
	want 204 DELETE
	http GET "$name"
	want 404 'the status afterwards'
	verdict "$ALGO: a cancelled upload"
	blob_ranges
	for how in '' '{}'; do
		printf '%s' "$how" >"$FILE"
		DG=$(sum "$ALGO" "$FILE")
		for name in post_only post_put stream; do
			"$name" "$REPO" "$FILE" "$DG"
			blob_there "$REPO" "$FILE" "$DG"
			blob_gone "$REPO" "$DG"
		done
		verdict "$ALGO: the blob \"$how\""
	done
	for how in post_only post_put stream 'chunked 3' 'chunked 3 put'; do
		new_blob 3067
		printf 'oh no' >>"$FILE"
		case $how in
		chunked*) chunked "$REPO" "$FILE" "$DG" 400 ${how#chunked } ;;
		*) "$how" "$REPO" "$FILE" "$DG" 400 ;;
		esac
		verdict "$ALGO: another digest, by $how"
	done
}

blob_ranges() {
	local range at n

	new_blob 2048
	post_put "$REPO" "$FILE" "$DG"
	while read -r range at n; do
		http GET "/v2/$REPO/blobs/$DG" -H "Range: bytes=$range"
		want 206 "$range"
		has content-range "bytes $at-$((at + n - 1))/2048" "$range"
		has content-length "$n" "$range"
		slice "$FILE" "$at" "$n" >"$T/slice"
		bytes "$T/slice" "$range"
	done <<-END
		500-1499 500 1000
		500- 500 1548
		-500 1548 500
		2000-5000 2000 48
	END
	for range in 500-0 5000-10000; do
		http GET "/v2/$REPO/blobs/$DG" -H "Range: bytes=$range"
		want 416 "$range"
	done
	blob_gone "$REPO" "$DG"
	verdict "$ALGO: ranges"
}

# ---- Data: files below $D/blobs and $D/manifests, named by their digests ----

# fresh NAME: data of that name.
fresh() {
	NAME=$1
	D=$T/data
	rm -rf "$D"
	mkdir -p "$D/blobs" "$D/manifests"
	ORDER=()
	unset TAGS
	declare -gA TAGS=()
	ALGO=${2:-sha256}
	unset ANNOTATIONS ARTIFACT SUBJECT TAG DATA EXTRA
	LAYERS=2
	LAYER_TYPE=$GZIPPED
	CONFIG_TYPE=$CONFIG
}

# keep KIND FILE TYPE: keeps the file; its descriptor in DESC, its digest in DG.
keep() {
	DG=$(sum "$ALGO" "$2")
	DESC=$(jq -cn --arg t "$3" --arg d "$DG" --argjson s "$(stat -c %s "$2")" \
		--arg data "${DATA:+$(base64 -w0 "$2")}" '{mediaType: $t, digest: $d, size: $s}
		+ if $data == "" then {} else {data: $data} end')
	mv "$2" "$D/$1/$DG"
}

# keep_manifest JSON TYPE: with what the variables say.
keep_manifest() {
	jq -c --arg artifact "${ARTIFACT-}" --argjson subject "${SUBJECT:-null}" \
		--slurpfile annotations <(printf '%s' "${ANNOTATIONS:-null}") --arg extra "${EXTRA-}" '
		(if $artifact == "" then . else . + {artifactType: $artifact} end)
		| (if $subject == null then . else . + {subject: $subject} end)
		| (if $annotations[0] == null then . else . + {annotations: $annotations[0]} end)
		| (if $extra == "" then . else . + {"org.example.extra": $extra} end)' \
		<<<"$1" | tr -d '\n' >"$T/new"
	keep manifests "$T/new" "$2"
	ORDER+=("$DG")
	[ -z "${TAG-}" ] || TAGS[$TAG]=$DG
}

# an_image [ARCH]
an_image() {
	local i layers=() config

	for ((i = 0; i < LAYERS; i++)); do
		if [ "$LAYER_TYPE" = "$EMPTY_JSON" ]; then
			printf '{}' >"$T/new"
		else
			head -c 300 /dev/urandom >"$T/new"
		fi
		keep blobs "$T/new" "$LAYER_TYPE"
		layers+=("$DESC")
	done
	if [ "$CONFIG_TYPE" = "$CONFIG" ]; then
		jq -cn --arg a "${1:-amd64}" --arg n "$RANDOM$RANDOM" '{author: $n, architecture: $a,
			os: "linux", rootfs: {type: "layers", diff_ids: []}}' >"$T/new"
	else
		printf '{}' >"$T/new"
	fi
	keep blobs "$T/new" "$CONFIG_TYPE"
	config=$DESC
	keep_manifest "$(printf '%s\n' "${layers[@]}" | jq -cs --argjson c "$config" --arg t "$IMAGE" \
		'{schemaVersion: 2, mediaType: $t, config: $c, layers: .}')" "$IMAGE"
}

# index_of DESCRIPTOR...
index_of() {
	keep_manifest "$(printf '%s\n' "$@" | jq -cs --arg t "$INDEX" \
		'{schemaVersion: 2, mediaType: $t, manifests: .}')" "$INDEX"
}

# an_index [ARCH...]
an_index() {
	local arch children=()

	for arch; do
		an_image "$arch"
		children+=("$(jq -c --arg a "$arch" '. + {platform: {os: "linux", architecture: $a}}' \
			<<<"$DESC")")
	done
	index_of "${children[@]}"
}

# ---- Pushing, listing, asking, pulling, deleting it ----

# put_manifest REFERENCE DIGEST [QUERY]
put_manifest() {
	local file=$D/manifests/$2 type subject

	type=$(jq -r .mediaType "$file")
	http PUT "/v2/$REPO/manifests/$1${3-}" -H "Content-Type: $type" -H "$CHUNKED" -H Expect: \
		--data-binary "@$file"
	want 201 "PUT of $1"
	has docker-content-digest "$2" "PUT of $1"
	subject=$(jq -r '.subject.digest // ""' "$file")
	has oci-subject "$subject" "PUT of $1"
	cp "$T/headers" "$T/put-headers"
	http GET "$(location)" -H "Accept: $INDEX" -H "Accept: $IMAGE"
	want 200 "the Location of $1"
	has content-type "$type" "the Location of $1"
	bytes "$file" "the Location of $1"
}

push_data() {
	local d tag how=(post_only post_put stream) i=0 query

	BEGIN=
	for d in "$D"/blobs/*; do
		[ ! -f "$d" ] || "${how[i++ % 3]}" "$REPO" "$d" "${d##*/}"
	done
	for d in "${ORDER[@]}"; do
		query=
		if [ -n "${TAG_PARAM-}" ]; then
			for tag in "${!TAGS[@]}"; do
				[ "${TAGS[$tag]}" != "$d" ] || query+="&tag=$tag"
			done
		fi
		put_manifest "$d" "$d" "${query/&/?}"
		for tag in ${query//&tag=/ }; do
			tr -d '\r' <"$T/put-headers" | grep -qix "oci-tag: $tag" ||
				WHY+="PUT of $d: no OCI-Tag $tag"$'\n'
		done
	done
	if [ -z "${TAG_PARAM-}" ]; then
		for tag in "${!TAGS[@]}"; do
			put_manifest "$tag" "${TAGS[$tag]}"
		done
	fi
	verdict "$NAME: push"
}

list_data() {
	local tag all half

	http GET "/v2/$REPO/tags/list"
	want '200' 'tags/list'
	all=$(jq -r '.tags[]' "$T/body")
	for tag in "${!TAGS[@]}"; do
		grep -qxF "$tag" <<<"$all" || WHY+="$tag is missing"$'\n'
	done
	[ "$(LC_ALL=C sort <<<"$all")" = "$all" ] || WHY+="not in order"$'\n'
	half=$(($(wc -l <<<"$all") / 2))
	if [ "$half" -gt 0 ]; then
		tag=$(sed -n "${half}p" <<<"$all")
		http GET "/v2/$REPO/tags/list?last=$tag"
		[ "$(jq -r '.tags[]' "$T/body")" = "$(sed "1,${half}d" <<<"$all")" ] ||
			WHY+="behind $tag: $(cat "$T/body")"$'\n'
	fi
	verdict "$NAME: list"
}

# manifest_there REFERENCE DIGEST
manifest_there() {
	local method

	for method in HEAD GET; do
		http "$method" "/v2/$REPO/manifests/$1" -H "Accept: $INDEX" -H "Accept: $IMAGE"
		want 200 "$method $1"
		has docker-content-digest "$2" "$method $1"
		has content-type "$(jq -r .mediaType "$D/manifests/$2")" "$method $1"
		has content-length "$(stat -c %s "$D/manifests/$2")" "$method $1"
	done
	bytes "$D/manifests/$2" "GET $1"
}

pull_data() {
	local tag d

	for tag in "${!TAGS[@]}"; do
		manifest_there "$tag" "${TAGS[$tag]}"
	done
	for d in "${ORDER[@]}"; do
		manifest_there "$d" "$d"
	done
	for d in "$D"/blobs/*; do
		[ ! -f "$d" ] || blob_there "$REPO" "$d" "${d##*/}"
	done
	verdict "$NAME: pull"
}

# The descriptors that a list of this data's referrers must have, by subject.
goals() {
	local d

	for d in "${ORDER[@]}"; do
		jq -c --arg d "$d" --argjson s "$(stat -c %s "$D/manifests/$d")" 'select(.subject) |
			{subject: .subject.digest, descriptor: ({mediaType, digest: $d, size: $s,
			artifactType: (.artifactType // .config.mediaType)}
			+ if .annotations then {annotations} else {} end)}' "$D/manifests/$d"
	done
}

# referrers SUBJECT QUERY GOALS: the list is those, in any order.
referrers() {
	http GET "/v2/$REPO/referrers/$1$2"
	want 200 "referrers of $1$2"
	has content-type "$INDEX" "referrers of $1$2"
	jq -e --argjson goals "$3" '.schemaVersion == 2 and .mediaType == "'"$INDEX"'"
		and (.manifests | sort_by(.digest)) == ($goals | sort_by(.digest))' "$T/body" >/dev/null ||
		WHY+="referrers of $1$2: $(cat "$T/body"), not $3"$'\n'
}

referrers_data() {
	local all subject type list

	all=$(goals | jq -cs .)
	[ "$all" != '[]' ] || return 0
	for subject in $(jq -r '[.[].subject] | unique[]' <<<"$all"); do
		list=$(jq -c --arg s "$subject" 'map(select(.subject == $s).descriptor)' <<<"$all")
		referrers "$subject" '' "$list"
		for type in $(jq -r '[.[].artifactType // empty] | unique[]' <<<"$list"); do
			referrers "$subject" "?artifactType=${type//+/%2B}" \
				"$(jq -c --arg t "$type" 'map(select(.artifactType == $t))' <<<"$list")"
			has oci-filters-applied artifactType "artifactType=$type"
		done
	done
	verdict "$NAME: referrers"
}

delete_data() {
	local tag i

	for tag in "${!TAGS[@]}"; do
		http DELETE "/v2/$REPO/manifests/$tag"
		want 202 "DELETE $tag"
		http HEAD "/v2/$REPO/manifests/$tag"
		want 404 "HEAD $tag afterwards"
	done
	for ((i = ${#ORDER[@]} - 1; i >= 0; i--)); do
		http DELETE "/v2/$REPO/manifests/${ORDER[i]}"
		want 202 "DELETE ${ORDER[i]}"
		http HEAD "/v2/$REPO/manifests/${ORDER[i]}"
		want 404 "HEAD ${ORDER[i]} afterwards"
	done
	for i in "$D"/blobs/*; do
		[ ! -f "$i" ] || blob_gone "$REPO" "${i##*/}"
	done
	verdict "$NAME: delete"
}

whole_life() {
	push_data
	list_data
	pull_data
	referrers_data
	delete_data
}

# ---- The kinds of data ----

an_artifact() {
	CONFIG_TYPE=$EMPTY_JSON LAYERS=1 LAYER_TYPE=${LAYER_TYPE/$GZIPPED/$EXAMPLE} \
		ARTIFACT=${ARTIFACT-$EXAMPLE} an_image "$@"
}

# annotated: annotations as no other has them.
annotated() {
	ANNOTATIONS="{\"org.example.test\":\"hello\",\"org.example.$RANDOM\":\"$RANDOM \\\"ü\\\"\"}"
}

images() {
	fresh image
	TAG=image an_image
	whole_life
	fresh 'uncompressed image'
	LAYER_TYPE=application/vnd.oci.image.layer.v1.tar TAG=plain an_image
	whole_life
	fresh 'large manifest'
	ANNOTATIONS=$(jq -cn 'reduce range(390) as $i ({}; ."large-\($i)" = "A" * 10000)')
	TAG=large an_image
	whole_life
	fresh 'no layers'
	LAYERS=0 TAG=no-layers an_image
	whole_life
	fresh 'data field'
	DATA=1 TAG=data an_image
	whole_life
	fresh 'fields that nobody knows'
	EXTRA="$RANDOM" TAG=fields an_index amd64 arm64
	whole_life
	fresh 'layers that are elsewhere'
	an_image
	jq -c --arg t "$FOREIGN" --arg d "sha256:$(printf '%064x' "$RANDOM")" '.layers = [
		{mediaType: $t, digest: $d, size: 12345, urls: ["https://store.example.com/" + $d]},
		{mediaType: ($t + "+gzip"), digest: ($d[:70] + "9"), size: 1234}] + .layers' \
		"$D/manifests/$DG" >"$T/foreign"
	rm "$D/manifests/$DG"
	ORDER=()
	TAG=elsewhere keep_manifest "$(cat "$T/foreign")" "$IMAGE"
	whole_life
}

indexes() {
	local one two

	fresh index
	TAG=index an_index amd64 arm64
	whole_life
	fresh 'index of indexes'
	an_index amd64 arm64
	one=$DESC
	an_index amd64 arm64
	two=$DESC
	TAG=nested index_of "$one" "$two"
	whole_life
	fresh 'empty index'
	TAG=index an_index
	whole_life
	fresh 'index of artifacts'
	CONFIG_TYPE=$EMPTY_JSON LAYERS=1 LAYER_TYPE=$EXAMPLE ARTIFACT=$EXAMPLE TAG=artifact-index \
		an_index amd64 arm64
	whole_life
	fresh sparse
	TAG=sparse-image an_image
	rm "$D/blobs/$(jq -r '.layers[0].digest' "$D/manifests/$DG")"
	an_image
	one=$(jq -c '. + {platform: {os: "linux", architecture: "amd64"}}' <<<"$DESC")
	two=$(jq -c --arg d "sha256:$(printf '%064x' "$RANDOM")" '.digest = $d
		| .platform.architecture = "arm64"' <<<"$one")
	TAG=sparse-index index_of "$one" "$two"
	whole_life
}

artifacts() {
	local image

	fresh artifact
	TAG=artifact an_artifact
	whole_life
	fresh 'artifact without layers'
	LAYER_TYPE=$EMPTY_JSON TAG=artifact an_artifact
	whole_life
	fresh 'artifacts with a subject'
	TAG=image an_image
	image=$DESC
	SUBJECT=$image an_image
	annotated
	SUBJECT=$image TAG=one an_artifact
	annotated
	SUBJECT=$image ARTIFACT=$EXAMPLE2 TAG=two an_artifact
	whole_life
	fresh 'index with a subject'
	TAG=index an_index amd64 arm64
	image=$DESC
	annotated
	SUBJECT=$image CONFIG_TYPE=$EMPTY_JSON LAYERS=1 LAYER_TYPE=$EXAMPLE ARTIFACT=$EXAMPLE \
		TAG=referrer an_index amd64 arm64
	whole_life
	fresh 'a subject that is not there'
	annotated
	SUBJECT=$(jq -cn --arg t "$IMAGE" --arg d "sha256:$(printf '%064x' "$RANDOM")" \
		'{mediaType: $t, digest: $d, size: 123}')
	TAG=artifact an_artifact
	whole_life
}

# What came after 1.1.
newer() {
	fresh 'sha512 everywhere' sha512
	an_index amd64 arm64
	whole_life
	fresh 'sha512 with a subject' sha512
	an_image
	SUBJECT=$DESC an_artifact
	whole_life
	for ALGO in sha256 sha512; do
		fresh "tags in the query, $ALGO" "$ALGO"
		TAG=tags an_index amd64 arm64
		for i in "${!ORDER[@]}"; do
			TAGS[tags-$i]=${ORDER[i]}
		done
		TAG_PARAM=1
		whole_life
		unset TAG_PARAM
	done
}

# ---- What must be refused ----

errors() {
	fresh 'manifest with another digest'
	an_image
	for d in "$D"/blobs/*; do
		post_only "$REPO" "$d" "${d##*/}"
	done
	printf '  ' >>"$D/manifests/$DG"
	http PUT "/v2/$REPO/manifests/$DG" -H "$OCI_MANIFEST" --data-binary "@$D/manifests/$DG"
	want 400 PUT
	http GET "/v2/$REPO/manifests/$DG"
	want 404 'GET of it'
	http PUT "/v2/$REPO/manifests/sha256:baddigeststring" -H "$OCI_MANIFEST" \
		--data-binary "@$D/manifests/$DG"
	want 400 'PUT by no digest'
	http GET "/v2/$REPO/manifests/sha256:baddigeststring"
	want '404|400' 'GET by no digest'
	http DELETE "/v2/$REPO/manifests/$DG"
	want 404 'DELETE of it'
	for d in "$D"/blobs/*; do
		blob_gone "$REPO" "${d##*/}"
	done
	verdict "$NAME"
	http GET "/v2/$REPO/manifests/sha256:$(printf '%064x' "$RANDOM")"
	want 404 'by digest'
	http GET "/v2/$REPO/manifests/missing-$RANDOM"
	want 404 'by tag'
	verdict 'manifests that are not there'
}

REPO=conformance/test
http GET /v2/
want 200 GET
verdict ping
http GET "/v2/$REPO/tags/list"
want '200|404' 'tags/list'
referrers "sha256:$(printf '%064x' "$RANDOM")" '' '[]'
verdict 'an empty repository'
for ALGO in sha256 sha512; do
	blob_calls
done
images
indexes
artifacts
newer
errors

stop_regfs
done_testing
