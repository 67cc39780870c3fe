#!/bin/bash
# hooks-delivery.t: what becomes of deliveries: again after a failure, in order, and nobody waits for another.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3 openssl nginx sqlite3

export REGFS_STORE=$STORE
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
start_regfs --open --hook-allow 127.0.0.0/8 --hook-timeout 2s
receiver got
push_layout "$T/a" 1.0 shop/web >/dev/null
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"

# hook NAME PATH [OPTION...]: of shop/web.
hook() {
	local name=$1 path=$2

	shift 2
	"$REGFS" hook add shop/web "$name" --url "$URL$path" "$@" >/dev/null || fail "a hook $name"
}

# sequences PATH: what a receiver got at a path (the query apart), in the order of the arrivals: sequence and status.
sequences() {
	told got "$1" | jq -r '.headers["x-regfs-sequence"] + ":" + (.status|tostring)' | tr '\n' ' '
}

# ---- Again ----

hook twice '/twice?status=503&times=2'
push_tag shop/web a
push_tag shop/web b
until_log shop/web twice 'length == 2 and all(.state == "done")'
is "$(sequences /twice)" '1:503 1:503 1:200 2:503 2:503 2:200 ' 'what fails is tried again, and what comes behind it waits'
is "$(deliveries shop/web twice .attempts | tr '\n' ' ')" '3 3 ' 'each attempt is counted'
D=$(deliveries shop/web twice .delivery | head -n 1)
is "$("$REGFS" hook log shop/web twice "$D" --json | jq -r '.[] | "\(.status) \(.why)"')" '503 it answered 503
503 it answered 503
200 ' 'and kept'
PAUSES=$(told got /twice | jq -cs 'map(.at) | [.[1] - .[0], .[2] - .[1]] | map(. / 1e8 | floor)')
check "with growing pauses: $PAUSES tenths of a second" jq -e '.[0] >= 9 and .[1] >= 18' <<<"$PAUSES"
is "$(told got /twice | jq -r '.headers["x-regfs-delivery"]' | sort -u | wc -l)" 2 \
	'all attempts at one delivery have its id'
"$REGFS" hook rm shop/web twice >/dev/null

hook asked '/asked?status=503&times=1&retry-after=3'
push_tag shop/web c
until_log shop/web asked 'all(.state == "done")'
check 'Retry-After is obeyed' jq -se 'map(.at) | length == 2 and .[1] - .[0] >= 3e9' <(told got /asked)
"$REGFS" hook rm shop/web asked >/dev/null

# ---- 410 ----

hook gone '/gone?status=410'
push_tag shop/web d
until_log shop/web gone 'length == 1 and .[0].state == "failed"'
like "$("$REGFS" hook list shop/web)" 'gone .*disabled' 'who answers 410 is told nothing more'
is "$("$REGFS" hook show shop/web gone --json | jq -r .disabled)" 'its receiver answered 410' 'and it is said why'
fails_with 'was disabled' 'nor by hand' "$REGFS" hook retry shop/web gone "$(deliveries shop/web gone .delivery | head -n 1)"
push_tag shop/web e
"$REGFS" hook set shop/web gone --resume --url "$URL/back" >/dev/null
push_tag shop/web f
until_log shop/web gone 'length == 2 and .[1].state == "done"'
is "$(sequences /gone)$(sequences /back)" '1:410 2:200 ' 'until it is resumed'
is "$("$REGFS" hook retry -n shop/web gone "$(deliveries shop/web gone .delivery | head -n 1)")" 'would have queued again shop/web gone' \
	'a retry that is only tried'
fails_with 'no delivery 99999' 'tells of deliveries that there are' "$REGFS" hook retry -n shop/web gone 99999
is "$(deliveries shop/web gone .state | sort -u | xargs)" 'done failed' 'and changes nothing'
"$REGFS" hook retry shop/web gone "$(deliveries shop/web gone .delivery | head -n 1)" >/dev/null
until_log shop/web gone 'all(.state == "done")'
is "$(sequences /back)" '2:200 1:200 ' 'and what failed may be told by hand'
fails_with 'no delivery 99999' 'of deliveries that there are' "$REGFS" hook retry shop/web gone 99999
"$REGFS" hook rm shop/web gone >/dev/null

