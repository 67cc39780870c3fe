#!/bin/bash
#
# regfs check: the database against the files, both ways; quarantine, and how a push heals.

. "${0%/*}/lib.sh"
. "${0%/*}/http.sh"

need curl jq sqlite3 strace
start_regfs --open --gc-interval 0

file_of() {
	printf '%s/blobs/sha256/%.2s/%s\n' "$STORE" "${1#sha256:}" "${1#sha256:}"
}

# regfs check: its exit status in $STATUS, its JSON in $OUT.
check_store() {
	run "$REGFS" check --store "$STORE" --json "$@"
}

# finds STATUS BAD STRAY DERIVED REPAIRED DESCRIPTION OPTION...
finds() {
	local want="$1: $2 $3 $4 $5" what=$6

	shift 6
	check_store "$@"
	is "$STATUS: $(jq -r '"\(.bad) \(.stray) \(.derived) \(.repaired)"' <<<"$OUT")" "$want" "$what"
}

# The problems of the last check, as "kind what" lines.
problems() {
	jq -r '.problems[] | "\(.problem) \(.what)"' <<<"$OUT" | sort
}

for f in one two shared; do
	random_file $f 300000
done
printf '\0' | dd of="$T/two" bs=1 seek=200000 conv=notrunc status=none
printf '{"a":1}' >"$T/config-a"
printf '{"b":1}' >"$T/config-b"
oci_manifest image-a config-a one shared
oci_manifest image-b config-b two shared
ONE=$(digest_of "$T/one") TWO=$(digest_of "$T/two") SHARED=$(digest_of "$T/shared")
CONFIG=$(digest_of "$T/config-a") A=$(digest_of "$T/image-a") B=$(digest_of "$T/image-b")
for f in one shared config-a; do
	push_blob a "$T/$f" >/dev/null
done
for f in two shared config-b; do
	push_blob b "$T/$f" >/dev/null
done
push_manifest a t "$T/image-a" >/dev/null
push_manifest b t "$T/image-b" >/dev/null

finds 0 0 0 0 0 'a store as it should be'
is "$(jq -c '[.blobs, .database, .problems]' <<<"$OUT")" '[7,0,[]]' 'all of it was looked at'
finds 0 0 0 0 0 'also its data' --data
is "$(jq .bytes <<<"$OUT")" "$(sql 'SELECT SUM(size) FROM blob')" 'was read'
run "$REGFS" check --store "$STORE"
is "$STATUS $OUT" '0 7 blobs (901 kB): 0 bad, 0 stray files, 0 wrong values, 0 repaired' 'as text'
run "$REGFS" check --store "$T/nowhere"
isnt "$STATUS" 0 'a store that is not there'

# ---- Blobs ----

# unserved DIGEST REPO DESCRIPTION: at every door.
unserved() {
	refuses 404 BLOB_UNKNOWN "$3: GET" GET "/v2/$2/blobs/$1"
	answers 404 "$3: HEAD" HEAD "/v2/$2/blobs/$1"
	[ -z "${MOUNTED:-}" ] || check_fails "$3: the mount" cat "$MNT/$2/_blobs/sha256/${1#sha256:}"
}

# served DIGEST REPO FILE DESCRIPTION
served() {
	answers 200 "$4: HEAD" HEAD "/v2/$2/blobs/$1"
	answers 200 "$4: GET" GET "/v2/$2/blobs/$1"
	same "$T/$3" "$4: its bytes"
	[ -z "${MOUNTED:-}" ] || check "$4: the mount" cmp "$T/$3" "$MNT/$2/_blobs/sha256/${1#sha256:}"
}

if have_fuse; then
	stop_regfs
	mkdir "$MNT"
	start_regfs --open --gc-interval 0 --mount "$MNT"
	MOUNTED=1
fi
served "$SHARED" a shared 'at first'
rm -f "$(file_of "$SHARED")"
finds 1 1 0 0 0 'a lost file'
is "$(problems)" "$(printf '%s\n' "breaks a@$A" "breaks b@$B" "lost $SHARED" | sort)" 'the images that it breaks are named'
finds 1 1 0 0 0 'and is found again'
like "$(problems)" "lost $SHARED \(in quarantine: push it again\)" 'until it is pushed'
run "$REGFS" check --store "$STORE"
like "$STATUS $OUT" "^1 lost blob $SHARED.*  breaks a@$A.*  breaks b@$B.* 1 bad" 'as text'
like "$ERR" 'push the images that they break again' 'with what to do'
unserved "$SHARED" a 'a lost blob'
http POST "/v2/c/blobs/uploads/?mount=$SHARED&from=a" -d ''
is "$CODE" 202 'it is not mounted'
refuses 404 MANIFEST_BLOB_UNKNOWN 'an image that needs it is refused' PUT /v2/a/manifests/again -H "$OCI_MANIFEST" \
	--data-binary "@$T/image-a"
