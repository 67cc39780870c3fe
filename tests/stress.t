#!/bin/bash
#
# Garbage collection in a loop, with a grace of a second, under clients that push, retag, delete,
# mount and pull (tests/stress): no pull of a tagged image fails, and afterwards the store holds
# exactly what is referenced.
#
# STRESS_SECONDS (default 15), STRESS_CLIENTS, STRESS_SEED. `make soak` runs it for two minutes.

. "${0%/*}/lib.sh"

need curl jq perl sqlite3
SECONDS_OF_IT=${STRESS_SECONDS:-15}
CLIENTS=${STRESS_CLIENTS:-8}
SEED=${STRESS_SEED:-$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')}
diag "STRESS_SEED=$SEED"
start_regfs --open --gc-grace 1s --gc-interval 1s --untagged 3s
# Nothing is kept for who wants it back: only what tags reach.
"$REGFS" namespace set --store "$STORE" / history-keep=0 undo-keep=0 >/dev/null || bail 'no setting'

# Another process collects, too, without a pause, until it is told to stop.
: >"$T/go-on"
(
	trap - EXIT
	while [ -e "$T/go-on" ]; do
		"$REGFS" gc --store "$STORE" --grace 1s --untagged 3s --json || exit 1
	done
) >"$T/gc.out" 2>"$T/gc.err" </dev/null &
collector=$!

STATUS=0
"$ROOT/tests/stress" "$SECONDS_OF_IT" "$CLIENTS" "$SEED" "$ADDR" >"$T/stress.out" 2>&1 </dev/null || STATUS=$?
is "$STATUS: $(grep -v '^tag \|^did ' "$T/stress.out")" '0: ' 'no pull failed, no promise was broken'
diag "$(grep '^did ' "$T/stress.out")"
rm "$T/go-on"
wait "$collector"
is "$? $(cat "$T/gc.err")" '0 ' 'and no collection'
diag "$(jq -s '{collections: length, blobs: map(.removed.blobs) | add, links: map(.removed.links) | add,
	images: map(.removed.images) | add, uploads: map(.removed.uploads) | add}' "$T/gc.out" | tr -d '\n ')"

# The clients are gone: no grace is needed.
check 'a collection at the end' "$REGFS" gc --store "$STORE" --grace 0 --untagged 0
is "$("$REGFS" gc --store "$STORE" --grace 0 --untagged 0 --json | jq -c '.removed, .kept | map(.) | add')" \
	$'0\n0' 'which leaves nothing to collect'
files() {
	find "$STORE/blobs" -type f -printf '%f\n' | sort
}
is "$(files)" "$(sql "SELECT lower(hex(substr(digest, 2))) FROM blob" | sort)" 'each file has a row, each row a file'
# What tags, indexes and subjects reach, worked out anew.
sql "WITH RECURSIVE live(id) AS (
	SELECT manifest_id FROM tag UNION
	SELECT m.id FROM live l JOIN manifest_ref f ON f.manifest_id = l.id AND f.role = 3
		JOIN blob b ON b.digest = f.digest
		JOIN manifest m ON m.blob_id = b.id AND m.repository_id = f.repository_id)
	SELECT lower(hex(substr(b.digest, 2))) FROM live l JOIN manifest m ON m.id = l.id
		JOIN blob b ON b.id = m.blob_id
	UNION SELECT lower(hex(substr(f.digest, 2))) FROM live l
		JOIN manifest_ref f ON f.manifest_id = l.id AND f.role IN (1, 2)" | sort >"$T/live"
is "$(files)" "$(cat "$T/live")" 'the files are what the tags reach'
is "$(sql "SELECT r.name || ' ' || t.name FROM tag t JOIN repository r ON r.id = t.repository_id" | sort)" \
	"$(sed -n 's/^tag \([^ ]* [^ ]*\) .*/\1/p' "$T/stress.out" | sort)" 'the tags are what the clients left'
is "$(find "$STORE/uploads" -type f)" '' 'no upload is left'
is "$(sql 'SELECT COUNT(*) FROM upload')$(sql 'SELECT COUNT(*) FROM doomed')" 00 'nor a row of one'
[ "$(wc -l <"$T/live")" -gt 10 ]
ok $? "$(wc -l <"$T/live") blobs are left"
check 'the store is whole' "$REGFS" check --store "$STORE" --data
stop_regfs

done_testing
