#!/bin/bash
# derived.t: what follows from layers (indexes, copies, files taken out) is damaged, removed, or takes long to make: under a server, and
# before it starts. Nobody sees wrong bytes, and nobody else waits.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/inside.sh"
need curl jq busybox zstd python3 strace
have_fuse || skip_all 'no /dev/fuse that can be opened here'

# flip FILE [AT]: other bytes there; in the middle.
flip() {
	[ -f "$1" ] || { fail "a file to damage" "$1"; return; }
	chmod u+w "$1"
	printf '\377\376\375' | dd of="$1" bs=1 seek="${2:-$(($(stat -c %s "$1") / 2))}" conv=notrunc status=none
}

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

# Room for the copy, and for no file besides.
start_regfs --open --mount "$MNT" --index-cache 25000000
for coding in '' .gz .zst; do
	push_layout "$L" "files$coding" "files$coding" 1 >/dev/null || bail 'no push'
done

# file CODING NAME: in the mount.
file() {
	printf '%s\n' "$MNT/files$1/_tags/1/rootfs/$2"
}
same() {
	check "$3" cmp "$(file "$1" "$2")" "$T/files/$2"
}

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

# ---- Files taken out ----

start_regfs --open --mount "$MNT"
for i in 1 2 3; do
	same .gz large "a file opened for the ${i}th time"
done
check 'is taken out' wait_stat files-taken-out 1
taken=$(find "$STORE/index/file" -type f -name "${gzipped#*:}-*")
for i in 1 2 3 4; do
	cmp "$(file '' large)" "$T/files/large"
done
check 'one of a layer that is not compressed, too' wait_stat files-taken-out 2
check 'regfs check --data finds nothing' "$REGFS" check --data --store "$STORE"
flip "$taken"
exits 0 'a file taken out is damaged: regfs check --data says so' "$REGFS" check --data --json --store "$STORE"
like "$OUT" "$gzipped" 'and of which layer'
check 'it is removed' test ! -e "$taken"
same .gz large 'and read from its layer'
check 'nothing is left to find' "$REGFS" check --data --store "$STORE"
same .gz large 'it is opened again'
check 'and taken out again' wait_stat files-taken-out 3
stop_regfs
start_regfs --open --mount "$MNT"
same .gz large 'taken out by an earlier start, it is read by itself'
is "$(stat_of spans-decoded)" 0 'from the first time on'
stop_regfs
# A store that was restored has other times.
touch "$taken"
start_regfs --open --mount "$MNT"
same .gz large 'one of another time is read'
check 'out of its layer' test "$(stat_of spans-decoded)" -gt 0
same .gz large 'but by itself'
is_sealed() {
	python3 -c 'import os, struct, sys
sys.exit(struct.unpack("=qII", os.getxattr(sys.argv[1], "user.regfs.seal"))[0] != os.stat(sys.argv[1]).st_mtime_ns)' "$taken"
}
check 'when it was compared' wait_until is_sealed
stop_regfs
# As a disk would: it leaves the time as it was.
touch -r "$taken" "$T/time"
flip "$taken"
touch -r "$T/time" "$taken"
start_regfs --open --mount "$MNT"
cat "$(file .gz large)" >/dev/null
check 'one that was damaged, and has its time, is found out when it is closed' wait_until test ! -e "$taken"
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
same .gz large 'and read out of its layer'
same .gz large 'and again'
check 'and taken out again' wait_stat files-taken-out 1
stop_regfs
taken=$(find "$STORE/index/file" -type f -name "${gzipped#*:}-*")
# Many have it open before it was looked at.
start_regfs --open --mount "$MNT"
for fd in {20..27}; do
	eval "exec $fd<\"\$(file .gz large)\""
done
were_read() {
	sed -n 's/^rchar: //p' "/proc/$REGFS_PID/io"
}
grew() {
	[ $(($(were_read) - before)) -gt 20000000 ]
}
before=$(were_read)
exec 20<&-
check 'whoever closes it first has it looked at' wait_until grew
for fd in {21..27}; do
	eval "exec $fd<&-"
	stat_of files-taken-out >"$T/out"
done
for i in {1..10}; do
	same .gz numbers "$i: meanwhile others are read"
