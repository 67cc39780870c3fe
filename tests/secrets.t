#!/bin/bash
# secrets.t: where passwords and tokens must not be found: the store, the log, errors, the process list, the environment,
# events, the audit trail, a core file.

. "$(dirname "$0")/lib.sh"

need jq curl perl

export REGFS_STORE=$STORE
ADMIN=admins-own-password ALICE=alices-first-password NEXT=alices-second-password WRONG=a-guess-of-mallory
ulimit -c unlimited 2>/dev/null || ulimit -S -c "$(ulimit -H -c)"
printf '%s\n' "$ADMIN" >"$T/pw-admin"
printf '%s\n' "$ALICE" >"$T/pw-alice"
printf '%s\n' "$NEXT" >"$T/pw-next"
mkdir -p "$T/cwd"
cd "$T/cwd" || exit 1

start_regfs --admin-password-file "$T/pw-admin"
regfs user add alice --password-file "$T/pw-alice" >"$T/out" 2>&1
regfs user passwd alice --password-file - <"$T/pw-next" >>"$T/out" 2>&1
regfs user add alice --password-file "$T/pw-alice" >>"$T/out" 2>&1
regfs user set alice "password=$WRONG" >"$T/said" 2>&1
TOKEN=$(regfs token add alice laptop --json | jq -r .secret)
ROBOT=$(regfs robot add ci --json | jq -r .secret)
like "$TOKEN$ROBOT" '^rgs_[0-9a-f]{64}rgs_[0-9a-f]{64}$' 'secrets were made'
secrets=("$ADMIN" "$ALICE" "$NEXT" "$WRONG" "$TOKEN" "$ROBOT" "${TOKEN#rgs_}" "${ROBOT#rgs_}")

# As clients show them, right and wrong: Basic, Bearer, in the other field, in a URL's place for a user.
for user in "alice:$NEXT" "alice:$WRONG" "alice:$TOKEN" "+ci:$ROBOT" "$NEXT:alice" "$WRONG:$WRONG" "$TOKEN:x" "mallory:$WRONG"; do
	http GET /v2/shop/web/tags/list -u "$user"
	http GET /token?service=regfs -u "$user"
done
http GET /v2/ -H "Authorization: Bearer $TOKEN"
http GET /v2/ -H "Authorization: Basic $WRONG"
http POST /token -d "grant_type=password&username=alice&password=$WRONG&service=regfs&client_id=x"

# found_in FILE...: those secrets that are in there, as they are or in hexadecimal or base64 as Basic has them.
found_in() {
	local secret user

	for secret in "${secrets[@]}"; do
		grep -alF -- "$secret" "$@" 2>/dev/null
		for user in alice +ci mallory; do
			grep -alF -- "$(printf '%s' "$user:$secret" | base64 -w 0)" "$@" 2>/dev/null
		done
	done
}

# ---- While it runs ----

cat "/proc/$REGFS_PID/cmdline" "/proc/$REGFS_PID/environ" >"$T/process"
is "$(found_in "$T/process")" '' 'no secret is in the process list or the environment'
is "$(sed -n 's/^Max core file size *\([^ ]*\) *\([^ ]*\) .*/\1 \2/p' "/proc/$REGFS_PID/limits")" '0 0' 'no core file: by the limit'

# A process that isn't to be dumped belongs to root; another user's shows it.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	mkdir "$T/theirs"
	chown 65534:65534 "$T/theirs"
	chmod o+x "$T"
	: >"$T/theirs.log"	# there before wait_line looks for it
	setpriv --reuid 65534 --regid 65534 --clear-groups "$REGFS" serve --store "$T/theirs/store" --open \
		--listen 127.0.0.1:0 >"$T/theirs.log" 2>&1 </dev/null &
	THEIRS=$!
	processes+=("$THEIRS")
	wait_line "$T/theirs.log" "$THEIRS" '^try'
	ok $? 'one of another user runs'
	is "$(stat -c %u "/proc/$THEIRS/mem")" 0 'no core file: it is not to be dumped, nor looked into'
	kill "$THEIRS"
	wait_end "$THEIRS"
else
	skip 'only root can start one of another user'
	skip 'only root can start one of another user'
fi

# ---- What is written ----

"$REGFS" audit --json >"$T/audit.json"
printf 'x%sx' "$(printf 'alice:%s' "$NEXT" | base64 -w 0)" >"$T/planted"
is "$(found_in "$T/planted" "$T/pw-admin" "$T/audit.json")" "$T/pw-admin"$'\n'"$T/planted" 'what is there is found'
like "$(cat "$T/audit.json")" '"about":"alice laptop"' 'the audit trail has what was done'
is "$(found_in "$T/audit.json")" '' 'and no secret'
is "$(found_in "$T/out" "$T/said")" '' 'or in what the command said'
is "$(found_in "$LOG")" '' 'or in the log'
mapfile -t files < <(find "$STORE" -type f)
is "$(found_in "${files[@]}")" '' 'or in a file of the store: the database with its events, and its journal'
ok $((${#files[@]} == 0)) 'there are some'

# ---- A crash ----

# It is a child of perl, which tells whether there was a core: bit 7 of what wait(2) says.
: >"$T/crash.log"
kill_regfs
perl -e 'my $pid = fork // exit 99;
	if (!$pid) { exec @ARGV; exit 98 }
	$SIG{TERM} = sub { kill "SEGV", $pid };
	waitpid $pid, 0;
	print "signal ", $? & 127, ($? & 128) ? " with a core" : " without a core", "\n"' \
	"$REGFS" serve --store "$STORE" --listen 127.0.0.1:0 >"$T/crash.log" 2>&1 </dev/null &
PERL=$!
processes+=("$PERL")
wait_line "$T/crash.log" "$PERL" '^try'
ok $? 'one more'
kill -TERM "$PERL"
wait "$PERL"
is "$(tail -n 1 "$T/crash.log")" 'signal 11 without a core' 'a crash leaves no core'
is "$(ls "$T/cwd")" '' 'nor a file'

done_testing
