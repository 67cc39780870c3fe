#!/bin/bash
# access-mount.t: who sees and may do what in a mount: `as=`, _access/, _settings/, modes; that what is private, or was made so a
# moment ago, is nowhere in the mount of somebody who may not see it.
. "$(dirname "$0")/lib.sh"
need curl jq busybox setpriv
have_fuse || skip_all 'no /dev/fuse that can be opened here'

export REGFS_STORE=$STORE
chmod 711 "$T"
L=$T/layout
NO='No such file or directory'

# places DIR: where each of its names stands, as telldir(3) says, sorted.
places() {
	perl -e 'opendir my $d, shift or die; while (defined(my $n = readdir $d)) { print telldir($d), " $n\n" if $n !~ /^\./ }' "$1" | sort
}

# mount_as NAME DIR [OPTIONS]: `regfs mount` as somebody, in a process of its own.
mount_as() {
	local fifo=$T/mounted ready

	rm -f "$fifo"
	mkfifo "$fifo"
	"$REGFS" mount --ready-fd 9 -o "as=$1${3:+,$3}" "$2" 9>"$fifo" >>"$LOG" 2>&1 </dev/null &
	processes+=($!)
	read -r -t 60 ready <"$fifo" && [ "$ready" = READY ] || bail "no mount as $1: $(tail -n 3 "$LOG")"
}

# hidden WHO PATH: it is as absent as what isn't there, for look, list and read.
hidden() {
	local says

	says=$(
		LC_ALL=C stat -c x -- "$2" 2>&1
		LC_ALL=C ls -U -- "$2/" 2>&1
		LC_ALL=C cat -- "$2" 2>&1
	)
	if [ "$(grep -c "$NO" <<<"$says")" = 3 ] && [ "$(wc -l <<<"$says")" = 3 ]; then
		pass "$1: there is no ${2#"$T"/}"
	else
		fail "$1: there is no ${2#"$T"/}" "$says"
	fi
}

# sets FILE VALUE: in one write; what that says.
sets() {
	printf '%s' "$2" | dd of="$1" bs=4096 iflag=fullblock conv=notrunc status=none 2>&1 | sed 's/.*: //'
}

mode() {
	stat -c %a "$1"
}

# large_image LAYOUT TAG MESSAGE: of one uncompressed layer, with bytes like no other's; prints its digest.
large_image() {
	local layer config d

	mkdir -p "$T/large/bin"
	cp "$(command -v busybox)" "$T/large/bin"
	echo "$3" >"$T/large/message"
	head -c 300000 /dev/urandom >"$T/large/random"
	tar -C "$T/large" -cf "$T/large.tar" .
	layer=$(descriptor "$1" "$T/large.tar" application/vnd.oci.image.layer.v1.tar) || return 1
	jq -cn --arg id "$(digest_of "$T/large.tar")" --arg arch "$ARCH" '{architecture: $arch, os: "linux",
		rootfs: {type: "layers", diff_ids: [$id]}}' >"$T/large.json"
	config=$(descriptor "$1" "$T/large.json" application/vnd.oci.image.config.v1+json) || return 1
	jq -cn --argjson config "$config" --argjson layer "$layer" '{schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' >"$T/large.json"
	d=$(descriptor "$1" "$T/large.json" application/vnd.oci.image.manifest.v1+json) &&
		add_tag "$1" "$d" "$2" && jq -r .digest <<<"$d"
}

# ---- What there is ----

echo 'a password of theirs' >"$T/pw"
start_regfs --open --mount "$MNT"
for name in alice bob boss chief; do
	"$REGFS" user add $name --password-file "$T/pw" >/dev/null || bail 'no users'
done
"$REGFS" user set boss administrator=yes >/dev/null
"$REGFS" user set chief administrator=yes >/dev/null
"$REGFS" group add @developers >/dev/null
"$REGFS" group set @developers add=bob >/dev/null
"$REGFS" robot add +ci-robot >/dev/null

image=$(make_image "$L" 1.0 'hello everybody') || bail 'no image'
secret=$(make_image "$L" secret 'hello nobody')
artifact=$(make_artifact "$L" signature "$image")
# The private ones first: nothing may tell that the bytes of the public one were here before.
for repo in priv/web deep team/x; do
	push_layout "$L" 1.0 $repo >/dev/null || bail 'no push'
