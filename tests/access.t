#!/bin/bash
# access.t: users, groups, robots, tokens, grants and visibility at the command line.

. "$(dirname "$0")/lib.sh"

export REGFS_STORE=$STORE
PW=$T/pw
echo 'a password of hers' >"$PW"

# run STATUS NAME COMMAND...: the exit status; output in $OUT, errors in $ERR.
run() {
	local want=$1 name=$2

	shift 2
	OUT=$("$REGFS" "$@" 2>"$T/err")
	is $? "$want" "$name"
	ERR=$(cat "$T/err")
}

# access WHO REPO: what `regfs access` says of them: "actions/why" by blanks.
access() {
	"$REGFS" access --json --repo "$2" --user "$1" | jq -r '[.[] | "\(.actions)/\(.why)"] | join(" ")'
}

# ---- The first start ----

start_regfs
like "$(cat "$LOG")" 'made the user admin; its password, shown this once: [^ ]{24}' 'the first start prints a password'
is "$("$REGFS" user list --json | jq -c '[.[] | [.name, .administrator]]')" '[["admin",true]]' 'of the one user there is'
stop_regfs
: >"$LOG"
start_regfs
unlike "$(cat "$LOG")" 'password' 'the second start prints none'
stop_regfs
STORE=$T/other start_regfs --admin-password-file "$PW"
unlike "$(cat "$LOG")" 'password' 'nor one that was given it'
stop_regfs
is "$("$REGFS" user list --store "$T/other" --json | jq -r '.[].name')" admin 'but the user is there'
rm -rf "$T/third"
if STORE=$T/third serve_regfs --store "$T/third" --listen 127.0.0.1:0 --admin-password-file "$T/none"; then
	fail 'a password file that is not there: refused'
	stop_regfs
else
	pass 'a password file that is not there: refused'
fi
start_regfs --open
stop_regfs

# ---- Users ----

run 0 'user add' user add alice --password-file "$PW"
is "$OUT" 'added alice' 'says so'
run 4 'a second time' user add alice --password-file "$PW"
like "$ERR" 'already' 'it is there already'
run 0 'of standard input' user add bob --password-file - <"$PW"
run 2 'a name that is none' user add Carol --password-file "$PW"
run 2 'one that stands for nobody' user add anonymous --password-file "$PW"
echo short >"$T/short"
run 2 'a short password' user add carol --password-file "$T/short"
unlike "$ERR" 'short$' 'which is not shown'
run 0 'a dry run' user add -n carol
is "$OUT" 'would have added carol' 'says so'
run 1 'and makes none' user show carol
run 0 'user passwd' user passwd alice --password-file "$PW"
run 1 'of nobody' user passwd ghost --password-file "$PW"
run 0 'user set' user set alice disabled=yes expires=1h
is "$("$REGFS" user show alice --json | jq -c '[.disabled, has("expires")]')" '[true,true]' 'it is'
run 0 'and back' user set alice disabled=no expires=never
is "$("$REGFS" user show alice --json | jq -c '[.disabled, has("expires")]')" '[false,false]' 'it is'
run 2 'a setting that is none' user set alice colour=red
run 2 'a value that is none' user set alice disabled=maybe
run 2 'an end that is none' user set alice expires=soon
is "$ERR" 'regfs: expires takes a duration such as 12h or 30d, or never, not soon' 'says what it takes'
run 2 'an end beyond all time' user set alice expires=15000w
like "$ERR" '15000w' 'is named'
run 4 'the last administrator stays' user rm admin
like "$ERR" 'last administrator' 'and why'
run 4 'for good' user set admin expires=1h
unlike "$(sqlite3 "$STORE/regfs.db" .dump)" 'a password of hers' 'no password is in the database'

# ---- Groups, robots, tokens ----

