#!/bin/bash
# derived.t: what follows from layers (indexes and copies; files taken out are in taken-out.t) is damaged, removed, or takes long to make:
# under a server, and before it starts. Nobody sees wrong bytes, and nobody else waits.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/inside.sh"
need curl jq busybox zstd python3
have_fuse || skip_all 'no /dev/fuse that can be opened here'

coded_images
# Room for the copy, and for no file besides.
start_regfs --open --mount "$MNT" --index-cache 25000000
push_coded

# ---- Copies ----

same .zst numbers 'one zstd frame is read from a copy'
for what in copy copy-index; do
	[ $what = copy ] && at=1000000 || at=200
	for restart in '' yes; do
		# The kernel has what it read: the tag's directory is another one then.
		[ -z "$restart" ] || stop_regfs
		flip "$(find "$STORE/index/$what" -type f)" "$at"
		[ -z "$restart" ] || start_regfs --open --mount "$MNT" --index-cache 25000000
		echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
		same .zst large "its $what is damaged${restart:+, and the server starts}: it is made again"
		same .zst numbers 'and holds'
	done
done
is "$(find "$STORE/index/copy" -type f | wc -l) $(find "$STORE/index/copy-index" -type f | wc -l)" '1 1' 'there is one of each'

stop_regfs

# ---- Layers ----

# A layer that was damaged, and pushed again, under one server.
for coding in '' .gz; do
	[ -z "$coding" ] && layer=$plain || layer=$gzipped
	blob=$STORE/blobs/sha256/${layer:7:2}/${layer#*:}
	rm -rf "$STORE/index"
	flip "$blob" 10000000
	start_regfs --open --mount "$MNT"
	fails_with 'Input/output error' "${coding:-tar}: a damaged layer can't be looked into" ls "$MNT/files$coding/_tags/1/rootfs/"
	like "$(cat "$LOG")" "layer $layer .*: push it again" 'the log says which, and what to do'
	for i in 1 2 3; do
		ls "$MNT/files$coding/_tags/1/rootfs/" >/dev/null 2>&1
	done
	is "$(grep -c "mount: layer $layer can't be looked into" "$LOG")" 1 'once'
	check 'it is put into quarantine' test ! -e "$blob"
	fails_with 'Input/output error' 'it is in quarantine' ls "$MNT/files$coding/_tags/1/rootfs/"
	push_layout "$L" "files$coding" "files$coding" 1 >/dev/null
	same "$coding" large 'pushed again it can be read'
	# Indexed already: what was decoded before, and what the kernel has of it, is right, and nothing else is shown.
	stop_regfs
	flip "$blob" 1000000
	rm -rf "$STORE/index/file"
	: >"$LOG"
	start_regfs --open --mount "$MNT"
	fails_with 'Input/output error' "${coding:-tar}: damaged when it had an index: nothing wrong is shown" cat "$(file "$coding" large)"
	like "$(cat "$LOG")" "layer $layer " 'and the log says why'
	check 'it is put into quarantine' wait_line "$LOG" "$REGFS_PID" "layer $layer is damaged: it is in quarantine"
	echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
	push_layout "$L" "files$coding" "files$coding" 1 >/dev/null
	echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
	same "$coding" large 'and pushed again: it can be read'
	stop_regfs
done

# A blob that somebody has open is damaged, found out, and pushed again.
blob=$STORE/blobs/sha256/${gzipped:7:2}/${gzipped#*:}
start_regfs --open --mount "$MNT"
held=$MNT/files.gz/_blobs/sha256/${gzipped#*:}
check 'a blob is read by itself' cmp "$held" "$T/files.tar.gz"
exec 20<"$held"
decay "$blob"
exits 1 'regfs check --data finds that it was damaged' "$REGFS" check --data --store "$STORE"
check 'it is put into quarantine' test ! -e "$blob"
push_layout "$L" files.gz files.gz 1 >/dev/null
check 'pushed again, and opened: it is read right, though somebody has the damaged one open' cmp "$held" "$T/files.tar.gz"
exec 20<&-
stop_regfs

# ---- Indexes that go, or were left ----

printf half >"$STORE/index/layer/${gzipped:7:2}/${gzipped#*:}.new"
mkdir -p "$STORE/index/file/00"
printf half >"$STORE/index/file/00/$(printf '%064d-17' 0).new"
mkdir -p "$STORE/index/file/${gzipped:7:2}"
printf old >"$STORE/index/file/${gzipped:7:2}/${gzipped#*:}-17"
start_regfs --open
push_layout "$L" files gone 1 >/dev/null
make_image "$L" one 'hello one' >/dev/null
push_layout "$L" one gone 2 >/dev/null
check 'a repository goes' "$REGFS" repo rm --store "$STORE" gone
stop_regfs
check 'regfs gc' "$REGFS" gc --grace 0 --undo-keep 0 --store "$STORE"
is "$(find "$STORE/index" -name '*.new' -o -name '*-17')" '' 'removes what a crash left, and what is of another version'
start_regfs --open --mount "$MNT"
(
	while [ ! -e "$T/enough" ]; do
		rm -rf "$STORE/index" 2>/dev/null
	done
) &
remover=$!
processes+=($remover)
wrong=0
for i in $(seq 60); do
	for coding in '' .gz .zst; do
		"$REGFS" cat --store "$STORE" "files$coding:1:numbers" 2>>"$T/cat.err" | cmp -s - "$T/files/numbers" || wrong=$((wrong + 1))
	done
done
touch "$T/enough"
wait $remover
is "$wrong $(head -c 300 "$T/cat.err")" '0 ' 'index/ may be removed at any time, also while it is made'
stop_regfs

# ---- Indexes that are damaged while they are used ----

rm -rf "$STORE/index"
start_regfs --open --mount "$MNT"
for how in 'cut short' 'without a byte'; do
	for kind in layer image; do
		for coding in '' .gz .zst; do
			ls "$MNT/files$coding/_tags/1/rootfs" >/dev/null
		done
		for index in "$STORE/index/$kind"/*/*; do
			chmod u+w "$index"
			case $how in
			'cut short') truncate -s $(($(stat -c %s "$index") / 2)) "$index" ;;
			*) : >"$index" ;;
			esac
		done
		echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
		for coding in '' .gz .zst; do
			same "$coding" numbers "indexes of ${kind}s become $how: files${coding:-.tar} are as they were"
			is "$(stat -c %s "$(file "$coding" large)")" 20000000 'and their sizes'
		done
	done
done
stop_regfs

# What is no file.
for what in fifo directory 'full directory' link 'file for a directory'; do
	for index in "$STORE/index/layer"/*/*; do
		rm -rf "$index"
		case $what in
		fifo) mkfifo "$index" ;;
		directory) mkdir "$index" ;;
		'full directory') mkdir -p "$index/x" ;;
		link) ln -s /etc/passwd "$index" ;;
		*) rm -rf "${index%/*}" && : >"${index%/*}" ;;
		esac
	done
	rm -rf "$STORE/index/image"
	: >"$LOG"
	start_regfs --open --mount "$MNT"
	if [ "$what" = 'full directory' ]; then
		fails_with 'Input/output error' "a $what in the place of an index can't be taken away" timeout 20 ls "$MNT/files.gz/_tags/1/rootfs/"
		like "$(cat "$LOG")" 'index/layer/.* in the store can.t be opened .*: remove it' 'which the log says'
		rm -rf "$STORE/index/layer"
	else
		for coding in '' .gz .zst; do
			check "a $what in the place of an index" timeout 20 cmp "$(file "$coding" numbers)" "$T/files/numbers"
		done
	fi
	stop_regfs
