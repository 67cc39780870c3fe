#!/bin/bash
# tls.t: HTTPS: what is refused, certificates that change, clients' certificates, docker and podman
# with a private CA.
. "$(dirname "$0")/lib.sh"
need curl jq openssl podman busybox

# ---- Certificates ----

C=$T/certs
mkdir "$C"

# authority NAME
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-keyout "$C/$1.key" -out "$C/$1.crt" 2>/dev/null
}

# certificate NAME AUTHORITY PURPOSE [ADDRESS]
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
		-keyout "$C/$1.key" -out "$C/$1.csr" 2>/dev/null &&
		openssl x509 -req -in "$C/$1.csr" -CA "$C/$2.crt" -CAkey "$C/$2.key" \
			-set_serial $((RANDOM * 32768 + RANDOM + 1)) -days 2 -out "$C/$1.crt" \
			-extfile <(printf 'subjectAltName=IP:127.0.0.1,IP:%s,DNS:localhost\n%s\n' \
				"${4:-192.0.2.1}" "extendedKeyUsage=$3") 2>/dev/null
}

authority ca && authority other && certificate first ca serverAuth &&
	certificate second ca serverAuth && certificate client ca clientAuth &&
	certificate stranger other clientAuth &&
	certificate wrong-name ca serverAuth 192.0.2.2 || bail 'no certificates'
use() {
	cp "$C/$1.crt" "$C/server.crt"
	cp "$C/$1.key" "$C/server.key"
}
use first
TLS=(--tls-cert "$C/server.crt" --tls-key "$C/server.key")

fetch() {
	curl -sS --max-time 60 --cacert "$C/ca.crt" "$@"
}

# subject [OPTION...]: of the certificate that a new connection sees.
subject() {
	openssl s_client -connect "$ADDR" "$@" </dev/null 2>/dev/null | openssl x509 -noout -subject |
		sed 's/.*= *//'
}

# reload REGEX: SIGHUP, and the log's new line says so.
reload() {
	local seen

	seen=$(wc -l <"$LOG")
	kill -HUP "$REGFS_PID"
	timeout 30 grep -qE -m1 -- "$1" < <(exec tail -n +$((seen + 1)) -f --pid="$REGFS_PID" "$LOG")
}

# ---- What doesn't start ----

# refuses TEXT DESCRIPTION OPTION...
refuses() {
	fails_with "$1" "$2" timeout 20 "$REGFS" serve --store "$T/refused" --listen 127.0.0.1:0 "${@:3}"
}
printf 'not a certificate\n' >"$C/bad.crt"
refuses 'no --tls-key' 'a certificate without a key' --tls-cert "$C/first.crt"
refuses 'no --tls-cert' 'a key without a certificate' --tls-key "$C/first.key"
refuses 'needs --tls-cert' 'a CA without a certificate' --tls-client-ca "$C/ca.crt"
refuses 'none.crt: No such file' 'no such file' --tls-cert "$C/none.crt" --tls-key "$C/first.key"
refuses 'bad.crt' 'a file that is no certificate' --tls-cert "$C/bad.crt" --tls-key "$C/first.key"
refuses 'first.crt with the key .*second.key' 'the key of another certificate' \
	--tls-cert "$C/first.crt" --tls-key "$C/second.key"
refuses 'bad.crt' 'a CA that is none' --tls-cert "$C/first.crt" --tls-key "$C/first.key" \
	--tls-client-ca "$C/bad.crt"

# ---- Requests ----

start_regfs --open "${TLS[@]}"
U=https://$ADDR
like "$(cat "$LOG")" "registry  $U" 'it says https'
is "$(fetch -o /dev/null -w '%{http_code}' "$U/v2/")" 200 'with the CA'
check_fails 'without the CA a client refuses' curl -sS --max-time 20 "$U/v2/"
lines=$(wc -l <"$LOG")
check_fails 'plain HTTP gets nothing' curl -sS --max-time 20 "http://$ADDR/v2/"
for version in 1 1_1; do
	check_fails "TLS $version is refused" openssl s_client -connect "$ADDR" -tls$version \
		-cipher 'ALL:@SECLEVEL=0'
