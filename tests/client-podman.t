#!/bin/bash
# client-podman.t: podman pushes, pulls and runs, with a storage of the test's own.
. "$(dirname "$0")/lib.sh"
need curl jq busybox podman runc conmon
[ "$(id -u)" = 0 ] || skip_all 'podman with a storage of its own needs root here'

# conmon starts podman again to clean up, with its command line only and these variables: all
# that podman hands on must be where it hands it on.
export CONTAINERS_CONF=$T/containers.conf CONTAINERS_STORAGE_CONF=$T/storage.conf HOME=$T
export REGISTRY_AUTH_FILE=$T/auth.json
echo '{}' >"$REGISTRY_AUTH_FILE"
mkdir "$T/podman"
cat >"$CONTAINERS_CONF" <<-END
	[engine]
	runtime = "runc"
	cgroup_manager = "cgroupfs"
	events_logger = "file"
	tmp_dir = "$T/podman/tmp"
	volume_path = "$T/podman/volumes"
	[engine.runtimes]
	runc = ["/usr/sbin/runc", "/usr/bin/runc"]
	[network]
	network_config_dir = "$T/podman/networks"
	[containers]
	default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
	netns = "none"
	log_driver = "k8s-file"
END
cat >"$CONTAINERS_STORAGE_CONF" <<-END
	[storage]
	driver = "overlay"
	graphroot = "$T/podman/root"
	runroot = "$T/podman/run"
END

start_regfs --open
R=127.0.0.1:$PORT

output() {
	timeout 60 podman run --rm --pull never "$1" 2>&1 </dev/null
}

pull() {
	podman pull --quiet --tls-verify=false "$@"
}

push() {
	podman push --quiet --tls-verify=false "$@"
}

forget() {
	podman rmi -af >/dev/null 2>&1
}

L=$T/layout
make_image "$L" oci 'hello from an OCI image' >/dev/null || bail 'no image'
make_image "$L" schema2 'hello from a schema 2 image' docker >/dev/null
make_index "$L" index 'hello from an index' >/dev/null
make_index "$L" list 'hello from a manifest list' docker >/dev/null
for tag in oci schema2 index list; do
	digest=$(layout_digest "$L" $tag)
	check "push $tag" push_layout "$L" $tag made/$tag
	check "podman pulls $tag" pull "$R/made/$tag:$tag"
	like "$(output "$R/made/$tag:$tag")" '^hello from an? ' "$tag runs"
	like "$(podman image inspect -f '{{.RepoDigests}}' "$R/made/$tag:$tag")" "$digest" \
		"$tag: its digest"
done
check 'podman pulls by digest' pull "$R/made/oci@$(layout_digest "$L" oci)"
forget

check 'pull an image to push' pull "$R/made/oci:oci"
for repo in centos jetty console-web console-service team/shop/console-web; do
	for format in oci v2s2; do
		check "push $repo as $format" push --format $format "$R/made/oci:oci" "$R/$repo:$format"
	done
done
id=$(podman image inspect -f '{{.Id}}' "$R/made/oci:oci") || bail 'no image ID'
for repo in centos jetty console-web console-service team/shop/console-web; do
	for format in oci v2s2; do
		forget
		check "pull $repo:$format" pull "$R/$repo:$format"
		is "$(podman image inspect -f '{{.Id}}' "$R/$repo:$format")" "$id" \
			"$repo:$format is the same image"
		is "$(podman image inspect -f '{{.Digest}}' "$R/$repo:$format")" \
			"$(digest_of <(manifest "$repo" $format))" "$repo:$format has the registry's digest"
	done
	is "$(output "$R/$repo:v2s2")" 'hello from an OCI image' "$repo runs"
done
is "$(manifest console-web oci | jq -r .mediaType)" application/vnd.oci.image.manifest.v1+json \
	'OCI stays OCI'
is "$(manifest console-web v2s2 | jq -r .mediaType)" \
	application/vnd.docker.distribution.manifest.v2+json 'schema 2 is schema 2'

# An image that podman makes.
tar -C "$T/rootfs" -cf "$T/rootfs.tar" .
check 'import' podman import --quiet --change 'CMD ["/bin/echo", "imported"]' \
	"$T/rootfs.tar" "$R/imported:1"
id=$(podman image inspect -f '{{.Id}}' "$R/imported:1")
check 'push it' push --digestfile "$T/digest" "$R/imported:1"
is "$(digest_of <(manifest imported 1))" "$(cat "$T/digest")" \
	'the digest is the one that podman was told'
forget
check 'pull it' pull "$R/imported:1"
is "$(podman image inspect -f '{{.Id}}' "$R/imported:1")" "$id" 'the same image came back'
is "$(output "$R/imported:1")" imported 'it runs'

# A list that podman makes.
check 'manifest create' podman manifest create here/list:1
check 'manifest add' podman manifest add --tls-verify=false here/list:1 \
	"docker://$R/made/list:list" --all
check 'manifest push --all' podman manifest push --quiet --tls-verify=false --all \
	here/list:1 "docker://$R/pushed/list:1"
like "$(manifest pushed/list 1 | jq -r .mediaType)" 'index|manifest.list' 'it is an index'
fails_with 'manifest unknown|not found' 'a tag that is not there' pull "$R/console-web:no"

forget
stop_regfs
done_testing
