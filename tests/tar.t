#!/bin/bash
# tar.t: the tar reader sees in archives of GNU tar, bsdtar and Python what Python's tarfile sees in them.
. "$(dirname "$0")/lib.sh"
need bsdtar python3 setfattr

reader=$(dirname "$REGFS")/tests/unit/test_tar
[ -x "$reader" ] || bail "$reader isn't built: make unit"
oracle=$ROOT/tests/tar-oracle
tree=$T/tree
archive=$T/archive

# ---- A tree of everything ----

long=$(printf 'n%.0s' {1..120})
mkdir -p "$tree/dir/$long" "$tree/empty"
cd "$tree" || bail "no $tree"
echo hello >dir/file
: >dir/nothing
head -c 512 /dev/zero | tr '\0' x >dir/block
head -c 100000 /dev/zero | tr '\0' y >dir/large
ln dir/file dir/hard
ln -s file dir/symbolic
mkfifo dir/fifo
chmod 4755 dir/block
chmod 1777 empty
echo long >"dir/$long/$long"
ln "dir/$long/$long" "dir/$long/hard"
ln -s "$long/$long" "dir/$long/symbolic"
printf 'x' >$'dir/\xff\n \\\xc3\xbc'
touch -d '2001-02-03 04:05:06.789012345' dir/file
touch -d '1969-12-31 23:59:58.5' dir/nothing
touch -d '2250-01-01' dir/block
touch -d '2300-01-01' empty
if [ "$(id -u)" = 0 ]; then
	mknod dir/char c 5 300
	mknod dir/device b 8 17
	chown 1000:100 dir/large
	chown -h 3000000:4000000 dir/symbolic
fi
xattrs=yes
setfattr -n user.text -v 'a=b' dir/file 2>/dev/null &&
	setfattr -n user.binary -v 0x00ff0a3d dir/file &&
	setfattr -n user.on-directory -v x empty || xattrs=no

mkdir "$T/sparse"
for i in {0..60}; do
	printf "data$i" | dd of="$T/sparse/many" bs=1 seek=$((i * 100000)) conv=notrunc status=none
done
truncate -s 12G "$T/sparse/large"
printf 'end' | dd of="$T/sparse/large" bs=1 seek=10G conv=notrunc status=none
truncate -s 1M "$T/sparse/hole"
head -c 5000 /dev/zero | tr '\0' z >"$T/sparse/not"

# The reader takes "dir/" as it stands, tarfile without its slash.
sees() {
	"$reader" "$archive" | sed -E 's,^(d [^ ]*[^ /])/+( |$),\1\2,'
}

# same DESCRIPTION ENTRIES COMMAND...: the archive on COMMAND's output is seen alike, and has that many entries ('' : any).
same() {
	local description=$1 count=$2

	shift 2
	"$@" >"$archive" 2>"$T/errors"
	sees >"$T/ours"
	"$oracle" "$archive" >"$T/theirs" 2>&1
	if cmp -s "$T/ours" "$T/theirs" && [ -s "$T/ours" ]; then
		pass "$description"
	else
		fail "$description" "$(diff "$T/ours" "$T/theirs" | cut -c 1-300 | head -n 20; cat "$T/errors")"
	fi
	[ -z "$count" ] || is "$(wc -l <"$T/ours")" "$count" "$description: every file"
}

all=$(find "$tree" -printf x | wc -c)
sparse=$(find "$T/sparse" -printf x | wc -c)

# ---- GNU tar ----

gnutar() {
	tar -C "$tree" -cf - "$@"
}

# v7 and ustar have no room for some of it: tar says so, and leaves that out.
same 'GNU tar, v7' '' gnutar --format=v7 --mtime=@1000000000 .
same 'GNU tar, ustar' '' gnutar --format=ustar --owner=0 --group=0 --mtime=@1000000000 .
for format in oldgnu gnu posix; do
	same "GNU tar, $format" "$all" gnutar --format=$format .