done
for version in 1_2 1_3; do
	check "TLS $version is served" openssl s_client -connect "$ADDR" -tls$version \
		-CAfile "$C/ca.crt" -verify_return_error
done
is "$(wc -l <"$LOG")" "$lines" 'handshakes that fail are not logged'

head -c 40000003 /dev/urandom >"$T/big"
digest=$(digest_of "$T/big")
location=$(fetch -X POST -D - -o /dev/null "$U/v2/big/blobs/uploads/" | tr -d '\r' |
	sed -n 's/^location: *//Ip')
like "$location" '^/v2/big/' 'Location is a path'
is "$(fetch -T "$T/big" -o /dev/null -w '%{http_code}' "$U$location?digest=$digest")" 201 \
	'a large blob is pushed'
fetch -o "$T/back" "$U/v2/big/blobs/$digest"
check 'and comes back' cmp "$T/big" "$T/back"
fetch -o "$T/back" -r 1000-30000999 "$U/v2/big/blobs/$digest"
check 'a range of it' cmp "$T/back" <(tail -c +1001 "$T/big" | head -c 30000000)
jobs_started=()
for i in 1 2 3 4 5 6 7 8; do
	fetch "$U/v2/big/blobs/$digest" | cmp - "$T/big" || echo "$i" >>"$T/wrong" &
	jobs_started+=($!)
done
wait "${jobs_started[@]}"
check_fails 'eight at a time' test -e "$T/wrong"

# ---- A certificate that changes ----

# A connection that is kept: requests go in by a pipe, answers come out by a file.
mkfifo "$T/requests"
openssl s_client -quiet -connect "$ADDR" <"$T/requests" >"$T/kept" 2>/dev/null &
kept=$!
processes+=("$kept")
exec 8>"$T/requests"
printf 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n' >&8
check 'a connection is open' wait_line "$T/kept" "$kept" 'HTTP/1.1 200'
is "$(subject)" first 'the first certificate'
use second
check 'it is read again' reload 'read again'
is "$(subject)" second 'a new connection sees the second'
is "$(subject -tls1_2)" second 'with TLS 1.2, too'
printf 'GET /v2/none/tags/list HTTP/1.1\r\nHost: x\r\n\r\n' >&8
check 'the open connection goes on' wait_line "$T/kept" "$kept" 'HTTP/1.1 404'
exec 8>&-
cp "$C/bad.crt" "$C/server.crt"
check 'one that is broken is refused' reload 'stays as it was: .*server.crt'
is "$(subject)" second 'and the second stays'
cp "$C/first.crt" "$C/server.crt"
check 'one without its key is refused' reload 'stays as it was: .*server.key'
is "$(subject)" second 'and the second stays'
rm "$C/server.crt"
check 'one that is gone is refused' reload 'stays as it was: .*No such file'
is "$(fetch -o /dev/null -w '%{http_code}' "$U/v2/")" 200 'and it serves'
use first
check 'a good one again' reload 'read again'
is "$(subject)" first 'and is seen'

# An upload and a download in their midst: the first half has arrived when the certificate changes.
location=$(fetch -X POST -D - -o /dev/null "$U/v2/big/blobs/uploads/" | tr -d '\r' |
	sed -n 's/^location: *//Ip')
head -c 20000000 "$T/big" >"$T/half"
mkfifo "$T/up" "$T/down"
fetch -T - -o /dev/null -w '%{http_code}' "$U$location?digest=$digest" <"$T/up" >"$T/up.code" &
up=$!
fetch "$U/v2/big/blobs/$digest" >"$T/down" &
down=$!
exec 8>"$T/up" 7<"$T/down"
cat "$T/half" >&8
head -c 1000 <&7 >"$T/back"
use second
check 'read again amid an upload and a download' reload 'read again'
is "$(subject)" second 'a new connection sees it'
tail -c +20000001 "$T/big" >&8
exec 8>&-
cat <&7 >>"$T/back"
exec 7<&-
wait $up $down
is "$(cat "$T/up.code")" 201 'the upload ends well'
check 'the download, too' cmp "$T/big" "$T/back"
use first
check 'the first again' reload 'read again'

