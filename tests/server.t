#!/bin/bash
# server.t: the commands at a server: what they print and how they end is what they do at a store; login and logout; rights;
# servers that aren't what they should be.
. "$(dirname "$0")/lib.sh"
need curl jq python3 openssl getfattr

export HOME=$T/home DOCKER_CONFIG=$T/home/docker XDG_CONFIG_HOME=$T/home/config
mkdir -p "$HOME"
PW=$T/pw
LOCAL=$T/local	# a copy of the store, on which the same is done
echo 'a password of hers' >"$PW"
echo 'another password' >"$T/pw.bob"

# ---- What is there ----

# files TAR: names of any bytes, links, a sparse and a large file, attributes, more files in a directory than a page has.
files() {
	python3 - "$1" <<'PY'
import io, random, sys, tarfile

def entry(name, kind=tarfile.REGTYPE, mode=0o644, data=b'', target='', xattrs={}, **more):
    t = tarfile.TarInfo(name)
    t.type, t.mode, t.size, t.linkname, t.mtime = kind, mode, len(data), target, 1700000000.25
    t.pax_headers = {'SCHILY.xattr.' + k: v for k, v in xattrs.items()}
    for k, v in more.items():
        setattr(t, k, v)
    tar.addfile(t, io.BytesIO(data))

tar = tarfile.open(sys.argv[1], 'w', format=tarfile.PAX_FORMAT, encoding='utf-8', errors='surrogateescape')
random.seed(5)
entry('etc', tarfile.DIRTYPE, 0o755)
entry('etc/passwd', data=b'root:x:0:0\n', mode=0o640, uid=7, gid=8)
entry('etc/absolute', tarfile.SYMTYPE, target='/etc/passwd')
entry('etc/loop', tarfile.SYMTYPE, target='loop')
entry('big', data=random.randbytes(9000000))
entry('zeros', data=b'\0' * 300000 + b'end')
entry('hard', tarfile.LNKTYPE, target='big')
entry('suid', data=b'#!', mode=0o4755)
entry('null', tarfile.CHRTYPE, devmajor=1, devminor=3)
entry('fifo', tarfile.FIFOTYPE)
entry('empty')
entry('xattr', data=b'x', xattrs={'user.text': 'a=b', 'user.other': 'a\nb'})
entry('new\nline', data=b'n')
entry('\u00fc\u2603', data=b'u')
entry('bad\udcff', data=b'b')
entry('link\udcfe', tarfile.SYMTYPE, target='bad\udcff')
entry('esc\x1b[31m', data=b'e')
entry('many', tarfile.DIRTYPE, 0o755)
for i in range(2100):
    entry('many/%04d' % i, data=b'%d' % i if i % 3 == 0 else b'')
tar.close()
PY
}

# push_tar REPO TAG TAR
push_tar() {
	local layer config

	gzip -nc1 "$3" >"$T/push.gz"
	layer=$(push_blob "$1" "$T/push.gz") || return 1
	jq -cn --arg arch "$ARCH" --arg id "$(digest_of "$3")" \
		'{architecture: $arch, os: "linux", rootfs: {type: "layers", diff_ids: [$id]}}' >"$T/push.config"
	config=$(push_blob "$1" "$T/push.config") || return 1
	jq -cn --arg c "$config" --argjson cs "$(stat -c %s "$T/push.config")" --arg l "$layer" --argjson ls "$(stat -c %s "$T/push.gz")" \
		'{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json",
		config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $c, size: $cs},
		layers: [{mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: $l, size: $ls}]}' >"$T/push.manifest"
	push_manifest "$1" "$2" "$T/push.manifest"
}

files "$T/files.tar"
L=$T/layout
make_index "$L" one first >/dev/null && make_image "$L" two second docker >/dev/null || bail 'no images'
D=$(layout_digest "$L" two)
start_regfs --open
push_layout "$L" one shop/web >/dev/null && push_layout "$L" two shop/web >/dev/null &&
	push_layout "$L" two hidden/thing >/dev/null && push_tar shop/files 1 "$T/files.tar" >/dev/null || bail 'no push'
stop_regfs
regfs user add admin --administrator --password-file "$PW" --store "$STORE" >/dev/null
regfs user add bob --password-file "$T/pw.bob" --store "$STORE" >/dev/null
regfs grant bob pull 'shop/**' --store "$STORE" >/dev/null
cp -a "$STORE" "$LOCAL"
start_regfs
U=http://$ADDR