done
push_layout "$L" secret priv/web >/dev/null
push_layout "$L" secret deep >/dev/null
push_layout "$L" signature priv/web >/dev/null
is "$(ls "$MNT/priv/web/_tags/1.0/referrers/")" "${artifact#*:}" 'a private repository has a referrer of the image'
# Images that one repository has alone: what is open of one is seen nowhere else.
declare -A held held_layer
for repo in priv/web team/x plain/open; do
	held[$repo]=$(large_image "$L" held-${repo#*/} "hello $repo")
	held_layer[$repo]=$(jq -r '.layers[0].digest' "$(blob_path "$L" "${held[$repo]}")")
	push_layout "$L" held-${repo#*/} $repo held >/dev/null || bail 'no push'
done
for repo in pub/web deep/open plain/open; do
	push_layout "$L" 1.0 $repo >/dev/null || bail 'no push'
	echo public >"$MNT/$repo/_settings/visibility" || bail 'not public'
done
file=$(blob_path "$L" "$secret")
hidden_layer=$(jq -r '.layers[1].digest' "$file")
shared_layer=$(jq -r '.layers[0].digest' "$file")
location=$(curl -sS -X POST -D - -o /dev/null "http://$ADDR/v2/pub/web/blobs/uploads/" | tr -d '\r' |
	sed -n 's/^location: *//Ip')
upload=$(basename "${location%%\?*}")

# ---- Whose mount it is ----

refuses() {
	exits "$1" "$3" "$REGFS" mount -o "$2" "$T/none"
	like "$ERR" "$4" "$3: why"
}

refuses 2 allow_other 'allow_other as the administrator' 'every user of this machine would act as the administrator.*allow_other,allow_other'
refuses 2 as=alice,allow_other 'allow_other as a user' 'act as alice'
refuses 2 as= 'as nobody' 'as= takes'
refuses 2 as=@developers,nonsense 'no such option' 'there are as=NAME, allow_other'
refuses 1 as=nobody 'as who is not there' 'nobody'
refuses 2 as=@developers 'as a group' 'developers'
if serve_regfs --store "$T/other" --listen 127.0.0.1:0 --mount "$T/none" --mount-options allow_other; then
	fail 'serve: allow_other as the administrator'
else
	is "$STATUS" 2 'serve: allow_other as the administrator'
fi
like "$(tail -n 1 "$LOG")" 'allow_other,allow_other' 'serve: says how'

options_of() {
	awk -v m="$1" '$5 == m { print $6 "," $NF }' /proc/self/mountinfo
}

for as in anonymous alice bob +ci-robot boss; do
	mount_as $as "$T/$as"
	like "$(options_of "$T/$as")" 'nosuid,nodev' "as $as: nosuid, nodev"
	unlike "$(options_of "$T/$as")" 'allow_other' "as $as: for who mounted it only"
done

serve_regfs --store "$STORE" --listen 127.0.0.1:0 --mount "$T/served" --mount-options as=anonymous || bail 'no second server'
is "$(ls "$T/served" | xargs)" 'deep plain pub' 'serve mounts as somebody, too'
stop_regfs
serve_regfs --store "$STORE" --listen 127.0.0.1:0 --open || bail 'no second server'

# ---- _settings ----

settings=$MNT/pub/web/_settings
is "$(ls "$settings" | xargs)" 'immutable quota quota-tags retention undo-keep visibility' 'a repository has a visibility, and rules for its tags'
is "$(cat "$settings/visibility")" public 'it is public'
is "$(mode "$MNT/pub/web") $(mode "$settings/visibility")" '755 644' 'modes show it'
is "$(stat -c %s "$settings/visibility")" 7 'its size'
# bad FILE WAS VALUE...: each is EINVAL and changes nothing.
bad() {
	local file=$1 was=$2 value

	shift 2
	for value; do
		is "$(sets "$file" "$value")" 'Invalid argument' "${file#"$MNT"/}: not ${value@Q}"
	done
	is "$(cat "$file")" "$was" "${file#"$MNT"/}: nothing changed"
}

# good FILE VALUE SHOWN
good() {
	is "$(sets "$1" "$2")" '' "${1#"$MNT"/}: ${2@Q}"
	is "$(cat "$1")" "$3" "${1#"$MNT"/}: shows ${3@Q}"
}

long=$(printf '%0256d' 0)
bad "$settings/visibility" public $'\n' Public 'public ' ' public' $'public\n\n' inherit yes $'public\nprivate' "$long" "${long}0"
is "$( (printf 'public\0' >"$settings/visibility") 2>&1 | sed 's/.*: //')" 'Invalid argument' 'a NUL is no value'
is "$( (echo public >>"$settings/visibility") 2>&1 | sed 's/.*: //')" 'Invalid argument' 'nothing is appended'
: >"$settings/visibility"
is "$(cat "$settings/visibility")" public 'opening to write changes nothing'
check 'touch changes nothing' touch "$settings/visibility"
good "$settings/visibility" $'private\n' private
is "$(mode "$MNT/pub/web")" 750 'private: the mode shows it'
good "$settings/visibility" private private
good "$settings/visibility" public public
is "$(mode "$MNT/pub/web")" 755 'public: so does this one'
fails_with 'Read-only' 'there is no other setting' bash -c 'echo x >"$1"' - "$settings/other"
fails_with 'Read-only' 'none can be removed' rm "$settings/visibility"

settings=$MNT/plain/_settings
is "$(ls "$settings" | xargs)" 'immutable push-creates quota quota-tags retention undo-keep visibility' 'a namespace has these'
is "$(cat "$settings"/* | xargs)" 'inherit inherit none none inherit inherit inherit' 'and says nothing at first'
bad "$settings/visibility" inherit default private,public $'public\ninherit'
bad "$settings/push-creates" inherit true 1 Yes public
good "$settings/push-creates" $'no\n' no
good "$settings/visibility" $'public\n' public
is "$("$REGFS" namespace show plain --json | jq -r '.visibility + " " + .["push-creates"]')" 'public no' 'the command says the same'
check 'mkdir in it' mkdir "$MNT/plain/new"
is "$(cat "$MNT/plain/new/_settings/visibility") $(mode "$MNT/plain/new")" 'public 755' 'gives its default'
is "$("$REGFS" repo list --json | jq -r '.[].name' | grep -x plain/new)" plain/new 'a repository, which is listed'
check_fails 'a second time' mkdir "$MNT/plain/new"
good "$settings/visibility" private private
(umask 0 && mkdir "$MNT/plain/other")
is "$(cat "$MNT/plain/other/_settings/visibility")" private 'another default: whatever mode was asked for'
good "$settings/push-creates" inherit inherit
good "$settings/visibility" inherit inherit
settings=$MNT/_registry/settings
is "$(ls "$settings" | xargs)" 'history-keep immutable push-creates quota quota-tags retention undo-keep visibility' 'and so has the registry'
good "$settings/visibility" public public
bad "$settings/visibility" public nonsense
check 'mkdir at the root' mkdir "$MNT/shown"
is "$(mode "$MNT/shown")" 755 'goes by the registry'
good "$settings/visibility" inherit inherit
check 'mkdir without any default' mkdir "$MNT/kept"
is "$(mode "$MNT/kept")" 750 'makes a private one'
bad "$settings/push-creates" inherit maybe
good "$settings/push-creates" no no
good "$settings/push-creates" yes yes
good "$settings/push-creates" inherit inherit
for repo in shown plain/new plain/other; do
	"$REGFS" repo rm $repo >/dev/null
done

# ---- Modes ----

can_not() {
	fails_with "$1" "$2" "${@:3}"
}

can_not 'Operation not permitted' 'chmod o+rx does not publish' chmod o+rx "$MNT/kept"
can_not 'Operation not permitted' 'nor does chmod 755' chmod 755 "$MNT/kept"
can_not 'Operation not permitted' 'nor o+r' chmod o+r "$MNT/kept"
can_not 'Operation not permitted' 'nor chmod 1777' chmod 1777 "$MNT/kept"
can_not 'Operation not permitted' 'nor -R' chmod -R a+rX "$MNT/kept"
is "$(cat "$MNT/kept/_settings/visibility") $(mode "$MNT/kept")" 'private 750' 'it is private still'
check 'what changes nothing is accepted' chmod 750 "$MNT/kept"
check 'of a public one, too' chmod 755 "$MNT/pub/web"
check 'and of a file' chmod 644 "$MNT/pub/web/_settings/visibility"
check 'and inside an image' chmod 755 "$MNT/pub/web/_tags/1.0/rootfs/bin"
can_not 'Operation not permitted' 'a public one can not lose o+r alone' chmod o-r "$MNT/pub/web"
can_not 'Operation not permitted' 'nor g+w be given' chmod g+w "$MNT/pub/web"
can_not 'Operation not permitted' 'a namespace has no mode of its own' chmod o-rx "$MNT/pub"
can_not 'Read-only' 'nor has a room' chmod o-rx "$MNT/pub/web/_tags"
can_not 'Read-only' 'nor what is inside' chmod o-rx "$MNT/pub/web/_tags/1.0/rootfs/bin"
is "$(cat "$MNT/pub/web/_settings/visibility")" public 'it is public still'
check 'chmod o-rx' chmod o-rx "$MNT/pub/web"
is "$(cat "$MNT/pub/web/_settings/visibility") $(mode "$MNT/pub/web")" 'private 750' 'makes it private'
check 'a second time' chmod o-rx "$MNT/pub/web"
check 'chmod go-rwx of a private one' chmod go-rwx "$MNT/pub/web"
good "$MNT/pub/web/_settings/visibility" public public
check 'chmod 700' chmod 700 "$MNT/pub/web"
is "$(mode "$MNT/pub/web")" 750 'makes it private, too'
good "$MNT/pub/web/_settings/visibility" public public
mkdir -m 755 "$T/src"
cp -a "$T/src" "$MNT/copied" 2>"$T/err"
is "$(cat "$MNT/copied/_settings/visibility")" private 'cp -a does not publish'
cp -a "$MNT/pub/web" "$MNT/again" >/dev/null 2>&1
is "$(cat "$MNT/again/_settings/visibility")" private 'nor does a copy of a public repository'
check 'the times of a repository can be set without effect' touch -d 2001-01-01 "$MNT/kept"
unlike "$(stat -c %y "$MNT/kept")" ^2001 'they are what they are'
"$REGFS" repo rm again >/dev/null
"$REGFS" repo rm copied >/dev/null

# ---- _access ----

# may WHO REPO: as the command says it, by grants.
may() {
	"$REGFS" access --repo "$2" --user "$1" --json | jq -r '[.[] | select(.why == "granted") | .actions] | join(" ")'
}

access=$MNT/team/x/_access
is "$(ls "$access")" '' 'nothing is granted at first'
good "$access/alice" $'pull,push\n' pull,push
is "$(mode "$access/alice") $(stat -c %s "$access/alice") $(ls "$access")" '644 10 alice' 'a file'
is "$("$REGFS" access --repo team/x --user alice --json | jq -r '.[0].actions')" pull,push 'the command says the same'
bad "$access/alice" pull,push $'\n' nothing pull, ,pull 'pull push' 'pull, push' PULL pull,fly $'pull\npush' "$long"
good "$access/alice" reader pull
good "$access/alice" writer pull,push
good "$access/alice" maintainer pull,push,delete
good "$access/alice" owner pull,push,delete,admin
good "$access/alice" push,pull pull,push
good "$access/alice" admin admin
good "$access/alice" pull pull
: >"$access/alice"
is "$(cat "$access/alice")" pull 'opening to write takes nothing away'
good "$access/@developers" $'writer\n' pull,push
good "$access/+ci-robot" $'pull\n' pull
is "$(ls "$access" | sort | xargs)" '+ci-robot @developers alice' 'a file each'
for who in carol @nobody +nobody anonymous administrator Alice .alice.swp 'a b' '~alice' "$(printf '%0250d' 0)"; do
	is "$( (echo pull >"$access/$who") 2>&1 | sed 's/.*: //')" "$NO" "nobody is called ${who:0:20}"
done
is "$(ls "$access" | wc -l)" 3 'and nothing is granted to them'
touch "$access/boss"
check_fails 'a file without a value is not there' test -e "$access/boss"
is "$( (echo nonsense >"$access/boss") 2>&1 | sed 's/.*: //')" 'Invalid argument' 'nor one with a bad value'
check_fails 'it is not there either' test -e "$access/boss"
check 'a file is copied into it' cp "$access/alice" "$access/boss"
is "$(cat "$access/boss")" pull 'which grants the same'
check 'rm' rm "$access/boss"
is "$(ls "$access" | sort | xargs)" '+ci-robot @developers alice' 'revokes'
fails_with "$NO" 'a second time there is none' rm "$access/boss"
can_not 'Read-only' 'no directory' mkdir "$access/boss"
can_not 'Read-only' 'no link' ln -s alice "$access/boss"
can_not 'Read-only|not permitted' 'no other name' mv "$access/alice" "$access/boss"
access=$MNT/team/_access
good "$access/boss" $'pull\n' pull
is "$("$REGFS" access --user boss --json | jq -r '[.[].pattern] | sort | join(" ")')" '** team/**' 'of a namespace: all below it'
bad "$access/boss" pull fly
check 'rm' rm "$access/boss"
access=$MNT/_registry/access
good "$access/bob" $'reader\n' pull
is "$("$REGFS" access --repo kept --user bob --json | jq -r '.[0].pattern')" '**' 'of the registry: all'
bad "$access/bob" pull fly
is "$( (echo pull >"$access/carol") 2>&1 | sed 's/.*: //')" "$NO" 'nobody is called carol there either'
check 'rm' rm "$access/bob"
is "$(ls "$access")" '' 'nothing is left'

# ---- Who sees what: anonymous pulls what is public; alice pulls team/x; bob, a developer, pushes there ----

names() {
	ls "$1" | xargs
}

is "$(names "$T/anonymous")" 'deep plain pub' 'anonymous: what is public, and what holds such'
is "$(names "$T/alice")" 'deep plain pub team' 'alice: what she may pull besides'
is "$(names "$T/bob")" 'deep plain pub team' 'bob: by his group'
is "$(names "$T/+ci-robot")" 'deep plain pub team' 'a robot: what it was granted'
is "$(names "$T/boss")" '_registry deep kept plain priv pub team' 'an administrator: all'
is "$(names "$T/anonymous/deep")" open 'what is below a hidden repository, and not the repository'
is "$(names "$T/alice/team/x")" '_blobs _history _images _layers _oci _tags' 'who may pull sees what is pulled'
is "$(names "$T/bob/team/x")" '_blobs _events _history _images _layers _oci _tags _uploads' 'who may push: uploads, too'
good "$MNT/team/x/_access/alice" owner pull,push,delete,admin
is "$(names "$T/alice/team/x")" '_access _blobs _events _history _hooks _images _layers _oci _settings _tags _uploads' 'who may administer: all of it'
hidden alice "$T/alice/team/_access"
hidden alice "$T/alice/_registry"
is "$(names "$T/boss/_registry")" "$(names "$MNT/_registry")" 'an administrator sees the registry itself'

# Alice, an owner, through her mount; then less.
is "$(sets "$T/alice/team/x/_access/boss" pull)" '' 'an owner grants'
is "$(sets "$T/alice/team/x/_settings/visibility" public)" '' 'and publishes'
is "$(names "$T/anonymous")" 'deep plain pub team' 'which all see at once'
check 'or hides' chmod o-rx "$T/alice/team/x"
is "$(names "$T/anonymous")" 'deep plain pub' 'at once'
is "$("$REGFS" access --repo team/x --user boss --json | jq -r '.[] | select(.pattern == "team/x") | .actions')" pull 'the grant is there'
exec 8>"$T/alice/team/x/_access/bob"
good "$MNT/team/x/_access/alice" writer pull,push
is "$( (echo owner >&8) 2>&1 | sed 's/.*: //')" "$NO" 'what was open to write when the right went is refused'
exec 8>&-
is "$(may bob team/x)" '' 'and grants nothing'
hidden alice "$T/alice/team/x/_access"
hidden alice "$T/alice/team/x/_settings/visibility"
can_not 'Permission denied' 'who may not administer can not chmod' chmod o-rx "$T/alice/pub/web"
can_not 'Operation not permitted' 'nor publish' chmod o+rx "$T/alice/team/x"
check 'who may push moves a tag' ln -sfn held "$T/alice/team/x/_tags/moved"
can_not 'Permission denied' 'a rename takes a name away' mv -T "$T/alice/team/x/_tags/moved" "$T/alice/team/x/_tags/elsewhere"
can_not 'Permission denied|not permitted' 'between repositories there is none' mv "$T/alice/team/x/_tags/moved" "$T/alice/pub/web/_tags/"
rm "$MNT/team/x/_tags/moved"
check 'who may push tags' ln -s 1.0 "$T/alice/team/x/_tags/more"
can_not 'Permission denied' 'who may not delete can not untag' rm "$T/alice/team/x/_tags/more"
can_not 'Permission denied' 'who may pull only can not tag' ln -s 1.0 "$T/+ci-robot/team/x/_tags/other"
can_not 'Permission denied' 'nor can anonymous' ln -s 1.0 "$T/anonymous/pub/web/_tags/other"
can_not 'Permission denied' 'nor untag' rm "$T/anonymous/pub/web/_tags/1.0"
can_not 'Permission denied' 'nor make private' chmod o-rx "$T/anonymous/pub/web"
rm "$MNT/team/x/_tags/more"

# What is hidden and what isn't there answer the same.
for as in anonymous alice; do
	for command in 'mkdir NAME' 'mkdir NAME/web/new' 'rmdir NAME' 'rm -r NAME' 'ln -s 1.0 NAME/web/_tags/x' 'chmod o-rx NAME' 'chmod 755 NAME/web' \
		'touch -c NAME/web/_settings/visibility' 'mv NAME pub' 'getfattr -d NAME/web' 'df NAME' 'readlink -e NAME/web/_tags/1.0'; do
		is "$(cd "$T/$as" && LC_ALL=C ${command//NAME/priv} 2>&1)" \
			"$(cd "$T/$as" && LC_ALL=C ${command//NAME/none} 2>&1 | sed 's/none/priv/g')" "$as: the same of a hidden one: $command"
	done
	is "$(stat -c '%A %h %s %b %B %.Y %.Z %.X %U %F' "$T/$as/deep")" "$(stat -c '%A %h %s %b %B %.Y %.Z %.X %U %F' "$T/$as/plain")" \
		"$as: a hidden repository above a public one is like a namespace"
	for command in 'ls -a NAME' 'chmod 750 NAME' 'chmod 777 NAME' 'mkdir NAME/more' 'cat NAME' 'ls NAME/_tags' 'ls NAME/_access' 'ls NAME/_settings' 'rmdir NAME'; do
		is "$(cd "$T/$as" && LC_ALL=C ${command//NAME/deep} 2>&1)" \
			"$(cd "$T/$as" && LC_ALL=C ${command//NAME/plain} 2>&1 | sed 's/plain/deep/g')" "$as: in this, too: $command"
	done
done
for as in anonymous alice bob +ci-robot; do
	M=$T/$as
	for path in priv priv/web priv/web/_tags priv/web/_tags/secret "priv/web/_images/sha256/${secret#*:}" deep/_tags deep/_images deep/_oci/index.json \
		"deep/_images/sha256/${secret#*:}/rootfs/message" kept _registry _registry/version _registry/stats "_registry/blobs/sha256/${image#*:}" \
		"_registry/used-by/sha256/${image#*:}" _registry/access _registry/settings/visibility "pub/web/_blobs/sha256/${secret#*:}" \
		"pub/web/_blobs/sha256/${hidden_layer#*:}" "pub/web/_layers/sha256/${hidden_layer#*:}" "pub/web/_images/sha256/${secret#*:}" \
		"pub/web/_oci/blobs/sha256/${hidden_layer#*:}" pub/web/_uploads "pub/web/_uploads/$upload" pub/web/_settings pub/web/_access pub/web/_hooks pub/_hooks _registry/hooks \
		pub/_settings pub/_access pub/web/../../priv "pub/web/_tags/../../../priv/web" "pub/web/_tags/1.0/../../../../../priv/web/_tags" \
		"pub/web/_tags/1.0/referrers/${artifact#*:}" "pub/web/_tags/1.0/rootfs/../../../../../priv"; do
		hidden $as "$M/$path"
	done
	is "$(find "$M" 2>&1 | grep -caE "priv|kept|secret|_registry|${secret#*:}|${hidden_layer#*:}|${artifact#*:}|$upload")" 0 \
		"$as: nothing of it is found by walking"
	is "$(find "$M" -type l -printf '%l\n' | grep -cE "priv|secret|${secret#*:}|${hidden_layer#*:}|${artifact#*:}")" 0 "$as: nor does a link lead to it"
	is "$(ls "$M/pub/web/_tags/1.0/referrers/")" '' "$as: no referrer from another repository"
	is "$(names "$M/pub/web/_layers/sha256/${shared_layer#*:}/used-by")" "${image#*:}" "$as: a shared layer is used by what is seen"
	blob=$M/pub/web/_blobs/sha256/${shared_layer#*:}
	isnt "$(stat -c %i "$blob")" "$(stat -c %i "$MNT/pub/web/_blobs/sha256/${shared_layer#*:}")" "$as: nor do numbers tell how many there are"
	is "$(stat -c %i "$M/pub/web/_layers/sha256/${shared_layer#*:}/blob")" "$(stat -c %i "$blob")" "$as: a blob is one inode"
	is "$(cd "${blob%/*}" && ls -iU | sort -k 2 | xargs)" "$(cd "${blob%/*}" && stat -c '%i %n' * | xargs)" "$as: listings have the same numbers"
	dir=${blob%/*}
	isnt "$(places "$dir")" '' "$as: names have places in a listing"
	is "$(comm -12 <(places "$dir") <(places "$MNT${dir#"$M"}"))" '' "$as: which don't tell either"
	is "$(stat -c %i "$M")" 1 "$as: the root is the root"
	is "$(stat -c %h "$M/pub/web/_layers/sha256/${shared_layer#*:}/blob")" 1 "$as: it says nothing of other places"
	for path in "_layers/sha256/${shared_layer#*:}" "_blobs/sha256/${shared_layer#*:}"; do
		is "$(stat -c %.Y "$M/pub/web/$path")" "$(stat -c %.Y "$M")" "$as: nor when it first came: $path"
	done
	is "$(cat "$M/pub/web/_tags/1.0/rootfs/message") $(cat "$M/pub/web/_layers/sha256/${shared_layer#*:}/tree/bin/busybox" | cksum)" \
		"hello everybody $(cksum <"$(command -v busybox)")" "$as: what is public can be read"
done

# A manifest may name a layer that its repository need not hold: it shows nothing of who holds it.
push_blob pub/web "$(blob_path "$L" "$(jq -r .config.digest "$file")")" >/dev/null
jq -c '.layers |= map(.mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")' "$file" >"$T/steal.json"
stolen=$(push_manifest pub/web stolen "$T/steal.json") || bail 'no push'
fails_with 'Input/output error' 'a layer that only a hidden repository holds: not in an image that names it' \
	cat "$T/anonymous/pub/web/_tags/stolen/rootfs/message"
fails_with 'Input/output error' 'nor its names' ls "$T/anonymous/pub/web/_tags/stolen/rootfs/"
hidden anonymous "$T/anonymous/pub/web/_layers/sha256/${hidden_layer#*:}"
hidden anonymous "$T/anonymous/pub/web/_tags/stolen/layers/02/blob"
push_blob pub/web "$(blob_path "$L" "$hidden_layer")" >/dev/null
push_blob pub/web "$(blob_path "$L" "$shared_layer")" >/dev/null
is "$(cat "$T/anonymous/pub/web/_tags/stolen/rootfs/message")" 'hello nobody' 'until the layer is pushed there'
curl -sSf -X DELETE "http://$ADDR/v2/pub/web/manifests/$stolen" || bail 'no delete'
for digest in "$hidden_layer" "$(jq -r .config.digest "$file")"; do
	curl -sSf -X DELETE "http://$ADDR/v2/pub/web/blobs/$digest" || bail "no delete of $digest"
done

# ---- What was seen and is private now ----

# What a user has open goes on; it opens nothing new, by whatever way. DIR is its own, MNT/REPO where it looks.
cat >"$T/holder" <<'END'
#!/bin/bash
# holder MNT REPO DIR LAYER
cd "$1/$2" || exit 1
exec 3<"_layers/sha256/$4/blob" 4<_tags/held/rootfs/message 5<_tags 6<_tags/held/manifest.json 7<_tags/held/rootfs/bin
dd bs=1000 count=1 <&3 >"$3/blob" 2>/dev/null
find . -ls >"$3/seen"
cat _tags/held/rootfs/message >>"$3/seen"
readlink _tags/held >/dev/null
stat _tags/none _tags/held/rootfs/none >/dev/null 2>&1
cd _tags/held/rootfs/bin || exit 1
cd -P .
echo ready >"$3/ready"
read -r go <"$3/go"
cat <&3 >>"$3/blob"
cat <&4 >"$3/message"
cat <&6 >"$3/manifest"
still() {
	if "$@" >/dev/null 2>&1 </dev/null; then echo "$*"; fi
}
{
	for fd in 3 4 6; do still cat /proc/self/fd/$fd; done
	still ls -U /proc/self/fd/5/
	still ls -U /proc/self/fd/7/
	still ls /dev/fd/5/.
	still ls -U .
	still ls ..
	still ls ../../..
	still cat busybox
	still cat ./busybox
	still cat ../message
	still stat busybox
	still stat ../message
	still bash -c ': <.'
	still bash -c ': <busybox'
	still ./busybox true
	still cat ../../manifest.json
	still readlink ../../../../../_tags/held
	still getfattr -n user.regfs.digest ../..
	still getfattr -d --absolute-names .
	still ls "$1/$2"
	still stat "$1/$2"
	still cat "$1/$2/_tags/held/manifest.json"
	still cat "$1/$2/_tags/held/rootfs/message"
	still readlink "$1/$2/_tags/held"
	still stat "$1/$2/_layers/sha256/$4"
	still cat "$1/$2/_layers/sha256/$4/blob"
	still cat "$1/$2/_blobs/sha256/$4"
	still cat "$1/$2/_oci/index.json"
	find "$1" -path "$1/$2*" 2>/dev/null
} >"$3/wrong"
END
chmod 755 "$T/holder"

# holds NAME AS REPO COMMAND... -- REVOKE...: runs the holder by COMMAND, in the mount as AS, revokes, and judges.
holds() {
	local name=$1 as=$2 repo=$3 dir=$T/held line pid wrapper=()

	shift 3
	while [ "$1" != -- ]; do
		wrapper+=("$1")
		shift
	done
	shift
	rm -rf "$dir"
	mkdir -m 777 "$dir"
	mkfifo -m 666 "$dir/ready" "$dir/go"
	"${wrapper[@]}" "$T/holder" "$T/$as" "$repo" "$dir" "${held_layer[$repo]#*:}" >>"$LOG" 2>&1 </dev/null &
	pid=$!
	processes+=($pid)
	read -r -t 60 line <"$dir/ready"
	is "$line" ready "$name: it sees all of it" || return
	check "$name: a change" "$@"
	echo go >"$dir/go"
	wait $pid
	check "$name: an open blob is read to its end" cmp "$dir/blob" "$(blob_path "$L" "${held_layer[$repo]}")"
	is "$(cat "$dir/message")" "hello $repo" "$name: so is a file of an image"
	check "$name: and a manifest" cmp "$dir/manifest" "$(blob_path "$L" "${held[$repo]}")"
	is "$(cat "$dir/wrong")" '' "$name: nothing else is there any more"
	hidden "$name" "$T/$as/$repo"
	hidden "$name" "$T/$as/$repo/_layers/sha256/${held_layer[$repo]#*:}/blob"
}

publish() {
	echo public >"$MNT/$1/_settings/visibility"
}

for as in anonymous alice; do
	holds "$as: made private" $as plain/open env -- bash -c 'echo private >"$1"' - "$MNT/plain/open/_settings/visibility"
	is "$(names "$T/$as" | grep -c plain)" 0 "$as: the namespace above it has gone with it"
	publish plain/open
	is "$(names "$T/$as/plain")" open "$as: public again, it is there again"
	is "$(cat "$T/$as/plain/open/_tags/held/rootfs/message")" 'hello plain/open' "$as: to read"
done
holds 'made private by chmod' anonymous plain/open env -- chmod o-rx "$MNT/plain/open"
publish plain/open
holds 'removed' anonymous plain/open env -- "$REGFS" repo rm plain/open
push_layout "$L" held-open plain/open held >/dev/null
publish plain/open
holds 'a grant removed by rm' alice team/x env -- rm "$MNT/team/x/_access/alice"
echo pull >"$MNT/team/x/_access/alice"
is "$(names "$T/alice/team")" x 'granted again, it is there again'
holds 'a grant that is for pushing only' alice team/x env -- bash -c 'echo push >"$1"' - "$MNT/team/x/_access/alice"
echo pull >"$MNT/team/x/_access/alice"
holds 'a grant removed by the command' alice team/x env -- "$REGFS" revoke alice team/x
echo pull >"$MNT/team/_access/alice"
holds 'a grant of the namespace' alice team/x env -- rm "$MNT/team/_access/alice"
holds 'a group left' bob team/x env -- "$REGFS" group set @developers remove=bob
holds 'a robot removed' +ci-robot team/x env -- "$REGFS" robot rm +ci-robot
echo pull >"$MNT/team/x/_access/alice"
holds 'an account disabled' alice team/x env -- "$REGFS" user set alice disabled=yes
is "$(names "$T/alice")" '' 'who is disabled sees nothing, not even what is public'
"$REGFS" user set alice disabled=no >/dev/null
is "$(names "$T/alice")" 'deep plain pub team' 'and all of it afterwards'
holds 'an account removed' alice team/x env -- "$REGFS" user rm alice
is "$(names "$T/alice")" '' 'who is removed sees nothing'
"$REGFS" user add alice --password-file "$T/pw" >/dev/null
is "$(names "$T/alice")" '' 'another one of the same name is another one'
holds 'an administrator no more' boss priv/web env -- "$REGFS" user set boss administrator=no
hidden 'an administrator no more' "$T/boss/_registry"

# What is in a repository that one sees, too, stays: by its own name, and where it was open.
exec 9<"$T/anonymous/deep/open/_layers/sha256/${shared_layer#*:}/blob"
chmod o-rx "$MNT/deep/open"
is "$(cksum <&9)" "$(cksum <"$(blob_path "$L" "$shared_layer")")" 'a layer of several repositories'
exec 9<&-
is "$(names "$T/anonymous")" 'plain pub' 'goes with the name'
hidden anonymous "$T/anonymous/deep/open"
hidden anonymous "$T/anonymous/deep/open/_layers/sha256/${shared_layer#*:}/blob"
check 'and stays by the other' cmp "$T/anonymous/pub/web/_layers/sha256/${shared_layer#*:}/blob" "$(blob_path "$L" "$shared_layer")"
publish deep/open

# ---- Two users of this machine ----

[ "$(id -u)" = 0 ] || {
	skip 'other users of this machine: needs root'
	done_testing
}

user() {
	setpriv --reuid="$1" --regid="$1" --clear-groups "${@:2}"
}

fails_with 'Permission denied' 'a mount without allow_other is closed to others' user 65533 ls "$T/anonymous"
mount_as anonymous "$T/all" allow_other
mount_as boss "$T/twice" allow_other,allow_other
like "$(options_of "$T/all")" 'nosuid,nodev.*allow_other' 'allow_other'
is "$(user 65533 ls "$T/twice" | xargs)" 'deep plain pub team' 'as a user, said twice'
for uid in 65533 65534; do
	is "$(user $uid ls "$T/all" | xargs)" 'deep plain pub' "user $uid: sees what is public"
	is "$(user $uid cat "$T/all/pub/web/_tags/1.0/rootfs/message")" 'hello everybody' "user $uid: reads it"
	is "$(user $uid find "$T/all" 2>&1 | sort)" "$(find "$T/all" | sort)" "user $uid: nothing else"
	is "$(user $uid find "$T/all" 2>&1 | grep -cE "priv|kept|secret|team|_registry|_settings|_access|_hooks|_uploads|${secret#*:}|${hidden_layer#*:}")" 0 \
		"user $uid: nothing private by walking"
	for path in priv priv/web priv/web/_tags/secret pub/web/../../priv "pub/web/_blobs/sha256/${secret#*:}" "_registry/blobs/sha256/${secret#*:}" \
		"_registry/used-by/sha256/${shared_layer#*:}" "pub/web/_tags/1.0/referrers/${artifact#*:}" pub/web/_access/alice; do
		fails_with "$NO" "user $uid: there is no $path" user $uid cat "$T/all/$path"
	done
	holds "user $uid: made private" all plain/open setpriv --reuid=$uid --regid=$uid --clear-groups -- chmod o-rx "$MNT/plain/open"
	for other in 65533 65534; do
		fails_with "$NO" "user $other: nor for this one" user $other cat "$T/all/plain/open/_tags/held/rootfs/message"
	done
	publish plain/open
done

# ---- A user mounts what is the user's own ----

if unshare -m true 2>/dev/null; then
	mkdir "$T/own"
	chown 65533:65533 "$T/own"
	cat >"$T/unprivileged" <<-'END'
		mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse || exit 9
		echo owner:x:65533:65533::/:/bin/sh >"$1/passwd" && mount --bind "$1/passwd" /etc/passwd || exit 9
		cd "$1/own"
		own=(setpriv --reuid=65533 --regid=65533 --clear-groups)
		other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		store=$1/own/store
		"${own[@]}" mkfifo ready
		"${own[@]}" "$REGFS" serve --store "$store" --listen 127.0.0.1:0 --ready-fd 9 9>ready >log 2>&1 &
		read -r line <ready
		kill $!
		wait
		"${own[@]}" "$REGFS" repo add --store "$store" mine --visibility private >/dev/null
		"${own[@]}" "$REGFS" repo add --store "$store" shown --visibility public >/dev/null
		"${own[@]}" "$REGFS" mount --store "$store" -o as=anonymous,allow_other anonymous 2>&1 | grep -o 'user_allow_other.*fuse.conf'
		for name in administrator anonymous; do
			option=
			[ $name = administrator ] || option="-o as=$name"
			"${own[@]}" "$REGFS" mount --store "$store" $option --ready-fd 9 $name 9>ready >log 2>&1 &
			read -r line <ready
			echo "$name: $("${own[@]}" ls $name | xargs)"
			"${other[@]}" ls $name 2>&1
			ls $name 2>&1
			"${own[@]}" fusermount3 -u $name
			wait
		done
	END
	is "$(unshare -m --propagation private bash "$T/unprivileged" "$T")" "user_allow_other' is set in /etc/fuse.conf
administrator: _registry mine shown
ls: cannot access 'administrator': Permission denied
ls: cannot access 'administrator': Permission denied
anonymous: shown
ls: cannot access 'anonymous': Permission denied
ls: cannot access 'anonymous': Permission denied" 'without privilege: for that user alone, as the administrator or anonymous'
else
	skip 'a mount namespace can not be made here'
fi

done_testing
