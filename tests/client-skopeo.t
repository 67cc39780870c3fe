#!/bin/bash
# client-skopeo.t: skopeo copies to the registry and back, and out of the mount, byte for byte.
. "$(dirname "$0")/lib.sh"
need curl jq skopeo busybox

export REGISTRY_AUTH_FILE=$T/auth.json HOME=$T
echo '{}' >"$REGISTRY_AUTH_FILE"

L=$T/layout
make_image "$L" 1.0 'hello from skopeo' >/dev/null || bail 'no image'
make_image "$L" 1.0-docker 'hello from skopeo, schema 2' docker >/dev/null
make_index "$L" multi 'hello from an index' >/dev/null
make_index "$L" multi-docker 'hello from a list' docker >/dev/null

# skopeo_copy SOURCE DESTINATION [OPTION...]
skopeo_copy() {
	local source=$1 destination=$2

	shift 2
	skopeo copy --insecure-policy --quiet --src-tls-verify=false --dest-tls-verify=false \
		"$@" "$source" "$destination"
}

# same_dir DIR DIGEST LAYOUT: a dir: copy holds the manifest and its blobs as the layout has them.
same_dir() {
	local dir=$1 manifest blob

	manifest=$(blob_path "$3" "$2")
	cmp "$dir/manifest.json" "$manifest" || return 1
	for blob in $(jq -r '.config.digest, .layers[].digest' "$manifest"); do
		cmp "$dir/${blob#sha256:}" "$(blob_path "$3" "$blob")" || return 1
	done
}

# same_layout A B DIGEST: two layouts have the same bytes of an image or index.
same_layout() {
	local child

	cmp "$(blob_path "$1" "$3")" "$(blob_path "$2" "$3")" || return 1
	for child in $(jq -r '.manifests[]?.digest' "$(blob_path "$1" "$3")"); do
		same_layout "$1" "$2" "$child" || return 1
	done
	for child in $(jq -r '.config?.digest // empty, .layers[]?.digest' "$(blob_path "$1" "$3")"); do
		cmp "$(blob_path "$1" "$child")" "$(blob_path "$2" "$child")" || return 1
	done
}

fuse=
if have_fuse; then fuse=1; fi
start_regfs --open ${fuse:+--mount "$MNT"}
R=docker://127.0.0.1:$PORT

for repo in centos jetty console-web console-service team/shop/console-web a/b.c/d_e/f__g/h--i; do
	digest=$(layout_digest "$L" 1.0)
	check "push to $repo" skopeo_copy "oci:$L:1.0" "$R/$repo:1.0"
	check "$repo holds what was pushed" same_blobs "$L" 1.0 "$repo"
	rm -rf "$T/out"
	check "pull $repo by tag" skopeo_copy "$R/$repo:1.0" "dir:$T/out"
	check "$repo came back byte for byte" same_dir "$T/out" "$digest" "$L"
done

digest=$(layout_digest "$L" 1.0-docker)
check 'push a Docker schema 2 image' push_layout "$L" 1.0-docker schema2
rm -rf "$T/out"
check 'pull it' skopeo_copy "$R/schema2:1.0-docker" "dir:$T/out"
check 'it came back byte for byte' same_dir "$T/out" "$digest" "$L"
check 'copy it on, from dir:' skopeo_copy "dir:$T/out" "$R/schema2-again:1"
is "$(digest_of <(manifest schema2-again 1))" "$digest" 'it is still the same image'
rm -rf "$T/out"
check 'push OCI as Docker schema 2' skopeo_copy "oci:$L:1.0" "$R/converted:1" --format v2s2
is "$(manifest converted 1 | jq -r .mediaType)" \
	application/vnd.docker.distribution.manifest.v2+json 'it is schema 2'
check 'and back to OCI' skopeo_copy "$R/converted:1" "oci:$T/back:1" --format oci
like "$(skopeo inspect --tls-verify=false "$R/converted:1" | jq -r .Layers[1])" '^sha256:' \
	'inspect shows the layers'

rm -rf "$T/out"
check 'pull by digest' skopeo_copy "$R/console-web@$(layout_digest "$L" 1.0)" "dir:$T/out"
check 'it is that image' same_dir "$T/out" "$(layout_digest "$L" 1.0)" "$L"

for tag in multi multi-docker; do
	digest=$(layout_digest "$L" $tag)
	check "$tag: push" push_layout "$L" $tag first/$tag
	check "$tag: copy --all, registry to registry" \
		skopeo_copy "$R/first/$tag:$tag" "$R/second:$tag" --all
	check "$tag: every byte arrived" same_blobs "$L" $tag second
	rm -rf "$T/out"
	check "$tag: copy --all to dir:" skopeo_copy "$R/second:$tag" "dir:$T/out" --all
	is "$(digest_of "$T/out/manifest.json")" "$digest" "$tag: the index is the same"
	check "$tag: copy --all from dir:" skopeo_copy "dir:$T/out" "$R/third:$tag" --all
	check "$tag: every byte arrived again" same_blobs "$L" $tag third
	rm -rf "$T/out"
	check "$tag: copy one platform" skopeo_copy "$R/second:$tag" "dir:$T/out"
	check "$tag: it is this machine's" same_dir "$T/out" \
		"$(jq -r '.manifests[0].digest' "$(blob_path "$L" "$digest")")" "$L"
done
check 'multi: copy --all to an OCI layout' skopeo_copy "$R/second:multi" "oci:$T/multi:multi" --all
check 'multi: the layouts agree' same_layout "$L" "$T/multi" "$(layout_digest "$L" multi)"

is "$(skopeo list-tags --tls-verify=false "$R/second" | jq -c .Tags)" '["multi","multi-docker"]' \
	'list-tags'
check 'delete' skopeo delete --tls-verify=false "$R/jetty:1.0"
fails_with 'manifest unknown|name unknown|not found' 'a deleted image is unknown' \
	skopeo inspect --tls-verify=false "$R/jetty:1.0"

if [ -n "$fuse" ]; then
	for repo in console-web team/shop/console-web; do
		rm -rf "$T/out"
		check "copy oci:$repo/_oci from the mount" skopeo_copy "oci:$MNT/$repo/_oci:1.0" "dir:$T/out"
		check "$repo: the same bytes" same_dir "$T/out" "$(layout_digest "$L" 1.0)" "$L"
	done
	check 'copy an index from the mount' \
		skopeo_copy "oci:$MNT/second/_oci:multi" "oci:$T/fromhere:multi" --all
	check 'the same bytes' same_layout "$L" "$T/fromhere" "$(layout_digest "$L" multi)"
	check 'copy from the mount to the registry' \
		skopeo_copy "oci:$MNT/console-web/_oci:1.0" "$R/from-the-mount:2"
	is "$(digest_of <(manifest from-the-mount 2))" "$(layout_digest "$L" 1.0)" 'the same image'
	check_fails 'a tag that is not there' skopeo_copy "oci:$MNT/console-web/_oci:no" "dir:$T/no"
else
	skip 'no /dev/fuse: nothing can be copied from a mount'
fi

stop_regfs
done_testing
