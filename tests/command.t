#!/bin/bash
# command.t: the regfs command: its subcommands, options, exit statuses and what it prints.
. "$(dirname "$0")/lib.sh"
need curl jq busybox

export HOME=$T/home
mkdir "$HOME"

# one_document DESCRIPTION COMMAND...: it prints one JSON document, and nothing else.
one_document() {
	local description=$1

	shift
	run "$@"
	if [ "$STATUS" = 0 ] && [ "$(jq -s length <"$T/run.out" 2>/dev/null)" = 1 ]; then
		pass "$description: one JSON document"
	else
		fail "$description: one JSON document" "$*: status $STATUS"$'\n'"$OUT$ERR"
	fi
}

# ---- Help and usage ----

commands=(serve mount version status 'repo list' 'repo show' 'repo add' 'repo rm' 'tag list' 'tag add'
	'tag rm' ls cat diff extract 'image list' 'image show' 'image layers' 'image used-by' 'image rm')
exits 0 'regfs --help' regfs --help
help=$OUT
is "$ERR" '' '--help is for standard output'
for c in "${commands[@]}"; do
	like "$help" "$c" "--help names $c"
	exits 0 "$c --help" regfs $c --help
	like "$OUT" "regfs $c" "$c --help says how it is called"
	is "$ERR" '' "$c --help is for standard output"
done
for option in store listen mount open config ready-fd; do
	like "$(regfs serve --help)" "--$option" "serve --help names --$option"
done
exits 2 'no command' regfs
exits 2 'an unknown command' regfs nonsense
like "$ERR" nonsense 'it is named'
is "$OUT" '' 'on standard error'
exits 2 'an unknown verb' regfs repo nonsense
exits 2 'an unknown option' regfs repo list --nonsense
like "$ERR" '--nonsense' 'it is named'
exits 2 'a missing value' regfs repo list --store
exits 2 'a missing operand' regfs tag list
exits 2 'an operand too many' regfs repo list x
exits 2 'a flag with a value' regfs repo list --json=x
exits 0 'version' regfs version
like "$OUT" '^regfs [0-9]+\.[0-9]+\.[0-9]+$' 'it says one'
one_document version regfs version --json
exits 0 'an option after the operand' regfs version --json

# ---- Without a store ----

run regfs repo list --store "$T/nope"
isnt "$STATUS" 0 'a store that is not there'
like "$ERR" "$T/nope" 'it is named'
check_fails 'looking makes none' test -e "$T/nope"
run regfs status
like "$ERR" "$HOME/.local/share/regfs" 'the default store is below HOME'

# ---- What a store holds, beside a running server ----

L=$T/layout
one=$(make_image "$L" 1.0 'hello one') || bail 'no image'
two=$(make_image "$L" 1.1 'hello two' docker)
index=$(make_index "$L" multi 'hello many')
children=($(jq -r '.manifests[].digest' "$(blob_path "$L" "$index")"))
config=$(jq -r .config.digest "$(blob_path "$L" "$one")")
layers=($(jq -r '.layers[].digest' "$(blob_path "$L" "$one")"))

start_regfs --open
push_layout "$L" 1.0 console-web >/dev/null || bail 'no push'
push_layout "$L" 1.1 console-web >/dev/null
push_layout "$L" multi console-web >/dev/null
push_layout "$L" 1.0 team/shop/console-web >/dev/null

like "$(regfs status --store "$STORE")" 'repositories +2' '--store'
export REGFS_STORE=$STORE
exits 0 'status' regfs status
like "$OUT" 'tags +4' '$REGFS_STORE'
exits 0 '--store before $REGFS_STORE' env REGFS_STORE="$T/nope" "$REGFS" status --store "$STORE"
exits 0 '--store=DIR' regfs status --store="$STORE"
one_document status regfs status --json
is "$(jq -c '[.repositories, .tags, .images]' <<<"$OUT")" '[2,4,6]' 'status: what is there'

