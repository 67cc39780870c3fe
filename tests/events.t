#!/bin/bash
# events.t: what happened: _events, _registry/events, and regfs watch, at the store and at a server.

. "$(dirname "$0")/lib.sh"

need jq curl busybox

export REGFS_STORE=$STORE
PW=$T/pw
echo 'a password of hers' >"$PW"

# kinds [OPERAND...]: "kind repository tag-or-digest changed who from about" of all events that are kept, a line each.
kinds() {
	"$REGFS" watch -q --json --since 0 -t 0 "$@" |
		jq -r '[.kind, .repository // "-", .tag // (.digest // "-")[0:14], (.changed|tostring), .who // "-", .from // "-", .about // "-"] | join(" ")'
}

# watching NAME OPTION...: regfs watch, once it watches; its output in $T/NAME, its id in $PID.
watching() {
	local name=$1

	shift
	: >"$T/$name"
	background "$T/$name.err" bash -c 'exec "$@" >"$0"' "$T/$name" "$REGFS" watch "$@"
	wait_line "$T/$name.err" "$PID" 'watching behind'
}

# until_lines FILE COUNT: waits for so many lines, 30 seconds at most.
until_lines() {
	timeout 30 head -n "$2" < <(exec tail -n +1 -f "$1" 2>/dev/null) >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq "$2" ]
}

exits 2 'watch of a store that is not there' "$REGFS" watch
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
MOUNT=()
have_fuse && mkdir -p "$MNT" && MOUNT=(--mount "$MNT")
start_regfs --open "${MOUNT[@]}"

# ---- Each door, one event ----

push_layout "$T/a" 1.0 shop/web >/dev/null
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"
is "$(kinds)" 'push shop/web 1.0 true anyone 127.0.0.1 -' 'a push is one event'
push_manifest shop/web 1.0 "$T/manifest" >/dev/null
push_manifest shop/web "$A" "$T/manifest" >/dev/null
push_manifest shop/web '2.0?tag=a&tag=b' "$T/manifest" >/dev/null
is "$(kinds | tail -n +2 | cut -d' ' -f1-4)" "push shop/web 1.0 false
push shop/web ${A:0:14} false
push shop/web 2.0 true
push shop/web a true
push shop/web b true" 'and so is one that changes nothing, one by digest, and each tag of one request'
LAST=$("$REGFS" watch -q --json --since 0 -t 0 | tail -n 1 | jq .number)
"$REGFS" tag add shop/web@"$A" 3.0 >/dev/null
"$REGFS" tag rm shop/web:3.0 >/dev/null
http DELETE /v2/shop/web/manifests/b
is "$CODE" 202 'a tag is deleted over HTTP'
"$REGFS" repo add shop/other >/dev/null
"$REGFS" repo set shop/other visibility=public >/dev/null
"$REGFS" repo rm shop/other >/dev/null
"$REGFS" user add alice --password-file "$PW" >/dev/null
"$REGFS" grant alice pull shop/web >/dev/null
is "$("$REGFS" watch -q --json --since "$LAST" -t 0 | jq -r '[.kind, .repository // "-", .tag // "-", .who, .from, .about // "-"] | join(" ")')" \
	'tag shop/web 3.0 administrator command -
untag shop/web 3.0 administrator command -
untag shop/web b anyone 127.0.0.1 -
create shop/other - administrator command -
visibility shop/other - administrator command public
remove shop/other - administrator command -
account-add - - administrator command alice
grant shop/web - administrator command alice shop/web pull' 'with who did it, and through which door'
is "$("$REGFS" watch -q --json --since 0 -t 0 | jq .number | tr '\n' ' ')" "$(seq -s ' ' 1 14) " 'numbered without gaps'

# ---- How it is printed ----