done
ok "$(($(were_read) - before > 40000000))" "the others don't: $(($(were_read) - before)) bytes were read"
stop_regfs
# A bad sector, where the server reads.
if strace -o /dev/null true 2>/dev/null; then
	start_regfs --open --mount "$MNT"
	strace -f -qq -P "$taken" -e trace=pread64 -e inject=pread64:error=EIO -p "$REGFS_PID" -o "$T/reads" 2>"$T/strace.err" &
	tracer=$!
	processes+=("$tracer")
	is_traced() {
		grep -q "^TracerPid:[[:space:]]*$tracer$" "/proc/$REGFS_PID/status"
	}
	check 'a file taken out can not be read' wait_until is_traced
	same .gz large 'it is read'
	check 'and found out' wait_until test ! -e "$taken"
	same .gz large 'out of its layer then'
	kill "$tracer"
	wait "$tracer" 2>/dev/null
	stop_regfs
else
	skip 'strace cannot trace here'
fi

# Whom the kernel asks for each byte: one who isn't root.
if [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
	start_regfs --open --mount "$MNT"
	for i in 1 2 3; do
		cmp "$(file .gz large)" "$T/files/large"
	done
	wait_until test -e "$taken"
	stop_regfs
	chmod 755 "$T"
	mkdir "$T/plain" "$T/plain/mnt"
	mv "$STORE" "$T/plain/store"
	chown -R 65534:65534 "$T/plain"
	cat >"$T/plain.sh" <<-'END'
		mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse || exit 9
		echo owner:x:65534:65534::/:/bin/sh >"$1/passwd" && mount --bind "$1/passwd" /etc/passwd || exit 9
		cd "$1/plain"
		owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		"${owner[@]}" mkfifo ready
		"${owner[@]}" "$REGFS" serve --store store --listen 127.0.0.1:0 --open --mount mnt --ready-fd 9 9>ready >>log 2>&1 &
		read -r line <ready
		for i in 1 2 3; do
			"${owner[@]}" cat mnt/files.gz/_tags/1/rootfs/large | cmp - "$1/files/large" && echo right
			[ "$i" != 1 ] || "$2" || echo never
		done
		"${owner[@]}" fusermount3 -u mnt
		kill $!
		wait
	END
	taken=$T/plain/${taken#"$T/"}
	for what in sealed gone; do
		cat >"$T/until" <<-END
			#!/bin/bash
			. "$ROOT/tests/lib.sh" >/dev/null
			taken=$taken
			gone() {
				[ ! -e "\$taken" ]
			}
			$(declare -f is_sealed)
			sealed() {
				is_sealed 2>/dev/null
			}
			wait_until $what
		END
		chmod +x "$T/until"
		touch "$taken"
		if [ $what = gone ]; then
			python3 -c 'import os, struct, sys
seal = os.getxattr(sys.argv[1], "user.regfs.seal")
os.setxattr(sys.argv[1], "user.regfs.seal", struct.pack("=q", os.stat(sys.argv[1]).st_mtime_ns) + seal[8:])' "$taken"
			touch -r "$taken" "$T/time"
			flip "$taken"
			touch -r "$T/time" "$taken"
		fi
		is "$(unshare -m --propagation private bash "$T/plain.sh" "$T" "$T/until" | xargs)" 'right right right' \
			"without privilege: one $([ $what = gone ] && echo 'that is damaged, and has its time,' || echo 'of another time') is never shown wrong, and $what in the end"
		rm -f "$T/fuse" "$T/plain/ready"
	done
	mv "$T/plain/store" "$STORE"
	chown -R 0:0 "$STORE"
	taken=$STORE/${taken#"$T/plain/store/"}
else
	skip 'this needs root, and a mount namespace of its own'
fi
for round in 1 2; do
	# What was seen to be damaged is gone, the second time, or isn't yet.
	taken=$(find "$STORE/index/file" -type f -name "${gzipped#*:}-*")
	[ -z "$taken" ] || flip "$taken"
	start_regfs --open --mount "$MNT"
	same .gz large 'one that was damaged while no server ran is not shown'
	same .gz large 'nor the second time'
	same .gz large 'nor later'
	i=0
	until [ "$(stat_of files-taken-out)" = 1 ] || [ $((i++)) -gt 300 ]; do
		cmp -s "$(file .gz large)" "$T/files/large" || fail 'nor while it is taken out anew'
	done
	is "$(stat_of files-taken-out)" 1 'it is taken out anew'
	flip "$(find "$STORE/index/file" -type f -name "${gzipped#*:}-*")"
	same .gz large 'nor is one that is damaged while it is used'
	stop_regfs
done
start_regfs --open --mount "$MNT" --index-cache 1000
is "$(find "$STORE/index/file" "$STORE/index/copy" -type f)" '' 'a smaller --index-cache is kept to at once'
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
