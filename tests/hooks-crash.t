#!/bin/bash
#
# kill -9 of servers at any moment, with a receiver that fails a third of the time (but no delivery more than three times, and not more
# than six in a row: pauses double, and would go on for minutes): each push that was acknowledged is told at least once, and none before
# another that came earlier in its repository. Two servers share the store: one tells, and the other goes on where it died.
#
# HOOKS_PUSHES and HOOKS_KILLS say how many, CRASH_SEED repeats a run's choices (not its timing).

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3
PUSHES=${HOOKS_PUSHES:-1000}
KILLS=${HOOKS_KILLS:-25}
REPOSITORIES=40
SEED=${CRASH_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
RANDOM=$SEED
diag "CRASH_SEED=$SEED"
export REGFS_STORE=$STORE
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"

# server N: the first or the second, on its own port from its first start on.
pids=() addrs=()
server() {
	serve_regfs --store "$STORE" --listen "${addrs[$1]:-127.0.0.1:0}" --open --hook-allow 127.0.0.0/8 ||
		bail "server $1 doesn't start: $(tail -n 3 "$LOG")"
	pids[$1]=$REGFS_PID addrs[$1]=$ADDR
}

server 0
server 1
receiver got --seed "$SEED"
for ((i = 0; i < REPOSITORIES; i++)); do
	push_layout "$T/a" 1.0 "r$i" >/dev/null || bail 'no push'
done
"$REGFS" hook add '**' one --url "$URL/one?status=500&percent=33&times=3&row=6" >/dev/null
"$REGFS" hook add '**' two --url "$URL/two?status=503&percent=33&times=3&row=6&retry-after=1" >/dev/null

mkfifo "$T/acks"
exec 7<>"$T/acks"
: >"$T/acknowledged"
: >"$T/pusher.err"
background "$T/pusher.err" bash -c '"$@" | tee "$0/acknowledged" >"$0/acks"' "$T" "$ROOT/tests/hooks-pusher" "$T/manifest" \
	"$(jq -r .mediaType "$T/manifest")" "$PUSHES" "$REPOSITORIES" "${addrs[@]}"
PUSHER=$PID

kills=0 seen=0
while ((kills < KILLS)); do
	for ((i = RANDOM % (2 * PUSHES / KILLS); i > 0 && seen < PUSHES; i--, seen++)); do
		read -r -t 30 -u 7 line || bail "the pushes stand still: $(cat "$T/pusher.err")"
	done
	((seen < PUSHES)) || break
	which=$((RANDOM % 2))
	perl -e 'select undef, undef, undef, $ARGV[0] / 1e6' $((RANDOM % 8000))
	kill -KILL "${pids[which]}"
	wait "${pids[which]}" 2>/dev/null
	server $which
	kills=$((kills + 1))
done
wait_end "$PUSHER"
is "$(wc -l <"$T/acknowledged")" "$PUSHES" "$PUSHES pushes through $kills kills"
# Once more while it is told, and then only one is left.
kill -KILL "${pids[0]}"
wait "${pids[0]}" 2>/dev/null
for hook in one two; do
	until_log '**' $hook 'all(.state == "done")' 120
	LAST=$("$REGFS" watch -q --json --since 0 -t 0 --event push | tail -n 1 | jq .number)
	is "$("$REGFS" hook log '**' $hook --last 1 --json | jq '.[0].event')" "$LAST" "$hook: the last push is told"
	told got "/$hook" | jq -r 'select(.status == 200) | (.body | fromjson | .event) | "\(.repository) \(.tag)"' | sort -u >"$T/$hook.told"
	is "$(sort "$T/acknowledged" | comm -23 - "$T/$hook.told" | wc -l)" 0 "$hook: every push that was acknowledged is told"
	is "$(told got "/$hook" | jq -r '(.body | fromjson | .event) | "\(.repository) \(.number)"' |
		awk '$2 < last[$1] { print } { last[$1] = $2 }' | head -n 3)" '' "$hook: none out of order"
	N=$(told got "/$hook" | jq -r 'select(.status == 200) | .headers["x-regfs-delivery"]' | wc -l)
	diag "$hook: $N taken for $(wc -l <"$T/$hook.told") pushes, $(told got "/$hook" | wc -l) attempts"
	check "$hook: told again only where a server died" test "$N" -le $((PUSHES + (kills + 1) * 64))
done

done_testing