done

# By its checksums right, but not by what it says: a link that stands in itself.
ln -s /etc/fact "$T/link"
tar -C "$T" -cf "$T/link.tar" link
tar_image "$L" link "$T/link.tar" >/dev/null
rm -rf "$STORE/index"
start_regfs --open --mount "$MNT" --mount-options transform-symlinks
push_layout "$L" link link 1 >/dev/null
is "$(readlink "$MNT/link/_tags/1/rootfs/link")" etc/fact 'a link'
stop_regfs
index=$(find "$STORE/index/image" -type f)
chmod u+w "$index"
python3 - "$index" <<-'END'
	import struct, sys, zlib
	with open(sys.argv[1], "r+b") as f:
	    data = bytearray(f.read())
	    inodes, = struct.unpack_from("<Q", data, 56)
	    number = next(n for n in range(1, 9) if struct.unpack_from("<I", data, inodes + 64 * (n - 1))[0] & 0o170000 == 0o120000)
	    struct.pack_into("<I", data, inodes + 64 * (number - 1) + 48, number)
	    body = (56 + 16 * 9 + 4 + 7) // 8 * 8
	    struct.pack_into("<I", data, 56 + 16 * 9, zlib.crc32(data[body:]))
	    struct.pack_into("<I", data, 24, zlib.crc32(data[28:body]))
	    f.seek(0)
	    f.write(data)
	END