check 'a push into one repository' push_blob b "$T/shared"
served "$SHARED" a shared 'heals it in every one'
finds 0 0 0 0 0 'all is well' --data

truncate -s 1000 "$(file_of "$ONE")"
refuses 500 UNKNOWN 'a truncated file is served to nobody, before a check as well' GET "/v2/a/blobs/$ONE"
answers 500 'nor a part of it' GET "/v2/a/blobs/$ONE" -r 0-99
if [ -n "${MOUNTED:-}" ]; then
	fails_with 'Input/output error' 'nor in the mount' cat "$MNT/a/_blobs/sha256/${ONE#sha256:}"
fi
finds 1 1 0 0 0 'a truncated file'
is "$(problems)" "$(printf '%s\n' "breaks a@$A" "damaged $ONE" | sort)" 'breaks its image'
is "$(stat -c %s "$STORE/quarantine/${ONE#sha256:}")" 1000 'what is left of it is in quarantine'
[ ! -e "$(file_of "$ONE")" ]
ok $? 'and nowhere else'
unserved "$ONE" a 'a damaged blob'
check 'the same digest is pushed' push_blob a "$T/one"
served "$ONE" a one 'a healed blob'

# A blob that is cut while it is sent: the client, which reads slowly, has a shorter body than it was told, and knows at once.
head -c 100000000 /dev/zero >"$T/long"
long=$(push_blob a "$T/long")
is "$(python3 - "$ADDR" "/v2/a/blobs/$long" "$(file_of "$long")" <<-'PYTHON'
	import os, socket, sys
	address, path, file = sys.argv[1:]
	s = socket.socket()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
	s.settimeout(30)
	host, port = address.rsplit(":", 1)
	s.connect((host, int(port)))
	s.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
	got = len(s.recv(65536))
	os.chmod(file, 0o600)
	os.truncate(file, 20000000)
	while True:
	    try:
	        piece = s.recv(1 << 20)
	    except ConnectionResetError:
	        break
	    except TimeoutError:
	        sys.exit("still open after 30 seconds")
	    if not piece:
	        break
	    got += len(piece)
	print("dropped" if got < 100000000 else "served in full")
	PYTHON
)" dropped 'a blob that is cut while it is sent: the connection is dropped, nothing is padded'
"$REGFS" check --store "$STORE" >/dev/null
check 'and after a check it can be pushed again' push_blob a "$T/long"

flip() {
	chmod u+w "$1"
	printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
	chmod u-w "$1"
}
flip "$(file_of "$TWO")" 200000
finds 0 0 0 0 0 'a flipped byte is not seen without --data'
finds 1 1 0 0 0 'but with it' --data
like "$(problems)" "damaged $TWO" 'it is called damaged'
unserved "$TWO" b 'a blob with other bytes'
is "$(curl -s -o "$T/manifest" -w '%{http_code}' "http://$ADDR/v2/b/manifests/t")" 200 'its image is still named'

# Configs and manifests heal in the same way.
chmod u+w "$(file_of "$CONFIG")"
printf '{"a":2}' >"$(file_of "$CONFIG")"
flip "$(file_of "$A")" 5
stop_regfs
start_regfs --open --gc-interval 0 ${MOUNTED:+--mount "$MNT"}
refuses 500 UNKNOWN 'a manifest with other bytes is served to nobody, before a check as well' GET /v2/a/manifests/t
refuses 500 UNKNOWN 'by digest as little' GET "/v2/a/manifests/$A"
check_store --data
like "$(problems)" "breaks a@$A.*damaged $CONFIG" 'a damaged config breaks its image'
like "$(problems)" "damaged $A" 'a damaged manifest'
unserved "$CONFIG" a 'a damaged config'
unserved "$A" a 'a damaged manifest, as a blob'
push_blob a "$T/config-a" >/dev/null
check 'the image is pushed again' push_manifest a t "$T/image-a"
served "$CONFIG" a config-a 'a healed config'
answers 200 'a healed manifest' GET /v2/a/manifests/t
same "$T/image-a" 'has its bytes'
served "$A" a image-a 'a healed manifest, as a blob'
rm -f "$(file_of "$B")"
check_store
like "$(problems)" "lost $B" 'a lost manifest'
stop_regfs
start_regfs --open --gc-interval 0 ${MOUNTED:+--mount "$MNT"}
refuses 404 MANIFEST_UNKNOWN 'a manifest that is in quarantine is not served' GET /v2/b/manifests/t
push_blob b "$T/two" >/dev/null
check 'it is pushed' push_manifest b t "$T/image-b"
answers 200 'and served' GET /v2/b/manifests/t
same "$T/image-b" 'with its bytes'