is "$("$REGFS" watch -q --since 0 -t 0 shop/web --event push,untag)" 'shop/web/_tags/ CREATE 1.0
shop/web/_tags/ UNCHANGED 1.0
shop/web/_images/sha256/ UNCHANGED '"${A#sha256:}"'
shop/web/_tags/ CREATE 2.0
shop/web/_tags/ CREATE a
shop/web/_tags/ CREATE b
shop/web/_tags/ DELETE 3.0
shop/web/_tags/ DELETE b' 'as inotifywait prints files, filtered by repository and kind'
is "$("$REGFS" watch -q --since 0 --once --format '%i %k %r:%t %u %o %d%% %T' --timefmt %Y 'shop/**')" \
	"1 push shop/web:1.0 anyone 127.0.0.1 $A% $(date +%Y)" 'by a format'
is "$("$REGFS" watch -q --since 0 -t 0 'shop/*' --event create,remove --format '%w%f %e')" 'shop/other CREATE,ISDIR
shop/other DELETE,ISDIR' 'by a pattern'
exits 1 'nothing comes' "$REGFS" watch -q -t 0
exits 2 'a format that is none' "$REGFS" watch --format %y
exits 2 'a number that is none' "$REGFS" watch --since soon
exits 2 'a kind that is none' "$REGFS" watch --event pushed -t 0
exits 2 'a pattern that is none' "$REGFS" watch 'Shop' -t 0
exits 2 'a number that was never reached' "$REGFS" watch --since 1000 -t 0

# ---- Waiting ----

for place in store server; do
	WHERE=()
	[ $place = server ] && WHERE=(--server "http://$ADDR")
	[ $place = server ] && unset REGFS_STORE
	watching w "${WHERE[@]}" --format '%e %f' shop/web
	W=$PID
	export REGFS_STORE=$STORE
	push_manifest shop/web "new-$place" "$T/manifest" >/dev/null
	"$REGFS" tag rm "shop/web:new-$place" >/dev/null
	until_lines "$T/w" 2
	is "$(cat "$T/seen")" "CREATE new-$place
DELETE new-$place" "a watcher of a $place is told of what the server and what another process does"
	kill -TERM "$W"
	wait_end "$W"
	STATUS=0
	wait "$W" || STATUS=$?
	is "$STATUS" 0 "and ends on SIGTERM with 0 ($place)"
done
mkfifo "$T/pipe"
background "$T/closed.err" bash -c 'exec "$1" watch >"$0"' "$T/pipe" "$REGFS"
W=$PID
exec 7<"$T/pipe"
wait_line "$T/closed.err" "$W" 'watching behind'
exec 7<&-
check 'a watcher ends when nobody reads it' wait_end "$W"

# ---- In the mount ----

if have_fuse; then
	is "$(jq -r .kind <"$MNT/shop/web/_events" | sort | uniq -c | awk '{print $2 $1}' | tr '\n' ' ')" 'push8 tag1 untag4 ' 'a repository has a file of its events, those of rights not among them'
	is "$(wc -c <"$MNT/shop/web/_events")" "$(stat -c %s "$MNT/shop/web/_events")" 'whose size is true'
	is "$(cat "$MNT/_registry/events")" "$("$REGFS" watch -q --json --since 0 -t 0)" 'the registry has one of all, with the lines of watch --json'
	: >"$T/tail"
	tail -n +1 -f "$MNT/shop/web/_events" >"$T/tail" 2>"$T/tail.err" &
	TAIL=$!
	processes+=("$TAIL")
	until_lines "$T/tail" 13
	ok $? 'tail -f begins'
	push_manifest shop/web followed "$T/manifest" >/dev/null
	"$REGFS" tag rm shop/web:followed >/dev/null
	until_lines "$T/tail" 15
	is "$(tail -n 2 "$T/seen" | jq -r '[.kind, .tag] | join(" ")')" 'push followed
untag followed' 'and follows'
	is "$(cat "$T/tail.err")" '' 'without a word'
	kill "$TAIL"
	cmp -s <(tail -c +101 "$MNT/shop/web/_events") <(dd if="$MNT/shop/web/_events" bs=100 skip=1 status=none)
	ok $? 'read from the middle'
