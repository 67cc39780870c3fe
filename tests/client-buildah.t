#!/bin/bash
# client-buildah.t: buildah builds from scratch, pushes, pulls, and builds on what it pulled.
. "$(dirname "$0")/lib.sh"
need curl jq busybox buildah runc
[ "$(id -u)" = 0 ] || skip_all 'buildah --isolation chroot with a storage of its own needs root here'

export CONTAINERS_STORAGE_CONF=$T/storage.conf REGISTRY_AUTH_FILE=$T/auth.json HOME=$T
echo '{}' >"$REGISTRY_AUTH_FILE"
cat >"$CONTAINERS_STORAGE_CONF" <<-END
	[storage]
	driver = "overlay"
	graphroot = "$T/buildah/root"
	runroot = "$T/buildah/run"
END

start_regfs --open
R=127.0.0.1:$PORT

# forget: containers and images, so that the next pull is a whole one.
forget() {
	buildah rm -a >/dev/null 2>&1
	buildah rmi -af >/dev/null 2>&1
}

# output IMAGE COMMAND...: pulls it, runs the command in it. What it prints goes to a file of the container: on a busy machine
# buildah's chroot loses what came by its pipe.
output() {
	local container

	container=$(buildah from --quiet --tls-verify=false --pull-always "$1") || return 1
	shift
	buildah run --isolation chroot "$container" -- /bin/sh -c "$* >/said 2>&1" </dev/null && cat "$(buildah mount "$container")/said"
}

mkdir "$T/context"
make_image "$T/layout" 1 unused >/dev/null || bail 'no image'
cp -a "$T/rootfs" "$T/context/"
for repo in centos jetty console-web console-service team/shop/console-web; do
	cat >"$T/context/Dockerfile" <<-END
		FROM scratch
		COPY rootfs /
		RUN ["/bin/sh", "-c", "echo hello from $repo >/message"]
		CMD ["/bin/cat", "/message"]
	END
	check "build $repo" buildah bud --isolation chroot --layers \
		-t "$R/$repo:1.0" "$T/context"
	id=$(buildah inspect -t image -f '{{.FromImageID}}' "$R/$repo:1.0") || bail 'no image ID'
	for format in oci v2s2; do
		check "push $repo as $format" buildah push --quiet --tls-verify=false --format $format \
			--digestfile "$T/digest" "$R/$repo:1.0" "docker://$R/$repo:$format"
		is "$(digest_of <(manifest "$repo" $format))" "$(cat "$T/digest")" \
			"$repo:$format: the digest is the one that buildah was told"
	done
	forget
	for format in oci v2s2; do
		check "pull $repo:$format" buildah pull --quiet --tls-verify=false "$R/$repo:$format"
	done
	is "$(buildah inspect -t image -f '{{.FromImageID}}' "$R/$repo:oci")" "$id" \
		"$repo: the same image came back"
	is "$(output "$R/$repo:v2s2" /bin/cat /message)" "hello from $repo" "$repo:v2s2 runs"
	is "$(output "$R/$repo:oci" /bin/cat /message)" "hello from $repo" "$repo:oci runs"
done
is "$(manifest console-web oci | jq -r .mediaType)" application/vnd.oci.image.manifest.v1+json \
	'OCI stays OCI'

# On top of what the registry has.
forget
printf 'FROM %s/console-web:oci\nRUN ["/bin/sh", "-c", "echo and more >>/message"]\n' "$R" \
	>"$T/context/Dockerfile"
check 'build from an image of the registry' buildah bud --isolation chroot \
	--tls-verify=false -t "$R/derived/console-web:2" "$T/context"
check 'push it' buildah push --quiet --tls-verify=false "$R/derived/console-web:2"
forget
is "$(output "$R/derived/console-web:2" /bin/cat /message)" $'hello from console-web\nand more' \
	'it runs'
manifest derived/console-web 2 >"$T/manifest"
is "$(jq -r '.layers[0].digest' "$T/manifest")" \
	"$(manifest console-web oci | jq -r '.layers[0].digest')" 'it shares the base layer'
for layer in $(jq -r '.layers[].digest' "$T/manifest"); do
	curl -sS "http://$R/v2/derived/console-web/blobs/$layer" >"$T/blob"
	is "$(digest_of "$T/blob")" "$layer" 'a layer is what its digest says'
done

forget
stop_regfs
done_testing
