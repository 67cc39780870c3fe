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