else
	skip 5 'no FUSE here'
fi

# ---- 200 retags at once ----

B=$(layout_digest "$T/a" 1.0)
make_image "$T/b" 1.0 two >"$T/made" || bail 'no image'
push_layout "$T/b" 1.0 shop/web other >/dev/null
B=$(layout_digest "$T/b" 1.0)
cp "$T/b/blobs/sha256/${B#sha256:}" "$T/manifest-b"
NOW=$("$REGFS" watch -q --json --since 0 -t 0 | tail -n 1 | jq .number)
TYPE=$(jq -r .mediaType "$T/manifest")
for ((i = 0; i < 100; i++)); do
	for m in manifest manifest-b; do
		printf 'next\nurl = "http://%s/v2/shop/web/manifests/hot"\nupload-file = "%s"\nheader = "Content-Type: %s"\noutput = "/dev/null"\n' "$ADDR" "$T/$m" "$TYPE"
	done
done | sed 1d >"$T/retags"
curl -sSf --parallel --parallel-max 200 -K "$T/retags"
ok $? '200 pushes of one tag at once'
"$REGFS" watch -q --json --since "$NOW" -t 0 shop/web >"$T/hot"
is "$(wc -l <"$T/hot")" 200 'are 200 events'
is "$(jq .number "$T/hot" | tr '\n' ' ')" "$(seq -s ' ' $((NOW + 1)) $((NOW + 200))) " 'without a gap'
is "$("$REGFS" history --json shop/web:hot | jq -r '.[] | [.number, .event // .named.event, .digest] | map(tostring) | join(" ")')" \
	"$(jq -r 'select(.changed) | [.number, .digest] | map(tostring) | join(" ")' "$T/hot" | awk '{print NR " " $0}')" \
	'and the history of the tag is these, in their order'

# ---- 1,000 that wait ----

for ((i = 0; i < 250; i++)); do
	printf 'next\nurl = "http://%s/v2/_regfs/v1/events"\nheader = "Content-Type: application/json"\ndata = "{\\"after\\":%d,\\"n\\":10,\\"wait\\":30,\\"repositories\\":\\"shop/waited\\"}"\n' "$ADDR" $((NOW + 200))
done | sed 1d >"$T/waiters"
WAITERS=()
for i in 1 2 3 4; do
	command curl -sS --no-progress-meter --parallel --parallel-immediate --parallel-max 250 -K "$T/waiters" >"$T/waited.$i" 2>"$T/waited.err" &
	WAITERS+=($!)
	processes+=($!)
done
# connected: how many connections the server has.
connected() {
	ss -Htn state established "sport = :$PORT" | wc -l
}
end=$((SECONDS + 30))
until (($(connected) >= 1000)) || ((SECONDS > end)); do :; done
ok $(($(connected) < 1000)) '1,000 clients wait for events'
for ((i = 0; i < 20; i++)); do
	curl -sS -o /dev/null -w '%{time_total}\n' "http://$ADDR/v2/shop/web/tags/list"
done | sort -n >"$T/times"
ok "$(awk 'NR == 10 {print ($1 > 0.1)}' "$T/times")" "and others are answered as ever ($(sed -n 10p "$T/times") s)"
"$REGFS" repo add shop/waited >/dev/null
wait "${WAITERS[@]}"
is "$(cat "$T"/waited.? | jq -r 'select(.end|not) | .kind' | sort | uniq -c | awk '{print $2, $1}')" 'create 1000' 'until all of them are told'
"$REGFS" repo rm shop/waited >/dev/null

# ---- A server that is killed ----

NOW=$("$REGFS" watch -q --json --since 0 -t 0 | tail -n 1 | jq .number)
for round in 1 2 3; do
	watching "k$round" --server "http://$ADDR" --json --since "$([ "$round" = 1 ] && echo "$NOW" || jq -s '.[-1].number' "$T/kept")" shop/web
	W=$PID
	(for ((i = 0; i < 200; i++)); do
		push_manifest shop/web "k$round-$i" "$T/manifest" >/dev/null 2>&1 && echo "k$round-$i" || exit 0
	done) >"$T/acknowledged.$round" &
	PUSHER=$!
	until_lines "$T/k$round" $((7 * round))
	kill_regfs
	wait "$PUSHER"
	wait_end "$W"
	cat "$T/k$round" >>"$T/kept"
	start_regfs --open "${MOUNT[@]}"
