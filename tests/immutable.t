#!/bin/bash
#
# Tags that never move: by rules of the repository or of a namespace above it; at every door.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3
mount=()
if have_fuse; then
	mkdir -p "$MNT" "$T/alice"
	mount=(--mount "$MNT")
fi
start_regfs --open --gc-interval 0 "${mount[@]}"
export REGFS_STORE=$STORE

TYPE=application/vnd.oci.image.manifest.v1+json

# put N REFERENCE[?tag=...]: the answer's status in $CODE.
put() {
	http PUT "/v2/shop/web/manifests/$2" -H "Content-Type: $TYPE" --data-binary @"$T/image-$1"
}

# names TAG: which image.
names() {
	http HEAD "/v2/shop/web/manifests/$1" -H "Accept: $TYPE"
	case $(header docker-content-digest) in
	"${D[1]}") echo 1 ;;
	"${D[2]}") echo 2 ;;
	*) echo "$CODE" ;;
	esac
}

for i in 1 2; do
	small_image shop/web $i || bail "no image $i"
	D[i]=$(digest_of "$T/image-$i")
	put $i "${D[i]}"
done
put 1 v1
put 1 latest
put 1 nightly-1

# ---- A rule ----

check 'rules are set' regfs repo set shop/web 'immutable=v* /nightly-[0-9]+/ !latest'
is "$(regfs repo show shop/web --json | jq -r .immutable)" 'v* /nightly-[0-9]+/ !latest' 'and shown'
like "$(regfs repo show shop/web)" $'immutable   v\*' 'to people, too'
put 2 v1
is "$CODE $(jq -r '.errors[0].code' "$T/body")" '403 DENIED' 'a push that would move the tag is denied'
says 'tag v1 of shop/web is immutable (rule v*): use another tag' 'it says by which rule'
put 2 nightly-1
says 'tag nightly-1 of shop/web is immutable (rule /nightly-[0-9]+/)' 'an expression'
put 1 v1
is "$CODE" 201 'the same image again is taken'
put 2 v2
is "$CODE $(names v2)" '201 2' 'a new tag is made'
put 2 latest
is "$CODE $(names latest)" '201 2' 'an exception moves'
put 2 nightly-1x
is "$CODE" 201 'what no rule matches is free'
before=$(sqlite3 "$STORE/regfs.db" 'SELECT COUNT(*) FROM repository_blob; SELECT COUNT(*) FROM manifest; SELECT MAX(number) FROM event')
small_image shop/other 3 || bail 'no image 3'
before=$(sqlite3 "$STORE/regfs.db" 'SELECT COUNT(*) FROM repository_blob; SELECT COUNT(*) FROM manifest; SELECT MAX(number) FROM event')
put 3 v1
says 'is immutable' 'it is said before what is missing'
put 3 "$(digest_of "$T/image-3")?tag=free&tag=v1"
is "$CODE" 403 'one of several tags is enough'
put 1 "${D[1]}?tag=v1&tag=v2"
is "$CODE $(names v1) $(names v2)" '403 1 2' 'none of them moves'
is "$(sqlite3 "$STORE/regfs.db" 'SELECT COUNT(*) FROM repository_blob; SELECT COUNT(*) FROM manifest; SELECT MAX(number) FROM event')" \
	"$before" 'nothing was written'
if command -v skopeo >/dev/null; then
	make_image "$T/layout" hello hello >/dev/null
	fails_with 'immutable' 'skopeo shows the reason' skopeo copy --insecure-policy --dest-tls-verify=false "oci:$T/layout:hello" \
		"docker://$ADDR/shop/web:v1"
fi

# ---- The command ----

fails_with 'tag v1 of shop/web is immutable \(rule v\*\)' 'tag add' regfs tag add "shop/web@${D[2]}" v1
fails_with 'tag v1 of shop/web is immutable \(rule v\*\)' 'what it would do' regfs tag add -n "shop/web@${D[2]}" v1
check 'of the same image' regfs tag add "shop/web@${D[1]}" v1
put 2 once
check 'two images' regfs tag add "shop/web@${D[1]}" once
check 'and a rule after that' regfs repo set shop/web 'immutable=*'
fails_with 'immutable' 'rollback' regfs rollback shop/web:once
fails_with 'immutable' 'a dry run' regfs rollback -n shop/web:once
check 'to what it is' regfs rollback shop/web:once --to 2
is "$(names once)" 1 'it has not moved'

# ---- The mount: alice may push and delete, and not administer ----