exits 0 'repo list' regfs repo list
is "$(awk 'NR > 1 {print $1}' <<<"$OUT" | xargs)" 'console-web team/shop/console-web' 'in order'
unlike "$OUT" $'\e' 'no colour where there is no terminal'
one_document 'repo list' regfs repo list --json
is "$(jq -r '.[].name' <<<"$OUT" | xargs)" 'console-web team/shop/console-web' 'repo list: names'
exits 0 'repo show' regfs repo show console-web
like "$OUT" 'tags +3' 'it says how much'
one_document 'repo show' regfs repo show console-web --json
is "$(jq -c '[.name, .tags, .images]' <<<"$OUT")" '["console-web",3,5]' 'repo show: what is there'
exits 1 'repo show: there is none' regfs repo show nope
like "$ERR" nope 'it is named'
exits 2 'repo show: no such name' regfs repo show Bad/Name
like "$ERR" 'Bad' 'it is named'

exits 0 'tag list' regfs tag list console-web
is "$(head -n 1 <<<"$OUT" | xargs)" 'TAG DIGEST IMAGE-ID SIZE PLATFORMS PUSHED EXPIRES' 'its columns'
is "$(awk '$1 == "1.0" {print $2, $3}' <<<"$OUT")" "$one $config" 'a tag: digest and image ID'
is "$(awk '$1 == "multi" {print $2}' <<<"$OUT")" "$index"$'\n'"$index" 'an index: a line for each platform'
is "$(awk '$1 == "multi" {print $3}' <<<"$OUT")" "$(for child in "${children[@]}"; do
	jq -r .config.digest "$(blob_path "$L" "$child")"
done)" 'an index: the image ID of each'
like "$(awk '$1 == "multi"' <<<"$OUT" | tail -n 1)" "linux/$OTHER_ARCH" 'an index: the platform of each'
like "$(awk '$1 == "1.0"' <<<"$OUT")" '20[0-9]{2}-[0-9]{2}-[0-9]{2}' 'when it was pushed'
one_document 'tag list' regfs tag list console-web --json
is "$(jq -r '.[].tag' <<<"$OUT" | xargs)" '1.0 1.1 multi' 'tag list: tags'
is "$(jq -r '.[0] | .digest, .["image-id"]' <<<"$OUT" | xargs)" "$one $config" 'tag list: digest, image ID'
size=$(jq '.config.size + ([.layers[].size] | add)' "$(blob_path "$L" "$one")")
is "$(jq '.[0].size' <<<"$OUT")" "$((size + $(stat -c %s "$(blob_path "$L" "$one")")))" 'tag list: size'
is "$(jq -c '.[2].images | map(.digest)' <<<"$OUT")" "$(printf '"%s"\n' "${children[@]}" | jq -cs .)" \
	'tag list: the images of an index'
exits 1 'tag list: no repository' regfs tag list nope

exits 0 'image list' regfs image list console-web
is "$(awk 'NR > 1 {print $1}' <<<"$OUT" | sort)" "$(printf '%s\n' "$one" "$two" "$index" "${children[@]}" |
	sort)" 'every image'
one_document 'image list' regfs image list console-web --json
is "$(jq 'map(.digest) | length' <<<"$OUT")" 5 'image list: every image'

exits 0 'image show' regfs image show console-web:1.0
like "$OUT" "$one" 'the digest'
like "$OUT" "$config" 'the image ID'
like "$OUT" "linux/$ARCH" 'the platform'
exits 0 'image show by digest' regfs image show "console-web@$one"
exits 0 'image show of an index' regfs image show console-web:multi
like "$OUT" "${children[1]}" 'its images'
one_document 'image show' regfs image show console-web:1.0 --json
is "$(jq -r '.digest, .["image-id"], .["media-type"]' <<<"$OUT" | xargs)" \
	"$one $config application/vnd.oci.image.manifest.v1+json" 'image show: facts'
one_document 'image show of an index' regfs image show console-web:multi --json
is "$(jq -r '.images[].digest' <<<"$OUT" | xargs)" "${children[*]}" 'image show: the images of an index'
exits 1 'image show: no such tag' regfs image show console-web:nope
like "$ERR" nope 'it is named'
exits 1 'image show: no such digest' regfs image show "team/shop/console-web@$two"
exits 2 'image show: not a digest' regfs image show console-web@sha256:123
exits 1 'image show: no tag latest' regfs image show console-web

