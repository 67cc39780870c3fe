#!/bin/bash
# taken-out.t: files that are opened again and again are taken out of their layer: when they are looked at, that nobody is shown a
# damaged one but who had it open before it was, and that others don't wait for it.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/inside.sh"
need curl jq busybox zstd python3 strace
have_fuse || skip_all 'no /dev/fuse that can be opened here'

coded_images
# taken_of CODING: the file that was taken out of that layer.
taken_of() {
	find "$STORE/index/file" -type f -name "$(digest_of "$T/files.tar$1" | sed 's/.*://')-*" ! -name '*.new'
}
start_regfs --open --mount "$MNT"
push_coded
for i in 1 2 3; do
	same .gz large "a file opened for the ${i}th time"
done
check 'is taken out' wait_stat files-taken-out 1
taken=$(taken_of .gz)
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
sys.exit(struct.unpack("=qII", os.getxattr(sys.argv[1], "user.regfs.seal"))[0] != os.stat(sys.argv[1]).st_mtime_ns)' "${1:-$taken}"
}
check 'when it was compared' wait_until is_sealed
stop_regfs
decay "$taken"
start_regfs --open --mount "$MNT"
cat "$(file .gz large)" >/dev/null
check 'one that was damaged, and has its time, is found out when it is closed' wait_until test ! -e "$taken"
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
same .gz large 'and read out of its layer'
same .gz large 'and again'
check 'and taken out again' wait_stat files-taken-out 1
stop_regfs
taken=$(taken_of .gz)

# ---- When it is looked at ----

# opened FILE...: opens all of them at once, reads of each, and closes them one after the other.
opened() {
	python3 -c 'import os, sys
files = [os.open(name, os.O_RDONLY) for name in sys.argv[1:]]
for f in files: os.pread(f, 4096, 0)
for f in files: os.close(f)' "$@"
}
# is_out_again [CODING]: it is, after it was removed; opened again and again for that.
is_out_again() {
	cmp "$(file "${1:-.gz}" large)" "$T/files/large" && [ -n "$(taken_of "${1:-.gz}")" ]
}
# Of files whose layer has to be decoded, nothing is, where the kernel reads them by itself.
start_regfs --open --mount "$MNT"
for i in 1 2 3 4; do
	cmp "$(file .zst large)" "$T/files/large"
	cmp "$(file '' large)" "$T/files/large"
