#!/bin/bash
#
# Who may do what, at every door: tests/permit/walk goes through the expected answers of tests/permit/table.

. "${0%/*}/lib.sh"

need perl
printf 'correct horse battery staple\n' >"$T/password"
mkdir "$T/mounts"
start_regfs --admin-password-file "$T/password"
accounts=$ADDR
start_regfs --open
shopt -s lastpipe	# the loop counts here
"$ROOT/tests/permit/walk" "$T" "$STORE" "$accounts" "$ADDR" 2>&1 </dev/null | while IFS= read -r line; do
	case $line in
	'ok - '*) pass "${line#ok - }" ;;
	'not ok - '*)
		tests_run=$((tests_run + 1)) tests_failed=$((tests_failed + 1))
		printf 'not ok %d - %s\n' "$tests_run" "${line#not ok - }"
		;;
	*) diag "${line#'# '}" ;;
	esac
done
STATUS=${PIPESTATUS[0]}
ok "$STATUS" 'the walk came to its end'
stop_regfs

done_testing
