#!/bin/bash
# proxy.t: behind nginx, which ends TLS or doesn't: pushes and pulls, Location, and where events
# come from.
. "$(dirname "$0")/lib.sh"
need curl jq openssl nginx skopeo sqlite3 busybox

N=$T/nginx
mkdir "$N"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=proxy \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$N/key" -out "$N/cert" 2>/dev/null ||
	bail 'no certificate'
mkdir "$T/trusted"
cp "$N/cert" "$T/trusted/ca.crt"
export REGISTRY_AUTH_FILE=$T/auth.json HOME=$T
echo '{}' >"$REGISTRY_AUTH_FILE"

# ---- What doesn't start ----

# refuses TEXT OPTION VALUE
refuses() {
	fails_with "$1" "$2 $3" timeout 20 "$REGFS" serve --store "$T/refused" --listen 127.0.0.1:0 "$2" "$3"
}
refuses 'nonsense is no range' --trust-proxy nonsense
refuses '10.0.0.0/33 .*0 to 32' --trust-proxy '127.0.0.1, 10.0.0.0/33'
refuses '10.0.0.1/8 .*beyond the first 8' --trust-proxy 10.0.0.1/8
refuses 'registry.example.org is no URL' --public-url registry.example.org
refuses 'is no URL' --public-url https://registry.example.org/path

# ---- nginx ----

# nginx's ports are chosen here: it can't choose its own.
free_ports() {
	perl -MIO::Socket::INET -e 'for (1..3) {
		push @s, IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die;
		print $s[-1]->sockport, "\n" }'
}

# start_nginx: in front of $ADDR, to which it comes from 127.0.0.2.
start_nginx() {
	local common x forwarded

	mapfile -t port < <(free_ports)
	common="proxy_pass http://$ADDR; proxy_bind 127.0.0.2; proxy_http_version 1.1;
		proxy_request_buffering off; client_max_body_size 0; proxy_set_header Host \$http_host;"
	x="proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
		proxy_set_header X-Forwarded-Proto \$scheme; proxy_set_header X-Forwarded-Host \$http_host;"
	forwarded="proxy_set_header Forwarded \"\$http_forwarded, for=\$remote_addr;proto=\$scheme\";"
	cat >"$N/conf" <<-END
		daemon off; master_process off; pid $N/pid; error_log $N/log notice;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path $N/a; proxy_temp_path $N/b; fastcgi_temp_path $N/c;
			uwsgi_temp_path $N/d; scgi_temp_path $N/e;
			server { listen 127.0.0.1:${port[0]}; location / { $common $x } }
			server { listen 127.0.0.1:${port[1]} ssl; ssl_certificate $N/cert;
				ssl_certificate_key $N/key; location / { $common $x } }
			server { listen 127.0.0.1:${port[2]}; location / { $common $forwarded } }
		}
	END
	: >"$N/log"
	background "$N/out" nginx -p "$N" -c "$N/conf" -e "$N/log"
	NGINX=$PID
	timeout 30 bash -c 'until (: <>"/dev/tcp/127.0.0.1/$0") 2>/dev/null; do kill -0 "$1" || exit 1; done' \
		"${port[2]}" "$NGINX" || bail "nginx doesn't start: $(tail -n 2 "$N/log" "$N/out")"
	PLAIN=127.0.0.1:${port[0]} SECURE=127.0.0.1:${port[1]} FORWARDED=127.0.0.1:${port[2]}
}

stop_nginx() {
	kill -TERM "$NGINX"
	wait "$NGINX"
}

# origin TAG: where the last event of that tag comes from.
origin() {
	sqlite3 -cmd '.timeout 10000' "$STORE/regfs.db" \
		"SELECT origin FROM event WHERE tag = '$1' ORDER BY number DESC LIMIT 1"
}

# origin_of HOST [CURL OPTION...]: of a tag that is set through it by 127.0.0.9.
origin_of() {
	local host=$1 tag=t$BASHPID

	shift
	curl -sSf --max-time 60 --interface 127.0.0.9 -o /dev/null -X PUT -H "Content-Type: $TYPE" \
		--data-binary @"$MANIFEST" --cacert "$N/cert" "$@" \
		"${SCHEME:-http}://$host/v2/made/manifests/$tag" && origin "$tag"
}

copy() {
	skopeo copy --insecure-policy --quiet "$@"
}

L=$T/layout
make_image "$L" 1.0 'hello from behind' >/dev/null || bail 'no image'
MANIFEST=$(blob_path "$L" "$(layout_digest "$L" 1.0)")
TYPE=$(jq -r .mediaType "$MANIFEST")