# ---- login ----

exits 2 'an address that is none' regfs login ftp://x --user admin --password-file "$PW"
exits 2 'one with a path' regfs login "$U/v2/" --user admin --password-file "$PW"
exits 2 'no terminal, no password' setsid "$REGFS" login "$U" --user admin
like "$ERR" 'password-file' 'says what to do'
exits 3 'a wrong password' regfs login "$U" --user admin --password-file "$T/pw.bob"
exits 3 'nobody of that name' regfs login "$U" --user ghost --password-file "$PW"
check 'nothing was kept' test ! -e "$DOCKER_CONFIG/config.json"
exits 2 'a password is not sent in the clear' regfs login http://192.0.2.1 --user admin --password-file "$PW"

mkdir -p "$DOCKER_CONFIG"
cat >"$T/kept.json" <<-'J'
	{"HttpHeaders":{"X-Meta":"a"},"auths":{"https://index.docker.io/v1/":{"auth":"YTpi","email":"x"}},"proxies":{"n":[1,2.5,null,true]}}
	J
cp "$T/kept.json" "$T/linked.json"
ln -s "$T/linked.json" "$DOCKER_CONFIG/config.json"
exits 0 'login' regfs login "$U" --user admin --password-file "$PW"
is "$OUT" "logged in at $U as admin" 'says so'
check 'the file stays a link' test -L "$DOCKER_CONFIG/config.json"
is "$(stat -c %a "$T/linked.json")" 600 'for nobody else to read'
is "$(jq -r --arg h "$ADDR" '.auths[$h].auth' "$T/linked.json" | base64 -d)" 'admin:a password of hers' 'as Docker keeps it'
is "$(jq -cS --arg h "$ADDR" 'del(.auths[$h])' "$T/linked.json")" "$(jq -cS . "$T/kept.json")" 'all else is as it was'
is "$(cat "$XDG_CONFIG_HOME/regfs/server")" "$U" 'which is the default now'
is "$("$REGFS" login "$U" --user admin --password-file - --json <"$PW")" "{\"server\":\"$U\",\"user\":\"admin\"}" \
	'as JSON, by standard input'
# Asked for the name, and once for the password, which isn't shown.
is "$(python3 - "$REGFS" login "$U" <<'PY'
import os, pty, sys

pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b''
for prompt, answer in (b'User: ', b'admin\n'), (b'Password of admin: ', b'a password of hers\n'), (None, b''):
    while prompt is None or not seen.endswith(prompt):
        try:
            more = os.read(fd, 1000)
        except OSError:
            break
        if not more:
            break
        seen += more
    os.write(fd, answer)
print(seen.decode().replace('\r', ''), end='')
PY
)" "User: admin
Password of admin: 
logged in at $U as admin" 'asks on a terminal'

# ---- Where ----

exits 0 'the default' regfs status
like "$OUT" "^server +$U" 'is the server'
exits 0 'a store goes before' regfs status --store "$LOCAL"
like "$OUT" "^store +$LOCAL" 'that store'
exits 2 'both' regfs status --store "$LOCAL" --server "$U"
exits 0 '$REGFS_SERVER' env REGFS_SERVER="$U" "$REGFS" status
exits 2 '$REGFS_SERVER and $REGFS_STORE' env REGFS_SERVER="$U" REGFS_STORE="$LOCAL" "$REGFS" status
exits 0 'but an option decides' env REGFS_SERVER="$U" REGFS_STORE="$LOCAL" "$REGFS" status --store "$LOCAL"
for c in gc check mount; do
	exits 2 "$c works at a store" regfs "$c" --server "$U" "$T/mnt"
	like "$ERR" 'works at a store only' 'and says so'
done
exits 2 'gc is not done at another store than meant' env REGFS_SERVER="$U" "$REGFS" gc
like "$ERR" 'works at a store only' 'and says why'

# ---- The same, byte for byte ----

# plain: what differs by itself: secrets, and when it was done.
plain() {
	sed -E 's/rgs_[0-9a-f]{64}/SECRET/; s/20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g'
}

