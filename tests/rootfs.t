#!/bin/bash
# rootfs.t: rootfs/ and tree/ of real images and of nasty ones, held against what umoci unpacks, what docker exports, and what
# overlayfs makes of the layers' trees.
#
# The real images are made once, by tests/rootfs-images, below the build directory; what umoci and docker make of an
# image is kept there too, by the image's digest.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/inside.sh"
need curl jq busybox getfattr skopeo umoci zstd pzstd pigz igzip mmdebstrap docker dockerd podman runc
have_fuse || skip_all 'no /dev/fuse that can be opened here'
[ "$(id -u)" = 0 ] || skip_all 'devices, owners and chroot need root'

BUILD=$(dirname "$REGFS")
CACHE=$BUILD/rootfs-images
tarmake=$BUILD/tests/unit/test_layer
[ -x "$tarmake" ] || bail "$tarmake isn't built: make unit"
L=$T/layout
mkdir -p "$CACHE" "$L"

start_regfs --open --mount "$MNT"

# ---- Tools ----

# rootfs REPO [TAG]: the directory.
rootfs() {
	readlink -f "$MNT/$1/_tags/${2:-1}/rootfs"
}

# paths DIR: all, sorted, each with its NUL; without what docker adds, if WITHOUT=docker.
paths() {
	local without='^$'

	[ "${WITHOUT:-}" != docker ] ||
		without='^\./(\.dockerenv|etc/(hosts|hostname|resolv\.conf|mtab)|dev|proc|sys)(/|$)'
	cd "$1" && find . -print0 | grep -zvE "$without" | sort -z
}

# dump DIR: everything that can be seen of a tree, as text: for each path its type, mode, owner, size, time, link count, target
# and device; which names are of one file; attributes; digests. LINKS=no: without link counts.
dump() (
	list=$T/dump.$BASHPID
	links=%n
	[ "${LINKS:-yes}" = yes ] || links=-
	paths "$1" >"$list"
	cd "$1" || exit 1
	find -files0-from "$list" -maxdepth 0 \( -type d -printf "%p\t%y %m %U:%G - %T@ $links\\0" \) -o \
		-printf "%p\t%y %m %U:%G %s %T@ $links %l\\0" | tr '\0' '\n'
	find -files0-from "$list" -maxdepth 0 \( -type b -o -type c \) -exec stat -c '%n is %t:%T' {} +
	find -files0-from "$list" -maxdepth 0 ! -type d -links +1 -printf '%i\t%p\n' | LC_ALL=C sort -s -n -k1,1 |
		awk -F'\t' '$1 "" != last "" {if (line) print line; line = "one file:"; last = $1} {line = line " " $2}
			END {if (line) print line}' | grep -E '^one file: .* \./' | sort
	xargs -0 -r getfattr -h -d -m "${ATTRIBUTES:--}" -e hex --absolute-names <"$list"
	find -files0-from "$list" -maxdepth 0 -type f -print0 | xargs -0 -r sha256sum
	rm "$list"
)

# Only whole seconds: docker export rounds down.
seconds() {
	sed -E 's/^(.*\t. [0-7]+ [0-9]+:[0-9]+ [-0-9]+ -?[0-9]+)\.[0-9]+/\1/'
}

# same_dump NAME FILE FILE
same_dump() {
	if cmp -s "$2" "$3" && [ -s "$2" ]; then
		pass "$1 ($(wc -l <"$2") lines)"
	else
		fail "$1" "$(diff "$2" "$3" | cut -c 1-240 | head -n 40)"
	fi
}

# kept NAME COMMAND...: the command's output as $CACHE/NAME, made if it isn't there.
kept() {
	local file=$CACHE/$1

	shift
	if [ ! -s "$file" ]; then
		"$@" >"$file.$$" || { rm -f "$file.$$"; return 1; }
		mv "$file.$$" "$file"
	fi
	printf '%s\n' "$file"
}

# make TEXT: an archive of these entries (tests/unit/tarmake.h).
make() {
	"$tarmake" tar "$1"
}

