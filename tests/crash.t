#!/bin/bash
#
# kill -9 at any moment during pushes: what was acknowledged is whole afterwards, nothing
# else is half visible, and the server starts again at once, without a repair.
#
# CRASH_SEED repeats a run's choices (not its timing), CRASH_KILLS says how often.

. "${0%/*}/lib.sh"

need curl perl
CLIENTS=4
KILLS=${CRASH_KILLS:-50}
SEED=${CRASH_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
RANDOM=$SEED
diag "CRASH_SEED=$SEED"
start_regfs --open

# Each line of a client goes to its journal and, as a sign of life, into one pipe.
mkfifo "$T/acks"
exec 7<>"$T/acks"
for ((i = 1; i <= CLIENTS; i++)); do
	mkfifo "$T/lines-$i"
	tee "$T/journal-$i" <"$T/lines-$i" >&7 &
	processes+=($!)
	tees+=($!)
	"$ROOT/tests/crash-client" push "client$i" "$SEED$i" "$ADDR" >"$T/lines-$i" 2>"$T/client-$i.err" &
	processes+=($!)
	clients+=($!)
done

# seen N: waits until the clients have said N lines more.
seen() {
	local i line

	for ((i = 0; i < $1; i++)); do
		read -r -t 30 -u 7 line || return 1
	done
}

slowest=0 stuck=0
for ((kill = 1; kill <= KILLS; kill++)); do
	seen $((1 + RANDOM % 80)) || { stuck=1; break; }
	# A little later, so that a kill does not always follow an answer.
	perl -e 'select undef, undef, undef, $ARGV[0] / 1e6' $((RANDOM % 8000))
	kill_regfs
	# What they said before it died is not what they say after it.
	while read -r -t 0 -u 7 && read -r -t 1 -u 7 line; do :; done
	start=$(date +%s%N)
	serve_regfs --store "$STORE" --listen "$ADDR" --open ||
		bail "kill $kill: no restart: $(tail -n 3 "$LOG")"
	took=$((($(date +%s%N) - start) / 1000000))
	[ $took -le $slowest ] || slowest=$took
	if ((kill % 10 == 0)); then
		check "after kill $kill every file has its digest" sh -c "
			cd '$STORE/blobs/sha256' && find . -type f | sed 's,^./../\(.*\),\1  &,' |
			sha256sum --quiet -c -"
	fi
done
is $stuck 0 "pushes went on through $((kill - 1)) kills"
[ $slowest -lt 2000 ]
ok $? "each restart was ready within 2 seconds: $slowest ms at most"

cat <&7 >/dev/null &
processes+=($!)
kill -TERM "${clients[@]}"
wait "${clients[@]}" 2>/dev/null
wait "${tees[@]}"
for ((i = 1; i <= CLIENTS; i++)); do
	is "$(cat "$T/client-$i.err")" '' "client $i had no trouble of its own"
done

# Once more, with nobody pushing.
kill_regfs
serve_regfs --store "$STORE" --listen "$ADDR" --open || bail 'no restart at the end'
check 'all that was acknowledged is whole, all that is listed is whole' \
	"$ROOT/tests/crash-client" verify "$ADDR" "$STORE" "$T"/journal-*
diag "$(cat "$T/check.out")"
if command -v sqlite3 >/dev/null; then
	is "$(sqlite3 "$STORE/regfs.db" 'PRAGMA integrity_check; PRAGMA foreign_key_check')" ok \
		'the database is sound'
fi
stop_regfs

done_testing