start_regfs --open --mount "$MNT" --mount-options transform-symlinks
is "$(timeout 20 readlink "$MNT/link/_tags/1/rootfs/link")" etc/fact 'that stands in itself, as its index says, is read from one made again'
stop_regfs

# ---- What is large holds up nothing else ----

for i in 1 2 3 4 5; do
	zeros_layer "$T/zeros" $((60 + i))
	tar_image "$L" "zeros$i" "$T/zeros" >/dev/null
done
make_image "$L" one 'hello one' >/dev/null
rm -rf "$STORE/index"
start_regfs --open --mount "$MNT"
for i in 1 2 3 4 5; do
	push_layout "$L" "zeros$i" "zeros$i" 1 >/dev/null
done
push_layout "$L" one one 1 >/dev/null
readers=()
for i in 1 2 3 4 5; do
	for reader in $([ $i = 5 ] || seq 2 5) 1; do
		python3 -c 'import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: None)
os.listdir(sys.argv[1])' "$MNT/zeros$i/_tags/1/rootfs/" >/dev/null 2>&1 &
		readers+=($!)
		alone=$!
	done
	for reader in 1 2 3 4 5 6 7 8; do
		"$REGFS" ls --server "http://$ADDR" "zeros$i:1" >/dev/null 2>&1 &
		readers+=($!)
	done
done
processes+=("${readers[@]}")
# still: how many of the readers wait.
still() {
	local pid n=0

	for pid in "${readers[@]}"; do
		kill -0 "$pid" 2>/dev/null && n=$((n + 1))
	done
	printf '%s\n' $n
}
i=0
until [ "$(find "$STORE/index/layer" -name '*.new' 2>/dev/null | wc -l)" -ge 2 ] || [ $((i++)) -gt 5000 ]; do
	read -r -t 0.01 <> <(:)
done
check 'many wait for layers of 60 GB: the mount is listed' ls "$MNT"
is "$(cat "$MNT/one/_tags/1/rootfs/message")" 'hello one' 'another image is looked into for the first time'
same .gz numbers 'so is a third one'
check 'it is pushed to' push_layout "$L" files two 1
is "$("$REGFS" cat --server "http://$ADDR" two:1:numbers | sha256sum)" "$(sha256sum <"$T/files/numbers")" 'and read over HTTP'
is "$(still)" 61 'all the while they wait'
# Who looks for the same name as another waits in the kernel, which no signal ends.
kill -USR1 "$alone"
is "$(still)" 61 'a signal that is handled ends no wait'
kill -KILL "$alone"
wait "$alone" 2>/dev/null
is "$(still)" 60 'who is killed waits no longer'
kill -KILL "${readers[@]}" 2>/dev/null
# connections: to the server.
connections() {
	find "/proc/$REGFS_PID/fd" -lname 'socket:*' 2>/dev/null | wc -l
}
i=0
until [ "$(connections)" -le 10 ] || [ $((i++)) -gt 300 ]; do
	read -r -t 0.05 <> <(:)
done
ok "$(($(connections) > 10))" 'nor do clients that are killed'
stop_regfs
for reader in "${readers[@]}"; do
	wait "$reader" 2>/dev/null
done
is "$(find "$STORE/index" -name '*.new')" '' 'a server that is stopped meanwhile leaves nothing half made'

# ---- No room for a copy ----

mkdir "$T/small" "$T/big"
base64 /dev/urandom | head -c 19000000 >"$T/big/text"
echo hello >"$T/big/message"
tar -C "$T/big" -cf - . | zstd -q >"$T/big.tar.zst"
tar_image "$L" big "$T/big.tar.zst" >/dev/null || bail 'no image'
# written: bytes, by the server, so far.
written() {
	sed -n 's/^wchar: //p' "/proc/$REGFS_PID/io"
}
if mount -t tmpfs -o size=24m regfs-test "$T/small" 2>/dev/null; then
	STORE=$T/small/store start_regfs --open --mount "$MNT"
	push_layout "$L" big big 1 >/dev/null
	before=$(written)
	fails_with 'No space left' 'a disk without room for a copy: said' cat "$MNT/big/_tags/1/rootfs/message"
	first=$(written)
	ok "$((first - before < 1000000))" "a copy was begun: $((first - before)) bytes"
	fails_with 'No space left' 'and said again' cat "$MNT/big/_tags/1/rootfs/text"
	ok "$(($(written) - first > 1000000))" 'but not tried again'
	stop_regfs
	umount "$T/small"
else
	skip 'no tmpfs can be mounted'
fi
done_testing