done
"$REGFS" watch -q --json -t 0 --since "$(jq -s '.[-1].number' "$T/kept")" shop/web >>"$T/kept"
is "$(jq .number "$T/kept" | tr '\n' ' ')" "$("$REGFS" watch -q --json --since "$NOW" -t 0 shop/web | jq .number | tr '\n' ' ')" \
	'a watcher that goes on behind its last event misses nothing and gets nothing twice'
is "$(cat "$T"/acknowledged.* | sort | comm -23 - <(jq -r .tag "$T/kept" | sort))" '' 'of all that was acknowledged'

# ---- Who may know ----

stop_regfs
start_regfs "${MOUNT[@]}" --admin-password-file "$PW"
"$REGFS" user add bob --password-file "$PW" >/dev/null
"$REGFS" grant bob pull,push shop/web >/dev/null
"$REGFS" user add carol --password-file "$PW" >/dev/null
"$REGFS" user set carol administrator=yes >/dev/null
"$REGFS" repo add shop/secret >/dev/null
# ask USER: the kinds of events that a user is told, and whether who did it is.
ask() {
	curl -sS -u "$1:$(cat "$PW")" -H 'Content-Type: application/json' -d '{"after":0,"n":1000}' "http://$ADDR/v2/_regfs/v1/events" >"$T/asked"
	jq -r 'select(.end|not) | [.kind, .repository, if .who == "" then "" else "who" end] | join(" ")' "$T/asked" | sort -u
}
is "$(ask alice)" 'push shop/web 
tag shop/web 
untag shop/web ' 'who may pull is told what happened there, but not who did it'
is "$(ask bob)" 'push shop/web who
tag shop/web who
untag shop/web who' 'who may push is told that, too'
like "$(ask carol)" 'create shop/secret who' 'an administrator is told of all'
is "$(curl -sS -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -d '{"after":0,"n":10}' "http://$ADDR/v2/_regfs/v1/events")" 200 'anonymous may ask'
is "$(curl -sS -H 'Content-Type: application/json' -d '{"after":0,"n":1000}' "http://$ADDR/v2/_regfs/v1/events" | jq -c 'select(.end|not)')" '' 'and is told of what is public: nothing'

# ---- What is old ----

stop_regfs
LAST=$("$REGFS" watch -q --json --since 0 -t 0 | tail -n 1 | jq .number)
SIZE=$([ ${#MOUNT[@]} -eq 0 ] || echo yes)
start_regfs --open "${MOUNT[@]}" --event-keep 1ms --gc-interval 100ms
end=$((SECONDS + 20))
until "$REGFS" watch -q --since 0 --json -t 0 | head -n 1 | jq -e '.kind == "gap"' >/dev/null || ((SECONDS > end)); do :; done
is "$("$REGFS" watch -q --json --since 3 -t 0 | head -n 1 | jq -r '[.kind, .number, .about] | map(tostring) | join(" ")')" "gap $LAST 4" \
	'who comes later than what is kept is told of the gap'
is "$("$REGFS" watch -q --since 3 -t 0)" "./ Q_OVERFLOW 4-$LAST" 'as inotifywait would'
is "$("$REGFS" watch -q --json --since "$LAST" -t 0)" '' 'and who does not, of none'
[ -z "$SIZE" ] || is "$(cat "$MNT/shop/web/_events")" '' 'and the file is empty'
push_manifest shop/web again "$T/manifest" >/dev/null
is "$("$REGFS" watch -q --json --since "$LAST" -t 0 | jq .number)" $((LAST + 1)) 'numbers go on'

done_testing
