#!/bin/bash
# hooks-formats.t: what receivers of each format get, of each kind of event that it can tell of, checked by tests/hook-shapes.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/hooks.sh"

need jq curl python3

export REGFS_STORE=$STORE
make_image "$T/a" 1.0 one >"$T/made" || bail 'no image'
start_regfs --open --hook-allow 127.0.0.0/8
receiver got
A=$(layout_digest "$T/a" 1.0)
cp "$T/a/blobs/sha256/${A#sha256:}" "$T/manifest"

declare -A can=([regfs]=all,pull [cloudevents]=all [cloudevents-binary]=all [acr]=push,tag,rollback
	[docker]=push,tag,rollback,untag,delete,prune,expire,remove,pull)
printf 'X-Team: shop\nAuthorization: Bearer of\n' >"$T/headers"
for f in "${!can[@]}"; do
	"$REGFS" hook add '**' "$f" --url "$URL/$f" --format "$f" --on "${can[$f]}" --header-file "$T/headers" >/dev/null || fail "a hook $f"
done

# ---- One event of each kind, or more ----

push_layout "$T/a" 1.0 shop/web >/dev/null
push_manifest shop/web "$A" "$T/manifest" >/dev/null
curl -sf -H "Accept: $(jq -r .mediaType "$T/manifest")" -o /dev/null "http://$ADDR/v2/shop/web/manifests/1.0"
"$REGFS" tag add shop/web:1.0 stable >/dev/null
push_layout "$T/a" 1.0 flat >/dev/null
make_image "$T/a" 2.0 two >"$T/made"
push_layout "$T/a" 2.0 shop/web stable >/dev/null
"$REGFS" rollback shop/web:stable >/dev/null || fail 'a rollback'
"$REGFS" tag rm shop/web:stable >/dev/null
"$REGFS" repo set shop/web visibility=public >/dev/null
"$REGFS" repo set shop/web 'retention=keep matching zzz' >/dev/null
"$REGFS" prune shop/web >/dev/null || fail 'a prune'
"$REGFS" repo add shop/made >/dev/null
"$REGFS" repo rm flat >/dev/null
echo 'a password of theirs' >"$T/pw"
"$REGFS" user add alice --password-file "$T/pw" >/dev/null
"$REGFS" grant alice pull 'shop/**' >/dev/null
"$REGFS" revoke alice 'shop/**' >/dev/null
"$REGFS" gc --grace 0s --untagged 0s --undo-keep 0s >/dev/null || fail "gc"
"$REGFS" repo add shop/full >/dev/null
"$REGFS" repo set shop/full quota-tags=1 >/dev/null || fail 'a quota'
push_layout "$T/a" 1.0 shop/full >/dev/null
check_fails 'beyond a quota' push_layout "$T/a" 1.0 shop/full other
# Written within a second or so.
check 'is an event' timeout 60 "$REGFS" watch -q --since 0 --once -e quota shop/full
"$REGFS" hook test '**' docker >/dev/null
push_tag shop/made last || push_layout "$T/a" 1.0 shop/made last >/dev/null
for f in "${!can[@]}"; do
	until_log '**' "$f" 'any(.tag == "last") and all(.state == "done")'
done

kinds_told() {
	told got "/$1" | jq -r '.headers["x-regfs-event"]' | sort -u | xargs
}
is "$(kinds_told acr)" 'push rollback tag' 'acr: pushes, and what moves a tag otherwise'
like "$(kinds_told docker)" '^delete hook-test prune pull push remove rollback tag untag$' 'docker: pushes, pulls and removals'
like "$(kinds_told regfs)" 'create delete gc grant prune pull push quota remove revoke rollback setting tag untag visibility' 'regfs: everything'
is "$(kinds_told cloudevents) $(kinds_told cloudevents-binary) pull" "$(kinds_told regfs | sed 's/ pull / /') $(kinds_told regfs | sed 's/ pull / /') pull" 'CloudEvents, too'

# ---- Each of them ----

for f in "${!can[@]}"; do
	n=0 wrong=
	while read -r request; do
		n=$((n + 1))
		[ "$f $(jq -r '.headers["x-regfs-event"]' <<<"$request")" = 'docker hook-test' ] && continue
		wrong+=$("$ROOT/tests/hook-shapes" "$f" <<<"$request" 2>&1)
	done < <(told got "/$f")
	is "$wrong" '' "$f: the shape of its requests"
	check "$f: $n of them" test "$n" -gt 4
	is "$(told got "/$f" | jq -r '.headers | .["x-team"] + " " + .authorization' | sort -u)" 'shop Bearer of' "$f: headers of its own"
done
check_fails 'a shape is one: what is none is found' "$ROOT/tests/hook-shapes" docker < <(told got /acr | tail -n 1)
check_fails 'of members, too' "$ROOT/tests/hook-shapes" acr < <(told got /acr | tail -n 1 | jq -c '.body |= (fromjson | .extra = 1 | tojson)')

# ---- What they say ----

first() {
	told got "/$1" | jq -c --arg k "$2" 'select(.headers["x-regfs-event"] == $k)' | head -n 1
}
is "$(first acr push | jq -r .body | jq -c '[.push_data.digest, .push_data.tag, .repository.repo_full_name, .repository.namespace, .repository.name, .repository.repo_type]')" \
	"[\"$A\",\"1.0\",\"shop/web\",\"shop\",\"web\",\"PRIVATE\"]" 'acr: a push'
is "$(first docker push | jq -r .body | jq -c '.events[0] | [.action, .target.repository, .target.tag, .target.digest, .target.size, .target.mediaType]')" \
	"[\"push\",\"shop/web\",\"1.0\",\"$A\",$(wc -c <"$T/manifest"),$(jq .mediaType "$T/manifest")]" 'docker: a push'
is "$(first docker untag | jq -r .body | jq -c '.events[0] | [.action, .target.repository, .target.tag, .request.method]')" \
	'["delete","shop/web","stable","DELETE"]' 'docker: a removal'
is "$(first docker pull | jq -r .body | jq -c '.events[0] | [.action, .target.digest, .request.method]')" "[\"pull\",\"$A\",\"GET\"]" 'docker: a pull'
is "$(first cloudevents push | jq -r .body | jq -c '[.type, .subject, .data.event.digest]')" "[\"regfs.push\",\"1.0\",\"$A\"]" 'cloudevents: a push'
is "$(first cloudevents-binary push | jq -c '[.headers["ce-type"], .headers["ce-subject"], (.body | fromjson | .event.digest)]')" \
	"[\"regfs.push\",\"1.0\",\"$A\"]" 'cloudevents-binary: the same in fields'
is "$(first cloudevents grant | jq -r .body | jq -r '.source | startswith("/") or startswith("http")')" true 'cloudevents: a source also of what is about no repository'

# ---- What a format can't tell ----

fails_with 'acr can.t tell of events "untag": it can of push,tag,rollback' 'acr knows of pushes only' "$REGFS" hook add shop/web x --url "$URL/x" --format acr --on push,untag
fails_with 'docker can.t tell of events "all"' 'nor does docker know all' "$REGFS" hook set '**' docker --on all
fails_with 'acr can.t tell of events "delete"' 'also where the format is changed' \
	bash -c '"$0" hook add shop/web x --url "$1" --on delete >/dev/null && "$0" hook set shop/web x --format acr' "$REGFS" "$URL/x"

done_testing