# image_of TAG FILE...: an image in $L of these layers, tars or compressed ones (whose diff IDs are wrong); prints its digest.
image_of() {
	local tag=$1 file type config layers=() ids=()

	shift
	for file; do
		type=application/vnd.oci.image.layer.v1.tar
		case $(head -c 4 "$file" | od -An -tx1) in
		' 1f 8b'*) type+=+gzip ;;
		' 28 b5 2f fd') type+=+zstd ;;
		esac
		ids+=("$(sha256sum <"$file")")
		layers+=("$(descriptor "$L" "$file" $type)")
	done
	jq -cn --arg arch "$ARCH" --arg tag "$tag" '{architecture: $arch, os: "linux", config: {Cmd: ["/bin/sh"]}, author: $tag,
		rootfs: {type: "layers", diff_ids: [$ARGS.positional[] | "sha256:" + .[0:64]]}}' --args "${ids[@]}" >"$T/config.json"
	config=$(descriptor "$L" "$T/config.json" application/vnd.oci.image.config.v1+json)
	printf '%s\n' "${layers[@]}" | jq -s --argjson config "$config" '{schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: .}' >"$T/manifest.json"
	add_tag "$L" "$(descriptor "$L" "$T/manifest.json" application/vnd.oci.image.manifest.v1+json)" "$tag"
	layout_digest "$L" "$tag"
}

# push_image TAG FILE...: the same, pushed as TAG:1.
push_image() {
	image_of "$@" >/dev/null && push_layout "$L" "$1" "$1" 1 >/dev/null
}

# ---- Real images ----

"$ROOT/tests/rootfs-images" "$CACHE" >"$T/images.log" 2>&1 || bail "no Debian images: $(tail -n 3 "$T/images.log")"
REAL=$CACHE/layout
for tag in base python nginx odd; do
	check "push $tag" skopeo copy -q --dest-tls-verify=false "oci:$REAL:$tag" "docker://$ADDR/$tag:1"
done

umoci_dump() {
	umoci unpack --image "$1:$2" "$T/bundle" >"$T/umoci.log" 2>&1 || { cat "$T/umoci.log" >&2; return 1; }
	dump "$T/bundle/rootfs"
	rm -rf "$T/bundle"
}

# umoci_has LAYOUT TAG: a file, of umoci's tree.
umoci_has() {
	kept "umoci-$(layout_digest "$1" "$2" | cut -d: -f2)" umoci_dump "$1" "$2"
}

for tag in base python nginx odd; do
	dump "$(rootfs $tag)" >"$T/$tag"
	same_dump "$tag: as umoci unpacks it" "$T/$tag" "$(umoci_has "$REAL" $tag)"
done

# ---- Nasty layers ----

mkdir -p "$T/box/bin" "$T"/box/{etc,dev,proc,sys}
cp "$(command -v busybox)" "$T/box/bin/busybox"
ln -s busybox "$T/box/bin/sh"
tar -C "$T/box" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 -cf "$T/busybox.tar" .
long=$(printf 'n%.0s' {1..200})
nasty1="d ./ m755 t1700000000000000000;d d m751 u1:2 t1000000000123456789;f d/x =lower;f d/y =why;d d/sub m700;f d/sub/z"
nasty1+=";f file =1;h hard ->file;l sym m640 ->nowhere;h symhard ->sym;p fifo u7:7;c null v1,3;b blk v7,300;c zero v0,0"
nasty1+=";f suid m6755 u1:2 =suid;d sticky m1777;f %ff%fe =bytes;f %0a =newline;f a%20b;f $long/$long/$long =long"
nasty1+=";l longlink ->$long/$long/$long;f cap xsecurity.capability=%01%00%00%02%00%04%00%00%00%00%00%00%00%00%00%00%00%00%00%00"
nasty1+=";f xa xuser.a=1%00%ff xuser.b=%0a;d xd xuser.d=1;f neg t-1500000000;f ns t1000000001000000001"
nasty1+=";f future t4102444800000000000;d op;f op/a;d op/b;f op/b/c;d op/keep;f op/keep/deep;d gone;f gone/1;d rep;f rep/old =1"
nasty1+=";d repd;f repd/a;d tobe;f tobe/1;l link ->d;l abs ->/d;d real;d real/sub;f real/sub/1;l through ->real"
nasty1+=";l up ->../../../d;f l1 =links;h l2 ->l1;h l3 ->l1;s sparse z70000 =end;f big u2000000:1000000;d dirmode m700 u5:5 xuser.old=1"
nasty1+=";d below;f below/x;d below/sub;f below/sub/y;l opaque ->/below"
make "$nasty1" >"$T/nasty1.tar"
nasty2="f .wh.file;h hard2 ->hard;f d/.wh.x;d op;f op/.wh..wh..opq;f op/n;d op/b;f op/b/new;f .wh.gone;f rep =now;f .wh.repd;d repd;f repd/b"
nasty3="l tobe ->d;d through;f through/own;f dup =1;f dup =22;h d/y2 ->d/y;d dirmode m711 u6:6 xuser.new=2;f .wh.l1;f l2 =other"
nasty4="f .//odd//./path/../x t1700000001000000000;f up/via-up =v;f link/via-link =v;f abs/via-abs =v;f opaque/.wh..wh..opq;f opaque/n =n;f implied/deep/file t1600000000000000000"
make "$nasty2" >"$T/nasty2.tar"
make "$nasty3" >"$T/nasty3.tar"
make "$nasty4" >"$T/nasty4.tar"
make "f ../esc;f a/../../esc2;f no/such/.wh.thing;f .wh.nothere;f later;f .wh.later;f dd/1;f .wh.d" >"$T/nasty5.tar"
make "" >"$T/empty.tar"
image_of nasty "$T"/busybox.tar "$T"/nasty[1-4].tar "$T/empty.tar" >/dev/null
image_of nastier "$T"/busybox.tar "$T"/nasty[1-5].tar >/dev/null
# Directories without an entry: layers don't say their time, umoci and docker give them the time of unpacking, and to
# the directories that they make them in too. regfs gives the layer's time (test_layer.c).
implied='\.|\./implied|\./implied/deep|\./odd|\./dd|\./n+|\./n+/n+'
without_implied_times() {
	sed -E "s,^($implied)(\\t.*) -?[0-9]+(\\.[0-9]+)? ([-0-9]+)\$,\\1\\2 (implied) \\4,"
}