exits 0 'image layers' regfs image layers console-web:1.0
is "$(grep -oE 'sha256:[0-9a-f]{64}' <<<"$OUT" | xargs)" "${layers[*]}" 'base first'
is "$(head -n 1 <<<"$OUT" | xargs)" 'LAYER DIGEST SIZE FILES UNPACKED MEDIA-TYPE INSTRUCTION' 'its columns'
like "$OUT" 'application/vnd.oci.image.layer.v1.tar\+gzip +ADD busybox /bin/' 'media type and instruction'
like "$(tail -n 1 <<<"$OUT")" 'COPY message /' 'the instruction of the second'
unlike "$OUT" 'CMD' 'not one that made no layer'
one_document 'image layers' regfs image layers console-web:1.0 --json
is "$(jq -c 'map([.number, .digest, .size, .["media-type"], .instruction])' <<<"$OUT")" \
	"$(jq -c '.layers as $l | [range(2) | [. + 1, $l[.].digest, $l[.].size, $l[.].mediaType,
		["ADD busybox /bin/", "COPY message /"][.]]]' "$(blob_path "$L" "$one")")" 'image layers: facts'
is "$(jq -c 'map([.files, .unpacked])' <<<"$OUT")" \
	"[[6,$(($(stat -c %s "$T/rootfs/bin/busybox") + $(stat -c %s "$T/rootfs/etc/passwd")))],[1,10]]" \
	'image layers: files and their bytes'

exits 0 'image used-by a tag' regfs image used-by console-web:1.0
like "$OUT" 'console-web:1\.0' 'the tag'
exits 0 'image used-by of a child' regfs image used-by "console-web@${children[0]}"
like "$OUT" "console-web@$index" 'the index'
exits 0 'image used-by of a layer' regfs image used-by "${layers[1]}"
is "$(grep -oE '[a-z/-]+@sha256:[0-9a-f]{64}' <<<"$OUT" | sort | xargs)" \
	"console-web@$one team/shop/console-web@$one" 'all over the registry'
one_document 'image used-by' regfs image used-by "${layers[1]}" --json
is "$(jq length <<<"$OUT")" 2 'image used-by: both'

# ---- Changing something ----

# What the store holds, to see whether anything has changed.
everything() {
	regfs status --json | jq -c 'del(.["disk-free"])'
	regfs repo list --json
	regfs tag list console-web --json | jq -c "map(del(.pulled))"	# written within a minute, or at the end
	regfs image list console-web --json | jq -c "map(del(.pulled))"
}

exits 0 'repo add' regfs repo add jetty
exits 0 'it is there' regfs repo show jetty
like "$(curl -sS "http://$ADDR/v2/_catalog" | jq -r '.repositories | join(" ")')" jetty 'HTTP sees it'
run regfs repo add jetty
isnt "$STATUS" 0 'repo add: it is there already'
exits 2 'repo add: not a name' regfs repo add Jetty
exits 0 'repo rm' regfs repo rm jetty
unlike "$(curl -sS "http://$ADDR/v2/_catalog")" jetty 'HTTP sees it'
exits 1 'repo rm: there is none' regfs repo rm jetty

exits 0 'tag add' regfs tag add console-web:1.0 stable latest
is "$(digest_of <(manifest console-web stable))$(digest_of <(manifest console-web latest))" "$one$one" \
	'HTTP sees them'
exits 0 'tag add moves' regfs tag add "console-web@$two" latest
is "$(digest_of <(manifest console-web latest))" "$two" 'HTTP sees it'
exits 0 'a REF without a tag is latest' regfs image show console-web
like "$OUT" "$two" 'it is that image'
exits 1 'tag add: no such image' regfs tag add console-web:nope other
exits 2 'tag add: not a tag' regfs tag add console-web:1.0 'b@d'
exits 0 'tag rm' regfs tag rm console-web:stable
http GET /v2/console-web/manifests/stable
is "$CODE" 404 'HTTP sees it'
exits 1 'tag rm: there is none' regfs tag rm console-web:stable
exits 2 'tag rm: not a tag' regfs tag rm console-web
regfs tag rm console-web:latest >/dev/null

