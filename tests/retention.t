#!/bin/bash
#
# Retention: rules of a repository or a namespace, tags that end, when images were pulled, what goes with a tag and what stays.
# The rules themselves are in tests/unit/retention.table.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3
mount=()
if have_fuse; then
	mkdir -p "$MNT"
	mount=(--mount "$MNT")
fi
start_regfs --open --gc-interval 0 --prune-interval 0 "${mount[@]}"
export REGFS_STORE=$STORE

TYPE=application/vnd.oci.image.manifest.v1+json
INDEX=application/vnd.oci.image.index.v1+json

# make N [CONFIG]: an image of its own in $T/image-N, its digest in ${D[N]}, with its blobs in the repository.
make() {
	small_image shop/web "$@" || return
	D[$1]=$(digest_of "$T/image-$1")
}

# put FILE REFERENCE [TYPE]
put() {
	http PUT "/v2/shop/web/manifests/$2" -H "Content-Type: ${3:-$TYPE}" --data-binary @"$T/$1"
}

entry_of() {
	printf '{"mediaType":"%s","digest":"%s","size":%d}' "${2:-$TYPE}" "$(digest_of "$T/$1")" "$(stat -c %s "$T/$1")"
}

tags() {
	curl -sf "http://$ADDR/v2/shop/web/tags/list" | jq -r '.tags // [] | join(" ")'
}

# has N: whether the image is there, without a pull by its tag.
has() {
	sqlite3 "$STORE/regfs.db" "SELECT COUNT(*) FROM manifest m JOIN blob b ON b.id = m.blob_id WHERE lower(hex(substr(b.digest, 2))) = '${1#sha256:}'"
}

why() {
	regfs prune -n --json shop/web | jq -r --arg tag "$1" '.tags[] | select(.tag == $tag) | (if .kept then "kept" else "removed" end) + ": " + .why'
}

for i in 1 2 3 4 5 6; do
	make $i || bail "no image $i"
done
for i in 1 2 3; do
	put image-$i "t$i"
done
is "$CODE" 201 'images are pushed'

# ---- No rules, and what are none ----

like "$(regfs prune shop/web)" 'shop/web:t1 kept: there are no rules' 'without rules all stay'
is "$(tags)" 't1 t2 t3' 'all'
fails_with 'line 1 of the retention rules: "everything" can.t stand here' 'what is no rule' regfs repo set shop/web 'retention=keep everything'
fails_with 'is rules such as' 'nor nothing' regfs repo set shop/web retention=

# ---- Rules ----

check 'rules are set' regfs repo set shop/web 'retention=keep last 1; keep matching t1'
is "$(regfs repo show shop/web --json | jq -r .retention)" 'keep last 1; keep matching t1' 'and shown'
like "$(regfs prune -n shop/web)" 'would remove 1 tags, and up to 1 images' 'a dry run'
is "$(why t3) | $(why t2)" 'kept: last 1 | removed: no rule keeps it' 'says why'
is "$(tags)" 't1 t2 t3' 'and removes nothing'
check 'an immutable tag' regfs repo set shop/web 'immutable=t2'
is "$(why t2)" 'kept: t2 is immutable' 'stays'
check 'it is immutable no more' regfs repo set shop/web 'immutable=none'
OUT=$(regfs prune shop/web)
like "$OUT" 'shop/web:t2 removed: no rule keeps it' 'prune'
like "$OUT" 'removed 1 tags, and 1 images' 'its sum'
is "$(tags)" 't1 t3' 'the tag is gone'
is "$(has "${D[2]}")" 0 'and its image'
is "$(sqlite3 "$STORE/regfs.db" "SELECT kind FROM event WHERE repository = 'shop/web' ORDER BY number DESC LIMIT 3" | xargs)" 'prune delete untag' \
	'each is an event'
is "$(sqlite3 "$STORE/regfs.db" "SELECT about FROM event WHERE kind = 'prune'")" '1 tags, 1 images' 'that counts'
is "$(sqlite3 "$STORE/regfs.db" "SELECT action FROM audit WHERE repository = 'shop/web' ORDER BY number DESC LIMIT 3" | xargs)" 'prune delete untag' \
	'and a row of the audit trail'
