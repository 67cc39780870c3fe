#!/bin/bash
# hooks.t: a push is told to who asked for it: signed, seen, and again until it is taken.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3 openssl

export REGFS_STORE=$STORE
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
start_regfs --open --hook-allow 127.0.0.0/8
receiver got

# ---- A push ----

printf 'a secret of ours\n' >"$T/secret"
check 'a hook is made' "$REGFS" hook add shop/web ci --url "$URL/hook" --secret-file "$T/secret"
push_layout "$T/a" 1.0 shop/web >/dev/null
A=$(layout_digest "$T/a" 1.0)
until_told got 1
is "$(told got | jq -r '[.path, .headers["x-regfs-event"], .headers["x-regfs-sequence"], .headers["content-type"]] | join(" ")')" \
	'/hook push 1 application/json' 'a push is told'
told got | jq -r .body >"$T/body.json"
is "$(jq -r '[.v, .hook, .sequence, .event.kind, .event.repository, .event.tag, .event.digest, .event.changed] | map(tostring) | join(" ")' \
	"$T/body.json")" "1 ci 1 push shop/web 1.0 $A true" 'with what was pushed'
is "$(header_of got x-hub-signature-256)" "sha256=$(told got | jq -rj .body | hmac 'a secret of ours')" 'signed as GitHub does'
STAMP=$(header_of got x-regfs-timestamp)
is "$(header_of got x-regfs-signature-256)" "sha256=$( (printf '%s.' "$STAMP"; told got | jq -rj .body) | hmac 'a secret of ours')" \
	'and with the time that is signed, too'
# As regfs-hooks(7) has it.
sed -n '/^genuine() {/,/^}/p' "$ROOT/man/regfs-hooks.7" | sed 's/\\e/\\/g' >"$T/genuine"
genuine() (
	cd "$T" && touch taken && told got | tail -n 1 | jq -rj .body >body && . ./genuine && genuine
)
export -f genuine told
secret='a secret of ours' stamp=$STAMP signature=$(header_of got x-regfs-signature-256)
check 'what the manual page shows takes it' genuine
check_fails 'once' genuine
check_fails 'and no other secret' eval 'rm "$T/taken"; secret=other genuine'
check_fails 'nor another time' eval 'stamp=$((STAMP - 1)) genuine'
check_fails 'nor an old one' eval 'stamp=$((STAMP - 1000)) signature=sha256=$( (printf "%s." $((STAMP - 1000)); cat "$T/body") | hmac "$secret") genuine'
check 'with two signatures, too' eval 'signature=sha256=00,$signature genuine'
check 'the time is that of the attempt' test $(($(date +%s) - STAMP)) -lt 60
like "$("$REGFS" hook log shop/web ci)" 'push shop/web:1.0 +done +1 .* 200' 'the log has it'
DELIVERY=$("$REGFS" hook log shop/web ci --json | jq '.[0].delivery')
like "$("$REGFS" hook log shop/web ci "$DELIVERY")" 'X-Regfs-Event: push.*got it' 'with request and response'

fails_with 'already' 'one of a name' "$REGFS" hook add shop/web ci --url "$URL/hook"
"$REGFS" hook add shop/web --url "$URL/unnamed" >/dev/null
is "$("$REGFS" hook list shop/web --json | jq -r '[.[].name] | join(" ")')" '127.0.0.1 ci' 'one without a name is called as its host'
exits 0 'a change that is only tried' "$REGFS" hook set -n shop/web ci --url "$URL/other"
is "$("$REGFS" hook show shop/web ci --json | jq -r '[.url, .who, .secret, .format, .on] | map(tostring) | join(" ")')" \
	"$URL/hook administrator true regfs push" 'changes nothing'
exits 0 'a test that is only tried' "$REGFS" hook test -n shop/web ci
is "$OUT" 'would have told shop/web ci of an event' 'tells nothing'
fails_with 'has no hook' 'and only what would go' "$REGFS" hook test -n shop/web gone
exits 0 'a test' "$REGFS" hook test shop/web ci
until_log shop/web ci 'length == 2 and .[1].state == "done"'
is "$(header_of got x-regfs-event /hook)" hook-test 'is told'
is "$(told got /unnamed | wc -l)" 0 'to no other'
exits 0 'rm' "$REGFS" hook rm shop/web 127.0.0.1
fails_with 'has no hook' 'what is gone' "$REGFS" hook show shop/web 127.0.0.1

# ---- What is refused ----

while IFS='|' read -r text what; do
	eval "set -- $what"
	fails_with "$text" "refused: $what" "$REGFS" hook add "$@"