# alike STATUS COMMAND...: at the store and at the server.
alike() {
	local want=$1 status

	shift
	"$REGFS" "$@" --store "$LOCAL" >"$T/there" 2>"$T/there.err" </dev/null
	status=$?
	run "$REGFS" "$@" --server "$U"
	if [ "$status" = "$want" ] && [ "$STATUS" = "$want" ] && cmp -s <(plain <"$T/there") <(plain <"$T/run.out") &&
		cmp -s <(plain <"$T/there.err") <(plain <"$T/run.err"); then
		pass "$*"
	else
		fail "$*" "status $status and $STATUS, not $want"$'\n'"$(diff "$T/there" "$T/run.out" | head -n 6
			diff "$T/there.err" "$T/run.err" | head -n 6)"
	fi
}

# both COMMAND...: as text and as JSON.
both() {
	alike 0 "$@"
	alike 0 "$@" --json
}

both repo list
both repo show shop/web
alike 1 repo show no/such
alike 2 repo show No
both tag list shop/web
alike 1 tag list no/such
both image list shop/web
both image show shop/web:one
both image show "shop/web@$D"
alike 1 image show shop/web:none
both image layers shop/web:two
both image layers shop/files:1
both image used-by shop/web:two
both image used-by "$D"
both user list
both user show bob
alike 1 user show ghost
both group list
both access
both access --user bob --repo shop/web
both namespace show shop
both namespace show /

both ls shop/web:one
both ls -laR shop/files:1
both ls -l shop/files:1:/etc
both ls -d shop/files:1:/many
alike 1 ls shop/files:1:/etc/loop
alike 1 ls shop/files:1:/none
alike 0 ls -R --platform "linux/$OTHER_ARCH" shop/web:one
alike 1 ls --platform linux/s390x shop/web:one
alike 0 cat shop/files:1:/etc/absolute shop/files:1:/big shop/files:1:/empty shop/files:1:/zeros
alike 4 cat shop/files:1:/etc
alike 1 cat shop/files:1:/none
alike 1 diff shop/web:one shop/web:two
alike 1 diff shop/web:one shop/web:two --json
alike 1 diff shop/web:two shop/files:1 --json
alike 1 diff --stat shop/web:two shop/files:1
alike 1 diff shop/web:one shop/web:two /message
alike 0 diff shop/files:1 shop/files:1
alike 0 extract --tar shop/files:1
alike 0 extract -n shop/files:1 "$T/x"
alike 0 extract -n --json shop/files:1 "$T/x"
exits 0 'extract' regfs extract shop/files:1 "$T/x1" --server "$U"
exits 0 'at the store' regfs extract shop/files:1 "$T/x2" --store "$LOCAL"
# tree_of DIR: all that there is to say of each file.
tree_of() {
	(cd "$1" && find . ! -name . -printf '%P\0%y %m %n %U %G %s %T@ %l\0' | sort -z && find . -type f -exec sha256sum -z {} + | sort -z &&
		getfattr -R -d . ) | sha256sum
}
is "$(tree_of "$T/x1")" "$(tree_of "$T/x2")" 'the same files'
is "$(du -k "$T/x1/zeros" | cut -f1)" "$(du -k "$T/x2/zeros" | cut -f1)" 'as sparse'

# ---- Changes ----

for o in -n --json; do
	[ $o = -n ] && n=-n || n=
	alike 0 repo add new/one $n --visibility public --json
	alike 0 repo set new/one visibility=private $([ $n ] && echo --help)
	alike 0 tag add shop/web:two three four $n
	alike 0 namespace set new visibility=public push-creates=no $n
	alike 0 group add developers $n
	alike 0 user add carol --password-file "$PW" $n --json
	alike 0 robot add ci --scopes 'repository:shop/*:push' $n
	alike 0 user set bob expires=30d $n
	alike 0 grant bob pull,push 'shop/*' $n