finds 0 0 0 0 0 'all is well' --data
flip "$(file_of "$TWO")" 200000
finds 1 1 0 0 0 'what nobody pushes again stays bad' --data
http DELETE "/v2/b/manifests/$B"
check 'and goes when nothing needs it' "$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0
finds 0 0 0 0 0 'all is well' --data

# ---- Files ----

STRAY=$(printf stray | sha256sum | cut -d' ' -f1)
mkdir -p "$STORE/blobs/sha256/${STRAY:0:2}"
printf stray >"$STORE/blobs/sha256/${STRAY:0:2}/$STRAY"
touch -d '2 days ago' "$STORE/blobs/sha256/${STRAY:0:2}/$STRAY"
finds 0 0 0 0 0 'a file that got its name just now may be a push'\''s, however old its bytes'
# Seen by a program whose clock is two hours on.
cat >"$T/later.c" <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *ts)
{
	int (*next)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
	int r = next(id, ts);

	ts->tv_sec += id == CLOCK_REALTIME ? 7200 : 0;
	return r;
}
C
${CC:-cc} -shared -fPIC -o "$T/later.so" "$T/later.c" -ldl || bail 'no compiler'
if nm -D "$REGFS" | grep -q __asan; then
	skip 'stray files: a preloaded library comes before the sanitizer'
else
	later() {
		local finds=("$@")

		LD_PRELOAD=$T/later.so "${finds[@]}"
	}
	later finds 1 0 1 0 0 'an hour later it is a stray file'
	is "$(problems)" "stray sha256:$STRAY" 'with its name'
	later finds 0 0 1 0 1 'which a repair hands to gc' --repair
	later finds 0 0 0 0 0 'that is no fault any more'
	http DELETE /v2/a/manifests/t
	http DELETE "/v2/a/manifests/$A"
	http DELETE "/v2/a/blobs/$ONE"
	is "$CODE" 202 'a blob is deleted'
	later finds 0 0 0 0 0 'the file of what was deleted is not a stray one: gc knows of it'
	check 'gc takes them' "$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0
	is "$(find "$STORE/blobs" -type f | wc -l)" 0 'all are gone'
	for f in one shared config-a; do
		push_blob a "$T/$f" >/dev/null
	done
	push_manifest a t "$T/image-a" >/dev/null
fi

# ---- Values that follow from others ----

# wrong SQL TEXT: it is found, repaired, and the value as it was.
wrong() {
	local before

	before=$(sql 'SELECT * FROM repository_blob; SELECT * FROM repository; SELECT id, untagged FROM manifest')
	sql "$1" || fail "$1"
	check_store
	is "$STATUS" 1 "$2: found"
	like "$(problems)" "derived .*$2" "$2: and said"
	like "$ERR" 'regfs check --repair' 'with what to do'
	check_store --repair
	is "$STATUS $(jq .repaired <<<"$OUT")" "0 $(jq .derived <<<"$OUT")" "$2: repaired"
	finds 0 0 0 0 0 "$2: all is well"
	is "$(sql 'SELECT * FROM repository_blob; SELECT * FROM repository; SELECT id, untagged FROM manifest')" "$before" \
		"$2: as it was"
}
wrong 'UPDATE repository_blob SET uses = 7 WHERE id = (SELECT MAX(id) FROM repository_blob)' "count of a blob's uses"
wrong 'UPDATE repository_blob SET uses = 0' "count of a blob's uses"
wrong "UPDATE repository SET listed = 1 - listed WHERE name = 'a'" 'is listed'
wrong "UPDATE manifest SET untagged = 5" 'has a tag is said to have none'
sql "UPDATE repository_blob SET uses = 0"
check 'gc goes by what manifests say as well' "$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0
check_store --repair
served "$ONE" a one 'nothing was lost'
sql "INSERT INTO blob(digest, size, created) VALUES (x'01$STRAY', 5, 1)"
mkdir -p "$STORE/blobs/sha256/${STRAY:0:2}"
printf stray >"$STORE/blobs/sha256/${STRAY:0:2}/$STRAY"
wrong 'SELECT 1' 'no repository holds it'
check 'what it held goes' "$REGFS" gc --store "$STORE" --grace 0 --undo-keep 0
[ ! -e "$STORE/blobs/sha256/${STRAY:0:2}/$STRAY" ]
ok $? 'the file, too'

# ---- Many faults at once: a few writes that wait for the disk, and none that holds up the others long ----

# syncs COMMAND...: how often it waits for the disk.
syncs() {
	ASAN_OPTIONS=detect_leaks=0 strace -f -qq -e trace=fsync,fdatasync -o "$T/syncs" "$@" >"$T/run.out" 2>"$T/run.err"
	STATUS=$?
	OUT=$(cat "$T/run.out")
	COUNT=$(grep -c sync "$T/syncs")
}