like "$(regfs history shop/web:t2)" removed 'the history knows'

# ---- Namespaces; the mount ----

check 'inherited' regfs repo set shop/web retention=inherit
is "$(why t1)" 'kept: there are no rules' 'it has none'
check 'a namespace has rules' regfs namespace set shop $'retention=keep matching t3\n# the newest'
is "$(why t1) | $(why t3)" 'removed: no rule keeps it | kept: matches t3' 'they hold below'
is "$(regfs namespace show shop --json | jq -r .retention)" $'keep matching t3\n# the newest' 'namespace show'
if have_fuse; then
	is "$(cat "$MNT/shop/_settings/retention")" $'keep matching t3\n# the newest' 'they are a file'
	is "$(cat "$MNT/shop/web/_settings/retention")" inherit 'a repository inherits'
	printf 'keep last 9\nkeep newer 3d # three\n' >"$T/rules"
	check 'several lines are written' cp "$T/rules" "$MNT/shop/web/_settings/retention"
	is "$(cat "$MNT/shop/web/_settings/retention")" "$(cat "$T/rules")" 'and read'
	is "$( (echo 'keep nothing' >"$MNT/shop/web/_settings/retention") 2>&1 | sed 's/.*: //')" 'Invalid argument' 'what is no rule'
	printf '# %4092s\nk' '' >"$T/rules"
	check_fails 'more than 4096 bytes' cp "$T/rules" "$MNT/shop/web/_settings/retention"
	is "$(regfs repo show shop/web --json | jq -r .retention)" $'keep last 9\nkeep newer 3d # three' 'they stay as they were'
fi
check 'none here' regfs repo set shop/web retention=none
is "$(why t1)" 'kept: there are no rules' 'whatever is said above'

# ---- Pulls: written within a minute; by prune at once, where it runs in the server ----

stop_regfs
start_regfs --open --gc-interval 0 --prune-interval 0 "${mount[@]}"
curl -sf -o /dev/null -H "Accept: $TYPE" "http://$ADDR/v2/shop/web/manifests/t1"
check 'by when it was pulled' regfs repo set shop/web 'retention=keep pulled 1d'
stop_regfs
start_regfs --open --gc-interval 0 --prune-interval 0 "${mount[@]}"
like "$(why t1)" '^kept: pulled [0-9]+ seconds? ago$' 'a pull is kept over a restart'
is "$(why t3)" 'removed: no rule keeps it' 'what nobody pulled goes'
like "$(regfs image show shop/web:t1 --json | jq -r .pulled)" '^20' 'image show'
like "$(regfs tag list shop/web --json | jq -r '.[0].pulled')" '^20' 'tag list'
if have_fuse; then
	like "$(cat "$MNT/shop/web/_tags/t1/pulled")" '^20' 'in the mount'
	check_fails 'not of what was never pulled' test -e "$MNT/shop/web/_tags/t3/pulled"
fi
sqlite3 "$STORE/regfs.db" 'UPDATE manifest SET pulled = pulled - 259200000000000 WHERE pulled > 0'
check 'longer' regfs repo set shop/web 'retention=keep pulled 1w'
is "$(why t1)" 'kept: pulled 3 days ago' 'it says when'
check 'a clock that is put back' sqlite3 "$STORE/regfs.db" 'UPDATE manifest SET pulled = pulled + 864000000000000 WHERE pulled > 0'
check 'shorter' regfs repo set shop/web 'retention=keep pulled 1s'
like "$(why t1)" '^kept' 'keeps more'

# ---- What else needs an image ----