done
alike 0 namespace set new immutable='v* !v0*' -n
alike 0 namespace set new immutable='v* !v0*'
alike 0 namespace set / history-keep=7
alike 2 namespace set / history-keep=many
both namespace show /
both repo show new/one
alike 0 repo set shop/web immutable=three -n
alike 0 repo set shop/web immutable=three
alike 2 repo set shop/web immutable='/['
alike 2 repo set shop/web immutable='/[' -n
alike 2 repo set shop/web immutable=$'a\033'
both repo show shop/web
alike 3 tag add shop/web:one three -n
alike 3 tag add shop/web:one three
alike 1 rollback shop/web:three -n
alike 0 repo set shop/web immutable=inherit
alike 0 tag add shop/web:one three -n
alike 0 tag add shop/web:one three
both rollback shop/web:three -n
both rollback shop/web:three
alike 0 rollback shop/web:three --to 1 --json
alike 1 rollback shop/web:three --to 9
alike 1 rollback shop/web:none
alike 2 rollback shop/web:three --to x
both history shop/web:two
alike 1 history shop/web:none
alike 1 history no/such
"$REGFS" history shop/web --store "$LOCAL" --json >"$T/there"
"$REGFS" history shop/web --server "$U" --json >"$T/here"
is "$(jq -c 'map([.tag, .number, .digest, .current, .held])' "$T/here")" \
	"$(jq -c 'map([.tag, .number, .digest, .current, .held])' "$T/there")" 'the same history'
is "$(jq -r 'map(select(.tag == "three").named.who) | unique | join(" ")' "$T/here")" admin 'of who was logged in'
alike 4 repo add new/one
alike 4 user add carol --password-file "$PW"
alike 0 group set developers add=bob,carol
both group show developers
both robot list
alike 0 robot set ci disabled=yes
alike 0 robot passwd ci
alike 0 token add bob laptop --expires 30d --json
both token list bob
alike 4 token add bob laptop
alike 4 token add -n bob laptop
alike 0 token rm -n bob laptop
alike 0 token rm bob laptop
alike 1 token rm bob laptop
alike 1 token show bob laptop
alike 0 user passwd carol --password-file "$T/pw.bob"
echo short >"$T/short"
alike 2 user passwd carol --password-file "$T/short"
alike 0 grant @developers maintainer 'new/**'
alike 1 grant ghost pull 'new/**'
alike 1 grant -n ghost pull 'new/**'
cat >"$T/policy.json" <<-'J'
	{"Version":"1","Statement":[{"Effect":"Allow","Action":["cr:PullRepository"],"Resource":"acs:cr:*:*:repository/i/a/b"}]}
	J
alike 0 grant -n --policy "$T/policy.json" carol
alike 0 grant --policy "$T/policy.json" carol
printf '{"Version":"1","Statement":[{"Effect":"Deny","Action":"cr:*","Resource":"*"}]}' >"$T/deny.json"
alike 2 grant --policy "$T/deny.json" carol
both access
both access --repo new/one
alike 0 revoke -n bob 'shop/*'
alike 0 revoke bob 'shop/*'
alike 1 revoke bob 'shop/*'
alike 0 namespace set new visibility=inherit
both namespace show new
both tag list shop/web
alike 0 tag rm -n shop/web:four
alike 0 tag rm shop/web:four
alike 1 tag rm shop/web:four
alike 0 image rm -n "shop/web@$D"
alike 0 image rm "shop/web@$D"
alike 1 image rm "shop/web@$D"
alike 0 repo rm -n new/one
alike 0 repo rm new/one
alike 1 repo rm new/one
alike 0 user rm -n carol
alike 0 user rm carol
alike 4 user rm admin
alike 0 group rm developers
alike 0 robot rm ci
both repo list
both user list

# ---- Fewer rights ----

exits 0 'login as bob' regfs login "$U" --user bob --password-file "$T/pw.bob"
exits 0 'sees what he may pull' regfs repo list --json
is "$(jq -c 'map(.name)' <<<"$OUT")" '["shop/files","shop/web"]' 'that'
exits 0 'and what tags named' regfs history shop/web --json
is "$(jq 'any(.[]; .named.who)' <<<"$OUT")" false 'but not by whom'
exits 1 'where nothing is to be seen' regfs history hidden/thing
exits 0 'looks inside' regfs cat shop/web:one:/message
exits 1 'what is hidden' regfs repo show hidden/thing
is "$ERR" 'regfs: there is no repository hidden/thing' 'is not there'
exits 1 'nor is it inside' regfs ls hidden/thing:two
exits 1 'as what is not there' regfs repo show hidden/none
is "$ERR" 'regfs: there is no repository hidden/none' 'with the same words'
for n in '' -n; do
	exits 3 "may not remove $n" regfs tag rm shop/web:one $n
	like "$ERR" 'deleting from shop/web is not granted to bob' 'and why'
	exits 3 "may not tag $n" regfs tag add shop/web:one six $n
	exits 3 "may not go back $n" regfs rollback shop/web:one $n
	exits 3 "nor say which tags stay $n" regfs repo set shop/web immutable=none $n
	exits 3 "may not make a user $n" regfs user add dave $n --password-file "$PW"
	exits 3 "nor remove one $n" regfs user rm admin $n
	exits 3 "nor change its settings $n" regfs repo set shop/web visibility=public $n
	exits 3 "nor become an administrator $n" regfs user set bob administrator=yes $n
	exits 3 "nor grant $n" regfs grant bob owner 'shop/**' $n