hook late '/late?status=410&delay=1.5'
push_tag shop/web late-1
until told got /late | grep -q .; do read -r -t 0.05 <> <(:); done
"$REGFS" hook set shop/web late --url "$URL/soon" >/dev/null
push_tag shop/web late-2
until_log shop/web late 'length == 2 and .[1].state == "done"'
is "$("$REGFS" hook show shop/web late --json | jq -r ".disabled // \"\"")" "" 'a 410 from where it was does not disable what it was changed to'
"$REGFS" hook rm shop/web late >/dev/null
hook slow '/slow?status=307&delay=0.9&location=/slow%3Fstatus=307%26delay=0.9%26location=/slow%253Fstatus=307%2526delay=0.9%2526location=/slow'
push_tag shop/web slow
until_log shop/web slow 'all(.attempts > 0)'
like "$(deliveries shop/web slow .why)" '[Tt]imed? ?out' '--hook-timeout is for all of an attempt'
"$REGFS" hook rm shop/web slow >/dev/null

# ---- A database that fails ----

hook stuck /stuck
sql "CREATE TRIGGER stuck BEFORE INSERT ON delivery BEGIN SELECT RAISE(FAIL, 'disk full'); END"
push_tag shop/web stuck
check 'what fails is said' wait_line "$LOG" "$REGFS_PID" 'hooks: .*disk full'
timeout 3 tail -n +1 -f "$LOG" >"$T/said"
ok "$(($(grep -c 'disk full' "$T/said") > 8))" "about once a second ($(grep -c 'disk full' "$T/said") times in three)"
sql 'DROP TRIGGER stuck'
until_log shop/web stuck 'all(.state == "done") and length == 1'
"$REGFS" hook rm shop/web stuck >/dev/null

# ---- One that is dead delays no other ----

for i in 1 2 3 4 5; do
	hook "dead$i" "/dead?hang=1" --parallel
done
hook alive /alive
T0=$(date +%s%N)
for i in 1 2 3 4 5 6 7 8; do
	push_tag shop/web "many-$i"
done
until_log shop/web alive 'length == 8 and all(.state == "done")'
is "$(sequences /alive)" "$(printf '%d:200 ' 1 2 3 4 5 6 7 8)" 'a receiver that hangs delays no other'
check 'not by its timeout' test $((($(date +%s%N) - T0) / 1000000)) -lt 2000
until_log shop/web dead1 'any(.attempts > 0)'
"$REGFS" hook rm shop/web alive >/dev/null
like "$(deliveries shop/web dead1 .why | head -n 1)" 'imed out|imeout' 'its attempts end by themselves'
for i in 1 2 3 4 5; do
	"$REGFS" hook rm shop/web "dead$i" >/dev/null
done

# ---- In order, or not ----

hook both '/both?status=500&times=1' --parallel
push_tag shop/web p1
push_tag shop/web p2
until_log shop/web both 'length == 2 and all(.state == "done")'
is "$(sequences /both | tr ' ' '\n' | head -n 2 | sort | tr '\n' ' ')" '1:500 2:500 ' 'a parallel hook waits for none of its deliveries'
"$REGFS" hook rm shop/web both >/dev/null
push_layout "$T/a" 1.0 shop/other >/dev/null
"$REGFS" hook add 'shop/*' wide --url "$URL/wide?status=500&times=1" >/dev/null
push_tag shop/web w1
push_tag shop/other w2
until_log 'shop/*' wide 'length == 2 and all(.state == "done")'
is "$(sequences /wide | tr ' ' '\n' | head -n 2 | sort | tr '\n' ' ')" '1:500 2:500 ' 'a repository waits for no other'
"$REGFS" hook rm 'shop/*' wide >/dev/null

# ---- One that is put right ----

