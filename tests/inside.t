#!/bin/bash
# inside.t: how rootfs/ and tree/ are shown and made: the mount's options, --index, --index-cache, a program that ends
# while it indexes; that walking them holds up nobody else.
. "$(dirname "$0")/lib.sh"
. "$ROOT/tests/inside.sh"
need curl jq busybox strace
have_fuse || skip_all 'no /dev/fuse that can be opened here'

L=$T/layout
mkdir -p "$T/links/usr/lib" "$T/links/etc"
echo fact >"$T/links/etc/fact"
ln -s /etc/fact "$T/links/usr/lib/absolute"
ln -s / "$T/links/root"
ln -s ../etc/fact "$T/links/usr/relative"
ln -s /etc/fact "$T/links/absolute"
ln -s /../../../../../../../etc/fact "$T/links/usr/lib/above"
ln -s /usr/./..//../../../../../etc/fact "$T/links/usr/lib/over"
head -c 400000 /dev/urandom >"$T/links/large"
mkdir -p "$T/links/many/"{1..50}
touch "$T/links/many/"{1..50}/{1..20}
tar -C "$T/links" -cf "$T/links.tar" .
gzip -kn "$T/links.tar"
tar_image "$L" links "$T/links.tar.gz" >/dev/null || bail 'no image'
make_image "$L" one 'hello one' >/dev/null
make_image "$L" two 'hello two' >/dev/null

# ---- Made when they are looked into, or when they come ----

start_regfs --open --mount "$MNT"
push_layout "$L" one a >/dev/null || bail 'no push'
check 'listing an image indexes nothing' ls "$MNT"/a/_tags/one/ "$MNT"/a/_layers/sha256/*
is "$(stat_of layers-indexed)" 0 'nor does a push'
is "$(cat "$MNT/a/_tags/one/rootfs/message")" 'hello one' 'looking into it does'
is "$(stat_of layers-indexed)" 2 'both layers'
push_layout "$L" links a >/dev/null
link=$MNT/a/_tags/links/rootfs
# reads: that the server made so far, one for each request.
reads() {
	awk '/^syscr/ {print $2}' "/proc/$REGFS_PID/io"
}
(
	cd "$link" || exit
	find . -printf '%p %s %m %T@\n' >"$T/find-1"
	find . -printf '%p %s %m %T@\n' >"$T/find-2"
	before=$(reads)
	find . -printf '%p %s %m %T@\n' >"$T/find-3"
	echo $(($(reads) - before)) >"$T/reads"
)
is "$(sort "$T/find-1" "$T/find-2" "$T/find-3" | uniq -c | awk '{print $1}' | sort -u)" 3 'walked three times it is the same'
# find looks at the file system once, or twice.
ok "$(($(cat "$T/reads") > 5))" "the third time nothing is asked ($(cat "$T/reads") requests for more than 50 directories)"
is "$(readlink "$link/usr/lib/absolute" "$link/root" | xargs)" '/etc/fact /' 'links are shown as they are'
for i in 1 2 3; do
	check "a large file, opened for the ${i}th time" cmp "$link/large" "$T/links/large"
done
check 'stands by itself then' wait_stat files-taken-out 1
check 'and is read from there' cmp "$link/large" "$T/links/large"
is "$(find "$STORE/index/file" -type f -size +100k | wc -l)" 1 'a file among the indexes'
find "$STORE/index/file" -type f -delete
check 'which may go at any time' cmp "$link/large" "$T/links/large"
stop_regfs

start_regfs --open --mount "$MNT" --index push --mount-options hide-trees,transform-symlinks --index-cache 0
push_layout "$L" two b >/dev/null
check '--index push: a push does, in the background' wait_stat layers-indexed 1
is "$(stat_of layers-indexed)" 1 'the one that had none'
is "$(cat "$MNT/b/_tags/two/rootfs/message")" 'hello two' 'and it is there'

# ---- hide-trees ----

is "$(ls "$MNT/b/_tags/two/" | grep -cx rootfs)" 0 'hide-trees: no rootfs in a listing'
is "$(ls "$MNT"/b/_layers/sha256/* | grep -cx tree)" 0 'hide-trees: no tree either'
check 'hide-trees: both answer' test -d "$MNT/b/_tags/two/rootfs" -a -d "$(echo "$MNT"/b/_layers/sha256/*/ | cut -d' ' -f1)tree"
is "$(ls "$MNT/b/_tags/two/rootfs/" | xargs)" 'bin etc message tmp' 'hide-trees: what is inside is listed'
is "$(find "$MNT" -name message)" '' 'hide-trees: a walker finds nothing inside'

