# lib.sh: what every shell test of regfs includes first; bash.
#
# TAP without a plan ahead (ok, is, like, check ... done_testing), a scratch directory $T
# of the test's own, a registry of its own ($STORE, $MNT, $ADDR, $PORT), images that need
# no network. Tests run in parallel: nothing here is shared with another test.
#
# Nothing waits for a time. A program that was started says when it is ready: regfs by
# --ready-fd, others by a line of their log (wait_line). The seconds that stand here and
# there are bounds after which a test gives up.
#
# At the end, also after a failure or a signal: mounts below $T are unmounted, processes that
# the test started are ended by their id, $T is removed (kept with KEEP=1).
#
# REGFS is the program under test, build/regfs if it isn't set.
#
# With ACCOUNTS=1 a registry that a test starts with --open has accounts instead, and what curl and rawhttp send to it comes from
# the administrator.

set -u
umask 022
export LC_ALL=C TZ=UTC
unset REGFS_STORE REGFS_SERVER NO_COLOR CDPATH BASH_ENV NOTIFY_SOCKET XDG_RUNTIME_DIR
# AddressSanitizer takes what a cancelled thread leaves of its stack for somebody's when it takes its signal stack down.
export ASAN_OPTIONS="use_sigaltstack=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
PATH=$PATH:/usr/sbin:/sbin

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REGFS=$(realpath -m -- "${REGFS:-$ROOT/build/regfs}")
export REGFS
T=$(mktemp -d "${TMPDIR:-/tmp}/regfs-test.XXXXXX") || exit 1
STORE=$T/store
MNT=$T/mnt
LOG=$T/regfs.log
ADDR= PORT= REGFS_PID= STATUS= CODE= LOGIN=

# ---- TAP ----

tests_run=0
tests_failed=0

diag() {
	printf '%s\n' "$*" | sed 's/^/# /'
}

pass() {
	tests_run=$((tests_run + 1))
	printf 'ok %d - %s\n' "$tests_run" "$1"
}

fail() {
	tests_run=$((tests_run + 1))
	tests_failed=$((tests_failed + 1))
	printf 'not ok %d - %s\n' "$tests_run" "$1"
	shift
	diag "${BASH_SOURCE[-1]} line ${BASH_LINENO[-2]}"
	[ $# -eq 0 ] || diag "$@"
}

# ok STATUS DESCRIPTION: passes if the status is 0.
ok() {
	if [ "$1" -eq 0 ]; then pass "$2"; else fail "$2" "status $1"; fi
}

# is GOT EXPECTED DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3" "     got: ${1:0:2000}"$'\n'"expected: ${2:0:2000}"
	fi
}

isnt() {
	if [ "$1" != "$2" ]; then pass "$3"; else fail "$3" "got what it must not be: ${1:0:2000}"; fi
}

# like GOT REGEX DESCRIPTION: an extended regular expression, as [[ =~ ]] takes it.
like() {
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3" "     got: ${1:0:2000}"$'\n'"expected: /$2/"
	fi
}

unlike() {
	if [[ $1 =~ $2 ]]; then
		fail "$3" "         got: ${1:0:2000}"$'\n'"unexpected: /$2/"
	else
		pass "$3"
	fi
}

# check DESCRIPTION COMMAND...: passes if the command does; its output is shown if it doesn't.
check() {
	local description=$1 status=0

	shift
	"$@" >"$T/check.out" 2>&1 </dev/null || status=$?
	if [ $status -eq 0 ]; then
		pass "$description"
	else
		fail "$description" "status $status: $*"$'\n'"$(tail -n 20 "$T/check.out")"
	fi
	return $status
}

# check_fails DESCRIPTION COMMAND...: passes if the command fails (but isn't killed).
check_fails() {
	local description=$1 status=0

	shift
	"$@" >"$T/check.out" 2>&1 </dev/null || status=$?
	if [ $status -ne 0 ] && [ $status -lt 126 ]; then
		pass "$description"
	else
		fail "$description" "status $status: $*"$'\n'"$(tail -n 20 "$T/check.out")"
	fi
}

