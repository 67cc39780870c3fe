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
check 'the time is that of the attempt' test $(($(date +%s) - STAMP)) -lt 60
like "$("$REGFS" hook log shop/web ci)" 'push shop/web:1.0 +done +1 .* 200' 'the log has it'
DELIVERY=$("$REGFS" hook log shop/web ci --json | jq '.[0].delivery')
like "$("$REGFS" hook log shop/web ci "$DELIVERY")" 'X-Regfs-Event: push.*got it' 'with request and response'

done_testing