check 'only one tag is kept' regfs repo set shop/web 'retention=keep matching keep*'
printf '{"schemaVersion":2,"mediaType":"%s","manifests":[%s,%s]}' "$INDEX" "$(entry_of image-4)" "$(entry_of image-5)" >"$T/index"
put image-4 t4
put image-5 "${D[5]}"
put index keep-index "$INDEX"
is "$CODE" 201 'an index'
oci_manifest signature config-6 layer-6
jq -c --argjson s "$(entry_of index "$INDEX")" '. + {subject: $s, artifactType: "application/x.signature"}' "$T/signature" >"$T/signed"
put signed "$(digest_of "$T/signed")"
is "$CODE" 201 'a referrer of it'
put image-6 "${D[6]/:/-}.sig"
put image-6 "sha256-$(digest_of "$T/index" | cut -d: -f2).sig"
is "$(why "sha256-$(digest_of "$T/index" | cut -d: -f2).sig")" 'kept: belongs to keep-index' 'a signature by its tag stays with its image'
put image-6 keep-6
check 'prune' regfs prune shop/web
is "$(tags)" "$(printf '%s\n' keep-6 keep-index "${D[6]/:/-}.sig" "sha256-$(digest_of "$T/index" | cut -d: -f2).sig" | LC_ALL=C sort | xargs)" 'the tags that are kept'
is "$(has "${D[4]}") $(has "${D[5]}") $(has "$(digest_of "$T/signed")")" '1 1 1' 'children and referrers of what is kept stay'
is "$(has "${D[1]}") $(has "${D[3]}")" '0 0' 'what nothing needs is gone'
check 'none is kept' regfs repo set shop/web 'retention=keep last 0'
sqlite3 "$STORE/regfs.db" 'UPDATE manifest SET untagged = 1 WHERE untagged > 0'
check 'prune' regfs prune shop/web
is "$(has "${D[4]}") $(has "${D[5]}") $(has "$(digest_of "$T/signed")")" '0 0 0' 'they go with the index'

# ---- Tags that end ----

for i in 1 2 3; do
	make $i || bail "no image $i"
	put image-$i "t$i"
done
make 7 '{"config":{"Labels":{"regfs.expires":"14d"}}}'
put image-7 label
check 'no rules' regfs repo set shop/web retention=none
end=$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "label").expires')
is "$(date -u -d "$end - 14 days" +%F)" "$(date -u +%F)" 'the label regfs.expires'
make 8 '{"config":{"Labels":{"regfs.expires":"soon"}}}'
put image-8 soon
like "$CODE $(header warning)" '^201 299 .*regfs.expires is passed over' 'one that is no time is said so'
is "$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "soon").expires')" null 'and passed over'
if have_fuse; then
	put image-7 before
	check 'of a tag' regfs tag set shop/web:before expires=never
	check 'that is renamed' mv -T "$MNT/shop/web/_tags/before" "$MNT/shop/web/_tags/behind"
	is "$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "behind").expires')" null 'goes with it, whatever the label says'
	regfs tag rm shop/web:behind >/dev/null
fi
check 'of one tag' regfs tag set shop/web:t1 expires=1ms
check 'never' regfs tag set shop/web:label expires=never
is "$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "label").expires')" null 'whatever the label says'
put image-7 label
is "$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "label").expires')" null 'pushed again, too'
check 'moved' regfs tag add "shop/web@${D[7]}" t2
like "$(regfs tag list shop/web --json | jq -r '.[] | select(.tag == "t2").expires')" '^20' 'a tag that is moved ends as the label says'
fails_with 'expires is a duration such as 14d' 'what is no time' regfs tag set shop/web:t1 expires=tomorrow
fails_with 'has no tag' 'no tag' regfs tag set shop/web:none expires=1d
fails_with 'has no tag' 'a dry run' regfs tag set -n shop/web:none expires=1d
like "$(why t1)" '^removed: expired [0-9]+ seconds? ago \(regfs tag set\)$' 'expired'
check 'a time' regfs tag set shop/web:t3 expires=2020-01-01T00:00:00Z
check 'immutable' regfs repo set shop/web immutable=t3
check 'prune' regfs prune
is "$(tags)" 'label soon t2 t3' 'what expired is removed, without rules; what is immutable is not'
is "$(sqlite3 "$STORE/regfs.db" "SELECT about FROM event WHERE kind = 'expire' AND tag = 't3'")" 2020-01-01T00:00:00Z 'an event'

