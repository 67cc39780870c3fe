#!/bin/bash
# client-docker.t: docker builds, pushes, pulls and runs, with a daemon of the test's own.
. "$(dirname "$0")/lib.sh"
need curl jq busybox docker dockerd containerd runc
[ "$(id -u)" = 0 ] || skip_all 'dockerd needs root'

D=$T/docker
mkdir "$D"
echo '{}' >"$D/daemon.json"
export DOCKER_HOST=unix://$D/socket DOCKER_CONFIG=$D/client DOCKER_BUILDKIT=0 HOME=$T
export DOCKER_CLI_HINTS=false

start_regfs --open
background "$D/log" dockerd --config-file "$D/daemon.json" --data-root "$D/data" \
	--exec-root "$D/exec" --pidfile "$D/pid" --host "$DOCKER_HOST" --iptables=false \
	--ip6tables=false --ip-forward=false --bridge=none --insecure-registry "127.0.0.1:$PORT"
wait_line "$D/log" "$PID" 'API listen on' ||
	skip_all "dockerd doesn't run here: $(tail -n 1 "$D/log")"
R=127.0.0.1:$PORT

# output IMAGE: what it prints when it runs.
output() {
	docker run --rm --network none "$1" 2>&1 </dev/null
}

# forget: takes every image from the daemon, so that the next pull is a whole one.
forget() {
	docker image prune -af >/dev/null 2>&1
	docker images -q | sort -u | xargs -r docker rmi -f >/dev/null 2>&1
}

# Images made elsewhere, of both kinds: docker pulls and runs them.
L=$T/layout
make_image "$L" oci 'hello from an OCI image' >/dev/null || bail 'no image'
make_image "$L" schema2 'hello from a schema 2 image' docker >/dev/null
make_index "$L" index 'hello from an index' >/dev/null
make_index "$L" list 'hello from a manifest list' docker >/dev/null
for tag in oci schema2 index list; do
	digest=$(layout_digest "$L" $tag)
	check "push $tag" push_layout "$L" $tag made/$tag
	check "docker pulls $tag" docker pull "$R/made/$tag:$tag"
	is "$(docker image inspect -f '{{index .RepoDigests 0}}' "$R/made/$tag:$tag")" \
		"$R/made/$tag@$digest" "$tag: its digest"
	like "$(output "$R/made/$tag:$tag")" '^hello from an? ' "$tag runs"
done
check 'docker pulls by digest' docker pull "$R/made/oci@$(layout_digest "$L" oci)"
forget

# Images that docker builds.
mkdir "$T/context"
cp -a "$T/rootfs" "$T/context/"
for repo in centos jetty console-web console-service team/shop/console-web; do
	cat >"$T/context/Dockerfile" <<-END
		FROM scratch
		COPY rootfs /
		RUN ["/bin/sh", "-c", "echo hello from $repo >/message"]
		CMD ["/bin/cat", "/message"]
	END
	check "build $repo" docker build --network none -t "$R/$repo:1.0" "$T/context"
	id=$(docker image inspect -f '{{.Id}}' "$R/$repo:1.0") || bail 'no image ID'
	check "push $repo" docker push "$R/$repo:1.0"
	digest=$(docker image inspect -f '{{index .RepoDigests 0}}' "$R/$repo:1.0")
	digest=${digest#*@}
	manifest "$repo" 1.0 >"$T/manifest"
	is "$(digest_of "$T/manifest")" "$digest" "$repo: the digest is the one that docker was told"
	is "$(jq -r .mediaType "$T/manifest")" \
		application/vnd.docker.distribution.manifest.v2+json "$repo: it is schema 2"
	is "$(jq -r .config.digest "$T/manifest")" "$id" "$repo: the image ID is the config's digest"
	docker save "$R/$repo:1.0" | tar -xO manifest.json >"$T/saved" 2>/dev/null
	forget
	check "pull $repo" docker pull "$R/$repo:1.0"
	is "$(docker image inspect -f '{{.Id}}' "$R/$repo:1.0")" "$id" "$repo: the same image came back"
	is "$(docker save "$R/$repo:1.0" | tar -xO manifest.json 2>/dev/null)" "$(cat "$T/saved")" \
		"$repo: of the same layers"
	is "$(output "$R/$repo:1.0")" "hello from $repo" "$repo runs"
done

# Layers that the registry has are not sent again, from whichever repository.
for repo in console-web console-service; do
	docker pull -q "$R/$repo:1.0" >/dev/null
done
before=$(curl -sS "http://$R/v2/console-web/tags/list" | jq -c .tags)
docker tag "$R/console-web:1.0" "$R/console-web:latest"
docker tag "$R/console-web:1.0" "$R/mounted/here:1"
check 'push a second tag' docker push "$R/console-web:latest"
is "$before$(curl -sS "http://$R/v2/console-web/tags/list" | jq -c .tags)" \
	'["1.0"]["1.0","latest"]' 'both tags are listed'
docker push "$R/mounted/here:1" >"$T/push.out" 2>&1
ok $? 'push to another repository'
like "$(cat "$T/push.out")" 'Mounted from' 'its layers were mounted'
is "$(digest_of <(manifest mounted/here 1))" "$(digest_of <(manifest console-web 1.0))" \
	'it is the same image'

docker tag "$R/console-service:1.0" "$R/console-web:latest"
check 'move a tag' docker push "$R/console-web:latest"
forget
is "$(output "$R/console-web:latest" | tail -n 1)" 'hello from console-service' \
	'docker run pulls what the tag names now'

for tag in a b c; do
	docker tag "$R/console-web:latest" "$R/many:$tag"
done
check 'push --all-tags' docker push --all-tags "$R/many"
check 'pull --all-tags' docker pull --all-tags "$R/many"
fails_with 'manifest unknown|not found' 'a tag that is not there' docker pull "$R/console-web:no"
fails_with 'not found|name unknown|not exist' 'a repository that is not there' docker pull "$R/no/such:1"

if have_fuse; then
	stop_regfs
	serve_regfs --store "$STORE" --listen "$R" --open --mount "$MNT" || bail 'no second start'
	forget
	check 'pull after a restart' docker pull "$R/jetty:1.0"
	ln -sfn 1.0 "$MNT/jetty/_tags/stable"
	check 'docker sees a tag made in the mount' docker pull "$R/jetty:stable"
	rm "$MNT/jetty/_tags/stable"
	check_fails 'docker sees that it was removed' docker pull "$R/jetty:stable"
fi

forget
stop_regfs
serve_regfs --store "$STORE" --listen "$R" || bail 'no third start'
check 'it is made public' regfs repo set --store "$STORE" jetty visibility=public
check 'without --open: pulls of what is public work' docker pull "$R/jetty:1.0"
docker tag "$R/jetty:1.0" "$R/jetty:2.0"
fails_with 'login|denied|unauthorized' 'without --open: pushes are denied' docker push "$R/jetty:2.0"
stop_regfs
done_testing
