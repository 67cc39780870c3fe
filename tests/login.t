#!/bin/bash
#
# login.t: real clients log in, to a registry with accounts: docker, podman, skopeo, containerd, and a kubelet's secret. Helm and
# oras are in no package of Debian's, and aren't tried.

. "${0%/*}/lib.sh"

need curl jq busybox skopeo
administrator
start_regfs --admin-password-file "$T/password"
export REGFS_STORE=$STORE HOME=$T
R=127.0.0.1:$PORT
for name in alice bob; do
	printf 'the password of %s' $name >"$T/password.$name"
	regfs user add --password-file "$T/password.$name" $name || bail "no user $name"
done
check 'alice may push' regfs grant alice maintainer 'team/**'
check 'bob may pull' regfs grant bob reader 'team/**'
check 'a robot may push' regfs grant "$(regfs robot add +ci >"$T/robot"; echo +ci)" writer 'team/**'
robot=$(grep -o 'rgs_[0-9a-f]*' "$T/robot")
L=$T/layout
make_image "$L" 1 'hello' >/dev/null || bail 'no image'
make_image "$L" docker 'hello' docker >/dev/null

# auth FILE: who is in a file of credentials for this registry, "name:password" and an identity token.
auth() {
	jq -r --arg r "$R" '.auths[$r] | (.auth // "" | @base64d), (.identitytoken // "")' "$1"
}

# ---- skopeo, and what a kubelet has ----

export REGISTRY_AUTH_FILE=$T/auth.json
plain=(--src-tls-verify=false --dest-tls-verify=false)
fails_with 'unauthorized|authentication required|denied' 'skopeo pushes nothing without a login' \
	skopeo copy "${plain[@]}" "oci:$L:1" "docker://$R/team/web:1"
fails_with 'invalid username/password|unauthorized' 'skopeo login with a wrong password' \
	skopeo login --tls-verify=false -u alice -p wrong "$R"
skopeo login --tls-verify=false -u alice --password-stdin "$R" <"$T/password.alice" >"$T/out" 2>&1
ok $? 'skopeo login'
is "$(skopeo login --get-login "$R")" alice 'skopeo is logged in'
check 'skopeo pushes' skopeo copy "${plain[@]}" "oci:$L:1" "docker://$R/team/web:1"
check 'skopeo pushes to another repository, and mounts' skopeo copy "${plain[@]}" "docker://$R/team/web:1" "docker://$R/team/deep/er/web:1"
check 'skopeo inspects' skopeo inspect --tls-verify=false "docker://$R/team/web:1"
check 'skopeo lists tags' skopeo list-tags --tls-verify=false "docker://$R/team/web"
check_fails 'skopeo pushes nothing elsewhere' skopeo copy "${plain[@]}" "oci:$L:1" "docker://$R/other/web:1"
check 'skopeo deletes' skopeo delete --tls-verify=false "docker://$R/team/deep/er/web:1"
check 'skopeo logout' skopeo logout "$R"
check_fails 'after that it may not' skopeo inspect --tls-verify=false "docker://$R/team/web:1"
check 'skopeo copies with a name and a password' skopeo copy "${plain[@]}" --src-creds 'bob:the password of bob' \
	"docker://$R/team/web:1" "dir:$T/copied"
check 'skopeo copies as a robot' skopeo copy "${plain[@]}" --dest-creds "+ci:$robot" "oci:$L:1" "docker://$R/team/robot:1"
check_fails 'bob pushes nothing' skopeo copy "${plain[@]}" --dest-creds 'bob:the password of bob' "oci:$L:1" "docker://$R/team/web:2"

# A secret of the type kubernetes.io/dockerconfigjson holds such a file; a kubelet's client asks with what is in it.
secret=$(regfs token add --scopes 'repository:team/web:pull' bob node-1 | grep -o 'rgs_[0-9a-f]*')
jq -n --arg r "$R" --arg p "$secret" '{auths: {($r): {username: "bob", password: $p, auth: ("bob:" + $p | @base64)}}}' >"$T/dockerconfigjson"
check 'a dockerconfigjson secret pulls' skopeo copy "${plain[@]}" --authfile "$T/dockerconfigjson" "docker://$R/team/web:1" "dir:$T/kubelet"
check_fails 'what it is for, and no more' skopeo inspect --tls-verify=false --authfile "$T/dockerconfigjson" "docker://$R/team/robot:1"
check 'the secret is revoked' regfs token rm bob node-1
check_fails 'and pulls no more' skopeo inspect --tls-verify=false --authfile "$T/dockerconfigjson" "docker://$R/team/web:1"

# ---- podman ----

if command -v podman >/dev/null && [ "$(id -u)" = 0 ]; then
	export CONTAINERS_STORAGE_CONF=$T/storage.conf CONTAINERS_CONF=$T/containers.conf
	mkdir "$T/podman"
	printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$T/podman/root" "$T/podman/run" >"$CONTAINERS_STORAGE_CONF"
	printf '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\ntmp_dir = "%s"\nvolume_path = "%s"\n' \
		"$T/podman/tmp" "$T/podman/volumes" >"$CONTAINERS_CONF"
	check_fails 'podman login with a wrong password' podman login --tls-verify=false -u alice -p wrong "$R"
	podman login --tls-verify=false -u alice --password-stdin "$R" <"$T/password.alice" >"$T/out" 2>&1
	ok $? 'podman login'
	check 'podman pulls' podman pull -q --tls-verify=false "$R/team/web:1"
	check 'podman pushes' podman push -q --tls-verify=false "$R/team/web:1" "$R/team/podman:1"
	check 'podman logout' podman logout "$R"
	check_fails 'after that it pulls nothing' podman pull -q --tls-verify=false "$R/team/podman:1"
	check 'what is public is pulled without a login' regfs repo set team/podman visibility=public
	check 'by podman' podman pull -q --tls-verify=false "$R/team/podman:1"
	podman rmi -af >/dev/null 2>&1
