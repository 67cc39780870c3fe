#!/bin/bash
# mount.t: the tree as files, as regfs(5) lays it out, and what ordinary programs make of it.
. "$(dirname "$0")/lib.sh"
need curl jq busybox getfattr python3
have_fuse || skip_all 'no /dev/fuse that can be opened here'

L=$T/layout
one=$(make_image "$L" 1.0 'hello one') || bail 'no image'
two=$(make_image "$L" 1.1 'hello two')
docker=$(make_image "$L" docker 'hello docker' docker)
index=$(make_index "$L" multi 'hello many')
started=$(date +%s)

start_regfs --open --mount "$MNT"
push_layout "$L" 1.0 console-web >/dev/null || bail 'no push'
push_layout "$L" 1.1 console-web >/dev/null
push_layout "$L" docker team/shop/console-web >/dev/null
push_layout "$L" 1.0 team/shop >/dev/null
push_layout "$L" multi multi >/dev/null

R=$MNT/console-web
image=$R/_images/sha256/${one#sha256:}
file=$(blob_path "$L" "$one")

# mounted DIR: whether something is mounted exactly there.
mounted() {
	mounts "$1" | grep -qF "$1 fuse"
}

# refused DESCRIPTION COMMAND...: fails, and says EROFS or EPERM.
refused() {
	local description=$1

	shift
	fails_with 'Read-only file system|Operation not permitted' "$description" "$@"
}

tag_of() {
	readlink "$MNT/$1/_tags/$2"
}

http_tags() {
	curl -sS --max-time 60 "http://$ADDR/v2/$1/tags/list" | jq -r '.tags[]?' | xargs
}

# same_tree A B: the same names, types, bytes and link targets.
same_tree() {
	diff -r --no-dereference "$1" "$2"
}

# ---- What is there ----

like "$(awk -v m="$MNT" '$5 == m {print $6}' /proc/self/mountinfo)" 'nosuid.*nodev|nodev.*nosuid' \
	'mounted nosuid and nodev'
is "$(ls "$MNT" | xargs)" '_registry console-web multi team' 'the root: the registry and what it holds'
is "$(ls "$MNT/team" | xargs)" '_access _hooks _settings shop' 'a namespace holds what is below it, and no _tags'
is "$(ls "$MNT/team/shop" | grep -v '^_')" console-web 'a repository holds others below it'
for dir in _tags _images _layers _blobs _uploads _oci _settings _access _hooks; do
	check "a repository has $dir" test -d "$R/$dir"
done
check_fails 'it has no _builds yet' test -e "$R/_builds"
is "$(ls "$R/_tags" | xargs)" '1.0 1.1' '_tags'
is "$(tag_of console-web 1.0)" "../_images/sha256/${one#sha256:}" 'a tag is a link to its image'
check 'the link leads there' test "$R/_tags/1.0/manifest.json" -ef "$image/manifest.json"
is "$(ls "$R/_images" | xargs)" 'sha256 sha512' '_images: algorithms'
is "$(ls "$R/_images/sha256")" "$(printf '%s\n' "${one#*:}" "${two#*:}" | sort)" '_images: digests'

check 'manifest.json: the exact bytes' cmp "$image/manifest.json" "$file"
config=$(jq -r .config.digest "$file")
check 'config.json: the exact bytes' cmp "$image/config.json" "$(blob_path "$L" "$config")"
size=$(($(stat -c %s "$file") + $(jq '.config.size + ([.layers[].size] | add)' "$file")))
is "$(cat "$image/digest")" "$one" 'digest'
is "$(cat "$image/id")" "$config" 'id: the digest of the config'
is "$(cat "$image/size")" "$size" 'size: manifest, config and layers'
is "$(cat "$image/media-type")" application/vnd.oci.image.manifest.v1+json 'media-type'
like "$(cat "$image/created")" '^2023-11-14T22:13:20(\.0+)?Z$' 'created'
is "$(cat "$image/platform")" "$(jq -r '[.os, .architecture, .variant // empty] | join("/")' \
	"$(blob_path "$L" "$config")")" 'platform'
pushed=$(date -d "$(cat "$image/pushed")" +%s)
ok "$((pushed < started || pushed > $(date +%s)))" 'pushed'
for name in digest id size media-type created platform pushed; do
	is "$(tail -c 1 "$image/$name" | od -An -tx1)" ' 0a' "$name ends with a newline"
	is "$(stat -c %s "$image/$name")" "$(wc -c <"$image/$name" | xargs)" "$name has its true size"
done
is "$(cat "$image/history")" "$(jq -r '.layers | to_entries[] | "0\(.key + 1)\t\(.value.size)\t"
	+ ["ADD busybox /bin/", "COPY message /"][.key]' "$file")" 'history: a line for each layer'
is "$(ls "$image/layers" | xargs)" '01 02' 'layers'
layer=$(jq -r '.layers[0].digest' "$file")
is "$(readlink "$image/layers/01")" "../../../../_layers/sha256/${layer#*:}" 'layers: the base first'
check 'layers: the links lead there' cmp "$image/layers/02/blob" \
	"$(blob_path "$L" "$(jq -r '.layers[1].digest' "$file")")"
like "$(find "$image/used-by" -type l -printf '%l\n')" '_tags/1\.0$' 'used-by: a link to the tag'
is "$(find "$image/used-by" -mindepth 1 | wc -l)" 1 'used-by: nothing else'
check 'used-by: the link leads to the image' test "$(echo "$image"/used-by/*)" -ef "$image"
is "$(cat "$image/rootfs/message")" 'hello one' 'an image: rootfs'

base=$R/_layers/sha256/${layer#*:}
is "$(ls "$R/_layers/sha256" | wc -l)" 3 '_layers: each once'
check 'a layer: blob' cmp "$base/blob" "$(blob_path "$L" "$layer")"
is "$(cat "$base/size")" "$(stat -c %s "$(blob_path "$L" "$layer")")" 'a layer: size'
is "$(cat "$base/media-type")" application/vnd.oci.image.layer.v1.tar+gzip 'a layer: media-type'
is "$(cat "$base/diff-id")" "sha256:$(gzip -dc "$base/blob" | sha256sum | cut -d' ' -f1)" \
	'a layer: diff-id'
is "$(for link in "$base"/used-by/*; do readlink -f "$link"; done | sort)" \
	"$(printf "$R/_images/sha256/%s\n" "${one#*:}" "${two#*:}" | sort)" 'a layer: used-by'
check 'a layer: tree' cmp "$base/tree/bin/busybox" "$(command -v busybox)"

for digest in "$config" $(jq -r '.layers[].digest' "$file"); do
	check '_blobs: a blob' cmp "$R/_blobs/sha256/${digest#*:}" "$(blob_path "$L" "$digest")"
	check '_registry/blobs: the same' cmp "$MNT/_registry/blobs/sha256/${digest#*:}" \
		"$(blob_path "$L" "$digest")"
done
is "$(find "$MNT/_registry/blobs/sha256" -type f | wc -l)" \
	"$(find "$L/blobs" -type f | wc -l)" '_registry/blobs: every blob once'
is "$(ls "$R/_uploads" | wc -l)" 0 '_uploads: none'
is "$(cat "$MNT/_registry/version")" "$("$REGFS" version | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" \
	'_registry/version'
check '_registry/stats' test -s "$MNT/_registry/stats"
users=$MNT/_registry/used-by/sha256/${layer#*:}
is "$(for link in "$users"/*; do readlink -f "$link"; done | sort)" \
	"$(printf "$MNT/%s\n" {console-web,team/shop}/"_images/sha256/${one#*:}" \
		"console-web/_images/sha256/${two#*:}" \
		"team/shop/console-web/_images/sha256/${docker#*:}" $(jq -r \
		'.manifests[].digest | "multi/_images/" + sub(":"; "/")' "$(blob_path "$L" "$index")") |
		sort)" '_registry/used-by: all over the registry'

# An index.
I=$MNT/multi/_images/sha256/${index#*:}
child=$(jq -r '.manifests[0].digest' "$(blob_path "$L" "$index")")
check 'an index: manifest.json' cmp "$I/manifest.json" "$(blob_path "$L" "$index")"
names=("linux-$ARCH" "linux-$OTHER_ARCH")
names=("${names[@]/%arm64/arm64-v8}")
is "$(ls "$I/platforms")" "$(printf '%s\n' "${names[@]}" | sort)" 'an index: platforms'
is "$(readlink "$I/platforms/${names[0]}")" "../../${child#*:}" 'a platform is a link to its image'
is "$(cat "$I/platforms/${names[0]}/digest")" "$child" 'it leads there'
is "$(cat "$I/media-type")" application/vnd.oci.image.index.v1+json 'an index: media-type'
like "$(find "$MNT/multi/_images/sha256/${child#*:}/used-by" -type l -printf '%l\n')" \
	"${index#*:}\$" 'a child is used by its index'

# The same as an OCI image layout.
is "$(jq -r .imageLayoutVersion "$R/_oci/oci-layout")" 1.0.0 '_oci/oci-layout'
is "$(jq -r '.manifests[] | .annotations["org.opencontainers.image.ref.name"] + " " + .digest' \
	"$R/_oci/index.json")" "1.0 $one"$'\n'"1.1 $two" '_oci/index.json: the tags'
is "$(jq -r '.manifests[0].size' "$R/_oci/index.json")" "$(stat -c %s "$file")" '_oci/index.json: sizes'
is "$(stat -c %s "$R/_oci/index.json")" "$(wc -c <"$R/_oci/index.json")" '_oci/index.json: its size'
for digest in "$one" "$config" "$layer"; do
	check '_oci/blobs' cmp "$R/_oci/blobs/sha256/${digest#*:}" "$(blob_path "$L" "$digest")"
done

# An upload in progress.
location=$(curl -sS -X POST -D - -o /dev/null "http://$ADDR/v2/console-web/blobs/uploads/" |
	tr -d '\r' | sed -n 's/^location: *//Ip')
location=${location#http://$ADDR}
upload=$R/_uploads/$(basename "${location%%\?*}")
is "$(ls "$R/_uploads")" "$(basename "$upload")" '_uploads: one that has begun'
is "$(stat -c %s "$upload")" 0 'an upload: empty'
http PATCH "$location" -H 'Content-Type: application/octet-stream' -H 'Content-Range: 0-7' \
	--data-binary 'one two '
is "$CODE" 202 'a chunk'
is "$(stat -c %s "$upload")" 8 'an upload grows'
is "$(cat "$upload")" 'one two ' 'an upload can be read'
location=$(header location)
location=${location#http://$ADDR}
http PATCH "$location" -H 'Content-Type: application/octet-stream' -H 'Content-Range: 8-12' \
	--data-binary three
is "$(stat -c %s "$upload") $(cat "$upload")" '13 one two three' 'an upload grows further'
location=$(header location)
location=${location#http://$ADDR}
http DELETE "$location"
check_fails 'an upload that was cancelled is gone' test -e "$upload"
is "$(ls "$R/_uploads" | wc -l)" 0 '_uploads: none again'

# ---- What is not there ----

for name in nope console-web/nope console-web/_nope console-web/_tags/nope console-web/_images/md5 \
	console-web/_images/sha256/nope "console-web/_images/sha256/${docker#*:}" \
	"console-web/_images/sha256/$(tr a-f A-F <<<"${one#*:}")" "console-web/_blobs/sha256/${docker#*:}" \
	"_registry/blobs/sha256/${one#*:}0" console-web/_layers/sha256/nope Console-Web \
	console-web/_tags/1.0/nope console-web/_tags/1.0/layers/03 _registry/nope _tags _images; do
	fails_with 'No such file or directory' "no $name" stat "$MNT/$name"
done
names=()
for ((i = 0; i < 1000; i++)); do
	names+=("$MNT/console-web/_tags/nope$i")
done
begin=${EPOCHREALTIME/.}
is "$(ls "${names[@]}" 2>&1 | grep -c 'No such file')" 1000 'a thousand names that are not there'
ok "$((${EPOCHREALTIME/.} - begin > 3000000))" 'and that was told in less than three seconds'
fails_with 'Not a directory|No such file' 'a file is no directory' stat "$image/digest/x"

# ---- Ordinary programs ----

check 'ls -lR' ls -lR "$MNT"
check 'find' find "$MNT" -name no-such-name
check 'tar' tar -C "$MNT" -cf "$T/out.tar" console-web
mkdir "$T/untarred"
tar -C "$T/untarred" -xf "$T/out.tar"
check 'tar: all of it' same_tree "$R" "$T/untarred/console-web"
check 'cp -a' cp -a "$R" "$T/copy"
check 'cp -a: all of it' same_tree "$R" "$T/copy"
is "$(stat -c %Y "$T/copy/_tags/1.0" "$T/copy/_images/sha256/${one#*:}/manifest.json")" \
	"$(stat -c %Y "$R/_tags/1.0" "$image/manifest.json")" 'cp -a: times'
check 'grep -r ends' grep -rq 'busybox /bin' "$MNT/team"
for path in "$R/_tags/1.0" "$image" "$image/manifest.json" "$base/blob" "$R/_blobs/sha256/${layer#*:}"; do
	mtime=$(stat -c %Y "$path")
	ok "$((mtime < started || mtime > $(date +%s)))" "${path:${#MNT}:40}: its time is when it was pushed"
done
is "$(stat -c '%u %g' "$image/manifest.json")" "$(id -u) $(id -g)" 'files are of who mounted'
is "$(stat -c %a "$image/manifest.json")" 444 'files: mode'
like "$(stat -c %a "$R/_images" "$R/_tags" | xargs)" '^555 7?[57][57]5$' 'directories: mode'
is "$(stat -c %A "$R/_tags/1.0")" lrwxrwxrwx 'links: mode'
is "$(stat -c %s "$R/_tags/1.0")" "$(tag_of console-web 1.0 | tr -d '\n' | wc -c)" 'links: size'

total=$(find "$L/blobs" -type f -printf '%s\n' | awk '{n += $1} END {print n}')
used=$(du -s --apparent-size -B1 --exclude rootfs --exclude tree "$MNT" | cut -f1)
ok "$((used < total || used > total + total / 2))" "du counts a blob once ($used, blobs $total)"
ok "$(($(du -s -B1 "$base/blob" | cut -f1) < $(stat -c %s "$base/blob")))" 'du: blocks'
is "$(df -B1 --output=size "$MNT" | tail -n 1 | xargs)" \
	"$(df -B1 --output=size "$STORE" | tail -n 1 | xargs)" "df: the store's file system"
ok "$(($(df -B1 --output=avail "$MNT" | tail -n 1) <= 0))" 'df: what is free'

like "$(getfattr --absolute-names -d -m- "$image")" "user.regfs.digest=\"$one\"" 'getfattr: an image, digest'
like "$(getfattr --absolute-names -d -m- "$image")" \
	'user.regfs.media-type="application/vnd.oci.image.manifest.v1\+json"' 'getfattr: an image, media type'
like "$(getfattr --absolute-names -d -m- "$R/_blobs/sha256/${layer#*:}")" \
	"user.regfs.digest=\"$layer\"" 'getfattr: a blob'
like "$(getfattr --absolute-names -d -m- "$base")" 'user.regfs.media-type=' 'getfattr: a layer'
is "$(getfattr --absolute-names --only-values -n user.regfs.digest "$R/_tags/1.0")" "$one" \
	'getfattr: through a tag'
fails_with 'No such attribute' 'getfattr: no such attribute' getfattr -n user.nope "$image"
check 'getfattr -R' getfattr --absolute-names -R -d -m- "$MNT"

is "$(dd if="$base/blob" bs=1000 skip=7 count=3 status=none | sha256sum)" \
	"$(dd if="$(blob_path "$L" "$layer")" bs=1000 skip=7 count=3 status=none | sha256sum)" \
	'a part of a blob'
is "$(tail -c 10 "$base/blob" | od -An -tx1)" "$(tail -c 10 "$(blob_path "$L" "$layer")" | od -An -tx1)" \
	'the end of a blob'

# ---- One blob, one inode ----

inodes=$(stat -c '%i %h' "$R/_blobs/sha256/${layer#*:}" "$base/blob" "$R/_oci/blobs/sha256/${layer#*:}" \
	"$MNT/_registry/blobs/sha256/${layer#*:}" "$MNT/team/shop/_blobs/sha256/${layer#*:}" | sort -u)
is "$(wc -l <<<"$inodes")" 1 'a blob is one inode everywhere'
is "$(stat -c %i "$image/manifest.json")" "$(stat -c %i "$R/_oci/blobs/sha256/${one#*:}")" \
	'and so is a manifest'
# Inside images a file has the link count that its image gives it (rootfs.t).
find "$MNT" \( -name rootfs -o -name tree \) -prune -o -type f -printf '%i %n %p\n' >"$T/links"
is "$(find "$MNT" -inum "${inodes% *}" | wc -l)" "${inodes#* }" 'a blob has as many links as find finds'
is "$(awk '{n[$1]++; want[$1] = $2; path[$1] = $3}
	END {for (i in n) if (n[i] != want[i]) print path[i], "st_nlink", want[i], "found", n[i]}' \
	"$T/links" | head -n 5)" '' 'every file has as many links as it has names'
is "$(find "$MNT" -type d -printf '%p %n\n' | while read -r dir links; do
	[ "$links" = 1 ] || [ "$links" = $((2 + $(find "$dir" -mindepth 1 -maxdepth 1 -type d | wc -l))) ] ||
		echo "$dir $links"
done | head -n 3)" '' 'directories: link counts that find can rely on'
is "$(find "$MNT" \( -name rootfs -o -name tree \) -prune -o -printf '%i\n' | sort -n | uniq -d | grep -cvxFf <(awk '{print $1}' "$T/links"))" 0 \
	'nothing else shares an inode'

# ---- Tags ----

events() {
	"$REGFS" status --store "$STORE" --json | jq '.["last-event"]'
}

before=$(events)
check 'ln -s' ln -s "../_images/sha256/${one#*:}" "$R/_tags/stable"
is "$(http_tags console-web)" '1.0 1.1 stable' 'HTTP sees it'
is "$(digest_of <(manifest console-web stable))" "$one" 'HTTP has the image'
is "$(tag_of console-web stable)" "../_images/sha256/${one#*:}" 'it is a link to its image'
is "$(($(events) - before))" 1 'that was one event'
before=$(events)
check 'ln -sfn' ln -sfn "../_images/sha256/${two#*:}" "$R/_tags/stable"
is "$(digest_of <(manifest console-web stable))" "$two" 'HTTP sees it'
is "$(($(events) - before))" 1 'that was one event'
check 'ln -sfn to a sibling' ln -sfn 1.0 "$R/_tags/stable"
is "$(tag_of console-web stable)" "../_images/sha256/${one#*:}" 'a sibling is resolved'
ln -sfn 1.1 "$R/_tags/1.0-next"
ln -sfn 1.0-next "$R/_tags/moves"
rm "$R/_tags/1.0-next"
is "$(digest_of <(manifest console-web moves))" "$two" 'once: it stays when the sibling goes'
before=$(events)
check 'mv' mv "$R/_tags/moves" "$R/_tags/moved"
is "$(http_tags console-web)" '1.0 1.1 moved stable' 'HTTP sees it'
is "$(digest_of <(manifest console-web moved))" "$two" 'HTTP has the image'
check 'mv onto another' mv -T "$R/_tags/moved" "$R/_tags/stable"
is "$(digest_of <(manifest console-web stable))" "$two" 'HTTP sees it'
is "$(http_tags console-web)" '1.0 1.1 stable' 'the old name is gone'
ln -s 1.0 "$R/_tags/kept"
mv -nT "$R/_tags/kept" "$R/_tags/stable" 2>/dev/null
is "$(digest_of <(manifest console-web stable)) $(http_tags console-web)" "$two 1.0 1.1 kept stable" \
	'mv -n keeps what is there'
check 'rm' rm "$R/_tags/kept"
http GET /v2/console-web/manifests/kept
is "$CODE" 404 'HTTP sees it'
check 'touch -h' touch -h "$R/_tags/stable"
check 'chown -h' chown -h "$(id -u):$(id -g)" "$R/_tags/stable"
check 'cp -a of a tag' cp -a "$R/_tags/stable" "$R/_tags/copied"
is "$(digest_of <(manifest console-web copied))" "$two" 'HTTP sees it'
rm "$R/_tags/copied"
fails_with 'File exists' 'ln -s over a tag' ln -s 1.1 -T "$R/_tags/stable"
fails_with 'No such file' 'rm of a tag that is not there' rm "$R/_tags/nope"
fails_with 'No such file' 'mv of a tag that is not there' mv "$R/_tags/nope" "$R/_tags/other"
for target in /etc/passwd ../../team ../_images "../_images/sha256/${one#*:}/" ../_images/sha256/nope \
	"../_blobs/sha256/${one#*:}" "../_images/sha256/${one#*:}/manifest.json" x/y ''; do
	check_fails "no tag to '$target'" ln -s "$target" -T "$R/_tags/bad"
done
fails_with 'Invalid argument' 'a target outside is EINVAL' ln -s /etc/passwd "$R/_tags/bad"
check_fails 'no tag to an image of another repository' ln -s "../_images/sha256/${docker#*:}" "$R/_tags/bad"
check_fails 'no tag to a sibling that is not there' ln -s nope "$R/_tags/bad"
for tag in .bad -bad 'b ad' 'b:ad' "$(printf 'x%.0s' {1..129})"; do
	check_fails "no tag named '${tag:0:10}'" ln -s 1.0 -T "$R/_tags/$tag"
done
check 'a tag of 128 characters' ln -s 1.0 -T "$R/_tags/$(printf 'x%.0s' {1..128})"
rm "$R/_tags/$(printf 'x%.0s' {1..128})"
check_fails 'mv to another repository' mv -T --no-copy "$R/_tags/stable" "$MNT/multi/_tags/stable"
# At EXDEV an ordinary mv would remove the tag there before it fails to link the image.
there=$(tag_of multi multi)
refused 'mv over a tag of another repository' mv -T "$R/_tags/stable" "$MNT/multi/_tags/multi"
is "$(tag_of multi multi)" "$there" 'leaves that tag as it was'
before=$(stat -c %.Y "$R/_tags")
check 'a tag more' ln -s 1.0 "$R/_tags/newest"
isnt "$(stat -c %.Y "$R/_tags")" "$before" 'and _tags has another time'
rm "$R/_tags/newest"
# The kernel keeps listings: of what may change, none of them is used.
is "$(python3 - "$R/_tags" <<-'PYTHON'
	import os, sys
	fd = os.open(sys.argv[1], os.O_RDONLY)
	before = os.listdir(fd)
	os.symlink('1.0', sys.argv[1] + '/again')
	during = os.listdir(fd)
	os.unlink(sys.argv[1] + '/again')
	after = os.listdir(fd)
	print(*sorted(set(during) - set(before)), before == after, len(before) > 2)
PYTHON
)" 'again True True' 'a directory that is open shows what came since'
for i in 1 2 3; do
	tag=$(curl -sS -o "$T/out" -w '%{http_code}' -X PUT -H "Content-Type: $(jq -r .mediaType "$image/manifest.json")" \
		--data-binary @"$image/manifest.json" "http://$ADDR/v2/console-web/manifests/over-http-$i")
	is "$tag $(ls "$R/_tags" | grep -c over-http) $(ls "$MNT" | grep -c console-web)" "201 $i 1" 'so does one that is listed again'
done
rm "$R"/_tags/over-http-?

# A push between its last blob and its manifest.
printf 'a blob that waits for its image' >"$T/waiting"
waiting=$(push_blob waiting/room "$T/waiting")
check 'a repository that holds blobs only is there' test -f "$MNT/waiting/room/_blobs/sha256/${waiting#sha256:}"
unlike "$(curl -sS "http://$ADDR/v2/_catalog")" waiting 'though not in the catalog'
"$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0 >/dev/null
check_fails 'and goes with its blobs' test -e "$MNT/waiting"
is "$(http_tags console-web)" '1.0 1.1 stable' 'after all that: the tags'
is "$(http_tags multi)" multi "and the other repository's"

# The name that coreutils links first.
before=$(events)
check 'a pending name' ln -s 1.0 "$R/_tags/CuAbCd09"
is "$(http_tags console-web)" '1.0 1.1 stable' 'HTTP lists it not'
http GET /v2/console-web/manifests/CuAbCd09
is "$CODE" 404 'HTTP has it not'
unlike "$(cat "$R/_oci/index.json")" CuAbCd09 '_oci has it not'
is "$(events)" "$before" 'it is no event'
check 'the rename' mv -T "$R/_tags/CuAbCd09" "$R/_tags/from-pending"
is "$(http_tags console-web)" '1.0 1.1 from-pending stable' 'makes it a tag'
is "$(($(events) - before))" 1 'and one event'
ln -s 1.0 "$R/_tags/CuAbCd10"
check 'a pending name can be removed' rm "$R/_tags/CuAbCd10"
check_fails 'it is gone' test -L "$R/_tags/CuAbCd10"
rm "$R/_tags/from-pending"
for ((i = 0; i < 100; i++)); do
	ln -sfn "1.$((i % 2))" "$R/_tags/stable" || echo failed
done >"$T/moves.out" 2>&1 &
mover=$!
while kill -0 $mover 2>/dev/null; do
	http_tags console-web
done | sort -u >"$T/seen"
wait $mover
is "$(cat "$T/moves.out")" '' 'a hundred times ln -sfn'
is "$(cat "$T/seen")" '1.0 1.1 stable' 'nobody else ever saw another name, or none'
is "$(digest_of <(manifest console-web stable))" "$two" 'the last one counts'

# ---- Nothing else can be written ----

fails_with 'Invalid argument' 'mkdir of what is no name' mkdir "$MNT/_new"
fails_with 'Invalid argument' 'in a repository, too' mkdir "$R/New"
refused 'mkdir in _tags' mkdir "$R/_tags/new"
refused 'mkdir inside an image' mkdir "$image/rootfs/new"
refused 'touch at the root' touch "$MNT/new"
refused 'a file in _tags' bash -c ': >"$1"' - "$R/_tags/new"
refused 'a file in _blobs' bash -c ': >"$1"' - "$R/_blobs/sha256/new"
refused 'a file in _uploads' bash -c ': >"$1"' - "$R/_uploads/new"
refused 'append to a blob' bash -c ': >>"$1"' - "$base/blob"
refused 'truncate a blob' truncate -s 0 "$base/blob"
refused 'write into a value' bash -c 'echo x >"$1"' - "$image/digest"
refused 'rm of a value' rm -f "$image/digest"
refused 'rm of a blob' rm -f "$R/_blobs/sha256/${layer#*:}"
refused 'rmdir of an image' rmdir "$image"
refused 'rmdir of a repository' rmdir "$R"
refused 'mv of a repository' mv "$R" "$MNT/other"
refused 'mv of an image' mv "$image" "$R/_images/sha256/other"
refused 'mv of a value' mv "$image/digest" "$image/other"
refused 'chmod' chmod 777 "$image/digest"
refused 'chown' chown 12:34 "$image/digest"
refused 'touch of a blob' touch "$base/blob"
refused 'a hard link' ln "$base/blob" "$R/new"
refused 'a link elsewhere' ln -s x "$R/new"
refused 'mkfifo' mkfifo "$R/new"
if command -v setfattr >/dev/null; then
	refused 'setfattr' setfattr -n user.x -v y "$image/digest"
fi
check 'a blob is still whole' cmp "$base/blob" "$(blob_path "$L" "$layer")"

# ---- What changes over HTTP is there at once ----

push_tag() {
	curl -sSf --max-time 60 -o /dev/null -X PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
		-H 'Expect:' --data-binary @"$1" "http://$ADDR/v2/$2/manifests/$3"
}

delete() {
	curl -sSf --max-time 60 -o /dev/null -X DELETE "http://$ADDR/v2/$1/manifests/$2"
}

wrong=
for ((i = 0; i < 100; i++)); do
	tag=new$((i % 3))
	[ ! -L "$R/_tags/$tag" ] || wrong+="$i: there before the push"$'\n'
	seen=$(echo "$R"/_tags/new*)
	push_tag "$file" console-web $tag
	[ "$(echo "$R"/_tags/new*)" = "$R/_tags/$tag" ] || wrong+="$i: ls doesn't list it"$'\n'
	[ "$(tag_of console-web $tag)" = "../_images/sha256/${one#*:}" ] || wrong+="$i: not there"$'\n'
	push_tag "$(blob_path "$L" "$two")" console-web $tag
	[ "$(tag_of console-web $tag)" = "../_images/sha256/${two#*:}" ] || wrong+="$i: not moved"$'\n'
	[ "$(cat "$R/_tags/$tag/digest")" = "$two" ] || wrong+="$i: leads elsewhere"$'\n'
	delete console-web $tag
	[ ! -L "$R/_tags/$tag" ] || wrong+="$i: there after the deletion"$'\n'
	[ "$(echo "$R"/_tags/new*)" = "$seen" ] || wrong+="$i: ls still lists it"$'\n'
done
is "$(head -n 3 <<<"$wrong")" '' 'a hundred times: tags that come, move and go'

wrong=
for ((i = 0; i < 20; i++)); do
	push_layout "$L" 1.0 passing/by >/dev/null
	[ "$(ls "$MNT" | grep -c '^passing$')" = 1 ] || wrong+="$i: ls doesn't list it"$'\n'
	[ -d "$MNT/passing/by/_images/sha256/${one#*:}" ] || wrong+="$i: not there"$'\n'
	[ -n "$(ls "$MNT/passing/by/_images/sha256/${one#*:}/used-by")" ] || wrong+="$i: used by none"$'\n'
	delete passing/by 1.0
	[ -z "$(ls "$MNT/passing/by/_images/sha256/${one#*:}/used-by")" ] || wrong+="$i: used by a tag"$'\n'
	delete passing/by "$one"
	[ ! -e "$MNT/passing/by/_images/sha256/${one#*:}" ] || wrong+="$i: image there after"$'\n'
	[ "$(ls "$MNT" | grep -c '^passing$')" = 0 ] || wrong+="$i: ls lists it after"$'\n'
done
is "$(head -n 3 <<<"$wrong")" '' 'twenty times: a repository that comes and goes'

wrong=
for ((i = 0; i < 30; i++)); do
	push_tag "$file" console-web listed$i
	[ "$(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' "$R/_oci/index.json" |
		grep -cx listed$i)" = 1 ] || wrong+="$i: not in _oci/index.json"$'\n'
	[ "$(stat -c %s "$R/_oci/index.json")" = "$(cat "$R/_oci/index.json" | wc -c)" ] ||
		wrong+="$i: not its size"$'\n'
	grep -qx "tags $((6 + i + 1))" "$MNT/_registry/stats" || wrong+="$i: not in stats"$'\n'
done
is "$(head -n 3 <<<"$wrong")" '' 'thirty times: files that are made of what there is'
rm "$R"/_tags/listed*

# ---- Many names, other algorithms, open files ----

tags=()
for ((i = 1000; i < 2500; i++)); do
	tags+=("many$i")
done
printf '%s\n' "${tags[@]}" | xargs -n 50 "$REGFS" tag add --store "$STORE" console-web:1.0 >/dev/null
ok $? 'fifteen hundred tags'
is "$(ls "$R/_tags" | grep '^many')" "$(printf '%s\n' "${tags[@]}")" 'each is listed once'
is "$(find "$R/_tags" -lname "*/${one#*:}" -name 'many*' | wc -l)" 1500 'each is a link to the image'
is "$(ls "$image/used-by" | wc -l)" 1501 'used-by lists each'
check 'rm while it lists' find "$R/_tags" -name 'many*' -delete
is "$(http_tags console-web)" '1.0 1.1 stable' 'all are gone'

sha512=$(sha512sum <"$file" | cut -d' ' -f1)
http PUT "/v2/console-web/manifests/sha512:$sha512" -H "Content-Type: $(jq -r .mediaType "$file")" \
	--data-binary @"$file"
is "$CODE" 201 'an image by its SHA-512'
check '_images/sha512' cmp "$R/_images/sha512/$sha512/manifest.json" "$file"
is "$(cat "$R/_images/sha512/$sha512/digest")" "sha512:$sha512" 'its digest'
check 'a tag for it' ln -s "../_images/sha512/$sha512" "$R/_tags/long"
check 'HTTP has it' cmp "$file" <(manifest console-web long)
exec 8<"$R/_images/sha512/$sha512/manifest.json"
delete console-web "sha512:$sha512"
check_fails 'it was deleted' test -e "$R/_tags/long"
check 'a file that is open can still be read' cmp "$file" /dev/fd/8
exec 8<&-

is "$(cd "$R/_tags/1.0" && /bin/pwd -P)" "$image" 'pwd -P'
is "$(cd "$image/layers" && cd ../../.. && /bin/pwd -P)" "$R/_images" 'cd ..'

# ---- A second mount, in a process of its own ----

# mount_regfs DIR: `regfs mount` of $STORE there; its process in MOUNT_PID.
mount_regfs() {
	rm -f "$T/ready"
	mkfifo "$T/ready"
	env --default-signal=INT,QUIT "$REGFS" mount --ready-fd 9 --store "$STORE" "$1" \
		9>"$T/ready" >>"$LOG" 2>&1 </dev/null &
	MOUNT_PID=$!
	processes+=("$MOUNT_PID")
	read -r -t 60 READY <"$T/ready"
}

second=$T/second
check 'regfs mount beside a server' mount_regfs "$second"
check 'it is mounted' mounted "$second"
check 'it shows the same' same_tree "$R/_images" "$second/console-web/_images"
wrong=
for ((i = 0; i < 20; i++)); do
	[ ! -L "$second/console-web/_tags/both" ] || wrong+="$i: there before the push"$'\n'
	push_tag "$file" console-web both
	[ "$(ls "$second/console-web/_tags" | grep -c '^both$')" = 1 ] || wrong+="$i: ls lists it not"$'\n'
	[ -L "$second/console-web/_tags/both" ] || wrong+="$i: not there"$'\n'
	ln -sfn 1.1 "$second/console-web/_tags/both"
	[ "$(tag_of console-web both)" = "../_images/sha256/${two#*:}" ] || wrong+="$i: not moved in the first"$'\n'
	[ "$(digest_of <(manifest console-web both))" = "$two" ] || wrong+="$i: not moved over HTTP"$'\n'
	rm "$R/_tags/both"
	[ ! -e "$second/console-web/_tags/both" ] || wrong+="$i: there after the removal"$'\n'
done
is "$(head -n 3 <<<"$wrong")" '' 'twenty times: two mounts and HTTP agree at once'
ln -s 1.0 "$second/console-web/_tags/CuZzZz99"
check_fails 'a pending name is seen by its own mount only' test -L "$R/_tags/CuZzZz99"
rm "$second/console-web/_tags/CuZzZz99"
kill -TERM $MOUNT_PID
wait_end $MOUNT_PID
wait $MOUNT_PID
is $? 0 'regfs mount ends on SIGTERM with status 0'
check_fails 'and is unmounted' mounted "$second"
check 'the first mount goes on' cmp "$image/manifest.json" "$file"

check 'regfs mount once more' mount_regfs "$second"
fusermount3 -u "$second"
wait_end $MOUNT_PID
wait $MOUNT_PID
is $? 0 'regfs mount ends with status 0 when somebody unmounts it'

# ---- Stopping ----

exec 7<"$base/blob"
cd "$R/_images" || bail 'no way into the mount'
background /dev/null sleep 600
sitter=$PID
cd "$ROOT" || bail 'no way back'
stop_regfs TERM
check_fails 'SIGTERM unmounts, also with files open and somebody in it' mounted "$MNT"
check 'the mount point is an ordinary directory again' rmdir "$MNT"
timeout 10 cat <&7 >"$T/rest" 2>/dev/null
isnt $? 124 'a file that is still open does not hang its reader'
exec 7<&-
kill "$sitter" && wait "$sitter" 2>/dev/null

check 'regfs mount without a server' mount_regfs "$MNT"
is "$(ls "$R/_tags" | xargs)" '1.0 1.1 stable' 'it shows what is there'
check 'it takes a tag' ln -s 1.0 "$R/_tags/alone"
kill -INT $MOUNT_PID
wait_end $MOUNT_PID
wait $MOUNT_PID
is $? 0 'regfs mount ends on SIGINT with status 0'
check_fails 'and is unmounted' mounted "$MNT"

: >"$LOG"
start_regfs --mount "$MNT"
check 'made public' "$REGFS" repo set --store "$STORE" console-web visibility=public
is "$(http_tags console-web)" '1.0 1.1 alone stable' 'the next server has the tag'
check 'without --open the mount is still the administrator' rm "$R/_tags/alone"
is "$(http_tags console-web)" '1.0 1.1 stable' 'HTTP sees it'
stop_regfs INT
check_fails 'SIGINT unmounts' mounted "$MNT"
unlike "$(cat "$LOG")" 'warning|error' 'there is nothing to warn of'

# ---- After a crash ----

start_regfs --open --mount "$MNT"
kill_regfs
fails_with 'not connected|aborted' 'kill -9 leaves a mount behind' stat "$MNT/console-web"
start_regfs --open --mount "$MNT"
check 'start-up repairs it' cmp "$image/manifest.json" "$file"
is "$(mounts "$MNT" | wc -l)" 1 'one mount, not two'
kill_regfs
check 'regfs mount repairs it too' mount_regfs "$MNT"
check 'it can be read' cmp "$image/manifest.json" "$file"
kill -TERM $MOUNT_PID
wait $MOUNT_PID
is "$(mounts "$MNT" | wc -l)" 0 'nothing is left'

# ---- Other ways to mount and unmount ----

other="$T/with space/and ü/mnt"
mkdir -p "${other%/*}"
cd "${other%/*}" || bail 'no directory'
start_regfs --open --mount mnt
cd "$ROOT" || bail 'no way back'
check 'a relative mount point, with spaces' cmp "$other/console-web/_tags/1.0/manifest.json" "$file"
check 'somebody unmounts it' fusermount3 -u "$other"
check 'HTTP goes on' same_blobs "$L" 1.0 console-web
stop_regfs

# A mount that is alive is nobody's left-over.
start_regfs --open --mount "$MNT"
first=$REGFS_PID
start_regfs --mount "$MNT"
check 'a second server on the same mount point: HTTP works' same_blobs "$L" 1.0 console-web
stop_regfs
REGFS_PID=$first
check 'the first one is still mounted' cmp "$image/manifest.json" "$file"
is "$(mounts "$MNT" | wc -l)" 1 'once'
stop_regfs

# ---- Where it can't be mounted ----

# not_mounted DESCRIPTION DIR REASON: serves HTTP all the same and says why.
not_mounted() {
	local description=$1 dir=$2 reason=$3

	LOG=$T/unmounted.log
	: >"$LOG"
	if serve_regfs --store "$STORE" --listen 127.0.0.1:0 --mount "$dir"; then
		pass "$description: it starts"
		check "$description: HTTP works" same_blobs "$L" 1.0 console-web
		like "$(cat "$LOG")" "$reason" "$description: it says why"
		stop_regfs
	else
		fail "$description: it starts" "status $STATUS: $(cat "$LOG")"
	fi
}

: >"$T/file"
not_mounted 'a mount point that is a file' "$T/file" "$T/file"
not_mounted 'a mount point below a file' "$T/file/mnt" "$T/file/mnt"
not_mounted 'a mount point in a directory that is not there' "$T/up/per/mnt" \
	"no directory $T/up/per to make it in"
check_fails 'none is made above it' test -e "$T/up"
mkdir "$T/full"
: >"$T/full/something"
not_mounted 'a mount point that is not empty' "$T/full" "$T/full"
check 'it is left alone' test -e "$T/full/something"

if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	mkdir "$T/dev"
	cat >"$T/no-fuse" <<-END
		#!/bin/bash
		exec unshare -m --propagation private bash -c '
			mount -t tmpfs none $T/dev &&
			for name in null zero urandom random; do
				: >"$T/dev/\$name"
				mount --bind "/dev/\$name" "$T/dev/\$name" || exit 99
			done
			mount --move $T/dev /dev && exec "\$0" "\$@"' "$REGFS" "\$@"
	END
	chmod +x "$T/no-fuse"
	program=$REGFS
	REGFS=$T/no-fuse
	not_mounted 'no /dev/fuse' "$MNT" '/dev/fuse'
	REGFS=$program
else
	skip 'taking /dev/fuse away needs root and a mount namespace of its own'
fi

done_testing