for tag in nasty nastier; do
	check "push $tag" push_layout "$L" $tag $tag 1
	dump "$(rootfs $tag)" >"$T/$tag"
	without_implied_times <"$T/$tag" >"$T/ours"
	without_implied_times <"$(umoci_has "$L" $tag)" >"$T/theirs"
	same_dump "$tag: as umoci unpacks it" "$T/ours" "$T/theirs"
done

# ---- Docker ----

D=$T/docker
mkdir "$D"
echo '{}' >"$D/daemon.json"
export DOCKER_HOST=unix://$D/socket DOCKER_CONFIG=$D/client HOME=$T DOCKER_CLI_HINTS=false

start_docker() {
	[ ! -S "$D/socket" ] || return 0
	background "$D/log" dockerd --config-file "$D/daemon.json" --data-root "$D/data" --exec-root "$D/exec" \
		--pidfile "$D/pid" --host "$DOCKER_HOST" --iptables=false --ip6tables=false --ip-forward=false \
		--bridge=none --insecure-registry "127.0.0.1:$PORT"
	wait_line "$D/log" "$PID" 'API listen on'
}

docker_dump() {
	local id

	start_docker && docker pull -q "127.0.0.1:$PORT/$1:1" >/dev/null &&
		id=$(docker create --network none "127.0.0.1:$PORT/$1:1" /bin/sh) || return 1
	mkdir "$T/export"
	docker export "$id" | tar -C "$T/export" -xp --same-owner --numeric-owner --xattrs --xattrs-include='*' -f - || return 1
	docker rm "$id" >/dev/null
	WITHOUT=docker ATTRIBUTES='^security\.capability$' dump "$T/export"
	rm -rf "$T/export"
}

# docker_has LAYOUT TAG: as umoci_has.
docker_has() {
	kept "docker-$(layout_digest "$1" "$2" | cut -d: -f2)" docker_dump "$2"
}