done
check 'three files are taken out' wait_stat files-taken-out 1
stop_regfs
rm -r "$STORE/index/copy" "$STORE/index/copy-index"
start_regfs --open --mount "$MNT"
same .zst large 'one of a layer that was one zstd frame is read'
same .zst large 'and once more'
check "its layer isn't decoded for that" test ! -e "$STORE/index/copy"
same .zst numbers 'as it is for another'
stop_regfs
# traced FILE OPTION...: each pread64 of the server's from there is written down in $T/reads; once that is so. untraced ends it.
traced() {
	local file=$1

	shift
	: >"$T/reads"
	strace -f -qq -P "$file" -e trace=pread64 -o "$T/reads" "$@" -p "$REGFS_PID" 2>"$T/strace.err" &
	tracer=$!
	processes+=("$tracer")
	wait_until is_traced
}
# Each thread of it.
is_traced() {
	awk -v tracer="$tracer" '$1 == "TracerPid:" { $2 == tracer ? yes++ : no++ } END { exit !yes || no }' \
		"/proc/$REGFS_PID/task"/*/status 2>/dev/null
}
untraced() {
	kill "$tracer" 2>/dev/null
	wait "$tracer" 2>/dev/null
}
if strace -o /dev/null true 2>/dev/null; then
	# What is looked at behind it is a sign that it was looked at.
	behind=$(taken_of .zst)
	touch "$behind"
	start_regfs --open --mount "$MNT"
	is "$(stat -c %s "$(file .gz large)")" 20000000 'a file is there'
	check 'its reads are noted' traced "$taken"
	opened $(yes "$(file .gz large)" | head -n 8)
	same .zst large 'another is read'
	check 'and looked at' wait_until is_sealed "$behind"
	untraced
	is "$(wc -l <"$T/reads")" $(((20000000 + 262143) / 262144)) 'one that eight have open is looked at once'
	stop_regfs

	# Of 1970, which is a time, too.
	touch -d @0 "$taken"
	touch "$behind"
	start_regfs --open --mount "$MNT"
	same .gz large 'one of 1970 is read'
	same .zst large 'another is read'
	check 'and looked at' wait_until is_sealed "$behind"
	check 'the reads of it are noted' traced "$taken"
	for i in 1 2 3; do
		same .gz large 'it is read again'
	done
	touch "$behind"
	same .zst large 'the other, too'
	check 'and looked at' wait_until is_sealed "$behind"
	untraced
	is "$(wc -l <"$T/reads")" 0 'it was compared once'
	stop_regfs
	touch "$taken"

	# A bad sector, where the server reads.
	start_regfs --open --mount "$MNT"
	check 'a file taken out can not be read' traced "$taken" -e inject=pread64:error=EIO
	same .gz large 'it is read'
	check 'and found out' wait_until test ! -e "$taken"
	same .gz large 'out of its layer then'
	untraced
	stop_regfs

	# Who has it open since before it was taken out reads by the server.
	start_regfs --open --mount "$MNT"
	exec 20<"$(file .gz large)"
	for i in 1 2 3; do
		same .gz large "a file is opened, for the ${i}th time"
	done
	check 'it is taken out' wait_until test -e "$taken"
	echo 3 >/proc/sys/vm/drop_caches
	same .gz large 'it is read there'
	check 'and can not be read any more' traced "$taken" -e inject=pread64:error=EIO
	echo 3 >/proc/sys/vm/drop_caches
	same .gz large 'it is read out of its layer'
	ok "$(($(wc -l <"$T/reads") == 0))" 'when that was seen'
	check 'and removed' test ! -e "$taken"
	untraced
	exec 20<&-
	for i in 1 2 3; do
		same .gz large "it is opened, for the ${i}th time"
	done
	check 'and taken out again' wait_until is_out_again
	stop_regfs

	# By a slow disk: each of three takes longer than its turn.
	for coding in '' .gz .zst; do
		decay "$(taken_of "$coding")"
	done
	echo 3 >/proc/sys/vm/drop_caches
	start_regfs --open --mount "$MNT"
	ls -l "$(file '' .)" "$(file .gz .)" "$(file .zst .)" >"$T/out"
	check 'a disk is slow' traced "$taken" -P "$(taken_of '')" -P "$(taken_of .zst)" -e inject=pread64:delay_exit=50000
	opened "$(file '' large)" "$(file .gz large)" "$(file .zst large)"
	none_taken() {
		[ -z "$(find "$STORE/index/file" -type f)" ]
	}
	check 'what takes longer than a turn is gone on with' wait_until none_taken
	untraced
	for coding in '' .gz .zst; do
		same "$coding" large "tar$coding: it is read"
		check 'and taken out again' wait_until is_out_again "$coding"
	done
	taken=$(taken_of .gz)
	stop_regfs

	# A server that is stopped meanwhile has found nothing out. (It ends while it is traced: no sanitizer can look for leaks then.)
	ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 start_regfs --open --mount "$MNT"
	is "$(stat -c %s "$(file .gz large)")" 20000000 'a file is there'
	check 'a disk is slow' traced "$taken" -e inject=pread64:delay_exit=100000
	opened "$(file .gz large)"
	check 'a file is being looked at' wait_until test -s "$T/reads"
	stop_regfs
	untraced
	check 'a server that stops leaves it' test -e "$taken"
else
	skip 'strace cannot trace here'
fi

# ---- Who has it open meanwhile ----

decay "$taken"
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
start_regfs --open --mount "$MNT"
exec 20<"$(file .gz large)"
opened "$(file .gz large)"
check 'one that was damaged is found out while somebody has it open' wait_until test ! -e "$taken"
for i in 1 2 3; do
	same .gz large "$i: who opens it now isn't shown that"
done
check 'nor when it was taken out again' wait_until is_out_again
same .gz large 'who opens it then'
exec 20<&-
same .gz large 'it is closed'
exec 20<"$(file .gz large)"
flip "$taken"
same .gz large 'one is written to while somebody has it open: who opens it now is not shown that'
is_removed() {
	cmp "$(file .gz large)" "$T/files/large" && [ ! -e "$taken" ]
}
check 'nor until it is removed' wait_until is_removed
same .gz large 'nor later'
exec 20<&-
check 'it is taken out again' wait_until is_out_again
stop_regfs
like "$(cat "$LOG")" "a file taken out of layer $gzipped was damaged: it is removed" 'the log says so'

# One that can't be removed.
if chattr +i "$taken" 2>/dev/null; then
	chattr -i "$taken"
	decay "$taken"
	chattr +i "$taken"
	: >"$LOG"
	start_regfs --open --mount "$MNT"
	cat "$(file .gz large)" >/dev/null
	check 'one that is damaged, and can not be removed, is told of' wait_line "$LOG" "$REGFS_PID" "layer $gzipped was damaged: .* but stays"
	for i in 1 2 3; do
		same .gz large "$i: and is not shown again"
	done
	is "$(grep -c 'but stays' "$LOG")" 1 'nor looked at'
	stop_regfs
	chattr -i "$taken"
	rm "$taken"
	start_regfs --open --mount "$MNT"
	check 'removed by hand, it is taken out again' wait_until is_out_again
	stop_regfs
else
	skip 'no file can be made immutable here'
fi

# Who opened it has it, though its image is removed, and the layer with it.
push_again() {
	start_regfs --open --mount "$MNT"
	push_layout "$L" files.gz files.gz 1 >/dev/null
	check 'it is pushed again, and taken out' wait_until is_out_again
	stop_regfs
}
gone() {
	"$REGFS" gc --grace 0 --undo-keep 0 --store "$STORE" >/dev/null && [ ! -e "$STORE/blobs/sha256/${gzipped:7:2}/${gzipped#*:}" ]
}
start_regfs --open --mount "$MNT"
exec 20<"$(file .gz large)"
"$REGFS" repo rm --store "$STORE" files.gz >/dev/null
check 'the layer of an open file goes' gone
is "$(sha256sum <&20)" "$(sha256sum <"$T/files/large")" 'it is read'
exec 20<&-
stop_regfs
push_again

# Many at once, as when a container ends.
mkdir "$T/many"
for i in {1..40}; do
	head -c 200000 /dev/urandom >"$T/many/$i"
done
tar -C "$T/many" -cf - . | gzip -n >"$T/many.tar.gz"
tar_image "$L" many "$T/many.tar.gz" >/dev/null || bail 'no image'
for i in {1..5}; do
	make_image "$L" "small$i" "hello $i" >/dev/null || bail 'no image'
done
start_regfs --open --mount "$MNT"
push_layout "$L" many many 1 >/dev/null
many=$MNT/many/_tags/1/rootfs
all_taken() {
	cat "$many"/* >/dev/null
	[ "$(stat_of files-taken-out)" = 40 ]
}
check 'forty files are taken out' wait_until all_taken
stop_regfs
digest=$(digest_of "$T/many.tar.gz")
while read -r one; do
	decay "$one"
done < <(find "$STORE/index/file" -name "${digest#*:}-*")
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null
start_regfs --open --mount "$MNT"
left() {
	find "$STORE/index/file" -name "${digest#*:}-*"
}
none_left() {
	[ -z "$(left)" ]
}
paths=()
if strace -o /dev/null true 2>/dev/null; then
	readarray -t paths < <(left | sed 's/^/-P\n/')
	ls -l "$many" >"$T/out"
	check 'the disk is slow' traced "$taken" "${paths[@]}" -e inject=pread64:delay_exit=500000
fi
opened "$many"/*
for i in {1..5}; do
	push_layout "$L" "small$i" "small$i" 1 >/dev/null
	is "$(cat "$MNT/small$i/_tags/1/rootfs/message")" "hello $i" "$i: another image is looked into"
done
if [ ${#paths[@]} -gt 0 ]; then
	ok "$(($(left | wc -l) < 10))" "long before all forty are compared: $(left | wc -l) are left"
	untraced
fi
check 'all of them are found out that were damaged, when one who had all of them open closes them' wait_until none_left
check 'and read out of their layer' diff -r "$many" "$T/many"
stop_regfs

# ---- Without privilege ----

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
	cat >"$T/thrice.py" <<-'END'
		import os, sys

		begin = open(sys.argv[1], "rb").read(1000)
		for i in range(3):
		    try:
		        print("right" if os.pread(8, 1000, 0) == begin else "wrong")
		    except OSError as e:
		        print(os.strerror(e.errno))
		END
	cat >"$T/plain.sh" <<-'END'
		mknod -m 666 "$1/fuse" c 10 229 && mount --bind "$1/fuse" /dev/fuse || exit 9
		echo owner:x:65534:65534::/:/bin/sh >"$1/passwd" && mount --bind "$1/passwd" /etc/passwd || exit 9
		cd "$1/plain"
		owner=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		"${owner[@]}" mkfifo ready
		"${owner[@]}" "$REGFS" serve --store "$3" --listen 127.0.0.1:0 --open --mount mnt --ready-fd 9 9>ready >>log 2>&1 &
		read -r line <ready
		if [ "$2" = removed ]; then
			before=$(awk '/rchar/ { print $2 }' /proc/$!/io)
			"${owner[@]}" bash -c 'exec 8<mnt/files.gz/_tags/1/rootfs/large
				"$REGFS" repo rm --store "$2" files.gz
				"$REGFS" gc --grace 0 --undo-keep 0 --store "$2"
				[ ! -e "$3" ] && exec python3 "$1/thrice.py" "$1/files/large" >&9' - "$1" "$3" "$4" 9>&1 >>log 2>&1
			[ $(($(awk '/rchar/ { print $2 }' /proc/$!/io) - before)) -lt 30000000 ] && echo once
		fi
		for i in $([ "$2" = removed ] || seq 3); do
			"${owner[@]}" cat mnt/files.gz/_tags/1/rootfs/large | cmp - "$1/files/large" && echo right
			[ "$i" != 1 ] || "$2" || echo never
		done
		"${owner[@]}" fusermount3 -u mnt
		kill $!
		wait
	END
	taken=$T/plain/${taken#"$T/"}
	for what in right damaged; do
		cp -a "$T/plain/store" "$T/plain/other"
		[ $what = right ] || decay "$T/plain/other/${taken#"$T/plain/store/"}"
		is "$(unshare -m --propagation private bash "$T/plain.sh" "$T" removed other "other/blobs/sha256/${gzipped:7:2}/${gzipped#*:}" | xargs)" \
			"$([ $what = right ] && echo right right right || echo Input/output error Input/output error Input/output error) once" \
			"without privilege: one, $what, that was opened before its layer went, is compared once"
		rm -rf "$T/fuse" "$T/plain/ready" "$T/plain/other"
	done
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
			decay "$taken"
		fi
		is "$(unshare -m --propagation private bash "$T/plain.sh" "$T" "$T/until" store | xargs)" 'right right right' \
			"without privilege: one $([ $what = gone ] && echo 'that is damaged, and has its time,' || echo 'of another time') is never shown wrong, and $what in the end"
		rm -f "$T/fuse" "$T/plain/ready"
	done
	mv "$T/plain/store" "$STORE"
	chown -R 0:0 "$STORE"
	taken=$STORE/${taken#"$T/plain/store/"}
else
	skip 'this needs root, and a mount namespace of its own'
fi

# ---- Damaged while no server ran, or while it does ----

for round in 1 2; do
	# What was seen to be damaged is gone, the second time, or isn't yet.
	taken=$(taken_of .gz)
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
	flip "$(taken_of .gz)"
	same .gz large 'nor is one that is damaged while it is used'
	stop_regfs
done
start_regfs --open --mount "$MNT" --index-cache 1000
is "$(find "$STORE/index/file" "$STORE/index/copy" -type f)" '' 'a smaller --index-cache is kept to at once'
stop_regfs
done_testing