stop_regfs
many=$T/many
STORE=$many start_regfs --open --gc-interval 0
printf '{"m":1}' >"$T/config-m"
push_blob m "$T/config-m" >/dev/null
mkdir "$T/layers"
for ((i = 0; i < 600; i++)); do
	printf 'layer %3d' $i >"$T/layers/$i"
done
(cd "$T/layers" && sha256sum *) | while read -r sum name; do
	printf '%s\nurl = "http://%s/v2/m/blobs/uploads/?digest=sha256:%s"\ndata-binary = "@%s/layers/%s"\noutput = /dev/null\n' \
		"${next-}" "$ADDR" "$sum" "$T" "$name"
	next=next
done >"$T/curl.conf"
(cd "$T/layers" && sha256sum *) | jq -Rn --arg d "$(digest_of "$T/config-m")" '{schemaVersion: 2,
	mediaType: "application/vnd.oci.image.manifest.v1+json",
	config: {mediaType: "application/vnd.oci.image.config.v1+json", digest: $d, size: 7},
	layers: [inputs | {mediaType: "application/vnd.oci.image.layer.v1.tar",
		digest: ("sha256:" + .[:64]), size: 9}]}' >"$T/image-m"
curl -sS --max-time 120 -H 'Content-Type: application/octet-stream' -K "$T/curl.conf" >/dev/null
check 'an image of 600 layers' push_manifest m t "$T/image-m"
stop_regfs
sqlite3 "$many/regfs.db" 'UPDATE repository_blob SET uses = uses + 1'
syncs "$REGFS" check --store "$many" --json --repair
is "$STATUS $(jq -c '[.derived, .repaired]' <<<"$OUT")" '0 [602,602]' 'many wrong values are repaired'
[ "$COUNT" -ge 7 ] && [ "$COUNT" -le 60 ]
ok $? "in a few transactions, so that others get their turn: $COUNT"
is "$(sqlite3 "$many/regfs.db" 'SELECT COUNT(*), SUM(uses) FROM repository_blob')" '602|602' 'to what is right'
find "$many/blobs" -type f -delete
syncs "$REGFS" check --store "$many" --json
is "$STATUS $(jq .bad <<<"$OUT")" '1 602' 'every file is lost'
is "$(jq -r '.problems[].problem' <<<"$OUT" | sort | uniq -c | xargs)" '602 breaks 602 lost' 'each is named, with what it breaks'
is "$(jq -r '[.problems[].problem] | .[0:4] | join(" ")' <<<"$OUT")" 'lost breaks lost breaks' 'right behind it'
[ "$COUNT" -le 60 ]
ok $? "brought to the disk together: $COUNT"
is "$(sqlite3 "$many/regfs.db" 'SELECT COUNT(*) FROM blob WHERE bad = 1')" 602 'all are called bad'

# ---- The rate, and the server's own ----

start_regfs --open --gc-interval 0
random_file large 3000000
printf '\0' | dd of="$T/large" bs=1 seek=77 conv=notrunc status=none
push_blob a "$T/large" >/dev/null
start=$(date +%s%N)
finds 0 0 0 0 0 'at a rate' --data --rate 4M
took=$((($(date +%s%N) - start) / 1000000))
[ $took -ge 700 ]
ok $? "3.6 MB at 4 MB a second: $took ms"
stop_regfs
flip "$(file_of "$(digest_of "$T/large")")" 77
start_regfs --open --gc-interval 0 --check-interval 1s
wait_line "$LOG" "$REGFS_PID" "damaged.*$(digest_of "$T/large" | cut -c1-30)"
ok $? 'the server reads its blobs by itself, and says what is damaged'
unserved "$(digest_of "$T/large")" a 'what it found'
stop_regfs
start_regfs --open --gc-interval 0 --check-interval 1s --check-rate 1000
push_blob a "$T/large" >/dev/null
stop_regfs

# ---- The database itself ----

sqlite3 "$STORE/regfs.db" 'PRAGMA wal_checkpoint(TRUNCATE)' >/dev/null
page=$(sql "SELECT rootpage FROM sqlite_master WHERE name = 'repository_blob_list'")
size=$(sql 'PRAGMA page_size')
cp "$STORE/regfs.db" "$T/copy.db"
dd if=/dev/urandom of="$STORE/regfs.db" bs=1 seek=$(((page - 1) * size + 8)) count=200 conv=notrunc status=none
run "$REGFS" check --store "$STORE"
is "$STATUS" 1 'a damaged database'
like "$OUT$ERR" 'database is damaged' 'is called so'
cp "$T/copy.db" "$STORE/regfs.db"
finds 0 0 0 0 0 'a copy put back'

done_testing