before=$(everything)
for n in -n --dry-run; do
	exits 0 "repo add $n" regfs repo add $n new
	exits 0 "repo rm $n" regfs repo rm $n console-web
	exits 0 "tag add $n" regfs tag add $n console-web:1.0 new
	exits 0 "tag rm $n" regfs tag rm $n console-web:1.0
	exits 0 "image rm $n" regfs image rm $n "console-web@$one"
	one_document "repo rm $n" regfs repo rm $n console-web --json
done
is "$(everything)" "$before" 'a dry run changes nothing'
exits 1 'a dry run says no: repo rm' regfs repo rm -n nope
exits 1 'a dry run says no: tag rm' regfs tag rm -n console-web:nope
exits 1 'a dry run says no: tag add' regfs tag add -n console-web:nope new
exits 1 'a dry run says no: image rm' regfs image rm -n "team/shop/console-web@$two"
exits 2 'a dry run says no: repo add' regfs repo add -n Bad

one_document 'repo add' regfs repo add centos --json
one_document 'repo rm' regfs repo rm centos --json
one_document 'tag add' regfs tag add console-web:1.0 a b --json
one_document 'tag rm' regfs tag rm console-web:a --json
one_document 'tag rm' regfs tag rm console-web:b --json

exits 2 'image rm: not by tag' regfs image rm console-web:1.0
child=$("$REGFS" image show --store "$STORE" console-web:multi --json | jq -r '.images[0].digest')
exits 0 'image rm of an image that an index names' regfs image rm -n "console-web@$child"
like "$ERR" "$index" 'says which index will miss it'
exits 0 'image rm' regfs image rm "team/shop/console-web@$one"
http GET "/v2/team/shop/console-web/manifests/$one"
is "$CODE" 404 'HTTP sees it'
http GET /v2/team/shop/console-web/manifests/1.0
is "$CODE" 404 'and its tags are gone'
exits 1 'image rm: there is none' regfs image rm "team/shop/console-web@$one"
one_document 'image rm' regfs image rm "console-web@$two" --json
check 'another image is whole' same_blobs "$L" 1.0 console-web

# ---- The same without a server ----

before=$(everything)
stop_regfs
is "$(everything)" "$before" 'without a server: the same'
exits 0 'without a server: tag add' regfs tag add console-web:1.0 alone
exits 0 'without a server: repo add' regfs repo add centos
start_regfs --open
is "$(digest_of <(manifest console-web alone))" "$one" 'the next server has the tag'
like "$(curl -sS "http://$ADDR/v2/_catalog")" '"centos"' 'and the repository'
exits 0 'repo rm of a repository with images' regfs repo rm console-web
http GET /v2/console-web/tags/list
is "$CODE" 404 'HTTP sees it'

# ---- Without --open ----

push_denied() {
	local path=$1 method=$2

	shift 2
	http "$method" "$path" "$@"
	is "$CODE" 401 "without --open: $method $path is 401"
	is "$(jq -r '.errors[0].code' "$T/body")" UNAUTHORIZED 'UNAUTHORIZED'
	like "$(jq -r '.errors[0].message' "$T/body")" login 'it says what is needed'
}

stop_regfs
start_regfs --open
push_layout "$L" 1.0 console-web >/dev/null
stop_regfs
start_regfs
push_denied /v2/console-web/blobs/uploads/ POST
push_denied /v2/new/blobs/uploads/ POST
push_denied /v2/console-web/manifests/new PUT -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' \
	--data-binary @"$(blob_path "$L" "$one")"
push_denied /v2/console-web/manifests/1.0 DELETE
push_denied "/v2/console-web/manifests/$one" DELETE
push_denied "/v2/console-web/blobs/${layers[0]}" DELETE
exits 0 'made public' regfs repo set console-web visibility=public
check 'pulls work' same_blobs "$L" 1.0 console-web
http GET /v2/
is "$CODE" 401 'GET /v2/ asks for a login'
is "$(curl -sS "http://$ADDR/v2/console-web/tags/list" | jq -c .tags)" '["1.0"]' 'nothing has changed'
exits 0 'the command is still the administrator' regfs tag add console-web:1.0 mine
stop_regfs

# ---- serve: options, from the command line and from a file ----

