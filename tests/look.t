#!/bin/bash
# look.t: ls, cat, diff, extract: inside images without a mount.
. "$(dirname "$0")/lib.sh"
need curl jq busybox python3 bsdtar setfattr getfattr umoci

export HOME=$T/home REGFS_STORE=$STORE
mkdir "$HOME"
root=$([ "$(id -u)" = 0 ] && echo yes || echo no)

regfs() {
	"$REGFS" "$@"
}

# exits STATUS DESCRIPTION COMMAND...: what it prints is in OUT and ERR afterwards.
exits() {
	local want=$1 description=$2

	shift 2
	run "$@"
	if [ "$STATUS" = "$want" ]; then
		pass "$description"
	else
		fail "$description" "$*: status $STATUS, not $want"$'\n'"$OUT$ERR"
	fi
}

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

for name in base top escape escape2 outside outside2; do
	nasty $name >"$T/$name.tar" || bail "no layer $name"
done
start_regfs --open
push_tars nasty base "$T/base.tar" >/dev/null || bail 'no push'
push_tars nasty top "$T/base.tar" "$T/top.tar" >"$T/top.digest"
push_tars nasty escape "$T/escape.tar" "$T/escape2.tar" >/dev/null