# fails_with TEXT DESCRIPTION COMMAND...: passes if the command fails and says the text.
fails_with() {
	local text=$1 description=$2 status=0

	shift 2
	"$@" >"$T/check.out" 2>&1 </dev/null || status=$?
	if [ $status -ne 0 ] && [ $status -lt 126 ] && grep -qE -- "$text" "$T/check.out"; then
		pass "$description"
	else
		fail "$description" "status $status, /$text/ expected: $*"$'\n'"$(tail -n 20 "$T/check.out")"
	fi
}

# run COMMAND...: its exit status in $STATUS, its output in $OUT, what it says besides in $ERR.
run() {
	STATUS=0
	"$@" >"$T/run.out" 2>"$T/run.err" </dev/null || STATUS=$?
	OUT=$(tr -d '\0' <"$T/run.out")
	ERR=$(tr -d '\0' <"$T/run.err")
}

# exits STATUS DESCRIPTION COMMAND...: what it prints is in OUT and ERR afterwards.
exits() {
	local want=$1 description=$2

	shift 2
	run "$@"
	if [ "$STATUS" = "$want" ]; then
		pass "$description"
	else
		fail "$description" "$*: status $STATUS, not $want"$'\n'"$OUT$ERR"
	fi
}

# The program under test, as a user calls it.
regfs() {
	"$REGFS" "$@"
}

# sql STATEMENT: to the store's own database, which others may be writing.
sql() {
	sqlite3 -cmd '.timeout 20000' "$STORE/regfs.db" "$1"
}

skip() {
	tests_run=$((tests_run + 1))
	printf 'ok %d - # SKIP %s\n' "$tests_run" "$1"
}

skip_all() {
	printf '1..0 # SKIP %s\n' "$1"
	exit 0
}

bail() {
	printf 'Bail out! %s\n' "$1"
	[ ! -s "$LOG" ] || diag "$(tail -n 20 "$LOG")"
	exit 1
}

done_testing() {
	printf '1..%d\n' "$tests_run"
	if [ "$tests_failed" -gt 0 ]; then
		diag "$tests_failed of $tests_run failed"
		[ ! -s "$LOG" ] || diag "the end of the log:"$'\n'"$(tail -n 20 "$LOG")"
		exit 1
	fi
	exit 0
}

# need PROGRAM...: what a test can't do without; it fails, naming the package list, if one is missing.
need() {
	local program

	for program; do
		command -v "$program" >/dev/null ||
			bail "$program isn't installed: run tests/install-packages check"
	done
}

# ---- Processes and mounts ----

processes=()

# background LOG COMMAND...: starts it with SIGINT as an interactive shell gives it (a script's
# background jobs ignore it, and that would be inherited); its id in $PID.
background() {
	local log=$1

	shift
	: >>"$log"	# there before wait_line looks for it
	env --default-signal=INT,QUIT "$@" >>"$log" 2>&1 </dev/null &
	PID=$!
	processes+=("$PID")
}

# wait_line LOG PID REGEX: until the process has said such a line; fails if it ends first.
wait_line() {
	timeout 60 grep -qE -m1 -- "$3" < <(exec tail -n +1 -f --pid="$2" "$1" 2>/dev/null)
}

# wait_end PID: until a process, of ours or not, is gone; fails after 30 seconds.
wait_end() {
	timeout 30 tail --pid="$1" -s 0.02 -f /dev/null
}

# wait_until COMMAND...: until it succeeds, for what nothing announces; fails after 30 seconds.
wait_until() {
	local i

	for ((i = 0; i < 600; i++)); do
		"$@" && return 0
		read -r -t 0.05 <> <(:)
	done
	return 1
}

# mounts DIR: mount points at or below it, the innermost first, with their types.
mounts() {
	awk -v dir="$1" '
		$5 == dir || index($5, dir "/") == 1 {
			for (i = 7; $i != "-"; i++)
				;
			print $5, $(i + 1)
		}' /proc/self/mountinfo | tac
}

