#!/bin/bash
#
# What lib.sh leaves behind: nothing of its own, and everything of others.
. "$(dirname "$0")/lib.sh"

background /dev/null tail -f /dev/null
theirs=$PID
# A test that took note of an id which is somebody else's by now, and of one of its own.
cat >"$T/other.t" <<END
. "$ROOT/tests/lib.sh"
processes+=($theirs)
background "\$T/log" tail -f /dev/null
printf '%s %s\\n' "\$PID" "\$T" >"$T/other"
pass 'it does nothing'
done_testing
END
check 'a test ends' bash "$T/other.t"
read -r own scratch <"$T/other"
check 'a process of somebody else goes on' kill -0 "$theirs"
check_fails 'its own is ended' kill -0 "$own"
check_fails 'and its scratch directory is gone' test -e "$scratch"

done_testing