hook wrong '/wrong?status=503&retry-after=3000'
push_tag shop/web y1
until_log shop/web wrong '.[0].attempts == 1'
"$REGFS" hook set shop/web wrong --url "$URL/right" >/dev/null
until_log shop/web wrong 'all(.state == "done")' && pass 'a hook that is changed is tried at once'
"$REGFS" hook rm shop/web wrong >/dev/null

# ---- One that is removed ----

hook removed '/removed?status=500'
hook witness '/witness?status=500&times=2'
push_tag shop/web x1
until_log shop/web removed '.[0].attempts == 1'
"$REGFS" hook rm shop/web removed >/dev/null
until_log shop/web witness 'all(.state == "done")'
is "$(told got /removed | wc -l)" 1 'a hook that was removed is told nothing more'
is "$(sqlite3 "$STORE/regfs.db" "SELECT COUNT(*) FROM hook WHERE name = 'removed'; SELECT COUNT(*) FROM delivery WHERE hook_id NOT IN
	(SELECT id FROM hook)" | xargs)" '0 0' 'and is gone with its deliveries'
"$REGFS" hook rm shop/web witness >/dev/null

# ---- Which ones ----

hook some /some --tags 'v* !*-rc'
push_tag shop/web v1
push_tag shop/web v2-rc
push_tag shop/web other
push_manifest shop/web "$A" "$T/manifest" >/dev/null
push_tag shop/web v3
until_log shop/web some 'length == 5 and .[4].state == "done"'
is "$(deliveries shop/web some '.state + ":" + .tag + ":" + (.sequence|tostring)' | tr '\n' ' ')" \
	'done:v1:1 untriggered:v2-rc:0 untriggered:other:0 untriggered::0 done:v3:2 ' 'pushes that match no rule stand in the log, untriggered'
"$REGFS" hook set shop/web some --tags '/v[0-9]+/' --on push,untag >/dev/null
"$REGFS" tag rm shop/web:v3 >/dev/null
"$REGFS" tag rm shop/web:other >/dev/null
until_log shop/web some 'length == 7 and .[5].state == "done"'
is "$(deliveries shop/web some '.kind + ":" + .state' | tail -n 2 | tr '\n' ' ')" 'untag:done untag:untriggered ' 'by a regular expression, of other events'
"$REGFS" hook set shop/web some --pause >/dev/null
push_tag shop/web v4
until_log shop/web some 'length == 8'
hook witness /witness2
push_tag shop/web v5
until_log shop/web witness '.[0].state == "done"'
is "$(deliveries shop/web some .state | tail -n 2 | tr '\n' ' ')" 'waiting waiting ' 'a paused hook is told nothing'
"$REGFS" hook set shop/web some --resume >/dev/null
until_log shop/web some 'all(.state != "waiting")'
is "$(sequences /some | tail -c 12)" '4:200 5:200 ' 'until it goes on'
"$REGFS" hook rm shop/web some >/dev/null
"$REGFS" hook rm shop/web witness >/dev/null

# ---- Pulls, where somebody asks for them ----

hook every /every --on all
curl -sSf -o /dev/null "http://$ADDR/v2/shop/web/manifests/1.0"
hook pulls /pulls --on pull
curl -sSf -o /dev/null "http://$ADDR/v2/shop/other/manifests/1.0"
curl -sSf -o /dev/null "http://$ADDR/v2/shop/web/manifests/1.0"
curl -sSf -o /dev/null "http://$ADDR/v2/shop/web/manifests/$A"
until_log shop/web pulls 'length == 2 and all(.state == "done")'
is "$(told got /pulls | jq -r '.body | fromjson | .event | "\(.kind) \(.repository) \(.tag) \(.digest) \(.changed)"' | sort)" \
	"pull shop/web 1.0 $A false
