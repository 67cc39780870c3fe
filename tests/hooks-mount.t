#!/bin/bash
# hooks-mount.t: hooks as files in the mount: _hooks/NAME is a JSON object that is made by being written, and removed by rm.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3 openssl
have_fuse || skip_all 'no /dev/fuse that can be opened here'

export REGFS_STORE=$STORE
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
start_regfs --open --hook-allow 127.0.0.0/8 --mount "$MNT"
receiver got
push_layout "$T/a" 1.0 shop/web >/dev/null
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"
H=$MNT/shop/web/_hooks

# sets FILE VALUE: in one write; what that says.
sets() {
	printf '%s' "$2" | dd of="$1" bs=128K iflag=fullblock conv=notrunc status=none 2>&1 | sed 's/.*: //'
}

# bad NAME VALUE REASON: it is EINVAL, changes nothing, and the log says why.
bad() {
	local before

	before=$(cat "$H/ci" 2>/dev/null)
	is "$(sets "$H/ci" "$2")" 'Invalid argument' "$1"
	is "$(cat "$H/ci" 2>/dev/null)" "$before" "$1: nothing is changed"
	like "$(tail -n 1 "$LOG")" "$3" "$1: the log says why"
}

# ---- Made ----

is "$(ls "$H")" '' 'there are none'
is "$(stat -c '%F %a' "$H")" 'directory 755' 'things can be made in _hooks'
is "$(sets "$H/ci" '{"url": "'"$URL"'/hook", "secret": "a secret of ours"}')" '' 'a hook is made by writing it'
is "$(ls "$H")" ci 'it is listed'
is "$(jq -c . "$H/ci")" '{"on":["push"],"url":"'"$URL"'/hook","format":"regfs","secret":true,"parallel":false,"paused":false}' \
	'and read, with what new ones have; its secret is shown to nobody'
is "$(stat -c '%F %a %s' "$H/ci")" "regular file 644 $(wc -c <"$H/ci")" 'its size is that'
is "$("$REGFS" hook list --json | jq -r '.[] | "\(.repository) \(.name) \(.on)"')" 'shop/web ci push' 'the command knows it'
push_tag shop/web 2.0
until_told got 1
is "$(header_of got x-hub-signature-256)" "sha256=$(told got | jq -rj .body | hmac 'a secret of ours')" 'it is told, and signed'

# ---- Changed ----

cp "$H/ci" "$T/ci"
check 'what was read can be written' cp "$T/ci" "$H/ci"
is "$(cat "$H/ci")" "$(cat "$T/ci")" 'and changes nothing'
jq '.on = ["push", "untag"] | .tags = "v*" | .headers = ["X-Team: shop", "Authorization: Bearer of"]' "$T/ci" >"$H/ci"
is "$(jq -c '[.on, .tags, .headers, .secret]' "$H/ci")" '[["push","untag"],"v*",["X-Team:","Authorization:"],true]' \
	'events, rules and headers; the values of these are shown to nobody'