done
same 'GNU tar, from the root' '' gnutar --format=gnu -P "$tree/dir/file" "$tree/empty"
same 'GNU tar, numbers in base 256' 1 gnutar --format=gnu --owner=+4000000000 --group=+4294967294 --mtime=@-5000000000 dir/file
same 'GNU tar, the same in PAX' 1 gnutar --format=posix --owner=+4000000000 --group=+4294967294 --mtime=@-5000000000.25 dir/file
same 'GNU tar, a global header' 1 gnutar --format=posix --pax-option=uid=7,comment=x dir/file
same 'GNU tar, a file that grew' 2 gnutar --format=gnu dir/file dir/large
for version in 0.0 0.1 1.0; do
	same "GNU tar, sparse $version" "$sparse" tar -C "$T/sparse" -cf - --format=posix --sparse --sparse-version=$version .
done
for format in oldgnu gnu; do
	same "GNU tar, sparse files of $format" "$sparse" tar -C "$T/sparse" -cf - --format=$format --sparse .
done
if [ $xattrs = yes ]; then
	same 'GNU tar, extended attributes' "$all" gnutar --format=posix --xattrs --xattrs-include='*' .
	like "$(grep 'dir/file' "$T/ours" | head -n 1)" 'user.binary=\\00\\ff\\0a=' 'they are binary'
else
	skip 'no extended attributes on this file system'
fi

# ---- bsdtar ----

for format in pax gnutar; do
	same "bsdtar, $format" '' bsdtar -C "$tree" --format=$format -cf - .
done
same 'bsdtar, ustar' '' bsdtar -C "$tree" --format=ustar -cf - dir/file dir/large empty
same 'bsdtar, v7' '' bsdtar -C "$tree" --format=v7 -cf - dir/file dir/large empty
same 'bsdtar, sparse files' "$sparse" bsdtar -C "$T/sparse" --format=pax -cf - .

# bsdtar writes each attribute twice: what it says in its own way is the same as in star's.
if [ $xattrs = yes ]; then
	bsdtar -C "$tree" --format=pax --options='pax:xattrheader=LIBARCHIVE' -cf "$archive" dir/file 2>"$T/errors"
	sees >"$T/ours"
	bsdtar -C "$tree" --format=pax --options='pax:xattrheader=SCHILY' -cf "$archive" dir/file 2>>"$T/errors"
	sed -i 's/@[0-9]*//' "$T/ours"
	is "$(tr ' ' '\n' <"$T/ours" | sort)" "$(sees | sed 's/@[0-9]*//' | tr ' ' '\n' | sort)" 'bsdtar, LIBARCHIVE.xattr. and SCHILY.xattr.'
	like "$(cat "$T/ours")" 'user.binary=\\00\\ff\\0a=' 'they are there'
else
	skip 'no extended attributes on this file system'
fi

# ---- Python ----

python() {
	python3 -c 'import sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=int(sys.argv[1])) as t:
    t.add(sys.argv[2], ".")' "$@"
}
same 'Python, GNU' "$all" python 1 "$tree"
same 'Python, PAX' "$all" python 2 "$tree"

# ---- What the tree says itself ----

gnutar --format=posix dir >"$archive"
is "$(sees | sed -nE 's/^f dir\/(file|large|block).* t([0-9]+) s([0-9]+) .*/\1 \2 \3/p' | sort)" \
	"$(find dir -maxdepth 1 -name file -printf 'file %T@ %s\n' -o -name large -printf 'large %T@ %s\n' -o \
		-name block -printf 'block %T@ %s\n' | sed -E 's/\.([0-9]{9})[0-9]*/\1/' | sort)" 'times and sizes are the files'"'"
at=$(sees | sed -nE 's/^f dir\/large.* s100000 @([0-9]+)$/\1/p')
is "$(tail -c +$((at + 1)) "$archive" | head -c 100000 | sha256sum)" "$(sha256sum <dir/large)" 'the bytes are where it says'

done_testing
