# hooks.sh: what the tests of hooks share, on top of lib.sh; bash.

# receiver NAME [OPTION...]: tests/receiver, once it listens: where in $URL, its id in $RECEIVER; what it gets is in $T/NAME.log.
receiver() {
	local name=$1

	shift
	: >>"$T/$name.log"
	: >"$T/$name.out"
	background "$T/$name.out" "$ROOT/tests/receiver" "$T/$name.log" "$@"
	RECEIVER=$PID
	wait_line "$T/$name.out" "$PID" '^READY' || bail "no receiver: $(cat "$T/$name.out")"
	RECEIVER_PORT=$(sed -n 's/^READY //p' "$T/$name.out")
	URL=http://127.0.0.1:$RECEIVER_PORT
}

# until_told NAME COUNT [SECONDS]: waits until a receiver got so many requests.
until_told() {
	timeout "${3:-30}" head -n "$2" < <(exec tail -n +1 -f "$T/$1.log" 2>/dev/null) >"$T/seen"
	[ "$(wc -l <"$T/seen")" -eq "$2" ] || fail "$1 is told $2 times" "$(wc -l <"$T/seen") so far"
}

# told NAME [PATH]: what a receiver got (there, the query apart), a JSON object a line.
told() {
	jq -c --arg p "${2:-}" 'select($p == "" or (.path | split("?")[0]) == $p)' "$T/$1.log"
}

# header_of NAME FIELD [PATH]: of the last request.
header_of() {
	told "$1" "${3:-}" | tail -n 1 | jq -r --arg f "$2" '.headers[$f] // "-"'
}

# hmac SECRET: HMAC-SHA-256 of standard input, in hexadecimal.
hmac() {
	openssl dgst -sha256 -hmac "$1" | sed 's/.*= //'
}

# push_tag REPO TAG: names the image in $T/a so, over HTTP; it is there already. Fails unless it was acknowledged.
push_tag() {
	curl -sSf --max-time 60 -o /dev/null -X PUT -H "Content-Type: $(jq -r .mediaType "$T/manifest")" -H 'Expect:' \
		--data-binary @"$T/manifest" "http://$ADDR/v2/$1/manifests/$2"
}

# deliveries REPO HOOK [FILTER]: its log as JSON, oldest first; each through a jq filter.
deliveries() {
	"$REGFS" hook log "$1" "$2" --last 1000 --json | jq -r "reverse | .[] | ${3:-.}"
}

# until_log REPO HOOK CONDITION [SECONDS]: waits until jq finds the log (an array, oldest first) so; `all(...)` is of one delivery at least,
# for that may be queued a moment after what it tells of. A delivery that ends wakes nobody: so it looks again and again.
until_log() {
	local left=$(($(date +%s) + ${4:-30})) condition=${3/#all(/length > 0 and all(}

	while ! "$REGFS" hook log "$1" "$2" --last 1000 --json | jq -e "reverse | $condition" >/dev/null; do
		if [ "$(date +%s)" -gt $left ]; then
			fail "the log of $2 becomes: $3" "$("$REGFS" hook log "$1" "$2")"
			return 1
		fi
		read -r -t 0.05 <> <(:)
	done
}