done
exits 3 'may not see the store' regfs status
exits 3 'nor who else there is' regfs user list
exits 0 'but himself' regfs user show bob
exits 0 'and what he may do' regfs access --user bob
exits 0 'makes a token of his' regfs token add bob phone --json
secret=$(jq -r .secret <<<"$OUT")
exits 0 'which is a password' regfs login "$U" --user bob --password-file <(echo "$secret")
exits 0 'for looking' regfs ls shop/web:one
exits 3 'and not for more tokens' regfs token add bob second
exits 0 'his password' regfs login "$U" --user bob --password-file "$T/pw.bob"
echo 'yet another password' >"$T/pw.new"
exits 0 'which he changes' regfs user passwd bob --password-file "$T/pw.new"
exits 3 'the one that is kept is none any more' regfs repo list
exits 0 'the new one' regfs login "$U" --user bob --password-file "$T/pw.new"

# ---- logout, helpers ----

exits 0 'logout' regfs logout
is "$OUT" "logged out at $U" 'says where'
is "$(jq -cS . "$T/linked.json")" "$(jq -cS . "$T/kept.json")" 'all else is as it was'
check 'there is no default' test ! -e "$XDG_CONFIG_HOME/regfs/server"
exits 1 'a second time' regfs logout
exits 1 'nor there' regfs logout "$U"
exits 3 'nobody is logged in' regfs user list --server "$U"
exits 0 'and sees nothing private' regfs repo list --server "$U" --json
is "$OUT" '[]' 'nothing'

mkdir "$T/bin"
cat >"$T/bin/docker-credential-test" <<-'H'
	#!/bin/bash
	case $1 in
	store) cat >"$HOME/secret" ;;
	get) read -r host; echo "$host" >>"$HOME/asked"; [ -e "$HOME/secret" ] || { echo 'credentials not found in native keychain'; exit 1; }; cat "$HOME/secret" ;;
	erase) rm "$HOME/secret" ;;
	esac
	H
chmod +x "$T/bin/docker-credential-test"
PATH=$T/bin:$PATH
jq -c --arg h "$ADDR" '. + {credHelpers: {($h): "test"}}' "$T/kept.json" >"$T/linked.json"
exits 0 'login with a helper' regfs login "$U" --user admin --password-file "$PW"
is "$(jq -c . "$HOME/secret")" "{\"ServerURL\":\"$ADDR\",\"Username\":\"admin\",\"Secret\":\"a password of hers\"}" 'which got it'
is "$(grep -c YWRtaW46 "$T/linked.json")" 0 'and not the file'
exits 0 'is asked' regfs user list
is "$(tail -n 1 "$HOME/asked")" "$ADDR" 'for that host'
exits 0 'logout' regfs logout
check 'it is gone' test ! -e "$HOME/secret"
exits 3 'nobody is logged in' regfs user list --server "$U"
jq -c --arg h "$ADDR" '.auths[$h] = {auth: "YWxpY2U6", identitytoken: "x"}' "$T/kept.json" >"$T/linked.json"
exits 3 'where docker keeps a token' regfs repo list --server "$U"
like "$ERR" 'regfs login' 'says what to do'
jq -c '. + {credsStore: "../x"}' "$T/kept.json" >"$T/linked.json"
exits 4 'a helper whose name is none' regfs repo list --server "$U"
jq -c '. + {credsStore: "absent"}' "$T/kept.json" >"$T/linked.json"
exits 4 'a helper that is not there' regfs repo list --server "$U"
like "$ERR" 'docker-credential-absent' 'which is named'
{ cat "$T/kept.json"; head -c 1048577 /dev/zero | tr '\0' ' '; } | head -c 1048576 >"$T/linked.json"
exits 0 'a file of 1 MiB' regfs repo list --server "$U"
printf ' ' >>"$T/linked.json"
exits 4 'one of more' regfs repo list --server "$U"
echo '{"auths":' >"$T/linked.json"
exits 4 'a file that is none' regfs repo list --server "$U"
like "$ERR" 'config.json' 'which is named'
exits 4 'is not written over' regfs login "$U" --user admin --password-file "$PW"
is "$(cat "$T/linked.json")" '{"auths":' 'but stays'
cp "$T/kept.json" "$T/linked.json"