# ---- transform-symlinks ----

link=$MNT/a/_tags/links/rootfs
is "$(readlink "$link/usr/lib/absolute" "$link/absolute" "$link/root" "$link/usr/relative" | xargs)" \
	'../../etc/fact etc/fact . ../etc/fact' 'transform-symlinks: absolute links stay inside'
is "$(readlink "$link/usr/lib/above" "$link/usr/lib/over" | xargs)" '../../etc/fact ../../usr/../etc/fact' \
	'transform-symlinks: nor do they lead above their root by ".."'
is "$(cat "$link/usr/lib/absolute" "$link/absolute" "$link/root/etc/fact" | xargs)" 'fact fact fact' 'transform-symlinks: they lead there'
is "$(stat -c %s "$link/usr/lib/absolute")" 14 'transform-symlinks: their size is that of what is shown'
for i in 1 2 3 4; do
	cmp "$link/large" "$T/links/large" || fail '--index-cache 0: the bytes'
done
is "$(stat_of files-taken-out)" 0 '--index-cache 0: nothing is taken out'
stop_regfs

# ---- ro; what a walk asks ----

# requests DIR FIND-EXPRESSION...: the opcodes of what the kernel asks while DIR is walked, but for statfs and RELEASE.
requests() {
	local pid

	# The way there is the registry's, and asked for each time.
	cd "$1" || return
	shift
	strace -f -qq -e trace=read -e signal=none -xx -s 8 -p "$REGFS_PID" -o "$T/requests" 2>"$T/strace.err" &
	pid=$!
	until [ "$(awk '/^TracerPid/ {print $2}' "/proc/$REGFS_PID/status")" = "$pid" ]; do
		kill -0 "$pid" 2>/dev/null || return
	done
	find . "$@" >/dev/null
	# Who is started in the background here ignores SIGINT.
	kill -TERM "$pid"
	wait "$pid"
	sed -n 's/.*\<read\>[^"]*"\(\\x..\)\{4\}\\x\(..\)\\x00\\x00\\x00".*/\2/p' "$T/requests" | grep -vx '11\|12' | sort -u | xargs
}

if strace -o /dev/null true 2>/dev/null; then
	for options in ro hide-trees; do
		start_regfs --open --mount "$MNT" --mount-options $options
		# The kernel asks to open a directory once, and is told that it needn't.
		ls "$MNT" >/dev/null
		for walk in 1 2 3; do
			asked[walk]=$(requests "$MNT/a/_tags/links/rootfs" -printf '%s %m %T@\n')
			[ $walk != 1 ] || looked=$(grep -c '\\x01\\x00\\x00\\x00"' "$T/requests")
		done
		is "${asked[1]}" '01 2c' "$options: a first walk lists each directory"
		ok "$((looked < 1 || looked > 100))" "$options: and looks up few of its thousand files ($looked)"
		[ $options != ro ] || is "${asked[2]}" '' 'ro: a second one asks nothing'
		[ $options = ro ] || is "${asked[2]}" 03 'a second one asks for times of access'
		is "${asked[3]}" '' "$options: a third one asks nothing"
		is "$(requests "$MNT/a/_tags/one/rootfs")" 2c "$options: a walk of names lists each directory, and asks no more"
		is "$(requests "$MNT/a/_tags/one/rootfs" | grep -v 03)" '' "$options: nor does a second one"
		[ $options != ro ] || fails_with 'Read-only file system' 'ro: no tag can be made' ln -s links "$MNT/a/_tags/other"
		stop_regfs
	done