# location HOST [CURL OPTION...]: of a new upload.
location() {
	curl -sS --max-time 60 -X POST -D - -o /dev/null "${@:2}" "$1/v2/made/blobs/uploads/" |
		tr -d '\r' | sed -n 's/^location: *//Ip'
}

# ---- Trusted ----

start_regfs --open --trust-proxy '127.0.0.2/32, ::1'
start_nginx
check 'skopeo pushes through nginx' copy --dest-tls-verify=false "oci:$L:1.0" "docker://$PLAIN/made:1.0"
check 'and pulls' copy --src-tls-verify=false "docker://$PLAIN/made:1.0" "dir:$T/plain"
check 'skopeo pushes through nginx and TLS' copy --dest-cert-dir "$T/trusted" "oci:$L:1.0" \
	"docker://$SECURE/secure:1.0"
check 'and pulls' copy --src-cert-dir "$T/trusted" "docker://$SECURE/secure:1.0" "dir:$T/secure"
check 'the same bytes' diff -r "$T/plain" "$T/secure"
like "$(location "http://$PLAIN")" '^/v2/made/blobs/uploads/' 'Location is a path'
like "$(location "https://$SECURE" --cacert "$N/cert")" '^/v2/made/blobs/uploads/' 'with TLS, too'
like "$(location "http://$PLAIN" -H 'X-Forwarded-Host: evil.example')" '^/v2/made' \
	'no header decides what a Location begins with'

is "$(origin_of "$PLAIN")" 127.0.0.9 'an event comes from the client'
is "$(SCHEME=https origin_of "$SECURE")" 127.0.0.9 'behind TLS'
is "$(origin_of "$FORWARDED")" 127.0.0.9 'with Forwarded'
is "$(origin_of "$PLAIN" -H 'X-Forwarded-For: 6.6.6.6')" 127.0.0.9 'what a client claims is left alone'
is "$(origin_of "$PLAIN" -H 'X-Forwarded-For: 6.6.6.6' -H 'X-Forwarded-For: 127.0.0.2')" 127.0.0.9 \
	'twice'
is "$(origin_of "$FORWARDED" -H 'Forwarded: for=6.6.6.6')" 127.0.0.9 'in Forwarded'
is "$(origin_of "$FORWARDED" -H 'Forwarded: for="6.6.6.6')" 127.0.0.9 'with a quote left open'
is "$(origin_of "$PLAIN" -H 'Forwarded: for=6.6.6.6')" 127.0.0.2 \
	'a field that nginx passes on as it came: neither is believed'
is "$(origin_of "$FORWARDED" -H 'X-Forwarded-For: 6.6.6.6')" 127.0.0.2 'the other way round'
is "$(origin_of "$ADDR" -H 'X-Forwarded-For: 6.6.6.6' -H 'Forwarded: for=6.6.6.6')" 127.0.0.9 \
	'who comes without the proxy is who he is'
stop_nginx
stop_regfs

# ---- Not trusted; a public URL ----

start_regfs --open --trust-proxy 127.0.0.3 --public-url https://registry.example.org:8443/
start_nginx
is "$(origin_of "$PLAIN")" 127.0.0.2 'not trusted: an event comes from the proxy'
is "$(origin_of "$FORWARDED")" 127.0.0.2 'with Forwarded'
is "$(origin_of "$PLAIN" -H 'X-Forwarded-For: 6.6.6.6')" 127.0.0.2 'whatever a client claims'
for host in "$PLAIN" "$ADDR"; do
	like "$(location "http://$host")" '^https://registry\.example\.org:8443/v2/made/blobs/uploads/[0-9a-f-]*$' \
		"$host: Location begins with the public URL"
done
like "$(curl -sS "http://$ADDR/")" 'docker push registry.example.org:8443/' 'the front page, too'
curl -sSf -X PUT -D "$T/headers" -o /dev/null -H "Content-Type: $TYPE" --data-binary @"$MANIFEST" \
	"http://$ADDR/v2/made/manifests/located"
like "$(header Location)" '^https://registry\.example\.org:8443/v2/made/manifests/' 'of a manifest'
stop_nginx
stop_regfs

# ---- The public URL is the proxy's ----

start_regfs --open
start_nginx
at=$ADDR
stop_regfs
serve_regfs --store "$STORE" --listen "$at" --open --trust-proxy 127.0.0.0/8 \
	--public-url "https://$SECURE" || bail 'no second start'
check 'skopeo follows absolute Locations' copy --dest-cert-dir "$T/trusted" "oci:$L:1.0" \
	"docker://$SECURE/absolute:1.0"
check 'and pulls' copy --src-cert-dir "$T/trusted" "docker://$SECURE/absolute:1.0" "dir:$T/absolute"
check 'the same bytes' diff -r "$T/plain" "$T/absolute"
stop_nginx
stop_regfs
done_testing
