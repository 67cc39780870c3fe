#!/bin/bash
# look.t: ls, cat, diff, extract: inside images without a mount.
. "$(dirname "$0")/lib.sh"
need curl jq busybox python3 bsdtar setfattr getfattr umoci

export HOME=$T/home REGFS_STORE=$STORE
mkdir "$HOME"
root=$([ "$(id -u)" = 0 ] && echo yes || echo no)

# on_terminal COMMAND...: what it writes to a terminal of 80 columns.
on_terminal() {
	COLUMNS=80 script -qec "stty cols 80; $(printf '%q ' "$@")" /dev/null </dev/null | tr -d '\r'
}

# push_tars REPO TAG [PLATFORM] TAR...: an image of these layers; prints its digest.
push_tars() {
	local repo=$1 tag=$2 arch=$ARCH layers=() ids=() d tar

	shift 2
	case $1 in linux/*) arch=${1#linux/} && shift ;; esac
	for tar; do
		gzip -nc1 "$tar" >"$T/push.gz"
		d=$(push_blob "$repo" "$T/push.gz") || return 1
		ids+=("\"$(digest_of "$tar")\"")
		layers+=("{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"$d\",\"size\":$(stat -c %s "$T/push.gz")}")
	done
	jq -cn --arg arch "$arch" --argjson ids "[$(IFS=,; echo "${ids[*]}")]" \
		'{architecture: $arch, os: "linux", rootfs: {type: "layers", diff_ids: $ids}}' >"$T/push.config"
	d=$(push_blob "$repo" "$T/push.config") || return 1
	jq -cn --arg d "$d" --argjson size "$(stat -c %s "$T/push.config")" \
		--argjson layers "[$(IFS=,; echo "${layers[*]}")]" '{schemaVersion: 2,
		mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: $size},
		layers: $layers}' >"$T/push.manifest"
	push_manifest "$repo" "$tag" "$T/push.manifest"
}

# nasty NAME: a layer that no directory could be made into.
nasty() {
	python3 - "$1" <<'PY'
import io, sys, tarfile

def layers():
    yield 'base', [
        d('./', 0o755), d('etc'), f('etc/passwd', b'root:x:0:0\n', 0o640), f('etc/old', b'old\n'),
        l('etc/absolute', '/etc/passwd'), l('etc/up', '../../../../etc/passwd'), l('etc/loop', 'pool'), l('etc/pool', 'loop'),
        l('etc/dangling', '/nowhere'), l('lib', 'usr/lib'), d('usr'), d('usr/lib'), f('usr/lib/libc', b'\x7fELF\0\1\2'),
        f('usr/suid', b'#!', 0o4755), d('tmp', 0o1777), f('usr/one', b'1' * 5000, uid=1000, gid=100), h('usr/two', 'usr/one'),
        l('usr/link', 'one'), h('usr/samelink', 'usr/link'), c('null', 1, 3), b('disk', 8, 17), p('fifo'),
        (e('suidfifo', tarfile.FIFOTYPE, 0o6711, 1000), None),
        f('xattr', b'x', xattrs={'user.text': 'a=b', 'user.binary': 'a\nb'}), f('time', b't', mtime=1700000000.25),
        f('early', b'e', mtime=-1.5), f('zero', b'\0' * 200000 + b'end'), f('.hidden', b'h'), d('gone'), f('gone/file', b'g'),
        f('new\nline', b'n'), f('\u00fc\u2603', b'u'), f('esc\x1b[31m\\', b'e'), f('n' * 200, b'long'), f('bad\udcff', b'b'),
        d('d' * 120), f('d' * 120 + '/' + 'e' * 150, b'deep'),
    ]
    yield 'top', [
        f('etc/.wh.old', b''), f('.wh.gone', b''), f('etc/passwd', b'root:x:0:0\nnew\n', 0o640), d('tmp', 0o700),
        f('added', b'added\n'), h('usr/three', 'usr/one'), f('fifo', b'a file now'), l('time', 'added'),
    ]
    yield 'escape', [l('d', '/tmp/escaped'), l('up', '../../../../../../tmp/escaped'), f('ok', b'ok')]
    yield 'escape2', [f('d/file', b'inside'), f('up/file', b'inside'),
        f('../../dotdot', b'inside'), f('/absolute', b'inside')]
    yield 'outside', [f('x', b'x'), h('outside', '../../../etc/shadow')]
    yield 'outside3', [h('outside', '\x1b[31m\u009b/shadow')]
    yield 'outside2', [l('etc', '/etc'), h('outside', 'etc/shadow')]

def e(name, kind, mode=0o644, uid=0, gid=0, mtime=1700000000, xattrs={}):
    t = tarfile.TarInfo(name)
    t.type, t.mode, t.uid, t.gid, t.mtime = kind, mode, uid, gid, mtime
    t.pax_headers = {'SCHILY.xattr.' + k: v for k, v in xattrs.items()}
    return t
def f(name, data, mode=0o644, **more):
    t = e(name, tarfile.REGTYPE, mode, **more)
    t.size = len(data)
    return t, data
def d(name, mode=0o755): return e(name, tarfile.DIRTYPE, mode), None
def l(name, to):
    t = e(name, tarfile.SYMTYPE, 0o777)
    t.linkname = to
    return t, None
def h(name, to):
    t = e(name, tarfile.LNKTYPE)
    t.linkname = to
    return t, None
def dev(kind, name, major, minor):
    t = e(name, kind)
    t.devmajor, t.devminor = major, minor
    return t, None
def c(*a): return dev(tarfile.CHRTYPE, *a)
def b(*a): return dev(tarfile.BLKTYPE, *a)
def p(name): return e(name, tarfile.FIFOTYPE), None

for name, entries in layers():
    if name == sys.argv[1]:
        with tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT, encoding='utf-8', errors='surrogateescape') as out:
            for t, data in entries:
                out.addfile(t, io.BytesIO(data) if data is not None else None)
PY
}

for name in base top escape escape2 outside outside2 outside3; do
	nasty $name >"$T/$name.tar" || bail "no layer $name"
done
start_regfs --open
push_tars nasty base "$T/base.tar" >/dev/null || bail 'no push'
push_tars nasty top "$T/base.tar" "$T/top.tar" >"$T/top.digest"
push_tars nasty escape "$T/escape.tar" "$T/escape2.tar" >/dev/null

L=$T/layout
make_image "$L" 1.0 'hello one' >/dev/null || bail 'no image'
make_index "$L" multi 'hello many' docker >/dev/null
push_layout "$L" 1.0 console-web >/dev/null || bail 'no push'
push_layout "$L" 1.0 console-web latest >/dev/null
push_layout "$L" multi console-web >/dev/null
make_artifact "$L" sig "$(layout_digest "$L" 1.0)" >/dev/null 2>&1
push_layout "$L" sig console-web >/dev/null
one=$(layout_digest "$L" 1.0)

# ---- Which image, which path ----

for ref in console-web console-web:1.0 "console-web@$one" "console-web:1.0@$one"; do
	exits 0 "ls $ref" regfs ls "$ref"
	is "$(xargs <<<"$OUT")" 'bin etc message tmp' 'the root of its layers, merged'
done
for path in :/message :1.0:/message :1.0:message ":1.0:tmp/../message" "@$one:message" ":1.0@$one:/message"; do
	exits 0 "cat console-web$path" regfs cat "console-web$path"
	is "$OUT" 'hello one' 'its bytes'
done
exits 0 'cat of an index' regfs cat console-web:multi:message
is "$OUT" 'hello many' "the image for this machine"
exits 0 '--platform' regfs ls --platform "linux/$OTHER_ARCH" console-web:multi
exits 0 '--platform of this machine, of an image' regfs ls --platform "linux/$ARCH" console-web:1.0
exits 1 '--platform of an image for another' regfs ls --platform linux/s390x console-web:1.0
like "$ERR" "linux/$ARCH" 'it says for which it is'
exits 1 'an index without that platform' regfs ls --platform linux/s390x console-web:multi
like "$ERR" "linux/$ARCH, .*linux/$OTHER_ARCH|linux/$OTHER_ARCH.*, linux/$ARCH" 'it says which it has'
exits 2 'no platform' regfs ls --platform linux console-web:multi
exits 1 'an artifact' regfs ls console-web:sig
like "$ERR" 'application/vnd.example.signature' 'its type is named'
exits 1 'no repository' regfs ls nope
exits 1 'no tag' regfs ls console-web:nope
exits 1 'no path' regfs ls console-web:1.0:/nope
like "$ERR" 'there is no /nope' 'it is named'
exits 1 'a path behind a file' regfs ls console-web:1.0:/message/x
exits 1 'a file with a slash' regfs ls console-web:1.0:/message/
exits 2 'another registry' regfs ls "$ADDR/console-web:1.0"
exits 2 'no REF' regfs ls :/etc

# ---- ls ----

exits 0 'ls of a directory' regfs ls nasty:base:/etc
is "$(xargs <<<"$OUT")" 'absolute dangling loop old passwd pool up' 'a name a line, in order'
exits 0 'ls of a file' regfs ls nasty:base:etc/passwd
is "$OUT" /etc/passwd 'it shows itself'
exits 0 'ls of a link to a directory' regfs ls nasty:base:lib
is "$OUT" libc 'it is followed'
exits 0 'ls -l of a link to a directory' regfs ls -l nasty:base:lib
is "$OUT" 'lrwxrwxrwx 1 0 0 7 2023-11-14T22:13:20Z /lib -> usr/lib' 'it is shown'
exits 0 'ls -l of that with a slash' regfs ls -l nasty:base:lib/
is "$OUT" '-rw-r--r-- 1 0 0 7 2023-11-14T22:13:20Z libc' 'it is followed'
exits 0 'ls -d' regfs ls -d nasty:base:etc
is "$OUT" /etc 'the directory'
like "$(regfs ls nasty:base | head -n 1)" '^bad' 'no names with a dot'
like "$(regfs ls -a nasty:base | head -n 1)" '^\.hidden$' 'but with -a'
long=$(regfs ls -l nasty:top:/)
like "$long" 'brw-r--r-- +1 +0 +0 +8,17 2023' 'a block device'
like "$long" 'crw-r--r-- +1 +0 +0 +1,3 2023' 'a character device'
like "$long" 'drwx------ +2 .* tmp' 'the mode of the upper layer'
like "$long" '1969-12-31T23:59:58Z early' 'a time before 1970'
long=$(regfs ls -l nasty:top:/usr)
like "$long" '-rwsr-xr-x +1 .* suid' 'set-uid'
like "$long" '-rw-r--r-- +3 1000 100 5000 .* three' 'links across layers, owner, size'
exits 0 'ls -R' regfs ls -R nasty:top:/usr
is "$OUT" $'/usr:\nlib\nlink\none\nsamelink\nsuid\nthree\ntwo\n\n/usr/lib:\nlibc' 'directories below it'
unlike "$(regfs ls -Ra nasty:top)" '\.wh\.|gone|/etc/old' 'what was whited out is gone'
is "$(regfs ls nasty:base | grep -c $'\e')" 1 'names are as they are where there is no terminal'
is "$(on_terminal "$REGFS" ls nasty:base | tail -n 1)" $'\xc3\xbc\xe2\x98\x83' 'UTF-8 on a terminal'
shown=$(NO_COLOR=1 on_terminal "$REGFS" ls -l nasty:base)
like "$shown" 'new\\nline' 'a newline on a terminal'
like "$shown" 'esc\\033\[31m\\\\' 'an escape on a terminal'
like "$shown" 'bad\\377' 'what is not UTF-8, on a terminal'
unlike "$shown" $'\e' 'nothing that a terminal obeys'
is "$(NO_COLOR=1 on_terminal "$REGFS" ls console-web:1.0 | tr -s ' ')" 'bin etc message tmp' 'columns on a terminal'
run regfs ls --json nasty:top:/usr
is "$(jq -c 'map([.path, .type, .mode, .links, .uid, .gid, .size, .target])[4:6]' <<<"$OUT")" \
	'[["/usr/suid","file","4755",1,0,0,2,null],["/usr/three","file","0644",3,1000,100,5000,null]]' '--json'
is "$(regfs ls --json -a nasty:base | jq -c 'map(select(.path == "/null" or .path == "/time" or .path == "/early")) |
	map([.type, .major, .minor, .mtime])')" \
	'[["file",null,null,"1969-12-31T23:59:58.5Z"],["character device",1,3,"2023-11-14T22:13:20Z"],["file",null,null,"2023-11-14T22:13:20.25Z"]]' \
	'--json: devices and times'
is "$(regfs ls --json -R nasty:base | jq -r '.[].path' | grep -c ^/etc/)" 7 '--json -R'
is "$(regfs ls --json nasty:base:/tmp)" '[]' '--json of an empty directory'

# ---- cat ----

regfs cat console-web:1.0:bin/busybox >"$T/busybox" && cmp -s "$T/busybox" "$T/rootfs/bin/busybox"
ok $? 'the exact bytes of a program'
exits 0 'cat of several' regfs cat nasty:top:etc/absolute nasty:top:/etc/up nasty:base:etc/passwd
is "$OUT" $'root:x:0:0\nnew\nroot:x:0:0\nnew\nroot:x:0:0' 'absolute links, and .. above the root'
exits 1 'a loop of links' regfs cat nasty:base:etc/loop
like "$ERR" 'too many levels of symbolic links' 'is said'
exits 1 'a link that leads nowhere' regfs cat nasty:base:etc/dangling
like "$ERR" 'leads nowhere' 'is said'
exits 4 'a directory' regfs cat nasty:base:etc
like "$ERR" 'is a directory' 'is said'
exits 4 'a device' regfs cat nasty:base:null
like "$ERR" 'character device' 'is said'
exits 2 'no path' regfs cat nasty:base:etc/passwd nasty:base
is "$OUT" '' 'nothing of the others'
exits 0 'a file over a fifo' regfs cat nasty:top:fifo
is "$OUT" 'a file now' 'its bytes'
exits 0 'through a link that a layer below made' regfs cat nasty:escape:d/file nasty:escape:tmp/escaped/file
is "$OUT" insideinside 'inside the image'
regfs cat console-web:1.0:bin/busybox 2>"$T/err" | head -c 1 >/dev/null
is "$(cat "$T/err")" '' 'a reader that has enough is no error'

# ---- diff ----

exits 0 'diff of the same' regfs diff nasty:base "nasty@$(regfs image show --json nasty:base | jq -r .digest)"
is "$OUT" '' 'nothing'
exits 1 'diff' regfs diff nasty:base nasty:top
is "$OUT" 'A /added
D /etc/old
M /etc/passwd (content)
M /fifo (type fifo -> file)
D /gone/
D /gone/file
M /time (type file -> link, mode 0644 -> 0777)
M /tmp/ (mode 1777 -> 0700)
A /usr/three' 'added, removed, changed'
is "$ERR" '' 'the answer no needs no words'
exits 1 'diff the other way' regfs diff nasty:top nasty:base
is "$(grep -c '^A' <<<"$OUT")" 3 'what was removed is added'
exits 1 'diff of a directory' regfs diff nasty:base nasty:top etc
is "$OUT" $'D /etc/old\nM /etc/passwd (content)' 'only that'
exits 1 'diff of a file' regfs diff nasty:base nasty:top /etc/passwd
is "$OUT" '--- nasty:base:/etc/passwd
+++ nasty:top:/etc/passwd
@@ -1 +1,2 @@
 root:x:0:0
+new' 'its lines'
exits 1 'diff of two paths' regfs diff nasty:base:etc/passwd nasty:top:/added
like "$OUT" '\+added' 'their lines'
exits 1 'diff of binary files' regfs diff nasty:base:/zero nasty:base:/usr/lib/libc
like "$OUT" 'binary files differ' 'no lines'
exits 0 'diff of one file under two names' regfs diff nasty:top:/usr/one nasty:top:/usr/two
exits 1 'diff of what is on one side' regfs diff nasty:base nasty:top added
is "$OUT" 'A /added' 'is added'
exits 1 'diff of what is on neither' regfs diff nasty:base nasty:top nope
like "$ERR" '/nope' 'is named'
exits 2 'a path twice' regfs diff nasty:base:/etc nasty:top /etc
exits 1 'diff --stat' regfs diff --stat nasty:base nasty:top
is "$OUT" '2 added (5.0 kB), 3 removed (5 B), 4 changed (12 B, now 25 B)' 'how much'
run regfs diff --json nasty:base nasty:top
is "$(jq -c '.changes | map([.change[:1], .path, .what])' <<<"$OUT" | md5sum)" "$(jq -cn '[["a","/added",null],["r","/etc/old",null],
	["c","/etc/passwd",["content"]],["c","/fifo",["type"]],["r","/gone",null],["r","/gone/file",null],
	["c","/time",["type","mode"]],["c","/tmp",["mode"]],["a","/usr/three",null]]' | md5sum)" '--json: changes'
is "$(jq -c '[.added.paths, .removed.bytes, .changed["bytes-after"], (.changes[2] | .old.size, .new.size)]' <<<"$OUT")" \
	'[2,5,25,11,15]' '--json: numbers'
like "$(regfs diff --json nasty:base nasty:top etc/passwd | jq -r .diff)" '\+new' '--json: lines'
nasty base | python3 -c '
import sys, tarfile
old = tarfile.open(fileobj=sys.stdin.buffer, mode="r|", errors="surrogateescape")
new = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape")
for t in old:
    data = old.extractfile(t) if t.isreg() else None
    if t.name == "xattr": t.pax_headers = {"SCHILY.xattr.user.text": "other"}
    if t.name == "null": t.devminor = 5
    if t.name == "lib": t.linkname = "/usr/lib"
    if t.name == "usr/suid": t.uid = 7
    if t.name == "zero": t.mtime += 1; t.pax_headers = {}
    new.addfile(t, data)
new.close()' >"$T/other.tar"
push_tars nasty other "$T/other.tar" >/dev/null
exits 1 'diff of attributes' regfs diff nasty:base nasty:other
is "$OUT" 'M /lib (target)
M /null (device 1,3 -> 1,5)
M /usr/suid (owner 0:0 -> 7:0)
M /xattr (xattr)' 'what is another; times are not'
like "$(regfs diff --times nasty:base nasty:other)" \
	'/zero \(time 2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z\)' '--times'

# ---- extract ----

# tree_of DIR: everything about every file.
tree_of() (
	cd "$1" && LC_ALL=C find . -mindepth "${2:-0}" -printf '%p %y %m %U %G %n %s %T@ %l\0' | sort -z |
		sed -z -E 's/^(\S+ d [0-9]+ [0-9]+ [0-9]+) [0-9]+ [0-9]+/\1/' | tr '\0' '\n'
	find . -type f -exec sha256sum {} + | sort
	find . \( -type b -o -type c \) -exec stat -c '%n %t %T' {} + | sort
	getfattr -Rhd -m - . 2>/dev/null
	find . -type f -links +1 -printf '%i %p\n' | sort | awk '{printf "%s ", $2} $1 != last {print ""; last = $1}'
)

# same_tree DESCRIPTION DIR DIR [MINDEPTH]
same_tree() {
	if diff <(tree_of "$2" "${4:-0}" 2>&1) <(tree_of "$3" "${4:-0}" 2>&1) >"$T/tree.diff"; then
		pass "$1"
	else
		fail "$1" "$(head -n 20 "$T/tree.diff")"
	fi
}

user() {
	if [ $root = yes ]; then setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; else "$@"; fi
}

exits 0 'extract' regfs extract nasty:base "$T/x"
like "$OUT" "extracted 36 files .* to $T/x" 'it says how much'
is "$ERR" '' 'and nothing else'
if [ $root = yes ]; then
	mkdir "$T/by-tar"
	tar -C "$T/by-tar" -xpf "$T/base.tar" --numeric-owner --xattrs --xattrs-include='*' 2>/dev/null
	touch -d @1700000000 "$T/by-tar/usr"	# which GNU tar leaves as its later links made it
	same_tree 'as tar extracts it' "$T/x" "$T/by-tar"
	regfs extract nasty:top "$T/xtop" >/dev/null
	if command -v skopeo >/dev/null; then
		skopeo copy -q --src-tls-verify=false "docker://$ADDR/nasty:top" "oci:$T/oci:top" &&
			umoci unpack --image "$T/oci:top" "$T/bundle" >/dev/null 2>&1
		same_tree 'as umoci unpacks it' "$T/xtop" "$T/bundle/rootfs" 1
	else
		skip 'no skopeo'
	fi
fi
[ "$(du -k "$T/x/zero" | cut -f1)" -lt 100 ]
ok $? 'zeros become holes'
exits 4 'into a directory that is not empty' regfs extract nasty:base "$T/x"
like "$ERR" 'is not empty' 'is said'
exits 4 'into a file' regfs extract nasty:base "$T/base.tar"
exits 4 'below what is not there' regfs extract nasty:base "$T/nope/x"
mkdir -m 755 "$T/vacant"
exits 0 'into an empty directory' regfs extract nasty:base:/usr "$T/vacant"
is "$(ls "$T/vacant" | xargs)" 'lib link one samelink suid two' 'a directory of the image'
exits 0 'one file' regfs extract nasty:top:etc/absolute "$T/file"
is "$(ls "$T/file") $(stat -c %a "$T/file" "$T/file/absolute" | xargs)" 'absolute 755 640' 'the file, in the directory'
exits 1 'no such path' regfs extract nasty:base:/nope "$T/n"
check_fails 'nothing is made then' test -e "$T/n"
exits 0 'extract -n' regfs extract -n nasty:base:/usr "$T/n"
is "$OUT" $'lib/\nlib/libc\nlink\none\nsamelink\nsuid\ntwo\nwould have extracted 7 files (5.0 kB) to '"$T/n" 'lists the files'
check_fails 'and makes nothing' test -e "$T/n"
run regfs extract --json nasty:base:/usr "$T/json"
is "$(jq -c '[.paths, .bytes, .failed, .["dry-run"]]' <<<"$OUT")" '[7,5009,0,false]' '--json'
exits 2 'no directory' regfs extract nasty:base
exits 2 'a directory with --tar' regfs extract --tar nasty:base "$T/n"

# As somebody who isn't root.
chmod 755 "$T"
mkdir -m 777 "$T/user"
chmod -R a+rwX "$STORE"
exits 0 'as an ordinary user' user "$REGFS" extract nasty:base "$T/user/x"
like "$ERR" '^regfs: left out, since only root may make them: owners \([0-9]+\), set-uid and set-gid bits \(2\), devices \(2\)$' \
	'what is left out is said once'
is "$(stat -c %a "$T/user/x/usr/suid" "$T/user/x/tmp" | xargs)" '755 1777' 'no set-uid'
[ "$T/user/x/usr/one" -ef "$T/user/x/usr/two" ]
ok $? 'hard links'
is "$(cat "$T/user/x/zero" | sha256sum)" "$(cat "$T/x/zero" | sha256sum)" 'bytes'

# ---- What would lead outside ----

exits 0 'links to outside, and files behind them' regfs extract nasty:escape "$T/escape"
is "$(find "$T/escape" -type f -printf '%P %s\n' | sort | xargs)" 'absolute 6 dotdot 6 ok 2 tmp/escaped/file 6' 'stay inside'
check_fails 'nothing is made outside' test -e /tmp/escaped
is "$(readlink "$T/escape/d")" /tmp/escaped 'the link is what it is'
for name in outside outside2 outside3; do
	push_tars hostile $name "$T/$name.tar" >/dev/null
	exits 4 "a hard link to the outside" regfs extract hostile:$name "$T/$name"
	check_fails 'makes nothing' test -e "$T/$name"
done
unlike "$ERR" $'\e|\xc2\x9b' 'nothing that a terminal obeys is said of it'
if [ $root = yes ]; then
	mkdir -m 777 "$T/theirs"
	chown 65534 "$T/theirs"
	exits 0 'one file into a directory of another user' regfs extract nasty:base:etc/passwd "$T/theirs"
	is "$(stat -c '%u %a' "$T/theirs")" '65534 777' 'which stays what it was'
	rm "$T/theirs/passwd"
	exits 0 'an image into it' regfs extract nasty:base "$T/theirs"
	is "$(stat -c '%u %a' "$T/theirs")" '0 755' "becomes the image's root"
fi

# ---- extract --tar ----

regfs extract --tar nasty:top >"$T/out.tar"
ok $? 'extract --tar'
if [ $root = yes ]; then
	mkdir "$T/by-gnu" "$T/by-bsd"
	tar -C "$T/by-gnu" -xpf "$T/out.tar" --numeric-owner --xattrs --xattrs-include='*' 2>/dev/null
	ok $? 'GNU tar takes it'
	same_tree 'and makes the same of it' "$T/xtop" "$T/by-gnu"
	LC_ALL=C.UTF-8 bsdtar -C "$T/by-bsd" -xpf "$T/out.tar" --numeric-owner
	ok $? 'bsdtar takes it'
	touch -d '1969-12-31 23:59:58.5' "$T/by-bsd/early"	# which libarchive reads as a second later
	same_tree 'and makes the same of it' "$T/xtop" "$T/by-bsd" 1
fi
push_tars nasty again "$T/out.tar" >/dev/null
exits 0 'pushed as a layer, it is the same image' regfs diff --times nasty:top nasty:again
is "$OUT" '' 'in everything'
is "$(regfs extract --tar nasty:again | sha256sum)" "$(sha256sum <"$T/out.tar")" 'and gives the same archive'
is "$(regfs extract --tar nasty:base:usr | tar tf - | xargs)" './ lib/ lib/libc link one samelink suid two' '--tar of a directory'
is "$(regfs extract --tar nasty:base:etc/passwd | tar xOf - passwd)" 'root:x:0:0' '--tar of a file'
like "$(on_terminal "$REGFS" extract --tar nasty:base)" 'redirect' '--tar to a terminal'
exits 2 '--tar --json' regfs extract --tar --json nasty:base
is "$(regfs extract --tar -n nasty:base:usr | head -n 2 | xargs)" 'lib/ lib/libc' '--tar -n'

# Large numbers, sparse files, deep directories.
python3 - "$T/large.tar" "$T/deep.tar" "$T/huge.tar" <<'PY'
import io, sys, tarfile
def entry(name, kind=tarfile.REGTYPE, **more):
    t = tarfile.TarInfo(name)
    t.type, t.mode = kind, 0o755
    for key, value in more.items(): setattr(t, key, value)
    return t
with tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT) as out:
    out.addfile(entry('owner', uid=4000000, gid=3000000000))
    out.addfile(entry('late', mtime=9000000000 + 0.125))
    def sparse(name, size, runs):
        m = '%d\n' % len(runs) + ''.join('%d\n%d\n' % r for r in runs)
        m = m.encode() + b'\0' * (-len(m) % 512)
        data = m + b''.join(b'x' * n for _, n in runs)
        t = entry('s', size=len(data), pax_headers={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0',
            'GNU.sparse.name': name, 'GNU.sparse.realsize': str(size)})
        out.addfile(t, io.BytesIO(data))
    sparse('sparse', 20 << 30, [(4096, 3), (1 << 30, 5000), ((20 << 30) - 10, 10)])
    sparse('hole', 1 << 20, [(1 << 20, 0)])
    sparse('end', 70000, [(0, 10)])
with tarfile.open(sys.argv[2], 'w', format=tarfile.PAX_FORMAT) as out:
    out.addfile(entry('d/' * 1000 + 'file', size=4), io.BytesIO(b'deep'))
with tarfile.open(sys.argv[3], 'w', format=tarfile.PAX_FORMAT) as out:
    t = entry('s', size=512 + 1, pax_headers={'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 'huge',
        'GNU.sparse.realsize': str((1 << 63) - 1)})
    out.addfile(t, io.BytesIO(b'1\n0\n1\n' + b'\0' * 506 + b'x'))
    out.addfile(entry('small', size=1), io.BytesIO(b's'))
PY
for name in large deep huge; do
	push_tars many $name "$T/$name.tar" >/dev/null || fail "push $name"
done
exits 0 'sparse files' regfs extract many:large "$T/large"
is "$(stat -c %s "$T/large/sparse" "$T/large/hole" "$T/large/end" | xargs)" '21474836480 1048576 70000' 'are as large as they were'
[ "$(du -k "$T/large" | tail -n 1 | cut -f1)" -lt 200 ]
ok $? 'and stay sparse'
is "$(tr -d '\0' <"$T/large/end")$(tail -c 12 "$T/large/sparse" | tr '\0' .)" 'xxxxxxxxxx..xxxxxxxxxx' 'with their bytes'
regfs extract --tar many:large >"$T/large.out"
ok $? '--tar of them'
[ "$(stat -c %s "$T/large.out")" -lt 60000 ]
ok $? 'leaves the holes out'
push_tars many again "$T/large.out" >/dev/null
exits 0 'pushed again' regfs diff --times many:large many:again
is "$(tar tvf "$T/large.out" --numeric-owner | awk '{print $2, $3, $6}' | sed 1d | sort)" \
	"$(printf '%s\n' '0/0 0 late' '0/0 1048576 hole' '0/0 21474836480 sparse' '0/0 70000 end' '4000000/3000000000 0 owner' | sort)" \
	'GNU tar sees them as they are'
is "$(LC_ALL=C.UTF-8 bsdtar tvf "$T/large.out" --numeric-owner | awk '{print $3, $4, $5, $NF}' | sed 1d | sort)" \
	"$(printf '%s\n' '0 0 0 late' '0 0 1048576 hole' '0 0 21474836480 sparse' '0 0 70000 end' '4000000 3000000000 0 owner' | sort)" \
	'and so does bsdtar'
for tar in tar bsdtar; do
	mkdir "$T/large-$tar"
	$tar -C "$T/large-$tar" -xf "$T/large.out" hole end
	is "$(stat -c %s "$T/large-$tar"/{hole,end} | xargs) $(tr -d '\0' <"$T/large-$tar/end")" '1048576 70000 xxxxxxxxxx' \
		"$tar unpacks a hole at a file's end"
done
(ulimit -S -n 100; exec "$REGFS" extract many:deep "$T/deep") >/dev/null
ok $? 'directories 1000 deep'
is "$(regfs cat "many:deep:$(printf 'd/%.0s' {1..1000})file")" deep 'cat there'
exits 4 'a file larger than any' timeout 60 "$REGFS" extract many:huge "$T/huge"
like "$ERR" "$T/huge/huge: it is larger.*1 files couldn't be extracted, the first of them $T/huge/huge" 'is named'
is "$(ls "$T/huge")" small 'the rest is there, and nothing of it'

# ---- Deep directories ----

for n in 1 2; do
	python3 - $n >"$T/deep$n.tar" <<-'PY'
		import io, sys, tarfile
		with tarfile.open(fileobj=sys.stdout.buffer, mode='w|') as tar:
		    info = tarfile.TarInfo('d/' * 1000 + 'file')
		    info.size = 1
		    tar.addfile(info, io.BytesIO(sys.argv[1].encode()))
	PY
	push_tars deep $n "$T/deep$n.tar" >/dev/null
done
exits 1 'directories 1000 deep: diff' regfs diff --stat deep:1 deep:2
like "$OUT" '1 changed' 'what is down there is compared'
exits 0 'directories 1000 deep: ls -R' regfs ls -R deep:1
exits 0 'directories 1000 deep: extract --tar' bash -c '"$REGFS" extract --tar deep:1 | tar t >/dev/null'

# ---- What fails ----

# push_damaged REPO: an image of two files, which is looked into and then damaged in the second, random.
push_damaged() {
	local layer blob

	head -c 3000000 /dev/urandom >"$T/app/random" && printf small >"$T/app/a" && tar -C "$T/app" -cf "$T/random.tar" random a
	push_tars "$1" latest "$T/random.tar" >/dev/null
	regfs ls "$1" >/dev/null
	layer=$(regfs image layers --json "$1" | jq -r '.[0].digest')
	blob=$(find "$STORE/blobs" -name "${layer#sha256:}")
	chmod u+w "$blob"
	printf 'damaged here' | dd of="$blob" bs=1 seek=2000000 conv=notrunc status=none
}
push_damaged broken
exits 4 'a damaged layer' regfs extract broken "$T/broken"
# The last: when it is met, the layer goes into quarantine, and what would come behind it may be refused.
like "$ERR" "$T/broken/random: .*1 files couldn't be extracted" 'the file is named'
is "$(cat "$T/broken/a")" small 'what came before it is there'
check_fails 'nothing of it stays' test -e "$T/broken/random"
exits 4 'a damaged layer, cat' regfs cat broken:/random
push_damaged broken-2
run regfs extract --tar broken-2
is "$STATUS" 4 'a damaged layer, --tar'
# In a line of its own: that the layer is in quarantine may be said first.
like "$ERR" $'(^|\n)regfs: random: ' 'the file is named'
if [ $root = yes ]; then
	mkdir "$T/small"
	if mount -t tmpfs -o size=100k none "$T/small" 2>/dev/null; then
		exits 4 'a full disk' regfs extract console-web:1.0 "$T/small/x"
		like "$ERR" "^regfs: $T/small/x/bin/busybox: .*No space left" 'the file is named, once'
		umount "$T/small"
	else
		skip 'no tmpfs can be mounted'
	fi
fi
exits 4 'output to a full disk' bash -c '"$REGFS" cat console-web:1.0:bin/busybox >/dev/full'

# ---- Without a server; with one that has not looked yet ----

stop_regfs
rm -rf "$STORE/derived" "$STORE/indexes"
exits 0 'ls without a server' regfs ls nasty:top:/etc
exits 0 'cat without a server' regfs cat nasty:top:/etc/up
exits 0 'image layers without a server' regfs image layers nasty:top
is "$(awk 'NR > 1 {print $5, $6, $7}' <<<"$OUT" | xargs)" '28 205 kB 5 31 B' 'files and bytes of each layer'
exits 1 'a layer that can not be read' regfs ls broken:latest:/nope

done_testing