pull shop/web null $A false" 'pulls are told to who asks for them'
"$REGFS" hook rm shop/web pulls >/dev/null
FROM=$("$REGFS" watch -q --json --since 0 -t 0 | tail -n 1 | jq .number)
curl -sSf -o /dev/null "http://$ADDR/v2/shop/web/manifests/1.0"
push_tag shop/web q
until_log shop/web every '.[-1].tag == "q" and all(.state == "done")'
is "$("$REGFS" watch -q --json --since "$FROM" -t 0 | jq -r .kind | sort -u | xargs)" push 'and are no events as long as nobody does'
is "$(told got /every | jq -r '.headers["x-regfs-event"]' | sort -u | xargs)" push 'nor are they in "all", in which hooks are not, either'
"$REGFS" hook rm shop/web every >/dev/null

# ---- Signed twice while a secret is exchanged ----

echo 'the first secret' >"$T/s1"
echo 'the other secret' >"$T/s2"
hook signed /signed --secret-file "$T/s1"
"$REGFS" hook set shop/web signed --secret-file "$T/s2" >/dev/null
push_tag shop/web s
until_log shop/web signed 'all(.state == "done")'
told got /signed | tail -n 1 | jq -rj '.headers["x-regfs-timestamp"] + "." + .body' >"$T/stamped"
is "$(header_of got x-regfs-signature-256 /signed)" "sha256=$(hmac 'the other secret' <"$T/stamped"),sha256=$(hmac 'the first secret' <"$T/stamped")" \
	'two secrets sign side by side'
"$REGFS" hook set shop/web signed --drop-old-secret >/dev/null
push_tag shop/web s
until_log shop/web signed 'length == 2 and all(.state == "done")'
told got /signed | tail -n 1 | jq -rj '.headers["x-regfs-timestamp"] + "." + .body' >"$T/stamped"
is "$(header_of got x-regfs-signature-256 /signed)" "sha256=$(hmac 'the other secret' <"$T/stamped")" 'until the old one is dropped'
unlike "$("$REGFS" hook show shop/web signed --json; "$REGFS" hook list --json)" 'the (first|other) secret' 'and are shown to nobody'
"$REGFS" hook rm shop/web signed >/dev/null

# ---- Redirections ----

receiver elsewhere
ELSEWHERE=$URL
URL=http://127.0.0.1:$(sed -n 's/^READY //p' "$T/got.out")
hook within "/within?status=307&location=/moved"
hook away "/away?status=307&location=$ELSEWHERE/stolen"
push_tag shop/web r
until_log shop/web within 'all(.state == "done")'
is "$(told got /moved | jq -r .body)" "$(told got /within | jq -r .body)" 'a redirection is followed within a server, with the body'
until_log shop/web away 'all(.attempts > 0)'
like "$(deliveries shop/web away .why)" 'another server' 'and no further'
is "$(told elsewhere)" '' 'nothing reaches the other one'
"$REGFS" hook rm shop/web within >/dev/null
"$REGFS" hook rm shop/web away >/dev/null

# ---- Answers ----

hook long "/long?length=100000"
hook odd "/odd?bytes=1"
push_tag shop/web l
until_log shop/web long 'all(.state == "done")'
until_log shop/web odd 'all(.state == "done")'
is "$("$REGFS" hook log shop/web long "$(deliveries shop/web long .delivery)" --json | jq '.[0].response | length')" 4096 '4 KiB of an answer are kept'
"$REGFS" hook log shop/web odd "$(deliveries shop/web odd .delivery)" >"$T/odd"
check 'what a terminal would obey is escaped' test "$(LC_ALL=C tr -d '[:print:]\n' <"$T/odd" | wc -c)" -eq 0
check 'bytes that are no text are valid JSON' jq -e '.[0].response | startswith("a")' \
	<("$REGFS" hook log shop/web odd "$(deliveries shop/web odd .delivery)" --json)
hook endless "/endless?length=2000000"
push_tag shop/web l
until_log shop/web endless 'all(.attempts > 0)'
like "$(deliveries shop/web endless .why)" 'more than 1048576 bytes' 'an answer without end is cut off'
for h in long odd endless; do
	"$REGFS" hook rm shop/web $h >/dev/null
done

