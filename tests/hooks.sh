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

# told NAME: what a receiver got, a JSON object a line.
told() {
	cat "$T/$1.log"
}

# header_of NAME FIELD: of the last request.
header_of() {
	told "$1" | tail -n 1 | jq -r --arg f "$2" '.headers[$f] // "-"'
}

# hmac SECRET: HMAC-SHA-256 of standard input, in hexadecimal.
hmac() {
	openssl dgst -sha256 -hmac "$1" | sed 's/.*= //'
}
