#!/bin/bash
# audit.t: the audit trail, by the command, by HTTP and in the mount.

. "$(dirname "$0")/lib.sh"

need jq curl

export REGFS_STORE=$STORE
PW=$T/pw
echo 'a password of hers' >"$PW"

# rows [OPTION...]: "who action result repository about", a row a line.
rows() {
	"$REGFS" audit --json "$@" | jq -r '.[] | [.who, .action, .result, .repository // "-", .about // "-"] | join(" ")' | sed 's/ *$//'
}

# until_rows REGEX [OPTION...]: waits for a row that is queued in the server to be written, 20 seconds at most.
until_rows() {
	local regex=$1 end=$((SECONDS + 20))

	shift
	until rows "$@" | grep -qE -- "$regex"; do
		((SECONDS < end)) || return 1
	done
}

# ---- The command ----

exits 2 'audit of a store that is not there' "$REGFS" audit
start_regfs --admin-password-file "$PW"
is "$(rows)" 'administrator account-add ok - admin' 'the first row is the first administrator'
regfs repo add shop/web >/dev/null
regfs user add alice --password-file "$PW" >/dev/null
regfs grant alice pull 'shop/*' >/dev/null
regfs repo set shop/web visibility=public >/dev/null
regfs token add alice laptop >"$T/token"
regfs revoke alice 'shop/*' >/dev/null
regfs user set alice disabled=yes >/dev/null
is "$(rows | tail -n +2)" 'administrator create ok shop/web -
administrator account-add ok - alice
administrator grant ok - alice shop/* pull
administrator visibility ok shop/web public
administrator token-add ok - alice laptop
administrator revoke ok - alice shop/*
administrator account-set ok - alice' 'each change is a row'
exits 1 'a user who is not there' "$REGFS" user rm ghost
is "$(rows --result failed)" 'administrator account-rm failed - ghost' 'what fails is one, too'
is "$(rows -n 2)" 'administrator account-set ok - alice
administrator account-rm failed - ghost' 'the last two'
is "$(rows --repo shop/web --action visibility)" 'administrator visibility ok shop/web public' 'of a repository, and an action'
is "$(rows --who alice)" '' 'of somebody who did nothing'
is "$(rows --until 1h)" '' 'of the time before'
is "$(rows --since 1h | wc -l)" 9 'of the last hour'
is "$(rows --since 2000-01-01T00:00:00Z --until 2000-01-02T00:00:00Z)" '' 'of a day'
regfs audit -n 1 >"$T/table"
like "$(cat "$T/table")" 'TIME +WHO +FROM +ACTION +WHAT +RESULT' 'as a table'
like "$(cat "$T/table")" 'Z +administrator +command +account-rm +ghost +failed: not-found' 'with the reason'
is "$("$REGFS" audit --json | jq -r '.[0] | [.kind, .from] | join(" ")')" 'administrator serve' 'with the door'
exits 2 'a result that is none' "$REGFS" audit --result maybe
exits 2 'a time that is none' "$REGFS" audit --since yesterday
exits 2 'a number that is none' "$REGFS" audit -n 0

# ---- HTTP ----

http GET /v2/hidden/tags/list
is "$CODE" 401 'who is not logged in'
until_rows '^anonymous pull denied hidden -$'
ok $? 'is a row'
is "$("$REGFS" audit --json --repo hidden | jq -r '.[0] | [.from, .reason] | join(" ")')" '127.0.0.1 unauthorized' \
	'with the address, and the reason'
stop_regfs

# ---- Pulls ----

exits 2 'pulls are on or off' "$REGFS" serve --listen 127.0.0.1:0 --audit-pulls maybe
start_regfs --open --audit-pulls on
echo layer >"$T/blob"
BLOB=$(push_blob open/web "$T/blob")
http GET "/v2/open/web/blobs/$BLOB"
is "$CODE" 200 'a blob is pulled'
until_rows '^anyone pull ok open/web blob$' --action pull
ok $? 'which is a row where it is to be'
http GET "/v2/open/web/blobs/sha256:$(printf '%064d' 0)"
is "$CODE" 404 'one that is not there'
http DELETE "/v2/open/web/blobs/$BLOB"
is "$CODE" 202 'a blob is deleted'
is "$(rows --action delete)" 'anyone delete ok open/web blob' 'which is a row at once'
stop_regfs
start_regfs --open
http GET "/v2/open/web/tags/list"
BLOB=$(push_blob open/web "$T/blob")
http GET "/v2/open/web/blobs/$BLOB"
stop_regfs
is "$(rows --action pull --who anyone | wc -l)" 1 'and none where it is not'

# ---- The mount ----

if have_fuse; then
	mkdir -p "$MNT"
	start_regfs --mount "$MNT"
	AUDIT=$MNT/_registry/audit
	regfs audit --json | jq -c '.[]' >"$T/lines"
	check 'the file has the same lines' cmp "$T/lines" <(jq -c . "$AUDIT")
	is "$(stat -c %s "$AUDIT")" "$(wc -c <"$AUDIT")" 'its size is true'
	is "$(stat -c %A "$AUDIT")" '-r--r--r--' 'nobody writes to it'
	cp "$AUDIT" "$T/before"
	regfs repo add shop/later >/dev/null
	check 'it grows' cmp -n "$(stat -c %s "$T/before")" "$T/before" "$AUDIT"
	like "$(tail -n 1 "$AUDIT")" '"action":"create".*"repository":"shop/later"' 'at its end'
	check 'it is read in pieces' cmp <(dd if="$AUDIT" bs=97 2>/dev/null) "$AUDIT"
	check_fails 'it is not written' dd if=/dev/null of="$AUDIT" conv=notrunc
	check_fails 'nor removed' rm -f "$AUDIT"
	stop_regfs
else
	skip 'no /dev/fuse'
fi

# ---- Rotation ----

BEFORE=$(rows | wc -l)
start_regfs --audit-keep 1s --gc-interval 200ms
end=$((SECONDS + 20))
until [ "$(rows | wc -l)" -eq 0 ] || ((SECONDS >= end)); do :; done
is "$(rows | wc -l)" 0 "$BEFORE rows that are older than they are to be are removed"
regfs repo add shop/last >/dev/null
like "$(rows)" 'create ok shop/last' 'and new ones come'
stop_regfs
exits 2 'a duration that is none' "$REGFS" serve --listen 127.0.0.1:0 --audit-keep soon

done_testing