cleanup() {
	local status=$? pid point type i

	trap - EXIT
	trap '' INT TERM HUP PIPE
	cd /
	while read -r point type; do
		case $type in
		fuse*) fusermount3 -u "$point" 2>/dev/null || fusermount3 -uz "$point" ;;
		esac
	done < <(mounts "$T")
	for ((i = ${#processes[@]} - 1; i >= 0; i--)); do
		pid=${processes[i]}
		# One that has ended may have left its id to another test's: those of a few minutes are all there are.
		grep -qx "PPid:[[:space:]]*$$" "/proc/$pid/status" || continue
		kill -TERM "$pid" 2>/dev/null || continue
		wait_end "$pid" || kill -KILL "$pid" 2>/dev/null
	done
	# What those have started and left: its command line names the scratch directory.
	for pid in $(grep -lsF -- "$T" /proc/[0-9]*/cmdline | cut -d/ -f3); do
		[ "$pid" = $$ ] || kill -KILL "$pid" 2>/dev/null
	done
	while read -r point type; do
		umount -l "$point"
	done < <(mounts "$T")
	if [ -n "${KEEP:-}" ]; then
		diag "kept: $T"
	else
		rm -rf --one-file-system -- "$T"
	fi
	exit $status
} 2>/dev/null

trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- The registry ----

# administrator: a password for the user admin, in $T/password, and curl's configuration with it, in $T/login.
administrator() {
	[ -s "$T/login" ] && return
	(
		umask 077
		echo "$RANDOM-$RANDOM-$RANDOM" >"$T/password"
		printf 'user = "admin:%s"\n' "$(cat "$T/password")" >"$T/login"
	)
}

# What stands in $LOGIN is a configuration of curl's with a user and a password, or "".
curl() {
	command curl ${LOGIN:+-K "$LOGIN"} "$@"
}

# closed OPTION...: the same options in OPTIONS, for a registry with accounts; LOGIN is its administrator's.
closed() {
	local option

	administrator
	LOGIN=$T/login
	RAWHTTP_AUTHORIZATION="Basic $(printf 'admin:%s' "$(cat "$T/password")" | base64)"
	OPTIONS=(--admin-password-file "$T/password")
	for option; do
		[ "$option" = --open ] || OPTIONS+=("$option")
	done
	export RAWHTTP_AUTHORIZATION
}

# serve_regfs OPTION...: `regfs serve` with these, ready when this returns: READY is its
# answer, ADDR and PORT where it listens, REGFS_PID its process. Fails if it ends instead;
# its exit status is in STATUS then.
serve_regfs() {
	local fifo=$T/ready

	rm -f "$fifo"
	mkfifo "$fifo"
	LOGIN=
	unset RAWHTTP_AUTHORIZATION
	OPTIONS=("$@")
	[[ -z ${ACCOUNTS:-} || " $* " != *" --open "* ]] || closed "$@"
	env --default-signal=INT,QUIT "$REGFS" serve --ready-fd 9 "${OPTIONS[@]}" \
		9>"$fifo" >>"$LOG" 2>&1 </dev/null &
	REGFS_PID=$!
	processes+=("$REGFS_PID")
	READY=
	if read -r -t 60 READY <"$fifo" && [[ $READY == "READY "*:* ]]; then
		ADDR=${READY#READY }
		PORT=${ADDR##*:}
		return 0
	fi
	kill -TERM "$REGFS_PID" 2>/dev/null
	STATUS=0
	wait "$REGFS_PID" || STATUS=$?
	return 1
}

# start_regfs [OPTION...]: on $STORE and a free port of the loopback address. A test that
# can't have it ends here.
start_regfs() {
	serve_regfs --store "$STORE" --listen 127.0.0.1:0 "$@" ||
		bail "regfs serve --store $STORE $* ended with status $STATUS: $(tail -n 3 "$LOG")"
}

# stop_regfs [SIGNAL]: it must end by itself, with status 0.
stop_regfs() {
	local signal=${1:-TERM}

	kill -"$signal" "$REGFS_PID"
	if ! wait_end "$REGFS_PID"; then
		fail "regfs ends on SIG$signal" "still running after 30 seconds"
		kill -KILL "$REGFS_PID"
		wait "$REGFS_PID"
		return
	fi
	STATUS=0
	wait "$REGFS_PID" || STATUS=$?
	is "$STATUS" 0 "regfs ends on SIG$signal with status 0"
}

# Without a test of its own: SIGKILL, as a crash.
kill_regfs() {
	kill -KILL "$REGFS_PID"
	wait "$REGFS_PID" 2>/dev/null
}

# have_fuse: a real mount in a directory of its own, by the program under test.
have_fuse() {
	[ -c /dev/fuse ] && command -v fusermount3 >/dev/null && (: <>/dev/fuse) 2>/dev/null
}

# http METHOD PATH [CURL OPTION...]: the status in $CODE, the answer in $T/body and $T/headers.
http() {
	local method=$1 path=$2

	shift 2
	case $method in
	HEAD) set -- -I "$@" ;;
	GET) ;;
	*) set -- -X "$method" "$@" ;;
	esac
	: >"$T/body"
	CODE=$(curl -sS --max-time 60 --path-as-is -o "$T/body" -D "$T/headers" -w '%{http_code}' \
		"$@" "http://$ADDR$path" 2>"$T/curl.err") || CODE="curl: $(cat "$T/curl.err")"
}

# header NAME: its value in the last answer.
header() {
	tr -d '\r' <"$T/headers" | sed -n "s/^$1: *//Ip" | head -n 1
}

digest_of() {
	printf 'sha256:%s\n' "$(sha256sum <"$1" | cut -d' ' -f1)"
}

# push_blob REPO FILE: prints its digest.
push_blob() {
	local repo=$1 file=$2 digest location

	digest=$(digest_of "$file")
	location=$(curl -sSf --max-time 60 -X POST -H 'Content-Length: 0' -o /dev/null -D - \
		"http://$ADDR/v2/$repo/blobs/uploads/" | tr -d '\r' |
		sed -n 's/^location: *//Ip') || return 1
	case $location in
	/*) location=http://$ADDR$location ;;
	http:*) ;;
	*) return 1 ;;
	esac
	case $location in
	*\?*) location="$location&digest=$digest" ;;
	*) location="$location?digest=$digest" ;;
	esac
	curl -sSf --max-time 60 -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' \
		-H 'Expect:' --data-binary @"$file" "$location" || return 1
	printf '%s\n' "$digest"
}

# push_manifest REPO REFERENCE FILE [TYPE]: prints its digest.
push_manifest() {
	local repo=$1 reference=$2 file=$3 type=${4:-$(jq -r .mediaType "$3")}

	curl -sSf --max-time 60 -o /dev/null -X PUT -H "Content-Type: $type" -H 'Expect:' \
		--data-binary @"$file" "http://$ADDR/v2/$repo/manifests/$reference" || return 1
	digest_of "$file"
}

# push_layout LAYOUT NAME REPO [REFERENCE]: the image or index that a layout has under NAME (a
# tag or a digest), with all that it names; prints its digest.
push_layout() {
	local layout=$1 name=$2 repo=$3 reference=${4:-$2} digest file child

	digest=$(layout_digest "$layout" "$name")
	file=$(blob_path "$layout" "$digest")
	for child in $(jq -r '.manifests[]?.digest' "$file"); do
		push_layout "$layout" "$child" "$repo" >/dev/null || return 1
	done
	for child in $(jq -r '.config?.digest // empty, .layers[]?.digest' "$file"); do
		push_blob "$repo" "$(blob_path "$layout" "$child")" >/dev/null || return 1
	done
	push_manifest "$repo" "$reference" "$file"
}

# ---- Images: OCI layouts, made with tar, gzip, sha256sum and jq ----

ARCH=$(dpkg --print-architecture 2>/dev/null || echo amd64)
case $ARCH in
arm64) OTHER_ARCH=amd64 ;;
*) OTHER_ARCH=arm64 ;;
esac

blob_path() {
	printf '%s/blobs/%s\n' "$1" "${2/://}"
}

# layout_digest LAYOUT NAME: of a tag; a digest is itself.
layout_digest() {
	case $2 in
	sha256:*) printf '%s\n' "$2" ;;
	*) jq -r --arg tag "$2" '.manifests[]
		| select(.annotations["org.opencontainers.image.ref.name"] == $tag)
		| .digest' "$1/index.json" ;;
	esac
}

# descriptor LAYOUT FILE TYPE: puts a file into the layout, prints its descriptor.
descriptor() {
	local layout=$1 file=$2 type=$3 digest

	digest=$(digest_of "$file")
	mkdir -p "$layout/blobs/sha256"
	cp "$file" "$(blob_path "$layout" "$digest")"
	jq -cn --arg type "$type" --arg digest "$digest" --argjson size "$(stat -c %s "$file")" \
		'{mediaType: $type, digest: $digest, size: $size}'
}

# layer LAYOUT DIR TYPE: a directory as a gzipped layer; prints its descriptor, and leaves its
# diff ID in $T/diff-id.
layer() {
	tar -C "$2" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 \
		--format=ustar -cf "$T/layer.tar" . &&
		gzip -nf1 "$T/layer.tar" -c >"$T/layer.tar.gz" &&
		digest_of "$T/layer.tar" >"$T/diff-id" &&
		descriptor "$1" "$T/layer.tar.gz" "$3"
}

# add_tag LAYOUT DESCRIPTOR TAG
add_tag() {
	local index=$1/index.json

	printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
	[ -e "$index" ] || printf '{"schemaVersion":2,"manifests":[]}' >"$index"
	jq -c --argjson d "$2" --arg tag "$3" '.manifests |= map(select(
			.annotations["org.opencontainers.image.ref.name"] != $tag))
		+ [$d + {annotations: {"org.opencontainers.image.ref.name": $tag}}]' \
		"$index" >"$index.new" && mv "$index.new" "$index"
}

# image LAYOUT MESSAGE oci|docker ARCH: two layers, busybox and a message that it prints when
# run. Prints the manifest's descriptor.
image() {
	local layout=$1 message=$2 kind=$3 arch=$4 types base top base_id top_id config name

	case $kind in
	oci) types=(application/vnd.oci.image.manifest.v1+json
		application/vnd.oci.image.config.v1+json
		application/vnd.oci.image.layer.v1.tar+gzip) ;;
	docker) types=(application/vnd.docker.distribution.manifest.v2+json
		application/vnd.docker.container.image.v1+json
		application/vnd.docker.image.rootfs.diff.tar.gzip) ;;
	esac
	if [ ! -d "$T/rootfs" ]; then
		mkdir -p "$T/rootfs/bin" "$T/rootfs/etc" "$T/rootfs/tmp" || return 1
		cp "$(command -v busybox)" "$T/rootfs/bin/busybox" || return 1
		for name in sh cat echo ls; do
			ln -s busybox "$T/rootfs/bin/$name"
		done
		echo 'root:x:0:0:root:/:/bin/sh' >"$T/rootfs/etc/passwd"
	fi
	base=$(layer "$layout" "$T/rootfs" "${types[2]}") || return 1
	base_id=$(cat "$T/diff-id")
	rm -rf "$T/app"
	mkdir "$T/app"
	printf '%s\n' "$message" >"$T/app/message"
	top=$(layer "$layout" "$T/app" "${types[2]}") || return 1
	top_id=$(cat "$T/diff-id")
	jq -cn --arg arch "$arch" --arg a "$base_id" --arg b "$top_id" '{
		created: "2023-11-14T22:13:20Z", architecture: $arch, os: "linux",
		config: {Env: ["PATH=/bin"], Cmd: ["/bin/cat", "/message"]},
		rootfs: {type: "layers", diff_ids: [$a, $b]},
		history: [
			{created: "2023-11-14T22:13:20Z", created_by: "ADD busybox /bin/"},
			{created: "2023-11-14T22:13:20Z", created_by: "CMD [\"/bin/cat\"]", empty_layer: true},
			{created: "2023-11-14T22:13:20Z", created_by: "COPY message /"}]
		} | if $arch == "arm64" then .variant = "v8" else . end' >"$T/config.json"
	config=$(descriptor "$layout" "$T/config.json" "${types[1]}") || return 1
	jq -cn --arg type "${types[0]}" --argjson config "$config" --argjson a "$base" \
		--argjson b "$top" '{schemaVersion: 2, mediaType: $type, config: $config,
			layers: [$a, $b]}' >"$T/manifest.json"
	descriptor "$layout" "$T/manifest.json" "${types[0]}"
}

# make_image LAYOUT TAG MESSAGE [oci|docker] [ARCH]: an image that prints the message; prints its digest.
make_image() {
	local d

	d=$(image "$1" "$3" "${4:-oci}" "${5:-$ARCH}") || return 1
	add_tag "$1" "$d" "$2" && jq -r .digest <<<"$d"
}

# make_index LAYOUT TAG MESSAGE [oci|docker]: an image for this machine and one for another
# architecture, under one index (Docker: manifest list); prints its digest.
make_index() {
	local layout=$1 tag=$2 message=$3 kind=${4:-oci} type arch d children=()

	case $kind in
	oci) type=application/vnd.oci.image.index.v1+json ;;
	docker) type=application/vnd.docker.distribution.manifest.list.v2+json ;;
	esac
	for arch in "$ARCH" "$OTHER_ARCH"; do
		d=$(image "$layout" "$message" "$kind" "$arch") || return 1
		children+=("$(jq -c --arg arch "$arch" '. + {platform:
			({architecture: $arch, os: "linux"}
			 + if $arch == "arm64" then {variant: "v8"} else {} end)}' <<<"$d")")
	done
	printf '%s\n' "${children[@]}" | jq -cs --arg type "$type" \
		'{schemaVersion: 2, mediaType: $type, manifests: .}' >"$T/index.json"
	d=$(descriptor "$layout" "$T/index.json" "$type") || return 1
	add_tag "$layout" "$d" "$tag" && jq -r .digest <<<"$d"
}

# make_artifact LAYOUT TAG SUBJECT-DIGEST: a small artifact that refers to an image; prints its digest.
make_artifact() {
	local layout=$1 tag=$2 file config blob subject

	file=$(blob_path "$layout" "$3")
	subject=$(descriptor "$layout" "$file" "$(jq -r .mediaType "$file")")
	printf '{}' >"$T/empty"
	config=$(descriptor "$layout" "$T/empty" application/vnd.oci.empty.v1+json)
	printf 'a signature of %s\n' "$3" >"$T/signature"
	blob=$(descriptor "$layout" "$T/signature" application/vnd.example.signature)
	jq -cn --argjson c "$config" --argjson b "$blob" --argjson s "$subject" '{schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		artifactType: "application/vnd.example.signature",
		config: $c, layers: [$b], subject: $s}' >"$T/artifact.json"
	config=$(descriptor "$layout" "$T/artifact.json" application/vnd.oci.image.manifest.v1+json)
	add_tag "$layout" "$config" "$tag" && jq -r .digest <<<"$config"
}

# same_blobs LAYOUT NAME REPO: what the registry has under that name (tag or digest) is, byte for
# byte, what the layout has: the manifest, and everything below it.
same_blobs() {
	local layout=$1 name=$2 repo=$3 digest file child type

	digest=$(layout_digest "$layout" "$name")
	file=$(blob_path "$layout" "$digest")
	type=$(jq -r .mediaType "$file")
	curl -sSf --max-time 60 -H "Accept: $type" -D "$T/same.headers" -o "$T/same.body" \
		"http://$ADDR/v2/$repo/manifests/$name" || return 1
	cmp "$file" "$T/same.body" || return 1
	grep -qi "^docker-content-digest: *$digest" "$T/same.headers" || return 1
	grep -qiF "content-type: $type" "$T/same.headers" || return 1
	for child in $(jq -r '.manifests[]?.digest' "$file"); do
		same_blobs "$layout" "$child" "$repo" || return 1
	done
	for child in $(jq -r '.config?.digest // empty, .layers[]?.digest' "$file"); do
		curl -sSf --max-time 60 "http://$ADDR/v2/$repo/blobs/$child" |
			cmp - "$(blob_path "$layout" "$child")" || return 1
	done
}

# manifest REPO REFERENCE: its bytes, whatever its type.
manifest() {
	curl -sSf --max-time 60 -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
		-H 'Accept: application/vnd.oci.image.index.v1+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
		-H 'Accept: application/vnd.docker.distribution.manifest.list.v2+json' \
		"http://$ADDR/v2/$1/manifests/$2"
}