# implied_in LAYOUT TAG: directories that a layer has something in, and no entry for. docker (overlay2) unpacks each layer by itself, and
# makes those anew: with the time of unpacking, over what lower layers say.
implied_in() {
	local manifest layer

	manifest=$(blob_path "$1" "$(layout_digest "$1" "$2")")
	for layer in $(jq -r '.layers[].digest' "$manifest"); do
		{ gzip -dcf "$(blob_path "$1" "$layer")"; } | tar -t --quoting-style=literal -f - 2>/dev/null |
			awk '{
				directory = sub(/\/+$/, "")
				gsub(/(^|\/)\.(\/|$)|\/\/+/, "/")
				sub(/^\/*/, "./")
				if (directory)
					entry[$0] = 1
				while (sub(/\/[^\/]*$/, "") && $0 != ".")
					parent[$0] = 1
			}
			END {for (p in parent) if (!(p in entry)) print p}'
	done | sort -u
}

# without_times LIST: directories that it names, without their time; without_attributes LIST: and mode, and owner.
without_times() {
	awk -F'\t' -v list="$1" 'BEGIN {while ((getline line <list) > 0) is[line] = 1; OFS = "\t"}
		$1 in is && $2 ~ /^d / {split($2, f, " "); $2 = f[1] " " f[2] " " f[3] " - (implied) " f[6]} {print}'
}
without_attributes() {
	awk -F'\t' -v list="$1" 'BEGIN {while ((getline line <list) > 0) is[line] = 1; OFS = "\t"}
		$1 in is && $2 ~ /^d / {$2 = "d (implied)"} {print}'
}

# What docker can't pull isn't in its nasty image: hard links to lower layers' files (overlay2 has one layer at hand), names twice. Neither
# is what it sees otherwise than umoci: a path by way of a lower layer's link becomes a directory in the link's place; a whiteout of a
# directory that the layer has does nothing; device 0:0 is a whiteout; times before 1970 are exported as 1970.
nasty1=${nasty1/;c zero v0,0}
nasty2=${nasty2/f .wh.repd;}
nasty3=${nasty3/h d\/y2 ->d\/y;}
make "${nasty1/;f neg t-1500000000}" >"$T/nasty1.tar"
make "${nasty2/h hard2 ->hard;}" >"$T/nasty2.tar"
make "${nasty3/f dup =1;}" >"$T/nasty3.tar"
make "${nasty4%%;f up/*};f implied/deep/file t1600000000000000000" >"$T/nasty4.tar"
image_of simpler "$T"/busybox.tar "$T"/nasty[1-4].tar "$T/empty.tar" >/dev/null
check 'push simpler' push_layout "$L" simpler simpler 1

for tag in base python nginx simpler; do
	from=$REAL
	[ $tag != simpler ] || from=$L
	docker_has "$from" $tag >"$T/name" || { fail "docker exports $tag" "$(tail -n 3 "$D/log")"; continue; }
	# docker makes .dockerenv in the root, and hosts, hostname and resolv.conf in etc.
	{ implied_in "$from" $tag; printf '.\n./etc\n'; } >"$T/implied"
	without=without_times
	[ $tag != simpler ] || without=without_attributes
	WITHOUT=docker ATTRIBUTES='^security\.capability$' dump "$(rootfs $tag)" | seconds | $without "$T/implied" >"$T/ours"
	seconds <"$(cat "$T/name")" | $without "$T/implied" >"$T/theirs"
	same_dump "$tag: as docker exports it" "$T/ours" "$T/theirs"
done
[ ! -S "$D/socket" ] || kill "$(cat "$D/pid")"

# ---- Small images of random layers ----

random=$("$ROOT/tests/merge-oracle" "$tarmake" 400 20000)
like "$random" '^1[0-9][0-9] images of 400 compared, 0 differ$' 'small images of random layers: as umoci unpacks them'

# ---- Layers' trees, laid over each other by overlayfs ----

# layers_of TAG: the layers' trees, as overlayfs wants them: the topmost first.
layers_of() {
	local layer

	for layer in $(ls -r "$(rootfs "$1")/../layers"); do
		printf '%s:' "$(readlink -f "$(rootfs "$1")/../layers/$layer")/tree"
	done | sed 's/:$//'
}

# A layer says nothing of directories that it implies, so its tree gives them usual attributes, which overlayfs takes from the
# topmost. It counts directories' links as one, files' as their layer has them; a device 0:0 is a whiteout to it, and there is none in these.
mkdir "$T/overlay"
for tag in python nginx odd simpler; do
	if mount -t overlay overlay -o "ro,lowerdir=$(layers_of $tag)" "$T/overlay" 2>"$T/mount.err"; then
		from=$REAL
		[ $tag != simpler ] || from=$L
		# umoci writes whiteouts below odd's new link, usr/share/man: its layer has them where the link leads.
		{ implied_in "$from" $tag; echo .; [ $tag != odd ] || echo ./usr/share/locale; } >"$T/implied"
		LINKS=no dump "$T/overlay" | without_attributes "$T/implied" >"$T/theirs"
		LINKS=no dump "$(rootfs $tag)" | without_attributes "$T/implied" >"$T/ours"
		umount "$T/overlay"
		same_dump "$tag: as overlayfs makes it of tree/" "$T/ours" "$T/theirs"
	else
		fail "$tag: overlayfs mounts it" "$(cat "$T/mount.err")"
	fi
done

# ---- Programs run ----

code='import json, sys; print(json.dumps({"sum": sum(range(1000)), "major": sys.version_info[0]}))'
is "$(chroot "$(rootfs base)" /bin/sh -c 'set -- $(ls /); echo $#' 2>&1)" "$(ls "$(rootfs base)" | wc -l)" 'chroot: sh, ls'
is "$(chroot "$(rootfs python)" /usr/bin/python3 -c "$code" 2>&1)" '{"sum": 499500, "major": 3}' 'chroot: python'
like "$(chroot "$(rootfs nginx)" /usr/sbin/nginx -v 2>&1)" 'nginx version' 'chroot: nginx'
like "$(chroot "$(rootfs base)" /usr/bin/dpkg -l 2>&1)" 'libc6' 'chroot: dpkg'
in_podman() {
	env -u DOCKER_CONFIG podman --root "$T/podman" --runroot "$T/podman-run" --cgroup-manager cgroupfs run --rm --runtime /usr/sbin/runc \
		--ulimit nofile=1024:1024 --ulimit nproc=4096:4096 --network none --rootfs "$(rootfs "$1"):O" "${@:2}" 2>&1 </dev/null
}
is "$(in_podman python /usr/bin/python3 -c "$code" | tail -n 1)" '{"sum": 499500, "major": 3}' 'podman run --rootfs: python'
is "$(in_podman nasty /bin/sh -c '/bin/busybox cat /link/via-link /d/y2' | tail -n 1)" vwhy 'podman run --rootfs: a nasty image'

# ---- Images that share a layer ----

# The link's own layers and directories aside, whatever an image left as the base has it is the same inode.
inodes() {
	(cd "$1" && find . -type f -links 1 -printf '%p %i\n' | sort)
}
inodes "$(rootfs base)" >"$T/base.inodes"
shared=$(inodes "$(rootfs nginx)" | comm -12 - "$T/base.inodes" | wc -l)
all=$(wc -l <"$T/base.inodes")
ok "$((shared * 100 < all * 99))" "an image shares what it left of its base: $shared of $all files"
is "$(find "$(rootfs nginx)" ! -type d -printf '%i\n' | sort | uniq -c | awk '$1 > 1' | wc -l)" \
	"$(find "$(rootfs nginx)" ! -type d -links +1 -printf '%i\n' | sort -u | wc -l)" 'nothing else shares an inode'

stop_regfs
rm -f "$LOG.first"
mv "$LOG" "$LOG.first"
start_regfs --open --mount "$MNT"
# Against the layer's order: nothing is decoded ahead then, which would be counted at any time.
(cd "$(rootfs nginx)/usr/bin" && find . -type f -size -60k) | while read -r file; do
	[ "$(stat -c %i "$(rootfs nginx)/usr/bin/$file")" != "$(stat -c %i "$(rootfs python)/usr/bin/$file" 2>&1)" ] || echo "$file"
done | sort -r | head -n 80 >"$T/some"
read_some() {
	(cd "$(rootfs "$1")/usr/bin" && xargs -d '\n' cat <"$T/some" | sha256sum)
}
first=$(read_some nginx)
decoded=$(stat_of spans-decoded)
ok "$((decoded < 1 || $(wc -l <"$T/some") < 80))" "reading $(wc -l <"$T/some") files decodes spans ($decoded)"
is "$(read_some python)" "$first" 'the same files in another image of the same base'
is "$(stat_of spans-decoded)" "$decoded" 'decodes nothing'

# ---- Layers in every coding ----

layer=$(jq -r '.layers[1].digest' "$(blob_path "$REAL" "$(layout_digest "$REAL" python)")")
E=$T/coding
mkdir "$E"
gzip -dc "$(blob_path "$REAL" "$layer")" >"$E/tar"
(
	cd "$E"
	gzip -1 -c tar >gzip
	split -b 3M --filter='gzip -1' tar >members
	split -b 70K --filter='gzip -1' tar >stargz
	pigz -p 4 -1 -c tar >pigz
	pigz -p 4 -i -1 -c tar >pigz-independent
	zstd -q -3 -c tar >zstd
	pzstd -q -3 -p 4 -c tar >pzstd
	split -b 2M --filter='zstd -q -1 -c' tar >frames
	igzip -0 -c tar >igzip
) || bail 'no archives'
push_image coding-tar "$E/tar"
dump "$(rootfs coding-tar)" >"$T/tar"
ok "$(($(wc -l <"$T/tar") < 1000))" "a plain tar: $(wc -l <"$T/tar") lines"
for coding in gzip members stargz pigz pigz-independent zstd pzstd frames igzip; do
	push_image coding-$coding "$E/$coding" || fail "push $coding"
	dump "$(rootfs coding-$coding)" >"$T/$coding"
	same_dump "$coding: the same as of the tar" "$T/$coding" "$T/tar"
done
# As podman writes them. By another name of this host: else the client offers what it knows to be here in another coding.
check 'a layer in zstd:chunked' skopeo copy -q --dest-tls-verify=false --src-tls-verify=false --format oci \
	--dest-compress-format zstd:chunked "docker://$ADDR/coding-tar:1" "docker://localhost:$PORT/coding-chunked:1"
http GET /v2/coding-chunked/manifests/1 -H 'Accept: application/vnd.oci.image.manifest.v1+json'
like "$(jq -c '.layers[]' "$T/body")" 'tar.zstd".*zstd-chunked.manifest-checksum' 'with its table of contents'
dump "$(rootfs coding-chunked)" >"$T/chunked"
same_dump 'zstd:chunked: the same as of the tar' "$T/chunked" "$T/tar"
isnt "$(find "$STORE/index/copy" -type f | wc -l)" 0 'what is one frame, or one block, has a decoded copy'

# ---- Large sparse files ----

make "s big z9000000000 =end;s bigger z4611686018427387904 =end;s one z4611686018427387904 =1" >"$T/sparse.tar"
push_image sparse "$T/sparse.tar"
is "$(stat -c %s "$(rootfs sparse)/big") $(tail -c 5 "$(rootfs sparse)/big" | od -An -c | xargs)" '9000000000 0 0 e n d' 'a file of 9 GB'
is "$(head -c 1000000 "$(rootfs sparse)/big" | tr -d '\0' | wc -c)" 0 'begins with a hole'
is "$(stat -c %s "$(rootfs sparse)/bigger") $(tail -c 3 "$(rootfs sparse)/bigger")" '4611686018427387904 end' 'a file of 4 EiB'
is "$(python3 -c 'import os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
print(*(os.lseek(f, *at) for at in ((0, os.SEEK_HOLE), (5, os.SEEK_DATA), (8999999998, os.SEEK_HOLE))))' "$(rootfs sparse)/big")" \
	'0 8999999997 9000000000' 'its holes are shown'
check 'and copied' cp "$(rootfs sparse)/big" "$T/big"
ok "$(($(stat -c %b "$T/big") > 100))" 'as such'
is "$(tail -c 5 "$T/big" | tr -d '\0')" end 'with what is between them'
rm -f "$T/big"

# ---- What is no image ----

printf '{"_type":"https://in-toto.io/Statement/v0.1"}' >"$T/statement.json"
config=$(descriptor "$L" "$T/config.json" application/vnd.oci.image.config.v1+json)
statement=$(descriptor "$L" "$T/statement.json" application/vnd.in-toto+json)
jq -cn --argjson config "$config" --argjson layer "$statement" '{schemaVersion: 2, config: $config, layers: [$layer],
	mediaType: "application/vnd.oci.image.manifest.v1+json"}' >"$T/manifest.json"
add_tag "$L" "$(descriptor "$L" "$T/manifest.json" application/vnd.oci.image.manifest.v1+json)" attestation
check 'push an attestation, as buildx does, with the config of an image' push_layout "$L" attestation attestation 1
unlike "$(ls -R "$MNT/attestation/_tags/1/")" 'rootfs|tree' 'it has no rootfs'
check 'and no error' ls -lR "$MNT/attestation/_tags/1/"
exits 1 'regfs ls says' "$REGFS" ls --store "$STORE" attestation:1
like "$ERR" 'an artifact of type application/vnd.in-toto.json' 'what it is'

printf '{}' >"$T/helm.json"
config=$(descriptor "$L" "$T/helm.json" application/vnd.cncf.helm.config.v1+json)
chart=$(descriptor "$L" "$E/gzip" application/vnd.cncf.helm.chart.content.v1.tar+gzip)
jq -cn --argjson config "$config" --argjson chart "$chart" '{schemaVersion: 2, config: $config, layers: [$chart],
	mediaType: "application/vnd.oci.image.manifest.v1+json"}' >"$T/manifest.json"
add_tag "$L" "$(descriptor "$L" "$T/manifest.json" application/vnd.oci.image.manifest.v1+json)" helm
check 'push a chart' push_layout "$L" helm helm 1
check_fails 'an artifact that is no image has no rootfs' test -e "$MNT/helm/_tags/1/rootfs"
check 'and no error' ls -lR "$MNT/helm/_tags/1/"
unlike "$(ls "$MNT/helm/_tags/1/")" rootfs 'nor is one listed'

# ---- Layers that can't be read ----

make "d a;f a/b =1" >"$T/good.tar"
{ make "f a =1" | head -c 1024; head -c 1024 /dev/urandom; } >"$T/bad-sum.tar"
head -c 300000 "$E/gzip" >"$T/truncated"
{ head -c 100000 "$E/gzip"; head -c 100000 /dev/urandom; } >"$T/garbage"
make "h b ->nowhere" >"$T/bad-link.tar"
make "l a ->b;l b ->a;f a/x" >"$T/loop.tar"
make "f .wh." >"$T/bad-whiteout.tar"
printf 'BZh91AY&SY' >"$T/bzip2"
head -c 5000 /dev/urandom >"$T/random"
head -c 2G /dev/zero | zstd -q -c >"$T/bomb"
zstd -q --long=31 -c <"$T/good.tar" >"$T/window"
python3 - "$T/many" <<-'END'
	import gzip, sys, tarfile
	member = gzip.compress(tarfile.TarInfo("same").tobuf() * 2048, 6)
	with open(sys.argv[1], "wb") as out:
	    out.write(member * 4883)
	END
python3 - "$T/zeros" <<-'END'
	import gzip, sys, tarfile
	info = tarfile.TarInfo("zeros")
	info.size = 2 << 30
	with open(sys.argv[1], "wb") as out:
	    out.write(gzip.compress(info.tobuf()) + gzip.compress(bytes(1 << 20)) * 2048 + gzip.compress(bytes(1024)))
	END

# unreadable NAME WHY: the image of that layer over a good one.
unreadable() {
	local name=$1 why=$2 image digest

	: >"$LOG"
	digest=$(digest_of "$T/$name")
	push_image "$name" "$T/good.tar" "$T/$name" || { fail "push $name"; return; }
	image=$MNT/$name/_tags/1
	check "$name: the image is listed" ls -l "$image/"
	fails_with 'Input/output error' "$name: its rootfs is not" ls "$image/rootfs/"
	fails_with 'Input/output error' "$name: nor a file of it" cat "$image/rootfs/a/b"
	like "$(cat "$LOG")" "$why" "$name: the log says why"
	is "$(cat "$(readlink -f "$image/layers/01")/tree/a/b")" 1 "$name: the good layer can be read"
}
for bad in bad-sum.tar:checksum truncated: garbage: loop.tar:'symbolic links' bad-whiteout.tar:whiteout random: bomb: window:'128 MiB' many:'files'; do
	name=${bad%%:*}
	unreadable "$name" "$(digest_of "$T/$name")[^"$'\n'"]*${bad#*:}"
done
unreadable bad-link.tar 'hard link b to nowhere'
is "$(read_some python)" "$first" 'the rest of the registry is unharmed'
push_image zeros "$T/zeros"
is "$(stat -c %s "$(rootfs zeros)/zeros") $(tail -c 1M "$(rootfs zeros)/zeros" | tr -d '\0' | wc -c)" '2147483648 0' \
	'two gigabytes of zeros in 2 MB'
peak=$(awk '/^VmHWM/ {print int($2 / 1024)}' "/proc/$REGFS_PID/status")
ok "$((peak >= 500))" "the server's memory never passed 500 MiB ($peak)"
stop_regfs

# ---- Indexes are made again ----

# spoil HOW [KIND]: all indexes of layers and images, or of those.
spoil() {
	local file size i

	find "$STORE/index/${2:-layer}" "$STORE/index/${2:-image}" -type f | sort -u | while read -r file; do
		chmod u+w "$file"
		size=$(stat -c %s "$file")
		case $1 in
		removed) rm "$file" ;;
		empty) : >"$file" ;;
		'cut short') truncate -s $((size / 2)) "$file" ;;
		longer) printf x >>"$file" ;;
		garbage) head -c "$size" /dev/urandom >"$file" ;;
		'of another version') printf '\377' | dd of="$file" bs=1 seek=8 conv=notrunc status=none ;;
		'damaged all over')
			for ((i = 1; i < 100; i++)); do
				printf '\377\376\375' | dd of="$file" bs=1 seek=$((size * i / 100)) conv=notrunc status=none
			done ;;
		damaged) printf '\377\377' | dd of="$file" bs=1 seek=$((size / 2)) conv=notrunc status=none ;;
		*) return 1 ;;
		esac
	done
}
dump_of() {
	dump "$(rootfs nasty)"
}
for how in removed empty 'cut short' longer garbage 'of another version' damaged; do
	spoil "$how"
	start_regfs --open --mount "$MNT"
	dump_of >"$T/again"
	same_dump "indexes are $how: the tree is the same" "$T/again" "$T/nasty"
	is "$(stat_of layers-indexed)" 6 "indexes are $how: they are made again"
	kill_regfs
done

# What is damaged is noticed when it is looked at, and whoever looks sees nothing of it.
for kind in layer image; do
	for how in damaged 'damaged all over'; do
		spoil "$how" "$kind"
		start_regfs --open --mount "$MNT"
		dump_of >"$T/again"
		same_dump "indexes of ${kind}s are $how: the tree is the same" "$T/again" "$T/nasty"
		is "$(read_some python)" "$first" "indexes of ${kind}s are $how: files' bytes are, too"
		kill_regfs
		start_regfs --open --mount "$MNT"
		is "$(read_some python) $(stat_of layers-indexed)" "$first 0" 'and for good'
		kill_regfs
	done
done

# Each is another layer's: right by itself.
spoil removed image
first_index=$(find "$STORE/index/layer" -type f | sort | head -n 1)
for file in $(find "$STORE/index/layer" -type f ! -path "$first_index"); do
	cp -f "$first_index" "$file"
done
start_regfs --open --mount "$MNT"
dump_of >"$T/again"
same_dump "indexes are another layer's: the tree is the same" "$T/again" "$T/nasty"
kill_regfs

# ---- Once, whoever asks ----

layers=$(jq '.layers | length' "$(blob_path "$REAL" "$(layout_digest "$REAL" odd)")")
spoil removed
start_regfs --open --mount "$MNT"
readers=()
for reader in 1 2 3 4; do
	ls "$MNT/odd/_tags/1/rootfs/" >"$T/reader-$reader" &
	readers+=($!)
done
wait "${readers[@]}"
is "$(sort -u "$T"/reader-? | xargs)" "$(ls "$(rootfs odd)" | xargs)" 'four readers at once see the same'
is "$(stat_of layers-indexed)" "$layers" 'each layer is indexed once'
stop_regfs

mount_regfs() {
	rm -f "$T/ready"
	mkfifo "$T/ready"
	"$REGFS" mount --ready-fd 9 --store "$STORE" "$1" 9>"$T/ready" >>"$LOG" 2>&1 </dev/null &
	MOUNT_PID=$!
	processes+=("$MOUNT_PID")
	read -r -t 60 READY <"$T/ready"
}
spoil removed
start_regfs --open --mount "$MNT"
mount_regfs "$T/second"
ls "$MNT/odd/_tags/1/rootfs/" >"$T/reader-1" &
reader=$!
ls "$T/second/odd/_tags/1/rootfs/" >"$T/reader-2"
wait $reader
check 'two processes see the same' cmp "$T/reader-1" "$T/reader-2"
is "$(($(stat_of layers-indexed) + $(awk '$1 == "layers-indexed" {print $2}' "$T/second/_registry/stats")))" "$layers" \
	'two processes index each layer once'
dump "$T/second/odd/_tags/1/rootfs" >"$T/again"
same_dump 'the second one reads it all' "$T/again" "$T/odd"
kill "$MOUNT_PID"
wait_end "$MOUNT_PID"

# ---- A crash while a layer is being indexed ----

kill_regfs
spoil removed
start_regfs --open --mount "$MNT"
ls "$MNT/base/_tags/1/rootfs/" >/dev/null 2>&1 &
reader=$!
until compgen -G "$STORE/index/layer/*/*.new" >/dev/null || ! kill -0 $reader 2>/dev/null; do
	sleep 0.005
done
kill_regfs
wait $reader
is "$(find "$STORE/index/layer" -type f ! -name '*.new' | wc -l)" 0 'kill -9 while indexing: no index is there'
start_regfs --open --mount "$MNT"
dump "$(rootfs base)" >"$T/again"
same_dump 'kill -9 while indexing: the next server makes it' "$T/again" "$T/base"
is "$(find "$STORE/index" -name '*.new' | wc -l)" 0 'kill -9 while indexing: nothing half is left'
stop_regfs
done_testing