# ---- The interface itself ----

# call NAME BODY [CURL OPTION...]
call() {
	local name=$1 body=$2

	shift 2
	http POST "/v2/_regfs/v1/$name" -u "admin:$(cat "$PW")" -H 'Content-Type: application/json' --data-binary "$body" "$@"
}

call repo-show '{"name":"shop/web"}'
is "$CODE $(jq -r .name "$T/body")" '200 shop/web' 'a call'
is "$(header cache-control)" 'no-store' 'whose answer nobody keeps'
call repo-show '{"name":"shop/web","force":true}'
is "$CODE" 400 'a member that is none'
call repo-show '{}'
is "$CODE" 400 'one that is missing'
call repo-show '{"name":7}'
is "$CODE" 400 'one of another type'
call repo-show 'name'
is "$CODE" 400 'no JSON'
call no-such '{}'
is "$CODE" 404 'a call that is none'
call repo-show '{"name":"no/such"}'
is "$CODE $(jq -r '.errors[0] | .code + " " + .detail.reason' "$T/body")" '404 NAME_UNKNOWN ERR_NAME_UNKNOWN' 'a refusal has its reason'
call repo-rm '{"name":"shop/web"}' -H 'Content-Type: text/plain'
is "$CODE" 400 'what a form of another site could send'
{ printf '{"name":"shop/web"}'; head -c $((1048576 - 19)) /dev/zero | tr '\0' ' '; } >"$T/long"
call repo-show "@$T/long"
is "$CODE" 200 'a body of 1 MiB'
printf ' ' >>"$T/long"
call repo-show "@$T/long"
like "$CODE" '^4' 'too long a body'
call repo-show "@$T/long" -H 'Transfer-Encoding: chunked'
like "$CODE" '^4' 'nor without saying so before'
http GET /v2/_regfs/v1/repo-list
is "$CODE" 405 'only POST'
call rootfs-show '{"node":"1"}'
is "$CODE" 404 'a node that is not inside an image'
call rootfs-read '{"node":"8000000000000001","length":1}'
is "$CODE" 404 'one that is nowhere'
stop_regfs

# ---- Servers that aren't what they should be ----

exits 4 'nobody is there' regfs repo list --server "$U"
exits 4 'no such name' regfs repo list --server http://no.such.host.invalid

C=$T/tls
mkdir "$C"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout "$C/ca.key" -out "$C/ca.crt" 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout "$C/x.key" -out "$C/x.csr" 2>/dev/null
openssl x509 -req -in "$C/x.csr" -CA "$C/ca.crt" -CAkey "$C/ca.key" -set_serial 7 -days 2 -out "$C/x.crt" \
	-extfile <(echo 'subjectAltName=IP:127.0.0.1') 2>/dev/null
start_regfs --tls-cert "$C/x.crt" --tls-key "$C/x.key"
exits 4 'an authority that is not believed' regfs login "https://$ADDR" --user admin --password-file "$PW"
like "$ERR" 'certificate' 'says so'
exits 0 'but is by --ca' regfs login "https://$ADDR" --user admin --password-file "$PW" --ca "$C/ca.crt"
exits 4 'each time' regfs repo list
exits 0 'with it' regfs repo list --ca "$C/ca.crt"
exits 4 'another name than the certificate has' regfs repo list --server "https://localhost:$PORT" --ca "$C/ca.crt"
exits 2 'a file that is not there' regfs repo list --ca "$C/none"
exits 0 'logout' regfs logout
stop_regfs

