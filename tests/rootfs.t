#!/bin/bash
# rootfs.t: rootfs/ and tree/ of real images and of nasty ones, held against what umoci unpacks, what docker exports, and what
# overlayfs makes of the layers' trees.
#
# The real images are made once, by tests/rootfs-images, below the build directory; what umoci and docker make of an
# image is kept there too, by the image's digest.
. "$(dirname "$0")/lib.sh"
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

# stat_of KEY: of _registry/stats.
stat_of() {
	awk -v key="$1" '$1 == key {print $2}' "$MNT/_registry/stats"
}

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
# and device; which names are of one file; attributes; digests. DIRECTORY_LINKS=no: not those of directories.
dump() (
	list=$T/dump.$BASHPID
	links=%n
	[ "${DIRECTORY_LINKS:-yes}" = yes ] || links=-
	paths "$1" >"$list"
	cd "$1" || exit 1
	find -files0-from "$list" -maxdepth 0 \( -type d -printf "%p\t%y %m %U:%G - %T@ $links\\0" \) -o \
		-printf '%p\t%y %m %U:%G %s %T@ %n %l\0' | tr '\0' '\n'
	find -files0-from "$list" -maxdepth 0 \( -type b -o -type c \) -exec stat -c '%n is %t:%T' {} +
	find -files0-from "$list" -maxdepth 0 ! -type d -links +1 -printf '%i\t%p\n' | LC_ALL=C sort -s -n -k1,1 |
		awk -F'\t' '$1 "" != last "" {if (line) print line; line = "one file:"; last = $1} {line = line " " $2}
			END {if (line) print line}' | sort
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

# image_of TAG FILE...: an image in $L of these layers, tars or compressed ones; prints its digest.
image_of() {
	local tag=$1 file type config layers=() ids=()

	shift
	for file; do
		type=application/vnd.oci.image.layer.v1.tar
		case $(head -c 4 "$file" | od -An -tx1) in
		' 1f 8b'*) type+=+gzip; ids+=("$(gzip -dcq "$file" 2>/dev/null | sha256sum)") ;;
		' 28 b5 2f fd') type+=+zstd; ids+=("$(zstd -dcq "$file" 2>/dev/null | sha256sum)") ;;
		*) ids+=("$(sha256sum <"$file")") ;;
		esac
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
for tag in base python nginx; do
	check "push $tag" skopeo copy -q --dest-tls-verify=false "oci:$REAL:$tag" "docker://$ADDR/$tag:1"
done

umoci_dump() {
	umoci unpack --image "$1:$2" "$T/bundle" >"$T/umoci.log" 2>&1 || { cat "$T/umoci.log" >&2; return 1; }
	dump "$T/bundle/rootfs"
	rm -rf "$T/bundle"
}

# umoci's tree of LAYOUT's image TAG: a file.
umoci_has() {
	kept "umoci-$(layout_digest "$1" "$2" | cut -d: -f2)" umoci_dump "$1" "$2"
}

for tag in base python nginx; do
	dump "$(rootfs $tag)" >"$T/$tag"
	same_dump "$tag: as umoci unpacks it" "$T/$tag" "$(umoci_has "$REAL" $tag)"
done
done_testing