run 0 'group add' group add developers
run 0 'group set' group set @developers add=alice,bob
is "$("$REGFS" group show developers --json | jq -c .members)" '["alice","bob"]' 'its members'
run 4 'a member twice' group set developers add=alice
run 0 'one leaves' group set developers remove=alice
run 1 'who is not in it' group set developers remove=alice
run 2 'a group in a group' group set developers add=@developers
run 0 'robot add' robot add ci --scopes 'repository:shop/*:push'
secret=$(tail -n 1 <<<"$OUT")
like "$secret" '^rgs_[0-9a-f]{64}$' 'its secret'
is "$(sqlite3 "$STORE/regfs.db" .dump | grep -c "${secret#rgs_}")" 0 'is not in the database'
run 0 'robot passwd' robot passwd ci
unlike "$OUT" "$secret" 'another one'
run 2 'scopes that are none' robot add cd --scopes 'shop/*'
run 1 'make no robot without a secret' robot show cd
run 0 'a robot with scopes' robot add cd --scopes repository:shop/web:pull
run 2 'robot passwd with scopes that are none' robot passwd cd --scopes 'shop/*'
is "$("$REGFS" token list +cd --json | jq -r '.[].name')" secret 'leaves it its secret'
run 0 'robot passwd' robot passwd cd
is "$("$REGFS" token list +cd --json | jq -r '.[].scopes')" repository:shop/web:pull 'is for no more than before'
run 0 'with other scopes' robot passwd cd --scopes repository:shop/web:pull,push
is "$("$REGFS" token list +cd --json | jq -r '.[].scopes')" repository:shop/web:pull,push 'has these'
run 0 'robot rm' robot rm cd
run 0 'token add' token add alice laptop --expires 30d --json
like "$(jq -r .secret <<<"$OUT")" '^rgs_' 'its secret'
run 4 'a second time' token add alice laptop
is "$("$REGFS" token list alice --json | jq -r '.[].name')" laptop 'token list'
run 2 'a group has none' token add @developers x
run 0 'token rm' token rm alice laptop
run 1 'there is none' token rm alice laptop

# ---- Grants ----

run 0 'grant' grant alice pull,push shop/console-web
is "$(access alice shop/console-web)" 'pull,push/granted' 'access says so'
run 0 'by a role and a pattern' grant @developers maintainer 'shop/**'
is "$(access bob shop/console-web)" 'pull,push,delete/granted to @developers' 'and why'
is "$(access alice shop/other)" '' 'nothing elsewhere'
run 0 'again' grant alice pull shop/console-web
is "$(access alice shop/console-web)" 'pull/granted' 'it is that now'
run 2 'no action' grant alice fly shop/console-web
run 2 'no pattern' grant alice pull 'shop/**/x'
run 1 'to nobody' grant ghost pull shop/console-web
run 1 'a dry run to nobody' grant -n ghost pull shop/console-web
run 0 'a dry run' grant -n alice owner centos
is "$(access alice centos)" '' 'grants nothing'
run 0 'revoke' revoke alice shop/console-web
is "$(access alice shop/console-web)" '' 'nothing is left'
run 1 'a second time' revoke alice shop/console-web

cat >"$T/policy.json" <<-'X'
	{"Version":"1","Statement":[{"Effect":"Allow","Action":["cr:Get*","cr:List*","cr:PullRepository"],
	 "Resource":"acs:cr:*:*:repository/cri-1/ram/*"}]}
X
run 0 'a policy' grant --policy "$T/policy.json" alice
is "$(access alice ram/x)" 'pull/granted by policy policy.json' 'is granted, and where it is from'
for reason in Deny Condition NotAction; do
	case $reason in
	Deny) sed 's/Allow/Deny/' "$T/policy.json" ;;
	Condition) sed 's/"Effect"/"Condition":{},"Effect"/' "$T/policy.json" ;;
	NotAction) sed 's/"Action"/"NotAction"/' "$T/policy.json" ;;
	esac >"$T/bad.json"
	run 2 "one with $reason" grant --policy "$T/bad.json" bob
	like "$ERR" "$reason" 'says why'
done
is "$(access bob ram/x)" '' 'and grants nothing'

# ---- Visibility ----

