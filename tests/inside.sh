# inside.sh: what tests of rootfs/ and tree/ share; bash, after lib.sh.

# stat_of KEY: of _registry/stats.
stat_of() {
	sed -n "s/^$1 //p" "$MNT/_registry/stats"
}

# wait_stat KEY VALUE: until the statistics say so.
stat_is() {
	[ "$(stat_of "$1")" = "$2" ]
}
wait_stat() {
	wait_until stat_is "$1" "$2"
}

# tar_image LAYOUT TAG TAR: an image of that layer, in whatever coding (its media type and its diff ID are a tar's); prints its digest.
tar_image() {
	local layer config d

	layer=$(descriptor "$1" "$3" application/vnd.oci.image.layer.v1.tar) || return 1
	jq -cn --arg id "$(digest_of "$3")" --arg arch "$ARCH" '{architecture: $arch, os: "linux",
		rootfs: {type: "layers", diff_ids: [$id]}}' >"$T/config.json"
	config=$(descriptor "$1" "$T/config.json" application/vnd.oci.image.config.v1+json) || return 1
	jq -cn --argjson config "$config" --argjson layer "$layer" '{schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' >"$T/manifest.json"
	d=$(descriptor "$1" "$T/manifest.json" application/vnd.oci.image.manifest.v1+json) &&
		add_tag "$1" "$d" "$2" && jq -r .digest <<<"$d"
}

# zeros_layer FILE GIGABYTES: a gzip layer of one file of zeros, in members of a kilobyte for each megabyte of it: some 0.8 s to decode for each
# gigabyte, a megabyte.
zeros_layer() {
	python3 - "$1" "$2" <<-'END'
		import gzip, sys, tarfile
		info = tarfile.TarInfo("zeros")
		info.size = int(sys.argv[2]) << 30
		part = gzip.compress(bytes(1 << 20), mtime=0) * 1024
		with open(sys.argv[1], "wb") as out:
		    out.write(gzip.compress(info.tobuf()))
		    for _ in range(int(sys.argv[2])):
		        out.write(part)
		    out.write(gzip.compress(bytes(1024)))
		END
}

# coded_images: a layer of two files, `large` and `numbers`, which lie in $T/files, as tar, gzip and one zstd frame, with an image of each in
# the layout $L; their digests in $plain and $gzipped.
coded_images() {
	local coding

	L=$T/layout
	mkdir "$T/files"
	head -c 20000000 /dev/urandom >"$T/files/large"
	seq 10000 >"$T/files/numbers"
	tar -C "$T/files" -cf "$T/files.tar" .
	gzip -kn "$T/files.tar"
	zstd -q "$T/files.tar"
	for coding in '' .gz .zst; do
		tar_image "$L" "files$coding" "$T/files.tar$coding" >/dev/null || bail 'no image'
	done
	plain=$(digest_of "$T/files.tar")
	gzipped=$(digest_of "$T/files.tar.gz")
}

# push_coded: them, as files:1, files.gz:1 and files.zst:1.
push_coded() {
	local coding

	for coding in '' .gz .zst; do
		push_layout "$L" "files$coding" "files$coding" 1 >/dev/null || bail 'no push'
	done
}

# file CODING NAME: in the mount.
file() {
	printf '%s\n' "$MNT/files$1/_tags/1/rootfs/$2"
}

# same CODING NAME WHAT: it is what was packed.
same() {
	check "$3" cmp "$(file "$1" "$2")" "$T/files/$2"
}

# flip FILE [AT]: other bytes there; in the middle.
flip() {
	[ -f "$1" ] || { fail "a file to damage" "$1"; return; }
	chmod u+w "$1"
	printf '\377\376\375' | dd of="$1" bs=1 seek="${2:-$(($(stat -c %s "$1") / 2))}" conv=notrunc status=none
}

# decay FILE: the same, as a disk would: it leaves the time as it was.
decay() {
	touch -r "$1" "$T/time"
	flip "$1"
	touch -r "$T/time" "$1"
}
