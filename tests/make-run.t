#!/bin/bash
# make run, as the README has it: it starts a registry with a store and a mount of its own,
# a second time with what the first one kept, and ends cleanly.
. "$(dirname "$0")/lib.sh"

have_fuse || skip_all 'there is no FUSE to mount with'
[ "$REGFS" = "$ROOT/build/regfs" ] || skip_all 'make run starts build/regfs, which is not under test'
need make pgrep

# run_make: starts it, and waits until it has said all it says.
run_make() {
	: >"$T/said"
	background "$T/said" make --no-print-directory -C "$ROOT" run \
		STORE="$STORE" MNT="$MNT" LISTEN=127.0.0.1:0
	MAKE=$PID
	wait_line "$T/said" "$MAKE" '^try:' || bail "make run: $(cat "$T/said")"
	ADDR=$(sed -n 's,.*http://\([0-9.:]*\).*,\1,p' "$T/said")
}

# ends SIGNAL: the program gets it; make's status is the program's.
ends() {
	kill "-$1" "$(pgrep -P "$MAKE" -x regfs)"
	wait "$MAKE"
	is $? 0 "it ends with 0 on SIG$1"
	is "$(mounts "$MNT")" '' 'and is no longer mounted'
}

run_make
like "$(cat "$T/said")" "registry +http://127" 'it says where the registry is'
like "$(cat "$T/said")" "store +$STORE" 'and the store'
like "$(cat "$T/said")" "mount +$MNT" 'and the mount'
check 'it is mounted' test -f "$MNT/_registry/version"
printf kept >"$T/blob"
DIGEST=$(push_blob keep "$T/blob")
ok $? 'anyone may push'
ends INT

run_make
is "$(curl -sf "http://$ADDR/v2/keep/blobs/$DIGEST")" kept 'a second start has kept it'
ends TERM
done_testing