# ---- podman ----

export CONTAINERS_STORAGE_CONF=$T/storage.conf REGISTRY_AUTH_FILE=$T/auth.json HOME=$T
echo '{}' >"$REGISTRY_AUTH_FILE"
printf '[storage]\ndriver = "vfs"\ngraphroot = "%s"\nrunroot = "%s"\n' "$T/podman/root" \
	"$T/podman/run" >"$CONTAINERS_STORAGE_CONF"
mkdir "$T/trusted" "$T/empty" "$T/other" "$T/files"
cp "$C/ca.crt" "$T/trusted"
cp "$C/other.crt" "$T/other"
echo hello >"$T/files/message"
tar -C "$T/files" -cf "$T/files.tar" .
if [ "$(id -u)" = 0 ]; then
	check 'an image' podman import --quiet "$T/files.tar" localhost/message:1
	for dir in empty other; do
		fails_with 'x509: certificate signed by unknown authority' "podman pushes nothing: $dir CA" \
			podman push --quiet --cert-dir "$T/$dir" localhost/message:1 "$ADDR/from/podman:1"
	done
	is "$(fetch "$U/v2/from/podman/tags/list" | jq -r '.errors[0].code')" NAME_UNKNOWN \
		'and nothing has come'
	check 'podman pushes with it' podman push --quiet --cert-dir "$T/trusted" \
		localhost/message:1 "$ADDR/from/podman:1"
	podman rmi -af >/dev/null 2>&1
	for dir in empty other; do
		fails_with 'x509: certificate signed by unknown authority' "podman pulls nothing: $dir CA" \
			podman pull --quiet --cert-dir "$T/$dir" "$ADDR/from/podman:1"
	done
	check 'and pulls' podman pull --quiet --cert-dir "$T/trusted" "$ADDR/from/podman:1"
	podman rmi -af >/dev/null 2>&1
else
	skip 'podman with a storage of its own needs root here'
fi
stop_regfs

# ---- Clients' certificates ----

start_regfs --open "${TLS[@]}" --tls-client-ca "$C/ca.crt"
U=https://$ADDR
lines=$(wc -l <"$LOG")
for max in 1.2 1.3; do
	is "$(fetch --tls-max $max -o /dev/null -w '%{http_code}' "$U/v2/")" 200 \
		"$max: a client without a certificate"
	is "$(fetch --tls-max $max --cert "$C/client.crt" --key "$C/client.key" -o /dev/null \
		-w '%{http_code}' "$U/v2/")" 200 "$max: a client with a good one"
	check_fails "$max: one that another CA signed" fetch --tls-max $max \
		--cert "$C/stranger.crt" --key "$C/stranger.key" "$U/v2/"
	check_fails "$max: one for servers" fetch --tls-max $max --cert "$C/second.crt" \
		--key "$C/second.key" "$U/v2/"
done
is "$(wc -l <"$LOG")" "$lines" 'what is refused is not logged'
stop_regfs

cp "$C/ca.crt" "$C/clients.crt"
start_regfs --open "${TLS[@]}" --tls-client-ca "$C/clients.crt"
U=https://$ADDR
cp "$C/other.crt" "$C/clients.crt"
check "clients' signers are read again, too" reload 'read again'
is "$(fetch --cert "$C/stranger.crt" --key "$C/stranger.key" -o /dev/null -w '%{http_code}' "$U/v2/")" 200 \
	'those of the new one are served'
check_fails 'those of the old one are not' fetch --cert "$C/client.crt" --key "$C/client.key" "$U/v2/"
stop_regfs

# ---- docker ----
#
# It doesn't verify what is on a loopback address, and --open is for those only. So there is a
# network of the test's own with one more address, from which socat forwards to the registry as
# a balancer would, and /etc/docker is a scratch directory for those who are in there. Both are
# gone with the last process that is, however the test ends.