run 0 'repo add' repo add shop/public --visibility public
run 0 'another' repo add shop/plain
is "$("$REGFS" repo list --json | jq -c '[.[] | [.name, .visibility]]')" '[["shop/plain","private"],["shop/public","public"]]' 'are as they should be'
is "$(access anonymous shop/public)" 'pull/it is public' 'access says so'
run 2 'a visibility that is none' repo add shop/x --visibility secret
start_regfs
catalog() {
	curl -sS "http://$ADDR/v2/_catalog" | jq -c .repositories
}
is "$(catalog)" '["shop/public"]' 'who is not logged in sees what is public'
run 0 'repo set' repo set shop/public visibility=private
is "$(catalog)" '[]' 'no longer, at once'
run 0 'repo set' repo set shop/plain visibility=public
is "$(catalog)" '["shop/plain"]' 'beside a running server'
hidden=$(curl -sS "http://$ADDR/v2/shop/public/tags/list")
absent=$(curl -sS "http://$ADDR/v2/shop/absent/tags/list")
is "$hidden" "${absent/absent/public}" 'what is hidden answers as what is absent'
stop_regfs
run 0 'repo add' repo add another/public --visibility public
is "$("$REGFS" access --user anonymous --json | jq -r '.[] | "\(.who) \(.actions) \(.pattern)"' | xargs)" \
	'anonymous pull another/public anonymous pull shop/plain' 'access of who is not logged in: all that is public'
run 0 'repo rm' repo rm another/public
run 0 'namespace set' namespace set shop visibility=public push-creates=no
is "$("$REGFS" namespace show shop --json | jq -c '[.visibility, ."push-creates"]')" '["public","no"]' 'namespace show'
run 0 'repo add' repo add shop/by-default
is "$("$REGFS" repo show shop/by-default --json | jq -r .visibility)" public 'is as its namespace says'
run 0 'the registry itself' namespace set / visibility=public
run 0 'repo add' repo add top
is "$("$REGFS" repo show top --json | jq -r .visibility)" public 'likewise'

# ---- A push that makes no repository ----

# by_token NAME REPO: the answer to an upload that is begun there, with a token for pushing to it.
by_token() {
	local token

	token=$(curl -sSf -u "$1:$(cat "$PW")" "http://$ADDR/token?scope=repository:$2:pull,push" | jq -r .token)
	curl -sS -o /dev/null -w '%{http_code}' -X POST -H "Authorization: Bearer $token" "http://$ADDR/v2/${3:-$2}/blobs/uploads/"
}

run 0 'namespace set' namespace set closed push-creates=no
run 0 'user add' user add root --administrator --password-file "$PW"
run 0 'user add' user add pusher --password-file "$PW"
run 0 'grant' grant pusher pull,push 'closed/**'
start_regfs
is "$(by_token pusher closed/new)" 403 'who may push makes none'
is "$(by_token root closed/new)" 202 'an administrator does, with a token as docker gets it'
is "$(by_token root closed/new closed/other)" 401 'whose scope is for that name'
stop_regfs

# ---- Who else reads the store ----

# modes STORE: of what the database is, while it is open.
modes() {
	stat -c %a "$1" "$1"/regfs.db* | sort | uniq -c | xargs
}

for umask in 000 022; do
	rm -rf "$T/store-$umask"
	(umask $umask && STORE=$T/store-$umask start_regfs --open && modes "$T/store-$umask" >"$T/modes" && stop_regfs >/dev/null)
	is "$(cat "$T/modes")" '4 600 1 700' "umask $umask: nobody else reads the database"
done
chmod 644 "$T/store-022"/regfs.db*
regfs repo list --store "$T/store-022" >/dev/null
is "$(stat -c %a "$T/store-022/regfs.db")" 600 'one that others could read is closed to them'

# ---- Removal ----

run 0 'user rm' user rm bob
is "$("$REGFS" group show developers --json | jq -c .members)" '[]' 'is out of its groups'
run 0 'group rm' group rm developers
run 0 'robot rm' robot rm ci
is "$("$REGFS" access --json | jq -c '[.[].who] | unique')" '["admin","alice","pusher","root"]' 'what was granted to them is gone'

done_testing