# refuses DESCRIPTION REGEX OPTION...: serve ends at once, says why.
refuses() {
	local description=$1 text=$2

	shift 2
	if serve_regfs "$@"; then
		fail "$description: refused" "it serves: $READY"
		stop_regfs
		return
	fi
	if [ "$STATUS" -gt 0 ] && [ "$STATUS" -lt 126 ]; then
		pass "$description: refused"
	else
		fail "$description: refused" "status $STATUS"
	fi
	like "$(cat "$LOG")" "$text" "$description: it says why"
	: >"$LOG"
}

: >"$LOG"
for address in 0.0.0.0:0 '[::]:0'; do
	refuses "--open on $address" '--open.*loopback|loopback.*--open' --store "$STORE" --listen $address --open
done
refuses 'an address that is none' nonsense --store "$STORE" --listen nonsense
refuses 'a port that is none' 127.0.0.1:99999 --store "$STORE" --listen 127.0.0.1:99999
refuses 'a configuration file that is not there' "$T/nope" --config "$T/nope"
refuses 'a store that can not be made' "$T/layout/index.json" --store "$T/layout/index.json/x" \
	--listen 127.0.0.1:0

start_regfs
first=$REGFS_PID
if (: >"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; then
	refuses 'an address in use' "$PORT" --store "$T/other" --listen "$ADDR"
	is "$STATUS" 4 'it has failed: the same words may do another time'
fi
run timeout 20 "$REGFS" serve --store "$T/other" --listen 192.0.2.77:0
is "$STATUS" 2 'an address of another machine is wrong usage'
REGFS_PID=$first
stop_regfs

cat >"$T/regfs.conf" <<END
# A comment, and an empty line.

store = $STORE
  listen=127.0.0.1:0  
open = yes
END
if serve_regfs --config "$T/regfs.conf"; then
	pass 'every option from a file'
	like "$ADDR" '^127\.0\.0\.1:[1-9]' 'listen'
	check 'store' same_blobs "$L" 1.0 console-web
	check 'open' push_layout "$L" 1.1 console-web
	stop_regfs
else
	fail 'every option from a file' "$(cat "$LOG")"
fi
if have_fuse; then
	printf 'store = %s\nlisten = 127.0.0.1:0\nmount = %s\n' "$STORE" "$MNT" >"$T/mount.conf"
	if serve_regfs --config "$T/mount.conf"; then
		check 'mount' test -d "$MNT/console-web/_tags"
		stop_regfs
	else
		fail 'mount' "$(cat "$LOG")"
	fi
fi
printf 'store = %s\nlisten = nonsense\nopen = yes\n' "$T/wrong" >"$T/two.conf"
if serve_regfs --config "$T/two.conf" --store "$STORE" --listen 127.0.0.1:0; then
	pass 'the command line comes before the file'
	check 'its store' same_blobs "$L" 1.0 console-web
	check_fails "the file's is not made" test -e "$T/wrong"
	stop_regfs
else
	fail 'the command line comes before the file' "$(cat "$LOG")"
fi
printf 'store = %s\nlisten = 127.0.0.1:0\nopen = no\n' "$STORE" >"$T/closed.conf"
if serve_regfs --config "$T/closed.conf"; then
	push_denied /v2/console-web/blobs/uploads/ POST
	stop_regfs
else
	fail 'open = no' "$(cat "$LOG")"
fi

# bad_line DESCRIPTION LINE: is refused with the file's name and the line's number.
bad_line() {
	printf '# first\nlisten = 127.0.0.1:0\n%s\nstore = %s\n' "$2" "$STORE" >"$T/bad.conf"
	: >"$LOG"
	refuses "$1" 'bad\.conf.*[^0-9]3([^0-9]|$)' --config "$T/bad.conf"
}
bad_line 'an unknown key' 'lisssten = 127.0.0.1:0'
bad_line 'a line without a value' 'mount'
bad_line 'a flag that is neither yes nor no' 'open = perhaps'
bad_line 'a key of no name' ' = x'
bad_line 'a key that was there before' 'listen = 127.0.0.1:1'
for line in 'gc-interval = soon' 'gc-grace = 1y' 'untagged = never' 'check-interval = -1s' 'check-rate = fast' \
	'check-rate = 9999999999G' 'cors-origin = example.org' 'public-url = example.org' \
	'trust-proxy = 10.0.0.0/33' "tls-cert = $T/none" "tls-key = $T/none" "tls-client-ca = $T/none"; do
	bad_line "a bad value: $line" "$line"
	is "$STATUS" 2 'wrong usage'
done
printf '\nlisten = 127.0.0.1:0\nready-fd = 77\n' >"$T/bad.conf"
run timeout 20 "$REGFS" serve --store "$STORE" --config "$T/bad.conf"
is "$STATUS" 2 'a bad value: ready-fd'
like "$ERR" 'bad\.conf:3: ' 'the line is named'
printf '\n\nstore = /dev/null/x\n' >"$T/bad.conf"
refuses 'a store that can not be made' 'bad\.conf:3: .*/dev/null/x' --listen 127.0.0.1:0 --config "$T/bad.conf"
printf '\n\nlisten = nonsense\n' >"$T/bad.conf"
refuses 'an address that is none' 'bad\.conf:3: .*nonsense' --store "$STORE" --config "$T/bad.conf"
printf '\n\nlisten = 0.0.0.0:0\nopen = yes\n' >"$T/bad.conf"
refuses '--open on an address that is no loopback' 'bad\.conf:3: .*loopback' --store "$STORE" --config "$T/bad.conf"
printf '\ngc-grace = 1h\n' >"$T/bad.conf"
refuses 'a bad value on the command line' '^regfs: --gc-grace takes' --store "$STORE" --listen 127.0.0.1:0 \
	--config "$T/bad.conf" --gc-grace soon
printf '# first\nnonsense = 1\n' >"$T/bad.conf"
refuses 'an unknown key' nonsense --store "$STORE" --listen 127.0.0.1:0 --config "$T/bad.conf"
head -c 100000 /dev/zero | tr '\0' '#' >"$T/long.conf"
refuses 'a file over the limit' long.conf --config "$T/long.conf"

# A shell does not see the file: ~/ there is the home directory.
printf 'store = ~/regfs-store\nlisten = 127.0.0.1:0\n' >"$T/home.conf"
if serve_regfs --config "$T/home.conf"; then
	check 'store = ~/... is in the home directory' test -f "$HOME/regfs-store/regfs.db"
	check_fails 'and not in a directory named ~' test -e '~'
	stop_regfs
else
	fail 'store = ~/...' "$(cat "$LOG")"
fi
bad_line "another user's home" 'mount = ~root/regfs'
if have_fuse; then
	printf 'store = ~/regfs-store\nlisten = 127.0.0.1:0\nmount = ~/no/mnt\n' >"$T/home.conf"
	: >"$LOG"
	if serve_regfs --config "$T/home.conf"; then
		like "$(cat "$LOG")" "not mounted: $T/home\.conf:3: .*no directory $HOME/no" \
			'a mount point that can not be made: the line is named'
		stop_regfs
	else
		fail 'mount = ~/...' "$(cat "$LOG")"
	fi
fi

# ---- Readiness ----

check_fails 'nothing was made where HOME is' test -e "$HOME/.local"
if command -v perl >/dev/null; then
	# A datagram socket, as a service manager has it; what comes there is printed.
	cat >"$T/notify.pl" <<-'END'
		use IO::Socket::UNIX;
		use Socket;
		my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die;
		$| = 1;
		print "listening\n";
		$socket->recv(my $message, 4096);
		print "$message\n";
	END
	background "$T/notify.log" perl "$T/notify.pl" "$T/notify"
	listener=$PID
	wait_line "$T/notify.log" "$listener" '^listening'
	export NOTIFY_SOCKET=$T/notify
	start_regfs
	wait_end "$listener"
	like "$(cat "$T/notify.log")" 'READY=1' 'sd_notify says when it is ready'
	unset NOTIFY_SOCKET
	stop_regfs
fi

# A number that is no descriptor yet must not become that of a file of ours.
for fd in 9 11 13; do
	run timeout 20 "$REGFS" serve --store "$T/unmade" --listen 127.0.0.1:0 --ready-fd $fd
	is "$STATUS" 2 "--ready-fd $fd, which is not open, is refused"
done
check_fails 'before a store is made' test -e "$T/unmade"

done_testing
