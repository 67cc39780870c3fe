#!/bin/bash
# client-containerd.t: ctr pulls, runs and pushes, with a containerd of the test's own.
. "$(dirname "$0")/lib.sh"
need curl jq busybox containerd ctr runc
[ "$(id -u)" = 0 ] || skip_all 'containerd needs root'

C=$T/containerd
mkdir "$C"
cat >"$C/config.toml" <<-END
	version = 2
	root = "$C/root"
	state = "$C/state"
	disabled_plugins = ["io.containerd.grpc.v1.cri"]
	[grpc]
	  address = "$C/socket"
	[ttrpc]
	  address = "$C/socket.ttrpc"
	[plugins."io.containerd.internal.v1.opt"]
	  path = "$C/opt"
END
export CONTAINERD_ADDRESS=$C/socket CONTAINERD_NAMESPACE=regfs-test HOME=$T

start_regfs --open
background "$C/log" containerd --config "$C/config.toml"
wait_line "$C/log" "$PID" 'containerd successfully booted' ||
	skip_all "containerd doesn't run here: $(tail -n 1 "$C/log")"
R=127.0.0.1:$PORT

pull() {
	ctr images pull --plain-http "$@"
}

# Its text comes out of the container's standard output, which ctr copies.
output() {
	ctr run --rm "$1" "run$((++runs))" 2>&1 </dev/null
}
runs=0

forget() {
	ctr images ls -q | xargs -r ctr images rm --sync >/dev/null
}

# same_content DIGEST...: containerd holds the layout's bytes.
same_content() {
	local digest

	for digest; do
		ctr content get "$digest" | cmp - "$(blob_path "$L" "$digest")" || return 1
	done
}

L=$T/layout
make_image "$L" oci 'hello from an OCI image' >/dev/null || bail 'no image'
make_image "$L" schema2 'hello from a schema 2 image' docker >/dev/null
make_index "$L" index 'hello from an index' >/dev/null
make_index "$L" list 'hello from a manifest list' docker >/dev/null

for tag in oci schema2 index list; do
	digest=$(layout_digest "$L" $tag)
	check "push $tag" push_layout "$L" $tag made/$tag
	check "ctr pulls $tag" pull --all-platforms "$R/made/$tag:$tag"
	is "$(ctr images ls "name==$R/made/$tag:$tag" | awk 'NR == 2 {print $3}')" "$digest" \
		"$tag: its digest"
	child=$(jq -r '.manifests[0].digest // empty' "$(blob_path "$L" "$digest")")
	file=$(blob_path "$L" "${child:-$digest}")
	check "$tag: byte for byte" same_content "$digest" \
		$(jq -r '.config.digest, .layers[].digest' "$file")
	like "$(output "$R/made/$tag:$tag")" '^hello from an? ' "$tag runs"
done

for repo in centos jetty console-web console-service team/shop/console-web; do
	for tag in oci schema2; do
		ctr images tag "$R/made/$tag:$tag" "$R/$repo:$tag" >/dev/null
		check "ctr pushes $repo:$tag" ctr images push --plain-http "$R/$repo:$tag"
		check "$repo:$tag: what was pushed is there" same_blobs "$L" $tag "$repo"
	done
done
for tag in index list; do
	ctr images tag "$R/made/$tag:$tag" "$R/pushed/$tag:$tag" >/dev/null
	check "ctr pushes $tag, all platforms" ctr images push --plain-http "$R/pushed/$tag:$tag"
	check "$tag: what was pushed is there" same_blobs "$L" $tag pushed/$tag
done

# All away, and back from what ctr itself has pushed.
forget
for repo in centos jetty console-web console-service team/shop/console-web; do
	check "ctr pulls $repo" pull "$R/$repo:oci"
	is "$(output "$R/$repo:oci")" 'hello from an OCI image' "$repo runs"
	forget
done
check 'ctr pulls by digest' pull "$R/pushed/index@$(layout_digest "$L" index)"
fails_with 'not found' 'a tag that is not there' pull "$R/console-web:no"

forget
stop_regfs
done_testing