[ "$(id -u)" = 0 ] || { skip 'docker needs root'; done_testing; }
need docker dockerd nsenter unshare ip socat
D=$T/docker
mkdir -p "$D/etc" /etc/docker	# the latter dockerd makes, too, wherever it runs
before=$(find /etc/docker | sort)
echo '{}' >"$D/daemon.json"
cat >"$D/namespace" <<END
mount --make-rprivate / && mount --bind "$D/etc" /etc/docker && ip link set lo up &&
	ip addr add 192.0.2.1/32 dev lo && echo made && exec tail -f /dev/null
END
background "$D/namespace.log" unshare -m -n bash "$D/namespace"
holder=$PID
wait_line "$D/namespace.log" "$holder" '^made' ||
	{ skip "no namespaces: $(tail -n 1 "$D/namespace.log")"; done_testing; }
printf '#!/bin/sh\nexec nsenter --net=/proc/%s/ns/net "%s" "$@"\n' "$holder" "$REGFS" >"$D/regfs"
chmod +x "$D/regfs"
REGFS=$D/regfs
start_regfs --open "${TLS[@]}"
R=192.0.2.1:$PORT
background "$D/socat.log" nsenter -t "$holder" -n socat -d -d \
	"TCP-LISTEN:$PORT,bind=192.0.2.1,reuseaddr,fork" "TCP:$ADDR"
wait_line "$D/socat.log" "$PID" 'listening on' || bail "no socat: $(cat "$D/socat.log")"
export DOCKER_HOST=unix://$D/socket DOCKER_CONFIG=$D/client
background "$D/log" nsenter -t "$holder" -m -n dockerd --config-file "$D/daemon.json" \
	--data-root "$D/data" --exec-root "$D/exec" --pidfile "$D/pid" --host "$DOCKER_HOST" \
	--iptables=false --ip6tables=false --ip-forward=false --bridge=none
wait_line "$D/log" "$PID" 'API listen on' ||
	{ skip "dockerd doesn't run here: $(tail -n 1 "$D/log")"; done_testing; }

# tags: of the repository, as the registry itself says.
tags() {
	nsenter -t "$holder" -n curl -sS --max-time 60 --cacert "$C/ca.crt" \
		"https://$ADDR/v2/from/docker/tags/list" | jq -c '.tags // .errors[0].code'
}

unlike "$(docker info -f '{{json .RegistryConfig.InsecureRegistryCIDRs}}')" '192\.0\.2\.' \
	'docker verifies that address'
check 'an image' docker import "$T/files.tar" "$R/from/docker:1"
id=$(docker image inspect -f '{{.Id}}' "$R/from/docker:1")
trust=$D/etc/certs.d/$R
fails_with 'x509: certificate signed by unknown authority' 'docker pushes nothing without the CA' \
	docker push "$R/from/docker:1"
mkdir -p "$trust"
cp "$C/other.crt" "$trust/ca.crt"
fails_with 'x509: certificate signed by unknown authority' 'nor with another CA' \
	docker push "$R/from/docker:1"
is "$(tags)" '"NAME_UNKNOWN"' 'and nothing has come'
cp "$C/ca.crt" "$trust/ca.crt"
check 'docker pushes with the CA' docker push "$R/from/docker:1"
is "$(tags)" '["1"]' 'it is there'
docker rmi "$R/from/docker:1" >/dev/null
rm "$trust/ca.crt"
fails_with 'x509: certificate signed by unknown authority' 'docker pulls nothing without the CA' \
	docker pull "$R/from/docker:1"
cp "$C/other.crt" "$trust/ca.crt"
fails_with 'x509: certificate signed by unknown authority' 'nor with another CA' \
	docker pull "$R/from/docker:1"
cp "$C/ca.crt" "$trust/ca.crt"
check 'docker pulls with the CA' docker pull "$R/from/docker:1"
is "$(docker image inspect -f '{{.Id}}' "$R/from/docker:1")" "$id" 'the same image came back'
use wrong-name
check 'a certificate for another address' reload 'read again'
fails_with 'x509: certificate is valid for' 'docker refuses it' docker pull "$R/from/docker:1"
is "$(find /etc/docker | sort)" "$before" "the machine's own /etc/docker is as it was"
done_testing