unlike "$("$REGFS" hook show shop/web ci --json; "$REGFS" hook show shop/web ci; "$REGFS" hook list --json)" 'Bearer|a secret' 'nor by the command'
jq '.headers += ["X-More: yes"]' "$H/ci" >"$T/ci" && cp "$T/ci" "$H/ci"
push_tag shop/web v1
until_told got 2
is "$(header_of got authorization) $(header_of got x-team) $(header_of got x-more)" 'Bearer of shop yes' 'a header without a value keeps the one it has'
is "$(header_of got x-hub-signature-256)" "sha256=$(told got | tail -n 1 | jq -rj .body | hmac 'a secret of ours')" 'and "secret": true the secret'
jq '.secret = "another secret"' "$T/ci" >"$H/ci"
is "$(jq -c '[.secret, .["old-secret"]]' "$H/ci")" '[true,true]' 'another secret takes its place beside it'
jq . "$H/ci" >"$T/both" && cp "$T/both" "$H/ci"
is "$(jq -c '[.secret, .["old-secret"]]' "$H/ci")" '[true,true]' 'both stay while they are written'
jq 'del(.["old-secret"])' "$T/both" >"$H/ci"
is "$(jq -c '[.secret, .["old-secret"]]' "$H/ci")" '[true,null]' 'and go when they are not'
jq '.paused = true' "$T/ci" >"$H/ci"
like "$("$REGFS" hook list shop/web)" 'ci .*paused' 'paused'
is "$(sets "$H/ci" '{"url": "'"$URL"'/gone?status=410", "on": ["push"]}')" '' 'written anew'
is "$(jq -c 'keys' "$H/ci")" '["format","on","parallel","paused","url"]' 'what is not said is not kept'
push_tag shop/web v2
until_log shop/web ci '.[-1].state == "failed"'
is "$(jq -r .disabled "$H/ci")" 'its receiver answered 410' 'a hook that was disabled says why'
cp "$H/ci" "$T/disabled" && cp "$T/disabled" "$H/ci"
is "$(jq -r .disabled "$H/ci")" 'its receiver answered 410' 'it stays so where that is written back'
jq 'del(.disabled)' "$T/disabled" >"$H/ci"
is "$(jq -r .disabled "$H/ci")" null 'and goes on where it is not'

# ---- Refused ----

bad 'no JSON' 'push to me' 'file, line 1, column 4: invalid token$'
bad 'half of one' '{"url": "http://192.0.2.1/"' 'line 1, column 27: .}. expected$'
bad 'no object' '["push"]' 'a hook is a JSON object'
bad 'a member that there is not' '{"url": "http://192.0.2.1/", "event": "push"}' 'no member "event": they are on, tags, url, program, format'
bad 'a member twice' '{"url": "http://192.0.2.1/", "url": "http://192.0.2.2/"}' 'duplicate'
bad 'a secret that is no string' '{"url": "http://192.0.2.1/", "secret": sesame}' 'invalid token$'
bad 'an event that there is not' '{"url": "http://192.0.2.1/", "on": ["pushed"]}' 'no events "pushed"'
bad 'events as a text' '{"url": "http://192.0.2.1/", "on": "push"}' '"on" of a hook is an array'
bad 'no URL' '{"on": ["push"]}' 'a hook has a URL or a program'
bad 'a URL that is none' '{"url": "ftp://192.0.2.1/"}' 'is no URL to post to'
bad 'a format that there is not' '{"url": "http://192.0.2.1/", "format": "xml"}' 'is no format'
bad 'a secret that is too short' '{"url": "http://192.0.2.1/", "secret": "short"}' 'a secret is one line'
bad 'a secret to keep where there is none' '{"url": "http://192.0.2.1/", "secret": true}' 'no secret that could be kept'
bad 'a header to keep where there is none' '{"url": "http://192.0.2.1/", "headers": ["X-Other:"]}' 'X-Other has no value yet'
bad 'a number for a flag' '{"url": "http://192.0.2.1/", "paused": 1}' 'true or false'
bad 'more than a file holds' "{\"url\": \"http://192.0.2.1/\"$(printf '%65536s' '')}" '65536 bytes at most'
unlike "$(cat "$LOG")" 'a secret of ours|another secret|Bearer' 'nothing secret is in the log'
is "$(sets "$H/.ci.swp" '{}')" 'Invalid argument' 'a name that no hook can have'
check_fails 'a hook is not renamed' mv "$H/ci" "$H/other"
check_fails 'nor a directory' mkdir "$H/dir"
check_fails 'nor a link' ln -s ci "$H/other"

# ---- Removed ----

: >"$H/touched"
check_fails 'a file that was not written to is no hook' test -e "$H/touched"
exec 7>"$H/first" 8>"$H/second"
printf '{"url": "http://192.0.2.1/"}' >&8
printf '{"url": "http://192.0.2.2/"}' >&7
is "$(jq -r .url "$H/first" "$H/second" | xargs)" 'http://192.0.2.2/ http://192.0.2.1/' 'each is written by whoever made it'
exec 7>&- 8>&-
rm "$H/first" "$H/second" "$H/ci" || fail 'rm'
is "$(ls "$H")$("$REGFS" hook list --json | jq -c .)" '[]' 'rm removes hooks'
is "$(LC_ALL=C rm "$H/ci" 2>&1 | sed 's/.*: //')" 'No such file or directory' 'once'