printf 'a password of hers\n' >"$T/password"
check 'alice' regfs user add alice --password-file "$T/password"
check 'may push and delete' regfs grant alice pull,push,delete shop/web
DENIED='Permission denied'
if have_fuse; then
	mkfifo "$T/mounted"
	mount_alice() {
		"$REGFS" mount --ready-fd 9 -o as=alice "$T/alice" 9>"$T/mounted" >>"$LOG" 2>&1 </dev/null &
		processes+=($!)
		read -r -t 60 ready <"$T/mounted" && [ "$ready" = READY ] || bail "no mount as alice: $(tail -n 3 "$LOG")"
	}
	mount_alice
	tags=$T/alice/shop/web/_tags
	fails_with "$DENIED" 'ln -sfn' ln -sfn "../_images/${D[2]/://}" "$tags/v1"
	check 'to the same image' ln -sfn "../_images/${D[1]/://}" "$tags/v1"
	fails_with "$DENIED" 'ln -sfn by the administrator' ln -sfn "../_images/${D[2]/://}" "$MNT/shop/web/_tags/v1"
	fails_with "$DENIED" 'mv over it' mv -T "$tags/v2" "$tags/v1"
	fails_with "$DENIED" 'mv of it' mv -T "$tags/v1" "$tags/v3"
	fails_with "$DENIED" 'rm' rm "$tags/v1"
	is "$(names v1) $(names v2) $(names v3)" '1 2 404' 'nothing has moved'
	# One entry for each attempt, alike or not: ln's way is a link of another name that is moved over it.
	check 'the mount ends' fusermount3 -u "$T/alice"
	wait "${processes[-1]}"
	check 'what was tried is in the audit trail' bash -c "'$REGFS' audit --who alice --result denied --json | jq -e '
		[.[] | select(.repository == \"shop/web\" and .action == \"tag\") | .tag] | contains([\"v1\", \"v3\"])'"
	mount_alice
	check_fails 'she has no say in the rules' stat "$T/alice/shop/web/_settings"
	settings=$MNT/shop/web/_settings/immutable
	is "$(cat "$settings")" '*' 'the rules are a file'
	check 'that is written' bash -c "echo 'v*' >'$settings'"
	is "$(regfs repo show shop/web --json | jq -r .immutable)" 'v*' 'and hold'
	check 'what no rule matches is hers' rm "$tags/once"
	for bad in '' ' ' '/a' '/a{2}/' '[a]' 'a,b' $'a\tb'; do
		is "$( (printf '%s\n' "$bad" >"$settings") 2>&1 | sed 's/.*: //')" 'Invalid argument' "'$bad' are no rules"
	done
	is "$(cat "$settings")" 'v*' 'they stay as they were'
	check 'by the administrator' rm "$MNT/shop/web/_tags/v2"
	is "$(names v2)" 404 'it can be removed'
else
	regfs repo set shop/web 'immutable=v*' >/dev/null
fi
check 'by the command' regfs tag rm shop/web:v1
put 2 v1
is "$CODE $(names v1)" '201 2' 'and made anew'
put 1 v1
is "$CODE" 403 'to be immutable again'
fails_with 'no rule for tags: write it out|no rule for tags: \{' 'what is no rule' regfs repo set shop/web 'immutable=/a{1,9}/'
fails_with 'is rules such as' 'nor nothing' regfs repo set shop/web immutable=
fails_with '"!latest" only says what is free.*write \* before it' 'nor what protects nothing' regfs repo set shop/web 'immutable=!latest'

# ---- Namespaces ----

check 'of a namespace' regfs namespace set shop 'immutable=n*'
check 'of the registry' regfs namespace set / 'immutable=1.*'
put 1 1.0
put 2 1.0
is "$CODE" 201 'a repository with rules of its own has only these'
check 'it has none of its own any more' regfs repo set shop/web immutable=inherit
put 1 v1
is "$CODE" 201 'its own are gone'
put 1 nightly-1x
says 'immutable (rule n*)' 'those of the nearest namespace hold'
put 1 1.0
is "$CODE" 201 'and no others'
check 'the namespace has none' regfs namespace set shop immutable=inherit
put 2 1.0
says 'immutable (rule 1.*)' 'then the registry'\''s do'
check 'nothing is immutable here' regfs repo set shop/web immutable=none
put 2 1.0
is "$CODE" 201 'whatever is said above'
is "$(regfs namespace show / --json | jq -c '[.immutable, ."history-keep"]')" '["1.*",10]' 'namespace show'
is "$(regfs namespace show shop --json | jq -c '[.immutable, ."history-keep"]')" '["inherit",null]' 'of one'
check 'a dry run' regfs namespace set -n / immutable=x
is "$(regfs namespace show / --json | jq -r .immutable)" '1.*' 'changes nothing'
is "$(sqlite3 "$STORE/regfs.db" "SELECT repository || '|' || about FROM event WHERE kind = 'setting' ORDER BY number DESC LIMIT 3" | xargs)" \
	'shop/web|immutable=none |shop immutable=inherit shop/web|immutable=inherit' 'each change is an event'

# A repository that goes takes its rules with it; what is called so next has none.
check 'a rule' regfs repo set shop/web 'immutable=*'
regfs repo rm shop/web >/dev/null
small_image shop/web 1
D[1]=$(digest_of "$T/image-1")
put 1 t
small_image shop/web 2
D[2]=$(digest_of "$T/image-2")
put 2 t
is "$CODE" 201 'a repository that is made anew has no rules of the old one'
stop_regfs
done_testing