# ---- TLS ----

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ours -addext 'subjectAltName=IP:127.0.0.1' \
	-addext 'basicConstraints=critical,CA:TRUE' -keyout "$T/key.pem" -out "$T/cert.pem" 2>"$T/openssl" || bail "$(cat "$T/openssl")"
receiver tls --tls "$T/cert.pem" "$T/key.pem"
PLAIN=http://127.0.0.1:$(sed -n 's/^READY //p' "$T/got.out")
URL=https://127.0.0.1:$RECEIVER_PORT
hook unknown /unknown
hook known /known --ca-file "$T/cert.pem"
push_tag shop/web t
until_log shop/web known 'all(.state == "done")'
until_log shop/web unknown 'all(.attempts > 0)'
is "$(told tls | jq -r .path)" /known 'a certificate is believed by the authority that was named'
like "$(deliveries shop/web unknown .why)" 'certificate' 'and by no other'

for h in unknown known; do
	"$REGFS" hook rm shop/web $h >/dev/null
done

# ---- HTTP/2: nginx before the receiver ----

H2=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport')
cat >"$T/nginx.conf" <<END
daemon off; master_process off; pid $T/nginx.pid; error_log $T/nginx.err;
events {}
http {
	log_format protocols '\$server_protocol \$connection';
	access_log $T/nginx.log protocols;
	client_body_temp_path $T/n1; proxy_temp_path $T/n2; fastcgi_temp_path $T/n3; uwsgi_temp_path $T/n4; scgi_temp_path $T/n5;
	server {
		listen 127.0.0.1:$H2 ssl http2;
		ssl_certificate $T/cert.pem; ssl_certificate_key $T/key.pem;
		location / { proxy_pass $PLAIN; }
	}
}
END
background "$T/nginx.out" nginx -p "$T" -c "$T/nginx.conf" -e "$T/nginx.err"
timeout 30 bash -c 'until (: <>"/dev/tcp/127.0.0.1/$0") 2>/dev/null; do kill -0 "$1" || exit 1; done' "$H2" "$PID" ||
	bail "nginx doesn't start: $(cat "$T/nginx.err")"
URL=https://127.0.0.1:$H2
hook second /second --ca-file "$T/cert.pem" --parallel
for i in 1 2 3 4 5 6 7 8; do
	push_tag shop/web "h2-$i"
done
until_log shop/web second 'length == 8 and all(.state == "done")'
is "$(cut -d' ' -f1 "$T/nginx.log" | sort | uniq -c | tr -s ' ')" ' 8 HTTP/2.0' 'HTTP/2 where a server has it'
is "$(sort -u "$T/nginx.log" | wc -l)" 1 'on one connection'
"$REGFS" hook rm shop/web second >/dev/null
URL=$PLAIN

# ---- Given up ----

stop_regfs
start_regfs --open --hook-allow 127.0.0.0/8 --hook-give-up 2s --hook-timeout 2s
hook never '/never?status=500'
push_tag shop/web n1
push_tag shop/web n2
until_log shop/web never 'length == 2 and .[0].state == "failed"'
check 'what is not taken is given up after a while' test "$(deliveries shop/web never .attempts | head -n 1)" -ge 2
until_log shop/web never 'all(.state == "failed")'
pass 'and what comes behind it has its turn'
"$REGFS" hook rm shop/web never >/dev/null

# ---- What is old goes ----

hook old /old
push_tag shop/web o1
until_log shop/web old 'all(.state == "done")'
stop_regfs
start_regfs --open --hook-allow 127.0.0.0/8 --hook-keep 1ms --gc-interval 100ms
until_log shop/web old 'length == 0'
is "$(sqlite3 "$STORE/regfs.db" 'SELECT COUNT(*) FROM attempt')" 0 'deliveries and attempts that are over go after a while'
"$REGFS" hook rm shop/web old >/dev/null
stop_regfs

# ---- Garbage collection ----