# ---- What was pruned comes back ----

state() {
	regfs tag list shop/web --json | jq -c 'map([.tag, .digest, .expires]) | sort'
	regfs image list shop/web --json | jq -c 'map(.digest) | sort'
}
state >"$T/before"
check 'rules' regfs repo set shop/web 'retention=keep matching label'
event=$(sqlite3 "$STORE/regfs.db" "SELECT value FROM counter WHERE name = 'event'")
check 'prune' regfs prune shop/web
is "$(tags)" 'label t3' 'tags are removed'
check 'undo' regfs undo --since "$((event + 1))"
is "$(state | diff "$T/before" -)" '' 'tags, their ends and images are as they were'
check 'no rules' regfs repo set shop/web retention=none

# Where it stood among the moves, too, in whatever order things come and go.
for i in 1 2 3; do
	put image-1 "r$i"
done
for i in 2 1 3; do
	regfs tag rm shop/web:r$i >/dev/null
done
check 'undo' regfs undo --since "$(($(sqlite3 "$STORE/regfs.db" "SELECT value FROM counter WHERE name = 'event'") - 2))"
check 'rules' regfs repo set shop/web 'retention=keep last 2 matching r*'
is "$(for i in 1 2 3; do why r$i; done | cut -d: -f1 | xargs)" 'removed kept kept' 'what came back is as old as it was'
for i in 1 2 3; do
	regfs tag rm shop/web:r$i >/dev/null
done
check 'no rules' regfs repo set shop/web retention=none

# ---- At a server, with one's own rights; by the clock ----

unset REGFS_STORE
stop_regfs
start_regfs --gc-interval 0 --prune-interval 0
fails_with 'needs a login' 'a stranger' "$REGFS" prune --server "http://$ADDR" shop/web
export REGFS_STORE=$STORE
printf 'a password of hers\n' >"$T/password"
check 'alice' regfs user add alice --password-file "$T/password"
check 'may delete' regfs grant alice pull,push,delete shop/web
check 'logs in' env -u REGFS_STORE HOME="$T" "$REGFS" login --user alice --password-file "$T/password" "http://$ADDR"
check 'rules' regfs repo set shop/web $'retention=keep matching label\nkeep matching t*'
OUT=$(env -u REGFS_STORE HOME="$T" "$REGFS" prune --server "http://$ADDR" shop/web)
like "$OUT" 'shop/web:soon removed: no rule keeps it' 'she prunes'
is "$(regfs tag list shop/web --json | jq -r 'map(.tag) | join(" ")')" 'label t2 t3' 'and it is done'
tag_set() {
	env -u REGFS_STORE HOME="$T" "$REGFS" tag set --server "http://$ADDR" "$@"
}
check 'without the right to delete' regfs grant alice pull,push shop/web
fails_with 'deleting from shop/web is not granted' 'no end for a tag' tag_set shop/web:t2 expires=1ms
fails_with 'deleting from shop/web is not granted' 'nor in a dry run' tag_set -n shop/web:t2 expires=1ms
check 'but none' tag_set shop/web:t2 expires=never
check 'with it' regfs grant alice pull,push,delete shop/web
check 'tag set' tag_set shop/web:t2 expires=1ms
fails_with 'denied|granted' 'not the whole registry' env -u REGFS_STORE HOME="$T" "$REGFS" prune --server "http://$ADDR"
stop_regfs
event=$(sqlite3 "$STORE/regfs.db" "SELECT value FROM counter WHERE name = 'event'")
start_regfs --open --gc-interval 0 --prune-interval 100ms
check 'a tag goes by itself' regfs watch -q --since "$event" --event untag --once -t 30
is "$(tags)" 'label t3' 'the server prunes by the clock'
is "$(sqlite3 "$STORE/regfs.db" "SELECT origin FROM event WHERE kind = 'untag' ORDER BY number DESC LIMIT 1")" schedule 'as itself'
stop_regfs
done_testing