else
	skip 'podman needs root here'
fi

# ---- containerd ----

# containerd_here: one of the test's own, for ctr.
containerd_here() {
	local c=$T/containerd

	mkdir "$c"
	printf 'version = 2\nroot = "%s"\nstate = "%s"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n' "$c/root" "$c/state" >"$c/config.toml"
	printf '[grpc]\naddress = "%s"\n[ttrpc]\naddress = "%s"\n[plugins."io.containerd.internal.v1.opt"]\npath = "%s"\n' \
		"$c/socket" "$c/socket.ttrpc" "$c/opt" >>"$c/config.toml"
	export CONTAINERD_ADDRESS=$c/socket CONTAINERD_NAMESPACE=regfs-test
	background "$c/log" containerd --config "$c/config.toml"
	wait_line "$c/log" "$PID" 'containerd successfully booted'
}

if command -v ctr >/dev/null && [ "$(id -u)" = 0 ] && containerd_here; then
	fails_with 'authorization failed|401|unauthorized|denied' 'ctr pulls nothing without credentials' ctr images pull --plain-http "$R/team/web:1"
	check 'ctr pulls with a name and a password' ctr images pull --plain-http --user 'bob:the password of bob' "$R/team/web:1"
	ctr images tag "$R/team/web:1" "$R/team/ctr:1" >/dev/null
	check 'ctr pushes as a robot' ctr images push --plain-http --user "+ci:$robot" "$R/team/ctr:1"
	ctr images tag "$R/team/web:1" "$R/team/ctr:2" >/dev/null
	check_fails 'ctr pushes nothing as bob' ctr images push --plain-http --user 'bob:the password of bob' "$R/team/ctr:2"
	check_fails 'ctr pulls nothing with a wrong password' ctr images pull --plain-http --user 'bob:wrong' "$R/team/robot:1"
	ctr images ls -q | xargs -r ctr images rm --sync >/dev/null
else
	skip 'containerd does not run here'
fi

# ---- docker ----

# dockerd_here: one of the test's own.
dockerd_here() {
	local d=$T/docker

	mkdir "$d"
	echo '{}' >"$d/daemon.json"
	export DOCKER_HOST=unix://$d/socket DOCKER_CONFIG=$d/client DOCKER_CLI_HINTS=false
	background "$d/log" dockerd --config-file "$d/daemon.json" --data-root "$d/data" --exec-root "$d/exec" --pidfile "$d/pid" \
		--host "$DOCKER_HOST" --iptables=false --ip6tables=false --ip-forward=false --bridge=none --insecure-registry "$R"
	wait_line "$d/log" "$PID" 'API listen on'
}

if command -v dockerd >/dev/null && [ "$(id -u)" = 0 ] && dockerd_here; then
	tar -C "$T/rootfs" -c . | docker import - "$R/team/docker:1" >/dev/null
	fails_with 'denied|unauthorized|login' 'docker pushes nothing without a login' docker push "$R/team/docker:1"
	fails_with 'denied|unauthorized|login|not found|not exist' 'docker pulls nothing private' docker pull "$R/team/web:1"
	check_fails 'docker login with a wrong password' docker login -u alice -p wrong "$R"
	docker login -u alice --password-stdin "$R" <"$T/password.alice" >"$T/out" 2>&1
	ok $? 'docker login'
	unlike "$(auth "$DOCKER_CONFIG/config.json")" 'the password' 'it keeps no password'
	like "$(auth "$DOCKER_CONFIG/config.json")" '[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.' 'but a token that gets others'
	check 'docker pushes' docker push "$R/team/docker:1"
	check 'docker pushes to another repository' sh -c "docker tag $R/team/docker:1 $R/team/docker/two:1 && docker push $R/team/docker/two:1"
	docker rmi -f "$R/team/docker:1" "$R/team/docker/two:1" >/dev/null 2>&1
	check 'docker pulls' docker pull "$R/team/docker:1"
	check 'docker pulls what others pushed' docker pull "$R/team/web:1"
	fails_with 'denied|unauthorized|login|not found|not exist' 'docker pulls nothing that is not granted' docker pull "$R/other/web:1"
	check 'her grant is taken back' regfs revoke alice 'team/**'
	docker rmi -f "$R/team/docker:1" >/dev/null 2>&1
	check_fails 'docker pulls nothing any more' docker pull "$R/team/docker:1"
	check 'docker logout' docker logout "$R"
	is "$(jq --arg r "$R" '.auths | has($r)' "$DOCKER_CONFIG/config.json")" false 'it keeps nothing'
	docker login -u +ci -p "$robot" "$R" >"$T/out" 2>&1
	ok $? 'docker login as a robot'
	check 'docker pulls as a robot' docker pull "$R/team/docker:1"
	docker logout "$R" >/dev/null
	check 'made public' regfs repo set team/docker visibility=public
	docker rmi -f "$R/team/docker:1" >/dev/null 2>&1
	check 'it is pulled without a login' docker pull "$R/team/docker:1"
	docker image prune -af >/dev/null 2>&1
else
	skip 'dockerd does not run here'
fi

is "$(grep -cE 'the password of|rgs_' "$LOG")" 0 'no secret is in the log'
stop_regfs
done_testing