done <<'END'
no URL to post to|shop/web x --url ftp://127.0.0.1/
no URL to post to|shop/web x --url 'http://user:secret@127.0.0.1/'
no URL to post to|shop/web x --url 'http://127.0.0.1/a b'
no events "pushed"|shop/web x --url http://127.0.0.1/ --on pushed
no events "hook-test"|shop/web x --url http://127.0.0.1/ --on push,hook-test
"xml" is no format|shop/web x --url http://127.0.0.1/ --format xml
no name of a hook|shop/web .x --url http://127.0.0.1/
URL or a program|shop/web x
URL or a program|shop/web x --url http://127.0.0.1/ --program p
not "a/b"|shop/web x --program a/b
Shop|Shop/web x --url http://127.0.0.1/
rule|shop/web x --url http://127.0.0.1/ --tags '/(/'
END
printf 'X-Ours: yes\nHost: elsewhere\n' >"$T/headers.bad"
printf 'X-A: one\nx-a: two\n' >"$T/headers.twice"
fails_with 'one header x-a|one header X-A' 'two headers of one name' "$REGFS" hook add shop/web x --url "$URL/" --header-file "$T/headers.twice"
{ echo '-----BEGIN CERTIFICATE-----'; head -c 70000 /dev/zero | tr '\0' a; echo '-----END CERTIFICATE-----'; } >"$T/ca.long"
fails_with '64 KiB|65536' 'certificates without end' "$REGFS" hook add shop/web x --url "$URL/" --ca-file "$T/ca.long"
fails_with 'Host is written by regfs' 'a header that is not ours' "$REGFS" hook add shop/web x --url "$URL/" --header-file "$T/headers.bad"
printf 'X-Ours: yes\nAuthorization: Bearer abc\n' >"$T/headers.good"
"$REGFS" hook set shop/web ci --header-file "$T/headers.good" >/dev/null
"$REGFS" hook test shop/web ci >/dev/null
until_log shop/web ci 'length == 3 and .[2].state == "done"'
is "$(header_of got x-ours /hook) $(header_of got authorization /hook)" 'yes Bearer abc' 'headers of its own'
unlike "$("$REGFS" hook log shop/web ci "$(deliveries shop/web ci .delivery | tail -n 1)")" 'Bearer abc' 'whose values are in no log'
unlike "$("$REGFS" hook show shop/web ci)" 'Bearer abc' 'nor on the screen'
for i in $(seq 64); do
	"$REGFS" hook add shop/many "h$i" --url "$URL/" >/dev/null
done
fails_with 'has 64 hooks already' 'so many of a repository' "$REGFS" hook add shop/many h65 --url "$URL/"
stop_regfs

# ---- At a server, with one's own rights ----

echo 'a password of hers' >"$T/pw"
"$REGFS" user add alice --password-file "$T/pw" >/dev/null
"$REGFS" grant alice admin 'mine/**' >/dev/null
"$REGFS" repo add mine/app >/dev/null
start_regfs --hook-allow 127.0.0.0/8 --admin-password-file "$T/pw"
unset REGFS_STORE
export HOME=$T REGFS_SERVER=http://$ADDR
fails_with 'log' 'a stranger' "$REGFS" hook list mine/app
check 'she logs in' "$REGFS" login "$REGFS_SERVER" --user alice --password-file "$T/pw"
check 'makes one of hers' "$REGFS" hook add 'mine/**' all --url "$URL/mine" --secret-file "$T/secret" --on create,push
fails_with 'no repository' 'none of others' "$REGFS" hook add shop/web hers --url "$URL/mine"
fails_with 'no repository' 'nor sees one' "$REGFS" hook show shop/web ci
fails_with 'no repository' 'nor its log' "$REGFS" hook log shop/web ci
fails_with 'denied|granted|admin' 'and no program, which runs there' "$REGFS" hook add mine/app p --program p
is "$("$REGFS" hook list --json | jq -r '[.[] | .repository + " " + .name] | join(",")')" 'mine/** all' 'the list has hers'
check 'test' "$REGFS" hook test 'mine/**' all
until_log 'mine/**' all 'length == 1 and .[0].state == "done"'
is "$(header_of got x-regfs-event /mine)" hook-test 'is told'
D=$(deliveries 'mine/**' all .delivery)
check 'retry' "$REGFS" hook retry 'mine/**' all "$D"
until_log 'mine/**' all '.[0].attempts == 2 and .[0].state == "done"'
is "$("$REGFS" hook log 'mine/**' all "$D" --json | jq -r '[.[] | "\(.status) \(.response | rtrimstr("\n"))"] | join(",")')" '200 got it,200 got it' 'the log of one'
check 'set' "$REGFS" hook set 'mine/**' all --pause
is "$("$REGFS" hook show 'mine/**' all --json | jq -r '[.paused, .secret, .who, .on] | map(tostring) | join(" ")')" \
	'true true alice create,push' 'show'
check 'rm' "$REGFS" hook rm 'mine/**' all
is "$("$REGFS" hook list --json)" '[]' 'and it is gone'
unset REGFS_SERVER
export REGFS_STORE=$STORE
is "$("$REGFS" audit --json --who alice | jq -r '.[].action | select(startswith("hook"))' | sort -u | xargs)" \
	'hook-add hook-retry hook-rm hook-set hook-test' 'the audit trail has it'
stop_regfs

# ---- A mount tells, too, until there is a server ----

if have_fuse; then
	mkdir -p "$MNT"
	mkfifo "$T/mounted"
	env --default-signal=INT,QUIT "$REGFS" mount --hook-allow 127.0.0.0/8 --ready-fd 9 "$MNT" 9>"$T/mounted" >>"$T/mount.log" 2>&1 &
	MOUNT=$!
	processes+=("$MOUNT")
	read -r -t 60 _ <"$T/mounted"
	"$REGFS" hook add shop/web tags --url "$URL/tags" --on tag >/dev/null
	ln -s "../_images/sha256/${A#sha256:}" "$MNT/shop/web/_tags/linked"
	until_log shop/web tags 'length == 1 and .[0].state == "done"'
	pass 'a tag that is made in the mount is told by it'
	# Without --hook-allow: what the server may is what counts.
	start_regfs --open
	"$REGFS" tag add "shop/web@$A" more >/dev/null
	until_log shop/web tags 'length == 2 and .[1].attempts > 0'
	like "$(deliveries shop/web tags .why | tail -n 1)" 'no public address' 'once there is a server it is that which tells'
	stop_regfs
	"$REGFS" hook retry shop/web tags "$(deliveries shop/web tags .delivery | tail -n 1)" >/dev/null 2>&1
	until_log shop/web tags '.[1].state == "done"'
	pass 'and the mount again, once there is none'
	fusermount3 -u "$MNT"
	wait_end "$MOUNT"
else
	skip 'no /dev/fuse'
fi

done_testing