# ---- Of a namespace and of the registry ----

is "$(sets "$MNT/shop/_hooks/wide" '{"url": "'"$URL"'/wide"}')$(sets "$MNT/_registry/hooks/all" '{"url": "'"$URL"'/all", "on": ["all"]}')" '' \
	'a namespace and the registry have hooks'
is "$("$REGFS" hook list --json | jq -r '.[] | "\(.repository) \(.name)"')" '** all
shop/** wide' 'for all below it, and for all'
push_tag shop/web v3
until_log 'shop/**' wide 'any(.state == "done")'
is "$(told got /wide | jq -r .body | jq -r .event.tag)" v3 'it is told'
is "$(ls "$MNT/shop/_hooks" "$MNT/_registry/hooks" "$H" | grep -v : | xargs)" 'all wide' 'each stands where it belongs'
rm "$MNT/shop/_hooks/wide" "$MNT/_registry/hooks/all" || fail 'rm'

# ---- Whose ----

echo 'a password of theirs' >"$T/pw"
"$REGFS" user add alice --password-file "$T/pw" >/dev/null
"$REGFS" grant alice maintainer shop/web >/dev/null
"$REGFS" grant alice pull,push shop/other >/dev/null
push_layout "$T/a" 1.0 shop/other >/dev/null
sets "$MNT/shop/other/_hooks/theirs" '{"url": "http://192.0.2.1/"}'
sets "$H/ours" '{"url": "http://192.0.2.1/"}'
stop_regfs
fifo=$T/mounted
mkfifo "$fifo"
mkdir -p "$T/alice"
"$REGFS" mount --ready-fd 9 -o as=alice "$T/alice" 9>"$fifo" >>"$LOG" 2>&1 </dev/null &
processes+=($!)
read -r -t 60 ready <"$fifo" && [ "$ready" = READY ] || bail "no mount: $(tail -n 3 "$LOG")"
check_fails 'who may not administer sees none' test -e "$T/alice/shop/web/_hooks"
"$REGFS" grant alice pull,push,delete,admin shop/web >/dev/null
is "$(jq -r .url "$T/alice/shop/web/_hooks/ours")" 'http://192.0.2.1/' 'who may administer the repository sees its hooks'
is "$(sets "$T/alice/shop/web/_hooks/mine" '{"url": "http://192.0.2.3/"}')" '' 'and makes one'
is "$(sets "$T/alice/shop/web/_hooks/mine" '{"program": "notify"}')" 'Permission denied' 'but none that runs a program'
is "$("$REGFS" hook show shop/web mine --json | jq -r '.who + " " + .url')" 'alice http://192.0.2.3/' 'hers'
for f in shop/other/_hooks shop/other/_hooks/theirs shop/_hooks _registry/hooks _registry; do
	is "$(LC_ALL=C stat "$T/alice/$f" 2>&1 | sed 's/.*: //')$(LC_ALL=C cat "$T/alice/$f" 2>&1 | sed 's/.*: //')" \
		'No such file or directoryNo such file or directory' "nothing of $f"
done
exec 7<"$T/alice/shop/web/_hooks/ours" 8>"$T/alice/shop/web/_hooks/fresh"
"$REGFS" grant alice pull shop/web >/dev/null
is "$(sets "$T/alice/shop/web/_hooks/mine" '{"url": "http://192.0.2.4/"}')" 'No such file or directory' 'who lost the right has nothing to write to'
check_fails 'nor through a file that is open' bash -c 'printf "{\"url\": \"http://192.0.2.4/\"}" >&8'
exec 7<&- 8>&-
is "$("$REGFS" hook list shop/web --json | jq -r '.[].name' | xargs)" 'mine ours' 'and nothing was made'

done_testing