cat >"$T/fake.py" <<'PY'
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        self.rfile.read(int(self.headers.get('Content-Length', 0)))
        with open(sys.argv[1] + '.seen', 'a') as f:
            f.write('%s %s\n' % (self.path, self.headers.get('Authorization')))
        head, _, body = open(sys.argv[1], 'rb').read().partition(b'\n\n')
        status, *headers = head.decode().split('\n')
        self.send_response(int(status))
        for h in headers:
            self.send_header(*h.split(': ', 1))
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
print('PORT', server.server_port, flush=True)
server.serve_forever()
PY
background "$T/fake.log" python3 "$T/fake.py" "$T/answer"
wait_line "$T/fake.log" "$PID" '^PORT' || bail 'no fake server'
F=http://127.0.0.1:$(sed -n 's/^PORT //p' "$T/fake.log")
ROWS='200\nContent-Type: application/x-ndjson\n\n'

# faked STATUS DESCRIPTION ANSWER COMMAND...
faked() {
	local want=$1 description=$2

	printf "$3" >"$T/answer"
	shift 3
	exits "$want" "$description" timeout 60 "$REGFS" "$@" --server "$F"
	unlike "$OUT$ERR" $'[\x01-\x09\x0b-\x1f]' 'and no terminal is told anything'
}

faked 4 'no JSON' "${ROWS}hello\n" repo list
faked 4 'another row' "${ROWS}"'{"name":7}\n' repo list
faked 4 'half a row' "${ROWS}"'{"name":"a","tags":1\n' repo list
faked 4 'a list instead' "${ROWS}"'[]\n' repo list
faked 4 'what a terminal would obey' "${ROWS}"'{"name":"a\\u001b[31m","tags":1,"images":1,"blobs":1,"size":1,"created":"2026-01-01T00:00:00Z","visibility":"public","immutable":"none"}\n' repo list
faked 4 'the same page for ever' "${ROWS}"'{"name":"a","tags":1,"images":1,"blobs":1,"size":1,"created":"2026-01-01T00:00:00Z","visibility":"public","immutable":"none"}\n' repo list
faked 4 'an empty answer where one is needed' "$ROWS" status
faked 4 'a page for people' '200\nContent-Type: text/html\n\n<html>' repo list
faked 4 'nothing there' '404\nContent-Type: text/html\n\n<html>' repo list
like "$ERR" 'not the address of a regfs' 'is no regfs'
faked 4 'a failure' '502\nContent-Type: text/html\n\n<html>' repo list
faked 3 'a refusal of a proxy' '403\nContent-Type: text/html\n\n<html>' repo list
faked 1 'a refusal' '404\nContent-Type: application/json\n\n{"errors":[{"code":"NAME_UNKNOWN","message":"a\\u001b[31mb"}]}' repo list
faked 4 'a reason that is none' '500\nContent-Type: application/json\n\n{"errors":[{"code":"X","message":"m","detail":{"reason":"ERR_NONE"}}]}' repo list

faked 4 'no image' "$ROWS" ls a:b
{
	printf "$ROWS"
	printf '{"node":"8000000000000001","digest":"sha256:%064d","name":"../up","source":"1","mode":33188,"links":1,"size":1,"mtime":0,"uid":0,"gid":0}\n' 0
} >"$T/escape"
faked 4 'a name that leads out' "$(sed 's/%/%%/g' "$T/escape" | sed 's/33188/16877/')" extract a:b "$T/out"
check 'nothing was made there' test ! -e "$T/up"
# A directory in itself.
printf "$ROWS"'{"node":"8000000000000001","digest":"sha256:%064d","name":"%0200d","source":"1","next":"5","mode":16877,"links":1,"size":0,"mtime":0,"uid":0,"gid":0}\n' 0 0 >"$T/deep"
faked 4 'directories without an end' "$(cat "$T/deep")" ls -R a:b

# Sent on.
background "$T/other.log" python3 "$T/fake.py" "$T/other"
wait_line "$T/other.log" "$PID" '^PORT' || bail 'no other server'
O=http://127.0.0.1:$(sed -n 's/^PORT //p' "$T/other.log")
mkdir -p "$DOCKER_CONFIG"
jq -n --arg h "${F#http://}" '{auths: {($h): {auth: "YTpi"}}}' >"$T/linked.json"
faked 4 'a redirection' "307\nLocation: $O/v2/_regfs/v1/repo-list\n\n" repo list
like "$ERR" "$O" 'says where to'
check 'nobody was there' test ! -e "$T/other.seen"
is "$(tail -n 1 "$T/answer.seen")" '/v2/_regfs/v1/repo-list Basic YTpi' 'the credentials went to whose they are'

done_testing