else
	skip 'strace cannot trace here'
fi

# ---- No room for an index ----

mkdir "$T/small"
if mount -t tmpfs -o size=24m regfs-test "$T/small" 2>/dev/null; then
	STORE=$T/small/store start_regfs --open
	push_layout "$L" links full >/dev/null
	stop_regfs
	STORE=$T/small/store start_regfs --open --mount "$MNT"
	dd if=/dev/zero of="$T/small/filler" bs=64k status=none 2>/dev/null
	dd if=/dev/zero of="$T/small/filler" bs=512 oflag=append conv=notrunc status=none 2>/dev/null
	check 'a full disk: what has no index can be read' cmp "$MNT/full/_tags/links/rootfs/large" "$T/links/large"
	like "$(cat "$LOG")" 'no room on the disk for an index' 'which the log says'
	check 'nor is half of one there' test -z "$(find "$T/small/store/index" -type f -size +0 2>/dev/null)"
	stop_regfs
	umount "$T/small"
else
	skip 'no tmpfs can be mounted'
fi

fails_with 'no mount option nonsense: there are .*hide-trees' 'an unknown mount option' \
	"$REGFS" mount --store "$STORE" -o hide-trees,nonsense "$T/other"
fails_with 'look or push, not always' 'another --index' "$REGFS" serve --store "$STORE" --index always --listen 127.0.0.1:0

# ---- Ending while it indexes ----

truncate -s 3000000000 "$T/zeros"
tar -C "$T" --format=gnu -cf - zeros | gzip -1 >"$T/zeros.tar.gz"
rm "$T/zeros"
tar_image "$L" zeros "$T/zeros.tar.gz" >/dev/null
start_regfs --open --mount "$MNT"
push_layout "$L" zeros c >/dev/null
cat "$MNT/c/_tags/zeros/rootfs/zeros" >/dev/null 2>&1 &
reader=$!
# It is being indexed as soon as its draft is there.
i=0
until compgen -G "$STORE/index/layer/*/*.new" >/dev/null || ! kill -0 $reader 2>/dev/null || [ $((i++)) -gt 5000 ]; do
	read -r -t 0.002 <> <(:)
done
stop_regfs
wait $reader 2>/dev/null
is "$(find "$STORE/index" -name '*.new')" '' 'a program that ends while it indexes leaves nothing half made'

# ---- Others go on ----

for i in $(seq 40); do
	mkdir -p "$T/many"
	head -c 2000000 /dev/urandom >"$T/many/$i"
	tar -C "$T/many" -cf "$T/many.tar" .
	tar_image "$L" "many$i" "$T/many.tar" >/dev/null
	rm "$T/many/$i"
done
start_regfs --open --mount "$MNT"
for i in $(seq 40); do
	push_layout "$L" "many$i" walked >/dev/null
done
find "$MNT/walked/_images" -type f -path '*/rootfs/*' >"$T/walked" &
walker=$!
slowest=0
asked=0
while kill -0 $walker 2>/dev/null; do
	http GET /v2/walked/manifests/many1 -w '%{http_code} %{time_total}'
	[ "${CODE%% *}" = 200 ] || fail 'a pull while images are walked' "$CODE"
	slowest=$(printf '%s\n' "$slowest" "${CODE##* }" | sort -g | tail -n 1)
	asked=$((asked + 1))
done
wait $walker
is "$(wc -l <"$T/walked")" 40 'a walk over 40 images finds the files of all'
ok "$(awk -v s="$slowest" -v n="$asked" 'BEGIN {print !(n > 0 && s < 2)}')" "meanwhile each pull was answered ($asked, $slowest s at most)"
stop_regfs
done_testing
