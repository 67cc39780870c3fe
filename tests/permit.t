#!/bin/bash
#
# Who may do what, at every door: tests/permit/walk goes through the expected
# answers of tests/permit/table.

. "${0%/*}/lib.sh"

need curl jq perl
printf 'correct horse battery staple\n' >"$T/password"
mkdir "$T/mounts"
start_regfs --admin-password-file "$T/password"
accounts=$ADDR
start_regfs --open
STATUS=0
"$ROOT/tests/permit/walk" "$T" "$STORE" "$accounts" "$ADDR" >"$T/permit.out" 2>&1 </dev/null ||
	STATUS=$?
while IFS= read -r line; do
	case $line in
	'ok - '*) pass "${line#ok - }" ;;
	'not ok - '*)
		tests_run=$((tests_run + 1)) tests_failed=$((tests_failed + 1))
		printf 'not ok %d - %s\n' "$tests_run" "${line#not ok - }"
		;;
	*) diag "${line#'# '}" ;;
	esac
done <"$T/permit.out"
ok "$STATUS" 'the walk came to its end'
stop_regfs

done_testing