start_regfs --open --hook-allow 127.0.0.0/8
"$REGFS" hook add '**' clean --url "$URL/clean" --on gc >/dev/null
head -c 1000 /dev/urandom >"$T/blob"
push_blob shop/web "$T/blob" >/dev/null
"$REGFS" gc --grace 0s >/dev/null
until_log '**' clean 'all(.state == "done") and length == 1'
like "$(told got /clean | jq -r '.body | fromjson | .event.about')" '^1 blobs of 1000 bytes, 0 uploads, 0 images$' 'what was collected is told'
"$REGFS" hook rm '**' clean >/dev/null
stop_regfs

# ---- The clock was set back ----

start_regfs --open --hook-allow 127.0.0.0/8
hook clock '/clock?status=500&times=1&retry-after=86000'
push_tag shop/web k1
until_log shop/web clock '.[0].attempts == 1'
stop_regfs
sqlite3 "$STORE/regfs.db" 'UPDATE delivery SET due = due + 86400000000000 WHERE due IS NOT NULL'
start_regfs --open --hook-allow 127.0.0.0/8
until_log shop/web clock '.[0].state == "done"'
is "$(deliveries shop/web clock .attempts)" 2 'what would wait for longer than any pause is tried when a server starts'
"$REGFS" hook rm shop/web clock >/dev/null
stop_regfs

if command -v faketime >/dev/null && ! ldd "$REGFS" | grep -q asan; then
	echo '+0' >"$T/clock"
	export FAKETIME_TIMESTAMP_FILE=$T/clock FAKETIME_NO_CACHE=1 DONT_FAKE_MONOTONIC=1 FAKETIME_DONT_FAKE_MONOTONIC=1
	LD_PRELOAD=$(dpkg -L libfaketime | grep 'libfaketimeMT.so.1$') start_regfs --open --hook-allow 127.0.0.0/8
	unset FAKETIME_TIMESTAMP_FILE
	hook back '/back2?status=500&times=1&retry-after=5'
	push_tag shop/web k2
	until_log shop/web back '.[0].attempts == 1'
	echo '-3600' >"$T/clock"
	push_tag shop/other k3
	until_log shop/web back '.[0].state == "done"' 20 &&
		pass 'a clock that is set back holds nothing up'
	"$REGFS" hook rm shop/web back >/dev/null
	hook on '/on?status=500&times=3&retry-after=1'
	push_tag shop/web k4
	until_log shop/web on '.[0].attempts == 1'
	echo '+864000' >"$T/clock"
	until_log shop/web on '.[0].state != "waiting"' 30
	is "$(deliveries shop/web on .state)" done 'a clock that is set on by ten days gives nothing up'
	"$REGFS" hook rm shop/web on >/dev/null
	stop_regfs
else
	skip 'faketime is not installed, or not for this program'
fi

# ---- Where it may not go ----

start_regfs --open
hook inside /inside
hook named /named
"$REGFS" hook set shop/web named --url "http://localhost:${PLAIN##*:}/named" >/dev/null
hook link /link
"$REGFS" hook set shop/web link --url "http://169.254.169.254/latest/meta-data" >/dev/null
BEFORE=$(told got | wc -l)
push_tag shop/web i
for h in inside named link; do
	until_log shop/web $h 'all(.attempts > 0)'
	like "$(deliveries shop/web $h .why)" '(127.0.0.1|::1|169.254.169.254) is no public address: --hook-allow' "$h: no address that isn't public"
done
is "$(told got | wc -l)" "$BEFORE" 'and nothing is sent there'
stop_regfs

fails_with 'hook-allow.*nonsense|nonsense.*hook-allow|nonsense' 'a range that is none' "$REGFS" serve --open --listen 127.0.0.1:0 --hook-allow nonsense
fails_with 'hook-timeout' 'a timeout that is none' "$REGFS" serve --open --listen 127.0.0.1:0 --hook-timeout 1ms
printf 'open = yes\nlisten = 127.0.0.1:0\nhook-allow = nonsense\n' >"$T/conf"
fails_with "$T/conf:3" 'and in the file' "$REGFS" serve --config "$T/conf"

done_testing
